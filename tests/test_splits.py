"""The protocols: who may stand on which side."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgbook import data, splits
from ecgbook.data import CLASSES, EcgbookError

few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def make_frame(sizes, n_groups, seed, copies=0):
    """Build a frame of distinct pages in random groups; then add copies of some of them."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(CLASSES, sizes)
    group = rng.integers(n_groups, size=len(labels)) + 1
    frame = pd.DataFrame({"label": labels, "group": group})
    frame = pd.concat([frame, frame.sample(copies, random_state=seed, replace=True)])
    frame["sha256"] = [f"hash {i}" for i in frame.index]
    frame["file"] = [f"page({i}).jpg" for i in range(len(frame))]
    return frame.reset_index(drop=True)


sizes = st.lists(st.integers(8, 40), min_size=4, max_size=4)
seeds = st.integers(0, 2**31 - 1)
distinct = st.builds(make_frame, sizes, st.integers(15, 100), seeds)
with_copies = st.builds(make_frame, sizes, st.integers(15, 100), seeds, copies=st.integers(1, 100))


def rows_of(split):
    return np.concatenate(split)


# ---------------------------------------------------------------- properties


@few
@given(distinct, st.sampled_from(["paper", "unique", "grouped"]), seeds)
def test_holdout_places_every_row_once(frame, protocol, seed):
    split = splits.holdout(protocol, frame, seed)
    assert sorted(rows_of(split)) == list(range(len(frame)))
    assert all(len(part) for part in split)


@few
@given(distinct, st.sampled_from(["paper", "unique", "grouped"]), seeds, st.integers(2, 6))
def test_folds_test_every_row_once(frame, protocol, repeat, n_splits):
    found = splits.folds(protocol, frame, repeat, n_splits)
    assert sorted(np.concatenate([split.test for split in found])) == list(range(len(frame)))
    for split in found:
        assert sorted(rows_of(split)) == list(range(len(frame)))


@few
@given(distinct, seeds)
def test_no_hash_on_two_sides_in_unique(frame, seed):
    hashes = frame["sha256"].to_numpy()
    for split in [splits.holdout("unique", frame, seed), *splits.folds("unique", frame, seed)]:
        train, val, test = (set(hashes[part]) for part in split)
        assert not (train & val or train & test or val & test)


@few
@given(with_copies, st.sampled_from(["unique", "grouped"]), seeds)
def test_copies_are_refused_where_they_would_leak(frame, protocol, seed):
    with pytest.raises(EcgbookError, match="copies"):
        splits.holdout(protocol, frame, seed)
    with pytest.raises(EcgbookError, match="copies"):
        splits.folds(protocol, frame, seed)


@few
@given(distinct, seeds)
def test_no_group_on_two_sides_in_grouped(frame, seed):
    group = frame["group"].to_numpy()
    for split in [splits.holdout("grouped", frame, seed), *splits.folds("grouped", frame, seed)]:
        train, val, test = (set(group[part]) for part in split)
        assert not (train & val or train & test or val & test)


@few
@given(st.one_of(distinct, with_copies), seeds)
def test_stratified_shares_are_kept_within_two_rows(frame, seed):
    for split in [splits.holdout("paper", frame, seed), *splits.folds("paper", frame, seed)]:
        counted = splits.counts(split, frame)
        expected = np.outer(counted.sum(axis=1), counted.sum(axis=0)) / len(frame)
        assert np.abs(counted.to_numpy() - expected).max() <= 2


@few
@given(
    st.builds(make_frame, st.lists(st.integers(30, 45), min_size=4, max_size=4), st.just(2000), seeds), seeds
)
def test_grouped_shares_are_kept_where_groups_are_small(frame, seed):
    split = splits.holdout("grouped", frame, seed)
    shares = (
        splits.counts(split, frame) / frame["label"].value_counts().loc[list(CLASSES)].to_numpy()[:, None]
    )
    assert (shares["test"].between(0.10, 0.20) & shares["val"].between(0.10, 0.20)).all()


@few
@given(distinct, st.sampled_from(["paper", "unique", "grouped"]), seeds)
def test_same_seed_same_split(frame, protocol, seed):
    once, again = (splits.holdout(protocol, frame.copy(), seed) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    once, again = (splits.folds(protocol, frame.copy(), seed) for _ in range(2))
    assert all(np.array_equal(rows_of(a), rows_of(b)) for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize("protocol", ["paper", "unique", "grouped"])
def test_another_seed_is_another_split(protocol):
    frame = make_frame([30, 60, 90, 80], 150, seed=1)
    tests = {tuple(splits.holdout(protocol, frame, seed).test) for seed in range(5)}
    assert len(tests) == 5
    tests = {tuple(splits.folds(protocol, frame, repeat)[0].test) for repeat in range(5)}
    assert len(tests) == 5


def test_the_index_of_the_frame_does_not_matter():
    frame = make_frame([30, 60, 90, 80], 150, seed=1)
    moved = frame.set_index(np.arange(len(frame)) + 1000)
    for protocol in ("unique", "grouped"):
        a, b = splits.holdout(protocol, frame), splits.holdout(protocol, moved)
        assert np.array_equal(a.test, b.test)
        assert splits.counts(a, frame).equals(splits.counts(b, moved))


def test_the_largest_group_is_not_always_in_test():
    frame = make_frame([30, 60, 90, 80], 150, seed=1)
    frame.loc[:25, "group"] = 999
    held = {
        bool((frame["group"].iloc[splits.holdout("grouped", frame, s).test] == 999).any()) for s in range(12)
    }
    assert held == {True, False}


@few
@given(with_copies, seeds)
def test_leaked_says_what_a_loop_would_say(frame, seed):
    split = splits.holdout("paper", frame, seed)
    trained = {frame["sha256"][row] for row in split.train}
    expected = [frame["sha256"][row] in trained for row in split.test]
    assert splits.leaked(split, frame["sha256"]).tolist() == expected


# ---------------------------------------------------------------- the data set


@pytest.mark.parametrize("seed", [0, 1, 2, 12345])
def test_paper_has_the_counts_that_the_paper_prints(seed):
    files = data.files()
    split = splits.holdout("paper", files, seed)
    assert [len(part) for part in split] == [648, 140, 140]
    assert splits.counts(split, files)["test"].tolist() == [36, 26, 35, 43]


def test_paper_holdout_is_what_scikit_learn_gives_in_two_lines():
    from sklearn.model_selection import train_test_split

    files = data.files()
    rest, test = train_test_split(np.arange(928), test_size=140, stratify=files["label"], random_state=7)
    train, val = train_test_split(rest, test_size=140, stratify=files["label"][rest], random_state=7)
    for ours, theirs in zip(splits.holdout("paper", files, 7), (train, val, test), strict=True):
        assert np.array_equal(ours, np.sort(theirs))


def test_six_in_ten_test_files_have_a_twin_in_train_under_paper():
    files = data.files()
    found = [splits.leaked(splits.holdout("paper", files, seed), files["sha256"]) for seed in range(40)]
    assert np.mean(found) == pytest.approx(0.60, abs=0.01)
    unique = splits.holdout("unique", data.pages())
    assert not splits.leaked(unique, data.pages()["sha256"]).any()


def test_every_fold_holds_six_infarctions():
    for split in splits.folds("unique", data.pages()):
        assert splits.counts(split, data.pages()).loc["MI", "test"] == 6


def test_grouped_on_the_real_groups():
    pages = data.pages()
    if pages["group"].isna().any():
        pytest.skip("the manifest has no groups yet")
    group = pages["group"].to_numpy()
    for seed in range(4):
        split = splits.holdout("grouped", pages, seed)
        counted = splits.counts(split, pages)
        assert counted.loc["MI", ["val", "test"]].between(3, 6).all()
        assert all(60 <= len(part) <= 80 for part in split[1:])
        assert not splits.leaked(split, group).any()
    for split in splits.folds("grouped", pages):
        assert 5 <= splits.counts(split, pages).loc["MI", "test"] <= 7
        assert not splits.leaked(split, group).any()


PUBLISHED = "0f44398b408e4183d3b0c859549588c4fa0f93e8d3f357d681c3372508be41ce"


def digest(split, frame):
    """Hash the sorted lines ``file,part``, the form in which the repository publishes its split."""
    lines = [f"{frame['file'].iloc[row]},{part}\n" for part, rows in split._asdict().items() for row in rows]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def test_peer_is_the_published_split():
    split = splits.holdout("peer", data.pages())
    assert [len(part) for part in split] == [343, 74, 74]
    assert digest(split, data.pages()) == PUBLISHED


def test_peer_does_not_depend_on_the_order_of_the_frame():
    shuffled = data.pages().sample(frac=1, random_state=3)
    assert digest(splits.holdout("peer", shuffled), shuffled) == PUBLISHED


# ---------------------------------------------------------------- refusals


def refused(match, function, *args, **kwargs):
    with pytest.raises(EcgbookError, match=match) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value) and ";" in str(caught.value)


def test_unknown_protocols():
    frame = make_frame([20] * 4, 50, seed=0)
    refused("did you mean grouped", splits.holdout, "group", frame)
    refused("did you mean paper", splits.folds, "Paper", frame)
    refused("choose one of paper, unique", splits.holdout, "xyz", frame)


def test_missing_columns_and_values():
    frame = make_frame([20] * 4, 50, seed=0)
    refused("no column group", splits.holdout, "grouped", frame.drop(columns="group"))
    refused("no column label", splits.folds, "paper", frame.drop(columns="label"))
    refused("no column sha256", splits.folds, "unique", frame.drop(columns="sha256"))
    gaps = frame.assign(group=frame["group"].astype("Int64").where(frame.index > 2))
    refused("3 of the 80 rows have no group", splits.holdout, "grouped", gaps)
    refused("3 of the 80 rows have no group", splits.folds, "grouped", gaps)
    assert len(splits.holdout("unique", gaps).test) == 12  # which needs no group


def test_frames_too_small():
    refused("MI has 3 rows, 4 are needed", splits.holdout, "unique", make_frame([3, 20, 20, 20], 50, 0))
    refused(
        "MI has 8 rows, 10 are needed",
        splits.folds,
        "unique",
        make_frame([8, 20, 20, 20], 50, 0),
        n_splits=10,
    )
    refused("too few for three parts", splits.holdout, "paper", make_frame([5] * 4, 50, 0))
    refused("too few for three parts", splits.holdout, "paper", make_frame([5] * 4, 50, 0).iloc[:0])
    refused("3 groups are too few", splits.folds, "grouped", make_frame([20] * 4, 3, 0))
    refused("use 2 or more", splits.folds, "paper", make_frame([20] * 4, 50, 0), n_splits=1)


def test_peer_is_one_split_only():
    refused("without folds", splits.folds, "peer", data.pages())
    refused("has no seed 1", splits.holdout, "peer", data.pages(), seed=1)
    refused("491 distinct pages", splits.holdout, "peer", data.pages().iloc[1:])
    refused("copies", splits.holdout, "peer", data.files())
