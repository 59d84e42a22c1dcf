"""Tests of compression, anomaly detection and augmentation: known answers, planted oddities, runs that are whole."""

from __future__ import annotations

import numpy as np
import pytest

from ecgbook import data, denoise, evaluate, generate, splits, study, synth
from ecgbook.data import EcgbookError

RNG = np.random.default_rng


def stretches(n=6):
    leads = [synth.record("Normal", seed, noise=0).leads[1, : generate.SAMPLES] for seed in range(n)]
    return generate._normalised(np.array(leads, float))


# Compression


@pytest.mark.parametrize("make", [lambda x: generate.wavelets(), generate.components])
def test_plain_transforms_lose_nothing_and_keep_the_energy(make):
    x = stretches()
    way = make(x)
    streams = way.forward(x)
    assert np.allclose(way.backward(streams), x, atol=1e-8)
    assert sum((s**2).sum() for s in streams) == pytest.approx((x**2).sum())


@pytest.mark.parametrize("name", ["laplace", "normal"])
@pytest.mark.parametrize("step", [0.03, 0.5, 4.0])
def test_a_code_is_a_distribution(name, step):
    cost = generate.bits(np.arange(-3000, 3001), step, generate.Code(name, 0.1, 1.0))
    assert (2.0**-cost).sum() == pytest.approx(1, abs=1e-3)


def test_a_code_costs_what_shannon_says():
    values = RNG(0).normal(size=100_000)
    code = generate.fit_code(values, 0.25)
    cost = generate.bits(np.round(values / 0.25), 0.25, code).mean()
    assert cost == pytest.approx(0.5 * np.log2(2 * np.pi * np.e) - np.log2(0.25), abs=0.02)


def test_coarser_steps_cost_fewer_bits_and_more_error():
    x, way = stretches(), generate.wavelets()
    rates, errors = [], []
    for step in (0.05, 0.2, 0.8):
        restored, rate = generate.compress(way, generate.quantisers(way.forward(x), step), x)
        rates.append(rate.mean())
        errors.append(np.sqrt(np.mean((restored - x) ** 2)))
    assert rates == sorted(rates, reverse=True) and errors == sorted(errors)
    assert errors[0] < 0.05 and rates[-1] > generate.SIDE_BITS


def test_a_heart_needs_fewer_bits_than_noise():
    x, noise, way = stretches(), RNG(0).normal(size=(6, generate.SAMPLES)), generate.wavelets()
    cost = [generate.compress(way, generate.quantisers(way.forward(y), 0.3), y)[1].mean() for y in (x, noise)]
    assert cost[0] < cost[1] / 2


def test_an_autoencoder_learns_to_write_hearts_down(one_thread):
    x = stretches(8)
    before, after = (generate.codes(generate.fit_codes(x, 8, denoise.Recipe(steps, 8))) for steps in (1, 40))
    error = [np.mean((way.backward(way.forward(x)) - x) ** 2) for way in (before, after)]
    assert error[1] < 0.7 * error[0]
    assert [s.shape for s in after.forward(x)] == [(8, generate.SAMPLES // generate.PER_CODE)] * 8


# Anomaly


def test_planted_oddities_are_noticed(one_thread):
    rng, shape = RNG(0), np.sin(np.linspace(0, 20, 12 * 14))
    normal = rng.normal(1, 0.2, (80, 1)) * shape + 0.02 * rng.normal(size=(80, shape.size))
    odd = normal[:20] + np.where(np.arange(shape.size) % 14 == 7, 0.5, 0.0)
    usual = rng.normal(1, 0.2, (20, 1)) * shape + 0.02 * rng.normal(size=(20, shape.size))
    for name, scores in generate.oddness(normal, np.concatenate([odd, usual])).items():
        assert np.isfinite(scores).all()
        if name != "Mahalanobis":  # it looks inside the usual plane, and the oddity stands outside
            assert np.median(scores[:20]) > 2 * np.median(scores[20:]), name


def test_an_unusual_size_is_noticed_by_mahalanobis():
    rng, shape = RNG(0), np.sin(np.linspace(0, 20, 168))
    normal = rng.normal(1, 0.2, (80, 1)) * shape + 0.02 * rng.normal(size=(80, 168))
    known = generate.usual(normal)
    far, near = (np.sum(known.within(size * shape[None]) ** 2 / known.variances) for size in (3.0, 1.0))
    assert far > 20 * near


def test_only_normal_training_ecgs_are_learned_from(monkeypatch, one_thread):
    seen, pages = [], data.pages()
    real = generate.models.features("beats")
    monkeypatch.setattr(generate, "oddness", lambda normal, rows, seed: seen.append((normal, rows)) or {})
    generate._anomaly_fold(1)
    split = splits.folds("grouped", pages)[1]
    normal, rows = seen[0]
    outside = np.concatenate([split.train, split.val])
    assert len(rows) == len(split.test)
    assert len(normal) == (pages["label"].iloc[outside] == "Normal").sum()
    tested = {tuple(row) for row in real.loc[pages["file"].iloc[split.test]].to_numpy().round(6)}
    assert not tested & {tuple(row) for row in normal.round(6)}


# Augmentation


def test_cheap_ways_stay_where_they_belong():
    rows = RNG(0).normal(size=(12, 5))
    assert {tuple(r) for r in generate.copies(rows, 50, RNG(1))} <= {tuple(r) for r in rows}
    made = generate.smote(rows, 200, RNG(1))
    assert (made >= rows.min(axis=0)).all() and (made <= rows.max(axis=0)).all()
    shaken = generate.jitter(rows, 4000, RNG(1))
    assert shaken.std(axis=0) == pytest.approx(np.sqrt(1.09) * rows.std(axis=0), rel=0.1)


def test_the_gan_learns_where_a_class_lies(one_thread):
    rng, y = RNG(0), np.repeat(np.arange(4), 60)
    rows = 0.3 * rng.normal(size=(240, 2)) + np.array([[2, 2], [-2, 2], [2, -2], [-2, -2]])[y]
    invent = generate.fit_gan(rows, y, steps=400)
    for label in range(4):
        assert np.linalg.norm(invent(label, 200, 0).mean(axis=0) - rows[y == label].mean(axis=0)) < 1.2
    assert np.array_equal(invent(0, 5, 3), invent(0, 5, 3)) and not np.array_equal(
        invent(0, 5, 3), invent(0, 5, 4)
    )


def test_likeness_knows_copies_from_strangers():
    rows = RNG(0).normal(size=(30, 6))
    assert generate.likeness(rows, generate.copies(rows, 100, RNG(1)))[0] == 0
    assert generate.likeness(rows, rows + 100)[0] > 10
    assert generate.likeness(rows, 0.1 * rows)[1] == pytest.approx(0.01)


def test_the_test_side_decides_nothing_about_the_numbers():
    X = generate.models.features("all")
    split = splits.folds("grouped", data.pages())[0]
    known = np.concatenate([split.train, split.val])
    other = X.copy()
    other.iloc[split.test] = other.iloc[split.test].to_numpy() * 5 + 1
    one, two = generate._numbers(X, known), generate._numbers(other, known)
    assert np.allclose(one[known], two[known])
    assert not np.allclose(one[split.test], two[split.test])
    assert one[known].std(axis=0) == pytest.approx(np.ones(generate.NUMBERS), rel=0.01)


# The stored runs


@pytest.mark.parametrize("run", generate.RUNS)
def test_stored_runs_are_whole_and_from_this_code(run):
    note, frame = generate.note(run), generate.load(run)
    assert note["code"]["generate"] == generate._code()["generate"]
    assert not frame.isna().any(axis=None)
    assert sum(p.stat().st_size for p in (study.RESULTS / run).iterdir()) < 400_000
    with pytest.raises(EcgbookError, match="no such table"):
        generate.load(run, "predictions.csv")


def test_every_record_and_every_ecg_is_tested_once():
    compressed = generate.load("compress-ludb").groupby(["method", "latent", "step"])["record"]
    tested = np.concatenate([denoise.deal(fold)["test"] for fold in denoise.TESTED])
    assert (compressed.nunique() == len(tested)).all() and (compressed.size() == len(tested)).all()
    odd = generate.load("anomaly-beats")
    assert sorted(odd["file"]) == sorted(data.pages()["file"])
    for frame in generate.augmented().values():
        assert len(evaluate.check(frame)) == 491 * generate.REPEATS


def test_stored_predictions_keep_to_the_folds():
    pages = data.pages().set_index("file")
    frame = generate.augmented()["plain"]
    assert (pages.loc[frame["file"], "label"].to_numpy() == frame["label"]).all()
    for repeat, part in frame.groupby("repeat"):
        for fold, split in enumerate(splits.folds("grouped", data.pages(), repeat)):
            assert set(part.loc[part["fold"] == fold, "file"]) == set(data.pages()["file"].iloc[split.test])


def test_areas_are_areas():
    found = generate.areas(replicates=100)
    assert len(found) == len(generate.ODD) * 3
    assert found[["auc", "low", "high"]].stack().between(0, 1).all()
    assert ((found["low"] <= found["auc"]) & (found["auc"] <= found["high"])).all()
    own = found[found["method"] == "autoencoder"]
    assert (own["less"] == 0).all()
    frame = generate.load("anomaly-beats")
    mi, normal = (frame.loc[frame["label"] == k, "heart rate"].to_numpy() for k in ("MI", "Normal"))
    wins = (mi[:, None] > normal).mean() + 0.5 * (mi[:, None] == normal).mean()
    said = found.query("method == 'heart rate' and label == 'MI'")["auc"].item()
    assert said == pytest.approx(wins, abs=1e-6)


def test_rates_fall_as_errors_rise():
    for _, part in generate.rates().groupby(["method", "latent"]):
        assert part.sort_values("bits")["rmse"].is_monotonic_decreasing


def test_an_unknown_run_is_told(capsys):
    assert generate.main(["compress"]) == 2
    assert "did you mean compress-ludb" in capsys.readouterr().err
