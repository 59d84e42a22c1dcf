"""The case explorer: one small script for each ECG, and the page that draws them.

The site is built without NumPy and pandas (``requirements-site.txt``), so the carried tables and the stored
predictions are read with the standard library; ``tests/test_explorer.py`` holds what is written here against what
the package reads. A page that is opened from the disk may not fetch a file, but it may load a script: therefore each
ECG is a script that hands its signals to the page. Nothing of this is committed: it is written when the site is.
"""

from __future__ import annotations

import ast
import base64
import csv
import io
import json
import math
import re
import shutil
import struct
import sys
import zipfile
from array import array
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import jinja2
from docutils import nodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "ecgbook" / "tables"
RESULTS = ROOT / "book" / "results"
GALLERY = ROOT / "book" / "errors" / "gallery.py"
FILES = Path(__file__).parent / "explorer_files"
FOLDER = "_static/explorer"  # of the site
PAGE = "book/errors/explorer"

# --- What is carried, read without NumPy -------------------------------------------------------------------


@lru_cache
def constant(module: str, name: str):
    """Return a literal that a module of the package assigns to a name, without importing the module."""
    tree = ast.parse((ROOT / "ecgbook" / f"{module}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return ast.literal_eval(node.value)
    raise LookupError(f"ecgbook.{module} assigns nothing to {name}")


CLASSES = constant("data", "CLASSES")
LEADS = constant("synth", "LEADS")
STEP = 5  # microvolts: a twentieth of a millimetre on ECG paper


def table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def by_file(name: str) -> dict[str, dict[str, str]]:
    """Read a carried table, by file name."""
    return {row["file"]: row for row in table(TABLES / name)}


def column(store: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], list[str] | array]:
    """Read one array of an ``npz`` file: its shape, and its text or its 16-bit numbers, one after the other."""
    raw = store.read(f"{name}.npy")
    (length,) = struct.unpack("<H", raw[8:10])  # format 1.0: two bytes for the length of the header
    header, body = ast.literal_eval(raw[10 : 10 + length].decode("latin1")), raw[10 + length :]
    if header["descr"].startswith("<U"):
        width = 4 * int(header["descr"][2:])
        texts = [body[i : i + width].decode("utf-32-le").rstrip("\0") for i in range(0, len(body), width)]
        return header["shape"], texts
    numbers = array("h", body)
    if sys.byteorder == "big":
        numbers.byteswap()
    return header["shape"], numbers


class Signals(NamedTuple):
    """The digitised signals of one page, in whole microvolts; -32768 is not read."""

    rhythm: str
    traces: list[array]  # twelve leads of 2.5 s, then the rhythm strip of 10 s
    flags: list[str]  # of each trace, as `ecgbook.digitize.Reading` has them


def signals() -> dict[str, Signals]:
    """Read the carried signals of all pages, by file name."""
    with zipfile.ZipFile(TABLES / "signals.npz") as store:
        ((_, files), (_, rhythms), (_, flags)) = (column(store, name) for name in ("page", "rhythm", "flags"))
        (_, count, short), leads = column(store, "leads")
        (_, long), strips = column(store, "strip")
    found = {}
    for i, (file, rhythm) in enumerate(zip(files, rhythms, strict=True)):
        starts = range(i * count * short, (i + 1) * count * short, short)
        traces = [*(leads[at : at + short] for at in starts), strips[i * long : (i + 1) * long]]
        found[file] = Signals(rhythm, traces, flags[i * len(traces) : (i + 1) * len(traces)])
    return found


# --- Signals as text ---------------------------------------------------------------------------------------

NOT_READ = -32768
GAP, LEAP, REST = 0, 1, 128  # bytes: a sample that was not read; a level in full; no change


def packed(trace: array) -> bytes:
    """Write a trace as steps of :data:`STEP` microvolts: a byte for each change from one sample to the next.

    Byte 0 stands for a sample that was not read, byte 1 for a change too large for a byte (then the level follows
    in two), any other byte for a change of that byte less 128.
    """
    out, level = bytearray(), 0
    for microvolt in trace:
        if microvolt == NOT_READ:
            out.append(GAP)
            continue
        now = (microvolt + STEP // 2) // STEP
        change = now - level + REST
        out += bytes((change,)) if LEAP < change < 256 else bytes((LEAP, *struct.pack("<H", now + 32768)))
        level = now
    return bytes(out)


# --- What the models said ----------------------------------------------------------------------------------

#: Models of the first table under an ECG, by the name of their runs without the protocol. The page network and the
#: hybrid are those that `ecgbook.cases.best` chooses on validation pages.
CHOSEN = {
    "headline": "Headline",
    "densenet121": "Page network (DenseNet-121)",
    "densenet121-svm": "Hybrid (DenseNet-121, SVM)",
    "guideline": "Rules, nothing learned",
    "heart-rate": "Printed heart rate alone",
}
PROTOCOLS = ("grouped", "unique", "paper", "peer", "batches")
FIRST = PROTOCOLS[:3]  # those of the first table


class Run(NamedTuple):
    """A stored run that classifies."""

    folder: Path
    protocol: str
    key: str  # name of the run without the protocol
    title: str
    family: str


class Answer(NamedTuple):
    """What a run said of one ECG, over all its test rows."""

    tested: int
    missed: int  # rows whose most probable class was not the folder's
    copied: int  # rows whose model had a copy of the page in training
    mean: tuple[float, ...]  # mean probability of each class

    @property
    def called(self) -> int:
        """Number of the class that is most probable on average."""
        return self.mean.index(max(self.mean))


def _title(key: str, about: dict) -> tuple[str, str]:
    if key in CHOSEN:
        return CHOSEN[key], "Shown under each ECG"
    if "lite0" in about["input"] or "features of" in about["input"]:
        return key, "Hybrids: a network’s features, a classical classifier"
    if re.search("page|crop", about["input"]):
        return key, "Networks on pages"
    return f"{about['model']} on {about['input']}", "Other models"


@lru_cache
def runs() -> list[Run]:
    """List the stored runs that classify, those of :data:`CHOSEN` first, then by family."""
    found = []
    for file in sorted(RESULTS.glob("*/run.json")):
        about = json.loads(file.read_text(encoding="utf-8"))
        protocol, _, key = about["run"].partition("-")
        if about["task"] == "classify" and protocol in PROTOCOLS:
            found.append(Run(file.parent, protocol, key, *_title(key, about)))
    order = {key: i for i, key in enumerate(CHOSEN)}

    def place(run: Run) -> tuple:
        return order.get(run.key, len(order)), run.family, run.key, PROTOCOLS.index(run.protocol)

    return sorted(found, key=place)


def _copies_in_training(rows: list[dict[str, str]], copies: dict[str, list[str]]) -> set[tuple[str, str]]:
    """Pages of which some copy was neither tested nor validated on, with the repeat; (page, repeat)."""
    aside: dict[str, set[str]] = {}
    for row in rows:
        aside.setdefault(row["repeat"], set()).add(row["file"])
    return {
        (page, repeat)
        for repeat, held in aside.items()
        for page, files in copies.items()
        if not held.issuperset(files)
    }


def answers(run: Run) -> dict[str, Answer]:
    """Collect what a run said of each page, by file name; a page that was no test page is left out.

    Under `paper` all 928 files are dealt, so a test row of a copy counts for its page, and the row says whether
    another copy of the page was trained on.
    """
    rows = table(run.folder / "predictions.csv")
    first = {row["file"]: row["first_copy"] for row in table(TABLES / "manifest.csv")}
    copies: dict[str, list[str]] = {}
    for file, page in first.items():
        copies.setdefault(page, []).append(file)
    copied = _copies_in_training(rows, copies) if run.protocol == "paper" else set()
    said: dict[str, list[tuple[int, int, tuple[float, ...]]]] = {}
    for row in rows:
        if row["part"] == "test":
            p = tuple(float(row[f"p_{name}"]) for name in CLASSES)
            page, missed = first[row["file"]], CLASSES[p.index(max(p))] != row["label"]
            said.setdefault(page, []).append((missed, (page, row["repeat"]) in copied, p))
    return {page: _mean(of) for page, of in said.items()}


def _mean(rows: list[tuple[int, int, tuple[float, ...]]]) -> Answer:
    missed, copied, p = zip(*rows, strict=True)
    mean = tuple(math.fsum(of) / len(rows) for of in zip(*p, strict=True))
    return Answer(len(rows), sum(missed), sum(copied), mean)


@lru_cache
def said() -> dict[str, dict[str, Answer]]:
    """Name of a run -> file -> :class:`Answer`."""
    return {run.folder.name: answers(run) for run in runs()}


# --- What is known of each ECG -----------------------------------------------------------------------------

HEADLINE = "grouped-headline"
RULES = "grouped-guideline"

#: Measurements under each ECG, in the order of reading, with their words; units are those of `ecgbook.measure`.
MEASURED = {
    "heart_rate": "heart rate",
    "rr_irregularity": "RR irregularity",
    "premature": "premature beats",
    "ectopic": "ectopic beats",
    "pr_ms": "PR interval",
    "qrs_ms": "QRS duration",
    "qt_ms": "QT interval",
    "qtc_bazett_ms": "QTc (Bazett)",
    "axis_deg": "frontal axis",
    "sokolow_lyon_mv": "Sokolow-Lyon",
    "cornell_mv": "Cornell",
}
PER_LEAD = ("q_mv", "q_ms", "r_mv", "s_mv", "stj_mv", "t_mv")


class Case(NamedTuple):
    """The facts of one ECG by which it can be found."""

    file: str
    label: str
    group: int
    year: str
    rate: str  # as printed
    met: dict[str, list[str]]  # sign of the guideline -> territories
    doubt: bool
    place: str  # in the gallery, or ""

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.file.removesuffix(".jpg")

    @property
    def slug(self) -> str:
        """The name as part of an address, as :func:`ecgbook.cases.anchor` writes it."""
        return re.sub(r"\((\d+)\)", r"-\1", self.name).lower()


def _met(row: dict[str, str]) -> dict[str, list[str]]:
    walls = [name.removeprefix("st_up_") for name in row if name.startswith("st_up_")]
    found = {sign: [wall for wall in walls if row[f"{sign}_{wall}"] == "1.0"] for sign in signs()}
    return {sign: at for sign, at in found.items() if at}


def signs() -> dict[str, str]:
    """Name the guideline's signs of infarction: part of a column's name -> words."""
    return constant("measure", "_SIGNS")


@lru_cache
def cases() -> list[Case]:
    """List the distinct ECGs in the order of the data set."""
    groups, measured = by_file("groups.csv"), by_file("measurements.csv")
    shown = set(re.findall(r"^# \((case-[a-z]+-\d+)\)=$", GALLERY.read_text(encoding="utf-8"), flags=re.M))
    found = []
    for file, row in by_file("manifest.csv").items():
        if file != row["first_copy"]:
            continue
        given = CLASSES.index(row["label"])
        # A label doubt, as `ecgbook.cases.doubts` has it: neither the headline nor the rules call the folder's class.
        doubt = all(said()[run][file].called != given for run in (HEADLINE, RULES))
        case = Case(
            file,
            row["label"],
            int(groups[file]["group"]),
            row["year"],
            row["heart_rate"],
            _met(measured[file]),
            doubt,
            "",
        )
        found.append(case._replace(place=f"case-{case.slug}" if f"case-{case.slug}" in shown else ""))
    return found


def _number(text: str) -> float | None:
    return float(text) if text not in ("", "nan") else None


# --- What the page loads -----------------------------------------------------------------------------------


def index() -> dict:
    """Collect what the list and the filters need: facts of all cases, and what each run called them."""
    everything, units, limits = cases(), constant("measure", "_OF_RECORD"), constant("models", "LIMITS")
    return {
        "classes": CLASSES,
        "leads": LEADS,
        "signs": signs(),
        "step": STEP,
        "measured": [[words, units[name][0], limits.get(name)] for name, words in MEASURED.items()],
        "perLead": PER_LEAD,
        "cases": [
            [c.name, CLASSES.index(c.label), c.group, c.year, c.rate, list(c.met), int(c.doubt), c.place]
            for c in everything
        ],
        "runs": [_run_in_brief(run, said()[run.folder.name], everything) for run in runs()],
    }


def _run_in_brief(run: Run, answer: dict[str, Answer], everything: list[Case]) -> dict:
    """One list a fact, in the order of the cases; null where the run did not test the case."""
    given = [(answer.get(case.file), CLASSES.index(case.label)) for case in everything]
    return {
        "name": run.folder.name,
        "protocol": run.protocol,
        "key": run.key,
        "title": run.title,
        "family": run.family,
        "chosen": run.key in CHOSEN and run.protocol in FIRST,
        "called": [a and a.called for a, _ in given],
        "missed": [a and a.missed for a, _ in given],
        "tested": [a and a.tested for a, _ in given],
        "likely": [a and round(a.mean[label], 3) for a, label in given],  # the folder's class
    }


def details(case: Case, ecg: Signals, row: dict[str, str]) -> dict:
    """Collect what is shown of one ECG: signals, measurements, and what every run said."""
    return {
        "name": case.name,
        "rhythm": ecg.rhythm,
        "counts": [len(trace) for trace in ecg.traces],
        "doubtful": [
            [name, words] for name, words in zip((*LEADS, "strip"), ecg.flags, strict=True) if words
        ],
        "signals": base64.b64encode(b"".join(map(packed, ecg.traces))).decode(),
        "met": case.met,
        "pSeen": row["p_seen"] == "1.0",
        "measured": [_number(row[name]) for name in MEASURED],
        "perLead": [[_number(row[f"{lead}_{name}"]) for name in PER_LEAD] for lead in LEADS],
        "said": [_brief(said()[run.folder.name].get(case.file)) for run in runs()],
    }


def _brief(answer: Answer | None) -> list | None:
    return answer and [answer.tested, answer.missed, answer.copied, *(round(p, 4) for p in answer.mean)]


COLUMNS = ("ecg", "folder", "heart rate", "criteria met", "headline calls", "headline missed", "group")


def overview() -> list[dict]:
    """List all cases for readers without JavaScript, and for the CSV file; keys ``case`` and :data:`COLUMNS`."""
    rows = []
    for case in cases():
        answer = said()[HEADLINE][case.file]
        met = "; ".join(f"{signs()[sign]} {', '.join(walls)}" for sign, walls in case.met.items())
        cells = (case.name, case.label, case.rate, met, CLASSES[answer.called])
        of = f"{answer.missed} of {answer.tested}"
        rows.append({"case": case} | dict(zip(COLUMNS, (*cells, of, case.group), strict=True)))
    return rows


def overview_csv() -> str:
    """Write :func:`overview` as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(overview())
    return out.getvalue()


def script(function: str, what: dict) -> str:
    """Write a call of a function of ``explorer.js``, for a browser to run."""
    return f"{function}({json.dumps(what, ensure_ascii=False, separators=(',', ':'))});\n"


def write(folder: Path) -> None:
    """Write everything that the page loads into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("explorer.js", "explorer.css"):
        shutil.copyfile(FILES / name, folder / name)
    (folder / "cases.csv").write_text(overview_csv(), encoding="utf-8")
    (folder / "cases.js").write_text(script("ecgbookCases", index()), encoding="utf-8")
    traces, measured = signals(), by_file("measurements.csv")
    for case in cases():
        text = script("ecgbookCase", details(case, traces[case.file], measured[case.file]))
        (folder / f"{case.slug}.js").write_text(text, encoding="utf-8")


# --- In the book -------------------------------------------------------------------------------------------


def above(docname: str) -> str:
    """Return the way from a page up to the root of the site."""
    return "../" * docname.count("/")


class Explorer(SphinxDirective):
    """``{explorer}``: the frame of the explorer, and the table that stands in where no script runs."""

    def run(self) -> list[nodes.Node]:
        """Render the frame, and note what it is made of."""
        loader = jinja2.FileSystemLoader(FILES)
        frame = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
        html = frame.get_template("explorer.html").render(
            files=above(self.env.docname) + FOLDER,
            rows=overview(),
            columns=COLUMNS,
            classes=CLASSES,
            signs=signs(),
            shown=sum(bool(case.place) for case in cases()),
        )
        for path in (
            FILES / "explorer.html",
            GALLERY,
            *TABLES.glob("*.csv"),
            *RESULTS.glob("*/predictions.csv"),
        ):
            self.env.note_dependency(str(path))
        return [nodes.raw("", html, format="html")]


class Ecg(SphinxRole):
    """``{ecg}`PMI(7)```: a link to that case in the explorer, from any page."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Make the link; an ECG that does not exist is a warning."""
        if self.text not in {case.name for case in cases()}:
            message = self.inliner.reporter.warning(f"{self.text}: no such ECG", line=self.lineno)
            return [nodes.Text(self.text)], [message]
        target = f"{above(self.env.docname)}{PAGE}.html#{self.text}"
        return [nodes.reference("", self.text, refuri=target)], []


def write_cases(app, exception) -> None:
    """Write the scripts of the explorer beside the finished site."""
    if exception is None and app.builder.format == "html":
        write(Path(app.outdir, *FOLDER.split("/")))


def setup(app):
    app.add_directive("explorer", Explorer)
    app.add_role("ecg", Ecg())
    app.connect("build-finished", write_cases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
