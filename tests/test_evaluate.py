"""Metrics against scikit-learn, intervals against brute force, refusals of unsound frames."""

import itertools
import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from threadpoolctl import threadpool_limits

from ecgbook import data, evaluate, splits
from ecgbook.data import CLASSES, EcgbookError
from ecgbook.evaluate import METRICS, PROBABILITIES

SHARES = (30, 86, 233, 142)


def make_frame(sizes=SHARES, repeats=1, seed=0, skill=1.5, decimals=5):
    """Simulate predictions of some skill; few decimals make many ties."""
    rng = np.random.default_rng(seed)
    y = np.repeat(range(4), sizes)
    frames = []
    for repeat in range(repeats):
        logits = rng.normal(size=(len(y), 4)) + skill * np.eye(4)[y]
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        p = np.floor(p * 10**decimals) + 1  # never 0, which scikit-learn would clip elsewhere
        p /= p.sum(axis=1, keepdims=True)
        head = {
            "file": [f"page({i}).jpg" for i in range(len(y))],
            "label": np.array(CLASSES)[y],
            "repeat": repeat,
            "fold": rng.integers(5, size=len(y)),
            "part": "test",
        }
        frames.append(pd.concat([pd.DataFrame(head), pd.DataFrame(p, columns=PROBABILITIES)], axis=1))
    return pd.concat(frames, ignore_index=True)


def each_its_own(frame):
    files = frame["file"].unique()
    return pd.Series(files, index=files)


def by_scikit_learn(frame):
    """Compute every metric of one repeat with scikit-learn; every class must be present."""
    y = frame["label"].map(CLASSES.index).to_numpy()
    p = frame[PROBABILITIES].to_numpy()
    called, shape = p.argmax(axis=1), {"labels": range(4), "zero_division": 0}
    recall = sk.recall_score(y, called, average=None, **shape)
    auc = [sk.roc_auc_score(y == k, p[:, k]) for k in range(4)]
    support = np.bincount(y, minlength=4)
    return {
        "accuracy": sk.accuracy_score(y, called),
        "balanced_accuracy": sk.balanced_accuracy_score(y, called),
        "macro_f1": sk.f1_score(y, called, average="macro", **shape),
        "macro_auc": sk.roc_auc_score(y, p, multi_class="ovr", average="macro", labels=range(4)),
        "log_loss": sk.log_loss(y, p, labels=range(4)),
        "brier": sk.brier_score_loss(y, p, labels=range(4), scale_by_half=False),
        **{f"recall_{label}": recall[k] for k, label in enumerate(CLASSES)},
        "precision_weighted": sk.precision_score(y, called, average="weighted", **shape),
        "recall_weighted": sk.recall_score(y, called, average="weighted", **shape),
        "f1_weighted": sk.f1_score(y, called, average="weighted", **shape),
        "auc_weighted": np.average(auc, weights=support),
        **{f"auc_{label}": auc[k] for k, label in enumerate(CLASSES)},
    }


# ---------------------------------------------------------------- metrics


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 25), min_size=4, max_size=4),
    st.integers(0, 1000),
    st.floats(0, 3),
    st.sampled_from([1, 2, 5]),
)
def test_metrics_equal_scikit_learn(sizes, seed, skill, decimals):
    frame = make_frame(sizes, seed=seed, skill=skill, decimals=decimals)
    ours, theirs = evaluate.metrics(frame), by_scikit_learn(frame)
    assert list(ours.index) == list(METRICS) and set(METRICS) == set(theirs)
    for name in METRICS:
        assert ours[name] == pytest.approx(theirs[name], abs=1e-6), name


def test_weights_equal_explicit_resampling_ties_included():
    frame = make_frame((12, 15, 20, 18), seed=4, decimals=1)
    groups = pd.Series(np.random.default_rng(1).integers(25, size=65), frame["file"])
    scores = evaluate.bootstrap(frame, groups, replicates=40, seed=9)
    codes = pd.factorize(groups.loc[sorted(frame["file"])])
    drawn = evaluate.draw(len(codes[1]), 40, seed=9)
    compared = 0
    for b, counts in enumerate(drawn):
        chosen = np.repeat(codes[1], counts)
        resampled = pd.concat([frame[frame["file"].map(groups) == unit] for unit in chosen])
        if resampled["label"].nunique() == 4:
            theirs = by_scikit_learn(resampled)
            assert scores.loc[b].to_dict() == pytest.approx({m: theirs[m] for m in METRICS}, abs=1e-9)
            compared += 1
    assert compared > 30


def test_metrics_are_averaged_over_repeats_not_pooled():
    frame = make_frame(repeats=3, seed=2)
    mean = pd.DataFrame([by_scikit_learn(rows) for _, rows in frame.groupby("repeat")]).mean()
    ours = evaluate.metrics(frame)
    assert ours.to_dict() == pytest.approx(mean.to_dict(), abs=1e-9)
    assert abs(ours["macro_auc"] - by_scikit_learn(frame)["macro_auc"]) > 1e-6


def test_recall_weighted_is_accuracy_as_in_the_papers_table():
    ours = evaluate.metrics(make_frame(seed=5))
    assert ours["recall_weighted"] == pytest.approx(ours["accuracy"], abs=1e-12)


def test_the_papers_support_weighted_row_follows_from_its_counts():
    hits = {"MI": (36, 36), "History_MI": (18, 26), "Abnormal": (30, 35), "Normal": (37, 43)}
    rows = []
    for k, (label, (hit, n)) in enumerate(hits.items()):
        called = [k] * hit + [(2 if k != 2 else 3)] * (n - hit)
        rows += [(f"{label}{i}", label, c) for i, c in enumerate(called)]
    frame = pd.DataFrame(rows, columns=["file", "label", "called"]).assign(repeat=0, fold=0, part="test")
    frame[PROBABILITIES] = np.eye(4)[frame.pop("called")]
    ours = evaluate.metrics(frame)
    assert round(ours["accuracy"], 4) == round(ours["recall_weighted"], 4) == 0.8643
    assert ours["recall_MI"] == 1


def test_val_rows_are_not_scored():
    frame = make_frame(seed=6)
    val = frame.assign(part="val", **dict(zip(PROBABILITIES, [0.25] * 4, strict=True)))
    assert evaluate.metrics(pd.concat([frame, val])).equals(evaluate.metrics(frame))


def test_a_class_that_is_absent_has_no_recall_and_no_say():
    frame = make_frame((0, 20, 20, 20), seed=7)
    y, called = frame["label"].map(CLASSES.index), frame[PROBABILITIES].to_numpy().argmax(axis=1)
    ours = evaluate.metrics(frame)
    assert np.isnan(ours["recall_MI"]) and np.isnan(ours["auc_MI"])
    recall = sk.recall_score(y, called, labels=[1, 2, 3], average="macro", zero_division=0)
    assert ours["balanced_accuracy"] == pytest.approx(recall)
    assert (called == 0).any()  # so that its F1 is 0, not undefined
    assert ours["macro_f1"] == pytest.approx(sk.f1_score(y, called, average="macro", zero_division=0))
    assert ours["macro_auc"] == pytest.approx(ours[[f"auc_{c}" for c in CLASSES[1:]]].mean())


def test_brier_and_log_loss_at_their_ends():
    frame = make_frame((3, 3, 3, 3))
    y = frame["label"].map(CLASSES.index)
    right, wrong = np.eye(4)[y], np.eye(4)[(y + 1) % 4]
    assert evaluate.metrics(frame.assign(**dict(zip(PROBABILITIES, right.T, strict=True))))["brier"] == 0
    worst = evaluate.metrics(frame.assign(**dict(zip(PROBABILITIES, wrong.T, strict=True))))
    assert worst["brier"] == 2
    assert worst["log_loss"] == pytest.approx(-np.log(evaluate.LOWEST))


def test_confusion_counts_equal_scikit_learn():
    frame = make_frame(seed=8, repeats=2)
    expected = []
    for _, rows in frame.groupby("repeat"):
        called = rows[PROBABILITIES].to_numpy().argmax(axis=1)
        expected.append(sk.confusion_matrix(rows["label"].map(CLASSES.index), called, labels=range(4)))
    assert np.array_equal(evaluate.confusion(frame).to_numpy(), np.mean(expected, axis=0))


# ---------------------------------------------------------------- the bootstrap


def test_draw_is_sampling_with_replacement():
    drawn = evaluate.draw(50, replicates=4000, seed=1)
    assert drawn.shape == (4000, 50) and (drawn.sum(axis=1) == 50).all()
    assert drawn.mean() == 1
    assert drawn.var() == pytest.approx(49 / 50, abs=0.02)  # binomial(50, 1/50)
    assert np.array_equal(drawn, evaluate.draw(50, replicates=4000, seed=1))
    assert not np.array_equal(drawn, evaluate.draw(50, replicates=4000, seed=2))


def test_interval_of_accuracy_equals_brute_force():
    frame = make_frame((10, 10, 20, 20), seed=3)
    right = (frame["label"].map(CLASSES.index) == frame[PROBABILITIES].to_numpy().argmax(axis=1)).to_numpy()
    rng = np.random.default_rng(0)
    brute = [right[rng.integers(60, size=60)].mean() for _ in range(20000)]
    row = evaluate.table({"m": frame}, each_its_own(frame), ["accuracy"], replicates=20000).iloc[0]
    assert [row.low, row.high] == pytest.approx(np.quantile(brute, [0.025, 0.975]), abs=0.01)


def test_repeating_the_same_predictions_does_not_narrow_the_interval():
    one = make_frame(seed=1)
    five = pd.concat([one.assign(repeat=r) for r in range(5)], ignore_index=True)
    unit = each_its_own(one)
    pd.testing.assert_frame_equal(evaluate.bootstrap(one, unit, 300), evaluate.bootstrap(five, unit, 300))


def test_copies_drawn_with_their_page_do_not_narrow_the_interval():
    one = make_frame(seed=1)
    copies = pd.concat([one, one.assign(file="copy of " + one["file"])], ignore_index=True)
    unit = pd.Series([name.removeprefix("copy of ") for name in copies["file"]], copies["file"])
    a = evaluate.bootstrap(one, each_its_own(one), 4000)["accuracy"].std()
    b = evaluate.bootstrap(copies, unit, 4000, seed=1)["accuracy"].std()
    wrong = evaluate.bootstrap(copies, each_its_own(copies), 4000, seed=1)["accuracy"].std()
    assert b == pytest.approx(a, rel=0.06)
    assert wrong == pytest.approx(a / np.sqrt(2), rel=0.06)


def test_blocks_do_not_change_the_replicates(monkeypatch):
    frame = make_frame((10, 10, 20, 20), repeats=2, seed=3)
    whole = evaluate.bootstrap(frame, each_its_own(frame), 200)
    monkeypatch.setattr(evaluate, "BLOCK", 60 * 7)
    pd.testing.assert_frame_equal(evaluate.bootstrap(frame, each_its_own(frame), 200), whole)


def test_rows_may_come_in_any_order():
    frame = make_frame((10, 10, 20, 20), repeats=2, seed=3)
    unit = each_its_own(frame)
    shuffled = frame.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(
        evaluate.table({"m": shuffled}, unit, replicates=100),
        evaluate.table({"m": frame}, unit, replicates=100),
    )


def test_intervals_cover_the_truth_when_pages_come_in_groups():
    rng, frame = np.random.default_rng(0), make_frame((10, 25, 65, 50))
    y, covered = frame["label"].map(CLASSES.index).to_numpy(), []
    for trial in range(60):
        groups = rng.integers(50, size=len(frame))
        skill = rng.beta(0.8, 0.2, size=50)  # a group is easy or hard as a whole; mean 0.8
        hit = rng.random(len(frame)) < skill[groups]
        frame[PROBABILITIES] = np.eye(4)[np.where(hit, y, (y + 1) % 4)]
        drawn = (pd.Series(groups, frame["file"]), each_its_own(frame))
        scores = [evaluate.bootstrap(frame, unit, 150, seed=trial)["accuracy"] for unit in drawn]
        covered.append([s.quantile(0.025) <= 0.8 <= s.quantile(0.975) for s in scores])
    by_group, by_page = np.mean(covered, axis=0)
    assert 0.86 <= by_group <= 0.99  # 0.95, and a little less with as few as 50 groups
    assert by_page < by_group - 0.1  # drawing single pages would promise too much


def test_2000_replicates_of_five_repeats_take_less_than_half_a_second():
    frame = make_frame(repeats=5)
    unit = pd.Series(np.random.default_rng(0).integers(311, size=491), frame["file"].unique())
    evaluate.bootstrap(frame, unit, replicates=10)
    times = []
    with threadpool_limits(
        1
    ):  # so that the time of the process is that of one quiet core, however busy the machine
        for _ in range(3):
            start = time.process_time()
            evaluate.bootstrap(frame, unit, replicates=2000)
            times.append(time.process_time() - start)
    assert min(times) < 0.5


def test_memory_stays_small():
    frame = make_frame(sizes=(239, 172, 233, 284))
    tracemalloc.start()
    evaluate.bootstrap(frame, each_its_own(frame), replicates=5000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6


def test_intervals_where_some_replicates_miss_a_class():
    frame = make_frame((2, 20, 20, 20), seed=2)
    scores = evaluate.bootstrap(frame, each_its_own(frame), 500)
    assert 20 < scores["recall_MI"].isna().sum() < 120  # about exp(-2) of 500
    assert scores["balanced_accuracy"].notna().all()
    assert evaluate.table({"m": frame}, each_its_own(frame), replicates=500).notna().all(axis=None)


def test_a_metric_that_is_never_defined_has_no_interval():
    frame = make_frame((0, 20, 20, 20), seed=2)
    row = evaluate.table({"m": frame}, each_its_own(frame), ["recall_MI"], replicates=50).iloc[0]
    assert row[["estimate", "low", "high"]].isna().all()


# ---------------------------------------------------------------- comparing


def test_a_model_equals_itself():
    frame = make_frame(repeats=2)
    compared = evaluate.compare(frame, frame, each_its_own(frame), replicates=100)
    assert (compared[["difference", "low", "high"]] == 0).all(axis=None)
    assert (compared["a_above"] == 0.5).all()


def test_pairing_narrows_the_interval_of_the_difference():
    a = make_frame(seed=1)
    b = a.copy()
    b.loc[:4, PROBABILITIES] = [0.0, 0.0, 0.0, 1.0]  # five MI pages spoilt
    unit = each_its_own(a)
    paired = evaluate.compare(a, b, unit).set_index("metric").loc["accuracy"]
    alone = evaluate.table({"a": a}, unit, ["accuracy"]).iloc[0]
    assert 0 < paired["difference"] <= 5 / 491
    assert paired["high"] - paired["low"] < (alone["high"] - alone["low"]) / 2
    assert paired["a_above"] > 0.9


def test_compare_is_antisymmetric():
    a, b = make_frame(seed=1), make_frame(seed=2)
    there, back = evaluate.compare(a, b, each_its_own(a)), evaluate.compare(b, a, each_its_own(a))
    assert np.allclose(there["difference"], -back["difference"])
    assert np.allclose(there["low"], -back["high"])
    assert np.allclose(there["a_above"], 1 - back["a_above"])


# ---------------------------------------------------------------- exact intervals


@pytest.mark.parametrize(("k", "n"), [(0, 30), (1, 30), (21, 30), (29, 30), (30, 30), (3, 4)])
def test_exact_interval_is_the_one_that_scipy_finds(k, n):
    from scipy.stats import binomtest

    expected = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert evaluate.exact_interval(k, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("truth", [0.05, 0.4, 0.68, 0.9, 0.99])
def test_exact_interval_covers_at_least_as_often_as_it_says(truth):
    from scipy.stats import binom

    inside = [low <= truth <= high for low, high in (evaluate.exact_interval(k, 30) for k in range(31))]
    assert binom.pmf(range(31), 30, truth)[inside].sum() >= 0.95


@given(st.integers(0, 29), st.floats(0.001, 0.999))
def test_a_mean_count_gets_the_limits_of_its_neighbours(k, part):
    low, high = evaluate.exact_interval(k + part, 30)
    assert low == evaluate.exact_interval(k, 30)[0]
    assert high == evaluate.exact_interval(k + 1, 30)[1]


def test_a_whole_mean_is_not_widened_by_rounding():
    assert evaluate.exact_interval(np.mean([20.1, 20.9, 22.0]), 30) == evaluate.exact_interval(21, 30)
    assert evaluate.exact_interval(0.1 * 3 / 0.3 * 21, 30) == evaluate.exact_interval(21, 30)


def test_recalls_count_k_of_n():
    frame = make_frame(repeats=3, seed=4)
    counted = evaluate.recalls(frame)
    assert counted["n"].tolist() == list(SHARES)
    assert counted["recall"].to_dict() == pytest.approx(
        {label: evaluate.metrics(frame)[f"recall_{label}"] for label in CLASSES}
    )
    assert ((counted["low"] < counted["recall"]) & (counted["recall"] < counted["high"])).all()
    assert list(evaluate.recalls(make_frame((0, 5, 5, 5))).index) == list(CLASSES[1:])


# ---------------------------------------------------------------- the leak and the gap


def look_up(split, files, repeat=0, fold=0):
    """Predict as a hash look-up would: the twin's label, else Abnormal; half of the twinless Normal guessed right."""
    rows = files.iloc[np.concatenate([split.val, split.test])]
    trained = dict(zip(files["sha256"].iloc[split.train], files["label"].iloc[split.train], strict=True))
    called = rows["sha256"].map(trained).fillna("Abnormal")
    twinless = np.flatnonzero(~rows["sha256"].isin(trained) & (rows["label"] == "Normal"))
    called.iloc[twinless[::2]] = "Normal"
    part = ["val"] * len(split.val) + ["test"] * len(split.test)
    frame = rows[["file", "label"]].assign(repeat=repeat, fold=fold, part=part)
    frame[PROBABILITIES] = np.eye(4)[called.map(CLASSES.index)]
    return frame


@pytest.fixture(scope="module")
def leaky():
    files = data.files()
    runs = [look_up(splits.holdout("paper", files, r), files, r) for r in range(3)]
    return pd.concat(runs, ignore_index=True)


def test_twins_are_those_that_the_split_leaks(leaky):
    files = data.files()
    found = evaluate.twins(leaky, evaluate.units("paper"))
    for repeat in range(3):
        split = splits.holdout("paper", files, repeat)
        expected = dict(
            zip(files["file"].iloc[split.test], splits.leaked(split, files["sha256"]), strict=True)
        )
        rows = leaky.loc[found.index][leaky.loc[found.index, "repeat"] == repeat]
        assert dict(zip(rows["file"], found.loc[rows.index], strict=True)) == expected


def test_the_leak_of_a_look_up_is_as_built(leaky):
    lines = evaluate.leak(leaky, evaluate.units("paper"), replicates=300)
    assert list(lines.index) == ["History_MI", "Normal", "within class"]
    assert (lines["with_twin"] == 1).all()
    assert lines.loc["History_MI", "leak"] == 1  # no twin: called Abnormal, always wrong
    assert 0.4 < lines.loc["Normal", "leak"] < 0.6
    assert lines.loc["Normal", "leak"] < lines.loc["within class", "leak"] < 1
    assert ((lines["low"] <= lines["leak"]) & (lines["leak"] <= lines["high"])).all()
    assert lines.loc["Normal", "low"] < lines.loc["Normal", "high"]
    assert lines.loc["History_MI", ["n_with", "n_without"]].sum() == 26


def test_the_leak_equals_a_loop(leaky):
    found = evaluate.twins(leaky, evaluate.units("paper"))
    test = leaky.loc[found.index].assign(twin=found)
    test["right"] = test["label"].map(CLASSES.index) == test[PROBABILITIES].to_numpy().argmax(axis=1)
    combined = []
    for _, rows in test.groupby("repeat"):
        top = bottom = 0
        for label in ("History_MI", "Normal"):
            one, zero = (rows[(rows["label"] == label) & (rows["twin"] == t)]["right"] for t in (True, False))
            weight = len(one) * len(zero) / (len(one) + len(zero))
            top, bottom = top + weight * (one.mean() - zero.mean()), bottom + weight
        combined.append(top / bottom)
    lines = evaluate.leak(leaky, evaluate.units("paper"), replicates=10)
    assert lines.loc["within class", "leak"] == pytest.approx(np.mean(combined), abs=1e-12)


def test_the_gap_is_paper_minus_grouped_on_the_same_draws():
    unit = pd.Series(np.arange(491) // 2, [f"page({i}).jpg" for i in range(491)])
    whole = make_frame(seed=1)
    part = whole.sample(140, random_state=1)
    lines = evaluate.gap(part, whole, unit, replicates=200).set_index("metric")
    assert list(lines.columns) == ["paper", "grouped", "gap", "low", "high"]
    expected = evaluate.metrics(part) - evaluate.metrics(whole)
    assert lines["gap"].to_dict() == pytest.approx(expected[lines.index].to_dict())
    assert (lines["low"] < lines["high"]).all()
    same = evaluate.gap(whole, whole, unit, replicates=50)
    assert (same[["gap", "low", "high"]] == 0).all(axis=None)


def test_units_of_the_protocols():
    assert evaluate.units("paper").nunique() == 491
    if data.files()["group"].notna().all():
        grouped = evaluate.units("grouped")
        assert len(grouped) == 928 and grouped.nunique() < 491
        assert (grouped == grouped[evaluate.units("paper").to_numpy()].to_numpy()).all()


# ---------------------------------------------------------------- refusals


def refused(match, function, *args, **kwargs):
    with pytest.raises(EcgbookError, match=match) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value) and ";" in str(caught.value)


def changed(column, value, row=0):
    frame = make_frame((5, 5, 5, 5))
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    return frame


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        (make_frame().drop(columns=["fold", "p_MI"]), "run: no column fold, p_MI"),
        (changed("p_MI", np.nan, row=3), "p_MI is missing in row 3"),
        (changed("label", "Normale"), "Normale is no class; did you mean Normal"),
        (changed("part", "train"), "train is no part"),
        (changed("p_MI", "high"), "a probability is no number"),
        (changed("p_MI", 1.5), r"page\(0\).jpg has a probability outside 0 to 1"),
        (changed("p_MI", -0.1), "outside 0 to 1"),
        (changed("p_MI", 0.0, row=2), r"the probabilities of page\(2\).jpg sum to"),
        (changed("file", "page(1).jpg"), r"page\(1\).jpg is tested twice in repeat 0"),
        (make_frame((5, 5, 5, 5)).assign(part="val"), "no row has part test"),
        (make_frame((5, 5, 5, 5)).iloc[:0], "no row has part test"),
        (
            pd.concat([make_frame((5, 5, 5, 5)), changed("label", "Normal").assign(repeat=1)]),
            "has two labels",
        ),
    ],
)
def test_unsound_frames_are_refused(frame, match):
    refused(match, evaluate.check, frame, "run")
    refused(match, evaluate.metrics, frame, "run")


def test_sums_within_a_thousandth_are_accepted():
    frame = make_frame((5, 5, 5, 5))
    frame["p_MI"] = (frame["p_MI"] - 0.0009).clip(0)
    assert evaluate.check(frame) is frame
    both = pd.concat([frame.assign(part="val", fold=f) for f in (1, 2)] + [frame])  # val may come twice
    assert evaluate.check(both) is both


def test_other_refusals():
    frame = make_frame((5, 5, 5, 5))
    unit = each_its_own(frame)
    refused("has no unit", evaluate.bootstrap, frame, unit.iloc[1:])
    refused("stands twice", evaluate.bootstrap, frame, pd.concat([unit, unit]))
    refused("has none", evaluate.bootstrap, frame, unit.where(unit != "page(3).jpg"))
    refused("did you mean accuracy", evaluate.table, {"m": frame}, unit, ["acuracy"])
    refused("tested by one model only", evaluate.compare, frame, frame.iloc[1:], unit)
    other = frame.assign(label=frame["label"].to_numpy()[::-1])
    refused("different labels", evaluate.compare, frame, other, unit)
    two = pd.concat([frame, frame.iloc[1:].assign(repeat=1)])
    refused("different files", evaluate.recalls, two)
    for k, n in itertools.chain([(-1, 30), (31, 30), (0, 0), (1, 2.5)], [(float("nan"), 30)]):
        refused("is no count", evaluate.exact_interval, k, n)


def test_leak_refusals(leaky):
    copies = evaluate.units("paper")
    refused("has no val rows", evaluate.leak, leaky[leaky["part"] == "test"], copies)
    refused("is no file of the data set", evaluate.leak, make_frame((5, 5, 5, 5)), copies)
    one_class = leaky[leaky["label"].isin(["MI", "Abnormal"])]
    refused("no class has test files both with and without", evaluate.leak, one_class, copies)
