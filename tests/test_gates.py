"""The gates hold: a change that should fail the tests of the book does, on a copy of the repository."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from ecgbook import publish

ROOT = publish.ROOT
CHAPTER = "book/audit/lookup"
PARTS = (
    "ecgbook",
    "book",
    "tests",
    "_toc.yml",
    "pyproject.toml",
    "requirements.txt",
    "requirements-site.txt",
)


@pytest.fixture
def copy(tmp_path):
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / part)
    return tmp_path


def pytest_on(copy, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)


def gates(copy) -> subprocess.CompletedProcess:
    return pytest_on(copy, "tests/test_book.py", "-k", "(pair or fresh) and lookup")


def nbval(copy) -> subprocess.CompletedProcess:
    return pytest_on(copy, "--nbval", "--nbval-current-env", f"{CHAPTER}.ipynb")


def replace(path, pattern: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    changed, count = re.subn(pattern, new, text, count=1)
    assert count == 1 and changed != text, f"{pattern!r} is not in {path.name}"
    path.write_text(changed, encoding="utf-8")


def change_output(copy, marker: str, pattern: str, new: str, restamp: bool) -> None:
    """Edit the first stored output that holds the marker; with `restamp`, as somebody would who hides it."""
    path = copy / f"{CHAPTER}.ipynb"
    book = nbformat.read(path, as_version=4)
    for output in (o for c in book.cells for o in c.get("outputs", [])):
        text = json.dumps(output)
        if marker in text:
            changed, count = re.subn(pattern, new, text, count=1)
            assert count == 1 and changed != text
            output.clear()
            output.update(json.loads(changed))
            break
    else:
        pytest.fail(f"no output of {CHAPTER} holds {marker!r}")
    if restamp:
        book.metadata["ecgbook"]["outputs"] = publish._outputs_digest(book)
    publish.write(book, path)


def test_an_untouched_copy_passes(copy):
    done = gates(copy)
    assert done.returncode == 0, done.stdout


def test_a_changed_stored_number_fails_twice(copy):
    change_output(copy, "papermill.record/text/plain", r"0\.8\d", "0.99", restamp=False)
    assert "is stale: outputs changed" in gates(copy).stdout


def test_a_changed_stored_number_that_hides_behind_a_new_stamp_fails_in_nbval(copy):
    change_output(copy, "papermill.record/text/plain", r"0\.8\d", "0.99", restamp=True)
    assert gates(copy).returncode == 0
    assert nbval(copy).returncode == 1


def test_a_changed_plotted_value_fails_in_nbval(copy):
    change_output(copy, "figure-data", r"0\.8\d", "0.99", restamp=True)
    assert nbval(copy).returncode == 1


def test_a_changed_package_function_fails(copy):
    replace(copy / "ecgbook" / "audit.py", r"\n    return ", "\n    changed = 1\n    return ")
    assert "is stale: ecgbook.audit changed" in gates(copy).stdout


def test_a_changed_table_fails(copy):
    replace(copy / "ecgbook" / "tables" / "paper_recall.csv", "18,26", "19,26")
    assert "is stale: ecgbook/tables/paper_recall.csv changed" in gates(copy).stdout


def test_a_changed_tag_fails(copy):
    path = copy / f"{CHAPTER}.ipynb"
    book = nbformat.read(path, as_version=4)
    book.cells[1].metadata["tags"] = ["hide-input"]
    publish.write(book, path)
    assert "metadata differs" in gates(copy).stdout


def test_prose_in_a_module_stales_nothing(copy):
    replace(copy / "ecgbook" / "audit.py", r'"""', '"""Reworded. ')
    done = gates(copy)
    assert done.returncode == 0, done.stdout
