"""The command line: what it says, where it says it, and how it ends."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.table import Table
from typer.testing import CliRunner

import ecgbook
from ecgbook import cli, data


def run(*arguments: str, **keywords):
    return CliRunner().invoke(cli.app, list(arguments), **keywords)


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    """Give a data folder with one small page a class, which is then the whole data set."""
    for number, (label, folder) in enumerate(data.FOLDERS.items(), start=1):
        (tmp_path / "home" / "eicp" / folder).mkdir(parents=True)
        pixels = np.full((8, 8, 3), 10 * number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "home" / "eicp" / folder / f"{label}(1).jpg")
    manifest = data.build_manifest(tmp_path / "home" / "eicp")
    monkeypatch.setattr(data, "files", manifest.copy)
    monkeypatch.setenv("ECGBOOK_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def report() -> dict:
    return {"files": 3, "distinct": 2, "unreadable": ["ä b/kaputt.jpg"], "lookup": None}


@pytest.fixture
def audits(monkeypatch, report) -> list:
    """Replace the audit, which has tests of its own; give the list of folders it was asked for."""
    asked = []

    def audit(root, progress=None):
        asked.append(root)
        progress("hash", 1, 1)
        return report

    monkeypatch.setitem(
        sys.modules, "ecgbook.audit", SimpleNamespace(audit=audit, summary=lambda found: "3 [bold] files")
    )
    monkeypatch.setattr(ecgbook, "audit", sys.modules["ecgbook.audit"], raising=False)
    return asked


def test_version():
    assert run("--version").stdout == f"ecgbook {ecgbook.__version__}\n"


@pytest.mark.parametrize(
    "command", ["", "data", "data fetch", "data verify", "data status", "data manifest", "audit"]
)
def test_every_command_has_help(command):
    ended = run(*command.split(), "--help")
    assert ended.exit_code == 0 and "Usage" in ended.stdout and ecgbook.__name__ not in ended.stderr


@pytest.mark.parametrize("command", ["nothing", "data fetch", "data fetch ludb", "audit", "audit a --jsn b"])
def test_a_command_that_does_not_exist_ends_with_2(command):
    ended = run(*command.split())
    assert ended.exit_code == 2 and ended.stdout == "" and "Usage" in ended.stderr


def test_verify_says_that_all_is_well(home):
    ended = run("data", "verify", "eicp")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout == f"eicp: all 4 files as published, in {home / 'eicp'}\n"


def test_verify_names_every_file_and_ends_with_2(home):
    (home / "eicp" / data.FOLDERS["MI"] / "MI(1).jpg").unlink()
    (home / "eicp" / data.FOLDERS["Normal"] / "Normal(1).jpg").write_bytes(b"other")
    (home / "eicp" / "more.txt").write_text("extra")
    ended = run("data", "verify", "eicp")
    assert ended.exit_code == 2
    assert ended.stdout == "missing  MI(1).jpg\naltered  Normal(1).jpg\nextra    more.txt\n"
    counts = "1 missing, 1 altered, 1 extra of 4 files"
    assert ended.stderr == f"error: {home / 'eicp'}: {counts}; mend it with `ecgbook data fetch eicp`\n"


def test_verify_counts_an_extra_file_alone(home):
    (home / "eicp" / "more.txt").write_text("extra")
    ended = run("data", "verify", "eicp")
    assert ended.exit_code == 2 and ended.stderr.endswith("1 extra of 4 files; remove the extra files\n")


def test_verify_without_data(home, monkeypatch):
    monkeypatch.setenv("ECGBOOK_DATA", str(home / "elsewhere"))
    ended = run("data", "verify", "eicp")
    assert ended.exit_code == 2 and ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1
    assert "`ecgbook data fetch eicp`" in ended.stderr


def test_status_shows_what_is_where(home, monkeypatch):
    (home / "eicp" / data.FOLDERS["MI"] / "MI(1).jpg").unlink()
    ended = run("data", "status")
    assert ended.exit_code == 0 and "the published folders" in ended.stdout and "3 of 4 files" in ended.stdout
    assert str(home) in ended.stdout and "manifest.csv" in ended.stdout
    monkeypatch.setenv("ECGBOOK_DATA", str(home / "elsewhere"))
    ended = run("data", "status")
    assert ended.exit_code == 0 and "absent" in ended.stdout


def test_fetch_takes_the_address_from_the_environment(home, monkeypatch):
    asked = []

    def fetch(url, progress):
        asked.append(url)
        return {"expected": 4, "path": "here", "fetched": len(asked) == 1, "extra": []}

    monkeypatch.setattr(data, "fetch_eicp", fetch)
    assert run("data", "fetch", "eicp").stdout == "eicp: 4 files fetched and verified, in here\n"
    ended = run("data", "fetch", "eicp", env={"ECGBOOK_EICP_URL": "http://127.0.0.1/x"})
    assert ended.stdout == "eicp: 4 files already there, verified, in here\n"
    assert asked == [data.EICP_ZIP, "http://127.0.0.1/x"]


def test_an_interrupt_ends_with_130(home, monkeypatch):
    def interrupted(**keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "verify_eicp", interrupted)
    ended = run("data", "verify", "eicp")
    assert ended.exit_code == 130 and ended.stderr == "interrupted; nothing half-written is left\n"


def test_a_fault_of_ours_is_not_hidden(home, monkeypatch):
    def faulty(**keywords):
        raise ZeroDivisionError

    monkeypatch.setattr(data, "verify_eicp", faulty)
    assert isinstance(run("data", "verify", "eicp").exception, ZeroDivisionError)


def test_an_error_that_looks_like_markup_is_shown_as_it_is(home, monkeypatch):
    monkeypatch.setenv("ECGBOOK_DATA", str(home / "[red]lost[/red]"))
    assert "[red]lost[/red]/eicp: the pages" in run("data", "verify", "eicp").stderr


# ----- the audit


def test_audit_prints_a_summary_and_writes_json(audits, report, tmp_path):
    ended = run("audit", "some folder", "--json", str(tmp_path / "report.json"))
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "3 [bold] files\n", "")
    assert audits == [Path("some folder")]
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_audit_prints_a_table_too(audits, monkeypatch):
    table = Table("class", "files")
    table.add_row("MI", "239")
    monkeypatch.setattr(sys.modules["ecgbook.audit"], "summary", lambda found: table)
    assert "239" in run("audit", "folder").stdout


def test_an_unwritable_report_is_told_before_the_work(audits, tmp_path):
    for place in (tmp_path, tmp_path / "no" / "folder.json", Path("/dev/null")):
        ended = run("audit", "folder", "--json", str(place))
        assert ended.exit_code == 2 and ended.stderr.startswith(f"error: {place}: ") and ended.stdout == ""
    assert audits == [] and not list(tmp_path.iterdir())


def test_a_failed_audit_leaves_the_old_report(audits, monkeypatch, tmp_path):
    def failing(root, progress=None):
        raise data.EcgbookError(f"{root}: holds no images; name another folder")

    monkeypatch.setattr(sys.modules["ecgbook.audit"], "audit", failing)
    (tmp_path / "report.json").write_text("old")
    ended = run("audit", "folder", "--json", str(tmp_path / "report.json"))
    assert ended.exit_code == 2 and ended.stderr == "error: folder: holds no images; name another folder\n"
    assert (tmp_path / "report.json").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("kind", ["absent", "empty", "text only"])
def test_a_folder_without_images(tmp_path, kind):
    folder = tmp_path / "folder"
    if kind != "absent":
        folder.mkdir()
    if kind == "text only":
        (folder / "class").mkdir()
        (folder / "class" / "notes.txt").write_text("no image")
    ended = run("audit", str(folder))
    assert ended.exit_code == 2 and ended.stdout == ""
    assert ended.stderr.startswith("error: ") and ended.stderr.count("\n") == 1


# ----- the manifest


def test_manifest_needs_the_published_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("ECGBOOK_DATA", str(tmp_path))
    ended = run("data", "manifest", "--output", str(tmp_path / "manifest.csv"))
    assert (
        ended.exit_code == 2 and "holds no published folders" in ended.stderr and not list(tmp_path.iterdir())
    )


def test_an_unwritable_manifest_is_told_before_the_work(home, tmp_path):
    ended = run("data", "manifest", "--output", str(tmp_path / "no" / "manifest.csv"))
    assert ended.exit_code == 2 and "cannot be written" in ended.stderr


def test_the_carried_manifest_is_rebuilt_byte_for_byte(eicp, tmp_path):
    if (data.locate(eicp) or ("nothing",))[0] != "tree":
        pytest.skip(f"{eicp} holds no published folders")
    ended = run("data", "manifest", "--output", str(tmp_path / "manifest.csv"))
    assert ended.stdout == f"{tmp_path / 'manifest.csv'}: 928 files, 491 distinct\n"
    assert (tmp_path / "manifest.csv").read_bytes() == (data.tables() / "manifest.csv").read_bytes()


# ----- as a process of its own


def start(code: str, *arguments: str, **environment: str) -> subprocess.Popen:
    program = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {code}"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_entry_point_shows_no_traceback(tmp_path):
    process = start(
        "from ecgbook.cli import main; main()", "data", "verify", "eicp", ECGBOOK_DATA=str(tmp_path)
    )
    out, error = process.communicate(timeout=60)
    assert process.returncode == 2 and out == "" and error.startswith("error: ") and error.count("\n") == 1


def test_ctrl_c_during_a_download_leaves_nothing(tmp_path):
    import signal
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        process = start(
            "from ecgbook.cli import main; main()",
            *("data", "fetch", "eicp", "--url", f"http://127.0.0.1:{silent.getsockname()[1]}/"),
            ECGBOOK_DATA=str(tmp_path / "home"),
            NO_PROXY="127.0.0.1",
        )
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            assert list((tmp_path / "home").iterdir())  # the working folder is there
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=60)
    assert process.returncode == 130 and error == "interrupted; nothing half-written is left\n" and out == ""
    assert not list(tmp_path.iterdir())
