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
# # Gallery: one ECG as a cardiologist sees it
# An error rate says how often a model fails; an ECG says on what. This module draws one record of the data set on
# ECG paper, in the layout that every hospital prints, and writes the card that belongs under it: what was measured,
# which criteria of infarction are met in which {term}`territory`, and what the models made of it when they had not
# seen it.

# %%
"""Draw one ECG on ECG paper, and write its case card."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ecgbook import cases, data, digitize, figures, measure, study
from ecgbook.evaluate import PROBABILITIES
from ecgbook.synth import COLUMN, LEADS, Record, span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# %% [markdown]
# ## Thirteen traces
# The form shows twelve leads for 2.5 s each, three to a column, and under them one lead for all 10 s, the
# {term}`rhythm strip`. Time runs on from column to column: the four leads of a row are four glances at the same
# 10 s, and the beat above is the beat below in the strip.


# %%
class Trace(NamedTuple):
    """One piece of a lead in the plot.

    Attributes
    ----------
    lead : str
        Name of the lead.
    row, column : int
        Place in the layout, from 0; the rhythm strip is row 3, column 0.
    start : float
        Time of the first sample in the record, s.
    millivolts : (n,) array
        Samples, mV; NaN where nothing is known.
    """

    lead: str
    row: int
    column: int
    start: float
    millivolts: np.ndarray


def _signals(ecg: str | digitize.Reading | Record) -> tuple[np.ndarray, np.ndarray | None, str, float]:
    """Leads (12, n), strip (n,) or None, name of the strip's lead, samples per second."""
    if isinstance(ecg, str):
        ecg = digitize.load(ecg)
    if isinstance(ecg, digitize.Reading):
        return ecg.leads, ecg.strip, ecg.rhythm, ecg.fs
    strip = ecg.leads[LEADS.index(ecg.rhythm)] if ecg.rhythm in LEADS else None
    return ecg.leads, strip, ecg.rhythm, ecg.fs


def traces(ecg: str | digitize.Reading | Record) -> list[Trace]:
    """Pieces of an ECG in the order in which they are read: column by column, then the strip.

    Parameters
    ----------
    ecg : str, Reading or Record
        A published file name, whose carried signals are taken, or signals of 10 s.

    Returns
    -------
    list of Trace
        Twelve leads, and the rhythm strip where there is one.

    Raises
    ------
    EcgbookError
        If there is no page of that name.

    Examples
    --------
    >>> found = traces("PMI(12).jpg")
    >>> [trace.lead for trace in found[:4]], found[7].start, found[-1].millivolts.shape
    (['I', 'II', 'III', 'aVR'], 5.0, (2500,))
    """
    leads, strip, rhythm, fs = _signals(ecg)
    found = [
        Trace(lead, i % 3, i // 3, i // 3 * COLUMN, leads[i, span(lead, fs)]) for i, lead in enumerate(LEADS)
    ]
    return found if strip is None else [*found, Trace(rhythm, 3, 0, 0.0, strip)]


def numbers(ecg: str | digitize.Reading | Record) -> pd.DataFrame:
    """What the plot draws, one row a trace, in place of its ten thousand samples.

    Parameters
    ----------
    ecg : str, Reading or Record
        As for :func:`traces`.

    Returns
    -------
    DataFrame
        ``lead``, ``from s``, ``to s``, ``known`` (samples), ``lowest mV``, ``highest mV``, and ``sha256``, the first
        digits of the hash of the samples in whole microvolts: another sample makes another table.

    Examples
    --------
    >>> numbers("PMI(12).jpg").loc[12, ["lead", "known"]].tolist() == ["III", 2500]
    True
    """
    fs = _signals(ecg)[-1]
    rows = []
    for trace in traces(ecg):
        known = trace.millivolts[np.isfinite(trace.millivolts)].astype(float)
        low, high = (known.min(), known.max()) if known.size else (np.nan, np.nan)
        whole = np.where(np.isfinite(trace.millivolts), 1000 * trace.millivolts.astype(float), -32768)
        digest = hashlib.sha256(np.round(whole).astype("<i4").tobytes()).hexdigest()[:8]
        end = trace.start + len(trace.millivolts) / fs
        rows.append((trace.lead, trace.start, end, known.size, low, high, digest))
    columns = ["lead", "from s", "to s", "known", "lowest mV", "highest mV", "sha256"]
    return pd.DataFrame(rows, columns=columns)


# %% [markdown]
# ## ECG paper, to scale
# The whole picture is one sheet of millimetre paper: 25 mm to the second, 10 mm to the millivolt, and the same
# number of pixels to a millimetre both ways, so that a slope looks as steep as on a print. Rows stand as far apart
# as their waves need, on strong lines: nothing is cut off and no row runs into the next. A sample that is not
# known leaves a gap; no line is drawn across it.

# %%
PX_MM = 5  # pixels to a millimetre
_MARGIN, _PULSE = 5.0, 10.0  # mm: rim of the sheet; what the calibration pulse takes at the left of a row
_NAME = 4.0  # mm: height of a lead's name
_PIXEL = 72 / (25.4 * PX_MM)  # points
_FONT = 7.2  # points; 1 point = 1/72 inch = 0.35 mm


def _name_height(trace: Trace, fs: float) -> float:
    """Height (mm above the baseline) at which a lead's name clears the first 0.3 s of its trace."""
    start = trace.millivolts[: round(0.3 * fs)]
    known = start[np.isfinite(start)]
    return figures.MM_PER_MV * max(float(known.max()) if known.size else 0.0, 0.0) + 1.5


def _extent(row: list[Trace], fs: float) -> tuple[float, float]:
    """How far a row reaches below and above its baseline, mm; at least the calibration pulse."""
    known = [t.millivolts[np.isfinite(t.millivolts)] for t in row]
    values = np.concatenate([[0.0, 1.0], *known]) * figures.MM_PER_MV
    names = max(_name_height(t, fs) + _NAME for t in row)
    return float(-values.min()), float(max(values.max(), names))


def _baselines(rows: list[list[Trace]], fs: float) -> tuple[list[float], float]:
    """Height of each row's 0 mV above the foot of the sheet, on strong lines, and height of the sheet; mm."""
    at, up = [], _MARGIN + 2.0  # room for the line at the foot
    for row in reversed(rows):
        below, above = _extent(row, fs)
        at.append(5 * np.ceil((up + below) / 5))
        up = at[-1] + above + 2.0
    return at[::-1], 5 * float(np.ceil((up + _MARGIN / 2) / 5))


def _pulse(ax: Axes, base: float) -> None:
    """Draw the calibration pulse: 1 mV for 0.2 s, which makes 10 by 5 mm."""
    x = np.array([1.0, 2.5, 2.5, 7.5, 7.5, 9.0]) + _MARGIN - 1
    y = np.array([0, 0, 10, 10, 0, 0]) + base
    ax.plot(x / figures.MM_PER_S, y / figures.MM_PER_MV, color=figures.INK, linewidth=0.9)


def _draw_trace(ax: Axes, trace: Trace, base: float, fs: float) -> None:
    left = (_MARGIN + _PULSE) / figures.MM_PER_S
    t = left + trace.column * COLUMN + np.arange(len(trace.millivolts)) / fs
    level = base / figures.MM_PER_MV
    ax.plot(t, trace.millivolts + level, color=figures.INK, linewidth=0.9)
    if trace.column:  # where one lead ends and the next begins
        ax.plot([t[0]] * 2, [level - 0.25, level + 0.25], color=figures.INK, linewidth=0.8)
    up = _name_height(trace, fs) / figures.MM_PER_MV
    box = {"facecolor": figures.PAPER, "edgecolor": "none", "pad": 0.6}
    ax.text(t[0] + 0.03, level + up, trace.lead, fontsize=_FONT, fontweight="bold", bbox=box, va="bottom")


def _sheet(seconds: float, millivolts: float) -> tuple[Figure, Axes]:
    """Return a figure that is nothing but ECG paper, true to scale at its own resolution."""
    import matplotlib.pyplot as plt

    mm = (seconds * figures.MM_PER_S, millivolts * figures.MM_PER_MV)
    figure = plt.figure(figsize=(mm[0] / 25.4, mm[1] / 25.4), dpi=25.4 * PX_MM, layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    figures.ecg_paper(ax, (0, seconds), (0, millivolts))
    figure.set_facecolor(figures.PAPER)
    for lines in ax.collections:  # one pixel wide, on whole pixels: sharp, and a smaller picture
        lines.set(antialiased=False, snap=True, linewidth=_PIXEL)
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
    return figure, ax


def twelve_leads(ecg: str | digitize.Reading | Record, title: str = "") -> Figure:
    """Draw an ECG on ECG paper: three rows of four leads, 2.5 s each, and the rhythm strip.

    Parameters
    ----------
    ecg : str, Reading or Record
        A published file name, whose carried signals are drawn, or signals of 10 s.
    title : str
        Name at the foot of the sheet; by default the file name, if one was given.

    Returns
    -------
    matplotlib Figure
        25 mm/s and 10 mm/mV at 5 pixels to the millimetre both ways.

    Raises
    ------
    EcgbookError
        If there is no page of that name.

    See Also
    --------
    ecgbook.draw.draw_page : the same record as a page of the data set's own form.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> width, height = twelve_leads("PMI(12).jpg").get_size_inches() * 25.4
    >>> round(float(width))  # mm: 10 s and the margins
    270
    """
    fs = _signals(ecg)[-1]
    found = traces(ecg)
    rows = [[t for t in found if t.row == row] for row in sorted({t.row for t in found})]
    bases, height = _baselines(rows, fs)
    seconds = 10 + (2 * _MARGIN + _PULSE) / figures.MM_PER_S
    figure, ax = _sheet(seconds, height / figures.MM_PER_MV)
    for row, base in zip(rows, bases, strict=True):
        _pulse(ax, base)
        for trace in row:
            _draw_trace(ax, trace, base, fs)
    name = title or (ecg.removesuffix(".jpg") if isinstance(ecg, str) else "")
    foot = " · ".join([*filter(None, [name]), "25 mm/s", "10 mm/mV", "redrawn from its digitised signal"])
    ax.text(_MARGIN / 25, 0.2, foot, fontsize=_FONT - 0.6, color=figures.MUTED, va="center")
    return figure


# %% [markdown]
# A picture in few colours takes a quarter of the bytes of a full-colour one, and a gallery holds many. Sixty-four
# are plenty for ink, two pinks and what lies between.


# %%
def png(figure: Figure, colours: int = 64) -> bytes:
    """Encode a figure as PNG at its own resolution, with a palette.

    Parameters
    ----------
    figure : matplotlib Figure
        Closed afterwards.
    colours : int
        Size of the palette, at most 256.

    Returns
    -------
    bytes
        The PNG file.
    """
    import matplotlib.pyplot as plt
    from PIL import Image

    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    plt.close(figure)
    out = BytesIO()
    Image.fromarray(pixels).quantize(colours, dither=Image.Dither.NONE).save(out, "png", optimize=True)
    return out.getvalue()


def show(file: str) -> None:
    """Display the plot of a carried ECG with the table of its traces folded underneath.

    Parameters
    ----------
    file : str
        A published file name.

    See Also
    --------
    ecgbook.figures.show : the same for charts.
    """
    from IPython.display import Image, display

    display(Image(png(twelve_leads(file))))
    display(figures.Numbers(numbers(file), f"traces_{cases.anchor(file)}", decimals=2))


# %% [markdown]
# ## The case card
# Under the plot stands what a reader would measure first, then the criteria, then the models. The highest and the
# lowest {term}`ST segment` are taken over all leads but aVR, which looks at the heart from the other side and shows
# everything upside down. Every model is quoted by its mean probability over the repeats, out of fold, and by how many
# of them missed the label of the folder.


# %%
def shown_models(results: Path = study.RESULTS) -> dict[str, str]:
    """Name the runs that the gallery quotes: the headline, and the page network and hybrid of :func:`cases.best`.

    Examples
    --------
    >>> shown_models()["headline"]
    'grouped-headline'
    """
    return {
        "headline": cases.HEADLINE,
        "page network": cases.best("network", results),
        "hybrid": cases.best("hybrid", results),
    }


_UNKNOWN = "not measured"


def _number(value: float, unit: str, spec: str = ".0f") -> str:
    return f"{value:{spec}} {unit}" if np.isfinite(value) else _UNKNOWN


def _st(row: pd.Series) -> list[tuple[str, str]]:
    """Highest and lowest level at the J point over all leads but aVR, and the leads that have none."""
    level = pd.Series({lead: row[f"{lead}_stj_mv"] for lead in LEADS}, dtype=float)
    gone = ", ".join(level.index[level.isna()])
    level = level.drop("aVR").dropna().round(2) + 0.0  # + 0.0: no -0.00
    rows = (
        [
            (f"{word} ST at the J point", f"{level[lead]:+.2f} mV in {lead}")
            for word, lead in (("highest", level.idxmax()), ("lowest", level.idxmin()))
        ]
        if len(level)
        else [("ST at the J point", _UNKNOWN)]
    )
    return [*rows, ("leads not measured", gone)] if gone else rows


def _leads(shown: pd.Series) -> str:
    return ", ".join(shown.index[shown == 1]) or "none"


def measured(file: str) -> pd.DataFrame:
    """List the measurements of one ECG that a reader asks for first.

    Parameters
    ----------
    file : str
        Name of a distinct page.

    Returns
    -------
    DataFrame
        Columns ``what`` and ``found``, both text.

    Raises
    ------
    EcgbookError
        If the file is no distinct page.

    Examples
    --------
    >>> measured("PMI(16).jpg").iloc[0].tolist()
    ['heart rate', '97 /min']
    """
    cases._must_be_known([file])
    row = measure.measurements().set_index("file").loc[file]
    return facts(row, data.pages().set_index("file").loc[file, "sex"])


def facts(row: pd.Series, sex: str) -> pd.DataFrame:
    """List the same of the measurements of any ECG.

    Parameters
    ----------
    row : pandas.Series
        What :func:`ecgbook.measure.measure` found.
    sex : str
        As printed: "Male", "Female" or "".

    Returns
    -------
    DataFrame
        As for :func:`measured`.
    """
    met, signs = cases.criteria_of(row, sex), cases.leads_with(row, sex)
    rows = [
        ("heart rate", _number(row["heart_rate"], "/min")),
        ("PR interval", _number(row["pr_ms"], "ms") if row["p_seen"] else "no P wave seen"),
        ("QRS duration", _number(row["qrs_ms"], "ms")),
        ("QTc (Bazett)", _number(row["qtc_bazett_ms"], "ms")),
        ("frontal axis", _number(row["axis_deg"], "degrees")),
        *_st(row),
        ("leads with a pathological Q", _leads(signs["q"].drop(["aVR", "V1"]))),
        ("leads with an inverted T", _leads(signs["t_inverted"].drop("aVR"))),
        (
            "criteria met",
            "; ".join(f"{m.sign} {m.territory} ({m.leads})" for m in met.itertuples()) or "none",
        ),
    ]
    return pd.DataFrame(rows, columns=["what", "found"])


def said(file: str, results: Path = study.RESULTS) -> pd.DataFrame:
    """List what the rules and the models made of one ECG.

    Parameters
    ----------
    file : str
        Name of a distinct page.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    DataFrame
        Columns ``what`` and ``found``, both text: the folder's label, the class that the rules without learning
        call, and for each model of :func:`shown_models` the mean out-of-fold probabilities and the repeats that
        missed the label.

    Raises
    ------
    EcgbookError
        If the file is no distinct page.
    """
    doubt = cases.doubts(results=results).set_index("file")
    if file not in doubt.index:
        raise data.EcgbookError(f"{file}: is none of the distinct ECGs; take a file of ecgbook.data.pages()")
    rows = [("folder", doubt.loc[file, "label"]), ("rules call", doubt.loc[file, "criteria_call"])]
    for name, run in shown_models(results).items():
        at = cases.verdicts([file], run, results).iloc[0]
        likely = ", ".join(f"{column.removeprefix('p_')} {at[column]:.2f}" for column in PROBABILITIES)
        missed = f"missed {round(at['missed'] * at['repeats'])} of {at['repeats']}"
        rows.append(
            (
                f"{name} ({run.removeprefix('grouped-')})" if name != "headline" else name,
                f"{likely}; {missed}",
            )
        )
    return pd.DataFrame(rows, columns=["what", "found"])


def card(file: str, results: Path = study.RESULTS) -> figures.Numbers:
    """Return the case card of one ECG: what was measured, then what was said of it.

    Parameters
    ----------
    file : str
        Name of a distinct page.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    Numbers
        A table for the page; its ``frame`` has the columns ``what`` and ``found``.

    Raises
    ------
    EcgbookError
        If the file is no distinct page.

    Examples
    --------
    >>> card("PMI(16).jpg").frame["what"].iloc[-5:-2].tolist()
    ['folder', 'rules call', 'headline']
    """
    rows = pd.concat([measured(file), said(file, results)], ignore_index=True)
    return figures.table(rows, f"card_{cases.anchor(file)}")


# %% [markdown]
# ## The overview
# One row for each case, with a link to its place in the chapter.


# %%
def overview(files: list[str], results: Path = study.RESULTS) -> pd.DataFrame:
    """List the cases of the gallery, what was called, how often they were missed, and which labels are doubted.

    Parameters
    ----------
    files : list of str
        Names of distinct pages.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    DataFrame
        ``case`` (a link in MyST markdown), ``folder``, ``called`` (the headline's most probable class on average),
        ``calls`` (class and number of repeats), ``missed`` (such as "5 of 5"), ``rules call`` and ``label doubt``
        ("yes" or "").

    Examples
    --------
    >>> overview(["PMI(16).jpg"]).iloc[0, :3].tolist()
    ['[PMI(16)](case-pmi-16)', 'History_MI', 'Abnormal']
    """
    said = cases.verdicts(files, results=results)
    doubt = cases.doubts(results=results).set_index("file").loc[files]
    return pd.DataFrame(
        {
            "case": [cases.link(file) for file in files],
            "folder": said["label"],
            "called": said["called"],
            "calls": said["calls"],
            "missed": [
                f"{round(m * n)} of {n}" for m, n in zip(said["missed"], said["repeats"], strict=True)
            ],
            "rules call": doubt["criteria_call"].to_numpy(),
            "label doubt": np.where(doubt["doubt"], "yes", ""),
        }
    )
