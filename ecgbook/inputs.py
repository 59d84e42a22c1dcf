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
# # Inputs: what a network is shown
# One ECG can be shown in many ways: the whole page as the paper takes it, the grid alone with more pixels, or one small
# picture for each lead. And it can be shown from two sources: the real page, for those who have the data set, or the
# page drawn again from the signals that come with this package, for everyone. Each way has a name here, and `pixels`
# turns a name and a list of pages into an array.

# %%
"""Pages as arrays for networks: real or redrawn, whole, cropped or lead by lead."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from ecgbook import data, digitize, draw, preprocess, synth
from ecgbook.models import _known
from ecgbook.preprocess import PIPELINES, Step

# %% [markdown]
# ## Lead by lead
# Where a lead stands on the page is known, so it can be cut out: twelve boxes of 2.5 s, and the rhythm strip of 10 s,
# squeezed into the same size. The boxes reach half way to the next row. They are stacked into one tall picture, which
# goes the way of every other page, and are taken apart again at the end.

# %%
PARTS = len(synth.LEADS) + 1


def stack_leads(
    page: Image.Image,
    width: int,
    height: int,
    left: float = draw.LEFT,
    column: float = synth.COLUMN * draw.PX_SECOND,
    baselines: tuple[float, ...] = draw.BASELINES,
    reach: int = 150,
) -> Image.Image:
    """Cut the twelve leads and the rhythm strip out of a page, and stack them.

    Parameters
    ----------
    page : PIL.Image.Image
        A page of 2213 x 1572 pixels.
    width, height : int
        Size of each lead's picture.
    left, column : float
        Where the leads of the first column begin, and how wide a column is, in pixels.
    baselines : tuple of float
        Row of 0 mV of the three rows of leads and of the strip.
    reach : int
        Pixels shown above and below the baseline.

    Returns
    -------
    PIL.Image.Image
        `width` x (13 x `height`) pixels, in the order of :data:`ecgbook.synth.LEADS`, then the strip.

    Raises
    ------
    EcgbookError
        If the page has another size.

    Examples
    --------
    >>> stack_leads(Image.new("L", preprocess.PAGE), 128, 80).size
    (128, 1040)
    """
    grid = preprocess.crop_to_grid(page)  # refuses a page of another size
    sheet = Image.new(page.mode, (width, PARTS * height))
    boxes = [(left + i // 3 * column, baselines[i % 3], column) for i in range(PARTS - 1)]
    boxes.append((left, baselines[3], 4 * column))
    for k, (x, y, length) in enumerate(boxes):
        box = (x - preprocess.GRID[0], y - reach - preprocess.GRID[1])
        box = (*box, min(box[0] + length, grid.width), min(box[1] + 2 * reach, grid.height))
        sheet.paste(grid.resize((width, height), Image.Resampling.BICUBIC, box), (0, k * height))
    return sheet


# %% [markdown]
# ## Drawn again
# A redrawn page shows the carried signals in the layout of the original: the same leads, the same scale, the printed
# sex and heart rate. It lacks the header's other fields, and the notice says what it is.

# %%
NOTICE = "Redrawn from its digitised signal"


def redraw(file: str) -> Image.Image:
    """Draw a page of the data set again, from its carried signals.

    Parameters
    ----------
    file : str
        A published file name, such as "MI(1).jpg". A copy is answered by its first copy.

    Returns
    -------
    PIL.Image.Image
        RGB, 2213 x 1572 pixels.

    Raises
    ------
    EcgbookError
        If there is no such page.

    Examples
    --------
    >>> redraw("MI(1).jpg").size
    (2213, 1572)
    """
    record = digitize.record(digitize.load(file))  # refuses a page that is not there
    facts = _facts().loc[file]
    rate = "" if pd.isna(facts["heart_rate"]) else facts["heart_rate"]
    return draw.draw_page(record._replace(heart_rate=rate, sex=facts["sex"]), NOTICE)[0]  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def _facts() -> pd.DataFrame:
    return data.files().set_index("file")


# %% [markdown]
# ## Inputs by name


# %%
class Input(NamedTuple):
    """One way of showing a page.

    Attributes
    ----------
    pipeline : tuple of functions
        Steps of :mod:`ecgbook.preprocess`.
    opener : function
        From file name to page.
    parts : int
        Pictures a page is given as.
    """

    pipeline: tuple[Step, ...]
    opener: Callable[[str], Image.Image]
    parts: int = 1


_SHOWN: dict[str, tuple[tuple[Step, ...], int]] = {
    "page": (PIPELINES["paper"], 1),
    "masked page": (PIPELINES["masked-224x224"], 1),
    "crop": (PIPELINES["crop-448x256"], 1),
    "large crop": (PIPELINES["crop-896x512"], 1),
    "leads": ((preprocess.greyscale, partial(stack_leads, width=128, height=80), preprocess.equalize), PARTS),
}

#: Name -> way of showing a page. "redrawn ..." takes the carried signals, the others the real page.
INPUTS: dict[str, Input] = {
    **{name: Input(steps, data.open_page, parts) for name, (steps, parts) in _SHOWN.items()},
    **{f"redrawn {name}": Input(steps, redraw, parts) for name, (steps, parts) in _SHOWN.items()},
}


def describe(name: str) -> str:
    """Write out what an input shows: its source and every step with every setting.

    Examples
    --------
    >>> describe("page")
    'open_page > resize(width=224, height=224, resample=BICUBIC) > greyscale() > equalize()'
    """
    one = INPUTS[_known(name, INPUTS, "input")]
    return f"{one.opener.__name__} > {preprocess.describe(one.pipeline)}"


def pixels(
    name: str,
    files: pd.DataFrame,
    cache_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Show pages to a network.

    Parameters
    ----------
    name : str
        One of :data:`INPUTS`.
    files : pandas.DataFrame
        Rows of ``data.files()`` or ``data.pages()``.
    cache_dir, progress
        As in :func:`ecgbook.preprocess.arrays`.

    Returns
    -------
    numpy.ndarray of uint8, shape (n, height, width) or (n, 13, height, width)
        Read-only; copies of a page are equal.

    Raises
    ------
    EcgbookError
        No such input, or a page that cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pixels("redrawn leads", data.pages().head(2), Path(folder)).shape
    (2, 13, 80, 128)
    """
    one = INPUTS[_known(name, INPUTS, "input")]
    files = files.assign(file=files["first_copy"])
    if one.opener is redraw:  # the cache goes by these digests, and a redrawn page is not the published file
        files["sha256"] = [_redrawn_digest(file) for file in files["file"]]
    shown = preprocess.arrays(files, one.pipeline, cache_dir, one.opener, progress)
    return shown if one.parts == 1 else shown.reshape(len(shown), one.parts, -1, shown.shape[2])


def _redrawn_digest(file: str) -> str:
    """Digest of all that a redrawn page depends on: signals, printed facts, and the code that draws."""
    facts = _facts().loc[file]
    return hashlib.sha256(f"{file} {facts['heart_rate']} {facts['sex']} {_drawing()}".encode()).hexdigest()


@lru_cache(maxsize=1)
def _drawing() -> str:
    code = [Path(module.__file__) for module in (synth, draw, digitize)] + [Path(__file__)]  # type: ignore[arg-type]
    parts = [path.read_bytes() for path in (data.tables() / "signals.npz", *code)]
    return hashlib.sha256(b"".join(parts)).hexdigest()
