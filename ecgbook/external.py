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
# # External: the models of this book at another hospital
# Everything so far was learned and tested on ECGs of one device. Here the same models, fitted on all 491 pages, are
# asked about 200 people of another country ({cite}`kalyakulina2020`). What is asked, how, and what counts as an answer
# was fixed before a diagnosis was read ([](../book/beyond/preregistration.md)); this module carries it out and stores
# what came of it. It chooses nothing: no setting here was tried twice.

# %%
"""Carry out the pre-registered external validation: the bridge, all models, and four experiments on what breaks."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import io
import json
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecgbook import beats, data, digitize, draw, elsewhere, evaluate, hybrid, inputs, leads, ludb, measure

# isort: split
from ecgbook import models, networks, networks1d, preprocess, publish, splits, study, synth, train, trust
from ecgbook.data import CLASSES, EcgbookError, write_whole
from ecgbook.evaluate import PROBABILITIES
from ecgbook.synth import LEADS, Record, page_filter

FS = 250  # samples per second of a record

# %% [markdown]
# ## The bridge: a page drawn and read again
# Between a hospital's file and our page stands our own pen and our own eye. Before a model is blamed for failing on
# LUDB, both are tested: each record is drawn, the page is read as if it had come from a scanner, and what was read is
# laid over what was drawn, trace by trace. The *peak* of a QRS complex is its largest deflection from the zero line,
# within 60 ms of the beat; its error is the height that was read less the height that was drawn. The gates of
# [](trust.py) say of each page whether they would let it in.

# %%
_HALF = round(0.06 * FS)  # samples on either side of a beat
_HIDDEN = (3, 2)  # samples at the beginning and end of a lead that the line between two columns hides


def peak_errors(drawn: np.ndarray, read: np.ndarray, marks: Sequence[int]) -> tuple[np.ndarray, int]:
    """Compare the largest deflection of each QRS complex in two versions of a trace.

    Parameters
    ----------
    drawn, read : (n,) arrays
        Millivolts; NaN where nothing is known.
    marks : sequence of int
        Beats, in samples.

    Returns
    -------
    errors : (b,) array
        Height read less height drawn, mV, of each complex that lies wholly inside the trace and was read.
    lost : int
        Complexes that lie inside and were not read.

    Examples
    --------
    >>> drawn = np.zeros(200)
    >>> drawn[100] = -1.0
    >>> errors, lost = peak_errors(drawn, 0.9 * drawn, [100])
    >>> errors.round(2).tolist(), lost
    ([-0.1], 0)
    """
    errors, lost = [], 0
    for mark in marks:
        at = slice(mark - _HALF, mark + _HALF + 1)
        if at.start < 0 or at.stop > len(drawn) or np.isnan(drawn[at]).any():
            continue
        if np.isnan(read[at]).any():
            lost += 1
            continue
        sign = 1 if drawn[at].max() >= -drawn[at].min() else -1
        errors.append((sign * read[at]).max() - (sign * drawn[at]).max())
    return np.array(errors), lost


def compare_traces(traces: Sequence[draw.Trace], reading: digitize.Reading) -> pd.DataFrame:
    """Lay what was read of a page over what was drawn on it.

    Parameters
    ----------
    traces : sequence of ecgbook.draw.Trace
        As :func:`ecgbook.draw.draw_page` gives them.
    reading : ecgbook.digitize.Reading

    Returns
    -------
    pandas.DataFrame
        A row a trace: ``trace`` (the lead, or "strip"), ``correlation`` and ``read`` (the share of samples that could
        be read), ``errors_uv`` (see :func:`peak_errors`; whole microvolts parted by blanks), ``lost`` and ``flags``.
    """
    whole = np.full((len(LEADS), digitize.SAMPLES), np.nan)
    for trace in traces:  # the strip comes last, and stands in for its lead
        start = round(trace.start * FS)
        whole[LEADS.index(trace.lead), start : start + len(trace.samples)] = trace.samples
    marks, rows = beats.find_beats(whole, FS), []
    for i, trace in enumerate(traces):
        start, drawn = round(trace.start * FS), trace.samples.astype(float)
        read = (reading.strip if i == 12 else reading.leads[i, synth.span(trace.lead)]).astype(float)
        if i < 12:
            drawn[: _HIDDEN[0]], drawn[-_HIDDEN[1] :] = np.nan, np.nan
        known = np.isfinite(read) & np.isfinite(drawn)
        r = np.corrcoef(drawn[known], read[known])[0, 1] if known.sum() > 2 else np.nan
        errors, lost = peak_errors(drawn, read, marks - start)  # type: ignore[arg-type]
        text = " ".join(f"{1000 * error:.0f}" for error in errors)
        name = "strip" if i == 12 else trace.lead
        share = known.sum() / np.isfinite(drawn).sum()
        rows.append((name, round(r, 4), round(share, 3), text, lost, reading.flags[i]))
    return pd.DataFrame(rows, columns=["trace", "correlation", "read", "errors_uv", "lost", "flags"])


class Crossed(NamedTuple):
    """A record on both sides of the bridge: the traces compared, what the gates said, and what was read."""

    traces: pd.DataFrame
    verdict: trust.Verdict
    read: Record | None


@lru_cache(maxsize=1)
def _rates() -> pd.Series:
    return elsewhere.measurements()["heart_rate"]


def cross(number: int) -> Crossed:
    """Draw one record of LUDB as a page and read the page again.

    Parameters
    ----------
    number : int
        1 to 200.

    Returns
    -------
    Crossed
        ``read`` is None, and ``traces`` empty, where the page could not be read at all.
    """
    record = elsewhere.whole(number)._replace(heart_rate=_printed_rate(number))
    page, traces = draw.draw_page(record, "Drawn from LUDB")
    reading, verdict = trust.admit(page)
    if reading is None:
        return Crossed(pd.DataFrame(), verdict, None)
    return Crossed(compare_traces(traces, reading).assign(record=number), verdict, digitize.record(reading))


def _printed_rate(number: int) -> int:
    """What the page prints: the rate that our program measures, rounded; 0 if it measures none."""
    return round(np.nan_to_num(_rates()[number]))


@lru_cache(maxsize=1)
def _crossed() -> dict[int, Crossed]:
    return {number: cross(number) for number in ludb.RECORDS}


# %% [markdown]
# ## What each kind of model is given
# Models of measurements and beats get the columns of [](elsewhere.py). The printed-text baselines get what the drawn
# page prints: the measured rate, and nothing else, for it carries no sex, no date and no batch. Networks on signals get
# the same sixteen rows as at home, networks on pages the drawn page.


# %%
def given(name: str) -> pd.DataFrame:
    """Collect the columns of an input for LUDB's records, as :func:`ecgbook.models.features` does for the pages.

    Parameters
    ----------
    name : str
        One of :data:`ecgbook.models.INPUTS`.

    Returns
    -------
    pandas.DataFrame
        Index: the numbers of the records; the same columns in the same order.
    """
    columns = list(models.features(name))
    if all(column.startswith("printed_") for column in columns):
        rate = [float(_printed_rate(number)) for number in ludb.RECORDS]
        printed = pd.DataFrame(0.0, index=list(ludb.RECORDS), columns=columns)
        return printed.assign(printed_rate=rate)
    return elsewhere.features()[columns]


@lru_cache(maxsize=1)
def _channels() -> np.ndarray:
    return np.array([networks1d.channels(elsewhere.shown(number)) for number in ludb.RECORDS])


@lru_cache(maxsize=1)
def _pages() -> np.ndarray:
    """Drawn pages of all records as the page networks see them, (200, 224, 224)."""
    files = pd.DataFrame({"file": [str(number) for number in ludb.RECORDS]})
    code = "".join(
        publish.code_digest(inspect.getsource(module)) for module in (draw, elsewhere, synth, ludb)
    )
    drawn = [f"LUDB {number} {_printed_rate(number)} {code}" for number in ludb.RECORDS]
    files["sha256"] = [hashlib.sha256(text.encode()).hexdigest() for text in drawn]

    def opened(name: str):
        return elsewhere.page(int(name), _rates()[int(name)])

    return np.asarray(preprocess.arrays(files, inputs.INPUTS["page"].pipeline, opener=opened))


# %% [markdown]
# ## Fitting, once, on all 491
# Tables and hybrids are fitted on all pages with the grid search of the study, so their settings are again chosen by
# inner validation. Networks need some pages that say when to stop: those on signals learn from all pages but the
# validation part of fold 0 of `grouped`. Those on pages take the better part of an hour of processor time a fold and
# their weights were not kept, so one fold model stands for the five of the pre-registration: fold 0, trained anew by
# the same recipe and seed as far as the epoch that was its best. Whether it came out the same is checked, not assumed:
# its predictions of its own test part are kept beside those of the stored run.


# %%
class Answer(NamedTuple):
    """What a model says of LUDB (200, 4), how it was set, and what it says at home, if it was trained anew."""

    p: np.ndarray
    note: dict
    home: pd.DataFrame | None = None


def _fitted(model, X: pd.DataFrame, other: pd.DataFrame) -> Answer:
    """Fit a classifier on all pages and ask it about the records."""
    from threadpoolctl import threadpool_limits

    pages = data.pages()
    with threadpool_limits(1):
        X = X.loc[pages["file"]]
        model = models.fit(model, X, networks1d._labels(), pages["group"].to_numpy())
        return Answer(models.probabilities(model, other), {"settings": getattr(model, "best_params_", {})})


def _table(run: str) -> Answer:
    one = study.STUDIES[run]
    return _fitted(models.build(one.model, one.seed), models.features(one.input), given(one.input))


def _all_but_validation() -> splits.Split:
    """All pages learned from but the validation part of fold 0; the records stand behind the pages as test part."""
    first, n = splits.folds("grouped", data.pages())[0], len(data.pages())
    return splits.Split(np.sort(np.r_[first.train, first.test]), first.val, n + np.arange(len(ludb.RECORDS)))


def _signal_network(run: str) -> Answer:
    split, plan = _all_but_validation(), networks1d.PLANS[run]
    x = np.concatenate([networks1d.signals(), _channels()])
    y = np.r_[networks1d._labels(), np.zeros(len(ludb.RECORDS), int)]  # of the records no class is looked at
    with study._one_thread():
        fold = networks1d.network_fold(plan, split, 0, x, y)
    best = int(fold.history["val_loss"].argmin()) + 1
    return Answer(fold.test, {"learned_from": fold.cost["learned_from"], "best_epoch": best})


def _trees(run: str) -> Answer:
    """Trees with the headline's settings, on all pages or a share of their groups."""
    from sklearn.pipeline import make_pipeline

    everything = splits.Split(np.arange(len(data.pages())), np.array([], int), np.array([], int))
    rows = networks1d.learned(everything, networks1d.PLANS[run].share, 0)
    X = models.features("measurements").loc[data.pages()["file"]].iloc[rows]
    trees = make_pipeline(models._only(models._measured), models._extra_trees(0))
    trees.fit(X, networks1d._labels()[rows])
    return Answer(models.probabilities(trees, given("measurements")), {"learned_from": len(rows)})


def _best_epoch(run: str) -> int:
    losses = study.history(run).query("fold == 0")["val_loss"].to_numpy()
    return int(losses.argmin()) + 1


def _state(run: str) -> Path:
    """Where the training of a page network is kept; the name holds the code it was made with."""
    code = study._digest(json.dumps(study._code(study.STUDIES[run]), sort_keys=True))[:16]
    return data.home() / "cache" / f"external-{run}-0-{code}.pt"


@lru_cache(maxsize=1)
def page_network(run: str, told: Callable[[str], None] = print):
    """Train the fold model of a page network anew, or take it from the cache; needs the real pages.

    Parameters
    ----------
    run : str
        A run of the study, such as "grouped-resnet18".
    told : function
        Called with a line after each epoch.

    Returns
    -------
    network : torch.nn.Module
    history : pandas.DataFrame
    """
    one, split = study.STUDIES[run], study.deal(study.STUDIES[run])[0, 0]
    shown, y, best = inputs.pixels(one.input, data.pages()), networks1d._labels(), _best_epoch(run)
    network = networks.build(one.model, study._weights(one), one.seed, 1)
    data.make_folder(_state(run).parent)
    with study._one_thread():
        history = train.fit(
            network,
            (shown[split.train], y[split.train]),
            (shown[split.val], y[split.val]),
            train.RECIPES[one.recipe]._replace(epochs=best),
            one.seed,
            "auto",
            _state(run),
            lambda epoch, epochs: told(f"{run}: epoch {epoch} of {epochs}"),
        )
    return network, history


def _home(network, run: str) -> pd.DataFrame:
    """What the network says of its own test part: of the real pages, and of the same pages redrawn."""
    pages, split = data.pages(), study.deal(study.STUDIES[run])[0, 0]
    tested, parts = pages.iloc[split.test], []
    for shown in ("page", "redrawn page"):
        p = networks.probabilities(network, inputs.pixels(shown, pages)[split.test])
        parts.append(
            tested[["file", "label"]].assign(shown=shown, **dict(zip(PROBABILITIES, p.T, strict=True)))
        )
    return pd.concat(parts)


def _page_model(run: str) -> Answer:
    network, history = page_network(run)
    stored = study.history(run).query("fold == 0").head(len(history))
    apart = np.abs(history["val_loss"].to_numpy() - stored["val_loss"].to_numpy()).max()
    with study._one_thread():
        home, p = _home(network, run), networks.probabilities(network, _pages())
    return Answer(p, {"epochs": len(history), "val_loss_apart": float(f"{apart:.2g}")}, home)


@lru_cache(maxsize=1)
def _seen_by(run: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Features of all pages and of all records, from a frozen network."""
    with study._one_thread():
        if run == "lite0":
            network, there = networks.build("efficientnet-lite0", "imagenet"), hybrid.lite0_features()
        else:
            network = page_network(run)[0]
            values = networks.embed(network, inputs.pixels("page", data.pages())).astype(np.float16)
            there = hybrid._frame(values)
        here = networks.embed(network, _pages()).astype(np.float16).astype(np.float32)
    return there, pd.DataFrame(here, index=list(ludb.RECORDS), columns=list(there))


def _hybrid(run: str) -> Answer:
    one = study.STUDIES[run]
    there, here = _seen_by(study._source(one) or "lite0")
    return _fitted(hybrid.build(one.model, one.seed), there, here)


# %% [markdown]
# ## Which models
# All that the leaderboard shows under `grouped`, the headline first. One is left out, as registered: it was pre-trained
# on LUDB. Runs of the same models under other protocols are no other models.

# %%
HEADLINE = "grouped-headline"
BASELINES = ("grouped-majority", "grouped-heart-rate", "grouped-guideline")
LEFT_OUT = {"grouped-transformer1d-ludb": "pre-trained on LUDB's wave boundaries"}


def wanted(results: Path = study.RESULTS) -> list[str]:
    """Name the models that are to be tested: the finished runs of the leaderboard under ``grouped``.

    Examples
    --------
    >>> wanted()[0]
    'grouped-headline'
    """
    runs = [name for name, one in study.DECLARED.items() if one.protocol == "grouped"]
    runs += [name for name in networks1d.PLANS if name not in LEFT_OUT]
    return [HEADLINE, *(run for run in runs if run != HEADLINE and study.is_finished(results / run))]


def _maker(run: str) -> Callable[[str], Answer]:
    if run in networks1d.PLANS:
        return _trees if networks1d.PLANS[run].family == "trees" else _signal_network
    return {"table": _table, "network": _page_model, "hybrid": _hybrid}[study._kind(study.STUDIES[run])]


# %% [markdown]
# ## Taking the failure apart
# Is it the device or the people? The device can be moved. From one side, EICP's signals are given what LUDB's have, one
# thing after the other: stored at 500 samples a second in whole microvolts; filtered once more by the filter that
# LUDB's signals pass through; and as much noise as LUDB's records have. The models are those of the five outer folds
# of `grouped`, each asked only about pages that it did not learn from. From the other side, LUDB's signals go through
# the page, are made as large as EICP's, or keep the filter of their own device.
#
# *Noise* is what a trace does between the end of a T wave and the next P wave, where the heart is silent: the standard
# deviation about a straight line, median over all such stretches.

# %%
_QUIET = round(0.08 * FS)  # samples; a shorter stretch says little
_EDGE = 3  # samples left out at both ends of a stretch


def noise(record: Record) -> float:
    """Measure the noise of a record between T and P waves.

    Parameters
    ----------
    record : Record
        Filtered as pages are, 250 samples per second; NaN where nothing is known.

    Returns
    -------
    float
        Millivolts; NaN where no stretch is long enough.

    Examples
    --------
    >>> clean, noisy = (noise(synth.record("Normal", 2, noise=by)) for by in (0, 2))
    >>> clean < noisy
    True
    """
    found = beats.delineate(record.leads, record.fs)
    levels = []
    for lead, waves in found.groupby("lead"):
        ends = np.sort(waves.loc[waves["wave"] == "T", "offset"].dropna().to_numpy())
        for onset in waves.loc[waves["wave"] == "P", "onset"].dropna():
            before = ends[ends < onset]
            if before.size:
                stretch = slice(round(before[-1] * FS) + _EDGE, round(onset * FS) - _EDGE)
                levels.append(_about_a_line(record.leads[lead, stretch]))
    levels = np.array(levels, float)
    return float(np.median(levels[np.isfinite(levels)])) if np.isfinite(levels).any() else np.nan


def _about_a_line(values: np.ndarray) -> float:
    """Standard deviation about a straight line; NaN if too short, too long to be silence, or not wholly known."""
    if not _QUIET <= len(values) <= FS or np.isnan(values).any():
        return np.nan
    at = np.arange(len(values))
    return float(np.std(values - np.polyval(np.polyfit(at, values, 1), at), ddof=2))


def with_noise(record: Record, level: float, rng: np.random.Generator) -> Record:
    """Add noise, filtered as pages are, of a standard deviation in mV to what is known of a record."""
    added = page_filter(rng.normal(size=record.leads.shape), record.fs)
    added *= level / added.std()
    return record._replace(leads=(record.leads + added).astype(np.float32))


def _each_trace(record: Record, function: Callable[[np.ndarray], np.ndarray]) -> Record:
    """Apply a function to each trace from its first to its last known sample; gaps are bridged for it and stay."""
    out = record.leads.astype(float)
    for trace in out:
        known = np.flatnonzero(np.isfinite(trace))
        if known.size > FS // 2:
            there = np.arange(known[0], known[-1] + 1)
            trace[known] = function(np.interp(there, known, trace[known]))[known - known[0]]
    return record._replace(leads=out.astype(np.float32))


def _at_500(trace: np.ndarray) -> np.ndarray:
    """A trace at 500 samples per second, in whole steps of LUDB's converter."""
    from scipy.signal import resample_poly

    return np.round(resample_poly(trace, 2, 1, padtype="line") / ludb.UNIT) * ludb.UNIT


def rate_of_ludb(record: Record) -> Record:
    """Store a record as LUDB does and bring it back to 250 samples per second."""
    return _each_trace(record, lambda trace: _at_500(trace)[::2])


def filter_of_ludb(record: Record) -> Record:
    """The same, with the filter that LUDB's signals pass through on the way back."""
    return _each_trace(record, lambda trace: page_filter(_at_500(trace), ludb.FS)[::2])


def _eicp() -> list[tuple[str, Record]]:
    """The records of the pages."""
    return list(measure._carried_records())


def _noise_to_add(own: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What each record lacks of the noise of a record of the other hospital, drawn by lot; 0 if it has more."""
    drawn = rng.choice(other[np.isfinite(other)], len(own))
    return np.sqrt(np.clip(drawn**2 - np.nan_to_num(own) ** 2, 0, None))


@lru_cache(maxsize=1)
def noises() -> dict[str, np.ndarray]:
    """Noise of all records of both hospitals, mV; see :func:`noise`."""
    return {
        "EICP": np.array([noise(record) for _, record in _eicp()]),
        "LUDB": np.array([noise(elsewhere.shown(number)) for number in ludb.RECORDS]),
    }


def amplitude() -> float:
    """By how much EICP's QRS complexes are larger than LUDB's: the ratio of the medians of their height.

    Examples
    --------
    >>> 0.5 < amplitude() < 2
    True
    """
    there, here = heights()
    return float(np.median(there) / np.median(here))


def heights() -> tuple[np.ndarray, np.ndarray]:
    """Height of the QRS complexes of the pages and of LUDB's records: R and S of all leads added up, mV."""
    tables = (measure.measurements(), elsewhere.measurements())
    return tuple(models.summaries(table)["qrs_height"].to_numpy() for table in tables)


def _of_ludb(change: Callable[[int, Record], Record]) -> Iterator[tuple[str, Record]]:
    """LUDB's records as shown, each changed; sex as in the primary analysis."""
    sex = elsewhere.assigned()["sex"]
    for number in ludb.RECORDS:
        yield str(number), change(number, elsewhere.shown(number))._replace(sex=sex[number])


def _as_recorded(number: int, record: Record) -> Record:
    """The record without our filter: only brought to 250 samples per second."""
    from scipy.signal import resample_poly

    signals = resample_poly(ludb.read(number), 1, 2, axis=1, padtype="line").astype(np.float32)
    return synth.window(record._replace(leads=signals))


def _through_page(number: int, record: Record) -> Record:
    read = _crossed()[number].read
    return record._replace(leads=np.full_like(record.leads, np.nan)) if read is None else read


def moved_ludb() -> dict[str, Callable[[], Iterator[tuple[str, Record]]]]:
    """Name the experiments on LUDB's signals: name -> function that gives the records."""
    rng, scale, heart = np.random.default_rng(0), amplitude(), heights()
    own = dict(zip(ludb.RECORDS, np.median(heart[0]) / heart[1], strict=True))
    lacking = dict(zip(ludb.RECORDS, _noise_to_add(noises()["LUDB"], noises()["EICP"], rng), strict=True))

    def scaled(by: float, record: Record) -> Record:
        return record._replace(leads=(by * record.leads).astype(np.float32))

    return {
        "LUDB through the page": lambda: _of_ludb(_through_page),
        "LUDB, as large as EICP": lambda: _of_ludb(lambda n, record: scaled(scale, record)),
        "LUDB, each record as large as EICP's median": lambda: _of_ludb(
            lambda n, record: scaled(own[n], record)
        ),
        "LUDB, its own filter": lambda: _of_ludb(_as_recorded),
        "LUDB, EICP's noise": lambda: _of_ludb(lambda n, record: with_noise(record, lacking[n], rng)),
    }


def moved_eicp() -> dict[str, Callable[[], Iterator[tuple[str, Record]]]]:
    """Name the experiments on EICP's signals, each with all changes of those before it."""
    rng = np.random.default_rng(0)
    lacking = dict(
        zip(data.pages()["file"], _noise_to_add(noises()["EICP"], noises()["LUDB"], rng), strict=True)
    )
    return {
        "EICP": lambda: iter(_eicp()),
        "EICP, LUDB's rate": lambda: ((file, rate_of_ludb(record)) for file, record in _eicp()),
        "EICP, LUDB's rate and filter": lambda: ((file, filter_of_ludb(record)) for file, record in _eicp()),
        "EICP, LUDB's rate, filter and noise": lambda: (
            (file, with_noise(filter_of_ludb(record), lacking[file], rng)) for file, record in _eicp()
        ),
    }


def _fit_headline(rows: np.ndarray):
    from threadpoolctl import threadpool_limits

    X = models.features("all").loc[data.pages()["file"]]
    with threadpool_limits(1):
        return models.build("headline").fit(X.iloc[rows], networks1d._labels()[rows])


def _asked(model, records: Iterator[tuple[str, Record]]) -> tuple[list[str], np.ndarray]:
    """Measure records and ask a fitted headline about them."""
    columns = list(models.features("all"))
    table = leads.features(*measure.table(records))[columns]
    return list(table.index), models.probabilities(model, table)


def _rows(condition: str, fold: int | str, names: Sequence[str], p: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(p, columns=PROBABILITIES)
    frame.insert(0, "name", list(names))
    frame.insert(0, "fold", fold)
    frame.insert(0, "condition", condition)
    return frame


def _fold_models() -> Iterator[tuple[int, splits.Split, object]]:
    """The headline's models of repeat 0 of ``grouped``, as the study fits them."""
    for fold, split in enumerate(splits.folds("grouped", data.pages())):
        yield fold, split, _fit_headline(np.sort(np.r_[split.train, split.val]))


def break_down(told: Callable[[str], None] = print) -> pd.DataFrame:
    """Run all experiments on what breaks; needs LUDB, takes a few minutes.

    Parameters
    ----------
    told : function
        Called with the name of each experiment.

    Returns
    -------
    pandas.DataFrame
        ``condition``, ``fold`` (the outer fold whose model was asked, or "all" for the one fitted on all pages),
        ``name`` (file or record) and the four probabilities. Under "LUDB by fold" all records were asked of each of
        the five fold models.
    """
    parts, everything = [], _fit_headline(np.arange(len(data.pages())))
    for condition, records in moved_ludb().items():
        told(condition)
        parts.append(_rows(condition, "all", *_asked(everything, records())))
    columns, conditions = list(models.features("all")), {}
    for condition, records in moved_eicp().items():
        told(condition)
        conditions[condition] = leads.features(*measure.table(records()))[columns].loc[data.pages()["file"]]
    for fold, split, model in _fold_models():
        told(f"fold {fold}")
        there = given("all")
        parts.append(_rows("LUDB by fold", fold, map(str, there.index), models.probabilities(model, there)))  # type: ignore[arg-type]
        for condition, table in conditions.items():
            tested = table.iloc[split.test]
            parts.append(_rows(condition, fold, tested.index, models.probabilities(model, tested)))
    return pd.concat(parts, ignore_index=True)


# %% [markdown]
# ## Storing
# `python -m ecgbook.external` makes all three runs, `python -m ecgbook.external zero-shot RUN ...` only some models. A
# finished model is kept at once, so a run that was interrupted goes on with the next; what was not run is named in
# the note, with the command that runs it.

# %%
ZERO_SHOT, BREAKDOWN, BRIDGE = "external-zero-shot", "external-breakdown", "external-bridge"

_PACKAGES = ("numpy", "pandas", "scipy", "scikit-learn", "xgboost", "torch", "torchvision", "pillow")
_BEHIND = ("splits", "synth", "draw", "preprocess", "ink", "digitize", "beats", "ludb", "measure", "models")
_BEHIND = (*_BEHIND, "inputs", "networks", "train", "hybrid", "elsewhere")


def code(run: str) -> dict[str, str]:
    """Digests of the code behind a run, blind to comments and prose: the modules, and this one as far as it goes."""
    until = {BRIDGE: "What each kind of model is given", ZERO_SHOT: "Taking the failure apart"}.get(
        run, "Storing"
    )
    own = inspect.getsource(sys.modules[__name__]).partition(f"# ## {until}\n")[0]
    here = Path(__file__).parent
    sources = {name: (here / f"{name}.py").read_text(encoding="utf-8") for name in _BEHIND}
    found = {name: publish.code_digest(source)[:16] for name, source in sources.items()}
    found["networks1d"] = networks1d._code_of(*networks1d._DECIDING)  # type: ignore[arg-type]
    return found | {"external": publish.code_digest(own)[:16]}


def _note(run: str, more: dict, clock: float) -> dict:
    carried = ("manifest.csv", "measurements.csv", "median_beats.npz", "signals.npz")
    carried = (*carried, "ludb_classes.csv", "ludb_measurements.csv")
    return {
        "run": run,
        "task": "external",
        "protocol": "fitted on EICP, tested on LUDB 1.0.1; nothing of LUDB is learned from",
        "preregistration_sha256": elsewhere.registered(),
        "command": f"python -m ecgbook.external {run.removeprefix('external-')}",
        **more,
        "deviations": DEVIATIONS,
        "code": code(run),
        "data": {name: data.digest(data.tables() / name)[1][:16] for name in carried}
        | {"ludb": data.LUDB_SHA256[:16]},
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": f"{networks.device()}, {platform.machine()}",
        "started": datetime.fromtimestamp(clock, UTC).isoformat(timespec="seconds"),
        "wall_s": round(time.time() - clock, 1),
        "peak_rss_mb": round(study._peak_mb()),
    }


def _write(folder: Path, tables: dict[str, pd.DataFrame], note: dict) -> Path:
    """Write the tables of a run, and its note last of all."""
    data.make_folder(folder)
    squeezed = {"method": "gzip", "mtime": 0}  # no time of writing inside
    for name, table in tables.items():
        path = folder / f"{name}.csv.gz"
        with data.writing(path) as part:
            table.to_csv(part, index=False, float_format="%.5f", lineterminator="\n", compression=squeezed)
        note[f"{name}_sha256"] = study._file_digest(path)
    write_whole(folder / "run.json", json.dumps(note, indent=1) + "\n")
    return folder


def store_bridge(results: Path = study.RESULTS) -> Path:
    """Make ``external-bridge``: the traces of all records compared, and what the gates said; needs LUDB, a minute."""
    clock, rows = time.time(), []
    for number, crossed in _crossed().items():
        rate = np.nan if crossed.read is None else measure.measure(crossed.read)["heart_rate"]
        verdict = crossed.verdict
        rows.append(
            (number, verdict.stage, "; ".join(verdict.reasons), verdict.distance, rate, _rates()[number])
        )
    columns = ["record", "stage", "reasons", "distance", "rate_read", "rate_drawn"]
    traces = pd.concat([crossed.traces for crossed in _crossed().values()])
    order = ["record", "trace", "correlation", "read", "errors_uv", "lost", "flags"]
    told = {
        "outputs": "a row a record and trace: correlation of what was read with what was drawn; share of samples "
        "read; error of the largest deflection of each QRS complex, microvolts; complexes not read; flags",
        "pages": "a row a record: the gate of ecgbook.trust that refuses its page, if any, and why; distance of "
        "the last gate; heart rate from the page and from the record",
    }
    tables = {"outputs": traces[order], "pages": pd.DataFrame(rows, columns=columns).round(3)}
    return _write(results / BRIDGE, tables, _note(BRIDGE, {"columns": told}, clock))


def abnormal_by() -> pd.DataFrame:
    """Say of each Abnormal record what makes it so: ``rhythm``, ``extrasystole``, ``conduction``; needs LUDB."""
    labels, found = elsewhere.classes(elsewhere.assigned()), elsewhere.diagnoses()
    rows = found.loc[labels.index[labels == "Abnormal"]]
    return pd.DataFrame(
        {
            "record": rows.index,
            "rhythm": [
                bool(set(row) - elsewhere._SINUS - {elsewhere._BRADYCARDIA}) for row in rows["Rhythms"]
            ],
            "extrasystole": [bool(row) for row in rows["Extrasystolies"]],
            "conduction": [
                any(not entry.startswith("Incomplete") for entry in row)
                for row in rows["Conduction abnormalities"]
            ],
        }
    )


def st_levels() -> pd.DataFrame:
    """Highest ST level of each record in any lead but aVR, mV, with the filter of the pages and without; needs LUDB."""
    ways = {"filtered": lambda number, record: record, "as_recorded": _as_recorded}
    found = {}
    for name, change in ways.items():
        table = measure.table(_of_ludb(change))[0].set_index("file")
        found[name] = models.summaries(table)["all_stj_mv_max"]
    return pd.DataFrame(found).rename_axis("record").reset_index()


def store_breakdown(results: Path = study.RESULTS, told: Callable[[str], None] = print) -> Path:
    """Make ``external-breakdown``; needs LUDB, a few minutes."""
    clock = time.time()
    outputs = break_down(told)
    quiet = noises()
    measured = {
        "amplitude_factor": round(amplitude(), 4),
        "noise_uv": {
            name: np.nanquantile(1000 * at, (0.25, 0.5, 0.75)).round(1).tolist() for name, at in quiet.items()
        },
        "no_quiet_stretch": {name: int(np.isnan(at).sum()) for name, at in quiet.items()},
        "columns": {
            "outputs": "condition, outer fold of the model asked or all, file or record, probabilities",
            "st": "highest ST level of a LUDB record in any lead but aVR, mV, with and without the pages' filter",
            "abnormal": "what makes a record of LUDB Abnormal by line 6: rhythm, extrasystole, conduction",
        },
    }
    tables = {"outputs": outputs, "abnormal": abnormal_by(), "st": st_levels()}
    return _write(results / BREAKDOWN, tables, _note(BREAKDOWN, measured, clock))


def _parts() -> Path:
    """Folder of the finished models."""
    key = hashlib.sha256(json.dumps(code(ZERO_SHOT), sort_keys=True).encode()).hexdigest()[:8]
    return publish.ROOT / ".cache" / f"{ZERO_SHOT}-{key}"


def _answer(run: str, path: Path) -> None:
    """Ask one model and keep what it says."""
    clock, spent = time.time(), time.process_time()
    answer = _maker(run)(run)
    rows = pd.DataFrame(answer.p, columns=PROBABILITIES)
    rows.insert(0, "record", list(ludb.RECORDS))
    note = {
        **answer.note,
        "wall_s": round(time.time() - clock, 1),
        "cpu_s": round(time.process_time() - spent, 1),
    }
    home = None if answer.home is None else answer.home.assign(model=run)
    kept = {"rows": rows.assign(model=run).to_csv(index=False, float_format="%.5f"), "note": note}
    kept["home"] = None if home is None else home.to_csv(index=False, float_format="%.5f")
    write_whole(path, json.dumps(kept, default=str))


def store_zero_shot(
    runs: Sequence[str] = (), results: Path = study.RESULTS, told: Callable[[str], None] = print
) -> Path:
    """Make ``external-zero-shot``, or add models to it.

    Parameters
    ----------
    runs : sequence of str
        Models to ask, of :func:`wanted`; by default all.
    results : pathlib.Path
        Folder of the results.
    told : function
        Called with the name of each model when it begins.

    Returns
    -------
    pathlib.Path
        The run's folder.

    Raises
    ------
    EcgbookError
        No such model, no LUDB, or no EICP where a network of pages is trained.
    """
    clock, parts = time.time(), _parts()
    data.make_folder(parts)
    for run in runs or wanted():
        models._known(run, wanted(), "model of the leaderboard")
        if not (parts / f"{run}.json").is_file():
            told(run)
            _answer(run, parts / f"{run}.json")
    return _join(parts, results, clock)


def _join(parts: Path, results: Path, clock: float) -> Path:
    """Join the models that are there; remove their parts when none is missing."""
    done = {run: parts / f"{run}.json" for run in wanted() if (parts / f"{run}.json").is_file()}
    kept = {run: json.loads(path.read_text(encoding="utf-8")) for run, path in done.items()}
    tables = {
        "predictions": [one["rows"] for one in kept.values()],
        "home": [one["home"] for one in kept.values()],
    }
    frames = {
        name: pd.concat([pd.read_csv(io.StringIO(text)) for text in texts if text])
        for name, texts in tables.items()
        if any(texts)
    }
    lead = {"predictions": ["model", "record"], "home": ["model", "shown", "file", "label"]}
    frames = {name: frame[[*lead[name], *PROBABILITIES]] for name, frame in frames.items()}
    missing = {run: f"python -m ecgbook.external zero-shot {run}" for run in wanted() if run not in done}
    more = {
        "models": {run: one["note"] for run, one in kept.items()},
        "left_out": LEFT_OUT,
        "not_run": missing,
        "columns": {
            "predictions": "a row a model and record of LUDB: four probabilities",
            "home": "networks of pages: the same for the test part of their own fold, as published and redrawn",
        },
    }
    folder = _write(results / ZERO_SHOT, frames, _note(ZERO_SHOT, more, clock) | {"wall_s": _spent(kept)})
    if not missing:
        shutil.rmtree(parts)
    return folder


def _spent(kept: dict[str, dict]) -> float:
    """Wall time of all models, one after the other."""
    return round(sum(one["note"]["wall_s"] for one in kept.values()), 1)


#: What could not be done as the pre-registration says, and why.
DEVIATIONS = [
    "Networks on pages: one fold model (fold 0 of grouped, trained anew by the same recipe and seed as far as the "
    "epoch with its lowest validation loss) instead of the mean of five, for their weights had not been kept and a "
    "fold takes a quarter of an hour of processor time. The hybrids on densenet121 take their features from that "
    "network; their classifiers are fitted on all 491 pages.",
    "Networks on signals: fitted on 413 of the 491 pages, for the validation part of fold 0 of grouped says which "
    "epoch is kept. Those of a half or a quarter learn from that share of the groups of these 413; trees of a half or "
    "a quarter from that share of all groups.",
    "Printed text: the drawn page prints the measured heart rate and no sex, date or batch, so these columns hold 0.",
    "EICP under LUDB's noise: noise inside the band of the filter, estimated from the silence between T and P waves; "
    "of what lies outside the band nothing is left on a page, so it is not added.",
    "LUDB as large as EICP: the text does not say whether by one factor or record by record; both are reported, the "
    "one factor first.",
]


# %% [markdown]
# ## Reading the runs
# What a model says becomes a frame that [](evaluate.py) scores, with records in the place of groups. Five readings of
# the diagnoses were registered beside the primary one; the last depends on the model.


# %%
def load(run: str, table: str = "outputs", results: Path = study.RESULTS) -> pd.DataFrame:
    """Load a table of one of the three runs, its digest checked.

    Parameters
    ----------
    run : str
        :data:`ZERO_SHOT` (tables "predictions" and "home"), :data:`BREAKDOWN` ("outputs") or :data:`BRIDGE`
        ("outputs" and "pages").
    table : str
    results : pathlib.Path

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    EcgbookError
        No such run or table, or one that was changed by hand.

    Examples
    --------
    >>> load(BRIDGE, "pages").shape[0]
    200
    """
    path, told = results / run / f"{table}.csv.gz", note(run, results)
    if not path.is_file() or study._file_digest(path) != told.get(f"{table}_sha256"):
        raise EcgbookError(f"{path}: is missing or was changed; make the run again with `{told['command']}`")
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def note(run: str, results: Path = study.RESULTS) -> dict:
    """Load how a run came about.

    Raises
    ------
    EcgbookError
        If there is no such run.
    """
    path = results / run / "run.json"
    if not path.is_file():
        raise EcgbookError(f"{path}: is not there; make it with `python -m ecgbook.external`")
    return json.loads(path.read_text(encoding="utf-8"))


def said(model: str = HEADLINE, results: Path = study.RESULTS) -> pd.DataFrame:
    """Load what a model says of LUDB: index ``record``, the four probabilities."""
    rows = load(ZERO_SHOT, "predictions", results)
    return rows[rows["model"] == model].set_index("record")[PROBABILITIES]


def judged(p: pd.DataFrame, labels: pd.Series) -> pd.DataFrame:
    """Set what a model says beside the classes, as :mod:`ecgbook.evaluate` wants it.

    Parameters
    ----------
    p : pandas.DataFrame
        Index: records; the four probabilities.
    labels : pandas.Series
        Class of each record that counts, as from :func:`ecgbook.elsewhere.classes`; others are left out.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`ecgbook.evaluate.COLUMNS`; the file is the record's number.

    Examples
    --------
    >>> p = pd.DataFrame([[0.7, 0.1, 0.1, 0.1]] * 2, index=[1, 2], columns=PROBABILITIES)
    >>> judged(p, pd.Series({2: "MI"}))[["file", "label"]].values.tolist()
    [['2', 'MI']]
    """
    rows = p.loc[labels.index, PROBABILITIES].reset_index(drop=True)
    told = {
        "file": labels.index.astype(str),
        "label": labels.to_numpy(),
        "repeat": 0,
        "fold": 0,
        "part": "test",
    }
    return rows.assign(**told)[evaluate.COLUMNS]


def units() -> pd.Series:
    """What the bootstrap draws: records, each a person."""
    names = [str(number) for number in ludb.RECORDS]
    return pd.Series(names, index=names)


EITHER = "undefined as MI or History_MI"


def readings(p: pd.DataFrame, table: pd.DataFrame) -> dict[str, pd.Series]:
    """All registered readings of the diagnoses: the primary one (named "") and five others.

    Parameters
    ----------
    p : pandas.DataFrame
        What the model says, for the last of them: an undefined record counts as MI if MI is called, else as History_MI,
        so that it is wrong only if neither is called.
    table : pandas.DataFrame
        As from :func:`ecgbook.elsewhere.assigned`.

    Returns
    -------
    dict
        Name -> classes of the records that count.
    """
    found = {name: elsewhere.classes(table, name) for name in ("", *elsewhere.VARIANTS)}
    called = p[PROBABILITIES].set_axis(CLASSES, axis=1).idxmax(axis=1)
    either = table.assign(assigned=table["assigned"].mask(table["assigned"] == "undefined", "History_MI"))
    either["assigned"] = either["assigned"].mask((table["assigned"] == "undefined") & (called == "MI"), "MI")
    return found | {EITHER: elsewhere.classes(either)}


def verdict(low: float, estimate: float, baselines: Sequence[float]) -> str:
    """Name the transfer as registered.

    Parameters
    ----------
    low, estimate : float
        Lower limit and estimate of the headline's macro-F1.
    baselines : sequence of float
        Estimates of the baselines.

    Returns
    -------
    str
        "good" if the limit lies above every baseline, "partial" if only the estimate does, otherwise "failed".

    Examples
    --------
    >>> verdict(0.4, 0.5, [0.1, 0.3]), verdict(0.2, 0.5, [0.1, 0.3]), verdict(0.2, 0.3, [0.1, 0.3])
    ('good', 'partial', 'failed')
    """
    return "good" if low > max(baselines) else "partial" if estimate > max(baselines) else "failed"


def covered(table: pd.DataFrame, rates: pd.Series) -> pd.Series:
    """Keep the records whose heart rate lies within what the pages of their class show.

    Parameters
    ----------
    table : pandas.DataFrame
        As from :func:`ecgbook.elsewhere.assigned`.
    rates : pandas.Series
        Measured heart rate of each record, per minute.

    Returns
    -------
    pandas.Series
        Classes of the records kept.
    """
    pages = data.pages()
    own = (
        measure.measurements()
        .set_index("file")
        .loc[pages["file"], "heart_rate"]
        .groupby(pages["label"].to_numpy())
    )
    labels = elsewhere.classes(table)
    inside = rates[labels.index].between(labels.map(own.min()), labels.map(own.max()))
    return labels[inside]


def out_of_fold(results: Path = study.RESULTS) -> pd.DataFrame:
    """What the five fold models said, in the form that :func:`ecgbook.trust.cross_conformal` takes.

    The pages that each model did not learn from calibrate ("cal"), LUDB's records are tested by all five ("test").
    Their label is set to Normal where they have none; only the p-values of such rows mean anything.
    """
    rows, pages = load(BREAKDOWN, results=results), data.pages().set_index("file")
    home = rows[rows["condition"] == "EICP"].assign(part="cal")
    away = rows[rows["condition"] == "LUDB by fold"].assign(part="test")
    labels = elsewhere.classes(elsewhere.assigned())
    home["label"], home["group"] = pages.loc[home["name"], ["label", "group"]].to_numpy().T
    away["label"] = away["name"].astype(int).map(labels).fillna("Normal")
    away["group"] = away["name"]
    both = pd.concat([home, away]).assign(repeat=0, inner=lambda frame: frame["fold"].astype(int))
    return both.assign(fold=0).rename(columns={"name": "file"}).reset_index(drop=True)


def main(arguments: Sequence[str]) -> int:
    """Make the three runs, or the one that is named: ``bridge``, ``breakdown``, or ``zero-shot`` and some models."""
    parts, told = (
        {"bridge": store_bridge, "breakdown": store_breakdown},
        lambda line: print(line, file=sys.stderr),
    )
    try:
        if arguments and arguments[0] in parts:
            print(parts[arguments[0]]())
        elif arguments:
            models._known(arguments[0], ("zero-shot", *parts), "part")
            print(store_zero_shot(arguments[1:], told=told))
        else:
            print(store_bridge(), store_breakdown(), store_zero_shot(told=told), sep="\n")
    except EcgbookError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    from ecgbook import external  # under its package name, as everywhere else

    sys.exit(external.main(sys.argv[1:]))
