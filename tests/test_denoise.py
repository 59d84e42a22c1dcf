"""Tests of the denoisers: exact ratios, known answers, gradients, no leak, a run that is whole."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from ecgbook import denoise, digitize, ludb, study, synth
from ecgbook.data import EcgbookError

FS = denoise.FS
CLEAN = synth.record("MI", 3, noise=0).leads.astype(float)


def noisy(kind, snr=0.0, seed=0, band="diagnostic", row=1):
    return denoise.add(CLEAN[row], kind, snr, np.random.default_rng(seed), FS, band)


def spectrum(values):
    power = np.abs(np.fft.rfft(values - values.mean())) ** 2
    return np.fft.rfftfreq(values.size, 1 / FS), power / power.sum()


# Noise


@pytest.mark.parametrize("band", denoise.BANDS)
@pytest.mark.parametrize("kind", denoise.KINDS)
def test_the_ratio_is_exact(kind, band):
    for seed, snr in enumerate((-5, 0, 7.3, 20)):
        added = noisy(kind, snr, seed, band) - CLEAN[1]
        assert 10 * np.log10(CLEAN[1].var() / np.mean(added**2)) == pytest.approx(snr, abs=1e-9)


@pytest.mark.parametrize("n", [60, 625, 2500])
@pytest.mark.parametrize("kind", denoise.KINDS)
def test_noise_has_any_length_and_depends_on_the_seed_alone(kind, n):
    clean = CLEAN[1, :n]
    once, again, other = (denoise.add(clean, kind, 0, np.random.default_rng(s)) for s in (1, 1, 2))
    assert once.shape == (n,) and np.isfinite(once).all()
    assert (once == again).all() and (once != other).any()


def test_each_kind_lies_where_its_physics_says():
    rng, n = np.random.default_rng(0), 20_000
    f, p = spectrum(denoise.wander(rng, n))
    assert p[f <= 1.01].sum() > 0.99
    f, p = spectrum(denoise.mains(rng, n))
    assert abs(f[p.argmax()] - 50) < 1.0 and p[(f > 47) & (f < 53)].sum() > 0.9
    f, p = spectrum(denoise.muscle(rng, n))
    assert p[f > 10].sum() > 0.95
    f, p = spectrum(denoise.motion(rng, n))
    assert p[(f > 0.05) & (f < 15)].sum() > 0.9


def test_the_page_filter_lets_no_hum_through():
    f, p = spectrum(noisy("mains", 0, band="diagnostic") - CLEAN[1])
    assert p[f > 40].sum() > 0.9
    f, p = spectrum(noisy("muscle", 0, band="page") - CLEAN[1])
    assert p[f > 50].sum() < 0.12


def test_a_weak_contact_shrinks_the_signal_and_changes_nothing_elsewhere():
    rng = np.random.default_rng(4)
    where = denoise.gaps(np.random.default_rng(4), 2500)
    out = denoise.add(CLEAN[1], "dropouts", 25.0, rng)
    assert (out[where == 0] == CLEAN[1][where == 0]).all()
    inside = out[where == 1] - np.median(CLEAN[1])
    assert (np.abs(inside) <= np.abs(CLEAN[1][where == 1] - np.median(CLEAN[1])) + 1e-12).all()


def test_what_is_unknown_is_refused():
    with pytest.raises(EcgbookError, match="hum: no such kind of noise"):
        noisy("hum")
    with pytest.raises(EcgbookError, match="did you mean page"):
        noisy("mains", band="pages")
    with pytest.raises(EcgbookError, match="no such denoising network"):
        denoise.build("transformer")


def test_clean_keeps_the_st_band_and_drops_what_lies_outside():
    t = np.arange(20_000) / 500
    tone = {
        f: denoise.diagnostic(np.sin(2 * np.pi * f * t))[2000:8000].std() * np.sqrt(2)
        for f in (0.1, 0.67, 5, 100)
    }
    assert tone[0.1] < 0.1 and tone[5] == pytest.approx(1, abs=0.02)
    assert tone[0.67] == pytest.approx(0.707, abs=0.02) and tone[100] == pytest.approx(0.707, abs=0.05)


# Filters


@pytest.mark.parametrize("n", [300, 625, 2500])
@pytest.mark.parametrize("name", denoise.FILTERS)
def test_filters_keep_the_shape_at_every_setting(name, n):
    function, grid = denoise.FILTERS[name]
    for setting in grid:
        out = function(CLEAN[:2, :n], *setting)
        assert out.shape == (2, n) and np.isfinite(out).all()


def test_tuning_finds_the_filter_that_the_noise_asks_for():
    rng = np.random.default_rng(0)
    for kind, at in (("baseline wander", 0), ("mains", 1)):
        bad = np.array([denoise.add(row, kind, 0, rng) for row in CLEAN])
        low, high, notch = denoise.tune(CLEAN, bad)["Butterworth"]
        assert (low >= 0.5) if at == 0 else (high < 50 or notch > 0)
        assert denoise.gain(CLEAN, bad, denoise.bandpass(bad, low, high, notch)).mean() > 6


# Scores


def test_scores_know_their_answers():
    where = denoise.Beats(np.array([0, 1]), np.array([50, 60]), np.array([90, 100]))
    clean = np.zeros((2, 200))
    clean[:, 80:130] = 0.3
    clean[:, 20] = 1.0
    raised = clean.copy()
    raised[0, 80:130] += 0.2
    raised[1, 150:] += 0.01
    found = denoise.score(clean, clean + 0.5, raised, where)
    assert denoise.st_levels(clean, where).tolist() == [0.3, 0.3]
    assert found["st"] == pytest.approx(100) and found["mm"] == 0.5
    lifted = denoise.score(clean, clean + 0.5, clean + 0.05, where)
    assert lifted["st"] == pytest.approx(0, abs=1e-9) and lifted["corr"] == pytest.approx(1)
    assert lifted["gain"] == pytest.approx(20) and lifted["rmse"] == pytest.approx(50)


# Networks


@pytest.fixture(scope="module")
def some_pairs():
    rng = np.random.default_rng(0)
    clean = {"diagnostic": CLEAN, "page": CLEAN}
    return denoise.pairs(clean, 48, rng), denoise.pairs(clean, 16, rng)


def test_pairs_are_scaled_by_the_noisy_side(some_pairs):
    dirty, clean = some_pairs[0]
    assert dirty.shape == clean.shape == (48, denoise.STRETCH) and dirty.dtype == np.float32
    assert np.allclose(dirty.std(axis=1), 1, atol=1e-3) and np.allclose(
        np.median(dirty, axis=1), 0, atol=1e-3
    )


@pytest.mark.parametrize("name", denoise.NETWORKS)
def test_networks_take_any_length_and_any_unit(one_thread, name):
    network = denoise.build(name)
    assert denoise.size(network) < 200_000
    for n in (64, 625, 1000):
        assert denoise.apply(network, CLEAN[:2, :n]).shape == (2, n)
    millivolts, microvolts = (denoise.apply(network, scale * CLEAN[:2]) for scale in (1, 1000))
    assert np.allclose(1000 * millivolts, microvolts, rtol=1e-3, atol=1e-2)
    assert np.allclose(denoise.apply(network, CLEAN[:2] + 3), millivolts, atol=1e-3)


@pytest.mark.parametrize("name", denoise.NETWORKS)
def test_gradients_reach_every_weight(one_thread, some_pairs, name):
    import torch

    network = denoise.build(name).train()
    noisy, clean = (torch.from_numpy(part[:8]) for part in some_pairs[0])
    loss = denoise.ratio(network(noisy), clean) + getattr(network, "divergence", torch.zeros(()))
    loss.backward()
    for key, weight in network.named_parameters():
        assert weight.grad is not None and torch.isfinite(weight.grad).all(), key
        assert weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", denoise.NETWORKS)
def test_the_loss_falls_and_validation_steers_nothing(one_thread, some_pairs, name):
    train, val = some_pairs
    recipe = denoise.Recipe(24, 8)
    network, history = denoise.fit(name, train, val, recipe)
    assert history["val_db"].iloc[-1] < denoise._val_db(denoise.build(name), val) - 1
    other, _ = denoise.fit(name, train, train, recipe)
    assert all(
        (a == b).all()
        for a, b in zip(network.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_the_variational_code_is_random_in_training_only(one_thread, some_pairs):
    import torch

    network, x = denoise.build("variational"), torch.from_numpy(some_pairs[0][0][:2])
    assert (network.eval()(x) == network(x)).all()
    assert (network.train()(x) != network(x)).any()
    assert float(network.divergence.detach()) > 0


def test_the_judge_sees_both_sides(one_thread):
    import torch

    judge, x = denoise._judge(0).eval(), torch.randn(2, 256)
    assert judge(x, x).shape[0] == 2
    assert (judge(x, x) != judge(x, 0 * x)).any() and (judge(x, x) != judge(0 * x, x)).any()


# No leak


def test_folds_part_the_records():
    tested = np.concatenate([denoise.deal(fold)["test"] for fold in range(denoise.FOLDS)])
    assert sorted(tested) == list(ludb.RECORDS)
    for fold in range(denoise.FOLDS):
        part = denoise.deal(fold)
        assert not set(part["train"]) & set(part["test"]) and not set(part["val"]) & set(part["test"])
        assert not set(part["train"]) & set(part["val"])


def test_training_sees_the_records_it_is_given_and_no_other(monkeypatch):
    marked = np.repeat(np.arange(1, 201), 12 * 2500).reshape(200, 12, 2500).astype(float)
    monkeypatch.setattr(denoise, "_ludb", lambda: {"diagnostic": marked, "page": -marked})
    part = denoise.deal(2)
    for band, sign in (("diagnostic", 1), ("page", -1)):
        assert set(np.unique(sign * denoise._signals(part["train"])[band])) == set(part["train"])


# Pages


@pytest.fixture(scope="module")
def reading():
    return digitize.load("MI(1).jpg")


def same(a, b):
    return all(
        np.array_equal(x, y, equal_nan=True)
        for x, y in zip(denoise.traces(a), denoise.traces(b), strict=True)
    )


def test_a_page_comes_apart_and_together_again(reading):
    assert len(denoise.traces(reading)) == denoise.TRACES
    assert same(denoise.with_traces(reading, denoise.traces(reading)), reading)
    assert same(denoise.denoised_page(reading, denoise.unchanged), reading)


def test_every_trace_of_a_page_gets_its_ratio(reading):
    dirty = denoise.noisy_page(reading, "all together", 10, 0)
    for clean, bad in zip(denoise.traces(reading), denoise.traces(dirty), strict=True):
        assert (np.isfinite(clean) == np.isfinite(bad)).all()
        known = np.isfinite(clean)
        ratio = 10 * np.log10(clean[known].var() / np.mean((bad - clean)[known] ** 2))
        assert ratio == pytest.approx(10, abs=1.0)  # exact before gaps were cut out again


def test_hardly_a_trace_is_left_alone():
    trace = np.full(625, np.nan)
    trace[10:60] = 1.0
    assert np.array_equal(denoise.over_gaps(trace, lambda x: 1 / 0), trace, equal_nan=True)


# The stored run


@pytest.fixture(scope="module")
def stored():
    return denoise.load()


def test_the_stored_run_is_whole_and_from_this_code(stored):
    note = denoise.note()
    assert note["code"]["denoise"] == denoise._code()["denoise"]
    tested = np.concatenate([denoise.deal(fold)["test"] for fold in denoise.TESTED])
    assert sorted(stored["record"].unique()) == sorted(tested)
    assert len(stored) == len(tested) * len(denoise.KINDS) * len(denoise.LEVELS) * len(denoise.METHODS)
    assert not stored.isna().any(axis=None)
    folder = study.RESULTS / denoise.RUN
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1e6
    assert (folder / "autoencoder.npz").stat().st_size < 250_000
    assert set(json.loads((folder / "run.json").read_text())["columns"]) >= {"outputs.csv", "diagnosis.csv"}


def test_stored_scores_agree_with_each_other(stored):
    of = stored.set_index(["record", "kind", "snr", "method"]).sort_index()
    noisy, other = of.xs("noisy", level="method"), of.xs("autoencoder", level="method")
    assert (noisy["gain"] == 0).all()
    lost = noisy["rmse"].groupby("snr").mean()
    assert lost.is_monotonic_decreasing and lost[-5] / lost[20] == pytest.approx(10**1.25, rel=0.05)
    better = other["gain"] > 3
    assert (other["rmse"] < noisy["rmse"])[better].mean() > 0.99
    assert stored["corr"].between(-1, 1).all() and stored["mm"].between(0, 1).all()


def test_the_clean_diagnosis_is_the_stored_headline():
    clean = denoise.diagnosis()["clean"].set_index("file")
    headline = study.load("grouped-headline").query("repeat == 0 and part == 'test'").set_index("file")
    columns = [c for c in clean if c.startswith("p_")]
    assert np.abs(clean[columns] - headline.loc[clean.index, columns]).max(axis=None) < 0.01
    assert (clean["fold"] == headline.loc[clean.index, "fold"]).all()


def test_the_stored_autoencoder_cleans_a_heart_that_it_never_saw(one_thread):
    network, rng = denoise.trained(), np.random.default_rng(0)
    bad = np.array([denoise.add(row, "all together", 0, rng, FS, "page") for row in CLEAN])
    assert denoise.gain(CLEAN, bad, denoise.apply(network, bad)).mean() > 4


def test_a_changed_file_is_refused(tmp_path):
    folder = tmp_path / denoise.RUN
    folder.mkdir()
    for name in ("run.json", "outputs.csv"):
        (folder / name).write_bytes((study.RESULTS / denoise.RUN / name).read_bytes())
    assert len(denoise.load(tmp_path)) > 0
    with open(folder / "outputs.csv", "a") as file:
        file.write("\n")
    with pytest.raises(EcgbookError, match="changed by hand"):
        denoise.load(tmp_path)
    with pytest.raises(EcgbookError, match=r"no such run; make it with"):
        denoise.note(tmp_path / "elsewhere")


def test_an_unknown_part_is_told(capsys):
    assert denoise.main(["train 9"]) == 2
    assert "no such part" in capsys.readouterr().err


def test_an_interval_holds_the_mean_and_narrows_with_records():
    values = pd.Series(np.random.default_rng(0).normal(size=400))
    mean, low, high = denoise.interval(values)
    few = denoise.interval(values[:25])
    assert low < mean < high and high - low < (few[2] - few[1]) / 2
