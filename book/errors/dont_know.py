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
# # When to say "I don't know"
# The headline model answers every page, and it would answer a photograph of a teapot. A helper at
# a bedside should do better: say how sure it is and mean it, pass on what it is not sure of, and
# refuse what is no ECG of the kind it knows. This chapter builds these three things, and measures
# each with what was left aside for it.
#
# ```{admonition} What you will learn
# :class: learn
# - how to tell whether probabilities keep their promise, when even perfect ones would miss it a little;
# - what accuracy is bought by leaving some pages to a doctor, and how to set the threshold fairly;
# - what conformal sets promise, to whom, and to whom not;
# - which foreign pages can be refused, and which fault hardly any program would see.
# ```
#
# **Running time:** about 20 seconds on a laptop, offline. One stored run took longer.

# %% [markdown]
# ## Pages to learn from
# The models are those of [](../signal/models.ipynb), on the distinct pages of the data set
# {cite}`khan2021`, under the protocol `grouped`. Everything in this chapter that is learned (a
# temperature, a threshold, a quantile) must be learned from pages that the model neither trained on
# nor is judged by. So the training side of each outer fold is dealt once more into five inner folds
# of whole groups; the headline is fitted on four of them and predicts the fifth, and the test pages
# too. That run is stored, for three dealings of the outer folds.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from ecgbook import data, draw, evaluate, figures, study, synth, trust

figures.use()
inner, headline = trust.load_inner(), trust.load_headline()
cal = inner[inner["part"] == "cal"]
unit = evaluate.units("grouped")
print(len(headline), "answers to judge,", len(cal), "inner answers to learn from")

# %% [markdown]
# ## Is it as sure as it should be?
# Take the probability of the class that is called: the *confidence*. Sort the pages of one dealing
# by it, cut them into ten bins of equal number, and see how far the share of right answers lies from
# the mean confidence. The average of these distances is the {term}`expected calibration error`.

# %%
raw = trust.calibration(headline)
figures.glue("know-raw-ece", raw["ece"].mean(), ".3f")
print("ECE of each dealing:", raw["ece"].round(3).tolist())

# %% [markdown]
# About {glue:text}`know-raw-ece`. Is that good? The number alone does not say, and many papers stop
# here. With 49 pages a bin, a *perfect* model misses too: by luck its bins lie above or below, and
# the absolute value counts all of that as error. What a perfect model would show can be simulated:
# keep the stated probabilities, and draw the labels from them.

# %%
columns = {"ece": "ECE", "null_median": "perfect model, median"}
columns |= {"null_95": "perfect model, 95th percentile", "within": "within"}
figures.table(raw.rename(columns=columns), "know_raw")

# %% [markdown]
# The headline lies at the edge of what luck allows or beyond it. To see in which direction, draw the
# bins.

# %% [markdown]
# ## One number mends it
# {term}`Temperature scaling` divides the logarithms of the probabilities by one number, learned from
# the inner answers of the same outer fold. {term}`Isotonic regression` learns a whole curve for each
# class. The first was named as the one to be judged before either was computed.

# %%
mended, temperatures = trust.mend(headline, cal)
stepped, steps = trust.mend(headline, cal, trust.isotonic)
figures.glue("know-t-low", temperatures.min(), ".2f")
figures.glue("know-t-high", temperatures.max(), ".2f")
assert temperatures.max() < 1  # in every fold the headline is not sure enough
frames = {"as it is": headline, "temperature": mended, "isotonic": stepped}
losses = evaluate.table(frames, unit, ["log_loss", "brier"])
figures.table(losses, "know_losses")

# %% [markdown]
# All temperatures lie between {glue:text}`know-t-low` and {glue:text}`know-t-high`. Below 1 means:
# make it surer. The usual complaint about networks is the opposite {cite}`guo2017`, but this model is
# a geometric mean of four, and where the four disagree the mean is timid. The log loss and the
# {term}`Brier score` come first, for they judge the whole of the four probabilities. The comparison
# must be paired:

# %%
paired = pd.concat(
    evaluate.compare(frames[name], headline, unit, ["log_loss", "brier"]).assign(
        mended=name
    )
    for name in ("temperature", "isotonic")
)
gain = paired.set_index(["mended", "metric"])
figures.glue("know-gain", -gain.loc[("temperature", "log_loss"), "difference"], ".3f")
figures.glue("know-gain-low", -gain.loc[("temperature", "log_loss"), "high"], ".3f")
figures.glue("know-gain-high", -gain.loc[("temperature", "log_loss"), "low"], ".3f")
assert gain.loc[("temperature", "log_loss"), "high"] < 0
assert gain.loc[("temperature", "brier"), "high"] > 0
assert gain.loc[("isotonic", "log_loss"), "high"] > 0
figures.table(paired[["mended", "metric", "difference", "low", "high"]], "know_paired")

# %% [markdown]
# Temperature lowers the log loss by {glue:text}`know-gain` ({glue:text}`know-gain-low` to
# {glue:text}`know-gain-high`); for the Brier score the interval holds 0. The curves of isotonic
# regression have more freedom, and four hundred pages do not pay for it: no gain can be shown. Now
# the ECE again, one dealing at a time, since the same ECG in three dealings is no three ECGs.

# %%
judged = trust.calibration(mended)
figures.glue("know-ece", judged["ece"].mean(), ".3f")
figures.glue("know-null", judged["null_95"].mean(), ".3f")
assert judged["within"].all() and not raw["within"].all()
after = (
    judged.assign(mended="temperature"),
    trust.calibration(stepped).assign(mended="isotonic"),
)
figures.table(pd.concat(after).rename(columns=columns), "know_mended")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels of ten dots each against the diagonal: before, nearly all dots lie above it, for the model is right more often than it says; after, they lie along it, inside the bars of a perfect model.", "classes": "chart dark-light"}, "figure": {"caption": "Share of right answers against confidence in ten bins of equal number, first dealing; bars: where 95 of 100 perfect models would lie.", "name": "fig-know-reliability"}}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.7), sharey=True)
drawn = []
for ax, (name, frame) in zip(axes, list(frames.items())[:2], strict=True):
    bins = trust.reliability(frame)
    ax.plot([0.4, 1], [0.4, 1], color=figures.MUTED, linewidth=0.8)
    ax.vlines(
        bins["confidence"], bins["low"], bins["high"], color="#c9ced6", linewidth=6
    )
    ax.plot(bins["confidence"], bins["accuracy"], "o", color=figures.ACCENT)
    ax.set_title(name)
    ax.set_xlabel("mean confidence of the bin")
    drawn.append(bins.assign(model=name))
axes[0].set_ylabel("share of right answers")
drawn = pd.concat(drawn)
before = drawn[drawn["model"] == "as it is"]
assert (before["accuracy"] > before["confidence"]).sum() >= 8
last = drawn[drawn["model"] == "temperature"]
assert last["accuracy"].between(last["low"], last["high"]).all()
figures.show(fig, drawn, "know_reliability")

# %% [markdown]
# After scaling, the mean ECE is {glue:text}`know-ece`, and every dealing lies below the 95th
# percentile of a perfect model (on average {glue:text}`know-null`). That is as much as 491 ECGs can
# show: not that the probabilities are right, but that these pages cannot prove them wrong. And it
# holds for *these* shares of classes; we come back to that at the end.

# %% [markdown]
# ## Answering only when sure
# A model that may pass on a page should pass on the right ones. Rank the pages by confidence, answer
# the surest, and let the share that is answered, the {term}`coverage`, fall from one on. This is
# {term}`selective prediction` {cite}`elyaniv2010`.

# %%
wanted = np.r_[np.arange(0.30, 0.995, 0.05), 1.0]
curve, area = trust.risk_coverage(mended, unit, wanted)
at_80 = curve.iloc[np.abs(curve["coverage"] - 0.8).argmin()]
for name in ("accuracy", "low", "high"):
    figures.glue(f"know-80-{name}", at_80[name], ".3f")
figures.glue("know-100", curve["accuracy"].iloc[-1], ".3f")
for name, value in zip(("aurc", "aurc-low", "aurc-high"), area, strict=True):
    figures.glue(f"know-{name}", value, ".4f")
assert at_80["accuracy"] >= 0.96

# %% tags=["hide-input"] mystnb={"image": {"alt": "Accuracy falls from nearly one at thirty per cent coverage, slowly at first and faster at the right end; the one point reported by the peer lies below the curve.", "classes": "chart dark-light"}, "figure": {"caption": "Accuracy among the answered pages against the share answered, with 95 % intervals from resampled groups. The cross: what the peer reports on its 74 test pages.", "name": "fig-know-coverage"}}
peer_kept, peer_right, peer_all = 53, 51, 74
fig, ax = plt.subplots(figsize=(7.2, 3.4))
ax.fill_between(curve["coverage"], curve["low"], curve["high"], color="#d9dce1")
ax.plot(curve["coverage"], curve["accuracy"], color=figures.INK)
ax.plot(
    peer_kept / peer_all,
    peer_right / peer_kept,
    "x",
    color=figures.ACCENT,
    markersize=9,
)
ax.annotate(
    "peer", (peer_kept / peer_all, peer_right / peer_kept), (-8, -14), textcoords="offset points",
    color=figures.ACCENT, ha="right",
)  # fmt: skip
ax.set_xlabel("share of the pages that is answered")
ax.set_ylabel("accuracy among these")
figures.show(fig, curve, "know_coverage")

# %% [markdown]
# With every page answered the accuracy is {glue:text}`know-100`; with four in five answered it is
# {glue:text}`know-80-accuracy` ({glue:text}`know-80-low` to {glue:text}`know-80-high`). The area
# between the curve and 1, the mean risk over all coverages, is {glue:text}`know-aurc`
# ({glue:text}`know-aurc-low` to {glue:text}`know-aurc-high`).
#
# One public repository reports such a pair of numbers: of its 74 test pages it answers 53, and 51 of
# these rightly. We have a run on exactly its split. The 53 pages of which our model is surest there:

# %%
like = study.load("peer-headline").query("part == 'test'")
order = np.argsort(-like[evaluate.PROBABILITIES].max(axis=1).to_numpy(), kind="stable")
called = like[evaluate.PROBABILITIES].to_numpy().argmax(axis=1)
right = called == like["label"].map(data.CLASSES.index).to_numpy()
ours_right = int(right[order[:peer_kept]].sum())
rows = [("peer", peer_right, peer_kept), ("ours", ours_right, peer_kept)]
rows = [(who, k, n, *evaluate.exact_interval(k, n)) for who, k, n in rows]
figures.glue("know-peer-ours", ours_right)
assert ours_right >= peer_right
figures.table(
    pd.DataFrame(rows, columns=["whose", "right", "answered", "low", "high"]),
    "know_peer",
)

# %% [markdown]
# {glue:text}`know-peer-ours` of 53, and two overlapping intervals: a split of this size cannot part
# the two.
#
# Ranking the test pages is not how a threshold is used, for a doctor's pages come one at a time. The
# threshold has to be set beforehand, here on the inner answers of the same fold, such that four in
# five of *them* are answered. What it gives on the test pages is then a measurement:

# %%
known, _ = trust.mend(cal, cal)
sure = trust.answered(mended, known, 0.8)
y = mended["label"].map(data.CLASSES.index).to_numpy()
hit = mended[evaluate.PROBABILITIES].to_numpy().argmax(axis=1) == y
rows = []
for name in ("all", *data.CLASSES):
    of = (
        np.full(len(y), True) if name == "all" else (mended["label"] == name).to_numpy()
    )
    file = mended["file"][of]
    said = pd.Series(sure[of].to_numpy(float), file)
    good = pd.Series((sure & hit)[of].to_numpy(float), file)
    kept = trust.share(said, pd.Series(1.0, file), unit)
    rows.append((name, *kept, *trust.share(good, said, unit)))
names = [
    "pages of",
    "answered",
    "low",
    "high",
    "right among these",
    "its low",
    "its high",
]
by_class = pd.DataFrame(rows, columns=names)
figures.glue("know-set-coverage", by_class.loc[0, "answered"], ".3f")
figures.glue("know-set-accuracy", by_class.loc[0, "right among these"], ".3f")
figures.glue("know-set-mi", by_class.loc[1, "answered"], ".2f")
assert by_class["answered"].iloc[1:].idxmin() == 1
figures.table(by_class, "know_threshold")

# %% [markdown]
# It answers {glue:text}`know-set-coverage` of the pages and is right on
# {glue:text}`know-set-accuracy` of these. Now read the row of MI. "I don't know" is not spread evenly: only
# {glue:text}`know-set-mi` of the MI pages are answered at all. The price per page is highest for the class that
# matters most, perhaps because there are only thirty ECGs to learn it from.

# %% [markdown]
# ## Sets that hold the truth
# Instead of one class, or none, the model may name all classes that it cannot exclude. A
# {term}`conformal set` is built so that the true class is in it 95 times in 100, whatever the model
# is worth: a bad one merely gives large sets {cite}`angelopoulos2023`. How odd would this class be
# here, compared with the true classes of the inner pages? If fewer than 5 in 100 of those are as odd,
# it is left out. The formula, with its weights for groups, stands in
# [](../../ecgbook/trust.py).
#
# The promise rests on one assumption: the page comes from where the others came from. For sets made across folds, as
# ours are, only a weaker promise is proved, with up to twice the errors {cite}`barber2021`; in practice they keep
# close to the stated one. It is a promise on average over pages, not for each class. So we show what it does to each
# class, and beside it the variant that compares within a class.

# %%
marginal = trust.coverage(trust.cross_conformal(inner), unit)
within = trust.coverage(trust.class_conditional(inner), unit)
whole = marginal.set_index("pages of").loc["all"]
for name in ("coverage", "low", "high"):
    figures.glue(f"know-conformal-{name}", whole[name], ".3f")
figures.glue("know-size", whole["size"], ".2f")
figures.glue("know-one", whole["one"], ".0%")
assert whole["low"] <= 0.95 <= whole["high"] and whole["empty"] == 0
figures.table(marginal, "know_conformal")

# %%
figures.table(within, "know_class_conditional")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Intervals of coverage by class around a line at ninety-five per cent: the common sets fall short for MI and, less, for History_MI; the sets made within the class lie on the line for all four.", "classes": "chart dark-light"}, "figure": {"caption": "How often the sets hold the true class: all pages compared together (dots), and each class compared with its own (squares); 95 % intervals from resampled groups.", "name": "fig-know-conformal"}}
fig, ax = plt.subplots(figsize=(7.2, 3.2))
for at, (frame, marker, colour) in enumerate(
    ((marginal, "o", figures.INK), (within, "s", figures.ACCENT))
):
    place = np.arange(len(frame))[::-1] + 0.12 - 0.24 * at
    ax.hlines(place, frame["low"], frame["high"], color=colour, linewidth=1.6)
    ax.plot(frame["coverage"], place, marker, color=colour)
ax.axvline(0.95, color=figures.MUTED, linewidth=0.8)
ax.set_yticks(np.arange(len(marginal))[::-1], marginal["pages of"])
ax.set_xlabel("share of sets that hold the true class")
both = pd.concat(
    [marginal.assign(sets="common"), within.assign(sets="within the class")]
)
figures.show(fig, both, "know_conformal_drawn")

# %%
mi = marginal.set_index("pages of").loc["MI"]
own = within.set_index("pages of").loc["MI"]
assert mi["coverage"] < 0.9 < own["coverage"]
assert own["size"] > mi["size"]
figures.glue("know-mi-common", mi["coverage"], ".2f")
figures.glue("know-mi-own", own["coverage"], ".2f")
figures.glue("know-mi-size", own["size"], ".1f")

# %% [markdown]
# Over all pages the sets hold the truth in {glue:text}`know-conformal-coverage` of cases
# ({glue:text}`know-conformal-low` to {glue:text}`know-conformal-high`), as promised, with
# {glue:text}`know-size` classes on average; {glue:text}`know-one` of them name a single class, and
# none is empty. But for MI the share is {glue:text}`know-mi-common`. A promise on average was kept by
# being generous to the many and mean to the few. Compared within the class it is
# {glue:text}`know-mi-own`, for sets of {glue:text}`know-mi-size` classes. With about two dozen MI to
# compare with, one more or less moves the quantile: we show it and promise nothing for MI.

# %% [markdown]
# ## The surest errors
# No threshold helps where the model is sure and wrong. These are wrong in all three dealings:

# %%
p = mended[evaluate.PROBABILITIES].to_numpy()
each = mended.assign(
    confidence=p.max(axis=1), hit=hit, called=np.take(data.CLASSES, p.argmax(axis=1))
)
wrong = each.groupby("file").agg(
    label=("label", "first"),
    called=("called", "first"),
    hits=("hit", "sum"),
    least=("confidence", "min"),
)
wrong = (
    wrong.query("hits == 0").sort_values("least", ascending=False).drop(columns="hits")
)
assert {"PMI(35).jpg", "MI(13).jpg", "MI(25).jpg"} <= set(wrong.index[:8])
assert set(wrong.loc[["PMI(35).jpg", "MI(13).jpg", "MI(25).jpg"], "called"]) == {
    "Normal"
}
shown = wrong.head(8).reset_index().rename(columns={"least": "least confidence"})
figures.table(shown, "know_surest_errors", decimals=2)

# %% [markdown]
# [PMI(35)](case-pmi-35), [MI(13)](case-mi-13) and [MI(25)](case-mi-25) are called Normal each time.
# Whether model or folder is wrong no one can say from here: a {term}`label doubt` is a reason to
# look, and no cardiologist has reviewed these ECGs for this book.

# %% [markdown]
# ## Pages it has no business with
# Probabilities sum to 1 over the four classes, whatever is shown: there is no fifth one for "none of
# these". So a page has to pass four gates before it is classified. Can the file be decoded? Is it the
# form that the digitiser knows, with names, speed and gain where they belong? Do the leads obey
# {term}`Einthoven's law`? And are the measurements like those of the pages that were learned from
# (a {term}`Mahalanobis distance`)? First what is no ECG at all:

# %%
from PIL import Image
from sklearn.datasets import load_sample_image

rng = np.random.default_rng(0)
size = (draw.WIDTH, draw.HEIGHT)
known_page = draw.draw_page(synth.record("Normal", 1))[0]
flat = synth.record("Normal", 1)
flat = flat._replace(leads=np.zeros_like(flat.leads))
no_ecg = {
    "blank sheet": Image.new("RGB", size, "white"),
    "noise": Image.fromarray(
        rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    ),
    "photograph": Image.fromarray(load_sample_image("china.jpg")).resize(size),
    "flower": Image.fromarray(load_sample_image("flower.jpg")).resize(size),
    "empty form": draw.draw_page(flat)[0],
}
said = {name: trust.accept(page) for name, page in no_ecg.items()}
assert not any(verdict.accepted for verdict in said.values())


def verdicts(said):
    lines = [
        (name, v.accepted, v.stage, ", and ".join(v.reasons))
        for name, v in said.items()
    ]
    return pd.DataFrame(lines, columns=["page", "accepted", "gate", "reason"])


figures.table(verdicts(said), "know_no_ecg")

# %% [markdown]
# These are easy. Harder are true ECGs in another layout, for there a wrong answer would look like a
# right one. We draw one ECG as other devices would print it, and keep the frame, the grid and the
# pulses of the known form wherever the layout allows.

# %%
foreign = trust.foreign_pages(synth.record("Normal", 1))
answers = {"the known form": trust.accept(known_page)}
answers |= {name: trust.accept(page) for name, page in foreign.items()}
assert [v.accepted for v in answers.values()] == [True] + [False] * len(foreign)
figures.glue("know-foreign", len(foreign))
figures.table(verdicts(answers), "know_foreign")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six small pages: six rows of two leads, twelve rows of one, chest leads in reverse order, a page at fifty millimetres a second, one without a frame, one mirrored; all look like ECGs.", "classes": "paper dark-light"}, "figure": {"caption": "Six of the foreign layouts, all drawn from the same synthetic ECG.", "name": "fig-know-foreign"}}
chosen = [
    "6 rows of 2 leads",
    "12 rows of 1 lead",
    "chest leads from V6 to V1",
    "50 mm/s",
]
chosen += ["without a frame", "mirrored"]
fig, axes = plt.subplots(2, 3, figsize=(7.6, 4.1))
for ax, name in zip(axes.flat, chosen, strict=True):
    ax.imshow(foreign[name].reduce(4))
    ax.set_title(name, fontsize=9)
    ax.set_axis_off()
of_six = verdicts({name: answers[name] for name in chosen})[["page", "gate", "reason"]]
figures.show(fig, of_six, "know_foreign_drawn")

# %% [markdown]
# All {glue:text}`know-foreign` are refused, each for a reason that names what is foreign. Most of
# this is the form's doing: a reader of one form refuses other forms. The page at 50 mm/s is the
# instructive one: all its lines lie where they should, every interval would be read at twice its
# length, and only the footer gives it away. A page whose footer *lies* could still pass.
# The command `ecgbook predict` ([](../../ecgbook/predict.py)) asks these gates before it asks the model: what they refuse
# gets no class, only the reason.

# %% [markdown]
# ## What hardly anyone notices
# Now nothing is foreign about the page: form, names and settings are right, and the signals belong under other names.
# Electrodes on the wrong limbs are a common fault in practice. They obey Einthoven's law, for the law is about the
# body, not about the names of its limbs. We exchange leads in the measurements of all 491 ECGs; the gates have
# learned from the other folds.

# %%
files, found = data.pages()["file"].to_numpy(), []
for fold in range(trust.FOLDS):
    tested, rest = trust.deal_inner(0, fold)
    guard = trust.fit_guard(files[np.concatenate(rest)])
    found.append(trust.exchange_test(files[tested], guard))
found = pd.concat(found)
found["either"] = found["physics"] | found["distribution"]
shares = found.groupby("exchanged", sort=False)[
    ["physics", "distribution", "either"]
].mean()
figures.glue("know-false-alarm", shares.loc["nothing", "either"], ".1%")
figures.glue(
    "know-arms", shares.loc["electrodes left arm and right arm", "either"], ".0%"
)
figures.glue(
    "know-leg", shares.loc["electrodes left arm and left leg", "either"], ".0%"
)
figures.glue("know-traces", shares.loc["traces I and II", "either"], ".0%")
assert shares.filter(like="electrodes", axis=0)["either"].max() < 0.5
assert shares.loc["nothing", "either"] < 0.05 < shares.loc["traces I and II", "physics"]
figures.table(shares.reset_index(), "know_exchanged", decimals=2)

# %% [markdown]
# Untouched pages are refused in {glue:text}`know-false-alarm` of cases: the price that was fixed in
# advance, about 2 in 100. Two *traces* under each other's names break the law, and
# {glue:text}`know-traces` of them are caught. Exchanged arm electrodes are noticed in
# {glue:text}`know-arms`, left arm and left leg in {glue:text}`know-leg`: mostly they pass, and are
# classified without a sound. These gates are no check of the electrodes. A person who looks at lead I
# and at {term}`R-wave progression` is still needed.

# %% [markdown]
# ## A thousand people
# What do these numbers mean in a waiting room? Our pages are no sample of people: somebody chose four
# folders. So a prevalence has to be *stated*; we suppose that 30 of 1000 people have an acute
# infarction, 70 an old one, 300 another abnormality. Each page then stands for as many people as its
# class is more common there, and Bayes' rule moves the probabilities {cite}`saerens2002`. One in five
# of the people who come is to be referred, with the threshold set on inner pages.

# %%
prevalence = {"MI": 0.03, "History_MI": 0.07, "Abnormal": 0.30, "Normal": 0.60}
moved, moved_cal = trust.at_prevalence(mended, known, prevalence)
passing = trust.answered(moved, moved_cal, 0.8)
everyone = pd.Series(True, index=moved.index)
views = {
    "answers everyone": trust.triage(moved, everyone, prevalence, unit),
    "refers the unsure": trust.triage(moved, passing, prevalence, unit),
}
tables = [view.assign(model=name) for name, view in views.items()]
figures.table(
    pd.concat(tables)[["model", "outcome", "people", "low", "high"]],
    "know_triage",
    decimals=1,
)

# %%
plain, careful = (view.set_index("outcome") for view in views.values())
for key, outcome in (
    ("missed", "missed MI"),
    ("cleared", "called Normal, but are not"),
):
    figures.glue(f"know-plain-{key}", plain.loc[outcome, "people"], ".0f")
    figures.glue(f"know-careful-{key}", careful.loc[outcome, "people"], ".0f")
figures.glue("know-referred", careful.loc["referred", "people"], ".0f")
figures.glue("know-referred-mi", careful.loc["referred, and have MI", "people"], ".0f")
figures.glue("know-flagged", careful.loc["flagged, and have it", "people"], ".0f")
figures.glue("know-missed-high", careful.loc["missed MI", "high"], ".0f")
assert careful.loc["missed MI", "people"] < plain.loc["missed MI", "people"]
assert (
    careful.loc["referred, and have MI", "people"]
    > careful.loc["flagged, and have it", "people"]
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two stacked bars of the thirty people with MI: answered all, most are flagged and some missed; with referral about two thirds are passed on to a doctor and hardly any are missed.", "classes": "chart dark-light"}, "figure": {"caption": "What becomes of the 30 in a thousand who have MI, at the stated prevalence.", "name": "fig-know-triage"}}
parts = {
    "flagged": "flagged, and have it",
    "referred": "referred, and have MI",
    "missed": "missed MI",
}
looks = {
    "flagged": ("#0f766e", ""),
    "referred": ("#8a93a0", "...."),
    "missed": ("#c2410c", "////"),
}
fig, ax = plt.subplots(figsize=(7.2, 2.4))
lines = []
for row, (name, view) in enumerate(views.items()):
    left, people = 0.0, view.set_index("outcome")["people"]
    for part, outcome in parts.items():
        colour, hatch = looks[part]
        ax.barh(
            1 - row, people[outcome], left=left, color=colour, hatch=hatch, height=0.55
        )
        if people[outcome] > 1.5:
            words = f"{people[outcome]:.0f} {part}"
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            ax.text(
                left + people[outcome] / 2,
                1 - row,
                words,
                ha="center",
                va="center",
                bbox=box,
            )
        left += people[outcome]
        lines.append((name, part, people[outcome]))
ax.set_yticks([1, 0], list(views))
ax.set_xlabel("people of a thousand")
figures.show(
    fig,
    pd.DataFrame(lines, columns=["model", "part", "people"]),
    "know_triage_drawn",
    decimals=1,
)

# %% [markdown]
# If the model answers everyone, it misses {glue:text}`know-plain-missed` of the 30 and calls
# {glue:text}`know-plain-cleared` people Normal who are not. If it refers the unsure,
# {glue:text}`know-careful-missed` of the 30 are missed (but the interval reaches
# {glue:text}`know-missed-high`, and it rests on thirty ECGs), {glue:text}`know-careful-cleared` are
# wrongly called Normal, and {glue:text}`know-referred` people wait for a doctor;
# {glue:text}`know-referred-mi` of the 30 are among them, more than the {glue:text}`know-flagged` it
# flags itself. That is what "I don't know" is good for: not that the model finds the rare thing, but
# that it stops hiding it. None of this makes it a medical device, and "called Normal" never means
# that an infarction is excluded.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-know-1
# *Easy.* What ECE would a perfect model show with 491 pages if 50 bins were used instead of ten? And with
# two?
# ```
#
# ```{solution-start} ex-know-1
# :class: dropdown
# ```

# %%
probabilities = mended.query("repeat == 0")[evaluate.PROBABILITIES].to_numpy()
nulls = {
    bins: np.median(trust.null_ece(probabilities, 500, bins=bins))
    for bins in (2, 10, 50)
}
assert nulls[2] < nulls[10] < nulls[50]
{bins: round(float(null), 2) for bins, null in nulls.items()}

# %% [markdown]
# More bins, fewer pages in each, more luck: the ECE of a perfect model grows with the number of bins.
# Two papers with different bins cannot be compared.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-know-2
# *Medium.* Fit the temperature on pages that the model was trained on. No run holds such
# predictions, but you can imitate them: take the inner answers, and make the right ones surer. What
# temperature comes out, and what does it do to the log loss of the test pages?
# ```
#
# ```{solution-start} ex-know-2
# :class: dropdown
# ```

# %%
truth = cal["label"].map(data.CLASSES.index).to_numpy()
remembered = cal.copy()
learned = cal[evaluate.PROBABILITIES].to_numpy() * 0.1
learned[np.arange(len(truth)), truth] += 0.9
remembered[evaluate.PROBABILITIES] = learned
too_sure, hot = trust.mend(headline, remembered)
fair, spoilt = (evaluate.metrics(frame)["log_loss"] for frame in (mended, too_sure))
assert hot.max() < temperatures.min() and spoilt > fair
[round(float(value), 2) for value in (hot.mean(), fair, spoilt)]

# %% [markdown]
# Where the model remembers the answers it is never wrong, so surer seems always better. On new pages
# that is punished.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-know-3
# *Medium.* Make conformal sets that promise the truth 80 times in 100. How often do they hold it, and what
# happens to their sizes?
# ```
#
# ```{solution-start} ex-know-3
# :class: dropdown
# ```

# %%
low_level = trust.coverage(trust.cross_conformal(inner), unit, level=0.8).iloc[0]
assert low_level["coverage"] < whole["coverage"] and low_level["empty"] > 0.05
low_level[["coverage", "size", "empty"]].astype(float).round(2).to_dict()

# %% [markdown]
# A model that is right more often than the level asks for keeps the promise by empty sets: "every
# class would be odd here". At a level near or below the accuracy, an empty set is another way to say
# "I don't know".
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-know-4
# *Hard.* A page is drawn at 50 mm/s, and its footer says 25. Does the guard notice? Try ten synthetic
# ECGs, and say which measurements ought to give it away.
# ```
#
# ```{solution-start} ex-know-4
# :class: dropdown
# ```

# %%
stretched = []
for seed in range(10):
    ecg = synth.record("Normal", seed)
    # shown at twice the speed, 2.5 s of the page hold 1.25 s of the heart
    half = np.stack(
        [np.interp(np.arange(2500) / 2, np.arange(2500), lead) for lead in ecg.leads]
    )
    page = draw.draw_page(ecg._replace(leads=half.astype(np.float32)))[0]
    stretched.append(trust.accept(page))
passed = sum(verdict.accepted for verdict in stretched)
assert passed > 0
passed

# %% [markdown]
# So many of the ten pass. The rate is halved and every interval doubled, so a QRS of 90 ms becomes
# one of 180 ms at a rate of 35; but wide complexes and slow hearts exist, and a distance over fifty
# measurements does not insist on any one of them. A rule that asks for the two together would.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - The headline was not sure enough; one temperature, learned from inner folds, mends it, and its ECE of
#   {glue:text}`know-ece` is no more than that of a perfect model on as many pages.
# - With a threshold set beforehand {glue:text}`know-set-coverage` of the pages are answered, and the accuracy among
#   these is {glue:text}`know-set-accuracy` instead of {glue:text}`know-100`; of the MI pages only
#   {glue:text}`know-set-mi` are answered.
# - Conformal sets hold the truth in {glue:text}`know-conformal-coverage` of cases on average, and for MI in
#   {glue:text}`know-mi-common`: a promise on average is none for the few.
# - Images that are no ECG and foreign layouts are refused; exchanged electrodes mostly are not.
# - What a score means for people depends on a prevalence that has to be stated.
# ```
#
# ## Further reading
# Calibration of networks and temperature scaling {cite}`guo2017`; binned errors and their faults
# {cite}`naeini2015,nixon2019`. Selective prediction {cite}`elyaniv2010`. Cross-conformal prediction
# {cite}`vovk2015`, what can be proved of it {cite}`barber2021`, and a gentle introduction to all of it
# {cite}`angelopoulos2023`. Moving probabilities to another prevalence {cite}`saerens2002`. The data:
# {cite}`khan2021` (CC BY 4.0).
