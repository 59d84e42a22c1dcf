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
# # Fusion: four views of one ECG
# The review {cite}`duan2026` reports that ECG and clinical variables together foretell more than the ECG alone. Our
# pages hold no clinical record. But they hold four kinds of data: facts printed in the margin, numbers that a program
# measures, the signal, and the picture. Each has a model in this book. Is it better to ask all four? And are the
# printed facts something that a model may know, or a leak?
#
# ```{admonition} What you will learn
# :class: learn
# - three ways to join {term}`modalities <modality>`: {term}`early <early fusion>`, {term}`late <late fusion>`, by
#   attention;
# - why whoever combines experts must not learn from what they say of their own training cases;
# - what each modality adds, and what happens when one is missing;
# - how to tell information from leak: by where it comes from, by exchange, and by another batch.
# ```
#
# **Running time:** about 20 seconds on a laptop, offline.

# %%
import numpy as np
import pandas as pd

from ecgbook import data, evaluate, figures, fusion, measure, models, splits, study

figures.use()
pages, y, unit = data.pages(), fusion.labels(), evaluate.units("grouped")
blocks = fusion.columns()
pd.Series({name: block.shape[1] for name, block in blocks.items()}, name="columns")

# %% [markdown]
# The *facts* are heart rate and sex. *Measurements* are intervals, voltages, ST levels; the *signal* is here the median
# beat in twelve leads; the *page* is what a network trained on photographs finds in the picture. The fifth block,
# *collection*, is also printed on the page: "lead off", and the scan batch that follows from the date. It tells how the
# data were gathered, so it is kept apart until the end.
#
# ## Four experts
# Each modality is judged by a model of its own, under `grouped`: five folds of the 491 ECGs of EICP {cite}`khan2021`,
# no group on two sides. Intervals resample groups.


# %%
def board(frames, names=("accuracy", "macro_f1", "log_loss"), replicates=500):
    """A table of scores with intervals, one row a model."""
    long = evaluate.table(frames, unit, names, replicates)
    text = [
        f"{r.estimate:.3f} ({r.low:.3f} to {r.high:.3f})" for r in long.itertuples()
    ]
    wide = long.assign(text=text).pivot(index="model", columns="metric", values="text")
    mi = {
        name: round(evaluate.recalls(frame).loc["MI", "k"])
        for name, frame in frames.items()
    }
    return wide.loc[list(frames), list(names)].assign(
        **{"MI of 30": mi}
    ).reset_index(), long


alone = {m: fusion.alone(m) for m in fusion.MODALITIES}
shown, long = board(alone)
figures.table(shown, "fusion_alone")

# %%
f1_alone = long[long["metric"] == "macro_f1"].set_index("model")["estimate"]
for m in fusion.MODALITIES:
    figures.glue(f"fusion-{m}", f1_alone[m], ".2f")
assert f1_alone.idxmax() == "measurements" and f1_alone.idxmin() == "facts"

# %% [markdown]
# Measurements know most ({term}`macro-F1` {glue:text}`fusion-measurements`), two facts least
# ({glue:text}`fusion-facts`), but the facts are not nothing. Now to join them.
#
# ## The simple way first
# Ask all four, multiply their probabilities, take the fourth root: the {term}`late fusion` that learns nothing. Here it
# is by hand for the first fold, against the same thing from the package:

# %%
split, said = fusion._dealt()[0], fusion.opinions()[0]
p = np.exp(np.log(np.maximum(said[:, split.test], fusion.LEAST)).mean(axis=0))
p /= p.sum(axis=1, keepdims=True)
assert np.allclose(p, fusion.pool(said[:, split.test]))
plain = fusion.late("pool")
scores = evaluate.metrics(plain)
figures.glue("fusion-pool", scores["macro_f1"], ".2f")
figures.glue("fusion-pool-mi", round(evaluate.recalls(plain).loc["MI", "k"]))
figures.glue(
    "fusion-measurements-mi",
    round(evaluate.recalls(alone["measurements"]).loc["MI", "k"]),
)
assert scores["macro_f1"] < f1_alone["measurements"]

# %% [markdown]
# Four heads are *worse* than the best of them: macro-F1 {glue:text}`fusion-pool`, and {glue:text}`fusion-pool-mi` of 30
# MI found instead of {glue:text}`fusion-measurements-mi`. Equal votes give two facts that hardly know an infarct the
# same say as the measurements. A fusion must learn whom to trust.
#
# But from what? An expert is far too sure of the ECGs that it learned from: who watches it there learns to trust
# whoever memorises best. So the training part was dealt into three, groups together, and each third judged by an
# expert that learned from the other two. How much that matters, live, for the measurements in the first fold:

# %%
honest = said[1][split.train]
trees = fusion.expert("measurements", 0).fit(
    blocks["measurements"][split.train], y[split.train]
)
own = models.probabilities(trees, blocks["measurements"][split.train])
true = y[split.train]
sure = {
    "of its own training ECGs": own[np.arange(len(true)), true].mean(),
    "of a third that it did not see": honest[np.arange(len(true)), true].mean(),
}
figures.glue("fusion-own", sure["of its own training ECGs"], ".2f")
figures.glue("fusion-honest", sure["of a third that it did not see"], ".2f")
assert sure["of its own training ECGs"] > sure["of a third that it did not see"] + 0.05
{name: f"{value:.2f}" for name, value in sure.items()}

# %% [markdown]
# The mean probability of the true class: {glue:text}`fusion-own` against {glue:text}`fusion-honest`. Only the second
# number resembles a test.
#
# ## Five ways, one comparison
# All five see the same columns, or the same experts, and learn from the same training part:
#
# - **early**: all columns side by side, one model (extra trees);
# - **pool**: as above; **weighted pool**: one weight an expert, learned; **stacking** {cite}`wolpert1992`: a logistic
#   regression on all sixteen probabilities;
# - **attention**: a small network turns each modality into a vector, weighs the vectors for each ECG, and reads their
#   weighted mean {cite}`arevalo2017`.

# %%
four = fusion.all_four()
shown, long = board({"measurements alone": alone["measurements"]} | four)
figures.table(shown, "fusion_four")

# %%
rows = []
for name, frame in four.items():
    c = evaluate.compare(
        frame, alone["measurements"], unit, ["macro_f1", "log_loss"], 500
    )
    rows.append(
        (
            name,
            *c.loc[0, ["difference", "low", "high"]],
            *c.loc[1, ["difference", "low", "high"]],
        )
    )
columns = [
    "fusion",
    "macro-F1 gained",
    "low",
    "high",
    "log loss changed",
    "low ",
    "high ",
]
gains = pd.DataFrame(rows, columns=columns)
by = gains.set_index("fusion")
for name, key in (
    ("weighted pool", "weighted"),
    ("stacking", "stacking"),
    ("attention", "attention"),
    ("early", "early"),
):
    for column, part in (("macro-F1 gained", ""), ("low", "-low"), ("high", "-high")):
        figures.glue(f"fusion-gain-{key}{part}", by.loc[name, column], "+.3f")
figures.glue(
    "fusion-loss-weighted", by.loc["weighted pool", "log loss changed"], "+.2f"
)
assert by.loc[["weighted pool", "stacking"], "high "].max() < 0
assert (by["high"] > 0).all() or by["low"].max() > 0
figures.table(gains, "fusion_gains")

# %% [markdown]
# Against the best single expert, paired by group: the weighted pool changes macro-F1 by
# {glue:text}`fusion-gain-weighted` (from {glue:text}`fusion-gain-weighted-low` to {glue:text}`fusion-gain-weighted-high`),
# early fusion by {glue:text}`fusion-gain-early` ({glue:text}`fusion-gain-early-low` to
# {glue:text}`fusion-gain-early-high`), attention by {glue:text}`fusion-gain-attention`
# ({glue:text}`fusion-gain-attention-low` to {glue:text}`fusion-gain-attention-high`). One interval of five just leaves
# zero out, which is little among five. What is plain is the {term}`log loss` of the learned late fusions (weighted pool
# {glue:text}`fusion-loss-weighted`): they know better how sure to be. The network that decides for each ECG whom to listen to has some three hundred ECGs to learn that from, and it
# shows: with little data the way of joining that learns least, beyond nothing, does best.
#
# ## What does each one add?
# All eleven sets of two, three or four modalities, joined in three ways. (Early fusion and the weighted pool were
# learned anew for each set. The attention network was trained once, with modalities missing at random, and is told
# which are there.)

# %%
ways = {
    "weighted pool": lambda s: fusion.late("weighted pool", s),
    "early": lambda s: fusion.answers(f"early | {fusion.name_of(s)}"),
    "attention": lambda s: fusion.answers(f"attention | {fusion.name_of(s)}"),
}
rows = [
    (fusion.name_of(s), way, evaluate.metrics(make(s))["macro_f1"])
    for s in fusion.SUBSETS
    for way, make in ways.items()
]
sets = pd.DataFrame(rows, columns=["modalities", "fusion", "macro-F1"])

# %% tags=["hide-input"] mystnb={"image": {"alt": "Rows of eleven sets of modalities: every set that holds the measurements lies to the right, the sets without them to the left, and adding facts moves hardly any dot.", "classes": "chart dark-light"}, "figure": {"caption": "Macro-F1 by set of modalities and way of joining; the line marks measurements alone.", "name": "fig-fusion-sets"}}
import matplotlib.pyplot as plt

look = {
    "weighted pool": (figures.COLOURS["MI"], "o"),
    "early": (figures.COLOURS["Abnormal"], "s"),
    "attention": (figures.COLOURS["Normal"], "^"),
}
order = sets.groupby("modalities")["macro-F1"].max().sort_values().index
fig, ax = plt.subplots(figsize=(7.2, 4.8))
for way, (colour, marker) in look.items():
    part = sets[sets["fusion"] == way].set_index("modalities").loc[order, "macro-F1"]
    ax.plot(part, np.arange(len(order)), marker, color=colour, label=way)
ax.axvline(f1_alone["measurements"], color=figures.INK, linewidth=1)
ax.set_yticks(
    np.arange(len(order)), [name.replace("measurements", "measured") for name in order]
)
ax.set_xlabel("macro-F1")
ax.legend(loc="upper left")
ax.grid(axis="x")
figures.show(fig, sets, "fusion_sets")

# %%
with_all = four["weighted pool"]
rows = []
for lost in fusion.MODALITIES:
    rest = tuple(m for m in fusion.MODALITIES if m != lost)
    c = evaluate.compare(
        with_all,
        fusion.late("weighted pool", rest),
        unit,
        ["macro_f1", "log_loss"],
        500,
    )
    rows.append(
        (
            lost,
            *c.loc[0, ["difference", "low", "high"]],
            *c.loc[1, ["difference", "low", "high"]],
        )
    )
adds = pd.DataFrame(
    rows,
    columns=[
        "modality",
        "macro-F1 added",
        "low",
        "high",
        "log loss changed",
        "low ",
        "high ",
    ],
)
of = adds.set_index("modality")
figures.glue(
    "fusion-adds-measurements", of.loc["measurements", "macro-F1 added"], "+.2f"
)
for m in ("page", "signal"):
    for column, part in (("macro-F1 added", ""), ("low", "-low"), ("high", "-high")):
        figures.glue(f"fusion-adds-{m}{part}", of.loc[m, column], "+.3f")
figures.glue("fusion-adds-facts", of.loc["facts", "macro-F1 added"], "+.3f")
assert (
    of.loc["measurements", "low"] > 0 and abs(of.loc["facts", "macro-F1 added"]) < 0.005
)
figures.table(adds, "fusion_adds")

# %% [markdown]
# What the weighted pool of all four owes to each, learned with it and without it: {glue:text}`fusion-adds-measurements`
# of macro-F1 to the measurements, {glue:text}`fusion-adds-page` to the page ({glue:text}`fusion-adds-page-low` to
# {glue:text}`fusion-adds-page-high`), {glue:text}`fusion-adds-signal` to the beats ({glue:text}`fusion-adds-signal-low` to
# {glue:text}`fusion-adds-signal-high`), {glue:text}`fusion-adds-facts` to the facts, which got next to no weight. These are four views of *one* ECG; the
# heart rate in the margin is measured again from the trace. In the studies of the review the second modality came from
# somewhere else, an echocardiogram, a history, a laboratory. That is where fusion gains.
#
# ## When one is missing
# A page torn at the margin has no facts; a digitiser that fails leaves no signal. All four were there in training, one
# is lost in the test. Its columns are set to zero, or to the mean of the training part, or the fusion is told.

# %%
rows = []
for lost in fusion.MODALITIES:
    rest = fusion.name_of([m for m in fusion.MODALITIES if m != lost])
    for how in (*fusion.HOW, "told"):
        frames = {
            "stacking": fusion.late(
                "stacking", lost=lost, how="dropped" if how == "told" else how
            ),
            "attention": fusion.answers(
                f"attention | {lost} {how}" if how != "told" else f"attention | {rest}"
            ),
        }
        if how != "told":
            frames["early"] = fusion.answers(f"early | {lost} {how}")
        rows += [
            (lost, how, way, evaluate.metrics(frame)["macro_f1"])
            for way, frame in frames.items()
        ]
missing = pd.DataFrame(rows, columns=["missing", "how", "fusion", "macro-F1"])

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four panels by lost modality: hardly anything happens without facts; without measurements every way falls, least when it is told, and early fusion with zeros in their place falls lowest of all.", "classes": "chart dark-light"}, "figure": {"caption": "Macro-F1 of fusions of all four when one modality is lost in the test; early fusion cannot be told.", "name": "fig-fusion-missing"}}
look |= {"stacking": (figures.COLOURS["History_MI"], "o")}
fig, axes = plt.subplots(1, 4, figsize=(7.2, 3.4), sharey=True)
hows = ["zeroed", "mean", "told"]
for ax, (lost, part) in zip(axes, missing.groupby("missing", sort=False), strict=True):
    for way in ("stacking", "attention", "early"):
        colour, marker = look[way]
        values = part[part["fusion"] == way].set_index("how")["macro-F1"].reindex(hows)
        ax.plot(np.arange(3), values, "-" + marker, color=colour, label=way)
    ax.set_xticks(np.arange(3), hows, rotation=40)
    ax.set_title(f"no {lost}", fontsize=9.5)
    ax.set_xlim(-0.4, 2.4)
    ax.grid(axis="y")
axes[0].set_ylabel("macro-F1")
axes[0].legend(loc="lower left", fontsize=8.5)
figures.show(fig, missing, "fusion_missing")

# %%
at = missing.set_index(["missing", "how", "fusion"])["macro-F1"]
figures.glue("fusion-lost-early", at["measurements", "zeroed", "early"], ".2f")
figures.glue("fusion-lost-mean", at["measurements", "mean", "early"], ".2f")
figures.glue("fusion-lost-stacking", at["measurements", "told", "stacking"], ".2f")
figures.glue("fusion-lost-attention", at["measurements", "told", "attention"], ".2f")
assert at["measurements", "zeroed", "early"] < at["measurements", "mean", "early"]
assert (
    at["measurements", "told", "stacking"] > at["measurements", "mean", "early"] + 0.2
)

# %% [markdown]
# Without measurements, early fusion with zeros in their place falls to {glue:text}`fusion-lost-early`, below what two
# facts alone can do: a heart rate of 0 and a QRS of 0 ms are not "unknown" to a tree, they are a very odd person. The mean is
# better ({glue:text}`fusion-lost-mean`), but it claims that this person is average. Late fusion is simply told: the expert
# keeps silent, and stacking still has {glue:text}`fusion-lost-stacking`. The attention network, trained with
# {term}`modality dropout` {cite}`neverova2016` for just this case, has {glue:text}`fusion-lost-attention`.
#
# Whom does it listen to? Its weights, averaged by class:

# %%
weights = (
    fusion.attended()
    .assign(label=pages["label"].to_numpy())
    .groupby("label")
    .mean()
    .loc[list(data.CLASSES)]
)
figures.glue("fusion-attend-facts", weights["facts"].max(), ".2f")
assert weights["facts"].max() < weights.drop(columns="facts").min(axis=None)
figures.table(weights.reset_index(), "fusion_attended", decimals=2)

# %% [markdown]
# To the facts least, in every class (at most {glue:text}`fusion-attend-facts`). A weight is not a reason, though: it says
# how much of a vector is taken, not what stands in it.
#
# ## The best of each, joined late
# So far the experts were chosen to be comparable. Now strong ones of which the book has stored answers: for the
# signal the network of convolutions and attention ([](../beyond/signal_networks.ipynb)), for the page a DenseNet that
# learned from pages, for the measurements the trees, for the facts the same as before. All learned from the same
# training parts. What is learned of them is learned on the validation part of each fold. Before any fusion predicted
# a test part, the **weighted pool** of these four was named the headline of this chapter
# ([](../../ecgbook/fusion.py)). What the single experts score stood in the book by then. (One dealing of the folds,
# so the book's headline scores a little differently here than on the leaderboard.)

# %%
voices = {f"{m}, stored": fusion.voice(m) for m in fusion.MODALITIES[1:]}
headline = study.load("grouped-headline").query("repeat == 0")
best = fusion.of_runs()
rest = {f"joined: {m}": fusion.of_runs(m) for m in ("pool", "stacking")}
shown, long = board(
    voices | {"the book's headline": headline} | rest | {"joined: weighted pool": best}
)
figures.table(shown, "fusion_best")

# %%
rows = []
for name, other in (
    ("signal network alone", voices["signal, stored"]),
    ("the book's headline", headline),
):
    c = evaluate.compare(
        best, other, unit, ["accuracy", "macro_f1", "log_loss"], 1000
    ).set_index("metric")
    rows += [
        (name, metric, *c.loc[metric, ["difference", "low", "high"]])
        for metric in c.index
    ]
    for metric in c.index:
        key = f"fusion-{name.split()[-1]}-{metric}".replace("_", "-")
        for column, end in (("difference", ""), ("low", "-low"), ("high", "-high")):
            figures.glue(key + end, c.loc[metric, column], "+.3f")
against = pd.DataFrame(
    rows,
    columns=["headline of this chapter less", "metric", "difference", "low", "high"],
)
of = against.set_index([against.columns[0], "metric"])
assert of.loc[("the book's headline", "log_loss"), "high"] < 0
assert (
    of.loc[("signal network alone", "macro_f1"), "low"]
    < 0
    < of.loc[("signal network alone", "macro_f1"), "high"]
)
figures.glue("fusion-best", evaluate.metrics(best)["macro_f1"], ".3f")
figures.glue("fusion-best-accuracy", evaluate.metrics(best)["accuracy"], ".3f")
learned = fusion.weights_of_runs()
figures.glue("fusion-weight-facts", learned["facts"].median(), ".1f")
figures.table(against, "fusion_against")

# %% [markdown]
# The chapter's headline: accuracy {glue:text}`fusion-best-accuracy`, macro-F1 {glue:text}`fusion-best`. Against the signal
# network alone that is {glue:text}`fusion-alone-macro-f1` of macro-F1 (from {glue:text}`fusion-alone-macro-f1-low` to
# {glue:text}`fusion-alone-macro-f1-high`): **no gain that these ECGs can show.** Against the book's headline it is
# {glue:text}`fusion-headline-macro-f1` ({glue:text}`fusion-headline-macro-f1-low` to
# {glue:text}`fusion-headline-macro-f1-high`), and its log loss is surely lower, by
# {glue:text}`fusion-headline-log-loss` ({glue:text}`fusion-headline-log-loss-low` to
# {glue:text}`fusion-headline-log-loss-high`). That is the signal network's doing as much as fusion's. (The headline learned
# from the validation parts too, some eighty ECGs more; the networks chose their epoch there.) In the median fold the
# facts got a weight of {glue:text}`fusion-weight-facts`. Had we looked at the test scores first, we would have named
# measurements and signal without the other two, and reported a better number.
#
# ## Printed facts: information or leak?
# A leak is what tells the label in this data set and would not tell it anywhere else. Three questions separate the two.
#
# *Where does it come from?* The rate is computed from the trace by the machine. It can be measured again:

# %%
carried = (
    measure.measurements().set_index("file").loc[pages["file"], "heart_rate"].to_numpy()
)
printed = blocks["facts"][:, 0]
both = np.isfinite(carried) & np.isfinite(printed)
off = np.abs(carried - printed)[both]
figures.glue("fusion-rate-off", np.median(off), ".1f")
figures.glue("fusion-rate-close", np.mean(off < 5), ".0%")
{
    "median difference (1/min)": f"{np.median(off):.1f}",
    "within 5": f"{np.mean(off < 5):.0%}",
}

# %% [markdown]
# The printed rate and ours differ by {glue:text}`fusion-rate-off` beats a minute in the median, by less than 5 in
# {glue:text}`fusion-rate-close` of the ECGs. So it is information about the heart, and nothing that a reader of the trace
# would not have. The sex belongs to the person. Batch and "lead off" belong to the day.
#
# *Does it tell anything by itself, and does it still in a batch that the model has not seen?* Small boosted trees see one
# thing each; once under `grouped`, once with each scan batch tested by models of the two others.

# %%
told = {
    "rate": blocks["facts"][:, :1],
    "sex": blocks["facts"][:, 1:],
    "rate and sex": blocks["facts"],
    "lead off": blocks["collection"][:, :1],
    "batch": blocks["collection"][:, 1:],
    "batch and lead off": blocks["collection"],
    "all of it": np.column_stack([blocks["facts"], blocks["collection"]]),
}
by_group = splits.folds("grouped", pages)
batches = study.Study("batches", "boosting", "printed text", 1, 3, "an illustration")
by_batch = [split for _, split in sorted(study.deal(batches).items())]


def asked(block, dealt):
    """Out-of-fold predictions of small trees that see a block of columns."""
    p = np.zeros((len(pages), 4))
    for split in dealt:
        known = np.r_[split.train, split.val]
        model = models.build("boosting").fit(block[known], y[known])
        p[split.test] = models.probabilities(model, block[split.test])
    frame = pages[["file", "label"]].assign(repeat=0, fold=0, part="test")
    return frame.assign(**dict(zip(evaluate.PROBABILITIES, p.T, strict=True)))


rows = []
for name, block in told.items():
    row = {"columns": name}
    for protocol, dealt in (("grouped", by_group), ("new batch", by_batch)):
        if protocol == "new batch" and name in (
            "batch",
            "batch and lead off",
            "all of it",
        ):
            continue  # a batch that was never seen has no value to learn
        t = evaluate.table(
            {name: asked(block, dealt)}, unit, ["balanced_accuracy"], 500
        ).iloc[0]
        row |= {
            protocol: t["estimate"],
            f"{protocol} low": t["low"],
            f"{protocol} high": t["high"],
        }
    rows.append(row)
facts = pd.DataFrame(rows)
pair = asked(told["all of it"], by_group), asked(told["rate and sex"], by_group)
leaked = evaluate.compare(
    *pair, unit, ["balanced_accuracy", "log_loss"], 1000
).set_index("metric")
for column, part in (("difference", ""), ("low", "-low"), ("high", "-high")):
    figures.glue(
        f"fusion-leaked{part}", leaked.loc["balanced_accuracy", column], "+.3f"
    )
    figures.glue(f"fusion-leaked-loss{part}", leaked.loc["log_loss", column], "+.3f")
assert leaked.loc["balanced_accuracy", "low"] > 0 > leaked.loc["log_loss", "low"]
figures.table(facts, "fusion_facts", decimals=2)

# %%
of = facts.set_index("columns")
for name, key in (
    ("rate", "rate"),
    ("batch and lead off", "collection"),
    ("sex", "sex"),
):
    figures.glue(f"fusion-told-{key}", of.loc[name, "grouped"], ".2f")
figures.glue("fusion-told-new", of.loc["rate", "new batch"], ".2f")
assert of.loc["rate", "new batch low"] > 0.25
assert abs(of.loc["batch and lead off", "grouped"] - 0.25) < 0.05

# %% [markdown]
# Balanced accuracy; guessing gives a quarter. The rate has {glue:text}`fusion-told-rate`, and still
# {glue:text}`fusion-told-new` in a batch that its model never saw: it carries over, for a fast heart is fast in any
# month. Sex has {glue:text}`fusion-told-sex`. Batch and "lead off" *alone* have {glue:text}`fusion-told-collection`, which
# looks harmless. It is not quite: *together with* rate and sex they add {glue:text}`fusion-leaked` of balanced accuracy
# ({glue:text}`fusion-leaked-low` to {glue:text}`fusion-leaked-high`), and nothing to the log loss
# ({glue:text}`fusion-leaked-loss`, {glue:text}`fusion-leaked-loss-low` to {glue:text}`fusion-leaked-loss-high`). In
# some batches people of a certain rate were more often of a certain class. That would be a leak, a small one, and the
# interval only just leaves zero out: it says nothing of a heart, and a new batch has no column for it. A mark that
# tells nothing by itself must be tested in company too.
#
# *What is used?* The early fusion of all four is shown the facts of another ECG: of any, of one with the same label, of
# one from the same batch. If it used the facts as a mark of the batch, an exchange within the batch would do no harm.

# %%
everything = fusion.name_of(fusion.MODALITIES)
whole = fusion.answers(f"early | {everything}")
rows = []
for within in fusion.WITHIN:
    changes = [
        evaluate.compare(
            fusion.answers(f"early | facts exchanged within {within}, {k}"),
            whole,
            unit,
            ["log_loss"],
            300,
        ).iloc[0]
        for k in range(fusion.PERMUTATIONS)
    ]
    mean = np.mean(
        [c[["difference", "low", "high"]].to_numpy(float) for c in changes], axis=0
    )
    rows.append((f"facts exchanged within {within}", *mean))
more = fusion.answers(f"early | {everything} + collection")
c = evaluate.compare(more, whole, unit, ["log_loss"], 300).iloc[0]
rows.append(("given batch and lead off too", c["difference"], c["low"], c["high"]))
used = pd.DataFrame(rows, columns=["what was done", "log loss changed", "low", "high"])
of = used.set_index("what was done")["log loss changed"]
figures.glue("fusion-exchange-any", of.iloc[0], "+.3f")
figures.glue("fusion-exchange-class", of.iloc[1], "+.3f")
figures.glue("fusion-exchange-batch", of.iloc[2], "+.3f")
figures.glue("fusion-exchange-more", of.iloc[3], "+.3f")
assert of.iloc[2] > of.iloc[1] and of.iloc[0] > of.iloc[1]
figures.table(used, "fusion_exchanged")

# %% [markdown]
# (Means over three exchanges, and over their intervals.) Facts of any other ECG cost a little,
# {glue:text}`fusion-exchange-any` of log loss, and as much when they come from the same batch,
# {glue:text}`fusion-exchange-batch`. Facts of another ECG with the *same label* change
# {glue:text}`fusion-exchange-class`. So the model uses the rate as a sign of the class, not of the batch and not as a
# check of the trace. Batch and "lead off" as further columns change the log loss by
# {glue:text}`fusion-exchange-more`, with an interval that covers zero.
#
# The verdict: the rate is information, and redundant beside the trace. Sex is information that the labels here do not
# use. Batch and "lead off" can leak wherever a model can use them. One baseline of this book has them as columns, and
# says so in its name. Networks of whole pages see the margin too ([](../errors/networks_look.ipynb) asks whether they
# use it). One doubt stays: *within this data set* fast hearts are Abnormal by selection, for its Normal folder holds
# nobody above 90 ([](../audit/fingerprints.ipynb)). A ward where healthy people are nervous is another matter.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-fusion-1
# *Easy.* Two experts say 0.9 and 0.6 for one of two classes, independently, and the classes are equally common. What
# does a pool with weights 1 and 1 say? And with weights of one half?
# ```
#
# ```{solution-start} ex-fusion-1
# :class: dropdown
# ```

# %%
odds = 0.9 / 0.1 * 0.6 / 0.4
full, half = odds / (1 + odds), odds**0.5 / (1 + odds**0.5)
assert full > 0.9 > half > 0.6
total = learned.sum(axis=1).median()
figures.glue("fusion-weights-sum", total, ".1f")
assert 1 < total < 2.5
round(full, 2), round(half, 2)

# %% [markdown]
# With weights of 1 their odds multiply, as they should for independent witnesses. With one half they are treated as two
# views of one thing. The weights that the pool of the best four learned sum to {glue:text}`fusion-weights-sum` in the
# median fold: nearer to one view than to four witnesses.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-fusion-2
# *Medium.* Let a pool learn its weights from experts' opinions of their *own* training ECGs: take the measurements' trees
# and the facts' trees of the first fold. Whom does it trust, and what does that do to the log loss on the test part?
# ```
#
# ```{solution-start} ex-fusion-2
# :class: dropdown
# ```

# %%
pair, test = ("facts", "measurements"), split.test
fitted = [fusion.expert(m, 0).fit(blocks[m][split.train], y[split.train]) for m in pair]
memory = np.array(
    [
        models.probabilities(f, blocks[m][split.train])
        for f, m in zip(fitted, pair, strict=True)
    ]
)
wrong = fusion.learned_weights(memory, y[split.train])
right = fusion.learned_weights(said[:2][:, split.train], y[split.train])


def loss(weights):
    """Log loss of the pool on the test part."""
    p = fusion.pool(said[:2][:, test], weights)
    return -np.log(p[np.arange(len(test)), y[test]]).mean()


assert wrong[1] > right[1] and loss(wrong) > loss(right)
pd.DataFrame(
    {"weight": [wrong[1], right[1]], "log loss": [loss(wrong), loss(right)]},
    index=["from memory", "cross-fitted"],
).round(1)

# %% [markdown]
# From memory the measurements look infallible, so their probabilities are raised to the highest power that is allowed,
# and one confident mistake in the test costs more than all else.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-fusion-3
# *Medium.* What would have happened to the best pool if the signal network failed on every page of the test, and the pool
# was told? Compare with the book's trees on measurements alone.
# ```
#
# ```{solution-start} ex-fusion-3
# :class: dropdown
# ```

# %%
lost = evaluate.metrics(fusion.of_runs(lost="signal"))
trees_alone = evaluate.metrics(fusion.voice("measurements"))
assert lost["log_loss"] < trees_alone["log_loss"]
assert abs(lost["accuracy"] - trees_alone["accuracy"]) < 0.03
{
    name: round(float(m["accuracy"]), 2)
    for name, m in (("pool", lost), ("trees", trees_alone))
}

# %% [markdown]
# In accuracy it falls back to about what the trees know, and its log loss is lower: a pool degrades gently.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-fusion-4
# *Hard.* Make a leak: mark 80 of 100 Normal ECGs and 20 of 100 others with a "scanner" column. How well do small trees do
# with it under `grouped`, and would permuting it within class reveal it? Would permuting it within the scanner?
# ```
#
# ```{solution-start} ex-fusion-4
# :class: dropdown
# ```

# %%
rng = np.random.default_rng(0)
scanner = (rng.random(491) < np.where(y == 3, 0.8, 0.2)).astype(float)


def normal_or_not(column):
    """Balanced accuracy of telling Normal from the rest."""
    p = asked(column[:, None], by_group)["p_Normal"].to_numpy()
    called = p > np.mean(y == 3)
    return (called[y == 3].mean() + (~called[y != 3]).mean()) / 2


rows = np.arange(491)
same = scanner[fusion.exchanged(rows, y == 3, 0)]
anywhere = scanner[fusion.exchanged(rows, np.zeros(491), 0)]
found = [normal_or_not(c) for c in (scanner, same, anywhere)]
assert found[0] > 0.7 and abs(found[1] - found[0]) < 0.03 and abs(found[2] - 0.5) < 0.1
dict(zip(("as it is", "within the class", "anywhere"), np.round(found, 1), strict=True))

# %% [markdown]
# A column that tells the class is not exposed by exchanging it within the class, leak or not; and within the scanner nothing
# changes at all, for there it is constant. Permutation shows *that* a column is used. Whether it may be used, only the
# knowledge of where it comes from can say.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - Equal votes for unequal experts are worse than the best of them; learned weights repair that, if they are learned from
#   ECGs that the experts did not see.
# - Four views of one ECG add little to the best view: the chapter's headline, named beforehand, has macro-F1
#   {glue:text}`fusion-best`, and is not shown to be better than the signal network alone. Against the book's headline only
#   its log loss is surely lower.
# - Zero is not "missing". Tell the model, or let the expert be silent.
# - The printed rate is information, which the trace holds too. Batch and "lead off" belong to the collection; alone
#   they tell nothing, beside the rate they may leak a little.
# ```
#
# ## Further reading
# A survey of multimodal learning and its words: {cite}`baltrusaitis2019`. Stacking: {cite}`wolpert1992`. Pools of
# probabilities: {cite}`genest1986`. Gates and modality dropout: {cite}`arevalo2017,neverova2016`. The code:
# [](../../ecgbook/fusion.py). The data: {cite}`khan2021` (CC BY 4.0).
