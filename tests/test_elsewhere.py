"""Tests of ecgbook.elsewhere: LUDB's diagnoses in four classes, its records as pages show them."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from ecgbook import data, draw, elsewhere, measure, models
from ecgbook.data import CLASSES, EcgbookError

SINUS = {"Rhythms": ("Sinus rhythm",)}
PACED = {"Cardiac pacing": ("UNIpolar ventricular pacing",)}
STEMI = {"Ischemia": ("STEMI: anterior wall",)}
SCAR = {"Ischemia": ("Scar formation: inferior wall",)}
UNDEFINED = {"Ischemia": ("Undefined ischemia/scar/supp.NSTEMI: lateral wall",)}
ISCHAEMIA = {"Ischemia": ("Ischemia: lateral wall",)}
LBBB = {"Conduction abnormalities": ("Complete left bundle branch block",)}
LVH = {"Hypertrophies": ("Left ventricular hypertrophy",)}


def there() -> bool:
    return (data.home() / "ludb" / "ludb.csv").is_file()


with_ludb = pytest.mark.skipif(not there(), reason="needs LUDB")


# Hand-made findings, each with the line of the registered table that a reader of it would choose.


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (SINUS | PACED, 1),
        (SINUS | STEMI, 2),
        (SINUS | {"Ischemia": ("Stemi: septal",)}, 2),  # the spelling varies
        (SINUS | SCAR, 3),
        (SINUS | UNDEFINED, 4),
        (SINUS | ISCHAEMIA, 5),
        ({"Rhythms": ("Sinus tachycardia",)}, 6),
        ({"Rhythms": ("Atrial fibrillation",)}, 6),
        ({"Rhythms": ("Irregular sinus rhythm",)}, 6),
        (SINUS | {"Extrasystolies": ("Ventricular extrasystole: single",)}, 6),
        (SINUS | LBBB, 6),
        (SINUS | {"Conduction abnormalities": ("Incomplete right bundle branch block",)}, 8),
        ({"Rhythms": ("Sinus bradycardia",)}, 7),
        ({"Rhythms": ("Sinus bradycardia",), "Electric axis of the heart": ("left axis",)}, 7),
        ({"Rhythms": ("Sinus bradycardia",)} | LVH, 8),
        (SINUS | LVH, 8),
        (SINUS | {"Non-specific repolarization abnormalities": ("anterior wall",)}, 8),
        (SINUS | {"Other states": ("Early repolarization syndrome",)}, 8),
        (SINUS, 9),
        ({"Rhythms": ("Sinus arrhythmia",), "Electric axis of the heart": ("vertical",)}, 9),
    ],
)
def test_each_line_of_the_table(found, line):
    assert elsewhere.line(found) == line


ORDER = [PACED, STEMI, SCAR, UNDEFINED, ISCHAEMIA, LBBB, LVH]
LINES = [1, 2, 3, 4, 5, 6, 8]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_of_several_findings_the_first_line_counts(first):
    together = dict(SINUS)
    for found in ORDER[first:]:
        for heading, entries in found.items():
            together[heading] = together.get(heading, ()) + entries
    assert elsewhere.line(together) == LINES[first]


def test_an_entry_that_only_mentions_a_word_does_not_fit():
    assert elsewhere.line(SINUS | {"Ischemia": ("Ischemia, no scar formation",)}) == 5


def test_no_rhythm_no_line():
    with pytest.raises(EcgbookError, match="no rhythm"):
        elsewhere.line({"Electric axis of the heart": ("normal",)})


def people(*rows) -> pd.DataFrame:
    table = pd.DataFrame(
        [
            {"sex": sex, "age": age, **{h: found.get(h, ()) for h in elsewhere.HEADINGS}}
            for sex, age, found in rows
        ],
        index=pd.RangeIndex(1, len(rows) + 1, name="record"),
    )
    return elsewhere.assign(table)


def test_assign_keeps_what_later_chapters_ask_for():
    table = people(
        ("Male", 60, SINUS | STEMI),
        ("Female", 59, SINUS | LVH),
        ("Female", np.nan, {"Rhythms": ("Sinus bradycardia",), **SCAR}),
    )
    assert table["assigned"].tolist() == ["MI", "other morphology", "History_MI"]
    assert table["from_60"].tolist() == [True, False, False]
    assert table["scar"].tolist() == [False, False, True]
    assert table["lvh"].tolist() == [False, True, False]
    assert table["bradycardia"].tolist() == [False, False, True]


# The other readings of the diagnoses.


def test_variants_change_what_they_say_and_nothing_else():
    both = {"Ischemia": STEMI["Ischemia"] + SCAR["Ischemia"]}
    table = people(
        ("Male", 50, SINUS | STEMI),
        ("Male", 50, SINUS | both),
        ("Male", 50, {"Rhythms": ("Sinus bradycardia",)}),
        ("Male", 50, SINUS | LVH),
        ("Male", 50, SINUS | UNDEFINED),
        ("Male", 50, SINUS | PACED),
        ("Male", 50, SINUS),
    )
    primary = {1: "MI", 2: "MI", 7: "Normal"}
    expected = {
        "": primary,
        "bradycardia as Abnormal": primary | {3: "Abnormal"},
        "other morphology as Abnormal": primary | {4: "Abnormal"},
        "undefined as History_MI": primary | {5: "History_MI"},
        "MI without a scar": {1: "MI", 7: "Normal"},
    }
    assert set(expected) == {"", *elsewhere.VARIANTS}
    for variant, classes in expected.items():
        assert elsewhere.classes(table, variant).to_dict() == classes
    with pytest.raises(EcgbookError, match="no such reading"):
        elsewhere.classes(table, "scar as MI")


# The carried tables.


def test_the_registration_is_the_committed_file():
    assert elsewhere.registered() == hashlib.sha256(elsewhere.PREREGISTRATION.read_bytes()).hexdigest()
    text = elsewhere.PREREGISTRATION.read_text(encoding="utf-8")
    for number in elsewhere.LINES:
        assert f"\n| {number} | " in text


def test_the_carried_classes_agree_with_their_lines():
    table = elsewhere.assigned()
    assert table.index.tolist() == list(range(1, 201))
    assert (table["assigned"] == table["line"].map(elsewhere.LINES)).all()
    assert set(table["sex"]) == {"Male", "Female"}
    assert table.loc[table["assigned"] == "History_MI", "scar"].all()
    assert not table.loc[table["assigned"].isin(["Abnormal", "Normal"]), "scar"].any()
    labels = elsewhere.classes(table)
    assert labels.value_counts()[list(CLASSES)].tolist() == [
        8,
        15,
        34,
        24,
    ]  # as the pre-registration's rules give


def test_the_carried_measurements_have_the_columns_of_the_pages():
    table = elsewhere.measurements()
    assert table.index.tolist() == list(range(1, 201))
    assert list(table) == list(measure.COLUMNS)
    assert table["heart_rate"].between(25, 250).all()
    assert np.isfinite(models.summaries(table)["qrs_height"]).all()


@with_ludb
def test_the_carried_classes_come_from_ludb():
    pd.testing.assert_frame_equal(elsewhere.assign(elsewhere.diagnoses()), elsewhere.assigned())


@with_ludb
def test_the_carried_measurements_come_from_ludb():
    numbers = (1, 34, 111, 200)
    found = elsewhere.measured(numbers)[0].drop(columns="file").set_axis(list(numbers), axis=0)
    carried = elsewhere.measurements().loc[list(numbers)]
    np.testing.assert_allclose(found, carried, atol=2e-3)


@with_ludb
def test_rebuilding_writes_the_carried_classes(tmp_path, monkeypatch):
    few = elsewhere.measured((5, 6))
    monkeypatch.setattr(elsewhere, "measured", lambda: few)
    elsewhere.rebuild(tmp_path)
    assert (tmp_path / "ludb_classes.csv").read_bytes() == (data.tables() / "ludb_classes.csv").read_bytes()
    assert (tmp_path / "ludb_measurements.csv").read_text().startswith("record,")


@with_ludb
def test_a_record_is_shown_as_a_page_shows_it():
    whole, shown = elsewhere.whole(7), elsewhere.shown(7)
    assert whole.leads.shape == (12, 2500) and np.isfinite(whole.leads).all()
    assert np.isfinite(shown.leads).sum() == 11 * 625 + 2500
    known = np.isfinite(shown.leads)
    assert np.array_equal(shown.leads[known], whole.leads[known])
    einthoven = whole.leads[1] - whole.leads[0] - whole.leads[2]
    assert np.abs(einthoven).max() < 0.01


@with_ludb
def test_a_page_prints_the_rate_and_no_person():
    page = elsewhere.page(7, 71.6)
    wanted = draw.draw_page(elsewhere.whole(7)._replace(heart_rate=72, sex=""), "Drawn from LUDB")[0]
    assert page.tobytes() == wanted.tobytes()
    assert elsewhere.page(7, np.nan).size == page.size


def test_without_ludb_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("ECGBOOK_DATA", str(tmp_path))
    with pytest.raises(EcgbookError, match="ecgbook data fetch ludb"):
        elsewhere.diagnoses()
    assert len(elsewhere.assigned()) == 200  # what is carried needs nothing
