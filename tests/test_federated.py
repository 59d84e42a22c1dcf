"""Tests of the module federated: who holds what, the site's work, the server, privacy, processes, the stored runs."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import pandas as pd
import pytest

from ecgbook import data, elsewhere, evaluate, federated, models, study
from ecgbook.data import CLASSES, EcgbookError
from ecgbook.federated import Job, Plan, Scale

flower = pytest.mark.skipif(importlib.util.find_spec("flwr") is None, reason="Flower is not there")
opacus = pytest.mark.skipif(importlib.util.find_spec("opacus") is None, reason="Opacus is not there")


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """Every test here computes with one thread."""


# Who holds what


def test_records_are_those_of_the_two_data_sets():
    table = federated.records()
    labels = elsewhere.classes(elsewhere.assigned())
    assert table["file"].is_unique and len(table) == len(data.pages()) + len(labels)
    there = table[table["site"] == "LUDB"]
    assert there["file"].tolist() == [f"LUDB {n}" for n in labels.index]
    assert there["label"].tolist() == labels.tolist()
    assert table.groupby("unit")["site"].nunique().max() == 1, "no group crosses from one site to another"


def test_features_are_those_of_the_measurements():
    ours = federated.features().loc[data.pages()["file"]]
    theirs = models.features("measurements")
    assert np.allclose(ours, theirs, equal_nan=True)
    assert not [name for name in ours if name.startswith("printed")]


@pytest.mark.parametrize("repeat", [0, 1])
def test_folds_test_every_record_once_and_tear_no_group(repeat):
    table, tested = federated.records(), []
    for split in federated.deal(repeat):
        units = [set(table["unit"].iloc[rows]) for rows in split]
        assert not (units[0] & units[1] or units[0] & units[2] or units[1] & units[2])
        tested += split.test.tolist()
        assert set(table["site"].iloc[split.test]) == set(federated.SITES)
    assert sorted(tested) == list(range(len(table)))


@pytest.mark.parametrize("dealt", ["sites", "one place", "sorted", "LUDB"])
def test_holders_share_out_rows_without_loss(dealt):
    rows = federated.deal()[0].train
    given = federated.holders(dealt, rows)
    joined = np.sort(np.concatenate(list(given.values())))
    table = federated.records()
    wanted = rows[table["site"].iloc[rows] == "LUDB"] if dealt == "LUDB" else rows
    assert joined.tolist() == sorted(wanted)
    if dealt == "sorted":  # each pile but for its ends is of one class
        kinds = [table["label"].iloc[pile].nunique() for pile in given.values()]
        assert max(kinds) <= 3 and sum(kinds) <= len(CLASSES) + len(given) - 1


def test_no_site_is_given_a_test_record():
    for fold, split in enumerate(federated.deal()):
        x = federated.features().to_numpy(float)
        for name in federated.SITES:
            held = federated._held(name, "sites", 0, fold)
            rows = np.concatenate(
                [federated.holders("sites", part)[name] for part in (split.train, split.val)]
            )
            assert np.array_equal(np.concatenate([held["train"][0], held["val"][0]]), x[rows], equal_nan=True)
            assert not np.isin(rows, split.test).any()


# What is shared


def test_sums_of_sites_give_the_scale_of_all_records():
    x = federated.features().to_numpy(float)
    parts = federated.holders("sites", np.arange(len(x))).values()
    by = federated.scale(sum(federated.sums(x[rows]) for rows in parts))
    assert np.allclose(by.mean, np.nanmean(x, axis=0))
    spread = np.nanstd(x, axis=0)
    assert np.allclose(by.spread[spread > 1e-6], spread[spread > 1e-6], rtol=1e-4)


def test_scaled_fills_gaps_with_the_mean_and_bounds_all():
    x = federated.scaled(np.array([[np.nan, 5.0, -1e12]]), Scale(np.full(3, 5.0), np.ones(3)))
    assert x[0, :2].tolist() == [0, 0] and x[0, 2] == -3 and x.dtype == np.float32


def test_class_weights_lean_to_rare_classes():
    counts = np.array([24, 66, 171, 106])
    weight = federated.class_weights(counts)
    assert np.isclose((weight * counts).sum(), counts.sum())
    assert weight.argmax() == 0 and np.isclose(weight[0] / weight[2], (171 / 24) ** 0.3)


# The work of a site


@pytest.fixture(scope="module")
def told():
    """What the server would send before the first round: weights, scale, counts."""
    rows = federated.deal()[0].train
    by = federated.scale(federated.sums(federated.features().to_numpy(float)[rows]))
    labels = federated.records()["label"].map(CLASSES.index).to_numpy()[rows]
    return federated.weights(federated.build()), by, np.bincount(labels)


def test_work_is_the_same_wherever_it_is_done(told):
    import torch

    arrays, by, counts = told
    job, state = Job(Plan(), 0, 0), torch.random.get_rng_state()
    one, said = federated.work("LUDB", job, arrays, by, counts, 1)
    torch.rand(7)
    two, _ = federated.work("LUDB", job, arrays, by, counts, 1)
    other, _ = federated.work("LUDB", job, arrays, by, counts, 2)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], other[0]), "every round has its own order"
    assert said["num-examples"] == len(federated._held("LUDB", "sites", 0, 0)["train"][0])
    torch.random.set_rng_state(state)
    federated.work("LUDB", job, arrays, by, counts, 1)
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's random numbers are left alone"


def test_work_lowers_the_loss_of_the_site_and_reports_that_of_the_weights_it_got(told):
    arrays, by, counts = told
    x, y = federated._held("2020b", "sites", 0, 0)["train"]
    x, plan = federated.scaled(x, by), Plan(rounds=6, epochs=5)

    def loss(weights, x, y):
        p = federated.probabilities(federated.load(federated.build(), weights), x)
        return -np.log(p[np.arange(len(y)), y])

    sent, said = federated.work("2020b", Job(plan, 0, 0), arrays, by, counts, 1)
    assert loss(sent, x, y).mean() < 0.5 * loss(arrays, x, y).mean()
    vx, vy = federated._held("2020b", "sites", 0, 0)["val"]
    assert np.isclose(said["val-loss"], loss(arrays, federated.scaled(vx, by), vy).sum(), rtol=1e-5)
    assert said["val-examples"] == len(vy)


def test_fedprox_keeps_a_site_near_the_server(told):
    arrays, by, counts = told
    far = [
        federated._far(federated.work("LUDB", Job(Plan(mu=mu), 0, 0), arrays, by, counts, 1)[0], arrays)
        for mu in (0.0, 0.1, 30.0)
    ]
    assert far[0] > far[1] > 2 * far[2]


def test_the_rate_falls_to_nothing():
    rates = [federated.rate(Plan(), turn) for turn in range(1, 31)]
    assert rates[0] == federated.RATE and rates[-1] < 0.01 * rates[0] and rates == sorted(rates, reverse=True)


# The server


def by_hand(plan: Plan, told, left_out=()) -> list[np.ndarray]:
    """One round of federated averaging, written out."""
    arrays, by, counts = told
    sent = {
        n: federated.work(n, Job(plan, 0, 0), arrays, by, counts, 1)
        for n in federated.SITES
        if n not in left_out
    }
    total = sum(said["num-examples"] for _, said in sent.values())
    return [sum(w[k] * (s["num-examples"] / total) for w, s in sent.values()) for k in range(len(arrays))]


@flower
@pytest.mark.parametrize("plan", [Plan(rounds=2), Plan(rounds=2, mu=0.1), Plan(rounds=2, epochs=2)])
def test_flower_averages_as_by_hand(plan, told, monkeypatch):
    kept = []
    build = federated.strategy

    def watched(plan):
        kept.append(build(plan))
        return kept[-1]

    monkeypatch.setattr(federated, "strategy", watched)
    found, sent = federated.federate(plan)
    after_one = kept[0].sent.to_numpy_ndarrays()  # what went out in the second round
    for a, b in zip(after_one, by_hand(plan, told), strict=True):
        assert np.allclose(a, b, atol=1e-6)
    assert found.heard == [sorted(federated.SITES)] * 2 and found.refusals == 0
    assert np.argmin(found.losses) == 1 and all(
        np.array_equal(a, b) for a, b in zip(found.weights, after_one, strict=True)
    ), "the best weights are kept"
    size = sum(a.nbytes for a in after_one)
    assert 2 * 2 * 4 * size <= sent < 1.01 * 2 * 2 * 4 * size


@flower
def test_a_federation_of_one_place_is_plain_training(told):
    found, _ = federated.federate(Plan("one place", rounds=2))
    arrays, by, counts = told
    wanted, _ = federated.work("all", Job(Plan("one place", rounds=2), 0, 0), arrays, by, counts, 1)
    assert np.allclose(found.scale.mean, by.mean)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(found.weights, wanted, strict=True))


@flower
def test_training_goes_on_when_a_site_dies():
    found, _ = federated.federate(Plan(rounds=4, dies="2020b", death=3))
    rest = sorted(set(federated.SITES) - {"2020b"})
    assert found.heard == [sorted(federated.SITES)] * 2 + [rest] * 2
    assert all(np.isfinite(array).all() for array in found.weights)


@flower
def test_a_guard_refuses_noise_and_nothing_else(told):
    lied = Plan(rounds=2, lies="2019", guarded=True)
    found, _ = federated.federate(lied)
    assert found.refusals == 2
    wanted = by_hand(Plan(rounds=2), told, left_out=("2019",))
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(found.weights, wanted, strict=True))
    assert federated.federate(Plan(rounds=2, guarded=True))[0].refusals == 0
    open_to_all, _ = federated.federate(lied._replace(guarded=False))
    assert open_to_all.losses[1] > found.losses[1]


def test_without_flower_it_says_what_to_install():
    with pytest.raises(EcgbookError, match=r"pip install .*federated"):
        federated._optional("no_such_package_of_flower")


# Privacy


@opacus
def test_a_private_step_is_clipped_and_noised(told):
    arrays = federated.weights(federated.build("logistic"))
    _, by, counts = told
    x, y = federated._held("LUDB", "sites", 0, 0)["train"]
    x, weight = federated.scaled(x, by), federated.class_weights(counts)

    def moved(plan, x, y, seed=0):
        network = federated.load(federated.build("logistic"), arrays)
        federated.train_privately(network, x, y, weight, plan, seed)
        return np.concatenate([a.ravel() for a in federated.weights(network)])

    clean = Plan(rounds=20, epsilon=np.inf)
    step = moved(clean, x, y)
    assert np.linalg.norm(step) <= federated.STEP * federated.CLIP + 1e-6
    without = moved(clean, x[1:], y[1:])
    apart = np.linalg.norm(len(x) * step - (len(x) - 1) * without)
    assert apart <= federated.CLIP + 1e-4, "one record moves the sum by no more than the clipping length"
    noisy = np.array([moved(Plan(rounds=20, epsilon=8.0), x, y, seed) for seed in range(20)])
    expected = federated.noise(8.0, 20) * federated.CLIP * federated.STEP / len(x)
    assert np.isclose((noisy - step).std(), expected, rtol=0.05)


@opacus
def test_the_noise_keeps_the_promise():
    from opacus.accountants import RDPAccountant

    spent = RDPAccountant()
    for _ in range(20):
        spent.step(noise_multiplier=federated.noise(8.0, 20), sample_rate=1.0)
    assert 7.5 < spent.get_epsilon(federated.DELTA) <= 8.0
    assert federated.noise(np.inf, 20) == 0


@flower
@opacus
def test_the_private_plan_tells_no_sums():
    from flwr.app import ConfigRecord, Message, RecordDict

    job = Job(federated.ROWS["private"], 0, 0)
    grid = federated.loopback(job)
    ask = RecordDict({"config": ConfigRecord(federated._config(job))})
    replies = grid.send_and_receive(
        [Message(ask, message_type="query", dst_node_id=node) for node in grid.get_node_ids()]
    )
    assert [set(reply.content["metrics"]) for reply in replies] == [{"counts"}] * len(federated.SITES)


# Processes


@flower
def test_processes_give_the_weights_of_one_process():
    plan = Plan("LUDB", rounds=1)
    apart, log = federated.across_processes(plan, timeout=120, limit=300)
    together, _ = federated.federate(plan)
    assert all(np.array_equal(a, b) for a, b in zip(apart.weights, together.weights, strict=True))
    assert np.array_equal(apart.scale, together.scale) and apart.losses == together.losses
    assert "[ROUND 1/1]" in federated._told(log)


# The stored runs


@pytest.mark.parametrize("run", federated.RUNS)
def test_stored_runs_come_from_the_code_and_data_as_they_stand(run):
    note = federated.note(run)
    assert note["code"] == federated._code(run)
    assert note["data"] == {name: data.digest(data.tables() / name)[1][:16] for name in note["data"]}
    assert note["preregistration_sha256"] == elsewhere.registered() and note["deviations"]


def test_stored_plans_are_the_declared_ones():
    declared = {row: plan._asdict() | {"epsilon": str(plan.epsilon)} for row, plan in federated.ROWS.items()}
    assert federated.note()["rows"] == declared
    assert federated.note("federated-processes")["plan"] == federated.KILLED._asdict()


@pytest.mark.parametrize("row", [*federated.ROWS, *federated.ALONE, "each its own"])
def test_every_record_is_tested_once_a_repeat(row):
    frame = evaluate.check(federated.predictions(row), row)
    for repeat, rows in frame.groupby("repeat"):
        assert sorted(rows["file"]) == sorted(federated.records()["file"])
        fold_of = rows.set_index("file")["fold"]
        for fold, split in enumerate(federated.deal(repeat)):
            assert (fold_of[federated.records()["file"].iloc[split.test]] == fold).all()


def test_stored_rows_are_what_they_say():
    majority = federated.predictions("majority")
    assert (majority[evaluate.PROBABILITIES].to_numpy().argmax(1) == CLASSES.index("Abnormal")).all()
    own = federated.predictions("each its own")
    one = federated.predictions("only LUDB").query("site == 'LUDB'")
    columns = evaluate.PROBABILITIES
    assert np.allclose(own[own["site"] == "LUDB"].sort_values(["repeat", "file"])[columns],
                       one.sort_values(["repeat", "file"])[columns])  # fmt: skip
    note = federated.note()
    caught = {row: n for row, n in note["refusals"].items() if n}
    rounds = federated.ROWS["2019 lies, guarded"].rounds
    assert caught == {"2019 lies, guarded": rounds * 5 * federated.REPEATS}
    size = sum(array.nbytes for array in federated.weights(federated.build()))
    assert 8 * size <= note["bytes_a_round"]["FedAvg"] < 8.1 * size
    assert note["bytes_a_round"]["2020b dies"] < note["bytes_a_round"]["FedAvg"]


def test_stored_losses_tell_of_every_round():
    rounds = federated.rounds()
    for row, plan in federated.ROWS.items():
        if not plan.epsilon:
            assert rounds[rounds["row"] == row].groupby("repeat")["round"].max().tolist() == [plan.rounds] * 2
    assert not set(rounds["row"]) & {"private", "clipped, no noise"}, (
        "private plans look at no validation part"
    )


def test_stored_death_is_that_of_one_process():
    note, plan = federated.note("federated-processes"), federated.KILLED
    assert note["largest_difference_of_weights"] == 0
    rest = sorted(set(federated.SITES) - {plan.dies})
    before = plan.death - 1
    assert note["heard"] == [sorted(federated.SITES)] * before + [rest] * (plan.rounds - before)
    assert sum(line.startswith("[ROUND") for line in note["log"]) == plan.rounds
    frames = [federated.predictions(row, "federated-processes") for row in ("processes", "one process")]
    assert np.array_equal(*(frame[evaluate.PROBABILITIES].to_numpy() for frame in frames))


def test_a_row_can_be_made_again():
    """The largest class and one small part of a network's row, without Flower."""
    again = federated._other("majority", 0, 0)
    stored = federated.predictions("majority").query("repeat == 0 and fold == 0")
    assert np.allclose(again, stored[evaluate.PROBABILITIES], atol=1e-3)


@flower
def test_a_stored_federation_can_be_made_again():
    plan = federated.ROWS["only 2019"]
    found, _ = federated.federate(plan, 1, 2)
    network = federated.load(federated.build(), found.weights)
    stored = federated.predictions("only 2019").query("repeat == 1 and fold == 2")
    assert np.allclose(
        federated._asked(network, found.scale, 1, 2), stored[evaluate.PROBABILITIES], atol=0.02
    )


def test_unknown_rows_and_changed_files_are_refused(tmp_path):
    with pytest.raises(EcgbookError, match="no such row"):
        federated.predictions("FedNone")
    folder = tmp_path / federated.RUNS[0]
    shutil.copytree(study.RESULTS / federated.RUNS[0], folder)
    rounds = pd.read_csv(folder / "rounds.csv")
    rounds.assign(val_loss=0.0).to_csv(folder / "rounds.csv", index=False)
    with pytest.raises(EcgbookError, match="changed"):
        federated.rounds(tmp_path)
    with pytest.raises(EcgbookError, match="make it with"):
        federated.note("federated-sites", tmp_path / "nowhere")


def test_the_note_is_plain_json():
    text = (study.RESULTS / federated.RUNS[0] / "run.json").read_text(encoding="utf-8")
    assert "Infinity" not in text and json.loads(text)["privacy"]["epsilon"] == 8.0


def test_main_refuses_an_unknown_run(capsys):
    assert federated.main(["federated-moon"]) == 2
    assert "no such run" in capsys.readouterr().err
