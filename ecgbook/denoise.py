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
# # Denoise: filters, networks, and what they do to ST
# A recorded ECG is the heart plus everything else that makes a voltage: breath, mains, muscles, an electrode that
# slips. A denoiser is a function from the sum to a guess of the heart. Filters guess by frequency. Networks guess by
# what hearts usually look like, which is more, and is the danger: what they draw may be usual rather than true. So the
# judge here is not only the {term}`signal-to-noise ratio` but the level of the ST segment and the diagnosis.
#
# Fixed before any test record was scored: the noise models and their constants, the grids of the filters, the
# networks' shapes, losses and numbers of steps, the scores, the folds. Only the amount was cut afterwards, for want of
# computing time: one fold of five was trained and scored, and pages got one level of noise instead of two.

# %%
"""Noise models, classical filters and learned denoisers, judged on signal, ST level and diagnosis."""

from __future__ import annotations

import importlib.metadata
import itertools
import json
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import butter, filtfilt, iirnotch, sosfiltfilt

from ecgbook import (
    data,
    digitize,
    evaluate,
    explain,
    ludb,
    measure,
    models,
    publish,
    splits,
    study,
    synth,
)
from ecgbook.data import CLASSES, EcgbookError, write_whole, writing
from ecgbook.models import _known
from ecgbook.synth import LEADS, page_filter

if TYPE_CHECKING:
    import torch
    from torch import nn

RESULTS = study.RESULTS
FS = 250.0  # samples per second of everything below

# %% [markdown]
# ## What counts as clean
# LUDB's signals, filtered to 0.67-100 Hz without delay and sampled 250 times a second. For a filter without delay 0.67
# Hz is the highest corner that the recommendations of 2007 allow below a readable ST segment; 100 Hz keeps the mains
# inside the band, so that removing it is a task. LUDB was recorded on real people: their own noise, what is left of it
# in this band, counts as clean here. A denoiser that removes it is punished, so no gain can be infinite: if LUDB's own
# noise lies 25 dB below the heart, a perfect denoiser ends near 25 dB.


# %%
@lru_cache(maxsize=1)
def _sections(fs: float) -> np.ndarray:
    return np.concatenate(
        [butter(1, 0.43, "highpass", fs=fs, output="sos"), butter(4, 108.4, "lowpass", fs=fs, output="sos")]
    )  # corners of one pass: two passes lose 3 dB at 0.67 and at 100 Hz


def diagnostic(signals: np.ndarray, fs: float = ludb.FS) -> np.ndarray:
    """Filter signals of 500 samples a second to 0.67-100 Hz without delay, and halve their rate.

    Parameters
    ----------
    signals : (..., n) array
        Time runs along the last axis.
    fs : float
        Samples per second.

    Returns
    -------
    (..., n / 2) array

    Examples
    --------
    >>> t = np.arange(5000) / 500
    >>> [round(float(np.ptp(diagnostic(np.sin(2 * np.pi * f * t))[500:2000]) / 2), 1) for f in (0.1, 10, 50, 180)]
    [0.1, 1.0, 1.0, 0.0]
    """
    return sosfiltfilt(_sections(float(fs)), signals, axis=-1)[..., ::2]


# %% [markdown]
# ## Five kinds of noise
# *Baseline wander*: breathing bends the baseline at 0.15 to 0.4 Hz, and the skin drifts, up to 1 Hz. *Mains*: 50 Hz, a
# little off and swelling, with a second harmonic. *Muscle*: noise from 15 Hz up, in bursts of contraction. *Electrode
# motion*: the skin is stretched, its voltage jumps within 20 to 120 ms and creeps back within a second; this looks
# like waves of a heart. *Dropouts*: the contact fails for 60 to 400 ms; first the signal shrinks, and when that is not
# loss enough, it is gone and the input drifts towards a rail. A sixth kind is the first four *all together*, in shares
# drawn at random.
#
# Every function takes a generator, a number of samples and a rate, and returns noise of arbitrary size: its size is
# set later, by the signal-to-noise ratio.


# %%
def _times(n: int, fs: float) -> np.ndarray:
    return np.arange(n) / fs


def wander(rng: np.random.Generator, n: int, fs: float = FS) -> np.ndarray:
    """Baseline wander: breathing with a changing depth, and drift up to 1 Hz that falls off as 1/f."""
    t, breath = _times(n, fs), rng.uniform(0.15, 0.4)
    depth = 1 + 0.4 * np.sin(2 * np.pi * rng.uniform(0.02, 0.08) * t + rng.uniform(0, 2 * np.pi))
    breathing = depth * np.sin(2 * np.pi * breath * t + rng.uniform(0, 2 * np.pi))
    frequency = rng.uniform(0.05, 1.0, (12, 1))
    drift = np.sin(2 * np.pi * frequency * t + rng.uniform(0, 2 * np.pi, (12, 1)))
    return breathing + (0.05 / frequency * rng.normal(size=(12, 1)) * drift).sum(axis=0)


def mains(rng: np.random.Generator, n: int, fs: float = FS) -> np.ndarray:
    """Mains hum: 50 Hz within 0.3 Hz, swelling by up to a half, and some 100 Hz."""
    t = _times(n, fs)
    swell = 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.05, 0.4) * t + rng.uniform(0, 2 * np.pi))
    phase = 2 * np.pi * (50 + rng.uniform(-0.3, 0.3)) * t + rng.uniform(0, 2 * np.pi)
    return swell * (np.sin(phase) + rng.uniform(0, 0.2) * np.sin(2 * phase + rng.uniform(0, 2 * np.pi)))


def muscle(rng: np.random.Generator, n: int, fs: float = FS) -> np.ndarray:
    """Muscle noise: from 15 Hz up, a steady tremor and contractions of 0.3 to 2 s, one every three seconds."""
    t, level = _times(n, fs), np.full(n, 0.5)
    for _ in range(rng.poisson(n / fs / 3)):
        level += rng.uniform(0.5, 2) * np.exp(
            -0.5 * ((t - rng.uniform(0, n / fs)) / rng.uniform(0.15, 1)) ** 2
        )
    return level * sosfiltfilt(_tremor(fs), rng.normal(size=n))


@lru_cache(maxsize=2)
def _tremor(fs: float) -> np.ndarray:
    return butter(2, 15, "highpass", fs=fs, output="sos")


def motion(rng: np.random.Generator, n: int, fs: float = FS) -> np.ndarray:
    """Electrode motion: jumps within 20 to 120 ms that creep back in 0.1 to 1 s, about one and a half a second."""
    t, out = _times(n, fs), np.zeros(n)
    for start in rng.uniform(-1, n / fs, 1 + rng.poisson(1.5 * (n / fs + 1))):
        after = np.maximum(t - start, 0)
        rise, decay = rng.uniform(0.02, 0.12), rng.uniform(0.1, 1.0)
        out += rng.normal() * (np.exp(-after / decay) - np.exp(-after / rise * 2.0)) * (t >= start)
    return out + 1e-3 * wander(rng, n, fs)  # never quite still, so that its power is never 0


def together(rng: np.random.Generator, n: int, fs: float = FS) -> np.ndarray:
    """The four kinds above in shares of power drawn at random."""
    share = rng.dirichlet(np.ones(4))
    parts = [make(rng, n, fs) for make in (wander, mains, muscle, motion)]
    return sum(np.sqrt(s) * part / np.sqrt(np.mean(part**2)) for s, part in zip(share, parts, strict=True))


def gaps(rng: np.random.Generator, n: int, fs: float = FS) -> np.ndarray:
    """Where the contact fails: 0 to 1, for 60 to 400 ms at a time with edges of 10 ms, about once in 1.5 s."""
    t, lost = _times(n, fs), np.zeros(n)
    for _ in range(1 + rng.poisson(n / fs / 1.5)):
        middle, half = rng.uniform(0.05, n / fs - 0.05), rng.uniform(0.03, 0.2)
        lost = np.maximum(lost, np.clip((half - np.abs(t - middle)) / 0.010 + 0.5, 0, 1))
    return lost


#: Name -> function of a generator, a number of samples and a rate; dropouts depend on the signal, see `add`.
ADDED: dict[str, Callable] = {
    "baseline wander": wander,
    "mains": mains,
    "muscle": muscle,
    "electrode motion": motion,
    "all together": together,
}
KINDS = ("baseline wander", "mains", "muscle", "electrode motion", "dropouts", "all together")
LEVELS = (-5, 0, 10, 20)  # dB


# %% [markdown]
# ## A ratio that is exact
# The signal-to-noise ratio is {math}`10 \log_{10}` of the variance of the clean signal over the mean square of what
# was added, over the whole stretch. It is set for each stretch, so it is exact and not so on average. A page shows
# what the recorder's filter let through, so on a page the noise passes that filter too *before* it is scaled; this is
# what `band` says.

# %%
BANDS = ("diagnostic", "page")
_MARGIN = 500  # samples made on both sides and cut off again, so that the page's filter has settled


def _through(band: str, noise: np.ndarray, fs: float) -> np.ndarray:
    return page_filter(noise, fs) if _known(band, BANDS, "band") == "page" else noise


def _lost(clean: np.ndarray, power: float, rng: np.random.Generator, fs: float, band: str) -> np.ndarray:
    """What dropouts add to a clean signal (n,), of the given mean square."""
    centred = clean - np.median(clean)
    where = gaps(rng, clean.size, fs)
    gone = _through(band, -where * centred, fs)
    if np.mean(gone**2) >= power:  # a weak contact is enough
        return gone * np.sqrt(power / np.mean(gone**2))
    rail = _through(band, where * rng.choice([-1.0, 1.0]), fs)
    a, b, c = np.mean(rail**2), 2 * np.mean(rail * gone), np.mean(gone**2) - power
    return gone + (np.sqrt(b * b - 4 * a * c) - b) / (2 * a) * rail


def add(
    clean: np.ndarray,
    kind: str,
    snr: float,
    rng: np.random.Generator,
    fs: float = FS,
    band: str = "diagnostic",
) -> np.ndarray:
    """Add noise of one kind to a signal, at an exact signal-to-noise ratio.

    Parameters
    ----------
    clean : (n,) array
        mV, without gaps.
    kind : str
        One of :data:`KINDS`.
    snr : float
        Variance of the clean signal over mean square of what is added, dB.
    rng : numpy.random.Generator
    fs : float
        Samples per second.
    band : str
        One of :data:`BANDS`: whether the noise passes the page's filter.

    Returns
    -------
    (n,) array

    Raises
    ------
    EcgbookError
        No such kind or band.

    Examples
    --------
    >>> from ecgbook import synth
    >>> clean = synth.record("Normal", 0, noise=0).leads[1].astype(float)
    >>> noise = add(clean, "muscle", 5.0, np.random.default_rng(0)) - clean
    >>> round(float(10 * np.log10(clean.var() / np.mean(noise**2))), 6)
    5.0
    """
    power = clean.var() / 10 ** (snr / 10)
    if _known(kind, KINDS, "kind of noise") == "dropouts":
        return clean + _lost(clean, power, rng, fs, band)
    noise = _through(band, ADDED[kind](rng, clean.size + 2 * _MARGIN, fs), fs)[_MARGIN:-_MARGIN]
    return clean + noise * np.sqrt(power / np.mean(noise**2))


# %% [markdown]
# ## Filters
# Each takes signals (k, n) and a setting, and there is a grid of settings for each. *Band-pass*: Butterworth, forwards
# and backwards, with or without a narrow gap at 50 Hz (the notch). *Wavelet*: the slowest part of a wavelet
# decomposition is removed, and in the faster ones what is small is shrunk to zero; how small is small is judged by the
# finest part, or by each part for itself. *NeuroKit2*: the cleaning methods that this library offers.
#
# The filters are *told* more than the networks: for every kind of noise and every level the setting is chosen anew, on
# training records, by signal-to-noise ratio. A real recorder knows neither. So what is compared with the networks is
# the best that these filters could do.


# %%
def bandpass(signals: np.ndarray, low: float, high: float, notch: float) -> np.ndarray:
    """Butterworth filter of order 2 forwards and backwards; `notch` is the width of a gap at 50 Hz, 0 for none."""
    out = sosfiltfilt(butter(2, (low, high), "bandpass", fs=FS, output="sos"), signals, axis=-1)
    return filtfilt(*iirnotch(50, 50 / notch, FS), out, axis=-1) if notch else out


def wavelet(signals: np.ndarray, slow: int, factor: float, rule: str) -> np.ndarray:
    """Remove the approximation at a level and shrink the five finest parts towards zero (symlet of 8)."""
    import pywt

    n = signals.shape[-1]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Level value of")  # edges are mirrored; the wander must go
        parts = pywt.wavedec(
            signals, "sym8", mode="symmetric", level=min(slow, pywt.dwt_max_level(n, 4)), axis=-1
        )
    spread = [np.median(np.abs(part), axis=-1, keepdims=True) / 0.6745 for part in parts]
    out = [np.zeros_like(parts[0])]
    for at in range(1, len(parts)):
        sigma = spread[at] if rule == "each" else spread[-1]
        limit = factor * sigma * np.sqrt(2 * np.log(n)) if at >= len(parts) - 5 else 0.0
        out.append(np.sign(parts[at]) * np.maximum(np.abs(parts[at]) - limit, 0))
    return pywt.waverec(out, "sym8", mode="symmetric", axis=-1)[..., :n]


def neurokit(signals: np.ndarray, method: str) -> np.ndarray:
    """Clean by NeuroKit2; short signals are mirrored at their ends first, for it takes none below 4.5 s."""
    import neurokit2

    more = max(0, 1250 - signals.shape[1]) // 2
    longer = np.pad(signals, ((0, 0), (more, more)), mode="reflect")
    cleaned = np.array([neurokit2.ecg_clean(row, int(FS), method=method) for row in longer])
    return cleaned[:, more : more + signals.shape[1]]


def unchanged(signals: np.ndarray) -> np.ndarray:
    """Leave the signals as they are."""
    return signals


_LOW = (0.5, 0.67, 1.0, 1.5, 2.5)
_BUTTERWORTH = [*itertools.product(_LOW, (15, 25, 40), (0,)), *itertools.product(_LOW, (60, 100), (0, 1, 3))]
#: Name of a filter -> its function and the settings to choose from.
FILTERS: dict[str, tuple[Callable, list[tuple]]] = {
    "Butterworth": (bandpass, _BUTTERWORTH),
    "wavelet": (wavelet, list(itertools.product((7, 8), (0.0, 0.2, 0.5, 1.0), ("finest", "each")))),
    "NeuroKit2": (neurokit, [("neurokit",), ("biosppy",), ("vg",), ("elgendi2010",)]),
}


def gain(clean: np.ndarray, noisy: np.ndarray, cleaned: np.ndarray) -> np.ndarray:
    """Gain in signal-to-noise ratio, dB.

    Parameters
    ----------
    clean, noisy, cleaned : (..., n) arrays

    Returns
    -------
    (...) array
        Ten times the logarithm of the mean square error before over that after; above 0 is better.

    Examples
    --------
    >>> clean = np.zeros(4)
    >>> float(gain(clean, clean + 1.0, clean + 0.1).round(6))
    20.0
    """
    before, after = (np.mean((x - clean) ** 2, axis=-1) for x in (noisy, cleaned))
    return 10 * np.log10(before / after)


def tune(clean: np.ndarray, noisy: np.ndarray) -> dict[str, tuple]:
    """Choose the setting of every filter by its mean gain on training signals.

    Parameters
    ----------
    clean, noisy : (k, n) arrays
        Of one kind of noise and one level.

    Returns
    -------
    dict
        Name of the filter -> setting.
    """
    chosen = {}
    for name, (function, grid) in FILTERS.items():
        gains = [gain(clean, noisy, function(noisy, *setting)).mean() for setting in grid]
        chosen[name] = grid[int(np.argmax(gains))]
    return chosen


# %% [markdown]
# ## Networks
# All three see a stretch of one lead, centred and divided by its standard deviation, of any length that 64 divides.
# Four neighbouring samples are folded into channels first, which makes the network four times cheaper. None has more
# than 200,000 parameters.
#
# - The *autoencoder* is a U-Net: four times the signal is halved in time, then doubled again, and what was seen at
#   each scale is handed across. It draws the clean signal, not the noise (on validation records this was better by a
#   decibel or two). Its loss is what it is scored by: the mean over stretches of the signal-to-error ratio in dB.
# - The *variational autoencoder* has no such bridges. Residual blocks squeeze the stretch into 16 numbers for each 64
#   ms, each with a mean and a variance; the heart must pass through these. Its loss adds the divergence of these
#   numbers from standard normal ones. For use, the means are decoded.
# - The *conditional GAN* has the same U-Net as its generator. A second network sees the noisy stretch beside a clean
#   one or a generated one, and learns to tell which; the generator's loss is the mean absolute error plus a hundredth
#   of what it fails to deceive.

# %%
FOLDED = 4  # samples that become channels
MULTIPLE = 64  # what the length of a stretch must be divisible by


@lru_cache(maxsize=1)
def _parts() -> dict[str, type]:
    """Classes of the networks, made when torch is first wanted."""
    import torch
    from torch import nn

    def block(n_in: int, n_out: int, width: int, stride: int = 1) -> nn.Sequential:
        conv = nn.Conv1d(n_in, n_out, width, stride, width // 2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm1d(n_out), nn.LeakyReLU(0.1))

    class Residual(nn.Module):
        def __init__(self, n: int):
            super().__init__()
            self.steps = nn.Sequential(
                block(n, n, 5), nn.Conv1d(n, n, 5, 1, 2, bias=False), nn.BatchNorm1d(n)
            )

        def forward(self, x):
            return torch.nn.functional.leaky_relu(x + self.steps(x), 0.1)

    class UNet(nn.Module):
        def __init__(self, widths: tuple[int, ...] = (24, 28, 32, 40, 48)):
            super().__init__()
            self.stem = block(FOLDED, widths[0], 9)
            self.down = nn.ModuleList(
                nn.Sequential(block(a, b, 7, 2), block(b, b, 5)) for a, b in itertools.pairwise(widths)
            )
            self.up = nn.ModuleList(block(a + b, a, 5) for a, b in itertools.pairwise(widths))
            self.head = nn.Conv1d(widths[0], FOLDED, 9, padding=4)

        def forward(self, x):
            seen = [self.stem(_fold(x))]
            for step in self.down:
                seen.append(step(seen[-1]))
            deep = seen.pop()
            for step in reversed(self.up):
                deep = step(torch.cat([nn.functional.interpolate(deep, scale_factor=2), seen.pop()], 1))
            return _unfold(self.head(deep))

    class Variational(nn.Module):
        def __init__(self, n: int = 40, latent: int = 16):
            super().__init__()
            self.encode = nn.Sequential(
                block(FOLDED, 24, 9), block(24, n, 7, 2), Residual(n), block(n, n, 5, 2), Residual(n)
            )
            self.code = nn.Conv1d(n, 2 * latent, 1)
            self.decode = nn.Sequential(
                block(latent, n, 5), Residual(n), nn.Upsample(scale_factor=2), block(n, n, 5), Residual(n),
                nn.Upsample(scale_factor=2), block(n, 24, 7), nn.Conv1d(24, FOLDED, 9, padding=4),
            )  # fmt: skip
            self.divergence = torch.zeros(())

        def forward(self, x):
            mean, log_variance = self.code(self.encode(_fold(x))).chunk(2, 1)
            self.divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
            noise = torch.randn_like(mean) if self.training else 0.0
            return _unfold(self.decode(mean + (0.5 * log_variance).exp() * noise))

    class Judge(nn.Module):
        """The second network of the GAN: how real does a stretch look beside the noisy one?"""

        def __init__(self):
            super().__init__()
            self.steps = nn.Sequential(
                nn.Conv1d(2 * FOLDED, 24, 9, 2, 4), nn.LeakyReLU(0.2), block(24, 40, 7, 2), block(40, 40, 5, 2),
                nn.Conv1d(40, 1, 5, padding=2),
            )  # fmt: skip

        def forward(self, noisy, shown):
            return self.steps(torch.cat([_fold(noisy), _fold(shown)], 1))

    return {"U-Net": UNet, "variational": Variational, "judge": Judge}


def _fold(x: torch.Tensor) -> torch.Tensor:
    """(b, n) to (b, 4, n / 4)."""
    return x.unflatten(1, (-1, FOLDED)).transpose(1, 2)


def _unfold(x: torch.Tensor) -> torch.Tensor:
    return x.transpose(1, 2).flatten(1)


NETWORKS = {"autoencoder": "U-Net", "variational": "variational", "GAN": "U-Net"}


def build(name: str, seed: int = 0) -> nn.Module:
    """Build a denoising network with random weights.

    Parameters
    ----------
    name : str
        One of :data:`NETWORKS`.
    seed : int
        Of the weights.

    Returns
    -------
    torch.nn.Module
        From (b, n) to (b, n), n divisible by 64; for signals of any unit and length see :func:`apply`.

    Raises
    ------
    EcgbookError
        No such network.

    Examples
    --------
    >>> size(build("autoencoder")) < 200_000
    True
    """
    import torch

    kind = NETWORKS[_known(name, NETWORKS, "denoising network")]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _parts()[kind]()


def _judge(seed: int) -> nn.Module:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _parts()["judge"]()


def size(network: nn.Module) -> int:
    """Count the parameters of a network."""
    return sum(p.numel() for p in network.parameters())


def apply(network: nn.Module, signals: np.ndarray) -> np.ndarray:
    """Denoise signals of any length and unit.

    Parameters
    ----------
    network : torch.nn.Module
        From :func:`build`.
    signals : (k, n) array
        Without gaps; 64 samples or more.

    Returns
    -------
    (k, n) float64 array

    Examples
    --------
    >>> apply(build("GAN"), np.zeros((2, 625))).shape
    (2, 625)
    """
    import torch

    middle, spread = np.median(signals, axis=1, keepdims=True), _spread(signals)
    more = -signals.shape[1] % MULTIPLE
    padded = np.pad((signals - middle) / spread, ((0, 0), (0, more)), mode="reflect")
    where = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        out = network(torch.from_numpy(padded.astype(np.float32)).to(where)).cpu().numpy()
    return out[:, : signals.shape[1]].astype(float) * spread


def _spread(signals: np.ndarray) -> np.ndarray:
    return np.maximum(signals.std(axis=1, keepdims=True), 1e-6)


# %% [markdown]
# ## Training
# Pairs are made once for a fold: stretches of 4 s from random places of the training records, noise of a random kind
# at -7 to 22 dB, in half of them as a page would show it. So one network serves LUDB's full band and the pages. The
# number of steps is fixed; the step size rises and falls along one cycle. Both sides of a pair are turned upside down
# at random, for a lead may point either way. Arithmetic in 16 bits where it stands it halves the time.

# %%
STRETCH = 1024  # samples


def pairs(
    clean: dict[str, np.ndarray], count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make pairs of noisy and clean stretches, centred and scaled by the noisy one.

    Parameters
    ----------
    clean : dict of (k, n) arrays
        The same signals in each of :data:`BANDS`, mV.
    count : int
        Number of pairs.
    rng : numpy.random.Generator

    Returns
    -------
    noisy, clean : (count, 1024) float32 arrays
    """
    rows, n = clean["page"].shape
    noisy, target = np.empty((count, STRETCH)), np.empty((count, STRETCH))
    for at in range(count):
        band, start = BANDS[at % 2], rng.integers(n - STRETCH + 1)
        target[at] = clean[band][rng.integers(rows), start : start + STRETCH]
        noisy[at] = add(target[at], KINDS[rng.integers(len(KINDS))], rng.uniform(-7, 22), rng, FS, band)
    spread = _spread(noisy)
    noisy = (noisy - np.median(noisy, axis=1, keepdims=True)) / spread
    return noisy.astype(np.float32), (target / spread).astype(np.float32)


class Recipe(NamedTuple):
    """How a network is trained: steps, pairs a step, largest step size."""

    steps: int
    batch: int = 32
    lr: float = 4e-3


RECIPES = {"autoencoder": Recipe(2600), "variational": Recipe(1300), "GAN": Recipe(1600)}
_DIVERGENCE = 0.1  # weight of the divergence beside decibels
_DECEIT = 0.01  # weight of the adversarial loss beside the mean absolute error


def ratio(shown: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Mean over stretches of error over signal, dB; no credit below -30."""
    import torch

    error = ((shown - clean) ** 2).mean(1) / clean.var(1).clamp_min(1e-6)
    return 10 * torch.log10(error + 1e-3).mean()


def _absolute(shown: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    return ((shown - clean).abs().mean(1) / clean.std(1).clamp_min(1e-3)).mean()


def fit(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    recipe: Recipe | None = None,
    seed: int = 0,
) -> tuple[nn.Module, pd.DataFrame]:
    """Train a denoising network.

    Parameters
    ----------
    name : str
        One of :data:`NETWORKS`.
    train, val : two arrays each
        From :func:`pairs`. The validation pairs are looked at, and steer nothing.
    recipe : Recipe, optional
        By default that of the name in :data:`RECIPES`.
    seed : int
        Of the weights and the order of pairs.

    Returns
    -------
    network : torch.nn.Module
    history : pandas.DataFrame
        ``step``, ``train_loss`` (mean since the row before), ``val_db`` (error over signal).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> clean = {band: rng.normal(size=(3, 1100)) for band in BANDS}
    >>> some = pairs(clean, 16, rng)
    >>> fit("GAN", some, some, Recipe(2, 8))[1]["step"].tolist()
    [2]
    """
    import torch

    recipe = recipe or RECIPES[name]
    where = "cuda" if torch.cuda.is_available() else "cpu"
    network = build(name, seed).to(where)
    judge = _judge(seed).to(where) if name == "GAN" else None
    optimizers = [torch.optim.AdamW(network.parameters(), recipe.lr, weight_decay=1e-3)]
    if judge is not None:
        optimizers.append(torch.optim.AdamW(judge.parameters(), recipe.lr / 2, betas=(0.5, 0.9)))
    cycles = [torch.optim.lr_scheduler.OneCycleLR(o, o.defaults["lr"], recipe.steps) for o in optimizers]
    noisy, clean = (torch.from_numpy(part).to(where) for part in train)
    rows, history, since = [], [], []  # type: ignore[var-annotated]
    with study._one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for step in range(1, recipe.steps + 1):
            if len(rows) == 0:
                rows = list(torch.randperm(len(noisy)).split(recipe.batch))[: len(noisy) // recipe.batch]
            chosen = rows.pop()
            sign = torch.randint(0, 2, (len(chosen), 1), device=where) * 2.0 - 1
            network.train()
            since.append(_step(network, judge, optimizers, noisy[chosen] * sign, clean[chosen] * sign))
            for cycle in cycles:
                cycle.step()
            if step % 250 == 0 or step == recipe.steps:
                history.append((step, float(np.mean(since)), _val_db(network, val)))
                since = []
    return network.eval(), pd.DataFrame(history, columns=["step", "train_loss", "val_db"])


def _step(network, judge, optimizers, noisy: torch.Tensor, clean: torch.Tensor) -> float:
    """Change the weights once; return the network's loss."""
    import torch

    with torch.autocast(noisy.device.type, torch.bfloat16):
        shown = network(noisy)
    if judge is None:
        loss = (
            ratio(shown.float(), clean)
            + _DIVERGENCE * getattr(network, "divergence", torch.zeros(())).float()
        )
    else:
        with torch.autocast(noisy.device.type, torch.bfloat16):
            real, made = judge(noisy, clean), judge(noisy, shown.detach())
        _descend(optimizers[1], ((real.float() - 1) ** 2).mean() + (made.float() ** 2).mean())
        with torch.autocast(noisy.device.type, torch.bfloat16):
            deceived = judge(noisy, shown)
        loss = _absolute(shown.float(), clean) + _DECEIT * ((deceived.float() - 1) ** 2).mean()
    _descend(optimizers[0], loss)
    return float(loss.detach())


def _descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def _val_db(network: nn.Module, val: tuple[np.ndarray, np.ndarray]) -> float:
    import torch

    network.eval()
    where = next(network.parameters()).device
    noisy, clean = (torch.from_numpy(part).to(where) for part in val)
    with torch.inference_mode():
        return float(ratio(torch.cat([network(part) for part in noisy.split(256)]), clean))


# %% [markdown]
# ## Folds of LUDB
# One record is one person. The 200 records are dealt once into five test parts of 40; of the rest, 24 are for
# validation and 136 for training.

# %%
FOLDS = 5
TESTED = (0, 1, 2, 3, 4)  # folds that are trained and scored; each takes about seven minutes of one core


def deal(fold: int) -> dict[str, np.ndarray]:
    """Say which LUDB records train, validate and test in a fold.

    Examples
    --------
    >>> {part: len(records) for part, records in deal(0).items()}
    {'train': 136, 'val': 24, 'test': 40}
    """
    order = np.random.default_rng(0).permutation(ludb.RECORDS)
    parts = np.array_split(order, FOLDS)
    rest = np.concatenate([part for at, part in enumerate(parts) if at != fold])
    return {"train": np.sort(rest[24:]), "val": np.sort(rest[:24]), "test": np.sort(parts[fold])}


@lru_cache(maxsize=1)
def _ludb() -> dict[str, np.ndarray]:
    """All records in both bands, (200, 12, 2500) each."""
    raw = [ludb.read(number) for number in ludb.RECORDS]
    return {
        "diagnostic": np.array([diagnostic(one) for one in raw]),
        "page": np.array([ludb.as_filtered(one) for one in raw]),
    }


def _signals(records: np.ndarray) -> dict[str, np.ndarray]:
    """Signals of some records, their leads as rows, in both bands."""
    return {band: both[records - 1].reshape(-1, both.shape[2]) for band, both in _ludb().items()}


# %% [markdown]
# ## Scores
# For each record, kind of noise and level, mean over six leads (I, II, aVF, V1, V3, V5): the gain in signal-to-noise
# ratio, the root mean square error, the correlation with the clean signal. And the ST level, 60 ms after the end of
# the QRS against the level just before it, beat by beat where cardiologists marked both: its mean absolute error, and
# how often it is wrong by a millimetre of ECG paper, 0.1 mV, which is what the guidelines call an elevation.

# %%
_BEFORE = np.arange(-6, -1)  # samples before the QRS whose mean is the zero level: 24 to 8 ms


class Beats(NamedTuple):
    """Where ST is read: lead, sample of the zero level's end and of the reading, (b,) each."""

    lead: np.ndarray
    onset: np.ndarray
    st: np.ndarray


def _beats(number: int, n: int, leads: list[int]) -> Beats:
    """Beats of some leads of a record whose QRS has both ends marked, of those with room on both sides."""
    rows = []
    for lead, at in enumerate(leads):
        marks = ludb.annotated(number, LEADS[at])
        ends = marks.loc[marks["wave"] == "QRS", ["onset", "offset"]].dropna().to_numpy()
        rows += [(lead, round(on * FS), round((off + 0.060) * FS)) for on, off in ends]
    found = np.array(rows, int).reshape(-1, 3)
    return Beats(*found[(found[:, 1] >= 6) & (found[:, 2] < n)].T)


def st_levels(signals: np.ndarray, where: Beats) -> np.ndarray:
    """Read the ST level of beats.

    Parameters
    ----------
    signals : (k, n) array
        mV at 250 Hz.
    where : Beats

    Returns
    -------
    (b,) array
        mV.

    Examples
    --------
    >>> step = np.r_[np.zeros(50), np.full(50, 0.2)][None]
    >>> st_levels(step, Beats(np.array([0]), np.array([40]), np.array([70]))).tolist()
    [0.2]
    """
    zero = signals[where.lead[:, None], where.onset[:, None] + _BEFORE].mean(axis=1)
    return signals[where.lead, where.st] - zero


MILLIMETRE = 0.1  # mV


def score(clean: np.ndarray, noisy: np.ndarray, cleaned: np.ndarray, where: Beats) -> dict[str, float]:
    """Score the denoised leads of a record.

    Parameters
    ----------
    clean, noisy, cleaned : (12, n) arrays
        mV at 250 Hz.
    where : Beats

    Returns
    -------
    dict
        ``gain`` (dB), ``rmse`` (µV), ``corr``, ``st`` (mean absolute error, µV) and ``mm`` (share of beats whose ST
        level is wrong by 0.1 mV or more).

    Examples
    --------
    >>> x = np.sin(np.arange(200.0))[None]
    >>> found = score(x, x + 0.1, x + 0.01, Beats(np.array([0]), np.array([50]), np.array([90])))
    >>> {name: round(value, 3) + 0.0 for name, value in found.items()}
    {'gain': 20.0, 'rmse': 10.0, 'corr': 1.0, 'st': 0.0, 'mm': 0.0}
    """
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (clean, cleaned))
    corr = (a * b).sum(axis=1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)
    wrong = np.abs(st_levels(cleaned, where) - st_levels(clean, where))
    return {
        "gain": float(gain(clean, noisy, cleaned).mean()),
        "rmse": float(1000 * np.sqrt(np.mean((cleaned - clean) ** 2, axis=1)).mean()),
        "corr": float(corr.mean()),
        "st": float(1000 * wrong.mean()),
        "mm": float((wrong >= MILLIMETRE).mean()),
    }


# %% [markdown]
# ## The parts of the run
# *Train* a fold's three networks; *score* a fold's 40 test records; *diagnose* the 491 ECGs. Each part is kept as soon
# as it is done, so an interrupted run goes on where it stopped.

# %%
RUN = "denoise-ludb"
JUDGED = [LEADS.index(lead) for lead in ("I", "II", "aVF", "V1", "V3", "V5")]  # of a test record, for time
SCORES = ("gain", "rmse", "corr", "st", "mm")
METHODS = ("noisy", *FILTERS, *NETWORKS)
PAIRS = 16_000
Method = Callable[[np.ndarray], np.ndarray]


def _noise_seed(*terms: int) -> np.random.Generator:
    return np.random.default_rng([6, *terms])


def _train(fold: int) -> dict[str, np.ndarray]:
    """Train the networks of a fold: their states, histories and processor seconds."""
    part, rng = deal(fold), _noise_seed(1, fold)
    train = pairs(_signals(part["train"]), PAIRS, rng)
    val = pairs(_signals(part["val"]), 512, rng)
    kept = {}
    for name in NETWORKS:
        clock = time.process_time()
        network, history = fit(name, train, val, seed=fold)
        kept[f"{name}|seconds"] = np.array(time.process_time() - clock)
        kept[f"{name}|history"] = history.to_numpy(float)
        kept |= {f"{name}|state|{key}": value for key, value in state(network).items()}
    return kept


def state(network: nn.Module) -> dict[str, np.ndarray]:
    """Weights and running averages of a network as arrays of 16-bit floats."""
    floats = {k: v.detach().cpu().numpy() for k, v in network.state_dict().items() if v.is_floating_point()}
    return {key: value.astype(np.float16) for key, value in floats.items()}


def restore(name: str, kept: dict[str, np.ndarray]) -> nn.Module:
    """Build a network and give it weights from :func:`state`.

    Examples
    --------
    >>> one = build("variational", seed=3)
    >>> other = restore("variational", state(one))
    >>> x = np.random.default_rng(0).normal(size=(1, 256))
    >>> bool(np.abs(apply(one, x) - apply(other, x)).max() < 0.02)
    True
    """
    import torch

    network = build(name)
    tensors = {key: torch.from_numpy(value.astype(np.float32)) for key, value in kept.items()}
    network.load_state_dict(tensors, strict=False)  # what is not there counts batches, which nothing reads
    return network.eval()


def _network(name: str, fold: int) -> nn.Module:
    head = f"{name}|state|"
    kept = _once(f"train {fold}")
    return restore(name, {key.removeprefix(head): v for key, v in kept.items() if key.startswith(head)})


def _tuned(fold: int, kind: str, level: float, band: str, n: int) -> dict[str, tuple]:
    """Settings of the filters for one kind and level, chosen on 40 training leads cut to n samples."""
    clean = _signals(deal(fold)["train"])[band][::41, :n]
    rng = _noise_seed(2, fold, KINDS.index(kind), level + 50)  # type: ignore[arg-type]
    return tune(clean, np.array([add(row, kind, level, rng, FS, band) for row in clean]))


def _methods(fold: int, settings: dict[str, tuple]) -> dict[str, Method]:
    """All that turn noisy signals (k, n) into cleaner ones."""
    filters = {
        name: lambda x, f=function, s=settings[name]: f(x, *s) for name, (function, _) in FILTERS.items()
    }
    return {"noisy": unchanged} | filters | {n: partial(apply, _network(n, fold)) for n in NETWORKS}


def _score(fold: int) -> dict[str, np.ndarray]:
    """Scores (records, kinds, levels, methods, scores) of a fold's test records, and seconds a record."""
    test = deal(fold)["test"]
    clean = {number: _ludb()["diagnostic"][number - 1, JUDGED] for number in test}
    where = {number: _beats(number, clean[number].shape[1], JUDGED) for number in test}
    out = np.empty((len(test), len(KINDS), len(LEVELS), len(METHODS), len(SCORES)))
    seconds, chosen = np.zeros(len(METHODS)), []
    for (k, kind), (v, level) in itertools.product(enumerate(KINDS), enumerate(LEVELS)):
        settings = _tuned(fold, kind, level, "diagnostic", 2500)
        chosen.append({"kind": kind, "snr": level, **{name: list(s) for name, s in settings.items()}})
        methods = _methods(fold, settings).values()
        for r, number in enumerate(test):
            rng = _noise_seed(3, number, k, v)
            noisy = np.array([add(row, kind, level, rng) for row in clean[number]])
            for m, method in enumerate(methods):
                clock = time.process_time()
                cleaned = method(noisy)
                seconds[m] += time.process_time() - clock
                out[r, k, v, m] = list(score(clean[number], noisy, cleaned, where[number]).values())
    ecgs = len(test) * len(KINDS) * len(LEVELS)
    return {
        "records": test,
        "scores": out,
        "ms": 1000 * seconds * len(LEADS) / len(JUDGED) / ecgs,
        "settings": np.array(json.dumps(chosen)),
    }


# %% [markdown]
# ## The diagnosis before and after
# The carried pages are taken as clean, and each of their traces (twelve leads of 2.5 s, the strip of 10 s) gets its
# own noise, as a page would show it, all four kinds together. Each is denoised by itself, measured, and handed to the
# headline model, which was fitted on the clean pages of the training folds. The denoisers were trained and tuned on
# LUDB, on the training records of the first fold: no page of EICP took part.

# %%
PAGE_LEVELS = (10,)  # dB
TRACES = 13


def traces(reading: digitize.Reading) -> list[np.ndarray]:
    """Traces of a page: twelve leads as far as shown, then the strip; mV, NaN where not read.

    Examples
    --------
    >>> [len(trace) for trace in traces(digitize.load("MI(1).jpg"))][-2:]
    [625, 2500]
    """
    return [*(row[synth.span(lead)] for lead, row in zip(LEADS, reading.leads, strict=True)), reading.strip]


def with_traces(reading: digitize.Reading, new: list[np.ndarray]) -> digitize.Reading:
    """Put other traces, as :func:`traces` gives them, in the place of a page's own."""
    leads = np.full_like(reading.leads, np.nan)
    for row, (lead, trace) in enumerate(zip(LEADS, new[:-1], strict=True)):
        leads[row, synth.span(lead)] = trace
    return reading._replace(leads=leads, strip=np.asarray(new[-1], np.float32))


def over_gaps(trace: np.ndarray, function: Method) -> np.ndarray:
    """Change a trace (n,) from its first to its last known sample; gaps are bridged for it, and stay gaps.

    Examples
    --------
    >>> over_gaps(np.array([np.nan, 1.0, np.nan, 3.0]), lambda x: 2 * x).tolist()
    [nan, 2.0, nan, 6.0]
    """
    known = np.flatnonzero(np.isfinite(trace))
    if known.size < trace.size / 4:
        return trace  # hardly anything was read
    out, inside = np.full(trace.shape, np.nan), slice(known[0], known[-1] + 1)
    bridged = np.interp(np.arange(trace.size)[inside], known, trace[known])
    out[inside] = function(bridged)
    out[~np.isfinite(trace)] = np.nan
    return out


def noisy_page(reading: digitize.Reading, kind: str, level: float, seed: int) -> digitize.Reading:
    """Add noise to each trace of a page, as the page would show it.

    Parameters
    ----------
    reading : ecgbook.digitize.Reading
    kind : str
        One of :data:`KINDS`.
    level : float
        Signal-to-noise ratio of each trace, dB.
    seed : int

    Returns
    -------
    ecgbook.digitize.Reading
    """
    rng = np.random.default_rng(seed)
    noise = partial(add, kind=kind, snr=level, rng=rng, fs=FS, band="page")
    return with_traces(reading, [over_gaps(trace.astype(float), noise) for trace in traces(reading)])


def denoised_page(reading: digitize.Reading, method: Method) -> digitize.Reading:
    """Denoise each trace of a page by itself.

    Parameters
    ----------
    reading : ecgbook.digitize.Reading
    method : callable
        From signals (k, n) to signals (k, n).

    Returns
    -------
    ecgbook.digitize.Reading
    """
    one = lambda trace: method(trace[None])[0]  # noqa: E731
    return with_traces(reading, [over_gaps(trace.astype(float), one) for trace in traces(reading)])


def _row(reading: digitize.Reading, sex: str) -> np.ndarray:
    """Row of :func:`ecgbook.explain.table` for a reading."""
    return explain.remeasured(measure.landmarks(digitize.record(reading)._replace(sex=sex)), sex)


def _measured(level: int) -> dict[str, np.ndarray]:
    """Rows (methods, 491, d) of all pages with noise of one level, as each method leaves them."""
    pages = data.pages()
    settings = _tuned(0, "all together", level, "page", 625)
    methods, out = _methods(0, settings), []
    for at, page in enumerate(pages.itertuples()):
        noisy = noisy_page(digitize.load(page.file), "all together", level, 1000 * level + at)
        out.append([_row(denoised_page(noisy, method), page.sex) for method in methods.values()])
    return {"rows": np.array(out).transpose(1, 0, 2), "settings": np.array(json.dumps(settings))}


def _diagnosed() -> dict[str, np.ndarray]:
    """Out-of-fold probabilities (1 + 2 methods, 491, 4): clean, then every method at every level."""
    blocks = [explain.table().to_numpy()[None], *(_once(f"measure {level}")["rows"] for level in PAGE_LEVELS)]
    rows = np.concatenate(blocks)
    out, folds = np.full((len(rows), rows.shape[1], len(CLASSES)), np.nan), np.zeros(rows.shape[1], int)
    for fold, split in enumerate(splits.folds("grouped", data.pages())):
        model, folds[split.test] = explain.fit(fold).model, fold
        for at, block in enumerate(rows):
            out[at, split.test] = models.probabilities(model, explain._seen(block[split.test]))
    return {"p": out, "fold": folds}


# %% [markdown]
# ## The stored run
# `python -m ecgbook.denoise` computes what is missing and stores it; `python -m ecgbook.denoise "train 0"` computes
# one part only.

# %%
#: Name of a part -> function that computes it.
PARTS: dict[str, Callable[[], dict[str, np.ndarray]]] = {
    **{f"train {fold}": partial(_train, fold) for fold in TESTED},
    **{f"measure {level}": partial(_measured, level) for level in PAGE_LEVELS},
    "diagnose": _diagnosed,
    **{f"score {fold}": partial(_score, fold) for fold in TESTED},
}


def _cache() -> Path:
    return publish.ROOT / ".cache" / f"{RUN}-{_code()['denoise']}"


def _once(name: str) -> dict[str, np.ndarray]:
    """Take a part from the cache, or compute and keep it."""
    path = _cache() / f"{name.replace(' ', '-')}.npz"
    if not path.is_file():
        data.make_folder(path.parent)
        clock = time.monotonic()
        found = PARTS[name]() | {"wall": np.array(time.monotonic() - clock)}
        with writing(path) as part, open(part, "wb") as stream:
            np.savez(stream, **found)  # type: ignore[arg-type]
    with np.load(path) as kept:
        return dict(kept)


_CODE = ("synth", "beats", "measure", "digitize", "ludb", "models", "splits", "explain")
_READING = "# ## Reading the run"


def _code() -> dict[str, str]:
    """Digests of the code behind the stored numbers; how they are read is no part of it."""
    here = Path(__file__)
    own = here.read_text(encoding="utf-8").split(f"\n{_READING}\n")[0]
    paths = [here.with_name(f"{name}.py") for name in _CODE]
    other = {path.stem: publish.code_digest(path.read_text(encoding="utf-8")) for path in paths}
    return {"denoise": publish.code_digest(own)} | other


def _outputs() -> pd.DataFrame:
    """Scores of every record, one row a kind and level; whole µV and per cent, tenths of dB."""
    parts = [_once(f"score {fold}") for fold in TESTED]
    scores, records = (np.concatenate([part[name] for part in parts]) for name in ("scores", "records"))
    scores = scores * np.array([10, 1, 100, 1, 100])
    index = pd.MultiIndex.from_product([records, KINDS, LEVELS], names=["record", "kind", "snr"])
    names = [f"{score} {method}" for method in METHODS for score in SCORES]
    table = pd.DataFrame(scores.reshape(len(index), -1).round().astype(int), index, names)
    return table.drop(columns="gain noisy").sort_index(level="record", sort_remaining=False).reset_index()


def _conditions() -> list[str]:
    return ["clean", *(f"{method} {level} dB" for level in PAGE_LEVELS for method in METHODS)]


def _diagnosis() -> pd.DataFrame:
    """Probabilities in thousandths, one row an ECG and one column a condition and class."""
    found, pages = _once("diagnose"), data.pages()[["file", "label"]]
    names = [f"{condition}|{label}" for condition in _conditions() for label in CLASSES]
    wide = found["p"].transpose(1, 0, 2).reshape(len(pages), -1)
    thousandths = pd.DataFrame((1000 * wide).round().astype(int), columns=names)
    return pd.concat([pages.assign(fold=found["fold"]), thousandths], axis=1)


_COLUMNS = {
    "outputs.csv": {
        "record": "LUDB record, scored by networks and settings that did not see it",
        "kind, snr": "kind of noise, and signal-to-noise ratio before, dB",
        "gain METHOD": "gain in signal-to-noise ratio, mean over leads, tenths of a dB",
        "rmse METHOD": "root mean square error, mean over leads, µV",
        "corr METHOD": "correlation with the clean signal, mean over leads, hundredths",
        "st METHOD": "mean absolute error of the ST level over beats and leads, µV",
        "mm METHOD": "share of beats whose ST level is wrong by 0.1 mV or more, per cent",
    },
    "diagnosis.csv": {
        "fold": "fold of the protocol grouped, repeat 0, that tests the ECG",
        "CONDITION|CLASS": "probability by the headline fitted on clean training pages, thousandths",
    },
    "history.csv": {"val_db": "error over signal of the validation pairs, dB; looked at, steering nothing"},
}
_PACKAGES = ("numpy", "pandas", "scipy", "torch", "pywavelets", "neurokit2", "scikit-learn", "xgboost")


def _history() -> pd.DataFrame:
    rows = []
    for fold, name in itertools.product(TESTED, NETWORKS):
        table = pd.DataFrame(
            _once(f"train {fold}")[f"{name}|history"], columns=["step", "train_loss", "val_db"]
        )
        rows.append(table.assign(fold=fold, network=name))
    return pd.concat(rows)[["fold", "network", "step", "train_loss", "val_db"]].round(3)


def _cost() -> dict[str, dict[str, float]]:
    """Parameters, training seconds, ms for an ECG of 12 leads and 10 s, kB on disk."""
    ms = dict(zip(METHODS, np.mean([_once(f"score {f}")["ms"] for f in TESTED], axis=0), strict=True))
    out = {name: {"ms_an_ecg": round(float(ms[name]), 1)} for name in METHODS[1:]}
    for name in NETWORKS:
        spent = np.mean([_once(f"train {fold}")[f"{name}|seconds"] for fold in TESTED])
        count = size(build(name))
        out[name] |= {
            "parameters": count,
            "training_cpu_s": round(float(spent)),
            "kb": round(2 * count / 1000),
        }
    return out


def _note(started: str) -> dict:
    return {
        "run": RUN,
        "task": "denoise",
        "methods": list(METHODS),
        "input": "LUDB 1.0.1, 12 leads of 10 s, 0.67-100 Hz; diagnosis: the carried signals of the 491 ECGs",
        "protocol": "LUDB: 5 folds by record, the first scored; diagnosis: grouped, repeat 0",
        "seed": 0,
        "folds": len(TESTED),
        "repeats": 1,
        "settings": {name: RECIPES[name]._asdict() for name in NETWORKS}
        | {"pairs": PAIRS, "stretch": STRETCH},
        "filters": {str(fold): json.loads(str(_once(f"score {fold}")["settings"])) for fold in (0,)},
        "columns": _COLUMNS,
        "cost": _cost(),
        "command": "python -m ecgbook.denoise",
        "code": _code(),
        "data": {"signals.npz": data.digest(data.tables() / "signals.npz")[1][:16]},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": f"cpu, {platform.machine()}",
        "started": started,
        "wall_s": round(float(sum(_once(name)["wall"] for name in PARTS))),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def store(results: Path = RESULTS, told: Callable[[str], None] = print) -> Path:
    """Compute all parts that are missing, and store the run; about ten minutes of one core.

    Parameters
    ----------
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
        LUDB is not there, or a folder cannot be written.
    """
    started, folder = datetime.now(UTC).isoformat(timespec="seconds"), results / RUN
    for name in PARTS:
        _once(name)
        told(name)
    data.make_folder(folder)
    for file, table in (
        ("outputs.csv", _outputs()),
        ("diagnosis.csv", _diagnosis()),
        ("history.csv", _history()),
    ):
        write_whole(folder / file, table.to_csv(index=False, lineterminator="\n"))
    with writing(folder / "autoencoder.npz") as part, open(part, "wb") as stream:
        np.savez_compressed(stream, **state(_network("autoencoder", 0)))  # type: ignore[arg-type]
    files = ("outputs.csv", "diagnosis.csv", "history.csv", "autoencoder.npz")
    note = _note(started) | {"sha256": {file: data.digest(folder / file)[1] for file in files}}
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
    for path in _cache().iterdir():
        path.unlink()
    _cache().rmdir()
    return folder


# %% [markdown]
# ## Reading the run
# Everything the chapters say is computed from the stored tables.


# %%
def note(results: Path = RESULTS) -> dict:
    """Load how the stored run came about.

    Raises
    ------
    EcgbookError
        There is no such run.

    Examples
    --------
    >>> note()["command"]
    'python -m ecgbook.denoise'
    """
    path = results / RUN / "run.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EcgbookError(f"{path}: no such run; make it with `python -m ecgbook.denoise`") from error


def _sound(file: str, results: Path) -> Path:
    wanted = note(results)["sha256"]
    path = results / RUN / _known(file, wanted, "file of the run")
    if not path.is_file() or data.digest(path)[1] != wanted[file]:
        raise EcgbookError(f"{path}: was changed by hand; remove the folder and run again")
    return path


def trained(results: Path = RESULTS) -> nn.Module:
    """Load the stored autoencoder, trained on the training records of the first fold of LUDB.

    Examples
    --------
    >>> apply(trained(), np.zeros((1, 250))).shape
    (1, 250)
    """
    with np.load(_sound("autoencoder.npz", results)) as kept:
        return restore("autoencoder", dict(kept))


def load(results: Path = RESULTS) -> pd.DataFrame:
    """Load the scores of the test records.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        One row a record, kind, level and method: ``record``, ``kind``, ``snr`` (dB), ``method``, ``gain`` (dB),
        ``rmse`` (µV), ``corr``, ``st`` (µV), ``mm`` (share).

    Raises
    ------
    EcgbookError
        No such run, or a table that was changed.

    Examples
    --------
    >>> frame = load()
    >>> frame["record"].nunique(), list(frame["method"].unique()) == list(METHODS)
    (200, True)
    """
    wide = pd.read_csv(_sound("outputs.csv", results)).set_index(["record", "kind", "snr"])
    wide["gain noisy"] = 0
    units = dict(zip(SCORES, (10, 1, 100, 1, 100), strict=True))
    parts = []
    for method in METHODS:
        part = wide[[f"{score} {method}" for score in SCORES]].set_axis(list(SCORES), axis=1)
        parts.append((part / pd.Series(units)).assign(method=method).reset_index())
    return pd.concat(parts, ignore_index=True)


def history(results: Path = RESULTS) -> pd.DataFrame:
    """Load the losses of all trainings: ``fold``, ``network``, ``step``, ``train_loss``, ``val_db``.

    Examples
    --------
    >>> sorted(history()["network"].unique())
    ['GAN', 'autoencoder', 'variational']
    """
    return pd.read_csv(_sound("history.csv", results))


def interval(values: pd.Series, replicates: int = 1000) -> tuple[float, float, float]:
    """Mean over records with the 95 % interval of a bootstrap that resamples them.

    Parameters
    ----------
    values : pandas.Series
        One number a record, in the same order wherever means are compared.
    replicates : int

    Returns
    -------
    tuple of three floats
        Mean, lower and upper limit.

    Examples
    --------
    >>> interval(pd.Series([2.0, 2.0, 2.0]))
    (2.0, 2.0, 2.0)
    """
    weights = evaluate.draw(len(values), replicates) / len(values)
    low, high = np.quantile(weights @ values.to_numpy(float), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def table(score: str, snr: float, results: Path = RESULTS) -> pd.DataFrame:
    """Tabulate a score by method and kind of noise at one level.

    Parameters
    ----------
    score : str
        One of :data:`SCORES`.
    snr : float
        One of :data:`LEVELS`.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        ``kind``, ``method``, ``estimate``, ``low``, ``high``; the kind "mean" is the mean of the six.

    Examples
    --------
    >>> one = table("gain", 0).query("method == 'noisy'")
    >>> one["estimate"].abs().max() == 0 and len(one) == 7
    True
    """
    wide = load(results).query("snr == @snr").pivot(index="record", columns=["method", "kind"], values=score)
    rows = []
    for method in METHODS:
        of_kind = {kind: wide[method, kind] for kind in KINDS} | {"mean": wide[method].mean(axis=1)}
        rows += [(kind, method, *interval(values)) for kind, values in of_kind.items()]
    return pd.DataFrame(rows, columns=["kind", "method", "estimate", "low", "high"])


def beats_filters(snr: float, results: Path = RESULTS) -> pd.DataFrame:
    """Compare each network with the best filter for each kind of noise: gain of one less gain of the other, dB.

    Parameters
    ----------
    snr : float
        One of :data:`LEVELS`.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        ``kind`` (and "mean", of the six), ``filter`` (the best for this kind), ``network``, ``difference``, ``low``,
        ``high``; paired by record.

    Examples
    --------
    >>> set(beats_filters(0)["network"]) == set(NETWORKS)
    True
    """
    wide = load(results).query("snr == @snr").pivot(index="record", columns=["kind", "method"], values="gain")
    best = {kind: wide[kind][list(FILTERS)].mean().idxmax() for kind in KINDS}
    rows = []
    for name in NETWORKS:
        apart = pd.DataFrame({kind: wide[kind, name] - wide[kind, best[kind]] for kind in KINDS})
        rows += [(kind, best[kind], name, *interval(apart[kind])) for kind in KINDS]
        rows.append(("mean", "best for each kind", name, *interval(apart.mean(axis=1))))
    return pd.DataFrame(rows, columns=["kind", "filter", "network", "difference", "low", "high"])


def diagnosis(results: Path = RESULTS) -> dict[str, pd.DataFrame]:
    """Load out-of-fold predictions of the headline before and after noise and denoising.

    Returns
    -------
    dict
        Condition ("clean", "noisy 10 dB", "autoencoder 10 dB", ...) -> predictions as :mod:`ecgbook.evaluate` takes
        them.

    Examples
    --------
    >>> frames = diagnosis()
    >>> len(frames), len(frames["clean"])
    (8, 491)
    """
    wide, out = pd.read_csv(_sound("diagnosis.csv", results)), {}
    for condition in _conditions():
        p = wide[[f"{condition}|{label}" for label in CLASSES]].to_numpy(float)
        out[condition] = wide[["file", "label", "fold"]].assign(repeat=0, part="test")
        out[condition][evaluate.PROBABILITIES] = p / p.sum(axis=1, keepdims=True)
    return out


# %%
def main(arguments: list[str]) -> int:
    """Compute the named parts, or all that are missing and store the run."""
    try:
        for name in arguments:
            _once(_known(name, PARTS, "part"))
        if not arguments:
            print(store())
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
