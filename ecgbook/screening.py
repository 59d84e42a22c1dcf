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
# # Screening: what an area under a curve does not say
# To screen is to look for a condition in people who did not come because of it. A score that ranks people well is where
# screening begins. What decides is how rare the condition is, what a false alarm costs, whether the answer that the
# score is judged by is worth anything, and whether enough people were looked at to know. This module holds the
# arithmetic, the textbook criteria of a long QT and of a thick left ventricle, and two small runs on LUDB.
#
# All of it is exploratory: none of it is in the pre-registration ([](../book/beyond/preregistration.md)), and the
# stored runs say so.

# %%
"""Sensitivity, predictive values, net benefit, power; criteria of QT, hypertrophy and fibrillation; stored runs."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from ecgbook import beats, data, elsewhere, evaluate, ludb, measure, models, publish, study
from ecgbook.data import EcgbookError, write_whole
from ecgbook.synth import LEADS, Record

# %% [markdown]
# ## Yes or no
# Of those who have the condition a test flags a share, the *sensitivity*; of those who have not it leaves a share in
# peace, the *specificity*. Both are shares of counts, so their intervals are exact.


# %%
def rates(flagged: np.ndarray, present: np.ndarray) -> dict[str, float]:
    """Count what a yes-or-no test finds and what it leaves in peace.

    Parameters
    ----------
    flagged, present : (n,) bool arrays
        What the test says, and what is so; at least one of each kind is present and absent.

    Returns
    -------
    dict
        ``found`` of ``cases``, ``sensitivity``, ``sensitivity_low``, ``sensitivity_high``; ``spared`` of ``others``,
        ``specificity``, ``specificity_low``, ``specificity_high`` (exact 95 % intervals).

    Examples
    --------
    >>> found = rates(np.array([True, False, True, False]), np.array([True, True, False, False]))
    >>> found["sensitivity"], found["spared"]
    (0.5, 1)
    """
    flagged, present = np.asarray(flagged, bool), np.asarray(present, bool)
    found, cases = int((flagged & present).sum()), int(present.sum())
    spared, others = int((~flagged & ~present).sum()), int((~present).sum())
    out = {"found": found, "cases": cases, "spared": spared, "others": others}
    for name, k, n in (("sensitivity", found, cases), ("specificity", spared, others)):
        low, high = evaluate.exact_interval(k, n)
        out |= {name: k / n, f"{name}_low": low, f"{name}_high": high}  # type: ignore[dict-item]
    return out  # type: ignore[return-value]


def drawn_rates(
    flagged: np.ndarray, present: np.ndarray, replicates: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw people anew, and compute sensitivity and specificity each time.

    Parameters
    ----------
    flagged, present : (n,) bool arrays
    replicates, seed : int

    Returns
    -------
    sensitivity, specificity : two (replicates,) arrays
        NaN in a replicate without cases, or without others.

    Examples
    --------
    >>> sensitivity, _ = drawn_rates(np.array([True, True]), np.array([True, False]), 4)
    >>> bool((sensitivity[np.isfinite(sensitivity)] == 1).all())
    True
    """
    flagged, present = np.asarray(flagged, bool), np.asarray(present, bool)
    drawn = evaluate.draw(len(present), replicates, seed).astype(float)
    found, spared = drawn @ (flagged & present), drawn @ (~flagged & ~present)
    return evaluate._ratio(found, drawn @ present), evaluate._ratio(spared, drawn @ ~present)


# %% [markdown]
# ## From the test's side to the person's side
# Nobody who is flagged asks for the sensitivity. They ask how likely it is that they have the condition. With
# {math}`\pi` the prevalence, {math}`s` the sensitivity and {math}`c` the specificity,
#
# $$
# \text{PPV} = \frac{\pi s}{\pi s + (1 - \pi)(1 - c)}, \qquad
# \text{NPV} = \frac{(1 - \pi) c}{(1 - \pi) c + \pi (1 - s)},
# $$
#
# and to find one case {math}`1 / (\pi s)` people are screened.


# %%
def predictive(sensitivity, specificity, prevalence) -> dict[str, np.ndarray]:
    """Compute what an answer means at a prevalence.

    Parameters
    ----------
    sensitivity, specificity, prevalence : float or array
        Shares; arrays are combined element by element.

    Returns
    -------
    dict
        ``ppv``, ``npv``, ``screened`` (people screened to find one case) and ``false_alarms`` for each case found;
        infinite or NaN where nothing is found or flagged.

    Examples
    --------
    >>> {name: round(float(value), 2) for name, value in predictive(0.9, 0.9, 0.01).items()}
    {'ppv': 0.08, 'npv': 1.0, 'screened': 111.11, 'false_alarms': 11.0}
    """
    s, c, pi = (np.asarray(value, float) for value in (sensitivity, specificity, prevalence))
    true, false = pi * s, (1 - pi) * (1 - c)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "ppv": true / (true + false),
            "npv": (1 - pi) * c / ((1 - pi) * c + pi * (1 - s)),
            "screened": 1 / true,
            "false_alarms": false / true,
        }


# %% [markdown]
# ## Ranking
# The area under the ROC curve (AUC) needs no threshold, and no prevalence. Its interval resamples people, and so does
# that of the difference of two scores on the same people.


# %%
def _areas(scores: np.ndarray, present: np.ndarray, replicates: int, seed: int) -> tuple[float, np.ndarray]:
    scores, present = np.asarray(scores, float), np.asarray(present, bool)
    weights = np.vstack([np.ones(len(scores)), evaluate.draw(len(scores), replicates, seed)])
    areas = evaluate._auc(scores, present, weights.astype(np.float32))
    return float(areas[0]), areas[1:]


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def auc(scores: np.ndarray, present: np.ndarray, replicates: int = 2000) -> tuple[float, float, float]:
    """Area under the ROC curve with a 95 % interval that resamples people.

    Parameters
    ----------
    scores : (n,) array
        Higher where the condition is likelier; no NaN.
    present : (n,) bool array
    replicates : int

    Returns
    -------
    tuple of three floats
        Estimate, lower and upper limit.

    Examples
    --------
    >>> auc(np.array([1, 2, 3, 4, 5, 6]), np.array([0, 0, 0, 1, 1, 1]))
    (1.0, 1.0, 1.0)
    """
    area, again = _areas(scores, present, replicates, 0)
    return area, *_limits(again)


def auc_difference(
    a: np.ndarray, b: np.ndarray, present: np.ndarray, replicates: int = 2000
) -> tuple[float, float, float]:
    """AUC of one score less that of another on the same people, with a 95 % interval.

    Examples
    --------
    >>> scores = np.array([1, 2, 3, 4, 5, 6])
    >>> auc_difference(scores, -scores, np.array([0, 0, 0, 1, 1, 1]))
    (1.0, 1.0, 1.0)
    """
    (one, again), (two, too) = (_areas(scores, present, replicates, 0) for scores in (a, b))
    return one - two, *_limits(again - too)


# %% [markdown]
# ## Is it worth acting on?
# A person who would act at a risk of one in ten accepts nine false alarms for one case found. So at a threshold
# {math}`t` a false alarm costs {math}`t / (1 - t)` of what a case found is worth, and the *net benefit* is
#
# $$
# \pi s_t - (1 - \pi)(1 - c_t) \frac{t}{1 - t}.
# $$
#
# It is compared with flagging everybody ({math}`s = 1`, {math}`c = 0`) and nobody (0). Where cases are rarer than in
# the sample, the odds of every risk are multiplied by the ratio of the odds of the prevalences first: that is right if
# cases elsewhere look like cases here, and the others like the others, which a screening study would have to show.


# %%
def moved(p: np.ndarray, before: float, after: float) -> np.ndarray:
    """Move risks from one prevalence to another.

    Parameters
    ----------
    p : array
        Risks, 0 to 1.
    before, after : float
        Prevalences.

    Returns
    -------
    array

    Examples
    --------
    >>> round(float(moved(np.array(0.5), 0.5, 0.1)), 3)
    0.1
    """
    ratio = after * (1 - before) / (before * (1 - after))
    return p * ratio / (p * ratio + 1 - p)


def net_benefit(
    flagged: np.ndarray, present: np.ndarray, threshold: np.ndarray, prevalence: float | None = None
) -> np.ndarray:
    """Compute the net benefit of flagging, in cases found for each person screened.

    Parameters
    ----------
    flagged : (k, n) bool array
        Who is flagged at each threshold.
    present : (n,) bool array
    threshold : (k,) array
        Risks at which one would act, above 0 and below 1.
    prevalence : float, optional
        By default that of the sample.

    Returns
    -------
    (k,) array

    References
    ----------
    Vickers and Elkin, "Decision curve analysis: a novel method for evaluating prediction models", Medical Decision
    Making 26, 2006.

    Examples
    --------
    >>> present = np.array([True, False])
    >>> net_benefit(np.array([[True, False], [True, True]]), present, np.array([0.5, 0.5])).tolist()
    [0.5, 0.0]
    """
    flagged, present = np.asarray(flagged, bool), np.asarray(present, bool)
    pi = present.mean() if prevalence is None else prevalence
    found, alarmed = flagged[:, present].mean(axis=1), flagged[:, ~present].mean(axis=1)
    return pi * found - (1 - pi) * alarmed * threshold / (1 - threshold)


# %% [markdown]
# ## What so many people can show
# How far an AUC may be off by chance follows, nearly, from itself and from the numbers of cases and others (Hanley and
# McNeil). From it follows the smallest difference that a study of this size would call a difference four times in five.
# Two scores on the same people err together, which helps; {math}`r` is the correlation of their errors.


# %%
def auc_error(area: float, cases: int, others: int) -> float:
    """Standard error of an AUC.

    Parameters
    ----------
    area : float
        The AUC.
    cases, others : int
        People with and without the condition.

    Returns
    -------
    float

    References
    ----------
    Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve",
    Radiology 143, 1982.

    Examples
    --------
    >>> round(auc_error(0.9, 8, 192), 3), round(auc_error(0.9, 100, 100), 3)
    (0.073, 0.023)
    """
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (cases - 1) * (one - area**2) + (others - 1) * (two - area**2)
    return float(np.sqrt(spread / (cases * others)))


def detectable(area: float, cases: int, others: int, r: float = 0.5, power: float = 0.8) -> float:
    """Find the smallest gain in AUC that a study would notice with a given power.

    Parameters
    ----------
    area : float
        AUC of the weaker score.
    cases, others : int
    r : float
        Correlation of the errors of the two AUCs.
    power : float

    Returns
    -------
    float
        The gain; NaN if even a perfect score would not be noticed.

    Examples
    --------
    >>> detectable(0.8, 100, 100) < detectable(0.8, 15, 185)
    True
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    sure = norm.ppf(0.975) + norm.ppf(power)
    before = auc_error(area, cases, others)

    def lacking(gain: float) -> float:
        after = auc_error(area + gain, cases, others)
        return gain - sure * np.sqrt(before**2 + after**2 - 2 * r * before * after)

    most = 1 - area
    return float(brentq(lacking, 0, most)) if lacking(most) > 0 else np.nan


def simulated(area: float, cases: int, others: int, studies: int = 2000, seed: int = 0) -> np.ndarray:
    """Draw studies of a score that is normal in cases and in others, and compute the AUC of each.

    Parameters
    ----------
    area : float
        The true AUC.
    cases, others, studies, seed : int

    Returns
    -------
    (studies,) array

    Examples
    --------
    >>> abs(simulated(0.8, 50, 50).mean() - 0.8) < 0.01
    np.True_
    """
    from scipy.stats import norm, rankdata

    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((studies, cases + others))
    scores[:, :cases] += np.sqrt(2) * norm.ppf(area)
    ranks = rankdata(scores, axis=1)[:, :cases].sum(axis=1)
    return (ranks - cases * (cases + 1) / 2) / (cases * others)


# %% [markdown]
# ## A thick left ventricle
# More muscle, more voltage: that is the idea of the criteria. Each adds up waves in some leads and has a limit in mV.
# What a record reaches is written as a share of its limit, so that 1 means "just met", for men and women alike.

# %%
#: Criterion -> (voltage in mV of a table of measurements, limit for men, limit for women).
CRITERIA: dict[str, tuple[Callable[[pd.DataFrame], pd.Series], float, float]] = {
    "Sokolow-Lyon": (lambda table: table["sokolow_lyon_mv"], 3.5, 3.5),
    "Cornell": (lambda table: table["cornell_mv"], 2.8, 2.0),
    "R in aVL": (lambda table: table["aVL_r_mv"], 1.1, 1.1),
    "Peguero-Lo Presti": (
        lambda table: table[[f"{lead}_s_mv" for lead in LEADS]].max(axis=1) + table["V4_s_mv"],
        2.8,
        2.3,
    ),
}


def share_of_limit(table: pd.DataFrame, criterion: str, sex: pd.Series, scale: float = 1.0) -> pd.Series:
    """Compute how much of a voltage criterion's limit a record reaches.

    Parameters
    ----------
    table : pandas.DataFrame
        Measurements.
    criterion : str
        One of :data:`CRITERIA`.
    sex : pandas.Series of str
        "Male" or "Female", same index.
    scale : float
        All voltages are multiplied by it.

    Returns
    -------
    pandas.Series
        1 and more: the criterion is met. NaN where a wave was not measured.

    Examples
    --------
    >>> table = pd.DataFrame({"cornell_mv": [2.1, 2.1]})
    >>> share_of_limit(table, "Cornell", pd.Series(["Male", "Female"])).round(2).tolist()
    [0.75, 1.05]
    """
    voltage, men, women = CRITERIA[models._known(criterion, CRITERIA, "criterion")]
    return scale * voltage(table) / sex.map({"Male": men, "Female": women})


# %% [markdown]
# ## A long QT
# The QT interval is corrected for the heart rate, by Bazett with the square root of RR, by Fridericia with the cube
# root, and held against a limit: 450 ms in men and 460 in women, or stricter ones.

# %%
POWERS = {"Bazett": 1 / 2, "Fridericia": 1 / 3}
#: Name of a limit -> ms for men, for women.
LIMITS = {"450/460": (450, 460), "470": (470, 470), "480": (480, 480), "500": (500, 500)}


def corrected(qt_ms: np.ndarray, rr_ms: np.ndarray, formula: str) -> np.ndarray:
    """Correct QT for the heart rate.

    Examples
    --------
    >>> [round(float(corrected(400, 1000, name))) for name in POWERS]
    [400, 400]
    >>> [round(float(corrected(300, 500, name))) for name in POWERS]
    [424, 378]
    """
    power = POWERS[models._known(formula, POWERS, "formula")]
    return np.asarray(qt_ms, float) / (np.asarray(rr_ms, float) / 1000) ** power


def is_long(qtc_ms: np.ndarray, sex: pd.Series, limit: str) -> np.ndarray:
    """Say whose corrected QT lies above a limit; False where it is not known.

    Examples
    --------
    >>> is_long(np.array([455.0, 455.0, np.nan]), pd.Series(["Male", "Female", "Male"]), "450/460").tolist()
    [True, False, False]
    """
    men, women = LIMITS[models._known(limit, LIMITS, "limit")]
    return np.asarray(qtc_ms, float) > np.where(sex == "Female", women, men)


# %% [markdown]
# How well QT is measured, the cardiologists' marks on LUDB tell: mean and spread of the differences, and the limits
# between which 95 % of them lie (Bland and Altman). What such errors do to a count is asked by drawing: the marked QT
# given the measured one is a straight line and what is left over, both fitted on records drawn anew each time.


# %%
def agreement(reference: np.ndarray, found: np.ndarray, replicates: int = 2000) -> dict[str, float]:
    """Compare a measurement with a reference after Bland and Altman.

    Parameters
    ----------
    reference, found : (n,) arrays
        Pairs with a NaN are left out.
    replicates : int

    Returns
    -------
    dict
        ``n``; ``bias`` (mean of found minus reference) and ``sd``, each with ``_low`` and ``_high``, a 95 % interval
        that resamples records; ``low`` and ``high`` (bias plus and minus 1.96 sd); ``median_absolute``.

    Examples
    --------
    >>> agreement(np.array([400.0, 410.0, 420.0]), np.array([405.0, 415.0, 425.0]))["bias"]
    5.0
    """
    apart = np.asarray(found, float) - np.asarray(reference, float)
    apart = apart[np.isfinite(apart)]
    drawn = apart[np.random.default_rng(0).integers(len(apart), size=(replicates, len(apart)))]
    bias, sd = float(apart.mean()), float(apart.std(ddof=1))
    means, spreads = _limits(drawn.mean(axis=1)), _limits(drawn.std(axis=1, ddof=1))
    return {
        "n": len(apart),
        "bias": bias,
        "bias_low": means[0],
        "bias_high": means[1],
        "sd": sd,
        "sd_low": spreads[0],
        "sd_high": spreads[1],
        "low": bias - 1.96 * sd,
        "high": bias + 1.96 * sd,
        "median_absolute": float(np.median(np.abs(apart))),
    }


def marked_given_measured(
    reference: np.ndarray, found: np.ndarray, asked: np.ndarray, replicates: int = 1000, seed: int = 0
) -> np.ndarray:
    """Draw what the marks might say where only a measurement is known.

    Parameters
    ----------
    reference, found : (n,) arrays
        Marked and measured on the same records, without NaN.
    asked : (k,) array
        Measured elsewhere; NaN stays NaN.
    replicates, seed : int

    Returns
    -------
    (replicates, k) array

    Examples
    --------
    >>> found = np.arange(300.0, 500.0)
    >>> drawn = marked_given_measured(found + 10, found, np.array([400.0]), 50)
    >>> bool(np.allclose(drawn, 410))
    True
    """
    rng, out = np.random.default_rng(seed), np.empty((replicates, len(asked)))
    for row in out:
        rows = rng.integers(len(found), size=len(found))
        x, y = np.asarray(found)[rows], np.asarray(reference)[rows]
        slope, intercept = np.polyfit(x, y, 1)
        left = y - intercept - slope * x
        row[:] = intercept + slope * np.asarray(asked) + rng.choice(left, len(asked))
    return out


# %% [markdown]
# ## QT as cardiologists marked it
# In each lead of LUDB the marks give a QT for each beat that has both ends. Fixed before anything was compared: a lead
# is its median beat, and a record the median of its leads. The longest lead, which textbooks also use, is kept beside
# it, and how far the leads disagree.


# %%
def lead_qt(marks: pd.DataFrame) -> float:
    """Median QT of a lead from its marks, ms.

    Parameters
    ----------
    marks : pandas.DataFrame
        As from :func:`ecgbook.ludb.annotated`.

    Returns
    -------
    float
        From the onset of each QRS to the end of the T wave that follows it, before the next QRS; NaN without any.

    Examples
    --------
    >>> marks = pd.DataFrame({"wave": ["QRS", "T"], "onset": [1.0, 1.2], "peak": [1.05, 1.3], "offset": [1.1, 1.4]})
    >>> round(lead_qt(marks))
    400
    """
    both = marks[marks["wave"] != "P"].reset_index(drop=True)
    starts = (both["wave"] == "QRS") & (both["wave"].shift(-1) == "T")
    intervals = 1000 * (both["offset"].shift(-1) - both["onset"])[starts]
    return float(intervals.median())


def marked_qt(number: int) -> dict[str, float]:
    """QT and RR of a LUDB record from the marks.

    Parameters
    ----------
    number : int
        Record, 1 to 200.

    Returns
    -------
    dict
        ``marked_qt_ms`` (median of the leads), ``marked_longest_ms``, ``marked_sd_ms`` (between leads), ``leads`` with
        a QT, ``marked_rr_ms`` (mean, from the peaks marked in lead II).
    """
    marks = {lead: ludb.annotated(number, lead) for lead in LEADS}
    qt = pd.Series({lead: lead_qt(rows) for lead, rows in marks.items()}).dropna()
    peaks = marks["II"].loc[marks["II"]["wave"] == "QRS", "peak"].to_numpy()
    return {
        "marked_qt_ms": qt.median(),
        "marked_longest_ms": qt.max(),
        "marked_sd_ms": qt.std(),
        "leads": float(len(qt)),
        "marked_rr_ms": 1000 * np.diff(peaks).mean() if len(peaks) > 1 else np.nan,
    }


# %% [markdown]
# ## The stored runs
# `screening-qt` sets our QT beside the marks on the odd-numbered records, for the constants of our delineation were
# fitted on the even ones: as a page shows a record, from all leads for ten seconds, and from the signals as recorded,
# without the page's filter. `screening-findings` holds voltages without the filter, and out-of-fold risks of two
# findings: left ventricular hypertrophy, and atrial fibrillation. A logistic regression and extra trees see the
# measurements that a page gives; a third model sees sex and whether the person is 60 or older, and no ECG.

# %%
RUNS = ("screening-qt", "screening-findings")
FINDINGS = {"lvh": "Left ventricular hypertrophy", "af": "Atrial fibrillation"}
REPEATS = 5
_FOLDS = 5
_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn")
Progress = Callable[[str], None]


def _unfiltered(number: int) -> Record:
    return Record(ludb.read(number).astype(np.float32), ludb.FS, "II", 0, "", "", {})


def _intervals_of(number: int, carried: pd.DataFrame) -> dict[str, float]:
    """QT and RR of a record: marked, and measured in three ways."""
    out = {"record": number} | marked_qt(number)
    found = {"page": carried.loc[number], "whole": measure.measure(elsewhere.whole(number))}
    found["unfiltered"] = measure.measure(_unfiltered(number))
    for name, row in found.items():
        out |= {f"{name}_qt_ms": row["qt_ms"], f"{name}_rr_ms": row["rr_ms"]}
    return out


def _qt_files(progress: Progress) -> dict[str, str]:
    carried, rows = elsewhere.measurements(), []
    for number in ludb.JUDGE:
        rows.append(_intervals_of(number, carried))
        if number % 20 == 19:
            progress(f"screening-qt: record {number}")
    return {"outputs.csv": pd.DataFrame(rows).to_csv(index=False, float_format="%.1f", lineterminator="\n")}


def finders() -> dict[str, Callable]:
    """Models of a finding by name: functions of a seed.

    Examples
    --------
    >>> list(finders())
    ['logistic', 'trees', 'age and sex']
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    def logistic(seed: int):
        bent = (models._filled(), StandardScaler(), FunctionTransformer(models._bend))
        return make_pipeline(*bent, models._logistic(seed))

    return {
        "logistic": logistic,
        "trees": lambda seed: make_pipeline(
            models._filled(), models._extra_trees(seed).set_params(n_estimators=150)
        ),
        "age and sex": lambda seed: LogisticRegression(random_state=seed),
    }


def out_of_fold(build: Callable, X: np.ndarray, present: np.ndarray, repeat: int) -> np.ndarray:
    """Risks by models that did not see the record.

    Parameters
    ----------
    build : function
        Of a seed, to a classifier.
    X : (n, k) array
    present : (n,) bool array
    repeat : int
        Seed of the dealing and of the models.

    Returns
    -------
    (n,) array

    Examples
    --------
    >>> X, present = np.arange(40.0)[:, None], np.arange(40) >= 20
    >>> risk = out_of_fold(finders()["age and sex"], X, present, 0)
    >>> auc(risk, present)[0] > 0.9
    True
    """
    from sklearn.model_selection import StratifiedKFold

    risk = np.zeros(len(present))
    for known, asked in StratifiedKFold(_FOLDS, shuffle=True, random_state=repeat).split(X, present):
        risk[asked] = build(repeat).fit(X[known], present[known]).predict_proba(X[asked])[:, 1]
    return risk


def labelled() -> pd.DataFrame:
    """Which records of LUDB carry which finding; reads the diagnoses."""
    table = elsewhere.diagnoses()
    entries = table[["Rhythms", "Hypertrophies"]].sum(axis=1)
    return pd.DataFrame(
        {key: entries.map(lambda found, words=words: words in found) for key, words in FINDINGS.items()}
    )


def _findings_files(progress: Progress) -> dict[str, str]:
    present, table = labelled(), elsewhere.assigned()
    seen = elsewhere.measurements().to_numpy(float)
    people = np.column_stack([table["from_60"], table["sex"] == "Female"]).astype(float)
    rows = []
    for finding in FINDINGS:
        truth = present[finding].to_numpy()
        frame = pd.DataFrame({"finding": finding, "record": present.index, "present": truth.astype(int)})
        for name, build in finders().items():
            X = people if name == "age and sex" else seen
            for repeat in range(REPEATS):
                frame[f"{name} {repeat}"] = out_of_fold(build, X, truth, repeat)
            progress(f"screening-findings: {finding}, {name}")
        rows.append(frame)
    outputs = pd.concat(rows).to_csv(index=False, float_format="%.4f", lineterminator="\n")
    return {"outputs.csv": outputs, "voltages.csv": _voltages(table["sex"], progress)}


def _voltages(sex: pd.Series, progress: Progress) -> str:
    """Shares of the limits of all criteria without the page's filter."""
    rows = []
    for number in ludb.RECORDS:
        rows.append(measure.measure(_unfiltered(number)))
        if number % 50 == 0:
            progress(f"screening-findings: voltages of record {number}")
    table = pd.DataFrame(rows, index=pd.Index(ludb.RECORDS, name="record"))
    frame = pd.DataFrame({name: share_of_limit(table, name, sex) for name in CRITERIA})
    return frame.to_csv(float_format="%.3f", lineterminator="\n")


_COLUMNS = {
    "screening-qt": {
        "marked_*": "by the cardiologists: QT as the median of the leads, the longest lead, spread between leads",
        "page_*, whole_*, unfiltered_*": "QT and mean RR by ecgbook.measure: as a page shows the record, from all"
        " leads for 10 s filtered as pages are, and from the signals as recorded; ms",
    },
    "screening-findings": {
        "finding": "lvh or af, by LUDB's diagnoses",
        "present": "1 where the cardiologists wrote it down",
        "MODEL REPEAT": "out-of-fold risk",
        "voltages.csv": "share of each criterion's limit that the unfiltered signals reach",
    },
}
_FILES = {"screening-qt": _qt_files, "screening-findings": _findings_files}


def _code() -> dict[str, str]:
    """Digests of the code behind the stored numbers."""
    whole = inspect.getsource(sys.modules[__name__])
    own = publish.code_digest(whole[: whole.index("# ## Reading the runs\n")])
    used = {"beats": beats, "ludb": ludb, "measure": measure, "elsewhere": elsewhere, "models": models}
    digests = {name: publish.code_digest(inspect.getsource(module)) for name, module in used.items()}
    return digests | {"screening": own}


def _note(run: str, started: str, clock: float, digests: dict[str, str]) -> dict:
    return {
        "run": run,
        "task": "screening",
        "model": "none" if run == "screening-qt" else list(finders()),
        "input": "LUDB 1.0.1, odd-numbered records" if run == "screening-qt" else "LUDB 1.0.1, all records",
        "protocol": "marks against measurements" if run == "screening-qt" else "stratified folds of records",
        "weights": "none",
        "seed": "number of the repeat",
        "folds": 0 if run == "screening-qt" else _FOLDS,
        "repeats": 0 if run == "screening-qt" else REPEATS,
        "preregistration_sha256": elsewhere.registered(),
        "deviations": ["exploratory: no question of this run is in the pre-registration"],
        "columns": _COLUMNS[run],
        "command": f"python -m ecgbook.screening {run}",
        "code": _code(),
        "data": {
            name: data.digest(data.tables() / name)[1][:16]
            for name in ("ludb_classes.csv", "ludb_measurements.csv")
        },
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": f"cpu, {platform.machine()}",
        "started": started,
        "wall_s": round(time.monotonic() - clock, 1),
        "peak_rss_mb": round(study._peak_mb()),
        "sha256": digests,
    }


def store(run: str, results: Path = study.RESULTS, progress: Progress = lambda word: None) -> Path:
    """Make a run; it takes a minute or two, and is written when it is whole.

    Parameters
    ----------
    run : str
        One of :data:`RUNS`.
    results : pathlib.Path
    progress : function
        Told what is done.

    Returns
    -------
    pathlib.Path
        The run's folder: ``run.json`` and ``outputs.csv``, for ``screening-findings`` also ``voltages.csv``.

    Raises
    ------
    EcgbookError
        No such run, or LUDB is not there.
    """
    models._known(run, RUNS, "run")
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    files, folder = _FILES[run](progress), Path(results) / run
    data.make_folder(folder)
    for name, text in files.items():
        write_whole(folder / name, text)
    digests = {name: data.digest(folder / name)[1] for name in files}
    write_whole(folder / "run.json", json.dumps(_note(run, started, clock, digests), indent=1) + "\n")
    return folder


# %% [markdown]
# ## Reading the runs


# %%
def note(run: str, results: Path = study.RESULTS) -> dict:
    """Load how a run came about: the content of ``run.json``.

    Raises
    ------
    EcgbookError
        No such run.

    Examples
    --------
    >>> note("screening-qt")["deviations"]
    ['exploratory: no question of this run is in the pre-registration']
    """
    path = Path(results) / models._known(run, RUNS, "run") / "run.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EcgbookError(
            f"{path}: no such run; make it with `python -m ecgbook.screening {run}`"
        ) from error


def _table(run: str, file: str, results: Path) -> pd.DataFrame:
    path, wanted = Path(results) / run / file, note(run, results)["sha256"][file]
    if not path.is_file() or data.digest(path)[1] != wanted:
        raise EcgbookError(f"{path}: was changed by hand; remove the folder and run again")
    return pd.read_csv(path)


def qt(results: Path = study.RESULTS) -> pd.DataFrame:
    """Load QT as marked and as measured; index: the odd-numbered records.

    Examples
    --------
    >>> len(qt())
    100
    """
    return _table("screening-qt", "outputs.csv", results).set_index("record")


@lru_cache(maxsize=4)
def _findings(results: Path) -> pd.DataFrame:
    return _table("screening-findings", "outputs.csv", results).set_index(["finding", "record"])


def present(finding: str, results: Path = study.RESULTS) -> pd.Series:
    """Load which records carry a finding, "lvh" or "af".

    Examples
    --------
    >>> int(present("af").sum())
    15
    """
    models._known(finding, FINDINGS, "finding")
    return _findings(Path(results)).loc[finding, "present"].astype(bool)


def risk(finding: str, model: str, repeat: int | None = None, results: Path = study.RESULTS) -> pd.Series:
    """Load out-of-fold risks of a finding by a model.

    Parameters
    ----------
    finding : str
        "lvh" or "af".
    model : str
        One of :func:`finders`.
    repeat : int, optional
        By default the mean over the repeats.
    results : pathlib.Path

    Returns
    -------
    pandas.Series
        Index: records.

    Examples
    --------
    >>> risk("lvh", "trees").between(0, 1).all()
    np.True_
    """
    models._known(finding, FINDINGS, "finding")
    models._known(model, finders(), "model")
    frame = _findings(Path(results)).loc[finding]
    if repeat is not None:
        return frame[f"{model} {repeat}"]
    return frame[[f"{model} {k}" for k in range(REPEATS)]].mean(axis=1)


def voltages(results: Path = study.RESULTS) -> pd.DataFrame:
    """Load what share of each criterion's limit the unfiltered signals reach; index: records.

    Examples
    --------
    >>> list(voltages()) == list(CRITERIA)
    True
    """
    return _table("screening-findings", "voltages.csv", results).set_index("record")


# %%
def main(arguments: Sequence[str]) -> int:
    """Make the named runs, or both."""
    try:
        for run in arguments or RUNS:
            print(store(run, progress=lambda said: print(said, file=sys.stderr, flush=True)))
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    from ecgbook import screening as module  # under its package name, as everywhere else

    sys.exit(module.main(sys.argv[1:]))
