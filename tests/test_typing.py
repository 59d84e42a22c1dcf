"""The public API is typed: the package says so, and what is not annotated is named here."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "ecgbook").glob("*.py"))

# To annotate these would change the digests that stored runs hold of the code: annotate them with the next run.
UNTYPED = {
    "explain.predictor",
    "external.page_network",
    "federated.client_app",
    "federated.conduct",
    "federated.loopback",
    "federated.server_app",
    "federated.strategy",
    "federated.work",
    "fusion.Attention.__init__",
    "fusion.expert",
    "fusion.stacked",
    "hybrid.build",
    "hybrid.pipeline",
    "models.Guideline.fit",
    "models.LogPool.__init__",
    "models.LogPool.fit",
    "models.LogPool.predict",
    "models.LogPool.predict_proba",
    "models.build",
    "models.fit",
    "models.probabilities",
    "networks1d.network_fold",
    "networks1d.teach",
    "publish.execute",
    "publish.notebook",
    "publish.stamp",
    "publish.write",
    "screening.predictive",
    "study.predict_fold",
}


def public(body: list[ast.stmt], owner: str) -> list[tuple[str, ast.FunctionDef]]:
    """Functions and methods whose name begins without an underscore, and constructors."""
    found = []
    for node in body:
        name = f"{owner}.{getattr(node, 'name', '')}"
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found += public(node.body, name)
        elif isinstance(node, ast.FunctionDef) and (
            node.name in ("__init__", "__call__") or not node.name.startswith("_")
        ):
            found.append((name, node))
    return found


def is_annotated(name: str, function: ast.FunctionDef) -> bool:
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    is_method = name.count(".") > 1 and not any(
        getattr(decorator, "id", "") == "staticmethod" for decorator in function.decorator_list
    )
    named = [argument for argument in arguments if argument is not None][is_method:]
    return function.returns is not None and all(argument.annotation for argument in named)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f(x: int, *, y: str = '') -> None: ...", True),
        ("def f(x, y: str = '') -> None: ...", False),
        ("def f(x: int): ...", False),
        ("def f(*args) -> int: ...", False),
        ("def f(**more) -> int: ...", False),
    ],
)
def test_a_missing_annotation_is_seen(code, found):
    ((name, function),) = public(ast.parse(code).body, "module")
    assert is_annotated(name, function) is found


def test_methods_are_looked_at_and_private_names_are_not():
    code = (
        "class A:\n def f(self) -> int: ...\n def _g(self): ...\n def h(self, x) -> int: ...\ndef _k(): ..."
    )
    found = public(ast.parse(code).body, "module")
    assert {name: is_annotated(name, one) for name, one in found} == {"module.A.f": True, "module.A.h": False}


def test_every_public_function_is_annotated():
    functions = [
        pair
        for path in MODULES
        for pair in public(ast.parse(path.read_text(encoding="utf-8")).body, path.stem)
    ]
    assert len(functions) > 500
    assert {name for name, function in functions if not is_annotated(name, function)} == UNTYPED


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "ecgbook" / "py.typed").read_bytes() == b""


def test_mypy_is_set_up_to_find_what_is_wrong(tmp_path):
    """Run it as `make test` does, on a package with four faults of the kinds that it is there for."""
    pytest.importorskip("mypy")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "ecgbook").mkdir()
    faults = {
        "def f(x: int) -> str:\n    return x": "return-value",
        "def f(x: int | None) -> int:\n    return x + 1": "operator",
        "def f(x):\n    return x": "no-untyped-def",
        "def f(x: int) -> int:\n    return x  # type: ignore[return-value]": "unused-ignore",
    }
    for number, code in enumerate(faults):
        (tmp_path / "ecgbook" / f"fault{number}.py").write_text(code + "\n")
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=tmp_path, capture_output=True, text=True)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    said = {line.partition(":")[0]: line.rpartition("[")[2] for line in errors}
    assert done.returncode == 1
    assert said == {f"ecgbook/fault{n}.py": f"{kind}]" for n, kind in enumerate(faults.values())}
