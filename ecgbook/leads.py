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
# # Leads: twelve from one
# A watch records one lead; a cardiologist reads twelve. Can the other eleven be computed? Some can: the six limb leads
# are six shadows of one arrow in one plane, and two of them fix the rest. From a *single* lead nothing follows
# exactly, and a method can only say what the other leads usually look like when this one looks so. This module
# holds the methods, from a single number to two networks, and judges what they rebuild three times: as a
# curve, as measurements, and as a diagnosis.

# %%
"""Rebuild twelve leads from one, and judge the result as signal, as measurements and as diagnosis."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import io
import json
import math
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ecgbook import beats, data, digitize, evaluate, ludb, measure, models, networks, publish, splits, study
from ecgbook.data import CLASSES, EcgbookError, write_whole, writing
from ecgbook.evaluate import PROBABILITIES
from ecgbook.synth import LEADS, Record, page_filter

if TYPE_CHECKING:
    from torch import Tensor, nn

# %% [markdown]
# ## What is exact
# Lead I is the voltage of the left arm over the right, lead II of the left leg over the right arm, lead III of the
# left leg over the left arm: III = II - I, whatever the heart does. The augmented leads compare one limb with the mean
# of the other two, and so follow too. So twelve leads hold eight independent ones, I, II and V1 to V6, and a fixed
# matrix turns these eight into twelve. Every method below rebuilds the eight; the matrix adds the rest, so nothing
# that is rebuilt can break Einthoven's or Goldberger's law.

# %%
INDEPENDENT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
CHEST = INDEPENDENT[2:]


def _laws() -> np.ndarray:
    laws = np.zeros((12, 8))
    laws[:6, :2] = [[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]]  # type: ignore[assignment]
    laws[6:, 2:] = np.eye(6)
    return laws


#: Twelve leads from the eight independent ones.
LAWS = _laws()


def limbs(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Compute the six limb leads from two of them.

    Parameters
    ----------
    one, two : (n,) arrays
        Leads I and II at the same instants, in any one unit.

    Returns
    -------
    (6, n) array
        I, II, III, aVR, aVL, aVF.

    Notes
    -----
    The chapter "Twelve leads from one" introduces it.

    Examples
    --------
    >>> limbs(np.array([0.4]), np.array([1.0])).ravel().round(2).tolist()
    [0.4, 1.0, 0.6, -0.7, -0.1, 0.8]
    """
    return LAWS[:6, :2] @ np.stack([one, two])


def keep(eight: np.ndarray, lead: str, shown: np.ndarray) -> np.ndarray:
    """Correct eight rebuilt leads so that the lead that was shown comes out as it is, changing them least.

    Parameters
    ----------
    eight : (8, n) array
        Rebuilt leads in the order of :data:`INDEPENDENT`.
    lead : str
        The lead that is known, one of ``LEADS``.
    shown : (n,) array
        Its samples.

    Returns
    -------
    (12, n) array
        Rows in the order of ``LEADS``; the known one equals `shown`, and the lead laws hold.

    Examples
    --------
    >>> twelve = keep(np.zeros((8, 1)), "III", np.array([1.0]))
    >>> twelve[:3].ravel().tolist()
    [-0.5, 0.5, 1.0]
    """
    law = LAWS[LEADS.index(lead)]
    return LAWS @ (eight + np.outer(law, (shown - law @ eight) / (law @ law)))


# %% [markdown]
# ## Two sources of signals
# *EICP* {cite}`khan2021`. The strip at the foot of a page shows one lead for ten seconds, the others 2.5 s each, one
# column after another. So at every instant four leads are seen together: the strip and the three of the column. The
# columns are *not* simultaneous with each other, and V1 is never seen beside V6; but the strip is simultaneous with
# all.
#
# *LUDB* {cite}`kalyakulina2020` shows all twelve for ten seconds. Its headers state another gain for every lead, by
# which leads break Einthoven's law grossly; the stored integers obey it to half a unit, and are read as microvolts
# ([](ludb.py)). LUDB's comment lines, which hold the diagnoses, are not read.
#
# LUDB is filtered as the pages were, to 0.67-25 Hz, so that one method can serve both. Nothing above 25 Hz is
# left, so 125 samples a second are enough, and halve the work.

# %%
RATE = 125.0  # samples per second at which leads are rebuilt
SAMPLES = 1250  # 10 s
WINDOW = 312  # 2.5 s, one column of a page
MICROVOLT = 1e-3  # mV


class Signals(NamedTuple):
    """Signals to learn from or to judge by.

    Attributes
    ----------
    names : tuple of str
        Of the n ECGs: file names, or numbers of LUDB records.
    seen : (n, 12, 1250) float32 array
        Millivolts at 125 samples per second; NaN where a lead is not seen.
    shown : (n, 12, 1250) float32 array
        The same as an input: short gaps bridged, zero where a lead is not seen.
    strip : (n,) int array
        Row of the lead that is seen for all ten seconds and serves as the input.
    """

    names: tuple[str, ...]
    seen: np.ndarray
    shown: np.ndarray
    strip: np.ndarray

    def take(self, rows: np.ndarray) -> Signals:
        """Keep some of the ECGs."""
        names = tuple(self.names[row] for row in rows)
        return Signals(names, self.seen[rows], self.shown[rows], self.strip[rows])


def bridged(seen: np.ndarray) -> np.ndarray:
    """Bridge gaps inside what is seen of each signal by straight lines, and put zero outside; (..., n)."""
    out = np.zeros_like(seen)
    for row, values in zip(out.reshape(-1, seen.shape[-1]), seen.reshape(-1, seen.shape[-1]), strict=True):
        known = np.flatnonzero(np.isfinite(values))
        if known.size:
            there = np.arange(known[0], known[-1] + 1)
            row[there] = np.interp(there, known, values[known])
    return out


@lru_cache(maxsize=1)
def of_pages() -> Signals:
    """Collect the carried signals of the 491 distinct pages.

    Returns
    -------
    Signals
        In the order of :func:`ecgbook.data.pages`; the strip stands in for its lead throughout.

    Examples
    --------
    >>> signals = of_pages()
    >>> signals.seen.shape, sorted({LEADS[row] for row in signals.strip})
    ((491, 12, 1250), ['II', 'III'])
    """
    names = tuple(data.pages()["file"])
    readings = [digitize.load(name) for name in names]
    strip = np.array([LEADS.index(reading.rhythm) for reading in readings])
    seen = np.array([reading.leads[:, ::2] for reading in readings])
    seen[np.arange(len(names)), strip] = [reading.strip[::2] for reading in readings]
    return Signals(names, seen, bridged(seen), strip)


@lru_cache(maxsize=1)
def of_ludb() -> Signals:
    """Collect the 200 records of LUDB, filtered as pages are; lead II is the input."""
    raw = np.array([ludb.read(number) for number in ludb.RECORDS])
    seen = page_filter(raw, ludb.FS)[..., ::4].astype(np.float32)
    return Signals(tuple(map(str, ludb.RECORDS)), seen, seen, np.full(len(seen), LEADS.index("II")))


# %% [markdown]
# ## Who teaches, who tests
# Five folds. EICP is dealt by group (the protocol `grouped`, repeat 0), LUDB by record, one record a person; fold k of
# the one goes with fold k of the other. All that is learned is learned on the training part; the validation part
# chooses (reach and strength of the regression, when to stop a network); the test part is looked at once. What is asked
# of the pages is asked of those whose strip shows lead II; those with lead III teach the network that takes any lead.

# %%
FOLDS = 5
_VALIDATION = 24  # records of LUDB


def deal(fold: int) -> tuple[splits.Split, splits.Split]:
    """Deal LUDB by record and the pages by group.

    Parameters
    ----------
    fold : int
        0 to 4.

    Returns
    -------
    ludb, pages : ecgbook.splits.Split
        Row numbers into :func:`of_ludb` and :func:`of_pages`.

    Examples
    --------
    >>> [len(part) for part in deal(0)[0]]
    [136, 24, 40]
    """
    order = np.random.default_rng(0).permutation(len(ludb.RECORDS))
    rest = np.random.default_rng(1 + fold).permutation(np.delete(order, np.s_[fold::FOLDS]))
    records = splits.Split(*map(np.sort, (rest[_VALIDATION:], rest[:_VALIDATION], order[fold::FOLDS])))
    return records, splits.folds("grouped", data.pages(), 0, FOLDS)[fold]


class Fold(NamedTuple):
    """The parts of one fold, of both sources."""

    ludb: Signals
    pages: Signals

    def of(self, source: str) -> Signals:
        """Return one source, of the pages those whose strip shows lead II."""
        signals = getattr(self, source)
        return signals.take(np.flatnonzero(signals.strip == LEADS.index("II")))

    def joined(self) -> Signals:
        """Return what shows lead II throughout of both sources together."""
        both = [self.of(source) for source in ("ludb", "pages")]
        return Signals(
            both[0].names + both[1].names, *map(np.concatenate, zip(*(s[1:] for s in both), strict=True))
        )


def parts(fold: int) -> dict[str, Fold]:
    """Collect the signals of one fold: "train", "val" and "test"."""
    records, pages = (split._asdict() for split in deal(fold))
    return {part: Fold(of_ludb().take(records[part]), of_pages().take(pages[part])) for part in records}


# %% [markdown]
# ## The floor: the mean beat
# Find the beats in the lead that is shown, and put the average beat of the training ECGs at each. This knows the
# rhythm and nothing else of the person. Whatever a method gains over it, it has read from the shape of the lead.

# %%
_BEFORE, _AFTER = round(0.35 * RATE), round(0.55 * RATE)


def learn_mean_beat(signals: Signals, lead: str = "II") -> np.ndarray:
    """Average the beats of many ECGs.

    Parameters
    ----------
    signals : Signals
        To learn from.
    lead : str
        The lead in which the beats are found.

    Returns
    -------
    (8, 113) array
        The mean beat in the leads of :data:`INDEPENDENT`, mV, from 0.35 s before the mark.
    """
    rows = [LEADS.index(name) for name in INDEPENDENT]
    total, count = np.zeros((8, _BEFORE + _AFTER)), np.zeros((8, _BEFORE + _AFTER))
    for seen, shown in zip(signals.seen, signals.shown, strict=True):
        marks = beats.find_beats(shown[[LEADS.index(lead)]], RATE)
        for mark in marks[(marks >= _BEFORE) & (marks + _AFTER <= seen.shape[1])]:
            piece = seen[rows, mark - _BEFORE : mark + _AFTER]
            total += np.nan_to_num(piece)
            count += np.isfinite(piece)
    return total / np.maximum(count, 1)


def place_beats(beat: np.ndarray, shown: np.ndarray, lead: str) -> np.ndarray:
    """Put a mean beat at each beat of the shown lead, zero between; (n,) to (12, n)."""
    marks, at = beats.find_beats(shown[None], RATE), np.arange(len(shown))
    eight = np.zeros((8, len(shown)))
    if marks.size:
        nearest = marks[np.abs(at[:, None] - marks).argmin(axis=1)]
        offset = at - nearest + _BEFORE
        inside = (offset >= 0) & (offset < beat.shape[1])
        eight[:, inside] = beat[:, offset[inside]]
    return keep(eight, lead, shown)


# %% [markdown]
# ## The baseline: linear regression
# Each rebuilt sample is a weighted sum of the shown lead's samples around it,
# {math}`\hat y_t = \sum_{|k| \le K} w_k x_{t+k}`: a filter with as many taps as it has weights. With {math}`K = 0` it
# is one number a lead, and the rebuilt lead is lead II, larger or smaller or upside down. With neighbours it can also
# delay and sharpen, and that is worth much, since the chest leads peak at other times than lead II.
#
# The weights minimise the squared error plus a ridge. All they need are sums over the training samples
# (the *moments*), so any reach and any ridge can be tried without going through the signals again. Tried are
# the reaches and strengths below, on signals of the same source or of both; the validation part chooses, by the squared
# error over the mean square of each lead.

# %%
REACHES = (0, 6, 12, 25, 37, 50)  # samples of 8 ms: up to 0.4 s to each side
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)  # as a share of the mean square of the shown lead
_MOST = max(REACHES)


class Moments(NamedTuple):
    """Sums from which any regression of the eight leads on one follows.

    ``gram`` (8, 101, 101), ``cross`` (8, 101), ``power`` (8,) and ``count`` (8,), over the samples where the lead is
    seen.
    """

    gram: np.ndarray
    cross: np.ndarray
    power: np.ndarray
    count: np.ndarray  # type: ignore[assignment]

    def plus(self, other: Moments) -> Moments:
        """Add up."""
        return Moments(*(a + b for a, b in zip(self, other, strict=True)))


def _around(shown: np.ndarray) -> np.ndarray:
    """The shown lead (n,), moved by -50 to 50 samples; (101, n)."""
    padded = np.pad(np.asarray(shown, float), _MOST)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * _MOST + 1).T


def moments(signals: Signals, lead: str = "II") -> Moments:
    """Sum up what regressions on one lead need.

    Parameters
    ----------
    signals : Signals
        ECGs that show the lead throughout.
    lead : str
        The lead that is given.

    Returns
    -------
    Moments
    """
    size, rows = 2 * _MOST + 1, [LEADS.index(name) for name in INDEPENDENT]
    gram, cross = np.zeros((8, size, size)), np.zeros((8, size))
    power, count = np.zeros(8), np.zeros(8)
    for seen, shown in zip(signals.seen, signals.shown, strict=True):
        moved = np.ascontiguousarray(_around(shown[LEADS.index(lead)]))
        grams = {}
        for k, values in enumerate(seen[rows]):
            known = np.isfinite(values)
            key = known.tobytes()
            if key not in grams:  # leads seen at the same instants share their gram
                grams[key] = (moved[:, known], moved[:, known] @ moved[:, known].T)
            gram[k] += grams[key][1]
            cross[k] += grams[key][0] @ values[known]
            power[k] += np.sum(values[known].astype(float) ** 2)
            count[k] += known.sum()
    return Moments(gram, cross, power, count)


class Linear(NamedTuple):
    """A fitted regression: ``weights`` (8, 101), and what was chosen: source, reach (samples), ridge."""

    weights: np.ndarray
    source: str
    reach: int
    ridge: float


def solve(sums: Moments, reach: int, ridge: float) -> np.ndarray:
    """Compute the weights of ridge regression from moments; (8, 101), zero beyond the reach.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(1, 1, 1250)).astype(np.float32)
    >>> same = Signals(("x",), np.repeat(x, 12, 1), np.repeat(x, 12, 1), np.array([1]))
    >>> weights = solve(moments(same), reach=6, ridge=1e-4)
    >>> int(weights[0].argmax()) == _MOST, round(float(weights[0].max()), 2)
    (True, 1.0)
    """
    inside = slice(_MOST - reach, _MOST + reach + 1)
    weights = np.zeros_like(sums.cross)
    for k, (gram, cross) in enumerate(zip(sums.gram, sums.cross, strict=True)):
        gram, cross = gram[inside, inside], cross[inside]
        shrink = ridge * np.trace(gram) / len(gram)
        weights[k, inside] = np.linalg.solve(gram + shrink * np.eye(len(gram)), cross)
    return weights


def error(weights: np.ndarray, sums: Moments) -> float:
    """Mean over the leads of squared error over mean square; moments as of the ECGs that judge.

    Lead II, when given, is rebuilt without error and lowers the mean for all alike.
    """
    explained = 2 * np.einsum("kt,kt->k", weights, sums.cross)
    explained -= np.einsum("kt,ktu,ku->k", weights, sums.gram, weights)
    return float(np.mean(1 - explained / sums.power))


def fit_linear(train: dict[str, Moments], val: Moments, reaches: Sequence[int] = REACHES) -> Linear:
    """Fit regressions of several reaches and ridges, and keep the one that errs least in validation.

    Parameters
    ----------
    train : dict of str to Moments
        What may be learned from, by name.
    val : Moments
        Of the ECGs that choose.
    reaches : sequence of int
        To try; ``(0,)`` gives the regression that is one number a lead.

    Returns
    -------
    Linear
    """
    tried = [
        Linear(solve(sums, reach, ridge), source, reach, ridge)
        for source, sums in train.items()
        for reach in reaches
        for ridge in RIDGES
    ]
    return min(tried, key=lambda one: error(one.weights, val))


def apply_linear(fitted: Linear, shown: np.ndarray, lead: str) -> np.ndarray:
    """Rebuild twelve leads by a regression; (n,) to (12, n)."""
    return keep(fitted.weights @ _around(shown), lead, shown)


# %% [markdown]
# ## Two networks
# A U-Net {cite}`ronneberger2015` looks at a signal at several scales: on the way down it halves the rate and sees
# farther, on the way up it puts the fine detail back, handed over at each scale. *The U-Net* here takes lead II and
# gives the eight independent leads. *The masked autoencoder* has the same body and twelve channels of input, of which
# all but one are masked, that is, zero. While it is trained the lead that is shown changes at every turn, so one
# network learns to start from any lead, in the spirit of MCMA {cite}`chen2024mcma`. The two differ in what they are
# asked, and in how long they are taught: a specialist and a generalist.
#
# Four samples of 8 ms enter together as four channels, which costs no information and saves three quarters of the
# work.

# %%
SCALES = (32, 48, 64)  # channels at 31, 16 and 8 steps a second
_FOLDED = 4  # samples that enter together
_CHANNELS = {"U-Net": 1, "masked autoencoder": 12}


def build(kind: str, dropout: float = 0.1, seed: int = 0) -> nn.Module:
    """Build a network that turns shown leads into the eight independent ones.

    Parameters
    ----------
    kind : str
        "U-Net": input (batch, 1, n), lead II. "masked autoencoder": input (batch, 12, n), zero but for the lead that
        is shown.
    dropout : float
        Share of channels that is dropped after each block while training.
    seed : int
        Of the weights.

    Returns
    -------
    torch.nn.Module
        Output (batch, 8, n), mV, in the order of :data:`INDEPENDENT`; any n.

    Examples
    --------
    >>> import torch
    >>> build("U-Net").eval()(torch.zeros(2, 1, 625)).shape
    torch.Size([2, 8, 625])
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _network_class()(_CHANNELS[models._known(kind, _CHANNELS, "network")], dropout)


@lru_cache(maxsize=1)
def _network_class() -> type:
    """The class, made when torch is first needed."""
    import torch
    from torch import nn
    from torch.nn import functional

    def block(wide: int, out: int, dropout: float) -> nn.Sequential:
        layers = []
        for before in (wide, out):
            layers += [nn.Conv1d(before, out, 5, padding=2, bias=False), nn.BatchNorm1d(out), nn.ReLU()]
        return nn.Sequential(*layers, nn.Dropout1d(dropout))

    class Network(nn.Module):
        """Down two scales, up two scales, and one layer that reads off eight leads."""

        def __init__(self, channels: int, dropout: float) -> None:
            super().__init__()
            fine, middle, coarse = SCALES
            self.fine = block(channels * _FOLDED, fine, dropout)
            self.middle = block(fine, middle, dropout)
            self.coarse = block(middle, coarse, dropout)
            self.middle_up = block(coarse + middle, middle, dropout)
            self.fine_up = block(middle + fine, fine, dropout)
            self.head = nn.Conv1d(fine, 8 * _FOLDED, 1)

        def forward(self, x: Tensor) -> Tensor:
            n = x.shape[-1]
            x = functional.pad(x, (0, -n % (4 * _FOLDED)))
            fine = self.fine(_fold(x))
            middle = self.middle(functional.avg_pool1d(fine, 2))
            coarse = self.coarse(functional.avg_pool1d(middle, 2))
            middle = self.middle_up(torch.cat([_twice(coarse), middle], 1))
            fine = self.fine_up(torch.cat([_twice(middle), fine], 1))
            return _unfold(self.head(fine))[..., :n]

    return Network


def _twice(x: Tensor) -> Tensor:
    """Double the rate by straight lines between the steps."""
    from torch.nn import functional

    return functional.interpolate(x, scale_factor=2.0, mode="linear", align_corners=False)


def _fold(x: Tensor) -> Tensor:
    """Make four channels of every four samples: (b, c, 4 n) to (b, 4 c, n)."""
    batch, channels, n = x.shape
    x = x.reshape(batch, channels, n // _FOLDED, _FOLDED).transpose(2, 3)
    return x.reshape(batch, channels * _FOLDED, n // _FOLDED)


def _unfold(x: Tensor) -> Tensor:
    """Undo :func:`_fold`."""
    batch, channels, n = x.shape
    x = x.reshape(batch, channels // _FOLDED, _FOLDED, n).transpose(2, 3)
    return x.reshape(batch, channels // _FOLDED, n * _FOLDED)


def parameters(network: nn.Module) -> int:
    """Count the trained numbers of a network.

    Examples
    --------
    >>> 50_000 < parameters(build("U-Net")) < parameters(build("masked autoencoder")) < 200_000
    True
    """
    return sum(p.numel() for p in network.parameters())


# %% [markdown]
# ## Training
# A step shows windows of 2.5 s: half of them from anywhere in LUDB records, with twelve leads to be right about, half
# a column of a page, with four (the column's three and the strip). The loss is the squared error over the mean square
# of each lead, where the lead is seen, so that small leads count like large ones. A squared error asks for the
# *mean* of what may be behind the shown lead; that choice shapes every result of this module.
#
# A few hundred hearts are little for a network: on the first fold, without precautions, validation was best after
# two hundred steps and worse from then on. So windows are stretched in time and scaled in size a little at random,
# channels are dropped, and the weights used are a running average. These settings, the size of the network and the
# number of steps were tried on the training and validation parts of fold 0; no test part was looked at before they
# were fixed.


# %%
class Recipe(NamedTuple):
    """How a network is trained.

    Attributes
    ----------
    steps, batch : int
        Steps, and windows a step.
    lr, weight_decay : float
        Of AdamW; the rate rises to `lr` over a tenth of the steps and falls to nothing.
    dropout : float
        See :func:`build`.
    gain : float
        Standard deviation of the logarithm of the random size of a window.
    stretch : float
        Windows of a step are stretched by up to this logarithm.
    average : float
        Decay of the running average of the weights.
    checks : int
        How often validation looks; the best average is kept.
    """

    steps: int = 800
    batch: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.01
    dropout: float = 0.1
    gain: float = 0.2
    stretch: float = 0.2
    average: float = 0.99
    checks: int = 4


#: Network -> recipe. The generalist has twelve tasks and is given more steps.
RECIPES = {"U-Net": Recipe(), "masked autoencoder": Recipe(steps=1600)}


def _column(page: int) -> tuple[slice, list[int]]:
    """Samples and rows of the leads of a column, 0 to 3."""
    start = round(page * SAMPLES / 4)
    return slice(start, start + WINDOW), list(range(3 * page, 3 * page + 3))


def _from_ludb(signals: Signals, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A window anywhere in a record, and the row that is shown."""
    record, start = rng.integers(len(signals.names)), rng.integers(SAMPLES - WINDOW + 1)
    row = signals.strip[record] if kind == "U-Net" else rng.integers(12)
    window = np.s_[record, :, start : start + WINDOW]
    return _shown(signals.shown[window], row), signals.seen[window]  # type: ignore[arg-type]


def _from_pages(signals: Signals, kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A column of a page, and the row that is shown: the strip, or (as often) one of the column's three."""
    page, (samples, rows) = rng.integers(len(signals.names)), _column(rng.integers(4))  # type: ignore[arg-type]
    strip = signals.strip[page]
    row = strip if kind == "U-Net" or rng.integers(2) else rng.choice(rows)
    return _shown(signals.shown[page, :, samples], row), signals.seen[page, :, samples]


def _shown(window: np.ndarray, row: int) -> np.ndarray:
    """Mask all leads but one."""
    masked = np.zeros_like(window)
    masked[row] = window[row]
    return masked


def _stretched(x: np.ndarray, factor: float) -> np.ndarray:
    """Stretch windows (..., n) in time about their middle, NaN beyond their ends."""
    n = x.shape[-1]
    at = (np.arange(n) - n / 2) / factor + n / 2
    low = np.clip(np.floor(at).astype(int), 0, n - 2)
    part = (at - low).astype(x.dtype)
    out = x[..., low] * (1 - part) + x[..., low + 1] * part
    out[..., (at < 0) | (at > n - 1)] = np.nan
    return out


def batch(fold: Fold, kind: str, recipe: Recipe, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the windows of one step.

    Parameters
    ----------
    fold : Fold
        Training signals; for the U-Net of pages whose strip shows lead II.
    kind : str
        "U-Net" or "masked autoencoder".
    recipe : Recipe
    rng : numpy.random.Generator

    Returns
    -------
    shown : (batch, channels, 312) float32 array
        Zero where nothing is shown.
    seen : (batch, 12, 312) float32 array
        What is to be rebuilt; NaN where it is not seen.
    """
    draws = [(_from_ludb, fold.ludb), (_from_pages, fold.pages)]
    drawn = [draws[k % 2][0](draws[k % 2][1], kind, rng) for k in range(recipe.batch)]
    factor = math.exp(recipe.stretch * rng.uniform(-1, 1))
    size = np.exp(recipe.gain * rng.standard_normal((recipe.batch, 1, 1))).astype(np.float32)
    shown, seen = (size * _stretched(np.array(part), factor) for part in zip(*drawn, strict=True))
    return _input(np.nan_to_num(shown), kind), seen


def _input(shown: np.ndarray, kind: str) -> np.ndarray:
    """The channels that a network takes."""
    return shown if kind == "masked autoencoder" else shown.sum(axis=-2, keepdims=True)


def loss(eight: Tensor, seen: Tensor, spread: Tensor) -> Tensor:
    """Mean of squared error over mean square, where a lead is seen.

    Parameters
    ----------
    eight : torch.Tensor, (b, 8, n)
    seen : torch.Tensor, (b, 12, n)
        NaN where not seen.
    spread : torch.Tensor, (12, 1)
        Root mean square of each lead.

    Returns
    -------
    torch.Tensor
        One number.
    """
    import torch

    laws = torch.as_tensor(LAWS, dtype=eight.dtype, device=eight.device)
    known = torch.isfinite(seen)
    off = (laws @ eight - torch.nan_to_num(seen)) / spread
    return (off.square() * known).sum() / known.sum()


def spreads(signals: Signals) -> np.ndarray:
    """Root mean square of each lead over ECGs; (12, 1)."""
    return np.sqrt(np.nanmean(signals.seen.astype(float) ** 2, axis=(0, 2)))[:, None].astype(np.float32)


def fit_network(
    kind: str,
    train: Fold,
    val: Fold,
    recipe: Recipe,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int, float], None] = lambda step, score: None,
) -> nn.Module:
    """Train a network; keep the running average of its weights that was best in validation.

    Parameters
    ----------
    kind : str
        "U-Net" or "masked autoencoder".
    train, val : Fold
    recipe : Recipe
    seed : int
        Of weights, windows and dropout.
    device : str
        See :func:`ecgbook.networks.device`.
    progress : function
        Called as ``progress(step, validation error)`` at each look.

    Returns
    -------
    torch.nn.Module
        On the CPU, ready to be applied.
    """
    import torch

    where, rng = networks.device(device), np.random.default_rng(seed)
    if kind == "U-Net":
        train, val = (Fold(fold.ludb, fold.of("pages")) for fold in (train, val))
    network = build(kind, recipe.dropout, seed).to(where)
    spread = torch.as_tensor(spreads(train.ludb), device=where)
    optimizer = torch.optim.AdamW(network.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, recipe.steps, pct_start=0.1)
    average = _averaged(network, recipe)
    best, lowest, every = {}, math.inf, max(1, recipe.steps // recipe.checks)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are left alone
        torch.manual_seed(seed)
        for step in range(1, recipe.steps + 1):
            shown, seen = (torch.as_tensor(part, device=where) for part in batch(train, kind, recipe, rng))
            off = loss(network.train()(shown), seen, spread)
            optimizer.zero_grad(set_to_none=True)
            off.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(network)
            if step % every == 0:
                score = _validate(average.module.eval(), kind, val, spread.cpu().numpy())
                progress(step, score)
                if score < lowest:
                    lowest = score
                    best = {k: v.detach().cpu().clone() for k, v in average.module.state_dict().items()}
    if not best:
        raise EcgbookError(f"{kind}: the loss is no number; lower the rate ({recipe.lr:g})")
    network = network.cpu()
    network.load_state_dict(best)
    return network.eval()


def _averaged(network: nn.Module, recipe: Recipe):
    from torch.optim import swa_utils

    decay = swa_utils.get_ema_multi_avg_fn(recipe.average)
    return swa_utils.AveragedModel(network, multi_avg_fn=decay, use_buffers=True)


def _validate(network: nn.Module, kind: str, val: Fold, spread: np.ndarray) -> float:
    """Mean relative squared error of what is rebuilt from the strip; both sources count alike."""
    means = []
    for signals in val:
        off = []
        for seen, shown, row in zip(signals.seen, signals.shown, signals.strip, strict=True):
            found = LAWS @ _forward(network, kind, _shown(shown, row))
            off.append(np.nanmean(((found - seen) / spread) ** 2))
        means.append(np.mean(off))
    return float(np.mean(means))


def _forward(network: nn.Module, kind: str, shown: np.ndarray) -> np.ndarray:
    """Apply a network to one ECG; (12, n), masked, to (8, n)."""
    import torch

    where = next(network.parameters()).device
    with torch.no_grad():
        x = torch.as_tensor(_input(np.asarray(shown, np.float32), kind)[None], device=where)
        return network(x)[0].cpu().numpy().astype(float)


def apply_network(network: nn.Module, kind: str, shown: np.ndarray, lead: str) -> np.ndarray:
    """Rebuild twelve leads by a network; (n,) to (12, n).

    Raises
    ------
    EcgbookError
        If the U-Net is shown another lead than II.
    """
    if kind == "U-Net" and lead != "II":
        raise EcgbookError(f"{lead}: the U-Net starts from lead II; use the masked autoencoder")
    masked = np.zeros((12, len(shown)), np.float32)
    masked[LEADS.index(lead)] = shown
    return keep(_forward(network, kind, masked), lead, shown)


# %% [markdown]
# ## The methods of a fold
# All five learn on the same parts. A method is a function of the shown lead's samples and its name.

# %%
METHODS = ("mean beat", "one number", "linear", "U-Net", "masked autoencoder")
NETWORKS = METHODS[3:]
SOURCES = ("ludb", "pages")
Method = Callable[[np.ndarray, str], np.ndarray]


def linear_methods(dealt: dict[str, Fold], lead: str = "II") -> dict[tuple[str, str], Linear]:
    """Fit the regressions on one lead, for each source.

    Parameters
    ----------
    dealt : dict of str to Fold
        As from :func:`parts`.
    lead : str
        The lead that is given; if not II, LUDB alone teaches, for no other is seen throughout on those pages.

    Returns
    -------
    dict
        (method, source) -> :class:`Linear`.
    """
    sources = SOURCES if lead == "II" else SOURCES[:1]
    sums = {p: {s: moments(dealt[p].of(s), lead) for s in sources} for p in ("train", "val")}
    fitted = {}
    for source in sources:
        train = {"own": sums["train"][source]}
        if lead == "II":
            train["both"] = sums["train"]["ludb"].plus(sums["train"]["pages"])
        val = sums["val"][source]
        fitted["one number", source] = fit_linear(train, val, (0,))
        fitted["linear", source] = fit_linear(train, val)
    return fitted


def methods(
    source: str, beat: np.ndarray, fitted: dict[tuple[str, str], Linear], nets: dict[str, nn.Module]
) -> dict[str, Method]:
    """Name the methods that rebuild twelve leads from lead II of one source."""
    return {
        "mean beat": partial(place_beats, beat),
        "one number": partial(apply_linear, fitted["one number", source]),
        "linear": partial(apply_linear, fitted["linear", source]),
        **{kind: partial(apply_network, nets[kind], kind) for kind in NETWORKS},
    }


# %% [markdown]
# ## First judgement: the curve
# The correlation of the rebuilt with the true lead says whether the shape is right, whatever its size; the root mean
# square error (RMSE) says how far apart the curves are, in millivolts. Both over the samples where the lead is seen:
# ten seconds in LUDB, the lead's own 2.5 s on a page.


# %%
def alike(found: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare rebuilt leads with true ones.

    Parameters
    ----------
    found, seen : (k, n) arrays
        mV; NaN in `seen` where the lead is not seen.

    Returns
    -------
    correlation : (k,) array
        0 where one of the two is constant, NaN where fewer than two samples are seen.
    rmse : (k,) array
        mV.

    Examples
    --------
    >>> r, off = alike(np.array([[0.0, 2.0, 4.0]]), np.array([[0.0, 1.0, np.nan]]))
    >>> r.round(3).tolist(), off.round(3).tolist()
    ([1.0], [0.707])
    """
    known = np.isfinite(seen)
    count = known.sum(axis=1, keepdims=True)
    count = np.where(count > 1, count, np.nan)
    a, b = np.where(known, found, 0.0), np.where(known, seen, 0.0).astype(float)
    rmse = np.sqrt(((a - b) ** 2).sum(axis=1) / count[:, 0])
    a, b = (np.where(known, x - x.sum(axis=1, keepdims=True) / count, 0.0) for x in (a, b))
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    r = np.divide((a * b).sum(axis=1), size, out=np.zeros(len(size)), where=size > 1e-12)
    return np.where(np.isnan(count[:, 0]), np.nan, r), rmse


def score_signals(how: dict[str, Method], signals: Signals) -> pd.DataFrame:
    """Compare every lead rebuilt from lead II with the true one.

    Parameters
    ----------
    how : dict of str to method
    signals : Signals
        Whose lead II is seen throughout.

    Returns
    -------
    pandas.DataFrame
        ``method``, ``name``, and for each lead but II ``r_`` and ``rmse_`` with its name.
    """
    rows, others = [], [k for k, lead in enumerate(LEADS) if lead != "II"]
    for k, name in enumerate(signals.names):
        for method, rebuild in how.items():
            r, rmse = alike(rebuild(signals.shown[k, 1], "II"), signals.seen[k])
            rows.append((method, name, *r[others], *rmse[others]))
    columns = [f"{what}_{LEADS[k]}" for what in ("r", "rmse") for k in others]
    return pd.DataFrame(rows, columns=["method", "name", *columns])


def score_pairs(fitted: dict[str, Linear], network: nn.Module, signals: Signals) -> dict[str, np.ndarray]:
    """Compare every lead rebuilt from every lead with the true one.

    Parameters
    ----------
    fitted : dict of str to Linear
        Regression on each of the twelve leads.
    network : torch.nn.Module
        The masked autoencoder.
    signals : Signals
        With twelve leads seen throughout.

    Returns
    -------
    dict
        "linear r", "linear rmse", "masked autoencoder r" and "... rmse": (n, 12, 12) arrays, input by output.
    """
    how = {
        "linear": {lead: partial(apply_linear, fitted[lead]) for lead in LEADS},
        NETWORKS[1]: dict.fromkeys(LEADS, partial(apply_network, network, NETWORKS[1])),
    }
    out = {
        f"{method} {what}": np.zeros((len(signals.names), 12, 12)) for method in how for what in ("r", "rmse")
    }
    for k, (seen, shown) in enumerate(zip(signals.seen, signals.shown, strict=True)):
        for method, by_lead in how.items():
            for row, lead in enumerate(LEADS):
                r, rmse = alike(by_lead[lead](shown[row], lead), seen)
                out[f"{method} r"][k, row], out[f"{method} rmse"][k, row] = r, rmse
    return out


# %% [markdown]
# ## Second judgement: measurements
# A cardiologist does not correlate curves but measures. So each rebuilt ECG is measured as if it were a true one,
# with its own landmarks, by the same functions as the rest of the book, and compared number by number. A page is shown
# as pages are: 2.5 s of each rebuilt lead in its column, the strip in full, and nothing where the page shows nothing.

# %%
MEASURED = (
    "qrs_ms",
    "axis_deg",
    *(f"st_up_{wall}" for wall in measure.TERRITORIES),
    *(f"{lead}_{what}" for lead in LEADS for what in ("r_mv", "s_mv", "stj_mv", "t_mv")),
)
_UNKNOWN = np.iinfo(np.int16).min


def finer(twelve: np.ndarray) -> np.ndarray:
    """Double the rate of rebuilt leads, (12, n) to (12, 2 n) at 250 samples a second."""
    from scipy.signal import resample_poly

    return resample_poly(twelve, 2, 1, axis=-1).astype(np.float32)


def as_record(twelve: np.ndarray, sex: str = "", like: Record | None = None) -> Record:
    """Make a record of rebuilt leads.

    Parameters
    ----------
    twelve : (12, 1250) array
        mV at 125 samples per second.
    sex : str
        As printed; decides the limits of V2 and V3.
    like : Record, optional
        A page's record: what it does not show is not shown of the rebuilt leads, and its rhythm lead stays.

    Returns
    -------
    Record
        At 250 samples per second.
    """
    leads, rhythm = finer(twelve), "II"
    if like is not None:
        leads[~np.isfinite(like.leads)] = np.nan
        leads[LEADS.index(like.rhythm)] = like.leads[LEADS.index(like.rhythm)]
        rhythm = like.rhythm
    return Record(leads, 2 * RATE, rhythm, 0, sex, "", {})


def _true_records(source: str, signals: Signals) -> list[Record]:
    """The ECGs as they are."""
    if source == "ludb":
        return [as_record(seen) for seen in signals.seen]
    sexes = data.pages().set_index("file")["sex"]
    records = [digitize.record(digitize.load(name)) for name in signals.names]
    return [record._replace(sex=sexes[name]) for name, record in zip(signals.names, records, strict=True)]


def _rebuilt_records(source: str, rebuild: Method, signals: Signals, true: list[Record]) -> list[Record]:
    """The ECGs as a method rebuilds them from lead II."""
    like = true if source == "pages" else [None] * len(true)
    return [
        as_record(rebuild(shown[1], "II"), record.sex, model)
        for shown, record, model in zip(signals.shown, true, like, strict=True)
    ]


def _measured(records: list[Record], names: Sequence[str]) -> tuple[pd.DataFrame, np.ndarray]:
    with warnings.catch_warnings():  # of leads that are not shown
        warnings.filterwarnings("ignore", message="All-NaN slice encountered", category=RuntimeWarning)
        return measure.table(zip(names, records, strict=True))


def pack(table: pd.DataFrame) -> np.ndarray:
    """Store measurements small: millivolts as whole microvolts, the rest as whole numbers, in 16 bits.

    Examples
    --------
    >>> row = pd.DataFrame({name: [0.1234] for name in MEASURED})
    >>> pack(row)[0, [0, -1]].tolist()
    [0, 123]
    """
    scale = np.array([1000.0 if name.endswith("_mv") else 1.0 for name in MEASURED])
    values = table[list(MEASURED)].to_numpy(float) * scale
    whole = np.clip(np.round(np.nan_to_num(values)), _UNKNOWN + 1, -(_UNKNOWN + 1))
    return np.where(np.isfinite(values), whole, _UNKNOWN).astype(np.int16)


# %% [markdown]
# ## Third judgement: the diagnosis
# The headline model of the book, fitted on the *true* leads of the training pages, answers for test pages whose leads
# were rebuilt from their strip: what would it say of a watch's ECG? It has never seen a rebuilt lead, so it is
# also fitted anew on rebuilt training pages. And a rival is asked for whom nothing was rebuilt: the same pool of four
# models, given the measurements and beats of lead II alone. Two things here were changed after a first look at test
# parts: rows are fitted in the order of the pages, so that the first variant is the stored headline to the last digit,
# and the fit on the masked autoencoder's leads was added. Nothing was chosen by what was seen.
#
# The rival cannot be beaten by right. Rebuilt leads are a function of lead II (and of what the training hearts
# taught), and no function of lead II knows more of this heart than lead II does: that is the *data processing
# inequality*. A rebuilt ECG can be worth more than its lead only in so far as the model is better at reading twelve
# leads than one.

# %%
RIVAL = "lead II alone"
REFITTED = ("linear", *NETWORKS)  # methods on whose rebuilt pages the headline is also fitted
_POINTS = models._POINTS


def features(frame: pd.DataFrame, kept: np.ndarray) -> pd.DataFrame:
    """Turn measurements and median beats into the columns of the headline's input.

    Parameters
    ----------
    frame, kept
        As from :func:`ecgbook.measure.table`.

    Returns
    -------
    pandas.DataFrame
        Index: ``file``; columns as those of ``ecgbook.models.features("all")``.
    """
    table = frame.set_index("file")
    n = kept.shape[2] // _POINTS
    points = np.nan_to_num(kept[:, :, : n * _POINTS]).reshape(len(kept), 12, n, _POINTS).mean(axis=3)
    names = [f"beat_{lead}_{point:02d}" for lead in LEADS for point in range(n)]
    flat = pd.DataFrame(points.reshape(len(kept), -1).astype(float), index=table.index, columns=names)
    return pd.concat([table, models.summaries(table), flat], axis=1)


def one_lead(record: Record, lead: str = "II") -> Record:
    """Keep one lead of a record; NaN elsewhere."""
    leads = np.full_like(record.leads, np.nan)
    leads[LEADS.index(lead)] = record.leads[LEADS.index(lead)]
    return record._replace(leads=leads, rhythm=lead)


def rival(seed: int = 0) -> models.LogPool:
    """Build the headline's pool for a single lead: 40 components, since its beat has but 56 points."""
    from sklearn.pipeline import make_pipeline

    members = [
        make_pipeline(models._scaled(models._plain, 40), models._svm(seed)),
        make_pipeline(models._scaled(components=40), models._logistic(seed)),
        make_pipeline(models._only(models._measured), models._extra_trees(seed)),
        make_pipeline(models._only(models._measured), models._xgboost(seed)),
    ]
    return models.LogPool(members, power=0.3)


def _labels(names: Sequence[str]) -> np.ndarray:
    return data.pages().set_index("file")["label"].loc[list(names)].map(CLASSES.index).to_numpy()


def _in_order(names: Sequence[str]) -> list[str]:
    """Sort pages as :func:`ecgbook.data.pages` does: fits depend on the order of rows, if only a little."""
    order = {name: row for row, name in enumerate(data.pages()["file"])}
    return sorted(names, key=order.get)  # type: ignore[arg-type]


def _answers(model, X: pd.DataFrame, variant: str) -> pd.DataFrame:
    frame = pd.DataFrame(models.probabilities(model, X), columns=PROBABILITIES)
    return frame.assign(file=X.index.to_numpy(), variant=variant)


def diagnose(dealt: dict[str, Fold], how: dict[str, Method]) -> pd.DataFrame:
    """Ask the headline, fitted in several ways, about the test pages of a fold.

    Parameters
    ----------
    dealt : dict of str to Fold
        As from :func:`parts`.
    how : dict of str to method
        For lead II of pages.

    Returns
    -------
    pandas.DataFrame
        ``file``, ``variant`` and the four probabilities. Variants: "fitted on | read on", and the rival.
    """
    known = _in_order(dealt["train"].pages.names + dealt["val"].pages.names)
    taught = {part: dealt[part].of("pages") for part in ("train", "val")}
    two = _in_order(taught["train"].names + taught["val"].names)
    tested, true = dealt["test"].of("pages"), models.features("all")
    X = {
        method: _features_of([*(taught.values() if method in REFITTED else ()), tested], rebuild)
        for method, rebuild in how.items()
    }
    model = models.build("headline").fit(true.loc[known], _labels(known))
    out = [_answers(model, true.loc[list(tested.names)], "true | true")]
    out += [
        _answers(model, table.loc[list(tested.names), true.columns], f"true | {m}") for m, table in X.items()
    ]
    model = models.build("headline").fit(true.loc[two], _labels(two))
    out += [_answers(model, true.loc[list(tested.names)], "true, lead II pages | true")]
    for method in REFITTED:
        model = models.build("headline").fit(X[method].loc[two, true.columns], _labels(two))
        out += [_answers(model, X[method].loc[list(tested.names), true.columns], f"{method} | {method}")]
    alone = _of_one_lead(X["linear"].columns, (*taught.values(), tested))
    model = rival().fit(alone.loc[two], _labels(two))
    return pd.concat([*out, _answers(model, alone.loc[list(tested.names)], RIVAL)], ignore_index=True)


def _features_of(parted: Sequence[Signals], rebuild: Method) -> pd.DataFrame:
    """The headline's columns of pages whose leads a method rebuilt."""
    tables = []
    for signals in parted:
        true = _true_records("pages", signals)
        records = _rebuilt_records("pages", rebuild, signals, true)
        tables.append(features(*_measured(records, signals.names)))
    return pd.concat(tables)


def _of_one_lead(columns: pd.Index, signals: Sequence[Signals]) -> pd.DataFrame:
    """The columns that lead II alone fills: measurements, and the beat of lead II."""
    names = [name for part in signals for name in part.names]
    records = [one_lead(record) for part in signals for record in _true_records("pages", part)]
    table = features(*_measured(records, names))
    return table[[name for name in columns if not name.startswith("beat_") or name.startswith("beat_II_")]]


# %% [markdown]
# ## The stored runs
# `python -m ecgbook.leads` computes all folds and leaves two folders in `book/results`: `leads-ludb` and `leads-eicp`.
# Three parts a fold (U-Net, masked autoencoder, judgement), each kept in the cache as soon as it is done under a name
# that holds the code it was made with: a run that was interrupted goes on where it stopped. What is stored of LUDB are
# scores and measurements, no signal.


# %%
def _source_until(heading: str) -> str:
    """Digest of this module's code as far as a heading, blind to comments and docstrings."""
    source = inspect.getsource(sys.modules[__name__])
    return publish.code_digest(source.partition(f"# ## {heading}\n")[0])[:16]


def _cached(name: str, heading: str) -> Path:
    folder = data.home() / "cache"
    data.make_folder(folder)
    return folder / f"leads-{name.replace(' ', '-')}-{_source_until(heading)}.npz"


def _keep_part(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with writing(path) as part, open(part, "wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def trained(
    kind: str, fold: int, progress: Callable[[str], None] = lambda word: None
) -> tuple[nn.Module, float]:
    """Train the network of a fold, or take it from the cache.

    Parameters
    ----------
    kind : str
        "U-Net" or "masked autoencoder".
    fold : int
        0 to 4.
    progress : function
        Called with a line at each look of the validation.

    Returns
    -------
    network : torch.nn.Module
    seconds : float
        Processor time of its training.
    """
    import torch

    path, recipe = _cached(f"{kind} {fold}", "The methods of a fold"), RECIPES[kind]
    if not path.is_file():
        dealt, clock = parts(fold), time.process_time()
        with study._one_thread():
            network = fit_network(
                kind,
                dealt["train"],
                dealt["val"],
                recipe,
                fold,
                progress=lambda step, score: progress(f"{kind}, fold {fold}, step {step}: {score:.3f}"),
            )
        state = {key: value.numpy() for key, value in network.state_dict().items()}
        _keep_part(path, state | {"seconds": np.array(time.process_time() - clock)})
    with np.load(path) as kept:
        seconds = float(kept["seconds"])
        state = {key: torch.as_tensor(kept[key]) for key in kept.files if key != "seconds"}
    network = build(kind, recipe.dropout, fold)
    network.load_state_dict(state)
    return network.eval(), seconds


#: Methods whose rebuilt leads are stored for three pages, to be drawn.
EXAMPLES = ("linear", "U-Net")


def _windows(rebuild: Method, signals: Signals) -> np.ndarray:
    """Each rebuilt lead in its own column, whole microvolts; (n, 12, 312) int16."""
    twelve = [rebuild(shown[1], "II") for shown in signals.shown]
    columns = [[found[row, _column(row // 3)[0]] for row in range(12)] for found in twelve]
    return np.round(np.array(columns) / MICROVOLT).astype(np.int16)


def _text(frame: pd.DataFrame) -> np.ndarray:
    return np.array(frame.to_csv(index=False))


def _frame(text: np.ndarray) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(str(text)))


def judge(fold: int) -> dict[str, np.ndarray]:
    """Judge all methods on the test part of a fold, with one thread.

    Parameters
    ----------
    fold : int
        0 to 4.

    Returns
    -------
    dict
        Arrays, and tables as CSV text: what the stored runs are put together from.
    """
    with study._one_thread():
        return _judge(fold, parts(fold))


def _judge(fold: int, dealt: dict[str, Fold]) -> dict[str, np.ndarray]:
    nets = {kind: trained(kind, fold)[0] for kind in NETWORKS}
    clock = time.process_time()
    beat = learn_mean_beat(dealt["train"].joined())
    seconds = {"mean beat": time.process_time() - clock}
    clock = time.process_time()
    fitted = linear_methods(dealt)
    seconds["linear"] = time.process_time() - clock
    out: dict[str, np.ndarray] = {}
    for source in SOURCES:
        how, signals = methods(source, beat, fitted, nets), dealt["test"].of(source)
        out[f"{source} names"] = np.array(signals.names)
        out[f"{source} signals"] = _text(score_signals(how, signals))
        true = _true_records(source, signals)
        out[f"{source} true"] = pack(_measured(true, signals.names)[0])
        for method, rebuild in how.items():
            records = _rebuilt_records(source, rebuild, signals, true)
            out[f"{source} {method}"] = pack(_measured(records, signals.names)[0])
    rebuilt = methods("pages", beat, fitted, nets)
    for method in EXAMPLES:
        out[f"windows {method}"] = _windows(rebuilt[method], dealt["test"].of("pages"))
    out["answers"] = _text(diagnose(dealt, rebuilt))
    by_lead = {lead: linear_methods(dealt, lead)["linear", "ludb"] for lead in LEADS if lead != "II"}
    by_lead["II"] = fitted["linear", "ludb"]
    pairs = score_pairs(by_lead, nets[NETWORKS[1]], dealt["test"].ludb)
    out |= {f"pairs {key}": values for key, values in pairs.items()}
    out["chosen"] = np.array(json.dumps({f"{m}, {s}": one[1:] for (m, s), one in fitted.items()}))
    how, shown = methods("ludb", beat, fitted, nets), dealt["test"].ludb.shown[0, 1]
    cost = {m: _cost(m, how[m], shown, fitted, beat, nets) for m in METHODS}
    seconds |= {kind: trained(kind, fold)[1] for kind in NETWORKS}
    seconds["one number"] = seconds["linear"]  # the same sums
    out["cost"] = np.array(json.dumps({m: cost[m] | {"training_cpu_s": seconds[m]} for m in METHODS}))
    return out


def _cost(
    method: str,
    rebuild: Method,
    shown: np.ndarray,
    fitted: dict,
    beat: np.ndarray,
    nets: dict[str, nn.Module],
) -> dict[str, float]:
    """Trained numbers, size in single precision (kB) and time for one ECG of ten seconds (ms)."""
    if method in nets:
        count = parameters(nets[method])
    elif method == "mean beat":
        count = beat.size
    else:
        count = int((fitted[method, "ludb"].weights != 0).sum())
    rounds, clock = 5, time.process_time()
    for _ in range(rounds):
        rebuild(shown, "II")
    ms = 1000 * (time.process_time() - clock) / rounds
    return {"parameters": count, "kB": count * 4 / 1000, "ms_an_ecg": ms}


def _judged(fold: int) -> dict[str, np.ndarray]:
    """Take a judgement from the cache, or make and keep it."""
    path = _cached(f"judged {fold}", "Putting the runs together")
    if not path.is_file():
        _keep_part(path, judge(fold))
    with np.load(path) as kept:
        return dict(kept)


# %% [markdown]
# ## Putting the runs together
# Test parts of the five folds are joined; metrics are computed by whoever reads them. Of three pages the rebuilt
# leads themselves are kept, so that they can be drawn: chosen by rule, not by eye.

# %%
RUNS = {"ludb": "leads-ludb", "pages": "leads-eicp"}
COLUMNS = {
    "outputs.csv": {
        "fold": "0 to 4; the ECG was in its test part",
        "method": f"one of {', '.join(METHODS)}",
        "name": "file of the page, or number of the LUDB record",
        "r_LEAD": "correlation of the lead rebuilt from lead II with the true one, where that is seen",
        "rmse_LEAD": "root mean square of their difference, mV",
    },
    "measured.npz": {
        "names": "ECGs",
        "true, and each method": "(ECGs, measurements) int16: whole microvolts, ms, degrees, 0/1; -32768 not measured",
        "measurements": "names of the columns",
    },
    "pairs.npz": {
        "names": "LUDB records",
        "METHOD r": "(records, input lead, rebuilt lead) int16: correlation times 10,000",
        "METHOD rmse": "the same for the root mean square difference, whole microvolts",
    },
    "examples.npz": {
        "names": "three pages: highest, median mean correlation of chest leads (U-Net); MI that lost most anterior ST",
        "linear, U-Net": "(3, 12, 312) int16: each rebuilt lead in its own 2.5 s, whole microvolts, 125 a second",
    },
    "answers.csv": {
        "fold": "as in the protocol grouped, repeat 0",
        "variant": f"what the headline was fitted on | what it read; or {RIVAL}",
        "file": "page of the test part whose strip shows lead II",
        "p_MI, p_History_MI, p_Abnormal": "probabilities; that of Normal is what is missing to 1",
    },
}


def _examples(joined: dict[str, np.ndarray], scores: pd.DataFrame) -> list[int]:
    """Rows of three pages for the U-Net: the best, the median, and the MI that lost most ST elevation.

    By the mean correlation of the chest leads; ST by the fall of its mean over V1 to V4, among pages of MI that meet
    the criterion of anterior ST elevation.
    """
    mean_r = (
        scores[scores["method"] == "U-Net"].set_index("name")[[f"r_{lead}" for lead in CHEST]].mean(axis=1)
    )
    order = np.argsort(mean_r.loc[joined["names"]].to_numpy())
    elevated = joined["true"][:, MEASURED.index("st_up_anterior")] == 1
    elevated &= _labels(joined["names"]) == CLASSES.index("MI")  # type: ignore[arg-type]
    st = [MEASURED.index(f"{lead}_stj_mv") for lead in ("V1", "V2", "V3", "V4")]
    levels = {key: np.where(joined[key] == _UNKNOWN, np.nan, joined[key])[:, st] for key in ("true", "U-Net")}
    fall = (levels["true"] - levels["U-Net"]).mean(axis=1)
    fall = np.where(elevated & np.isfinite(fall), fall, -np.inf)
    return [int(order[-1]), int(order[len(order) // 2]), int(fall.argmax())]


def _tables(found: list[dict[str, np.ndarray]], source: str) -> dict[str, str | dict[str, np.ndarray]]:
    """Put the files of a run together from the judgements of all folds."""
    scores = pd.concat([_frame(one[f"{source} signals"]).assign(fold=k) for k, one in enumerate(found)])
    scores = scores[["fold", *scores.columns.drop("fold")]]
    text = scores.to_csv(index=False, float_format="%.4f", lineterminator="\n")
    joined = {
        key: np.concatenate([one[f"{source} {key}"] for one in found]) for key in ("names", "true", *METHODS)
    }
    out = {"outputs.csv": text, "measured.npz": joined | {"measurements": np.array(MEASURED)}}
    if source == "ludb":
        pairs = {
            key: np.concatenate([one[key] for one in found]) for key in found[0] if key.startswith("pairs ")
        }
        scale = {
            key: 10_000 if key.endswith(" r") else 1000 for key in pairs
        }  # r four decimals, RMSE in microvolts
        whole = {
            key.removeprefix("pairs "): np.round(v * scale[key]).astype(np.int16) for key, v in pairs.items()
        }
        return out | {"pairs.npz": {"names": joined["names"], **whole}}
    rows = _examples(joined, scores)
    windows = {m: np.concatenate([one[f"windows {m}"] for one in found])[rows] for m in EXAMPLES}
    out["examples.npz"] = {"names": joined["names"][rows], **windows}
    answers = pd.concat([_frame(one["answers"]).assign(fold=k) for k, one in enumerate(found)])
    answers = answers[["fold", "variant", "file", *PROBABILITIES[:3]]]
    return out | {"answers.csv": answers.to_csv(index=False, float_format="%.5f", lineterminator="\n")}


def _cost_table(found: list[dict[str, np.ndarray]]) -> dict[str, dict[str, float]]:
    """Mean cost of each method over the folds."""
    folds = [json.loads(str(one["cost"])) for one in found]
    return {
        m: {key: round(float(np.mean([f[m][key] for f in folds])), 2) for key in folds[0][m]} for m in METHODS
    }


_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "xgboost", "torch")


def _code() -> dict[str, str]:
    """Digests of the code behind the stored numbers."""
    used = (splits, beats, measure, models)
    sources = {module.__name__.split(".")[-1]: inspect.getsource(module) for module in used}
    digests = {name: publish.code_digest(source)[:16] for name, source in sources.items()}
    return digests | {"leads": _source_until("Reading the runs")}


def _note(
    source: str, found: list[dict[str, np.ndarray]], files: Sequence[str], started: str, wall: float
) -> dict:
    costs = _cost_table(found)
    tables = ("signals.npz", "measurements.csv", "median_beats.npz", "manifest.csv")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024**2 if sys.platform == "darwin" else 1024
    )
    return {
        "run": RUNS[source],
        "task": "leads",
        "model": list(METHODS),
        "input": "lead II for ten seconds, 0.67-25 Hz, 125 samples per second",
        "protocol": "LUDB 1.0.1 by record"
        if source == "ludb"
        else "grouped, pages whose strip shows lead II",
        "weights": "none",
        "settings": {kind: recipe._asdict() for kind, recipe in RECIPES.items()},
        "chosen": [json.loads(str(one["chosen"])) for one in found],
        "cost": costs,
        "seed": "the number of the fold",
        "folds": FOLDS,
        "repeats": 1,
        "columns": {file: COLUMNS[file] for file in files},
        "command": "python -m ecgbook.leads",
        "code": _code(),
        "data": {name: data.digest(data.tables() / name)[1][:16] for name in tables}
        | {"LUDB": hashlib.sha256(of_ludb().seen.tobytes()).hexdigest()[:16]},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": f"{networks.device()}, {platform.machine()}",
        "started": started,
        "training_cpu_s": round(sum(seconds["training_cpu_s"] for seconds in costs.values()) * FOLDS, 1),
        "wall_s": round(wall, 1),
        "wall_s_of": "the last start alone, which may have found parts that were made before",
        "peak_rss_mb": round(peak),
    }


def _laws_of_ludb() -> dict[str, float]:
    """How well LUDB obeys the laws: by its integers, largest residual in units; by its headers' gains, in mV."""
    residuals, by_header = [], []
    for number in ludb.RECORDS:
        raw, scaled = np.rint(ludb.read(number) / ludb.UNIT), ludb.read_by_header(number)
        residuals.append(np.abs(limbs(raw[0], raw[1]) - raw[:6]).max())
        by_header.append(np.abs(limbs(scaled[0], scaled[1]) - scaled[:6]).max())
    return {
        "largest_units": float(max(residuals)),
        "median_by_header_mv": round(float(np.median(by_header)), 3),
    }


def _write(folder: Path, files: dict[str, str | dict[str, np.ndarray]]) -> dict[str, str]:
    """Write the files of a run, each whole; their digests."""
    data.make_folder(folder)
    for name, content in files.items():
        if isinstance(content, str):
            write_whole(folder / name, content)
        else:
            _keep_part(folder / name, content)
    return {name: data.digest(folder / name)[1] for name in files}


def store(results: Path = study.RESULTS, progress: Callable[[str], None] = lambda word: None) -> list[Path]:
    """Compute what is missing, and store both runs.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.
    progress : function
        Told what is done.

    Returns
    -------
    list of pathlib.Path
        The folders of the runs.

    Raises
    ------
    EcgbookError
        LUDB is not there, or a folder cannot be written.
    """
    started, clock, found = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic(), []
    for fold in range(FOLDS):
        for kind in NETWORKS:
            trained(kind, fold, progress)
        found.append(_judged(fold))
        progress(f"fold {fold} judged")
    folders = []
    for source, run in RUNS.items():
        files = _tables(found, source)
        digests = _write(Path(results) / run, files)
        note = _note(source, found, tuple(files), started, time.monotonic() - clock) | {"sha256": digests}
        note |= {"limb_leads": _laws_of_ludb()} if source == "ludb" else {}
        write_whole(Path(results) / run / "run.json", json.dumps(note, indent=1) + "\n")
        folders.append(Path(results) / run)
    return folders


# %% [markdown]
# ## Reading the runs
# The files are checked against the digests in `run.json`, then turned into frames in mV, ms and degrees.


# %%
def note(source: str, results: Path = study.RESULTS) -> dict:
    """Load how a run came about.

    Parameters
    ----------
    source : str
        "ludb" or "pages".
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    dict
        The content of ``run.json``.

    Raises
    ------
    EcgbookError
        No such source, or no such run.

    Examples
    --------
    >>> note("ludb")["command"]
    'python -m ecgbook.leads'
    """
    path = Path(results) / RUNS[models._known(source, RUNS, "source")] / "run.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EcgbookError(f"{path}: no such run; make it with `python -m ecgbook.leads`") from error


def _sound(source: str, file: str, results: Path) -> Path:
    wanted, path = note(source, results)["sha256"][file], Path(results) / RUNS[source] / file
    if not path.is_file() or data.digest(path)[1] != wanted:
        raise EcgbookError(f"{path}: was changed by hand; remove the folder and run again")
    return path


def outputs(source: str, results: Path = study.RESULTS) -> pd.DataFrame:
    """Load the correlations and errors of every lead rebuilt from lead II.

    Parameters
    ----------
    source, results
        As in :func:`note`.

    Returns
    -------
    pandas.DataFrame
        ``fold``, ``method``, ``name`` (str), and ``r_`` and ``rmse_`` (mV) with each lead but II.

    Examples
    --------
    >>> outputs("ludb").groupby("method").size().unique().tolist()
    [200]
    """
    return pd.read_csv(_sound(source, "outputs.csv", results), dtype={"name": str})


def measured(source: str, results: Path = study.RESULTS) -> dict[str, pd.DataFrame]:
    """Load the measurements of the true and the rebuilt ECGs.

    Parameters
    ----------
    source, results
        As in :func:`note`.

    Returns
    -------
    dict of str to pandas.DataFrame
        "true" and each method; index: names, columns :data:`MEASURED` in mV, ms, degrees; NaN where not measured.

    Examples
    --------
    >>> list(measured("pages"))[:2]
    ['true', 'mean beat']
    """
    with np.load(_sound(source, "measured.npz", results)) as kept:
        names, columns = kept["names"], kept["measurements"].tolist()
        whole = {key: kept[key] for key in ("true", *METHODS)}
    scale = np.array([1000.0 if name.endswith("_mv") else 1.0 for name in columns])
    return {
        key: pd.DataFrame(np.where(w == _UNKNOWN, np.nan, w / scale), index=names, columns=columns)
        for key, w in whole.items()
    }


def pairs(what: str = "r", results: Path = study.RESULTS) -> dict[str, np.ndarray]:
    """Load the comparison of every lead rebuilt from every lead of LUDB.

    Parameters
    ----------
    what : str
        "r", or "rmse" in mV.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    dict of str to array
        "linear" and "masked autoencoder": (200, 12, 12), records by input lead by rebuilt lead.

    Examples
    --------
    >>> pairs()["linear"].shape
    (200, 12, 12)
    """
    scale = {"r": 10_000, "rmse": 1000}[models._known(what, ("r", "rmse"), "score")]
    with np.load(_sound("ludb", "pairs.npz", results)) as kept:
        return {method: kept[f"{method} {what}"] / scale for method in ("linear", NETWORKS[1])}


def examples(results: Path = study.RESULTS) -> dict[str, np.ndarray]:
    """Load three pages whose rebuilt leads are kept.

    Returns
    -------
    dict
        "names" (3,): the best, the median, the MI that lost most ST elevation; "linear" and "U-Net": (3, 12, 312)
        arrays, each lead in its own 2.5 s, mV.

    Examples
    --------
    >>> examples()["U-Net"].shape
    (3, 12, 312)
    """
    with np.load(_sound("pages", "examples.npz", results)) as kept:
        return {"names": kept["names"], **{method: kept[method] * MICROVOLT for method in EXAMPLES}}


def answers(results: Path = study.RESULTS) -> dict[str, pd.DataFrame]:
    """Load what the headline said, by variant.

    Returns
    -------
    dict of str to pandas.DataFrame
        Predictions in the format of :func:`ecgbook.evaluate.check`. Variants are named "fitted on | read".

    Examples
    --------
    >>> "true | U-Net" in answers()
    True
    """
    frame = pd.read_csv(_sound("pages", "answers.csv", results))
    frame["p_Normal"] = (1 - frame[PROBABILITIES[:3]].sum(axis=1)).clip(lower=0)
    frame["label"] = np.array(CLASSES)[_labels(frame["file"])]
    frame = frame.assign(repeat=0, part="test")
    return {
        variant: rows[evaluate.COLUMNS].reset_index(drop=True)
        for variant, rows in frame.groupby("variant", sort=False)
    }


# %% [markdown]
# ## What the numbers say
# Intervals resample what is independent: groups of pages, records of LUDB. A method and the linear baseline are
# compared on the same ECGs, so their difference is resampled itself.


# %%
def weights(names: Sequence[str], source: str, replicates: int = 2000) -> np.ndarray:
    """Draw ECGs anew, whole groups at a time.

    Parameters
    ----------
    names : sequence of str
        ECGs.
    source : str
        "ludb" or "pages".
    replicates : int

    Returns
    -------
    (replicates, n) array
        How often each ECG was drawn.

    Examples
    --------
    >>> weights(["1", "2"], "ludb", 3).shape
    (3, 2)
    """
    return _drawn(tuple(names), source, replicates)


@lru_cache(maxsize=8)
def _drawn(names: tuple[str, ...], source: str, replicates: int) -> np.ndarray:
    unit = pd.Series(names) if source == "ludb" else evaluate.units("grouped").loc[list(names)]
    codes, unique = pd.factorize(unit)
    return evaluate.draw(len(unique), replicates)[:, codes].astype(float)


def interval(values: pd.Series, source: str, level: float = 0.95) -> tuple[float, float, float]:
    """Mean over ECGs with an interval that resamples groups or records; what is NaN is left out.

    Parameters
    ----------
    values : pandas.Series
        Index: names of ECGs.
    source : str
        "ludb" or "pages".
    level : float
        Coverage.

    Returns
    -------
    tuple of three floats
        Mean, lower and upper limit.

    Examples
    --------
    >>> interval(pd.Series([0.5, 0.5, np.nan], ["1", "2", "3"]), "ludb")
    (0.5, 0.5, 0.5)
    """
    values = values.dropna()
    drawn = weights(values.index, source)
    means = drawn @ values.to_numpy(float) / drawn.sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(values.mean()), float(low), float(high)


def by_lead(source: str, results: Path = study.RESULTS) -> pd.DataFrame:
    """Tabulate correlation and RMSE of each lead rebuilt from lead II, by method, with intervals.

    Parameters
    ----------
    source, results
        As in :func:`note`.

    Returns
    -------
    pandas.DataFrame
        ``method``, ``lead``, ``r``, ``r_low``, ``r_high``, ``rmse``, ``rmse_low``, ``rmse_high`` (mV).

    Examples
    --------
    >>> len(by_lead("ludb")) == len(METHODS) * 11
    True
    """
    frame, rows = outputs(source, results), []
    for method in METHODS:
        part = frame[frame["method"] == method].set_index("name")
        for lead in (name for name in LEADS if name != "II"):
            scores = (interval(part[f"{what}_{lead}"], source) for what in ("r", "rmse"))
            rows.append((method, lead, *(number for score in scores for number in score)))
    ends = ("", "_low", "_high")
    return pd.DataFrame(rows, columns=["method", "lead", *(f"{w}{e}" for w in ("r", "rmse") for e in ends)])


def against_linear(
    source: str, what: str = "rmse", over: Sequence[str] = CHEST, results: Path = study.RESULTS
) -> pd.DataFrame:
    """Compare each method with the linear baseline on some leads together.

    Parameters
    ----------
    source : str
        "ludb" or "pages".
    what : str
        "rmse" (mV) or "r".
    over : sequence of str
        The leads; by default V1 to V6.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        Index: methods. ``mean``, ``low``, ``high`` over ECGs of the mean over the leads, and ``apart``, ``apart_low``,
        ``apart_high``: the same of the difference to the linear baseline on the same ECG.

    Examples
    --------
    >>> float(against_linear("pages").loc["linear", "apart"])
    0.0
    """
    frame = outputs(source, results)
    mean = frame.set_index(["method", "name"])[[f"{what}_{lead}" for lead in over]].mean(axis=1)
    rows = {m: (*interval(mean[m], source), *interval(mean[m] - mean["linear"], source)) for m in METHODS}
    columns = ["mean", "low", "high", "apart", "apart_low", "apart_high"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def agreement(source: str, method: str, what: str, results: Path = study.RESULTS) -> dict[str, float]:
    """Compare a measurement on rebuilt and true ECGs after Bland and Altman.

    Parameters
    ----------
    source : str
        "ludb" or "pages".
    method : str
        One of :data:`METHODS`.
    what : str
        One of :data:`MEASURED`; angles are compared round the circle.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    dict
        ``n`` pairs, ``bias`` (mean of rebuilt minus true) with ``bias_low`` and ``bias_high``, and the limits between
        which 95 % of the differences lie if they are normal, ``low`` and ``high`` (bias plus and minus 1.96 standard
        deviations); ``slope``, by which the rebuilt values follow the true ones, and ``lost``, the share of ECGs that
        could not be measured after rebuilding.

    References
    ----------
    Bland and Altman, "Statistical methods for assessing agreement between two methods of clinical measurement",
    Lancet 327, 1986.

    Examples
    --------
    >>> found = agreement("pages", "linear", "V2_stj_mv")
    >>> found["low"] < found["bias"] < found["high"]
    True
    """
    table = measured(source, results)
    true, found = table["true"][what].dropna(), table[method][what]
    apart = (found - true).dropna()
    if what.endswith("_deg"):
        apart = (apart + 180) % 360 - 180
    bias, low, high = interval(apart, source)
    sd = float(apart.std())
    slope = float(np.cov(found[apart.index], true[apart.index])[0, 1] / true[apart.index].var())
    return {
        "n": len(apart),
        "bias": bias,
        "bias_low": low,
        "bias_high": high,
        "low": bias - 1.96 * sd,
        "high": bias + 1.96 * sd,
        "slope": slope,
        "lost": float(1 - len(apart) / len(true)),
    }


def st_elevations(source: str, results: Path = study.RESULTS) -> pd.DataFrame:
    """Count ECGs that meet the criterion of anterior ST elevation before and after rebuilding.

    Parameters
    ----------
    source, results
        As in :func:`note`.

    Returns
    -------
    pandas.DataFrame
        Index: methods. ``kept`` (met before and after), ``lost``, ``invented``, ``never``.

    Examples
    --------
    >>> int(st_elevations("pages").sum(axis=1).max()) <= 388
    True
    """
    table, rows = measured(source, results), {}
    before = table["true"]["st_up_anterior"]
    for method in METHODS:
        after = table[method]["st_up_anterior"]
        known = before.notna() & after.notna()
        b, a = before[known] == 1, after[known] == 1
        rows[method] = (int((b & a).sum()), int((b & ~a).sum()), int((~b & a).sum()), int((~b & ~a).sum()))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["kept", "lost", "invented", "never"])


# %%
def main(arguments: list[str]) -> int:
    """Make the stored runs; "fold K" makes the parts of one fold and stores nothing."""
    told = partial(print, file=sys.stderr, flush=True)
    try:
        if arguments[:1] == ["fold"] and len(arguments) == 2:
            for kind in NETWORKS:
                trained(kind, int(arguments[1]), told)
            _judged(int(arguments[1]))
        else:
            print(*store(progress=told), sep="\n")
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    from ecgbook import leads as module  # under its package name, as everywhere else

    sys.exit(module.main(sys.argv[1:]))
