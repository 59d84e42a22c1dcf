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
# # Audit report: what was found, with pictures
# A count of copies persuades nobody; two pictures side by side do. This module takes what [](audit.py) has found and
# turns it into three things that outlive the terminal: one HTML page that can be mailed to a reviewer, a table that
# gives each file a *group*, so that honest folds are one line of scikit-learn, and one number that can stop a build.
#
# A group here is a picture: its byte-identical copies and its near-copies. It says nothing of people: two
# different pictures of one person are two groups.

# %%
"""Turn an audit into a page with pictures, a table of groups, and a reason to stop."""

from __future__ import annotations

import base64
import html
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

import ecgbook
from ecgbook import audit
from ecgbook.data import EcgbookError, Progress

# %% [markdown]
# ## A group for each file
# Copies of one content belong together, and so do two contents that the audit found to be near-copies. Being "the
# same" is passed on: if *a* is like *b* and *b* like *c*, all three are one group, since a split must part none of
# them. So groups are the connected components of that graph. The report names near-copies but not which files are
# copies of which; therefore the files are hashed again, and if they have changed since the audit, that is told.


# %%
def grouped(root: Path, report: dict, progress: Progress | None = None) -> pd.DataFrame:
    """Give each file the number of its picture.

    Parameters
    ----------
    root : pathlib.Path
        The folder that was audited.
    report : dict
        What :func:`ecgbook.audit.audit` found there.
    progress : callable, optional
        Told ``("hashing", done, total)`` after each file.

    Returns
    -------
    pandas.DataFrame
        One row a file, in natural order: ``file`` (path relative to ``root``, as in the report), ``label``,
        ``group`` (from 1, by first appearance), ``first_copy`` (the first file with the same bytes), ``readable``
        (bool) and ``path`` (as ``file``, but as the disk spells it).

    Raises
    ------
    EcgbookError
        If the files are no longer those that were audited.
    """
    frame = audit.inventory(root, progress)[["file", "label", "first_copy"]]
    frame["path"] = frame["file"]
    for column in ("file", "label", "first_copy"):
        frame[column] = frame[column].map(audit._printable)
    near = [(pair["a"], pair["b"]) for pair in report["near_duplicates"]]
    named = {*report["unreadable"], *(file for pair in near for file in pair)}
    counts = (len(frame), frame["first_copy"].nunique())
    if counts != (report["files"], report["distinct"]) or not named <= set(frame["file"]):
        raise EcgbookError(f"{root}: its files have changed since the audit began; run it again")
    frame["group"] = _connected(frame["file"], [*zip(frame["file"], frame["first_copy"], strict=True), *near])
    frame["readable"] = ~frame["file"].isin(report["unreadable"])
    return frame[["file", "label", "group", "first_copy", "readable", "path"]]


def _connected(files: pd.Series, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """Number the connected components of files that are joined in pairs, from 1 by first appearance."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    place = {file: row for row, file in enumerate(files)}
    a, b = np.array([(place[one], place[other]) for one, other in pairs]).T
    graph = coo_array((np.ones(len(pairs)), (a, b)), shape=(len(files), len(files)))
    return pd.factorize(connected_components(graph, directed=False)[1])[0] + 1


def table(files: pd.DataFrame) -> str:
    """Write the groups as CSV, for any program.

    Parameters
    ----------
    files : pandas.DataFrame
        As from :func:`grouped`.

    Returns
    -------
    str
        Columns ``file``, ``label``, ``group``, ``first_copy``, ``readable``; one line a file.
    """
    return files.drop(columns="path").to_csv(index=False, lineterminator="\n")


# %% [markdown]
# ## Does a random split leak?
# It does as soon as one picture stands in two readable files, for nothing keeps the two on one side. How much it leaks
# is asked of the look-up twice: once with the hash of a file, and once with its group, which also recognises
# near-copies.


# %%
def leaking(files: pd.DataFrame) -> int:
    """Count the readable files that share their picture with another one.

    Parameters
    ----------
    files : pandas.DataFrame
        As from :func:`grouped`.

    Returns
    -------
    int
        0 if a random split cannot put one picture on both sides.

    Examples
    --------
    >>> leaking(pd.DataFrame({"group": [1, 2, 1, 3, 3], "readable": [True, True, True, True, False]}))
    2
    """
    group = files.loc[files["readable"], "group"]
    return int(group.duplicated(keep=False).sum())


def twin_share(files: pd.DataFrame, score: dict) -> float:
    """Say which share of all test files has a twin in training, on average over random splits.

    Parameters
    ----------
    files : pandas.DataFrame
        As from :func:`grouped`.
    score : dict
        As from :func:`ecgbook.audit.lookup_baseline`, over the readable files.

    Returns
    -------
    float
        The mean over the classes, each with its number of test files.

    Examples
    --------
    >>> files = pd.DataFrame({"label": ["cat"] * 20 + ["dog"] * 60, "readable": True})
    >>> twin_share(files, {"twins": {"cat": 1.0, "dog": 0.0}, "sizes": audit.SIZES})
    0.25
    """
    counts = files.loc[files["readable"], "label"].value_counts().sort_index()
    tested = audit.part_counts(counts, score["sizes"])[:, 2]
    return float(np.average([score["twins"][label] for label in counts.index], weights=tested))


# %% [markdown]
# ## Which pictures are shown
# Each group of several files is of one kind: a *conflict* if its picture stands under two classes, the worst of
# all; otherwise a *near-copy* if the bytes differ, a *copy* if they do not. Of each kind the largest groups are
# shown, the classes taking turns. A page that is to be mailed must stay small: the pictures are small JPEGs, and
# when they have filled their budget the remaining groups are listed without one.

# %%
KINDS = ("conflict", "near-copy", "copy")
SHOWN = 24  # groups of each kind
SHOWN_FILES = 8  # names in a group
SHOWN_PICTURES = 4  # contents in a group
SIDE = 220  # pixels: the longer side of a small picture
BUDGET = 2_200_000  # bytes of JPEG; as text in a page they take a third more, 3 MB


def kinds(files: pd.DataFrame) -> pd.Series:
    """Sort the groups of several readable files into conflicts, near-copies and copies.

    Parameters
    ----------
    files : pandas.DataFrame
        As from :func:`grouped`.

    Returns
    -------
    pandas.Series
        Indexed by group, one of :data:`KINDS`; in the order in which they are shown.

    Examples
    --------
    >>> files = pd.DataFrame(
    ...     [("a/1", "a", 1, "a/1"), ("a/2", "a", 1, "a/1"), ("a/3", "a", 2, "a/3"), ("b/1", "b", 2, "b/1")],
    ...     columns=["file", "label", "group", "first_copy"],
    ... ).assign(readable=True)
    >>> kinds(files).to_dict()
    {2: 'conflict', 1: 'copy'}
    """
    readable = files[files["readable"]]
    found = readable.groupby("group").agg(
        label=("label", "first"),
        files=("file", "size"),
        labels=("label", "nunique"),
        contents=("first_copy", "nunique"),
    )
    found = found[found["files"] > 1].sort_values("files", ascending=False, kind="stable")
    found["kind"] = np.select([found["labels"] > 1, found["contents"] > 1], [0, 1], 2)
    found["turn"] = found.groupby(["kind", "label"]).cumcount()
    return found.sort_values(["kind", "turn"], kind="stable")["kind"].map(dict(enumerate(KINDS)))


def _shown(files: pd.DataFrame) -> dict[str, list[pd.DataFrame]]:
    """Give the groups that are shown, by kind: the readable rows of each."""
    of, rows = kinds(files), dict(iter(files[files["readable"]].groupby("group")))
    return {kind: [rows[group] for group in of.index[of == kind][:SHOWN]] for kind in KINDS}


def _contents(group: pd.DataFrame) -> pd.DataFrame:
    """Give one row for each content of a group that is shown."""
    return group.drop_duplicates("first_copy").head(SHOWN_PICTURES)


def small(path: Path, side: int = SIDE) -> bytes:
    """Decode a picture of any kind and encode it as a small JPEG, upright, on white.

    Parameters
    ----------
    path : pathlib.Path
        An image.
    side : int
        Longest side, in pixels.

    Returns
    -------
    bytes
        Empty if the picture cannot be decoded.
    """
    with suppress(Exception), audit._quiet(), audit._open(path) as image:
        image.draft("RGB", (2 * side, 2 * side))
        picture = ImageOps.exif_transpose(image)
        if picture.mode.startswith(("I", "F")) or picture.mode == "LAB" or picture.has_transparency_data:
            picture = audit._grey(picture)  # stretched, or on white paper
        picture = picture.convert("RGB")
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        stream = BytesIO()
        picture.save(stream, "JPEG", quality=72, optimize=True)
        return stream.getvalue()
    return b""  # a decoder may fail in any way


def _pictures(root: Path, groups: Iterable[pd.DataFrame], progress: Progress | None) -> dict[str, bytes]:
    """Make the small pictures of the groups that are shown, until the budget is spent."""
    wanted = [row for group in groups for row in _contents(group).itertuples()]
    made, left = {}, BUDGET
    for done, row in enumerate(wanted, start=1):
        picture = small(Path(root) / row.path)
        left -= len(picture)
        if left < 0:
            break
        made[row.file] = picture
        if progress:
            progress("pictures", done, len(wanted))
    return made


# %% [markdown]
# ## In one sentence
# A reviewer reads one sentence. It has to hold the three numbers that matter, in words that need no explanation, and
# it has to be as true of a clean data set as of a bad one.


# %%
def _percent(share: float) -> str:
    """Give a share in percent; what is not nothing and not all is never rounded to it.

    Examples
    --------
    >>> _percent(0.5968), _percent(0.9998), _percent(0.0001), _percent(1)
    ('60 %', 'more than 99 %', 'less than 1 %', '100 %')
    """
    if 0 < share < 0.005:
        return "less than 1 %"
    return "more than 99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def sentence(files: pd.DataFrame, report: dict) -> str:
    """Say what the audit found, as a reviewer would want to hear it.

    Parameters
    ----------
    files : pandas.DataFrame
        As from :func:`grouped`.
    report : dict
        As from :func:`ecgbook.audit.audit`.

    Returns
    -------
    str
        One sentence, two if there are near-copies.
    """
    head = f"Of {report['files']} files {report['distinct']} are distinct"
    score = report["lookup"]
    if score is None:
        return f"{head}; no random split was simulated: {report['lookup_reason']}."
    readable = files[files["readable"]]
    largest = readable["label"].value_counts(normalize=True).max()
    said = (
        f"{head}; a random {_ratio(score['sizes'])} split puts a copy of {_percent(twin_share(files, score))} of the "
        f"test files into training; a look-up that never opens an image scores {score['accuracy_mean']:.3f} "
        f"(always naming the largest class: {largest:.3f})."
    )
    if report["near_duplicates"]:
        seen = audit.lookup_baseline(readable["group"], readable["label"])
        said += (
            f" With near-copies counted as copies it is {_percent(twin_share(files, seen))} of the test files, and "
            f"{seen['accuracy_mean']:.3f}."
        )
    return said


def _ratio(sizes: Sequence[float]) -> str:
    return "/".join(f"{100 * size:.0f}" for size in sizes)


# %% [markdown]
# ## The page
# One file that asks no other host for anything, readable on a phone, in the dark, on paper and by a screen reader. All
# that comes from outside, above all the names of files and folders, is escaped.

# %%
_STYLE = """
:root { color-scheme: light dark; --ink: #22252b; --muted: #5b6470; --ground: #fff; --line: #d9dce1;
  --bad: #b3261e; --good: #0f6b4f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --muted: #aab2bd; --ground: #15181c; --line: #3a4048; --bad: #ffb4ab; --good: #7fd6b4; } }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.55 system-ui, sans-serif;
  color: var(--ink); background: var(--ground); overflow-wrap: anywhere; }
h1 { line-height: 1.2; } h2 { margin-top: 2.4rem; } a { color: inherit; }
.verdict { border: 2px solid currentColor; padding: .6rem .9rem; font-size: 1.1rem; }
.bad { color: var(--bad); } .good { color: var(--good); }
.scroll { overflow-x: auto; } .scroll:focus-visible { outline: 2px solid currentColor; }
table { border-collapse: collapse; overflow-wrap: normal; margin: .4rem 0 1.2rem; }
caption { text-align: left; color: var(--muted); padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line);
  font-weight: 400; min-width: 4.5rem; } thead th { color: var(--muted); } tbody th { min-width: 9rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); gap: 1rem;
  list-style: none; padding: 0; }
.sheet > li { border: 1px solid var(--line); border-radius: .4rem; padding: .7rem; break-inside: avoid; }
.thumbs { display: flex; flex-wrap: wrap; gap: .4rem; margin-bottom: .4rem; }
.thumbs img { max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); }
.sheet p { margin: 0; } .sheet ul { margin: .3rem 0 0; padding-left: 1.1rem; font-size: .85rem; }
.muted, footer { color: var(--muted); } pre { overflow-x: auto; border: 1px solid var(--line); padding: .7rem; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); }
@media print { body { margin: 0; max-width: none; } pre, .scroll { overflow: visible; white-space: pre-wrap; } }
"""


def page(root: Path, report: dict, files: pd.DataFrame, progress: Progress | None = None) -> str:
    """Write the report as one HTML page with its pictures inside.

    Parameters
    ----------
    root : pathlib.Path
        The folder that was audited.
    report : dict
        What :func:`ecgbook.audit.audit` found there.
    files : pandas.DataFrame
        As from :func:`grouped`.
    progress : callable, optional
        Told ``("pictures", done, total)`` as small pictures are made.

    Returns
    -------
    str
        The page; the same files give the same page on every machine that decodes them alike.
    """
    shown, counts = _shown(files), kinds(files).value_counts()
    pictures = _pictures(root, [group for kind in KINDS for group in shown[kind]], progress)
    title = f"Audit of {html.escape(audit._printable(Path(root).resolve().name))}"
    sheets = [_sheet(kind, shown[kind], int(counts.get(kind, 0)), pictures) for kind in KINDS]
    parts = [
        _verdict(files, report),
        _worst_first(files, report, counts),
        sheets[0],
        _by_class(files, report),
        *sheets[1:],
        _traits(report["per_class"]),
        _unreadable(report["unreadable"]),
        _next_steps(files),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main><h1>{title}</h1>{''.join(parts)}</main>"
        "<footer><p>This page contains small pictures and the names of your files: pass it on only where they may "
        f"go. Made by ecgbook {ecgbook.__version__}.</p></footer></body></html>\n"
    )


def _verdict(files: pd.DataFrame, report: dict) -> str:
    leaks = leaking(files)
    word, told = (
        ("bad", "A random split of these files leaks.") if leaks else ("good", "No copies were found.")
    )
    return f'<p class="verdict"><strong class="{word}">{told}</strong> {html.escape(sentence(files, report))}</p>'


def _worst_first(files: pd.DataFrame, report: dict, counts: pd.Series) -> str:
    """List what was found, the worst first, with links to where it is shown."""
    known, blind = _best_guess(report["per_class"])
    said = {
        "conflict": "under two classes: at least one label is wrong",
        "copy": "in several files, byte for byte",
        "near-copy": "saved again: re-encoded, resized or slightly moved",
    }
    found = [
        f'<li><a href="#{kind}">{_plural(counts[kind], "picture")}</a> {words}</li>'
        for kind, words in said.items()
        if kind in counts
    ]
    if known - blind >= TELLING:
        found.append(
            f'<li><a href="#traits">How the files were made</a> tells the class of {_percent(known)} of them; '
            f"without it {_percent(blind)} are guessed</li>"
        )
    if report["unreadable"]:
        found.append(
            f'<li><a href="#unreadable">{_plural(len(report["unreadable"]), "file")}</a> cannot be read</li>'
        )
    return f"<h2>What was found, the worst first</h2><ul>{''.join(found) or '<li>nothing</li>'}</ul>"


def _plural(count: int, noun: str) -> str:
    """Count a noun: 1 file, 2 files."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


# %% [markdown]
# ### By class


# %%
def _by_class(files: pd.DataFrame, report: dict) -> str:
    score, rows = report["lookup"] or {}, []
    pictures = files.groupby("label")["group"].nunique()
    for label, part in report["per_class"].items():
        seen = [
            f"{score[of][label]:.2f}" if label in score.get(of, {}) else "-" for of in ("twins", "recall")
        ]
        counts = (part["files"], part["distinct"], pictures[label], part["copy_period"] or "-")
        rows.append((label, *counts, *seen))
    total = ("all", report["files"], report["distinct"], files["group"].nunique(), "", "", "")
    columns = ("class", "files", "distinct", "pictures", "period", "twin in training", "look-up recall")
    return (
        '<h2 id="classes">Class by class</h2>'
        f"{_table('Files, and what a look-up makes of them', columns, [*rows, total])}"
        '<p class="muted"><em>Distinct</em> files differ in at least one byte; <em>pictures</em> also count '
        "near-copies once. <em>Period</em>: file number n and number n plus the period are always copies, which "
        "happens when a folder is pasted after itself. <em>Twin in training</em>: share of the test files that have "
        "an identical file in training. <em>Look-up recall</em>: how many of the class are named rightly by a rule "
        "that knows the training files by heart and opens no image.</p>"
    )


def _table(
    caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]], words: Sequence[str] = ()
) -> str:
    """Build a table whose first column names the row; it scrolls by itself on a narrow screen."""
    styles = ["" if name in words else ' class="number"' for name in columns[1:]]
    head = "".join(
        f'<th scope="col"{style}>{html.escape(name)}</th>'
        for name, style in zip(columns, ["", *styles], strict=True)
    )
    body = "".join(
        f'<tr><th scope="row">{html.escape(str(first))}</th>'
        + "".join(
            f"<td{style}>{html.escape(str(cell))}</td>" for cell, style in zip(rest, styles, strict=True)
        )
        + "</tr>"
        for first, *rest in rows
    )
    caption = html.escape(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


# %% [markdown]
# ### Contact sheets

# %%
_WORDS = {
    "conflict": (
        "One picture, two classes",
        "The same picture stands under more than one class. Whatever a model answers, one of the labels calls it "
        "wrong. Settle these by hand before anything is trained.",
    ),
    "near-copy": (
        "Near-copies",
        "Different bytes, the same picture: after the pictures are laid on one another and what all have in common is "
        "taken away, the rest agrees. Look at them; if you find two that are not the same, keep both.",
    ),
    "copy": (
        "Identical files",
        "Equal byte for byte, so one small picture stands for all of the files named below it.",
    ),
}


def _sheet(kind: str, groups: Sequence[pd.DataFrame], total: int, pictures: dict[str, bytes]) -> str:
    """Lay out the groups of one kind; nothing if there are none."""
    if not groups:
        return ""
    title, why = _WORDS[kind]
    more = (
        f" Shown are {len(groups)} of {total}; the table of groups has them all."
        if total > len(groups)
        else ""
    )
    cards = "".join(_card(group, pictures) for group in groups)
    return f'<h2 id="{kind}">{title}</h2><p>{why}{more}</p><ul class="sheet">{cards}</ul>'


def _card(group: pd.DataFrame, pictures: dict[str, bytes]) -> str:
    shown = "".join(_image(file, pictures[file]) for file in _contents(group)["file"] if pictures.get(file))
    facts = [_plural(len(group), "file"), _plural(group["first_copy"].nunique(), "content")]
    labels = group["label"].unique()
    names = group["file"] if len(labels) > 1 else group["file"].str.removeprefix(f"{labels[0]}/")
    return (
        f'<li>{f"""<div class="thumbs">{shown}</div>""" if shown else ""}<p><strong>Group {group["group"].iloc[0]}'
        f"</strong>: {', '.join(facts)}; {html.escape(' and '.join(labels))}</p>{_names(names, SHOWN_FILES)}</li>"
    )


def _image(file: str, jpeg: bytes) -> str:
    with Image.open(BytesIO(jpeg)) as picture:
        size = 'width="{}" height="{}"'.format(*picture.size)
    code = base64.b64encode(jpeg).decode()
    return f'<img src="data:image/jpeg;base64,{code}" {size} alt="{html.escape(file)}, small">'


def _names(files: Iterable[str], most: int) -> str:
    files = list(files)
    items = [html.escape(file) for file in files[:most]]
    items += [f"and {len(files) - most} more"] if len(files) > most else []
    return "<ul>" + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


# %% [markdown]
# ### What the making of the files gives away
# Values are listed with the classes in which they occur, so that the table stays readable with two classes and with a
# hundred.

# %%
_TRAITS = {"sizes": "width x height, pixels", "modes": "colour mode", "encoders": "encoder"}
TELLING = 0.05  # what a property must add to the guess to be called a finding
_VALUES = 12  # of each property
_CLASSES = 5  # of each value


def _best_guess(per_class: dict) -> tuple[float, float]:
    """Give the best guess from one property alone, and the guess without any."""
    guesses = [audit.guess_share({label: part[of] for label, part in per_class.items()}) for of in _TRAITS]
    return max(known for known, _ in guesses), guesses[0][1]


def _traits(per_class: dict) -> str:
    tables = []
    for of, words in _TRAITS.items():
        counts = {label: part[of] for label, part in per_class.items()}
        known, blind = audit.guess_share(counts)
        caption = f"Distinct files by {words}: {_percent(known)} guessed from it, {_percent(blind)} without"
        tables.append(_table(caption, (words, "files", "classes"), _values(counts), ["classes"]))
    return (
        '<h2 id="traits">What the making of the files gives away</h2><p>None of this is in the picture that a person '
        "sees, and a network may still learn it. Where a property guesses the class clearly better than nothing "
        "does, save all files anew in the same way, and ask how the classes were collected. The guess is made on the "
        f"files that it was learned from, so many rare values flatter it.</p>{''.join(tables)}"
    )


def _values(counts: dict[str, dict[str, int]]) -> Iterator[tuple[str, int, str]]:
    """Give each value of a property with the number of files and the classes that have it, the commonest first."""
    total = Counter()  # type: ignore[var-annotated]
    for values in counts.values():
        total.update(values)
    for value, number in total.most_common(_VALUES):
        of = Counter(
            {label: values[value] for label, values in counts.items() if value in values}
        ).most_common()
        more = [f"and {len(of) - _CLASSES} more"] if len(of) > _CLASSES else []
        yield value, number, ", ".join([*(f"{label}: {n}" for label, n in of[:_CLASSES]), *more])
    if len(total) > _VALUES:
        rest = sum(number for _, number in total.most_common()[_VALUES:])
        yield f"{len(total) - _VALUES} other values", rest, ""


def _unreadable(files: Sequence[str]) -> str:
    if not files:
        return ""
    return (
        '<h2 id="unreadable">Unreadable files</h2><p>They are named like images, or begin like one, and cannot be '
        f"decoded: copy them anew, or leave them out.</p>{_names(files, 100)}"
    )


# %% [markdown]
# ### What to do next

# %%
_FOLDS = """import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

files = pd.read_csv("groups.csv").query("readable")
folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(files, files["label"], files["group"])"""


def _next_steps(files: pd.DataFrame) -> str:
    people = (
        "<li><strong>Join what belongs to one person.</strong> A group here is a picture. Two pictures of one patient, "
        "animal or machine are two groups: if you know who is who, join their groups before you split.</li>"
    )
    blind = (
        "<li><strong>Know what was not looked for.</strong> Mirrored, turned or strongly cropped copies, "
        "single frames of one film, and copies in some other data set are not found.</li>"
    )
    ci = (
        "<li><strong>Keep it so.</strong> <code>ecgbook audit DIR --fail-on-leak</code> ends with status 3 "
        "while copies or near-copies are there: let it run whenever the data change.</li>"
    )
    copies = (
        "<li><strong>Keep one file of each picture</strong>, and report how many pictures there are instead of how "
        "many files. <code>--groups groups.csv</code> writes a table with a group number for each file; "
        '<code>files.drop_duplicates("group")</code> keeps the first file of each.</li>'
        "<li><strong>Or split by group.</strong> With that table one line makes "
        f'honest folds:<pre tabindex="0"><code>{html.escape(_FOLDS)}</code></pre></li>'
    )
    settle = (
        "<li><strong>Settle the conflicts first</strong>: a picture under two classes has no right answer.</li>"
        if "conflict" in set(kinds(files))
        else ""
    )
    steps = settle + (copies if leaking(files) else "") + people + ci + blind
    return f'<h2 id="next">What to do next</h2><ol>{steps}</ol>'
