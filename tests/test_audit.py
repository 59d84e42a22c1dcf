"""The audit: every kind of copy is found, nothing else is, and the look-up says what copies are worth."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import time
import tracemalloc
from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw
from rich.console import Console

from ecgbook import audit, data

# Pictures to audit -----------------------------------------------------------------------------------


def photo(seed: int, size=(200, 150)) -> Image.Image:
    """Draw a cloudy colour picture whose spectrum falls like that of a photograph."""
    rng = np.random.default_rng(seed)
    width, height = size
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    spectrum = np.maximum(np.hypot(fy, fx), 1 / max(size)) ** -1.5
    layers = [np.fft.ifft2(np.fft.fft2(rng.standard_normal((height, width))) * spectrum).real for _ in "RGB"]
    shared = layers[0] + layers[1] + layers[2]
    pixels = np.stack([shared + 0.3 * layer for layer in layers], axis=-1)
    pixels = 128 + 45 * (pixels - pixels.mean()) / pixels.std()
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def page(seed: int, size=(900, 640)) -> Image.Image:
    """Draw a form that is the same for every seed, and on it four thin traces that are not."""
    rng = np.random.default_rng(seed)
    width, height = size
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for x in range(0, width, 12):
        draw.line([(x, 80), (x, height)], fill=(250, 215, 215))
    for y in range(80, height, 12):
        draw.line([(0, y), (width, y)], fill=(250, 215, 215))
    draw.rectangle([20, 80, width - 95, height - 20], outline="black", width=3)
    draw.rectangle([0, 0, 180, 70], fill=(120, 120, 130))
    draw.rectangle([width - 90, 0, width, height], fill=(190, 190, 200))
    for row in range(3):
        draw.text((200, 15 + 20 * row), "Hospital of the examples, department of forms " * 2, fill="black")
    x = np.arange(30, width - 100)
    for y in range(150, height - 60, 120):
        period, phase = rng.uniform(60, 160), rng.uniform(0, 160)
        beat = np.exp(-0.5 * ((((x + phase) % period) - period / 2) / 4) ** 2) * rng.uniform(30, 80)
        wave = np.convolve(rng.standard_normal(len(x)), np.hanning(40), "same")
        draw.line(list(zip(x.tolist(), (y - beat + 1.5 * wave).tolist(), strict=True)), fill="black", width=2)
    return sheet


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(io.BytesIO(stream.getvalue()))


def resized(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)


def shifted(image: Image.Image, right: int, down: int) -> Image.Image:
    sheet = Image.new(image.mode, image.size, "white")
    sheet.paste(image, (right, down))
    return sheet


VERSIONS = {
    "quality 90": lambda image: jpeg(image, 90),
    "quality 50": lambda image: jpeg(image, 50),
    "half size": lambda image: jpeg(resized(image, 0.5), 90),
    "nine tenths": lambda image: jpeg(resized(image, 0.9), 80),
    "shifted": lambda image: jpeg(shifted(image, 3, -2), 90),
    "shifted further": lambda image: jpeg(shifted(image, 7, 5), 90),
    "rolled": lambda image: jpeg(ImageChops.offset(image, -4, 3), 90),
    "edge cut off": lambda image: jpeg(image.crop((4, 3, image.width - 1, image.height)), 90),
    "all at once": lambda image: jpeg(resized(shifted(image, -3, 3), 0.6), 50),
    "darker, grey": lambda image: image.convert("L").point(lambda value: int(0.7 * value)),
}


def tree(root: Path, pictures: dict[str, Image.Image]) -> Path:
    for name, picture in pictures.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, quality=95) if path.suffix == ".jpg" else picture.save(path)
    return root


def found(report: dict) -> set[tuple[str, str]]:
    return {(pair["a"], pair["b"]) for pair in report["near_duplicates"]}


def thumbs_of(pictures: list[Image.Image]) -> np.ndarray:
    size = audit.common_size([picture.size for picture in pictures])
    return np.stack([audit.thumbnail(picture.copy(), size) for picture in pictures])


def near(pictures: list[Image.Image]) -> set[tuple[int, int]]:
    return {(a, b) for a, b, _ in audit.near_duplicates(thumbs_of(pictures))}


# Which files -----------------------------------------------------------------------------------------


def test_images_are_found_by_name_or_content_in_natural_order(tmp_path):
    small = Image.new("RGB", (8, 8))
    names = ["b/10.png", "b/2.png", "a/deep/er/x.JPG", "a/grün und blau.png"]
    tree(tmp_path, {name.replace("JPG", "jpg"): small for name in names})
    (tmp_path / "a/deep/er/x.jpg").rename(tmp_path / "a/deep/er/x.JPG")
    shutil.copy(tmp_path / "b/2.png", tmp_path / "b/scan.dat")
    shutil.copy(tmp_path / "b/2.png", tmp_path / "loose.png")
    (tmp_path / "b/notes.txt").write_text("P5 is how a PGM file begins, but this is prose")
    (tmp_path / "b/empty.csv").touch()
    (tmp_path / "b/.hidden.png").write_bytes((tmp_path / "b/2.png").read_bytes())
    (tmp_path / "b/Thumbs.db").write_bytes((tmp_path / "b/2.png").read_bytes())
    (tmp_path / "__MACOSX").mkdir()
    expected = ["a/deep/er/x.JPG", "a/grün und blau.png", "b/2.png", "b/10.png", "b/scan.dat"]
    assert audit.find_images(tmp_path) == expected


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda root: root.rmdir(), "no such folder"),
        (lambda root: (root.rmdir(), root.touch()), "is not a folder"),
        (lambda root: None, "is empty"),
        (lambda root: ((root / "a").mkdir(), (root / "a/readme.txt").write_text("text")), "holds no images"),
        (lambda root: (root / "readme.txt").write_text("text"), "holds no images"),
        (
            lambda root: Image.new("L", (9, 9)).save(root / "1.png"),
            "in no class; lay the images out with one",
        ),
        (
            lambda root: ((root / "a").mkdir(), (root / "a/1.jpg").touch()),
            "of its 1 image files none can be read",
        ),
    ],
)
def test_what_cannot_be_audited_is_told_in_one_sentence(tmp_path, prepare, words):
    root = tmp_path / "images"
    root.mkdir()
    prepare(root)
    with pytest.raises(data.EcgbookError, match=words) as caught:
        audit.audit(root)
    assert str(root) in str(caught.value) and "\n" not in str(caught.value)


# Exact copies ----------------------------------------------------------------------------------------


def test_hashes_are_those_of_the_content_and_hard_links_are_read_once(tmp_path, monkeypatch):
    (tmp_path / "1").write_bytes(b"first")
    (tmp_path / "2").write_bytes(b"second")
    os.link(tmp_path / "1", tmp_path / "3")
    read, told = [], []
    hash_file = audit.hash_file
    monkeypatch.setattr(audit, "hash_file", lambda path: (read.append(path), hash_file(path))[1])
    hashes = audit.hash_files(
        [tmp_path / name for name in ("1", "2", "3", "absent")], lambda *step: told.append(step)
    )
    expected = [hashlib.blake2b(text, digest_size=16).hexdigest() for text in (b"first", b"second", b"first")]
    assert hashes == [*expected, None]
    assert len(read) == 3
    assert told == [("hashing", 1, 3), ("hashing", 2, 3), ("hashing", 3, 3)]


def peak(task) -> int:
    tracemalloc.start()
    try:
        task()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_hashing_depends_on_neither_size_nor_number(tmp_path):
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(96 << 20)
    assert peak(lambda: audit.hash_file(tmp_path / "large")) < 2 << 20
    few, many = ([tmp_path / f"{n}" for n in range(count)] for count in (100, 1500))
    for n, path in enumerate(many):
        path.write_bytes(n.to_bytes(4, "big") * 10_000)
    audit.hash_files(few)
    grown = peak(lambda: audit.hash_files(many)) - peak(lambda: audit.hash_files(few))
    assert grown / 1400 < 4_000  # bytes a file, of 40,000


def test_same_content_under_two_labels_is_listed(tmp_path):
    root = tree(
        tmp_path, {f"{label}/{n}.png": photo(n, (40, 30)) for label, n in [("a", 1), ("a", 2), ("b", 3)]}
    )
    shutil.copy(root / "a/2.png", root / "b/other name.png")
    report = audit.audit(root)
    assert report["cross_label"] == [{"labels": ["a", "b"], "files": ["a/2.png", "b/other name.png"]}]
    assert (report["files"], report["distinct"]) == (4, 3)
    assert [report["per_class"][label]["distinct"] for label in "ab"] == [2, 2]


@given(period=st.integers(1, 12), times=st.integers(2, 5), gap=st.integers(0, 50), seed=st.integers(0, 99))
def test_the_period_of_copies_is_found_whatever_is_missing(period, times, gap, seed):
    numbers = [n for n in range(1, period * times + 1) if n != gap or times < 4]
    order = np.random.default_rng(seed).permutation(len(numbers))
    names = [f"Scan ({numbers[k]}).v2x.png".replace(".v2x", "") for k in order]
    names, keys = [*names, "cover.png"], [*(numbers[k] % period for k in order), "cover"]
    assert audit.copy_period(names, keys) == period


@given(period=st.integers(2, 12), data=st.data())
def test_one_exception_and_there_is_no_period(period, data):
    names, keys = [f"p{n}.png" for n in range(3 * period)], [n % period for n in range(3 * period)]
    odd = data.draw(st.integers(0, len(keys) - 1))
    assert audit.copy_period(names, keys) == period
    keys[odd] = "another"
    assert audit.copy_period(names, keys) is None


def test_without_copies_or_with_unnumbered_ones_there_is_no_period():
    assert audit.copy_period(["1.png", "2.png"], "ab") is None
    assert audit.copy_period(["1.png", "2.png", "3.png", "4.png", "copy.png"], "babaa") is None
    assert audit.copy_period(["x/1.png", "x/2.png", "y/1.png", "y/2.png"], "abab") is None


# Encoders --------------------------------------------------------------------------------------------


def encoded(**options) -> str:
    stream = io.BytesIO()
    photo(0, (64, 48)).convert(options.pop("mode", "RGB")).save(stream, **options)
    return audit.signature(Image.open(io.BytesIO(stream.getvalue())))


def test_a_signature_tells_encoders_apart_and_not_pictures():
    exif = Image.Exif()
    exif[0x010E] = "a description"
    signatures = [
        encoded(format="JPEG", quality=90),
        encoded(format="JPEG", quality=70),
        encoded(format="JPEG", quality=90, progressive=True),
        encoded(format="JPEG", quality=90, subsampling=0),
        encoded(format="JPEG", quality=90, exif=exif),
        encoded(format="JPEG", quality=90, mode="L"),
        encoded(format="PNG"),
        encoded(format="PNG", dpi=(200, 200)),
        encoded(format="TIFF", compression="tiff_lzw"),
        encoded(format="GIF"),
    ]
    assert len(set(signatures)) == len(signatures)
    assert signatures[0].startswith("JPEG baseline 4:2:0 tables") and signatures[0].endswith("JFIF")
    assert "progressive" in signatures[2] and "4:4:4" in signatures[3] and "Exif" in signatures[4]
    assert signatures[6:9] == ["PNG IHDR IDAT IEND", "PNG IHDR pHYs IDAT IEND", "TIFF tiff_lzw"]
    stream = io.BytesIO()
    photo(7, (80, 90)).save(stream, "JPEG", quality=90)
    assert audit.signature(Image.open(stream)) == signatures[0]


def test_reading_the_signature_leaves_the_picture_readable():
    stream = io.BytesIO()
    photo(0).save(stream, "PNG")
    image = Image.open(stream)
    audit.signature(image)
    assert np.array_equal(np.asarray(image), np.asarray(photo(0)))


def test_an_encoder_that_tells_the_class_is_reported(tmp_path):
    for label, quality in (("a", 60), ("b", 90)):
        for n in range(6):
            (tmp_path / label).mkdir(exist_ok=True)
            photo(10 * n + quality, (64, 48)).save(tmp_path / label / f"{n}.jpg", quality=quality)
    per_class = audit.audit(tmp_path)["per_class"]
    counts = {
        name: {c: part[name] for c, part in per_class.items()} for name in ("encoders", "sizes", "modes")
    }
    assert counts["sizes"] == {"a": {"64 x 48": 6}, "b": {"64 x 48": 6}}
    assert audit.guess_share(counts["encoders"]) == (1.0, 0.5)
    assert audit.guess_share(counts["sizes"]) == audit.guess_share(counts["modes"]) == (0.5, 0.5)


def test_a_value_seen_once_gives_nothing_away():
    counts = {"a": {str(n): 1 for n in range(6)}, "b": {str(n): 1 for n in range(6, 10)}}
    assert audit.guess_share(counts) == (0.6, 0.6)


# Any kind of file ------------------------------------------------------------------------------------


def save_16_bit(image: Image.Image, path: Path) -> None:
    Image.fromarray(np.asarray(image.convert("L"), dtype=np.uint16) * 200).save(path)


def save_32_bit(image: Image.Image, path: Path) -> None:
    Image.fromarray(np.asarray(image.convert("L"), dtype=np.float32) / 1000).save(path)


def save_transparent(image: Image.Image, path: Path) -> None:
    """White turns into transparent black, which looks the same on paper only."""
    grey = np.asarray(image.convert("L"))
    Image.fromarray(np.dstack([np.zeros_like(grey)] * 3 + [255 - grey])).save(path)


def save_rotated(image: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    image.transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", quality=90, exif=exif)


def save_frames(image: Image.Image, path: Path) -> None:
    image.save(path, save_all=True, append_images=[photo(999), photo(998)])


ODD_FILES = {
    "16 bit.png": save_16_bit,
    "32 bit float.tif": save_32_bit,
    "transparent.png": save_transparent,
    "rotated.jpg": save_rotated,
    "frames.gif": save_frames,
    "cmyk.jpg": lambda image, path: image.convert("CMYK").save(path, quality=90),
    "palette.png": lambda image, path: image.quantize(64).save(path),
    "one channel and alpha.png": lambda image, path: image.convert("LA").save(path),
    "lossy.webp": lambda image, path: image.save(path, quality=80),
    "wrong suffix.png": lambda image, path: image.save(path, "JPEG", quality=80),
    "no suffix": lambda image, path: image.save(path, "TIFF"),
    "Größe 心電図 \N{GRINNING FACE}.jpg": lambda image, path: image.save(path, quality=80),
    "progressive.jpg": lambda image, path: image.save(path, quality=80, progressive=True),
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_every_kind_of_file_is_decoded_as_the_picture_it_shows(tmp_path, name):
    root = tree(tmp_path, {"a/plain.bmp": photo(1), "a/other.png": photo(2), "b/another.png": photo(3)})
    ODD_FILES[name](photo(1), root / "b" / name)
    report = audit.audit(root)
    assert report["unreadable"] == []
    assert found(report) == {("a/plain.bmp", f"b/{name}")}


def test_broken_files_are_listed_and_the_rest_goes_on(tmp_path):
    root = tree(
        tmp_path,
        {f"{c}/{n}.{s}": photo(n) for c, n, s in [("a", 1, "jpg"), ("b", 2, "png"), ("b", 3, "jpg")]},
    )
    jpg, png = ((root / name).read_bytes() for name in ("a/1.jpg", "b/2.png"))
    broken = {
        "a/truncated.jpg": jpg[: len(jpg) // 2],
        "b/truncated.png": png[: len(png) // 2],
        "b/head only.jpg": jpg[:300],
        "a/zero bytes.jpg": b"",
        "b/zero bytes.png": b"",
        "a/prose.jpg": b"this is not a picture",
        "b/a copy of truncated.jpg": jpg[: len(jpg) // 2],
    }
    for name, content in broken.items():
        (root / name).write_bytes(content)
    (root / "a/leads nowhere.jpg").symlink_to(root / "absent.jpg")
    report = audit.audit(root)
    assert sorted(report["unreadable"]) == sorted([*broken, "a/leads nowhere.jpg"])
    assert report["files"] == 11
    assert report["distinct"] == 3 + 6  # the zero bytes are one content, the truncated JPEG and its copy too
    assert report["per_class"]["b"]["sizes"] == {"200 x 150": 2}


def test_a_name_that_is_no_text_is_written_out(tmp_path):
    (tmp_path / "a").mkdir()
    try:
        photo(1).save(os.fsencode(tmp_path) + b"/a/\xff.png", "PNG")
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    report = audit.audit(tmp_path)
    assert report["files"] == 1 and report["unreadable"] == []
    Console(file=io.StringIO()).print(audit.summary(report))
    json.dumps(report, ensure_ascii=False).encode()


# Near-copies -----------------------------------------------------------------------------------------


def test_a_picture_is_laid_on_another():
    rng = np.random.default_rng(0)
    still = np.asarray(photo(5).convert("L"), dtype=float)
    moving = np.asarray(
        photo(5).transform((200, 150), Image.Transform.AFFINE, (1.01, 0, 2.3, 0, 0.99, -1.7)).convert("L")
    )
    assert audit.correlation(moving, still) < 0.9
    assert audit.correlation(audit.register(moving, still), still) > 0.995
    far = np.asarray(page(0).convert("L").resize((303, 215), Image.Resampling.LANCZOS))
    assert audit.correlation(audit.register(np.roll(far, (8, -11), (0, 1)), far), far) > 0.95
    stranger = rng.integers(0, 255, still.shape)
    before = audit.correlation(stranger, still)
    assert before <= audit.correlation(audit.register(stranger, still), still) < 0.2


def test_blank_pictures_are_like_nothing():
    blank = [Image.new("RGB", (100, 80), colour) for colour in ("white", "black", "red")]
    assert near(blank) == set()
    specks = [np.full((160, 200), 254, dtype=np.uint8) for _ in range(2)]
    for k, speck in enumerate(specks):
        speck[40:44, 50:54] = speck[90:94, 120:124] = 250 - k  # too faint for the eye
    assert near([Image.fromarray(speck) for speck in specks]) == set()
    assert audit.correlation(np.zeros((40, 40)), np.ones((40, 40))) == 0


@lru_cache(maxsize=1)
def pages() -> list[Image.Image]:
    return [page(seed) for seed in range(16)]


def test_on_forms_the_hash_alone_cannot_tell_pages_apart():
    distance = audit.hash_distance(*[audit.perceptual_hashes(thumbs_of(pages()))] * 2)
    assert (distance[np.triu_indices(16, 1)] <= audit.RADIUS).mean() > 0.5
    assert near(pages()) == set()


@pytest.mark.parametrize("version", VERSIONS)
def test_copies_of_pages_are_found_and_different_pages_are_not(version):
    copies = [VERSIONS[version](pages()[k]) for k in (3, 8)]
    assert near(pages() + copies) == {(3, 16), (8, 17)}


def test_a_few_pages_on_one_form_are_told_apart_too():
    for count in (2, 3, 5, 7):
        assert near(pages()[:count]) == set()
        assert near([*pages()[:count], VERSIONS["all at once"](pages()[1])]) == {(1, count)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("count", [2, 6, 20])
def test_copies_of_photographs_are_found_in_small_sets(version, count):
    photos = [photo(seed) for seed in range(count)]
    assert near([*photos, VERSIONS[version](photos[1])]) == {(1, count)}


def test_a_copy_of_half_the_size_is_found_even_if_the_picture_is_all_detail():
    noise = np.random.default_rng(0).normal(0, 25, (150, 200, 1))
    fine = [Image.fromarray(np.clip(np.asarray(photo(k)) + noise, 0, 255).astype(np.uint8)) for k in range(3)]
    assert near([*fine, VERSIONS["half size"](fine[2])]) == {(2, 3)}


def test_many_versions_of_one_picture_do_not_make_it_a_form():
    versions = [jpeg(photo(0), quality) for quality in range(50, 95, 5)]
    pairs = near([*versions, photo(1), photo(2)])
    assert pairs == {(a, b) for a in range(9) for b in range(a + 1, 9)}
    assert audit.common_form(thumbs_of(versions)) is None


def test_the_form_is_what_many_pages_share():
    thumbs = thumbs_of(pages())
    form = audit.common_form(thumbs)
    assert np.allclose(form, thumbs.mean(axis=0), atol=1e-3)
    assert audit.common_form(thumbs[: audit.FORM_MEMBERS - 1]) is None


def test_families_follow_chains_whatever_the_block():
    bits = np.zeros((200, 1, 64), dtype=bool)
    for k in range(100):  # a chain of one-bit steps, and 100 pictures far from it and from one another
        bits[k, 0, : k % 64] = True
    bits[100:, 0] = np.random.default_rng(0).random((100, 64)) < 0.5
    groups = audit.families(bits, radius=1)
    assert [group.tolist() for group in groups] == [list(range(100))]
    star = np.concatenate([np.zeros((1, 64)), np.eye(64), np.eye(64) + np.roll(np.eye(64), 1, axis=1)])
    beyond = star[[70]] + np.roll(star[[70]], 20, axis=1)  # two steps from the centre, by one picture only
    groups = audit.families(np.concatenate([star, beyond])[:, None].astype(bool), radius=2)
    assert [len(group) for group in groups] == [130]


def test_a_near_copy_is_reported_once_however_often_it_was_copied(tmp_path):
    root = tree(tmp_path, {f"a/{n}.png": photo(n) for n in range(3)} | {"b/0.jpg": photo(0)})
    shutil.copy(root / "a/0.png", root / "a/7.png")
    shutil.copy(root / "b/0.jpg", root / "b/7.jpg")
    report = audit.audit(root)
    assert found(report) == {("a/0.png", "b/0.jpg")}
    assert 0.99 < report["near_duplicates"][0]["correlation"] <= 1


def test_many_pictures_get_smaller_thumbnails():
    assert np.prod(audit.common_size([(4000, 3000)] * 10)) <= audit.THUMB_AREA
    many = np.broadcast_to([4000, 3000], (100_000, 2))
    assert np.prod(audit.common_size(many)) * 100_000 <= audit.THUMB_BUDGET


# The look-up -----------------------------------------------------------------------------------------


def slow_look_up(keys, labels, part) -> tuple[float, dict]:
    """Look up one split the long way round."""
    train = [k for k in range(len(keys)) if part[k] == 0]
    seen = Counter(keys[k] for k in train)
    alone = [k for k in train if seen[keys[k]] == 1] or train
    fallback = Counter(sorted(labels[k] for k in alone)).most_common(1)[0][0]
    right = Counter()
    for k in np.flatnonzero(part == 2):
        votes = Counter(sorted(labels[j] for j in train if keys[j] == keys[k]))
        right[labels[k]] += (votes.most_common(1)[0][0] if votes else fallback) == labels[k]
    total = Counter(labels[k] for k in np.flatnonzero(part == 2))
    return sum(right.values()) / sum(total.values()), {name: right[name] / total[name] for name in total}


files = st.lists(st.tuples(st.integers(0, 25), st.sampled_from("abc")), min_size=10, max_size=30).map(
    lambda pairs: pairs + [(k, label) for k, label in enumerate("abc" * 6)]
)


@settings(deadline=None, max_examples=30)
@given(files=files, seed=st.integers(0, 5))
def test_the_look_up_agrees_with_a_plain_loop(files, seed):
    keys, labels = (list(column) for column in zip(*files, strict=True))
    score = audit.lookup_baseline(keys, labels, repeats=7, seed=seed)
    slow = [slow_look_up(keys, labels, part) for part in next(audit.simulate_splits(labels, 7, seed=seed))]
    assert score["accuracy_mean"] == pytest.approx(np.mean([accuracy for accuracy, _ in slow]))
    assert score["accuracy_sd"] == pytest.approx(np.std([accuracy for accuracy, _ in slow]))
    for name in "abc":
        assert score["recall"][name] == pytest.approx(np.mean([recall[name] for _, recall in slow]))


@settings(deadline=None, max_examples=30)
@given(counts=st.lists(st.integers(8, 40), min_size=2, max_size=4), seed=st.integers(0, 5))
def test_without_copies_the_look_up_is_its_fallback(counts, seed):
    labels = np.repeat([f"class {k}" for k in range(len(counts))], counts)
    score = audit.lookup_baseline(range(len(labels)), labels, repeats=20, seed=seed)
    assert score["recall"] == pytest.approx(score["fallback"])
    assert set(score["twins"].values()) == {0.0}
    in_test = audit.part_counts(counts)[:, 2]
    assert score["accuracy_mean"] <= in_test.max() / in_test.sum() + 1e-12


@settings(deadline=None, max_examples=30)
@given(copies=st.lists(st.integers(1, 6), min_size=20, max_size=60), seed=st.integers(0, 5))
def test_a_twin_is_always_right_where_labels_do_not_contradict(copies, seed):
    keys = np.repeat(np.arange(len(copies)), copies)
    labels = np.array(["even", "odd"])[keys % 2]
    score = audit.lookup_baseline(keys, labels, repeats=20, seed=seed)
    for name in ("even", "odd"):
        assert score["recall"][name] >= score["twins"][name] - 1e-12
        if score["fallback"][name] == 0:
            assert score["recall"][name] == pytest.approx(score["twins"][name])
        if score["fallback"][name] == 1:
            assert score["recall"][name] == 1


def test_the_more_copies_the_better_the_look_up():
    labels = ["cat"] * 40 + ["dog"] * 40
    scores = [
        audit.lookup_baseline(list(range(80)) * times, labels * times, repeats=300)["accuracy_mean"]
        for times in (1, 2, 3, 5)
    ]
    assert scores == sorted(scores) and scores[0] == pytest.approx(0.5, abs=0.05) and scores[-1] > 0.98


def test_recall_of_pairs_is_their_chance_of_being_in_training():
    keys, labels = [*range(86), *range(86), *range(100, 272)], ["pair"] * 172 + ["single"] * 172
    score = audit.lookup_baseline(keys, labels)
    in_training = audit.part_counts([172, 172])[0, 0]
    assert score["recall"]["pair"] == pytest.approx(in_training / 171, abs=0.01)
    assert score["recall"]["single"] == score["fallback"]["single"] == 1


def test_splits_are_stratified_and_their_seed_is_all_that_matters():
    labels = ["a"] * 31 + ["b"] * 57 + ["c"] * 12
    whole = np.concatenate(list(audit.simulate_splits(labels, 50, seed=3)))
    blocks = list(audit.simulate_splits(labels, 50, seed=3, block=7))
    assert len(blocks) == 8 and np.array_equal(np.concatenate(blocks), whole)
    assert not np.array_equal(next(audit.simulate_splits(labels, 50, seed=4)), whole)
    expected = audit.part_counts([31, 57, 12])
    for name, row in zip("abc", expected, strict=True):
        inside = whole[:, np.array(labels) == name]
        assert all(((inside == part).sum(axis=1) == row[part]).all() for part in range(3))
    share = (whole == 0).mean(axis=0)
    assert share.min() > 0.4 and share.max() < 0.95  # every file moves


def test_parts_have_the_sizes_that_scikit_learn_gives():
    from sklearn.model_selection import train_test_split

    labels = np.repeat(np.arange(4), [239, 172, 233, 284])
    rest, test = train_test_split(labels, test_size=0.15, stratify=labels, random_state=0)
    parts = audit.part_counts([239, 172, 233, 284])
    assert np.array_equal(np.bincount(test), parts[:, 2])
    assert np.array_equal(np.bincount(rest), parts[:, :2].sum(axis=1))
    assert parts.sum(axis=0).tolist() == [648, 140, 140]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a"] * 50, "only one class"),
        (["a"] * 50 + ["b"], "b: has 1 readable file, too few"),
        (["a", "b"], "too few"),
    ],
)
def test_too_few_files_to_split(labels, words):
    with pytest.raises(data.EcgbookError, match=words):
        audit.lookup_baseline(range(len(labels)), labels)


# The report ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copied(tmp_path_factory) -> Path:
    """Give a tree in which each cat stands three times and each dog once."""
    root = tree(
        tmp_path_factory.mktemp("copied"),
        {f"[red]cat/{n + 10 * k}.png": photo(n, (40, 30)) for n in range(10) for k in range(3)}
        | {f"dog/{n}.png": photo(100 + n, (40, 30)) for n in range(30)},
    )
    (root / "dog/broken.png").touch()
    return root


def test_the_report_holds_what_was_promised_and_nothing_of_the_machine(copied):
    told = []
    report = audit.audit(copied, lambda *step: told.append(step))
    assert set(report) == {
        "files", "distinct", "per_class", "cross_label", "near_duplicates", "unreadable", "lookup",
    }  # fmt: skip
    assert (report["files"], report["distinct"], report["unreadable"]) == (61, 41, ["dog/broken.png"])
    cat = report["per_class"]["[red]cat"]
    assert (cat["files"], cat["distinct"], cat["copy_period"]) == (30, 10, 10)
    assert cat["modes"] == {"RGB": 10} and cat["encoders"] == {"PNG IHDR IDAT IEND": 10}
    assert report["lookup"]["recall"]["[red]cat"] > 0.8 and report["lookup"]["recall"]["dog"] == 1
    assert report["lookup"]["fallback"] == {"[red]cat": 0, "dog": 1}
    text = json.dumps(report)
    assert str(copied) not in text and json.loads(text) == report
    assert {stage for stage, _, _ in told} >= {"hashing", "decoding"}
    assert all(0 < done <= total for _, done, total in told)
    assert json.dumps(audit.audit(copied)) == text


def test_a_small_tree_has_no_look_up_and_says_why(tmp_path):
    report = audit.audit(tree(tmp_path, {"a/1.png": photo(1), "b/1.png": photo(2)}))
    assert report["lookup"] is None
    assert "too few to stand in training and in test" in report["lookup_reason"]
    assert "too few" in printed(report)


def printed(report: dict) -> str:
    console = Console(file=io.StringIO(), width=110)
    console.print(audit.summary(report), markup=False, highlight=False)
    return console.file.getvalue()


def test_the_summary_shows_numbers_names_and_the_head_of_long_lists(copied):
    report = audit.audit(copied)
    text = printed(report)
    assert "61 image files, 41 distinct" in text and "[red]cat" in text and "dog/broken.png" in text
    assert f"{report['lookup']['accuracy_mean']:.3f}" in text
    report["unreadable"] = [f"dog/{n}.png" for n in range(25)]
    assert (
        "dog/9.png" in printed(report)
        and "dog/10.png" not in printed(report)
        and "15 more" in printed(report)
    )
    report["cross_label"] = [{"labels": ["x", "y"], "files": ["x/1.png", "y/2.png"]}]
    report["near_duplicates"] = [{"a": "x/3.png", "b": "x/4.png", "correlation": 0.95}]
    assert "x/1.png = y/2.png" in printed(report) and "x/3.png  ~  x/4.png" in printed(report)


# The carried report, and the real pages --------------------------------------------------------------

DISTINCT = {"MI": 30, "History_MI": 86, "Abnormal": 233, "Normal": 142}


def carried() -> dict:
    return json.loads((data.tables() / "audit_eicp.json").read_text(encoding="utf-8"))


def test_the_carried_report_agrees_with_the_manifest():
    report, frame = carried(), data.files()
    assert (report["files"], report["distinct"]) == (928, 491) == (len(frame), frame["sha256"].nunique())
    assert report["cross_label"] == report["unreadable"] == []
    for label, part in frame.groupby("label"):
        stored = report["per_class"][data.FOLDERS[label]]
        assert (stored["files"], stored["distinct"]) == (len(part), DISTINCT[label])
        assert stored["copy_period"] == audit.copy_period(part["file"], part["sha256"])
    score = audit.lookup_baseline(frame["sha256"], frame["label"])
    assert score["accuracy_mean"] == pytest.approx(report["lookup"]["accuracy_mean"], abs=0.003)
    for label in data.CLASSES:
        stored = report["lookup"]["recall"][data.FOLDERS[label]]
        assert score["recall"][label] == pytest.approx(stored, abs=0.01)


def test_the_look_up_of_the_published_files():
    frame = data.files()
    start = time.process_time()
    score = audit.lookup_baseline(frame["md5"], frame["label"])
    assert time.process_time() - start < 2
    assert 0.850 < score["accuracy_mean"] < 0.857 and 0.025 < score["accuracy_sd"] < 0.035
    assert score["recall"]["MI"] > 0.999 and score["recall"]["Abnormal"] > 0.999
    assert score["recall"]["History_MI"] == pytest.approx(0.70, abs=0.01)
    assert score["recall"]["Normal"] == pytest.approx(0.70, abs=0.01)
    periods = {label: audit.copy_period(part["file"], part["md5"]) for label, part in frame.groupby("label")}
    assert periods == {"MI": 30, "History_MI": 86, "Normal": 142, "Abnormal": None}


def test_the_real_pages_give_the_carried_report(eicp):
    if not (eicp / data.FOLDERS["MI"]).is_dir():
        pytest.skip("the published tree is not laid out here")
    start = time.process_time()
    report = audit.audit(eicp)
    assert time.process_time() - start < 100  # two threads: half of it on an idle machine
    assert json.loads(json.dumps(report)) == carried()
    assert report["near_duplicates"] == []


def best_of(times: int, task) -> float:
    def once() -> float:
        start = time.perf_counter()
        task()
        return time.perf_counter() - start

    return min(once() for _ in range(times))


def test_hashing_the_real_files_takes_no_longer_than_md5sum(eicp):
    if not shutil.which("md5sum"):
        pytest.skip("md5sum is not installed")
    inodes = {path.stat().st_ino: path for path in sorted(eicp.rglob("*.jpg"))}
    paths = list(inodes.values())  # hard links once, so that both read the same bytes
    names = [str(path) for path in paths]
    theirs = best_of(3, lambda: subprocess.run(["md5sum", *names], check=True, stdout=subprocess.DEVNULL))
    ours = best_of(3, lambda: audit.hash_files(paths))
    assert ours < 1.5 * theirs


def test_copies_of_real_pages_are_found_among_real_pages(eicp, tmp_path):
    frame = data.pages()
    chosen = frame.groupby("label", sort=False).head(6)
    paths = {path.name: path for path in eicp.rglob("*.jpg")}
    root = tmp_path / "pages"
    (root / "copies").mkdir(parents=True)
    for row in chosen.itertuples():
        (root / row.label).mkdir(exist_ok=True)
        os.symlink(paths[row.file], root / row.label / row.file)
    expected = set()
    for (name, version), row in zip(VERSIONS.items(), chosen[::2].itertuples(), strict=False):
        with Image.open(paths[row.file]) as image:
            version(image.convert("RGB")).save(root / "copies" / f"{name}.jpg", quality=90)
        expected.add((f"{row.label}/{row.file}", f"copies/{name}.jpg"))
    pairs = {tuple(sorted(pair)) for pair in found(audit.audit(root))}
    assert pairs == {tuple(sorted(pair)) for pair in expected} and len(pairs) == len(VERSIONS)
