"""The built site: its links, its alternative texts, its silence towards other hosts, and its accessibility.

``make book`` builds what these tests read. Half of them read files; the other half look through a real browser,
from a server on the loopback address and from the disk. A browser is Chromium, found on the PATH: where there is
none the browser's tests are skipped with a word, except in CI, where that is a failure.
"""

from __future__ import annotations

import importlib
import re
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag

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
def mathml(monkeypatch):
    """From TeX to MathML (`_ext/mathml.py`)."""
    monkeypatch.syspath_prepend(str(ROOT / "_ext"))
    return importlib.import_module("mathml").to_mathml


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


def test_titles_are_unique(site):
    titles = [soup(name).title.get_text(strip=True) for name in READING_PAGES]
    assert sorted({t for t in titles if titles.count(t) > 1}) == []


def plain(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .")


def alt_fault(image: Tag) -> str | None:
    """Say what is wrong with the alternative text of an image; an empty one is right for decoration only."""
    if not image.has_attr("alt"):
        return "has no alt"
    alt = image["alt"].strip()
    if not alt:
        return None if "logo__image" in image.get("class", []) else "has an empty alt"
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
def test_page_works_from_the_disk(tab, name):
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


def test_the_book_can_be_read_without_javascript(chromium, address):
    context = chromium.new_context(java_script_enabled=False, color_scheme="dark")
    page = context.new_page()
    for name in {
        name.rpartition("/")[0]: name for name in READING_PAGES if "/" in name
    }.values():  # one of a folder
        page.goto(address + name)
        assert len(page.locator("article").inner_text()) > 100
        ink, paper = page.locator("body").evaluate(
            "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]"
        )
        assert ink != paper
    context.close()
