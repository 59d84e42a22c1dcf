"""Checks of answers: what passes, what does not, and what is said."""

from __future__ import annotations

import ast

import numpy as np
import pandas as pd
import pytest

from ecgbook import classroom, grade, publish
from ecgbook.data import EcgbookError

BOOK = classroom.book_answers()
checked = pytest.mark.parametrize("label", sorted(grade.seals()))


def spoilt(value: object, tolerance: float):
    """Every way to make one leaf of an answer wrong, by more than its tolerance."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from ({**value, key: wrong} for wrong in spoilt(item, tolerance))
        yield {**value, "one more": 1.0}
        yield {key: value[key] for key in list(value)[1:]}
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from ([*value[:n], wrong, *value[n + 1 :]] for wrong in spoilt(item, tolerance))
        yield [*value, 1.0]
        yield value[1:]
    elif isinstance(value, frozenset):
        yield value | {"one more"}
        yield frozenset()
    elif isinstance(value, float):
        off = 3.5 * tolerance or 1.0
        yield from (value + off, value - off, str(value) + "x", float("nan"))
    else:
        yield from (f"not {value}", 1.0)


def test_there_are_checks_enough():
    assert len(grade.seals()) >= 40


@checked
def test_the_books_own_solution_passes_its_check(label):
    assert label in BOOK, "this exercise has no solution that shows an answer any more"
    verdict = grade.check(label, BOOK[label])
    assert verdict.passed, f"{verdict} If the solution is right: python -m ecgbook.classroom key"


@checked
def test_every_spoilt_answer_fails_with_a_sentence(label):
    wrong = list(spoilt(grade.plain(BOOK[label]), grade.declared()[label].tolerance))
    assert len(wrong) >= 2
    for answer in wrong:
        verdict = grade.check(label, answer)
        assert verdict.passed is False, answer
        assert label in verdict.why and verdict.why.endswith((".", "?"))


@checked
def test_a_blank_is_no_error(label):
    assert grade.check(label).passed is None
    assert grade.check(label, None).why.startswith(f"{label}: not answered yet")


@checked
def test_whatever_is_handed_over_is_judged(label):
    for strange in (
        "",
        [],
        {},
        set(),
        object,
        np.zeros((2, 2)),
        pd.Series(dtype=float),
        {"a": {"b": [None]}},
    ):
        assert grade.check(label, strange).passed is False


def test_what_is_asked_for_is_sealed_and_what_is_sealed_is_asked_for():
    asked = {label for label, exercise in grade.declared().items() if exercise.hand_over}
    assert asked == set(grade.seals())


def test_no_seal_tells_its_answer():
    text = grade.ANSWERS.read_text(encoding="utf-8")
    leaves = [leaf for sealed in grade.seals().values() for leaf in _leaves(sealed)]
    assert all(len(leaf) == 16 and int(leaf, 16) >= 0 for leaf in leaves)
    assert len(set(leaves)) == len(leaves), "equal values would be seen to be equal"
    assert "215" not in set(text.replace('"', " ").replace(",", " ").split())


def _leaves(sealed: object):
    if isinstance(sealed, str):
        yield sealed
    else:
        for inner in sealed.values() if isinstance(sealed, dict) else sealed:
            yield from _leaves(inner)


@pytest.mark.parametrize("row", range(len(grade.slips())), ids=lambda n: grade.slips()[n][0])
def test_every_slip_is_wrong_and_gets_its_sentence(row):
    label, slip, says = grade.slips()[row]
    verdict = grade.check(label, slip)
    assert verdict.passed is False and says in verdict.why


@pytest.mark.parametrize(
    ("off", "passes"), [(0.0, True), (0.049, True), (-0.049, True), (0.11, False), (-0.11, False)]
)
def test_tolerance(monkeypatch, off, passes):
    for right in np.linspace(-1, 1, 41):
        exercise = grade.Exercise("ex-demo-1", 5, "", "a number", 0.05)
        monkeypatch.setattr(grade, "declared", lambda e=exercise: {"ex-demo-1": e})
        sealed = {"ex-demo-1": grade.seal("ex-demo-1", right, 0.05)}
        monkeypatch.setattr(grade, "seals", lambda s=sealed: s)
        assert grade.check("ex-demo-1", right + off).passed is passes


def test_answers_may_come_as_what_people_have():
    assert grade.check("ex-study-3", np.array(BOOK["ex-study-3"])).passed
    as_series = pd.Series(BOOK["ex-study-2"])
    assert grade.check("ex-study-2", as_series).passed
    assert grade.check("ex-copies-1", [np.int64(215), np.int16(5)]).passed


def test_it_says_which_part_is_wrong():
    first, second = BOOK["ex-study-3"]
    assert "value 2 is not right" in grade.check("ex-study-3", (first, second / 2)).why
    wrong = {**BOOK["ex-study-2"], "low": 0.9}
    assert "low is not right" in grade.check("ex-study-2", wrong).why
    assert "2 values are asked for" in grade.check("ex-study-3", 72).why


def test_an_unknown_label_is_named_with_a_near_one():
    with pytest.raises(EcgbookError, match="did you mean ex-copies-1"):
        grade.check("ex-copys-1", 1)


def test_the_key_is_what_the_command_writes():
    """Every seal fits the stored outputs, so sealing again changes nothing but rounding."""
    assert publish.ROOT in grade.ANSWERS.parents
    assert set(ast.literal_eval(classroom.key())) == set(grade.seals())
    assert classroom.key() == grade.ANSWERS.read_text(encoding="utf-8")
