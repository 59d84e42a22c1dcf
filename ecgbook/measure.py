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
# # Measuring: one row of numbers for each ECG
# A cardiologist's reading starts with numbers: how fast, how regular, how wide, how high, how far from the
# baseline. This module takes them all from a record by the landmarks of the module before, and writes one row of a
# table with a name, a unit and a meaning for every column. What could not be measured stays empty.
#
# Three warnings go with every number. The pages were filtered to 0.67-25 Hz, which lowers Q and R waves and may
# bend the ST segment, so a guideline's threshold applied to them is approximate. Age is not printed, and the
# printed sex may be the machine's default, so thresholds that depend on them rest on assumptions. And nothing here
# was reviewed by a cardiologist: this is no medical device.

# %%
"""From a record to its measurements: rhythm, intervals, amplitudes, ST levels, criteria."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecgbook import beats, data, digitize
from ecgbook.data import EcgbookError, tables, writing
from ecgbook.synth import LEADS, Record

# %% [markdown]
# ## The landmarks of a record
# Everything is measured on the median beat, once for each lead; only the rhythm needs all beats. On a page a lead
# is seen for 2.5 s, so its median is taken over two or three beats, but the marks that align them come from all
# leads.


# %%
class Landmarks(NamedTuple):
    """Beats of a record, their median, and its boundaries.

    Attributes
    ----------
    fs : float
        Samples per second.
    marks : (b,) int array
        All beats, in samples.
    kinds : (b,) int array
        Shape of each beat; 0 is the commonest.
    beat : (12, m) array
        Median beat of kind 0, mV, its mark at sample ``round(beats.BEFORE * fs)``.
    waves : ecgbook.beats.Waves
        Boundaries of P, QRS and T; no P where it does not repeat.
    p_repeats : float
        Correlation of the P wave from beat to beat.
    """

    fs: float
    marks: np.ndarray
    kinds: np.ndarray
    beat: np.ndarray
    waves: beats.Waves
    p_repeats: float


def landmarks(record: Record) -> Landmarks:
    """Find the beats of a record and the boundaries of its median beat.

    Parameters
    ----------
    record : Record
        Digitised or synthetic, NaN where a lead is not shown.

    Returns
    -------
    Landmarks

    See Also
    --------
    measure : the numbers that follow.

    Examples
    --------
    >>> from ecgbook import synth
    >>> found = landmarks(synth.window(synth.record("Normal", 0)))
    >>> found.beat.shape, found.waves.leads.shape
    ((12, 314), (12, 3, 2))
    """
    leads, fs = np.asarray(record.leads, float), record.fs
    marks = beats.find_beats(leads, fs)
    kinds = beats.kinds_of_beats(leads, marks, fs)
    main = kinds == 0
    beat = _median_of_each(leads, marks, kinds, fs)
    waves = beats.boundaries(beat, fs, beats.around(marks, main, fs))
    repeats = beats.p_repeats(leads, marks[main], waves, fs)
    if not repeats > beats.P_REPEATS:
        waves.leads[:, 0], waves.together[0] = np.nan, np.nan
    return Landmarks(fs, marks, kinds, beat, waves, repeats)


def _median_of_each(leads: np.ndarray, marks: np.ndarray, kinds: np.ndarray, fs: float) -> np.ndarray:
    """Median beat (12, m) of kind 0; in a lead that shows no such beat, of the commonest kind it shows."""
    beat = beats.median_beat(leads, marks, kinds == 0, fs)
    for lead, curve in enumerate(leads):
        shown = kinds[np.isfinite(curve[marks])] if marks.size else kinds
        if shown.size and (shown > 0).all():
            beat[lead] = beats.median_beat(curve[None], marks, kinds == np.bincount(shown).argmax(), fs)[0]
    return beat


# %% [markdown]
# ## Rhythm
# RR is the time from one R peak to the next. Fibrillation makes every interval differ from the one before; an
# ectopic beat makes one short interval and, usually, a long one after it. So beside the spread we count premature
# beats (at least 15 % early against the median interval) and beats of another shape.


# %%
def _rhythm(found: Landmarks) -> dict[str, float]:
    rr = 1000 * np.diff(found.marks) / found.fs
    out = {"beats": float(len(found.marks)), "other_shape": float((found.kinds > 0).sum())}
    if not rr.size:
        return out
    usual, change = np.median(rr), np.diff(rr)
    early = rr < 0.85 * usual
    out |= {
        "heart_rate": 60000 / rr.mean(),
        "rr_ms": rr.mean(),
        "rr_median_ms": usual,
        "rr_sd_ms": rr.std(),
        "rr_range": (rr.max() - rr.min()) / usual,
        "rr_rmssd_ms": np.sqrt(np.mean(change**2)) if change.size else np.nan,
        "rr_irregularity": np.median(np.abs(change)) / usual if change.size else np.nan,
        "premature": float(early.sum()),
        "ectopic": float((early & (found.kinds[1:] > 0)).sum()),
    }
    return out


# %% [markdown]
# ## Q, R and S
# Inside the QRS, voltages count from the level just before it. The first upward deflection is r or R; a downward
# one before it is Q, after it S. A complex that only points down is a QS: it is counted as a Q wave, and its depth
# as that of an S too, because the voltage criteria ask how deep V1 goes. Durations are taken where the curve leaves
# and regains 0.02 mV.

# %%
_FLAT = 0.02  # mV; a fifth of a millimetre on the page, less than the width of its trace
_UPWARD = 0.05  # mV; a lower hump is not called an R


def _width(curve: np.ndarray, peak: int, fs: float) -> float:
    """Time (ms) for which the hump of a curve (n,) around ``peak`` stays above ``_FLAT``."""
    ends = []
    for step in (-1, 1):
        here = peak
        while 0 <= here + step < curve.size and curve[here + step] > _FLAT:
            here += step
        there = min(max(here + step, 0), curve.size - 1)
        drop = curve[here] - curve[there]
        part = (curve[here] - _FLAT) / drop if there != here and drop > 0 and curve[there] <= _FLAT else 0.0
        ends.append(here + step * part)
    return 1000 * (ends[1] - ends[0]) / fs


def _hump(curve: np.ndarray, least: float, fs: float) -> tuple[float, float]:
    """Height (mV) and width (ms) of the highest hump of a curve; 0, 0 when lower than ``least``."""
    if not curve.size or curve.max() < least:
        return 0.0, 0.0
    peak = int(np.argmax(curve))
    return float(curve[peak]), _width(curve, peak, fs)


def _q_r_s(qrs: np.ndarray, fs: float) -> dict[str, float]:
    """Depth or height (mV) and duration (ms) of Q, R and S of one lead's QRS (n,), baseline at 0."""
    r, r_ms = _hump(qrs, _UPWARD, fs)
    if r == 0:
        depth, width = _hump(-qrs, _FLAT, fs)
        return {"q_mv": depth, "q_ms": width, "r_mv": 0.0, "r_ms": 0.0, "s_mv": depth, "s_ms": width}
    first = int(np.argmax(qrs > _UPWARD))
    while first > 0 and qrs[first - 1] > _FLAT:
        first -= 1  # where the first upward deflection starts
    q, q_ms = _hump(-qrs[:first], _FLAT, fs)
    s, s_ms = _hump(-qrs[first:], _FLAT, fs)
    return {"q_mv": q, "q_ms": q_ms, "r_mv": r, "r_ms": r_ms, "s_mv": s, "s_ms": s_ms}


# %% [markdown]
# ## ST, T and P
# The ST level is read at the J point (the end of the QRS in this lead) and 40, 60 and 80 ms after it, against the
# level just before the QRS, which is where the Universal Definition puts the zero. The T wave is its largest
# departure from that level, with its sign; the P wave is measured from the line that joins its ends, for it often
# rides on a slope.


# %%
def _at(curve: np.ndarray, sample: float) -> float:
    """Value of a curve (n,) between its samples; NaN outside or in a gap."""
    low = int(np.floor(sample)) if np.isfinite(sample) else -1
    if not 0 <= low < curve.size - 1:
        return np.nan
    return float(curve[low] + (sample - low) * (curve[low + 1] - curve[low]))


def _extreme(curve: np.ndarray) -> float:
    """Value farthest from 0 of the known part of a curve; NaN when nothing is known."""
    known = curve[np.isfinite(curve)]
    return float(known[np.argmax(np.abs(known))]) if known.size else np.nan


def _between(curve: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Samples of a curve from onset to offset (in samples); empty where one is NaN."""
    if not np.isfinite(edges).all():
        return curve[:0]
    start, stop = np.clip(np.round(edges).astype(int), 0, curve.size)
    return curve[start : max(stop + 1, start)]


def _st(curve: np.ndarray, j: float, fs: float) -> dict[str, float]:
    """ST levels (mV) and slope (mV/s) of one lead, J point in samples."""
    out = {f"st{ms or 'j'}_mv": _at(curve, j + ms * fs / 1000) for ms in (0, 40, 60, 80)}
    return out | {"st_slope": (out["st80_mv"] - out["stj_mv"]) / 0.080}


_FLAT_T = 0.05  # mV


def _t(curve: np.ndarray, edges: np.ndarray, fs: float) -> dict[str, float]:
    """T wave of one lead: height with sign (mV), duration (ms), polarity."""
    wave = _between(curve, edges)
    height = _extreme(wave)
    polarity = np.sign(height) * (abs(height) >= _FLAT_T)
    if wave.size and np.nanmax(wave) >= _FLAT_T and np.nanmin(wave) <= -_FLAT_T:
        polarity = 0.0  # both ways
    return {"t_mv": height, "t_ms": 1000 * np.diff(edges)[0] / fs, "t_polarity": polarity}


def _p(curve: np.ndarray, edges: np.ndarray, fs: float) -> dict[str, float]:
    """P wave of one lead: height with sign (mV) over its chord, duration (ms)."""
    wave = _between(curve, edges)
    chord = np.linspace(wave[0], wave[-1], wave.size) if wave.size else wave
    return {"p_mv": _extreme(wave - chord), "p_ms": 1000 * np.diff(edges)[0] / fs}


def _lead(curve: np.ndarray, edges: np.ndarray, fs: float) -> dict[str, float]:
    """All measurements of one lead of the median beat, boundaries (3, 2) in samples."""
    onset, offset = edges[1]
    if not np.isfinite(onset + offset):
        return {}
    level = _between(curve, np.array([onset - 0.024 * fs, onset - 0.008 * fs]))
    zero = np.mean(level) if level.size else np.nan
    qrs = _between(curve - zero, edges[1])
    if not qrs.size or not np.isfinite(qrs).all():
        return {}
    out = _p(curve, edges[0], fs) | _q_r_s(qrs, fs) | _st(curve - zero, offset, fs)
    return out | _t(curve - zero, edges[2], fs) | {"qrs_area": float(qrs.sum()) * 1000 / fs}


# %% [markdown]
# ## Intervals and axis
# Intervals belong to the heart, not to a lead, so they use the boundaries of all leads together. The QT interval
# shortens with the RR interval; Bazett divides it by the square root of RR, Fridericia by the cube root. The axis
# is the direction of the arrow that explains the QRS areas of the six limb leads best: lead II looks along 60
# degrees, aVF along 90, and the augmented leads see it {math}`\sqrt 3 / 2` times as large.

# %%
_ANGLES = np.radians([0, 60, 120, -150, -30, 90])  # I, II, III, aVR, aVL, aVF
_LIMB = np.c_[np.cos(_ANGLES), np.sin(_ANGLES)] * np.array([1, 1, 1, *[np.sqrt(3) / 2] * 3])[:, None]


def axis(limb: np.ndarray) -> float:
    """Frontal axis that explains the limb leads best.

    Parameters
    ----------
    limb : (6,) array
        Net size of a wave in I, II, III, aVR, aVL, aVF, in any one unit; NaN where not known.

    Returns
    -------
    float
        Degrees from -180 to 180, 0 to the patient's left and 90 to the feet; NaN with fewer than two leads or
        when nothing points anywhere.

    Examples
    --------
    >>> round(axis(np.array([1.0, 1.0, 0.0, -1.0, 0.5, 0.5])), 1)
    30.0
    """
    known = np.isfinite(limb)
    if known.sum() < 2 or np.linalg.matrix_rank(_LIMB[known]) < 2:
        return np.nan
    x, y = np.linalg.lstsq(_LIMB[known], limb[known], rcond=None)[0]
    return float(np.degrees(np.arctan2(y, x))) if np.hypot(x, y) > 1e-9 else np.nan


def _intervals(together: np.ndarray, rr_ms: float) -> dict[str, float]:
    """Intervals in ms from the boundaries (3, 2) of all leads together, s."""
    (p_on, p_off), (qrs_on, qrs_off), (_, t_off) = 1000 * together
    qt, rr = t_off - qrs_on, rr_ms / 1000
    return {
        "p_ms": p_off - p_on,
        "pr_ms": qrs_on - p_on,
        "qrs_ms": qrs_off - qrs_on,
        "qt_ms": qt,
        "qtc_bazett_ms": qt / np.sqrt(rr),
        "qtc_fridericia_ms": qt / np.cbrt(rr),
    }


# %% [markdown]
# ## Voltage and R-wave progression
# Sokolow and Lyon add the S of V1 to the larger R of V5 and V6 (hypertrophy from 3.5 mV), Cornell the R of aVL to
# the S of V3 (from 2.8 mV in men, 2.0 in women). From V1 to V6 the R should grow and the S shrink; where R first
# outweighs S lies the transition, normally about V3 or V4. A scar in the anterior wall removes R there.


# %%
def _voltages(per_lead: pd.DataFrame) -> dict[str, float]:
    r, s = per_lead["r_mv"], per_lead["s_mv"]
    chest = [f"V{i}" for i in range(1, 7)]
    return {
        "sokolow_lyon_mv": s["V1"] + r[["V5", "V6"]].max(skipna=False),
        "cornell_mv": r["aVL"] + s["V3"],
        "transition": _transition(r[chest].to_numpy(), s[chest].to_numpy()),
        "r_progression": float(np.nansum(np.maximum(-np.diff(r[chest[:5]]), 0)))
        if r[chest[:5]].notna().all()
        else np.nan,
    }


def _transition(r: np.ndarray, s: np.ndarray) -> float:
    """Chest lead (1 to 6, between leads by interpolation) where R comes to outweigh S; 0.5 before V1, 6.5 after V6."""
    balance = r - s
    if not np.isfinite(balance).all():
        return np.nan
    if balance[0] >= 0:
        return 0.5
    if (balance < 0).all():
        return 6.5
    after = int(np.argmax(balance >= 0))
    return after + balance[after - 1] / (balance[after - 1] - balance[after])


# %% [markdown]
# ## Criteria of infarction
# The *Fourth Universal Definition of Myocardial Infarction* (Thygesen et al., 2018) asks for a sign in two
# contiguous leads, that is neighbours that look at one wall. *ST elevation*: at the J point 0.1 mV; in V2 and V3
# 0.2 mV in men from 40, 0.25 mV in younger men, 0.15 mV in women. Age being unknown we use 0.2 mV for men, and also
# where no sex is printed, and 0.15 mV where "Female" is. *Pathological Q*: in V2 and V3 longer than 20 ms, or QS;
# in I, II, aVL, aVF and V4 to V6 at least 30 ms and 0.1 mV, or QS, in two contiguous leads. *ST depression*: 0.05
# mV; *T inversion*: 0.1 mV where R outweighs S. On pages filtered at 0.67-25 Hz each of these is an approximation.

# %%
TERRITORIES = {
    "anterior": (("V1", "V2"), ("V2", "V3"), ("V3", "V4")),
    "lateral": (("I", "aVL"), ("V4", "V5"), ("V5", "V6")),
    "inferior": (("II", "aVF"), ("III", "aVF"), ("II", "III")),
}


def _signs(per_lead: pd.DataFrame, sex: str) -> pd.DataFrame:
    """Which lead shows which sign: 1, 0, or NaN where it was not measured; rows are leads."""
    get = per_lead.get
    limit = pd.Series(0.1, per_lead.index)
    limit[["V2", "V3"]] = 0.15 if sex == "Female" else 0.2
    qs = (get("r_mv") == 0) & (get("q_mv") >= 0.1)
    q = qs | (get("q_ms") >= 30) & (get("q_mv") >= 0.1)
    septal = per_lead.index.isin(["V2", "V3"])
    q = q.where(~septal, qs | (get("q_ms") > 20) & (get("q_mv") > _UPWARD))
    signs = {
        "st_up": get("stj_mv") >= limit,
        "st_down": (get("stj_mv") <= -0.05) & (get("st60_mv") <= -0.05),
        "q": q,
        "t_inverted": (get("t_mv") <= -0.1) & (get("r_mv") > get("s_mv")),
    }
    return pd.DataFrame(signs).astype(float).where(get("stj_mv").notna(), np.nan)


def _criteria(per_lead: pd.DataFrame, sex: str) -> dict[str, float]:
    """Signs in two contiguous leads, by territory."""
    signs, out = _signs(per_lead, sex), {}
    signs.loc["V1", "q"] = 0.0 * signs.loc["V1", "q"]  # a QS in V1 is common in health
    for sign in signs:
        for wall, pairs in TERRITORIES.items():
            both = [signs.at[a, sign] * signs.at[b, sign] for a, b in pairs]
            out[f"{sign}_{wall}"] = np.nan if np.isnan(both).all() else float(np.nanmax(both))
    septal = signs.loc[["V2", "V3"], "q"]
    if (septal == 1).any():  # in V2 or V3 one lead is enough
        out["q_anterior"] = 1.0
    return out


# %% [markdown]
# ## The columns
# First what belongs to the record, then fifteen numbers for each lead, named `lead_what`.

# %%
_OF_RECORD = {
    "beats": ("", "beats found"),
    "heart_rate": ("1/min", "60 over the mean RR interval"),
    "rr_ms": ("ms", "mean RR interval"),
    "rr_median_ms": ("ms", "median RR interval"),
    "rr_sd_ms": ("ms", "standard deviation of the RR intervals"),
    "rr_rmssd_ms": ("ms", "root mean square of the differences of neighbouring RR intervals"),
    "rr_range": ("", "longest minus shortest RR interval, over the median"),
    "rr_irregularity": ("", "median difference of neighbouring RR intervals, over the median interval"),
    "premature": ("", "beats at least 15 % early against the median RR interval"),
    "other_shape": ("", "beats whose QRS has not the commonest shape"),
    "ectopic": ("", "beats both premature and of another shape"),
    "p_repeats": ("", "correlation of the slopes before the QRS from beat to beat; a P wave above 0.5"),
    "p_seen": ("0/1", "a P wave was found"),
    "p_ms": ("ms", "duration of the P wave"),
    "pr_ms": ("ms", "onset of P to onset of QRS"),
    "qrs_ms": ("ms", "duration of the QRS"),
    "qt_ms": ("ms", "onset of QRS to end of T"),
    "qtc_bazett_ms": ("ms", "QT over the square root of the mean RR interval in s"),
    "qtc_fridericia_ms": ("ms", "QT over the cube root of the mean RR interval in s"),
    "axis_deg": ("degree", "frontal axis of the QRS areas"),
    "t_axis_deg": ("degree", "frontal axis of the T heights"),
    "qrs_t_angle_deg": ("degree", "angle between the two, 0 to 180"),
    "sokolow_lyon_mv": ("mV", "S of V1 plus the larger R of V5 and V6"),
    "cornell_mv": ("mV", "R of aVL plus S of V3"),
    "transition": ("", "chest lead where R comes to outweigh S, 0.5 (before V1) to 6.5 (after V6)"),
    "r_progression": (
        "mV",
        "height that R loses from lead to lead, summed over V1 to V5; 0 if it only grows",
    ),
}
_SIGNS = {
    "st_up": "ST elevation",
    "st_down": "ST depression",
    "q": "pathological Q",
    "t_inverted": "T inversion",
}
_OF_LEAD = {
    "p_mv": ("mV", "height of P with its sign, over the line that joins its ends"),
    "p_ms": ("ms", "duration of P"),
    "q_mv": ("mV", "depth of Q (of QS where there is no R)"),
    "q_ms": ("ms", "duration of Q"),
    "r_mv": ("mV", "height of the tallest R"),
    "r_ms": ("ms", "its duration"),
    "s_mv": ("mV", "depth of S (of QS where there is no R)"),
    "s_ms": ("ms", "duration of S"),
    "stj_mv": ("mV", "ST level at the J point"),
    "st40_mv": ("mV", "ST level 40 ms later"),
    "st60_mv": ("mV", "ST level 60 ms later"),
    "st80_mv": ("mV", "ST level 80 ms later"),
    "st_slope": ("mV/s", "slope of ST from the J point to 80 ms later"),
    "t_mv": ("mV", "height of T with its sign"),
    "t_ms": ("ms", "duration of T"),
    "t_polarity": ("-1/0/1", "T inverted, flat (below 0.05 mV) or both ways, upright"),
    "qrs_area": ("mV ms", "area of the QRS with its sign"),
}

#: Name of every column of the table of measurements -> (unit, meaning).
COLUMNS: dict[str, tuple[str, str]] = (
    _OF_RECORD
    | {
        f"{sign}_{wall}": ("0/1", f"{what} in contiguous {wall} leads, after the Universal Definition")
        for sign, what in _SIGNS.items()
        for wall in TERRITORIES
    }
    | {f"{lead}_{key}": (unit, f"{lead}: {what}") for lead in LEADS for key, (unit, what) in _OF_LEAD.items()}
)


# %% [markdown]
# ## One record, one row


# %%
def of_landmarks(found: Landmarks, sex: str) -> dict[str, float]:
    """Measure a record whose landmarks are known.

    Parameters
    ----------
    found : Landmarks
        From :func:`landmarks`.
    sex : str
        "Male", "Female" or ""; decides the limits of V2 and V3.

    Returns
    -------
    dict
        As :func:`measure`.
    """
    edges = (found.waves.leads + beats.BEFORE) * found.fs
    rows = [_lead(curve, edge, found.fs) for curve, edge in zip(found.beat, edges, strict=True)]
    per_lead = pd.DataFrame(rows, index=list(LEADS), columns=list(_OF_LEAD), dtype=float)
    out = _rhythm(found)
    out |= _intervals(found.waves.together, out.get("rr_ms", np.nan))
    qrs, t = axis(per_lead["qrs_area"].to_numpy()[:6]), axis(per_lead["t_mv"].to_numpy()[:6])
    out |= {"p_repeats": found.p_repeats, "p_seen": float(np.isfinite(found.waves.together[0, 0]))}
    out |= {"axis_deg": qrs, "t_axis_deg": t, "qrs_t_angle_deg": abs((qrs - t + 180) % 360 - 180)}
    out |= _voltages(per_lead) | _criteria(per_lead, sex)
    out |= {f"{lead}_{key}": value for lead, row in per_lead.iterrows() for key, value in row.items()}
    return {name: float(out.get(name, np.nan)) for name in COLUMNS}


def measure(record: Record) -> dict[str, float]:
    """Measure a record.

    Parameters
    ----------
    record : Record
        Digitised or synthetic, at any sampling rate; NaN where a lead is not shown.

    Returns
    -------
    dict
        A float for every name in ``COLUMNS``, in that order; NaN for what could not be measured.

    See Also
    --------
    table : many records.

    References
    ----------
    K. Thygesen et al., "Fourth Universal Definition of Myocardial Infarction", Circulation 138, e618 (2018).

    Examples
    --------
    >>> from ecgbook import synth
    >>> ecg = synth.window(synth.record("MI", 7))
    >>> row = measure(ecg)
    >>> list(row) == list(COLUMNS), abs(row["heart_rate"] - ecg.heart_rate) < 3
    (True, True)
    """
    return of_landmarks(landmarks(record), record.sex)


# %% [markdown]
# ## Many records
# The table of all 491 pages is carried in the package, with their median beats; one call makes both anew from the
# carried signals. Median beats are kept from 0.35 s before to 0.55 s after the mark, in whole microvolts.

# %%
_KEPT = (0.35, 0.55)  # s
_UNKNOWN = np.iinfo(np.int16).min
_DECIMALS = 3  # of a column


def _kept(found: Landmarks) -> np.ndarray:
    mark = round(beats.BEFORE * found.fs)
    start, stop = mark - round(_KEPT[0] * found.fs), mark + round(_KEPT[1] * found.fs)
    return found.beat[:, start:stop]


def table(records: Iterable[tuple[str, Record]]) -> tuple[pd.DataFrame, np.ndarray]:
    """Measure many records.

    Parameters
    ----------
    records : iterable of (str, Record)
        Names and records, all at one sampling rate.

    Returns
    -------
    measurements : pandas.DataFrame
        One row a record: ``file``, then ``COLUMNS`` as floats.
    median_beats : (r, 12, m) float32 array
        From 0.35 s before the mark to 0.55 s after it, mV, NaN where not known.
    """
    names, rows, kept = [], [], []
    for name, record in records:
        found = landmarks(record)
        names.append(name)
        rows.append(of_landmarks(found, record.sex))
        kept.append(_kept(found))
    frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype=float).round(_DECIMALS)
    frame.insert(0, "file", names)
    return frame, np.array(kept, np.float32)


def write(frame: pd.DataFrame, kept: np.ndarray, folder: Path) -> None:
    """Write ``measurements.csv`` and ``median_beats.npz``, each whole or not at all."""
    with writing(folder / "measurements.csv") as part:
        frame.to_csv(part, index=False, lineterminator="\n")
    whole = np.clip(np.round(np.nan_to_num(1000 * kept, nan=0.0)), _UNKNOWN + 1, -(_UNKNOWN + 1))
    whole = np.where(np.isfinite(kept), whole, _UNKNOWN).astype(np.int16)
    with writing(folder / "median_beats.npz") as part:
        np.savez_compressed(part, page=frame["file"].to_numpy(str), microvolt=whole)


def _carried_records() -> Iterable[tuple[str, Record]]:
    """The digitised records of the distinct pages with the printed sex."""
    for page in data.pages().itertuples():
        record = digitize.record(digitize.load(page.file))
        yield page.file, record._replace(sex=page.sex)


def rebuild(folder: Path | None = None) -> pd.DataFrame:
    """Measure the carried signals of the 491 pages and write both tables anew.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where to write; by default the tables of the package.

    Returns
    -------
    pandas.DataFrame
        The measurements.
    """
    frame, kept = table(_carried_records())
    write(frame, kept, tables() if folder is None else Path(folder))
    return frame


def _carried(name: str) -> Path:
    path = tables() / name
    if not path.is_file():
        raise EcgbookError(f"{path}: is not there; make it with ecgbook.measure.rebuild()")
    return path


@lru_cache(maxsize=1)
def _measurements() -> pd.DataFrame:
    return pd.read_csv(_carried("measurements.csv"), dtype={"file": str} | dict.fromkeys(COLUMNS, "float64"))


def measurements() -> pd.DataFrame:
    """Read the carried measurements: ``file`` and ``COLUMNS``, one row for each of the distinct pages.

    Examples
    --------
    >>> frame = measurements()
    >>> len(frame), frame.columns[1], frame.dtypes.iloc[1:].unique().tolist()
    (491, 'beats', [dtype('float64')])
    """
    return _measurements().copy()


def median_beats() -> tuple[list[str], np.ndarray]:
    """Read the carried median beats.

    Returns
    -------
    files : list of str
        In the order of :func:`measurements`.
    beats : (491, 12, 226) float32 array
        Millivolts at 250 Hz from 0.35 s before the mark; NaN where not known.

    Examples
    --------
    >>> median_beats()[1].shape
    (491, 12, 226)
    """
    with np.load(_carried("median_beats.npz"), allow_pickle=False) as store:
        files, whole = store["page"], store["microvolt"]
    return files.tolist(), np.where(whole == _UNKNOWN, np.nan, whole / 1000).astype(np.float32)
