"""The data set: listed, located, opened, verified, fetched; every way in which a download can go wrong."""

import errno
import hashlib
import io
import shutil
import socket
import struct
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from ecgbook import cli, data

# ----- a small data set in the published layout: two pages a class, the first one of MI twice


def page(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


PAGES = {
    "MI": {"MI(1).jpg": page(1), "MI(2).jpg": page(2), "MI(31).jpg": page(1)},
    "History_MI": {"PMI(1).jpg": page(3), "PMI(2).jpg": page(4)},
    "Abnormal": {"HB(1).jpg": page(5), "HB(10).jpg": page(6)},
    "Normal": {"Normal(1).jpg": page(7), "Normal(2).jpg": page(8)},
}


def published(top: str = "ECG Images dataset/") -> dict[str, bytes]:
    """Give the entries of the published zip: full name in the archive, content."""
    return {
        f"{top}{data.FOLDERS[label]}/{file}": content
        for label, folder in PAGES.items()
        for file, content in folder.items()
    }


def entry(file: str, top: str = "ECG Images dataset/") -> str:
    label = next(label for label, folder in PAGES.items() if file in folder)
    return f"{top}{data.FOLDERS[label]}/{file}"


def zipped(entries: dict) -> bytes:
    """Pack entries; a key may be a name or a ZipInfo."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def lay_out(root: Path) -> Path:
    for name, content in published(top="").items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@pytest.fixture(scope="session")
def manifest(tmp_path_factory) -> pd.DataFrame:
    return data.build_manifest(lay_out(tmp_path_factory.mktemp("published")))


@pytest.fixture
def small(monkeypatch, tmp_path, manifest) -> Path:
    """Make the small data set the data set, at home in a folder that does not exist yet; give that folder."""
    monkeypatch.setattr(data, "files", manifest.copy)
    monkeypatch.setenv("ECGBOOK_DATA", str(tmp_path / "home"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def serve():
    """Give a function that serves one answer on the loopback and returns the address."""
    servers = []

    def start(body: bytes, status: int = 200, declared: int | None = None, stall: float = 0) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                time.sleep(stall)
                self.send_response(status)
                self.send_header("Content-Type", "application/zip")
                if declared != -1:
                    self.send_header("Content-Length", str(len(body) if declared is None else declared))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        server.handle_error = lambda *arguments: None  # a client that gives up is part of the test
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/download/2"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def one_sentence(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text and 20 < len(text) < 600 and ".eicp-" not in text
    return text


def fails(url: str, match: str) -> None:
    """Fetch, as a function and as a command: one sentence that says ``match``, and status 2."""
    with pytest.raises(data.EcgbookError, match=match) as caught:
        data.fetch_eicp(url)
    sentence = one_sentence(caught.value)
    ended = CliRunner().invoke(cli.app, ["data", "fetch", "eicp", "--url", url])
    assert (ended.exit_code, ended.stdout, ended.stderr) == (2, "", f"error: {sentence}\n")


# ----- what the package carries


def test_manifest_lists_the_published_files():
    frame = data.files()
    assert len(frame) == 928 and frame["file"].is_unique and isinstance(frame.index, pd.RangeIndex)
    assert frame["label"].drop_duplicates().tolist() == list(data.CLASSES)
    numbers = frame["file"].str.extract(r"\((\d+)\)")[0].astype(int)
    assert numbers.groupby(frame["label"]).apply(lambda column: column.is_monotonic_increasing).all()
    assert (
        frame["md5"].str.fullmatch("[0-9a-f]{32}").all()
        and frame["sha256"].str.fullmatch("[0-9a-f]{64}").all()
    )
    assert set(zip(frame["width"], frame["height"], strict=True)) == {(2213, 1572)}


def test_copies_are_periodic_and_stay_in_their_class():
    frame = data.files().set_index("file")
    period = {"MI": 30, "History_MI": 86, "Normal": 142}
    for file, row in frame.iterrows():
        name, number = file.removesuffix(").jpg").split("(")
        first = (int(number) - 1) % period.get(row["label"], 10**6) + 1
        assert row["first_copy"] == f"{name}({first}).jpg"
        assert frame.loc[row["first_copy"], ["label", "sha256"]].tolist() == row[["label", "sha256"]].tolist()


def test_types_of_the_columns():
    types = data.files().dtypes.astype(str).to_dict()
    assert {types[column] for column in ("bytes", "width", "height", "group")} == {"int64"}
    assert types["heart_rate"] == types["year"] == "Int64" and types["lead_off"] == "bool"


def test_copies_share_what_is_printed():
    frame = data.files()
    distinct = frame[["first_copy", *data.PRINTED]].drop_duplicates()
    assert len(distinct) == 491
    assert set(frame["sex"]) <= {"Male", "Female", ""} and set(frame["batch"]) <= {"2019", "2020a", "2020b"}
    first_seen = frame["exam"].drop_duplicates().tolist()
    assert first_seen == list(range(1, len(first_seen) + 1))
    assert frame.groupby("exam")["group"].nunique().eq(1).all()
    assert frame.groupby("group")["exam"].min().eq(frame.groupby("group")["group"].first()).all()


def test_files_gives_a_copy_of_its_own():
    data.files()["label"] = "nothing"
    assert data.files()["label"].iloc[0] == "MI"


def test_pages_are_the_distinct_files():
    pages = data.pages()
    assert len(pages) == pages["sha256"].nunique() == 491 and (pages.index == range(491)).all()


# ----- the manifest, computed


def test_manifest_of_the_small_set(manifest):
    assert manifest["file"].tolist() == [file for folder in PAGES.values() for file in folder]
    assert manifest["first_copy"].tolist()[:3] == ["MI(1).jpg", "MI(2).jpg", "MI(1).jpg"]
    assert manifest["bytes"].iloc[0] == len(page(1)) and (
        manifest["width"].iloc[0],
        manifest["height"].iloc[0],
    ) == (16, 12)


def test_manifest_survives_writing_and_reading(manifest, tmp_path):
    distinct = manifest.loc[manifest["file"] == manifest["first_copy"], ["file"]].reset_index(drop=True)
    printed = distinct.assign(
        group=range(1, 9), heart_rate=70, sex="", year=2020, lead_off=False, batch="2020a"
    )
    printed["heart_rate"] = printed["heart_rate"].astype("Int64")
    printed.loc[0, "heart_rate"] = pd.NA
    whole = data.add_printed(manifest, printed)
    data.write_manifest(whole, tmp_path / "a.csv")
    read = data.read_manifest(tmp_path / "a.csv")
    assert read["group"].tolist() == [1, 2, 1, 3, 4, 5, 6, 7, 8] and read["sex"].tolist() == [""] * 9
    assert read["heart_rate"].isna().tolist() == [True, False, True] + [False] * 6
    data.write_manifest(read, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_manifest_needs_four_folders_of_images(tmp_path):
    with pytest.raises(data.EcgbookError, match="no such folder"):
        data.build_manifest(tmp_path)
    lay_out(tmp_path)
    (tmp_path / data.FOLDERS["Normal"] / "Thumbs.db").write_bytes(b"junk")
    assert len(data.build_manifest(tmp_path)) == 9
    (tmp_path / data.FOLDERS["Normal"] / "notes.txt").write_text("text")
    with pytest.raises(data.EcgbookError, match=r"notes\.txt: cannot be read as an image"):
        data.build_manifest(tmp_path)


# ----- writing whole files


def test_writing_leaves_the_old_file_when_interrupted(tmp_path):
    target = tmp_path / "table.csv"
    data.write_whole(target, "old")
    with pytest.raises(KeyboardInterrupt), data.writing(target) as part:
        part.write_text("half of the n")
        raise KeyboardInterrupt
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_writing_tells_a_full_disk(tmp_path):
    with pytest.raises(data.EcgbookError, match="no space left"), data.writing(tmp_path / "a.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "no/such/folder.csv", "file/below.csv", "/dev/null"])
def test_unwritable_places_are_refused_beforehand(tmp_path, name):
    (tmp_path / "file").write_text("a file, not a folder")
    with pytest.raises(data.EcgbookError, match=r"is a folder|cannot be written|not an ordinary file"):
        data.check_writable(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# ----- finding and opening pages


def layouts(root: Path, layout: str) -> None:
    """Lay the small data set out under ``root`` in one of the accepted ways."""
    if layout == "tree":
        lay_out(root)
    elif layout == "tree, one deeper":
        lay_out(root / "ECG Images dataset")
    elif layout == "distinct":
        for label, folder in PAGES.items():
            (root / label).mkdir(parents=True)
            for file in folder.keys() - {"MI(31).jpg"}:
                (root / label / file).write_bytes(folder[file])
    else:
        root.mkdir(parents=True)
        (root / "published.zip").write_bytes(zipped(published()))


@pytest.mark.parametrize("layout", ["tree", "tree, one deeper", "distinct", "zip"])
def test_every_layout_is_read(small, layout):
    layouts(small / "eicp", layout)
    for folder in PAGES.values():
        for file, content in folder.items():
            assert data.page_bytes(file) == content
    image = data.open_page("MI(31).jpg")
    assert image.mode == "RGB" and np.array_equal(image, Image.open(io.BytesIO(page(1))))
    report = data.verify_eicp()
    assert report["layout"] == layout.split(",")[0] and data.is_sound(report) and not report["extra"]
    found = data.status()
    assert found["present"] == found["expected"] == report["expected"] == (8 if layout == "distinct" else 9)


def test_without_data_the_error_says_how_to_get_them(small):
    with pytest.raises(data.EcgbookError, match="`ecgbook data fetch eicp`") as caught:
        data.open_page("MI(1).jpg")
    assert str(small / "eicp") in one_sentence(caught.value)
    with pytest.raises(data.EcgbookError, match="`ecgbook data fetch eicp`"):
        data.verify_eicp()
    assert data.status() == {
        "path": str(small / "eicp"),
        "layout": None,
        "present": 0,
        "expected": 9,
        "bytes": 0,
    }


def test_a_near_name_is_suggested():
    with pytest.raises(
        data.EcgbookError, match=r"Norml\(7\)\.jpg: no such page; did you mean Normal\(7\)\.jpg\?"
    ):
        data.open_page("Norml(7).jpg")
    with pytest.raises(data.EcgbookError, match=r"no such page; `ecgbook\.data\.files"):
        data.open_page("zebra")


@pytest.mark.parametrize("name", ["../MI(1).jpg", "/etc/passwd", ""])
def test_a_name_is_never_a_path(small, name):
    lay_out(small / "eicp")
    with pytest.raises(data.EcgbookError, match="no such page"):
        data.open_page(name)


@pytest.mark.parametrize("layout", ["tree", "zip"])
def test_an_altered_page_is_not_opened(small, layout):
    altered = published() | {entry("MI(2).jpg"): page(99)}
    if layout == "zip":
        (small / "eicp").mkdir(parents=True)
        (small / "eicp" / "a.zip").write_bytes(zipped(altered))
    else:
        lay_out(small / "eicp")
        (small / "eicp" / entry("MI(2).jpg", top="")).write_bytes(page(99))
    with pytest.raises(data.EcgbookError, match=r"MI\(2\)\.jpg.*(not the published file|would unpack)"):
        data.open_page("MI(2).jpg")


def test_a_lost_copy_is_answered_by_its_first_copy_but_a_lost_page_is_missed(small):
    lay_out(small / "eicp")
    (small / "eicp" / entry("MI(31).jpg", top="")).unlink()
    assert data.page_bytes("MI(31).jpg") == page(1)
    (small / "eicp" / entry("MI(2).jpg", top="")).unlink()
    with pytest.raises(data.EcgbookError, match=r"MI\(2\)\.jpg: is missing"):
        data.open_page("MI(2).jpg")


@pytest.mark.parametrize("layout", ["tree", "zip"])
def test_pages_that_may_not_be_read(small, monkeypatch, layout):
    layouts(small / "eicp", layout)
    real = open

    def guarded(path, *arguments, **keywords):
        if str(small) in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *arguments, **keywords)

    monkeypatch.setattr("builtins.open", guarded)
    for read in (lambda: data.open_page("MI(1).jpg"), data.verify_eicp):
        with pytest.raises(data.EcgbookError, match=r"cannot be read \(permission denied\)") as caught:
            read()
        one_sentence(caught.value)


# ----- verifying


def test_verify_names_missing_altered_and_extra_files(small):
    root = lay_out(small / "eicp")
    (root / entry("HB(10).jpg", top="")).unlink()
    (root / entry("PMI(2).jpg", top="")).write_bytes(page(99))
    flipped = bytearray(PAGES["Normal"]["Normal(1).jpg"])
    flipped[-3] ^= 1  # same length: only the hashes can tell
    (root / entry("Normal(1).jpg", top="")).write_bytes(flipped)
    (root / data.FOLDERS["MI"] / "MI(215).jpg").write_bytes(page(1))
    (root / ".DS_Store").write_bytes(b"")
    report = data.verify_eicp()
    assert report["missing"] == ["HB(10).jpg"] and report["altered"] == ["PMI(2).jpg", "Normal(1).jpg"]
    assert report["extra"] == [f"{data.FOLDERS['MI']}/MI(215).jpg"] and not data.is_sound(report)
    summary = "1 missing (HB(10).jpg), 2 altered (PMI(2).jpg, Normal(1).jpg), 1 extra"
    assert data.summarise(report).startswith(summary)


def test_verify_looks_into_the_zip(small):
    entries = published() | {entry("PMI(2).jpg"): page(99), "readme.txt": b"hello"}
    del entries[entry("HB(10).jpg")]
    (small / "eicp").mkdir(parents=True)
    (small / "eicp" / "a.zip").write_bytes(corrupt(zipped(entries), "Normal(1).jpg"))
    report = data.verify_eicp()
    assert report["missing"] == ["HB(10).jpg"] and report["extra"] == ["readme.txt"]
    assert report["altered"] == ["PMI(2).jpg", "Normal(1).jpg"]


def test_progress_ends_at_the_whole(small):
    lay_out(small / "eicp")
    seen = []
    data.verify_eicp(progress=lambda *step: seen.append(step))
    total = sum(len(content) for folder in PAGES.values() for content in folder.values())
    assert seen[-1] == ("verify", total, total) and len(seen) == 9


# ----- fetching, when all is well


def test_fetch_leaves_the_published_tree_and_nothing_else(small, serve):
    seen = []
    report = data.fetch_eicp(serve(zipped(published())), progress=lambda *step: seen.append(step))
    assert report["fetched"] and data.is_sound(report) and report["layout"] == "tree"
    assert [path.name for path in small.iterdir()] == ["eicp"]
    found = {
        path.relative_to(small / "eicp").as_posix(): path.read_bytes()
        for path in (small / "eicp").rglob("*.jpg")
    }
    assert found == published(top="")
    assert {stage for stage, _, _ in seen} == {"download", "unpack", "verify"}
    assert all(done <= total for _, done, total in seen)


def test_a_second_fetch_downloads_nothing(small, serve):
    data.fetch_eicp(serve(zipped(published())))
    report = data.fetch_eicp("http://127.0.0.1:9/")
    assert report["fetched"] is False and data.is_sound(report)


def test_fetch_mends_a_broken_tree_and_keeps_your_files(small, serve):
    root = lay_out(small / "eicp")
    (root / entry("HB(10).jpg", top="")).unlink()
    (root / entry("PMI(2).jpg", top="")).write_bytes(b"")
    (root / "notes.txt").write_text("mine")
    report = data.fetch_eicp(serve(zipped(published())))
    assert report["fetched"] and data.is_sound(report) and report["extra"] == ["notes.txt"]
    assert (root / "notes.txt").read_text() == "mine" and [path.name for path in small.iterdir()] == ["eicp"]


def inner_zips() -> dict[str, bytes]:
    """Pack each folder by itself, as some publishers do."""
    packed = {}
    for label, folder in PAGES.items():
        name = data.FOLDERS[label]
        packed[f"top/{name}.zip"] = zipped({f"{name}/{file}": content for file, content in folder.items()})
    return packed


@pytest.mark.parametrize(
    "entries",
    [
        published(top=""),
        inner_zips(),
        {name.replace("/", "\\"): content for name, content in published().items()},
        published()
        | {"__MACOSX/x/._MI(1).jpg": b"\0", f"{data.FOLDERS['MI']}/Thumbs.db": b"\0", "top/": b""},
        published() | {"licence.txt": b"CC BY 4.0"},
    ],
    ids=["no top folder", "zips in a zip", "backslashes", "junk", "a licence"],
)
def test_fetch_takes_the_archive_in_other_shapes(small, serve, entries):
    assert data.is_sound(data.fetch_eicp(serve(zipped(entries))))
    assert sum(path.is_file() for path in small.rglob("*")) == 9


def test_pages_open_from_zips_in_a_zip(small):
    (small / "eicp").mkdir(parents=True)
    (small / "eicp" / "a.zip").write_bytes(zipped(inner_zips()))
    assert data.page_bytes("Normal(2).jpg") == page(8) and data.is_sound(data.verify_eicp())


# ----- fetching, when it goes wrong: one sentence, and nothing left behind


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info


def corrupt(packed: bytes, file: str = "MI(2).jpg") -> bytes:
    """Damage the data of one entry, leaving the directory of the archive intact."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        info = archive.getinfo(entry(file))
    at = info.header_offset + 30 + len(info.filename) + info.compress_size // 2
    return packed[:at] + bytes(byte ^ 0xFF for byte in packed[at : at + 20]) + packed[at + 20 :]


def lying(packed: bytes, file: str, declared: int) -> bytes:
    """Declare another size for one entry than its data unpack to, in both of its headers."""
    name = entry(file).encode()
    local, central = packed.index(name) - 30 + 22, packed.rindex(name) - 46 + 24
    size = struct.pack("<I", declared)
    for at in (local, central):
        packed = packed[:at] + size + packed[at + 4 :]
    return packed


def without(file: str) -> dict[str, bytes]:
    return {name: content for name, content in published().items() if name != entry(file)}


WRONG = {
    "a file missing": (
        zipped(without("HB(10).jpg")),
        r"does not hold the published files: 1 missing \(HB\(10\)",
    ),
    "a file altered": (
        zipped(published() | {entry("MI(2).jpg"): page(2)[:-1] + b"!"}),
        r"1 altered \(MI\(2\)\.jpg\)",
    ),
    "a file shortened": (zipped(published() | {entry("MI(2).jpg"): b"short"}), r"1 altered \(MI\(2\)\.jpg\)"),
    "corrupt": (corrupt(zipped(published())), "is no zip, or a broken one"),
    "a page of text": (b"<html>come back later</html>", "is no zip, or a broken one"),
    "empty": (b"", "is no zip, or a broken one|cut off"),
    "climbs": (zipped(published() | {"../evil.jpg": page(1)}), r"'\.\./evil\.jpg' climbs out"),
    "climbs from within": (zipped(published() | {"a/../../evil.jpg": b""}), "climbs out"),
    "climbs by backslash": (zipped(published() | {"..\\evil.jpg": b""}), "climbs out"),
    "climbs, known name": (zipped(without("MI(1).jpg") | {"../MI(1).jpg": page(1)}), "climbs out"),
    "absolute": (zipped(published() | {"/tmp/evil.jpg": b""}), "has an absolute path"),
    "absolute, with a drive": (zipped(published() | {"C:\\evil.jpg": b""}), "has an absolute path"),
    "a symbolic link": (zipped(published() | {link("evil"): "/etc"}), "is a link or a device"),
    "a link by a known name": (
        zipped(without("MI(1).jpg") | {link(entry("MI(1).jpg")): "/etc/passwd"}),
        "is a link",
    ),
    "climbs in an inner zip": (zipped(inner_zips() | {"b.zip": zipped({"../evil": b""})}), "climbs out"),
    "a page that grows": (
        zipped(published() | {entry("MI(1).jpg"): bytes(1 << 24)}),
        "would unpack to 16777216 bytes",
    ),
    "a bomb beside the pages": (zipped(published() | {"bomb.bin": bytes(80 << 20)}), "would unpack to 8"),
    "a bomb in an inner zip": (
        zipped(inner_zips() | {"b.zip": zipped({"b": bytes(80 << 20)})}),
        "would unpack to 8",
    ),
    "a size that lies": (
        lying(zipped(published() | {entry("MI(1).jpg"): bytes(1 << 24)}), "MI(1).jpg", 300),
        "broken",
    ),
    "far too many entries": (
        zipped(published() | {f"{n}.txt": b"" for n in range(200)}),
        "holds 209 entries",
    ),
    "a page twice": (zipped(published() | {"again/MI(1).jpg": page(1)}), r"holds MI\(1\)\.jpg twice"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_archive_is_refused_and_leaves_nothing(small, serve, case):
    body, match = WRONG[case]
    fails(serve(body), match=match)
    assert list(small.parent.rglob("*")) == []


@pytest.mark.parametrize("case", ["corrupt", "climbs", "a page that grows"])
def test_a_refused_archive_leaves_what_was_there(small, serve, case):
    root = lay_out(small / "eicp")
    (root / entry("HB(10).jpg", top="")).unlink()
    before = {path: path.read_bytes() for path in small.rglob("*") if path.is_file()}
    fails(serve(WRONG[case][0]), match=WRONG[case][1])
    assert {path: path.read_bytes() for path in small.rglob("*") if path.is_file()} == before


def test_a_download_cut_off(small, serve):
    body = zipped(published())
    fails(serve(body[: len(body) // 2], declared=len(body)), match="cut off; it cannot be resumed")
    assert list(small.parent.rglob("*")) == []


def test_a_download_cut_off_without_a_declared_length(small, serve):
    body = zipped(published())
    fails(serve(body[: len(body) // 2], declared=-1), match="is no zip, or a broken one")
    assert list(small.parent.rglob("*")) == []


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_server_that_refuses(small, serve, status):
    fails(serve(b"no", status=status), match=f"the server answered {status} .*mendeley")
    assert list(small.parent.rglob("*")) == []


def test_no_network(small):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = taken.getsockname()[1]
    fails(f"http://127.0.0.1:{closed}/", match="cannot be reached; check the network")
    assert list(small.parent.rglob("*")) == []


def test_a_name_that_does_not_resolve(small, monkeypatch):
    def lost(*arguments, **keywords):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lost)
    fails("http://data.example.org/", match="cannot be reached; check the network")
    assert list(small.parent.rglob("*")) == []


def test_a_server_that_says_nothing(small, serve, monkeypatch):
    monkeypatch.setattr(data, "_TIMEOUT", (1, 0.1))
    fails(serve(b"", stall=0.5), match="cannot be reached")


def test_an_address_that_is_none(small):
    fails("no address", match="cannot be downloaded")


def test_a_server_that_never_stops(small, serve, monkeypatch):
    monkeypatch.setattr(data, "_SLACK", 0)
    fails(serve(bytes(1 << 20), declared=-1), match="sends more than")
    assert list(small.parent.rglob("*")) == []


class FullDisk(io.BytesIO):
    def write(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("ending", [".zip", "HB(1).jpg"])
def test_a_disk_that_fills(small, serve, monkeypatch, ending):
    url, real = serve(zipped(published())), open

    def full(path, mode="r", *arguments, **keywords):
        writes = set(mode) & set("wax")
        return (
            FullDisk() if writes and str(path).endswith(ending) else real(path, mode, *arguments, **keywords)
        )

    monkeypatch.setattr("builtins.open", full)
    fails(url, match="the disk is full; make room for 1 MB")
    assert list(small.parent.rglob("*")) == []


def test_a_disk_too_small_is_told_before_the_download(small, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 90, 10))
    fails("http://127.0.0.1:9/", match="the disk is full")
    assert list(small.parent.rglob("*")) == []


def test_a_home_that_cannot_be(small, monkeypatch):
    small.write_text("a file where the folder should be")
    fails("http://127.0.0.1:9/", match="cannot be written")
    assert small.read_text() == "a file where the folder should be"


def test_an_interrupted_fetch_leaves_nothing(small, serve):
    def interrupt(stage, done, total):
        if stage == "unpack":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.fetch_eicp(serve(zipped(published())), progress=interrupt)
    assert list(small.parent.rglob("*")) == []


PACKED = zipped(published(top=""))


@settings(max_examples=150, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, len(PACKED) - 1), st.integers(0, 255)), max_size=6),
    length=st.one_of(st.just(len(PACKED)), st.integers(0, len(PACKED))),
)
def test_damaged_archives_end_in_one_sentence_or_sound_pages(tmp_path_factory, manifest, flips, length):
    folder = tmp_path_factory.mktemp("damaged")
    damaged = bytearray(PACKED)
    for at, byte in flips:
        damaged[at] = byte
    (folder / "a.zip").write_bytes(damaged[:length])
    try:
        data.unpack_eicp(folder / "a.zip", folder / "eicp", manifest)
    except data.EcgbookError as error:
        one_sentence(error)
    else:
        assert data.is_sound(data.verify_eicp(folder / "eicp", manifest))
    assert {path.name for path in folder.iterdir()} <= {"a.zip", "eicp"}


# ----- LUDB: the same, by its own list

LUDB_TOP = "a-database-1.0.1/"
LUDB = {
    "data/1.hea": b"1 12 500 5000\n",
    "data/1.dat": bytes(range(256)),
    "data/1.i": b"\x01\x02",
    "README": b"read me\n",
    "ludb.csv": b"not read here\n",
}


def listed(files: dict[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(content).hexdigest()} {place}\n" for place, content in files.items()]
    return "".join(lines).encode()


LIST = listed(LUDB)


def ludb(**changed: bytes | None) -> dict[str, bytes]:
    """Give the entries of LUDB's zip; a keyword replaces a file, or takes it away."""
    entries = LUDB | {data.LUDB_LIST: LIST} | {name.replace("__", "/"): new for name, new in changed.items()}
    return {LUDB_TOP + place: content for place, content in entries.items() if content is not None}


@pytest.fixture
def tiny(monkeypatch, small) -> str:
    """Make a tiny LUDB the published one; give the hash of its list."""
    sha256 = hashlib.sha256(LIST).hexdigest()
    for function in (data.fetch_ludb, data.verify_ludb, data.status_ludb, data.unpack_ludb):
        defaults = tuple(sha256 if value == data.LUDB_SHA256 else value for value in function.__defaults__)
        monkeypatch.setattr(function, "__defaults__", defaults)
    monkeypatch.setattr(data, "_LUDB_FILES", len(LUDB) + 1)
    return sha256


def tree_of(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_ludb_is_fetched_as_its_list_says(small, serve, tiny):
    seen = []
    extra = {f"{LUDB_TOP}index.html": b"<html>", f"{LUDB_TOP}data/": b""}
    report = data.fetch_ludb(serve(zipped(ludb() | extra)), progress=lambda *step: seen.append(step))
    assert report["fetched"] and data.is_sound(report) and report["expected"] == len(LUDB) + 1
    assert tree_of(small) == {
        f"ludb/{place}": content for place, content in (LUDB | {data.LUDB_LIST: LIST}).items()
    }
    assert {stage for stage, _, _ in seen} == {"download", "unpack", "verify"}
    assert all(done <= total for _, done, total in seen) and seen[-1][1] == seen[-1][2]
    assert data.fetch_ludb("http://127.0.0.1:9/")["fetched"] is False
    found = data.status_ludb()
    assert found["present"] == found["expected"] == 6 and found["bytes"] == sum(
        map(len, tree_of(small).values())
    )


def test_the_commands_know_ludb(small, serve, tiny):
    def run(*words):
        ended = CliRunner().invoke(cli.app, ["data", *words])
        return ended.exit_code, ended.stdout, ended.stderr

    root = small / "ludb"
    assert "ludb         absent (`ecgbook data fetch ludb`)" in run("status")[1]
    code, out, error = run("verify", "ludb")
    assert (
        code == 2 and out == "" and error.endswith("is not here; get LUDB with `ecgbook data fetch ludb`\n")
    )
    done = f"ludb: 6 files fetched and verified, in {root}\n"
    assert run("fetch", "ludb", "--url", serve(zipped(ludb()))) == (0, done, "")
    assert run("verify", "ludb") == (0, f"ludb: all 6 files as published, in {root}\n", "")
    assert "6 of 6 files, 0 MB" in run("status")[1]
    (root / "data" / "1.i").write_bytes(b"\x01\x03")
    (root / "README").unlink()
    (root / "more.txt").write_text("mine")
    code, out, error = run("verify", "ludb")
    assert code == 2 and out == "missing  README\naltered  1.i\nextra    more.txt\n"
    assert "1 missing, 1 altered, 1 extra of 6 files; mend it with `ecgbook data fetch ludb`" in error
    assert run("fetch", "ludb", "--url", serve(zipped(ludb())))[1] == done + "extra    more.txt\n"


LUDB_WRONG = {
    "a file missing": (zipped(ludb(README=None)), r"1 missing \(README\)"),
    "a file altered": (zipped(ludb(**{"data__1.dat": bytes(256)})), r"1 altered \(1\.dat\)"),
    "no list": (zipped(ludb(**{data.LUDB_LIST: None})), r"1 missing \(SHA256SUMS\.txt\)"),
    "another list": (
        zipped(ludb(README=b"evil", **{data.LUDB_LIST: listed(LUDB | {"README": b"evil"})})),
        r"1 altered \(SHA256SUMS\.txt\)",
    ),
    "a list that grows": (zipped(ludb(**{data.LUDB_LIST: bytes(2 << 20)})), "would unpack to 2097152 bytes"),
    "a file that grows": (zipped(ludb(README=bytes(2 << 20))), "would unpack to 2097152 bytes"),
    "a bomb beside the files": (zipped(ludb(bomb=bytes(129 << 20))), "would unpack to 135"),
    "climbs": (zipped(ludb() | {"../evil": b""}), "climbs out"),
    "a symbolic link": (zipped(ludb() | {link("evil"): "/etc"}), "is a link or a device"),
    "far too many entries": (zipped(ludb() | {f"{n}": b"" for n in range(200)}), "holds 206 entries"),
    "no zip": (b"<html>", "is no zip, or a broken one"),
}


@pytest.mark.parametrize("case", LUDB_WRONG)
def test_a_wrong_ludb_is_refused_and_leaves_nothing(small, serve, tiny, case):
    body, match = LUDB_WRONG[case]
    with pytest.raises(data.EcgbookError, match=match) as caught:
        data.fetch_ludb(serve(body))
    assert ".ludb-" not in str(caught.value) and "\n" not in str(caught.value)
    assert list(small.parent.rglob("*")) == []


def test_no_network_for_ludb(small, tiny, serve):
    with pytest.raises(data.EcgbookError, match=r"404 .*physionet.*ludb"):
        data.fetch_ludb(serve(b"no", status=404))
    assert list(small.parent.rglob("*")) == []


def test_another_list_is_not_believed(small, tiny):
    (small / "ludb").mkdir(parents=True)
    (small / "ludb" / data.LUDB_LIST).write_bytes(b"")
    with pytest.raises(data.EcgbookError, match="is not the published list"):
        data.verify_ludb()
    assert data.status_ludb()["layout"] is None


def test_the_real_ludb(eicp):
    root = eicp.parent / "ludb"
    if not root.is_dir():
        pytest.skip(f"{root} is absent")
    report = data.verify_ludb(root)
    assert report["expected"] == data._LUDB_FILES and not report["missing"] and not report["extra"]
    # a copy that went through a version control system may have other line ends in its texts
    assert set(report["altered"]) <= {"ANNOTATORS", "LICENSE.txt", "README"}
    sizes = [path.stat().st_size for path in root.rglob("*") if path.is_file()]
    assert max(sizes) < data._LUDB_FILE_BYTES / 4 and sum(sizes) < data._LUDB_BYTES / 2


# ----- images from anywhere


def test_images_are_opened_as_they_are_meant_to_be_seen(tmp_path):
    picture = Image.new("RGB", (6, 4), "white")
    picture.putpixel((0, 0), (255, 0, 0))
    turned = picture.rotate(90, expand=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    clear = picture.convert("RGBA")
    clear.putpixel((5, 3), (0, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    picture.convert("CMYK").save(tmp_path / "cmyk.tif")
    for name in ("turned.png", "clear.png", "cmyk.tif"):
        image = data.open_image(tmp_path / name)
        assert image.mode == "RGB" and np.array_equal(image, picture)


def test_images_that_cannot_be_opened(tmp_path, monkeypatch):
    cases = {
        "empty": b"",
        "text": b"text",
        "half": page(1)[:300],
        "bomb": b"P5 99999 99999 255\n",
        "eps": b"%!PS-Adobe",
    }
    words = {"empty": "an empty file", "half": "truncated", "bomb": "million pixels"}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(data.EcgbookError, match=words.get(name, "is no image")) as caught:
            data.open_image(tmp_path / name)
        one_sentence(caught.value)
    with pytest.raises(data.EcgbookError, match="cannot be read"):
        data.open_image(tmp_path / "absent")


def test_a_folder_that_cannot_be_made(tmp_path):
    data.make_folder(tmp_path / "a" / "b")
    data.make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        with pytest.raises(data.EcgbookError, match="cannot be written"):
            data.make_folder(tmp_path / place)


# ----- the real pages


@pytest.fixture
def tree(eicp) -> Path:
    layout, base = data.locate(eicp) or (None, eicp)
    if layout != "tree":
        pytest.skip(f"{eicp} holds no published folders")
    return base


def linked(tree: Path, root: Path, frame: pd.DataFrame, layout: str = "tree") -> Path:
    """Lay out real pages as links."""
    for row in frame.itertuples():
        target = root / (data.FOLDERS[row.label] if layout == "tree" else row.label) / row.file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(tree / data.FOLDERS[row.label] / row.file)
    return root


def test_all_real_files_are_as_published(tree):
    report = data.verify_eicp(tree)
    assert report["expected"] == 928 and data.is_sound(report) and report["extra"] == []


def test_the_real_manifest_is_computed_from_the_pages(tree):
    pd.testing.assert_frame_equal(data.build_manifest(tree)[data.HASHED], data.files()[data.HASHED])


def test_one_missing_one_altered_one_extra_among_the_real_files(tree, tmp_path):
    frame = data.files()
    root = linked(tree, tmp_path / "eicp", frame[frame["file"] != "Normal(42).jpg"])
    altered = root / data.FOLDERS["MI"] / "MI(7).jpg"
    content = bytearray(altered.read_bytes())
    content[len(content) // 2] ^= 1
    altered.unlink()
    altered.write_bytes(content)
    (root / data.FOLDERS["Abnormal"] / "HB(234).jpg").symlink_to(
        tree / data.FOLDERS["Abnormal"] / "HB(233).jpg"
    )
    report = data.verify_eicp(root)
    assert (report["missing"], report["altered"]) == (["Normal(42).jpg"], ["MI(7).jpg"])
    assert report["extra"] == [f"{data.FOLDERS['Abnormal']}/HB(234).jpg"]


def test_real_pages_from_a_zip_and_from_distinct_folders_are_the_same(tree, tmp_path, monkeypatch):
    some = ["MI(2).jpg", "PMI(12).jpg", "HB(233).jpg", "Normal(1).jpg"]
    frame = data.files()
    sample = frame[frame["file"].isin(some)]
    (tmp_path / "zip" / "eicp").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "zip" / "eicp" / "pages.zip", "w") as archive:
        for row in sample.itertuples():
            archive.write(
                tree / data.FOLDERS[row.label] / row.file, f"top/{data.FOLDERS[row.label]}/{row.file}"
            )
    linked(tree, tmp_path / "distinct" / "eicp", sample, "distinct")
    copies = {"MI(32).jpg": "MI(2).jpg", "PMI(98).jpg": "PMI(12).jpg", "HB(233).jpg": "HB(233).jpg"}
    for kept in ("zip", "distinct"):
        monkeypatch.setenv("ECGBOOK_DATA", str(tmp_path / kept))
        for name, first in copies.items():
            shown = data.open_page(name)
            assert shown.size == (2213, 1572) and shown.mode == "RGB"
            label = frame.loc[frame["file"] == first, "label"].item()
            assert np.array_equal(shown, data.read_rgb(tree / data.FOLDERS[label] / first))
    assert data.is_sound(data.verify_eicp(tmp_path / "zip" / "eicp", sample))
