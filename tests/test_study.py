"""Declared experiments: resumed, refused when edited, complete, honest."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgbook import data, evaluate, models, publish, splits, study
from ecgbook.data import EcgbookError

QUICK = {"quick": study.Study("grouped", "guideline", "measurements", 2, 3, "a test")}
STORED = [name for name in study.STUDIES if study.is_finished(study.RESULTS / name)]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "headline.json").write_text("{}")
    return tmp_path


def test_a_run_leaves_sound_predictions_of_every_page(results):
    folder = study.run("quick", results, jobs=1, studies=QUICK)
    frame = study.load("quick", results)
    assert list(frame.columns) == evaluate.COLUMNS
    assert frame[frame["part"] == "test"].groupby("repeat")["file"].nunique().tolist() == [491, 491]
    assert np.allclose(frame[evaluate.PROBABILITIES].sum(axis=1), 1, atol=1e-3)
    assert sorted(path.name for path in folder.iterdir()) == ["predictions.csv", "run.json"]
    note = json.loads((folder / "run.json").read_text())
    named = {
        "run",
        "task",
        "model",
        "input",
        "protocol",
        "weights",
        "seed",
        "folds",
        "repeats",
        "command",
        "code",
    }
    named |= {"data", "versions", "device", "wall_s", "peak_rss_mb", "started"}
    assert named <= set(note)


def test_a_finished_run_is_left_alone_and_logged_once(results):
    folder = study.run("quick", results, jobs=1, studies=QUICK)
    before = (folder / "run.json").read_bytes()
    study.run("quick", results, jobs=1, studies=QUICK)
    assert (folder / "run.json").read_bytes() == before
    assert pd.read_csv(results / "outer_log.csv")["run"].tolist() == ["quick"]


def test_nothing_is_scored_before_the_headline_is_named(tmp_path):
    with pytest.raises(EcgbookError, match="name the headline"):
        study.run("quick", tmp_path, studies=QUICK)
    assert not list(tmp_path.iterdir())


_SLOW = """
import sys, time
from pathlib import Path
from ecgbook import study
real = study._fold_text
def slow(*arguments):
    text = real(*arguments)
    time.sleep(0.3)
    return text
study._fold_text = slow
studies = {"quick": study.Study("grouped", "guideline", "measurements", 2, 3, "a test")}
study.run("quick", Path(sys.argv[1]), jobs=1, studies=studies)
"""


def test_a_killed_run_is_resumed_to_the_same_bytes(results, tmp_path_factory):
    environment = os.environ | {"PYTHONPATH": str(publish.ROOT)}
    with subprocess.Popen([sys.executable, "-c", _SLOW, str(results)], env=environment) as process:
        done = results / "quick" / "folds"
        deadline = time.monotonic() + 60
        while len(list(done.glob("[0-9]*.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in done.glob("[0-9]*.json")}
    assert 2 <= len(kept) < 6
    with pytest.raises(EcgbookError, match="not finished"):
        study.load("quick", results)
    seen = []
    real = study._do_fold
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "_do_fold", lambda *a: (seen.append(a[2:]), real(*a)))
        study.run("quick", results, jobs=1, studies=QUICK)
    assert len(seen) == 6 - len(kept)  # finished folds were not done again
    other = tmp_path_factory.mktemp("whole")
    (other / "headline.json").write_text("{}")
    study.run("quick", other, jobs=1, studies=QUICK)
    whole, resumed = ((root / "quick" / "predictions.csv").read_bytes() for root in (other, results))
    assert resumed == whole


def test_predictions_edited_by_hand_are_refused(results):
    folder = study.run("quick", results, jobs=1, studies=QUICK)
    path = folder / "predictions.csv"
    path.write_text(path.read_text().replace("0.97000", "0.96000", 1))
    with pytest.raises(EcgbookError, match="changed by hand"):
        study.load("quick", results)
    with pytest.raises(EcgbookError, match="changed by hand"):
        study.run("quick", results, studies=QUICK)


def test_a_finished_fold_edited_by_hand_is_refused(results):
    quick = QUICK["quick"]
    folder = results / "quick"
    study._begin("quick", quick, folder)
    study._do_fold(quick, folder, 0, 0)
    path = folder / "folds" / "0-0.json"
    path.write_text(path.read_text().replace("0.97000", "0.96000", 1))
    with pytest.raises(EcgbookError, match="changed after it was written"):
        study.run("quick", results, jobs=1, studies=QUICK)


def test_a_run_begun_with_other_tables_is_not_continued(results, monkeypatch):
    study._begin("quick", QUICK["quick"], results / "quick")
    monkeypatch.setattr(study, "_tables", lambda: {"measurements.csv": "another"})
    with pytest.raises(EcgbookError, match="other data"):
        study.run("quick", results, jobs=1, studies=QUICK)


@pytest.mark.parametrize("protocol", ["grouped", "batches"])
def test_no_group_stands_on_two_sides(protocol):
    pages = data.pages()
    for split in study.deal(study.Study(protocol, "majority", "beats", 2, 3, "a test")).values():
        group = [set(pages["group"].iloc[rows]) for rows in split]
        assert not (group[0] | group[1]) & group[2]
        assert not group[0] & group[1]


def test_a_batch_is_tested_by_a_model_that_saw_none_of_it():
    pages = data.pages()
    dealt = study.deal(study.STUDIES["batches-headline"])
    assert sorted(row for split in dealt.values() for row in split.test) == list(range(491))
    for split in dealt.values():
        trained = np.concatenate([split.train, split.val])
        assert not set(pages["batch"].iloc[trained]) & set(pages["batch"].iloc[split.test])


class Memory:
    """A model that remembers the rows it was fitted on, and calls everything else MI."""

    classes_ = np.arange(4)

    def __init__(self, fits=None):
        self.fits = [] if fits is None else fits

    def get_params(self, deep=False):
        return {"fits": self.fits}

    def fit(self, X, y):
        self.fits.append(set(X.index))
        return self

    def predict_proba(self, X):
        assert not self.fits[-1] & set(X.index), "predicts a row it was fitted on"
        return np.tile([1.0, 0, 0, 0], (len(X), 1))


@pytest.mark.parametrize("protocol", ["paper", "unique", "grouped"])
def test_no_page_is_predicted_by_a_model_fitted_on_it(protocol, monkeypatch):
    import sklearn.base

    monkeypatch.setattr(sklearn.base, "clone", lambda model: model)
    frame = study._frame(protocol)
    split = splits.holdout(protocol, frame)
    model = Memory()
    study.predict_fold(model, frame[["bytes"]], frame, split, protocol)
    assert model.fits[0] == set(split.train)
    both = set(split.train) | set(split.val)
    assert model.fits[1:] == ([] if protocol == "paper" else [both])


def test_a_model_taught_random_labels_scores_chance():
    pages = data.pages()
    pages["label"] = np.random.default_rng(1).permutation(pages["label"])
    X = models.features("all").loc[pages["file"]].reset_index(drop=True)
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.pipeline import make_pipeline

    trees = ExtraTreesClassifier(60, max_features=0.05, random_state=0)
    model = make_pipeline(models._only(models._measured), trees)
    frames = []
    for fold, split in enumerate(splits.folds("grouped", pages)):
        rows = study.predict_fold(model, X, pages, split, "grouped")
        frames.append(rows.assign(repeat=0, fold=fold))
    scored = evaluate.metrics(pd.concat(frames))
    assert abs(scored["macro_auc"] - 0.5) < 0.08
    assert scored["accuracy"] < 0.5


DEAL = study.deal


@functools.cache
def _dealt(protocol: str, repeats: int, folds: int) -> dict:
    """Deal once for all runs that share a dealing."""
    return DEAL(study.Study(protocol, "any", "any", repeats, folds, "a test"))


@pytest.mark.parametrize("name", list(study.STUDIES))
def test_stored_run_is_complete_for_its_protocol(name):
    frame, declared = study.load(name), study.STUDIES[name]
    dealt = _dealt(declared.protocol, declared.repeats, declared.folds)
    files = study._frame(declared.protocol)["file"].to_numpy()
    for key, rows in frame.groupby(["repeat", "fold"]):
        for part, expected in (("val", dealt[key].val), ("test", dealt[key].test)):
            assert set(rows.loc[rows["part"] == part, "file"]) == set(files[expected])
    assert len(frame.groupby(["repeat", "fold"])) == len(dealt)
    note = json.loads((study.RESULTS / name / "run.json").read_text())
    assert {key: note[key] for key in declared._fields if key in note} == {
        key: value for key, value in declared._asdict().items() if key in note
    }
    assert note["data"] == study._tables(), "the tables changed since: run it again"


@pytest.mark.parametrize("name", ["grouped-guideline", "grouped-heart-rate", "grouped-majority"])
def test_stored_fold_is_what_the_code_gives(name, monkeypatch):
    declared = study.STUDIES[name]
    monkeypatch.setattr(study, "deal", lambda one: _dealt(one.protocol, one.repeats, one.folds))
    text = study._fold_text(declared, 0, 0)
    stored = study.load(name)
    stored = stored[(stored["repeat"] == 0) & (stored["fold"] == 0)]
    again = np.array([line.split(",")[-4:] for line in text.splitlines()], float)
    assert np.allclose(stored[evaluate.PROBABILITIES], again, atol=2e-3)


def test_headline_was_named_before_it_was_scored():
    headline = json.loads((study.RESULTS / "headline.json").read_text())
    note = json.loads((study.RESULTS / headline["run"] / "run.json").read_text())
    log = pd.read_csv(study.RESULTS / "outer_log.csv")
    assert headline["named"] < note["started"]
    assert (log["date"] > headline["named"]).all()
    assert headline["code"]["models"] == note["code"]["models"], "the pipeline changed after it was named"
    assert (note["protocol"], note["folds"], note["repeats"]) == ("grouped", 5, 5)


def test_every_stored_run_is_in_the_log():
    log = pd.read_csv(study.RESULTS / "outer_log.csv")
    assert set(STORED) <= set(log["run"])
    assert len(STORED) == len(study.STUDIES)


def test_results_stay_small():
    runs = [study.RESULTS / name for name in study.STUDIES]
    assert sum(path.stat().st_size for run in runs for path in run.iterdir() if path.is_file()) < 10e6
