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
# # Fusion: one ECG, four ways to look at it
# A page holds more than one kind of data. There are *facts* printed on it (heart rate, sex), *measurements* that a
# program makes, the *signal* itself, and the picture of the whole *page*. Each of these modalities can be judged by a
# model of its own. This module joins them: before the models (early fusion), after them (late fusion), or in a network
# that decides for each ECG whom to listen to (attention fusion).
#
# The question has two sides, so there are two comparisons. In the first everything is held fixed but the way of
# joining: the same columns, the same experts, the same training part. In the second what the book has stored for each
# modality is joined late, whatever it is: two stored networks, trees, and the two facts. The second, as a pool with
# learned weights, was named the headline of this page's chapter before any fusion predicted a test part; what the
# single experts score was known. For want of processor time the trees and networks here are small.

# %%
"""Join printed facts, measurements, signal and page: early, late and by attention; with modalities missing."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import itertools
import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ecgbook import data, evaluate, hybrid, models, networks, networks1d, publish, splits, study
from ecgbook.data import CLASSES, EcgbookError, write_whole, writing

if TYPE_CHECKING:
    import torch
    from torch import nn

# %% [markdown]
# ## Four modalities
# Facts are two columns, measurements those of the book, the signal its median beats in twelve leads, the page the 1,280
# features that a network trained on photographs finds in it. None of these columns was made with a label. (A network
# trained on these ECGs reads the signal better; but its inner features are no columns, for they mean something else
# each time it is trained, and are too good on what it was trained on. It has its say in the second comparison.)
#
# Scan batch and "lead off" are printed on the page too, but they tell how the data were collected. They are kept apart
# as a fifth block, *collection*, which no fusion sees except the one that asks what it would be worth.

# %%
MODALITIES = ("facts", "measurements", "signal", "page")
LEAST = 1e-4  # no model may call anything less likely

Blocks = dict[str, np.ndarray]  # modality -> (491, columns), NaN where not measured

_COLLECTION = ("printed_lead_off", "printed_2019", "printed_2020a", "printed_2020b")


def name_of(modalities: Sequence[str]) -> str:
    """Name a set of modalities, in a fixed order.

    Examples
    --------
    >>> name_of(["page", "facts"])
    'facts + page'
    """
    return " + ".join(m for m in MODALITIES if m in modalities)


#: Every set of two or more modalities.
SUBSETS = tuple(s for k in (2, 3, 4) for s in itertools.combinations(MODALITIES, k))


def columns() -> Blocks:
    """Collect the columns of all modalities.

    Returns
    -------
    dict of str to (491, k) array
        "facts" (rate per minute, female or not), "measurements", "signal" (points of the median beats), "page", and
        "collection"; rows as :func:`ecgbook.data.pages`.

    Examples
    --------
    >>> {name: block.shape[1] for name, block in columns().items() if name in ("facts", "collection")}
    {'facts': 2, 'collection': 4}
    """
    files = data.pages()["file"]
    printed = models.features("printed text").loc[files]
    return {
        "facts": printed.drop(columns=list(_COLLECTION)).to_numpy(float),
        "measurements": models.features("measurements").loc[files].to_numpy(float),
        "signal": models.features("beats").loc[files].to_numpy(float),
        "page": hybrid.lite0_features().loc[files].to_numpy(float),
        "collection": printed[list(_COLLECTION)].to_numpy(float),
    }


def logits(p: np.ndarray) -> np.ndarray:
    """Turn probabilities (..., 4) into their logarithms less the mean; zeros mean undecided.

    Examples
    --------
    >>> logits(np.array([0.25, 0.25, 0.25, 0.25])).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    log = np.log(np.maximum(p, LEAST))
    return log - log.mean(axis=-1, keepdims=True)


def _softmax(scores: np.ndarray) -> np.ndarray:
    from scipy.special import softmax

    return softmax(scores, axis=-1)


# %% [markdown]
# ## Experts, and opinions that were not learned by heart
# Each modality has an expert of a kind that the book has used for it, with settings fixed there: small boosted trees
# for two facts, extra trees for measurements, principal components and a support vector machine for beats and page.
#
# Whoever learns to combine experts must not learn from what they say of their own training ECGs: of these they are
# far too sure. So the training part is dealt into three, groups together, and each third is judged by an expert that
# learned from the other two ("cross-fitted"). Of validation and test parts the expert speaks that learned from all of
# the training part.

# %%
INNER = 3
FOLDS = 5
TREES = 60


def expert(modality: str, seed: int):
    """Build the expert of a modality, not fitted.

    Examples
    --------
    >>> type(expert("facts", 0)).__name__
    'HistGradientBoostingClassifier'
    """
    from sklearn.pipeline import make_pipeline

    models._known(modality, MODALITIES, "modality")
    if modality == "facts":
        return models.build("boosting", seed)
    if modality == "measurements":
        return _trees(seed)
    return make_pipeline(*_reduced(modality, whiten=True), models._svm(seed, "scale"))


def _trees(seed: int):
    from sklearn.pipeline import make_pipeline

    return make_pipeline(models._filled(), models._extra_trees(seed).set_params(n_estimators=TREES))


COMPONENTS = 50


def _reduced(modality: str, whiten: bool) -> list:
    """Steps from many columns to principal components; beats are all in mV, the page's features are scaled first."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    scaled = [StandardScaler()] if modality == "page" else []
    return [*scaled, PCA(COMPONENTS, whiten=whiten, svd_solver="full")]


def labels() -> np.ndarray:
    """Classes of the 491 ECGs, numbered; rows as :func:`ecgbook.data.pages`.

    Examples
    --------
    >>> np.bincount(labels()).tolist()
    [30, 86, 233, 142]
    """
    return data.pages()["label"].map(CLASSES.index).to_numpy()


@lru_cache(maxsize=1)
def _dealt() -> list[splits.Split]:
    return splits.folds("grouped", data.pages(), n_splits=FOLDS)


def thirds(rows: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Deal the rows of a training part into three, whole groups at a time.

    Parameters
    ----------
    rows : (n,) int array
        Of :func:`ecgbook.data.pages`.
    seed : int

    Returns
    -------
    list of (known, asked)
        Row numbers; each row is asked once.

    Examples
    --------
    >>> asked = np.concatenate([part for _, part in thirds(np.arange(200), 0)])
    >>> sorted(asked.tolist()) == list(range(200))
    True
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = data.pages()["group"].to_numpy()[rows]
    dealer = StratifiedGroupKFold(INNER, shuffle=True, random_state=seed)
    return [(rows[known], rows[asked]) for known, asked in dealer.split(rows, labels()[rows], groups)]


def opinions_from(
    block: np.ndarray, modality: str, split: splits.Split, seed: int
) -> tuple[object, np.ndarray]:
    """Let the expert of a modality judge all ECGs.

    Parameters
    ----------
    block : (n, k) array
        Its columns.
    modality : str
        One of :data:`MODALITIES`.
    split : ecgbook.splits.Split
    seed : int

    Returns
    -------
    expert
        Fitted on the training part.
    opinions : (n, 4) array
        Probabilities; those of the training part are cross-fitted.
    """
    y, out = labels(), np.zeros((len(block), len(CLASSES)))
    for known, asked in thirds(split.train, seed):
        third = expert(modality, seed).fit(block[known], y[known])
        out[asked] = models.probabilities(third, block[asked])
    whole = expert(modality, seed).fit(block[split.train], y[split.train])
    rest = np.r_[split.val, split.test]
    out[rest] = models.probabilities(whole, block[rest])
    return whole, out


# %% [markdown]
# ## Late fusion
# Experts are asked, then their answers are joined. With {math}`z_m` the answer of expert {math}`m` as centred
# logarithms,
#
# $$
# p \propto \exp \left( \sum_m w_m z_m \right).
# $$
#
# The *pool* gives all the same weight, one over their number, and learns nothing. The *weighted pool* learns one weight
# an expert, not below zero, by log loss. *Stacking* learns a logistic regression on all sixteen numbers, so it may
# believe an expert about one class and not about another. Both learn from the cross-fitted answers. An expert that is
# missing has nothing to say: {math}`z = 0`, and the pool divides by those who are there.


# %%
def pool(opinions: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Join the probabilities of experts on the logarithmic scale.

    Parameters
    ----------
    opinions : (m, n, 4) array
        Probabilities by m experts.
    weights : (m,) array, optional
        By default all 1 / m.

    Returns
    -------
    (n, 4) array

    Examples
    --------
    >>> sure, undecided = np.array([[0.7, 0.1, 0.1, 0.1]]), np.full((1, 4), 0.25)
    >>> pool(np.array([sure, undecided]), np.array([1, 5])).round(2).tolist()
    [[0.7, 0.1, 0.1, 0.1]]
    """
    weights = np.full(len(opinions), 1 / len(opinions)) if weights is None else np.asarray(weights)
    return _softmax(np.einsum("m,mnk->nk", weights, logits(opinions)))


def learned_weights(opinions: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Find the weights, none below zero, with which a pool has the lowest log loss.

    Parameters
    ----------
    opinions : (m, n, 4) array
    y : (n,) int array

    Returns
    -------
    (m,) array

    Examples
    --------
    >>> y = np.arange(40) % 4
    >>> right, useless = 0.1 + 0.6 * np.eye(4)[y], np.full((40, 4), 0.25)
    >>> bool(learned_weights(np.array([right, useless]), y)[0] > 1)
    True
    """
    from scipy.optimize import minimize

    z, true = logits(opinions), np.eye(len(CLASSES))[y]

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        p = _softmax(np.einsum("m,mnk->nk", w, z))
        value = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean()
        return value, np.einsum("mnk,nk->m", z, p - true) / len(y)

    start = np.full(len(opinions), 1 / len(opinions))
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 5)] * len(opinions)).x


def _side_by_side(opinions: np.ndarray) -> np.ndarray:
    return logits(opinions).transpose(1, 0, 2).reshape(opinions.shape[1], -1)


def stacked(opinions: np.ndarray, y: np.ndarray):
    """Fit a logistic regression on what experts say.

    Parameters
    ----------
    opinions : (m, n, 4) array
    y : (n,) int array

    Returns
    -------
    function
        Of opinions (m, any, 4), to probabilities (any, 4).

    Examples
    --------
    >>> y = np.arange(40) % 4
    >>> right = 0.1 + 0.6 * np.eye(4)[y][None]
    >>> bool((stacked(right, y)(right).argmax(axis=1) == y).all())
    True
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.1, max_iter=2000).fit(_side_by_side(opinions), y)
    return lambda asked: models.probabilities(model, _side_by_side(asked))


LATE = ("pool", "weighted pool", "stacking")


def joined(method: str, learn: np.ndarray, y: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Join experts by a late fusion.

    Parameters
    ----------
    method : str
        One of :data:`LATE`.
    learn : (m, n, 4) array
        Cross-fitted opinions to learn from.
    y : (n,) int array
        Their classes.
    asked : (m, k, 4) array
        Opinions to be joined.

    Returns
    -------
    (k, 4) array

    Examples
    --------
    >>> y = np.arange(40) % 4
    >>> right = 0.1 + 0.6 * np.eye(4)[y][None]
    >>> [bool((joined(how, right, y, right).argmax(axis=1) == y).all()) for how in LATE]
    [True, True, True]
    """
    models._known(method, LATE, "late fusion")
    if method == "pool":
        return pool(asked)
    return pool(asked, learned_weights(learn, y)) if method == "weighted pool" else stacked(learn, y)(asked)


# %% [markdown]
# ## Early fusion
# All columns stand side by side, and one model sees them: extra trees, as for measurements alone. The many columns of
# beats and page would drown the rest, so 50 principal components stand for each, found in the training part.


# %%
def shortened(blocks: Blocks, known: np.ndarray) -> Callable[[Blocks], Blocks]:
    """Learn principal components of beats and page.

    Parameters
    ----------
    blocks : dict of str to array
    known : int array
        Rows to learn from.

    Returns
    -------
    function
        Puts the components in the place of the columns, in any blocks.

    Examples
    --------
    >>> blocks = {"facts": np.ones((60, 2)), "page": np.random.default_rng(0).normal(size=(60, 80))}
    >>> shortened(blocks, np.arange(60))(blocks)["page"].shape
    (60, 50)
    """
    from sklearn.pipeline import make_pipeline

    fitted = {}
    for name in {"signal", "page"} & set(blocks):
        fitted[name] = make_pipeline(*_reduced(name, whiten=False)).fit(blocks[name][known])
    return lambda asked: asked | {name: steps.transform(asked[name]) for name, steps in fitted.items()}


def beside(blocks: Blocks, modalities: Sequence[str]) -> np.ndarray:
    """Put the columns of some modalities side by side.

    Examples
    --------
    >>> beside({"facts": np.zeros((3, 2)), "page": np.ones((3, 4))}, ["facts", "page"]).shape
    (3, 6)
    """
    return np.column_stack([blocks[m] for m in modalities])


# %% [markdown]
# ## Attention fusion
# A small network turns each modality into a vector of 24 numbers, asks each vector how much it matters here, and hands
# the weighted mean to a head. The weights are a softmax over the modalities *that are there*, so a missing one is
# simply not asked. To be used to that, the network is trained with *modality dropout*: at every step each modality
# of each ECG is missing with a chance of 0.3, never all of them. The answers of two networks, from two seeds, are
# pooled. The number of epochs is fixed; nothing is stopped early.

# %%
WIDTH = 24
EPOCHS = 20
MISSING = 0.3
SEEDS = 2


def gate(widths: Sequence[int]) -> nn.Module:
    """Build the network.

    Parameters
    ----------
    widths : sequence of int
        Columns of each modality.

    Returns
    -------
    torch.nn.Module
        Takes a list of (n, columns) tensors and a bool tensor (n, modalities) that says what is there; returns scores
        (n, 4) and weights (n, modalities) that sum to 1.

    References
    ----------
    Arevalo and others, "Gated multimodal units for information fusion", 2017; Neverova and others, "ModDrop: adaptive
    multi-modal gesture recognition", 2016.

    Examples
    --------
    >>> import torch
    >>> scores, weights = gate([2, 5])([torch.ones(1, 2), torch.ones(1, 5)], torch.tensor([[True, False]]))
    >>> weights.tolist()
    [[1.0, 0.0]]
    """
    import torch
    from torch import nn

    class Gate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            read = [nn.Sequential(nn.Dropout(0.2), nn.Linear(k, WIDTH), nn.GELU()) for k in widths]
            self.read, self.ask, self.head = (
                nn.ModuleList(read),
                nn.Linear(WIDTH, 1),
                nn.Linear(WIDTH, len(CLASSES)),
            )

        def forward(self, blocks: list, present: torch.Tensor):
            read = torch.stack([one(block) for one, block in zip(self.read, blocks, strict=True)], 1)
            matter = self.ask(read)[..., 0].masked_fill(~present, -torch.inf).softmax(1)
            return self.head((matter[..., None] * read).sum(1)), matter

    return Gate()


def some_missing(n: int, modalities: int, chance: float, generator: torch.Generator) -> torch.Tensor:
    """Draw which modalities are there; (n, modalities), at least one in each row.

    Examples
    --------
    >>> import torch
    >>> bool(some_missing(1000, 2, 0.9, torch.Generator()).any(dim=1).all())
    True
    """
    import torch

    present = torch.rand(n, modalities, generator=generator) >= chance
    spared = torch.randint(modalities, (n, 1), generator=generator)
    return present.scatter(1, spared, present.gather(1, spared) | ~present.any(1, keepdim=True))


class Attention:
    """Networks that attend to the modalities of an ECG.

    Parameters
    ----------
    modalities : sequence of str
    seed : int
        Of the first network.
    chance : float
        That a modality is missing in training.
    epochs : int

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> blocks = {"facts": rng.normal(size=(80, 2)), "page": rng.normal(size=(80, 60))}
    >>> network = Attention(("facts", "page"), 0, epochs=1).fit(blocks, np.arange(80) % 4, np.arange(80))
    >>> network.probabilities(blocks, np.arange(3), ["facts"]).shape
    (3, 4)
    """

    def __init__(self, modalities: Sequence[str], seed: int, chance: float = MISSING, epochs: int = EPOCHS):
        self.modalities, self.seed = tuple(modalities), seed
        self.chance, self.epochs = chance, epochs

    def _scale(self, block: np.ndarray, known: np.ndarray):
        """Fill, scale and bend the columns; many of them are reduced to components of equal variance."""
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer, StandardScaler

        steps = [models._filled(), StandardScaler(), FunctionTransformer(models._bend)]
        steps += [PCA(COMPONENTS, whiten=True, svd_solver="full")] if block.shape[1] > COMPONENTS else []
        return make_pipeline(*steps).fit(block[known])

    def _tensors(self, blocks: Blocks, rows: np.ndarray) -> list[torch.Tensor]:
        import torch

        scaled = [self.scale_[m].transform(blocks[m][rows]) for m in self.modalities]
        return [torch.tensor(block, dtype=torch.float32) for block in scaled]

    def fit(self, blocks: Blocks, y: np.ndarray, known: np.ndarray) -> Attention:
        """Learn from some rows of the blocks: scales, components, networks."""
        self.scale_ = {m: self._scale(blocks[m], known) for m in self.modalities}
        shown = self._tensors(blocks, known)
        self.networks_ = [self._trained(shown, y[known], SEEDS * self.seed + k) for k in range(SEEDS)]
        return self

    def _trained(self, shown: list[torch.Tensor], y: np.ndarray, seed: int) -> nn.Module:
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network, true = gate([block.shape[1] for block in shown]), torch.from_numpy(y)
            optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.05)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)
            generator, weight = torch.Generator().manual_seed(seed), networks1d._weights(y)
            for _ in range(self.epochs):
                for rows in torch.randperm(len(y), generator=generator).split(32):
                    present = some_missing(len(rows), len(shown), self.chance, generator)
                    scores, _ = network([block[rows] for block in shown], present)
                    optimizer.zero_grad()
                    torch.nn.functional.cross_entropy(scores, true[rows], weight).backward()
                    optimizer.step()
                schedule.step()
        return network.eval()

    def attended(
        self, blocks: Blocks, asked: np.ndarray, present: Sequence[str] = MODALITIES
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return probabilities (n, 4), and how much each modality mattered (n, modalities)."""
        import torch

        shown = self._tensors(blocks, asked)
        there = torch.tensor([m in present for m in self.modalities]).expand(len(asked), -1)
        with torch.inference_mode():
            said = [network(shown, there) for network in self.networks_]
        p = pool(np.array([_softmax(scores.numpy().astype(float)) for scores, _ in said]))
        return p, np.mean([matter.numpy() for _, matter in said], axis=0)

    def probabilities(
        self, blocks: Blocks, asked: np.ndarray, present: Sequence[str] = MODALITIES
    ) -> np.ndarray:
        """Return probabilities (n, 4) of some rows; ``present`` names the modalities that are there."""
        return self.attended(blocks, asked, present)[0]


# %% [markdown]
# ## What is missing
# A modality may be lost at test time: no header on the page, a digitiser that fails. Its columns can be set to zero, or
# to the mean of the training part, or the model is told ("dropped"). And to ask what the facts tell, they can be
# exchanged between ECGs, within a class or within a scan batch.

# %%
HOW = ("zeroed", "mean")


def without(block: np.ndarray, how: str, known: np.ndarray) -> np.ndarray:
    """Replace the columns of a lost modality.

    Parameters
    ----------
    block : (n, k) array
    how : str
        "zeroed", or "mean" of the rows `known`.
    known : int array

    Returns
    -------
    (n, k) array

    Examples
    --------
    >>> without(np.array([[1.0], [3.0], [8.0]]), "mean", np.array([0, 1])).ravel().tolist()
    [2.0, 2.0, 2.0]
    """
    models._known(how, HOW, "way to be missing")
    filling = np.zeros(block.shape[1]) if how == "zeroed" else np.nan_to_num(np.nanmean(block[known], axis=0))
    return np.tile(filling, (len(block), 1))


def exchanged(rows: np.ndarray, within: np.ndarray, seed: int) -> np.ndarray:
    """Exchange rows among those that share a value.

    Parameters
    ----------
    rows : (n,) int array
    within : (n,) array
        Rows are exchanged between equal values only.
    seed : int

    Returns
    -------
    (n,) int array
        The same rows in another order.

    Examples
    --------
    >>> exchanged(np.array([4, 5, 6]), np.array(["a", "b", "b"]), 0).tolist()[0]
    4
    """
    rng, out = np.random.default_rng(seed), rows.copy()
    for value in np.unique(within):
        at = np.flatnonzero(within == value)
        out[at] = rows[rng.permutation(at)]
    return out


# %% [markdown]
# ## One fold
# Everything that a fold leaves, by the name of a variant: probabilities of the validation part followed by those of the
# test part.

# %%
PERMUTATIONS = 3
WITHIN = ("everything", "class", "batch")


def _learned(short: Blocks, modalities: Sequence[str], split: splits.Split, fold: int):
    """Early fusion of some modalities: trees on the columns of the training part."""
    return _trees(fold).fit(beside(short, modalities)[split.train], labels()[split.train])


def _subsets(
    whole, network: Attention, blocks: Blocks, short: Blocks, split: splits.Split, fold: int
) -> dict[str, np.ndarray]:
    """Early fusion of each set of modalities, learned anew; attention is told which are there."""
    asked, out = np.r_[split.val, split.test], {}
    for modalities in SUBSETS:
        early = whole if modalities == MODALITIES else _learned(short, modalities, split, fold)
        out[f"early | {name_of(modalities)}"] = models.probabilities(early, beside(short, modalities)[asked])
        out[f"attention | {name_of(modalities)}"] = network.probabilities(blocks, asked, modalities)
    more = (*MODALITIES, "collection")
    early = _learned(short, more, split, fold)
    out[f"early | {name_of(MODALITIES)} + collection"] = models.probabilities(
        early, beside(short, more)[asked]
    )
    return out


def _losses(
    whole, network: Attention, experts: dict, blocks: Blocks, shorten: Callable, split: splits.Split
) -> dict[str, np.ndarray]:
    """Fusions of all four that lose one modality when they are asked, and experts whose own columns are lost."""
    asked, out = np.r_[split.val, split.test], {}
    for lost, how in itertools.product(MODALITIES, HOW):
        broken = blocks | {lost: without(blocks[lost], how, split.train)}
        broken = {m: block[asked] for m, block in broken.items()}
        out[f"early | {lost} {how}"] = models.probabilities(whole, beside(shorten(broken), MODALITIES))
        out[f"attention | {lost} {how}"] = network.probabilities(broken, np.arange(len(asked)))
        out[f"{lost} | {how}"] = models.probabilities(experts[lost], broken[lost])
    return out


def _exchanges(whole, short: Blocks, split: splits.Split) -> dict[str, np.ndarray]:
    """Early fusion that is shown the facts of another ECG of the same part."""
    pages, asked, out = data.pages(), np.r_[split.val, split.test], {}
    kinds = {"everything": np.zeros(len(pages)), "class": labels(), "batch": pages["batch"].to_numpy()}
    for within, number in itertools.product(WITHIN, range(PERMUTATIONS)):
        kind = kinds[within]
        other = np.concatenate([exchanged(part, kind[part], number) for part in (split.val, split.test)])
        shown = {m: short[m][other if m == "facts" else asked] for m in MODALITIES}
        said = models.probabilities(whole, beside(shown, MODALITIES))
        out[f"early | facts exchanged within {within}, {number}"] = said
    return out


def judged(fold: int, progress: Callable[[str], None] = lambda word: None) -> dict[str, np.ndarray]:
    """Do one fold.

    Parameters
    ----------
    fold : int
        0 to 4; also the seed.
    progress : function
        Told what is done.

    Returns
    -------
    dict of str to array
        "opinions": (4, 491, 4), by modality; "attended": (test, 4), how much each modality mattered; every other key
        names a variant: (val + test, 4).
    """
    split, blocks, experts, said = _dealt()[fold], columns(), {}, {}
    for modality in MODALITIES:
        experts[modality], said[modality] = opinions_from(blocks[modality], modality, split, fold)
    progress(f"fold {fold}: experts asked")
    shorten = shortened(blocks, split.train)
    short = shorten(blocks)
    whole = _learned(short, MODALITIES, split, fold)
    network = Attention(MODALITIES, fold).fit(blocks, labels(), split.train)
    progress(f"fold {fold}: fusions of all four learned")
    out = _subsets(whole, network, blocks, short, split, fold)
    out |= _losses(whole, network, experts, blocks, shorten, split) | _exchanges(whole, short, split)
    out["attended"] = network.attended(blocks, split.test)[1]
    return out | {"opinions": np.array([said[m] for m in MODALITIES])}


# %% [markdown]
# ## Storing
# A fold that is done is kept, so that a run which was interrupted goes on with the next. The run is no model of the
# leaderboard but many variants, so it is stored by column: probabilities as whole numbers of 1/50,000.

# %%
RUN = "fusion"
#: Named before any fusion predicted a test part; see :func:`of_runs`.
HEADLINE = "weighted pool of the stored experts"
_SCALE = 50_000
_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "torch")
_TABLES = ("manifest.csv", "measurements.csv", "median_beats.npz", hybrid.CARRIED)
Progress = Callable[[str], None]


def packed(p: np.ndarray) -> np.ndarray:
    """Keep three of four probabilities (..., 4) as whole numbers.

    Examples
    --------
    >>> packed(np.array([0.5, 0.25, 0.25, 0.0])).tolist()
    [25000, 12500, 12500]
    """
    return np.round(p[..., :3] * _SCALE).astype(np.uint16)


def unpacked(whole: np.ndarray) -> np.ndarray:
    """Undo :func:`packed`, up to 1/50,000.

    Examples
    --------
    >>> unpacked(np.array([25000, 12500, 12500])).tolist()
    [0.5, 0.25, 0.25, 0.0]
    """
    p = whole / _SCALE
    last = np.clip(1 - p.sum(axis=-1, keepdims=True), 0, 1)
    p = np.concatenate([p, last], axis=-1)
    return p / p.sum(axis=-1, keepdims=True)


def _code() -> dict[str, str]:
    """Digests of the code behind the stored numbers."""
    whole = inspect.getsource(sys.modules[__name__])
    own = publish.code_digest(whole[: whole.index("# ## Reading the run\n")])
    used = {"splits": splits, "models": models, "hybrid": hybrid}
    digests = {name: publish.code_digest(inspect.getsource(module)) for name, module in used.items()}
    return digests | {"networks1d": networks1d._code_of(networks1d._weights), "fusion": own}


def _note() -> dict:
    """What is known when the run begins."""
    return {
        "run": RUN,
        "task": "fusion",
        "model": ["early", *LATE, "attention"],
        "input": list(MODALITIES),
        "protocol": "grouped",
        "weights": "page: imagenet, frozen; else none",
        "headline": HEADLINE,
        "seed": "number of the fold",
        "folds": FOLDS,
        "repeats": 1,
        "columns": {
            "opinions": "(folds, modalities, 491, 3): MI, History_MI, Abnormal in 1/50,000; train cross-fitted",
            "said": "(variants, folds, val + test, 3): the same; padded with 0 to the longest fold",
            "variants": "names: method | modalities; method or modality | what is lost and how",
            "attended": "(491, modalities): how much each mattered when its ECG was tested",
        },
        "command": "python -m ecgbook.fusion",
        "code": _code(),
        "data": {name: data.digest(data.tables() / name)[1][:16] for name in _TABLES},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": f"{networks.device()}, {platform.machine()}",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _begun(results: Path) -> tuple[Path, dict]:
    """Folder of the finished folds, and the note; a run that begins is entered in the log of outer evaluations."""
    code = hashlib.sha256(json.dumps(_code(), sort_keys=True).encode()).hexdigest()[:8]
    parts = publish.ROOT / ".cache" / f"{RUN}-{code}"
    if not (parts / "run.json").is_file():
        data.make_folder(parts)
        note = _note()
        study._log(RUN, networks1d.Plan("fusion", what_for="fusion of modalities"), note, results)  # type: ignore[arg-type]
        write_whole(parts / "run.json", json.dumps(note))
    return parts, json.loads((parts / "run.json").read_text(encoding="utf-8"))


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with writing(path) as part, open(part, "wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def _fold(parts: Path, fold: int, progress: Progress) -> dict[str, np.ndarray]:
    path = parts / f"{fold}.npz"
    if not path.is_file():
        clock = time.process_time()
        with study._one_thread():
            found = judged(fold, progress)
        _save(path, found | {"cpu_s": np.array(time.process_time() - clock)})
    with np.load(path) as kept:
        return dict(kept)


def store(results: Path = study.RESULTS, progress: Progress = lambda word: None) -> Path:
    """Make the run, or what is missing of it.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the results; must hold ``headline.json``.
    progress : function
        Told what is done.

    Returns
    -------
    pathlib.Path
        The run's folder: ``run.json`` and ``outputs.npz``.

    Raises
    ------
    EcgbookError
        No headline named.
    """
    results, clock = Path(results), time.monotonic()
    study._require_headline(results)
    parts, note = _begun(results)
    found = []
    for fold in range(FOLDS):
        found.append(_fold(parts, fold, progress))
        progress(f"fold {fold + 1} of {FOLDS}")
    folder = results / RUN
    data.make_folder(folder)
    _save(folder / "outputs.npz", _together(found))
    note |= {"training_cpu_s": round(float(sum(fold["cpu_s"] for fold in found)), 1)}
    note |= {"wall_s": round(time.monotonic() - clock, 1), "peak_rss_mb": round(study._peak_mb())}
    note["outputs_sha256"] = data.digest(folder / "outputs.npz")[1]
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
    shutil.rmtree(parts)
    return folder


def _together(found: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Lay the folds beside each other."""
    variants = sorted(set(found[0]) - {"opinions", "attended", "cpu_s"})
    longest = max(len(fold[variants[0]]) for fold in found)
    said = np.zeros((len(variants), FOLDS, longest, 3), np.uint16)
    attended = np.zeros((len(data.pages()), len(MODALITIES)))
    for number, (fold, split) in enumerate(zip(found, _dealt(), strict=True)):
        for row, variant in enumerate(variants):
            said[row, number, : len(fold[variant])] = packed(fold[variant])
        attended[split.test] = fold["attended"]
    opinions = packed(np.array([fold["opinions"] for fold in found]))
    return {
        "variants": np.array(variants),
        "said": said,
        "opinions": opinions,
        "attended": attended.astype(np.float16),
    }


# %% [markdown]
# ## Reading the run
# The file is checked against its digest. Late fusions are not stored: they take a second, so they are computed from the
# experts' opinions whenever somebody asks.


# %%
def note(results: Path = study.RESULTS) -> dict:
    """Load how the run came about: the content of ``run.json``.

    Raises
    ------
    EcgbookError
        No such run.

    Examples
    --------
    >>> note()["protocol"]
    'grouped'
    """
    path = Path(results) / RUN / "run.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EcgbookError(f"{path}: no such run; make it with `python -m ecgbook.fusion`") from error


@lru_cache(maxsize=2)
def _outputs(results: Path) -> dict[str, np.ndarray]:
    wanted, path = note(results)["outputs_sha256"], results / RUN / "outputs.npz"
    if not path.is_file() or data.digest(path)[1] != wanted:
        raise EcgbookError(f"{path}: was changed by hand; remove the folder and run again")
    with np.load(path, allow_pickle=False) as kept:
        return dict(kept)


def opinions(results: Path = study.RESULTS) -> np.ndarray:
    """Load what the experts say.

    Parameters
    ----------
    results : pathlib.Path

    Returns
    -------
    (5, 4, 491, 4) array
        Folds, experts as :data:`MODALITIES`, ECGs, classes. An ECG of a fold's training part is judged by an expert
        that learned from the rest of that part.

    Examples
    --------
    >>> opinions().shape
    (5, 4, 491, 4)
    """
    return unpacked(_outputs(Path(results))["opinions"])


def attended(results: Path = study.RESULTS) -> pd.DataFrame:
    """Load how much each modality mattered to the attention fusion; index: file names, rows sum to 1.

    Examples
    --------
    >>> list(attended())
    ['facts', 'measurements', 'signal', 'page']
    """
    values = _outputs(Path(results))["attended"].astype(float)
    return pd.DataFrame(values, index=data.pages()["file"].to_numpy(), columns=list(MODALITIES))


def predictions(by_fold: Sequence[np.ndarray]) -> pd.DataFrame:
    """Make a frame of predictions that :mod:`ecgbook.evaluate` scores.

    Parameters
    ----------
    by_fold : sequence of (val + test, 4) arrays
        Probabilities of the validation part followed by those of the test part, for each fold of ``grouped``.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`ecgbook.evaluate.COLUMNS`.
    """
    pages, frames = data.pages(), []
    for fold, (p, split) in enumerate(zip(by_fold, _dealt(), strict=True)):
        for part, rows, said in (
            ("val", split.val, p[: len(split.val)]),
            ("test", split.test, p[len(split.val) :]),
        ):
            frames.append(study._rows(pages, rows, part, said).assign(repeat=0, fold=fold))
    return pd.concat(frames, ignore_index=True)[evaluate.COLUMNS]


def variants(results: Path = study.RESULTS) -> list[str]:
    """Name the stored variants.

    Examples
    --------
    >>> "early | facts + page" in variants()
    True
    """
    return _outputs(Path(results))["variants"].tolist()


def answers(variant: str, results: Path = study.RESULTS) -> pd.DataFrame:
    """Load the predictions of a stored variant.

    Parameters
    ----------
    variant : str
        One of :func:`variants`.
    results : pathlib.Path

    Returns
    -------
    pandas.DataFrame
        As :func:`predictions`.

    Raises
    ------
    EcgbookError
        No such variant.

    Examples
    --------
    >>> len(answers("early | facts + page").query("part == 'test'"))
    491
    """
    names = variants(results)
    row = names.index(models._known(variant, names, "variant"))
    said = unpacked(_outputs(Path(results))["said"][row])
    return predictions([p[: len(s.val) + len(s.test)] for p, s in zip(said, _dealt(), strict=True)])


def alone(modality: str, results: Path = study.RESULTS) -> pd.DataFrame:
    """Load the predictions of one expert.

    Examples
    --------
    >>> alone("facts")["part"].unique().tolist()
    ['val', 'test']
    """
    at = MODALITIES.index(models._known(modality, MODALITIES, "modality"))
    said = opinions(results)[:, at]
    return predictions([p[np.r_[s.val, s.test]] for p, s in zip(said, _dealt(), strict=True)])


def late(
    method: str,
    modalities: Sequence[str] = MODALITIES,
    lost: str = "",
    how: str = "dropped",
    results: Path = study.RESULTS,
) -> pd.DataFrame:
    """Join the stored experts by a late fusion.

    Parameters
    ----------
    method : str
        One of :data:`LATE`.
    modalities : sequence of str
        Whose experts are joined.
    lost : str
        A modality that is missing when validation and test parts are asked.
    how : str
        "dropped" (its expert is silent), or one of :data:`HOW`: its expert is asked all the same.
    results : pathlib.Path

    Returns
    -------
    pandas.DataFrame
        As :func:`predictions`.

    Examples
    --------
    >>> frame = late("pool", ("facts", "measurements"))
    >>> evaluate.metrics(frame)["accuracy"] > 0.8
    np.True_
    """
    at, y, said = [MODALITIES.index(m) for m in modalities], labels(), []
    heard = opinions(results)[:, at]
    for fold, split in enumerate(_dealt()):
        learn, asked = heard[fold][:, split.train], heard[fold][:, np.r_[split.val, split.test]]
        if lost:
            asked[list(modalities).index(lost)] = _lost_opinion(lost, how, fold, results)
        present = [k for k, m in enumerate(modalities) if (m, how, method) != (lost, "dropped", "pool")]
        said.append(joined(method, learn[present], y[split.train], asked[present]))
    return predictions(said)


def _lost_opinion(lost: str, how: str, fold: int, results: Path) -> np.ndarray:
    """What an expert says whose columns are lost; (val + test, 4), or one row for all."""
    if how == "dropped":
        return np.full(len(CLASSES), 1 / len(CLASSES))
    frame = answers(f"{lost} | {how}", results)
    return frame.loc[frame["fold"] == fold, evaluate.PROBABILITIES].to_numpy()


def all_four(results: Path = study.RESULTS) -> dict[str, pd.DataFrame]:
    """Predictions of the five ways to join all four modalities.

    Examples
    --------
    >>> list(all_four())
    ['early', 'pool', 'weighted pool', 'stacking', 'attention']
    """
    everything = name_of(MODALITIES)
    return {
        "early": answers(f"early | {everything}", results),
        **{method: late(method, results=results) for method in LATE},
        "attention": answers(f"attention | {everything}", results),
    }


# %% [markdown]
# ## The best of each, joined late
# The second comparison. The signal's expert is now the stored run of the convolution-Transformer hybrid, the page's
# that of a network that learned from pages, the measurements' the trees that learned from the same training part; the
# facts have no better one. What stored networks would have said of their training ECGs nobody knows, so what is learned
# is learned from the validation part of each fold: four weights from some eighty ECGs. (The networks' best epoch was
# chosen there too, so they look a little better there than they are, and get a little too much weight.)

# %%
#: Modality -> stored run whose predictions speak for it.
STORED = {"measurements": "grouped-trees-full", "signal": "grouped-hybrid1d", "page": "grouped-densenet121"}


def voice(modality: str, results: Path = study.RESULTS) -> pd.DataFrame:
    """Load the predictions of the best expert of a modality; rows and columns as :func:`predictions`.

    Examples
    --------
    >>> voice("signal").equals(voice("page"))
    False
    """
    if modality == "facts":
        return alone("facts", results)
    frame = study.load(STORED[models._known(modality, MODALITIES, "modality")], results)
    order = alone("facts", results)[["file", "label", "repeat", "fold", "part"]]
    return order.merge(frame, how="left", validate="one_to_one")


def of_runs(
    method: str = "weighted pool",
    modalities: Sequence[str] = MODALITIES,
    lost: str = "",
    results: Path = study.RESULTS,
) -> pd.DataFrame:
    """Join the best experts by a late fusion learned from the validation part of each fold.

    Parameters
    ----------
    method : str
        One of :data:`LATE`.
    modalities : sequence of str
        Whose experts are joined.
    lost : str
        A modality that is silent when the test part is asked.
    results : pathlib.Path

    Returns
    -------
    pandas.DataFrame
        As :func:`predictions`. What stands for the validation part was learned from it.

    Examples
    --------
    >>> len(of_runs("pool").query("part == 'test'"))
    491
    """
    frames = [voice(m, results) for m in modalities]
    said, y = [], labels()
    for fold, split in enumerate(_dealt()):
        rows = frames[0]["fold"] == fold
        heard = np.array([frame.loc[rows, evaluate.PROBABILITIES].to_numpy() for frame in frames])
        learn, asked = heard[:, : len(split.val)], heard.copy()
        if lost:
            asked[list(modalities).index(lost)] = 1 / len(CLASSES)
        said.append(joined(method, learn, y[split.val], asked))
    return predictions(said)


def weights_of_runs(modalities: Sequence[str] = MODALITIES, results: Path = study.RESULTS) -> pd.DataFrame:
    """Compute the weights that the pool of the best experts learned; rows are folds.

    Examples
    --------
    >>> bool((weights_of_runs() >= 0).all(axis=None))
    True
    """
    frames, rows = [voice(m, results).query("part == 'val'") for m in modalities], []
    for fold, split in enumerate(_dealt()):
        heard = [frame.loc[frame["fold"] == fold, evaluate.PROBABILITIES].to_numpy() for frame in frames]
        rows.append(learned_weights(np.array(heard), labels()[split.val]))
    return pd.DataFrame(rows, columns=list(modalities))


# %%
def main(arguments: Sequence[str]) -> int:
    """Make the run."""
    try:
        print(store(progress=lambda said: print(said, file=sys.stderr, flush=True)))
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    from ecgbook import fusion as module  # under its package name, as everywhere else

    sys.exit(module.main(sys.argv[1:]))
