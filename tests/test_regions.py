"""Explaining page networks: regions, methods on a planted signal, judging, and the stored run."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbook import data, draw, evaluate, networks, preprocess, regions, splits, synth, train
from ecgbook.data import CLASSES, EcgbookError
from ecgbook.regions import METHODS, REGIONS

# Regions


@given(st.integers(32, 300), st.integers(32, 300))
@settings(max_examples=20, deadline=None)
def test_every_pixel_lies_in_exactly_one_region(width, height):
    numbers = regions.mask(width, height)
    assert numbers.shape == (height, width)
    assert sum((numbers == k).sum() for k in range(len(REGIONS))) == numbers.size
    assert set(np.unique(numbers)) == set(range(len(REGIONS)))


def test_the_regions_lie_where_the_page_has_them():
    numbers, x, y = regions.mask(), 224 / draw.WIDTH, 224 / draw.HEIGHT
    for i, lead in enumerate(synth.LEADS):
        start = draw.LEFT + i // 3 * synth.COLUMN * draw.PX_SECOND
        for seconds in (0.05, 1.25, 2.45):  # the trace, near both its ends and in the middle
            pixel = numbers[int(draw.BASELINES[i % 3] * y), int((start + seconds * draw.PX_SECOND) * x)]
            assert REGIONS[pixel] == lead
    assert REGIONS[numbers[int(draw.BASELINES[3] * y), int((draw.LEFT + 5 * draw.PX_SECOND) * x)]] == "strip"
    assert REGIONS[numbers[int(draw.BASELINES[1] * y), int(113 * x)]] == "margin"  # a calibration pulse
    assert REGIONS[numbers[int(93 * y), 20]] == "header" and REGIONS[numbers[int(1554 * y), 20]] == "footer"


def test_the_regions_of_a_small_picture_have_the_same_shares():
    even = [regions.shares(np.ones((1, side, side)))[0] for side in (224, 1120)]
    assert np.allclose(*even, atol=0.01)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_shares_and_patches_add_up_to_one(seed):
    maps = np.random.default_rng(seed).normal(size=(3, 224, 224))
    maps[0] = 0  # nothing found
    maps[1] = -1  # nothing speaks for the class
    for parts in (regions.shares(maps), regions.patches(maps).reshape(3, -1)):
        assert np.allclose(parts.sum(axis=1), 1) and (parts >= 0).all()


def test_a_share_is_the_sum_within_the_region_not_of_its_pixels_positive_parts():
    maps = np.zeros((1, 224, 224))
    maps[0, 100, 100], maps[0, 100, 101], maps[0, 5, 5] = 3, -2, 1  # +1 in aVL, +1 in the header
    found = dict(zip(REGIONS, regions.shares(maps)[0].tolist(), strict=True))
    assert found["aVL"] == found["header"] == 0.5


def test_maps_that_are_no_numbers_are_refused():
    with pytest.raises(EcgbookError, match="no numbers"):
        regions.shares(np.full((1, 224, 224), np.nan))


def test_without_changes_the_named_regions_and_nothing_else():
    pages = np.random.default_rng(0).integers(0, 200, (2, 224, 224), dtype=np.uint8)
    paper = np.full((224, 224), 255, np.uint8)
    gone = regions.without(pages, paper, ("V1", "footer"))
    changed = (gone != pages).all(axis=0)
    assert (changed == np.isin(regions.mask(), [REGIONS.index("V1"), REGIONS.index("footer")])).all()
    assert (regions.without(pages, paper, REGIONS) == paper).all()
    with pytest.raises(EcgbookError, match="V1"):
        regions.without(pages, paper, ("V11",))


def test_each_band_shows_its_band_only():
    """Blacken the rest of a page: no pixel of the band's picture may change."""
    rng = np.random.default_rng(0)
    page = np.full((draw.HEIGHT, draw.WIDTH, 3), 255, np.uint8)
    page[rng.random(page.shape[:2]) < 0.05] = 0
    for band, rows in (("header", slice(0, 280)), ("ECG", slice(287, 1514)), ("footer", slice(1520, 1572))):
        other = np.zeros_like(page)
        other[rows] = page[rows]
        shown = [preprocess.apply(regions.BANDS[band], preprocess.Image.fromarray(p)) for p in (page, other)]
        assert np.array_equal(*shown) and min(shown[0].shape) >= 32


# Explaining a network whose secret is known


class _Stamp:
    """A network that looks at one place: class 3 if a stamp is there, class 0 if not."""

    place = (slice(8, 24), slice(176, 208))  # in the header

    @staticmethod
    def build():
        import torch

        class Network(torch.nn.Module):
            parts = 1

            def __init__(self):
                super().__init__()
                weight = torch.zeros(1, 1, 224, 224)
                weight[(0, 0, *_Stamp.place)] = 1 / (16 * 32)
                self.weight = torch.nn.Parameter(weight)
                self.backbone = torch.nn.Sequential(torch.nn.AvgPool2d(16))
                cells = torch.nn.functional.avg_pool2d(weight, 16)
                self.cells = torch.nn.Parameter(cells / cells.sum())

            def forward(self, x):
                dark = 1 - (self.backbone(x) * self.cells).sum(dim=(1, 2, 3))
                nothing = dark * 0
                return torch.stack([nothing, nothing - 9, nothing - 9, 30 * dark - 15], dim=1)

        return Network().eval()


@pytest.fixture(scope="module")
def stamped(one_thread):
    """Noisy pages with a stamp, the network that looks for it, and the background."""
    rng = np.random.default_rng(1)
    pages = rng.integers(150, 255, (6, 224, 224), dtype=np.uint8)
    paper = regions.background(pages)
    pages[(slice(None), *_Stamp.place)] = 0
    return _Stamp.build(), pages, np.full(6, 3), paper


@pytest.mark.parametrize("method", ["gradient", "integrated gradients", "occlusion"])
def test_the_methods_find_the_planted_place(stamped, method):
    network, pages, classes, paper = stamped
    assert (networks.probabilities(network, pages).argmax(axis=1) == 3).all()
    maps = regions.explain(network, pages, classes, method, paper)
    assert np.allclose(regions.shares(maps)[:, REGIONS.index("header")], 1, atol=0.02)


def test_deletion_and_insertion_follow_the_planted_place(stamped):
    network, pages, classes, paper = stamped
    right = np.zeros(pages.shape)
    right[(slice(None), *_Stamp.place)] = 1
    areas = {}
    for name, maps in {"right": right, "wrong": 1 - right, "lot": np.ones(pages.shape)}.items():
        inserted, deleted = regions.curves(network, pages, classes, regions.patches(maps), paper)
        assert np.allclose(inserted[:, -1], deleted[:, 0]) and np.allclose(inserted[:, 0], deleted[:, -1])
        areas[name] = (regions.area(inserted) - regions.area(deleted)).mean()
    assert areas["right"] > 0.8 and areas["wrong"] < -0.3
    assert areas["wrong"] < areas["lot"] < areas["right"]


def test_drops_are_those_of_the_region_that_counts(stamped):
    network, pages, classes, paper = stamped
    found = regions.drops(network, pages, classes, paper)
    assert (found.argmax(axis=1) == REGIONS.index("header")).all() and (found[:, 0] > 0.5).all()
    assert np.abs(np.delete(found, 0, axis=1)).max() < 0.01


def test_integrated_gradients_add_up_to_the_difference_of_the_scores(stamped):
    network, pages, classes, paper = stamped
    total = regions.explain(network, pages, classes, "integrated gradients", paper).sum(axis=(1, 2))
    score, base = (networks.logits(network, p)[:, 3] for p in (pages, paper[None]))
    assert np.allclose(total, score - base, rtol=0.02)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_grad_cam_finds_the_last_stage_of_every_network(name, one_thread):
    network = networks.build(name).eval()
    pages = np.random.default_rng(0).integers(0, 255, (2, 64, 64), dtype=np.uint8)
    maps = regions.explain(
        network, pages, np.array([0, 3]), "Grad-CAM", pages[0], stage=regions.LAST_STAGE[name]
    )
    assert maps.shape == (2, 64, 64) and (maps >= 0).all() and np.isfinite(maps).all()


def test_grad_cam_follows_the_class_and_not_only_the_page(one_thread):
    pages = np.random.default_rng(0).integers(0, 255, (2, 64, 64), dtype=np.uint8)
    network = regions.randomised("resnet18", 3, pages)
    one, other = (regions.explain(network, pages, np.full(2, k), "Grad-CAM", pages[0]) for k in (0, 1))
    assert not np.allclose(one, other)


def test_a_randomised_network_answers_within_reason_and_by_its_seed(one_thread):
    pages = np.random.default_rng(0).integers(0, 255, (8, 64, 64), dtype=np.uint8)
    scores = [networks.logits(regions.randomised("resnet18", seed, pages), pages) for seed in (0, 0, 1)]
    assert np.abs(scores[0]).max() < 10
    assert np.array_equal(scores[0], scores[1]) and not np.allclose(scores[0], scores[2])


def test_unknown_methods_and_pictures_of_floats_are_refused(one_thread):
    network, pages = networks.build("resnet18"), np.zeros((1, 64, 64), np.uint8)
    with pytest.raises(EcgbookError, match="Grad-CAM"):
        regions.explain(network, pages, np.array([0]), "GradCAM", pages[0])
    with pytest.raises(EcgbookError, match="uint8"):
        regions.explain(network, pages / 255, np.array([0]), "gradient", pages[0])


# Judging


def test_likeness_is_spearmans():
    from scipy.stats import spearmanr

    one, other = np.random.default_rng(0).integers(0, 9, (2, 4, 5, 5)).astype(float)  # with ties
    wanted = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one, other, strict=True)]
    assert np.allclose(regions.likeness(one, other), wanted)


def test_ties_are_broken_by_lot_and_the_rest_by_relevance():
    values = np.zeros((1, 196))
    values[0, 77] = 1
    ranks = np.stack([regions._order(values, seed)[0] for seed in range(40)])
    assert (ranks[:, 77] == 0).all() and (np.sort(ranks, axis=1) == np.arange(196)).all()
    assert len({tuple(rank) for rank in ranks}) == 40 and ranks[:, 0].std() > 20


def test_an_interval_draws_groups_not_pages():
    files = data.pages().groupby("group")["file"].apply(list)
    largest = files[files.str.len().idxmax()]
    alone = [rows[0] for rows in files[files.str.len() == 1][: len(largest)]]
    values = pd.Series(np.r_[np.ones(len(largest)), np.zeros(len(alone))], [*largest, *alone])
    mean, low, high = regions.interval(values)
    spread = regions.interval(
        pd.Series(values.to_numpy(), data.pages().drop_duplicates("group")["file"][: len(values)])
    )
    assert mean == 0.5 and high - low > spread[2] - spread[1]


# The stored run


@pytest.fixture(scope="module")
def note():
    return regions.note()


def test_the_stored_run_is_whole_and_small(note):
    folder = regions.RESULTS / regions.RUN
    assert set(note["sha256"]) | {"run.json"} == {path.name for path in folder.iterdir()}
    assert all(data.digest(folder / file)[1] == digest for file, digest in note["sha256"].items())
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


def test_the_stored_run_comes_from_the_code_as_it_stands(note):
    from ecgbook import inputs

    wanted = regions._code(splits, preprocess, inputs, networks, train)
    assert note["code"] == wanted | {"regions": regions._asking_code()}
    assert note["settings"] == regions.RECIPE._asdict() and note["columns"] == regions.COLUMNS


def test_stored_shares_add_up_to_one_and_drops_are_probabilities():
    outputs = regions.load("outputs.csv")
    values = outputs[list(REGIONS)].to_numpy()
    shares = values[outputs["what"] == "share"]
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-3) and (shares >= 0).all()
    assert (np.abs(values) <= 1).all()


def test_stored_pages_are_the_test_part_of_the_fold(note):
    tested = data.pages()["file"].iloc[regions.study.deal(regions.STUDY)[0, 0].test]
    answers, outputs, judged = (regions.load(f"{name}.csv") for name in ("answers", "outputs", "judged"))
    assert all(sorted(rows["file"]) == sorted(tested) for _, rows in answers.groupby(["network", "left"]))
    assert set(judged["file"]) == set(outputs["file"]) < set(tested)
    by_class = data.pages().set_index("file")["label"].loc[judged["file"].unique()].value_counts()
    assert by_class.sum() == note["judged"] and set(by_class) == {regions.JUDGED}


def test_stored_answers_are_probabilities_of_the_right_pages():
    answers = regions.load("answers.csv")
    assert np.allclose(answers[evaluate.PROBABILITIES].sum(axis=1), 1, atol=1e-3)
    label = data.files().set_index("file")["label"]
    assert (answers["label"] == label.loc[answers["file"]].to_numpy()).all()
    assert set(answers["label"]) == set(CLASSES)


def test_stored_curves_and_areas_agree():
    curves, judged = regions.load("curves.csv"), regions.load("judged.csv")
    keys = ["network", "method", "other"]
    for what in ("insertion", "deletion"):
        areas = judged[judged["what"] == what].groupby(keys)["value"].mean()
        for key, curve in curves.groupby(keys):
            assert np.trapezoid(curve[what], curve["changed"]) == pytest.approx(areas[key], abs=1e-3)


def test_stored_maps_are_few_coarse_and_normalised():
    kept = regions.maps()
    assert len(kept.pop("files")) == len(CLASSES)
    for found in kept.values():
        assert found.shape == (4, 14, 14)
        assert np.allclose(found.astype(float).sum(axis=(1, 2)), 1, atol=0.01)


def test_a_changed_table_is_refused(tmp_path, note):
    folder = tmp_path / regions.RUN
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(note))
    (folder / "curves.csv").write_text("changed\n")
    with pytest.raises(EcgbookError, match="by hand"):
        regions.load("curves.csv", tmp_path)
    with pytest.raises(EcgbookError, match="no such run"):
        regions.load("curves.csv", tmp_path / "elsewhere")


def test_summary_has_a_row_for_each_method_and_a_control(note):
    table = regions.summary()
    assert table["method"].tolist() == list(METHODS)
    assert table.columns.tolist() == [
        "method", "model", "faithfulness", "control", "stability", "seconds",
    ]  # fmt: skip
    assert np.isfinite(table.select_dtypes("number")).all(axis=None) and (table["seconds"] > 0).all()


def test_the_first_network_is_the_one_of_the_stored_study():
    """Same fold, same seed, same recipe: at single precision the answers were those of grouped-resnet18."""
    study = regions.study.load("grouped-resnet18").query("fold == 0 and part == 'test'").set_index("file")
    told = regions.load("answers.csv").query("network == 'page, seed 0' and left == 'the whole page'")
    told = told.set_index("file").loc[study.index]
    apart = (told[evaluate.PROBABILITIES] - study[evaluate.PROBABILITIES]).abs().max(axis=1)
    assert apart.quantile(0.9) < 0.1
    assert np.corrcoef(told["p_Normal"], study["p_Normal"])[0, 1] > 0.99
