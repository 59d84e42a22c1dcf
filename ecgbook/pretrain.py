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
# # Pretrain: reading lessons on drawn pages
# A network that starts from random weights has to learn from 343 pages both what an ECG looks like and what the four
# classes are. The first can be learned elsewhere: `synth` makes hearts whose rhythm, axis, infarcts and blocks are
# known, `draw` prints them as pages, and there is no end of them. So the network first learns to read drawn pages, as a
# student does: what is the rhythm, how fast, which axis, is ST raised and where, are there Q waves, a bundle branch
# block? Then its last layer is taken off, and the rest, the backbone, starts the training on real pages.
#
# No real page and no label of the data set is used here. Whether it helps is another question, and it is answered with
# real pages only: by comparing the run `grouped-mobilenet-synthetic` with `grouped-mobilenet`.

# %%
"""Pre-train a network's backbone on drawn pages of synthetic ECGs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import math
import platform
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ecgbook import data, draw, inputs, measure, networks, preprocess, publish, synth, train
from ecgbook.data import EcgbookError, write_whole
from ecgbook.models import WALLS, _known
from ecgbook.synth import LEADS, Record

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

RESULTS = publish.ROOT / "book" / "results"

# %% [markdown]
# ## The questions
# Six tasks, fifteen numbers. The rhythm is one of four. Heart rate and axis are numbers; the axis is an angle, and so
# it is asked for as cosine and sine, for 179 and -179 degrees are neighbours. The rest are signs that are there or
# not. We read them from the measured beat of the synthetic heart, not from the class it was made for: ST is raised at
# a wall if two of its leads or more reach 0.1 mV (0.2 mV in V2 and V3) 60 ms after the J point, and a Q counts if it
# lasts 40 ms and is 0.1 mV and a quarter of the R deep. In a left bundle branch block these criteria do not hold, as
# the block itself raises ST and makes Q waves; there the question is not asked.

# %%
RHYTHMS = (
    "sinus",
    "fibrillation",
    "atrial",
    "ventricular",
)  # the last two: sinus rhythm with premature beats
_WALLS = ("anterior", "lateral", "inferior")

#: Task -> names of its numbers.
TASKS: dict[str, tuple[str, ...]] = {
    "rhythm": RHYTHMS,
    "rate": ("rate",),
    "axis": ("axis cos", "axis sin"),
    "ST": tuple(f"ST {wall}" for wall in _WALLS),
    "Q": tuple(f"Q {wall}" for wall in _WALLS),
    "block": ("LBBB", "RBBB"),
}
TARGETS = tuple(name for names in TASKS.values() for name in names)
SIGNS = (*TASKS["ST"], *TASKS["Q"], *TASKS["block"])

_RATE, _SPREAD = 80, 20  # bpm: brings rates to about -1 to 3


def targets(record: Record) -> np.ndarray:
    """Answer the questions for a synthetic record.

    Parameters
    ----------
    record : Record
        From :func:`ecgbook.synth.record`.

    Returns
    -------
    (15,) float32 array
        In the order of :data:`TARGETS`: rhythm as zeros and a one, heart rate as (bpm - 80) / 20, cosine and sine of
        the axis, signs as 0 or 1; NaN where a question has no answer.

    Raises
    ------
    EcgbookError
        If the record is not synthetic, for then nothing is known for certain.

    Examples
    --------
    >>> answers = dict(zip(TARGETS, targets(synth.record("MI", 1)), strict=True))
    >>> float(answers["sinus"]), float(answers["ST inferior"]), float(answers["LBBB"])
    (1.0, 0.0, 0.0)
    """
    if not record.truth:
        raise EcgbookError("record: nothing is known for certain of it; pass one made by synth.record")
    angle = np.radians(_axis(record))
    answers = [_rhythm(record) == name for name in RHYTHMS]
    answers += [(record.heart_rate - _RATE) / _SPREAD, np.cos(angle), np.sin(angle)]  # type: ignore[list-item]
    answers += _signs(record.truth)  # type: ignore[arg-type]
    return np.array(answers, np.float32)


def _rhythm(record: Record) -> str:
    """The most remarkable kind of beat."""
    return max(record.truth["kinds"], key=RHYTHMS.index)


def _axis(record: Record) -> float:
    """Axis of the mean QRS of the ordinary beats, degrees."""
    ordinary = [kind in ("sinus", "fibrillation") for kind in record.truth["kinds"]]
    edges = record.truth["r_times"][ordinary, None] + record.truth["qrs"]
    areas = [
        _net(record.leads[:6], *edge)
        for edge in np.round(edges * record.fs).astype(int)
        if _fits(record, edge)
    ]
    return measure.axis(np.mean(areas, axis=0))


_LEVEL = 5  # samples before the QRS that give the level


def _fits(record: Record, edge: np.ndarray) -> bool:
    return edge[0] > _LEVEL and edge[1] < record.leads.shape[1]


def _net(limb: np.ndarray, start: int, end: int) -> np.ndarray:
    """Mean of the QRS against the level just before it, mV; (6,)."""
    return limb[:, start:end].mean(axis=1) - limb[:, start - _LEVEL : start].mean(axis=1)


def _signs(truth: dict) -> list[float]:
    limit = np.array([0.2 if lead in ("V2", "V3") else 0.1 for lead in LEADS])
    raised = truth["st"] >= limit
    deep = (truth["q_ms"] >= 40) & (truth["q"] >= np.maximum(0.1, 0.25 * truth["r"]))
    blocks = [float(name in truth["findings"]) for name in TASKS["block"]]
    if "LBBB" in truth["findings"]:
        return [np.nan] * (2 * len(_WALLS)) + blocks
    return [_at_wall(sign, wall) for sign in (raised, deep) for wall in _WALLS] + blocks


def _at_wall(sign: np.ndarray, wall: str) -> float:
    """1 if two leads of the wall or more show it."""
    return float(sum(sign[LEADS.index(lead)] for lead in WALLS[wall]) >= 2)


# %% [markdown]
# ## Drawing many pages
# Page number {math}`i` follows from {math}`i` and the seed alone, so more pages can be added later and the first remain
# as they are. Two of five are abnormal, as all rhythms but one and both blocks are found in that class. The pages go
# through the pipeline of an input, in portions, each of which is kept in the cache under a name that holds everything
# it depends on: if the drawing is interrupted, it goes on with the next portion.

# %%
_DEALT = ("MI", "Abnormal", "History_MI", "Abnormal", "Normal")
_PORTION = 50
_SEEDS = 1_000_000  # records a seed has for itself


def _names(n: int, seed: int) -> list[str]:
    return [f"{_DEALT[i % len(_DEALT)]} {seed * _SEEDS + i}" for i in range(n)]


@lru_cache(maxsize=_PORTION)
def _heart(name: str) -> Record:
    label, seed = name.split()
    return synth.record(label, int(seed))


def _open(name: str) -> Image.Image:
    return draw.draw_page(_heart(name))[0]


def _frame(names: list[str]) -> pd.DataFrame:
    """The pages as `preprocess` wants them: a name, and a digest of all that a page depends on."""
    made = [hashlib.sha256(f"{name} {_drawing()}".encode()).hexdigest() for name in names]
    return pd.DataFrame({"file": names, "sha256": made})


@lru_cache(maxsize=1)
def _drawing() -> str:
    """Digest of the code that makes a page."""
    return " ".join([*_code(synth, draw).values(), importlib.metadata.version("numpy")])


def _code(*modules) -> dict[str, str]:
    paths = [Path(module.__file__) for module in modules]
    return {path.stem: publish.code_digest(path.read_text(encoding="utf-8")) for path in paths}


def _source(shown: str) -> inputs.Input:
    return inputs.INPUTS[_known(shown, inputs.INPUTS, "input")]


def _portion(names: list[str], shown: str, cache_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and answers of a few pages."""
    pixels = preprocess.arrays(_frame(names), _source(shown).pipeline, cache_dir, _open)
    return np.asarray(pixels), np.array([targets(_heart(name)) for name in names])


def drawn(
    n: int,
    shown: str = "page",
    seed: int = 0,
    cache_dir: Path | None = None,
    jobs: int = -1,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw pages of synthetic ECGs, as an input shows them, with the answers.

    Parameters
    ----------
    n : int
        How many; the first of them are the same for every `n`.
    shown : str
        One of :data:`ecgbook.inputs.INPUTS`; a "redrawn" one shows what its namesake does.
    seed : int
        Not negative; two seeds share no heart.
    cache_dir : pathlib.Path, optional
        By default ``cache`` beside the data sets.
    jobs : int
        Processes; -1 for as many as there are cores.
    progress : function, optional
        Called as ``progress("pages", done, total)`` after each portion.

    Returns
    -------
    pixels : numpy.ndarray of uint8, shape (n, height, width) or (n, 13, height, width)
    answers : numpy.ndarray of float32, shape (n, 15)
        From :func:`targets`.

    Raises
    ------
    EcgbookError
        No such input, no page asked for, or a cache that cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pixels, answers = drawn(2, "page", cache_dir=Path(folder), jobs=1)
    >>> pixels.shape, answers.shape
    ((2, 224, 224), (2, 15))
    """
    from joblib import Parallel, delayed

    if n < 1:
        raise EcgbookError(f"drawn: {n} pages were asked for; ask for one or more")
    parts, folder, names = _source(shown).parts, _folder(cache_dir), _names(n, seed)
    starts = range(0, n, _PORTION)
    calls = (delayed(_portion)(names[start : start + _PORTION], shown, folder) for start in starts)
    done = []
    for portion in Parallel(jobs if len(starts) > 1 else 1, return_as="generator")(calls):
        done.append(portion)
        if progress is not None:
            progress("pages", sum(len(answers) for _, answers in done), n)
    pixels, answers = (np.concatenate(arrays) for arrays in zip(*done, strict=True))
    return (pixels if parts == 1 else pixels.reshape(n, parts, -1, pixels.shape[2])), answers


def _folder(cache_dir: Path | None) -> Path:
    return data.home() / "cache" if cache_dir is None else Path(cache_dir)


# %% [markdown]
# ## One loss for six tasks
# Cross-entropy for the rhythm and the signs, the smooth L1 loss for the numbers: quadratic for small errors, straight
# for large ones. Each task's loss is its mean over the questions that have an answer, and all six count alike.


# %%
def loss(scores: Tensor, answers: Tensor) -> Tensor:
    """Sum of the six tasks' mean losses.

    Parameters
    ----------
    scores : torch.Tensor, shape (n, 15)
        What the network says: logits of rhythm and signs, scaled numbers.
    answers : torch.Tensor, shape (n, 15)
        From :func:`targets`; NaN is left out.

    Returns
    -------
    torch.Tensor, no dimension

    Examples
    --------
    >>> import torch
    >>> unanswered = torch.full((2, 15), torch.nan)
    >>> unanswered[:, 4:7] = 0.0
    >>> unanswered[:, :4] = torch.eye(4)[:2]
    >>> round(float(loss(torch.zeros(2, 15), unanswered)), 4)  # no number is off, the rhythm is anyone's guess: log 4
    1.3863
    """
    from torch.nn import functional as F

    known = answers.isfinite()
    wanted = answers.where(known, 0.0)
    total, start = scores.new_zeros(()), 0
    for task, names in TASKS.items():
        own = slice(start, start + len(names))
        start += len(names)
        if task == "rhythm":
            total = total + F.cross_entropy(scores[:, own], wanted[:, own])
            continue
        criterion = F.smooth_l1_loss if task in ("rate", "axis") else F.binary_cross_entropy_with_logits
        each = criterion(scores[:, own], wanted[:, own], reduction="none") * known[:, own]
        total = total + each.sum() / known[:, own].sum().clamp(min=1)
    return total


# %% [markdown]
# ## How well does it read?
# On pages held out: for the rhythms and signs the area under the ROC curve, for rate and axis the mean absolute error.
# Beside each stands what a guess would reach that never looks at the page, and how many cases decide: the area of a
# sign that three pages show means little.

# %%
OUTPUTS = ["epoch", "task", "metric", "value", "guess", "cases"]


def score(answers: np.ndarray, scores: np.ndarray) -> pd.DataFrame:
    """Compare what a network says with the answers.

    Parameters
    ----------
    answers, scores : numpy.ndarray, shape (n, 15)
        As in :func:`loss`.

    Returns
    -------
    pandas.DataFrame
        ``task``, ``metric`` ("auc", "mae_bpm", "mae_deg"), ``value``; ``guess``: the same metric of the best constant
        answer; ``cases``: pages with the rhythm or sign, or all pages. An area without cases of both kinds is NaN.

    Examples
    --------
    >>> answers = np.array([targets(synth.record(label, 0)) for label in synth.CLASSES])
    >>> table = score(answers, np.nan_to_num(answers)).set_index("task")
    >>> float(table.loc["rate", "value"]), float(table.loc["axis", "value"].round(3))
    (0.0, 0.0)
    """
    from scipy.special import softmax

    says = np.c_[softmax(scores[:, : len(RHYTHMS)].astype(float), axis=1), scores[:, len(RHYTHMS) :]]
    given = pd.DataFrame(answers, columns=list(TARGETS), dtype=float)
    said = pd.DataFrame(says, columns=list(TARGETS))
    rows = [(name, "auc", *_area(given[name], said[name])) for name in (*RHYTHMS, *SIGNS)]
    rate, cosine, sine = TARGETS[len(RHYTHMS) : len(RHYTHMS) + 3]
    bpm = given[rate] * _SPREAD
    rows.append(("rate", "mae_bpm", _mean(said[rate] * _SPREAD - bpm), _mean(bpm - bpm.median()), len(given)))
    true, angle = (np.degrees(np.arctan2(frame[sine], frame[cosine])) for frame in (given, said))
    mean = np.degrees(np.arctan2(given[sine].mean(), given[cosine].mean()))
    rows.append(("axis", "mae_deg", _mean(_between(angle, true)), _mean(_between(mean, true)), len(given)))
    return pd.DataFrame(rows, columns=OUTPUTS[1:])


def _area(given: pd.Series, said: pd.Series) -> tuple[float, float, int]:
    """Area under the ROC curve, that of a guess, and the number of cases."""
    from sklearn.metrics import roc_auc_score

    known = given.notna()
    cases = int(given[known].sum())
    both = 0 < cases < known.sum()
    return float(roc_auc_score(given[known], said[known])) if both else np.nan, 0.5, cases


def _between(one: pd.Series | float, other: pd.Series) -> pd.Series:
    """Angle between two directions, degrees from -180 to 180."""
    return (one - other + 180) % 360 - 180


def _mean(errors: pd.Series) -> float:
    return float(errors.abs().mean())


# %% [markdown]
# ## Training
# The loop is that of `train`, with its order of pages, its state after every epoch and its way of going on. Two things
# differ: the network has a head of fifteen outputs, thrown away in the end, and the weights of the last epoch are kept,
# not those of the best. So nothing is chosen on the held-out pages, and their numbers are honest. 32-bit arithmetic is
# used: the light network's layers are so thin that 16 bits take a processor longer, not shorter.

# %%
PAGES = 3000
RECIPE = train.Recipe(
    epochs=10, batch=32, optimizer="adamw", weight_decay=0.05, schedule="cosine", stop=10, precision="float32"
)
_HELD_OUT = 6  # one page in so many


def _split(n: int) -> int:
    """How many pages, the first, are trained on."""
    if n < 2:
        raise EcgbookError(f"pretrain: {n} pages are too few; use two or more, for some are held out")
    return n - max(1, n // _HELD_OUT)


def _build(network: str, parts: int, seed: int) -> nn.Module:
    """A network that answers the fifteen questions."""
    import torch

    built = networks.build(network, "none", seed, parts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built.head = torch.nn.Linear(built.head.in_features, len(TARGETS))
    return built


def _epoch(
    training: train.Training, pages: np.ndarray, answers: Tensor, recipe: train.Recipe, seed: int
) -> float:
    """Train for one epoch and return the mean loss."""
    import torch

    network, where, total = training.network.train(), answers.device.type, 0.0
    generator = train._generator(seed, len(training.history))
    for rows in torch.randperm(len(pages), generator=generator).split(recipe.batch):
        batch = networks.to_input(torch.from_numpy(pages[rows.numpy()]), where)
        with train._autocast(recipe, where):
            scores = network(batch)
        off = loss(scores.float(), answers[rows])
        training.optimizer.zero_grad(set_to_none=True)
        off.backward()
        training.optimizer.step()
        total += off.item() * len(rows)
    return total / len(pages)


def _step(training: train.Training, learned: tuple, held: tuple, recipe: train.Recipe, seed: int) -> None:
    """One epoch and its record."""
    import torch

    number = len(training.history) + 1
    train_loss = _epoch(training, *learned, recipe, seed)  # type: ignore[call-arg]
    scores = networks.logits(training.network, held[0])
    held_loss = float(loss(torch.from_numpy(scores), torch.from_numpy(held[1])))
    if not (math.isfinite(train_loss) and math.isfinite(held_loss)):
        raise EcgbookError(
            f"pre-training: the loss is no number in epoch {number}; lower the rate ({recipe.lr:g})"
        )
    values = score(held[1], scores)["value"].tolist()
    training.history.append({"train_loss": train_loss, "val_loss": held_loss, "values": values})
    training.schedule.step()  # type: ignore[attr-defined]


def _outputs(history: list[dict], answers: np.ndarray, learned: int) -> pd.DataFrame:
    """The epochs' records as one table."""
    table = score(answers, np.zeros_like(answers))  # for its names, guesses and cases
    parts = []
    for epoch, row in enumerate(history, start=1):
        losses = [("all", "train_loss", row["train_loss"], np.nan, learned)]
        losses += [("all", "held_out_loss", row["val_loss"], np.nan, len(answers))]
        parts += [pd.DataFrame(losses, columns=OUTPUTS[1:]).assign(epoch=epoch)]
        parts += [table.assign(value=row["values"], epoch=epoch)]
    return pd.concat(parts, ignore_index=True)[OUTPUTS]


def pretrain(
    network: str,
    shown: str = "page",
    pages: int = PAGES,
    epochs: int = RECIPE.epochs,
    seed: int = 0,
    *,
    cache_dir: Path | None = None,
    jobs: int = -1,
    device: str = "auto",
    state: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[nn.Module, pd.DataFrame]:
    """Train a network to read drawn pages.

    Parameters
    ----------
    network : str
        One of :data:`ecgbook.networks.NETWORKS`; it starts from random weights.
    shown : str
        One of :data:`ecgbook.inputs.INPUTS`.
    pages : int
        Pages drawn; the last sixth of them is held out.
    epochs : int
        Times each page is shown.
    seed : int
        Of hearts, weights and order.
    cache_dir, jobs
        As in :func:`drawn`.
    device : str
        See :func:`ecgbook.networks.device`.
    state : pathlib.Path, optional
        Where the state is kept after each epoch. If the file exists, training goes on from there.
    progress : function, optional
        Called as ``progress(what, done, total)``; `what` is "pages", then "epochs".

    Returns
    -------
    network : torch.nn.Module
        With fifteen outputs, in the order of :data:`TARGETS`.
    outputs : pandas.DataFrame
        Losses and :func:`score` on the held-out pages after each epoch; columns :data:`OUTPUTS`.

    Raises
    ------
    EcgbookError
        No such network, input or device, too few pages or epochs, a foreign state, a loss that is no number.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _, outputs = pretrain("mobilenet-v3-small", pages=3, epochs=1, cache_dir=Path(folder), jobs=1)
    >>> outputs["metric"].value_counts().to_dict()
    {'auc': 12, 'train_loss': 1, 'held_out_loss': 1, 'mae_bpm': 1, 'mae_deg': 1}
    """
    import torch

    if epochs < 1:
        raise EcgbookError(f"pretrain: {epochs} epochs teach nothing; use one or more")
    learned, where = _split(pages), networks.device(device)
    model = _build(network, _source(shown).parts, seed).to(where, memory_format=torch.channels_last)
    pixels, answers = drawn(pages, shown, seed, cache_dir, jobs, progress)
    recipe = RECIPE._replace(epochs=epochs, stop=epochs)
    training = train._begin(model, recipe)
    terms = {**recipe._asdict(), "seed": seed, "pages": pages, "drawn": _key(shown, pages, seed)}
    if state is not None and state.exists():
        train._resume(training, state, terms)
    held = pixels[learned:], answers[learned:]
    taught = pixels[:learned], torch.as_tensor(answers[:learned], device=where)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are left alone
        while len(training.history) < epochs:
            _step(training, taught, held, recipe, seed)
            if state is not None:
                train._save(training, state, terms)
            if progress is not None:
                progress("epochs", len(training.history), epochs)
    return model.eval(), _outputs(training.history, held[1], learned)


def _key(shown: str, pages: int, seed: int) -> str:
    """Digest of everything the drawn pages depend on."""
    return preprocess.cache_key(_frame(_names(pages, seed)), _source(shown).pipeline)


# %% [markdown]
# ## Made once, kept beside the data
# The backbone lies in the cache folder. Its name holds the settings behind it, the drawn pages, and the code of this
# module and of those functions of others that decide the weights: if any of these changes, the old file is no longer
# found, and a new one is made. It follows from the seed, so a deleted file comes back as it was, on the same machine.


# %%
def weights_path(
    network: str,
    shown: str = "page",
    cache_dir: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Find the backbone pre-trained on drawn pages, or make it, which takes about a quarter of an hour on two cores.

    Parameters
    ----------
    network : str
        One of :data:`ecgbook.networks.NETWORKS`.
    shown : str
        One of :data:`ecgbook.inputs.INPUTS`; a "redrawn" one shares its namesake's weights.
    cache_dir : pathlib.Path, optional
        By default ``cache`` beside the data sets.
    progress : function, optional
        See :func:`pretrain`.

    Returns
    -------
    pathlib.Path
        A file for the argument `weights` of :func:`ecgbook.networks.build`; beside it, under the same name with the
        ending ``.json``, the record of how it was made.

    Raises
    ------
    EcgbookError
        As :func:`pretrain`.
    """
    _known(network, networks.NETWORKS, "network")
    _source(shown)
    shown, folder = shown.removeprefix("redrawn "), _folder(cache_dir)
    path = folder / f"backbone-{network}-{shown.replace(' ', '-')}-{_made_by(network, shown)}.safetensors"
    if not (path.is_file() and path.with_suffix(".json").is_file()):
        data.make_folder(folder)
        _make(network, shown, path, progress)
    return path


def _made_by(network: str, shown: str) -> str:
    """Digest of the settings and the code behind a backbone."""
    terms = [
        networks.NETWORKS[network],
        RECIPE,
        _key(shown, PAGES, 0),
        _code(sys.modules[__name__]),
        _functions(),
    ]
    return hashlib.sha256(repr(terms).encode()).hexdigest()[:16]


def _functions() -> list[str]:
    """Digests of what decides the weights elsewhere."""
    shape = (networks.build, networks._architecture, networks._cut, networks._frame, networks.to_input)
    loop = (train._begin, train._generator, train._autocast)
    return [publish.code_digest(inspect.getsource(function)) for function in (*shape, *loop)]


def _make(network: str, shown: str, path: Path, progress: Callable[[str, int, int], None] | None) -> None:
    """Pre-train; write the record, then the backbone, whole or not at all."""
    clock, busy, state = time.monotonic(), time.process_time(), path.with_suffix(".pt")
    note = _note(network, shown) | {"started": datetime.now(UTC).isoformat(timespec="seconds")}
    model, outputs = pretrain(
        network, shown, PAGES, RECIPE.epochs, cache_dir=path.parent, state=state, progress=progress
    )
    text = outputs.to_csv(index=False, float_format="%.5f", lineterminator="\n")
    networks.save_backbone(model, path)
    note |= {
        "weights_sha256": data.digest(path)[1],
        "outputs_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "device": f"{networks.device()}, {platform.machine()}",
        "wall_s": round(time.monotonic() - clock, 1),  # of the last start, if there were several
        "cpu_s": round(time.process_time() - busy, 1),  # without the processes that draw
        "peak_rss_mb": _peak(),
    }
    write_whole(path.with_suffix(".json"), json.dumps({"note": note, "outputs": text}))
    state.unlink(missing_ok=True)


def _peak() -> int:
    """Most memory this process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (
        1024 if sys.platform != "darwin" else 1024**2
    )


_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "pillow", "torch", "torchvision")
_COLUMNS = {
    "epoch": "from 1; the weights of the last one are kept",
    "task": "what was asked; all: the six tasks together",
    "metric": "auc: area under the ROC curve; mae_bpm, mae_deg: mean absolute error; two losses",
    "value": "of the metric, on held-out drawn pages (train_loss: on those trained on)",
    "guess": "the metric of the best constant answer",
    "cases": "held-out pages with the rhythm or sign; pages behind an error or a loss",
}


def _run(network: str, shown: str) -> str:
    return "-".join(["pretrain", network, *([] if shown == "page" else shown.split())])


def _note(network: str, shown: str) -> dict:
    """What is known when a pre-training begins."""
    steps = preprocess.describe(_source(shown).pipeline)
    return {
        "run": _run(network, shown),
        "task": "pretrain",
        "model": network,
        "input": f"drawn {shown}",
        "protocol": "held out",
        "weights": "none",
        "settings": RECIPE._asdict(),
        "shown": f"draw_page > {steps}",
        "pages": PAGES,
        "held_out": PAGES - _split(PAGES),
        "seed": 0,
        "folds": 1,
        "repeats": 1,
        "columns": _COLUMNS,
        "command": f'python -m ecgbook.pretrain {network} "{shown}"',
        "code": _code(synth, draw, preprocess, inputs, networks, train, sys.modules[__name__]),
        "data": {"drawn": _key(shown, PAGES, 0)},
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }


# %% [markdown]
# ## The record
# `python -m ecgbook.pretrain mobilenet-v3-small page` makes the backbone, if it is not there, and leaves its record in
# `book/results`: how it was made, and how well it reads.


# %%
def store(
    network: str,
    shown: str = "page",
    results: Path = RESULTS,
    cache_dir: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Store how a backbone was made and how well it reads, as ``run.json`` and ``outputs.csv``.

    Parameters
    ----------
    network, shown, cache_dir, progress
        As in :func:`weights_path`.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pathlib.Path
        The run's folder, ``pretrain-<network>`` for whole pages.

    Raises
    ------
    EcgbookError
        As :func:`weights_path`, or a folder that cannot be written.
    """
    path = weights_path(network, shown, cache_dir, progress)
    kept = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    folder = results / kept["note"]["run"]
    data.make_folder(folder)
    write_whole(folder / "outputs.csv", kept["outputs"])
    write_whole(folder / "run.json", json.dumps(kept["note"], indent=1) + "\n")
    return folder


def _shown_progress():
    """A bar for the pages and one for the epochs, on the terminal."""
    from rich.console import Console
    from rich.progress import Progress

    bars, known = Progress(console=Console(stderr=True)), {}

    def report(what: str, done: int, total: int) -> None:
        if what not in known:
            known[what] = bars.add_task(what, total=total)
        bars.update(known[what], completed=done)

    return bars, report


def main(arguments: list[str]) -> int:
    """Pre-train the named network on the named input and store its record."""
    if not 1 <= len(arguments) <= 2:
        print("usage: python -m ecgbook.pretrain NETWORK [INPUT]", file=sys.stderr)
        return 2
    bars, report = _shown_progress()
    try:
        with bars:
            folder = store(*arguments, progress=report)  # type: ignore[arg-type, misc]
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    print(folder)
    return 0


if __name__ == "__main__":
    from ecgbook import pretrain as module  # workers find the functions under their package name

    sys.exit(module.main(sys.argv[1:]))
