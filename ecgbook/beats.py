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
# # Beats: where each wave begins and ends
# Everything a reader measures on an ECG is measured between landmarks: the R peaks, and the beginning and end of
# the P wave, the QRS complex and the T wave. This module finds them. Its one idea is to use the leads *together*: a
# heartbeat is a single event that every lead sees from its own side, so a wave that is flat in one lead is steep in
# another. A landmark is first sought in all leads at once, then in each lead alone, and a lead is believed in
# proportion to how much of the wave it shows.

# %%
"""Find beats, average them, and find the boundaries of their waves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

# %% [markdown]
# ## Slopes, with gaps allowed
# Boundaries are places where a curve stops being flat, so we look at slopes rather than at levels: a slope ignores
# the baseline. A raw difference would be mostly noise, and the remedy is the derivative of a Gaussian, which
# smooths and differentiates in one step; its width {math}`\sigma` says how long a wave has to be to be seen. A page
# shows each lead for 2.5 s only, so every function here lets NaN stand for "not recorded" and never reaches across
# a gap.


# %%
def _stretches(known: np.ndarray) -> np.ndarray:
    """First and one past the last index of each stretch of True in (n,); (s, 2)."""
    return np.flatnonzero(np.diff(np.r_[0, known.astype(np.int8), 0])).reshape(-1, 2)


def gaussian_derivative(leads: np.ndarray, fs: float, sigma: float, order: int = 1) -> np.ndarray:
    """Derivative of the signals smoothed by a Gaussian, stretch by stretch.

    Parameters
    ----------
    leads : (k, n) array
        Signals, NaN where nothing is known.
    fs : float
        Samples per second.
    sigma : float
        Standard deviation of the Gaussian, s.
    order : int
        1 for the slope, 2 for the curvature.

    Returns
    -------
    (k, n) array
        Unit of the signals over s (or s squared); NaN where the signals are, and on stretches shorter than
        six standard deviations.

    Examples
    --------
    >>> ramp = np.arange(250.0)[None] / 250  # rises by 1 in a second
    >>> gaussian_derivative(ramp, 250, 0.01)[0, 100:103].round(2).tolist()
    [1.0, 1.0, 1.0]
    """
    leads = np.asarray(leads, float)
    out = np.full(leads.shape, np.nan)
    width = sigma * fs
    for row, known in enumerate(np.isfinite(leads)):
        for start, stop in _stretches(known):
            if stop - start >= 6 * width:
                piece = leads[row, start:stop] - leads[row, start]  # the cut-off kernel of order 2 has a sum
                out[row, start:stop] = (
                    gaussian_filter1d(piece, width, order=order, mode="nearest") * fs**order
                )
    return out


def _together(slopes: np.ndarray) -> np.ndarray:
    """Root mean square over the leads that are known, 0 where none is; (k, n) to (n,)."""
    known = np.isfinite(slopes)
    total = np.where(known, slopes, 0.0) ** 2
    return np.sqrt(total.sum(axis=0) / np.maximum(known.sum(axis=0), 1))


# %% [markdown]
# ## Finding the beats
# The QRS complex is the sharpest thing on an ECG: its curve bends most. Slope would be the simpler measure, but the
# tall T wave of a fresh infarction can be as steep as a QRS, and never bends as sharply. Each lead's curvature is
# divided by its own sharpest part, so that a small lead has a voice too (but not a lead that is nothing but noise,
# hence the floor), and no lead may shout: one lead's artefact is capped. The root mean square over the leads
# present, smoothed, is the *activity*: one hump a beat. Humps below a third of the usual height are other waves; so
# is a lower hump soon after a high one, which is its T wave. A gap half as long again as usual is searched once
# more for a lower hump: wide ventricular beats are blunt, and the edge of a page's column may cut a beat.

# %%
_QRS_SIGMA = 0.010  # s; its second derivative passes 15 to 25 Hz best, more than any other wave holds
_REFRACTORY = 0.22  # s; no ventricle beats again sooner
_T_WAVE = 0.42  # s at 60 beats a minute; the T wave has ended after this, and sooner in a faster rhythm


def activity(leads: np.ndarray, fs: float) -> np.ndarray:
    """Sharpness of all leads together: one hump a beat.

    Parameters
    ----------
    leads : (k, n) array
        Signals in mV, NaN where nothing is known.
    fs : float
        Samples per second.

    Returns
    -------
    (n,) array
        Without unit, about 1 at the top of a QRS; 0 where no lead is known.
    """
    sharp = np.abs(gaussian_derivative(leads, fs, _QRS_SIGMA, order=2))
    pieces = [row[np.isfinite(row)] for row in sharp]
    usual = np.array([np.quantile(piece, 0.97) if piece.size else np.nan for piece in pieces])
    if not np.isfinite(usual).any() or not np.nanmax(usual) > 0:
        return np.zeros(sharp.shape[1])
    scale = np.fmax(usual, 0.4 * np.nanmedian(usual))
    return gaussian_filter1d(_together(np.minimum(sharp / scale[:, None], 3.0)), 0.025 * fs)


def _humps(curve: np.ndarray, fs: float) -> np.ndarray:
    """Samples of the humps of the activity that are beats; (b,)."""
    peaks, _ = find_peaks(np.r_[0, curve, 0], distance=max(1, round(_REFRACTORY * fs)))
    peaks = peaks - 1
    if not peaks.size:
        return peaks
    usual = np.median(
        np.sort(curve[peaks])[-max(3, round(curve.size / fs / 2)) :]
    )  # at least one beat in 2 s
    sure = peaks[curve[peaks] > 0.6 * usual]
    rr = np.median(np.diff(sure)) / fs if sure.size > 1 else 1.0
    t_wave = _T_WAVE * np.sqrt(min(rr, 1.0)) * fs
    beats: list[int] = []
    for peak in peaks[curve[peaks] > 0.33 * usual]:
        gap = peak - beats[-1] if beats else np.inf
        if gap < t_wave and curve[peak] < 0.6 * curve[beats[-1]]:
            continue
        if gap < 0.3 * fs and curve[beats[-1]] < 0.6 * curve[peak]:
            beats.pop()  # what stood before was the start of this beat
        beats.append(int(peak))
    return _with_missed(np.array(beats, int), curve, peaks, 0.15 * usual, t_wave)


def _with_missed(
    beats: np.ndarray, curve: np.ndarray, peaks: np.ndarray, least: float, t_wave: float
) -> np.ndarray:
    """Add the highest hump above ``least`` in each long gap between beats, clear of the T wave and of the next beat."""
    gaps = np.diff(beats)
    if not gaps.size:
        return beats
    usual, found = np.median(gaps), list(beats)
    for start, gap in zip(beats, gaps, strict=False):
        first, last = start + max(t_wave, 0.45 * usual), start + gap - 0.45 * usual
        inside = peaks[(peaks > first) & (peaks < last)]
        if gap > 1.5 * usual and inside.size and curve[inside].max() > least:
            found.append(int(inside[np.argmax(curve[inside])]))
    return np.array(sorted(found), int)


# %% [markdown]
# ## The same point in every beat
# Beats are averaged and compared, so the mark has to sit at the same phase of each. The hump's top is a start; then
# every beat is shifted until its slopes fit the median beat best, in all leads it is seen in. On a page two columns
# have no beat in common; the rhythm strip sees all of them, and so each column as a whole is shifted to fit the
# strip.

# %%
_REACH = 0.08  # s around the mark that are compared
_SHIFT = 0.032  # s, the most a beat may move in one round


def _windows(signals: np.ndarray, marks: np.ndarray, before: int, after: int) -> np.ndarray:
    """Pieces of the signals around each mark, NaN beyond the ends; (b, k, before + after + 1)."""
    padded = np.pad(signals, ((0, 0), (before, after)), constant_values=np.nan)
    views = sliding_window_view(padded, before + after + 1, axis=1)
    return views[:, marks].transpose(1, 0, 2)


def _median(pieces: np.ndarray) -> np.ndarray:
    """Median over the first axis of what is known; NaN, without a warning, where nothing is."""
    ordered = np.sort(pieces, axis=0)  # NaN goes to the end
    count = np.isfinite(pieces).sum(axis=0)[None]
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=0)[0]
    high = np.take_along_axis(ordered, np.minimum(count // 2, len(ordered) - 1), axis=0)[0]
    return np.where(count[0] > 0, (low + high) / 2, np.nan)


def _fits(slopes: np.ndarray, marks: np.ndarray, template: np.ndarray, most: int) -> np.ndarray:
    """Agreement of every beat with the template (k, w) at each shift of up to ``most`` samples; (b, 2 most + 1)."""
    reach = template.shape[1] // 2
    wide = np.nan_to_num(_windows(slopes, marks, reach + most, reach + most))
    return np.einsum("bksw,kw->bs", sliding_window_view(wide, template.shape[1], axis=2), template)


def _align(slopes: np.ndarray, marks: np.ndarray, fs: float) -> np.ndarray:
    """Shift the marks until the slopes of all beats agree best with their median."""
    reach, most = round(_REACH * fs), max(1, round(_SHIFT * fs))
    known = np.isfinite(slopes[:, marks]).T  # (b, k)
    throughout = known.mean(axis=0) > 0.9  # leads that see all columns
    columns = np.unique(known, axis=0, return_inverse=True)[1].ravel()
    for _ in range(3):
        template = np.nan_to_num(_median(_windows(slopes, marks, reach, reach)))
        step = np.argmax(_fits(slopes, marks, template, most), axis=1) - most
        marks = np.clip(marks + step - int(np.round(np.median(step))), 0, slopes.shape[1] - 1)
        if columns.any() and throughout.any():
            template = np.nan_to_num(_median(_windows(slopes[throughout], marks, reach, reach)))
            fit = _fits(slopes[throughout], marks, template, most)
            for column in range(columns.max() + 1):
                here = columns == column
                marks[here] += int(np.argmax(fit[here].sum(axis=0))) - most
            marks = np.clip(marks, 0, slopes.shape[1] - 1)
    return marks


# %% [markdown]
# ## Beats of one shape
# A premature ventricular beat must not enter the average of the normal ones. Two beats have one shape if the slopes
# of their QRS correlate in the leads that see both; on a page that is mostly the rhythm strip. One beat against one
# beat is a noisy comparison, so the largest group of like beats is averaged and every beat is compared with that
# average. A rhythm strip that shows next to nothing of the QRS cannot tell beats apart, and does not: a difference
# has to be large against the usual QRS. This group is kind 0, *the* beat of the record.

# %%
_ALIKE = 0.8  # correlation of a beat with the average of its kind
_SIZE = 0.5  # and the smaller has at least half the size of the larger
_SMALL = 0.1  # or the power of the difference is below this share of the usual power of a QRS


def _correlation(pieces: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation, without centring, of pieces (b, w) with others (c, w) over what both show, and ratio of sizes.

    Both (b, c), the smaller size over the larger; NaN where the two share nothing.
    """
    known, known_too = np.isfinite(pieces), np.isfinite(others)
    pieces, others = np.where(known, pieces, 0.0), np.where(known_too, others, 0.0)
    power, power_too = pieces**2 @ known_too.T, (others**2 @ known.T).T
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = pieces @ others.T / np.sqrt(power * power_too)
        size = np.sqrt(np.minimum(power, power_too) / np.maximum(power, power_too))
    return correlation, size


def _difference(pieces: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mean square of pieces (b, w) minus others (c, w) over what both show, NaN where that is nothing; (b, c)."""
    known, known_too = np.isfinite(pieces).astype(float), np.isfinite(others).astype(float)
    pieces, others = np.nan_to_num(pieces), np.nan_to_num(others)
    total = pieces**2 @ known_too.T + known @ (others**2).T - 2 * pieces @ others.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / (known @ known_too.T)


def _alike(pieces: np.ndarray, others: np.ndarray, usual: float) -> np.ndarray:
    """Whether pieces (b, w) and others (c, w) have one shape, or differ little against the usual power; (b, c)."""
    correlation, size = _correlation(pieces, others)
    same = np.isnan(correlation) | (correlation > _ALIKE) & (size >= _SIZE)
    return same | (_difference(pieces, others) < _SMALL * usual)


def _power(pieces: np.ndarray) -> np.ndarray:
    """Mean square of what is known of each piece (b, w), NaN where nothing is; (b,)."""
    known = np.isfinite(pieces).sum(axis=1)
    return np.where(known > 0, (np.nan_to_num(pieces) ** 2).sum(axis=1) / np.maximum(known, 1), np.nan)


def kinds_of_beats(leads: np.ndarray, marks: np.ndarray, fs: float) -> np.ndarray:
    """Sort beats by the shape of their QRS.

    Parameters
    ----------
    leads : (k, n) array
        Signals in mV, NaN where nothing is known.
    marks : (b,) int array
        Beats, in samples.
    fs : float
        Samples per second.

    Returns
    -------
    (b,) int array
        0 for the commonest shape, then 1, 2, ...
    """
    if not len(marks):
        return np.zeros(0, int)
    reach = round(0.1 * fs)
    pieces = _windows(gaussian_derivative(leads, fs, 0.010), marks, reach, reach).reshape(len(marks), -1)
    usual = _nanmedian(_power(pieces))
    alike = _alike(pieces, pieces, usual)
    kinds = np.full(len(marks), -1)
    for kind in range(len(marks)):
        free = kinds < 0
        if not free.any():
            break
        seed = int(np.argmax(np.where(free, (alike & free).sum(axis=1), -1)))
        like_seed = free & alike[seed] | (np.arange(len(marks)) == seed)
        average = _median(pieces[like_seed])[None]
        kinds[like_seed | free & _alike(pieces, average, usual)[:, 0]] = kind
    return _swapped_if_early(kinds, marks)


def _swapped_if_early(kinds: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """In bigeminy every other beat is premature: where kinds 0 and 1 tie, the later-coming one shall be kind 0."""
    first, second = kinds == 0, kinds == 1
    if not second.any() or second.sum() + 1 < first.sum():
        return kinds
    before = np.r_[np.nan, np.diff(marks)]
    if not _nanmedian(before[first]) < 0.85 * _nanmedian(before[second]):
        return kinds
    return np.where(first, 1, np.where(second, 0, kinds))


# %% [markdown]
# ## The beats of a record
# All of the above in one call, and a last doubt. A hump of another shape that stands between two beats at the usual
# distance disturbed nobody's rhythm: nearly always it is a step or a spike of the recording, or a sharp T wave, and
# it is dropped. (The rare ventricular beat that fits in between is lost by this.)


# %%
def find_beats(leads: np.ndarray, fs: float) -> np.ndarray:
    """Find the QRS complexes of a record.

    Parameters
    ----------
    leads : (k, n) array
        Signals in mV, NaN where nothing is known; any number of leads, each known at any times.
    fs : float
        Samples per second.

    Returns
    -------
    (b,) int array
        One mark a beat, in samples and in order, near the middle of the QRS and at the same phase in every beat of
        one shape. Empty when nothing is known.

    Examples
    --------
    >>> from ecgbook import synth
    >>> ecg = synth.record("Normal", 0)
    >>> marks = find_beats(synth.window(ecg).leads, ecg.fs)
    >>> bool(len(marks) == len(ecg.truth["r_times"]))
    True
    """
    leads = np.asarray(leads, float)
    marks = _humps(activity(leads, fs), fs)
    if marks.size < 2:
        return marks
    marks = np.unique(_align(gaussian_derivative(leads, fs, 0.008), marks, fs))
    return _without_interposed(marks, kinds_of_beats(leads, marks, fs))


def _without_interposed(marks: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Drop what has another shape and stands between two beats at the usual distance."""
    gaps = np.diff(marks)
    if gaps.size < 3:
        return marks
    usual = np.median(gaps)
    regular = np.abs(gaps[:-1] + gaps[1:] - usual) < 0.15 * usual
    return marks[~np.r_[False, regular & (kinds[1:-1] > 0), False]]


# %% [markdown]
# ## The median beat
# The median over beats removes what does not repeat. Before it is taken, each beat is lifted or lowered to fit the
# one seen most completely: otherwise the wandering baseline would leave a step wherever one beat's recording ends.
# The neighbouring beats are blanked.

# %%
BEFORE, AFTER = 0.50, 0.75  # s around the mark that a median beat covers


def median_beat(leads: np.ndarray, marks: np.ndarray, chosen: np.ndarray, fs: float) -> np.ndarray:
    """Median of some of the beats in each lead.

    Parameters
    ----------
    leads : (k, n) array
        Signals in mV, NaN where nothing is known.
    marks : (b,) int array
        All beats of the record.
    chosen : (b,) bool array
        The beats to be averaged.
    fs : float
        Samples per second.

    Returns
    -------
    (k, m) array
        From ``BEFORE`` before to ``AFTER`` after the mark, which is sample ``round(BEFORE * fs)``; NaN where
        no chosen beat shows the lead.

    Examples
    --------
    >>> from ecgbook import synth
    >>> ecg = synth.record("Normal", 0)
    >>> marks = find_beats(ecg.leads, ecg.fs)
    >>> median_beat(ecg.leads, marks, marks > 0, ecg.fs).shape
    (12, 314)
    """
    before, after = round(BEFORE * fs), round(AFTER * fs)
    beats = _windows(np.asarray(leads, float), marks, before, after)
    time = np.arange(-before, after + 1)
    gaps = np.diff(marks)
    for beat, gap in enumerate(gaps):
        beats[beat][:, time > gap - 0.08 * fs] = np.nan
        beats[beat + 1][:, time < 0.12 * fs - gap] = np.nan
    beats = beats[chosen]
    if not len(beats):
        return np.full(beats.shape[1:], np.nan)
    fullest = np.argmax(np.isfinite(beats).sum(axis=2), axis=0)  # (k,)
    reference = beats[fullest, np.arange(beats.shape[1])]
    lift = _median(np.moveaxis(beats - reference, 2, 0))  # (b, k)
    return _median(beats - np.nan_to_num(lift)[:, :, None])


# %% [markdown]
# ## A boundary is where the slope has died away
# Walk outwards from the steepest place of a wave's limb until the slope has fallen to a fixed share of it: there
# the wave begins or ends. The share does not depend on the wave's size, nor on the baseline. What a cardiologist's
# eye calls the end lies a few milliseconds off, by an amount that depends on the wave and hardly on the person;
# this constant, the widths and the shares were fitted on the even-numbered records of LUDB, and the odd-numbered
# ones judge them.

# %%
WAVES = ("P", "QRS", "T")


class _Edges(NamedTuple):
    """How the boundaries of one wave are found."""

    sigma: float  # s, of the Gaussian
    shares: tuple[float, float]  # of the steepest slope, at onset and offset
    late: tuple[float, float]  # s, how late the crossing is against the eye


_EDGES = {
    "P": _Edges(0.014, (0.5, 0.5), (0.0015, 0.0090)),
    "QRS": _Edges(0.008, (0.20, 0.10), (0.0110, 0.0028)),
    "T": _Edges(0.022, (0.5, 0.3), (0.0085, 0.0080)),
}


def _walk(slope: np.ndarray, start: int, step: int, share: float) -> float:
    """Where the slope (n,) first falls below a share of its value at ``start``; a fraction of a sample, or NaN."""
    limit, here = share * slope[start], start
    while 0 <= here + step < slope.size and slope[here + step] >= limit:
        here += step
    there = here + step
    if not (0 <= there < slope.size and np.isfinite(slope[there]) and slope[start] > 0):
        return np.nan
    return here + step * (slope[here] - limit) / (slope[here] - slope[there])


# %% [markdown]
# ## The leads vote
# Each lead proposes a boundary, with a weight: {math}`w = s^2 / (s^2 + 0.3\, \tilde s^2)`, where {math}`s` is how
# steep the wave is in this lead and {math}`\tilde s` the median of that over the leads. A lead that shows the wave
# well keeps its own proposal, for boundaries do differ from lead to lead; one that hardly shows it takes the median
# of the others.


# %%
def _blend(proposals: np.ndarray, steep: np.ndarray) -> np.ndarray:
    """Draw the proposals (k, 2) of lesser leads towards the median of all; NaN for leads that know nothing."""
    centre = _median(proposals)
    steep = np.nan_to_num(steep)
    seen = steep > 0
    usual = np.median(steep[seen]) if seen.any() else 1.0
    weight = np.where(np.isfinite(proposals), (steep**2 / (steep**2 + 0.3 * usual**2))[:, None], 0.0)
    blended = weight * np.nan_to_num(proposals) + (1 - weight) * centre
    return np.where(seen[:, None], blended, np.nan)


_LIMBS = (0.25, 0.20)  # of the steepest: how steep the first and the last limb of a QRS are at least
_HALF_QRS = 0.15  # s, the farthest a QRS reaches from its mark


def _qrs_of_lead(slope: np.ndarray, mark: int, fs: float) -> tuple[list[float], float]:
    """Crossings at onset and offset of a QRS, slope (m,) without sign, and its steepest slope.

    An ST segment that rises steeply passes for a last limb; the walk then ends far too late. Where it ends
    beyond what a QRS can last, only steeper limbs are admitted; where that does not help, NaN.
    """
    reach = round(_HALF_QRS * fs)
    first = max(mark - reach, 0)
    inside = np.nan_to_num(slope[first : mark + reach])
    steepest = inside.max(initial=0.0)
    if steepest <= 0:
        return [np.nan, np.nan], 0.0
    edges = [np.nan, np.nan]
    for side, (limb_share, share) in enumerate(zip(_LIMBS, _EDGES["QRS"].shares, strict=True)):
        for least in (limb_share, 0.45, 0.7):
            limb = first + int(np.flatnonzero(inside >= least * steepest)[-side])
            edge = _walk(slope, limb, 2 * side - 1, share * steepest / slope[limb])
            if abs(edge - mark) <= reach:
                edges[side] = edge
                break
    return edges, float(steepest)


def _qrs(beat: np.ndarray, mark: int, fs: float) -> tuple[np.ndarray, np.ndarray]:
    """Boundaries of the QRS in each lead (k, 2) and in all together (2,), in samples."""
    slopes = gaussian_derivative(beat, fs, _EDGES["QRS"].sigma)
    found = [_qrs_of_lead(slope, mark, fs) for slope in (*np.abs(slopes), _together(slopes))]
    proposals = np.array([edges for edges, _ in found]) - np.array(_EDGES["QRS"].late) * fs
    leads = _blend(proposals[:-1], np.array([steep for _, steep in found[:-1]]))
    together = np.where(np.isfinite(proposals[-1]), proposals[-1], _median(leads))
    return _toward(leads, together, (0.5, 0.7)), together


def _toward(leads: np.ndarray, together: np.ndarray, share: tuple[float, float]) -> np.ndarray:
    """Move the boundaries of the leads by a share of the way to those of all leads together."""
    known = np.isfinite(together)
    return np.where(known, leads + np.array(share) * (np.where(known, together, 0.0) - leads), leads)


# %% [markdown]
# ## The T wave
# It lies between the QRS and the next beat's P wave, most often about 0.3 s after the R peak at 60 beats a minute,
# sooner in a fast rhythm by the square root of the RR interval. In all leads together it shows as two humps of
# slope with its top between them: we take the last big hump, where "big" weighs the slope by how usual the time is,
# so that neither the U wave nor a P wave passes for a T. From there each lead finds its own last limb, its own top,
# and its own first limb.


# %%
def _steepest(slope: np.ndarray, start: int, stop: int) -> int:
    """Index of the highest known value in [start, stop), or -1."""
    piece = slope[max(start, 0) : max(stop, 0)]
    if not np.isfinite(piece).any():
        return -1
    return max(start, 0) + int(np.nanargmax(piece))


def _last_limb(
    together: np.ndarray, mark: int, start: int, stop: int, rr: float, fs: float
) -> tuple[int, int]:
    """Top of the T wave and steepest place of its last limb, in all leads together; (-1, -1) where there is none."""
    root = np.sqrt(min(rr, 1.2))
    time = (np.arange(start, stop) - mark) / fs
    inside = together[start:stop]
    peaks, _ = find_peaks(np.r_[0, inside, 0])
    peaks = peaks - 1
    if not peaks.size:
        return -1, -1
    usual = inside[peaks] * np.exp(-0.5 * ((time[peaks] - 0.27 * root - 0.04) / (0.10 * root)) ** 2)
    fall = int(peaks[usual > 0.45 * usual.max()][-1])
    top = fall
    while top > 0 and inside[top - 1] <= inside[top]:
        top -= 1
    return start + top, start + fall


def _t_of_lead(slope: np.ndarray, start: int, top: int, fall: int, fs: float) -> tuple[np.ndarray, float]:
    """Crossings at onset and offset (2,) of one lead's T wave in samples, and its steepest slope."""
    near = round(0.04 * fs)
    limb = _steepest(np.abs(slope), max(top - 2, fall - near), fall + near + 1)
    if limb < 0 or slope[limb] == 0:
        return np.full(2, np.nan), 0.0
    falling = np.sign(slope[limb]) * slope
    own_top = limb
    while own_top > start and falling[own_top] > 0:
        own_top -= 1
    rise = _steepest(-falling, max(start, own_top - round(0.12 * fs)), own_top)
    shares = _EDGES["T"].shares
    onset = _walk(-falling, rise, -1, shares[0]) if rise >= 0 else np.nan
    if onset <= start:  # the slope is still that of the QRS: the other leads must say
        onset = np.nan
    return np.array([onset, _walk(falling, limb, 1, shares[1])]), float(falling[limb])


def _t_wave(
    beat: np.ndarray, mark: int, qrs_end: float, rr: float, fs: float
) -> tuple[np.ndarray, np.ndarray]:
    """Boundaries of the T wave in each lead (k, 2) and in all together (2,), in samples."""
    slopes = gaussian_derivative(beat, fs, _EDGES["T"].sigma)
    start = round(qrs_end + 0.03 * fs)
    stop = mark + round(min(0.58 * np.sqrt(min(rr, 1.2)), max(rr - 0.25, 0.62 * rr)) * fs)
    together = _together(slopes)
    top, fall = _last_limb(together, mark, start, min(stop, beat.shape[1]), rr, fs)
    if fall < 0:
        return np.full((len(beat), 2), np.nan), np.full(2, np.nan)
    found = [_t_of_lead(slope, start, top, fall, fs) for slope in slopes]
    late = np.array(_EDGES["T"].late) * fs
    leads = _blend(np.array([edges for edges, _ in found]) - late, np.array([steep for _, steep in found]))
    merged = np.isnan(leads[:, 0]) & np.isfinite(
        leads[:, 1]
    )  # ST runs into T in every lead: T starts with it
    leads[merged, 0] = start
    return leads, _median(leads)


# %% [markdown]
# ## The P wave
# Small, rounded, and before the QRS, if it is there at all. It is sought by its curvature, the bend of its top, in
# all leads together, weighted by how usual the time is; then each lead finds the limb before and the limb behind.


# %%
def _p_top(beat: np.ndarray, mark: int, start: int, stop: int, fs: float) -> int:
    """Sample of the P wave's top in all leads together, or -1."""
    bend = _together(gaussian_derivative(beat, fs, 0.028, order=2))
    time = (np.arange(start, stop) - mark) / fs
    usual = bend[start:stop] * np.exp(-0.5 * ((time + 0.155) / 0.06) ** 2)
    peaks, _ = find_peaks(usual)
    return start + int(peaks[np.argmax(usual[peaks])]) if peaks.size else -1


def _p_wave(
    beat: np.ndarray, mark: int, qrs_start: float, rr: float, fs: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Boundaries of the P wave in each lead (k, 2) and in all together (2,), and its top, in samples."""
    none = np.full((len(beat), 2), np.nan), np.full(2, np.nan), -1
    start = max(mark - round(min(0.34, max(rr - 0.36 * np.sqrt(rr), 0.12)) * fs), 0)
    stop = round(qrs_start - 0.004 * fs)
    top = _p_top(beat, mark, start, stop - round(0.016 * fs), fs) if stop - start > 0.04 * fs else -1
    if top < 0:
        return none
    sigma, shares, late = _EDGES["P"]
    slopes = gaussian_derivative(beat, fs, sigma)
    bends = gaussian_derivative(beat, fs, 0.020, order=2)[:, top]
    first, last = max(top - round(0.056 * fs), start), min(top + round(0.056 * fs), stop)
    proposals, steep = np.full((len(beat), 2), np.nan), np.zeros(len(beat))
    for lead in np.flatnonzero(np.isfinite(bends)):
        rising = -np.sign(bends[lead]) * slopes[lead]
        rise, fall = _steepest(rising, first, top + 2), _steepest(-rising, top - 1, last)
        if rise >= 0 and fall >= 0:
            proposals[lead] = _walk(rising, rise, -1, shares[0]), _walk(-rising, fall, 1, shares[1])
            steep[lead] = abs(bends[lead])
    leads = _blend(proposals - np.array(late) * fs, steep)
    return leads, _median(leads), top


# %% [markdown]
# ## One beat
# The QRS first, for it is the surest; the T wave behind it and the P wave before it.


# %%
class Waves(NamedTuple):
    """Boundaries of one beat, in seconds after its mark.

    Attributes
    ----------
    leads : (k, 3, 2) array
        For each lead and each of ``WAVES``, onset and offset; NaN where there is none.
    together : (3, 2) array
        The same for the beat as a whole.
    """

    leads: np.ndarray
    together: np.ndarray


def boundaries(beat: np.ndarray, fs: float, rr: tuple[float, float]) -> Waves:
    """Find where P, QRS and T begin and end in a beat.

    Parameters
    ----------
    beat : (k, m) array
        Leads of a median beat as :func:`median_beat` makes it, mV; NaN where a lead is not known.
    fs : float
        Samples per second.
    rr : tuple of two floats
        The intervals before and after the beat, s.

    Returns
    -------
    Waves
        A P wave is reported wherever one may be: whether it is one, :func:`p_repeats` tells.
    """
    mark = round(BEFORE * fs)
    leads, together = np.full((3, len(beat), 2), np.nan), np.full((3, 2), np.nan)
    leads[1], together[1] = _qrs(beat, mark, fs)
    if np.isfinite(together[1]).all():
        leads[2], together[2] = _t_wave(beat, mark, together[1, 1], rr[1], fs)
        leads[0], together[0], _ = _p_wave(beat, mark, together[1, 0], rr[0], fs)
    return Waves((leads.transpose(1, 0, 2) - mark) / fs, (together - mark) / fs)


# %% [markdown]
# ## Is it a P wave?
# Something always bends a little before the QRS. A P wave is what *repeats*: each beat's slopes at that place are
# correlated with the median of the other beats. In atrial fibrillation, where fine waves run on without regard to
# the QRS, the correlation is near 0; on the even records of LUDB 0.5 parts the rhythms with P waves from those
# without.

# %%
P_REPEATS = 0.5


def p_repeats(leads: np.ndarray, marks: np.ndarray, waves: Waves, fs: float) -> float:
    """How well the P wave repeats from beat to beat.

    Parameters
    ----------
    leads : (k, n) array
        Signals in mV, NaN where nothing is known.
    marks : (b,) int array
        Beats of one kind.
    waves : Waves
        Boundaries of their median beat.
    fs : float
        Samples per second.

    Returns
    -------
    float
        Median correlation of a beat with the others, at most 1; NaN with fewer than two beats or no candidate.
        Above ``P_REPEATS`` we call it a P wave.
    """
    onset, offset = waves.together[0]
    if len(marks) < 2 or not np.isfinite(onset + offset):
        return np.nan
    before = round((0.020 - onset) * fs)
    stop = round(min(offset + 0.020, waves.together[1, 0] - 0.012) * fs)
    slopes = gaussian_derivative(leads, fs, 0.012)
    pieces = _windows(slopes, marks, before, before)[:, :, : before + stop + 1].reshape(len(marks), -1)
    return float(
        _nanmedian(
            [
                _correlation(pieces[[b]], _median(np.delete(pieces, b, 0))[None])[0][0, 0]
                for b in range(len(marks))
            ]
        )
    )


def _nanmedian(values: object) -> float:
    """Median of the known values of a list; NaN, without a warning, when there are none."""
    values = np.asarray(values, float).ravel()
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else np.nan


# %% [markdown]
# ## Every beat of a record
# The median beat says where a boundary lies to within a few samples; the single beat, where it is clear enough,
# says it exactly. So every beat is searched too, and what it finds within 40 ms of its kind's boundary is
# preferred. Times come as one row a wave, lead and beat.

# %%
_TRUST = 0.040  # s


def around(marks: np.ndarray, chosen: np.ndarray, fs: float) -> tuple[float, float]:
    """Median interval before and after the chosen beats, s; 1 where there is none."""
    gaps = np.diff(marks) / fs
    before = _nanmedian(np.r_[np.nan, gaps][chosen])
    after = _nanmedian(np.r_[gaps, np.nan][chosen])
    usual = _nanmedian(gaps) if gaps.size else 1.0
    return (before if np.isfinite(before) else usual, after if np.isfinite(after) else usual)


def _single_beats(
    leads: np.ndarray, marks: np.ndarray, kind: np.ndarray, waves: Waves, fs: float
) -> np.ndarray:
    """Boundaries of each beat of a kind, led by those of its median beat; (b, k, 3, 2) seconds after the mark."""
    out = []
    for beat in np.flatnonzero(kind):
        alone = np.arange(len(marks)) == beat
        own = boundaries(median_beat(leads, marks, alone, fs), fs, around(marks, alone, fs)).leads
        near = np.abs(own - waves.leads) <= _TRUST  # False where either is NaN
        out.append(np.where(near, own, waves.leads))
    return np.array(out)


def delineate(leads: np.ndarray, fs: float) -> pd.DataFrame:
    """Find the boundaries of every P, QRS and T wave in every lead.

    Parameters
    ----------
    leads : (k, n) array
        Signals in mV, filtered as the pages are (see :func:`ecgbook.synth.page_filter`); NaN where nothing is known.
    fs : float
        Samples per second.

    Returns
    -------
    pandas.DataFrame
        Columns ``lead`` (row of ``leads``), ``beat`` (from 0), ``wave`` (one of ``WAVES``), ``onset`` and ``offset``
        (s from the start of the record).

    Examples
    --------
    >>> from ecgbook import synth
    >>> ecg = synth.record("Normal", 0, noise=0)
    >>> found = delineate(ecg.leads, ecg.fs)
    >>> lead_ii = found[(found.lead == 1) & (found.beat == 3)]
    >>> lead_ii.wave.tolist(), bool((lead_ii.onset < lead_ii.offset).all())
    (['P', 'QRS', 'T'], True)
    """
    leads = np.asarray(leads, float)
    marks = find_beats(leads, fs)
    kinds = kinds_of_beats(leads, marks, fs)
    times = np.full((len(marks), len(leads), 3, 2), np.nan)
    for kind in range(kinds.max(initial=-1) + 1):
        chosen = kinds == kind
        waves = boundaries(median_beat(leads, marks, chosen, fs), fs, around(marks, chosen, fs))
        times[chosen] = _single_beats(leads, marks, chosen, waves, fs) + marks[chosen, None, None, None] / fs
        peers = marks[chosen] if chosen.sum() > 1 else np.r_[marks[chosen], marks[kinds == 0]]
        if not p_repeats(leads, peers, waves, fs) > P_REPEATS:
            times[chosen, :, 0] = np.nan
    beat, lead, wave = (axis.ravel() for axis in np.indices(times.shape[:3]))
    table = pd.DataFrame({"lead": lead, "beat": beat, "wave": np.array(WAVES)[wave]})
    table["onset"], table["offset"] = times[..., 0].ravel(), times[..., 1].ravel()
    return table.dropna(subset=["onset", "offset"], how="all").reset_index(drop=True)
