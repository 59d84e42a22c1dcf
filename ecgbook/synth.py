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
# # Synthetic ECGs: a heart vector seen from twelve sides
# Seen from the skin, the beating heart is close to one electric dipole: an arrow in the chest that grows,
# turns and vanishes with every beat. Each lead is the shadow of that arrow on one direction, so one moving
# arrow gives twelve curves that agree with each other as the curves of a real ECG do. Here we draw the
# arrow's path as a sum of Gaussian pulses (P, QRS, ST, T, U), bend it as disease bends it, and record it
# through the filter printed on the real pages.

# %%
"""Synthetic 12-lead ECGs with known truth, drawn from a seed."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.signal import butter, sosfiltfilt

from ecgbook.data import CLASSES

# %% [markdown]
# ## A record
# A record is the signals of one ECG in millivolts, in the order of the paper, with the few facts a page
# prints about it. `truth` holds what only the maker of a synthetic ECG can know: where the beats are and what
# was done to them.

# %%
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
FS = 250  # samples per second
SECONDS = 10  # length of a record


class Record(NamedTuple):
    """The signals of one page.

    Attributes
    ----------
    leads : (12, n) float32 array
        Millivolts, rows in the order of ``LEADS``; NaN where nothing is known.
    fs : float
        Samples per second.
    rhythm : str
        Name of the lead that the 10 s rhythm strip shows.
    heart_rate : int
        Beats per minute, as printed.
    sex : str
        "Male", "Female" or "".
    label : str
        One of ``ecgbook.data.CLASSES``, or "".
    truth : dict
        Known facts of a synthetic record (see :func:`record`); empty for a real one.
    """

    leads: np.ndarray
    fs: float
    rhythm: str
    heart_rate: int
    sex: str
    label: str
    truth: dict[str, Any]


# %% [markdown]
# ## Eight leads are free, four follow
# The three limb leads are differences between three electrodes, so III = II - I (Einthoven), and the
# augmented leads are averages of them: aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2 (Goldberger). We
# make I, II and V1 to V6 and derive the rest; a linear filter that treats all leads alike keeps these laws.

# %%
_FROM_FREE = np.zeros((12, 8))  # rows: LEADS; columns: I, II, V1 ... V6
_FROM_FREE[:6, :2] = [[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]]  # type: ignore[assignment]
_FROM_FREE[6:, 2:] = np.eye(6)


def twelve_leads(free: np.ndarray) -> np.ndarray:
    """Derive the twelve leads from the eight that are independent.

    Parameters
    ----------
    free : (8, n) array
        Leads I, II, V1, V2, V3, V4, V5, V6, in any one unit.

    Returns
    -------
    (12, n) array
        The leads in the order of ``LEADS``, in the same unit.

    Examples
    --------
    >>> import numpy as np
    >>> leads = twelve_leads(np.array([[0.5], [1.2], [0], [0], [0], [0], [0], [0]]))
    >>> leads[:6, 0].round(2).tolist()
    [0.5, 1.2, 0.7, -0.85, -0.1, 0.95]
    """
    return _FROM_FREE @ free


# %% [markdown]
# ## From the heart vector to the leads
# The direction along which a lead looks was measured on a torso model: {math}`\mathrm{lead} = L \cdot d`,
# with the vector {math}`d = (x, y, z)` pointing to the patient's left, to the feet and to the back. The rows
# of {math}`L` below are those of Dower's transform (Dower, Machado and Osborne, *Clinical Cardiology* 1980;
# 3: 87). Electrodes never sit exactly where the model puts them, so each person gets an own, slightly
# different {math}`L`.

# %%
DOWER = np.array(
    [
        [0.632, -0.235, 0.059],  # I
        [0.235, 1.066, -0.132],  # II
        [-0.515, 0.157, -0.917],  # V1
        [0.044, 0.164, -1.387],  # V2
        [0.882, 0.098, -1.277],  # V3
        [1.213, 0.127, -0.601],  # V4
        [1.125, 0.127, -0.086],  # V5
        [0.831, 0.076, 0.230],  # V6
    ]
)


def _own_torso(rng: np.random.Generator, sex: str) -> np.ndarray:
    """Dower's matrix with this person's electrode places and chest size; (8, 3)."""
    size = rng.lognormal(0.0 if sex == "Male" else -0.12, 0.16)
    gain = np.r_[1.0, 1.0, rng.lognormal(0.0, 0.12, 6)]
    moved = DOWER + np.r_[np.zeros((2, 3)), rng.normal(0, 0.05, (6, 3))]
    return size * gain[:, None] * moved


# %% [markdown]
# ## A beat is a few pulses of the vector
# One row for each Gaussian pulse: when (ms after the R peak), how wide (standard deviation, ms) and which
# vector (mV). The septum fires first, to the right and the front (the small q of V6 and the small r of V1);
# then the left ventricle, to the left, down and back; the base comes last, to the back and up. The T wave
# rises slowly and falls fast, so it needs two pulses.

# %%
_P = [(-172, 17, 0.045, 0.070, -0.030), (-146, 19, 0.065, 0.060, 0.030)]
_QRS = [
    (-25, 7.5, -0.10, -0.02, -0.20),
    (-12, 8.0, 0.35, 0.22, -0.18),
    (1, 9.0, 1.25, 0.62, 0.32),
    (17, 9.0, 0.12, 0.10, 0.72),
    (30, 9.0, -0.16, -0.10, 0.26),
]
_T = [(190, 52, 0.10, 0.06, -0.07), (250, 36, 0.30, 0.17, -0.20)]
_U = [(420, 30, 0.012, 0.008, -0.020)]
# Left bundle branch block: no septal q, a slow, notched spread to the left and back, ST and T against it.
_LBBB = [
    (-34, 13.5, 0.40, 0.16, 0.10),
    (-9, 15.5, 0.85, 0.32, 0.72),
    (26, 16.5, 0.80, 0.12, 0.85),
    (54, 13.5, 0.45, -0.02, 0.42),
]
_LBBB_T = [(125, 40, -0.10, -0.02, -0.17), (205, 55, -0.22, -0.04, -0.26), (268, 38, -0.30, -0.06, -0.26)]
# Right bundle branch block: the right ventricle comes late and alone, to the right and the front.
_RBBB_LATE = [(44, 11, -0.32, -0.02, -0.42), (66, 16, -0.50, -0.04, -0.62)]


def _pulses(rows: Sequence[tuple[float, ...]]) -> np.ndarray:
    """Rows in ms as a (k, 5) array in s and mV."""
    return np.array(rows, float) * [1e-3, 1e-3, 1, 1, 1]


def _vary(pulses: np.ndarray, rng: np.random.Generator, size: float, shape: float = 0.08) -> np.ndarray:
    """The same wave of another person: scaled as a whole, and each pulse a little by itself."""
    out = pulses.copy()
    typical = np.linalg.norm(out[:, 2:], axis=1, keepdims=True)
    out[:, 2:] = size * (out[:, 2:] + shape * typical * rng.normal(size=(len(out), 3)))
    out[:, 1] *= rng.uniform(0.92, 1.10)
    return out


def _turn(pulses: np.ndarray, frontal: float, horizontal: float) -> np.ndarray:
    """Turn the vectors by two angles in degrees: as seen from the front, then as seen from above."""
    f, h = np.radians([frontal, horizontal])
    x, y, z = pulses[:, 2], pulses[:, 3], pulses[:, 4]
    out = pulses.copy()
    out[:, 2], out[:, 3] = x * np.cos(f) - y * np.sin(f), x * np.sin(f) + y * np.cos(f)
    out[:, 2], out[:, 4] = out[:, 2] * np.cos(h) - z * np.sin(h), out[:, 2] * np.sin(h) + z * np.cos(h)
    return out


class _Heart(NamedTuple):
    """The pulses of one person's beat, each (k, 5)."""

    p: np.ndarray
    qrs: np.ndarray
    st_t: np.ndarray
    qrs_end: float = 0.048  # J point, s after the R peak
    qrs_start: float = -0.042


def _healthy(rng: np.random.Generator) -> _Heart:
    """A healthy heart: axis, size, T wave and PR interval drawn anew."""
    frontal, horizontal = rng.normal(-6, 20), rng.normal(4, 12)
    p = _vary(_pulses(_P), rng, rng.lognormal(0, 0.2))
    p[:, 0] += rng.uniform(-0.025, 0.025)
    qrs = _turn(_vary(_pulses(_QRS), rng, rng.lognormal(0, 0.12)), frontal, horizontal)
    t = _vary(_pulses(_T), rng, rng.lognormal(0.05, 0.28))
    t[:, 0] += rng.uniform(-0.015, 0.025)
    u = _vary(_pulses(_U), rng, rng.uniform(0, 1.3))
    st_t = np.r_[_turn(t, 0.4 * frontal, 0.6 * horizontal + rng.normal(0, 8)), u]
    return _Heart(_turn(p, 0.3 * frontal, 0), qrs, st_t)


# %% [markdown]
# ## Infarction: the vector points at the wound, or away from the scar
# While muscle is dying, a current of injury flows between it and the sound muscle: from the J point to the T
# wave the vector points at the injured wall. Leads that face the wall show ST elevation; leads on the far
# side show ST depression, with no further assumption: that is the {term}`reciprocal depression`. Years later the
# scar is electrically silent. Its share of the first 40 ms is missing, so the first vector points away from
# it: a *pathological Q wave*. The T wave turns away from it too.


# %%
class Territory(NamedTuple):
    """A wall of the left ventricle: its direction (left, feet, back), leads that face it, leads opposite."""

    direction: tuple[float, float, float]
    facing: tuple[str, ...]
    opposite: tuple[str, ...]


TERRITORIES = {
    "anterior": Territory((0.25, -0.32, -0.91), ("V2", "V3", "V4"), ("III", "aVF")),
    "anterolateral": Territory((0.62, -0.45, -0.64), ("V3", "V4", "V5", "I", "aVL"), ("III", "aVF")),
    "lateral": Territory((0.86, -0.50, 0.05), ("I", "aVL", "V5", "V6"), ("III", "aVF")),
    "inferior": Territory((-0.22, 0.92, 0.30), ("II", "III", "aVF"), ("I", "aVL", "V2")),
    "inferolateral": Territory((0.38, 0.83, 0.42), ("II", "III", "aVF", "V6"), ("V1", "V2")),
}
_SHARE = {"anterior": 0.34, "anterolateral": 0.16, "lateral": 0.08, "inferior": 0.30, "inferolateral": 0.12}


def _wall(rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """Draw a territory and its direction in this person; a unit vector (3,)."""
    name = str(rng.choice(list(_SHARE), p=list(_SHARE.values())))
    direction = np.array(TERRITORIES[name].direction) + rng.normal(0, 0.09, 3)
    return name, direction / np.linalg.norm(direction)


def _plateau(start: float, end: float, levels: Sequence[float], vector: np.ndarray) -> np.ndarray:
    """A smooth ST segment as overlapping pulses whose heights follow ``levels``; (k, 5)."""
    step = 0.034
    centres = np.arange(start, end, step)
    heights = np.interp(centres, np.linspace(start, end, len(levels)), levels) / 1.88  # the overlaps add up
    return np.c_[centres, np.full(centres.size, 0.75 * step), heights[:, None] * vector]


_STAGES = {  # times the injury: heights of ST from J to the end of T, height of T; then the share of a Q wave
    "hyperacute": ((0.55, 0.75, 1.00, 1.10, 0.50, 0.0), 1.3, 0.0),
    "convex": ((0.90, 1.05, 1.10, 0.95, 0.50, 0.1), 0.6, 0.25),
    "tombstone": ((1.20, 1.40, 1.35, 1.05, 0.55, 0.15), 0.3, 0.35),
    "evolving": ((1.05, 1.05, 0.90, 0.50, 0.05, 0.0), -0.9, 0.45),
}


def _without(pulses: np.ndarray, direction: np.ndarray, share: float) -> np.ndarray:
    """Take away ``share`` of what the pulses have along a direction."""
    along = np.maximum(pulses[:, 2:] @ direction, 0)
    out = pulses.copy()
    out[:, 2:] -= share * along[:, None] * direction
    return out


def _q_wave(direction: np.ndarray, depth: float, rng: np.random.Generator) -> np.ndarray:
    """The missing first forces: pulses that point away from the scar, fading over 40 ms; (3, 5)."""
    away = -depth * direction
    heights = {-0.027: 0.85, -0.010: rng.uniform(0.8, 1.25), 0.008: rng.uniform(0.3, 0.9)}
    return np.array([[time, 0.0105, *(height * away)] for time, height in heights.items()])


def _acute(heart: _Heart, rng: np.random.Generator) -> tuple[_Heart, str, tuple[str, ...]]:
    """Acute infarction: injury current, often a tall T, sometimes a first Q."""
    name, direction = _wall(rng)
    stage = str(rng.choice(list(_STAGES), p=[0.3, 0.4, 0.12, 0.18]))
    levels, t_share, q_share = _STAGES[stage]
    injury = rng.uniform(0.16, 0.38)
    st = _plateau(heart.qrs_end - 0.012, 0.30, levels, injury * direction)
    t = np.array([[0.245, 0.048, *(t_share * injury * direction)]])
    qrs = np.r_[_without(heart.qrs, direction, 0.6 * q_share), _q_wave(direction, 0.6 * q_share, rng)]
    own_t = heart.st_t * [1, 1, 0.6, 0.6, 0.6]
    return heart._replace(qrs=qrs, st_t=np.r_[own_t, st, t]), name, (stage,)


def _scarred(heart: _Heart, rng: np.random.Generator) -> tuple[_Heart, str, tuple[str, ...]]:
    """Old infarction: pathological Q waves and T inversion; ST back at the baseline."""
    name, direction = _wall(rng)
    depth = rng.uniform(0.38, 0.75)
    qrs = np.r_[_without(heart.qrs, direction, rng.uniform(0.5, 0.9)), _q_wave(direction, depth, rng)]
    depth_t = rng.uniform(0.16, 0.40)
    inverted = np.array([[0.235, rng.uniform(0.036, 0.046), *(-depth_t * direction)]])
    st = _plateau(heart.qrs_end, 0.24, (1, 1, 0.5, 0), rng.uniform(0, 0.035) * direction)
    own_t = _without(heart.st_t, direction, 0.9) * [1, 1, 0.7, 0.7, 0.7]
    start = heart.qrs_start - 0.010
    scarred = heart._replace(qrs=qrs, st_t=np.r_[own_t, st, inverted], qrs_start=start)
    return scarred, name, ("Q waves", "T inversion")


# %% [markdown]
# ## Conduction and ectopic beats
# In a bundle branch block one ventricle is activated late, from muscle cell to muscle cell: the QRS lasts 120
# ms or more. A premature ventricular beat (PVC) starts in the muscle itself, so it is wide too, has no P wave
# before it, and its T wave points against it.


# %%
def _left_block(heart: _Heart, rng: np.random.Generator) -> _Heart:
    """Left bundle branch block."""
    turn = rng.normal(-6, 12), rng.normal(0, 6)
    size = rng.lognormal(0, 0.15)
    qrs = _turn(_vary(_pulses(_LBBB), rng, size, 0.06), *turn)
    st_t = _turn(_vary(_pulses(_LBBB_T), rng, size * rng.uniform(0.8, 1.1), 0.06), *turn)
    return heart._replace(qrs=qrs, st_t=st_t, qrs_start=-0.064, qrs_end=0.080)


def _right_block(heart: _Heart, rng: np.random.Generator) -> _Heart:
    """Right bundle branch block: the healthy start, then the late right ventricle and a T wave against it."""
    late = _vary(_pulses(_RBBB_LATE), rng, rng.uniform(0.75, 1.2))
    qrs = np.r_[heart.qrs * [1, 1, 0.9, 0.9, 0.75], late]
    against = np.array([[0.235, 0.042, 0.05, 0.0, rng.uniform(0.28, 0.42)]])
    return heart._replace(qrs=qrs, st_t=np.r_[heart.st_t, against], qrs_end=0.098)


_BLOCKS = {"LBBB": _left_block, "RBBB": _right_block}


def _ventricular(rng: np.random.Generator) -> _Heart:
    """A premature ventricular beat from a random site."""
    site = np.array([[0, 0, 0.9, 0.0, 0.5 * rng.choice([-1, 1])]])
    main = _turn(site, rng.uniform(-80, 110), rng.normal(0, 15))[0, 2:]
    main *= rng.uniform(1.3, 2.2) / np.linalg.norm(main)
    side = 0.25 * rng.normal(size=3)
    first, last = 0.30 * main + side, 0.55 * main - side
    rows = (-0.045, 0.017, *first), (-0.005, 0.021, *main), (0.045, 0.021, *last)
    back = (0.14, 0.045, *(-0.10 * main)), (0.24, 0.060, *(-0.28 * main)), (0.33, 0.048, *(-0.20 * main))
    return _Heart(np.zeros((0, 5)), np.array(rows), np.array(back), 0.092, -0.080)


# %% [markdown]
# ## Rhythm
# A sinus rhythm breathes: the interval between two beats (RR) shortens as we breathe in. In atrial
# fibrillation nothing sets the pace, so the intervals are as good as independent, and instead of P waves fine
# *f waves* run through the whole record at 5 to 8 per second. Each beat is a time, a kind and the interval
# before it; repolarisation takes longer after a long interval.


# %%
class _Beat(NamedTuple):
    time: float  # R peak, s
    kind: str  # "sinus", "atrial" (premature), "ventricular" (premature) or "fibrillation"
    rr: float  # interval before it, s


def _sinus(rate: float, breath: float, rng: np.random.Generator) -> list[_Beat]:
    """A breathing sinus rhythm that covers the record and a margin on both sides."""
    mean = 60 / rate
    depth = rng.uniform(0.01, 0.045) * min(1.0, 75 / rate)
    beats, time, phase = [], -2.5 - rng.uniform(0, mean), rng.uniform(0, 2 * np.pi)
    while time < SECONDS + 2.5:
        rr = mean * (1 + depth * np.sin(2 * np.pi * breath * time + phase) + 0.006 * rng.normal())
        time += rr
        beats.append(_Beat(time, "sinus", rr))
    return beats


def _fibrillation(rate: float, rng: np.random.Generator) -> list[_Beat]:
    """Irregularly irregular: independent gamma intervals above a refractory time."""
    beats, time = [], -2.5 - rng.uniform(0, 60 / rate)
    while time < SECONDS + 2.5:
        shortest = 0.55 * 60 / rate
        rr = shortest + rng.gamma(3.0, (60 / rate - shortest) / 3.0)
        time += rr
        beats.append(_Beat(time, "fibrillation", rr))
    return beats


def _premature(beats: list[_Beat], kind: str, every: int, rng: np.random.Generator) -> list[_Beat]:
    """Replace every ``every``-th sinus beat by an early one; the pause after it follows from the kind."""
    out, late = [], 0.0  # type: ignore[var-annotated]  # an early atrial beat resets the sinus node: later beats move forward
    early = rng.uniform(0.52, 0.66) if kind == "ventricular" else rng.uniform(0.58, 0.72)
    first = rng.integers(every)
    for i, beat in enumerate(beats):
        time = beat.time + late
        if i % every == first and i:
            moved = beat.rr - max(early * beat.rr, 0.40)  # no earlier than the end of the T wave
            late -= 0.8 * moved if kind == "atrial" else 0.0
            time, new = time - moved, kind
        else:
            new = beat.kind
        out.append(_Beat(time, new, time - out[-1].time if out else beat.rr))
    return out


# %% [markdown]
# ## Four classes
# A case is a heart with its rhythm and the names of what was done to it. The shares are our choice, no counts
# of the real folders; from the real pages we copy only that the abnormal rhythms are mostly fast, never slow,
# and that no normal one exceeds 90 beats a minute.


# %%
class _Case(NamedTuple):
    hearts: dict[str, _Heart]  # kind of beat -> pulses
    beats: list[_Beat]
    findings: tuple[str, ...]
    territory: str
    f_waves: float  # mV


_ABNORMAL = {
    "sinus tachycardia": 0.34,
    "atrial fibrillation": 0.22,
    "PVC": 0.14,
    "PAC": 0.10,
    "LBBB": 0.10,
    "RBBB": 0.10,
}


def _case(label: str, breath: float, rng: np.random.Generator) -> _Case:
    """Draw a case of one class."""
    heart = _healthy(rng)
    if label == "Abnormal":
        return _abnormal(heart, breath, rng)
    territory, findings = "", ()
    if label == "MI":
        heart, territory, findings = _acute(heart, rng)
    elif label == "History_MI":
        heart, territory, findings = _scarred(heart, rng)
    mean, spread, fastest = (71, 8, 88) if label == "Normal" else (76, 12, 108)
    rate = float(np.clip(rng.normal(mean, spread), 57, fastest))
    return _Case({"sinus": heart}, _sinus(rate, breath, rng), findings, territory, 0.0)


def _abnormal(heart: _Heart, breath: float, rng: np.random.Generator) -> _Case:
    """An arrhythmia or a conduction disturbance, sometimes two."""
    finding = str(rng.choice(list(_ABNORMAL), p=list(_ABNORMAL.values())))
    extra = str(rng.choice(list(_BLOCKS))) if rng.random() < 0.1 else ""
    block = finding if finding in _BLOCKS else extra
    if block:
        heart = _BLOCKS[block](heart, rng)
    findings = (finding, block) if block not in ("", finding) else (finding,)
    if finding == "atrial fibrillation":
        beats = _fibrillation(rng.uniform(72, 142), rng)
        heart = heart._replace(p=np.zeros((0, 5)))
        return _Case({"fibrillation": heart}, beats, findings, "", rng.uniform(0.03, 0.08))
    fast = finding == "sinus tachycardia"
    rate = float(np.clip(rng.normal(116, 12), 102, 150)) if fast else rng.uniform(62, 98)
    beats = _sinus(rate, breath, rng)
    hearts = {"sinus": heart}
    if finding == "PVC":
        beats = _premature(beats, "ventricular", int(rng.choice([2, 3, 4, 5])), rng)
        hearts["ventricular"] = _ventricular(rng)
    if finding == "PAC":
        beats = _premature(beats, "atrial", int(rng.choice([3, 4, 5])), rng)
        other_p = _turn(heart.p, rng.uniform(60, 200), rng.normal(0, 40)) - [0.01, 0, 0, 0, 0]
        hearts["atrial"] = heart._replace(p=other_p)
    return _Case(hearts, beats, findings, "", 0.0)


# %% [markdown]
# ## The vector through time
# Add the pulses of all beats; then let the chest move: breathing turns and scales the heart vector by a few
# degrees and per cent, so no two beats are alike.

# %%
_T0, _T1 = -2.0, SECONDS + 2.0  # the filter settles in the margins
_TIME = np.arange(round((_T1 - _T0) * FS)) / FS + _T0


def _add_beat(vector: np.ndarray, beat: _Beat, heart: _Heart) -> None:
    """Add one beat's pulses to the heart vector (n, 3), in place."""
    slow = np.clip((beat.rr / 0.86) ** 0.4, 0.70, 1.12)
    p, st_t = heart.p.copy(), heart.st_t.copy()
    p[:, 0] *= np.clip((beat.rr / 0.86) ** 0.15, 0.86, 1.03)
    late = np.maximum(st_t[:, 0] - heart.qrs_end, 0)
    st_t[:, 0] += (slow - 1) * late
    st_t[:, 1] *= slow
    pulses = np.r_[p, heart.qrs, st_t]
    near = slice(*np.searchsorted(_TIME, [beat.time - 0.4, beat.time + 0.75]))
    shape = np.exp(-0.5 * ((_TIME[near, None] - beat.time - pulses[:, 0]) / pulses[:, 1]) ** 2)
    vector[near] += shape @ pulses[:, 2:]


def _f_waves(size: float, rng: np.random.Generator) -> np.ndarray:
    """Fibrillation waves of the atria, strongest in V1; (n, 3)."""
    rates = rng.uniform(4.6, 8.0, (8, 1))  # no single rate: neighbouring rates beat against each other
    wave = size / 2 * np.sin(2 * np.pi * rates * _TIME + rng.uniform(0, 2 * np.pi, (8, 1))).sum(axis=0)
    return wave[:, None] * np.array([-0.35, 0.45, -0.75])


def _heart_vector(case: _Case, breath: float, rng: np.random.Generator) -> np.ndarray:
    """The heart vector of the whole record, mV; (n, 3)."""
    vector = np.zeros((_TIME.size, 3))
    for beat in case.beats:
        _add_beat(vector, beat, case.hearts[beat.kind])
    if case.f_waves:
        vector += _f_waves(case.f_waves, rng)
    phase = 2 * np.pi * breath * _TIME + rng.uniform(0, 2 * np.pi)
    angle = np.radians(rng.uniform(1, 4)) * np.sin(phase)
    x, y = vector[:, 0].copy(), vector[:, 1].copy()
    vector[:, 0], vector[:, 1] = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    return vector * (1 + rng.uniform(0.01, 0.04) * np.sin(phase + 1.0))[:, None]


# %% [markdown]
# ## What the electrodes add
# Disturbance arises at the nine electrodes, not in the leads: a trembling right arm shows in every lead that
# uses it, and the lead laws hold for the noise too. We add muscle noise, mains hum and the slow wander of the
# skin's own voltage.

# %%
# columns: right arm, left arm, left leg, V1 ... V6; a chest lead is against the mean of the three limbs
_FROM_ELECTRODES = np.zeros((8, 9))
_FROM_ELECTRODES[:2, :3] = [[-1, 1, 0], [-1, 0, 1]]
_FROM_ELECTRODES[2:, :3] = -1 / 3
_FROM_ELECTRODES[2:, 3:] = np.eye(6)


def _disturbance(rng: np.random.Generator) -> np.ndarray:
    """Noise of the eight independent leads, mV; (8, n)."""
    muscle = rng.lognormal(np.log(0.008), 0.7, (9, 1)) * rng.normal(size=(9, _TIME.size))
    hum = np.sin(2 * np.pi * 50 * _TIME + rng.uniform(0, 0.5, (9, 1)))
    hum *= rng.lognormal(np.log(0.010), 0.8, (9, 1))
    wander = np.zeros((9, _TIME.size))
    for frequency in (0.08, 0.15, 0.27, 0.45):
        phase = rng.uniform(0, 2 * np.pi, (9, 1))
        wander += rng.normal(0, 0.06, (9, 1)) * np.sin(2 * np.pi * frequency * _TIME + phase)
    if rng.random() < 0.15:  # an electrode moves: its voltage steps to another level
        moved, when, how_far = rng.integers(9), rng.uniform(0, SECONDS), rng.normal(0, 0.25)
        wander[moved] += 0.5 * how_far * (1 + np.tanh((_TIME - when) / 0.06))
    return _FROM_ELECTRODES @ (muscle + hum + wander)


# %% [markdown]
# ## The filter printed on the page
# The pages say 0.67-25 Hz. We run Butterworth filters forwards and backwards, so no wave is delayed and the
# ST segment is not bent by the phase shift of a one-way high-pass at 0.67 Hz: recommendations allow such a
# high cut-off only without phase distortion (Kligfield and others, *Circulation* 2007; 115: 1306). Two passes
# attenuate twice, so the corner of each pass is moved until both passes together lose 3 dB at the printed
# frequency. One filter for all leads keeps the lead laws.


# %%
@lru_cache(maxsize=8)
def _sections(fs: float) -> tuple[np.ndarray, np.ndarray]:
    """High-pass (one pole a pass) and low-pass (two poles a pass) as second-order sections."""
    loss = np.sqrt(2) - 1  # (f / corner) ** (2 * poles) where two passes together have lost 3 dB

    def corner(frequency: float, factor: float) -> float:  # the tangent: how a digital filter warps frequency
        return fs / np.pi * np.arctan(factor * np.tan(np.pi * frequency / fs))

    high = butter(1, corner(0.67, loss**0.5), "highpass", fs=fs, output="sos")
    low = butter(2, corner(25, loss**-0.25), "lowpass", fs=fs, output="sos")
    return high, low


def page_filter(signals: np.ndarray, fs: float = FS) -> np.ndarray:
    """Filter to 0.67-25 Hz without delay, as the pages were.

    Parameters
    ----------
    signals : (..., n) array
        Signals without gaps; time runs along the last axis.
    fs : float
        Samples per second, above 60.

    Returns
    -------
    (..., n) array
        The filtered signals, 3 dB down at 0.67 and at 25 Hz.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(5000) / 250
    >>> bool(np.ptp(page_filter(np.sin(2 * np.pi * 10 * t))[1000:4000]) > 1.95)
    True
    >>> bool(np.ptp(page_filter(np.sin(2 * np.pi * 0.05 * t))[1000:4000]) < 0.04)
    True
    """
    high, low = _sections(float(fs))
    return sosfiltfilt(low, sosfiltfilt(high, signals, axis=-1), axis=-1)


# %% [markdown]
# ## What the finished beat shows
# The classes are told apart by criteria that a reader would apply to the page, so we measure them on the
# filtered, noise-free median beat and draw again when a case misses its own criteria. Levels are against the
# flat piece before the QRS; ST is read 60 ms after the J point; Q is the first downward wave of the QRS. The
# filter lowers Q and R and may shift ST, so on such pages every clinical threshold is approximate, and the
# classes made here are cleaner than any real folder.


# %%
def _median_beat(leads: np.ndarray, r_times: Sequence[float]) -> np.ndarray:
    """Median over beats of the leads from 0.3 s before to 0.5 s after each R peak; (12, 200)."""
    centres = np.round(np.asarray(r_times) * FS).astype(int)
    before, after = round(0.3 * FS), round(0.5 * FS)
    whole = centres[(centres >= before) & (centres + after <= leads.shape[1])]
    return np.median([leads[:, c - before : c + after] for c in whole], axis=0)


def _q_of(qrs: np.ndarray) -> tuple[float, float, float]:
    """Duration (ms) and depth (mV) of the Q wave and height of R (mV) of one lead's QRS (n,)."""
    peak = int(np.argmax(qrs))
    r = max(float(qrs[peak]), 0.0)
    first = qrs[: peak + 1] if r > 0.08 else qrs
    low = first < -0.025
    if not low.any() or (first[: np.argmax(low)] > 0.06).any():  # an r before it makes it an S
        return 0.0, 0.0, r
    return 1000 * low.sum() / FS, float(-first.min()), r


def _measure(beat: np.ndarray, heart: _Heart) -> dict[str, np.ndarray]:
    """ST level, Q duration, Q depth, R height and T height of each lead of a median beat; (12,) each."""

    def at(seconds: float) -> int:
        return round((0.3 + seconds) * FS)

    level = beat[:, at(heart.qrs_start - 0.028) : at(heart.qrs_start - 0.010)].mean(axis=1, keepdims=True)
    beat = beat - level
    qrs = beat[:, at(heart.qrs_start - 0.012) : at(heart.qrs_end)]
    q_ms, q, r = np.array([_q_of(lead) for lead in qrs]).T
    t = beat[:, at(heart.qrs_end + 0.10) : at(0.36)]
    t_peak = t[np.arange(12), np.argmax(np.abs(t), axis=1)]
    return {"st": beat[:, at(heart.qrs_end + 0.060)], "q_ms": q_ms, "q": q, "r": r, "t": t_peak}


def _rows(names: Sequence[str]) -> list[int]:
    return [LEADS.index(name) for name in names]


def _elevated(facts: dict[str, np.ndarray], wall: Territory) -> bool:
    """ST elevation of 0.1 mV in every facing lead (0.2 mV in V2 and V3) and depression opposite."""
    limit = np.array([0.2 if name in ("V2", "V3") else 0.1 for name in wall.facing])
    opposite = facts["st"][_rows(wall.opposite)]
    return bool((facts["st"][_rows(wall.facing)] >= limit).all() and (opposite <= -0.04).all())


def _scar(facts: dict[str, np.ndarray], wall: Territory) -> bool:
    """In two facing leads or more a Q of 40 ms and a quarter of R, with T inverted; ST near the baseline."""
    rows = _rows(wall.facing)
    q = (facts["q_ms"][rows] >= 40) & (facts["q"][rows] >= np.maximum(0.1, 0.25 * facts["r"][rows]))
    inverted = facts["t"][rows] <= -0.1
    return bool((q & inverted).sum() >= 2 and np.abs(facts["st"]).max() < 0.15)


def _sound(facts: dict[str, np.ndarray]) -> bool:
    """Inside normal limits: axis, R progression, voltage, no Q, no ST shift, T upright where it has to be."""
    st, q, r, t = (facts[key] for key in ("st", "q", "r", "t"))
    left = _rows(("I", "II", "V4", "V5", "V6"))
    small_q = (q[left] < 0.25 * r[left] + 0.02).all() and not q[_rows(("V2", "V3", "V4"))].any()
    level = np.abs(np.delete(st, _rows(("V2", "V3")))).max() < 0.09 and np.abs(st).max() < 0.18
    upright = (t[left] > 0.07).all() and t[LEADS.index("V3")] > 0.07 and t.max() < 1.0
    v1, _, v3, v4, v5, v6 = r[6:]
    progression = v1 < 0.5 and v1 < v3 < 1.4 * v4 and v5 > 0.5 and v6 > 0.3 and r.max() < 2.6
    return bool(small_q and level and upright and progression and r[0] > 0.2 and r[1] > 0.25)


def _convinces(label: str, case: _Case, facts: dict[str, np.ndarray]) -> bool:
    """Does the case meet the criteria of its class?"""
    if label == "MI":
        return _elevated(facts, TERRITORIES[case.territory])
    if label == "History_MI":
        return _scar(facts, TERRITORIES[case.territory])
    if label == "Normal":
        return _sound(facts)
    return True


# %% [markdown]
# ## One record
# The seed and the class decide everything. Noise is drawn last, so `noise=0` gives the same heart without
# disturbance.


# %%
def _draw(label: str, sex: str, rng: np.random.Generator) -> tuple[_Case, np.ndarray, dict[str, np.ndarray]]:
    """Draw cases until one meets its criteria: the case, its unfiltered free leads (8, n) and its facts."""
    for _ in range(500):
        breath = rng.uniform(0.2, 0.33)
        case, torso = _case(label, breath, rng), _own_torso(rng, sex)
        free = torso @ _heart_vector(case, breath, rng).T
        kind = "fibrillation" if case.f_waves else "sinus"
        times = [beat.time - _T0 for beat in case.beats if beat.kind == kind and 0 <= beat.time <= SECONDS]
        facts = _measure(_median_beat(twelve_leads(page_filter(free)), times), case.hearts[kind])
        if _convinces(label, case, facts):
            return case, free, facts
    raise RuntimeError(f"no {label} case in 500 draws met its criteria")  # a bug, not bad luck


def record(label: str, seed: int, noise: float = 1.0) -> Record:
    """Make a synthetic 12-lead ECG of 10 s.

    Parameters
    ----------
    label : str
        "MI" (ST elevation with reciprocal depression), "History_MI" (pathological Q, inverted T),
        "Abnormal" (tachycardia, atrial fibrillation, ectopic beats, bundle branch block) or "Normal".
    seed : int
        Not negative. The same label and seed give the same record.
    noise : float
        Factor on muscle noise, mains hum and wander; 0 leaves the heart alone and changes nothing else.

    Returns
    -------
    Record
        Signals at 250 Hz, filtered to 0.67-25 Hz. ``truth`` holds ``r_times`` (s, all beats of the
        record), ``kinds`` (of these beats), ``findings``, ``territory`` ("" unless infarcted), ``qrs``
        (start and end of the QRS against its R peak, s) and, measured on the noise-free median beat in the
        order of ``LEADS``, ``st``, ``q``, ``r``, ``t`` (mV) and ``q_ms``.

    Raises
    ------
    ValueError
        If the label is none of the four.

    Examples
    --------
    >>> ecg = record("MI", seed=7)
    >>> ecg.leads.shape, ecg.leads.dtype.name
    ((12, 2500), 'float32')
    >>> wall = TERRITORIES[ecg.truth["territory"]]
    >>> all(ecg.truth["st"][LEADS.index(lead)] >= 0.1 for lead in wall.facing)
    True
    """
    if label not in CLASSES:
        raise ValueError(f"unknown class {label!r}; use one of {', '.join(CLASSES)}")
    rng = np.random.default_rng([CLASSES.index(label), seed])
    sex = "Male" if rng.random() < 0.9 else "Female"
    case, free, facts = _draw(label, sex, rng)
    shown = slice(round(-_T0 * FS), round((SECONDS - _T0) * FS))
    leads = twelve_leads(page_filter(free + noise * _disturbance(rng)))[:, shown].astype(np.float32)
    beats = [beat for beat in case.beats if 0 <= beat.time < SECONDS]
    main = case.hearts["fibrillation" if case.f_waves else "sinus"]
    truth = {
        "r_times": np.array([beat.time for beat in beats]),
        "kinds": tuple(beat.kind for beat in beats),
        "findings": case.findings,
        "territory": case.territory,
        "qrs": (main.qrs_start, main.qrs_end),
        **facts,
    }
    rate = round(60 / np.mean(np.diff(truth["r_times"])))  # type: ignore[call-overload]
    return Record(leads, FS, "III" if rng.random() < 0.7 else "II", rate, sex, label, truth)


# %% [markdown]
# ## What a page shows of a record
# Of the twelve leads of ten seconds a page shows a quarter: each column holds three leads for 2.5 s, and only
# the rhythm strip runs through. `window` blanks the rest, so that a synthetic record looks to a program as a
# digitised page does.

# %%
COLUMN = 2.5  # seconds a column
GRID = (("I", "II", "III"), ("aVR", "aVL", "aVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))  # by column


def span(lead: str, fs: float = FS) -> slice:
    """Samples of a lead that its column shows.

    Parameters
    ----------
    lead : str
        One of ``LEADS``.
    fs : float
        Samples per second.

    Returns
    -------
    slice

    Examples
    --------
    >>> span("V2")
    slice(1250, 1875, None)
    """
    column = LEADS.index(lead) // 3
    return slice(round(column * COLUMN * fs), round((column + 1) * COLUMN * fs))


def window(record: Record) -> Record:
    """Keep what a page shows: 2.5 s of each lead, 10 s of the rhythm lead, NaN elsewhere.

    Parameters
    ----------
    record : Record
        A record of 10 s.

    Returns
    -------
    Record
        The same record with new ``leads``.

    Examples
    --------
    >>> import numpy as np
    >>> int(np.isfinite(window(record("Normal", 1)).leads).sum()) == 11 * 625 + 2500
    True
    """
    leads = np.full_like(record.leads, np.nan)
    for row, lead in enumerate(LEADS):
        shown = slice(None) if lead == record.rhythm else span(lead, record.fs)
        leads[row, shown] = record.leads[row, shown]
    return record._replace(leads=leads)


# %% [markdown]
# ## Raise the ST segment by a millimetre
# To ask what a network can see, we need pairs of records that differ in one thing. `st_shift` adds a plateau
# of exactly `mm` millimetres (0.1 mV each) after every J point, in the leads we name and nowhere else.


# %%
def st_shift(record: Record, mm: float, leads: Sequence[str]) -> Record:
    """Raise (or lower) the ST segment of some leads.

    The added curve is flat from 20 to 120 ms after the J point; it rises and falls along half a cosine, over
    the 20 ms before and the 120 ms after. It is added after the page's filter. Shifting a chest lead keeps
    the lead laws; shifting single limb leads breaks them.

    Parameters
    ----------
    record : Record
        A synthetic record (``truth`` gives the beats).
    mm : float
        Shift in millimetres at 10 mm/mV; negative lowers.
    leads : sequence of str
        Names from ``LEADS``.

    Returns
    -------
    Record

    Examples
    --------
    >>> ecg = record("Normal", 3)
    >>> raised = st_shift(ecg, 1.0, ["V2"])
    >>> round(float((raised.leads - ecg.leads)[LEADS.index("V2")].max()), 4)
    0.1
    """
    time = np.arange(record.leads.shape[1]) / record.fs
    plateau = np.zeros_like(time)
    for r in record.truth["r_times"]:
        after = time - r - record.truth["qrs"][1]
        edge = np.clip(np.minimum(after / 0.020, (0.240 - after) / 0.120), 0, 1)
        plateau = np.maximum(plateau, 0.5 - 0.5 * np.cos(np.pi * edge))
    shifted = record.leads.copy()
    shifted[_rows(leads)] += (0.1 * mm * plateau).astype(shifted.dtype)
    return record._replace(leads=shifted)
