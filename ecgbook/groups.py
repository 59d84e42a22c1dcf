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
# # Groups: pages that may be the same heart
# The protocol `grouped` keeps pages together that may come from one person. The printed exam number is the first
# reason to do so: pages that share one form a group. It is not enough. A machine that is switched off and on gives a
# new number to the same patient minutes later, and two pages of one heart look more alike than two strangers ever do.
# So the signals are asked as well, and pages that are too much alike join one group whatever their numbers say.

# %%
"""Join pages into groups: same printed exam number, or signals more alike than strangers' can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ecgbook import data, measure

# %% [markdown]
# ## How alike are two pages?
# We compare the median beats of all twelve leads. The distance of two pages is the power of their difference over the
# mean of their powers, as a ratio of voltages: with $a$ and $b$ the samples that both pages know,
#
# $$d = \min_s \sqrt{\frac{\sum (a - b_s)^2}{\tfrac12 \sum a^2 + \tfrac12 \sum b_s^2}},$$
#
# where $b_s$ is $b$ shifted by a few milliseconds. It is 0 for the same beat, 1 or more for unrelated ones, and it
# keeps the voltages: two healthy hearts of the same shape but different size are not close.

# %%
SHIFTS = range(-4, 5)  # samples, 4 ms each
MARGIN = 20  # samples left out at both ends, so that a shifted beat is still whole


def distances(beats: np.ndarray) -> np.ndarray:
    """Compare the median beats of all pairs of pages.

    Parameters
    ----------
    beats : (n, leads, samples) array
        Millivolts, NaN where not known; see :func:`ecgbook.measure.median_beats`.

    Returns
    -------
    (n, n) array
        Symmetric, 0 on the diagonal.

    Examples
    --------
    >>> t = np.arange(226.0)
    >>> beat = np.exp(-(((t - 90) / 6) ** 2))
    >>> later = np.exp(-(((t - 92) / 6) ** 2))
    >>> upright, late, inverted = (np.tile(b, (12, 1)) for b in (beat, later, -beat))
    >>> distances(np.array([upright, late, inverted])).round(2).tolist()
    [[0.0, 0.0, 1.9], [0.0, 0.0, 1.79], [1.9, 1.79, 0.0]]
    """
    beats = np.asarray(beats, float)
    inside = slice(MARGIN, beats.shape[2] - MARGIN)
    still, known = _flat(beats[:, :, inside])
    nearest = np.full((len(beats), len(beats)), np.inf)
    for shift in SHIFTS:
        moved, known_too = _flat(np.roll(beats, shift, axis=2)[:, :, inside])
        power = (still**2) @ known_too.T + known @ (moved**2).T
        difference = np.maximum(power - 2 * still @ moved.T, 0)
        ratio = np.divide(difference, power / 2, out=np.full_like(power, np.inf), where=power > 0)
        nearest = np.minimum(nearest, np.sqrt(ratio))
    nearest = np.minimum(nearest, nearest.T)
    np.fill_diagonal(nearest, 0)
    return nearest


def _flat(beats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = beats.reshape(len(beats), -1)
    return np.nan_to_num(rows), np.isfinite(rows).astype(float)


# %% [markdown]
# ## How close is too close?
# The threshold must come from pairs that are certainly not one sitting. The pages were recorded in three batches, in
# 2019, August and October 2020; two pages of different batches with different exam numbers lie months apart. The
# closest such pair shows how alike two separate recordings can be. Any pair closer than that is joined. No label
# enters.


# %%
def threshold(distance: np.ndarray, exam: np.ndarray, batch: np.ndarray) -> float:
    """Return the least distance between pages of different batches and different exam numbers.

    Parameters
    ----------
    distance : (n, n) array
        See :func:`distances`.
    exam, batch : (n,) arrays
        Printed exam group and scan batch of each page.

    Returns
    -------
    float

    Examples
    --------
    >>> distance = np.array([[0, 0.1, 0.4], [0.1, 0, 0.5], [0.4, 0.5, 0]])
    >>> threshold(distance, np.array([1, 2, 3]), np.array(["2019", "2019", "2020a"]))
    0.4
    """
    apart = (exam[:, None] != exam[None, :]) & (batch[:, None] != batch[None, :])
    return float(distance[apart].min())


def join(exam: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Join the groups of pairs of pages; a joined group takes its lowest number.

    Parameters
    ----------
    exam : (n,) array of int
        Group of each page before.
    pairs : (k, 2) array of int
        Row numbers of pages that belong together.

    Returns
    -------
    (n,) array of int

    Examples
    --------
    >>> join(np.array([1, 2, 3, 3]), np.array([[1, 2]])).tolist()
    [1, 2, 2, 2]
    """
    group = np.array(exam)
    for a, b in pairs:
        low, high = sorted((group[a], group[b]))
        group[group == high] = low
    return group


def rebuild(folder: Path | None = None) -> pd.DataFrame:
    """Compute the groups of the 491 pages and write ``groups.csv``.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where to write; by default the tables of the package.

    Returns
    -------
    pandas.DataFrame
        Columns ``file`` and ``group``.
    """
    files, beats = measure.median_beats()
    pages = data.pages().set_index("file").loc[files]
    exam, distance = pages["exam"].to_numpy(), distances(beats)
    limit = threshold(distance, exam, pages["batch"].to_numpy())
    pairs = np.argwhere(np.triu(distance < limit, k=1))
    groups = pd.DataFrame({"file": files, "group": join(exam, pairs)})
    folder = data.tables() if folder is None else Path(folder)
    data.write_whole(folder / "groups.csv", groups.to_csv(index=False, lineterminator="\n"))
    return groups
