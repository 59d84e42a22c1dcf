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
# # Model card: the headline model
# `ecgbook predict` answers with a class and a probability, and both look the same whether the model knows what it is
# doing or not. This page is what should be read before that answer: what the model is, on whom it was tested, how
# good it is for whom, and where it fails. It follows *Model Cards for Model Reporting* {cite}`mitchell2019`; each
# number is computed here, from stored predictions of models that had not seen the ECG in question.
#
# **This is no medical device. Nothing here is for diagnosis.**
#
# ```{admonition} What you will learn
# :class: learn
# - what the headline model is and what it is not for;
# - how good it is, class by class and subgroup by subgroup, with intervals that resample groups;
# - which ECGs it gets wrong every time, and which wrong pages its gates let through;
# - what such a card can say about fairness from so few women, and what it cannot.
# ```
#
# **Running time:** about ten seconds on a laptop, offline.

# %% [markdown]
# ## What it is
# A pool of four models: a {term}`support vector machine` and a logistic regression on
# {term}`median beats <median beat>` and measurements, and two kinds of trees on measurements alone. They see no
# picture: a page is [digitised](../signal/digitize.ipynb) and [measured](../signal/measure.ipynb) first. The pool
# averages the logarithms of their probabilities; the formula is in [](../../ecgbook/models.py). It was named in a
# file before it was scored ([](../signal/models.ipynb)).

# %%
import json

import numpy as np
import pandas as pd

from ecgbook import cases, data, evaluate, figures, models, study, trust

figures.use()
RUN, pages, unit = cases.HEADLINE, data.pages(), evaluate.units("grouped")
named = json.loads((study.RESULTS / "headline.json").read_text())
note = json.loads((study.RESULTS / RUN / "run.json").read_text())
facts = {
    "name": f"headline, as in the run {RUN}",
    "named": named["named"][:16].replace("T", " ") + " UTC",
    "input": f"{models.features('all').shape[1]} numbers measured on one page",
    "output": "probabilities of " + ", ".join(data.CLASSES),
    "learns from": f"{len(pages)} distinct pages in {pages['group'].nunique()} groups",
    "tested by": f"{note['folds']} folds x {note['repeats']} repeats, {note['protocol']}",
    "cost of the test": f"{note['wall_s']:.0f} s, {note['peak_rss_mb']} MB of memory",
    "made with": ", ".join(
        f"{name} {note['versions'][name]}" for name in ("scikit-learn", "xgboost")
    ),
    "licence": "BSD 3-Clause; the data are CC BY 4.0",
}
figures.table(
    pd.Series(facts).rename_axis("what").reset_index(name="found"), "card_facts"
)

# %% [markdown]
# No fitted model is shipped. `ecgbook predict` fits it from the carried tables, on all distinct pages, and scales its
# probabilities by one {term}`temperature <temperature scaling>`; so what is tested below is the recipe, in models
# that were fitted on four fifths of the pages.
#
# ## What it is for, and what not
#
# | use | |
# |---|---|
# | showing what printed ECGs of one form give to simple models without copies | what it was made for |
# | teaching calibration, sets, refusal and failure | what it was made for |
# | a baseline for other models on the same folds | yes, paired ([](../signal/models.ipynb)) |
# | pages of another form, device, filter, speed or gain | out of scope; mostly refused |
# | photographs, scans with tilt or shadow, screens | out of scope; the digitiser was not made for them |
# | children, paced rhythms, anything that no folder was named after | out of scope, and no gate asks for it |
# | deciding whether somebody has an infarction, or has none | never |
# | sorting a queue of patients | never, before a trial on that queue |
#
# ## Training and test data
# The distinct pages of EICP {cite}`khan2021`; its [data card](data_card.ipynb) says what is wrong with them. The
# labels are the names of folders. Under the {term}`protocol` `grouped` no copy and no {term}`group` stands on two
# sides; every page is tested once in each repeat.

# %% [markdown]
# ## How good it is

# %%
run = study.load(RUN)
named_rows = {"headline": run, "largest class": study.load("grouped-majority")}
named_rows["printed heart rate"] = study.load("grouped-heart-rate")
metrics = ["accuracy", "balanced_accuracy", "macro_f1", "macro_auc", "log_loss"]
overall = evaluate.table(named_rows, unit, metrics)
for row in overall[overall["model"] == "headline"].itertuples():
    for part in ("estimate", "low", "high"):
        figures.glue(f"card-{row.metric}-{part}", getattr(row, part), ".3f")
figures.table(overall, "card_overall")

# %% [markdown]
# An accuracy of {glue:text}`card-accuracy-estimate` (95 % interval {glue:text}`card-accuracy-low` to
# {glue:text}`card-accuracy-high`) and a {term}`macro-F1` of {glue:text}`card-macro_f1-estimate`
# ({glue:text}`card-macro_f1-low` to {glue:text}`card-macro_f1-high`), beside two rules that look at no wave. Class by
# class, the {term}`recall` has two intervals: one resamples groups, the other is {term}`exact <exact interval>` for k
# of n and takes pages for independent. Believe the wider.

# %%
recall = evaluate.table({"headline": run}, unit, [f"recall_{c}" for c in data.CLASSES])
exact = evaluate.recalls(run)
rows = pd.DataFrame(
    {
        "class": data.CLASSES,
        "found, mean of 5": exact["k"].round(1).to_numpy(),
        "of": exact["n"].astype(int).to_numpy(),
        "recall": recall["estimate"],
        "low": recall["low"],
        "high": recall["high"],
        "exact low": exact["low"].to_numpy(),
        "exact high": exact["high"].to_numpy(),
    }
)
figures.glue("card-mi-found", exact.loc["MI", "k"], ".0f")
figures.glue("card-mi-all", int(exact.loc["MI", "n"]))
figures.glue("card-mi-low", exact.loc["MI", "low"], ".2f")
figures.glue("card-mi-high", exact.loc["MI", "high"], ".2f")
figures.table(rows, "card_recalls", decimals=2)

# %% [markdown]
# Of {glue:text}`card-mi-all` MI it finds {glue:text}`card-mi-found`; a true recall anywhere from
# {glue:text}`card-mi-low` to {glue:text}`card-mi-high` would fit that count.
#
# ## Subgroups
# The pages print the sex and the date, and nothing else that a subgroup could be made of: the age is blank. Sex is as
# printed, and may be the machine's default. Two more rows belong here: pages that never helped to choose a setting of
# the model, and a test in which each scan batch is judged by models that saw nothing of it.

# %%
order, tested = list(data.CLASSES), run[run["part"] == "test"]
masks = {
    "sex: Female": pages["sex"] == "Female",
    "sex: Male": pages["sex"] == "Male",
    "2019, a batch of its own": pages["batch"] == "2019",
    "2020, both batches": pages["year"] == 2020,
    "batch of Aug 2020": pages["batch"] == "2020a",
    "batch of Oct 2020": pages["batch"] == "2020b",
    "never used in choosing": pages["file"].isin(named["never_used"]),
}
subgroups = {"all": tested}
for name, mask in masks.items():
    subgroups[name] = tested[tested["file"].isin(pages.loc[mask, "file"])]
subgroups["each batch, unseen"] = study.load("batches-headline")
scores = evaluate.table(subgroups, unit, ["accuracy"])


def counted(frame):
    of = frame.query("part == 'test'").drop_duplicates("file")
    return of["file"].map(unit).nunique(), *of["label"].value_counts()[order]


counts = pd.DataFrame(
    [counted(frame) for frame in subgroups.values()], columns=["groups", *order]
)
sizes = scores[["model", "estimate", "low", "high"]].join(counts)
sizes.insert(1, "ECGs", counts[order].sum(axis=1))
sizes = sizes.rename(columns={"model": "subgroup", "estimate": "accuracy"})
figures.table(sizes, "card_subgroups", decimals=2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Nine accuracies with intervals, all close to each other near nine tenths; the intervals of women, of 2019 and of the pages never used are three to five times as wide as that of all.", "classes": "chart dark-light"}, "figure": {"caption": "Accuracy of the headline, out of fold, by subgroup, with 95 % intervals from resampled groups.", "name": "fig-card-subgroups"}}
import matplotlib.pyplot as plt

drawn = scores.rename(columns={"model": "name"}).drop(columns="metric")
drawn["name"] = [
    f"{name} (n = {n})" for name, n in zip(drawn["name"], sizes["ECGs"], strict=True)
]
fig, ax = plt.subplots(figsize=(7.2, 4.2))
figures.intervals(ax, drawn)
ax.set_xlabel("accuracy")
figures.show(fig, drawn, "card_subgroups_drawn")

# %%
by_name = sizes.set_index("subgroup")
women, men = by_name.loc["sex: Female"], by_name.loc["sex: Male"]
figures.glue("card-women", int(women["ECGs"]))
figures.glue("card-women-groups", int(women["groups"]))
figures.glue("card-women-one-in", 1 / (1 - women["low"]), ".0f")
figures.glue("card-women-mi", int(women["MI"]))
for who, row in (("women", women), ("men", men)):
    figures.glue(f"card-{who}-accuracy", row["accuracy"], ".2f")
    figures.glue(f"card-{who}-low", row["low"], ".2f")
    figures.glue(f"card-{who}-high", row["high"], ".2f")
figures.glue("card-unseen", by_name.loc["each batch, unseen", "accuracy"], ".3f")
by_class = pd.DataFrame(
    [
        [name]
        + [f"{at.k:.1f} of {at.n:.0f}" for at in evaluate.recalls(frame).itertuples()]
        for name, frame in subgroups.items()
    ],
    columns=["found in", *order],
)
assert women["low"] < men["accuracy"] < women["high"]
figures.table(by_class, "card_subgroup_recalls")

# %% [markdown]
# Women: {glue:text}`card-women-accuracy` ({glue:text}`card-women-low` to {glue:text}`card-women-high`); men:
# {glue:text}`card-men-accuracy` ({glue:text}`card-men-low` to {glue:text}`card-men-high`). That is no proof of
# fairness. It is {glue:text}`card-women` ECGs in {glue:text}`card-women-groups` groups, {glue:text}`card-women-mi` of
# them MI: a model that failed one woman in {glue:text}`card-women-one-in` could look like this, and about women with
# an infarction the table says nothing at all. The row that means most is the last: judged by models that saw nothing
# of their batch, the pages are answered with an accuracy of {glue:text}`card-unseen`. Batches of one device in one
# hospital are still the mildest change of place there is. On the ECGs of another hospital and device the headline
# fails, class by class: [](../hospitals/external.ipynb).

# %% [markdown]
# ## Is it as sure as it should be?
# The {term}`expected calibration error` as it is and after temperature scaling, which `ecgbook predict` applies; each
# beside what a perfect model would show on as many pages, by luck. And how often a {term}`conformal set` holds the
# truth, when it promises 95 in 100. Temperature and sets learn from inner folds ([](../errors/dont_know.ipynb)).

# %%
inner, outer = trust.load_inner(), trust.load_headline()
mended, _ = trust.mend(outer, inner[inner["part"] == "cal"])
sure = [
    (name, at["ece"].mean(), at["null_median"].mean(), at["null_95"].mean())
    for name, frame in {"as it is": outer, "temperature": mended}.items()
    for at in [trust.calibration(frame)]
]
names = ["probabilities", "ECE", "perfect model, median", "perfect model, 95th"]
figures.glue("card-ece", sure[1][1], ".3f")
figures.glue("card-ece-raw", sure[0][1], ".3f")
figures.table(pd.DataFrame(sure, columns=names), "card_calibration")

# %%
sets = trust.coverage(trust.cross_conformal(inner), unit)
kept = sets[["pages of", "pages", "coverage", "low", "high", "size"]]
figures.glue("card-set", sets.loc[0, "coverage"], ".2f")
figures.glue("card-set-mi", sets.loc[1, "coverage"], ".2f")
figures.table(
    kept.rename(columns={"size": "classes in a set"}), "card_sets", decimals=2
)

# %% [markdown]
# An ECE of {glue:text}`card-ece` after scaling, {glue:text}`card-ece-raw` before. The sets hold the truth in
# {glue:text}`card-set` of all cases, and for MI in {glue:text}`card-set-mi`: the promise is kept on average, not for
# the class that matters most. Both hold for the mix of classes in these folders. In a waiting room, where infarctions
# are rarer, the probabilities of it are too high, and have to be moved to the prevalence there.

# %% [markdown]
# ## What its gates refuse, and what they let through
# A page is answered only after four gates: the file, the form, the laws of physics, and likeness to known pages. What
# is no ECG and every foreign layout that we drew is refused ([](../errors/dont_know.ipynb)). Harder are faults that
# leave the page in order. Here leads are exchanged in the ECGs of two of the five folds, under gates that have
# learned from the others; the chapter does it for all five.

# %%
files, found = pages["file"].to_numpy(), []
for fold in (0, 1):
    judged, rest = trust.deal_inner(0, fold)
    guard = trust.fit_guard(files[np.concatenate(rest)])
    found.append(trust.exchange_test(files[judged], guard))
found = pd.concat(found)
found["refused"] = found["physics"] | found["distribution"]
refused = found.groupby("exchanged", sort=False)["refused"].mean()
arms = "electrodes left arm and right arm"
figures.glue("card-arms", refused[arms], ".0%")
figures.glue("card-judged", found["file"].nunique())
figures.glue("card-sound", refused["nothing"], ".1%")
assert refused.filter(like="electrodes").max() < 0.5
figures.table(refused.reset_index(), "card_gates", decimals=2)

# %% [markdown]
# Of these {glue:text}`card-judged` pages, untouched, {glue:text}`card-sound` are refused; about 2 in 100 were fixed
# in advance as the price. Exchanged arm electrodes, a common fault at the bedside, are noticed in
# {glue:text}`card-arms` of cases; the rest is classified without a word. Nor do the gates ask whether the person
# belongs to the people of the folders: a child, a paced heart or a disease that no folder is named after passes if
# its measurements are not far out, and gets one of four names.

# %% [markdown]
# ## Where it fails
# Every ECG that the headline missed in all of its repeats, the surest error first, with the mean probability of the
# class that it called, before scaling.

# %%
verdicts = cases.verdicts(files)
always = verdicts[verdicts["missed"] == 1].copy()
always["probability"] = always[evaluate.PROBABILITIES].max(axis=1)
shown = cases.gallery_files()
always["case"] = [
    cases.link(file) if file in shown else file.removesuffix(".jpg")
    for file in always["file"]
]
figures.glue("card-always", len(always))
figures.glue("card-always-mi", int((always["label"] == "MI").sum()))
doubted = cases.doubts().set_index("file")["doubt"]
figures.glue("card-always-doubt", int(doubted[always["file"]].sum()))
cleared = always[(always["called"] == "Normal") & (always["label"] != "Normal")]
figures.glue("card-cleared", len(cleared))

# %% mystnb={"markdown_format": "myst"}
from IPython.display import Markdown

always = always.sort_values("probability", ascending=False)
lines = ["| ECG | folder | called | probability |", "| --- | --- | --- | --- |"]
lines += [
    f"| {at.case} | {at.label} | {at.called} | {at.probability:.2f} |"
    for at in always.itertuples()
]
Markdown("\n".join(lines))

# %% [markdown]
# {glue:text}`card-always` ECGs, {glue:text}`card-always-mi` of them MI. {glue:text}`card-cleared` that are not in the
# folder Normal are called Normal each time, which is the error that would harm. In {glue:text}`card-always-doubt` of
# them the criteria of guidelines contradict the folder as well: there the label may be wrong, or rest on something
# that the page does not show. The cases with a link are drawn in [](../errors/gallery.ipynb); what the missed
# History_MI have in common is asked, and mostly left open by so few, in [](../errors/history_mi.ipynb).
#
# ## Ethics
# The people on these pages are known by an exam number and a time, which this book does not carry. Whether they were
# asked is not known to us. A model like this could be taken for a doctor, above all where there is none; therefore
# the command and its reports say "not for diagnosis", name reasons to doubt, and redraw the signals for somebody to
# look at. It would do most harm by a confident "Normal". That word is the name of a folder, and never means that an
# infarction is excluded.
#
# ## Advice
# - Read the set of classes and the reasons to doubt, not only the class.
# - Before any use on other pages: a few dozen labelled ECGs from there, recall by class with intervals, and the
#   prevalence there.
# - When model, measurements or data change, run the study and this page again: `ecgbook study run grouped-headline`,
#   then `make execute`.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-model-card-1
# *Easy.* Somebody quotes "the model finds 98 in 100 normal ECGs". What is missing before that sentence says anything
# to a patient whose ECG was called Normal? Compute the share of the pages called Normal that are not.
# ```
#
# ```{solution-start} ex-model-card-1
# :class: dropdown
# ```

# %%
matrix = evaluate.confusion(run)
wrongly = 1 - matrix.loc["Normal", "Normal"] / matrix["Normal"].sum()
assert 0 < wrongly < 0.15
round(float(wrongly), 2)

# %% [markdown]
# The patient wants the share of wrong ones among those *called* Normal. It depends on the mix of classes: with other
# shares than in these folders it is another number.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-model-card-2
# *Medium.* How large could the difference between men and women be? Give the difference of the accuracies with an
# interval that resamples groups, both sexes in the same draw.
# ```
#
# ```{solution-start} ex-model-card-2
# :class: dropdown
# ```

# %%
p = tested[evaluate.PROBABILITIES].to_numpy()
hit = p.argmax(axis=1) == tested["label"].map(order.index).to_numpy()
per_page = pd.Series(hit.astype(float), tested["file"]).groupby(level=0).mean()[files]
codes, names_of = pd.factorize(pages["group"])
weights = evaluate.draw(len(names_of), 2000)[:, codes]
of = {s: (pages["sex"] == s).to_numpy() for s in ("Male", "Female")}
mean = {
    s: weights[:, m] @ per_page[m] / weights[:, m].sum(axis=1) for s, m in of.items()
}
low, high = np.quantile(mean["Male"] - mean["Female"], [0.025, 0.975])
assert low < 0 < high and high - low > 0.1
round(float(low), 2), round(float(high), 2)

# %% [markdown]
# From somewhat better for women to clearly better for men: the data cannot tell. "No difference was found" is true,
# and says mostly how few women there are.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-model-card-3
# *Hard.* How many women with MI would one need to know the recall of MI among them to within 0.1 either way, if it is
# about three quarters? How many data sets like this one would that take?
# ```
#
# ```{solution-start} ex-model-card-3
# :class: dropdown
# ```

# %%
for needed in range(10, 400):
    ends = evaluate.exact_interval(round(0.75 * needed), needed)
    if ends[1] - ends[0] <= 0.2:
        break
assert 60 < needed < 120
needed, round(needed / int(women["MI"]))

# %% [markdown]
# So many women with MI, and so many data sets of this size. A subgroup that is to be judged has to be collected on
# purpose.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - The headline has an accuracy of {glue:text}`card-accuracy-estimate` ({glue:text}`card-accuracy-low` to
#   {glue:text}`card-accuracy-high`) on pages of one form from one hospital, and finds {glue:text}`card-mi-found` of
#   {glue:text}`card-mi-all` MI.
# - After scaling no fault of its confidence can be shown, for the mix of classes in these folders.
# - No difference between subgroups was found, and there are too few women, and too few pages of 2019, to exclude one.
# - On another hospital's ECGs it fails: [](../hospitals/external.ipynb).
# - Its gates refuse foreign pages; exchanged electrodes and people of another kind mostly pass.
# - It is for teaching and research. It is no medical device, and "Normal" excludes nothing.
# ```
#
# ## Further reading
# *Model Cards for Model Reporting* {cite}`mitchell2019` and, for data, {cite}`gebru2021`. Temperature scaling
# {cite}`guo2017`, conformal sets {cite}`angelopoulos2023`. The data: {cite}`khan2021` (CC BY 4.0).
