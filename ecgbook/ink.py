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
# # Ink: from pixels to curves
# A page is a drawing of numbers, and drawing them lost little: the printer moved a pen of known width along
# each signal, and every pixel column keeps the two edges of what the pen covered. Take half the pen off both
# edges and the curve is left, to a fraction of a pixel. All the rest is finding the edges that belong to one
# lead among grid, names, separators and neighbours, and saying so where they cannot be told apart.

# %%
"""Find the form, the traces and their curves on a page, in pixels."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import label
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ecgbook import data, draw
from ecgbook.data import EcgbookError
from ecgbook.draw import BASELINES, FRAME, HEIGHT, LEFT, PX_SECOND, SEPARATOR, WIDTH
from ecgbook.synth import COLUMN, LEADS

# %% [markdown]
# ## Ink on paper
# Ink is black, the grid is made of red dots. Seen through red glass the dots pale and the ink stays: we keep
# the red channel, stretched so that paper is 255 and ink 0. JPEG halves the resolution of colour, so a dot
# stays grey at its very pixel; but a dot is alone, and what has paper on both sides, left and right or above
# and below, is no pen stroke.


# %%
def _levels(channel: np.ndarray) -> tuple[float, float]:
    """Grey levels of paper and of ink, from every seventh pixel inside the frame (the grid has a period of four)."""
    sample = channel[FRAME[1] : FRAME[3] : 7, FRAME[0] : FRAME[2] : 7]
    paper = float(np.median(sample))
    ink = float(np.percentile(sample, 0.3))
    return paper, ink


def _stretch(channel: np.ndarray, name: str) -> np.ndarray:
    """Paper to 255, ink to 0; uint8."""
    paper, ink = _levels(channel)
    if paper - ink < 80:
        raise EcgbookError(f"{name}: no dark traces on light paper; give a page of an ECG report")
    if paper > 247 and ink < 12:
        return channel
    table = np.clip((np.arange(256) - ink) * 255 / (paper - ink), 0, 255).astype(np.uint8)
    return table[channel]


def _without_dots(grey: np.ndarray) -> np.ndarray:
    """Paint single grey pixels white; a copy."""
    width = grey.shape[1]
    flat = grey.ravel()
    clean = flat.copy()
    at = np.flatnonzero(grey[1:-1].ravel() - np.uint8(41) < 159) + width  # unsigned: below 41 wraps around
    at = at[1:-1]
    alone = np.minimum(flat[at - 1], flat[at + 1]) > 170
    alone |= np.minimum(flat[at - width], flat[at + width]) > 170
    clean[at[alone]] = 255
    return clean.reshape(grey.shape)


# %% [markdown]
# ## Where the form lies
# The pink frame gives shift, scale and rotation. A page that lies as published is read as it is; any other is
# first brought to that size and place.

# %%
_ADVICE = "give a whole, upright page of the form"
_LINES = {"left": FRAME[0] + 1.0, "right": FRAME[2] - 1.5, "top": FRAME[1] + 1.5, "bottom": FRAME[3] - 1.0}


def _stretches(mask: np.ndarray) -> np.ndarray:
    """First and last + 1 of each run of True; (k, 2)."""
    framed = np.zeros(len(mask) + 2, bool)
    framed[1:-1] = mask
    return np.flatnonzero(framed[1:] != framed[:-1]).reshape(-1, 2)


def _pink(rgb: np.ndarray) -> np.ndarray:
    """How much the pixels of an (h, w, 3) array have the colour of the frame, 0 where not at all; (h, w)."""
    red, green, blue = (rgb[..., i].astype(np.int16) for i in range(3))
    strength = red - np.maximum(green, blue)
    return np.where((strength > 22) & (red > 150), strength, 0)


def _first_line(bands: np.ndarray) -> np.ndarray:
    """Centre of the first run of 2 to 9 pink pixels in each row; (n,), NaN where there is none."""
    found = np.full(len(bands), np.nan)
    for i, band in enumerate(bands):
        for first, last in _stretches(band > 0):
            if 2 <= last - first <= 9:
                found[i] = np.average(np.arange(first, last), weights=band[first:last])
                break
    return found


def _fit_line(place: np.ndarray, found: np.ndarray) -> tuple[float, float, float]:
    """Robust line: slope, value at 0, share of points near it."""
    known = np.isfinite(found)
    if known.sum() < 8:
        return 0.0, np.nan, 0.0
    x, y = place[known], found[known]
    for _ in range(4):
        middle = len(x) // 2
        rise, run = (np.median(v[middle:]) - np.median(v[:middle]) for v in (y, x))
        slope = rise / max(run, 1)
        value = np.median(y - slope * x)
        near = np.abs(y - slope * x - value) < 3
        if near.all() or near.sum() < 8:
            break
        x, y = x[near], y[near]
    if near.sum() >= 2:
        slope, value = np.polyfit(x[near], y[near], 1)
    return float(slope), float(value), float((np.abs(found - slope * place - value) < 1.5).sum() / len(place))


def _frame(rgb: np.ndarray, name: str) -> np.ndarray:
    """Corners of the frame on the page: top left, top right, bottom left, bottom right; (4, 2) x, y."""
    height, width = rgb.shape[:2]
    rows = np.linspace(height * 0.25, height * 0.9, 28).astype(int)
    columns = np.linspace(width * 0.1, width * 0.9, 28).astype(int)
    across, down = _pink(rgb[rows]), _pink(rgb[:, columns]).T
    edge = {
        "left": _fit_line(rows, _first_line(across[:, : width // 3])),
        "right": _fit_line(rows, width - 1 - _first_line(across[:, ::-1][:, : width // 3])),
        "top": _fit_line(columns, _first_line(down[:, : height // 2])),
        "bottom": _fit_line(columns, height - 1 - _first_line(down[:, ::-1][:, : height // 3])),
    }
    lost = [side for side, (_, _, share) in edge.items() if share < 0.5]
    if lost:
        sides = ", ".join(lost)
        raise EcgbookError(f"{name}: the pink frame of the ECG form is not found ({sides}); {_ADVICE}")
    corners = []
    for horizontal in ("top", "bottom"):
        for vertical in ("left", "right"):
            (a, b, _), (c, d, _) = edge[vertical], edge[horizontal]
            x = (a * d + b) / (1 - a * c)
            corners.append((x, c * x + d))
    return np.array(corners)


_CORNERS = np.array([(_LINES[x], _LINES[y]) for y in ("top", "bottom") for x in ("left", "right")])


def _placed(rgb: np.ndarray, name: str) -> np.ndarray:
    """Map from the form to the page: (x, y, 1) @ map; (3, 2). The identity if the page lies as published."""
    corners = _frame(rgb, name)
    to_page, *_ = np.linalg.lstsq(np.c_[_CORNERS, np.ones(4)], corners, rcond=None)
    wide, high = np.hypot(*to_page[0]), np.hypot(*to_page[1])
    skewed = abs(to_page[0] @ to_page[1]) / (wide * high) > 0.01
    if skewed or abs(wide / high - 1) > 0.02 or not 0.4 < wide < 4 or abs(to_page[0, 1] / wide) > 0.05:
        raise EcgbookError(f"{name}: the frame does not have the shape of the ECG form; {_ADVICE}")
    if rgb.shape[:2] == (HEIGHT, WIDTH) and np.abs(corners - _CORNERS).max() < 1.7:
        return np.array([[1.0, 0], [0, 1], [0, 0]])
    return to_page


def _upright(rgb: np.ndarray, to_page: np.ndarray) -> np.ndarray:
    """The red channel in the place and size of the form; (HEIGHT, WIDTH) uint8."""
    if (to_page == np.array([[1, 0], [0, 1], [0, 0]])).all():
        return np.ascontiguousarray(rgb[..., 0])
    (a, d), (b, e), (c, f) = to_page
    # Pillow counts from the corner of a pixel, we from its centre
    c, f = c + 0.5 - 0.5 * (a + b), f + 0.5 - 0.5 * (d + e)
    red = Image.fromarray(np.ascontiguousarray(rgb[..., 0])).transform(
        (WIDTH, HEIGHT), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC, fillcolor=255
    )
    return np.asarray(red)


# %% [markdown]
# ## Millivolts from the pulses, time from the separators
# At the left of every row the device prints a pulse of 1 mV. Its foot is the row's zero line, its height the
# scale. The black lines between columns say where time stands. Both are fixed on the form, so they also tell
# that this is the form.


# %%
def _dark_centre(line: np.ndarray, least: float, most: float) -> float:
    """Centre of the only stroke in a line of grey levels, px; NaN if its width is unlikely."""
    dark = np.clip(1 - line / 255.0, 0, 1)
    dark[dark < 0.3] = 0
    total = dark.sum()
    if not least <= total <= most:
        return np.nan
    centre = (dark * np.arange(len(line))).sum() / total
    spread = np.sqrt((dark * (np.arange(len(line)) - centre) ** 2).sum() / total)
    return float(centre) if spread < most / 2 else np.nan


def _pulses(grey: np.ndarray, name: str) -> tuple[np.ndarray, float]:
    """Zero line of each row and mean height of the pulses, px."""
    feet, heights = [], []
    for baseline in BASELINES:
        y0 = round(baseline)
        foot = [_dark_centre(grey[y0 - 12 : y0 + 13, x], 1.5, 7) for x in (98, 100, 102, 125, 127, 129)]
        top = [_dark_centre(grey[y0 - 93 : y0 - 66, x], 1.5, 7) for x in (110, 112, 114, 116)]
        if np.isfinite(foot).sum() >= 3 and np.isfinite(top).sum() >= 3:
            foot_y, top_y = y0 - 12 + np.nanmedian(foot), y0 - 93 + np.nanmedian(top)
            feet.append(foot_y)
            heights.append(foot_y - top_y)
        else:
            feet.append(np.nan)  # type: ignore[arg-type]
    if len(heights) < 3 or np.ptp(heights) > 4:
        raise EcgbookError(f"{name}: the calibration pulses are not in their place; {_ADVICE}")
    shift = np.nanmedian(np.array(feet) - BASELINES)
    feet = np.where(np.isfinite(feet), feet, np.array(BASELINES) + shift)
    return feet, float(np.mean(heights))


def _separators(grey: np.ndarray, name: str) -> np.ndarray:
    """First and last pixel column of the three lines between the columns; (3, 2)."""
    rows = grey[SEPARATOR[0] + 8 : SEPARATOR[1] - 8]
    found = []
    for column in (1, 2, 3):
        x = round(LEFT + column * COLUMN * PX_SECOND)
        dark = (rows[::4, x - 8 : x + 9] < 160).mean(axis=0)
        columns = np.flatnonzero(dark > 0.9)
        if not len(columns):
            raise EcgbookError(f"{name}: the lines between the columns are not in their place; {_ADVICE}")
        found.append((x - 8 + columns[0], x - 8 + columns[-1]))
    return np.array(found)


# %% [markdown]
# ## The printed names
# The name of each lead stands over the start of its trace, always in the same letters at the same place. We
# carry the letters of the device (`lead_names.csv`: pixels that are black on nearly all pages) and can draw
# those of our own renderer. Where a letter may hide the trace, its pixels count as unknown: neither ink nor
# paper.

# %%
_LETTER = 19  # height of the letters, px
_STRIP_NAME = np.array([1340, 154])  # row and column of the first letter of the strip's name


class Names(NamedTuple):
    """Where the letters of the twelve names and of the strip's name lie on the form."""

    leads: tuple[np.ndarray, ...]  # (k, 2) rows and columns of the pixels of each name
    strip: dict[str, np.ndarray]  # the same for each name that the strip may have


@lru_cache(maxsize=1)
def _device_names() -> Names:
    """The letters of the EDAN SE-3."""
    table = pd.read_csv(data.tables() / "lead_names.csv")
    leads = []
    for row in table.itertuples():
        letters = np.array([list(line) for line in row.glyph.split("/")]) == "#"
        leads.append(np.argwhere(letters) + np.array([row.y, row.x]))
    moved = (pixels - pixels.min(axis=0) + _STRIP_NAME for pixels in leads)
    strip = dict(zip(LEADS, moved, strict=True))
    return Names(tuple(leads), strip)


def learn_names(pages: Iterable[Image.Image]) -> pd.DataFrame:
    """Find the letters of the twelve names: what is black at the start of a trace on nearly all pages.

    This is how ``lead_names.csv`` was made, from the distinct pages of EICP.

    Parameters
    ----------
    pages : iterable of PIL.Image.Image
        Many pages of one device, as published.

    Returns
    -------
    pandas.DataFrame
        ``lead``, ``x``, ``y`` (first column and row) and ``glyph`` (rows of "#" and ".", parted by "/").
    """
    dark, count = np.zeros((HEIGHT, WIDTH), np.int32), 0
    for page in pages:
        dark += np.asarray(page.convert("RGB")).max(axis=2) < 110
        count += 1
    black = dark >= 0.973 * count
    rows = []
    for i, lead in enumerate(LEADS):
        x0 = round(LEFT + i // 3 * COLUMN * PX_SECOND) - 3
        y0 = round(BASELINES[i % 3])
        tops = range(y0 - 29, y0 - 22)
        top = max(tops, key=lambda y: black[y : y + _LETTER, x0 : x0 + 57].sum())
        box = black[top : top + _LETTER, x0 : x0 + 57].copy()
        box[:, black[y0 - 42 : y0 - 32, x0 : x0 + 57].all(axis=0)] = False  # the line between the columns
        parts, _ = label(box, np.ones((3, 3)))
        box &= np.bincount(parts.ravel())[parts] >= 8  # dots of the grid
        columns = np.flatnonzero(box.any(axis=0))
        box = box[:, columns[0] : columns[-1] + 1]
        glyph = "/".join("".join(".#"[pixel] for pixel in line) for line in box.astype(int))
        rows.append((lead, x0 + columns[0], top, glyph))
    return pd.DataFrame(rows, columns=["lead", "x", "y", "glyph"])


@lru_cache(maxsize=1)
def _drawn_names() -> Names:
    """The letters of :mod:`ecgbook.draw`."""

    def pixels(lead: str, y0: float, column: int) -> np.ndarray:
        page = Image.new("RGB", (WIDTH, HEIGHT), "white")
        draw._name_lead(ImageDraw.Draw(page), lead, y0, column)
        return np.argwhere(np.asarray(page)[..., 0] < 160)

    leads = tuple(pixels(lead, BASELINES[i % 3], i // 3) for i, lead in enumerate(LEADS))
    return Names(leads, {lead: pixels(lead, BASELINES[3], 0) for lead in LEADS})


def _inked(grey: np.ndarray, pixels: np.ndarray) -> float:
    """Share of the pixels that are dark."""
    return float((grey[pixels[:, 0], pixels[:, 1]] < 190).mean())


def _read_names(grey: np.ndarray, name: str) -> tuple[str, list[np.ndarray]]:
    """The name of the strip, and the pixels of all thirteen names that are there."""
    forms = [_device_names(), _drawn_names()]
    form = max(forms, key=lambda names: np.mean([_inked(grey, pixels) for pixels in names.leads]))
    there = [pixels for pixels in form.leads if _inked(grey, pixels) > 0.75]
    if len(there) < 8:
        raise EcgbookError(f"{name}: the names of the leads are not in their place; {_ADVICE}")
    rhythm = ""
    for lead, pixels in sorted(form.strip.items(), key=lambda item: len(item[1])):
        known = form.strip.get(rhythm, pixels[:0])
        # a wave may look like one more stroke of the name: be strict with what is new
        more = pixels[~(pixels[:, None] == known).all(axis=2).any(axis=1)]
        if _inked(grey, pixels) > 0.93 and _inked(grey, more) > 0.95:
            rhythm = lead
    return rhythm, there + ([form.strip[rhythm]] if rhythm else [])


# %% [markdown]
# ## Runs of ink
# In each pixel column we list the runs of ink from top to bottom. Two runs of neighbouring columns that share
# a row hang together; what hangs together over a whole column of the form is a trace. The list is some ten
# thousand runs long where the page has three million pixels: all later steps work on the list.


# %%
class Runs(NamedTuple):
    """Runs of ink, sorted by column, then from top to bottom."""

    x: np.ndarray  # pixel column
    top: np.ndarray  # first row
    bottom: np.ndarray  # last row
    upper: np.ndarray  # edge to a fraction of a pixel, NaN where a letter hides it
    lower: np.ndarray
    piece: np.ndarray  # number of the connected piece


_X0, _X1, _Y0, _Y1 = 146, 2128, 190, 1530  # where traces can be: tall ones leave the frame


def _connect(x: np.ndarray, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Number the connected pieces of sorted runs."""
    first = np.searchsorted(x * 4096 + bottom, (x + 1) * 4096 + top, "left")
    last = np.searchsorted(x * 4096 + top, (x + 1) * 4096 + bottom, "right")
    count = np.maximum(last - first, 0)
    a = np.repeat(np.arange(len(x)), count)
    b = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    graph = coo_matrix((np.ones(len(a), np.int8), (a, b)), shape=(len(x), len(x)))
    return connected_components(graph, directed=False)[1]


def _edge(inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """How far the half-dark level lies outside the centre of the last dark pixel."""
    return (127.5 - inside) / np.maximum(outside.astype(float) - inside, 1.0)


def _joined(top: np.ndarray, bottom: np.ndarray, x: np.ndarray, veil: np.ndarray) -> tuple[np.ndarray, ...]:
    """Join runs of a column that only hidden pixels part; drop single pixels beside a hidden one."""
    above, below = np.maximum(top - 1, 0), np.minimum(bottom + 1, veil.shape[1] - 1)
    crumb = (top == bottom) & (veil[x, above] | veil[x, below])
    x, top, bottom = x[~crumb], top[~crumb], bottom[~crumb]
    near = np.flatnonzero((x[1:] == x[:-1]) & (top[1:] - bottom[:-1] <= 5))
    joined = [i for i in near if veil[x[i], bottom[i] + 1 : top[i + 1]].all()]
    start, end = np.ones(len(x), bool), np.ones(len(x), bool)
    start[np.array(joined, int) + 1] = False
    end[joined] = False
    return x[start], top[start], bottom[end]


def _runs(area: np.ndarray, hidden: np.ndarray) -> Runs:
    """List the runs of ink in the area of the traces.

    ``hidden`` marks pixels of which nothing is known.
    """
    veil = hidden[_Y0:_Y1, _X0:_X1].T
    ink = np.zeros((area.shape[0], area.shape[1] + 1), bool)
    np.less(area, 128, out=ink[:, 1:])
    ink[:, 1:][veil] = False
    ink[:, -1] = False
    flat = ink.ravel()
    step = np.flatnonzero(flat[1:] != flat[:-1])  # the pixel before each change
    x, start = np.divmod(step[::2], ink.shape[1])
    bottom = step[1::2] % ink.shape[1] - 1
    x, top, bottom = _joined(start, bottom, x, veil)
    above, below = np.maximum(top - 1, 0), np.minimum(bottom + 1, area.shape[1] - 1)
    upper = top - _edge(area[x, top], area[x, above])
    lower = bottom + _edge(area[x, bottom], area[x, below])
    upper[veil[x, above]] = np.nan
    lower[veil[x, below]] = np.nan
    return Runs(x + _X0, top + _Y0, bottom + _Y0, upper + _Y0, lower + _Y0, _connect(x, top, bottom))


# %% [markdown]
# ## Which run belongs to which lead
# Nearly always a lead is one connected piece over its whole column, and the piece nearest a row's zero line
# is that row's lead. Where rows touch, or a name breaks a trace, we follow the trace from column to column:
# of all chains of runs we take the one along which the pen travels least, for a pen that would have to jump
# to a neighbour's trace and back travels far.


# %%
def _travel(
    columns: list[np.ndarray], upper: np.ndarray, lower: np.ndarray, start: float, radius: float
) -> np.ndarray:
    """Choose at most one run in each column so that the pen travels least and keeps near ``start``.

    ``columns`` holds the indices of the runs of each column. Returns one index a column, -1 where none fits.
    """
    alive = [(0.0, start, -1, None)]  # cost, y, last run, chain of (column, run, rest)
    for place, indices in enumerate(columns):
        new = []
        for run in indices:
            high, low = upper[run] + radius, lower[run] - radius
            if high > low:
                high = low = (high + low) / 2
            ways = []
            for cost, y, last, rest in alive:
                there = min(max(y, high), low)
                apart = last >= 0 and (upper[last] > lower[run] or lower[last] < upper[run])
                ways.append((cost + abs(there - y) + 20 * apart + 0.03 * abs(there - start), there, rest))  # type: ignore[arg-type]
            cost, there, rest = min(ways, key=lambda way: way[0])
            new.append((cost, there, run, (place, run, rest)))
        new += [(cost + (60.0 if len(indices) else 2.0), *state) for cost, *state in alive]  # type: ignore[misc]
        new.sort(key=lambda way: way[0])
        alive = new[:6]
    chosen = np.full(len(columns), -1)
    chain = alive[0][3]
    while chain:
        place, run, chain = chain
        chosen[place] = run
    return chosen


class _Trace(NamedTuple):
    """Edges of one trace in the pixel columns ``x0``, ``x0 + 1``, ...; NaN where unknown."""

    x0: int
    upper: np.ndarray
    lower: np.ndarray
    shared: np.ndarray  # bool: the run also belongs to another row
    thin: np.ndarray  # bool: the run is no higher than a level stroke
    hit: np.ndarray  # bool: the run touches the frame


def _pick(
    x: np.ndarray, picked: np.ndarray, runs: Runs, unclear: np.ndarray, start: float, radius: float
) -> np.ndarray:
    """One of the picked runs in each column (-1: none).

    ``x`` is the column of each picked run; ``unclear`` marks the columns where there is a choice to make.
    """
    width = len(unclear)
    index = np.full(width, -1)
    index[x] = picked
    count = np.bincount(x, minlength=width)
    for first, last in _stretches(unclear):
        if count[first:last].max() == 0:
            continue
        first, last = max(first - 2, 0), min(last + 2, width)
        bounds = np.searchsorted(x, np.arange(first, last + 1))
        lists = [picked[bounds[i] : bounds[i + 1]] for i in range(last - first)]
        known = index[:first][index[:first] >= 0]
        y = (runs.top[known[-1]] + runs.bottom[known[-1]]) / 2 if len(known) else start
        index[first:last] = _travel(lists, runs.top - 0.5, runs.bottom + 0.5, y, radius)
    return index


def _choose(
    runs: Runs, x0: int, x1: int, zero: np.ndarray, rows: range, radius: float
) -> list[np.ndarray | None]:
    """For each row the index of its run in each of the columns ``x0 ... x1 - 1`` (-1: none); None if missing."""
    inside = np.arange(*np.searchsorted(runs.x, (x0, x1)))
    if not len(inside):
        return [None] * len(rows)
    x, width = runs.x[inside] - x0, x1 - x0
    where = np.unique(runs.piece[inside], return_inverse=True)[1]
    size = np.bincount(where)
    mean = np.bincount(where, (runs.top[inside] + runs.bottom[inside]) / 2) / size
    columns = np.bincount(where, np.r_[True, (np.diff(x) > 0) | (np.diff(where) != 0)])
    row = np.abs(mean[:, None] - zero).argmin(axis=1)
    height = runs.bottom[inside] - runs.top[inside]
    longest = np.zeros(len(inside), bool)
    order = np.lexsort((-height, where, x))
    longest[order[np.r_[True, (np.diff(x[order]) > 0) | (np.diff(where[order]) != 0)]]] = True
    shared = (columns > 0.5 * width) & (size > 1.5 * width)
    chosen = []
    for j in rows:
        near = np.abs((runs.top[inside] + runs.bottom[inside]) / 2 - zero[j]) < 100
        own = ((row == j) & (columns > 0.3 * width)) | (shared & (np.bincount(where, near) > 0.3 * width))
        bare = np.ones(width, bool)
        bare[x[own[where]]] = False
        scrap = (np.abs(mean - zero[j]) < 150) & (columns >= 2) & ~own
        main = own[where] & (longest | shared[where])
        entangled = (own & shared).any()
        picked = np.flatnonzero(main | (scrap[where] & (bare[x] | entangled)))
        if len(np.unique(x[picked])) < 0.2 * width:
            chosen.append(None)
        else:
            unclear = np.bincount(x[picked], minlength=width) != 1
            unclear |= entangled  # where rows touch, one common run is no landmark
            chosen.append(_pick(x[picked], inside[picked], runs, unclear, zero[j], radius))  # type: ignore[arg-type]
    return chosen  # type: ignore[return-value]


def _traces(
    runs: Runs, x0: int, x1: int, zero: np.ndarray, rows: range, radius: float
) -> list[_Trace | None]:
    """The edges of the traces of the rows in one column of the form."""
    chosen = _choose(runs, x0, x1, zero, rows, radius)
    traces = []
    for j, index in enumerate(chosen):
        if index is None:
            traces.append(None)
            continue
        upper = np.where(index >= 0, runs.upper[index], np.nan)
        lower = np.where(index >= 0, runs.lower[index], np.nan)
        shared = np.zeros(x1 - x0, bool)
        for k, other in enumerate(chosen):
            if k != j and other is not None:
                same = (other == index) & (index >= 0)
                (lower if k > j else upper)[same] = np.nan  # of a common run each keeps the edge on its side
                shared |= same
        hit = (index >= 0) & ((runs.top[index] <= _Y0 + 1) | (runs.bottom[index] >= _Y1 - 2))
        upper[hit], lower[hit] = np.nan, np.nan
        thin = (index >= 0) & (runs.bottom[index] - runs.top[index] < 2 * radius + 3)
        traces.append(_Trace(x0, upper, lower, shared, thin, hit))  # type: ignore[arg-type]
    return traces  # type: ignore[return-value]


# %% [markdown]
# ## Taking the pen off
# The pen is a disc of radius $r$ moved along the curve $y(x)$, so the upper edge of the ink is
#
# $$u(x) = \min_{|s| \le r} \; y(x+s) - \sqrt{r^2 - s^2},$$
#
# a dilation. Its opposite, $\max_s\, u(x+s) + \sqrt{r^2-s^2}$, gives the curve back, except inside upward
# tips so narrow that the pen fills them from below; the lower edge does the same for downward tips. Where
# both answers agree we take their mean. Where they part, the one that goes out of its way is the tip, and the
# other the filling.

# %%
_FINE = 8  # points a pixel
_LONG = 12  # px: no tip is wider


def _finely(edge: np.ndarray, area: np.ndarray, side: int) -> np.ndarray:
    """An edge known at n pixel columns, on a grid of 1 / _FINE px; (_FINE * (n - 1) + 1,).

    Where the edge is nearly level a straight line will do. Where it is steep, it runs between two pixels of a
    row, one ink and one paper, and their greys say where: we count the rows that are still ink. ``area`` holds
    the grey levels of the same columns, (n, rows), row 0 at ``_Y0``; ``side`` is 1 for the upper edge, -1 for the
    lower.
    """
    first, last = edge[:-1], edge[1:]
    share = np.arange(1, _FINE) / _FINE
    fine = first + (last - first) * share[:, None]
    steep = np.flatnonzero(np.abs(last - first) > 1.5)
    near, far = np.minimum(first, last)[steep], np.maximum(first, last)[steep]
    start = np.ceil(near).astype(int)
    rows = np.maximum(np.ceil(far).astype(int) - start, 1)
    which = np.repeat(np.arange(len(steep)), rows)
    row = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows) + start[which] - _Y0
    row = np.clip(row, 0, area.shape[1] - 1)
    left, right = (area[steep[which] + i, row].astype(float) for i in (0, 1))
    for i, part in enumerate(share):
        ink = (1 - part) * left + part * right < 127.5
        inked = np.bincount(which, ink, minlength=len(steep)) / rows * (far - near)
        fine[i, steep] = far - inked if side > 0 else near + inked
    return np.r_[np.c_[first, fine.T].ravel(), last[-1]]


def _rolled(fine: np.ndarray, radius: float) -> np.ndarray:
    """Roll a disc along an upper edge from inside: the places of its centre."""
    rolled = fine + radius
    for step in range(1, int((radius - 0.1) * _FINE) + 1):
        drop = np.sqrt(radius**2 - (step / _FINE) ** 2)
        rolled[step:] = np.fmax(rolled[step:], fine[:-step] + drop)
        rolled[:-step] = np.fmax(rolled[:-step], fine[step:] + drop)
    rolled[np.isnan(fine)] = np.nan
    return rolled


def _slope(fine: np.ndarray) -> np.ndarray:
    """Steepness over one pixel, px / px."""
    half = _FINE // 2
    return np.abs(np.pad(fine, (0, half), "edge")[half:] - np.pad(fine, (half, 0), "edge")[: len(fine)])


def _knots(high: np.ndarray, low: np.ndarray, thin: np.ndarray) -> tuple[np.ndarray, float]:
    """Merge two readings of a curve: their mean where they agree, the tip where one leaves the way; else NaN.

    Returns also the share of places where the curve moves more finely than the pen can show.
    """
    blurred = 0
    slope = np.fmin(_slope(high), _slope(low))
    single = np.where(thin, np.where(np.isnan(high), low, high), np.nan)
    y = np.where(np.isnan(high) | np.isnan(low), single, (high + low) / 2)
    for first, last in _stretches(low - high > 1.0 + 0.35 * slope):
        if last - first > _LONG * _FINE:  # mains hum, finer than the pen: only its middle can be read
            y[first:last][(low - high)[first:last] > _LONG] = np.nan
            blurred += last - first
            continue
        before, after = y[max(first - 1, 0)], y[min(last, len(y) - 1)]
        y[first:last] = np.nan
        if first == 0 or last == len(y) or np.isnan(before + after):
            continue
        above = min(before, after) - high[first:last].min()
        below = low[first:last].max() - max(before, after)
        if above > max(below, 0.5):
            y[first:last] = high[first:last]
        elif below > 0.5:
            y[first:last] = low[first:last]
    return y, blurred / len(y)


def _curve(trace: _Trace, area: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """The curve on the fine grid, px, NaN where it cannot be told; and the share that is finer than the pen."""
    high = _rolled(_finely(trace.upper, area, 1), radius)
    low = -_rolled(-_finely(trace.lower, area, -1), radius)
    y, blurred = _knots(high, low, np.repeat(trace.thin, _FINE)[: len(high)])
    known = np.flatnonzero(np.isfinite(y))
    if len(known) < 2:
        return y, blurred
    between = np.isnan(y) & np.isfinite(high) & np.isfinite(low)
    for first, last in _stretches(between):
        if first == 0 or last == len(y) or np.isnan(y[first - 1] + y[last]):
            between[first:last] = False
    y[between] = PchipInterpolator(known, y[known], extrapolate=False)(np.flatnonzero(between))
    return y, blurred


def _bridge(y: np.ndarray, area: np.ndarray, longest: float = 6.0) -> np.ndarray:
    """Close gaps of at most ``longest`` pixels along a straight line that is ink all the way."""
    y = y.copy()
    for first, last in _stretches(np.isnan(y)):
        if first == 0 or last == len(y) or last - first > longest * _FINE:
            continue
        line = np.interp(np.arange(first, last), (first - 1, last), (y[first - 1], y[last]))
        x = np.round(np.arange(first, last) / _FINE).astype(int)
        if (area[x, np.round(line).astype(int) - _Y0] < 128).all():
            y[first:last] = line
    return y


def _pen(runs: Runs, name: str) -> float:
    """Radius of the pen: half the height of a run where the trace is level."""
    height = runs.lower - runs.upper
    height = height[(height > 1.5) & (height < 9)]
    if len(height) < 200:
        raise EcgbookError(f"{name}: the form is empty; give a page with traces")
    return float(np.percentile(height, 20) / 2)


# %% [markdown]
# ## All curves of a page
# The four columns of the form and the strip, one after the other. A curve is given on a grid finer than the
# pixels, with words on what stood in the way.


# %%
def _hidden(names: list[np.ndarray], bounds: list[tuple[int, int]]) -> np.ndarray:
    """Pixels of the form of which nothing is known: letters and separators."""
    hidden = np.zeros((HEIGHT, WIDTH), bool)
    for pixels in names:
        hidden[pixels[:, 0], pixels[:, 1]] = True
    for (_, stop), (start, _) in pairwise(bounds):
        hidden[: SEPARATOR[1] + 6, stop:start] = True
    hidden[: FRAME[1], 1550:1910] = True  # "Report Confirmed by"
    return hidden


def _column_bounds(separators: np.ndarray) -> list[tuple[int, int]]:
    """Pixel columns of the four columns of the form."""
    starts, stops = [_X0, *(separators[:, 1] + 1)], [*separators[:, 0], _X1]
    return [(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]


class Curve(NamedTuple):
    """One trace on the form.

    Attributes
    ----------
    x : (n,) array
        Places on the form, px; 8 to a pixel.
    y : (n,) array
        Height of the centre of the pen there, px from the top; NaN where it could not be told.
    words : tuple of str
        Among "clipped", "overlap" and "doubtful"; ("missing",) if there is no trace at all.
    """

    x: np.ndarray
    y: np.ndarray
    words: tuple[str, ...]


class Sheet(NamedTuple):
    """What was found on a page, in pixels of the form (:mod:`ecgbook.draw` gives its measures).

    Attributes
    ----------
    curves : tuple of Curve
        The twelve leads in the order of ``LEADS``, then the strip.
    zero : (4,) array
        Zero line of each row, px from the top.
    pulse : float
        Mean height of the calibration pulses, px.
    rhythm : str
        Name printed at the strip; "" if not legible.
    to_page : (3, 2) array
        From the form to the page: ``[x, y, 1] @ to_page``.
    """

    curves: tuple[Curve, ...]
    zero: np.ndarray
    pulse: float
    rhythm: str
    to_page: np.ndarray


def _follow(trace: _Trace | None, area: np.ndarray, x0: int, radius: float) -> Curve:
    """The curve of a trace; ``area`` holds the grey levels of its columns."""
    x = x0 + np.arange(_FINE * (len(area) - 1) + 1) / _FINE
    if trace is None:
        return Curve(x, np.full(len(x), np.nan), ("missing",))
    y, doubt = _curve(trace, area, radius)
    found = {"clipped": trace.hit.any(), "overlap": trace.shared.any(), "doubtful": doubt > 0.05}
    return Curve(x, _bridge(y, area), tuple(word for word, true in found.items() if true))


def sheet(page: Image.Image, name: str = "page") -> Sheet:
    """Find all curves of a page.

    Parameters
    ----------
    page : PIL.Image.Image
        A page of the EDAN SE-3 form, or one drawn by :func:`ecgbook.draw.draw_page`; whole, upright and in
        colour. It may be scaled, tinted or turned by up to two degrees.
    name : str
        What to call the page in messages.

    Returns
    -------
    Sheet

    Raises
    ------
    EcgbookError
        If this is no page of that form, or hardly a trace is on it; the message says what is missing.

    Examples
    --------
    >>> from ecgbook import synth
    >>> found = sheet(draw.draw_page(synth.record("Normal", 0))[0])
    >>> len(found.curves), found.zero.round().tolist()
    (13, [463.0, 764.0, 1065.0, 1366.0])
    """
    rgb = np.asarray(page if page.mode == "RGB" else page.convert("RGB"))
    to_page = _placed(rgb, name)
    dotted = _stretch(_upright(rgb, to_page), name)
    grey = _without_dots(dotted)
    zero, pulse = _pulses(grey, name)
    bounds = _column_bounds(_separators(grey, name))
    rhythm, names = _read_names(dotted, name)
    area = np.ascontiguousarray(grey[_Y0:_Y1, _X0:_X1].T)
    runs = _runs(area, _hidden(names, bounds))
    radius = _pen(runs, name)
    curves = []
    for x0, x1, rows in (*((*bound, range(3)) for bound in bounds), (_X0, _X1, range(3, 4))):
        for trace in _traces(runs, x0, x1, zero, rows, radius):
            curves.append(_follow(trace, area[x0 - _X0 : x1 - _X0], x0, radius))
    if sum(curve.words == ("missing",) for curve in curves) > 6:
        raise EcgbookError(f"{name}: most of the leads are missing from the form; give a page with traces")
    return Sheet(tuple(curves), zero, pulse, rhythm, to_page)
