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
# # Adapt: a model moves to another hospital
# A model was fitted on 491 ECGs of one hospital, the *source*, and is to serve another, the *target*: LUDB, 200 records
# {cite}`kalyakulina2020`, of which 81 have one of the four classes ([](elsewhere.py)). Adapting uses what the target
# can give: records without labels (*zero-shot*), or one, five or ten labelled records a class (*few-shot*). This module
# holds the methods, for tables of measurements and for a network on signals, and one comparison of them.
#
# All of it is exploratory. The pre-registered answer ([](../book/beyond/preregistration.md)) is that of models that saw
# nothing of LUDB; nothing here changes it. No setting below was chosen by a LUDB label.

# %%
"""Adapt models to another hospital, without labels or with a few, and compare by repeated draws."""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import inspect
import io
import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ecgbook import (
    data,
    elsewhere,
    evaluate,
    ludb,
    measure,
    models,
    networks,
    networks1d,
    publish,
    study,
    train,
    trust,
)
from ecgbook.data import CLASSES, EcgbookError, write_whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# %% [markdown]
# ## Two hospitals as tables
# One row an ECG, the same columns for both: measurements and their summaries, carried with the book. The headline
# model is left to the registered analysis; here the models are those that can be fitted hundreds of times.


# %%
class Hospital(NamedTuple):
    """ECGs of one hospital: ``X`` (n rows, NaN where not measured) and ``y`` (n,) classes 0 to 3, -1 for none."""

    X: pd.DataFrame
    y: np.ndarray


def _numbered(labels: pd.Series) -> np.ndarray:
    return labels.map({label: k for k, label in enumerate(CLASSES)}).fillna(-1).to_numpy(int)


def hospitals() -> tuple[Hospital, Hospital]:
    """Collect the carried tables of both hospitals.

    Returns
    -------
    source, target : Hospital
        The 491 distinct pages of EICP, and the 200 records of LUDB.

    Examples
    --------
    >>> source, target = hospitals()
    >>> len(source.y), len(target.y), int((target.y >= 0).sum()), list(source.X) == list(target.X)
    (491, 200, 81, True)
    """
    pages, here, there = data.pages(), models.features("measurements"), elsewhere.measurements()
    there = pd.concat([there, models.summaries(there)], axis=1)
    labels = elsewhere.classes(elsewhere.assigned()).reindex(there.index)
    source = Hospital(here.loc[pages["file"]], _numbered(pages["label"]))
    return source, Hospital(there[list(here)], _numbered(labels))


@lru_cache(maxsize=1)
def _both() -> tuple[Hospital, Hospital]:
    return hospitals()


# %% [markdown]
# ## Drawing the few
# A hospital that labels {math}`k` ECGs of each class is simulated by a draw from the 81; the rest is the test, so
# every draw tests on other records. LUDB has 8 MI. The rule, fixed before anything was run: at most half of a class
# is taken. So from 5 on only 4 MI are drawn, and at 10 only 7 History_MI; what is called 10 a class is 31 records.

# %%
SHOTS = (1, 5, 10)
DRAWS = 20  # for tables; networks are slower
NETWORK_DRAWS = 12  # a multiple of the seeds


def draw_few(y: np.ndarray, shots: int, draw: int) -> np.ndarray:
    """Draw labelled records of the target.

    Parameters
    ----------
    y : (n,) int array
        Classes; -1 for a record that has none, which is never drawn.
    shots : int
        How many of each class, if that is not more than half of it.
    draw : int
        Number of the draw; with more shots the same records are drawn, and others.

    Returns
    -------
    (m,) int array
        Rows, sorted.

    Examples
    --------
    >>> y = np.repeat([0, 1, 2, 3, -1], [8, 15, 34, 24, 119])
    >>> np.bincount(y[draw_few(y, 10, 0)]).tolist()
    [4, 7, 10, 10]
    """
    rng, rows = np.random.default_rng(draw), []
    for label in range(len(CLASSES)):
        of_class = rng.permutation(np.flatnonzero(y == label))
        rows.append(of_class[: min(shots, len(of_class) // 2)])
    return np.sort(np.concatenate(rows))


# %% [markdown]
# ## Moving columns without labels
# Four ways to bring two tables together; {math}`S` is the source, {math}`T` the target. *None*: gaps are filled with
# the source's medians, and that is all. *Standardised*: each column of the target is moved and stretched to the
# source's mean and spread,
#
# $$
# x' = m_S + s_S \frac{x - m_T}{s_T}.
# $$
#
# *Quantiles* does the same with the whole distribution of a column: what was larger than 80 of 100 target ECGs
# becomes what is larger than 80 of 100 source ECGs. *CORAL* {cite}`sun2016coral` also lets columns go together as
# they do in the target: with {math}`C` the covariance of standardised columns plus the identity, the source is turned
# by {math}`C_S^{-1/2} C_T^{1/2}`, and the model is fitted anew.
#
# The first three leave the fitted model alone; only what it is given is moved. The target rows that teach how to
# move (*seen*) need not be those that are moved (*asked*).

# %%
Moved = tuple[np.ndarray, np.ndarray]  # source rows to fit on, asked rows


def _filled(X: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Fill gaps by the medians of other rows, by 0 where there are none."""
    known = np.isfinite(by).any(axis=0)
    medians = np.zeros(by.shape[1])
    medians[known] = np.nanmedian(by[:, known], axis=0)
    return np.where(np.isfinite(X), X, medians)


def _middle(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spread = X.std(axis=0)
    return X.mean(axis=0), np.where(spread > 1e-12, spread, 1.0)


def unmoved(source: np.ndarray, seen: np.ndarray, asked: np.ndarray) -> Moved:
    """Fill gaps, as the source would; `seen` is not looked at."""
    return _filled(source, source), _filled(asked, source)


def standardised(source: np.ndarray, seen: np.ndarray, asked: np.ndarray) -> Moved:
    """Give each column of the target the mean and spread that it has in the source.

    Parameters
    ----------
    source : (n, c) array
        NaN where not measured, as in the others.
    seen : (u, c) array
        Target rows without labels, which say how to move.
    asked : (m, c) array
        Target rows to be moved.

    Returns
    -------
    source : (n, c) array
        Rows to fit a model on.
    asked : (m, c) array

    Examples
    --------
    >>> source, target = np.array([[0.0], [2.0]]), np.array([[50.0], [70.0]])
    >>> standardised(source, target, target)[1].ravel().tolist()
    [0.0, 2.0]
    """
    here, there = _filled(source, source), _filled(seen, seen)
    (mean_s, spread_s), (mean_t, spread_t) = _middle(here), _middle(there)
    return here, mean_s + spread_s * (_filled(asked, seen) - mean_t) / spread_t


def quantiles(source: np.ndarray, seen: np.ndarray, asked: np.ndarray) -> Moved:
    """Give each column of the target the distribution that it has in the source; shapes as :func:`standardised`.

    Examples
    --------
    >>> source, target = np.arange(101.0)[:, None], np.exp(np.arange(101.0) / 9)[:, None]
    >>> bool(np.allclose(quantiles(source, target, target)[1], source, atol=0.6))
    True
    """
    here, there, out = _filled(source, source), _filled(seen, seen), _filled(asked, seen)
    for k in range(out.shape[1]):
        known = np.sort(there[:, k])
        below, up_to = (np.searchsorted(known, out[:, k], side) for side in ("left", "right"))
        out[:, k] = np.quantile(here[:, k], (below + up_to) / 2 / len(known))
    return here, out


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Power of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * values**exponent) @ vectors.T


def coral(source: np.ndarray, seen: np.ndarray, asked: np.ndarray) -> Moved:
    """Give the source the covariance of the target; shapes as :func:`standardised`, all columns standardised.

    References
    ----------
    Sun, Feng and Saenko, "Return of frustratingly easy domain adaptation", AAAI 2016.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> source, z = rng.normal(size=(500, 2)), rng.normal(size=(500, 2))
    >>> target = np.column_stack([z[:, 0], z[:, 0] + 0.1 * z[:, 1]])
    >>> moved, _ = coral(source, target, target)
    >>> bool(abs(np.corrcoef(source.T)[0, 1]) < 0.1), bool(np.corrcoef(moved.T)[0, 1] > 0.4)
    (True, True)
    """
    here, there = _filled(source, source), _filled(seen, seen)
    scaled = [
        (rows - mean) / spread for rows, (mean, spread) in ((here, _middle(here)), (there, _middle(there)))
    ]
    z_s, z_t = (models._bend(z) for z in scaled)
    c_s, c_t = (np.cov(z.T) + np.eye(z.shape[1]) for z in (z_s, z_t))
    mean, spread = _middle(there)
    moved = models._bend((_filled(asked, seen) - mean) / spread)
    return z_s @ _power(c_s, -0.5) @ _power(c_t, 0.5), moved


#: Name of a way to move columns -> function.
MOVES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Moved]] = {
    "none": unmoved,
    "standardised": standardised,
    "quantiles": quantiles,
    "CORAL": coral,
}

# %% [markdown]
# ## Another mix of classes
# If only the shares of the classes differ, {math}`P(x \mid y)` being the same, then probabilities that were right under
# the shares {math}`\pi_S` become right under {math}`\pi_T` by Bayes' rule ([](trust.py)). The
# target's shares are unknown without labels, and estimated in turns {cite}`saerens2002`: move the probabilities
# to the shares believed in, take their mean as the new belief, and repeat until nothing changes,
#
# $$
# \pi_k \leftarrow \frac1n \sum_i \frac{(\pi_k / \pi_{S,k})\, p_{ik}}{\sum_j (\pi_j / \pi_{S,j})\, p_{ij}}.
# $$
#
# The shares that a model believes in are those of its training rows, unless it was told to lean to rare classes: with
# weights {math}`\pi^{-a}` it believes in {math}`\pi^{1-a}`.


# %%
def believed(y: np.ndarray, weight: np.ndarray | None = None, power: float = 0.0) -> np.ndarray:
    """Compute the class shares that a model believes in.

    Parameters
    ----------
    y : (n,) int array
        Classes it learned from.
    weight : (n,) array, optional
        Of its rows.
    power : float
        Of the leaning to rare classes: 0 none, 1 all classes equal.

    Returns
    -------
    (4,) array

    Examples
    --------
    >>> believed(np.array([0, 1, 1, 2, 3])).round(2).tolist()
    [0.2, 0.4, 0.2, 0.2]
    """
    shares = np.bincount(y, weight, minlength=len(CLASSES)) ** (1 - power)
    return shares / shares.sum()


def estimate_shares(p: np.ndarray, learned: np.ndarray, rounds: int = 500) -> np.ndarray:
    """Estimate the class shares of a target by expectation maximisation.

    Parameters
    ----------
    p : (n, 4) array
        What a model says of target ECGs without labels.
    learned : (4,) array
        Class shares that it believes in.
    rounds : int
        At most so many turns.

    Returns
    -------
    (4,) array
        Shares in the target.

    References
    ----------
    Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", Neural
    Computation 14, 2002.

    Examples
    --------
    >>> sure = np.eye(4)[[0, 0, 0, 1, 2, 3, 3, 3]] * 0.97 + 0.0075
    >>> estimate_shares(sure, np.full(4, 0.25)).round(1).tolist()
    [0.4, 0.1, 0.1, 0.4]
    """
    shares = learned
    for _ in range(rounds):
        before, shares = shares, trust.move_prevalence(p, learned, shares).mean(axis=0)
        if np.abs(shares - before).max() < 1e-7:
            break
    return shares


def at_estimated_shares(p: np.ndarray, seen: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """Move probabilities `p` to the class shares estimated from what the model says of `seen` rows."""
    return trust.move_prevalence(p, learned, estimate_shares(seen, learned))


# %% [markdown]
# ## Learning from tables, with a few rows from the target
# Labelled target records join the source rows with a weight: each counts like {math}`w` source ECGs. The weight was
# rehearsed where no LUDB label is needed: one scan batch of EICP played the other hospital (see below).
#
# *Own weights* is the linear form of a personal layer {cite}`daume2007`: every column stands three times, once for both
# hospitals and once for each alone, {math}`x_S \to (x, x, 0)` and {math}`x_T \to (x, 0, x)`. The penalty on large
# weights decides what is shared.

# %%
WEIGHT = 5.0  # of a labelled target record, rehearsed on EICP
TREES = 200

Fitted = Callable[[np.ndarray], np.ndarray]  # rows to probabilities


def _scale(X: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    mean, spread = _middle(X)
    return lambda rows: models._bend((rows - mean) / spread)


def fit_logistic(X: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None) -> Fitted:
    """Fit the book's logistic regression on rows without gaps; returns a function from rows to probabilities."""
    scale = _scale(X)
    model = models._logistic(0).fit(scale(X), y, weight)
    return lambda rows: models.probabilities(model, scale(rows))


def fit_trees(X: np.ndarray, y: np.ndarray, seed: int = 0) -> Fitted:
    """Fit the book's extra trees, half as many, on rows without gaps."""
    trees = models._extra_trees(seed).set_params(n_estimators=TREES).fit(X, y)
    return lambda rows: models.probabilities(trees, rows)


class Few(NamedTuple):
    """Labelled target records: ``X`` (m, c), moved like all the target, and ``y`` (m,)."""

    X: np.ndarray
    y: np.ndarray


def joined(
    X: np.ndarray, y: np.ndarray, few: Few, weight: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Append labelled target records to source rows; the last array holds the weights."""
    weights = np.r_[np.ones(len(y)), np.full(len(few.y), weight)]
    return np.concatenate([X, few.X]), np.r_[y, few.y], weights


def fit_own_weights(X: np.ndarray, y: np.ndarray, few: Few, weight: float = WEIGHT) -> Fitted:
    """Fit a logistic regression with shared weights and weights of each hospital's own; for target rows.

    References
    ----------
    Daume III, "Frustratingly easy domain adaptation", ACL 2007.
    """
    scale = _scale(X)
    here, there = scale(X), scale(few.X)
    own = [np.hstack([here, here, np.zeros_like(here)]), np.hstack([there, np.zeros_like(there), there])]
    model = models._logistic(0).fit(*joined(own[0], y, Few(own[1], few.y), weight))

    def ask(rows: np.ndarray) -> np.ndarray:
        z = scale(rows)
        return models.probabilities(model, np.hstack([z, np.zeros_like(z), z]))

    return ask


# %% [markdown]
# ## A network moves
# The network is a small one, of the parts of the residual network of [](networks1d.py): the same stem with twice the
# step, three blocks instead of sixteen, the same pyramid and recipe. It is to be adapted hundreds of times, which the
# large one is too slow for. All its normalisations are *batch normalisations*: each holds a mean and a spread of every
# channel, learned from the source, and these are what normalising a network for another hospital means. *Own
# normalisation* replaces them by those of the target's records {cite}`li2016adabn`; no weight changes.


# %%
SEEDS = 3


def build(seed: int = 0) -> nn.Module:
    """Build the network, not trained.

    Parameters
    ----------
    seed : int
        Of its weights.

    Returns
    -------
    torch.nn.Module
        As from :func:`ecgbook.networks1d.build`, with four outputs.

    Examples
    --------
    >>> import torch
    >>> network = build().eval()
    >>> tuple(network(torch.zeros(2, 16, 250)).shape), networks1d.parameters(network) < 40_000
    ((2, 4), True)
    """
    from torch import nn

    with _drawn_by(seed):
        blocks = networks1d._stages(networks1d._block, (16, 24, 32), 1)
        trunk = nn.Sequential(*blocks, *networks1d._ended(32))
        return networks1d.types().SignalNetwork(networks1d._stem(16, 15, 4), trunk, 32, (4,), len(CLASSES))


@contextmanager
def _drawn_by(seed: int) -> Iterator[None]:
    """Let what is random in torch follow from a seed, and leave the caller's random numbers alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _beside(network: nn.Module, *arrays: np.ndarray) -> list[Tensor]:
    """Arrays as tensors on the network's device."""
    import torch

    where = next(network.parameters()).device
    return [torch.from_numpy(np.ascontiguousarray(array)).to(where) for array in arrays]


def _norms(network: nn.Module) -> list[nn.Module]:
    from torch import nn

    return [module for module in network.modules() if isinstance(module, nn.BatchNorm1d)]


def with_own_norms(network: nn.Module, seen: np.ndarray) -> nn.Module:
    """Copy a network, and let its batch normalisations hold the means and spreads of other signals.

    Parameters
    ----------
    network : torch.nn.Module
        As from :func:`build`.
    seen : (n, 16, length) float32 array
        Signals without labels.

    Returns
    -------
    torch.nn.Module

    References
    ----------
    Li and others, "Revisiting batch normalization for practical domain adaptation", 2017.
    """
    import torch

    moved = copy.deepcopy(network).eval()
    for norm in _norms(moved):
        norm.train()
        norm.momentum = 1.0  # forget what was known
    with torch.no_grad():
        moved(*_beside(moved, seen))
    return moved.eval()


# %% [markdown]
# *Tent* {cite}`wang2021tent` goes on from there without the source and without labels: it changes scale and shift of
# the normalisations so that the network becomes surer, that is, lowers the mean entropy
# {math}`-\sum_k p_k \ln p_k` of what it says. It has no way to know whether it becomes surer of the right thing.

# %%
TENT_STEPS, TENT_RATE = 10, 1e-3  # the rate is that of the paper


def tent(network: nn.Module, seen: np.ndarray, steps: int = TENT_STEPS) -> nn.Module:
    """Copy a network and make it surer of other signals, by its normalisations alone.

    Parameters
    ----------
    network : torch.nn.Module
    seen : (n, 16, length) float32 array
        Signals without labels.
    steps : int
        Each sees all of them.

    Returns
    -------
    torch.nn.Module

    References
    ----------
    Wang and others, "Tent: fully test-time adaptation by entropy minimization", ICLR 2021.
    """
    import torch

    moved = with_own_norms(network, seen)
    (x,) = _beside(moved, seen)
    for norm in _norms(moved):
        norm.train()
    optimizer = torch.optim.Adam(
        [weight for norm in _norms(moved) for weight in norm.parameters()], TENT_RATE
    )
    for _ in range(steps):
        logs = moved(x).log_softmax(1)
        loss = -(logs.exp() * logs).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return with_own_norms(moved, seen)


# %% [markdown]
# *Adversarial* training {cite}`ganin2016` lets a second head, the judge, guess from the network's features which
# hospital an ECG is from, and turns the judge's gradient round on its way into the network: the judge learns to tell
# the hospitals apart, the features learn to keep them from being told apart, and the first head learns the classes of
# the source. How strongly it is turned rises from 0 to 1 while training proceeds from {math}`t = 0` to 1,
# {math}`\lambda = 2 / (1 + e^{-10 t}) - 1`, as published. Training goes on from the source's network for five
# epochs, and the last weights are kept: the epoch with the best source loss would be one before the judge was heard.


# %%
def turned(x: Tensor, strength: float) -> Tensor:
    """Pass values on unchanged, and gradients back turned round.

    Examples
    --------
    >>> import torch
    >>> x = torch.tensor([2.0], requires_grad=True)
    >>> y = turned(x, 0.5)
    >>> y.backward()
    >>> y.item(), x.grad.item()
    (2.0, -0.5)
    """
    return x.detach() * (1 + strength) - strength * x


def train_source(x: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int = 0) -> nn.Module:
    """Train the network on the source; a tenth, of whole groups, says which epoch is kept.

    Parameters
    ----------
    x : (n, 16, length) float32 array
    y, groups : (n,) int arrays
    seed : int

    Returns
    -------
    torch.nn.Module
    """
    from sklearn.model_selection import StratifiedGroupKFold

    dealt = StratifiedGroupKFold(10, shuffle=True, random_state=seed).split(x, y, groups)
    learn, val = next(iter(dealt))
    network = build(seed)
    with _drawn_by(seed):
        networks1d.fit(network, (x[learn], y[learn]), (x[val], y[val]), seed=seed)
    return network


ADVERSARIAL = networks1d.RECIPE._replace(epochs=5, stop=5)


def train_adversarial(
    network: nn.Module,
    x: np.ndarray,
    y: np.ndarray,
    seen: np.ndarray,
    seed: int = 0,
    recipe: train.Recipe = ADVERSARIAL,
) -> nn.Module:
    """Copy a network and train it on so that its features do not tell the hospitals apart.

    Parameters
    ----------
    network : torch.nn.Module
        Trained on the source.
    x : (n, 16, length) float32 array
    y : (n,) int array
    seen : (u, 16, length) float32 array
        Target signals without labels.
    seed : int
    recipe : ecgbook.train.Recipe

    Returns
    -------
    torch.nn.Module

    References
    ----------
    Ganin and others, "Domain-adversarial training of neural networks", JMLR 17, 2016.
    """
    import torch
    from torch.nn import functional as F

    where = networks.device()
    network = copy.deepcopy(network).to(where)
    judge = _judge(network.head.in_features, seed).to(where)
    here, there, labels = _beside(network, x, seen, y)
    weight, total, done = networks1d._weights(y).to(where), recipe.epochs * -(-len(x) // recipe.batch), []  # type: ignore[var-annotated]

    def lesson(rows: Tensor, generator: torch.Generator) -> Tensor:
        n, strength = len(rows), 2 / (1 + np.exp(-10 * len(done) / total)) - 1
        others = torch.randint(len(there), (n,), generator=generator)
        both = networks1d.cropped(torch.cat([here[rows], there[others]]), generator)
        features = network.embed(networks1d.varied(both, generator))
        guessed = judge(turned(features, strength))[:, 0]
        whose = torch.cat([torch.zeros(n), torch.ones(n)]).to(where)
        done.append(n)
        classes = F.cross_entropy(network.head(network.dropout(features[:n])), labels[rows], weight)
        return classes + F.binary_cross_entropy_with_logits(guessed, whose)

    training = train._begin(torch.nn.ModuleList([network, judge]), recipe)
    with _drawn_by(seed):
        while len(training.history) < recipe.epochs:
            loss = networks1d._epoch(training, len(x), recipe, seed, lesson)
            training.history.append({"train_loss": loss})
    return network.eval()


def _judge(width: int, seed: int) -> nn.Module:
    from torch import nn

    with _drawn_by(seed):
        return nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 1))


# %% [markdown]
# *Fine-tuning* goes on training a copy with the few labelled target records, all of them in each step, for ten steps
# at the rate with which training began. What may change is all of it, or the head alone, or (the personal layers) the
# normalisations and the head, on a trunk that both hospitals share. Means and spreads of the normalisations stay as
# they are: four records have no statistics. Steps and rate were set once and not tried.

# %%
STEPS, RATE = 10, 1e-3


def _may_change(network: nn.Module) -> dict[str, list[Tensor]]:
    norms = [weight for norm in _norms(network) for weight in norm.parameters()]
    head = list(network.head.parameters())
    return {"all": list(network.parameters()), "head": head, "norms and head": norms + head}


def fine_tune(
    network: nn.Module, x: np.ndarray, y: np.ndarray, part: str = "all", seed: int = 0, rate: float = RATE
) -> nn.Module:
    """Copy a network and go on training it with a few labelled signals.

    Parameters
    ----------
    network : torch.nn.Module
    x : (m, 16, length) float32 array
    y : (m,) int array
    part : str
        What may change: "all", "head", or "norms and head".
    seed : int
        Of dropout and augmentation.
    rate : float
        Of AdamW.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    EcgbookError
        No such part.
    """
    import torch

    tuned = copy.deepcopy(network).eval()
    for weight in tuned.parameters():
        weight.requires_grad_(False)
    parts = _may_change(tuned)
    chosen = parts[models._known(part, parts, "part")]
    for weight in chosen:
        weight.requires_grad_(True)
    optimizer = torch.optim.AdamW(chosen, rate, weight_decay=networks1d.RECIPE.weight_decay)
    signals, labels = _beside(tuned, x, np.asarray(y, np.int64))
    tuned.dropout.train()
    with _drawn_by(seed):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(STEPS):
            shown = networks1d.varied(networks1d.cropped(signals, generator), generator)
            loss = torch.nn.functional.cross_entropy(tuned(shown), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return tuned.eval()


# %% [markdown]
# ## Rehearsed on the source
# How much may a few target records say in a table? LUDB labels must not choose their weight. So EICP's scan batch of
# August 2020, 103 ECGs, plays the other hospital for a model of the other two batches, with the same rule of drawing,
# and the best mean macro-F1 over draws decides. It is a timid rehearsal, for the batches come from one hospital.

# %%
BATCH = "2020a"
WEIGHTS = (1.0, 5.0, 20.0)


def _played() -> tuple[np.ndarray, np.ndarray]:
    """Rows of the pages that play the source, and of those that play the target."""
    other = (data.pages()["batch"] == BATCH).to_numpy()
    return np.flatnonzero(~other), np.flatnonzero(other)


def rehearse_weight(draws: int = DRAWS) -> dict[str, float]:
    """Mean macro-F1 on the playing target by weight of its labelled ECGs (logistic regression)."""
    source, _ = _both()
    here, there = _played()
    X, moved = unmoved(source.X.to_numpy()[here], source.X.to_numpy()[there], source.X.to_numpy()[there])
    y, asked = source.y[here], source.y[there]

    def score(weight: float, shots: int, draw: int) -> float:
        rows = draw_few(asked, shots, draw)
        few = Few(moved[rows], asked[rows])
        called = fit_logistic(*joined(X, y, few, weight))(moved).argmax(1)
        return float(macro_f1(asked, called, _tested(len(asked), rows)[None])[0])

    return {
        f"{weight:g}": float(np.mean([score(weight, k, draw) for k in SHOTS for draw in range(draws)]))
        for weight in WEIGHTS
    }


def _tested(n: int, drawn: np.ndarray) -> np.ndarray:
    """1 for each of n rows that was not drawn."""
    return np.bincount(drawn, minlength=n) == 0


def macro_f1(y: np.ndarray, called: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute macro-F1 for many weightings of the same answers.

    Parameters
    ----------
    y, called : (n,) int arrays
        True and called classes.
    weights : (r, n) array
        One row a weighting; a row of zeros and ones takes a part.

    Returns
    -------
    (r,) array
        Mean over the classes that are there or were called; as :func:`ecgbook.evaluate.metrics`.

    Examples
    --------
    >>> macro_f1(np.array([0, 1, 2, 3]), np.array([0, 1, 2, 2]), np.ones((1, 4))).round(3)
    array([0.667])
    """
    eye = np.eye(len(CLASSES))
    true, said = eye[y], eye[called]
    sums = np.asarray(weights, float) @ np.hstack([true * said, true + said])
    return evaluate._nanmean(evaluate._ratio(2 * sums[:, :4], sums[:, 4:]).T)  # type: ignore[return-value]


# %% [markdown]
# ## The comparison
# Every method is asked about all 81 records, and what it calls them is stored as one letter a record, a dot for a
# record whose label it was given. *Zero-shot* methods saw all 200 records without labels (*all*: so also those that
# are tested, which is called transductive), or, in the inductive rows (*others*), adapted on odd-numbered records and
# were asked about even ones, and the reverse. They see the 119 records without a class too: who has no labels cannot
# leave them out.
#
# *Few-shot* methods begin with the zero-shot adaptation (on all) and add the draw: tables are fitted anew with
# weighted target records, networks are tuned. For Tent only the head is tuned, for own normalisation the
# normalisations and the head, else everything. Networks start from three seeds in turn. Extra trees are too slow to
# be fitted for every draw, and are asked zero-shot alone.
#
# *References*: the source's largest class; a logistic regression fitted on the few alone; and, as what could be had
# with labels, cross-validation within the 81, on target records alone and with the source beside them.

# %%
LETTERS = "mhan"  # MI, History_MI, Abnormal, Normal
COLUMNS = ["family", "method", "shots", "seen", "draw", "calls"]
SEEN = ("all", "others")


@lru_cache(maxsize=1)
def _target_signals() -> np.ndarray:
    return np.array([networks1d.channels(elsewhere.shown(n)) for n in ludb.RECORDS])


def _row(family: str, method: str, shots: object, seen: str, draw: int, called: np.ndarray, drawn=()) -> dict:
    """One stored row, from what 200 records were called."""
    letters = np.array(list(LETTERS))[called]
    letters[list(drawn)] = "."
    _, target = _both()
    values = (family, method, str(shots), seen, draw, "".join(letters[target.y >= 0]))
    return dict(zip(COLUMNS, values, strict=True))


def by_seen(adapted: Callable[[np.ndarray, np.ndarray], np.ndarray], seen: str, n: int) -> np.ndarray:
    """Ask an adapted model about n rows.

    Parameters
    ----------
    adapted : function
        Of the rows that may be seen without labels and the rows that are asked; returns probabilities of the latter.
    seen : str
        "all": every row is seen. "others": each half is asked of a model that saw the other half.
    n : int

    Returns
    -------
    (n, 4) array

    Examples
    --------
    >>> never = by_seen(lambda seen, asked: np.isin(asked, seen)[:, None] * np.ones(4), "others", 6)
    >>> float(never.max())
    0.0
    """
    rows = np.arange(n)
    if seen == "all":
        return adapted(rows, rows)
    out = np.empty((n, len(CLASSES)))
    for half in (0, 1):
        asked = rows[rows % 2 == half]
        out[asked] = adapted(rows[rows % 2 != half], asked)
    return out


class _Tables(NamedTuple):
    """A family of table models: the arrays of both hospitals, how it is fitted, and how it leans to rare classes."""

    S: np.ndarray
    y: np.ndarray
    T: np.ndarray
    fit: Callable[..., Fitted]
    power: float = 0.0

    def zero(self, move: str, shares: bool) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Function of seen and asked rows, for :func:`by_seen`."""

        def adapted(seen: np.ndarray, asked: np.ndarray) -> np.ndarray:
            both = np.concatenate([self.T[asked], self.T[seen]])
            source, moved = MOVES[move](self.S, self.T[seen], both)
            p = self.fit(source, self.y)(moved)
            ours, theirs = p[: len(asked)], p[len(asked) :]
            learned = believed(self.y, power=self.power)
            return at_estimated_shares(ours, theirs, learned) if shares else ours

        return adapted


def _tables(fit: Callable[..., Fitted]) -> _Tables:
    source, target = _both()
    return _Tables(source.X.to_numpy(float), source.y, target.X.to_numpy(float), fit)


#: Method -> how columns are moved, and whether class shares are estimated.
TABLES = {
    "none": ("none", False),
    "standardised": ("standardised", False),
    "quantiles": ("quantiles", False),
    "CORAL": ("CORAL", False),
    "class shares": ("none", True),
    "standardised, class shares": ("standardised", True),
}


def _zero_tables(family: str, tables: _Tables, methods: Sequence[str], seed: int = 0) -> list[dict]:
    rows = []
    for method in methods:
        adapted = tables.zero(*TABLES[method])
        for seen in SEEN if method != "none" else ("none",):
            p = by_seen(adapted, "all" if seen == "none" else seen, len(tables.T))
            rows.append(_row(family, method, 0, seen, seed, p.argmax(1)))
    return rows


def _few_tables() -> list[dict]:
    (S, y, T, fit, _), (_, target), rows = _tables(fit_logistic), _both(), []
    for method, (move, shares) in TABLES.items():
        X, moved = MOVES[move](S, T, T)
        for shots, draw in _draws():
            drawn = draw_few(target.y, shots, draw)
            table = joined(X, y, Few(moved[drawn], target.y[drawn]), WEIGHT)
            p = fit(*table)(moved)
            p = at_estimated_shares(p, p, believed(*table[1:])) if shares else p
            seen = "none" if method == "none" else "all"
            rows.append(_row("logistic", method, shots, seen, draw, p.argmax(1), drawn))
    return rows


def _draws(draws: int = DRAWS) -> list[tuple[int, int]]:
    return [(shots, draw) for shots in SHOTS for draw in range(draws)]


def _own_weights() -> list[dict]:
    (S, y, T, *_), (_, target), rows = _tables(fit_logistic), _both(), []
    X, moved = standardised(S, T, T)
    for shots, draw in _draws():
        drawn = draw_few(target.y, shots, draw)
        p = fit_own_weights(X, y, Few(moved[drawn], target.y[drawn]))(moved)
        rows.append(_row("logistic", "own weights", shots, "all", draw, p.argmax(1), drawn))
    return rows


def _logistic() -> list[dict]:
    zero = _zero_tables("logistic", _tables(fit_logistic), list(TABLES))
    return zero + _few_tables() + _own_weights()


#: Methods that leave the source where it is, so that one fit serves all.
_FITTED_ONCE = [method for method, (move, _) in TABLES.items() if move != "CORAL"]


def _trees() -> list[dict]:
    tables, rows = _tables(fit_trees), []
    for seed in range(SEEDS):
        fitted = fit_trees(_filled(tables.S, tables.S), tables.y, seed)
        same = tables._replace(fit=lambda X, y, fitted=fitted: fitted, power=1.0)
        rows += _zero_tables("extra trees", same, _FITTED_ONCE, seed)
    return rows


def _references() -> list[dict]:
    """Largest class, the few alone, and cross-validation with four fifths of the target's labels."""
    (S, y, T, *_), (_, target), rows = _tables(fit_logistic), _both(), []
    X, moved = standardised(S, T, T)
    z = _scale(moved)(moved)
    largest = np.full(len(T), np.bincount(y).argmax())
    rows.append(_row("reference", "largest class", 0, "none", 0, largest))
    for shots, draw in _draws():
        drawn = draw_few(target.y, shots, draw)
        alone = models._logistic(0).fit(z[drawn], target.y[drawn])
        rows.append(_row("reference", "few alone", shots, "all", draw, alone.predict(z), drawn))
    for draw in range(5):
        rows += _crossed(X, y, moved, z, target.y, draw)
    return rows


def _crossed(X: np.ndarray, y: np.ndarray, moved: np.ndarray, z: np.ndarray, theirs: np.ndarray, draw: int):
    """Five folds of the records that have a class, by models that know the labels of the other four."""
    from sklearn.model_selection import StratifiedKFold

    labelled = np.flatnonzero(theirs >= 0)
    alone, both = np.zeros(len(theirs), int), np.zeros(len(theirs), int)
    dealt = StratifiedKFold(5, shuffle=True, random_state=draw).split(labelled, theirs[labelled])
    for learn, test in ((labelled[a], labelled[b]) for a, b in dealt):
        alone[test] = models._logistic(0).fit(z[learn], theirs[learn]).predict(z[test])
        few = Few(moved[learn], theirs[learn])
        both[test] = fit_logistic(*joined(X, y, few, WEIGHT))(moved[test]).argmax(1)
    calls = {"target alone": alone, "both hospitals": both}
    return [_row("reference", method, "4/5", "all", draw, called) for method, called in calls.items()]


# %% [markdown]
# The network's rows. A trained network is kept beside the finished parts, so that a run that was interrupted goes on.


# %%
def _trained(parts: Path, kind: str, seed: int) -> nn.Module:
    """Train a network ("source" or "adversarial"), or take it from the parts."""
    from safetensors.torch import load_file, save

    path, (source, _) = parts / f"{kind} {seed}.safetensors", _both()
    if not path.is_file():
        if kind == "source":
            groups = data.pages()["group"].to_numpy()
            network = train_source(networks1d.signals(), source.y, groups, seed)
        else:
            start, x = _trained(parts, "source", seed), networks1d.signals()
            network = train_adversarial(start, x, source.y, _target_signals(), seed)
        tensors = {key: tensor.cpu().contiguous() for key, tensor in network.state_dict().items()}
        with data.writing(path) as part:
            part.write_bytes(save(tensors))
    network = build(seed)
    network.load_state_dict(load_file(path))
    return network.to(networks.device()).eval()


def _zero_networks(parts: Path, seed: int) -> list[dict]:
    x, network, (source, _) = _target_signals(), _trained(parts, "source", seed), _both()
    learned = believed(source.y, power=networks1d.POWER)

    def adapted(move: Callable[[nn.Module, np.ndarray], nn.Module], shares: bool = False):
        def ask(seen: np.ndarray, asked: np.ndarray) -> np.ndarray:
            moved = move(network, x[seen])
            p = networks1d.probabilities(moved, x[asked])
            return at_estimated_shares(p, networks1d.probabilities(moved, x[seen]), learned) if shares else p

        return ask

    ways = {
        "own norms": adapted(with_own_norms),
        "Tent": adapted(tent),
        "class shares": adapted(lambda network, seen: network, True),
    }
    p = networks1d.probabilities(network, x)
    rows = [_row("network", "none", 0, "none", seed, p.argmax(1))]
    for method, way in ways.items():
        for seen in SEEN:
            rows.append(_row("network", method, 0, seen, seed, by_seen(way, seen, len(x)).argmax(1)))
    p = networks1d.probabilities(_trained(parts, "adversarial", seed), x)
    return [*rows, _row("network", "adversarial", 0, "all", seed, p.argmax(1))]


#: Method -> from which network tuning starts, and what may change.
TUNED = {
    "none": ("source", "all"),
    "head alone": ("source", "head"),
    "own norms": ("own norms", "norms and head"),
    "Tent": ("Tent", "head"),
    "adversarial": ("adversarial", "all"),
}


def _start(parts: Path, start: str, seed: int) -> nn.Module:
    if start == "adversarial":
        return _trained(parts, start, seed)
    network = _trained(parts, "source", seed)
    moves = {"source": lambda n, x: n, "own norms": with_own_norms, "Tent": tent}
    return moves[start](network, _target_signals())


def _few_networks(parts: Path, method: str) -> list[dict]:
    x, (_, target), (start, part), rows = _target_signals(), _both(), TUNED[method], []
    networks_of = [_start(parts, start, seed) for seed in range(SEEDS)]
    for shots, draw in _draws(NETWORK_DRAWS):
        drawn = draw_few(target.y, shots, draw)
        tuned = fine_tune(networks_of[draw % SEEDS], x[drawn], target.y[drawn], part, seed=draw)
        called = networks1d.probabilities(tuned, x[target.y >= 0]).argmax(1)
        whole = np.zeros(len(x), int)
        whole[target.y >= 0] = called
        seen = "none" if start == "source" else "all"
        rows.append(_row("network", method, shots, seen, draw, whole, drawn))
    return rows


# %% [markdown]
# ## Storing
# Two runs: the table models with the references, and the networks. Each part of a run is kept when it is finished, so
# that a run that was interrupted goes on.


# %%
def _jobs(run: str, parts: Path) -> dict[str, Callable[[], object]]:
    """Parts of a run by name, each whole or not there."""
    if run == "external-adapt-networks":
        zero = {f"zero-shot, {k}": (lambda seed=k: _zero_networks(parts, seed)) for k in range(SEEDS)}
        return zero | {method: (lambda method=method: _few_networks(parts, method)) for method in TUNED}  # type: ignore[return-value]
    return {"logistic": _logistic, "references": _references, "extra trees": _trees}


#: Name of a run -> its models.
RUNS = {
    "external-adapt": ["logistic", "extra trees"],
    "external-adapt-networks": ["network"],
}
_MODULES = (ludb, measure, models, train, networks1d, elsewhere)
_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "torch")


def code() -> dict[str, str]:
    """Digests of the code behind the runs, blind to comments and docstrings."""
    sources = {module.__name__.split(".")[-1]: inspect.getsource(module) for module in _MODULES}
    sources["trust.move_prevalence"] = inspect.getsource(trust.move_prevalence)
    sources["adapt"] = inspect.getsource(sys.modules[__name__]).partition("# ## Storing\n")[0]
    return {name: publish.code_digest(source) for name, source in sources.items()}


def _settings() -> dict:
    return {
        "shots": list(SHOTS),
        "draws": {"tables": DRAWS, "networks": NETWORK_DRAWS},
        "most": "half of a class",
        "seeds": SEEDS,
        "weight": WEIGHT,
        "trees": TREES,
        "tuning": {"steps": STEPS, "rate": RATE},
        "tent": {"steps": TENT_STEPS, "rate": TENT_RATE},
        "training": networks1d.RECIPE._asdict(),
        "adversarial": ADVERSARIAL._asdict(),
    }


_ABOUT = {
    "task": "adapt",
    "purpose": "exploratory, beside the pre-registered analysis: models here see LUDB, unlabelled or a few labels",
    "input": "tables: measurements and summaries; network: signals, 100 Hz, mV",
    "protocol": "source: 491 ECGs of EICP; target: LUDB 1.0.1, 200 records without labels, 81 with a class",
    "weights": "none",
    "deviations": [],
    "seed": "tables: 0; networks and trees: number of the draw modulo seeds",
    "columns": {
        "family": "kind of model",
        "method": "how it was adapted",
        "shots": "labelled target records of a class; 4/5: cross-validated in five folds",
        "seen": "unlabelled target records: none; all, also the tested ones; others, the half that is not tested",
        "draw": "number of the draw; zero-shot: seed; 4/5: dealing",
        "calls": f"one letter for each of the records, {LETTERS} for {', '.join(CLASSES)}; a dot: label was given",
    },
    "command": "python -m ecgbook.adapt",
}


def _note(run: str, done: dict[str, dict], text: str, started: str) -> dict:
    carried = ("manifest.csv", "signals.npz", "measurements.csv")
    carried += ("ludb_classes.csv", "ludb_measurements.csv")
    _, target = _both()
    return {
        "run": run,
        "model": RUNS[run],
        **_ABOUT,
        "preregistration_sha256": elsewhere.registered(),
        "settings": _settings(),
        "records": target.X.index[target.y >= 0].tolist(),
        "code": code(),
        "data": {name: data.digest(data.tables() / name)[1][:16] for name in carried}
        | {"LUDB": hashlib.sha256(_target_signals().tobytes()).hexdigest()[:16]},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": f"{networks.device()}, {platform.machine()}",
        "started": started,
        "wall_s": round(sum(part["wall_s"] for part in done.values()), 1),
        "cpu_s": {name: round(part["cpu_s"], 1) for name, part in done.items()},
        "peak_rss_mb": round(max(part["peak_mb"] for part in done.values())),
        "sha256": {"outputs.csv": hashlib.sha256(text.encode()).hexdigest()},
    }


def _did(job: Callable[[], object]) -> dict:
    wall, cpu = time.monotonic(), time.process_time()
    with study._one_thread():
        found = job()
    spent = {"wall_s": time.monotonic() - wall, "cpu_s": time.process_time() - cpu}
    return {"found": found, **spent, "peak_mb": study._peak_mb()}


def store(
    run: str, results: Path = study.RESULTS, progress: Callable[[str], None] = lambda said: None
) -> Path:
    """Make a run, or what is missing of it.

    Parameters
    ----------
    run : str
        One of :data:`RUNS`.
    results : pathlib.Path
        Folder of the results.
    progress : function
        Is told after each part.

    Returns
    -------
    pathlib.Path
        The run's folder: ``run.json`` and ``outputs.csv``.

    Raises
    ------
    EcgbookError
        No such run, LUDB is not there, or a folder cannot be written.
    """
    facts, folder = code(), Path(results) / models._known(run, RUNS, "run")
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
    parts, done = publish.ROOT / ".cache" / f"{run}-{digest}", {}
    data.make_folder(parts)
    if not (parts / "started").is_file():
        write_whole(parts / "started", datetime.now(UTC).isoformat(timespec="seconds"))
    for name, job in _jobs(run, parts).items():
        path = parts / f"{name}.json"
        if not path.is_file():
            write_whole(path, json.dumps(_did(job)))
        done[name] = json.loads(path.read_text(encoding="utf-8"))
        progress(f"{run}: {name}, {done[name]['wall_s']:.0f} s")
    rows = [row for part in done.values() for row in part["found"]]
    text = pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, lineterminator="\n")
    data.make_folder(folder)
    write_whole(folder / "outputs.csv", text)
    note = _note(run, done, text, (parts / "started").read_text(encoding="utf-8"))
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
    shutil.rmtree(parts)
    return folder


# %% [markdown]
# ## Reading the run
# Letters become classes, dots stay away. The score of a method at some number of shots is the mean over draws of the
# macro-F1 on the records that the draw left. Its interval must know two things that could have been otherwise: *which
# records* the hospital had, and *which of them were labelled*. So each of 2,000 replicates draws the 81 records with
# replacement, once for all methods, and then the draws with replacement; a replicate's score is the mean over the
# drawn draws with the drawn records as weights. Models are not fitted again for a replicate, so what a wholly other
# handful of records would have taught is only seen through the draws there are.
#
# The difference to no adaptation is paired: the same family without adaptation, asked about the same records of the
# same draw, in the same replicate. *Draws* are the lowest and highest tenth of single draws: what one hospital, that
# draws once, may meet.

# %%
REPLICATES = 2000


def note(run: str, results: Path = study.RESULTS) -> dict:
    """Load how a run came about, the content of ``run.json``.

    Parameters
    ----------
    run : str
        One of :data:`RUNS`.
    results : pathlib.Path

    Returns
    -------
    dict

    Raises
    ------
    EcgbookError
        The run is not there.

    Examples
    --------
    >>> len(note("external-adapt")["records"])
    81
    """
    path = Path(results) / run / "run.json"
    if not path.is_file():
        raise EcgbookError(f"{path}: is not there; make it with `python -m ecgbook.adapt`, which needs LUDB")
    return json.loads(path.read_text(encoding="utf-8"))


def load(results: Path = study.RESULTS) -> pd.DataFrame:
    """Load the stored answers of all runs, if they are whole.

    Returns
    -------
    pandas.DataFrame
        Columns ``family``, ``method``, ``shots`` (text), ``seen``, ``draw``, ``calls``.

    Raises
    ------
    EcgbookError
        A run is not there, or its file is not the one that was stored.

    Examples
    --------
    >>> sorted(load()["shots"].unique())
    ['0', '1', '10', '4/5', '5']
    """
    frames = []
    for run in RUNS:
        wanted = note(run, results)["sha256"]["outputs.csv"]
        text = (Path(results) / run / "outputs.csv").read_text(encoding="utf-8")
        if hashlib.sha256(text.encode()).hexdigest() != wanted:
            raise EcgbookError(f"{run}: outputs.csv was changed after it was stored; make the run again")
        frames.append(pd.read_csv(io.StringIO(text), dtype={"shots": str}, keep_default_na=False))
    return pd.concat(frames, ignore_index=True)


def truth() -> np.ndarray:
    """Classes, 0 to 3, of the records in the order of the stored letters.

    Examples
    --------
    >>> np.bincount(truth()).tolist()
    [8, 15, 34, 24]
    """
    _, target = _both()
    return target.y[target.y >= 0]


def called(calls: Sequence[str]) -> np.ndarray:
    """Turn letters into classes; -1 where the label was given.

    Examples
    --------
    >>> called(["mh.n"]).tolist()
    [[0, 1, -1, 3]]
    """
    return np.array([[LETTERS.find(letter) for letter in row] for row in calls])


def replicated(calls: np.ndarray, y: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Score each draw for each replicate of the records.

    Parameters
    ----------
    calls : (d, n) int array
        As from :func:`called`.
    y : (n,) int array
    drawn : (r, n) int array
        How often each record was drawn, as from :func:`ecgbook.evaluate.draw`; a row of ones gives the plain score.

    Returns
    -------
    (d, r) array
        Macro-F1 on the records whose labels were not given.
    """
    return np.array([macro_f1(y, row, drawn * (row >= 0)) for row in calls])


def _resampled(single: np.ndarray, again: np.ndarray, seed: int) -> tuple[float, float, float]:
    """Mean over draws (d,), and limits from replicates (d, r), the draws drawn anew for each replicate."""
    draws = evaluate.draw(*again.shape, seed + 1).T / len(again)  # type: ignore[call-arg]
    return float(single.mean()), *map(float, np.quantile((again * draws).sum(axis=0), (0.025, 0.975)))  # type: ignore[return-value]


def interval(calls: np.ndarray, replicates: int = REPLICATES, seed: int = 0) -> tuple[float, float, float]:
    """Macro-F1 of some draws with its interval over records and draws.

    Parameters
    ----------
    calls : (d, 81) int array
        As from :func:`called`.
    replicates, seed : int
        Of the bootstrap.

    Returns
    -------
    tuple of three floats
        Estimate, lower and upper limit.
    """
    y = truth()
    again = replicated(calls, y, evaluate.draw(len(y), replicates, seed))
    return _resampled(replicated(calls, y, np.ones((1, len(y))))[:, 0], again, seed)


def difference(
    ours: np.ndarray, theirs: np.ndarray, replicates: int = REPLICATES, seed: int = 0
) -> tuple[float, float, float]:
    """Macro-F1 of ours minus theirs, paired draw by draw, on the records of which neither knew the label.

    Parameters
    ----------
    ours, theirs : (d, 81) int arrays
        As from :func:`called`, the same draws in the same order.
    replicates, seed : int
        As for :func:`interval`.

    Returns
    -------
    tuple of three floats
        Estimate, lower and upper limit.
    """
    y, known = truth(), (ours < 0) | (theirs < 0)
    pair = [np.where(known, -1, calls) for calls in (ours, theirs)]
    records, plain = evaluate.draw(len(y), replicates, seed), np.ones((1, len(y)))
    single, again = (np.subtract(*(replicated(c, y, drawn) for c in pair)) for drawn in (plain, records))
    return _resampled(single[:, 0], again, seed)


def _rival(rows: pd.DataFrame, outputs: pd.DataFrame) -> np.ndarray:
    """What the same family calls without adaptation, draw by draw; the logistic regression for references."""
    family = rows["family"].iloc[0].replace("reference", "logistic")
    none = outputs[(outputs["family"] == family) & (outputs["method"] == "none") & (outputs["shots"] == "0")]
    found = called(none.sort_values("draw")["calls"])
    return found[rows["draw"].to_numpy() % len(found)]


def scores(outputs: pd.DataFrame | None = None, replicates: int = REPLICATES, seed: int = 0) -> pd.DataFrame:
    """Score every method at every number of shots.

    Parameters
    ----------
    outputs : pandas.DataFrame, optional
        As from :func:`load`, which is the default.
    replicates, seed : int
        Of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        One row for each ``family``, ``method``, ``shots`` and ``seen``: ``draws`` (how many), ``macro_f1``, ``low``,
        ``high``; ``difference`` to no adaptation with ``difference_low``, ``difference_high``; ``draw_low``,
        ``draw_high``, the tenth and ninetieth of a hundred draws.
    """
    outputs, lines = load() if outputs is None else outputs, []
    for key, rows in outputs.groupby(["family", "method", "shots", "seen"], sort=False):
        ours = called(rows["calls"])
        single = replicated(ours, truth(), np.ones((1, ours.shape[1])))[:, 0]
        found = (
            *interval(ours, replicates, seed),
            *difference(ours, _rival(rows, outputs), replicates, seed),
        )
        lines.append((*key, len(rows), *found, *np.quantile(single, (0.1, 0.9))))
    columns = ["family", "method", "shots", "seen", "draws", "macro_f1", "low", "high"]
    columns += ["difference", "difference_low", "difference_high", "draw_low", "draw_high"]
    return pd.DataFrame(lines, columns=columns)


def main(arguments: Sequence[str]) -> int:
    """Make the named runs, or all that are missing."""
    missing = [run for run in RUNS if not (study.RESULTS / run / "run.json").is_file()]
    try:
        for run in arguments or missing:
            print(store(run, progress=lambda said: print(said, file=sys.stderr, flush=True)))
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


# %%
if __name__ == "__main__":
    from ecgbook import adapt as module  # under its package name, as everywhere else

    sys.exit(module.main(sys.argv[1:]))
