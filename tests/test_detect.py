"""Tests of the detector: known answers, planted waves, learning on little, no leak, the stored run whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbook import detect, ludb
from ecgbook.beats import WAVES
from ecgbook.data import EcgbookError
from ecgbook.detect import Found, Strip

pytestmark = pytest.mark.usefixtures("one_thread")


def strip(kind=(0, 1, 2), edges=((1.0, 1.1), (1.2, 1.3), (1.5, 1.7)), whole=None, stretch=(0.5, 9.5)):
    whole = np.ones(len(kind), bool) if whole is None else np.array(whole)
    return Strip(1, "II", np.zeros(2500, np.float32), np.array(kind), np.array(edges, float), whole, stretch)


def found(kind, edges, score):
    return Found(np.array(kind), np.array(edges, float).reshape(-1, 2), np.array(score, float))


# Strips


def test_a_drawn_strip_has_its_waves_where_it_says():
    """Where a QRS is said to be the signal is steep, and hardly anywhere else."""
    for seed in range(5):
        one = detect.drawn(np.random.default_rng(seed))
        time, inside = np.arange(one.signal.size) / detect.FS, np.zeros(one.signal.size, bool)
        for low, high in one.edges[one.kind == WAVES.index("QRS")]:
            inside |= (time >= low) & (time < high)
        steep = np.abs(np.gradient(one.signal))
        assert steep[inside].mean() > 3 * steep[~inside].mean()
        assert (np.diff(one.edges[:, 0]) > 0).all() and (one.edges[1:, 0] >= one.edges[:-1, 1]).all()


def test_the_same_seed_draws_the_same_strip_and_another_another():
    a, b, c = (detect.drawn(np.random.default_rng(seed)).signal for seed in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_a_flat_strip_stays_flat():
    assert not detect.standard(np.full((2, 50), 3.0)).any()


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 7), st.floats(0.85, 1.15))
def test_a_crop_shows_the_signal_under_its_boxes(start, pace):
    """A pulse in the middle of each wave is found at the middle of its box, wherever and however fast we look."""
    signal = np.zeros(2500, np.float32)
    edges = np.array([[1.0, 1.2], [3.4, 3.5], [6.0, 6.4], [8.0, 8.1]])
    signal[np.round(edges.mean(axis=1) * 250).astype(int)] = 1
    one = Strip(0, "", signal, np.array([0, 1, 2, 1]), edges, np.ones(4, bool), (0.0, 10.0))
    seen, kind, boxes = detect.crop(one, start, pace)
    assert (
        len(kind)
        == len(boxes)
        == ((edges.mean(1) > start) & (edges.mean(1) < start + pace * detect.SECONDS)).sum()
    )
    for centre, width in boxes:
        near = seen[max(0, round(centre * 640) - 2) : round(centre * 640) + 3]
        assert near.max(initial=0) > 0.3 or not 0.01 < centre < 0.99
        assert 0.09 < width * pace * detect.SECONDS < 0.41


def test_training_crops_stay_inside_the_marked_stretch():
    """Outside of it the signal is not a number: no crop may touch it."""
    one = strip(kind=(1,), edges=((4.0, 4.1),), stretch=(3.0, 7.0))
    one.signal[: 3 * 250 - 1] = one.signal[7 * 250 + 1 :] = np.nan
    given = detect.batch([one], 200, np.random.default_rng(0))
    assert torch.isfinite(given.x).all()


# Matching and losses


def test_a_perfect_claim_is_matched_whatever_the_order():
    rng = np.random.default_rng(0)
    kind, boxes = (
        np.array([0, 1, 2, 1]),
        np.array([[0.1, 0.04], [0.2, 0.04], [0.4, 0.1], [0.8, 0.05]], np.float32),
    )
    order = rng.permutation(4)
    claims = torch.cat([torch.from_numpy(boxes[order]), torch.full((3, 2), 0.5)])[None]
    logits = torch.full((1, 7, 3), -4.0)
    logits[0, np.arange(4), kind[order]] = 4.0
    price = detect.prices(logits, claims, torch.tensor(kind)[None], torch.tensor(boxes)[None]).numpy()
    _, claim, wave = detect.pairs(price, [4])
    assert (order[claim] == wave).all()


def given_batch(n=2):
    kind = [np.array([0, 1, 2]), np.array([1], int), np.zeros(0, int)][:n]
    boxes = [np.array([[0.1, 0.04], [0.2, 0.04], [0.4, 0.1]]), np.array([[0.6, 0.05]]), np.zeros((0, 2))][:n]
    return detect.Batch(torch.randn(n, 1, 640), kind, [b.astype(np.float32) for b in boxes])


def test_the_loss_is_lowest_for_the_truth_and_blind_to_the_order_of_claims():
    given = given_batch(1)
    boxes = torch.cat([torch.from_numpy(given.boxes[0]), torch.full((4, 2), 0.5)])[None]
    logits = torch.full((1, 7, 3), -6.0)
    logits[0, [0, 1, 2], [0, 1, 2]] = 6.0
    best = detect.set_loss([(logits, boxes)], given)
    turned = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    assert torch.isclose(best, detect.set_loss([(logits[:, turned], boxes[:, turned])], given), atol=1e-5)
    assert (
        best
        < detect.set_loss([(logits, boxes + 0.02)], given)
        < detect.set_loss([(logits, boxes + 0.1)], given)
    )
    twice = logits.clone()
    twice[0, 3, 0] = 6.0  # a second claim of a wave that is claimed already
    assert best < detect.set_loss([(twice, boxes)], given)


def test_a_window_without_waves_trains_towards_silence():
    torch.manual_seed(0)
    network, given = detect.Detector(size=16, queries=5, layers=1), given_batch(3)
    given = detect.Batch(given.x[2:], given.kind[2:], given.boxes[2:])
    detect.set_loss(network(given.x), given).backward()
    gradient = network.decoder[0].name.bias.grad
    assert (gradient > 0).all()  # a step down lowers every score


@pytest.mark.parametrize(
    ("network", "loss"),
    [
        (detect.Detector(size=16, queries=8, layers=2), detect.set_loss),
        (detect.UNet((4, 8, 8)), detect.sample_loss),
    ],
    ids=["detector", "U-Net"],
)
def test_gradients_reach_every_weight(network, loss):
    given = given_batch(3)
    loss(network(given.x), given).backward()
    missing = [
        name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    ]
    assert missing == []


def test_generalised_iou_still_tells_near_from_far():
    box = torch.tensor([0.5, 0.1])
    iou, generalised = detect.overlap(box, torch.tensor([[0.7, 0.1], [0.9, 0.1]]))
    assert iou.tolist() == [0, 0] and generalised[0] > generalised[1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 0.9), st.floats(0.01, 0.3)), min_size=2, max_size=2))
def test_iou_agrees_with_counting_points(two):
    a, b = (torch.tensor(box) for box in two)
    points = torch.linspace(-0.5, 1.5, 40001)
    inside = [(points >= c - w / 2) & (points <= c + w / 2) for c, w in two]
    share = (inside[0] & inside[1]).sum() / (inside[0] | inside[1]).sum()
    assert abs(float(detect.overlap(a, b)[0]) - float(share)) < 0.02


# Learning


def test_a_small_detector_learns_two_strips_by_heart():
    pool = [detect.drawn(np.random.default_rng(k)) for k in range(2)]
    torch.manual_seed(0)
    network = detect.Detector(size=16, queries=20, layers=1)
    losses = detect.fit(network, detect.set_loss, pool, steps=70, rate=4e-3, size=8)
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:10])


def test_training_is_repeatable():
    pool, states = [detect.drawn(np.random.default_rng(3))], []
    for _ in range(2):
        torch.manual_seed(1)
        network = detect.UNet((4, 8))
        detect.fit(network, detect.sample_loss, pool, steps=4, size=2, seed=5)
        states.append(network.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


# Reading a strip


class _Pointer(torch.nn.Module):
    """A detector that claims a QRS of 80 ms wherever the signal has a pulse of 1, and every claim twice when asked."""

    def __init__(self, times=1):
        super().__init__()
        self.weight, self.times = torch.nn.Parameter(torch.zeros(1)), times

    def forward(self, x):
        boxes, logits = torch.full((len(x), 8, 2), 0.5), torch.full((len(x), 8, 3), -9.0)
        for row, signal in enumerate(x[:, 0]):
            places = torch.nonzero(signal > 0.5)[:, 0].repeat(self.times)[:8]
            boxes[row, : len(places), 0] = places / detect.WINDOW
            boxes[row, : len(places), 1] = 0.08 / detect.SECONDS
            logits[row, : len(places), 1] = 2.0
        return [(logits, boxes)]


@pytest.mark.parametrize("n", [300, 640, 641, 1500, 2500])
def test_overlapping_windows_report_each_wave_once(n):
    signal = np.zeros((1, n), np.float32)
    at = np.arange(40, n, 173)
    signal[0, at] = 1
    (one,) = detect.detect(_Pointer(), signal)
    assert np.allclose(np.sort(one.edges.mean(axis=1)), at / 250, atol=1e-4)
    assert (one.kind == 1).all() and np.allclose(one.score, torch.sigmoid(torch.tensor(2.0)))


def test_runs_of_names_become_waves():
    p = np.full((4, 100), 0.05)
    p[0] = 0.85
    p[:, 20:40] = [[0.1], [0.1], [0.7], [0.1]]
    p[:, 60:63] = [[0.1], [0.8], [0.05], [0.05]]  # too short to be a wave
    one = detect._runs(p)
    assert one.kind.tolist() == [1] and one.edges.tolist() == [[20 / 250, 40 / 250]]
    assert one.score.tolist() == pytest.approx([0.7])


def test_a_strip_is_named_alike_whatever_its_length():
    """Lengths that halve unevenly must not push the waves aside."""
    torch.manual_seed(0)
    network, signal = detect.UNet((4, 8, 8, 8)), detect.drawn(np.random.default_rng(4)).signal[None]
    detect.fit(
        network, detect.sample_loss, [detect.drawn(np.random.default_rng(4))], steps=30, rate=5e-3, size=4
    )
    long, odd = (detect.segment(network, signal[:, :n])[0] for n in (2496, 2387))
    inner = [edges[edges[:, 1] < 9] for edges in (long.edges, odd.edges)]
    assert len(inner[0]) > 3 and np.array_equal(*inner)


def test_a_unet_learns_to_name_samples_as_painted():
    given = given_batch(1)
    names = detect.painted(given)[0]
    assert [int((names == k).sum()) for k in (1, 2, 3)] == [26, 26, 64]
    logits = torch.nn.functional.one_hot(names, 4).T[None] * 20.0
    assert detect.sample_loss(logits, given) < 1e-3


# Scores


def test_average_precision_is_that_of_scikit_learn():
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    score = rng.integers(5, 95, 400)
    hit = rng.random(400) < score / 100
    counts = np.zeros((detect.STEPS, 2), int)
    np.add.at(counts, score, np.stack([np.ones(400, int), hit], axis=1))
    expected = average_precision_score(hit, score)
    assert detect.average_precision(counts, np.array(hit.sum()))[0] == pytest.approx(expected)
    half = detect.average_precision(counts, np.array(2 * hit.sum()))[
        0
    ]  # as many waves again that nobody reported
    assert half == pytest.approx(expected / 2)


def test_marks_as_reports_score_one_and_nothing_scores_zero():
    one = strip()
    perfect = detect.count(one, found(one.kind, one.edges, [0.9, 0.9, 0.9]))
    assert detect.average_precision(perfect, np.ones(3)).min() == 1
    nothing = detect.count(one, found([], [], []))
    assert detect.average_precision(nothing, np.ones(3)).max() == 0


def test_a_wave_is_hit_once_by_the_surest():
    hit = detect.hits(np.array([[1.0, 1.1], [1.0, 1.1]]), np.array([0.3, 0.8]), np.array([[1.0, 1.1]]))
    assert not hit[0].any() and hit[1].all()


def test_reports_outside_the_marked_stretch_do_not_count_unless_they_hit():
    one = strip(stretch=(1.0, 1.7))
    counts = detect.count(one, found([0, 0, 1], [[0.2, 0.3], [0.95, 1.08], [1.35, 1.45]], [0.9] * 3))
    assert (
        counts[0, :, 0].sum() == 1 and counts[0, :, 1].sum() == 1
    )  # the early one hits, the outer is left out
    assert counts[1, :, 0].sum() == 1 and counts[1, :, 1].sum() == 0  # a false alarm inside


def test_a_report_over_a_half_marked_wave_counts_for_nothing():
    one = strip(kind=(1, 1), edges=((1.0, 1.1), (2.0, 2.05)), whole=(True, False))
    counts = detect.count(one, found([1, 1, 1], [[1.0, 1.1], [1.98, 2.08], [3.0, 3.1]], [0.9] * 3))
    assert counts[1].sum(axis=0)[:2].tolist() == [2, 1]


def test_the_score_that_counts_is_chosen_where_f1_is_best():
    counts = np.zeros((3, 100, 2), int)
    counts[:, 90] = [10, 10]
    counts[:2, 50] = [10, 8]
    counts[2, 50] = [10, 0]
    counts[:, 10] = [100, 2]
    assert detect.cuts(counts, np.array([20, 20, 10])).tolist() == [50, 50, 90]
    kept = detect.above(found([0, 2], [[1, 2], [3, 4]], [0.5, 0.5]), np.array([50, 50, 90]))
    assert kept.kind.tolist() == [0]


def test_boundary_errors_have_a_sign_and_a_size():
    one = strip()
    late = detect.boundaries(one, found([1], [[1.21, 1.28]], [1.0]))
    assert late[1].tolist() == [[1, 1, 1, pytest.approx(10), pytest.approx(10), pytest.approx(100)],
                                [1, 1, 1, pytest.approx(-20), pytest.approx(20), pytest.approx(400)]]  # fmt: skip
    assert late[0, 0, :3].tolist() == [1, 0, 0]


def test_onsets_and_offsets_are_joined_only_if_nothing_comes_between():
    assert detect.joined(np.array([1.0, 1.2]), np.array([1.3])).tolist() == [[1.2, 1.3]]
    assert detect.joined(np.zeros(0), np.array([1.0])).shape == (0, 2)
    reported = {(row, wave, edge): np.zeros(0) for row in range(12) for wave in WAVES for edge in ludb.EDGES}
    reported[3, "T", "onset"], reported[3, "T", "offset"] = np.array([2.0]), np.array([2.2])
    leads = detect.as_found(reported)
    assert [len(one.kind) for one in leads] == [0, 0, 0, 1, *[0] * 8] and leads[3].kind.tolist() == [2]


# The run


def test_every_record_is_tested_once_and_never_by_a_network_that_saw_it():
    dealt = [detect.deal(fold) for fold in range(detect.FOLDS)]
    assert sorted(n for _, _, test in dealt for n in test) == list(ludb.RECORDS)
    for train, val, test in dealt:
        assert not set(train) & set(test) and not set(val) & set(test) and not set(train) & set(val)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The run on records that are drawn, with networks that hardly train."""
    drawn = {n: [detect.drawn(np.random.default_rng(n))._replace(record=n)] * 2 for n in ludb.RECORDS}
    monkeypatch.setattr(detect, "_all", lambda: drawn)
    monkeypatch.setattr(detect, "_parts", lambda: tmp_path)
    monkeypatch.setattr(detect, "_DRAWN", 4)
    recipe = detect.LEARNERS["U-Net"]._replace(build=lambda: detect.UNet((4, 8)), drawn=2, steps=2)
    monkeypatch.setitem(detect.LEARNERS, "U-Net", recipe)
    return drawn


def test_test_records_cannot_change_what_was_learned(small, tmp_path):
    detect.part("U-Net, 0")
    before = torch.load(tmp_path / "U-Net-0.pt", weights_only=True)["state"]
    least = detect.part("U-Net, 0").least
    for n in detect.deal(0)[2]:
        small[n] = [detect.drawn(np.random.default_rng(5000 + n))] * 2
    for path in tmp_path.glob("U-Net-0.*"):
        path.unlink()
    assert detect.part("U-Net, 0").least.tolist() == least.tolist()
    after = torch.load(tmp_path / "U-Net-0.pt", weights_only=True)["state"]
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_part_that_is_there_is_not_made_again(small, tmp_path, monkeypatch):
    first = detect.part("U-Net, 1")
    monkeypatch.setattr(detect, "fit", lambda *_, **__: pytest.fail("trained again"))
    assert np.array_equal(detect.part("U-Net, 1").counts, first.counts)
    (tmp_path / "U-Net-1.npz").unlink()  # interrupted after the training: it goes on from the weights
    assert np.array_equal(detect.part("U-Net, 1").counts, first.counts)


def test_an_unknown_part_is_refused():
    with pytest.raises(EcgbookError, match="did you mean"):
        detect.part("U-Net 0")


def test_without_ludb_a_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("ECGBOOK_DATA", str(tmp_path))
    with pytest.raises(EcgbookError, match="get LUDB"):
        detect.strips([1])


def test_the_stored_run_is_whole_and_from_this_code():
    note, rows = detect.note(), detect.load()
    assert note["code"] == detect._code()
    assert list(rows["method"].unique()) == list(note["costs"]) == [*detect.LEARNERS, *detect.RULES]
    tested = sorted(n for fold in note["folds_finished"] for n in detect.deal(fold)[2])
    assert len(tested) >= 40 and note["folds_finished"][0] == 0
    for _, part in rows.groupby("method"):
        assert part["record"].tolist() == np.repeat(tested, 3).tolist()
    assert sum(p.stat().st_size for p in (detect.RESULTS / detect.RUN).iterdir()) < 1e6


def test_the_stored_numbers_agree_with_each_other():
    rows, note = detect.load(), detect.note()
    falling = rows[["reported", *detect.HITS]].to_numpy()
    assert (np.diff(falling, axis=1) <= 0).all() and (rows["hit50"] <= rows["marked"]).all()
    assert (
        rows.groupby(["record", "wave"])["marked"].nunique().max() == 1
    )  # every method has the same to find
    with np.load(detect.RESULTS / detect.RUN / "counts.npz") as counts:
        for method in detect.LEARNERS:
            part, total = rows[rows["method"] == method], counts[method]
            records = part["record"].unique().tolist()
            for fold, least in zip(note["folds_finished"], note["costs"][method]["least"], strict=True):
                for record in detect.deal(fold)[2]:
                    mine = part[part["record"] == record].set_index("wave").loc[list(WAVES)]
                    kept = [total[records.index(record), k, cut:, 0].sum() for k, cut in enumerate(least)]
                    assert kept == mine["reported"].tolist()


def test_the_summary_lies_inside_its_intervals_and_follows_the_records():
    summary = detect.summary(replicates=200)
    assert ((summary["low"] <= summary["estimate"]) & (summary["estimate"] <= summary["high"])).all()
    few = detect.scores("U-Net", replicates=0, records=detect.deal(0)[2][:10])
    assert not np.allclose(few, detect.scores("U-Net", replicates=0))
    ap = summary[summary["wave"] != "mean"].pivot_table(
        index=["method", "wave"], columns="metric", values="estimate"
    )
    assert (ap["AP50"] >= ap["AP75"]).all() and (ap["F1 at 50"] >= ap["F1 at 75"]).all()


def test_a_changed_file_is_refused(tmp_path):
    folder = tmp_path / detect.RUN
    folder.mkdir()
    for path in (detect.RESULTS / detect.RUN).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "outputs.csv").write_text("method\n", encoding="utf-8")
    with pytest.raises(EcgbookError, match="changed by hand"):
        detect.load(tmp_path)
    with pytest.raises(EcgbookError, match="make it with"):
        detect.note(tmp_path / "nowhere")


def test_the_carried_detector_finds_drawn_waves():
    """It began with such strips; after real ones it has not forgotten what a QRS is."""
    exam = [detect.drawn(np.random.default_rng(900 + k)) for k in range(6)]
    reports = detect.detect(detect.network(), np.stack([one.signal for one in exam]))
    counts = sum(map(detect.count, exam, reports))
    marked = np.bincount(np.concatenate([one.kind for one in exam]), minlength=3)
    assert detect.average_precision(counts, marked)[1, 0] > 0.5


def test_no_diagnosis_and_no_signal_is_stored():
    folder = detect.RESULTS / detect.RUN
    assert {path.name for path in folder.iterdir()} == {
        "run.json",
        "outputs.csv",
        "counts.npz",
        "weights.npz",
    }
    columns = pd.read_csv(folder / "outputs.csv", nrows=1).columns
    assert (
        set(columns) >= {"method", "record", "wave"}
        and columns[3:].str.match(r"marked|reported|hit|onset_|offset_").all()
    )
    assert json.loads((folder / "run.json").read_text())["task"] == "detect"


@pytest.fixture
def real():
    """Let tests read LUDB, or skip."""
    folder = Path(os.environ.get("ECGBOOK_DATA") or "data") / "ludb"
    if not folder.is_dir():
        pytest.skip("LUDB is absent (set ECGBOOK_DATA to the folder that holds ludb/)")


def test_strips_of_ludb_carry_the_marks_of_the_cardiologists(real):
    (one, *others) = detect.strips([1])
    marks = ludb.annotated(1, "I")
    assert one.lead == "I" and len(others) == 11 and one.signal.std() == pytest.approx(1, abs=1e-3)
    assert one.edges[:, 0].tolist() == marks["onset"].tolist() and one.whole.all()
    assert [WAVES[k] for k in one.kind] == marks["wave"].tolist()


def test_the_stored_weights_reproduce_the_stored_counts(real):
    """Half precision moves a boundary by next to nothing: counts of test records agree within a wave or two."""
    record = detect.deal(0)[2][0]
    leads = detect.strips([record])
    reports = detect.detect(detect.network(), np.stack([one.signal for one in leads]))
    counts = sum(map(detect.count, leads, reports))
    with np.load(detect.RESULTS / detect.RUN / "counts.npz") as stored:
        kept = stored["detector"][np.searchsorted(detect.load()["record"].unique(), record)]
    high = np.abs(counts[:, 50:, :2].sum(axis=1) - kept[:, 50:, :2].sum(axis=1))
    assert high.max() <= 3 and kept[:, 50:, 1].sum() > 50
