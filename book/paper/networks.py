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
# # Four CNNs compared
# The paper gives the small square pictures of the last chapter to four well-known networks and ranks them: DenseNet121
# first, ResNet34 last. This chapter says what such a network is, trains a small one while you wait, repeats the four
# trainings, and sets the paper's table beside ours. Then it asks what a ranking from one training each is worth.
#
# ```{admonition} What you will learn
# :class: learn
# - what a convolutional network does to a page, from nine numbers that slide over it to four probabilities;
# - how to read a training: two losses, a step size that falls, an epoch that is kept;
# - which choices the paper's recipe leaves open, what each of our runs chose, and what it scored;
# - why one training of each network proves little about the networks.
# ```
#
# **Running time:** about 40 seconds on a laptop, offline. The stored runs took longer; each says how long.

# %% [markdown]
# ## Nine numbers that slide
# To a program a page is a table of grey values. A {term}`convolution` lays a small table of weights, the *kernel*,
# over every place of it, multiplies what lies on top of each other, and adds up. The result is a new picture: bright
# where the page looks like the kernel, dark where it does not. Two kernels of nine weights, on a piece of a drawn
# page:

# %%
import json

import numpy as np
import pandas as pd
import torch
from torch import nn

from ecgbook import (
    data,
    draw,
    evaluate,
    figures,
    networks,
    preprocess,
    splits,
    study,
    synth,
    train,
)

figures.use()
torch.set_num_threads(1)

page = draw.draw_page(synth.record("MI", 0))[0]
all_but_equalising = preprocess.steps("crop-448x256")[:-1]
picture = 1 - preprocess.apply(all_but_equalising, page)  # ink is 1, paper is 0
piece = torch.from_numpy(picture[70:140, 225:331].copy())
kernels = {
    "a line that runs flat": [[-1, -1, -1], [2, 2, 2], [-1, -1, -1]],
    "a line that runs upright": [[-1, 2, -1], [-1, 2, -1], [-1, 2, -1]],
}
answers = {
    name: nn.functional.conv2d(piece[None, None], torch.tensor([[kernel]]).float())[0]
    for name, kernel in kernels.items()
}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three pictures of the same lead: the page; an answer in which the flat stretches of the curve shine; and one in which only the steep sides of the QRS complexes do. The lines of the grid glow faintly in both.", "classes": "paper dark-light"}, "figure": {"caption": "A piece of a synthetic page, and the answers of the two kernels (negative answers set to zero). Bright: the page looks like the kernel.", "name": "fig-networks-kernels"}}
import matplotlib.pyplot as plt

fig, axes = plt.subplots(1, 3, figsize=(7.6, 1.95))
shown = {"the page": 1 - piece} | {k: a[0].clamp(min=0) for k, a in answers.items()}
for ax, (name, values) in zip(axes, shown.items(), strict=True):
    ax.imshow(values, cmap="grey", vmin=0, vmax=1)
    ax.set_title(name)
    ax.axis("off")
facts = [(name, *v.shape, float(v.mean()), float(v.max())) for name, v in shown.items()]
facts = pd.DataFrame(facts, columns=["picture", "height", "width", "mean", "highest"])
figures.show(fig, facts, "networks_kernels", decimals=2)

# %% [markdown]
# We chose these weights. A {term}`convolutional neural network` does not: it starts with random ones, many kernels
# side by side, and finds by training which are useful. Five ideas make a network of them.
#
# - **Layers.** The answers of 8 kernels are 8 pictures, and the next layer lays its kernels over all 8 at once. The
#   first layer sees strokes, a later one can see "a steep stroke, then a raised flat one".
# - **Bending.** Between layers negative answers are set to zero (ReLU), or nearly so, without the kink (SiLU). If
#   nothing were bent, a hundred layers would be no more than one.
# - **Shrinking.** Every few layers the kernel moves two pixels at a time, so the pictures become half as wide and
#   high, and each number in them sees twice as much of the page.
# - **{term}`Batch normalisation <batch normalisation>`** {cite}`ioffe2015`. After a layer each kernel's answers are
#   shifted and scaled to mean 0 and deviation 1, measured in training on the pages of the current step. Afterwards,
#   when a single page is to be judged, running averages of these means and deviations are used. The two need not
#   agree.
# - **{term}`Backbone <backbone>` and {term}`head <head>`.** At the end each picture is averaged to one number, a
#   *feature*. All this is the backbone. The head is one layer more: four weighted sums of the features, one for each
#   class, which the softmax turns into four probabilities.
#
# ## A network in a dozen lines
# Here is one, with four layers, small enough for this page. `backbone` and `head` are the names under which the
# package's own networks keep their two parts, so `train.fit` takes this one too.


# %%
def layer(before, kernels):
    """3 x 3 kernels in steps of two pixels, batch normalisation, SiLU."""
    slide = nn.Conv2d(before, kernels, 3, stride=2, padding=1, bias=False)
    return [slide, nn.BatchNorm2d(kernels), nn.SiLU()]


class Small(nn.Module):
    parts = 1  # a page is given as one picture

    def __init__(self):
        super().__init__()
        layers = [*layer(1, 8), *layer(8, 16), *layer(16, 32), *layer(32, 32)]
        average = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.backbone = nn.Sequential(*layers, *average)
        self.head = nn.Linear(32, 4)

    def forward(self, page):
        return self.head(self.backbone(page.to(self.head.weight.dtype)))


def parameters(module):
    return sum(weights.numel() for weights in module.parameters())


# %% [markdown]
# What happens to a page of 84 x 48 pixels on its way through:

# %%
small, passing, rows = Small().eval(), torch.zeros(1, 1, 48, 84), []
for at in range(4):
    block = small.backbone[3 * at : 3 * at + 3]
    passing = block(passing)
    kernels, height, width = passing.shape[1:]
    rows.append(
        (f"layer {at + 1}", kernels, f"{width} x {height}", 2 ** (at + 2) - 1, block)
    )
rows.append(("average", 32, "1 x 1", None, nn.Identity()))
rows.append(("head", 4, "1 x 1", None, small.head))
steps = pd.DataFrame(
    rows, columns=["step", "pictures", "pixels", "sees (px a side)", "parameters"]
)
steps["parameters"] = steps["parameters"].map(parameters)
steps["sees (px a side)"] = steps["sees (px a side)"].astype("Int64")
figures.glue("networks-small", parameters(small), ",")
figures.table(steps, "networks_small")

# %% [markdown]
# From 4,032 grey values to 32 features to 4 scores, with {glue:text}`networks-small` {term}`parameters <parameter>`,
# the numbers that training may change.

# %% [markdown]
# ## A training while you wait
# Twenty drawn pages of each class to learn from, and eight others of each to check on. They go through the paper's
# four steps, but cropped to the grid first and smaller, so that the training takes seconds.

# %%
from functools import partial

STEPS = (
    preprocess.crop_to_grid,
    partial(preprocess.resize, width=84, height=48),
    preprocess.greyscale,
    preprocess.equalize,
)
drawn = [
    (preprocess.render(STEPS, draw.draw_page(synth.record(label, seed))[0]), k)
    for seed in range(28)
    for k, label in enumerate(data.CLASSES)
]
X = np.stack([np.asarray(one) for one, _ in drawn])
y = np.array([k for _, k in drawn])
learn, check = slice(0, 80), slice(80, 112)
print(X.shape, X.dtype, np.bincount(y[learn]), np.bincount(y[check]))

# %% [markdown]
# Training shows the network a few pages at a time (a *step*), compares its probabilities with the labels by the
# {term}`log loss`, which is here called cross-entropy, and moves every parameter a little in the direction that lowers
# the loss. How far, the {term}`learning rate` says. One pass through all pages is an {term}`epoch`. We take the
# paper's recipe as it is, in full precision, and train three times. Nothing differs but the seed, from which the first
# weights and the order of the pages are drawn. (SiLU and sixteen digits are a precaution: with ReLU, or with eight
# digits, the roundings of one processor and another grow to visibly different curves. We also tried larger pictures,
# 112 x 64: the seeds differed there too. We show the size at which it is plainest, so this is an illustration and no
# measurement.)

# %%
recipe = train.RECIPES["paper"]._replace(precision="float32")


def fit(seed, recipe=recipe):
    """Train a small network on drawn pages; return it and its history."""
    torch.manual_seed(seed)
    network = Small().double()
    parts = [(X[part], y[part]) for part in (learn, check)]
    return network, train.fit(network, *parts, recipe, seed, device="cpu")


trained = {seed: fit(seed) for seed in range(3)}
live = pd.concat(h.assign(seed=seed) for seed, (_, h) in trained.items())
kept = live.sort_values("val_loss").groupby("seed").head(1).sort_values("seed")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: with two seeds the training loss falls far below the validation loss; with the third the training ends after six epochs, when the validation loss has not fallen at all. Right: validation accuracy stays at chance for several epochs, then climbs with two seeds; the third never leaves chance.", "classes": "chart dark-light"}, "figure": {"caption": "The small network on drawn pages, three seeds. Left: training loss (thin, grey) and validation loss (thick, red, with a dot at the epoch that is kept). Right: validation accuracy on 32 pages; dotted: chance. Upright: the schedule lowered the rate of seed 1.", "name": "fig-networks-live"}}
fig, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.1))
for seed, style in enumerate(["-", "--", "-."]):
    h = live[live["seed"] == seed]
    left.plot(h["epoch"], h["train_loss"], style, color=figures.MUTED, linewidth=1)
    left.plot(h["epoch"], h["val_loss"], style, color=figures.ACCENT)
    right.plot(h["epoch"], h["val_accuracy"], style, color=figures.ACCENT)
    end = h.iloc[-1]
    left.text(end["epoch"] + 0.5, end["val_loss"], f"seed {seed}", va="center")
    right.text([16, 5, 11][seed], [0.83, 0.17, 0.45][seed], f"seed {seed}")
left.plot(kept["epoch"], kept["val_loss"], "o", color=figures.ACCENT, markersize=5)
for epoch in live["epoch"][live.groupby("seed")["lr"].diff() < 0]:
    left.axvline(epoch - 0.5, color="#d9dce1", linewidth=1.2, zorder=0)
    right.axvline(epoch - 0.5, color="#d9dce1", linewidth=1.2, zorder=0)
right.axhline(0.25, color=figures.MUTED, linewidth=1, linestyle=(0, (1, 2)))
left.set(xlabel="epoch", ylabel="loss", ylim=(0, 1.7), xticks=range(0, 21, 5))
right.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0, 1))
right.set_xticks(range(0, 21, 5))
drawn_numbers = live[["seed", *train.HISTORY]].assign(lr=live["lr"].map("{:g}".format))
figures.show(fig, drawn_numbers, "networks_live", decimals=2)

# %%
first, last = live[live["epoch"] == 1], live[live["epoch"] == recipe.epochs]
figures.glue("networks-live-first", first["train_loss"].mean(), ".1f")
figures.glue("networks-live-train", last["train_loss"].mean(), ".1f")
figures.glue("networks-live-val", last["val_loss"].mean(), ".1f")
found = (32 * kept.set_index("seed")["val_accuracy"]).round().astype(int)
for seed in range(3):
    figures.glue(f"networks-live-found-{seed}", int(found[seed]))
stuck = live[live["seed"] == 1]
figures.glue("networks-live-lowered", int((stuck["lr"] == recipe.lr).sum()))
figures.glue("networks-live-ended", len(stuck))

# %% [markdown]
# Three things to read, and they will come back with the real pages.
#
# - **The two losses part.** With seeds 0 and 2, the loss on the pages that are learned from falls from
#   {glue:text}`networks-live-first` to {glue:text}`networks-live-train`; on the others it ends near
#   {glue:text}`networks-live-val`. What the network goes on to learn are these eighty pages, not the classes:
#   {term}`overfitting`. So the weights of the epoch with the lowest *validation* loss are kept.
# - **The first epochs look hopeless.** The training loss falls, and the validation accuracy stays at one in four:
#   every page is given the same class. That is batch normalisation: the running averages, used on the validation
#   pages, lag behind weights that change quickly. An exercise below looks at it.
# - **The seed decides.** With seed 1 the hopeless epochs last longer than anybody's patience. After
#   {glue:text}`networks-live-lowered` of them the schedule divides the rate by ten, and after
#   {glue:text}`networks-live-ended` early stopping ends the training. What is kept has
#   {glue:text}`networks-live-found-1` of 32 pages right, one in four; the other two have
#   {glue:text}`networks-live-found-0` and {glue:text}`networks-live-found-2`. It is the same network, trained on the
#   same pages by the same recipe.

# %% [markdown]
# ## Four architectures, and two more
# The paper's networks differ in how layers are wired. In a **ResNet** {cite}`he2016` every two layers form a block
# whose input is added to its output: a block only has to learn what should change, and very deep stacks can be
# trained. In a **DenseNet** {cite}`huang2017` every layer is given the answers of *all* layers before it in its block,
# and adds a few pictures of its own. An **EfficientNet** {cite}`tan2019` splits a convolution into two cheap ones,
# first each picture by itself, then across pictures at each pixel, lets a small side network weigh the pictures, and
# scales depth, width and resolution together. **EfficientNet-Lite0** is its plainer form for telephones,
# **MobileNetV3** {cite}`howard2019` a lighter relative.
#
# The numbers in the names count layers with weights: ResNet18 has 17 convolutions in a chain and the head. (Three
# small ones on side paths are not counted, so the table says 20.) A multiplication is counted where a weight meets a
# pixel.

# %%
import warnings

NAMES = {
    "resnet18": "ResNet18",
    "resnet34": "ResNet34",
    "densenet121": "DenseNet121",
    "efficientnet-b0": "EfficientNet-B0",
    "efficientnet-lite0": "EfficientNet-Lite0",
    "mobilenet-v3-small": "MobileNetV3-small",
}


def work(network, size=224):
    """Multiplications of weights for one page, without computing them."""
    done = []

    def count(module, given, answer):
        each = module.weight[0].numel()
        done.append(answer.numel() * each)

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network.to("meta").eval()(torch.zeros(1, 1, size, size, device="meta"))
    return sum(done)


warnings.filterwarnings("ignore", r"\s*IProgress")  # a progress bar we do not use
rows = []
for key, name in NAMES.items():
    network = networks.build(key)
    convolutions = sum(isinstance(m, nn.Conv2d) for m in network.modules())
    features, size = network.head.in_features, parameters(network)
    rows.append((name, convolutions, size / 1e6, work(network) / 1e9, features))
columns = [
    "network",
    "convolutions",
    "parameters (million)",
    "multiplications a page (billion)",
    "features",
]
built = pd.DataFrame(rows, columns=columns)
by_name = built.set_index("network")
size = by_name["parameters (million)"]
figures.glue("networks-parameters-low", size.iloc[:4].min(), ".0f")
figures.glue("networks-parameters-high", size.iloc[:4].max(), ".0f")
figures.glue("networks-deep", by_name.loc["DenseNet121", "convolutions"])
figures.table(built, "networks_built", decimals=2)

# %% [markdown]
# The paper's four have between {glue:text}`networks-parameters-low` and {glue:text}`networks-parameters-high` million
# parameters, and 648 files to learn them from. The deepest, DenseNet121 with {glue:text}`networks-deep` convolutions,
# is one of the two smallest: its layers are thin.
#
# That so many parameters can be learned from so little is usually the merit of {term}`transfer learning`: the backbone
# has been trained before, on a million photographs of {term}`ImageNet` {cite}`deng2009`, and kernels for strokes and
# corners serve ECGs too. The paper says that it did so. It does not say from which weights.

# %% [markdown]
# ## The recipe, and what the paper does not say
# Of the training the paper {cite}`li2026` names the loss, the optimiser (Adam {cite}`kingma2015`) at a rate of
# $10^{-3}$, a schedule (`ReduceLROnPlateau`, which lowers the rate when the validation loss has not fallen for some
# epochs), {term}`early stopping`, and at most 20 epochs. Our recipe `paper` is that. `two-phase` is for weights that
# were trained before: the new head first learns alone, so that its random start does not spoil the backbone.

# %%
chosen = pd.DataFrame(
    {name: train.RECIPES[name]._asdict() for name in ("paper", "two-phase")}
)
figures.table(
    chosen.astype(str).rename_axis("setting").reset_index(), "networks_recipe"
)

# %% [markdown]
# Whoever rebuilds the study has to fill these gaps:

# %%
unstated = train.UNSTATED.rename(columns={"paper": "what the paper says"})
figures.table(unstated, "networks_unstated")

# %% [markdown]
# The widest gap is the weights at the start. torchvision's ImageNet weights are files of 20 to 90 MB that have to be
# fetched from another host. Where they are not at hand, we do not put something else in their place: the four networks
# were trained **from scratch**, that is, from random weights, and the rows with ImageNet weights say "not run here"
# until somebody runs them. One row shows transfer learning all the same. EfficientNet-Lite0 is no network of the
# paper, but its ImageNet weights come as a Python package.

# %% [markdown]
# ## What was run
# Every run sees the paper's 224 x 224 picture of the *real* page {cite}`khan2021` under the {term}`protocol` `paper`:
# all 928 files, split at random by class into 648 for training, 140 for validation and 140 for testing.

# %%
files = data.files()
split = splits.holdout("paper", files, seed=0)
twin = splits.leaked(split, files["sha256"])
tested = files.iloc[split.test].assign(twin=twin)
figures.glue("networks-test", len(tested))
figures.glue("networks-twins", int(twin.sum()))
figures.glue("networks-twins-share", twin.mean(), ".0%")
val_twins = files["sha256"].iloc[split.val].isin(files["sha256"].iloc[split.train])
figures.glue("networks-val-twins", int(val_twins.sum()))
lookup = (tested["twin"] | (tested["label"] == "Abnormal")).mean()
figures.glue("networks-lookup", lookup, ".2f")

# %% [markdown]
# ```{warning}
# **All scores of real pages in this chapter leak.** Of the {glue:text}`networks-test` test files
# {glue:text}`networks-twins` ({glue:text}`networks-twins-share`) have an identical copy among the files trained on,
# and the validation files that choose the epoch are no better. [](../audit/copies.ipynb) shows how that came about. A
# program that never opens a picture, [the look-up](../audit/lookup.ipynb), has {glue:text}`networks-lookup` of these
# very test files right. The scores stand here to be compared with the paper's, which were measured in this way. What
# the networks can do is the subject of [](../audit/study.ipynb).
# ```

# %%
declared = {
    run: s
    for run, s in study.DECLARED.items()
    if s.protocol == "paper" and s.model in networks.NETWORKS and s.input == "page"
}
done = study.finished(list(declared))
START = {"none": "from scratch", "imagenet": "ImageNet"}


def described(run):
    s = declared[run]
    words = [START.get(s.weights, s.weights)]
    words += [f"{s.repeats} seeds"] if s.repeats > 1 else []
    words += [s.recipe] if s.recipe not in ("paper", "two-phase") else []
    return NAMES[s.model], ", ".join(words)


def title(run):
    return "{}, {}".format(*described(run))


rows = []
for run, s in declared.items():
    state = ("stored", run)
    if run not in done:
        state = ("not run here", f"ecgbook study run {run}")
    rows.append((*described(run), s.recipe, *state))
columns = ["network", "weights at the start", "recipe", "state", "run, or command"]
figures.glue("networks-done", len(done))
figures.glue("networks-declared", len(declared))
figures.table(pd.DataFrame(rows, columns=columns), "networks_runs")

# %% [markdown]
# {glue:text}`networks-done` of {glue:text}`networks-declared` declared runs are stored with the book, in
# `book/results/<run>/`: `run.json` says what was run on what, `predictions.csv` holds four probabilities for every
# validation and test file, `history.csv` every epoch. No metric is stored; all that follow are computed here.

# %%
single = [run for run in done if declared[run].repeats == 1]
predictions = {run: study.load(run) for run in done}
histories = [study.history(run).assign(run=run) for run in single]
notes = [json.loads((study.RESULTS / run / "run.json").read_text()) for run in done]


# %%
HOW = ["minutes", "seconds an epoch", "memory (GB)"]
rows = []
for run, note in zip(done, notes, strict=True):
    epochs = len(study.history(run))
    wall, peak = note["wall_s"], note["peak_rss_mb"] / 1000
    each = (wall / 60, wall / epochs, peak)
    rows.append((*described(run), epochs, *each, note["device"]))
columns = ["network", "weights at the start", "epochs", *HOW, "device"]
cost = pd.DataFrame(rows, columns=columns)
figures.table(cost, "networks_cost", decimals=1)

# %% [markdown]
# The times are those of one machine with other work on it, one thread to each training.
#
# ## How they learned

# %% tags=["hide-input"] mystnb={"image": {"alt": "One column for each network that was trained: above, the training loss falls to a few hundredths, while the validation loss starts higher, jumps about, and settles well above it; below, the validation accuracy jumps with it.", "classes": "chart dark-light"}, "figure": {"caption": "The stored trainings under the paper's protocol. Above: training loss (thin, grey) and validation loss (thick, red, with a dot at the epoch that was kept), on a logarithmic scale. Below: validation accuracy. Upright lines: the schedule lowered the rate.", "name": "fig-networks-curves"}}
core = [run for run in declared if run in study.STUDIES]
fig, axes = plt.subplots(
    2, len(core), figsize=(7.6, 4.0), sharex=True, sharey="row", squeeze=False
)
for run, (upper, lower) in zip(core, axes.T, strict=True):
    upper.set_title("{}\n{}".format(*described(run)), fontsize=8.5)
    lower.set_xlabel("epoch")
    if run not in done:
        upper.text(10, 1, "not run here", color=figures.MUTED, ha="center")
        continue
    h = study.history(run)
    best = h.loc[h["val_loss"].idxmin()]
    upper.plot(h["epoch"], h["train_loss"], color=figures.MUTED, linewidth=1.2)
    upper.plot(h["epoch"], h["val_loss"], color=figures.ACCENT)
    upper.plot(best["epoch"], best["val_loss"], "o", color=figures.ACCENT, markersize=5)
    lower.plot(h["epoch"], h["val_accuracy"], color=figures.ACCENT)
    for ax in (upper, lower):
        for epoch in h["epoch"][h["lr"].diff() < 0]:
            ax.axvline(epoch - 0.5, color="#d9dce1", linewidth=1, zorder=0)
axes[0, 0].set(ylabel="loss", yscale="log", ylim=(0.005, 50))
axes[0, 0].set(xlim=(0, 21), xticks=[1, 10, 20])
axes[1, 0].set(ylabel="validation accuracy", ylim=(0, 1.02))
order = ["run", *study.HISTORY]
curves = pd.concat(histories)[order] if histories else pd.DataFrame(columns=order)
figures.show(fig, curves, "networks_curves", decimals=5)

# %%
rows = []
for h in histories:
    best, run = h.loc[h["val_loss"].idxmin()], h["run"].iloc[0]
    cuts = int((h["lr"].diff() < 0).sum())
    at = (len(h), int(best["epoch"]), cuts)
    rows.append((title(run), *at, *best[["train_loss", "val_loss", "val_accuracy"]]))
columns = [
    "network",
    "epochs",
    "epoch kept",
    "rate lowered",
    "training loss",
    "validation loss",
    "validation accuracy",
]
ends = pd.DataFrame(rows, columns=columns)
factor = (ends["validation loss"] / ends["training loss"]).astype(float)
wider = int((factor > 2).sum())
figures.glue("networks-parted", f"{wider} of {len(ends)}")
figures.table(ends, "networks_ends")

# %% [markdown]
# The last three columns are those of the kept epoch. In {glue:text}`networks-parted` stored trainings the validation
# loss of that epoch is more than twice the training loss. Of the 140 validation files {glue:text}`networks-val-twins`
# have a copy in training, so even this distance is too small.

# %% [markdown]
# ## Table 2, the paper's beside ours
# The paper's recall equals its accuracy in every row. That happens when precision, recall and {term}`F1` are averaged
# over the classes with the class sizes as weights (an exercise below), so ours are averaged in this way here. How it
# averages the {term}`AUC` the paper does not say; ours is weighted by class size, too.

# %%
theirs = pd.read_csv(data.tables() / "paper_table2.csv").set_index("model")
MEASURES = {
    "accuracy": "test accuracy",
    "precision_weighted": "precision",
    "recall_weighted": "recall",
    "f1_weighted": "F1",
    "auc_weighted": "AUC",
}


def scores(run):
    frame = predictions[run]
    validation = frame[frame["part"] == "val"].assign(part="test")
    first = evaluate.metrics(validation)["accuracy"]
    return [first, *evaluate.metrics(frame)[list(MEASURES)]]


rows = []
for key, name in NAMES.items():
    if name in theirs.index:
        rows.append((name, "the paper: “transfer learning”", *theirs.loc[name], ""))
    for run in (run for run in declared if declared[run].model == key):
        values = scores(run) if run in done else [np.nan] * 6
        state = run if run in done else f"not run here: ecgbook study run {run}"
        rows.append((name, f"ours: {described(run)[1]}", *values, state))
columns = ["network", "whose", "validation accuracy", *MEASURES.values(), "run"]
table2 = pd.DataFrame(rows, columns=columns)
figures.table(table2, "networks_table2", decimals=4)

# %%
SAME = {s.model: run for run, s in declared.items() if run in study.STUDIES}
scratch = {NAMES[m]: run for m, run in SAME.items() if NAMES[m] in theirs.index}
scratch = {name: run for name, run in scratch.items() if run in done}
ours = {n: evaluate.metrics(predictions[r])["accuracy"] for n, r in scratch.items()}
ours = pd.Series(ours, dtype=float).sort_values(ascending=False)
paper = theirs.loc[[n for n in NAMES.values() if n in theirs.index], "test_accuracy"]
above = int((ours > paper.reindex(ours.index)).sum())
best = "".join(f"{name} with {v:.3f}" for name, v in ours[:1].items())
if len(ours) > 1:
    sentence = f"Of the paper's four networks {len(ours)} are stored here, trained from scratch. "
    sentence += (
        "The number that score above the network of the same name in the paper is "
    )
    sentence += f"{above}. The highest test accuracy is that of {best}."
    if above == len(ours):
        sentence += " So networks that had seen nothing before score above networks "
        sentence += "that are said to have been trained before."
elif len(ours) == 1:
    side = "above" if above else "not above"
    sentence = f"Of the four networks one is stored, trained from scratch: {best}, "
    sentence += f"which is {side} the paper."
else:
    sentence = "None of the four has been run here, so the paper stands alone."
figures.glue("networks-verdict", sentence)
figures.glue("networks-paper-best", paper.max(), ".3f")
figures.glue("networks-paper-worst", paper.min(), ".3f")

# %% [markdown]
# {glue:text}`networks-verdict` The paper reports from {glue:text}`networks-paper-worst` to
# {glue:text}`networks-paper-best`. Why two such tables differ cannot be read off them. The paper's split, its weights
# at the start, its batch, its patience are unknown, and the training you saw live was made or spoilt by its patience
# and its seed.
#
# ## Figure 2, with intervals
# The paper's Figure 2 is a bar chart of test accuracy. We draw it with ours beside it and with what a bar chart leaves
# out. The intervals of ours draw distinct pages anew, each with all its copies. For the paper's only "so many of 140"
# is known, so theirs treat the 140 files as independent, which copies are not: they should be wider.

# %%
unit = evaluate.units("paper")
rows = []
for name, accuracy in paper.items():
    low, high = evaluate.exact_interval(round(140 * accuracy), 140)
    rows.append((name, "paper", accuracy, low, high))
measured = evaluate.table(predictions, unit, ["accuracy"])
for at in measured.itertuples():
    whose = f"ours, {described(at.model)[1]}"
    name = described(at.model)[0]
    rows.append((name, whose, at.estimate, at.low, at.high))
columns = ["network", "whose", "test accuracy", "low", "high"]
bars = pd.DataFrame(rows, columns=columns)
figures.glue("networks-width", (bars["high"] - bars["low"])[:4].mean() / 2, ".2f")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Test accuracy by network, pale bars for the paper and filled ones for ours where a run is stored. The intervals of the paper's neighbouring networks overlap, and the look-up, a dotted line, stands above all four of the paper's bars.", "classes": "chart dark-light"}, "figure": {"caption": "Test accuracy by network: pale, the paper's Figure 2; filled, ours from scratch; hatched, ours with ImageNet weights. Whiskers: 95 % intervals. Dotted: the look-up on our split.", "name": "fig-networks-accuracy"}}
PALE = {"color": "#e3e6ea", "edgecolor": figures.MUTED}
FILLED = {"color": figures.COLOURS["Abnormal"]}
HATCHED = {"color": figures.COLOURS["Normal"], "hatch": "////"}
KINDS = {"paper": PALE, "ours, from scratch": FILLED, "ours, ImageNet": HATCHED}
fig, ax = plt.subplots(figsize=(7.4, 3.9))
at_network = {name: x for x, name in enumerate([*paper.index, "EfficientNet-Lite0"])}
lookup_of = bars.set_index(["network", "whose"])
for name, x in at_network.items():
    kinds = KINDS if name in paper.index else {"ours, ImageNet": HATCHED}
    for k, (whose, look) in enumerate(kinds.items()):
        place = x + 0.27 * (k - (len(kinds) - 1) / 2)
        dark = "white" if whose != "paper" else figures.INK
        if (name, whose) not in lookup_of.index:
            text = "not run here"
            ax.text(place, 0.02, text, rotation=90, ha="center", color=figures.MUTED)
            continue
        value, low, high = lookup_of.loc[(name, whose)]
        ax.bar(place, value, width=0.25, **look)
        ax.vlines(place, low, high, color=figures.INK, linewidth=1.3)
        box = {"boxstyle": "square,pad=0.25", "color": look["color"]}
        box = box if "hatch" in look else None  # figures on hatching need a ground
        ax.text(place, 0.06, f"{value:.2f}", ha="center", color=dark, bbox=box, size=8)
ax.axhline(lookup, color=figures.ACCENT, linestyle=":", linewidth=1.3)
ax.text(4.53, lookup, "look-up", color=figures.ACCENT, va="center")
ax.set_xticks(list(at_network.values()), at_network, fontsize=9.5)
ax.set(ylabel="test accuracy", ylim=(0, 1.02), xlim=(-0.5, 4.5))
figures.show(fig, bars, "networks_accuracy")

# %% [markdown]
# The paper's intervals reach about {glue:text}`networks-width` to either side. No two neighbours in its ranking can be
# told apart by them.
#
# ## What one training can say
# An interval for each says too little, since all networks are tested on the same files. So we compare in pairs, by
# the paired {term}`bootstrap`: how far would the difference of two have moved, had other pages been tested?

# %%
from itertools import combinations, pairwise

rows = []
for a, b in combinations(single, 2):
    pair = evaluate.compare(predictions[a], predictions[b], unit, ["accuracy"]).iloc[0]
    rows.append((title(a), title(b), pair["difference"], pair["low"], pair["high"]))
columns = ["network", "minus", "difference of accuracy", "low", "high"]
pairs = pd.DataFrame(rows, columns=columns)
sure = int(((pairs["low"] > 0) | (pairs["high"] < 0)).sum())
figures.glue("networks-sure", f"{sure} of {len(pairs)}" if len(pairs) else "no")
ranked = " > ".join(ours.index) if len(ours) > 1 else "not to be had yet"
figures.glue("networks-order-ours", ranked)
ranked = paper.sort_values(ascending=False).index
figures.glue("networks-order-paper", " > ".join(ranked))
figures.table(pairs, "networks_pairs")

# %% [markdown]
# The paper's order of the four is {glue:text}`networks-order-paper`. Ours, from scratch, is
# {glue:text}`networks-order-ours`. In {glue:text}`networks-sure` stored pairs the interval of the difference leaves
# zero out. And this interval knows only one kind of luck, which pages were tested. It does not know the other, which
# you saw live: train the same network again with another seed, and it scores differently. With one training each, a
# difference between two networks and a difference between two seeds are the same thing. {cite:t}`bouthillier2021`
# measured, for several tasks, that this variance is often as large as the differences papers report. The runs named
# `...-repeated` in the table above are declared for this: five seeds, five splits.

# %% [markdown]
# ## Class by class
# The paper gives recalls by class for its best hybrid alone, not for its networks. Ours, as shares of the 36 MI, 26
# History_MI, 35 Abnormal and 43 Normal test files:

# %%
recall = [f"recall_{label}" for label in data.CLASSES]
rows = [(*described(run), *evaluate.metrics(predictions[run])[recall]) for run in done]
by_class = pd.DataFrame(
    rows, columns=["network", "weights at the start", *data.CLASSES]
)
lowest = by_class[list(data.CLASSES)].astype(float).idxmin(axis=1).value_counts()
words = ", ".join(f"{label} in {n}" for label, n in lowest.items())
figures.glue("networks-hardest", words or "not known yet")
figures.table(by_class, "networks_recalls", decimals=2)

# %% [markdown]
# The class with the lowest recall, counted over the stored runs, is {glue:text}`networks-hardest`. The 36 MI test
# files show no more than 30 different ECGs, each of which was trained on; their column says how well a network
# remembers.
#
# The same, file by file:

# %% tags=["hide-input"] mystnb={"image": {"alt": "A strip of 140 test files by class. All MI files and more than half of History_MI and Normal are marked as having a copy in training, and no Abnormal file is; below it, a row for each stored run with its wrong answers marked.", "classes": "chart dark-light"}, "figure": {"caption": "The 140 test files, one thin column each, by class. Top row, dark: an identical copy was trained on. Rows below: red, the network is wrong.", "name": "fig-networks-files"}}
tested["order"] = tested["label"].map(data.CLASSES.index)
by_file = tested.sort_values(["order", "twin", "file"], ascending=[True, False, True])
raster, listed = [by_file["twin"].to_numpy()], []
for run in single:
    rows = predictions[run].query("part == 'test'").set_index("file")
    rows = rows.loc[by_file["file"]]
    called = rows[evaluate.PROBABILITIES].to_numpy().argmax(axis=1)
    raster.append(called != by_file["order"].to_numpy())
    here = rows[["label", *evaluate.PROBABILITIES]].reset_index()
    listed.append(here.assign(run=run, twin=raster[0], wrong=raster[-1]))
fig, ax = plt.subplots(figsize=(7.4, 0.55 + 0.3 * len(raster)))
for row, marks in enumerate(raster):
    colours = np.where(marks, figures.ACCENT if row else figures.INK, "#eceef1")
    ax.bar(range(140), 0.8, bottom=-row - 0.4, width=1, color=colours)
ax.set_yticks(range(0, -len(raster), -1), ["copy in training", *map(title, single)])
edges = by_file["order"].value_counts().sort_index().cumsum()
for label, right, n in zip(
    data.CLASSES, edges, edges.diff().fillna(edges), strict=True
):
    ax.axvline(right - 0.5, color="white", linewidth=3)
    ax.text(right - n / 2 - 0.5, 0.55, label, ha="center", va="bottom")
ax.set(xlim=(-0.5, 139.5), ylim=(-len(raster) + 0.5, 0.5), xticks=[])
ax.tick_params(length=0)
ax.spines[:].set_visible(False)
answers = pd.concat(listed) if listed else by_file[["file", "label", "twin"]]
figures.show(fig, answers, "networks_files", decimals=5)

# %%
errors = answers[answers["wrong"]] if listed else answers.iloc[:0]
figures.glue("networks-errors", len(errors))
figures.glue("networks-errors-new", int((~errors["twin"].astype(bool)).sum()))
figures.glue("networks-new", int((~twin).sum()))

# %% [markdown]
# Of the {glue:text}`networks-errors` wrong answers of all stored runs, {glue:text}`networks-errors-new` concern the
# {glue:text}`networks-new` files that the networks had not seen, which are fewer than half of the test files. The
# probabilities behind the picture can be downloaded below it.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-networks-1
# *Easy.* Count the parameters of the small network by hand, and then those of the first layer of ResNet18, which has
# 64 kernels of 7 x 7 weights over three colours.
# ```
#
# ```{solution-start} ex-networks-1
# :class: dropdown
# ```

# %%
sizes = [1, 8, 16, 32, 32]
by_hand = sum(9 * a * b + 2 * b for a, b in pairwise(sizes))
by_hand += 32 * 4 + 4
assert by_hand == parameters(small)
first_layer = networks.build("resnet18").backbone.conv1
assert parameters(first_layer) == 64 * 7 * 7 * 3
by_hand, 64 * 7 * 7 * 3

# %% [markdown]
# A layer has one 3 x 3 kernel for each pair of pictures before and after, and batch normalisation adds a scale and a
# shift for each picture after. ResNet18's first layer alone has more than half as many parameters as the whole small
# network.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-networks-2
# *Medium.* With seed 1 the schedule lowered the rate and the training ended. Write the rule of `ReduceLROnPlateau`
# yourself, replay it on the validation losses of that training, and check it against the rates in its history. Then
# train again with more patience, 5 epochs for the schedule and 8 for the end, which would have filled the gap in the
# paper's text as well.
# ```
#
# ```{solution-start} ex-networks-2
# :class: dropdown
# ```

# %%
rate, lowest, waited, rates = recipe.lr, np.inf, 0, []
_, history = trained[1]
for loss in history["val_loss"]:
    rates.append(rate)
    if loss < lowest * (1 - 1e-4):
        lowest, waited = loss, 0
    else:
        waited += 1
    if waited > recipe.patience:
        rate, waited = rate / 10, 0
assert np.allclose(rates, history["lr"]) and min(rates) < recipe.lr

_, patient = fit(1, recipe._replace(patience=5, stop=8))
assert patient["val_loss"].min() < history["val_loss"].min()
keeps = [h.loc[h["val_loss"].idxmin()] for h in (history, patient)]
print("right of 32:", [round(32 * best["val_accuracy"]) for best in keeps])

# %% [markdown]
# An improvement must be at least one part in ten thousand; after more than two epochs without one, the rate is divided
# by ten. The validation loss did not rise because learning had ended: the training loss was falling well. It rose
# because the averages of batch normalisation lagged. The schedule cannot tell one from the other. Two numbers, which
# the paper does not state, decide how far this training comes.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-networks-3
# *Medium.* Give the trained small network one page alone, and the same page together with 31 others, in training mode
# and in evaluation mode. When does the company change the answer? Then train for a single epoch and count the right
# answers in both modes.
# ```
#
# ```{solution-start} ex-networks-3
# :class: dropdown
# ```

# %%
pages = networks.to_input(torch.from_numpy(X[check].copy()), "cpu")


def ask(network, pages, mode):
    network.train(mode == "training")
    with torch.no_grad():
        return network(pages).numpy()


change, right_after_one = {}, {}
early, _ = fit(0, recipe._replace(epochs=1))
for mode in ("training", "evaluation"):
    alone, together = (ask(trained[0][0], given, mode) for given in (pages[:1], pages))
    change[mode] = round(float(np.abs(alone[0] - together[0]).max()), 1)
    right_after_one[mode] = int(
        (ask(early, pages, mode).argmax(axis=1) == y[check]).sum()
    )
assert change["training"] > 0.1 and change["evaluation"] == 0
assert right_after_one["training"] > right_after_one["evaluation"]
print("change of a score:", change)
print("right of 32 after one epoch:", right_after_one)

# %% [markdown]
# In training mode batch normalisation measures mean and deviation on the pages of the step, so an answer depends on
# the company. In evaluation mode it uses the running averages, and a page is judged by itself, as it must be: a page
# that is tested must not learn from its neighbours in the test. The price is the lag. After one epoch the layers
# already know something, as training mode shows, and evaluation mode does not see it yet.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-networks-4
# *Medium.* Show on paper that the recall weighted by class size is the accuracy. Check it in the paper's Table 2, and
# on predictions, from their confusion matrix.
# ```
#
# ```{solution-start} ex-networks-4
# :class: dropdown
# ```
# Let $h_k$ be the hits among the $n_k$ files of class $k$, and $n = \sum_k n_k$. Then
#
# $$\sum_k \frac{n_k}{n} \frac{h_k}{n_k} = \frac{1}{n} \sum_k h_k,$$
#
# which is the accuracy: the sizes cancel.

# %%
assert (theirs["recall"] == theirs["test_accuracy"]).all()
for frame in [evaluate.example(), *predictions.values()]:
    counts = evaluate.confusion(frame)
    sizes, hits = counts.sum(axis=1), np.diag(counts)
    weighted = ((hits / sizes) * sizes / sizes.sum()).sum()
    assert np.isclose(weighted, evaluate.metrics(frame)["accuracy"], atol=1e-6)
print("equal in", len(theirs), "rows of the paper")

# %% [markdown]
# So the column "recall" of such a table repeats its column "accuracy" and says nothing about the rare class. The
# {term}`balanced accuracy`, the plain mean of the recalls, would.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-networks-5
# *Hard.* The paper's two ResNets are 7 of 140 files apart. Suppose both were equally good, right with the mean of
# their two accuracies on each file, independently. How often would they be at least 7 files apart?
# ```
#
# ```{solution-start} ex-networks-5
# :class: dropdown
# ```

# %%
from scipy.stats import binom

gap = round(140 * (paper["ResNet18"] - paper["ResNet34"]))
chance = binom.pmf(np.arange(141), 140, paper[["ResNet18", "ResNet34"]].mean())
apart = np.abs(np.subtract.outer(np.arange(141), np.arange(141))) >= gap
often = float((np.outer(chance, chance) * apart).sum())
assert gap == 7 and 0.2 < often < 0.6
round(often, 2)

# %% [markdown]
# In about two pairs of five. Two networks that stumble over the same files would be closer together, and two seeds,
# two splits, or copies in the test part would drive them farther apart. Seven files are no finding.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - A convolutional network slides small learned kernels over a page, layer upon layer; its backbone makes features,
#   its head four scores.
# - The validation loss lowers the rate, ends the training and picks the epoch. It can mislead all three.
# - "Transfer learning" without saying which weights, in which batches, with how much patience, cannot be repeated;
#   what could not be run here is named so, with its command.
# - {glue:text}`networks-twins` of the {glue:text}`networks-test` test files were trained on under another name, and
#   looking those up beats all four networks of the paper.
# - One training each is no ranking: the seed alone moves the score.
# ```
#
# ## Further reading
# The four architectures: {cite}`he2016`, {cite}`huang2017`, {cite}`tan2019`, and {cite}`howard2019` for the light one.
# Batch normalisation: {cite}`ioffe2015`. The optimiser: {cite}`kingma2015`. Photographs as a school for other
# pictures: {cite}`deng2009`. On what seeds, splits and settings do to comparisons: {cite}`bouthillier2021`. The data:
# {cite}`khan2021` (CC BY 4.0).
