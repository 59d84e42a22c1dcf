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
# # Figures: one house style, and the numbers behind every picture
# A picture cannot be compared by a test the way a number can: two PNG files of the same plot differ from one
# machine to the next. So a figure in this book is published together with the numbers it draws, as a small table
# under the picture that can be opened, read aloud by a screen reader, downloaded as CSV, and compared by the test
# suite character by character. A table is published in the same way.

# %%
"""The house style of plots, and figures published with the numbers they draw."""

from __future__ import annotations

import base64
import hashlib
import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ecgbook.data import CLASSES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

# %% [markdown]
# ## Colours and type
# The four classes always have the same colours. They keep a contrast of at least 3 : 1 on white, stay apart for
# readers with any of the common colour-vision deficiencies, and never carry the meaning alone: a label, a hatch or a
# marker always stands beside the colour. On the site, charts are drawn on white and turned by the style sheet in
# dark mode.

# %%
COLOURS = {"MI": "#c2410c", "History_MI": "#a16207", "Abnormal": "#1d5fa8", "Normal": "#0f766e"}
HATCHES = {"MI": "", "History_MI": "////", "Abnormal": "....", "Normal": "\\\\\\\\"}
MARKERS = {"MI": "o", "History_MI": "s", "Abnormal": "^", "Normal": "D"}
INK = "#22252b"
MUTED = "#5b6470"
ACCENT = "#c2410c"

STYLE = {
    "figure.figsize": (7.2, 3.8),
    "figure.dpi": 110,
    "savefig.dpi": 110,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#d9dce1",
    "grid.linewidth": 0.7,
    "hatch.color": "white",
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


def use() -> None:
    """Switch matplotlib to the house style, for the rest of the session.

    Examples
    --------
    >>> use()
    >>> import matplotlib
    >>> matplotlib.rcParams["figure.constrained_layout.use"]
    True
    """
    import matplotlib

    matplotlib.rcParams.update(STYLE)  # type: ignore[arg-type]


# %% [markdown]
# ## Numbers that travel with the picture
# `Numbers` wraps a frame. Its HTML form is a folded table with a download link (the CSV is inside the link itself,
# so there is no second file to go stale and it works from a disk, offline). Its text form is a digest: shape and the
# first digits of the SHA-256 of the CSV. Floats are rounded once, to `decimals`, and everything else follows from the
# rounded values, so that the digest is the same on another processor.

# %%
ROWS_SHOWN = 40


class Numbers:
    """A frame of plotted or tabulated numbers that displays as an accessible, downloadable table.

    Parameters
    ----------
    frame : DataFrame
        The numbers; its index is not shown.
    name : str
        Name of the download, without suffix.
    decimals : int
        Floats are rounded to this many decimals.
    folded : bool
        Folded under a summary line (below a figure) or open (a table of its own).

    Examples
    --------
    >>> Numbers(pd.DataFrame({"label": ["MI"], "share": [0.8744]}), "shares", decimals=2)
    shares.csv: 1 row x 2 columns, sha256 358ecc8d58d0
    """

    def __init__(self, frame: pd.DataFrame, name: str, decimals: int = 3, folded: bool = True) -> None:
        self.name, self.decimals, self.folded = name, decimals, folded
        floats = frame.select_dtypes("floating").columns
        # + 0.0 turns -0.0, which depends on the order of summation, into 0.0
        self.frame = frame.assign(**{c: frame[c].astype(float).round(decimals) + 0.0 for c in floats})

    def csv(self) -> str:
        """Return the rounded numbers as CSV text."""
        return self.frame.to_csv(index=False, float_format=f"%.{self.decimals}f", lineterminator="\n")

    def _cells(self, column: pd.Series) -> list[str]:
        if pd.api.types.is_float_dtype(column):
            return ["" if pd.isna(v) else f"{v:.{self.decimals}f}" for v in column]
        return ["" if pd.isna(v) else html.escape(str(v)) for v in column]

    def _table(self) -> str:
        shown = self.frame.head(ROWS_SHOWN)
        numeric = [pd.api.types.is_numeric_dtype(shown[c]) for c in shown]
        head = "".join(
            f'<th scope="col"{" class=num" if n else ""}>{html.escape(str(c))}</th>'
            for c, n in zip(shown, numeric, strict=True)
        )
        columns = [self._cells(shown[c]) for c in shown]
        body = "\n".join(
            "<tr>"
            + "".join(
                f"<td{' class=num' if n else ''}>{cell}</td>" for cell, n in zip(row, numeric, strict=True)
            )
            + "</tr>"
            for row in zip(*columns, strict=True)
        )
        label = html.escape(self.name.replace("_", " "))
        return (
            f'<div class="numbers-scroll" tabindex="0" role="region" aria-label="{label}, table">'
            f'<table class="numbers"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
        )

    def _link(self) -> str:
        data = base64.b64encode(self.csv().encode()).decode()
        rows = len(self.frame)
        more = f" (the first {ROWS_SHOWN} of {rows} rows are shown)" if rows > ROWS_SHOWN else ""
        name = html.escape(self.name)
        return f'<p><a download="{name}.csv" href="data:text/csv;base64,{data}">{name}.csv</a>{more}</p>'

    def _repr_html_(self) -> str:
        if self.folded:
            summary = "<summary>Numbers behind this figure</summary>"
            return f'<details class="figure-data">{summary}{self._table()}{self._link()}</details>'
        return f'<div class="table-data">{self._table()}{self._link()}</div>'

    def __repr__(self) -> str:
        rows, columns = self.frame.shape
        digest = hashlib.sha256(self.csv().encode()).hexdigest()[:12]
        plural = "" if rows == 1 else "s"
        return f"{self.name}.csv: {rows} row{plural} x {columns} columns, sha256 {digest}"


def show(figure: Figure, frame: pd.DataFrame, name: str, decimals: int = 3) -> None:
    """Display a figure with the numbers it draws folded underneath, then close it.

    Parameters
    ----------
    figure : matplotlib Figure
    frame : DataFrame
        Every number that the figure draws.
    name : str
        Name of the CSV download, without suffix.
    decimals : int
        Floats are rounded to this many decimals in the published numbers.
    """
    import matplotlib.pyplot as plt
    from IPython.display import display

    display(figure)
    plt.close(figure)
    display(Numbers(frame, name, decimals))


def table(frame: pd.DataFrame, name: str, decimals: int = 3) -> Numbers:
    """Return a frame as a table for the page: right-aligned numbers, a CSV link under it.

    Parameters
    ----------
    frame : DataFrame
    name : str
        Name of the CSV download, without suffix.
    decimals : int
        Decimals of its floats.

    Examples
    --------
    >>> table(pd.DataFrame({"files": [239], "distinct": [30]}), "mi")
    mi.csv: 1 row x 2 columns, sha256 8c34645a63db
    """
    return Numbers(frame, name, decimals, folded=False)


# %% [markdown]
# ## Numbers in sentences
# A metric in the prose is never typed: the code that computes it glues it under a name, already formatted, and the
# sentence refers to the name. The stored text is compared like every other output.


# %%
def glue(name: str, value: object, spec: str = "") -> None:
    """Make a formatted value available to the prose as ``{glue:text}`name` ``.

    Parameters
    ----------
    name : str
    value : object
        A number or a string.
    spec : str
        Format specification, such as ``".3f"`` or ``".0%"``.
    """
    from myst_nb import glue as myst_glue

    myst_glue(name, format(value, spec), display=False)


# %% [markdown]
# ## Plots used in several chapters
# Bars for the four classes; intervals as a dot with whiskers; a confusion matrix with its counts written in, so that
# it can be read without the shading; and ECG paper.


# %%
def class_bars(ax: Axes, values: pd.Series, label: str = "{:g}") -> None:
    """Draw one labelled bar a class, in the order of the classes.

    Parameters
    ----------
    ax : matplotlib Axes
    values : Series
        Indexed by class.
    label : str
        Format of the number written on each bar.
    """
    names = [c for c in CLASSES if c in values.index]
    bars = ax.bar(
        names,
        [values[c] for c in names],
        color=[COLOURS[c] for c in names],
        hatch=[HATCHES[c] for c in names],
        width=0.7,
    )
    ax.bar_label(bars, [label.format(values[c]) for c in names], padding=3)
    ax.margins(y=0.12)


def intervals(ax: Axes, frame: pd.DataFrame, label: str = "{:.2f}") -> None:
    """Draw rows of estimates with their intervals, the first row on top.

    Parameters
    ----------
    ax : matplotlib Axes
    frame : DataFrame
        Columns ``name``, ``estimate``, ``low``, ``high``.
    label : str
        Format of the estimate written beside each interval.
    """
    y = np.arange(len(frame))[::-1]
    ax.hlines(y, frame["low"], frame["high"], color=MUTED, linewidth=2)
    ax.plot(frame["estimate"], y, "o", color=INK, markersize=6)
    for at, estimate in zip(y, frame["estimate"], strict=True):
        ax.annotate(label.format(estimate), (estimate, at), (0, 6), textcoords="offset points", ha="center")
    ax.set_yticks(y, frame["name"])
    ax.set_ylim(-0.6, len(frame) - 0.2)
    ax.grid(axis="x")


def confusion(ax: Axes, counts: np.ndarray, labels: tuple[str, ...] = CLASSES) -> None:
    """Draw a confusion matrix, shaded by share of the true class, counts written in.

    Parameters
    ----------
    ax : matplotlib Axes
    counts : ndarray (k, k)
        Rows are true classes, columns predicted classes.
    labels : tuple of str
    """
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Greys", vmin=0, vmax=1.25)
    for (row, column), n in np.ndenumerate(counts):
        colour = "white" if share[row, column] > 0.6 else INK
        ax.text(column, row, f"{n:g}", ha="center", va="center", color=colour)
    ax.set_xticks(range(len(labels)), labels)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    ax.spines[:].set_visible(False)


# %% [markdown]
# An ECG is drawn as cardiologists read it: 25 mm a second to the right, 10 mm a millivolt upwards, on pink paper with
# a thin line every millimetre and a strong one every five. A small square is 40 ms by 0.1 mV.

# %%
PAPER = "#fffaf8"
PAPER_MINOR = "#f6d9d5"
PAPER_MAJOR = "#e9aaa3"
MM_PER_S = 25.0
MM_PER_MV = 10.0


def ecg_paper(ax: Axes, seconds: tuple[float, float], millivolts: tuple[float, float]) -> None:
    """Turn axes into ECG paper at 25 mm/s and 10 mm/mV, with equal squares.

    Parameters
    ----------
    ax : matplotlib Axes
    seconds, millivolts : (float, float)
        Range shown on the time axis (s) and on the voltage axis (mV).
    """
    ax.set_facecolor(PAPER)
    for step_mm, colour, width in ((1, PAPER_MINOR, 0.5), (5, PAPER_MAJOR, 0.8)):
        t, v = step_mm / MM_PER_S, step_mm / MM_PER_MV
        first_t, first_v = (
            np.ceil(np.round(seconds[0] / t, 6)) * t,
            np.ceil(np.round(millivolts[0] / v, 6)) * v,
        )
        at_t, at_v = np.arange(first_t, seconds[1] + t / 2, t), np.arange(first_v, millivolts[1] + v / 2, v)
        ax.vlines(at_t, *millivolts, color=colour, linewidth=width, zorder=0)
        ax.hlines(at_v, *seconds, color=colour, linewidth=width, zorder=0)
    ax.set_xlim(seconds)
    ax.set_ylim(millivolts)
    ax.set_aspect((1 / MM_PER_S) / (1 / MM_PER_MV))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_xlabel("time (s)")
    ax.set_ylabel("mV")


def picture(image: Image.Image, width: int = 1100) -> Figure:
    """Return a figure that shows an image alone, scaled down to a width, without axes.

    Parameters
    ----------
    image : PIL.Image.Image
        A page, or a part of one.
    width : int
        Pixels; a smaller image is not enlarged.

    Returns
    -------
    matplotlib Figure

    Examples
    --------
    >>> from PIL import Image
    >>> figure = picture(Image.new("RGB", (2200, 1100)))
    >>> [int(side) for side in figure.get_size_inches() * figure.dpi]
    [1100, 550]
    """
    import matplotlib.pyplot as plt

    scaled = image.copy()
    scaled.thumbnail((width, 100 * width))
    figure = plt.figure(figsize=(scaled.width / 110, scaled.height / 110), dpi=110, layout="none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(np.asarray(scaled), interpolation="none")
    ax.set_axis_off()
    return figure
