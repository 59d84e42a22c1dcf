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
# # Printed: reading what stands on a page
# Every page says more than its curves: a line above the grid names an exam and a sex, a line below it gives
# the heart rate, warns of a loose electrode and dates the recording. One program printed all pages with one
# bitmap font, so no text-recognition engine is needed: cut a line where a column of pixels is blank, and look
# each piece up in a table. A piece that is not in the table is not guessed: it reads `?`, and the field it
# belongs to is missing.

# %%
"""Read the printed fields of a page: exam group, heart rate, sex, year, lead-off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from ecgbook import data

# %% [markdown]
# ## From pixels to ink
# Two bands of rows hold all we want. Text is black on white, and halfway between the two the noise of JPEG
# has no say: thresholded there, a letter has the same pixels on every page. On one page the rhythm strip runs
# off the grid into the footer. A stroke that comes in from above and ends higher than any character does is
# such a trace, and is wiped away; one that runs into a character is left alone, for then neither can be told
# from the other.

# %%
LINES = {"header": (70, 102), "footer": (1536, 1572)}  # rows of the page, top and bottom

_DARK = 128  # grey level below which a pixel is ink
_HIGH = 10  # rows: every character reaches lower than this in its band
_SPACE = 9  # columns: blanks within a word are at most 6 wide, between words at least 11


def line_ink(page: Image.Image, line: str) -> np.ndarray:
    """Cut one line of text from a page.

    Parameters
    ----------
    page : PIL.Image.Image
        A whole page, 2213 x 1572 pixels, in any mode.
    line : str
        ``"header"`` or ``"footer"``, a key of :data:`LINES`.

    Returns
    -------
    numpy.ndarray of bool, shape (rows, 2213)
        True where there is ink.

    Examples
    --------
    >>> line_ink(Image.new("RGB", (2213, 1572), "white"), "footer").any()
    np.False_
    """
    top, bottom = LINES[line]
    ink = np.asarray(page.crop((0, top, page.width, bottom)).convert("L")) < _DARK
    strokes, _ = ndimage.label(ink, np.ones((3, 3)))
    for number, (rows, _columns) in enumerate(ndimage.find_objects(strokes), start=1):
        if rows.start == 0 and rows.stop <= _HIGH:
            ink[strokes == number] = False
    return ink


# %% [markdown]
# ## From ink to text
# A *glyph* is a run of columns with ink, between two blank ones; its *profile* is the count of inked pixels
# in each of its columns. Profiles are no pictures, yet no two shapes of this font share one, so a table from
# profile to text reads the page. Where the printer set two characters so tightly that no blank column parts
# them (`74`, `7:`), the pair is one glyph with two characters. Header and footer are set in two sizes: each
# has its own table.

# %%
Profile = tuple[int, ...]


def cut(ink: np.ndarray) -> Iterator[tuple[int, int, Profile]]:
    """Cut a line into glyphs at its blank columns.

    Parameters
    ----------
    ink : numpy.ndarray of bool, shape (rows, columns)
        A line of text, as from :func:`line_ink`.

    Yields
    ------
    tuple of (int, int, tuple of int)
        First column, column after the last, and profile (inked pixels in each column), from left to right.

    Examples
    --------
    >>> ink = np.array([[1, 1, 0, 1], [0, 1, 0, 1]], dtype=bool)
    >>> list(cut(ink))
    [(0, 2, (1, 2)), (3, 4, (2,))]
    """
    heights = ink.sum(axis=0)
    edges = np.flatnonzero(np.diff(heights > 0, prepend=False, append=False))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield start, stop, tuple(heights[start:stop].tolist())


def read_line(ink: np.ndarray, glyphs: dict[Profile, str]) -> str:
    """Read a line of text by looking its glyphs up.

    Parameters
    ----------
    ink : numpy.ndarray of bool, shape (rows, columns)
        A line of text, as from :func:`line_ink`.
    glyphs : dict
        Text of each known profile.

    Returns
    -------
    str
        The text, a blank wherever words stand apart, ``?`` for each glyph that is not known.

    Examples
    --------
    >>> ink = np.array([[1, 1, 0, 1] + [0] * 9 + [1, 0, 1], [0, 1, 0, 1] + [0] * 9 + [1, 0, 0]], dtype=bool)
    >>> read_line(ink, {(1, 2): "a", (2,): "l"})
    'al l?'
    """
    text, end = "", None
    for start, stop, profile in cut(ink):
        blank = " " if end is not None and start - end >= _SPACE else ""
        text += blank + glyphs.get(profile, "?")
        end = stop
    return text


@lru_cache(maxsize=1)
def alphabet() -> dict[str, dict[Profile, str]]:
    """Load the carried table of glyphs, ``glyphs.csv``.

    Returns
    -------
    dict
        For each line of :data:`LINES`, the text of each known profile.

    Examples
    --------
    >>> "74" in alphabet()["footer"].values()
    True
    """
    table = pd.read_csv(data.tables() / "glyphs.csv", dtype=str, keep_default_na=False)
    known: dict[str, dict[Profile, str]] = {line: {} for line in LINES}
    for row in table.itertuples():
        known[row.line][tuple(map(int, row.profile.split()))] = row.text
    return known


# %% [markdown]
# ## From text to fields
# Two sentences with holes. The header begins `ID : ... Years ... Male` (the age before *Years* is left blank
# on every page). The footer holds the filter, the speed, the gain, perhaps `Lead Off`, the heart rate after a
# heart, the device, the date and the time; the pages of 2019 print the day first, those of 2020 the year
# first. A field counts as read only if what stands on both sides of it was read too.

# %%
_EXAM = re.compile(r"^ID : (\d+) Years ")
_SEX = re.compile(r" Years (Male|Female) ")
_RATE = re.compile(r"1r ♥(\d+) SE")
_LEAD = re.compile(r"mm/mV (Lead Off )?4")
_DATES = (
    re.compile(r" (?P<year>\d{4})-(?P<month>\d\d)-\d\d "),
    re.compile(r" \d\d-(?P<month>\d\d)-(?P<year>\d{4}) "),
)
_BATCHES = {(2020, 8): "2020a", (2020, 10): "2020b"}


@dataclass(frozen=True)
class Printed:
    """What one page says in print; a field that could not be read is None.

    Parameters
    ----------
    exam_id : str or None
        The exam ID: to be compared in memory, never written, hence absent from the representation.
    heart_rate : int or None
        Heart rate, in beats a minute.
    sex : str or None
        ``"Male"`` or ``"Female"``; it may be the machine's default.
    year, month : int or None
        Date of the recording, no finer than this.
    lead_off : bool or None
        Whether the page warns of a loose electrode.
    """

    exam_id: str | None = field(default=None, repr=False)
    heart_rate: int | None = None
    sex: str | None = None
    year: int | None = None
    month: int | None = None
    lead_off: bool | None = None

    @property
    def batch(self) -> str | None:
        """The scan batch: "2019", "2020a" (August), "2020b" (October), or None."""
        return "2019" if self.year == 2019 else _BATCHES.get((self.year, self.month))  # type: ignore[arg-type]


def parse(header: str, footer: str) -> Printed:
    """Find the fields in the two lines of text.

    Parameters
    ----------
    header, footer : str
        The lines, as from :func:`read_line`.

    Returns
    -------
    Printed
        The fields; None for each that cannot be told.

    Examples
    --------
    >>> parse("ID : 12 Years Female cm kg", "10mm/mV 4*2.5s+1r ♥74 SE-3 V1.0 2020-08-?1 07:30:00 AM")
    Printed(heart_rate=74, sex='Female', year=None, month=None, lead_off=False)
    """
    exam, sex = _EXAM.search(header), _SEX.search(header)
    rate, lead = _RATE.search(footer), _LEAD.search(footer)
    date = next(filter(None, (pattern.search(footer) for pattern in _DATES)), None)
    return Printed(
        exam_id=exam and exam[1],
        heart_rate=rate and int(rate[1]),
        sex=sex and sex[1],
        year=date and int(date["year"]),
        month=date and int(date["month"]),
        lead_off=lead and lead[1] is not None,
    )


def read(page: Image.Image) -> Printed:
    """Read the printed fields of one page.

    Parameters
    ----------
    page : PIL.Image.Image
        A page as published, 2213 x 1572 pixels, in any mode.

    Returns
    -------
    Printed
        The fields; None for each that could not be read. A page of another size or print reads as all None.

    Examples
    --------
    >>> read(Image.new("RGB", (2213, 1572), "white"))
    Printed(heart_rate=None, sex=None, year=None, month=None, lead_off=None)
    """
    header, footer = (read_line(line_ink(page, line), alphabet()[line]) for line in LINES)
    return parse(header, footer)


# %% [markdown]
# ## A whole data set
# The exam ID serves one purpose, to tell which pages share it. So it is turned into a *group* number, counted
# by first appearance, inside the function that reads the pages; the ID itself goes no further. It is no
# patient number: people recorded one after another can share it.


# %%
def read_tree(frame: pd.DataFrame, open_page: Callable[[str], Image.Image]) -> pd.DataFrame:
    """Read every distinct page of a data set.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row a file; only its column ``first_copy`` is used.
    open_page : callable
        From the name of a file to its page, for instance :func:`ecgbook.data.open_page`.

    Returns
    -------
    pandas.DataFrame
        One row for each distinct file, in the order of ``frame``: ``file``, ``group`` (from 1, by first
        appearance), ``heart_rate`` (beats a minute), ``sex``, ``year``, ``lead_off``, ``batch``; missing
        where not readable.

    Examples
    --------
    >>> blank = Image.new("L", (2213, 1572), 255)
    >>> read_tree(pd.DataFrame({"first_copy": ["a.jpg", "a.jpg"]}), lambda name: blank)
        file  group  heart_rate   sex  year  lead_off batch
    0  a.jpg   <NA>        <NA>  None  <NA>      <NA>  None
    """
    groups: dict[str, int] = {}
    rows = []
    for file in frame["first_copy"].unique():
        page = read(open_page(file))
        group = page.exam_id and groups.setdefault(page.exam_id, len(groups) + 1)
        rows.append((file, group, page.heart_rate, page.sex, page.year, page.lead_off, page.batch))
    types = {"group": "Int64", "heart_rate": "Int64", "year": "Int64", "lead_off": "boolean"}
    return pd.DataFrame(rows, columns=["file", *data.PRINTED]).astype(types)


# %% [markdown]
# ## How the table of glyphs is made, and mended
# List the distinct shapes on all pages, with how often each was seen and where; look at each place once;
# write what stands there into the column `text` of `glyphs.csv`. On the 491 pages there are 39 shapes in the
# header and 49 in the footer, and no others but three where a trace crosses a character. Pages of another
# printer start the same way: with a list of shapes all read as `?`.


# %%
def shapes(frame: pd.DataFrame, open_page: Callable[[str], Image.Image]) -> pd.DataFrame:
    """List the distinct glyphs printed on the pages of a data set.

    Parameters
    ----------
    frame, open_page
        As for :func:`read_tree`.

    Returns
    -------
    pandas.DataFrame
        One row for each line and profile: ``line``, ``text`` (``?`` if not yet known), ``profile`` (counts
        parted by blanks, as in ``glyphs.csv``), ``seen`` (how often), and the first place to look at:
        ``file`` and the columns of the page ``start`` and ``stop``.

    Examples
    --------
    >>> blank = Image.new("L", (2213, 1572), 255)
    >>> len(shapes(pd.DataFrame({"first_copy": ["a.jpg"]}), lambda name: blank))
    0
    """
    places: dict[tuple[str, Profile], list] = {}
    for file in frame["first_copy"].unique():
        page = open_page(file)
        for line in LINES:
            for start, stop, profile in cut(line_ink(page, line)):
                places.setdefault((line, profile), []).append((file, start, stop))
    rows = [
        (line, alphabet()[line].get(profile, "?"), " ".join(map(str, profile)), len(seen), *seen[0])
        for (line, profile), seen in places.items()
    ]
    return pd.DataFrame(rows, columns=["line", "text", "profile", "seen", "file", "start", "stop"])


# %% [markdown]
# ## Held against the eye
# A reader that looks shapes up should still be checked by one that sees. `printed_truth.csv` holds what was
# read by eye, from enlarged crops and before the two were compared, on 91 pages chosen to be unlike each
# other: all classes, the batch of 2019, lead-off, female, pairs that share an exam ID, and the page whose
# trace crosses the footer. A missing field counts as wrong.


# %%
def truth() -> pd.DataFrame:
    """Load what was read by eye on 91 pages.

    Returns
    -------
    pandas.DataFrame
        ``file``, ``group`` (numbered as in the manifest), ``heart_rate``, ``sex``, ``year``, ``lead_off``.

    Examples
    --------
    >>> len(truth()) >= 60
    True
    """
    return pd.read_csv(data.tables() / "printed_truth.csv")


_FIELDS = ["heart_rate", "sex", "year", "lead_off"]


def agreement(found: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Count the fields on which a reading agrees with the truth.

    A page's group is right when the page shares its group with just the same pages of the truth: the numbers
    themselves depend on which pages were read before.

    Parameters
    ----------
    found : pandas.DataFrame
        A reading, as from :func:`read_tree`, of at least the files of ``truth``.
    truth : pandas.DataFrame
        As from :func:`truth`.

    Returns
    -------
    pandas.DataFrame
        Indexed by field: ``right`` and ``read``, numbers of pages.

    Examples
    --------
    >>> known = truth()
    >>> wrong = known.assign(heart_rate=known["heart_rate"].where(known.index > 0))
    >>> agreement(wrong, known).eval("read - right").to_dict()
    {'group': 0, 'heart_rate': 1, 'sex': 0, 'year': 0, 'lead_off': 0}
    """
    found = found.set_index("file").loc[truth["file"]].reset_index().convert_dtypes()
    right = {name: found[name].eq(truth[name]).fillna(False).sum() for name in _FIELDS}
    ours, theirs = (pd.factorize(frame["group"])[0] for frame in (found, truth))
    same = (ours[:, None] == ours) == (theirs[:, None] == theirs)
    right = {"group": (same.all(axis=1) & (ours >= 0)).sum(), **right}
    return pd.DataFrame({"right": right, "read": len(truth)}).astype(int)
