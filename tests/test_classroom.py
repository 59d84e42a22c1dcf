"""The two editions, the exercises, the quizzes, the course plans, and the path for data of one's own."""

from __future__ import annotations

import ast
import builtins
import importlib
import io
import json
import re
import shlex
import zipfile

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from ecgbook import classroom, cli, grade, publish

ROOT = publish.ROOT
TEACH = ROOT / "book" / "teach"
SCRIPTS = publish.chapters()
TABLE = classroom.exercises()
chapter = pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)


@pytest.fixture(scope="module")
def editions() -> dict[str, dict[str, bytes]]:
    return {name: classroom.contents(name) for name in classroom.EDITIONS}


# The exercises


def test_there_are_exercises_of_every_difficulty_in_every_chapter():
    assert len(TABLE) >= 100 and TABLE["label"].is_unique
    assert TABLE["difficulty"].value_counts().reindex(["Easy", "Medium", "Hard"]).min() >= 15
    assert set(TABLE["page"]) == {s.relative_to(ROOT).with_suffix("").as_posix() for s in SCRIPTS}
    assert (TABLE["difficulty"] != "").all(), TABLE[TABLE["difficulty"] == ""]["label"].tolist()


def test_what_is_declared_belongs_to_an_exercise():
    assert set(grade.declared()) <= set(TABLE["label"])
    assert TABLE["minutes"].between(5, 60).all() and TABLE["trains"].str.len().gt(3).all()


def test_harder_exercises_take_longer():
    mean = TABLE.groupby("difficulty")["minutes"].mean()
    assert mean["Easy"] < mean["Medium"] < mean["Hard"]


def test_an_exercise_of_which_nothing_is_declared_still_has_its_row(monkeypatch):
    monkeypatch.setattr(grade, "declared", dict)
    bare = classroom.exercises()
    assert bare["minutes"].isin([5, 15, 30]).all() and (bare["trains"] == bare["chapter"]).all()


@chapter
def test_every_exercise_has_a_solution_that_is_run_and_asserts(script):
    pieces = classroom.pieces(publish.notebook(script))
    labels = [piece.label for piece in pieces if piece.kind == "exercise"]
    code = {label: "" for label in labels}
    for piece in pieces:
        assert not piece.solves or piece.solves in code, f"{piece.solves} solves nothing"
        if piece.kind == "code" and piece.solves:
            code[piece.solves] += piece.text + "\n"
    without = [
        label
        for label, text in code.items()
        if not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(text)))
    ]
    assert without == []


# The student edition


def significant(text: str) -> set[str]:
    """The lines and sentences of a text that say something of their own."""
    parts = re.split(r"\n|(?<=[.?!:;])\s", text)
    return {" ".join(part.split()) for part in parts if len(part.split()) >= 3 or len(part.strip()) >= 18}


def told_by(script) -> tuple[set[str], str]:
    """What only the solutions of a chapter say, in code, prose and outputs; and all the rest, as one text."""
    book = classroom.stored(script)
    secret, open_text = set(), []
    values = classroom._glued(book.cells)
    for piece in classroom.pieces(book):
        shown = classroom._shown(piece.cell) if piece.kind == "code" else ""
        text = piece.text if piece.kind == "code" else classroom.readable(piece.text, values, script.parent)
        if piece.solves:
            secret |= significant(text) | significant(piece.text) | significant(shown)
        else:
            open_text += [text, piece.text, shown]
    return secret, " ".join(" ".join(open_text).split())


def text_of(content: bytes) -> str:
    cells = json.loads(content)["cells"]
    parts = [c["source"] if isinstance(c["source"], str) else "".join(c["source"]) for c in cells]
    for cell in cells:
        for output in cell.get("outputs", []):
            parts.append(json.dumps(output, ensure_ascii=False))
    return " ".join(" ".join(parts).split())


def page(script) -> str:
    return script.relative_to(ROOT).with_suffix(".ipynb").as_posix()


@chapter
def test_the_student_edition_holds_no_text_of_a_solution(script, editions):
    secret, open_text = told_by(script)
    secret = {line for line in secret if line not in open_text}
    assert secret, "the solutions of this chapter say nothing: is the search blind?"
    handed_out = text_of(editions["student"][page(script)])
    assert sorted(line for line in secret if line in handed_out) == []


@chapter
def test_the_search_for_solutions_finds_them_in_the_teachers_edition(script, editions):
    secret, open_text = told_by(script)
    secret = {line for line in secret if line not in open_text}
    full = text_of(editions["teacher"][page(script)])
    found = sum(line in full for line in secret)
    assert found >= 0.5 * len(secret)  # glued numbers stand in prose in two forms, of which one is found


def test_no_solution_stands_in_the_other_files_for_students(editions):
    for name in ("README.md", "exercises.md"):
        text = editions["student"][name].decode()
        told = [e.trains for e in grade.declared().values() if e.label.startswith("ex-wrong")]
        assert not [words for words in told if words in text]
    assert "exercises.csv" not in editions["student"]


@chapter
def test_every_exercise_has_its_blank_and_its_check(script, editions):
    cells = nbformat.reads(editions["student"][page(script)].decode(), as_version=4).cells
    labels = TABLE.loc[TABLE["page"] == page(script)[: -len(".ipynb")], "label"]
    blanks = [c for c in cells if c.cell_type == "code" and c.source.startswith("# Your answer here")]
    assert len(blanks) == len(labels)
    checks = re.findall(r'grade\.check\("([\w-]+)"', "\n".join(c.source for c in cells))
    assert checks == [label for label in labels if grade.asked(label)]
    assert all(not c.outputs for c in blanks)


def names(code: str, kind: type) -> set[str]:
    tree = ast.parse(code)
    found = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}
    if kind is ast.Store:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                found.add(node.name)
    return found


@chapter
def test_nothing_that_is_left_needs_a_name_of_a_solution(script, editions):
    known = set(dir(builtins)) | {"get_ipython", "display"}
    for cell in nbformat.reads(editions["student"][page(script)].decode(), as_version=4).cells:
        if cell.cell_type == "code":
            known |= names(cell.source, ast.Store)
            assert names(cell.source, ast.Load) <= known, names(cell.source, ast.Load) - known


@pytest.mark.parametrize("name", ["book/audit/lookup.ipynb", "book/teach/what_went_wrong.ipynb"])
def test_a_student_notebook_runs_with_its_blanks(name, editions, monkeypatch, tmp_path):
    monkeypatch.delenv("ECGBOOK_DATA", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = nbformat.reads(editions["student"][name].decode(), as_version=4)
    NotebookClient(book, timeout=300, kernel_name="python3").execute(cwd=str(tmp_path))
    said = [
        output.get("data", {}).get("text/plain", "")
        for cell in book.cells
        if cell.cell_type == "code" and "grade.check(" in cell.source
        for output in cell.outputs
    ]
    assert len(said) >= 2 and all("not answered yet" in text for text in said)


@chapter
def test_an_editions_notebook_reads_well_in_any_jupyter(script, editions):
    for edition in editions.values():
        cells = nbformat.reads(edition[page(script)].decode(), as_version=4).cells
        prose = "\n".join(c.source for c in cells if c.cell_type == "markdown")
        prose = re.sub(r"\$\$.*?\$\$|\$[^$]*\$", " ", prose, flags=re.DOTALL)
        assert not re.search(r"\{[a-z:]+\}`|^`{3,}\{|^:{3,}\{|\[\]\(", prose, flags=re.MULTILINE)


@chapter
def test_links_between_notebooks_lead_somewhere(script, editions):
    folder = script.parent
    for edition in editions.values():
        cells = nbformat.reads(edition[page(script)].decode(), as_version=4).cells
        prose = "\n".join(c.source for c in cells if c.cell_type == "markdown")
        for target in re.findall(r"\]\(([^)\s]+\.ipynb)\)", prose):
            assert (folder / target).resolve().relative_to(ROOT).as_posix() in edition


def test_figures_keep_their_captions(editions):
    cells = nbformat.reads(editions["student"]["book/welcome.ipynb"].decode(), as_version=4).cells
    assert any(c.source.startswith("*A page drawn by the package") for c in cells)


# The archives


def test_archives_are_the_same_each_time_and_whole(tmp_path, editions, monkeypatch):
    monkeypatch.setattr(classroom, "contents", lambda edition, root: editions[edition])
    first, second = (classroom.write("student", tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert [p.name for p in first.parent.iterdir()] == ["ecgbook-student.zip"]
    with zipfile.ZipFile(first) as archive:
        assert archive.testzip() is None
        assert {n.partition("/")[0] for n in archive.namelist()} == {"ecgbook-student"}
        assert len(archive.namelist()) == len(SCRIPTS) + 2


def test_making_an_edition_twice_gives_the_same_notebook():
    script = ROOT / "book" / "audit" / "copies.py"
    once, again = (nbformat.writes(classroom.student(script)) for _ in range(2))
    assert once == again


def test_the_teachers_table_holds_every_exercise(editions):
    table = pd.read_csv(io.BytesIO(editions["teacher"]["exercises.csv"]))
    assert list(table["label"]) == list(TABLE["label"])
    assert {"chapter", "difficulty", "minutes", "trains", "checked"} <= set(table)
    assert (table["checked"] == "yes").sum() == len(grade.seals()) >= 40


def test_the_command_says_what_it_wrote_and_refuses_what_it_does_not_know(
    tmp_path, capsys, monkeypatch, editions
):
    monkeypatch.setattr(classroom, "contents", lambda edition, root: editions[edition])
    monkeypatch.setattr(classroom.write, "__defaults__", (tmp_path, ROOT))
    assert classroom.main(["teacher"]) == 0
    assert "ecgbook-teacher.zip" in capsys.readouterr().out
    for wrong in (["pupils"], []):
        assert classroom.main(wrong) == 2
        assert "student|teacher|key" in capsys.readouterr().err


# The quizzes


@pytest.fixture
def quiz(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "_ext"))
    return importlib.import_module("quiz")


QUIZ = re.compile(r"^```\{quiz\} ([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUIZZES = (TEACH / "quizzes.md").read_text(encoding="utf-8")


def test_every_part_of_the_book_has_its_questions():
    parts = re.split(r"^## ", QUIZZES, flags=re.MULTILINE)[1:]
    counts = {part.partition("\n")[0]: len(QUIZ.findall(part)) for part in parts}
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    captions = re.findall(r"caption: (.+)", toc)
    assert set(counts) >= set(captions) - {"Teaching", "The package", "Back matter", "中文"}
    assert all(3 <= count <= 5 for count in counts.values()), counts


def test_every_question_has_one_right_answer_and_explains_them_all(quiz):
    found = QUIZ.findall(QUIZZES)
    assert len(found) == QUIZZES.count("{quiz}") >= 20
    for question, body in found:
        answers = quiz.options(body.splitlines())
        assert sum(answer.right for answer in answers) == 1, question
        assert all(len(answer.why) > 20 for answer in answers), question
        assert len({answer.text for answer in answers}) == len(answers)


def test_the_right_answer_is_not_always_in_the_same_place(quiz):
    places = [
        [answer.right for answer in quiz.options(body.splitlines())].index(True)
        for _, body in QUIZ.findall(QUIZZES)
    ]
    assert max(places.count(place) for place in set(places)) <= 0.6 * len(places)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("- [ ] a\n  : x\n- [ ] b\n  : x\n- [ ] c\n  : x", "exactly one"),
        ("- [x] a\n  : x\n- [x] b\n  : x\n- [ ] c\n  : x", "exactly one"),
        ("- [x] a\n  : x\n- [ ] b\n- [ ] c\n  : x", "not explained: b"),
        ("- [x] a\n  : x\n- [ ] b\n  : x", "three answers"),
        ("text", "neither"),
    ],
)
def test_a_faulty_question_stops_the_build(quiz, body, fault):
    with pytest.raises(ValueError, match=fault):
        quiz.options(body.splitlines())


# The course plans

COURSE = (TEACH / "course.md").read_text(encoding="utf-8")
LENGTHS = {"Two hours": [120], "One day": [420], "Four weeks": [120] * 4}


def timed(section: str) -> pd.DataFrame:
    """The first table of a section of the course page: week, minutes, exercises in class."""
    body = COURSE.split(f"## {section}")[1].split("\n## ")[0]
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in body.splitlines() if line[:1] == "|"]
    head = rows[0]
    rows = [row for row in rows[2:] if len(row) == len(head)]
    frame = pd.DataFrame(rows, columns=head)
    inside = next(name for name in ("exercises in class", "exercises") if name in head)
    return pd.DataFrame(
        {
            "week": frame["week"] if "week" in head else "1",
            "minutes": frame["minutes"].astype(int),
            "labels": frame[inside].str.findall(r"\{ref\}`([\w-]+)`"),
        }
    )


@pytest.mark.parametrize("section", LENGTHS)
def test_plans_last_as_long_as_they_say_and_leave_time_for_their_exercises(section):
    plan = timed(section)
    assert plan.groupby("week")["minutes"].sum().tolist() == LENGTHS[section]
    minutes = TABLE.set_index("label")["minutes"]
    for row in plan.itertuples():
        assert minutes.reindex(row.labels).sum() <= row.minutes, row


def test_plans_name_exercises_and_chapters_that_exist():
    assert set(re.findall(r"\{ref\}`([\w-]+)`", COURSE)) <= set(TABLE["label"])
    for target in re.findall(r"\]\(([^)\s]+)\)", COURSE):
        assert (TEACH / target).is_file(), target


def test_points_sum_to_a_hundred():
    table = COURSE.split("| points | what |")[1]
    assert sum(int(n) for n in re.findall(r"^\| (\d+) \|", table, flags=re.MULTILINE)) == 100


# Data of one's own

OWN = (TEACH / "own_data.md").read_text(encoding="utf-8")


def draw(shape: str, rng: np.random.Generator) -> Image.Image:
    picture = Image.fromarray(rng.integers(0, 60, size=(64, 64), dtype=np.uint8))
    x, y = rng.integers(6, 22, size=2).tolist()
    size = int(rng.integers(18, 34))
    pen = ImageDraw.Draw(picture)
    (pen.ellipse if shape == "round" else pen.rectangle)((x, y, x + size, y + size), fill=230)
    return picture


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of 48 drawn shapes in two classes, of which twelve are there twice."""
    rng = np.random.default_rng(0)
    for shape in ("round", "square"):
        folder = tmp_path / "images" / shape
        folder.mkdir(parents=True)
        for n in range(18):
            draw(shape, rng).save(folder / f"{n}.png")
        for n in range(6):
            (folder / f"copy {n}.png").write_bytes((folder / f"{n}.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_for_own_data_run_as_they_stand(own, capsys):
    (command,) = re.findall(r"^```sh\n(.*?)^```$", OWN, flags=re.MULTILINE | re.DOTALL)
    program, *arguments = shlex.split(command)
    assert program == "ecgbook" and {"--report", "--groups", "--fail-on-leak"} <= set(arguments)
    assert CliRunner().invoke(cli.app, arguments).exit_code == 3  # there is a leak, and it says so
    assert "<html" in (own / "audit.html").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", OWN, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    space: dict = {}
    for block in blocks:
        exec(compile(block, "own_data.md", "exec"), space)
    said = capsys.readouterr().out
    assert "48 files, 36 distinct" in said
    for line in ("largest class 0.50", "nearest thumbnail", "balanced", "round: ", "square: "):
        assert line in said
    low, high = map(float, re.search(r"accuracy [\d.]+ \(([\d.]+) to ([\d.]+)\)", said).groups())
    assert low < space["hit"].mean() < high
