"""The PDF of the book: what is put into the document, and what a browser prints of it."""

from __future__ import annotations

import importlib
import os
import re
import shutil
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[1]

FIRST = """<article class="bd-article"><section id="one"><h1><span class="section-number">1. </span>One<a
class="headerlink" href="#one">#</a></h1><p>See <a class="internal" href="back/two.html#deep">the second</a>, <a
href="back/two.html#gone">a lost place</a>, <a href="package.html">a module</a> and <a href="https://doi.org/1">a
source</a>.</p><details class="figure-data"><summary>Numbers</summary>1, 2</details>
<div class="exercise admonition" id="ex"><p class="admonition-title">Exercise 1</p><p>Why?</p></div>
<details class="solution admonition" id="so"><summary class="admonition-title">Solution to Exercise 1</summary>
<p>Because of beta.</p></details>
<details class="admonition hide"><summary>Show the code</summary><div class="highlight"><pre><span
class="kn">import</span> <span class="nn">this</span></pre></div></details>
<img src="_static/dot.svg" alt="A dot."><h2>Below</h2><p>ALPHA</p></section></article>"""
SECOND = """<article class="bd-article"><section id="two"><h1>Two</h1>{filler}<h2 id="deep">Deep</h2><p>OMEGA</p>
<p><a href="../one.html">Back</a></p></section></article>"""
PARTS = [("", ["one"]), ("Back matter", ["back/two"])]


@pytest.fixture(scope="module")
def make():
    """The program behind `make pdf`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "_ext" / "pdf"))
        return importlib.import_module("book_pdf")


@pytest.fixture
def small_site(tmp_path):
    """A site of two pages, the second of them three sheets long."""
    (tmp_path / "_static").mkdir()
    (tmp_path / "back").mkdir()
    dot = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'
    for name in ("dot.svg", "logo.svg"):
        (tmp_path / "_static" / name).write_text(dot)
    (tmp_path / "site.css").write_text(".headerlink { color: red }")
    sheet = '<head><link rel="stylesheet" href="{up}site.css"></head>'
    (tmp_path / "one.html").write_text(sheet.format(up="") + FIRST, encoding="utf-8")
    filler = "".join(f"<p>Line {i}</p>" for i in range(120))
    (tmp_path / "back" / "two.html").write_text(sheet.format(up="../") + SECOND.format(filler=filler))
    return tmp_path


def test_the_printed_pages_are_those_of_the_contents_without_the_listings(make):
    parts = make.contents()
    names = [name for _, pages in parts for name in pages]
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    listed = re.findall(r"(?:file|root):\s*(\S+)", toc)
    assert names == [name for name in listed if not name.startswith("ecgbook/")]
    assert len(names) > 20 and parts[0] == ("", ["book/welcome"])


def test_pages_become_one_document_whose_links_stay_inside(make, small_site):
    body, lines = make.assemble(PARTS, small_site)
    page = BeautifulSoup(body, "html.parser")
    links = {a.get_text(): a["href"] for a in page.find_all("a")}
    assert links["the second"] == "#back-two--deep"
    assert links["a lost place"] == "#back-two", "an anchor that is left out leads to its page"
    assert links["Back"] == "#one" and links["a\nsource"] == "https://doi.org/1"
    assert "a module" not in links, "a page that is not printed can be no target"
    ids = {tag["id"] for tag in page.find_all(id=True)}
    assert {href[1:] for href in links.values() if href.startswith("#")} <= ids
    assert [title for _, title, _ in lines] == ["", "Back matter", "Solutions"]
    assert lines[0][2] == [("one", "1. One")]


def test_solutions_stand_at_the_end_and_nothing_is_folded(make, small_site):
    body, _ = make.assemble(PARTS, small_site)
    page = BeautifulSoup(body, "html.parser")
    assert page.find("details") is None and "Numbers" not in body and "Show the code" not in body
    assert body.index("OMEGA") < body.index("Because of beta.")
    assert page.select_one("#one--ex a")["href"] == "#one--so"
    assert page.select_one("#one--so a")["href"] == "#one--ex"
    assert page.find(string=re.compile("Below")).parent.name == "h3"
    assert page.pre.get_text() == "import this" and page.select_one("pre span")["class"] == ["kn"]


def test_without_a_browser_it_says_one_sentence(make, monkeypatch, tmp_path):
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SystemExit, match=r"^make pdf needs Chromium or Chrome, and none is on the PATH: [^.]*$"
    ):
        make.browser()
    monkeypatch.setenv("CHROMIUM", "no-such-browser")
    with pytest.raises(SystemExit, match="there is none at CHROMIUM=no-such-browser"):
        make.browser()


def test_pages_in_chinese_are_left_out_where_no_font_could_print_them(make, small_site):
    (small_site / "zh.html").write_text(
        '<article class="bd-article"><div lang="zh-Hans"><h1>中</h1></div></article>', encoding="utf-8"
    )
    parts = [*PARTS, ("中文", ["zh"])]
    assert make.without_chinese(parts, small_site) == PARTS


def embedded(page) -> list[bool]:
    """Say of the font of each text on a sheet whether the file carries it."""
    texts = [o for o in page.get_objects() if o.type == pdfium.FPDF_PAGEOBJ_TEXT]
    return [bool(pdfium.FPDFFont_GetIsEmbedded(pdfium.FPDFTextObj_GetFont(text.raw))) for text in texts]


def test_the_print_has_page_numbers_bookmarks_links_and_its_fonts(make, small_site, tmp_path):
    if not any(map(shutil.which, make.BROWSERS)):
        if os.environ.get("CI"):
            pytest.fail("no Chromium on the PATH: CI must have one")
        pytest.skip("no Chromium on the PATH: nothing was printed")
    target = tmp_path / "book.pdf"
    count = make.make(PARTS, target, small_site)
    printed = pypdfium2.PdfDocument(target)
    try:
        texts = [page.get_textpage().get_text_range() for page in printed]
        assert len(texts) == count >= 6
        (alpha,) = (i for i, text in enumerate(texts) if "ALPHA" in text)
        first_of_two = next(i for i, text in enumerate(texts) if "Line 0" in text)
        contents = texts[1]
        assert re.search(rf"1\. One\s*{alpha + 1}\b", contents)
        assert re.search(rf"Two\s*{first_of_two + 1}\b", contents)
        places = make.first_pages(target, ["one", "back-two", "solutions"])
        assert places == {"one": alpha + 1, "back-two": first_of_two + 1, "solutions": count}
        marks = [(mark.level, mark.get_title()) for mark in printed.get_toc()]
        assert (0, "Back matter") in marks and (1, "Two") in marks and (2, "Deep") in marks
        assert all(all(embedded(page)) for page in printed)
    finally:
        printed.close()
