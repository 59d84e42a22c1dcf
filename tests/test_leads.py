"""Tests of the module leads: exact laws, planted signals, leaks, and the stored runs."""

from __future__ import annotations

import json
import shutil
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest

from ecgbook import data, digitize, evaluate, leads, ludb, measure, models, study, synth
from ecgbook.data import EcgbookError
from ecgbook.leads import Fold, Recipe, Signals
from ecgbook.synth import LEADS

II = LEADS.index("II")


@lru_cache(maxsize=leads.FOLDS)
def dealt(fold: int):
    """Deal each fold once for all tests."""
    return leads.deal(fold)


def planted(n: int = 6, seed: int = 0) -> Signals:
    """ECGs whose leads all follow from lead II: I is II two samples later, V1 half of it upside down, and so on."""
    rng = np.random.default_rng(seed)
    t = np.arange(leads.SAMPLES) / leads.RATE
    two = np.array(
        [np.sin(2 * np.pi * f * t) + 0.5 * np.sin(2 * np.pi * 3 * f * t) for f in rng.uniform(1, 3, n)]
    )
    one = np.roll(two, 2, axis=1)
    chest = np.stack([-0.5 * two, 0.8 * two, one, 1.2 * one, two + one, 0.3 * two], axis=1)
    eight = np.concatenate([np.stack([one, two], axis=1), chest], axis=1)
    twelve = (leads.LAWS @ eight).astype(np.float32)
    return Signals(tuple(f"{seed}-{k}" for k in range(n)), twelve, twelve, np.full(n, II))


# What is exact


def test_limb_leads_follow_from_two_to_rounding():
    ecg = synth.record("Abnormal", 4)
    found = leads.limbs(ecg.leads[0].astype(float), ecg.leads[1].astype(float))
    assert np.abs(found - ecg.leads[:6]).max() < 1e-6


def test_limb_leads_of_ludb_follow_to_half_a_unit():
    if not (data.home() / "ludb").is_dir():
        pytest.skip("LUDB is not there")
    for number in (1, 77, 200):
        raw = ludb.read(number) / ludb.UNIT
        assert np.abs(leads.limbs(raw[0], raw[1]) - raw[:6]).max() <= 0.5 + 1e-6  # rounding to whole units
    by_header = ludb.read_by_header(1)  # by gains that differ from lead to lead
    assert np.abs(by_header[1] - by_header[0] - by_header[2]).max() > 0.1


@pytest.mark.parametrize("lead", LEADS)
def test_keep_leaves_the_shown_lead_and_the_laws(lead):
    rng = np.random.default_rng(1)
    eight, shown = rng.normal(size=(8, 50)), rng.normal(size=50)
    twelve = leads.keep(eight, lead, shown)
    assert np.allclose(twelve[LEADS.index(lead)], shown)
    assert np.allclose(leads.limbs(twelve[0], twelve[1]), twelve[:6])
    if lead.startswith("V"):  # what the laws do not tie to the shown lead stays as it was
        others = [k for k in range(12) if LEADS[k] != lead]
        assert np.allclose(twelve[others], (leads.LAWS @ eight)[others])


def test_keep_changes_least():
    rng = np.random.default_rng(2)
    eight, shown = rng.normal(size=(8, 9)), rng.normal(size=9)
    kept = np.linalg.pinv(leads.LAWS) @ leads.keep(eight, "III", shown)
    other = eight.copy()
    other[1] = shown + other[0]  # another way to make III right
    assert np.square(kept - eight).sum() < np.square(other - eight).sum()


# Signals and folds


def test_bridged_bridges_inside_and_puts_zero_outside():
    found = leads.bridged(np.array([[np.nan, 1.0, np.nan, 3.0, np.nan]]))
    assert found.tolist() == [[0.0, 1.0, 2.0, 3.0, 0.0]]


def test_folds_test_everything_once_and_split_no_group():
    tested = [dealt(fold) for fold in range(leads.FOLDS)]
    for source, n in ((0, 200), (1, 491)):
        rows = np.concatenate([split[source].test for split in tested])
        assert sorted(rows) == list(range(n))
        for split in tested:
            assert sorted(np.concatenate(split[source])) == list(range(n))
    group = data.pages()["group"].to_numpy()
    for _, pages in tested:
        assert not set(group[pages.test]) & set(group[np.r_[pages.train, pages.val]])


def test_at_every_instant_of_a_page_four_leads_are_seen():
    signals = leads.of_pages()
    seen = np.isfinite(signals.seen).sum(axis=1)
    own = signals.strip[:, None] // 3 == np.arange(leads.SAMPLES) // (leads.SAMPLES / 4)
    assert np.median(seen[~own]) == 4 and np.median(seen[own]) == 3
    assert seen.max() <= 4


# Floor and baseline


def test_mean_beat_gives_back_a_train_of_equal_beats():
    ecg = synth.record("Normal", 0, noise=0)
    twelve = ecg.leads[:, ::2].astype(np.float32)
    signals = Signals(("a",), twelve[None], twelve[None], np.array([II]))
    beat = leads.learn_mean_beat(signals)
    r, _ = leads.alike(leads.place_beats(beat, twelve[II], "II"), twelve)
    assert r.min() > 0.8 and r[II] > 0.999


def test_no_beat_no_mean_beat():
    flat = np.zeros(leads.SAMPLES)
    assert not leads.place_beats(np.ones((8, 113)), flat, "II").any()


def test_regression_finds_a_planted_delay():
    sums, val = leads.moments(planted()), leads.moments(planted(seed=1))
    found = leads.fit_linear({"own": sums}, val)
    one = leads.fit_linear({"own": sums}, val, (0,))
    assert found.reach >= 6  # two samples, or more, to each side
    signals = planted(seed=2)
    r, rmse = leads.alike(leads.apply_linear(found, signals.shown[0, II], "II"), signals.seen[0])
    assert r.min() > 0.99
    blunt = leads.alike(leads.apply_linear(one, signals.shown[0, II], "II"), signals.seen[0])[1]
    assert blunt[0] > 5 * rmse[0]  # a single number cannot delay


def test_error_from_moments_is_the_error():
    signals = planted(3)
    weights = leads.solve(leads.moments(signals), 12, 0.1)
    rows = [LEADS.index(lead) for lead in leads.INDEPENDENT]
    off, power = np.zeros(8), np.zeros(8)
    for seen, shown in zip(signals.seen[:, rows].astype(float), signals.shown[:, II], strict=True):
        off += ((weights @ leads._around(shown) - seen) ** 2).sum(axis=1)
        power += (seen**2).sum(axis=1)
    assert leads.error(weights, leads.moments(signals)) == pytest.approx(np.mean(off / power), rel=1e-4)


def test_moments_leave_out_what_is_not_seen():
    signals = planted(2)
    holes = signals.seen.copy()
    holes[:, 6, 100:] = np.nan
    some, cut = leads.moments(signals._replace(seen=holes)), leads.moments(signals)
    assert some.count[2] == 200 and cut.count[2] == 2 * leads.SAMPLES
    assert np.allclose(some.gram[0], cut.gram[0]) and some.gram[2].trace() < 0.1 * cut.gram[2].trace()


# Networks


@pytest.mark.parametrize("kind", leads.NETWORKS)
@pytest.mark.parametrize("n", [312, 1250, 97])
def test_networks_take_any_length_and_all_weights_learn(kind, n):
    import torch

    network = leads.build(kind, dropout=0.0)
    channels = leads._CHANNELS[kind]
    found = network(torch.randn(2, channels, n))
    assert found.shape == (2, 8, n)
    found.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_fold_and_unfold_are_inverse_and_keep_the_order_of_samples():
    import torch

    x = torch.arange(24.0).reshape(1, 2, 12)
    assert torch.equal(leads._unfold(leads._fold(x)), x)
    assert leads._fold(x)[0, :4, 0].tolist() == [0, 1, 2, 3]


def test_loss_counts_what_is_seen_alone():
    import torch

    seen = torch.full((1, 12, 4), torch.nan)
    seen[0, 6, :2] = 1.0
    assert leads.loss(torch.zeros(1, 8, 4), seen, torch.full((12, 1), 0.5)).item() == pytest.approx(4.0)


@pytest.mark.parametrize("kind", leads.NETWORKS)
def test_a_batch_shows_one_lead_and_hides_nothing_of_the_answer(kind):
    fold = Fold(planted(), planted(4, seed=3))
    recipe = Recipe(batch=16, gain=0.3, stretch=0.2)
    shown, seen = leads.batch(fold, kind, recipe, np.random.default_rng(0))
    assert shown.shape == (16, leads._CHANNELS[kind], leads.WINDOW) and seen.shape == (16, 12, leads.WINDOW)
    lit = np.abs(shown).max(axis=2) > 0
    assert (lit.sum(axis=1) == 1).all()
    for x, y, row in zip(shown, seen, lit.argmax(axis=1), strict=True):
        row = II if kind == "U-Net" else row
        known = np.isfinite(y[row])
        assert np.allclose(x.max(axis=0, where=x.any(axis=1)[:, None], initial=-np.inf)[known], y[row][known])
    if kind != "U-Net":
        assert len(set(lit.argmax(axis=1))) > 3  # the lead changes from window to window


def test_stretching_by_one_changes_nothing_and_by_more_moves_the_ends_out():
    x = np.sin(np.arange(312) / 20)[None]
    assert np.allclose(leads._stretched(x, 1.0), x)
    slow = leads._stretched(x, 1.25)
    assert np.isfinite(slow).all() and slow[0, 156] == pytest.approx(x[0, 156])
    assert np.isnan(leads._stretched(x, 0.8)).any()


def test_training_lowers_the_loss_and_follows_from_the_seed():
    fold, val = Fold(planted(), planted(4, 3)), Fold(planted(2, 5), planted(2, 6))
    recipe, scores = Recipe(steps=60, batch=8, checks=3, average=0.8), []
    once = leads.fit_network("U-Net", fold, val, recipe, 1, "cpu", lambda step, score: scores.append(score))
    again = leads.fit_network("U-Net", fold, val, recipe, 1, "cpu")
    assert scores[-1] < 0.5 * scores[0]
    assert all(
        (a == b).all() for a, b in zip(once.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_the_test_part_has_no_say(monkeypatch):
    signals, records = leads.of_pages(), planted(200)
    _, pages = dealt(0)
    spoilt = signals.seen.copy(), signals.shown.copy()
    for part in spoilt:
        part[pages.test] *= 100

    def weights(source):
        monkeypatch.setattr(leads, "of_pages", lambda: source)
        monkeypatch.setattr(leads, "of_ludb", lambda: records)
        dealt = leads.parts(0)
        few = {
            p: Fold(dealt[p].ludb.take(np.arange(3)), dealt[p].pages.take(np.arange(40)))
            for p in ("train", "val")
        }
        network = leads.fit_network(
            "masked autoencoder", few["train"], few["val"], Recipe(steps=2, checks=1), 0, "cpu"
        )
        fitted = leads.linear_methods(few)["linear", "pages"]
        return [
            *(p.detach().numpy() for p in network.parameters()),
            fitted.weights,
            leads.learn_mean_beat(few["train"].of("pages")),
        ]

    clean, other = weights(signals), weights(signals._replace(seen=spoilt[0], shown=spoilt[1]))
    assert all(np.array_equal(a, b) for a, b in zip(clean, other, strict=True))


def test_the_u_net_starts_from_lead_two_alone():
    with pytest.raises(EcgbookError, match="lead II"):
        leads.apply_network(leads.build("U-Net"), "U-Net", np.zeros(625), "V2")


# Judgements


def test_alike_knows_the_plain_cases():
    seen = np.array([[0.0, 1.0, 2.0, 3.0], [1.0, np.nan, np.nan, np.nan]])
    r, rmse = leads.alike(np.array([[3.0, 2.0, 1.0, 0.0], np.ones(4)]), seen)
    assert r[0] == pytest.approx(-1) and rmse[0] == pytest.approx(np.sqrt(5))
    assert np.isnan(r[1]) and np.isnan(rmse[1])
    assert leads.alike(np.zeros((1, 4)), seen[:1])[0][0] == 0


def test_a_record_shows_of_rebuilt_leads_what_the_page_shows():
    name = data.pages()["file"][5]
    true = digitize.record(digitize.load(name))
    record = leads.as_record(np.ones((12, leads.SAMPLES)), "Female", true)
    assert np.array_equal(np.isfinite(record.leads), np.isfinite(true.leads))
    row = LEADS.index(true.rhythm)
    assert np.array_equal(record.leads[row], true.leads[row], equal_nan=True) and record.sex == "Female"


def test_finer_keeps_a_slow_wave():
    t = np.arange(2 * leads.SAMPLES) / (2 * leads.RATE)
    wave = np.sin(2 * np.pi * 12 * t)
    assert np.abs(leads.finer(wave[None, ::2])[0] - wave)[100:-100].max() < 1e-3


def test_features_are_those_of_the_headline():
    names = data.pages()["file"].tolist()[3:6]
    sexes = data.pages().set_index("file")["sex"]
    records = [digitize.record(digitize.load(name))._replace(sex=sexes[name]) for name in names]
    wanted = models.features("all").loc[names]
    found = leads.features(*measure.table(zip(names, records, strict=True)))
    assert set(found) == set(wanted)
    assert np.allclose(found[wanted.columns], wanted, atol=2e-3, equal_nan=True)


def test_packing_keeps_microvolts():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(3, len(leads.MEASURED))), columns=list(leads.MEASURED))
    table.iloc[1, 4] = np.nan
    packed = leads.pack(table)
    mv = [k for k, name in enumerate(leads.MEASURED) if name.endswith("_mv")]
    assert np.abs(packed[0, mv] / 1000 - table.iloc[0, mv]).max() <= 0.0005
    assert packed[1, 4] == leads._UNKNOWN


# Putting together and reading, on made-up judgements


def made_up(fold: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(fold)
    out: dict[str, np.ndarray] = {}
    records, pages = dealt(fold)
    two = leads.of_pages().take(pages.test)
    names = {"pages": [n for n, row in zip(two.names, two.strip, strict=True) if row == II]}
    names["ludb"] = [str(ludb.RECORDS[k]) for k in records.test]
    others = [lead for lead in LEADS if lead != "II"]
    for source, of in names.items():
        score = pd.DataFrame([(m, n) for n in of for m in leads.METHODS], columns=["method", "name"])
        better = 0.5 + 0.1 * (score["method"] == "U-Net").to_numpy()
        score[[f"r_{lead}" for lead in others]] = np.repeat(better[:, None], 11, axis=1)
        score[[f"rmse_{lead}" for lead in others]] = rng.uniform(0.1, 0.2, (len(score), 11))
        out |= {f"{source} signals": leads._text(score), f"{source} names": np.array(of)}
        true = rng.integers(-100, 100, (len(of), len(leads.MEASURED))).astype(np.int16)
        true[:, leads.MEASURED.index("st_up_anterior")] = np.arange(len(of)) % 2
        out |= {f"{source} {m}": true + 7 * (m != "true") for m in ("true", *leads.METHODS)}
    out |= {
        f"pairs {m} {w}": np.full((40, 12, 12), 0.25)
        for m in ("linear", "masked autoencoder")
        for w in ("r", "rmse")
    }
    out |= {
        f"windows {m}": np.zeros((len(names["pages"]), 12, leads.WINDOW), np.int16) for m in leads.EXAMPLES
    }
    said = pd.DataFrame({"file": names["pages"], "variant": "true | true"}).assign(
        **dict.fromkeys(evaluate.PROBABILITIES, 0.25)
    )
    cost = {m: {"parameters": 1, "kB": 1.0, "ms_an_ecg": 1.0, "training_cpu_s": 1.0} for m in leads.METHODS}
    return out | {"answers": leads._text(said), "chosen": np.array("{}"), "cost": np.array(json.dumps(cost))}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leads, "trained", lambda *args: None)
        patch.setattr(leads, "_judged", made_up)
        patch.setattr(leads, "of_ludb", lambda: planted(2))
        patch.setattr(leads, "_laws_of_ludb", dict)
        leads.store(folder)
    return folder


def test_a_run_is_put_together_and_read_back(made):
    table = leads.measured("pages", made)
    assert len(table["true"]) == (leads.of_pages().strip == II).sum()
    ends = leads.agreement("pages", "linear", "V2_t_mv", made)
    assert (
        ends["bias"] == pytest.approx(0.007)
        and ends["low"] == pytest.approx(0.007)
        and ends["slope"] == pytest.approx(1)
    )
    found = leads.against_linear("ludb", "r", results=made)
    assert found.loc["U-Net", "apart"] == pytest.approx(0.1) and found.loc["linear", "mean"] == pytest.approx(
        0.5
    )
    assert leads.pairs("r", made)["linear"].max() == pytest.approx(0.25)
    assert leads.pairs("rmse", made)["linear"].max() == pytest.approx(0.25)
    assert evaluate.check(leads.answers(made)["true | true"]) is not None
    assert leads.examples(made)["names"].shape == (3,)
    assert leads.by_lead("pages", made)["r"].between(0.49, 0.61).all()


def test_a_changed_file_is_refused(made, tmp_path):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "leads-eicp" / "answers.csv"
    path.write_text(path.read_text().replace("0.25000", "0.24000", 1))
    with pytest.raises(EcgbookError, match="changed by hand"):
        leads.answers(tmp_path)
    with pytest.raises(EcgbookError, match="no such run"):
        leads.note("pages", tmp_path / "elsewhere")


# The stored runs


def test_stored_runs_come_from_the_code_as_it_stands():
    for source in leads.SOURCES:
        kept = leads.note(source)
        assert kept["code"] == leads._code()
        tables = {name: data.digest(data.tables() / name)[1][:16] for name in kept["data"] if name != "LUDB"}
        assert {name: kept["data"][name] for name in tables} == tables
        assert set(kept["cost"]) == set(leads.METHODS) and len(kept["chosen"]) == leads.FOLDS


def test_stored_scores_are_whole_and_possible():
    wanted = {"ludb": {str(k) for k in ludb.RECORDS}}
    signals = leads.of_pages()
    wanted["pages"] = {n for n, row in zip(signals.names, signals.strip, strict=True) if row == II}
    for source, names in wanted.items():
        frame = leads.outputs(source)
        assert not frame.duplicated(["method", "name"]).any() and set(frame["name"]) == names
        assert set(frame["method"]) == set(leads.METHODS)
        assert (
            frame.filter(regex="^r_").abs().max(axis=None) <= 1
            and len(frame.filter(regex="^r_").columns) == 11
        )
        assert frame.filter(like="rmse_").min(axis=None) > 0
        assert set(leads.measured(source)["true"].index) == names
        tested = {str(leads.of_pages().names[k]): f for f in range(5) for k in dealt(f)[1].test}
        tested |= {str(ludb.RECORDS[k]): f for f in range(5) for k in dealt(f)[0].test}
        assert (frame["name"].map(tested) == frame["fold"]).all()


def test_a_lead_rebuilt_from_itself_is_itself():
    for matrix in leads.pairs().values():
        assert np.allclose(np.diagonal(matrix, axis1=1, axis2=2), 1)


def test_the_headline_on_true_leads_is_the_stored_headline():
    ours = leads.answers()["true | true"].set_index("file")[evaluate.PROBABILITIES]
    stored = study.load("grouped-headline").query("repeat == 0 and part == 'test'").set_index("file")
    assert np.abs(ours - stored.loc[ours.index, evaluate.PROBABILITIES]).max(axis=None) < 0.01


def test_the_pairs_agree_with_the_scores_from_lead_two():
    frame = leads.outputs("ludb").query("method == 'masked autoencoder'").set_index("name")
    with np.load(leads._sound("ludb", "pairs.npz", study.RESULTS)) as kept:
        names = kept["names"]
    both = frame.loc[names, "r_V3"].to_numpy() - leads.pairs()["masked autoencoder"][:, II, LEADS.index("V3")]
    assert np.abs(both).max() < 2e-4
