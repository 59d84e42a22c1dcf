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
# # Models: from measurements to four probabilities
# Everything so far was measuring; here something is learned. A model is a scikit-learn object with `fit` and
# `predict_proba`, built by name, and everything it learns it learns in `fit`: the medians that fill gaps, the
# scales, the principal components, the shares of the classes, the hyper-parameters. So whoever fits it on training
# pages alone cannot leak a test page, whatever stands inside.

# %%
"""Inputs and models by name: features of the 491 ECGs, classical classifiers, baselines."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from ecgbook import data, measure
from ecgbook.data import CLASSES, EcgbookError
from ecgbook.synth import LEADS

# %% [markdown]
# ## Summaries that a reader of ECGs makes
# A cardiologist does not read 204 numbers one by one but asks of each wall of the heart: how high is ST at most, how
# deep at least, how large is Q? So for six sets of leads the lowest, mean and highest value of seven measurements are
# added, and two ratios that do not depend on how strongly the heart's signal reaches the skin. Nothing here is learned,
# and no label is looked at.

# %%
WALLS = {
    "anterior": ("V1", "V2", "V3", "V4"),
    "septal": ("V1", "V2"),
    "lateral": ("I", "aVL", "V5", "V6"),
    "inferior": ("II", "III", "aVF"),
    "chest": ("V1", "V2", "V3", "V4", "V5", "V6"),
    "all": tuple(lead for lead in LEADS if lead != "aVR"),
}
_SUMMARISED = ("stj_mv", "st60_mv", "t_mv", "q_mv", "q_ms", "r_mv", "s_mv")


def _of_leads(table: pd.DataFrame, leads: Sequence[str], what: str) -> pd.DataFrame:
    return table[[f"{lead}_{what}" for lead in leads]].set_axis(list(leads), axis=1)


def _of_wall(table: pd.DataFrame, wall: str) -> dict[str, pd.Series]:
    """Lowest, mean and highest of each measurement over the leads of a wall, and two ratios."""
    get = {what: _of_leads(table, WALLS[wall], what) for what in _SUMMARISED}
    q_share = get["q_mv"] / (get["q_mv"] + get["r_mv"] + 0.05)  # 0.05 mV: no ratio of two nothings
    t_share = get["t_mv"] / (get["r_mv"] + get["s_mv"] + 0.10)
    out = {f"{wall}_q_share_mean": q_share.mean(axis=1), f"{wall}_q_share_max": q_share.max(axis=1)}
    out[f"{wall}_t_share_mean"] = t_share.mean(axis=1)
    for what, values in get.items():
        out |= {f"{wall}_{what}_{how}": values.agg(how, axis=1) for how in ("min", "mean", "max")}
    return out


def _of_heart(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Sums over all leads, a contrast of opposite walls, the rhythm on a logarithmic scale, angles as points."""
    st = _of_leads(table, LEADS, "stj_mv")
    seen = _of_leads(table, WALLS["all"], "t_mv").drop(columns="V1")
    q_mv, q_ms = _of_leads(table, WALLS["all"], "q_mv"), _of_leads(table, WALLS["all"], "q_ms")
    out = {
        "st_inferior_less_lateral": st[["II", "III", "aVF"]].mean(axis=1) - st[["I", "aVL"]].mean(axis=1),
        "st_departure": st.abs().sum(axis=1),
        "st_up": st.drop(columns="aVR").clip(lower=0).sum(axis=1),
        "qrs_height": (_of_leads(table, LEADS, "r_mv") + _of_leads(table, LEADS, "s_mv")).sum(axis=1),
        "t_inverted_leads": (seen < -0.05).sum(axis=1).astype(float),
        "q_leads": ((q_ms >= 30) & (q_mv >= 0.1)).sum(axis=1).astype(float),
        "qs_leads": (_of_leads(table, WALLS["all"], "r_mv") == 0).sum(axis=1).astype(float),
        "log_rate": np.log(table["heart_rate"]),
        "log_rr_sd": np.log(table["rr_sd_ms"] + 4),  # 4 ms: one sample
        "log_rr_rmssd": np.log(table["rr_rmssd_ms"] + 4),
        "log_rr_variation": np.log(table["rr_sd_ms"] / table["rr_ms"] + 0.005),
        "log_rr_range": np.log(table["rr_range"] + 0.005),
        "log_rr_irregularity": np.log(table["rr_irregularity"] + 0.005),
    }
    for name in ("axis", "t_axis"):
        angle = np.radians(table[f"{name}_deg"])
        out |= {f"{name}_x": np.cos(angle), f"{name}_y": np.sin(angle)}
    return out


def summaries(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise measurements by wall, and over the heart.

    Parameters
    ----------
    table : pandas.DataFrame
        The columns of :data:`ecgbook.measure.COLUMNS`, one row an ECG; NaN where not measured.

    Returns
    -------
    pandas.DataFrame
        Same index; for each wall of :data:`WALLS` and each of seven measurements the minimum, mean and maximum,
        and sums, contrasts, logarithms and sines; NaN where nothing was measured.

    Examples
    --------
    >>> table = measure.measurements().head(2)
    >>> bool((summaries(table)["inferior_stj_mv_max"] >= table["III_stj_mv"]).all())
    True
    """
    columns = {name: values for wall in WALLS for name, values in _of_wall(table, wall).items()}
    return pd.DataFrame(columns | _of_heart(table), index=table.index)


# %% [markdown]
# ## The inputs
# One row for each distinct ECG, columns by name. *Beats* are the median beats of the twelve leads, averaged over 16 ms:
# the pages hold nothing above 25 Hz, and 56 points a lead suffice. What is *printed* on the page beside the traces
# (rate, sex, "lead off", the date as scan batch) stays out of every model but the baselines that use nothing else.
#
# *All but heart rate* asks what is left when rate is taken away. It drops the rate, all RR intervals in ms and the QT
# intervals, and keeps how irregular the rhythm is. It cannot drop what a fast heart does to the shape of a beat.

# %%
_POINTS = 4  # samples at 250 Hz that are averaged into one point


def _beats() -> pd.DataFrame:
    files, beats = measure.median_beats()
    n_points = beats.shape[2] // _POINTS
    points = np.nan_to_num(beats[:, :, : n_points * _POINTS]).reshape(
        len(beats), len(LEADS), n_points, _POINTS
    )
    names = [f"beat_{lead}_{point:02d}" for lead in LEADS for point in range(n_points)]
    return pd.DataFrame(points.mean(axis=3).reshape(len(beats), -1).astype(float), index=files, columns=names)


def _printed() -> pd.DataFrame:
    pages = data.pages().set_index("file")
    columns = {
        "printed_rate": pages["heart_rate"].astype(float),
        "printed_female": (pages["sex"] == "Female").astype(float),
        "printed_lead_off": pages["lead_off"].astype(float),
    }
    columns |= {
        f"printed_{batch}": (pages["batch"] == batch).astype(float) for batch in ("2019", "2020a", "2020b")
    }
    return pd.DataFrame(columns)


_RATE = ("beats", "heart_rate", "rr_ms", "rr_median_ms", "rr_sd_ms", "rr_rmssd_ms", "qt_ms", "qtc_bazett_ms")
_RATE = (*_RATE, "qtc_fridericia_ms", "log_rate", "log_rr_sd", "log_rr_rmssd")


def _kind(name: str) -> str:
    """Say whether a column is a point of a beat, printed, or (else) a measurement."""
    prefix = name.split("_")[0]
    return prefix if prefix in ("beat", "printed") else "measurement"


#: Name of an input -> does a column belong to it?
INPUTS: dict[str, Callable[[str], bool]] = {
    "all": lambda name: _kind(name) != "printed",
    "measurements": lambda name: _kind(name) == "measurement",
    "beats": lambda name: _kind(name) == "beat",
    "all but heart rate": lambda name: _kind(name) != "printed" and name not in _RATE,
    "heart rate": lambda name: name == "printed_rate",
    "printed text": lambda name: _kind(name) == "printed",
}


@lru_cache(maxsize=1)
def _columns() -> pd.DataFrame:
    table = measure.measurements().set_index("file")
    return pd.concat(
        [table, summaries(table), _beats().loc[table.index], _printed().loc[table.index]], axis=1
    )


def features(name: str) -> pd.DataFrame:
    """Collect the columns of an input for the 491 distinct ECGs.

    Parameters
    ----------
    name : str
        One of :data:`INPUTS`.

    Returns
    -------
    pandas.DataFrame
        Index: file names of the distinct pages; columns: floats, NaN where not measured. A copy, yours to change.

    Raises
    ------
    EcgbookError
        If there is no such input.

    Examples
    --------
    >>> features("beats").shape
    (491, 672)
    >>> list(features("heart rate"))
    ['printed_rate']
    """
    belongs = INPUTS[_known(name, INPUTS, "input")]
    table = _columns()
    return table[[column for column in table if belongs(column)]].copy()


def _known(name: str, names: Sequence[str] | dict, what: str) -> str:
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
        raise EcgbookError(
            f"{name}: no such {what}; {'did you mean ' + near[0] if near else 'use ' + ', '.join(names)}"
        )
    return name


# %% [markdown]
# ## Preparing columns
# Linear models and support vector machines need columns on one scale. Measurements are filled by the median, scaled,
# and bent softly, {math}`3 \tanh(z / 3)`, so that a single absurd value counts as three standard deviations at most.
# Beats become principal components of equal variance: directions in which beats differ, the largest first. Trees need
# none of this but the filling.


# %%
def _bend(z: np.ndarray) -> np.ndarray:
    return 3 * np.tanh(z / 3)


def _filled():
    from sklearn.impute import SimpleImputer

    return SimpleImputer(strategy="median", keep_empty_features=True)


def _measured(names: pd.DataFrame) -> list[str]:
    return [name for name in names if _kind(name) != "beat"]


def _of_beats(names: pd.DataFrame) -> list[str]:
    return [name for name in names if _kind(name) == "beat"]


def _plain(names: pd.DataFrame) -> list[str]:
    """Measurements as `measure` gives them, without the summaries."""
    return [name for name in names if name in measure.COLUMNS]


def _scaled(columns: Callable = _measured, components: int = 60):
    """Scale and bend the chosen measurements, reduce the beats; leave out what is not there."""
    from sklearn.compose import ColumnTransformer
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    bent = make_pipeline(_filled(), StandardScaler(), FunctionTransformer(_bend))
    reduced = PCA(components, whiten=True, random_state=0)
    return ColumnTransformer([("measured", bent, columns), ("beats", reduced, _of_beats)])


def _only(columns: Callable):
    from sklearn.compose import ColumnTransformer

    return ColumnTransformer([("measured", _filled(), columns)])


# %% [markdown]
# ## Five classifiers
# Each is a pipeline and a small grid. The grid is searched by three-fold cross-validation *inside* the training pages,
# groups kept together, by log loss; the test pages have no part in it. This nesting is the price of an honest choice.


# %%
def _logistic(seed: int):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=0.03, max_iter=3000, random_state=seed)


def _svm(seed: int, gamma: float | str = 0.002):
    """One machine a class; a sigmoid, fitted on held-out parts of the training rows, turns margins into chances."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import SVC

    machine = SVC(C=3, gamma=gamma, random_state=seed)
    return OneVsRestClassifier(CalibratedClassifierCV(machine, ensemble=False, cv=5))


def _forest(seed: int):
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(300, max_features=0.1, random_state=seed)


def _extra_trees(seed: int):
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(
        400, max_features=0.3, min_samples_leaf=2, class_weight="balanced", random_state=seed
    )


def _xgboost(seed: int, trees: int = 300):
    from xgboost import XGBClassifier

    return XGBClassifier(
        n_estimators=trees,
        max_depth=4,
        learning_rate=0.08,
        subsample=0.8,
        colsample_bytree=0.1,
        tree_method="hist",
        n_jobs=1,
        random_state=seed,
    )


_GRIDS = {
    "logistic": (_logistic, {"C": [0.01, 0.03, 0.1]}),
    "svm": (lambda seed: _svm(seed, "scale"), {"estimator__estimator__C": [1, 3, 10]}),
    "forest": (_forest, {"max_features": [0.05, 0.2]}),
    "extra trees": (_extra_trees, {"max_features": [0.1, 0.4]}),
    "xgboost": (lambda seed: _xgboost(seed, trees=150), {"max_depth": [2, 4]}),
}


def _nested(name: str, seed: int):
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import Pipeline

    build, grid = _GRIDS[name]
    steps = Pipeline([("scale", _scaled()), ("model", build(seed))])
    inner = StratifiedGroupKFold(3, shuffle=True, random_state=seed)
    return GridSearchCV(
        steps,
        {f"model__{key}": values for key, values in grid.items()},  # type: ignore[attr-defined]
        scoring="neg_log_loss",
        cv=inner,
    )


# %% [markdown]
# ## The pool
# Models that err differently are better together. The pool averages the *logarithms* of its members' probabilities and
# scales the result to sum to 1: a member that calls a class nearly impossible is heard, which a plain average would
# drown. With {math}`\pi_k` the share of class {math}`k` among the training pages, {math}`m` members and
# {math}`p_{ik}` what member {math}`i` says,
#
# $$
# p_k \propto \pi_k^{-a} \left( \prod_{i=1}^{m} p_{ik} \right)^{1/m}.
# $$
#
# The first factor speaks for rare classes. With {math}`a = 0` the most probable class is called and accuracy is served
# best; with {math}`a = 1` all classes count alike, as if each were equally common. Only 6 % of the ECGs are MI, and
# both accuracy and macro-F1 are asked for, so {math}`a` lies between.


# %%
class LogPool(ClassifierMixin, BaseEstimator):
    """Geometric mean of the probabilities of several classifiers, in favour of rare classes.

    Parameters
    ----------
    members : sequence of classifiers
        Each with ``fit`` and ``predict_proba``; cloned before they are fitted.
    power : float, default 0
        Exponent `a` of the class shares: 0 leaves the probabilities alone, 1 makes all classes equally common.

    Attributes
    ----------
    classes_ : (c,) array
        The classes seen.
    members_ : list
        The fitted members.
    weights_ : (c,) array
        Share of each class in the training set, to the power of minus `power`.

    References
    ----------
    C. Genest and J. V. Zidek, "Combining probability distributions: a critique and an annotated bibliography",
    Statistical Science 1, 1986 (the logarithmic opinion pool).

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> pool = LogPool([DummyClassifier(strategy="prior")], power=1).fit(np.zeros((4, 1)), [0, 0, 0, 1])
    >>> pool.predict_proba(np.zeros((1, 1)))
    array([[0.5, 0.5]])
    """

    def __init__(self, members: Sequence, power: float = 0.0):
        self.members = members
        self.power = power

    def fit(self, X, y) -> LogPool:
        """Fit every member on the same rows, and count the classes."""
        self.classes_, counts = np.unique(y, return_counts=True)
        self.members_ = [clone(member).fit(X, y) for member in self.members]
        self.weights_ = (counts / counts.sum()) ** -self.power
        return self

    def predict_proba(self, X) -> np.ndarray:
        """Return probabilities (n, c); no member may call anything less likely than 1 in 10,000."""
        logs = [np.log(np.maximum(member.predict_proba(X), 1e-4)) for member in self.members_]
        p = np.exp(np.mean(logs, axis=0)) * self.weights_
        return p / p.sum(axis=1, keepdims=True)

    def predict(self, X) -> np.ndarray:
        """Return the most probable class of each row."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


# %% [markdown]
# ## The headline
# Four members, each given the columns it uses best: a support vector machine and a logistic regression see beats and
# measurements, extra trees and XGBoost the measurements and their summaries. Its settings are fixed; how they were
# chosen stands in `book/results/headline.json`, committed before the first outer fold was scored.


# %%
def _headline(seed: int) -> LogPool:
    from sklearn.pipeline import make_pipeline

    members = [
        make_pipeline(_scaled(_plain), _svm(seed)),
        make_pipeline(_scaled(), _logistic(seed)),
        make_pipeline(_only(_measured), _extra_trees(seed)),
        make_pipeline(_only(_measured), _xgboost(seed)),
    ]
    return LogPool(members, power=0.3)


# %% [markdown]
# ## Baselines: what is to be beaten
# The majority class, and a small boosted model that sees one number (the printed heart rate) or the printed text. And
# the guidelines, without learning: *MI* if ST is elevated in contiguous leads; else *History_MI* if there are
# pathological Q waves; else *Abnormal* if anything else lies outside its usual limits; else *Normal*. The criteria are
# those of the Universal Definition as `measure` computes them; the limits are the textbook's. Rules give no
# probabilities, so the class called gets 0.97 and the others 0.01 each, which only log loss and AUC notice.

# %%
#: Usual limits in adults: rate 1/min, intervals ms, axis degrees, voltages mV, irregularity a share of RR.
LIMITS = {
    "heart_rate": (60, 100),
    "pr_ms": (120, 200),
    "qrs_ms": (0, 120),
    "qtc_bazett_ms": (0, 450),
    "axis_deg": (-30, 90),
    "sokolow_lyon_mv": (0, 3.5),
    "cornell_mv": (0, 2.8),
    "rr_irregularity": (0, 0.1),
    "premature": (0, 0),
    "ectopic": (0, 0),
}


class Guideline(ClassifierMixin, BaseEstimator):
    """Rules of thumb on measurements; `fit` learns nothing.

    Examples
    --------
    >>> rules = Guideline().fit(None, None)
    >>> table = features("measurements").loc[["Normal(6).jpg", "Normal(7).jpg"]]
    >>> rules.predict_proba(table).shape
    (2, 4)
    """

    def fit(self, X, y=None) -> Guideline:
        """Do nothing: the rules are fixed."""
        self.classes_ = np.arange(len(CLASSES))
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the class (0 to 3) that the rules call for each row of measurements."""
        st_up, q, st_down, t_inverted = (_met(X, sign) for sign in ("st_up", "q", "st_down", "t_inverted"))
        odd = [(X[name] < low) | (X[name] > high) for name, (low, high) in LIMITS.items()]
        abnormal = st_down | t_inverted | np.any(odd, axis=0) | X["p_seen"].eq(0)
        return np.select([st_up, q, abnormal], [0, 1, 2], 3)

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return 0.97 for the class called, 0.01 for each other."""
        return np.where(np.eye(len(CLASSES))[self.predict(X)] == 1, 0.97, 0.01)


def _met(X: pd.DataFrame, sign: str) -> pd.Series:
    """Say for each row whether a sign is met in any territory."""
    return X[[f"{sign}_{wall}" for wall in measure.TERRITORIES]].eq(1).any(axis=1)


def _majority(seed: int):
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior")


def _small_boost(seed: int):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=6, learning_rate=0.05, random_state=seed
    )


# %% [markdown]
# ## Models by name
# Adding a model is adding a line: a function that takes a seed and returns something with `fit` and `predict_proba`.

# %%
#: Name of a model -> function of a seed that returns it, not fitted.
MODELS: dict[str, Callable] = {
    "majority": _majority,
    "boosting": _small_boost,
    "guideline": lambda seed: Guideline(),
    **{name: (lambda seed, name=name: _nested(name, seed)) for name in _GRIDS},
    "headline": _headline,
}


def build(name: str, seed: int = 0):
    """Build a model, not fitted.

    Parameters
    ----------
    name : str
        One of :data:`MODELS`.
    seed : int, default 0
        Seed of all that is drawn while fitting.

    Returns
    -------
    classifier
        With ``fit`` and ``predict_proba``.

    Raises
    ------
    EcgbookError
        If there is no such model.

    Examples
    --------
    >>> type(build("majority")).__name__
    'DummyClassifier'
    """
    return MODELS[_known(name, MODELS, "model")](seed)


def fit(model, X: pd.DataFrame, y: np.ndarray, groups: np.ndarray):
    """Fit a model on training rows alone; a model that searches a grid keeps groups together while it does.

    Parameters
    ----------
    model : classifier
        From :func:`build`, or any other.
    X : pandas.DataFrame
        Training rows.
    y : (n,) int array
        Classes, numbered as in :data:`ecgbook.data.CLASSES`.
    groups : (n,) array
        Rows with equal values stay together.

    Returns
    -------
    classifier
        The same object, fitted.
    """
    from sklearn.model_selection import GridSearchCV

    return model.fit(X, y, groups=groups) if isinstance(model, GridSearchCV) else model.fit(X, y)


def probabilities(model, X: pd.DataFrame) -> np.ndarray:
    """Return the probabilities (n, 4) of a fitted model in the order of the classes, 0 for a class it never saw."""
    p = np.zeros((len(X), len(CLASSES)))
    p[:, model.classes_] = model.predict_proba(X)
    return p
