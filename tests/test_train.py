"""Training: recipes, the loop, resuming after a real kill, and everything that may be given or go wrong."""

import copy
import errno
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbook import networks, train
from ecgbook.data import EcgbookError
from ecgbook.train import Recipe

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

LIGHT = "mobilenet-v3-small"
QUICK = Recipe(epochs=3, batch=8)


def squares(n: int, seed: int = 0, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Light noise with a dark square in the corner that the label says: a child could learn it."""
    rng = np.random.default_rng(seed)
    pages, labels = rng.integers(180, 256, (n, size, size), dtype=np.uint8), np.arange(n) % 4
    half = size // 2
    for page, label in zip(pages, labels, strict=True):
        top, left = half * (label // 2), half * (label % 2)
        page[top + 3 : top + half - 3, left + 3 : left + half - 3] = rng.integers(0, 60)
    return pages, labels


def contrary(part: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Wrong labels: the better a network learns, the worse it does here."""
    return part[0], (part[1] + 1) % 4


def weights(network) -> dict[str, np.ndarray]:
    return {key: value.numpy().copy() for key, value in network.state_dict().items()}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def fit(recipe=QUICK, n: int = 16, name: str = LIGHT, seed: int = 0, **more):
    network = networks.build(name)
    history = train.fit(network, squares(n), squares(8, 1), recipe, seed, "cpu", **more)
    return network, history


def val_loss(network, part: tuple[np.ndarray, np.ndarray]) -> float:
    p = networks.probabilities(network, part[0])
    return float(-np.log(p[np.arange(len(part[1])), part[1]]).mean())


# --- recipes ---


def test_the_papers_recipe():
    paper = train.RECIPES["paper"]
    assert paper == Recipe()
    assert (paper.epochs, paper.lr, paper.optimizer, paper.schedule) == (20, 1e-3, "adam", "plateau")
    assert paper.patience < paper.stop < paper.epochs, "the rate is lowered before the training is given up"
    assert (paper.class_weights, paper.augment, paper.head_epochs, paper.weight_decay) == (
        False,
        False,
        0,
        0.0,
    )


def test_the_further_recipes_are_what_their_names_say():
    recipes = train.RECIPES
    assert list(recipes) == ["paper", "class-weights", "adamw-cosine", "augmented", "two-phase"]
    assert recipes["class-weights"] == Recipe(class_weights=True)
    assert recipes["augmented"] == Recipe(augment=True)
    assert (recipes["adamw-cosine"].optimizer, recipes["adamw-cosine"].schedule) == ("adamw", "cosine")
    assert recipes["two-phase"].head_epochs > 0
    for recipe in recipes.values():
        assert train._recipe(recipe) is recipe, "every recipe passes the checks"
        assert recipe.epochs <= 20


def test_the_table_of_unstated_choices_says_what_the_recipe_does():
    table = train.UNSTATED.set_index("choice")["ours"]
    paper = train.RECIPES["paper"]
    assert table["Pages a step"] == str(paper.batch)
    assert table["Patience of the schedule"] == f"{paper.patience} epochs"
    assert table["Patience of early stopping"] == f"{paper.stop} epochs"
    assert paper.precision in table["Precision"]
    training = train._begin(networks.build(LIGHT), paper)
    assert table["Factor of the schedule"] == str(training.schedule.factor)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("papper", "papper: no such recipe; did you mean paper"),
        (Recipe(optimizer="adamm"), "adamm: no such optimizer; did you mean adam"),
        (Recipe(schedule="cosinus"), "cosinus: no such schedule; did you mean cosine"),
        (Recipe(precision="float16"), "float16: no such precision"),
        (Recipe(epochs=0), "recipe: epochs is 0; give a positive number"),
        (Recipe(batch=-1), "recipe: batch is -1"),
        (Recipe(lr=math.nan), "recipe: lr is nan"),
        (Recipe(stop=0), "recipe: stop is 0"),
    ],
)
def test_impossible_recipes_are_refused(recipe, message):
    with pytest.raises(EcgbookError, match=message):
        fit(recipe)


# --- learning ---


@pytest.fixture(scope="module")
def learned():
    network, parts = networks.build("resnet18"), (squares(80, 0, 48), squares(32, 1, 48))
    return network, parts, train.fit(network, *parts, Recipe(epochs=4, batch=8), device="cpu")


def test_it_learns_what_a_child_could(learned):
    network, _, history = learned
    assert history["val_accuracy"].max() > 0.9
    assert history["train_loss"].iloc[-1] < 0.3 * history["train_loss"].iloc[0]
    fresh = squares(32, 2, 48)
    assert (networks.probabilities(network, fresh[0]).argmax(axis=1) == fresh[1]).mean() > 0.9


def test_the_history_is_a_table_of_epochs(learned):
    history = learned[2]
    assert list(history) == train.HISTORY == ["epoch", "train_loss", "val_loss", "val_accuracy", "lr"]
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert (history["lr"] == 1e-3).all()
    assert np.isfinite(history.to_numpy(float)).all()


def test_the_network_is_left_with_its_best_epoch(learned):
    network, (_, val), history = learned
    assert val_loss(network, val) == pytest.approx(history["val_loss"].min(), rel=1e-5)


def test_the_best_epoch_need_not_be_the_last():
    network, val = networks.build(LIGHT), contrary(squares(8, 1))
    history = train.fit(network, squares(32), val, Recipe(epochs=6, batch=8, stop=6), device="cpu")
    assert history["val_loss"].argmin() < 5, "the wrong labels punish learning"
    assert val_loss(network, val) == pytest.approx(history["val_loss"].min(), rel=1e-5)


def plateau(losses: list[float], recipe: Recipe) -> list[float]:
    """The rate of each epoch, by the rule in words: a tenth after more than `patience` epochs without a lower loss."""
    lr, rates, best, bad = recipe.lr, [], math.inf, 0
    for loss in losses:
        rates.append(lr)
        best, bad = (loss, 0) if loss < best * (1 - 1e-4) else (best, bad + 1)
        if bad > recipe.patience:
            lr, bad = lr / 10, 0
    return rates


def test_plateau_lowers_the_rate_and_early_stopping_stops():
    recipe = Recipe(batch=8, stop=5, lr=3e-3)
    network, val = networks.build(LIGHT), contrary(squares(8, 1))
    history = train.fit(network, squares(32), val, recipe, device="cpu")
    losses = history["val_loss"].tolist()
    assert len(losses) < recipe.epochs, "it stopped early"
    assert len(losses) == int(np.argmin(losses)) + 1 + recipe.stop
    assert history["lr"].tolist() == pytest.approx(plateau(losses, recipe))
    assert history["lr"].iloc[-1] == pytest.approx(3e-4)


def test_cosine_falls_along_half_a_cosine():
    recipe = Recipe(epochs=5, batch=8, lr=0.01, optimizer="adamw", weight_decay=0.05, schedule="cosine")
    _, history = fit(recipe)
    wanted = [0.005 * (1 + math.cos(math.pi * epoch / 5)) for epoch in range(5)]
    assert history["lr"].tolist() == pytest.approx(wanted)


def test_adamw_decays_weights_and_adam_does_not():
    begun = {name: train._begin(networks.build(LIGHT), recipe) for name, recipe in train.RECIPES.items()}
    assert type(begun["paper"].optimizer) is torch.optim.Adam
    assert type(begun["adamw-cosine"].optimizer) is torch.optim.AdamW
    assert begun["adamw-cosine"].optimizer.defaults["weight_decay"] == 0.05
    assert begun["paper"].optimizer.defaults["weight_decay"] == 0


@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_enter_the_loss(weighted):
    """One step over all pages at a rate of next to nothing: its loss is known beforehand."""
    pages, labels = squares(16)
    labels[:10] = 0  # a common class and rare ones
    network = networks.build("resnet18")  # it has no dropout
    twin = copy.deepcopy(network).train()
    with torch.no_grad():
        logp = twin(networks.to_input(torch.from_numpy(pages), "cpu")).log_softmax(dim=1).numpy()
    recipe = Recipe(epochs=1, batch=16, lr=1e-12, class_weights=weighted, precision="float32")
    history = train.fit(network, (pages, labels), squares(8, 1), recipe, device="cpu")
    own = -logp[np.arange(16), labels]
    weight = 16 / (4 * np.bincount(labels, minlength=4)[labels]) if weighted else np.ones(16)
    assert weight.mean() == pytest.approx(1)
    assert history["train_loss"].iloc[0] == pytest.approx((weight * own).sum() / weight.sum(), rel=1e-4)


def test_an_absent_class_has_a_finite_weight():
    assert np.isfinite(train._rarity(np.array([0, 0, 1])).numpy()).all()


def test_two_phases_leave_the_backbone_alone_at_first():
    """Its running averages and counters of batch normalisation too."""
    before = weights(networks.build(LIGHT))
    first, _ = fit(Recipe(epochs=1, batch=8, head_epochs=1))
    after = weights(first)
    assert same(*({k: v for k, v in some.items() if k.startswith("backbone.")} for some in (before, after)))
    assert not np.array_equal(before["head.weight"], after["head.weight"])
    states = {}
    network = networks.build(LIGHT)
    real = train._freeze

    def watched(module, frozen):
        states[len(states)] = (frozen, weights(module))
        real(module, frozen)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "_freeze", watched)
        train.fit(network, squares(16), squares(8, 1), Recipe(epochs=3, batch=8, head_epochs=2), device="cpu")
    assert [frozen for frozen, _ in states.values()][:3] == [True, True, False]
    key = next(key for key in before if key.endswith("running_mean"))
    assert np.array_equal(states[2][1][key], before[key]), "still after the second epoch, and its validation"
    changed = [key for key, value in weights(network).items() if not np.array_equal(value, before[key])]
    assert "head.weight" in changed
    assert all(parameter.requires_grad for parameter in network.parameters()), "freed in the end"


def test_the_second_phase_trains_the_backbone():
    before, (network, _) = weights(networks.build(LIGHT)), fit(Recipe(epochs=2, batch=8, head_epochs=0))
    changed = {key for key, value in weights(network).items() if not np.array_equal(value, before[key])}
    assert {key for key, _ in network.named_parameters()} <= changed


def test_mixed_precision_while_training_single_while_validating():
    seen = []
    for precision in ("bfloat16", "float32"):
        network = networks.build(LIGHT)
        conv = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
        conv.register_forward_hook(lambda module, _, out: seen.append((module.training, out.dtype)))
        train.fit(
            network, squares(8), squares(8, 1), Recipe(epochs=1, batch=8, precision=precision), device="cpu"
        )
    assert seen == [
        (True, torch.bfloat16),
        (False, torch.float32),
        (True, torch.float32),
        (False, torch.float32),
    ]


def test_the_seed_decides_and_the_callers_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, first = fit()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    two, second = fit()
    _, other = fit(seed=1)
    pd.testing.assert_frame_equal(first, second)
    assert same(weights(one), weights(two))
    assert not np.allclose(first["train_loss"], other["train_loss"], rtol=1e-6)


def test_the_network_is_ready_to_be_asked():
    network, _ = fit(Recipe(epochs=1, batch=8))
    assert not any(module.training for module in network.modules())
    conv = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_progress_is_told_after_each_epoch():
    told = []
    fit(progress=lambda *words: told.append(words))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_pages_lead_by_lead():
    rng = np.random.default_rng(0)
    parts = rng.integers(0, 256, (6, 13, 32, 40), dtype=np.uint8), np.arange(6) % 4
    network = networks.build(LIGHT, parts=13)
    assert len(train.fit(network, parts, parts, Recipe(epochs=1, batch=4), device="cpu")) == 1


# --- augmentation ---


def blob(x: float, y: float, size: int = 100) -> np.ndarray:
    """A soft dark spot on white."""
    grid = np.arange(size) + 0.5
    spot = np.exp(-((grid[None] - x) ** 2 + (grid[:, None] - y) ** 2) / (2 * 3**2))
    return (1 - 0.9 * spot).astype(np.float32)


def centre(page: np.ndarray) -> np.ndarray:
    dark = np.clip(page.max() * 0.8 - page, 0, None)
    grid = np.arange(page.shape[0]) + 0.5
    return np.array([(dark * grid).sum(), (dark * grid[:, None]).sum()]) / dark.sum()


def changed(page: np.ndarray, n: int, seed: int) -> np.ndarray:
    given = torch.from_numpy(page).expand(n, 1, *page.shape).clone()
    return train.augmented(given, torch.Generator().manual_seed(seed))[:, 0].numpy()


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31))
def test_augmented_pages_stay_pages(seed):
    rng = np.random.default_rng(seed)
    page = rng.integers(0, 256, (48, 64)).astype(np.float32) / 255
    out = changed(page, 4, seed)
    assert out.shape == (4, 48, 64)
    assert 0 <= out.min() <= out.max() <= 1
    assert np.array_equal(out, changed(page, 4, seed)), "the generator decides"
    assert len(np.unique(out, axis=0)) == 4, "each page its own way"


def test_augmented_pages_are_shifted_by_two_hundredths_at_most_and_never_flipped():
    moves = np.array([centre(page) for page in changed(blob(50, 50), 200, 0)]) - 50
    assert np.abs(moves).max() <= 2 * 1.031 + 0.3  # a shift of 2 %, scaled by 3 %, and what noise does
    assert np.abs(moves).max(axis=0).min() > 1.5, "both ways are used"
    corners = np.array([centre(page) for page in changed(blob(20, 30), 200, 1)])
    assert np.abs(corners - (20, 30)).max() < 3.5, "mirrored, it would lie at 80 or 70"


def test_augmented_pages_are_scaled_by_three_hundredths_at_most():
    both = np.minimum(blob(20, 20), blob(80, 80))
    lengths = []
    for page in changed(both, 200, 2):
        one, other = page.copy(), page.copy()
        one[50:], other[:50] = page.max(), page.max()
        lengths.append(np.linalg.norm(centre(other) - centre(one)) / np.hypot(60, 60))
    assert 0.965 < min(lengths) < 0.98
    assert 1.02 < max(lengths) < 1.036


def test_augmented_pages_are_tinted_by_a_tenth_and_a_little_noisy():
    out = changed(np.full((40, 40), 0.5, np.float32), 200, 3)
    means = out.mean(axis=(1, 2))
    assert 0.448 < means.min() < 0.46
    assert 0.54 < means.max() < 0.552
    assert out.std(axis=(1, 2)) == pytest.approx(0.02, rel=0.15)
    assert out.min() > 0.3, "what comes in at an edge is paper, not black"


def test_the_leads_of_one_page_move_together():
    page = torch.from_numpy(blob(50, 50)).expand(1, 13, 100, 100).clone()
    out = train.augmented(page, torch.Generator().manual_seed(4))[0].numpy()
    moves = np.array([centre(part) for part in out]) - 50
    assert np.abs(moves - moves[0]).max() < 0.3


@pytest.mark.parametrize(("name", "calls"), [("paper", 0), ("augmented", 2)])
def test_only_the_recipe_that_says_so_augments(monkeypatch, name, calls):
    seen, real = [], train.augmented
    monkeypatch.setattr(train, "augmented", lambda *given: seen.append(1) or real(*given))
    fit(train.RECIPES[name]._replace(epochs=1, batch=8))
    assert len(seen) == calls, "training pages only, each batch once"


# --- resuming ---

CHILD = """
import os, signal, sys
import torch
sys.path.insert(0, sys.argv[3])
import test_train
from ecgbook import networks
torch.set_num_threads(1)
moment, calls = sys.argv[2], []

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def on_call(n, real):
    def counted(*given, **more):
        calls.append(1)
        return die() if len(calls) == n else real(*given, **more)
    return counted

if moment == "in the third epoch":
    networks.to_input = on_call(2 * 3 + 2, networks.to_input)  # two batches and one of validation an epoch
if moment == "while the third state is written":
    os.replace = on_call(3, os.replace)
test_train.fit(test_train.LONG, state=test_train.Path(sys.argv[1]))
"""
LONG = Recipe(epochs=5, batch=8, augment=True, head_epochs=1, patience=0)


@pytest.fixture(scope="module")
def undisturbed():
    return fit(LONG)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("moment", ["in the third epoch", "while the third state is written"])
def test_killed_and_resumed_it_ends_where_an_undisturbed_one_does(moment, undisturbed, tmp_path):
    state = tmp_path / "state.pt"
    command = [sys.executable, "-c", CHILD, str(state), moment, str(Path(__file__).parent)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    told = []
    network, history = fit(LONG, state=state, progress=lambda epoch, _: told.append(epoch))
    assert told == [3, 4, 5], "two epochs were kept"
    pd.testing.assert_frame_equal(history, undisturbed[1], check_exact=True)
    assert same(weights(network), weights(undisturbed[0]))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A state after three epochs of three."""
    path = tmp_path_factory.mktemp("state") / "state.pt"
    network, history = fit(state=path)
    return path, network, history


def test_a_finished_training_is_not_repeated(kept, tmp_path):
    path, network, history = kept
    told = []
    again, same_history = fit(state=str(path), progress=lambda *words: told.append(words))
    assert told == []
    pd.testing.assert_frame_equal(history, same_history, check_exact=True)
    assert same(weights(again), weights(network))


def test_nothing_but_the_state_is_left_in_its_folder(kept):
    assert [file.name for file in kept[0].parent.iterdir()] == [kept[0].name]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.integers(0, 7))
def test_one_flipped_bit_is_found(kept, tmp_path_factory, place, bit):
    """torch alone would go on with another weight."""
    content = bytearray(kept[0].read_bytes())
    content[place % len(content)] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "flipped.pt"
    path.write_bytes(content)
    with pytest.raises(EcgbookError, match=r"is damaged, or no state of a training; remove it and run again"):
        fit(state=path)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", None, "short"])
def test_what_is_no_state_is_refused(kept, tmp_path, content):
    path = tmp_path / "state.pt"
    if content is None:
        torch.save({"terms": 1}, path)
    else:
        path.write_bytes(kept[0].read_bytes()[:-1] if content == "short" else content)
    before = path.read_bytes()
    with pytest.raises(EcgbookError, match=r"state.pt: is damaged, or no state of a training"):
        fit(state=path)
    assert path.read_bytes() == before


def test_a_folder_is_no_state(tmp_path):
    with pytest.raises(EcgbookError, match="cannot be read"):
        fit(state=tmp_path)


def test_a_state_of_another_training_is_refused(kept):
    path = kept[0]
    before = path.read_bytes()
    pages, labels = squares(16)
    other = {
        "lr": lambda: fit(QUICK._replace(lr=0.01), state=path),
        "augment, batch": lambda: fit(QUICK._replace(augment=True, batch=4), state=path),
        "seed": lambda: fit(seed=1, state=path),
        "network": lambda: fit(name="resnet18", state=path),
        "pages": lambda: fit(n=12, state=path),
    }
    for words, begin in other.items():
        with pytest.raises(EcgbookError, match=rf"was begun with other {words}; remove it and run again"):
            begin()
    for train_part, val_part in [
        ((pages, labels[::-1]), squares(8, 1)),
        ((pages[::-1], labels), squares(8, 1)),
        ((pages, labels), squares(8, 2)),
    ]:
        with pytest.raises(EcgbookError, match="was begun with other pages"):
            train.fit(networks.build(LIGHT), train_part, val_part, QUICK, device="cpu", state=path)
    assert path.read_bytes() == before


def test_a_full_disk_is_told_and_the_old_state_stays(monkeypatch, tmp_path, undisturbed):
    path, writes = tmp_path / "state.pt", []

    class Full:
        """Like a file; from the second state on the disk is full in the middle of it."""

        def __init__(self, *given):
            self.file = open(*given)  # noqa: SIM115

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, piece):
            writes.append(1)
            if len(writes) == 4:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(piece)

    with monkeypatch.context() as patch:
        patch.setattr(train, "open", Full, raising=False)
        with pytest.raises(EcgbookError, match=r"state.pt: cannot be written \(no space left on device\)"):
            fit(LONG, state=path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    told = []
    network, history = fit(LONG, state=path, progress=lambda epoch, _: told.append(epoch))
    assert told == [2, 3, 4, 5]
    pd.testing.assert_frame_equal(history, undisturbed[1], check_exact=True)
    assert same(weights(network), weights(undisturbed[0]))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_disk_that_is_really_full(kept, tmp_path, monkeypatch):
    """torch alone would tell of "unexpected pos"."""
    with monkeypatch.context() as patch:
        patch.setattr(train, "open", lambda _, mode: open("/dev/full", mode), raising=False)  # noqa: SIM115
        with pytest.raises(EcgbookError, match="no space left on device"):
            fit(state=tmp_path / "state.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_state_whose_folder_is_absent(tmp_path):
    with pytest.raises(EcgbookError, match="cannot be written"):
        fit(state=tmp_path / "absent" / "state.pt")


# --- what may be given ---


def test_a_loss_that_is_no_number_ends_it_with_a_sentence(tmp_path):
    path = tmp_path / "state.pt"
    with pytest.raises(
        EcgbookError, match=r"training: the loss is no number in epoch \d; lower the rate \(1e\+30\)"
    ):
        fit(Recipe(lr=1e30, batch=8), state=path)
    assert not path.exists() or train._whole(path), "what was kept, if anything, is whole"


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint64, np.int64])
def test_labels_of_any_whole_number(dtype):
    pages, labels = squares(8)
    _, wanted = fit(Recipe(epochs=1, batch=8), n=8)
    network = networks.build(LIGHT)
    history = train.fit(
        network, (pages, labels.astype(dtype)), squares(8, 1), Recipe(epochs=1, batch=8), device="cpu"
    )
    pd.testing.assert_frame_equal(history, wanted, check_exact=True)


def test_a_read_only_memory_map_and_a_column_of_labels(tmp_path):
    pages, labels = squares(8)
    np.save(tmp_path / "pages.npy", pages)
    labels.setflags(write=False)
    mapped = np.load(tmp_path / "pages.npy", mmap_mode="r")
    column = pd.Series(labels, index=np.arange(8) + 100)
    recipe = Recipe(epochs=1, batch=8)
    history = train.fit(
        networks.build(LIGHT),
        (mapped, column),
        (mapped, labels),
        recipe,
        device="cpu",
        state=tmp_path / "s.pt",
    )
    assert len(history) == 1
    assert np.array_equal(mapped, pages)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], "train: 4 pages and 3 labels; give each page its label"),
        ([[0, 1, 2, 3]], "train: 4 pages and 4 labels"),
        ([0, 1, 2, 4], "train: has labels other than 0 to 3; number the classes"),
        ([0, 1, 2, -100], "train: has labels other than 0 to 3"),
        ([0.0, 1.0, 2.0, 3.0], "train: has labels other than 0 to 3"),
        (["MI", "Normal", "MI", "Normal"], "train: has labels other than 0 to 3"),
    ],
)
def test_labels_that_fit_no_page_or_class(labels, message):
    with pytest.raises(EcgbookError, match=message):
        train.fit(networks.build(LIGHT), (squares(4)[0], labels), squares(4), device="cpu")


def test_pages_that_do_not_fit():
    pages, labels = squares(4)
    for train_part, val_part, message in [
        ((pages / 255, labels), (pages, labels), "train: are float64; give an array of uint8"),
        ((pages, labels), (pages[:0], labels[:0]), r"val: have the shape \(0, 32, 32\)"),
        ((pages, labels), (np.stack([pages] * 13, 1), labels), r"val: have the shape \(4, 13, 32, 32\)"),
        ((pages[:, :20], labels), (pages, labels), r"train: have the shape \(4, 20, 32\)"),
    ]:
        with pytest.raises(EcgbookError, match=message):
            train.fit(networks.build(LIGHT), train_part, val_part, device="cpu")


def test_an_unknown_device_is_refused():
    with pytest.raises(EcgbookError, match="cdua: no such device; did you mean cuda"):
        train.fit(networks.build(LIGHT), squares(4), squares(4), device="cdua")


@pytest.mark.parametrize(("n", "batch"), [(9, 8), (1, 8), (4, 1)])
def test_one_small_page_left_over_is_told(n, batch):
    """Batch normalisation cannot take it: the spread of one number is nought."""
    with pytest.raises(EcgbookError, match="train: one small page is left over"):
        fit(Recipe(epochs=1, batch=batch), n=n)


@pytest.mark.parametrize("name", list(networks.NETWORKS))
def test_one_larger_page_left_over_is_no_trouble(name):
    network = networks.build(name)
    pages, labels = squares(3, size=64)
    history = train.fit(network, (pages, labels), (pages, labels), Recipe(epochs=1, batch=2), device="cpu")
    assert np.isfinite(history["train_loss"]).all()


# --- bars ---


def bare_loop(pages: np.ndarray, labels: np.ndarray, recipe: Recipe):
    """What anyone would write with torchvision, its batches ready in memory; returns a function that does an epoch."""
    from torchvision.models import resnet18

    network = resnet18(num_classes=4).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), recipe.lr)
    x = (torch.from_numpy(pages).float() / 255)[:, None].expand(-1, 3, -1, -1)
    batches = [
        (rows.contiguous(memory_format=torch.channels_last), y)
        for rows, y in zip(x.split(recipe.batch), torch.from_numpy(labels).split(recipe.batch), strict=True)
    ]

    def epoch() -> None:
        for rows, y in batches:
            with torch.autocast("cpu", torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(network(rows), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return epoch


def in_turns(one, other, rounds: int) -> float:
    """Median ratio of the processor times of two jobs done in turns, so that both meet the same weather."""
    ratios = []
    for k in range(rounds):
        taken = {}
        for job in (one, other) if k % 2 else (other, one):
            started = time.process_time()
            job()
            taken[job] = time.process_time() - started
        ratios.append(taken[one] / taken[other])
    return float(np.median(ratios))


def test_throughput_is_that_of_a_bare_loop():
    """One thread; other programs disturb the ratio by a hundredth or two, so it may be measured three times."""
    recipe, (pages, labels) = Recipe(), squares(16, size=64)
    training = train._begin(networks.build("resnet18").to(memory_format=torch.channels_last), recipe)
    bare, y = bare_loop(pages, labels, recipe), torch.from_numpy(labels)

    def ours() -> None:
        train._epoch(training, pages, y, None, recipe, 0)

    in_turns(bare, ours, 2)  # the first turns warm up
    ratios = []
    while len(ratios) < 3 and not any(ratio >= 0.95 for ratio in ratios):
        ratios.append(in_turns(bare, ours, 15))
    assert max(ratios) >= 0.95, ratios


MEMORY = """
import resource, sys
import numpy as np
from ecgbook import networks, train
pages = np.random.default_rng(0).integers(0, 256, (32, 224, 224), dtype=np.uint8)
labels = np.arange(32) % 4
recipe = train.RECIPES["paper"]._replace(epochs=1)
train.fit(networks.build("resnet18"), (pages, labels), (pages, labels), recipe, device="cpu",
          state=train.Path(sys.argv[1]))
try:  # of this program alone; ru_maxrss remembers the one that started it
    words = open("/proc/self/status").read().split("VmHWM:")[1].split()
    print(int(words[0]) * 1024)
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_training_stays_under_four_gigabytes(tmp_path):
    ready = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path / "state.pt")],
        capture_output=True,
        text=True,
        check=False,
        env=ready,
    )
    assert child.returncode == 0, child.stderr
    peak = int(child.stdout)
    assert 2e8 < peak < 4e9
