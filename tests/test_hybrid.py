"""Features of a frozen network, then PCA and a classifier: steps, grids, groups, stored features."""

import numpy as np
import pandas as pd
import pytest

from ecgbook import data, hybrid, inputs, models, networks
from ecgbook.data import CLASSES, EcgbookError


@pytest.fixture(scope="module")
def some():
    """Lite0's features of a few pages of each class, their class numbers and groups."""
    pages = data.pages().groupby("label", sort=False).head(45)
    y = pages["label"].map({label: k for k, label in enumerate(CLASSES)}).to_numpy()
    return hybrid.lite0_features().loc[pages["file"]], y, pages["group"].to_numpy()


def fast(monkeypatch, grid: dict) -> None:
    """The same models with another grid."""
    for name, (build, _) in hybrid._GRIDS.items():
        monkeypatch.setitem(hybrid._GRIDS, name, (build, grid))


def test_the_three_of_the_paper():
    assert hybrid.MODELS == ("pca svm", "pca forest", "pca xgboost")


@pytest.mark.parametrize("name", hybrid.MODELS)
def test_steps_and_grid(name):
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    steps = hybrid.pipeline(name, seed=3).named_steps
    assert list(steps) == ["scale", "pca", "model"]
    assert isinstance(steps["scale"], StandardScaler)
    assert isinstance(steps["pca"], PCA)
    search = hybrid.build(name, seed=3)
    assert search.scoring == "neg_log_loss"
    assert search.cv.n_splits == 3
    assert search.cv.random_state == 3
    assert len(search.param_grid) == 2
    for setting, values in search.param_grid.items():
        assert setting in search.estimator.get_params(), "the grid turns a screw that is there"
        assert len(values) > 1


def test_unknown_models_suggest_a_near_one():
    for make in (hybrid.pipeline, hybrid.build):
        with pytest.raises(EcgbookError, match="pca swm: no such hybrid model; did you mean pca svm"):
            make("pca swm")


@pytest.mark.parametrize("name", hybrid.MODELS)
def test_a_fitted_hybrid_gives_probabilities_better_than_chance(name, some, monkeypatch):
    X, y, groups = some
    fast(monkeypatch, {"pca__n_components": [20]})
    held = np.arange(len(X)) % 5 == 0
    model = models.fit(hybrid.build(name), X[~held], y[~held], groups[~held])
    p = models.probabilities(model, X[held])
    assert p.shape == (held.sum(), 4)
    assert np.allclose(p.sum(axis=1), 1, atol=1e-5)
    assert (p.argmax(axis=1) == y[held]).mean() > 0.35, "a quarter is chance"
    again = models.fit(hybrid.build(name), X[~held], y[~held], groups[~held])
    assert np.allclose(models.probabilities(again, X[held]), p, atol=1e-6), "seeded"


def test_the_grid_search_keeps_groups_together_and_learns_scale_and_pca_inside(some, monkeypatch):
    from sklearn.decomposition import PCA
    from sklearn.model_selection import StratifiedGroupKFold

    X, y, groups = some
    fast(monkeypatch, {"pca__n_components": [5, 10]})
    shared, fitted_on = [], []
    split, fit_pca = StratifiedGroupKFold.split, PCA.fit_transform

    def watched_split(self, X, y=None, groups=None):
        for train, test in split(self, X, y, groups):
            shared.append(set(groups[train]) & set(groups[test]))
            yield train, test

    def watched_pca(self, X, y=None):
        fitted_on.append(len(X))
        return fit_pca(self, X, y)

    monkeypatch.setattr(StratifiedGroupKFold, "split", watched_split)
    monkeypatch.setattr(PCA, "fit_transform", watched_pca)
    search = models.fit(hybrid.build("pca svm"), X, y, groups)
    assert shared == [set(), set(), set()]
    assert fitted_on[-1] == len(X), "in the end on all that was given"
    assert max(fitted_on[:-1]) < 0.8 * len(X), "before that on the inner folds alone"
    scores = search.cv_results_["mean_test_score"]
    assert search.best_params_ == search.cv_results_["params"][int(np.argmax(scores))]


# --- carried features ---


def test_the_carried_features():
    features = hybrid.lite0_features()
    assert features.shape == (491, 1280)
    assert features.index.tolist() == data.pages()["file"].tolist()
    assert (features.dtypes == np.float32).all()
    assert np.isfinite(features.to_numpy()).all()
    assert (features.std() > 0).mean() > 0.5, "a page is no photograph: some features stay nought"
    stored = np.load(data.tables() / hybrid.CARRIED, allow_pickle=False)
    assert stored.dtype == np.float16
    features.iloc[0, 0] = 99  # the caller's own copy
    assert hybrid.lite0_features().iloc[0, 0] != 99


def test_lite0_says_something_about_the_class(some):
    """Far from the number of the book: a simple classifier, pages of some groups held out."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y, groups = some
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    assert cross_val_score(model, X, y, groups=groups, cv=GroupKFold(3)).mean() > 0.4


def test_the_carried_features_are_those_of_the_real_pages(eicp, tmp_path):
    pages = data.pages().iloc[[0, 200, 450]]
    network = networks.build("efficientnet-lite0", "imagenet")
    made = networks.embed(network, inputs.pixels("page", pages, tmp_path))
    carried = hybrid.lite0_features().loc[pages["file"]].to_numpy()
    assert np.allclose(made, carried, rtol=2e-3, atol=2e-3)


def test_rebuild_writes_whole(monkeypatch, tmp_path):
    """With few features in place of a network's: what is tested is the writing."""
    values = np.random.default_rng(0).normal(size=(491, 1280)).astype(np.float32)
    seen = []
    monkeypatch.setattr(networks, "build", lambda *given: given)
    monkeypatch.setattr(inputs, "pixels", lambda name, files, cache_dir: (name, len(files)))
    monkeypatch.setattr(networks, "embed", lambda network, shown: seen.append((network, shown)) or values)
    path = hybrid.rebuild(tmp_path)
    assert path == tmp_path / hybrid.CARRIED
    assert seen == [(("efficientnet-lite0", "imagenet"), ("page", 491))]
    before = path.read_bytes()
    assert np.array_equal(np.load(path, allow_pickle=False), values.astype(np.float16))

    def full(stream, *_):
        stream.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(EcgbookError, match=r"cannot be written \(no space left on device\)"):
        hybrid.rebuild(tmp_path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [hybrid.CARRIED]


# --- features that a run left ---


@pytest.fixture
def left(tmp_path):
    path = tmp_path / "features.npz"
    rng = np.random.default_rng(0)
    np.savez_compressed(
        path, **{f"0-{fold}": rng.normal(size=(491, 6)).astype(np.float16) for fold in (0, 1)}
    )
    return path


def test_stored_features_come_back_as_they_were(left):
    one, two = (hybrid.stored_features(left, 0, fold) for fold in (0, 1))
    assert one.index.tolist() == data.pages()["file"].tolist()
    assert list(one) == ["f0", "f1", "f2", "f3", "f4", "f5"]
    assert (one.dtypes == np.float32).all()
    with np.load(left) as store:
        assert np.array_equal(one.to_numpy(), store["0-0"].astype(np.float32))
        assert np.array_equal(two.to_numpy(), store["0-1"].astype(np.float32))


def test_features_that_are_not_there(left, tmp_path):
    for path, fold in ((left, 2), (tmp_path / "absent.npz", 0)):
        with pytest.raises(
            EcgbookError, match=rf"holds no features of repeat 0, fold {fold}; run that study first"
        ):
            hybrid.stored_features(path, 0, fold)


@pytest.mark.parametrize("damage", ["cut", "flipped", "garbage", "empty", "one array"])
def test_damaged_features_are_told(left, damage):
    content = bytearray(left.read_bytes())
    content[len(content) // 4] ^= 0xFF
    made = {
        "cut": left.read_bytes()[:-50],
        "flipped": bytes(content),
        "garbage": b"nothing of the kind",
        "empty": b"",
    }
    if damage == "one array":
        with open(left, "wb") as stream:
            np.save(stream, np.zeros(3))
    else:
        left.write_bytes(made[damage])
    with pytest.raises(EcgbookError, match=r"features.npz: is damaged; remove the folder"):
        hybrid.stored_features(left, 0, 0)


def test_features_of_other_pages_are_refused(left):
    np.savez_compressed(left, **{"0-0": np.zeros((490, 6), np.float16)})
    with pytest.raises(
        EcgbookError, match=r"has features of shape \(490, 6\), not one row for each of 491 pages"
    ):
        hybrid.stored_features(left, 0, 0)


def test_no_pickle_is_loaded_from_features(left):
    np.savez(left, **{"0-0": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(EcgbookError, match="is damaged"):
        hybrid.stored_features(left, 0, 0)


def test_a_frame_of_features_serves_the_copies_too(left):
    """The study asks by first copy; every file of the data set finds its row."""
    features, files = hybrid.stored_features(left, 0, 0), data.files()
    rows = features.loc[files["first_copy"]]
    assert len(rows) == 928
    assert isinstance(rows, pd.DataFrame)
