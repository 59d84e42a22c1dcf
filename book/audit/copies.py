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
# # 928 files, 491 ECGs
# Before a model is fitted, before a picture is opened, one can ask of a data set: how many different things are in it?
# It takes a second, and almost nobody does it. This chapter asks it of the pages behind the paper, finds a pattern
# that no hospital produces, and follows what the pattern does to a random split.
#
# ```{admonition} What you will learn
# :class: learn
# - how to find exact copies, and how to tell a copy from a repeated recording;
# - what copies do to a {term}`stratified split`, class by class, by simulation and by formula;
# - how to look for copies that are not exact, and why the usual tool fails on printed forms.
# ```
#
# **Running time:** about ten seconds on a laptop, offline.

# %% [markdown]
# ## Counting contents
# A {term}`hash` is a short number computed from all the bytes of a file. Two different files practically never share a
# SHA-256 hash; two files with the same hash are the same file under two names. The package carries the hash of every
# published file of the data set {cite}`khan2021`.

# %%
from ecgbook import audit, data, figures

figures.use()
files = data.files()
counts = files.groupby("label").agg(
    files=("file", "size"), distinct=("sha256", "nunique")
)
counts = counts.loc[list(data.CLASSES)].reset_index()
figures.glue("copies-files", len(files))
figures.glue("copies-distinct", files["sha256"].nunique())
figures.glue(
    "copies-cross",
    len(audit.cross_label(files["sha256"], files["label"], files["file"])),
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Pairs of bars for four classes. MI shrinks from the second largest class to the smallest, History_MI and Normal are halved, and Abnormal does not change.", "classes": "chart dark-light"}, "figure": {"caption": "Published files and distinct pages in each class. Pale bars: files; filled bars: distinct contents.", "name": "fig-copies-counts"}}
import matplotlib.pyplot as plt
import numpy as np

fig, ax = plt.subplots()
x = np.arange(4)
pale = ax.bar(x, counts["files"], width=0.78, color="#e3e6ea", edgecolor=figures.MUTED)
full = ax.bar(
    x,
    counts["distinct"],
    width=0.78,
    color=[figures.COLOURS[c] for c in counts["label"]],
)
ax.bar_label(pale, padding=3, color=figures.MUTED)
ax.bar_label(full, padding=-14, color="white", weight="bold")
ax.set_xticks(x, counts["label"])
ax.set_ylabel("files")
ax.margins(y=0.1)
figures.show(fig, counts, "copies_counts")

# %% [markdown]
# {glue:text}`copies-files` files hold {glue:text}`copies-distinct` different contents. No content stands under two
# labels ({glue:text}`copies-cross` cases), so the folders do not contradict each other. MI, the second largest class
# of the paper, is in truth the smallest by far.

# %% [markdown]
# ## A pattern that no hospital makes
# Could these be recordings that happened to be scanned twice? Look where the copies stand. For each file we draw its
# number against the number of the first file with the same content. If all were different, each panel would show one
# straight diagonal.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four panels. MI shows eight short parallel diagonals, History_MI and Normal two each, and Abnormal a single diagonal: copies repeat with a strict period.", "classes": "chart dark-light"}, "figure": {"caption": "Number of each file against the number of the first file with the same content, by class.", "name": "fig-copies-period"}}
number = files["file"].str.extract(r"\((\d+)\)")[0].astype(int)
first = files["first_copy"].str.extract(r"\((\d+)\)")[0].astype(int)
where = files[["label"]].assign(number=number, first=first)
fig, axes = plt.subplots(1, 4, figsize=(7.6, 2.5), sharex=True, sharey=True)
for ax, label in zip(axes, data.CLASSES, strict=True):
    own = where[where["label"] == label]
    ax.plot(
        own["number"], own["first"], ".", markersize=2, color=figures.COLOURS[label]
    )
    ax.set_title(label)
axes[0].set_ylabel("number of first copy")
fig.supxlabel("number of file", fontsize=10.5)
figures.show(fig, where, "copies_period")

# %% [markdown]
# The diagonals start again after exactly as many files as there are distinct ones: the folder was pasted after itself.
# `audit.copy_period` finds the period, or says that there is none.

# %%
import pandas as pd

periods = [
    (
        label,
        len(own),
        own["sha256"].nunique(),
        audit.copy_period(own["file"].tolist(), own["sha256"].tolist()),
    )
    for label, own in files.groupby("label", sort=False)
]
periods = pd.DataFrame(
    periods, columns=["class", "files", "distinct", "period"]
).astype({"period": "Int64"})
figures.table(periods, "copies_periods")

# %% [markdown]
# In each class with copies the period equals the number of distinct pages. MI(1), MI(31), MI(61) and so on are one file.
# Two recordings of the same heart are never equal byte for byte: the noise differs, and so does the printed time. These
# are copies, made after the fact. Who made them and why is not known; the publication does not mention them.

# %% [markdown]
# ## What a random split does with copies
# The paper splits all 928 files at random, stratified by class, into training, validation and test parts of 7 to 1.5 to
# 1.5. Take one such split, the wrong way to do it, and count the test files whose content is also in the training part.

# %%
from ecgbook import splits

split = splits.holdout("paper", files, seed=0)
seen = splits.leaked(split, files["sha256"])
one = (
    files.iloc[split.test]
    .assign(seen=seen)
    .groupby("label")["seen"]
    .agg(["size", "sum"])
    .loc[list(data.CLASSES)]
)
one.columns = ["test files", "with a twin in training"]
figures.table(one.rename_axis("class").reset_index(), "copies_one_split")

# %% [markdown]
# Every MI page of the test part has been seen in training. To know that this is no accident of one seed, we draw two
# thousand splits. There is also a formula. A class has $n$ files, $t$ of them in training, and each content occurs $c$
# times; then a test file has no twin in training only if its $c - 1$ copies all lie among the $n - t - 1$ other files outside
# it:
#
# $$P(\text{twin}) = 1 - \binom{n - t - 1}{c - 1} \Big/ \binom{n - 1}{c - 1}.$$

# %%
from math import comb

simulated = audit.lookup_baseline(
    files["sha256"], files["label"], repeats=2000, seed=0
)["twins"]
parts = audit.part_counts(counts["files"])


def twin_probability(n, t, copies):
    """Chance of a twin in training, for a class whose contents occur `copies` times each (may be mixed)."""
    return sum(1 - comb(n - t - 1, c - 1) / comb(n - 1, c - 1) for c in copies) / n


expected = []
for label, (t, _, _) in zip(data.CLASSES, parts, strict=True):
    own = files[files["label"] == label]
    copies = own.groupby("sha256")["file"].transform("size")
    expected.append(twin_probability(len(own), int(t), copies))
leak = pd.DataFrame(
    {
        "class": data.CLASSES,
        "simulated": [simulated[c] for c in data.CLASSES],
        "formula": expected,
    }
)
overall = float(np.average(leak["simulated"], weights=parts[:, 2]))
figures.glue("copies-overall", overall, ".0%")
figures.glue("copies-mi-twin", leak["simulated"][0], ".2%")
figures.table(leak, "copies_twins", decimals=3)

# %% [markdown]
# On average {glue:text}`copies-overall` of the test files are in the training part under another name; of MI it is
# {glue:text}`copies-mi-twin`. A model that remembers what it has seen passes more than half of the examination without
# reading a single new page. How well the mere look-up does is the subject of [the next chapter](lookup.ipynb).
#
# Stratifying does not help: it keeps the shares of the classes equal and knows nothing of copies. Nor does a separate
# validation part: it leaks in the same way, so early stopping rewards remembering.

# %% [markdown]
# ## The right way: count first, then split
# The book uses four named {term}`protocols <protocol>`. Only `paper` has copies; it is kept to reproduce the paper.

# %%
pages = data.pages()
sizes = []
for name, meaning in splits.PROTOCOLS.items():
    frame = files if name == "paper" else pages
    split = splits.holdout(name, frame)
    mi = (frame.iloc[split.test]["label"] == "MI").sum()
    twins = splits.leaked(split, frame["sha256"]).sum()
    sizes.append((name, *map(len, split), mi, twins, meaning))
columns = [
    "protocol",
    "train",
    "val",
    "test",
    "MI in test",
    "test files with a twin",
    "what it does",
]
figures.table(pd.DataFrame(sizes, columns=columns), "copies_protocols")

# %% [markdown]
# Read the column of MI. Without copies a test part holds four or five MI pages, and a recall measured on it moves by a
# fifth with every page. This is why the book cross-validates, so that every page is tested once, and prints an
# interval beside each score. The copies had hidden not only a leak but a scarcity.

# %% [markdown]
# ## Copies that are not exact
# A hash is blind to a picture that was saved again. For such near-duplicates the usual tool is a
# {term}`perceptual hash`: 64 bits that describe the coarse pattern of light and dark and survive a change of size or
# quality. We try it on twelve synthetic pages, all different, and on two copies of the first of them: one saved again at a
# lower quality, one shrunk and tinted.

# %%
from ecgbook import draw, synth

records = [synth.record(label, seed) for label in data.CLASSES for seed in range(3)]
drawn = [draw.draw_page(record)[0] for record in records]
again = draw.perturb(drawn[0], seed=1, jpeg_quality=60)
shrunk = draw.perturb(drawn[0], seed=2, scale=0.98, tint=(1.0, 0.98, 0.94))
images = [*drawn, again, shrunk]

size = audit.common_size([image.size for image in images])
thumbs = np.stack([audit.thumbnail(image, size) for image in images])
hashes = audit.perceptual_hashes(thumbs)
distance = audit.hash_distance(hashes, hashes)
different = distance[:12, :12][np.triu_indices(12, k=1)]
print("bits between different pages: from", different.min(), "to", different.max())
print("bits between page 0 and its two copies:", distance[0, 12], distance[0, 13])

# %% [markdown]
# A distance of a few bits out of 64 usually means "the same picture". Here it is the distance between *different*
# hearts, and the true copies lie no nearer than the nearest stranger. It is worth knowing why: every page carries the same
# frame, the same grid and the same words, and the trace is a thin line between them. Coarsely seen, they are all one
# page. On the real pages it is worse: many pairs of distinct ECGs have equal hashes.
#
# The audit therefore only lets the hash *propose* pairs. It then lays the two pages on each other, subtracts what all
# pages have in common, and asks whether the rest, which is the traces, agrees.

# %%
found = [(int(a), int(b)) for a, b, _ in audit.near_duplicates(thumbs)]
found

# %% [markdown]
# Pages 12 and 13 are copies of page 0, and of each other; no stranger is among them. On the published files this was run
# with `ecgbook audit DIR --json FILE`, and the report is carried with the package.

# %%
import json

report = json.loads((data.tables() / "audit_eicp.json").read_text())
encoders = pd.DataFrame(
    [
        (
            label,
            report["per_class"][folder]["distinct"],
            encoder.split("tables ")[1].split()[0],
            pages_of,
        )
        for label, folder in data.FOLDERS.items()
        for encoder, pages_of in report["per_class"][folder]["encoders"].items()
    ],
    columns=["class", "distinct", "JPEG quantisation tables", "pages"],
)
figures.glue("copies-near", len(report["near_duplicates"]))
figures.glue("copies-unreadable", len(report["unreadable"]))
figures.glue("copies-old", int((pages["batch"] == "2019").sum()))
figures.table(encoders, "copies_encoders")

# %% [markdown]
# It names {glue:text}`copies-near` near-duplicates and {glue:text}`copies-unreadable` unreadable files: once the exact
# copies are gone, every page is another recording. The table shows one more thing the audit collects, how the files were
# encoded. There are two kinds of JPEG quantisation tables, and every class has both. The rarer kind is on
# {glue:text}`copies-old` pages, which is the number of pages from 2019; an exercise checks that it fits class by class.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-copies-1
# *Easy.* The folder of MI claims 240 pages in its name, and the files are numbered to 240. There are 239. Which number is
# missing, and of which page would it have been a copy?
# ```
#
# ```{solution-start} ex-copies-1
# :class: dropdown
# ```

# %%
numbers = set(number[files["label"] == "MI"])
missing = set(range(1, 241)) - numbers
assert missing == {215}
missing, (215 - 1) % 30 + 1

# %% [markdown]
# With a period of 30, MI(215) would have been another MI(5). The list is 30 pages pasted eight times, less one.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-copies-2
# *Medium.* How small would the training part have to be for fewer than half of the MI test files to have a twin in it? Use
# the formula with eight copies of each page.
# ```
#
# ```{solution-start} ex-copies-2
# :class: dropdown
# ```

# %%
share = {t: 1 - comb(240 - t - 1, 7) / comb(239, 7) for t in range(1, 240)}
largest = max(t for t, p in share.items() if p < 0.5)
assert share[largest] < 0.5 <= share[largest + 1]
largest

# %% [markdown]
# Fewer than a tenth of the files. With eight copies of each page, almost any training part has seen almost every page.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-copies-3
# *Medium.* A careful author splits by file *number*: the first seven tenths of the files of a class for training, the
# rest for test. Does that avoid the copies in this data set? Check for MI.
# ```
#
# ```{solution-start} ex-copies-3
# :class: dropdown
# ```

# %%
mi = files[files["label"] == "MI"].reset_index(drop=True)
cut = int(0.7 * len(mi))
seen_before = mi["sha256"][cut:].isin(set(mi["sha256"][:cut])).mean()
assert seen_before == 1
float(seen_before)

# %% [markdown]
# It makes things worse: the copies are laid out so that the last files repeat the first, and every test file has been
# seen. Only a split by content helps.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-copies-4
# *Medium.* Do the rarer quantisation tables mark the pages of 2019? The report gives counts by class only; compare them
# with the years in the manifest. What would make this a fingerprint that a network could use?
# ```
#
# ```{solution-start} ex-copies-4
# :class: dropdown
# ```

# %%
rare = encoders.loc[encoders["pages"] < encoders["distinct"] / 2].set_index("class")[
    "pages"
]
old = pages[pages["batch"] == "2019"]["label"].value_counts()
assert (rare.sort_index() == old.sort_index()).all()
rare

# %% [markdown]
# Class by class the counts agree, so most likely the 2019 pages were saved by other software. An encoder is a danger when
# its share differs between the classes: then a network can read the class from compression noise. Here the shares are
# small and similar, and the [chapter on fingerprints](fingerprints.ipynb) finds that the batch predicts nothing.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-copies-5
# *Hard.* Take a folder of images of your own, or any published set, and run `ecgbook audit DIR` on it. Write down what you
# expect before you look: how many copies, across which classes, and what the look-up will score.
# ```
#
# ```{solution-start} ex-copies-5
# :class: dropdown
# ```
# The command does what `audit.audit` does. On a tiny set of our own, nine random pictures in two classes, of which one
# stands in both, we expect one copy, across the classes.

# %%
import tempfile
from pathlib import Path

from PIL import Image

with tempfile.TemporaryDirectory() as folder:
    rng = np.random.default_rng(0)
    for n in range(9):
        picture = Image.fromarray(rng.integers(256, size=(64, 64), dtype=np.uint8))
        for name in ["cats", "dogs"] if n == 0 else [("cats", "dogs")[n % 2]]:
            Path(folder, name).mkdir(exist_ok=True)
            picture.save(Path(folder, name, f"{n}.png"))
    of_mine = audit.audit(folder)
assert of_mine["files"] - of_mine["distinct"] == len(of_mine["cross_label"]) == 1
of_mine["files"], of_mine["distinct"], len(of_mine["cross_label"])

# %% [markdown]
# There is no single answer. If the audit finds copies across labels, look at them first: they bound the accuracy that any
# model can reach. If the look-up scores well above the largest class, no published number on random splits of that set
# can be taken at its word.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - The {glue:text}`copies-files` published files are {glue:text}`copies-distinct` distinct pages; MI has 30.
# - Copies are byte-identical and follow a strict period: the folders were pasted after themselves.
# - In the paper's split, {glue:text}`copies-overall` of the test files have a twin in training, and practically all of MI.
# - Count contents before you split, and split contents, not files.
# ```
#
# ## Further reading
# Duplicates in famous image sets, and what they did to their scores: {cite}`barz2020`. Perceptual hashing: {cite}`zauner2010`.
# Leakage in general: {cite}`kapoor2023`. The modules: [](../../ecgbook/audit.py), [](../../ecgbook/splits.py). The data:
# {cite}`khan2021` (CC BY 4.0); the paper: {cite}`li2026`.
