"""Predictions: the chain gives what its parts give, refuses what it must, and tells why."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from ecgbook import cli, data, digitize, draw, models, predict, study, synth, trust
from ecgbook.data import CLASSES


def page_of(file: str) -> Image.Image:
    """Redraw a published ECG from its carried signal."""
    return draw.draw_page(digitize.record(digitize.load(file)))[0]


@pytest.fixture(scope="module")
def new() -> predict.Prediction:
    return predict.predict(draw.draw_page(synth.record("MI", 3))[0], "new.png")


@pytest.fixture(scope="module")
def known() -> predict.Prediction:
    return predict.predict(page_of("MI(3).jpg"), "known.png")


@pytest.fixture(scope="module")
def refused() -> predict.Prediction:
    return predict.predict(Image.new("RGB", (2213, 1572), "white"), "white.png")


def run(*arguments):
    return CliRunner().invoke(cli.app, ["predict", *map(str, arguments)])


# What the model is shown


def test_new_pages_are_described_as_the_tables_describe_the_published_ones():
    files = data.pages()["file"].tolist()[::40]
    sex = data.pages().set_index("file")["sex"]
    found = predict.seen_by_model((file, digitize.load(file), sex[file]) for file in files)
    wanted = models.features("all").loc[files]
    assert list(found) == list(wanted)
    pd.testing.assert_frame_equal(found, wanted, check_names=False, atol=2e-3, rtol=1e-6)


def test_probabilities_are_those_of_the_headline_model_after_calibration(new):
    own = predict.fitted()
    table = predict.seen_by_model([("new", new.reading, new.sex)])
    raw = models.probabilities(own.model, table)
    np.testing.assert_allclose(new.probabilities, own.mend(raw)[0])
    assert new.probabilities.sum() == pytest.approx(1) and new.called == CLASSES[new.probabilities.argmax()]


def test_calibration_and_sets_come_from_predictions_out_of_fold():
    own, unseen = predict.fitted(), study.load(predict.RUN).query("part == 'test' and repeat == 0")
    p, y = trust._arrays(unseen)
    np.testing.assert_allclose(own.scores, 1 - p[np.arange(len(y)), y])
    groups = data.pages().set_index("file")["group"].loc[unseen["file"]]
    assert own.weight.sum() == pytest.approx(groups.nunique())


def test_the_carried_predictions_are_those_of_the_stored_run(tmp_path):
    table = predict.rebuild(tmp_path)
    assert (tmp_path / predict.TABLE).read_bytes() == (data.tables() / predict.TABLE).read_bytes()
    stored = study.load(predict.RUN).query("part == 'test'").reset_index(drop=True)
    pd.testing.assert_frame_equal(table, stored[list(table)])
    pd.testing.assert_frame_equal(predict._unseen(), table)
    assert table.groupby("file")["repeat"].nunique().eq(5).all() and table["file"].nunique() == 491


# Pages that are known


def test_no_two_published_ecgs_are_taken_for_one():
    _, rows = predict._known_pieces()
    alike = rows @ rows.T - 2 * np.eye(len(rows))
    assert len(rows) == 491 and alike.max() < 0.7 < predict.SAME


@pytest.mark.parametrize("file", ["MI(3).jpg", "PMI(16).jpg", "Normal(6).jpg", "HB(5).jpg"])
def test_a_published_ecg_is_recognised_by_its_signals_from_any_new_picture(file):
    small = page_of(file).resize((1770, 1258))
    assert predict.recognise(digitize.read(small)) == file


def test_a_published_page_is_recognised_by_its_bytes():
    row = data.files().query("file != first_copy").iloc[0]
    strange = digitize.read(draw.draw_page(synth.record("Normal", 1))[0])
    assert predict.recognise(strange, row["sha256"]) == row["first_copy"]
    assert predict.recognise(strange, "0" * 64) == ""


def test_a_known_page_is_answered_out_of_fold(known):
    rows = study.load(predict.RUN).query("part == 'test' and file == 'MI(3).jpg'")
    raw = rows[[f"p_{label}" for label in CLASSES]].mean().to_numpy()[None]
    np.testing.assert_allclose(known.probabilities, predict.fitted().mend(raw)[0])
    assert known.known == "MI(3).jpg" and "had not seen it" in predict.report([known])


def test_real_pages_are_recognised(eicp):
    for file in data.pages()["file"].tolist()[::70]:
        found = predict.predict(data.open_page(file), file)
        assert found.known == file and found.row is not None


# What it must not answer


def test_what_is_no_page_gets_no_class(refused):
    assert refused.called == "" and refused.verdict.stage == "form" and not refused.members
    assert np.isnan(refused.probabilities).all()
    told = predict.as_dict(refused)
    assert "class" not in told and "probabilities" not in told and told["reasons"]


def test_every_foreign_layout_gets_no_class():
    pages = trust.foreign_pages(synth.record("Normal", 3))
    assert len(pages) >= 10
    assert [name for name, page in pages.items() if predict.predict(page).called] == []


# Reasons to doubt


def doubts(found: predict.Prediction, rate: int | None = None) -> str:
    return "; ".join(predict._doubts(found, rate))


def test_doubts_name_a_set_of_none_or_several(new):
    assert "cannot be told apart" in doubts(new._replace(members=("MI", "History_MI")))
    assert "no class fits" in doubts(new._replace(members=()))
    assert "told apart" not in doubts(new._replace(members=("MI",)))


def test_doubts_name_flags_and_a_heart_rate_that_is_printed_otherwise(new):
    flags = ("gap",) + ("",) * 12
    assert "I (gap)" in doubts(new._replace(reading=new.reading._replace(flags=flags)))
    rate = round(new.row["heart_rate"])
    assert "prints a heart rate" in doubts(new, 2 * rate) and "prints" not in doubts(new, rate)


def test_doubts_name_criteria_that_contradict_the_class(new):
    plain = new.row.copy()
    plain[[name for name in plain.index if name.startswith(("st_up_", "st_down_", "q_"))]] = 0.0
    as_mi = new._replace(row=plain, probabilities=np.array([1.0, 0, 0, 0]))
    assert "criterion of ST elevation" in doubts(as_mi)
    raised = plain.copy()
    raised["st_up_anterior"] = 1.0
    assert "criterion of" not in doubts(as_mi._replace(row=raised))
    as_normal = new._replace(row=raised, probabilities=np.array([0, 0, 0, 1.0]))
    assert "called Normal, but criteria are met: ST elevation" in doubts(as_normal)


# Files


def test_a_pdf_of_two_pages_is_two_pages(tmp_path, new):
    pages = [draw.draw_page(synth.record(*of))[0] for of in (("MI", 3), ("Normal", 1))]
    pages[0].save(tmp_path / "two.pdf", resolution=200, save_all=True, append_images=pages[1:])
    found = predict.predict_file(tmp_path / "two.pdf")
    assert [Path(one.name).name for one in found] == ["two.pdf, page 1", "two.pdf, page 2"]
    assert all(one.verdict.accepted for one in found)
    np.testing.assert_allclose(found[0].probabilities, new.probabilities, atol=0.1)


HUGE = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 14000 14000]>>endobj
trailer<</Root 1 0 R>>
"""


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("huge.pdf", HUGE, "larger than any ECG"),
        ("broken.pdf", b"%PDF-1.7 and no more", "broken or protected PDF"),
        ("text.jpg", b"some text", "is no image"),
        ("empty.png", b"", "empty file"),
    ],
)
def test_a_file_that_cannot_be_opened_is_refused_with_one_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    (found,) = predict.predict_file(tmp_path / name)
    assert found.verdict.stage == "file" and words in found.verdict.reasons[0]
    assert str(tmp_path) not in found.verdict.reasons[0] and found.called == ""


# The report


class _Seen(HTMLParser):
    """Collect addresses and check that tags close."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.alts = [], [], []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.addresses += [given[key] for key in ("src", "href") if key in given]
        self.alts += [given.get("alt")] if tag == "img" else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_whole_and_asks_nobody(new, known, refused):
    text = predict.report([new, known, refused])
    seen = _Seen()
    seen.feed(text)
    assert seen.open == [] and all(at.startswith("data:image/png") for at in seen.addresses)
    assert len(seen.alts) == 2 and all(len(alt.split()) > 8 for alt in seen.alts)
    assert "2 of 3 pages were classified" in text and text.count(predict.NOTICE) == 2
    assert "Not classified" in text and all(label in text for label in CLASSES)


def test_names_of_files_are_never_read_as_html(new):
    text = predict.report([new._replace(name="<b>x</b>&.png")])
    assert "<b>x" not in text and "b&gt;&amp;.png" in text


def test_the_report_shows_no_pixel_of_the_page(new):
    marked = draw.draw_page(synth.record("MI", 3))[0]
    marked.paste("red", (100, 20, 2100, 60))  # where a name would stand
    found = predict.predict(marked, "new.png")
    assert predict.report([found]) == predict.report([new])


# The command


@pytest.fixture
def pages(tmp_path) -> list[Path]:
    """Two pages and a file that is none."""
    files = [tmp_path / name for name in ("a b.png", "no.jpg", "ü.png")]
    draw.draw_page(synth.record("Normal", 5))[0].save(files[0])
    files[1].write_bytes(b"text")
    page_of("MI(3).jpg").save(files[2])
    return files


def test_the_command_goes_on_after_a_bad_page_and_ends_with_1(tmp_path, pages):
    told, report = tmp_path / "out.json", tmp_path / "out.html"
    ended = run(*pages, "--json", told, "--report", report, "--workers", "1")
    assert ended.exit_code == 1 and ended.exception.__class__ is SystemExit
    assert re.search(r"a b\.png: Normal 0\.\d\d \| 95 % set: Normal", ended.stdout)
    assert "published as MI(3).jpg" in ended.stdout and "no.jpg: not classified (file)" in ended.stderr
    assert "not for diagnosis" in ended.stderr
    found = json.loads(told.read_text())
    assert [one["classified"] for one in found] == [True, False, True]
    assert found[2]["recognised"] == "MI(3).jpg" and found[0]["recognised"] is None
    assert all(one["notice"] == predict.NOTICE for one in found)
    assert report.read_text().count("<article") == 3


def test_one_good_page_ends_with_0(pages):
    ended = run(pages[0])
    assert ended.exit_code == 0 and ended.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.png"], "nowhere.png: no such file"),
        (["{folder}"], "is a folder"),
        (["{page}", "--report", "{page}"], "is one of the pages"),
        (["{page}", "--json", "{folder}/no/where.json"], "where.json"),
        (["{page}", "--json", "{folder}/one", "--report", "{folder}/one"], "is named twice"),
    ],
)
def test_mistakes_end_with_2_before_anything_is_read(tmp_path, pages, monkeypatch, arguments, words):
    monkeypatch.setattr(predict, "predict_file", None)  # to call it would fail
    ended = run(*(a.format(folder=tmp_path, page=pages[0]) for a in arguments))
    assert ended.exit_code == 2 and words in ended.stderr and ended.stderr.count("\n") == 1
