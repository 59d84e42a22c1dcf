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
# # Detect: waves as objects in a strip
# A delineator works in steps: find the beats, then look around each for its waves. A *detector* answers at once: here
# is a strip, these are the P waves, QRS complexes and T waves in it, each a box in time with a centre, a width and a
# score. ECG-DETR did this for heartbeats, after DETR had done it for pictures: a Transformer holds a fixed number of
# *queries*, each of which may claim one object or none, and a matching of claims with objects, one to one, decides
# which claim is trained towards which object. There is no grid of candidates to thin out, and no beat detector first.
#
# This module holds such a detector for the waves that LUDB's cardiologists marked, a rival that names every sample (a
# U-Net), the count that judges both (average precision), and the run `detect-ludb`.

# %%
"""Detect P, QRS and T as sets of boxes; a segmenting rival; average precision; the run on LUDB."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional

from ecgbook import data, evaluate, ludb, publish
from ecgbook.beats import WAVES
from ecgbook.data import EcgbookError, write_whole
from ecgbook.models import _known
from ecgbook.synth import LEADS, page_filter

RESULTS = publish.ROOT / "book" / "results"
RUN = "detect-ludb"
FS = 250  # samples per second
WINDOW = 640  # samples that the detector sees at a time
SECONDS = WINDOW / FS

# %% [markdown]
# ## A strip and its waves
# One lead of one record is a strip: ten seconds, filtered as the pages were, brought to mean 0 and spread 1, for a
# detector has no use for millivolts. LUDB marks no first and no last beat: outside the marked stretch a wave that
# nobody marked is no false alarm, and so nothing there is trained on or judged. Some marked waves lack an end; a lead
# with such a wave is left out of training, and a report that covers such a wave is not counted.


# %%
class Strip(NamedTuple):
    """One lead with the waves that are marked in it.

    Attributes
    ----------
    record : int
        Number of the record; 0 for a drawn strip.
    lead : str
        One of ``LEADS``, or "".
    signal : (n,) float32 array
        250 samples per second, mean 0, standard deviation 1.
    kind : (m,) int array
        Index into ``WAVES``, in order of time.
    edges : (m, 2) array
        Onset and offset, s; the peak stands in for an end that was not marked.
    whole : (m,) bool array
        Were both ends marked?
    stretch : tuple of two floats
        From the first to the last mark, s.
    """

    record: int
    lead: str
    signal: np.ndarray
    kind: np.ndarray
    edges: np.ndarray
    whole: np.ndarray
    stretch: tuple[float, float]


def standard(signals: np.ndarray) -> np.ndarray:
    """Bring strips to mean 0 and standard deviation 1; a flat one to 0.

    Parameters
    ----------
    signals : (..., n) array
        In any unit.

    Returns
    -------
    (..., n) float32 array

    Examples
    --------
    >>> standard(np.array([[1.0, 3.0], [5.0, 5.0]])).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    signals = np.asarray(signals, float)
    signals = signals - signals.mean(axis=-1, keepdims=True)
    spread = signals.std(axis=-1, keepdims=True)
    return (signals / np.where(spread > 0, spread, 1.0)).astype(np.float32)


def _strip(number: int, lead: str, signal: np.ndarray) -> Strip:
    marks = ludb.annotated(number, lead)
    edges = marks[["onset", "offset"]].to_numpy()
    filled = np.where(np.isnan(edges), marks[["peak"]].to_numpy(), edges)
    kind = marks["wave"].map({wave: k for k, wave in enumerate(WAVES)}).to_numpy()
    stretch = float(filled.min()), float(filled.max())
    return Strip(number, lead, signal, kind, filled, ~np.isnan(edges).any(axis=1), stretch)


def strips(numbers: Iterable[int]) -> list[Strip]:
    """Read records of LUDB as strips, twelve a record.

    Parameters
    ----------
    numbers : iterable of int
        1 to 200.

    Returns
    -------
    list of Strip

    Raises
    ------
    EcgbookError
        If LUDB is not there.
    """
    out = []
    for number in numbers:
        signals = standard(ludb.as_filtered(ludb.read(number)))
        out += [_strip(number, lead, signal) for lead, signal in zip(LEADS, signals, strict=True)]
    return out


# %% [markdown]
# ## Strips from a pen
# A Transformer is hungry, and 140 hearts are few. So lessons begin on strips that cost nothing: half sine waves and
# their squares, placed one after another, with a rate, a PR interval, shapes and noise drawn anew for each strip. They
# look like an ECG drawn by a child, but the ends of each wave are known exactly, which not even a cardiologist can say
# of a real one. `synth` draws better hearts, whose waves are sums of Gaussians; a Gaussian, though, has no end.


# %%
class _Habit(NamedTuple):
    """What the beats of one drawn strip have in common; times in s."""

    rr: float
    unsteady: float
    qrs: tuple[float, np.ndarray]  # width; sizes of its one to three lobes, with sign
    t: tuple[float, float, float, float]  # gap before it, width, size, skew
    p: tuple[float, float, float]  # gap after it, width, size; size 0: there is none


def _habit(rng: np.random.Generator) -> _Habit:
    lobes = rng.uniform(0.2, 1.0, rng.choice([1, 2, 3], p=[0.2, 0.4, 0.4]))
    lobes *= rng.choice([-1, 1]) * (-1.0) ** np.arange(len(lobes))
    upright = rng.choice([-1, 1], 2, p=[0.25, 0.75])
    t = rng.uniform(0.03, 0.14), rng.uniform(0.13, 0.24), rng.uniform(0.04, 0.5) * upright[0]
    p = rng.uniform(0.02, 0.10), rng.uniform(0.07, 0.13), rng.uniform(0.03, 0.20) * upright[1]
    return _Habit(
        rng.uniform(0.5, 1.3),
        rng.choice([0.02, 0.20], p=[0.8, 0.2]),
        (rng.uniform(0.07, 0.15), lobes),
        (*t, rng.uniform(0.8, 1.8)),
        p if rng.random() < 0.85 else (*p[:2], 0.0),
    )


def _hump(length: int, size: float, skew: float = 1.0) -> np.ndarray:
    """Squared half sine that leaves and meets the baseline at its ends."""
    return size * np.sin(np.pi * ((np.arange(length) + 0.5) / length) ** skew) ** 2


def _complex(length: int, lobes: np.ndarray) -> np.ndarray:
    """Half sines of alternate sign, one after another."""
    at = (np.arange(length) + 0.5) / length * len(lobes)
    return lobes[np.minimum(at.astype(int), len(lobes) - 1)] * np.sin(np.pi * (at % 1))


def _beats(habit: _Habit, seconds: float, rng: np.random.Generator) -> list[tuple[int, float, float]]:
    """Kind, onset and width of each wave of a strip, s."""
    out, time = [], rng.uniform(-habit.rr, 0.2)
    while time < seconds:
        step = habit.rr * max(0.6, 1 + habit.unsteady * rng.normal())
        slow = min(1.0, np.sqrt(step / 0.9))  # repolarisation is shorter in a fast rhythm
        t_onset, t_width = time + habit.qrs[0] + slow * habit.t[0], slow * habit.t[1]
        p_onset = time + step - habit.p[0] - habit.p[1]
        out += [(WAVES.index("QRS"), time, habit.qrs[0]), (WAVES.index("T"), t_onset, t_width)]
        if habit.p[2] and p_onset > t_onset + t_width + 0.01:
            out.append((WAVES.index("P"), p_onset, habit.p[1]))
        time += step
    return out


def drawn(rng: np.random.Generator, seconds: float = 10.0) -> Strip:
    """Draw a strip whose waves are known to the sample.

    Parameters
    ----------
    rng : numpy.random.Generator
        It is advanced.
    seconds : float
        Length.

    Returns
    -------
    Strip
        Filtered to 0.67-25 Hz; ``stretch`` is all of it, waves cut by its ends are left out.

    Examples
    --------
    >>> one = drawn(np.random.default_rng(0), 4.0)
    >>> one.signal.shape, [WAVES[k] for k in one.kind[:4]]
    ((1000,), ['QRS', 'T', 'P', 'QRS'])
    """
    habit, n = _habit(rng), round(seconds * FS)
    signal = rng.lognormal(np.log(0.01), 0.7) * rng.normal(size=n)
    shapes = {
        "P": partial(_hump, size=habit.p[2]),
        "QRS": partial(_complex, lobes=habit.qrs[1]),
        "T": partial(_hump, size=habit.t[2], skew=habit.t[3]),
    }
    waves = []
    for kind, onset, width in _beats(habit, seconds, rng):
        first, last = round(onset * FS), round((onset + width) * FS)
        if first >= 0 and last <= n:
            signal[first:last] += shapes[WAVES[kind]](last - first)
            waves.append((kind, first / FS, last / FS))
    kind, *edges = np.array(sorted(waves, key=lambda wave: wave[1])).reshape(-1, 3).T
    return Strip(
        0,
        "",
        standard(page_filter(signal, FS)),
        kind.astype(int),
        np.stack(edges, axis=1),
        np.ones(len(kind), bool),
        (0.0, seconds),
    )


# %% [markdown]
# ## Crops
# Training sees a strip through a window of 2.56 s that may lie anywhere inside its marked stretch, with the pace of
# time stretched or shrunk by up to 15 %, a wandering baseline, another size and some noise: no crop is ever seen twice.
# A wave belongs to the window that holds its centre; its box may reach over the rim.


# %%
class Batch(NamedTuple):
    """Crops and their waves.

    Attributes
    ----------
    x : (b, 1, 640) tensor
        Signals.
    kind : list of (m,) int arrays
        Index into ``WAVES``, for each crop.
    boxes : list of (m, 2) float32 arrays
        Centre and width as shares of the window.
    """

    x: Tensor
    kind: list[np.ndarray]
    boxes: list[np.ndarray]


def crop(strip: Strip, start: float, pace: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut a window out of a strip.

    Parameters
    ----------
    strip : Strip
    start : float
        Where the window begins, s.
    pace : float
        Seconds of the strip in a second of the window.

    Returns
    -------
    signal : (640,) array
    kind : (m,) int array
    boxes : (m, 2) float32 array
        Centre and width of each wave whose centre lies inside, as shares of the window.

    Examples
    --------
    >>> one = Strip(0, "", np.zeros(2500, "f4"), np.array([1]), np.array([[2.0, 2.1]]), np.array([True]), (0, 10))
    >>> crop(one, 2.05 - 1.28)[2].astype(float).round(3).tolist()
    [[0.5, 0.039]]
    """
    at = start * FS + np.arange(WINDOW) * pace
    signal = np.interp(at, np.arange(strip.signal.size), strip.signal)
    centre = (strip.edges.mean(axis=1) - start) / (pace * SECONDS)
    width = np.diff(strip.edges, axis=1)[:, 0] / (pace * SECONDS)
    inside = (centre > 0) & (centre < 1)
    return signal, strip.kind[inside], np.stack([centre, width], axis=1)[inside].astype(np.float32)


def _disturbed(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another size, a slow wave and noise; units of the strip's standard deviation."""
    time = np.arange(WINDOW) / FS
    wander = rng.uniform(0, 0.3) * np.sin(2 * np.pi * (rng.uniform(0.1, 0.6) * time + rng.random()))
    noise = rng.lognormal(np.log(0.02), 0.7) * rng.normal(size=WINDOW)
    return rng.lognormal(0, 0.25) * signal + wander + noise


def batch(pool: Sequence[Strip], size: int, rng: np.random.Generator) -> Batch:
    """Draw crops, with augmentation.

    Parameters
    ----------
    pool : sequence of Strip
        To draw from; each marked for 3 s or more.
    size : int
        Number of crops.
    rng : numpy.random.Generator
        It is advanced.

    Returns
    -------
    Batch

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> batch([drawn(rng)], 3, rng).x.shape
    torch.Size([3, 1, 640])
    """
    signals, kinds, boxes = [], [], []
    for strip in (pool[k] for k in rng.integers(len(pool), size=size)):
        pace = rng.uniform(0.85, 1.15)
        start = rng.uniform(strip.stretch[0], strip.stretch[1] - pace * SECONDS)
        signal, kind, box = crop(strip, start, pace)
        signals.append(_disturbed(signal, rng))
        kinds.append(kind)
        boxes.append(box)
    return Batch(torch.tensor(np.array(signals), dtype=torch.float32)[:, None], kinds, boxes)


# %% [markdown]
# ## The detector
# *Backbone*: five convolutions bring 640 samples to 160 positions of 16 ms and to 80 of 32 ms. *Encoder*: at the 80
# positions every piece of the strip attends to every other (what is a P wave is said by the QRS that follows), and the
# result is laid over the 160 finer positions, for boundaries want detail. *Decoder*: 32 queries, each with a box of its
# own to begin with, look at one another (so that two do not claim one wave) and at the strip, and move their boxes,
# twice. A query does not look everywhere: it reads the strip at a few points in and around its box, places it learns to
# choose. That is the *deformable attention* of a later DETR; the plain one needs some ten times as many steps to learn
# where to look.


# %%
def _positions(where: Tensor, size: int) -> Tensor:
    """Sines and cosines of positions in [0, 1], the last axis of length ``size``."""
    rates = 2 * np.pi * torch.logspace(0, 6, size // 2, 2.0)
    angles = where[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _convolution(before: int, after: int, width: int, stride: int = 1) -> nn.Sequential:
    inner = nn.Conv1d(before, after, width, stride, padding=width // 2, bias=False)
    return nn.Sequential(inner, nn.BatchNorm1d(after), nn.ReLU())


class _Residual(nn.Module):
    def __init__(self, size: int, width: int = 5) -> None:
        super().__init__()
        self.body = nn.Sequential(_convolution(size, size, width), _convolution(size, size, width)[:2])

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.body(x))


class _Deformable(nn.Module):
    """Attention of queries to a few points in and around their boxes."""

    def __init__(self, size: int, heads: int, points: int) -> None:
        super().__init__()
        self.heads, self.points = heads, points
        self.offset = nn.Linear(size, heads * points)  # in units of three quarters of the box's width
        self.weight = nn.Linear(size, heads * points)
        self.value = nn.Linear(size, size)
        self.out = nn.Linear(size, size)
        nn.init.zeros_(self.offset.weight)
        with torch.no_grad():
            self.offset.bias.copy_(torch.linspace(-1, 1, heads * points))

    def forward(self, query: Tensor, boxes: Tensor, memory: Tensor) -> Tensor:
        """(b, q, d), (b, q, 2), (b, n, d) to (b, q, d)."""
        b, q, d = query.shape
        h, k = self.heads, self.points
        where = boxes[..., :1] + 0.75 * boxes[..., 1:] * self.offset(query)
        at = (where * memory.shape[1] - 0.5).clamp(0, memory.shape[1] - 1.001)
        at = at.view(b, q, h, k).transpose(1, 2).reshape(b, h, 1, q * k)
        value = self.value(memory).view(b, -1, h, d // h).permute(0, 2, 3, 1)  # (b, h, d / h, n)
        left = at.long().expand(-1, -1, d // h, -1)
        seen = torch.lerp(value.gather(3, left), value.gather(3, left + 1), at - at.floor())
        weight = self.weight(query).view(b, q, h, k).softmax(-1).transpose(1, 2)
        mixed = (seen.view(b, h, d // h, q, k) * weight[:, :, None]).sum(-1)
        return self.out(mixed.permute(0, 3, 1, 2).reshape(b, q, d))


class _DecoderLayer(nn.Module):
    def __init__(self, size: int, heads: int, points: int) -> None:
        super().__init__()
        self.among = nn.MultiheadAttention(size, heads, batch_first=True)
        self.look = _Deformable(size, heads, points)
        self.think = nn.Sequential(nn.Linear(size, 2 * size), nn.ReLU(), nn.Linear(2 * size, size))
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(3))
        self.name = nn.Linear(size, len(WAVES))
        self.move = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, 2))
        nn.init.constant_(self.name.bias, -2.0)  # most queries claim nothing
        nn.init.zeros_(self.move[-1].weight)
        nn.init.zeros_(self.move[-1].bias)

    def forward(self, query: Tensor, place: Tensor, boxes: Tensor, memory: Tensor) -> Tensor:
        known = query + place
        query = self.norms[0](query + self.among(known, known, query, need_weights=False)[0])
        query = self.norms[1](query + self.look(query + place, boxes, memory))
        return self.norms[2](query + self.think(query))


class Detector(nn.Module):
    """Set prediction of waves in a window, after DETR.

    Parameters
    ----------
    size : int
        Numbers that describe a position or a query; a multiple of ``heads``.
    queries : int
        Waves that can be claimed in a window; no window of LUDB holds more than 14.
    layers, heads, points : int
        Of the decoder; points a head and query look at.

    Examples
    --------
    >>> scores, boxes = Detector()(torch.zeros(2, 1, 640))[-1]
    >>> scores.shape, boxes.shape
    (torch.Size([2, 32, 3]), torch.Size([2, 32, 2]))
    """

    def __init__(
        self, size: int = 48, queries: int = 32, layers: int = 2, heads: int = 4, points: int = 4
    ) -> None:
        super().__init__()
        self.size = size
        self.fine = nn.Sequential(
            _convolution(1, 24, 9, 2), _Residual(24), _convolution(24, 32, 5, 2), _Residual(32)
        )
        self.coarse = nn.Sequential(_convolution(32, size, 5, 2), _Residual(size, 3))
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(size, heads, 2 * size, dropout=0.0, batch_first=True) for _ in range(2)
        )
        self.side, self.merge = nn.Conv1d(32, size, 1), _convolution(size, size, 1)
        self.query = nn.Parameter(0.1 * torch.randn(queries, size))
        centre = (torch.arange(queries) + 0.5) / queries
        self.start = nn.Parameter(torch.logit(torch.stack([centre, torch.full_like(centre, 0.05)], dim=-1)))
        self.place = nn.Linear(2 * size, size)
        self.decoder = nn.ModuleList(_DecoderLayer(size, heads, points) for _ in range(layers))

    def memory(self, x: Tensor) -> Tensor:
        """Describe a window, (b, 1, n) to (b, n / 4, size)."""
        fine = self.fine(x)
        coarse = self.coarse(fine).transpose(1, 2)
        n = coarse.shape[1]
        coarse = coarse + _positions((torch.arange(n, device=x.device) + 0.5) / n, self.size).to(x.device)
        for layer in self.encoder:
            coarse = layer(coarse)
        spread = functional.interpolate(coarse.transpose(1, 2), size=fine.shape[2], mode="linear")
        return self.merge(self.side(fine) + spread).transpose(1, 2)

    def forward(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Claim waves: for each decoder layer logits (b, q, 3) and boxes (b, q, 2), shares of the window."""
        memory, out = self.memory(x), []
        query, raw = (part.expand(len(x), -1, -1) for part in (self.query, self.start))
        for layer in self.decoder:
            boxes = raw.sigmoid()
            query = layer(query, self.place(_positions(boxes, self.size).flatten(2)), boxes, memory)
            raw = raw + layer.move(query)
            out.append((layer.name(query), raw.sigmoid()))
            raw = raw.detach()  # each layer answers for its own move
        return out


# %% [markdown]
# ## How well two boxes agree
# Intersection over union (IoU) is the share of the stretch covered by either box that both cover: 1 if they agree, 0 as
# soon as they do not touch, however far they are apart. For training that is a flat desert, and so the *generalised*
# IoU takes off the share of the smallest common hull that neither covers: below 0 it still says which way is nearer.


# %%
def _ends(boxes: Tensor) -> tuple[Tensor, Tensor]:
    half = boxes[..., 1] / 2
    return boxes[..., 0] - half, boxes[..., 0] + half


def overlap(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Compute intersection over union, plain and generalised.

    Parameters
    ----------
    a, b : (..., 2) tensors
        Centre and width; shapes that broadcast.

    Returns
    -------
    two (...) tensors
        IoU, 0 to 1; generalised IoU (Rezatofighi et al. 2019), -1 to 1.

    Examples
    --------
    >>> one, far = torch.tensor([1.0, 2.0]), torch.tensor([[2.0, 2.0], [4.0, 2.0]])
    >>> [[round(x, 3) for x in value.tolist()] for value in overlap(one, far)]
    [[0.333, 0.0], [0.333, -0.2]]
    """
    (a0, a1), (b0, b1) = _ends(a), _ends(b)
    common = (torch.minimum(a1, b1) - torch.maximum(a0, b0)).clamp(min=0)
    union = (a1 - a0) + (b1 - b0) - common
    hull = torch.maximum(a1, b1) - torch.minimum(a0, b0)
    iou = common / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


# %% [markdown]
# ## The matching and the loss
# Which claim should have been which wave? Every assignment of waves to claims has a price: high where the claim's score
# for that kind of wave is low, where its box is far, where it fits badly. The Hungarian algorithm finds the cheapest
# assignment of all. Then the boxes of the matched claims are pulled towards their waves (distance and generalised IoU),
# and scores are trained: the target of a matched claim is the IoU it reached, so that a score says "here, and this
# well"; the target of all others is 0, and of these the bold weigh most.

# %%
_DISTANCE, _FIT, _NAME = 5.0, 2.0, 2.0  # weights of DETR and its successors
_BOLD = 0.75  # weight of a claim that is none, times its score squared


class _Targets(NamedTuple):
    """Waves of a batch, padded to the same number."""

    kind: Tensor  # (b, m)
    boxes: Tensor  # (b, m, 2)
    count: list[int]  # type: ignore[assignment]


def _targets(given: Batch) -> _Targets:
    count = [len(kind) for kind in given.kind]
    kind = torch.zeros(len(count), max(1, *count), dtype=torch.long)
    boxes = torch.full((*kind.shape, 2), 0.5)
    for row, m in enumerate(count):
        kind[row, :m] = torch.from_numpy(given.kind[row])
        boxes[row, :m] = torch.from_numpy(given.boxes[row])
    where = given.x.device
    return _Targets(kind.to(where), boxes.to(where), count)


def prices(logits: Tensor, boxes: Tensor, kind: Tensor, wanted: Tensor) -> Tensor:
    """Price of giving each wave to each claim.

    Parameters
    ----------
    logits, boxes : (b, q, 3) and (b, q, 2) tensors
        Claims.
    kind, wanted : (b, m) and (b, m, 2) tensors
        Waves.

    Returns
    -------
    (b, q, m) tensor

    Examples
    --------
    >>> logits = torch.tensor([[[3.0, -3.0, -3.0], [-3.0, 3.0, -3.0]]])
    >>> boxes = torch.tensor([[[0.2, 0.1], [0.5, 0.1]]])
    >>> price = prices(logits, boxes, torch.tensor([[1, 0]]), torch.tensor([[[0.5, 0.1], [0.3, 0.1]]]))
    >>> price[0].argmin(dim=0).tolist()
    [1, 0]
    """
    p = logits.sigmoid().gather(2, kind[:, None].expand(-1, logits.shape[1], -1))
    name = 0.25 * (1 - p) ** 2 * -(p + 1e-8).log() - 0.75 * p**2 * -(1 - p + 1e-8).log()
    fit = 1 - overlap(boxes[:, :, None], wanted[:, None])[1]
    distance = (boxes[:, :, None] - wanted[:, None]).abs().sum(dim=-1)
    return _NAME * name + _DISTANCE * distance + _FIT * fit


def pairs(price: np.ndarray, count: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Match claims and waves, one to one, at the lowest price in all.

    Parameters
    ----------
    price : (b, q, m) array
    count : sequence of int
        Waves of each crop; what stands behind them is padding.

    Returns
    -------
    three (p,) int arrays
        Crop, claim and wave of each pair.

    Examples
    --------
    >>> greedy_fails = np.array([[[1.0, 2.0], [1.5, 9.0]]])  # claim 0 is the best for both
    >>> [index.tolist() for index in pairs(greedy_fails, [2])]
    [[0, 0], [0, 1], [1, 0]]
    """
    found = [linear_sum_assignment(price[row, :, :m]) for row, m in enumerate(count)]
    rows = [np.full(len(claim), row) for row, (claim, _) in enumerate(found)]
    return tuple(np.concatenate(part) for part in (rows, *zip(*found, strict=True)))  # type: ignore[return-value]


def set_loss(out: list[tuple[Tensor, Tensor]], given: Batch) -> Tensor:
    """Loss of a detector's claims, summed over the decoder's layers, per wave.

    Parameters
    ----------
    out : list of (logits, boxes)
        From :class:`Detector`.
    given : Batch

    Returns
    -------
    () tensor
    """
    target, total = _targets(given), out[0][0].new_zeros(())
    for logits, boxes in out:
        with torch.no_grad():
            price = prices(logits, boxes, target.kind, target.boxes).cpu().numpy()
        crops, claims, waves = map(torch.from_numpy, pairs(price, target.count))
        own, goal = boxes[crops, claims], target.boxes[crops, waves]
        iou, generalised = overlap(own, goal)
        wanted = torch.zeros_like(logits)
        wanted[crops, claims, target.kind[crops, waves]] = iou.detach()
        weight = torch.where(wanted > 0, wanted, _BOLD * logits.detach().sigmoid() ** 2)
        name = functional.binary_cross_entropy_with_logits(logits, wanted, weight, reduction="sum")
        total = total + name + _DISTANCE * (own - goal).abs().sum() + _FIT * (1 - generalised).sum()
    return total / max(1, sum(target.count))


# %% [markdown]
# ## The rival: a name for every sample
# A *U-Net* needs no claims and no matching. It goes down to coarse positions and up again, is given the fine ones once
# more on the way, and says of each sample: none, P, QRS or T. Runs of the same name are the waves; the score of a run
# is the mean probability of its name. For waves that do not overlap, this is the natural way, and so it is the bar.


# %%
class UNet(nn.Module):
    """Segmentation of a strip into waves.

    Parameters
    ----------
    sizes : tuple of int
        Channels at each level; a level has half the positions of the one above.

    Examples
    --------
    >>> UNet()(torch.zeros(2, 1, 2500)).shape  # any length
    torch.Size([2, 4, 2500])
    """

    def __init__(self, sizes: tuple[int, ...] = (12, 24, 32, 48, 64)) -> None:
        super().__init__()
        steps = list(pairwise(sizes))
        self.first = nn.Sequential(_convolution(1, sizes[0], 9), _Residual(sizes[0]))
        self.downs = nn.ModuleList(nn.Sequential(_convolution(a, b, 5, 2), _Residual(b)) for a, b in steps)
        self.ups = nn.ModuleList(_convolution(a + b, a, 5) for a, b in steps)
        self.last = nn.Conv1d(sizes[0], 1 + len(WAVES), 1)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 1, n) to logits (b, 4, n): none, P, QRS, T."""
        levels = [self.first(x)]
        for down in self.downs:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up in reversed(self.ups):
            level = levels.pop()
            x = up(torch.cat([functional.interpolate(x, size=level.shape[2], mode="linear"), level], dim=1))
        return self.last(x)


def painted(given: Batch) -> Tensor:
    """Name of each sample of a batch, (b, 640): 0 none, then 1 + index into ``WAVES``."""
    out = torch.zeros(len(given.x), WINDOW, dtype=torch.long)
    for row, kinds, boxes in zip(out, given.kind, given.boxes, strict=True):
        first = np.round((boxes[:, 0] - boxes[:, 1] / 2) * WINDOW).astype(int)
        last = np.round((boxes[:, 0] + boxes[:, 1] / 2) * WINDOW).astype(int)
        for kind, a, b in zip(kinds, np.maximum(first, 0), np.maximum(last, 0), strict=True):
            row[a:b] = int(kind) + 1
    return out


def sample_loss(out: Tensor, given: Batch) -> Tensor:
    """Cross-entropy of a U-Net's names."""
    return functional.cross_entropy(out, painted(given).to(out.device))


# %% [markdown]
# ## Training
# Both learn by the same loop: crops drawn at random, AdamW, a warm-up and half a cosine, a fixed number of steps. No
# step is chosen afterwards, so the validation records have nothing to do here; they set the score above which a claim
# counts.


# %%
def fit(
    network: nn.Module,
    loss: Callable[[object, Batch], Tensor],
    pool: Sequence[Strip],
    steps: int,
    rate: float = 1e-3,
    size: int = 24,
    seed: int = 0,
    told: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train a network on crops of strips.

    Parameters
    ----------
    network : torch.nn.Module
        :class:`Detector` or :class:`UNet`; it is changed.
    loss : callable
        :func:`set_loss` or :func:`sample_loss`.
    pool : sequence of Strip
    steps, size : int
        Batches, and crops in each.
    rate : float
        Highest learning rate.
    seed : int
        Of the crops.
    told : callable, optional
        Called as ``told(step, loss)`` every hundred steps.

    Returns
    -------
    list of float
        Loss of each step.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> len(fit(UNet((4, 4)), sample_loss, [drawn(rng)], steps=2, size=2))
    2
    """
    rng, losses = np.random.default_rng(seed), []
    where = next(network.parameters()).device
    optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 100) * 0.5 * (1 + np.cos(np.pi * step / steps))
    )
    network.train()
    for step in range(steps):
        given = batch(pool, size, rng)
        given = given._replace(x=given.x.to(where))
        value = loss(network(given.x), given)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(value.item())
        if told is not None and (step + 1) % 100 == 0:
            told(step + 1, float(np.mean(losses[-100:])))
    return losses


# %% [markdown]
# ## From a network to waves in a strip
# A strip is longer than a window, so windows overlap by half, and each answers for the waves whose centre is nearer to
# its middle than to any other's. The U-Net reads the strip in one go.


# %%
class Found(NamedTuple):
    """Waves reported in one strip: ``kind`` (r,), ``edges`` (r, 2) in s, ``score`` (r,) from 0 to 1."""

    kind: np.ndarray
    edges: np.ndarray
    score: np.ndarray


def _windows(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts (w,) of windows over n samples, and first and last sample (w, 2) that each answers for."""
    count = max(1, int(np.ceil((n - WINDOW) / (WINDOW / 2))) + 1)
    starts = np.round(np.linspace(0, max(0, n - WINDOW), count)).astype(int)
    cuts = (starts[1:] + starts[:-1] + WINDOW) / 2
    return starts, np.stack([np.r_[-np.inf, cuts], np.r_[cuts, np.inf]], axis=1)


@torch.no_grad()
def detect(network: Detector, signals: np.ndarray, least: float = 0.05) -> list[Found]:
    """Detect waves in strips.

    Parameters
    ----------
    network : Detector
    signals : (s, n) float32 array
        From :func:`standard`, at 250 samples per second.
    least : float
        Claims with a lower score are dropped.

    Returns
    -------
    list of Found
        One for each strip; nothing is merged or suppressed.

    Examples
    --------
    >>> [len(found.kind) for found in detect(Detector(), np.zeros((2, 900), np.float32), least=1.0)]
    [0, 0]
    """
    network.eval()
    where = next(network.parameters()).device
    starts, limits = _windows(signals.shape[1])
    padded = np.pad(signals, ((0, 0), (0, max(0, WINDOW - signals.shape[1]))))
    out = []
    for strip in padded:
        x = torch.from_numpy(np.stack([strip[start : start + WINDOW] for start in starts]))[:, None]
        logits, boxes = (part.cpu() for part in network(x.to(where))[-1])
        low, high = (end.numpy() * WINDOW + starts[:, None] for end in _ends(boxes))
        middle, p = (low + high) / 2, logits.sigmoid().numpy()
        own = (middle >= limits[:, :1]) & (middle < limits[:, 1:])
        window, claim, kind = np.nonzero(own[..., None] & (p >= least))
        edges = np.stack([low[window, claim], high[window, claim]], axis=1) / FS
        out.append(Found(kind, edges, p[window, claim, kind]))
    return out


_SHORTEST = 5  # samples; a shorter run of one name is taken for a slip


@torch.no_grad()
def segment(network: UNet, signals: np.ndarray) -> list[Found]:
    """Name the samples of strips and read the runs as waves; as :func:`detect`.

    Examples
    --------
    >>> len(segment(UNet(), np.zeros((2, 900), np.float32)))
    2
    """
    network.eval()
    where, n = next(network.parameters()).device, signals.shape[1]
    padded = np.pad(
        signals, ((0, 0), (0, -n % 2 ** len(network.downs)))
    )  # so that each halving comes out even
    p = network(torch.from_numpy(padded)[:, None].to(where)).softmax(1).cpu().numpy()
    return [_runs(one[:, :n]) for one in p]


def _runs(p: np.ndarray) -> Found:
    """Runs of the most probable name in (4, n)."""
    name = p.argmax(axis=0)
    cuts = np.flatnonzero(np.diff(name)) + 1
    first, last = np.r_[0, cuts], np.r_[cuts, name.size]
    keep = (name[first] > 0) & (last - first >= _SHORTEST)
    first, last = first[keep], last[keep]
    score = [p[name[a], a:b].mean() for a, b in zip(first, last, strict=True)]
    return Found(name[first] - 1, np.stack([first, last], axis=1) / FS, np.array(score))


# %% [markdown]
# ## The rivals without learning
# NeuroKit2 and our own delineator report beginnings and ends. An onset and the first offset after it, if no other onset
# comes between, are a wave. They give no scores; every report counts as equally sure.


# %%
def joined(onsets: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Join onsets and offsets of one kind of wave to waves.

    Parameters
    ----------
    onsets, offsets : (a,) and (b,) arrays
        Times, s; NaN is left out.

    Returns
    -------
    (w, 2) array
        Waves, in order of time.

    Examples
    --------
    >>> joined(np.array([1.0, 2.0, 3.0]), np.array([1.1, 3.2, np.nan])).tolist()
    [[1.0, 1.1], [3.0, 3.2]]
    """
    onsets, offsets = (np.unique(times[np.isfinite(times)]) for times in (onsets, offsets))
    after = np.searchsorted(offsets, onsets, side="right")
    end = np.r_[offsets, np.inf][after]
    good = end < np.r_[onsets[1:], np.inf]
    return np.stack([onsets[good], end[good]], axis=1)


def as_found(reported: ludb.Reported) -> list[Found]:
    """Turn the boundaries of a method of :mod:`ecgbook.ludb` into waves with score 1, one `Found` a lead."""
    out = []
    for row in range(len(LEADS)):
        waves = [joined(*(reported[row, wave, edge] for edge in ludb.EDGES)) for wave in WAVES]
        kind = np.repeat(np.arange(len(WAVES)), [len(part) for part in waves])
        out.append(Found(kind, np.concatenate(waves), np.ones(len(kind))))
    return out


#: Name -> function of a record's number. Of NeuroKit2's methods this one lost the fewest waves in the run before.
RULES: dict[str, Callable[[int], ludb.Reported]] = {
    "ecgbook": ludb.ours,
    "neurokit prominence": partial(ludb.neurokit, method="prominence", peaks_given=False),
}

# %% [markdown]
# ## Hits and average precision
# A report hits a marked wave of its kind if their IoU reaches a threshold; each wave is hit once, by the report with
# the highest score, and a second report of the same wave is a false alarm. Marked waves of one kind never overlap, so
# at 0.5 or more a report can hit only one. Go down the list of all reports, surest first: *precision* is the share of
# reports so far that are hits, *recall* the share of marked waves hit so far. *Average precision* (AP) is the area
# under precision over recall. It is taken at IoU 0.5, at 0.75, and as the mean from 0.5 to 0.95.
#
# Scores are rounded down to hundredths, and of each record only the counts of reports and hits at each hundredth are
# kept: all that AP needs, for any draw of records. Reports of one score make one point of the curve, which costs a
# finely graded method some thousandths. A method without scores has one point in all; its AP is precision times recall.

# %%
THRESHOLDS = np.arange(50, 100, 5) / 100
HITS = [f"hit{round(100 * threshold)}" for threshold in THRESHOLDS]
STEPS = 100


def _iou(edges: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """IoU of (r, 2) with (m, 2); (r, m)."""
    low = np.maximum(edges[:, None, 0], marked[None, :, 0])
    high = np.minimum(edges[:, None, 1], marked[None, :, 1])
    common = np.clip(high - low, 0, None)
    lengths = np.diff(edges, axis=1) + np.diff(marked, axis=1).T
    return common / np.maximum(lengths - common, 1e-9)


def hits(edges: np.ndarray, score: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Say which reports of one kind of wave in one strip are hits.

    Parameters
    ----------
    edges, score : (r, 2) and (r,) arrays
        Reports.
    marked : (m, 2) array
        Waves, which do not overlap.

    Returns
    -------
    (r, 10) bool array
        For each of ``THRESHOLDS``.

    Examples
    --------
    >>> edges = np.array([[1.0, 1.1], [1.02, 1.1], [3.0, 3.1]])  # a wave twice: in full, and 80 ms of it; and none
    >>> hits(edges, np.array([0.6, 0.9, 0.8]), np.array([[1.0, 1.1]])).sum(axis=1).tolist()
    [3, 7, 0]
    """
    out = np.zeros((len(edges), len(THRESHOLDS)), bool)
    if not len(marked) or not len(edges):
        return out
    iou = _iou(edges, marked)
    best, order = iou.argmax(axis=1), np.argsort(-score, kind="stable")
    reached = iou.max(axis=1)[:, None] >= THRESHOLDS - 1e-9
    for wave in range(len(marked)):
        mine = order[best[order] == wave]
        out[mine] = reached[mine] & (np.cumsum(reached[mine], axis=0) == 1)
    return out


def _counted(strip: Strip, edges: np.ndarray, kind: int, hit: np.ndarray) -> np.ndarray:
    """Which reports count: those that hit, or lie in the marked stretch and cover no half-marked wave."""
    middle = edges.mean(axis=1)
    inside = (middle >= strip.stretch[0]) & (middle <= strip.stretch[1])
    half = strip.edges[(strip.kind == kind) & ~strip.whole]
    over = ((edges[:, None, 0] <= half[:, 1]) & (edges[:, None, 1] >= half[:, 0])).any(axis=1)
    return hit.any(axis=1) | (inside & ~over)


def _step(score: np.ndarray) -> np.ndarray:
    return np.minimum(np.floor(score * STEPS + 1e-6), STEPS - 1).astype(int)


def count(strip: Strip, found: Found) -> np.ndarray:
    """Count reports and hits of one strip by kind of wave and score.

    Parameters
    ----------
    strip : Strip
    found : Found

    Returns
    -------
    (3, 100, 11) int array
        By wave, and by score in hundredths, lowest first: reports, and hits at each of ``THRESHOLDS``.

    Examples
    --------
    >>> one = Strip(0, "", np.zeros(9, "f4"), np.array([1]), np.array([[2.0, 2.1]]), np.array([True]), (0.0, 9.0))
    >>> counts = count(one, Found(np.array([1]), np.array([[2.0, 2.08]]), np.array([0.905])))
    >>> counts[1, 90].tolist(), int(counts.sum())
    ([1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0], 8)
    """
    out = np.zeros((len(WAVES), STEPS, 1 + len(THRESHOLDS)), int)
    for kind in range(len(WAVES)):
        mine = found.kind == kind
        edges, score = found.edges[mine], found.score[mine]
        hit = hits(edges, score, strip.edges[(strip.kind == kind) & strip.whole])
        counted = _counted(strip, edges, kind, hit)
        np.add.at(out[kind, :, 0], _step(score[counted]), 1)
        np.add.at(out[kind, :, 1:], _step(score[counted]), hit[counted].astype(int))
    return out


def average_precision(counts: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Compute average precision from counts.

    Parameters
    ----------
    counts : (..., k, 1 + t) array
        Reports, and hits at each of t thresholds, at k scores, lowest first.
    marked : (...) array
        Marked waves.

    Returns
    -------
    (..., t) array

    Examples
    --------
    >>> counts = np.array([[2, 1], [1, 0], [1, 1]])  # a hit; a false alarm; one of each. Three waves were marked
    >>> average_precision(counts, np.array(3)).round(3).tolist()
    [0.5]
    """
    summed = np.cumsum(counts[..., ::-1, :], axis=-2)
    recall = summed[..., 1:] / np.maximum(np.asarray(marked)[..., None, None], 1)
    precision = summed[..., 1:] / np.maximum(summed[..., :1], 1)
    return (np.diff(recall, axis=-2, prepend=0) * precision).sum(axis=-2)


# %% [markdown]
# ## The point of work, and the boundaries
# A list with scores is no delineation yet: somebody has to say from which score a report counts. It is set for each
# kind of wave where precision and recall at IoU 0.5 are best together (their harmonic mean, F1) on the validation
# records. From there on each beginning and each end is judged as in the comparison of delineators: found if within
# 150 ms of a marked one.


# %%
def cuts(counts: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Choose the score from which reports count, for each kind of wave.

    Parameters
    ----------
    counts : (3, 100, 11) array
        Sum of :func:`count` over the validation strips.
    marked : (3,) array
        Waves marked there.

    Returns
    -------
    (3,) int array
        Scores in hundredths.

    Examples
    --------
    >>> counts = np.zeros((1, 100, 2), int)
    >>> counts[0, [20, 60, 90]] = [[20, 1], [5, 4], [5, 5]]  # 20 reports with one hit would follow
    >>> cuts(counts, np.array([10])).tolist()
    [60]
    """
    summed = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    f1 = 2 * summed[..., 1] / np.maximum(summed[..., 0] + marked[:, None], 1)
    return f1.shape[1] - 1 - f1[:, ::-1].argmax(axis=1)


def above(found: Found, least: np.ndarray) -> Found:
    """Keep the reports whose score reaches that of their wave, (3,) in hundredths."""
    keep = _step(found.score) >= np.asarray(least)[found.kind]
    return Found(*(part[keep] for part in found))


_SUMS = ("marked", "reported", "found", "error", "absolute", "square")


def boundaries(strip: Strip, found: Found) -> np.ndarray:
    """Compare the ends of reported waves with those marked; :func:`ecgbook.ludb.score` says how.

    Parameters
    ----------
    strip : Strip
    found : Found

    Returns
    -------
    (3, 2, 6) array
        By wave, and onset or offset: how many were marked, reported, and found; of those found, sums of reported minus
        marked in ms, of its size, and of its square.
    """
    out = np.zeros((len(WAVES), len(ludb.EDGES), len(_SUMS)))
    for kind in range(len(WAVES)):
        there, said = strip.edges[(strip.kind == kind) & strip.whole], found.edges[found.kind == kind]
        for edge in range(len(ludb.EDGES)):
            errors, marked, reported = ludb.score(there[:, edge], said[:, edge], strip.stretch)
            sums = errors.sum(), np.abs(errors).sum(), (errors**2).sum()
            out[kind, edge] = marked, reported, len(errors), *sums
    return out


# %% [markdown]
# ## The run
# The 200 records are dealt into five folds, all leads of a record together: each is tested once, by networks that saw
# 140 others; 20 more set the scores from which reports count. Sizes, rates and steps of both networks were fixed before
# any test record was scored, by looking at the validation records of the first fold. Both begin with strips from a pen;
# the run tells the processor time of each.
#
# Parts are kept in the cache under a name that holds a digest of the code; if the run is interrupted, it goes on with
# the next part. After each fold the run is written with what is finished.


# %%
class Recipe(NamedTuple):
    """A network, its loss, how it reads strips, its rate, and its steps on drawn and on real strips."""

    build: Callable[[], nn.Module]
    loss: Callable[[object, Batch], Tensor]
    read: Callable[[nn.Module, np.ndarray], list[Found]]
    rate: float
    drawn: int
    steps: int


#: Name -> recipe.
LEARNERS: dict[str, Recipe] = {
    "detector": Recipe(Detector, set_loss, detect, 1e-3, 600, 2000),  # type: ignore[arg-type]
    "U-Net": Recipe(UNet, sample_loss, segment, 2e-3, 300, 1500),
}
FOLDS = 5
_DRAWN = 800  # strips


def deal(fold: int) -> tuple[list[int], list[int], list[int]]:
    """Deal LUDB's records: numbers to train on, to validate, to test.

    Parameters
    ----------
    fold : int
        0 to 4.

    Returns
    -------
    three lists of int

    Examples
    --------
    >>> [len(part) for part in deal(0)]
    [140, 20, 40]
    """
    order = np.random.default_rng(0).permutation(ludb.RECORDS).tolist()
    test = order[fold::FOLDS]
    rest = [number for number in order if number not in set(test)]
    return rest[20:], rest[:20], test


_READS = "# ## Reading the run"  # what stands below this heading reads the run and does not make it


@lru_cache(maxsize=1)
def _code() -> dict[str, str]:
    """Digest of all code that makes the run."""
    texts = {
        n: Path(__file__).with_name(f"{n}.py").read_text(encoding="utf-8") for n in ("synth", "beats", "ludb")
    }
    texts["detect"] = Path(__file__).read_text(encoding="utf-8").partition(f"\n{_READS}\n")[0]
    return {name: publish.code_digest(text)[:16] for name, text in texts.items()}


def _parts() -> Path:
    digest = hashlib.sha256(repr(_code()).encode()).hexdigest()[:12]
    folder = publish.ROOT / ".cache" / f"{RUN}-{digest}"
    data.make_folder(folder)
    return folder


@lru_cache(maxsize=1)
def _all() -> dict[int, list[Strip]]:
    return {number: strips([number]) for number in ludb.RECORDS}


def _told(name: str) -> Callable[[int, float], None]:
    return lambda step, value: print(f"{name}: step {step}, loss {value:.3f}", file=sys.stderr)


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _kept(path: Path, make: Callable[[], dict]) -> dict:
    """Read a trained state, or make and keep it together with the processor seconds that it took."""
    if not path.exists():
        clock, state = time.process_time(), make()
        with data.writing(path) as part:
            torch.save({"state": state, "seconds": time.process_time() - clock}, part)
    return torch.load(path, weights_only=True)


def _after_drawn(name: str) -> dict:
    """Train on drawn strips."""
    recipe, rng = LEARNERS[name], np.random.default_rng(1)
    torch.manual_seed(0)
    network = recipe.build().to(_device())
    pool = [drawn(rng) for _ in range(_DRAWN)]
    fit(network, recipe.loss, pool, recipe.drawn, recipe.rate, told=_told(f"{name}, drawn strips"))
    return network.cpu().state_dict()


def _after_real(name: str, fold: int) -> dict:
    """Go on with the training records of a fold, without the leads that have half-marked waves."""
    recipe = LEARNERS[name]
    network = recipe.build()
    network.load_state_dict(_kept(_parts() / f"{name}-drawn.pt", partial(_after_drawn, name))["state"])
    pool = [strip for number in deal(fold)[0] for strip in _all()[number] if strip.whole.all()]
    network.to(_device())
    fit(network, recipe.loss, pool, recipe.steps, recipe.rate, seed=fold, told=_told(f"{name}, fold {fold}"))
    return network.cpu().state_dict()


def _read(name: str, network: nn.Module, numbers: Iterable[int]) -> list[list[Found]]:
    return [LEARNERS[name].read(network, np.stack([strip.signal for strip in _all()[n]])) for n in numbers]


def _sum(
    numbers: Sequence[int], found: list[list[Found]], of: Callable[[Strip, Found], np.ndarray]
) -> np.ndarray:
    """Sum over the leads of each record; (records, ...)."""
    return np.stack([sum(map(of, _all()[n], leads)) for n, leads in zip(numbers, found, strict=True)])


def _marked(numbers: Iterable[int]) -> np.ndarray:
    """Whole marked waves of each record by kind, (records, 3)."""
    kinds = [np.concatenate([strip.kind[strip.whole] for strip in _all()[n]]) for n in numbers]
    return np.stack([np.bincount(kind, minlength=len(WAVES)) for kind in kinds])


class Part(NamedTuple):
    """What one part of the run yields.

    Attributes
    ----------
    records : (r,) int array
    counts : (r, 3, 100, 11) array
        Sum of :func:`count` over the leads.
    least : (3,) array
        Scores from which reports count, hundredths.
    ends : (r, 3, 2, 6) array
        Sum of :func:`boundaries` over the leads, of the reports that count.
    train_s, ms : float
        Processor time: s of training, on drawn strips left out; ms to read a record of twelve leads.
    """

    records: np.ndarray
    counts: np.ndarray
    least: np.ndarray
    ends: np.ndarray
    train_s: float
    ms: float


def _scored(
    numbers: Sequence[int], read: Callable[[], list[list[Found]]], least: np.ndarray, train_s: float
) -> Part:
    clock = time.process_time()
    found = read()
    ms = 1000 * (time.process_time() - clock) / len(numbers)
    kept = [[above(one, least) for one in leads] for leads in found]
    ends = _sum(numbers, kept, boundaries)
    return Part(np.array(numbers), _sum(numbers, found, count), least, ends, train_s, ms)


def _learned(name: str, fold: int) -> Part:
    """Train, choose the scores on the validation records, and score the test records of a fold."""
    network = LEARNERS[name].build()
    kept = _kept(_parts() / f"{name}-{fold}.pt", partial(_after_real, name, fold))
    network.load_state_dict(kept["state"])
    _, val, test = deal(fold)
    counts = _sum(val, _read(name, network, val), count).sum(axis=0)
    least = cuts(counts, _marked(val).sum(axis=0))
    _marked(test)  # read the records before the clock runs
    return _scored(test, partial(_read, name, network, test), least, kept["seconds"])


def _ruled(name: str, fold: int) -> Part:
    """Score a method that does not learn on the test records of a fold."""
    test = deal(fold)[2]

    def read() -> list[list[Found]]:
        with warnings.catch_warnings():  # NeuroKit2 asks scipy about places that are no peaks
            warnings.filterwarnings("ignore", "some peaks have a")
            return [as_found(RULES[name](number)) for number in test]

    return _scored(test, read, np.zeros(len(WAVES), int), 0.0)


#: Parts of the run: (name, fold) -> what makes it.
_MAKERS: dict[str, Callable[[str, int], Part]] = dict.fromkeys(LEARNERS, _learned) | dict.fromkeys(
    RULES, _ruled
)
PARTS = tuple(f"{name}, {fold}" for fold in range(FOLDS) for name in _MAKERS)


def _path(name: str) -> Path:
    return _parts() / f"{_known(name, PARTS, 'part').replace(', ', '-').replace(' ', '-')}.npz"


def part(name: str) -> Part:
    """Make one part of the run and keep it in the cache, or take it from there.

    Parameters
    ----------
    name : str
        One of :data:`PARTS`.

    Returns
    -------
    Part

    Raises
    ------
    EcgbookError
        No such part, or LUDB is not there.
    """
    path, (method, fold) = _path(name), name.split(", ")
    if not path.exists():
        made = _MAKERS[method](method, int(fold))._asdict()
        with data.writing(path) as beside:
            np.savez_compressed(beside, **made)
    with np.load(path) as kept:
        return Part(*(kept[field] for field in Part._fields))


# %% [markdown]
# What is stored: of each record, wave and method the counts at the point of work and the sums of boundary errors
# (`outputs.csv`), the counts by score (`counts.npz`), and the weights of the first fold's detector in half precision
# (`weights.npz`), so that the chapter can let it read strips of another hospital. No signal and no mark is stored.

# %%
_COLUMNS = {
    "method, record, wave": "one row each, the twelve leads together",
    "marked": "waves marked with both ends",
    "reported, hit50 ... hit95": "reports that count at the chosen score, and those that hit at each IoU",
    "onset_..., offset_...": "boundaries, tolerance 150 ms: reported; found; of those found, sums of reported minus "
    "marked (error), of its size (absolute) and of its square, ms",
}


def _table(name: str, made: Part) -> pd.DataFrame:
    """Rows of ``outputs.csv`` for one part."""
    steps = np.arange(STEPS)[:, None] >= made.least[:, None, None]  # (3, 100, 1)
    kept = (made.counts * steps).sum(axis=2)
    columns = {"marked": _marked(made.records)} | dict(
        zip(["reported", *HITS], np.moveaxis(kept, 2, 0), strict=True)
    )
    for at, edge in enumerate(ludb.EDGES):
        sums = np.round(np.moveaxis(made.ends[:, :, at, 1:], 2, 0)).astype(int)
        columns |= {f"{edge}_{what}": one for what, one in zip(_SUMS[1:], sums, strict=True)}
    index = {"method": name, "record": np.repeat(made.records, len(WAVES)), "wave": WAVES * len(made.records)}
    return pd.DataFrame(index | {column: values.ravel() for column, values in columns.items()})


def _together(parts: list[Part]) -> np.ndarray:
    """Counts of all records in order of their number, (records, 3, 100, 11)."""
    order = np.argsort(np.concatenate([made.records for made in parts]))
    return np.concatenate([made.counts for made in parts])[order].astype(np.uint16)


def _seconds(name: str) -> float:
    return torch.load(_parts() / f"{name}-drawn.pt", weights_only=True)["seconds"]


def _costs(made: dict[str, list[Part]]) -> dict[str, dict[str, float]]:
    """Parameters, training time and reading time of each method."""
    out = {}
    for name, parts in made.items():
        out[name] = {"ms_a_record": round(float(np.mean([one.ms for one in parts])), 1)}
        if name in LEARNERS:
            network = LEARNERS[name].build()
            out[name] |= {
                "parameters": sum(p.numel() for p in network.parameters()),
                "train_cpu_s_a_fold": round(float(np.mean([one.train_s for one in parts]))),
                "drawn_cpu_s": round(_seconds(name)),
                "bytes": sum(t.numel() * t.element_size() for t in network.state_dict().values()),
                "least": [one.least.tolist() for one in parts],  # type: ignore[dict-item]
            }
    return out


def _write(folder: Path, made: dict[str, list[Part]], note: dict) -> None:
    data.make_folder(folder)
    rows = pd.concat([_table(name, one) for name, parts in made.items() for one in parts])
    rows["wave"] = pd.Categorical(rows["wave"], WAVES)
    rows["method"] = pd.Categorical(rows["method"], list(made))
    rows = rows.sort_values(["method", "record", "wave"])
    write_whole(folder / "outputs.csv", rows.to_csv(index=False, lineterminator="\n"))
    state = torch.load(_parts() / "detector-0.pt", weights_only=True)["state"]
    halves = {key: value.half().numpy() for key, value in state.items() if value.is_floating_point()}
    for file, arrays in (("counts.npz", {n: _together(p) for n, p in made.items()}), ("weights.npz", halves)):
        with data.writing(folder / file) as beside:
            np.savez_compressed(beside, **arrays)
    digests = {file: data.digest(folder / file)[1] for file in ("outputs.csv", "counts.npz", "weights.npz")}
    write_whole(folder / "run.json", json.dumps(note | {"sha256": digests}, indent=1) + "\n")


def _ludb_digest() -> str:
    """Digest of the signals and marks that were read."""
    folder, out = data.home() / "ludb" / "data", hashlib.sha256()
    for number in ludb.RECORDS:
        for suffix in ("dat", *(lead.lower() for lead in LEADS)):
            out.update(data.digest(folder / f"{number}.{suffix}")[1].encode())
    return out.hexdigest()[:16]


def finished() -> list[int]:
    """Folds of which all parts are in the cache."""
    return [fold for fold in range(FOLDS) if all(_path(f"{name}, {fold}").exists() for name in _MAKERS)]


def gather(results: Path = RESULTS) -> Path:
    """Write the run from the folds that are finished.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pathlib.Path
        The run's folder.

    Raises
    ------
    EcgbookError
        If no fold is finished, or LUDB is not there.
    """
    folds = finished()
    if 0 not in folds:
        raise EcgbookError(f"{_parts()}: the first fold is not finished; run `python -m ecgbook.detect`")
    folder, made = results / RUN, {name: [part(f"{name}, {fold}") for fold in folds] for name in _MAKERS}
    packages = ("numpy", "pandas", "scipy", "torch", "neurokit2")
    note = {
        "run": RUN,
        "task": "detect",
        "model": "Transformer detector (set prediction), U-Net",
        "input": "LUDB 1.0.1, single leads, 0.67-25 Hz, 250 samples per second; NeuroKit2: 500 per second, unfiltered",
        "protocol": "five folds by record; 140 to train, 20 to choose scores, 40 to test",
        "weights": "drawn strips",
        "seed": 0,
        "folds": FOLDS,
        "folds_finished": folds,
        "repeats": 1,
        "settings": {n: {"rate": r.rate, "drawn": r.drawn, "steps": r.steps} for n, r in LEARNERS.items()},
        "columns": _COLUMNS,
        "counts.npz": "by method: record, wave, score in hundredths, (reported, hit50 ... hit95)",
        "weights.npz": "detector of fold 0, half precision",
        "costs": _costs(made),
        "cpu_s": _spent(made),
        "command": "python -m ecgbook.detect",
        "code": _code(),
        "data": {"ludb signals and marks": _ludb_digest()},
        "versions": {"python": platform.python_version()}
        | {n: importlib.metadata.version(n) for n in packages},
        "device": f"{_device()}, {platform.machine()}",
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    _write(folder, made, note | _times())
    return folder


def _times() -> dict[str, object]:
    """When the first part was kept, and seconds from there to the last, pauses and all."""
    kept = [one.stat().st_mtime for one in _parts().iterdir()]
    started = datetime.fromtimestamp(min(kept), UTC).isoformat(timespec="seconds")
    return {"wall_s": round(max(kept) - min(kept)), "started": started}


def _spent(made: dict[str, list[Part]]) -> int:
    """Processor seconds of all training and reading, in however many sittings."""
    reading = sum(one.ms * len(one.records) / 1000 for parts in made.values() for one in parts)
    training = sum(one.train_s for parts in made.values() for one in parts)
    return round(float(reading + training) + sum(_seconds(name) for name in LEARNERS))


def run(results: Path = RESULTS) -> Path:
    """Make what is missing of the stored run, about forty minutes of one core in all, and write it after each fold.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pathlib.Path
        The run's folder.

    Raises
    ------
    EcgbookError
        If LUDB is not there.
    """
    for fold in range(FOLDS):
        for name in _MAKERS:
            part(f"{name}, {fold}")
            print(f"{name}, fold {fold}: done", file=sys.stderr)
        folder = gather(results)
    for one in _parts().iterdir():
        one.unlink()
    _parts().rmdir()
    return folder


# %% [markdown]
# ## Reading the run
# Everything is checked against its digest before it is used. Intervals draw the tested records with replacement, all
# leads of a record together, and compute each score again from the counts of those drawn; two methods are compared on
# the same draws.


# %%
def note(results: Path = RESULTS) -> dict:
    """Read ``run.json`` of the stored run.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    dict

    Raises
    ------
    EcgbookError
        If the run is not there.

    Examples
    --------
    >>> note()["folds"]
    5
    """
    path = results / RUN / "run.json"
    if not path.is_file():
        raise EcgbookError(f"{path}: is not there; make it with `python -m ecgbook.detect`")
    return json.loads(path.read_text(encoding="utf-8"))


def _sound(file: str, results: Path) -> Path:
    path, wanted = results / RUN / file, note(results)["sha256"][file]
    if not path.is_file() or data.digest(path)[1] != wanted:
        raise EcgbookError(f"{path}: was changed by hand; remove the folder and run again")
    return path


def load(results: Path = RESULTS) -> pd.DataFrame:
    """Load the counts and boundary errors of every method, record and wave at the point of work.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        Columns as described in ``run.json``.

    Raises
    ------
    EcgbookError
        If the run is not there or was changed.

    Examples
    --------
    >>> load()["wave"].unique().tolist()
    ['P', 'QRS', 'T']
    """
    return pd.read_csv(_sound("outputs.csv", results))


def network(results: Path = RESULTS) -> Detector:
    """Load the detector of the first fold.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    Detector
        Ready for :func:`detect`.

    Raises
    ------
    EcgbookError
        As :func:`load`.

    Examples
    --------
    >>> next(network().parameters()).dtype
    torch.float32
    """
    with np.load(_sound("weights.npz", results)) as halves:
        state = {key: torch.from_numpy(halves[key].astype(np.float32)) for key in halves}
    out = Detector()
    out.load_state_dict(state, strict=False)  # what is missing counts batches, for training
    return out.eval()


METRICS = ("AP50", "AP75", "AP", "F1 at 50", "F1 at 75")


def _weights(replicates: int, tested: np.ndarray, records: Sequence[int]) -> np.ndarray:
    """How often each tested record counts: first once each, then in each replicate; drawn among ``records``."""
    chosen = np.isin(tested, records)
    out = np.zeros((1 + replicates, len(chosen)), int)
    out[:, chosen] = np.concatenate(
        [np.ones((1, chosen.sum()), int), evaluate.draw(int(chosen.sum()), replicates)]
    )
    return out


def scores(
    method: str, replicates: int = 2000, records: Sequence[int] = ludb.RECORDS, results: Path = RESULTS
) -> np.ndarray:
    """Compute the scores of a method on all records and on draws of them.

    Parameters
    ----------
    method : str
        As in ``run.json``.
    replicates : int
        Of the bootstrap.
    records : sequence of int
        Those that count.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    (1 + replicates, 4, 5) array
        The first row holds the estimates. Then: P, QRS, T and their mean; ``METRICS``.

    Raises
    ------
    EcgbookError
        As :func:`load`; no such method.

    Examples
    --------
    >>> scores("detector", replicates=0).shape
    (1, 4, 5)
    """
    rows = load(results)
    weights = _weights(replicates, np.unique(rows["record"]), records)
    rows = rows[rows["method"] == _known(method, list(note(results)["costs"]), "method")]
    columns = ["marked", "reported", "hit50", "hit75"]
    kept = rows[columns].to_numpy().reshape(weights.shape[1], len(WAVES) * 4)
    marked, reported, *hit = np.moveaxis((weights @ kept).reshape(-1, len(WAVES), 4), 2, 0)
    with np.load(_sound("counts.npz", results)) as counts:
        summed = _drawn_sums(counts[method], weights)
    precision = average_precision(summed, marked)
    values = [precision[..., 0], precision[..., 5], precision.mean(axis=-1)]
    values += [2 * one / np.maximum(marked + reported, 1) for one in hit]
    waves = np.stack(values, axis=-1)
    return np.concatenate([waves, waves.mean(axis=1, keepdims=True)], axis=1)


def _drawn_sums(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Counts (n, 3, k, 11) summed by weights (r, n), without the scores that no report has; (r, 3, k', 11)."""
    used = counts.any(axis=(0, 1, 3))
    flat = counts[:, :, used].astype(np.float32).reshape(len(counts), -1)
    return (weights.astype(np.float32) @ flat).reshape(len(weights), len(WAVES), -1, counts.shape[3])


def _limits(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def summary(
    replicates: int = 2000, records: Sequence[int] = ludb.RECORDS, results: Path = RESULTS
) -> pd.DataFrame:
    """Sum up all methods with 95 % intervals.

    Parameters
    ----------
    replicates : int
        Of the bootstrap over records.
    records : sequence of int
        Those that count.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        Tidy: ``method``, ``wave`` (P, QRS, T, "mean"), ``metric`` (of ``METRICS``), ``estimate``, ``low``, ``high``.

    Raises
    ------
    EcgbookError
        As :func:`load`.

    Examples
    --------
    >>> summary(replicates=10)["method"].unique()[:2].tolist()
    ['detector', 'U-Net']
    """
    rows = []
    for method in note(results)["costs"]:
        values = scores(method, replicates, records, results)
        for k, wave in enumerate((*WAVES, "mean")):
            for m, metric in enumerate(METRICS):
                rows.append((method, wave, metric, values[0, k, m], *_limits(values[1:, k, m])))
    return pd.DataFrame(rows, columns=["method", "wave", "metric", "estimate", "low", "high"])


def difference(a: str, b: str, replicates: int = 2000, results: Path = RESULTS) -> pd.DataFrame:
    """Compare two methods on the same draws of records: a minus b.

    Parameters
    ----------
    a, b : str
        Methods.
    replicates : int
        Of the bootstrap over records.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        As :func:`summary`, without ``method``.

    Raises
    ------
    EcgbookError
        As :func:`scores`.

    Examples
    --------
    >>> float(difference("U-Net", "U-Net", 10)["high"].abs().max())
    0.0
    """
    values = scores(a, replicates, results=results) - scores(b, replicates, results=results)
    rows = [
        (wave, metric, values[0, k, m], *_limits(values[1:, k, m]))
        for k, wave in enumerate((*WAVES, "mean"))
        for m, metric in enumerate(METRICS)
    ]
    return pd.DataFrame(rows, columns=["wave", "metric", "estimate", "low", "high"])


def edges(replicates: int = 2000, results: Path = RESULTS) -> pd.DataFrame:
    """Sum up how beginnings and ends were found, at the point of work.

    Parameters
    ----------
    replicates : int
        Of the bootstrap over records.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        One row a method, wave and edge: ``sensitivity``, ``ppv``; of those found ``bias_ms``, ``sd_ms`` and
        ``error_ms``, the mean size of the error, with its interval ``low`` and ``high``.

    Raises
    ------
    EcgbookError
        As :func:`load`.

    Examples
    --------
    >>> edges(replicates=10)["sensitivity"].between(0, 1).all()
    np.True_
    """
    outputs, rows = load(results), []
    weights = _weights(replicates, np.unique(outputs["record"]), ludb.RECORDS)
    for (method, wave), part in outputs.groupby(["method", "wave"], sort=False):
        for edge in ludb.EDGES:
            columns = ["marked", *(f"{edge}_{name}" for name in _SUMS[1:])]
            drawn = weights @ part[columns].to_numpy()
            marked, reported, found, error, absolute, square = drawn[0]
            bias, sizes = error / found, drawn[1:, 4] / np.maximum(drawn[1:, 2], 1)
            sd = np.sqrt(square / found - bias**2)
            said = found / marked, found / reported, bias, sd, absolute / found
            rows.append((method, wave, edge, *said, *_limits(sizes)))
    names = ["method", "wave", "edge", "sensitivity", "ppv", "bias_ms", "sd_ms", "error_ms", "low", "high"]
    return pd.DataFrame(rows, columns=names)


# %% [markdown]
# `python -m ecgbook.detect` makes the run and goes on where it was interrupted; `python -m ecgbook.detect "U-Net, 3"`
# makes one part of it only.


# %%
def main(arguments: list[str]) -> int:
    """Make the stored run, or the parts that are named."""
    torch.set_num_threads(1)
    try:
        for name in arguments:
            part(name)
        print(run() if not arguments else ", ".join(arguments))
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, run again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    from ecgbook import detect as module  # under its package name, as everywhere else

    sys.exit(module.main(sys.argv[1:]))
