"""The book as one PDF, made from the pages of the built site: ``make pdf``.

The articles of all pages are put into one document, in the order of the contents. Links between pages become links
inside the document, the solutions move to its end, and a browser prints it. It prints twice: the first print tells on
which page each chapter begins, and the second carries these numbers in its table of contents. So the PDF shows what
the site shows, and there is no second way from the sources to a page that could go astray.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pypdfium2
import pypdfium2.raw as pdfium
import yaml
from bs4 import BeautifulSoup, Tag

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
PDF = ROOT / "_build" / "ecgbook.pdf"
STYLE = Path(__file__).with_name("sheet.css")
SCRIPT = Path(__file__).with_name("sheet.js")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PRINT_S = 600
CHINESE = "zh-Hans"
# What only a screen can use.
LEFT_OUT = (
    "script, link, noscript, .explorer, .headerlink, .copybtn, .figure-data, a[download], .screen-only, style"
)

# Words of code that keep their colour: keywords, strings, comments.
COLOURED = ("k", "s", "c")
# The listings of the package would be half of the sheets; they stand in the site, and in the repository as they are.
NOT_PRINTED = "ecgbook/"


# --- The pages, and where they stand in the book -----------------------------------------------------------


@dataclass
class Chapter:
    """A page of the site, on its way into the book."""

    name: str  # its path in the site, without suffix
    article: Tag

    @property
    def anchor(self) -> str:
        """Where it begins in the document."""
        return self.name.replace("/", "-")

    @property
    def title(self) -> str:
        """Its heading, with its number."""
        return self.article.find("h1").get_text().strip()


def contents(toc: Path = ROOT / "_toc.yml") -> list[tuple[str, list[str]]]:
    """Return the parts of the book that are printed and the pages of each; the first page is a part without a name."""
    found = yaml.safe_load(toc.read_text(encoding="utf-8"))
    parts = [("", [found["root"]])]
    for part in found["parts"]:
        pages = [page["file"] for page in part["chapters"] if not page["file"].startswith(NOT_PRINTED)]
        if pages:
            parts.append((part["caption"], pages))
    return parts


def read(name: str, site: Path = SITE) -> Chapter:
    """Take the article out of a page of the site."""
    html = (site / f"{name}.html").read_text(encoding="utf-8")
    start, end = html.index("<article"), html.index("</article>") + len("</article>")
    return Chapter(name, BeautifulSoup(html[start:end], "html.parser").article)


# --- From pages to one document ----------------------------------------------------------------------------


def anchored(chapter: Chapter, names: Iterable[str]) -> None:
    """Give every anchor the name of its page in front, and lead every link to where its target now stands."""
    names = set(names)
    for tag in chapter.article.find_all(id=True):
        tag["id"] = f"{chapter.anchor}--{tag['id']}"
    for link in chapter.article.find_all("a", href=True):
        address, fragment = urldefrag(link["href"])
        if urlsplit(address).scheme or address.startswith("//"):
            continue
        path = posixpath.normpath(posixpath.join(posixpath.dirname(chapter.name), unquote(address)))
        target = path.removesuffix(".html") if address else chapter.name
        if target in names:
            page = target.replace("/", "-")
            link["href"] = f"#{page}--{unquote(fragment)}" if fragment else f"#{page}"
        else:
            link.unwrap()
    for image in chapter.article.find_all("img", src=True):
        if not urlsplit(image["src"]).scheme:
            image["src"] = posixpath.normpath(posixpath.join(posixpath.dirname(chapter.name), image["src"]))
            del image["loading"]  # a picture that waits to be scrolled to would not be printed


def mended_links(chapters: list[Chapter]) -> None:
    """Lead a link whose anchor was left out to the beginning of its page."""
    known = {tag["id"] for c in chapters for tag in c.article.find_all(id=True)}
    for chapter in chapters:
        for link in chapter.article.find_all("a", href=re.compile("^#.*--")):
            if link["href"][1:] not in known:
                link["href"] = link["href"].partition("--")[0]


def prepared(chapter: Chapter, names: Iterable[str]) -> Chapter:
    """Leave out what only a screen can use, unfold what is folded, and lower the headings by one."""
    if chapter.article.select_one(".explorer"):
        note = BeautifulSoup("<p><em>The explorer itself works in the site only.</em></p>", "html.parser")
        chapter.article.select_one(".explorer").insert_before(note)
    for tag in chapter.article.select(LEFT_OUT):
        tag.decompose()
    for box in chapter.article.select("details"):
        box.name = "div"
        summary = box.find("summary", recursive=False)
        if "hide" in box.get("class", []):
            summary.decompose()
        elif summary:
            summary.name = "p"
    for paragraph in chapter.article.select(".table-data > p"):
        paragraph.decompose()  # the link to its CSV
    for word in chapter.article.select(".highlight span"):
        if not (word.get("class") or ["-"])[0].startswith(COLOURED):
            word.unwrap()  # each would be an element of the tagged PDF, and there are a million
    for level in range(5, 0, -1):
        for heading in chapter.article.find_all(f"h{level}"):
            heading.name = f"h{level + 1}"
    anchored(chapter, names)
    return chapter


def take_solutions(chapter: Chapter) -> list[Tag]:
    """Take the solutions out of a chapter, and link each exercise and its solution with one another."""
    taken = []
    for solution in chapter.article.select("div.solution"):
        exercise = solution.find_previous(class_="exercise")
        pointer = BeautifulSoup(
            f'<p class="to-solution"><a href="#{solution["id"]}">Solution</a></p>', "html.parser"
        )
        exercise.append(pointer)
        title = solution.find(class_="admonition-title")
        back = BeautifulSoup(f'<a href="#{exercise["id"]}"></a>', "html.parser").a
        back.extend(list(title.contents))
        title.append(back)
        taken.append(solution.extract())
    return taken


def title_of(chapter: Chapter) -> str:
    """Return the title of a chapter whose headings were lowered."""
    return chapter.article.find("h2").get_text().strip()


def contents_html(parts: list[tuple[str, str, list[tuple[str, str]]]], pages: dict[str, int]) -> str:
    """Write the table of contents: parts, chapters, and the page on which each begins."""

    def line(anchor: str, title: str) -> str:
        number = pages.get(anchor, "")
        return f'<a href="#{anchor}"><span class="title">{escape(title)}</span><span class="page">{number}</span></a>'

    rows = []
    for anchor, name, chapters in parts:
        rows.append(f'<li class="part">{line(anchor, name)}' if name else "<li>")
        inside = "".join(f"<li>{line(*chapter)}</li>" for chapter in chapters)
        rows.append(f"<ul>{inside}</ul></li>" if inside else "</li>")
    return f'<nav class="book-contents"><h1>Contents</h1><ul>{"".join(rows)}</ul></nav>'


def head(site: Path, page: str) -> str:
    """Return links to the style sheets of the site, as a page of it names them."""
    html = (site / f"{page}.html").read_text(encoding="utf-8")
    sheets = re.findall(r'<link[^>]*rel="stylesheet"[^>]*>', html.partition("</head>")[0])
    up = "../" * page.count("/")
    return "\n".join(sheet.replace(f'href="{up}', 'href="', 1) for sheet in sheets)


COVER = """<section class="cover">
<img src="_static/logo.svg" alt="">
<h1>{title}</h1>
<p class="tagline">{tagline}</p>
<p>Printed from the pages of the site: the text, the code, every figure and every table. Under the figures of the site
lie the numbers that they draw, as tables to download; they are left out here, and so are the case explorer, which
needs a screen, and the listings of the package. The solutions of the exercises stand at the end.</p>
<p class="care">No medical device: nothing here is for diagnosis.</p>
<p class="licence">Text and figures CC BY 4.0, code BSD 3-Clause. The electrocardiograms are by Khan and Hussain
(Mendeley Data, doi:10.17632/gwbz3fsgp8.2, CC BY 4.0), and by Kalyakulina and others (LUDB, PhysioNet, ODC-By).</p>
</section>"""

DOCUMENT = """<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light">
<head>
<meta charset="utf-8">
<title>{title}: {tagline}</title>
<base href="{base}/">
{head}
<style>{style}</style>
</head>
<body>
<div class="bd-content"><div class="bd-article-container">
{cover}
{contents}
{body}
</div></div>
<script>{script}</script>
</body>
</html>
"""


Line = tuple[str, str]  # of the table of contents: an anchor and a title


def assemble(
    parts: list[tuple[str, list[str]]], site: Path = SITE
) -> tuple[str, list[tuple[str, str, list[Line]]]]:
    """Put the pages of all parts into one body; return it, and the lines of its table of contents by part."""
    names = [name for _, chapters in parts for name in chapters]
    chapters = {name: prepared(read(name, site), names) for name in names}
    mended_links(list(chapters.values()))
    body, lines, solutions = [], [], []
    for number, (part, members) in enumerate(parts):
        anchor = f"part-{number}"
        if part:
            body.append(f'<section class="part" id="{anchor}"><h1>{escape(part)}</h1></section>')
        for chapter in map(chapters.get, members):
            taken = take_solutions(chapter)
            if taken:
                heading = f'<h2 class="of-chapter">{escape(title_of(chapter))}</h2>'
                solutions.append(f'<article class="bd-article">{heading}{"".join(map(str, taken))}</article>')
            body.append(f'<div class="chapter" id="{chapter.anchor}">{chapter.article}</div>')
        lines.append((anchor, part, [(chapters[m].anchor, title_of(chapters[m])) for m in members]))
    if solutions:
        body.append('<section class="part" id="solutions"><h1>Solutions</h1></section>' + "".join(solutions))
        lines.append(("solutions", "Solutions", []))
    return "\n".join(body), lines


def document(
    parts: list[tuple[str, list[str]]], site: Path = SITE
) -> tuple[Callable[[dict[str, int]], str], list[str]]:
    """Return a function from the pages on which the chapters begin to the whole document, and their anchors."""
    body, lines = assemble(parts, site)
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    names = {"title": config["title"], "tagline": config["sphinx"]["config"]["html_context"]["tagline"]}
    frame = {
        "base": site.resolve().as_uri(),
        "head": head(site, parts[0][1][0]),
        "style": STYLE.read_text(encoding="utf-8"),
        "script": SCRIPT.read_text(encoding="utf-8"),
        "cover": COVER.format(**names),
        "body": body,
    }
    anchors = [anchor for part, _, chapters in lines for anchor in (part, *(c for c, _ in chapters))]
    return lambda pages: DOCUMENT.format(**names, **frame, contents=contents_html(lines, pages)), anchors


# --- Printing ----------------------------------------------------------------------------------------------


def browser() -> str:
    """Return the path of a browser of the Chromium family, or end with a word."""
    named = os.environ.get("CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        where = f"there is none at CHROMIUM={named}" if named else "none is on the PATH"
        sys.exit(f"make pdf needs Chromium or Chrome, and {where}: install one, or say CHROMIUM=/path/to/it")
    return found


def print_pdf(html: str, target: Path) -> None:
    """Let the browser print a document."""
    with tempfile.TemporaryDirectory() as folder:
        source, printed = Path(folder, "book.html"), Path(folder, "book.pdf")
        source.write_text(html, encoding="utf-8")
        sandbox = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []  # root has none
        run = subprocess.run(
            [
                browser(), "--headless", *sandbox, "--disable-gpu", "--no-first-run", "--disable-background-networking",
                "--allow-file-access-from-files", "--no-pdf-header-footer", "--generate-pdf-document-outline",
                f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}", source.as_uri(),
            ],
            capture_output=True, text=True, timeout=PRINT_S,
        )  # fmt: skip
        if not printed.exists():
            sys.exit(f"make pdf: the browser printed nothing: {run.stderr.strip()[-300:]}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(printed, target.with_suffix(".part"))
    target.with_suffix(".part").replace(target)


def first_pages(pdf: Path, anchors: Iterable[str]) -> dict[str, int]:
    """Return the page, counted from 1, on which each anchor stands."""
    opened = pypdfium2.PdfDocument(pdf)
    pages = {}
    for anchor in anchors:
        target = pdfium.FPDF_GetNamedDestByName(opened.raw, anchor.encode())
        if target:
            pages[anchor] = pdfium.FPDFDest_GetDestPageIndex(opened.raw, target) + 1
    opened.close()
    return pages


def has_chinese_font() -> bool:
    """Ask fontconfig; where it is absent (macOS, Windows) the system brings a font for every script."""
    if shutil.which("fc-list") is None:
        return True
    return bool(subprocess.run(["fc-list", ":lang=zh-cn"], capture_output=True, text=True).stdout.strip())


def without_chinese(parts: list[tuple[str, list[str]]], site: Path = SITE) -> list[tuple[str, list[str]]]:
    """Leave out the pages in Chinese, for a machine that could only print boxes."""
    kept = [
        (part, [n for n in names if f'lang="{CHINESE}"' not in str(read(n, site).article)[:400]])
        for part, names in parts
    ]
    return [(part, names) for part, names in kept if names]


def make(parts: list[tuple[str, list[str]]], target: Path = PDF, site: Path = SITE) -> int:
    """Print the book, and again with page numbers in its contents; return how many pages it has."""
    write, anchors = document(parts, site)
    print_pdf(write({}), target)
    print_pdf(write(first_pages(target, anchors)), target)
    opened = pypdfium2.PdfDocument(target)
    count = len(opened)
    opened.close()
    return count


def main() -> None:
    """Make the PDF of the built site; with ``--check`` only see whether there is a browser to print it."""
    browser()
    if sys.argv[1:] == ["--check"]:
        return
    parts = contents()
    if not has_chinese_font():
        parts = without_chinese(parts)
        print("No Chinese font on this machine: the Chinese page is left out of the PDF.")
    count = make(parts)
    print(f"The book in {count} pages: {PDF.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
