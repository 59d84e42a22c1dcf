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
# # Evaluate: from predictions to numbers with intervals
# A run leaves predictions, never metrics: one line a page, four probabilities, and which repeat and fold they
# come from. This module turns such frames into numbers, and says how far each number can be trusted. The
# picture to keep in mind: 491 ECGs are one draw out of many that could have been collected; the *bootstrap*
# draws again, from these, thousands of times, and watches how much the score moves.

# %%
"""Metrics of prediction frames, with intervals that respect copies, groups and repeats."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecgbook import data
from ecgbook.data import CLASSES, EcgbookError

# %% [markdown]
# ## What a frame of predictions looks like
# One row for each page that a fold validated or tested. `label` is the true class, `part` says `val` or
# `test`, and the four `p_` columns are probabilities that sum to 1. Only test rows are scored. A frame that
# breaks these rules would still yield a number, so it is refused, with the reason.

# %%
PROBABILITIES = [f"p_{label}" for label in CLASSES]
COLUMNS = ["file", "label", "repeat", "fold", "part", *PROBABILITIES]


def check(frame: pd.DataFrame, name: str = "predictions") -> pd.DataFrame:
    """Return a frame of predictions unchanged if it is sound; refuse it otherwise.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``file``, ``label``, ``repeat``, ``fold``, ``part`` ("val" or "test") and one probability a class.
    name : str
        What to call the frame in messages, e.g. its path.

    Returns
    -------
    pandas.DataFrame
        The same object.

    Raises
    ------
    EcgbookError
        A column missing, an unknown class or part, a probability missing or outside [0, 1], a row whose probabilities
        do not sum to 1 within 0.001, a file tested twice in one repeat, a file with two labels, no test rows.
    """
    missing = [column for column in COLUMNS if column not in frame]
    if missing:
        raise EcgbookError(
            f"{name}: no column {', '.join(missing)}; a prediction frame needs {', '.join(COLUMNS)}"
        )
    if frame[COLUMNS].isna().any(axis=None):
        column = frame[COLUMNS].isna().any().idxmax()
        row = int(frame[column].isna().to_numpy().argmax())
        raise EcgbookError(f"{name}: {column} is missing in row {row}; write every value, or drop the row")
    _check_words(frame["label"], CLASSES, name, "class")
    _check_words(frame["part"], ("val", "test"), name, "part")
    _check_probabilities(frame, name)
    _check_once(frame, name)
    return frame


def _check_words(values: pd.Series, allowed: tuple[str, ...], name: str, what: str) -> None:
    unknown = sorted(set(values.astype(str)) - set(allowed))
    if unknown:
        near = difflib.get_close_matches(unknown[0], allowed, n=1)
        hint = f"did you mean {near[0]}?" if near else f"use {', '.join(allowed)}"
        raise EcgbookError(f"{name}: {unknown[0]} is no {what}; {hint}")


def _check_probabilities(frame: pd.DataFrame, name: str) -> None:
    try:
        p = frame[PROBABILITIES].to_numpy(dtype=float)
    except ValueError as error:
        raise EcgbookError(
            f"{name}: a probability is no number ({error}); write numbers from 0 to 1"
        ) from error
    wrong = ~((p >= 0) & (p <= 1)).all(axis=1)
    if wrong.any():
        file = frame["file"].iloc[int(wrong.argmax())]
        raise EcgbookError(f"{name}: {file} has a probability outside 0 to 1; pass probabilities, not scores")
    off = np.abs(p.sum(axis=1) - 1) > 1e-3
    if off.any():
        file, total = frame["file"].iloc[int(off.argmax())], p.sum(axis=1)[off.argmax()]
        raise EcgbookError(
            f"{name}: the probabilities of {file} sum to {total:.4f}; they must sum to 1 within 0.001"
        )


def _check_once(frame: pd.DataFrame, name: str) -> None:
    test = frame[frame["part"] == "test"]
    if test.empty:
        raise EcgbookError(f"{name}: no row has part test; there is nothing to score")
    twice = test.duplicated(["file", "repeat"]).to_numpy()
    if twice.any():
        row = test.iloc[int(twice.argmax())]
        raise EcgbookError(f"{name}: {row['file']} is tested twice in repeat {row['repeat']}; keep one row")
    labels = frame.groupby("file")["label"].nunique()
    if labels.max() > 1:
        raise EcgbookError(f"{name}: {labels.idxmax()} has two labels; a file has one")


# %% [markdown]
# ## From a frame to arrays
# Within a repeat the folds are pooled: five folds of a fifth each give one prediction for every page. A
# metric is computed on the pool, and then averaged over the repeats. So everything below works on one small
# bundle of arrays for each repeat.


# %%
class Pool(NamedTuple):
    """The test rows of one repeat: ``file`` (n,), ``y`` (n,) numbers of the classes, ``p`` (n, 4)."""

    file: np.ndarray
    y: np.ndarray
    p: np.ndarray


def pools(frame: pd.DataFrame, name: str = "predictions") -> dict[int, Pool]:
    """Pool the folds within each repeat.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions; see :func:`check`.
    name : str
        What to call the frame in messages.

    Returns
    -------
    dict of int to Pool
        By repeat.
    """
    test = check(frame, name).loc[lambda rows: rows["part"] == "test"]
    number = {label: k for k, label in enumerate(CLASSES)}
    return {
        repeat: Pool(
            rows["file"].to_numpy(dtype=object),
            rows["label"].map(number).to_numpy(dtype=int),
            rows[PROBABILITIES].to_numpy(dtype=float),
        )
        for repeat, rows in test.groupby("repeat")
    }


# %% [markdown]
# ## Metrics with weights
# A bootstrap replicate is the same table with some pages counted twice and some not at all: a row of weights.
# So each metric is written once, for a matrix of weights with one row a replicate, and the plain metric is
# the case of a single row of ones. Almost everything needs only sums: how many pages of class $k$ there are
# ($n_k$), how many were called $k$ ($m_k$), how many of these rightly ($h_k$):
#
# $$
# \text{recall}_k = \frac{h_k}{n_k}, \qquad
# \text{precision}_k = \frac{h_k}{m_k}, \qquad
# F_{1,k} = \frac{2 h_k}{n_k + m_k}.
# $$
#
# A *macro* mean gives each class the same say; a *support-weighted* mean gives it $n_k$ votes, which turns
# the mean recall into plain accuracy. A page whose highest probability is shared by two classes counts as the
# earlier class.

# %%
LOWEST = 5e-6  # a probability stored as 0.00000 is below this: half the last of its five decimals


def _sums(pool: Pool, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weighted counts: true, called and hit per class, each (replicates, 4); log loss and Brier, each (replicates,)."""
    one_hot = np.eye(len(CLASSES))
    true, called = one_hot[pool.y], one_hot[pool.p.argmax(axis=1)]
    log_loss = -np.log(np.maximum(pool.p[np.arange(len(pool.y)), pool.y], LOWEST))
    brier = ((pool.p - true) ** 2).sum(axis=1)
    sums = weights @ np.column_stack([true, called, true * called, log_loss, brier])
    total = weights.sum(axis=1)
    return sums[:, 0:4], sums[:, 4:8], sums[:, 8:12], sums[:, 12] / total, sums[:, 13] / total


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divide; nan where there is nothing to divide by."""
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)


def _mean_over_classes(values: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Average the columns with the given votes, leaving out undefined values (and nan if all are)."""
    votes = np.where(np.isnan(values), 0.0, votes)
    return _ratio((np.nan_to_num(values) * votes).sum(axis=1), votes.sum(axis=1))


# %% [markdown]
# ## The area under the ROC curve
# The AUC of a class is the chance that a page of this class gets a higher score than a page of another; a tie
# counts half. With weights it is a sum over pairs,
#
# $$
# \text{AUC} = \frac{
# \sum_{i \in \text{class}} \sum_{j \notin \text{class}}
# w_i w_j \left( [s_i > s_j] + \tfrac12 [s_i = s_j] \right)}
# {\sum_i w_i \, \sum_j w_j},
# $$
#
# and since the comparison in brackets is the same for every replicate, all replicates together are one matrix
# product. Every term is a half or a whole number, so single precision loses nothing.


# %%
def _auc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted AUC, one value per row of weights; nan where one side is empty."""
    inside = scores[positive][:, None]
    wins = ((inside > scores) + np.float32(0.5) * (inside == scores)) * ~positive  # no pairs within the class
    w_inside = weights[:, positive]
    won = np.einsum("ij,ij->i", w_inside @ wins, weights, dtype=np.float64)
    n_inside, n_all = w_inside.sum(axis=1, dtype=np.float64), weights.sum(axis=1, dtype=np.float64)
    return _ratio(won, n_inside * (n_all - n_inside))


# %% [markdown]
# ## All metrics at once
# A class without a single page in a replicate has no recall and no AUC; the macro means are then taken over
# the classes that have one, as scikit-learn's balanced accuracy does. Precision of a class that was never
# called counts as 0. *Log loss* is the mean of $-\ln p$ of the true class. *Brier* is the sum over the four
# classes of the squared distance between probability and truth, averaged over pages: 0 is perfect, 2 is being
# certain and wrong every time.

# %%
HEADLINE = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_auc",
    "log_loss",
    "brier",
    *(f"recall_{label}" for label in CLASSES),
)
WEIGHTED = ("precision_weighted", "recall_weighted", "f1_weighted", "auc_weighted")  # the paper's Table 2
METRICS = (*HEADLINE, *WEIGHTED, *(f"auc_{label}" for label in CLASSES))

BLOCK = 4_000_000  # weights held at a time, 32 MB in double precision


def _measure(pool: Pool, weights: np.ndarray) -> dict[str, np.ndarray]:
    true, called, hit, log_loss, brier = _sums(pool, weights)
    recall, f1 = _ratio(hit, true), _ratio(2 * hit, true + called)
    precision = np.nan_to_num(_ratio(hit, called))
    light = weights.astype(np.float32)
    auc = np.column_stack([_auc(pool.p[:, k], pool.y == k, light) for k in range(len(CLASSES))])
    one_each = np.ones_like(recall)
    return {
        "accuracy": hit.sum(axis=1) / true.sum(axis=1),
        "balanced_accuracy": _mean_over_classes(recall, one_each),
        "macro_f1": _mean_over_classes(f1, one_each),
        "macro_auc": _mean_over_classes(auc, one_each),
        "log_loss": log_loss,
        "brier": brier,
        **{f"recall_{label}": recall[:, k] for k, label in enumerate(CLASSES)},
        "precision_weighted": _mean_over_classes(precision, true),
        "recall_weighted": _mean_over_classes(recall, true),
        "f1_weighted": _mean_over_classes(f1, true),
        "auc_weighted": _mean_over_classes(auc, true),
        **{f"auc_{label}": auc[:, k] for k, label in enumerate(CLASSES)},
    }


def metrics(frame: pd.DataFrame, name: str = "predictions") -> pd.Series:
    """Compute every metric: folds pooled within a repeat, then averaged over repeats.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions; see :func:`check`.
    name : str
        What to call the frame in messages.

    Returns
    -------
    pandas.Series
        One value for each name in :data:`METRICS`; nan where a class is absent.

    See Also
    --------
    table : the same with intervals.

    Examples
    --------
    >>> float(metrics(example())["accuracy"])
    0.75
    """
    rows = [_measure(pool, np.ones((1, len(pool.y)))) for pool in pools(frame, name).values()]
    return pd.Series({metric: _nanmean([float(row[metric][0]) for row in rows]) for metric in METRICS})


def _nanmean(values: Iterable) -> np.ndarray | float:
    """Mean over the first axis of what is defined; nan, without a warning, where nothing is."""
    values = np.asarray(list(values), dtype=float)
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0).sum(axis=0), defined.sum(axis=0).astype(float))[()]


def confusion(frame: pd.DataFrame, name: str = "predictions") -> pd.DataFrame:
    """Count true against predicted classes, averaged over repeats.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions; see :func:`check`.
    name : str
        What to call the frame in messages.

    Returns
    -------
    pandas.DataFrame
        Index: true class; columns: predicted class; mean number of pages per repeat.

    Examples
    --------
    >>> int(confusion(example()).to_numpy().trace())
    6
    """
    tables = []
    for pool in pools(frame, name).values():
        table = np.zeros((len(CLASSES), len(CLASSES)))
        np.add.at(table, (pool.y, pool.p.argmax(axis=1)), 1)
        tables.append(table)
    index, columns = pd.Index(CLASSES, name="true"), pd.Index(CLASSES, name="predicted")
    return pd.DataFrame(np.mean(tables, axis=0), index=index, columns=columns)


def example() -> pd.DataFrame:
    """Make a frame of predictions small enough to check by hand: eight pages, two of them wrong.

    Returns
    -------
    pandas.DataFrame
        Columns as in :data:`COLUMNS`; one repeat, one fold.

    Examples
    --------
    >>> example()[["file", "label", "p_MI", "p_Normal"]].head(2)
             file label  p_MI  p_Normal
    0  page 0.jpg    MI   0.7       0.1
    1  page 1.jpg    MI   0.1       0.7
    """
    true, called = [0, 0, 1, 1, 2, 2, 3, 3], [0, 3, 1, 1, 2, 2, 3, 2]
    rows = [(f"page {i}.jpg", CLASSES[k], 0, 0, "test") for i, k in enumerate(true)]
    p = np.full((8, 4), 0.1)
    p[np.arange(8), called] = 0.7
    return pd.concat(
        [pd.DataFrame(rows, columns=COLUMNS[:5]), pd.DataFrame(p, columns=PROBABILITIES)], axis=1
    )


# %% [markdown]
# ## The unit that is drawn
# The bootstrap must draw what is independent. Five repeats of one page are not five pages, so a page drawn
# twice counts twice in every repeat. Eight copies of one page are not eight pages, so under `paper` the
# distinct page is drawn, with all its copies. Pages of one group may belong together, so elsewhere the group
# is drawn whole. All three are the same code: a *unit* for each file, and a replicate that says how often
# each unit was drawn.


# %%
def units(protocol: str) -> pd.Series:
    """Look up what the bootstrap draws under a protocol.

    Parameters
    ----------
    protocol : str
        "paper": the distinct page; any other: the group.

    Returns
    -------
    pandas.Series
        Index: the 928 file names; values: the unit.

    Raises
    ------
    EcgbookError
        If the manifest has no groups.

    Examples
    --------
    >>> units("paper")["MI(31).jpg"]
    'MI(1).jpg'
    """
    files = data.files().set_index("file")
    column = "first_copy" if protocol == "paper" else "group"
    if files[column].isna().any():
        raise EcgbookError(
            f"manifest: {int(files[column].isna().sum())} files have no {column}; rebuild the manifest"
        )
    return files[column]


def _unit_numbers(parts: list[dict[int, Pool]], unit: pd.Series) -> tuple[list[dict[int, np.ndarray]], int]:
    """Number the units that occur in any of the frames, in the same way for all of them."""
    unit = _checked_units(unit)
    names = sorted({file for part in parts for pool in part.values() for file in pool.file})
    absent = [file for file in names if file not in unit.index]
    if absent:
        raise EcgbookError(
            f"units: {absent[0]} has no unit ({len(absent)} such files); pass one unit for every file"
        )
    codes, uniques = pd.factorize(unit.loc[names])
    number = pd.Series(codes, index=names)
    rows = [{repeat: number.loc[pool.file].to_numpy() for repeat, pool in part.items()} for part in parts]
    return rows, len(uniques)


def _checked_units(unit: pd.Series) -> pd.Series:
    unit = pd.Series(unit)
    if unit.index.has_duplicates:
        raise EcgbookError(
            f"units: {unit.index[unit.index.duplicated()][0]} stands twice; a file has one unit"
        )
    if unit.isna().any():
        raise EcgbookError(f"units: {unit.index[unit.isna()][0]} has none; pass one unit for every file")
    return unit


def draw(n_units: int, replicates: int = 2000, seed: int = 0) -> np.ndarray:
    """Draw units with replacement, and count how often each came up.

    Parameters
    ----------
    n_units : int
        Number of units; each replicate draws as many.
    replicates : int, default 2000
        Number of replicates.
    seed : int, default 0
        Same seed, same draw: this is what makes comparisons paired.

    Returns
    -------
    numpy.ndarray of int, shape (replicates, n_units)
        Every row sums to `n_units`.

    Examples
    --------
    >>> draw(4, replicates=3, seed=1).sum(axis=1)
    array([4, 4, 4])
    """
    drawn = np.random.default_rng(seed).integers(n_units, size=(replicates, n_units))
    flat = drawn + n_units * np.arange(replicates)[:, None]
    return np.bincount(flat.ravel(), minlength=replicates * n_units).reshape(replicates, n_units)


# %% [markdown]
# ## The group bootstrap
# Draw the units once for each replicate, weight every repeat by that same draw, average over repeats. The
# result is a table of 2,000 scores that could have been; their 2.5 % and 97.5 % points are the interval. It
# says how the score depends on *which pages* were collected and on nothing else: not on the hospital, and not
# on the labels being right.


# %%
def _replicates(part: dict[int, Pool], rows: dict[int, np.ndarray], drawn: np.ndarray) -> pd.DataFrame:
    """Every metric for every replicate, block by block so that memory stays small."""
    step = max(1, BLOCK // max(len(pool.y) for pool in part.values()))
    blocks, drawn = [], drawn.astype(float)
    for block in (drawn[start : start + step] for start in range(0, len(drawn), step)):
        scores = [_measure(pool, block[:, rows[repeat]]) for repeat, pool in part.items()]
        blocks.append(pd.DataFrame({metric: _nanmean(s[metric] for s in scores) for metric in METRICS}))
    return pd.concat(blocks, ignore_index=True)


def bootstrap(frame: pd.DataFrame, unit: pd.Series, replicates: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Score bootstrap replicates of a frame of predictions.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions; see :func:`check`.
    unit : pandas.Series
        Unit of each file, indexed by file name; see :func:`units`.
    replicates : int, default 2000
        Number of replicates.
    seed : int, default 0
        Seed of the draw.

    Returns
    -------
    pandas.DataFrame
        One row a replicate, one column for each name in :data:`METRICS`; nan where a replicate has no such class.

    Raises
    ------
    EcgbookError
        If the frame is unsound, or a file has no unit.

    References
    ----------
    Efron and Tibshirani, *An Introduction to the Bootstrap*, 1993; Field and Welsh, "Bootstrapping clustered data",
    Journal of the Royal Statistical Society B 69, 2007.

    Examples
    --------
    >>> frame = example()
    >>> bootstrap(frame, pd.Series(frame.file.to_numpy(), frame.file), replicates=200).shape
    (200, 18)
    """
    part = pools(frame)
    (rows,), n_units = _unit_numbers([part], unit)
    return _replicates(part, rows, draw(n_units, replicates, seed))


def _limits(scores: pd.Series, level: float) -> tuple[float, float]:
    """Percentile interval of the replicates in which the metric is defined."""
    defined = scores.dropna().to_numpy()
    if not len(defined):
        return np.nan, np.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def table(
    frames: Mapping[str, pd.DataFrame],
    unit: pd.Series,
    names: Iterable[str] = HEADLINE,
    replicates: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Tabulate estimates with intervals for several models.

    Parameters
    ----------
    frames : mapping of str to pandas.DataFrame
        Predictions by model name.
    unit : pandas.Series
        Unit of each file; see :func:`units`.
    names : iterable of str, default :data:`HEADLINE`
        Metrics to show, from :data:`METRICS`.
    replicates, seed
        As for :func:`bootstrap`.
    level : float, default 0.95
        Coverage aimed at.

    Returns
    -------
    pandas.DataFrame
        Tidy: ``model``, ``metric``, ``estimate``, ``low``, ``high``; one row for each model and metric.

    Raises
    ------
    EcgbookError
        If a frame is unsound, a file has no unit, or a metric is unknown.

    Examples
    --------
    >>> frame = example()
    >>> rows = table({"a model": frame}, pd.Series(frame.file.to_numpy(), frame.file), ["accuracy"], seed=3)
    >>> rows.round(2).to_dict("records")
    [{'model': 'a model', 'metric': 'accuracy', 'estimate': 0.75, 'low': 0.38, 'high': 1.0}]
    """
    names = list(names)
    _check_words(pd.Series(names, dtype=object), METRICS, "metrics", "metric")
    rows = []
    for model, frame in frames.items():
        estimates, scores = metrics(frame, model), bootstrap(frame, unit, replicates, seed)
        rows += [(model, name, estimates[name], *_limits(scores[name], level)) for name in names]
    return pd.DataFrame(rows, columns=["model", "metric", "estimate", "low", "high"])


# %% [markdown]
# ## Comparing two models: the same draws for both
# Two intervals may overlap and the difference still be sure, because both models stumble over the same hard
# pages. So the difference is bootstrapped itself: both models are scored on the same replicates, and what
# they share cancels.


# %%
def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    unit: pd.Series,
    names: Iterable[str] = HEADLINE,
    replicates: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare two models tested on the same files: a minus b, by the paired bootstrap.

    Parameters
    ----------
    a, b : pandas.DataFrame
        Predictions of the two models.
    unit : pandas.Series
        Unit of each file; see :func:`units`.
    names, replicates, seed, level
        As for :func:`table`.

    Returns
    -------
    pandas.DataFrame
        ``metric``, ``a``, ``b``, ``difference``, ``low``, ``high`` (limits of the difference) and ``a_above``, the
        share of replicates in which a's value is the higher one (a tie counts half).

    Raises
    ------
    EcgbookError
        If the two frames test different files, or as for :func:`table`.

    See Also
    --------
    gap : the same for two protocols, which test different files.
    """
    labels = [
        check(f).query("part == 'test'").drop_duplicates("file").set_index("file")["label"] for f in (a, b)
    ]
    if set(labels[0].index) != set(labels[1].index):
        n_apart = len(set(labels[0].index) ^ set(labels[1].index))
        raise EcgbookError(
            f"compare: {n_apart} files are tested by one model only; compare runs of one protocol"
        )
    if not labels[0].eq(labels[1]).all():
        raise EcgbookError("compare: the two frames give one file different labels; they cannot be compared")
    return _difference(a, b, unit, names, replicates, seed, level)


def _difference(a, b, unit, names, replicates, seed, level) -> pd.DataFrame:
    names = list(names)
    _check_words(pd.Series(names, dtype=object), METRICS, "metrics", "metric")
    parts = [pools(a), pools(b)]
    rows, n_units = _unit_numbers(parts, unit)
    drawn = draw(n_units, replicates, seed)
    scores_a, scores_b = (_replicates(part, row, drawn) for part, row in zip(parts, rows, strict=True))
    values_a, values_b = metrics(a), metrics(b)
    lines = []
    for name in names:
        apart = (scores_a[name] - scores_b[name]).dropna()
        above = float((apart > 0).mean() + (apart == 0).mean() / 2)
        difference = values_a[name] - values_b[name]
        lines.append((name, values_a[name], values_b[name], difference, *_limits(apart, level), above))
    return pd.DataFrame(lines, columns=["metric", "a", "b", "difference", "low", "high", "a_above"])


# %% [markdown]
# ## Exact intervals for k of n
# With 30 MI pages the bootstrap is coarse, and it fails altogether when all 30 are right: every replicate is
# then perfect. The interval of Clopper and Pearson is exact: it holds every recall $\pi$ under which a count
# as low as $k$, or as high, would not be a rare event. Its limits are quantiles of beta distributions.
#
# Over several repeats the mean count need not be whole: 21, 22 and 21 of 30. The pages are the same 30 each
# time, so repeating adds no pages and $n$ stays 30. A mean of 21.33 is treated with caution: its lower limit
# is that of 21, its upper limit that of 22. What the interval does *not* know: that pages of one group may
# resemble each other, and how much the model would change had it been trained on other pages. With copies
# among the $n$ it means nothing.


# %%
def exact_interval(k: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact (Clopper-Pearson) interval for a proportion.

    Parameters
    ----------
    k : float
        Number of hits, 0 to `n`; if not whole (a mean over repeats), the interval reaches from the lower limit of
        the next whole number below to the upper limit of the next above.
    n : int
        Number of trials, at least 1.
    level : float, default 0.95
        Coverage: at least this, whatever the true proportion.

    Returns
    -------
    tuple of (float, float)
        Lower and upper limit.

    Raises
    ------
    EcgbookError
        If `k` is not between 0 and `n`, or `n` is no positive whole number.

    References
    ----------
    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika
    26, 1934.

    Examples
    --------
    >>> [round(limit, 3) for limit in exact_interval(30, 30)]
    [0.884, 1.0]
    >>> [round(limit, 3) for limit in exact_interval(21.4, 30)]
    [0.506, 0.877]
    """
    from scipy.stats import beta

    if n < 1 or n != int(n) or not 0 <= k <= n:
        raise EcgbookError(f"exact_interval: {k} of {n} is no count; k must lie between 0 and a whole n")
    below, above = (
        int(np.floor(k + 1e-9)),
        int(np.ceil(k - 1e-9)),
    )  # a mean such as 63/3 may miss 21 by a rounding
    tail = (1 - level) / 2
    low = 0.0 if below == 0 else float(beta.ppf(tail, below, n - below + 1))
    high = 1.0 if above == n else float(beta.ppf(1 - tail, above + 1, n - above))
    return low, high


def recalls(frame: pd.DataFrame, level: float = 0.95, name: str = "predictions") -> pd.DataFrame:
    """Count the hits of each class as k of n, with the exact interval.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions that test the same pages in every repeat, each page once (not "paper": copies are no new pages).
    level : float, default 0.95
        Coverage.
    name : str
        What to call the frame in messages.

    Returns
    -------
    pandas.DataFrame
        Index: the classes present; columns ``k`` (mean over repeats), ``n``, ``recall``, ``low``, ``high``.

    Raises
    ------
    EcgbookError
        If the repeats test different files.

    Examples
    --------
    >>> recalls(example()).loc["MI"].round(3).to_dict()
    {'k': 1.0, 'n': 2.0, 'recall': 0.5, 'low': 0.013, 'high': 0.987}
    """
    tested = {frozenset(pool.file) for pool in pools(frame, name).values()}
    if len(tested) > 1:
        raise EcgbookError(f"{name}: its repeats test different files; count one repeat at a time")
    counted = confusion(frame, name)
    rows = {}
    for label in CLASSES:
        k, n = counted.loc[label, label], round(counted.loc[label].sum())
        if n:
            rows[label] = (k, n, k / n, *exact_interval(k, n, level))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["k", "n", "recall", "low", "high"])


# %% [markdown]
# ## The leak
# How much does a twin in train help? Compare, among the test files of a `paper` run, those with a twin in
# train and those without. Twins are not spread evenly (every MI file has one, no Abnormal file does), so the
# comparison is made within a class, and only for the classes that have both kinds: History_MI and Normal.
# Their two differences are combined with the weights of Mantel and Haenszel, $n_1 n_0 / (n_1 + n_0)$ for
# $n_1$ files with a twin and $n_0$ without: much weight where both kinds are many.


# %%
def twins(frame: pd.DataFrame, copies: pd.Series, name: str = "predictions") -> pd.Series:
    """Say which test rows have a twin among the files their fold trained on.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions of a run under "paper", its val rows included: what a fold neither validated nor tested, it
        trained on.
    copies : pandas.Series
        First copy of each file of the data set, indexed by file name: ``units("paper")``.
    name : str
        What to call the frame in messages.

    Returns
    -------
    pandas.Series of bool
        Indexed as the test rows of `frame`.

    Raises
    ------
    EcgbookError
        If a fold has no val rows, or a file is not in `copies`.

    See Also
    --------
    ecgbook.splits.leaked : the same from a split.
    """
    check(frame, name)
    unknown = set(frame["file"]) - set(copies.index)
    if unknown:
        raise EcgbookError(f"{name}: {min(unknown)} is no file of the data set; pass a run on its files")
    found = []
    for (repeat, fold), rows in frame.groupby(["repeat", "fold"]):
        test = rows[rows["part"] == "test"]
        if len(test) == len(rows):
            raise EcgbookError(
                f"{name}: repeat {repeat}, fold {fold} has no val rows; without them train is unknown"
            )
        trained = set(copies.drop(rows["file"].unique()))
        found.append(test["file"].map(copies).isin(trained))
    return pd.concat(found).loc[frame.index[frame["part"] == "test"]]


def leak(
    frame: pd.DataFrame, copies: pd.Series, replicates: int = 2000, seed: int = 0, level: float = 0.95
) -> pd.DataFrame:
    """Measure the leak: accuracy on test files with a twin in train minus those without, within class.

    Parameters
    ----------
    frame : pandas.DataFrame
        Predictions of a run under "paper", val rows included.
    copies : pandas.Series
        As for :func:`twins`; the distinct page is also the unit that the bootstrap draws.
    replicates, seed, level
        As for :func:`table`.

    Returns
    -------
    pandas.DataFrame
        Index: the classes that have both kinds, then "within class" for all of them together. Columns: ``n_with``,
        ``n_without`` (files per repeat), ``with_twin``, ``without_twin`` (accuracies), ``leak``, ``low``, ``high``;
        all are means over repeats. In the last row both accuracies average the classes above with the same weights.

    Raises
    ------
    EcgbookError
        If the frame is unsound, has no val rows, or no class has both kinds.

    References
    ----------
    Mantel and Haenszel, Journal of the National Cancer Institute 22, 1959; Greenland and Robins, "Estimation of a
    common effect parameter from sparse follow-up data", Biometrics 41, 1985 (the weights for a difference).
    """
    part, with_twin = pools(frame), twins(frame, copies)
    repeats = frame.loc[with_twin.index, "repeat"]
    flags = {repeat: with_twin[repeats == repeat].to_numpy() for repeat in part}
    (rows,), n_units = _unit_numbers([part], copies)
    drawn = draw(n_units, replicates, seed)
    point = _leak_sums(part, flags, {r: np.ones((1, len(pool.y))) for r, pool in part.items()})
    again = _leak_sums(part, flags, {r: drawn[:, rows[r]].astype(float) for r in part})
    lines = {}
    for key, (n_with, n_without, right, wrong) in point.items():
        if n_with[0] and n_without[0]:
            limits = _limits(pd.Series(again[key][2] - again[key][3]), level)
            lines[key] = (n_with[0], n_without[0], right[0], wrong[0], right[0] - wrong[0], *limits)
    if not lines:
        raise EcgbookError(
            "leak: no class has test files both with and without a twin in train; is this a paper run?"
        )
    columns = ["n_with", "n_without", "with_twin", "without_twin", "leak", "low", "high"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns)


def _leak_sums(part: dict[int, Pool], flags: dict, weights: dict) -> dict[str, tuple[np.ndarray, ...]]:
    """By class and within class: files with and without a twin, accuracy of each; means over repeats."""
    per_repeat = [_leak_of_repeat(pool, flags[repeat], weights[repeat]) for repeat, pool in part.items()]
    return {key: tuple(_nanmean(r[key][i] for r in per_repeat) for i in range(4)) for key in per_repeat[0]}  # type: ignore[misc]


def _leak_of_repeat(pool: Pool, twin: np.ndarray, weights: np.ndarray) -> dict[str, tuple[np.ndarray, ...]]:
    class_of = np.eye(len(CLASSES))[pool.y]
    right = (pool.p.argmax(axis=1) == pool.y)[:, None]
    n_with, n_without = weights @ (class_of * twin[:, None]), weights @ (class_of * ~twin[:, None])
    a_with = _ratio(weights @ (class_of * (twin[:, None] & right)), n_with)
    a_without = _ratio(weights @ (class_of * (~twin[:, None] & right)), n_without)
    by_class = {
        label: (n_with[:, k], n_without[:, k], a_with[:, k], a_without[:, k])
        for k, label in enumerate(CLASSES)
    }
    votes = np.nan_to_num(_ratio(n_with * n_without, n_with + n_without))  # nothing where one kind is missing
    both = votes > 0
    return by_class | {
        "within class": (
            (n_with * both).sum(axis=1),
            (n_without * both).sum(axis=1),
            _mean_over_classes(a_with, votes),
            _mean_over_classes(a_without, votes),
        )
    }


# %% [markdown]
# ## The gap
# The gap is what the headline loses on the way from `paper` to `grouped`. It is no pure measure of the leak:
# the class mix changes too (a quarter of the files are MI, but only 30 of the 491 pages). Both runs hold
# pages of the same groups, so the groups are drawn once for both.


# %%
def gap(
    paper: pd.DataFrame,
    grouped: pd.DataFrame,
    unit: pd.Series,
    names: Iterable[str] = HEADLINE,
    replicates: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Measure the gap: each metric under "paper" minus under "grouped".

    Parameters
    ----------
    paper, grouped : pandas.DataFrame
        Predictions of one model under the two protocols.
    unit : pandas.Series
        Group of each of the 928 files, copies included: ``units("grouped")``.
    names, replicates, seed, level
        As for :func:`table`.

    Returns
    -------
    pandas.DataFrame
        ``metric``, ``paper``, ``grouped``, ``gap``, ``low``, ``high``.

    Raises
    ------
    EcgbookError
        As for :func:`table`.
    """
    lines = _difference(paper, grouped, unit, names, replicates, seed, level).drop(columns="a_above")
    return lines.rename(columns={"a": "paper", "b": "grouped", "difference": "gap"})
