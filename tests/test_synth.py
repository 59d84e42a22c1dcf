"""Synthetic records: the lead laws, the seeds, and each class measured against its own criteria."""

from functools import cache
from time import process_time

import numpy as np
import pytest
from scipy.signal import welch

from ecgbook import synth
from ecgbook.data import CLASSES
from ecgbook.synth import LEADS, TERRITORIES

SEEDS = range(12)


def row(lead):
    return LEADS.index(lead)


def main_beats(record):
    """R times of the prevailing kind of beat."""
    kinds = np.array(record.truth["kinds"])
    return record.truth["r_times"][kinds == ("fibrillation" if "fibrillation" in kinds else "sinus")]


def around(record, times, before, after):
    """Median of the leads around some times; written apart from the module's own measurement."""
    offsets = np.arange(round(-before * record.fs), round(after * record.fs))
    centres = np.round(times * record.fs).astype(int)
    centres = centres[(centres + offsets[0] >= 0) & (centres + offsets[-1] < record.leads.shape[1])]
    return np.median(record.leads[:, centres[:, None] + offsets], axis=1), offsets / record.fs


def level(record, at):
    """Level of each lead at a time after R, against the flat piece before the QRS; (12,) mV."""
    beat, time = around(record, main_beats(record), 0.12, 0.45)
    start = record.truth["qrs"][0]
    flat = beat[:, (time >= start - 0.028) & (time <= start - 0.010)].mean(axis=1)
    return beat[:, np.argmin(np.abs(time - at))] - flat


def qrs_width(record, times):
    """Time during which some lead is steep (ms)."""
    beat, _ = around(record, times, 0.10, 0.14)
    steep = np.abs(np.diff(beat, axis=1)).max(axis=0) * record.fs
    fast = np.flatnonzero(steep > max(4.0, 0.12 * steep.max()))
    return 1000 * (fast[-1] - fast[0] + 1) / record.fs


@cache
def all_abnormal():
    return [synth.record("Abnormal", seed, noise=0) for seed in range(80)]


def abnormal(finding, n=4):
    """Noise-free abnormal records whose first finding is the given one."""
    return [record for record in all_abnormal() if record.truth["findings"][0] == finding][:n]


@pytest.mark.parametrize("label", CLASSES)
def test_lead_laws_hold_with_noise_and_after_the_filter(label):
    for seed in SEEDS:
        i, ii, iii, avr, avl, avf = synth.record(label, seed).leads[:6].astype(float)
        assert np.abs(ii - i - iii).max() < 1e-6
        assert np.abs(avr + (i + ii) / 2).max() < 1e-6
        assert np.abs(avl - (i - ii / 2)).max() < 1e-6
        assert np.abs(avf - (ii - i / 2)).max() < 1e-6


@pytest.mark.parametrize("label", CLASSES)
def test_a_record_is_what_it_says(label):
    record = synth.record(label, 5)
    assert record.leads.shape == (12, 2500) and record.leads.dtype == np.float32 and record.fs == 250
    assert np.isfinite(record.leads).all() and np.abs(record.leads).max() < 6
    assert record.label == label and record.rhythm in ("II", "III") and record.sex in ("Male", "Female")
    assert len(record.truth["kinds"]) == len(record.truth["r_times"])
    assert record.truth["r_times"][0] >= 0 and record.truth["r_times"][-1] < 10
    assert (np.diff(record.truth["r_times"]) > 0.25).all()


@pytest.mark.parametrize("label", CLASSES)
def test_same_seed_same_record(label):
    first, again, other = (synth.record(label, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.leads, again.leads) and first.heart_rate == again.heart_rate
    assert not np.array_equal(first.leads, other.leads)


def test_classes_do_not_share_their_random_numbers():
    a, b = synth.record("MI", 1), synth.record("Normal", 1)
    assert not np.allclose(a.truth["r_times"][:5], b.truth["r_times"][:5])


def test_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="unknown class 'STEMI'"):
        synth.record("STEMI", 0)


def test_noise_is_apart_from_the_heart():
    clean, noisy, loud = (synth.record("MI", 2, noise=noise) for noise in (0, 1, 2))
    for key, value in clean.truth.items():
        assert np.array_equal(value, noisy.truth[key])
    one, two = noisy.leads - clean.leads, loud.leads - clean.leads
    assert 0.002 < one.std() < 0.1
    assert np.allclose(two, 2 * one, atol=1e-5)


@pytest.mark.parametrize("label", CLASSES)
def test_the_printed_rate_is_that_of_the_beats(label):
    for seed in SEEDS:
        record = synth.record(label, seed)
        assert abs(record.heart_rate - 60 / np.diff(record.truth["r_times"]).mean()) <= 0.5


@pytest.mark.parametrize("label", ["Normal", "MI"])
def test_r_times_are_where_the_qrs_is(label):
    for seed in SEEDS:
        record = synth.record(label, seed, noise=0)
        speed = np.abs(np.gradient(record.leads, axis=1)).sum(axis=0)
        for r in record.truth["r_times"]:
            centre = round(r * 250)
            if 60 < centre < 2440:
                near = speed[centre - 60 : centre + 60]
                near = np.where(near > 0.5 * near.max(), near, 0)
                middle = (near * np.arange(-60, 60)).sum() / near.sum()
                assert abs(middle) <= 9  # samples: within 36 ms


def test_the_filter_is_three_decibels_down_at_both_printed_frequencies():
    time = np.arange(60 * 250) / 250
    for frequency in (0.67, 25):
        wave = np.sin(2 * np.pi * frequency * time)
        out = synth.page_filter(wave)
        assert out[5000:10000] @ wave[5000:10000] == pytest.approx(
            np.sqrt(0.5) * wave[5000:10000] @ wave[5000:10000], rel=0.003
        )
    for frequency, limit in ((0.1, 0.06), (50, 0.10), (60, 0.05)):
        out = synth.page_filter(np.sin(2 * np.pi * frequency * time))[5000:10000]
        assert np.sqrt(2) * out.std() < limit


def test_the_filter_delays_nothing():
    pulse = np.exp(-0.5 * ((np.arange(2501) - 1250) / 5) ** 2)
    out = synth.page_filter(pulse)
    assert np.argmax(out) == 1250
    assert np.allclose(out, out[::-1], atol=1e-6)


@pytest.mark.parametrize("label", CLASSES)
def test_spectrum_lies_inside_the_printed_band(label):
    for seed in (0, 1, 2):
        frequency, power = welch(synth.record(label, seed).leads, 250, nperseg=1250)
        total = power.sum(axis=1)
        assert (power[:, frequency > 35].sum(axis=1) < 0.02 * total).all()
        assert (power[:, frequency > 60].sum(axis=1) < 2e-4 * total).all()
        assert np.median(power[:, frequency < 0.35].sum(axis=1) / total) < 0.04


@pytest.mark.parametrize("seed", SEEDS)
def test_infarction_lifts_st_over_its_wall_and_lowers_it_opposite(seed):
    record = synth.record("MI", seed, noise=0)
    wall = TERRITORIES[record.truth["territory"]]
    st = level(record, record.truth["qrs"][1] + 0.060)
    assert min(st[row(lead)] for lead in wall.facing) >= 0.09  # 0.1 mV, read on another grid of samples
    assert max(st[row(lead)] for lead in wall.opposite) < -0.03


@pytest.mark.parametrize("seed", SEEDS)
def test_an_old_infarct_leaves_q_waves_and_inverted_t_but_no_st_shift(seed):
    record = synth.record("History_MI", seed, noise=0)
    wall = TERRITORIES[record.truth["territory"]]
    start, end = record.truth["qrs"]
    beat, time = around(record, main_beats(record), 0.12, 0.45)
    beat = beat - beat[:, (time >= start - 0.028) & (time <= start - 0.010)].mean(axis=1, keepdims=True)
    inside = (time >= start - 0.012) & (time < end)
    scarred = 0
    for lead in wall.facing:
        qrs = beat[row(lead), inside]
        r = max(qrs.max(), 0)
        until = np.argmax(qrs) + 1 if r > 0.08 else qrs.size
        q = qrs[:until]
        t = beat[row(lead), (time > end + 0.1) & (time < 0.36)].min()
        scarred += (q < -0.025).sum() * 4 >= 36 and -q.min() >= 0.24 * r and t < -0.09
    assert scarred >= 2
    assert np.abs(level(record, end + 0.060)).max() < 0.16


@pytest.mark.parametrize("seed", SEEDS)
def test_normal_is_inside_normal_limits(seed):
    record = synth.record("Normal", seed, noise=0)
    assert 55 <= record.heart_rate <= 90
    assert np.diff(record.truth["r_times"]).std() / np.diff(record.truth["r_times"]).mean() < 0.06
    st = level(record, record.truth["qrs"][1] + 0.060)
    assert np.abs(np.delete(st, [row("V2"), row("V3")])).max() < 0.1 and np.abs(st).max() < 0.2
    beat, time = around(record, main_beats(record), 0.06, 0.06)
    height, depth = beat.max(axis=1), -beat.min(axis=1)
    assert height[row("V1")] < depth[row("V1")] and height[row("V5")] > depth[row("V5")]  # rS to qR
    assert height[row("V1")] < height[row("V3")] < 1.5 * height[row("V4")]
    area = beat.sum(axis=1)
    axis = np.degrees(np.arctan2(area[row("aVF")] * 2 / np.sqrt(3), area[row("I")]))
    assert -45 < axis < 100
    assert qrs_width(record, main_beats(record)) <= 108
    for lead in ("I", "II", "V4", "V5", "V6"):
        beat, time = around(record, main_beats(record), 0.05, 0.45)
        t = beat[row(lead), (time > 0.15) & (time < 0.38)].max() - beat[row(lead), time > 0.4].mean()
        assert t > 0.05


def test_normal_hearts_differ():
    facts = np.array([synth.record("Normal", seed).truth["r"] for seed in range(30)])
    assert (facts.std(axis=0) > 0.03).all() and (facts.std(axis=0)[[0, 1, 7, 8, 9, 10, 11]] > 0.06).all()


def p_wave(record, times):
    """Height of the median P wave in II (mV)."""
    beat, time = around(record, times, 0.26, 0)
    p = beat[row("II"), (time > -0.24) & (time < -0.09)]
    return p.max() - np.median(beat[row("II"), (time > -0.09) & (time < -0.06)])


def test_fibrillation_is_irregular_and_has_no_p():
    records = abnormal("atrial fibrillation")
    assert len(records) == 4
    for record in records:
        rr = np.diff(record.truth["r_times"])
        assert rr.std() / rr.mean() > 0.09
        swing = np.abs(np.diff(rr)) / rr.mean()  # no smooth breathing: neighbours differ
        assert np.median(swing) > 0.05
        assert not set(record.truth["kinds"]) - {"fibrillation"}
    with_p = [p_wave(r, main_beats(r)) for r in (synth.record("Normal", s, noise=0) for s in SEEDS)]
    without = [p_wave(r, main_beats(r)) for r in abnormal("atrial fibrillation", 12) if r.heart_rate < 105]
    assert min(with_p) > 0.03
    assert np.median(without) < 0.5 * np.median(with_p)


def test_block_makes_the_qrs_wide():
    for finding in ("LBBB", "RBBB"):
        records = abnormal(finding)
        assert len(records) == 4
        for record in records:
            assert qrs_width(record, main_beats(record)) > 120
            beat, time = around(record, main_beats(record), 0.1, 0.13)
            late = beat[:, (time > 0.03) & (time < 0.09)]
            if finding == "RBBB":  # R' in V1, broad S in V6
                assert late[row("V1")].max() > 0.2 and late[row("V6")].min() < -0.1
            else:  # deep V1, no q and a broad R in V6
                assert beat[row("V1")].min() < -0.4 and late[row("V6")].max() > 0.25
                q = beat[row("V6"), time < 0].min() - beat[row("V6"), time < -0.08].mean()
                assert q > -0.05


def test_sinus_tachycardia_is_fast_and_regular():
    for record in abnormal("sinus tachycardia"):
        assert record.heart_rate > 100
        rr = np.diff(record.truth["r_times"])
        assert rr.std() / rr.mean() < 0.05


def test_premature_beats_are_early_and_a_pause_follows():
    for finding, kind in (("PVC", "ventricular"), ("PAC", "atrial")):
        for record in abnormal(finding):
            times, kinds = record.truth["r_times"], record.truth["kinds"]
            usual = np.median(np.diff(times)[np.array(kinds[1:]) == "sinus"])
            early = [i for i, k in enumerate(kinds) if k == kind and 0 < i < len(kinds) - 1]
            assert early
            sinus = [i for i in early if kinds[i - 1] == kinds[i + 1] == "sinus"]
            for i in sinus:
                assert times[i] - times[i - 1] < 0.9 * usual
                around_it = times[i + 1] - times[i - 1]
                basic = 60 / record.heart_rate
                assert times[i + 1] - times[i] > times[i] - times[i - 1]
                if kind == "ventricular":  # the sinus node was not disturbed: two whole intervals
                    assert around_it == pytest.approx(2 * basic, rel=0.12)
            if kind == "ventricular":
                assert qrs_width(record, times[early]) > 120


def test_every_wall_and_every_finding_occurs():
    for label in ("MI", "History_MI"):
        assert {synth.record(label, seed).truth["territory"] for seed in range(60)} == set(TERRITORIES)
    findings = {finding for record in all_abnormal() for finding in record.truth["findings"]}
    assert findings == {"sinus tachycardia", "atrial fibrillation", "PVC", "PAC", "LBBB", "RBBB"}


def test_twelve_leads_from_eight():
    free = np.random.default_rng(0).normal(size=(8, 50))
    leads = synth.twelve_leads(free)
    assert np.array_equal(leads[[0, 1, 6, 7, 8, 9, 10, 11]], free)
    assert np.allclose(leads[3] + leads[4] + leads[5], 0)


def test_window_keeps_what_the_page_shows():
    record = synth.record("Normal", 1)
    shown = synth.window(record)
    for i, lead in enumerate(LEADS):
        known = np.flatnonzero(np.isfinite(shown.leads[i]))
        if lead == record.rhythm:
            assert known.size == 2500
        else:
            assert (known[0], known[-1]) == (625 * (i // 3), 625 * (i // 3) + 624)
        assert np.array_equal(shown.leads[i, known], record.leads[i, known])
    assert np.isfinite(record.leads).all()  # the original is untouched
    assert [lead for column in synth.GRID for lead in column] == list(LEADS)


@pytest.mark.parametrize("mm", [1.0, -2.0])
def test_st_shift_is_exact_and_stays_in_the_st_segment(mm):
    record = synth.record("Normal", 4)
    shifted = synth.st_shift(record, mm, ["V2", "V3"])
    change = shifted.leads.astype(float) - record.leads
    assert not change[[i for i in range(12) if LEADS[i] not in ("V2", "V3")]].any()
    j = record.truth["qrs"][1]
    for r in record.truth["r_times"][:-1]:
        flat = slice(*np.round((r + j + np.array([0.024, 0.116])) * 250).astype(int))
        assert np.allclose(change[row("V2"), flat], 0.1 * mm, atol=1e-6)
        before = slice(max(0, round((r + j - 0.3) * 250)), max(0, round((r + j - 0.004) * 250)))
        assert not change[row("V3"), before].any()
    assert np.isfinite(record.leads).all() and not np.shares_memory(record.leads, shifted.leads)


def test_a_record_takes_milliseconds():
    start = process_time()
    for seed in range(5):
        synth.record("MI", seed)
    assert (process_time() - start) / 5 < 0.3  # 0.015 s when measured alone
