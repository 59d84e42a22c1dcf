"""The command line: what it says, where it says it, and how it ends."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.table import Table
from typer.testing import CliRunner

import ecgbook
from ecgbook import cli, data, digitize, draw, groups, measure, synth


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
    "command",
    ["", "audit", "digitize", "data"]
    + [
        f"data {name}"
        for name in (
            "fetch",
            "verify",
            "status",
            "manifest",
            "signals",
            "measurements",
            "groups",
            "predictions",
        )
    ],
)
def test_every_command_has_help(command):
    ended = run(*command.split(), "--help")
    assert ended.exit_code == 0 and "Usage" in ended.stdout and ecgbook.__name__ not in ended.stderr


@pytest.mark.parametrize("command", ["nothing", "data fetch", "data fetch mitdb", "audit", "audit a --jsn b"])
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


def test_a_package_that_is_not_installed_is_named(home, monkeypatch):
    def lacking(**keywords):
        raise ModuleNotFoundError("No module named 'torch.nn'", name=lacks)

    monkeypatch.setattr(data, "verify_eicp", lacking)
    lacks = "torch.nn"
    ended = run("data", "verify", "eicp")
    assert ended.exit_code == 2 and ended.stdout == ""
    assert ended.stderr == "error: this needs the package torch, which is not installed; install it\n"
    lacks = "ecgbook.dta"  # a fault of ours
    assert isinstance(run("data", "verify", "eicp").exception, ModuleNotFoundError)


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


def test_files_that_are_not_looked_at_are_counted(tmp_path):
    for name in ("a/1.png", "b/2.png", "in no class.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.effect_noise((60, 40), 50).save(tmp_path / name)
    ended = run("audit", str(tmp_path))
    assert ended.stderr == "note: other files, not looked at: 1; only images in class folders are\n"
    (tmp_path / "a" / "scan.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "a" / ".hidden").write_bytes(b"")
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"")
    assert "not looked at: 2;" in run("audit", str(tmp_path)).stderr
    (tmp_path / "a" / "scan.pdf").unlink()
    (tmp_path / "in no class.png").unlink()
    assert run("audit", str(tmp_path)).stderr == ""


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


# ----- the tables made from pages and signals


def test_signals_are_rebuilt_into_a_folder(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(data, "open_page", lambda name: None)
    monkeypatch.setattr(
        digitize, "rebuild", lambda *given: asked.append(given) or pd.DataFrame({"file": ["a", "b"]})
    )
    ended = run("data", "signals", "-o", str(tmp_path / "new"), "--workers", "3")
    assert ended.exit_code == 0 and asked == [(tmp_path / "new", 3)] and (tmp_path / "new").is_dir()


def test_signals_need_the_pages(monkeypatch, tmp_path):
    monkeypatch.setenv("ECGBOOK_DATA", str(tmp_path / "none"))
    ended = run("data", "signals", "-o", str(tmp_path))
    assert (
        ended.exit_code == 2 and "`ecgbook data fetch eicp`" in ended.stderr and not list(tmp_path.iterdir())
    )


def test_measurements_are_rebuilt_from_the_carried_signals(monkeypatch, tmp_path):
    monkeypatch.setattr(data, "pages", lambda: data.files().iloc[:2])
    ended = run("data", "measurements", "-o", str(tmp_path))
    carried = measure.measurements().iloc[:2]
    assert ended.stdout == f"{tmp_path}: {len(measure.COLUMNS)} measurements of 2 ECGs\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["measurements.csv", "median_beats.npz"]
    written = pd.read_csv(tmp_path / "measurements.csv")
    assert written["file"].tolist() == carried["file"].tolist() and list(written) == list(carried)


def test_groups_are_rebuilt_into_a_folder(monkeypatch, tmp_path):
    table = pd.DataFrame({"file": ["a", "b", "c"], "group": [1, 2, 1]})
    monkeypatch.setattr(groups, "rebuild", lambda folder: table)
    assert run("data", "groups", "-o", str(tmp_path)).stdout == f"{tmp_path}: 3 pages in 2 groups\n"


def test_predictions_are_taken_from_the_stored_runs(tmp_path):
    (tmp_path / "empty").mkdir()
    ended = run("data", "predictions", "-o", str(tmp_path / "new"))
    assert ended.stdout == f"{tmp_path / 'new'}: 2455 predictions of 491 ECGs\n"
    ended = run("data", "predictions", "-o", str(tmp_path / "none"), "--results", str(tmp_path / "empty"))
    assert ended.exit_code == 2 and "grouped-headline: no such run" in ended.stderr
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out_of_fold.csv"]
    assert list((tmp_path / "none").iterdir()) == []


@pytest.mark.parametrize("command", ["signals", "measurements", "groups", "predictions"])
def test_tables_that_cannot_be_written_are_told_beforehand(tmp_path, command):
    (tmp_path / "file").write_text("no folder")
    ended = run("data", command, "-o", str(tmp_path / "file" / "below"))
    assert ended.exit_code == 2 and "cannot be written" in ended.stderr and ended.stderr.count("\n") == 1


# ----- digitising


@pytest.fixture(scope="module")
def drawn() -> tuple[Image.Image, tuple]:
    return draw.draw_page(synth.record("Normal", 5))


@pytest.fixture
def page(drawn, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pages") / "PMI(3).jpg"
    drawn[0].save(path, quality=90)
    return path


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "deep" / "out"


def broken(folder: Path, page: Path) -> dict[str, Path]:
    """Files that are no page, by the words that should be said of them."""
    content = {
        "is an empty file": b"",
        "is no image": b"some text",
        "is a broken or truncated image": page.read_bytes()[: page.stat().st_size // 2],
        "has more than 89 million pixels": b"P5 30000 30000 255\n",
    }
    paths = {words: folder / f"{number}.jpg" for number, words in enumerate(content)}
    for words, path in paths.items():
        path.write_bytes(content[words])
    paths["is not found"] = folder / "white.png"
    Image.new("RGB", (2213, 1572), "white").save(paths["is not found"])
    return paths


def test_a_page_becomes_a_csv_and_nothing_else(page, drawn, out):
    ended = run("digitize", str(page), "--out", str(out))
    assert (ended.exit_code, ended.stderr) == (0, "") and [path.name for path in out.iterdir()] == [
        "PMI(3).csv"
    ]
    assert ended.stdout.splitlines()[-1].startswith(f"{out}: 1 of 1 pages, ")
    table = pd.read_csv(out / "PMI(3).csv")
    assert list(table) == ["t_s", *synth.LEADS, "rhythm"] and len(table) == 2500
    assert table["t_s"].diff().dropna().round(3).eq(0.004).all() and table["V6"].first_valid_index() >= 1875
    known = table["rhythm"].notna()
    truth = drawn[1][-1]
    at = np.interp(table["t_s"], np.arange(len(truth.samples)) / (len(truth.samples) / 10), truth.samples)
    assert known.mean() > 0.95 and np.sqrt(np.mean((table["rhythm"] - at)[known] ** 2)) < 0.03


def test_pages_are_shared_between_processes(page, out):
    pages = [page, *(shutil.copyfile(page, page.with_name(f"ä {n}.jpg")) for n in range(3))]
    pages[2].write_bytes(b"text")
    ended = run("digitize", *map(str, pages), "--out", str(out), "--workers", "2")
    assert ended.exit_code == 1 and ended.stdout.splitlines()[-1].startswith(f"{out}: 3 of 4 pages")
    assert ended.stderr.startswith(f"error: {pages[2]}: is no image") and ended.stderr.count("\n") == 1
    assert {path.name for path in out.iterdir()} == {"PMI(3).csv", "ä 0.csv", "ä 2.csv"}
    assert len({path.read_bytes() for path in out.iterdir()}) == 1


def test_wfdb_and_overlay(page, drawn, out):
    ended = run("digitize", str(page), "--out", str(out), "--format", "wfdb", "--overlay")
    assert ended.exit_code == 0
    assert {path.name for path in out.iterdir()} == {"PMI_3.hea", "PMI_3.dat", "PMI(3).overlay.png"}
    assert (out / "PMI_3.hea").read_text().startswith("PMI_3 13 250 2500\n")
    with Image.open(out / "PMI(3).overlay.png") as image:
        assert image.size == drawn[0].size


def test_flags_are_told_a_line_a_page_and_do_no_harm(page, monkeypatch, out):
    reading = digitize.read(data.open_image(page))._replace(flags=("", "gap overlap", *[""] * 10, "gap"))
    monkeypatch.setattr(digitize, "read", lambda image, name: reading)
    ended = run("digitize", str(page), "--out", str(out))
    assert ended.exit_code == 0
    assert ended.stdout == f"{page}: II gap overlap, rhythm gap\n{out}: 1 of 1 pages, 1 with flags\n"


def test_unreadable_pages_are_named_and_the_rest_goes_on(page, tmp_path, out):
    wrong = broken(tmp_path, page)
    pages = [*wrong.values(), page]
    ended = run("digitize", *map(str, pages), "--out", str(out), "--workers", "1")
    assert ended.exit_code == 1 and [path.name for path in out.iterdir()] == ["PMI(3).csv"]
    lines = ended.stderr.splitlines()
    assert len(lines) == len(wrong)
    for line, (words, path) in zip(lines, wrong.items(), strict=True):
        assert line.startswith(f"error: {path}: ") and words in line
    assert f"{out}: 1 of {len(pages)} pages" in ended.stdout


@pytest.mark.parametrize(
    "kind", ["missing", "folder", "twice", "same name", "overlay", "file", "wfdb", "page"]
)
def test_bad_places_end_with_2_before_the_work(page, monkeypatch, tmp_path, kind):
    monkeypatch.setattr(digitize, "read", None)  # to call it would fail
    out = tmp_path / "out"
    given = {
        "missing": ([page, tmp_path / "none.jpg"], "no such file"),
        "folder": ([tmp_path], "is a folder"),
        "twice": ([page, page], "two pages would be written"),
        "same name": ([page, shutil.copyfile(page, tmp_path / "PMI(3).png")], "two pages would be written"),
        "wfdb": ([page, shutil.copyfile(page, tmp_path / "PMI_3_.jpg")], "two pages would be written"),
        "overlay": ([page, shutil.copyfile(page, tmp_path / "PMI(3).overlay.png")], "is one of the pages"),
        "page": ([shutil.copyfile(page, tmp_path / "a.csv")], "is one of the pages"),
        "file": ([page], "cannot be written"),
    }
    pages, words = given[kind]
    if kind == "file":
        out.write_text("a file where the folder should be")
    if kind in ("overlay", "page"):
        out = tmp_path
    before = sorted(tmp_path.iterdir())
    options = {"wfdb": ["--format", "wfdb"], "overlay": ["--overlay"]}.get(kind, [])
    ended = run("digitize", *map(str, pages), "--out", str(out), *options)
    assert ended.exit_code == 2 and words in ended.stderr and ended.stderr.count("\n") == 1
    assert ended.stdout == "" and sorted(tmp_path.iterdir()) == before


def test_a_full_disk_ends_the_run(page, monkeypatch, out):
    def full(reading, path):
        raise data.EcgbookError(f"{path}: cannot be written (no space left on device); make room")

    monkeypatch.setattr(digitize, "write_csv", full)
    ended = run("digitize", str(page), "--out", str(out))
    assert ended.exit_code == 2 and "no space left" in ended.stderr and list(out.iterdir()) == []


@pytest.mark.parametrize("arguments", [["x.jpg"], [], ["--overlay", "--check", "x.jpg"], ["--out", "d"]])
def test_digitising_nothing_or_to_nowhere(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = run("digitize", *arguments)
    assert ended.exit_code == 2 and "Usage" in ended.stderr and not list(tmp_path.iterdir())


def test_checks_of_given_pages_need_no_folder(page, tmp_path):
    ended = run("digitize", "--check", str(page))
    assert ended.exit_code == 0 and ended.stderr == ""
    head, row = (line.split() for line in ended.stdout.splitlines()[-2:])
    assert head[:4] == ["file", "rhythm", "einthoven", "goldberger"] and len(head) == len(row) == 10
    found = dict(zip(head, row, strict=True))
    expected = digitize.checks(digitize.read(data.open_image(page)))
    assert found["file"] == "PMI(3).jpg" and float(found["einthoven"]) == round(expected["einthoven"], 4)
    assert float(found["heart_rate"]) == round(expected["heart_rate"]) and found["printed_rate"] == "-"


def test_check_without_pages_judges_the_data_set(page, monkeypatch):
    jobs = [cli._Job(f"{n}.jpg", partial(data.open_image, page), None, None) for n in range(3)]
    monkeypatch.setattr(cli, "_published", lambda: jobs)
    table = pd.read_csv(data.tables() / "digitize_checks.csv").iloc[:3]
    rows = iter(table.drop(columns="file").to_dict("records"))
    monkeypatch.setattr(cli, "_digitise", lambda job, check: {"file": job.name, **next(rows)})
    ended = run("digitize", "--check", "--workers", "1")
    assert ended.exit_code == 0 and "3 pages\n" in ended.stdout and "missed" not in ended.stdout
    assert "(bar: at most 0.020 mV; met)" in ended.stdout and "of 3 pages within 3 bpm" in ended.stdout


def test_a_missed_bar_is_called_missed():
    table = pd.read_csv(data.tables() / "digitize_checks.csv")
    table["goldberger"] += 0.07
    table["heart_rate"] += 10
    shown = cli._judged(table)
    assert "0.0% of pages within 0.06 mV (bar: at least 95 %; missed)" in shown and shown.count("missed") == 3
    table.loc[0, "einthoven"] = np.nan  # a law that cannot be checked is not a law kept
    assert "100.0%" not in cli._judged(table)


def test_check_without_the_data_set(monkeypatch, tmp_path):
    monkeypatch.setenv("ECGBOOK_DATA", str(tmp_path))
    ended = run("digitize", "--check")
    assert ended.exit_code == 2 and ended.stderr.count("\n") == 1 and "fetch eicp" in ended.stderr


def test_real_pages_from_the_command(eicp, tmp_path):
    layout, base = data.locate(eicp) or (None, eicp)
    if layout not in ("tree", "distinct"):
        pytest.skip(f"{eicp} holds no folders of pages")
    name = "PMI(12).jpg"
    path = next(base.rglob(name))
    ended = run("digitize", str(path), "--check", "--out", str(tmp_path))
    row = ended.stdout.splitlines()[-1].split()
    printed = data.files().set_index("file").loc[name, "heart_rate"]
    assert ended.exit_code == 0 and row[0] == name and row[-1] == str(printed)
    written = pd.read_csv(tmp_path / "PMI(12).csv")["rhythm"].to_numpy()
    assert np.allclose(written, digitize.load(name).strip, atol=6e-4, equal_nan=True)


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


def test_ctrl_c_while_digitising_leaves_whole_files_only(page, tmp_path):
    pages = [tmp_path / f"page {number}.jpg" for number in range(40)]
    for copy in pages:
        shutil.copyfile(page, copy)
    out = tmp_path / "out"
    process = start("from ecgbook.cli import main; main()", "digitize", *map(str, pages), "--out", str(out))
    deadline = time.monotonic() + 60
    while not list(out.glob("page *.csv")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and error == "interrupted; nothing half-written is left\n"
    left = list(out.iterdir())
    assert 0 < len(left) < 40 and all(path.suffix == ".csv" for path in left)
    assert {len(path.read_text().splitlines()) for path in left} == {2501}
