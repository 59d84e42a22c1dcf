"""Declared experiments: resumed, refused when edited, complete, honest."""

import errno
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgbook import data, evaluate, models, networks, publish, splits, study, train
from ecgbook.data import EcgbookError

QUICK = {"quick": study.Study("grouped", "guideline", "measurements", 2, 3, "a test")}
STORED = study.finished()


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


def test_progress_counts_what_is_there_already(results):
    seen = []
    study.run("quick", results, jobs=1, studies=QUICK, progress=lambda *counts: seen.append(counts))
    assert seen == [(done, 6) for done in range(7)]
    one, folder = QUICK["quick"], results / "again"
    study._begin("again", one, folder)
    study._do_fold(one, study._Place(folder, 1, 2))
    seen.clear()
    again = {**QUICK, "again": one}
    study.run(
        ["quick", "again"], results, jobs=1, studies=again, progress=lambda *counts: seen.append(counts)
    )
    assert seen == [(done, 6) for done in range(1, 7)]


_SLOW = """
import sys, time
from pathlib import Path
from ecgbook import study
real = study._FOLDS["table"]
def slow(*arguments):
    fold = real(*arguments)
    time.sleep(0.3)
    return fold
study._FOLDS["table"] = slow
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
        patch.setattr(study, "_do_fold", lambda *a: (seen.append(a[1:]), real(*a)))
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


@pytest.mark.parametrize("content", [b"file,label\n", b"\xff\xfe\x00", None])
def test_predictions_that_are_another_file_are_refused(results, content):
    path = study.run("quick", results, jobs=1, studies=QUICK) / "predictions.csv"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EcgbookError, match="changed by hand"):
        study.load("quick", results)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00"])
def test_a_note_that_is_no_note_is_refused(results, content):
    (results / "quick").mkdir()
    (results / "quick" / "run.json").write_bytes(content)
    for look in (study.load, lambda name, folder: study.state(name, folder, QUICK)):
        with pytest.raises(EcgbookError, match=r"run\.json: is no .*; remove the folder"):
            look("quick", results)
    with pytest.raises(EcgbookError, match=r"run\.json: is no .*; remove the folder"):
        study.run("quick", results, jobs=1, studies=QUICK)


def test_another_experiment_of_the_same_name_is_refused(results):
    study.run("quick", results, jobs=1, studies=QUICK)
    other = {"quick": QUICK["quick"]._replace(repeats=3)}
    with pytest.raises(EcgbookError, match="other repeats; remove the folder"):
        study.run("quick", results, jobs=1, studies=other)


def test_a_finished_fold_edited_by_hand_is_refused(results):
    quick = QUICK["quick"]
    folder = results / "quick"
    study._begin("quick", quick, folder)
    study._do_fold(quick, study._Place(folder, 0, 0))
    path = folder / "folds" / "0-0.json"
    whole = path.read_text()
    for edited in (whole.replace("0.97000", "0.96000", 1), whole[:-9], "[]", "{}"):
        path.write_text(edited)
        with pytest.raises(EcgbookError, match="changed after it was written"):
            study.run("quick", results, jobs=1, studies=QUICK)
    assert not (folder / "predictions.csv").exists()
    path.unlink()
    study.run("quick", results, jobs=1, studies=QUICK)
    assert len(study.load("quick", results)) > 0


def test_a_run_begun_with_other_tables_is_not_continued(results, monkeypatch):
    study._begin("quick", QUICK["quick"], results / "quick")
    monkeypatch.setattr(study, "_tables", lambda *given: {"measurements.csv": "another"})
    with pytest.raises(EcgbookError, match="other data"):
        study.run("quick", results, jobs=1, studies=QUICK)


def test_a_full_disk_leaves_the_earlier_folds(results, monkeypatch):
    real, written = Path.write_text, []

    def full(path, *arguments, **keywords):
        if path.parent.name == "folds":
            if len(written) == 2:
                real(path, "half")
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written.append(path)
        return real(path, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(EcgbookError, match=r"cannot be written \(no space left on device\)"):
            study.run("quick", results, jobs=1, studies=QUICK)
    folds = sorted((results / "quick" / "folds").iterdir())
    assert [path.name for path in folds] == ["0-0.json", "0-1.json"]
    kept = [path.stat().st_mtime_ns for path in folds]
    real_finish, seen = study._finish, []
    monkeypatch.setattr(
        study, "_finish", lambda *a: (seen.extend(path.stat().st_mtime_ns for path in folds), real_finish(*a))
    )
    study.run("quick", results, jobs=1, studies=QUICK)
    assert seen == kept and study.finished(["quick"], results) == ["quick"]


@pytest.mark.parametrize("moment", ["predictions.csv", "run.json", "tidy"])
def test_a_run_stopped_while_it_is_joined_is_joined_again(results, monkeypatch, moment):
    real = study.write_whole

    class Stopped(Exception):
        pass

    def stopping(path, text):
        if path.name == moment and (moment != "run.json" or "predictions_sha256" in text):
            path.with_name(f".{path.stem}.0a1b2c3d{path.suffix}").write_text(text[:9])  # as a kill leaves it
            raise Stopped
        real(path, text)

    def halfway(folder):
        (folder / "folds" / "0-0.json").unlink()
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(study, "write_whole", stopping)
        if moment == "tidy":
            patch.setattr(study, "_tidy", halfway)
        with pytest.raises(Stopped):
            study.run("quick", results, jobs=1, studies=QUICK)
    assert study.finished(["quick"], results) == (["quick"] if moment == "tidy" else [])
    folder = study.run("quick", results, jobs=1, studies=QUICK)
    assert sorted(path.name for path in folder.iterdir()) == ["predictions.csv", "run.json"]
    assert len(study.load("quick", results)) > 0


def test_a_process_that_is_killed_is_told_in_a_sentence(results, monkeypatch):
    monkeypatch.setattr(study, "_do_named", lambda *job: os._exit(1))
    with pytest.raises(EcgbookError, match=r"a process was killed, .*; finished folds are kept"):
        study.run("quick", results, jobs=2, studies=QUICK)


def test_a_process_does_one_fold_at_a_time(results, monkeypatch):
    under_way, most = [], []

    def fold(one, place):
        under_way.append(place)
        time.sleep(0.05)
        most.append(len(under_way))
        under_way.pop()

    monkeypatch.setattr(study, "_do_fold", fold)
    with ThreadPoolExecutor(3) as threads:
        places = [study._Place(results, 0, number) for number in range(3)]
        list(threads.map(lambda place: study._do_named("quick", QUICK["quick"], place), places))
    assert most == [1, 1, 1]


# ----- what is declared


WRONG = {
    "protocol": ({"protocol": "groupd"}, "groupd: no such protocol; did you mean grouped"),
    "model": ({"model": "resnet19"}, "resnet19: no such model; did you mean resnet1"),
    "input of a table": ({"input": "measurement"}, "no such input of a table; did you mean measurements"),
    "input of a network": ({"model": "resnet18", "input": "pag", "recipe": "paper"}, "did you mean page"),
    "input of a hybrid": (
        {"model": "pca svm", "input": "lite"},
        "no such input of a hybrid; did you mean lite0",
    ),
    "recipe": (
        {"model": "resnet18", "input": "page", "recipe": "papr"},
        "no such recipe; did you mean paper",
    ),
    "weights": (
        {"model": "resnet18", "input": "page", "recipe": "paper", "weights": "imagenett"},
        "no such weights; did you mean imagenet",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_declaration_that_names_what_is_not_there(results, what):
    other, said = WRONG[what]
    with pytest.raises(EcgbookError, match=said):
        study.run("quick", results, studies={"quick": QUICK["quick"]._replace(**other)})
    assert [path.name for path in results.iterdir()] == ["headline.json"]


def test_every_declaration_names_what_is_there():
    for one in study.DECLARED.values():
        study._check(one)
    assert list(study.DECLARED) == [*study.STUDIES, *study.MORE]
    for name, one in study.DECLARED.items():
        assert study._source(one) is None or study.DECLARED[study._source(one)].keeps, name


def test_runs_are_picked_by_pattern():
    assert study.select() == list(study.STUDIES)
    assert study.select(["*-headline", "paper-headline"]) == [
        name for name in study.DECLARED if name.endswith("-headline")
    ]
    assert "unique-resnet18" in study.select(["unique-*"])
    for wrong, said in (
        ("paper-resnet81", "did you mean paper-resnet18"),
        ("q*", "see `ecgbook study list`"),
    ):
        with pytest.raises(EcgbookError, match=f"no such run; {said}"):
            study.select(["peer-headline", wrong])
    with pytest.raises(EcgbookError, match="no such run; did you mean quick"):
        study.run("quik", Path("."), studies=QUICK)


def test_a_hybrid_without_its_features_is_told_before_other_work(results):
    hybrid = study.Study("grouped", "pca svm", "features of net", 1, 3, "a test")
    net = study.Study("grouped", "mobilenet-v3-small", "page", 1, 3, "a test", recipe="paper", keeps=True)
    with pytest.raises(EcgbookError, match="hybrid: takes its features from net, which is not finished"):
        study.run(["quick", "hybrid"], results, studies={**QUICK, "hybrid": hybrid, "net": net})
    with pytest.raises(EcgbookError, match="net: no such run"):
        study.run("hybrid", results, studies={"hybrid": hybrid})
    assert [path.name for path in results.iterdir()] == ["headline.json"]


# ----- networks: a tiny one, on patches that tell their class


_PATCHES = """
import sys
from pathlib import Path
import numpy as np
from ecgbook import inputs, networks, study, train
from ecgbook.data import CLASSES
networks.NETWORKS["tiny"] = networks.Network("torchvision", "shufflenet_v2_x0_5", "fc")
def patches(name, frame, *more):
    rng = np.random.default_rng(0)
    level = frame["label"].map({label: 50 * k for k, label in enumerate(CLASSES)}).to_numpy()
    blocks = rng.integers(0, 100, (len(frame), 4, 4)).repeat(8, axis=1).repeat(8, axis=2)
    return (blocks + level[:, None, None]).astype(np.uint8)
inputs.pixels = patches
train.RECIPES["tiny"] = train.Recipe(epochs=3, batch=32, precision="float32")
net = study.Study(
    "grouped", "tiny", "page", 1, 2, "a test", recipe="tiny", keeps=True
)
"""
_TRAIN = _PATCHES + 'study.run("net", Path(sys.argv[1]), jobs=1, studies={"net": net})\n'


@pytest.fixture(scope="module")
def tiny() -> dict[str, study.Study]:
    """Give the declarations of a tiny network and of a hybrid on its features."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study.inputs, "pixels", study.inputs.pixels)  # to be put back
        patch.setattr(train, "RECIPES", dict(train.RECIPES))
        patch.setattr(networks, "NETWORKS", dict(networks.NETWORKS))
        given = {}
        exec(_PATCHES, given)
        hybrid = study.Study("grouped", "pca svm", "features of net", 1, 2, "a test")
        yield {"net": given["net"], "hybrid": hybrid}


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory) -> Path:
    """Give the results of a training that was killed in an epoch of its second fold, and then gone on with."""
    results = tmp_path_factory.mktemp("killed")
    (results / "headline.json").write_text("{}")
    mark = results / "net" / "folds" / "0-1.epoch"
    environment = os.environ | {"PYTHONPATH": str(publish.ROOT)}
    with subprocess.Popen([sys.executable, "-c", _TRAIN, str(results)], env=environment) as process:
        deadline = time.monotonic() + 120
        while not mark.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and mark.with_suffix(".pt").exists()
    state = study.state("net", results, tiny)
    assert (state.done, state.folds, str(state)) == (1, 2, "1 of 2 folds") and state.wall_s > 0
    assert [(key, one.epochs) for key, one in state.trainings.items()] == [((0, 1), 3)]
    assert 1 <= state.trainings[0, 1].epoch < 3
    before = state.trainings[0, 1].epoch
    epochs = []
    with pytest.MonkeyPatch.context() as patch:
        real = train._step
        patch.setattr(train, "_step", lambda *a: (epochs.append(1), real(*a)))
        study.run("net", results, jobs=1, studies=tiny)
    assert len(epochs) == 3 - before, "finished epochs were not trained again"
    return results


def test_a_killed_training_ends_with_the_same_bytes(trained, tiny, results):
    study.run("net", results, jobs=1, studies=tiny)
    for name in ("predictions.csv", "history.csv"):
        assert (results / "net" / name).read_bytes() == (trained / "net" / name).read_bytes()
    for fold in (0, 1):
        one, other = (study.features("net", 0, fold, where) for where in (results, trained))
        assert one.equals(other) and one.shape == (491, 1024) and one.nunique().max() > 100
    assert sorted(path.name for path in (trained / "net").iterdir()) == [
        "features.npz",
        "history.csv",
        "predictions.csv",
        "run.json",
    ]


def test_a_network_leaves_its_history(trained):
    table = study.history("net", trained)
    assert list(table) == study.HISTORY and len(table) == 6
    for _, rows in table.groupby(["repeat", "fold"]):
        assert rows["epoch"].tolist() == [1, 2, 3] and (rows["lr"] > 0).all()
    note = json.loads((trained / "net" / "run.json").read_text())
    assert note["recipe"] == "tiny" and note["settings"]["epochs"] == 3 and note["device"].startswith("c")


def test_no_thread_of_ours_is_left_set(trained):
    import torch

    threads = torch.get_num_threads()
    with study._one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == threads


def test_a_hybrid_is_fitted_on_what_was_stored(trained, tiny, monkeypatch):
    grids = study.hybrid._GRIDS
    monkeypatch.setitem(grids, "pca svm", (grids["pca svm"][0], {"pca__n_components": [10]}))
    study.run("hybrid", trained, jobs=1, studies=tiny)
    frame = study.load("hybrid", trained)
    assert frame.loc[frame["part"] == "test", "file"].nunique() == 491
    note = json.loads((trained / "hybrid" / "run.json").read_text())
    assert note["data"]["net/features.npz"] == study._file_digest(trained / "net" / "features.npz")[:16]
    with pytest.raises(EcgbookError, match=r"hybrid: left no history\.csv"):
        study.history("hybrid", trained)
    with pytest.raises(EcgbookError, match=r"hybrid: left no features\.npz"):
        study.features("hybrid", results=trained)


@pytest.mark.parametrize("file", ["history.csv", "features.npz"])
@pytest.mark.parametrize("change", ["edited", "cut", "removed"])
def test_what_a_network_left_is_refused_when_changed(trained, tiny, tmp_path, file, change):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "hybrid", ignore_errors=True)
    path = tmp_path / "net" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if change == "edited" else content[:-100])
    if change == "removed":
        path.unlink()
    read = study.history if file == "history.csv" else study.features
    with pytest.raises(EcgbookError, match="was changed by hand; remove the folder and run again"):
        read("net", results=tmp_path)
    if file == "features.npz":
        with pytest.raises(EcgbookError, match="was changed by hand"):
            study.run("hybrid", tmp_path, jobs=1, studies=tiny)


def test_features_of_a_fold_that_is_not_there(trained):
    with pytest.raises(EcgbookError, match="holds no features of repeat 0, fold 7"):
        study.features("net", 0, 7, trained)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"epoch": "x", "epochs": 3}', b'{"epoch": 1}']
)
def test_a_mark_that_is_damaged_does_no_harm(results, content):
    study._begin("quick", QUICK["quick"], results / "quick")
    (results / "quick" / "folds" / "0-0.epoch").write_bytes(content)
    state = study.state("quick", results, QUICK)
    assert state.trainings == {} and str(state) == "0 of 6 folds"


def test_features_of_a_fold_lost_before_they_were_joined(trained, tiny, tmp_path):
    shutil.copytree(trained / "net", tmp_path / "net")
    paths = {key: tmp_path / "net" / "folds" / "{}-{}.json".format(*key) for key in study._keys(tiny["net"])}
    with pytest.raises(EcgbookError, match=r"features of this fold are missing or damaged; remove 0-0\.json"):
        study._join_features(paths, tmp_path / "net" / "features.npz")
    assert study.features("net", results=tmp_path).shape == (491, 1024)  # still the old file


# ----- who stands where


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


@pytest.mark.parametrize("name", STORED)
def test_stored_run_is_complete_for_its_protocol(name):
    frame, declared = study.load(name), study.DECLARED[name]
    dealt = _dealt(declared.protocol, declared.repeats, declared.folds)
    files = study._frame(declared.protocol)["file"].to_numpy()
    for key, rows in frame.groupby(["repeat", "fold"]):
        for part, expected in (("val", dealt[key].val), ("test", dealt[key].test)):
            assert set(rows.loc[rows["part"] == part, "file"]) == set(files[expected])
        assert len(rows) == len(dealt[key].val) + len(dealt[key].test)
    assert len(frame.groupby(["repeat", "fold"])) == len(dealt)
    assert np.allclose(frame[evaluate.PROBABILITIES].sum(axis=1), 1, atol=1e-3)
    labels = data.files().set_index("file")["label"]
    assert (frame["label"].to_numpy() == labels.loc[frame["file"]].to_numpy()).all()
    note = json.loads((study.RESULTS / name / "run.json").read_text())
    assert {key: note[key] for key in declared._fields if key in note} == {
        key: value for key, value in declared._asdict().items() if key in note
    }
    study._require_same(study.RESULTS / name, note, study._facts(declared))
    assert note["data"] == study._tables(declared), "the tables changed since: run it again"


@pytest.mark.parametrize(
    "name", [name for name in STORED if study.DECLARED[name].protocol in ("grouped", "batches")]
)
def test_stored_run_has_no_group_on_two_sides(name):
    frame, declared = study.load(name), study.DECLARED[name]
    pages = data.pages()
    group = pages.set_index("file")["group"]
    dealt = _dealt(declared.protocol, declared.repeats, declared.folds)
    for key, rows in frame.groupby(["repeat", "fold"]):
        sides = {part: set(group.loc[rows.loc[rows["part"] == part, "file"]]) for part in ("val", "test")}
        trained = set(pages["group"].iloc[dealt[key].train])
        assert not sides["test"] & (sides["val"] | trained) and not sides["val"] & trained
    if declared.protocol == "grouped":  # and so a group is tested in one fold alone
        tested = frame[frame["part"] == "test"].assign(group=lambda rows: rows["file"].map(group))
        assert (tested.groupby(["repeat", "group"])["fold"].nunique() == 1).all()


@pytest.mark.parametrize("name", [name for name in STORED if study._kind(study.DECLARED[name]) == "network"])
def test_stored_network_has_its_history(name):
    declared, table = study.DECLARED[name], study.history(name)
    assert list(table) == study.HISTORY and not table.isna().any(axis=None)
    trainings = {key: rows for key, rows in table.groupby(["repeat", "fold"])}
    assert list(trainings) == study._keys(declared)
    recipe = train.RECIPES[declared.recipe]
    for rows in trainings.values():
        assert rows["epoch"].tolist() == list(range(1, len(rows) + 1)) and len(rows) <= recipe.epochs
        waited = len(rows) - 1 - int(np.argmin(rows["val_loss"]))
        assert len(rows) == recipe.epochs or waited == recipe.stop  # it ended for one of two reasons
        assert (rows["lr"] > 0).all() and rows["lr"].iloc[0] == recipe.lr
        assert rows["val_accuracy"].between(0, 1).all()
        assert (rows[["train_loss", "val_loss"]] >= 0).all(axis=None)


@pytest.mark.parametrize("name", [name for name in STORED if study.DECLARED[name].keeps])
def test_stored_features_are_those_of_every_page(name):
    for repeat, fold in study._keys(study.DECLARED[name]):
        frame = study.features(name, repeat, fold)
        assert frame.index.tolist() == data.pages()["file"].tolist() and np.isfinite(frame).all(axis=None)
        assert frame.shape[1] == 1024 and frame.nunique().max() > 100


@pytest.mark.parametrize("name", ["grouped-guideline", "grouped-heart-rate", "grouped-majority"])
def test_stored_fold_is_what_the_code_gives(name, monkeypatch):
    declared = study.STUDIES[name]
    monkeypatch.setattr(study, "deal", lambda one: _dealt(one.protocol, one.repeats, one.folds))
    text = study._table_fold(declared, study._Place(study.RESULTS / name, 0, 0)).rows
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
    assert STORED and set(STORED) <= set(log["run"])
    for name in STORED:
        started = json.loads((study.RESULTS / name / "run.json").read_text())["started"]
        assert started in set(log.loc[log["run"] == name, "date"])


def test_the_leaderboard_is_of_all_finished_runs():
    board = study.leaderboard()
    assert list(board) == STORED
    assert all(list(frame) == evaluate.COLUMNS for frame in board.values())


def test_results_stay_small():
    files = [path for path in study.RESULTS.rglob("*") if path.is_file() and path.suffix != ".pt"]
    assert len(files) > 2 * len(STORED)
    assert sum(path.stat().st_size for path in files) <= 20 * 2**20


def test_every_declared_run_is_finished():
    unfinished = {name for name in study.STUDIES if name not in STORED}
    assert not unfinished, "run `ecgbook study run`"
