"""Questions with several answers, of which the reader opens one: native details, so no script is needed.

A question is written in Markdown, with the question itself as the argument of the directive::

    ```{quiz} What is a *twin*?
    - [ ] The second lead of a pair.
      : Leads are not copied.
    - [x] A copy of a test page in training.
      : It can be looked up.
    ```

Exactly one answer is marked, and every answer is explained, the wrong ones too; anything else is an error.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

OPTION = re.compile(r"^- \[(?P<mark>[ x])\] (?P<text>\S.*)$")
WHY = re.compile(r"^\s+: (?P<why>\S.*)$")


class Option(NamedTuple):
    """One answer: its text, whether it is the right one, and why or why not."""

    text: str
    right: bool
    why: str


def options(lines: list[str]) -> list[Option]:
    """Read the answers to a question; a ``ValueError`` says what is wrong with them."""
    found: list[list] = []
    for line in filter(str.strip, lines):
        if option := OPTION.match(line):
            found.append([option["text"], option["mark"] == "x", ""])
        elif found and (why := WHY.match(line)) and not found[-1][2]:
            found[-1][2] = why["why"]
        elif found and line.startswith(" "):  # a line goes on
            last = 2 if found[-1][2] else 0
            found[-1][last] += " " + line.strip()
        else:
            raise ValueError(f"this is neither an answer nor its explanation: {line}")
    answers = [Option(*parts) for parts in found]
    if sum(answer.right for answer in answers) != 1:
        raise ValueError("exactly one answer is to be marked with [x]")
    if len(answers) < 3:
        raise ValueError("a question needs three answers at least")
    for answer in answers:
        if not answer.why:
            raise ValueError(f"this answer is not explained: {answer.text}")
    return answers


class quiz(nodes.General, nodes.Element):
    """A question and its answers."""


class quiz_question(nodes.General, nodes.TextElement):
    """The question."""


class quiz_answers(nodes.General, nodes.Element):
    """The list of answers."""


class quiz_answer(nodes.General, nodes.Element):
    """One answer, closed until the reader chooses it."""


class quiz_choice(nodes.General, nodes.TextElement):
    """What the reader clicks on."""


def tags(before: str, after: str):
    """Return the two functions that write a node of the quiz as HTML."""

    def visit(writer, node) -> None:
        writer.body.append(before.format(**node.attributes))

    def depart(writer, node) -> None:
        writer.body.append(after)

    return visit, depart


def nothing(writer, node) -> None:
    """Other builders show the text as it comes."""


HTML = {
    quiz: tags('<div class="quiz" role="group" aria-labelledby="{name}">', "</div>\n"),
    quiz_question: tags(
        '<p class="quiz-question" id="{name}"><strong>Question {number}.</strong> ', "</p>\n"
    ),
    quiz_answers: tags('<ol class="quiz-answers">', "</ol>\n"),
    quiz_answer: tags('<li><details class="quiz-{kind}" name="{name}">', "</details></li>\n"),
    quiz_choice: tags("<summary>", "</summary>\n"),
}


class Quiz(SphinxDirective):
    """A question with several answers."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make the nodes of one question."""
        try:
            answers = options(list(self.content))
        except ValueError as fault:
            raise self.error(f"quiz: {fault}") from None
        number = self.env.temp_data["quiz"] = self.env.temp_data.get("quiz", 0) + 1
        name = f"quiz-{number}"
        question = self.inline(quiz_question(name=name, number=number), self.arguments[0])
        listed = quiz_answers("", *(self.answer(name, answer) for answer in answers))
        return [quiz("", question, listed, name=name)]

    def inline(self, node: nodes.TextElement, text: str) -> nodes.TextElement:
        """Fill a node with a line of Markdown."""
        node += self.parse_inline(text)[0]
        return node

    def answer(self, name: str, answer: Option) -> nodes.Element:
        """Make the nodes of one answer."""
        says = nodes.strong("", "Right. " if answer.right else "Not so. ")
        why = self.inline(nodes.paragraph("", "", says, classes=["quiz-why"]), answer.why)
        choice = self.inline(quiz_choice(), answer.text)
        return quiz_answer("", choice, why, name=f"{name}-answers", kind="right" if answer.right else "wrong")


def setup(app):
    for node, functions in HTML.items():
        app.add_node(node, html=functions, latex=(nothing, nothing), text=(nothing, nothing), epub=functions)
    app.add_directive("quiz", Quiz)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
