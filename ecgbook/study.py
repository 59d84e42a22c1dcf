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
# # Studies: declared experiments, stored predictions
# An experiment is declared first, as one line: which model sees which input under which protocol, how often. Running it
# leaves a folder `book/results/<run>/` with two files, the predictions of every fold and a note of how they came
# about. No metric is stored: each chapter computes its own from the predictions. So a number in the book can always be
# traced to 491 rows of four probabilities, and these to a command.

# %%
"""Run declared experiments fold by fold, resume them, and load what they left."""

from __future__ import annotations

import difflib
import hashlib
import importlib.metadata
import io
import json
import platform
import resource
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecgbook import data, evaluate, hybrid, inputs, models, networks, publish, splits, train
from ecgbook.data import CLASSES, EcgbookError, write_whole, writing

RESULTS = publish.ROOT / "book" / "results"

# %% [markdown]
# ## Declaring
# The headline stands under all four protocols, the other models under `grouped` and `unique`. Baselines and
# sensitivity rows come last. A name says protocol, model and input.


# %%
class Study(NamedTuple):
    """One declared experiment.

    Attributes
    ----------
    protocol : str
        One of :data:`ecgbook.splits.PROTOCOLS`, or "batches": each scan batch is tested once, by a model that saw none
        of it.
    model, input : str
        Names in :data:`ecgbook.models.MODELS` and :data:`ecgbook.models.INPUTS` for a table of measurements; in
        :data:`ecgbook.networks.NETWORKS` and :data:`ecgbook.inputs.INPUTS` for a network on pages; for a hybrid one
        of :data:`ecgbook.hybrid.MODELS` and "lite0", or "features of" and the name of a network's run.
    repeats, folds : int
        How often the ECGs are dealt anew, and into how many folds; 1 fold is a single split.
    what_for : str
        Why it is run: for the log of outer evaluations.
    seed : int
        Of all that is drawn while fitting; dealing is seeded by the repeat.
    weights : str
        Where a network's weights come from; see :func:`ecgbook.networks.build`.
    recipe : str
        How a network is trained: one of :data:`ecgbook.train.RECIPES`.
    keeps : bool
        Whether the features of all pages are stored when a fold's network is finished.
    """

    protocol: str
    model: str
    input: str
    repeats: int
    folds: int
    what_for: str
    seed: int = 0
    weights: str = "none"
    recipe: str = ""
    keeps: bool = False


_NESTED = ("logistic", "svm", "forest", "extra trees", "xgboost")

_PAPERS = ("resnet18", "resnet34", "densenet121", "efficientnet-b0")


def _network(protocol: str, model: str, shown: str, what_for: str, **more) -> Study:
    """A network under the paper's recipe: one seed under `paper`, five folds otherwise."""
    folds = 1 if protocol in ("paper", "peer") else 5
    return Study(protocol, model, shown, 1, folds, what_for, **{"recipe": "paper", **more})


def _networks() -> dict[str, Study]:
    declared = {}
    for protocol in ("paper", "grouped"):
        for model in _PAPERS:
            keeps = model == "densenet121"
            declared[f"{protocol}-{model}"] = _network(
                protocol, model, "page", "the paper's study", keeps=keeps
            )
    for protocol in ("paper", "grouped"):
        declared[f"{protocol}-lite0-tuned"] = _network(
            protocol,
            "efficientnet-lite0",
            "page",
            "transfer learning",
            weights="imagenet",
            recipe="two-phase",
        )
    return declared


def _hybrids() -> dict[str, Study]:
    declared = {}
    for model in hybrid.MODELS:
        kind = model.removeprefix("pca ")
        for protocol, repeats, folds in (("paper", 5, 1), ("unique", 2, 5), ("grouped", 2, 5)):
            declared[f"{protocol}-lite0-{kind}"] = Study(
                protocol, model, "lite0", repeats, folds, "frozen features", weights="imagenet"
            )
        for protocol in ("paper", "grouped"):
            run = f"{protocol}-densenet121"
            declared[f"{run}-{kind}"] = Study(
                protocol,
                model,
                f"features of {run}",
                1,
                1 if protocol == "paper" else 5,
                "the paper's hybrid",
            )
    return declared


def _more() -> dict[str, Study]:
    """Runs that the book is whole without: minutes on a GPU, hours on two cores."""
    declared = {}
    for model in (*_PAPERS, "mobilenet-v3-small"):
        declared[f"unique-{model}"] = _network("unique", model, "page", "what grouping changes")
    for protocol in ("paper", "grouped"):
        for model in _PAPERS:
            declared[f"{protocol}-{model}-imagenet"] = _network(
                protocol, model, "page", "transfer learning", weights="imagenet"
            )
            declared[f"{protocol}-{model}-repeated"] = _network(
                protocol, model, "page", "spread over seeds"
            )._replace(repeats=5)
        declared[f"{protocol}-mobilenet"] = _network(
            protocol, "mobilenet-v3-small", "page", "a light network"
        )
    for name in ("redrawn page", "crop", "large crop", "leads"):
        run = f"grouped-mobilenet-{name.removesuffix(' page').replace(' ', '-')}"
        declared[run] = _network("grouped", "mobilenet-v3-small", name, "other inputs")
    for recipe in ("class-weights", "adamw-cosine", "augmented"):
        declared[f"grouped-mobilenet-{recipe}"] = _network(
            "grouped", "mobilenet-v3-small", "page", "other recipes", recipe=recipe
        )
    declared["grouped-mobilenet-synthetic"] = _network(
        "grouped",
        "mobilenet-v3-small",
        "page",
        "synthetic pre-training",
        weights="synthetic",
        recipe="two-phase",
    )
    return declared


#: Name of a run -> the experiment.
STUDIES: dict[str, Study] = {
    "grouped-headline": Study("grouped", "headline", "all", 5, 5, "the headline"),
    "unique-headline": Study("unique", "headline", "all", 5, 5, "what grouping changes"),
    "paper-headline": Study("paper", "headline", "all", 5, 1, "the gap"),
    "peer-headline": Study("peer", "headline", "all", 1, 1, "like for like with the peer"),
    "grouped-majority": Study("grouped", "majority", "heart rate", 5, 5, "baseline"),
    "grouped-heart-rate": Study("grouped", "boosting", "heart rate", 5, 5, "baseline"),
    "grouped-printed-text": Study("grouped", "boosting", "printed text", 5, 5, "baseline"),
    "grouped-guideline": Study("grouped", "guideline", "measurements", 5, 5, "baseline, nothing learned"),
    **{
        f"{protocol}-{model.replace(' ', '-')}-{given}": Study(
            protocol, model, given, 5, 5, "leaderboard" if protocol == "grouped" else "what grouping changes"
        )
        for protocol in ("grouped", "unique")
        for given in ("measurements", "beats")
        for model in _NESTED
    },
    "grouped-headline-no-rate": Study("grouped", "headline", "all but heart rate", 2, 5, "sensitivity"),
    "batches-headline": Study("batches", "headline", "all", 1, 3, "sensitivity: a batch never seen"),
    **_networks(),
    **_hybrids(),
}

#: Declared too, but the book is whole without them; a chapter says of each whether it was run.
MORE: dict[str, Study] = _more()

#: Both.
DECLARED: dict[str, Study] = {**STUDIES, **MORE}


def select(patterns: Sequence[str] = ()) -> list[str]:
    """Pick declared runs by name or by shell-style pattern.

    Parameters
    ----------
    patterns : sequence of str
        Names of :data:`DECLARED`, or patterns with ``*``, ``?`` and ``[...]``; none means :data:`STUDIES`.

    Returns
    -------
    list of str
        Each name once, in the order of declaration.

    Raises
    ------
    EcgbookError
        If nothing declared fits.

    Examples
    --------
    >>> select(["paper-*net18", "peer-headline"])
    ['peer-headline', 'paper-resnet18']
    """
    if not patterns:
        return list(STUDIES)
    fitting = {pattern: [name for name in DECLARED if fnmatchcase(name, pattern)] for pattern in patterns}
    for pattern, names in fitting.items():
        if not names:
            _refuse_unknown(pattern, DECLARED)
    chosen = {name for names in fitting.values() for name in names}
    return [name for name in DECLARED if name in chosen]


def _refuse_unknown(name: str, studies: dict[str, Study]) -> None:
    near = difflib.get_close_matches(name, studies, n=1, cutoff=0.5)
    raise EcgbookError(
        f"{name}: no such run; {'did you mean ' + near[0] if near else 'see `ecgbook study list`'}"
    )


# %% [markdown]
# A declaration made by hand may name what does not exist. That is said before anything is computed.

# %%
_INPUTS = {"table": tuple(models.INPUTS), "network": tuple(inputs.INPUTS)}


def _kind(study: Study) -> str:
    if study.model in networks.NETWORKS:
        return "network"
    return "hybrid" if study.model in hybrid.MODELS else "table"


def _source(study: Study) -> str | None:
    """The run whose features a hybrid takes; None for the carried ones."""
    return study.input.removeprefix("features of ") if study.input.startswith("features of ") else None


def _check(study: Study) -> None:
    """Refuse a declaration that names what does not exist."""
    models._known(study.protocol, (*splits.PROTOCOLS, "batches"), "protocol")
    models._known(study.model, (*models.MODELS, *networks.NETWORKS, *hybrid.MODELS), "model")
    kind = _kind(study)
    if kind == "hybrid" and _source(study) is None:
        models._known(study.input, ("lite0", "features of RUN"), "input of a hybrid")
    elif kind != "hybrid":
        models._known(study.input, _INPUTS[kind], f"input of a {kind}")
    if kind == "network":
        models._known(study.recipe, train.RECIPES, "recipe")
        if not Path(study.weights).is_file():
            models._known(study.weights, (*networks.WEIGHTS, "synthetic"), "weights")


# %% [markdown]
# ## Dealing
# Cross-validation for most; `paper` is split once for each seed, as the paper did; `peer` once in all. Leaving a batch
# out is a protocol of its own, used for one row of the book: groups that reach into the tested batch are left out of
# training altogether.


# %%
def _frame(protocol: str) -> pd.DataFrame:
    return data.files() if protocol == "paper" else data.pages()


def _batches(frame: pd.DataFrame) -> list[splits.Split]:
    """Test each scan batch once; validate on a seventh of the rest."""
    from sklearn.model_selection import StratifiedGroupKFold

    dealt = []
    for batch in sorted(frame["batch"].unique()):
        tested = (frame["batch"] == batch).to_numpy()
        near = frame["group"].isin(frame["group"][tested]).to_numpy()
        rest = np.flatnonzero(~near)
        dealer = StratifiedGroupKFold(7, shuffle=True, random_state=0)
        kept, held = next(dealer.split(rest, frame["label"].iloc[rest], frame["group"].iloc[rest]))
        dealt.append(splits.Split(rest[kept], rest[held], np.flatnonzero(tested)))
    return dealt


@lru_cache(maxsize=8)
def deal(study: Study) -> dict[tuple[int, int], splits.Split]:
    """Deal the rows of a study.

    Parameters
    ----------
    study : Study

    Returns
    -------
    dict
        (repeat, fold) -> :class:`ecgbook.splits.Split`.

    Examples
    --------
    >>> list(deal(STUDIES["paper-headline"]))
    [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]
    """
    frame, repeats = _frame(study.protocol), range(study.repeats)
    if study.protocol == "batches":
        return {(0, fold): split for fold, split in enumerate(_batches(frame))}
    if study.folds == 1:
        return {(repeat, 0): splits.holdout(study.protocol, frame, repeat) for repeat in repeats}
    return {
        (repeat, fold): split
        for repeat in repeats
        for fold, split in enumerate(splits.folds(study.protocol, frame, repeat, study.folds))
    }


# %% [markdown]
# ## One fold
# The model is fitted on the training part, choosing its settings there, and predicts the validation part. Then it is
# fitted again with these settings on training and validation parts together, and predicts the test part: no page
# need lie idle, for nothing was stopped or chosen by the validation score. Under `paper` it is not fitted again, so
# that the trained pages are those of the paper's 70 %.
#
# Inside the training part a grouped choice keeps groups together; under `paper` and `unique` no one would know
# of groups, so each row is its own.


# %%
def _groups(protocol: str, frame: pd.DataFrame) -> np.ndarray:
    return np.arange(len(frame)) if protocol in ("paper", "unique") else frame["group"].to_numpy()


def _rows(frame: pd.DataFrame, rows: np.ndarray, part: str, p: np.ndarray) -> pd.DataFrame:
    out = frame.iloc[rows][["file", "label"]].assign(part=part)
    out[evaluate.PROBABILITIES] = p
    return out


def predict_fold(
    model, X: pd.DataFrame, frame: pd.DataFrame, split: splits.Split, protocol: str
) -> pd.DataFrame:
    """Fit a model on one fold's training side and predict the other parts.

    Parameters
    ----------
    model : classifier
        From :func:`ecgbook.models.build`.
    X : pandas.DataFrame
        Features, one row for each row of `frame`.
    frame : pandas.DataFrame
        With columns ``file``, ``label`` and ``group``.
    split : ecgbook.splits.Split
        Row numbers.
    protocol : str
        Under "paper" the test part is predicted by the model fitted on train alone, otherwise by one fitted
        on train and val.

    Returns
    -------
    pandas.DataFrame
        ``file``, ``label``, ``part`` and the four probabilities.
    """
    from sklearn.base import clone

    y = frame["label"].map({label: k for k, label in enumerate(CLASSES)}).to_numpy()
    groups, train = _groups(protocol, frame), split.train
    model = models.fit(model, X.iloc[train], y[train], groups[train])
    val = models.probabilities(model, X.iloc[split.val])
    if protocol != "paper":
        both = np.sort(np.concatenate([split.train, split.val]))
        model = clone(getattr(model, "best_estimator_", model)).fit(X.iloc[both], y[both])
    test = models.probabilities(model, X.iloc[split.test])
    return pd.concat([_rows(frame, split.val, "val", val), _rows(frame, split.test, "test", test)])


# %% [markdown]
# A network is trained on the training part alone; the validation part says when to stop, and so it cannot be
# trained on as well. The network of a finished fold has never seen its test pages, nor have the features that it leaves
# for the hybrids.
#
# A fold computes with one thread, whatever the process was started with: sums added up by several threads come out
# different in the last digit, and a resumed run shall end with the same bytes as one that was left in peace.


# %%
class Fold(NamedTuple):
    """What one fold leaves: predictions and training history as CSV without a head, and features (491, d)."""

    rows: str
    history: str = ""
    features: np.ndarray | None = None


class _Place(NamedTuple):
    """Where a fold belongs, and where it is computed."""

    folder: Path
    repeat: int
    fold: int
    device: str = "auto"

    def path(self, suffix: str = ".json") -> Path:
        return _fold_path(self.folder, self.repeat, self.fold).with_suffix(suffix)


def _text(frame: pd.DataFrame, place: _Place, columns: list[str], digits: str = "%.5f") -> str:
    """CSV without a head."""
    frame = frame.assign(repeat=place.repeat, fold=place.fold)[columns]
    return frame.to_csv(index=False, header=False, float_format=digits, lineterminator="\n")


def _fit_fold(study: Study, X: pd.DataFrame, model, place: _Place) -> Fold:
    """Fit a classifier on rows of a table."""
    from threadpoolctl import threadpool_limits

    frame, split = _frame(study.protocol), deal(study)[place.repeat, place.fold]
    X = X.loc[frame["first_copy"]].set_axis(frame.index)
    with threadpool_limits(1):
        rows = predict_fold(model, X, frame, split, study.protocol)
    return Fold(_text(rows, place, evaluate.COLUMNS))


def _table_fold(study: Study, place: _Place) -> Fold:
    return _fit_fold(study, models.features(study.input), models.build(study.model, study.seed), place)


def _hybrid_fold(study: Study, place: _Place) -> Fold:
    return _fit_fold(study, _hybrid_features(study, place), hybrid.build(study.model, study.seed), place)


def _hybrid_features(study: Study, place: _Place) -> pd.DataFrame:
    source = _source(study)
    if source is None:
        return hybrid.lite0_features()
    return features(source, place.repeat, place.fold, place.folder.parent)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _weights(study: Study) -> str | Path:
    """Where the network's weights come from; synthetic ones are made when they are not there."""
    if study.weights != "synthetic":
        return study.weights
    from ecgbook import pretrain

    return pretrain.weights_path(study.model, study.input)


def _network_fold(study: Study, place: _Place) -> Fold:
    frame, split, seed = (
        _frame(study.protocol),
        deal(study)[place.repeat, place.fold],
        study.seed + place.repeat,
    )
    shown = inputs.pixels(study.input, frame)
    y = frame["label"].map({label: k for k, label in enumerate(CLASSES)}).to_numpy()
    with _one_thread():
        network = networks.build(study.model, _weights(study), seed, inputs.INPUTS[study.input].parts)
        epochs = train.fit(
            network,
            (shown[split.train], y[split.train]),
            (shown[split.val], y[split.val]),
            study.recipe,
            seed,
            place.device,
            place.path(".pt"),
            _marker(place),
        )
        rows = [
            _rows(frame, of, part, networks.probabilities(network, shown[of]))
            for part, of in (("val", split.val), ("test", split.test))
        ]
        kept = None
        if study.keeps:
            distinct = np.flatnonzero(frame["file"] == frame["first_copy"])
            kept = networks.embed(network, shown[distinct]).astype(np.float16)
    return Fold(_text(pd.concat(rows), place, evaluate.COLUMNS), _text(epochs, place, HISTORY, "%.6g"), kept)


HISTORY = ["repeat", "fold", *train.HISTORY]
_FOLDS = {"table": _table_fold, "network": _network_fold, "hybrid": _hybrid_fold}


# %% [markdown]
# ## A finished fold is the unit
# Power fails, machines are shut down. Each finished fold is written at once, under a temporary name that is then
# changed, so a fold is there whole or not at all; the next start does only what is missing. When all folds are there
# they are joined to `predictions.csv`, and the digest of this file is entered in `run.json` last of all: a run with
# a digest is finished. A later edit by hand no longer fits its digest and is refused.
#
# A process does one fold at a time, even if it is a worker of a cluster with several threads: what is random in the
# training of a network is drawn from a generator that all threads of a process share.


# %%
_ALONE = threading.Lock()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _keys(study: Study) -> list[tuple[int, int]]:
    """All (repeat, fold) of a study, in the order of its rows."""
    return [(repeat, fold) for repeat in range(study.repeats) for fold in range(study.folds)]


def _fold_path(folder: Path, repeat: int, fold: int) -> Path:
    return folder / "folds" / f"{repeat}-{fold}.json"


def _marker(place: _Place) -> Callable[[int, int], None]:
    """Leave a word after each epoch on how far a training has come and how long it took, for `status`."""
    started, path = time.monotonic(), place.path(".epoch")
    before = _spent(place)

    def mark(epoch: int, epochs: int) -> None:
        spent = before + time.monotonic() - started
        write_whole(path, json.dumps({"epoch": epoch, "epochs": epochs, "wall_s": spent}))

    return mark


def _read_mark(path: Path) -> dict:
    """The word that a training left; an empty one if there is none, for it goes when the training is over."""
    try:
        mark = json.loads(path.read_text(encoding="utf-8"))
        counts = {key: int(mark[key]) for key in ("epoch", "epochs")}
        return counts | {"wall_s": float(mark.get("wall_s", 0))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _spent(place: _Place) -> float:
    """Seconds that went into the training of a fold before it was interrupted."""
    return _read_mark(place.path(".epoch")).get("wall_s", 0.0) if place.path(".pt").exists() else 0.0


def _do_fold(study: Study, place: _Place) -> None:
    started = time.monotonic() - _spent(place)
    result = _FOLDS[_kind(study)](study, place)
    if result.features is not None:
        with writing(place.path(".npy")) as part, open(part, "wb") as stream:
            np.save(stream, result.features)
    done = {
        "sha256": _digest(result.rows + result.history),
        "wall_s": time.monotonic() - started,
        "peak_rss_mb": _peak_mb(),
        "code": _code(study),
        "device": _device(study, place.device),
        "rows": result.rows,
        "history": result.history,
    }
    write_whole(place.path(), json.dumps(done))
    for suffix in (".pt", ".epoch"):  # the state of a training that is over
        place.path(suffix).unlink(missing_ok=True)


def _peak_mb() -> float:
    """The most memory this process ever held, MB; the system counts in kB, macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024**2 if sys.platform == "darwin" else 1024
    )


def _read_fold(path: Path) -> dict:
    try:
        done = json.loads(path.read_text(encoding="utf-8"))
        whole = _digest(done["rows"] + done["history"]) == done["sha256"]
    except FileNotFoundError as error:
        raise EcgbookError(
            f"{path}: is not there though its fold was done; run again, where all workers see this folder"
        ) from error
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise EcgbookError(f"{path}: was changed after it was written; remove it and run again")
    return done


# %% [markdown]
# ## What a result depends on
# The note records digests of the code that decides a prediction (blind to comments and layout), and of the tables.
# A run begun with other tables or settings is not continued: half of it would answer another question. Nor is one begun
# with other code, if it takes minutes; the training of networks takes hours, over which the code around it may
# grow, so there each fold records the code it was made with.

# %%
_CODE = {
    "table": ("splits", "models", "study"),
    "network": ("splits", "preprocess", "inputs", "networks", "train"),
    "hybrid": ("splits", "models", "hybrid"),
}
_TABLES = {
    "table": ("manifest.csv", "measurements.csv", "median_beats.npz"),
    "network": ("manifest.csv",),
    "hybrid": ("manifest.csv",),
}
_PACKAGES = {
    "table": ("numpy", "pandas", "scipy", "scikit-learn", "xgboost"),
    "network": ("numpy", "pandas", "pillow", "torch", "torchvision"),
    "hybrid": ("numpy", "pandas", "scipy", "scikit-learn", "xgboost"),
}


def _code(study: Study) -> dict[str, str]:
    here, names = Path(__file__).parent, _CODE[_kind(study)]
    names = (*names, "pretrain") if study.weights == "synthetic" else names
    return {name: publish.code_digest((here / f"{name}.py").read_text(encoding="utf-8")) for name in names}


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _tables(study: Study, results: Path = RESULTS) -> dict[str, str]:
    """Digests of the tables behind a study."""
    files = {name: data.tables() / name for name in _TABLES[_kind(study)]}
    if study.input.startswith("redrawn"):
        files["signals.npz"] = data.tables() / "signals.npz"
    if study.input == "lite0":
        files[hybrid.CARRIED] = data.tables() / hybrid.CARRIED
    source = _source(study)
    if source is not None:
        files[f"{source}/features.npz"] = _sound(source, "features.npz", results)
    groups = _digest(data.pages().to_csv(columns=["file", "label", "group"]))[:16]
    return {name: _file_digest(path)[:16] for name, path in files.items()} | {"groups": groups}


def _facts(study: Study) -> dict:
    """What makes it this experiment and no other; for networks also the recipe and what is shown."""
    facts = {key: getattr(study, key) for key in ("model", "input", "protocol", "weights")}
    if _kind(study) == "network":
        facts |= {
            "recipe": study.recipe,
            "settings": train.RECIPES[study.recipe]._asdict(),
            "shown": inputs.describe(study.input),
        }
    return facts | {key: getattr(study, key) for key in ("seed", "folds", "repeats")}


def _note(run: str, study: Study, results: Path) -> dict:
    """What is known when a run begins."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES[_kind(study)]}
    return {
        "run": run,
        "task": "classify",
        **_facts(study),
        "command": f"ecgbook study run {run}",
        "code": _code(study),
        "data": _tables(study, results),
        "versions": {"python": platform.python_version(), **versions},
        "device": _device(study),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _device(study: Study, wanted: str = "auto") -> str:
    """The machine, in words."""
    if _kind(study) == "network" and networks.device(wanted) == "cuda":
        import torch

        return f"cuda, {torch.cuda.get_device_name()}"
    return f"cpu, {platform.machine()}"


def _read_note(folder: Path) -> dict | None:
    path = folder / "run.json"
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:  # no JSON, or no text at all
        raise EcgbookError(f"{path}: is no JSON ({error}); remove the folder and run again") from error
    if not isinstance(note, dict):
        raise EcgbookError(f"{path}: is no note of a run; remove the folder and run again")
    return note


def _begin(run: str, study: Study, folder: Path) -> dict:
    """Write a new note, or check that the old one describes the same experiment."""
    old = _read_note(folder)
    if old is not None and "predictions_sha256" in old:
        _require_same(folder, old, _facts(study))
        return old
    new = _note(run, study, folder.parent)
    if old is None:
        data.make_folder(folder / "folds")
        _log(run, study, new, folder.parent)
        write_whole(folder / "run.json", json.dumps(new, indent=1) + "\n")
        return new
    same = ["data"] if _kind(study) == "network" else ["data", "code"]
    _require_same(folder, old, _facts(study) | {key: new[key] for key in same})
    data.make_folder(folder / "folds")
    return old


def _require_same(folder: Path, old: dict, wanted: dict) -> None:
    other = [key for key, value in wanted.items() if old.get(key) != value]
    if other:
        raise EcgbookError(
            f"{folder}: was begun with other {', '.join(other)}; remove the folder and run again"
        )


def _finish(study: Study, folder: Path, note: dict) -> None:
    """Join the folds; the note with the digests comes last."""
    paths = {key: _fold_path(folder, *key) for key in _keys(study)}
    parts = {key: _read_fold(path) for key, path in paths.items()}
    text = ",".join(evaluate.COLUMNS) + "\n" + "".join(part["rows"] for part in parts.values())
    evaluate.check(pd.read_csv(io.StringIO(text)), str(folder))
    write_whole(folder / "predictions.csv", text)
    note = note | {"predictions_sha256": _digest(text)}
    if _kind(study) == "network":
        epochs = ",".join(HISTORY) + "\n" + "".join(part["history"] for part in parts.values())
        write_whole(folder / "history.csv", epochs)
        note["history_sha256"] = _digest(epochs)
        other = {f"{r}-{f}": part["code"] for (r, f), part in parts.items() if part["code"] != note["code"]}
        note |= {"code_of_folds": other} if other else {}
    if study.keeps:
        note["features_sha256"] = _join_features(paths, folder / "features.npz")
    note["device"] = "; ".join(sorted({part.get("device", note["device"]) for part in parts.values()}))
    # of the folds, one after the other
    note["wall_s"] = round(sum(part["wall_s"] for part in parts.values()), 1)
    note["peak_rss_mb"] = round(max(part["peak_rss_mb"] for part in parts.values()))
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
    _tidy(folder)


def _join_features(paths: dict[tuple[int, int], Path], target: Path) -> str:
    """Join the features of all folds in one file, and return its digest."""
    kept = {}
    for (repeat, fold), path in paths.items():
        try:
            kept[f"{repeat}-{fold}"] = np.load(path.with_suffix(".npy"), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise EcgbookError(
                f"{path.with_suffix('.npy')}: the features of this fold are missing or damaged; "
                f"remove {path.name} beside it and run again"
            ) from error
    with writing(target) as part, open(part, "wb") as stream:
        np.savez_compressed(stream, **kept)
    return _file_digest(target)


def _tidy(folder: Path) -> None:
    """Remove what a finished run needs no more: its folds, and parts of files that a kill left."""
    shutil.rmtree(folder / "folds", ignore_errors=True)
    for name in ("predictions.*.csv", "history.*.csv", "features.*.npz", "run.*.json"):
        for path in folder.glob(f".{name}"):
            path.unlink(missing_ok=True)


# %% [markdown]
# ## The headline is named first
# Who looks at many outer scores and then points at the best has chosen on the test set. So nothing is scored
# before `headline.json` names the run that counts, and every outer evaluation is entered in `outer_log.csv`
# when it begins, kept or not.


# %%
def _log(run: str, study: Study, note: dict, results: Path) -> None:
    path = results / "outer_log.csv"
    old = path.read_text(encoding="utf-8") if path.exists() else "run,date,code,what_for\n"
    code = _digest(json.dumps(note["code"], sort_keys=True))[:16]
    write_whole(path, f'{old}{run},{note["started"]},{code},"{study.what_for}"\n')


def _require_headline(results: Path) -> None:
    if not (results / "headline.json").is_file():
        raise EcgbookError(
            f"{results / 'headline.json'}: is not there; name the headline before any outer score"
        )


# %% [markdown]
# ## Running
# The folds of all runs asked for are one list of jobs; joblib does several at a time, one thread each, here or on the
# workers of a cluster. A finished run is left alone. Hybrids wait until the networks whose features they take are
# there.


# %%
def run(
    name: str | Sequence[str],
    results: Path = RESULTS,
    jobs: int = 2,
    studies: dict[str, Study] | None = None,
    progress: Callable[[int, int], None] | None = None,
    device: str = "auto",
) -> Path | list[Path]:
    """Run declared studies, or what is missing of them.

    Parameters
    ----------
    name : str or sequence of str
        From :data:`DECLARED`.
    results : pathlib.Path
        Folder of the results; must hold ``headline.json``.
    jobs : int, default 2
        Folds done at a time. Within :func:`cluster` the number of its workers counts instead.
    studies : dict, optional
        Declarations to use instead of :data:`DECLARED`.
    progress : function, optional
        Called as ``progress(done, total)`` with numbers of folds, at the start and after each.
    device : str
        Where networks are trained; see :func:`ecgbook.networks.device`.

    Returns
    -------
    pathlib.Path or list of pathlib.Path
        The folder of each run.

    Raises
    ------
    EcgbookError
        No such study, model, protocol, input or recipe, no headline named, a folder begun with other code or data or
        changed by hand, a full disk, a process that was killed. Folds that are finished stay.
    """
    studies = DECLARED if studies is None else studies
    names = [name] if isinstance(name, str) else list(dict.fromkeys(name))
    for one in names:
        if one not in studies:
            _refuse_unknown(one, studies)
        _check(studies[one])
    results = Path(results).resolve()  # workers may stand elsewhere
    _require_headline(results)
    chosen = {one: studies[one] for one in names if not _is_settled(one, studies[one], results)}
    _require_sources(chosen, studies, results)
    total = sum(len(_keys(study)) for study in chosen.values())
    done = total - sum(len(_missing(results / one, study)) for one, study in chosen.items())
    if progress is not None:
        progress(done, total)
    for stage in _stages(chosen):
        with closing(_run_stage(stage, results, jobs, device)) as steps:  # type: ignore[type-var]
            for _ in steps:
                done += 1
                if progress is not None:
                    progress(done, total)
    folders = [results / one for one in names]
    return folders[0] if isinstance(name, str) else folders


def _is_settled(name: str, study: Study, results: Path) -> bool:
    """Say whether a run is finished; refuse it if it was changed by hand or is another experiment."""
    if not is_finished(results / name):
        return False
    _begin(name, study, results / name)
    load(name, results)
    _tidy(results / name)
    return True


def _require_sources(chosen: dict[str, Study], studies: dict[str, Study], results: Path) -> None:
    """Hybrids are told that their features are missing before hours of other work, not after."""
    for name, study in chosen.items():
        source = _source(study)
        if source is None or source in chosen or is_finished(results / source):
            continue
        if source not in studies:
            _refuse_unknown(source, studies)
        raise EcgbookError(
            f"{name}: takes its features from {source}, which is not finished; run that too, or first"
        )


def _stages(chosen: dict[str, Study]) -> list[dict[str, Study]]:
    """First what takes nothing from other runs, then the hybrids on features of networks."""
    later = {name: study for name, study in chosen.items() if _source(study) is not None}
    return [{name: study for name, study in chosen.items() if name not in later}, later]


def _missing(folder: Path, study: Study) -> list[tuple[int, int]]:
    return [key for key in _keys(study) if not _fold_path(folder, *key).exists()]


def _run_stage(stage: dict[str, Study], results: Path, jobs: int, device: str) -> Iterator[None]:
    """Do the missing folds of some runs, and finish each run with its last fold; one step a fold."""
    notes = {name: _begin(name, study, results / name) for name, study in stage.items()}
    todo = [
        (name, study, _Place(results / name, *key, device))
        for name, study in stage.items()
        for key in _missing(results / name, study)
    ]
    with closing(_several(todo, jobs)) as names:  # type: ignore[type-var]  # so that an interrupt ends the workers at once
        for name in names:
            if not _missing(results / name, stage[name]):
                _finish(stage[name], results / name, notes.pop(name))
            yield
    for name, note in notes.items():  # all folds were there, only not yet joined
        _finish(stage[name], results / name, note)


def _several(todo: list[tuple[str, Study, _Place]], jobs: int) -> Iterator[str]:
    """Do folds, several at a time, and give the name of the run when one is done."""
    from joblib import Parallel, delayed

    if not todo:
        return
    with _losses_told(), _deaf():
        names = Parallel(
            min(jobs, len(todo)), batch_size=1, pre_dispatch="all", return_as="generator_unordered"
        )(delayed(_do_named)(*job) for job in todo)
    try:
        with _losses_told():
            yield from names
    finally:
        with warnings.catch_warnings():  # joblib warns of folds that nobody waits for: they are resumed
            warnings.simplefilter("ignore")
            names.close()


def _do_named(name: str, study: Study, place: _Place) -> str:
    with _ALONE:
        if not place.path().exists():  # a worker may have died after its fold was written
            _do_fold(study, place)
    return name


@contextmanager
def _deaf() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C: the command does, and ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)


@contextmanager
def _losses_told() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise EcgbookError(
            "a process was killed, perhaps for lack of memory; finished folds are kept, go on with --jobs 1"
        ) from error


def is_finished(folder: Path) -> bool:
    """Say whether a run is complete: its note holds the digest of its predictions."""
    return "predictions_sha256" in (_read_note(folder) or {})


# %% [markdown]
# ## On a cluster
# With Dask the folds go to workers on other machines. These must see the same folder of results under the same path,
# have the same version of the package installed, and, for networks on real pages, the data set. When a worker dies its
# fold is given to another one, and all others are kept.


# %%
_PATIENCE = 6  # seconds for the scheduler to answer


@contextmanager
def cluster(scheduler: str, results: Path = RESULTS) -> Iterator[None]:
    """Let :func:`run` do its folds on the workers of a Dask cluster.

    Parameters
    ----------
    scheduler : str
        Its address, such as ``tcp://10.0.0.1:8786``. Start it with ``dask scheduler``, and workers with
        ``dask worker ADDRESS --nthreads 1``: a worker does one fold at a time.
    results : pathlib.Path
        Folder of the results, which the workers must see.

    Raises
    ------
    EcgbookError
        The scheduler does not answer, or has no workers, or these have another version of the package or do not see
        the folder; or all workers died.
    """
    from joblib import parallel_config

    _require_headline(results)
    with _client(scheduler) as client, _cluster_losses_told(scheduler):
        _greet_workers(client, scheduler, Path(results).resolve())
        with parallel_config(backend=_dask(client)):
            yield


@contextmanager
def _client(scheduler: str) -> Iterator:
    import asyncio

    try:
        from distributed import Client
    except ImportError as error:
        raise EcgbookError("a cluster needs Dask; pip install 'dask[distributed]'") from error
    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook has a loop of its own running in this one
            thread.submit(asyncio.run, _identity(scheduler)).result()
    except Exception as error:  # who listens there may answer anything
        raise EcgbookError(
            f"{scheduler}: no scheduler answers there within {_PATIENCE} s; start one with `dask scheduler`, "
            "and give the address that it shows, such as tcp://10.0.0.1:8786"
        ) from error
    with Client(scheduler, timeout=_PATIENCE, set_as_default=False) as client:
        yield client


async def _identity(scheduler: str) -> dict:
    """Ask a scheduler who it is; a client that finds none hangs when it is dropped."""
    import asyncio

    from distributed import Security
    from distributed.core import rpc

    terms = Security().get_connection_args("client")
    async with rpc(scheduler, timeout=_PATIENCE, connection_args=terms) as asked:
        return await asyncio.wait_for(asked.identity(), _PATIENCE)


def _greet_workers(client, scheduler: str, results: Path) -> None:
    """Make sure that there are workers, that they have the same code, and see the results."""
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError as error:
        raise EcgbookError(
            f"{scheduler}: has no workers; start some with `dask worker {scheduler} --nthreads 1`"
        ) from error
    answers = client.run(_answer, str(results))
    for worker, (code, sees) in answers.items():
        if code != _all_code():
            raise EcgbookError(
                f"{worker}: has another version of ecgbook; install the same one on all workers"
            )
        if not sees:
            raise EcgbookError(f"{worker}: does not see {results}; use a folder that all workers share")


def _answer(results: str) -> tuple[str, bool]:
    return _all_code(), (Path(results) / "headline.json").is_file()


def _all_code() -> str:
    here = Path(__file__).parent
    names = sorted({name for names in _CODE.values() for name in names} | {"study"})
    return _digest(
        "".join(publish.code_digest((here / f"{name}.py").read_text(encoding="utf-8")) for name in names)
    )


def _dask(client):
    """joblib's Dask backend, made to pass on jobs that were lost; as it stands it would wait for them for ever."""
    from joblib._dask import DaskDistributedBackend

    class Telling(DaskDistributedBackend):
        def effective_n_jobs(self, n_jobs):
            return max(2, super().effective_n_jobs(n_jobs))  # for one job at a time joblib would compute here

        def submit(self, func, callback=None):
            future = super().submit(func, callback)
            future.add_done_callback(lambda done: done.exception() and callback(done.exception()))
            return future

    return Telling(client=client)


@contextmanager
def _cluster_losses_told(scheduler: str) -> Iterator[None]:
    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    again = "finished folds are kept, so mend it and run again"
    try:
        yield
    except KilledWorker as error:
        raise EcgbookError(
            f"{scheduler}: several workers died over the same fold, perhaps for lack of memory; {again}"
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise EcgbookError(f"{scheduler}: was lost; {again}") from error
    except ImportError as error:
        raise EcgbookError(f"{scheduler}: a worker lacks a package ({error}); install it there") from error


# %% [markdown]
# ## How far a run has come


# %%
class Mark(NamedTuple):
    """How far a training has come: epochs done, of at most so many, and when the last one ended (seconds, Unix)."""

    epoch: int
    epochs: int
    at: float


class State(NamedTuple):
    """How far a run has come.

    Attributes
    ----------
    begun, finished : bool
        Whether there is a note of it; whether it is complete.
    done, folds : int
        Folds done, of all.
    trainings : dict
        (repeat, fold) -> :class:`Mark` of each training that is not over.
    wall_s : float
        Seconds of computing so far, the folds one after the other.
    """

    begun: bool
    finished: bool
    done: int
    folds: int
    trainings: dict[tuple[int, int], Mark]
    wall_s: float

    def __str__(self) -> str:
        if self.finished:
            return "finished"
        return f"{self.done} of {self.folds} folds" if self.begun else "not run here"


def state(name: str, results: Path = RESULTS, studies: dict[str, Study] | None = None) -> State:
    """Look how far a run has come, while it is going on or at any other time.

    Parameters
    ----------
    name : str
        From :data:`DECLARED`.
    results : pathlib.Path
        Folder of the results.
    studies : dict, optional
        Declarations to use instead of :data:`DECLARED`.

    Returns
    -------
    State

    Raises
    ------
    EcgbookError
        No such run, or a note that is no JSON.

    Examples
    --------
    >>> print(state("peer-headline", Path("no such folder")))
    not run here
    """
    studies = DECLARED if studies is None else studies
    if name not in studies:
        _refuse_unknown(name, studies)
    study, folder = studies[name], results / name
    note, keys = _read_note(folder), _keys(study)
    if note is None:
        return State(False, False, 0, len(keys), {}, 0.0)
    if "predictions_sha256" in note:
        return State(True, True, len(keys), len(keys), {}, float(note.get("wall_s", 0)))
    places = [_Place(folder, *key) for key in keys]
    walls = [wall for place in places if (wall := _wall(place.path())) is not None]
    trainings = {place[1:3]: mark for place in places if (mark := _mark(place)) is not None}
    spent = sum(walls) + sum(_spent(_Place(folder, *key)) for key in trainings)
    return State(True, False, len(walls), len(keys), trainings, spent)


def _wall(path: Path) -> float | None:
    """Seconds a finished fold took; None if it is not there."""
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["wall_s"])
    except OSError:
        return None
    except (ValueError, KeyError, TypeError):
        return 0.0  # a fold changed by hand is refused when the run is continued


def _mark(place: _Place) -> Mark | None:
    path, mark = place.path(".epoch"), _read_mark(place.path(".epoch"))
    try:
        return Mark(mark["epoch"], mark["epochs"], path.stat().st_mtime) if mark else None
    except FileNotFoundError:  # the training has ended since
        return None


def finished(names: Sequence[str] | None = None, results: Path = RESULTS) -> list[str]:
    """Name the finished runs among those given, or among all declared ones, in the order given.

    Examples
    --------
    >>> finished(["peer-headline"], Path("no such folder"))
    []
    """
    return [name for name in (DECLARED if names is None else names) if is_finished(results / name)]


# %% [markdown]
# ## Loading
# Everything a run left is checked against its digest before it is used.


# %%
def load(name: str, results: Path = RESULTS) -> pd.DataFrame:
    """Load the predictions of a finished run.

    Parameters
    ----------
    name : str
        Folder in `results`.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`ecgbook.evaluate.COLUMNS`.

    Raises
    ------
    EcgbookError
        No such run, an unfinished one, or predictions that do not fit the digest in ``run.json``.
    """
    return evaluate.check(pd.read_csv(_sound(name, "predictions.csv", results)), name)


def history(name: str, results: Path = RESULTS) -> pd.DataFrame:
    """Load how the networks of a finished run were trained.

    Parameters
    ----------
    name, results
        As for :func:`load`.

    Returns
    -------
    pandas.DataFrame
        One row for each repeat, fold and epoch: ``repeat``, ``fold``, ``epoch`` from 1, ``train_loss``, ``val_loss``,
        ``val_accuracy``, ``lr``.

    Raises
    ------
    EcgbookError
        As :func:`load`, or a run that trained no network.
    """
    return pd.read_csv(_sound(name, "history.csv", results))


def features(name: str, repeat: int = 0, fold: int = 0, results: Path = RESULTS) -> pd.DataFrame:
    """Load the features of the 491 distinct pages that a network left when its fold was finished.

    Parameters
    ----------
    name, results
        As for :func:`load`.
    repeat, fold : int
        Which of its networks.

    Returns
    -------
    pandas.DataFrame of float32
        Index: file names of the distinct pages.

    Raises
    ------
    EcgbookError
        As :func:`load`, or a run that kept no features, or not of this fold.
    """
    return hybrid.stored_features(_sound(name, "features.npz", results), repeat, fold)


def _sound(name: str, file: str, results: Path) -> Path:
    """A file of a finished run, its digest checked."""
    note, path = _read_note(results / name), results / name / file
    if note is None or "predictions_sha256" not in note:
        what = "no such run" if note is None else "is not finished"
        raise EcgbookError(f"{results / name}: {what}; make it with `ecgbook study run {name}`")
    key = f"{path.stem}_sha256"
    if key not in note:
        raise EcgbookError(f"{name}: left no {file}; only trained networks do")
    if not path.is_file() or _file_digest(path) != note[key]:
        raise EcgbookError(f"{path}: was changed by hand; remove the folder and run again")
    return path


def leaderboard(results: Path = RESULTS) -> dict[str, pd.DataFrame]:
    """Load all finished runs: name -> predictions, in the order of their declaration."""
    return {name: load(name, results) for name in finished(results=results)}


def main(arguments: list[str]) -> int:
    """Run the named studies, or all of :data:`STUDIES`; ``ecgbook study run`` does the same, and shows more."""
    try:
        for folder in run(select(arguments)):  # type: ignore[union-attr]
            print(folder)
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    from ecgbook import study  # workers find the functions under their package name

    sys.exit(study.main(sys.argv[1:]))
