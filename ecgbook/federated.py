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
# # Federated: many hospitals, one model, no records sent
# In federated learning the records stay where they are. A server sends the weights of a model to every *site*; each
# site improves them on its own records for a short while and sends weights back; the server averages. After some
# rounds there is a model that nobody could have trained alone. This module does it with Flower, over the three scan
# batches of EICP {cite}`khan2021` and LUDB {cite}`kalyakulina2020` as four sites, and beside it trains the same
# network on all records in one place, and on each site alone.
#
# Flower and Opacus are optional: `pip install "ecgbook[federated]"`. Flower wants other versions of some packages
# than the rest of the book, so give it a virtual environment of its own. Only making the runs needs it; reading them
# does not.

# %%
"""Federated learning over four sites: FedAvg and FedProx by Flower, a site that dies, one that lies, and privacy."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ecgbook import data, elsewhere, evaluate, measure, models, publish, splits, study, synth
from ecgbook.data import CLASSES, EcgbookError, write_whole, writing

if TYPE_CHECKING:
    from torch import nn

# %% [markdown]
# ## Four sites
# EICP was scanned in three batches, and no group crosses from one to another. LUDB comes from another hospital,
# another device and other readers; 81 of its records have one of the four classes, by the pre-registered table
# ([](elsewhere.py)). The batches are not hospitals: one hospital, one kind of machine, one source of labels. What
# differs between them is mostly how many ECGs they hold.
#
# A model sees measurements and their summaries, 403 numbers an ECG, and none of what is printed. Both are carried, so
# everything here can be run without either data set. With under 400 ECGs to learn from, such a model is also the
# better one: in this book no network that reads signals comes near those that read measurements.

# %%
SITES = ("2019", "2020a", "2020b", "LUDB")


@lru_cache(maxsize=1)
def _table() -> tuple[pd.DataFrame, pd.DataFrame]:
    pages, labels = data.pages(), elsewhere.classes(elsewhere.assigned())
    ours = pd.DataFrame({"file": pages["file"], "label": pages["label"], "site": pages["batch"]})
    ours["unit"] = "group " + pages["group"].astype(str)
    names = [f"LUDB {number}" for number in labels.index]
    theirs = pd.DataFrame({"file": names, "label": labels.to_numpy(), "site": "LUDB", "unit": names})
    measured = pd.concat([measure.measurements().set_index("file"), _of_ludb(labels.index)])
    features = pd.concat([measured, models.summaries(measured)], axis=1)
    table = pd.concat([ours, theirs], ignore_index=True)
    return table, features.loc[table["file"]]


def _of_ludb(numbers: Iterable[int]) -> pd.DataFrame:
    found = elsewhere.measurements().loc[list(numbers)]
    return found.set_axis([f"LUDB {number}" for number in found.index], axis=0)


def records() -> pd.DataFrame:
    """List the ECGs of all sites.

    Returns
    -------
    pandas.DataFrame
        ``file`` (name of a page, or "LUDB 7"), ``label``, ``site`` (of :data:`SITES`), ``unit`` (what an interval
        resamples: the group of a page, the record of LUDB). 491 and 81 rows.

    Examples
    --------
    >>> records()["site"].value_counts()[list(SITES)].tolist()
    [52, 103, 336, 81]
    """
    return _table()[0].copy()


def features() -> pd.DataFrame:
    """Collect what a model sees: the columns of ``models.features("measurements")``, rows as in :func:`records`.

    Examples
    --------
    >>> list(features()) == list(models.features("measurements"))
    True
    """
    return _table()[1].copy()


def units() -> pd.Series:
    """Look up what the bootstrap draws, by file; see :func:`ecgbook.evaluate.table`."""
    return _table()[0].set_index("file")["unit"].copy()


def deal(repeat: int = 0) -> list[splits.Split]:
    """Deal the folds: the pages as ``grouped`` does, LUDB's records by class.

    Parameters
    ----------
    repeat : int
        Seed of the dealing.

    Returns
    -------
    list of Split
        Five; rows of :func:`records`. Every record is in one test part.

    Examples
    --------
    >>> sorted(row for split in deal() for row in split.test.tolist()) == list(range(572))
    True
    """
    return list(_dealt(repeat))


@lru_cache(maxsize=8)
def _dealt(repeat: int) -> tuple[splits.Split, ...]:
    table = _table()[0]
    here, there = table[table["site"] != "LUDB"], table[table["site"] == "LUDB"].reset_index(drop=True)
    there = there.assign(sha256=there["file"])  # no two records of LUDB are copies of one another
    both = zip(
        splits.folds("grouped", data.pages(), repeat), splits.folds("unique", there, repeat), strict=True
    )
    return tuple(
        splits.Split(*(np.r_[a, b + len(here)] for a, b in zip(*pair, strict=True))) for pair in both
    )


# %% [markdown]
# ## Who holds what
# The plan of a run says which holders there are. "sites" are the four. "one place" is a federation of one, which
# holds everything: central training, by the same code. The name of a site is a federation of that site: local
# training. "sorted" is the worst case that a textbook could ask for: the same training records, sorted by class and
# cut into four equal piles.


# %%
def holders(dealt: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Give rows to holders.

    Parameters
    ----------
    dealt : str
        "sites", "one place", "sorted", or one of :data:`SITES`.
    rows : (n,) int array
        Of :func:`records`.

    Returns
    -------
    dict of str to int array
        Name of a holder -> its rows.

    Examples
    --------
    >>> {name: len(rows) for name, rows in holders("sites", np.arange(572)).items()}
    {'2019': 52, '2020a': 103, '2020b': 336, 'LUDB': 81}
    """
    table = _table()[0].iloc[rows]
    if dealt == "one place":
        return {"all": rows}
    if dealt == "sorted":
        order = np.argsort(table["label"].map(CLASSES.index).to_numpy(), kind="stable")
        return {
            f"pile {k}": np.sort(pile) for k, pile in enumerate(np.array_split(rows[order], len(SITES)), 1)
        }
    return {site: rows[table["site"] == site] for site in SITES if dealt in ("sites", site)}


# %% [markdown]
# ## The model, and what of it is shared
# One hidden layer of 64, rectified, with dropout. Between the two layers stands *layer* normalisation, which scales
# each ECG by itself. Batch normalisation would not do: it keeps running means and spreads of the site's records,
# which are no weights, and averages of spreads are not the spread of the whole; sites that differ then share a model
# that fits none of them.
#
# Inputs must be put on one scale too. Before the first round each site sends, for every measurement, how many it has,
# their sum and their sum of squares, and how many records of each class; the server adds up. That is exactly
# the scale that central training would use, and no record has left a site, but these sums are information about
# its people. So is every weight. Values are bent softly, {math}`3 \tanh(z/3)`, and gaps become 0, the mean.


# %%
class Scale(NamedTuple):
    """Mean and spread of each input, (403,) each."""

    mean: np.ndarray
    spread: np.ndarray


def sums(x: np.ndarray) -> np.ndarray:
    """Count, sum and sum of squares of each column; (3, columns). What a site tells of its inputs.

    Examples
    --------
    >>> sums(np.array([[1.0], [3.0], [np.nan]])).ravel()
    array([ 2.,  4., 10.])
    """
    return np.array([np.isfinite(x).sum(axis=0), np.nansum(x, axis=0), np.nansum(x**2, axis=0)])


def scale(total: np.ndarray) -> Scale:
    """Mean and spread from added :func:`sums`.

    Examples
    --------
    >>> scale(sums(np.array([[1.0], [2.0]])) + sums(np.array([[3.0]]))).mean
    array([2.])
    """
    count = np.maximum(total[0], 1)
    mean = total[1] / count
    spread = np.sqrt(np.maximum(total[2] / count - mean**2, 0))
    return Scale(mean, np.where(spread > 1e-9, spread, 1.0))


def scaled(x: np.ndarray, by: Scale) -> np.ndarray:
    """Scale inputs and bend them; gaps become 0.

    Examples
    --------
    >>> scaled(np.array([[1.0, np.nan, 1e9]]), Scale(np.zeros(3), np.ones(3))).round(2)
    array([[0.96, 0.  , 3.  ]], dtype=float32)
    """
    z = np.nan_to_num((x - by.mean) / by.spread)
    return (3 * np.tanh(z / 3)).astype(np.float32)


WIDTH = 64


def build(kind: str = "perceptron", seed: int = 0) -> nn.Module:
    """Build the model that is federated.

    Parameters
    ----------
    kind : str
        "perceptron", or "logistic": one layer, which starts at 0.
    seed : int

    Returns
    -------
    torch.nn.Module
        Takes float32 (n, 403), returns (n, 4).

    Examples
    --------
    >>> sum(p.numel() for p in build().parameters()), sum(p.numel() for p in build("logistic").parameters())
    (26244, 1616)
    """
    import torch
    from torch import nn

    inputs = _table()[1].shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if kind == "perceptron":
            layers = [nn.Linear(inputs, WIDTH), nn.LayerNorm(WIDTH), nn.ReLU(), nn.Dropout(0.3)]
            return nn.Sequential(*layers, nn.Linear(WIDTH, len(CLASSES)))
        only = nn.Linear(inputs, len(CLASSES))
        nn.init.zeros_(only.weight)
        nn.init.zeros_(only.bias)
        return nn.Sequential(only)


def weights(network: nn.Module) -> list[np.ndarray]:
    """Copy the weights out of a network."""
    return [value.detach().numpy().copy() for value in network.parameters()]


def load(network: nn.Module, arrays: Sequence[np.ndarray]) -> nn.Module:
    """Put weights into a network, and return it."""
    import torch

    with torch.no_grad():
        for value, array in zip(network.parameters(), arrays, strict=True):
            value.copy_(torch.from_numpy(np.asarray(array, np.float32)))
    return network


def probabilities(network: nn.Module, x: np.ndarray) -> np.ndarray:
    """Ask a network; (n, 4)."""
    import torch

    network.eval()
    with torch.inference_mode():
        return torch.softmax(network(torch.from_numpy(x)).double(), 1).numpy()


# %% [markdown]
# ## What a plan fixes
# Every record is seen thirty times, whoever holds it and however often weights are sent: thirty rounds of one epoch,
# or six of five. Stochastic gradient descent with momentum starts afresh in each round, its rate falling along half a
# cosine over the rounds, in batches of 16. In the loss a class counts by its share to the power of -0.3, as
# everywhere in the book. *FedProx* adds half of {math}`\mu` times the squared distance from the weights that the
# round began with, so that no site runs away.
#
# Width, dropout, rate, decay and the thirty epochs were chosen by central training, on validation parts of the
# first repeat; {math}`\mu` = 0.1 was fixed in advance; the rounds and the rate of the private plan by its loss on
# validation parts. No test part was looked at before all of this stood.
#
# Which round's weights are kept, the sites decide together: with its weights each sends the loss, on its own
# validation part, of those that it was sent. The private plan keeps its last, for looking would have to be paid for.

# %%
RATE, MOMENTUM, DECAY, BATCH, POWER = 0.03, 0.9, 0.01, 16, 0.3


class Plan(NamedTuple):
    """How a model comes about."""

    dealt: str = "sites"
    rounds: int = 30
    epochs: int = 1  # that a site trains in a round
    mu: float = 0.0  # of FedProx
    dies: str = ""  # the site that is gone from round `death` on
    death: int = 4
    lies: str = ""  # the site that sends noise in place of weights
    guarded: bool = False  # are replies refused that lie far from all others?
    epsilon: float = 0.0  # of differential privacy; 0 is none, infinity clips without noise


def class_weights(counts: np.ndarray) -> np.ndarray:
    """Weight of each class in the loss, mean over the records 1.

    Examples
    --------
    >>> class_weights(np.array([1, 1, 1, 1]))
    array([1., 1., 1., 1.])
    """
    share = np.maximum(counts, 1) / counts.sum()
    weight = share**-POWER
    return weight * counts.sum() / (weight * counts).sum()


def rate(plan: Plan, turn: int) -> float:
    """Learning rate of a round; rounds count from 1.

    Examples
    --------
    >>> [round(float(rate(Plan(), turn)), 3) for turn in (1, 16)]
    [0.03, 0.015]
    """
    return RATE * (1 + np.cos(np.pi * (turn - 1) / plan.rounds)) / 2


def train_here(
    network: nn.Module, x: np.ndarray, y: np.ndarray, weight: np.ndarray, plan: Plan, turn: int, seed: int
) -> None:
    """Train a network on the records of one site for one round.

    Parameters
    ----------
    network : torch.nn.Module
        With the weights of the server; it is changed.
    x : (n, 403) float32 array
        Scaled.
    y : (n,) int array
    weight : (4,) array
        Of the classes, from all sites.
    plan : Plan
    turn : int
        The round, from 1.
    seed : int
        Of the order of records and of dropout.
    """
    import torch

    start = [value.detach().clone() for value in network.parameters()]
    optimiser = torch.optim.SGD(network.parameters(), rate(plan, turn), MOMENTUM, weight_decay=DECAY)
    given, said = torch.from_numpy(x), torch.from_numpy(np.asarray(y, np.int64))
    loss_of = torch.nn.CrossEntropyLoss(torch.tensor(weight, dtype=torch.float32))
    network.train()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for _ in range(plan.epochs):
            for rows in torch.randperm(len(x)).split(BATCH):
                loss = loss_of(network(given[rows]), said[rows])
                pairs = zip(network.parameters(), start, strict=True)
                loss = loss + plan.mu / 2 * sum(((a - b) ** 2).sum() for a, b in pairs) if plan.mu else loss
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()


# %% [markdown]
# ## Privacy with a number
# Weights remember. *Differential privacy* bounds how much: with any one record of a site left out, everything the
# site ever sends would be nearly as likely. The bound is {math}`\varepsilon`, and {math}`\delta` is the chance that
# it does not hold. The means are two: clip what each record adds to the gradient to length 1, and add Gaussian noise
# to the sum. Opacus does both, and its accountant adds up what twenty rounds cost.
#
# With a few dozen records at a site, the plan must be thrifty: a logistic model (noise hits every weight, and it has
# sixteen times fewer), one step a round on *all* records of a site, so that the noise counts for as little as it can,
# the last weights, no looking at validation parts. Scales may not come from records either: they come from 300
# synthetic ECGs, which belong to nobody. The number of records and of classes at a site is taken to be public.

# %%
DELTA, CLIP, STEP = 1e-3, 1.0, 1.0


@lru_cache(maxsize=1)
def public_scale() -> Scale:
    """Scale of 300 synthetic ECGs, equally many of each class; half a minute or less."""
    made = ((str(n), synth.record(CLASSES[n % len(CLASSES)], n)) for n in range(300))
    measured = measure.table(made)[0].set_index("file")
    table = pd.concat([measured, models.summaries(measured)], axis=1)
    return scale(sums(table[list(_table()[1])].to_numpy(float)))


@lru_cache(maxsize=4)
def noise(epsilon: float, rounds: int) -> float:
    """Standard deviation of the noise, in units of the clipping length; by Opacus.

    Parameters
    ----------
    epsilon : float
        Infinity: no noise.
    rounds : int
        Steps on all records of a site.

    Returns
    -------
    float
    """
    if np.isinf(epsilon):
        return 0.0
    _optional("opacus")
    from opacus.accountants.utils import get_noise_multiplier

    return float(
        get_noise_multiplier(
            target_epsilon=epsilon, target_delta=DELTA, sample_rate=1.0, steps=rounds, accountant="rdp"
        )
    )


def train_privately(
    network: nn.Module, x: np.ndarray, y: np.ndarray, weight: np.ndarray, plan: Plan, seed: int
) -> None:
    """Take one private step on all records of a site; parameters as for :func:`train_here`."""
    _optional("opacus")
    import torch
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    multiplier = noise(plan.epsilon, plan.rounds)
    watched = GradSampleModule(network.train())
    optimiser = DPOptimizer(
        torch.optim.SGD(watched.parameters(), STEP),
        noise_multiplier=multiplier,
        max_grad_norm=CLIP,
        expected_batch_size=len(x),
        generator=torch.Generator().manual_seed(seed),
    )
    loss_of = torch.nn.CrossEntropyLoss(torch.tensor(weight, dtype=torch.float32), reduction="none")
    given = torch.from_numpy(x).requires_grad_()  # or torch warns that the hooks of Opacus fire early
    each = loss_of(watched(given), torch.from_numpy(np.asarray(y, np.int64)))
    each.mean().backward()
    optimiser.step()
    watched.to_standard_module()


# %% [markdown]
# ## A site, in Flower's words
# Flower's *ClientApp* answers messages. A site answers two: a query for its sums and counts, and an order to train.
# The same app runs in one process with all others, and as a process of its own behind a network port.


# %%
def _optional(name: str) -> None:
    """Import an optional package, or say what to do."""
    import warnings

    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of packages that it imports in turn
            importlib.import_module(name)
    except ImportError as error:
        raise EcgbookError(
            f'{name}: is not there; install it with pip install "ecgbook[federated]"'
        ) from error


@lru_cache(maxsize=64)
def _held(name: str, dealt: str, repeat: int, fold: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Inputs and labels of a holder, by part; never those of the test part."""
    (table, inputs), split = _table(), deal(repeat)[fold]
    x, y = inputs.to_numpy(float), table["label"].map(CLASSES.index).to_numpy()
    found = {part: holders(dealt, getattr(split, part))[name] for part in ("train", "val")}
    return {part: (x[rows], y[rows]) for part, rows in found.items()}


class Job(NamedTuple):
    """What a site is told with each message, beside the weights."""

    plan: Plan
    repeat: int
    fold: int


def _config(job: Job) -> dict:
    return {**job.plan._asdict(), "repeat": job.repeat, "fold": job.fold}


def _job(config) -> Job:
    return Job(Plan(**{key: config[key] for key in Plan._fields}), config["repeat"], config["fold"])


def _seed(job: Job, name: str, turn: int) -> int:
    """One for each site and round."""
    text = f"{job.repeat} {job.fold} {name} {turn}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _kind(plan: Plan) -> str:
    return "logistic" if plan.epsilon else "perceptron"


def work(name: str, job: Job, arrays: list[np.ndarray], by: Scale, counts: np.ndarray, turn: int):
    """Do what a site does in a round.

    Parameters
    ----------
    name : str
        Of the holder.
    job : Job
    arrays : list of array
        Weights of the server.
    by : Scale
    counts : (4,) array
        Records of each class, over all sites.
    turn : int
        The round, from 1.

    Returns
    -------
    arrays : list of array
        Weights to send back.
    told : dict
        ``num-examples``, and ``val-loss`` (a sum) of the weights that came over ``val-examples``.
    """
    held, plan = _held(name, job.plan.dealt, job.repeat, job.fold), job.plan
    network, (x, y), (vx, vy) = load(build(_kind(plan)), arrays), held["train"], held["val"]
    told = {"num-examples": len(x), "val-loss": 0.0, "val-examples": 0}
    seed, weight = _seed(job, name, turn), class_weights(counts)
    if plan.lies == name:
        rng = np.random.default_rng(seed)
        return [rng.standard_normal(array.shape).astype(np.float32) for array in arrays], told
    if plan.epsilon:
        train_privately(network, scaled(x, by), y, weight, plan, seed)
        return weights(network), told
    if len(vx):
        right = probabilities(network, scaled(vx, by))[np.arange(len(vy)), vy]
        told |= {"val-loss": float(-np.log(np.maximum(right, 1e-12)).sum()), "val-examples": len(vy)}
    train_here(network, scaled(x, by), y, weight, plan, turn, seed)
    return weights(network), told


def client_app():
    """Build Flower's ClientApp of a site; the site's name stands in the configuration of its node, as ``site``."""
    _optional("flwr")
    from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp

    app = ClientApp()

    @app.query()
    def census(message: Message, context) -> Message:
        name, job = context.node_config["site"], _job(message.content["config"])
        x, y = _held(name, job.plan.dealt, job.repeat, job.fold)["train"]
        found = {"counts": np.bincount(y, minlength=len(CLASSES)).tolist()}
        if not job.plan.epsilon:
            found["sums"] = sums(x).ravel().tolist()
        content = {"metrics": MetricRecord(found), "who": ConfigRecord({"site": name})}
        return Message(RecordDict(content), reply_to=message)

    @app.train()
    def train(message: Message, context) -> Message:
        config, name = message.content["config"], context.node_config["site"]
        job, turn = _job(config), config["server-round"]
        if job.plan.dies == name and turn >= job.plan.death:
            _wait_for_the_end(context)
        by = Scale(*np.array(config["scale"]).reshape(2, -1))
        arrays = message.content["arrays"].to_numpy_ndarrays()
        arrays, told = work(name, job, arrays, by, np.array(config["counts"]), turn)
        content = {"arrays": ArrayRecord(arrays), "metrics": MetricRecord(told)}
        return Message(RecordDict(content | {"who": ConfigRecord({"site": name})}), reply_to=message)

    return app


def _wait_for_the_end(context) -> None:
    """Say that the moment has come, and hang until the process is killed from outside."""
    mark = Path(context.node_config["mark"])
    mark.touch()
    while True:
        time.sleep(60)


# %% [markdown]
# ## The server
# The strategy is Flower's own FedAvg or FedProx, which weighs each site by its records. Three things are added.
# Replies are sorted by site, for sums of floating-point numbers depend on their order. The weights with the lowest
# validation loss are kept. And if the plan says so, a reply is refused when its weights are no numbers, or lie more
# than five times as far from those that were sent as the median reply.
#
# A trap for whoever runs this in earnest: by default Flower waits in every round until a fixed number of sites is
# online. If one dies, it waits for ever. Here one is enough.

# %%
FAR = 5.0


def _far(arrays: Sequence[np.ndarray], start: Sequence[np.ndarray]) -> float:
    return float(np.sqrt(sum(((a - b) ** 2).sum(dtype=float) for a, b in zip(arrays, start, strict=True))))


def refused(distances: Sequence[float]) -> np.ndarray:
    """Say which replies are refused, by their distance from the weights that were sent.

    Examples
    --------
    >>> refused([1.0, 2.0, 1.5, 160.0, np.nan]).tolist()
    [False, False, False, True, True]
    """
    distances = np.asarray(distances, float)
    known = distances[np.isfinite(distances)]
    return ~(distances <= FAR * np.median(known)) if len(known) else np.ones(len(distances), bool)


def strategy(plan: Plan):
    """Build the strategy of a plan: Flower's, with the three additions."""
    _optional("flwr")
    from flwr.serverapp.strategy import FedAvg, FedProx

    class Kept:
        """Sorts replies, refuses some, remembers the best weights; goes before a strategy of Flower's."""

        def configure_train(self, server_round, arrays, config, grid):
            self.sent = arrays
            return super().configure_train(server_round, arrays, config, grid)

        def aggregate_train(self, server_round, replies):
            good = [reply for reply in replies if not reply.has_error()]
            good.sort(key=lambda reply: reply.content["who"]["site"])
            self.heard.append([reply.content["who"]["site"] for reply in good])
            loss = _joint_loss([reply.content["metrics"] for reply in good])
            if loss < self.best[0]:
                self.best = (loss, self.sent.to_numpy_ndarrays())
            self.losses.append(loss)
            if plan.guarded:
                start = self.sent.to_numpy_ndarrays()
                far = [_far(reply.content["arrays"].to_numpy_ndarrays(), start) for reply in good]
                good = [reply for reply, no in zip(good, refused(far), strict=True) if not no]
                self.refusals += len(far) - len(good)
            return super().aggregate_train(server_round, good)

    base, more = (FedProx, {"proximal_mu": plan.mu}) if plan.mu else (FedAvg, {})
    made = type("Strategy", (Kept, base), {})(
        fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1, **more
    )
    made.best, made.losses, made.heard, made.refusals = (np.inf, None), [], [], 0
    return made


def _joint_loss(told) -> float:
    """Mean loss over the validation parts of those who answered; infinite if none told."""
    examples = sum(one["val-examples"] for one in told)
    return sum(one["val-loss"] for one in told) / examples if examples else np.inf


class Found(NamedTuple):
    """What a federation leaves: weights and scale; by round the validation loss and who answered; what was refused."""

    weights: list[np.ndarray]
    scale: Scale
    losses: list[float]
    heard: list[list[str]]
    refusals: int


def conduct(grid, job: Job, timeout: float = 3600) -> Found:
    """Run a whole federation on a grid of nodes: the query, then the rounds.

    Parameters
    ----------
    grid : flwr.serverapp.Grid
        Flower's own, or a :func:`loopback`.
    job : Job
    timeout : float
        Seconds to wait for the replies of a round.

    Returns
    -------
    Found
    """
    from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

    ask = RecordDict({"config": ConfigRecord(_config(job))})
    queries = [Message(ask, message_type="query", dst_node_id=node) for node in grid.get_node_ids()]
    replies = [reply.content["metrics"] for reply in grid.send_and_receive(queries, timeout=timeout)]
    counts = np.sum([reply["counts"] for reply in replies], axis=0)
    if job.plan.epsilon:
        by = public_scale()
    else:  # exact sums, whatever the order
        whole = [np.array(reply["sums"]) for reply in replies]
        by = scale(np.array([_exact(column) for column in np.array(whole).T]).reshape(3, -1))
    config = _config(job) | {"scale": np.ravel(by).tolist(), "counts": counts.tolist()}
    did = strategy(job.plan)
    first = ArrayRecord(weights(build(_kind(job.plan), job.repeat)))
    result = did.start(
        grid, first, num_rounds=job.plan.rounds, timeout=timeout, train_config=ConfigRecord(config)
    )
    best = did.best[1] if did.best[1] is not None else result.arrays.to_numpy_ndarrays()
    return Found(best, by, did.losses, did.heard, did.refusals)


def _exact(values: np.ndarray) -> float:
    from math import fsum

    return fsum(values)


# %% [markdown]
# ## All sites in one process
# For many runs, a grid that hands each message to the app at once, without a network. A site that has died answers no
# more, and is gone from the list of nodes. Bytes of weights are counted both ways.


# %%
def loopback(job: Job):
    """Build a grid that holds all sites of a plan in this process.

    Parameters
    ----------
    job : Job

    Returns
    -------
    flwr.serverapp.Grid
        With ``sent``, the bytes of weights that travelled, both ways.
    """
    _optional("flwr")
    from flwr.app import Context, RecordDict
    from flwr.serverapp import Grid
    from flwr.supercore.task_identity import TaskIdentity

    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = (
        1  # Flower's own processes do the same
    )
    app, names = client_app(), list(holders(job.plan.dealt, deal(job.repeat)[job.fold].train))

    class Loopback(Grid):
        """Calls the ClientApp of each site in turn."""

        def __init__(self) -> None:
            self.nodes = {
                number: Context(
                    run_id=1, node_id=number, node_config={"site": name}, state=RecordDict(), run_config={}
                )
                for number, name in enumerate(names, 2)
            }
            self.sent, self.replies = 0, {}  # type: ignore[var-annotated]

        run = None

        def set_run(self, run) -> None:
            self.run = run

        def create_message(self, *args, **kwargs):
            raise NotImplementedError("messages are made by flwr.app.Message")

        def get_node_ids(self):
            return list(self.nodes)

        def push_messages(self, messages):
            for message in messages:
                node = message.metadata.dst_node_id
                if self._dead(node, message.content["config"]):
                    del self.nodes[node]
                    continue
                reply = app(message, self.nodes[node])
                self.sent += _bytes(message) + _bytes(reply)
                self.replies[str(node)] = reply
            return list(self.replies)

        def _dead(self, node, config) -> bool:
            name = self.nodes[node].node_config["site"]
            return name == job.plan.dies and config.get("server-round", 0) >= job.plan.death

        def pull_messages(self, message_ids):
            return [self.replies.pop(number) for number in message_ids]

        def send_and_receive(self, messages, *, timeout=None):
            return self.pull_messages(self.push_messages(messages))

    return Loopback()


def _bytes(message) -> int:
    arrays = message.content.get("arrays")
    return sum(len(array.data) for array in arrays.values()) if arrays else 0


@contextmanager
def _quiet():
    """Flower reports every round; many runs would drown in it."""
    import logging

    logger = logging.getLogger("flwr")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def federate(plan: Plan, repeat: int = 0, fold: int = 0) -> tuple[Found, int]:
    """Run a federation in this process.

    Parameters
    ----------
    plan : Plan
    repeat, fold : int
        Of :func:`deal`; the repeat is also the seed.

    Returns
    -------
    found : Found
    sent : int
        Bytes of weights that travelled.
    """
    job = Job(plan, repeat, fold)
    grid = loopback(job)
    with _quiet():
        return conduct(grid, job), grid.sent


# %% [markdown]
# ## Every site a process
# The same app and the same strategy, with Flower's own machinery between them: a *SuperLink* (the post office), one
# *SuperNode* a site, all on this machine, talking over 127.0.0.1. A site that is to die writes a mark when its hour
# has come; its processes are then killed from outside, in the midst of training, as a power cut would.

# %%
_APP = """
from ecgbook.federated import client_app, server_app

client = client_app()
server = server_app()
"""
_PROJECT = """
[project]
name = "federated"
version = "1.0.0"
description = "Four sites"
license = "BSD-3-Clause"
dependencies = []
[tool.flwr.app]
publisher = "ecgbook"
[tool.flwr.app.components]
serverapp = "app:server"
clientapp = "app:client"
[tool.flwr.app.config]
"""


def server_app():
    """Build Flower's ServerApp: waits for the sites, conducts, and writes what was found where it is told to."""
    _optional("flwr")
    from flwr.serverapp import ServerApp

    app = ServerApp()

    @app.main()
    def main(grid, context) -> None:
        config = context.run_config
        job = _job(config)
        while len(list(grid.get_node_ids())) < len(holders(job.plan.dealt, deal(job.repeat)[job.fold].train)):
            time.sleep(0.2)
        found = conduct(grid, job, config["timeout"])
        arrays = {f"w{k}": array for k, array in enumerate(found.weights)}
        told = json.dumps({"losses": found.losses, "heard": found.heard, "refusals": found.refusals})
        with writing(Path(config["out"])) as part, open(part, "wb") as stream:
            np.savez(stream, scale=np.array(found.scale), told=told, **arrays)  # type: ignore[arg-type]

    return app


def _ports(n: int) -> list[int]:
    """Free ports of this machine."""
    opened = [socket.socket() for _ in range(n)]
    for one in opened:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in opened]
    for one in opened:
        one.close()
    return ports


def _lay_out(folder: Path, job: Job, port: int, timeout: float) -> dict[str, str]:
    """Write Flower's app and configuration; the environment of its processes."""
    (folder / "app").mkdir()
    (folder / "home").mkdir()
    config = _config(job) | {"out": str(folder / "found.npz"), "timeout": timeout}
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in config.items()]
    write_whole(folder / "app" / "pyproject.toml", _PROJECT + "".join(lines))
    write_whole(folder / "app" / "app.py", _APP)
    link = f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    write_whole(folder / "home" / "config.toml", link)
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    own = {"FLWR_HOME": str(folder / "home"), "FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    own |= {"PATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(publish.ROOT)}
    return os.environ | own


def _kill(process: subprocess.Popen) -> None:
    """Kill a process with all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _started(folder: Path, names: Sequence[str], environment: dict, ports: list[int]):
    """SuperLink and SuperNodes, by name; killed in the end."""
    place, link = "127.0.0.1", f"127.0.0.1:{ports[0]}"
    post = ["flower-superlink", "--insecure", "--host", place, "--port", str(ports[0])]
    commands = {"superlink": [*post, "--disable-runtime-dependency-installation"]}
    for name, port in zip(names, ports[1:], strict=True):
        node = f'site="{name}" mark="{folder / "mark"}"'
        own = ["--superlink", link, "--host", place, "--port", str(port), "--node-config", node]
        commands[name] = ["flower-supernode", "--insecure", *own]
    running = {}
    try:
        for name, command in commands.items():
            with open(folder / f"{name}.log", "wb") as log:
                running[name] = subprocess.Popen(
                    command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
            if name == "superlink":
                _reach(ports[0])
        yield running
    finally:
        for process in running.values():
            _kill(process)


def _reach(port: int, seconds: float = 60) -> None:
    """Wait until somebody listens."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise EcgbookError(f"127.0.0.1:{port}: Flower's SuperLink does not answer; look at its log")


def across_processes(
    plan: Plan, repeat: int = 0, fold: int = 0, timeout: float = 60, limit: float = 1200
) -> tuple[Found, str]:
    """Run a federation with every site a process of its own, on this machine.

    Parameters
    ----------
    plan : Plan
        The site that ``dies`` is killed in round ``death``, while it trains.
    repeat, fold : int
        As for :func:`federate`.
    timeout : float
        Seconds that the server waits for the replies of a round.
    limit : float
        Seconds for the whole.

    Returns
    -------
    found : Found
    log : str
        What Flower's server said.

    Raises
    ------
    EcgbookError
        Flower is not there, does not start, or does not end in time.
    """
    _optional("flwr")
    job = Job(plan, repeat, fold)
    names = list(holders(plan.dealt, deal(repeat)[fold].train))
    ports = _ports(1 + len(names))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        environment = _lay_out(folder, job, ports[0], timeout)
        with _started(folder, names, environment, ports) as running, open(folder / "run.log", "wb") as log:
            order = ["flwr", "run", str(folder / "app"), "here", "--stream"]
            run = subprocess.Popen(
                order, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                _attend(folder, {"run": run, **running}, plan, limit)
            finally:
                _kill(run)
        return _read(folder / "found.npz"), (folder / "run.log").read_text(encoding="utf-8")


def _attend(folder: Path, running: dict[str, subprocess.Popen], plan: Plan, limit: float) -> None:
    """Wait for the result; kill the site that is to die when its mark appears."""
    end, killed = time.monotonic() + limit, False
    while not (folder / "found.npz").is_file():
        if time.monotonic() > end or running["run"].poll():  # flwr run itself has failed
            said = (folder / "run.log").read_text(encoding="utf-8")[-2000:]
            raise EcgbookError(f"flower: failed, or did not end within {limit:g} s; it said: {said}")
        if (folder / "mark").is_file() and not killed:
            _kill(running[plan.dies])
            killed = True
        time.sleep(0.2)


def _read(path: Path) -> Found:
    with np.load(path) as file:
        told = json.loads(str(file["told"]))
        arrays = [file[f"w{k}"] for k in range(sum(name.startswith("w") for name in file.files))]
        return Found(arrays, Scale(*file["scale"]), told["losses"], told["heard"], told["refusals"])


# %% [markdown]
# ## The runs
# Two repeats of five folds, dealt anew and with another seed. Central training and each site alone are federations of
# one. Two rows need no Flower: the largest class, and boosted trees on all training records in one place, with the
# headline's leaning to rare classes, to show what a stronger model makes of the same inputs.

# %%
REPEATS = 2
RUNS = ("federated-sites", "federated-processes")

#: Row of the comparison -> its plan.
ROWS: dict[str, Plan] = {
    "central": Plan("one place"),
    "FedAvg": Plan(),
    "FedProx": Plan(mu=0.1),
    "FedAvg, 5 epochs": Plan(rounds=6, epochs=5),
    "FedProx, 5 epochs": Plan(rounds=6, epochs=5, mu=0.1),
    **{f"only {site}": Plan(site) for site in SITES},
    "2020b dies": Plan(dies="2020b"),
    "2019 lies": Plan(lies="2019"),
    "2019 lies, guarded": Plan(lies="2019", guarded=True),
    "private": Plan(rounds=20, epsilon=8.0),
    "clipped, no noise": Plan(rounds=20, epsilon=float("inf")),
}
ALONE = ("majority", "trees, central")  # rows that are no federation
KILLED = Plan(rounds=3, epochs=10, dies="2020b", death=2)

COLUMNS = {
    "outputs.csv.gz": {
        "row": "of the comparison",
        "repeat": "0 or 1: dealing of the folds, and seed",
        "fold": "in whose test part the record is",
        "file": "name of a page, or the number of an LUDB record",
        **{name: "probability" for name in evaluate.PROBABILITIES},
    },
    "rounds.csv": {
        "row": "of the comparison",
        "repeat": "0 or 1",
        "round": "from 1",
        "val_loss": "mean over folds, of the weights that were sent out in this round, on the sites' validation parts",
    },
}


def _asked(network: nn.Module, by: Scale, repeat: int, fold: int) -> np.ndarray:
    """Probabilities of the test part."""
    rows = deal(repeat)[fold].test
    return probabilities(network, scaled(_table()[1].to_numpy(float)[rows], by))


def _other(row: str, repeat: int, fold: int) -> np.ndarray:
    """Probabilities of the test part by a row that is no federation."""
    (table, x), split = _table(), deal(repeat)[fold]
    y = table["label"].map(CLASSES.index).to_numpy()
    model = (
        models.build("majority")
        if row == "majority"
        else models.LogPool([models._xgboost(repeat)], power=POWER)
    )
    return models.probabilities(model.fit(x.iloc[split.train], y[split.train]), x.iloc[split.test])


def _predicted(row: str, p: np.ndarray, repeat: int, fold: int) -> pd.DataFrame:
    """Probabilities of a test part with where they belong."""
    files = _table()[0]["file"].to_numpy()[deal(repeat)[fold].test]
    where = pd.DataFrame({"row": row, "repeat": repeat, "fold": fold, "file": files})
    return pd.concat([where, pd.DataFrame(p, columns=evaluate.PROBABILITIES)], axis=1)


def _do_row(row: str) -> dict:
    """Predictions of a row for all folds of all repeats, as text, and what went on."""
    started, clock, spent = _now(), time.monotonic(), time.process_time()
    rows, losses, sent, refusals = [], {}, 0, 0  # type: ignore[var-annotated]
    for repeat in range(REPEATS):
        for fold in range(len(deal(repeat))):
            if row in ALONE:
                p = _other(row, repeat, fold)
            else:
                found, travelled = federate(ROWS[row], repeat, fold)
                network = load(build(_kind(ROWS[row])), found.weights)
                p = _asked(network, found.scale, repeat, fold)
                losses.setdefault(str(repeat), []).append(found.losses)
                sent, refusals = sent + travelled, refusals + found.refusals
            rows.append(_predicted(row, p, repeat, fold))
    text = pd.concat(rows).to_csv(index=False, header=False, float_format="%.4f", lineterminator="\n")
    cost = {"started": started, "wall_s": time.monotonic() - clock, "cpu_s": time.process_time() - spent}
    return {"rows": text, "losses": losses, "sent": sent, "refusals": refusals, **cost}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _source_until(heading: str) -> str:
    """Digest of this module's code as far as a heading, blind to comments and docstrings."""
    source = inspect.getsource(sys.modules[__name__])
    return publish.code_digest(source.partition(f"# ## {heading}\n")[0])[:16]


def _code(run: str) -> dict[str, str]:
    """Digests of the code behind the stored numbers of a run."""
    used = (splits, measure, models, elsewhere, synth)
    sources = {module.__name__.split(".")[-1]: inspect.getsource(module) for module in used}
    if run == RUNS[1]:
        own = _source_until("The runs")
    else:  # nothing there is a process; plans stand in the note
        asked = "".join(inspect.getsource(function) for function in (_asked, _other, _predicted, _do_row))
        text = _source_until("Every site a process") + str(REPEATS) + publish.code_digest(asked)
        own = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {name: publish.code_digest(source)[:16] for name, source in sources.items()} | {"federated": own}


def _note(run: str, started: str, wall: float) -> dict:
    packages = ("numpy", "pandas", "torch", "scikit-learn", "xgboost", "flwr", "opacus")
    tables = ("manifest.csv", "measurements.csv", "ludb_classes.csv", "ludb_measurements.csv")
    return {
        "run": run,
        "task": "classify, trained in federation",
        "input": f"measurements and their summaries, {_table()[1].shape[1]} columns",
        "protocol": "EICP: grouped; LUDB: by record, stratified by class; five folds each",
        "weights": "none",
        "seed": "the number of the repeat",
        "repeats": REPEATS,
        "command": f"python -m ecgbook.federated {run}",
        "preregistration_sha256": elsewhere.registered(),
        "deviations": [
            "no external validation: LUDB's labels are learned from here; only the table of classes is that of the"
            " pre-registration"
        ],
        "code": _code(run),
        "data": {name: data.digest(data.tables() / name)[1][:16] for name in tables},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in packages},
        "device": f"cpu, {platform.machine()}",
        "started": started,
        "wall_s": round(wall, 1),
        "peak_rss_mb": round(study._peak_mb()),
    }


def _parts(run: str) -> Path:
    code = hashlib.sha256(json.dumps(_code(run), sort_keys=True).encode()).hexdigest()[:8]
    return publish.ROOT / ".cache" / f"{run}-{code}"


def store_sites(results: Path = study.RESULTS, progress: Callable[[str], None] = lambda said: None) -> Path:
    """Make the comparison, or what is missing of it.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.
    progress : function
        Is told after each row.

    Returns
    -------
    pathlib.Path
        The run's folder: ``run.json`` and the tables of :data:`COLUMNS`.

    Raises
    ------
    EcgbookError
        Flower or Opacus is not there.
    """
    parts, done = _parts(RUNS[0]), {}
    data.make_folder(parts)
    for row in (*ROWS, *ALONE):
        path = parts / f"{row}.json"
        if not path.is_file():
            write_whole(path, json.dumps(_do_row(row)))
        done[row] = json.loads(path.read_text(encoding="utf-8"))
        progress(f"{row}: done, {done[row]['wall_s']:.0f} s")
    folder = results / RUNS[0]
    data.make_folder(folder)
    text = ",".join(COLUMNS["outputs.csv.gz"]) + "\n" + "".join(part["rows"] for part in done.values())
    with writing(folder / "outputs.csv.gz") as part, open(part, "wb") as stream:
        stream.write(_squeezed(text))
    write_whole(
        folder / "rounds.csv", _rounds(done).to_csv(index=False, float_format="%.4f", lineterminator="\n")
    )
    wall, started = (
        sum(part["wall_s"] for part in done.values()),
        min(part["started"] for part in done.values()),
    )
    note = _note(RUNS[0], started, wall) | {
        "rows": {row: plan._asdict() | {"epsilon": str(plan.epsilon)} for row, plan in ROWS.items()},
        "columns": COLUMNS,
        "refusals": {row: done[row]["refusals"] for row in ROWS},
        "training_cpu_s": {row: round(part["cpu_s"], 1) for row, part in done.items()},
        "bytes_a_round": {
            row: round(done[row]["sent"] / plan.rounds / 5 / REPEATS) for row, plan in ROWS.items()
        },
        "privacy": {
            "epsilon": ROWS["private"].epsilon,
            "delta": DELTA,
            "clip": CLIP,
            "steps": ROWS["private"].rounds,
            "noise": noise(ROWS["private"].epsilon, ROWS["private"].rounds),
            "accountant": "Renyi (Opacus), all records of a site in every step",
        },
        "sha256": {name: data.digest(folder / name)[1] for name in COLUMNS},
    }
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
    shutil.rmtree(parts)
    return folder


def _squeezed(text: str) -> bytes:
    import gzip

    return gzip.compress(text.encode(), mtime=0)  # the same bytes whenever it is written


def _rounds(done: dict[str, dict]) -> pd.DataFrame:
    """Validation loss by round, mean over folds."""
    rows = [
        (row, int(repeat), turn, loss)
        for row, part in done.items()
        for repeat, losses in part["losses"].items()
        for turn, loss in enumerate(np.mean(losses, axis=0), 1)
        if np.isfinite(loss)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS["rounds.csv"]))


def store_processes(
    results: Path = study.RESULTS, progress: Callable[[str], None] = lambda said: None
) -> Path:
    """Kill a site in a federation of processes, on the first fold, and compare with the same in one process.

    Parameters
    ----------
    results : pathlib.Path
    progress : function
        Is told what is done.

    Returns
    -------
    pathlib.Path
        The run's folder: ``run.json``, which holds the server's log, and ``outputs.csv``: the rows "processes",
        "one process" and "nobody dies" for the test part of the first fold.
    """
    started, clock, folder = _now(), time.monotonic(), results / RUNS[1]
    found, log = across_processes(KILLED, timeout=180)
    progress(f"processes: done, {time.monotonic() - clock:.0f} s")
    same, healthy = federate(KILLED)[0], federate(KILLED._replace(dies=""))[0]
    tables = []
    for row, one in {"processes": found, "one process": same, "nobody dies": healthy}.items():
        p = _asked(load(build(), one.weights), one.scale, 0, 0)
        tables.append(_predicted(row, p, 0, 0))
    data.make_folder(folder)
    text = pd.concat(tables).to_csv(index=False, float_format="%.4f", lineterminator="\n")
    write_whole(folder / "outputs.csv", text)
    apart = max(float(np.abs(a - b).max()) for a, b in zip(found.weights, same.weights, strict=True))
    note = _note(RUNS[1], started, time.monotonic() - clock) | {
        "plan": KILLED._asdict(),
        "columns": COLUMNS["outputs.csv.gz"],
        "heard": found.heard,
        "losses": {"processes": found.losses, "one process": same.losses, "nobody dies": healthy.losses},
        "largest_difference_of_weights": apart,
        "log": _told(log),
        "sha256": {"outputs.csv": data.digest(folder / "outputs.csv")[1]},
    }
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
    return folder


def _told(log: str) -> list[str]:
    """The lines of Flower's log that tell of rounds, without colours and numbers of nodes."""
    import re

    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line).partition(":")[2].strip() for line in log.splitlines())
    return [line for line in lines if line.startswith(("[ROUND", "configure_train", "aggregate_train"))]


# %% [markdown]
# ## Reading the runs


# %%
def note(run: str = RUNS[0], results: Path = study.RESULTS) -> dict:
    """Load how a finished run came about.

    Parameters
    ----------
    run : str
        One of :data:`RUNS`.
    results : pathlib.Path

    Returns
    -------
    dict
        The content of ``run.json``.

    Raises
    ------
    EcgbookError
        No such run.

    Examples
    --------
    >>> note()["privacy"]["delta"]
    0.001
    """
    path = results / run / "run.json"
    if not path.is_file():
        raise EcgbookError(f"{path}: is not there; make it with `python -m ecgbook.federated {run}`")
    return json.loads(path.read_text(encoding="utf-8"))


def _sound(run: str, file: str, results: Path) -> Path:
    path = results / run / file
    if data.digest(path)[1] != note(run, results)["sha256"][file]:
        raise EcgbookError(f"{path}: was changed since it was written; make it anew")
    return path


@lru_cache(maxsize=4)
def _outputs(run: str, file: str, results: Path) -> pd.DataFrame:
    found = pd.read_csv(_sound(run, file, results)).merge(
        _table()[0], on="file", how="left", validate="many_to_one"
    )
    return found.assign(part="test")


def predictions(row: str, run: str = RUNS[0], results: Path = study.RESULTS) -> pd.DataFrame:
    """Load the test predictions of a row.

    Parameters
    ----------
    row : str
        One of :data:`ROWS` or :data:`ALONE`; "each its own" puts the rows "only ..." together: every site predicts
        its own test records. For "federated-processes": "processes", "one process", "nobody dies".
    run : str
        One of :data:`RUNS`.
    results : pathlib.Path

    Returns
    -------
    pandas.DataFrame
        As :func:`ecgbook.evaluate.check` wants it, and ``site``.

    Raises
    ------
    EcgbookError
        No such row or run, or a changed file.

    Examples
    --------
    >>> len(predictions("FedAvg")) == 2 * len(predictions("each its own").query("repeat == 0"))
    True
    """
    whole = _outputs(run, "outputs.csv" if run == RUNS[1] else "outputs.csv.gz", results)
    own = whole["row"] == "only " + whole["site"]
    found = whole[own if row == "each its own" else whole["row"] == row]
    if found.empty:
        raise EcgbookError(f"{row}: no such row; use {', '.join(whole['row'].unique())}")
    p = found[evaluate.PROBABILITIES]
    return found.assign(**p.div(p.sum(axis=1), axis=0)).reset_index(drop=True)


def rounds(results: Path = study.RESULTS) -> pd.DataFrame:
    """Load the validation losses by round; see :data:`COLUMNS`.

    Examples
    --------
    >>> int(rounds().query("row == 'FedAvg'")["round"].max())
    30
    """
    return pd.read_csv(_sound(RUNS[0], "rounds.csv", results))


def main(arguments: Sequence[str]) -> int:
    """Make the named runs, or both."""
    made = dict(zip(RUNS, (store_sites, store_processes), strict=True))
    try:
        for run in arguments or RUNS:
            models._known(run, made, "run")
            print(made[run](progress=lambda said: print(said, file=sys.stderr, flush=True)))
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what was finished is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    from ecgbook import federated as module  # under its package name, as everywhere else

    sys.exit(module.main(sys.argv[1:]))
