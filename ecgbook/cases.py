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
# # Cases: which ECGs are missed, and what they have in common
# A score says how many; this module asks which ones, and why. It looks up what a run said of single ECGs, over all
# its repeats; says which signs of infarction an ECG meets; ranks the contradictions between folder and signal; and
# compares the ECGs that were missed with those that were found. With few cases a striking story is easily found, so
# every comparison comes with an effect size, an interval that draws whole groups, a permutation test, and a
# correction for how many comparisons were made.

# %%
"""Single ECGs out of fold: verdicts, criteria, label doubt, agreement, missed against found."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from ecgbook import data, evaluate, measure, models, study
from ecgbook.data import CLASSES, EcgbookError
from ecgbook.evaluate import PROBABILITIES
from ecgbook.synth import LEADS

HEADLINE = "grouped-headline"

# %% [markdown]
# ## What a run said of a case
# Each repeat gives one out-of-fold answer for every ECG. Their mean is the verdict; the share of repeats in which
# the answer was wrong is the difficulty of the case for this model. A run with a single repeat knows only 0 and 1.


# %%
@lru_cache(maxsize=32)
def _tested(run: str, results: Path = study.RESULTS) -> pd.DataFrame:
    """Test rows of a run, with what was called (``called``) and whether that was wrong (``missed``)."""
    rows = study.load(run, results).query("part == 'test'").reset_index(drop=True)
    called = np.array(CLASSES, dtype=object)[rows[PROBABILITIES].to_numpy().argmax(axis=1)]
    return rows.assign(called=called, missed=called != rows["label"].to_numpy())


def _must_be_known(files: Iterable[str]) -> list[str]:
    """Return file names as a list; refuse what is none of the 491 distinct pages."""
    files, known = list(files), set(_pages().index)
    for file in files:
        if file not in known:
            raise EcgbookError(f"{file}: is none of the distinct ECGs; take a file of ecgbook.data.pages()")
    return files


@lru_cache(maxsize=1)
def _pages() -> pd.DataFrame:
    return data.pages().set_index("file")


def verdicts(files: Iterable[str], run: str = HEADLINE, results: Path = study.RESULTS) -> pd.DataFrame:
    """Look up what a run said of some ECGs, out of fold.

    Parameters
    ----------
    files : iterable of str
        Names of distinct pages.
    run : str, default the headline
        Name of a finished run.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        One row a file, in the order given: ``file``, ``label``, the mean probability of each class over the repeats,
        ``called`` (the most probable class of the mean), ``missed`` (share of repeats that called another class than
        the label), ``repeats`` and ``calls``, such as "Abnormal 4, Normal 1".

    Raises
    ------
    EcgbookError
        If a file is no distinct page or was not tested by the run, or the run is not finished.

    Examples
    --------
    >>> row = verdicts(["PMI(1).jpg"]).iloc[0]
    >>> row["label"], row["called"], int(row["repeats"])
    ('History_MI', 'History_MI', 5)
    """
    files, tested = _must_be_known(files), _tested(run, results)
    rows = tested[tested["file"].isin(files)]
    absent = set(files) - set(rows["file"])
    if absent:
        raise EcgbookError(f"{run}: did not test {min(absent)}; take a run that tests all 491 ECGs")
    by_file = rows.groupby("file")
    out = by_file[PROBABILITIES].mean()
    out.insert(0, "label", by_file["label"].first())
    out["called"] = np.array(CLASSES, dtype=object)[out[PROBABILITIES].to_numpy().argmax(axis=1)]
    out["missed"], out["repeats"] = by_file["missed"].mean(), by_file.size()
    out["calls"] = by_file["called"].agg(_counted)
    return out.loc[files].rename_axis("file").reset_index()


def _counted(called: pd.Series) -> str:
    """Classes with how often they were called, the commonest first."""
    return ", ".join(f"{label} {count}" for label, count in called.value_counts().items())


# %% [markdown]
# ## Which signs a case meets
# The signs of the Universal Definition in two contiguous leads, as [](measure.py) decides them, with the leads that
# show them. On pages filtered at 0.67-25 Hz every threshold is approximate.


# %%
@lru_cache(maxsize=1)
def _table() -> pd.DataFrame:
    return measure.measurements().set_index("file")


def leads_with(row: pd.Series, sex: str) -> pd.DataFrame:
    """Say which lead shows which of the guideline's signs.

    Parameters
    ----------
    row : pandas.Series
        What :func:`ecgbook.measure.measure` found.
    sex : str
        As printed: "Male", "Female" or "".

    Returns
    -------
    pandas.DataFrame
        1, 0 or NaN; rows are leads, columns ``st_up``, ``st_down``, ``q``, ``t_inverted``.
    """
    columns = [f"{lead}_{what}" for lead in LEADS for what in measure._OF_LEAD]
    values = row[columns].to_numpy(float).reshape(len(LEADS), -1)
    per_lead = pd.DataFrame(values, index=list(LEADS), columns=list(measure._OF_LEAD))
    return measure._signs(per_lead, sex)


def criteria_of(row: pd.Series, sex: str) -> pd.DataFrame:
    """List the guideline's signs that measurements meet: the same as :func:`criteria`, for any ECG.

    Parameters
    ----------
    row, sex
        As for :func:`leads_with`.

    Returns
    -------
    pandas.DataFrame
        As for :func:`criteria`.

    Examples
    --------
    >>> from ecgbook import synth
    >>> row = pd.Series(measure.measure(synth.window(synth.record("MI", 7))))
    >>> criteria_of(row, "")["sign"].isin(["ST elevation"]).any()
    np.True_
    """
    met = [
        (sign, wall) for sign in measure._SIGNS for wall in measure.TERRITORIES if row[f"{sign}_{wall}"] == 1
    ]
    shown = leads_with(row, sex) if met else None
    rows = [(measure._SIGNS[sign], wall, _leads_of(shown[sign], sign, wall)) for sign, wall in met]  # type: ignore[index]
    return pd.DataFrame(rows, columns=["sign", "territory", "leads"])


def criteria(file: str) -> pd.DataFrame:
    """List the guideline's signs that an ECG meets, with territory and leads.

    Parameters
    ----------
    file : str
        Name of a distinct page.

    Returns
    -------
    pandas.DataFrame
        ``sign`` ("ST elevation", "ST depression", "pathological Q", "T inversion"), ``territory`` ("anterior",
        "lateral", "inferior") and ``leads`` of the territory that show the sign, such as "V2, V3"; no rows when no
        sign is met.

    Raises
    ------
    EcgbookError
        If the file is no distinct page.

    References
    ----------
    K. Thygesen et al., "Fourth Universal Definition of Myocardial Infarction", Circulation 138, e618 (2018).

    Examples
    --------
    >>> list(criteria("MI(1).jpg"))
    ['sign', 'territory', 'leads']
    """
    _must_be_known([file])
    return criteria_of(_table().loc[file], _pages().loc[file, "sex"])


def _leads_of(shown: pd.Series, sign: str, wall: str) -> str:
    """Leads of a territory that show a sign; V1 is no witness of Q, for a QS there is common in health."""
    looking = {lead for pair in measure.TERRITORIES[wall] for lead in pair} - (
        {"V1"} if sign == "q" else set()
    )
    return ", ".join(lead for lead in LEADS if lead in looking and shown[lead] == 1)


# %% [markdown]
# ## Label doubt
# The folder, the model and the criteria are three witnesses. *Confident learning* ranks the ECGs by the probability
# that the out-of-fold model gives to the folder's class, and marks as many as the model's mean confidence in each
# class lets one expect to be misfiled (Northcutt et al., 2021). The criteria are the rules without learning
# of [](models.py): they contradict a label when they call another class. A *label doubt* is an ECG against whose
# label both the model and the criteria speak. It is a reason to look, no more: no cardiologist reviewed it, and
# nothing is relabelled.


# %%
_IN_WORDS = {
    "heart_rate": "heart rate {:.1f}/min",
    "pr_ms": "PR {:.1f} ms",
    "qrs_ms": "QRS {:.1f} ms",
    "qtc_bazett_ms": "QTc {:.1f} ms",
    "axis_deg": "axis {:.0f} degrees",
    "sokolow_lyon_mv": "Sokolow-Lyon {:.1f} mV",
    "cornell_mv": "Cornell {:.1f} mV",
    "rr_irregularity": "irregular RR ({:.0%} of the median)",
    "premature": "{:.0f} premature",
    "ectopic": "{:.0f} premature and of another shape",
}


def reasons(file: str) -> str:
    """Say in words which signs an ECG meets and what lies outside its usual limits.

    Parameters
    ----------
    file : str
        Name of a distinct page.

    Returns
    -------
    str
        As the rules of :class:`ecgbook.models.Guideline` see it, or that nothing was found.

    Raises
    ------
    EcgbookError
        If the file is no distinct page.

    Examples
    --------
    >>> reasons("PMI(16).jpg")
    'no sign, nothing outside the usual limits'
    """
    _must_be_known([file])
    return reasons_of(_table().loc[file], _pages().loc[file, "sex"])


def reasons_of(row: pd.Series, sex: str) -> str:
    """Say the same as :func:`reasons` of the measurements of any ECG."""
    found = [f"{at.sign} {at.territory} ({at.leads})" for at in criteria_of(row, sex).itertuples()]
    odd = [name for name, (low, high) in models.LIMITS.items() if row[name] < low or row[name] > high]
    found += [_IN_WORDS[name].format(row[name]) for name in odd]
    found += ["no P wave seen"] if row["p_seen"] == 0 else []
    return "; ".join(found) or "no sign, nothing outside the usual limits"


@lru_cache(maxsize=4)
def _doubts(run: str, results: Path) -> pd.DataFrame:
    with warnings.catch_warnings():  # its progress bars warn in notebooks; none is shown
        warnings.simplefilter("ignore")
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_self_confidence_for_each_label

    files = list(_pages().index)
    said = verdicts(files, run, results)
    p = said[PROBABILITIES].to_numpy()
    p = p / p.sum(axis=1, keepdims=True)  # they were stored with five decimals
    given = said["label"].map(CLASSES.index).to_numpy()
    rules = models.Guideline().predict(_table().loc[files])
    out = said[["file", "label", "called"]].assign(
        self_confidence=get_self_confidence_for_each_label(given, p),
        issue=find_label_issues(given, p, n_jobs=1),
        criteria_call=np.array(CLASSES, dtype=object)[rules],
        contradicted=rules != given,
        why=[reasons(file) for file in files],
        missed=said["missed"],
    )
    out["doubt"] = (out["called"] != out["label"]) & out["contradicted"]
    out = out.sort_values(["self_confidence", "file"], ignore_index=True)
    out.insert(0, "rank", np.arange(1, len(out) + 1))
    return out


def doubts(run: str = HEADLINE, results: Path = study.RESULTS) -> pd.DataFrame:
    """Rank all ECGs by how strongly a model contradicts their label, and say what the criteria make of them.

    Parameters
    ----------
    run : str, default the headline
        A finished run that tests all distinct ECGs; its probabilities are averaged over repeats.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        491 rows, the strongest contradiction first: ``rank``, ``file``, ``label``, ``called`` (by the model),
        ``self_confidence`` (mean probability of the label), ``issue`` (marked by confident learning),
        ``criteria_call`` (class that the rules without learning call), ``contradicted`` (that is not the label),
        ``why`` (:func:`reasons`), ``missed`` (share of repeats) and ``doubt`` (both the model and the criteria
        call another class than the label). Label doubt is a reason to look: no cardiologist reviewed it, nothing is
        relabelled.

    References
    ----------
    C. G. Northcutt, L. Jiang and I. L. Chuang, "Confident learning: estimating uncertainty in dataset labels",
    Journal of Artificial Intelligence Research 70, 2021.

    Examples
    --------
    >>> ranked = doubts()
    >>> len(ranked), bool(ranked["self_confidence"].is_monotonic_increasing)
    (491, True)
    """
    return _doubts(run, results).copy()


# %% [markdown]
# ## The cases of the gallery
# All History_MI and MI ECGs that the headline misses in at least one repeat, the hardest first, and after them every
# other label doubt. Each has a page entry of its own, whose name follows from the file's.


# %%
def gallery_files(run: str = HEADLINE, results: Path = study.RESULTS) -> list[str]:
    """Name the cases that the gallery shows, in its order.

    Parameters
    ----------
    run : str, default the headline
        Whose misses count.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    list of str
        History_MI missed in at least one repeat, the hardest first (by the share of repeats, then by the mean
        probability of the label); MI likewise; then further label doubts, the strongest first.

    Examples
    --------
    >>> files = gallery_files()
    >>> files[0].startswith("PMI"), len(files) == len(set(files))
    (True, True)
    """
    ranked = doubts(run, results)
    missed = ranked[ranked["missed"] > 0].sort_values(["missed", "self_confidence"], ascending=[False, True])
    files = [*missed.query("label == 'History_MI'")["file"], *missed.query("label == 'MI'")["file"]]
    return files + [file for file in ranked.loc[ranked["doubt"], "file"] if file not in files]


def anchor(file: str) -> str:
    """Return the name of a case's place in the gallery.

    Raises
    ------
    EcgbookError
        If the file is not named as those of the data set.

    Examples
    --------
    >>> anchor("PMI(12).jpg")
    'case-pmi-12'
    """
    parts = re.fullmatch(r"([A-Za-z]+)\((\d+)\)\.jpg", file)
    if not parts:
        raise EcgbookError(f"{file}: is no file of the data set; write it as PMI(12).jpg")
    return f"case-{parts[1].lower()}-{parts[2]}"


def link(file: str) -> str:
    """Return a link to a case in the gallery, in MyST markdown.

    Examples
    --------
    >>> link("PMI(12).jpg")
    '[PMI(12)](case-pmi-12)'
    """
    return f"[{file.removesuffix('.jpg')}]({anchor(file)})"


# %% [markdown]
# ## Which run stands for a family
# Several networks and hybrids were run on the pages. Which one is looked at is decided by their validation rows alone,
# as the paper decided it: by accuracy, pooled over folds and repeats, and if that is equal by log loss. The test rows
# have no say; nor have runs beyond the declared study, so that the choice does not depend on who ran what.


# %%
def validated(family: str, results: Path = study.RESULTS) -> pd.DataFrame:
    """List the finished `grouped` runs of a family, the best on validation rows first.

    Parameters
    ----------
    family : str
        "network" (on pages), "hybrid" (a network's features and a classical classifier) or "table" (on
        measurements).
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        ``run``, ``repeats``, ``accuracy`` and ``log_loss`` of the validation rows.

    Raises
    ------
    EcgbookError
        If there is no such family, or none of its runs is finished.
    """
    models._known(family, ("network", "hybrid", "table"), "family of models")
    declared = [
        name
        for name, of in study.STUDIES.items()
        if of.protocol == "grouped" and study._kind(of) == family and of.what_for != "sensitivity"
    ]
    rows = [_validation(name, results) for name in study.finished(declared, results)]
    if not rows:
        raise EcgbookError(f"{family}: no grouped run of it is finished; make one with `ecgbook study run`")
    columns = ["run", "repeats", "accuracy", "log_loss"]
    order = ["accuracy", "log_loss", "run"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        order, ascending=[False, True, True], ignore_index=True
    )


def _validation(run: str, results: Path) -> tuple[str, int, float, float]:
    rows = study.load(run, results).query("part == 'val'")
    p, y = rows[PROBABILITIES].to_numpy(), rows["label"].map(CLASSES.index).to_numpy()
    loss = -np.log(np.maximum(p[np.arange(len(y)), y], evaluate.LOWEST))
    return run, rows["repeat"].nunique(), float((p.argmax(axis=1) == y).mean()), float(loss.mean())


def best(family: str, results: Path = study.RESULTS) -> str:
    """Name the run that stands for a family: the best on validation rows; see :func:`validated`.

    Examples
    --------
    >>> best("network").startswith("grouped-")
    True
    """
    return str(validated(family, results)["run"].iloc[0])


# %% [markdown]
# ## Do the families stumble over the same cases?
# Two models may agree because both are right, or because both call the commonest class. *Kappa* takes off what chance
# would give: with {math}`p_o` the share of ECGs on which they agree, and {math}`p_e` the share expected if each kept
# its own frequencies of the classes and nothing else,
#
# $$
# \kappa = \frac{p_o - p_e}{1 - p_e}.
# $$
#
# Cohen's kappa is for two raters, Fleiss' for more, with one common set of frequencies. All models are asked in the
# same repeat, in which all were trained on the same pages.


# %%
def calls(runs: dict[str, str], repeat: int = 0, results: Path = study.RESULTS) -> pd.DataFrame:
    """Put the classes that several runs called in one repeat side by side.

    Parameters
    ----------
    runs : dict
        Name of a column -> name of a finished run.
    repeat : int
        Which repeat; equal repeats of one protocol have equal folds.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        Index: ``file``; columns: ``label``, then the class that each run called.
    """
    out = _pages()[["label"]].copy()
    for name, run in runs.items():
        rows = _tested(run, results)
        out[name] = rows[rows["repeat"] == repeat].set_index("file")["called"]
    return out


def _ones(n: int) -> np.ndarray:
    return np.ones((1, n))


def _kappa(agreed: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Kappa of each replicate; nan where chance alone agrees always."""
    return evaluate._ratio(agreed - chance, np.where(chance < 1 - 1e-12, 1 - chance, 0.0))


def _cohen(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    names = np.unique(np.concatenate([a, b]))
    total = weights.sum(axis=1)
    in_a, in_b = ((weights @ (side[:, None] == names)) / total[:, None] for side in (a, b))
    return _kappa(weights @ (a == b) / total, (in_a * in_b).sum(axis=1))


def cohen_kappa(a: Sequence, b: Sequence) -> float:
    """Agreement of two raters beyond chance.

    Parameters
    ----------
    a, b : sequences of equal length
        The class that each rater called for each case.

    Returns
    -------
    float
        1 when they always agree, 0 as by chance, negative below it; nan when both always call one and the same class.

    References
    ----------
    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20, 1960.

    Examples
    --------
    >>> round(cohen_kappa(["a", "a", "b", "b"], ["a", "b", "b", "b"]), 3)
    0.5
    """
    a, b = np.asarray(a, dtype=str), np.asarray(b, dtype=str)
    return float(_cohen(a, b, _ones(len(a)))[0])


def _fleiss(ratings: np.ndarray, weights: np.ndarray) -> np.ndarray:
    names, raters = np.unique(ratings), ratings.shape[1]
    votes = (ratings[:, :, None] == names).sum(axis=1)  # (cases, classes)
    agreed = (votes * (votes - 1)).sum(axis=1) / (raters * (raters - 1))
    total = weights.sum(axis=1)
    shares = weights @ votes / (raters * total[:, None])
    return _kappa(weights @ agreed / total, (shares**2).sum(axis=1))


def fleiss_kappa(ratings: np.ndarray | pd.DataFrame) -> float:
    """Agreement of several raters beyond chance.

    Parameters
    ----------
    ratings : (n, r) array
        The class that each of r raters called for each of n cases.

    Returns
    -------
    float
        As :func:`cohen_kappa`.

    References
    ----------
    J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76, 1971.

    Examples
    --------
    >>> round(fleiss_kappa([["a", "a", "a"], ["b", "b", "b"], ["a", "a", "b"]]), 3)
    0.55
    """
    ratings = np.asarray(ratings, dtype=str)
    return float(_fleiss(ratings, _ones(len(ratings)))[0])


def agreement(ratings: pd.DataFrame, replicates: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Tabulate Cohen's kappa of every pair of raters, and Fleiss' of all, with group intervals.

    Parameters
    ----------
    ratings : pandas.DataFrame
        Index: files; one column a rater, the classes called.
    replicates, seed
        As for :func:`ecgbook.evaluate.bootstrap`.

    Returns
    -------
    pandas.DataFrame
        ``raters``, ``agreed`` (share of cases on which they agree; for all: on which all do), ``kappa``, ``low``,
        ``high`` (95 %, groups resampled).
    """
    values, names = ratings.to_numpy(dtype=str), list(ratings.columns)
    drawn, one = _drawn(ratings.index, replicates, seed), _ones(len(ratings))
    rows = []
    for i, j in combinations(range(len(names)), 2):
        a, b = values[:, i], values[:, j]
        limits = evaluate._limits(pd.Series(_cohen(a, b, drawn)), 0.95)
        rows.append((f"{names[i]}, {names[j]}", (a == b).mean(), _cohen(a, b, one)[0], *limits))
    if len(names) > 2:
        limits = evaluate._limits(pd.Series(_fleiss(values, drawn)), 0.95)
        same = (values == values[:, :1]).all(axis=1).mean()
        rows.append(("all (Fleiss)", same, _fleiss(values, one)[0], *limits))
    return pd.DataFrame(rows, columns=["raters", "agreed", "kappa", "low", "high"])


def _drawn(files: Iterable[str], replicates: int, seed: int) -> np.ndarray:
    """Draw whole groups of some files: how often each file came up, (replicates, n) floats."""
    codes, groups = pd.factorize(_pages().loc[list(files), "group"])
    return evaluate.draw(len(groups), replicates, seed)[:, codes].astype(float)


# %% [markdown]
# ## What is measured of a case
# A handful of numbers, chosen before any comparison was looked at: one for each word in the paper's explanations. The
# two ST numbers are the criterion without its threshold: the level that *two contiguous leads* reach. T waves are
# counted where they should be upright.

# %%
_NO_WITNESS = ["aVR", "V1"]  # a Q wave there is common in health
_UPRIGHT = ("I", "II", "V3", "V4", "V5", "V6")

#: Name of a number -> what it is, with its unit.
MEASURES = {
    "q_leads": "leads with a pathological Q",
    "st_elevation_mv": "ST elevation that two contiguous leads reach (mV)",
    "st_depression_mv": "ST depression that two contiguous leads reach (mV)",
    "t_leads": "leads with an inverted or flat T",
    "heart_rate": "heart rate (1/min)",
    "premature": "premature beats",
    "rr_irregularity": "irregularity of RR (share of the median)",
    "qrs_ms": "QRS duration (ms)",
    "pr_ms": "PR interval (ms)",
}


def _contiguous(level: pd.DataFrame) -> pd.Series:
    """Find the highest level that both of two contiguous leads reach; rows are ECGs, columns leads."""
    pairs = [pair for wall in measure.TERRITORIES.values() for pair in wall]
    reached = [level[list(pair)].min(axis=1, skipna=False) for pair in pairs]
    return pd.concat(reached, axis=1).max(axis=1)


@lru_cache(maxsize=1)
def _measured() -> pd.DataFrame:
    table = _table()
    of = {what: models._of_leads(table, LEADS, what) for what in ("stj_mv", "st60_mv", "t_polarity")}
    sex = _pages()["sex"]
    q = [leads_with(row, sex[file])["q"].drop(_NO_WITNESS).sum() for file, row in table.iterrows()]
    own = {
        "q_leads": pd.Series(q, table.index),
        "st_elevation_mv": _contiguous(of["stj_mv"]),
        "st_depression_mv": _contiguous(-of["stj_mv"].combine(of["st60_mv"], np.maximum)),
        "t_leads": of["t_polarity"][list(_UPRIGHT)].le(0).sum(axis=1).astype(float),
    }
    return pd.DataFrame({name: own.get(name, table.get(name)) for name in MEASURES})


def measures() -> pd.DataFrame:
    """Collect the few numbers that the explanations speak of.

    Returns
    -------
    pandas.DataFrame
        Index: the 491 files; one column for each name of :data:`MEASURES`, NaN where not measured.

    Examples
    --------
    >>> measures().shape
    (491, 9)
    """
    return _measured().copy()


# %% [markdown]
# ## Missed against found
# *Cliff's delta* is the chance that a missed ECG has the larger value minus the chance that it has the smaller one:
# 0 for no difference, 1 or −1 for complete separation. It needs no bell-shaped curve and a single outlier cannot
# move it. Its interval draws groups. Its p-value comes from dealing the word "missed" anew among the ECGs, whole
# groups changing places with groups of the same size. And since several numbers are tried for several models, the
# p-values are corrected after Holm: the smallest is multiplied by the number of tests, the next by one less, and so
# on.


# %%
def _deltas(values: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cliff's delta for each row of weights (r, n) of the first against the second side."""
    above = np.sign(values[:, None] - values[None, :])
    pairs = first.sum(axis=1) * second.sum(axis=1)
    return evaluate._ratio(np.einsum("ij,ij->i", first @ above, second), pairs)


def cliffs_delta(a: Sequence[float], b: Sequence[float]) -> float:
    """Measure how far the values of `a` lie above those of `b`.

    Parameters
    ----------
    a, b : sequences of float
        Two samples without gaps.

    Returns
    -------
    float
        Share of pairs in which a's value is larger minus share in which it is smaller, -1 to 1; nan if one is empty.

    References
    ----------
    N. Cliff, "Dominance statistics: ordinal analyses to answer ordinal questions", Psychological Bulletin 114, 1993.

    Examples
    --------
    >>> round(cliffs_delta([3, 4, 5], [1, 2, 4]), 3)
    0.667
    """
    values = np.concatenate([np.asarray(a, float), np.asarray(b, float)])
    side = (np.arange(len(values)) < len(a)).astype(float)[None]
    return float(_deltas(values, side, 1 - side)[0])


def holm(p: Sequence[float]) -> np.ndarray:
    """Correct p-values for the number of tests, after Holm.

    Parameters
    ----------
    p : sequence of float
        Uncorrected; NaN stays NaN and does not count.

    Returns
    -------
    (n,) array
        Corrected, never below the uncorrected and never above 1.

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, float)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    out = np.full(len(p), np.nan)
    out[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return out


def shuffled(flags: np.ndarray, groups: np.ndarray, times: int, seed: int = 0) -> np.ndarray:
    """Deal flags anew among cases, whole groups changing places with groups of the same size.

    Parameters
    ----------
    flags : (n,) bool array
        Which cases are flagged.
    groups : (n,) array
        Cases with equal values stay together.
    times : int
        Number of dealings.
    seed : int
        Seed of the dealing.

    Returns
    -------
    (times, n) float array
        0 or 1; every row has as many ones as `flags`.

    References
    ----------
    A. M. Winkler et al., "Multi-level block permutation", NeuroImage 123, 2015.

    Examples
    --------
    >>> dealt = shuffled(np.array([True, True, False, False, True]), np.array([1, 1, 2, 2, 3]), 100)
    >>> sorted({tuple(row) for row in dealt.astype(int).tolist()})
    [(0, 0, 1, 1, 1), (1, 1, 0, 0, 1)]
    """
    rng, flags = np.random.default_rng(seed), np.asarray(flags, float)
    out = np.tile(flags, (times, 1))
    members = pd.Series(np.arange(len(flags))).groupby(np.asarray(groups)).agg(list)
    for _, same in members.groupby(members.map(len)):
        rows = np.array(same.tolist())  # (groups, size)
        order = rng.permuted(np.tile(np.arange(len(rows)), (times, 1)), axis=1)
        out[:, rows.ravel()] = flags[rows][order].reshape(times, -1)
    return out


def effect(
    values: pd.Series, missed: pd.Series, replicates: int = 2000, dealings: int = 4999, seed: int = 0
) -> dict[str, float]:
    """Compare a number between missed and found ECGs.

    Parameters
    ----------
    values : pandas.Series
        Index: files of distinct pages; NaN where not measured (left out).
    missed : pandas.Series of bool
        Same index.
    replicates, dealings : int
        Draws of the interval, and dealings of the permutation test.
    seed : int
        Seed of both.

    Returns
    -------
    dict
        ``n_missed``, ``n_found``, their medians ``missed`` and ``found``, ``delta`` (Cliff's, positive when the
        missed have more), ``low``, ``high`` (95 %, groups drawn; NaN when a side has fewer than five ECGs) and ``p``
        (two-sided, uncorrected).

    References
    ----------
    B. Phipson and G. K. Smyth, "Permutation p-values should never be zero", Statistical Applications in Genetics and
    Molecular Biology 9, 2010.
    """
    values = values.dropna()
    flags, x = missed.loc[values.index].to_numpy(bool), values.to_numpy(float)
    return {
        "n_missed": int(flags.sum()),
        "n_found": int((~flags).sum()),
        "missed": _median(x[flags]),
        "found": _median(x[~flags]),
        "delta": cliffs_delta(x[flags], x[~flags]),
        **_limits_of_delta(values, flags, replicates, seed),
        "p": _p_of_delta(values, flags, dealings, seed),
    }


_FEWEST = 5  # a bootstrap of fewer repeats the same ECGs over and over, and its interval is too narrow


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else np.nan


def _limits_of_delta(values: pd.Series, flags: np.ndarray, replicates: int, seed: int) -> dict[str, float]:
    if min(flags.sum(), (~flags).sum()) < _FEWEST:
        return {"low": np.nan, "high": np.nan}
    drawn = _drawn(values.index, replicates, seed)
    again = _deltas(values.to_numpy(float), drawn * flags, drawn * ~flags)
    return dict(zip(("low", "high"), evaluate._limits(pd.Series(again), 0.95), strict=True))


def _p_of_delta(values: pd.Series, flags: np.ndarray, dealings: int, seed: int) -> float:
    x = values.to_numpy(float)
    delta = cliffs_delta(x[flags], x[~flags])
    if not np.isfinite(delta):
        return np.nan
    dealt = shuffled(flags, _pages().loc[values.index, "group"].to_numpy(), dealings, seed)
    extreme = np.abs(_deltas(x, dealt, 1 - dealt)) >= abs(delta) - 1e-9
    return float((1 + extreme.sum()) / (1 + dealings))


# %% [markdown]
# ## The paper's explanations as statements that can fail
# Each explanation becomes one or more statements of the form "the missed have less" or "the missed have more". A
# statement *holds* if the corrected p-value is below 0.05 and the sign is as claimed; the *opposite* holds if the sign
# is not. Otherwise, if the interval leaves no room for an effect of a third in the claimed direction, there is *no
# sizeable effect*; and if it does leave room, or there is no interval, this many ECGs *cannot tell*.

# %%
_FADED = {"q_leads": -1, "st_elevation_mv": -1, "st_depression_mv": -1, "t_leads": -1, "heart_rate": 1}

#: Class -> number -> what the explanation says of the missed: more (1) or less (-1).
CLAIMS: dict[str, dict[str, int]] = {
    "MI": _FADED,
    "History_MI": _FADED,
    "Abnormal": {"premature": 1, "rr_irregularity": 1, "qrs_ms": 1, "pr_ms": 1},
    "Normal": {"st_depression_mv": 1},
}
SIZEABLE = 1 / 3


def verdict(delta: float, low: float, high: float, p: float, claim: int) -> str:
    """Say what became of a statement.

    Parameters
    ----------
    delta, low, high : float
        Cliff's delta with its interval.
    p : float
        Corrected.
    claim : int
        1 if the missed should have more, -1 if less.

    Returns
    -------
    str
        "holds", "opposite", "no sizeable effect" or "cannot tell".

    Examples
    --------
    >>> verdict(-0.5, -0.7, -0.3, 0.01, -1), verdict(-0.2, -0.6, 0.3, 0.4, -1)
    ('holds', 'cannot tell')
    """
    if p < 0.05:
        return "holds" if delta * claim > 0 else "opposite"
    towards = high if claim > 0 else -low
    return "no sizeable effect" if towards < SIZEABLE else "cannot tell"


def examine(
    label: str,
    runs: dict[str, str],
    least: float = 0.0,
    replicates: int = 2000,
    dealings: int = 4999,
    seed: int = 0,
    results: Path = study.RESULTS,
) -> pd.DataFrame:
    """Test the explanation of the errors in a class for several runs.

    Parameters
    ----------
    label : str
        One of :data:`ecgbook.data.CLASSES`.
    runs : dict
        Name to show -> name of a finished run.
    least : float, default 0
        An ECG counts as missed when more than this share of the repeats misses it: with 0, at least one repeat.
    replicates, dealings, seed
        As for :func:`effect`.
    results : pathlib.Path
        Folder of the results.

    Returns
    -------
    pandas.DataFrame
        One row for each run and each number of :data:`CLAIMS`: ``model``, ``measure`` (its words), ``claim`` ("less" or
        "more"), what :func:`effect` gives, ``p_holm`` (corrected over all rows) and ``verdict``.
    """
    models._known(label, CLASSES, "class")
    values, rows = measures(), []
    files = _pages().index[_pages()["label"] == label]
    for model, run in runs.items():
        missed = verdicts(files, run, results).set_index("file")["missed"] > least
        for name, claim in CLAIMS[label].items():
            found = effect(values.loc[files, name], missed, replicates, dealings, seed)
            rows.append({"model": model, "measure": MEASURES[name], "claim": claim} | found)
    out = pd.DataFrame(rows)
    out["p_holm"] = holm(out["p"])
    out["verdict"] = [verdict(at.delta, at.low, at.high, at.p_holm, at.claim) for at in out.itertuples()]
    out["claim"] = out["claim"].map({1: "more", -1: "less"})
    return out


# %% [markdown]
# ## What so few can show
# A test that finds nothing may mean that there is nothing, or that there was nothing to find it with. For two samples
# of {math}`m` and {math}`n` Noether's formula says which delta a rank test at level {math}`\alpha` finds with a
# chance of {math}`1 - \beta`:
#
# $$
# \delta_{\min} \approx \left( z_{1 - \alpha / 2} + z_{1 - \beta} \right) \sqrt{\frac{m + n}{3\,m\,n}}.
# $$
#
# With a correction for {math}`k` tests the smallest p-value has to pass {math}`\alpha / k`. Groups make the true value
# somewhat larger.


# %%
def smallest_effect(
    n_missed: int, n_found: int, tests: int = 1, power: float = 0.8, level: float = 0.05
) -> float:
    """Estimate the smallest Cliff's delta that a comparison would find with a given chance.

    Parameters
    ----------
    n_missed, n_found : int
        Sizes of the two samples.
    tests : int
        Number of tests that the level is shared among.
    power : float
        The chance.
    level : float
        Two-sided level of all tests together.

    Returns
    -------
    float
        At most 1; nan when a side is empty.

    References
    ----------
    G. E. Noether, "Sample size determination for some common nonparametric tests", Journal of the American Statistical
    Association 82, 1987.

    Examples
    --------
    >>> round(smallest_effect(17, 69), 2)
    0.44
    """
    from scipy.stats import norm

    if not n_missed or not n_found:
        return np.nan
    z = norm.ppf(1 - level / tests / 2) + norm.ppf(power)
    return float(min(1, z * np.sqrt((n_missed + n_found) / (3 * n_missed * n_found))))
