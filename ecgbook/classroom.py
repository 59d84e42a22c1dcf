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
# # Classroom: an edition for students and one for teachers
# Every chapter ends in exercises, and every exercise has a solution that was executed. On the site a solution
# is folded away; for homework that is not enough. `make student` packs all chapters as notebooks without any
# solution, with a blank cell and a check behind each exercise; `make teacher` packs them with the solutions
# and a table of all exercises. Both are made from the notebooks of the book itself, so there is no second
# copy that could fall behind.

# %%
"""Make the student and the teacher edition of the chapters, and the key to the checks."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import nbformat
import pandas as pd

from ecgbook import data, grade, publish
from ecgbook.data import EcgbookError

DIST = publish.ROOT / "dist"

# %% [markdown]
# ## A chapter, piece by piece
# In a chapter's Markdown an exercise is a fenced block, and a solution is everything from a `solution-start`
# to the next
# `solution-end`, text and code cells alike. We cut a notebook into pieces: prose, exercises, code; each knows to whose
# solution it belongs, if to any.

# %%
_FENCE = re.compile(
    r"^(?P<fence>`{3,})\{(?P<kind>exercise|solution-start|solution-end)\}[ ]*(?P<of>\S*)[ ]*\n"
    r"(?P<body>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_OPTION = re.compile(r"^:([\w-]+):[ ]*(.*)\n?", re.MULTILINE)
_DIFFICULTY = re.compile(r"^\W*(Easy|Medium|Hard)\b\W*")


class Piece(NamedTuple):
    """A stretch of a chapter: ``kind`` is "prose", "exercise" or "code"."""

    kind: str
    text: str
    label: str = ""  # of the exercise itself
    solves: str = ""  # label of the exercise in whose solution this stands
    cell: object = None  # of code: the notebook's cell


def _pieces_of_markdown(source: str, solves: str) -> Iterator[Piece | str]:
    """Yield pieces, and where a solution starts or ends the label that holds from there on."""
    at = 0
    for block in _FENCE.finditer(source):
        if before := source[at : block.start()].strip():
            yield Piece("prose", before, solves=solves)
        if block["kind"] == "exercise":
            options = dict(_OPTION.findall(block["body"]))
            yield Piece("exercise", _OPTION.sub("", block["body"]).strip(), label=options["label"].strip())
        else:
            solves = block["of"] if block["kind"] == "solution-start" else ""
            yield solves
        at = block.end()
    if rest := source[at:].strip():
        yield Piece("prose", rest, solves=solves)


def pieces(book: nbformat.NotebookNode) -> list[Piece]:
    """Cut a chapter into prose, exercises and code.

    Parameters
    ----------
    book : NotebookNode
        A chapter, executed or not.

    Returns
    -------
    list of Piece

    Examples
    --------
    >>> chapter = publish.notebook(publish.ROOT / "book" / "audit" / "copies.py")
    >>> [piece.label for piece in pieces(chapter) if piece.kind == "exercise"][0]
    'ex-copies-1'
    """
    found, solves = [], ""
    for cell in book.cells:
        if cell.cell_type == "code":
            found.append(Piece("code", cell.source, solves=solves, cell=cell))
            continue
        for piece in _pieces_of_markdown(cell.source, solves):
            if isinstance(piece, str):
                solves = piece
            else:
                found.append(piece)
    return found


def stored(script: Path) -> nbformat.NotebookNode:
    """Read the executed notebook of a chapter."""
    path = script.with_suffix(".ipynb")
    if not path.exists():
        raise EcgbookError(f"{path}: is missing; run make execute CHAPTERS={script}")
    return nbformat.read(path, as_version=4)


# %% [markdown]
# ## The table of exercises
# Difficulty stands in the text of the exercise, where the reader sees it. Minutes and what the exercise
# trains are declared in `ecgbook/tables/exercises.csv`; where nothing is declared yet, the difficulty and the
# chapter speak for it.

# %%
_MINUTES = {"Easy": 5, "Medium": 15, "Hard": 30}


def title(path: Path) -> str:
    """Return the first heading of a page, from its script or its Markdown.

    Examples
    --------
    >>> title(publish.ROOT / "book" / "audit" / "lookup.py")
    'A classifier that never looks'
    """
    mark = "# # " if path.suffix == ".py" else "# "
    heading = re.search(rf"^{mark}(\S.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return heading[1].strip() if heading else path.stem


def exercises(root: Path = publish.ROOT) -> pd.DataFrame:
    """List all exercises of the book.

    Parameters
    ----------
    root : Path
        The repository.

    Returns
    -------
    pandas.DataFrame
        One row an exercise, in the order of the table of contents as far as the chapters stand in it: ``label``,
        ``page`` (of the chapter, without ending), ``chapter`` (its title), ``difficulty`` ("" if not stated),
        ``minutes``, ``trains``, ``checked`` (bool).
    """
    rows = []
    for script in _in_order(root):
        heading, page = title(script), script.relative_to(root).with_suffix("").as_posix()
        for piece in pieces(publish.notebook(script)):
            if piece.kind == "exercise":
                stated = _DIFFICULTY.match(piece.text)
                level = stated[1] if stated else ""
                known = grade.declared().get(piece.label)
                minutes, trains = (
                    (known.minutes, known.trains) if known else (_MINUTES.get(level, 15), heading)
                )
                checked = bool(grade.asked(piece.label))
                rows.append((piece.label, page, heading, level, minutes, trains, checked))
    columns = ["label", "page", "chapter", "difficulty", "minutes", "trains", "checked"]
    return pd.DataFrame(rows, columns=columns)


def _in_order(root: Path) -> list[Path]:
    """Scripts of the chapters in the order of the contents; what is not listed comes last."""
    pages = re.findall(r"(?:file|root):\s*(\S+)", (root / "_toc.yml").read_text(encoding="utf-8"))
    place = {root / f"{page}.py": n for n, page in enumerate(pages)}
    return sorted(publish.chapters(root), key=lambda script: (place.get(script, len(place)), script))


# %% [markdown]
# ## From the site's Markdown to a notebook's
# The site understands more than Jupyter does: glossary terms, citations, numbers computed in the chapter. A
# notebook that is handed out shall read well in any Jupyter, so these are put in plain words. Numbers come
# from the stored outputs; those that only a solution computes are left out of the student edition.

# %%
_GLUED = "application/papermill.record/text/plain"
_DIRECTIVE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w-]+)\}[ ]*(?P<argument>[^\n]*)\n(?P<body>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def _glued(cells: list) -> dict[str, str]:
    """Values that cells hand to the prose, by name."""
    found = {}
    for cell in cells:
        for output in cell.get("outputs", []):
            if _GLUED in output.get("data", {}):
                found[output.metadata["scrapbook"]["name"]] = output.data[_GLUED].strip("'")
    return found


def _directive(block: re.Match) -> str:
    body = _OPTION.sub("", block["body"]).strip()
    if block["name"] == "math":
        return f"$$\n{body}\n$$"
    heading = block["argument"].strip()
    if block["name"] != "admonition":
        heading = f"{block['name'].capitalize()} {heading}".strip()
    return "\n".join(["> " + line if line else ">" for line in [f"**{heading}**", "", *body.splitlines()]])


def _link(match: re.Match, folder: Path) -> str:
    text, target = match["text"], match["target"]
    if target.startswith(("http:", "https:", "mailto:")):
        return match[0]
    path = Path(os.path.normpath(folder / target.partition("#")[0]))
    if not path.is_file():  # a case of the gallery, a section: a reference that only the site resolves
        return text or target
    chapter = path.suffix == ".ipynb"
    text = text or title(path.with_suffix(".py") if chapter else path)
    return f"[{text}]({target.partition('#')[0]})" if chapter else text


def _cited(match: re.Match) -> str:
    keys = [re.sub(r"^([a-z]+)(\d{4})\w*$", r"\1 \2", key.strip()) for key in match[2].split(",")]
    names = ", ".join(key.title() for key in keys)
    return names if match[1] == "cite:t" else f"({names})"


def readable(text: str, values: dict[str, str], folder: Path) -> str:
    """Put the site's Markdown in words that any Jupyter shows.

    Parameters
    ----------
    text : str
        MyST Markdown.
    values : dict
        Values for ``glue``, by name; what is missing becomes an ellipsis.
    folder : Path
        Where the chapter lies, to resolve its links.

    Returns
    -------
    str

    Examples
    --------
    >>> here = publish.ROOT / "book" / "audit"
    >>> readable("{term}`Leads <lead>`: {glue:text}`n` {cite}`khan2021`; see [](lookup.ipynb)", {"n": "12"}, here)
    'Leads: 12 (Khan 2021); see [A classifier that never looks](lookup.ipynb)'
    """
    text = _DIRECTIVE.sub(_directive, text)
    text = re.sub(r"\{glue:text\}`([^`]+)`", lambda m: values.get(m[1], "…"), text)
    text = re.sub(r"\{(cite(?::\w+)?)\}`([^`]+)`", _cited, text)
    text = re.sub(r"\{numref\}`[^`]+`", "the figure", text)
    text = re.sub(r"\{[\w:]+\}`([^`<]+?)[ ]*(?:<[^>`]*>)?`", r"\1", text)
    return _LINK.sub(lambda match: _link(match, folder), text)


# %% [markdown]
# ## The two editions
# In the student edition, everything that belongs to a solution is left out, outputs included, and each
# exercise is followed by a blank cell; if the exercise has a check, a second cell calls it. The teacher's
# edition keeps everything.


# %%
def _heading(piece: Piece) -> str:
    stated = _DIFFICULTY.match(piece.text)
    known = grade.declared().get(piece.label)
    facts = [stated[1].lower()] if stated else []
    if known:
        facts.append(f"about {known.minutes} minutes")
    return f"#### Exercise {piece.label.removeprefix('ex-')}" + (f" ({', '.join(facts)})" if facts else "")


def _exercise(piece: Piece, values: dict[str, str], folder: Path) -> nbformat.NotebookNode:
    question = readable(_DIFFICULTY.sub("", piece.text), values, folder)
    return nbformat.v4.new_markdown_cell(f"{_heading(piece)}\n{question}")


def _blanks(label: str) -> Iterator[nbformat.NotebookNode]:
    """An empty cell for the answer; below it the check, if there is one."""
    wanted = grade.asked(label)
    if not wanted:
        yield nbformat.v4.new_code_cell("# Your answer here")
        return
    name = "answer_" + label.rpartition("-")[2]
    yield nbformat.v4.new_code_cell(f"# Your answer here: {wanted}\n{name} = None")
    yield nbformat.v4.new_code_cell(f'from ecgbook import grade\n\ngrade.check("{label}", {name})')


def _code(piece: Piece, values: dict[str, str], folder: Path) -> Iterator[nbformat.NotebookNode]:
    """A code cell with its outputs; hidden where the site folds it; then its caption, which Jupyter does not show."""
    cell = nbformat.v4.new_code_cell(piece.text, outputs=piece.cell.get("outputs", []))  # type: ignore[attr-defined]
    cell["execution_count"] = piece.cell.get("execution_count")  # type: ignore[attr-defined]
    if "hide-input" in piece.cell.metadata.get("tags", []):  # type: ignore[attr-defined]
        cell.metadata["jupyter"] = {"source_hidden": True}
    yield cell
    if caption := piece.cell.metadata.get("mystnb", {}).get("figure", {}).get("caption"):  # type: ignore[attr-defined]
        yield nbformat.v4.new_markdown_cell(f"*{readable(caption, values, folder)}*")


def _finished(cells: list, name: str) -> nbformat.NotebookNode:
    """Make a notebook whose cells have the same identifiers each time."""
    for number, cell in enumerate(cells):
        cell["id"] = hashlib.sha256(f"{name} {number}".encode()).hexdigest()[:16]
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata = type(book.metadata)(kernelspec=publish.KERNEL, language_info=publish.LANGUAGE)
    nbformat.validate(book)
    return book


def student(script: Path) -> nbformat.NotebookNode:
    """Make the notebook of a chapter without solutions, with blanks and checks.

    Parameters
    ----------
    script : Path
        The chapter's script; its executed notebook lies beside it.

    Returns
    -------
    NotebookNode
    """
    kept = [piece for piece in pieces(stored(script)) if not piece.solves]
    values = _glued([piece.cell for piece in kept if piece.kind == "code"])
    cells = []  # type: ignore[var-annotated]
    for piece in kept:
        if piece.kind == "code":
            cells += _code(piece, values, script.parent)
        elif piece.kind == "exercise":
            cells += [_exercise(piece, values, script.parent), *_blanks(piece.label)]
        else:
            cells.append(nbformat.v4.new_markdown_cell(readable(piece.text, values, script.parent)))
    return _finished(cells, script.stem)


def teacher(script: Path) -> nbformat.NotebookNode:
    """Make the notebook of a chapter with its solutions.

    Parameters
    ----------
    script : Path

    Returns
    -------
    NotebookNode
    """
    book = stored(script)
    values = _glued(book.cells)
    cells, solves = [], ""
    for piece in pieces(book):
        if piece.solves and piece.solves != solves:
            name = piece.solves.removeprefix("ex-")
            cells.append(nbformat.v4.new_markdown_cell(f"**Solution of {name}**"))
        solves = piece.solves
        if piece.kind == "code":
            cells += _code(piece, values, script.parent)
        elif piece.kind == "exercise":
            cells.append(_exercise(piece, values, script.parent))
        else:
            cells.append(nbformat.v4.new_markdown_cell(readable(piece.text, values, script.parent)))
    return _finished(cells, script.stem)


# %% [markdown]
# ## The archive
# The same book gives the same bytes: names are sorted and carry no time. What a student's table may not say
# is what an exercise trains, for "find the mistake" would be told there.

# %%
_CARE = """\
Text CC BY 4.0, code BSD 3-Clause; data: ECG Images dataset of Cardiac Patients (Khan and Hussain, CC BY 4.0).
No medical device: nothing here is for diagnosis.
"""

_STUDENT_README = f"""# ecgbook, edition for students

The chapters of the book as notebooks, without the solutions. Behind each exercise is a blank cell. Where a cell
with `grade.check(...)` follows, put what is asked for into the variable and run the cell: it says whether the
answer is right, and if not, which part is wrong. {{checked}} of {{count}} exercises have such a check; the others
ask for an argument, a table or a picture. `exercises.md` lists them all.

1. Get the repository of the book and run `make install` in it (Python 3.11 to 3.13, once, a few minutes).
2. Unpack this archive anywhere and open the notebooks with the environment `.venv` of the repository, in
   JupyterLab (`.venv/bin/python -m pip install jupyterlab`) or an editor.
3. Each notebook runs from top to bottom, offline, with all its blanks left.

{_CARE}"""

_TEACHER_README = f"""# ecgbook, edition for teachers

The chapters of the book as notebooks, with all solutions. `exercises.md` and `exercises.csv` list the {{count}}
exercises: chapter, difficulty, minutes, what each trains, and whether the student edition checks it ({{checked}}
are checked). Course plans for two hours, a day and four weeks stand on the page *Teaching with this book*.
`make student` makes the archive for the class.

{_CARE}"""

EDITIONS = {"student": (student, _STUDENT_README), "teacher": (teacher, _TEACHER_README)}


def _as_table(frame: pd.DataFrame) -> str:
    rows = [frame.columns, ["---"] * len(frame.columns), *frame.astype(str).itertuples(index=False)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _listing(table: pd.DataFrame, edition: str) -> pd.DataFrame:
    listed = table.assign(checked=table["checked"].map({True: "yes", False: "no"}))
    columns = ["chapter", "label", "difficulty", "minutes", "trains", "checked"]
    return listed[columns if edition == "teacher" else [c for c in columns if c != "trains"]]


def contents(edition: str, root: Path = publish.ROOT) -> dict[str, bytes]:
    """Return the files of an edition, by name.

    Parameters
    ----------
    edition : str
        "student" or "teacher".
    root : Path
        The repository.

    Returns
    -------
    dict
        Path within the archive to bytes.
    """
    make, readme = EDITIONS[edition]
    table = exercises(root)
    listed = _listing(table, edition)
    files = {
        "README.md": readme.format(count=len(table), checked=int(table["checked"].sum())),
        "exercises.md": f"# Exercises\n\n{_as_table(listed)}",
    }
    if edition == "teacher":
        files["exercises.csv"] = listed.to_csv(index=False, lineterminator="\n")
    for script in publish.chapters(root):
        page = script.relative_to(root).with_suffix(".ipynb").as_posix()
        files[page] = nbformat.writes(make(script), version=4) + "\n"
    return {name: text.encode() for name, text in sorted(files.items())}


def write(edition: str, folder: Path = DIST, root: Path = publish.ROOT) -> Path:
    """Write an edition as a zip archive, whole or not at all.

    Parameters
    ----------
    edition : str
        "student" or "teacher".
    folder : Path
        Where to; made if it is missing.
    root : Path
        The repository.

    Returns
    -------
    Path
        The archive.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"ecgbook-{edition}.zip"
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w") as archive:
        for name, content in contents(edition, root).items():
            entry = zipfile.ZipInfo(f"ecgbook-{edition}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)
    os.replace(part, path)
    return path


# %% [markdown]
# ## The key
# What the book answers is what its solution shows last: the output of the last code cell, read as a Python
# value, or the numbers in it. `python -m ecgbook.classroom key` seals these answers. It is run on purpose,
# when an exercise was written or a result has rightly changed; a test compares the stored outputs with the
# seals, so that an answer that changes by mistake is noticed.


# %%
def read_answer(shown: str) -> object:
    """Read an answer from what a cell shows: a Python value, or else the numbers in the text.

    Examples
    --------
    >>> read_answer("({215}, 5)")
    ({215}, 5)
    >>> read_answer("median 2.0, largest 5.9 beats a minute")
    (2.0, 5.9)
    >>> read_answer("'IoU 0.57'")
    0.57
    """
    try:
        value = ast.literal_eval(shown.strip())
    except (SyntaxError, ValueError):
        value = shown
    if not isinstance(value, str):
        return value
    numbers = tuple(float(n) for n in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w]|\.\d)", value))
    return numbers if len(numbers) != 1 else numbers[0]


def _shown(cell: nbformat.NotebookNode) -> str:
    texts = [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.get("outputs", [])
        if _GLUED not in output.get("data", {})
    ]
    return "".join(texts)


def book_answers(root: Path = publish.ROOT) -> dict[str, object]:
    """Return the book's own answers to the exercises that can be checked, from the stored notebooks.

    Parameters
    ----------
    root : Path

    Returns
    -------
    dict
        Label to answer; exercises whose solution shows nothing are left out.
    """
    found = {}
    for script in publish.chapters(root):
        for piece in pieces(stored(script)):
            known = grade.declared().get(piece.solves)
            if piece.kind == "code" and known and known.hand_over and (shown := _shown(piece.cell)):  # type: ignore[arg-type]
                found[piece.solves] = read_answer(shown)
    return found


def key(root: Path = publish.ROOT) -> str:
    """Return the seals of the book's answers as JSON, in the order of their labels."""
    sealed = {
        label: grade.seal(label, answer, grade.declared()[label].tolerance)
        for label, answer in sorted(book_answers(root).items())
    }
    return json.dumps(sealed, indent=1) + "\n"


# %%
def main(arguments: list[str]) -> int:
    """Write the named editions, or with ``key`` the seals; return the exit status."""
    wrong = [a for a in arguments if a not in (*EDITIONS, "key")]
    if wrong or not arguments:
        print(f"usage: python -m ecgbook.classroom {'|'.join((*EDITIONS, 'key'))}", file=sys.stderr)
        return 2
    try:
        for name in arguments:
            if name == "key":
                data.write_whole(grade.ANSWERS, key())
                print(f"{grade.ANSWERS}: sealed")
            else:
                path = write(name)
                print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {len(exercises())} exercises")
    except EcgbookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
