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
# # A classifier that never looks
# The last chapter counted copies. This one asks what they are worth. We build a classifier that cannot see a page, has
# no parameters, and would be useless in any hospital, and let it sit the same examination as the networks of the
# paper. Its mark is what this examination gives away to somebody without any skill.
#
# ```{admonition} What you will learn
# :class: learn
# - how to build the look-up baseline, and why its answer for unknown files matters;
# - how its recall in each class compares with the paper's best model: two classes agree, two do not;
# - what such a comparison can prove, and what it cannot.
# ```
#
# **Running time:** about ten seconds on a laptop, offline.

# %% [markdown]
# ## A dictionary for a model
# The data set {cite}`khan2021` is split as the paper splits it: 7 to 1.5 to 1.5, stratified, all 928 files. Training
# means to write down the {term}`hash` of every training file and its class. Nothing else is kept.

# %%
import pandas as pd

from ecgbook import audit, data, evaluate, figures, splits

figures.use()
files = data.files()
split = splits.holdout("paper", files, seed=0)
train, test = files.iloc[split.train], files.iloc[split.test]

memory = dict(zip(train["sha256"], train["label"], strict=True))
answer = test["sha256"].map(memory)
print(
    len(test),
    "test files,",
    answer.notna().sum(),
    "found in memory,",
    (answer == test["label"]).sum(),
    "right",
)

# %% [markdown]
# Whenever it finds the file, it is right: no content stands under two labels. For the others it needs a *fallback*. The
# obvious choice is the most frequent class of the training files.

# %%
majority = train["label"].mode().item()
naive = (answer.fillna(majority) == test["label"]).mean()
print(f"fallback {majority}: accuracy {naive:.3f}")

# %% [markdown]
# The obvious choice is wrong, and instructively so. The most frequent class owes its frequency to its copies, but a
# file that is *not* in memory is one without copies. What do such files look like? The training set can tell: take the
# training files that have no twin in training, and see which class is the most frequent among them.

# %%
alone = train[~train["sha256"].duplicated(keep=False)]
figures.table(
    alone["label"]
    .value_counts()
    .rename_axis("class")
    .reset_index(name="training files without a twin"),
    "lookup_alone",
)

# %%
fallback = alone["label"].mode().item()
learned = (answer.fillna(fallback) == test["label"]).mean()
print(f"fallback {fallback}: accuracy {learned:.3f}")

# %% [markdown]
# One sentence of statistics has bought more than ten points of accuracy, and the classifier still has not looked at a
# page. But this is one split, and one lucky split proves nothing.

# %% [markdown]
# ## Two thousand splits
# The function `audit.lookup_baseline` does the same for any list of hashes and labels, many splits at a time.

# %%
score = audit.lookup_baseline(files["sha256"], files["label"], repeats=2000, seed=0)
paper = pd.read_csv(data.tables() / "paper_table2.csv").set_index("model")
figures.glue("lookup-accuracy", score["accuracy_mean"], ".3f")
figures.glue("lookup-sd", score["accuracy_sd"], ".3f")
figures.glue("lookup-svm", paper.loc["SVM", "test_accuracy"], ".4f")
figures.glue("lookup-fallback", score["fallback"]["Abnormal"], ".0%")
figures.glue("lookup-naive", naive, ".2f")

# %% [markdown]
# Over 2,000 random splits its accuracy is {glue:text}`lookup-accuracy`, with a standard deviation from split to split
# of {glue:text}`lookup-sd`. The fallback that it learns is Abnormal in {glue:text}`lookup-fallback` of them. The paper's
# best model, a support vector machine on features of a DenseNet121, reports {glue:text}`lookup-svm` on its one split
# {cite}`li2026`. Here is where its seven models stand among the splits of the classifier that never looks.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A histogram of look-up accuracy over two thousand splits. The paper's best model stands just right of its centre, its other hybrids within it, and its two residual networks far to the left.", "classes": "chart dark-light"}, "figure": {"caption": "Accuracy of the look-up over 2,000 stratified splits (below) and the test accuracies that the paper reports for its seven models (above); the line continues the best of them.", "name": "fig-lookup-accuracy"}}
import matplotlib.pyplot as plt
import numpy as np

right = []
for part in audit.simulate_splits(files["label"], repeats=2000, seed=0):
    keys = pd.factorize(files["sha256"])[0]
    for row in part:
        seen = np.isin(keys, keys[row == 0])
        hit = seen | (files["label"].to_numpy() == fallback)
        right.append(int(hit[row == 2].sum()))
number, splits_at = np.unique(right, return_counts=True)
bars = pd.DataFrame(
    {"right of 140": number, "accuracy": number / 140, "splits": splits_at}
)

fig, (top, ax) = plt.subplots(
    2, sharex=True, figsize=(7.2, 4.6), height_ratios=[1, 1.4]
)
models = paper["test_accuracy"]
top.plot(models, np.arange(len(models))[::-1], "o", color=figures.ACCENT)
for at, (model, value) in zip(
    np.arange(len(models))[::-1], models.items(), strict=True
):
    top.annotate(
        model, (value, at), (-7, 0), textcoords="offset points", ha="right", va="center"
    )
top.set_title("the paper's models")
top.set_yticks([])
top.margins(y=0.12)
ax.bar(bars["accuracy"], bars["splits"], width=0.9 / 140, color="#9aa3af")
ax.set_title("the look-up")
ax.axvline(models["SVM"], color=figures.ACCENT, linewidth=1.3)
top.axvline(models["SVM"], ymax=0.85, color=figures.ACCENT, linewidth=1.3)
ax.set_xlabel("accuracy on 140 test files")
ax.set_ylabel("splits")
ax.set_xlim(0.58, 0.98)
figures.show(fig, bars, "lookup_accuracy", decimals=4)

# %% [markdown]
# Five of the seven models of the paper score within the range of a classifier that is blind, and none lies above it.
# That is a statement about the examination, not yet about the candidates.

# %% [markdown]
# ## Class by class
# An accuracy can be reached in many ways. If the paper's model did nothing but remember, its {term}`recall` should be
# that of the look-up in every class. The paper gives enough to work it out: all 36 MI right, 18 of 26 History_MI, 37 of
# 43 Normal, and from the total, 30 of 35 Abnormal. The intervals are exact {cite}`clopper1934`.

# %%
reported = pd.read_csv(data.tables() / "paper_recall.csv")
limits = [
    evaluate.exact_interval(k, n)
    for k, n in zip(reported["right"], reported["test_files"], strict=True)
]
recall = pd.DataFrame(
    {
        "class": reported["label"],
        "paper, right": reported["right"],
        "of": reported["test_files"],
        "paper, recall": reported["right"] / reported["test_files"],
        "low": [low for low, _ in limits],
        "high": [high for _, high in limits],
        "look-up, recall": [score["recall"][label] for label in reported["label"]],
    }
)
figures.table(recall, "lookup_recall", decimals=2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Recall by class: for MI and History_MI the look-up lies on the paper's value; for Normal it lies clearly below the paper's interval and for Abnormal clearly above.", "classes": "chart dark-light"}, "figure": {"caption": "Recall by class: the paper's best model (dots, exact 95 % intervals) and the look-up (diamonds, mean of 2,000 splits).", "name": "fig-lookup-recall"}}
fig, ax = plt.subplots(figsize=(7.2, 2.9))
shown = recall.rename(columns={"class": "name", "paper, recall": "estimate"})
figures.intervals(ax, shown)
rows = np.arange(len(shown))[::-1]
ax.plot(shown["look-up, recall"], rows - 0.22, "D", color=figures.ACCENT, markersize=6)
ax.annotate(
    "look-up",
    (shown["look-up, recall"].iloc[1], rows[1] - 0.22),
    (10, -4),
    textcoords="offset points",
    color=figures.ACCENT,
)
ax.annotate(
    "paper",
    (shown["low"].iloc[1], rows[1]),
    (-6, -4),
    textcoords="offset points",
    ha="right",
)
ax.set_xlim(0.35, 1.04)
ax.set_xlabel("recall")
figures.show(fig, recall, "lookup_recall_drawn", decimals=2)

# %%
outside = recall[
    (recall["look-up, recall"] < recall["low"])
    | (recall["look-up, recall"] > recall["high"])
]
figures.glue("lookup-outside", " and ".join(outside["class"]))
figures.glue("lookup-history", score["recall"]["History_MI"], ".2f")
figures.glue("lookup-normal", score["recall"]["Normal"], ".2f")
figures.glue("paper-history", recall["paper, recall"].iloc[1], ".2f")
figures.glue("paper-normal", recall["paper, recall"].iloc[3], ".2f")

# %% [markdown]
# Two classes agree and two do not. MI is perfect for both: every MI page has about seven copies, and one of them is
# always in training. History_MI comes out at {glue:text}`paper-history` for the paper and
# {glue:text}`lookup-history` for the look-up. But for {glue:text}`lookup-outside` the look-up lies outside the paper's
# interval: the paper's model recognises more Normal pages ({glue:text}`paper-normal` against
# {glue:text}`lookup-normal`) and fewer Abnormal ones.
#
# So what may we say? The paper's figures are *consistent with* a model that knows the copied pages by heart and has
# some real ability on the others. They do not show that it is one. Its perfect MI recall, which the paper's abstract
# puts forward, carries no information, because the look-up has it too. And its accuracy as a whole cannot be used to
# say how well such a model would read a new page. That is the point; we make no other.

# %% [markdown]
# ## How much skill would explain the score?
# Suppose that a model answers every remembered test file correctly and the rest with some accuracy $s$. If a share
# $m$ of the test files is remembered, its score is $m + (1 - m)\,s$. Which $s$ gives the scores of the paper?

# %%
in_test = pd.Series({"MI": 36, "History_MI": 26, "Abnormal": 35, "Normal": 43}) / 140
remembered = sum(in_test[label] * score["twins"][label] for label in data.CLASSES)
skill = (paper["test_accuracy"] - remembered) / (1 - remembered)
explained = pd.DataFrame(
    {
        "model": skill.index,
        "reported": paper["test_accuracy"].to_numpy(),
        "skill on new pages": skill.to_numpy(),
    }
)
figures.glue("lookup-remembered", remembered, ".0%")
figures.glue("lookup-skill", skill["SVM"], ".2f")
figures.table(explained, "lookup_skill", decimals=2)

# %% [markdown]
# In a typical split {glue:text}`lookup-remembered` of the test files have a copy in training. A model that remembers
# these would need an accuracy of only {glue:text}`lookup-skill` on the new ones to reach the best score in the paper;
# and always saying Abnormal would bring nearly as much. The last row needs less than blind guessing among four classes, so that network cannot have
# remembered so much. A network that was stopped early, or that saw its pages at 224 by 224 pixels, may well remember less than all; then its
# skill is higher. One cannot tell the two apart from the outside, and that is what is wrong with the examination.

# %% [markdown]
# ## The same classifier in an honest examination
# Keep copies together, and the dictionary has nothing to look up. We score it under the protocol `unique`, all 491
# pages, five folds.

# %%
pages = data.pages()
rows = []
for number, fold in enumerate(splits.folds("unique", pages)):
    known = pages.iloc[np.concatenate([fold.train, fold.val])]
    tested = pages.iloc[fold.test]
    assert not tested["sha256"].isin(known["sha256"]).any()
    called = known["label"].mode().item()
    probability = {f"p_{label}": float(label == called) for label in data.CLASSES}
    rows.append(
        tested[["file", "label"]].assign(
            repeat=0, fold=number, part="test", **probability
        )
    )
honest = evaluate.table(
    {"look-up": pd.concat(rows)},
    evaluate.units("unique"),
    ["accuracy", "balanced_accuracy", "macro_f1"],
)
figures.glue("lookup-honest", honest["estimate"].iloc[0], ".2f")
figures.glue("lookup-honest-ba", honest["estimate"].iloc[1], ".2f")
figures.table(honest.drop(columns="model"), "lookup_honest", decimals=2)

# %% [markdown]
# It names the largest class and is right on {glue:text}`lookup-honest` of the pages, with a {term}`balanced accuracy`
# of {glue:text}`lookup-honest-ba`, which is chance. This is where a model that cannot see belongs.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-lookup-1
# *Easy.* The paper used one split. In what share of our 2,000 splits would the look-up have beaten the paper's best
# model, that is, been right on more than 121 of 140 files?
# ```
#
# ```{solution-start} ex-lookup-1
# :class: dropdown
# ```

# %%
beaten = bars.loc[bars["right of 140"] > 121, "splits"].sum() / 2000
assert 0 < beaten < 1
round(float(beaten), 1)

# %% [markdown]
# In about one split in three. With another seed, the paper's table might have been headed by a dictionary.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-lookup-2
# *Medium.* Derive the recall of the look-up for History_MI and for Normal without any simulation. Each of their files has
# exactly one copy.
# ```
#
# ```{solution-start} ex-lookup-2
# :class: dropdown
# ```

# %%
counts = audit.part_counts([239, 172, 233, 284])
by_formula = {
    label: counts[k, 0] / (counts[k].sum() - 1) for k, label in enumerate(data.CLASSES)
}
for label in ("History_MI", "Normal"):
    assert abs(by_formula[label] - score["recall"][label]) < 0.01
{label: round(float(by_formula[label]), 2) for label in ("History_MI", "Normal")}

# %% [markdown]
# Take a test file. Its one copy is equally likely to be any of the other files of its class, so it is in training with
# probability (training files) / (files of the class − 1).
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-lookup-3
# *Medium.* Somebody proposes a cure: delete from the *test* set every file that has a copy in training, and keep the
# training set. Which classes are left in the test set, and what is wrong with the accuracy on it?
# ```
#
# ```{solution-start} ex-lookup-3
# :class: dropdown
# ```

# %%
left = test[~test["sha256"].isin(train["sha256"])]["label"].value_counts()
assert "MI" not in left.index and left.idxmax() == "Abnormal"
left

# %% [markdown]
# The cure kills the patient: MI is gone altogether, and most of what is left is Abnormal, so always saying Abnormal scores
# well again. The copies have to go before the split, and the classes have to be counted afterwards.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-lookup-4
# *Hard.* A hash finds only exact copies. Suppose that a publisher re-encodes every image once more, each with slightly
# different noise. The look-up would find nothing. Would the leak be gone? Describe an experiment on a set of your own.
# ```
#
# ```{solution-start} ex-lookup-4
# :class: dropdown
# ```
# The leak would be just as large: what matters is whether a *model* can recognise a page that it has seen, and a
# network is not disturbed by encoding noise. To see it, add faint noise to one file of each pair of copies, chosen at
# random, run a nearest neighbour on small grey pictures as the look-up, and compare its accuracy on files with and
# without a twin in training. The audit's search for near-duplicates exists for this case. Here is the experiment on
# noise that no model can understand: 200 random pictures with a class by lot, each there twice, the second time with
# a little more noise.

# %%
from sklearn.neighbors import KNeighborsClassifier

rng = np.random.default_rng(0)
drawn = rng.normal(size=(200, 64))
twice = np.concatenate([drawn, drawn + 0.1 * rng.normal(size=drawn.shape)])
by_lot = np.tile(rng.integers(4, size=200), 2)
order = rng.permutation(400)
known, asked = order[:280], order[280:]
nearest = KNeighborsClassifier(1).fit(twice[known], by_lot[known])
hit = nearest.predict(twice[asked]) == by_lot[asked]
met = np.isin(asked % 200, known % 200)
assert len({row.tobytes() for row in twice}) == 400  # a hash finds no copy
assert hit[met].all() and hit[~met].mean() < 0.5
float(hit[met].mean()), round(float(hit[~met].mean()), 2)

# %% [markdown]
# By hash, all 400 differ. The neighbour is right about every picture whose twin it has met, and guesses the others.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - A look-up by hash, with a fallback learned from the training files that have no twin, scores
#   {glue:text}`lookup-accuracy` on random splits of the published files; the paper's best model reports
#   {glue:text}`lookup-svm`.
# - Class by class, two of four recalls agree with the paper's and two do not. The paper's scores are consistent with
#   remembered copies; they do not prove them.
# - With copies kept together the same classifier falls to chance.
# - Run this baseline on your own data set: `ecgbook audit DIR`.
# ```
#
# ## Further reading
# Copies between training and test sets have been found in the most used image collections of all {cite}`barz2020`. On
# leakage across the sciences, with a taxonomy: {cite}`kapoor2023`. The functions: [](../../ecgbook/audit.py),
# [](../../ecgbook/evaluate.py). The data: {cite}`khan2021` (CC BY 4.0); the paper: {cite}`li2026`.
