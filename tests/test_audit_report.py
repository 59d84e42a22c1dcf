"""The report of an audit: what was planted is shown, what was not is not, and a build can be stopped."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from typer.testing import CliRunner

from ecgbook import audit, audit_report, cli, data

ROOT = Path(__file__).parents[1]
CATS, BIRDS = "cats & <dogs>", "Vögel"  # folder names that would break a careless page


def run(*arguments):
    return CliRunner().invoke(cli.app, ["audit", *map(str, arguments)])


def picture(seed: int, size=(200, 150)) -> Image.Image:
    """Draw coloured clouds, unlike those of any other seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def clean(root: Path, each: int = 12) -> Path:
    for number, folder in enumerate((CATS, BIRDS)):
        (root / folder).mkdir(parents=True)
        for n in range(each):
            picture(100 * number + n).save(root / folder / f"ü {n}.png")
    return root


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Path:
    """Twelve pictures a class, and one of each fault."""
    root = clean(tmp_path_factory.mktemp("planted") / "my <set>")
    for n in range(3):
        shutil.copy(root / BIRDS / f"ü {n}.png", root / BIRDS / f"again {n}.png")
    shutil.copy(root / BIRDS / "ü 5.png", root / CATS / "same & other class.png")
    picture(106).save(root / CATS / "near <b>6.jpg", quality=60)
    picture(107, (160, 120)).save(root / BIRDS / "near 7.jpg", quality=80)
    (root / BIRDS / "broken.png").write_bytes(b"no picture")
    (root / BIRDS / "broken too.png").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module")
def report(planted) -> dict:
    return audit.audit(planted)


@pytest.fixture(scope="module")
def files(planted, report) -> pd.DataFrame:
    return audit_report.grouped(planted, report)


@pytest.fixture(scope="module")
def page(planted, report, files) -> str:
    return audit_report.page(planted, report, files)


# Groups ------------------------------------------------------------------------------------------------


def together(files: pd.DataFrame) -> set[frozenset[str]]:
    sets = files.groupby("group")["file"].agg(frozenset)
    return {names for names in sets if len(names) > 1}


def test_what_is_one_picture_is_one_group_and_nothing_else_is(files):
    assert together(files) == {
        *(frozenset({f"{BIRDS}/ü {n}.png", f"{BIRDS}/again {n}.png"}) for n in range(3)),
        frozenset({f"{BIRDS}/ü 5.png", f"{CATS}/same & other class.png"}),
        frozenset({f"{BIRDS}/ü 6.png", f"{CATS}/near <b>6.jpg"}),
        frozenset({f"{BIRDS}/ü 7.png", f"{BIRDS}/near 7.jpg"}),
        frozenset({f"{BIRDS}/broken.png", f"{BIRDS}/broken too.png"}),
    }
    assert files["group"].drop_duplicates().tolist() == list(range(1, files["group"].max() + 1))
    assert files.loc[~files["readable"], "file"].tolist() == [
        f"{BIRDS}/broken too.png",
        f"{BIRDS}/broken.png",
    ]


def test_two_broken_files_of_the_same_bytes_are_no_leak(files):
    assert audit_report.leaking(files) == 12
    assert set(files.set_index("group")["file"][audit_report.kinds(files).index].str.contains("broken")) == {
        False
    }


def test_kinds_are_told_apart_and_the_worst_comes_first(files):
    kinds = audit_report.kinds(files)
    assert kinds.tolist() == ["conflict", "conflict", "near-copy", "copy", "copy", "copy"]
    rows = files[files["group"].isin(kinds.index[kinds == "conflict"])]
    assert set(rows["file"]) >= {f"{CATS}/same & other class.png", f"{CATS}/near <b>6.jpg"}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), min_size=1, max_size=20))
def test_being_the_same_is_passed_on(pairs):
    names = pd.Series([f"c/{n}" for n in range(15)])
    found = audit_report._connected(names, [(f"c/{a}", f"c/{b}") for a, b in pairs])
    plain = list(range(15))
    for a, b in pairs * 15:  # each pass carries the lowest name at least one step further
        plain[a] = plain[b] = min(plain[a], plain[b])
    assert ((found[:, None] == found) == (np.array(plain)[:, None] == np.array(plain))).all()
    assert found[0] == 1 and pd.Series(found).drop_duplicates().is_monotonic_increasing


def test_files_that_changed_since_the_audit_are_told(report, planted, tmp_path):
    moved = shutil.copytree(planted, tmp_path / "moved")
    (moved / BIRDS / "near 7.jpg").rename(moved / BIRDS / "elsewhere.jpg")
    with pytest.raises(data.EcgbookError, match="have changed since the audit began; run it again"):
        audit_report.grouped(moved, report)
    picture(999).save(moved / BIRDS / "again 1.png")
    with pytest.raises(data.EcgbookError, match="have changed"):
        audit_report.grouped(moved, report)


# Numbers -----------------------------------------------------------------------------------------------


def test_the_share_of_twins_is_that_of_plain_splits(files, report):
    readable = files[files["readable"]].reset_index(drop=True)
    shares = []
    for part in next(audit.simulate_splits(readable["label"], repeats=1000, seed=7)):
        trained = set(readable.loc[part == 0, "first_copy"])
        shares.append(readable.loc[part == 2, "first_copy"].isin(trained).mean())
    assert audit_report.twin_share(files, report["lookup"]) == pytest.approx(np.mean(shares), abs=0.02)


def test_the_sentence_says_what_the_book_says_of_the_published_files():
    report = json.loads((data.tables() / "audit_eicp.json").read_text(encoding="utf-8"))
    frame = data.files()
    files = frame.assign(label=frame["label"].map(data.FOLDERS), readable=True)
    said = audit_report.sentence(files, report)
    assert said.startswith(
        "Of 928 files 491 are distinct; a random 70/15/15 split puts a copy of 60 % of the test "
    )
    assert said.endswith("never opens an image scores 0.853 (always naming the largest class: 0.306).")


def test_near_copies_are_counted_apart(files, report):
    said = audit_report.sentence(files, report)
    exact, near = map(int, re.findall(r"(\d+) % of the test", said))
    assert 0 < exact < near
    without = audit_report.sentence(files, report | {"near_duplicates": []})
    assert said.startswith(without) and "near-copies" not in without


# The page ----------------------------------------------------------------------------------------------


class _Seen(HTMLParser):
    """Collect what a page holds, and check that its tags close."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.addresses, self.alts, self.ids, self.words = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.addresses += [given[key] for key in ("src", "href", "data", "srcset") if key in given]
        self.ids += [given["id"]] if "id" in given else []
        self.alts += [given.get("alt")] if tag == "img" else []
        assert tag not in ("script", "link", "iframe", "object", "form")
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.words.append(text)


def test_the_page_is_whole_and_asks_nobody(page):
    seen = _Seen(page)
    assert seen.open == [] and len(seen.ids) == len(set(seen.ids))
    inside = [at for at in seen.addresses if not at.startswith("data:image/jpeg;base64,")]
    assert inside and all(at.startswith("#") and at[1:] in seen.ids for at in inside)
    assert "url(" not in page and "@import" not in page and "http" not in page
    assert (
        page.startswith("<!doctype html>") and "prefers-color-scheme: dark" in page and "@media print" in page
    )


def test_every_planted_fault_is_shown_and_the_worst_comes_first(page):
    text = " ".join(_Seen(page).words)
    places = [text.index(title) for title in ("One picture, two classes", "Class by class", "Near-copies")]
    places += [
        text.index(title) for title in ("Identical files", "What the making", "Unreadable", "What to do")
    ]
    assert places == sorted(places)
    conflicts = text[places[0] : places[1]]
    for name in (
        f"{CATS}/same & other class.png",
        f"{BIRDS}/ü 5.png",
        f"{CATS}/near <b>6.jpg",
        f"{BIRDS}/ü 6.png",
    ):
        assert name in conflicts
    assert "near 7.jpg" in text[places[2] : places[3]] and "near 7.jpg" not in conflicts
    assert all(f"again {n}.png" in text[places[3] : places[4]] for n in range(3))
    assert f"{BIRDS}/broken.png" in text[places[5] : places[6]]
    assert "ü 9.png" not in text  # which has no fault


def test_names_are_never_read_as_html(page):
    assert "<dogs>" not in page and "<b>" not in page and "<set>" not in page
    assert "cats &amp; &lt;dogs&gt;" in page and "Audit of my &lt;set&gt;" in page


def test_each_distinct_content_of_a_group_has_one_small_picture(page, files):
    alts = _Seen(page).alts
    assert len(alts) == len(set(alts)) == 1 + 2 + 2 + 3
    assert all(alt.endswith(", small") and alt.removesuffix(", small") in set(files["file"]) for alt in alts)


def test_a_clean_set_is_said_to_be_clean(tmp_path):
    root = clean(tmp_path / "clean")
    report = audit.audit(root)
    files = audit_report.grouped(root, report)
    text = audit_report.page(root, report, files)
    assert audit_report.leaking(files) == 0 and files["group"].is_unique
    seen = _Seen(text)
    assert (
        "No copies were found." in text and "<li>nothing</li>" in text and seen.alts == [] and seen.open == []
    )
    assert {"conflict", "copy", "near-copy", "unreadable"}.isdisjoint(seen.ids)
    assert "copy of 0 % of the test files" in text


def test_a_set_too_small_to_split_has_a_page_too(tmp_path):
    root = clean(tmp_path / "small", each=1)
    report = audit.audit(root)
    text = audit_report.page(root, report, audit_report.grouped(root, report))
    assert "no random split was simulated" in text and _Seen(text).open == []


def test_a_long_report_shows_its_head_and_stays_small(planted, report, files, monkeypatch):
    monkeypatch.setattr(audit_report, "SHOWN", 1)
    text = audit_report.page(planted, report, files)
    assert "Shown are 1 of 3;" in text and "Shown are 1 of 2;" in text
    monkeypatch.setattr(audit_report, "BUDGET", len(audit_report.small(planted / BIRDS / "ü 5.png")) + 10)
    assert len(_Seen(audit_report.page(planted, report, files)).alts) == 1


def test_an_encoder_that_tells_the_class_stands_among_the_findings(planted, page, report, files):
    assert "How the files were made" not in page and "PNG IHDR IDAT IEND" in page
    classes = report["per_class"]
    told = {
        CATS: classes[CATS] | {"encoders": {"old": 14}},
        BIRDS: classes[BIRDS] | {"encoders": {"new": 13}},
    }
    text = audit_report.page(planted, report | {"per_class": told}, files)
    assert "How the files were made</a> tells the class of 100 % of them; without it 52 % are guessed" in text


def test_many_values_and_classes_are_cut():
    counts = {f"class {n}": {f"{n + k} x 7": 10 - k for k in range(3)} for n in range(30)}
    rows = list(audit_report._values(counts))
    assert len(rows) == audit_report._VALUES + 1 and rows[-1][0] == "20 other values"
    assert sum(number for _, number, _ in rows) == 30 * (10 + 9 + 8)
    (row,) = audit_report._values({f"class {n}": {"same": 1} for n in range(8)})
    assert row[1] == 8 and row[2].endswith("and 3 more")


ODD = {
    "sixteen.png": lambda image: Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 100),
    "alpha.png": lambda image: image.convert("RGBA"),
    "palette.gif": lambda image: image.convert("P"),
    "print.tif": lambda image: image.convert("CMYK"),
    "grey.jpg": ImageOps.grayscale,
}


@pytest.mark.parametrize("name", ODD)
def test_every_kind_of_picture_becomes_a_small_one(tmp_path, name):
    ODD[name](picture(1, (400, 300))).save(tmp_path / name)
    jpeg = audit_report.small(tmp_path / name)
    (tmp_path / "small.jpg").write_bytes(jpeg)
    with Image.open(tmp_path / "small.jpg") as shown:
        assert (shown.format, shown.mode, shown.size) == ("JPEG", "RGB", (220, 165))
        grey = np.asarray(shown.convert("L")).astype(float)
    wanted = np.asarray(picture(1, (400, 300)).convert("L").resize((220, 165))).astype(float)
    assert np.corrcoef(grey.ravel(), wanted.ravel())[0, 1] > 0.97


def test_a_rotated_photograph_stands_upright_and_a_broken_one_is_left_out(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(1, (400, 300)).save(tmp_path / "turned.jpg", exif=exif)
    (tmp_path / "small.jpg").write_bytes(audit_report.small(tmp_path / "turned.jpg"))
    with Image.open(tmp_path / "small.jpg") as shown:
        assert shown.size == (165, 220)
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "turned.jpg").read_bytes()[:300])
    assert audit_report.small(tmp_path / "broken.jpg") == b"" == audit_report.small(tmp_path / "none.jpg")


# Seen through a browser


def test_the_page_is_accessible_in_light_dark_and_on_a_phone(page, tmp_path, tab):
    from importlib.resources import files as resources

    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    axe = (resources("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    found = {}
    tab.goto((tmp_path / "report.html").as_uri())
    tab.evaluate(axe)
    for width in (1280, 390):
        tab.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            faults = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            found[width, scheme] = [fault["id"] for fault in faults]
        overflow = "document.documentElement.scrollWidth > window.innerWidth"
        assert not tab.evaluate(overflow), "the page scrolls sideways"
    assert {key: faults for key, faults in found.items() if faults} == {} and len(found) == 4
    assert all(url.startswith(("file:", "data:")) for url in tab.requested)


# Honest folds ------------------------------------------------------------------------------------------


def test_the_lines_in_the_report_make_folds_that_part_no_group(page, files, tmp_path, monkeypatch):
    code = html.unescape(re.search(r"<pre[^>]*><code>(.*?)</code>", page, re.DOTALL)[1])
    (tmp_path / "groups.csv").write_text(audit_report.table(files), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    folds, read = list(names["folds"]), names["files"]
    assert len(folds) == 5 and len(read) == files["readable"].sum()
    for train, test in folds:
        assert len(test) and not set(read["group"].iloc[train]) & set(read["group"].iloc[test])
    assert list(read) == ["file", "label", "group", "first_copy", "readable"]


# The command -------------------------------------------------------------------------------------------


def test_a_leak_ends_with_3_and_all_results_are_written(planted, page, files, tmp_path):
    told = [tmp_path / name for name in ("a.html", "b.csv", "c.json")]
    ended = run(planted, "--report", told[0], "--groups", told[1], "--json", told[2], "--fail-on-leak")
    assert ended.exit_code == 3 and "Near-duplicates" in ended.stdout
    assert ended.stderr == f"leak: 12 of {len(files)} files share their picture with another file\n"
    assert told[0].read_text(encoding="utf-8") == page
    assert told[1].read_text(encoding="utf-8") == audit_report.table(files)
    assert json.loads(told[2].read_text(encoding="utf-8"))["files"] == len(files)
    assert sorted(tmp_path.iterdir()) == sorted(told)


def test_without_being_asked_a_leak_ends_with_0(planted):
    assert run(planted).exit_code == 0


def test_near_copies_alone_are_a_leak_and_a_clean_set_is_none(tmp_path):
    root = clean(tmp_path / "set")
    assert run(root, "--fail-on-leak").exit_code == 0
    picture(3).save(root / CATS / "again.jpg", quality=70)
    assert run(root, "--fail-on-leak").exit_code == 3


def test_an_interrupt_leaves_the_old_report(planted, tmp_path, monkeypatch):
    (tmp_path / "a.html").write_text("old")

    def interrupted(path, side=0):
        raise KeyboardInterrupt

    monkeypatch.setattr(audit_report, "small", interrupted)
    ended = run(planted, "--report", tmp_path / "a.html", "--groups", tmp_path / "b.csv")
    assert ended.exit_code == 130 and "nothing half-written" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"] and (
        tmp_path / "a.html"
    ).read_text() == "old"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--report", "{0}/a", "--groups", "{0}/a"], "is named twice"),
        (["--report", "{0}/no/a.html"], "cannot be written"),
        (["--groups", "{0}"], "is a folder"),
        (["--report", "{1}"], "is an image"),
    ],
)
def test_mistakes_end_with_2_before_the_work(planted, tmp_path, monkeypatch, options, words):
    monkeypatch.setattr(audit, "audit", None)  # to call it would fail
    image = planted / BIRDS / "ü 0.png"
    before = image.read_bytes()
    ended = run(planted, *(option.format(tmp_path, image) for option in options))
    assert ended.exit_code == 2 and words in ended.stderr and ended.stderr.count("\n") == 1
    assert image.read_bytes() == before and not list(tmp_path.iterdir())


def test_the_help_says_what_the_statuses_mean():
    said = " ".join(run("--help").stdout.split())
    assert "3 if there is a leak" in said and "--groups" in said and "--report" in said


# The example job ---------------------------------------------------------------------------------------


def example() -> dict:
    return yaml.safe_load((ROOT / "examples" / "audit-ci.yml").read_text(encoding="utf-8"))


def test_the_example_is_a_workflow_that_installs_audits_and_keeps_the_report():
    job = example()
    assert {"name", "env", "jobs", "permissions"} < set(job) and True in job  # YAML 1.1 reads `on` as true
    (steps,) = (one["steps"] for one in job["jobs"].values())
    assert all(("uses" in step) != ("run" in step) for step in steps)
    install, audited = (step["run"] for step in steps if "run" in step)
    assert install == 'python -m pip install "ecgbook @ $ECGBOOK"' and job["env"]["ECGBOOK"].startswith(
        "git+https://"
    )
    kept = steps[-1]["with"]["path"].split()
    assert steps[-1]["if"] == "always()" and all(name in audited for name in kept)


@pytest.mark.skipif(shutil.which("bash") is None, reason="the example is for bash")
@pytest.mark.parametrize("leaky", [False, True])
def test_the_line_of_the_example_stops_a_job_only_for_a_leak(tmp_path, leaky):
    job = example()
    clean(tmp_path / job["env"]["IMAGES"])
    if leaky:
        picture(3).save(tmp_path / job["env"]["IMAGES"] / CATS / "again.png")
    (line,) = (s["run"] for s in job["jobs"]["leaks"]["steps"] if "--fail-on-leak" in s.get("run", ""))
    command = 'ecgbook() { "$PYTHON" -m ecgbook.cli "$@"; }; ' + line
    environment = os.environ | job["env"] | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-ec", command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == (3 if leaky else 0), done.stderr
    for name in ("audit.html", "audit.json", "groups.csv"):
        assert (tmp_path / name).stat().st_size > 500


# The real pages ----------------------------------------------------------------------------------------


def test_the_report_on_the_real_pages(eicp):
    if not (eicp / data.FOLDERS["MI"]).is_dir():
        pytest.skip("the published tree is not laid out here")
    report = json.loads((data.tables() / "audit_eicp.json").read_text(encoding="utf-8"))
    files = audit_report.grouped(eicp, report)
    frame = data.files().set_index("file")
    assert files["group"].nunique() == 491 and audit_report.leaking(files) == 928 - 233
    same = files.assign(first=files["file"].str.split("/").str[1].map(frame["first_copy"]))
    assert (same.groupby("group")["first"].nunique() == 1).all()
    text = audit_report.page(eicp, report, files)
    assert len(text) < 3_000_000 and len(_Seen(text).alts) == audit_report.SHOWN
    assert "Of 928 files 491 are distinct" in text and "Shown are 24 of 258" in text
