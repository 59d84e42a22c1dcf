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
# # Train: fitting a network to pages
# Training is one loop: show a batch of pages, compare the scores with the labels (cross-entropy), change every weight
# a little in the direction that lowers the loss. After each *epoch*, one pass through the training pages, the loss on
# the validation pages says whether anything was learned that holds for pages not trained on. That loss steers
# everything: it lowers the step size, ends the training, and picks the epoch whose weights are kept.

# %%
"""Train a network: recipes by name, seeded, resumed at the last finished epoch."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from ecgbook import networks
from ecgbook.data import CLASSES, EcgbookError, writing
from ecgbook.models import _known

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# %% [markdown]
# ## Recipes
# The paper's text names the loss, Adam at a rate of 0.001, `ReduceLROnPlateau`, early stopping and at most 20 epochs.
# `paper` is that and the plainest filling of what it leaves open, `UNSTATED` below. The others change one thing each.


# %%
class Recipe(NamedTuple):
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        At most so many.
    batch : int
        Pages a step.
    lr : float
        Rate at the start.
    optimizer : str
        "adam" or "adamw".
    weight_decay : float
        Of AdamW.
    schedule : str
        "plateau": divide the rate by ten when `patience` epochs brought no lower validation loss. "cosine": let it
        fall to zero along half a cosine.
    patience : int
        Epochs without a lower validation loss that the plateau schedule waits for.
    stop : int
        Epochs without a lower validation loss after which training ends.
    class_weights : bool
        Weigh each page by the rarity of its class in the training part.
    augment : bool
        Shift, scale and tint each page a little at random, and add noise; see :func:`augmented`.
    head_epochs : int
        Epochs at the start that train the head alone; the backbone is frozen.
    precision : str
        "bfloat16": layers whose arithmetic stands it compute in 16 bits (mixed precision), the rest, the weights and
        the validation in 32. "float32": all in 32 bits.
    """

    epochs: int = 20
    batch: int = 16
    lr: float = 1e-3
    optimizer: str = "adam"
    weight_decay: float = 0.0
    schedule: str = "plateau"
    patience: int = 2
    stop: int = 5
    class_weights: bool = False
    augment: bool = False
    head_epochs: int = 0
    precision: str = "bfloat16"


#: Name -> recipe.
RECIPES: dict[str, Recipe] = {
    "paper": Recipe(),
    "class-weights": Recipe(class_weights=True),
    "adamw-cosine": Recipe(optimizer="adamw", weight_decay=0.05, schedule="cosine", stop=20),
    "augmented": Recipe(augment=True),
    "two-phase": Recipe(lr=3e-4, head_epochs=3),
}

UNSTATED = pd.DataFrame(
    [
        (
            "Pages a step",
            "not stated",
            "16",
            "at most 20 epochs of 648 pages: larger batches leave few steps",
        ),
        (
            "Patience of the schedule",
            "not stated",
            "2 epochs",
            "PyTorch's 10 would never matter within 20 epochs",
        ),
        ("Factor of the schedule", "not stated", "0.1", "what ReduceLROnPlateau does when none is named"),
        (
            "Patience of early stopping",
            "not stated",
            "5 epochs",
            "leaves the schedule time to lower the rate first",
        ),
        (
            "What is watched",
            "not stated",
            "validation loss",
            "one quantity for schedule, stopping and best epoch",
        ),
        (
            "Weights at the start",
            "“transfer learning”",
            "named in each row",
            "the published files are not always at hand",
        ),
        ("Augmentation", "not stated", "none", "none is mentioned"),
        ("Class weights", "not stated", "none", "none are mentioned"),
        ("Precision", "not stated", "mixed, bfloat16", "half the time on processors that have it"),
        ("Seed", "not stated", "0", "of weights, order of pages, dropout"),
    ],
    columns=["choice", "paper", "ours", "why"],
)

# %% [markdown]
# ## What a page allows
# Pictures of cats may be mirrored; an ECG may not: mirrored, time runs backwards and left becomes right. A page allows
# what a scanner does to it: it may lie a little askew of the glass, come out a little larger, lighter or noisier.


# %%
def augmented(pages: Tensor, generator: torch.Generator) -> Tensor:
    """Shift, scale and tint pages and add noise, as a scanner would; never flip them.

    Parameters
    ----------
    pages : torch.Tensor of float, shape (n, parts, height, width)
        From 0 to 1; 1 is white.
    generator : torch.Generator
        On the CPU; it is advanced.

    Returns
    -------
    torch.Tensor, same shape
        Shifted by up to 2 % of width and height, scaled by up to 3 %, lightened or darkened by up to 10 %, with noise
        of standard deviation 0.02; what comes in at the edges repeats the edge.

    Examples
    --------
    >>> import torch
    >>> augmented(torch.ones(2, 1, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([2, 1, 32, 32])
    """
    import torch

    n = len(pages)
    draw = torch.rand(n, 4, generator=generator).to(pages.device) * 2 - 1
    theta = torch.zeros(n, 2, 3, device=pages.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 + 0.03 * draw[:, 0]
    theta[:, :, 2] = 0.04 * draw[:, 1:3]  # the grid runs from -1 to 1: 0.04 is 2 % of the width
    grid = torch.nn.functional.affine_grid(theta, list(pages.shape), align_corners=False)
    moved = torch.nn.functional.grid_sample(pages, grid, padding_mode="border", align_corners=False)
    noise = torch.randn(pages.shape, generator=generator).to(pages.device)
    return (moved * (1 + 0.1 * draw[:, 3].view(-1, 1, 1, 1)) + 0.02 * noise).clamp(0, 1)


# %% [markdown]
# ## The state of a training
# After every epoch everything that decides how it goes on is written to one file, under a temporary name that is then
# changed: weights, optimizer, schedule, the best weights so far, the history. All that is random in an epoch follows
# from the seed and the number of the epoch, so a training that was killed and resumed ends where an undisturbed one
# does.
#
# The file begins with the SHA-256 of the rest, because torch would read a file with a flipped bit and go on with
# another weight. It also holds the terms of the training: recipe, seed, architecture, and a digest of the pages and
# labels. A state under other terms is refused.


# %%
class Training(NamedTuple):
    """What is changed while a network is trained."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: object
    best: dict[str, Tensor]
    history: list[dict[str, float]]

    def waited(self) -> int:
        """Epochs since the lowest validation loss."""
        losses = [row["val_loss"] for row in self.history]
        return len(losses) - 1 - int(np.argmin(losses)) if losses else 0


def _begin(network: nn.Module, recipe: Recipe) -> Training:
    import torch

    make = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    optimizer = make(network.parameters(), recipe.lr, weight_decay=recipe.weight_decay)
    schedules = torch.optim.lr_scheduler
    if recipe.schedule == "plateau":
        schedule = schedules.ReduceLROnPlateau(optimizer, patience=recipe.patience)
    else:
        schedule = schedules.CosineAnnealingLR(optimizer, recipe.epochs)
    return Training(network, optimizer, schedule, {}, [])


def _terms(network: nn.Module, train, val, recipe: Recipe, seed: int) -> dict[str, object]:
    """What a training must have in common with the state it goes on from."""
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    data = hashlib.sha256()
    for array in (*train, *val):
        data.update(repr(array.shape).encode())
        data.update(np.ascontiguousarray(array))  # type: ignore[arg-type]
    return {
        **recipe._asdict(),
        "seed": seed,
        "network": hashlib.sha256(repr(shapes).encode()).hexdigest(),
        "pages": data.hexdigest(),
    }


def _save(training: Training, path: Path, terms: dict) -> None:
    import torch

    state = {
        "terms": terms,
        "network": training.network.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "schedule": training.schedule.state_dict(),  # type: ignore[attr-defined]
        "best": training.best,
        "history": training.history,
    }
    content = io.BytesIO()  # torch, writing to a full disk, tells of "unexpected pos 576 vs 534"
    torch.save(state, content)
    with writing(path) as part, open(part, "wb") as stream:
        stream.write(hashlib.sha256(content.getbuffer()).digest())
        stream.write(content.getbuffer())


def _resume(training: Training, path: Path, terms: dict) -> None:
    import torch

    state = torch.load(io.BytesIO(_whole(path)), map_location="cpu", weights_only=True)
    other = sorted(key for key in terms if state["terms"].get(key) != terms[key])
    if other:
        raise EcgbookError(f"{path}: was begun with other {', '.join(other)}; remove it and run again")
    training.network.load_state_dict(state["network"])
    training.optimizer.load_state_dict(state["optimizer"])
    training.schedule.load_state_dict(state["schedule"])  # type: ignore[attr-defined]
    training.best.update(state["best"])
    training.history.extend(state["history"])


def _whole(path: Path) -> bytes:
    """Content of a state file without its digest, which must fit."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EcgbookError(f"{path}: cannot be read ({error.strerror}); choose another state") from error
    digest, content = content[:32], content[32:]
    if hashlib.sha256(content).digest() != digest:
        raise EcgbookError(f"{path}: is damaged, or no state of a training; remove it and run again")
    return content


# %% [markdown]
# ## One epoch


# %%
def _generator(seed: int, epoch: int) -> torch.Generator:
    import torch

    torch.manual_seed(seed * 1000 + epoch)  # dropout draws from the global generator
    return torch.Generator().manual_seed(seed * 1000 + epoch)


def _autocast(recipe: Recipe, where: str):
    import torch

    return torch.autocast(where, torch.bfloat16) if recipe.precision == "bfloat16" else nullcontext()


def _freeze(network: nn.Module, frozen: bool) -> None:
    """Freeze or free the backbone, the running averages of its batch norms included."""
    network.train()
    network.backbone.train(not frozen)
    for parameter in network.backbone.parameters():
        parameter.requires_grad_(not frozen)


def _epoch(
    training: Training, pages: np.ndarray, y: Tensor, weight: Tensor | None, recipe: Recipe, seed: int
) -> float:
    """Train for one epoch and return the mean loss."""
    import torch

    network, epoch = training.network, len(training.history)
    where, total = y.device.type, 0.0
    _freeze(network, epoch < recipe.head_epochs)
    generator = _generator(seed, epoch)
    for rows in torch.randperm(len(pages), generator=generator).split(recipe.batch):
        batch = networks.to_input(torch.from_numpy(pages[rows.numpy()]), where)
        batch = augmented(batch, generator) if recipe.augment else batch
        with _autocast(recipe, where):
            scores = network(batch)
        loss = torch.nn.functional.cross_entropy(scores.float(), y[rows], weight)
        training.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        training.optimizer.step()
        total += loss.item() * len(rows)
    return total / len(pages)


def _validate(network: nn.Module, pages: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Mean loss and accuracy, in single precision."""
    from scipy.special import log_softmax

    scores = log_softmax(networks.logits(network, pages).astype(float), axis=1)
    return float(-scores[np.arange(len(y)), y].mean()), float((scores.argmax(axis=1) == y).mean())


# %% [markdown]
# ## Training
# `fit` is the loop over epochs. A loss that is no number ends it with a sentence: nothing sensible can follow.

# %%
HISTORY = ["epoch", "train_loss", "val_loss", "val_accuracy", "lr"]


def fit(
    network: nn.Module,
    train: tuple[np.ndarray, np.ndarray],
    val: tuple[np.ndarray, np.ndarray],
    recipe: str | Recipe = "paper",
    seed: int = 0,
    device: str = "auto",
    state: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Train a network; leave it with the weights of its best epoch.

    Parameters
    ----------
    network : torch.nn.Module
        From :func:`ecgbook.networks.build`; it is changed.
    train, val : tuple of two arrays
        Pages, uint8 (n, height, width) or (n, parts, height, width), and labels, int (n,) from 0 to 3.
    recipe : str or Recipe
        One of :data:`RECIPES`, or another.
    seed : int
        Of the order of pages, dropout and augmentation.
    device : str
        See :func:`ecgbook.networks.device`.
    state : pathlib.Path, optional
        Where the state is kept after each epoch. If the file exists, training goes on from there.
    progress : function, optional
        Called as ``progress(epoch, epochs)`` after each epoch.

    Returns
    -------
    pandas.DataFrame
        One row an epoch: ``epoch`` from 1, ``train_loss``, ``val_loss``, ``val_accuracy``, ``lr``.

    Raises
    ------
    EcgbookError
        No such recipe or device, unequal lengths, a damaged or foreign state, a loss that is no number, a full disk.

    Notes
    -----
    The chapter "Four CNNs compared" introduces it.

    Examples
    --------
    >>> pages = np.random.default_rng(0).integers(0, 255, (8, 64, 64), dtype=np.uint8)
    >>> labels = np.arange(8) % 4
    >>> network = networks.build("mobilenet-v3-small")
    >>> fit(network, (pages, labels), (pages, labels), Recipe(epochs=2), device="cpu")["epoch"].tolist()
    [1, 2]
    """
    import torch

    recipe = _recipe(recipe)
    train, val = _checked(network, train, "train"), _checked(network, val, "val")
    _check_last_batch(train[0], recipe)
    where = networks.device(device)
    network.to(where, memory_format=torch.channels_last)
    training = _begin(network, recipe)
    terms = {} if state is None else _terms(network, train, val, recipe, seed)
    if state is not None and Path(state).exists():
        _resume(training, Path(state), terms)
    y = torch.as_tensor(train[1], device=where)
    weight = _rarity(train[1]).to(where) if recipe.class_weights else None
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are left alone
        while len(training.history) < recipe.epochs and training.waited() < recipe.stop:
            _step(training, train[0], y, val, weight, recipe, seed)
            if state is not None:
                _save(training, Path(state), terms)
            if progress is not None:
                progress(len(training.history), recipe.epochs)
    network.load_state_dict(training.best)
    _freeze(network, False)
    network.eval()
    return pd.DataFrame(training.history, columns=HISTORY)


def _step(training: Training, pages, y, val, weight, recipe: Recipe, seed: int) -> None:
    """One epoch with all that follows from it."""
    epoch, lr = len(training.history) + 1, training.optimizer.param_groups[0]["lr"]
    loss = _epoch(training, pages, y, weight, recipe, seed)
    val_loss, accuracy = _validate(training.network, *val)
    if not (math.isfinite(loss) and math.isfinite(val_loss)):
        raise EcgbookError(f"training: the loss is no number in epoch {epoch}; lower the rate ({lr:g})")
    training.history.append(dict(zip(HISTORY, (epoch, loss, val_loss, accuracy, lr), strict=True)))
    if recipe.schedule == "plateau":
        training.schedule.step(val_loss)  # type: ignore[attr-defined]
    else:
        training.schedule.step()  # type: ignore[attr-defined]
    if training.waited() == 0:
        training.best.update({key: value.clone() for key, value in training.network.state_dict().items()})


# %% [markdown]
# What was given is checked before the first epoch, not in the middle of the night.

# %%
_KNOWN = {
    "optimizer": ("adam", "adamw"),
    "schedule": ("plateau", "cosine"),
    "precision": ("bfloat16", "float32"),
}


def _recipe(recipe: str | Recipe) -> Recipe:
    """Find a recipe by name, or check one that was given."""
    if not isinstance(recipe, Recipe):
        return RECIPES[_known(recipe, RECIPES, "recipe")]
    for field, names in _KNOWN.items():
        _known(getattr(recipe, field), names, field)
    for field in ("epochs", "batch", "lr", "stop"):
        if not getattr(recipe, field) > 0:
            raise EcgbookError(f"recipe: {field} is {getattr(recipe, field)}; give a positive number")
    return recipe


def _checked(
    network: nn.Module, part: tuple[np.ndarray, np.ndarray], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Pages and labels, the labels as torch wants them."""
    pages, y = part[0], np.asarray(part[1])
    networks.check_pages(network, pages, name)
    if y.shape != (len(pages),):
        raise EcgbookError(f"{name}: {len(pages)} pages and {y.size} labels; give each page its label")
    if y.dtype.kind not in "iu" or not np.isin(y, range(len(CLASSES))).all():
        raise EcgbookError(f"{name}: has labels other than 0 to {len(CLASSES) - 1}; number the classes")
    return pages, y.astype(np.int64)


def _check_last_batch(pages: np.ndarray, recipe: Recipe) -> None:
    """Refuse a batch that comes down to one number a channel: batch normalisation would divide by its spread, 0."""
    if (len(pages) - 1) % recipe.batch == 0 and pages.ndim == 3 and min(pages.shape[1:]) < 64:
        raise EcgbookError("train: one small page is left over for the last batch; choose another batch size")


def _rarity(y: np.ndarray) -> Tensor:
    """Weights of the classes, inverse to their frequency, mean over the pages 1."""
    import torch

    counts = np.bincount(y, minlength=len(CLASSES))
    return torch.tensor(len(y) / (len(CLASSES) * np.maximum(counts, 1)), dtype=torch.float32)
