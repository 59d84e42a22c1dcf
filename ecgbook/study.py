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

import hashlib
import importlib.metadata
import io
import json
import os
import platform
import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
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


# %%
class Fold(NamedTuple):
    """What one fold leaves: predictions and training history as CSV without a head, and features (491, d)."""

    rows: str
    history: str = ""
    features: np.ndarray | None = None


def _kind(study: Study) -> str:
    if study.model in networks.NETWORKS:
        return "network"
    return "hybrid" if study.model in hybrid.MODELS else "table"


def _text(frame: pd.DataFrame, repeat: int, fold: int, columns: list[str]) -> str:
    """CSV without a head, numbers with five decimals."""
    frame = frame.assign(repeat=repeat, fold=fold)[columns]
    return frame.to_csv(index=False, header=False, float_format="%.5f", lineterminator="\n")


def _fit_fold(study: Study, X: pd.DataFrame, model, repeat: int, fold: int) -> Fold:
    """Fit a classifier on rows of a table."""
    from threadpoolctl import threadpool_limits

    frame = _frame(study.protocol)
    X = X.loc[frame["first_copy"]].set_axis(frame.index)
    with threadpool_limits(1):
        rows = predict_fold(model, X, frame, deal(study)[repeat, fold], study.protocol)
    return Fold(_text(rows, repeat, fold, evaluate.COLUMNS))


def _table_fold(study: Study, repeat: int, fold: int, folder: Path) -> Fold:
    model = models.build(study.model, study.seed)
    return _fit_fold(study, models.features(study.input), model, repeat, fold)


def _hybrid_fold(study: Study, repeat: int, fold: int, folder: Path) -> Fold:
    source = _source(study)
    if source is None:
        X = hybrid.lite0_features()
    else:
        X = hybrid.stored_features(folder.parent / source / "features.npz", repeat, fold)
    return _fit_fold(study, X, hybrid.build(study.model, study.seed), repeat, fold)


def _source(study: Study) -> str | None:
    """The run whose features a hybrid takes; None for the carried ones."""
    return study.input.removeprefix("features of ") if study.input.startswith("features of ") else None


def _network_fold(study: Study, repeat: int, fold: int, folder: Path) -> Fold:
    import torch

    torch.set_num_threads(max(1, int(os.environ.get("OMP_NUM_THREADS", "1"))))
    frame, split, seed = _frame(study.protocol), deal(study)[repeat, fold], study.seed + repeat
    shown = inputs.pixels(study.input, frame)
    y = frame["label"].map({label: k for k, label in enumerate(CLASSES)}).to_numpy()
    network = networks.build(study.model, study.weights, seed, inputs.INPUTS[study.input].parts)
    history = train.fit(
        network,
        (shown[split.train], y[split.train]),
        (shown[split.val], y[split.val]),
        study.recipe,
        seed,
        state=_fold_path(folder, repeat, fold).with_suffix(".pt"),
        progress=lambda epoch, epochs: _mark(folder, repeat, fold, epoch, epochs),
    )
    rows = [
        _rows(frame, getattr(split, part), part, networks.probabilities(network, shown[getattr(split, part)]))
        for part in ("val", "test")
    ]
    distinct = shown[np.flatnonzero(frame["file"] == frame["first_copy"])] if study.keeps else None
    return Fold(
        _text(pd.concat(rows), repeat, fold, evaluate.COLUMNS),
        _text(history, repeat, fold, HISTORY),
        None if distinct is None else networks.embed(network, distinct).astype(np.float16),
    )


HISTORY = ["repeat", "fold", *train.HISTORY]
_FOLDS = {"table": _table_fold, "network": _network_fold, "hybrid": _hybrid_fold}


# %% [markdown]
# ## A finished fold is the unit
# Power fails, machines are shut down. Each finished fold is written at once, under a temporary name that is then
# changed, so a fold is there whole or not at all; the next start does only what is missing. When all folds are there
# they are joined to `predictions.csv`, and the digest of this file is entered in `run.json` last of all: a run with
# a digest is finished. A later edit by hand no longer fits its digest and is refused.


# %%
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _fold_path(folder: Path, repeat: int, fold: int) -> Path:
    return folder / "folds" / f"{repeat}-{fold}.json"


def _mark(folder: Path, repeat: int, fold: int, epoch: int, epochs: int) -> None:
    """Leave a word on how far a training has come, for `status`."""
    path = _fold_path(folder, repeat, fold).with_suffix(".epoch")
    write_whole(path, json.dumps({"epoch": epoch, "epochs": epochs}))


def _do_fold(study: Study, folder: Path, repeat: int, fold: int) -> None:
    started, path = time.monotonic(), _fold_path(folder, repeat, fold)
    result = _FOLDS[_kind(study)](study, repeat, fold, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform != "darwin" else 1024**2
    )
    if result.features is not None:
        with writing(path.with_suffix(".npy")) as part, open(part, "wb") as stream:
            np.save(stream, result.features)
    done = {
        "sha256": _digest(result.rows + result.history),
        "wall_s": time.monotonic() - started,
        "peak_rss_mb": peak,
        "code": _code(study),
        "rows": result.rows,
        "history": result.history,
    }
    write_whole(path, json.dumps(done))
    for suffix in (".pt", ".epoch"):  # the state of a training that is over
        path.with_suffix(suffix).unlink(missing_ok=True)


def _read_fold(path: Path) -> dict:
    done = json.loads(path.read_text(encoding="utf-8"))
    if _digest(done["rows"] + done["history"]) != done["sha256"]:
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
        files[f"{source}/features.npz"] = results / source / "features.npz"
        if not is_finished(results / source):
            raise EcgbookError(f"{source}: is not finished; run it first, its features are needed")
    groups = _digest(data.pages().to_csv(columns=["file", "label", "group"]))[:16]
    return {name: _file_digest(path)[:16] for name, path in files.items()} | {"groups": groups}


def _terms(study: Study) -> dict:
    """What a network's folds must have in common beside the tables."""
    if _kind(study) != "network":
        return {}
    return {
        "recipe": study.recipe,
        "settings": train.RECIPES[study.recipe]._asdict(),
        "shown": inputs.describe(study.input),
    }


def _note(run: str, study: Study, results: Path) -> dict:
    """What is known when a run begins."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES[_kind(study)]}
    return {
        "run": run,
        "task": "classify",
        **{key: getattr(study, key) for key in ("model", "input", "protocol", "weights")},
        **_terms(study),
        **{key: getattr(study, key) for key in ("seed", "folds", "repeats")},
        "command": f"ecgbook study run {run}",
        "code": _code(study),
        "data": _tables(study, results),
        "versions": {"python": platform.python_version(), **versions},
        "device": _device(study),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _device(study: Study) -> str:
    """The machine, in words."""
    if _kind(study) == "network" and networks.device() == "cuda":
        import torch

        return f"cuda, {torch.cuda.get_device_name()}"
    return f"cpu, {platform.machine()}"


def _read_note(folder: Path) -> dict | None:
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except json.JSONDecodeError as error:
        raise EcgbookError(
            f"{folder / 'run.json'}: is no JSON ({error}); remove the folder and run again"
        ) from error


def _begin(run: str, study: Study, folder: Path) -> dict:
    """Write a new note, or check that the old one describes the same experiment."""
    new, old = _note(run, study, folder.parent), _read_note(folder)
    if old is None:
        (folder / "folds").mkdir(parents=True, exist_ok=True)
        write_whole(folder / "run.json", json.dumps(new, indent=1) + "\n")
        return new
    same = ["model", "input", "protocol", "weights", "seed", "folds", "repeats", "data", *_terms(study)]
    same += [] if _kind(study) == "network" else ["code"]
    other = [key for key in same if old.get(key) != new[key]]
    if other:
        raise EcgbookError(
            f"{folder}: was begun with other {', '.join(other)}; remove the folder and run again"
        )
    (folder / "folds").mkdir(exist_ok=True)
    return old


def _finish(study: Study, folder: Path, note: dict) -> None:
    paths = {key: _fold_path(folder, *key) for key in deal(study)}
    parts = {key: _read_fold(path) for key, path in paths.items()}
    text = ",".join(evaluate.COLUMNS) + "\n" + "".join(part["rows"] for part in parts.values())
    evaluate.check(pd.read_csv(io.StringIO(text)), str(folder))
    write_whole(folder / "predictions.csv", text)
    note["predictions_sha256"] = _digest(text)
    if _kind(study) == "network":
        write_whole(
            folder / "history.csv", ",".join(HISTORY) + "\n" + "".join(p["history"] for p in parts.values())
        )
        note["history_sha256"] = _file_digest(folder / "history.csv")
        other = {f"{r}-{f}": p["code"] for (r, f), p in parts.items() if p["code"] != note["code"]}
        note |= {"code_of_folds": other} if other else {}
    if study.keeps:
        features = {f"{r}-{f}": np.load(path.with_suffix(".npy")) for (r, f), path in paths.items()}
        with writing(folder / "features.npz") as part, open(part, "wb") as stream:
            np.savez_compressed(stream, **features)
        note["features_sha256"] = _file_digest(folder / "features.npz")
    note |= {
        "wall_s": round(
            sum(part["wall_s"] for part in parts.values()), 1
        ),  # of the folds, one after the other
        "peak_rss_mb": round(max(part["peak_rss_mb"] for part in parts.values())),
    }
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
    shutil.rmtree(folder / "folds")


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
) -> Path | list[Path]:
    """Run declared studies, or what is missing of them.

    Parameters
    ----------
    name : str or sequence of str
        From :data:`STUDIES`.
    results : pathlib.Path
        Folder of the results; must hold ``headline.json``.
    jobs : int, default 2
        Folds done at a time. Under ``joblib.parallel_config`` with another backend, that backend's number counts.
    studies : dict, optional
        Declarations to use instead of :data:`STUDIES`.
    progress : function, optional
        Called as ``progress(done, total)`` with numbers of folds.

    Returns
    -------
    pathlib.Path or list of pathlib.Path
        The folder of each run.

    Raises
    ------
    EcgbookError
        No such study, no headline named, a folder begun with other code or data or changed by hand.
    """
    studies = STUDIES if studies is None else studies
    names = [name] if isinstance(name, str) else list(name)
    for one in names:
        models._known(one, studies, "study")
    _require_headline(results)
    for stage in _stages(names, studies):
        _run_stage(stage, results, jobs, progress)
    folders = [results / one for one in names]
    return folders[0] if isinstance(name, str) else folders


def _stages(names: Sequence[str], studies: dict[str, Study]) -> list[dict[str, Study]]:
    """First what takes nothing from other runs, then the hybrids on features of networks."""
    chosen = {name: studies[name] for name in names}
    later = {name: study for name, study in chosen.items() if _source(study) is not None}
    return [{name: study for name, study in chosen.items() if name not in later}, later]


def _run_stage(stage: dict[str, Study], results: Path, jobs: int, progress) -> None:
    from joblib import Parallel, delayed

    todo, notes, total = [], {}, 0
    for name, study in stage.items():
        if is_finished(results / name):
            load(name, results)  # refuses what was changed by hand
            continue
        notes[name] = _start(name, study, results)
        keys = list(deal(study))
        total += len(keys)
        todo += [(name, key) for key in keys if not _fold_path(results / name, *key).exists()]
    done = total - len(todo)
    calls = (delayed(_do_named)(name, stage[name], results, key) for name, key in todo)
    for name in Parallel(jobs, batch_size=1, return_as="generator_unordered")(calls):
        done += 1
        if progress is not None:
            progress(done, total)
        if _is_whole(stage[name], results / name):
            _finish(stage[name], results / name, notes.pop(name))
    for name, note in notes.items():
        _finish(stage[name], results / name, note)


def _start(name: str, study: Study, results: Path) -> dict:
    is_new = _read_note(results / name) is None
    note = _begin(name, study, results / name)
    if is_new:
        _log(name, study, note, results)
    return note


def _do_named(name: str, study: Study, results: Path, key: tuple[int, int]) -> str:
    _do_fold(study, results / name, *key)
    return name


def _is_whole(study: Study, folder: Path) -> bool:
    return all(_fold_path(folder, *key).exists() for key in deal(study))


def is_finished(folder: Path) -> bool:
    """Say whether a run is complete: its note holds the digest of its predictions."""
    return "predictions_sha256" in (_read_note(folder) or {})


# %% [markdown]
# ## Loading


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
    folder = results / name
    note = _read_note(folder)
    if note is None or "predictions_sha256" not in note:
        state = "no such run" if note is None else "is not finished"
        raise EcgbookError(f"{folder}: {state}; make it with python -m ecgbook.study {name}")
    try:
        text = (folder / "predictions.csv").read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    if _digest(text) != note["predictions_sha256"]:
        raise EcgbookError(
            f"{folder / 'predictions.csv'}: was changed by hand; remove the folder and run again"
        )
    return evaluate.check(pd.read_csv(io.StringIO(text)), name)


def leaderboard(results: Path = RESULTS) -> dict[str, pd.DataFrame]:
    """Load all finished runs: name -> predictions, the declared ones in the order of their declaration."""
    present = [name for name in STUDIES if is_finished(results / name)]
    return {name: load(name, results) for name in present}


def main(arguments: list[str]) -> int:
    """Run the named studies, or all that are declared."""
    try:
        for folder in run(arguments or list(STUDIES)):
            print(folder)
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the worker processes
    from ecgbook import study  # workers find the functions under their package name

    sys.exit(study.main(sys.argv[1:]))
