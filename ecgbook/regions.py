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
# # Regions: what page networks look at
# A page has places with names: a header, a footer, twelve leads, a rhythm strip, and a margin with the calibration
# pulses. This module asks of a trained network how much of its answer hangs on each of them, in four ways, and then
# asks of each way whether its answer deserves belief.

# %%
"""Explain page networks by the regions of the page, and judge the explanations."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import platform
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ecgbook import data, draw, evaluate, inputs, networks, preprocess, publish, study, synth, train
from ecgbook.data import CLASSES, EcgbookError, write_whole, writing
from ecgbook.models import _known

if TYPE_CHECKING:
    from torch import nn

RESULTS = study.RESULTS

# %% [markdown]
# ## The regions
# Header and footer are what lies above and below the grid. A lead has a box of 2.5 s, which reaches half way to the
# neighbouring rows; the strip has the width of all four columns. What is left, left and right of the traces, is margin:
# the calibration pulses stand there. Each pixel of the network's picture belongs to the region that its centre falls
# into, so the regions are a partition: no pixel is counted twice, and none is forgotten.

# %%
REGIONS = ("header", *synth.LEADS, "strip", "margin", "footer")
SIDE = 224  # pixels of the network's picture, both ways


@lru_cache(maxsize=4)
def mask(width: int = SIDE, height: int = SIDE) -> np.ndarray:
    """Say of each pixel of a squeezed page which region it belongs to.

    Parameters
    ----------
    width, height : int
        Size that the whole page was resized to.

    Returns
    -------
    numpy.ndarray of int, shape (height, width)
        Index into :data:`REGIONS`; read-only.

    Examples
    --------
    >>> numbers = mask()
    >>> [REGIONS[numbers[row, 100]] for row in (5, 60, 100, 200, 220)]
    ['header', 'aVR', 'aVL', 'strip', 'footer']
    """
    x = (np.arange(width) + 0.5) * draw.WIDTH / width
    y = (np.arange(height) + 0.5) * draw.HEIGHT / height
    edges = [
        (above + below) / 2 for above, below in zip(draw.BASELINES[:-1], draw.BASELINES[1:], strict=True)
    ]
    row = np.digitize(y, edges)[:, None]  # 0, 1, 2: leads; 3: strip
    column = np.floor((x - draw.LEFT) / (synth.COLUMN * draw.PX_SECOND)).astype(int)[None, :]
    beside = (column < 0) | (column > 3)
    numbers = np.where(row < 3, 1 + 3 * column + row, REGIONS.index("strip"))
    numbers = np.where(beside, REGIONS.index("margin"), numbers)
    numbers[y < preprocess.GRID[1]] = REGIONS.index("header")
    numbers[y >= preprocess.GRID[3]] = REGIONS.index("footer")
    numbers.flags.writeable = False
    return numbers


def shares(maps: np.ndarray) -> np.ndarray:
    """Sum maps by region and divide by their total.

    Parameters
    ----------
    maps : numpy.ndarray, shape (n, height, width)
        Relevance of each pixel; it may have a sign.

    Returns
    -------
    numpy.ndarray, shape (n, 16)
        In the order of :data:`REGIONS`. Sums below zero are set to zero, and each row adds up to 1. Where nothing is
        left, each region gets its part of the page's area.

    Raises
    ------
    EcgbookError
        A relevance is no number.

    Examples
    --------
    >>> even = shares(np.ones((1, 224, 224)))[0]
    >>> round(float(even.sum()), 6), round(float(even[0]), 3)  # the header's part of the page
    (1.0, 0.183)
    """
    maps = np.asarray(maps, float)
    if not np.isfinite(maps).all():
        raise EcgbookError("maps: hold values that are no numbers; explain these pages again")
    numbers = mask(maps.shape[2], maps.shape[1])
    sums = np.stack([maps[:, numbers == k].sum(axis=1) for k in range(len(REGIONS))], axis=1)
    nothing = (sums <= 0).all(axis=1)
    sums[nothing] = np.bincount(numbers.ravel(), minlength=len(REGIONS))
    return _normalised(sums)


# %% [markdown]
# ## The networks
# Two networks see the whole page and differ in their seed alone. They are trained as in the stored run
# `grouped-resnet18`, on the training part of its first fold, but for ten epochs at most: in the tenth its validation
# loss was lowest. Three more see one band of the page and nothing else: header, ECG or footer, cut out of the page
# *before* it is made small and its grey values are spread, for both steps would carry traces of the rest into the band.
# The footer is stretched, for these networks take no picture lower than 32 pixels.

# %%
STUDY = study.STUDIES["grouped-resnet18"]
RECIPE = train.RECIPES[STUDY.recipe]._replace(epochs=10)


def _band(top: int, bottom: int, height: int) -> tuple[preprocess.Step, ...]:
    """Steps of the paper for a band of the page, rows from `top` to `bottom`."""
    return (
        partial(preprocess.crop_to_grid, box=(0, top, draw.WIDTH, bottom)),
        partial(preprocess.resize, width=SIDE, height=height),
        preprocess.greyscale,
        preprocess.equalize,
    )


#: Name -> steps from page to picture. The header ends above the frame, the footer begins below it.
BANDS: dict[str, tuple[preprocess.Step, ...]] = {
    "page": preprocess.PIPELINES["paper"],
    "header": _band(0, 280, 40),
    "ECG": _band(preprocess.GRID[1], preprocess.GRID[3], 175),
    "footer": _band(1520, draw.HEIGHT, 32),
}


class Trained(NamedTuple):
    """Which band a network is trained on, and its seed."""

    band: str
    seed: int

    def name(self) -> str:
        """Name in the tables, such as "page, seed 0"."""
        return f"{self.band}, seed {self.seed}"


TRAINED = tuple(Trained(*one) for one in (("page", 0), ("page", 1), ("ECG", 0), ("header", 0), ("footer", 0)))


def fit(
    one: Trained, device: str = "auto", progress: Callable[[int, int], None] | None = None
) -> tuple[nn.Module, float]:
    """Train a network on the first grouped fold, or take it from the cache.

    Parameters
    ----------
    one : Trained
    device : str
        See :func:`ecgbook.networks.device`.
    progress : function, optional
        As in :func:`ecgbook.train.fit`.

    Returns
    -------
    network : torch.nn.Module
    seconds : float
        Processor time of its training.

    Raises
    ------
    EcgbookError
        The data set is not there; as :func:`ecgbook.train.fit`.
    """
    shown, y, split = _pages(one.band)
    folder = data.home() / "cache"
    data.make_folder(folder)
    state = folder / f"regions-{one.band}-{one.seed}-{_training_code()}.pt"
    clock, spent = time.process_time(), _spent(state)

    def mark(epoch: int, epochs: int) -> None:
        write_whole(state.with_suffix(".cpu"), repr(spent + time.process_time() - clock))
        if progress is not None:
            progress(epoch, epochs)

    with study._one_thread():
        network = networks.build(STUDY.model, STUDY.weights, one.seed)
        parts = [(shown[rows], y[rows]) for rows in (split.train, split.val)]
        train.fit(network, *parts, RECIPE, one.seed, device, state, mark)  # type: ignore[arg-type, call-arg]
    return network, _spent(state)


def _spent(state: Path) -> float:
    """Processor seconds that went into a training before."""
    path = state.with_suffix(".cpu")
    return float(path.read_text(encoding="utf-8")) if state.exists() and path.exists() else 0.0


def _pages(band: str):
    """Pictures of all distinct pages, their labels, and the fold."""
    frame = data.pages()
    pictures = preprocess.arrays(frame.assign(file=frame["first_copy"]), BANDS[band])
    y = frame["label"].map({label: k for k, label in enumerate(CLASSES)}).to_numpy()
    return pictures, y, study.deal(STUDY)[0, 0]


def _code(*modules) -> dict[str, str]:
    paths = [Path(module.__file__) for module in modules]
    return {path.stem: publish.code_digest(path.read_text(encoding="utf-8")) for path in paths}


def _training_code() -> str:
    """Digest of all code and settings behind a trained network, but its band and seed."""
    from ecgbook import splits

    terms = [
        _code(splits, preprocess, networks, train),
        RECIPE,
        [preprocess.describe(b) for b in BANDS.values()],
    ]
    return hashlib.sha256(repr(terms).encode()).hexdigest()[:12]


# %% [markdown]
# ## The background
# To ask what a region is worth, it is taken away. But a page cannot have a hole: something must stand there, and the
# network will read that too. Zeros would be black blocks, the darkest ink there is, which no page ever had. We put the
# *mean page* of the training part in its place: the printed form, the tint of the paper, and a faint band where the
# traces of all those hearts blur into each other. It says "a page", and nothing about this one.
#
# No background is innocent. A page with one region replaced is still a page that the network was never trained on, and
# a part of every drop is surprise. So the same is asked of a network with random weights.


# %%
def background(pictures: np.ndarray) -> np.ndarray:
    """Average pictures: what stands in for a region that is taken away.

    Parameters
    ----------
    pictures : numpy.ndarray of uint8, shape (n, height, width)
        Of the training part.

    Returns
    -------
    numpy.ndarray of uint8, shape (height, width)

    Examples
    --------
    >>> background(np.array([[[0, 10]], [[255, 10]]], np.uint8))
    array([[128,  10]], dtype=uint8)
    """
    mean = np.mean(pictures, axis=0, dtype=float)
    return np.floor(mean + 0.5).astype(np.uint8)


def without(pictures: np.ndarray, paper: np.ndarray, regions: tuple[str, ...]) -> np.ndarray:
    """Replace regions by the background.

    Parameters
    ----------
    pictures : numpy.ndarray of uint8, shape (n, height, width)
    paper : numpy.ndarray of uint8, shape (height, width)
        From :func:`background`.
    regions : tuple of str
        From :data:`REGIONS`.

    Returns
    -------
    numpy.ndarray of uint8, shape (n, height, width)
        A new array.

    Raises
    ------
    EcgbookError
        No such region.

    Examples
    --------
    >>> page = np.zeros((1, 224, 224), np.uint8)
    >>> gone = without(page, np.full((224, 224), 255, np.uint8), ("header", "footer"))
    >>> [int(gone[0, row, 0]) for row in (0, 100, 223)]
    [255, 0, 255]
    """
    numbers = [REGIONS.index(_known(name, REGIONS, "region")) for name in regions]
    return np.where(np.isin(mask(pictures.shape[2], pictures.shape[1]), numbers), paper, pictures)


# %% [markdown]
# ## Sixteen bits and thirty-two
# Most questions below take some hundred passes a page. Like the training they are computed in mixed precision, in a
# third of the time; a probability is then right to about two digits behind the point. Occlusion is asked in 32 bits:
# what a region is worth to a network with random weights is less than that, and the control shall not consist of
# rounding.


# %%
def _probabilities(network: nn.Module, pictures: np.ndarray) -> np.ndarray:
    """Probabilities of the four classes, (n, 4)."""
    import torch

    with study._one_thread(), torch.autocast(_where(network), torch.bfloat16):
        return networks.probabilities(network, pictures)


def _where(network: nn.Module) -> str:
    return next(network.parameters()).device.type


# %% [markdown]
# ## Four ways to explain an answer
# - *Gradient*: how much would the score of the class change if this pixel did? The absolute value of the derivative.
# - *Grad-CAM*: the last convolutional stage is a picture of 7 x 7 cells with some hundred channels. Each channel is
#   weighed by the mean gradient of the score with respect to it; the positive part of the weighted sum, enlarged to the
#   size of the page, is the map. It knows the place to a seventh of the page.
# - *Integrated gradients*: the gradient is summed along a straight way from the background to the page and multiplied
#   by the difference of the two. All pixels together add up to the difference of the two scores, and each has a sign.
# - *Occlusion*: replace one region at a time, and take how far the probability of the class falls. No gradient is
#   involved, and the unit is a probability.
#
# To compare them, each is brought to the same form: the values are summed over a place, be it a region or a patch of
# 16 x 16 pixels, sums below zero are set to zero, and the rest is divided by its total.

# %%
#: Network -> the module whose output is the last convolutional stage, below `backbone`.
LAST_STAGE = {
    "resnet18": "layer4",
    "resnet34": "layer4",
    "densenet121": "features.denseblock4",  # what follows it is changed in place
    "efficientnet-b0": "features",
    "mobilenet-v3-small": "features",
    "efficientnet-lite0": "bn2",
}
METHODS = ("gradient", "Grad-CAM", "integrated gradients", "occlusion")
STEPS = 8  # of the sum that stands for the integral
_AT_ONCE = 8  # pages


def explain(
    network: nn.Module,
    pictures: np.ndarray,
    classes: np.ndarray,
    method: str,
    paper: np.ndarray,
    stage: str = LAST_STAGE[STUDY.model],
) -> np.ndarray:
    """Map what speaks for a class on each picture.

    Parameters
    ----------
    network : torch.nn.Module
        From :func:`ecgbook.networks.build`, for whole pages.
    pictures : numpy.ndarray of uint8, shape (n, height, width)
        Whole pages, squeezed.
    classes : numpy.ndarray of int, shape (n,)
        Which class's score is explained, 0 to 3, for each picture.
    method : str
        One of :data:`METHODS`.
    paper : numpy.ndarray of uint8, shape (height, width)
        From :func:`background`; used by the last two methods.
    stage : str
        Module of the network for Grad-CAM; see :data:`LAST_STAGE`.

    Returns
    -------
    numpy.ndarray of float32, shape (n, height, width)
        Signed under "integrated gradients" and "occlusion", not negative under the others. Under "occlusion" the drop
        in probability of a region is spread evenly over its pixels.

    Raises
    ------
    EcgbookError
        No such method, or pictures that the network cannot take.

    References
    ----------
    Simonyan et al. 2014; Selvaraju et al. 2017; Sundararajan et al. 2017; Zeiler and Fergus 2014. Computed with captum.

    Examples
    --------
    >>> network = networks.build("resnet18").eval()
    >>> pages = np.random.default_rng(0).integers(0, 255, (2, 64, 64), dtype=np.uint8)
    >>> explain(network, pages, np.array([0, 3]), "Grad-CAM", background(pages)).shape
    (2, 64, 64)
    """
    _known(method, METHODS, "method")
    networks.check_pages(network, pictures, "pictures")
    if method == "occlusion":
        return _spread(drops(network, pictures, classes, paper), pictures.shape[1:])
    portions = range(0, len(pictures), _AT_ONCE)
    maps = [
        _attribute(network, pictures[i : i + _AT_ONCE], classes[i : i + _AT_ONCE], method, paper, stage)
        for i in portions
    ]
    return np.concatenate(maps)


def _attribute(network, pictures, classes, method: str, paper, stage: str) -> np.ndarray:
    import torch
    from captum import attr

    where = _where(network)
    x, base = (networks.to_input(torch.from_numpy(np.array(a)), where) for a in (pictures, paper[None]))
    target = torch.as_tensor(np.array(classes), device=where)
    with study._one_thread(), torch.autocast(where, torch.bfloat16):
        if method == "Grad-CAM":
            cells = attr.LayerGradCam(network, network.backbone.get_submodule(stage))
            found = cells.attribute(x, target, relu_attributions=True).float()
            found = attr.LayerAttribution.interpolate(found, x.shape[2:], "bilinear")
        elif method == "gradient":
            found = attr.Saliency(network).attribute(x.requires_grad_(), target)
        else:
            sums = attr.IntegratedGradients(network)
            found = sums.attribute(x, base, target, n_steps=STEPS, internal_batch_size=4 * _AT_ONCE)
    return found.detach().float().cpu().numpy()[:, 0]


def drops(network: nn.Module, pictures: np.ndarray, classes: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Replace one region at a time, and see how far the probability of a class falls.

    Parameters
    ----------
    network, pictures, classes, paper
        As for :func:`explain`.

    Returns
    -------
    numpy.ndarray, shape (n, 16)
        Probability on the whole page minus without the region, in the order of :data:`REGIONS`; negative where the
        page speaks more clearly without it.

    Examples
    --------
    >>> pages = np.full((1, 64, 64), 7, np.uint8)
    >>> drops(networks.build("resnet18").eval(), pages, np.array([0]), pages[0]).any()  # nothing was changed
    np.False_
    """
    each = np.arange(len(pictures)), np.asarray(classes)
    with study._one_thread():
        before = networks.probabilities(network, pictures)[each]
        after = [networks.probabilities(network, without(pictures, paper, (one,)))[each] for one in REGIONS]
    return before[:, None] - np.stack(after, axis=1)


def _spread(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Spread a value for each region, (n, 16), evenly over its pixels, (n, height, width)."""
    numbers = mask(shape[1], shape[0])
    pixels = np.bincount(numbers.ravel(), minlength=len(REGIONS))
    return (values / np.maximum(pixels, 1))[:, numbers].astype(np.float32)


# %% [markdown]
# ## Judging: does the answer follow?
# An explanation that orders the patches of a page claims: these decide. The claim can be tried out. *Deletion* replaces
# the patches by background, those named first first, and watches the probability of the class; *insertion* starts from
# the background and brings the patches in. Right names make the probability fall early in one and rise early in the
# other. The area between the two curves, insertion minus deletion, is our measure of *faithfulness*: 0 for names drawn
# by lot, at most 1.
#
# The patches are brought in and taken away in a few steps, which get longer as the patches get less important.

# %%
PATCH = 16  # pixels, both ways
COUNTS = (0, 4, 10, 20, 40, 80, 196)  # patches changed, of 14 x 14


def patches(maps: np.ndarray) -> np.ndarray:
    """Sum maps over patches of 16 x 16 pixels, set sums below zero to zero, and divide by the total.

    Parameters
    ----------
    maps : numpy.ndarray, shape (n, height, width)
        From :func:`explain`; height and width are multiples of 16.

    Returns
    -------
    numpy.ndarray, shape (n, height / 16, width / 16)
        Each adds up to 1; even where nothing is left.

    Examples
    --------
    >>> one = np.zeros((1, 32, 32))
    >>> one[0, :16, :16], one[0, 20, 20] = 1, -5
    >>> patches(one)
    array([[[1., 0.],
            [0., 0.]]])
    """
    n, height, width = maps.shape
    sums = maps.reshape(n, height // PATCH, PATCH, width // PATCH, PATCH).sum(axis=(2, 4), dtype=float)
    return _normalised(sums.reshape(n, -1)).reshape(sums.shape)


def _normalised(sums: np.ndarray) -> np.ndarray:
    """Positive part of sums (n, k), divided by its total; even where nothing is left."""
    positive = np.maximum(sums, 0)
    positive += positive.sum(axis=1, keepdims=True) == 0
    return positive / positive.sum(axis=1, keepdims=True)


def _order(values: np.ndarray, seed: int) -> np.ndarray:
    """Rank of each patch of each page, (n, k), the most relevant first; ties are broken by lot."""
    lots = np.random.default_rng(seed).random(values.shape)
    return np.lexsort((lots, -values)).argsort(axis=1)


def curves(
    network: nn.Module,
    pictures: np.ndarray,
    classes: np.ndarray,
    relevance: np.ndarray,
    paper: np.ndarray,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Take patches away, and bring them in, in the order of their relevance.

    Parameters
    ----------
    network, pictures, classes, paper
        As for :func:`explain`.
    relevance : numpy.ndarray, shape (n, height / 16, width / 16)
        From :func:`patches`.
    seed : int
        Of the lots that break ties.

    Returns
    -------
    insertion, deletion : numpy.ndarray, shape (n, 7)
        Probability of the class after as many patches as :data:`COUNTS` says, of 196; for other sizes in proportion.

    References
    ----------
    Petsiuk et al. 2018.
    """
    rank = _order(relevance.reshape(len(relevance), -1), seed).reshape(relevance.shape)
    rank = rank.repeat(PATCH, axis=1).repeat(PATCH, axis=2)
    each, total = (np.arange(len(pictures)), np.asarray(classes)), relevance[0].size
    full, empty = (
        _probabilities(network, x)[each] for x in (pictures, np.broadcast_to(paper, pictures.shape))
    )
    inserted, deleted = [empty], [full]
    for count in COUNTS[1:-1]:
        named = rank < round(count / COUNTS[-1] * total)
        inserted.append(_probabilities(network, np.where(named, pictures, paper))[each])
        deleted.append(_probabilities(network, np.where(named, paper, pictures))[each])
    return np.stack([*inserted, full], axis=1), np.stack([*deleted, empty], axis=1)


def area(curve: np.ndarray) -> np.ndarray:
    """Area under curves (n, 7) over the share of patches changed, 0 to 1.

    Examples
    --------
    >>> area(np.ones((1, 7)))
    array([1.])
    """
    return np.trapezoid(curve, np.array(COUNTS) / COUNTS[-1], axis=1)


# %% [markdown]
# ## Judging: would the map be the same without the learning?
# A map that looks like an ECG has proved nothing: the page looks like an ECG. Adebayo and others asked the decisive
# question: what does the method draw for the same architecture with *random weights*? If the same, then it draws the
# page and not the network. The likeness of two maps is the rank correlation of their patches.
#
# The random network gets one courtesy: its batch norms are fitted to the training pages. Without it the signals of a
# deep network grow from layer to layer, the scores are absurd, and the control would be easy to beat.


# %%
def randomised(model: str, seed: int, pictures: np.ndarray) -> nn.Module:
    """Build a network with random weights, whose batch norms know the pictures.

    Parameters
    ----------
    model : str
        One of :data:`ecgbook.networks.NETWORKS`.
    seed : int
    pictures : numpy.ndarray of uint8, shape (n, height, width)
        Of the training part.

    Returns
    -------
    torch.nn.Module
        In evaluation mode.

    References
    ----------
    Adebayo et al. 2018.

    Examples
    --------
    >>> pages = np.random.default_rng(0).integers(0, 255, (4, 64, 64), dtype=np.uint8)
    >>> bool(networks.probabilities(randomised("resnet18", 0, pages), pages).max() < 1)
    True
    """
    return settled(networks.build(model, "none", seed), pictures)


def settled(network: nn.Module, pictures: np.ndarray) -> nn.Module:
    """Fit the batch norms of a network to pictures; no weight is changed.

    Parameters
    ----------
    network : torch.nn.Module
        From :func:`ecgbook.networks.build`; it is changed.
    pictures : numpy.ndarray of uint8, shape (n, height, width)
        Of the training part.

    Returns
    -------
    torch.nn.Module
        The same, in evaluation mode.

    Notes
    -----
    A short training ends before the running means of the batch norms have caught up with the weights; this helps there
    too.

    Examples
    --------
    >>> pages = np.random.default_rng(0).integers(0, 255, (4, 64, 64), dtype=np.uint8)
    >>> settled(networks.build("resnet18"), pages).training
    False
    """
    import torch

    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    where = _where(network)
    network.train()
    with study._one_thread(), torch.no_grad(), torch.autocast(where, torch.bfloat16):
        for batch in networks._batches(pictures, where):
            network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def likeness(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rank correlation of maps, page by page.

    Parameters
    ----------
    one, other : numpy.ndarray, shape (n, height, width)
        From :func:`patches`.

    Returns
    -------
    numpy.ndarray, shape (n,)
        Spearman's, -1 to 1; 0 where one of the two maps is even, for it names no place.

    Examples
    --------
    >>> maps = np.arange(4.0).reshape(1, 2, 2)
    >>> likeness(maps, maps**3), likeness(maps, -maps), likeness(maps, np.ones((1, 2, 2)))
    (array([1.]), array([-1.]), array([0.]))
    """
    from scipy.stats import rankdata

    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (one, other)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide((a * b).sum(axis=1), scale, out=np.zeros(len(a)), where=scale > 0)


def ink(pictures: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Map how far each pixel is from the background: an explanation that asks no network.

    Examples
    --------
    >>> ink(np.array([[[0, 200]]], np.uint8), np.array([[250, 250]], np.uint8))
    array([[[250.,  50.]]], dtype=float32)
    """
    return np.abs(pictures.astype(np.float32) - paper)


# %% [markdown]
# ## Pages taken apart
# The bluntest questions come last: what is left of the answers when the header goes, or the footer, or the leads; and
# what when nothing stays but one of them?

# %%
_LEADS = tuple(synth.LEADS)

#: What the network is left with -> the regions replaced by background.
LEFT: dict[str, tuple[str, ...]] = {
    "the whole page": (),
    "all but the header": ("header",),
    "all but the footer": ("footer",),
    "all but the margin": ("margin",),
    "all but the strip": ("strip",),
    "all but the leads": _LEADS,
    "leads and strip": ("header", "footer", "margin"),
    "leads": ("header", "footer", "margin", "strip"),
    "strip": ("header", "footer", "margin", *_LEADS),
    "header and footer": ("margin", "strip", *_LEADS),
}

# %% [markdown]
# ## The stored run
# `python -m ecgbook.regions` trains the five networks, asks all questions of the test pages of the fold, and leaves
# the answers in `book/results/explain-pages`. Each part is kept in the cache as soon as it is done, under a name
# that holds the code it was made with, so a run that was interrupted goes on where it stopped. What is stored are
# sums by region, areas, rank correlations, and for a few pages maps of 14 x 14 patches: nothing that a page could be
# read from.
#
# All explanations ask about the class that the first network calls, on the same pages. The costly questions are asked
# on six test pages of each class, as many as there are of MI, drawn by lot: the *judged* pages.

# %%
RUN = "explain-pages"
JUDGED = 6  # pages of a class: as many as there are of MI
SHOWN = ("MI", "History_MI", "Abnormal", "Normal")  # classes of which a page's maps are stored
KINDS = ("trained", "random weights")
SEEDS = (0, 1)
ASKED = tuple((kind, seed) for kind in KINDS for seed in SEEDS)
ORDERS = (*((method, kind) for kind in KINDS for method in METHODS), ("ink", ""), ("lot", ""))


class Asked(NamedTuple):
    """The test pages: pictures, numbers of the classes, names, the background, and which pages are judged."""

    pictures: np.ndarray
    y: np.ndarray
    files: np.ndarray
    paper: np.ndarray
    judged: np.ndarray


def _asked() -> Asked:
    pictures, y, split = _pages("page")
    files = data.pages()["file"].to_numpy()[split.test]
    paper = background(pictures[split.train])
    return Asked(np.array(pictures[split.test]), y[split.test], files, paper, _by_lot(y[split.test]))


def _by_lot(y: np.ndarray) -> np.ndarray:
    """At most six rows of each class, in order."""
    rng = np.random.default_rng(0)
    drawn = [rng.permutation(np.flatnonzero(y == k))[:JUDGED] for k in range(len(CLASSES))]
    return np.sort(np.concatenate(drawn))


def _network(kind: str, seed: int) -> nn.Module:
    if kind == "trained":
        return fit(Trained("page", seed), "cpu")[0]
    pictures, _, split = _pages("page")
    return randomised(STUDY.model, 100 + seed, pictures[split.train])


def _called() -> np.ndarray:
    """Class that the first network calls on each test page."""
    return _once("called")["p"].argmax(axis=1)


def _first() -> dict[str, np.ndarray]:
    """Probabilities of the first network, (n, 4)."""
    return {"p": _probabilities(_network("trained", 0), _asked().pictures)}


def _answers(kind: str, seed: int) -> dict[str, np.ndarray]:
    """All explanations of one network: drops, shares and patches of the judged pages."""
    network, asked = _network(kind, seed), _asked()
    pictures, called = asked.pictures[asked.judged], _called()[asked.judged]
    clock = time.process_time()
    found = {"drops": drops(network, pictures, called, asked.paper)}
    found["seconds occlusion"] = np.array((time.process_time() - clock) / len(called))
    for method in METHODS[:-1]:
        clock = time.process_time()
        maps = explain(network, pictures, called, method, asked.paper)
        found[f"seconds {method}"] = np.array((time.process_time() - clock) / len(called))
        found[f"shares {method}"], found[f"patches {method}"] = shares(maps), patches(maps)
    maps = _spread(found["drops"], asked.paper.shape)  # what explain would do, asked only once
    found["shares occlusion"], found["patches occlusion"] = shares(maps), patches(maps)
    return found


def _tried(seed: int) -> dict[str, np.ndarray]:
    """Insertion and deletion curves on a trained network, in every order."""
    network, asked, called = _network("trained", seed), _asked(), _called()
    rows, found = asked.judged, {}
    for method, kind in ORDERS:
        own = _once(f"answers {kind} {seed}")[f"patches {method}"] if kind else None
        relevance = _blind(method, asked, rows) if own is None else own
        tried = curves(network, asked.pictures[rows], called[rows], relevance, asked.paper, seed)
        found[f"{method}|{kind}"] = np.stack(tried)
    return found


def _blind(method: str, asked: Asked, rows: np.ndarray) -> np.ndarray:
    """Two orders that ask no network: by ink, and by lot."""
    maps = ink(asked.pictures[rows], asked.paper)
    return patches(maps if method == "ink" else np.ones_like(maps))


def _left(seed: int) -> dict[str, np.ndarray]:
    """Probabilities with regions replaced, (n, 4) for each entry of LEFT."""
    network, asked = _network("trained", seed), _asked()
    return {
        left: _probabilities(network, without(asked.pictures, asked.paper, gone))
        for left, gone in LEFT.items()
    }


def _banded(band: str, seed: int) -> dict[str, np.ndarray]:
    """Probabilities of a network that sees one band."""
    pictures, _, split = _pages(band)
    network, seconds = fit(Trained(band, seed), "cpu")
    return {
        "p": _probabilities(network, np.array(pictures[split.test])),
        "training seconds": np.array(seconds),
    }


#: Name of a part -> function that computes it.
PARTS: dict[str, Callable[[], dict[str, np.ndarray]]] = {
    "called": _first,
    **{f"band {one.name()}": partial(_banded, *one) for one in TRAINED},
    **{f"answers {kind} {seed}": partial(_answers, kind, seed) for kind, seed in ASKED},
    **{f"tried {seed}": partial(_tried, seed) for seed in SEEDS},
    **{f"left {seed}": partial(_left, seed) for seed in SEEDS},
}


def _once(name: str) -> dict[str, np.ndarray]:
    """Take a part from the cache, or compute and keep it."""
    path = data.home() / "cache" / f"regions-{name.replace(' ', '-')}-{_asking_code()}.npz"
    if not path.is_file():
        data.make_folder(path.parent)
        found = PARTS[name]()
        with writing(path) as part, open(part, "wb") as stream:
            np.savez(stream, **found)  # type: ignore[arg-type]
    with np.load(path) as kept:
        return dict(kept)


def _asking_code() -> str:
    """Digest of the code behind every stored number."""
    functions = (
        mask,
        shares,
        fit,
        background,
        without,
        explain,
        _attribute,
        drops,
        _spread,
        patches,
        _order,
        curves,
    )
    functions += (
        _normalised,
        randomised,
        ink,
        _by_lot,
        _network,
        _first,
        _answers,
        _tried,
        _blind,
        _left,
        _banded,
    )
    code = [publish.code_digest(inspect.getsource(function)) for function in functions]
    terms = [_training_code(), code, _code(inputs, draw), LEFT, ORDERS, COUNTS, STEPS, JUDGED]
    return hashlib.sha256(repr(terms).encode()).hexdigest()[:12]


# %% [markdown]
# From the parts to tables.

# %%
COLUMNS = {
    "outputs.csv": {
        "what": "share: part of the relevance, a row adds up to 1; drop: fall of the probability of the class called",
        "network": "trained or random weights, and the seed",
        "method": "way of explaining",
        "file": "judged page",
        "header ... footer": "the sixteen regions",
    },
    "judged.csv": {
        "what": "insertion, deletion: area under the curve; likeness: rank correlation of two maps",
        "network": "trained network the curves were drawn on, or network of the first map",
        "method": "that orders the patches, or drew the first map; ink: by distance from the background; lot: by lot",
        "other": "whose map orders the patches (trained, random weights); for likeness the second network and method",
        "file": "judged page",
        "value": "0 to 1; -1 to 1 for likeness",
    },
    "curves.csv": {
        "network": "trained network",
        "method": "as above",
        "other": "as above",
        "changed": "share of the patches brought in or taken away",
        "insertion": "mean probability of the class called",
        "deletion": "mean probability of the class called",
    },
    "answers.csv": {
        "network": "band it was trained on, and seed",
        "left": "what it was shown; the rest was replaced by background",
        "file": "test page",
        "label": "its class",
        "p_MI ... p_Normal": "probabilities",
    },
}


def _outputs(parts: dict, asked: Asked) -> pd.DataFrame:
    rows = []
    for kind, seed in ASKED:
        found, network = parts[f"answers {kind} {seed}"], f"{kind}, seed {seed}"
        tables = [("drop", "occlusion", asked.files[asked.judged], found["drops"])]
        tables += [("share", m, asked.files[asked.judged], found[f"shares {m}"]) for m in METHODS]
        for what, method, files, values in tables:
            named = {"what": what, "network": network, "method": method, "file": files}
            rows.append(pd.DataFrame(named).join(pd.DataFrame(values, columns=list(REGIONS))))
    return pd.concat(rows, ignore_index=True)


def _judged(parts: dict, asked: Asked) -> pd.DataFrame:
    rows, files = [], asked.files[asked.judged]
    for seed in SEEDS:
        for key, tried in parts[f"tried {seed}"].items():
            for what, curve in zip(("insertion", "deletion"), tried, strict=True):
                rows.append((what, f"trained, seed {seed}", *key.split("|"), area(curve)))
    maps = {
        (f"{kind}, seed {seed}", method): parts[f"answers {kind} {seed}"][f"patches {method}"]
        for kind, seed in ASKED
        for method in METHODS
    }
    for (one, method), (other, second) in _pairs(list(maps)):
        value = likeness(maps[one, method], maps[other, second])
        rows.append(("likeness", one, method, f"{other}, {second}", value))
    columns = ["what", "network", "method", "other"]
    frames = [
        pd.DataFrame(dict(zip(columns, row[:4], strict=True)) | {"file": files, "value": row[4]})
        for row in rows
    ]
    return pd.concat(frames, ignore_index=True)


def _pairs(maps: list[tuple[str, str]]) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Maps to be compared: one method on two networks, or two methods on one trained network."""
    return [
        (a, b)
        for i, a in enumerate(maps)
        for b in maps[i + 1 :]
        if a[1] == b[1] or (a[0] == b[0] and a[0].startswith("trained"))
    ]


def _mean_curves(parts: dict) -> pd.DataFrame:
    rows = []
    for seed in SEEDS:
        for key, (inserted, deleted) in parts[f"tried {seed}"].items():
            method, other = key.split("|")
            named = {"network": f"trained, seed {seed}", "method": method, "other": other}
            values = {"insertion": inserted.mean(axis=0), "deletion": deleted.mean(axis=0)}
            rows.append(pd.DataFrame(named | {"changed": np.array(COUNTS) / COUNTS[-1]} | values))
    return pd.concat(rows, ignore_index=True)


def _all_answers(parts: dict, asked: Asked) -> pd.DataFrame:
    told = {(f"page, seed {s}", left): parts[f"left {s}"][left] for s in SEEDS for left in LEFT}
    told |= {
        (one.name(), "its band"): parts[f"band {one.name()}"]["p"] for one in TRAINED if one.band != "page"
    }
    labels = np.array(CLASSES)[asked.y]
    frames = []
    for (network, left), p in told.items():
        named = pd.DataFrame({"network": network, "left": left, "file": asked.files, "label": labels})
        frames.append(named.join(pd.DataFrame(p, columns=evaluate.PROBABILITIES)))
    return pd.concat(frames, ignore_index=True)


def _maps(parts: dict, asked: Asked) -> dict[str, np.ndarray]:
    """Maps of the first judged page of each class; mean maps of the judged pages of each class."""
    y, kept = asked.y[asked.judged], {}
    first = [int(np.flatnonzero(y == CLASSES.index(label))[0]) for label in SHOWN]
    kept["files"] = asked.files[asked.judged][first].astype(str)
    for kind, seed in ASKED:
        for method in METHODS:
            found = parts[f"answers {kind} {seed}"][f"patches {method}"]
            means = np.stack([found[y == k].mean(axis=0) for k in range(len(CLASSES))])
            kept[f"{kind}, seed {seed}|{method}"] = found[first].astype(np.float16)
            kept[f"mean|{kind}, seed {seed}|{method}"] = means.astype(np.float16)
    return kept


_PACKAGES = ("numpy", "pandas", "pillow", "torch", "torchvision", "captum")


def _note(parts: dict, asked: Asked, started: str, wall: float) -> dict:
    from ecgbook import splits

    seconds = {
        m: float(np.mean([parts[f"answers trained {s}"][f"seconds {m}"] for s in SEEDS])) for m in METHODS
    }
    trained = {one.name(): round(float(parts[f"band {one.name()}"]["training seconds"])) for one in TRAINED}
    return {
        "run": RUN,
        "task": "explain",
        "model": STUDY.model,
        "input": STUDY.input,
        "protocol": "grouped, repeat 0, fold 0",
        "weights": STUDY.weights,
        "settings": RECIPE._asdict(),
        "shown": {band: preprocess.describe(steps) for band, steps in BANDS.items()},
        "pages": len(asked.files),
        "judged": len(asked.judged),
        "columns": COLUMNS,
        "command": "python -m ecgbook.regions",
        "code": _code(splits, preprocess, inputs, networks, train) | {"regions": _asking_code()},
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        "device": f"cpu, {platform.machine()}",
        "seconds_a_page": {method: round(value, 3) for method, value in seconds.items()},
        "training_cpu_s": trained,
        "started": started,
        "wall_s": round(wall, 1),  # of the last start, if there were several
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        // (1024 if sys.platform != "darwin" else 1024**2),
    }


def store(results: Path = RESULTS, progress: Callable[[str], None] = lambda name: None) -> Path:
    """Compute all parts that are missing, and store the run.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.
    progress : function
        Called with the name of each part when it is there.

    Returns
    -------
    pathlib.Path
        The run's folder.

    Raises
    ------
    EcgbookError
        The data set is not there, or a folder cannot be written.
    """
    started, clock, parts = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic(), {}
    for name in PARTS:
        parts[name] = _once(name)
        progress(name)
    asked, folder = _asked(), results / RUN
    tables = {
        "outputs.csv": _outputs(parts, asked),
        "judged.csv": _judged(parts, asked),
        "curves.csv": _mean_curves(parts),
        "answers.csv": _all_answers(parts, asked),
    }
    data.make_folder(folder)
    for file, table in tables.items():
        write_whole(folder / file, table.to_csv(index=False, float_format="%.5f", lineterminator="\n"))
    with writing(folder / "maps.npz") as part, open(part, "wb") as stream:
        np.savez_compressed(stream, **_maps(parts, asked))  # type: ignore[arg-type]
    digests = {file: data.digest(folder / file)[1] for file in (*tables, "maps.npz")}
    note = _note(parts, asked, started, time.monotonic() - clock) | {"sha256": digests}
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
    return folder


# %% [markdown]
# ## Reading the run


# %%
def load(file: str = "outputs.csv", results: Path = RESULTS) -> pd.DataFrame:
    """Load a table of the stored run.

    Parameters
    ----------
    file : str
        One of :data:`COLUMNS`.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        Its columns are described in :data:`COLUMNS`.

    Raises
    ------
    EcgbookError
        No such table, no such run, or a table that was changed.

    Examples
    --------
    >>> round(float(load("outputs.csv").query("what == 'share'")[list(REGIONS)].sum(axis=1).mean()), 3)
    1.0
    """
    path = _sound(_known(file, COLUMNS, "table"), results)
    return pd.read_csv(path, keep_default_na=False, na_values=["nan"])


def note(results: Path = RESULTS) -> dict:
    """Load how the stored run came about.

    Raises
    ------
    EcgbookError
        There is no such run.

    Examples
    --------
    >>> note()["command"]
    'python -m ecgbook.regions'
    """
    path = results / RUN / "run.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EcgbookError(f"{path}: no such run; make it with `python -m ecgbook.regions`") from error


def maps(results: Path = RESULTS) -> dict[str, np.ndarray]:
    """Load the stored maps of 14 x 14 patches.

    Returns
    -------
    dict
        ``files`` (4,): names of four pages; "network|method" (4, 14, 14): their maps; "mean|network|method"
        (4, 14, 14): mean maps of the judged pages of each class.

    Raises
    ------
    EcgbookError
        As :func:`load`.

    Examples
    --------
    >>> maps()["trained, seed 0|Grad-CAM"].shape
    (4, 14, 14)
    """
    with np.load(_sound("maps.npz", results)) as kept:
        return dict(kept)


def _sound(file: str, results: Path) -> Path:
    path, wanted = results / RUN / file, note(results)["sha256"][file]
    if not path.is_file() or data.digest(path)[1] != wanted:
        raise EcgbookError(f"{path}: was changed by hand; remove the folder and run again")
    return path


def interval(values: pd.Series, replicates: int = 2000, level: float = 0.95) -> tuple[float, float, float]:
    """Mean over pages with an interval that resamples groups.

    Parameters
    ----------
    values : pandas.Series
        One number a page; index: file names.
    replicates : int
        Of the bootstrap.
    level : float
        Coverage.

    Returns
    -------
    tuple of three floats
        Mean, lower and upper limit.

    Examples
    --------
    >>> interval(pd.Series([1.0, 1.0], ["MI(1).jpg", "Normal(1).jpg"]))
    (1.0, 1.0, 1.0)
    """
    codes, units = pd.factorize(evaluate.units("grouped").loc[values.index])
    weights = evaluate.draw(len(units), replicates)[:, codes]
    means = weights @ values.to_numpy(float) / weights.sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(values.mean()), float(low), float(high)


# %% [markdown]
# ## The verdicts
# Two controls for each method. *Faithfulness* stands beside the same figure for maps that the method drew on a network
# with random weights, tried on the trained network: only what exceeds it was read from the learning. *Stability*, the
# likeness of the maps of two networks trained with different seeds, stands beside the likeness of a trained network's
# map and a random one's: two maps may be alike because both draw the page.


# %%
def faithfulness(results: Path = RESULTS) -> pd.DataFrame:
    """Insertion minus deletion of every order of patches, page by page, mean of the two trained networks.

    Returns
    -------
    pandas.DataFrame
        Index: judged files. Columns: pairs of method and whose map ("trained", "random weights", "" for ink and lot).

    Raises
    ------
    EcgbookError
        As :func:`load`.

    Examples
    --------
    >>> faithfulness().columns[0]
    ('Grad-CAM', 'random weights')
    """
    judged = load("judged.csv", results)
    areas = judged[judged["what"] != "likeness"].pivot_table(
        index="file", columns=["what", "method", "other"], values="value"
    )
    return areas["insertion"] - areas["deletion"]


def alike(method: str, one: str, other: str, results: Path = RESULTS) -> pd.Series:
    """Likeness of a method's maps on two kinds of networks, page by page, mean over the pairs of seeds.

    Parameters
    ----------
    method : str
        One of :data:`METHODS`.
    one, other : str
        One of :data:`KINDS` each.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.Series
        Index: judged files.

    Examples
    --------
    >>> bool(alike("Grad-CAM", "trained", "random weights").between(-1, 1).all())
    True
    """
    judged = load("judged.csv", results).query("what == 'likeness' and method == @method")
    wanted = judged["network"].str.startswith(one) & judged["other"].str.startswith(other)
    wanted &= judged["other"].str.endswith(f", {method}")
    return judged[wanted].groupby("file")["value"].mean()


def verdicts(results: Path = RESULTS) -> pd.DataFrame:
    """Judge every method beside its controls.

    Returns
    -------
    pandas.DataFrame
        Index: :data:`METHODS`. ``faithfulness``, ``control`` (by maps of random weights) and ``gain``, their
        difference; ``stability`` (two seeds), ``random`` (trained against random weights) and ``learned``, their
        difference; each followed by the limits of its interval, ``... low`` and ``... high``.

    Raises
    ------
    EcgbookError
        As :func:`load`.

    Examples
    --------
    >>> list(verdicts().columns[::3])
    ['faithfulness', 'control', 'gain', 'stability', 'random', 'learned']
    """
    areas, rows = faithfulness(results), {}
    for method in METHODS:
        own, control = areas[method, "trained"], areas[method, "random weights"]
        stable, chance = (alike(method, "trained", kind, results) for kind in KINDS)
        values = {"faithfulness": own, "control": control, "gain": own - control}
        values |= {"stability": stable, "random": chance, "learned": stable - chance}
        rows[method] = {
            f"{name}{end}": number
            for name, value in values.items()
            for end, number in zip(("", " low", " high"), interval(value), strict=True)
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def summary(results: Path = RESULTS) -> pd.DataFrame:
    """Sum up the methods, one row each.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        ``method``, ``model``, ``faithfulness`` (insertion minus deletion), ``control`` (the same by maps of a network
        with random weights), ``stability`` (rank correlation over seeds), ``seconds`` (processor time a page, as
        stored).

    Raises
    ------
    EcgbookError
        As :func:`load`.

    Examples
    --------
    >>> summary()["method"].tolist()
    ['gradient', 'Grad-CAM', 'integrated gradients', 'occlusion']
    """
    found = verdicts(results)[["faithfulness", "control", "stability"]]
    found = found.assign(seconds=pd.Series(note(results)["seconds_a_page"]), model="ResNet18 on pages")
    found = found.rename_axis("method").reset_index()
    return found[["method", "model", "faithfulness", "control", "stability", "seconds"]]


def main() -> int:
    """Make the stored run."""
    try:
        print(store(progress=lambda name: print(name, file=sys.stderr)))
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    from ecgbook import regions as module  # under its package name, as everywhere else

    sys.exit(module.main())
