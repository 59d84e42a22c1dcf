# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Command line: `ecgbook`
# A thin layer over the package: each command calls one function of a module and shows what it returns. A
# mistake that the user can mend is told in one sentence on the error stream, with exit status 2; so is a package
# that only some runs need, such as torch, where it is not installed. An interrupt ends with 130; a traceback means
# a fault of ours.

# %%
"""The ``ecgbook`` command: get the data sets, digitise and classify pages, run the study, audit folders of images."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeVar

import pandas as pd
import typer
from PIL import Image
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from typer.core import TyperGroup

import ecgbook
from ecgbook import data

if TYPE_CHECKING:
    from ecgbook.predict import Prediction
    from ecgbook.study import State

# %% [markdown]
# ## How errors end
# One place for all commands: the group that runs them. Errors and progress go to the error stream, results to
# the standard one, so that results can be piped. Text that comes from outside is never read as markup.


# %%
class _OneSentence(TyperGroup):
    """A group of commands that ends a user's mistake with one sentence and status 2."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except data.EcgbookError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from error
        except ModuleNotFoundError as error:
            missing = str(error.name).partition(".")[0]
            if missing == ecgbook.__name__:
                raise
            typer.echo(
                f"error: this needs the package {missing}, which is not installed; install it", err=True
            )
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted; nothing half-written is left", err=True)
            raise typer.Exit(130) from error


_STATUS = """Exit status: 0 all done; 1 the rest is done, but some pages could not be read or were refused; 2 a mistake
in the command, told in one sentence; 3 a leak (`audit --fail-on-leak`); 130 interrupted.

For teaching and research: no medical device, not for diagnosis."""

app = typer.Typer(
    cls=_OneSentence,
    help="Tools of the ECG book: its data sets, a digitiser and a classifier for pages, its study of classifiers, an"
    " audit for any folder of images.",
    epilog=_STATUS,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(
    help="Get and verify the data sets of the book (EICP: 928 ECG pages in four classes; LUDB: 200 ECGs with"
    " marked waves), and rebuild the tables made from them.",
    no_args_is_help=True,
)
app.add_typer(data_app, name="data")
study_app = typer.Typer(
    help="The declared runs of the book: which there are, how far each has come, what it found; run them or go on"
    " with them.",
    no_args_is_help=True,
)
app.add_typer(study_app, name="study")


@contextmanager
def _bars(amount: ProgressColumn) -> Iterator[data.Progress]:
    """Show one bar a stage on a terminal; on anything else, nothing."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:>8}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield show


# %% [markdown]
# ## `ecgbook --version`


# %%
def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ecgbook {ecgbook.__version__}")
        raise typer.Exit


@app.callback()
def _ecgbook(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


# %% [markdown]
# ## `ecgbook data`
# `fetch` downloads and verifies, `verify` reads every byte again, `status` only looks. The others recompute the
# tables that the package carries: `manifest` and `signals` from the pages, `measurements` from the signals,
# `groups` from the median beats, `predictions` from the stored runs. These runs are no part of an installed package,
# only of the book's repository.

# %%
_Dataset = Annotated[Literal["eicp", "ludb"], typer.Argument(help="The data set.")]
_Workers = Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Processes that work at once.")]


@data_app.command("fetch", epilog="Example: `ecgbook data fetch eicp`")
def fetch(
    dataset: _Dataset,
    url: Annotated[str | None, typer.Option(hidden=True, help="Where the zip is.")] = None,
) -> None:
    """Download a data set (EICP about 194 MB, LUDB less than 64), unpack it, verify every file.

    It goes to the folder `eicp` or `ludb` in $ECGBOOK_DATA, or in `data` where that is not set, and takes 615
    or 25 MB there. What is there already and as published is kept. A download that was cut off cannot be
    resumed.
    """
    fetch_it, published = {
        "eicp": (data.fetch_eicp, data.EICP_ZIP),
        "ludb": (data.fetch_ludb, data.LUDB_ZIP),
    }[dataset]
    url = url or os.environ.get(f"ECGBOOK_{dataset.upper()}_URL") or published
    with _bars(DownloadColumn()) as progress:
        report = fetch_it(url, progress=progress)
    done = "fetched and verified" if report["fetched"] else "already there, verified"
    typer.echo(f"{dataset}: {report['expected']} files {done}, in {report['path']}")
    _name_files(report, ["extra"])


@data_app.command("verify")
def verify(dataset: _Dataset) -> None:
    """Read every file and name those that are missing, altered or extra.

    The exit status is 0 only when every file is as published and there is no other.
    """
    verify_it = {"eicp": data.verify_eicp, "ludb": data.verify_ludb}[dataset]
    with _bars(DownloadColumn()) as progress:
        report = verify_it(progress=progress)
    _name_files(report, ["missing", "altered", "extra"])
    if report["missing"] or report["altered"] or report["extra"]:
        counts = ", ".join(f"{len(report[state])} {state}" for state in ("missing", "altered", "extra"))
        mend = f"mend it with `ecgbook data fetch {dataset}`"
        advice = "remove the extra files" if data.is_sound(report) else mend
        raise data.EcgbookError(f"{report['path']}: {counts} of {report['expected']} files; {advice}")
    typer.echo(f"{dataset}: all {report['expected']} files as published, in {report['path']}")


def _name_files(report: dict, states: list[str]) -> None:
    for state in states:
        for name in report[state]:
            typer.echo(f"{state:<7}  {name}")


_KEPT = {
    "tree": "the published folders",
    "distinct": "the distinct pages only",
    "zip": "the published zip",
}


@data_app.command("status")
def status() -> None:
    """Show what is where, without reading the files."""
    typer.echo(f"data folder  {data.home().resolve()}")
    for name, found in {"eicp": data.status(), "ludb": data.status_ludb()}.items():
        typer.echo(f"{name}         {_KEPT.get(found['layout'], f'absent (`ecgbook data fetch {name}`)')}")
        if found["layout"]:
            size = f"{found['bytes'] / 1e6:.0f} MB"
            typer.echo(f"             {found['path']}")
            typer.echo(f"             {found['present']} of {found['expected']} files, {size}")
    typer.echo(f"manifest     {data.tables() / 'manifest.csv'}")


@data_app.command("manifest")
def manifest(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; by default the table the package carries."),
    ] = None,
) -> None:
    """Compute the manifest anew from the published folders.

    Hashes and sizes come from the bytes, the printed fields (group, heart rate, sex, year, lead-off, batch)
    are read on the distinct pages. From the published files, the result is the carried table, byte for byte.
    """
    from ecgbook import printed

    output = output or data.tables() / "manifest.csv"
    data.check_writable(output)
    layout, base = data.locate(data.home() / "eicp") or (None, data.home() / "eicp")
    if layout != "tree":
        raise data.EcgbookError(
            f"{base}: holds no published folders; get them with `ecgbook data fetch eicp`"
        )
    frame = data.build_manifest(base)
    where = {row.file: base / data.FOLDERS[row.label] / row.file for row in frame.itertuples()}
    fields = printed.read_tree(frame, lambda file: data.read_rgb(where[file]))
    data.write_manifest(data.add_printed(frame, fields), output)
    typer.echo(f"{output}: {len(frame)} files, {frame['first_copy'].nunique()} distinct")


# %%
_Results = Annotated[
    Path | None,
    typer.Option(
        "--results", metavar="DIR", help="Folder of the stored runs; by default the book's `book/results`."
    ),
]


def _results(given: Path | None) -> Path:
    """Say where the stored runs are; beside an installed package there are none."""
    from ecgbook import study

    if given is not None and not given.is_dir():
        raise data.EcgbookError(f"{given}: no such folder; name the one that holds headline.json")
    if given is None and not study.RESULTS.is_dir():
        advice = "name the folder book/results of a copy of it with --results DIR"
        typer.echo(f"note: the stored runs are in the book's repository, not installed; {advice}", err=True)
    return study.RESULTS if given is None else given


_Folder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Folder to write to; by default the package's tables."
    ),
]


@data_app.command("signals")
def signals(output: _Folder = None, workers: _Workers = 2) -> None:
    """Digitise the 491 distinct pages anew: `signals.npz` and `digitize_checks.csv`."""
    from ecgbook import digitize

    folder = _folder_for(output, ["signals.npz", "digitize_checks.csv"])
    data.open_page(data.pages()["file"].iloc[0])  # no pages are told before the processes start
    table = digitize.rebuild(folder, workers)
    typer.echo(f"{folder}: signals and checks of {len(table)} pages")


@data_app.command("measurements")
def measurements(output: _Folder = None) -> None:
    """Measure the carried signals anew: `measurements.csv` and `median_beats.npz`; no pages needed."""
    from ecgbook import measure

    folder = _folder_for(output, ["measurements.csv", "median_beats.npz"])
    table = measure.rebuild(folder)
    typer.echo(f"{folder}: {table.shape[1] - 1} measurements of {len(table)} ECGs")


@data_app.command("groups")
def groups(output: _Folder = None) -> None:
    """Join pages into groups anew: `groups.csv`, from the carried measurements; no pages needed."""
    from ecgbook import groups as joined

    folder = _folder_for(output, ["groups.csv"])
    table = joined.rebuild(folder)
    typer.echo(f"{folder}: {len(table)} pages in {table['group'].nunique()} groups")


@data_app.command("predictions")
def predictions(output: _Folder = None, results: _Results = None) -> None:
    """Take the headline's predictions from its stored run: `out_of_fold.csv`; no pages needed."""
    from ecgbook import predict

    folder = _folder_for(output, [predict.TABLE])
    table = predict.rebuild(folder, _results(results))
    typer.echo(f"{folder}: {len(table)} predictions of {table['file'].nunique()} ECGs")


def _folder_for(output: Path | None, names: Sequence[str]) -> Path:
    """Make sure that files can be written to a folder, by default that of the tables."""
    folder = data.tables() if output is None else output
    data.make_folder(folder)
    for name in names:
        data.check_writable(folder / name)
    return folder


# %% [markdown]
# ## `ecgbook digitize`
# Pages in, signals out: one CSV a page, named as the page. All that can go wrong with names and places is
# found before the first page is read: a page that is not there, two pages whose signals would have one name,
# a folder that cannot be written.


# %%
class _Job(NamedTuple):
    """A page to digitise: how the user names it, how to open it, and what to write, if anything."""

    name: str
    open: Callable[[], Image.Image]
    record: Path | None
    overlay: Path | None


@app.command("digitize", epilog="Example: `ecgbook digitize page.jpg --out signals --overlay`")
def digitize_pages(
    context: typer.Context,
    pages: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PAGE...", help="Images of ECG pages; with --check, none means the 491."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder to write to; made if it is not there.")
    ] = None,
    form: Annotated[Literal["csv", "wfdb"], typer.Option("--format", help="What to write.")] = "csv",
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also draw the reading over each page: DIR/PAGE.overlay.png.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Show the checks that need no annotation.")] = False,
    workers: _Workers = 2,
) -> None:
    """Read the twelve leads and the rhythm strip off pages, in mV.

    Each PAGE gives DIR/PAGE.csv: `t_s`, `I` ... `V6`, `rhythm`, 250 rows a second, empty where a lead was not
    shown or not read. What is in doubt is flagged, a line a page. A page that cannot be read is named, the rest
    goes on, and the exit status is 1.
    """
    if out is None and (overlay or not check):
        context.fail("Nothing to write to: name a folder with --out DIR.")
    if not pages and not check:
        context.fail("No PAGE is given.")
    jobs = _given(pages) if pages else _published()
    if out is not None:
        jobs = _placed(jobs, out, form, overlay)
    rows = _digitised(jobs, check, workers)
    _tell(rows)
    read = [row for row in rows if "error" not in row]
    if out is not None:
        typer.echo(
            f"{out}: {len(read)} of {len(rows)} pages, {sum('said' in row for row in read)} with flags"
        )
    if check and read:
        table = pd.DataFrame(read).drop(columns="said", errors="ignore")
        typer.echo(_listed(table) if pages else _judged(table))
    if len(read) < len(rows):
        raise typer.Exit(1)


def _must_be_files(pages: Sequence[Path]) -> None:
    for path in pages:
        if not path.is_file():
            what = "is a folder; name the images in it" if path.is_dir() else "no such file; name an image"
            raise data.EcgbookError(f"{path}: {what}")


def _given(pages: Sequence[Path]) -> list[_Job]:
    _must_be_files(pages)
    return [_Job(str(path), partial(data.open_image, path), None, None) for path in pages]


def _published() -> list[_Job]:
    names = data.pages()["file"].tolist()
    data.open_page(names[0])  # no pages are told once, not 491 times
    return [_Job(name, partial(data.open_page, name), None, None) for name in names]


# %% [markdown]
# A record of WFDB may be named with letters, digits, `_` and `-` only, so `PMI(3).jpg` becomes `PMI_3`.


# %%
def _placed(jobs: Sequence[_Job], out: Path, form: str, overlay: bool) -> list[_Job]:
    """Give each job the files it is to write, all of them distinct and writable, none of them a page."""
    placed, files = [], []
    for job in jobs:
        stem = Path(job.name).stem
        record = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_") or "page"
        wanted = [f"{stem}.csv"] if form == "csv" else [f"{record}.hea", f"{record}.dat"]
        drawn = [f"{stem}.overlay.png"] if overlay else []
        placed.append(job._replace(record=out / wanted[0], overlay=out / drawn[0] if drawn else None))
        files += wanted + drawn
    twice = [name for name, count in Counter(files).items() if count > 1]
    if twice:
        raise data.EcgbookError(f"{out / twice[0]}: two pages would be written to it; digitise them apart")
    pages = {Path(job.name).resolve() for job in jobs}
    for name in files:
        if (out / name).resolve() in pages:
            raise data.EcgbookError(f"{out / name}: is one of the pages; write to another folder")
    data.make_folder(out)
    for name in files:
        data.check_writable(out / name)
    return placed


# %% [markdown]
# ### One page
# A worker reads a page, writes what was asked for, and sends back a row: the flags in words, the checks if
# they were asked for, or the sentence that says why the page cannot be read. A file that cannot be *written*
# ends the run, for the next will fare no better.


# %%
def _digitise(job: _Job, check: bool) -> dict:
    from ecgbook import digitize, printed

    try:
        page = job.open()
        reading = digitize.read(page, job.name)
    except data.EcgbookError as error:
        return {"file": job.name, "error": str(error)}
    if job.record:
        write = digitize.write_csv if job.record.suffix == ".csv" else digitize.write_wfdb
        write(reading, job.record)
    if job.overlay:
        with data.writing(job.overlay) as part:
            digitize.overlay(page, reading, job.name).save(part)
    row: dict[str, object] = {"file": job.name, "rhythm": reading.rhythm}
    if check:
        row |= digitize.checks(reading) | {"printed_rate": printed.read(page).heart_rate}
    said = ", ".join(
        f"{name} {words}"
        for name, words in zip((*digitize.LEADS, "rhythm"), reading.flags, strict=True)
        if words
    )
    return row | ({"said": said} if said else {})


# %% [markdown]
# ### Many pages
# A page is a job for one core, so processes share the pages. They are started afresh rather than copied, with
# one thread of linear algebra each, and do not hear Ctrl-C: the command does, lets each finish the page in hand,
# and ends.


# %%
def _digitised(jobs: Sequence[_Job], check: bool, workers: int) -> list[dict]:
    """Digitise pages; rows in the order of the jobs."""
    task, rows = partial(_digitise, check=check), []
    results = _in_processes(task, jobs, workers) if min(workers, len(jobs)) > 1 else map(task, jobs)
    with _bars(MofNCompleteColumn()) as progress:
        for row in results:
            rows.append(row)
            progress("digitise", len(rows), len(jobs))
    return rows


def _tell(rows: Sequence[dict]) -> None:
    """Name the pages that could not be read, and those with flags; after the bar, which takes lines for its own."""
    for row in rows:
        if "error" in row:
            typer.echo(f"error: {row['error']}", err=True)
        elif "said" in row:
            typer.echo(f"{row['file']}: {row['said']}")


_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def _in_processes(task: Callable[[_Task], _Result], jobs: Sequence[_Task], workers: int) -> Iterator[_Result]:
    pool = ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"))
    try:
        for future in _submitted(pool, task, jobs):
            yield future.result()
    except BrokenProcessPool as error:
        raise data.EcgbookError(
            "a process was killed, perhaps for lack of memory; run it again with --workers 1"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _submitted(
    pool: ProcessPoolExecutor, task: Callable[[_Task], _Result], jobs: Sequence[_Task]
) -> list[Future[_Result]]:
    """Submit all jobs, which starts the processes; they inherit the settings that hold meanwhile."""
    threads = os.environ.get("OPENBLAS_NUM_THREADS")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return [pool.submit(task, job) for job in jobs]
    finally:
        signal.signal(signal.SIGINT, heard)
        if threads is None:
            del os.environ["OPENBLAS_NUM_THREADS"]
        else:
            os.environ["OPENBLAS_NUM_THREADS"] = threads


# %% [markdown]
# ### The checks
# For pages of one's own, a row a page; for the data set, what the whole must come up to. Einthoven's and
# Goldberger's laws are judged together, by the larger of the two residuals of a page.


# %%
def _listed(table: pd.DataFrame) -> str:
    """Show the checks page by page: residuals in mV, pulse in mm, rates in beats a minute."""
    decimals = {"einthoven": 4, "goldberger": 4, "strip": 4, "pulse": 2, "finite": 3, "heart_rate": 0}
    names = table["file"].map(lambda name: Path(name).name)
    rates = pd.array(table["printed_rate"], "Int64").astype("str")
    table = table.assign(file=names, printed_rate=rates)
    shown = {name: f"{{:.{places}f}}".format for name, places in decimals.items()}
    return table.to_string(index=False, formatters=shown, na_rep="-").replace("<NA>", "   -")


def _judged(table: pd.DataFrame) -> str:
    """Hold the checks of the data set against the bars they must reach."""
    worst = table[["einthoven", "goldberger"]].max(axis=1, skipna=False)
    known = table.dropna(subset=["printed_rate"])
    near = ((known["heart_rate"] - known["printed_rate"].astype(float)).abs() <= 3).mean()
    median, share = worst.median(), (worst <= 0.06).mean()
    lines = [
        f"{len(table)} pages",
        f"Einthoven    median {table['einthoven'].median():.4f} mV, largest {table['einthoven'].max():.4f} mV",
        f"Goldberger   median {table['goldberger'].median():.4f} mV, largest {table['goldberger'].max():.4f} mV",
        f"both laws    median {median:.4f} mV{_bar(median <= 0.020, 'at most 0.020 mV')}",
        f"             {share:.1%} of pages within 0.06 mV{_bar(share >= 0.95, 'at least 95 %')}",
        f"strip        median {table['strip'].median():.4f} mV, largest {table['strip'].max():.4f} mV",
        f"pulse        {table['pulse'].min():.2f} to {table['pulse'].max():.2f} mm",
        f"finite       at least {table['finite'].min():.1%} of every trace",
        f"heart rate   {near:.1%} of {len(known)} pages within 3 bpm of print{_bar(near >= 0.96, 'at least 96 %')}",
        f"flags        {(table['flags'] > 0).sum()} pages, {table['flags'].sum()} of {13 * len(table)} traces",
    ]
    return "\n".join(lines)


def _bar(met: bool, bar: str) -> str:
    return f" (bar: {bar}; {'met' if met else 'missed'})"


# %% [markdown]
# ## `ecgbook study`
# `list` and `status` only look; `run` begins runs or goes on with them; `show` computes the numbers of one from its
# stored predictions. The unit is a fold, which takes seconds for a table of measurements and up to an hour for a
# network, so on a terminal the epochs of the trainings under way are shown too.


# %%
@study_app.command("list")
def list_runs(results: _Results = None) -> None:
    """List all declared runs with protocol, model, input, weights, recipe, folds x repeats, and state.

    First those the book is made of, then those it is whole without.
    """
    from ecgbook import study

    folder = _results(results)
    rows = pd.DataFrame([_declaration(name, folder) for name in study.DECLARED])
    lines = _aligned(rows).splitlines()
    head, core = lines[0], len(study.STUDIES)
    typer.echo("\n".join([head, *lines[1 : 1 + core]]))
    if lines[1 + core :]:
        typer.echo("\nThe book is whole without these:\n" + "\n".join([head, *lines[1 + core :]]))


def _declaration(name: str, results: Path) -> dict[str, str]:
    from ecgbook import study

    one = study.DECLARED[name]
    return {
        "run": name,
        "protocol": one.protocol,
        "model": one.model,
        "input": one.input,
        "weights": one.weights,
        "recipe": one.recipe or "-",
        "folds x repeats": f"{one.folds} x {one.repeats}",
        "state": str(study.state(name, results)),
    }


def _aligned(rows: pd.DataFrame) -> str:
    """Columns of words, each as wide as its longest, to the left."""
    widths = {name: max(len(name), rows[name].str.len().max()) for name in rows}
    lines = [rows.columns.tolist(), *rows.to_numpy().tolist()]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(line, widths.values(), strict=True)).rstrip()
        for line in lines
    )


# %% [markdown]
# ### Running
# Whatever ends the command, by hand or by accident, finished folds and the last finished epoch of each training stay,
# and the same command goes on from there. Two commands never do the same run: the first holds a lock on it.


# %%
class _Epochs(ProgressColumn):
    """The epochs that the trainings under way have reached, looked up at most once a second."""

    max_refresh = 1.0

    def __init__(self, names: Sequence[str], results: Path) -> None:
        super().__init__()
        self.names, self.results, self.since = names, results, time.time()

    def render(self, task: Task) -> Text:
        from ecgbook import study

        reached = []
        for name in self.names:
            for (repeat, fold), mark in study.state(name, self.results).trainings.items():
                if mark.at >= self.since:  # an older word is of a training that waits
                    reached.append(f"{name} {repeat}-{fold}: epoch {mark.epoch}/{mark.epochs}")
        more = [f"and {len(reached) - 3} more"] if len(reached) > 3 else []
        return Text(", ".join(reached[:3] + more))


@contextmanager
def _folds_shown(names: Sequence[str], results: Path) -> Iterator[Callable[[int, int], None]]:
    """Show a bar over folds and the epochs under way on a terminal; on anything else, nothing."""
    console = Console(stderr=True)
    columns = (TextColumn("folds"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(
        *columns, _Epochs(names, results), console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        task = bars.add_task("folds", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def _alone_on(names: Sequence[str], results: Path) -> Iterator[None]:
    """Refuse runs that another command is doing; its death, however it comes, frees them."""
    from ecgbook import study

    study._require_headline(results)
    with ExitStack() as held:
        for name in names:
            if not study.is_finished(results / name):
                held.enter_context(_held(results / f".{name}.lock", name))
        yield


def _open_to_lock(path: Path) -> IO[str]:
    try:
        return open(path, "a")
    except OSError as error:
        raise data.EcgbookError(f"{path}: cannot be written ({error.strerror}); check its rights") from error


@contextmanager
def _held(path: Path, name: str) -> Iterator[None]:
    """Hold a lock on a file that is there only meanwhile."""
    with _open_to_lock(path) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = os.path.samestat(os.fstat(stream.fileno()), path.stat())
        except (BlockingIOError, FileNotFoundError):
            ours = False  # held, or just removed by its holder
        if not ours:
            raise data.EcgbookError(f"{name}: another command is doing this run; wait for it to end")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@study_app.command("run", epilog="Example: `ecgbook study run 'grouped-*' --jobs 4`")
def run_study(
    patterns: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATTERN...",
            help="Names of runs, or patterns such as 'grouped-*'; none means all that the book is made of.",
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, metavar="N", help="Folds done at a time.")] = 2,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="tcp://HOST:PORT", help="A Dask scheduler: its workers do the folds."),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], typer.Option("--device", help="Where networks are trained.")
    ] = "auto",
    results: _Results = None,
) -> None:
    """Run declared runs, or what is missing of them.

    Finished runs are left alone. Each finished fold is kept, and of a training the last finished epoch: after an
    interrupt the same command goes on from there.
    """
    from joblib import parallel_config

    from ecgbook import networks, study

    folder, names = _results(results), study.select(patterns or ())
    if scheduler is None and device != "auto":
        networks.device(device)  # one that is not there is told before the work
    where = (
        study.cluster(scheduler, folder) if scheduler else parallel_config("loky", inner_max_num_threads=1)
    )
    _hush_tracker()
    try:
        with _alone_on(names, folder), where, _folds_shown(names, folder) as progress:
            study.run(names, folder, jobs, progress=progress, device=device)
    except KeyboardInterrupt as error:
        again = "finished folds and epochs are kept, and the same command goes on from there"
        typer.echo(f"interrupted; {again}", err=True)
        raise typer.Exit(130) from error
    for name in names:
        typer.echo(f"{name}: finished, in {folder / name}")


def _hush_tracker() -> None:
    """Keep joblib's tracker of semaphores, a process of its own, from warning of each that it clears away.

    Workers that hear Ctrl-C may leave some behind; nothing is lost by it, and the user was told what matters.
    """
    kept = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, [kept, "ignore:resource_tracker:UserWarning"]))


# %% [markdown]
# ### Looking


# %%
@study_app.command("status")
def study_status(results: _Results = None) -> None:
    """Show how far each run of the book has come that is not finished, and every other that was begun."""
    from ecgbook import study

    folder = _results(results)
    states = {name: study.state(name, folder) for name in study.DECLARED}
    typer.echo(f"results   {folder.resolve()}")
    for title, names in {"the book": study.STUDIES, "more": study.MORE}.items():
        count = sum(states[name].finished for name in names)
        typer.echo(f"{title:<8}  {count} of {len(names)} runs finished")
    under_way = {name: one for name, one in states.items() if one.begun and not one.finished}
    for name, one in under_way.items():
        typer.echo("\n".join(_progress_of(name, one)))
    waiting = [name for name in study.STUDIES if not states[name].begun]
    if waiting:
        typer.echo(f"not begun: {', '.join(waiting)}")


def _progress_of(name: str, one: State) -> list[str]:
    """A line on a run, and one on each of its trainings."""
    spent = f", {_duration(one.wall_s)} of computing so far" if one.wall_s else ""
    lines = [f"{name}: {one}{spent}"]
    for (repeat, fold), mark in one.trainings.items():
        ago = _duration(max(0.0, time.time() - mark.at))
        lines.append(
            f"  repeat {repeat}, fold {fold}: epoch {mark.epoch} of at most {mark.epochs}, {ago} ago"
        )
    return lines


def _duration(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


# %%
_SHOWN = {"accuracy": "accuracy", "macro_f1": "macro F1", "macro_auc": "macro AUC"}


@study_app.command("show", epilog="Example: `ecgbook study show grouped-headline`")
def show_run(
    name: Annotated[str, typer.Argument(metavar="RUN", help="Name of a declared run.")],
    results: _Results = None,
) -> None:
    """Show what a run is and, when it is finished, its numbers with 95 % intervals.

    The numbers are computed from the stored predictions. Intervals resample groups of ECGs, under `paper` distinct
    pages.
    """
    from ecgbook import study

    folder = _results(results)
    one = study.state(name, folder)
    declared = study.DECLARED[name]
    facts = _declaration(name, folder) | {"seed": declared.seed, "why": declared.what_for}
    if one.begun:
        note = json.loads((folder / name / "run.json").read_text(encoding="utf-8"))
        facts |= {key: note[key] for key in ("started", "device", "peak_rss_mb", "command") if key in note}
    if one.finished:
        facts["computing"] = _duration(one.wall_s)
    for key, value in facts.items():
        typer.echo(f"{key:<17}{value}")
    if one.finished:
        typer.echo(_scores(name, declared.protocol, folder))
    elif one.begun:
        typer.echo("\n".join(_progress_of(name, one)))
    elif folder.is_dir():
        typer.echo(f"run it with `ecgbook study run {name}`")


def _scores(name: str, protocol: str, results: Path) -> str:
    """A line on each metric, then one on each class with its hits of so many, averaged over repeats."""
    from ecgbook import evaluate, study

    frame, recalls = study.load(name, results), {f"recall_{label}": label for label in data.CLASSES}
    table = evaluate.table({name: frame}, evaluate.units(protocol), [*_SHOWN, *recalls])
    counts = evaluate.confusion(frame, name)
    hits = {label: f"  {counts.loc[label, label]:.1f} of {counts.loc[label].sum():.0f}" for label in counts}
    lines = [f"{'':<17}estimate  95 % interval"]
    for row in table.itertuples():
        label = recalls.get(row.metric, "")
        words = f"recall {label}" if label else _SHOWN[row.metric]
        lines.append(f"{words:<17}{row.estimate:8.3f}  {row.low:.3f} to {row.high:.3f}{hits.get(label, '')}")
    return "\n".join(lines)


# %% [markdown]
# ## `ecgbook predict`
# The headline model on pages of one's own: a line a page, and if wanted a report to read and a file for programs.
# Both are written when all pages are done. A page that is refused is named with the reason.


# %%
@app.command("predict", epilog="Example: `ecgbook predict page.jpg scan.pdf --report report.html`")
def predict_pages(
    pages: Annotated[
        list[Path],
        typer.Argument(metavar="PAGE...", help="ECG pages: JPEG, PNG, another image format, or PDF."),
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all that was found here, as JSON.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write a report with pictures here, as HTML."),
    ] = None,
    workers: _Workers = 2,
) -> None:
    """Classify ECG pages: calibrated probabilities, the classes that cannot be excluded, reasons to doubt.

    The pages must be of the form that the digitiser knows (EDAN SE-3, 25 mm/s, 10 mm/mV). What is not, is refused
    with the reason, the rest goes on, and the exit status is 1. A page of the published data set is recognised, and
    answered by what models said that had not seen it. Not for diagnosis.
    """
    from ecgbook import predict

    _must_be_files(pages)
    for path in filter(None, (json_file, report)):
        if path.resolve() in {page.resolve() for page in pages}:
            raise data.EcgbookError(f"{path}: is one of the pages; write to another file")
    _must_be_apart(json_file, report)
    found = _predicted(pages, workers)
    for one in found:
        typer.echo(_said(one), err=not one.verdict.accepted)
    if json_file is not None:
        told = [predict.as_dict(one) for one in found]
        data.write_whole(json_file, json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    if report is not None:
        data.write_whole(report, predict.report(found))
    typer.echo(predict.NOTICE, err=True)
    if not all(one.verdict.accepted for one in found):
        raise typer.Exit(1)


def _predicted(pages: Sequence[Path], workers: int) -> list[Prediction]:
    """Predictions in the order of the files and their pages."""
    from ecgbook import predict

    one = predict.predict_file
    results = _in_processes(one, pages, workers) if min(workers, len(pages)) > 1 else map(one, pages)
    found = []
    with _bars(MofNCompleteColumn()) as progress:
        for done, of_file in enumerate(results, start=1):
            found.extend(of_file)
            progress("predict", done, len(pages))
    return found


def _said(found: Prediction) -> str:
    """One line for one prediction."""
    if not found.verdict.accepted:
        return f"{found.name}: not classified ({found.verdict.stage}): {'; '.join(found.verdict.reasons)}"
    held = ", ".join(found.members) or "none"
    parts = [f"{found.called} {found.probabilities.max():.2f}", f"95 % set: {held}"]
    parts += [f"published as {found.known}, shown out of fold"] if found.known else []
    parts += [f"doubts: {'; '.join(found.doubts)}"] if found.doubts else []
    return f"{found.name}: {' | '.join(parts)}"


# %% [markdown]
# ## `ecgbook audit`
# For anyone's images, one folder a class. The places for the results are tried before the long work, not after
# it. For a build that must not go on with a leak there is an exit status of its own, 3, so that it cannot be
# mistaken for a typing error (2) or a fault of ours (1).


# %%
@app.command("audit", epilog="Example: `ecgbook audit images --report audit.html --groups groups.csv`")
def audit(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with one folder of images for each class.")
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the whole report here, as JSON.")
    ] = None,
    report_file: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Write a report for people here, as HTML; it shows small pictures of the files.",
        ),
    ] = None,
    groups_file: Annotated[
        Path | None,
        typer.Option(
            "--groups",
            metavar="FILE",
            help="Write a group number for each file here, as CSV, for honest folds.",
        ),
    ] = None,
    fail_on_leak: Annotated[
        bool,
        typer.Option(
            "--fail-on-leak",
            help="End with status 3 if a random split can put copies or near-copies on both sides.",
        ),
    ] = False,
) -> None:
    """Look for copies, near-copies and tell-tale sizes, and score a classifier that only looks up hashes.

    DIR holds one folder of images for each class. Files that cannot be read are listed, and the rest goes on. Nothing
    in DIR is changed. The exit status is 0, 2 after a mistake in the command, and with --fail-on-leak 3 if there is
    a leak; what was asked for is written in any case.
    """
    from ecgbook import audit as audits

    _must_be_apart(json_file, report_file, groups_file)
    files, text = pd.DataFrame(), ""
    with _bars(MofNCompleteColumn()) as progress:
        report = audits.audit(folder, progress=progress)
        if report_file or groups_file or fail_on_leak:
            from ecgbook import audit_report

            files = audit_report.grouped(folder, report, progress)
        if report_file:
            text = audit_report.page(folder, report, files, progress)
    if json_file is not None:
        data.write_whole(json_file, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    if groups_file is not None:
        data.write_whole(groups_file, audit_report.table(files))
    if report_file is not None:
        data.write_whole(report_file, text)
    Console().print(audits.summary(report), markup=False, highlight=False)
    if (others := _files_in(folder) - report["files"]) > 0:
        typer.echo(f"note: other files, not looked at: {others}; only images in class folders are", err=True)
    if fail_on_leak and (leaking := audit_report.leaking(files)):
        typer.echo(f"leak: {leaking} of {len(files)} files share their picture with another file", err=True)
        raise typer.Exit(3)


def _files_in(folder: Path) -> int:
    """Count all files in a folder and below it but those that are hidden or left by a file manager."""
    below = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sum(not any(name.startswith(".") or data.is_junk(name) for name in path.parts) for path in below)


def _must_be_apart(*paths: Path | None) -> None:
    """Make sure that files can be written, none of them over another and none over an image."""
    wanted = [path for path in paths if path is not None]
    for path in wanted:
        data.check_writable(path)
        if path.is_file() and path.suffix.lower() in Image.registered_extensions():
            raise data.EcgbookError(f"{path}: is an image; write to another file")
    if len({path.resolve() for path in wanted}) < len(wanted):
        raise data.EcgbookError(f"{wanted[0]}: is named twice; give each result a file of its own")


# %%
def main() -> None:
    """Run the command line; the entry point ``ecgbook``."""
    app()


if __name__ == "__main__":
    main()
