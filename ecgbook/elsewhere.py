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
# # A second hospital: LUDB in the words of this book
# The Lobachevsky University Database (LUDB, {cite}`kalyakulina2020`, ODC-By) comes from another country, another
# device, and other people. This module does what the pre-registration
# ([](../book/beyond/preregistration.md)) fixed before a diagnosis was read: it turns LUDB's diagnoses into the four
# classes, and its records into what a page would show of them. It chooses nothing.

# %%
"""Read LUDB's diagnoses as the pre-registration says, and its records as the models see them."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ecgbook import draw, leads, ludb, measure
from ecgbook.data import EcgbookError, home, tables, write_whole, writing
from ecgbook.publish import ROOT
from ecgbook.synth import FS, Record, window

# %% [markdown]
# ## The rules
# LUDB files what its cardiologists found under eight headings, several lines under each. The table of the
# pre-registration assigns a record by the first of its nine lines that fits. Five outcomes are no class: they are
# reported apart, without a verdict.

# %%
PREREGISTRATION = ROOT / "book" / "beyond" / "preregistration.md"

HEADINGS = (
    "Rhythms",
    "Electric axis of the heart",
    "Conduction abnormalities",
    "Extrasystolies",
    "Hypertrophies",
    "Cardiac pacing",
    "Ischemia",
    "Non-specific repolarization abnormalities",
    "Other states",
)
_MORPHOLOGY = (
    "Hypertrophies",
    "Non-specific repolarization abnormalities",
    "Other states",
    "Conduction abnormalities",
)
_SINUS = {"Sinus rhythm", "Sinus arrhythmia"}
_BRADYCARDIA = "Sinus bradycardia"

#: What a line of the pre-registered table assigns a record to; the names of lines 2, 3, 6 and 9 are classes.
LINES = {
    1: "paced",
    2: "MI",
    3: "History_MI",
    4: "undefined",
    5: "ischaemia",
    6: "Abnormal",
    7: "bradycardia",
    8: "other morphology",
    9: "Normal",
}

Findings = dict[str, tuple[str, ...]]  # heading -> entries


def registered() -> str:
    """SHA-256 of the pre-registration, which every external result carries."""
    return hashlib.sha256(PREREGISTRATION.read_bytes()).hexdigest()


def _starts(found: Findings, heading: str, words: str) -> bool:
    return any(entry.casefold().startswith(words.casefold()) for entry in found.get(heading, ()))


def _disturbed(found: Findings) -> bool:
    """Line 6: rhythm, premature beats or conduction."""
    rhythms = set(found.get("Rhythms", ())) - _SINUS - {_BRADYCARDIA}
    slow = [e for e in found.get("Conduction abnormalities", ()) if not e.startswith("Incomplete")]
    return bool(rhythms or slow or found.get("Extrasystolies"))


def line(found: Findings) -> int:
    """Find the first line of the pre-registered table that fits a record.

    Parameters
    ----------
    found : dict
        Heading -> the cardiologists' entries under it; a heading without entries may be missing.

    Returns
    -------
    int
        1 to 9; see :data:`LINES`.

    Raises
    ------
    EcgbookError
        If no line fits: no rhythm is given.

    Examples
    --------
    >>> LINES[line({"Rhythms": ("Sinus rhythm",), "Ischemia": ("Stemi: septal", "Scar formation: septal")})]
    'MI'
    >>> LINES[line({"Rhythms": ("Sinus bradycardia",)})], LINES[line({"Rhythms": ("Sinus tachycardia",)})]
    ('bradycardia', 'Abnormal')
    """
    slow = _BRADYCARDIA in found.get("Rhythms", ())
    morphology = any(found.get(heading) for heading in _MORPHOLOGY)
    fits = (
        bool(found.get("Cardiac pacing")),
        _starts(found, "Ischemia", "STEMI"),
        _starts(found, "Ischemia", "Scar formation"),
        _starts(found, "Ischemia", "Undefined ischemia/scar/supp.NSTEMI"),
        bool(found.get("Ischemia")),
        _disturbed(found),
        slow and not morphology,
        morphology,
        bool(found.get("Rhythms")),
    )
    if not any(fits):
        raise EcgbookError("record: no rhythm is given, so no line of the pre-registration fits")
    return 1 + fits.index(True)


# %% [markdown]
# ## Reading the diagnoses
# They stand in `ludb.csv`, one row a record, entries under a heading on lines of their own. Ages are whole years;
# one is given as ">89". What the book carries of them is a small table: line, class, sex, age below 60 or not, and
# the three signs that later chapters ask for. The entries themselves stay where they are.


# %%
def diagnoses() -> pd.DataFrame:
    """Read the diagnoses of all records.

    Returns
    -------
    pandas.DataFrame
        Index ``record``, 1 to 200; ``sex`` ("Male" or "Female"), ``age`` (years; NaN if none is given), and for each
        of :data:`HEADINGS` a tuple of entries.

    Raises
    ------
    EcgbookError
        If LUDB is not there.
    """
    path = home() / "ludb" / "ludb.csv"
    if not path.is_file():
        raise EcgbookError(
            f"{path}: is not there; get LUDB with `ecgbook data fetch ludb`,"
            " or set ECGBOOK_DATA to the folder that holds ludb/"
        )
    with open(path, encoding="utf-8", newline="") as lines:
        read = list(csv.DictReader(lines))
    rows = []
    for row in read:
        sex = {"M": "Male", "F": "Female"}[row["Sex"].strip()]
        age = pd.to_numeric(row["Age"].strip().lstrip(">"), errors="coerce")
        entries = (tuple(filter(None, map(str.strip, row[heading].splitlines()))) for heading in HEADINGS)
        rows.append((int(row["ID"]), sex, age, *entries))
    frame = pd.DataFrame(rows, columns=["record", "sex", "age", *HEADINGS]).set_index("record")
    return frame.sort_index()


def assign(table: pd.DataFrame) -> pd.DataFrame:
    """Assign records to classes.

    Parameters
    ----------
    table : pandas.DataFrame
        As from :func:`diagnoses`.

    Returns
    -------
    pandas.DataFrame
        Same index; ``line`` (1 to 9), ``assigned`` (of :data:`LINES`), ``sex``, ``from_60`` (age 60 or more), and the
        findings that later questions need: ``scar``, ``lvh`` (left ventricular hypertrophy), ``bradycardia``.
    """
    rows = []
    for number, row in table.iterrows():
        found = {heading: row[heading] for heading in HEADINGS}
        first = line(found)
        signs = (
            _starts(found, "Ischemia", "Scar formation"),
            _starts(found, "Hypertrophies", "Left ventricular hypertrophy"),
            _BRADYCARDIA in found["Rhythms"],
        )
        rows.append((number, first, LINES[first], row["sex"], row["age"] >= 60, *signs))
    columns = ["record", "line", "assigned", "sex", "from_60", "scar", "lvh", "bradycardia"]
    return pd.DataFrame(rows, columns=columns).set_index("record")


# %% [markdown]
# The pre-registration names five other ways to read the same lines. Each changes the class of some records and nothing
# else; `undefined, either` depends on what a model says and is made where its predictions are known.

# %%
VARIANTS = ("bradycardia as Abnormal", "other morphology as Abnormal", "undefined as History_MI")
VARIANTS = (*VARIANTS, "MI without a scar")


def classes(table: pd.DataFrame, variant: str = "") -> pd.Series:
    """Class of each record, for one of the pre-registered readings.

    Parameters
    ----------
    table : pandas.DataFrame
        As from :func:`assigned`.
    variant : str
        One of :data:`VARIANTS`; by default the primary analysis.

    Returns
    -------
    pandas.Series
        A class for each record that has one; the others are left out.

    Examples
    --------
    >>> table = assigned()
    >>> len(classes(table, "bradycardia as Abnormal")) - len(classes(table)) == sum(table["line"] == 7)
    True
    """
    changed = {
        "": {},
        "bradycardia as Abnormal": {"bradycardia": "Abnormal"},
        "other morphology as Abnormal": {"other morphology": "Abnormal"},
        "undefined as History_MI": {"undefined": "History_MI"},
        "MI without a scar": {},
    }
    if variant not in changed:
        raise EcgbookError(f"{variant}: no such reading of the diagnoses; use one of {', '.join(VARIANTS)}")
    found = table["assigned"].replace(changed[variant])
    if variant == "MI without a scar":
        found = found[~((found == "MI") & table["scar"])]
    return found[found.isin([LINES[k] for k in (2, 3, 6, 9)])].rename("label")


# %% [markdown]
# ## Records as pages show them
# A record is filtered to 0.67-25 Hz and brought to 250 samples per second; a page shows 2.5 s of each lead in three
# rows of four, and ten seconds of lead II. Drawn, it carries no sex and no name, and the rate that our own program
# measures, for the form has a place for it.


# %%
def whole(number: int) -> Record:
    """All ten seconds of twelve leads of one record, filtered as the pages are, at 250 Hz.

    Parameters
    ----------
    number : int
        1 to 200.

    Returns
    -------
    Record
        ``rhythm`` is "II"; heart rate 0, sex and label empty.
    """
    signals = ludb.as_filtered(ludb.read(number)).astype(np.float32)
    return Record(signals, FS, "II", 0, "", "", {})


def shown(number: int) -> Record:
    """Keep of :func:`whole` what a page shows."""
    return window(whole(number))


def page(number: int, rate: float) -> Image.Image:
    """Draw a record in the layout of the EICP pages.

    Parameters
    ----------
    number : int
        1 to 200.
    rate : float
        Heart rate to print, per minute, as measured; NaN prints 0.

    Returns
    -------
    PIL.Image.Image
        RGB, 2213 x 1572 pixels.
    """
    record = whole(number)._replace(heart_rate=round(np.nan_to_num(rate)))
    return draw.draw_page(record, "Drawn from LUDB")[0]


# %% [markdown]
# ## What the models see
# The measurements of all records are carried, so that later chapters can work on a second hospital without its
# signals; median beats and signals are computed when LUDB is there. Sex decides the limits of the ST level in V2 and
# V3; for the pages it is the printed one, here that of the diagnoses table.


# %%
def measured(numbers: Sequence[int] = ludb.RECORDS) -> tuple[pd.DataFrame, np.ndarray]:
    """Measure records as they would be measured on a page.

    Parameters
    ----------
    numbers : sequence of int
        Records.

    Returns
    -------
    measurements : pandas.DataFrame
        Column ``file`` holds the record's number as text; then :data:`ecgbook.measure.COLUMNS`.
    median_beats : (r, 12, 226) float32 array
        As from :func:`ecgbook.measure.table`.
    """
    sex = diagnoses()["sex"]
    return measure.table((str(n), shown(n)._replace(sex=sex[n])) for n in numbers)


@lru_cache(maxsize=1)
def _features() -> pd.DataFrame:
    table = leads.features(*measured())
    return table.set_axis(table.index.astype(int), axis=0).rename_axis("record")


def features() -> pd.DataFrame:
    """Compute the columns that the headline model sees, for all records; needs LUDB, takes a minute.

    Returns
    -------
    pandas.DataFrame
        Index ``record``; the columns of ``models.features("all")``. A copy, yours to change.
    """
    return _features().copy()


def rebuild(folder: Path | None = None) -> pd.DataFrame:
    """Make the carried tables anew from LUDB: ``ludb_classes.csv`` and ``ludb_measurements.csv``.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where to write; by default the tables of the package.

    Returns
    -------
    pandas.DataFrame
        The first of them.
    """
    folder, frame = tables() if folder is None else Path(folder), assign(diagnoses())
    write_whole(
        folder / "ludb_classes.csv",
        frame.astype({"from_60": int, "scar": int, "lvh": int, "bradycardia": int}).to_csv(
            lineterminator="\n"
        ),
    )
    found = measured()[0].rename(columns={"file": "record"})
    with writing(folder / "ludb_measurements.csv") as part:
        found.to_csv(part, index=False, lineterminator="\n")
    return frame


def _carried(name: str) -> Path:
    path = tables() / name
    if not path.is_file():
        raise EcgbookError(f"{path}: is not there; make it with ecgbook.elsewhere.rebuild()")
    return path


def assigned() -> pd.DataFrame:
    """Read the carried classes of LUDB's records; columns as from :func:`assign`.

    Examples
    --------
    >>> len(assigned())
    200
    """
    flags = dict.fromkeys(("from_60", "scar", "lvh", "bradycardia"), bool)
    return pd.read_csv(_carried("ludb_classes.csv"), index_col="record").astype(flags)


def measurements() -> pd.DataFrame:
    """Read the carried measurements of LUDB's records: index ``record``, :data:`ecgbook.measure.COLUMNS`.

    Examples
    --------
    >>> measurements().shape[0]
    200
    """
    kinds = dict.fromkeys(measure.COLUMNS, "float64")
    return pd.read_csv(_carried("ludb_measurements.csv"), dtype=kinds).set_index("record")


# %%
if __name__ == "__main__":
    rebuild()
