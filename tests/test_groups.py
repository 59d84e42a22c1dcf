"""Groups: same exam number, or signals more alike than strangers' can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgbook import data, groups, measure


@pytest.fixture(scope="module")
def distance():
    return groups.distances(measure.median_beats()[1])


def beats(seed: int, n: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(226)
    places = rng.uniform(60, 150, (n, 12, 3, 1))
    return (rng.normal(size=(n, 12, 3, 1)) * np.exp(-(((t - places) / 8) ** 2))).sum(axis=2)


def test_distance_does_not_depend_on_the_order_of_pages_and_scales_together():
    some = beats(0)
    order = [3, 1, 4, 0, 2]
    found = groups.distances(some)
    assert np.allclose(groups.distances(some[order]), found[np.ix_(order, order)])
    assert np.allclose(groups.distances(3 * some), found)


def test_a_shifted_copy_is_near_and_a_smaller_one_is_not():
    some = beats(1, n=2)
    shifted, smaller = np.roll(some[:1], 3, axis=2), 0.5 * some[:1]
    found = groups.distances(np.concatenate([some, shifted, smaller]))
    assert found[0, 2] < 0.01 and found[0, 3] > 0.5 and found[0, 1] > 0.8


def test_unknown_samples_are_left_out():
    some = beats(2, n=2)
    holes = some.copy()
    holes[0, 3, 50:120] = np.nan
    assert groups.distances(np.concatenate([some[:1], holes[:1]]))[0, 1] == pytest.approx(0, abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=15))
def test_joining_keeps_exams_together_and_joins_every_pair(pairs):
    exam = np.repeat(np.arange(1, 11), 2)
    group = groups.join(exam, np.array(pairs, int).reshape(-1, 2))
    assert all(group[a] == group[b] for a, b in pairs)
    assert (group[::2] == group[1::2]).all()
    assert set(group) <= set(exam)


def test_carried_groups_are_what_the_beats_give(tmp_path):
    groups.rebuild(tmp_path)
    assert (tmp_path / "groups.csv").read_bytes() == (data.tables() / "groups.csv").read_bytes()


def test_only_near_pages_were_joined(distance):
    pages = data.pages()
    exam, group = pages["exam"].to_numpy(), pages["group"].to_numpy()
    limit = groups.threshold(distance, exam, pages["batch"].to_numpy())
    joined = (group[:, None] == group[None, :]) & (exam[:, None] != exam[None, :])
    assert joined.any()
    assert len(set(group)) < len(set(exam))
    near = np.triu(distance < limit, k=1)
    assert (group[np.argwhere(near)[:, 0]] == group[np.argwhere(near)[:, 1]]).all()
    # Pages of different batches are months apart: the rule must not have paired any of them directly.
    batch = pages["batch"].to_numpy()
    a, b = np.nonzero(near & (exam[:, None] != exam[None, :]))
    assert (batch[a] == batch[b]).all()
