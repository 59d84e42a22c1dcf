"""Tests of ecgbook.fusion: joining, missing modalities, what may be learned from what, the stored run."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ecgbook import data, evaluate, fusion, study
from ecgbook.data import EcgbookError

pytestmark = pytest.mark.usefixtures("one_thread")

chances = hnp.arrays(float, (3, 5, 4), elements=st.floats(0.01, 1)).map(
    lambda a: a / a.sum(-1, keepdims=True)
)


def said(y: np.ndarray, right: float, seed: int) -> np.ndarray:
    """Opinions of an expert who names the true class with some chance, as sure when wrong as when right."""
    rng = np.random.default_rng(seed)
    named = np.where(rng.random(len(y)) < right, y, rng.integers(4, size=len(y)))
    return 0.05 + 0.8 * np.eye(4)[named]


@pytest.fixture(scope="module")
def planted() -> tuple[fusion.Blocks, np.ndarray]:
    """Two modalities that tell the class, each through noise of its own, and one that tells nothing."""
    rng, y = np.random.default_rng(0), np.arange(400) % 4
    centre = rng.normal(size=(4, 6))
    blocks = {name: centre[y] + rng.normal(size=(400, 6)) for name in ("facts", "page")}
    return blocks | {"signal": rng.normal(size=(400, 60))}, y


# Late fusion


@given(chances)
def test_pool_is_the_normalised_geometric_mean(p):
    product = np.exp(np.log(p).mean(axis=0))
    assert np.allclose(fusion.pool(p), product / product.sum(axis=1, keepdims=True))


@given(chances)
def test_an_undecided_expert_changes_no_weighted_pool(p):
    silent = np.full((1, 5, 4), 0.25)
    weights = np.array([0.5, 2.0, 0.1])
    assert np.allclose(
        fusion.pool(p, weights), fusion.pool(np.concatenate([p, silent]), np.append(weights, 3.0))
    )


def test_learned_weights_are_a_minimum_and_follow_what_experts_know():
    y = np.arange(600) % 4
    experts = np.array([said(y, 0.9, 1), said(y, 0.5, 2), said(y, 0.0, 3)])
    w = fusion.learned_weights(experts, y)
    assert w[0] > w[1] > 0.05 and w[2] < 0.1

    def loss(w):
        return -np.log(fusion.pool(experts, w)[np.arange(600), y]).mean()

    steps = 0.02 * np.vstack([np.eye(3), -np.eye(3)])
    assert all(loss(w) <= loss(np.maximum(w + step, 0)) + 1e-9 for step in steps)


def test_stacking_believes_an_expert_about_one_class_alone():
    rng, y = np.random.default_rng(0), np.arange(800) % 4
    first, second = np.full((800, 4), 0.25), said(y, 0.6, 5)
    first[y == 2], first[y != 2] = [0.05, 0.05, 0.85, 0.05], [0.31, 0.31, 0.07, 0.31]
    both = np.array([first, second])
    learn, asked = np.split(rng.permutation(800), 2)
    stack = fusion.joined("stacking", both[:, learn], y[learn], both[:, asked]).argmax(axis=1)
    plain = fusion.joined("pool", both[:, learn], y[learn], both[:, asked]).argmax(axis=1)
    assert (stack == y[asked]).mean() > (plain == y[asked]).mean()
    assert (stack == y[asked])[y[asked] == 2].all()


def test_unknown_ways_are_refused():
    with pytest.raises(EcgbookError, match="late fusion"):
        fusion.joined("pol", np.zeros((1, 1, 4)), np.zeros(1, int), np.zeros((1, 1, 4)))
    with pytest.raises(EcgbookError, match="way to be missing"):
        fusion.without(np.zeros((1, 1)), "away", np.array([0]))
    with pytest.raises(EcgbookError, match="modality"):
        fusion.expert("sound", 0)


# What may be learned from what


def test_thirds_ask_each_row_once_and_split_no_group():
    rows, groups = fusion._dealt()[0].train, data.pages()["group"].to_numpy()
    parts = fusion.thirds(rows, 0)
    assert sorted(np.concatenate([asked for _, asked in parts])) == sorted(rows)
    for known, asked in parts:
        assert not set(groups[known]) & set(groups[asked])
        assert set(known) | set(asked) == set(rows)


def test_no_expert_learns_from_an_ecg_that_it_judges(monkeypatch):
    split, block = fusion._dealt()[0], fusion.columns()["facts"]
    _, before = fusion.opinions_from(block, "facts", split, 0)
    y = fusion.labels()
    known, asked = fusion.thirds(split.train, 0)[0]
    for rows in (split.test, split.val, asked):
        changed = y.copy()
        changed[rows] = (changed[rows] + 1) % 4
        monkeypatch.setattr(fusion, "thirds", lambda *_: [(known, asked)])  # the deal, too, looks at labels
        monkeypatch.setattr(fusion, "labels", lambda: changed)  # noqa: B023
        _, after = fusion.opinions_from(block, "facts", split, 0)
        assert np.array_equal(after[rows], before[rows])
        assert rows is not asked or not np.array_equal(after[split.test], before[split.test])


def test_attention_learns_nothing_from_rows_that_it_is_not_given(planted):
    blocks, y = planted
    known, asked = np.arange(200), np.arange(200, 220)
    modalities = ("facts", "signal", "page")
    first = fusion.Attention(modalities, 0, epochs=1).fit(blocks, y, known).probabilities(blocks, asked)
    spoilt = {name: block.copy() for name, block in blocks.items()}
    for block in spoilt.values():
        block[220:] = 1e3
    again = fusion.Attention(modalities, 0, epochs=1).fit(spoilt, np.r_[y[:200], np.zeros(200, int)], known)
    assert np.allclose(first, again.probabilities(spoilt, asked))


def test_components_are_found_in_known_rows_and_applied_to_all():
    rng = np.random.default_rng(0)
    blocks = {"facts": rng.normal(size=(90, 2)), "signal": rng.normal(size=(90, 70))}
    known = np.arange(60)
    short = fusion.shortened(blocks, known)(blocks)
    spoilt = blocks | {"signal": np.r_[blocks["signal"][:60], 100 * blocks["signal"][60:]]}
    again = fusion.shortened(spoilt, known)(blocks)
    assert np.allclose(short["signal"], again["signal"]) and short["signal"].shape == (90, fusion.COMPONENTS)
    assert np.allclose(short["signal"][known].mean(axis=0), 0)
    assert np.array_equal(short["facts"], blocks["facts"])


def test_early_fusion_sees_the_training_part_and_the_named_columns_alone(monkeypatch):
    split = fusion._dealt()[0]
    rng, y = np.random.default_rng(0), fusion.labels()
    short = {m: rng.normal(size=(491, 3)) for m in fusion.MODALITIES}
    before = fusion._learned(short, ("facts", "page"), split, 0).predict_proba(
        fusion.beside(short, ("facts", "page"))
    )
    changed = short | {"signal": 0 * short["signal"]}
    changed["facts"] = changed["facts"].copy()
    changed["facts"][split.test] = 9.0
    other = y.copy()
    other[np.r_[split.val, split.test]] = 0
    monkeypatch.setattr(fusion, "labels", lambda: other)
    after = fusion._learned(changed, ("facts", "page"), split, 0).predict_proba(
        fusion.beside(short, ("facts", "page"))
    )
    assert np.array_equal(before, after)


def test_two_modalities_tell_more_than_one(planted):
    blocks, y = planted
    known, asked = np.arange(300), np.arange(300, 400)
    network = fusion.Attention(("facts", "page"), 0, epochs=8).fit(blocks, y, known)

    def right(present):
        return (network.probabilities(blocks, asked, present).argmax(axis=1) == y[asked]).mean()

    assert right(("facts", "page")) > max(right(("facts",)), right(("page",)))
    assert min(right(("facts",)), right(("page",))) > 0.5, "it was trained to do without one"


# Attention, and modalities that are missing


def test_a_modality_that_is_not_there_is_not_looked_at(planted):
    blocks, y = planted
    network = fusion.Attention(("facts", "signal", "page"), 0, epochs=1).fit(blocks, y, np.arange(200))
    asked, other = np.arange(200, 210), blocks | {"signal": 100 + blocks["signal"]}
    there = ["facts", "page"]
    p, matter = network.attended(blocks, asked, there)
    assert np.array_equal(p, network.probabilities(other, asked, there))
    assert not np.allclose(p, network.probabilities(blocks, asked))
    assert np.allclose(matter.sum(axis=1), 1) and (matter[:, 1] == 0).all()


def test_some_are_missing_as_often_as_said_and_never_all():
    import torch

    present = fusion.some_missing(20_000, 4, 0.3, torch.Generator().manual_seed(0))
    assert present.any(dim=1).all()
    assert abs(present.float().mean().item() - (0.7 + 0.3**4 / 4)) < 0.01


def test_lost_columns_tell_nothing():
    block = np.array([[1.0, np.nan], [3.0, 4.0], [50.0, 6.0]])
    assert (fusion.without(block, "zeroed", np.array([0, 1])) == 0).all()
    assert fusion.without(block, "mean", np.array([0, 1])).tolist() == [[2.0, 4.0]] * 3


@given(st.integers(0, 1000))
def test_exchanging_keeps_to_its_kind(seed):
    rows, within = np.arange(10, 40), np.arange(30) % 3
    out = fusion.exchanged(rows, within, seed)
    for kind in range(3):
        assert sorted(out[within == kind]) == sorted(rows[within == kind])


@given(hnp.arrays(float, (4,), elements=st.floats(0, 1)).filter(lambda a: a.sum() > 0.1))
def test_packing_keeps_probabilities(a):
    p = a / a.sum()
    again = fusion.unpacked(fusion.packed(p))
    assert np.abs(again - p).max() < 5e-5 and abs(again.sum() - 1) < 1e-9


# The stored run


def test_the_stored_run_comes_from_the_code_as_it_stands():
    note = fusion.note()
    assert note["code"] == fusion._code(), "the code changed since: run it again"
    assert all(data.digest(data.tables() / name)[1][:16] == value for name, value in note["data"].items())
    assert note["headline"] == fusion.HEADLINE
    log = pd.read_csv(study.RESULTS / "outer_log.csv")
    assert note["started"] in set(log.loc[log["run"] == "fusion", "date"])


def test_the_stored_run_is_whole():
    names = fusion.variants()
    methods = ("early", "attention")
    wanted = {f"{m} | {fusion.name_of(s)}" for m in methods for s in fusion.SUBSETS}
    losers = (*methods, None)
    wanted |= {f"{m or x} | {f'{x} ' * (m is not None)}{how}" for m in losers for x in fusion.MODALITIES
               for how in fusion.HOW}  # fmt: skip
    wanted |= {f"early | facts exchanged within {w}, {k}" for w in fusion.WITHIN
               for k in range(fusion.PERMUTATIONS)}  # fmt: skip
    assert set(names) - wanted == {f"early | {fusion.name_of(fusion.MODALITIES)} + collection"}
    assert wanted <= set(names)
    for name in names:
        frame = evaluate.check(fusion.answers(name), name)
        assert len(frame.query("part == 'test'")) == 491
    assert np.allclose(fusion.attended().sum(axis=1), 1, atol=2e-3)
    assert np.allclose(fusion.opinions().sum(axis=-1), 1)


def test_stored_opinions_are_those_of_the_experts():
    split, blocks = fusion._dealt()[1], fusion.columns()
    _, again = fusion.opinions_from(blocks["facts"], "facts", split, 1)
    assert np.abs(again - fusion.opinions()[1, 0]).max() < 0.02


def test_late_fusion_of_one_expert_is_that_expert():
    frame = fusion.late("pool", ("page",))
    assert np.allclose(frame[evaluate.PROBABILITIES], fusion.alone("page")[evaluate.PROBABILITIES], atol=1e-3)


def test_a_dropped_expert_is_as_if_it_had_never_been_asked():
    rest = tuple(m for m in fusion.MODALITIES if m != "facts")
    dropped, never = fusion.late("pool", lost="facts"), fusion.late("pool", rest)
    assert np.allclose(dropped[evaluate.PROBABILITIES], never[evaluate.PROBABILITIES])
    for how in fusion.HOW:
        assert not np.allclose(
            fusion.late("pool", lost="facts", how=how)[evaluate.PROBABILITIES], never[evaluate.PROBABILITIES]
        )


def test_the_headline_learns_from_the_validation_part_alone(monkeypatch):
    before, split, y = fusion.of_runs(), fusion._dealt()[0], fusion.labels()
    changed = y.copy()
    changed[split.test] = (changed[split.test] + 1) % 4
    monkeypatch.setattr(fusion, "labels", lambda: changed)
    after = fusion.of_runs()
    first = before["fold"] == 0
    assert np.array_equal(before.loc[first, evaluate.PROBABILITIES], after.loc[first, evaluate.PROBABILITIES])
    changed[split.val] = (y[split.val] + 1) % 4
    assert not np.allclose(
        fusion.of_runs().loc[first, evaluate.PROBABILITIES], before.loc[first, evaluate.PROBABILITIES]
    )


def test_voices_are_the_stored_runs():
    ours = fusion.voice("signal").query("part == 'test'").set_index("file")[evaluate.PROBABILITIES]
    theirs = study.load("grouped-hybrid1d").query("part == 'test'").set_index("file")[evaluate.PROBABILITIES]
    assert ours.equals(theirs.loc[ours.index])


# Storing


def made_up(fold: int, progress) -> dict[str, np.ndarray]:
    """What a fold would leave, drawn."""
    split, rng = fusion._dealt()[fold], np.random.default_rng(fold)
    n = len(split.val) + len(split.test)
    out = {
        f"early | {fusion.name_of(s)}": rng.dirichlet(np.ones(4), n).astype(np.float32)
        for s in fusion.SUBSETS
    }
    progress(f"fold {fold}")
    return out | {
        "opinions": rng.dirichlet(np.ones(4), (4, 491)),
        "attended": np.full((len(split.test), 4), 0.25),
    }


@pytest.fixture
def results(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    headline = (study.RESULTS / "headline.json").read_text(encoding="utf-8")
    (tmp_path / "results" / "headline.json").write_text(headline, encoding="utf-8")
    monkeypatch.setattr(fusion.publish, "ROOT", tmp_path)
    monkeypatch.setattr(fusion, "judged", made_up)
    return tmp_path / "results"


def test_an_interrupted_run_goes_on_where_it_stopped(results, monkeypatch):
    asked = []

    def stops(fold, progress):
        asked.append(fold)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return made_up(fold, progress)

    monkeypatch.setattr(fusion, "judged", stops)
    with pytest.raises(KeyboardInterrupt):
        fusion.store(results)
    assert not (results / fusion.RUN).exists()
    folder = fusion.store(results)
    assert asked == [0, 1, 2, 2, 3, 4]
    assert json.loads((folder / "run.json").read_text())["protocol"] == "grouped"
    assert len(pd.read_csv(results / "outer_log.csv")) == 1
    assert not list((results.parent / ".cache").iterdir())
    whole = fusion.answers("early | facts + page", results)
    split = fusion._dealt()[2]
    rows = whole.query("fold == 2 and part == 'test'")[evaluate.PROBABILITIES].to_numpy()
    assert np.allclose(rows, made_up(2, print)["early | facts + page"][len(split.val) :], atol=1e-4)


def test_a_changed_file_is_refused(results):
    folder = fusion.store(results)
    with open(folder / "outputs.npz", "ab") as stream:
        stream.write(b" ")
    with pytest.raises(EcgbookError, match="changed by hand"):
        fusion.variants(results)
    with pytest.raises(EcgbookError, match="no such run"):
        fusion.note(results / "elsewhere")


def test_no_run_without_a_headline(tmp_path):
    with pytest.raises(EcgbookError, match="headline"):
        fusion.store(tmp_path)
