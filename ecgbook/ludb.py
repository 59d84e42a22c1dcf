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
# # LUDB: waves whose boundaries cardiologists marked
# The Lobachevsky University Database holds 200 ECGs of 10 s, 12 leads each, in which cardiologists marked by hand
# where every P wave, QRS and T wave begins and ends, lead by lead. Here our boundaries meet theirs, beside those of
# NeuroKit2. The comparison was fixed before it was run: how a boundary counts as found, what a miss costs, which
# records tune and which judge.
#
# LUDB also tells each person's diagnosis. Nothing in this module opens it: signals and marks are read directly, and
# of a header only the lines that describe the signals.

# %%
"""Read LUDB's signals and wave boundaries, and score delineators on them."""

from __future__ import annotations

import json
import platform
import resource
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from ecgbook import beats
from ecgbook.data import EcgbookError, digest, home, write_whole, writing
from ecgbook.synth import COLUMN, LEADS, page_filter, span

FS = 500  # samples per second
RECORDS = tuple(range(1, 201))
TUNE = tuple(number for number in RECORDS if number % 2 == 0)  # where the constants of `beats` were fitted
JUDGE = tuple(number for number in RECORDS if number % 2 == 1)  # where they are judged
EDGES = ("onset", "offset")

# %% [markdown]
# ## Reading
# Signals are 16-bit integers, the leads interleaved. The headers state a gain and a zero for every lead, by which each
# lead of each record spans exactly 1 mV. That cannot be: leads read so break Einthoven's law grossly, and as integers
# they obey it to half a unit ([](../book/beyond/leads.ipynb)). So the integers share one scale, which nothing states;
# we take a unit for a microvolt, which makes LUDB's waves as large as those of the pages.
#
# Marks are in the format of MIT: two bytes each, ten bits of time since the mark before and six bits of kind. A wave is
# three marks, `(`, its peak, and `)`.


# %%
def _file(name: str) -> Path:
    path = home() / "ludb" / "data" / name
    if not path.is_file():
        raise EcgbookError(
            f"{path}: is not there; get LUDB with `ecgbook data fetch ludb`,"
            " or set ECGBOOK_DATA to the folder that holds ludb/"
        )
    return path


UNIT = 1e-3  # mV


def _stored(number: int) -> tuple[np.ndarray, list[list[str]]]:
    """Integers of one record (12, 5000), and the line of the header that describes each lead, as ``LEADS`` stand."""
    with open(_file(f"{number}.hea"), encoding="ascii") as lines:
        told = [line.split() for line in lines if not line.startswith("#")][1:13]
    counts = np.fromfile(_file(f"{number}.dat"), "<i2").reshape(-1, len(told)).T
    names = [fields[-1].lower() for fields in told]
    order = [names.index(lead.lower()) for lead in LEADS]
    return counts[order].astype(float), [told[row] for row in order]


def read(number: int) -> np.ndarray:
    """Read the signals of one record, all leads on one scale.

    Parameters
    ----------
    number : int
        1 to 200.

    Returns
    -------
    (12, 5000) array
        Millivolts (a stored unit is taken for a microvolt) at 500 Hz, rows in the order of ``LEADS``.

    Raises
    ------
    EcgbookError
        If LUDB is not there.
    """
    return UNIT * _stored(number)[0]


def read_by_header(number: int) -> np.ndarray:
    """Read the same by the gains and zeros that the header states, which contradict each other; (12, 5000)."""
    counts, told = _stored(number)
    gains = [fields[2].removesuffix("/mV").rstrip(")").split("(") for fields in told]
    return np.array(
        [(row - float(zero)) / float(gain) for row, (gain, zero) in zip(counts, gains, strict=True)]
    )


_PEAKS = {24: "P", 1: "QRS", 27: "T"}
_OPENS, _CLOSES, _SKIP, _AUX = 39, 40, 59, 63


def _marks(raw: bytes) -> Iterator[tuple[int, int]]:
    """Sample and kind of each mark in an MIT annotation file."""
    words = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2").tolist()
    sample, at = 0, 0
    while at < len(words) and words[at]:
        kind, value = words[at] >> 10, words[at] & 1023
        at += 1
        if kind == _SKIP:  # a long step, in two more words
            sample += (words[at] << 16) + words[at + 1]
            at += 2
        elif kind == _AUX:  # a note of so many bytes
            at += (value + 1) // 2
        elif kind < _SKIP:
            sample += value
            yield sample, kind


def annotated(number: int, lead: str) -> pd.DataFrame:
    """Read the boundaries that cardiologists marked in one lead.

    Parameters
    ----------
    number : int
        Record, 1 to 200.
    lead : str
        One of ``LEADS``.

    Returns
    -------
    pandas.DataFrame
        One row a wave: ``wave`` (of ``beats.WAVES``), ``onset``, ``peak`` and ``offset`` in s; NaN where a boundary
        was not marked. The first and last beats of a record are not marked.
    """
    marks = list(_marks(_file(f"{number}.{lead.lower()}").read_bytes()))
    rows = []
    for at, (sample, kind) in enumerate(marks):
        if kind in _PEAKS:
            before = marks[at - 1] if at else (0, 0)
            after = marks[at + 1] if at + 1 < len(marks) else (0, 0)
            onset = before[0] / FS if before[1] == _OPENS else np.nan
            offset = after[0] / FS if after[1] == _CLOSES else np.nan
            rows.append((_PEAKS[kind], onset, sample / FS, offset))
    return pd.DataFrame(rows, columns=["wave", "onset", "peak", "offset"])


# %% [markdown]
# ## What counts as found
# A marked boundary is found if the same kind of boundary is reported within 150 ms; nearest pairs are matched
# first, each once. Reports outside the marked stretch of the lead do not count, for nobody marked there.
# Sensitivity is the share found of what was marked, positive predictive value (PPV) the share matched of what was
# reported.

# %%
TOLERANCE = 0.150  # s


def match(marked: np.ndarray, reported: np.ndarray, tolerance: float = TOLERANCE) -> np.ndarray:
    """Pair marked and reported times, nearest first, each at most once.

    Parameters
    ----------
    marked, reported : (m,) and (r,) arrays
        Times, s.
    tolerance : float
        Largest distance of a pair, s.

    Returns
    -------
    (p, 2) int array
        Indices of the pairs.

    Examples
    --------
    >>> match(np.array([1.0, 2.0]), np.array([1.1, 1.02, 2.4])).tolist()
    [[0, 1]]
    """
    distance = np.abs(np.subtract.outer(marked, reported))
    close = np.argwhere(distance <= tolerance)
    pairs: list[tuple[int, int]] = []
    left, right = set(range(len(marked))), set(range(len(reported)))
    for a, b in close[np.argsort(distance[tuple(close.T)], kind="stable")].tolist():
        if a in left and b in right:
            left.remove(a)
            right.remove(b)
            pairs.append((a, b))
    return np.array(sorted(pairs), int).reshape(-1, 2)


def score(
    marked: np.ndarray, reported: np.ndarray, stretch: tuple[float, float]
) -> tuple[np.ndarray, int, int]:
    """Compare the reported times of one kind of boundary with the marked ones.

    Parameters
    ----------
    marked, reported : (m,) and (r,) arrays
        Times, s; NaN is left out.
    stretch : tuple of two floats
        First and last mark of the lead, s.

    Returns
    -------
    errors : (p,) array
        Reported minus marked, ms, of those found.
    marked, reported : int
        How many there were; reports count if matched or inside the stretch.
    """
    marked, reported = (np.asarray(times, float)[np.isfinite(times)] for times in (marked, reported))
    pairs = match(marked, reported)
    counted = (reported >= stretch[0]) & (reported <= stretch[1])
    counted[pairs[:, 1]] = True
    errors = 1000 * (reported[pairs[:, 1]] - marked[pairs[:, 0]])
    return errors, len(marked), int(counted.sum())


# %% [markdown]
# ## The competitors
# Ours sees the signals as a page would show them, filtered to 0.67-25 Hz and at 250 samples per second, in two
# versions: all twelve leads for ten seconds, as LUDB has them; and only what a page shows, 2.5 s of a lead and one
# rhythm strip. NeuroKit2 sees the full signals at 500 samples per second, one lead at a time, as it was made for:
# its own cleaning, its own R peaks (or, so that a missed peak does not weigh on its boundaries, the marked ones),
# and each of its four methods.

# %%
Reported = dict[tuple[int, str, str], np.ndarray]  # (row of LEADS, wave, edge) -> times, s
NEUROKIT = ("dwt", "cwt", "peak", "prominence")


def _times(found: pd.DataFrame) -> Reported:
    return {
        (row, wave, edge): found.loc[(found["lead"] == row) & (found["wave"] == wave), edge].to_numpy()
        for row in range(len(LEADS))
        for wave in beats.WAVES
        for edge in EDGES
    }


def as_filtered(signals: np.ndarray) -> np.ndarray:
    """Filter LUDB signals (12, n) to 0.67-25 Hz and halve their rate to 250 Hz."""
    return page_filter(signals, FS)[:, ::2]


def ours(number: int) -> Reported:
    """Boundaries by :func:`ecgbook.beats.delineate` from twelve leads of ten seconds."""
    return _times(beats.delineate(as_filtered(read(number)), FS / 2))


def ours_on_page(number: int) -> Reported:
    """The same from what a page shows: each lead for 2.5 s, lead II throughout."""
    whole = as_filtered(read(number))
    shown = np.full_like(whole, np.nan)
    for row, lead in enumerate(LEADS):
        piece = slice(None) if lead == "II" else span(lead, FS / 2)
        shown[row, piece] = whole[row, piece]
    return _times(beats.delineate(shown, FS / 2))


_NEUROKIT_NAMES = {
    (wave, edge): f"ECG_{'R' if wave == 'QRS' else wave}_{edge.capitalize()}s"
    for wave in beats.WAVES
    for edge in EDGES
}


def _neurokit_lead(
    signal: np.ndarray, method: str, peaks: np.ndarray | None
) -> dict[tuple[str, str], np.ndarray]:
    """Boundaries of one lead by one method of NeuroKit2; nothing where it fails."""
    import neurokit2

    try:
        clean = neurokit2.ecg_clean(signal, FS)
        if peaks is None:
            peaks = neurokit2.ecg_peaks(clean, FS)[1]["ECG_R_Peaks"]
        found = neurokit2.ecg_delineate(clean, peaks, FS, method=method)[1]
    except Exception:  # it raises many kinds where it finds nothing; that is a miss, and counted as one
        found = {}
    times = {key: np.array(found.get(name, []), float) / FS for key, name in _NEUROKIT_NAMES.items()}
    return {key: values[np.isfinite(values)] for key, values in times.items()}


def neurokit(number: int, method: str, peaks_given: bool) -> Reported:
    """Boundaries by NeuroKit2, lead by lead.

    Parameters
    ----------
    number : int
        Record, 1 to 200.
    method : str
        One of ``NEUROKIT``.
    peaks_given : bool
        Start from the marked R peaks instead of its own.
    """
    out: Reported = {}
    for row, signal in enumerate(read(number)):
        marks = annotated(number, LEADS[row])
        peaks = np.round(marks.loc[marks["wave"] == "QRS", "peak"].to_numpy() * FS).astype(int)
        found = _neurokit_lead(signal, method, peaks if peaks_given else None)
        out |= {(row, *key): times for key, times in found.items()}
    return out


METHODS: dict[str, Callable[[int], Reported]] = {"ecgbook": ours, "ecgbook, as on a page": ours_on_page}
for _method in NEUROKIT:
    METHODS[f"neurokit {_method}"] = lambda number, method=_method: neurokit(number, method, False)  # type: ignore[misc]
    METHODS[f"neurokit {_method}, peaks given"] = lambda number, method=_method: neurokit(  # type: ignore[misc]
        number, method, True
    )

# %% [markdown]
# ## The comparison
# One row for each method, record, wave and edge: how many were marked, how many reported, and the errors of those
# found. Only errors are kept, no signal and no mark. For the page version a lead is judged inside its own 2.5 s
# only.


# %%
def _stretches(marks: pd.DataFrame, lead: str, on_page: bool) -> tuple[float, float]:
    """Stretch of a lead that is judged, s."""
    times = marks[["onset", "peak", "offset"]].to_numpy()
    first, last = np.nanmin(times), np.nanmax(times)
    if on_page and lead != "II":
        column = LEADS.index(lead) // 3
        first, last = max(first, column * COLUMN + 0.05), min(last, (column + 1) * COLUMN - 0.05)
    return float(first), float(last)


def _whole_inside(marks: pd.DataFrame, stretch: tuple[float, float]) -> pd.DataFrame:
    """Waves that lie inside a stretch with both ends."""
    first = marks["onset"].fillna(marks["peak"]) >= stretch[0]
    last = marks["offset"].fillna(marks["peak"]) <= stretch[1]
    return marks[first & last]


def score_record(number: int, method: str, reported: Reported) -> pd.DataFrame:
    """Score what a method reported on a record.

    Returns
    -------
    pandas.DataFrame
        Columns ``method``, ``record``, ``wave``, ``edge``, ``marked``, ``reported``, ``errors_ms`` (whole ms with
        sign, parted by blanks; as many as were found), summed over the leads.
    """
    sums: dict[tuple[str, str], tuple[list[float], int, int]] = {}
    for row, lead in enumerate(LEADS):
        marks = annotated(number, lead)
        stretch = _stretches(marks, lead, method.endswith("page"))
        marks = _whole_inside(marks, stretch)
        for wave in beats.WAVES:
            for edge in EDGES:
                there = marks.loc[marks["wave"] == wave, edge].to_numpy()
                errors, marked, said = score(there, reported[row, wave, edge], stretch)
                before = sums.get((wave, edge), ([], 0, 0))
                sums[wave, edge] = before[0] + errors.tolist(), before[1] + marked, before[2] + said
    rows = [
        (method, number, wave, edge, marked, said, " ".join(f"{error:.0f}" for error in errors))
        for (wave, edge), (errors, marked, said) in sums.items()
    ]
    return pd.DataFrame(rows, columns=["method", "record", "wave", "edge", "marked", "reported", "errors_ms"])


def summary(outputs: pd.DataFrame) -> pd.DataFrame:
    """Summarise a comparison.

    Parameters
    ----------
    outputs : pandas.DataFrame
        Rows of :func:`score_record`.

    Returns
    -------
    pandas.DataFrame
        One row a wave, edge and method: ``median_ms`` (absolute error of those found), ``with_misses_ms`` (median in
        which a miss counts as 150 ms), ``bias_ms`` (median error), ``sd_ms``, ``sensitivity`` and ``ppv``.
        NaN for a method that does not report this boundary.
    """
    rows = []
    for (wave, edge, method), part in outputs.groupby(["wave", "edge", "method"], sort=False):
        errors = np.array(" ".join(part["errors_ms"].fillna("").astype(str)).split(), float)
        marked, reported = part["marked"].sum(), part["reported"].sum()
        row = {"wave": wave, "edge": edge, "method": method}
        if errors.size:
            absolute = np.abs(errors)
            missed = np.full(marked - errors.size, 1000 * TOLERANCE)
            row |= {"median_ms": np.median(absolute), "with_misses_ms": np.median(np.r_[absolute, missed])}
            row |= {"bias_ms": np.median(errors), "sd_ms": errors.std()}
            row |= {"sensitivity": errors.size / marked, "ppv": errors.size / reported}
        rows.append(row)
    return pd.DataFrame(rows)


def compare(
    folder: Path, numbers: tuple[int, ...] = JUDGE, methods: dict[str, Callable[[int], Reported]] = METHODS
) -> pd.DataFrame:
    """Run the comparison and write it as ``outputs.csv.gz`` and ``run.json``.

    Parameters
    ----------
    folder : pathlib.Path
        Where the run goes, for example ``book/results/ludb-delineation``.
    numbers : tuple of int
        Records; by default the odd ones, on which nothing was tuned.
    methods : dict
        Name -> function of a record number.

    Returns
    -------
    pandas.DataFrame
        The rows of :func:`score_record`; see :func:`summary`.
    """
    started, clock = time.strftime("%Y-%m-%d"), time.monotonic()
    parts = [score_record(n, name, method(n)) for name, method in methods.items() for n in numbers]
    outputs = pd.concat(parts, ignore_index=True)
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder / "outputs.csv.gz") as part:
        squeezed = {"method": "gzip", "mtime": 0}  # the same bytes whenever it is written
        outputs.to_csv(part, index=False, lineterminator="\n", compression=squeezed)
    run = {
        "run": folder.name,
        "task": "delineate",
        "methods": list(methods),
        "input": "LUDB 1.0.1, odd-numbered records; constants of ecgbook.beats fitted on the even-numbered ones",
        "records": len(numbers),
        "tolerance_ms": 1000 * TOLERANCE,
        "columns": {
            "marked": "boundaries marked by the cardiologists, over the twelve leads",
            "reported": "boundaries reported inside the marked stretch",
            "errors_ms": "reported minus marked of those within the tolerance",
        },
        "command": "python -m ecgbook.ludb",
        "versions": {name: version(name) for name in ("numpy", "scipy", "neurokit2")},
        "code_sha256": {path.name: digest(path)[1] for path in (Path(beats.__file__), Path(__file__))},
        "device": f"{platform.machine()} CPU",
        "wall_s": round(time.monotonic() - clock),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "started": started,
    }
    write_whole(folder / "run.json", json.dumps(run, indent=2) + "\n")
    return outputs


# %%
if __name__ == "__main__":
    compare(Path("book/results/ludb-delineation"))
