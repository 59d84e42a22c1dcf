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
# # Hybrid models
# The paper's best model is half a network. Its last layer is taken off, the rest is frozen, and what the rest says about
# a page is handed to a classifier of the nineties. That beats the network it was cut from, the paper reports, by more
# than four points. We build the same thing, tune it before your eyes, and put it beside the paper's table. The number is
# easy to reach, with features of a network that has never seen an ECG. What that says about the number is the end of this
# chapter.
#
# ```{admonition} What you will learn
# :class: learn
# - what is left of a network when its last layer is taken off, and what these features know about a page;
# - how standardising, PCA, a classical classifier and a grid search are put together so that nothing leaks inwards;
# - how our hybrids compare with the paper's, and which of them validation would have chosen;
# - why a grid search on copied pages is deceived too.
# ```
#
# **Running time:** about 25 seconds on a laptop, offline. The stored runs took longer.

# %% [markdown]
# ## The last layer is a small classifier
# A network for pictures ends in a {term}`head`: one layer that turns a list of {term}`features <feature>` into one score a
# class. Everything before it is the {term}`backbone`. Here is the paper's backbone, DenseNet121
# {cite}`huang2017`, with weights drawn by lot, and one page
# that we draw ourselves.

# %%
import numpy as np
import pandas as pd

from ecgbook import data, draw, evaluate, figures, hybrid, networks, preprocess, synth

figures.use()
network = networks.build("densenet121")
page = preprocess.render("paper", draw.draw_page(synth.record("Normal", 0))[0])
pixels = np.asarray(page)[None]  # (1, 224, 224)

features = networks.embed(network, pixels)
scores = networks.logits(network, pixels)
print(pixels.shape, "->", features.shape, "->", scores.shape)

# %% [markdown]
# The head multiplies the features by a matrix and adds four numbers. We can do that by hand.

# %%
weight, bias = (part.detach().numpy() for part in network.head.parameters())
by_hand = features @ weight.T + bias
print("the same scores:", np.allclose(by_hand, scores, atol=1e-5))
in_head = weight.size + bias.size
in_all = sum(part.numel() for part in network.parameters())
figures.glue("hybrid-in-head", f"{in_head:,}")
figures.glue("hybrid-in-all", f"{in_all:,}")

# %% [markdown]
# So the head is a linear classifier with {glue:text}`hybrid-in-head` weights, on top of a machine with
# {glue:text}`hybrid-in-all`. The idea of a {term}`hybrid model` follows at once. With 648 training files the large machine is
# hard to train; keep it as it is, and spend the data on the small part. And once the features are fixed, the small part need
# not be linear, and need not be trained by small steps: a {term}`support vector machine` {cite}`cortes1995`, a random forest
# {cite}`breiman2001` or boosted trees {cite}`chen2016` are fitted in seconds, so that their settings can be tried out.
#
# The backbone can come from two places. It may have been trained on the training pages, as the paper's was; then its features are made for the
# question. Or it may have been trained on something else altogether; that is {term}`transfer learning` in its purest
# form.

# %% [markdown]
# ## Features from a network that has never seen an ECG
# EfficientNet-Lite0 {cite}`tan2019` with weights from {term}`ImageNet` {cite}`deng2009` knows dogs, cars and mushrooms. Its
# features of the 491 distinct pages {cite}`khan2021` come with the package, computed from the paper's picture of each
# page, 224 by 224.

# %%
X = hybrid.lite0_features()
pages, files = data.pages(), data.files()
print(
    X.shape, X.to_numpy().dtype, "share of zeros", round((X == 0).to_numpy().mean(), 1)
)

# %% [markdown]
# What does such a network see in an ECG? {term}`Principal component analysis <PCA>` gives the directions in which the
# pages differ most. For each of the first five we ask how much of it is explained by three things we know: the class,
# the heart rate, and the *scan batch*, that is, whether the page was printed in 2019, in August 2020 or in October
# 2020.

# %%
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

standard = StandardScaler().fit_transform(X)
components = PCA(svd_solver="covariance_eigh").fit(standard)
scores = pd.DataFrame(components.transform(standard)[:, :5])


def explained(by):
    """Share of the variance of each component that lies between the groups."""
    return scores.groupby(by.to_numpy()).transform("mean").var() / scores.var()


rate = pages["heart_rate"].astype(float)
known = pd.DataFrame(
    {
        "component": np.arange(1, 6),
        "share of variance": components.explained_variance_ratio_[:5],
        "explained by class": explained(pages["label"]),
        "by scan batch": explained(pages["batch"]),
        "by heart rate": scores.corrwith(rate) ** 2,
    }
)
figures.glue("hybrid-first-batch", known["by scan batch"].iloc[0], ".0%")
figures.glue("hybrid-first-class", known["explained by class"].iloc[0], ".0%")
figures.glue("hybrid-second-rate", known["by heart rate"].iloc[1], ".0%")
figures.table(known, "hybrid_components", decimals=2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two scatter plots of the same 491 points. Marked by scan batch, the pages of 2019 form a cloud of their own to the right; marked by class, the four classes overlap nearly everywhere.", "classes": "chart dark-light"}, "figure": {"caption": "The first two principal components of the Lite0 features, one point a page: marked by scan batch (left) and by class (right).", "name": "fig-hybrid-components"}}
import matplotlib.pyplot as plt

BATCHES = {
    "2019": (figures.ACCENT, "o"),
    "2020a": (figures.COLOURS["Abnormal"], "^"),
    "2020b": ("#7b8494", "s"),
}
fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.9), sharey=True)
marked = [
    ("scan batch", pages["batch"], BATCHES),
    (
        "class",
        pages["label"],
        {c: (figures.COLOURS[c], figures.MARKERS[c]) for c in data.CLASSES},
    ),
]
for ax, (title, values, style) in zip(axes, marked, strict=True):
    for name in reversed(style):
        rows = (values == name).to_numpy()
        colour, marker = style[name]
        ax.plot(
            scores[0][rows],
            scores[1][rows],
            marker,
            color=colour,
            ms=4,
            alpha=0.75,
            label=name,
        )
    ax.set_title(f"by {title}")
    ax.set_xlabel("first component")
    ax.legend(loc="upper right", fontsize=9)
axes[0].set_ylabel("second component")
drawn = scores[[0, 1]].set_axis(["first component", "second component"], axis=1)
drawn = pages[["file", "batch", "label"]].join(drawn)
figures.show(fig, drawn, "hybrid_components_drawn", decimals=1)

# %% [markdown]
# The direction in which the pages differ most is explained to {glue:text}`hybrid-first-batch` by the scan batch, and
# to {glue:text}`hybrid-first-class` by the class. The second knows the heart rate ({glue:text}`hybrid-second-rate`):
# faster hearts put more strokes on the page. A network of photographs sees, first of all, what a photographer would:
# the paper and how busy it is. That is no fault of the method. It is what *features* are, and the classifier has to
# find the class behind them. It also says where a {term}`shortcut` would come from ([](../audit/fingerprints.ipynb)).

# %% [markdown]
# ## Fewer numbers than pages
# There are more features than pages, and many say nearly the same. The paper calls them sparse and redundant and
# reduces them by PCA; it does not say to how many. The *scree plot* shows what each component adds.

# %% tags=["hide-input"] mystnb={"image": {"alt": "For the features of the frozen network the variance falls steeply over the first ten components and then slowly; the cumulative curve passes half well before the first dotted line.", "classes": "chart dark-light"}, "figure": {"caption": "Scree plot: share of the variance in each principal component (left, logarithmic) and in all up to it (right); dotted lines mark the two sizes that the grid search tries.", "name": "fig-hybrid-scree"}}
from ecgbook import study

sources = {"Lite0, frozen": X}
if study.finished(["paper-densenet121"]):
    sources["DenseNet121, trained"] = study.features("paper-densenet121")

fig, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.3))
scree = []
for (name, table), colour, dash in zip(
    sources.items(), (figures.INK, figures.ACCENT), ("-", "--"), strict=False
):
    ratio = PCA(svd_solver="covariance_eigh").fit(StandardScaler().fit_transform(table))
    ratio = ratio.explained_variance_ratio_[:300].astype(float)
    at = np.arange(1, len(ratio) + 1)
    left.plot(at, 100 * ratio, dash, color=colour)
    right.plot(at, 100 * ratio.cumsum(), dash, color=colour, label=name)
    scree.append(
        pd.DataFrame({"features": name, "component": at, "share (%)": 100 * ratio})
    )
scree = pd.concat(scree)
left.set_yscale("log")
left.set_ylim(0.02, 50)
left.set_ylabel("variance in it (%)")
right.set_ylabel("variance up to it (%)")
right.set_ylim(0, 102)
right.legend(loc="lower right")
for ax in (left, right):
    ax.set_xlabel("component")
    for tried in (50, 100):
        ax.axvline(tried, color=figures.MUTED, linewidth=0.9, linestyle=":")
figures.show(fig, scree, "hybrid_scree", decimals=2)

# %%
lite0 = scree[scree["features"] == "Lite0, frozen"]["share (%)"].cumsum().to_numpy()
figures.glue("hybrid-kept-50", lite0[49] / 100, ".0%")
figures.glue("hybrid-kept-100", lite0[99] / 100, ".0%")

# %% [markdown]
# Of the Lite0 features 50 components keep {glue:text}`hybrid-kept-50` of the variance and 100 keep
# {glue:text}`hybrid-kept-100`. Variance is not knowledge, as the first component has just shown; so the number of
# components is a setting like any other, and the {term}`grid search` chooses it.

# %% [markdown]
# ## What the paper does not say
# "Dimension reduced by PCA, hyper-parameters tuned by grid search": that leaves much open. These are our choices.

# %%
unstated = pd.DataFrame(
    [
        ("pages that scaling and PCA are fitted on", "training pages alone"),
        ("scaling of the features", "to mean 0 and variance 1"),
        ("number of components", "50 or 100, by grid search"),
        ("kernel of the SVM", "Gaussian; width 1 / (components x variance)"),
        ("grid of the SVM", "C = 1, 10 or 100"),
        (
            "grid of the forest",
            "300 trees; a tenth or three tenths of components a split",
        ),
        ("grid of XGBoost", "150 trees; depth 2 or 4"),
        (
            "how the grid is scored",
            "3-fold cross-validation in training pages, log loss",
        ),
        (
            "probabilities of the SVM",
            "a sigmoid a class, fitted on held-out training pages",
        ),
    ],
    columns=["what is open", "our choice"],
)
figures.table(unstated, "hybrid_unstated")

# %% [markdown]
# ## One grid search, live
# All steps are one *pipeline*: standardise, PCA, classify. Searching over the pipeline and not over the classifier alone
# means that in each inner fold scaling and PCA, too, are fitted without the pages that are then scored.

# %%
search = hybrid.build("pca svm", seed=0)
print(" -> ".join(search.estimator.named_steps))
print(search.param_grid)

# %% [markdown]
# We run it under the {term}`protocol` `paper`, first seed: all 928 files, copies included. A copy has the features of its
# first copy. `study.predict_fold` fits on the training part and predicts validation and test part.

# %%
from threadpoolctl import threadpool_limits

split = study.deal(study.STUDIES["paper-lite0-svm"])[0, 0]
on_files = X.loc[files["first_copy"]].set_axis(files.index)
with threadpool_limits(1):  # one thread, as in the stored runs
    live = study.predict_fold(search, on_files, files, split, "paper")

grid = pd.DataFrame(search.cv_results_)
grid = grid.rename(
    columns={
        "param_pca__n_components": "components",
        "param_model__estimator__estimator__C": "C",
    }
)
grid["log loss"] = -grid["mean_test_score"]
wide = grid.pivot(index="components", columns="C", values="log loss")
wide.columns = [f"log loss, C = {c:g}" for c in wide]
figures.table(wide.reset_index(), "hybrid_grid", decimals=3)

# %%
chosen = grid.loc[grid["log loss"].idxmin()]
spread = grid["std_test_score"].mean()
worth = grid["log loss"].max() - grid["log loss"].min()
figures.glue("hybrid-grid-c", int(chosen["C"]))
figures.glue("hybrid-grid-components", int(chosen["components"]))
figures.glue("hybrid-grid-spread", spread, ".3f")
figures.glue("hybrid-grid-worth", worth, ".3f")

# %% [markdown]
# The search takes C = {glue:text}`hybrid-grid-c` and {glue:text}`hybrid-grid-components` components. From the worst
# setting to the best it gains {glue:text}`hybrid-grid-worth` in log loss; from one inner fold to another the same setting
# moves by {glue:text}`hybrid-grid-spread`. Grid searches choose among neighbours that the data can hardly tell apart.

# %% [markdown]
# ## The search is deceived too
# Look again at what the search was given. Its inner folds are cut from the 648 training *files*, so copies of a page stand on
# both sides of the inner cuts as well. `fit` takes `groups`; the line below is the same search with all copies of
# a page in one inner fold (components at 100, to save time).

# %%
order = list(data.CLASSES)
train = split.train
y = files["label"].map(order.index).to_numpy()[train]
key = "model__estimator__estimator__C"
small = {"pca__n_components": [100], key: [1, 10]}
honest = hybrid.build("pca svm").set_params(param_grid=small, refit=False)
with threadpool_limits(1):
    honest.fit(on_files.iloc[train], y, groups=files["first_copy"].iloc[train])

apart = grid[(grid["components"] == 100) & grid["C"].isin(small[key])]
deceived = pd.DataFrame(
    {
        "C": small[key],
        "log loss, copies on both sides": apart["log loss"].to_numpy(),
        "log loss, copies together": -honest.cv_results_["mean_test_score"],
    }
)
figures.glue("hybrid-deceived", deceived.iloc[:, 1].min(), ".2f")
figures.glue("hybrid-sober", deceived.iloc[:, 2].min(), ".2f")
figures.glue("hybrid-same", deceived.iloc[deceived.iloc[:, 1].idxmin(), 2], ".2f")
figures.glue("hybrid-deceived-c", deceived["C"][deceived.iloc[:, 1].idxmin()])
figures.glue("hybrid-sober-c", deceived["C"][deceived.iloc[:, 2].idxmin()])
figures.table(deceived, "hybrid_deceived", decimals=2)

# %% [markdown]
# The search reported a {term}`log loss` of {glue:text}`hybrid-deceived` for C = {glue:text}`hybrid-deceived-c`. With
# copies kept together the same setting has {glue:text}`hybrid-same`, and of these two the search would have taken C =
# {glue:text}`hybrid-sober-c`, with {glue:text}`hybrid-sober`. A machine that bends more, and so remembers single
# pages better, pays as long as single pages come back. The leak is not an affair of the test set alone. Whatever is
# chosen by a score, when to stop a network included, is chosen for how well it remembers. Under `paper` we follow the
# paper and let it be so.

# %% [markdown]
# ## The live run and the stored run
# The runs in the table below were made in the same way, with five seeds for the frozen features. If ours
# has just done what the stored one did, its probabilities must agree.

# %%
RUNS = {
    (classifier, backbone): f"paper-{run}-{kind}"
    for classifier, kind in {
        "SVM": "svm",
        "XGBoost": "xgboost",
        "Random forest": "forest",
    }.items()
    for backbone, run in {"DenseNet121": "densenet121", "frozen Lite0": "lite0"}.items()
}
NETWORKS = {
    "DenseNet121": "paper-densenet121",
    "EfficientNet-B0": "paper-efficientnet-b0",
    "ResNet18": "paper-resnet18",
    "ResNet34": "paper-resnet34",
    "EfficientNet-Lite0, fine-tuned": "paper-lite0-tuned",
}
wanted = [*RUNS.values(), *NETWORKS.values()]
stored = {run: study.load(run) for run in study.finished(wanted)}
missing = [run for run in wanted if run not in stored]

if "paper-lite0-svm" in stored:
    first = stored["paper-lite0-svm"].query("repeat == 0").set_index("file")
    p = live.set_index("file").loc[first.index, evaluate.PROBABILITIES]
    apart = np.abs(p.to_numpy() - first[evaluate.PROBABILITIES].to_numpy()).max()
    assert apart < 1e-3
    print(f"{len(first)} files, all within a thousandth of the stored probabilities")
else:
    print("not run here: ecgbook study run paper-lite0-svm")

# %% [markdown]
# ## Table 2, lower half
# Beside the paper's row of each hybrid {cite}`li2026` stand ours: on features of a DenseNet121 that was trained here, from
# scratch, on the same training pages, and on the frozen Lite0. These two backbones were fixed in advance: the first because it
# is the paper's, the second because its weights can be had without a download. Precision, recall and F1 are weighted by support,
# as the paper's are. Ours on Lite0 are means over five splits; the paper has one.

# %%
paper = pd.read_csv(data.tables() / "paper_table2.csv").set_index("model")
METRICS = {
    "test_accuracy": "accuracy",
    "precision": "precision_weighted",
    "recall": "recall_weighted",
    "f1": "f1_weighted",
    "auc": "auc_weighted",
}


def validation(frame):
    """Accuracy on the validation part, mean over seeds."""
    return evaluate.metrics(frame[frame["part"] == "val"].assign(part="test"))[
        "accuracy"
    ]


def line(model, whose, run):
    """One row of the table, empty if the run is not there."""
    row = {"model": model, "whose": whose}
    if run not in stored:
        return row | {"run": f"not run here: ecgbook study run {run}"}
    scored = evaluate.metrics(stored[run])
    row |= {"val_accuracy": validation(stored[run])}
    return row | {ours: scored[name] for ours, name in METRICS.items()} | {"run": run}


lines = []
for model in ("SVM", "XGBoost", "Random forest", "DenseNet121"):
    lines.append(
        {"model": model, "whose": "paper", **paper.loc[model], "run": "Table 2"}
    )
    if model in NETWORKS:
        lines.append(line(model, "ours, the network itself", NETWORKS[model]))
        continue
    for backbone in ("DenseNet121", "frozen Lite0"):
        lines.append(line(model, f"ours on {backbone}", RUNS[model, backbone]))
columns = ["model", "whose", "val_accuracy", *METRICS, "run"]
board = pd.DataFrame(lines).reindex(columns=columns)
board = board.astype({name: float for name in ("val_accuracy", *METRICS)})
names = {
    "val_accuracy": "validation accuracy",
    "test_accuracy": "test accuracy",
    "f1": "F1",
    "auc": "AUC",
}
figures.table(board.rename(columns=names), "hybrid_table2", decimals=4)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Test accuracy of the hybrids: on features of a network of photographs all three classifiers lie to the right of the paper's best row.", "classes": "chart dark-light"}, "figure": {"caption": "Test accuracy under the protocol paper: the paper's rows (diamonds, one split, line at the best) and ours (dots, with 95 % intervals from resampled pages). Runs that are not there are left out.", "name": "fig-hybrid-accuracy"}}
unit = evaluate.units("paper")
drawn = board[board["test_accuracy"].notna()].copy()
drawn["name"] = drawn["model"] + ", " + drawn["whose"]
limits = {}
for row in drawn.itertuples():
    if row.run in stored:
        got = evaluate.table({row.name: stored[row.run]}, unit, ["accuracy"])
        limits[row.Index] = tuple(got[["low", "high"]].iloc[0])
drawn["low"] = pd.Series({k: low for k, (low, _) in limits.items()}, dtype=float)
drawn["high"] = pd.Series({k: high for k, (_, high) in limits.items()}, dtype=float)

best = paper["test_accuracy"].max()
fig, ax = plt.subplots(figsize=(7.6, 0.4 * len(drawn) + 0.9))
at = np.arange(len(drawn))[::-1]
theirs = (drawn["whose"] == "paper").to_numpy()
ax.axvline(best, color=figures.ACCENT, linewidth=1)
ax.hlines(at, drawn["low"], drawn["high"], color=figures.MUTED, linewidth=2)
value = drawn["test_accuracy"].to_numpy()
ax.plot(value[theirs], at[theirs], "D", color=figures.ACCENT)
ax.plot(value[~theirs], at[~theirs], "o", color=figures.INK)
for x, y in zip(value, at, strict=True):
    ax.annotate(f"{x:.3f}", (x, y), (0, 6), textcoords="offset points", ha="center")
ax.set_yticks(at, drawn["name"])
ax.set_ylim(-0.6, len(drawn) - 0.2)
ax.set_xlim(drawn[["test_accuracy", "low"]].min().min() - 0.015, 1.005)
ax.set_xlabel("accuracy on 140 test files")
shown = drawn[["name", "test_accuracy", "low", "high"]]
figures.show(fig, shown, "hybrid_accuracy", decimals=3)

# %% [markdown]
# ## Does it reach the paper's number?
# Asking which of our rows is the best on the *test* files would be choosing on the test files. So the candidate is the
# hybrid with the best validation accuracy. The same question can be put to the networks: the paper took its backbone from DenseNet121
# because that was the best on validation. Which would have been taken here? All candidates share the first split.

# %%
kinds = {
    "network": NETWORKS,
    "hybrid": {f"{c} on {b}": run for (c, b), run in RUNS.items()},
}
rows = []
for kind, group in kinds.items():
    for name, run in group.items():
        if run in stored:
            once = stored[run].query("repeat == 0")
            tested = [evaluate.metrics(f)["accuracy"] for f in (once, stored[run])]
            rows.append((kind, name, validation(once), *tested))
columns = ["kind", "model", "validation, first split", "test, first split"]
candidates = pd.DataFrame(rows, columns=[*columns, "test, all its splits"])
best_first = candidates.sort_values(columns[2], ascending=False, kind="stable")
best_first = best_first.drop_duplicates("kind").set_index("kind")
level = candidates[columns[2]] == candidates.groupby("kind")[columns[2]].transform(
    "max"
)
level = candidates[level].groupby("kind")["model"].agg("; ".join)
figures.table(candidates, "hybrid_validation")

# %%
target = paper.loc["SVM", "test_accuracy"]
figures.glue("hybrid-target", target, ".4f")
figures.glue("hybrid-missing", ", ".join(f"`{run}`" for run in missing) or "none")
for kind in kinds:
    figures.glue(f"hybrid-level-{kind}", level.get(kind, "none"))
if "hybrid" in best_first.index:
    chosen_hybrid = best_first.loc["hybrid"]
    on_first, on_all = chosen_hybrid["test, first split"], chosen_hybrid.iloc[-1]
    figures.glue("hybrid-chosen", chosen_hybrid["model"])
    figures.glue("hybrid-chosen-first", on_first, ".4f")
    figures.glue("hybrid-chosen-accuracy", on_all, ".4f")
    is_reached = min(on_first, on_all) >= target
    figures.glue("hybrid-verdict", "reached" if is_reached else "not reached")
else:
    figures.glue("hybrid-chosen", "none, for none is finished here")
    figures.glue("hybrid-chosen-first", "unknown")
    figures.glue("hybrid-chosen-accuracy", "unknown")
    figures.glue("hybrid-verdict", "not decided here")
if "network" in best_first.index:
    figures.glue("hybrid-network", best_first.loc["network", "model"])
else:
    figures.glue("hybrid-network", "none, for none is finished here")

# %% [markdown]
# - Hybrid that validation would choose: **{glue:text}`hybrid-chosen`**. Its test accuracy on the first split:
#   {glue:text}`hybrid-chosen-first`; on all splits that it was run on, {glue:text}`hybrid-chosen-accuracy`. The paper's: {glue:text}`hybrid-target`. The paper's number is
#   **{glue:text}`hybrid-verdict`**.
# - Network that validation would choose as a backbone, among those that are finished here: **{glue:text}`hybrid-network`**. The paper chose DenseNet121.
#   A network has already used the validation files to stop its training, so its validation accuracy flatters it more than that of a hybrid.
# - Validation alone does not decide. First by it among the hybrids: {glue:text}`hybrid-level-hybrid`; among the networks:
#   {glue:text}`hybrid-level-network`. Where several are level, the upper one in the table is taken.
# - Runs that are not there: {glue:text}`hybrid-missing`.
#
# A network of photographs, never trained on an ECG, with a classifier on top that is fitted in a second: if that is enough
# to pass the paper's number, one has to ask what the number measures. [](networks.ipynb) has the networks in full.

# %% [markdown]
# ## Figures 3 and 4
# The paper shows the {term}`confusion matrix` of its SVM. Its text gives the diagonal (Abnormal follows from the total), and says
# that no History_MI and no Normal was called MI. Ours are of the first split, 140 test files each.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Confusion matrices side by side. In the paper's all 36 MI are right and 8 of 26 History_MI are lost; on features of the frozen network all 36 MI are right too, and 2 History_MI are lost.", "classes": "chart dark-light"}, "figure": {"caption": "The paper's Figure 3 as far as its text tells (left; a dot: not stated), and the same for our SVM on the first split.", "name": "fig-hybrid-confusion"}}
reported = pd.read_csv(data.tables() / "paper_recall.csv").set_index("label")
ours = {
    f"SVM on {backbone}": stored[RUNS["SVM", backbone]].query("repeat == 0")
    for backbone in ("DenseNet121", "frozen Lite0")
    if RUNS["SVM", backbone] in stored
}
ours = ours or {
    "SVM on frozen Lite0 (live)": live.assign(repeat=0, fold=0),
}
fig, axes = plt.subplots(1, 1 + len(ours), figsize=(3.5 * (1 + len(ours)), 3.6))
theirs = np.diag(reported.loc[list(data.CLASSES), "right"].to_numpy())
missed = (reported["test_files"] - reported["right"]).to_numpy()
share = np.diag((reported["right"] / reported["test_files"]).to_numpy())
axes[0].imshow(share, cmap="Greys", vmin=0, vmax=1.25)
stated = np.eye(4, dtype=bool) | (missed == 0)[:, None]
stated[[1, 3], 0] = True
for (row, column), n in np.ndenumerate(theirs):
    axes[0].text(
        column,
        row,
        f"{n}" if stated[row, column] else "·",
        ha="center",
        va="center",
        color="white" if row == column else figures.INK,
    )
axes[0].set_xlabel("predicted")
axes[0].set_ylabel("true")
axes[0].spines[:].set_visible(False)
axes[0].set_title("the paper's SVM")
matrices = []
for ax, (name, frame) in zip(axes[1:], ours.items(), strict=True):
    counts = evaluate.confusion(frame)
    figures.confusion(ax, counts.to_numpy())
    ax.set_title(name)
    ax.set_ylabel("")
    matrices.append(counts.astype(int).reset_index().assign(model=name))
for ax in axes:
    ax.set_xticks(range(4), data.CLASSES, rotation=35, ha="right")
    ax.set_yticks(range(4), data.CLASSES if ax is axes[0] else [""] * 4)
told = pd.DataFrame(theirs, columns=data.CLASSES).astype("Int64").where(stated)
told = told.assign(true=data.CLASSES, model="paper's SVM, as far as stated")
numbers = pd.concat([told, *matrices])[["model", "true", *data.CLASSES]]
figures.show(fig, numbers, "hybrid_confusion")

# %% [markdown]
# Its Figure 4 shows a {term}`ROC curve` for each class: how many pages of the class are found (upwards) at the price of how many
# false alarms (to the right), as the threshold on the probability is lowered.

# %% tags=["hide-input"] mystnb={"image": {"alt": "ROC curves of the four classes hug the upper left corner; on features of the frozen network the curve of MI is perfect.", "classes": "chart dark-light"}, "figure": {"caption": "ROC curves by class of our SVM on the first split, 140 test files; only false-alarm rates up to one half are shown.", "name": "fig-hybrid-roc"}}
from sklearn.metrics import roc_curve

DASHES = {"MI": "-", "History_MI": "--", "Abnormal": "-.", "Normal": ":"}
fig, axes = plt.subplots(
    1, len(ours), figsize=(3.9 * len(ours) + 0.6, 3.6), squeeze=False, sharey=True
)
curves = []
for ax, (name, frame) in zip(axes[0], ours.items(), strict=True):
    test = frame[frame["part"] == "test"]
    for label in data.CLASSES:
        alarms, found, _ = roc_curve(test["label"] == label, test[f"p_{label}"])
        ax.step(
            alarms,
            found,
            DASHES[label],
            where="post",
            color=figures.COLOURS[label],
            linewidth=2,
            label=label,
        )
        curves.append(
            pd.DataFrame(
                {"model": name, "class": label, "false alarms": alarms, "found": found}
            )
        )
    ax.set_xlim(-0.01, 0.5)
    ax.set_ylim(0, 1.03)
    ax.set_xlabel("false-alarm rate")
    ax.set_title(name)
    ax.legend(loc="lower right")
axes[0, 0].set_ylabel("share found (recall)")
figures.show(fig, pd.concat(curves), "hybrid_roc")

# %%
auc = pd.read_csv(data.tables() / "paper_auc.csv").set_index("label")
areas = pd.DataFrame({"class": auc.index, "paper's SVM": auc["auc"].to_numpy()})
areas["stated"] = auc["stated"].to_numpy()
for name, frame in ours.items():
    scored = evaluate.metrics(frame)
    areas[name] = [scored[f"auc_{label}"] for label in auc.index]
figures.table(areas, "hybrid_auc", decimals=2)

# %% [markdown]
# The shape is the paper's: MI perfect, the rest close to it. The paper reads its perfect MI curve as high sensitivity
# to ST elevation. Ours is as perfect, with features that show the scan batch before anything else. There is a simpler
# explanation, and it can be tested: split the test files by whether a copy of them was trained on.

# %%
frame = list(ours.values())[-1]
test = frame[frame["part"] == "test"]
called = test[evaluate.PROBABILITIES].to_numpy().argmax(axis=1)
right = pd.Series(np.array(data.CLASSES)[called] == test["label"], test.index)
seen = evaluate.twins(frame, unit)
by_twin = pd.DataFrame(
    {
        "test files": ["with a copy in training", "without"],
        "files": [int(seen.sum()), int((~seen).sum())],
        "MI among them": [int((test["label"][s] == "MI").sum()) for s in (seen, ~seen)],
        "accuracy": [right[seen].mean(), right[~seen].mean()],
    }
)
figures.glue("hybrid-seen", right[seen].mean(), ".2f")
figures.glue("hybrid-unseen", right[~seen].mean(), ".2f")
figures.table(by_twin, "hybrid_seen", decimals=2)

# %% [markdown]
# Of the files it has met before the SVM on frozen Lite0 gets {glue:text}`hybrid-seen` right, of the others
# {glue:text}`hybrid-unseen`; and all MI are among those it has met. Two populations, one score. The classes differ
# between them, so this is not yet a fair measure of the leak; [](../audit/study.ipynb) makes it one, and runs
# everything again without copies.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-hybrid-1
# *Easy.* How many components of the Lite0 features keep half of the variance, and how many keep nine tenths?
# ```
#
# ```{solution-start} ex-hybrid-1
# :class: dropdown
# ```

# %%
kept = components.explained_variance_ratio_.cumsum()
half, most = (int(np.searchsorted(kept, share)) + 1 for share in (0.5, 0.9))
assert kept[half - 2] < 0.5 <= kept[half - 1] and half < most < len(pages)
half, most

# %% [markdown]
# The first half is cheap and the rest is not: nearly nine times as many components for less than twice the variance.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-hybrid-2
# *Medium.* The laziest hybrid: give each test page the class of the page whose Lite0 features are nearest among those
# known. Nothing is fitted at all. Compare its accuracy on the 928 files of the protocol `paper` with its accuracy under `grouped`.
# ```
#
# ```{solution-start} ex-hybrid-2
# :class: dropdown
# ```

# %%
from sklearn.neighbors import KNeighborsClassifier

from ecgbook import splits


def nearest(table, frame, known, tested):
    lazy = KNeighborsClassifier(1).fit(table.iloc[known], frame["label"].iloc[known])
    return lazy.predict(table.iloc[tested]) == frame["label"].iloc[tested]


leaky = nearest(on_files, files, split.train, split.test).mean()
honest = np.concatenate(
    [
        nearest(X, pages, np.concatenate([fold.train, fold.val]), fold.test)
        for fold in splits.folds("grouped", pages)
    ]
).mean()
assert leaky - honest > 0.1
round(float(leaky), 2), round(float(honest), 2)

# %% [markdown]
# With copies, the nearest page is very often the page itself, at distance nought: the look-up of
# [](../audit/lookup.ipynb) in other clothes.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-hybrid-3
# *Medium.* [](preprocessing.ipynb) left a question open: the word *Male* or *Female* is printed on the page, too small to
# be read at 224 by 224 pixels. Do the Lite0 features know the sex? Use fifty components and a linear discriminant, five
# folds of `grouped`, and report the {term}`balanced accuracy`.
# ```
#
# ```{solution-start} ex-hybrid-3
# :class: dropdown
# ```

# %%
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline

sexed = pages["sex"].isin(["Male", "Female"]).to_numpy()
said = np.empty(len(pages), dtype=object)
for fold in splits.folds("grouped", pages):
    known = np.concatenate([fold.train, fold.val])
    known = known[sexed[known]]
    compress = PCA(50, svd_solver="covariance_eigh")
    line_between = make_pipeline(
        StandardScaler(), compress, LinearDiscriminantAnalysis()
    )
    line_between.fit(X.iloc[known], pages["sex"].iloc[known])
    said[fold.test] = line_between.predict(X.iloc[fold.test])
knows = balanced_accuracy_score(pages["sex"][sexed], said[sexed].astype(str))
assert knows > 0.75
round(float(knows), 2)

# %% [markdown]
# They know it far better than chance, one half. Whether they have it from the word or from the heart (the ECGs of men and women do
# differ) the number does not say; covering the word would.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-hybrid-4
# *Hard.* Make the labels meaningless: give each *distinct page* a class by lot, the same for all its copies, and run the
# pipeline under `paper`. A model that recognises classes can only guess. Compare test files with and without a copy in
# training.
# ```
#
# ```{solution-start} ex-hybrid-4
# :class: dropdown
# ```

# %%
rng = np.random.default_rng(0)
drawn_by_lot = pd.Series(rng.permutation(pages["label"].to_numpy()), pages["file"])
nonsense = drawn_by_lot.loc[files["first_copy"]].map(order.index).to_numpy()
machine = hybrid.pipeline("pca svm").set_params(**{key: 100})
machine.fit(on_files.iloc[train], nonsense[train])
hit = machine.predict(on_files.iloc[split.test]) == nonsense[split.test]
has_copy = splits.leaked(split, files["first_copy"])
assert hit[has_copy].mean() > 0.9 and hit[~has_copy].mean() < 0.6
round(float(hit[has_copy].mean()), 2), round(float(hit[~has_copy].mean()), 2)

# %% [markdown]
# On pages that it has met, the machine (with C = 100, the setting of the grid that bends most) is right about labels
# that mean nothing; on the others it guesses. (The classes are as unequal as before, so a guess may be right more
# than once in four.) This is the leak in pure form: no knowledge of hearts can be in that score.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - A hybrid is a frozen backbone, PCA and a classical classifier; scaling, PCA and settings are learned from training pages
#   alone, as one pipeline.
# - Features see the page before they see the heart: the first component of Lite0's is explained to
#   {glue:text}`hybrid-first-batch` by the scan batch.
# - The paper's {glue:text}`hybrid-target` is {glue:text}`hybrid-verdict` by the hybrid that validation would choose
#   ({glue:text}`hybrid-chosen`: {glue:text}`hybrid-chosen-accuracy`).
# - On the paper's split a grid search is deceived by copies just as the test is: it reports a log loss of
#   {glue:text}`hybrid-deceived`; with copies kept together the same setting has {glue:text}`hybrid-same`.
# ```
#
# ## Further reading
# That features of photographs transfer to other pictures was shown early {cite}`donahue2014,razavian2014`; how little it may matter for medical
# pictures which network they come from, later {cite}`raghu2019`. On choosing settings and reporting scores from the same data:
# {cite}`cawley2010`. Principal components: {cite}`jolliffe2016`. Machines as in scikit-learn {cite}`pedregosa2011`. The
# functions: [](../../ecgbook/hybrid.py). The stored runs lie in `book/results`, one folder each, named as in the table; the
# paper: {cite}`li2026`; the data: {cite}`khan2021` (CC BY 4.0).
