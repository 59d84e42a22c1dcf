"""The Makefile: what it says to a reader whose Python cannot do it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.txt", "requirements-site.txt", "pyproject.toml"):
        (folder / name).touch()
    # `make test` runs these tests: its own flags must not reach the make that is tested.
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def said(done: subprocess.CompletedProcess) -> list[str]:
    """What it says, without make's own closing line."""
    return [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]


def test_help_names_every_target(tmp_path):
    shown = make(tmp_path, "help").stdout
    for target in ("book", "pdf", "install", "test", "execute", "serve", "data", "student", "teacher"):
        assert f"make {target} " in shown


def test_without_venv_it_says_one_sentence_and_leaves_nothing(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    python.chmod(0o755)
    done = make(tmp_path, "book", f"PYTHON={python}")
    assert done.returncode != 0
    (line,) = said(done)
    assert "without venv or ensurepip" in line and "python3-venv" in line
    assert not (tmp_path / ".venv").exists()


def test_without_a_supported_python_it_says_one_sentence(tmp_path):
    done = make(tmp_path, "test", "PYTHON=")
    assert done.returncode != 0
    (line,) = said(done)
    assert "needs Python 3.11, 3.12 or 3.13" in line
    assert not (tmp_path / ".venv").exists()
