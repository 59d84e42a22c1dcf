"""Tests of the networks on signals: input, families, augmentation, training, lessons, stored runs."""

from __future__ import annotations

import functools
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from ecgbook import data, digitize, evaluate, networks1d, publish, splits, study, synth
from ecgbook.networks1d import CHANNELS, FAMILIES, PLANS, RECIPE, Plan

pytestmark = pytest.mark.usefixtures("one_thread")
family = pytest.mark.parametrize("family", FAMILIES)
ONE = RECIPE._replace(epochs=1, stop=1)


def flat(rhythm: str = "II", samples: int = 2500, fs: float = 250) -> synth.Record:
    return synth.Record(np.zeros((12, samples), np.float32), fs, rhythm, 0, "", "", {})


def waves(n: int, seed: int = 0, length: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Four classes that differ in which column holds a wave."""
    rng = np.random.default_rng(seed)
    x, y = 0.1 * rng.normal(size=(n, CHANNELS, length)), np.arange(n) % 4
    for row, label in zip(x, y, strict=True):
        row[4 * label] += np.sin(2 * np.pi * (np.arange(length) / 25 + rng.random()))
    return x.astype(np.float32), y


# The input


def test_what_was_recorded_together_stands_together():
    record = flat("III")
    for at in (1250 + 300, 300):  # 1.2 s into the third column, and into the first
        record.leads[:, at - 10 : at + 11] = np.hanning(21)
    x = networks1d.channels(record)
    assert x.shape == (16, 250) and x.dtype == np.float32
    peaks = {row: int(trace.argmax()) for row, trace in enumerate(x) if trace.max() > 0.5}
    assert sorted(peaks) == [0, 1, 2, 3, 8, 9, 10, 11] and set(peaks.values()) == {120}


def test_channels_are_in_the_order_of_the_page():
    record = flat("III")
    record.leads[:] = np.arange(12)[:, None]
    middle = networks1d.channels(record)[:, 100]
    assert np.allclose(middle, [0, 1, 2, 2, 3, 4, 5, 2, 6, 7, 8, 2, 9, 10, 11, 2], atol=1e-3)


def test_only_what_a_page_shows_is_used():
    record = synth.record("MI", 4)
    hidden = record.leads.copy()
    hidden[synth.LEADS.index("V4"), :1800] = 7.0  # V4 is shown from 7.5 s on
    assert np.array_equal(networks1d.channels(record), networks1d.channels(record._replace(leads=hidden)))


def test_the_laws_of_the_leads_survive():
    x = networks1d.channels(synth.record("Normal", 3))
    assert np.abs(x[2] - (x[1] - x[0])).max() < 1e-5
    assert np.abs(x[4] + x[5] + x[6]).max() < 1e-5


def test_gaps_are_bridged_and_a_missing_lead_is_flat():
    record = flat()
    record.leads[:] = np.linspace(0, 1, 2500)
    whole = networks1d.channels(record)
    record.leads[0, 200:230] = np.nan
    assert np.allclose(networks1d.channels(record), whole, atol=1e-4)
    record.leads[3] = np.nan
    x = networks1d.channels(record)
    assert not x[4].any() and np.isfinite(x).all()


def test_the_rate_of_the_record_does_not_matter():
    t = np.arange(5000) / 500
    fine = flat(samples=5000, fs=500)
    fine.leads[:] = np.sin(2 * np.pi * 7 * t)
    coarse = fine._replace(leads=fine.leads[:, ::2], fs=250)
    apart = np.abs(networks1d.channels(fine) - networks1d.channels(coarse))[:, 10:-10]
    assert apart.max() < 0.02


def test_a_record_without_a_rhythm_lead_is_refused():
    with pytest.raises(data.EcgbookError, match="names no lead"):
        networks1d.channels(flat(""))


def test_carried_signals_are_those_of_the_pages():
    x = networks1d.signals()
    file = data.pages()["file"].iloc[37]
    assert np.array_equal(x[37], networks1d.channels(digitize.record(digitize.load(file))))
    x[:] = 0
    assert networks1d.signals().any(), "a copy was given"


# The families


@family
def test_any_length_is_read(family):
    network = networks1d.build(family).eval()
    with torch.inference_mode():
        for length in (100, 137, 230, 250, 625, 1000):
            scores = network(torch.randn(3, CHANNELS, length))
            assert scores.shape == (3, 4) and scores.isfinite().all()


@family
def test_every_parameter_is_used(family):
    network = networks1d.build(family)
    network(torch.randn(4, CHANNELS, 250)).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@family
def test_a_family_is_small_and_follows_from_its_seed(family):
    one, same, other = (networks1d.build(family, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["head.weight"], other["head.weight"])
    assert 50_000 <= networks1d.parameters(networks1d.build(family)) <= 500_000


@family
def test_an_answer_does_not_depend_on_who_else_is_asked(family):
    x = np.random.default_rng(0).normal(size=(40, CHANNELS, 250)).astype(np.float32)
    network = networks1d.build(family)
    p = networks1d.probabilities(network, x)
    assert p.shape == (40, 4) and np.allclose(p.sum(axis=1), 1)
    assert np.allclose(networks1d.probabilities(network, x[5:6]), p[5], atol=1e-5)
    assert network.training, "the network is left as it was"


def test_the_residual_network_has_34_layers():
    layers = [
        m for m in networks1d.build("resnet1d").modules() if isinstance(m, torch.nn.Conv1d | torch.nn.Linear)
    ]
    counted = [
        m for m in layers if isinstance(m, torch.nn.Linear) or m.kernel_size[0] > 1
    ]  # not the paths around
    assert len(counted) == 34


def test_the_light_network_is_the_lightest():
    count = {name: networks1d.parameters(networks1d.build(name)) for name in FAMILIES}
    assert min(count, key=count.get) == "mobilenet1d" and 3 * count["mobilenet1d"] < count["resnet1d"]


def test_the_stem_reads_each_column_with_its_own_weights():
    network = networks1d.build("resnet1d").eval()
    x = torch.zeros(1, CHANNELS, 250)
    with torch.inference_mode():
        quiet = network.stem(x).unflatten(1, (4, -1))
        x[:, 8:12] = 1.0
        loud = network.stem(x).unflatten(1, (4, -1))
    changed = (loud - quiet).abs().amax(dim=(0, 2, 3)) > 0
    assert changed.tolist() == [False, False, True, False]


def test_attention_knows_the_order_by_the_code_of_time_alone(monkeypatch):
    attention = networks1d.types().Attention(8, 1).eval()
    x = torch.randn(1, 8, 12)
    with torch.inference_mode():
        assert not torch.allclose(attention(x.flip(2)).flip(2), attention(x), atol=1e-3)
        monkeypatch.setattr(networks1d, "times", lambda x: 0.0)
        assert torch.allclose(attention(x.flip(2)).flip(2), attention(x), atol=1e-5)


def test_the_code_of_time_is_defined_for_any_length():
    short, long = (networks1d.times(torch.zeros(1, 64, n)) for n in (10, 500))
    assert torch.equal(short, long[:, :10]) and long.abs().max() <= 1
    assert torch.cdist(long.T, long.T).fill_diagonal_(1).min() > 0.05, "no two times share a code"


def test_an_unknown_family_is_refused():
    with pytest.raises(data.EcgbookError, match="did you mean resnet1d"):
        networks1d.build("resnet")


# What may vary


def test_all_channels_are_cut_alike_and_time_runs_on():
    ramp = torch.arange(250.0).expand(64, CHANNELS, 250)
    cut = networks1d.cropped(ramp, torch.Generator().manual_seed(0))
    assert cut.shape == (64, CHANNELS, 230)
    assert (cut == cut[:, :1]).all() and (cut.diff(dim=2) == 1).all()
    starts = cut[:, 0, 0]
    assert starts.min() == 0 and starts.max() == 20 and len(starts.unique()) > 10


def test_varying_keeps_the_laws_of_the_leads_and_the_sign(monkeypatch):
    monkeypatch.setattr(networks1d, "_NOISE", 0.0)
    x = torch.from_numpy(networks1d.channels(synth.record("MI", 2)))[None].repeat(50, 1, 1)
    other = networks1d.varied(x, torch.Generator().manual_seed(0))
    assert (other[:, 2] - (other[:, 1] - other[:, 0])).abs().max() < 1e-4
    gain = (other * x).sum(dim=(1, 2)) / (x * x).sum(dim=(1, 2))
    assert gain.min() > 0.6 and gain.max() < 1.6 and gain.std() > 0.05


def test_rare_classes_weigh_more_and_the_mean_is_one():
    y = np.repeat([0, 1, 2, 3], [10, 40, 100, 50])
    weight = networks1d._weights(y).numpy()
    assert np.isclose(weight[y].mean(), 1) and np.isclose(weight[0] / weight[2], 10**0.3)


# Training


@family
def test_a_family_learns_which_column_holds_the_wave(family):
    learn, val = waves(48), waves(32, seed=1)
    network = networks1d.build(family)
    epochs = 10 if family == "mobilenet1d" else 6  # its many averages of batch normalisation lag longest
    recipe = RECIPE._replace(epochs=epochs, stop=epochs, lr=3e-3, batch=8)
    history = networks1d.fit(network, learn, val, recipe)
    assert history["train_loss"].iloc[-1] < 0.7 * history["train_loss"].iloc[0]
    assert (networks1d.probabilities(network, val[0]).argmax(axis=1) == val[1]).mean() > 0.6


def test_the_weights_of_the_best_epoch_are_kept():
    val = waves(32, seed=1)
    network = networks1d.build("mobilenet1d")
    history = networks1d.fit(network, waves(32), val, RECIPE._replace(epochs=4, stop=4, lr=0.02))
    assert np.isclose(networks1d._validated(network, *val)[0], history["val_loss"].min(), rtol=1e-4)


def test_training_follows_from_its_seed_and_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    losses = [
        networks1d.fit(networks1d.build("mobilenet1d"), waves(16), waves(8), ONE, seed)["train_loss"][0]
        for seed in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]
    assert torch.equal(before, torch.get_rng_state())


def test_a_loss_that_is_no_number_is_told():
    x, y = waves(8)
    with pytest.raises(data.EcgbookError, match="no number in epoch 1"):
        networks1d.fit(networks1d.build("mobilenet1d"), (x * np.nan, y), (x, y), ONE)


@pytest.fixture
def dealt() -> splits.Split:
    return splits.folds("grouped", data.pages())[0]


def test_no_test_ecg_can_influence_a_fold(monkeypatch, dealt):
    monkeypatch.setattr(networks1d, "RECIPE", ONE)
    x, y = waves(491)
    plan = Plan("mobilenet1d", share=0.25)
    one = networks1d.network_fold(plan, dealt, 0, x, y)
    x[dealt.test], y[dealt.test] = 5.0, 0
    other = networks1d.network_fold(plan, dealt, 0, x, y)
    assert np.array_equal(one.val, other.val) and one.history.equals(other.history)
    assert not np.allclose(one.test, other.test)


def test_shares_are_whole_groups_of_the_training_part(dealt):
    group = data.pages()["group"].to_numpy()
    assert np.array_equal(networks1d.learned(dealt, 1.0, 3), dealt.train)
    half, quarter = (networks1d.learned(dealt, share, 3) for share in (0.5, 0.25))
    assert set(quarter) < set(half) < set(dealt.train)
    assert not set(group[half]) & set(group[np.setdiff1d(dealt.train, half)])
    assert 0.4 < len(half) / len(dealt.train) < 0.6


def test_trees_learn_from_the_same_ecgs(dealt):
    did = networks1d.trees_fold(Plan("trees", share=0.25), dealt, 0)
    assert did.cost["learned_from"] == len(networks1d.learned(dealt, 0.25, 0))
    assert did.test.shape == (len(dealt.test), 4) and np.allclose(did.test.sum(axis=1), 1)


# Lessons


def test_synthetic_strips_do_not_tell_the_class():
    names = networks1d.pretrain._names(100, 0)
    shown = pd.Series([networks1d._drawn(name, k).rhythm for k, name in enumerate(names)])
    share = shown.eq("II").groupby([name.split()[0] for name in names]).mean()
    assert share.between(0.7, 0.9).all()


def test_marks_lie_where_the_signal_does():
    record = flat()
    rows = pd.DataFrame({"wave": "QRS", "onset": np.arange(0.4, 9.5, 0.9)})
    rows = rows.assign(peak=rows["onset"] + 0.04, offset=rows["onset"] + 0.08)
    mask = networks1d.shares(dict.fromkeys(synth.LEADS, rows), 250, 2500)
    record.leads[:] = mask[1]
    x, answers = networks1d.channels(record), networks1d._by_column(mask, 250)
    assert np.abs(x[0::4] - answers[1::4]).mean() < 0.02, "column by column"
    assert answers[1::4].sum() > 60 and not answers[0::4].any() and not answers[2::4].any()


def test_what_nobody_marked_does_not_count():
    answers = torch.zeros(2, CHANNELS, 230)
    answers[:, 3::4, 50:150] = 1.0
    answers[:, 1::4, 50:100] = 1.0
    other = answers.clone()
    other[:, 2::4, 160:] = 1.0  # outside the marked stretch
    scores = torch.randn(2, 3, 92)
    assert torch.equal(networks1d.wave_loss(scores, answers), networks1d.wave_loss(scores, other))
    sure = torch.full((2, 3, 92), -12.0)
    share, _ = networks1d._pooled(answers, 92)
    right = torch.where(share > 0.5, 12.0, sure)
    assert networks1d.wave_loss(right, answers) < 0.01 < networks1d.wave_loss(sure, answers)


def test_a_lesson_is_learned():
    examples = networks1d.synthetic(60)
    taught = networks1d.teach("mobilenet1d", "synthetic", examples, networks1d.BEFORE._replace(epochs=1))
    assert set(taught.reading["task"]) >= {"rate", "axis", "sinus"}
    fewer = networks1d.synthetic(3)
    assert np.array_equal(fewer[0], examples[0][:3])


def test_pretrained_weights_are_kept_without_the_head(monkeypatch, tmp_path):
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    monkeypatch.setattr(networks1d, "RECORDS", 12)
    monkeypatch.setattr(networks1d, "BEFORE", networks1d.BEFORE._replace(epochs=1))
    path = networks1d.pretrained("mobilenet1d", "synthetic")
    made = path.stat().st_mtime_ns
    assert networks1d.pretrained("mobilenet1d", "synthetic").stat().st_mtime_ns == made
    network, fresh = (networks1d.build("mobilenet1d", weights, 7) for weights in (path, "none"))
    assert torch.equal(network.head.weight, fresh.head.weight)
    assert not torch.equal(network.stem.weight, fresh.stem.weight)
    with pytest.raises(data.EcgbookError, match="weights of another network"):
        networks1d.build("resnet1d", path)


# Storing


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copy(study.RESULTS / "headline.json", folder)
    return folder


def pretended(asked: list[int], breaks_at: int):
    """A fold that is quick, and is interrupted once."""

    def fold(plan, split, number, x, y, device="auto"):
        asked.append(number)
        if len(asked) == breaks_at:
            raise KeyboardInterrupt
        p = [np.full((len(part), 4), 0.25) for part in (split.val, split.test)]
        history = pd.DataFrame([(1, 1.0, 1.4, 0.3, 0.001)], columns=networks1d.train.HISTORY)
        cost = {"training_cpu_s": 1.0, "ms_an_ecg": 2.0, "parameters": 10, "bytes": 40, "learned_from": 300}
        return networks1d.Fold(*p, history, cost)

    return fold


def test_an_interrupted_run_goes_on_and_reads_like_a_study(results, monkeypatch):
    asked = []
    monkeypatch.setattr(networks1d, "network_fold", pretended(asked, breaks_at=3))
    run = "grouped-mobilenet1d"
    with pytest.raises(KeyboardInterrupt):
        networks1d.store(run, results)
    assert not (results / run).exists() and networks1d.finished(results) == []
    folder = networks1d.store(run, results)
    assert asked == [0, 1, 2, 2, 3, 4] and networks1d.finished(results) == [run]
    assert sorted(path.name for path in folder.iterdir()) == ["history.csv", "predictions.csv", "run.json"]
    tested = study.load(run, results).query("part == 'test'")
    assert len(tested) == 491 == tested["file"].nunique()
    assert list(study.history(run, results)) == study.HISTORY
    assert np.isclose(networks1d.validation_loss(run, results), np.log(4), atol=1e-4)
    assert len(pd.read_csv(results / "outer_log.csv")) == 1, "one run, one line"
    assert networks1d.note(run, results)["cost"]["training_cpu_s"] == 5
    assert networks1d.store(run, results) == folder and len(asked) == 6, "a finished run is left alone"
    (folder / "predictions.csv").write_text("changed")
    with pytest.raises(data.EcgbookError, match="changed by hand"):
        study.load(run, results)


def test_without_a_named_headline_nothing_is_scored(tmp_path):
    with pytest.raises(data.EcgbookError, match="name the headline"):
        networks1d.store("grouped-trees-full", tmp_path)


def test_an_unknown_run_is_told(capsys):
    assert networks1d.main(["grouped-lstm1d"]) == 2
    assert "no such run" in capsys.readouterr().err


def test_choosing_looks_at_validation_parts_alone(monkeypatch):
    right = evaluate.example().assign(part="val")
    p = right[evaluate.PROBABILITIES].to_numpy()
    wrong = right.assign(**dict(zip(evaluate.PROBABILITIES, np.roll(p, 1, axis=1).T, strict=True)))
    frames = {
        "good in validation": pd.concat([right, wrong.assign(part="test")]),
        "good in test": pd.concat([wrong, right.assign(part="test")]),
    }
    monkeypatch.setattr(study, "load", lambda run, results: frames[run])
    assert networks1d.chosen(list(frames)[::-1]) == "good in validation"


# The stored runs

STORED = networks1d.finished()
stored = pytest.mark.parametrize("run", STORED)


def test_every_run_of_the_comparison_is_stored():
    assert [run for run in PLANS if run in networks1d.wanted()] == STORED


@functools.cache
def folds() -> list[splits.Split]:
    return splits.folds("grouped", data.pages())


@stored
def test_a_stored_run_is_whole_and_of_this_code(run):
    frame, note, plan = study.load(run), networks1d.note(run), PLANS[run]
    files = data.pages()["file"].to_numpy()
    for fold, split in enumerate(folds()):
        rows = frame[frame["fold"] == fold]
        for part in ("val", "test"):
            assert set(rows.loc[rows["part"] == part, "file"]) == set(files[getattr(split, part)])
    assert len(frame) == sum(len(split.val) + len(split.test) for split in folds())
    assert note["code"] == networks1d._code(plan), "the code changed since: run it again"
    assert all(data.digest(data.tables() / name)[1][:16] == value for name, value in note["data"].items())
    assert (note["weights"], note["share"]) == (plan.weights, plan.share)
    learned = [len(networks1d.learned(split, plan.share, fold)) for fold, split in enumerate(folds())]
    assert note["cost"]["learned_from"] == learned
    log = pd.read_csv(study.RESULTS / "outer_log.csv")
    assert note["started"] in set(log.loc[log["run"] == run, "date"])


@pytest.mark.parametrize("run", [run for run in STORED if PLANS[run].family in FAMILIES])
def test_history_and_predictions_of_a_stored_network_agree(run):
    history, note = study.history(run), networks1d.note(run)
    network = networks1d.build(PLANS[run].family)
    assert note["cost"]["parameters"] == networks1d.parameters(network)
    assert note["cost"]["bytes"] == networks1d.size(network)
    val = study.load(run).query("part == 'val'")
    p = val[evaluate.PROBABILITIES].to_numpy()[np.arange(len(val)), val["label"].map(data.CLASSES.index)]
    losses = -np.log(np.maximum(p, 1e-5))
    epochs = round(RECIPE.epochs / PLANS[run].share ** 0.5)
    for fold, rows in history.groupby("fold"):
        assert rows["epoch"].tolist() == list(range(1, epochs + 1))
        assert np.isclose(losses[val["fold"] == fold].mean(), rows["val_loss"].min(), atol=0.02)


def test_what_began_on_ludb_says_that_it_may_not_be_tested_there():
    for run in STORED:
        assert (networks1d.note(run)["external"] == "never on LUDB") == (PLANS[run].weights == "ludb")
        assert ("pretraining" in networks1d.note(run)) == (PLANS[run].weights != "none")


def test_the_runs_stay_small():
    paths = [path for run in STORED for path in (study.RESULTS / run).iterdir()]
    assert len(paths) > 2 * len(STORED) and sum(path.stat().st_size for path in paths) < 1.5e6
