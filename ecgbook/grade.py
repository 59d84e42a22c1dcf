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
# # Grade: checks that do not tell the answer
# A student who has worked on an exercise wants to know at once whether the answer is right, without being
# shown it. So the book carries a *seal* of each answer instead of the answer: a digest, salted with the name
# of the exercise, of the number rounded to the tolerance, or of the word. A check seals what the student
# hands over and compares seals. It is a curtain and no lock: whoever computes long enough can look behind it,
# so marks that count are given by a person who reads the solution.

# %%
"""Check the answer to an exercise against its seal, and say in one sentence what is not right."""

from __future__ import annotations

import ast
import csv
import difflib
import functools
import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ecgbook import data
from ecgbook.data import EcgbookError

# %% [markdown]
# ## What is carried
# Three small files. `exercises.csv` is written by hand: for each exercise the minutes it takes, what it
# trains, and, if it can be checked, what is to be handed over and how exactly. `answers.json` holds the
# seals; `python -m ecgbook.classroom key` writes it from the executed solutions of the book. `slips.csv` names
# wrong answers that people often give, each with a sentence that helps.

# %%
EXERCISES, ANSWERS, SLIPS = (data.tables() / f for f in ("exercises.csv", "answers.json", "slips.csv"))


class Exercise(NamedTuple):
    """What is declared about an exercise beside its text."""

    label: str
    minutes: int
    trains: str
    hand_over: str  # empty: no check, for the answer is an argument and not a value
    tolerance: float  # numbers may be off by this much; 0: exactly


@functools.cache
def declared(path: Path = EXERCISES) -> dict[str, Exercise]:
    """Return what is declared about the exercises, by label.

    Examples
    --------
    >>> declared()["ex-copies-1"].hand_over
    'the missing number, and the number of the page that it would have copied'
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [
            Exercise(r["label"], int(r["minutes"]), r["trains"], r["hand_over"], float(r["tolerance"] or 0))
            for r in csv.DictReader(stream)
        ]
    return {row.label: row for row in rows}


@functools.cache
def seals(path: Path = ANSWERS) -> dict[str, object]:
    """Return the seals of the answers, by label."""
    return json.loads(path.read_text(encoding="utf-8"))


@functools.cache
def slips(path: Path = SLIPS) -> tuple[tuple[str, object, str], ...]:
    """Return the usual mistakes: label, wrong answer, and what to say to it."""
    with path.open(encoding="utf-8", newline="") as stream:
        return tuple((r["label"], ast.literal_eval(r["slip"]), r["says"]) for r in csv.DictReader(stream))


# %% [markdown]
# ## From an answer to plain values
# People hand over what they have: a NumPy number, a Series, a tuple. All of it is brought to lists,
# dictionaries, sets, numbers and words before anything is compared; yes and no may be said as `True` and
# `False`.


# %%
def plain(value: object) -> object:
    """Bring an answer to nested lists, dictionaries with words as keys, frozen sets, floats and words.

    Parameters
    ----------
    value : object
        Anything a student may hand over; NumPy and pandas objects included.

    Returns
    -------
    object
        ``None`` stays ``None``.

    Examples
    --------
    >>> import numpy as np
    >>> plain((np.int64(3), {"MI": 0.5}, " Lead  II"))
    [3.0, {'mi': 0.5}, 'lead ii']
    >>> plain(True)
    'yes'
    """
    if hasattr(value, "to_dict"):  # pandas
        value = value.to_dict()
    elif hasattr(value, "tolist"):  # NumPy
        value = value.tolist()
    if isinstance(value, dict):
        return {_word(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return frozenset(plain(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else str(value)
    return value if value is None else _word(str(value))


def _word(text: str) -> str:
    return " ".join(text.casefold().split())


# %% [markdown]
# ## Seals
# A number $a$ with tolerance $t$ is sealed as its step $\operatorname{round}(a/t)$. An answer passes if its
# step or one of the two next to it bears the seal: whatever is within $t$ of the truth passes, whatever is
# farther than $2t$ does not. The place within the answer is part of what is sealed, so that two equal values
# have different seals.


# %%
def _stamp(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def _steps(value: object, tolerance: float) -> list[str]:
    """The seal's text for a leaf, then the texts that pass as well."""
    if not isinstance(value, float):
        return [f"word {value}"]
    if not tolerance:
        return [f"number {value:.12g}"]
    step = round(value / tolerance)
    return [f"step {step}", f"step {step - 1}", f"step {step + 1}"]


def seal(label: str, answer: object, tolerance: float = 0.0) -> object:
    """Seal an answer.

    Parameters
    ----------
    label : str
        Label of the exercise.
    answer : object
        The right answer.
    tolerance : float, default 0
        How far numbers may be off.

    Returns
    -------
    object
        A text for a single value; a list or a dictionary of seals otherwise; ``{"set of": [...]}`` for a set.

    Examples
    --------
    >>> sorted(seal("ex-demo-1", {"MI": 0.5, "Normal": 0.7}, 0.05))
    ['mi', 'normal']
    """
    return _sealed(label, "", plain(answer), tolerance)


def _sealed(label: str, place: str, value: object, tolerance: float) -> object:
    if isinstance(value, dict):
        return {key: _sealed(label, f"{place}/{key}", item, tolerance) for key, item in value.items()}
    if isinstance(value, list):
        return [_sealed(label, f"{place}/{n}", item, tolerance) for n, item in enumerate(value)]
    if isinstance(value, frozenset):
        return {"set of": sorted(_stamp(label, place, *_steps(item, 0)) for item in value)}
    return _stamp(label, place, _steps(value, tolerance)[0])


# %% [markdown]
# ## Comparing
# The comparison walks through answer and seal side by side and yields a sentence for each fault, never the answer. Of
# several values it says which are wrong, for that is what a student wants to know next.


# %%
def _faults(label: str, place: str, value: object, sealed: object, tolerance: float) -> Iterator[str]:
    if isinstance(sealed, dict) and list(sealed) == ["set of"]:
        yield from _faults_of_set(label, place, value, sealed["set of"])
    elif isinstance(sealed, dict):
        yield from _faults_of_dict(label, place, value, sealed, tolerance)
    elif isinstance(sealed, list):
        yield from _faults_of_list(label, place, value, sealed, tolerance)
    elif isinstance(value, dict | list | frozenset):
        yield "one value is asked for" if not place else f"{_named(place)} is to be one value"
    elif all(_stamp(label, place, step) != sealed for step in _steps(value, tolerance)):
        yield "it is not right" if not place else f"{_named(place)} is not right"


def _faults_of_set(label: str, place: str, value: object, sealed: list[str]) -> Iterator[str]:
    # One member of a set may be handed over bare, several as a list.
    members = value if isinstance(value, frozenset | list) else [value]
    if not all(isinstance(item, float | str) for item in members):
        yield "a set of single values is asked for"
        return
    given = {_stamp(label, place, *_steps(item, 0)) for item in members}
    wrong, missing = len(given - set(sealed)), len(set(sealed) - given)
    if wrong:
        yield f"{wrong} of your {len(given)} do not belong to it"
    if missing:
        yield f"{missing} of {len(sealed)} are missing"


def _faults_of_dict(label: str, place: str, value: object, sealed: dict, tolerance: float) -> Iterator[str]:
    if not isinstance(value, dict) or set(value) != set(sealed):
        yield f"a dictionary or Series with the keys {', '.join(sealed)} is asked for"
        return
    for key, inner in sealed.items():
        yield from _faults(label, f"{place}/{key}", value[key], inner, tolerance)


def _faults_of_list(label: str, place: str, value: object, sealed: list, tolerance: float) -> Iterator[str]:
    if not isinstance(value, list) or len(value) != len(sealed):
        yield f"{len(sealed)} values are asked for, as a tuple"
        return
    for n, (item, inner) in enumerate(zip(value, sealed, strict=True)):
        yield from _faults(label, f"{place}/{n}", item, inner, tolerance)


def _named(place: str) -> str:
    """Name a place in an answer as a person would: values are counted from 1."""
    parts = [f"value {int(p) + 1}" if p.isdigit() else p for p in place.strip("/").split("/")]
    return ", ".join(parts)


# %% [markdown]
# ## The check
# What a notebook of the student edition calls. It never raises for an answer, whatever it is, and an exercise
# that is not answered yet is not an error: the notebook must run to its end with all its blanks.


# %%
class Verdict(NamedTuple):
    """What a check says; it shows as its sentence."""

    passed: bool | None  # None: not answered yet
    why: str

    def __repr__(self) -> str:
        return self.why


def check(label: str, answer: object = None) -> Verdict:
    """Check the answer to an exercise.

    Parameters
    ----------
    label : str
        Label of the exercise, such as ``"ex-copies-1"``.
    answer : object, optional
        What :func:`asked` asks for. ``None`` is "not answered yet".

    Returns
    -------
    Verdict
        ``passed`` (True, False, or None if not answered yet) and one sentence.

    Raises
    ------
    EcgbookError
        If there is no check for this label.

    Examples
    --------
    >>> check("ex-copies-1")
    ex-copies-1: not answered yet. Asked for: the missing number, and ...
    >>> check("ex-copies-1", 240).passed
    False
    """
    exercise, sealed = declared().get(label), seals().get(label)
    if exercise is None or sealed is None:
        near = difflib.get_close_matches(label, seals(), n=1)
        hint = f"did you mean {near[0]}?" if near else "grade.seals() lists those that have one"
        raise EcgbookError(f"{label}: no exercise with a check; {hint}")
    asked_for = f"Asked for: {exercise.hand_over}."
    value = plain(answer)
    if value is None or (isinstance(value, list) and value and all(item is None for item in value)):
        return Verdict(None, f"{label}: not answered yet. {asked_for}")
    faults = list(_faults(label, "", value, sealed, exercise.tolerance))
    if not faults:
        return Verdict(True, f"{label}: right.")
    for of, slip, says in slips():
        if of == label and _same(value, plain(slip), exercise.tolerance):
            return Verdict(False, f"{label}: not yet. {says}")
    return Verdict(False, f"{label}: not yet: {'; '.join(faults)}. {asked_for}")


def _same(value: object, slip: object, tolerance: float) -> bool:
    return not list(_faults("slip", "", value, _sealed("slip", "", slip, tolerance), tolerance))


def asked(label: str) -> str:
    """Say what the check of an exercise asks for; empty if it has no check.

    Examples
    --------
    >>> asked("ex-lookup-4")
    ''
    """
    exercise = declared().get(label)
    return exercise.hand_over if exercise and label in seals() else ""
