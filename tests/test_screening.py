"""Tests of ecgbook.screening: the arithmetic on known answers, the criteria, the stored runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm
from sklearn.metrics import roc_auc_score

from ecgbook import data, elsewhere, ludb, measure, screening, study
from ecgbook.data import EcgbookError

share = st.floats(0.01, 0.99)


@pytest.fixture
def scored() -> tuple[np.ndarray, np.ndarray]:
    """Scores of 200 people, 40 of them cases, whose scores are 1 higher on average."""
    rng = np.random.default_rng(0)
    present = np.arange(200) < 40
    return rng.normal(size=200) + present, present


# Yes or no, and what it means


def test_rates_count_and_their_intervals_are_exact(scored):
    scores, present = scored
    found = screening.rates(scores > 0.5, present)
    assert found["found"] == int(((scores > 0.5) & present).sum()) and found["cases"] == 40
    assert found["spared"] + int(((scores > 0.5) & ~present).sum()) == found["others"] == 160
    low, k, n = found["sensitivity_low"], found["found"], found["cases"]
    assert binom.sf(k - 1, n, low) == pytest.approx(0.025)


def test_drawn_rates_scatter_as_the_binomial_says(scored):
    scores, present = scored
    sensitivity, specificity = screening.drawn_rates(scores > 0.5, present)
    p = np.mean(scores[~present] <= 0.5)
    assert np.std(specificity) == pytest.approx(np.sqrt(p * (1 - p) / 160), rel=0.1)
    assert np.mean(sensitivity) == pytest.approx(np.mean(scores[present] > 0.5), abs=0.01)


@given(share, share, share)
def test_predictive_values_are_those_of_a_counted_town(sensitivity, specificity, prevalence):
    told = screening.predictive(sensitivity, specificity, prevalence)
    sick, well = 1e6 * prevalence, 1e6 * (1 - prevalence)
    flagged = sick * sensitivity + well * (1 - specificity)
    assert told["ppv"] == pytest.approx(sick * sensitivity / flagged)
    assert told["npv"] == pytest.approx(well * specificity / (1e6 - flagged))
    assert told["screened"] == pytest.approx(1e6 / (sick * sensitivity))
    assert told["false_alarms"] == pytest.approx(well * (1 - specificity) / (sick * sensitivity))


def test_a_test_that_finds_nobody_has_no_predictive_value():
    told = screening.predictive(0.0, 1.0, 0.1)
    assert np.isnan(told["ppv"]) and np.isinf(told["screened"])


# Ranking


def test_auc_is_that_of_scikit_learn_and_is_blind_to_scale(scored):
    scores, present = scored
    area, low, high = screening.auc(scores, present)
    assert area == pytest.approx(roc_auc_score(present, scores))
    assert low < area < high and high - low < 0.25
    assert screening.auc(3 * scores + 7, present) == (area, low, high)


def test_a_difference_is_paired(scored):
    scores, present = scored
    rng = np.random.default_rng(1)
    near = scores + 0.01 * rng.normal(size=200)
    apart, low, high = screening.auc_difference(scores, near, present)
    assert high - low < 0.02
    assert screening.auc_difference(near, scores, present)[0] == pytest.approx(-apart)


# Net benefit


@given(share, share, share)
def test_moving_a_risk_is_bayes_and_can_be_undone(p, before, after):
    there = screening.moved(np.array(p), before, after)
    likelihood = p / (1 - p) * (1 - before) / before
    assert there / (1 - there) == pytest.approx(likelihood * after / (1 - after))
    assert screening.moved(there, after, before) == pytest.approx(p)


def test_net_benefit_of_everybody_nobody_and_the_truth():
    present, t = np.arange(10) < 3, np.array([0.1, 0.3, 0.5])
    flag = np.ones((3, 10), bool)
    assert np.allclose(screening.net_benefit(flag, present, t), 0.3 - 0.7 * t / (1 - t))
    assert (screening.net_benefit(~flag, present, t) == 0).all()
    assert np.allclose(screening.net_benefit(np.tile(present, (3, 1)), present, t), 0.3)
    assert np.allclose(screening.net_benefit(np.tile(present, (3, 1)), present, t, 0.01), 0.01)


def test_a_calibrated_risk_is_never_worse_than_everybody_or_nobody():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.9, 40_000)
    present, t = rng.random(40_000) < p, np.array([0.05, 0.2, 0.4, 0.7])
    found = screening.net_benefit(p >= t[:, None], present, t)
    assert (found >= screening.net_benefit(np.ones((4, 40_000), bool), present, t) - 0.003).all()
    assert (found >= -0.003).all()


# Power


@pytest.mark.parametrize(("area", "cases", "others"), [(0.7, 30, 170), (0.85, 100, 100)])
def test_the_formula_agrees_with_simulated_studies(area, cases, others):
    drawn = screening.simulated(area, cases, others)
    assert drawn.mean() == pytest.approx(area, abs=0.005)
    assert drawn.std() == pytest.approx(screening.auc_error(area, cases, others), rel=0.12)


def test_a_detectable_gain_is_detected_four_times_in_five():
    gain = screening.detectable(0.75, 60, 140, r=0.5)
    one, two = screening.auc_error(0.75, 60, 140), screening.auc_error(0.75 + gain, 60, 140)
    spread = np.sqrt(one**2 + two**2 - one * two)
    assert norm.sf(norm.ppf(0.975) - gain / spread) == pytest.approx(0.8, abs=0.001)
    assert screening.detectable(0.75, 240, 560) < gain < screening.detectable(0.75, 60, 140, r=0.0)
    assert np.isnan(screening.detectable(0.9, 2, 198))


def test_simulated_areas_are_those_of_pairs():
    drawn = screening.simulated(0.8, 3, 4, studies=50, seed=1)
    assert np.allclose(drawn * 12, np.round(drawn * 12))


# Criteria


def test_criteria_are_those_of_measure_and_scale_with_voltage():
    table, sex = elsewhere.measurements(), elsewhere.assigned()["sex"]
    for name in screening.CRITERIA:
        once, half = (screening.share_of_limit(table, name, sex, scale) for scale in (1.0, 0.5))
        assert np.allclose(half, once / 2, equal_nan=True)
    cornell = screening.share_of_limit(table, "Cornell", sex)
    assert np.allclose(cornell[sex == "Female"] * 2.0, table["cornell_mv"][sex == "Female"])
    deepest = table[[c for c in table if c.endswith("_s_mv")]].max(axis=1)
    peguero = screening.share_of_limit(table, "Peguero-Lo Presti", sex)
    assert np.allclose(peguero[sex == "Male"] * 2.8, (deepest + table["V4_s_mv"])[sex == "Male"])


def test_correction_is_that_of_measure():
    table = measure.measurements()
    for formula in screening.POWERS:
        ours = screening.corrected(table["qt_ms"], table["rr_ms"], formula)
        theirs = table[f"qtc_{formula.lower()}_ms"]
        assert np.nanmax(np.abs(ours - theirs)) < 0.01 and np.isnan(ours).sum() == theirs.isna().sum()


def test_limits_are_higher_for_women_where_they_are():
    sex = pd.Series(["Male", "Female", "Male", "Female"])
    qtc = np.array([451.0, 451.0, 450.0, 461.0])
    assert screening.is_long(qtc, sex, "450/460").tolist() == [True, False, False, True]
    assert screening.is_long(qtc + 20, sex, "470").tolist() == [True, True, False, True]
    for call in (
        lambda: screening.is_long(qtc, sex, "430"),
        lambda: screening.corrected(400, 1000, "Bazet"),
        lambda: screening.share_of_limit(pd.DataFrame(), "Sokolov", sex),
    ):
        with pytest.raises(EcgbookError):
            call()


def test_agreement_leaves_out_what_was_not_measured():
    rng = np.random.default_rng(0)
    reference = rng.normal(400, 30, 500)
    found = reference + rng.normal(7, 12, 500)
    found[:50] = np.nan
    told = screening.agreement(reference, found)
    assert told["n"] == 450
    assert abs(told["bias"] - 7) < 2 and abs(told["sd"] - 12) < 1
    half = 1.96 * told["sd"] / np.sqrt(450)
    assert told["bias_high"] - told["bias"] == pytest.approx(half, rel=0.1)
    assert told["sd_high"] - told["sd_low"] == pytest.approx(2 * half / np.sqrt(2), rel=0.15)
    assert told["high"] - told["low"] == pytest.approx(2 * 1.96 * told["sd"])


def test_drawn_marks_have_the_mean_and_the_spread_of_the_errors():
    rng = np.random.default_rng(0)
    found = rng.normal(400, 40, 3000)
    reference = 0.8 * found + 70 + rng.normal(0, 15, 3000)
    drawn = screening.marked_given_measured(reference, found, np.array([350.0, 450.0, np.nan]), 400)
    assert np.allclose(drawn.mean(axis=0)[:2], [350, 430], atol=3)
    assert np.allclose(drawn.std(axis=0)[:2], 15, atol=1.5) and np.isnan(drawn[:, 2]).all()


def marks(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["wave", "onset", "peak", "offset"])


def test_qt_of_a_lead_pairs_each_qrs_with_its_own_t():
    nan = np.nan
    rows = [("P", 0.8, 0.85, 0.9), ("QRS", 1.0, 1.05, 1.1), ("T", 1.2, 1.3, 1.40)]
    rows += [("QRS", 2.0, 2.05, 2.1), ("QRS", 3.0, 3.05, 3.1), ("P", 3.1, 3.15, 3.2), ("T", 3.2, 3.3, 3.44)]
    rows += [("QRS", 4.0, 4.05, 4.1), ("T", 4.2, 4.3, nan)]
    assert screening.lead_qt(marks(*rows)) == pytest.approx(420)
    assert np.isnan(screening.lead_qt(marks(("T", 0.2, 0.3, 0.4), ("QRS", 1.0, 1.1, 1.2))))


def test_out_of_fold_risks_know_nothing_of_their_own_label():
    rng = np.random.default_rng(0)
    X, present = rng.normal(size=(200, 5)), rng.random(200) < 0.4
    risk = screening.out_of_fold(screening.finders()["logistic"], X, present, 0)
    assert abs(screening.auc(risk, present)[0] - 0.5) < 0.12
    told = screening.out_of_fold(screening.finders()["logistic"], X + present[:, None], present, 0)
    assert screening.auc(told, present)[0] > 0.9


# The stored runs


@pytest.mark.parametrize("run", screening.RUNS)
def test_a_stored_run_comes_from_the_code_as_it_stands(run):
    note = screening.note(run)
    assert note["code"] == screening._code(), "the code changed since: run it again"
    assert note["preregistration_sha256"] == elsewhere.registered()
    assert "exploratory" in note["deviations"][0]
    assert all(data.digest(data.tables() / name)[1][:16] == value for name, value in note["data"].items())


def test_stored_qt_is_whole_and_is_what_the_page_gives():
    frame, carried = screening.qt(), elsewhere.measurements()
    assert tuple(frame.index) == ludb.JUDGE
    assert np.allclose(frame["page_qt_ms"], carried.loc[frame.index, "qt_ms"], atol=0.06, equal_nan=True)
    assert frame["marked_qt_ms"].between(250, 600).all() and (frame["leads"] > 6).all()
    assert (frame["marked_longest_ms"] >= frame["marked_qt_ms"]).all()
    assert np.abs(frame["marked_rr_ms"] - frame["whole_rr_ms"]).median() < 10


def test_stored_risks_are_whole_and_their_labels_are_ludbs():
    assert screening.present("lvh").equals(elsewhere.assigned()["lvh"].rename("present"))
    assert int(screening.present("af").sum()) == 15
    for finding in screening.FINDINGS:
        for model in screening.finders():
            each = [screening.risk(finding, model, k) for k in range(screening.REPEATS)]
            assert all(tuple(r.index) == ludb.RECORDS and r.between(0, 1).all() for r in each)
            assert np.allclose(np.mean(each, axis=0), screening.risk(finding, model))
    people = elsewhere.assigned()
    kinds = people["from_60"].astype(str) + people["sex"]
    spread = screening.risk("lvh", "age and sex", 0).groupby(kinds).agg(np.ptp)
    assert spread.max() < 0.2, "this model sees age and sex alone"


def test_unfiltered_voltages_are_larger():
    filtered = screening.share_of_limit(elsewhere.measurements(), "Sokolow-Lyon", elsewhere.assigned()["sex"])
    ratio = screening.voltages()["Sokolow-Lyon"] / filtered
    assert 1.0 < ratio.median() < 1.3


def test_a_changed_file_is_refused(tmp_path):
    source = study.RESULTS / "screening-qt"
    target = tmp_path / "screening-qt"
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    assert len(screening.qt(tmp_path)) == 100
    with open(target / "outputs.csv", "a", encoding="utf-8") as stream:
        stream.write("0\n")
    with pytest.raises(EcgbookError, match="changed by hand"):
        screening.qt(tmp_path)
    with pytest.raises(EcgbookError, match="no such run"):
        screening.present("af", tmp_path)


def test_unknown_names_are_refused():
    for call in (
        lambda: screening.present("stroke"),
        lambda: screening.risk("lvh", "net"),
        lambda: screening.store("screening"),
    ):
        with pytest.raises(EcgbookError):
            call()


def test_labels_are_read_from_the_diagnoses():
    if not (data.home() / "ludb" / "ludb.csv").is_file():
        pytest.skip("no LUDB: set ECGBOOK_DATA to the folder that holds ludb/")
    found = screening.labelled()
    assert found["lvh"].equals(elsewhere.assigned()["lvh"].rename("lvh")) and found["af"].sum() == 15


def test_intervals_of_one_record():
    if not (data.home() / "ludb" / "data").is_dir():
        pytest.skip("no LUDB: set ECGBOOK_DATA to the folder that holds ludb/")
    again = screening._intervals_of(3, elsewhere.measurements())
    kept = screening.qt().loc[3]
    assert all(again[name] == pytest.approx(kept[name], abs=0.06) for name in kept.index)
