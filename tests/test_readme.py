"""The README: every command in it exists, with its options, and each task takes three commands at most."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ecgbook import cli, study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
INLINE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
LINES = [line.partition("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]
COMMANDS = sorted({line for line in LINES + INLINE if re.match(r"make |(\S*/)?(ecgbook|pip|python3) ", line)})


def faults(command: str) -> list[str]:
    """What is wrong with a command, as far as can be said without running it."""
    program, *words = shlex.split(command)
    match Path(program).name:
        case "make":
            targets = [word for word in words if "=" not in word]
            variables = [word.partition("=")[0] for word in words if "=" in word]
            unknown = [word for word in targets if not re.search(rf"^{word}:.*## ", MAKEFILE, re.MULTILINE)]
            return unknown + [word for word in variables if f"$({word})" not in MAKEFILE]
        case "ecgbook":
            return _faults_of_ours(words)
        case "pip":
            return [] if words == ["install", "."] else words
        case _:
            return [] if words[:2] == ["-m", "venv"] else words


def _faults_of_ours(words: list[str]) -> list[str]:
    command = typer.main.get_command(cli.app)
    while hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            return words or ["no command"]
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    return [word for word in words if word.startswith("--") and word not in known]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("make book", []),
        ("make bok", ["bok"]),
        ("make execute CHAPTER=a.py", ["CHAPTER"]),
        ("ecgbook audit DIR --report a.html", []),
        (".venv/bin/ecgbook audit DIR --repot a.html", ["--repot"]),
        ("ecgbook data fetsh eicp", ["fetsh", "eicp"]),
        ("ecgbook study", ["no command"]),
        ("ecg/bin/pip install ecgbook", ["install", "ecgbook"]),
    ],
)
def test_a_command_that_does_not_exist_is_seen(command, found):
    assert faults(command) == found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_exists(command):
    assert faults(command) == []


def test_the_four_tasks_are_there_and_take_three_commands_at_most():
    assert all(len([line for line in block.splitlines() if line.strip()]) <= 3 for block in BLOCKS)
    for task in ("make book", "make execute", "ecgbook audit", "ecgbook predict"):
        assert any(task in line for line in LINES), task


def test_what_the_readme_names_is_there():
    named = [word for command in COMMANDS for word in shlex.split(command) if "/" in word and "=" in word]
    paths = [word.partition("=")[2] for word in named]
    paths += [path for path in re.findall(r"\]\(([^)#:]+)\)", README)]
    paths += [word for word in INLINE if re.fullmatch(r"(book|ecgbook|tests|examples)/[\w./-]*", word)]
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []
    runs = [command.split()[3] for command in COMMANDS if "ecgbook study show" in command]
    assert runs and all(run in study.DECLARED for run in runs)


def test_every_command_has_an_example_or_needs_none():
    """Those that take something of one's own show how, and the example is a command that exists."""
    for words in (
        ["predict"],
        ["digitize"],
        ["audit"],
        ["study", "run"],
        ["study", "show"],
        ["data", "fetch"],
    ):
        shown = CliRunner().invoke(cli.app, [*words, "--help"], env={"COLUMNS": "200"}).stdout
        (example,) = re.findall(r"Example: (ecgbook .*?)\s*$", shown, flags=re.MULTILINE)
        assert example.startswith(" ".join(["ecgbook", *words])) and faults(example) == []


def test_help_fits_eighty_columns():
    for words in ([], ["data"], ["study"], ["predict"], ["audit"], ["study", "run"], ["data", "manifest"]):
        shown = CliRunner().invoke(cli.app, [*words, "--help"], env={"COLUMNS": "80"}).stdout
        assert max(map(len, shown.splitlines())) <= 80 and "…" not in shown
