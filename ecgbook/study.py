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
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecgbook import data, evaluate, models, publish, splits
from ecgbook.data import CLASSES, EcgbookError, write_whole

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
        Names in :data:`ecgbook.models.MODELS` and :data:`ecgbook.models.INPUTS`.
    repeats, folds : int
        How often the ECGs are dealt anew, and into how many folds; 1 fold is a single split.
    what_for : str
        Why it is run: for the log of outer evaluations.
    seed : int
        Of all that is drawn while fitting; dealing is seeded by the repeat.
    """

    protocol: str
    model: str
    input: str
    repeats: int
    folds: int
    what_for: str
    seed: int = 0


_NESTED = ("logistic", "svm", "forest", "extra trees", "xgboost")

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
}


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


def _fold_text(study: Study, repeat: int, fold: int) -> str:
    """Predictions of one fold of a study as CSV without a head, probabilities with five decimals."""
    from threadpoolctl import threadpool_limits

    frame = _frame(study.protocol)
    X = models.features(study.input).loc[frame["first_copy"]].set_axis(frame.index)
    with threadpool_limits(1):
        model = models.build(study.model, study.seed)
        rows = predict_fold(model, X, frame, deal(study)[repeat, fold], study.protocol)
    rows = rows.assign(repeat=repeat, fold=fold)[evaluate.COLUMNS]
    return rows.to_csv(index=False, header=False, float_format="%.5f", lineterminator="\n")


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


def _do_fold(study: Study, folder: Path, repeat: int, fold: int) -> None:
    started = time.monotonic()
    text = _fold_text(study, repeat, fold)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform != "darwin" else 1024**2
    )
    done = {"sha256": _digest(text), "wall_s": time.monotonic() - started, "peak_rss_mb": peak, "rows": text}
    write_whole(_fold_path(folder, repeat, fold), json.dumps(done))


def _read_fold(path: Path) -> dict:
    done = json.loads(path.read_text(encoding="utf-8"))
    if _digest(done["rows"]) != done["sha256"]:
        raise EcgbookError(f"{path}: was changed after it was written; remove it and run again")
    return done


# %% [markdown]
# ## What a result depends on
# The note records digests of the code that decides a prediction (blind to comments and layout), and of the tables.
# A run begun with other code or tables is not continued: half of it would answer another question.

# %%
_CODE = ("splits", "models", "study")
_TABLES = ("manifest.csv", "measurements.csv", "median_beats.npz")
_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "xgboost")


def _code() -> dict[str, str]:
    here = Path(__file__).parent
    return {name: publish.code_digest((here / f"{name}.py").read_text(encoding="utf-8")) for name in _CODE}


def _tables() -> dict[str, str]:
    return {
        name: hashlib.sha256((data.tables() / name).read_bytes()).hexdigest()[:16] for name in _TABLES
    } | {"groups": _digest(data.pages().to_csv(columns=["file", "label", "group"]))[:16]}


def _note(run: str, study: Study) -> dict:
    """What is known when a run begins."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "run": run,
        "task": "classify",
        **{key: getattr(study, key) for key in ("model", "input", "protocol")},
        "weights": "none",
        **{key: getattr(study, key) for key in ("seed", "folds", "repeats")},
        "command": f"python -m ecgbook.study {run}",
        "code": _code(),
        "data": _tables(),
        "versions": {"python": platform.python_version(), **versions},
        "device": f"cpu, {platform.machine()}",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


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
    new, old = _note(run, study), _read_note(folder)
    if old is None:
        (folder / "folds").mkdir(parents=True, exist_ok=True)
        write_whole(folder / "run.json", json.dumps(new, indent=1) + "\n")
        return new
    same = ("model", "input", "protocol", "seed", "folds", "repeats", "code", "data")
    other = [key for key in same if old.get(key) != new[key]]
    if other:
        raise EcgbookError(
            f"{folder}: was begun with other {', '.join(other)}; remove the folder and run again"
        )
    (folder / "folds").mkdir(exist_ok=True)
    return old


def _finish(study: Study, folder: Path, note: dict) -> None:
    parts = [_read_fold(_fold_path(folder, *key)) for key in deal(study)]
    text = ",".join(evaluate.COLUMNS) + "\n" + "".join(part["rows"] for part in parts)
    evaluate.check(pd.read_csv(io.StringIO(text)), str(folder))
    write_whole(folder / "predictions.csv", text)
    note |= {
        "wall_s": round(sum(part["wall_s"] for part in parts), 1),  # of the folds, one after the other
        "peak_rss_mb": round(max(part["peak_rss_mb"] for part in parts)),
        "predictions_sha256": _digest(text),
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
# Two folds at a time, one thread each. A finished run is left alone.


# %%
def run(name: str, results: Path = RESULTS, jobs: int = 2, studies: dict[str, Study] | None = None) -> Path:
    """Run a declared study, or what is missing of it.

    Parameters
    ----------
    name : str
        One of :data:`STUDIES`.
    results : pathlib.Path
        Folder of the results; must hold ``headline.json``.
    jobs : int, default 2
        Folds done at a time.
    studies : dict, optional
        Declarations to use instead of :data:`STUDIES`.

    Returns
    -------
    pathlib.Path
        The folder of the run.

    Raises
    ------
    EcgbookError
        No such study, no headline named, a folder begun with other code or data or changed by hand.
    """
    from joblib import Parallel, delayed

    studies = STUDIES if studies is None else studies
    study = studies[models._known(name, studies, "study")]
    _require_headline(results)
    folder = results / name
    if is_finished(folder):
        load(name, results)  # refuses what was changed by hand
        return folder
    is_new = _read_note(folder) is None
    note = _begin(name, study, folder)
    if is_new:
        _log(name, study, note, results)
    todo = [key for key in deal(study) if not _fold_path(folder, *key).exists()]
    Parallel(jobs)(delayed(_do_fold)(study, folder, *key) for key in todo)
    _finish(study, folder, note)
    return folder


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
        for name in arguments or STUDIES:
            print(run(name))
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the worker processes
    from ecgbook import study  # workers find the functions under their package name

    sys.exit(study.main(sys.argv[1:]))
