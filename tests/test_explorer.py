"""The case explorer: what is written for it against what the package reads, and the page in a browser."""

from __future__ import annotations

import base64
import importlib
import json
import re
import struct
import sys
import time
from array import array
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgbook import cases, data, digitize, measure, models, study
from ecgbook.evaluate import PROBABILITIES
from ecgbook.synth import LEADS

ROOT = Path(__file__).parents[1]
PAGE = "book/errors/explorer.html"


def neighbour(folder: str, name: str):
    """Import a module that belongs to no package."""
    sys.path.insert(0, str(ROOT / folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / folder))


explorer = neighbour("_ext", "explorer")
looking = neighbour("tests", "test_site")  # at the built site: its fixtures, and what axe-core finds
site, address = looking.site, looking.address
SITE, SCHEMES, WIDTHS = looking.SITE, looking.SCHEMES, looking.WIDTHS


def brought(path: Path) -> dict:
    """What a script hands to the page."""
    call = re.fullmatch(r"\w+\((.*)\);\n", path.read_text(encoding="utf-8"), flags=re.S)
    return json.loads(call[1])


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A folder with everything that the page loads; it must not take long to write."""
    folder = tmp_path_factory.mktemp("site") / "explorer"
    start = time.process_time()
    explorer.write(folder)
    assert time.process_time() - start < 10
    return folder


@pytest.fixture(scope="module")
def index(written) -> dict:
    return brought(written / "cases.js")


@pytest.fixture(scope="module")
def ecgs(written) -> dict[str, dict]:
    """Name of an ECG -> what its script brings."""
    return {case.name: brought(written / f"{case.slug}.js") for case in explorer.cases()}


# --- The data ----------------------------------------------------------------------------------------------


def unpacked(packed: bytes, counts: list[int]) -> list[np.ndarray]:
    """Decode steps to microvolts, as explorer.js does; NaN where not read."""
    codes, traces = iter(packed), []
    for count in counts:
        trace, level = np.full(count, np.nan), 0
        for i in range(count):
            code = next(codes)
            if code == explorer.LEAP:
                level = next(codes) + 256 * next(codes) - 32768
            elif code != explorer.GAP:
                level += code - explorer.REST
            trace[i] = np.nan if code == explorer.GAP else level * explorer.STEP
        traces.append(trace)
    assert next(codes, None) is None, "bytes are left over"
    return traces


@given(st.lists(st.integers(-32768, 32767), max_size=60))
def test_any_trace_decodes_to_itself_within_half_a_step(microvolts):
    trace = unpacked(explorer.packed(array("h", microvolts)), [len(microvolts)])[0]
    expected = np.where(np.array(microvolts) == explorer.NOT_READ, np.nan, np.array(microvolts, float))
    np.testing.assert_allclose(trace, expected, atol=explorer.STEP / 2)


def test_signals_decode_to_the_carried_ones(ecgs):
    for name in list(ecgs)[::20]:
        ecg, reading = ecgs[name], digitize.load(f"{name}.jpg")
        traces = unpacked(base64.b64decode(ecg["signals"]), ecg["counts"])
        shown = [digitize._column(reading, lead) for lead in LEADS] + [reading.strip]
        for trace, expected in zip(traces, shown, strict=True):
            np.testing.assert_allclose(trace, 1000 * expected, atol=explorer.STEP / 2 + 0.01)
        assert ecg["rhythm"] == reading.rhythm
        names = (*LEADS, "strip")
        assert ecg["doubtful"] == [[n, w] for n, w in zip(names, reading.flags, strict=True) if w]


def test_facts_are_those_of_the_package(index):
    pages = data.pages().set_index("file")
    doubts = cases.doubts().set_index("file")
    gallery = set(cases.gallery_files())
    assert [f"{row[0]}.jpg" for row in index["cases"]] == list(pages.index)
    for name, label, group, year, rate, met, doubt, place in index["cases"]:
        file = f"{name}.jpg"
        page = pages.loc[file]
        assert (index["classes"][label], group, int(year), int(rate)) == (
            page["label"],
            page["group"],
            page["year"],
            page["heart_rate"],
        )
        assert bool(doubt) == doubts.loc[file, "doubt"]
        assert (place == cases.anchor(file)) == (file in gallery) or place == ""
        assert {index["signs"][sign] for sign in met} == set(cases.criteria(file)["sign"])
    assert sum(bool(row[-1]) for row in index["cases"]) >= len(gallery)


def test_every_stored_run_that_classifies_is_there(index):
    finished = {
        path.parent.name
        for path in study.RESULTS.glob("*/run.json")
        if json.loads(path.read_text(encoding="utf-8"))["task"] == "classify"
        and not path.parent.name.startswith("external-")
    }
    assert {run["name"] for run in index["runs"]} == finished
    assert len({(run["key"], run["protocol"]) for run in index["runs"]}) == len(finished)


def test_the_models_of_the_first_table_are_those_that_validation_chose():
    for family in ("network", "hybrid"):
        assert cases.best(family).removeprefix("grouped-") in explorer.CHOSEN
    assert {"headline", "guideline", "heart-rate"} < set(explorer.CHOSEN)


@pytest.mark.parametrize(
    "run", ["grouped-headline", "unique-headline", "grouped-densenet121", "grouped-guideline"]
)
def test_answers_are_the_means_of_the_stored_predictions(index, ecgs, run):
    at = [each["name"] for each in index["runs"]].index(run)
    files = list(data.pages()["file"])
    expected = cases.verdicts(files, run)
    brief = index["runs"][at]
    called = [index["classes"][k] for k in brief["called"]]
    assert called == expected["called"].tolist()
    assert brief["tested"] == expected["repeats"].tolist()
    assert brief["missed"] == (expected["missed"] * expected["repeats"]).round().astype(int).tolist()
    stored = np.array([ecgs[file.removesuffix(".jpg")]["said"][at] for file in files])
    np.testing.assert_allclose(stored[:, 3:], expected[PROBABILITIES], atol=6e-5)
    assert stored[:, :2].tolist() == np.c_[brief["tested"], brief["missed"]].tolist()
    assert not stored[:, 2].any(), "no copy can be in training where every ECG is dealt once"


def test_the_places_to_start_are_what_the_page_says_of_them():
    said, listed = explorer.said(), {case.name: case for case in explorer.cases()}
    assert not listed["Normal(39)"].met and said["grouped-guideline"]["Normal(39).jpg"].missed == 0
    assert listed["PMI(32)"].label == "History_MI" and "anterior" in listed["PMI(32)"].met["st_up"]
    assert listed["PMI(35)"].label == "History_MI" and not listed["PMI(35)"].met
    grouped, paper = said["grouped-densenet121"], said["paper-densenet121"]
    assert grouped["MI(20).jpg"].missed and not paper["MI(20).jpg"].missed and paper["MI(20).jpg"].copied
    mi = [case.file for case in listed.values() if case.label == "MI"]
    assert sum(grouped[file].missed for file in mi) > 10
    assert not any(
        paper[file].missed or paper[file].copied < paper[file].tested for file in mi if file in paper
    )


def test_under_paper_copies_count_for_their_page(index, ecgs):
    at = [each["name"] for each in index["runs"]].index("paper-headline")
    rows = study.load("paper-headline")
    first = data.files().set_index("file")["first_copy"]
    tested = rows[rows["part"] == "test"]
    by_page = tested.groupby(tested["file"].map(first))
    sizes, means = by_page.size(), by_page[PROBABILITIES].mean()
    held = {repeat: set(of["file"]) for repeat, of in rows.groupby("repeat")}
    copies = first.groupby(first).groups
    for name, ecg in ecgs.items():
        said = ecg["said"][at]
        if said is None:
            assert f"{name}.jpg" not in sizes
            continue
        of = tested[tested["file"].map(first) == f"{name}.jpg"]
        twins = sum(not held[repeat].issuperset(copies[f"{name}.jpg"]) for repeat in of["repeat"])
        assert (said[0], said[2]) == (sizes[f"{name}.jpg"], twins)
        np.testing.assert_allclose(said[3:], means.loc[f"{name}.jpg"], atol=6e-5)
    assert any(ecg["said"][at] is None for ecg in ecgs.values())
    assert any(ecg["said"][at] and ecg["said"][at][2] for ecg in ecgs.values())


def test_measurements_and_limits_are_those_of_the_package(index, ecgs):
    table = measure.measurements().set_index("file")
    for (_, unit, limits), name in zip(index["measured"], explorer.MEASURED, strict=True):
        assert unit == measure.COLUMNS[name][0]
        assert limits == (list(models.LIMITS[name]) if name in models.LIMITS else None)
    for name, ecg in ecgs.items():
        row = table.loc[f"{name}.jpg"]
        np.testing.assert_array_equal(
            np.array(ecg["measured"], float), row[list(explorer.MEASURED)].astype(float)
        )
        lead = [row[f"V3_{what}"] for what in explorer.PER_LEAD]
        np.testing.assert_array_equal(np.array(ecg["perLead"][LEADS.index("V3")], float), lead)


def test_nothing_that_is_written_holds_an_exam_number_or_a_time(written):
    time_or_date = re.compile(r"\d{1,2}:\d{2}(?!\d)|20(?:19|20)[-/.](?:0[1-9]|1[0-2])[-/.]\d")
    for path in written.glob("*"):
        if path.suffix in (".js", ".csv") and path.name != "explorer.js":
            text = re.sub(r'"signals":"[^"]*"', "", path.read_text(encoding="utf-8"))
            assert not re.search(r"(?<![.\d])\d{7,}(?!\d)", text), path.name
            assert not time_or_date.search(text), path.name


def test_the_site_does_not_grow_by_more_than_it_may(written):
    assert sum(path.stat().st_size for path in written.iterdir()) < 12e6
    assert max(path.stat().st_size for path in written.glob("*-*.js")) < 40e3
    assert len(list(written.glob("*-*.js"))) == 491


def test_the_table_for_readers_without_javascript_lists_all(written):
    lines = (written / "cases.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 492 and lines[0].split(",")[0] == "ecg"


def test_a_constant_that_is_not_there_is_named():
    with pytest.raises(LookupError, match=r"ecgbook\.models assigns nothing to NONE"):
        explorer.constant("models", "NONE")


def test_arrays_are_read_as_numpy_reads_them(tmp_path):
    import zipfile

    np.savez(
        tmp_path / "x.npz", word=np.array(["II", "aVR"]), number=np.array([[1, -2], [3, -32768]], np.int16)
    )
    with zipfile.ZipFile(tmp_path / "x.npz") as store:
        assert explorer.column(store, "word") == ((2,), ["II", "aVR"])
        assert explorer.column(store, "number") == ((2, 2), array("h", [1, -2, 3, -32768]))
    assert struct.calcsize("h") == 2


# --- The page in a browser ---------------------------------------------------------------------------------

# Of the 491 entries of the list a few stand for all.
THIN_OUT = """
document.querySelectorAll("[role=option]:not([aria-selected]):nth-child(n + 4)").forEach(entry => entry.remove());
"""


@pytest.fixture
def opened(tab):
    """Open the page from the disk, at an ECG if one is named."""

    def open_at(name: str = ""):
        tab.goto((SITE / PAGE).as_uri() + (f"#{name}" if name else ""))
        drawn(tab, name or "MI(1)")
        return tab

    yield open_at
    assert tab.complaints == []
    assert [url for url in tab.requested if not url.startswith(("file:", "data:"))] == []


def drawn(page, name: str) -> None:
    """Wait until an ECG is drawn."""
    page.locator(".explorer-paper svg[aria-label]", has_text=name).wait_for()
    assert page.locator("#explorer-name").inner_text() == name


def count(page) -> int:
    listed = page.locator(".explorer-list [role=option]").count()
    assert page.locator(".explorer-count").inner_text() == f"{listed} of 491 ECGs"
    return listed


def test_an_address_leads_to_its_ecg(opened):
    page = opened("PMI(32)")
    label = page.locator(".explorer-paper svg").get_attribute("aria-label")
    assert "heart rate 121 a minute" in label and "History_MI" in label and "ST elevation anterior" in label
    assert page.locator(".explorer-list [aria-selected=true]").inner_text().startswith("PMI(32)")
    assert page.locator(".explorer-doubt a").get_attribute("href") == "gallery.html#case-pmi-32"
    assert page.locator(".explorer-bar").evaluate("bar => bar.getBoundingClientRect().top") < 200
    page.evaluate("location.hash = '#HB(1)'")
    drawn(page, "HB(1)")


def test_the_paper_is_true_to_scale(opened):
    """One second is 25 mm and one millivolt 10 mm; the curve is the carried signal."""
    page = opened("Normal(39)")
    path = page.locator(".explorer-ink").get_attribute("d")
    pulse = re.match(r"M5 (\d+)h1.5v-10h5v10h1.5", path)  # 10 mm high, 5 mm (0.2 s) wide
    assert int(pulse[1]) % 5 == 0, "the baseline lies on a strong line"
    curve = re.search(r"M15\.00 [\d.]+(?:L[\d.]+ [\d.]+)+", path)[0]
    points = np.array(re.findall(r"([\d.]+) ([\d.]+)", curve), float)
    reading = digitize.load("Normal(39).jpg")
    lead = digitize._column(reading, "I")[: len(points)]
    np.testing.assert_allclose(points[:, 0], 15 + 25 * np.arange(len(points)) / 250, atol=0.006)
    np.testing.assert_allclose((int(pulse[1]) - points[:, 1]) / 10, lead, atol=0.0036)


def test_filters_find_what_the_package_finds(opened):
    page = opened()
    assert count(page) == 491
    page.select_option("#explorer-label", label="History_MI")
    assert count(page) == (data.pages()["label"] == "History_MI").sum()
    page.select_option("#explorer-error", "some")
    verdicts = cases.verdicts(data.pages()["file"])
    missed = verdicts.query("label == 'History_MI' and missed > 0")
    assert count(page) == len(missed)
    page.select_option("#explorer-called", label="Abnormal")
    assert count(page) == (missed["called"] == "Abnormal").sum()
    page.select_option("#explorer-order", "hard")
    hardest = missed[missed["called"] == "Abnormal"].sort_values("p_History_MI")["file"].iloc[0]
    assert f"{page.locator('.explorer-label').first.inner_text()}.jpg" == hardest
    page.locator("button[type=reset]").click()
    page.wait_for_function("document.querySelectorAll('[role=option]').length === 491")
    page.select_option("#explorer-doubt", "doubt")
    assert count(page) == cases.doubts()["doubt"].sum()


def test_a_group_is_found_from_one_of_its_ecgs(opened):
    pages = data.pages()
    shared = pages[pages.duplicated("group", keep=False)].iloc[0]
    page = opened(shared["file"].removesuffix(".jpg"))
    page.locator(".explorer-facts button").click()
    assert count(page) == (pages["group"] == shared["group"]).sum()


def test_runs_and_protocols_can_be_chosen(opened):
    page = opened()
    page.select_option("#explorer-protocol", "paper")
    page.select_option("#explorer-error", "untested")
    rows = study.load("paper-headline").query("part == 'test'")["file"]
    tested = data.files().set_index("file").loc[rows, "first_copy"].nunique()
    assert count(page) == 491 - tested
    assert "no test page" in page.locator(".explorer-answer").first.inner_text()
    page.select_option("#explorer-model", "guideline")  # which knows no protocol but one
    assert page.locator("#explorer-protocol").input_value() == "grouped"


def test_nothing_found_is_said(opened):
    page = opened()
    page.fill("#explorer-group", "9999")
    assert "No ECG fits" in page.locator(".explorer-count").inner_text()
    assert page.locator(".explorer-case").is_hidden()
    page.fill("#explorer-group", "")
    assert page.locator(".explorer-case").is_visible() and count(page) == 491


def test_keys_move_through_the_list(opened):
    page = opened()
    page.locator(".explorer-list").focus()
    for key, name in (
        ("ArrowDown", "MI(2)"),
        ("PageDown", "MI(12)"),
        ("ArrowUp", "MI(11)"),
        ("PageUp", "MI(1)"),
        ("ArrowUp", "MI(1)"),
        ("End", "Normal(142)"),
        ("Home", "MI(1)"),
    ):
        page.keyboard.press(key)
        drawn(page, name)
        active = page.locator(".explorer-list").get_attribute("aria-activedescendant")
        option = page.locator(f"#{active}")
        assert option.get_attribute("aria-selected") == "true" and option.is_visible()
    page.keyboard.press("ArrowDown")
    drawn(page, "MI(2)")
    assert page.url.endswith("#MI(2)")


def test_buttons_move_and_say_where(opened):
    page = opened("MI(2)")
    page.locator(".explorer-previous").click()
    drawn(page, "MI(1)")
    assert page.locator(".explorer-previous").is_disabled()
    page.locator(".explorer-next").click()
    drawn(page, "MI(2)")
    assert page.locator(".explorer-said").inner_text().startswith("MI(2), MI, called")


def test_probabilities_are_shown_as_numbers(opened):
    page = opened("PMI(16)")
    row = page.locator(".explorer-answer tbody tr").nth(1)
    assert "grouped" in row.inner_text() and "missed 5 of 5" in row.inner_text()
    at = cases.verdicts(["PMI(16).jpg"]).iloc[0]
    assert row.locator("td").all_inner_texts() == [f"{at[column]:.2f}" for column in PROBABILITIES]


def test_practice_hides_the_answer_until_it_is_asked_for(opened):
    page = opened("PMI(32)")
    page.check("#explorer-blind")
    page.locator("#explorer-name", has_text="ECG no. 1").wait_for()
    whole = page.locator("#explorer").inner_text() + page.locator(".explorer-paper").inner_html()
    assert not re.search(r"(?:HB|MI|Normal)\(\d", whole)
    assert (
        page.locator(".explorer-answers").inner_text() == ""
        and page.locator(".explorer-facts").inner_text() == ""
    )
    assert "#" not in page.url
    assert "called" not in page.locator(".explorer-list").text_content()
    page.locator(".explorer-ask button").click()
    assert re.fullmatch(r"(P?MI|HB|Normal)\(\d+\)", page.locator("#explorer-name").inner_text())
    assert page.locator(".explorer-answer").first.is_visible()
    page.locator(".explorer-next").click()
    page.locator("#explorer-name", has_text="ECG no. 2").wait_for()


def test_practice_prints_no_answer(opened):
    page = opened("PMI(32)")
    page.emulate_media(media="print")
    assert page.locator("#explorer-name").is_visible() and page.locator(".explorer-answer").first.is_visible()
    assert page.locator("#explorer form").is_hidden() and page.locator(".explorer-list").is_hidden()
    width = page.locator(".explorer-paper svg").evaluate("svg => parseFloat(getComputedStyle(svg).width)")
    assert abs(width - 270 * 96 / 25.4) < 1, "270 mm: to scale"
    page.emulate_media(media="screen")
    page.check("#explorer-blind")
    page.emulate_media(media="print")
    assert not re.search(r"(?:HB|MI|Normal)\(\d", page.locator("article").inner_text())


def test_an_ecg_that_cannot_be_loaded_is_never_shown_as_another(tab):
    tab.route("**/mi-2.js", lambda route: route.abort())
    tab.goto((SITE / PAGE).as_uri() + "#MI(1)")
    drawn(tab, "MI(1)")
    tab.locator(".explorer-next").click()
    assert tab.locator("#explorer-name").inner_text() == "MI(2)"
    tab.locator(".explorer-paper", has_text="could not be loaded").wait_for()
    assert tab.locator(".explorer-paper svg").count() == 0 and tab.locator(".explorer-answer").count() == 0
    tab.unroute("**/mi-2.js")
    tab.locator(".explorer-previous").click()
    tab.locator(".explorer-next").click()
    drawn(tab, "MI(2)")


def test_a_phone_gets_an_arrangement_of_its_own(opened, tab):
    tab.set_viewport_size({"width": 320, "height": 700})
    page = opened("PMI(32)")
    width = page.locator(".explorer-paper svg").evaluate("svg => svg.viewBox.baseVal.width")
    assert width == 145  # two columns of 2.5 s
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_dark_and_light_are_accessible_whatever_is_shown(tab, address):
    tab.goto(f"{address}{PAGE}#PMI(32)")
    drawn(tab, "PMI(32)")
    looking.load_axe(tab)
    faults = {}
    for practising in (False, True):
        tab.set_checked("#explorer-blind", practising)
        tab.evaluate("document.querySelectorAll('.explorer details').forEach(each => { each.open = true; })")
        tab.evaluate(looking.THIN_OUT + THIN_OUT)
        for width in WIDTHS:
            tab.set_viewport_size({"width": width, "height": 900})
            tab.evaluate("scrollTo(0, 0)")  # nothing lies under the header of the page
            for scheme in SCHEMES:
                tab.emulate_media(color_scheme=scheme)
                tab.wait_for_function(
                    "scheme => document.documentElement.dataset.theme === scheme", arg=scheme
                )
                faults[practising, width, scheme] = looking.violations(tab)
    assert {key: found for key, found in faults.items() if found} == {}


def test_without_javascript_a_table_and_a_word_stand_there(chromium):
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((SITE / PAGE).as_uri() + "#PMI(32)")
    assert page.locator("noscript .admonition").is_visible()
    assert page.locator("#explorer").is_hidden()
    assert page.locator(".explorer-all tbody tr").count() == 491
    assert page.locator("[id='PMI(32)']").is_visible()
    context.close()


def test_links_to_the_gallery_lead_to_a_case(site, index):
    gallery = (site / "book/errors/gallery.html").read_text(encoding="utf-8")
    places = [row[-1] for row in index["cases"] if row[-1]]
    assert places and [place for place in places if f'id="{place}"' not in gallery] == []
