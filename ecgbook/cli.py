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
# mistake that the user can mend is told in one sentence on the error stream, with exit status 2; an interrupt
# ends with 130; a traceback means a fault of ours.

# %%
"""The ``ecgbook`` command: fetch, verify and list the data set; audit any folder of images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import click
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from typer.core import TyperGroup

import ecgbook
from ecgbook import data

# %% [markdown]
# ## How errors end
# One place for all commands: the group that runs them. Errors and progress go to the error stream, results to
# the standard one, so that results can be piped. Text that comes from outside is never read as markup.


# %%
class _OneSentence(TyperGroup):
    """A group of commands that ends a user's mistake with one sentence and status 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except data.EcgbookError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(2) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted; nothing half-written is left", err=True)
            raise typer.Exit(130) from error


app = typer.Typer(
    cls=_OneSentence,
    help="Tools of the ECG book: the data set, and an audit for any folder of images.",
    epilog="For teaching and research: no medical device, not for diagnosis.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(
    help="Get, verify and list the data set of the book (EICP: 928 ECG pages in four classes).",
    no_args_is_help=True,
)
app.add_typer(data_app, name="data")


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
# `fetch` downloads and verifies, `verify` reads every byte again, `status` only looks, `manifest` recomputes
# the table the package carries from the pages themselves.

# %%
_Dataset = Annotated[Literal["eicp"], typer.Argument(help="The data set.")]


@data_app.command("fetch")
def fetch(
    dataset: _Dataset,
    url: Annotated[
        str, typer.Option(envvar="ECGBOOK_EICP_URL", hidden=True, help="Where the zip is.")
    ] = data.EICP_ZIP,
) -> None:
    """Download the data set (about 194 MB), unpack it, verify every file.

    It goes to the folder `eicp` in $ECGBOOK_DATA, or in `data` where that is not set,
    and takes 615 MB there. What is there already and as published is kept. A download that was cut off cannot
    be resumed.
    """
    with _bars(DownloadColumn()) as progress:
        report = data.fetch_eicp(url, progress=progress)
    done = "fetched and verified" if report["fetched"] else "already there, verified"
    typer.echo(f"eicp: {report['expected']} files {done}, in {report['path']}")
    _name_files(report, ["extra"])


@data_app.command("verify")
def verify(dataset: _Dataset) -> None:
    """Read every file and name those that are missing, altered or extra.

    The exit status is 0 only when every file is as published and there is no other.
    """
    with _bars(DownloadColumn()) as progress:
        report = data.verify_eicp(progress=progress)
    _name_files(report, ["missing", "altered", "extra"])
    if report["missing"] or report["altered"] or report["extra"]:
        counts = ", ".join(f"{len(report[state])} {state}" for state in ("missing", "altered", "extra"))
        advice = (
            "remove the extra files" if data.is_sound(report) else "mend it with `ecgbook data fetch eicp`"
        )
        raise data.EcgbookError(f"{report['path']}: {counts} of {report['expected']} files; {advice}")
    typer.echo(f"eicp: all {report['expected']} files as published, in {report['path']}")


def _name_files(report: dict, states: list[str]) -> None:
    for state in states:
        for name in report[state]:
            typer.echo(f"{state:<7}  {name}")


@data_app.command("status")
def status() -> None:
    """Show what is where, without reading the pages."""
    found = data.status()
    kept = {
        None: "absent (`ecgbook data fetch eicp`)",
        "tree": "the published folders",
        "distinct": "the distinct pages only",
        "zip": "the published zip",
    }
    typer.echo(f"data folder  {data.home().resolve()}")
    typer.echo(f"eicp         {kept[found['layout']]}")
    if found["layout"]:
        typer.echo(f"             {found['path']}")
        typer.echo(
            f"             {found['present']} of {found['expected']} files, {found['bytes'] / 1e6:.0f} MB"
        )
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


# %% [markdown]
# ## `ecgbook audit`
# For anyone's images, one folder a class. The place for the report is tried before the long work, not after
# it.


# %%
@app.command("audit")
def audit(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with one folder of images for each class.")
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the whole report here, as JSON.")
    ] = None,
) -> None:
    """Look for copies, near-copies and tell-tale sizes, and score a classifier that only looks up hashes.

    DIR holds one folder of images for each class. Files that cannot be read are listed, and the rest goes on.
    """
    from ecgbook import audit as audits

    if json_file is not None:
        data.check_writable(json_file)
    with _bars(MofNCompleteColumn()) as progress:
        report = audits.audit(folder, progress=progress)
    if json_file is not None:
        data.write_whole(json_file, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    Console().print(audits.summary(report), markup=False, highlight=False)


# %%
def main() -> None:
    """Run the command line; the entry point ``ecgbook``."""
    app()


if __name__ == "__main__":
    main()
