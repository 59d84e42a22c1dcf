"""References that an author need not write: words to the glossary, numbers to chapters, and an index of the figures.

All three look at the book as a whole, so they work on finished pages, when every page has been read. None of them
changes a source: a chapter opened as a notebook reads as it was written.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from docutils import nodes
from myst_nb.ext.glue.crossref import PendingGlueReference
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective

GLOSSARY = "book/back/glossary"
NUMBERS = "_static/numbers"  # of the site: the CSV files that the index of figures links to

# --- The first use of a word leads to the glossary ---------------------------------------------------------

#: Words that also mean something else in plain English, or in another chapter: only an author can tell, and links
#: them by hand.
EVERYDAY = frozenset(
    {
        "attention", "backbone", "baseline", "beat", "calibration", "coverage", "feature", "fold", "gap", "group",
        "head", "lead", "lead off", "leak", "mV", "page", "parameter", "power", "precision", "protocol", "recall",
        "record", "residual", "run", "sensitivity", "study", "territory", "the gap", "the leak", "token", "twin",
    }
)  # fmt: skip
#: Pages that explain the words themselves, or are written in another language.
UNLINKED = (GLOSSARY, "book/back/bibliography", "book/back/figures", "book/zh/")
#: No word is linked in these.
CLOSED = (
    nodes.title,
    nodes.reference,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.comment,
    nodes.rubric,
    nodes.term,
)


def names_of(term: str) -> list[str]:
    """Return the names in a term of the glossary that are no everyday words.

    >>> names_of("electrocardiogram (ECG)"), names_of("premature beat (ectopy)"), names_of("lead")
    (['electrocardiogram', 'ECG'], ['premature beat', 'ectopy'], [])
    """
    names = [name for name in re.split(r"\s*\(|\)", term) if name]
    return [] if term in EVERYDAY else names


def pattern_of(name: str) -> str:
    """Return a regular expression for a name and its plural: abbreviations as they stand, words in either case.

    >>> [bool(re.search(pattern_of("QRS complex"), text)) for text in ("QRS complexes", "a qrs complex", "QRS")]
    [True, True, False]
    >>> bool(re.search(pattern_of("LIME"), "lime"))
    False
    """
    words = re.escape(name).replace(r"\ ", r"\s+")
    flags = "" if name.isupper() or len(name) < 4 else "(?i:"
    return rf"(?<![\w-]){flags}{words}(?:e?s)?{')' if flags else ''}(?![\w-])"


@lru_cache(maxsize=1)
def glossary(env) -> tuple[dict[str, int], dict[int, str], re.Pattern[str]]:
    """Read the glossary: the entry of each anchor, the anchor of each entry, and one expression for all names.

    The names of an entry are groups ``e<entry>_<n>`` of the expression, the longest names first.
    """
    entries, anchors, names = {}, {}, []
    items = env.get_doctree(GLOSSARY).findall(nodes.definition_list_item)
    for number, item in enumerate(items):
        for term in item.findall(nodes.term):
            entries[term["ids"][0]] = number
            anchors.setdefault(number, term["ids"][0])
            names += [(name, number) for name in names_of(term.astext())]
    names.sort(key=lambda pair: -len(pair[0]))
    groups = (f"(?P<e{entry}_{i}>{pattern_of(name)})" for i, (name, entry) in enumerate(names))
    return entries, anchors, re.compile("|".join(groups))


def entry_linked(node: nodes.Node, entries: dict[str, int]) -> int | None:
    """Return the entry of the glossary that a reference leads to."""
    if not isinstance(node, nodes.reference):
        return None
    address, _, anchor = node.get("refuri", "").partition("#")
    return entries.get(anchor) if address.endswith("glossary.html") else None


def is_open(text: nodes.Text) -> bool:
    """Say whether words may be linked here: in running text, not in code, headings, formulas or other links."""
    node = text.parent
    while node is not None:
        # What is clicked to open it holds no link: the choices of a quiz.
        if isinstance(node, CLOSED) or node.tagname == "quiz_choice" or "cell" in node.get("classes", []):
            return False
        if isinstance(node, nodes.paragraph) and "admonition-title" in node.get("classes", []):
            return False
        node = node.parent
    return True


def linked(
    text: nodes.Text, seen: set[int], anchors: dict[int, str], pattern, address: str
) -> list[nodes.Node]:
    """Split a text at the first uses of words of the glossary; ``seen`` learns which they were."""
    parts, at, raw = [], 0, str(text)
    for match in pattern.finditer(raw):
        entry = int(match.lastgroup[1:].partition("_")[0])
        if entry in seen:
            continue
        seen.add(entry)
        word = nodes.inline("", match[0], classes=["xref", "std", "std-term"])
        parts.append(nodes.Text(raw[at : match.start()]))
        parts.append(nodes.reference("", "", word, internal=True, refuri=f"{address}#{anchors[entry]}"))
        at = match.end()
    return [*parts, nodes.Text(raw[at:])] if at else []


def join_texts(doctree: nodes.document) -> None:
    """Make one text of neighbours: a line break in the source parts the words of a term."""
    for parent in list(doctree.findall(nodes.TextElement)):
        joined: list[nodes.Node] = []
        for child in parent.children:
            if isinstance(child, nodes.Text) and joined and isinstance(joined[-1], nodes.Text):
                joined[-1] = nodes.Text(joined[-1] + child)
            else:
                joined.append(child)
        parent.children = joined
        for child in joined:
            parent.setup_child(child)


def link_first_uses(app, doctree: nodes.document, docname: str) -> None:
    """Link the first use of each word of the glossary on a page, unless the author has done it."""
    if docname.startswith(UNLINKED) or GLOSSARY not in app.env.all_docs:
        return
    join_texts(doctree)
    entries, anchors, pattern = glossary(app.env)
    address = app.builder.get_relative_uri(docname, GLOSSARY)
    seen: set[int] = set()
    for node in list(doctree.findall(lambda n: isinstance(n, (nodes.reference, nodes.Text)))):
        if (entry := entry_linked(node, entries)) is not None:
            seen.add(entry)
        elif isinstance(node, nodes.Text) and is_open(node):
            parts = linked(node, seen, anchors, pattern, address)
            node.parent.replace(node, parts or [node])


# --- The number of a chapter that is referred to by its name -----------------------------------------------


def in_brackets(reference: nodes.reference) -> bool:
    """Say whether a reference stands inside round brackets of its paragraph."""
    before = ""
    for sibling in reference.parent.children:
        if sibling is reference:
            break
        before += sibling.astext()
    return sum(map(before.count, "(（")) > sum(map(before.count, ")）"))


def chapter_in_words(number: tuple[int, ...], language: str | None, bracketed: bool) -> str:
    """Return what is added to the name of a chapter.

    >>> chapter_in_words((7,), None, False), chapter_in_words((7,), None, True)
    (' (chapter 7)', ', chapter 7')
    >>> chapter_in_words((7,), "zh-Hans", True)
    '，第 7 章'
    """
    digits = ".".join(map(str, number))
    if (language or "").startswith("zh"):
        return f"，第 {digits} 章" if bracketed else f"（第 {digits} 章）"
    return f", chapter {digits}" if bracketed else f" (chapter {digits})"


def number_references(app, doctree: nodes.document, docname: str) -> None:
    """Add its number to a reference that names a chapter: "Fingerprints (chapter 7)"."""
    for mark in list(doctree.findall(nodes.inline)):
        reference = mark.parent
        if "std-doc" not in mark.get("classes", []) or not isinstance(reference, nodes.reference):
            continue
        for name, title in app.env.titles.items():
            number = app.env.toc_secnumbers.get(name, {}).get("")
            here = app.builder.get_relative_uri(docname, name)
            if number and reference.get("refuri") == here and mark.astext() == title.astext():
                language = app.env.metadata[docname].get("language")
                reference += nodes.inline("", chapter_in_words(number, language, in_brackets(reference)))


# --- Index of figures --------------------------------------------------------------------------------------


class figure_index(nodes.General, nodes.Element):
    """Where the index of figures goes."""


class FigureIndex(SphinxDirective):
    """``{figure-index}``: every numbered figure of the book with its caption and its numbers."""

    def run(self) -> list[nodes.Node]:
        """Leave a mark; the figures are known when all pages have been read."""
        return [figure_index("")]


CSV_LINK = re.compile(r'<a download="(?P<name>[^"]+\.csv)" href="data:text/csv;base64,(?P<data>[^"]*)"')


def numbers_in(node: nodes.Node) -> dict[str, bytes]:
    """Return the CSV files that a part of a page offers, by name."""
    raw = "".join(part.astext() for part in node.findall(nodes.raw) if "html" in part.get("format", ""))
    return {m["name"]: base64.b64decode(m["data"]) for m in CSV_LINK.finditer(raw)}


def reading_order(env, page: str) -> Iterator[str]:
    """Yield a page and those below it in the contents."""
    yield page
    for below in env.toctree_includes.get(page, ()):
        yield from reading_order(env, below)


def pages_with_figures(env):
    """Yield the name, the doctree and the numbers of figures of each page that has some, in reading order."""
    for name in reading_order(env, env.config.master_doc):
        found = env.toc_fignumbers.get(name, {}).get("figure")
        if found:
            yield name, env.get_doctree(name), found


def csv_link(name: str, above: str) -> nodes.raw:
    """Return a link that downloads the numbers of a figure."""
    return nodes.raw("", f'<a download="{name}" href="{above}{NUMBERS}/{name}">{name}</a>', format="html")


def figure_item(app, figure: nodes.figure, number: tuple[int, ...], page: str, index: str) -> nodes.list_item:
    """Return the entry of one figure: thumbnail, number, caption, numbers."""
    image = next(figure.findall(nodes.image))
    kinds = [kind for kind in image.get("classes", []) if kind in ("chart", "paper")]
    thumbnail = nodes.image(
        uri=image["uri"], candidates={"*": image["uri"]}, alt="", classes=[*kinds, "dark-light", "thumbnail"]
    )
    label = app.config.numfig_format["figure"] % ".".join(map(str, number))
    target = f"{app.builder.get_relative_uri(index, page)}#{figure['ids'][0]}"
    caption = next(figure.findall(nodes.caption)).deepcopy()
    for citation in list(caption.findall(pending_xref)):
        citation.parent.remove(citation)  # not resolved yet; it stands under the figure
    words = re.sub(r"\s+(?=[\s.,:;)])", "", caption.astext())
    line = nodes.paragraph("", "", nodes.reference("", label, internal=True, refuri=target), nodes.Text(". "))
    line += nodes.Text(words)
    item = nodes.list_item("", thumbnail, line)
    links = [csv_link(name, "../" * index.count("/")) for name in numbers_in(figure.parent)]
    if links:
        item += nodes.paragraph("", "Numbers: ", *links)
    return item


def fill_figure_index(app, doctree: nodes.document, docname: str) -> None:
    """Put the index of figures where its mark stands."""
    for mark in list(doctree.findall(figure_index)):
        sections = []
        for page, tree, numbered in pages_with_figures(app.env):
            figures = {f["ids"][0]: f for f in tree.findall(nodes.figure) if f["ids"]}
            items = [
                figure_item(app, figures[i], n, page, docname)
                for i, n in sorted(numbered.items(), key=lambda pair: pair[1])
            ]
            number = ".".join(map(str, app.env.toc_secnumbers.get(page, {}).get("", ())))
            title = f"{number}. {app.env.titles[page].astext()}" if number else app.env.titles[page].astext()
            link = nodes.reference(
                "", title, internal=True, refuri=app.builder.get_relative_uri(docname, page)
            )
            section = nodes.section("", nodes.title("", "", link), ids=[f"figures-{page.replace('/', '-')}"])
            section += nodes.bullet_list("", *items, classes=["figure-index"])
            sections.append(section)
        mark.parent.replace(mark, sections)


def write_numbers(app, exception) -> None:
    """Write the numbers of every figure beside the site, for the index to link to."""
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir, *NUMBERS.split("/"))
    folder.mkdir(parents=True, exist_ok=True)
    for _, tree, _ in pages_with_figures(app.env):
        for figure in tree.findall(nodes.figure):
            for name, content in numbers_in(figure.parent).items():
                (folder / name).write_bytes(content)


# --- Pages that show what stands on others -----------------------------------------------------------------


def note_gathering(app, doctree: nodes.document) -> None:
    """Remember a page that takes figures or numbers from other pages."""
    if any(isinstance(node, figure_index | PendingGlueReference) for node in doctree.findall()):
        app.env.metadata[app.env.docname]["gathers"] = True


def note_reading(app, env, docnames: list[str]) -> None:
    """Remember whether this build reads any page anew."""
    env.reads_anew = bool(docnames)


def gathering_pages(app, env) -> list[str]:
    """Return the pages to be written again because others have changed; Sphinx does not see that they show them."""
    return [name for name in env.found_docs if env.reads_anew and env.metadata[name].get("gathers")]


def setup(app):
    app.add_node(figure_index)
    app.add_directive("figure-index", FigureIndex)
    app.connect("doctree-resolved", link_first_uses, priority=900)
    app.connect("doctree-resolved", number_references, priority=900)
    app.connect("doctree-resolved", fill_figure_index, priority=910)
    app.connect("build-finished", write_numbers)
    app.connect("doctree-read", note_gathering)
    app.connect("env-before-read-docs", note_reading)
    app.connect("env-get-updated", gathering_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
