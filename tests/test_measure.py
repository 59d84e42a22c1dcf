"""Beats, boundaries and measurements: known truth, invariance, missing values, and cardiologists' marks."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbook import beats, data, ludb, measure, synth
from ecgbook.synth import LEADS, Record, record, twelve_leads, window

CASES = [(label, seed) for label in data.CLASSES for seed in range(6)]


def _page(label: str, seed: int, noise: float = 1.0) -> Record:
    return window(record(label, seed, noise))


def _seeds(finding: str, count: int) -> list[int]:
    """Seeds of abnormal records with just this finding."""
    return [s for s in range(60) if record("Abnormal", s, 0.0).truth["findings"] == (finding,)][:count]


def _measured(ecg: Record, key: str) -> np.ndarray:
    row = measure.measure(ecg)
    return np.array([row[f"{lead}_{key}"] for lead in LEADS])


def _ideal(t_height: float = 0.3, q: float = 0.0, st_level: float = 0.0) -> Record:
    """Triangular waves at exactly known places, the same in all leads, 60 beats a minute, no filter."""
    time = np.arange(2500) / 250
    beat = lambda centre, half, height: height * np.clip(1 - np.abs((time % 1.0) - centre) / half, 0, None)  # noqa: E731
    wave = beat(0.34, 0.05, 0.15) + beat(0.50, 0.045, 1.0) + beat(0.80, 0.08, t_height) - beat(0.44, 0.02, q)
    phase = time % 1.0
    wave += st_level * ((phase > 0.545) & (phase < 0.72))
    return Record(np.tile(wave, (12, 1)).astype(np.float32), 250, "II", 60, "Male", "", {})


class TestBeats:
    @pytest.mark.parametrize(("label", "seed"), CASES)
    def test_every_beat_of_a_page_is_found_and_no_other(self, label: str, seed: int):
        ecg = _page(label, seed)
        marks = beats.find_beats(ecg.leads, ecg.fs) / ecg.fs
        truth = ecg.truth["r_times"]
        inner = truth[(truth > 0.15) & (truth < 9.85)]
        pairs = ludb.match(inner, marks, 0.1)
        assert len(pairs) == len(inner)
        assert ((marks > 0.15) & (marks < 9.85)).sum() <= len(inner) + 1  # a beat may stand on the border
        every = ludb.match(truth, marks, 0.1)
        extra = np.delete(marks, every[:, 1])
        assert ((extra < 0.15) | (extra > 9.85)).all()

    def test_marks_have_one_phase_in_all_columns(self):
        for seed in range(5):
            ecg = _page("Normal", seed)
            marks = beats.find_beats(ecg.leads, ecg.fs) / ecg.fs
            pairs = ludb.match(ecg.truth["r_times"], marks, 0.1)
            assert np.std(marks[pairs[:, 1]] - ecg.truth["r_times"][pairs[:, 0]]) < 0.012

    def test_ventricular_beats_have_another_shape(self):
        for seed in _seeds("PVC", 4):
            ecg = _page("Abnormal", seed)
            marks = beats.find_beats(ecg.leads, ecg.fs)
            kinds = beats.kinds_of_beats(ecg.leads, marks, ecg.fs)
            pairs = ludb.match(ecg.truth["r_times"], marks / ecg.fs, 0.1)
            ventricular = np.array([kind == "ventricular" for kind in ecg.truth["kinds"]])[pairs[:, 0]]
            other = kinds[pairs[:, 1]] > 0
            assert (other == ventricular).mean() >= 0.9
            assert other[ventricular].all()

    def test_a_tall_t_wave_is_no_beat(self):
        ecg = _ideal(t_height=1.2)
        assert len(beats.find_beats(ecg.leads, ecg.fs)) == 10

    @pytest.mark.parametrize("leads", [np.full((12, 2500), np.nan), np.zeros((12, 2500)), np.zeros((12, 0))])
    def test_nothing_gives_no_beats(self, leads: np.ndarray):
        assert beats.find_beats(leads, 250).size == 0

    def test_the_median_beat_removes_what_does_not_repeat(self):
        ecg = _ideal()
        spoilt = ecg.leads.copy()
        spoilt[3, 1000:1100] += 5.0  # in one beat of ten
        marks = np.arange(125, 2500, 250)
        clean = beats.median_beat(ecg.leads, marks, marks > 0, 250)
        np.testing.assert_allclose(beats.median_beat(spoilt, marks, marks > 0, 250)[3], clean[3], atol=1e-6)

    def test_a_gap_is_never_reached_across(self):
        ecg = _ideal()
        leads = ecg.leads.astype(float)
        leads[:, 600:700] = np.nan
        before = beats.gaussian_derivative(leads, 250, 0.01)
        leads[:, 700:] += 100
        after = beats.gaussian_derivative(leads, 250, 0.01)
        assert np.isnan(before[:, 600:700]).all()
        np.testing.assert_allclose(after, before, atol=1e-6)


class TestBoundaries:
    def test_known_edges(self):
        found = beats.delineate(_ideal().leads, 250)
        one = found[(found["lead"] == 1) & (found["beat"] == 4)].set_index("wave")
        truth = {"P": (4.29, 4.39), "QRS": (4.455, 4.545), "T": (4.72, 4.88)}
        for wave, (onset, offset) in truth.items():
            assert abs(one.loc[wave, "onset"] - onset) < 0.020
            assert abs(one.loc[wave, "offset"] - offset) < 0.020

    @pytest.mark.parametrize("seed", range(4))
    def test_order(self, seed: int):
        together = measure.landmarks(_page("Normal", seed)).waves.together
        assert (np.diff(together.ravel()) > 0).all()

    def test_fibrillation_has_no_p_wave_and_sinus_rhythm_has(self):
        for seed in _seeds("atrial fibrillation", 5):
            row = measure.measure(_page("Abnormal", seed))
            assert row["p_seen"] == 0 and np.isnan(row["pr_ms"]) and np.isnan(row["II_p_mv"])
        assert all(measure.measure(_page("Normal", seed))["p_seen"] == 1 for seed in range(5))

    def test_twice_the_sampling_rate_gives_the_same(self):
        ecg = record("Normal", 2, noise=0)
        fine = np.apply_along_axis(lambda x: np.interp(np.arange(4999) / 2, np.arange(2500), x), 1, ecg.leads)
        slow, fast = measure.measure(ecg), measure.measure(ecg._replace(leads=fine, fs=500))
        for key in ("heart_rate", "pr_ms", "qrs_ms", "qt_ms"):
            assert abs(slow[key] - fast[key]) < 6, key


class TestMeasurements:
    def test_columns(self):
        row = measure.measure(_page("Normal", 0))
        assert list(row) == list(measure.COLUMNS)
        assert all(type(value) is float for value in row.values())
        assert all(unit is not None and meaning for unit, meaning in measure.COLUMNS.values())

    @pytest.mark.parametrize(("label", "seed"), CASES)
    def test_heart_rate(self, label: str, seed: int):
        ecg = _page(label, seed)
        if "PVC" not in ecg.truth["findings"]:
            assert abs(measure.measure(ecg)["heart_rate"] - 60 / np.mean(np.diff(ecg.truth["r_times"]))) < 1

    def test_amplitudes_meet_the_truth(self):
        pages = [_page("Normal", seed) for seed in range(6)]
        limits = (("r_mv", "r", 0.08), ("q_mv", "q", 0.05), ("st60_mv", "st", 0.08), ("t_mv", "t", 0.08))
        for key, true, tolerance in limits:
            error = np.concatenate([_measured(ecg, key) - ecg.truth[true] for ecg in pages])
            assert abs(np.median(error)) < tolerance / 4, key
            assert np.quantile(np.abs(error), 0.9) < tolerance, key

    def test_st_shift_is_measured(self):
        ecg = record("Normal", 3)
        raised = window(synth.st_shift(ecg, 1.5, ["V3"]))
        change = _measured(raised, "st40_mv") - _measured(window(ecg), "st40_mv")
        assert change[LEADS.index("V3")] == pytest.approx(0.15, abs=0.02)
        assert np.abs(np.delete(change, LEADS.index("V3"))).max() < 0.02

    def test_st_elevation_names_its_wall(self):
        named = []
        for seed in range(12):
            ecg = _page("MI", seed)
            row = measure.measure(ecg)
            facing = synth.TERRITORIES[ecg.truth["territory"]].facing
            walls = {
                wall
                for wall, pairs in measure.TERRITORIES.items()
                if any(set(p) <= set(facing) for p in pairs)
            }
            named.append(any(row[f"st_up_{wall}"] == 1 for wall in walls))
        assert np.mean(named) >= 0.9  # a hyperacute ST may start low at the J point and rise after it

    def test_scars_show_q_waves_and_health_does_not(self):
        q = [
            max(measure.measure(_page("History_MI", s))[f"q_{w}"] for w in measure.TERRITORIES)
            for s in range(12)
        ]
        healthy = [
            max(measure.measure(_page("Normal", s))[f"q_{w}"] for w in measure.TERRITORIES) for s in range(12)
        ]
        assert np.mean(q) >= 0.9 and np.mean(healthy) <= 0.1

    def test_block_widens_the_qrs(self):
        narrow = [measure.measure(_page("Normal", seed))["qrs_ms"] for seed in range(6)]
        wide = [
            measure.measure(_page("Abnormal", s))["qrs_ms"] for f in ("LBBB", "RBBB") for s in _seeds(f, 2)
        ]
        assert max(narrow) < 120 < min(wide)

    def test_fibrillation_is_irregular(self):
        sinus = [measure.measure(_page("Normal", seed))["rr_irregularity"] for seed in range(6)]
        seeds = _seeds("atrial fibrillation", 5)
        fibrillation = [measure.measure(_page("Abnormal", seed))["rr_irregularity"] for seed in seeds]
        assert max(sinus) < 0.08 < min(fibrillation)

    def test_premature_beats_are_counted(self):
        seed = _seeds("PVC", 1)[0]
        ecg = _page("Abnormal", seed)
        true = sum(kind == "ventricular" for kind in ecg.truth["kinds"])
        assert abs(measure.measure(ecg)["ectopic"] - true) <= 1

    @settings(max_examples=30, deadline=None)
    @given(st.floats(-179, 179), st.floats(0.1, 3.0))
    def test_axis(self, degrees: float, size: float):
        x, y = size * np.cos(np.radians(degrees)), size * np.sin(np.radians(degrees))
        lead_one, lead_two = x, 0.5 * x + np.sqrt(3) / 2 * y
        limb = twelve_leads(np.array([[lead_one], [lead_two], *[[0.0]] * 6]))[:6, 0]
        assert measure.axis(limb) == pytest.approx(degrees, abs=1e-6)
        limb[[1, 3, 4]] = np.nan
        assert measure.axis(limb) == pytest.approx(degrees, abs=1e-6)

    def test_axis_of_too_little(self):
        assert np.isnan(measure.axis(np.array([1.0, *[np.nan] * 5])))
        assert np.isnan(measure.axis(np.zeros(6)))

    def test_qtc_formulas(self):
        row = measure.measure(_page("Abnormal", _seeds("sinus tachycardia", 1)[0]))
        rr = row["rr_ms"] / 1000
        assert row["qtc_bazett_ms"] == pytest.approx(row["qt_ms"] / rr**0.5)
        assert row["qtc_fridericia_ms"] == pytest.approx(row["qt_ms"] / rr ** (1 / 3))
        assert row["qtc_bazett_ms"] > row["qtc_fridericia_ms"] > row["qt_ms"]

    def test_sex_moves_the_limit_of_v2_and_v3_only(self):
        per_lead = pd.DataFrame(0.0, index=list(LEADS), columns=list(measure._OF_LEAD))
        per_lead["r_mv"] = 0.5
        per_lead.loc[["V2", "V3"], "stj_mv"] = 0.175
        per_lead.loc[["II", "aVF"], "stj_mv"] = 0.12
        found = {sex: measure._criteria(per_lead, sex) for sex in ("Male", "", "Female")}
        assert [found[sex]["st_up_anterior"] for sex in found] == [0, 0, 1]
        assert [found[sex]["st_up_inferior"] for sex in found] == [1, 1, 1]
        assert [found[sex]["st_up_lateral"] for sex in found] == [0, 0, 0]

    def test_q_waves_need_two_neighbours_except_in_v2_and_v3(self):
        per_lead = pd.DataFrame(0.0, index=list(LEADS), columns=list(measure._OF_LEAD))
        per_lead["r_mv"] = 0.5
        alone, pair, septal = per_lead.copy(), per_lead.copy(), per_lead.copy()
        alone.loc["III", ["q_mv", "q_ms"]] = 0.3, 45
        pair.loc[["III", "aVF"], ["q_mv", "q_ms"]] = 0.3, 45
        septal.loc["V3", ["q_mv", "q_ms"]] = 0.1, 25
        q = [
            [measure._criteria(case, "")[f"q_{w}"] for w in measure.TERRITORIES]
            for case in (alone, pair, septal)
        ]
        assert q == [[0, 0, 0], [0, 0, 1], [1, 0, 0]]


class TestInvariance:
    @pytest.mark.parametrize("factor", [0.5, 2.0])
    def test_voltage(self, factor: float):
        ecg = record("Normal", 1, noise=0)
        plain, scaled = measure.measure(ecg), measure.measure(ecg._replace(leads=factor * ecg.leads))
        for key, (unit, _) in measure.COLUMNS.items():
            if unit in ("ms", "degree", "1/min") and not key.endswith(("q_ms", "r_ms", "s_ms")):
                assert scaled[key] == pytest.approx(plain[key], abs=1e-3), key
        for lead in LEADS:
            for key in ("t_mv", "st60_mv", "p_mv"):
                assert scaled[f"{lead}_{key}"] == pytest.approx(factor * plain[f"{lead}_{key}"], abs=1e-4)

    def test_baseline(self):
        ecg = _page("Normal", 4)
        plain, lifted = measure.measure(ecg), measure.measure(ecg._replace(leads=ecg.leads + np.float32(0.5)))
        for key in measure.COLUMNS:
            assert lifted[key] == pytest.approx(plain[key], rel=1e-3, abs=1e-2, nan_ok=True), key

    @settings(max_examples=5, deadline=None)
    @given(st.integers(1, 60))
    def test_time(self, shift: int):
        ecg = record("Normal", 5, noise=0)
        plain = beats.find_beats(ecg.leads[:, :-shift], 250)
        later = beats.find_beats(ecg.leads[:, shift:], 250) + shift
        inner = plain[(plain > shift + 50) & (plain < 2400 - shift)]
        assert np.abs(inner[:, None] - later[None]).min(axis=1).max() <= 1

    def test_lead_laws(self):
        ecg = record("Normal", 6, noise=0)
        row = measure.measure(ecg)
        area = {lead: row[f"{lead}_qrs_area"] for lead in LEADS[:6]}
        size = max(abs(value) for value in area.values())
        assert abs(area["II"] - area["I"] - area["III"]) < 0.1 * size
        assert abs(area["aVR"] + area["aVL"] + area["aVF"]) < 0.1 * size


class TestMissing:
    def test_a_missing_lead_is_nan_and_the_others_stay(self):
        ecg = _page("Normal", 7)
        leads = ecg.leads.copy()
        leads[LEADS.index("V2")] = np.nan
        row, whole = measure.measure(ecg._replace(leads=leads)), measure.measure(ecg)
        assert all(np.isnan(row[f"V2_{key}"]) for key in ("r_mv", "stj_mv", "t_mv", "q_ms"))
        assert row["V5_r_mv"] == pytest.approx(whole["V5_r_mv"], abs=0.02)
        assert np.isnan(row["transition"]) and not np.isnan(row["sokolow_lyon_mv"])

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize("known", [0, 3, 1300])
    def test_almost_nothing(self, known: int):
        ecg = _page("Normal", 8)
        leads = ecg.leads.copy()
        leads[:, known:] = np.nan
        row = measure.measure(ecg._replace(leads=leads))
        assert list(row) == list(measure.COLUMNS)
        if known < 100:
            assert row["beats"] == 0 and np.isnan(row["heart_rate"]) and np.isnan(row["V1_r_mv"])
        else:
            assert row["beats"] >= 3 and np.isnan(row["V5_r_mv"]) and not np.isnan(row["I_r_mv"])

    def test_noise_alone_raises_nothing(self):
        noise = np.random.default_rng(0).normal(0, 0.05, (12, 2500)).astype(np.float32)
        assert list(measure.measure(Record(noise, 250, "II", 0, "", "", {}))) == list(measure.COLUMNS)


class TestTables:
    def test_written_and_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        frame, kept = measure.table((f"{label}", _page(label, 0)) for label in data.CLASSES)
        measure.write(frame, kept, tmp_path)
        monkeypatch.setattr(measure, "tables", lambda: tmp_path)
        measure._measurements.cache_clear()
        try:
            pd.testing.assert_frame_equal(measure.measurements(), frame)
            files, read = measure.median_beats()
        finally:
            measure._measurements.cache_clear()
        assert files == frame["file"].tolist()
        np.testing.assert_allclose(read, kept, atol=0.00051)

    def test_carried(self):
        frame = measure.measurements()
        files, kept = measure.median_beats()
        assert frame["file"].tolist() == data.pages()["file"].tolist() == files
        assert kept.shape == (491, 12, 226)
        printed = data.pages()["heart_rate"].to_numpy(float)
        assert np.mean(np.abs(frame["heart_rate"] - printed) <= 3) >= 0.95
        assert frame["qrs_ms"].between(50, 250).mean() > 0.98

    def test_carried_is_what_the_signals_give(self):
        frame = measure.measurements().set_index("file")
        names = frame.index[::100]
        again, _ = measure.table((n, r) for n, r in measure._carried_records() if n in set(names))
        pd.testing.assert_frame_equal(again.set_index("file"), frame.loc[names], atol=0.0021, rtol=0)


@pytest.fixture
def marked() -> Path:
    folder = Path(os.environ.get("ECGBOOK_DATA") or "data") / "ludb"
    if not folder.is_dir():
        pytest.skip(f"no LUDB: {folder} is absent (set ECGBOOK_DATA to the folder that holds ludb/)")
    return folder


class TestLudb:
    def test_matching_is_one_to_one_and_nearest_first(self):
        pairs = ludb.match(np.array([0.0, 0.1]), np.array([0.09, 0.11, 5.0]), 0.15)
        assert pairs.tolist() == [[0, 0], [1, 1]] or pairs.tolist() == [[0, 1], [1, 0]]
        assert ludb.match(np.zeros(0), np.ones(3)).shape == (0, 2)

    def test_misses_and_false_reports_cost(self):
        errors, marked, reported = ludb.score(
            np.array([1.0, 2.0, 3.0]), np.array([1.01, 2.5, np.nan, 9.0]), (0.5, 3.5)
        )
        assert errors.round(6).tolist() == [10.0] and (marked, reported) == (3, 2)
        outputs = pd.DataFrame(
            [("m", 1, "P", "onset", 3, 2, "10")],
            columns=["method", "record", "wave", "edge", "marked", "reported", "errors_ms"],
        )
        row = ludb.summary(outputs).iloc[0]
        assert (row["median_ms"], row["with_misses_ms"], row["ppv"]) == (10, 150, 0.5)
        assert row["sensitivity"] == pytest.approx(1 / 3)

    def test_marks_format(self):
        words = [(39 << 10) + 100, (1 << 10) + 10, (59 << 10), 0, 2000, (40 << 10) + 5, 0]
        raw = np.array(words, "<u2").tobytes()
        assert list(ludb._marks(raw)) == [(100, 39), (110, 1), (2115, 40)]

    def test_absent(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("ECGBOOK_DATA", str(tmp_path))
        with pytest.raises(data.EcgbookError, match="fetch ludb"):
            ludb.read(1)

    def test_reads_as_wfdb_does(self, marked: Path):
        wfdb = pytest.importorskip("wfdb")
        theirs = wfdb.rdann(str(marked / "data" / "7"), "v2")
        ours = ludb.annotated(7, "V2")
        peaks = [s / 500 for s, kind in zip(theirs.sample, theirs.symbol, strict=True) if kind in "pNt"]
        assert ours["peak"].tolist() == peaks

    def test_limb_leads_obey_einthoven(self, marked: Path):
        for number in (2, 77, 200):
            signals = ludb.read(number)
            assert (
                np.abs(signals[1] - signals[0] - signals[2]).max() < 1.6 * ludb.UNIT
            )  # of three rounded numbers

    def test_boundaries_near_the_cardiologists(self, marked: Path):
        parts = [ludb.score_record(n, "ecgbook", ludb.ours(n)) for n in (11, 41, 81, 121)]
        table = ludb.summary(pd.concat(parts)).set_index(["wave", "edge"])
        limits = {"P": 12, "QRS": 12, "T": 30}
        for (wave, edge), row in table.iterrows():
            assert row["with_misses_ms"] <= limits[wave], (wave, edge)
            assert row["sensitivity"] > 0.95, (wave, edge)
