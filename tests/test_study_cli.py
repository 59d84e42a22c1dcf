"""The study from the command line, and on a cluster: what is said, how it ends, and what a lost worker costs."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ecgbook import cli, evaluate, networks, publish, study
from ecgbook.data import CLASSES, EcgbookError

QUICK = study.Study("grouped", "guideline", "measurements", 2, 3, "a test")
SLOW = study.Study("grouped", "boosting", "heart rate", 1, 5, "a test")  # seconds a fold
NET = study.Study("grouped", "mobilenet-v3-small", "page", 1, 5, "a test", recipe="paper")


def run(*arguments: str):
    return CliRunner().invoke(cli.app, ["study", *arguments])


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    """Give an empty folder of results, and three declared runs."""
    (tmp_path / "headline.json").write_text("{}")
    core, more = {"quick": QUICK, "quick-slow": SLOW}, {"net": NET}
    for name, value in (("STUDIES", core), ("MORE", more), ("DECLARED", {**core, **more})):
        monkeypatch.setattr(study, name, value)
    monkeypatch.setattr(study, "RESULTS", tmp_path)
    return tmp_path


def begun(results: Path) -> Path:
    """Begin the network, and leave the word of a training that has come to its fourth epoch."""
    study._begin("net", NET, results / "net")
    mark = results / "net" / "folds" / "0-2.epoch"
    mark.write_text(json.dumps({"epoch": 4, "epochs": 20, "wall_s": 3723.0}))
    mark.with_suffix(".pt").write_bytes(b"")
    return mark


# ----- looking


@pytest.mark.parametrize("command", ["", "list", "run", "status", "show"])
def test_every_command_has_help(command):
    ended = run(*command.split(), "--help")
    assert ended.exit_code == 0 and "Usage" in ended.stdout and ended.stderr == ""


def test_list_has_a_line_for_every_declared_run():
    ended = run("list")
    assert ended.exit_code == 0 and ended.stderr == ""
    core, more = ended.stdout.split("\n\nThe book is whole without these:\n")
    for text, declared in ((core, study.STUDIES), (more, study.MORE)):
        head, *lines = text.splitlines()
        assert head.split("  ")[0] == "run" and [line.split()[0] for line in lines] == list(declared)
    line = next(line for line in more.splitlines() if line.startswith("grouped-mobilenet-synthetic "))
    words = [word.strip() for word in line.split("  ") if word.strip()]
    assert words[1:7] == ["grouped", "mobilenet-v3-small", "page", "synthetic", "two-phase", "5 x 1"]


def test_list_says_how_far_each_run_has_come(results):
    study.run("quick", results, jobs=1)
    begun(results)
    states = {
        line.split()[0]: line.split("  ")[-1].strip() for line in run("list").stdout.splitlines() if line
    }
    assert states["quick"] == "finished" and states["net"] == "0 of 5 folds"
    assert states["quick-slow"] == "not run here"


def test_status_shows_folds_epochs_and_time(results):
    mark = begun(results)
    os.utime(mark, (time.time() - 60, time.time() - 60))
    study._begin("quick", QUICK, results / "quick")
    study._do_fold(QUICK, study._Place(results / "quick", 1, 0))
    ended = run("status")
    assert (ended.exit_code, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[:3] == [
        f"results   {results}",
        "the book  0 of 2 runs finished",
        "more      0 of 1 runs finished",
    ]
    assert lines[3].startswith("quick: 1 of 6 folds, 0:00:0") and lines[3].endswith(" of computing so far")
    assert lines[4] == "net: 0 of 5 folds, 1:02:03 of computing so far"
    assert lines[5].startswith("  repeat 0, fold 2: epoch 4 of at most 20, 0:01:0") and lines[5].endswith(
        " ago"
    )
    assert lines[6:] == ["not begun: quick-slow"]


def test_show_computes_the_numbers_of_a_run(results):
    study.run("quick", results, jobs=1)
    ended = run("show", "quick")
    assert (ended.exit_code, ended.stderr) == (0, "")
    shown = dict(line.split(maxsplit=1) for line in ended.stdout.splitlines() if not line.startswith(" "))
    assert shown["protocol"] == "grouped" and shown["state"] == "finished" and shown["why"] == "a test"
    frame = study.load("quick", results)
    table = evaluate.table({"quick": frame}, evaluate.units("grouped")).set_index("metric")
    for metric, words in {"accuracy": "accuracy", "macro_f1": "macro F1", "macro_auc": "macro AUC"}.items():
        row = table.loc[metric]
        line = next(line for line in ended.stdout.splitlines() if line.startswith(words))
        assert line.split()[-4:] == [f"{row.estimate:.3f}", f"{row.low:.3f}", "to", f"{row.high:.3f}"]
    counts = evaluate.confusion(frame)
    for label in CLASSES:
        line = next(line for line in ended.stdout.splitlines() if line.startswith(f"recall {label} "))
        assert line.endswith(f"  {counts.loc[label, label]:.1f} of {counts.loc[label].sum():.0f}")


def test_show_tells_what_there_is_of_an_unfinished_run(results):
    assert run("show", "net").stdout.endswith("run it with `ecgbook study run net`\n")
    begun(results)
    ended = run("show", "net")
    assert ended.exit_code == 0 and "epoch 4 of at most 20" in ended.stdout and "started" in ended.stdout
    assert "accuracy" not in ended.stdout


@pytest.mark.parametrize("command", [["list"], ["status"], ["show", "quick"], ["run", "quick"]])
def test_a_note_that_is_no_json_is_told(results, command):
    (results / "quick").mkdir()
    (results / "quick" / "run.json").write_text("{")
    ended = run(*command)
    assert ended.exit_code == 2 and ended.stderr.startswith(
        f"error: {results / 'quick' / 'run.json'}: is no JSON"
    )
    assert ended.stderr.count("\n") == 1


# ----- running


def test_runs_are_made_by_pattern_and_left_alone_when_finished(results):
    ended = run("run", "qu*k", "quick", "--jobs", "1")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout == f"quick: finished, in {results / 'quick'}\n"
    before = (results / "quick" / "run.json").read_bytes()
    assert run("run", "quick").exit_code == 0 and (results / "quick" / "run.json").read_bytes() == before


def test_a_run_that_another_command_is_doing_is_refused_until_that_ends(results):
    code = "import sys; from pathlib import Path; from ecgbook import cli\n"
    code += "with cli._held(Path(sys.argv[1]), 'quick'): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(results / ".quick.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        ended = run("run", "quick", "--jobs", "1")
        said = "error: quick: another command is doing this run; wait for it to end\n"
        assert (ended.exit_code, ended.stdout, ended.stderr) == (2, "", said)
        assert sorted(path.name for path in results.iterdir()) == [".quick.lock", "headline.json"]
        other.kill()  # leaves its file, and no lock on it
    assert run("run", "quick", "--jobs", "1").exit_code == 0
    assert sorted(path.name for path in results.iterdir()) == ["headline.json", "outer_log.csv", "quick"]


def test_a_lock_whose_file_was_just_removed_is_not_taken_for_one(tmp_path, monkeypatch):
    path = tmp_path / ".quick.lock"
    monkeypatch.setattr(cli.fcntl, "flock", lambda stream, how: path.unlink())
    with pytest.raises(EcgbookError, match="another command"), cli._held(path, "quick"):
        pytest.fail("held")


def test_without_a_pattern_the_runs_of_the_book_are_meant(results, monkeypatch):
    asked = []
    monkeypatch.setattr(study, "run", lambda names, *more, **keywords: asked.append((names, more, keywords)))
    ended = run("run", "--jobs", "3", "--device", "cpu")
    (names, more, keywords), *_ = asked
    assert ended.exit_code == 0 and names == ["quick", "quick-slow"] and more == (results, 3)
    assert keywords["device"] == "cpu"


def test_the_device_reaches_the_training(results, monkeypatch):
    seen = []

    def fold(one, place):
        seen.append(place.device)
        raise EcgbookError("enough: seen; stop")

    monkeypatch.setitem(study._FOLDS, "network", fold)
    assert run("run", "net", "--jobs", "1", "--device", "cpu").exit_code == 2 and seen == ["cpu"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "quik"], "quik: no such run; did you mean quick\n"),
        (["run", "quick", "zz*"], "zz*: no such run; see `ecgbook study list`\n"),
        (["show", "nets"], "nets: no such run; did you mean net\n"),
        (
            ["status", "--results", "nowhere"],
            "nowhere: no such folder; name the one that holds headline.json\n",
        ),
    ],
)
def test_a_mistake_is_told_in_a_sentence(results, arguments, said):
    ended = run(*arguments)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (2, "", f"error: {said}")
    assert [path.name for path in results.iterdir()] == ["headline.json"]


@pytest.mark.parametrize("arguments", [["--jobs", "0"], ["--device", "tpu"], ["--jbs", "1"]])
def test_options_that_make_no_sense(results, arguments):
    ended = run("run", "quick", *arguments)
    assert ended.exit_code == 2 and "Usage" in ended.stderr and ended.stdout == ""


def test_a_device_that_is_not_there(results):
    wanted = next(name for name in ("mps", "cuda") if name != networks.device())
    ended = run("run", "net", "--device", wanted)
    assert ended.exit_code == 2 and ended.stderr.startswith(f"error: {wanted}: there is none on this machine")
    assert [path.name for path in results.iterdir()] == ["headline.json"]


def test_results_elsewhere(results, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    ended = run("run", "quick", "--results", str(other))
    assert ended.exit_code == 2 and "name the headline before any outer score" in ended.stderr
    (other / "headline.json").write_text("{}")
    assert run("run", "quick", "--jobs", "1", "--results", str(other)).exit_code == 0
    assert study.finished(["quick"], other) and not study.finished(["quick"], results)


def test_a_bar_over_folds_is_shown_on_a_terminal(results, monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr(cli, "Console", lambda **keywords: console)
    assert run("run", "quick", "--jobs", "1").exit_code == 0
    assert "folds" in screen.getvalue() and "6/6" in screen.getvalue()


def test_the_bar_tells_the_epochs_under_way_and_no_others(results):
    column = cli._Epochs(["net", "quick"], results)
    assert column.render(None).plain == ""
    mark = begun(results)
    assert column.render(None).plain == "net 0-2: epoch 4/20"
    for fold in (0, 1, 3, 4):
        mark.with_name(f"0-{fold}.epoch").write_text(mark.read_text())
    assert column.render(None).plain.endswith("net 0-2: epoch 4/20, and 2 more")
    for path in mark.parent.glob("*.epoch"):
        os.utime(path, (column.since - 9, column.since - 9))  # left by a training that was interrupted
    assert column.render(None).plain == ""


def test_an_interrupt_ends_with_130_and_says_what_is_kept(results, monkeypatch):
    def interrupted(*given, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run", interrupted)
    ended = run("run", "quick")
    kept = "finished folds and epochs are kept, and the same command goes on from there"
    assert (ended.exit_code, ended.stdout, ended.stderr) == (130, "", f"interrupted; {kept}\n")


_COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from ecgbook import cli, study
study.DECLARED = study.STUDIES = {"slow": study.Study("grouped", "boosting", "heart rate", 1, 5, "a test")}
cli.main()
"""


def wait_for(what, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_ctrl_c_ends_the_workers_and_the_run_goes_on_later(results):
    arguments = ["study", "run", "slow", "--jobs", "2", "--results", str(results)]
    process = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, *arguments],
        env=os.environ | {"PYTHONPATH": str(publish.ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, which hears Ctrl-C as a whole, as on a terminal
    )
    folds = results / "slow" / "folds"
    wait_for(lambda: list(folds.glob("[0-9]*.json")) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=120)
    kept = "finished folds and epochs are kept, and the same command goes on from there"
    assert (process.returncode, out, error) == (130, "", f"interrupted; {kept}\n")
    with pytest.raises(ProcessLookupError):
        wait_for(lambda: os.killpg(process.pid, 0), 20)  # no worker is left
    finished = {path: study._read_fold(path) for path in folds.glob("[0-9]*.json")}
    assert 1 <= len(finished) < 5
    study.run("slow", results, jobs=1, studies={"slow": SLOW})
    rows = (results / "slow" / "predictions.csv").read_text()
    assert all(fold["rows"] in rows for fold in finished.values())


_LEFT_BEHIND = """
from ecgbook import cli
{first}
from joblib.externals.loky.backend import resource_tracker
resource_tracker.register("/left-behind-by-a-worker", "semlock")
"""


@pytest.mark.parametrize(("first", "is_quiet"), [("cli._hush_tracker()", True), ("", False)])
def test_what_workers_leave_behind_is_cleared_away_without_a_word(first, is_quiet):
    code = _LEFT_BEHIND.format(first=first)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    env["PYTHONPATH"] = str(publish.ROOT)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert ("leaked semlock" not in done.stderr) is is_quiet, done.stderr


# ----- on a cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Start a scheduler and two workers, processes of their own; a fold may be lost once."""
    import dask
    from distributed import LocalCluster

    settings = {
        "distributed.scheduler.allowed-failures": 1,
        "temporary-directory": str(tmp_path_factory.mktemp("dask")),
    }
    with (
        dask.config.set(settings),
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as started,
    ):
        yield started


def test_a_run_is_done_on_a_cluster(results, cluster, tmp_path_factory):
    ended = run("run", "quick", "--scheduler", cluster.scheduler_address)
    assert (ended.exit_code, ended.stdout) == (0, f"quick: finished, in {results / 'quick'}\n"), ended.stderr
    other = tmp_path_factory.mktemp("here")
    (other / "headline.json").write_text("{}")
    study.run("quick", other, jobs=1)
    here, there = ((root / "quick" / "predictions.csv").read_bytes() for root in (other, results))
    assert here == there


def test_a_killed_worker_costs_at_most_its_fold(results, cluster, monkeypatch, tmp_path_factory):
    from distributed import Client

    folds, before, after = results / "quick-slow" / "folds", {}, {}

    def times() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in folds.glob("[0-9]*.json")}

    def kill() -> None:
        wait_for(times)
        with Client(cluster.scheduler_address, set_as_default=False) as client:
            processes, busy = client.run(os.getpid), client.processing()
            worker = next(worker for worker, tasks in busy.items() if tasks)
            before.update(times())
            os.kill(processes[worker], signal.SIGKILL)

    real = study._finish
    monkeypatch.setattr(study, "_finish", lambda *given: (after.update(times()), real(*given)))
    killer = threading.Thread(target=kill)
    killer.start()
    with study.cluster(cluster.scheduler_address, results):
        study.run("quick-slow", results)
    killer.join()
    assert 1 <= len(before) < 5 and len(after) == 5
    assert {name: after[name] for name in before} == before  # finished folds were not done again
    other = tmp_path_factory.mktemp("undisturbed")
    (other / "headline.json").write_text("{}")
    study.run("quick-slow", other, jobs=1)
    whole, lost = ((root / "quick-slow" / "predictions.csv").read_bytes() for root in (other, results))
    assert lost == whole


def test_workers_with_other_code_or_another_disk_are_refused(results, cluster, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(study, "_all_code", lambda: "newer")
        ended = run("run", "quick", "--scheduler", cluster.scheduler_address)
        assert ended.exit_code == 2 and "has another version of ecgbook; install the same" in ended.stderr
    monkeypatch.setattr(study, "_require_headline", lambda folder: None)
    (results / "headline.json").unlink()
    ended = run("run", "quick", "--scheduler", cluster.scheduler_address)
    assert ended.exit_code == 2 and f"does not see {results}; use a folder that all" in ended.stderr
    assert not list(results.iterdir())


def test_a_fold_that_kills_every_worker_ends_the_run(results, cluster, monkeypatch):
    monkeypatch.setattr(study, "_do_named", lambda *job: os._exit(1))
    ended = run("run", "quick", "--scheduler", cluster.scheduler_address)
    assert ended.exit_code == 2 and "several workers died over the same fold" in ended.stderr
    assert ended.stderr.count("error: ") == 1


def test_a_scheduler_that_is_not_there(results):
    for address in ("tcp://127.0.0.1:9", "nonsense", "tcp://127.0.0.1:99999"):
        started = time.monotonic()
        ended = run("run", "quick", "--scheduler", address)
        assert ended.exit_code == 2 and ended.stderr.startswith(
            f"error: {address}: no scheduler answers there"
        )
        assert ended.stderr.count("\n") == 1 and time.monotonic() - started < 15
    assert [path.name for path in results.iterdir()] == ["headline.json"]


def test_a_scheduler_without_workers(results, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr(study, "_PATIENCE", 3)
    with LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as empty:
        ended = run("run", "quick", "--scheduler", empty.scheduler.address)
    assert ended.exit_code == 2 and "has no workers; start some with `dask worker" in ended.stderr
