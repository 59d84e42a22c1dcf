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
# # Splits: who may stand on which side
# A test score means something only if the test pages are news to the model. On a data set in which half of
# the files are copies of others, a random split is not enough: the same page stands on both sides. This
# module draws the line in four ways, called *protocols*, from the paper's own (which leaks) to the most
# cautious one. A split is nothing but three arrays of row numbers, so any model and any loop can use it.

# %%
"""The four protocols: which pages train, which validate, which test."""

from __future__ import annotations

import difflib
import re
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecgbook import data
from ecgbook.data import EcgbookError

# %% [markdown]
# ## Three parts, four protocols
# Train teaches the model; validation chooses between settings (when to stop, which classifier); test is
# looked at once. Row numbers point into `data.files()` under `paper`, for which copies count, and into
# `data.pages()` under the other three, for which they do not.

# %%
PROTOCOLS = {
    "paper": "all 928 files, stratified by class: as the paper says, copies and all",
    "unique": "the 491 distinct pages, stratified by class",
    "grouped": "the 491 distinct pages, stratified, no group on two sides: the headline protocol",
    "peer": "the 491 distinct pages, exactly as one published repository split them",
}

SHARE = 0.15  # validation and test each, of all rows; the paper's 7 : 1.5 : 1.5


class Split(NamedTuple):
    """Row numbers of the three parts: sorted, disjoint integer arrays."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


# %% [markdown]
# ## Drawing a part
# Both rules below take 15 % of all rows out of those still free. The stratified rule keeps the class shares
# to within one page. The grouped rule can only move whole groups: it deals the groups into parts of about the
# right size, as alike in class mix as the groups allow, and draws one of these parts by lot. (By lot, because
# the dealer starts with the largest group and always lays it on the first part.)


# %%
def _take_stratified(frame: pd.DataFrame, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    size = int(np.ceil(SHARE * len(frame)))
    labels = frame["label"].to_numpy()[rows]
    return train_test_split(rows, test_size=size, stratify=labels, random_state=seed)


def _take_grouped(frame: pd.DataFrame, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    n_parts = round(len(rows) / (SHARE * len(frame)))
    deals = _deal_groups(frame.iloc[rows], n_parts, seed)
    rest, taken = deals[np.random.default_rng(seed).integers(n_parts)]
    return rows[rest], rows[taken]


def _deal_groups(frame: pd.DataFrame, n_parts: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Deal whole groups into parts; for each part, (the other rows, its rows)."""
    from sklearn.model_selection import StratifiedGroupKFold

    dealer = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed)
    with (
        warnings.catch_warnings()
    ):  # a class with fewer rows left than parts is absent from some: no fault here
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return list(dealer.split(frame, frame["label"], frame["group"]))


_TAKE = {"paper": _take_stratified, "unique": _take_stratified, "grouped": _take_grouped}


# %% [markdown]
# ## Holdout: one split
# Test is taken first, then validation by the same rule from what is left. Under `paper` that gives 648, 140
# and 140 files for every seed, the test part with 36 MI, 26 History_MI, 35 Abnormal and 43 Normal: the counts
# the paper prints.


# %%
def holdout(protocol: str, frame: pd.DataFrame, seed: int = 0) -> Split:
    """Split once into train (about 70 %), validation (15 %) and test (15 %).

    Parameters
    ----------
    protocol : str
        One of :data:`PROTOCOLS`.
    frame : pandas.DataFrame
        ``data.files()`` for "paper", ``data.pages()`` for the others; needs ``label``, and beyond "paper" ``sha256``,
        for "grouped" ``group``.
    seed : int, default 0
        Same seed, same split. "peer" is one published split and has no other seed.

    Returns
    -------
    Split
        Row numbers into `frame`, sorted. Under "grouped" the shares are about 14 % each, as whole groups allow.

    Raises
    ------
    EcgbookError
        Unknown protocol, a column missing or incomplete, copies where there should be none, too few rows.

    See Also
    --------
    folds : every row once in test.

    Examples
    --------
    >>> from ecgbook import data
    >>> split = holdout("paper", data.files())
    >>> [len(part) for part in split]
    [648, 140, 140]
    """
    _check(protocol, frame, least=4)
    if protocol == "peer":
        return _published_split(frame, seed)
    rest, test = _TAKE[protocol](frame, np.arange(len(frame)), seed)
    train, val = _TAKE[protocol](frame, rest, seed)
    return Split(np.sort(train), np.sort(val), np.sort(test))


# %% [markdown]
# ## Folds: every page tested once
# With 30 MI pages in all, a single test part holds four or five, and a recall of 3 of 4 says little.
# Cross-validation tests every page once: each fold in turn is the test part, and validation comes out of the
# remainder by the protocol's own rule. Repeating it with another seed shows how much the score owes to the
# dealing.


# %%
def folds(protocol: str, frame: pd.DataFrame, repeat: int = 0, n_splits: int = 5) -> list[Split]:
    """Split for cross-validation: every row is in test exactly once over the folds.

    Parameters
    ----------
    protocol : str
        "paper", "unique" or "grouped" ("peer" is a single split).
    frame : pandas.DataFrame
        As for :func:`holdout`.
    repeat : int, default 0
        Number of the repeat; it is the seed.
    n_splits : int, default 5
        Number of folds, at least 2.

    Returns
    -------
    list of Split
        One per fold; validation is about 15 % of all rows, taken from the training side.

    Raises
    ------
    EcgbookError
        As :func:`holdout`; and for "peer".

    Examples
    --------
    >>> from ecgbook import data
    >>> splits = folds("unique", data.pages(), repeat=1)
    >>> [len(split.test) for split in splits]
    [99, 98, 98, 98, 98]
    """
    _check(protocol, frame, least=max(n_splits, 4))
    if protocol == "peer":
        raise EcgbookError("peer: is one published split without folds; use holdout, or the protocol grouped")
    if n_splits < 2:
        raise EcgbookError(f"n_splits: {n_splits} folds leave nothing to train on; use 2 or more")
    splits = []
    for rest, test in _DEAL[protocol](frame, n_splits, repeat):
        train, val = _TAKE[protocol](frame, rest, repeat)
        splits.append(Split(np.sort(train), np.sort(val), np.sort(test)))
    return splits


def _deal_rows(frame: pd.DataFrame, n_parts: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Deal single rows into parts; for each part, (the other rows, its rows)."""
    from sklearn.model_selection import StratifiedKFold

    dealer = StratifiedKFold(n_parts, shuffle=True, random_state=seed)
    return list(dealer.split(frame, frame["label"]))


_DEAL = {"paper": _deal_rows, "unique": _deal_rows, "grouped": _deal_groups}


# %% [markdown]
# ## Peer: a published split, recomputed
# One public repository (FarhanKO/Disease-Risk-Prediction) removed the copies before splitting, and published
# which page went where. Its recipe is scikit-learn's `train_test_split` with seed 42, 70 % and 30 %, and the
# 30 % halved by the same call. The result depends on the order of the list it is fed: it is the order of the
# number in the file name within each class (`MI(2)` before `MI(10)`). The classes themselves may come in any
# order, for a stratified draw goes class by class.


# %%
def _published_split(frame: pd.DataFrame, seed: int) -> Split:
    from sklearn.model_selection import train_test_split

    if seed != 0:
        raise EcgbookError(f"peer: is one published split, so it has no seed {seed}; leave seed at 0")
    if set(frame["file"]) != set(data.pages()["file"]):
        raise EcgbookError("peer: was published for the 491 distinct pages; pass data.pages()")
    labels = frame["label"].to_numpy()
    order = np.argsort([_number(file) for file in frame["file"]], kind="stable")
    train, rest = train_test_split(order, test_size=0.30, stratify=labels[order], random_state=42)
    val, test = train_test_split(rest, test_size=0.50, stratify=labels[rest], random_state=42)
    return Split(np.sort(train), np.sort(val), np.sort(test))


def _number(file: str) -> int:
    return int(re.findall(r"\d+", file)[-1])


# %% [markdown]
# ## Looking at a split
# Two questions to ask of any split before any model: does every part hold every class, and which test rows
# have a twin on the training side? The second answer is an array of yes and no; under `paper` its mean is
# about 0.6.


# %%
def counts(split: Split, frame: pd.DataFrame) -> pd.DataFrame:
    """Count the rows of each class in each part.

    Parameters
    ----------
    split : Split
        As from :func:`holdout` or :func:`folds`.
    frame : pandas.DataFrame
        The frame it was made for.

    Returns
    -------
    pandas.DataFrame
        Index: the classes; columns: ``train``, ``val``, ``test``.

    Examples
    --------
    >>> from ecgbook import data
    >>> counts(holdout("paper", data.files()), data.files())["test"].to_dict()
    {'MI': 36, 'History_MI': 26, 'Abnormal': 35, 'Normal': 43}
    """
    per_part = {part: frame["label"].iloc[rows].value_counts() for part, rows in split._asdict().items()}
    return pd.DataFrame(per_part).reindex(data.CLASSES).fillna(0).astype(int)


def leaked(split: Split, keys: pd.Series | np.ndarray) -> np.ndarray:
    """Say which test rows have a twin among the training rows.

    Parameters
    ----------
    split : Split
        As from :func:`holdout` or :func:`folds`.
    keys : array of shape (n_rows,)
        What makes twins: rows with equal keys. File hashes for copies, groups for shared exam IDs.

    Returns
    -------
    numpy.ndarray of bool, shape (len(split.test),)
        In the order of ``split.test``.

    Examples
    --------
    >>> split = Split(train=np.array([0, 1]), val=np.array([2]), test=np.array([3, 4]))
    >>> leaked(split, np.array(["a", "b", "c", "b", "c"]))
    array([ True, False])
    """
    keys = np.asarray(keys)
    return np.isin(keys[split.test], keys[split.train])


# %% [markdown]
# ## Refusing what cannot be right
# A split of the wrong frame would run without a sound and give a wrong number: copies under `unique`, say, or
# pages without a group under `grouped`. So each condition is checked, and the message says what to pass
# instead.


# %%
def _check(protocol: str, frame: pd.DataFrame, least: int) -> None:
    if protocol not in PROTOCOLS:
        near = difflib.get_close_matches(str(protocol), PROTOCOLS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(PROTOCOLS)}"
        raise EcgbookError(f"{protocol}: no such protocol; {hint}")
    needed = {
        "paper": ["label"],
        "peer": ["label", "sha256", "file"],
        "grouped": ["label", "sha256", "group"],
    }
    for column in needed.get(protocol, ["label", "sha256"]):
        _check_column(protocol, frame, column)
    if protocol != "paper" and frame["sha256"].duplicated().any():
        n_copies = int(frame["sha256"].duplicated().sum())
        raise EcgbookError(f"{protocol}: {n_copies} of the {len(frame)} rows are copies; pass data.pages()")
    _check_size(protocol, frame, least)


def _check_column(protocol: str, frame: pd.DataFrame, column: str) -> None:
    if column not in frame:
        raise EcgbookError(f"{protocol}: the frame has no column {column}; pass data.files() or data.pages()")
    n_missing = int(frame[column].isna().sum())
    if n_missing:
        raise EcgbookError(
            f"{protocol}: {n_missing} of the {len(frame)} rows have no {column}; rebuild the manifest or drop them"
        )


def _check_size(protocol: str, frame: pd.DataFrame, least: int) -> None:
    sizes = frame["label"].value_counts()
    if sizes.empty or len(frame) * SHARE < len(sizes):
        raise EcgbookError(f"{protocol}: {len(frame)} rows are too few for three parts; pass more")
    if sizes.min() < least:
        raise EcgbookError(
            f"{protocol}: {sizes.idxmin()} has {sizes.min()} rows, {least} are needed; pass more"
        )
    if protocol == "grouped" and frame["group"].nunique() < max(least, round(1 / SHARE)):
        raise EcgbookError(f"grouped: {frame['group'].nunique()} groups are too few to deal out; pass more")
