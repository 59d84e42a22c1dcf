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
# # Digitise: from page to twelve leads
# The curves that `ecgbook.ink` finds are pixels; here they become millivolts and seconds. The reading is
# then held against what must be true of it whatever the heart did: the laws that tie the leads together, the
# strip that repeats a lead, the printed heart rate. What could not be read is NaN, and no lead is ever
# corrected by another.

# %%
"""Read a page: twelve leads and the rhythm strip in millivolts, with flags where the reading is in doubt."""

import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from scipy.signal import butter, find_peaks, sosfiltfilt

from ecgbook import data, draw, ink
from ecgbook.data import EcgbookError
from ecgbook.draw import FRAME, LEFT, PX_SECOND
from ecgbook.synth import COLUMN, LEADS, Record, span

FS = 250.0  # samples per second of a reading
SAMPLES = 2500  # 10 s


# %% [markdown]
# ## What a reading holds
# Each lead is shown for 2.5 s of the ten; the rhythm strip repeats one lead for all ten. The strip is kept
# apart from the lead of the same name, for the two were drawn, and are read, independently.


# %%
class Reading(NamedTuple):
    """The signals of one page, as read.

    Attributes
    ----------
    leads : (12, 2500) float32 array
        Millivolts on a grid of 10 s, rows in the order of ``LEADS``; NaN where a lead was not shown or not read.
    strip : (2500,) float32 array
        The rhythm strip, millivolts.
    fs : float
        Samples per second, 250.
    rhythm : str
        Name of the lead in the strip, as printed: "II" or "III"; "" if it could not be read.
    starts : tuple of float
        Time at which each of the twelve leads and the strip starts, s.
    flags : tuple of str
        For the twelve leads and the strip, joined by blanks: "gap" (more than 2 % not read), "clipped" (leaves the
        page), "overlap" (touches another trace), "doubtful" (moves more finely than the pen, as with mains hum),
        "missing"; "" where there is nothing to say.
    pulse : float
        Mean height of the calibration pulses, px; 1 mV.
    """

    leads: np.ndarray
    strip: np.ndarray
    fs: float
    rhythm: str
    starts: tuple[float, ...]
    flags: tuple[str, ...]
    pulse: float


STARTS = (*(column * COLUMN for column in range(4) for _ in range(3)), 0.0)


def record(reading: Reading) -> Record:
    """Turn a reading into a record: the strip stands in for its lead outside the lead's own 2.5 s.

    Parameters
    ----------
    reading : Reading
        As from :func:`read` or :func:`load`.

    Returns
    -------
    Record
        Ready to be drawn by :func:`ecgbook.draw.draw_page`; heart rate 0, sex and label empty.

    Examples
    --------
    >>> from ecgbook import synth
    >>> page, _ = draw.draw_page(synth.record("Normal", 0))
    >>> ecg = record(read(page))
    >>> ecg.leads.shape, ecg.rhythm
    ((12, 2500), 'III')
    """
    leads = reading.leads.copy()
    if reading.rhythm:
        row = LEADS.index(reading.rhythm)
        outside = np.ones(SAMPLES, bool)
        outside[span(reading.rhythm)] = False
        leads[row, outside] = reading.strip[outside]
    return Record(leads, reading.fs, reading.rhythm, 0, "", "", {})


# %% [markdown]
# ## Reading a page
# The curve is read off at 250 samples per second, in the window that the form gives each lead. The line
# between two columns hides the last two and the first three samples of the leads at its sides: they stay NaN,
# as does all else that could not be told.


# %%
def _spread(shown: Sequence[np.ndarray]) -> np.ndarray:
    """Put the 2.5 s of each lead in their place on the grid of 10 s; (12, 2500) float32."""
    leads = np.full((12, SAMPLES), np.nan, np.float32)
    for row, (lead, values) in enumerate(zip(LEADS, shown, strict=True)):
        leads[row, span(lead)] = values
    return leads


def _sampled(curve: ink.Curve, start: float, count: int) -> np.ndarray:
    """Heights of a curve, px, at ``count`` samples from ``start`` (s) on; NaN beyond its ends."""
    x = LEFT + start * PX_SECOND + np.arange(count) * (PX_SECOND / FS)
    return np.interp(x, curve.x, curve.y, left=np.nan, right=np.nan)


def read(page: Image.Image, name: str = "page") -> Reading:
    """Read the signals of a page.

    Parameters
    ----------
    page : PIL.Image.Image
        A page of the EDAN SE-3 form, or one drawn by :func:`ecgbook.draw.draw_page`; whole, upright and in
        colour. It may be scaled, tinted or turned by up to two degrees.
    name : str
        What to call the page in messages.

    Returns
    -------
    Reading

    Raises
    ------
    EcgbookError
        If this is no page of that form, or hardly a trace is on it; the message says what is missing.

    See Also
    --------
    ecgbook.ink.sheet : the same before it is turned into millivolts.

    Examples
    --------
    >>> from ecgbook import synth
    >>> ecg = synth.record("MI", 3)
    >>> page, traces = draw.draw_page(ecg)
    >>> reading = read(page)
    >>> reading.rhythm == ecg.rhythm
    True
    >>> bool(np.nanmax(np.abs(reading.strip - traces[-1].samples)) < 0.1)
    True
    """
    found = ink.sheet(page, name)
    signals, flags = [], []
    for i, curve in enumerate(found.curves):
        row, count = (i % 3, round(COLUMN * FS)) if i < 12 else (3, SAMPLES)
        values = (found.zero[row] - _sampled(curve, STARTS[i], count)) / found.pulse
        gap = ("gap",) if curve.words != ("missing",) and np.isnan(values).mean() > 0.02 else ()
        signals.append(values.astype(np.float32))
        flags.append(" ".join(gap + curve.words))
    return Reading(_spread(signals[:12]), signals[12], FS, found.rhythm, STARTS, tuple(flags), found.pulse)


# %% [markdown]
# ## Checks that need no annotation
# Leads obey laws that no printer knows of: Einthoven's, II = I + III, and Goldberger's, aVR + aVL + aVF = 0.
# Both tie together three leads of one column of the form, read apart from three rows. What is left over is
# error of the device, the print and the reading together. The rhythm strip repeats a lead, the page prints a
# heart rate, the pulses should be 1 mV.


# %%
@lru_cache(maxsize=1)
def _low_pass() -> np.ndarray:
    return butter(2, 40, fs=FS, output="sos")


def _smooth(values: np.ndarray) -> np.ndarray:
    """40 Hz low-pass without delay; short gaps are bridged for the filter and stay NaN."""
    known = np.isfinite(values)
    if known.sum() < 50:
        return np.full(len(values), np.nan)
    i = np.arange(len(values))
    smooth = sosfiltfilt(_low_pass(), np.interp(i, i[known], values[known]))
    return np.where(known, smooth, np.nan)


def _rms(values: np.ndarray) -> float:
    known = np.isfinite(values)
    return float(np.sqrt(np.mean(values[known] ** 2))) if known.any() else np.nan


def _column(reading: Reading, lead: str) -> np.ndarray:
    """The 2.5 s of a lead that its column shows; (625,)."""
    return reading.leads[LEADS.index(lead), span(lead)].astype(float)


def _activity(reading: Reading) -> np.ndarray:
    """How fast the leads change together, from 8 to 25 Hz, on the grid of 10 s; (2500,).

    Each lead counts alike, the strip twice; the ends of a lead, where a filter rings, do not count.
    """
    band = butter(2, (8, 25), "bandpass", fs=FS, output="sos")
    total, count = np.zeros(SAMPLES), np.full(SAMPLES, 1e-9)
    for weight, values in ((2, reading.strip), *((1, lead) for lead in reading.leads)):
        known = np.flatnonzero(np.isfinite(values))
        if len(known) < 100:
            continue
        shown = slice(known[0], known[-1] + 1)
        fast = sosfiltfilt(band, np.interp(np.arange(shown.start, shown.stop), known, values[known])) ** 2
        if weight == 1:
            shown, fast = slice(shown.start + 12, shown.stop - 12), fast[12:-12]
        total[shown] += weight * np.minimum(fast / max(np.percentile(fast, 98), 1e-6), 1.5)
        count[shown] += weight
    width = round(0.09 * FS)
    return np.sqrt(np.convolve(total / count, np.ones(width) / width, "same"))


def heart_rate(reading: Reading) -> float:
    """Heart rate from the times of the QRS complexes in all leads and the strip.

    Bursts of fast change mark the complexes; small ones are left out. The rate is that of the usual interval:
    intervals far from the median, after an early beat or a missed one, do not count.

    Returns
    -------
    float
        Beats per minute; NaN with fewer than three beats.

    Examples
    --------
    >>> from ecgbook import synth
    >>> ecg = synth.record("Normal", 5)
    >>> abs(heart_rate(read(draw.draw_page(ecg)[0])) - ecg.heart_rate) < 2
    True
    """
    activity = _activity(reading)
    peaks, found = find_peaks(activity, height=0.5 * np.percentile(activity, 95), distance=round(0.24 * FS))
    if len(peaks) < 3:
        return np.nan
    intervals = np.diff(peaks[found["peak_heights"] > 0.6 * np.median(found["peak_heights"])])
    middle = np.median(intervals)
    usual = intervals[(intervals > 0.75 * middle) & (intervals < 1.35 * middle)]
    return float(60 * FS / usual.mean())


def checks(reading: Reading) -> dict[str, float]:
    """Measure a reading against physics and against itself.

    Parameters
    ----------
    reading : Reading

    Returns
    -------
    dict
        ``einthoven`` and ``goldberger``: RMS of II - I - III over the first and of aVR + aVL + aVF over the second
        column, after a second-order low-pass at 40 Hz without delay, mV. ``strip``: RMS of the strip less the same
        lead in its column, mV. ``pulse``: height of the calibration pulses, mm at 200 dots per inch. ``finite``: the
        least share of samples read among the thirteen traces. ``heart_rate``: beats per minute. ``flags``: number of
        traces with a flag.

    Examples
    --------
    >>> from ecgbook import synth
    >>> found = checks(read(draw.draw_page(synth.record("Normal", 5))[0]))
    >>> found["einthoven"] < 0.02 and found["goldberger"] < 0.02
    True
    """
    one, two, three, right, left, foot = (_column(reading, lead) for lead in LEADS[:6])
    strip = np.nan
    if reading.rhythm:
        strip = _rms(_smooth(reading.strip[span(reading.rhythm)] - _column(reading, reading.rhythm)))
    traces = (*(_column(reading, lead) for lead in LEADS), reading.strip)
    return {
        "einthoven": _rms(_smooth(two - one - three)),
        "goldberger": _rms(_smooth(right + left + foot)),
        "strip": strip,
        "pulse": reading.pulse / draw.PX_MM,
        "finite": float(min(np.isfinite(trace).mean() for trace in traces)),
        "heart_rate": heart_rate(reading),
        "flags": sum(bool(words) for words in reading.flags),
    }


# %% [markdown]
# ## Out to files
# One CSV a page, a row a sample on the grid of 10 s, empty where a lead was not shown or not read; or a WFDB
# record, the format of PhysioNet, for programs that read that.


# %%
def frame(reading: Reading) -> pd.DataFrame:
    """The signals as a table: ``t_s``, the twelve leads and ``rhythm``, millivolts; 2500 rows.

    Examples
    --------
    >>> from ecgbook import synth
    >>> frame(read(draw.draw_page(synth.record("Normal", 5))[0])).columns[[0, 1, -1]].tolist()
    ['t_s', 'I', 'rhythm']
    """
    leads = dict(zip(LEADS, reading.leads, strict=True))
    return pd.DataFrame({"t_s": np.arange(SAMPLES) / FS, **leads, "rhythm": reading.strip})


def csv_text(reading: Reading) -> str:
    """The table of :func:`frame` as CSV: seconds with three decimals, millivolts with four, empty where not read."""
    signals = np.vstack([reading.leads, reading.strip[None]]).T
    microvolt = np.round(signals * 1000, 1)
    lines = [",".join(("t_s", *LEADS, "rhythm"))]
    for i, row in enumerate(microvolt.tolist()):
        cells = ["" if value != value else f"{value / 1000:.4f}" for value in row]
        lines.append(f"{i / FS:.3f}," + ",".join(cells))
    return "\n".join(lines) + "\n"


def write_csv(reading: Reading, path: Path) -> None:
    """Write the table of :func:`frame` as CSV, whole or not at all."""
    data.write_whole(Path(path), csv_text(reading))


def write_wfdb(reading: Reading, path: Path) -> None:
    """Write a WFDB record of 13 signals in format 16, a thousand units to the millivolt.

    Parameters
    ----------
    reading : Reading
    path : pathlib.Path
        Where the header goes; the signals go beside it, with the suffix ``.dat``. WFDB allows letters, digits, ``_``
        and ``-`` in the name of a record: other characters of the name become ``_``.

    Notes
    -----
    A sample that was not read is -32768, which WFDB programs take for missing.
    """
    path = Path(path)
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem).strip("_")
    samples = _packed(np.vstack([reading.leads, reading.strip[None]]))
    lines = [f"{name} {len(samples)} {reading.fs:g} {samples.shape[1]}"]
    for label, row in zip((*LEADS, "rhythm"), samples, strict=True):
        check = int(row.astype(np.int64).sum()) & 0xFFFF
        check -= 0x10000 * (check > 0x7FFF)
        lines.append(f"{name}.dat 16 1000(0)/mV 16 0 {row[0]} {check} 0 {label}")
    lines += [f"# rhythm strip: lead {reading.rhythm or 'unknown'}"]
    with data.writing(path.with_name(f"{name}.dat")) as part:
        part.write_bytes(samples.T.astype("<i2").tobytes())
    data.write_whole(path.with_name(f"{name}.hea"), "\n".join(lines) + "\n")


# %% [markdown]
# ## Held against the page
# The eye is the last judge: the reading in blue over the ink it was read from. All outside the frame is
# painted white, for there stand the number of the exam and the time.


# %%
def overlay(page: Image.Image, reading: Reading, name: str = "page") -> Image.Image:
    """Draw a reading over its page, with header and footer masked.

    Parameters
    ----------
    page : PIL.Image.Image
        The page that was read.
    reading : Reading
        What was read from it.
    name : str
        What to call the page in messages.

    Returns
    -------
    PIL.Image.Image
        A new RGB image of the same size.

    Raises
    ------
    EcgbookError
        If the form is not found on the page.
    """
    found = ink.sheet(page, name)

    def placed(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
        return [tuple(point) for point in np.c_[x, y, np.ones_like(x)] @ found.to_page]

    left, top, right, bottom = FRAME
    mask = Image.new("L", page.size, 0)
    corners = placed(np.array([left, right, right, left], float), np.array([top, top, bottom, bottom], float))
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    image = Image.composite(page.convert("RGB"), Image.new("RGB", page.size, "white"), mask)
    pen = ImageDraw.Draw(image)
    for i, values in enumerate((*(_column(reading, lead) for lead in LEADS), reading.strip)):
        x = LEFT + STARTS[i] * PX_SECOND + np.arange(len(values)) * (PX_SECOND / FS)
        y = found.zero[i % 3 if i < 12 else 3] - values * found.pulse
        edges = np.flatnonzero(np.diff(np.isfinite(y), prepend=False, append=False)).reshape(-1, 2)
        for first, last in edges:
            pen.line(placed(x[first:last], y[first:last]), fill=(0, 110, 255), width=1)
    return image


# %% [markdown]
# ## The carried signals
# The digitised signals of the 491 distinct pages are our own measurement and come with the package, so the
# book can show and measure real ECGs where the pages themselves are absent. Whole microvolts in 16 bits;
# -32768 stands for NaN.

# %%
_NAN = -32768


def _packed(values: np.ndarray) -> np.ndarray:
    microvolt = np.clip(np.round(np.nan_to_num(values) * 1000), -32767, 32767)
    return np.where(np.isfinite(values), microvolt, _NAN).astype(np.int16)


def _unpacked(values: np.ndarray) -> np.ndarray:
    return np.where(values == _NAN, np.nan, values / np.float32(1000)).astype(np.float32)


def save(readings: dict[str, Reading], path: Path) -> None:
    """Write readings to an ``npz`` file.

    Parameters
    ----------
    readings : dict of str to Reading
        By name; k of them.
    path : pathlib.Path
        The file. Its arrays: ``page`` (k,), ``leads`` (k, 12, 625) and ``strip`` (k, 2500) in whole microvolts,
        ``rhythm`` (k,), ``flags`` (k, 13), ``pulse`` (k,); no pickled objects.
    """
    shown = [[_column(reading, lead) for lead in LEADS] for reading in readings.values()]
    with data.writing(Path(path)) as part:
        np.savez_compressed(
            part,
            page=np.array(list(readings)),
            leads=_packed(np.array(shown)),
            strip=_packed(np.array([reading.strip for reading in readings.values()])),
            rhythm=np.array([reading.rhythm for reading in readings.values()]),
            flags=np.array([reading.flags for reading in readings.values()]),
            pulse=np.array([reading.pulse for reading in readings.values()]),
        )


@lru_cache(maxsize=1)
def _carried() -> dict[str, Reading]:
    with np.load(data.tables() / "signals.npz", allow_pickle=False) as store:
        columns = {key: store[key] for key in store.files}
    return {
        str(file): Reading(
            _spread(_unpacked(columns["leads"][i])),  # type: ignore[arg-type]
            _unpacked(columns["strip"][i]),
            FS,
            str(columns["rhythm"][i]),
            STARTS,
            tuple(map(str, columns["flags"][i])),
            float(columns["pulse"][i]),
        )
        for i, file in enumerate(columns["page"])
    }


def signals() -> list[str]:
    """Names of the pages whose signals are carried, in the order of :func:`ecgbook.data.pages`.

    Examples
    --------
    >>> len(signals())
    491
    """
    return list(_carried())


def load(name: str) -> Reading:
    """Carried signals of a page; no data set needed.

    Parameters
    ----------
    name : str
        A published file name. A copy is answered by its first copy.

    Returns
    -------
    Reading
        A fresh copy, yours to change.

    Raises
    ------
    EcgbookError
        If there is no such page.

    Examples
    --------
    >>> load("PMI(12).jpg").leads.shape
    (12, 2500)
    """
    found = _carried().get(name)
    if found is None:
        first = data.files().set_index("file")["first_copy"]
        if name not in first.index:
            raise EcgbookError(f"{name}: no such page; `ecgbook.data.files()` lists them")
        found = _carried()[first[name]]
    return found._replace(leads=found.leads.copy(), strip=found.strip.copy())


# %% [markdown]
# ## Reading them all
# `rebuild` reads the distinct pages on all cores it is given and writes the two tables again.


# %%
def _read_named(name: str) -> Reading:
    return read(data.open_page(name), name)


def read_all(names: Sequence[str], workers: int = 2) -> dict[str, Reading]:
    """Read pages of the data set by name, several at a time; in the order of ``names``."""
    with ProcessPoolExecutor(workers) as pool:
        return dict(zip(names, pool.map(_read_named, names, chunksize=4), strict=True))


def check_table(readings: dict[str, Reading]) -> pd.DataFrame:
    """Check many readings, and set the printed heart rate beside them.

    Parameters
    ----------
    readings : dict of str to Reading
        By published file name.

    Returns
    -------
    pandas.DataFrame
        One row a page: ``file``, ``rhythm``, the columns of :func:`checks`, and ``printed_rate``.
    """
    printed = data.files().set_index("file")["heart_rate"]
    rows = [{"file": name, "rhythm": reading.rhythm, **checks(reading)} for name, reading in readings.items()]
    table = pd.DataFrame(rows)
    table["printed_rate"] = printed.reindex(table["file"]).to_numpy()
    return table


def rebuild(folder: Path | None = None, workers: int = 2) -> pd.DataFrame:
    """Read the 491 distinct pages and write ``signals.npz`` and ``digitize_checks.csv``.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where to write; by default the tables of the package.
    workers : int
        Processes.

    Returns
    -------
    pandas.DataFrame
        The table of checks.
    """
    folder = data.tables() if folder is None else Path(folder)
    readings = read_all(list(data.pages()["file"]), workers)
    save(readings, folder / "signals.npz")
    table = check_table(readings)
    data.write_whole(folder / "digitize_checks.csv", table.round(5).to_csv(index=False, lineterminator="\n"))
    return table
