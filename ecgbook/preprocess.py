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
# # Preprocess: from a page to what a network sees
# A page is 2213 pixels wide and 1572 high; a network takes a small square of grey. What is lost on the way
# decides what any model can learn. Every step here is a function from picture to picture, a *pipeline* is a
# tuple of such steps, and the paper's pipeline is one among several. A last function says what one millimetre
# on the paper is worth after a pipeline: that is how to see whether an ST shift survives it.

# %%
"""Pages to network inputs: the paper's pipeline, honest alternatives, and a cache on disk."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import io
import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from PIL import __version__ as pillow_version

from ecgbook import data
from ecgbook.data import EcgbookError

# %% [markdown]
# ## The page
# All pages share one layout, printed by one machine at 200 dots an inch: a header (exam ID, sex, diagnosis
# left blank), the grid with the twelve leads and the rhythm strip, a footer (filter, speed, heart rate,
# date). Paper speed is 25 mm a second, gain 10 mm a millivolt. The grid box below is inside the printed frame
# on every page, older ones included.

# %%
PAGE = (2213, 1572)  # width, height in pixels
GRID = (72, 287, 2173, 1514)  # left, top, right, bottom of what surely lies inside the frame
PX_PER_MM = 200 / 25.4
MM_PER_SECOND = 25
MM_PER_MILLIVOLT = 10

Step = Callable[[Image.Image], Image.Image]

# %% [markdown]
# ## The paper's steps
# The text names four, in this order: set the size to 224 x 224, take a single grey channel, equalise the
# histogram with `ImageOps.equalize`, scale 0-255 to 0.0-1.0. The first one squeezes a page of proportions
# 1.41 into a square, so time shrinks more than voltage.


# %%
def resize(
    page: Image.Image, width: int, height: int, resample: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """Resize to a given size, proportions or not.

    Parameters
    ----------
    page : PIL.Image.Image
        Any picture.
    width, height : int
        New size in pixels.
    resample : PIL.Image.Resampling, default BICUBIC
        The filter; bicubic is what Pillow takes when none is named.

    Returns
    -------
    PIL.Image.Image
        Same mode, new size.

    Examples
    --------
    >>> resize(Image.new("RGB", PAGE), 224, 224).size
    (224, 224)
    """
    return page.resize((width, height), resample)


def greyscale(page: Image.Image) -> Image.Image:
    """Keep one channel: luma, 0.299 R + 0.587 G + 0.114 B.

    Parameters
    ----------
    page : PIL.Image.Image
        Any picture.

    Returns
    -------
    PIL.Image.Image
        Mode "L".

    Examples
    --------
    >>> greyscale(Image.new("RGB", (1, 1), (255, 0, 0))).getpixel((0, 0))
    76
    """
    return page.convert("L")


def equalize(page: Image.Image) -> Image.Image:
    """Equalise the histogram: grey levels spread so that each is about equally frequent.

    Parameters
    ----------
    page : PIL.Image.Image
        Mode "L" or "RGB" (then each channel on its own).

    Returns
    -------
    PIL.Image.Image
        Same mode and size.

    Notes
    -----
    The paper says that this raises *local* contrast. It does not: one curve is applied to the whole picture. On a page
    that is mostly white, the curve spends nearly all of its range on near-white tints of the grid, and the trace,
    the darkest twentieth, keeps a twentieth of it.

    Examples
    --------
    >>> equalize(Image.linear_gradient("L")).getextrema()
    (0, 255)
    """
    return ImageOps.equalize(page)


def to_array(page: Image.Image) -> np.ndarray:
    """Turn a grey picture into numbers.

    Parameters
    ----------
    page : PIL.Image.Image
        Mode "L".

    Returns
    -------
    numpy.ndarray of float32, shape (height, width)
        From 0.0 (black) to 1.0 (white).

    Raises
    ------
    EcgbookError
        If the picture is not grey.

    Examples
    --------
    >>> to_array(Image.new("L", (3, 2), 255)).shape
    (2, 3)
    """
    if page.mode != "L":
        raise EcgbookError(f"to_array: the picture is {page.mode}, not grey; put greyscale into the pipeline")
    return unit_range(np.asarray(page))


def unit_range(pixels: np.ndarray) -> np.ndarray:
    """Scale 0-255 to 0.0-1.0.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, any shape
        As from :func:`arrays`.

    Returns
    -------
    numpy.ndarray of float32, same shape
        ``pixels / 255``.

    Examples
    --------
    >>> unit_range(np.array([0, 51, 255], np.uint8))
    array([0. , 0.2, 1. ], dtype=float32)
    """
    return np.divide(pixels, 255, dtype=np.float32)


# %% [markdown]
# ## What the paper does not say
# A text of five lines cannot settle everything. Each gap below had to be filled to run the study at all. Ours
# is the plainest reading: what Pillow does unasked, in the order of the text.

# %%
UNSTATED = pd.DataFrame(
    [
        (
            "Resampling filter",
            "not stated",
            "bicubic",
            "what Pillow's Image.resize does when no filter is named",
        ),
        (
            "Resize or greyscale first",
            "size first, then “at the same time” a single grey channel",
            "resize, then greyscale",
            "the order of the text; the two orders differ by a level or two, which equalising stretches",
        ),
        (
            "Equalise before or after the resize",
            "after both, by the order of the text",
            "after both",
            "the order of the text; equalising the full page first gives another curve",
        ),
        (
            "Proportions",
            "not stated; 224 x 224 from 2213 x 1572",
            "squeezed",
            "no padding and no crop are mentioned",
        ),
        (
            "Header and footer",
            "not stated",
            "kept",
            "no crop is mentioned; exam ID, date and heart rate stay on the picture",
        ),
        (
            "Grey weights",
            "“single-channel greyscale”",
            "luma (ITU-R 601)",
            'what Pillow\'s convert("L") does',
        ),
        (
            "JPEG decoding",
            "not stated",
            "full size, 8 bits",
            "decoding at a quarter of the size is about three times faster, but gives other pixels",
        ),
        (
            "One channel into networks made for three",
            "not stated",
            "repeated three times, by the network's loader",
            "keeps the pre-trained first layer as it is",
        ),
        (
            "ImageNet mean and deviation",
            "not stated; only [0, 1] is named",
            "not applied here",
            "[0, 1] is all the text says; a network that needs more does it itself",
        ),
    ],
    columns=["choice", "paper", "ours", "why"],
)

# %% [markdown]
# ## Honest alternatives
# Three changes, each on its own: cut out the grid, so that no header or footer can give the class away; keep
# the proportions, padding with white; spend more pixels. A fourth, the mask, whitens header and footer and
# leaves the paper's geometry as it was: only what was *written* on the page is gone, so the difference from
# the paper's pipeline is the writing's alone.


# %%
def crop_to_grid(page: Image.Image, box: tuple[int, int, int, int] = GRID) -> Image.Image:
    """Cut the grid out of a full-size page.

    Parameters
    ----------
    page : PIL.Image.Image
        A page of 2213 x 1572 pixels.
    box : tuple of int
        Left, top, right, bottom in pixels; right and bottom are not included.

    Returns
    -------
    PIL.Image.Image
        2101 x 1227 pixels by default.

    Raises
    ------
    EcgbookError
        If the page has another size, for then the box means nothing.

    Examples
    --------
    >>> crop_to_grid(Image.new("RGB", PAGE)).size
    (2101, 1227)
    """
    _check_page(page, "crop_to_grid")
    return page.crop(box)


def mask_header_footer(page: Image.Image, top: int = GRID[1], bottom: int = GRID[3]) -> Image.Image:
    """Whiten everything above and below the grid of a full-size page.

    Parameters
    ----------
    page : PIL.Image.Image
        A page of 2213 x 1572 pixels; it is not changed.
    top, bottom : int
        First row kept, and first row no longer kept.

    Returns
    -------
    PIL.Image.Image
        Same size and mode.

    Raises
    ------
    EcgbookError
        If the page has another size.

    Examples
    --------
    >>> masked = mask_header_footer(Image.new("L", PAGE, 0))
    >>> [masked.getpixel((1000, y)) for y in (286, 287, 1513, 1514)]
    [255, 0, 0, 255]
    """
    _check_page(page, "mask_header_footer")
    masked = page.copy()
    for first, last in ((0, top), (bottom, page.height)):
        masked.paste("white", (0, first, page.width, last))
    return masked


def fit(
    page: Image.Image, width: int, height: int, resample: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """Resize to the largest size that fits, proportions kept, and pad with white to the given size.

    Parameters
    ----------
    page : PIL.Image.Image
        Any picture.
    width, height : int
        Size in pixels; the picture stands in the middle.
    resample : PIL.Image.Resampling, default BICUBIC
        The filter.

    Returns
    -------
    PIL.Image.Image
        Same mode, exactly the given size.

    Examples
    --------
    >>> fitted = fit(Image.new("L", (200, 100), 0), 100, 100)
    >>> fitted.size, [fitted.getpixel((50, y)) for y in (24, 25, 74, 75)]
    ((100, 100), [255, 0, 0, 255])
    """
    inner = page.resize(_fitted(page.size, width, height), resample)
    padded = Image.new(page.mode, (width, height), "white")
    padded.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return padded


def _fitted(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    ratio = min(width / size[0], height / size[1])
    return max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio))


def _check_page(page: Image.Image, step: str) -> None:
    if page.size != PAGE:
        raise EcgbookError(
            f"{step}: the picture is {page.width} x {page.height}, not {PAGE[0]} x {PAGE[1]}; put this step first"
        )


# %% [markdown]
# ## Pipelines by name
# A pipeline ends in a grey picture; `apply` makes the array. The three of size 224 x 224 keep the paper's
# order of steps, so that two of them differ in one thing only; the others turn grey before they resize, which
# is a third of the work. To try another, write another tuple: every function below takes a name or a tuple.

# %%
PIPELINES: dict[str, tuple[Step, ...]] = {
    "paper": (partial(resize, width=224, height=224), greyscale, equalize),
    "masked-224x224": (mask_header_footer, partial(resize, width=224, height=224), greyscale, equalize),
    "crop-224x224": (crop_to_grid, partial(resize, width=224, height=224), greyscale, equalize),
    "crop-448x256": (crop_to_grid, greyscale, partial(fit, width=448, height=256), equalize),
    "crop-896x512": (crop_to_grid, greyscale, partial(fit, width=896, height=512), equalize),
    "masked-448x320": (mask_header_footer, greyscale, partial(fit, width=448, height=320), equalize),
}


def steps(pipeline: str | tuple[Step, ...]) -> tuple[Step, ...]:
    """Look up a pipeline by name; a tuple of steps is returned as it is.

    Parameters
    ----------
    pipeline : str or tuple of functions
        A name from :data:`PIPELINES`, or steps.

    Returns
    -------
    tuple of functions
        Each from picture to picture.

    Raises
    ------
    EcgbookError
        If there is no pipeline of this name.

    Examples
    --------
    >>> len(steps("paper"))
    3
    """
    if not isinstance(pipeline, str):
        return tuple(pipeline)
    if pipeline not in PIPELINES:
        near = difflib.get_close_matches(pipeline, PIPELINES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(PIPELINES)}"
        raise EcgbookError(f"{pipeline}: no such pipeline; {hint}")
    return PIPELINES[pipeline]


def render(pipeline: str | tuple[Step, ...], page: Image.Image) -> Image.Image:
    """Run the steps of a pipeline on a page.

    Parameters
    ----------
    pipeline : str or tuple of functions
        See :func:`steps`.
    page : PIL.Image.Image
        A page; it is not changed.

    Returns
    -------
    PIL.Image.Image
        What the last step returns.

    Examples
    --------
    >>> render("crop-448x256", Image.new("RGB", PAGE)).size
    (448, 256)
    """
    for step in steps(pipeline):
        page = step(page)
    return page


def apply(pipeline: str | tuple[Step, ...], page: Image.Image) -> np.ndarray:
    """Run a pipeline on a page and return numbers.

    Parameters
    ----------
    pipeline : str or tuple of functions
        See :func:`steps`.
    page : PIL.Image.Image
        A page; it is not changed.

    Returns
    -------
    numpy.ndarray of float32, shape (height, width)
        From 0.0 (black) to 1.0 (white).

    See Also
    --------
    arrays : the same for many pages, cached.

    Examples
    --------
    >>> apply("paper", Image.new("RGB", PAGE, "white")).shape
    (224, 224)
    """
    return to_array(render(pipeline, page))


def describe(pipeline: str | tuple[Step, ...]) -> str:
    """Write a pipeline out: every step with every setting.

    Parameters
    ----------
    pipeline : str or tuple of functions
        See :func:`steps`.

    Returns
    -------
    str
        Steps joined by arrows.

    Examples
    --------
    >>> describe("paper")
    'resize(width=224, height=224, resample=BICUBIC) > greyscale() > equalize()'
    """
    return " > ".join(_describe_step(step) for step in steps(pipeline))


def _describe_step(step: Step) -> str:
    words = [f"{key}={getattr(value, 'name', value)}" for key, value in _settings(step).items()]
    return f"{_function(step).__name__}({', '.join(words)})"


def _function(step: Step) -> Callable:
    return step.func if isinstance(step, partial) else step


def _settings(step: Step) -> dict[str, object]:
    """Return the value of every argument but the page, defaults included, so that a changed default shows."""
    bound = inspect.signature(step).bind(None)
    bound.apply_defaults()
    return dict(list(bound.arguments.items())[1:])


# %% [markdown]
# ## What a millimetre is worth
# On the page a millimetre is 7.87 pixels both ways. A pipeline that resizes changes that, and one that
# squeezes changes it differently along time and along voltage. The paper's 224 x 224 leaves 0.80 px a
# millimetre along time and 1.12 px along voltage: an ST shift of 1 mm, the guideline limit in most leads, is
# one row of pixels, and a QRS complex of 100 ms is two columns.


# %%
class Scale(NamedTuple):
    """Pixels per millimetre of paper: ``x`` along time, ``y`` along voltage."""

    x: float
    y: float

    def px_per_second(self) -> float:
        """Columns in one second of signal."""
        return MM_PER_SECOND * self.x

    def px_per_millivolt(self) -> float:
        """Rows in one millivolt."""
        return MM_PER_MILLIVOLT * self.y


_RESIZED = {
    "resize": lambda size, width, height, **_: (width, height),
    "fit": lambda size, width, height, **_: _fitted(size, width, height),
}


def scale(pipeline: str | tuple[Step, ...]) -> Scale:
    """Say how many pixels a millimetre of the page has after a pipeline.

    Parameters
    ----------
    pipeline : str or tuple of functions
        See :func:`steps`. Of its steps only :func:`resize` and :func:`fit` are taken to change the scale.

    Returns
    -------
    Scale
        Pixels per millimetre, along time and along voltage.

    Examples
    --------
    >>> paper = scale("paper")
    >>> round(paper.x, 2), round(paper.y, 2)
    (0.8, 1.12)
    >>> round(0.1 * paper.px_per_second(), 2)  # a QRS complex of 100 ms, in columns
    1.99
    """
    page, x, y = Image.new("L", PAGE, "white"), PX_PER_MM, PX_PER_MM
    for step in steps(pipeline):
        resized = _RESIZED.get(_function(step).__name__, lambda size, **_: size)
        width, height = resized(page.size, **_settings(step))
        x, y = x * width / page.width, y * height / page.height
        page = step(page)
    return Scale(x, y)


# %% [markdown]
# ## Many pages, once
# Decoding the JPEG costs more than everything after it, so a page is decoded once, its copies are filled in
# from it, and the result is kept on disk. Two threads keep two cores busy, for Pillow lets go of Python's
# lock while it decodes and resizes. (Pillow's *draft* mode decodes a JPEG at a half or a quarter of its size,
# about three times faster; the pixels that come out are different ones, so it is not used.)
#
# A cache must never give yesterday's answer to today's question. The file's name holds a key made of
# everything the pixels depend on: the steps with their settings and their source code, the SHA-256 of each
# page, the versions of Pillow and of its JPEG decoder. It also holds a checksum of the file's content, so
# that a damaged file is found out and made again.


# %%
def arrays(
    files: pd.DataFrame,
    pipeline: str | tuple[Step, ...],
    cache_dir: Path | None = None,
    opener: Callable[[str], Image.Image] = data.open_page,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Run a pipeline on many pages, or read the result from the cache.

    Parameters
    ----------
    files : pandas.DataFrame
        Rows of ``data.files()`` or ``data.pages()``: columns ``file`` and ``sha256``.
    pipeline : str or tuple of functions
        See :func:`steps`; all pages must come out grey and of one size.
    cache_dir : pathlib.Path, optional
        Folder of the cache; by default ``cache`` beside the data sets. Files in it may be deleted at any time.
    opener : function, default ``data.open_page``
        From file name to picture. The cache goes by ``sha256`` alone, so the picture must follow from it.
    progress : function, optional
        Called as ``progress(done, total)`` after each distinct page; not called when the cache has the answer.

    Returns
    -------
    numpy.ndarray of uint8, shape (n_files, height, width)
        A read-only memory map, in the order of `files`. :func:`unit_range` makes the floats of :func:`apply`.

    Raises
    ------
    EcgbookError
        If a page cannot be opened, pages come out unequal in size, or the cache cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> files = pd.DataFrame({"file": ["a", "b"], "sha256": ["1" * 64, "2" * 64]})
    >>> white = lambda file: Image.new("RGB", PAGE, "white")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     arrays(files, "paper", Path(folder), opener=white).shape
    (2, 224, 224)
    """
    folder = data.home() / "cache" if cache_dir is None else Path(cache_dir)
    if files.empty:
        raise EcgbookError("arrays: the frame has no rows; pass rows of data.files() or data.pages()")
    stem = f"{pipeline if isinstance(pipeline, str) else 'pipeline'}-{cache_key(files, pipeline)}"
    for path in sorted(folder.glob(f"{stem}-*.npy")):
        kept = _read(path)
        if kept is not None:
            return kept
    return _build(files, steps(pipeline), folder, stem, opener, progress)


def cache_key(files: pd.DataFrame, pipeline: str | tuple[Step, ...]) -> str:
    """Hash everything that the pixels depend on.

    Parameters
    ----------
    files : pandas.DataFrame
        Column ``sha256``; the order counts.
    pipeline : str or tuple of functions
        See :func:`steps`.

    Returns
    -------
    str
        16 hexadecimal digits.

    Examples
    --------
    >>> files = pd.DataFrame({"sha256": ["1" * 64]})
    >>> cache_key(files, "paper") == cache_key(files, PIPELINES["paper"])
    True
    >>> cache_key(files, "paper") == cache_key(files, "crop-224x224")
    False
    """
    from PIL import features

    code = [_source(_function(step)) for step in steps(pipeline)]
    versions = [pillow_version, str(features.version("jpg"))]
    parts = [describe(pipeline), *code, _source(_fitted), *versions, *files["sha256"]]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _source(function: Callable) -> str:
    """Return the code of a step, which must tell the whole story: no hidden values, nothing typed at a prompt."""
    name = getattr(function, "__name__", str(function))
    if getattr(function, "__closure__", None):
        raise EcgbookError(
            f"{name}: takes values from outside; pass them as arguments with functools.partial"
        )
    try:
        return inspect.getsource(function)
    except (OSError, TypeError) as error:
        raise EcgbookError(
            f"{name}: its source cannot be read; define the step in a file or a notebook"
        ) from error


# %% [markdown]
# ## Reading and building
# A finished file appears under its name all at once: it is written under a temporary name and then renamed.
# So two programs that build the same cache at the same time do not disturb each other; both write the same
# bytes, and the later rename wins.


# %%
def _read(path: Path) -> np.ndarray | None:
    """Map a cache file into memory; None if it is damaged or gone."""
    try:
        content = np.memmap(path, np.uint8, mode="r")
    except (OSError, ValueError):  # NumPy cannot map an empty file
        return None
    whole = path.stem.endswith(f"-{zlib.crc32(content):08x}")  # type: ignore[arg-type]
    return np.load(path, mmap_mode="r") if whole else None


def _checksum(pixels: np.ndarray) -> str:
    """Checksum of the file that ``np.save`` would write: its header, then the pixels."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(pixels))
    return f"{zlib.crc32(pixels, zlib.crc32(header.getvalue())):08x}"  # type: ignore[arg-type]


def _build(files, pipeline, folder: Path, stem: str, opener, progress) -> np.ndarray:
    """Write the cache file of these pages, and map it into memory."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EcgbookError(
            f"{folder}: cannot be made ({error.strerror}); choose another cache_dir"
        ) from error
    data.check_writable(folder / stem)  # before the long work, not after it
    pixels = _pixels(files, pipeline, opener, progress)
    path = folder / f"{stem}-{_checksum(pixels)}.npy"
    with data.writing(path) as part, open(part, "wb") as stream:
        np.save(stream, pixels)
    return np.load(path, mmap_mode="r")


def _pixels(files, pipeline, opener, progress) -> np.ndarray:
    """Decode each distinct page once, on all cores; fill its copies in from it."""
    rows = files.reset_index(drop=True).groupby("sha256", sort=False)
    names, places = rows["file"].first(), rows.indices
    pixels = None
    with ThreadPoolExecutor(_cores()) as pool:
        rendered = pool.map(lambda file: np.asarray(_grey(pipeline, opener(file), file)), names)
        for done, (sha256, page) in enumerate(zip(names.index, rendered, strict=True), start=1):
            if pixels is None:
                pixels = np.empty((len(files), *page.shape), np.uint8)
            if page.shape != pixels.shape[1:]:
                raise EcgbookError(
                    f"{names[sha256]}: comes out in another size; put resize or fit into the pipeline"
                )
            pixels[places[sha256]] = page
            if progress is not None:
                progress(done, len(names))
    return pixels  # type: ignore[return-value]


def _grey(pipeline, page: Image.Image, file: str) -> Image.Image:
    page = render(pipeline, page)
    if page.mode != "L":
        raise EcgbookError(f"{file}: comes out {page.mode}, not grey; put greyscale into the pipeline")
    return page


def _cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
