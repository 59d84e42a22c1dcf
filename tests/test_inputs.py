"""What a network is shown: every input by name, lead by lead, real and redrawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ecgbook import data, digitize, draw, inputs, preprocess, synth
from ecgbook.data import EcgbookError

SHAPES = {
    "page": (224, 224),
    "masked page": (224, 224),
    "crop": (256, 448),
    "large crop": (512, 896),
    "leads": (13, 80, 128),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_the_catalogue_has_each_way_from_two_sources():
    assert set(inputs.INPUTS) == set(SHAPES) | {f"redrawn {name}" for name in SHAPES}
    for name, one in inputs.INPUTS.items():
        assert (one.opener is inputs.redraw) == name.startswith("redrawn ")
        assert one.pipeline == inputs.INPUTS[name.removeprefix("redrawn ")].pipeline


@pytest.mark.parametrize("name", list(SHAPES))
def test_two_redrawn_pages(name, cache):
    files, told = data.pages().iloc[[0, 300]], []
    shown = inputs.pixels(f"redrawn {name}", files, cache, lambda *words: told.append(words))
    assert (shown.shape, shown.dtype) == ((2, *SHAPES[name]), np.uint8)
    assert not np.array_equal(shown[0], shown[1])
    assert shown.std() > 10, "there is something to see"
    assert not shown.flags.writeable
    assert told == [(1, 2), (2, 2)]
    again = inputs.pixels(f"redrawn {name}", files, cache, lambda *words: told.append(words))
    assert np.array_equal(again, shown)
    assert len(told) == 2, "the second time it comes from the cache"


def test_copies_are_equal_and_drawn_once(cache):
    files = data.files()
    copy = files[files["file"] != files["first_copy"]].iloc[[0]]
    both = files[files["first_copy"] == copy["first_copy"].iloc[0]]
    told = []
    shown = inputs.pixels("redrawn page", both, cache, lambda *words: told.append(words))
    assert len(shown) == len(both) >= 2
    assert all(np.array_equal(page, shown[0]) for page in shown)
    assert told == [(1, 1)]


def test_unknown_inputs_suggest_a_near_one():
    with pytest.raises(EcgbookError, match="redrawn pages: no such input; did you mean redrawn page"):
        inputs.pixels("redrawn pages", data.pages().head(1))
    with pytest.raises(EcgbookError, match="leds: no such input; did you mean leads"):
        inputs.describe("leds")
    with pytest.raises(EcgbookError, match="arrays: the frame has no rows"):
        inputs.pixels("redrawn page", data.pages().head(0))


def test_an_unknown_page_is_told():
    with pytest.raises(EcgbookError, match=r"MI\(1000\).jpg: no such page"):
        inputs.redraw("MI(1000).jpg")


def test_a_copy_is_redrawn_as_its_first_copy():
    files = data.files()
    copy = files[files["file"] != files["first_copy"]].iloc[0]
    assert np.array_equal(inputs.redraw(copy["file"]), inputs.redraw(copy["first_copy"]))


def test_a_redrawn_page_says_so_and_shows_the_printed_facts(monkeypatch):
    seen = {}

    def watched(record, notice):
        seen.update(notice=notice, rate=record.heart_rate, sex=record.sex)
        return Image.new("RGB", preprocess.PAGE), ()

    monkeypatch.setattr(draw, "draw_page", watched)
    facts = data.pages().iloc[3]
    inputs.redraw(facts["file"])
    assert seen == {"notice": inputs.NOTICE, "rate": facts["heart_rate"], "sex": facts["sex"]}
    assert "redrawn" in inputs.NOTICE.lower()


@pytest.mark.parametrize("name", list(inputs.INPUTS))
def test_descriptions_tell_source_and_steps_apart(name):
    words = inputs.describe(name)
    assert words.startswith("redraw > " if name.startswith("redrawn") else "open_page > ")
    assert [other for other in inputs.INPUTS if inputs.describe(other) == words] == [name]


def test_the_description_of_leads_holds_every_setting():
    words = inputs.describe("leads")
    for setting in (
        "width=128",
        "height=80",
        "left=152.0",
        "reach=150",
        "baselines=(463.0, 764.0, 1065.0, 1366.0)",
    ):
        assert setting in words


# --- the cache ---


def keys(monkeypatch, name: str) -> tuple[str, ...]:
    """What the cache goes by."""
    seen = {}
    with monkeypatch.context() as patch:
        patch.setattr(
            preprocess,
            "arrays",
            lambda files, *_: (
                seen.update(keys=tuple(files["sha256"])) or np.zeros((len(files), 1, 1), np.uint8)
            ),
        )
        inputs.pixels(name, data.pages().head(3))
    return seen["keys"]


def test_a_redrawn_page_is_not_the_published_file_to_the_cache(monkeypatch):
    real, redrawn = keys(monkeypatch, "page"), keys(monkeypatch, "redrawn page")
    assert real == tuple(data.pages().head(3)["sha256"])
    assert not set(real) & set(redrawn)
    assert len(set(redrawn)) == 3


def test_the_cache_notices_other_signals_code_and_facts(monkeypatch, tmp_path):
    before = keys(monkeypatch, "redrawn page")
    for module in (synth, draw, digitize, inputs):
        changed = tmp_path / "changed.py"
        changed.write_text("something else")
        with monkeypatch.context() as patch:
            patch.setattr(module, "__file__", str(changed))
            inputs._drawing.cache_clear()
            assert not set(keys(monkeypatch, "redrawn page")) & set(before), module.__name__
    (tmp_path / "signals.npz").write_bytes(b"other signals")
    inputs._facts()  # the manifest is read from the true tables
    with monkeypatch.context() as patch:
        patch.setattr(data, "tables", lambda: tmp_path)
        inputs._drawing.cache_clear()
        assert not {inputs._redrawn_digest(data.pages()["file"][0])} & set(before)
    inputs._drawing.cache_clear()
    facts = inputs._facts()
    other = facts.assign(heart_rate=facts["heart_rate"] + 1)
    with monkeypatch.context() as patch:
        patch.setattr(inputs, "_facts", lambda: other)
        assert not set(keys(monkeypatch, "redrawn page")) & set(before)
    assert keys(monkeypatch, "redrawn page") == before


# --- lead by lead ---


def parts_of(page: Image.Image) -> np.ndarray:
    sheet = inputs.stack_leads(page.convert("L"), 128, 80)
    return np.asarray(sheet, float).reshape(inputs.PARTS, 80, 128)


def drawn(lead: str, rhythm: str = "II") -> Image.Image:
    """A page on which one lead alone is not flat: a slow swing of 1 mV."""
    record = synth.record("Normal", 0)
    leads = np.zeros_like(record.leads)
    leads[synth.LEADS.index(lead)] = np.sin(np.arange(leads.shape[1]) / record.fs * 2 * np.pi)
    return draw.draw_page(record._replace(leads=leads, rhythm=rhythm))[0]


@pytest.fixture(scope="module")
def flat():
    record = synth.record("Normal", 0)
    return parts_of(draw.draw_page(record._replace(leads=np.zeros_like(record.leads), rhythm="II"))[0])


@pytest.mark.parametrize("lead", synth.LEADS)
def test_each_lead_lies_in_its_own_part(lead, flat):
    changed = np.abs(parts_of(drawn(lead)) - flat).max(axis=(1, 2)) > 60
    wanted = {synth.LEADS.index(lead)} | ({12} if lead == "II" else set())
    assert set(np.flatnonzero(changed)) == wanted


def test_the_strip_comes_last_and_whole(flat):
    strip = np.abs(parts_of(drawn("V5", rhythm="V5")) - flat)[12]
    dark = strip.max(axis=0) > 40
    assert dark.mean() > 0.9, "ten seconds from edge to edge"


@pytest.mark.parametrize("shift", [-1.5, 1.5])
def test_a_lead_is_seen_whole_in_its_part(shift, flat):
    """A trace 1.5 mV above or below the line is still inside, and on the right side of it."""
    record = synth.record("Normal", 0)
    leads = np.zeros_like(record.leads)
    leads[:] = shift
    page = draw.draw_page(record._replace(leads=leads, rhythm="II"))[0]
    row = 40 - shift * draw.PX_MV * 80 / 300
    for part in parts_of(page):
        ink = (part[:, 64:] < 128).mean(axis=1)
        assert abs(int(ink.argmax()) - row) <= 1.5


@settings(deadline=None, max_examples=10)
@given(st.integers(8, 200), st.integers(8, 200))
def test_parts_of_any_size(width, height):
    sheet = inputs.stack_leads(Image.new("L", preprocess.PAGE, 200), width, height)
    assert sheet.size == (width, 13 * height)
    assert sheet.getextrema() == (200, 200), "no box reaches out of the page"


def test_a_page_of_another_size_is_refused():
    with pytest.raises(EcgbookError, match="2213 x 1572"):
        inputs.stack_leads(Image.new("L", (1000, 700)), 128, 80)


# --- with the real pages ---


def alike(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.astype(float).ravel(), other.astype(float).ravel())[0, 1])


@pytest.fixture
def some(eicp):
    return data.pages().iloc[[5, 150, 260, 400]]


@pytest.mark.parametrize("name", list(SHAPES))
def test_redrawn_pages_are_like_the_real_ones(name, some, cache):
    real, redrawn = (inputs.pixels(prefix + name, some, cache) for prefix in ("", "redrawn "))
    assert real.shape == redrawn.shape == (4, *SHAPES[name])
    own = [alike(real[k], redrawn[k]) for k in range(4)]
    other = [alike(real[k], redrawn[(k + 1) % 4]) for k in range(4)]
    assert min(own) > 0.3
    assert all(mine > foreign for mine, foreign in zip(own, other, strict=True)), "each is most like itself"


def test_real_leads_show_what_the_redrawn_show(some, cache):
    """Ink in the same places, and so every box lies where its lead is printed."""
    real, redrawn = (inputs.pixels(name, some, cache) for name in ("leads", "redrawn leads"))
    for part in range(inputs.PARTS):
        own = np.mean([alike(real[k, part], redrawn[k, part]) for k in range(4)])
        moved = np.mean([alike(real[k, part], np.roll(redrawn[k, part], 16, axis=1)) for k in range(4)])
        assert own > 0.3
        assert own > moved + 0.1


def test_copies_of_real_pages_are_equal(eicp, cache):
    files = data.files()
    first = files[files["file"] != files["first_copy"]]["first_copy"].iloc[0]
    shown = inputs.pixels("page", files[files["first_copy"] == first], cache)
    assert len(shown) >= 2
    assert (shown == shown[0]).all()
