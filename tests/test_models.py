"""Inputs, baselines, the pool, and models by name."""

import numpy as np
import pandas as pd
import pytest

from ecgbook import data, measure, models
from ecgbook.data import CLASSES, EcgbookError


@pytest.fixture(scope="module")
def some():
    """A few pages of each class: features, class numbers, groups."""
    pages = data.pages().groupby("label", sort=False).head(18)
    y = pages["label"].map({label: k for k, label in enumerate(CLASSES)}).to_numpy()
    return models.features("all").loc[pages["file"]], y, pages["group"].to_numpy()


def test_inputs_have_one_row_for_each_page_and_no_text_beside_the_baselines():
    pages = data.pages()["file"].tolist()
    for name in models.INPUTS:
        assert models.features(name).index.tolist() == pages
    for name in ("all", "measurements", "beats", "all but heart rate"):
        assert not [column for column in models.features(name) if column.startswith("printed")]
    assert not set(models._RATE) & set(models.features("all but heart rate"))
    assert set(models._RATE) <= set(models.features("all"))


def test_summaries_agree_with_a_plain_loop():
    table = measure.measurements().head(20)
    made = models.summaries(table)
    for row in (0, 7, 19):
        st = [table[f"{lead}_stj_mv"].iloc[row] for lead in ("II", "III", "aVF")]
        assert made["inferior_stj_mv_max"].iloc[row] == pytest.approx(np.nanmax(st))
        assert made["inferior_stj_mv_mean"].iloc[row] == pytest.approx(np.nanmean(st))
    assert np.allclose(made["axis_x"] ** 2 + made["axis_y"] ** 2, 1, equal_nan=True)


def test_features_look_at_no_label():
    """Shuffling the labels in the manifest must change nothing."""
    before = models.features("all")
    pages = data.pages()
    pages["label"] = np.random.default_rng(0).permutation(pages["label"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "pages", lambda: pages.copy())
        models._columns.cache_clear()
        after = models.features("all")
    models._columns.cache_clear()
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.parametrize("name", list(models.MODELS))
def test_every_model_gives_probabilities(name, some, monkeypatch):
    X, y, groups = some
    if name in models._GRIDS:
        build, _ = models._GRIDS[name]
        monkeypatch.setitem(models._GRIDS, name, (build, {}))  # one setting is enough here
        X = models.features("measurements").loc[X.index]
    keep = np.arange(len(X)) % 6 != 0
    model = models.fit(models.build(name), X[keep], y[keep], groups[keep])
    p = models.probabilities(model, X[~keep])
    assert p.shape == ((~keep).sum(), 4)
    assert np.allclose(p.sum(axis=1), 1, atol=1e-5)
    assert (p >= 0).all()


def test_the_inner_choice_keeps_groups_together(some, monkeypatch):
    from sklearn.model_selection import StratifiedGroupKFold

    X, y, groups = some
    seen = []
    real = StratifiedGroupKFold.split

    def watched(self, X, y=None, groups=None):
        for train, test in real(self, X, y, groups):
            seen.append(set(groups[train]) & set(groups[test]))
            yield train, test

    monkeypatch.setattr(StratifiedGroupKFold, "split", watched)
    models.fit(models.build("logistic"), models.features("measurements").loc[X.index], y, groups)
    assert len(seen) == 3
    assert not any(seen)


def test_what_is_learned_comes_from_training_rows_alone(some):
    X, y, _ = some
    far = X + 1000
    fitted = models._scaled(components=10).fit(X, y)
    before = fitted.transform(X)
    fitted.transform(far)
    assert np.array_equal(before, fitted.transform(X))
    alone = fitted.transform(X.iloc[:1])
    assert np.allclose(alone, before[:1])  # a row does not depend on the rows beside it


def test_the_majority_baseline_calls_the_commonest_class():
    y = np.array([2, 2, 2, 0, 1, 3])
    model = models.build("majority").fit(np.zeros((6, 1)), y)
    assert models.probabilities(model, np.zeros((1, 1))).round(4).tolist() == [[0.1667, 0.1667, 0.5, 0.1667]]


def _healthy(**changes: float) -> pd.DataFrame:
    row = dict.fromkeys(measure.COLUMNS, 0.0)
    row |= {"heart_rate": 70, "pr_ms": 160, "qrs_ms": 90, "qtc_bazett_ms": 400, "axis_deg": 50, "p_seen": 1.0}
    return pd.DataFrame([row | changes])


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "Normal"),
        ({"st_up_inferior": 1.0}, "MI"),
        ({"st_up_anterior": 1.0, "q_anterior": 1.0}, "MI"),
        ({"q_lateral": 1.0, "heart_rate": 130}, "History_MI"),
        ({"heart_rate": 101}, "Abnormal"),
        ({"heart_rate": 100}, "Normal"),
        ({"t_inverted_lateral": 1.0}, "Abnormal"),
        ({"p_seen": 0.0}, "Abnormal"),
        ({"pr_ms": np.nan}, "Normal"),
    ],
)
def test_the_guideline_baseline_follows_its_rules(changes, label):
    rules = models.build("guideline").fit(None, None)
    p = models.probabilities(rules, _healthy(**changes))
    assert CLASSES[p[0].argmax()] == label
    assert p[0].max() == 0.97


def test_text_and_rate_baselines_see_nothing_else():
    assert list(models.features("heart rate")) == ["printed_rate"]
    assert all(column.startswith("printed_") for column in models.features("printed text"))
    assert models.features("heart rate")["printed_rate"].equals(
        data.pages().set_index("file")["heart_rate"].astype(float).rename("printed_rate")
    )


class Fixed:
    """A classifier that always says the same."""

    def __init__(self, p=(0.25,) * 4):
        self.p = p

    def get_params(self, deep=False):
        return {"p": self.p}

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return np.tile(self.p, (len(X), 1))


def test_the_pool_is_the_geometric_mean_in_favour_of_rare_classes():
    X, y = np.zeros((8, 1)), np.array([0, 1, 2, 2, 2, 2, 3, 3])
    a, b = (0.1, 0.2, 0.3, 0.4), (0.4, 0.3, 0.2, 0.1)
    p = models.LogPool([Fixed(a), Fixed(b)], power=0.5).fit(X, y).predict_proba(X[:1])[0]
    share = np.bincount(y) / 8
    expected = np.sqrt(np.array(a) * np.array(b)) / np.sqrt(share)
    assert np.allclose(p, expected / expected.sum())


def test_unknown_names_are_refused_with_a_hint():
    with pytest.raises(EcgbookError, match="did you mean headline"):
        models.build("headlin")
    with pytest.raises(EcgbookError, match="did you mean beats"):
        models.features("beat")
