"""Tests of the explanations: known answers, planted signals, a control that must fail."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from ecgbook import data, explain, measure, models, study, synth
from ecgbook.data import EcgbookError

FIVE = explain.Players(tuple("abcde"), np.array([0, 0, 1, 2, 3, 4, -1]), lambda values: values)


@pytest.fixture(scope="module")
def fitted():
    """The headline on one fold, with fewer ECGs to explain."""
    whole = explain.fit(0)
    return whole._replace(tested=whole.tested[::6], files=whole.files[::6], y=whole.y[::6])


class Planted:
    """A model that looks at nothing but the heart rate and the ST level of V2."""

    classes_ = np.arange(4)

    def predict_proba(self, X):
        z = (X["heart_rate"].to_numpy() - 80) / 20 + 10 * np.nan_to_num(X["V2_stj_mv"].to_numpy())
        p = 1 / (1 + np.exp(-np.nan_to_num(z)))
        return np.stack([0 * p, 0 * p, p, 1 - p], axis=1)


def ecgs(n=40, known=120):
    values = explain.table().to_numpy()
    rows = np.random.default_rng(0).permutation(len(values))
    tested = rows[:n]
    files = explain.table().index[tested].to_numpy()
    return explain.Fitted(Planted(), values[rows[n : n + known]], values[tested], files, np.full(n, 2))


# Players


def test_every_column_that_the_headline_sees_has_one_family():
    names = list(models.features("all"))
    of = pd.Series([explain.family(name) for name in names], names)
    assert set(of) == set(explain.FAMILIES)
    assert of["V1_t_polarity"] == of["t_inverted_leads"] == of["chest_t_share_mean"] == "T wave"
    assert of["t_axis_deg"] == of["axis_x"] == "axes"
    assert of["qs_leads"] == of["q_anterior"] == "Q wave"
    assert of["qrs_ms"] == "intervals"
    assert of["V3_p_ms"] == of["p_ms"] == "P wave"
    assert of["st_inferior_less_lateral"] == "ST segment"


def test_an_unknown_column_is_refused():
    with pytest.raises(EcgbookError, match="printed_rate: belongs to no family"):
        explain.family("printed_rate")


@pytest.mark.parametrize("cast", [explain.families, explain.leads, explain.waves])
def test_each_player_owns_columns_and_no_model_loses_one_unseen(cast):
    players = cast()
    assert set(players.owner) == {-1, *range(len(players.names))}
    assert players.owner[-1] == -1  # "female" is never taken away


def test_leads_own_everything_but_what_follows_from_them():
    players, names = explain.leads(), explain.table().columns
    assert {name for name, of in zip(names, players.owner, strict=True) if of == -1} == {
        "female",
        *explain._DERIVED,
    }


def test_waves_stand_where_the_boundaries_of_real_beats_stand():
    files = data.pages()["file"][::60]
    found = [measure.landmarks(record) for file, record in measure._carried_records() if file in set(files)]
    (p_on, p_off), (onset, offset), (t_on, _) = np.nanmedian([f.waves.together for f in found], axis=0)
    assert p_on > explain.WAVES["P"][1] and p_off < explain.WAVES["P"][2]
    assert abs(onset - explain.WAVES["QRS"][1]) < 0.02 and abs(offset - explain.WAVES["QRS"][2]) < 0.02
    assert abs(t_on - explain.WAVES["T"][1]) < 0.03


def test_what_follows_from_the_leads_is_what_was_measured():
    table = explain.table()
    again = pd.DataFrame(explain.derived(table.to_numpy()), table.index, table.columns)
    for name in explain._DERIVED - set(explain._AXES):
        same = again[name].sub(table[name]).abs().le(0.003) | (again[name].isna() & table[name].isna())
        assert same.sum() >= len(table) - 1, name  # the carried table is rounded: one may sit on a threshold
    turn = (again[list(explain._AXES)] - table[list(explain._AXES)]).abs()
    assert turn.max().max() < 1 and (again.isna() == table.isna()).all(axis=None)


# Shapley values


def brute_force(predict, x, other, players):
    """Shapley values (p,) by their definition, one ECG and one stand-in."""
    p = len(players.names)
    value = {}
    for keep in itertools.product([False, True], repeat=p):
        value[keep] = predict(explain.mixed(x, other, np.array([keep]), players))[0, 0]
    out = np.zeros(p)
    for keep, player in itertools.product(value, range(p)):
        if not keep[player]:
            more = tuple(k or i == player for i, k in enumerate(keep))
            weight = math.factorial(sum(keep)) * math.factorial(p - sum(keep) - 1) / math.factorial(p)
            out[player] += weight * (value[more] - value[keep])
    return out


def tangled(values):
    return np.stack(
        [values[:, 0] * values[:, 2] + np.exp(values[:, 3]) * values[:, 4] + values[:, 6]], axis=1
    )


def test_sampled_shapley_values_agree_with_the_definition():
    rng = np.random.default_rng(0)
    x, other = rng.normal(size=(1, 7)), rng.normal(size=(1, 7))
    true = brute_force(tangled, x, other, FIVE)
    values, errors = explain.shapley(tangled, x, other, FIVE, pairs=400)
    assert np.abs(values[0, :, 0] - true).max() < 0.05 * np.abs(true).max()
    assert np.all(np.abs(values[0, :, 0] - true) <= 4.5 * errors[0, :, 0] + 1e-12)
    assert values[0, 4, 0] == 0  # a player that nothing hangs on


def test_credits_sum_to_what_there_is_to_divide():
    rng = np.random.default_rng(1)
    x, known = rng.normal(size=(5, 7)), rng.normal(size=(1, 7))
    values, _ = explain.shapley(tangled, x, known, FIVE, pairs=2)
    nobody = explain._all_away(x, np.tile(known, (5, 1)), FIVE)
    assert np.allclose(values.sum(axis=1), tangled(x) - tangled(nobody))


def test_shapley_values_find_what_was_planted_and_nothing_else():
    here = ecgs()
    values, _ = explain.shapley(
        explain.predictor(here.model, explain.families()),
        here.tested,
        here.known,
        explain.families(),
        pairs=3,
    )
    size = np.abs(values[:, :, 2]).mean(axis=0)
    assert {explain.FAMILIES[k] for k in np.flatnonzero(size > 1e-9)} == {"rhythm", "ST segment"}


def test_leads_find_the_lead():
    here = ecgs(20)
    predict = explain.predictor(here.model, explain.leads())
    values, _ = explain.shapley(predict, here.tested, here.known, explain.leads(), pairs=2)
    size = np.abs(values[:, :, 2]).mean(axis=0)
    assert {explain.leads().names[k] for k in np.flatnonzero(size > 1e-9)} == {"V2", "no single lead"}


def test_tree_shap_adds_up_to_the_trees(fitted):
    trees = explain.member(fitted, "extra trees")
    values, names = explain.tree_shap(trees, rows=10)
    drawn = np.random.default_rng(0).choice(len(trees.known), 10, replace=False)
    p, of_known = (
        models.probabilities(trees.model, explain._seen(v)) for v in (trees.tested, trees.known[drawn])
    )
    assert len(names) == values.shape[1]
    assert np.allclose(values.sum(axis=1), p - of_known.mean(axis=0), atol=1e-6)
    assert np.allclose(explain.by_family(values[:, :, 0], names).sum(axis=1), values[:, :, 0].sum(axis=1))


# The fold


def test_the_fold_is_explained_by_the_model_that_was_scored(fitted):
    p = explain.predictor(fitted.model, explain.families())(fitted.tested)
    stored = study.load("grouped-headline").query("repeat == 0 and part == 'test'").set_index("file")
    assert np.abs(p - stored.loc[fitted.files].filter(like="p_").to_numpy()).max() < 2e-4


# Permutation, occlusion, flattening


def test_shuffling_hurts_only_what_is_looked_at():
    here = ecgs()
    here = here._replace(y=explain.predictor(here.model, explain.families())(here.tested).argmax(axis=1))
    rise, hits = explain._worse(
        here, explain.families(), explain.permuted(here, explain.families(), shuffles=2)
    )
    looked_at = [name in ("rhythm", "ST segment") for name in explain.FAMILIES]
    assert ((np.abs(rise).max(axis=0) > 1e-12) == looked_at).all()
    assert hits.mean(axis=0)[explain.FAMILIES.index("rhythm")] > 0.1


def test_occlusion_by_the_median_leaves_a_typical_ecg_alone():
    here = ecgs()
    typical = here._replace(tested=np.tile(np.nanmedian(here.known, axis=0), (2, 1)))
    said = explain.occluded(typical, explain.waves())
    assert np.allclose(said, said[:, :1])


@pytest.mark.parametrize(
    ("wave", "gone"),
    [("P", "p_mv"), ("QRS", "r_mv"), ("ST", "st40_mv"), ("T", "t_mv")],
    ids=list(explain.WAVES),
)
def test_a_flattened_wave_is_gone_and_times_stay(wave, gone):
    found = measure.landmarks(synth.window(synth.record("Normal", 7)))
    before = measure.of_landmarks(found, "")
    after = measure.of_landmarks(explain.flatten(found, wave), "")
    sizes = [abs(row[f"{lead}_{gone}"]) for row in (before, after) for lead in synth.LEADS]
    assert np.nanmean(sizes[12:]) < 0.3 * np.nanmean(sizes[:12])
    for name in ("heart_rate", "pr_ms", "qrs_ms", "qt_ms"):
        assert before[name] == after[name]
    assert found.beat is not explain.flatten(found, wave).beat


def test_an_ecg_with_nothing_flattened_measures_as_carried():
    file, record = next(iter(measure._carried_records()))
    row = explain.remeasured(measure.landmarks(record), record.sex)
    assert np.allclose(row, explain.table().loc[file].to_numpy(), atol=0.001, equal_nan=True)


# Judging


def test_the_true_order_beats_a_random_one_and_the_reverse_loses():
    here = ecgs(25)
    predict = explain.predictor(here.model, explain.families())
    target = predict(here.tested).argmax(axis=1)
    values, _ = explain.shapley(predict, here.tested, here.known, explain.families(), pairs=3)
    values = explain._called(values, target)
    noise = np.random.default_rng(0).normal(size=values.shape)
    true, random, reverse = (
        explain.score(*explain.curves(here, order, target, explain.families(), rows=3)).mean()
        for order in (values, noise, -values)
    )
    assert true > 0.1 > abs(random) and reverse == pytest.approx(-true, abs=0.02)


def test_curves_begin_and_end_where_they_must():
    here = ecgs(10)
    players = explain.families()
    target = np.full(10, 2)
    deletion, insertion = explain.curves(here, np.zeros((10, 9)), target, players)
    p = explain.predictor(here.model, players)(here.tested)[:, 2]
    assert np.allclose(deletion[:, 0], p) and np.allclose(insertion[:, -1], p)
    assert np.allclose(deletion[:, -1], insertion[:, 0])


def test_rank_correlation():
    a = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    b = np.array([[2.0, 4.0, 9.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    assert np.allclose(explain.alike(a, b), [1, -1, np.nan], equal_nan=True)


def test_the_interval_draws_groups_not_ecgs():
    pages = data.pages()
    sizes = pages["group"].value_counts()
    large = pages[pages["group"].isin(sizes.index[sizes > 1])]
    by_group = large["group"].to_numpy() % 2.0
    noise = np.random.default_rng(0).permutation(by_group)
    wide, narrow = (explain.interval(v, large["file"].to_numpy()) for v in (by_group, noise))
    assert wide[2] - wide[1] > 1.2 * (narrow[2] - narrow[1])
    assert wide[0] == pytest.approx(by_group.mean())


def test_balanced_means_weigh_classes_alike():
    files = np.array(["MI(1).jpg", "Normal(1).jpg", "Normal(2).jpg", "Normal(3).jpg"])
    values, classes = np.array([1.0, 0, 0, 0]), np.array(["MI", "Normal", "Normal", "Normal"])
    assert explain.interval(values, files)[0] == 0.25
    assert explain.interval(values, files, classes)[0] == 0.5


# LIME


def test_lime_finds_what_was_planted():
    weights, names = explain.lime_weights(ecgs(5), 0, 2, samples=400)
    assert names[int(np.abs(weights).argmax())] in ("heart_rate", "V2_stj_mv")


# The guideline


def test_signs_and_territories():
    files = data.pages()["file"].to_numpy()
    q = explain.met(files, ("q",))
    rows = pd.DataFrame({"file": files, "Q wave": q.any(axis=1).to_numpy().astype(float)})
    assert explain.follows_sign(rows, "Q wave") == (1, 1, 1)
    assert explain.follows_sign(rows.assign(**{"Q wave": 0.0}), "Q wave") == (0.5, 0.5, 0.5)
    noise = rows.assign(**{"Q wave": np.random.default_rng(0).normal(size=len(rows))})
    chance, low, high = explain.follows_sign(noise, "Q wave")
    assert low < 0.5 < high and low < chance < high
    only = q.index[q["inferior"] & ~q["anterior"] & ~q["lateral"]].to_numpy()
    weights = pd.DataFrame(0.0, range(len(only)), list(synth.LEADS)).assign(file=only, aVF=1.0)
    inside = explain.points_into(weights, ("q",))
    assert len(inside) == len(only) and inside["hit"].eq(1).all() and np.allclose(inside["chance"], 0.25)


# The stored run


def test_stored_explanations_are_whole():
    if not (explain.RESULTS / explain.RUN / "outputs.csv").is_file():
        pytest.skip("the run explain-signals is not stored here")
    rows = explain.load()
    real = rows[rows["kind"] == "real"]
    assert set(real["method"]) == set(explain.METHODS)
    for name, of in real.groupby("method"):
        assert len(of) == (40 if name == "LIME" else 491) and of["file"].is_unique
        assert of[["real", "control"]].notna().all(axis=None)
    table = explain.summary()
    assert (table["low"] <= table["faithfulness"]).all() and (table["faithfulness"] <= table["high"]).all()
    assert np.allclose(table["above"], table["faithfulness"] - table["control"])


def test_a_missing_run_says_how_to_make_it(tmp_path):
    with pytest.raises(
        EcgbookError, match=r"explain-signals: no such run; make it with `python -m ecgbook\.explain`"
    ):
        explain.summary(tmp_path)
