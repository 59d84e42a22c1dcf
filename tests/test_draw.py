"""The page renderer: places, grey levels, the answer key, gaps, speed, and its likeness to real pages."""

from time import process_time

import numpy as np
import pytest
from PIL import Image

from ecgbook import draw, synth
from ecgbook.draw import BASELINES, FRAME, PX_MV, PX_SECOND
from ecgbook.synth import LEADS, Record

CHEST = slice(6, 12)


def of(leads, rhythm="III"):
    """A record that shows the given leads (12, n) or one wave in all of them (n,)."""
    leads = np.broadcast_to(np.asarray(leads, np.float32), (12, 2500)).copy()
    return Record(leads, 250, rhythm, 60, "Male", "", {})


def grey(page):
    return np.asarray(page.convert("L")).astype(float)


def darkness(record):
    """Ink on the empty form, 0 to 255, whatever lies under it; (1572, 2213)."""
    form, page = grey(draw.draw_page(of(np.nan))[0]), grey(draw.draw_page(record)[0])
    return 255 * (form - page) / np.maximum(form - 3, 1)


@pytest.fixture(scope="module")
def drawn():
    record = synth.record("Normal", 0)
    return (record, *draw.draw_page(record))


def test_a_page_has_the_size_of_a_real_one(drawn):
    _, page, _ = drawn
    assert page.size == (2213, 1572) and page.mode == "RGB" and page.info["dpi"] == (200, 200)


def test_a_flat_line_lies_on_the_baselines():
    dark = darkness(of(np.zeros(2500)))
    for y0 in BASELINES:
        columns = dark[int(y0) - 6 : int(y0) + 7, 300:600]
        centre = (columns * np.arange(-6, 7)[:, None]).sum(axis=0) / columns.sum(axis=0)
        assert np.median(np.abs(centre)) < 0.05
        assert np.median(columns.sum(axis=0)) / 255 == pytest.approx(draw.PEN, abs=0.1)


def test_the_calibration_pulse_is_one_millivolt_high():
    ink = 255 - grey(draw.draw_page(of(np.nan))[0])
    ink[ink < 200] = 0  # without the grid
    for y0 in BASELINES:
        top = int(y0 - PX_MV)
        roof = ink[top - 5 : top + 7, 110:117].sum(axis=1)
        foot = ink[int(y0) - 5 : int(y0) + 6, 98:102].sum(axis=1)
        height = (foot * np.arange(int(y0) - 5, int(y0) + 6)).sum() / foot.sum() - (
            roof * np.arange(top - 5, top + 7)
        ).sum() / roof.sum()
        assert height == pytest.approx(78.74, abs=0.4)


@pytest.mark.parametrize(("frequency", "size"), [(1.0, 0.5), (2.0, 0.2), (0.4, 1.0)])
def test_a_sine_is_found_again_to_a_small_part_of_a_pixel(frequency, size):
    time = np.arange(2500) / 250
    dark = darkness(of(size * np.sin(2 * np.pi * frequency * time)))
    for row, y0 in enumerate(BASELINES):
        for column in range(4 if row < 3 else 1):
            start = draw.LEFT + 2.5 * column * PX_SECOND
            x = np.arange(int(start) + 75, int(start) + 480)
            band = slice(int(y0 - 110), int(y0 + 110))
            ink = dark[band, x]
            centre = (ink * np.arange(band.start, band.stop)[:, None]).sum(axis=0) / ink.sum(axis=0)
            wanted = y0 - PX_MV * size * np.sin(2 * np.pi * frequency * (x - draw.LEFT) / PX_SECOND)
            error = np.abs(centre - wanted)
            assert error.max() < 0.15


def test_the_trace_is_antialiased(drawn):
    dark = darkness(drawn[0])
    touched = dark[dark > 5]
    assert 0.2 < np.mean(touched < 200) < 0.7


def test_the_answer_key_is_what_was_given(drawn):
    record, _, traces = drawn
    assert [trace.lead for trace in traces] == [*LEADS, record.rhythm]
    for i, trace in enumerate(traces[:12]):
        assert trace.start == 2.5 * (i // 3) and trace.y0 == BASELINES[i % 3]
        assert trace.x0 == pytest.approx(152 + 2.5 * 196.85 * (i // 3), abs=0.01)
        first = round(trace.start * 250)
        assert np.array_equal(trace.samples, record.leads[i, first : first + 625])
    assert traces[12].start == 0 and traces[12].y0 == BASELINES[3]
    assert np.array_equal(traces[12].samples, record.leads[LEADS.index(record.rhythm)])


def test_the_answer_key_obeys_the_lead_laws(drawn):
    traces = [trace.samples.astype(float) for trace in drawn[2]]
    assert np.abs(traces[0] + traces[2] - traces[1]).max() < 1e-6  # I + III = II
    assert np.abs(traces[3] + traces[4] + traces[5]).max() < 1e-6  # aVR + aVL + aVF = 0


def test_a_gap_is_blank():
    leads = synth.record("Normal", 2).leads.copy()
    leads[:, 1500:1625] = np.nan  # in the third column, 0.5 s of its 2.5
    dark = darkness(of(leads))
    left, right = (draw.LEFT + PX_SECOND * t for t in (1499 / 250, 1625 / 250))
    reach = draw.PEN
    assert not dark[:, int(left + reach) : int(right - reach)].any()
    assert dark[:, int(left - 40) : int(left - reach)].max(axis=0).min() > 200
    assert dark[:, int(right + reach) : int(right + 40)].max(axis=0).min() > 200


def test_only_the_window_of_each_lead_is_drawn(drawn):
    record, page, _ = drawn
    again, traces = draw.draw_page(synth.window(record))
    assert np.array_equal(np.asarray(page), np.asarray(again))
    assert np.isfinite(np.concatenate([trace.samples for trace in traces])).all()


def test_tall_waves_cross_the_rows_but_not_the_frame():
    leads = np.zeros((12, 2500))
    leads[:, 100::250], leads[:, 101::250] = 9, -9
    record = of(leads)
    dark = darkness(record)
    inside = np.zeros(dark.shape, bool)
    inside[FRAME[1] + 4 : FRAME[3] - 2, FRAME[0] + 3 : FRAME[2] - 3] = True
    assert not dark[~inside].any()
    assert dark[FRAME[1] + 5].max() > 200
    for trace in draw.layout(record):
        y = trace.y0 - trace.samples * PX_MV
        assert FRAME[1] + 4 < y.min() < trace.y0 - 100 < trace.y0 < y.max() < FRAME[3] - 3


def test_another_sampling_rate_gives_the_same_curve():
    slow = of(np.sin(2 * np.pi * np.arange(2500) / 250))
    fast = slow._replace(leads=np.broadcast_to(np.sin(2 * np.pi * np.arange(5000) / 500), (12, 5000)), fs=500)
    a, b = (grey(draw.draw_page(record)[0]) for record in (slow, fast))
    assert np.abs(a - b)[:, 160:640].max() < 12  # the first column; its end lies half a sample apart


def test_grid_and_frame():
    form = np.asarray(draw.draw_page(of(np.nan))[0]).astype(int)
    left, top, right, bottom = FRAME
    for pixel in (form[900, left], form[900, right], form[top, 1000], form[bottom, 1000]):
        assert pixel[0] > 220 and 140 < pixel[1] < 190 and 140 < pixel[2] < 190
    clear = form[1180:1260, 1700:2150]
    assert 0.015 < (clear[..., 1] < 128).mean() < 0.025  # the dots
    assert ((clear[..., 0] - clear[..., 1])[clear[..., 1] < 128] > 150).all()  # red ones
    line = form[:, :, 1] < 128
    columns = np.flatnonzero(line[1200:1260].mean(axis=0) > 0.2)
    assert np.diff(columns[columns > 140]).mean() == pytest.approx(39.72, abs=0.05)
    white = np.concatenate([form[:, : left - 1].reshape(-1, 3), form[:, right + 2 :].reshape(-1, 3)])
    assert (white[: 1500 * 66] == 255).all()


def test_nothing_can_be_taken_for_a_person(drawn):
    record, page, _ = drawn
    form = np.asarray(page)
    assert (form[70:100, 112:320] == 255).all()  # no exam number
    assert (form[1521:, 760:1900] == 255).all()  # no device, no date, no time
    other, _ = draw.draw_page(record, notice="Redrawn from its digitised signal")
    changed = np.flatnonzero((np.asarray(other) != form).any(axis=2).any(axis=1))
    assert changed.min() > 190 and (changed < 260).any() and (changed > 1520).any()
    assert not ((changed > 270) & (changed < 1520)).any()


def test_sex_rate_and_rhythm_lead_are_printed_and_the_label_is_not(drawn):
    record, page, _ = drawn
    form = np.asarray(page)

    def differs(**fields):
        return (np.asarray(draw.draw_page(record._replace(**fields))[0]) != form).any(axis=2)

    assert not differs(label="MI", truth={}).any()
    sex, rate = differs(sex="Female"), differs(heart_rate=record.heart_rate + 7)
    assert sex[70:100, 440:540].any() and not sex[110:].any()
    assert rate[1530:1560, 610:760].any() and not rate[:1525].any()
    a, b = (np.asarray(draw.draw_page(of(np.zeros(2500), rhythm))[0]) for rhythm in ("II", "III"))
    name = np.argwhere((a != b).any(axis=2))
    assert name.size and name[:, 0].min() > 1335 and name[:, 0].max() < 1366 and name[:, 1].max() < 190


def test_the_same_record_gives_the_same_page(drawn):
    record, page, _ = drawn
    assert np.array_equal(np.asarray(draw.draw_page(record)[0]), np.asarray(page))


def test_nothing_is_drawn_on_the_kept_form():
    before = np.asarray(draw.draw_page(of(np.nan))[0])
    draw.draw_page(synth.record("Abnormal", 1))
    assert np.array_equal(before, np.asarray(draw.draw_page(of(np.nan))[0]))


def test_491_pages_a_minute_on_two_cores(drawn):
    times = []
    for _ in range(3):
        start = process_time()
        draw.draw_page(drawn[0])
        times.append(process_time() - start)
    assert min(times) < 2 * 60 / 491  # 0.07 s when measured alone


@pytest.fixture(scope="module")
def small(drawn):
    return drawn[1].crop((60, 280, 700, 780))


def test_perturb_without_arguments_changes_nothing(small):
    out = draw.perturb(small)
    assert out is not small and np.array_equal(np.asarray(out), np.asarray(small))


def test_perturb_scale_tint_noise_and_jpeg(small):
    assert draw.perturb(small, scale=0.5).size == (320, 250)
    tinted = np.asarray(draw.perturb(small, tint=(1.0, 0.9, 0.8))).reshape(-1, 3)
    assert tuple(np.percentile(tinted, 90, axis=0)) == (255, 230, 204)
    noisy = draw.perturb(small, 3, noise=6)
    grain = np.asarray(noisy).astype(float) - np.asarray(small)
    middle = (np.asarray(small) > 100) & (np.asarray(small) < 180)  # far from clipping
    assert grain[middle].std() == pytest.approx(6, rel=0.1)
    assert np.array_equal(np.asarray(noisy), np.asarray(draw.perturb(small, 3, noise=6)))
    assert not np.array_equal(np.asarray(noisy), np.asarray(draw.perturb(small, 4, noise=6)))
    loss = [np.abs(grey(draw.perturb(small, jpeg_quality=q)) - grey(small)).mean() for q in (95, 50, 10)]
    assert 0 < loss[0] < loss[1] < loss[2]


def test_perturb_rotates_about_the_centre():
    page = Image.new("RGB", (401, 401), "white")
    page.putpixel((300, 200), (0, 0, 0))
    turned = 255 - grey(draw.perturb(page, rotation=90))
    assert np.unravel_index(turned.argmax(), turned.shape) == (100, 200)  # counter-clockwise
    assert turned[0, 0] == 0


def test_form_lies_on_real_pages(eicp):
    """Frame, grid dots, separators and pulses of three real pages fall on ours."""
    ours = grey(draw.draw_page(of(np.nan))[0])
    for name in ("Normal(1).jpg", "Normal(33).jpg", "Normal(77).jpg"):
        real = grey(Image.open(next(eicp.glob(f"*/{name.replace('(', '[(]')}"))))
        strip = slice(1160, 1270), slice(80, 2165)  # between the rows: only grid
        assert np.corrcoef(ours[strip].ravel(), real[strip].ravel())[0, 1] > 0.6
        pulse = slice(375, 470), slice(90, 132)
        assert np.corrcoef(ours[pulse].ravel(), real[pulse].ravel())[0, 1] > 0.8
        for x in (644, 1136, 1628):
            assert np.median(real[480:1100, x]) < 60 and np.median(ours[480:1100, x]) < 60
        for y, x in ((284, 1000), (1516, 1000), (900, 69), (900, 2175)):
            assert abs(real[y, x] - ours[y, x]) < 40
