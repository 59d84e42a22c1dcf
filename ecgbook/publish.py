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
# # Publish: running the chapters, and proving that they are fresh
# A chapter is a pair: a script that people edit (`book/audit/copies.py`) and a notebook that carries its outputs
# (`book/audit/copies.ipynb`). The site shows the stored outputs, so three things can go wrong without anybody seeing
# it: the pair drifts apart, the code below a stored output changes, or somebody edits an output. This module runs a
# chapter, leaves a *stamp* in the notebook, and says later, without running anything, what has changed since.

# %%
"""Execute chapters in embedded mode, stamp them, and say which are stale."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import sys
from pathlib import Path

from ecgbook.data import EcgbookError

ROOT = Path(__file__).resolve().parents[1]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {
    "name": "python",
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "pygments_lexer": "ipython3",
}


def chapters(root: Path = ROOT) -> list[Path]:
    """Return the scripts of all chapters, sorted.

    Examples
    --------
    >>> all(p.suffix == ".py" for p in chapters())
    True
    """
    return sorted((root / "book").rglob("*.py"))


# %% [markdown]
# ## From script to notebook
# The script is the only source. Every conversion gives the same cell identifiers (a digest of the cell's text, and of
# how often that text came before), so that re-running a chapter changes only what really changed.


# %%
def _digest(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:16]


def notebook(script: Path):
    """Read a chapter's script as a notebook without outputs.

    Parameters
    ----------
    script : Path
        A percent-format script.

    Returns
    -------
    NotebookNode
    """
    import jupytext

    book = jupytext.read(script, fmt="py:percent")
    seen: dict[str, int] = {}
    for cell in book.cells:
        key = _digest(cell.cell_type + cell.source)
        seen[key] = seen.get(key, 0) + 1
        cell["id"] = _digest(f"{key} {seen[key]}")
        cell.metadata.pop("lines_to_next_cell", None)  # layout of the script, no part of the chapter
    book.metadata = type(book.metadata)(kernelspec=KERNEL, language_info=LANGUAGE)
    return book


def pair_differences(script: Path) -> list[str]:
    """Say in which cells a chapter's script and its notebook differ: kind, text or metadata.

    Parameters
    ----------
    script : Path

    Returns
    -------
    list of str
        Empty when the pair agrees.
    """
    import nbformat

    stored_path = script.with_suffix(".ipynb")
    if not stored_path.exists():
        return [f"{script.name} has no notebook beside it"]
    source, stored = notebook(script).cells, nbformat.read(stored_path, as_version=4).cells
    differences = []
    if len(source) != len(stored):
        differences.append(f"{len(source)} cells in {script.name}, {len(stored)} in {stored_path.name}")
    for n, (a, b) in enumerate(zip(source, stored, strict=False), start=1):
        for part in ("cell_type", "source", "metadata"):
            if a[part] != b[part]:
                differences.append(f"cell {n} of {script.name}: {part} differs")
    return differences


# %% [markdown]
# ## What a chapter depends on
# Three things: its own code cells; every module of the package that it reaches by imports, directly or not; every
# file of numbers that it opened while it ran. Modules are compared by their syntax tree without docstrings, so that
# a correction in the prose of a module does not make chapters stale, and a changed number in its code does.


# %%
def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                node.body = node.body[1:]
    return tree


def _plain(node: object) -> object:
    """Turn a syntax tree into nested lists; empty fields are left out, for Python versions differ in them."""
    if isinstance(node, ast.AST):
        fields = [(name, _plain(value)) for name, value in ast.iter_fields(node) if value not in (None, [])]
        return [type(node).__name__, fields]
    return [_plain(item) for item in node] if isinstance(node, list) else repr(node)


def code_digest(code: str) -> str:
    """Return a digest of what Python code does, blind to comments, layout and docstrings.

    Examples
    --------
    >>> code_digest("x = 1  # one") == code_digest("x=1")
    True
    >>> code_digest("x = 1") == code_digest("x = 2")
    False
    """
    return _digest(repr(_plain(_without_docstrings(ast.parse(code)))))


def _imports(code: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.partition(".")[0] == "ecgbook"}


@functools.cache
def _module(path: Path, _mtime: int) -> tuple[str, frozenset[str]]:
    code = path.read_text(encoding="utf-8")
    return code_digest(code), frozenset(_imports(code))


def module_digests(code: str, root: Path = ROOT) -> dict[str, str]:
    """Return the digests of all package modules that some code reaches by imports.

    Parameters
    ----------
    code : str
        Python source.
    root : Path
        The repository.

    Returns
    -------
    dict
        Module name to digest.

    Examples
    --------
    >>> sorted(module_digests("from ecgbook import data"))
    ['ecgbook', 'ecgbook.data']
    """
    digests: dict[str, str] = {}
    waiting = _imports(code)
    while waiting:
        name = waiting.pop()
        stem = root.joinpath(*name.split("."))
        path = next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.exists()), None)
        if path is None or name in digests:  # a function's name, or seen before
            continue
        digests[name], reached = _module(path, path.stat().st_mtime_ns)
        waiting |= reached | {name.rpartition(".")[0]} - {""}
    return dict(sorted(digests.items()))


def _code(book) -> str:
    """Return the code cells as one program; magics would hide imports from us, so there are none."""
    return "\n".join(cell.source for cell in book.cells if cell.cell_type == "code")


def _outputs_digest(book) -> str:
    outputs = [cell.outputs for cell in book.cells if cell.cell_type == "code"]
    return _digest(json.dumps(outputs, sort_keys=True))


def _file_digest(path: Path) -> str:
    return _digest(path.read_bytes().replace(b"\r\n", b"\n")) if path.exists() else "missing"


# %% [markdown]
# ## Running a chapter
# Chapters are stored in *embedded mode*: `ECGBOOK_DATA` is cleared, so every printed number comes from the tables the
# package carries or from synthetic ECGs, and is the same for every reader. While the chapter runs, an audit hook in
# its kernel notes which stored files it opens. Nothing is written unless every cell ran and none wrote to stderr.

# %%
_WATCH = """
import sys as _sys
_ecgbook_opened = set()
def _ecgbook_watch(event, args):
    if event == "open" and isinstance(args[0], str) and isinstance(args[1], str) and args[1][0] == "r":
        _ecgbook_opened.add(args[0])
_sys.addaudithook(_ecgbook_watch)
"""
_REPORT = "import json as _json; print(_json.dumps(sorted(_ecgbook_opened)))"
_STORED = ("ecgbook/tables/", "book/results/")


def _stored_files(opened: list[str], folder: Path, root: Path) -> list[str]:
    found = set()
    for name in opened:
        path = Path(os.path.normpath(folder / name))
        if path.is_relative_to(root) and path.relative_to(root).as_posix().startswith(_STORED):
            found.add(path.relative_to(root).as_posix())
    return sorted(found)


def _run_hidden(client, code: str) -> str:
    """Run code in the chapter's kernel that is no cell of the chapter, and return what it printed."""
    import nbformat

    cell = nbformat.v4.new_code_cell(code)
    client.nb.cells.append(cell)
    try:
        client.execute_cell(cell, len(client.nb.cells) - 1, store_history=False)
    finally:
        client.nb.cells.remove(cell)
    return "".join(output.get("text", "") for output in cell.outputs)


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ECGBOOK_")}
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def execute(script: Path, root: Path = ROOT):
    """Run a chapter in a fresh kernel, in embedded mode, and return the stamped notebook.

    Parameters
    ----------
    script : Path
    root : Path
        The repository.

    Returns
    -------
    NotebookNode

    Raises
    ------
    EcgbookError
        If a cell fails or writes to stderr.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    book = notebook(script)
    client = NotebookClient(book, timeout=600, kernel_name="python3", record_timing=False)
    client.extra_arguments = ["--log-level=40"]  # no note about TCP at every start
    with client.setup_kernel(cwd=str(script.parent), env=_environment()):
        _run_hidden(client, _WATCH)
        for number, cell in enumerate(book.cells):
            try:
                client.execute_cell(cell, number)
            except CellExecutionError as error:
                raise EcgbookError(f"{script}: cell {number + 1} failed: {error}") from None
            if any(output.get("name") == "stderr" for output in cell.get("outputs", [])):
                said = "".join(o.text for o in cell.outputs if o.get("name") == "stderr")
                raise EcgbookError(f"{script}: cell {number + 1} wrote to stderr: {said.strip()}")
        opened = json.loads(_run_hidden(client, _REPORT))
    for number, cell in enumerate((c for c in book.cells if c.cell_type == "code"), start=1):
        cell["execution_count"] = number
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = number
    book.metadata["language_info"] = LANGUAGE
    book.metadata["ecgbook"] = stamp(book, _stored_files(opened, script.parent, root), root)
    return book


# %% [markdown]
# ## The stamp
# It records digests of all that the outputs depend on, and of the outputs themselves, pictures included: `nbval`
# does not compare pictures, so an edited picture would otherwise pass.


# %%
def stamp(book, reads: list[str], root: Path = ROOT) -> dict:
    """Return the stamp of an executed notebook.

    Parameters
    ----------
    book : NotebookNode
    reads : list of str
        Stored files that it opened, relative to the repository.
    root : Path

    Returns
    -------
    dict
        Keys ``mode``, ``cells``, ``modules``, ``reads``, ``outputs``.
    """
    return {
        "mode": "embedded",
        "cells": code_digest(_code(book)),
        "modules": module_digests(_code(book), root),
        "reads": {name: _file_digest(root / name) for name in reads},
        "outputs": _outputs_digest(book),
    }


def staleness(path: Path, root: Path = ROOT) -> list[str]:
    """Say what has changed since a notebook was executed.

    Parameters
    ----------
    path : Path
        A stored notebook.
    root : Path

    Returns
    -------
    list of str
        Empty when the notebook is fresh.
    """
    import nbformat

    book = nbformat.read(path, as_version=4)
    stored = book.metadata.get("ecgbook")
    if stored is None or stored.get("mode") != "embedded":
        return [f"{path.name} carries no stamp: run make execute"]
    now = stamp(book, list(stored["reads"]), root)
    changed = [part for part in ("cells", "outputs") if stored[part] != now[part]]
    for part in ("modules", "reads"):
        names = stored[part].keys() | now[part].keys()
        changed += [name for name in sorted(names) if stored[part].get(name) != now[part].get(name)]
    return [f"{path.name} is stale: {name} changed since it was executed" for name in changed]


def write(book, path: Path) -> None:
    """Write a notebook whole, or not at all."""
    import nbformat

    part = path.with_suffix(".part")
    nbformat.validate(book)
    part.write_text(nbformat.writes(book, version=4) + "\n", encoding="utf-8")
    os.replace(part, path)


# %% [markdown]
# `python -m ecgbook.publish` (which is `make execute`) runs the chapters that are stale or unpaired; named chapters are
# run in any case.


# %%
def main(arguments: list[str]) -> int:
    """Execute the named chapters, or every chapter that needs it; return the exit status."""
    from rich.console import Console

    console = Console(stderr=True)
    chosen = [Path(a).resolve().with_suffix(".py") for a in arguments]
    for script in chosen or chapters():
        target = script.with_suffix(".ipynb")
        if not chosen and not pair_differences(script) and not staleness(target):
            console.print(f"fresh     {script.relative_to(ROOT)}")
            continue
        with console.status(f"executing {script.relative_to(ROOT)}"):
            try:
                write(execute(script), target)
            except EcgbookError as error:
                console.print(f"error: {error}", markup=False, highlight=False)
                return 2
        console.print(f"executed  {script.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
