# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Hybrid: features of a network, then a classical classifier
# The paper's best model is no network but a support vector machine on what a network sees: take the last layer off,
# freeze the rest, let it turn each page into a thousand features, compress these by principal components, and hand
# them to a classifier that was made for small data. Three such classifiers are compared, each tuned by a grid search
# inside the training pages.

# %%
"""Features from a frozen network, PCA, then SVM, random forest or XGBoost."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ecgbook import data, inputs, models, networks
from ecgbook.data import EcgbookError, writing

# %% [markdown]
# ## Three classifiers behind PCA
# Features are standardised, so that none counts more for its unit; the principal components keep the directions in
# which pages differ most. How many components, and how the classifier is set, is chosen by three-fold
# cross-validation by log loss. Under `grouped` the inner folds keep groups together too.

# %%
_GRIDS: dict[str, tuple[Callable, dict[str, list]]] = {
    "pca svm": (
        lambda seed: models._svm(seed, "scale"),
        {"pca__n_components": [50, 100], "model__estimator__estimator__C": [1, 10, 100]},
    ),
    "pca forest": (
        lambda seed: models._forest(seed),
        {"pca__n_components": [50, 100], "model__max_features": [0.1, 0.3]},
    ),
    "pca xgboost": (
        lambda seed: models._xgboost(seed, trees=150),
        {"pca__n_components": [50, 100], "model__max_depth": [2, 4]},
    ),
}


def pipeline(name: str, seed: int = 0):
    """Standardise, PCA, classify: with default settings, not tuned.

    Parameters
    ----------
    name : str
        One of :data:`MODELS`.
    seed : int
        Of PCA's solver and the classifier.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Steps ``scale``, ``pca``, ``model``.

    Raises
    ------
    EcgbookError
        No such model.

    Examples
    --------
    >>> list(pipeline("pca svm").named_steps)
    ['scale', 'pca', 'model']
    """
    from sklearn.decomposition import PCA
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    build, _ = _GRIDS[models._known(name, _GRIDS, "hybrid model")]
    compress = PCA(100, svd_solver="covariance_eigh", random_state=seed)
    return Pipeline([("scale", StandardScaler()), ("pca", compress), ("model", build(seed))])


def build(name: str, seed: int = 0):
    """Build a hybrid's classifier with its grid search, not fitted.

    Parameters
    ----------
    name : str
        One of :data:`MODELS`.
    seed : int
        Of all that is drawn while fitting.

    Returns
    -------
    sklearn.model_selection.GridSearchCV
        Over :func:`pipeline`; give ``groups`` to ``fit``.

    Raises
    ------
    EcgbookError
        No such model.

    Notes
    -----
    The chapter "Hybrid models" introduces it.

    Examples
    --------
    >>> sorted(build("pca svm").param_grid)
    ['model__estimator__estimator__C', 'pca__n_components']
    """
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

    inner = StratifiedGroupKFold(3, shuffle=True, random_state=seed)
    steps = pipeline(name, seed)
    return GridSearchCV(steps, _GRIDS[name][1], scoring="neg_log_loss", cv=inner)


#: Names of the hybrids' classifiers.
MODELS = tuple(_GRIDS)

# %% [markdown]
# ## Features that come with the package
# EfficientNet-Lite0 with its ImageNet weights has never seen an ECG. Its features of the paper's page are carried for
# the 491 distinct pages, in 16-bit floating point, so that transfer learning can be studied offline.

# %%
CARRIED = "lite0_features.npy"


def _frame(values: np.ndarray) -> pd.DataFrame:
    names = [f"f{k}" for k in range(values.shape[1])]
    return pd.DataFrame(values.astype(np.float32), index=data.pages()["file"].to_numpy(), columns=names)


@lru_cache(maxsize=1)
def _carried() -> np.ndarray:
    return np.load(data.tables() / CARRIED, allow_pickle=False)


def lite0_features() -> pd.DataFrame:
    """Features of the frozen EfficientNet-Lite0 for the 491 distinct pages.

    Returns
    -------
    pandas.DataFrame of float32
        Index: file names of the distinct pages; 1,280 columns.

    Examples
    --------
    >>> lite0_features().shape
    (491, 1280)
    """
    return _frame(_carried())


def stored_features(path: Path, repeat: int, fold: int) -> pd.DataFrame:
    """Features that a network left when its fold was finished.

    Parameters
    ----------
    path : pathlib.Path
        ``features.npz`` of a run.
    repeat, fold : int
        Which of its networks.

    Returns
    -------
    pandas.DataFrame of float32
        Index: file names of the distinct pages.

    Raises
    ------
    EcgbookError
        The run left no features, or none of this fold, or the file is damaged.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as store:
            values = store[f"{repeat}-{fold}"]
    except (FileNotFoundError, KeyError) as error:
        raise EcgbookError(
            f"{path}: holds no features of repeat {repeat}, fold {fold}; run that study first"
        ) from error
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise EcgbookError(f"{path}: is damaged; remove the folder and run that study again") from error
    if values.ndim != 2 or len(values) != len(data.pages()):
        raise EcgbookError(
            f"{path}: has features of shape {values.shape}, not one row for each of {len(data.pages())} pages; "
            "remove the folder and run that study again"
        )
    return _frame(values)


def rebuild(folder: Path | None = None, cache_dir: Path | None = None) -> Path:
    """Compute the carried features again, from the real pages.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where to write; by default the package's tables.
    cache_dir : pathlib.Path, optional
        As in :func:`ecgbook.preprocess.arrays`.

    Returns
    -------
    pathlib.Path
        The file written: float16, (491, 1280).
    """
    network = networks.build("efficientnet-lite0", "imagenet")
    values = networks.embed(network, inputs.pixels("page", data.pages(), cache_dir)).astype(np.float16)
    path = (data.tables() if folder is None else folder) / CARRIED
    with writing(path) as part, open(part, "wb") as stream:
        np.save(stream, values)
    return path
