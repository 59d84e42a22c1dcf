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
# # Explain: what the signal models look at
# The headline model sees some nine hundred numbers of an ECG. Which of them decide? Every method of this module answers
# by a number for each *player*: a family of measurements, a lead, or a wave. And every method is then judged in the
# same way: take the players away in the order that the explanation gives, and see whether the probability falls faster
# than in a random order, and faster than in the order that a model gives which has learned nothing.
#
# What was fixed before any result was seen: the players, the class explained (the one that the headline calls out of
# fold), how a player is taken away, the score and the control. The numbers of samples below were cut for cost after a
# trial on one of the five folds, and not touched afterwards.

# %%
"""Shapley values, permutation, occlusion and LIME for the signal models, and how to judge them."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import resource
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecgbook import beats, data, digitize, evaluate, measure, models, publish, splits, study
from ecgbook.data import CLASSES, EcgbookError, write_whole
from ecgbook.synth import LEADS

RESULTS = study.RESULTS
RUN = "explain-signals"

# %% [markdown]
# ## What is measured, and what follows from it
# The headline sees measurements, median beats, and summaries by wall that are computed from the measurements. When a
# lead's ST level is taken away, "the highest ST level of the inferior wall" must follow, or the model is shown an ECG
# that cannot be. So everything here works on a *base table* of what was measured, and the summaries are computed anew
# for every altered row. The last column says whether the page prints "Female": no model sees it, but two thresholds
# depend on it.


# %%
@lru_cache(maxsize=1)
def _table() -> pd.DataFrame:
    whole = models.features("all")
    kept = [name for name in whole if name in measure.COLUMNS or name.startswith("beat_")]
    pages = data.pages().set_index("file")
    return whole.loc[pages.index, kept].assign(female=(pages["sex"] == "Female").astype(float))


def table() -> pd.DataFrame:
    """Collect what was measured on the 491 distinct ECGs.

    Returns
    -------
    pandas.DataFrame
        Index: file names in the order of :func:`ecgbook.data.pages`; columns: the measurements, the points of the
        median beats (mV) and ``female`` (0 or 1). NaN where not measured.

    Examples
    --------
    >>> table().shape, table().columns[-1]
    ((491, 915), 'female')
    """
    return _table().copy()


def _seen(values: np.ndarray) -> pd.DataFrame:
    """What a model sees of rows of the base table (n, d): measurements, summaries, beats."""
    frame = pd.DataFrame(values, columns=_table().columns)
    measured = frame[list(measure.COLUMNS)]
    shapes = frame.drop(columns=["female", *measure.COLUMNS])
    return pd.concat([measured, models.summaries(measured), shapes], axis=1)


# %% [markdown]
# ## Families
# A family is what a cardiologist would name in one breath. Each column belongs to exactly one: its name, without the
# lead or the wall in front, says which.

# %%
_PREFIX = re.compile(rf"^(?:{'|'.join([*LEADS, *models.WALLS])})_")
_STEMS = {
    "rhythm": r"heart_rate|(?:log_)?rr_|log_rate|beats$|premature|other_shape|ectopic",
    "intervals": r"(?:pr|qrs|qt)_ms|qtc_",
    "axes": r"(?:t_)?axis_|qrs_t_angle",
    "P wave": r"p_",
    "Q wave": r"qs?_",
    "R and S waves": r"[rs]_|sokolow|cornell|transition|qrs_area|qrs_height",
    "ST segment": r"st",
    "T wave": r"t_",
    "beat shape": r"beat_",
}

#: The families, in the order of the heart beat.
FAMILIES = tuple(_STEMS)
_MATCHED = ("beat shape", "axes", *FAMILIES)  # t_axis before t_


def family(column: str) -> str:
    """Say to which family a measurement, a summary or a point of a beat belongs.

    Parameters
    ----------
    column : str
        Name of a column that a model sees.

    Returns
    -------
    str
        One of :data:`FAMILIES`.

    Raises
    ------
    EcgbookError
        If the column belongs to none.

    Examples
    --------
    >>> family("V2_stj_mv"), family("inferior_q_share_max"), family("t_axis_deg"), family("beat_V1_03")
    ('ST segment', 'Q wave', 'axes', 'beat shape')
    """
    stem = _PREFIX.sub("", column)
    found = next((name for name in _MATCHED if re.match(_STEMS[name], stem)), None)
    if found is None:
        raise EcgbookError(f"{column}: belongs to no family; use a column of ecgbook.models.features('all')")
    return found


# %% [markdown]
# ## Players
# Three casts. *Families*, as above. *Leads*: the measurements and the beat of one lead, and one player more for what is
# measured on all leads together (rhythm, intervals); axes, voltage sums and criteria follow from the leads and are
# computed anew. *Waves*: P, QRS, ST and T with their stretch of the median beats; the rhythm is never taken away there.
# The stretches were set from the median boundaries of all 491 ECGs, and no label was looked at.

# %%
TOGETHER = "no single lead"
WAVES = {
    "P": ("P wave", -0.350, -0.050),
    "QRS": ("Q wave|R and S waves", -0.050, 0.054),
    "ST": ("ST segment", 0.054, 0.134),
    "T": ("T wave", 0.134, 0.550),
}  # families, and seconds from the mark of the beat
_POINT_S = 0.016  # seconds of a point of a beat


class Players(NamedTuple):
    """Who plays.

    Attributes
    ----------
    names : tuple of str
        The p players.
    owner : (d,) int array
        Number of the player that owns each column of :func:`table`; -1 for a column that is never taken away.
    follow : callable
        Given altered rows (n, d), computes anew the columns that follow from others.
    """

    names: tuple[str, ...]
    owner: np.ndarray
    follow: Callable[[np.ndarray], np.ndarray]


def _as_it_is(values: np.ndarray) -> np.ndarray:
    return values


def _owners(names: tuple[str, ...], of: Callable[[str], str]) -> np.ndarray:
    number = {name: k for k, name in enumerate(names)}
    return np.array([number.get(of(column), -1) for column in _table().columns])


@lru_cache(maxsize=1)
def families() -> Players:
    """Let the families play.

    Examples
    --------
    >>> families().names[:3], int((families().owner == -1).sum())
    (('rhythm', 'intervals', 'axes'), 1)
    """
    return Players(FAMILIES, _owners(FAMILIES, lambda c: "" if c == "female" else family(c)), _as_it_is)


def _lead_of(column: str) -> str:
    if column == "female" or column in _DERIVED:
        return ""
    lead = column.removeprefix("beat_").split("_")[0]
    return lead if lead in LEADS else TOGETHER


@lru_cache(maxsize=1)
def leads() -> Players:
    """Let the leads play, and what is measured on all of them together.

    Examples
    --------
    >>> leads().names[-2:]
    ('V6', 'no single lead')
    """
    names = (*LEADS, TOGETHER)
    return Players(names, _owners(names, _lead_of), derived)


def _wave_of(column: str) -> str:
    if column.startswith("beat_"):
        middle = -0.35 + _POINT_S * (int(column[-2:]) + 0.5)
        return next(name for name, (_, start, stop) in WAVES.items() if start <= middle < stop)
    name = "" if column == "female" else family(column)
    return next((wave for wave, (of, *_) in WAVES.items() if name in of.split("|")), "")


@lru_cache(maxsize=1)
def waves() -> Players:
    """Let the waves play: P, QRS, ST and T, each with its stretch of the median beats.

    Examples
    --------
    >>> waves().names
    ('P', 'QRS', 'ST', 'T')
    """
    return Players(tuple(WAVES), _owners(tuple(WAVES), _wave_of), _as_it_is)


# %% [markdown]
# ### What follows from the leads
# The axes, the voltage sums and the twelve criteria, for many altered rows at once; the formulas are those of
# [](measure.py), and a test compares the two.

# %%
_AXES = ("axis_deg", "t_axis_deg", "qrs_t_angle_deg")
_SUMS = ("sokolow_lyon_mv", "cornell_mv", "transition", "r_progression")
_MET = tuple(
    f"{sign}_{wall}" for sign in ("st_up", "st_down", "q", "t_inverted") for wall in measure.TERRITORIES
)
_DERIVED = frozenset((*_AXES, *_SUMS, *_MET))
_AT = {lead: k for k, lead in enumerate(LEADS)}


def _angles(limb: np.ndarray) -> np.ndarray:
    """Axis of each row of limb leads (n, 6), degrees."""
    x, y = np.linalg.pinv(measure._LIMB) @ limb.T
    out = np.where(np.hypot(x, y) > 1e-9, np.degrees(np.arctan2(y, x)), np.nan)
    for row in np.flatnonzero(np.isnan(limb).any(axis=1)):
        out[row] = measure.axis(limb[row])
    return out


def _sums(r: np.ndarray, s: np.ndarray) -> dict[str, np.ndarray]:
    """Voltage sums, transition and loss of R from heights (n, 12), mV."""
    chest = slice(_AT["V1"], _AT["V6"] + 1)
    balance = (r - s)[:, chest]
    steps = np.diff(r[:, chest][:, :5], axis=1)
    return {
        "sokolow_lyon_mv": s[:, _AT["V1"]] + r[:, [_AT["V5"], _AT["V6"]]].max(axis=1),
        "cornell_mv": r[:, _AT["aVL"]] + s[:, _AT["V3"]],
        "transition": _transitions(balance),
        "r_progression": np.maximum(-steps, 0).sum(axis=1),
    }


def _transitions(balance: np.ndarray) -> np.ndarray:
    """Chest lead where R comes to outweigh S, from R less S (n, 6)."""
    rows, after = np.arange(len(balance)), np.argmax(balance >= 0, axis=1)
    before = balance[rows, np.maximum(after - 1, 0)]
    with np.errstate(divide="ignore", invalid="ignore"):  # no crossing: replaced below
        out = after + before / (before - balance[rows, after])
    out = np.where(balance[:, 0] >= 0, 0.5, np.where((balance < 0).all(axis=1), 6.5, out))
    return np.where(np.isnan(balance).any(axis=1), np.nan, out)


def _signs(get: dict[str, np.ndarray], female: np.ndarray) -> dict[str, np.ndarray]:
    """Which lead shows which sign: (n, 12) of 1, 0, or NaN where it was not measured."""
    septal = [_AT["V2"], _AT["V3"]]
    limit = np.full(get["stj_mv"].shape, 0.1)
    limit[:, septal] = np.where(female == 1, 0.15, 0.2)[:, None]
    qs = (get["r_mv"] == 0) & (get["q_mv"] >= 0.1)
    q = qs | (get["q_ms"] >= 30) & (get["q_mv"] >= 0.1)
    q[:, septal] = (qs | (get["q_ms"] > 20) & (get["q_mv"] > measure._UPWARD))[:, septal]
    signs = {
        "st_up": get["stj_mv"] >= limit,
        "st_down": (get["stj_mv"] <= -0.05) & (get["st60_mv"] <= -0.05),
        "q": q,
        "t_inverted": (get["t_mv"] <= -0.1) & (get["r_mv"] > get["s_mv"]),
    }
    return {name: np.where(np.isnan(get["stj_mv"]), np.nan, met) for name, met in signs.items()}


def _met(get: dict[str, np.ndarray], female: np.ndarray) -> dict[str, np.ndarray]:
    """Signs in two contiguous leads, by territory."""
    signs, out = _signs(get, female), {}
    septal = (signs["q"][:, [_AT["V2"], _AT["V3"]]] == 1).any(axis=1)
    signs["q"][:, _AT["V1"]] *= 0  # a QS in V1 is common in health
    for sign, met in signs.items():
        for wall, pairs in measure.TERRITORIES.items():
            both = np.stack([met[:, _AT[a]] * met[:, _AT[b]] for a, b in pairs])
            most = np.where(np.isnan(both), -1, both).max(axis=0)
            out[f"{sign}_{wall}"] = np.where(most < 0, np.nan, most)
    out["q_anterior"] = np.where(septal, 1.0, out["q_anterior"])
    return out


def derived(values: np.ndarray) -> np.ndarray:
    """Compute axes, voltage sums and criteria anew from the measurements of the leads.

    Parameters
    ----------
    values : (n, d) array
        Rows of :func:`table`.

    Returns
    -------
    (n, d) array
        A copy in which the columns that follow from others fit these.

    Examples
    --------
    >>> rows = table().to_numpy()[:3]
    >>> rows[:, table().columns.get_loc("V1_s_mv")] += 10
    >>> int(derived(rows)[0, table().columns.get_loc("sokolow_lyon_mv")]) >= 10
    True
    """
    at = {name: k for k, name in enumerate(_table().columns)}
    keys = ("q_mv", "q_ms", "r_mv", "s_mv", "stj_mv", "st60_mv", "t_mv", "qrs_area")
    get = {key: values[:, [at[f"{lead}_{key}"] for lead in LEADS]] for key in keys}
    qrs, t = _angles(get["qrs_area"][:, :6]), _angles(get["t_mv"][:, :6])
    new = dict(zip(_AXES, (qrs, t, np.abs((qrs - t + 180) % 360 - 180)), strict=True))
    new |= _sums(get["r_mv"], get["s_mv"]) | _met(get, values[:, at["female"]])
    out = values.copy()
    for name, column in new.items():
        out[:, at[name]] = column
    return out


# %% [markdown]
# ## A fold to explain
# The model is fitted as the study fitted it: on the training and validation parts of a fold, so its answers for the
# test part are those that the study stored. The control is the same model on the same rows with their labels permuted:
# all that its explanations show is what the method makes of noise.


# %%
class Fitted(NamedTuple):
    """A fitted model, the rows it learned from and those it is tested on.

    Attributes
    ----------
    model : classifier
        The pool, or a member of it.
    known, tested : (n, d) arrays
        Rows of :func:`table`.
    files : (n,) array of str
        Names of the tested ECGs.
    y : (n,) int array
        Their classes.
    """

    model: object
    known: np.ndarray
    tested: np.ndarray
    files: np.ndarray
    y: np.ndarray


def fit(fold: int = 0, repeat: int = 0, seed: int = 0, relabel: Callable = np.asarray) -> Fitted:
    """Fit the headline on one fold of the grouped protocol, as the study does.

    Parameters
    ----------
    fold, repeat : int
        Which fold of which dealing.
    seed : int
        Of the model.
    relabel : callable
        Given the training labels, returns those to learn; a permutation makes the control.

    Returns
    -------
    Fitted
    """
    from threadpoolctl import threadpool_limits

    pages, whole = data.pages(), _table()
    split = splits.folds("grouped", pages, repeat)[fold]
    known = np.sort(np.concatenate([split.train, split.val]))
    y = pages["label"].map(CLASSES.index).to_numpy()
    values = whole.to_numpy()
    with threadpool_limits(1):
        model = models.build("headline", seed).fit(
            models.features("all").loc[whole.index[known]], relabel(y[known])
        )
    return Fitted(model, values[known], values[split.test], whole.index[split.test].to_numpy(), y[split.test])


def member(fitted: Fitted, name: str) -> Fitted:
    """Take one member of the pool in place of the pool.

    Parameters
    ----------
    fitted : Fitted
    name : str
        "svm", "logistic", "extra trees" or "xgboost".
    """
    number = ("svm", "logistic", "extra trees", "xgboost").index(name)
    return fitted._replace(model=fitted.model.members_[number])  # type: ignore[attr-defined]


_ROWS = 8192  # predicted at a time, so that memory stays small


def predictor(model, players: Players) -> Callable[[np.ndarray], np.ndarray]:
    """Make a function from altered rows of :func:`table` (n, d) to probabilities (n, 4).

    Parameters
    ----------
    model : classifier
        Fitted on what :func:`ecgbook.models.features` gives for "all".
    players : Players
        Their ``follow`` is applied first, then the summaries are computed.
    """

    def predict(values: np.ndarray) -> np.ndarray:
        parts = [values[start : start + _ROWS] for start in range(0, len(values), _ROWS)]
        return np.concatenate([models.probabilities(model, _seen(players.follow(part))) for part in parts])

    return predict


def mixed(x: np.ndarray, other: np.ndarray, keep: np.ndarray, players: Players) -> np.ndarray:
    """Take players away: their columns come from another ECG.

    Parameters
    ----------
    x, other : (n, d) arrays
        The ECGs, and those that stand in.
    keep : (n, p) bool array
        Which players of each ECG stay.
    players : Players

    Returns
    -------
    (n, d) array

    Examples
    --------
    >>> two = Players(("a", "b"), np.array([0, 1, -1]), lambda v: v)
    >>> mixed(np.ones((1, 3)), np.zeros((1, 3)), np.array([[True, False]]), two)
    array([[1., 0., 1.]])
    """
    always = np.ones((len(keep), 1), bool)
    return np.where(np.hstack([keep, always])[:, players.owner], x, other)


# %% [markdown]
# ## Shapley values
# Let the players enter one after another in a random order; each is credited with the change of the probability when
# it enters. The mean over all orders is the Shapley value: the only fair division in a precise sense. Players who have
# not entered yet are played by an ECG drawn from the training part (the *interventional* background).
#
# All orders are too many, so we draw. Each drawn order is used forwards and backwards with the same stand-in, which
# cancels most of the noise, and all steps of all ECGs are predicted in one call. For every drawn order the credits sum
# to exactly what there is to divide.


# %%
PAIRS = 8


def shapley(
    predict: Callable, x: np.ndarray, known: np.ndarray, players: Players, pairs: int = PAIRS, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate Shapley values from random orders, each taken forwards and backwards.

    Parameters
    ----------
    predict : callable
        From rows (m, d) to outputs (m, c).
    x : (n, d) array
        ECGs to explain.
    known : (k, d) array
        ECGs that stand in for what is taken away: training rows.
    players : Players
    pairs : int
        Orders drawn for each ECG; each is used in both directions.
    seed : int

    Returns
    -------
    values : (n, p, c) array
        Credit of each player for each output.
    errors : (n, p, c) array
        Standard errors over the drawn pairs.

    References
    ----------
    E. Strumbelj and I. Kononenko, "Explaining prediction models and individual predictions with feature contributions",
    Knowledge and Information Systems 41 (2014); R. Mitchell et al., "Sampling permutations for Shapley value
    estimation", Journal of Machine Learning Research 23 (2022), for the two directions.

    Examples
    --------
    >>> two = Players(("a", "b"), np.array([0, 1]), lambda v: v)
    >>> values, _ = shapley(lambda v: v @ [[2.0], [3.0]], np.ones((1, 2)), np.zeros((1, 2)), two)
    >>> values[0, :, 0]
    array([2., 3.])
    """
    rng, n, p = np.random.default_rng(seed), len(x), len(players.names)
    whole, credits = predict(x), []
    for _ in range(pairs):
        order = rng.permuted(np.tile(np.arange(p), (n, 1)), axis=1)
        other = known[rng.integers(len(known), size=n)]
        credits.append(_walk(predict, x, other, players, order, whole))
    error = (
        np.std(credits, axis=0, ddof=1) / np.sqrt(pairs) if pairs > 1 else np.full_like(credits[0], np.nan)
    )
    return np.mean(credits, axis=0), error


def _walk(predict, x, other, players: Players, order: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Credits (n, p, c) when the players enter in an order (n, p) and in the reverse order; their mean."""
    (n, p), ways = order.shape, (order, order[:, ::-1])
    keeps = [np.argsort(way, axis=1) < step for way in ways for step in range(1, p)]
    rows = [mixed(x, other, keep, players) for keep in keeps]
    said = predict(np.concatenate([_all_away(x, other, players), *rows]))
    none, between = said[:n], said[n:].reshape(2, p - 1, n, -1)
    credits = np.zeros((n, p, whole.shape[1]))
    for way, steps in zip(ways, between, strict=True):
        path = np.diff(np.concatenate([none[None], steps, whole[None]]), axis=0)  # (p, n, c)
        credits[np.arange(n), way.T] += path / 2
    return credits


def _all_away(x: np.ndarray, other: np.ndarray, players: Players) -> np.ndarray:
    """Take all players away: the stand-in, with the columns of `x` that nobody owns."""
    return mixed(x, other, np.zeros((len(x), len(players.names)), bool), players)


# %% [markdown]
# ## SHAP for trees
# For a sum of trees the same values can be computed exactly, for every column, by walking the trees
# {cite}`lundberg2020`. That explains *one member* of the pool, not the pool. The library's plots need a part of
# matplotlib that is about to change; it says so when it is imported. We ask it to be quiet about that, and about the
# bars that a notebook could have.

# %%
BACKGROUND = 10  # training rows behind SHAP values of trees
_BLOCK = 10  # ECGs at a time: a call of more than some seconds draws a bar on the terminal


def _shap():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The set_", PendingDeprecationWarning)
        warnings.filterwarnings("ignore", "IProgress not found")  # of the bars that a notebook could have
        import shap
    return shap


def tree_shap(fitted: Fitted, rows: int = BACKGROUND, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Compute SHAP values of a tree member for every column that it sees.

    Parameters
    ----------
    fitted : Fitted
        Its model: the member "extra trees" or "xgboost"; see :func:`member`.
    rows : int
        Training rows drawn as background.
    seed : int
        Of that draw.

    Returns
    -------
    values : (n, q, 4) array
        For the extra trees in units of probability, for XGBoost in units of log-odds.
    names : list of str
        The q columns.

    References
    ----------
    S. M. Lundberg et al., "From local explanations to global understanding with explainable AI for trees", Nature
    Machine Intelligence 2 (2020).
    """
    prepare, trees = fitted.model[0], fitted.model[-1]  # type: ignore[index]
    drawn = np.random.default_rng(seed).choice(len(fitted.known), rows, replace=False)
    background, tested = (prepare.transform(_seen(v)) for v in (fitted.known[drawn], fitted.tested))
    explainer = _shap().TreeExplainer(trees, background, feature_perturbation="interventional")
    blocks = [tested[start : start + _BLOCK] for start in range(0, len(tested), _BLOCK)]
    values = [
        explainer.shap_values(b, check_additivity=False) for b in blocks
    ]  # XGBoost adds in single precision
    return np.concatenate(values), list(prepare.transformers_[0][2])


def by_family(values: np.ndarray, names: list[str]) -> np.ndarray:
    """Add up values of columns (n, q) within each of the nine families, (n, 9).

    Examples
    --------
    >>> by_family(np.array([[1.0, 2.0, 4.0]]), ["V1_q_mv", "q_leads", "heart_rate"])
    array([[4., 0., 0., 0., 3., 0., 0., 0., 0.]])
    """
    of = np.array([FAMILIES.index(family(name)) for name in names])
    return np.stack([values[:, of == k].sum(axis=1) for k in range(len(FAMILIES))], axis=1)


# %% [markdown]
# ## Permutation
# Shuffle a player among the test ECGs and see how much worse the model becomes. This needs the true classes, and says
# what the model relies on over many ECGs, not why it called one.

# %%
SHUFFLES = 3


def permuted(fitted: Fitted, players: Players, shuffles: int = SHUFFLES, seed: int = 0) -> np.ndarray:
    """Predict the test ECGs with each player shuffled among them in turn.

    Parameters
    ----------
    fitted : Fitted
    players : Players
    shuffles : int
        How often each player is shuffled.
    seed : int

    Returns
    -------
    (shuffles, p, n, 4) array
        Probabilities.

    References
    ----------
    L. Breiman, "Random forests", Machine Learning 45 (2001).
    """
    rng, x, p = np.random.default_rng(seed), fitted.tested, len(players.names)
    n, rows = len(x), []
    for _ in range(shuffles):
        other = x[rng.permutation(n)]
        rows += [mixed(x, other, np.tile(np.arange(p) != k, (n, 1)), players) for k in range(p)]
    said = predictor(fitted.model, players)(np.concatenate(rows))
    return said.reshape(shuffles, p, n, -1)


def _log(p: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(p, evaluate.LOWEST))


def _worse(fitted: Fitted, players: Players, said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rise of log loss and loss of hits of each ECG and player (n, p), from altered answers (s, p, n, 4)."""
    at, before = np.arange(len(fitted.y)), predictor(fitted.model, players)(fitted.tested)
    rise = _log(before[at, fitted.y]) - _log(said[..., at, fitted.y]).mean(axis=0)
    hits = (before.argmax(axis=1) == fitted.y) - (said.argmax(axis=-1) == fitted.y).mean(axis=0)
    return rise.T, hits.T


# %% [markdown]
# ## Occlusion
# Put something typical in place of a player, the median of the training part, and see how far the probability of the
# called class falls. For waves there is a second way, nearer to the ECG: flatten the wave in the median beat of every
# lead, and measure anew. P, QRS and T become the straight line that joins their ends, ST the level before the QRS.
# Times stay what they were. (A beat without a QRS is no ECG, of course: that one must be read with care.)


# %%
def occluded(fitted: Fitted, players: Players) -> np.ndarray:
    """Predict the test ECGs with each player in turn replaced by its training median.

    Parameters
    ----------
    fitted : Fitted
    players : Players

    Returns
    -------
    (1, p, n, 4) array
        Probabilities.
    """
    x, p = fitted.tested, len(players.names)
    typical = np.tile(np.nanmedian(fitted.known, axis=0), (len(x), 1))
    rows = [mixed(x, typical, np.tile(np.arange(p) != k, (len(x), 1)), players) for k in range(p)]
    return predictor(fitted.model, players)(np.concatenate(rows)).reshape(1, p, len(x), -1)


def flatten(found: measure.Landmarks, wave: str) -> measure.Landmarks:
    """Flatten one wave of the median beat in every lead; all boundaries stay.

    Parameters
    ----------
    found : ecgbook.measure.Landmarks
    wave : str
        "P", "QRS", "ST" or "T".

    Returns
    -------
    ecgbook.measure.Landmarks
        With another beat; the same where the record shows no such wave.

    Examples
    --------
    >>> from ecgbook import synth
    >>> found = measure.landmarks(synth.window(synth.record("MI", 7)))
    >>> flat = measure.of_landmarks(flatten(found, "ST"), "")
    >>> max(abs(flat[f"{lead}_stj_mv"]) for lead in LEADS) < 0.01
    True
    """
    beat, edges = found.beat.copy(), (found.waves.leads + beats.BEFORE) * found.fs
    for curve, of_lead in zip(beat, edges, strict=True):
        _flatten(curve, of_lead, wave, found.fs)
    return found._replace(beat=beat)


def _flatten(curve: np.ndarray, edges: np.ndarray, wave: str, fs: float) -> None:
    """Flatten a wave of one lead (m,) in place, boundaries (3, 2) in samples."""
    (_, _), (onset, offset), (t_on, _) = edges
    ends = {"P": edges[0], "QRS": edges[1], "T": edges[2], "ST": np.array([offset, t_on])}[wave]
    if not np.isfinite(ends).all():
        return
    start, stop = int(np.floor(max(ends[0], 0))), int(np.ceil(min(ends[1], len(curve) - 1)))
    if wave == "ST":
        level = measure._between(curve, np.array([onset - 0.024 * fs, onset - 0.008 * fs]))
        line = np.full(stop + 1 - start, level.mean() if level.size else np.nan)
    else:
        line = np.linspace(curve[start], curve[stop], stop + 1 - start)
    curve[start : stop + 1] = line


def remeasured(found: measure.Landmarks, sex: str) -> np.ndarray:
    """Measure landmarks and return the row (d,) of :func:`table` that they give.

    Parameters
    ----------
    found : ecgbook.measure.Landmarks
        Sampled at 250 Hz, as the carried records are.
    sex : str
        As printed.
    """
    row = np.array(list(measure.of_landmarks(found, sex).values())).round(measure._DECIMALS)
    points = np.nan_to_num(measure._kept(found))[:, : 4 * 56].reshape(len(LEADS), 56, 4).mean(axis=2)
    return np.concatenate([row, points.ravel(), [float(sex == "Female")]])


def flattened(files: list[str]) -> np.ndarray:
    """Measure ECGs anew with each wave flattened in turn; about 40 ms an ECG and wave.

    Parameters
    ----------
    files : list of str
        Distinct pages.

    Returns
    -------
    (4, n, d) array
        Rows of :func:`table` for each of :data:`WAVES`.
    """
    sex, out = data.pages().set_index("file")["sex"], []
    for file in files:
        found = measure.landmarks(digitize.record(digitize.load(file))._replace(sex=sex[file]))
        out.append([remeasured(flatten(found, wave), sex[file]) for wave in WAVES])
    return np.array(out).transpose(1, 0, 2)


# %% [markdown]
# ## LIME
# LIME asks the model about a thousand made-up ECGs round the one to be explained, and fits a straight line to the
# answers {cite}`ribeiro2016`. Beats stay as they are; the measurements are cut into quartiles and drawn one by one, as
# if they were independent, which measurements of one heart are not.

# %%
SAMPLES = 1000


def lime_weights(
    fitted: Fitted, at: int, target: int, samples: int = SAMPLES, seed: int = 0
) -> tuple[np.ndarray, list[str]]:
    """Explain one test ECG by LIME.

    Parameters
    ----------
    fitted : Fitted
    at : int
        Row of ``fitted.tested``.
    target : int
        Class to explain.
    samples : int
        ECGs that LIME makes up.
    seed : int
        Of what LIME draws.

    Returns
    -------
    weights : (q,) array
        One a measurement, in units of probability.
    names : list of str

    References
    ----------
    M. T. Ribeiro, S. Singh and C. Guestrin, "Why should I trust you?", KDD 2016.
    """
    from lime.lime_tabular import LimeTabularExplainer

    names = list(measure.COLUMNS)
    known, row = fitted.known[:, : len(names)], fitted.tested[at, : len(names)]
    typical = np.nanmedian(known, axis=0)
    known, row = (np.where(np.isnan(v), typical, v) for v in (known, row))
    explainer = LimeTabularExplainer(known, feature_names=names, feature_selection="none", random_state=seed)

    def predict(made_up: np.ndarray) -> np.ndarray:
        rest = np.tile(fitted.tested[at, len(names) :], (len(made_up), 1))
        return predictor(fitted.model, families())(np.hstack([made_up, rest]))

    said = explainer.explain_instance(
        row, predict, labels=[target], num_features=len(names), num_samples=samples
    )
    weights = np.zeros(len(names))
    for column, weight in said.as_map()[target]:
        weights[column] = weight
    return weights, names


# %% [markdown]
# ## Judging
# *Deletion*: take the players away, the most supporting first; the probability of the called class should fall at once.
# *Insertion*: start from a stand-in and give the players back in that order; it should rise at once
# {cite}`petsiuk2018`. The score is the mean height of the insertion curve less that of the deletion curve. It is 0 on
# average when the order is random, and at most about the distance between the model's answer for this ECG and its
# answer for any other.

# %%
STAND_INS = 3


def curves(
    fitted: Fitted,
    order_by: np.ndarray,
    target: np.ndarray,
    players: Players,
    rows: int = STAND_INS,
    seed: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Follow the probability of a class while players are taken away, and while they are given back.

    Parameters
    ----------
    fitted : Fitted
    order_by : (n, p) array
        An explanation of each test ECG; the highest value goes (or comes) first.
    target : (n,) int array
        Class of each.
    players : Players
    rows : int
        Training ECGs that stand in, drawn anew for each test ECG; the curves are their mean.
    seed : int
        Of that draw; another than that of the explanations.

    Returns
    -------
    deletion, insertion : (n, p + 1) arrays
        Probability of the class after 0, 1, ... p players were taken away, or given back.

    References
    ----------
    V. Petsiuk, A. Das and K. Saenko, "RISE: Randomized input sampling for explanation of black-box models", BMVC 2018.
    """
    x, (n, p) = fitted.tested, order_by.shape
    rank = np.argsort(np.argsort(-order_by, axis=1, kind="stable"), axis=1)
    keeps = [rank >= k for k in range(p + 1)] + [rank < k for k in range(1, p)]
    rng, predict, total = np.random.default_rng(seed), predictor(fitted.model, players), 0.0
    for _ in range(rows):
        other = fitted.known[rng.integers(len(fitted.known), size=n)]
        said = predict(np.concatenate([mixed(x, other, keep, players) for keep in keeps]))
        total = total + said.reshape(len(keeps), n, -1)[:, np.arange(n), target] / rows
    deletion, between = total[: p + 1], total[p + 1 :]  # type: ignore[index]
    return deletion.T, np.concatenate([deletion[-1:], between, deletion[:1]]).T


def score(deletion: np.ndarray, insertion: np.ndarray) -> np.ndarray:
    """Mean height of each insertion curve less that of the deletion curve, (n,).

    Examples
    --------
    >>> score(np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 1.0]]))
    array([0.5])
    """
    return np.trapezoid(insertion - deletion, axis=1) / (deletion.shape[1] - 1)


def alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Rank correlation (Spearman) of two explanations of each ECG, (n, p) each; NaN where one is constant.

    Examples
    --------
    >>> alike(np.array([[1.0, 2.0, 3.0]]), np.array([[10.0, 30.0, 90.0]])).round(6)
    array([1.])
    """
    from scipy.stats import rankdata

    ranks = [rankdata(v, axis=1) for v in (a, b)]
    x, y = (r - r.mean(axis=1, keepdims=True) for r in ranks)
    size = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return np.divide((x * y).sum(axis=1), size, out=np.full(len(x), np.nan), where=size > 0)


def interval(
    values: np.ndarray,
    files: np.ndarray,
    classes: np.ndarray | None = None,
    replicates: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Mean over ECGs with its 95 % interval from resampled groups.

    Parameters
    ----------
    values : (n,) array
        One value an ECG; NaN is left out.
    files : (n,) array of str
        Their names.
    classes : (n,) array, optional
        If given, the mean of the means of the classes, as in balanced accuracy.
    replicates, seed
        As for :func:`ecgbook.evaluate.draw`.

    Returns
    -------
    tuple of float
        Estimate, low, high.

    Examples
    --------
    >>> interval(np.ones(3), np.array(["MI(1).jpg", "MI(2).jpg", "HB(1).jpg"]))
    (1.0, 1.0, 1.0)
    """
    known = np.isfinite(values)
    classes = np.zeros(len(values)) if classes is None else np.asarray(classes)
    values, classes = values[known], classes[known]
    unit = pd.factorize(evaluate.units("grouped").loc[files[known]])[0]
    drawn = np.vstack([np.ones(unit.max() + 1, int), evaluate.draw(unit.max() + 1, replicates, seed)])
    means = []
    for one in np.unique(classes):
        sums, counts = (np.bincount(unit, w * (classes == one)) for w in (values, np.ones(len(values))))
        count = drawn @ counts
        means.append(np.divide(drawn @ sums, count, out=np.full(len(drawn), np.nan), where=count > 0))
    mean = np.nanmean(means, axis=0)
    low, high = np.nanquantile(mean[1:], [0.025, 0.975])
    return float(mean[0]), float(low), float(high)


# %% [markdown]
# ## The methods
# Ten explanations of each ECG, all of the class that the headline calls out of fold. The one from permutation is the
# same for every ECG: the mean over the ECGs of the *other* folds, so that no ECG has a say in its own explanation.


# %%
class Asked(NamedTuple):
    """What is to be explained: ``target`` (n,), the class of each ECG; ``flat`` (4, n, d), the ECGs with each wave
    flattened; ``picked``, the rows that LIME explains; ``seed`` of all that is drawn.
    """

    target: np.ndarray
    flat: np.ndarray
    picked: np.ndarray
    seed: int


def _called(values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Values of the class asked for: (n, p, c) -> (n, p)."""
    return values[np.arange(len(target)), :, target]


def _of_trees(name: str) -> Callable[[Fitted, Asked], np.ndarray]:
    def explain(fitted: Fitted, asked: Asked) -> np.ndarray:
        values, names = tree_shap(member(fitted, name), seed=asked.seed)
        return by_family(_called(values, asked.target), names)

    return explain


def _by_shapley(cast: Callable[[], Players]) -> Callable[[Fitted, Asked], np.ndarray]:
    def explain(fitted: Fitted, asked: Asked) -> np.ndarray:
        predict = predictor(fitted.model, cast())
        values, _ = shapley(predict, fitted.tested, fitted.known, cast(), seed=asked.seed)
        return _called(values, asked.target)

    return explain


def _by_permutation(cast: Callable[[], Players]) -> Callable[[Fitted, Asked], np.ndarray]:
    return lambda fitted, asked: _worse(fitted, cast(), permuted(fitted, cast(), seed=asked.seed))[0]


def _fall(fitted: Fitted, players: Players, said: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fall of the probability of a class (n, p) when answers (1, p, n, 4) replace those for the whole ECG."""
    whole = predictor(fitted.model, players)(fitted.tested)[np.arange(len(target)), target]
    return (whole - said[0][:, np.arange(len(target)), target]).T


def _by_occlusion(cast: Callable[[], Players]) -> Callable[[Fitted, Asked], np.ndarray]:
    return lambda fitted, asked: _fall(fitted, cast(), occluded(fitted, cast()), asked.target)


def _without(fitted: Fitted, flat: np.ndarray) -> np.ndarray:
    """Answers (1, 4, n, 4) for ECGs with each wave flattened (4, n, d)."""
    said = predictor(fitted.model, waves())(flat.reshape(-1, flat.shape[2]))
    return said.reshape(1, *flat.shape[:2], -1)


def _by_flattening(fitted: Fitted, asked: Asked) -> np.ndarray:
    return _fall(fitted, waves(), _without(fitted, asked.flat), asked.target)


def _by_lime(fitted: Fitted, asked: Asked) -> np.ndarray:
    out = np.full((len(fitted.files), len(FAMILIES)), np.nan)
    for at in asked.picked:
        weights, names = lime_weights(fitted, at, int(asked.target[at]), seed=asked.seed)
        out[at] = by_family(weights[None], names)[0]
    return out


class Method(NamedTuple):
    """A way to explain: the model that it explains, the cast, and the function that does it."""

    model: str
    cast: Callable[[], Players]
    explain: Callable[[Fitted, Asked], np.ndarray]


#: Name -> how it explains.
METHODS: dict[str, Method] = {
    "SHAP, XGBoost": Method("xgboost", families, _of_trees("xgboost")),
    "SHAP, extra trees": Method("extra trees", families, _of_trees("extra trees")),
    "Shapley, families": Method("headline", families, _by_shapley(families)),
    "Shapley, leads": Method("headline", leads, _by_shapley(leads)),
    "permutation, families": Method("headline", families, _by_permutation(families)),
    "permutation, leads": Method("headline", leads, _by_permutation(leads)),
    "occlusion, families": Method("headline", families, _by_occlusion(families)),
    "occlusion, waves": Method("headline", waves, _by_occlusion(waves)),
    "flattening, waves": Method("headline", waves, _by_flattening),
    "LIME": Method("headline", families, _by_lime),
}
_GLOBAL = ("permutation, families", "permutation, leads")
_ALSO_RANDOM = ("Shapley, families", "Shapley, leads", "occlusion, waves")  # one for each cast

# %% [markdown]
# ## The stored run
# `python -m ecgbook.explain` explains every ECG out of fold three times: by the model, by the control, and once more
# by a model of another seed from another dealing of the folds, which has not seen the ECG either. Then it judges. Each
# step of a fold is kept in `.cache` as soon as it is done, so an interrupted run goes on where it stopped.

# %%
_PICKED = 2  # ECGs of each class and fold that LIME explains
_SEEDS = {"real": 0, "control": 0, "second": 1}


@lru_cache(maxsize=1)
def _calls() -> pd.Series:
    """Class that the headline calls for each ECG out of fold, in the first dealing."""
    stored = study.load("grouped-headline").query("repeat == 0 and part == 'test'").set_index("file")
    return pd.Series(stored[evaluate.PROBABILITIES].to_numpy().argmax(axis=1), stored.index)


def _picked(files: np.ndarray) -> np.ndarray:
    """Rows of the ECGs that LIME explains: some of each class, drawn among those of the first dealing's fold."""
    rng, labels = np.random.default_rng(0), data.pages().set_index("file")["label"]
    chosen = []
    for split in splits.folds("grouped", data.pages()):
        tested = labels.iloc[split.test]
        for label in CLASSES:
            chosen += list(rng.choice(tested.index[tested == label], _PICKED, replace=False))
    return np.flatnonzero(np.isin(files, chosen))


def _fitted(kind: str, fold: int) -> Fitted:
    if kind == "control":
        return fit(fold, relabel=np.random.default_rng(1000 + fold).permutation)
    return fit(fold, seed=1, repeat=1) if kind == "second" else fit(fold)


def _asked(fitted: Fitted, flat: pd.DataFrame, kind: str) -> Asked:
    waves_flat = np.stack([flat.loc[wave].loc[fitted.files].to_numpy() for wave in WAVES])
    target = _calls().loc[fitted.files].to_numpy()
    return Asked(target, waves_flat, _picked(fitted.files), _SEEDS[kind])


def _block(
    method: str, kind: str, files: np.ndarray, values: np.ndarray, names: tuple[str, ...]
) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=list(names))
    return pd.concat([pd.DataFrame({"method": method, "kind": kind, "file": files}), frame], axis=1)


def _explained(kind: str, fold: int, flat: pd.DataFrame) -> pd.DataFrame:
    """Explanations of one fold's test ECGs by every method."""
    fitted = _fitted(kind, fold)
    asked, blocks = _asked(fitted, flat, kind), []
    for name, method in METHODS.items():
        clock = time.process_time()
        values = method.explain(fitted, asked)
        done = np.isfinite(values).all(axis=1).sum()
        block = _block(name, kind, fitted.files, values, method.cast().names)
        blocks.append(block.assign(seconds=(time.process_time() - clock) / max(done, 1)))
    return pd.concat(blocks + (_hits(fitted, asked) if kind == "real" else []), ignore_index=True)


def _hits(fitted: Fitted, asked: Asked) -> list[pd.DataFrame]:
    """Hits that each ECG loses, for the methods that ask what the model relies on."""
    said = {
        "permutation, families": (families(), permuted(fitted, families())),
        "permutation, leads": (leads(), permuted(fitted, leads())),
        "occlusion, waves": (waves(), occluded(fitted, waves())),
        "flattening, waves": (waves(), _without(fitted, asked.flat)),
    }
    return [
        _block(name, "hits", fitted.files, _worse(fitted, players, answers)[1], players.names)
        for name, (players, answers) in said.items()
    ]


def _orders(rows: pd.DataFrame, name: str, kind: str, fold: int) -> pd.DataFrame:
    """What orders the players of a fold's ECGs: the explanation, or for permutation the mean over the other folds."""
    names, mine = list(METHODS[name].cast().names), rows.query("method == @name and kind == @kind")
    here = mine[mine["fold"] == fold].set_index("file")[names]
    if name in _GLOBAL:
        here.loc[:] = mine.loc[mine["fold"] != fold, names].mean().to_numpy()
    return here.dropna()


def _judged(fold: int, rows: pd.DataFrame) -> pd.DataFrame:
    """Score the explanations, those of the control and random ones, for one fold's ECGs."""
    whole, rng, blocks = fit(fold), np.random.default_rng(fold), []
    for name, method in METHODS.items():
        model, players = whole if method.model == "headline" else member(whole, method.model), method.cast()
        orders = {kind: _orders(rows, name, kind, fold) for kind in ("real", "control")}
        at = pd.Index(model.files).get_indexer(orders["real"].index)
        part = model._replace(tested=model.tested[at], files=model.files[at], y=model.y[at])
        given = {kind: order.loc[part.files].to_numpy() for kind, order in orders.items()}
        if name in _ALSO_RANDOM:
            given["random"] = rng.normal(size=given["real"].shape)
        target = _calls().loc[part.files].to_numpy()
        scores = {kind: score(*curves(part, order, target, players)) for kind, order in given.items()}
        blocks.append(pd.DataFrame({"method": name, "file": part.files} | scores))
    return pd.concat(blocks, ignore_index=True)


def _likenesses(rows: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each explanation with the control's and with that of the second model."""
    blocks = []
    for name, method in METHODS.items():
        names, of = list(method.cast().names), rows[rows["method"] == name]
        by_kind = {kind: of[of["kind"] == kind].set_index("file") for kind in _SEEDS}
        if name in _GLOBAL:  # one explanation a fold
            by_kind = {k: v[names].groupby(v["fold"]).transform("mean") for k, v in by_kind.items()}
        files = by_kind["real"].index
        real, *others = (by_kind[kind].loc[files, names].to_numpy() for kind in _SEEDS)
        control, second = (alike(real, other) for other in others)
        blocks.append(pd.DataFrame({"method": name, "file": files, "likeness": control, "stability": second}))
    return pd.concat(blocks, ignore_index=True)


# %%
_COLUMNS = {
    "method, kind, file": "kind: real, control (labels permuted; of four methods), hits (hits lost when a player goes)",
    "called": "class explained: called by the headline out of fold, first dealing",
    "real, control, random": "area between insertion and deletion curve, in the order of the explanation, of the "
    "control's, and (once for each cast) in a random one, all judged on the real model",
    "likeness": "rank correlation of the explanation with the control's",
    "stability": "rank correlation with the explanation by another seed and another dealing, out of fold in both",
    "the rest": "value of each player: a family, a lead or a wave (permutation: rise of log loss)",
}


def _code() -> dict[str, str]:
    names = ("splits", "measure", "beats", "models", "explain")
    here = Path(__file__).parent
    return {n: publish.code_digest((here / f"{n}.py").read_text(encoding="utf-8"))[:16] for n in names}


def _kept(path: Path, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Read a part of the run, or make and keep it."""
    if not path.exists():
        data.make_folder(path.parent)
        write_whole(path, make().to_csv(index=False, lineterminator="\n"))
    return pd.read_csv(path)


def _flat_table() -> pd.DataFrame:
    files = list(_table().index)
    blocks = [pd.DataFrame(rows, columns=_table().columns) for rows in flattened(files)]
    return pd.concat([b.assign(wave=w, file=files) for w, b in zip(WAVES, blocks, strict=True)])


_CONTROLS = ("SHAP, XGBoost", "SHAP, extra trees", "Shapley, families", "Shapley, leads")  # kept in full


def _outputs(rows: pd.DataFrame, judged: pd.DataFrame) -> pd.DataFrame:
    """One row for each method, kind and ECG, rounded."""
    keep = (rows["kind"] != "second") & ((rows["kind"] != "control") | rows["method"].isin(_CONTROLS))
    whole = rows[keep].merge(judged.merge(_likenesses(rows), how="outer").assign(kind="real"), how="left")
    players = [*FAMILIES, *leads().names, *WAVES]
    whole = whole.dropna(subset=players, how="all")
    whole = whole.assign(called=_calls().loc[whole["file"]].to_numpy())
    head = ["method", "kind", "file", "called", "real", "control", "random", "likeness", "stability"]
    return whole[[*head, *players]].round(3)


def run(results: Path = RESULTS, told: Callable[[str], None] = print) -> Path:
    """Explain the 491 ECGs, judge the explanations and store both; about ten minutes of one core.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.
    told : callable
        Is told what was done.

    Returns
    -------
    pathlib.Path
        The run's folder, with ``run.json`` and ``outputs.csv``.
    """
    folder, clock, busy = results / RUN, time.monotonic(), time.process_time()
    parts = publish.ROOT / ".cache" / f"{RUN}-{_code()['explain']}"
    started = datetime.now(UTC).isoformat(timespec="seconds")
    flat = _kept(parts / "flat.csv", _flat_table).set_index(["wave", "file"])
    done = []
    for fold in range(5):
        for kind in _SEEDS:
            make = lambda kind=kind, fold=fold: _explained(kind, fold, flat).assign(fold=fold)  # noqa: E731
            done.append(_kept(parts / f"{kind}-{fold}.csv", make))
            told(f"fold {fold}: {kind}")
    rows = pd.concat(done, ignore_index=True)
    judged = [_kept(parts / f"judged-{fold}.csv", lambda fold=fold: _judged(fold, rows)) for fold in range(5)]  # type: ignore[misc]
    spent = {"wall_s": round(time.monotonic() - clock), "cpu_s": round(time.process_time() - busy)}
    note = {"started": started} | spent  # of the last start, if there were several
    _write(folder, rows, pd.concat(judged), note)
    for part in parts.iterdir():
        part.unlink()
    parts.rmdir()
    return folder


_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "xgboost", "shap", "lime")


def _write(folder: Path, rows: pd.DataFrame, judged: pd.DataFrame, note: dict) -> None:
    """Write ``outputs.csv`` and ``run.json``."""
    seconds = rows[rows["kind"] == "real"].groupby("method")["seconds"].mean().round(4)
    explained = rows[rows[[*FAMILIES, *leads().names, *WAVES]].notna().any(axis=1)]
    whole = {
        "run": RUN,
        "task": "explain",
        "model": "headline",
        "input": "all",
        "protocol": "grouped",
        "weights": "none",
        "seed": 0,
        "folds": 5,
        "repeats": 1,
        "settings": {"pairs": PAIRS, "background": BACKGROUND, "shuffles": SHUFFLES, "samples": SAMPLES}
        | {"stand_ins": STAND_INS, "lime_per_class_and_fold": _PICKED},
        "columns": _COLUMNS,
        "seconds_an_ecg": seconds.to_dict(),
        "cpu_explaining_s": round(float(explained["seconds"].sum())),
        "command": "python -m ecgbook.explain",
        "code": _code(),
        "data": {n: data.digest(data.tables() / n)[1][:16] for n in ("measurements.csv", "median_beats.npz")},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": f"cpu, {platform.machine()}",
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    write_whole(
        folder / "outputs.csv",
        _outputs(rows, judged).to_csv(index=False, float_format="%g", lineterminator="\n"),
    )
    write_whole(folder / "run.json", json.dumps(whole | note, indent=1) + "\n")


# %% [markdown]
# ## Reading the run


# %%
def load(results: Path = RESULTS) -> pd.DataFrame:
    """Load the stored explanations.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        One row for each method, kind and ECG; the columns are described in ``run.json``. ``label`` is added.

    Raises
    ------
    EcgbookError
        If the run is not there.

    Examples
    --------
    >>> load(Path("no such folder"))
    Traceback (most recent call last):
    ecgbook.data.EcgbookError: ...explain-signals: no such run; make it with `python -m ecgbook.explain`
    """
    path = results / RUN / "outputs.csv"
    if not path.is_file():
        raise EcgbookError(f"{results / RUN}: no such run; make it with `python -m ecgbook.explain`")
    return pd.read_csv(path).merge(data.pages()[["file", "label"]], on="file")


def summary(results: Path = RESULTS) -> pd.DataFrame:
    """Sum up how good, how specific, how stable and how dear each method is.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        One row a method: ``method``, ``model``, ``ecgs``; ``faithfulness`` (area between insertion and deletion curve)
        with its group interval ``low``, ``high``; ``control``, the same for the explanations of a model that learned
        permuted labels; ``above`` with ``above_low``, ``above_high``, the paired difference of the two; ``likeness``,
        mean rank correlation with the control's explanation; ``stability``, with that of another seed and dealing;
        ``seconds`` of one core for an ECG.

    Raises
    ------
    EcgbookError
        If the run is not there.
    """
    whole = load(results).query("kind == 'real'")
    seconds = json.loads((results / RUN / "run.json").read_text(encoding="utf-8"))["seconds_an_ecg"]
    lines = []
    for name, method in METHODS.items():
        rows = whole[whole["method"] == name]
        rows, files = rows[rows["real"].notna()], rows.loc[rows["real"].notna(), "file"].to_numpy()
        score_, low, high = interval(rows["real"].to_numpy(), files)
        above = interval((rows["real"] - rows["control"]).to_numpy(), files)
        similar = rows["likeness"].mean(), rows["stability"].mean()
        lines.append(
            (
                name,
                method.model,
                len(rows),
                score_,
                low,
                high,
                rows["control"].mean(),
                *above,
                *similar,
                seconds[name],
            )
        )
    columns = ["method", "model", "ecgs", "faithfulness", "low", "high", "control", "above", "above_low"]
    return pd.DataFrame(lines, columns=[*columns, "above_high", "likeness", "stability", "seconds"])


def importance(rows: pd.DataFrame, names: tuple[str, ...], balanced: bool = False) -> pd.DataFrame:
    """Average each player's value over ECGs, with group intervals, the largest first.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of :func:`load` of one method and kind.
    names : tuple of str
        The players.
    balanced : bool
        Weight each class alike.

    Returns
    -------
    pandas.DataFrame
        ``name``, ``estimate``, ``low``, ``high``.
    """
    files, classes = rows["file"].to_numpy(), rows["label"].to_numpy() if balanced else None
    lines = [(name, *interval(rows[name].to_numpy(), files, classes)) for name in names]
    frame = pd.DataFrame(lines, columns=["name", "estimate", "low", "high"])
    return frame.sort_values("estimate", ascending=False, ignore_index=True)


# %% [markdown]
# ## Does it look where the guideline looks?
# The Universal Definition names the signs of an infarction: ST and T, and for an old one Q. The table of measurements
# says which ECG meets which sign in which territory. An explanation that knows the sign gives its family more where
# the sign is met than where it is not: the chance that it does, for a random pair of ECGs, is an AUC. And among the
# leads it should point into the territory.

# %%
SIGNS = {"ST segment": ("st_up", "st_down"), "Q wave": ("q",), "T wave": ("t_inverted",)}


def met(files: np.ndarray, signs: tuple[str, ...]) -> pd.DataFrame:
    """Say which territories of ECGs meet one of some signs: bool, index `files`, columns the territories.

    Examples
    --------
    >>> met(np.array(["MI(1).jpg"]), ("q",)).columns.tolist()
    ['anterior', 'lateral', 'inferior']
    """
    table = _table().loc[files]
    return pd.DataFrame(
        {wall: table[[f"{sign}_{wall}" for sign in signs]].eq(1).any(axis=1) for wall in measure.TERRITORIES}
    )


def follows_sign(
    rows: pd.DataFrame, name: str, replicates: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Chance that an ECG that meets a family's sign gives the family more than an ECG that does not.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of :func:`load` of one method and kind.
    name : str
        A family of :data:`SIGNS`.
    replicates, seed
        As for :func:`ecgbook.evaluate.draw`.

    Returns
    -------
    tuple of float
        AUC (0.5 for an explanation that does not know the sign) with its 95 % interval from resampled groups.
    """
    files, given = rows["file"].to_numpy(), rows[name].to_numpy()
    shown = met(files, SIGNS[name]).any(axis=1).to_numpy()
    inside = given[shown][:, None]
    wins = (inside > given[~shown]) + 0.5 * (inside == given[~shown])
    unit = pd.factorize(evaluate.units("grouped").loc[files])[0]
    drawn = evaluate.draw(unit.max() + 1, replicates, seed)[:, unit].astype(float)
    pairs = drawn[:, shown].sum(axis=1) * drawn[:, ~shown].sum(axis=1)
    won = ((drawn[:, shown] @ wins) * drawn[:, ~shown]).sum(axis=1)
    low, high = np.quantile(won[pairs > 0] / pairs[pairs > 0], [0.025, 0.975])
    return float(wins.mean()), float(low), float(high)


def points_into(rows: pd.DataFrame, signs: tuple[str, ...]) -> pd.DataFrame:
    """Say for each ECG that meets a sign whether the lead of most weight lies in a territory that meets it.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of :func:`load` whose players are leads.
    signs : tuple of str
        Any of them counts.

    Returns
    -------
    pandas.DataFrame
        ``file``, ``hit`` (0 or 1) and ``chance``, the share of the twelve leads that lie there.
    """
    walls = met(rows["file"].to_numpy(), signs)
    of = {wall: {lead for pair in pairs for lead in pair} for wall, pairs in measure.TERRITORIES.items()}
    top, lines = rows[list(LEADS)].to_numpy().argmax(axis=1), []
    for file, row, best in zip(rows["file"], walls.to_numpy(), top, strict=True):
        inside = set().union(*(of[wall] for wall, yes in zip(walls, row, strict=True) if yes))
        if inside:
            lines.append((file, float(LEADS[best] in inside), len(inside) / len(LEADS)))
    return pd.DataFrame(lines, columns=["file", "hit", "chance"])


# %%
if __name__ == "__main__":
    from ecgbook import explain as module

    print(module.run())
    sys.exit(0)
