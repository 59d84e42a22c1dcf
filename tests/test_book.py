"""Tests of the book itself: pairs, freshness, prose, budgets, house rules."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import nbformat
import pytest
import yaml

from ecgbook import publish

ROOT = publish.ROOT
SCRIPTS = publish.chapters()
MODULES = sorted((ROOT / "ecgbook").glob("*.py"))
ORDER = [
    "data",
    "printed",
    "audit",
    "audit_report",
    "splits",
    "synth",
    "draw",
    "preprocess",
    "ink",
    "digitize",
    "beats",
    "ludb",
    "measure",
    "groups",
    "models",
    "inputs",
    "networks",
    "train",
    "hybrid",
    "evaluate",
    "figures",
    "publish",
    "pretrain",
    "study",
    "cases",
    "gallery",
    "regions",
    "explain",
    "trust",
    "predict",
    "networks1d",
    "detect",
    "denoise",
    "generate",
    "leads",
    "elsewhere",
    "external",
    "adapt",
    "federated",
    "fusion",
    "screening",
    "grade",
    "classroom",
    "cli",
]

chapter = pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.relative_to(ROOT).as_posix())


def stored(script: Path):
    return nbformat.read(script.with_suffix(".ipynb"), as_version=4)


def prose(script: Path) -> str:
    return "\n\n".join(c.source for c in publish.notebook(script).cells if c.cell_type == "markdown")


def git(*command: str, given: bytes = b"") -> bytes:
    try:
        return subprocess.run(
            ["git", *command], cwd=ROOT, input=given, capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this copy is no git checkout")


def tracked_files() -> list[Path]:
    found = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode()
    return [p for name in found.split("\0") if name and (p := ROOT / name).is_file()]


def tracked_texts() -> dict[str, str]:
    texts = {}
    for path in tracked_files():
        raw = path.read_bytes()
        if b"\0" not in raw[:4096]:
            texts[path.relative_to(ROOT).as_posix()] = raw.decode("utf-8")
    return texts


# The pairs


def test_there_are_chapters():
    assert len(SCRIPTS) >= 7


@chapter
def test_pair_agrees(script):
    assert publish.pair_differences(script) == []


@chapter
def test_chapter_is_fresh(script):
    assert publish.staleness(script.with_suffix(".ipynb")) == []


@chapter
def test_every_cell_was_executed_cleanly(script):
    cells = [c for c in stored(script).cells if c.cell_type == "code"]
    assert [c.execution_count for c in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert not cell.source.rstrip().endswith(";"), "a trailing semicolon hides output from nbval"
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            assert "image/svg+xml" not in output.get("data", {}), "SVG output differs from run to run"


def test_no_notebook_without_script():
    notebooks = set((ROOT / "book").rglob("*.ipynb"))
    assert notebooks == {s.with_suffix(".ipynb") for s in SCRIPTS}


# Figures


@chapter
def test_figures_have_alt_text_caption_and_numbers(script):
    for cell in stored(script).cells:
        outputs = cell.get("outputs", [])
        pictures = [o for o in outputs if "image/png" in o.get("data", {})]
        if not pictures:
            continue
        about = cell.metadata["mystnb"]
        alt, caption = about["image"]["alt"], about["figure"]["caption"]
        assert about["figure"]["name"].startswith("fig-")
        assert len(alt.split()) >= 8, f"this alt text does not state a finding: {alt!r}"
        assert alt.strip(". ") != caption.strip(". ")
        numbers = [o for o in outputs if "figure-data" in o.get("data", {}).get("text/html", "")]
        assert len(numbers) == len(pictures), "each figure publishes the numbers that it draws"


# Prose

UNITS = r"(?:k?Hz|m?s|mV|µV|mm|px|min(?:utes?)?|MB|MiB|GB|dpi|seconds?)\b"
TYPED = re.compile(
    rf"(?<![\w.])0\.\d{{2,}}(?!\d*\s?-?\s?{UNITS})(?!\d*\s?(?:to|-|–)\s?\d+\s?{UNITS})"
    r"|(?<![\w.])\d+(?:\.\d+)?\s?(?:%|per ?cent)(?!\s(?:confidence\s)?interval)"
)


def metrics_typed_in(text: str) -> list[str]:
    text = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$|https?://\S+", " ", text, flags=re.DOTALL)
    return TYPED.findall(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The accuracy is 0.854.", True),
        ("It keeps 72 % of them", True),
        ("It keeps 72% of them", True),
        ("filtered at 0.67-25 Hz", False),
        ("0.05 mV is half a small square", False),
        ("The accuracy is {glue:text}`accuracy`.", False),
        ("with its 95 % interval", False),
        (r"$p < 0.05$", False),
    ],
)
def test_the_search_for_typed_metrics_works(text, found):
    assert bool(metrics_typed_in(text)) is found


@chapter
def test_metrics_in_prose_are_glued_never_typed(script):
    captions = [c.metadata.get("mystnb", {}) for c in publish.notebook(script).cells]
    texts = [prose(script)]
    texts += [c.get("figure", {}).get("caption", "") + c.get("image", {}).get("alt", "") for c in captions]
    assert [m for text in texts for m in metrics_typed_in(text)] == []


def glued() -> set[str]:
    """Every value that some chapter hands to its prose."""
    key = "application/papermill.record/text/plain"
    outputs = [o for script in SCRIPTS for c in stored(script).cells for o in c.get("outputs", [])]
    return {o["data"][key].strip("'") for o in outputs if key in o.get("data", {})}


def test_the_readme_quotes_only_metrics_that_a_chapter_computed():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = metrics_typed_in(text)
    assert len(quoted) >= 5
    assert set(quoted) <= glued()


@chapter
def test_chapter_has_the_parts_a_reader_counts_on(script):
    text = prose(script)
    assert text.startswith("# ")
    for part in ("What you will learn", "Running time", "Key points", "Further reading"):
        assert part in text, f"{script.name} lacks {part!r}"
    assert "```{exercise}" in text or script.name == "welcome.py"


@chapter
def test_chapter_cites_the_data_it_uses(script):
    if "ecgbook/tables/manifest.csv" in stored(script).metadata["ecgbook"]["reads"]:
        assert "khan2021" in prose(script)


# The package


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_modules_import_only_from_those_before_them(path):
    if path.stem == "__init__":
        return
    allowed = {f"ecgbook.{name}" for name in ORDER[: ORDER.index(path.stem) + 1]} | {"ecgbook"}
    found = {
        m
        for m in publish._imports(path.read_text(encoding="utf-8"))
        if (ROOT / f"{m.replace('.', '/')}.py").exists()
    }
    assert found <= allowed


@pytest.mark.parametrize("path", [p for p in MODULES if p.stem != "__init__"], ids=lambda p: p.stem)
def test_modules_are_literate(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ---\n# jupyter:") and "language: python" in text
    assert "# %% [markdown]\n# # " in text
    assert ast.get_docstring(ast.parse(text))


def test_every_page_stands_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = {toc["root"]} | {c["file"] for part in toc["parts"] for c in part["chapters"]}
    pages = {p.relative_to(ROOT).with_suffix("").as_posix() for p in SCRIPTS}
    pages |= {f"ecgbook/{p.stem}" for p in MODULES if p.stem != "__init__"}
    pages |= {p.relative_to(ROOT).with_suffix("").as_posix() for p in (ROOT / "book").rglob("*.md")}
    assert pages == listed


def requirements(name: str) -> list[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [r for line in lines if (r := line.partition("#")[0].strip())]


def test_requirements_are_pinned_and_the_site_is_a_subset():
    full, site = requirements("requirements.txt"), requirements("requirements-site.txt")
    assert all(re.fullmatch(r"[A-Za-z0-9_.\[\]-]+==[\w.]+", r) for r in full)
    assert set(site) < set(full)
    assert not any(r.startswith(("torch", "xgboost")) for r in site)


# What must never be in the repository


def test_no_path_of_a_machine_and_no_registry_is_named():
    # Spelt in two halves, so that this file does not name them either.
    forbidden = re.compile(
        "/" + r"(?:work|root|home|Users)/[\w.]+|\.py" + r"env/|pypi\." + r"org|npm" + r"js\.(?:org|com)"
    )
    found = {name: m.group() for name, text in tracked_texts().items() if (m := forbidden.search(text))}
    assert found == {}


def test_no_exam_id_and_no_full_date_in_carried_tables():
    date = re.compile(r"20(?:19|20)[-/.]?(?:0[1-9]|1[0-2])[-/.]?(?:0[1-9]|[12]\d|3[01])(?!\d)|\d{2}:\d{2}")
    for path in (ROOT / "ecgbook" / "tables").glob("*.csv"):
        for row in path.read_text(encoding="utf-8").splitlines():
            fields = [f for f in row.split(",") if not re.fullmatch(r"[0-9a-f]{32,64}", f)]
            assert not any(re.fullmatch(r"\d{7,}", f) for f in fields), f"{path.name}: {row}"
            assert not date.search(",".join(fields)), f"{path.name}: {row}"


def test_no_page_of_the_data_set_is_tracked():
    names = [p.name for p in tracked_files()]
    assert not [n for n in names if n.lower().endswith((".jpg", ".jpeg", ".dat", ".hea"))]


def test_budgets():
    def size(folder: Path) -> int:
        return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())

    assert size(ROOT / "ecgbook" / "tables") <= 15e6
    assert size(ROOT / "book" / "results") <= 20 * 2**20


def test_a_clone_fetches_at_most_80_mb():
    # Packed as for a clone: `.git` itself also holds loose copies, more of them the longer one works in it.
    fetched = git("pack-objects", "--revs", "--stdout", "--quiet", given=b"HEAD\n")
    assert 0 < len(fetched) <= 80e6
