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
# # Networks on the signal: four families, one recipe
# A network need not look at a page; it can read the millivolts themselves. Reviews of the field compare four families
# of such networks: residual convolutions, Transformers, hybrids of the two, and light networks made for wearables.
# Here each is built small enough for a few hundred ECGs, all are trained by one recipe, and all are judged under
# `grouped` beside trees that see measurements.
#
# The input, the families, the recipe, the pre-training and the comparisons were settled before any test part was
# predicted; while they were being settled, only the validation part of the first fold was looked at.

# %%
"""Signal networks by family: build, pre-train, train, and store their runs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import pickle
import platform
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

from ecgbook import (
    data,
    digitize,
    evaluate,
    ludb,
    measure,
    models,
    networks,
    pretrain,
    publish,
    splits,
    study,
    synth,
    train,
)
from ecgbook.data import CLASSES, EcgbookError, write_whole
from ecgbook.models import _known
from ecgbook.synth import GRID, LEADS, Record

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# %% [markdown]
# ## What a page tells at the same time
# Twelve leads of 2.5 s are not twelve channels of one recording: the page shows leads I, II and III first, and V4 to
# V6 seven seconds later, when another beat was beating. A convolution over all twelve would add up samples that have
# nothing to do with each other. What was recorded together is a *column*: three leads, and the stretch of the rhythm
# strip below them. So an ECG becomes four columns of four traces, sixteen channels in all, and a network reads the
# columns one after the other, as one sequence of ten seconds.
#
# The pages hold nothing above 25 Hz, so 100 samples a second lose nothing and save more than half of the work. Values
# stay in millivolts: nothing is scaled by anything learned. Gaps, a few samples wide where a line of the form hid the
# trace, are bridged by straight lines.

# %%
RATE = 100  # samples per second that a network sees
TRACES = 4  # of a column: three leads and the strip
CHANNELS = len(GRID) * TRACES


def _bridged(values: np.ndarray) -> np.ndarray:
    """Traces (k, n) with straight lines across gaps; 0 where a trace is missing altogether."""
    out, at = np.zeros(values.shape), np.arange(values.shape[1])
    for row, trace in zip(out, values, strict=True):
        known = np.isfinite(trace)
        if known.any():
            row[:] = np.interp(at, at[known], trace[known])
    return out


def channels(record: Record) -> np.ndarray:
    """Arrange what a page shows of a record as a network sees it.

    Parameters
    ----------
    record : Record
        Of any length; each lead's own quarter of the time is used, and all of the lead named by ``rhythm``. Real
        ones come from :func:`ecgbook.digitize.record`.

    Returns
    -------
    (16, n) float32 array
        Millivolts at 100 Hz. For each column of the page in turn its three leads and the stretch of the rhythm strip
        that was recorded with them; n is 250 for a page of 10 s.

    Raises
    ------
    EcgbookError
        If the record names no rhythm lead.

    Notes
    -----
    The chapter "Networks on the signal" introduces it.

    Examples
    --------
    >>> channels(synth.record("Normal", 1)).shape
    (16, 250)
    """
    if record.rhythm not in LEADS:
        raise EcgbookError(
            "record: names no lead for the rhythm strip; set its field rhythm, for example to II"
        )
    length = record.leads.shape[1] // len(GRID)
    rows = []
    for column, names in enumerate(GRID):
        shown = slice(column * length, (column + 1) * length)
        rows += [record.leads[LEADS.index(lead), shown] for lead in (*names, record.rhythm)]
    return _resampled(_bridged(np.array(rows)), record.fs)


def _resampled(values: np.ndarray, fs: float) -> np.ndarray:
    from scipy.signal import resample_poly

    step = np.gcd(RATE, round(fs))
    return resample_poly(values, RATE // step, round(fs) // step, axis=1, padtype="line").astype(np.float32)


@lru_cache(maxsize=1)
def _carried() -> np.ndarray:
    return np.array([channels(digitize.record(digitize.load(file))) for file in data.pages()["file"]])


def signals() -> np.ndarray:
    """Arrange the carried signals of the 491 distinct ECGs.

    Returns
    -------
    (491, 16, 250) float32 array
        Rows in the order of :func:`ecgbook.data.pages`; a copy, yours to change. See :func:`channels`.

    Examples
    --------
    >>> signals().shape
    (491, 16, 250)
    """
    return _carried().copy()


# %% [markdown]
# ## The frame that all families share
# The first layer, the *stem*, has its own weights for each column: this is how a network knows which leads it is
# reading. The columns are then laid end to end, and the family's own *trunk* reads the sequence. A *pyramid* makes
# one row of features of it, whatever its length: mean and maximum over the whole, over halves, over quarters. Level 4
# alone keeps the columns apart. A linear layer, the head, gives the scores.
#
# Two more parts are needed. `Sum` adds two paths, as residual networks do. `Attention` is a plain Transformer encoder
# between the axes that convolutions use; it adds to each position a code of sines of its time, which is defined for a
# sequence of any length.


# %%
class Types(NamedTuple):
    """The modules of which the families are composed."""

    Sum: type[nn.Module]
    Attention: type[nn.Module]
    SignalNetwork: type[nn.Module]


@lru_cache(maxsize=1)
def types() -> Types:
    """Define the modules; in a function, for torch is slow to import.

    Examples
    --------
    >>> types().Sum.__name__
    'Sum'
    """
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Sum(nn.Module):
        """Two paths from the same input, added."""

        def __init__(self, main: nn.Module, side: nn.Module) -> None:
            super().__init__()
            self.main, self.side = main, side

        def forward(self, x: Tensor) -> Tensor:
            return self.main(x) + self.side(x)

    class Attention(nn.Module):
        """Transformer encoder over the last axis of (n, width, length)."""

        def __init__(self, width: int, layers: int, dropout: float = 0.1) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(
                width, 4, 2 * width, dropout, "gelu", batch_first=True, norm_first=True
            )
            self.encoder = nn.TransformerEncoder(
                layer, layers, nn.LayerNorm(width), enable_nested_tensor=False
            )

        def forward(self, x: Tensor) -> Tensor:
            return self.encoder((x + times(x)).transpose(1, 2)).transpose(1, 2)

    class SignalNetwork(nn.Module):
        """Stem, trunk, pyramid, head; see the page above."""

        def __init__(
            self, stem: nn.Module, trunk: nn.Module, width: int, levels: tuple[int, ...], outputs: int
        ):
            super().__init__()
            self.stem, self.trunk, self.levels, self.width = stem, trunk, levels, width
            self.dropout = nn.Dropout(0.3)
            self.head = nn.Linear(2 * width * sum(levels), outputs)

        def sequence(self, x: Tensor) -> Tensor:
            """What the trunk makes of the columns, laid end to end; (n, width, positions)."""
            columns = self.stem(x).unflatten(1, (len(GRID), -1))  # (n, 4, width of stem, length)
            return self.trunk(columns.transpose(1, 2).flatten(2))

        def embed(self, x: Tensor) -> Tensor:
            """Features that the head is fed; (n, 2 x width x sum of levels)."""
            read = self.sequence(x)
            pools = (F.adaptive_avg_pool1d, F.adaptive_max_pool1d)
            return torch.cat([pool(read, level).flatten(1) for level in self.levels for pool in pools], 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.dropout(self.embed(x)))

    return Types(Sum, Attention, SignalNetwork)


def times(x: Tensor) -> Tensor:
    """Code the position in a sequence by sines and cosines of many wavelengths.

    Parameters
    ----------
    x : torch.Tensor, shape (n, width, length)
        Only its shape counts; the width is even.

    Returns
    -------
    torch.Tensor, shape (width, length)
        Half sines, half cosines; wavelengths from 6 to 6,000 positions.

    References
    ----------
    Vaswani and others, "Attention is all you need", 2017.

    Examples
    --------
    >>> import torch
    >>> code = times(torch.zeros(1, 8, 5))
    >>> code.shape, bool((code[:4, 0] == 0).all())
    (torch.Size([8, 5]), True)
    """
    import torch

    half = x.shape[1] // 2
    speed = 1000.0 ** -(torch.arange(half, device=x.device) / half)
    angle = speed[:, None] * torch.arange(x.shape[2], device=x.device)
    return torch.cat([angle.sin(), angle.cos()])


# %% [markdown]
# ## (a) A residual network of 34 layers
# The network that first read single-lead ECGs as well as cardiologists had 33 convolutions and a last layer: sixteen
# blocks of two, each block adding what it found to what came in, so that depth does not hinder learning. It had
# millions of parameters and 91,000 recordings. We keep the depth, the order of its layers (normalise, rectify,
# convolve) and the halving of the sequence on the way, and make it narrow: 16 to 48 channels. Its dropout inside the
# blocks is left out: it changes the spread that the normalisations learned, and the validation loss of the first fold
# jumped about with it.

# %%
_KERNEL = 7


def _block(before: int, after: int, stride: int) -> nn.Module:
    """Two convolutions and a path around them."""
    from torch import nn

    def convolution(into: int, stride: int = 1) -> list[nn.Module]:
        return [
            nn.BatchNorm1d(into),
            nn.ReLU(),
            nn.Conv1d(into, after, _KERNEL, stride, _KERNEL // 2, bias=False),
        ]

    around = [nn.MaxPool1d(stride, ceil_mode=True)] if stride > 1 else []
    around += [nn.Conv1d(before, after, 1, bias=False)] if before != after else []
    main = nn.Sequential(*convolution(before, stride), *convolution(after))
    return types().Sum(main, nn.Sequential(*around))


def _ended(width: int) -> list[nn.Module]:
    from torch import nn

    return [nn.BatchNorm1d(width), nn.ReLU()]


def _stem(width: int, kernel: int = 15, stride: int = 2) -> nn.Module:
    """One convolution a column, each with weights of its own."""
    from torch import nn

    padding = kernel // 2 if stride < kernel else 0
    return nn.Conv1d(CHANNELS, len(GRID) * width, kernel, stride, padding, groups=len(GRID))


def _stages(block: Callable, widths: Sequence[int], blocks: int) -> list[nn.Module]:
    """Stages of equal blocks; each stage but the first begins by halving the sequence."""
    layers, before = [], widths[0]
    for stage, width in enumerate(widths):
        for number in range(blocks):
            layers.append(block(before, width, 2 if stage and not number else 1))
            before = width
    return layers


def _resnet1d(outputs: int) -> nn.Module:
    from torch import nn

    trunk = nn.Sequential(*_stages(_block, (16, 24, 32, 48), 4), *_ended(48))
    return types().SignalNetwork(_stem(16), trunk, 48, (4,), outputs)


# %% [markdown]
# ## (b) A Transformer
# The signal is cut into patches of 100 ms, and the four traces of a patch become one *token* of 64 numbers by a
# linear map that each column has for itself. Four layers of attention follow, in which every token may ask every
# other, however far away. Nothing tells the network that neighbours belong together but the code of their time: it
# must learn it.


# %%
def _transformer1d(outputs: int) -> nn.Module:
    from torch import nn

    trunk = nn.Sequential(
        nn.BatchNorm1d(64), types().Attention(64, 4)
    )  # or the code of time drowns the millivolts
    return types().SignalNetwork(_stem(64, 10, 10), trunk, 64, (4,), outputs)


# %% [markdown]
# ## (c) A hybrid with a pyramid
# Convolutions read the shape of the waves, then two layers of attention compare beats across the ten seconds, and a
# pyramid of three levels (whole, halves, quarters) pools sequences of any length, the idea of spatial pyramid
# pooling. The review's hybrid has *deformable* attention, which chooses the few positions that it compares; over 125
# positions there is no need to be choosy, and ours is plain.


# %%
def _hybrid1d(outputs: int) -> nn.Module:
    from torch import nn

    convolutions = [_block(32, 32, 1), _block(32, 48, 2), _block(48, 64, 2)]
    trunk = nn.Sequential(*convolutions, *_ended(64), types().Attention(64, 2))
    return types().SignalNetwork(_stem(32), trunk, 64, (1, 2, 4), outputs)


# %% [markdown]
# ## (d) A light network
# MobileNets split a convolution in two: along time, each channel by itself (*depthwise*), and across channels, each
# sample by itself. With {math}`c` channels and a kernel of {math}`k` samples that takes {math}`ck + c^2` numbers
# instead of {math}`c^2k`. In between the channels are three times as many, and the path around joins the narrow ends.


# %%
def _light_block(before: int, after: int, stride: int) -> nn.Module:
    from torch import nn

    wide, kernel = 3 * before, 9
    main = nn.Sequential(
        *(nn.Conv1d(before, wide, 1, bias=False), nn.BatchNorm1d(wide), nn.ReLU()),
        *(nn.Conv1d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False), nn.BatchNorm1d(wide)),
        *(nn.ReLU(), nn.Conv1d(wide, after, 1, bias=False), nn.BatchNorm1d(after)),
    )
    return types().Sum(main, nn.Identity()) if (before, stride) == (after, 1) else main


def _mobilenet1d(outputs: int) -> nn.Module:
    from torch import nn

    wide = [nn.Conv1d(48, 96, 1, bias=False), *_ended(96)]
    trunk = nn.Sequential(*_ended(16), *_stages(_light_block, (16, 24, 32, 48), 2), *wide)
    return types().SignalNetwork(_stem(16), trunk, 96, (4,), outputs)


# %%
#: Name of a family -> function of the number of outputs that builds it.
FAMILIES: dict[str, Callable[[int], nn.Module]] = {
    "resnet1d": _resnet1d,
    "transformer1d": _transformer1d,
    "hybrid1d": _hybrid1d,
    "mobilenet1d": _mobilenet1d,
}


def build(family: str, weights: str | Path = "none", seed: int = 0, outputs: int = len(CLASSES)) -> nn.Module:
    """Build a network that reads signals.

    Parameters
    ----------
    family : str
        One of :data:`FAMILIES`.
    weights : str or pathlib.Path, default "none"
        "none" draws them at random; a path takes those of a file from :func:`pretrained`. The head is always drawn.
    seed : int
        Of the draws.
    outputs : int
        Numbers that the head gives.

    Returns
    -------
    torch.nn.Module
        Takes float32 (n, 16, length) as from :func:`channels`, of any length from 100 on, and returns (n, outputs);
        ``sequence`` and ``embed`` give what lies between.

    Raises
    ------
    EcgbookError
        No such family, or weights that do not fit it.

    Notes
    -----
    The chapter "Networks on the signal" introduces it. After Hannun and others 2019, Vaswani and others 2017, He and
    others 2015 (the pyramid), Sandler and others 2018.

    Examples
    --------
    >>> import torch
    >>> network = build("hybrid1d").eval()
    >>> [tuple(network(torch.zeros(2, 16, length)).shape) for length in (125, 250, 1000)]
    [(2, 4), (2, 4), (2, 4)]
    """
    import torch

    make = FAMILIES[_known(family, FAMILIES, "family")]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make(outputs)
    if weights != "none":
        head = {key: value for key, value in network.state_dict().items() if key.startswith("head.")}
        networks._load(network, {**networks._own(weights), **head}, family)
    return network


def parameters(network: nn.Module) -> int:
    """Count the numbers that training may change.

    Examples
    --------
    >>> 50_000 < parameters(build("mobilenet1d")) < parameters(build("resnet1d")) < 500_000
    True
    """
    return sum(parameter.numel() for parameter in network.parameters())


def size(network: nn.Module) -> int:
    """Bytes that its weights take on disk, as safetensors.

    Examples
    --------
    >>> network = build("mobilenet1d")
    >>> size(network) > 4 * parameters(network)
    True
    """
    from safetensors.torch import save

    return len(save({key: value.contiguous() for key, value in network.state_dict().items()}))


def probabilities(network: nn.Module, x: np.ndarray) -> np.ndarray:
    """Ask a network.

    Parameters
    ----------
    network : torch.nn.Module
        With four outputs.
    x : (n, 16, length) float32 array
        Signals as from :func:`channels`.

    Returns
    -------
    (n, 4) float array
        Probabilities of the classes, all that is random in the network switched off.

    Examples
    --------
    >>> probabilities(build("transformer1d"), np.zeros((3, 16, 250), np.float32)).sum(axis=1).round(6)
    array([1., 1., 1.])
    """
    from scipy.special import softmax

    return softmax(_asked(network, network, x).astype(float), axis=1)


def _asked(network: nn.Module, function: Callable, x: np.ndarray) -> np.ndarray:
    """Apply a function to signals, some at a time."""
    import torch

    was, where = network.training, next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        said = [
            function(torch.from_numpy(part).to(where)).cpu() for part in np.array_split(x, -(-len(x) // 32))
        ]
    network.train(was)
    return torch.cat(said).numpy()


# %% [markdown]
# ## What may vary
# An ECG may begin a little earlier, on a person with a thicker chest, with a little more noise; it is still the same
# ECG. So in training each is cut to 2.3 of its 2.5 s a column, from a random start; all its leads are made larger or
# smaller by one factor, which keeps the laws between the leads; and noise of 0.02 mV is added. Nothing is mirrored:
# in time, P would follow the QRS, and upside down an infarct would be a healthy heart.

# %%
_CROP = 0.92  # of the length
_GAIN = 0.1  # standard deviation of the logarithm of the factor
_NOISE = 0.02  # mV


def cropped(x: Tensor, generator: torch.Generator) -> Tensor:
    """Cut the same stretch out of every channel of an ECG, from a random start for each ECG.

    Parameters
    ----------
    x : torch.Tensor, shape (n, channels, length)
    generator : torch.Generator
        On the CPU; it is advanced.

    Returns
    -------
    torch.Tensor, shape (n, channels, 0.92 length)

    Examples
    --------
    >>> import torch
    >>> cropped(torch.zeros(2, 16, 250), torch.Generator()).shape
    torch.Size([2, 16, 230])
    """
    import torch

    kept = round(_CROP * x.shape[2])
    start = torch.randint(x.shape[2] - kept + 1, (len(x), 1, 1), generator=generator)
    at = (start + torch.arange(kept)).to(x.device)
    return x.gather(2, at.expand(-1, x.shape[1], -1))


def varied(x: Tensor, generator: torch.Generator) -> Tensor:
    """Scale each ECG by one factor and add noise.

    Parameters
    ----------
    x : torch.Tensor, shape (n, channels, length)
        Millivolts.
    generator : torch.Generator
        On the CPU; it is advanced.

    Returns
    -------
    torch.Tensor, same shape

    Examples
    --------
    >>> import torch
    >>> loud = varied(torch.full((1, 2, 500), 1.0), torch.Generator().manual_seed(1))
    >>> bool((loud.mean(2)[0, 0] - loud.mean(2)[0, 1]).abs() < 0.01)  # one factor for both channels
    True
    """
    import torch

    gain = (_GAIN * torch.randn(len(x), 1, 1, generator=generator)).exp().to(x.device)
    return x * gain + _NOISE * torch.randn(x.shape, generator=generator).to(x.device)


# %% [markdown]
# ## One recipe for all
# AdamW at 0.001, falling to zero along half a cosine over 15 epochs in batches of 16; the weights of the epoch with the
# lowest validation loss are kept. In the loss a class counts by its share to the power of -0.3: it is the leaning to
# rare classes that the headline has, so the two are not told apart by their taste. With a part of the ECGs an epoch
# has fewer steps, so there are more epochs, as one over the root of the share.
#
# What a lesson asks is a function of the rows of a batch; the loop is the same for training and pre-training.

# %%
RECIPE = train.Recipe(
    epochs=15, batch=16, optimizer="adamw", weight_decay=0.05, schedule="cosine", stop=15, augment=True,
    precision="float32",
)  # fmt: skip
POWER = 0.3


def _weights(y: np.ndarray) -> Tensor:
    """Weight of each class in the loss, mean over the ECGs 1."""
    import torch

    counts = np.maximum(np.bincount(y, minlength=len(CLASSES)), 1)
    weight = (counts / counts.sum()) ** -POWER
    return torch.tensor(weight / weight[y].mean(), dtype=torch.float32)


def _epoch(training: train.Training, n: int, recipe: train.Recipe, seed: int, lesson: Callable) -> float:
    """Train for one epoch on a lesson and return the mean loss."""
    import torch

    training.network.train()
    generator, total = train._generator(seed, len(training.history)), 0.0
    for rows in torch.randperm(n, generator=generator).split(recipe.batch):
        loss = lesson(rows, generator)
        training.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        training.optimizer.step()
        total += loss.item() * len(rows)
    training.schedule.step()  # type: ignore[attr-defined]
    return total / n


def _validated(network: nn.Module, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Mean loss, every ECG counting the same, and accuracy."""
    p = probabilities(network, x)
    return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean()), float((p.argmax(1) == y).mean())


def fit(
    network: nn.Module,
    learn: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    recipe: train.Recipe = RECIPE,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Train a network on labelled signals; leave it with the weights of its best epoch.

    Parameters
    ----------
    network : torch.nn.Module
        From :func:`build`, with four outputs; it is changed.
    learn, val : tuple of two arrays
        Signals, float32 (n, 16, length), and labels, int (n,) from 0 to 3.
    recipe : ecgbook.train.Recipe
        How; :data:`RECIPE` is that of all runs. Its schedule is "cosine".
    seed : int
        Of the order of ECGs, dropout and augmentation.
    device : str
        See :func:`ecgbook.networks.device`.
    progress : function, optional
        Called as ``progress(epoch, epochs)`` after each epoch.

    Returns
    -------
    pandas.DataFrame
        One row an epoch: ``epoch`` from 1, ``train_loss`` (weighted by class), ``val_loss``, ``val_accuracy``, ``lr``.

    Raises
    ------
    EcgbookError
        A loss that is no number, or no such device.

    Notes
    -----
    The chapter "Networks on the signal" introduces it.

    Examples
    --------
    >>> x, y = np.zeros((8, 16, 250), np.float32), np.arange(8) % 4
    >>> fit(build("mobilenet1d"), (x, y), (x, y), RECIPE._replace(epochs=2))["epoch"].tolist()
    [1, 2]
    """
    import torch

    where = networks.device(device)
    network.to(where)
    x, y = torch.from_numpy(learn[0]).to(where), torch.from_numpy(np.asarray(learn[1], np.int64)).to(where)
    weight = _weights(learn[1]).to(where)

    def lesson(rows: Tensor, generator: torch.Generator) -> Tensor:
        shown = varied(cropped(x[rows], generator), generator) if recipe.augment else x[rows]
        return torch.nn.functional.cross_entropy(network(shown), y[rows], weight)

    training = train._begin(network, recipe)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are left alone
        while len(training.history) < recipe.epochs and training.waited() < recipe.stop:
            _step(training, len(x), val, recipe, seed, lesson)
            if progress is not None:
                progress(len(training.history), recipe.epochs)
    network.load_state_dict(training.best)
    network.eval()
    return pd.DataFrame(training.history, columns=train.HISTORY)


def _step(training: train.Training, n: int, val, recipe: train.Recipe, seed: int, lesson: Callable) -> None:
    """One epoch with all that follows from it."""
    epoch, lr = len(training.history) + 1, training.optimizer.param_groups[0]["lr"]
    loss = _epoch(training, n, recipe, seed, lesson)
    val_loss, accuracy = _validated(training.network, *val)
    if not np.isfinite([loss, val_loss]).all():
        raise EcgbookError(f"training: the loss is no number in epoch {epoch}; lower the rate ({lr:g})")
    training.history.append(dict(zip(train.HISTORY, (epoch, loss, val_loss, accuracy, lr), strict=True)))
    if training.waited() == 0:
        training.best.update({key: value.clone() for key, value in training.network.state_dict().items()})


# %% [markdown]
# ## Lessons before the lesson
# Some 315 ECGs are few to learn from what an ECG looks like at all. Two sources can be had without touching a label.
# *Synthetic* records answer the fifteen questions of [](pretrain.py) for certain (rhythm, rate, axis, ST, Q, blocks);
# here they are arranged as signals, without a page in between. *LUDB*'s cardiologists marked P, QRS and T waves; the
# lesson is to say, at every position of the sequence, which share of that time each wave takes. From a LUDB record
# come four examples, each column looking at another quarter of its ten seconds.
#
# The head, or what stood in its place, is thrown away; the weights of the last epoch are kept, so that nothing is
# chosen by what is held out. What began on LUDB may never be tested on LUDB: its runs say so in their notes.

# %%
LESSONS = ("synthetic", "ludb")
RECORDS = 1500  # synthetic; the last sixth is held out, as of LUDB's 200
BEFORE = RECIPE._replace(epochs=6, batch=32)
_WAVES = ("P", "QRS", "T")


def _drawn(name: str, number: int) -> Record:
    """A synthetic record, its strip showing lead II as often as real pages do, four times of five, in every class."""
    label, seed = name.split()
    return synth.record(label, int(seed))._replace(rhythm="II" if number // 5 % 5 else "III")


@lru_cache(maxsize=1)
def synthetic(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Make synthetic signals with answers.

    Parameters
    ----------
    n : int
        How many; the first of them are the same for every `n`.

    Returns
    -------
    x : (n, 16, 250) float32 array
    answers : (n, 15) float32 array
        From :func:`ecgbook.pretrain.targets`.

    Examples
    --------
    >>> x, answers = synthetic(2)
    >>> x.shape, answers.shape
    ((2, 16, 250), (2, 15))
    """
    records = [_drawn(name, number) for number, name in enumerate(pretrain._names(n, 0))]
    return np.array([channels(r) for r in records]), np.array([pretrain.targets(r) for r in records])


def shares(marks: dict[str, pd.DataFrame], fs: float, samples: int) -> np.ndarray:
    """Turn wave boundaries into a mask beside the signal.

    Parameters
    ----------
    marks : dict of str to pandas.DataFrame
        Lead -> its waves, as from :func:`ecgbook.ludb.annotated`.
    fs : float
        Samples per second of the record.
    samples : int
        Of the record.

    Returns
    -------
    (4, 12, samples) float32 array
        1 inside a P wave, a QRS, a T wave; last, 1 where the lead was marked at all, between its first and last mark.

    Examples
    --------
    >>> waves = pd.DataFrame({"wave": ["QRS", "T"], "onset": [0.1, 0.3], "peak": [0.15, 0.4], "offset": [0.2, 0.5]})
    >>> mask = shares({"II": waves}, 100, 100)
    >>> mask[:, 1].sum(axis=1).tolist()
    [0.0, 10.0, 20.0, 40.0]
    """
    out = np.zeros((len(_WAVES) + 1, len(LEADS), samples), np.float32)
    for lead, rows in marks.items():
        whole = rows.dropna()
        for row in whole.itertuples():
            at = slice(round(row.onset * fs), round(row.offset * fs))
            out[_WAVES.index(row.wave), LEADS.index(lead), at] = 1
        if len(whole):
            out[
                -1, LEADS.index(lead), round(whole["onset"].min() * fs) : round(whole["offset"].max() * fs)
            ] = 1
    return out


def _by_column(mask: np.ndarray, fs: float) -> np.ndarray:
    """Mask (4, 12, samples) -> mean over the three leads of each column, at the rate and in the shape of channels."""
    length = mask.shape[2] // len(GRID)
    at = np.minimum(np.round(np.arange(0, length, fs / RATE)).astype(int), length - 1)
    columns = [
        mask[:, 3 * c : 3 * c + 3, c * length : (c + 1) * length].mean(axis=1) for c in range(len(GRID))
    ]
    return np.concatenate(columns)[:, at]


@lru_cache(maxsize=1)
def marked() -> tuple[np.ndarray, np.ndarray]:
    """Arrange LUDB's signals and marks; the diagnoses stay unread.

    Returns
    -------
    x, shares : two (800, 16, 250) float32 arrays
        Signals as from :func:`channels`; shares of P, QRS and T and what was marked, for each column in turn. Four
        rows a record.

    Raises
    ------
    EcgbookError
        If LUDB is not there.
    """
    x, answers, fs = [], [], ludb.FS // 2
    for number in ludb.RECORDS:
        leads = ludb.as_filtered(ludb.read(number)).astype(np.float32)
        mask = shares({lead: ludb.annotated(number, lead) for lead in LEADS}, fs, leads.shape[1])
        for turn in range(len(GRID)):
            by = turn * leads.shape[1] // len(GRID)
            x.append(channels(Record(np.roll(leads, -by, axis=1), fs, "II", 0, "", "", {})))
            answers.append(_by_column(np.roll(mask, -by, axis=2), fs))
    return np.array(x), np.array(answers, np.float32)


def wave_loss(scores: Tensor, answers: Tensor) -> Tensor:
    """Cross-entropy between what is said and the shares of the waves, where leads were marked.

    Parameters
    ----------
    scores : torch.Tensor, shape (n, 3, positions)
        Logits for P, QRS and T at each position of the sequence.
    answers : torch.Tensor, shape (n, 16, length)
        As from :func:`marked`.

    Returns
    -------
    torch.Tensor, no dimension

    Examples
    --------
    >>> import torch
    >>> answers = torch.zeros(1, 16, 100)
    >>> answers[:, 3::4] = 1.0  # all was marked, and no wave is there
    >>> round(float(wave_loss(torch.zeros(1, 3, 20), answers)), 4)  # log 2: nothing known
    0.6931
    """
    from torch.nn import functional as F

    share, known = _pooled(answers, scores.shape[2])
    each = F.binary_cross_entropy_with_logits(scores, share, reduction="none")
    return (each * known).sum() / (len(_WAVES) * known.sum()).clamp(min=1)


def _pooled(answers: Tensor, positions: int) -> tuple[Tensor, Tensor]:
    """Answers of the columns laid end to end, averaged to so many positions: shares (n, 3, m) and known (n, 1, m)."""
    from torch.nn import functional as F

    columns = answers.unflatten(1, (len(GRID), len(_WAVES) + 1)).transpose(1, 2).flatten(2)
    pooled = F.adaptive_avg_pool1d(columns, positions)
    known = pooled[:, -1:]
    return pooled[:, :-1] / known.clamp(min=1e-6), (known > 0.5).float()


# %% [markdown]
# A lesson is given by its examples, by the network with what stands in place of its head, and by the loss of some rows.


# %%
class Taught(NamedTuple):
    """What pre-training leaves: the network, and how well it answers what was held out (one row a question)."""

    network: nn.Module
    reading: pd.DataFrame


def teach(
    family: str, lesson: str, examples: tuple[np.ndarray, np.ndarray], recipe=BEFORE, seed: int = 0
) -> Taught:
    """Pre-train a network on a lesson.

    Parameters
    ----------
    family : str
        One of :data:`FAMILIES`.
    lesson : str
        "synthetic" or "ludb".
    examples : tuple of two arrays
        From :func:`synthetic` or :func:`marked`; the last sixth is held out.
    recipe : ecgbook.train.Recipe
    seed : int

    Returns
    -------
    Taught

    Raises
    ------
    EcgbookError
        No such family or lesson.

    Examples
    --------
    >>> taught = teach("mobilenet1d", "synthetic", synthetic(12), BEFORE._replace(epochs=1))
    >>> list(taught.reading)
    ['task', 'metric', 'value', 'guess', 'cases']
    """
    import torch

    _known(lesson, LESSONS, "lesson")
    x, answers = (torch.from_numpy(array) for array in examples)
    learned = len(x) - max(1, len(x) // 6)
    network = build(family, "none", seed, len(pretrain.TARGETS))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = torch.nn.Conv1d(network.width, len(_WAVES), 1)

    def asked(rows: Tensor, generator: torch.Generator) -> Tensor:
        if lesson == "synthetic":
            return pretrain.loss(network(varied(cropped(x[rows], generator), generator)), answers[rows])
        both = cropped(torch.cat([x[rows], answers[rows]], 1), generator)
        return wave_loss(reader(network.sequence(varied(both[:, :CHANNELS], generator))), both[:, CHANNELS:])

    training = train._begin(torch.nn.ModuleList([network, reader]), recipe)
    with torch.random.fork_rng(devices=[]):
        while len(training.history) < recipe.epochs:
            training.history.append({"train_loss": _epoch(training, learned, recipe, seed, asked)})
    held = x[learned:].numpy()
    if lesson == "synthetic":
        return Taught(
            network.eval(), pretrain.score(answers[learned:].numpy(), _asked(network, network, held))
        )
    return Taught(
        network.eval(),
        _wave_score(_asked(network, lambda part: reader(network.sequence(part)), held), answers[learned:]),
    )


def _wave_score(scores: np.ndarray, answers: Tensor) -> pd.DataFrame:
    """Area under the ROC curve of each wave: is it there for more than half of a position?"""
    from sklearn.metrics import roc_auc_score

    share, known = (part.numpy() for part in _pooled(answers, scores.shape[2]))
    rows, asked = [], known[:, 0] > 0
    for row, wave in enumerate(_WAVES):
        there = share[:, row][asked] > 0.5
        rows.append((wave, "auc", roc_auc_score(there, scores[:, row][asked]), 0.5, int(there.sum())))
    return pd.DataFrame(rows, columns=["task", "metric", "value", "guess", "cases"])


_SHAPES = (_block, _ended, _stem, _stages, _light_block, *FAMILIES.values(), build, types, times)
_SEEN = (channels, _bridged, _resampled, cropped, varied)


def _code_of(*functions: Callable) -> str:
    """Digest of what functions do, with the constants that they use."""
    constants = (RATE, _KERNEL, _CROP, _GAIN, _NOISE, POWER, tuple(RECIPE), tuple(BEFORE), RECORDS)
    sources = [inspect.getsource(getattr(function, "__wrapped__", function)) for function in functions]
    code = [publish.code_digest(source) for source in sources]
    return hashlib.sha256(repr([constants, code]).encode()).hexdigest()[:16]


def _before(lesson: str) -> str:
    """Digest of the code behind a pre-training."""
    lessons = {"synthetic": (synthetic, _drawn), "ludb": (marked, shares, _by_column, wave_loss, _pooled)}
    return _code_of(*_SHAPES, *_SEEN, *lessons[_known(lesson, LESSONS, "lesson")], teach, _epoch)  # type: ignore[arg-type]


def pretrained(family: str, lesson: str) -> Path:
    """Find the weights of a pre-trained network, or make them, in a minute or two of one core.

    Parameters
    ----------
    family : str
        One of :data:`FAMILIES`.
    lesson : str
        One of :data:`LESSONS`.

    Returns
    -------
    pathlib.Path
        A safetensors file in ``.cache``; its name holds a digest of the code behind it. Beside it, ending in ``.json``,
        what it took (``cpu_s``) and how well the network answers what was held out (``reading``).

    Raises
    ------
    EcgbookError
        No such family or lesson; no LUDB.
    """
    _known(family, FAMILIES, "family")
    path = publish.ROOT / ".cache" / "networks1d" / f"{family}-{lesson}-{_before(lesson)}.safetensors"
    if not path.with_suffix(".json").is_file():
        data.make_folder(path.parent)
        clock = time.process_time()
        examples = synthetic(RECORDS) if lesson == "synthetic" else marked()
        taught = teach(family, lesson, examples)
        networks.save_backbone(taught.network, path)
        note = {"examples": len(examples[0]), "cpu_s": round(time.process_time() - clock, 1)}
        note["reading"] = taught.reading.round(3).to_dict("list")
        write_whole(path.with_suffix(".json"), json.dumps(note))
    return path


# %% [markdown]
# ## The runs
# Each run is five folds of `grouped`, dealt once. The network learns from the training part, and the validation part
# says which epoch is kept; the test part is predicted once. Trees on measurements, with the settings that they have
# in the headline, run beside the networks on *the same training part*, for the stored runs of the study also learn
# from the validation part.
#
# For the learning curves a network and the trees learn from a half and a quarter of the training part's groups, the
# quarter inside the half. The family for the curve is the one with the lowest log loss on the validation parts.
#
# What was decided later: the fifteen epochs were cut from twenty-five for want of processor time, before any network
# was scored; the trees were run again when the recipe changed, with the same scores, and stand in the log twice; and
# that the family chosen by validation be pre-trained as well was decided when the first runs had been scored.


# %%
class Plan(NamedTuple):
    """One declared run: a family (or "trees"), where its weights come from, and the share of groups it learns from."""

    family: str
    weights: str = "none"
    share: float = 1.0
    what_for: str = "signal networks"


_PRETRAINED = ("hybrid1d", "transformer1d", "mobilenet1d")  # chosen by validation; hungry; light
SHARES = {"full": 1.0, "half": 0.5, "quarter": 0.25}


def _plans() -> dict[str, Plan]:
    plans = {f"grouped-{family}": Plan(family) for family in FAMILIES}
    plans |= {f"grouped-trees-{name}": Plan("trees", share=share) for name, share in SHARES.items()}
    plans |= {f"grouped-{family}-synthetic": Plan(family, "synthetic") for family in _PRETRAINED}
    plans["grouped-transformer1d-ludb"] = Plan("transformer1d", "ludb")
    for family in FAMILIES:
        plans |= {
            f"grouped-{family}-{name}": Plan(family, share=SHARES[name]) for name in ("half", "quarter")
        }
    return plans


#: Name of a run -> what it is. Of the learning curves only those of the chosen family are stored.
PLANS: dict[str, Plan] = _plans()


def learned(split: splits.Split, share: float, seed: int) -> np.ndarray:
    """Take a share of the groups of a training part.

    Parameters
    ----------
    split : ecgbook.splits.Split
        Rows of :func:`ecgbook.data.pages`.
    share : float
        Of the groups, above 0 and at most 1; a smaller share lies inside a larger one.
    seed : int

    Returns
    -------
    (n,) int array
        Rows, sorted; those of a group come together.

    Examples
    --------
    >>> split = splits.folds("grouped", data.pages())[0]
    >>> half, quarter = (learned(split, share, 0) for share in (0.5, 0.25))
    >>> bool(np.isin(quarter, half).all() and np.isin(half, split.train).all())
    True
    """
    groups = data.pages()["group"].to_numpy()[split.train]
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    return split.train[np.isin(groups, order[: max(1, round(share * len(order)))])]


class Fold(NamedTuple):
    """What one fold leaves: probabilities of the validation and test parts, the history, and what it cost."""

    val: np.ndarray
    test: np.ndarray
    history: pd.DataFrame
    cost: dict[str, float]


def _labels() -> np.ndarray:
    return data.pages()["label"].map(CLASSES.index).to_numpy()


def network_fold(
    plan: Plan, split: splits.Split, fold: int, x: np.ndarray, y: np.ndarray, device="auto"
) -> Fold:
    """Train one network and let it predict.

    Parameters
    ----------
    plan : Plan
    split : ecgbook.splits.Split
        Rows of `x` and `y`.
    fold : int
        Its number is the seed.
    x : (n, 16, length) float32 array
    y : (n,) int array
    device : str

    Returns
    -------
    Fold
    """
    rows = learned(split, plan.share, fold)
    weights = plan.weights if plan.weights == "none" else pretrained(plan.family, plan.weights)
    network, clock = build(plan.family, weights, fold), time.process_time()
    epochs = round(RECIPE.epochs / plan.share**0.5)
    recipe = RECIPE._replace(epochs=epochs, stop=epochs)
    history = fit(network, (x[rows], y[rows]), (x[split.val], y[split.val]), recipe, fold, device)
    cost = {"training_cpu_s": time.process_time() - clock, "learned_from": len(rows)}
    val, test = (probabilities(network, x[part]) for part in (split.val, split.test))
    cost |= {
        "parameters": parameters(network),
        "bytes": size(network),
        "ms_an_ecg": _ms(network.cpu(), x[:1]),
    }
    return Fold(val, test, history, cost)


def _ms(network: nn.Module, x: np.ndarray) -> float:
    """Median processor time for one ECG, ms; the arranging of its channels not counted."""
    return _median_ms(lambda: probabilities(network, x), 15)


def _median_ms(function: Callable[[], object], calls: int) -> float:
    spent = []
    for _ in range(calls):
        clock = time.process_time()
        function()
        spent.append(time.process_time() - clock)
    return 1000 * float(np.median(spent))


def trees_fold(plan: Plan, split: splits.Split, fold: int) -> Fold:
    """Fit trees on measurements, as :func:`network_fold` does networks on signals."""
    from sklearn.pipeline import make_pipeline

    X, y, rows = (
        models.features("measurements").loc[data.pages()["file"]],
        _labels(),
        learned(split, plan.share, fold),
    )
    clock = time.process_time()
    trees = make_pipeline(models._only(models._measured), models._extra_trees(fold)).fit(
        X.iloc[rows], y[rows]
    )
    cost = {"training_cpu_s": time.process_time() - clock, "learned_from": len(rows)}
    val, test = (models.probabilities(trees, X.iloc[part]) for part in (split.val, split.test))
    ecg = digitize.record(digitize.load(data.pages()["file"].iloc[0]))
    spent = _median_ms(lambda: measure.measure(ecg), 5) + _median_ms(lambda: trees.predict_proba(X[:1]), 5)
    cost |= {"parameters": sum(t.tree_.node_count for t in trees[-1].estimators_), "ms_an_ecg": spent}
    return Fold(val, test, pd.DataFrame(columns=train.HISTORY), cost | {"bytes": len(pickle.dumps(trees))})


# %% [markdown]
# ## Storing
# As everywhere: a finished fold is written whole, and a run that was interrupted goes on with the next one; predictions
# and history have the format of the study, so `study.load` reads them and checks their digest. Every run is entered in
# the log of outer evaluations when it begins.

# %%
_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "torch")
_DECIDING = (
    *_SHAPES,
    *_SEEN,
    probabilities,
    _asked,
    _weights,
    _epoch,
    _validated,
    fit,
    _step,
    learned,
    network_fold,
    trees_fold,
)


def _code(plan: Plan) -> dict[str, str]:
    """Digests of the code behind a run."""
    names = ["splits", "models"] if plan.family == "trees" else ["splits", "train"]
    names += {"synthetic": ["synth", "pretrain"], "ludb": ["ludb"]}.get(plan.weights, [])
    here = Path(__file__).parent
    found = {name: publish.code_digest((here / f"{name}.py").read_text(encoding="utf-8")) for name in names}
    before = {"before": _before(plan.weights)} if plan.weights != "none" else {}
    return found | {"networks1d": _code_of(*_DECIDING)} | before  # type: ignore[arg-type]


def _note(run: str, plan: Plan) -> dict:
    """What is known when a run begins."""
    trees = plan.family == "trees"
    tables = ("manifest.csv", "measurements.csv") if trees else ("manifest.csv", "signals.npz")
    note = {
        "run": run,
        "task": "classify",
        "model": "extra trees" if trees else plan.family,
        "input": "measurements" if trees else "signals: 4 columns of 3 leads and the strip, 100 Hz, mV",
        "protocol": "grouped",
        "weights": plan.weights,
        "share": plan.share,
        "external": "never on LUDB" if plan.weights == "ludb" else "allowed",
        "seed": "number of the fold",
        "folds": 5,
        "repeats": 1,
        "command": f"python -m ecgbook.networks1d {run}",
        "code": _code(plan),
        "data": {name: data.digest(data.tables() / name)[1][:16] for name in tables},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": f"{networks.device()}, {platform.machine()}",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if not trees:
        note["settings"] = RECIPE._asdict() | {"class_weight_power": POWER}
    if plan.weights != "none":
        kept = pretrained(plan.family, plan.weights).with_suffix(".json").read_text(encoding="utf-8")
        note["pretraining"] = json.loads(kept)
    return note


def _done_fold(run: str, plan: Plan, split: splits.Split, fold: int) -> dict:
    """Do one fold; its rows and history as text, and its cost."""
    clock = time.monotonic()
    with study._one_thread():
        did = (
            trees_fold(plan, split, fold)
            if plan.family == "trees"
            else network_fold(plan, split, fold, _carried(), _labels())
        )
    pages, place = data.pages(), study._Place(Path(run), 0, fold)
    parts = ((split.val, "val", did.val), (split.test, "test", did.test))
    rows = pd.concat([study._rows(pages, at, part, p) for at, part, p in parts])
    return {
        "rows": study._text(rows, place, evaluate.COLUMNS),
        "history": study._text(did.history, place, study.HISTORY, "%.6g"),
        "cost": did.cost,
        "wall_s": time.monotonic() - clock,
    }


def _begun(run: str, plan: Plan, results: Path) -> tuple[Path, dict]:
    """Folder of the finished folds, and the note; a run that begins is entered in the log."""
    code = hashlib.sha256(json.dumps(_code(plan), sort_keys=True).encode()).hexdigest()[:8]
    parts = publish.ROOT / ".cache" / f"{run}-{code}"
    path = parts / "run.json"
    if not path.is_file():
        note = _note(run, plan)
        data.make_folder(parts)
        study._log(run, plan, note, results)  # type: ignore[arg-type]
        write_whole(path, json.dumps(note))
    return parts, json.loads(path.read_text(encoding="utf-8"))


def store(
    run: str, results: Path = study.RESULTS, progress: Callable[[str], None] = lambda said: None
) -> Path:
    """Make a run, or what is missing of it.

    Parameters
    ----------
    run : str
        One of :data:`PLANS`.
    results : pathlib.Path
        Folder of the results; must hold ``headline.json``.
    progress : function
        Is told after each fold.

    Returns
    -------
    pathlib.Path
        The run's folder: ``run.json``, ``predictions.csv`` and, for a network, ``history.csv``.

    Raises
    ------
    EcgbookError
        No such run, no headline named, no LUDB for a run that needs it.
    """
    plan, folder = PLANS[_known(run, PLANS, "run")], results / run
    study._require_headline(results)
    if study.is_finished(folder):
        return folder
    parts, note = _begun(run, plan, results)
    dealt = splits.folds("grouped", data.pages())
    done = []
    for fold, split in enumerate(dealt):
        path = parts / f"{fold}.json"
        if not path.is_file():
            write_whole(path, json.dumps(_done_fold(run, plan, split, fold)))
        done.append(json.loads(path.read_text(encoding="utf-8")))
        progress(f"{run}: fold {fold + 1} of {len(dealt)}, {done[-1]['wall_s']:.0f} s")
    _join(folder, note, done)
    shutil.rmtree(parts)
    return folder


def _join(folder: Path, note: dict, done: list[dict]) -> None:
    """Write the tables of all folds, and the note last of all."""
    data.make_folder(folder)
    tables = {"predictions": evaluate.COLUMNS} | ({"history": study.HISTORY} if done[0]["history"] else {})
    for (name, columns), key in zip(tables.items(), ("rows", "history"), strict=False):
        text = ",".join(columns) + "\n" + "".join(part[key] for part in done)
        write_whole(folder / f"{name}.csv", text)
        note[f"{name}_sha256"] = study._digest(text)
    cost = pd.DataFrame([part["cost"] for part in done])
    note["cost"] = {
        "training_cpu_s": round(float(cost["training_cpu_s"].sum()), 1),  # of all folds
        "ms_an_ecg": round(float(cost["ms_an_ecg"].median()), 2),
        "parameters": round(float(cost["parameters"].mean())),
        "bytes": round(float(cost["bytes"].mean())),
        "learned_from": cost["learned_from"].astype(int).tolist(),
    }
    note["wall_s"] = round(sum(part["wall_s"] for part in done), 1)
    note["peak_rss_mb"] = round(study._peak_mb())
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")


# %% [markdown]
# ## Reading the runs


# %%
def note(run: str, results: Path = study.RESULTS) -> dict:
    """Load how a finished run came about.

    Parameters
    ----------
    run : str
        Folder in `results`.
    results : pathlib.Path

    Returns
    -------
    dict
        The content of ``run.json``; ``cost`` holds ``training_cpu_s`` (all folds, one core), ``ms_an_ecg`` (one core),
        ``parameters`` (trees: nodes), ``bytes`` on disk and ``learned_from`` (ECGs, by fold).

    Raises
    ------
    EcgbookError
        No such run, or an unfinished one.

    Examples
    --------
    >>> note("grouped-majority")["model"]
    'majority'
    """
    if not study.is_finished(results / run):
        raise EcgbookError(
            f"{results / run}: is not there; make it with `python -m ecgbook.networks1d {run}`"
        )
    return json.loads((results / run / "run.json").read_text(encoding="utf-8"))


def finished(results: Path = study.RESULTS) -> list[str]:
    """Name the finished runs among :data:`PLANS`, in the order of their declaration.

    Examples
    --------
    >>> finished(Path("no such folder"))
    []
    """
    return [run for run in PLANS if study.is_finished(results / run)]


def validation_loss(run: str, results: Path = study.RESULTS) -> float:
    """Mean log loss of a stored run on the validation parts: what choices are made by.

    Parameters
    ----------
    run : str
        Any run of the study or of :data:`PLANS`.
    results : pathlib.Path

    Returns
    -------
    float

    Examples
    --------
    >>> validation_loss("grouped-headline") < validation_loss("grouped-majority")
    True
    """
    rows = study.load(run, results).query("part == 'val'")
    p = rows[evaluate.PROBABILITIES].to_numpy()[np.arange(len(rows)), rows["label"].map(CLASSES.index)]
    return float(-np.log(np.maximum(p, 1e-5)).mean())


def chosen(runs: Sequence[str], results: Path = study.RESULTS) -> str:
    """Choose the run with the lowest log loss on the validation parts; test parts are not looked at.

    Examples
    --------
    >>> chosen(["grouped-majority", "grouped-headline"])
    'grouped-headline'
    """
    return min(runs, key=lambda run: validation_loss(run, results))


def wanted(results: Path = study.RESULTS) -> list[str]:
    """Name the runs that belong to the comparison; the learning curves once their family can be chosen.

    Examples
    --------
    >>> wanted(Path("no such folder"))[0]
    'grouped-resnet1d'
    """
    whole = [run for run, plan in PLANS.items() if plan.share == 1 or plan.family == "trees"]
    first = [f"grouped-{family}" for family in FAMILIES]
    if not set(first) <= set(finished(results)):
        return whole
    family = chosen(first, results)
    return [*whole, *(run for run in PLANS if run.startswith(family) and run.endswith(("-half", "-quarter")))]


def main(arguments: Sequence[str]) -> int:
    """Make the named runs, or all that belong to the comparison."""
    try:
        while missing := [run for run in arguments or wanted() if not study.is_finished(study.RESULTS / run)]:
            print(store(missing[0], progress=lambda said: print(said, file=sys.stderr, flush=True)))
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    from ecgbook import networks1d as module  # under its package name, as everywhere else

    sys.exit(module.main(sys.argv[1:]))
