"""The module trust: calibration, selective prediction, conformal sets, refusal, triage."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from ecgbook import data, digitize, draw, evaluate, measure, models, study, synth, trust
from ecgbook.data import CLASSES, EcgbookError
from ecgbook.evaluate import PROBABILITIES
from ecgbook.synth import LEADS


def drawn_from(p: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels drawn from probabilities: a perfectly calibrated model."""
    return (rng.random((len(p), 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=p.shape[1] - 1)


def sharpened(p: np.ndarray, power: float) -> np.ndarray:
    return p**power / (p**power).sum(axis=1, keepdims=True)


def frame_of(p: np.ndarray, y: np.ndarray, **more) -> pd.DataFrame:
    """A frame of predictions of pages 0, 1, 2, ..."""
    columns = {"file": [f"page {i}" for i in range(len(y))], "label": [CLASSES[k] for k in y]}
    columns |= {"repeat": 0, "fold": 0, "part": "test", **more}
    return pd.DataFrame(columns).assign(**dict(zip(PROBABILITIES, p.T, strict=True)))


def own_unit(frame: pd.DataFrame) -> pd.Series:
    files = frame["file"].unique()
    return pd.Series(files, files)


@pytest.fixture
def calibrated():
    rng = np.random.default_rng(3)
    p = rng.dirichlet([0.5, 0.5, 1, 1], 3000)
    return p, drawn_from(p, rng)


# --- the stored run


def test_inner_folds_part_groups_and_cover_the_training_side():
    pages = data.pages()
    test, held = trust.deal_inner(1, 3)
    sides = [set(pages["group"].iloc[rows]) for rows in (test, *held)]
    assert sum(map(len, sides)) == len(set.union(*sides)) == pages["group"].nunique()
    assert sorted(np.concatenate([test, *held])) == list(range(491))


def test_the_stored_run_holds_each_page_where_it_belongs():
    rows = trust.load_inner()
    cal, test = rows[rows["part"] == "cal"], rows[rows["part"] == "test"]
    assert not cal.duplicated(["repeat", "fold", "file"]).any()
    assert (test.groupby(["repeat", "file"]).size() == trust.INNER).all()
    both = cal.merge(test, on=["repeat", "fold"], suffixes=("", "_test"))
    assert not (both["file"] == both["file_test"]).any()
    assert rows[PROBABILITIES].sum(axis=1).sub(1).abs().max() < 1e-4
    headline = trust.load_headline()
    assert (
        headline["fold"].eq(headline.merge(test[test["inner"] == 0], on=["repeat", "file"])["fold_y"]).all()
    )


def test_the_stored_run_was_made_by_this_code_from_these_tables():
    note = study._read_note(study.RESULTS / trust.RUN)
    assert note["code"] == trust._code()
    assert note["data"] == study._tables(study.STUDIES["grouped-headline"])


def test_a_run_is_resumed_and_refuses_what_was_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(trust, "REPEATS", 1)
    monkeypatch.setattr(trust, "FOLDS", 2)
    monkeypatch.setattr(models, "build", lambda name, seed: models._majority(seed))
    folder, done = tmp_path / trust.RUN, []
    real = trust.inner_fold
    monkeypatch.setattr(trust, "inner_fold", lambda *key: done.append(key) or real(*key))
    monkeypatch.setattr(trust, "_code", lambda: {"trust": "of the test"})
    (folder / "folds").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(trust._note()))
    trust._do(folder, 0, 0)
    trust.store(tmp_path)
    assert done == [(0, 0), (0, 1)] and not (folder / "folds").exists()
    rows = trust.load_inner(tmp_path)
    assert (rows["part"] == "cal").sum() == 491 and rows["p_Abnormal"].between(0.4, 0.6).all()
    trust.store(tmp_path)
    assert len(done) == 2
    path = folder / "outputs.csv"
    path.write_text(path.read_text().replace("0,0,0,cal", "0,0,1,cal", 1))
    with pytest.raises(EcgbookError, match="changed by hand"):
        trust.load_inner(tmp_path)
    monkeypatch.setattr(trust, "_code", lambda: {"trust": "another"})
    with pytest.raises(EcgbookError, match="other code"):
        trust.store(tmp_path)


def test_no_run_no_rows(tmp_path):
    with pytest.raises(EcgbookError, match="not there"):
        trust.load_inner(tmp_path)


# --- calibration


@pytest.mark.parametrize("planted", [0.5, 1.0, 2.5])
def test_temperature_finds_the_power_that_was_planted(calibrated, planted):
    p, y = calibrated
    mend, found = trust.temperature(sharpened(p, planted), y)
    assert found == pytest.approx(planted, rel=0.08)
    assert np.abs(mend(sharpened(p, planted)) - p).mean() < 0.01


def test_isotonic_mends_what_temperature_cannot(calibrated):
    p, y = calibrated
    bent = p * np.array([4, 1, 1, 0.3])
    bent /= bent.sum(axis=1, keepdims=True)
    loss = {}
    for fit in (trust.temperature, trust.isotonic):
        mended = fit(bent[:1500], y[:1500])[0](bent[1500:])
        assert np.allclose(mended.sum(axis=1), 1) and (mended > 0).all()
        loss[fit.__name__] = -np.log(mended[np.arange(1500), y[1500:]]).mean()
    assert loss["isotonic"] < loss["temperature"]


def test_ece_of_hand_made_answers():
    p = np.array([[0.9, 0.1]] * 10 + [[0.6, 0.4]] * 10)
    y = np.array([0] * 9 + [1] + [0] * 3 + [1] * 7)
    assert trust.ece(p, y, bins=2) == pytest.approx((0 + 0.3) / 2)


def test_the_null_holds_the_calibrated_and_not_the_overconfident():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.4] * 4, 400)
    most = np.quantile(trust.null_ece(p, 800), 0.95)
    found = [trust.ece(p, drawn_from(p, rng)) for _ in range(200)]
    assert 0.90 <= np.mean(np.array(found) <= most) <= 0.99
    assert trust.ece(sharpened(p, 4), drawn_from(p, rng)) > most


def test_calibration_says_within_where_it_is(calibrated):
    p, y = calibrated
    assert trust.calibration(frame_of(p[:500], y[:500]), 400)["within"].all()
    assert not trust.calibration(frame_of(sharpened(p, 4)[:500], y[:500]), 400)["within"].any()
    bars = trust.reliability(frame_of(p[:500], y[:500]))
    assert bars["pages"].sum() == 500 and bars["confidence"].is_monotonic_increasing


def test_mend_learns_from_inner_rows_alone(calibrated):
    p, y = calibrated
    cal = frame_of(sharpened(p, 3), y, part="cal", inner=0)
    test = frame_of(sharpened(p, 3)[:50], y[:50], file=[f"other {i}" for i in range(50)])
    mended, fitted = trust.mend(test, cal)
    other, _ = trust.mend(test.assign(label="Normal"), cal)
    assert mended[PROBABILITIES].equals(other[PROBABILITIES])
    assert fitted[0, 0] == pytest.approx(3, rel=0.1)
    with pytest.raises(EcgbookError, match="its own label"):
        trust.mend(frame_of(p[:50], y[:50]), cal)
    with pytest.raises(EcgbookError, match="no inner predictions"):
        trust.mend(test.assign(fold=4), cal)


# --- selective prediction


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.37, 0.5, 0.8, 1.0]))
def test_selective_accuracy_is_that_of_the_surest(seed, coverage):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet([1] * 4, 60)
    frame = frame_of(p, rng.integers(4, size=60))
    rows, area = trust.risk_coverage(frame, own_unit(frame), [coverage], replicates=5)
    y = frame["label"].map(CLASSES.index).to_numpy()
    right = (p.argmax(axis=1) == y)[np.argsort(-p.max(axis=1))]
    assert rows["accuracy"][0] == pytest.approx(right[: int(np.ceil(coverage * 60))].mean(), abs=1e-6)
    assert area[0] == pytest.approx((1 - right.cumsum() / np.arange(1, 61)).mean(), abs=1e-6)


def test_confidence_that_says_nothing_gains_nothing():
    rng = np.random.default_rng(1)
    p = sharpened(rng.dirichlet([1] * 4, 4000), 2)
    y = np.where(rng.random(4000) < 0.7, p.argmax(axis=1), (p.argmax(axis=1) + 1) % 4)
    rows, area = trust.risk_coverage(frame_of(p, y), own_unit(frame_of(p, y)), [0.3, 0.8, 1], replicates=5)
    assert np.ptp(rows["accuracy"]) < 0.04 and area[0] == pytest.approx(0.3, abs=0.03)


def test_groups_that_err_together_widen_the_interval():
    rng = np.random.default_rng(2)
    wrong = np.repeat(rng.random(40) < 0.2, 10)
    p = np.tile([0.7, 0.1, 0.1, 0.1], (400, 1))
    frame = frame_of(p, wrong.astype(int))
    grouped = pd.Series(np.arange(400) // 10, frame["file"])
    wide, narrow = (trust.risk_coverage(frame, unit, [1.0])[0].loc[0] for unit in (grouped, own_unit(frame)))
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])


def test_the_threshold_is_set_on_inner_rows_by_weight():
    p = np.column_stack([np.linspace(0.3, 0.99, 100), *[np.linspace(0.7, 0.01, 100) / 3] * 3])
    cal = frame_of(p, np.zeros(100, int), inner=0)
    test = frame_of(p, np.zeros(100, int))
    assert trust.answered(test, cal, 0.8).sum() == 80
    heavy = cal.assign(weight=np.where(np.arange(100) >= 90, 91.0, 1.0))  # the surest ten weigh 910 of 1000
    assert trust.answered(test, heavy, 0.8).sum() == 9


def test_share_is_the_accuracy_of_evaluate_and_its_interval():
    frame = trust.load_headline()
    right = frame[PROBABILITIES].to_numpy().argmax(axis=1) == frame["label"].map(CLASSES.index)
    hits = pd.Series(right.to_numpy(), frame["file"])
    unit = evaluate.units("grouped")
    ours = trust.share(hits, pd.Series(1, hits.index), unit)
    theirs = evaluate.table({"headline": frame}, unit, ["accuracy"]).loc[0, ["estimate", "low", "high"]]
    assert np.allclose(ours, theirs.astype(float), atol=0.004)
    assert ours[0] == pytest.approx(theirs["estimate"])


# --- conformal sets


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_p_values_are_the_weighted_shares_of_the_formula(seed):
    rng = np.random.default_rng(seed)
    cal, weight, which = rng.integers(8, size=30) / 8, rng.random(30), rng.integers(3, size=30)
    test = rng.integers(8, size=(3, 5, 4)) / 8
    found = trust.p_values(cal, weight, which, test)
    for i in range(5):
        for k in range(4):
            at_least = sum(w for s, w, j in zip(cal, weight, which, strict=True) if s >= test[j, i, k])
            assert found[i, k] == pytest.approx((1 + at_least) / (1 + weight.sum()))


def exchangeable(seed: int, n: int, groups: int = 0):
    """Points of four overlapping classes, in groups of five copies if asked."""
    rng = np.random.default_rng(seed)
    y = rng.integers(4, size=n)
    X = np.column_stack([np.cos(y * 1.6), np.sin(y * 1.6)]) + 0.8 * rng.normal(size=(n, 2))
    if groups:
        X, y = np.repeat(X[:groups], 5, axis=0), np.repeat(y[:groups], 5)
    return X, y


def crossed(X, y, fresh, folds):
    """Scores for p_values by logistic regression over given folds."""
    from sklearn.linear_model import LogisticRegression

    cal, which, test = np.empty(len(y)), np.empty(len(y), int), []
    for number, (rest, held) in enumerate(folds):
        model = LogisticRegression().fit(X[rest], y[rest])
        cal[held], which[held] = 1 - model.predict_proba(X[held])[np.arange(len(held)), y[held]], number
        test.append(1 - model.predict_proba(fresh))
    return cal, which, np.stack(test)


def test_conformal_sets_agree_with_mapie():
    mapie = pytest.importorskip("mapie.classification")
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold

    X, y = exchangeable(0, 400)
    fresh, truth = exchangeable(1, 1500)
    dealer = KFold(5, shuffle=True, random_state=0)
    cal, which, test = crossed(X, y, fresh, dealer.split(X))
    ours = trust.p_values(cal, np.ones(400), which, test) > 0.1
    rival = mapie.CrossConformalClassifier(LogisticRegression(), 0.9, cv=dealer)
    _, sets = rival.fit_conformalize(X, y).predict_set(fresh, agg_scores="crossval")
    assert (ours == sets[:, :, 0]).mean() > 0.995
    assert ours[np.arange(1500), truth].mean() == pytest.approx(0.9, abs=0.03)
    assert 1 < ours.sum(axis=1).mean() < 3


def test_a_group_counts_once_however_many_pages_it_has():
    from sklearn.model_selection import GroupKFold

    X, y = exchangeable(4, 300, groups=60)
    fresh, _ = exchangeable(5, 200)
    group = np.arange(300) // 5
    cal, which, test = crossed(X, y, fresh, GroupKFold(5).split(X, y, group))
    grouped = trust.p_values(cal, np.full(300, 0.2), which, test)
    once = trust.p_values(cal[::5], np.ones(60), which[::5], test)
    assert np.allclose(grouped, once)
    naive = trust.p_values(cal, np.ones(300), which, test)
    assert (naive > 0.01).mean() < (grouped > 0.01).mean() == 1  # 60 groups cannot exclude anything at 1 %


def test_scores_that_say_nothing_give_sets_that_exclude_little():
    rng = np.random.default_rng(0)
    inner = trust.load_inner()
    inner = inner[inner["repeat"] == 0].copy()
    inner[PROBABILITIES] = rng.dirichlet([1] * 4, len(inner))  # a model that drew lots
    rows = trust.coverage(trust.cross_conformal(inner), evaluate.units("grouped")).set_index("pages of")
    assert rows.loc["all", "coverage"] > 0.9 and rows.loc["all", "size"] > 3.5


def test_class_conditional_sets_compare_within_the_class():
    inner = trust.load_inner()
    inner = inner[(inner["repeat"] == 0) & (inner["fold"] == 0)]
    all_p, own_p = trust.cross_conformal(inner), trust.class_conditional(inner)
    assert all_p["file"].equals(own_p["file"]) and not np.allclose(all_p["p_MI"], own_p["p_MI"])
    cal = inner[(inner["part"] == "cal") & (inner["label"] == "MI")]
    assert own_p["p_MI"].min() >= 1 / (1 + cal["group"].nunique()) - 1e-12


# --- refusal


def text_page() -> Image.Image:
    page = Image.new("RGB", (draw.WIDTH, draw.HEIGHT), "white")
    pen = ImageDraw.Draw(page)
    for y in range(60, 1500, 40):
        pen.text((80, y), "the quick brown fox jumps over the lazy dog, II = I + III, 25mm/s " * 2, "black")
    return page


def chart() -> Image.Image:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 10), dpi=150)
    ax = figure.add_subplot()
    ax.plot(np.sin(np.linspace(0, 40, 2000)), color="black")
    ax.grid(color="pink")
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return Image.open(stream).convert("RGB")


def noise(seed: int, kind: str) -> Image.Image:
    rng = np.random.default_rng(seed)
    shape = (draw.HEIGHT, draw.WIDTH, 3)
    if kind == "grey":
        pixels = np.repeat(rng.integers(256, size=(*shape[:2], 1)), 3, axis=2)
    elif kind == "dots":
        pixels = np.where(rng.random((*shape[:2], 1)) < 0.02, 0, 255) * np.ones(3)
    else:
        pixels = rng.normal(128, 60, shape).clip(0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def filled_form(kind: str) -> Image.Image:
    """The known form with what is no ECG in it."""
    t, rng = np.arange(2500) / 250, np.random.default_rng(0)
    walks = np.cumsum(rng.normal(0, 0.03, (12, 2500)), axis=1)
    leads = {
        "flat": np.zeros((12, 2500)),
        "hum": np.tile(0.3 * np.sin(2 * np.pi * 6 * t), (12, 1)),
        "walks": np.clip(walks, -1, 1),
        "lawful walks": synth.twelve_leads(np.clip(walks[:8] * 0.4, -0.8, 0.8)),
        "squares": synth.twelve_leads(np.tile(0.5 * (np.sin(2 * np.pi * 1.2 * t) > 0.9), (8, 1))),
    }[kind]
    ecg = synth.record("Normal", 0)
    return draw.draw_page(ecg._replace(leads=leads.astype(np.float32)))[0]


def dirty_form(seed: int) -> Image.Image:
    page = np.asarray(draw.draw_page(synth.record("Normal", 0))[0]).copy()
    inside = page[290:1510, 75:2170]
    inside[:] = np.random.default_rng(seed).integers(256, size=(*inside.shape[:2], 1))
    return Image.fromarray(page)


NO_ECG = {
    "blank": lambda: Image.new("RGB", (draw.WIDTH, draw.HEIGHT), "white"),
    "black": lambda: Image.new("RGB", (draw.WIDTH, draw.HEIGHT), "black"),
    "pink": lambda: Image.new("RGB", (draw.WIDTH, draw.HEIGHT), draw._PINK),
    "tiny": lambda: Image.new("L", (1, 1)),
    "narrow": lambda: Image.new("RGB", (4000, 30), "white"),
    "palette": lambda: Image.new("P", (900, 700)),
    "text": text_page,
    "chart": chart,
    **{
        f"{kind} noise {s}": (lambda s=s, kind=kind: noise(s, kind))
        for s in (0, 1)
        for kind in ("grey", "dots", "colour")
    },
    **{
        f"form with {k}": (lambda k=k: filled_form(k))
        for k in ("flat", "hum", "walks", "lawful walks", "squares")
    },
    "form with noise": lambda: dirty_form(0),
    "empty form": lambda: Image.fromarray(draw._form("Synthetic record").copy()),
}


@pytest.mark.parametrize("name", NO_ECG)
def test_what_is_no_ecg_is_refused_with_a_reason(name):
    said = trust.accept(NO_ECG[name]())
    assert not said.accepted and said.stage and all(said.reasons)


def test_photographs_are_refused():
    folder = Path(pytest.importorskip("skimage.data").__file__).parent
    photographs = [*folder.glob("*.png"), *folder.glob("*.jpg")]
    assert len(photographs) > 10
    for path in photographs:
        assert not trust.accept(path).accepted, path.name
        with Image.open(path) as image:  # and as large as a page
            assert not trust.accept(image.convert("RGB").resize((draw.WIDTH, draw.HEIGHT))).accepted, (
                path.name
            )


def test_files_that_are_no_images(tmp_path):
    path = tmp_path / "page.jpg"
    path.write_bytes(b"no image")
    assert trust.accept(path).stage == "file"
    with pytest.raises(EcgbookError, match="no such file"):
        trust.accept(tmp_path / "absent.jpg")


@pytest.mark.parametrize("label", ["Normal", "MI"])
def test_every_foreign_layout_is_refused(label):
    for name, page in trust.foreign_pages(synth.record(label, 1)).items():
        said = trust.accept(page)
        assert not said.accepted, name
        assert said.stage == "form", (name, said.reasons)


def test_the_foreign_pages_fail_for_what_is_foreign_on_them():
    """The control: drawn by the same pen in the known layout, the page passes."""
    ecg = synth.record("Normal", 1)
    known = trust._foreign_page(trust._in_grid(ecg, LEADS, {}), ecg.fs)
    assert trust.accept(known).accepted


@pytest.mark.parametrize("name", ["Normal(6).jpg", "PMI(3).jpg", "HB(20).jpg"])
def test_redrawn_ecgs_are_accepted_also_when_worn(name):
    page = draw.draw_page(digitize.record(digitize.load(name)), "Redrawn from its digitised signal")[0]
    assert trust.accept(page).accepted
    assert trust.accept(draw.perturb(page, rotation=0.7, scale=0.8, noise=3, jpeg_quality=80)).accepted


def test_real_pages_are_accepted(eicp):
    for name in ("Normal(6).jpg", "PMI(3).jpg", "HB(20).jpg"):
        assert trust.accept(data.open_page(name)).accepted, name


def test_exchanged_electrodes_obey_the_laws_and_exchanged_traces_do_not():
    leads = synth.record("Normal", 4).leads
    for name, changed in trust.misplaced(leads).items():
        broken = np.abs(changed[1] - changed[0] - changed[2]).max()
        assert (broken > 0.1) == (name in ("traces I and II", "traces I and V1")), name
    twice = trust.misplaced(trust.misplaced(leads)["electrodes left arm and right arm"])
    assert np.allclose(twice["electrodes left arm and right arm"], leads)
    ecg = synth.record("Normal", 4)
    page = draw.draw_page(ecg._replace(leads=trust.misplaced(leads)["traces I and II"]))[0]
    assert trust.accept(page).stage == "physics"


def test_exchanging_the_table_is_measuring_the_exchanged():
    file = "Normal(6).jpg"
    reading = digitize.load(file)
    table = measure.measurements().set_index("file").loc[[file]]
    shown = np.stack([digitize._column(reading, lead) for lead in LEADS])
    for name in ("electrodes V1 and V2", "electrodes left arm and right arm"):  # recorded at the same time
        changed = reading._replace(leads=digitize._spread(trust.misplaced(shown)[name]), rhythm="")
        anew = pd.DataFrame([measure.measure(digitize.record(changed))])
        ours = trust._exchanged_table(table, trust._exchanges()[name])
        columns = [f"{lead}_{of}" for lead in LEADS for of in ("qrs_area", "t_mv")]
        assert np.corrcoef(anew[columns].to_numpy()[0], ours[columns].to_numpy()[0])[0, 1] > 0.98, name


def test_the_guard_refuses_what_it_promised_and_knows_which_leads_go_together():
    test, held = trust.deal_inner(0, 0)
    files = data.pages()["file"].to_numpy()
    guard = trust.fit_guard(files[np.concatenate(held)])
    found = trust.exchange_test(files[test], guard).groupby("exchanged")[["physics", "distribution"]].mean()
    assert found.loc["nothing", "distribution"] < 0.08 and found.loc["nothing", "physics"] == 0
    assert found.loc["traces I and II", "physics"] > 0.8
    assert found.loc["traces aVR and aVL", "distribution"] > 4 * found.loc["nothing", "distribution"]
    table = measure.measurements().set_index("file").loc[files[test]]
    shuffled = table.apply(lambda column: np.random.default_rng(len(column.name)).permutation(column))
    assert (guard.distance(shuffled) > guard.limit).mean() > 0.5  # each value likely, together not


# --- triage


def test_triage_counts_people_by_hand():
    p = np.full((8, 4), 0.1)
    y = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    p[np.arange(8), [0, 3, 1, 1, 2, 0, 3, 3]] = 0.7
    frame = frame_of(p, y)
    sure = pd.Series([True, True, True, False, True, True, True, True])
    stated = dict(zip(CLASSES, (0.1, 0.2, 0.3, 0.4), strict=True))
    found = trust.triage(frame, sure, stated, own_unit(frame)).set_index("outcome")["people"]
    expected = dict(zip(trust.OUTCOMES, (100, 50 + 150, 50, 100, 0, 50, 50, 400), strict=True))
    assert found.round(6).to_dict() == expected


def test_prevalence_is_moved_by_bayes_and_back(calibrated):
    p, y = calibrated
    learned, stated = np.bincount(y) / len(y), np.array([0.02, 0.08, 0.3, 0.6])
    moved = trust.move_prevalence(p, learned, stated)
    assert np.allclose(trust.move_prevalence(moved, stated, learned), p)
    rng = np.random.default_rng(0)
    rows = rng.choice(len(y), 20_000, p=(stated / learned)[y] / (stated / learned)[y].sum())
    assert np.abs(moved[rows].mean(axis=0) - stated).max() < 0.02  # calibrated again where people come so


def test_a_mix_that_is_none_is_refused():
    frame = trust.load_headline()
    for wrong in ({"MI": 1.0}, dict.fromkeys(CLASSES, 0.3), dict(zip(CLASSES, (-1, 1, 1, 0), strict=True))):
        with pytest.raises(EcgbookError, match="prevalence"):
            trust.at_prevalence(frame, frame, wrong)
