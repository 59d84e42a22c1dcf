"""Tests of ecgbook.external: the registered validation on LUDB, and what it stored."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from ecgbook import (
    beats,
    data,
    digitize,
    draw,
    elsewhere,
    evaluate,
    external,
    measure,
    models,
    networks1d,
    study,
    synth,
    trust,
)
from ecgbook.data import CLASSES, EcgbookError
from ecgbook.evaluate import PROBABILITIES

RUNS = {
    external.ZERO_SHOT: ("predictions", "home"),
    external.BREAKDOWN: ("outputs", "abnormal"),
    external.BRIDGE: ("outputs", "pages"),
}

with_ludb = pytest.mark.skipif(not (data.home() / "ludb" / "ludb.csv").is_file(), reason="needs LUDB")


def sure_of(labels) -> pd.DataFrame:
    """Probabilities that call these labels, by record from 1."""
    p = np.full((len(labels), 4), 0.1)
    p[np.arange(len(labels)), [CLASSES.index(label) for label in labels]] = 0.7
    return pd.DataFrame(p, index=pd.RangeIndex(1, len(labels) + 1), columns=PROBABILITIES)


# The verdict and the scores, on answers that are known.


@pytest.mark.parametrize(
    ("low", "estimate", "word"),
    [
        (0.51, 0.6, "good"),
        (0.5, 0.6, "partial"),
        (0.1, 0.51, "partial"),
        (0.1, 0.5, "failed"),
        (0, 0.2, "failed"),
    ],
)
def test_the_verdict_is_that_of_the_registered_rule(low, estimate, word):
    assert external.verdict(low, estimate, [0.2, 0.5, 0.3]) == word


def test_judged_scores_only_records_with_a_class():
    p = sure_of(["MI", "Normal", "Normal", "Abnormal"])
    labels = pd.Series({1: "MI", 3: "Normal", 4: "History_MI"})
    frame = external.judged(p, labels)
    assert frame["file"].tolist() == ["1", "3", "4"]
    assert evaluate.metrics(frame)["accuracy"] == pytest.approx(2 / 3)
    assert evaluate.bootstrap(frame, external.units(), 20).shape[0] == 20


def findings(assigned, scar=False) -> pd.DataFrame:
    return pd.DataFrame({"assigned": assigned, "scar": scar}, index=pd.RangeIndex(1, len(assigned) + 1))


def test_an_undefined_record_is_wrong_only_if_neither_infarction_is_called():
    table = findings(["undefined", "undefined", "undefined", "Normal", "paced"])
    p = sure_of(["MI", "History_MI", "Normal", "Normal", "MI"])
    either = external.readings(p, table)[external.EITHER]
    assert either.to_dict() == {1: "MI", 2: "History_MI", 3: "History_MI", 4: "Normal"}
    right = evaluate.metrics(external.judged(p, either))["accuracy"]
    assert right == pytest.approx(3 / 4)


def test_all_registered_readings_are_there():
    readings = external.readings(external.said(), elsewhere.assigned())
    assert set(readings) == {"", *elsewhere.VARIANTS, external.EITHER} and len(readings) == 6
    assert len(readings[external.EITHER]) == len(readings["undefined as History_MI"])


def test_covered_keeps_what_the_pages_of_the_class_show():
    table, rates = elsewhere.assigned(), elsewhere.measurements()["heart_rate"]
    kept, pages = external.covered(table, rates), data.pages().set_index("file")["label"]
    home = measure.measurements().set_index("file")["heart_rate"]
    for label in CLASSES:
        inside, own = rates[kept.index[kept == label]], home[pages.index[pages == label]]
        left = rates[elsewhere.classes(table).index.difference(kept.index)]
        left = left[elsewhere.classes(table)[left.index] == label]
        assert inside.between(own.min(), own.max()).all() and not left.between(own.min(), own.max()).any()


# The bridge.


def test_peak_errors_find_a_planted_error_of_either_sign():
    drawn = np.zeros(500)
    drawn[[100, 250, 400]] = 1.0, -1.2, 0.8
    read = drawn.copy()
    read[[100, 250]] = 1.1, -1.0
    read[395] = np.nan
    errors, lost = external.peak_errors(drawn, read, [100, 250, 400, 495])
    np.testing.assert_allclose(errors, [0.1, -0.2])
    assert lost == 1  # the last mark lies too near the end to be judged, and is not counted


def test_a_drawn_page_is_read_again_and_a_spoilt_trace_is_noticed():
    page, traces = draw.draw_page(synth.record("Normal", 3))
    reading = digitize.read(page)
    found = external.compare_traces(traces, reading).set_index("trace")
    assert len(found) == 13 and found["correlation"].median() > 0.99
    errors = np.array(" ".join(found["errors_uv"]).split(), float)
    assert len(errors) > 20 and np.median(np.abs(errors)) < 50
    spoilt = reading.leads.copy()
    spoilt[7] = -spoilt[7]
    other = external.compare_traces(traces, reading._replace(leads=spoilt)).set_index("trace")
    assert other.loc["V2", "correlation"] == pytest.approx(-found.loc["V2", "correlation"])
    assert other.drop("V2").equals(found.drop("V2"))


# What each model is given.


@with_ludb
def test_models_are_given_the_columns_they_learned_from():
    for name in models.INPUTS:
        assert list(external.given(name)) == list(models.features(name))
        assert external.given(name).index.tolist() == list(range(1, 201))
    printed = external.given("printed text")
    assert (printed.drop(columns="printed_rate") == 0).all(axis=None)
    rates = elsewhere.measurements()["heart_rate"]
    assert (printed["printed_rate"] - rates).abs().max() <= 0.5


@with_ludb
def test_the_carried_measurements_are_what_the_models_see():
    seen = external.given("measurements")[list(measure.COLUMNS)]
    np.testing.assert_allclose(seen, elsewhere.measurements(), atol=2e-3)


def test_no_model_that_saw_ludb_is_asked():
    wanted = external.wanted()
    assert wanted[0] == external.HEADLINE and len(set(wanted)) == len(wanted)
    shown = {name for name in study.finished() if study.STUDIES[name].protocol == "grouped"}
    shown |= set(networks1d.finished())
    assert set(wanted) == shown - set(external.LEFT_OUT)
    for run in networks1d.finished():
        assert (networks1d.note(run)["external"] == "never on LUDB") == (run in external.LEFT_OUT)


def test_the_networks_learn_from_no_page_that_stops_them():
    split = external._all_but_validation()
    assert not set(split.val) & set(split.train)
    assert sorted([*split.train, *split.val]) == list(range(491))
    groups = data.pages()["group"].to_numpy()
    assert not set(groups[split.train]) & set(groups[split.val])
    assert split.test.tolist() == list(range(491, 691))


# Moving the device.


def test_noise_is_measured_in_the_silence():
    record = synth.record("Normal", 4, noise=0)
    clean = record._replace(leads=synth.page_filter(record.leads))
    rng, levels = np.random.default_rng(0), []
    for level in (0.02, 0.05):
        levels.append(external.noise(synth.window(external.with_noise(clean, level, rng))))
    assert external.noise(clean) < 0.008
    assert 0.5 < levels[0] / 0.02 < 1.2 and 0.5 < levels[1] / 0.05 < 1.2


def test_added_noise_is_as_large_as_asked_for_and_inside_the_band():
    silent = synth.record("Normal", 0)._replace(leads=np.zeros((12, 2500), np.float32))
    added = external.with_noise(silent, 0.03, np.random.default_rng(1)).leads
    assert added.std() == pytest.approx(0.03, rel=1e-3)
    power = np.abs(np.fft.rfft(added, axis=1)) ** 2
    frequency = np.fft.rfftfreq(2500, 1 / 250)
    assert power[:, frequency > 50].sum() < 0.01 * power.sum()


def test_what_is_missing_of_noise_adds_up():
    rng = np.random.default_rng(0)
    own, other = np.array([0.01, 0.2, np.nan]), np.array([0.05, np.nan, 0.05])
    added = external._noise_to_add(own, other, rng)
    np.testing.assert_allclose(np.hypot(np.nan_to_num(own), added), [0.05, 0.2, 0.05])


def test_ludbs_rate_changes_a_record_by_less_than_a_pen_and_keeps_its_gaps():
    record = digitize.record(digitize.load("Normal(6).jpg"))
    moved = external.rate_of_ludb(record)
    known = np.isfinite(record.leads)
    assert np.array_equal(known, np.isfinite(moved.leads))
    assert np.abs(moved.leads - record.leads)[known].max() < 0.01
    twice = external.filter_of_ludb(record)
    assert np.array_equal(known, np.isfinite(twice.leads))
    marks = beats.find_beats(record.leads, 250)
    assert len(beats.find_beats(twice.leads, 250)) == len(marks)


def test_the_factor_is_the_ratio_of_the_medians():
    there, here = external.heights()
    assert np.median(there) == pytest.approx(external.amplitude() * np.median(here))
    assert (len(there), len(here)) == (491, 200)


# The stored runs.


@pytest.mark.parametrize("run", RUNS)
def test_the_run_is_whole_registered_and_from_the_code_as_it_stands(run):
    note = external.note(run)
    assert note["run"] == run and note["task"] == "external"
    assert note["preregistration_sha256"] == elsewhere.registered()
    assert note["deviations"] == external.DEVIATIONS
    assert note["code"] == external.code(run)
    for name, digest in note["data"].items():
        if name != "ludb":
            assert data.digest(data.tables() / name)[1].startswith(digest)
    for table in RUNS[run]:
        assert len(external.load(run, table))
    keys = ("command", "versions", "device", "wall_s", "peak_rss_mb", "started", "columns")
    assert all(note[key] for key in keys)


def test_a_changed_table_is_refused(tmp_path):
    folder = tmp_path / external.BRIDGE
    folder.mkdir()
    for path in (study.RESULTS / external.BRIDGE).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert len(external.load(external.BRIDGE, results=tmp_path)) == 2600
    content = gzip.decompress((folder / "outputs.csv.gz").read_bytes()).replace(b"0.999", b"0.998", 1)
    (folder / "outputs.csv.gz").write_bytes(gzip.compress(content))
    with pytest.raises(EcgbookError, match="was changed"):
        external.load(external.BRIDGE, results=tmp_path)
    with pytest.raises(EcgbookError, match="is not there"):
        external.note("external-nothing", tmp_path)


def test_every_model_of_the_leaderboard_is_reported_or_named_as_not_run():
    note, rows = external.note(external.ZERO_SHOT), external.load(external.ZERO_SHOT, "predictions")
    assert [*note["models"], *note["not_run"]] and set(note["models"]) == set(rows["model"])
    assert set(note["models"]) | set(note["not_run"]) == set(external.wanted())
    assert not set(note["models"]) & set(note["not_run"])
    assert note["left_out"] == external.LEFT_OUT
    for _, one in rows.groupby("model"):
        assert one["record"].tolist() == list(range(1, 201))
        p = one[PROBABILITIES].to_numpy()
        assert ((p >= 0) & (p <= 1)).all() and np.abs(p.sum(axis=1) - 1).max() < 1e-3


def test_the_majority_and_the_rules_answer_as_they_must():
    shares = data.pages()["label"].value_counts(normalize=True)[list(CLASSES)].to_numpy()
    np.testing.assert_allclose(external.said("grouped-majority"), np.tile(shares, (200, 1)), atol=1e-5)
    rules = models.Guideline().fit(None).predict_proba(elsewhere.measurements())
    stored = external.said("grouped-guideline").to_numpy()
    assert (stored.argmax(axis=1) == rules.argmax(axis=1)).mean() > 0.98  # carried measurements are rounded


def test_trees_fitted_here_on_carried_tables_answer_as_the_stored_ones():
    pages = data.pages()
    X = models.features("measurements").loc[pages["file"]]
    table = elsewhere.measurements()
    other = pd.concat([table, models.summaries(table)], axis=1)[list(X)]
    columns = [name for name in X if models._kind(name) != "beat"]
    from sklearn.pipeline import make_pipeline

    trees = make_pipeline(models._only(models._measured), models._extra_trees(0))
    trees.fit(X[columns], networks1d._labels())
    p = models.probabilities(trees, other)
    assert np.abs(p - external.said("grouped-trees-full").to_numpy()).max() < 0.05


def test_networks_trained_anew_are_those_of_the_stored_runs():
    home, note = external.load(external.ZERO_SHOT, "home"), external.note(external.ZERO_SHOT)
    for run, rows in home.groupby("model"):
        assert note["models"][run]["val_loss_apart"] < 1e-3
        stored = study.load(run).query("fold == 0 and part == 'test'").set_index("file")
        here = rows[rows["shown"] == "page"].set_index("file").loc[stored.index]
        assert np.abs(here[PROBABILITIES] - stored[PROBABILITIES]).max(axis=None) < 1e-3
        assert (rows["shown"] == "redrawn page").sum() == len(here)


def test_unmoved_eicp_is_the_stored_headline():
    rows = external.load(external.BREAKDOWN)
    here = rows[rows["condition"] == "EICP"].set_index("name")
    stored = study.load("grouped-headline").query("repeat == 0 and part == 'test'").set_index("file")
    assert set(here.index) == set(stored.index) and here.index.is_unique
    assert (here["fold"].astype(int) == stored.loc[here.index, "fold"]).all()
    assert np.abs(here[PROBABILITIES] - stored.loc[here.index, PROBABILITIES]).max(axis=None) < 0.01


def test_the_breakdown_has_all_experiments():
    rows = external.load(external.BREAKDOWN)
    counts = rows["condition"].value_counts()
    assert set(counts[counts == 491].index) == {
        "EICP",
        "EICP, LUDB's rate",
        "EICP, LUDB's rate and filter",
        "EICP, LUDB's rate, filter and noise",
    }
    assert counts["LUDB by fold"] == 1000
    assert (counts == 200).sum() == 5 and counts.size == 10
    labels = elsewhere.classes(elsewhere.assigned())
    kinds = external.load(external.BREAKDOWN, "abnormal").set_index("record")
    assert set(kinds.index) == set(labels.index[labels == "Abnormal"]) and kinds.any(axis=1).all()


def test_fold_answers_calibrate_on_pages_and_test_on_records():
    frame = external.out_of_fold()
    cal, test = frame[frame["part"] == "cal"], frame[frame["part"] == "test"]
    assert len(cal) == 491 and cal["file"].is_unique
    assert test.groupby("file")["inner"].nunique().eq(5).all() and test["file"].nunique() == 200
    p = trust.cross_conformal(frame)
    assert len(p) == 200 and p[PROBABILITIES].gt(0).all(axis=None)


def test_the_bridge_holds():
    found = external.load(external.BRIDGE)
    assert len(found) == 2600 and (found.groupby("record").size() == 13).all()
    assert found["correlation"].median() >= 0.99
    errors = np.array(" ".join(found["errors_uv"].fillna("").astype(str)).split(), float)
    assert (np.abs(errors) <= 50).mean() > 0.99
    pages = external.load(external.BRIDGE, "pages")
    assert len(pages) == 200 and set(pages["stage"].dropna()) <= {"form", "physics", "distribution"}


def test_the_runs_are_small():
    paths = [path for run in RUNS for path in (study.RESULTS / run).iterdir()]
    assert sum(path.stat().st_size for path in paths) < 900_000


# The command.


def test_a_wrong_part_is_refused_with_a_sentence(capsys):
    assert external.main(["zero"]) == 2
    assert "no such part" in capsys.readouterr().err


def test_joining_names_what_was_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(external, "wanted", lambda: ["grouped-majority", "grouped-guideline"])
    parts, clock = tmp_path / "parts", 0.0
    parts.mkdir()
    rows = sure_of(["MI"] * 200).rename_axis("record").reset_index().assign(model="grouped-majority")
    kept = {"rows": rows.to_csv(index=False), "note": {"wall_s": 1.5}, "home": None}
    (parts / "grouped-majority.json").write_text(json.dumps(kept))
    folder = external._join(parts, tmp_path, clock)
    note = json.loads((folder / "run.json").read_text())
    assert list(note["not_run"]) == ["grouped-guideline"] and note["wall_s"] == 1.5 and parts.is_dir()
    assert external.load(external.ZERO_SHOT, "predictions", tmp_path)["model"].unique().tolist() == [
        "grouped-majority"
    ]
    (parts / "grouped-guideline.json").write_text(
        json.dumps(kept | {"rows": rows.assign(model="grouped-guideline").to_csv(index=False)})
    )
    external._join(parts, tmp_path, clock)
    assert not parts.exists()
