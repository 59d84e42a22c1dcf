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
# # Generate: compress, notice, invent
# A network that has learned what hearts look like can do more than clean them. It can write a heart down in few
# numbers (compression). It can notice a heart that it finds hard to write down (anomaly detection). And it can write
# hearts that never beat (augmentation). Each promise stands here beside plain methods that make the same one.
#
# Fixed before any test record was scored: all shapes, numbers of steps, quantiser steps, numbers of components, the
# number of invented ECGs, the rivals and the scores. Only amounts were cut for want of computing time: one fold of five
# for compression, with two sizes of the code instead of three, and two dealings instead of three for augmentation.

# %%
"""Compression, anomaly detection and augmentation by learned models, beside plain rivals."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr

from ecgbook import data, denoise, evaluate, models, publish, splits, study
from ecgbook.data import CLASSES, EcgbookError, write_whole
from ecgbook.models import _known

if TYPE_CHECKING:
    from torch import nn

RESULTS = study.RESULTS

# %% [markdown]
# ## Compression: a transform, a step, a code
# All three compressors work alike. A transform turns a stretch of 8 s of one lead into numbers; each number is rounded
# to a multiple of a step; a code spends {math}`-\log_2 p` bits on a rounded number of probability {math}`p`. The
# transforms: wavelets (the same for everybody), principal components of 2 s (learned, linear), and the means of
# variational autoencoders with 2 or 8 numbers for each 16 samples (learned, not linear). Every number's probabilities
# come from a Laplace or a normal distribution, whichever fits the training records better; ends of a code and its
# tables cost nothing. Median and standard deviation of a stretch are sent beside it, with 16 bits each.

# %%
SAMPLES = 2048  # samples of a lead that are compressed
SIDE_BITS = 32 / SAMPLES  # bits a sample for median and standard deviation
WINDOW = 512  # samples that principal components see
LATENTS = (2, 8)
PER_CODE = 16  # samples behind one column of codes


class Transform(NamedTuple):
    """A way to write stretches (k, 2048) as numbers (s, k, m), s streams that are coded apart, and back."""

    forward: Callable[[np.ndarray], list[np.ndarray]]
    backward: Callable[[list[np.ndarray]], np.ndarray]


def wavelets() -> Transform:
    """Orthogonal wavelet transform, six levels of a symlet; one stream a level.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(2, 2048))
    >>> one = wavelets()
    >>> bool(np.allclose(one.backward(one.forward(x)), x))
    True
    """
    import pywt

    return Transform(
        lambda x: pywt.wavedec(x, "sym8", mode="periodization", level=6, axis=-1),
        lambda streams: pywt.waverec(streams, "sym8", mode="periodization", axis=-1),
    )


def components(train: np.ndarray) -> Transform:
    """Principal components of stretches of 2 s, learned on training stretches (k, 2048); one stream a component."""
    pieces = train.reshape(-1, WINDOW)
    basis = np.linalg.eigh(pieces.T @ pieces)[1][:, ::-1]

    def forward(x: np.ndarray) -> list[np.ndarray]:
        return list((x.reshape(len(x), -1, WINDOW) @ basis).transpose(2, 0, 1))

    return Transform(
        forward, lambda streams: (np.array(streams).transpose(1, 2, 0) @ basis.T).reshape(-1, SAMPLES)
    )


def codes(network: nn.Module) -> Transform:
    """Means of a variational autoencoder; one stream a latent number."""
    import torch

    def forward(x: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            both = network.code(network.encode(denoise._fold(torch.from_numpy(x.astype(np.float32)))))
        return list(both.chunk(2, 1)[0].numpy().astype(float).transpose(1, 0, 2))

    def backward(streams: list[np.ndarray]) -> np.ndarray:
        with torch.inference_mode():
            shown = network.decode(torch.from_numpy(np.array(streams, np.float32).transpose(1, 0, 2)))
        return denoise._unfold(shown).numpy().astype(float)

    return Transform(forward, backward)


class Code(NamedTuple):
    """Distribution behind the code of one stream: "laplace" or "normal", its centre and scale."""

    name: str
    centre: float
    scale: float


def _laplace(z: np.ndarray) -> np.ndarray:
    """Distribution function of Laplace's law."""
    tail = 0.5 * np.exp(-np.abs(z))
    return np.where(z < 0, tail, 1 - tail)


_LAWS = {"laplace": _laplace, "normal": ndtr}


def bits(symbols: np.ndarray, step: float, code: Code) -> np.ndarray:
    """Bits that rounded numbers cost.

    Parameters
    ----------
    symbols : array of int
        Numbers over step, rounded.
    step : float
    code : Code

    Returns
    -------
    array, same shape

    Examples
    --------
    >>> cost = bits(np.arange(-400, 401), 0.1, Code("normal", 0.0, 1.0))
    >>> round(float((2.0**-cost).sum()), 3)  # probabilities; none below 2 to the power of -24
    1.0
    """
    law, middle = _LAWS[code.name], symbols * step - code.centre
    p = law((middle + 0.5 * step) / code.scale) - law((middle - 0.5 * step) / code.scale)
    return -np.log2(np.maximum(p, 2.0**-24))


def fit_code(stream: np.ndarray, step: float) -> Code:
    """Choose the distribution that codes a training stream more shortly.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> fit_code(rng.laplace(size=4000), 0.1).name, fit_code(rng.normal(size=4000), 0.1).name
    ('laplace', 'normal')
    """
    middle, mean = float(np.median(stream)), float(stream.mean())
    tried = [
        Code("laplace", middle, max(float(np.abs(stream - middle).mean()), step / 20)),
        Code("normal", mean, max(float(stream.std()), step / 20)),
    ]
    symbols = np.round(stream / step)
    return min(tried, key=lambda code: bits(symbols, step, code).mean())


class Quantiser(NamedTuple):
    """Step and code of one stream."""

    step: float
    code: Code


def quantisers(streams: list[np.ndarray], step: float, relative: bool = False) -> list[Quantiser]:
    """Fit the code of every stream to training streams.

    Parameters
    ----------
    streams : list of arrays
        What a transform makes of training stretches.
    step : float
    relative : bool
        Whether the step is in standard deviations of each stream.

    Returns
    -------
    list of Quantiser
    """
    steps = [step * float(stream.std()) if relative else step for stream in streams]
    return [Quantiser(own, fit_code(stream, own)) for own, stream in zip(steps, streams, strict=True)]


def compress(transform: Transform, known: list[Quantiser], x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write stretches down and read them again.

    Parameters
    ----------
    transform : Transform
    known : list of Quantiser
        One for each stream.
    x : (k, 2048) array
        Stretches, centred and scaled.

    Returns
    -------
    restored : (k, 2048) array
    bits_a_sample : (k,) array

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(3, 2048))
    >>> one = wavelets()
    >>> restored, rate = compress(one, quantisers(one.forward(x), 0.01), x)
    >>> bool(np.abs(restored - x).max() < 0.05), bool(8 < rate.mean() < 10)
    (True, True)
    """
    restored, total = [], np.full(len(x), SIDE_BITS)
    for (step, code), stream in zip(known, transform.forward(x), strict=True):
        symbols = np.round(stream / step)
        total = total + bits(symbols, step, code).reshape(len(x), -1).sum(axis=1) / SAMPLES
        restored.append(symbols * step)
    return transform.backward(restored), total


_PLAIN_STEPS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.0)
STEPS = {"wavelets": _PLAIN_STEPS, "components": _PLAIN_STEPS, "codes": (0.3, 0.8, 1.6)}
CODES_RECIPE = denoise.Recipe(500)


def fit_codes(
    train: np.ndarray, latent: int, recipe: denoise.Recipe = CODES_RECIPE, seed: int = 0
) -> nn.Module:
    """Train a variational autoencoder to write clean stretches down.

    Parameters
    ----------
    train : (k, n) array
        Training signals, centred and scaled; n at least 1024.
    latent : int
        Numbers for each 16 samples.
    recipe : ecgbook.denoise.Recipe
    seed : int

    Returns
    -------
    torch.nn.Module
    """
    import torch

    with study._one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, rng = denoise._parts()["variational"](latent=latent), np.random.default_rng(seed)
        optimizer = torch.optim.AdamW(network.parameters(), recipe.lr, weight_decay=1e-3)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, recipe.steps)
        for _ in range(recipe.steps):
            rows = rng.integers(len(train), size=recipe.batch)
            starts = rng.integers(train.shape[1] - denoise.STRETCH + 1, size=recipe.batch)
            batch = np.stack([train[r, s : s + denoise.STRETCH] for r, s in zip(rows, starts, strict=True)])
            x = torch.from_numpy((batch * rng.choice([-1, 1], (recipe.batch, 1))).astype(np.float32))
            with torch.autocast("cpu", torch.bfloat16):
                shown = network(x)
            loss = denoise.ratio(shown.float(), x) + _LITTLE * network.divergence.float()
            denoise._descend(optimizer, loss)
            cycle.step()
    return network.eval()


_LITTLE = 0.02  # weight of the divergence: enough to keep the numbers small


def _normalised(signals: np.ndarray) -> np.ndarray:
    return (signals - np.median(signals, axis=1, keepdims=True)) / denoise._spread(signals)


_WAYS = (("wavelets", 0), ("components", 0), *(("codes", latent) for latent in LATENTS))


def _way(name: str, latent: int, train: np.ndarray, seed: int) -> Transform:
    """Learn a transform from training stretches."""
    if name == "codes":
        return codes(fit_codes(train, latent, seed=seed))
    return components(train) if name == "components" else wavelets()


def _compress_fold(fold: int, name: str, latent: int) -> dict[str, object]:
    """Bits a sample, PRD (%), error (µV) and ST error (µV) of each test record by one compressor."""
    part, rows, clock = denoise.deal(fold), [], time.process_time()
    train = _normalised(denoise._signals(part["train"])["diagnostic"][:, :SAMPLES])
    way = _way(name, latent, train, fold)
    streams, spent = way.forward(train[::4]), time.process_time() - clock
    clock = time.process_time()
    for step in STEPS[name]:
        known = quantisers(streams, step, name == "codes")
        rows += [(number, name, latent, step, *_rated(way, known, number)) for number in part["test"]]
    ms = 1000 * (time.process_time() - clock) / len(rows)
    names = ["record", "method", "latent", "step", "bits", "prd", "rmse", "st"]
    cost = {"method": name, "latent": latent, "learning_cpu_s": spent, "ms_an_ecg": ms}
    return {"rows": pd.DataFrame(rows, columns=names), "cost": cost}


def _rated(way: Transform, known: list[Quantiser], number: int) -> tuple[float, ...]:
    """Compress a record's twelve leads: mean bits a sample, PRD (%), error (µV), ST error (µV)."""
    clean = denoise._signals(np.array([number]))["diagnostic"][:, :SAMPLES]
    restored, rate = compress(way, known, _normalised(clean))
    restored = restored * denoise._spread(clean) + np.median(clean, axis=1, keepdims=True)
    error = np.sqrt(np.mean((restored - clean) ** 2, axis=1))
    where = denoise._beats(number, SAMPLES, list(range(12)))
    st = np.abs(denoise.st_levels(restored, where) - denoise.st_levels(clean, where)).mean()
    return float(rate.mean()), float((100 * error / clean.std(axis=1)).mean()), 1000 * error.mean(), 1000 * st


# %% [markdown]
# ## Anomaly: what is hard to rebuild
# An autoencoder is trained on median beats of Normal ECGs only, twelve leads of 56 points. What it cannot rebuild is
# not what it was shown; the error is the score. Beside it: the error of the same with principal components (95 % of
# the variance), the Mahalanobis distance in those components, the distance of the heart rate from its median, which
# needs no beat at all; and as a ceiling the headline model, which was told all four classes.

# %%
_HIDDEN = (96, 16)


def dense(inputs: int, hidden: tuple[int, int] = _HIDDEN) -> nn.Module:
    """An autoencoder of dense layers with a bottleneck of ``hidden[1]`` numbers."""
    from torch import nn

    wide, narrow = hidden
    return nn.Sequential(
        nn.Dropout(0.1), nn.Linear(inputs, wide), nn.Tanh(), nn.Linear(wide, narrow),
        nn.Linear(narrow, wide), nn.Tanh(), nn.Linear(wide, inputs),
    )  # fmt: skip


def fit_dense(rows: np.ndarray, epochs: int = 300, seed: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Train a dense autoencoder.

    Parameters
    ----------
    rows : (n, d) array
        Scaled training rows.
    epochs : int
    seed : int

    Returns
    -------
    callable
        From rows (m, d) to the same rows rebuilt.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(40, 1)) * np.ones((1, 6))
    >>> rebuild = fit_dense(rows, epochs=200)
    >>> bool(np.abs(rebuild(rows) - rows).mean() < np.abs(rows).mean() / 3)
    True
    """
    import torch

    with study._one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, x = dense(rows.shape[1]), torch.from_numpy(rows.astype(np.float32))
        optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
        for _ in range(epochs):
            for batch in torch.randperm(len(x)).split(32):
                loss = ((network(x[batch]) - x[batch]) ** 2).mean()
                denoise._descend(optimizer, loss)
    network.eval()

    def rebuild(other: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(other.astype(np.float32))).numpy().astype(float)

    return rebuild


class Usual(NamedTuple):
    """What normal rows look like: mean, spread of each lead, principal axes and their variances."""

    mean: np.ndarray
    spread: np.ndarray
    axes: np.ndarray
    variances: np.ndarray

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """Centre rows and divide each lead by its spread."""
        return (rows - self.mean) / self.spread

    def within(self, rows: np.ndarray) -> np.ndarray:
        """Project scaled rows on the principal axes."""
        return self.scaled(rows) @ self.axes.T


def usual(rows: np.ndarray, leads: int = 12, kept: float = 0.95) -> Usual:
    """Learn what normal rows look like.

    Parameters
    ----------
    rows : (n, d) array
        Lead after lead, each with as many points.
    leads : int
    kept : float
        Share of the variance that the axes keep.

    Returns
    -------
    Usual
    """
    mean = rows.mean(axis=0)
    spread = np.repeat((rows - mean).reshape(len(rows), leads, -1).std(axis=(0, 2)), rows.shape[1] // leads)
    _, singular, axes = np.linalg.svd((rows - mean) / spread, full_matrices=False)
    variances = singular**2 / (len(rows) - 1)
    count = int(np.searchsorted(np.cumsum(variances) / variances.sum(), kept)) + 1
    return Usual(mean, spread, axes[:count], variances[:count])


def oddness(normal: np.ndarray, rows: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Score how odd beats are, having seen normal ones.

    Parameters
    ----------
    normal : (n, d) array
        Beats of Normal ECGs to learn from, lead after lead.
    rows : (m, d) array
        Beats to score.
    seed : int
        Of the autoencoder.

    Returns
    -------
    dict
        Name of the method -> (m,) array, higher is odder.
    """
    known = usual(normal)
    scaled, within = known.scaled(rows), known.within(rows)
    rebuild = fit_dense(known.scaled(normal), seed=seed)
    return {
        "autoencoder": np.mean((scaled - rebuild(scaled)) ** 2, axis=1),
        "principal components": np.mean((scaled - within @ known.axes) ** 2, axis=1),
        "Mahalanobis": np.sum(within**2 / known.variances, axis=1),
    }


def _anomaly_fold(fold: int) -> dict[str, object]:
    """Scores of a fold's test ECGs."""
    pages = data.pages()
    split, y = splits.folds("grouped", pages)[fold], pages["label"].to_numpy()
    beats = models.features("beats").loc[pages["file"]].to_numpy()
    rate = np.log(models.features("measurements").loc[pages["file"], "heart_rate"].to_numpy())
    known = np.sort(np.concatenate([split.train, split.val]))
    known = known[y[known] == "Normal"]
    clock = time.process_time()
    scores = oddness(beats[known], beats[split.test], seed=fold)
    scores["heart rate"] = np.abs(np.nan_to_num(rate[split.test] - np.nanmedian(rate[known])))
    table = pages.iloc[split.test][["file", "label"]].assign(fold=fold, **scores)
    return {"rows": table, "cost": {"cpu_s": time.process_time() - clock}}


# %% [markdown]
# ## Augmentation: invented infarctions
# Thirty MI among 491 ECGs: could more be invented? In a training fold every ECG becomes 40 numbers (measurements and
# beats, scaled as for the headline, then principal components of equal variance). A conditional GAN learns to turn
# noise and a class into such numbers, from all training ECGs. A hundred MI are invented and added, and a logistic
# regression is fitted. Its rivals also let MI weigh as much as a hundred more, by cheaper means: a weight, plain
# copies, copies with noise (jitter), points between neighbours (SMOTE). If the GAN adds knowledge, it must beat the
# weight, which adds none.

# %%
NUMBERS = 40
INVENTED = 100
_NOISE = 8


def _mlp(inputs: int, outputs: int, hidden: int = 64, dropout: float = 0.0) -> nn.Module:
    from torch import nn

    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.LeakyReLU(0.2), nn.Dropout(dropout),
        nn.Linear(hidden, hidden), nn.LeakyReLU(0.2), nn.Dropout(dropout), nn.Linear(hidden, outputs),
    )  # fmt: skip


def fit_gan(
    rows: np.ndarray, y: np.ndarray, steps: int = 1500, seed: int = 0
) -> Callable[[int, int, int], np.ndarray]:
    """Train a conditional GAN on rows of numbers.

    Parameters
    ----------
    rows : (n, d) array
        Training rows, each column with variance about 1.
    y : (n,) int array
        Classes from 0 to 3.
    steps : int
    seed : int

    Returns
    -------
    callable
        From a class, a count and a seed to invented rows (count, d).

    Notes
    -----
    Batches hold all classes in equal numbers, so that a rare one is not passed over. The judge has dropout, and its
    labels are softened; both delay the day on which it knows thirty hearts by heart.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> invent = fit_gan(rng.normal(size=(40, 3)), np.arange(40) % 4, steps=5)
    >>> invent(0, 7, 0).shape
    (7, 3)
    """
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as chance

    def inputs(values, classes):
        return torch.cat([values, torch.eye(len(CLASSES))[classes]], 1)

    with study._one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        maker, judge = _mlp(_NOISE + 4, rows.shape[1]), _mlp(rows.shape[1] + 4, 1, dropout=0.3)
        both = [torch.optim.Adam(net.parameters(), 1e-3, betas=(0.5, 0.9)) for net in (maker, judge)]
        x, members = torch.from_numpy(rows.astype(np.float32)), [np.flatnonzero(y == k) for k in range(4)]
        members = [torch.from_numpy(rows_of) for rows_of in members if len(rows_of)]
        for _ in range(steps):
            chosen = torch.cat([rows_of[torch.randint(len(rows_of), (16,))] for rows_of in members])
            classes = torch.from_numpy(y)[chosen]
            made = maker(inputs(torch.randn(len(chosen), _NOISE), classes))
            real, fake = judge(inputs(x[chosen], classes)), judge(inputs(made.detach(), classes))
            denoise._descend(
                both[1], chance(real, torch.full_like(real, 0.9)) + chance(fake, torch.zeros_like(fake))
            )
            fooled = judge(inputs(made, classes))
            denoise._descend(both[0], chance(fooled, torch.ones_like(fooled)))
    maker.eval()

    def invent(label: int, count: int, seed: int) -> np.ndarray:
        noise = np.random.default_rng(seed).normal(size=(count, _NOISE)).astype(np.float32)
        with torch.inference_mode():
            made = maker(inputs(torch.from_numpy(noise), torch.full((count,), label)))
        return made.numpy().astype(float)

    return invent


def copies(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw rows again."""
    return rows[rng.integers(len(rows), size=count)]


def jitter(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw rows again and add noise, 0.3 of each column's standard deviation."""
    return copies(rows, count, rng) + 0.3 * rows.std(axis=0) * rng.normal(size=(count, rows.shape[1]))


def smote(rows: np.ndarray, count: int, rng: np.random.Generator, neighbours: int = 5) -> np.ndarray:
    """Draw points between a row and one of its nearest neighbours (Chawla et al. 2002).

    Examples
    --------
    >>> made = smote(np.array([[0.0, 0.0], [1.0, 1.0]]), 20, np.random.default_rng(0), neighbours=1)
    >>> bool(np.allclose(made[:, 0], made[:, 1]) and made.min() >= 0 and made.max() <= 1)
    True
    """
    apart = np.linalg.norm(rows[:, None] - rows, axis=2)
    near = np.argsort(apart, axis=1, kind="stable")[:, 1 : neighbours + 1]
    at = rng.integers(len(rows), size=count)
    other = near[at, rng.integers(near.shape[1], size=count)]
    return rows[at] + rng.uniform(size=(count, 1)) * (rows[other] - rows[at])


_CHEAP = {"copies": copies, "jitter": jitter, "SMOTE": smote}
WAYS = ("plain", "weight", *_CHEAP, "GAN")
REPEATS = 2


def _numbers(X: pd.DataFrame, known: np.ndarray) -> np.ndarray:
    """All ECGs as 40 numbers of equal variance, scaled and reduced by what the known rows say."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline

    steps = make_pipeline(models._scaled(), PCA(NUMBERS, whiten=True, random_state=0))
    return steps.fit(X.iloc[known]).transform(X)


def invented(rows: np.ndarray, y: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Invent rows of MI in every way.

    Parameters
    ----------
    rows : (n, d) array
        Training rows.
    y : (n,) int array
        Their classes.
    seed : int

    Returns
    -------
    dict
        Way -> (100, d) array.
    """
    mi, rng = rows[y == 0], np.random.default_rng(seed)
    made = {name: way(mi, INVENTED, rng) for name, way in _CHEAP.items()}
    return made | {"GAN": fit_gan(rows, y, seed=seed)(0, INVENTED, seed)}


def likeness(real: np.ndarray, made: np.ndarray) -> tuple[float, float]:
    """Say how new invented rows are, and how varied.

    Parameters
    ----------
    real, made : (n, d) and (m, d) arrays

    Returns
    -------
    newness : float
        Median distance of an invented row to the nearest real one, over that between real rows; 0 for copies.
    spread : float
        Total variance of the invented rows over that of the real ones.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(30, 4))
    >>> likeness(rows, rows)
    (0.0, 1.0)
    """
    among = np.linalg.norm(real[:, None] - real, axis=2)
    np.fill_diagonal(among, np.inf)
    nearest = np.linalg.norm(made[:, None] - real, axis=2).min(axis=1)
    return float(np.median(nearest) / np.median(among.min(axis=1))), float(
        made.var(axis=0).sum() / real.var(axis=0).sum()
    )


def _augment_fold(repeat: int, fold: int) -> dict[str, object]:
    """Probabilities of a fold's test ECGs, whatever MI were invented."""
    from sklearn.linear_model import LogisticRegression

    pages, X = data.pages(), models.features("all")
    split = splits.folds("grouped", pages, repeat)[fold]
    known = np.sort(np.concatenate([split.train, split.val]))
    y = pages["label"].map(CLASSES.index).to_numpy()
    numbers, seed = _numbers(X.loc[pages["file"]], known), 10 * repeat + fold
    rows, classes, clock = numbers[known], y[known], time.process_time()
    made = invented(rows, classes, seed)
    weight = np.where(classes == 0, 1 + INVENTED / (classes == 0).sum(), 1.0)
    out, kinds = pages.iloc[split.test][["file", "label"]].assign(repeat=repeat, fold=fold), []
    for way in WAYS:
        more = made.get(way, rows[:0])
        both = np.concatenate([rows, more]), np.concatenate([classes, np.zeros(len(more), int)])
        model = LogisticRegression(C=0.1, max_iter=2000).fit(*both, weight if way == "weight" else None)
        p = (1000 * model.predict_proba(numbers[split.test])).round().astype(int)
        out[[f"{way}|{label}" for label in CLASSES]] = p
        if way in made:
            kinds.append((repeat, fold, way, *likeness(rows[classes == 0], more)))
    table = pd.DataFrame(kinds, columns=["repeat", "fold", "way", "newness", "spread"])
    return {"rows": out, "samples": table, "cost": {"cpu_s": time.process_time() - clock}}


# %% [markdown]
# ## The stored runs
# `python -m ecgbook.generate` makes three: `compress-ludb`, `anomaly-beats` and `augment-mi`; with names, only these.
# The parts of a run are kept as soon as they are done.


# %%
class Run(NamedTuple):
    """A stored run: its parts, task and what its note says."""

    parts: dict[str, Callable[[], dict]]
    note: dict


RUNS: dict[str, Run] = {
    "compress-ludb": Run(
        {
            f"fold {fold} {name} {latent}": partial(_compress_fold, fold, name, latent)
            for fold in denoise.TESTED
            for name, latent in _WAYS
        },
        {
            "task": "compress",
            "input": "LUDB 1.0.1, the first 2048 samples of each lead, 0.67-100 Hz at 250 samples a second",
            "protocol": "5 folds by record",
            "settings": {"latents": LATENTS, "steps": STEPS, "recipe": CODES_RECIPE._asdict()},
            "columns": {
                "record": "LUDB record, not seen by the compressor nor by its code",
                "method": "wavelets, components (principal) or codes (of an autoencoder)",
                "latent": "numbers for each 16 samples, of codes",
                "step": "of the quantiser, in standard deviations of the stretch, or of the code",
                "bits": "bits a sample",
                "prd": "error over signal, per cent (root mean squares), mean over leads",
                "rmse": "root mean square error, µV, mean over leads",
                "st": "mean absolute error of the ST level over beats and leads, µV",
            },
        },
    ),
    "anomaly-beats": Run(
        {f"fold {fold}": partial(_anomaly_fold, fold) for fold in range(5)},
        {
            "task": "anomaly",
            "input": "median beats of the 491 ECGs, twelve leads of 56 points",
            "protocol": "grouped, repeat 0; learned on the Normal ECGs of train and val",
            "settings": {"hidden": _HIDDEN},
            "columns": {"fold": "that tests the ECG", "METHOD": "score, higher is odder"},
        },
    ),
    "augment-mi": Run(
        {f"deal {r} fold {f}": partial(_augment_fold, r, f) for r in range(REPEATS) for f in range(5)},
        {
            "task": "augment",
            "input": "all, as 40 principal components learned on the training side",
            "protocol": "grouped",
            "settings": {"invented": INVENTED, "classifier": "logistic regression, C = 0.1"},
            "columns": {
                "repeat, fold": "dealing and fold that test the ECG",
                "WAY|CLASS": "probability, thousandths",
                "newness (samples.csv)": "median distance of invented to nearest real MI, over that among real MI",
                "spread (samples.csv)": "total variance of invented over real MI",
            },
        },
    ),
}
_CODE = ("splits", "measure", "models", "ludb", "denoise")
_READING = "# ## Reading the runs"


def _code() -> dict[str, str]:
    """Digests of the code behind the stored numbers; how they are read is no part of it."""
    own = Path(__file__).read_text(encoding="utf-8").split(f"\n{_READING}\n")[0]
    other = {n: Path(__file__).with_name(f"{n}.py").read_text(encoding="utf-8") for n in _CODE[:-1]}
    digests = {name: publish.code_digest(text) for name, text in other.items()}
    return {"generate": publish.code_digest(own), "denoise": denoise._code()["denoise"]} | digests


def _once(run: str, name: str) -> dict:
    """Take a part from the cache, or compute and keep it."""
    path = _cache(run) / f"{name.replace(' ', '-')}.json"
    if not path.is_file():
        data.make_folder(path.parent)
        clock, found = time.monotonic(), RUNS[run].parts[name]()
        tables = {k: v.to_json(orient="split", double_precision=10) for k, v in found.items() if k != "cost"}
        write_whole(path, json.dumps(tables | {"cost": found["cost"], "wall": time.monotonic() - clock}))
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {k: _table(v) if k not in ("cost", "wall") else v for k, v in kept.items()}


def _table(text: str) -> pd.DataFrame:
    kept = json.loads(text)
    return pd.DataFrame(kept["data"], columns=kept["columns"])


def _cache(run: str) -> Path:
    return publish.ROOT / ".cache" / f"{run}-{_code()['generate']}"


_PACKAGES = ("numpy", "pandas", "scipy", "torch", "pywavelets", "scikit-learn")


def store(run: str, results: Path = RESULTS, told: Callable[[str], None] = print) -> Path:
    """Compute all parts of a run that are missing, and store it.

    Parameters
    ----------
    run : str
        One of :data:`RUNS`.
    results : pathlib.Path
        Folder of the results.
    told : callable
        Is told which part is done.

    Returns
    -------
    pathlib.Path
        The run's folder.

    Raises
    ------
    EcgbookError
        No such run; the data are not there; a folder cannot be written.
    """
    started, folder = datetime.now(UTC).isoformat(timespec="seconds"), results / _known(run, RUNS, "run")
    parts = {}
    for name in RUNS[run].parts:
        parts[name] = _once(run, name)
        told(f"{run}: {name}")
    data.make_folder(folder)
    tables = {"outputs.csv": pd.concat([part["rows"] for part in parts.values()])}
    if "samples" in next(iter(parts.values())):
        tables["samples.csv"] = pd.concat([part["samples"] for part in parts.values()])
    for file, table in tables.items():
        write_whole(folder / file, table.to_csv(index=False, float_format="%.4g", lineterminator="\n"))
    note = {"run": run} | RUNS[run].note | {
        "seed": 0,
        "cost": [part["cost"] for part in parts.values()],
        "command": f"python -m ecgbook.generate {run}",
        "code": _code(),
        "versions": {"python": platform.python_version()} | {n: importlib.metadata.version(n) for n in _PACKAGES},
        "device": f"cpu, {platform.machine()}",
        "started": started,
        "wall_s": round(sum(part["wall"] for part in parts.values())),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "sha256": {file: data.digest(folder / file)[1] for file in tables},
    }  # fmt: skip
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
    for path in _cache(run).iterdir():
        path.unlink()
    _cache(run).rmdir()
    return folder


# %% [markdown]
# ## Reading the runs


# %%
def load(run: str, file: str = "outputs.csv", results: Path = RESULTS) -> pd.DataFrame:
    """Load a table of a stored run.

    Parameters
    ----------
    run : str
        One of :data:`RUNS`.
    file : str
        "outputs.csv", or "samples.csv" of `augment-mi`.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        Columns as the run's note describes them.

    Raises
    ------
    EcgbookError
        No such run or table, or a table that was changed.

    Examples
    --------
    >>> load("anomaly-beats")["file"].nunique()
    491
    """
    wanted = note(run, results)["sha256"]
    path = results / run / _known(file, wanted, "table")
    if not path.is_file() or data.digest(path)[1] != wanted[file]:
        raise EcgbookError(f"{path}: was changed by hand; remove the folder and run again")
    return pd.read_csv(path)


def note(run: str, results: Path = RESULTS) -> dict:
    """Load how a stored run came about.

    Examples
    --------
    >>> note("augment-mi")["command"]
    'python -m ecgbook.generate augment-mi'
    """
    path = results / _known(run, RUNS, "run") / "run.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EcgbookError(f"{path}: no such run; make it with `python -m ecgbook.generate {run}`") from error


def rates(results: Path = RESULTS) -> pd.DataFrame:
    """Mean bits a sample and errors of every compressor and step, with intervals that resample records.

    Returns
    -------
    pandas.DataFrame
        ``method``, ``latent``, ``step``, ``bits``; ``prd`` (%), ``rmse`` and ``st`` (µV), each followed by the limits
        of its 95 % interval, ``... low`` and ``... high``.

    Examples
    --------
    >>> sorted(rates()["method"].unique())
    ['codes', 'components', 'wavelets']
    """
    rows = []
    for (method, latent, step), part in load("compress-ludb", results=results).groupby(
        ["method", "latent", "step"]
    ):
        row = {"method": method, "latent": latent, "step": step, "bits": part["bits"].mean()}
        for name in ("prd", "rmse", "st"):
            row |= dict(zip((name, f"{name} low", f"{name} high"), denoise.interval(part[name]), strict=True))
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["method", "latent", "bits"], ignore_index=True)


ODD = ("autoencoder", "principal components", "Mahalanobis", "heart rate", "headline")


def areas(results: Path = RESULTS, replicates: int = 1000) -> pd.DataFrame:
    """AUC of each other class against Normal by each anomaly score, with intervals that resample groups.

    Returns
    -------
    pandas.DataFrame
        ``method`` (of :data:`ODD`), ``label``, ``auc``, ``low``, ``high``, and ``less``, ``less low``,
        ``less high``: the AUC of the autoencoder less that of this method. "headline" is one minus its stored
        probability of Normal, out of fold.

    Examples
    --------
    >>> areas(replicates=50)["label"].unique().tolist()
    ['MI', 'History_MI', 'Abnormal']
    """
    frame = load("anomaly-beats", results=results)
    told = study.load("grouped-headline", results).query("repeat == 0 and part == 'test'").set_index("file")
    frame["headline"] = 1 - told.loc[frame["file"], "p_Normal"].to_numpy()
    number, units = pd.factorize(evaluate.units("grouped").loc[frame["file"]])
    weights = np.vstack([np.ones(len(frame)), evaluate.draw(len(units), replicates)[:, number]])
    rows = []
    for label in CLASSES[:3]:
        both = frame["label"].isin((label, "Normal")).to_numpy()
        positive = (frame["label"] == label).to_numpy()[both]
        of = {
            m: evaluate._auc(frame[m].to_numpy()[both], positive, weights[:, both].astype(np.float32))
            for m in ODD
        }
        for method in ODD:
            less = of["autoencoder"] - of[method]
            low, high = np.nanquantile(of[method][1:], [0.025, 0.975])
            rows.append(
                (method, label, of[method][0], low, high, less[0], *np.nanquantile(less[1:], [0.025, 0.975]))
            )
    return pd.DataFrame(
        rows, columns=["method", "label", "auc", "low", "high", "less", "less low", "less high"]
    )


def augmented(results: Path = RESULTS) -> dict[str, pd.DataFrame]:
    """Out-of-fold predictions of each way of augmentation, as :mod:`ecgbook.evaluate` takes them.

    Examples
    --------
    >>> list(augmented()) == list(WAYS)
    True
    """
    wide, out = load("augment-mi", results=results), {}
    for way in WAYS:
        p = wide[[f"{way}|{label}" for label in CLASSES]].to_numpy(float)
        out[way] = wide[["file", "label", "repeat", "fold"]].assign(part="test")
        out[way][evaluate.PROBABILITIES] = p / p.sum(axis=1, keepdims=True)
    return out


# %%
def main(arguments: list[str]) -> int:
    """Make the named runs, or all three."""
    try:
        for run in arguments or RUNS:
            print(store(run))
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
