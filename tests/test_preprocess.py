"""The paper's pipeline to the pixel, the alternatives, and a cache that cannot lie."""

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ecgbook import data, preprocess
from ecgbook.data import EcgbookError
from ecgbook.preprocess import GRID, PAGE, PIPELINES


@lru_cache
def noise(seed, size=PAGE):
    """Make a random picture: coarse blotches, so that resizing leaves something to compare."""
    rng = np.random.default_rng(seed)
    blotches = Image.fromarray(rng.integers(0, 256, (79, 111, 3), dtype=np.uint8))
    return blotches.resize(size)


def page_like(seed):
    """Make a picture with the histogram of a page: near-white paper, tinted grid, few dark pixels."""
    rng = np.random.default_rng(seed)
    grey = rng.normal(248, 3, size=(200, 300))
    grey[::8] = rng.normal(225, 6, size=grey[::8].shape)
    grey[rng.random(grey.shape) < 0.02] = 40
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


# ---------------------------------------------------------------- the paper, to the pixel


@pytest.mark.parametrize("seed", range(4))
def test_paper_is_a_literal_reading_of_the_text(seed):
    page = noise(seed)
    literal = page.resize((224, 224))  # Pillow's own default filter
    literal = literal.convert("L")
    literal = ImageOps.equalize(literal)
    literal = np.asarray(literal).astype(np.float32) / np.float32(255)
    ours = preprocess.apply("paper", page)
    assert ours.dtype == np.float32 and ours.shape == (224, 224)
    assert np.array_equal(ours, literal)
    assert ours.min() == 0 and ours.max() == 1


@pytest.mark.parametrize("picture", [page_like(0), page_like(1), noise(2, (300, 200)).convert("L")])
def test_equalize_is_the_cumulative_histogram(picture):
    grey = np.asarray(picture)
    histogram = np.bincount(grey.ravel(), minlength=256)
    occupied = histogram[histogram > 0]
    step = (histogram.sum() - occupied[-1]) // 255
    below = np.concatenate([[0], np.cumsum(histogram)[:-1]])
    curve = np.minimum((step // 2 + below) // step, 255)
    assert np.array_equal(np.asarray(preprocess.equalize(picture)), curve[grey])


def test_equalize_leaves_an_even_page_alone():
    blank = Image.new("L", (10, 10), 77)
    assert preprocess.equalize(blank).getextrema() == (77, 77)


def test_steps_do_not_change_their_input():
    page = noise(0)
    before = page.tobytes()
    for name in PIPELINES:
        preprocess.render(name, page)
    assert page.tobytes() == before


def test_the_unstated_choices_are_the_ones_made():
    assert list(preprocess.UNSTATED.columns) == ["choice", "paper", "ours", "why"]
    assert preprocess.UNSTATED["choice"].is_unique
    assert preprocess.UNSTATED.map(len).to_numpy().min() > 0
    ours = preprocess.UNSTATED.set_index("choice")["ours"]
    written_out = preprocess.describe("paper")
    assert ours["Resampling filter"] == "bicubic" and "BICUBIC" in written_out
    assert ours["Resize or greyscale first"] == "resize, then greyscale"
    assert written_out.index("resize") < written_out.index("greyscale") < written_out.index("equalize")


# ---------------------------------------------------------------- the alternatives


def test_crop_is_the_grid_pixel_by_pixel():
    page = noise(1)
    left, top, right, bottom = GRID
    assert np.array_equal(np.asarray(preprocess.crop_to_grid(page)), np.asarray(page)[top:bottom, left:right])


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_mask_whitens_header_and_footer_only(mode):
    page = noise(1).convert(mode)
    before, after = np.asarray(page), np.asarray(preprocess.mask_header_footer(page))
    assert (after[: GRID[1]] == 255).all() and (after[GRID[3] :] == 255).all()
    assert np.array_equal(after[GRID[1] : GRID[3]], before[GRID[1] : GRID[3]])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 60), st.integers(1, 60))
def test_fit_keeps_proportions_and_pads_with_white(width, height, to_width, to_height):
    fitted = np.asarray(preprocess.fit(Image.new("L", (width, height), 0), to_width, to_height))
    assert fitted.shape == (to_height, to_width)
    rows, columns = (fitted == 0).any(axis=1), (fitted == 0).any(axis=0)
    assert (fitted[np.ix_(rows, columns)] == 0).all() and set(np.unique(fitted)) <= {0, 255}
    ratio = min(to_width / width, to_height / height)
    assert columns.sum() == max(1, round(width * ratio)) and rows.sum() == max(1, round(height * ratio))
    assert columns.sum() == to_width or rows.sum() == to_height
    for inside in (rows, columns):
        first, last = np.flatnonzero(inside)[[0, -1]]
        assert abs(first - (len(inside) - 1 - last)) <= 1  # in the middle


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("paper", (224, 224)),
        ("masked-224x224", (224, 224)),
        ("crop-224x224", (224, 224)),
        ("crop-448x256", (256, 448)),
        ("crop-896x512", (512, 896)),
        ("masked-448x320", (320, 448)),
    ],
)
def test_every_pipeline_has_the_size_of_its_name(name, shape):
    assert name in PIPELINES
    assert preprocess.apply(name, noise(3)).shape == shape


def test_every_pipeline_is_tested():
    assert len(PIPELINES) == 6


@pytest.mark.parametrize("name", [name for name in PIPELINES if name != "paper"])
def test_nothing_outside_the_grid_reaches_the_alternatives(name):
    page = noise(4)
    other = noise(5)
    other.paste(page.crop((0, GRID[1], PAGE[0], GRID[3])), (0, GRID[1]))
    assert np.array_equal(preprocess.apply(name, page), preprocess.apply(name, other))
    assert not np.array_equal(preprocess.apply("paper", page), preprocess.apply("paper", other))


# ---------------------------------------------------------------- what a millimetre is worth


def test_scale_of_the_paper():
    paper = preprocess.scale("paper")
    assert paper == pytest.approx((200 / 25.4 * 224 / 2213, 200 / 25.4 * 224 / 1572))
    assert paper.y == pytest.approx(1.12, abs=0.005)  # 1 mm of ST shift
    assert 0.1 * paper.px_per_second() == pytest.approx(1.99, abs=0.005)  # a QRS of 100 ms
    assert paper.px_per_millivolt() == pytest.approx(10 * paper.y)


@pytest.mark.parametrize("name", PIPELINES)
def test_scale_is_where_two_lines_land(name):
    """Draw lines 160 mm and 100 mm apart on a page, run the pipeline, and measure."""
    px = preprocess.PX_PER_MM
    left, top, wide, high = 400, 500, round(160 * px), round(100 * px)
    drawn = np.full(PAGE[::-1], 255, np.uint8)
    drawn[300:1500, [left, left + wide]] = 0
    across = 255 - preprocess.apply(name, Image.fromarray(drawn)) * 255
    drawn = np.full(PAGE[::-1], 255, np.uint8)
    drawn[[top, top + high], 100:2100] = 0
    down = 255 - preprocess.apply(name, Image.fromarray(drawn)) * 255
    x, y = preprocess.scale(name)
    assert apart(across.sum(axis=0)) == pytest.approx(wide / px * x, abs=0.75)
    assert apart(down.sum(axis=1)) == pytest.approx(high / px * y, abs=0.75)


def apart(darkness):
    """Distance between the centres of the two darkest places, one in either half."""
    half = len(darkness) // 2
    darkness = np.where(darkness > darkness.max() / 3, darkness, 0)
    centres = [np.average(np.arange(len(part)), weights=part) for part in (darkness[:half], darkness[half:])]
    return centres[1] + half - centres[0]


def test_scale_keeps_proportions_unless_squeezed():
    for name, (x, y) in {name: preprocess.scale(name) for name in PIPELINES}.items():
        if name == "paper" or name.endswith("224x224"):
            assert x < 0.9 * y
        else:
            assert x == pytest.approx(y, rel=0.005)


# ---------------------------------------------------------------- the cache


FILES = pd.DataFrame({"file": [f"{i}.jpg" for i in range(5)], "sha256": [f"{i % 3}" * 64 for i in range(5)]})


def draw(file):
    return noise(int(file[0]) % 3)


class Counter:
    """An opener that remembers what it was asked for."""

    def __init__(self):
        self.opened = []

    def __call__(self, file):
        self.opened.append(file)
        return draw(file)


def test_arrays_equal_apply_in_order_and_decode_copies_once(tmp_path):
    opener, seen = Counter(), []
    got = preprocess.arrays(FILES, "paper", tmp_path, opener, progress=lambda *numbers: seen.append(numbers))
    assert got.dtype == np.uint8 and got.shape == (5, 224, 224)
    for row, file in enumerate(FILES["file"]):
        assert np.array_equal(preprocess.unit_range(got[row]), preprocess.apply("paper", draw(file)))
    assert sorted(opener.opened) == ["0.jpg", "1.jpg", "2.jpg"]
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_second_call_opens_no_page_and_returns_the_same(tmp_path):
    once = preprocess.arrays(FILES, "paper", tmp_path, draw)
    opener = Counter()
    again = preprocess.arrays(FILES, "paper", tmp_path, opener)
    assert opener.opened == [] and np.array_equal(once, again)
    assert isinstance(again, np.memmap) and not again.flags.writeable
    assert len(list(tmp_path.iterdir())) == 1


def test_the_index_of_the_frame_does_not_matter(tmp_path):
    moved = FILES.set_index(np.arange(5) + 100)
    a, b = (
        preprocess.arrays(files, "paper", tmp_path / str(i), draw) for i, files in enumerate((FILES, moved))
    )
    assert np.array_equal(a, b)


def own_step(page, level=128):
    return page.point([255 * (i > level) for i in range(256)])


def test_whatever_the_pixels_depend_on_is_in_the_key(monkeypatch):
    steps = (partial(preprocess.resize, width=8, height=8), preprocess.greyscale)
    keys = [preprocess.cache_key(FILES, pipeline) for pipeline in PIPELINES]
    keys += [preprocess.cache_key(FILES, steps), preprocess.cache_key(FILES, (*steps, own_step))]
    keys += [preprocess.cache_key(FILES, (*steps, partial(own_step, level=3)))]
    bilinear = partial(preprocess.resize, width=8, height=8, resample=Image.Resampling.BILINEAR)
    keys += [preprocess.cache_key(FILES, (bilinear, preprocess.greyscale))]
    keys += [preprocess.cache_key(FILES.iloc[::-1], "paper"), preprocess.cache_key(FILES.iloc[:4], "paper")]
    monkeypatch.setattr(preprocess, "pillow_version", "0.0")
    keys += [preprocess.cache_key(FILES, "paper")]
    assert len(set(keys)) == len(keys)


def test_a_changed_default_changes_the_key(monkeypatch):
    before = preprocess.cache_key(FILES, "crop-448x256")
    monkeypatch.setattr(preprocess.crop_to_grid, "__defaults__", ((72, 287, 2173, 1513),))
    assert preprocess.cache_key(FILES, "crop-448x256") != before


def draw_small(file):
    return noise(int(file[0]) % 3, (40, 30))


def small(tmp_path, opener=draw_small):
    steps = (partial(preprocess.resize, width=8, height=6), preprocess.greyscale)
    return preprocess.arrays(FILES, steps, tmp_path, opener)


def damages(content):
    """Yield damaged versions of a cache file: cut short, empty, garbage, and one byte changed in many places."""
    yield from (b"", b"garbage", content[:40], content[:-1], content[: len(content) // 2], content[:128])
    for place in [*range(0, 128, 3), *range(128, len(content), 29)]:
        yield content[:place] + bytes([content[place] ^ 0x15]) + content[place + 1 :]


def test_a_damaged_file_is_made_again(tmp_path):
    expected = np.array(small(tmp_path))
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for damaged in damages(content):
        path.write_bytes(damaged)
        assert np.array_equal(small(tmp_path), expected)
        assert sorted(tmp_path.iterdir()) == [path] and path.read_bytes() == content


def test_a_file_of_something_else_is_not_believed(tmp_path):
    expected = np.array(small(tmp_path))
    (path,) = tmp_path.iterdir()
    np.save(path, expected.astype(np.float32))
    assert np.array_equal(small(tmp_path), expected)
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert np.array_equal(small(tmp_path), expected)


def build(folder):
    return np.array(small(folder)).sum()


def test_two_threads_and_three_processes_may_build_at_once(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        sums = set(pool.map(build, [tmp_path] * 2))
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    path.unlink()
    with multiprocessing.get_context("fork").Pool(3) as pool:
        sums |= set(pool.map(build, [tmp_path] * 6))
    assert len(sums) == 1
    assert sorted(tmp_path.iterdir()) == [path] and path.read_bytes() == content


@pytest.mark.skipif(preprocess._cores() < 2, reason="one core only")
def test_two_pages_are_under_way_at_once(tmp_path):
    both_here = threading.Barrier(2)

    def waits(file):
        both_here.wait(timeout=20)  # raises if the other page is not being opened meanwhile
        return draw_small(file)

    steps = (partial(preprocess.resize, width=8, height=6), preprocess.greyscale)
    assert len(preprocess.arrays(FILES.iloc[:2], steps, tmp_path, waits)) == 2


def test_an_interrupted_build_leaves_nothing(tmp_path):
    def fails(file):
        if file == "2.jpg":
            raise EcgbookError("2.jpg: cannot be decoded; fetch it again")
        return draw_small(file)

    with pytest.raises(EcgbookError, match="cannot be decoded"):
        small(tmp_path, fails)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_stands_beside_the_data_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("ECGBOOK_DATA", str(tmp_path))
    preprocess.arrays(FILES, "paper", opener=draw)
    assert [path.name[:6] for path in (tmp_path / "cache").iterdir()] == ["paper-"]


# ---------------------------------------------------------------- refusals


def refused(match, function, *args, **kwargs):
    with pytest.raises(EcgbookError, match=match) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value) and ";" in str(caught.value)


def test_refusals(tmp_path):
    refused("did you mean crop-448x256", preprocess.apply, "crop-448x265", noise(0))
    refused("choose one of paper", preprocess.steps, "xyz")
    refused("300 x 200, not 2213 x 1572", preprocess.crop_to_grid, Image.new("L", (300, 200)))
    refused("300 x 200, not 2213 x 1572", preprocess.mask_header_footer, Image.new("L", (300, 200)))
    refused("is RGB, not grey", preprocess.to_array, Image.new("RGB", (3, 3)))
    refused("no rows", preprocess.arrays, FILES.iloc[:0], "paper", tmp_path, draw)
    colour = (partial(preprocess.resize, width=8, height=8),)
    refused("0.jpg: comes out RGB", preprocess.arrays, FILES, colour, tmp_path, draw)
    sizes = {"0.jpg": (10, 10), "1.jpg": (10, 10), "2.jpg": (20, 10)}
    refused(
        "2.jpg: comes out in another size",
        preprocess.arrays,
        FILES,
        (preprocess.greyscale,),
        tmp_path,
        lambda file: noise(0, sizes[file]),
    )
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    refused("cannot be made", preprocess.arrays, FILES, "paper", blocked / "cache", draw)


def test_steps_that_hide_something_cannot_be_cached():
    level = 7
    refused(
        "takes values from outside", preprocess.cache_key, FILES, (lambda page: page.point(lambda _: level),)
    )
    typed = {}
    exec("def typed(page): return page", typed)
    refused("source cannot be read", preprocess.cache_key, FILES, (typed["typed"],))


# ---------------------------------------------------------------- real pages


def test_real_pages_through_the_cache(eicp, tmp_path):
    files = data.files().iloc[[0, 30, 239, 500, 900]]
    got = preprocess.arrays(files, "paper", tmp_path)
    for row, file in enumerate(files["file"]):
        assert np.array_equal(
            preprocess.unit_range(got[row]), preprocess.apply("paper", data.open_page(file))
        )
    assert np.array_equal(got[0], got[1])  # MI(31) is a copy of MI(1)


def test_the_crop_lies_inside_the_printed_frame(eicp):
    """The frame is drawn in saturated red: none of it in the outermost rows and columns of the crop."""
    pages = data.pages().groupby("batch", sort=False).head(4)
    for file in pages["file"]:
        grid = np.asarray(preprocess.crop_to_grid(data.open_page(file)).convert("HSV"))[..., 1]
        edges = [grid[0], grid[-1], grid[:, 0], grid[:, -1]]
        assert max(np.median(edge) for edge in edges) < 30, file


@pytest.mark.parametrize(("name", "times"), [("crop-448x256", 1.8), ("paper", 2.3)])
def test_pipelines_run_at_decode_speed(eicp, tmp_path, name, times):
    """Real pages on all cores: what comes after decoding costs little beside it.

    Processor time, not wall time, so that a busy machine does not decide; best of three each. Typical values are 1.4
    and 1.65 times: the paper's order resizes three colours, and that alone costs two thirds of a decoding.
    """
    files = data.pages().iloc[::32]
    decoding, pipeline = [], []
    for trial in range(3):
        decoding.append(processor_time(decode, files))
        pipeline.append(processor_time(preprocess.arrays, files, name, tmp_path / str(trial)))
    assert min(pipeline) < times * min(decoding)


def decode(files):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(data.open_page, files["file"]))


def processor_time(function, *args):
    start = time.process_time()
    function(*args)
    return time.process_time() - start
