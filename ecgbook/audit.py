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
# # Audit: is the answer already in the training set?
# A data set is audited before it is learned from. Four questions can be put to any folder of images, one
# sub-folder a class, without training anything: which files are copies, byte for byte; which are the same
# picture in other bytes; does the way a file was *encoded* tell its class; and how well would a program do
# that never looks at a picture, but only remembers which files it has seen?
#
# The last one is the measure of the first. If a test file has a twin in the training set, remembering is
# enough. The accuracy of that rule is the part of any model's score that needs no skill at all.

# %%
"""Audit a folder of images: copies, near-copies, encoders, and a classifier that only looks files up."""

from __future__ import annotations

import hashlib
import math
import os
import re
import struct
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, JpegImagePlugin

from ecgbook.data import EcgbookError, Progress, is_junk

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

WORKERS = 2  # threads: hashing and decoding both release Python's lock

# %% [markdown]
# ## Which files
# The class of a file is the name of the folder under the root in which it lies, however deep. Whether it is
# an image is decided by its name *or* by its content: a photograph called `scan.dat` is audited, and a text
# called `scan.jpg` is listed as unreadable instead of being passed over. Names are put in the order in which
# a person counts, 2 before 10, so that "the first copy" is the one that anybody would call the first.

# %%
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")

# fmt: off
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm",
    ".pnm", ".jp2", ".avif",
})
# fmt: on

LAYOUT = "lay the images out with one sub-folder for each class"


def natural_key(name: str) -> tuple:
    """Key that sorts names as a person counts: numbers by value, letters without case.

    Examples
    --------
    >>> sorted(["MI(10).jpg", "MI(2).jpg", "mi(1).jpg"], key=natural_key)
    ['mi(1).jpg', 'MI(2).jpg', 'MI(10).jpg']
    """
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((int(part), "") if k % 2 else (0, part) for k, part in enumerate(parts)), name


def find_images(root: Path) -> list[str]:
    """List the image files of a class-per-folder tree.

    Parameters
    ----------
    root : pathlib.Path
        Folder with one sub-folder for each class.

    Returns
    -------
    list of str
        Paths relative to ``root``, with forward slashes, in natural order; the first part is the class. Links
        to files are followed, links to folders only directly under ``root``.

    Raises
    ------
    EcgbookError
        If ``root`` is no folder, is empty, or has no image in any sub-folder.
    """
    root = Path(root)
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "no such folder"
        raise EcgbookError(f"{root}: {problem}; name a folder with one sub-folder for each class")
    inside = sorted(root.iterdir())
    if not inside:
        raise EcgbookError(f"{root}: is empty; {LAYOUT}")
    found = [path for folder in inside if folder.is_dir() for path in _walk(folder) if _is_image(path)]
    if not found:
        loose = any(not path.is_dir() and _is_image(path) for path in inside)
        problem = "its images lie beside one another, in no class" if loose else "holds no images"
        raise EcgbookError(f"{root}: {problem}; {LAYOUT}")
    return sorted((path.relative_to(root).as_posix() for path in found), key=natural_key)


def _walk(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        yield from (Path(path) / name for name in names if not name.startswith(".") and not is_junk(name))


def _is_image(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return path.is_file() or path.is_symlink()  # a link to nothing is an unreadable image
    with suppress(Exception):
        if path.is_file():
            with _open(path):
                return True
    return False


def _open(path: Path) -> Image.Image:
    """Read the head of an image; the formats that this Pillow was built without are left out."""
    return Image.open(path, formats=_formats())


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


# %% [markdown]
# ## Exact copies
# Two files are the same if their hashes are. A file is read in blocks, so memory does not depend on its size,
# and hard links to the same bytes on the disk are read once.


# %%
def hash_file(path: Path) -> str | None:
    """Hash the content of one file.

    Parameters
    ----------
    path : pathlib.Path
        Any file.

    Returns
    -------
    str or None
        BLAKE2b, 128 bits, in hexadecimal; None if the file cannot be opened or read.
    """
    with suppress(OSError), open(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    return None


def hash_files(paths: Sequence[Path], progress: Progress | None = None) -> list[str | None]:
    """Hash many files, two at a time, hard links once.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        The files.
    progress : callable, optional
        Told ``("hashing", done, total)`` after each file read.

    Returns
    -------
    list of str or None
        One hash a file, as from :func:`hash_file`.
    """
    places = [_place(path) for path in paths]
    first = {place: path for place, path in zip(reversed(places), reversed(paths), strict=True)}
    hashes = dict(zip(first, _in_threads(hash_file, first.values(), "hashing", progress), strict=True))  # type: ignore[arg-type]
    return [hashes[place] for place in places]


def _place(path: Path) -> Hashable:
    """Return where the bytes lie on the disk; the path itself where that is unknown."""
    with suppress(OSError):
        status = os.stat(path)
        if status.st_ino:
            return status.st_dev, status.st_ino
    return path


def _in_threads(task: Callable, items: Sequence, stage: str, progress: Progress | None) -> list:
    """Apply a task to each item in :data:`WORKERS` threads, telling how far it got."""
    items, results = list(items), []
    with ThreadPoolExecutor(WORKERS) as pool:
        for result in pool.map(task, items):
            results.append(result)
            if progress:
                progress(stage, len(results), len(items))
    return results


# %% [markdown]
# ## What the copies look like
# A copy under another label is a contradiction: the same picture is said to be two things. Copies within a
# label are worse for a score, because they are silent. And copies often have a rhythm: when a folder was
# pasted after itself, file $n$ equals file $n + k$ for every $n$, and $k$ is the number of pictures there
# really were.


# %%
def cross_label(keys: Sequence[Hashable], labels: Sequence[str], names: Sequence[str]) -> list[dict]:
    """Find contents that stand under more than one label.

    Parameters
    ----------
    keys, labels, names : sequence
        For each file its content hash, its class and its name.

    Returns
    -------
    list of dict
        One entry a content: ``labels`` and ``files``, both lists of str.

    Examples
    --------
    >>> cross_label(["x", "y", "x"], ["cat", "cat", "dog"], ["1.png", "2.png", "3.png"])
    [{'labels': ['cat', 'dog'], 'files': ['1.png', '3.png']}]
    """
    groups = defaultdict(list)
    for key, label, name in zip(keys, labels, names, strict=True):
        groups[key].append((label, name))
    return [
        {"labels": sorted({label for label, _ in group}), "files": [name for _, name in group]}
        for group in groups.values()
        if len({label for label, _ in group}) > 1
    ]


def copy_period(names: Sequence[str], keys: Sequence[Hashable]) -> int | None:
    """Find the period of copies in numbered names.

    Parameters
    ----------
    names : sequence of str
        File names; the last number in a name counts.
    keys : sequence of hashable
        The content hash of each file.

    Returns
    -------
    int or None
        The ``k`` for which files ``n`` and ``n + k`` of a series are always copies, and no others are. None
        if there are no copies, or if they follow no such rule.

    Examples
    --------
    >>> copy_period(["MI(1).jpg", "MI(2).jpg", "MI(3).jpg", "MI(4).jpg"], "abab")
    2
    >>> copy_period(["MI(1).jpg", "MI(2).jpg", "MI(3).jpg", "MI(4).jpg"], "abba") is None
    True
    """
    places = [_series(name) for name in names]
    copies, content = defaultdict(list), defaultdict(set)
    for place, key in zip(places, keys, strict=True):
        copies[key].append(place)
    steps = [b - a for group in copies.values() for (_, a), (_, b) in pairwise(group)]
    period = math.gcd(*steps)
    if not period:
        return None
    for (series, number), key in zip(places, keys, strict=True):
        content[series, number % period].add(key)
    one_to_one = len(content) == len(copies) and all(len(inside) == 1 for inside in content.values())
    return period if one_to_one else None


def _series(name: str) -> tuple[str, int]:
    """Split a name into what surrounds its last number, and that number; 0 if it has none."""
    match = re.fullmatch(r"(.*?)([0-9]+)([^0-9]*)", name, re.DOTALL)
    return (f"{match[1]}#{match[3]}", int(match[2])) if match else (name, 0)


# %% [markdown]
# ## How a file was encoded
# An encoder leaves a signature that has nothing to do with the picture: the quantisation tables of a JPEG,
# how it samples colour, which marker segments it writes, which chunks stand in a PNG. If one class came from
# one scanner or one export, the signature gives the class away, and so does the size. The tables of JPEG
# are published in ITU-T T.81; that they identify a source was shown by Farid (2006, *Digital image ballistics
# from JPEG quantization*).

# %%
SAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
MARKERS = {"jfif": "JFIF", "exif": "Exif", "adobe": "Adobe", "icc_profile": "ICC", "xmp": "XMP"}


def signature(image: Image.Image) -> str:
    """Describe how a picture was encoded, whatever it shows.

    Parameters
    ----------
    image : PIL.Image.Image
        A picture as opened from a file; it need not be loaded.

    Returns
    -------
    str
        For JPEG: scan order, chroma sampling, a hash of the quantisation tables, the metadata blocks. For
        PNG: the chunk types. Otherwise the format, and the compression if it is known.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("L", (8, 8)).save(file, "PNG")
    >>> signature(Image.open(file))
    'PNG IHDR IDAT IEND'
    """
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        tables = hashlib.blake2b(repr(sorted(image.quantization.items())).encode(), digest_size=4).hexdigest()
        order = "progressive" if image.info.get("progressive") else "baseline"
        sampling = SAMPLING.get(JpegImagePlugin.get_sampling(image), image.mode)
        markers = [name for key, name in MARKERS.items() if key in image.info]
        return " ".join(["JPEG", order, sampling, f"tables {tables}", *markers])
    if image.format == "PNG":
        return " ".join(["PNG", *_png_chunks(image)])
    return " ".join(filter(None, [image.format, str(image.info.get("compression", ""))]))


def _png_chunks(image: Image.Image) -> list[str]:
    """Return the chunk types in order of first appearance; the picture's place in its file is kept."""
    stream, types = image.fp, []  # type: ignore[attr-defined, var-annotated]
    before = stream.tell()
    stream.seek(8)
    while types[-1:] != ["IEND"] and len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        types.append(kind.decode("latin-1"))
        stream.seek(length + 4, os.SEEK_CUR)  # the data and their checksum
    stream.seek(before)
    return list(dict.fromkeys(types))


def guess_share(counts: dict[str, dict[str, int]]) -> tuple[float, float]:
    """Say how often the class is guessed right from one property, in the files at hand.

    Parameters
    ----------
    counts : dict
        For each class, how many files have each value of the property.

    Returns
    -------
    tuple of (float, float)
        Share of files guessed right when each value is answered by its most frequent class, and when the
        property is not known. A value seen once says nothing, and is answered by the most frequent class.

    Examples
    --------
    >>> guess_share({"cat": {"4:2:0": 6, "4:4:4": 1}, "dog": {"4:4:4": 3}})
    (0.9, 0.7)
    """
    totals = {label: sum(values.values()) for label, values in counts.items()}
    majority = max(totals, key=totals.get)  # type: ignore[arg-type]
    right = 0
    for value in {value for values in counts.values() for value in values}:
        column = {label: values.get(value, 0) for label, values in counts.items()}
        right += max(column.values()) if sum(column.values()) > 1 else column[majority]
    total = max(sum(totals.values()), 1)
    return right / total, totals[majority] / total


# %% [markdown]
# ## From any file to one small grey picture
# Near-copies are compared as small grey pictures of one common size. Getting there from any file takes care:
# a JPEG is decoded at a fraction of its size, which is what makes this fast; a rotation noted in the Exif
# block is carried out, as every viewer does; transparent parts become white paper; 16-bit values are
# stretched, where a plain conversion would clip them to white. A broken file shows itself here, because its
# data end too soon.

# %%
THUMB_AREA = 1 << 16  # pixels: a printed trace is still a line, and 491 pages take 32 MB
THUMB_BUDGET = 256 << 20  # bytes for all of them: a larger data set gets smaller pictures


def common_size(sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Choose the size to which all pictures are brought for comparison.

    Parameters
    ----------
    sizes : sequence of (int, int)
        Width and height of each picture, in pixels.

    Returns
    -------
    tuple of (int, int)
        Width and height: half the median size, so that a copy of half the size still has all that is
        compared; less if the pictures are large or many, but at least 32 pixels a side.

    Examples
    --------
    >>> common_size([(2213, 1572)] * 491)
    (303, 215)
    >>> common_size([(400, 300)] * 3), common_size([(28, 28)])
    ((200, 150), (32, 32))
    """
    width, height = np.median(np.asarray(sizes), axis=0)
    area = min(THUMB_AREA, THUMB_BUDGET // len(sizes))
    scale = min(0.5, math.sqrt(area / (width * height)))
    return max(32, int(width * scale)), max(32, int(height * scale))


def thumbnail(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Decode a picture as a small grey one.

    Parameters
    ----------
    image : PIL.Image.Image
        A picture as opened from a file, of any mode.
    size : tuple of (int, int)
        Width and height wanted, in pixels.

    Returns
    -------
    numpy.ndarray
        (height, width), uint8.
    """
    image.draft("L", (2 * size[0], 2 * size[1]))
    image.load()  # a truncated file fails here
    with suppress(Exception):  # a broken Exif block is no broken picture
        image = ImageOps.exif_transpose(image)
    return np.asarray(_grey(image).resize(size, Image.Resampling.LANCZOS))


def _grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        values = (values - values.min()) * (255 / max(np.ptp(values), 1e-12))
        return Image.fromarray(values.astype(np.uint8))
    if image.mode == "LAB":
        return image.getchannel("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L")


# %% [markdown]
# ## Near-copies: a hash proposes
# A perceptual hash keeps 64 signs of the lowest frequencies of a picture: scaling and re-encoding leave most
# of them as they are. A shift does not, so each picture is hashed through nine windows, one in the centre and
# eight moved towards the sides and corners: if two pictures are shifted copies, the centre of one looks much
# like some window of the other.
#
# That is enough to propose, and not enough to decide. On pages printed on one form the hash sees the form:
# hundreds of pairs of *different* ECGs have the very same 64 signs. So the hash only sorts pictures into
# families: two belong together if a chain of small steps, each of at most `RADIUS` signs, leads from one to
# the other.

# %%
RADIUS = 10  # of 64 signs; two unrelated pictures differ in 32, give or take 4
MARGIN = 0.04  # of each side: how far a picture may have been shifted
WINDOWS = [(down, right) for down in (0, -1, 1) for right in (0, -1, 1)]  # the centre comes first


def perceptual_hashes(thumbs: Sequence[np.ndarray]) -> np.ndarray:
    """Hash nine windows of each picture by the signs of their lowest frequencies (``imagehash.phash``).

    Parameters
    ----------
    thumbs : sequence of numpy.ndarray
        Grey pictures, (height, width), uint8.

    Returns
    -------
    numpy.ndarray
        (pictures, 9, 64), bool; the window in the centre comes first.
    """
    import imagehash

    return np.array(
        [[imagehash.phash(window).hash.ravel() for window in _windows(thumb)] for thumb in thumbs]
    )


def _windows(thumb: np.ndarray) -> Iterator[Image.Image]:
    (m, n), (height, width) = _margin(thumb.shape), thumb.shape
    for down, right in WINDOWS:
        top, left = m + down * m, n + right * n
        yield Image.fromarray(thumb[top : top + height - 2 * m, left : left + width - 2 * n])


def _margin(shape: tuple[int, int]) -> np.ndarray:
    return np.maximum(1, np.ceil(MARGIN * np.asarray(shape))).astype(int)


def hash_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Count the signs in which pictures differ, the centre of one against the best window of the other.

    Parameters
    ----------
    a, b : numpy.ndarray
        Hashes as from :func:`perceptual_hashes`, (m, windows, bits) and (n, windows, bits).

    Returns
    -------
    numpy.ndarray
        (m, n), int.

    Examples
    --------
    >>> a = np.array([[[0, 1, 1], [0, 0, 0]]], dtype=bool)
    >>> b = np.array([[[1, 0, 0], [0, 0, 1]], [[1, 0, 0], [1, 1, 0]]], dtype=bool)
    >>> hash_distance(a, b)
    array([[1, 1]])
    """
    a, b = (np.where(bits, 1, -1).astype(np.float32) for bits in (a, b))
    agreement = np.maximum(
        np.einsum("ik,jwk->wij", a[:, 0], b, optimize=True).max(axis=0),
        np.einsum("iwk,jk->wij", a, b[:, 0], optimize=True).max(axis=0),
    )
    return ((a.shape[2] - agreement) / 2).astype(int)


def families(hashes: np.ndarray, radius: int = RADIUS) -> list[np.ndarray]:
    """Sort pictures into families by their hashes.

    Parameters
    ----------
    hashes : numpy.ndarray
        (pictures, windows, bits), bool, as from :func:`perceptual_hashes`.
    radius : int
        Largest number of differing bits in one step.

    Returns
    -------
    list of numpy.ndarray
        Indices of each family of two or more.

    Examples
    --------
    >>> hashes = np.array([[[0, 0, 0, 0]], [[1, 1, 1, 1]], [[0, 0, 0, 1]]], dtype=bool)
    >>> families(hashes, radius=1)
    [array([0, 2])]
    """
    family = np.full(len(hashes), -1)
    for seed in range(len(hashes)):
        queue = np.array([seed]) if family[seed] < 0 else np.array([], int)
        family[queue] = seed
        while queue.size:
            step, rest = queue[:64], np.flatnonzero(family < 0)
            near = rest[(hash_distance(hashes[step], hashes[rest]) <= radius).any(axis=0)]
            family[near] = seed
            queue = np.concatenate([queue[64:], near])
    members = (np.flatnonzero(family == seed) for seed in np.unique(family))
    return [inside for inside in members if len(inside) > 1]


# %% [markdown]
# ## Laying one picture on another
# Before two pictures are compared they are laid on each other. A shift is found by *phase correlation*: the
# cross-spectrum of two pictures, reduced to its phases, is that of a single point which stands where one has
# to move the other (Kuglin and Hines, 1975). What is left, fractions of a pixel and the slight stretch that
# comes from cropping an edge, is found by a few *Gauss-Newton* steps (Lucas and Kanade, 1981): if $w$ is the
# moving picture and $s$ the still one, the step $\delta$ solves $w + \nabla s \cdot \delta \approx s$ in the
# least-squares sense. Correlations are taken inside a margin, because a shifted picture has lost its edge.


# %%
def register(moving: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Shift and stretch one grey picture so that it lies on another.

    Parameters
    ----------
    moving, still : numpy.ndarray
        (height, width), any real type.

    Returns
    -------
    numpy.ndarray
        ``moving``, resampled, float32; unchanged if no small shift and stretch brings it nearer to ``still``.

    Examples
    --------
    >>> rows, columns = np.mgrid[:64, :64]
    >>> still = np.sin(columns / 3) + np.cos(rows / 5) + np.sin(rows * columns / 300)
    >>> moved = register(np.roll(still, (2, -1), (0, 1)), still)
    >>> bool(abs(moved - still)[8:-8, 8:-8].max() < 0.02)
    True
    """
    from scipy.ndimage import gaussian_filter

    moving, still = (np.asarray(picture, dtype=np.float32) for picture in (moving, still))
    starts = [np.zeros(4), np.append(_phase_shift(moving, still), [0, 0])]
    pose = max(starts, key=lambda start: correlation(_warp(moving, start), still))
    for sigma in (1.0, 0.5):  # first the rough picture, which catches from further away
        pose = _gauss_newton(gaussian_filter(moving, sigma), gaussian_filter(still, sigma), pose)
    moved = _warp(moving, pose)
    return moved if correlation(moved, still) > correlation(moving, still) else moving


def _inner(pictures: np.ndarray) -> np.ndarray:
    """Cut the margin off, lay each picture out as a vector, and take its mean away."""
    rows, columns = _margin(pictures.shape[-2:])
    inner = pictures[..., rows:-rows, columns:-columns].astype(np.float32)
    inner = inner.reshape(*pictures.shape[:-2], -1)
    return inner - inner.mean(axis=-1, keepdims=True)


def _unit(pictures: np.ndarray) -> np.ndarray:
    """Scale what is inside the margin to length one; a blank picture stays zero."""
    inner = _inner(pictures)
    length = np.linalg.norm(inner, axis=-1, keepdims=True)
    blank = length < 0.5 * math.sqrt(inner.shape[-1])  # half a grey level: nothing there to compare
    return np.where(blank, np.float32(0), inner / np.maximum(length, 1e-6))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Correlate two grey pictures of one size, inside the margin; 0 if one of them is blank."""
    return float(_unit(a) @ _unit(b))


def _phase_shift(moving: np.ndarray, still: np.ndarray) -> np.ndarray:
    """Find the whole-pixel shift (rows, columns) of ``moving`` against ``still``, within the margin."""
    from scipy.fft import irfft2, rfft2

    window = np.outer(np.hanning(still.shape[0]), np.hanning(still.shape[1])).astype(np.float32)
    spectra = [rfft2((picture - picture.mean()) * window) for picture in (moving, still)]
    cross = spectra[0] * np.conj(spectra[1])
    peaks = irfft2(cross / np.maximum(abs(cross), 1e-9), s=still.shape)
    lags = [np.r_[0 : m + 1, -m:0] for m in _margin(still.shape)]
    near = peaks[np.ix_(*lags)]
    place = np.unravel_index(near.argmax(), near.shape)
    return np.array([lag[k] for lag, k in zip(lags, place, strict=True)], dtype=float)


def _warp(picture: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Sample a picture at shifted (first two) and stretched (last two, pixels at the edge) positions."""
    for n, shift, stretch in zip(picture.shape, pose[:2], pose[2:], strict=True):  # rows, then columns
        picture = _sample_rows(picture, np.arange(n) + shift + stretch * np.linspace(-1, 1, n)).T
    return picture


def _sample_rows(picture: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Interpolate between rows from the nearest four (cubic convolution, Keys 1981); edges are continued."""
    first = np.floor(positions).astype(int) - 1
    sampled = np.zeros((len(positions), picture.shape[1]), dtype=np.float32)
    for row in (first, first + 1, first + 2, first + 3):
        t = abs(positions - row)
        weight = np.where(t <= 1, (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2)
        sampled += weight.astype(np.float32)[:, None] * picture[np.clip(row, 0, len(picture) - 1)]
    return sampled


def _gauss_newton(moving: np.ndarray, still: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Improve a pose (shift and stretch, rows and columns) until it moves by less than 0.03 pixels."""
    height, width = still.shape
    limit = np.tile(_margin(still.shape), 2)
    down, right = np.gradient(still)
    v, u = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    slopes = _inner(np.stack([down, right, down * v, right * u]))
    target = _inner(still)
    normal = slopes @ slopes.T
    normal += 1e-6 * (np.trace(normal) + 1) * np.eye(4, dtype=np.float32)
    for _ in range(6):
        moved = _inner(_warp(moving, pose))
        gain = target.std() / max(moved.std(), 1e-6)
        step = np.linalg.solve(normal, slopes @ (target - gain * moved))
        pose = np.clip(pose + step, -limit, limit)
        if abs(step).max() < 0.03:
            break
    return pose


# %% [markdown]
# ## Near-copies: the residual confirms
# In a family of pictures on one form, the mean picture *is* the form. Subtract it, and what is left of a page
# is its own: two different ECGs then correlate near zero, two copies near one,
#
# $$ r_{ab} = \frac{\langle a - \bar p,\; b - \bar p \rangle}{\lVert a - \bar p \rVert \, \lVert b - \bar p \rVert}. $$
#
# The mean is a form only if many pictures share it and it leaves something over. Among three photographs the
# mean is a blur of three photographs, and among ten versions of one photograph it is that photograph, so that
# subtracting it would leave only noise. In both cases the pictures themselves are compared, by a stricter
# threshold, since without a form to subtract two pictures of one kind may well correlate at 0.9.

# %%
FORM_MEMBERS = 8  # fewer pictures have no form in common that could be told from the pictures
FORM_REMAINDER = 0.05  # share of the variance that a form leaves to the pictures
SAME_RESIDUAL = 0.80  # different ECGs of EICP reach 0.46; re-encoded, resized, shifted copies stay above 0.9
SAME_PICTURE = 0.92  # without the form taken away, different ECGs of EICP reach 0.83
SECOND_LOOK = 0.30  # pairs that miss it by less are laid on each other and compared again; in a few, all are


def common_form(pictures: np.ndarray) -> np.ndarray | None:
    """Find what all pictures of a family share.

    Parameters
    ----------
    pictures : numpy.ndarray
        (pictures, height, width), laid on one another.

    Returns
    -------
    numpy.ndarray or None
        The mean picture, (height, width), float32; None if it is no form (see above).
    """
    if len(pictures) < FORM_MEMBERS:
        return None
    mean = pictures.mean(axis=0, dtype=np.float32)
    left = [1 - correlation(picture, mean) ** 2 for picture in pictures]
    return mean if np.median(left) >= FORM_REMAINDER else None


def near_duplicates(
    thumbs: np.ndarray, hashes: np.ndarray | None = None, progress: Progress | None = None
) -> list[tuple[int, int, float]]:
    """Find pairs that show the same picture: re-encoded, resized, slightly shifted or stretched.

    Parameters
    ----------
    thumbs : numpy.ndarray
        (pictures, height, width), uint8, as from :func:`thumbnail`. No two should be exact copies.
    hashes : numpy.ndarray, optional
        (pictures, windows, bits), bool; by default :func:`perceptual_hashes`.
    progress : callable, optional
        Told ``("comparing", done, total)`` as pictures are laid on one another.

    Returns
    -------
    list of tuple of (int, int, float)
        Indices of the two, the smaller one first, and the correlation of what they do not share with the
        rest.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> photos = rng.integers(0, 256, (4, 40, 60)).repeat(2, axis=1).repeat(2, axis=2).astype(np.uint8)
    >>> photos[3] = photos[1] // 2 + 20  # darker, and with half the contrast
    >>> [(a, b) for a, b, _ in near_duplicates(photos)]
    [(1, 3)]
    """
    hashes = perceptual_hashes(thumbs) if hashes is None else hashes  # type: ignore[arg-type]
    groups = families(hashes)
    done, total = 0, sum(map(len, groups))
    pairs = []
    for members in groups:
        laid = thumbs[members]
        for k, moved in enumerate(_laid_on_mean(thumbs[members])):
            laid[k] = np.clip(np.rint(moved), 0, 255)
            done += 1
            if progress:
                progress("comparing", done, total)
        pairs += [(int(members[a]), int(members[b]), r) for a, b, r in _same_pictures(laid)]
    return sorted(pairs)


def _laid_on_mean(pictures: np.ndarray) -> Iterator[np.ndarray]:
    """Lay the pictures of a family on their mean; a few are left as they are, and laid on each other later."""
    if len(pictures) < FORM_MEMBERS:
        yield from pictures
        return
    mean = pictures.mean(axis=0, dtype=np.float32)
    with ThreadPoolExecutor(WORKERS) as pool:
        yield from pool.map(lambda picture: register(picture, mean), pictures)


def _same_pictures(laid: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """Compare all pairs of one family, those that nearly agree a second time and more closely."""
    form = common_form(laid)
    threshold = SAME_PICTURE if form is None else SAME_RESIDUAL
    worth_it = -1 if len(laid) < FORM_MEMBERS else threshold - SECOND_LOOK
    form = np.float32(0) if form is None else form
    for a, b, r in _alike(laid, form, worth_it):  # type: ignore[arg-type]
        if r < threshold:
            x, y = laid[a] - form, laid[b] - form
            r = max(correlation(register(x, y), y), correlation(register(y, x), x))
        if r >= threshold:
            yield a, b, r


def _alike(
    laid: np.ndarray, form: np.ndarray, threshold: float, block: int = 128
) -> Iterator[tuple[int, int, float]]:
    """Give the pairs whose residuals correlate at least so much, block by block to bound the memory."""
    for top in range(0, len(laid), block):
        rows = _unit(laid[top : top + block] - form)
        for left in range(top, len(laid), block):
            columns = rows if left == top else _unit(laid[left : left + block] - form)
            r = rows @ columns.T
            for i, j in np.argwhere(r >= threshold):
                if top + i < left + j:
                    yield int(top + i), int(left + j), float(r[i, j])


# %% [markdown]
# ## A classifier that never looks
# Split the files at random, class by class. A test file whose hash is in the training set gets the label it
# has there; any other gets a *fallback*, and that is learned too: among training files without a twin in
# training, the most frequent class, for those are the files that an unmatched test file resembles. Repeat
# over many splits, and this is the score that copies alone are worth. If a class has pairs of copies and
# training holds 120 of its 172 files, the twin of a test file is there with probability $120/171 = 0.70$, and
# that is the recall.

# %%
SIZES = (0.70, 0.15, 0.15)  # training, validation, test


def part_counts(counts: Sequence[int], sizes: Sequence[float] = SIZES) -> np.ndarray:
    """Count the files of each class in each part of a stratified split.

    Parameters
    ----------
    counts : sequence of int
        Files of each class.
    sizes : sequence of float
        Shares of training, validation and test.

    Returns
    -------
    numpy.ndarray
        (classes, 3), int. Validation and test are rounded up, as scikit-learn does, and shared out by largest
        remainder.

    Examples
    --------
    >>> part_counts([239, 172, 233, 284]).sum(axis=0)
    array([648, 140, 140])
    >>> part_counts([239, 172, 233, 284])[:, 2]
    array([36, 26, 35, 43])
    """
    counts = np.asarray(counts)
    validation, test = (math.ceil(round(size * counts.sum(), 6)) for size in sizes[1:])
    in_test = _share_out(test, counts)
    in_validation = _share_out(validation, counts - in_test)
    return np.stack([counts - in_test - in_validation, in_validation, in_test], axis=1)


def _share_out(total: int, counts: np.ndarray) -> np.ndarray:
    exact = total * counts / max(counts.sum(), 1)
    whole = np.floor(exact).astype(int)
    largest = np.argsort(whole - exact, kind="stable")[: total - whole.sum()]
    whole[largest] += 1
    return whole


def simulate_splits(
    labels: Sequence[str],
    repeats: int = 2000,
    sizes: Sequence[float] = SIZES,
    seed: int = 0,
    block: int | None = None,
) -> Iterator[np.ndarray]:
    """Draw stratified random splits, many at a time.

    Parameters
    ----------
    labels : sequence of str
        The class of each file.
    repeats : int
        Number of splits.
    sizes : sequence of float
        Shares of training, validation and test.
    seed : int
        Of the random numbers.
    block : int, optional
        Splits drawn at a time, which does not change them; by default as many as make two million entries.

    Yields
    ------
    numpy.ndarray
        (splits, files), uint8: 0 in training, 1 in validation, 2 in test.

    Raises
    ------
    EcgbookError
        If a class has too few files to stand in training and in test, or if there is only one class.

    Examples
    --------
    >>> part = next(simulate_splits(["cat"] * 20 + ["dog"] * 20, repeats=3))
    >>> part.shape, (part == 2).sum(axis=1)
    ((3, 40), array([6, 6, 6]))
    """
    classes, codes = np.unique(np.asarray(labels), return_inverse=True)
    parts = part_counts(np.bincount(codes), sizes)  # type: ignore[arg-type]
    _check_split(classes, codes, parts)
    rng = np.random.default_rng(seed)
    block = block or max(1, 2_000_000 // len(codes))
    for done in range(0, repeats, block):
        draws = rng.random((min(block, repeats - done), len(codes)))
        part = np.empty(draws.shape, dtype=np.uint8)
        for code, row in enumerate(parts):
            pattern = np.repeat(np.arange(3, dtype=np.uint8), row)
            part[:, codes == code] = pattern[draws[:, codes == code].argsort(axis=1)]
        yield part


def _check_split(classes: np.ndarray, codes: np.ndarray, parts: np.ndarray) -> None:
    if len(classes) < 2:
        raise EcgbookError("there is only one class; a look-up needs two to be told apart")
    for name, row, count in zip(classes, parts, np.bincount(codes), strict=True):
        if row[0] < 1 or row[2] < 1:
            raise EcgbookError(
                f"{name}: has {count} readable {'file' if count == 1 else 'files'}, too few to stand in "
                "training and in test; add files, or leave the class out"
            )


def lookup_baseline(
    keys: Sequence[Hashable],
    labels: Sequence[str],
    repeats: int = 2000,
    sizes: Sequence[float] = SIZES,
    seed: int = 0,
) -> dict:
    """Score a classifier that only looks up hashes, over many random splits.

    Parameters
    ----------
    keys : sequence of hashable
        The content hash of each file.
    labels : sequence of str
        The class of each file.
    repeats : int
        Number of stratified splits.
    sizes : sequence of float
        Shares of training, validation and test; validation is left aside.
    seed : int
        Of the random numbers.

    Returns
    -------
    dict
        ``accuracy_mean`` and ``accuracy_sd`` over the splits, ``recall`` (class -> mean), ``fallback`` (class
        -> share of splits in which it was the fallback), ``twins`` (class -> mean share of test files with an
        identical file in training), ``repeats``, ``sizes``, ``seed``.

    Raises
    ------
    EcgbookError
        If there are too few files, as in :func:`simulate_splits`.

    Notes
    -----
    Ties, between the labels of a hash or between fallback classes, go to the class that comes first in the
    alphabet. If every training file has a twin, the fallback is the most frequent class.

    Examples
    --------
    Each cat stands there twice, no dog does:

    >>> labels = ["cat"] * 40 + ["dog"] * 40
    >>> keys = [*range(20), *range(20), *range(100, 140)]
    >>> score = lookup_baseline(keys, labels, repeats=200)
    >>> score["recall"]["dog"], round(score["recall"]["cat"], 1), round(score["accuracy_mean"], 1)
    (1.0, 0.7, 0.9)
    """
    classes, codes = np.unique(np.asarray(labels), return_inverse=True)
    numbers: dict = {}
    ids = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    block = max(1, 2_000_000 // (len(numbers) * len(classes)))
    splits = simulate_splits(labels, repeats, sizes, seed, block)
    blocks = [_look_up(part, ids, codes) for part in splits]
    accuracy, recall, twins, fallback = (np.concatenate(column) for column in zip(*blocks, strict=True))
    named = [
        {str(name): float(value) for name, value in zip(classes, values, strict=True)}
        for values in (recall.mean(axis=0), np.eye(len(classes))[fallback].mean(axis=0), twins.mean(axis=0))
    ]
    return {
        "accuracy_mean": float(accuracy.mean()),
        "accuracy_sd": float(accuracy.std()),
        **dict(zip(("recall", "fallback", "twins"), named, strict=True)),
        "repeats": repeats,
        "sizes": list(sizes),
        "seed": seed,
    }


def _look_up(part: np.ndarray, ids: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, ...]:
    """Score one block of splits: accuracy, recall and twins by class, fallback class, each (splits, ...)."""
    splits, classes = len(part), codes.max() + 1
    shape = (splits, ids.max() + 1, classes)
    train, test = part == 0, part == 2
    cells = np.arange(splits)[:, None] * (shape[1] * shape[2]) + ids * shape[2] + codes
    votes = np.bincount(cells[train], minlength=math.prod(shape)).reshape(shape)  # in training: hash, class
    seen = votes.sum(axis=2)
    alone = (votes * (seen == 1)[:, :, None]).sum(axis=1)
    alone = np.where(alone.any(axis=1, keepdims=True), alone, votes.sum(axis=1))
    fallback = alone.argmax(axis=1)
    answer = np.where(seen > 0, votes.argmax(axis=2), fallback[:, None])[:, ids]
    right, twin = test & (answer == codes), test & (seen[:, ids] > 0)
    by_class = (codes[:, None] == np.arange(classes)).astype(float)
    recall, twins = (hits @ by_class / (test @ by_class) for hits in (right, twin))
    return right.sum(axis=1) / test.sum(axis=1), recall, twins, fallback


# %% [markdown]
# ## The inventory
# One table, a row a file, from which the rest of the report is counted. It is filled from the hashes and from
# the files' heads alone; whether a file is whole only shows when it is decoded.


# %%
def inventory(root: Path, progress: Progress | None = None) -> pd.DataFrame:
    """List the image files of a tree with what can be known without decoding them.

    Parameters
    ----------
    root : pathlib.Path
        Folder with one sub-folder for each class.
    progress : callable, optional
        Told ``("hashing", done, total)`` after each file.

    Returns
    -------
    pandas.DataFrame
        One row a file, in natural order. Columns: ``file`` (path relative to ``root``), ``label``, ``key``
        (content hash), ``first_copy`` (the first file with this content), ``width``, ``height`` (pixels, as
        stored), ``mode`` (Pillow's), ``encoder`` (:func:`signature`). The last four are missing where the
        head of a file cannot be read.

    Raises
    ------
    EcgbookError
        As in :func:`find_images`.
    """
    root = Path(root)
    frame = pd.DataFrame({"file": find_images(root)})
    frame["label"] = frame["file"].str.split("/").str[0]
    hashes = pd.Series(hash_files([root / file for file in frame["file"]], progress), dtype=object)
    frame["key"] = hashes.fillna("unread " + frame["file"])
    frame["first_copy"] = frame.groupby("key")["file"].transform("first")
    first = frame["first_copy"].unique()
    heads = pd.DataFrame([_head(root / file) for file in first], index=first, dtype=object)
    return frame.join(heads, on="first_copy")


def _head(path: Path) -> dict:
    head = dict.fromkeys(["width", "height", "mode", "encoder"])
    with suppress(Exception), _quiet(), _open(path) as image:
        width, height = image.size
        head = {"width": width, "height": height, "mode": image.mode, "encoder": signature(image)}
    return head


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pillow, which warns about odd metadata; the report says what matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def thumbnails(
    root: Path, files: Sequence[str], size: tuple[int, int], progress: Progress | None = None
) -> list[np.ndarray | None]:
    """Decode files as small grey pictures, two at a time.

    Parameters
    ----------
    root : pathlib.Path
        The folder to which the names are relative.
    files : sequence of str
        Names of image files.
    size : tuple of (int, int)
        Width and height wanted, in pixels.
    progress : callable, optional
        Told ``("decoding", done, total)`` after each file.

    Returns
    -------
    list of (numpy.ndarray or None)
        (height, width), uint8, as from :func:`thumbnail`; None for a file that cannot be decoded.
    """

    def decode(file: str) -> np.ndarray | None:
        with suppress(Exception), _open(Path(root) / file) as image:
            return thumbnail(image, size)
        return None  # a decoder may fail in any way on a broken file

    with _quiet():
        return _in_threads(decode, files, "decoding", progress)


# %% [markdown]
# ## The whole audit
# The report is a plain dictionary that goes into JSON as it is: paths are relative to the folder, numbers are
# rounded, and the same files give the same report on every machine. Sizes, colour modes and encoders are
# counted over distinct files, for a copy is no new evidence.


# %%
def audit(root: Path, progress: Progress | None = None) -> dict:
    """Audit a folder of images, one sub-folder a class.

    Parameters
    ----------
    root : pathlib.Path
        The folder. Nothing in it is changed.
    progress : callable, optional
        Told a stage, how much of it is done, and how much there is.

    Returns
    -------
    dict
        ``files``
            Number of image files, unreadable ones included.
        ``distinct``
            How many of them differ in content.
        ``per_class``
            class -> ``files``, ``distinct``, ``copy_period`` (:func:`copy_period`), and over its distinct
            readable files ``sizes`` ("width x height", in pixels), ``modes`` and ``encoders``
            (:func:`signature`), each a dict value -> count.
        ``cross_label``
            List of dict, as from :func:`cross_label`.
        ``near_duplicates``
            List of dict with ``a``, ``b``, ``correlation``; exact copies are represented by their first.
        ``unreadable``
            List of paths.
        ``lookup``
            As from :func:`lookup_baseline`, over the readable files; or None, and then ``lookup_reason`` says
            why.

    Raises
    ------
    EcgbookError
        If nothing can be audited: no such folder, an empty one, no image in it, none in a class folder, or
        none that can be read.

    See Also
    --------
    summary : the report as tables for the terminal.
    """
    root = Path(root)
    frame = inventory(root, progress)
    heads = frame.drop_duplicates("key").dropna(subset="encoder")
    if heads.empty:
        raise EcgbookError(_none_readable(root, len(frame)))
    size = common_size(heads[["width", "height"]].astype(float).to_numpy())
    decoded = thumbnails(root, list(heads["file"]), size, progress)
    whole = {file: thumb for file, thumb in zip(heads["file"], decoded, strict=True) if thumb is not None}
    if not whole:
        raise EcgbookError(_none_readable(root, len(frame)))
    frame["readable"] = frame["first_copy"].isin(list(whole))
    for column in ("file", "label", "first_copy"):
        frame[column] = frame[column].map(_printable)
    pairs = near_duplicates(np.stack(list(whole.values())), progress=progress)
    pictures = [_printable(file) for file in whole]
    return {
        "files": len(frame),
        "distinct": int(frame["key"].nunique()),
        "per_class": {label: _class_report(part) for label, part in frame.groupby("label", sort=False)},
        "cross_label": cross_label(frame["key"], frame["label"], frame["file"]),
        "near_duplicates": [
            {"a": pictures[a], "b": pictures[b], "correlation": round(r, 3)} for a, b, r in pairs
        ],
        "unreadable": list(frame.loc[~frame["readable"], "file"]),
        **_lookup_report(frame[frame["readable"]]),
    }


def _none_readable(root: Path, files: int) -> str:
    return f"{root}: of its {files} image files none can be read; copy or download them anew"


def _printable(name: str) -> str:
    """Make a name printable: bytes that are no UTF-8, possible on Linux, are written out as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _class_report(part: pd.DataFrame) -> dict:
    distinct = part.drop_duplicates("key")
    heads = distinct[distinct["readable"]]
    sizes = heads["width"].astype(str) + " x " + heads["height"].astype(str)
    columns = {"sizes": sizes, "modes": heads["mode"], "encoders": heads["encoder"]}
    return {
        "files": len(part),
        "distinct": len(distinct),
        "copy_period": copy_period(part["file"], part["key"]),
        **{name: dict(Counter(column).most_common()) for name, column in columns.items()},
    }


def _lookup_report(readable: pd.DataFrame) -> dict:
    try:
        score = lookup_baseline(readable["key"], readable["label"])
    except EcgbookError as error:
        return {"lookup": None, "lookup_reason": str(error)}
    for name in ("recall", "fallback", "twins"):
        score[name] = {label: round(value, 4) for label, value in score[name].items()}
    rounded = {name: round(score[name], 4) for name in ("accuracy_mean", "accuracy_sd")}
    return {"lookup": {**score, **rounded}}


# %% [markdown]
# ## The report in the terminal
# Copies first, then the look-up, then what the files give away by their making, then the lists, of which only
# the beginning is shown: the whole stands in the JSON.

# %%
SHOWN = 10  # lines of each list


def summary(report: dict) -> Group:
    """Lay a report out as tables for the terminal.

    Parameters
    ----------
    report : dict
        As from :func:`audit`.

    Returns
    -------
    rich.console.Group
        For ``rich.print`` or ``Console.print``.
    """
    from rich.console import Group

    return Group(
        _sentence(report),
        _copies_table(report["per_class"]),
        *_lookup_part(report),
        *_traits_part(report["per_class"]),
        *_listing("Same content under two labels", map(_cross_line, report["cross_label"])),
        *_listing("Near-duplicates", map(_near_line, report["near_duplicates"])),
        *_listing("Unreadable", report["unreadable"]),
    )


def _sentence(report: dict) -> Text:
    from rich.text import Text

    counts = [
        f"{report['files']} image files, {report['distinct']} distinct",
        f"{len(report['cross_label'])} contents under two labels",
        f"{len(report['near_duplicates'])} pairs of near-duplicates",
        f"{len(report['unreadable'])} unreadable",
    ]
    return Text("; ".join(counts) + ".\n")


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Build a table whose first column is text and whose others are numbers; nothing is read as markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for k, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if k else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def _copies_table(per_class: dict) -> Table:
    rows = [
        (label, part["files"], part["distinct"], part["files"] - part["distinct"], part["copy_period"] or "-")
        for label, part in per_class.items()
    ]
    return _table("Copies", ("class", "files", "distinct", "copies", "period"), rows)


def _lookup_part(report: dict) -> Iterator[Table | Text]:
    from rich.text import Text

    score = report["lookup"]
    if score is None:
        yield Text(f"No look-up baseline: {report['lookup_reason']}.\n")
        return
    rows = [
        (label, *(f"{score[column][label]:.2f}" for column in ("twins", "recall", "fallback")))
        for label in report["per_class"]
        if label in score["recall"]
    ]
    yield _table("Look-up baseline", ("class", "twin in training", "recall", "is the fallback"), rows)
    share = "/".join(f"{100 * size:.0f}" for size in score["sizes"])
    accuracy = f"{score['accuracy_mean']:.3f} ± {score['accuracy_sd']:.3f}"
    yield Text(f"Accuracy {accuracy} over {score['repeats']} stratified splits ({share}).\n")


def _traits_part(per_class: dict) -> Iterator[Table]:
    rows = []
    for name in ("sizes", "modes", "encoders"):
        counts = {label: part[name] for label, part in per_class.items()}
        known, blind = guess_share(counts)
        values = {value for part in counts.values() for value in part}
        rows.append((name, len(values), f"{known:.2f}", f"{blind:.2f}"))
    columns = ("distinct files by", "values", "class guessed from it", "guessed without")
    yield _table("What the making of the files gives away", columns, rows)


def _listing(title: str, lines: Iterable[str]) -> Iterator[Text]:
    from rich.text import Text

    lines = list(lines)
    if lines:
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        yield Text("\n  ".join([f"{title}:", *lines[:SHOWN], *more]) + "\n")


def _cross_line(group: dict) -> str:
    return " = ".join(group["files"])


def _near_line(pair: dict) -> str:
    return f"{pair['correlation']:.3f}  {pair['a']}  ~  {pair['b']}"
