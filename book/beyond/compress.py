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
# # Compress, notice, invent
# A network that can rebuild hearts has learned something about hearts. The review {cite}`duan2026` names three more
# uses of such networks: write an ECG down in few bits, notice one that is odd, and invent new ones to learn from. Each
# is tried here on real ECGs beside a plain method that does the same, and the plain method is hard to beat.
#
# ```{admonition} What you will learn
# :class: learn
# - how to count the bits of a compressed ECG honestly, and what an {term}`autoencoder` is worth beside {term}`wavelets
#   <wavelet>`;
# - how well {term}`anomaly detection` works that was never told what is abnormal, and what it misses;
# - whether infarctions invented by a {term}`GAN` help a classifier, and how to find out without fooling oneself.
# ```
#
# **Running time:** about 20 seconds on a laptop, offline. The stored runs took longer; the last table says how long.

# %% [markdown]
# ## Writing a heart down
# A page of this data set {cite}`khan2021` carries three and a half million pixels. Its signals are 10,000 numbers.
# How few bits would do? Every compressor here has three steps: a transform, rounding, and a code that spends few bits
# on what is frequent. First live, with wavelets, on one {term}`rhythm strip`: the coarser the rounding, the fewer the
# bits.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ecgbook import (
    data,
    denoise,
    digitize,
    evaluate,
    figures,
    generate,
    models,
    splits,
)
from ecgbook.data import CLASSES

figures.use()
FS = denoise.FS
pages = data.pages()


def strip(file):
    """Rhythm strip of a page, 8 s, small gaps bridged."""
    values = digitize.load(file).strip.astype(float)
    known = np.flatnonzero(np.isfinite(values))
    return np.interp(np.arange(generate.SAMPLES), known, values[known])


split = splits.folds("grouped", pages)[0]
known = np.array([strip(f) for f in pages["file"].iloc[split.train[:80]]])
heart = strip("MI(2).jpg")[None]
scaled, size = generate._normalised(heart), heart.std()
way = generate.wavelets()
streams = way.forward(generate._normalised(known))
restored = {}
for step in (0.1, 0.8, 3.0):
    quantisers = generate.quantisers(streams, step)
    x, rate = generate.compress(way, quantisers, scaled)
    prd = 100 * np.sqrt(np.mean((x - scaled) ** 2) / scaled.var())
    restored[step] = (x[0] * size + np.median(heart), rate[0], prd)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four strips of one ECG: the original, two that look the same with ever fewer bits, and one at a fraction of a bit a sample whose small waves have turned into wavelets.", "classes": "paper dark-light"}, "figure": {"caption": "Four seconds of a rhythm strip, as digitised and after wavelet compression at three steps; 25 mm a second, 10 mm a millivolt.", "name": "fig-compress-strips"}}
fig, axes = plt.subplots(4, 1, figsize=(7.4, 8.4))
seconds, drawn = np.arange(1000) / FS, []
panels = {"as digitised (12 bits a sample)": (heart[0], 12.0, 0.0)}
panels |= {f"{r:.1f} bits a sample": (x, r, p) for x, r, p in restored.values()}
for ax, (name, (values, rate, prd)) in zip(axes, panels.items(), strict=True):
    figures.ecg_paper(ax, (0, 4), (-1.0, 1.0))
    piece = values[:1000] - np.median(heart)
    ax.plot(seconds, np.clip(piece, -1, 1), color="black", linewidth=1)
    ax.set_title(name if prd == 0 else f"{name}, error {prd:.0f} % of the signal")
    ax.set_xlabel("")
    ax.set_xticks([])
    ax.set_yticks([-1, 0, 1])
    drawn.append((name, rate, prd))
axes[-1].set_xticks(range(5))
axes[-1].set_xlabel("time (s)")
frame = pd.DataFrame(drawn, columns=["strip", "bits a sample", "error (% of signal)"])
figures.show(fig, frame, "compress_strips", decimals=1)

# %% [markdown]
# The error is the root mean square of the difference over the standard deviation of the signal, in per cent; the trade
# calls it PRD. A bit a sample is hard to tell from the original. The last strip can be told: its small waves are made
# of wavelets.
#
# ## Does learning help?
# Wavelets were made for signals in general. {term}`Principal components <PCA>` learn which shapes ECGs are made of,
# along straight lines; a {term}`variational autoencoder` learns them along curved ones. In the stored run all three
# learn on 136 records of LUDB {cite}`kalyakulina2020` and compress others, five times over, until each of the
# {glue:text}`compress-records` has been compressed once, twelve leads each; the distributions behind the code are
# learned on training records, too. The same rounding, the same code for all: bits cannot hide anywhere.

# %%
rates = generate.rates()
NAMES = {
    ("wavelets", 0): "wavelets",
    ("components", 0): "principal components",
    **{("codes", n): f"autoencoder, {n} numbers" for n in generate.LATENTS},
}
rates["name"] = [
    NAMES[m, k] for m, k in zip(rates["method"], rates["latent"], strict=True)
]
shown = rates[["name", "bits", "prd", "prd low", "prd high", "st"]]
figures.table(
    shown.rename(
        columns={"prd": "PRD (%)", "st": "ST error (µV)", "bits": "bits a sample"}
    ),
    "compress_rates",
    decimals=2,
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Curves of error against bits: wavelets lie lowest from half a bit on, principal components above them; the autoencoders lie lowest at very few bits and then end at an error they cannot get below.", "classes": "chart dark-light"}, "figure": {"caption": "Rate and distortion on the test records of LUDB: error against bits a sample, both on logarithmic axes.", "name": "fig-compress-rates"}}
fig, ax = plt.subplots(figsize=(7.2, 4.4))
LABELS = {  # marker, point that is labelled, where the label stands
    "wavelets": ("o", 2, (-8, -14), "right"),
    "principal components": ("s", 0, (8, -2), "left"),
    "autoencoder, 2 numbers": ("^", 1, (-8, -14), "right"),
    "autoencoder, 8 numbers": ("D", 1, (6, 8), "left"),
}
for (name, look), colour in zip(LABELS.items(), figures.COLOURS.values(), strict=True):
    marker, point, offset, side = look
    part = rates[rates["name"] == name].sort_values("bits")
    ax.plot(part["bits"], part["prd"], marker=marker, color=colour, markersize=5)
    spot = (part["bits"].iloc[point], part["prd"].iloc[point])
    how = {"textcoords": "offset points", "color": colour, "ha": side}
    ax.annotate(name, spot, offset, **how)
ax.set_xlim(0.1, 4)
ax.set_xscale("log")
ax.set_yscale("log")
ax.set_xticks([0.1, 0.2, 0.5, 1, 2, 4], ["0.1", "0.2", "0.5", "1", "2", "4"])
ax.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
ax.minorticks_off()
ax.grid()
ax.set_xlabel("bits a sample")
ax.set_ylabel("error (% of the signal)")
figures.show(fig, rates[["name", "bits", "prd"]], "compress_rates_drawn", decimals=2)


# %%
def prd(method, latent, bits):
    """Error at a rate, between the measured ones."""
    part = rates.query("method == @method and latent == @latent").sort_values("bits")
    return np.exp(np.interp(bits, part["bits"], np.log(part["prd"])))


low, high = 0.4, 1.5
assert prd("codes", 2, low) < prd("wavelets", 0, low)
assert prd("wavelets", 0, high) < prd("codes", 8, high) / 1.5
figures.glue("compress-records", generate.load("compress-ludb")["record"].nunique())
figures.glue("compress-low-codes", prd("codes", 2, low), ".0f")
figures.glue("compress-low-wavelets", prd("wavelets", 0, low), ".0f")
figures.glue("compress-high-codes", prd("codes", 8, high), ".0f")
figures.glue("compress-high-wavelets", prd("wavelets", 0, high), ".0f")

# %% [markdown]
# There are two regimes. Below half a bit a sample the small autoencoder wins: at 0.4 bits its error is
# {glue:text}`compress-low-codes` per cent of the signal, that of wavelets {glue:text}`compress-low-wavelets`, and its
# ST error is the smaller, too. It knows what a heart looks like and need not be told. Above, knowing is not enough: at
# 1.5 bits the larger autoencoder is at {glue:text}`compress-high-codes` and wavelets at
# {glue:text}`compress-high-wavelets`, for they can write down *anything*, given bits, and the network cannot leave the
# curved surface that it learned in twenty seconds. Longer training would lower its curve; it would not take away the
# floor. Principal components of stretches that start anywhere in the beat lie above wavelets throughout: a straight
# line cannot follow a wave that may stand anywhere.

# %% [markdown]
# ## Noticing what is odd
# Now the other use. A model is shown *normal* hearts only. What it cannot rebuild is not normal. It never sees an
# infarction, so it might notice even a disease that nobody had named. Live, on one fold: {term}`median beats <median
# beat>` of twelve leads; three models of the normal, and the heart rate alone for comparison.

# %%
beats = models.features("beats").loc[pages["file"]].to_numpy()
label = pages["label"].to_numpy()
train = np.sort(np.concatenate([split.train, split.val]))
normal = beats[train[label[train] == "Normal"]]
scores = generate.oddness(normal, beats[split.test])
odd = label[split.test] != "Normal"


def area(score, positive):
    """Chance that an abnormal ECG gets a higher score than a Normal one."""
    inside, outside = score[positive], score[~positive]
    return (inside[:, None] > outside).mean()


live = {name: area(score, odd) for name, score in scores.items()}
print(f"{len(normal)} Normal ECGs to learn from, {len(odd)} to judge")
print("area under the curve above 0.7:", {k: bool(v > 0.7) for k, v in live.items()})

# %% [markdown]
# Out of five folds, with the other classes one by one against Normal, and beside the headline model, which was told all
# classes and is the ceiling:

# %%
areas = generate.areas()
wide = areas.pivot(index="method", columns="label", values="auc")
wide = wide.loc[list(generate.ODD), list(CLASSES[:3])]
figures.table(wide.reset_index(), "compress_areas", decimals=2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "AUC with intervals in three groups: models of the normal rank MI high above Normal and History_MI less so; of the scores that were not told the classes, heart rate is highest for Abnormal; the headline is ahead of all.", "classes": "chart dark-light"}, "figure": {"caption": "AUC of each class against Normal by anomaly scores that were shown Normal ECGs only, and by the headline model, which was told the classes; out of fold, 95 % intervals from resampled groups.", "name": "fig-compress-areas"}}
fig, ax = plt.subplots(figsize=(7.2, 4.6))
drawn = areas[["method", "label", "auc", "low", "high"]]
for column, (cls, part) in enumerate(drawn.groupby("label", sort=False)):
    y = np.arange(len(part))[::-1] + (1 - column) * 0.24
    colour = figures.COLOURS[cls]
    ax.hlines(y, part["low"], part["high"], color=colour, linewidth=2)
    ax.plot(part["auc"], y, figures.MARKERS[cls], color=colour, label=cls)
ax.set_yticks(np.arange(len(generate.ODD))[::-1], generate.ODD)
ax.axvline(0.5, color=figures.MUTED, linestyle=":")
ax.set_xlabel("AUC against Normal")
ax.grid(axis="x")
fig.legend(loc="outside upper center", ncols=3)
figures.show(fig, drawn, "compress_areas_drawn", decimals=2)

# %%
auc = areas.set_index(["method", "label"])
for method, key in (
    ("autoencoder", "net"),
    ("Mahalanobis", "distance"),
    ("heart rate", "rate"),
    ("headline", "told"),
):
    for cls in CLASSES[:3]:
        name = f"compress-{key}-{cls.lower().replace('_', '-')}"
        spec = ".3f" if method == "headline" else ".2f"
        figures.glue(name, auc.loc[(method, cls), "auc"], spec)
assert auc.loc[("Mahalanobis", "MI"), "less"] < 0.01
assert auc.loc[("headline", "History_MI"), "less high"] < 0
assert auc.loc[("heart rate", "Abnormal"), "less"] < 0

# %% [markdown]
# Without a single infarction in training, the autoencoder puts MI above Normal with an {term}`AUC` of
# {glue:text}`compress-net-mi`, History_MI with {glue:text}`compress-net-history-mi` and Abnormal with
# {glue:text}`compress-net-abnormal`. That is remarkable, and it has nothing to do with the network: the
# {term}`Mahalanobis distance`, a formula of 1936, reaches {glue:text}`compress-distance-mi`,
# {glue:text}`compress-distance-history-mi` and {glue:text}`compress-distance-abnormal`. For Abnormal the heart rate
# alone, with {glue:text}`compress-rate-abnormal`, beats both; that folder is largely about rate, as the chapters before
# found. And who was told the classes is far ahead where it is hard: {glue:text}`compress-told-history-mi` for
# History_MI. Oddness is not disease, and a scar can be quite usual in shape.

# %% [markdown]
# ## Inventing infarctions
# Thirty MI among 491 ECGs. A conditional {term}`GAN` {cite}`goodfellow2014` learns, from the training ECGs of a fold,
# to turn random numbers and a class into an ECG of that class; then it invents as many as we like. Live and small:
# beats as thirty principal components, and a few invented beats of lead V2 drawn beside real ones.

# %%
from sklearn.decomposition import PCA

y = np.array([CLASSES.index(c) for c in label])
reduce = PCA(30, whiten=True, random_state=0).fit(beats[train])
rows = reduce.transform(beats[train])
invent = generate.fit_gan(rows, y[train], steps=500)
made = invent(0, 60, seed=1)
new = reduce.inverse_transform(made)
real = beats[train][y[train] == 0]
newness, spread = generate.likeness(rows[y[train] == 0], made)
assert 0.2 < newness < 5 and 0.02 < spread < 5

# %% tags=["hide-input"] mystnb={"image": {"alt": "Median beats of lead V2: real infarctions differ widely from each other, invented ones look like plausible variations of a few of them.", "classes": "paper dark-light"}, "figure": {"caption": "Lead V2: five real median beats filed as MI, and five invented by the GAN (principal components turned back into beats); 25 mm a second, 10 mm a millivolt.", "name": "fig-compress-invented"}}
columns = [c for c in models.features("beats").columns if c.startswith("beat_V2_")]
at = [models.features("beats").columns.get_loc(c) for c in columns]
seconds = np.arange(len(at)) * 4 / FS
fig, axes = plt.subplots(2, 5, figsize=(7.6, 5.2))
drawn = []
for line, (name, some) in zip(
    axes, {"real": real, "invented": new}.items(), strict=True
):
    for ax, beat in zip(line, some[:5, at], strict=True):
        figures.ecg_paper(ax, (0, 0.88), (-2.2, 1.2))
        ax.plot(seconds, np.clip(beat, -2.2, 1.2), color="black", linewidth=1.1)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_xlabel("")
        ax.set_ylabel("")
    line[0].set_ylabel(name)
    if name == "real":  # what was invented here differs from one processor to the next
        drawn += [(name, beat.min(), beat.max()) for beat in some[:5, at]]
frame = pd.DataFrame(drawn, columns=["beats", "lowest (mV)", "highest (mV)"])
figures.show(fig, frame, "compress_invented", decimals=1)

# %% [markdown]
# They look like beats. That proves nothing: whether they *help* is a question about classifiers. So a hundred invented
# MI are added to the training side of each fold, a logistic regression is fitted, and it is tested on real ECGs. The
# rivals do not know how to invent: a *weight* lets every MI count for more, *copies* repeats them, *jitter* shakes the
# copies, *SMOTE* {cite}`chawla2002` takes points between neighbours. All make MI count as much as a hundred more would.
# If the GAN has anything to add, it must beat the weight.

# %%
ways = generate.augmented()
unit = evaluate.units("grouped")
f1 = evaluate.table(ways, unit, ["macro_f1"], replicates=1000).set_index("model")
found = {name: evaluate.recalls(frame).loc["MI"] for name, frame in ways.items()}
board = pd.DataFrame(
    {
        "added": list(ways),
        "macro-F1": f1.loc[list(ways), "estimate"].to_numpy(),
        "low": f1.loc[list(ways), "low"].to_numpy(),
        "high": f1.loc[list(ways), "high"].to_numpy(),
        "MI found of 30": [found[name]["k"] for name in ways],
    }
)
figures.table(board, "compress_augmented", decimals=3)

# %%
rivals = {
    "GAN less nothing": ("GAN", "plain"),
    "GAN less weight": ("GAN", "weight"),
    "GAN less SMOTE": ("GAN", "SMOTE"),
    "weight less nothing": ("weight", "plain"),
}
paired = pd.concat(
    evaluate.compare(ways[a], ways[b], unit, ["macro_f1"], replicates=1000).assign(
        comparison=name
    )
    for name, (a, b) in rivals.items()
)
paired = paired[["comparison", "difference", "low", "high"]]
figures.table(paired, "compress_paired", decimals=3)

# %%
samples = generate.load("augment-mi", "samples.csv")
likeness = samples.groupby("way")[["newness", "spread"]].mean().reset_index()
figures.table(likeness, "compress_likeness", decimals=2)

# %%
estimate = f1["estimate"]
for name in generate.WAYS:
    figures.glue(f"compress-f1-{name.lower()}", estimate[name], ".2f")
    figures.glue(f"compress-mi-{name.lower()}", found[name]["k"], "g")
against = paired.set_index("comparison")
assert against.loc["GAN less weight", "high"] < 0
assert estimate["weight"] == max(estimate[list(generate.WAYS)])
figures.glue(
    "compress-gan-weight", -against.loc["GAN less weight", "difference"], ".2f"
)
figures.glue("compress-gan-weight-low", -against.loc["GAN less weight", "high"], ".2f")
figures.glue("compress-gan-weight-high", -against.loc["GAN less weight", "low"], ".2f")
spread_of = likeness.set_index("way")["spread"]
figures.glue("compress-gan-spread", spread_of["GAN"], ".1f")

# %% [markdown]
# It does not help. With a hundred invented MI the classifier finds {glue:text}`compress-mi-gan` of thirty, with none
# {glue:text}`compress-mi-plain` (means of two dealings); the plain weight finds {glue:text}`compress-mi-weight`, and
# copies, jitter and SMOTE about as many. In {term}`macro-F1` the GAN stands {glue:text}`compress-gan-weight` below the
# weight (95 % interval {glue:text}`compress-gan-weight-low` to {glue:text}`compress-gan-weight-high`). The last table
# says why: its inventions are as far from real MI as real ones from each other, so it did not copy, but they have
# {glue:text}`compress-gan-spread` of the real variance. It learned the typical MI, and the ones that are missed are not
# typical. A GAN of two dozen examples can hold no more than these.
#
# Whoever reports that augmentation helped should show the weight beside it. What a hundred more MI may do, one number
# does as well; and even its own gain over nothing has an interval that reaches below 0. (Six ways were tried here;
# that the best of them comes near the headline is no reason to prefer it.)

# %% [markdown]
# ## What it costs
# Compression was learned once for each of five folds, so its four rows come five times.

# %%
cost = [
    (
        f"compression: {NAMES[c['method'], c['latent']]}",
        c["learning_cpu_s"],
        c["ms_an_ecg"],
    )
    for c in generate.note("compress-ludb")["cost"]
]
for run, name in (
    ("anomaly-beats", "anomaly: all scores, a fold"),
    ("augment-mi", "augmentation: all ways, a fold"),
):
    spent = np.mean([c["cpu_s"] for c in generate.note(run)["cost"]])
    cost.append((name, spent, np.nan))
columns = ["what", "learning (s of one core)", "ms an ECG, there and back"]
figures.table(pd.DataFrame(cost, columns=columns), "compress_cost", decimals=0)

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-compress-1
# *Easy.* How many bytes would the ten seconds and twelve leads of an ECG take at one bit a sample, and how many as
# 16-bit numbers?
# ```
#
# ```{solution-start} ex-compress-1
# :class: dropdown
# ```

# %%
samples_of_ecg = 12 * 10 * 250
coded, plain = samples_of_ecg / 8, samples_of_ecg * 2
assert plain / coded == 16
int(coded), int(plain)

# %% [markdown]
# Under four kilobytes: less than this paragraph's web page spends on its fonts.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-compress-2
# *Medium.* The anomaly scores were learned from Normal ECGs. What if a tenth of what one takes for normal is not? Put
# some History_MI among the normal ones and see what happens to the Mahalanobis distance.
# ```
#
# ```{solution-start} ex-compress-2
# :class: dropdown
# ```


# %%
def mahalanobis(rows):
    """AUC of the distance when these beats pass for normal."""
    usual = generate.usual(rows)
    within = usual.within(beats[split.test])
    return area(np.sum(within**2 / usual.variances, axis=1), odd)


others = beats[train[label[train] == "History_MI"]][: len(normal) // 9]
clean, mixed = mahalanobis(normal), mahalanobis(np.concatenate([normal, others]))
assert mixed < clean + 0.02
print(f"{clean:.2f} with clean training, {mixed:.2f} with a tenth of others in it")

# %% [markdown]
# What is in the training set is normal by definition. Anomaly detection needs no labels of disease; it needs a label of
# health, and that is no cheaper.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-compress-3
# *Hard.* Somebody augments first and splits afterwards: copies of MI are made from all 491 ECGs, and then folds are
# dealt. What recall of MI would be reported? Use the nearest neighbour as classifier.
# ```
#
# ```{solution-start} ex-compress-3
# :class: dropdown
# ```

# %%
from sklearn.neighbors import KNeighborsClassifier

rng = np.random.default_rng(0)
more = generate.jitter(beats[y == 0], 100, rng)
all_rows, all_y = np.concatenate([beats, more]), np.concatenate([y, np.zeros(100, int)])
order = rng.permutation(len(all_y))
cut = len(order) * 4 // 5
nearest = KNeighborsClassifier(1).fit(all_rows[order[:cut]], all_y[order[:cut]])
tested = order[cut:]
wrong_way = (nearest.predict(all_rows[tested]) == 0)[all_y[tested] == 0].mean()
nearest = KNeighborsClassifier(1).fit(beats[train], y[train])
right_way = (nearest.predict(beats[split.test]) == 0)[y[split.test] == 0].mean()
assert wrong_way > right_way + 0.15
print(f"recall of MI: {wrong_way:.1f} the wrong way, {right_way:.1f} the right way")

# %% [markdown]
# Augmenting before splitting is the leak of this book, made by hand: the test set is full of cousins of the training
# set.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - An autoencoder writes hearts down best where bits are very few; given half a bit a sample or more, wavelets are
#   better and need no training.
# - Shown Normal ECGs only, models notice MI with an AUC of {glue:text}`compress-net-mi`; a Mahalanobis distance does as
#   well, and labels help most where it is hardest.
# - MI invented by a GAN did not help, and did worse than a plain weight. Augment after splitting, never before.
# ```
#
# ## Further reading
# Variational autoencoders: {cite}`kingma2014`; adversarial training: {cite}`goodfellow2014`; SMOTE: {cite}`chawla2002`.
# Wavelets and thresholds: {cite}`donoho1995`. The review: {cite}`duan2026`. The data: {cite}`khan2021` (CC BY 4.0) and
# {cite}`kalyakulina2020` (ODC-By 1.0). Nothing here is for diagnosis.
