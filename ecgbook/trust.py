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
# # Trust: how sure, how wrong, and when not to answer
# A probability is a promise: of all answers given with 80 %, four in five should be right. This module checks the
# promise, mends it, and answers "I don't know" where it cannot be kept. Whatever it learns (a temperature, a
# threshold, a quantile) it learns from pages that the outer fold did not test.

# %%
"""Calibration, selective prediction, conformal sets, refusal of foreign images, and a triage view."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import io
import json
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ecgbook import data, digitize, draw, evaluate, ink, measure, models, printed, publish, splits, study
from ecgbook.data import CLASSES, EcgbookError, write_whole
from ecgbook.evaluate import PROBABILITIES
from ecgbook.synth import COLUMN, LEADS, Record

if TYPE_CHECKING:
    from PIL import Image

# %% [markdown]
# ## Pages to learn from
# The headline's test pages say how good it is, so nothing may be fitted to them. The pages an outer fold trained on
# will not do either: a model is too sure of what it has seen. So these are dealt once more, into five inner folds of
# whole groups. The model is fitted on four and predicts the fifth, and after five such fits every page of the training
# side has an honest prediction. Each of the five inner models also predicts the outer test pages: the conformal sets
# below compare the two.

# %%
RUN = "inner-headline"
REPEATS, FOLDS, INNER = 3, 5, 5
COLUMNS = ["repeat", "fold", "inner", "part", "file", *PROBABILITIES[:3]]
_FACTS = {
    "run": RUN,
    "task": "calibrate",
    "model": "headline",
    "input": "all",
    "protocol": "grouped",
    "weights": "none",
    "seed": 0,
    "folds": FOLDS,
    "repeats": REPEATS,
    "inner_folds": INNER,
    "columns": {
        "repeat, fold": "of the protocol grouped, as in the run grouped-headline",
        "inner": "inner fold that was left out of training, 0 to 4",
        "part": "cal: a page of this inner fold; test: a page the outer fold tests",
        "file": "the page",
        "p_MI, p_History_MI, p_Abnormal": "probabilities; that of Normal is what is missing to 1",
    },
    "command": "python -m ecgbook.trust",
}


def deal_inner(repeat: int, fold: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Deal the training side of an outer fold into inner folds of whole groups.

    Parameters
    ----------
    repeat, fold : int
        Of the protocol "grouped".

    Returns
    -------
    test : (n,) int array
        Rows of ``data.pages()`` that the outer fold tests.
    held : list of int arrays
        Rows of each inner fold; together all rows but `test`.

    Examples
    --------
    >>> test, held = deal_inner(0, 0)
    >>> len(held), sum(map(len, held)) + len(test)
    (5, 491)
    """
    pages = data.pages()
    split = splits.folds("grouped", pages, repeat, FOLDS)[fold]
    rest = np.sort(np.concatenate([split.train, split.val]))
    dealt = splits._deal_groups(pages.iloc[rest], INNER, repeat)
    return split.test, [rest[held] for _, held in dealt]


def inner_fold(repeat: int, fold: int) -> pd.DataFrame:
    """Fit the headline model once for each inner fold of an outer fold, without it, and predict.

    Parameters
    ----------
    repeat, fold : int
        Of the protocol "grouped".

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COLUMNS`; about 390 rows of part "cal" (each page once) and five times the test pages.
    """
    from threadpoolctl import threadpool_limits

    pages = data.pages()
    X = models.features("all").loc[pages["file"]]
    y = pages["label"].map({label: k for k, label in enumerate(CLASSES)}).to_numpy()
    groups = pages["group"].to_numpy()
    test, held = deal_inner(repeat, fold)
    parts = []
    for inner, left_out in enumerate(held):
        rows = np.sort(np.concatenate([other for k, other in enumerate(held) if k != inner]))
        with threadpool_limits(1):
            model = models.fit(models.build("headline", 0), X.iloc[rows], y[rows], groups[rows])
            for part, asked in (("cal", left_out), ("test", test)):
                p = pd.DataFrame(models.probabilities(model, X.iloc[asked]), columns=PROBABILITIES)
                said = p.assign(file=pages["file"].to_numpy()[asked], part=part, inner=inner)
                parts.append(said.assign(repeat=repeat, fold=fold)[COLUMNS])
    return pd.concat(parts, ignore_index=True)


# %% [markdown]
# The run takes a few minutes; like a study it is resumed fold by fold.


# %%
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _code() -> dict[str, str]:
    """Digests of the code that decides the predictions."""
    own = "".join(publish.code_digest(inspect.getsource(function)) for function in (deal_inner, inner_fold))
    names = {module.__name__.split(".")[-1]: inspect.getsource(module) for module in (splits, models)}
    return {name: publish.code_digest(source) for name, source in names.items()} | {
        "trust": _digest(own)[:16]
    }


def _note() -> dict:
    """What is known when the run begins."""
    headline = study.STUDIES["grouped-headline"]
    versions = {name: importlib.metadata.version(name) for name in study._PACKAGES["table"]}
    return {
        **_FACTS,
        "code": _code(),
        "data": study._tables(headline),
        "versions": {"python": platform.python_version(), **versions},
        "device": f"cpu, {platform.machine()}",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _fold_path(folder: Path, repeat: int, fold: int) -> Path:
    return folder / "folds" / f"{repeat}-{fold}.json"


def _do(folder: Path, repeat: int, fold: int) -> None:
    """Do one outer fold, and write it whole."""
    clock = time.monotonic()
    text = inner_fold(repeat, fold).to_csv(
        index=False, header=False, float_format="%.5f", lineterminator="\n"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024**2 if sys.platform == "darwin" else 1024
    )
    done = {"rows": text, "sha256": _digest(text), "wall_s": time.monotonic() - clock, "peak_rss_mb": peak}
    write_whole(_fold_path(folder, repeat, fold), json.dumps(done))


def _read_done(path: Path) -> dict:
    try:
        done = json.loads(path.read_text(encoding="utf-8"))
        whole = _digest(done["rows"]) == done["sha256"]
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise EcgbookError(f"{path}: was changed after it was written; remove it and run again")
    return done


def _begin(folder: Path) -> dict:
    """Write a new note, or go on with an unfinished one that describes the same experiment."""
    note, old = _note(), study._read_note(folder)
    if old is None:
        data.make_folder(folder / "folds")
        write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
        return note
    other = [key for key in (*_FACTS, "code", "data") if old.get(key) != note[key]]
    if other:
        raise EcgbookError(
            f"{folder}: was begun with other {', '.join(other)}; remove the folder and run again"
        )
    return old


def store(results: Path = study.RESULTS, jobs: int = 1) -> Path:
    """Make the run of inner predictions, or what of it is missing.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.
    jobs : int, default 1
        Outer folds computed at the same time.

    Returns
    -------
    pathlib.Path
        The run's folder with ``run.json`` and ``outputs.csv``.

    Raises
    ------
    EcgbookError
        A run begun with other code or data, or a folder that cannot be written.
    """
    from joblib import Parallel, delayed

    folder = Path(results) / RUN
    note = _begin(folder)
    if "outputs_sha256" in note:
        return folder
    keys = [(repeat, fold) for repeat in range(REPEATS) for fold in range(FOLDS)]
    missing = [key for key in keys if not _fold_path(folder, *key).exists()]
    Parallel(jobs)(delayed(_do)(folder, *key) for key in missing)
    parts = [_read_done(_fold_path(folder, *key)) for key in keys]
    text = ",".join(COLUMNS) + "\n" + "".join(part["rows"] for part in parts)
    write_whole(folder / "outputs.csv", text)
    note |= {
        "outputs_sha256": _digest(text),
        "wall_s": round(sum(part["wall_s"] for part in parts), 1),  # of the folds, one after the other
        "peak_rss_mb": round(max(part["peak_rss_mb"] for part in parts)),
    }
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
    shutil.rmtree(folder / "folds")
    return folder


# %% [markdown]
# ## What the run left
# Two frames in the format of all predictions: what the inner models said, and what the headline itself said of the
# same test pages (its stored run; the first repeats of it).


# %%
def load_inner(results: Path = study.RESULTS) -> pd.DataFrame:
    """Load the inner predictions.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        ``repeat``, ``fold``, ``inner``, ``part`` ("cal" or "test"), ``file``, ``label``, ``group`` and the four
        probabilities.

    Raises
    ------
    EcgbookError
        No such run, an unfinished one, or a file that was changed.

    Examples
    --------
    >>> rows = load_inner()
    >>> int((rows["part"] == "cal").groupby([rows["repeat"], rows["fold"]]).sum().min()) > 380
    True
    """
    path, note = Path(results) / RUN / "outputs.csv", study._read_note(Path(results) / RUN)
    if note is None or "outputs_sha256" not in note:
        raise EcgbookError(f"{path.parent}: is not there or not finished; make it with `{_FACTS['command']}`")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != note["outputs_sha256"]:
        raise EcgbookError(f"{path}: was changed by hand; remove the folder and run again")
    frame = pd.read_csv(io.BytesIO(content))
    frame["p_Normal"] = (1 - frame[PROBABILITIES[:3]].sum(axis=1)).clip(lower=0)
    known = data.pages().set_index("file")[["label", "group"]]
    return frame.join(known, on="file")


def load_headline(results: Path = study.RESULTS) -> pd.DataFrame:
    """Load what the headline said of its test pages in the repeats that the inner run covers.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`ecgbook.evaluate.COLUMNS`; part "test" alone.

    Examples
    --------
    >>> len(load_headline()) == REPEATS * 491
    True
    """
    frame = study.load("grouped-headline", results)
    return frame[(frame["part"] == "test") & (frame["repeat"] < REPEATS)].reset_index(drop=True)


def _arrays(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n, 4) and numbers of the true classes (n,)."""
    number = {label: k for k, label in enumerate(CLASSES)}
    return frame[PROBABILITIES].to_numpy(float), frame["label"].map(number).to_numpy()


# %% [markdown]
# ## Mending probabilities
# *Temperature scaling* divides all log-probabilities by one number {math}`T` and scales them to sum to 1 again:
# {math}`p_k \propto p_k^{1/T}`. Above 1 it makes a model less sure, below 1 surer; the order of the classes never
# changes. *Isotonic regression* learns, for each class, any rising step function from the stated to the observed
# share; with four such curves the results are scaled to sum to 1. One number against a hundred steps: the second can
# mend more, and learn more nonsense. A step that says 0 means "none of the {math}`n` pages seen", so it is read as half
# a page of {math}`n`.

# %%
Mended = Callable[[np.ndarray], np.ndarray]


def temperature(p: np.ndarray, y: np.ndarray) -> tuple[Mended, float]:
    """Fit temperature scaling by log loss.

    Parameters
    ----------
    p : (n, c) array
        Probabilities of pages that the model did not train on.
    y : (n,) int array
        Their classes.

    Returns
    -------
    mend : function
        (m, c) probabilities to (m, c) probabilities.
    T : float
        The temperature, between 1/5 and 5.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.dirichlet([1, 1, 1], 4000)
    >>> y = np.array([rng.choice(3, p=row) for row in p])
    >>> sure = p**2 / (p**2).sum(axis=1, keepdims=True)
    >>> round(temperature(sure, y)[1], 1)
    2.0
    """
    from scipy.optimize import minimize_scalar

    logs = np.log(np.maximum(p, evaluate.LOWEST))

    def mend(p: np.ndarray, log_t: float) -> np.ndarray:
        z = np.log(np.maximum(p, evaluate.LOWEST)) / np.exp(log_t)
        q = np.exp(z - z.max(axis=1, keepdims=True))
        return q / q.sum(axis=1, keepdims=True)

    def loss(log_t: float) -> float:
        z = logs / np.exp(log_t)
        return float((np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]).mean())

    best = minimize_scalar(loss, bounds=(-np.log(5), np.log(5)), method="bounded", options={"xatol": 1e-5}).x
    return (lambda p: mend(p, best)), float(np.exp(best))


def isotonic(p: np.ndarray, y: np.ndarray) -> tuple[Mended, float]:
    """Fit isotonic regression for each class against the rest.

    Parameters
    ----------
    p, y
        As for :func:`temperature`.

    Returns
    -------
    mend : function
        (m, c) probabilities to (m, c) probabilities.
    steps : float
        Steps of the functions, all classes together.

    References
    ----------
    Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002.

    Examples
    --------
    >>> mend, _ = isotonic(np.array([[0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.1, 0.9]]), np.array([0, 1, 0, 1]))
    >>> mend(np.array([[0.65, 0.35]])).round(2)
    array([[0.5, 0.5]])
    """
    from sklearn.isotonic import IsotonicRegression

    curves = [
        IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p[:, k], y == k)
        for k in range(p.shape[1])
    ]
    least = 0.5 / len(y)

    def mend(p: np.ndarray) -> np.ndarray:
        q = np.maximum(np.column_stack([curve.predict(p[:, k]) for k, curve in enumerate(curves)]), least)
        return q / q.sum(axis=1, keepdims=True)

    return mend, float(sum(len(np.unique(curve.y_thresholds_)) for curve in curves))


def mend(
    frame: pd.DataFrame, cal: pd.DataFrame, fit: Callable = temperature
) -> tuple[pd.DataFrame, pd.Series]:
    """Mend predictions fold by fold, each by what the inner folds of the same outer fold teach.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions, with ``repeat`` and ``fold``.
    cal : pandas.DataFrame
        Rows of part "cal" of :func:`load_inner`.
    fit : function
        :func:`temperature` or :func:`isotonic`.

    Returns
    -------
    pandas.DataFrame
        A copy of `frame` with other probabilities.
    pandas.Series
        What `fit` gave beside the function, by (repeat, fold).

    Raises
    ------
    EcgbookError
        If a fold has no "cal" rows, or one of its pages is among them.
    """
    parts, fitted = [], {}
    taught = dict(iter(cal.groupby(["repeat", "fold"])))
    for key, rows in frame.groupby(["repeat", "fold"]):
        if key not in taught:
            raise EcgbookError(f"mend: no inner predictions of repeat {key[0]}, fold {key[1]}; leave it out")
        if "inner" not in rows and rows["file"].isin(taught[key]["file"]).any():
            raise EcgbookError("mend: a page would be mended by its own label; pass pages of the outer fold")
        function, fitted[key] = fit(*_arrays(taught[key]))
        parts.append(rows.assign(**dict(zip(PROBABILITIES, function(_arrays(rows)[0]).T, strict=True))))
    return pd.concat(parts).loc[frame.index], pd.Series(fitted).rename_axis(["repeat", "fold"])


# %% [markdown]
# ## How far off: the expected calibration error, and its null
# Sort the pages by confidence (the highest of the four probabilities), cut them into ten bins of equal number, and
# average over the bins how far the share of right answers lies from the mean confidence:
#
# $$
# \text{ECE} = \sum_{b=1}^{10} \frac{n_b}{n} \left| \text{right}_b - \text{confidence}_b \right| .
# $$
#
# With 49 pages a bin even a perfect model misses its promise by chance, and the bars make every miss a positive
# number. So the ECE is never 0, and means nothing without its *null*: what a model of exactly these confidences would
# show if they were true. That is simulated by letting each page be right with the probability stated. Pages are
# taken as independent there, and one repeat at a time: five dealings of the same page are no five pages. Which ECE is
# judged was fixed before any was computed: highest probability, ten bins of equal number, after temperature scaling.

# %%
BINS = 10


def _sorted_rows(p: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and right (0 or 1), by rising confidence."""
    order = np.argsort(p.max(axis=1), kind="stable")
    return p.max(axis=1)[order], (p.argmax(axis=1) == y)[order].astype(float)


def _ece(confidence: np.ndarray, right: np.ndarray, bins: int) -> np.ndarray:
    """ECE of sorted confidences (n,) and one or more rows of answers (..., n)."""
    parts = np.array_split(np.arange(len(confidence)), bins)
    gaps = [
        len(rows) * np.abs(right[..., rows].mean(axis=-1) - confidence[rows].mean())
        for rows in parts
        if len(rows)
    ]
    return np.sum(gaps, axis=0) / len(confidence)


def ece(p: np.ndarray, y: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error of the highest probability, bins of equal number.

    Parameters
    ----------
    p : (n, c) array
        Probabilities.
    y : (n,) int array
        True classes.
    bins : int, default 10

    Returns
    -------
    float
        0 (perfect) to 1.

    References
    ----------
    Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015; bins of
    equal number: Nixon et al., "Measuring calibration in deep learning", CVPR workshops 2019.

    Examples
    --------
    >>> p = np.tile([0.8, 0.2], (10, 1))
    >>> ece(p, np.array([0] * 8 + [1] * 2), bins=1)
    0.0
    """
    return float(_ece(*_sorted_rows(p, y), bins))


def null_ece(p: np.ndarray, replicates: int = 2000, seed: int = 0, bins: int = BINS) -> np.ndarray:
    """Simulate the ECE of a model that says the same and is perfectly calibrated.

    Parameters
    ----------
    p : (n, c) array
        Probabilities; the labels of each replicate are drawn from them.
    replicates, seed
        Of the simulation.
    bins : int, default 10

    Returns
    -------
    (replicates,) array

    Examples
    --------
    >>> p = np.tile([0.8, 0.2], (400, 1))
    >>> bool(0 < np.quantile(null_ece(p, 200), 0.95) < 0.12)
    True
    """
    confidence, _ = _sorted_rows(p, np.zeros(len(p), int))
    right = np.random.default_rng(seed).random((replicates, len(p))) < confidence
    return _ece(confidence, right.astype(float), bins)


def calibration(frame: pd.DataFrame, replicates: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Set the ECE of each repeat beside its null.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions; see :func:`ecgbook.evaluate.check`.
    replicates, seed
        As for :func:`null_ece`.

    Returns
    -------
    pandas.DataFrame
        ``repeat``, ``ece``, ``null_median``, ``null_95`` (95th percentile) and ``within`` (is it at most that?).
    """
    rows = []
    for repeat, pool in evaluate.pools(frame).items():
        null = null_ece(pool.p, replicates, seed + repeat)
        found, (middle, most) = ece(pool.p, pool.y), np.quantile(null, [0.5, 0.95])
        rows.append((repeat, found, middle, most, bool(found <= most)))
    return pd.DataFrame(rows, columns=["repeat", "ece", "null_median", "null_95", "within"])


def reliability(
    frame: pd.DataFrame, repeat: int = 0, bins: int = BINS, replicates: int = 2000
) -> pd.DataFrame:
    """Compare confidence and accuracy bin by bin.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions.
    repeat : int, default 0
        Which repeat: one at a time.
    bins : int, default 10
    replicates : int
        Of the simulated null.

    Returns
    -------
    pandas.DataFrame
        One row a bin: ``confidence``, ``accuracy``, ``pages``, and ``low``, ``high``: between these lies the accuracy
        of a perfectly calibrated model in 95 of 100 simulations.

    References
    ----------
    Bröcker and Smith, "Increasing the reliability of reliability diagrams", Weather and Forecasting 22, 2007.
    """
    pool = evaluate.pools(frame)[repeat]
    confidence, right = _sorted_rows(pool.p, pool.y)
    drawn = np.random.default_rng(repeat).random((replicates, len(right))) < confidence
    rows = []
    for part in np.array_split(np.arange(len(right)), bins):
        limits = np.quantile(drawn[:, part].mean(axis=1), [0.025, 0.975])
        rows.append((confidence[part].mean(), right[part].mean(), len(part), *limits))
    return pd.DataFrame(rows, columns=["confidence", "accuracy", "pages", "low", "high"])


# %% [markdown]
# ## Shares with group intervals
# All that follows are shares: right among those answered, covered among all. Numerator and denominator are summed
# over the repeats page by page, groups are drawn, and the two sums divided.


# %%
def share(top: pd.Series, bottom: pd.Series, unit: pd.Series, replicates: int = 2000, seed: int = 0) -> tuple:
    """Estimate a share, with its interval from resampled groups.

    Parameters
    ----------
    top, bottom : pandas.Series
        Numerator and denominator of each row, indexed by file; a file may stand in several rows (repeats).
    unit : pandas.Series
        Unit of each file; see :func:`ecgbook.evaluate.units`.
    replicates, seed
        Of the bootstrap.

    Returns
    -------
    tuple of three floats
        Estimate and limits of the 95 % interval.

    Examples
    --------
    >>> one = pd.Series(1, index=["a", "b"])
    >>> share(one, one, pd.Series([1, 2], index=["a", "b"]))
    (1.0, 1.0, 1.0)
    """
    sums = pd.DataFrame({"top": top.astype(float), "bottom": bottom.astype(float)})
    sums = sums.groupby(sums.index.map(unit)).sum()
    drawn = evaluate.draw(len(sums), replicates, seed) @ sums.to_numpy()
    scores = drawn[:, 0][drawn[:, 1] > 0] / drawn[:, 1][drawn[:, 1] > 0]
    low, high = np.quantile(scores, [0.025, 0.975])
    return float(sums["top"].sum() / sums["bottom"].sum()), float(low), float(high)


# %% [markdown]
# ## Answering only when sure
# Rank the pages of a repeat by confidence and answer the surest share {math}`c` of them, the *coverage*. The accuracy
# on these is the selective accuracy, its complement the risk. The area under the curve of risk against coverage sums
# up how well confidence sorts right from wrong: 0 would be perfect, and a model whose confidence says nothing has its
# plain error rate at every coverage.


# %%
def _ranked(pool: evaluate.Pool, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cumulated weights of pages and of errors, surest first; (replicates, n) each."""
    order = np.argsort(-pool.p.max(axis=1), kind="stable")
    wrong = (pool.p.argmax(axis=1) != pool.y)[order]
    weights = weights[:, order].astype(np.float32)
    return weights.cumsum(axis=1), (weights * wrong).cumsum(axis=1)


def _at(coverage: float, pages: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Risk among the surest share of the pages; (replicates,)."""
    last = (pages < coverage * pages[:, -1:] - 1e-3).sum(axis=1)
    rows = np.arange(len(pages))
    return errors[rows, last] / pages[rows, last]


def _area(pages: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Area under risk against coverage; (replicates,)."""
    steps = np.diff(pages, axis=1, prepend=0)
    return (steps * errors / np.maximum(pages, 1)).sum(axis=1) / pages[:, -1]


def risk_coverage(
    frame: pd.DataFrame, unit: pd.Series, coverages: Sequence[float], replicates: int = 1000, seed: int = 0
) -> tuple[pd.DataFrame, tuple[float, float, float]]:
    """Measure accuracy among the surest pages, at several coverages, and the area under the risk.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions; confidence is the highest probability. Pooled within a repeat, averaged over repeats.
    unit : pandas.Series
        Unit of each file; see :func:`ecgbook.evaluate.units`.
    coverages : sequence of float
        Above 0, at most 1.
    replicates, seed
        Of the group bootstrap.

    Returns
    -------
    pandas.DataFrame
        ``coverage``, ``accuracy``, ``low``, ``high``.
    tuple of three floats
        Area under risk against coverage (AURC), with its interval.

    References
    ----------
    El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 11, 2010.

    Examples
    --------
    >>> frame = evaluate.example()
    >>> rows, area = risk_coverage(frame, pd.Series(frame.file.to_numpy(), frame.file), [1.0], replicates=50)
    >>> float(rows["accuracy"][0])
    0.75
    """
    part = evaluate.pools(frame)
    (rows,), n_units = evaluate._unit_numbers([part], unit)
    drawn = np.vstack([np.ones((1, n_units), int), evaluate.draw(n_units, replicates, seed)])
    right, areas = [], []
    for repeat, pool in part.items():
        ranked = _ranked(pool, drawn[:, rows[repeat]])
        right.append([1 - _at(coverage, *ranked) for coverage in coverages])
        areas.append(_area(*ranked))
    right, area = (
        np.mean(right, axis=0),
        np.mean(areas, axis=0),
    )  # (coverages, 1 + replicates), (1 + replicates,)
    low, high = np.quantile(right[:, 1:], [0.025, 0.975], axis=1)
    table = pd.DataFrame({"coverage": coverages, "accuracy": right[:, 0], "low": low, "high": high})
    return table, (float(area[0]), *map(float, np.quantile(area[1:], [0.025, 0.975])))  # type: ignore[return-value]


def answered(frame: pd.DataFrame, cal: pd.DataFrame, coverage: float) -> pd.Series:
    """Say which pages are answered when the threshold is set on inner predictions.

    Parameters
    ----------
    frame, cal : pandas.DataFrame
        Predictions of the outer test pages, and of the inner folds, mended alike. A column ``weight`` of `cal`, if
        there, says how much each row counts.
    coverage : float
        Share of the inner pages that shall be answered.

    Returns
    -------
    pandas.Series of bool
        Indexed as `frame`: is the highest probability at least the threshold of its fold?
    """
    limits = {}
    for key, rows in cal.groupby(["repeat", "fold"]):
        confidence = rows[PROBABILITIES].max(axis=1).to_numpy()
        weight = rows["weight"].to_numpy() if "weight" in rows else np.ones(len(rows))
        order = np.argsort(-confidence, kind="stable")
        kept = np.searchsorted(weight[order].cumsum(), coverage * weight.sum() - 1e-9)
        limits[key] = confidence[order][min(kept, len(order) - 1)]
    of_fold = pd.MultiIndex.from_frame(frame[["repeat", "fold"]]).map(limits).to_numpy(float)
    return frame[PROBABILITIES].max(axis=1) >= of_fold


# %% [markdown]
# ## Sets that hold the truth
# Instead of one class, name all classes that cannot be excluded, such that the true one is among them 95 times in 100.
# *Conformal prediction* promises this without believing the probabilities. How odd would class {math}`k` be on this
# page? The score is {math}`1 - p_k`, fixed in advance for it makes the smallest sets. If {math}`k` is true, the page
# is one more like those of the inner folds, and its score should not stand out among the scores of their true
# classes. The share of these that are at least as high is a p-value; classes above 5 % stay in the set.
#
# In *cross-conformal* prediction each inner page is scored by the model that was fitted without its inner fold, and the
# test page is compared with it through the same model. The promise that can be proved is then weaker (at least 90 %
# where 95 % is asked for, up to a term that vanishes with many pages); in practice it holds near 95 %.
#
# Pages of one group are not exchangeable with others one by one, but groups are. So each inner page weighs 1 over the
# pages of its group that were dealt with it, and the test page, as one of a new group, weighs 1:
#
# $$
# P_k = \frac{1 + \sum_i w_i \, [s_i \ge s_k]}{1 + \sum_i w_i}, \qquad w_i = \frac{1}{\text{size of the group of } i} .
# $$

# %%
LEVEL = 0.95


def p_values(cal: np.ndarray, weight: np.ndarray, which: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Compute cross-conformal p-values.

    Parameters
    ----------
    cal : (n,) array
        Score of the true class of each inner page, by the model fitted without its inner fold.
    weight : (n,) array
        Weight of each inner page.
    which : (n,) int array
        Its inner fold, 0 to k - 1.
    test : (k, m, c) array
        Scores of each class of m test pages by each of the k inner models.

    Returns
    -------
    (m, c) array
        Above 0, at most 1.

    References
    ----------
    Vovk, "Cross-conformal predictors", Annals of Mathematics and Artificial Intelligence 74, 2015; Barber et al.,
    "Predictive inference with the jackknife+", Annals of Statistics 49, 2021; weights by group: Lee, Barber and
    Willett, "Distribution-free inference with hierarchical data", 2023 (arXiv 2306.06342).

    Examples
    --------
    >>> cal = np.array([0.1, 0.2, 0.3, 0.4])
    >>> p_values(cal, np.ones(4), np.zeros(4, int), np.array([[[0.35, 0.9]]]))
    array([[0.4, 0.2]])
    """
    above = np.ones(test.shape[1:])
    for inner, scores in enumerate(test):
        rows = np.flatnonzero(which == inner)
        order = rows[np.argsort(cal[rows])]
        reached = np.r_[np.cumsum(weight[order][::-1])[::-1], 0]  # weight of this score and all above
        above += reached[np.searchsorted(cal[order], scores, "left")]
    return above / (1 + weight.sum())


def _conformal_fold(rows: pd.DataFrame, of: Callable[[np.ndarray], list[np.ndarray]]) -> pd.DataFrame:
    """The p-values of one outer fold; `of` says against which inner pages each class is compared."""
    cal, test = rows[rows["part"] == "cal"], rows[rows["part"] == "test"]
    p, y = _arrays(cal)
    scores = np.stack(
        [1 - part.sort_values("file")[PROBABILITIES].to_numpy(float) for _, part in test.groupby("inner")]
    )
    out, which, own = np.empty(scores.shape[1:]), cal["inner"].to_numpy(), 1 - p[np.arange(len(y)), y]
    for k, chosen in enumerate(of(y)):
        group = cal["group"].iloc[chosen]
        weight = 1 / group.groupby(group).transform("size").to_numpy()
        out[:, k] = p_values(own[chosen], weight, which[chosen], scores[:, :, k : k + 1])[:, 0]
    first = test[test["inner"] == 0].sort_values("file")[["repeat", "fold", "file", "label"]]
    return first.assign(**dict(zip(PROBABILITIES, out.T, strict=True))).reset_index(drop=True)


def _conformal(inner: pd.DataFrame, of: Callable[[np.ndarray], list[np.ndarray]]) -> pd.DataFrame:
    parts = [_conformal_fold(rows, of) for _, rows in inner.groupby(["repeat", "fold"])]
    return pd.concat(parts, ignore_index=True)


def cross_conformal(inner: pd.DataFrame) -> pd.DataFrame:
    """Compute the cross-conformal p-value of each class for each outer test page.

    Parameters
    ----------
    inner : pandas.DataFrame
        As from :func:`load_inner`.

    Returns
    -------
    pandas.DataFrame
        ``repeat``, ``fold``, ``file``, ``label``; the columns named ``p_`` hold p-values, which need not sum to 1.
    """
    return _conformal(inner, lambda y: [np.arange(len(y))] * len(CLASSES))


def class_conditional(inner: pd.DataFrame) -> pd.DataFrame:
    """The same, each class compared with inner pages of this class alone (Mondrian).

    The promise then holds for each class, at the price of larger sets; with few pages of a class the smallest p-value
    that can come out is 1 over one more than their weight, so a class with fewer than about 20 is never excluded.
    """
    return _conformal(inner, lambda y: [np.flatnonzero(y == k) for k in range(len(CLASSES))])


def coverage(p: pd.DataFrame, unit: pd.Series, level: float = LEVEL) -> pd.DataFrame:
    """Measure how often the sets hold the truth, and how large they are.

    Parameters
    ----------
    p : pandas.DataFrame
        P-values, from :func:`cross_conformal` or :func:`class_conditional`.
    unit : pandas.Series
        Unit of each file; see :func:`ecgbook.evaluate.units`.
    level : float, default 0.95
        A class is in the set if its p-value is above 1 - `level`.

    Returns
    -------
    pandas.DataFrame
        Rows "all" and the classes; ``pages`` (per repeat), ``coverage``, ``low``, ``high`` (resampled groups), mean
        ``size``, and the shares ``empty``, ``one`` and ``several`` of sets with so many classes.
    """
    values, y = _arrays(p)
    inside = values > 1 - level
    size, held = inside.sum(axis=1), inside[np.arange(len(y)), y]
    repeats, rows = p["repeat"].nunique(), []
    for name in ("all", *CLASSES):
        chosen = np.full(len(y), True) if name == "all" else y == CLASSES.index(name)
        hits = pd.Series(held[chosen], p["file"].to_numpy()[chosen])
        limits = share(hits, pd.Series(1, hits.index), unit)
        shares = [(size[chosen] == 0).mean(), (size[chosen] == 1).mean(), (size[chosen] > 1).mean()]
        rows.append((name, chosen.sum() // repeats, *limits, size[chosen].mean(), *shares))
    columns = ["pages of", "pages", "coverage", "low", "high", "size", "empty", "one", "several"]
    return pd.DataFrame(rows, columns=columns)


# %% [markdown]
# ## What it has no business with
# A classifier answers whatever it is shown: a photograph of a coffee cup has a most probable class too. So before any
# page is classified it has to pass four gates, and each says why it refuses.
#
# 1. *File*: can it be decoded, and is it large enough to hold traces?
# 2. *Form*: is it the form that the digitiser knows, upright, with the names of the leads where they belong, at 25 mm/s
#    and 10 mm/mV? The digitiser itself forgives four names; here all twelve must be there, and no other name may fit
#    better, for a page with its leads in another order would be read without a sound.
# 3. *Physics*: do the leads obey the laws of Einthoven and Goldberger, does the strip agree with its lead, is there a
#    heartbeat? The limits are fixed: 0.1 mV, a millimetre of paper, is several times what any of the 491 pages shows.
# 4. *Distribution*: do the measurements look like those of the pages that the models learned from?
#
# The last gate is a Mahalanobis distance,
#
# $$
# d^2 = (x - \mu)^\top \Sigma^{-1} (x - \mu),
# $$
#
# over the sizes of QRS and T in the twelve leads and three intervals, scaled and softly bent as for the models, with
# the covariance of Ledoit and Wolf. Because it knows which leads go together, it notices when two of them have changed
# places. It was preferred to distances to the nearest neighbours on one inner fold of one training side. Its limit is
# the distance that 2 of 100 pages exceed when each is judged without its own inner fold: fixed in advance, and the
# price.

# %%
REFUSED = 0.02  # share of sound pages that the last gate may turn away
LAW_MV = 0.1  # RMS, of Einthoven's and Goldberger's laws and of the strip
_LEAST = (800, 500)  # pixels; the traces of a smaller page cannot be told from its grid
_READ = 0.85  # least share of each trace that must be read
_FLAT_MV = 0.05  # half a millimetre; a lead that moves less shows no heart
_OF_LEAD = ("qrs_area", "t_mv", "r_mv", "s_mv")


class Guard(NamedTuple):
    """What the last gate has learned.

    Attributes
    ----------
    middle, spread : pandas.Series
        Median and half the distance between the 16th and the 84th percentile of each feature.
    centre : (d,) array
        Mean of the scaled features.
    precision : (d, d) array
        Inverse of their covariance.
    limit : float
        Distance from which on a page is refused.
    """

    middle: pd.Series
    spread: pd.Series
    centre: np.ndarray
    precision: np.ndarray
    limit: float

    def distance(self, table: pd.DataFrame) -> np.ndarray:
        """Mahalanobis distance of rows of measurements; what is missing counts as the median."""
        z = _bent(table, self.middle, self.spread) - self.centre
        return np.sqrt(np.einsum("ij,jk,ik->i", z, self.precision, z))


def _guarded(table: pd.DataFrame) -> pd.DataFrame:
    """The features of the last gate, from columns of :mod:`ecgbook.measure`."""
    columns = {name: np.log(table[name].clip(lower=1)) for name in ("rr_median_ms", "qrs_ms", "qt_ms")}
    return pd.DataFrame(
        columns | {f"{lead}_{of}": table[f"{lead}_{of}"] for lead in LEADS for of in _OF_LEAD}
    )


def _bent(table: pd.DataFrame, middle: pd.Series, spread: pd.Series) -> np.ndarray:
    return models._bend(((_guarded(table).fillna(middle) - middle) / spread).to_numpy(float))


def _learn(table: pd.DataFrame, limit: float = np.nan) -> Guard:
    from sklearn.covariance import LedoitWolf

    features = _guarded(table)
    low, middle, high = (features.quantile(q) for q in (0.16, 0.5, 0.84))
    spread = ((high - low) / 2).clip(lower=1e-3)
    fitted = LedoitWolf().fit(_bent(table, middle, spread))
    return Guard(middle, spread, fitted.location_, fitted.precision_, limit)


def fit_guard(files: Sequence[str] | None = None, seed: int = 0) -> Guard:
    """Fit the last gate.

    Parameters
    ----------
    files : sequence of str, optional
        Pages to learn from; by default all distinct ones.
    seed : int, default 0
        Of the dealing into five inner folds of whole groups.

    Returns
    -------
    Guard

    References
    ----------
    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal of Multivariate
    Analysis 88, 2004; the distance as a guard of a classifier: Lee et al., NeurIPS 2018.

    Examples
    --------
    >>> guard = fit_guard()
    >>> table = measure.measurements().head(30)
    >>> bool((guard.distance(table) < guard.limit).mean() > 0.8)
    True
    """
    pages = data.pages()
    pages = pages if files is None else pages[pages["file"].isin(files)]
    table = measure.measurements().set_index("file").loc[pages["file"]]
    left_out = np.empty(len(pages))
    for rest, held in splits._deal_groups(pages, INNER, seed):
        left_out[held] = _learn(table.iloc[rest]).distance(table.iloc[held])
    return _learn(table, float(np.quantile(left_out, 1 - REFUSED)))


@lru_cache(maxsize=1)
def _guard() -> Guard:
    return fit_guard()


# %% [markdown]
# ## The names in their places, the settings in the footer
# A name must be inked all but completely, for `aVR` covers nearly all pixels of `aVL`. And `III` printed where `I`
# belongs covers all of them: so a name is also wrong if one that contains it has its *further* pixels inked, and inked
# by letters: a trace that passes there goes on above or below them.
#
# Paper speed and gain are printed in the footer. At 50 mm/s every interval would be read at twice its length and the
# heart at half its rate, from a page that looks the same. On pages of the device the footer is read as in
# [](printed.py), on our own the digits are compared with those that the renderer prints.

# %%
_NAMED = 0.98  # share of a name's pixels that must be inked; `aVR` inks 0.97 of `aVF`
_PASSING = 0.15  # share of ink just above or below the further pixels that gives a trace away
_DIGITS = 0.85  # share of a digit's pixels that must be inked
_SETTINGS = "25mm/s 10mm/mV"


def _misprinted(page: Image.Image) -> list[str]:
    """Say what is printed otherwise than on the known form: names of leads, speed and gain."""
    rgb = np.asarray(page)
    grey = ink._stretch(ink._upright(rgb, ink._placed(rgb, "page")), "page")
    forms = (ink._device_names(), ink._drawn_names())
    form = max(forms, key=lambda names: np.mean([ink._inked(grey, pixels) for pixels in names.leads]))
    wrong = [lead for i, lead in enumerate(LEADS) if _is_other(grey, form.leads, i)]
    reasons = [f"the names of {', '.join(wrong)} are not in their place"] if wrong else []
    if not (_drawn_settings(grey) or _device_settings(grey)):
        reasons.append(f"the footer does not say {_SETTINGS.replace('mm', ' mm').replace(' 10', ' and 10')}")
    return reasons


def _is_other(grey: np.ndarray, names: Sequence[np.ndarray], i: int) -> bool:
    """Whether another name than the i-th stands in its place, or none."""
    if ink._inked(grey, names[i]) < _NAMED:
        return True
    here = set(map(tuple, names[i]))
    for pixels in (names[j] for j in range(len(names)) if j != i):
        moved = pixels - pixels.min(axis=0) + names[i].min(axis=0)
        further = np.array([pixel for pixel in map(tuple, moved) if pixel not in here])
        covers = len(moved) - len(further) >= _NAMED * len(here)
        if covers and ink._inked(grey, further) > _NAMED and not _passed(grey, further, moved):
            return True
    return False


def _passed(grey: np.ndarray, further: np.ndarray, letters: np.ndarray) -> bool:
    """Whether a trace runs through the further pixels of a name."""
    columns = np.unique(further[:, 1])
    top, bottom = letters[:, 0].min(), letters[:, 0].max()
    bands = (grey[top - 4 : top - 1, columns], grey[bottom + 2 : bottom + 5, columns])
    return any((band < 160).mean() > _PASSING for band in bands)


@lru_cache(maxsize=1)
def _drawn_digits() -> tuple[np.ndarray, ...]:
    """Pixels of the digits of speed and gain as our renderer prints them."""
    from PIL import Image, ImageDraw

    x, y, size, words = draw._WORDS[-1]
    found = []
    for digits in ("25mm", "10mm"):
        before = words[: words.index(digits)]
        page = Image.new("L", (draw.WIDTH, draw.HEIGHT), 255)
        place = x + draw._font(size).getlength(before)
        ImageDraw.Draw(page).text((place, y), digits[:2], 0, draw._font(size), anchor="ls")
        found.append(np.argwhere(np.asarray(page) < 110))
    return tuple(found)


def _drawn_settings(grey: np.ndarray) -> bool:
    return all(ink._inked(grey, pixels) > _DIGITS for pixels in _drawn_digits())


def _device_settings(grey: np.ndarray) -> bool:
    from PIL import Image

    line = printed.line_ink(Image.fromarray(grey), "footer")
    return _SETTINGS in printed.read_line(line, printed.alphabet()["footer"])


# %% [markdown]
# ## The gates, one after the other


# %%
class Verdict(NamedTuple):
    """Whether a page may be classified.

    Attributes
    ----------
    accepted : bool
    stage : str
        The gate that refused it: "file", "form", "physics" or "distribution"; "" if none did.
    reasons : tuple of str
        Why, in words.
    distance : float
        Of the last gate; NaN if an earlier one refused.
    """

    accepted: bool
    stage: str
    reasons: tuple[str, ...]
    distance: float = np.nan


def _refuse(stage: str, *reasons: str) -> Verdict:
    return Verdict(False, stage, reasons)


def _opened(page: Image.Image | Path | str) -> Image.Image | Verdict:
    """The image in RGB, or a verdict."""
    from PIL import Image

    if not isinstance(page, Image.Image):
        path = Path(page)
        if not path.is_file():
            raise EcgbookError(f"{path}: no such file; give the path of an image")
        try:
            page = data.read_rgb(path)
        except (
            OSError,
            ValueError,
            SyntaxError,
            Image.DecompressionBombError,
        ):  # what Pillow raises on bad files
            return _refuse("file", "it cannot be decoded as an image")
    if page.width < _LEAST[0] or page.height < _LEAST[1]:
        return _refuse("file", f"{page.width} x {page.height} pixels are too few to hold an ECG page")
    return page if page.mode == "RGB" else page.convert("RGB")


def _broken_laws(reading: digitize.Reading, found: dict[str, float]) -> list[str]:
    """Say what in a reading contradicts physics, or the device, or a beating heart."""
    laws = {"einthoven": "II = I + III", "goldberger": "aVR + aVL + aVF = 0"}
    laws |= {"strip": "the rhythm strip equals its lead"} if reading.rhythm else {}
    reasons = [
        f"{words} fails by {found[law]:.2f} mV" for law, words in laws.items() if not found[law] <= LAW_MV
    ]
    if not reading.rhythm:
        reasons.append("the rhythm strip has no name")
    if abs(found["pulse"] - 10) > 0.5:
        reasons.append(f"the calibration pulses are {found['pulse']:.1f} mm high, not 10")
    if found["finite"] < _READ:
        reasons.append(f"only {found['finite']:.0%} of one trace could be read")
    flat = [lead for lead in LEADS if not np.ptp(_known(digitize._column(reading, lead))) > _FLAT_MV]
    if flat:
        reasons.append(f"flat lines: {', '.join(flat)}")
    if not np.isfinite(found["heart_rate"]):
        reasons.append("no heartbeat was found")
    return reasons


def _known(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)


def judge(reading: digitize.Reading, guard: Guard | None = None) -> Verdict:
    """Judge a reading by physics and by distribution.

    Parameters
    ----------
    reading : ecgbook.digitize.Reading
    guard : Guard, optional
        By default one fitted on all distinct pages.

    Returns
    -------
    Verdict

    Examples
    --------
    >>> judge(digitize.load("Normal(6).jpg")).accepted
    True
    """
    guard = _guard() if guard is None else guard
    broken = _broken_laws(reading, digitize.checks(reading))
    if broken:
        return _refuse("physics", *broken)
    row = measure.measure(digitize.record(reading))
    if not (np.isfinite(row["heart_rate"]) and np.isfinite(row["qrs_ms"])):
        return _refuse("physics", "no heartbeat was found")
    distance = float(guard.distance(pd.DataFrame([row]))[0])
    if distance > guard.limit:
        words = f"the waves are unlike those of the known pages (distance {distance:.1f}, limit {guard.limit:.1f})"
        return Verdict(False, "distribution", (words,), distance)
    return Verdict(True, "", (), distance)


def accept(page: Image.Image | Path | str, guard: Guard | None = None) -> Verdict:
    """Say whether a page may be classified, and if not, why.

    Parameters
    ----------
    page : PIL.Image.Image or path
    guard : Guard, optional
        By default one fitted on all distinct pages.

    Returns
    -------
    Verdict

    Raises
    ------
    EcgbookError
        If there is no such file. A file that is no image is refused, not raised.

    Examples
    --------
    >>> from PIL import Image
    >>> accept(Image.new("RGB", (2213, 1572), "white")).stage
    'form'
    >>> from ecgbook import draw, synth
    >>> accept(draw.draw_page(synth.record("Normal", 1))[0]).accepted
    True
    """
    return admit(page, guard)[1]


def admit(
    page: Image.Image | Path | str, guard: Guard | None = None
) -> tuple[digitize.Reading | None, Verdict]:
    """Judge a page as :func:`accept` does, and keep what was read on the way.

    Parameters
    ----------
    page, guard
        As for :func:`accept`.

    Returns
    -------
    Reading or None
        The signals; None if an early gate refused the page before it was read.
    Verdict
    """
    image = _opened(page)
    if isinstance(image, Verdict):
        return None, image
    try:
        reading = digitize.read(image)
    except EcgbookError as error:
        return None, _refuse("form", str(error).removeprefix("page: ").partition(";")[0])
    misprinted = _misprinted(image)
    if misprinted:
        return reading, _refuse("form", *misprinted)
    return reading, judge(reading, guard)


# %% [markdown]
# ## Pages it must refuse
# ECGs all of them, drawn with our own pen in layouts and settings that other devices use. The frame, the grid and the
# pulses are those of the known form wherever the layout allows: the nearer to the known, the harder the test.


# %%
class _Piece(NamedTuple):
    """A piece of a lead on a foreign page: its printed name, samples, pixel of its start."""

    name: str
    samples: np.ndarray
    x: float
    y: float


def _foreign_page(
    pieces: Sequence[_Piece],
    fs: float,
    separators: Sequence[int] = (1, 2, 3),
    speed: float = 1,
    gain: float = 1,
) -> Image.Image:
    """Draw pieces on an empty form, a pulse before each of those at its left edge."""
    from PIL import Image, ImageDraw

    page = np.full((draw.HEIGHT, draw.WIDTH, 3), 255, np.uint8)
    draw._draw_grid(page)
    draw._draw_frame(page)
    for column in separators:
        x = round(draw.LEFT + column * COLUMN * draw.PX_SECOND)
        page[draw.SEPARATOR[0] : draw.SEPARATOR[1] + 1, x - 1 : x + 2] = draw._INK
    curves = []
    for y in sorted({piece.y for piece in pieces}):
        x, high = draw._pulse(y)
        curves.append((x, y - gain * (y - high)))
    for piece in pieces:
        x = piece.x + np.arange(len(piece.samples)) * (draw.PX_SECOND * speed / fs)
        y = np.clip(
            piece.y - draw.PX_MV * gain * piece.samples.astype(float), draw.FRAME[1] + 6, draw.FRAME[3] - 6
        )
        curves.append((x, y))
    draw._ink(page, curves)
    image = Image.fromarray(page)
    pen = ImageDraw.Draw(image)
    for piece in pieces:
        pen.text((piece.x + 1, piece.y - 7), piece.name, draw._INK, draw._font(27), anchor="ls")
    x, y, size, words = draw._WORDS[-1]
    words = words.replace("25mm/s", f"{25 * speed:g}mm/s").replace("10mm", f"{10 * gain:g}mm")
    pen.text((x, y), words, draw._INK, draw._font(size), anchor="ls")
    return image


def _in_grid(record: Record, order: Sequence[str], signs: dict[str, int], speed: float = 1) -> list[_Piece]:
    """The known layout of three rows and four columns and a strip, with the leads in another order."""
    seconds, pieces = COLUMN / speed, []
    for i, lead in enumerate(order):
        start = round(i // 3 * seconds * record.fs)
        shown = record.leads[LEADS.index(lead), start : start + round(seconds * record.fs)]
        x = draw.LEFT + i // 3 * COLUMN * draw.PX_SECOND
        name = f"-{lead}" if signs.get(lead) == -1 else lead
        pieces.append(_Piece(name, signs.get(lead, 1) * shown, x, draw.BASELINES[i % 3]))
    strip = record.leads[LEADS.index(record.rhythm), : round(4 * seconds * record.fs)]
    return [*pieces, _Piece(record.rhythm, strip, draw.LEFT, draw.BASELINES[3])]


def _in_rows(record: Record, rows: int) -> list[_Piece]:
    """So many rows, 12 / rows columns, no strip."""
    columns, pieces = 12 // rows, []
    top, bottom = draw.FRAME[1] + 80, draw.FRAME[3] - 60
    for i, lead in enumerate(LEADS):
        column, row = divmod(i, rows)
        seconds = 10 / columns
        start = round(column * seconds * record.fs)
        shown = record.leads[i, start : start + round(seconds * record.fs)]
        x = draw.LEFT + column * seconds * draw.PX_SECOND
        pieces.append(_Piece(lead, shown, x, float(round(top + row * (bottom - top) / (rows - 1)))))
    return pieces


_CABRERA = ("aVL", "I", "aVR", "II", "aVF", "III", *LEADS[6:])


def foreign_pages(record: Record) -> dict[str, Image.Image]:
    """Draw a record in layouts and settings that are not those of the known form.

    Parameters
    ----------
    record : ecgbook.synth.Record
        All twelve leads for 10 s.

    Returns
    -------
    dict of str to PIL.Image.Image
        By name of the layout.

    Examples
    --------
    >>> from ecgbook import synth
    >>> pages = foreign_pages(synth.record("Normal", 0))
    >>> len(pages), pages["mirrored"].size
    (14, (2213, 1572))
    """
    from PIL import Image, ImageOps

    fs, known = record.fs, draw.draw_page(record)[0]
    reversed_chest = (*LEADS[:6], *LEADS[:5:-1])
    turned_rows = [LEADS[3 * (i // 3) + 2 - i % 3] for i in range(12)]
    no_frame = np.array(known)
    left, top, right, bottom = draw.FRAME
    for rows, columns in (
        (slice(top, top + 4), slice(None)),
        (slice(bottom - 2, bottom + 1), slice(None)),
        (slice(top, bottom + 1), slice(left, left + 3)),
        (slice(top, bottom + 1), slice(right - 3, right + 1)),
    ):
        no_frame[rows, columns] = 255
    unnamed = [piece._replace(name="") for piece in _in_grid(record, LEADS, {})]
    return {
        "6 rows of 2 leads": _foreign_page(_in_rows(record, 6), fs, (2,)),
        "12 rows of 1 lead": _foreign_page(_in_rows(record, 12), fs, ()),
        "limb leads after Cabrera": _foreign_page(_in_grid(record, _CABRERA, {"aVR": -1}), fs),
        "chest leads from V6 to V1": _foreign_page(_in_grid(record, reversed_chest, {}), fs),
        "rows from bottom to top": _foreign_page(_in_grid(record, turned_rows, {}), fs),
        "without names": _foreign_page(unnamed, fs),
        "50 mm/s": _foreign_page(_in_grid(record, LEADS, {}, speed=2), fs, speed=2),
        "5 mm/mV": _foreign_page(_in_grid(record, LEADS, {}), fs, gain=0.5),
        "without a frame": Image.fromarray(no_frame),
        "in grey": ImageOps.grayscale(known),
        "mirrored": ImageOps.mirror(known),
        "upside down": known.rotate(180),
        "turned left": known.rotate(90, expand=True),
        "turned right": known.rotate(-90, expand=True),
    }


# %% [markdown]
# The hardest pages look right in every respect: the form is known, the names are in their places, and the signals under
# them belong elsewhere. Two kinds: traces under wrong names (a fault of the device or of a program), and electrodes on
# wrong limbs (a fault of every busy day). Exchanged electrodes obey all laws of physics, for the body is a body still.

# %%
_LIMBS = {  # electrodes exchanged -> what stands under I, II, III, aVR, aVL, aVF: sign and row
    "left arm and right arm": ((-1, 0), (1, 2), (1, 1), (1, 4), (1, 3), (1, 5)),
    "left arm and left leg": ((1, 1), (1, 0), (-1, 2), (1, 3), (1, 5), (1, 4)),
    "right arm and left leg": ((-1, 2), (-1, 1), (-1, 0), (1, 5), (1, 4), (1, 3)),
}
_PAIRS = {
    "electrodes V1 and V6": ("V1", "V6"),
    "electrodes V1 and V2": ("V1", "V2"),
    "electrodes V3 and V4": ("V3", "V4"),
    "traces I and II": ("I", "II"),
    "traces aVR and aVL": ("aVR", "aVL"),
    "traces I and V1": ("I", "V1"),
}


def _exchanges() -> dict[str, list[tuple[int, int]]]:
    """By what is exchanged: sign and row of what then stands under each of the twelve names."""
    found = {"nothing": [(1, row) for row in range(12)]}
    for name, limbs in _LIMBS.items():
        found[f"electrodes {name}"] = [*limbs, *((1, row) for row in range(6, 12))]
    for name, pair in _PAIRS.items():
        one, other = map(LEADS.index, pair)
        found[name] = [(1, {one: other, other: one}.get(row, row)) for row in range(12)]
    return found


def misplaced(leads: np.ndarray) -> dict[str, np.ndarray]:
    """Exchange electrodes, or traces, behind the names of the leads.

    Parameters
    ----------
    leads : (12, n) array
        In the order of ``LEADS``; each row the 2.5 s that a page shows, or the whole 10 s.

    Returns
    -------
    dict of str to (12, n) array
        By what was exchanged; first "nothing".

    Examples
    --------
    >>> leads = np.arange(12)[:, None] * np.ones(3)
    >>> misplaced(leads)["electrodes V1 and V6"][[6, 11], 0]
    array([11.,  6.])
    """
    return {name: np.stack([sign * leads[row] for sign, row in rows]) for name, rows in _exchanges().items()}


def _exchanged_table(table: pd.DataFrame, rows: Sequence[tuple[int, int]]) -> pd.DataFrame:
    """Measurements as they would be after an exchange."""
    changed = {}  # type: ignore[var-annotated]
    for lead, (sign, row) in zip(LEADS, rows, strict=True):
        qrs, t, q, r, s = (table[f"{LEADS[row]}_{of}"] for of in ("qrs_area", "t_mv", "q_mv", "r_mv", "s_mv"))
        if sign < 0:  # upside down the larger of Q and S is the R wave
            qrs, t, r, s = -qrs, -t, np.maximum(q, s), r
        changed |= {f"{lead}_qrs_area": qrs, f"{lead}_t_mv": t, f"{lead}_r_mv": r, f"{lead}_s_mv": s}
    return table.assign(**changed)


def exchange_test(files: Sequence[str], guard: Guard) -> pd.DataFrame:
    """Ask how often the last two gates notice that leads of real ECGs were exchanged.

    Parameters
    ----------
    files : sequence of str
        Distinct pages that `guard` has not learned from.
    guard : Guard

    Returns
    -------
    pandas.DataFrame
        One row a file and exchange: ``file``, ``exchanged``, ``physics`` and ``distribution`` (does this gate refuse?).

    Notes
    -----
    Measurements are exchanged with their leads; they are not taken anew, for leads of two columns were recorded one
    after the other, and their beats would not fall together. The strip is left out: the lead that it would show after
    the exchange was not recorded for ten seconds, and the old one would give the exchange away.
    """
    table = measure.measurements().set_index("file").loc[list(files)]
    shown = np.stack(
        [[digitize._smooth(digitize._column(digitize.load(f), lead)) for lead in LEADS] for f in files]
    )
    rows = []
    for name, exchanged in _exchanges().items():
        one, two, three, right, left, foot = (sign * shown[:, row] for sign, row in exchanged[:6])
        laws = np.nanmean(np.stack([two - one - three, right + left + foot]) ** 2, axis=2) ** 0.5
        far = guard.distance(_exchanged_table(table, exchanged)) > guard.limit
        found = pd.DataFrame({"file": list(files), "exchanged": name, "physics": laws.max(axis=0) > LAW_MV})
        rows.append(found.assign(distribution=far))
    return pd.concat(rows, ignore_index=True)


# %% [markdown]
# ## A thousand people
# What a doctor meets is a waiting room, and its shares are not those of our folders. Bayes moves a probability from the
# shares {math}`\pi_k` that the model has learned from to a stated prevalence {math}`\pi'_k`:
# {math}`p'_k \propto p_k \, \pi'_k / \pi_k`. Each test page then stands for as many people as its class is more common
# in the waiting room than among our pages.


# %%
def move_prevalence(p: np.ndarray, learned: np.ndarray, stated: np.ndarray) -> np.ndarray:
    """Move probabilities from one mix of classes to another by Bayes' rule.

    Parameters
    ----------
    p : (n, c) array
    learned, stated : (c,) arrays
        Shares of the classes, each summing to 1.

    Returns
    -------
    (n, c) array

    References
    ----------
    Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", Neural
    Computation 14, 2002.

    Examples
    --------
    >>> move_prevalence(np.array([[0.5, 0.5]]), np.array([0.5, 0.5]), np.array([0.1, 0.9]))
    array([[0.1, 0.9]])
    """
    q = p * (np.asarray(stated) / np.asarray(learned))
    return q / q.sum(axis=1, keepdims=True)


def at_prevalence(frame: pd.DataFrame, cal: pd.DataFrame, prevalence: dict[str, float]) -> tuple:
    """Move predictions, and the inner rows that belong to them, to a stated prevalence.

    Parameters
    ----------
    frame, cal : pandas.DataFrame
        Predictions of the outer test pages, and of the inner folds, mended alike.
    prevalence : dict
        Share of each class among the people who come; must sum to 1.

    Returns
    -------
    two pandas.DataFrames
        Copies; `cal` with a column ``weight``, so that a threshold is set for the people who come.

    Raises
    ------
    EcgbookError
        A class missing, a share below 0, or shares that do not sum to 1.
    """
    stated = np.array([prevalence.get(label, np.nan) for label in CLASSES], float)
    if not (stated >= 0).all() or abs(stated.sum() - 1) > 1e-6 or set(prevalence) != set(CLASSES):
        raise EcgbookError(f"prevalence: {prevalence} is no mix of the classes; give all four, summing to 1")
    moved, weighted = [], []  # type: ignore[var-annotated]
    tests = dict(iter(frame.groupby(["repeat", "fold"])))
    for key, rows in cal.groupby(["repeat", "fold"]):
        counts = rows["label"].value_counts()
        learned = np.array([counts[label] for label in CLASSES]) / len(rows)
        for part, out in ((tests[key], moved), (rows, weighted)):
            q = move_prevalence(_arrays(part)[0], learned, stated)
            out.append(part.assign(**dict(zip(PROBABILITIES, q.T, strict=True))))
        ratio = dict(zip(CLASSES, stated / learned, strict=True))
        weighted[-1] = weighted[-1].assign(weight=weighted[-1]["label"].map(ratio))
    return pd.concat(moved).loc[frame.index], pd.concat(weighted).loc[cal.index]


OUTCOMES = (
    "have MI",
    "flagged as MI",
    "flagged, and have it",
    "referred",
    "referred, and have MI",
    "missed MI",
    "called Normal, but are not",
    "called Normal, and are",
)


def _outcomes(y: np.ndarray, called: np.ndarray, sure: np.ndarray) -> np.ndarray:
    """Which outcomes apply to each page; (n, outcomes) of 0 and 1."""
    mi, normal = CLASSES.index("MI"), CLASSES.index("Normal")
    flagged, cleared = sure & (called == mi), sure & (called == normal)
    columns = (
        y == mi,
        flagged,
        flagged & (y == mi),
        ~sure,
        ~sure & (y == mi),
        sure & (y == mi) & (called != mi),
    )
    return np.column_stack([*columns, cleared & (y != normal), cleared & (y == normal)]).astype(float)


def triage(
    frame: pd.DataFrame,
    sure: pd.Series,
    prevalence: dict[str, float],
    unit: pd.Series,
    replicates: int = 2000,
    seed: int = 0,
    people: int = 1000,
) -> pd.DataFrame:
    """Count what happens to a thousand people.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions, at the prevalence that is stated.
    sure : pandas.Series of bool
        Indexed as `frame`; who is not answered is referred.
    prevalence : dict
        Share of each class among the people.
    unit : pandas.Series
        Unit of each file; see :func:`ecgbook.evaluate.units`.
    replicates, seed
        Of the group bootstrap.
    people : int, default 1000

    Returns
    -------
    pandas.DataFrame
        ``outcome`` (one of :data:`OUTCOMES`), ``people``, ``low``, ``high``.
    """
    p, y = _arrays(frame)
    outcomes = _outcomes(y, p.argmax(axis=1), sure.to_numpy())
    of_class = np.eye(len(CLASSES))[y]
    each = np.concatenate([of_class[:, :, None], of_class[:, :, None] * outcomes[:, None, :]], axis=2)
    number, uniques = pd.factorize(unit.loc[frame["file"]].to_numpy())
    sums = np.zeros((len(uniques), *each.shape[1:]))
    np.add.at(sums, number, each)
    stated = np.array([prevalence[label] for label in CLASSES])

    def per_thousand(weights: np.ndarray) -> np.ndarray:
        total = np.einsum("ru,uco->rco", weights, sums)
        rates = total[..., 1:] / np.maximum(total[..., :1], 1e-9)
        return people * np.einsum("c,rco->ro", stated, rates)

    found = per_thousand(np.ones((1, len(uniques))))[0]
    low, high = np.quantile(
        per_thousand(evaluate.draw(len(uniques), replicates, seed)), [0.025, 0.975], axis=0
    )
    return pd.DataFrame({"outcome": OUTCOMES, "people": found, "low": low, "high": high})


# %%
def main(arguments: list[str]) -> int:
    """Store the run of inner predictions; an argument says how many processes may work."""
    try:
        print(store(jobs=int(arguments[0]) if arguments else 1))
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    from ecgbook import trust as module  # workers find the functions under their package name

    sys.exit(module.main(sys.argv[1:]))
