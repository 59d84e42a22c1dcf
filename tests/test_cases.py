"""Single ECGs: verdicts, criteria, label doubt, agreement, missed against found."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbook import cases, data, evaluate, measure, models, study
from ecgbook.data import CLASSES, EcgbookError

PAGES = data.pages()[["file", "label"]]
RATE = measure.measurements().set_index("file")["heart_rate"]


def _probabilities(called, sure=0.85):
    p = np.full((len(called), 4), (1 - sure) / 3)
    p[np.arange(len(called)), [CLASSES.index(label) for label in called]] = sure
    return p


def _rows(called, repeat=0, part="test", pages=PAGES):
    out = pages.assign(repeat=repeat, fold=0, part=part)
    out[evaluate.PROBABILITIES] = _probabilities(called)
    return out


def _store(folder, run, *parts):
    """Leave a finished run that a test can load."""
    (folder / run).mkdir(parents=True)
    path = folder / run / "predictions.csv"
    pd.concat(parts)[evaluate.COLUMNS].to_csv(path, index=False)
    note = {"run": run, "predictions_sha256": study._file_digest(path)}
    (folder / run / "run.json").write_text(json.dumps(note))


def _called(wrong: dict[str, str]):
    return [wrong.get(file, label) for file, label in zip(PAGES["file"], PAGES["label"], strict=True)]


# --- statistics against known answers --------------------------------------------------------------------

_NUMBERS = st.lists(st.integers(-5, 5), min_size=1, max_size=12)
_CALLS = st.lists(st.tuples(*[st.sampled_from("abc")] * 3), min_size=2, max_size=25)


@given(_NUMBERS, _NUMBERS)
@settings(max_examples=60, deadline=None)
def test_cliffs_delta_is_the_rescaled_u_of_mann_and_whitney(a, b):
    from scipy.stats import mannwhitneyu

    u = mannwhitneyu(a, b, method="asymptotic").statistic if len(set(a + b)) > 1 else len(a) * len(b) / 2
    assert cases.cliffs_delta(a, b) == pytest.approx(2 * u / (len(a) * len(b)) - 1)
    assert cases.cliffs_delta(a, b) == pytest.approx(-cases.cliffs_delta(b, a))


def test_cliffs_delta_at_its_ends():
    assert cases.cliffs_delta([5, 6], [1, 2, 3]) == 1
    assert cases.cliffs_delta([1], [1, 1]) == 0
    assert np.isnan(cases.cliffs_delta([], [1.0]))


@given(_CALLS)
@settings(max_examples=60, deadline=None)
def test_cohen_kappa_is_that_of_scikit_learn(pairs):
    from sklearn.metrics import cohen_kappa_score

    a, b, _ = zip(*pairs, strict=True)
    if len(set(a) | set(b)) == 1:
        assert np.isnan(cases.cohen_kappa(a, b))
    else:
        assert cases.cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b))


def test_fleiss_kappa_of_the_example_in_the_textbooks():
    """Ten subjects, fourteen raters, five categories: 0.210."""
    counts = """0 0 0 0 14
        0 2 6 4 2
        0 0 3 5 6
        0 3 9 2 0
        2 2 8 1 1
        7 7 0 0 0
        3 2 6 3 0
        2 5 3 2 2
        6 5 2 1 0
        0 2 2 3 7"""
    ratings = [np.repeat(range(5), np.array(row.split(), int)) for row in counts.splitlines()]
    assert cases.fleiss_kappa(np.array(ratings)) == pytest.approx(0.210, abs=5e-4)
    assert cases.fleiss_kappa([["a", "a"], ["b", "b"]]) == 1


@given(_CALLS, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_a_weight_of_two_is_a_case_that_stands_twice(triples, random):
    ratings = np.array(triples)
    weights = np.array([random.randint(0, 3) for _ in triples])
    weights[0] += 1
    again = np.repeat(ratings, weights, axis=0)
    one = weights[None].astype(float)
    expected = [cases.cohen_kappa(again[:, 0], again[:, 1]), cases.fleiss_kappa(again)]
    made = [cases._cohen(ratings[:, 0], ratings[:, 1], one)[0], cases._fleiss(ratings, one)[0]]
    assert made == pytest.approx(expected, nan_ok=True)
    values, side = np.arange(len(triples)) % 5 * 1.0, np.arange(len(triples)) % 2 == 0
    delta = cases._deltas(values, one * side, one * ~side)[0]
    twice, of = np.repeat(values, weights), np.repeat(side, weights)
    assert delta == pytest.approx(cases.cliffs_delta(twice[of], twice[~of]), nan_ok=True)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.floats(0.001, 0.5))
def test_holm_rejects_what_the_step_down_procedure_rejects(p, level):
    rejected, order = np.zeros(len(p), bool), np.argsort(p, kind="stable")
    for step, i in enumerate(order):  # the procedure as Holm wrote it
        if p[i] * (len(p) - step) > level:
            break
        rejected[i] = True
    assert ((cases.holm(p) <= level) == rejected).all()


def test_holm_leaves_out_what_is_unknown():
    assert cases.holm([0.02, np.nan, 0.04])[[0, 2]].tolist() == [0.04, 0.04]
    assert np.isnan(cases.holm([0.02, np.nan])[1])


def test_dealing_anew_keeps_groups_together_and_is_fair():
    flags = np.array([1, 1, 0, 0, 1, 0, 0, 0, 0, 1], bool)
    groups = np.array([1, 1, 2, 2, 3, 3, 4, 5, 6, 7])
    dealt = cases.shuffled(flags, groups, 4000, seed=1)
    assert (dealt.sum(axis=1) == flags.sum()).all()
    pairs = {tuple(row) for row in np.sort(dealt[:, :6].reshape(-1, 3, 2), axis=1).reshape(-1, 6).astype(int)}
    assert len(pairs) == 1  # the same three pairs in every dealing, only in other places
    assert np.allclose(dealt[:, [0, 1, 6, 9]].mean(axis=0), [2 / 3, 1 / 3, 1 / 4, 1 / 4], atol=0.04)


@pytest.mark.parametrize("n_missed", [9, 17, 40])
def test_the_smallest_effect_is_found_four_times_in_five(n_missed):
    from scipy.stats import mannwhitneyu, norm

    delta = cases.smallest_effect(n_missed, 69)
    shift = np.sqrt(2) * norm.ppf((delta + 1) / 2)  # of two normal curves with this delta
    rng = np.random.default_rng(0)
    a, b = rng.normal(shift, 1, (800, n_missed)), rng.normal(0, 1, (800, 69))
    power = (mannwhitneyu(a, b, axis=1).pvalue < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.06)
    assert cases.smallest_effect(n_missed, 69, tests=15) > delta
    assert np.isnan(cases.smallest_effect(0, 69))


# --- effects on made-up ECGs -----------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch):
    """Sixty ECGs, each a group of its own unless a test says otherwise."""
    files = [f"PMI({i}).jpg" for i in range(1, 61)]
    pages = pd.DataFrame({"label": "History_MI", "group": range(60), "sex": "Male"}, index=files)
    monkeypatch.setattr(cases, "_pages", lambda: pages)
    return pages


def test_effect_finds_a_planted_difference_and_none_in_noise(made):
    rng = np.random.default_rng(3)
    missed = pd.Series(np.arange(60) < 20, made.index)
    noise = pd.Series(rng.normal(size=60), made.index)
    planted = cases.effect(noise + 2 * missed, missed)
    assert planted["delta"] > 0.6
    assert planted["p"] < 0.001
    assert 0.4 < planted["low"] < planted["delta"] < planted["high"] <= 1
    nothing = cases.effect(noise, missed)
    assert nothing["p"] > 0.05
    assert nothing["low"] < 0 < nothing["high"]


def test_the_permutation_p_is_that_of_a_rank_test_when_every_ecg_is_a_group(made):
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(5)
    missed = pd.Series(np.arange(60) < 20, made.index)
    values = pd.Series(rng.normal(size=60) + 0.5 * missed, made.index)
    exact = mannwhitneyu(values[missed], values[~missed], method="exact").pvalue
    assert cases.effect(values, missed)["p"] == pytest.approx(exact, abs=0.02)


def test_copies_within_groups_add_no_certainty(made):
    rng = np.random.default_rng(7)
    made["group"] = np.arange(60) // 4  # fifteen groups of four equal ECGs
    values = pd.Series(np.repeat(rng.normal(size=15), 4), made.index)
    missed = pd.Series(np.repeat(np.arange(15) < 5, 4), made.index)
    grouped = cases.effect(values, missed)
    made["group"] = range(60)
    naive = cases.effect(values, missed)
    assert grouped["delta"] == naive["delta"]
    assert grouped["high"] - grouped["low"] > 1.5 * (naive["high"] - naive["low"])
    assert grouped["p"] > naive["p"]


def test_effect_without_an_interval_for_a_handful_and_without_gaps(made):
    values = pd.Series(np.arange(60.0), made.index)
    values.iloc[0] = np.nan
    few = cases.effect(values, pd.Series(np.arange(60) < 4, made.index))
    assert (few["n_missed"], few["n_found"]) == (3, 56)
    assert np.isnan(few["low"])
    assert few["delta"] == -1
    assert np.isnan(cases.effect(values, pd.Series(False, made.index))["p"])


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((0.5, 0.2, 0.7, 0.01, 1), "holds"),
        ((-0.5, -0.7, -0.2, 0.01, 1), "opposite"),
        ((-0.1, -0.4, 0.2, 0.5, 1), "no sizeable effect"),
        ((-0.1, -0.4, 0.2, 0.5, -1), "cannot tell"),
        ((0.2, np.nan, np.nan, 0.5, -1), "cannot tell"),
    ],
)
def test_verdicts_on_statements(numbers, said):
    assert cases.verdict(*numbers) == said


# --- what runs said --------------------------------------------------------------------------------------


def test_verdicts_average_over_repeats(tmp_path):
    wrong = [_called({}), _called({"PMI(7).jpg": "Normal"}), _called({"PMI(7).jpg": "Abnormal"})]
    _store(tmp_path, "grouped-resnet18", *(_rows(called, repeat) for repeat, called in enumerate(wrong)))
    said = cases.verdicts(["PMI(7).jpg", "MI(2).jpg"], "grouped-resnet18", tmp_path)
    assert said["file"].tolist() == ["PMI(7).jpg", "MI(2).jpg"]
    assert said["missed"].tolist() == pytest.approx([2 / 3, 0])
    assert said.loc[0, "p_Normal"] == pytest.approx((0.85 + 2 * 0.05) / 3)
    assert set(said.loc[0, "calls"].split(", ")) == {"History_MI 1", "Normal 1", "Abnormal 1"}
    assert said.loc[1, "called"] == "MI"


def test_files_that_are_none_and_runs_that_lack_some_are_refused(tmp_path):
    with pytest.raises(EcgbookError, match=r"^MI\(31\)\.jpg: is none of the distinct ECGs; take"):
        cases.verdicts(["MI(31).jpg"])
    with pytest.raises(EcgbookError, match="none of the distinct"):
        cases.criteria("PMI(999).jpg")
    _store(tmp_path, "grouped-resnet18", _rows(PAGES["label"].head(40), pages=PAGES.head(40)))
    with pytest.raises(EcgbookError, match=r"did not test Normal"):
        cases.verdicts(["Normal(1).jpg"], "grouped-resnet18", tmp_path)
    for name in ("PMI 12.jpg", "PMI(12)", "PMI(a).jpg"):
        with pytest.raises(EcgbookError, match="write it as"):
            cases.anchor(name)


def test_the_choice_follows_validation_and_is_blind_to_test_rows(tmp_path):
    """The run that is perfect on test rows and poor on validation rows is not chosen."""
    good, poor = _called({}), ["Normal"] * len(PAGES)
    _store(tmp_path, "grouped-resnet18", _rows(good, part="val"), _rows(poor))
    _store(tmp_path, "grouped-resnet34", _rows(poor, part="val"), _rows(good))
    _store(tmp_path, "paper-densenet121", _rows(good, part="val"), _rows(good))  # another protocol
    assert cases.best("network", tmp_path) == "grouped-resnet18"
    ranked = cases.validated("network", tmp_path)
    assert ranked["run"].tolist() == ["grouped-resnet18", "grouped-resnet34"]
    assert ranked["accuracy"].iloc[0] == 1
    with pytest.raises(EcgbookError, match="no grouped run of it is finished"):
        cases.best("hybrid", tmp_path)
    with pytest.raises(EcgbookError, match="did you mean network"):
        cases.best("networks", tmp_path)


def test_the_headline_is_the_best_table_by_validation_too():
    assert cases.best("table") == cases.HEADLINE
    assert not set(cases.validated("hybrid")["run"]) & set(cases.validated("network")["run"])


def test_agreement_of_a_model_with_itself_and_with_chance(tmp_path):
    rng = np.random.default_rng(0)
    _store(tmp_path, "grouped-resnet18", _rows(_called({})))
    _store(tmp_path, "grouped-resnet34", _rows(rng.permutation(PAGES["label"])))
    runs = {"a": "grouped-resnet18", "b": "grouped-resnet18", "c": "grouped-resnet34"}
    called = cases.calls(runs, results=tmp_path)
    assert called["a"].equals(called["label"].rename("a"))
    table = cases.agreement(called[["a", "b", "c"]], replicates=300).set_index("raters")
    assert table.loc["a, b", ["agreed", "kappa", "low", "high"]].tolist() == [1, 1, 1, 1]
    assert table.loc["a, c", "low"] < 0 < table.loc["a, c", "high"]
    assert abs(table.loc["a, c", "kappa"]) < 0.12
    assert table.loc["all (Fleiss)", "agreed"] == pytest.approx((called["a"] == called["c"]).mean())


# --- signs -----------------------------------------------------------------------------------------------


def test_criteria_say_what_the_table_says_and_which_leads():
    table = measure.measurements().set_index("file")
    for file in table.index[::9]:
        listed = cases.criteria(file)
        for sign, name in measure._SIGNS.items():
            for wall, pairs in measure.TERRITORIES.items():
                met = listed[(listed["sign"] == name) & (listed["territory"] == wall)]
                assert len(met) == (table.loc[file, f"{sign}_{wall}"] == 1)
                leads = {lead for text in met["leads"] for lead in text.split(", ")}
                assert leads <= {lead for pair in pairs for lead in pair}
                assert len(leads) >= len(met)


def test_st_depression_as_a_level_agrees_with_its_criterion():
    """From 0.05 mV in two contiguous leads on, the sign is met; below it, it is not (the table holds whole uV)."""
    walls = [f"st_down_{wall}" for wall in measure.TERRITORIES]
    met = measure.measurements().set_index("file")[walls].eq(1).any(axis=1)
    level = cases.measures()["st_depression_mv"]
    sure = (level - 0.05).abs() > 0.0006
    assert sure.sum() > 480
    assert (level.ge(0.05) == met)[sure].all()
    assert cases.measures()["q_leads"].between(0, 10).all()
    assert cases.measures()["t_leads"].between(0, 6).all()


# --- label doubt and the gallery -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A run that is right but for eight Normal called Abnormal and four MI called Normal; the latter once in two."""
    folder = tmp_path_factory.mktemp("results")
    normal = PAGES.query("label == 'Normal'")["file"].head(8)
    mi = PAGES.query("label == 'MI'")["file"].head(4)
    often = dict.fromkeys(normal, "Abnormal")
    once = often | dict.fromkeys(mi, "Normal") | {"PMI(3).jpg": "MI"}
    _store(folder, cases.HEADLINE, _rows(_called(often), 0), _rows(_called(once), 1))
    return folder, list(normal), list(mi)


def test_doubts_put_the_planted_contradictions_first(planted):
    folder, normal, mi = planted
    ranked = cases.doubts(results=folder)
    assert set(ranked["file"].head(8)) == set(normal)
    assert set(ranked["file"].iloc[8:13]) == {*mi, "PMI(3).jpg"}
    assert ranked["rank"].tolist() == list(range(1, 492))
    assert set(ranked.loc[ranked["issue"], "file"]) <= set(normal)
    assert ranked["issue"].any()
    rules = models.Guideline().predict(measure.measurements().set_index("file").loc[ranked["file"]])
    assert (ranked["contradicted"] == (ranked["label"].map(CLASSES.index).to_numpy() != rules)).all()
    assert (ranked["doubt"] == (ranked["called"].ne(ranked["label"]) & ranked["contradicted"])).all()


def test_the_gallery_holds_every_missed_infarction_first(planted):
    folder, normal, mi = planted
    files = cases.gallery_files(results=folder)
    assert files[0] == "PMI(3).jpg"
    assert set(files[1:5]) == set(mi)
    ranked = cases.doubts(results=folder)
    assert files[5:] == ranked.loc[ranked["doubt"] & ranked["file"].isin(normal), "file"].tolist()


def test_the_gallery_of_the_headline_is_whole_and_its_anchors_differ():
    files = cases.gallery_files()
    said = cases.verdicts(PAGES["file"])
    missed = said[said["missed"].gt(0) & said["label"].isin(["MI", "History_MI"])]
    assert set(missed["file"]) <= set(files)
    assert len({cases.anchor(file) for file in files}) == len(files)
    share = said.set_index("file")["missed"]
    of_class = [share[f] for f in files if f.startswith("PMI") and share[f] > 0]
    assert of_class == sorted(of_class, reverse=True)


# --- the whole examination -------------------------------------------------------------------------------


def test_examine_finds_a_planted_cause_and_none_in_misses_at_random(tmp_path):
    history = PAGES.query("label == 'History_MI'")["file"]
    fast = history[RATE.loc[history].gt(90).to_numpy()]
    luck = np.random.default_rng(1).choice(history, len(fast), replace=False)
    _store(tmp_path, "grouped-resnet18", _rows(_called(dict.fromkeys(fast, "Abnormal"))))
    _store(tmp_path, "grouped-resnet34", _rows(_called(dict.fromkeys(luck, "Abnormal"))))
    runs = {"fast": "grouped-resnet18", "luck": "grouped-resnet34"}
    table = cases.examine("History_MI", runs, replicates=500, dealings=999, results=tmp_path)
    found = table.set_index(["model", "measure"])
    rate = cases.MEASURES["heart_rate"]
    assert found.loc[("fast", rate), "verdict"] == "holds"
    assert found.loc[("fast", rate), "delta"] == 1
    assert "holds" not in set(found.loc["luck", "verdict"])
    assert (table["p_holm"] >= table["p"]).all()
    assert (table["n_missed"] == len(fast)).all()
