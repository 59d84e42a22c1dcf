"""The built site: its links, its alternative texts, its silence towards other hosts, and its accessibility.

``make book`` builds what these tests read. Half of them read files; the other half look through a real browser,
from a server on the loopback address and from the disk. A browser is Chromium, found on the PATH: where there is
none the browser's tests are skipped with a word, except in CI, where that is a failure.
"""

from __future__ import annotations

import base64
import csv
import doctest
import importlib
import io
import os
import posixpath
import re
import subprocess
import sys
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup, Tag
from docutils import nodes
from PIL import Image

from ecgbook import figures
from ecgbook.data import CLASSES

ROOT = Path(__file__).parents[1]
SITE = ROOT / "_build" / "html"
WIDTHS = (1280, 390)
SCHEMES = ("light", "dark")
# Rules that axe-core leaves off, and that a reader with a speech interface or a finger is glad of.
AXE_OPTIONS = {
    "resultTypes": ["violations"],
    "rules": {"label-content-name-mismatch": {"enabled": True}, "target-size": {"enabled": True}},
}


def html_files() -> list[str]:
    found = (path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
    return sorted(name for name in found if not name.startswith(("_static/", "_sources/")))


PAGES = html_files()
# The front door only leads on to the first page.
READING_PAGES = [name for name in PAGES if name != "index.html"]


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site."""
    if not (SITE / "index.html").exists():
        pytest.fail("there is no site in _build/html: run `make book` first (`make test` does)")
    return SITE


@cache
def soup(name: str) -> BeautifulSoup:
    return BeautifulSoup((SITE / name).read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(name: str) -> frozenset[str]:
    return frozenset(tag["id"] for tag in soup(name).find_all(id=True))


def is_foreign(url: str) -> bool:
    return url.strip().startswith("//") or urlsplit(url.strip()).scheme in ("http", "https", "ws", "wss")


# --- The book's own Sphinx extensions ----------------------------------------------------------------------


@pytest.fixture
def extension(monkeypatch):
    """The corrections of finished pages (`_ext/ecgbook_site.py`)."""
    monkeypatch.syspath_prepend(str(ROOT / "_ext"))
    return importlib.import_module("ecgbook_site")


@pytest.fixture
def crossrefs(monkeypatch):
    """References that no author writes (`_ext/crossrefs.py`)."""
    monkeypatch.syspath_prepend(str(ROOT / "_ext"))
    return importlib.import_module("crossrefs")


@pytest.fixture
def mathml(monkeypatch):
    """From TeX to MathML (`_ext/mathml.py`)."""
    monkeypatch.syspath_prepend(str(ROOT / "_ext"))
    return importlib.import_module("mathml").to_mathml


def test_examples_of_the_extensions_hold(extension, crossrefs):
    results = [doctest.testmod(module) for module in (extension, crossrefs)]
    assert all(r.failed == 0 < r.attempted for r in results)


def test_mathml_carries_its_source_and_its_structure(mathml):
    formula = BeautifulSoup(mathml(r"\frac{\mathrm{TP}_c}{n < 3}", "block"), "html.parser").math
    assert formula["alttext"] == r"\frac{\mathrm{TP}_c}{n < 3}" and formula["display"] == "block"
    assert [tag.name for tag in formula.mfrac.find_all(recursive=False)] == ["mrow", "mrow"]
    assert formula.mtext.get_text() == "TP"


@pytest.mark.parametrize("environment", ["aligned", "align", "split"])
def test_mathml_aligns_equations(mathml, environment):
    tex = rf"\begin{{{environment}}} a &= b \\ c &= d \end{{{environment}}}"
    assert mathml(tex).count("<mtr>") == 2


def test_mathml_spells_bold_letters_out(mathml):
    text = BeautifulSoup(mathml(r"\mathbf{H} \boldsymbol{\beta}"), "html.parser").get_text()
    assert text == "\N{MATHEMATICAL BOLD CAPITAL H}\N{MATHEMATICAL BOLD ITALIC SMALL BETA}"


@pytest.mark.parametrize("tex", [r"\unheardof{x}", r"a & b"])
def test_mathml_refuses_what_it_does_not_know(mathml, tex):
    with pytest.raises(ValueError, match="does not know"):
        mathml(tex)


def test_tables_get_scopes_and_numbers_their_alignment(extension):
    page = BeautifulSoup(
        "<table border=1><thead><tr style='text-align: right;'><th></th><th>n</th><th>who</th></tr></thead>"
        "<tbody><tr><th>a</th><td>−1.5</td><td>3 of 4</td></tr>"
        "<tr><th>b</th><td>1,200 %</td><td>x</td></tr></tbody></table>",
        "html.parser",
    )
    extension.mend_tables(page)
    assert "pst-scrollable-table-container" in page.table.parent["class"]
    assert not page.table.has_attr("border") and not page.tr.has_attr("style")
    assert [cell.get("scope") for cell in page.find_all("th")] == ["col", "col", "row", "row"]
    assert [cell.get_text() for cell in page.select(".num")] == ["n", "−1.5", "1,200 %"]


def test_dropdowns_become_details_without_a_link_in_the_button(extension):
    page = BeautifulSoup(
        "<div class='solution dropdown admonition'>"
        "<p class='admonition-title'>Solution to <a href='#x'>Exercise</a></p>"
        "<section id='solution-content'><p>42</p></section></div>",
        "html.parser",
    )
    extension.fold_dropdowns(page)
    extension.mend_exercises(page)
    assert page.details.summary.get_text() == "Solution to Exercise" and page.a is None
    assert page.details.find("p").get_text() == "42" and page.find(id=True) is None


# --- Read from the files -----------------------------------------------------------------------------------


def test_the_site_is_newer_than_what_it_is_made_of(site):
    sources = (*ROOT.glob("book/**/*.md"), *ROOT.glob("book/**/*.ipynb"), *ROOT.glob("ecgbook/*.py"))
    pages = {source: SITE / source.relative_to(ROOT).with_suffix(".html") for source in sources}
    older = [
        s.name for s, page in pages.items() if page.exists() and page.stat().st_mtime < s.stat().st_mtime
    ]
    assert older == [], "run `make book` again"


def test_the_site_holds_the_pages_of_the_contents(site):
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    named = re.findall(r"^\s*(?:- )?(?:file|root):\s*(\S+)", toc, flags=re.M)
    assert len(named) > 5
    expected = {f"{name}.html" for name in named} | {"search.html"}
    assert set(READING_PAGES) == expected, "a page that is gone stays in _build/html until `make clean`"


def references(page: BeautifulSoup):
    for tag in page.find_all(["a", "link", "img", "script", "source", "iframe"]):
        for attribute in ("href", "src"):
            if tag.get(attribute):
                yield tag[attribute]


def target_fault(name: str, reference: str) -> str | None:
    """Say what is wrong with a reference from a page of the site to another place in the site."""
    if is_foreign(reference) or urlsplit(reference).scheme in ("data", "mailto"):
        return None
    address, anchor = urldefrag(reference)
    path = (SITE / name).parent / unquote(urlsplit(address).path) if address else SITE / name
    if not path.is_file():
        return f"{name}: {reference} leads to no file"
    target = path.resolve().relative_to(SITE).as_posix()
    if anchor and target.endswith(".html") and unquote(anchor) not in anchors(target):
        return f"{name}: {reference} leads to no anchor"
    return None


def test_every_internal_link_and_anchor_leads_somewhere(site):
    faults = [target_fault(name, ref) for name in PAGES for ref in references(soup(name))]
    assert not list(filter(None, faults))
    assert len(faults) > 20 * len(PAGES), "hardly any links were found: is this the site?"


@pytest.mark.parametrize("name", PAGES)
def test_ids_are_unique(site, name):
    ids = [tag["id"] for tag in soup(name).find_all(id=True)]
    assert sorted({i for i in ids if ids.count(i) > 1}) == []


@pytest.mark.parametrize("name", PAGES)
def test_links_to_other_sites_are_encrypted(site, name):
    assert [a["href"] for a in soup(name).find_all("a", href=True) if a["href"].startswith("http:")] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_title_language_heading_and_description(site, name):
    page = soup(name)
    assert page.html["lang"] == "en"
    assert page.title and page.title.get_text(strip=True)
    assert len(page.find_all("h1")) == 1
    descriptions = [tag["content"] for tag in page.find_all("meta", attrs={"name": "description"})]
    assert len(descriptions) == 1 and 30 < len(descriptions[0]) <= 200


def test_titles_and_descriptions_are_unique(site):
    titles = [soup(name).title.get_text(strip=True) for name in READING_PAGES]
    assert sorted({t for t in titles if titles.count(t) > 1}) == []
    told = [soup(name).find("meta", attrs={"name": "description"})["content"] for name in READING_PAGES]
    assert sorted({t for t in told if told.count(t) > 1}) == []


CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.mark.parametrize("name", PAGES)
def test_chinese_words_are_marked_as_such(site, name):
    """A screen reader that speaks English changes its voice for them."""
    page = soup(name).body
    for text in page.find_all(string=CHINESE):
        if text.parent.name not in ("script", "title"):
            assert text.find_parent(lang=True)["lang"] == "zh-Hans", text


def test_the_chinese_front_page_and_the_english_one_lead_to_each_other(site):
    chinese, english = soup("book/zh/welcome.html"), soup("book/welcome.html")
    assert chinese.main.find(lang="zh-Hans").h1
    assert chinese.select_one('article a[href="../welcome.html"]')
    assert "中文" in english.select_one('article a[href="zh/welcome.html"]').get_text()
    assert "不用于诊断" in chinese.find("meta", attrs={"name": "description"})["content"]
    assert "非医疗器械" in chinese.article.get_text() and "CC BY 4.0" in chinese.article.get_text()


def test_the_chinese_front_page_types_no_metric():
    text = (ROOT / "book" / "zh" / "welcome.md").read_text(encoding="utf-8")
    assert text.count("{glue:text}") >= 25
    prose = re.sub(r"\{[a-z:]+\}`[^`]*`|0\.67–25 Hz|CC BY 4\.0|95% 置信区间", "", text)
    assert re.findall(r"\d\.\d+|\d\s?%", prose) == []


# --- Valid HTML --------------------------------------------------------------------------------------------

HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
PHRASING_ONLY = {"p", "span", "button", "summary", "label", "pre", "em", "strong", *HEADINGS}
BLOCKS = {
    "div", "p", "ul", "ol", "dl", "table", "section", "article", "figure", "details", "pre", "form", "nav", "main",
    "aside", "blockquote", *HEADINGS,
}  # fmt: skip
INTERACTIVE = {"a", "button", "input", "select", "textarea", "summary", "label", "details"}
PARENTS = {
    "li": {"ul", "ol", "menu"}, "dt": {"dl", "div"}, "dd": {"dl", "div"}, "tr": {"thead", "tbody", "tfoot", "table"},
    "td": {"tr"}, "th": {"tr"}, "thead": {"table"}, "tbody": {"table"}, "caption": {"table"}, "figcaption": {"figure"},
    "summary": {"details"}, "option": {"select", "optgroup", "datalist"}, "main": {"body", "div"},
}  # fmt: skip
OBSOLETE = {
    "scoped", "border", "align", "valign", "bgcolor", "cellpadding", "cellspacing", "frame", "rules", "nowrap", "clear"
}  # fmt: skip


def html_faults(page: BeautifulSoup):
    """Yield what breaks the rules of HTML about which element may stand in which, and obsolete attributes."""
    for tag in page.find_all(True):
        if tag.name in PHRASING_ONLY:
            yield from (f"<{inner.name}> in <{tag.name}>" for inner in tag.find_all(BLOCKS))
        if tag.name in ("a", "button"):
            yield from (f"<{inner.name}> in <{tag.name}>" for inner in tag.find_all(INTERACTIVE))
        if tag.name in PARENTS and tag.parent.name not in PARENTS[tag.name]:
            yield f"<{tag.name}> in <{tag.parent.name}>"
        if tag.name in ("ul", "ol"):
            yield from (
                f"<{c.name}> in <{tag.name}>" for c in tag.find_all(recursive=False) if c.name != "li"
            )
        if tag.name in ("center", "font", "big", "tt", "strike"):
            yield f"<{tag.name}> is obsolete"
        yield from (f"{name} on <{tag.name}>" for name in OBSOLETE & set(tag.attrs))
        if re.search(r"\s", tag.get("id", "")) or tag.get("id") == "":
            yield f"id {tag['id']!r}"


@pytest.mark.parametrize("name", PAGES)
def test_elements_stand_where_html_allows_them(site, name):
    assert sorted(set(html_faults(soup(name)))) == []


@pytest.mark.parametrize(
    "fault",
    ["<p><div></div></p>", "<a href='#'><button>x</button></a>", "<ul><p>x</p></ul>", "<tr><td>x</td></tr>",
     "<style scoped></style>", "<p id='a b'>x</p>", "<summary><p>x</p></summary>", "<li>x</li>"],
)  # fmt: skip
def test_the_search_for_faults_of_html_sees_them(fault):
    assert list(html_faults(BeautifulSoup(f"<section>{fault}</section>", "html.parser")))


@pytest.mark.skipif("VNU_JAR" not in os.environ, reason="VNU_JAR names no validator of the W3C (needs Java)")
def test_the_validator_of_the_w3c_finds_no_error(site):
    command = [
        "java",
        "-Xss2m",
        "-jar",
        os.environ["VNU_JAR"],
        "--errors-only",
        *(str(site / p) for p in PAGES),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# --- The book as a whole -----------------------------------------------------------------------------------


@cache
def terms() -> dict[str, list[str]]:
    """The anchors of the glossary, and the names that stand for each."""
    found = {}
    for entry in soup("book/back/glossary.html").select("dl.glossary dd"):
        names = []
        for term in reversed(entry.find_previous_siblings(["dt", "dd"])[:4]):
            names = [] if term.name == "dd" else [*names, term]
        for term in names:
            found[term["id"]] = [t.get_text().replace("#", "").strip() for t in names]
    return found


def running_text(page: BeautifulSoup) -> str:
    """What a reader reads as sentences: no code, no headings, no output of cells."""
    article = BeautifulSoup(str(page.article), "html.parser")
    closed = (
        ".cell, pre, code, h1, h2, h3, h4, .admonition-title, math, table, summary, .explorer, .explorer-all"
    )
    for tag in article.select(f"{closed}, a:not([href*='glossary.html#'])"):
        tag.replace_with(" | ")
    return " ".join(article.get_text().split())


def chapters() -> list[str]:
    return [n for n in READING_PAGES if n.startswith(("book/", "ecgbook/")) and not n.startswith("book/zh/")]


@pytest.mark.parametrize("name", chapters())
def test_the_words_of_the_glossary_are_linked_on_every_page(site, crossrefs, name):
    if name.removesuffix(".html") in crossrefs.UNLINKED:
        pytest.skip("it explains the words itself")
    text, entries = running_text(soup(name)), terms()
    links = {a["href"].partition("#")[2] for a in soup(name).select('a[href*="glossary.html#"]')}
    linked = {tuple(entries[anchor]) for anchor in links if anchor in entries}
    words = {word: tuple(ts) for ts in entries.values() for term in ts for word in crossrefs.names_of(term)}
    used = set()
    for word in sorted(words, key=len, reverse=True):  # "balanced accuracy" is no use of "accuracy"
        if word.casefold() in text.casefold():
            text, count = re.subn(crossrefs.pattern_of(word), " | ", text)
            used |= {words[word]} if count else set()
    assert sorted(used - linked) == []


def test_the_first_use_of_a_word_is_the_one_that_is_linked(crossrefs):
    text = nodes.paragraph("", "An ECG of ECGs, then an electrocardiogram, a lead and LIME, not lime.")
    pattern = re.compile(f"(?P<e1_0>{crossrefs.pattern_of('ECG')})|(?P<e2_0>{crossrefs.pattern_of('LIME')})")
    parts = crossrefs.linked(text[0], set(), {1: "term-ECG", 2: "term-LIME"}, pattern, "glossary.html")
    links = [(p.astext(), p["refuri"]) for p in parts if isinstance(p, nodes.reference)]
    assert links == [("ECG", "glossary.html#term-ECG"), ("LIME", "glossary.html#term-LIME")]
    assert "".join(p.astext() for p in parts) == text.astext()


def test_chapters_are_referred_to_by_name_and_number(site):
    numbers, titles = {}, {}
    for name in READING_PAGES:
        if number := soup(name).select_one("article h1 > .section-number"):
            numbers[name] = number.get_text(strip=True).rstrip(".")
            titles[name] = soup(name).h1.get_text().removesuffix("#").partition(". ")[2]
    seen = 0
    for name in READING_PAGES:
        for title in soup(name).select("article a > .std-doc"):
            address = (SITE / name).parent / title.parent["href"]
            target = address.resolve().relative_to(SITE).as_posix() if title.parent["href"] != "#" else name
            if target in numbers and title.get_text() == titles[target]:
                seen += 1
                words = title.parent.get_text()
                assert re.search(rf"(chapter |第 ){numbers[target]}\b", words), (name, words)
    assert seen > 50


def figures_of(name: str) -> list[Tag]:
    return [f for f in soup(name).select("article figure[id]") if f.select_one(".caption-number")]


def csv_of(link: Tag) -> bytes:
    return base64.b64decode(link["href"].partition("base64,")[2])


def test_the_index_of_figures_is_whole_and_its_files_are_those_of_the_chapters(site):
    index = soup("book/back/figures.html")
    items = index.select(".figure-index > li")
    listed = {posixpath.normpath(f"book/back/{item.p.a['href']}"): item for item in items}
    there = {(name, figure["id"]): figure for name in READING_PAGES for figure in figures_of(name)}
    assert len(there) == len(listed) > 100
    for (name, anchor), figure in there.items():
        item = listed[f"{name}#{anchor}"]
        assert item.p.a.get_text() == figure.select_one(".caption-number").get_text(strip=True)
        caption = BeautifulSoup(str(figure.select_one(".caption-text")), "html.parser")
        for citation in caption.select(".bibtex-citation"):
            citation.decompose()
        words = re.sub(r"\s+(?=[.,:;)])", "", plain(caption.get_text()))
        assert words in plain(item.p.get_text())
        links = figure.find_parent(class_="cell_output").select("a[download]")
        assert [a["download"] for a in item.select("a[download]")] == [a["download"] for a in links] != []
        for there, here in zip(links, item.select("a[download]"), strict=True):
            assert (SITE / "book" / "back" / here["href"]).read_bytes() == csv_of(there)


def glued(value: str) -> str:
    """Return a notebook with one glued number."""
    output = nbformat.v4.new_output(
        "display_data",
        {"application/papermill.record/text/plain": repr(value)},
        metadata={"scrapbook": {"mime_prefix": "application/papermill.record/", "name": "the-number"}},
    )
    cells = [nbformat.v4.new_markdown_cell("# Numbers"), nbformat.v4.new_code_cell("", outputs=[output])]
    return nbformat.writes(nbformat.v4.new_notebook(cells=cells))


def test_pages_that_show_what_stands_on_others_are_built_again_with_them(tmp_path):
    source, pages = tmp_path / "source", ("a", "numbers", "back/figures", "key")
    (source / "book" / "back").mkdir(parents=True)
    Image.new("L", (8, 8)).save(source / "book" / "a.png")
    contents = "\n".join(f"book/{page}" for page in pages)
    for name, text in {
        "conf.py": f"import sys\nsys.path.insert(0, {str(ROOT / '_ext')!r})\n"
        "extensions, numfig, nb_execution_mode = ['myst_nb', 'crossrefs'], True, 'off'\n",
        "index.md": f"# All\n```{{toctree}}\n:numbered:\n{contents}\n```\n",
        "book/back/figures.md": "# Figures\n```{figure-index}\n```\n",
        "book/key.md": "# Key\nIt is {glue:text}`numbers.ipynb::the-number:s`.\n",
    }.items():
        (source / name).write_text(text)

    def build(caption: str, number: str) -> tuple[str, str]:
        (source / "book/a.md").write_text(f"# A\n```{{figure}} a.png\n:name: fig-a\n\n{caption}\n```\n")
        (source / "book/numbers.ipynb").write_text(glued(number))
        command = [sys.executable, "-m", "sphinx", "-q", "-W", str(source), str(tmp_path / "site")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return tuple((tmp_path / f"site/book/{page}.html").read_text() for page in ("back/figures", "key"))

    for caption, number in (("An early beat.", "12"), ("A late beat.", "34")):
        index, key = build(caption, number)
        assert caption in index and f"It is {number}." in BeautifulSoup(key, "html.parser").get_text()


@pytest.mark.parametrize("name", READING_PAGES)
def test_every_table_can_be_downloaded_as_csv(site, name):
    for table in soup(name).select("article table"):
        if table.find_parent(class_=["explorer", "explorer-all"]):
            continue  # has a file of its own
        box = table.find_parent(class_=["numbers-scroll", "pst-scrollable-table-container"])
        link = box.find_next_sibling("p").a
        rows = list(csv.reader(io.StringIO(csv_of(link).decode())))
        assert len(rows) >= len(table.find_all("tr")) and link["download"].endswith(".csv")
        assert len({len(row) for row in rows}) == 1 or table.select("[colspan], [rowspan]")


# --- Colours -----------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """The relative luminance of WCAG 2: what is left of a colour in greyscale."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_figures_are_legible_in_greyscale():
    """The colours of the classes are alike in grey, so each class has a hatch and a marker of its own as well."""
    for colour in (*figures.COLOURS.values(), figures.INK, figures.MUTED, figures.ACCENT):
        assert contrast(colour, "#ffffff") >= 4.5, "words may be set in it"
        assert contrast(colour, figures.PAPER) >= 3, "curves stand on ECG paper"
        assert contrast(colour, figures.PAPER_MAJOR) >= 2, "and cross its lines"
    for signs in (figures.COLOURS, figures.HATCHES, figures.MARKERS):
        assert set(signs) == set(CLASSES) and len(set(signs.values())) == len(CLASSES)


def plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .")


def alt_fault(image: Tag) -> str | None:
    """Say what is wrong with the alternative text of an image; an empty one is right for decoration only."""
    if not image.has_attr("alt"):
        return "has no alt"
    alt = image["alt"].strip()
    if not alt:  # the caption of a thumbnail stands beside it
        decoration = {"logo__image", "thumbnail"} & set(image.get("class", []))
        return None if decoration else "has an empty alt"
    if re.search(r"\.(png|jpe?g|svg|gif)$|[0-9a-f]{16}|_build", alt):
        return f"has a file name for alt: {alt}"
    if len(alt) < 25 or " " not in alt:
        return f"has a label for alt, where the finding belongs: {alt}"
    figure = image.find_parent("figure")
    caption = figure.find("figcaption") if figure else None
    if caption:
        words = re.sub(r"^\s*Figure [\d.]+", "", caption.get_text(" ").replace("#", ""))
        if plain(alt) == plain(words):
            return f"repeats its caption: {alt}"
    return None


@pytest.mark.parametrize("name", PAGES)
def test_every_image_says_in_words_what_it_shows(site, name):
    faults = [(image.get("src"), alt_fault(image)) for image in soup(name).find_all("img")]
    assert [fault for fault in faults if fault[1]] == []


@pytest.mark.parametrize("name", PAGES)
def test_figures_in_dark_mode_have_a_kind(site, name):
    """Every picture of a page is a chart or ECG paper: the style sheet knows how to show these in the dark."""
    kinds = {"chart", "paper", "only-light", "only-dark"}
    article = soup(name).find("article")
    images = article.find_all("img") if article else []
    assert [image["src"] for image in images if not kinds & set(image.get("class", []))] == []


@pytest.mark.parametrize("name", PAGES)
def test_formulas_are_mathml(site, name):
    for formula in soup(name).select(".math"):
        assert formula.math is not None and formula.math["alttext"]


FETCHING_LINKS = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "modulepreload",
    "manifest",
}


def fetched(page: BeautifulSoup):
    """Yield what a browser would fetch on its own because a page says so."""
    for tag in page.find_all(src=True):
        yield tag["src"]
    for tag in page.find_all(srcset=True):
        yield from (part.split()[0] for part in tag["srcset"].split(",") if part.strip())
    for tag in page.find_all("link", href=True):
        if FETCHING_LINKS & set(tag.get("rel", [])):
            yield tag["href"]
    for tag in page.find_all("object", data=True):
        yield tag["data"]
    for style in (
        *(t.get_text() for t in page.find_all("style")),
        *(t["style"] for t in page.find_all(style=True)),
    ):
        yield from style_urls(style)


def style_urls(css: str) -> list[str]:
    return re.findall(r"""url\(\s*["']?([^"')]+)""", css) + re.findall(r"""@import\s+["']([^"']+)""", css)


@pytest.mark.parametrize("name", PAGES)
def test_no_page_names_a_resource_of_another_host(site, name):
    assert [url for url in fetched(soup(name)) if is_foreign(url)] == []


def test_no_style_sheet_names_a_resource_of_another_host(site):
    sheets = list(SITE.rglob("*.css"))
    assert len(sheets) >= 5
    urls = {(s.name, url) for s in sheets for url in style_urls(s.read_text(encoding="utf-8"))}
    assert [pair for pair in urls if is_foreign(pair[1])] == []


def test_the_scan_for_foreign_hosts_sees_them():
    page = """<link rel=stylesheet href="//a.b/c.css"><script src="https://d.e/f.js"></script><p style="background:url('http://g.h/i')">
    <style>@import "https://j.k/l.css";</style><img srcset="x.png 1x, https://m.n/o.png 2x" src="x.png"><a href="https://p.q">link</a>"""
    assert sum(map(is_foreign, fetched(BeautifulSoup(page, "html.parser")))) == 5


# --- Seen through a browser --------------------------------------------------------------------------------


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def address(site):
    """Where the site is served, on the loopback address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(SITE)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


# The colours of thousands of words and cells are few: of each kind of word of code the first stays for axe-core to
# look at, and of each table the first three rows.
THIN_OUT = """
const seen = new Set();
for (const word of document.querySelectorAll(".highlight pre span")) {
  if (!word.className || seen.has(word.className)) word.replaceWith(...word.childNodes);
  seen.add(word.className);
}
document.querySelectorAll("tbody tr:nth-child(n + 4)").forEach(row => row.remove());
document.body.normalize();
"""


def load_axe(tab) -> None:
    tab.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))


def violations(tab) -> list[str]:
    """Run axe-core on the page as it stands; one line a finding."""
    found = tab.evaluate("options => axe.run(document, options)", AXE_OPTIONS)["violations"]
    return [
        f"{rule['id']}: {node['html'][:160]} ({' '.join(node['failureSummary'].split())[:220]})"
        for rule in found
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("name", READING_PAGES)
def test_page_is_accessible_and_asks_no_other_host(tab, address, name):
    tab.goto(address + name)
    assert tab.complaints == []
    # What is folded is part of the page too.
    tab.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    tab.evaluate(THIN_OUT)
    load_axe(tab)
    faults = {}
    for width in WIDTHS:
        tab.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            tab.emulate_media(color_scheme=scheme)
            tab.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
            faults[width, scheme] = violations(tab)
        faults[width, "overflow"] = tab.evaluate(
            "document.documentElement.scrollWidth > window.innerWidth ? ['the page scrolls sideways'] : []"
        )
    assert {key: found for key, found in faults.items() if found} == {}
    assert [url for url in tab.requested if not url.startswith((address, "data:"))] == []


@pytest.mark.parametrize("name", READING_PAGES)
def test_page_works_from_the_disk_with_the_network_off(tab, name):
    tab.context.set_offline(True)
    tab.goto((SITE / name).as_uri())
    assert tab.locator("h1").inner_text()
    assert tab.evaluate("document.fonts.ready.then(() => true)")
    assert [url for url in tab.requested if not url.startswith(("file:", "data:"))] == []
    assert tab.complaints == []


def test_axe_sees_a_fault(tab, address):
    tab.goto(address + READING_PAGES[0])
    load_axe(tab)
    tab.evaluate("document.querySelector('article').insertAdjacentHTML('beforeend', '<img src=\"data:,\">')")
    assert any(line.startswith("image-alt") for line in violations(tab))


def test_the_front_door_leads_to_the_first_page(tab, address):
    tab.goto(address)
    tab.wait_for_url("**/book/welcome.html")
    assert tab.locator("article h1").is_visible()


def test_search_finds_a_word_of_the_book(tab, address):
    tab.goto(address + "search.html?q=electrocardiogram")
    tab.locator("#search-results li a").first.wait_for()
    assert tab.locator("#search-results li").count() > 0


def test_on_paper_nothing_is_folded_and_the_frame_of_the_page_is_gone(tab, address):
    tab.emulate_media(media="print", color_scheme="dark")
    tab.goto(address + "book/audit/copies.html")
    tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert tab.evaluate("document.documentElement.dataset.theme") == "light"
    assert tab.locator("details.solution:not([open])").count() == 0 < tab.locator("details.solution").count()
    for frame in (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", ".prev-next-footer"):
        assert not tab.locator(frame).first.is_visible(), frame
    assert tab.locator("article h1").is_visible() and not tab.locator(".figure-data").first.is_visible()
    tab.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert tab.locator("details.solution[open]").count() == 0


def test_the_book_can_be_read_without_javascript(chromium, address):
    context = chromium.new_context(java_script_enabled=False, color_scheme="dark")
    page = context.new_page()
    for name in (name for name in READING_PAGES if "/" in name):  # the search alone needs it
        page.goto(address + name, wait_until="domcontentloaded")
        assert len(page.locator("article").inner_text()) > 100
        ink, paper = page.locator("body").evaluate(
            "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
        )
        assert ink != paper
    context.close()
