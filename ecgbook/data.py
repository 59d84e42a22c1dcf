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

# %%
"""Where the data set lives: fetch it, verify it, list it, open a page."""

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
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pandas as pd
from PIL import Image

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
    return read_manifest(tables() / "manifest.csv")


def files() -> pd.DataFrame:
    """List the 928 published files: class, copies, printed fields.

    Returns
    -------
    pandas.DataFrame
        928 rows, ordered by class (as in :data:`CLASSES`), then number; columns as in :func:`read_manifest`.
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
    with open(path, "rb") as stream:
        return _digest_stream(stream)


def _digest_stream(stream: BinaryIO, out: BinaryIO | None = None) -> tuple[str, str, int]:
    """Hash what a stream gives, and write it to ``out`` on the way."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    while block := stream.read(1 << 20):
        md5.update(block)
        sha256.update(block)
        size += len(block)
        if out is not None:
            out.write(block)
    return md5.hexdigest(), sha256.hexdigest(), size


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
    try:
        part.open("xb").close()
    except OSError as error:
        raise EcgbookError(_unwritable(path, error)) from error
    try:
        yield part
    finally:
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


def _path(layout: str, base: Path, label: str, file: str) -> Path:
    return base / (FOLDERS[label] if layout == "tree" else label) / file


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
        path = _path(layout, base, row.label, file)
        if path.is_file():
            with _open_to_read(path) as stream:
                return stream.read()
    return None


def _read_from_zip(base: Path, row: pd.Series) -> bytes | None:
    with opened_zip(base, files()) as (members, _):
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
# Names that climb, absolute names, links and encrypted entries are refused. Only the 928 known names are ever
# unpacked, and the place they go to is taken from the manifest, never from the archive. And no entry may grow
# beyond the size which the manifest knows.

# %%
Members = dict[str, tuple[zipfile.ZipFile, zipfile.ZipInfo]]

_JUNK = {"thumbs.db", "desktop.ini", ".ds_store"}
_SLACK = 64 << 20  # bytes: what an archive may hold beside the pages, such as a licence


@contextmanager
def opened_zip(path: Path, manifest: pd.DataFrame) -> Iterator[tuple[Members, list[str]]]:
    """Open the published archive after looking it over; archives inside it are opened too, one level deep.

    Parameters
    ----------
    path : pathlib.Path
        A zip file, with the pages in any folder.
    manifest : pandas.DataFrame
        The files that may be in it; columns ``file`` and ``bytes``.

    Yields
    ------
    tuple of (dict, list of str)
        For each known page its name, with the open archive and the entry to read; and the entries nobody
        knows.

    Raises
    ------
    EcgbookError
        If it is no zip, is broken, holds unsafe entries, or would unpack to far more than the published
        files.
    """
    with _zip_errors_told(path), ExitStack() as stack:
        outer = stack.enter_context(zipfile.ZipFile(stack.enter_context(_open_to_read(path))))
        _refuse_unsafe(path, outer, manifest)
        archives = [outer]
        for info in outer.infolist():
            if info.filename.lower().endswith(".zip") and not is_junk(info.filename):
                inner = stack.enter_context(zipfile.ZipFile(stack.enter_context(outer.open(info))))
                _refuse_unsafe(path, inner, manifest)
                archives.append(inner)
        yield _sort_entries(path, archives, set(manifest["file"]))


def _sort_entries(path: Path, archives: list[zipfile.ZipFile], known: set[str]) -> tuple[Members, list[str]]:
    members, unknown = {}, []
    for archive in archives:
        for info in archive.infolist():
            name = PurePosixPath(info.filename.replace("\\", "/")).name
            if (
                info.is_dir()
                or is_junk(info.filename)
                or (archive is archives[0] and name.lower().endswith(".zip"))
            ):
                continue
            if name not in known:
                unknown.append(info.filename)
            elif name in members:
                raise EcgbookError(
                    f"{path.name}: holds {name} twice, so it is not the published archive; download it again"
                )
            else:
                members[name] = archive, info
    return members, unknown


def _refuse_unsafe(path: Path, archive: zipfile.ZipFile, manifest: pd.DataFrame) -> None:
    entries = archive.infolist()
    if len(entries) > 2 * len(manifest) + 100:
        raise EcgbookError(
            f"{path.name}: holds {len(entries)} entries, far more than the published files; not unpacked"
        )
    allowed = int(manifest["bytes"].sum()) + _SLACK
    if (total := sum(info.file_size for info in entries)) > allowed:
        raise EcgbookError(
            f"{path.name}: would unpack to {total} bytes, where {allowed} are allowed; not unpacked"
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
            f" where the published file has {allowed}; not unpacked"
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
# Verifying means reading every byte and comparing both hashes. It takes some seconds and names every file
# that is missing, altered or extra; status only looks, and takes none.


# %%
def verify_eicp(
    root: Path | None = None, manifest: pd.DataFrame | None = None, progress: Progress | None = None
) -> dict:
    """Compare every file with the manifest: size, MD5, SHA-256.

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
    manifest = files() if manifest is None else manifest
    if layout == "distinct":
        manifest = manifest[manifest["file"] == manifest["first_copy"]]
    progress = progress or _silent
    if layout == "zip":
        states, extra = _compare_zip(base, manifest, progress)
    else:
        states, extra = _compare_folders(layout, base, manifest, progress)
    named = {
        state: [file for file, found in zip(manifest["file"], states, strict=True) if found == state]
        for state in ("missing", "altered")
    }
    return {"path": str(base), "layout": layout, "expected": len(manifest), **named, "extra": extra}


def is_sound(report: dict) -> bool:
    """Say whether a report of :func:`verify_eicp` finds every page as published; extra files do no harm to them."""
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
    manifest = files() if manifest is None else manifest
    layout, base = locate(root) or (None, root)
    if layout == "distinct":
        manifest = manifest[manifest["file"] == manifest["first_copy"]]
    if layout == "zip":
        with opened_zip(base, manifest) as (members, _):
            sizes = [info.file_size for _, info in members.values()]
    else:
        paths = [_path(layout, base, row.label, row.file) for row in manifest.itertuples()] if layout else []
        sizes = [path.stat().st_size for path in paths if path.is_file()]
    return {
        "path": str(base),
        "layout": layout,
        "present": len(sizes),
        "expected": len(manifest),
        "bytes": sum(sizes),
    }


def _silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""


def _compare_folders(
    layout: str, base: Path, manifest: pd.DataFrame, progress: Progress
) -> tuple[list[str], list[str]]:
    rows = list(manifest.itertuples())
    paths = [_path(layout, base, row.label, row.file) for row in rows]
    states, done, total = [], 0, int(manifest["bytes"].sum())
    with ThreadPoolExecutor(2) as pool:
        for row, state in zip(rows, pool.map(_compare_file, paths, rows), strict=True):
            states.append(state)
            done += row.bytes
            progress("verify", done, total)
    wanted = set(paths)
    found = sorted(path for path in base.rglob("*") if not path.is_dir())
    extra = [
        path.relative_to(base).as_posix() for path in found if path not in wanted and not is_junk(path.name)
    ]
    return states, extra


def _compare_file(path: Path, row: tuple) -> str:
    if not path.is_file():
        return "missing"
    if path.stat().st_size != row.bytes:
        return "altered"
    with _open_to_read(path) as stream:
        return "fine" if _digest_stream(stream) == (row.md5, row.sha256, row.bytes) else "altered"


def _compare_zip(base: Path, manifest: pd.DataFrame, progress: Progress) -> tuple[list[str], list[str]]:
    states, done, total = [], 0, int(manifest["bytes"].sum())
    with opened_zip(base, manifest) as (members, unknown):
        for row in manifest.itertuples():
            states.append(_compare_entry(members.get(row.file), row))
            done += row.bytes
            progress("verify", done, total)
    return states, unknown


def _compare_entry(member: tuple[zipfile.ZipFile, zipfile.ZipInfo] | None, row: tuple) -> str:
    if member is None:
        return "missing"
    archive, info = member
    if info.file_size != row.bytes:
        return "altered"
    try:
        with archive.open(info) as stream:
            return "fine" if _digest_stream(stream) == (row.md5, row.sha256, row.bytes) else "altered"
    except (zipfile.BadZipFile, zlib.error, EOFError):
        return "altered"


# %% [markdown]
# ## Fetching
# The publisher packs the archive anew for every request, so it has no hash of its own and no download can be
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
    with _disk_errors_told(root.parent, manifest), _staging(root.parent) as staging:
        _require_room(root.parent, manifest)
        download(url, staging / "eicp.zip", int(manifest["bytes"].sum()) + _SLACK, progress)
        unpack_eicp(staging / "eicp.zip", staging / "eicp", manifest, progress)
        _move_in(staging / "eicp", found[1] if found and found[0] == "tree" else root)
    return {**verify_eicp(root, manifest, progress), "fetched": True}


@contextmanager
def _staging(parent: Path) -> Iterator[Path]:
    """Give a working folder inside ``parent``; afterwards nothing of it is left, nor empty parents made for it."""
    made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".eicp-", dir=parent) as name:
            yield Path(name)
    finally:
        for folder in made:
            with suppress(OSError):  # rmdir takes empty folders only
                folder.rmdir()


def _room_needed(manifest: pd.DataFrame) -> int:
    return int(manifest["bytes"].sum()) * 4 // 3  # the pages, and the zip, which is about a third of them


def _require_room(folder: Path, manifest: pd.DataFrame) -> None:
    if shutil.disk_usage(folder).free < _room_needed(manifest):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def _disk_errors_told(folder: Path, manifest: pd.DataFrame) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            megabytes = _room_needed(manifest) // 10**6 + 1
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


def download(url: str, target: Path, allowed: int, progress: Progress = _silent) -> None:
    """Download a file over HTTP; see :func:`fetch_eicp`.

    Parameters
    ----------
    url : str
        Where it is.
    target : pathlib.Path
        The file to write. After an error it may hold the part that came.
    allowed : int
        The most bytes it may have.
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
    by_hand = f"try again later, or download the zip from {EICP_PAGE} and put it into {home() / 'eicp'}"
    try:
        transfer(url, str(target), None)
    except requests.HTTPError as error:
        refusal = f"{error.response.status_code} {error.response.reason}"
        raise EcgbookError(f"{url}: the server answered {refusal}; {by_hand}") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        if answers:
            advice = "it cannot be resumed, so run it again"
            raise EcgbookError(f"{url}: the download was cut off; {advice}") from error
        raise EcgbookError(f"{url}: cannot be reached; check the network, {by_hand}") from error
    except requests.RequestException as error:
        raise EcgbookError(f"{url}: cannot be downloaded ({error}); {by_hand}") from error
    finally:
        for answer in answers:
            answer.close()


def unpack_eicp(archive: Path, target: Path, manifest: pd.DataFrame, progress: Progress = _silent) -> None:
    """Unpack the published zip into the published tree, hashing each file as it is written.

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
    altered, done, total = [], 0, int(manifest["bytes"].sum())
    with opened_zip(archive, manifest) as (members, _):
        missing = [file for file in manifest["file"] if file not in members]
        if missing:
            _refuse_incomplete(archive, missing, [])
        for row in manifest.itertuples():
            _refuse_too_large(archive, members[row.file][1], row.bytes)
        for row in manifest.itertuples():
            opened, info = members[row.file]
            place = _path("tree", target, row.label, row.file)
            place.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(info) as stream, open(place, "xb") as out:
                if _digest_stream(stream, out) != (row.md5, row.sha256, row.bytes):
                    altered.append(row.file)
            done += row.bytes
            progress("unpack", done, total)
    if altered:
        _refuse_incomplete(archive, [], altered)


def _refuse_incomplete(archive: Path, missing: list[str], altered: list[str]) -> None:
    what = summarise({"missing": missing, "altered": altered, "extra": []})
    raise EcgbookError(
        f"{archive.name}: does not hold the published files: {what}; run it again, or see {EICP_PAGE}"
    )
