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
# # Data: where the pages live
# The book studies one data set, the *ECG Images dataset of Cardiac Patients* (EICP): 928 JPEG files in four
# folders, one folder a class. The pages themselves stay outside the repository, in a folder of the reader's
# choice; what the package carries is the *manifest*, one line a file: its class, its size, two hashes, and
# what is printed on it. So a program can always say which files there should be, whether yours are those
# files, and which of them are copies of one another.
#
# A second data set, LUDB, serves later as a yardstick; it is fetched and verified by the same code.

# %%
"""Where the data sets live: fetch and verify them, list the pages, open one."""

from __future__ import annotations

import difflib
import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

# %% [markdown]
# ## Four classes, four folders
# The order of the classes is the paper's, labels 0 to 3. The published folder names count leads rather than
# pages, twelve to a page, and one of them miscounts: `MI(215)` does not exist, so 240 x 12 should read 239 x
# 12.

# %%
CLASSES = ("MI", "History_MI", "Abnormal", "Normal")

FOLDERS = {
    "MI": "ECG Images of Myocardial Infarction Patients (240x12=2880)",
    "History_MI": "ECG Images of Patient that have History of MI (172x12=2064)",
    "Abnormal": "ECG Images of Patient that have abnormal heartbeat (233x12=2796)",
    "Normal": "Normal Person ECG Images (284x12=3408)",
}

#: Where EICP is published: version 2, 2021, CC BY 4.0, DOI 10.17632/gwbz3fsgp8.2.
EICP_PAGE = "https://data.mendeley.com/datasets/gwbz3fsgp8/2"
EICP_ZIP = "https://data.mendeley.com/public-api/zip/gwbz3fsgp8/download/2"

#: Where LUDB is published: version 1.0.1, 2021, ODC-By 1.0, DOI 10.13026/eegm-h675.
LUDB_PAGE = "https://physionet.org/content/ludb/1.0.1/"
LUDB_ZIP = "https://physionet.org/content/ludb/get-zip/1.0.1/"

#: What the long functions report: the stage, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]

HASHED = ["file", "label", "md5", "sha256", "bytes", "width", "height", "first_copy"]
PRINTED = ["group", "heart_rate", "sex", "year", "lead_off", "batch"]


class EcgbookError(Exception):
    """A mistake the user can mend, told in one sentence: what is wrong, and what to do."""


def home() -> Path:
    """Folder that holds the data sets: ``$ECGBOOK_DATA``, or ``data`` in the checkout.

    Returns
    -------
    pathlib.Path
        The folder, which need not exist; the pages are expected in its subfolder ``eicp``. Where the package was
        installed without a checkout around it, ``data`` under the working directory.

    Examples
    --------
    >>> (home() / "eicp").name
    'eicp'
    """
    checkout = Path(__file__).resolve().parents[1]
    base = checkout if (checkout / "pyproject.toml").is_file() else Path()
    return Path(os.environ.get("ECGBOOK_DATA") or base / "data")


def tables() -> Path:
    """Folder of the derived tables that the package carries.

    Examples
    --------
    >>> (tables() / "manifest.csv").is_file()
    True
    """
    return Path(__file__).parent / "tables"


# %% [markdown]
# ## The manifest
# The table behind everything. `first_copy` is the point of it: the name of the first file, in the order of
# the table, with the same bytes. A file that names itself is a distinct page; there are 491 of those among
# the 928.


# %%
def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest with the right type in every column.

    Parameters
    ----------
    path : pathlib.Path
        A CSV file as written by :func:`write_manifest`.

    Returns
    -------
    pandas.DataFrame
        One row a file. Columns: ``file``, ``label``, ``md5``, ``sha256``, ``bytes``, ``width`` and ``height``
        (pixels), ``first_copy``, ``group`` (from 1, by first appearance: the same printed exam ID),
        ``heart_rate`` (beats a minute, missing where unreadable), ``sex`` ("Male", "Female" or ""), ``year``,
        ``lead_off`` (bool), ``batch`` ("2019", "2020a" for August, "2020b" for October 2020).
    """
    whole = {"bytes": "int64", "width": "int64", "height": "int64"}
    missable = {"group": "Int64", "heart_rate": "Int64", "year": "Int64", "lead_off": "boolean"}
    text = dict.fromkeys(["file", "label", "md5", "sha256", "first_copy", "sex", "batch"], "str")
    frame = pd.read_csv(
        path,
        dtype={**whole, **missable, **text},
        keep_default_na=False,
        na_values={column: [""] for column in missable},
    )
    frame["lead_off"] = frame["lead_off"].fillna(False).astype(bool)
    if frame["group"].notna().all():
        frame["group"] = frame["group"].astype("int64")
    return frame[HASHED + PRINTED]


@lru_cache(maxsize=1)
def _carried_manifest() -> pd.DataFrame:
    frame = read_manifest(tables() / "manifest.csv").rename(columns={"group": "exam"})
    joined = pd.read_csv(tables() / "groups.csv").set_index("file")["group"]
    return frame.assign(group=joined.loc[frame["first_copy"]].to_numpy())


def files() -> pd.DataFrame:
    """List the 928 published files: class, copies, printed fields.

    Returns
    -------
    pandas.DataFrame
        928 rows, ordered by class (as in :data:`CLASSES`), then number; columns as in :func:`read_manifest`, but
        the number of the printed exam ID is called ``exam``, and ``group`` also joins pages whose signals are more
        alike than strangers' can be (:mod:`ecgbook.groups`).
        A fresh copy, yours to change.

    See Also
    --------
    pages : only the distinct ones.

    Examples
    --------
    >>> files().groupby("label", sort=False).size().to_dict()
    {'MI': 239, 'History_MI': 172, 'Abnormal': 233, 'Normal': 284}
    """
    return _carried_manifest().copy()


def pages() -> pd.DataFrame:
    """List the 491 distinct pages: the rows of :func:`files` that are their own first copy.

    Examples
    --------
    >>> pages().groupby("label", sort=False).size().to_dict()
    {'MI': 30, 'History_MI': 86, 'Abnormal': 233, 'Normal': 142}
    """
    frame = files()
    return frame[frame["file"] == frame["first_copy"]].reset_index(drop=True)


# %% [markdown]
# ## Computing the manifest
# Nothing in the table is typed by hand. The hash part comes from the bytes: one pass over each file feeds
# both hashes, and two threads are enough to keep up with a disk, for hashing releases Python's lock. MD5 is
# there because others publish it; SHA-256 because MD5 alone no longer proves that two files are the same.


# %%
def digest(path: Path) -> tuple[str, str, int]:
    """Hash one file in a single pass.

    Parameters
    ----------
    path : pathlib.Path
        Any file.

    Returns
    -------
    tuple of (str, str, int)
        MD5 and SHA-256, both in lower-case hexadecimal, and the size in bytes.
    """
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open(path, "rb") as stream:
        size = _pour(stream, md5.update, sha256.update)
    return md5.hexdigest(), sha256.hexdigest(), size


def _pour(stream: BinaryIO, *takers: Callable[[bytes], object]) -> int:
    """Give what a stream holds to each of the takers, block by block; return its size."""
    size = 0
    while block := stream.read(1 << 20):
        for take in takers:
            take(block)
        size += len(block)
    return size


def _sha256(stream: BinaryIO, *takers: Callable[[bytes], object]) -> str:
    """Hash what a stream holds, and give it to the takers on the way."""
    sha256 = hashlib.sha256()
    _pour(stream, sha256.update, *takers)
    return sha256.hexdigest()


def _number(file: str) -> int:
    """Return the number in a published name: 12 for ``PMI(12).jpg``."""
    match = re.search(r"\((\d+)\)", file)
    return int(match[1]) if match else 0


def _manifest_row(path: Path, label: str) -> dict:
    try:
        md5, sha256, size = digest(path)
        with Image.open(path) as image:  # reads the header only
            width, height = image.size
    except OSError as error:
        raise EcgbookError(f"{path}: cannot be read as an image ({error}); remove or replace it") from error
    return {
        "file": path.name,
        "label": label,
        "md5": md5,
        "sha256": sha256,
        "bytes": size,
        "width": width,
        "height": height,
    }


def build_manifest(root: Path) -> pd.DataFrame:
    """Compute the hash part of the manifest from a published tree.

    Parameters
    ----------
    root : pathlib.Path
        Folder that holds the four published folders (:data:`FOLDERS`).

    Returns
    -------
    pandas.DataFrame
        Columns as in :func:`read_manifest`; the printed ones are still empty.

    Raises
    ------
    EcgbookError
        If one of the four folders is not there, or a file in them is no image.
    """
    found = []
    for label, folder in FOLDERS.items():
        if not (root / folder).is_dir():
            raise EcgbookError(
                f"{root / folder}: no such folder; the manifest is built from all four published folders"
            )
        inside = [path for path in (root / folder).iterdir() if not is_junk(path.name)]
        found += [(path, label) for path in sorted(inside, key=lambda path: (_number(path.name), path.name))]
    with ThreadPoolExecutor(2) as pool:
        frame = pd.DataFrame(pool.map(lambda item: _manifest_row(*item), found))
    frame["first_copy"] = frame.groupby("sha256")["file"].transform("first")
    return frame.reindex(columns=HASHED + PRINTED)


def add_printed(frame: pd.DataFrame, printed: pd.DataFrame) -> pd.DataFrame:
    """Fill the printed columns of a manifest from what was read on the distinct pages.

    Parameters
    ----------
    frame : pandas.DataFrame
        A manifest, as from :func:`build_manifest`.
    printed : pandas.DataFrame
        ``file`` and the six printed columns, one row for each distinct page.

    Returns
    -------
    pandas.DataFrame
        The manifest; a copy gets what its first copy shows.
    """
    fields = printed.set_index("file")[PRINTED].loc[frame["first_copy"]].reset_index(drop=True)
    return pd.concat([frame[HASHED].reset_index(drop=True), fields], axis=1)


def write_manifest(frame: pd.DataFrame, path: Path) -> None:
    """Write a manifest, whole or not at all."""
    write_whole(path, frame[HASHED + PRINTED].to_csv(index=False, lineterminator="\n"))


# %% [markdown]
# ## Whole files only
# Whatever this package writes is written under a temporary name in the same folder and then renamed. A rename
# is the one step a file system does whole or not at all, so a full disk or an impatient `Ctrl-C` leaves the
# old file, or none.


# %%
def check_writable(path: Path) -> None:
    """Raise before the long work, not after it, if a file cannot be written.

    Parameters
    ----------
    path : pathlib.Path
        The file that is to be written later; it is not touched.

    Raises
    ------
    EcgbookError
        If ``path`` is a folder or a device, or if its folder takes no new file.
    """
    with _part_beside(Path(path)):
        pass


def make_folder(path: Path) -> None:
    """Create a folder, and those above it, unless it is there.

    Raises
    ------
    EcgbookError
        If something else has its name, or it may not be created.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EcgbookError(_unwritable(path, error)) from error


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``, which replaces ``path`` only when the block ends well.

    Parameters
    ----------
    path : pathlib.Path
        The file to be written; its folder must exist.

    Yields
    ------
    pathlib.Path
        The name to write to, with the same suffix. After an exception or an interrupt it is gone, and
        ``path`` is as it was before.

    Raises
    ------
    EcgbookError
        If nothing can be written there, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with writing(Path(folder) / "table.csv") as part:
    ...         _ = part.write_text("a,b")
    ...     [path.name for path in Path(folder).iterdir()]
    ['table.csv']
    """
    path = Path(path)
    with _part_beside(path) as part:
        try:
            yield part
            os.replace(part, path)
        except OSError as error:
            raise EcgbookError(_unwritable(path, error)) from error


def write_whole(path: Path, text: str) -> None:
    """Write a text file (UTF-8), whole or not at all; see :func:`writing`."""
    with writing(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def _part_beside(path: Path) -> Iterator[Path]:
    """Create an empty file beside ``path``, and remove it at the end if it is still there."""
    if path.is_dir():
        raise EcgbookError(f"{path}: is a folder; name a file to write")
    if path.exists() and not path.is_file():  # to rename over /dev/null would break the machine
        raise EcgbookError(f"{path}: is not an ordinary file; name another")
    part = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:  # from before the file is there, for an interrupt may come at any moment
        try:
            part.open("xb").close()
        except OSError as error:
            raise EcgbookError(_unwritable(path, error)) from error
        yield part
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path}: cannot be written ({_reason(error)}); choose another place or make room"


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


# %% [markdown]
# ## Three ways to keep the pages
# Under `$ECGBOOK_DATA/eicp` three layouts are read: the published tree of four folders; one folder a class
# with the 491 distinct pages only, where a copy is answered by its first copy; and the published zip as it
# was downloaded, from which pages are read directly. A tree may stand one folder deeper, as it does when an
# archive is unpacked by hand.


# %%
def locate(root: Path) -> tuple[str, Path] | None:
    """Find the pages under a folder.

    Parameters
    ----------
    root : pathlib.Path
        Usually ``home() / "eicp"``.

    Returns
    -------
    tuple of (str, pathlib.Path) or None
        The layout and where it stands: ``"tree"`` (the four published folders), ``"distinct"`` (folders named
        by class, the 491 distinct pages), or ``"zip"`` (the published archive); None when there is nothing of
        the kind.

    Examples
    --------
    >>> locate(Path("no such folder")) is None
    True
    """
    if not root.is_dir():
        return None
    bases = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    for layout, folders in (("tree", list(FOLDERS.values())), ("distinct", CLASSES)):
        for base in bases:
            if any((base / folder).is_dir() for folder in folders):
                return layout, base
    archives = sorted(root.glob("*.zip"))
    return ("zip", archives[0]) if archives else None


def _located(root: Path) -> tuple[str, Path]:
    found = locate(root)
    if found is None:
        raise EcgbookError(
            f"{root}: the pages of EICP are not here; get them with `ecgbook data fetch eicp`,"
            " or set ECGBOOK_DATA to the folder that holds eicp/"
        )
    return found


def _place(layout: str, label: str, file: str) -> str:
    return f"{FOLDERS[label] if layout == 'tree' else label}/{file}"


def page_bytes(name: str) -> bytes:
    """Read the bytes of a page, and make sure that they are the published ones.

    Parameters
    ----------
    name : str
        A published file name, e.g. ``"PMI(12).jpg"``.

    Returns
    -------
    bytes
        The JPEG file, whose MD5 is the manifest's. A copy may be answered by its first copy, which has the
        same bytes.

    Raises
    ------
    EcgbookError
        If there is no such page, if the pages are not here, or if the file is missing or altered.
    """
    row = _row(name)
    layout, base = _located(home() / "eicp")
    content = _read_from_zip(base, row) if layout == "zip" else _read_from_folders(layout, base, row)
    if content is None:
        raise EcgbookError(f"{name}: is missing from {base}; mend it with `ecgbook data fetch eicp`")
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != row.md5:
        raise EcgbookError(f"{name}: is not the published file; see `ecgbook data verify eicp`")
    return content


def open_page(name: str) -> Image.Image:
    """Open a page as an RGB image.

    Parameters
    ----------
    name : str
        A published file name, e.g. ``"PMI(12).jpg"``.

    Returns
    -------
    PIL.Image.Image
        2213 x 1572 pixels, mode RGB, decoded. Its bytes were checked against the manifest first.

    Raises
    ------
    EcgbookError
        If there is no such page, if the pages are not here, or if the file is missing or altered.

    Examples
    --------
    >>> open_page("PMI(12).jpeg")
    Traceback (most recent call last):
    ecgbook.data.EcgbookError: PMI(12).jpeg: no such page; did you mean PMI(12).jpg?
    """
    return read_rgb(io.BytesIO(page_bytes(name)))


def read_rgb(source: Path | BinaryIO) -> Image.Image:
    """Decode an image file to RGB; Pillow's guard against decompression bombs stays on."""
    with Image.open(source) as image:
        return image.convert("RGB")


def open_image(path: Path) -> Image.Image:
    """Open any image file as it is meant to be seen: turned as its Exif block says, on white where transparent.

    Parameters
    ----------
    path : pathlib.Path
        The file, in any format that Pillow reads but EPS, which is a program and no picture.

    Returns
    -------
    PIL.Image.Image
        Mode RGB, decoded.

    Raises
    ------
    EcgbookError
        If the file cannot be read, is empty, is no image, is broken, or would unpack to too many pixels.

    See Also
    --------
    open_page : for the pages of the data set.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("L", (4, 3)).save(Path(folder) / "page.png")
    ...     open_image(Path(folder) / "page.png").size
    (4, 3)
    """
    with (
        _image_errors_told(path),
        _open_to_read(path) as stream,
        Image.open(stream, formats=_formats()) as image,
    ):
        image.load()  # a truncated file fails here
        with suppress(Exception):  # a broken Exif block is no broken picture
            image = ImageOps.exif_transpose(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB")


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.OPEN if name != "EPS")


@contextmanager
def _image_errors_told(path: Path) -> Iterator[None]:
    another = "give a page as JPEG or PNG"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except EcgbookError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        most = Image.MAX_IMAGE_PIXELS // 10**6  # type: ignore[operator]
        raise EcgbookError(f"{path}: has more than {most} million pixels; give a smaller scan") from error
    except UnidentifiedImageError as error:
        what = "is no image" if os.path.getsize(path) else "is an empty file"
        raise EcgbookError(f"{path}: {what}; {another}") from error
    except Exception as error:  # a decoder may fail in any way on a broken file
        raise EcgbookError(f"{path}: is a broken or truncated image; {another}") from error


def _row(name: str) -> pd.Series:
    frame = files()
    found = frame[frame["file"] == name]
    if found.empty:
        near = difflib.get_close_matches(str(name), frame["file"], n=1)
        advice = f"did you mean {near[0]}?" if near else "`ecgbook.data.files()` lists them"
        raise EcgbookError(f"{name}: no such page; {advice}")
    return found.iloc[0]


def _open_to_read(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise EcgbookError(
            f"{path}: cannot be read ({_reason(error)}); check its rights and the disk"
        ) from error


def _read_from_folders(layout: str, base: Path, row: pd.Series) -> bytes | None:
    for file in (row.file, row.first_copy):
        path = base / _place(layout, row.label, file)
        if path.is_file():
            with _open_to_read(path) as stream:
                return stream.read()
    return None


def _read_from_zip(base: Path, row: pd.Series) -> bytes | None:
    with _opened_eicp(base, files()) as (members, _):
        for file in (row.file, row.first_copy):
            if file in members:
                archive, info = members[file]
                _refuse_too_large(base, info, row.bytes)
                return archive.read(info)
    return None


# %% [markdown]
# ## Opening a zip that a stranger sent
# An archive names its own files, so a careless program can be led out of the folder (`../`), onto a link, or
# into a file of a thousand gigabytes that was packed into a few kilobytes. Three rules keep this harmless.
# Names that climb, absolute names, links and encrypted entries are refused. Only files we know of are ever
# unpacked, and the place they go to is taken from our list, never from the archive. And no entry may grow
# beyond the size that the list allows.

# %%
Entry = tuple[zipfile.ZipFile, zipfile.ZipInfo]

_JUNK = {"thumbs.db", "desktop.ini", ".ds_store"}
_SLACK = 64 << 20  # bytes: what an archive may hold beside the files we know, such as a licence


@contextmanager
def opened_zip(path: Path, files: int, size: int) -> Iterator[list[Entry]]:
    """Open an archive after looking it over; archives inside it are opened too, one level deep.

    Parameters
    ----------
    path : pathlib.Path
        A zip file.
    files, size : int
        How many files are expected in it, and how many bytes they have in all; some more are let pass.

    Yields
    ------
    list of (zipfile.ZipFile, zipfile.ZipInfo)
        The files in it, each with the open archive to read it from; without folders and junk.

    Raises
    ------
    EcgbookError
        If it is no zip, is broken, holds unsafe entries, or far more than expected.
    """
    with _zip_errors_told(path), ExitStack() as stack:
        outer = stack.enter_context(zipfile.ZipFile(stack.enter_context(_open_to_read(path))))
        _refuse_unsafe(path, outer, files, size)
        entries = []
        for info in _files_in(outer):
            if info.filename.lower().endswith(".zip"):
                inner = stack.enter_context(zipfile.ZipFile(stack.enter_context(outer.open(info))))
                _refuse_unsafe(path, inner, files, size)
                entries += [(inner, inside) for inside in _files_in(inner)]
            else:
                entries.append((outer, info))
        yield entries


def _files_in(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [info for info in archive.infolist() if not info.is_dir() and not is_junk(info.filename)]


def _sort_entries(
    path: Path, entries: list[Entry], known: Iterable[str]
) -> tuple[dict[str, Entry], list[str]]:
    """Find the files we know by their bare names, in whatever folder, and name the others."""
    known, members, unknown = set(known), {}, []
    for archive, info in entries:
        name = PurePosixPath(info.filename.replace("\\", "/")).name
        if name not in known:
            unknown.append(info.filename)
        elif name in members:
            raise EcgbookError(
                f"{path.name}: holds {name} twice, so it is not the published archive; download it again"
            )
        else:
            members[name] = archive, info
    return members, unknown


def _refuse_unsafe(path: Path, archive: zipfile.ZipFile, files: int, size: int) -> None:
    entries = archive.infolist()
    if len(entries) > 2 * files + 100:
        raise EcgbookError(
            f"{path.name}: holds {len(entries)} entries, far more than the published files; not unpacked"
        )
    if (total := sum(info.file_size for info in entries)) > size + _SLACK:
        raise EcgbookError(
            f"{path.name}: would unpack to {total} bytes, where {size + _SLACK} are allowed; not unpacked"
        )
    for info in entries:
        if fault := _fault(info):
            raise EcgbookError(f"{path.name}: the entry {info.filename!r} {fault}; not unpacked")


def _fault(info: zipfile.ZipInfo) -> str | None:
    """Say what makes an entry unfit to unpack, if anything does."""
    name = info.filename.replace("\\", "/")
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in name.split("/"):
        return "climbs out of its folder"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, not a file"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in a way that is not read here"
    return None


def _refuse_too_large(path: Path, info: zipfile.ZipInfo, allowed: int) -> None:
    # zipfile never gives more than an entry declares, so this bounds the bytes themselves
    if info.file_size > allowed:
        raise EcgbookError(
            f"{path.name}: the entry {info.filename!r} would unpack to {info.file_size} bytes,"
            f" where {allowed} are allowed; not unpacked"
        )


@contextmanager
def _zip_errors_told(path: Path) -> Iterator[None]:
    broken = f"{path.name}: is no zip, or a broken one; download it again"
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise EcgbookError(broken) from error
    except (EOFError, IndexError, NotImplementedError, ValueError) as error:  # headers that make no sense
        raise EcgbookError(broken) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a header that points before the beginning of the file
            raise
        raise EcgbookError(broken) from error


def is_junk(name: str) -> bool:
    """Say whether a name is what file managers leave behind, not part of a data set.

    Examples
    --------
    >>> is_junk("__MACOSX/MI/._MI(1).jpg"), is_junk("MI/Thumbs.db"), is_junk("MI/MI(1).jpg")
    (True, True, False)
    """
    parts = name.replace("\\", "/").split("/")
    return "__MACOSX" in parts or parts[-1].lower() in _JUNK or parts[-1].startswith("._")


# %% [markdown]
# ## Is it all there?
# Verifying means reading every byte and comparing its SHA-256, which settles size and MD5 as well. It takes
# some seconds and names every file that is missing, altered or extra; status only looks, and takes none. Both
# work from a list: for each file its bare name, its place below the folder, its hash, and the most bytes it
# may have. For EICP the manifest is that list.


# %%
def verify_eicp(
    root: Path | None = None, manifest: pd.DataFrame | None = None, progress: Progress | None = None
) -> dict:
    """Compare every file of EICP with the manifest.

    Parameters
    ----------
    root : pathlib.Path, optional
        Where the pages are; by default ``home() / "eicp"``.
    manifest : pandas.DataFrame, optional
        The files there should be; by default :func:`files`.
    progress : callable, optional
        Called as ``progress("verify", bytes done, bytes in all)``.

    Returns
    -------
    dict
        ``path``, ``layout`` (see :func:`locate`), ``expected`` (number of files), and the lists ``missing``,
        ``altered`` and ``extra`` of names, in the order of the manifest; the extra ones with their folders.

    Raises
    ------
    EcgbookError
        If there are no pages at all, or the archive is broken as a whole.
    """
    layout, base = _located(root or home() / "eicp")
    wanted = _wanted_eicp(layout, files() if manifest is None else manifest)
    compare = _compare_zip if layout == "zip" else _compare_folder
    return _report(layout, base, wanted, *compare(base, wanted, progress or _silent))


def _wanted_eicp(layout: str, manifest: pd.DataFrame) -> pd.DataFrame:
    """List the files that a layout should hold: columns ``file``, ``place``, ``sha256``, ``bytes``."""
    if layout == "distinct":
        manifest = manifest[manifest["file"] == manifest["first_copy"]]
    places = [_place(layout, row.label, row.file) for row in manifest.itertuples()]
    return manifest[["file", "sha256", "bytes"]].assign(place=places)


def _report(layout: str, base: Path, wanted: pd.DataFrame, states: list[str], extra: list[str]) -> dict:
    named = {
        state: [file for file, found in zip(wanted["file"], states, strict=True) if found == state]
        for state in ("missing", "altered")
    }
    return {"path": str(base), "layout": layout, "expected": len(wanted), **named, "extra": extra}


def is_sound(report: dict) -> bool:
    """Say whether a report of :func:`verify_eicp` finds every file as published; extra ones do no harm to them."""
    return not (report["missing"] or report["altered"])


def summarise(report: dict) -> str:
    """Tell a report of :func:`verify_eicp` in a few words, naming at most three files of a kind.

    Examples
    --------
    >>> summarise({"missing": ["MI(1).jpg", "MI(2).jpg"], "altered": [], "extra": []})
    '2 missing (MI(1).jpg, MI(2).jpg)'
    """
    parts = []
    for state in ("missing", "altered", "extra"):
        if names := report[state]:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            parts.append(f"{len(names)} {state} ({shown})")
    return ", ".join(parts) or "all as published"


def status(root: Path | None = None, manifest: pd.DataFrame | None = None) -> dict:
    """Look where the pages are and how many there are, without reading them.

    Parameters
    ----------
    root, manifest
        As for :func:`verify_eicp`.

    Returns
    -------
    dict
        ``path``, ``layout`` (None when there is nothing), ``present`` and ``expected`` (numbers of files),
        ``bytes``.
    """
    root = root or home() / "eicp"
    layout, base = locate(root) or (None, root)
    wanted = _wanted_eicp(layout or "tree", files() if manifest is None else manifest)
    if layout == "zip":
        with _opened_eicp(base, wanted) as (members, _):
            sizes = [info.file_size for _, info in members.values()]
    else:
        sizes = _sizes(base, wanted) if layout else []
    return _standing(layout, base, wanted, sizes)


def _sizes(base: Path, wanted: pd.DataFrame) -> list[int]:
    """Sizes of the files that are there, in bytes."""
    paths = [base / place for place in wanted["place"]]
    return [path.stat().st_size for path in paths if path.is_file()]


def _standing(layout: str | None, base: Path, wanted: pd.DataFrame, sizes: list[int]) -> dict:
    return {
        "path": str(base),
        "layout": layout,
        "present": len(sizes),
        "expected": len(wanted),
        "bytes": sum(sizes),
    }


def _silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""


def _compare_folder(base: Path, wanted: pd.DataFrame, progress: Progress) -> tuple[list[str], list[str]]:
    rows = list(wanted.itertuples())
    paths = [base / row.place for row in rows]
    states, done, total = [], 0, sum(_sizes(base, wanted))
    with ThreadPoolExecutor(2) as pool:
        for path, state in zip(paths, pool.map(_compare_file, paths, rows), strict=True):
            states.append(state)
            done += path.stat().st_size if path.is_file() else 0
            progress("verify", done, total)
    known = set(paths)
    found = sorted(path for path in base.rglob("*") if not path.is_dir())
    extra = [
        path.relative_to(base).as_posix() for path in found if path not in known and not is_junk(path.name)
    ]
    return states, extra


def _compare_file(path: Path, row: tuple) -> str:
    if not path.is_file():
        return "missing"
    if path.stat().st_size > row.bytes:  # type: ignore[attr-defined]
        return "altered"
    with _open_to_read(path) as stream:
        return "fine" if _sha256(stream) == row.sha256 else "altered"  # type: ignore[attr-defined]


@contextmanager
def _opened_eicp(path: Path, manifest: pd.DataFrame) -> Iterator[tuple[dict[str, Entry], list[str]]]:
    """Open the published zip: its pages by name, and the names of all else in it."""
    with opened_zip(path, len(manifest), int(manifest["bytes"].sum())) as entries:
        yield _sort_entries(path, entries, manifest["file"])


def _compare_zip(base: Path, wanted: pd.DataFrame, progress: Progress) -> tuple[list[str], list[str]]:
    states, done, total = [], 0, int(wanted["bytes"].sum())
    with _opened_eicp(base, wanted) as (members, unknown):
        for row in wanted.itertuples():
            states.append(_compare_entry(members.get(row.file), row))
            done += row.bytes
            progress("verify", done, total)
    return states, unknown


def _compare_entry(member: Entry | None, row: tuple) -> str:
    if member is None:
        return "missing"
    archive, info = member
    if info.file_size > row.bytes:  # type: ignore[attr-defined]
        return "altered"
    try:
        with archive.open(info) as stream:
            return "fine" if _sha256(stream) == row.sha256 else "altered"  # type: ignore[arg-type, attr-defined]
    except (zipfile.BadZipFile, zlib.error, EOFError):
        return "altered"


# %% [markdown]
# ## A second data set, for boundaries only
# LUDB, the *Lobachevsky University Electrocardiography Database*, holds 200 ECGs in which cardiologists marked
# every wave. PhysioNet publishes it with a list of the SHA-256 of each file, and we keep the SHA-256 of that
# list: one line of code stands for 2,805 files. The list gives no sizes, which are needed before unpacking, so
# generous ones are allowed: 1 MB a file, where the largest has 0.2, and 64 MB in all, where there are 25. What is
# within them and still wrong, the hash finds. The files are hashed as bytes; nothing here reads what they say.

# %%
LUDB_LIST = "SHA256SUMS.txt"

#: SHA-256 of the list itself.
LUDB_SHA256 = "cccef1f3529519db8f26a333c97a6872a7d0e3e5c64a1448b76b161fd87fb75f"

_LUDB_FILES = 2806  # 2,805 listed, and the list
_LUDB_FILE_BYTES, _LUDB_BYTES = 1 << 20, 64 << 20


def _read_list(content: bytes) -> pd.DataFrame:
    """List what a checksum file lists, and itself: columns ``file``, ``place``, ``sha256``, ``bytes``."""
    lines = [line.split(maxsplit=1) for line in content.decode("utf-8").splitlines()]
    rows = [(place, sha256) for sha256, place in lines]
    rows.append((LUDB_LIST, hashlib.sha256(content).hexdigest()))
    wanted = pd.DataFrame(rows, columns=["place", "sha256"])
    return wanted.assign(file=wanted["place"].str.rpartition("/")[2], bytes=_LUDB_FILE_BYTES)


def _wanted_ludb(root: Path, sha256: str) -> pd.DataFrame | None:
    """List the files of LUDB from the list that lies with them; None if it is not there or not the published one."""
    path = root / LUDB_LIST
    if not path.is_file() or path.stat().st_size > _LUDB_FILE_BYTES:
        return None
    with _open_to_read(path) as stream:
        content = stream.read()
    return _read_list(content) if hashlib.sha256(content).hexdigest() == sha256 else None


def verify_ludb(
    root: Path | None = None, sha256: str = LUDB_SHA256, progress: Progress | None = None
) -> dict:
    """Compare every file of LUDB with its list of SHA-256.

    Parameters
    ----------
    root : pathlib.Path, optional
        Where its files are; by default ``home() / "ludb"``.
    sha256 : str, optional
        The hash of the list.
    progress : callable, optional
        Called as ``progress("verify", bytes done, bytes in all)``.

    Returns
    -------
    dict
        As from :func:`verify_eicp`; the layout is always ``"tree"``.

    Raises
    ------
    EcgbookError
        If there is nothing, or the list is not the published one.
    """
    root = root or home() / "ludb"
    wanted = _wanted_ludb(root, sha256)
    if wanted is None:
        what = "is not the published list" if (root / LUDB_LIST).exists() else "is not here"
        raise EcgbookError(f"{root / LUDB_LIST}: {what}; get LUDB with `ecgbook data fetch ludb`")
    return _report("tree", root, wanted, *_compare_folder(root, wanted, progress or _silent))


def status_ludb(root: Path | None = None, sha256: str = LUDB_SHA256) -> dict:
    """Look whether LUDB is there; parameters as for :func:`verify_ludb`, the result as from :func:`status`.

    Examples
    --------
    >>> status_ludb(Path("no such folder"))["layout"] is None
    True
    """
    root = root or home() / "ludb"
    wanted = _wanted_ludb(root, sha256)
    if wanted is None:
        return {"path": str(root), "layout": None, "present": 0, "expected": _LUDB_FILES, "bytes": 0}
    return _standing("tree", root, wanted, _sizes(root, wanted))


# %% [markdown]
# ## Fetching
# Both publishers pack the archive anew for every request, so it has no hash of its own and no download can be
# resumed; what counts is that every file in it is the published one. Everything happens in a folder of its
# own beside the target, which is removed whatever comes. Only a complete, verified tree is moved into place.


# %%
def fetch_eicp(
    url: str = EICP_ZIP,
    root: Path | None = None,
    manifest: pd.DataFrame | None = None,
    progress: Progress | None = None,
) -> dict:
    """Download EICP (about 194 MB), unpack it safely, verify every file; do nothing if it is all there already.

    Parameters
    ----------
    url : str, optional
        Where the zip is; by default the publisher's.
    root : pathlib.Path, optional
        Where the pages shall be; by default ``home() / "eicp"``. Files of yours in there stay.
    manifest : pandas.DataFrame, optional
        The files there should be; by default :func:`files`.
    progress : callable, optional
        Called with the stage (``"download"``, ``"unpack"``, ``"verify"``), bytes done, and bytes in all (0:
        unknown).

    Returns
    -------
    dict
        The report of :func:`verify_eicp` on what is now in place, with ``fetched``: whether anything was
        downloaded.

    Raises
    ------
    EcgbookError
        If the server cannot be reached or refuses, the download is cut off, the archive is broken or unsafe,
        a file is missing or altered, or the disk is full. Nothing half-written is left.
    """
    root = (root or home() / "eicp").resolve()
    manifest = files() if manifest is None else manifest
    progress = progress or _silent
    found = locate(root)
    if found:
        report = verify_eicp(root, manifest, progress)
        if is_sound(report):
            return {**report, "fetched": False}
    with _fetched(url, root, int(manifest["bytes"].sum()), _EICP_BY_HAND, progress) as archive:
        tree = archive.with_suffix("")
        unpack_eicp(archive, tree, manifest, progress)
        _move_in(tree, found[1] if found and found[0] == "tree" else root)
    return {**verify_eicp(root, manifest, progress), "fetched": True}


def fetch_ludb(
    url: str = LUDB_ZIP,
    root: Path | None = None,
    sha256: str = LUDB_SHA256,
    progress: Progress | None = None,
) -> dict:
    """Download LUDB (25 MB unpacked), unpack it safely, verify every file; do nothing if it is all there already.

    Parameters
    ----------
    url, root, progress
        As for :func:`fetch_eicp`; by default PhysioNet's zip, and ``home() / "ludb"``.
    sha256 : str, optional
        The hash of the list of files.

    Returns
    -------
    dict
        The report of :func:`verify_ludb`, with ``fetched``.

    Raises
    ------
    EcgbookError
        As :func:`fetch_eicp`.
    """
    root = (root or home() / "ludb").resolve()
    progress = progress or _silent
    if _wanted_ludb(root, sha256) is not None:
        report = verify_ludb(root, sha256, progress)
        if is_sound(report):
            return {**report, "fetched": False}
    with _fetched(url, root, _LUDB_BYTES, _LUDB_BY_HAND, progress) as archive:
        tree = archive.with_suffix("")
        unpack_ludb(archive, tree, sha256, progress)
        _move_in(tree, root)
    return {**verify_ludb(root, sha256, progress), "fetched": True}


_EICP_BY_HAND = f"download the zip from {EICP_PAGE} and put it into"
_LUDB_BY_HAND = f"unpack the zip from {LUDB_PAGE} and move what is in its one folder into"


@contextmanager
def _fetched(url: str, root: Path, size: int, by_hand: str, progress: Progress) -> Iterator[Path]:
    """Download a zip of so many bytes unpacked to a working folder beside ``root``, which goes when the block ends."""
    with _disk_errors_told(root.parent, size), _staging(root) as staging:
        if shutil.disk_usage(staging).free < _room_needed(size):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        archive = staging / f"{root.name}.zip"
        download(url, archive, size + _SLACK, f"{by_hand} {root}", progress)
        yield archive


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """Give a working folder beside ``root``; afterwards nothing of it is left, nor empty parents made for it."""
    parent = root.parent
    made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=parent) as name:
            yield Path(name)
    finally:
        for folder in made:
            with suppress(OSError):  # rmdir takes empty folders only
                folder.rmdir()


def _room_needed(size: int) -> int:
    return size * 4 // 3  # the files, and the zip, which is about a third of them


@contextmanager
def _disk_errors_told(folder: Path, size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            megabytes = _room_needed(size) // 10**6 + 1
            raise EcgbookError(
                f"{folder}: the disk is full; make room for {megabytes} MB and run it again"
            ) from error
        advice = "set ECGBOOK_DATA to another folder"
        raise EcgbookError(f"{folder}: cannot be written ({_reason(error)}); {advice}") from error


def _move_in(tree: Path, root: Path) -> None:
    """Move a finished tree into place: at once where nothing stands yet, else file by file beside what is there."""
    if not root.exists():
        os.rename(tree, root)
        return
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        target = root / path.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)


# %% [markdown]
# Pooch does the transfer. It offers a place for a progress bar, and there we also count the bytes, so that a
# server which never stops sending cannot fill the disk.


# %%
_TIMEOUT = (15, 60)  # seconds: to connect, and between two pieces of the answer


class _Meter:
    """What pooch expects of a progress bar: ``total`` to be set, and ``update``, ``reset`` and ``close``."""

    def __init__(self, url: str, allowed: int, progress: Progress) -> None:
        self.url, self.allowed, self.progress = url, allowed, progress
        self.total = self.done = 0

    def update(self, size: int) -> None:
        self.done += size
        if self.done > self.allowed:
            raise EcgbookError(f"{self.url}: sends more than {self.allowed} bytes; this is not the data set")
        self.progress("download", min(self.done, self.total) if self.total else self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def download(url: str, target: Path, allowed: int, by_hand: str, progress: Progress = _silent) -> None:
    """Download a file over HTTP; see :func:`fetch_eicp`.

    Parameters
    ----------
    url : str
        Where it is.
    target : pathlib.Path
        The file to write. After an error it may hold the part that came.
    allowed : int
        The most bytes it may have.
    by_hand : str
        What to do instead where this fails, for the messages.
    progress : callable, optional
        Called as ``progress("download", bytes done, bytes in all)``.

    Raises
    ------
    EcgbookError
        If the server cannot be reached, refuses, or stops too early.
    """
    import pooch
    import requests

    answers = []  # kept to be closed, for pooch leaves a connection open when something goes wrong
    transfer = pooch.HTTPDownloader(
        progressbar=_Meter(url, allowed, progress),
        chunk_size=1 << 16,
        timeout=_TIMEOUT,
        hooks={"response": lambda answer, **_: answers.append(answer)},
    )
    later = f"try again later, or {by_hand}"
    try:
        transfer(url, str(target), None)
    except requests.HTTPError as error:
        refusal = f"{error.response.status_code} {error.response.reason}"  # type: ignore[union-attr]
        raise EcgbookError(f"{url}: the server answered {refusal}; {later}") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        if answers:
            advice = "it cannot be resumed, so run it again"
            raise EcgbookError(f"{url}: the download was cut off; {advice}") from error
        raise EcgbookError(f"{url}: cannot be reached; check the network, {later}") from error
    except requests.RequestException as error:
        raise EcgbookError(f"{url}: cannot be downloaded ({error}); {later}") from error
    finally:
        for answer in answers:
            answer.close()


# %% [markdown]
# One function unpacks both archives, each file to the place that the list gives it, hashed as it is written.
# LUDB's own list comes in the archive too, and is the first thing read.


# %%
def unpack_eicp(archive: Path, target: Path, manifest: pd.DataFrame, progress: Progress = _silent) -> None:
    """Unpack the published zip of EICP into the published tree.

    Parameters
    ----------
    archive : pathlib.Path
        The published zip, in whatever folders it keeps the files.
    target : pathlib.Path
        Folder to create; the tree of four folders will stand in it.
    manifest : pandas.DataFrame
        The files there should be.
    progress : callable, optional
        Called as ``progress("unpack", bytes done, bytes in all)``.

    Raises
    ------
    EcgbookError
        If the archive is broken or unsafe, or does not hold every file as published. What was unpacked before
        that stays in ``target``: unpack into a folder that you then drop, as :func:`fetch_eicp` does.
    """
    with opened_zip(archive, len(manifest), int(manifest["bytes"].sum())) as entries:
        _unpack(archive, entries, _wanted_eicp("tree", manifest), target, progress, EICP_PAGE)


def unpack_ludb(archive: Path, target: Path, sha256: str = LUDB_SHA256, progress: Progress = _silent) -> None:
    """Unpack the published zip of LUDB as its list says.

    Parameters
    ----------
    archive, target, progress
        As for :func:`unpack_eicp`.
    sha256 : str, optional
        The hash of the list of files.

    Raises
    ------
    EcgbookError
        As :func:`unpack_eicp`.
    """
    with opened_zip(archive, _LUDB_FILES, _LUDB_BYTES) as entries:
        wanted = _read_list(_list_in(archive, entries, sha256))
        _unpack(archive, entries, wanted, target, progress, LUDB_PAGE)


def _list_in(path: Path, entries: list[Entry], sha256: str) -> bytes:
    """Read the list of LUDB in its archive, and make sure that it is the published one."""
    members, _ = _sort_entries(path, entries, [LUDB_LIST])
    if LUDB_LIST not in members:
        _refuse_incomplete(path, [LUDB_LIST], [], LUDB_PAGE)
    archive, info = members[LUDB_LIST]
    _refuse_too_large(path, info, _LUDB_FILE_BYTES)
    content = archive.read(info)
    if hashlib.sha256(content).hexdigest() != sha256:
        _refuse_incomplete(path, [], [LUDB_LIST], LUDB_PAGE)
    return content


def _unpack(
    path: Path, entries: list[Entry], wanted: pd.DataFrame, target: Path, progress: Progress, page: str
) -> None:
    members, _ = _sort_entries(path, entries, wanted["file"])
    missing = [file for file in wanted["file"] if file not in members]
    if missing:
        _refuse_incomplete(path, missing, [], page)
    for row in wanted.itertuples():
        _refuse_too_large(path, members[row.file][1], row.bytes)
    altered, done, total = [], 0, sum(info.file_size for _, info in members.values())
    for row in wanted.itertuples():
        opened, info = members[row.file]
        place = target / row.place
        place.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(info) as stream, open(place, "xb") as out:
            if _sha256(stream, out.write) != row.sha256:  # type: ignore[arg-type]
                altered.append(row.file)
        done += info.file_size
        progress("unpack", done, total)
    if altered:
        _refuse_incomplete(path, [], altered, page)


def _refuse_incomplete(archive: Path, missing: list[str], altered: list[str], page: str) -> None:
    what = summarise({"missing": missing, "altered": altered, "extra": []})
    raise EcgbookError(
        f"{archive.name}: does not hold the published files: {what}; run it again, or see {page}"
    )
