"""Pre-training on drawn pages: the questions, the pages, the training and what it leaves."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config

from ecgbook import data, digitize, measure, networks, preprocess, pretrain, synth, train
from ecgbook.data import EcgbookError
from ecgbook.synth import LEADS

NETWORK = "mobilenet-v3-small"


@pytest.fixture(scope="module")
def records():
    """Thirty records, as they are dealt."""
    return [synth.record(*_parts(name)) for name in pretrain._names(30, 3)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache that the tests share, for drawing takes longest."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def small(monkeypatch):
    """The stored backbone's settings, for a test."""
    monkeypatch.setattr(pretrain, "PAGES", 4)
    monkeypatch.setattr(pretrain, "RECIPE", pretrain.RECIPE._replace(epochs=1, batch=2))


def _parts(name):
    label, seed = name.split()
    return label, int(seed)


def _answers(record):
    return dict(zip(pretrain.TARGETS, pretrain.targets(record).tolist(), strict=True))


def _first(wanted, label="Abnormal"):
    """The first record of a class with a finding."""
    records = (synth.record(label, seed) for seed in range(100))
    return next(record for record in records if wanted in record.truth["findings"])


# The questions


def test_targets_are_fifteen_numbers_and_one_rhythm(records):
    for record in records:
        answers = pretrain.targets(record)
        assert answers.shape == (len(pretrain.TARGETS),) == (15,) and answers.dtype == np.float32
        assert sorted(answers[:4].tolist()) == [0, 0, 0, 1]
        signs = answers[7:]
        assert set(signs[np.isfinite(signs)].tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    "finding, rhythm",
    [
        ("atrial fibrillation", "fibrillation"),
        ("PVC", "ventricular"),
        ("PAC", "atrial"),
        ("sinus tachycardia", "sinus"),
    ],
)
def test_rhythm_is_that_of_the_heart(finding, rhythm):
    assert _answers(_first(finding))[rhythm] == 1


def test_rate_is_the_printed_one(records):
    for record in records:
        assert 80 + 20 * _answers(record)["rate"] == pytest.approx(record.heart_rate, abs=1e-3)


def test_axis_agrees_with_the_measured_one(records):
    """The measurement finds its own beats and boundaries, so they agree to some degrees."""
    off = []
    for record in records[:10]:
        answers = _answers(record)
        assert np.hypot(answers["axis cos"], answers["axis sin"]) == pytest.approx(1, abs=1e-5)
        mine = np.degrees(np.arctan2(answers["axis sin"], answers["axis cos"]))
        off.append((mine - measure.measure(record)["axis_deg"] + 180) % 360 - 180)
    assert np.median(np.abs(off)) < 3


@pytest.mark.parametrize(
    "territory, wall", [("inferior", "inferior"), ("anterior", "anterior"), ("lateral", "lateral")]
)
@pytest.mark.parametrize("label, sign", [("MI", "ST"), ("History_MI", "Q")])
def test_a_wall_that_is_infarcted_is_answered(territory, wall, label, sign):
    records = (synth.record(label, seed) for seed in range(200))
    answers = _answers(next(record for record in records if record.truth["territory"] == territory))
    assert answers[f"{sign} {wall}"] == 1
    assert label == "MI" or not any(answers[f"ST {wall}"] for wall in pretrain._WALLS)


def test_signs_follow_the_measured_beat(records):
    """Raise ST of two inferior leads in the truth, and only that answer changes."""
    record = next(record for record in records if record.label == "Normal")
    st = record.truth["st"].copy()
    st[[LEADS.index("II"), LEADS.index("aVF")]] = 0.12
    before, after = _answers(record), _answers(record._replace(truth=record.truth | {"st": st}))
    assert {name for name in before if before[name] != after[name]} == {"ST inferior"}
    st[LEADS.index("aVF")] = 0.09
    assert _answers(record._replace(truth=record.truth | {"st": st})) == before


def test_st_and_q_are_not_asked_in_a_left_block():
    left, right = _answers(_first("LBBB")), _answers(_first("RBBB"))
    assert (left["LBBB"], left["RBBB"], right["LBBB"], right["RBBB"]) == (1, 0, 0, 1)
    infarction = [*pretrain.TASKS["ST"], *pretrain.TASKS["Q"]]
    assert np.isnan([left[name] for name in infarction]).all()
    assert np.isfinite([right[name] for name in infarction]).all()


def test_a_real_record_is_refused():
    with pytest.raises(EcgbookError, match="nothing is known for certain"):
        pretrain.targets(digitize.record(digitize.load("MI(1).jpg")))


# Drawn pages


def test_pages_follow_from_number_and_seed(cache, tmp_path):
    pixels, answers = pretrain.drawn(3, cache_dir=cache, jobs=1)
    again, same = pretrain.drawn(2, cache_dir=tmp_path, jobs=1)
    assert pixels.dtype == np.uint8 and pixels.shape == (3, 224, 224)
    assert np.array_equal(pixels[:2], again) and np.array_equal(answers[:2], same, equal_nan=True)
    other, _ = pretrain.drawn(2, seed=1, cache_dir=cache, jobs=1)
    assert not (other == again).all(axis=(1, 2)).any()
    assert len({page.tobytes() for page in pixels}) == 3


def test_seeds_share_no_heart():
    one, other = pretrain._names(5000, 0), pretrain._names(5000, 1)
    assert len(set(one)) == 5000 and not set(one) & set(other)


def test_pixels_are_those_of_the_pipeline(cache):
    pixels, _ = pretrain.drawn(1, cache_dir=cache, jobs=1)
    page, _ = pretrain.draw.draw_page(synth.record("MI", 0))
    assert np.array_equal(pixels[0] / np.float32(255), preprocess.apply("paper", page))


def test_portions_are_joined_in_order_and_taken_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "_PORTION", 2)
    told = []
    with parallel_config("threading"):  # processes would take seconds to start
        pixels, answers = pretrain.drawn(3, cache_dir=tmp_path, jobs=2, progress=lambda *x: told.append(x))
    assert told == [("pages", 2, 3), ("pages", 3, 3)] and len(list(tmp_path.glob("*.npy"))) == 2
    monkeypatch.setattr(pretrain, "_open", None)  # the next call must not draw
    again, same = pretrain.drawn(3, cache_dir=tmp_path, jobs=1)
    assert np.array_equal(pixels, again) and np.array_equal(answers, same, equal_nan=True)
    assert not np.array_equal(pixels[0], pixels[2])
    whole = [pretrain.targets(synth.record(*_parts(name))) for name in pretrain._names(3, 0)]
    assert np.array_equal(answers, whole, equal_nan=True)


def test_the_name_in_the_cache_follows_the_code(monkeypatch):
    before = pretrain._key("page", 2, 0)
    assert before == pretrain._key("redrawn page", 2, 0) != pretrain._key("crop", 2, 0)
    assert before != pretrain._key("page", 2, 1)
    monkeypatch.setattr(pretrain, "_drawing", lambda: "another program")
    assert pretrain._key("page", 2, 0) != before


def test_leads_come_as_thirteen_pictures(cache):
    assert pretrain.drawn(1, "leads", cache_dir=cache, jobs=1)[0].shape == (1, 13, 80, 128)


# Loss and score


def test_loss_leaves_out_what_has_no_answer():
    import torch

    torch.manual_seed(0)
    scores = torch.randn(3, 15, requires_grad=True)
    answers = torch.zeros(3, 15)
    answers[:, 0] = 1
    answers[1, 7:13] = torch.nan
    before = pretrain.loss(scores, answers)
    before.backward()
    assert torch.isfinite(before) and (scores.grad[1, 7:13] == 0).all()
    assert (scores.grad[[0, 2], 7:13] != 0).all() and (scores.grad[1, 13:] != 0).all()


def test_loss_is_the_sum_of_plain_means():
    import torch

    rng = np.random.default_rng(0)
    scores, answers = rng.normal(size=(4, 15)), rng.integers(0, 2, (4, 15)).astype(float)
    answers[:, :4] = np.eye(4)
    softmax = np.exp(scores[:, :4]) / np.exp(scores[:, :4]).sum(axis=1, keepdims=True)
    wanted = -np.log(softmax[np.eye(4, dtype=bool)]).mean()
    off = np.abs(scores[:, 4:7] - answers[:, 4:7])
    smooth = np.where(off < 1, off**2 / 2, off - 0.5)
    wanted += smooth[:, 0].mean() + smooth[:, 1:].mean()
    p = 1 / (1 + np.exp(-scores))
    cross = -(answers * np.log(p) + (1 - answers) * np.log(1 - p))
    wanted += cross[:, 7:10].mean() + cross[:, 10:13].mean() + cross[:, 13:].mean()
    assert float(pretrain.loss(torch.tensor(scores), torch.tensor(answers))) == pytest.approx(wanted)


def test_score_of_the_truth_and_of_a_guess(records):
    answers = np.array([pretrain.targets(record) for record in records])
    right = pretrain.score(answers, np.nan_to_num(answers)).set_index("task")
    assert (right.loc[right["metric"] == "auc", "value"].dropna() == 1).all()
    assert right.loc[["rate", "axis"], "value"].max() < 1e-3
    constant = np.zeros_like(answers)
    constant[:, 4] = np.median(answers[:, 4])
    guess = pretrain.score(answers, constant).set_index("task")
    assert (guess.loc[guess["metric"] == "auc", "value"].dropna() == 0.5).all()
    assert guess.loc["rate", "value"] == pytest.approx(guess.loc["rate", "guess"])
    assert guess.loc["fibrillation", "cases"] == answers[:, 1].sum()


def test_axis_is_compared_the_short_way_round():
    answers, scores = np.zeros((1, 15)), np.zeros((1, 15))
    for array, degrees in ((answers, 179), (scores, -179)):
        array[0, 5:7] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    assert pretrain.score(answers, scores).set_index("task").loc["axis", "value"] == pytest.approx(2)


# Training


def test_no_page_of_the_data_set_is_used(cache, monkeypatch):
    def refuse(*_):
        raise AssertionError("asked for the data set")

    for name in ("page_bytes", "files", "pages", "read_manifest", "tables"):
        monkeypatch.setattr(data, name, refuse)
    monkeypatch.setattr(digitize, "load", refuse)
    model, outputs = pretrain.pretrain(NETWORK, "page", 3, 1, 5, cache_dir=cache, jobs=1, device="cpu")
    assert model.head.out_features == 15 and list(outputs) == pretrain.OUTPUTS


def test_it_learns(cache):
    """Six epochs on three pages: their loss falls."""
    _, outputs = pretrain.pretrain(NETWORK, "leads", 4, 6, cache_dir=cache, jobs=1, device="cpu")
    losses = outputs.loc[outputs["metric"] == "train_loss", "value"].tolist()
    assert len(losses) == 6 and losses[-1] < 0.9 * losses[0]


def test_a_training_that_was_stopped_ends_as_an_undisturbed_one(cache, tmp_path):
    def stop(what, done, _):
        if what == "epochs":
            raise KeyboardInterrupt

    same = {"cache_dir": cache, "jobs": 1, "device": "cpu"}
    model, outputs = pretrain.pretrain(NETWORK, "leads", 4, 2, **same)
    state = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        pretrain.pretrain(NETWORK, "leads", 4, 2, state=state, progress=stop, **same)
    resumed, table = pretrain.pretrain(NETWORK, "leads", 4, 2, state=state, **same)
    pd.testing.assert_frame_equal(outputs, table)
    for key, value in model.state_dict().items():
        assert value.equal(resumed.state_dict()[key]), key
    with pytest.raises(EcgbookError, match="begun with other drawn, seed"):
        pretrain.pretrain(NETWORK, "leads", 4, 2, 1, state=state, **same)


def test_nothing_is_chosen_on_the_held_out_pages(cache, monkeypatch):
    """Other held-out answers, the same weights."""
    same = {"cache_dir": cache, "jobs": 1, "device": "cpu"}
    model, outputs = pretrain.pretrain(NETWORK, "leads", 4, 2, **same)
    draw = pretrain.drawn

    def changed(*given):
        pixels, answers = draw(*given)
        answers[3:, 4] += 1
        return pixels, answers

    monkeypatch.setattr(pretrain, "drawn", changed)
    other, table = pretrain.pretrain(NETWORK, "leads", 4, 2, **same)
    assert not table["value"].equals(outputs["value"])
    for key, value in model.state_dict().items():
        assert value.equal(other.state_dict()[key]), key


@pytest.mark.parametrize(
    "given, word",
    [
        ({"network": "mobilenet"}, "no such network; did you mean mobilenet-v3-small"),
        ({"shown": "pages"}, "no such input; did you mean page"),
        ({"pages": 1}, "too few"),
        ({"epochs": 0}, "teach nothing"),
        ({"device": "gpu"}, "no such device"),
    ],
)
def test_mistakes_are_told_in_a_sentence(given, word, tmp_path):
    with pytest.raises(EcgbookError, match=word):
        pretrain.pretrain(**({"network": NETWORK, "cache_dir": tmp_path, "jobs": 1} | given))
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_no_number_is_told(cache, monkeypatch):
    monkeypatch.setattr(pretrain, "RECIPE", pretrain.RECIPE._replace(lr=1e30))
    with pytest.raises(EcgbookError, match="the loss is no number in epoch"):
        pretrain.pretrain(NETWORK, "leads", 4, 3, cache_dir=cache, jobs=1, device="cpu")


# What it leaves


def test_a_backbone_is_made_once_and_gives_the_same_features(cache, small, monkeypatch):
    made, teach = [], pretrain.pretrain
    monkeypatch.setattr(pretrain, "pretrain", lambda *x, **y: made.append(teach(*x, **y)) or made[-1])
    path = pretrain.weights_path(NETWORK, "leads", cache)
    assert path == pretrain.weights_path(NETWORK, "redrawn leads", cache) and len(made) == 1
    assert not list(cache.glob("*.pt"))
    pages = np.random.default_rng(0).integers(0, 255, (2, 13, 80, 128), dtype=np.uint8)
    loaded = networks.build(NETWORK, path, parts=13)
    assert np.array_equal(networks.embed(loaded, pages), networks.embed(made[0][0], pages))
    assert loaded.head.out_features == 4
    path.unlink()
    assert pretrain.weights_path(NETWORK, "leads", cache) == path and len(made) == 2
    assert np.array_equal(
        networks.embed(networks.build(NETWORK, path, parts=13), pages), networks.embed(loaded, pages)
    )


def test_the_name_of_a_backbone_follows_settings_and_code(small, monkeypatch):
    before = pretrain._made_by(NETWORK, "page")
    assert before != pretrain._made_by("resnet18", "page")
    monkeypatch.setattr(pretrain, "PAGES", 5)
    after = pretrain._made_by(NETWORK, "page")
    assert after != before
    monkeypatch.setattr(pretrain, "_code", lambda *_: {"pretrain": "another program"})
    changed = pretrain._made_by(NETWORK, "page")
    assert changed not in (before, after)
    monkeypatch.setattr(train, "_begin", train._save)
    assert pretrain._made_by(NETWORK, "page") not in (before, after, changed)


def test_the_record_holds_what_it_says(cache, small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pretrain, "store", partial(pretrain.store, results=tmp_path, cache_dir=cache))
    assert pretrain.main([NETWORK, "leads"]) == 0
    folder = tmp_path / f"pretrain-{NETWORK}-leads"
    assert capsys.readouterr().out.strip() == str(folder)
    note = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    outputs = pd.read_csv(folder / "outputs.csv")
    assert note["task"] == "pretrain" and note["run"] == folder.name and note["held_out"] == 1
    assert list(outputs) == list(note["columns"]) == pretrain.OUTPUTS
    assert note["outputs_sha256"] == data.digest(folder / "outputs.csv")[1]
    assert note["weights_sha256"] == data.digest(pretrain.weights_path(NETWORK, "leads", cache))[1]
    assert set(outputs["task"]) == {"all", "rate", "axis", *pretrain.RHYTHMS, *pretrain.SIGNS}


def test_the_command_tells_mistakes(capsys):
    assert pretrain.main([]) == 2 and "usage" in capsys.readouterr().err
    assert pretrain.main(["resnet-18"]) == 2
    assert "did you mean resnet18" in capsys.readouterr().err
