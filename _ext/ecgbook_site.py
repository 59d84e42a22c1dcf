"""What the site needs beyond Jupyter Book and its theme: accessibility, and nothing fetched from another host.

The theme's templates are corrected in ``templates/``; what other extensions write into the body of a page is
corrected here, once, on the finished body. Every correction answers a finding of the site tests
(``tests/test_site.py``).
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import myst_nb.sphinx_
from bs4 import BeautifulSoup, Tag
from docutils import nodes
from pybtex.plugin import register_plugin as register_pybtex
from pybtex.style.formatting.plain import Style as PlainStyle
from pybtex.style.labels import BaseLabelStyle
from sphinxcontrib.bibtex.plugin import register_plugin as register_bibtex
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

DESCRIPTION_LENGTH = 160
NUMBER = re.compile(r"^[-−+]?\d[\d.,  ]*(?:e[-+]?\d+)?\s?%?(?:\s?±\s?\d[\d.]*\s?%?)?$")
EMPTY = {"", "–", "—", "-", "nan", "NaN", "<NA>", "None"}


# --- Corrections of the body of a page ---------------------------------------------------------------------


def fold_dropdowns(soup: BeautifulSoup) -> None:
    """Turn admonitions of class dropdown into native details: they open without JavaScript and by keyboard."""
    for box in soup.select("div.admonition.dropdown"):
        title = box.find("p", class_="admonition-title", recursive=False)
        if title is None:
            continue
        box.name = "details"
        title.name = "summary"
        for link in title.find_all("a"):
            link.unwrap()  # a link inside a button would be two controls in one
        if "toggle-shown" in box["class"]:
            box["open"] = ""


def number_columns(table: Tag) -> None:
    """Mark the cells of purely numerical columns, so that the style sheet can align them."""
    rows = [row.find_all(["th", "td"], recursive=False) for row in table.find_all("tr")]
    body = [row for row in rows if row and row[0].find_parent("tbody")]
    if not body or any(len(row) != len(body[0]) for row in rows) or table.select("[rowspan], [colspan]"):
        return
    for column in range(len(body[0])):
        texts = [row[column].get_text(" ", strip=True) for row in body]
        if any(NUMBER.match(t) for t in texts) and all(NUMBER.match(t) or t in EMPTY for t in texts):
            for row in rows:
                row[column]["class"] = [*row[column].get("class", []), "num"]


def as_csv(table: Tag) -> str:
    """Return what stands in a table as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in table.find_all("tr"):
        writer.writerow(
            " ".join(cell.get_text().split()) for cell in row.find_all(["th", "td"], recursive=False)
        )
    return text.getvalue()


def offer_csv(soup: BeautifulSoup) -> None:
    """Put a download under the tables that come without one: those in the prose, and frames shown as they are."""
    counts: dict[str, int] = {}
    for table in soup.find_all("table"):
        if table.find_parent(class_=["numbers-scroll", "explorer"]):
            continue
        section = table.find_parent(["section", "article"], id=True)
        name = section["id"] if section else "table"
        counts[name] = counts.get(name, 0) + 1
        name = f"{name}-{counts[name]}.csv" if counts[name] > 1 else f"{name}.csv"
        data = base64.b64encode(as_csv(table).encode()).decode()
        link = soup.new_tag("a", attrs={"download": name, "href": f"data:text/csv;base64,{data}"})
        link.string = name
        paragraph = soup.new_tag("p", attrs={"class": "table-csv"})
        paragraph.append(link)
        (table.find_parent(class_="pst-scrollable-table-container") or table).insert_after(paragraph)


def mend_tables(soup: BeautifulSoup) -> None:
    """Give header cells a scope, empty ones no header role, and every table a container that can scroll."""
    for style in soup.select("style[scoped]"):
        style.decompose()  # pandas brings it; HTML knows it no more, and the style sheet does the work
    for table in soup.find_all("table"):
        for attribute in ("border", "style"):
            del table[attribute]
        for row in table.select("tr[style]"):
            del row["style"]
        for cell in table.find_all("th"):
            if not cell.get_text(strip=True) and not cell.find("img"):
                cell.name = "td"
            elif not cell.has_attr("scope"):
                cell["scope"] = "col" if cell.find_parent("thead") else "row"
        if "numbers" not in table.get("class", []):
            number_columns(table)
        if not table.find_parent(class_=["pst-scrollable-table-container", "numbers-scroll"]):
            table.wrap(soup.new_tag("div", attrs={"class": "pst-scrollable-table-container"}))


def mend_images(soup: BeautifulSoup) -> None:
    """Tell the theme to leave pictures alone in dark mode: the style sheet of the book knows their kinds."""
    for image in soup.find_all("img"):
        classes = image.get("class", [])
        if not {"only-dark", "only-light", "dark-light"} & set(classes):
            image["class"] = [*classes, "dark-light"]
        if "thumbnail" in classes:
            image["loading"] = "lazy"


def mend_exercises(soup: BeautifulSoup) -> None:
    """Drop the id that every exercise and solution repeats."""
    for section in soup.select("#exercise-content, #solution-content"):
        del section["id"]
        section.name = "div"


def mend_summaries(soup: BeautifulSoup) -> None:
    """Name folded code by the words that stand on it."""
    for summary in soup.find_all("summary"):
        del summary["aria-label"]
        for paragraph in summary.find_all("p"):
            paragraph.name = "span"  # a summary holds phrasing content only


def mend_asides(soup: BeautifulSoup) -> None:
    """Notes in the margin and footnotes are parts of the text, not landmarks beside it."""
    for aside in soup.find_all("aside"):
        aside.name = "div"
        aside["role"] = "note" if "margin" in aside.get("class", []) else aside.get("role", "group")
        if "footnote-list" in aside.get("class", []):
            aside["aria-label"] = "Footnotes"


def mend_citations(soup: BeautifulSoup) -> None:
    """Make the entries of the bibliography items of its list: the role that they come with is deprecated."""
    for entry in soup.select("[role=doc-biblioentry]"):
        entry["role"] = "listitem"


CORRECTIONS = (
    fold_dropdowns,
    mend_tables,
    offer_csv,
    mend_images,
    mend_exercises,
    mend_summaries,
    mend_asides,
    mend_citations,
)


def correct_body(app, pagename, templatename, context, doctree) -> None:
    """Apply every correction to the body of a page."""
    if not context.get("body"):
        return
    soup = BeautifulSoup(context["body"], "html.parser")
    for correct in CORRECTIONS:
        correct(soup)
    context["body"] = say_language(soup, (context.get("meta") or {}).get("language"))


# --- Languages ---------------------------------------------------------------------------------------------

CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]+")


def mark_chinese(html: str) -> str:
    """Say of Chinese words between others that they are, so that a screen reader changes its voice.

    >>> mark_chinese('<a href="#">中文</a>')
    '<a href="#"><span lang="zh-Hans">中文</span></a>'
    """
    between_tags = re.compile(r">[^<>]*<")
    return between_tags.sub(lambda m: CHINESE.sub(r'<span lang="zh-Hans">\g<0></span>', m[0]), html)


def say_language(soup: BeautifulSoup, language: str | None) -> str:
    """Name the language of a page that is not in English, and of what on it is in another one."""
    if language is None:
        return mark_chinese(str(soup)) if CHINESE.search(soup.get_text()) else str(soup)
    for title in soup.select("a.internal > .std-doc"):
        if not CHINESE.search(title.get_text()):
            title["lang"] = "en"
    return f'<div lang="{language}">{soup}</div>'


def say_language_of_contents(app, pagename, templatename, context, doctree) -> None:
    """Do the same for the list of chapters, which stands beside every page."""
    if "generate_toctree_html" not in context:
        return
    generate = context["generate_toctree_html"]

    def marked(kind: str, **options):
        html = generate(kind, **options)
        return html if kind == "raw" else mark_chinese(str(html))

    context["generate_toctree_html"] = marked
    context["mark_chinese"] = lambda text: mark_chinese(f">{text}<")[1:-1]


# --- Head of a page ----------------------------------------------------------------------------------------


def first_words(doctree: nodes.document) -> str:
    """Return the first paragraph of a page as plain text, cut at a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if len(text) > 30:
            return (
                text
                if len(text) <= DESCRIPTION_LENGTH
                else text[:DESCRIPTION_LENGTH].rsplit(" ", 1)[0] + " …"
            )
    return ""


def describe(app, pagename, templatename, context, doctree) -> None:
    """Give every page a description: its own, else its first paragraph."""
    if re.search(r'name="description"', context.get("metatags") or ""):
        return
    own = (context.get("meta") or {}).get("description")
    found = own or (first_words(doctree) if doctree else "")
    context["page_description"] = found or app.config.ecgbook_description


# --- A picture and its numbers in one cell -----------------------------------------------------------------

create_figure_context = myst_nb.sphinx_.create_figure_context


@contextmanager
def figure_around_pictures(renderer, options, line):
    """Make a figure of an output only if it holds a picture.

    MyST-NB wraps every output of a cell with ``figure`` metadata, so that the table of numbers under a picture
    would become a second figure of the same name.
    """
    holder = nodes.Element()
    with renderer.current_node_context(holder):
        yield
    if next(holder.findall(nodes.image), None) is None:
        options = None
    with create_figure_context(renderer, options, line):
        renderer.current_node.extend(holder.children)


# --- Bibliography ------------------------------------------------------------------------------------------


class AuthorYear(BaseLabelStyle):
    """Labels of the bibliography in the form in which chapters cite: Barz and Denzler, 2020."""

    def format_labels(self, sorted_entries):
        """Yield the label of each entry: the names, from three on the first and "et al.", and the year."""
        for entry in sorted_entries:
            people = entry.persons.get("author") or entry.persons["editor"]
            names = [
                " ".join(str(part) for part in (*p.prelast_names, *p.last_names)).strip("{}") for p in people
            ]
            if len(names) > 2 or names[-1] == "others":
                names = [f"{names[0]} et al."]
            yield f"{' and '.join(names)}, {entry.fields['year']}"


round_brackets = partial(BracketStyle, left="(", right=")")


@dataclass
class RoundReferenceStyle(AuthorYearReferenceStyle):
    """Citations as (Barz and Denzler, 2020), or Barz and Denzler (2020) in the sentence."""

    bracket_parenthetical: BracketStyle = field(default_factory=round_brackets)
    bracket_textual: BracketStyle = field(default_factory=round_brackets)


class BookStyle(PlainStyle):
    """The plain style, sorted by author and year, with labels that say so."""

    default_label_style = AuthorYear


# --- The front door ----------------------------------------------------------------------------------------

FRONT_DOOR = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="refresh" content="0; url={first}">
    <meta name="description" content="{description}">
    <link rel="canonical" href="{first}">
    <link rel="icon" href="_static/favicon.svg">
    <title>{title}</title>
  </head>
  <body>
    <main><h1>{title}</h1><p>The book begins at <a href="{first}">its first page</a>.</p></main>
  </body>
</html>
"""


def write_front_door(app, exception) -> None:
    """Write index.html, which leads to the first page, as a page in its own right."""
    if exception is None and app.builder.format == "html":
        page = FRONT_DOOR.format(
            first=app.builder.get_target_uri(app.config.master_doc),
            title=app.config.html_title,
            description=app.config.ecgbook_description,
        )
        Path(app.outdir, "index.html").write_text(page, encoding="utf-8")


def own_digest() -> str:
    """Return a digest of these extensions: when it changes, Sphinx writes every page anew."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


def setup(app):
    app.setup_extension("mathml")
    app.setup_extension("crossrefs")
    app.add_config_value("ecgbook_description", "", "html")
    app.add_config_value("ecgbook_site_digest", own_digest(), "html")
    app.add_config_value(
        "comments_config", {}, "html"
    )  # Jupyter Book sets it for an extension that we leave out
    register_pybtex("pybtex.style.formatting", "book", BookStyle)
    register_bibtex("sphinxcontrib.bibtex.style.referencing", "author_year_round", RoundReferenceStyle)
    myst_nb.sphinx_.create_figure_context = figure_around_pictures
    app.connect("html-page-context", correct_body, priority=900)
    app.connect("html-page-context", describe, priority=900)
    app.connect("html-page-context", say_language_of_contents, priority=900)
    app.connect("build-finished", write_front_door, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
