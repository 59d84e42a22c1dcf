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
# # Fingerprints
# Copies are the crudest way to be right for the wrong reason, and they are easy to remove. A finer way remains: a page
# may carry marks that go with its class although they are no part of the heartbeat. A printer's grid, the month of the
# recording, the name of a ward. A network looks for whatever helps, and such *fingerprints* help. This chapter asks of
# each mark on these pages: could you guess the class from it alone?
#
# ```{admonition} What you will learn
# :class: learn
# - which printed fields there are besides the trace, and how the classes share them;
# - how to test whether a mark predicts the class: out of fold, against chance, with an interval;
# - why a mark that predicts is not always a cheat, and why one that does not is no proof of innocence.
# ```
#
# **Running time:** about 20 seconds on a laptop, offline.

# %% [markdown]
# ## What is printed besides the ECG
# From here on only the 491 distinct pages of the data set {cite}`khan2021` are used. The printed fields were read from
# every page by [](../../ecgbook/printed.py) and are carried as a table: the exam number, replaced by a running number
# that says only which pages share one; the {term}`heart rate` that the machine computed; the sex that is printed; the
# year; and whether the machine complained of a loose electrode (*lead off*). The scan batch follows from the date:
# 2019, August 2020 (2020a) or October 2020 (2020b).

# %%
import pandas as pd

from ecgbook import data, evaluate, figures, splits

figures.use()
pages = data.pages()
order = list(data.CLASSES)
marks = pages.groupby("label").agg(
    pages=("file", "size"),
    exams=("exam", "nunique"),
    female=("sex", lambda s: (s == "Female").mean()),
    lead_off=("lead_off", "mean"),
    from_2019=("batch", lambda b: (b == "2019").mean()),
    median_rate=("heart_rate", "median"),
    median_kB=("bytes", lambda b: b.median() / 1000),
)
figures.table(marks.loc[order].reset_index(), "fingerprints_marks", decimals=2)

# %% [markdown]
# Most columns look alike from class to class. One does not: the heart rate. Here are all of them, one dot a page.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Strips of dots: every Normal page lies at or below 90 beats a minute, most Abnormal pages lie above 90, and the two infarction classes spread over both.", "classes": "chart dark-light"}, "figure": {"caption": "Printed heart rate of the 491 distinct pages, by class. The line marks 90 beats a minute; black bars are medians.", "name": "fig-fingerprints-rate"}}
import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(0)
fig, ax = plt.subplots(figsize=(7.2, 3.4))
for row, label in enumerate(order):
    rates = pages.loc[pages["label"] == label, "heart_rate"].astype(float)
    height = row + rng.uniform(-0.28, 0.28, len(rates))
    ax.plot(
        rates,
        height,
        figures.MARKERS[label],
        color=figures.COLOURS[label],
        markersize=3.5,
        alpha=0.6,
    )
    ax.vlines(rates.median(), row - 0.38, row + 0.38, color=figures.INK, linewidth=3)
ax.axvline(90, color=figures.MUTED, linewidth=1)
ax.set_yticks(range(4), order)
ax.invert_yaxis()
ax.set_xlabel("printed heart rate (beats a minute)")
rates = pages[["label", "heart_rate"]].value_counts().reset_index(name="pages")
figures.show(fig, rates.sort_values(["label", "heart_rate"]), "fingerprints_rate")

# %%
highest = pages.groupby("label")["heart_rate"].max()
figures.glue("fingerprints-normal-max", highest["Normal"])
figures.glue(
    "fingerprints-abnormal-min",
    pages.loc[pages["label"] == "Abnormal", "heart_rate"].min(),
)

# %% [markdown]
# No Normal page is faster than {glue:text}`fingerprints-normal-max` beats a minute, and no Abnormal page is slower than
# {glue:text}`fingerprints-abnormal-min`: there is no {term}`bradycardia` among the abnormal heartbeats at all. A set
# drawn from a hospital's daily work would not have such edges. Somebody, or some rule, sorted by rate.
#
# ## Guessing the class from one mark
# A fair test has three parts. The guess must be made for pages that the guesser has not seen, so we cross-validate. It
# must be scored so that always naming the largest class earns nothing, so we use {term}`balanced accuracy`, which is a
# quarter for any guess that ignores the page. And it must be compared with luck.
#
# The guesser is a decision tree of depth three, which can cut a number into eight ranges and no more. We run it on
# five folds under the protocol `unique`, where copies are gone and nothing else has been done.

# %%
from sklearn.tree import DecisionTreeClassifier

MARKS = {
    "heart rate": pages[["heart_rate"]].astype(float),
    "file size": pages[["bytes"]].astype(float),
    "scan batch": pd.get_dummies(pages["batch"]).astype(float),
    "sex": (pages[["sex"]] == "Female").astype(float),
    "lead off": pages[["lead_off"]].astype(float),
}


def out_of_fold(values, labels, folds):
    """Probability of each class for every page, from a tree that never saw the page: (n, 4)."""
    probabilities = np.zeros((len(labels), 4))
    for split in folds:
        known = np.concatenate([split.train, split.val])
        tree = DecisionTreeClassifier(
            max_depth=3, min_samples_leaf=10, class_weight="balanced", random_state=0
        )
        tree.fit(values[known], labels[known])
        probabilities[np.ix_(split.test, tree.classes_)] = tree.predict_proba(
            values[split.test]
        )
    return probabilities


labels = pages["label"].map(order.index).to_numpy()
folds = splits.folds("unique", pages)
rate = out_of_fold(MARKS["heart rate"].to_numpy(), labels, folds)
rate[:3].round(2)

# %% [markdown]
# Three pages of MI, and the tree's opinion of each. To score all marks with intervals, we put such probabilities into the
# book's common format and resample groups of pages. Luck is measured too: we shuffle the labels among the pages, which
# destroys any bond between mark and class and leaves everything else in place, and run the same test again, 60 times.


# %%
def as_predictions(probabilities):
    frame = pages[["file", "label"]].assign(repeat=0, fold=0, part="test")
    return frame.join(pd.DataFrame(probabilities, columns=evaluate.PROBABILITIES))


def score(probabilities, labels):
    called = probabilities.argmax(axis=1)
    return np.mean([(called[labels == k] == k).mean() for k in range(4)])


rng = np.random.default_rng(1)
shuffled = [rng.permutation(labels) for _ in range(60)]
luck = {
    name: np.quantile(
        [score(out_of_fold(v.to_numpy(), s, folds), s) for s in shuffled], 0.95
    )
    for name, v in MARKS.items()
}
frames = {
    name: as_predictions(out_of_fold(v.to_numpy(), labels, folds))
    for name, v in MARKS.items()
}
guesses = evaluate.table(frames, evaluate.units("unique"), ["balanced_accuracy"]).drop(
    columns="metric"
)
guesses = guesses.rename(columns={"model": "mark"}).assign(luck=list(luck.values()))
figures.table(guesses, "fingerprints_guesses", decimals=2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Intervals of balanced accuracy by mark: heart rate lies near one half and file size near four tenths, both far above luck; batch, sex and lead off lie near one quarter, below what luck reaches.", "classes": "chart dark-light"}, "figure": {"caption": "Balanced accuracy of a small decision tree that sees one mark and no trace, out of fold, with its 95 % interval. Diamonds: what shuffled labels stay under 19 times in 20. The line is one quarter, the score of ignoring the page.", "name": "fig-fingerprints-guesses"}}
fig, ax = plt.subplots(figsize=(7.2, 3.0))
figures.intervals(ax, guesses.rename(columns={"mark": "name"}))
ax.plot(
    guesses["luck"],
    np.arange(len(guesses))[::-1],
    "D",
    color=figures.ACCENT,
    markersize=5,
)
ax.annotate(
    "luck",
    (guesses["luck"].iloc[0], len(guesses) - 1),
    (7, -4),
    textcoords="offset points",
    color=figures.ACCENT,
)
ax.axvline(0.25, color=figures.MUTED, linewidth=1)
ax.set_xlabel("balanced accuracy")
ax.set_xlim(0.15, 0.65)
figures.show(fig, guesses, "fingerprints_guesses_drawn", decimals=2)

# %%
by_mark = guesses.set_index("mark")["estimate"]
figures.glue("fingerprints-ba-rate", by_mark["heart rate"], ".2f")
figures.glue("fingerprints-ba-size", by_mark["file size"], ".2f")

# %% [markdown]
# Batch, sex and lead-off say nothing about the class that luck would not say. Two marks do.
#
# **The heart rate** reaches {glue:text}`fingerprints-ba-rate` where ignoring the page gives a quarter. That is no cheat
# in itself: the rate is a measurement of the heart, a doctor uses it, and a {term}`tachycardia` is an abnormal
# heartbeat. But it sets the bar. A model has to beat this tree before it can claim to have read the shape of a wave.
#
# **The file size** reaches {glue:text}`fingerprints-ba-size`, and that should give you pause. A JPEG file is larger
# when there is more to draw. Is it only the heart rate again, more beats and so more ink? An exercise below looks.

# %% [markdown]
# ## A rule of one line
# How far does the rate go on the question that the data set makes easiest, Normal or not? One threshold, learned in the
# training folds, out of fold:

# %%
normal = (labels == order.index("Normal")).astype(int)
rates = pages["heart_rate"].to_numpy(float)
called = np.zeros(len(pages), int)
cuts = []
for split in folds:
    known = np.concatenate([split.train, split.val])
    candidates = np.unique(rates[known])
    recall = [
        (
            (rates[known] <= c)[normal[known] == 1].mean()
            + (rates[known] > c)[normal[known] == 0].mean()
        )
        / 2
        for c in candidates
    ]
    cuts.append(candidates[int(np.argmax(recall))])
    called[split.test] = rates[split.test] <= cuts[-1]
one_line = (called[normal == 1].mean() + (1 - called[normal == 0]).mean()) / 2
figures.glue("fingerprints-one-line", one_line, ".2f")
print("thresholds:", *(f"{c:.0f}" for c in cuts))

# %% [markdown]
# Balanced accuracy {glue:text}`fingerprints-one-line` for normal against the rest, from one printed number and a rule of
# one line. Whatever a network adds must be counted from there.

# %% [markdown]
# ## Do the exam groups give the class away?
# Were the printed exam number a patient number, pages that share one would be the same heart, mostly under the same
# label, and they would have to stay on one side of any split. So we ask the data. Among all pairs of pages with the
# same number, how many agree in class? And how many would, if labels had been dealt at random?


# %%
def agreement(labels, left, right):
    return (labels[left] == labels[right]).mean()


codes = pages["exam"].to_numpy()
left, right = np.nonzero(np.triu(codes[:, None] == codes[None, :], k=1))
observed = agreement(labels, left, right)
rng = np.random.default_rng(2)
by_chance = np.array(
    [agreement(rng.permutation(labels), left, right) for _ in range(10_000)]
)
p_value = (1 + (by_chance >= observed).sum()) / (1 + len(by_chance))
summary = pd.DataFrame(
    {
        "pairs": [len(left)],
        "agree": [observed],
        "agree by chance": [by_chance.mean()],
        "chance, upper 95th percentile": [np.quantile(by_chance, 0.95)],
    }
)
figures.glue("fingerprints-agree", observed, ".2f")
figures.glue("fingerprints-chance", by_chance.mean(), ".2f")
figures.glue("fingerprints-p", p_value, ".2f")
figures.table(summary, "fingerprints_pairs", decimals=2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "A histogram of agreement under shuffled labels centred near one third, with the observed agreement of same-exam pairs in its right flank, not beyond it.", "classes": "chart dark-light"}, "figure": {"caption": "Share of same-exam pairs that agree in class: 10,000 shuffles of the labels (bars) and the real labels (line).", "name": "fig-fingerprints-pairs"}}
# bins between whole numbers of pairs, so that no value lies on an edge
edges = np.arange(119.5, 220, 4) / len(left)
counts, _ = np.histogram(by_chance, bins=edges)
fig, ax = plt.subplots(figsize=(7.2, 2.8))
ax.bar(
    edges[:-1],
    counts,
    width=np.diff(edges),
    align="edge",
    color="#9aa3af",
    edgecolor="white",
)
ax.axvline(observed, color=figures.ACCENT, linewidth=2)
ax.annotate(
    "real labels",
    (observed, counts.max()),
    (6, -4),
    textcoords="offset points",
    color=figures.ACCENT,
)
ax.set_xlabel("share of same-exam pairs with the same class")
ax.set_ylabel("shuffles")
histogram = pd.DataFrame({"from": edges[:-1], "to": edges[1:], "shuffles": counts})
figures.show(fig, histogram, "fingerprints_pairs_histogram")

# %% [markdown]
# They agree in {glue:text}`fingerprints-agree` of the pairs, against {glue:text}`fingerprints-chance` by chance; the
# shuffles reach the observed value with a frequency of {glue:text}`fingerprints-p`. If these were repeats of the same
# patients, agreement would be the rule. It is hardly more than chance: the number seems to be shared by people who were
# recorded one after another. That is why this book never calls it a patient.
#
# The number errs in the other direction too. Measured later in the book, the signals of a few pages turn out to be
# closer to each other than any two pages recorded months apart, although their numbers differ: most likely one
# person, recorded again minutes later. A {term}`group` in this book is therefore both: pages that share an exam number,
# and pages whose signals are more alike than strangers' can be ([](../../ecgbook/groups.py)).

# %%
rows = {"exam numbers": pages["exam"].nunique(), "groups": pages["group"].nunique()}
rows["pages that changed group"] = (pages["exam"] != pages["group"]).sum()
figures.table(
    pd.Series(rows).rename_axis("count of").reset_index(name="number"),
    "fingerprints_groups",
)

# %% [markdown]
# Does a guesser that knows the groups gain by it? It stores the classes seen under each exam number, and votes; a page
# with an unknown number gets no answer better than a quarter.


# %%
def group_vote(folds):
    probabilities = np.full((len(pages), 4), 0.25)
    for split in folds:
        known = np.concatenate([split.train, split.val])
        weight = 1 / np.bincount(labels[known], minlength=4)
        votes = (
            pd.DataFrame(np.eye(4)[labels[known]] * weight).groupby(codes[known]).sum()
        )
        seen = np.isin(codes[split.test], votes.index)
        chosen = votes.loc[codes[split.test][seen]].to_numpy()
        probabilities[split.test[seen]] = chosen / chosen.sum(axis=1, keepdims=True)
    return probabilities


frames = {
    "unique (groups may be split)": as_predictions(group_vote(folds)),
    "grouped (groups kept together)": as_predictions(
        group_vote(splits.folds("grouped", pages))
    ),
}
voted = evaluate.table(frames, evaluate.units("grouped"), ["balanced_accuracy"]).drop(
    columns="metric"
)
figures.glue("fingerprints-vote", voted["estimate"].iloc[0], ".2f")
figures.table(
    voted.rename(columns={"model": "protocol"}), "fingerprints_votes", decimals=2
)

# %% [markdown]
# Under `unique` the vote scores {glue:text}`fingerprints-vote`; under `grouped` it is a quarter by construction, for no
# group is ever seen twice. So the grouping removes next to nothing that a model could have exploited through labels.
# We keep `grouped` as the headline protocol all the same, because it costs little and because we cannot know what else
# two pages of one exam share. What explains the fall of the paper's score is the removal of copies.

# %% [markdown]
# ## What this does and does not show
# A mark that predicts is a *possible* shortcut. Whether a given network takes it must be asked of the network: hide the
# mark and see. And a mark that does not predict by itself may still help in company, or there may be marks that nobody
# has thought of. The classic cases were found late: networks that read the hospital from the corner of a chest
# radiograph {cite}`zech2018`, or the laterality marker instead of the lung {cite}`degrave2021`.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-fingerprints-1
# *Easy.* Which two classes does the tree on heart rate confuse most? Print its confusion matrix.
# ```
#
# ```{solution-start} ex-fingerprints-1
# :class: dropdown
# ```

# %%
matrix = evaluate.confusion(as_predictions(rate)).astype(int)
assert matrix.to_numpy().sum() == 491
matrix

# %% [markdown]
# History_MI and Normal. The two infarction classes and Normal share the range from 60 to 90 beats a minute, and no threshold can part them
# there. Only the fast pages, nearly all Abnormal, are easy.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-fingerprints-2
# *Medium.* Is the file size only another face of the heart rate? Give the tree both, and compare it with the tree that
# has the rate alone, on the same folds.
# ```
#
# ```{solution-start} ex-fingerprints-2
# :class: dropdown
# ```

# %%
both = pd.concat([MARKS["heart rate"], MARKS["file size"]], axis=1).to_numpy()
difference = evaluate.compare(
    as_predictions(out_of_fold(both, labels, folds)),
    as_predictions(rate),
    evaluate.units("unique"),
    ["balanced_accuracy"],
)
rank = pages[["heart_rate", "bytes"]].astype(float).corr("spearman").iloc[0, 1]
assert -1 <= difference["low"].item() <= difference["high"].item() <= 1
difference.round(2)[["difference", "low", "high"]], round(float(rank), 1)

# %% [markdown]
# Size and rate go together across pages. The interval of the difference is not clear of nought, so it is not shown
# that the size adds something of its own. To say more one would compare pages of equal rate.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-fingerprints-3
# *Medium.* The exam numbers of our table run in the order of the files, and the files are listed class by class. Show
# that the bare number is therefore a strong cheat, and say what follows for publishing such tables.
# ```
#
# ```{solution-start} ex-fingerprints-3
# :class: dropdown
# ```

# %%
cheat = score(out_of_fold(pages[["exam"]].to_numpy(float), labels, folds), labels)
assert cheat > 0.7
round(float(cheat), 1)

# %% [markdown]
# The tree cuts the numbers into ranges, and the ranges are the classes: a tree that knows nothing of the heart is
# right most of the time. An identifier that was given out in the order of a sorted list carries the sorting with it.
# Use such numbers to keep pages together, never as an input, and beware of row numbers, file names and dates.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-fingerprints-4
# *Hard.* We tested five marks. If all five were useless, how likely would it be that at least one exceeded the level that
# shuffled labels stay under 19 times in 20? Check by simulation with independent marks.
# ```
#
# ```{solution-start} ex-fingerprints-4
# :class: dropdown
# ```

# %%
rng = np.random.default_rng(3)
at_least_one = (rng.uniform(size=(100_000, 5)) > 0.95).any(axis=1).mean()
assert abs(at_least_one - (1 - 0.95**5)) < 0.01
round(float(at_least_one), 2)

# %% [markdown]
# Nearly one time in four. Both marks that stood out here stand far above the level, so the conclusion holds, but a mark
# that had just crossed it should have been corrected for the number of questions.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - The printed heart rate alone reaches a balanced accuracy of {glue:text}`fingerprints-ba-rate` on four classes, and
#   {glue:text}`fingerprints-one-line` on normal against the rest. Any model has to beat that.
# - Scan batch, sex and lead-off predict nothing here; the file size predicts something.
# - Pages with the same exam number agree in class hardly more often than chance: the number is no patient number. A
#   group adds pages whose signals are too much alike, and stays together under the protocol `grouped`.
# - Test a mark out of fold, with balanced accuracy, against shuffled labels.
# ```
#
# ## Further reading
# Shortcuts of this kind in radiology: {cite}`zech2018` and {cite}`degrave2021`; a review of how they got into hundreds of
# papers on one disease: {cite}`roberts2021`. The data: {cite}`khan2021` (CC BY 4.0).
