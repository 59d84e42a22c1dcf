# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Predict: the headline model on a page of your own
# The whole chain of the book in one call: open a page, read its signals, measure them, ask the headline model. What
# comes back is more than a class: calibrated probabilities, the set of classes that cannot be excluded, and the
# reasons to doubt. A page that the model has no business with gets none of these, but the reason why.
#
# Nothing fitted is shipped. The model is fitted from the tables that the package carries, in a few seconds, once a
# process. **This is no medical device and not for diagnosis.**

# %%
"""Classify ECG pages with the headline model, with calibrated probabilities, sets, and reasons to doubt."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ecgbook import cases, data, digitize, gallery, measure, models, printed, study, trust
from ecgbook.data import CLASSES, EcgbookError
from ecgbook.evaluate import PROBABILITIES
from ecgbook.synth import LEADS, span

if TYPE_CHECKING:
    from PIL import Image

NOTICE = "For teaching and research: no medical device, not for diagnosis."
RUN = "grouped-headline"
TABLE = "out_of_fold.csv"

# %% [markdown]
# ## The model, and what it is worth
# Three things are learned. The *model* is the headline pipeline, fitted on all 491 distinct ECGs. The *temperature*
# that calibrates its probabilities, and the scores against which a new page's are compared for the *prediction set*,
# come from the out-of-fold predictions of the run `grouped-headline`: from what the same pipeline says of ECGs that it
# has not seen. The package carries them as a table, for it is installed without the stored runs of the book. The
# chapter [When to say "I don't know"](../book/errors/dont_know.ipynb) measures both on held-out ECGs; here one model
# fitted on everything takes the place of those fitted on four fifths, so its figures hold approximately.


# %%
class Fitted(NamedTuple):
    """The headline model, ready for new pages.

    Attributes
    ----------
    model : sklearn estimator
        Fitted on the 491 distinct ECGs.
    mend : function
        Calibrates (n, 4) probabilities.
    scores : (491,) array
        1 minus the out-of-fold probability of the true class, for the sets.
    weight : (491,) array
        1 over the size of each ECG's group.
    """

    model: object
    mend: Callable[[np.ndarray], np.ndarray]
    scores: np.ndarray
    weight: np.ndarray


@lru_cache(maxsize=1)
def _unseen() -> pd.DataFrame:
    """The carried table: five predictions of each of the 491 ECGs by models that had not seen it."""
    return pd.read_csv(data.tables() / TABLE)


def rebuild(folder: Path | None = None, results: Path = study.RESULTS) -> pd.DataFrame:
    """Take the out-of-fold predictions of the headline from its stored run, and write ``out_of_fold.csv``.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where to write; by default the tables of the package.
    results : pathlib.Path
        Folder of the results; it must hold the run `grouped-headline`.

    Returns
    -------
    pandas.DataFrame
        Columns ``file``, ``label``, ``repeat`` and the four probabilities.

    Raises
    ------
    EcgbookError
        No such run, or one that was changed by hand.
    """
    tested = study.load(RUN, results).query("part == 'test'").reset_index(drop=True)
    table = tested[["file", "label", "repeat", *PROBABILITIES]]
    path = (data.tables() if folder is None else Path(folder)) / TABLE
    data.write_whole(path, table.to_csv(index=False, float_format="%.5f", lineterminator="\n"))
    return table


@lru_cache(maxsize=1)
def fitted() -> Fitted:
    """Fit the headline model on the carried tables; a few seconds, once a process.

    Returns
    -------
    Fitted
    """
    pages = data.pages()
    table = models.features("all").loc[pages["file"]]
    classes = pages["label"].map(CLASSES.index).to_numpy()
    model = models.fit(models.build("headline", seed=0), table, classes, pages["group"].to_numpy())
    unseen = _unseen()
    p, y = trust._arrays(unseen)
    first = (unseen["repeat"] == 0).to_numpy()
    group = unseen["file"][first].map(pages.set_index("file")["group"])
    weight = 1 / group.groupby(group).transform("size").to_numpy()
    scores = 1 - p[first, y[first]]
    return Fitted(model, trust.temperature(p, y)[0], scores, weight)


def seen_by_model(readings: Iterable[tuple[str, digitize.Reading, str]]) -> pd.DataFrame:
    """Compute the columns that the headline model sees.

    Parameters
    ----------
    readings : iterable of (str, Reading, str)
        Name, signals, and printed sex ("Male", "Female" or "").

    Returns
    -------
    pandas.DataFrame
        One row a reading; the columns of ``models.features("all")``.

    Examples
    --------
    >>> row = seen_by_model([("one", digitize.load("Normal(6).jpg"), "Male")])
    >>> list(row) == list(models.features("all"))
    True
    """
    records = ((name, digitize.record(reading)._replace(sex=sex)) for name, reading, sex in readings)
    table, beats = measure.table(records)
    table = table.set_index("file")
    points = beats.shape[2] // models._POINTS
    shapes = np.nan_to_num(np.round(beats, 3)[:, :, : points * models._POINTS])  # carried in whole microvolts
    shapes = shapes.reshape(len(beats), len(LEADS), points, models._POINTS).mean(axis=3)
    names = [f"beat_{lead}_{point:02d}" for lead in LEADS for point in range(points)]
    beats = pd.DataFrame(shapes.reshape(len(table), -1).astype(float), table.index, names)
    return pd.concat([table, models.summaries(table), beats], axis=1)


# %% [markdown]
# ## A page that the model knows
# Of an ECG that it was fitted on, a model says what it was told. So a published page is recognised, by the hash of its
# bytes or, if it was saved anew, by its signals: of two different ECGs among the 491 no pair correlates above 0.7 over
# the twelve pieces of 2.5 s, two readings of one page always do. Its answer is then the mean of the out-of-fold
# predictions.

# %%
SAME = 0.9  # correlation of all twelve pieces from which on two readings are of one ECG


def _pieces(reading: digitize.Reading) -> np.ndarray:
    """The twelve pieces in one row, (7500,) mV, 0 where not read."""
    return np.nan_to_num(np.concatenate([reading.leads[i, span(lead)] for i, lead in enumerate(LEADS)]))


@lru_cache(maxsize=1)
def _known_pieces() -> tuple[list[str], np.ndarray]:
    names = digitize.signals()
    rows = np.stack([_pieces(digitize.load(name)) for name in names])
    return names, rows / np.linalg.norm(rows, axis=1, keepdims=True)


def recognise(reading: digitize.Reading, sha256: str = "") -> str:
    """Say which of the 491 distinct ECGs a page shows.

    Parameters
    ----------
    reading : Reading
    sha256 : str
        Of the file, if there is one.

    Returns
    -------
    str
        Name of the distinct page, or "" for an ECG that is new.

    Examples
    --------
    >>> recognise(digitize.load("MI(3).jpg"))
    'MI(3).jpg'
    >>> from ecgbook import draw, synth
    >>> recognise(digitize.read(draw.draw_page(synth.record("MI", 3))[0]))
    ''
    """
    files = data.files()
    same = files.loc[files["sha256"] == sha256, "first_copy"]
    if len(same):
        return str(same.iloc[0])
    names, rows = _known_pieces()
    own = _pieces(reading)
    alike = rows @ own / max(float(np.linalg.norm(own)), 1e-9)
    return names[int(alike.argmax())] if alike.max() >= SAME else ""


# %% [markdown]
# ## One page
# A prediction carries everything that the report shows. The *reasons to doubt* are of four kinds: the set holds no
# class or several, the reading is flawed or contradicts the print, the waves lie near the edge of what is known, and
# the guideline's criteria contradict the class.


# %%
class Prediction(NamedTuple):
    """What was found on one page.

    Attributes
    ----------
    name : str
        As the user named it.
    verdict : ecgbook.trust.Verdict
        Whether the page may be classified, and if not, why.
    reading : Reading or None
        The signals, if they could be read.
    sex : str
        As printed, or "".
    known : str
        The published page that this is, or "".
    probabilities : (4,) array
        Calibrated; NaN where nothing was classified.
    members : tuple of str
        The 95 % prediction set: classes that cannot be excluded.
    row : pandas.Series or None
        The measurements.
    doubts : tuple of str
        Reasons to doubt, in words.
    """

    name: str
    verdict: trust.Verdict
    reading: digitize.Reading | None = None
    sex: str = ""
    known: str = ""
    probabilities: np.ndarray = np.full(len(CLASSES), np.nan)
    members: tuple[str, ...] = ()
    row: pd.Series | None = None
    doubts: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        """The most probable class, or "" if the page was refused."""
        return CLASSES[int(self.probabilities.argmax())] if self.verdict.accepted else ""


def predict(page: Image.Image, name: str = "page", sha256: str = "") -> Prediction:
    """Classify one page, or say why not.

    Parameters
    ----------
    page : PIL.Image.Image
        A whole page, upright.
    name : str
        What to call it.
    sha256 : str
        Of the file it came from; a published page is recognised by it.

    Returns
    -------
    Prediction

    See Also
    --------
    ecgbook.trust.accept : the gates that a page has to pass first.

    Examples
    --------
    >>> from ecgbook import draw, synth
    >>> found = predict(draw.draw_page(synth.record("Normal", 1))[0])
    >>> found.verdict.accepted, found.called in found.members
    (True, True)
    >>> from PIL import Image
    >>> predict(Image.new("RGB", (2213, 1572), "white")).called
    ''
    """
    reading, verdict = trust.admit(page)
    if reading is None or not verdict.accepted:
        return Prediction(name, verdict, reading)
    on_page = printed.read(page)
    known = recognise(reading, sha256)
    sex = on_page.sex or ""
    table = seen_by_model([(name, reading, sex)])
    raw = _out_of_fold(known) if known else models.probabilities(fitted().model, table)
    found = Prediction(
        name, verdict, reading, sex, known, fitted().mend(raw)[0], _members(raw), table.iloc[0]
    )
    return found._replace(doubts=tuple(_doubts(found, on_page.heart_rate)))


def _out_of_fold(file: str) -> np.ndarray:
    """Mean over the repeats of what models that had not seen a published ECG said of it; (1, 4)."""
    unseen = _unseen()
    return unseen.loc[unseen["file"] == file, PROBABILITIES].mean().to_numpy()[None]


def _members(raw: np.ndarray) -> tuple[str, ...]:
    """Classes that conformal prediction does not exclude, the most probable first."""
    own = fitted()
    p = trust.p_values(own.scores, own.weight, np.zeros(len(own.scores), int), (1 - raw)[None])[0]
    inside = [k for k in np.argsort(-raw[0], kind="stable") if p[k] > 1 - trust.LEVEL]
    return tuple(CLASSES[k] for k in inside)


# %% [markdown]
# ### Reasons to doubt

# %%
_NEAR = 0.9  # share of the last gate's limit from which on a page is called unusual
_OFF = 0.1  # share by which printed and measured heart rate may differ


def _doubts(found: Prediction, printed_rate: int | None) -> Iterator[str]:
    yield from _of_set(found)
    yield from _of_reading(found, printed_rate)
    yield from _of_criteria(found)


def _of_set(found: Prediction) -> Iterator[str]:
    if not found.members:
        yield f"no class fits: each is excluded at {trust.LEVEL:.0%}"
    elif len(found.members) > 1:
        yield f"{' and '.join(found.members)} cannot be told apart at {trust.LEVEL:.0%}"
    if found.verdict.distance > _NEAR * trust._guard().limit:
        yield "the waves are unusual among the pages that the model has learned from"


def _of_reading(found: Prediction, printed_rate: int | None) -> Iterator[str]:
    reading, row = _found_on(found)
    flagged = zip((*LEADS, "the rhythm strip"), reading.flags, strict=True)
    said = ", ".join(f"{name} ({words})" for name, words in flagged if words)
    if said:
        yield f"read with reserve: {said}"
    rate = row["heart_rate"]
    if printed_rate and not abs(rate - printed_rate) <= _OFF * printed_rate:
        yield f"the page prints a heart rate of {printed_rate}/min, measured were {rate:.0f}/min"


def _found_on(found: Prediction) -> tuple[digitize.Reading, pd.Series]:
    """Signals and measurements of a page that was classified: there are always both."""
    assert found.reading is not None and found.row is not None
    return found.reading, found.row


def _of_criteria(found: Prediction) -> Iterator[str]:
    met = cases.criteria_of(found.row, found.sex)["sign"].unique().tolist()
    wanted = {"MI": "ST elevation", "History_MI": "pathological Q"}.get(found.called)
    if wanted and wanted not in met:
        yield f"called {found.called}, but no two neighbouring leads meet the criterion of {wanted}"
    against = [sign for sign in met if sign != "T inversion"]
    if found.called == "Normal" and against:
        yield f"called Normal, but criteria are met: {', '.join(against)}"


# %% [markdown]
# ## Files
# Pages come as images or as PDF; of a PDF every page is one. 200 dots to the inch make A4 about as large as the pages
# that the digitiser knows best. A PDF can ask for any size, so a page of more pixels than an image may have is
# refused before it is drawn.

# %%
_DPI = 200


def open_pages(path: Path) -> Iterator[tuple[str, Image.Image]]:
    """Open the pages of a file.

    Parameters
    ----------
    path : pathlib.Path
        An image, or a PDF.

    Yields
    ------
    name : str
        The path; of a PDF of several pages with ", page 2" behind it.
    page : PIL.Image.Image
        RGB.

    Raises
    ------
    EcgbookError
        If the file cannot be opened or is neither; the message names it.
    """
    with data._open_to_read(path) as stream:
        is_pdf = stream.read(5) == b"%PDF-"
    if is_pdf:
        yield from _pdf_pages(path)
    else:
        yield str(path), data.open_image(path)


def _pdf_pages(path: Path) -> Iterator[tuple[str, Image.Image]]:
    import pypdfium2
    from PIL import Image

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise EcgbookError(
            f"{path}: is a broken or protected PDF; save it anew without a password"
        ) from error
    with document:
        for i in range(len(document)):
            sheet = document[i]
            if np.prod(sheet.get_size()) * (_DPI / 72) ** 2 > Image.MAX_IMAGE_PIXELS:
                raise EcgbookError(f"{path}: page {i + 1} is larger than any ECG; give a smaller scan")
            name = f"{path}, page {i + 1}" if len(document) > 1 else str(path)
            yield name, sheet.render(scale=_DPI / 72).to_pil().convert("RGB")


def predict_file(path: Path) -> list[Prediction]:
    """Classify every page of a file.

    Parameters
    ----------
    path : pathlib.Path
        An image or a PDF.

    Returns
    -------
    list of Prediction
        One a page. A file that cannot be opened, or a PDF that breaks off, ends with one that is refused at the gate
        "file", so that the rest of a long list goes on.
    """
    found = []
    try:
        with data._open_to_read(path) as stream:
            sha256 = data._sha256(stream)
        for name, page in open_pages(path):
            found.append(predict(page, name, sha256))
    except EcgbookError as error:
        reason = str(error).removeprefix(f"{path}: ")
        found.append(Prediction(str(path), trust.Verdict(False, "file", (reason,))))
    return found


# %% [markdown]
# ## For programs


# %%
def as_dict(found: Prediction) -> dict:
    """Turn a prediction into plain values, ready for JSON.

    Parameters
    ----------
    found : Prediction

    Returns
    -------
    dict
        ``page``, ``classified``; of a refused page ``stage`` and ``reasons``; else ``class``, ``probabilities``,
        ``set``, ``level``, ``recognised`` (a published page, or None), ``doubts``, ``criteria`` and ``measurements``
        (None where not measured); ``notice``.

    Examples
    --------
    >>> from PIL import Image
    >>> as_dict(predict(Image.new("RGB", (2213, 1572), "white"), "blank"))["classified"]
    False
    """
    told: dict[str, object] = {"page": found.name, "classified": found.verdict.accepted}
    if not found.verdict.accepted:
        told |= {"stage": found.verdict.stage, "reasons": list(found.verdict.reasons)}
        return told | {"notice": NOTICE}
    met = cases.criteria_of(found.row, found.sex)
    row = _found_on(found)[1][list(measure.COLUMNS)]
    told |= {
        "class": found.called,
        "probabilities": {k: round(float(p), 4) for k, p in zip(CLASSES, found.probabilities, strict=True)},
        "set": list(found.members),
        "level": trust.LEVEL,
        "recognised": found.known or None,
        "doubts": list(found.doubts),
        "criteria": met.to_dict("records"),
        "measurements": {name: round(float(v), 3) if np.isfinite(v) else None for name, v in row.items()},
    }
    return told | {"notice": NOTICE}


# %% [markdown]
# ## For people
# The report is one file that asks no other host for anything. It shows the signals that were read, redrawn on ECG
# paper: header and footer of the page, where names and dates stand, never enter it.

# %%
_STYLE = """
:root { color-scheme: light dark; --ink: #22252b; --muted: #5b6470; --ground: #fff; --line: #d9dce1; --bar: #1d5fa8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --muted: #aab2bd; --ground: #15181c; --line: #3a4048; --bar: #7fb2ea; } }
body { max-width: 66rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.55 system-ui, sans-serif;
  color: var(--ink); background: var(--ground); }
.notice { border: 2px solid currentColor; padding: .5rem .8rem; font-weight: 600; }
article { border-top: 1px solid var(--line); margin-top: 2.2rem; }
img { max-width: 100%; height: auto; }
.tables { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 1rem 3rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem .8rem .2rem 0;
  border-bottom: 1px solid var(--line); font-weight: 400; vertical-align: top; }
thead th { color: var(--muted); } td.number { text-align: right; font-variant-numeric: tabular-nums; }
.bar { display: block; height: .7rem; min-width: 1px; background: var(--bar); } td.wide { width: 12rem; }
caption { text-align: left; color: var(--muted); padding-bottom: .3rem; } h2 { overflow-wrap: anywhere; }
footer { color: var(--muted); margin-top: 3rem; border-top: 1px solid var(--line); }
@media print { body { margin: 0; } article { break-before: page; } }
"""


def report(predictions: Sequence[Prediction]) -> str:
    """Write a report on one or more pages.

    Parameters
    ----------
    predictions : sequence of Prediction

    Returns
    -------
    str
        A whole HTML page with its pictures inside.

    Examples
    --------
    >>> report([]).startswith("<!doctype html>")
    True
    """
    classified = sum(found.verdict.accepted for found in predictions)
    parts = "".join(_article(number, found) for number, found in enumerate(predictions, start=1))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>ECG pages, classified</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>ECG pages, classified</h1><p class="notice">{NOTICE}</p>'
        f"<p>{classified} of {len(predictions)} pages were classified. Model: the headline pipeline of ecgbook, "
        "fitted on 491 printed ECGs of one collection, one form and one device (EICP, Khan and Hussain 2021, CC BY "
        "4.0), whose classes are folder names. Probabilities assume classes as frequent as there. The sets hold the "
        "truth as often as stated over all classes together, and less often for infarctions, of which the collection "
        "has thirty. "
        "&ldquo;Normal&rdquo; does not mean that an infarction is excluded.</p>"
        f"{parts}</main><footer><p>Thresholds are approximate: the pages were filtered at 0.67 to 25 Hz. "
        f"{NOTICE}</p></footer></body></html>\n"
    )


def _article(number: int, found: Prediction) -> str:
    title = html.escape(Path(found.name).name)
    body = _classified(found) if found.verdict.accepted else _refused(found)
    return f'<article aria-labelledby="page-{number}"><h2 id="page-{number}">{title}</h2>{body}</article>'


def _refused(found: Prediction) -> str:
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in found.verdict.reasons)
    picture = _picture(found.reading, "not classified") if found.reading is not None else ""
    return (
        f"<p><strong>Not classified.</strong> Stopped at the gate &ldquo;{found.verdict.stage}&rdquo;:</p>"
        f"<ul>{reasons}</ul>{picture}"
    )


def _classified(found: Prediction) -> str:
    held = " or ".join(found.members) or "none of the four classes"
    doubts = "".join(f"<li>{html.escape(doubt)}</li>" for doubt in found.doubts)
    recognised = (
        f"<p>This page is published as {html.escape(found.known)}, and the model was fitted on it. Shown is what "
        "models said that had not seen it.</p>"
        if found.known
        else ""
    )
    return (
        f"<p><strong>{found.called}</strong>, probability {found.probabilities.max():.2f}. "
        f"Set that holds the truth in {trust.LEVEL:.0%} of pages like these: {held}.</p>{recognised}"
        f"<h3>Reasons to doubt</h3><ul>{doubts or '<li>none was found, which is no proof</li>'}</ul>"
        f"{_picture(_found_on(found)[0], f'called {found.called}')}"
        f'<div class="tables">{_bars(found)}{_facts(found)}</div>'
    )


def _picture(reading: digitize.Reading, words: str) -> str:
    content = base64.b64encode(gallery.png(gallery.twelve_leads(reading, "page"))).decode()
    return (
        f'<p><img src="data:image/png;base64,{content}" alt="Twelve leads and the rhythm strip, redrawn from the '
        f'signals read off the page, which was {words}."></p>'
    )


def _bars(found: Prediction) -> str:
    rows = "".join(
        f'<tr><th scope="row">{label}</th><td class="number">{p:.3f}</td>'
        f'<td class="wide"><span class="bar" style="width:{100 * p:.1f}%"></span></td></tr>'
        for label, p in zip(CLASSES, found.probabilities, strict=True)
    )
    return _table("Calibrated probabilities", ("class", "probability", "as a bar"), rows)


def _facts(found: Prediction) -> str:
    rows = "".join(
        f'<tr><th scope="row">{html.escape(fact.what)}</th><td>{html.escape(fact.found)}</td></tr>'
        for fact in gallery.facts(found.row, found.sex).itertuples()
    )
    return _table("Measured on the signals", ("measurement", "found"), rows)


def _table(caption: str, columns: tuple[str, ...], rows: str) -> str:
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
