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
# # What the page networks look at
# A network that reads ECGs may read something else: the exam number in the header, the heart rate in the footer, a mark
# that one department puts on its prints. Coloured maps are said to show where it looks. Before we believe a map, we ask
# it about a network whose secret we know. Then we ask four kinds of maps, and three experiments without any map, about
# networks trained on the real pages.
#
# ```{admonition} What you will learn
# :class: learn
# - how four methods say what a network's answer hangs on, and how to sum them up by the places of a page;
# - how to find out whether header and footer give the class away;
# - why a convincing map proves nothing, and which controls an explanation has to beat;
# - which of the four methods may be believed here, and how far.
# ```
#
# **Running time:** about 25 seconds on a laptop, offline. The networks were trained and asked beforehand, on real pages;
# what they left is stored with the book.

# %% [markdown]
# ## The places of a page
# A page of the data set {cite}`khan2021` has a header, a footer, twelve boxes of 2.5 s for the {term}`leads <lead>`, a
# {term}`rhythm strip`, and a margin, in which the calibration pulses stand. Every pixel of the picture that a network
# is shown, 224 x 224, belongs to exactly one of these sixteen regions.

# %%
import warnings

import numpy as np
import pandas as pd

from ecgbook import (
    data,
    evaluate,
    figures,
    inputs,
    networks,
    preprocess,
    regions,
    study,
    train,
)

figures.use()
warnings.filterwarnings(
    "ignore", "IProgress not found"
)  # of progress bars, which no cell here draws
REGIONS = list(regions.REGIONS)
part = regions.shares(np.ones((1, 224, 224)))[0]
GROUPS = {
    "header": ["header"],
    "leads": list(regions.synth.LEADS),
    "strip": ["strip"],
    "margin": ["margin"],
    "footer": ["footer"],
}
page_part = pd.Series(part, REGIONS)
coarse_part = pd.Series({g: page_part[names].sum() for g, names in GROUPS.items()})
assert abs(coarse_part.sum() - 1) < 1e-9
figures.glue("look-header-part", coarse_part["header"], ".0%")
figures.glue("look-leads-part", coarse_part["leads"], ".0%")

# %% tags=["hide-input"] mystnb={"image": {"alt": "A redrawn page with coloured boxes: a header across the top, twelve lead boxes in four columns, the strip below them, a thin footer, and margins left and right.", "classes": "paper dark-light"}, "figure": {"caption": "The sixteen regions, over a page redrawn from its digitised signal.", "name": "fig-page-look-regions"}}
import matplotlib.pyplot as plt


def under(ax, file, grey=0.55):
    """Show a redrawn page, pale, as the ground for a map."""
    page = np.asarray(inputs.redraw(file).convert("L").resize((738, 524)), float) / 255
    ax.imshow(1 - grey * (1 - page), cmap="gray", vmin=0, vmax=1)
    ax.set_axis_off()


def boxes(shape):
    """Rows and columns of each region's pixels on a page of a given size."""
    numbers = regions.mask(shape[1], shape[0])
    return {name: np.nonzero(numbers == k) for k, name in enumerate(REGIONS)}


fig, ax = plt.subplots(figsize=(7.2, 5.1))
under(ax, "Normal(1).jpg")
tints = np.array([plt.get_cmap("tab20")(k % 20) for k in range(len(REGIONS))])
ax.imshow(tints[regions.mask(738, 524)], alpha=0.35)
drawn = []
for name, (y, x) in boxes((524, 738)).items():
    at = (12, 300) if name == "margin" else (x.mean(), y.mean() + 28 * (len(name) < 4))
    turn = 90 if name == "margin" else 0
    ax.text(*at, name, ha="center", va="center", rotation=turn, weight="bold")
    drawn.append((name, page_part[name]))
figures.show(
    fig,
    pd.DataFrame(drawn, columns=["region", "part of the page"]),
    "page_look_regions",
)

# %% [markdown]
# The header takes {glue:text}`look-header-part` of the picture, the leads {glue:text}`look-leads-part`. A map that
# knows nothing, the same everywhere, gives each region just its part of the area. Keep these numbers in mind.
#
# ## A network whose secret we know
# Forty redrawn pages, Normal and Abnormal at random. Half of them get a black stamp in the header, whatever the
# heart does; a small training teaches a ResNet18 to tell the stamped from the others. A real department's stamp
# misled a network in just this way {cite}`zech2018`.

# %%
from PIL import ImageDraw

some = data.pages().query("label in ('Normal', 'Abnormal')")
some = some.sample(40, random_state=0)["file"].tolist()
stamped = np.arange(40) % 2 == 1


def picture(file, stamp):
    page = inputs.redraw(file)
    if stamp:
        ImageDraw.Draw(page).rectangle((1500, 150, 1760, 230), fill="black")
    page = preprocess.greyscale(preprocess.resize(page, 128, 128))
    return np.asarray(preprocess.equalize(page))


pictures = np.stack([picture(*one) for one in zip(some, stamped, strict=True)])
answer = np.where(stamped, 3, 0)
known, checked, unseen = slice(0, 24), slice(24, 32), slice(32, 40)

# %%
cheat = networks.build("resnet18", seed=0)
short = train.Recipe(epochs=3, batch=8, stop=3)
parts = [(pictures[rows], answer[rows]) for rows in (known, checked)]
train.fit(cheat, *parts, short, seed=0, device="cpu")
regions.settled(
    cheat, pictures[known]
)  # so short a training leaves the batch norms behind
right = networks.probabilities(cheat, pictures[unseen]).argmax(axis=1) == answer[unseen]
print(f"right on {right.sum()} of {right.size} unseen pages")
assert right.all()

# %% [markdown]
# What does it look at? At the stamp, and at nothing else: the stamp is all that tells the pages apart. So an
# explanation has to put its finger on the header. We ask four methods, which come with the library captum
# {cite}`kokhlikyan2020` or are a few lines of our own:
#
# - **gradient** {cite}`simonyan2014`: how much the score changes with each pixel, a {term}`saliency map`;
# - **{term}`Grad-CAM`** {cite}`selvaraju2017`: where the channels of the last convolutional stage light up that raise
#   the score;
# - **{term}`integrated gradients`** {cite}`sundararajan2017`: gradients summed on the way from a background to the page;
# - **{term}`occlusion`** {cite}`zeiler2014`: how far the probability falls when a region is replaced.
#
# The last two need a *background*. Zeros would be black blocks, which no page ever had; we take the mean of the
# training pages, a page with the printed form and the tint of the paper, and nothing about this one.

# %%
paper = regions.background(pictures[known])
asked = pictures[unseen][right & stamped[unseen]]
stamp_class = np.full(len(asked), 3)
maps = {
    m: regions.explain(cheat, asked, stamp_class, m, paper) for m in regions.METHODS
}
header = {m: regions.shares(found)[:, 0].mean() for m, found in maps.items()}
verdict = pd.DataFrame({"method": list(header)})
verdict["more than half in the header"] = [share > 0.5 for share in header.values()]
verdict["more than an even map"] = [share > part[0] for share in header.values()]
assert verdict.set_index("method")["more than half in the header"].to_dict() == {
    "gradient": False,
    "Grad-CAM": False,
    "integrated gradients": True,
    "occlusion": True,
}
figures.table(verdict, "page_look_stamp")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four maps over a stamped page: integrated gradients and occlusion mark the header with the stamp, the gradient is spread over the page, and Grad-CAM is a broad blur.", "classes": "paper dark-light"}, "figure": {"caption": "What four methods say about the network that looks for the stamp (the dark box in the header); darker red is more relevant.", "name": "fig-page-look-stamp"}}
fig, axes = plt.subplots(2, 2, figsize=(7.2, 5.4))
for ax, (method, found) in zip(axes.flat, maps.items(), strict=True):
    under(ax, some[unseen][1])
    ax.add_patch(plt.Rectangle((500, 50), 87, 27, color=figures.INK))
    size = 16 if method in ("gradient", "integrated gradients") else 128
    coarse = regions.patches(found[:1])[0] if size == 16 else np.maximum(found[0], 0)
    ax.imshow(coarse, cmap="Reds", alpha=0.6, extent=(0, 738, 524, 0), vmin=0)
    ax.set_title(method, fontsize=9.5)
figures.show(fig, verdict, "page_look_stamp_maps")

# %% [markdown]
# Two methods pass. Two fail on the easiest question there is, and Grad-CAM, the most popular of them, is one: the
# pictures of this small experiment are 128 x 128 pixels, so its last stage has 4 x 4 cells, each cell sees most of
# the page, and what a cell *reports* need not lie where the cell *is*. A map can be sharp, pretty, and beside the
# point.
#
# ## Networks trained on real pages
# Now the question that matters. Two ResNet18 were trained on the real pages of the first {term}`fold` of the
# {term}`protocol` `grouped`, with the paper's recipe and different seeds. All that follows is about its test pages,
# which neither has seen. The real pages stay where they are; what is stored are sums by region, probabilities,
# and for four pages maps of 14 x 14 patches.

# %%
stored = regions.note()
answers = regions.load("answers.csv")
outputs = regions.load("outputs.csv")
figures.glue("look-pages", stored["pages"])
figures.glue("look-judged", stored["judged"])
figures.glue("look-epochs", stored["settings"]["epochs"])
truth = answers.drop_duplicates("file").set_index("file")["label"]
counts = truth.value_counts().loc[list(data.CLASSES)]
figures.glue("look-mi", counts["MI"])
figures.glue("look-majority", counts.max() / counts.sum(), ".2f")


def right_by_page(network, left):
    rows = answers[(answers["network"] == network) & (answers["left"] == left)]
    called = rows[evaluate.PROBABILITIES].to_numpy().argmax(axis=1)
    hits = np.array(data.CLASSES)[called] == rows["label"].to_numpy()
    return pd.Series(hits.astype(float), rows["file"])


def says(network, left):
    """Probabilities on the test pages; rows: files."""
    rows = answers[(answers["network"] == network) & (answers["left"] == left)]
    return rows.set_index("file")[evaluate.PROBABILITIES]


def scored(rows):
    """Accuracy with an interval that resamples groups; rows of (name, network, left)."""
    lines = [(n, *regions.interval(right_by_page(*of))) for n, *of in rows]
    return pd.DataFrame(lines, columns=["name", "estimate", "low", "high"])


# %% [markdown]
# {glue:text}`look-pages` test pages, {glue:text}`look-mi` of them MI: intervals will be wide. Calling every page by the
# largest class would be right on {glue:text}`look-majority` of them. The first network is the one of the run
# `grouped-resnet18`, trained once more: no probability differs by more than {glue:text}`look-same`. The questions that take many passes are asked on
# {glue:text}`look-judged` of them only, six of each class by lot: the *judged* pages.
#
# ## One band at a time
# The plainest control needs no map. Cut the page into three bands, *before* it is made small, and train the same
# network by the same recipe on each band alone. What can be learned from the header without the ECG?

# %% tags=["hide-input"]
bands = scored(
    [
        ("whole page", "page, seed 0", "the whole page"),
        ("whole page, other seed", "page, seed 1", "the whole page"),
        ("ECG only", "ECG, seed 0", "its band"),
        ("header only", "header, seed 0", "its band"),
        ("footer only", "footer, seed 0", "its band"),
    ]
)
always = pd.Series((truth == counts.idxmax()).astype(float).to_numpy(), truth.index)
tested = study.load("grouped-heart-rate").query("repeat == 0 and part == 'test'")
tested = tested.set_index("file").loc[truth.index]
by_rate = np.array(data.CLASSES)[
    tested[evaluate.PROBABILITIES].to_numpy().argmax(axis=1)
]
by_rate = pd.Series((by_rate == truth).astype(float), truth.index)
more = [("printed heart rate, no picture", *regions.interval(by_rate))]
more += [("largest class, always", *regions.interval(always))]
bands = pd.concat([bands, pd.DataFrame(more, columns=bands.columns)])
row_of = bands.set_index("name")
for name in (
    "whole page",
    "ECG only",
    "header only",
    "footer only",
    "printed heart rate, no picture",
):
    row = row_of.loc[name]
    for what in ("estimate", "low", "high"):
        figures.glue(f"look-{name.split()[0].lower()}-{what}", row[what], ".2f")
assert row_of.loc["header only", "low"] <= counts.max() / counts.sum()
assert row_of.loc["footer only", "low"] > counts.max() / counts.sum()
assert row_of.loc["ECG only", "low"] > row_of.loc["footer only", "estimate"]
same = (
    says("page, seed 0", "the whole page")
    - study.load("grouped-resnet18")
    .query("fold == 0 and part == 'test'")
    .set_index("file")
    .loc[truth.index, evaluate.PROBABILITIES]
)
assert (
    same.abs().max(axis=None) < 0.02
)  # the same network as in the leaderboard of the audit
figures.glue("look-same", same.abs().max(axis=None), ".3f")
blank = right_by_page("footer, seed 0", "its band")
by_class = blank.groupby(truth.loc[blank.index]).mean()
assert set(by_class.index[by_class > 0.5]) == {"Abnormal", "Normal"}
figures.glue("look-footer-abnormal", by_class["Abnormal"], ".2f")
figures.glue("look-footer-normal", by_class["Normal"], ".2f")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracies with intervals: the whole page and the ECG alone stand far to the right, the footer alone lies clearly above always naming the largest class, and the header alone does no better than that.", "classes": "chart dark-light"}, "figure": {"caption": "Accuracy on the test pages of the first grouped fold, with 95 % intervals from resampled groups, of networks trained on the whole page or on one band of it.", "name": "fig-page-look-bands"}}
fig, ax = plt.subplots(figsize=(7.2, 3.2))
figures.intervals(ax, bands)
ax.set_xlim(0, 1)
ax.set_xlabel("accuracy")
figures.show(fig, bands, "page_look_bands")

# %% [markdown]
# The header gives nothing away: a network that sees it alone is right on {glue:text}`look-header-estimate`, what naming
# the largest class every time is worth. The footer does. Alone it is right on {glue:text}`look-footer-estimate`
# ({glue:text}`look-footer-low` to {glue:text}`look-footer-high`), and finds {glue:text}`look-footer-abnormal` of the
# Abnormal and {glue:text}`look-footer-normal` of the Normal pages, though no MI and no History_MI to speak of. The
# heart rate is printed there; that number by itself, without any picture, is right on
# {glue:text}`look-printed-estimate` of the same pages. (Date and time are printed there as well. This experiment cannot
# tell which of them was read.) So the danger is real: there is a {term}`shortcut` on the page, and a network can take it.
#
# And the ECG without header and footer is right on {glue:text}`look-ecg-estimate` ({glue:text}`look-ecg-low` to
# {glue:text}`look-ecg-high`), the whole page on {glue:text}`look-whole-estimate`.
#
# ## Taken away
# That a band *can* be used does not say that the network on whole pages *does* use it. So we take regions away from the
# pages it is tested on, and put the background in their place.


# %%
def fall(left):
    """Fall of the probability of the class called, mean of the two networks."""
    falls = []
    for network in ("page, seed 0", "page, seed 1"):
        before, after = says(network, "the whole page"), says(network, left)
        called = before.to_numpy().argmax(axis=1)
        each = np.arange(len(called)), called
        falls.append(before.to_numpy()[each] - after.to_numpy()[each])
    return pd.Series(np.mean(falls, axis=0), before.index)


left = list(regions.LEFT)
table = pd.DataFrame({"what is left": left})
for seed in (0, 1):
    scores = scored([(what, f"page, seed {seed}", what) for what in left])
    table[f"accuracy, seed {seed}"] = scores["estimate"]
falls = [regions.interval(fall(what)) for what in left]
table[["fall of the probability", "low", "high"]] = falls
figures.table(table, "page_look_left", decimals=3)

# %% tags=["hide-input"]
fell = table.set_index("what is left")
for what in (
    "all but the header",
    "all but the footer",
    "all but the leads",
    "leads and strip",
    "header and footer",
):
    key = what.replace("all but the ", "no-").replace(" ", "-")
    figures.glue(f"look-{key}", fell.loc[what, "accuracy, seed 0"], ".2f")
    for name, column in (
        ("", "fall of the probability"),
        ("-low", "low"),
        ("-high", "high"),
    ):
        figures.glue(
            f"look-{key}-fall{name}", round(fell.loc[what, column], 3) + 0.0, ".3f"
        )

# %% tags=["hide-input"]
for what in ("all but the header", "all but the footer", "all but the margin"):
    assert abs(fell.loc[what, "fall of the probability"]) < 0.03
assert fell.loc["all but the leads", "low"] > 0.3
assert (
    abs(
        fell.loc["leads and strip", "accuracy, seed 0"]
        - fell.loc["the whole page", "accuracy, seed 0"]
    )
    < 0.03
)

# %% [markdown]
# The network that *could* read the footer does not. Without the footer its probabilities fall by
# {glue:text}`look-no-footer-fall` ({glue:text}`look-no-footer-fall-low` to {glue:text}`look-no-footer-fall-high`),
# without the header by {glue:text}`look-no-header-fall` ({glue:text}`look-no-header-fall-low` to
# {glue:text}`look-no-header-fall-high`); with leads and strip alone it is right as often as with everything
# ({glue:text}`look-leads-and-strip`). Without the leads it is lost: {glue:text}`look-no-leads`. In a picture of
# 224 x 224 the footer is eight rows high and its digits are three; the network that read it had been given them
# enlarged, and nothing else to look at. What is on the page, what can be learned from it, and what a network did learn
# are three questions.
#
# Region by region, and in a finer unit: by how much does the probability of the class that was called fall? Beside it,
# the same for a network with random weights, since a page with a hole is a surprise to any network.

# %% tags=["hide-input"]
drops = outputs[outputs["what"] == "drop"]


def drop(kind):
    """Drop of each region and page, mean of the two seeds."""
    rows = drops[drops["network"].str.startswith(kind)]
    return rows.groupby("file")[REGIONS].mean()


fallen = {kind: drop(kind) for kind in regions.KINDS}
lines = [
    (region, kind, *regions.interval(fallen[kind][region]))
    for kind in fallen
    for region in REGIONS
]
by_region = pd.DataFrame(lines, columns=["region", "network", "drop", "low", "high"])
own = by_region[by_region["network"] == "trained"].set_index("region")
by_seed = drops[drops["network"].str.startswith("trained")]
by_seed = by_seed.groupby("network")[REGIONS].mean().T
for seed in (0, 1):
    found = by_seed[f"trained, seed {seed}"].drop(["header", "margin", "footer"])
    figures.glue(f"look-first-{seed}", found.idxmax())
    figures.glue(f"look-first-drop-{seed}", found.max(), ".2f")
firsts = by_seed.idxmax()
other_way = [by_seed.loc[firsts.iloc[k], by_seed.columns[1 - k]] for k in (0, 1)]
assert firsts.iloc[0] != firsts.iloc[1] and max(other_way) < 0.1
figures.glue("look-first-other-0", other_way[0], ".2f")
figures.glue("look-first-other-1", other_way[1], ".2f")
chest = [f"V{k}" for k in range(1, 7)]
limb = list(regions.synth.LEADS[:6])
apart = fallen["trained"][chest].sum(axis=1) - fallen["trained"][limb].sum(axis=1)
chest_less_limb = regions.interval(apart)
for name, value in zip(("", "-low", "-high"), chest_less_limb, strict=True):
    figures.glue(f"look-chest{name}", value, ".2f")
assert chest_less_limb[1] < 0 < chest_less_limb[0]
assert own.loc[["header", "margin", "footer"], "drop"].abs().max() < 0.02
assert by_region.query("network == 'random weights'")["drop"].abs().max() < 0.02

# %% tags=["hide-input"] mystnb={"image": {"alt": "Falls by region: the strip, V4 and V2 stand highest, other leads are lower, and header, margin and footer lie at zero, as do all regions for random weights.", "classes": "chart dark-light"}, "figure": {"caption": "Fall of the probability of the class called when one region is replaced by background: mean over the judged pages with 95 % interval; dots: trained networks, open squares: random weights.", "name": "fig-page-look-drops"}}
fig, ax = plt.subplots(figsize=(7.2, 3.4))
for kind, marker, colour, shift in (
    ("trained", "o", figures.ACCENT, -0.15),
    ("random weights", "s", figures.MUTED, 0.15),
):
    rows = by_region[by_region["network"] == kind]
    x = np.arange(len(REGIONS)) + shift
    ax.vlines(x, rows["low"], rows["high"], color=colour)
    face = colour if kind == "trained" else "white"
    ax.plot(x, rows["drop"], marker, color=colour, markerfacecolor=face, label=kind)
ax.axhline(0, color=figures.INK, linewidth=0.8)
ax.set_xticks(range(len(REGIONS)), REGIONS, rotation=45, ha="right")
ax.set_ylabel("fall of the probability")
ax.legend(loc="upper left")
ax.grid(axis="y")
figures.show(fig, by_region, "page_look_drops")

# %% [markdown]
# Header, margin and footer lie at zero. The two networks are right equally often, and yet lean on different places: the
# first most on the region {glue:text}`look-first-0`, with a fall of {glue:text}`look-first-drop-0`, which is worth
# {glue:text}`look-first-other-0` to the second; the second on the region {glue:text}`look-first-1`, with
# {glue:text}`look-first-drop-1` against {glue:text}`look-first-other-1`. Nothing differs between them but the seed. The
# six chest leads together cost {glue:text}`look-chest` more than the six limb leads; the interval,
# {glue:text}`look-chest-low` to {glue:text}`look-chest-high`, does not exclude that they count alike. Two cautions. The
# falls of single regions do not add up to the fall without all of
# them: where two leads tell the same, neither is missed alone. And a low value in a lead does not say that the lead has
# no information, only that this network, for the pages it was trained on, did not need it.
#
# Is it the same for every class? The classes are those the first network called.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four pages coloured by region, one for each class called: MI is darkest in III and aVF, Abnormal in the strip, Normal in V4 and V2, History_MI nowhere; header and footer stay pale in all four.", "classes": "chart dark-light"}, "figure": {"caption": "Fall of the probability by region, laid out as on the page, for each class called; mean over the two trained networks. Red: the region speaks for the class.", "name": "fig-page-look-classes"}}
first = answers[
    (answers["network"] == "page, seed 0") & (answers["left"] == "the whole page")
]
named = np.array(data.CLASSES)[first[evaluate.PROBABILITIES].to_numpy().argmax(axis=1)]
named = pd.Series(named, first["file"])
groups = named.loc[fallen["trained"].index].to_numpy()
mean = fallen["trained"].groupby(groups).mean()
darkest = mean.idxmax(axis=1)
assert set(mean.loc["MI"].nlargest(2).index) == {"III", "aVF"}
assert darkest["Abnormal"] == "strip" and darkest["Normal"] == "V4"
assert mean.loc["History_MI"].max() < 0.1
figures.glue("look-named-mi", (groups == "MI").sum())
limit = np.abs(mean.to_numpy()).max()
fig, axes = plt.subplots(2, 2, figsize=(7.2, 5.6))
for ax, label in zip(axes.flat, data.CLASSES, strict=True):
    field = mean.loc[label].to_numpy()[regions.mask(738, 524)]
    ax.imshow(field, cmap="RdBu_r", vmin=-limit, vmax=limit)
    for name, (y, x) in boxes((524, 738)).items():
        if name != "margin":
            value = round(mean.loc[label, name], 2) + 0.0
            gap = " " if name in ("header", "footer", "strip") else "\n"
            ink = "white" if abs(value) > 0.6 * limit else figures.INK
            words = f"{name}{gap}{value:.2f}"
            ax.text(
                x.mean(),
                y.mean(),
                words,
                ha="center",
                va="center",
                fontsize=7.5,
                color=ink,
            )
    ax.set_title(f"{label} ({(groups == label).sum()} pages)", fontsize=9.5)
    ax.set_axis_off()
figures.show(
    fig,
    mean.loc[list(data.CLASSES)].rename_axis("class called").reset_index(),
    "page_look_classes",
)

# %% [markdown]
# The networks do not look at one spot for everything. What was called Abnormal hangs on the rhythm strip, the only place
# that shows ten seconds on end; what was called MI, on III and aVF, two leads that face the lower wall of the heart. For
# History_MI no single region matters much. But these are {glue:text}`look-named-mi` pages called MI: a picture of these
# pages, not a rule. It must not be read as cardiology either. That a network leans
# on one lead says how it told these classes of this data set apart; a cardiologist would ask for
# {term}`contiguous leads` that agree.
#
# ## Where the maps lie
# Now the maps. Summed by region they say how much of an answer is put down to the header, to the leads, and so on.

# %% tags=["hide-input"]
shared = outputs[outputs["what"] == "share"]
rows = []
for kind in regions.KINDS:
    for method in regions.METHODS:
        own_rows = shared["network"].str.startswith(kind) & (shared["method"] == method)
        share = shared[own_rows].groupby("file")[REGIONS].mean()
        for group, names in GROUPS.items():
            rows.append(
                (method, kind, group, *regions.interval(share[names].sum(axis=1)))
            )
columns = ["method", "network", "place", "share", "low", "high"]
coarse = pd.DataFrame(rows, columns=columns)
learnt = coarse[coarse["network"] == "trained"].set_index(["place", "method"])["share"]
assert learnt["leads"].min() > coarse_part["leads"]
assert learnt["header"].max() < coarse_part["header"]
figures.glue("look-lead-least", learnt["leads"].min(), ".0%")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Five panels: in the header the trained networks' shares lie below the area line and mostly below random weights, in the leads they lie above both; in the footer nearly all are close to zero.", "classes": "chart dark-light"}, "figure": {"caption": "Share of the relevance by place of the page: mean over the judged pages with 95 % interval. Dots: trained networks; open squares: random weights; grey line: the place's part of the area.", "name": "fig-page-look-shares"}}
fig, axes = plt.subplots(1, 5, figsize=(7.6, 3.0), sharey=True)
for ax, group in zip(axes, GROUPS, strict=True):
    ax.axvline(coarse_part[group], color="#b9bec6", linewidth=3)
    for kind, marker, colour, shift in (
        ("trained", "o", figures.ACCENT, 0.15),
        ("random weights", "s", figures.MUTED, -0.15),
    ):
        of = coarse[(coarse["place"] == group) & (coarse["network"] == kind)]
        y = np.arange(len(of))[::-1] + shift
        ax.hlines(y, of["low"], of["high"], color=colour)
        face = colour if kind == "trained" else "white"
        ax.plot(
            of["share"], y, marker, color=colour, markerfacecolor=face, markersize=5
        )
    ax.set_title(group, fontsize=9.5)
    ax.set_xlim(left=0)
    ax.grid(axis="x")
axes[0].set_yticks(range(len(regions.METHODS)), regions.METHODS[::-1])
fig.supxlabel("share of the relevance", fontsize=10)
figures.show(fig, coarse, "page_look_shares")

# %% [markdown]
# All methods agree on the coarse picture: {glue:text}`look-lead-least` of the relevance or more lies in the leads, whose
# part of the area is {glue:text}`look-leads-part`, and less in the header than its area. But look at the open
# squares. With random weights the gradient, integrated gradients and occlusion also prefer the leads, simply because
# there is ink. A share has to be compared with that of the random network, not with zero.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Eight small maps: those of the trained network gather on a few leads, those of the random network are scattered or spread over the whole page.", "classes": "paper dark-light"}, "figure": {"caption": "Maps of 14 x 14 patches of one test page, computed on the real page and laid over the page redrawn from its digitised signal. Upper row: the trained network; lower row: the same architecture with random weights.", "name": "fig-page-look-maps"}}
held = regions.maps()
row = 1
fig, axes = plt.subplots(2, 4, figsize=(7.8, 3.1))
numbers = []
for line, kind in zip(axes, regions.KINDS, strict=True):
    for ax, method in zip(line, regions.METHODS, strict=True):
        found = held[f"{kind}, seed 0|{method}"][row].astype(float)
        under(ax, held["files"][row])
        ax.imshow(found, cmap="Reds", alpha=0.6, extent=(0, 738, 524, 0), vmin=0)
        ax.set_title(f"{method}\n{kind}", fontsize=7.5)
        numbers.append(
            pd.DataFrame(found)
            .add_prefix("column ")
            .assign(network=kind, method=method)
        )
figures.glue("look-map-page", held["files"][row])
figures.show(fig, pd.concat(numbers), "page_look_maps")

# %% [markdown]
# ## Does the answer follow?
# An explanation names places: these decide. The claim can be tried out, with {term}`insertion and deletion`
# {cite}`petsiuk2018`: bring patches of 16 x 16 pixels into an empty page, in the order in which the map names them,
# and see how soon the probability of the class rises; take them out of the full page, and see how soon it falls. The
# area between the two curves is the measure of {term}`faithfulness`: 0 for names drawn by lot.
#
# The control is the one of {cite:t}`adebayo2018`, {term}`weight randomisation`: let the same method explain a network
# with *random* weights, and try that map on the trained one. It names the places where there is something on the page.
# Only what exceeds it was read from the learning. Two more controls ask no network at all: order by ink, and order by lot.

# %%
curves = regions.load("curves.csv")
curves = curves.groupby(["method", "other", "changed"], as_index=False)[
    ["insertion", "deletion"]
].mean()

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four panels: in each, the red insertion curve rises above the grey and black ones and the red deletion curve falls below them; the distance is widest for integrated gradients.", "classes": "chart dark-light"}, "figure": {"caption": "Probability of the class called as patches are brought in (solid) or taken out (dashed), in the order of each method's map of the trained network (red), of a map of a random network (grey), and by lot (thin black). Mean over the judged pages and the two networks.", "name": "fig-page-look-curves"}}
fig, axes = plt.subplots(1, 4, figsize=(7.8, 2.7), sharey=True)
for ax, method in zip(axes, regions.METHODS, strict=True):
    for of, other, colour, width in (
        ("lot", "", figures.INK, 0.7),
        (method, "random weights", figures.MUTED, 1.4),
        (method, "trained", figures.ACCENT, 1.8),
    ):
        line = curves[(curves["method"] == of) & (curves["other"].fillna("") == other)]
        ax.plot(line["changed"], line["insertion"], color=colour, linewidth=width)
        ax.plot(line["changed"], line["deletion"], "--", color=colour, linewidth=width)
    ax.set_title(method, fontsize=9)
    ax.grid()
axes[0].set_ylabel("probability of the class")
fig.supxlabel("share of the patches brought in or taken out", fontsize=10)
figures.show(fig, curves, "page_look_curves")

# %% tags=["hide-input"]
verdicts = regions.verdicts()
faith = regions.faithfulness()
orders = {m: (m, "trained") for m in regions.METHODS}
orders |= {f"{m}, random weights": (m, "random weights") for m in regions.METHODS}
orders |= {"ink": ("ink", ""), "lot": ("lot", "")}
lines = [(name, *regions.interval(faith[of])) for name, of in orders.items()]
order = pd.DataFrame(lines, columns=["name", "estimate", "low", "high"])

# %% tags=["hide-input"] mystnb={"image": {"alt": "Faithfulness with intervals: the maps of trained networks stand above their random-weight controls, the order by ink alone is as high as several methods, and the order by lot is near zero.", "classes": "chart dark-light"}, "figure": {"caption": "Faithfulness, insertion minus deletion, of each order of patches, with 95 % interval from resampled groups.", "name": "fig-page-look-faith"}}
fig, ax = plt.subplots(figsize=(7.2, 4.4))
figures.intervals(ax, order)
ax.axvline(0, color=figures.INK, linewidth=0.8)
ax.set_xlabel("faithfulness (area between insertion and deletion)")
figures.show(fig, order, "page_look_faith")

# %% tags=["hide-input"]
beats = verdicts["gain low"] > 0
figures.glue("look-beaten-by", ", ".join(verdicts.index[beats]) or "none")
figures.glue("look-not-beaten-by", ", ".join(verdicts.index[~beats]) or "none")
gains = verdicts[["faithfulness", "control", "gain", "gain low", "gain high"]]
gains = gains.assign(**{"beats its control": np.where(beats, "yes", "no")})
over_ink = {
    m: regions.interval(faith[m, "trained"] - faith["ink", ""]) for m in regions.METHODS
}
figures.glue(
    "look-over-ink", ", ".join(m for m in over_ink if over_ink[m][1] > 0) or "none"
)
gains["more than ink by"] = [over_ink[m][0] for m in gains.index]
gains["ink low"] = [over_ink[m][1] for m in gains.index]
gains["ink high"] = [over_ink[m][2] for m in gains.index]
figures.table(gains.rename_axis("method").reset_index(), "page_look_gains", decimals=2)

# %% [markdown]
# Better than their own control, with an interval above zero: {glue:text}`look-beaten-by`. Not shown:
# {glue:text}`look-not-beaten-by`. The row called ink is a warning. To take the ink away first, asking no network at
# all, is a good guess, since the networks do look at traces; an explanation is worth having if it beats that guess
# too. Shown for: {glue:text}`look-over-ink`. One more caution: integrated gradients and occlusion were computed with
# the same background that insertion and deletion use. They play at home.
#
# ## Would the map be the same without the learning?
# Compare the maps themselves, patch by patch, by their rank correlation: of the two trained networks (*stability*), of a
# trained and a random one, of two random ones.

# %%
alike = pd.DataFrame(
    {
        "two trained": [
            regions.interval(regions.alike(m, "trained", "trained"))[0]
            for m in regions.METHODS
        ],
        "trained and random": verdicts["random"].to_numpy(),
        "two random": [
            regions.interval(regions.alike(m, "random weights", "random weights"))[0]
            for m in regions.METHODS
        ],
        "two trained minus trained and random": verdicts["learned"].to_numpy(),
        "low": verdicts["learned low"].to_numpy(),
        "high": verdicts["learned high"].to_numpy(),
    },
    index=pd.Index(regions.METHODS, name="method"),
)
learned = verdicts["learned low"] > 0
figures.glue("look-learned", ", ".join(verdicts.index[learned]) or "none")
figures.glue("look-not-learned", ", ".join(verdicts.index[~learned]) or "none")
figures.glue("look-gradient-random", alike.loc["gradient", "two random"], ".2f")
assert (
    alike["two random"].idxmax() == "gradient"
    and alike["two trained"].idxmax() == "gradient"
)
figures.table(alike.reset_index(), "page_look_alike", decimals=2)

# %% [markdown]
# The gradient looks the most stable of all, and for the wrong reason: its maps of *random* networks are alike as well
# ({glue:text}`look-gradient-random`), so that likeness is the page's and the architecture's. What counts is the distance
# between the first two columns. It is shown to be above zero for {glue:text}`look-learned`; not shown for
# {glue:text}`look-not-learned`.
#
# ## Where do the explanations agree?

# %%
likeness = regions.load("judged.csv").query("what == 'likeness'")
same = likeness["network"].str.startswith("trained")
same &= likeness.apply(lambda r: r["other"].startswith(r["network"]), axis=1)
pairs = likeness[same].assign(second=likeness["other"].str.split(", ").str[-1])
matrix = pd.DataFrame(1.0, regions.METHODS, regions.METHODS)
for (one, two), values in pairs.groupby(["method", "second"])["value"]:
    matrix.loc[one, two] = matrix.loc[two, one] = values.mean()
off = matrix.where(~np.eye(4, dtype=bool))
closest = off.stack().idxmax()
figures.glue("look-closest", f"{closest[0]} and {closest[1]}")
figures.glue("look-closest-rho", off.stack().max(), ".2f")
figures.glue("look-farthest-rho", off.stack().min(), ".2f")
figures.table(
    matrix.rename_axis("method").reset_index(), "page_look_agreement", decimals=2
)

# %% [markdown]
# Mean rank correlations from {glue:text}`look-farthest-rho` to {glue:text}`look-closest-rho`; the closest are
# {glue:text}`look-closest`. On *which lead*, the methods often agree; on *which patch*, hardly. So these maps may be
# read by region, and not beat by beat.
#
# ## One table

# %%
table = regions.summary()
table["agreement"] = [off.loc[m].mean() for m in table["method"]]
table["beats random weights"] = np.where(beats & learned, "yes", "not shown")
table = table.drop(columns="model")
figures.table(table, "page_look_summary", decimals=2)

# %% [markdown]
# *Faithfulness* and its *control* as above, *stability* over two seeds, mean *agreement* with the other three methods,
# *seconds* of processor time a page as they were stored. *Beats random weights* asks for both: more faithful
# than the control, and more alike over seeds than to a random network. A method without that yes may still be right; it
# has not shown here that it reads the network rather than the page.

# %% [markdown]
# ## Exercises
# ```{exercise}
# :label: ex-page-look-1
# *Easy.* Ask integrated gradients about a network with random weights that never learned the stamp
# (`regions.randomised("resnet18", 1, pictures[known])`). How much of its relevance lies in the header of the stamped
# pages, compared with the trained one?
# ```

# %% [markdown]
# ```{solution-start} ex-page-look-1
# :class: dropdown
# ```

# %%
ignorant = regions.randomised("resnet18", 1, pictures[known])
found = regions.explain(ignorant, asked, stamp_class, "integrated gradients", paper)
untaught = regions.shares(found)[:, 0].mean()
print("less than the trained network:", untaught < header["integrated gradients"])
assert untaught < header["integrated gradients"] - 0.2

# %% [markdown]
# Much less, though the stamp is the blackest thing on the page: the rest was learned.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-page-look-2
# *Easy.* Compute the area under the mean deletion curve of integrated gradients on the first network from `curves.csv`,
# and check it against the mean of the pages' areas in `judged.csv`. Why must they agree?
# ```

# %% [markdown]
# ```{solution-start} ex-page-look-2
# :class: dropdown
# ```

# %%
one = "network == 'trained, seed 0' and method == 'integrated gradients' and other == 'trained'"
curve = regions.load("curves.csv").query(one)
under_mean = np.trapezoid(curve["deletion"], curve["changed"])
areas = regions.load("judged.csv").query(one + " and what == 'deletion'")["value"]
assert abs(under_mean - areas.mean()) < 1e-3
print("they agree")

# %% [markdown]
# The area is a weighted sum of the curve's points, and the mean of sums is the sum of means.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-page-look-3
# *Medium.* The seeds of a method may disagree because the networks do. Take the pages that both networks call the same, and
# compute the stability of each method on these alone.
# ```

# %% [markdown]
# ```{solution-start} ex-page-look-3
# :class: dropdown
# ```

# %%
whole_page = answers[answers["left"] == "the whole page"]
calls = whole_page.set_index(["file", "network"])[evaluate.PROBABILITIES].idxmax(axis=1)
calls = calls.unstack()
agreed = calls.index[calls["page, seed 0"] == calls["page, seed 1"]]
rows = []
for method in regions.METHODS:
    pair = regions.alike(method, "trained", "trained")
    rows.append((method, pair.mean(), pair[pair.index.isin(agreed)].mean()))
on_agreed = pd.DataFrame(
    rows, columns=["method", "all judged pages", "called the same"]
)
assert (on_agreed["called the same"] - on_agreed["all judged pages"]).abs().max() < 0.2
figures.table(on_agreed, "page_look_agreed", decimals=2)

# %% [markdown]
# Nearly the same numbers. Two networks can give the same answers for different reasons.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-page-look-4
# *Hard.* The header's part of the area is large. Test for each method whether trained networks put *less* of the relevance
# into the header than its part of the area, with a group interval, and say whether random networks do as well.
# ```

# %% [markdown]
# ```{solution-start} ex-page-look-4
# :class: dropdown
# ```

# %%
rows = coarse[coarse["place"] == "header"].assign(area=coarse_part["header"])
rows = rows.assign(less=np.where(rows["high"] < rows["area"], "yes", "not shown"))
assert (rows.query("network == 'trained'")["less"] == "yes").all()
figures.table(rows.drop(columns="place"), "page_look_header", decimals=2)

# %% [markdown]
# All four put less into the header than its area once the network is trained. But so do some of them with random
# weights, because the header has little ink: the comparison with random weights is the one that counts.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - Ask about a network whose secret you know before you ask about one whose secret you do not. Two of four popular
#   methods put less than half of their relevance where a black stamp decided everything.
# - There is a shortcut on these pages: the footer alone is right on {glue:text}`look-footer-estimate`. The network
#   trained on whole pages does not take it; removing header and footer changes nothing that {glue:text}`look-pages`
#   pages could show.
# - What it looks at are the leads; which of them differs between classes, and between two trainings of the same network.
# - A map must beat the map of a network with random weights. Stability alone proves nothing.
# - Read these maps by region. Below that, the methods do not agree.
# ```
#
# ## Further reading
# Grad-CAM: {cite}`selvaraju2017`. Integrated gradients and the axioms behind them: {cite}`sundararajan2017`. Saliency
# maps and occlusion, the oldest of the four: {cite}`simonyan2014`, {cite}`zeiler2014`. The test that many maps do not
# pass: {cite}`adebayo2018`. Insertion and deletion, and a method built for them: {cite}`petsiuk2018`. A network that
# read the hospital instead of the lung: {cite}`zech2018`. The library: {cite}`kokhlikyan2020`. The data:
# {cite}`khan2021` (CC BY 4.0).
