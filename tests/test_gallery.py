"""The gallery: plots to scale, cards that agree with their sources, a chapter that leaves nobody out."""

from __future__ import annotations

import io
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ecgbook import cases, data, digitize, evaluate, figures, gallery, measure, publish, study, synth
from ecgbook.synth import LEADS

matplotlib.use("agg")
CHAPTER = publish.ROOT / "book" / "errors" / "gallery.py"
MM_MV, MM_S = figures.MM_PER_MV, figures.MM_PER_S


@pytest.fixture
def draw():
    """Draw an ECG and close the figure afterwards."""
    import matplotlib.pyplot as plt

    drawn = []

    def _draw(ecg, **more):
        drawn.append(gallery.twelve_leads(ecg, **more))
        return drawn[-1]

    yield _draw
    for figure in drawn:
        plt.close(figure)


def curves(figure):
    """Lines of at least a second: the traces, in the order in which they were drawn."""
    return [line for line in figure.axes[0].lines if len(line.get_xdata()) > 250]


def in_reading_order(ecg):
    """Traces in the order in which the plot draws them: row by row."""
    return sorted(gallery.traces(ecg), key=lambda trace: (trace.row, trace.column))


def planted(**millivolts):
    """A record of flat leads at 250 Hz; named leads hold the given value."""
    leads = np.zeros((12, 2500), np.float32)
    for lead, value in millivolts.items():
        leads[LEADS.index(lead)] = value
    return synth.Record(leads, 250.0, "II", 60, "", "", {})


# To scale


@pytest.mark.parametrize("ecg", ["MI(24).jpg", "PMI(61).jpg", planted(V2=3.0, V3=-2.5)])
def test_a_millimetre_is_as_many_pixels_both_ways(draw, ecg):
    figure = draw(ecg)
    to_pixels = figure.axes[0].transData.transform
    origin, second, millivolt = to_pixels([(0, 0), (1, 0), (0, 1)])
    assert (second - origin)[0] / MM_S == pytest.approx(gallery.PX_MM, rel=1e-6)
    assert (millivolt - origin)[1] / MM_MV == pytest.approx(gallery.PX_MM, rel=1e-6)
    width, height = Image.open(io.BytesIO(gallery.png(figure))).size
    limits = figure.axes[0].get_xlim()[1] * MM_S, figure.axes[0].get_ylim()[1] * MM_MV
    assert (width, height) == pytest.approx([gallery.PX_MM * mm for mm in limits], abs=1)


def test_grid_lines_stand_every_millimetre(draw):
    figure = draw(planted())
    lines = [line for group in figure.axes[0].collections for line in group.get_segments()]
    at = np.unique(np.round([line[0][0] * MM_S for line in lines if line[0][0] == line[1][0]], 6))
    assert np.allclose(np.diff(at), 1)
    up = np.unique(np.round([line[0][1] * MM_MV for line in lines if line[0][1] == line[1][1]], 6))
    assert np.allclose(np.diff(up), 1)


def test_calibration_pulse_is_ten_by_five_millimetres_in_each_row(draw):
    pulses = [line for line in draw(planted()).axes[0].lines if len(line.get_xdata()) == 6]
    assert len(pulses) == 4
    for pulse in pulses:
        top = pulse.get_xdata()[pulse.get_ydata() == pulse.get_ydata().max()]
        assert np.ptp(pulse.get_ydata()) * MM_MV == pytest.approx(10)
        assert np.ptp(top) * MM_S == pytest.approx(5)


# What is drawn is what was measured


@pytest.mark.parametrize("file", ["PMI(71).jpg", "HB(39).jpg"])
def test_curves_are_the_carried_samples_with_their_gaps(draw, file):
    reading = digitize.load(file)
    drawn = curves(draw(file))
    assert len(drawn) == 13
    for line, trace in zip(drawn, in_reading_order(file), strict=True):
        y = np.asarray(line.get_ydata(), float)
        own = reading.leads[LEADS.index(trace.lead), synth.span(trace.lead)]
        wanted = reading.strip if trace.row == 3 else own
        base = np.nanmedian(y - wanted)
        assert np.allclose(y - base, wanted, equal_nan=True, atol=1e-5)
        assert base * MM_MV % 5 == pytest.approx(0, abs=1e-6)  # 0 mV lies on a strong line
        assert np.allclose(np.diff(line.get_xdata()), 1 / 250)


def test_a_gap_stays_paper(draw):
    whole, broken = planted(), planted()
    start = LEADS.index("V1") // 3 * 625
    broken.leads[LEADS.index("V1"), start + 250 : start + 500] = np.nan
    ink = []
    for record in (whole, broken):
        figure = draw(record)
        pixels = np.asarray(Image.open(io.BytesIO(gallery.png(figure))).convert("L")) < 100
        line = curves(figure)[2]  # I, aVR, V1
        to_pixels = figure.axes[0].transData.transform
        (x0, y), (x1, _) = to_pixels(
            [(line.get_xdata()[260], whole_level(figure)), (line.get_xdata()[490], 0)]
        )
        row = pixels.shape[0] - round(y)
        ink.append(pixels[row - 2 : row + 3, round(x0) : round(x1)].any(axis=0).mean())
    assert ink[0] == 1 and ink[1] == 0


def whole_level(figure):
    """Height of the first row's baseline in data units."""
    return np.nanmedian(curves(figure)[0].get_ydata())


@pytest.mark.parametrize("ecg", [planted(V2=4.0, V1=-3.5, III=2.0, V6=-3.0), "MI(24).jpg", "PMI(17).jpg"])
def test_rows_never_meet_and_nothing_is_cut_off(draw, ecg):
    figure = draw(ecg)
    ax, drawn = figure.axes[0], curves(figure)
    rows = [trace.row for trace in in_reading_order(ecg)]
    reach = {
        row: (
            min(np.nanmin(c.get_ydata()) for c, r in zip(drawn, rows, strict=True) if r == row),
            max(np.nanmax(c.get_ydata()) for c, r in zip(drawn, rows, strict=True) if r == row),
        )
        for row in range(4)
    }
    for above, below in zip(range(3), range(1, 4), strict=True):
        assert reach[above][0] > reach[below][1]
    assert reach[3][0] > ax.get_ylim()[0] and reach[0][1] < ax.get_ylim()[1]
    assert max(c.get_xdata()[-1] for c in drawn) < ax.get_xlim()[1]


def test_names_clear_their_traces(draw):
    figure = draw("PMI(17).jpg")
    names = [text for text in figure.axes[0].texts if text.get_text() in LEADS]
    assert sorted(t.get_text() for t in names) == sorted([*LEADS, "II"])
    for name, line in zip(names, curves(figure), strict=True):
        start = np.asarray(line.get_ydata())[:75]
        assert name.get_position()[1] > np.nanmax(start)


def test_a_synthetic_record_and_a_strip_that_was_not_read(draw):
    assert len(curves(draw(synth.window(synth.record("MI", 7))))) == 13
    unread = digitize.load("PMI(12).jpg")._replace(rhythm="")
    nameless = [t.lead for t in gallery.traces(unread)]
    assert nameless[-1] == "" and len(nameless) == 13
    assert len(curves(draw(planted()._replace(rhythm="")))) == 12


def test_an_unknown_page_is_refused():
    for ask in (gallery.twelve_leads, gallery.numbers, gallery.measured, gallery.said, gallery.card):
        with pytest.raises(data.EcgbookError, match=r"PMI\(999\)\.jpg"):
            ask("PMI(999).jpg")


def test_numbers_notice_a_microvolt():
    reading = digitize.load("PMI(12).jpg")
    before = gallery.numbers(reading)
    reading.strip[1000] += 0.001
    after = gallery.numbers(reading)
    assert (before["sha256"] != after["sha256"]).tolist() == [False] * 12 + [True]


# The picture's size


@pytest.mark.parametrize("file", ["PMI(7).jpg", "PMI(32).jpg", "MI(24).jpg", "HB(183).jpg"])
def test_pictures_are_small_and_keep_their_colours(file):
    raw = gallery.png(gallery.twelve_leads(file))
    picture = Image.open(io.BytesIO(raw))
    assert len(raw) <= 110_000 and picture.mode == "P"
    common = {colour for count, colour in picture.convert("RGB").getcolors(256) if count > 2000}
    for wanted in (figures.PAPER, figures.PAPER_MINOR, figures.PAPER_MAJOR, figures.INK):
        rgb = tuple(int(wanted[i : i + 2], 16) for i in (1, 3, 5))
        assert min(max(abs(a - b) for a, b in zip(rgb, c, strict=True)) for c in common) <= 6


# The card


def found(file):
    return gallery.card(file).frame.set_index("what")["found"]


@pytest.mark.parametrize("file", ["PMI(25).jpg", "MI(9).jpg", "HB(33).jpg"])
def test_card_agrees_with_the_measurements(file):
    row = measure.measurements().set_index("file").loc[file]
    card = found(file)
    assert card["heart rate"] == f"{row['heart_rate']:.0f} /min"
    assert card["QRS duration"] == f"{row['qrs_ms']:.0f} ms"
    level, lead = re.fullmatch(r"(\S+) mV in (\w+)", card["highest ST at the J point"]).groups()
    others = [row[f"{name}_stj_mv"] for name in LEADS if name != "aVR"]
    assert float(level) == pytest.approx(np.nanmax(others), abs=0.0051)
    assert row[f"{lead}_stj_mv"] == pytest.approx(np.nanmax(others), abs=0.01)
    walls = [f"{s}_{w}" for s in measure._SIGNS for w in measure.TERRITORIES if row[f"{s}_{w}"] == 1]
    assert card["criteria met"].count("(") == len(walls)


@pytest.mark.parametrize("file", ["PMI(32).jpg", "MI(22).jpg"])
def test_card_quotes_the_mean_of_the_stored_test_rows(file):
    rows = study.load(cases.HEADLINE).query("part == 'test' and file == @file")
    mean = rows[evaluate.PROBABILITIES].mean()
    wrong = (
        rows[evaluate.PROBABILITIES].to_numpy().argmax(axis=1) != data.CLASSES.index(rows["label"].iloc[0])
    ).sum()
    said = found(file)["headline"]
    assert [float(p) for p in re.findall(r"\d\.\d\d", said)] == pytest.approx(
        mean.round(2).tolist(), abs=0.0101
    )
    assert said.endswith(f"missed {wrong} of {len(rows)}")


def test_card_names_leads_that_were_not_measured_and_waves_that_were_not_seen():
    assert found("PMI(71).jpg")["leads not measured"] == "V4, V5"
    assert "leads not measured" not in found("MI(9).jpg")
    assert found("HB(53).jpg")["PR interval"] == "no P wave seen"


def test_st_of_a_record_without_any_lead():
    row = pd.Series({f"{lead}_stj_mv": np.nan for lead in LEADS})
    assert dict(gallery._st(row))["ST at the J point"] == "not measured"
    row["V2_stj_mv"], row["aVR_stj_mv"], row["III_stj_mv"] = 0.2, 0.9, -0.001
    levels = dict(gallery._st(row))
    assert levels["highest ST at the J point"] == "+0.20 mV in V2"  # aVR looks from the other side
    assert levels["lowest ST at the J point"] == "+0.00 mV in III"


def test_overview_counts_the_repeats_that_missed():
    files = cases.gallery_files()
    table = gallery.overview(files)
    assert len(table) == len(files) and table["case"].is_unique
    for row in table.itertuples():
        calls = dict(part.rsplit(" ", 1) for part in row.calls.split(", "))
        missed, of = map(int, row.missed.split(" of "))
        assert sum(map(int, calls.values())) == of
        assert of - int(calls.get(row.folder, 0)) == missed
    assert (table["label doubt"] == "yes").sum() == cases.doubts()["doubt"].sum()


# The chapter


def chapter_cells():
    return publish.notebook(CHAPTER).cells


def test_every_case_has_its_place_in_the_chapter_in_order():
    text = CHAPTER.read_text(encoding="utf-8")
    targets = re.findall(r"^# \((case-[\w-]+)\)=$", text, flags=re.MULTILINE)
    assert targets == [cases.anchor(file) for file in cases.gallery_files()]


def test_each_case_shows_its_own_plot_and_card():
    cells = chapter_cells()
    files = cases.gallery_files()
    for at, cell in enumerate(cells):
        target = re.match(r"\((case-[\w-]+)\)=\n### (.+)\n", cell.source)
        if not target:
            continue
        file = f"{target[2]}.jpg"
        files.remove(file)
        assert cases.anchor(file) == target[1]
        assert cells[at + 1].source == f'gallery.show("{file}")'
        assert cells[at + 2].source == f'gallery.card("{file}")'
        about = cells[at + 1].metadata["mystnb"]
        assert about["figure"]["name"] == f"fig-{target[1]}"
        assert about["figure"]["caption"].startswith(target[2] + ", ")
        label = data.pages().set_index("file").loc[file, "label"]
        assert f"{target[2]}, {label} by its folder" in about["figure"]["caption"]
        assert "redrawn from its digitised signal {cite}`khan2021`" in about["figure"]["caption"]
        assert len(cell.source.split()) > 40
    assert files == []


def test_alt_texts_differ_and_name_leads():
    alts = [
        c.metadata["mystnb"]["image"]["alt"]
        for c in chapter_cells()
        if "image" in c.metadata.get("mystnb", {})
    ]
    assert len(set(alts)) == len(alts) == len(cases.gallery_files()) + 1
    where = re.compile(r"\b(?:V[1-6]|I|II|III|aV[RLF]|limb leads|chest leads|all leads)\b")
    assert [alt for alt in alts if not where.search(alt)] == []


def test_links_of_the_chapter_lead_somewhere():
    text = CHAPTER.read_text(encoding="utf-8")
    links = re.findall(r"\[([\w()]+)\]\((case-[\w-]+)\)", text)
    known = {cases.anchor(file) for file in cases.gallery_files()}
    assert len(links) > 20
    for name, target in links:
        assert target in known and cases.anchor(f"{name}.jpg") == target
