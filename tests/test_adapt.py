"""Tests of the module adapt: known answers, planted shifts, leak checks, and the stored runs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from ecgbook import adapt, data, elsewhere, evaluate, networks1d, study
from ecgbook.adapt import Few
from ecgbook.data import CLASSES, EcgbookError

torch = pytest.importorskip("torch")


def blobs(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Four classes as four clouds in eight columns."""
    rng = np.random.default_rng(seed)
    y = rng.integers(4, size=n)
    centres = np.random.default_rng(99).normal(size=(4, 8)) * 2
    return centres[y] + rng.normal(size=(n, 8)), y


def signals(n: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 16, 250)).astype(np.float32)


@pytest.fixture(scope="module")
def network():
    return adapt.build().eval()


# Two hospitals


def test_hospitals_have_the_same_columns_and_the_registered_classes():
    source, target = adapt.hospitals()
    assert list(source.X) == list(target.X)
    assert np.bincount(source.y).tolist() == [30, 86, 233, 142]
    assert np.bincount(target.y[target.y >= 0]).tolist() == [8, 15, 34, 24]
    labels = elsewhere.classes(elsewhere.assigned())
    for number, label in labels.items():
        assert target.y[target.X.index.get_loc(number)] == CLASSES.index(label)


# Drawing the few


@pytest.mark.parametrize("shots", adapt.SHOTS)
def test_a_draw_takes_at_most_half_of_a_class_and_grows(shots):
    y = np.repeat([-1, 0, 1, 2, 3], [119, 8, 15, 34, 24])
    for draw in range(5):
        rows = adapt.draw_few(y, shots, draw)
        assert len(set(rows)) == len(rows) and (y[rows] >= 0).all()
        counts = np.bincount(y[rows], minlength=4)
        assert counts.tolist() == [min(shots, n // 2) for n in (8, 15, 34, 24)]
        assert set(adapt.draw_few(y, 1, draw)) <= set(rows)
    assert len({tuple(adapt.draw_few(y, shots, draw)) for draw in range(20)}) == 20


# Moving columns


def test_standardising_undoes_a_planted_change_of_gain_and_offset():
    X, _ = blobs()
    moved = 3 * X + 7
    _, back = adapt.standardised(X, moved, moved)
    assert np.allclose(back, X)


def test_quantiles_undo_any_rising_change():
    X, _ = blobs()
    bent = np.exp(X / 4)
    _, back = adapt.quantiles(X, bent, bent)
    assert np.corrcoef(back.ravel(), X.ravel())[0, 1] > 0.999


def test_quantiles_keep_a_constant_and_a_tie():
    source = np.column_stack([np.zeros(10), np.repeat([0.0, 1.0], 5)])
    target = np.column_stack([np.full(6, 4.0), np.repeat([2.0, 9.0], 3)])
    _, moved = adapt.quantiles(source, target, target)
    assert (moved[:, 0] == 0).all()
    assert moved[:, 1].tolist() == [0, 0, 0, 1, 1, 1]


def test_coral_gives_the_source_the_covariance_of_the_target():
    rng = np.random.default_rng(0)
    source = rng.normal(size=(4000, 3))
    mix = np.array([[1, 0.7, 0], [0, 1, 0.5], [0, 0, 1]])
    target = rng.normal(size=(4000, 3)) @ mix
    here, there = adapt.coral(source, target, target)
    ridge = np.eye(3)
    before = np.cov(source.T) - np.cov(there.T)
    # the identity that is added shrinks both, so the covariances come near each other and not together
    assert np.abs(np.cov(here.T) - np.cov(there.T)).max() < 0.7 * np.abs(before).max()
    z = adapt.models._bend((source - source.mean(0)) / source.std(0))
    whole = adapt._power(np.cov(z.T) + ridge, -0.5) @ adapt._power(np.cov(there.T) + ridge, 0.5)
    assert np.allclose(here, z @ whole)


@pytest.mark.parametrize("name", adapt.MOVES)
def test_moves_leave_no_gap_and_see_only_what_they_may(name):
    X, _ = blobs()
    target = 2 * blobs(seed=1)[0] + 1
    X[::7, 0] = np.nan
    target[::5, 1] = np.nan
    source, asked = adapt.MOVES[name](X, target[:200], target[200:])
    assert np.isfinite(source).all() and np.isfinite(asked).all()
    other = target.copy()
    other[250:] += 100  # other asked rows change nothing for these
    assert np.array_equal(adapt.MOVES[name](X, other[:200], other[200:])[1][:50], asked[:50])


def test_inductive_rows_are_asked_of_a_model_that_did_not_see_them():
    pairs = []

    def adapted(seen, asked):
        pairs.append((set(seen), set(asked)))
        return np.full((len(asked), 4), 0.25)

    adapt.by_seen(adapted, "others", 200)
    assert set.union(*(asked for _, asked in pairs)) == set(range(200))
    assert all(not seen & asked for seen, asked in pairs)


# Class shares


def test_class_shares_are_found_when_only_they_differ():
    X, y = blobs(4000)
    fitted = adapt.fit_logistic(X, y)
    there, truth = blobs(6000, seed=5)
    rng = np.random.default_rng(1)
    keep = rng.random(len(truth)) < np.array([0.05, 0.2, 1.0, 0.5])[truth]
    there, truth = there[keep], truth[keep]
    p = fitted(there)
    shares = adapt.estimate_shares(p, adapt.believed(y))
    assert np.abs(shares - np.bincount(truth) / len(truth)).max() < 0.03
    moved = adapt.at_estimated_shares(p, p, adapt.believed(y))
    loss = [-np.log(q[np.arange(len(truth)), truth]).mean() for q in (p, moved)]
    assert loss[1] < loss[0]


def test_shares_stay_when_nothing_differs_and_lean_with_the_model():
    y = np.repeat(np.arange(4), [30, 86, 233, 142])
    assert np.allclose(adapt.believed(y, power=1), 0.25)
    assert np.allclose(adapt.believed(y), np.bincount(y) / len(y))
    p = np.tile(adapt.believed(y), (50, 1))
    assert np.allclose(adapt.estimate_shares(p, adapt.believed(y)), adapt.believed(y), atol=1e-6)


# Few labelled rows


def test_a_weight_is_as_good_as_so_many_copies():
    X, y = blobs(120)
    few = Few(*blobs(8, seed=3))
    weighted = adapt.models._logistic(0).fit(*adapt.joined(X, y, few, 3.0)).predict_proba(X)
    copied = np.concatenate([X, *[few.X] * 3]), np.concatenate([y, *[few.y] * 3])
    assert np.allclose(weighted, adapt.models._logistic(0).fit(*copied).predict_proba(X), atol=1e-3)


def test_own_weights_learn_what_is_different_there():
    X, y = blobs(400)
    there, truth = blobs(200, seed=4)
    swapped = np.array([1, 0, 2, 3])[truth]  # in the other hospital two classes have each other's names
    few = Few(there[:60], swapped[:60])
    own = adapt.fit_own_weights(X, y, few)(there[60:]).argmax(1)
    without = adapt.fit_logistic(X, y)(there[60:]).argmax(1)
    right, wrong = ((called == swapped[60:]).mean() for called in (own, without))
    assert right > wrong + 0.2


def test_the_weight_is_the_one_that_the_rehearsal_chose():
    found = adapt.rehearse_weight(draws=adapt.DRAWS)
    assert float(max(found, key=found.get)) == adapt.WEIGHT


# Networks


def test_own_norms_undo_a_planted_gain_of_every_channel(network):
    from torch import nn

    x = signals(32)
    small = nn.Sequential(nn.BatchNorm1d(16), nn.Flatten(), nn.Linear(16 * 250, 4))
    small = adapt.with_own_norms(small, x)
    moved = adapt.with_own_norms(small, 5 * x + 2)
    with torch.no_grad():
        here, there = small(torch.from_numpy(x)), moved(torch.from_numpy(5 * x + 2))
        lost = small(torch.from_numpy(5 * x + 2))
    assert torch.allclose(here, there, atol=1e-2)
    assert not torch.allclose(here, lost, atol=1.0)


def test_own_norms_change_statistics_and_no_weight(network):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    moved = adapt.with_own_norms(network, 2 * signals())
    statistics = {key for key in before if "running" in key or "num_batches" in key}
    for key, value in moved.state_dict().items():
        assert torch.equal(value, before[key]) or key in statistics
    assert not torch.equal(moved.trunk[-2].running_mean, network.trunk[-2].running_mean)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_tent_makes_a_network_surer_by_its_normalisations_alone(network):
    x = signals()

    def entropy(net):
        p = networks1d.probabilities(net, x)
        return -(p * np.log(p)).sum(axis=1).mean()

    moved = adapt.tent(network, x, steps=3)
    assert entropy(moved) < entropy(adapt.with_own_norms(network, x))
    assert torch.equal(moved.stem.weight, network.stem.weight)
    assert torch.equal(moved.head.weight, network.head.weight)


def test_fine_tuning_changes_what_it_may(network):
    x, y = signals(), np.arange(8) % 4
    changed = {}
    for part in ("all", "head", "norms and head"):
        tuned = adapt.fine_tune(network, x, y, part)
        pairs = zip(tuned.named_parameters(), network.parameters(), strict=True)
        changed[part] = {name for (name, a), b in pairs if not torch.equal(a, b)}
    assert changed["head"] == {"head.weight", "head.bias"}
    assert changed["head"] < changed["norms and head"] < changed["all"]
    assert "stem.weight" in changed["all"] and "stem.weight" not in changed["norms and head"]
    with pytest.raises(EcgbookError, match="did you mean head"):
        adapt.fine_tune(network, x, y, "haed")


def test_fine_tuning_learns_the_few_and_follows_from_the_seed(network):
    x, y = signals(), np.arange(8) % 4
    x += np.sin(np.arange(250) * 0.1 * (1 + y[:, None, None])).astype(np.float32)
    tuned = adapt.fine_tune(network, x, y, seed=1)

    def loss(net):
        return -np.log(networks1d.probabilities(net, x)[np.arange(8), y]).mean()

    assert loss(tuned) < loss(network)
    again = adapt.fine_tune(network, x, y, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(tuned.parameters(), again.parameters(), strict=True))


def test_a_turned_gradient_hurts_the_judge():
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    adapt.turned(x, 0.3).square().sum().backward()
    assert torch.allclose(x.grad, -0.3 * 2 * x.detach())


def test_adversarial_training_leaves_the_network_it_starts_from(network):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    recipe = adapt.ADVERSARIAL._replace(epochs=1, batch=4)
    moved = adapt.train_adversarial(network, signals(), np.arange(8) % 4, signals(seed=1) + 1, recipe=recipe)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not torch.equal(moved.stem.weight, network.stem.weight)


# Scores


def test_macro_f1_is_that_of_evaluate():
    frame = evaluate.example()
    y = frame["label"].map(CLASSES.index).to_numpy()
    called = frame[evaluate.PROBABILITIES].to_numpy().argmax(1)
    assert adapt.macro_f1(y, called, np.ones((1, 8)))[0] == pytest.approx(evaluate.metrics(frame)["macro_f1"])
    unit = pd.Series(frame["file"].to_numpy(), frame["file"])
    again = evaluate.bootstrap(frame, unit, replicates=50)["macro_f1"]
    assert np.allclose(adapt.macro_f1(y, called, evaluate.draw(8, 50)), again)


def made(calls: list[str], method: str = "moved", shots: str = "5") -> pd.DataFrame:
    rows = [("logistic", method, shots, "all", draw, row) for draw, row in enumerate(calls)]
    return pd.DataFrame(rows, columns=adapt.COLUMNS)


def test_scores_leave_out_records_whose_label_was_given_and_pair_the_rest():
    right = "".join(np.array(list(adapt.LETTERS))[adapt.truth()])
    none = made(["a" * 81], "none", "0")
    given = "." * 20 + right[20:]
    outputs = pd.concat([none, made([given, right])], ignore_index=True)
    found = adapt.scores(outputs, replicates=100).set_index("method")
    assert found.loc["moved", ["macro_f1", "low", "high"]].tolist() == [1, 1, 1]
    assert found.loc["none", "difference"] == 0
    y = adapt.truth()
    ones = np.stack([np.ones(81), np.arange(81) >= 20])
    plain = np.mean(adapt.macro_f1(y, np.full(81, 2), ones))
    assert found.loc["moved", "difference"] == pytest.approx(1 - plain)
    assert found.loc["moved", "difference_low"] < 1 - plain < found.loc["moved", "difference_high"]


def test_intervals_know_of_the_draws():
    rng, y = np.random.default_rng(0), adapt.truth()
    letters = np.array(list(adapt.LETTERS))
    right = "".join(letters[y])
    poor = "".join(letters[rng.integers(4, size=81)])
    none = made([right], "none", "0")
    widths = {}
    for name, calls in {"one": [right] * 4, "two": [right, poor, right, poor]}.items():
        row = adapt.scores(pd.concat([none, made(calls)], ignore_index=True), 200).iloc[-1]
        widths[name] = row["high"] - row["low"]
    assert widths["one"] == 0 and widths["two"] > 0.2


# The stored runs


@pytest.mark.parametrize("run", adapt.RUNS)
def test_stored_run_is_whole_and_of_the_code_as_it_stands(run):
    note = adapt.note(run)
    assert note["preregistration_sha256"] == elsewhere.registered()
    assert note["deviations"] == [] and "exploratory" in note["purpose"]
    assert note["code"] == adapt.code()
    for name, digest in note["data"].items():
        if name != "LUDB":
            assert data.digest(data.tables() / name)[1][:16] == digest
    assert json.loads(json.dumps(adapt._settings())) == note["settings"]
    assert note["records"] == elsewhere.classes(elsewhere.assigned()).index.tolist()


def test_stored_answers_stand_where_the_rule_says():
    outputs, y = adapt.load(), adapt.truth()
    assert not outputs.duplicated(["family", "method", "shots", "seen", "draw"]).any()
    calls = adapt.called(outputs["calls"])
    assert calls.shape == (len(outputs), 81)
    assert set("".join(outputs["calls"])) <= set(adapt.LETTERS + ".")
    _, target = adapt.hospitals()
    place = np.cumsum(target.y >= 0) - 1
    for row, found in zip(outputs.itertuples(), calls, strict=True):
        few = adapt.draw_few(target.y, int(row.shots), row.draw) if row.shots in ("1", "5", "10") else []
        assert np.array_equal(np.flatnonzero(found < 0), place[few])
    assert (np.bincount(y) == [8, 15, 34, 24]).all()


def test_stored_comparison_has_at_least_four_methods_with_all_shots():
    outputs = adapt.load()
    counted = outputs.groupby(["family", "method"])["shots"].agg(set)
    whole = counted[counted.map(lambda shots: {"0", "1", "5", "10"} <= shots)]
    assert len(set(whole.index.get_level_values("method")) - {"none"}) >= 4
    tables = outputs[(outputs["family"] == "logistic") & (outputs["shots"] != "0")]
    assert (tables.groupby(["method", "shots"])["draw"].nunique() == adapt.DRAWS).all()


def test_a_stored_row_comes_out_again():
    adapted = adapt._tables(adapt.fit_logistic).zero(*adapt.TABLES["standardised"])
    p = adapt.by_seen(adapted, "others", 200)
    made = adapt._row("logistic", "standardised", 0, "others", 0, p.argmax(1))
    stored = adapt.load().query("family == 'logistic' and method == 'standardised' and shots == '0'")
    stored = stored[stored["seen"] == "others"]["calls"].item()
    differ = sum(a != b for a, b in zip(made["calls"], stored, strict=True))
    assert differ <= 1  # another processor may break a tie the other way


def test_a_changed_file_is_refused(tmp_path):
    for run in adapt.RUNS:
        shutil.copytree(study.RESULTS / run, tmp_path / run)
    path = tmp_path / "external-adapt" / "outputs.csv"
    text = path.read_text()
    path.write_text(text.replace("m", "n", 1) if "m" in text else text + "x")
    with pytest.raises(EcgbookError, match="was changed"):
        adapt.load(tmp_path)
    with pytest.raises(EcgbookError, match="is not there"):
        adapt.note("external-adapt", tmp_path / "nowhere")
