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
# # Drawing a record as a page
# Turning signals into a page is the easy direction of the problem that the signal part of this book solves.
# We draw any record, synthetic or digitised, in the layout of the EICP pages, and hand back beside the
# picture what was drawn where: the answer key for every program that reads pages. Nothing on our pages can be
# taken for a person's ECG: there is no exam number, no date, and a line says where the signals come from.

# %%
"""Draw a record as a page in the EICP layout, with the true signals beside it."""

from functools import lru_cache
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ecgbook.synth import COLUMN, LEADS, Record, span

# %% [markdown]
# ## The layout
# Measured on the real pages, in pixels of the full 2213 x 1572 page; the centre of the top left pixel is (0,
# 0). The traces are drawn at 200 dots per inch: 25 mm/s and 10 mm/mV make 196.85 px/s and 78.74 px/mV. The
# printed grid is 0.9 % wider than that (39.72 px for 5 mm instead of 39.37); we copy this, because a program
# that takes its scale from the grid should meet the same error here.

# %%
WIDTH, HEIGHT = 2213, 1572
PX_MM = 200 / 25.4
PX_SECOND, PX_MV = 25 * PX_MM, 10 * PX_MM
LEFT = 152.0  # x of time 0 in the first column and in the rhythm strip
BASELINES = (463.0, 764.0, 1065.0, 1366.0)  # y of 0 mV: three rows, then the rhythm strip
FRAME = (68, 283, 2176, 1517)  # the pink frame: its outermost pixels
SEPARATOR = (420, 1108)  # y of the black lines between columns
PEN = 3.8  # width of the trace, px
GRID_ORIGIN, GRID_PITCH = (65.76, 283.91), (39.722, 39.728)  # 5 mm lines

_PINK, _DOT, _INK = (240, 165, 172), (225, 12, 12), (3, 3, 3)


class Trace(NamedTuple):
    """One piece of a lead on a page.

    Attributes
    ----------
    lead : str
        Name of the lead.
    start : float
        Time of its first sample in the record, s.
    fs : float
        Samples per second.
    samples : (n,) float32 array
        Millivolts as drawn: clipped where the trace would leave the frame, NaN where nothing was drawn.
    x0, y0 : float
        Pixel of the first sample at 0 mV: sample ``i`` lies at ``x0 + i * PX_SECOND / fs`` and
        ``y0 - samples[i] * PX_MV``.
    """

    lead: str
    start: float
    fs: float
    samples: np.ndarray
    x0: float
    y0: float


def layout(record: Record) -> tuple[Trace, ...]:
    """Where each piece of a record goes on the page.

    Parameters
    ----------
    record : Record
        A record of 10 s; NaN leaves a gap.

    Returns
    -------
    tuple of Trace
        The twelve leads in the order of ``LEADS``, then the rhythm strip.

    Examples
    --------
    >>> from ecgbook import synth
    >>> traces = layout(synth.record("Normal", 0))
    >>> len(traces), traces[7].lead, traces[7].start, round(traces[7].x0, 1), traces[7].y0
    (13, 'V2', 5.0, 1136.3, 764.0)
    """
    top, bottom = FRAME[1] + 4 + PEN / 2, FRAME[3] - 3 - PEN / 2
    pieces = [(lead, span(lead, record.fs), BASELINES[i % 3], i // 3) for i, lead in enumerate(LEADS)]
    pieces.append((record.rhythm, slice(0, record.leads.shape[1]), BASELINES[3], 0))
    traces = []
    for lead, shown, y0, column in pieces:
        samples = record.leads[LEADS.index(lead), shown].astype(np.float32)
        samples = np.clip(samples, (y0 - bottom) / PX_MV, (y0 - top) / PX_MV)
        start = column * COLUMN
        traces.append(Trace(lead, start, record.fs, samples, LEFT + start * PX_SECOND, y0))
    return tuple(traces)


# %% [markdown]
# ## The empty form
# Frame, grid, separators, calibration pulses (1 mV high) and the words of the header and footer are the same
# on every page: drawn once and kept. The grid is made of single red dots: one every millimetre, one every
# half millimetre along the 5 mm lines. The first dots after a 5 mm line are missing, as they are on the real
# pages.


# %%
def _font(size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)  # type: ignore[return-value]  # comes with Pillow: the same letters on every machine


def _draw_grid(page: np.ndarray) -> None:
    """Dots of the grid on an (h, w, 3) page, in place."""
    left, top, right, bottom = FRAME
    x5 = np.round(GRID_ORIGIN[0] + GRID_PITCH[0] * np.arange(1, 54)).astype(int)
    y5 = np.round(GRID_ORIGIN[1] + GRID_PITCH[1] * np.arange(1, 32)).astype(int)
    steps = np.arange(9)  # half millimetres before the 5 mm line to the right or below, on which they hang
    dots = np.zeros(page.shape[:2], bool)
    dots[np.ix_(np.subtract.outer(y5, 4 * steps).ravel(), x5)] = True
    dots[np.ix_(y5, np.subtract.outer(x5, 4 * np.r_[steps[:8], 9]).ravel())] = True
    for row in (8, 16, 24, 32):
        for column in (8, 16, 24, 32) if row == 32 else (8, 16, 24):
            dots[np.ix_(y5 - row, x5 - column)] = True
    dots[: top + 4] = dots[bottom - 2 :] = False
    dots[:, : left + 3] = dots[:, right - 3 :] = False
    page[dots] = _DOT


def _draw_frame(page: np.ndarray) -> None:
    """Pink frame, 3 px left and below, 4 px above and right, in place."""
    left, top, right, bottom = FRAME
    page[top : top + 4, left : right + 1] = page[bottom - 2 : bottom + 1, left : right + 1] = _PINK
    page[top : bottom + 1, left : left + 3] = page[top : bottom + 1, right - 3 : right + 1] = _PINK


def _pulse(y0: float) -> tuple[np.ndarray, np.ndarray]:
    """Corners of a calibration pulse at baseline ``y0``; x and y, (6,)."""
    x = np.array([97.0, 105.0, 105.0, 121.5, 121.5, 130.0])
    return x, y0 - PX_MV * np.array([0, 0, 1, 1, 0, 0])


_WORDS = [  # x, y of the base line, size, words
    (995, 62, 42, "ECG REPORT"),
    (68, 93, 26, "ID :"),
    (324, 93, 26, "Years"),
    (617, 93, 26, "cm"),
    (766, 93, 26, "kg"),
    (910, 93, 26, "/     mmHg"),
    (1097, 93, 26, "Race:Unknown"),
    (1336, 93, 26, "Room No.:"),
    (1526, 93, 26, "Department:"),
    (68, 127, 26, "Exam.Room:     Medication:"),
    (68, 170, 26, "Diagnosis Information:"),
    (1556, 205, 26, "Technician :"),
    (1556, 238, 26, "Ref-Phys. :"),
    (1556, 271, 26, "Report Confirmed by:"),
    (68, 1554, 22, "0.67~25Hz   AC50   25mm/s   10mm/mV   4*2.5s+1r"),
]


@lru_cache(maxsize=4)
def _form(notice: str) -> np.ndarray:
    """The page without a record; (HEIGHT, WIDTH, 3) uint8, read-only."""
    page = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    _draw_grid(page)
    _draw_frame(page)
    for y in (136, 142):
        page[y : y + 4, 68:2155] = _INK
    for column in (1, 2, 3):
        x = round(LEFT + column * COLUMN * PX_SECOND)
        page[SEPARATOR[0] : SEPARATOR[1] + 1, x - 1 : x + 2] = _INK
    _ink(page, [_pulse(y0) for y0 in BASELINES])
    image = Image.fromarray(page)
    pen = ImageDraw.Draw(image)
    for x, y, size, words in _WORDS:
        pen.text((x, y), words, _INK, _font(size), anchor="ls")
    pen.text((68, 238), notice, _INK, _font(38), anchor="ls")
    pen.text((2140, 1554), notice, _INK, _font(22), anchor="rs")
    for i, lead in enumerate(LEADS):
        _name_lead(pen, lead, BASELINES[i % 3], i // 3)
    form = np.array(image)
    form.flags.writeable = False
    return form


def _name_lead(pen: ImageDraw.ImageDraw, lead: str, y0: float, column: int) -> None:
    """Print the name of a lead over the start of its trace, as the device does."""
    pen.text((LEFT + column * COLUMN * PX_SECOND + 1, y0 - 7), lead, _INK, _font(27), anchor="ls")


# %% [markdown]
# ## A pen of exact width
# A trace is a chain of short strokes of a round pen. How dark a pixel becomes depends on its distance from
# the stroke: black within half the pen's width, white half a pixel farther out, a straight ramp between. So a
# curve can be found again to a small part of a pixel, which a trace of only black and white pixels would not
# allow. Long strokes are cut into pieces that fit a small square of pixels, and all squares are computed at
# once.

# %%
_STEP = 3.0  # longest piece of a stroke, px, along x and along y
_REACH = PEN / 2 + 0.5
_PATCH = int(np.ceil(_STEP + 2 * _REACH)) + 1


def _strokes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pieces between neighbouring points that are both known; (k, 4) as x0, y0, x1, y1."""
    known = np.isfinite(y[:-1]) & np.isfinite(y[1:])
    ends = np.c_[x[:-1], y[:-1], x[1:], y[1:]][known]
    pieces = np.maximum(np.ceil(np.abs(ends[:, 2:] - ends[:, :2]).max(axis=1) / _STEP), 1).astype(int)
    which = np.repeat(np.arange(len(ends)), pieces)
    place = np.arange(len(which)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    step = (ends[:, 2:] - ends[:, :2])[which] / pieces[which, None]
    start = ends[which, :2] + place[:, None] * step
    return np.c_[start, start + step]


def _darkness(strokes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (k, p, 1), columns (k, 1, p) and darkness (k, p, p; 0 to 1) of the patches around the strokes."""
    x0, y0, x1, y1 = (strokes[:, i, None, None].astype(np.float32) for i in range(4))
    columns = np.ceil(np.minimum(x0, x1) - _REACH).astype(np.int32) + np.arange(_PATCH, dtype=np.int32)
    rows = np.ceil(np.minimum(y0, y1) - _REACH).astype(np.int32) + np.arange(_PATCH, dtype=np.int32)[:, None]
    dx, dy = x1 - x0, y1 - y0
    px, py = columns - x0, rows - y0
    along = np.clip((px * dx + py * dy) / np.maximum(dx * dx + dy * dy, 1e-12), 0, 1)
    distance = np.sqrt((px - along * dx) ** 2 + (py - along * dy) ** 2)
    return rows, columns, np.clip(_REACH - distance, 0, 1)


def _ink(page: np.ndarray, curves: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Draw curves (x, y) with the pen on an (h, w, 3) uint8 page, in place; NaN lifts the pen."""
    strokes = np.concatenate([_strokes(x, y) for x, y in curves])
    rows, columns, dark = _darkness(strokes)
    height, width = page.shape[:2]
    inside = (dark > 0) & (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    where = (rows * width + columns)[inside]
    total = np.zeros(height * width, np.float32)
    np.maximum.at(total, where, dark[inside])
    touched = np.flatnonzero(total)
    flat = page.reshape(-1, 3)
    share = total[touched, None]
    flat[touched] = np.round(flat[touched] * (1 - share) + np.array(_INK) * share)


# %% [markdown]
# ## A page
# The form, thirteen traces, and the three things that are printed of a record: sex, heart rate and the name
# of the rhythm lead. The label is not printed.


# %%
def draw_page(record: Record, notice: str = "Synthetic record") -> tuple[Image.Image, tuple[Trace, ...]]:
    """Draw a record in the EICP layout.

    Parameters
    ----------
    record : Record
        A record of 10 s, synthetic or digitised. NaN samples leave a gap.
    notice : str
        Printed twice, to say where the signals come from; for example "Redrawn from its digitised signal".

    Returns
    -------
    page : PIL.Image.Image
        RGB, 2213 x 1572 pixels, 200 dots per inch.
    traces : tuple of Trace
        What was drawn: twelve leads, then the rhythm strip, with their places.

    Examples
    --------
    >>> from ecgbook import synth
    >>> page, traces = draw_page(synth.record("MI", 1))
    >>> page.size, len(traces), traces[-1].samples.shape
    ((2213, 1572), 13, (2500,))
    """
    traces = layout(record)
    page = _form(notice).copy()
    curves = []
    for trace in traces:
        x = trace.x0 + np.arange(trace.samples.size) * (PX_SECOND / trace.fs)
        curves.append((x, trace.y0 - PX_MV * trace.samples.astype(float)))
    _ink(page, curves)
    image = Image.fromarray(page)
    pen = ImageDraw.Draw(image)
    pen.text((447, 93), record.sex, _INK, _font(26), anchor="ls")
    pen.text((620, 1554), f"HR {record.heart_rate}", _INK, _font(22), anchor="ls")
    _name_lead(pen, record.rhythm, BASELINES[3], 0)
    image.info["dpi"] = (200, 200)
    return image, traces


# %% [markdown]
# ## Wear and tear
# A reader of pages should survive a slightly turned scan, another resolution, a tinted paper, grain and
# compression. Each is one argument with a neutral default; the order is that of a scanner: geometry, paper,
# sensor, file.


# %%
def perturb(
    page: Image.Image,
    seed: int = 0,
    *,
    rotation: float = 0.0,
    scale: float = 1.0,
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0),
    noise: float = 0.0,
    jpeg_quality: int | None = None,
) -> Image.Image:
    """Spoil a page as scanning and saving would.

    Parameters
    ----------
    page : PIL.Image.Image
        RGB page.
    seed : int
        Seed of the noise.
    rotation : float
        Degrees, counter-clockwise about the centre; the corners are filled with white.
    scale : float
        Factor on width and height.
    tint : tuple of three floats
        Factors on red, green and blue.
    noise : float
        Standard deviation of the grain, in grey levels.
    jpeg_quality : int, optional
        Save and reload as JPEG with this quality and halved colour resolution (the real pages resemble 75).

    Returns
    -------
    PIL.Image.Image
        A new RGB image.

    Examples
    --------
    >>> from PIL import Image
    >>> perturb(Image.new("RGB", (200, 100), "white"), scale=0.5, jpeg_quality=75).size
    (100, 50)
    """
    image = page
    if rotation:
        image = image.rotate(rotation, Image.Resampling.BICUBIC, fillcolor="white")
    if scale != 1:
        size = round(image.width * scale), round(image.height * scale)
        image = image.resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(image, np.float32) * np.array(tint, np.float32)
    if noise:
        pixels += np.random.default_rng(seed).normal(0, noise, pixels.shape)
    image = Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))
    if jpeg_quality is not None:
        file = BytesIO()
        image.save(file, "JPEG", quality=jpeg_quality, subsampling="4:2:0")
        image = Image.open(BytesIO(file.getvalue())).convert("RGB")
    return image
