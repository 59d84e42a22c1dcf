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
# # Data card: EICP as it really is
# A data set travels further than what is known of it. Whoever downloads 928 pictures of ECGs sees four folders and a
# licence; what is missing is the leaflet that says what is inside, how it came about and what it must not be used
# for. This page is such a leaflet, a {term}`data card`, for the *ECG Images dataset of Cardiac Patients*, EICP
# {cite}`khan2021`. It follows the questions of *Datasheets for Datasets* {cite}`gebru2021`. We did not make the data
# set: what follows is what its files, its publication and our measurements show, and where they show nothing, it says
# so.
#
# ```{admonition} What you will learn
# :class: learn
# - what EICP holds, in numbers that are computed on this page;
# - which of its defects change a score, and by how much;
# - what it can be used for, what not, and how to split it;
# - how to write the numbers of such a card for a data set of your own, and keep them true.
# ```
#
# **Running time:** about ten seconds on a laptop, offline.

# %% [markdown]
# ## Motivation
# *Who made it, and why?* Ali Haider Khan and Muzammil Hussain published it on Mendeley Data in March 2021, as version
# 2, with ECGs of the Ch. Pervaiz Elahi Institute of Cardiology in Multan, Pakistan. An article on an earlier version,
# which had a fifth class, presents it as material for research {cite}`khan2021brief`. Who paid for it is not stated
# in the files.
#
# ## Composition
# *What are the instances?* JPEG pictures of printed {term}`12-lead pages <page>`, one folder a class. A class is
# counted three ways here: files; distinct files, which differ in at least one byte; and {term}`groups <group>`, which
# join pages that share a printed exam number or whose signals are more alike than strangers' can be.

# %%
import json

import pandas as pd

from ecgbook import data, figures

figures.use()
files, pages, order = data.files(), data.pages(), list(data.CLASSES)
report = json.loads((data.tables() / "audit_eicp.json").read_text())

counted = files.groupby("label").agg(files=("file", "size"))
by_class = pages.groupby("label").agg(
    distinct=("file", "size"),
    exam_numbers=("exam", "nunique"),
    groups=("group", "nunique"),
    female=("sex", lambda s: (s == "Female").sum()),
    median_rate=("heart_rate", "median"),
    median_kB=("bytes", lambda b: round(b.median() / 1000)),
)
composition = counted.join(by_class).loc[order].rename_axis("class").reset_index()
composition.columns = [name.replace("_", " ") for name in composition.columns]
figures.table(composition, "data_card_composition", decimals=1)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four bars of files: of MI only a sliver is distinct and the rest copies, of History_MI and Normal half, of Abnormal everything; in every class most of the distinct pages are from October 2020.", "classes": "chart dark-light"}, "figure": {"caption": "The published files of each class: distinct pages by the date printed on them, then copies.", "name": "fig-data-card-files"}}
import matplotlib.pyplot as plt

batches = pd.crosstab(pages["label"], pages["batch"]).loc[order]
batches.columns = ["2019", "Aug 2020", "Oct 2020"]
drawn = batches.assign(copies=counted["files"] - batches.sum(axis=1))
looks = {"2019": "#1d5fa8", "Aug 2020": "#0f766e", "Oct 2020": "#a16207"}
fig, ax = plt.subplots(figsize=(7.2, 3.2))
left = pd.Series(0, index=order)
for name, counts in drawn.items():
    look = looks.get(name, "#e3e6ea")
    bars = ax.barh(order, counts, left=left, color=look, edgecolor="white", height=0.55)
    ink = "white" if name in looks else figures.INK
    ax.bar_label(
        bars, [n if n > 15 else "" for n in counts], label_type="center", color=ink
    )
    row = order.index("Normal" if name == "copies" else "Abnormal")
    at = left.iloc[row] + counts.iloc[row] / 2
    ax.text(at, row - 0.31, name, ha="center", va="bottom", fontsize=9)
    left = left + counts
ax.invert_yaxis()
ax.set_xlabel("files")
figures.show(fig, drawn.rename_axis("class").reset_index(), "data_card_files")

# %% tags=["hide-input"]
figures.glue("data-card-files", len(files))
figures.glue("data-card-distinct", len(pages))
figures.glue("data-card-groups", pages["group"].nunique())
figures.glue("data-card-largest", pages["group"].value_counts().max())
mixed = pages.groupby("group")["label"].nunique().gt(1)
figures.glue("data-card-mixed", int(mixed.sum()))
figures.glue("data-card-female", int((pages["sex"] == "Female").sum()))
figures.glue("data-card-lead-off", int(pages["lead_off"].sum()))
figures.glue("data-card-mb", files["bytes"].sum() / 1e6, ".0f")
(shape,) = files[["width", "height"]].drop_duplicates().to_numpy().tolist()
figures.glue("data-card-shape", "{} x {}".format(*shape))

# %% [markdown]
# {glue:text}`data-card-files` files, {glue:text}`data-card-mb` MB, all {glue:text}`data-card-shape` pixels in colour;
# {glue:text}`data-card-distinct` of them distinct, in {glue:text}`data-card-groups` groups of up to
# {glue:text}`data-card-largest` pages. {glue:text}`data-card-mixed` groups hold pages of more than one class. The
# data set has no parts for training and test, and it refers to nothing outside itself. Whether it is a sample of
# something larger, and how its pages were picked, is not known.
#
# *What is on a page?* Twelve {term}`leads <lead>` of 2.5 s in three rows, a {term}`rhythm strip` of 10 s, and print:
#
# | place | printed | blank, or not to be trusted |
# |---|---|---|
# | header | exam number, sex | name and age are blank; sex may be the machine's default |
# | beside the traces | lead names, {term}`calibration pulse` | |
# | footer | filter 0.67–25 Hz, {term}`notch filter`, 25 mm/s, 10 mm/mV, {term}`heart rate`, device, date and time, sometimes "Lead Off" | the filter may shift the {term}`ST segment` and lowers Q and R |
#
# {glue:text}`data-card-female` of the distinct pages say Female; {glue:text}`data-card-lead-off` complain of a loose
# electrode. The exam number, date and time are identifiers of a kind: they are on the pictures, so whoever passes the
# pictures on passes them on. The tables of this book hold the year, and a running number instead of the exam number.

# %% [markdown]
# ## Collection
# *How were the data acquired?* By a three-channel EDAN SE-3, which prints its name; the pages are digital prints, not
# photographs of paper, without tilt or shadow. Two ways of encoding the JPEG are found, one on the pages of 2019 and
# one on the rest. *Over what time?* 2019, August 2020 and October 2020. *By whom, from whom, how chosen, with what
# consent?* The files do not say; the article on the earlier version is the place to look {cite}`khan2021brief`.

# %%
tables = pd.DataFrame(
    [
        (label, encoder.split("tables ")[1].split()[0], count)
        for label, folder in data.FOLDERS.items()
        for encoder, count in report["per_class"][folder]["encoders"].items()
    ],
    columns=["class", "JPEG tables", "distinct pages"],
)
rare = tables.groupby("JPEG tables")["distinct pages"].sum().min()
assert rare == (pages["year"] == 2019).sum()
figures.table(
    tables.pivot(index="JPEG tables", columns="class", values="distinct pages")[
        order
    ].reset_index(),
    "data_card_encoders",
)

# %% [markdown]
# ## Preprocessing and labels
# *Was anything done to the data?* The device filtered the signals before it printed them. Somebody copied files: the
# copies follow a strict period, which no recording does ([](../audit/copies.ipynb)). Nothing else is visible.
#
# *Where do the labels come from?* From folder names, and nothing more is known. The article on the earlier version
# says that medical professionals reviewed the ECGs {cite}`khan2021brief`; by which criteria, with what knowledge
# besides the ECG, how many of them, and how often they agreed is not said. No cardiologist has looked at the labels
# for this book. Where models and guideline criteria both contradict a folder we speak of a {term}`label doubt`, and
# relabel nothing ([](../errors/gallery.ipynb)). "Normal" is the name of a folder: it never means that an infarction
# is excluded.

# %% [markdown]
# ## Known defects
# Each of these is computed here from the carried tables, so that nobody has to take our word for it.

# %%
import numpy as np

from ecgbook import audit

score = report["lookup"]
tested = audit.part_counts([part["files"] for part in report["per_class"].values()])
twins = [score["twins"][folder] for folder in report["per_class"]]
seen = float(np.average(twins, weights=tested[:, 2]))
groups = pages.groupby("exam")["label"].agg(list)
pairs = [a == b for g in groups for k, a in enumerate(g) for b in g[k + 1 :]]
shares = pages["label"].value_counts(normalize=True)
fast = pages["heart_rate"] > 90
is_normal = pages["label"] == "Normal"
rule = ((~fast)[is_normal].mean() + fast[~is_normal].mean()) / 2

figures.glue("data-card-seen", seen, ".0%")
figures.glue("data-card-lookup", score["accuracy_mean"], ".3f")
figures.glue("data-card-agree", np.mean(pairs), ".2f")
figures.glue("data-card-chance", (shares**2).sum(), ".2f")
figures.glue("data-card-rule", rule, ".2f")
figures.glue("data-card-fastest", pages.loc[is_normal, "heart_rate"].max())
slow = pages.loc[pages["label"] == "Abnormal", "heart_rate"].min()
figures.glue("data-card-slowest", slow)
figures.glue("data-card-mi", int((pages["label"] == "MI").sum()))
figures.glue("data-card-near", len(report["near_duplicates"]))
figures.glue("data-card-conflicts", len(report["cross_label"]))
figures.glue("data-card-exams", pages["exam"].nunique())
joined = pages["exam"].nunique() - pages["group"].nunique()
figures.glue("data-card-joined", joined)

# %% [markdown]
# - **Copies.** {glue:text}`data-card-files` files, {glue:text}`data-card-distinct` contents, byte for byte. A random
#   70/15/15 split puts a copy of {glue:text}`data-card-seen` of the test files into training, and a
#   {term}`look-up <look-up baseline>` that never opens an image scores {glue:text}`data-card-lookup`. Every score
#   from a random split of the files is exposed to that. *Do*: drop the copies first.
# - **No picture under two classes** ({glue:text}`data-card-conflicts`), and no near-copies
#   ({glue:text}`data-card-near`): once the exact copies are gone, every page is another recording.
# - **Few infarctions.** {glue:text}`data-card-mi` distinct pages of MI. *Do*: report k of n with an interval, and
#   cross-validate; a test part of 15 in 100 holds four or five of them.
# - **The same heart twice?** The exam number is no patient number: pages that share it agree in class in
#   {glue:text}`data-card-agree` of the pairs, against {glue:text}`data-card-chance` by chance. And of
#   {glue:text}`data-card-exams` numbers, {glue:text}`data-card-joined` had to be joined with another, because the
#   signals are too much alike. *Do*: keep groups together, and say "group", not "patient".
# - **The heart rate tells the class.** No Normal is faster than {glue:text}`data-card-fastest` beats a minute, no
#   Abnormal slower than {glue:text}`data-card-slowest`. "Faster than 90 is not Normal" has a balanced accuracy of
#   {glue:text}`data-card-rule` on its own, and the rate is printed on the page. *Do*: set that rule beside every
#   model, and cut off the print ([](../audit/fingerprints.ipynb)).
# - **The signal is filtered** at 0.67–25 Hz, so every threshold of a guideline is approximate.
# - **One device, one form, one place.** A score on these pages does not say how a model does elsewhere. It was tried
#   on the ECGs of another hospital, and the models failed ([](../hospitals/external.ipynb)).

# %% [markdown]
# ## Recommended splits
# The book's {term}`protocols <protocol>`, five folds each: what a test fold looks like, and which share of it has a
# copy, or a page of the same group, in training. (A validation part is taken out of the training side of each fold,
# so the shares differ from those of one 70/15/15 split.)

# %%
from ecgbook import splits

rows = []
for name in ("paper", "unique", "grouped"):
    frame = files if name == "paper" else pages
    folds = splits.folds(name, frame)
    mi = [int((frame["label"].iloc[fold.test] == "MI").sum()) for fold in folds]
    share = {
        key: np.concatenate([splits.leaked(fold, frame[key]) for fold in folds]).mean()
        for key in ("sha256", "group")
    }
    in_test = " to ".join(str(n) for n in sorted({min(mi), max(mi)}))
    rows.append((name, len(frame), in_test, *share.values()))
advice = ["only to reproduce the paper", "if nothing else is known", "recommended"]
columns = ["protocol", "instances", "MI in a test fold"]
columns += ["copy in training", "group in training"]
split_table = pd.DataFrame(rows, columns=columns).assign(use=advice)
assert split_table.iloc[2, 3:5].sum() == 0 < split_table.iloc[1, 4]
figures.table(split_table, "data_card_splits", decimals=2)

# %% [markdown]
# The folds come from `splits.folds("grouped", data.pages())`; with another program, take the column `group` of the
# manifest and any splitter that keeps groups together. It is the removal of copies, not the grouping, that brings the
# scores down; the grouping costs little and is the cautious choice.
#
# ## Uses
#
# | use | good for it? |
# |---|---|
# | teaching how leaks arise and are found | yes: it is the clearest example we know |
# | testing a digitiser of printed ECGs on one form | yes: the laws of the leads check it without annotation ([](../signal/digitize.ipynb)) |
# | comparing methods on equal folds | with care: distinct pages, groups together, paired intervals |
# | finding infarction, or telling old from new | no: thirty MI, unknown criteria, no time of onset |
# | estimating how common anything is | no: somebody chose four folders |
# | fairness between the sexes, or by age | no: few women, age blank |
# | any decision about a person | no |
#
# ## Distribution and upkeep
# *Under what licence?* EICP is under CC BY 4.0: use it, change it, name its authors {cite}`khan2021`. The tables of
# this book that are derived from it name them too; they hold no pixel of a page, no exam number and no full date.
# *Where is it?* On Mendeley Data, doi:10.17632/gwbz3fsgp8.2; `ecgbook data fetch eicp` gets it, and `ecgbook data
# verify eicp` compares every byte with the checksums that this page was computed from. *Is it kept up?* Version 2 is
# the last that we know of; the copies are not mentioned there. Mistakes in this card are mistakes of this book: mend
# the cell, and the page follows.

# %% [markdown]
# ## A card for your own data
# The numbers above came from one command, and it works for any folder of images with one folder a class. To see it
# work we draw twelve synthetic pages, six of each class, paste each folder after itself, put one page under the wrong
# class as well, and audit the whole.

# %%
import shutil
import tempfile
import textwrap
from pathlib import Path

from ecgbook import audit_report, draw, synth

root = Path(tempfile.mkdtemp()) / "pages"
for label in ("MI", "Normal"):
    (root / label).mkdir(parents=True)
    for seed in range(6):
        page = draw.draw_page(synth.record(label, seed))[0].reduce(3)
        page.save(root / label / f"{seed + 1}.png")
        page.save(root / label / f"{seed + 7}.png")  # the folder, pasted after itself
shutil.copy(root / "Normal" / "3.png", root / "MI" / "13.png")

found = audit.audit(root)
grouped = audit_report.grouped(root, found)
print(textwrap.fill(audit_report.sentence(grouped, found), 88))
print("shared:", audit_report.leaking(grouped), "of", len(grouped), "files")

# %% [markdown]
# On the command line that is `ecgbook audit pages`. With `--report audit.html` it writes one page, to be mailed to a
# reviewer: this sentence, the counts class by class, small pictures of what is copied, first of all whatever stands
# under two classes, and what to do next. With `--groups groups.csv` every file gets a group number, and one line of
# scikit-learn makes folds that part no group ([](../../ecgbook/audit_report.py)).

# %%
page = audit_report.page(root, found, grouped)
kinds = audit_report.kinds(grouped)
assert kinds.tolist() == ["conflict"] + 11 * ["copy"]
assert "One picture, two classes" in page
shown = grouped[grouped["group"].isin(kinds.index)].drop(columns=["path", "readable"])
shown = shown.assign(kind=shown["group"].map(kinds)).sort_values(["kind", "group"])
figures.table(shown, "data_card_planted")

# %% [markdown]
# A card goes stale when the data change and nobody looks. So let a machine look: `--fail-on-leak` ends with status 3
# if a random split could put copies or near-copies on both sides. This job for GitHub Actions is
# `examples/audit-ci.yml` in the repository, and a test runs its command:
#
# ```{literalinclude} ../../examples/audit-ci.yml
# :language: yaml
# ```

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-data-card-1
# *Easy.* The folder names promise 2,880 leads of infarction, twelve for each of 240 pages. How many leads of how many
# distinct pages are there?
# ```
#
# ```{solution-start} ex-data-card-1
# :class: dropdown
# ```

# %%
distinct_mi = pages[pages["label"] == "MI"]
assert 12 * len(distinct_mi) == 360
len(distinct_mi), 12 * len(distinct_mi)

# %% [markdown]
# An eighth of what the name promises, and the twelve leads of a page are one heart seen from twelve sides.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-data-card-2
# *Medium.* A colleague keeps all 928 files and splits by group. Does that avoid the leak? And does it give honest
# numbers for each class?
# ```
#
# ```{solution-start} ex-data-card-2
# :class: dropdown
# ```

# %%
from sklearn.model_selection import StratifiedGroupKFold

dealer = StratifiedGroupKFold(5, shuffle=True, random_state=0)
both = 0
for train, test in dealer.split(files, files["label"], files["group"]):
    both += files["sha256"].iloc[test].isin(set(files["sha256"].iloc[train])).sum()
weight = files["label"].value_counts(normalize=True)["MI"]
true_weight = pages["label"].value_counts(normalize=True)["MI"]
assert both == 0 and weight > 4 * true_weight
print(
    f"{both} copies on both sides; share of MI {weight:.2f} instead of {true_weight:.2f}"
)

# %% [markdown]
# It avoids the leak, for copies share a group. But each MI page counts eight times, in training and in the score, so
# the accuracy is that of a data set with four times as many infarctions; and an interval that takes eight copies for
# eight ECGs is too narrow.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-data-card-3
# *Hard.* Write the section "Collection" of a card for a data set that you use. Which of its sentences can a program
# check, and which must somebody have written down at the time?
# ```
#
# ```{solution-start} ex-data-card-3
# :class: dropdown
# ```
# A program can check what is in the files: dates, devices, sizes, copies, who shares an identifier, whether the
# stated counts are right. Who was asked, who refused, why some were left out, what the person who labelled knew, and
# whether anybody consented leaves no trace in the pixels. A card that others write years later, like this one, shows
# it: its numbers are exact, and its "not known" stands where it matters most. What the manifest of this data set lets
# a program check, and what it leaves open:

# %%
checkable = {
    "copies": int(len(files) - files["sha256"].nunique()),
    "years of recording": sorted(pages["year"].dropna().astype(int).unique().tolist()),
    "sex not printed": int((pages["sex"] == "").sum()),
}
not_there = {"age", "patient", "criteria", "consent"} - set(pages.columns)
assert checkable["copies"] == 437 and len(not_there) == 4
print(checkable, "not there:", sorted(not_there))

# %% [markdown]
# The sex is a word on the page; whether it is that of the person or the machine's default, no program can say.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - EICP is {glue:text}`data-card-distinct` pages, {glue:text}`data-card-mi` of them MI, from one device; the other
#   files are byte-identical copies.
# - Labels are folder names of unknown origin; the exam number is no patient number; the printed heart rate tells much
#   of the class.
# - Drop the copies, keep groups together, cut off the print, report intervals that resample groups.
# - It is good for teaching and for comparing methods, and for no statement about people.
# - A card whose numbers are computed can be kept true: let an audit run whenever the data change.
# ```
#
# ## Further reading
# *Datasheets for Datasets*, whose questions this card follows {cite}`gebru2021`; its counterpart for models, on the
# next page, follows {cite}`mitchell2019`. The data set {cite}`khan2021` (CC BY 4.0) and the article on its earlier
# version {cite}`khan2021brief`. How such defects reach the literature: {cite}`kapoor2023`.
