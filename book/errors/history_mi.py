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
# # The History_MI cases
# An old {term}`myocardial infarction` is hard to see: of {glue:text}`history-paper-files` test
# files the paper misses {glue:text}`history-paper-missed`, and explains why. The explanation sounds
# right. It was not tested. Here every explanation becomes a statement that can fail, and is put to
# the 86 distinct History_MI ECGs, each judged by models that never saw it.
#
# ```{admonition} What you will learn
# :class: learn
# - how to look at errors one by one without being fooled by the few that there are;
# - which ECGs are hard for every model, and whether models fail on the same ones;
# - which of the paper's explanations hold, which do not, and which so few ECGs cannot decide;
# - what a contradiction between a folder and a signal is worth.
# ```
#
# **Running time:** about 15 seconds on a laptop, offline.

# %% [markdown]
# ## What the paper says
# After its results the paper {cite}`li2026` goes through the four classes of the data set
# {cite}`khan2021`. All MI are found. Of the History_MI that are missed it says that the acute
# {term}`Q waves <Q wave>` and the {term}`ST elevation` have faded, and that what is left are
# unspecific changes of {term}`ST <ST segment>` and {term}`T <T wave>`, so that they are called
# Abnormal or Normal. Abnormal errors are put down to {term}`premature beats <premature beat>` that
# are confused with mild conduction block, and Normal errors to mild {term}`ST depression`. Beside
# the paper's figures stand those of our three models, every ECG judged {term}`out-of-fold`, copies
# removed and groups kept together.

# %%
import numpy as np
import pandas as pd

from ecgbook import cases, data, evaluate, figures

figures.use()
network, hybrid = cases.best("network"), cases.best("hybrid")
RUNS = {"network": network, "hybrid": hybrid, "headline": cases.HEADLINE}
for name, run in RUNS.items():
    figures.glue(f"history-{name}", run.removeprefix("grouped-"))
figures.table(cases.validated("network"), "history_networks")

# %% [markdown]
# Which page network and which {term}`hybrid <hybrid model>` stand for their kind is decided by
# validation pages alone, as the paper decided it; the test pages have no say. Among the networks
# whose runs are finished it is {glue:text}`history-network`, among the hybrids
# {glue:text}`history-hybrid`. The headline model needs no choice: it was named before it was
# scored.

# %%
figures.table(cases.validated("hybrid"), "history_hybrids")

# %%
from ecgbook import study

runs = {name: study.load(run) for name, run in RUNS.items()}
unit = evaluate.units("grouped")
paper = pd.read_csv(data.tables() / "paper_recall.csv").set_index("label")
auc = pd.read_csv(data.tables() / "paper_auc.csv").set_index("label")
figures.glue("history-paper-files", paper.loc["History_MI", "test_files"])
figures.glue(
    "history-paper-missed", (paper["test_files"] - paper["right"])["History_MI"]
)
scores = pd.DataFrame({"class": data.CLASSES})
scores["paper: recall"] = (paper["right"] / paper["test_files"]).to_numpy()
scores["paper: AUC"] = auc.loc[scores["class"], "auc"].to_numpy()
for name, frame in runs.items():
    values = evaluate.metrics(frame)
    scores[f"{name}: recall"] = [values[f"recall_{c}"] for c in data.CLASSES]
    scores[f"{name}: AUC"] = [values[f"auc_{c}"] for c in data.CLASSES]
figures.table(scores, "history_scores", decimals=2)

# %%
by_class = scores.set_index("class")
for name in RUNS:
    recall = by_class[f"{name}: recall"]
    assert recall["MI"] < 1
    figures.glue(f"history-{name}-recall", recall["History_MI"], ".2f")
    figures.glue(f"history-{name}-recall-mi", recall["MI"], ".2f")
    figures.glue(f"history-{name}-hardest", recall.idxmin())
assert list(by_class["headline: recall"].nsmallest(2).index) == ["MI", "History_MI"]

# %% [markdown]
# In the paper MI is the class without errors. Without copies the headline finds the smallest share
# of MI, and the next smallest of History_MI. The hardest class of the network is
# {glue:text}`history-network-hardest`, that of the hybrid {glue:text}`history-hybrid-hardest`.

# %% [markdown]
# ## First the wrong way
# One might now open a handful of missed ECGs, or search the table of measurements for columns that
# differ between missed and found, and tell a story about what turns up. To see what such a story is
# worth, we call as many of the 86 "missed" as the headline misses, but *by lot*, and count the
# columns that differ "significantly".

# %%
from scipy.stats import mannwhitneyu

from ecgbook import measure

pages = data.pages().set_index("file")
history = pages.index[pages["label"] == "History_MI"]
table = measure.measurements().set_index("file").loc[history].dropna(axis=1)
table = table.loc[:, table.nunique() > 1]
n_missed = int((cases.verdicts(history)["missed"] > 0).sum())
rng = np.random.default_rng(0)
lucky = []
for _ in range(40):
    lot = rng.permutation(len(history)) < n_missed
    p = mannwhitneyu(table[lot], table[~lot], axis=0).pvalue
    lucky.append(int((p < 0.05).sum()))
figures.glue("history-columns", table.shape[1])
figures.glue("history-lucky", float(np.mean(lucky)), ".0f")
figures.glue("history-luckiest", max(lucky))

# %% [markdown]
# Of {glue:text}`history-columns` columns {glue:text}`history-lucky` differ on average, and
# {glue:text}`history-luckiest` at best, though there is nothing to find. Enough for a fine story
# each time. So the numbers below were chosen before any comparison was looked at: one for each word of the paper's
# explanations, and for History_MI and MI the heart rate, our own addition; no more.

# %% [markdown]
# ## Who is called what
# The paper's errors go to Abnormal and Normal, none to MI. Ours, as counts out of 86 and 30, mean
# of the repeats of each run:

# %% tags=["hide-input"] mystnb={"image": {"alt": "Stacked bars: most History_MI that the headline does not find are called Abnormal, hardly any MI; of the 30 MI none of the three models finds all.", "classes": "chart dark-light"}, "figure": {"caption": "How the 86 History_MI and the 30 MI are called by the page network, the hybrid and the headline model, out of fold; mean count over repeats.", "name": "fig-history-called"}}
import matplotlib.pyplot as plt

fig, axes = plt.subplots(2, 1, figsize=(7.4, 4.4))
drawn = []
for ax, label in zip(axes, ("History_MI", "MI"), strict=True):
    for row, (name, frame) in enumerate(runs.items()):
        counts, left = evaluate.confusion(frame).loc[label], 0.0
        for called in data.CLASSES:
            n = counts[called]
            ax.barh(
                row,
                n,
                left=left,
                color=figures.COLOURS[called],
                hatch=figures.HATCHES[called],
                height=0.62,
            )
            if n >= 0.035 * counts.sum():
                box = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}
                ax.text(
                    left + n / 2,
                    row,
                    f"{n:.3g}",
                    ha="center",
                    va="center",
                    bbox=box,
                    fontsize=9,
                )
            left += n
            drawn.append((label, name, called, n))
    ax.set_yticks(range(3), list(runs))
    ax.invert_yaxis()
    ax.set_xlabel(f"{label} ECGs")
    ax.margins(x=0)
handles = [
    plt.Rectangle(
        (0, 0),
        1,
        1,
        facecolor=figures.COLOURS[c],
        hatch=figures.HATCHES[c],
        label=f"called {c}",
    )
    for c in data.CLASSES
]
fig.legend(handles=handles, loc="outside upper center", ncols=4)
called = pd.DataFrame(drawn, columns=["label", "model", "called", "ECGs"])
figures.show(fig, called, "history_called", decimals=1)

# %%
wide = called.pivot(index=["label", "model"], columns="called", values="ECGs")
away = wide.loc["History_MI"].drop(columns="History_MI")
assert away.loc["headline"].idxmax() == "Abnormal"
for name in RUNS:
    figures.glue(f"history-{name}-mistake", away.loc[name].idxmax())
    figures.glue(f"history-{name}-to-mi", away.loc[name, "MI"], ".1f")
    figures.glue(f"history-{name}-errors", away.loc[name].sum(), ".1f")

# %% [markdown]
# The direction of the errors is as the paper says. The headline's commonest mistake is to call an
# old infarction Abnormal; the network's is {glue:text}`history-network-mistake`, the hybrid's
# {glue:text}`history-hybrid-mistake`. Called MI are {glue:text}`history-headline-to-mi` of
# {glue:text}`history-headline-errors` by the headline, {glue:text}`history-network-to-mi` of
# {glue:text}`history-network-errors` by the network and {glue:text}`history-hybrid-to-mi` of
# {glue:text}`history-hybrid-errors` by the hybrid.

# %% [markdown]
# ## Hard cases
# The headline answered five times for each ECG, each time after learning from other folds. Below,
# each column is one History_MI ECG, the ones that the headline finds hardest on the left.

# %%
said = {
    name: cases.verdicts(history, run).set_index("file") for name, run in RUNS.items()
}
head = said["headline"]
order = head.sort_values("p_History_MI").index
easy = head.index[head["missed"] == 0]
for name in ("network", "hybrid"):
    assert (said[name].loc[easy, "missed"] > 0).any()
figures.glue("history-never", int((head["missed"] == 0).sum()))
figures.glue("history-once", int((head["missed"] > 0).sum()))
figures.glue("history-always", int((head["missed"] == 1).sum()))
figures.glue(
    "history-between", int(head["missed"].between(0, 1, inclusive="neither").sum())
)
assert (head["missed"] == 1).sum() > (head["missed"] > 0).sum() / 2

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dots above: the headline's probability of History_MI climbs steeply from near zero to near one. Marks below: the headline's misses crowd at the left, where its probability is low; the other two models also miss cases further to the right.", "classes": "chart dark-light"}, "figure": {"caption": "Above: mean probability that the headline gives to History_MI, for each of the 86. Below: which model misses which case and what it calls it instead (large: in every repeat; small: in some); a dot means found.", "name": "fig-history-cases"}}
fig, (top, below) = plt.subplots(
    2, 1, figsize=(7.6, 3.8), height_ratios=(1.3, 1), sharex=True
)
top.plot(range(86), head.loc[order, "p_History_MI"], ".", color=figures.INK)
top.set_ylabel("p(History_MI)")
top.set_ylim(0, 1.02)
top.grid(axis="y")
drawn = [
    head.loc[order, "p_History_MI"]
    .rename("p(History_MI), headline")
    .reset_index(drop=True)
]
for row, (name, of) in enumerate(said.items()):
    for x, file in enumerate(order):
        share, calls = of.loc[file, "missed"], of.loc[file, "calls"].split(", ")
        wrong = [call.split()[0] for call in calls if not call.startswith("History_MI")]
        if not wrong:
            below.plot(x, row, ".", color="#b9bec6", markersize=2.5)
            continue
        style = {
            "color": figures.COLOURS[wrong[0]],
            "markersize": 6.5 if share == 1 else 4,
        }
        below.plot(x, row, figures.MARKERS[wrong[0]], **style)
    drawn.append(
        of.loc[order, "missed"].rename(f"missed, {name}").reset_index(drop=True)
    )
for label in ("Abnormal", "Normal", "MI"):
    style = {"color": figures.COLOURS[label], "linestyle": "none"}
    below.plot([], [], figures.MARKERS[label], label=f"called {label}", **style)
below.set_yticks(range(3), list(said))
below.set_ylim(2.6, -0.6)
below.set_xlabel("History_MI ECGs, the headline's hardest first")
fig.legend(loc="outside upper right", ncols=3)
figures.show(fig, pd.concat(drawn, axis=1), "history_cases", decimals=2)

# %% [markdown]
# {glue:text}`history-never` of the 86 are found in all five repeats, {glue:text}`history-always` in
# none, and {glue:text}`history-between` lie between: more than half of those that it ever misses it
# misses every time. A mistake that comes back every time is no accident of the folds. These are the
# {glue:text}`history-once` that it misses at least once; each name leads to the ECG itself, with
# its measurements and what each model says of it.

# %% mystnb={"markdown_format": "myst"}
from IPython.display import Markdown


def linked(frame):
    """A Markdown table whose column "file" links to the gallery."""
    rows = frame.assign(file=[cases.link(file) for file in frame["file"]]).astype(str)
    lines = [rows.columns, ["---"] * rows.shape[1], *rows.to_numpy()]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))


hardest = [
    file
    for file in cases.gallery_files()
    if file in history and head.loc[file, "missed"] > 0
]
listed = pd.DataFrame({"file": hardest})
listed["the headline called it"] = head.loc[hardest, "calls"].to_numpy()
listed["signs and limits"] = [cases.reasons(file) for file in hardest]
assert len(hardest) == (head["missed"] > 0).sum()
linked(listed)

# %% [markdown]
# ## Do all models fail on the same cases?
# If the families stumbled over the same ECGs, that would point to the ECGs: a sign that is not
# there, or a folder that is wrong. If over different ones, it points to the models.
# {term}`Kappa <kappa>` measures agreement beyond what the frequencies of the classes alone would
# give {cite}`cohen1960,fleiss1971`. All models are asked in repeat 0, in which they learned from
# the same pages, and as a yardstick the headline is compared with itself in repeat 1.

# %%
answers = cases.calls(RUNS)
answers["headline again"] = cases.calls({"a": cases.HEADLINE}, repeat=1)["a"]
kappas = []
for among, rows in {
    "all 491": answers,
    "86 History_MI": answers[answers["label"] == "History_MI"],
    "30 MI": answers[answers["label"] == "MI"],
}.items():
    kappas.append(cases.agreement(rows[list(RUNS)]).assign(among=among))
    self_agreement = cases.agreement(rows[["headline", "headline again"]])
    kappas.append(self_agreement.assign(among=among))
kappas = pd.concat(kappas)[["among", "raters", "agreed", "kappa", "low", "high"]]
figures.table(kappas, "history_kappa", decimals=2)

# %%
where = kappas.set_index(["among", "raters"])
for short, among in (("all", "all 491"), ("history", "86 History_MI"), ("mi", "30 MI")):
    for who, raters in (
        ("all", "all (Fleiss)"),
        ("pair", "network, headline"),
        ("self", "headline, headline again"),
    ):
        figures.glue(
            f"history-kappa-{short}-{who}", where.loc[(among, raters), "kappa"], ".2f"
        )
wrong = answers[list(RUNS)].ne(answers["label"], axis=0)
common = {}
for label in ("History_MI", "MI"):
    of = wrong[answers["label"] == label]
    chance = len(of) * of.mean().prod()
    common[label] = list(of.index[of.all(axis=1)])
    figures.glue(f"history-common-{label}", len(common[label]))
    figures.glue(f"history-chance-{label}", chance, ".1f")
    for name in ("network", "hybrid"):
        both = int((of["headline"] & of[name]).sum())
        figures.glue(f"history-both-{name}-{label}", both)
        expected = of["headline"].sum() * of[name].mean()
        figures.glue(f"history-expected-{name}-{label}", expected, ".1f")
    figures.glue(f"history-head-{label}", int(of["headline"].sum()))

# %% [markdown]
# Over all ECGs the three agree well, with a Fleiss' kappa of {glue:text}`history-kappa-all-all`,
# mostly because they are mostly right. Among the 86 History_MI it is
# {glue:text}`history-kappa-history-all`, while the headline agrees with itself at
# {glue:text}`history-kappa-history-self`. (Part of the fall is arithmetic: where nearly every call is the same,
# chance agreement is high and kappa is harsh. So we count.) Of the {glue:text}`history-head-History_MI` History_MI
# that the headline misses in this repeat the network misses {glue:text}`history-both-network-History_MI` too, where
# chance would give {glue:text}`history-expected-network-History_MI`; the hybrid
# {glue:text}`history-both-hybrid-History_MI`, where chance would give
# {glue:text}`history-expected-hybrid-History_MI`. Chance alone would make all three miss
# {glue:text}`history-chance-History_MI` of the 86 together and {glue:text}`history-chance-MI` of the 30 MI; they miss
# {glue:text}`history-common-History_MI` and {glue:text}`history-common-MI`. These few are the candidates for ECGs
# that are hard in themselves. (A hybrid that takes its features from the network beside it is no independent witness:
# between these two, agreement is to be expected.)

# %% mystnb={"markdown_format": "myst"}
assert set(common["History_MI"]) | set(common["MI"]) <= set(cases.gallery_files())
lines = [
    f"- {label}: " + ", ".join(map(cases.link, files))
    for label, files in common.items()
]
Markdown("\n".join(lines))

# %% [markdown]
# ## The paper's explanation, tested
# Are the signs gone at all? How many ECGs of a class meet the criterion of a
# {term}`pathological Q wave`, or of ST elevation, in any {term}`territory`:

# %%
signs = measure.measurements().set_index("file")
WALLS = list(measure.TERRITORIES)
met = pd.DataFrame(
    {
        name: signs[[f"{sign}_{wall}" for wall in WALLS]].eq(1).any(axis=1)
        for sign, name in (("q", "pathological Q"), ("st_up", "ST elevation"))
    }
)
among = met.groupby(pages.loc[met.index, "label"]).sum().loc[list(data.CLASSES)]
among.insert(0, "ECGs", pages["label"].value_counts())
figures.glue("history-with-q", among.loc["History_MI", "pathological Q"])
figures.glue("history-with-st", among.loc["History_MI", "ST elevation"])
figures.glue("history-normal-q", among.loc["Normal", "pathological Q"])
assert (
    among.loc["History_MI", "pathological Q"]
    > 86 / 2
    > 2 * among.loc["History_MI", "ST elevation"]
)
figures.table(among.rename_axis("class").reset_index(), "history_signs")

# %% [markdown]
# For the class as a whole the paper is half right. ST elevation is rare, in
# {glue:text}`history-with-st` of the 86; but the Q wave has not faded: {glue:text}`history-with-q`
# of the 86 still meet its criterion, and {glue:text}`history-normal-q` of the 142 Normal do.
#
# So the explanation must be about the *missed* ones. If it explains the misses, the missed
# History_MI should have *fewer* leads with a pathological Q wave, *less* ST elevation, *less* ST
# depression and *fewer* inverted or flat T waves than those found; and if they are taken for the
# Abnormal, whose rate is high, a *faster* {term}`heart rate <heart rate>`. Each comparison is a
# {term}`Cliff's delta` {cite}`cliff1993`: above 0 the missed have more. Intervals draw whole
# groups; p-values come from dealing "missed" anew among groups {cite}`phipson2010,winkler2015` and
# are corrected for all fifteen comparisons {cite}`holm1979`. Missed means: in at least one repeat. A statement
# *holds* if its corrected p-value lies below one in twenty and the effect points the claimed way. It has *no sizeable
# effect* if the interval leaves no room on the claimed side for a delta of one third; of the other side that says
# nothing. Else we *cannot tell*.

# %%
tested = cases.examine("History_MI", RUNS)
columns = [
    "model",
    "measure",
    "claim",
    "missed",
    "found",
    "delta",
    "low",
    "high",
    "p_holm",
    "verdict",
]
figures.table(tested[columns], "history_tested", decimals=2)


# %% tags=["hide-input"] mystnb={"image": {"alt": "Effects with intervals for five numbers and three models: the headline's misses have clearly fewer Q leads and faster hearts; its intervals for ST elevation and ST depression lie across zero.", "classes": "chart dark-light"}, "figure": {"caption": "Missed against found History_MI: Cliff's delta for three models, with its 95 % interval (groups drawn). The shaded side is the one that the statement claims.", "name": "fig-history-tested"}}
def forest(rows):
    """Deltas with intervals, one line a number, one mark a model, the claimed side shaded."""
    fig, ax = plt.subplots(figsize=(7.6, 4.0))
    names = list(dict.fromkeys(rows["measure"]))
    style = {
        "network": ("s", figures.COLOURS["Abnormal"]),
        "hybrid": ("^", figures.MUTED),
        "headline": ("o", figures.INK),
    }
    for at in rows.itertuples():
        marker, colour = style[at.model]
        y = names.index(at.measure) + 0.24 * (list(style).index(at.model) - 1)
        ax.hlines(y, at.low, at.high, color=colour, linewidth=1.8)
        ax.plot(at.delta, y, marker, color=colour, markersize=6)
        if at.model == "network":
            start = 0 if at.claim == "more" else -1
            ax.barh(
                names.index(at.measure),
                1,
                left=start,
                height=0.86,
                color="#eef0f3",
                zorder=0,
            )
    for model, (marker, colour) in style.items():
        ax.plot([], [], marker, color=colour, label=model)
    ax.axvline(0, color=figures.MUTED, linewidth=1)
    ax.set_yticks(
        range(len(names)),
        [
            name.replace(" (", "\n(").replace(" that two", "\nthat two")
            for name in names
        ],
    )
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(-1.02, 1.02)
    ax.set_xlabel("Cliff's delta: the missed have less (left) or more (right)")
    fig.legend(loc="outside upper right", ncols=3)
    return fig


figures.show(
    forest(tested),
    tested[["model", "measure", "delta", "low", "high"]],
    "history_forest",
    decimals=2,
)

# %%
verdicts = tested.pivot(index="measure", columns="model", values="verdict")
verdicts = verdicts.loc[list(dict.fromkeys(tested["measure"])), list(RUNS)]
figures.table(verdicts.reset_index(), "history_verdicts")

# %%
M = cases.MEASURES
of_head = tested[tested["model"] == "headline"].set_index("measure")
assert (
    of_head.loc[M["q_leads"], "verdict"]
    == of_head.loc[M["heart_rate"], "verdict"]
    == "holds"
)
st_t = verdicts.loc[
    [M[number] for number in ("st_elevation_mv", "st_depression_mv", "t_leads")]
]
assert "holds" not in set(st_t["headline"])
figures.glue("history-st-holds", int((st_t == "holds").sum().sum()))
figures.glue("history-st-tests", st_t.size)
for number in ("q_leads", "heart_rate", "t_leads"):
    for end in ("missed", "found"):
        figures.glue(f"history-{number}-{end}", of_head.loc[M[number], end], ".0f")
    for end in ("delta", "low", "high"):
        figures.glue(f"history-{number}-{end}", of_head.loc[M[number], end], ".2f")
for name in RUNS:
    figures.glue(f"history-q-{name}", verdicts.loc[M["q_leads"], name])
    figures.glue(f"history-rate-{name}", verdicts.loc[M["heart_rate"], name])
for short, number in (("q", "q_leads"), ("rate", "heart_rate")):
    count = int((verdicts.loc[M[number]] == "holds").sum())
    figures.glue(f"history-{short}-count", count)

# %% [markdown]
# **Q waves.** For the headline the statement holds: a median of {glue:text}`history-q_leads-missed`
# leads with a pathological Q among the missed, {glue:text}`history-q_leads-found` among the found,
# a delta of {glue:text}`history-q_leads-delta` ({glue:text}`history-q_leads-low` to
# {glue:text}`history-q_leads-high`). For the network the verdict is
# *{glue:text}`history-q-network`*, for the hybrid *{glue:text}`history-q-hybrid`*.
#
# **Heart rate.** For the headline it holds too: {glue:text}`history-heart_rate-missed` against
# {glue:text}`history-heart_rate-found` beats a minute, delta {glue:text}`history-heart_rate-delta`
# ({glue:text}`history-heart_rate-low` to {glue:text}`history-heart_rate-high`). Network:
# *{glue:text}`history-rate-network`*; hybrid: *{glue:text}`history-rate-hybrid`*. The paper does
# not mention the rate.
#
# **ST and T.** {glue:text}`history-st-holds` of {glue:text}`history-st-tests` statements hold, none
# of them for the headline. ST elevation and depression are small in found and missed alike, and
# after a filter that starts at 0.67 Hz the ST level is the least certain of all measurements.
# Inverted and flat T waves are what most History_MI have in common; the missed may have fewer, but
# the headline's interval ({glue:text}`history-t_leads-low` to {glue:text}`history-t_leads-high`)
# holds zero.
#
# Here are the two numbers for which the headline's statements hold. The found Abnormal stand beside
# them.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dots in three rows: missed History_MI have mostly two or fewer leads with a pathological Q, the found have more; the missed hearts beat faster than the found, many in the range of the Abnormal.", "classes": "chart dark-light"}, "figure": {"caption": "Leads with a pathological Q, and heart rate, of the History_MI that the headline finds and misses, and of the Abnormal that it finds. Bars are medians.", "name": "fig-history-strips"}}
abnormal = pages.index[pages["label"] == "Abnormal"]
right = cases.verdicts(abnormal).set_index("file")["missed"] == 0
missed = head["missed"] > 0
ROWS = {
    "History_MI found": ("History_MI", missed.index[~missed]),
    "History_MI missed": ("History_MI", missed.index[missed]),
    "Abnormal found": ("Abnormal", right.index[right]),
}
numbers, fig = cases.measures(), plt.figure(figsize=(7.6, 3.2))
drawn = []
for column, number in enumerate(("q_leads", "heart_rate"), 1):
    ax = fig.add_subplot(1, 2, column)
    for row, (name, (label, files)) in enumerate(ROWS.items()):
        values = np.sort(numbers.loc[files, number])
        spread = 0.27 * np.sin(2.4 * np.arange(len(values)))
        style = {
            "color": figures.COLOURS[label],
            "alpha": 0.6,
            "markersize": 4,
            "markeredgewidth": 0,
        }
        ax.plot(values, row + spread, figures.MARKERS[label], **style)
        ax.vlines(
            np.median(values), row - 0.38, row + 0.38, color=figures.INK, linewidth=2.2
        )
        drawn += [(name, number, value) for value in values]
    ax.set_yticks(range(3), list(ROWS) if column == 1 else [""] * 3)
    ax.set_ylim(2.6, -0.6)
    ax.set_xlabel(cases.MEASURES[number])
figures.show(
    fig,
    pd.DataFrame(drawn, columns=["ECGs", "number", "value"]),
    "history_strips",
    decimals=1,
)

# %% [markdown]
# Two cautions. The headline *was given* these numbers: that it misses ECGs without Q waves and with
# fast hearts describes how it decides, and need not be why they are hard. The network was given a
# picture only, so where a statement holds for the network too, it says more about the ECGs. And no
# comparison of ECGs that happen to be at hand can say that a fast heart *causes* a miss.

# %% [markdown]
# ## What 86 cannot tell
# Noether's formula {cite}`noether1987` says how large a delta must be for a rank test to find it in
# four of five such studies, first if it were the only test, then if it must pass the
# {term}`correction <Holm correction>` for fifteen.

# %%
power = []
for label in ("History_MI", "MI"):
    files = pages.index[pages["label"] == label]
    for name, run in RUNS.items():
        k = int((cases.verdicts(files, run)["missed"] > 0).sum())
        alone, corrected = (
            cases.smallest_effect(k, len(files) - k, tests) for tests in (1, 15)
        )
        power.append((label, name, k, len(files) - k, alone, corrected))
columns = [
    "class",
    "model",
    "missed",
    "found",
    "smallest delta, one test",
    "smallest delta, fifteen",
]
power = pd.DataFrame(power, columns=columns)
figures.table(power, "history_power", decimals=2)

# %%
small = power.set_index(["class", "model"])["smallest delta, fifteen"]
figures.glue("history-power", small["History_MI", "headline"], ".2f")
figures.glue("history-power-mi", small["MI", "headline"], ".2f")

# %% [markdown]
# With the headline's misses a delta below about {glue:text}`history-power` will usually go unseen
# among the History_MI, and below {glue:text}`history-power-mi` among the MI. A delta of one half
# means that in three of four pairs the missed ECG has the smaller value: a large effect by any
# standard. Only such effects can be found here, and "cannot tell" is the honest verdict on the
# rest. Does a stricter definition of "missed" change the picture? Now in more than half of the
# repeats:

# %%
strict = cases.examine("History_MI", {"headline": cases.HEADLINE}, least=0.5)
figures.table(
    strict[["measure", "n_missed", "delta", "low", "high", "p_holm", "verdict"]],
    "history_strict",
    decimals=2,
)

# %%
assert "holds" not in set(strict["verdict"])
same = strict.set_index("measure")["delta"]
assert np.sign(same[M["q_leads"]]) == -1 and np.sign(same[M["heart_rate"]]) == 1
figures.glue(
    "history-strict-q", strict.set_index("measure").loc[M["q_leads"], "verdict"]
)
figures.glue(
    "history-strict-rate", strict.set_index("measure").loc[M["heart_rate"], "verdict"]
)

# %% [markdown]
# Both effects keep their direction, with fewer missed ECGs. The verdicts are now *{glue:text}`history-strict-q`* for
# Q waves and *{glue:text}`history-strict-rate`* for the heart rate: what we found is not so strong that it survives
# every definition.

# %% [markdown]
# ## All thirty MI, the same way
# For the paper there is nothing to explain here: on a random split like its own, practically every MI file of the
# test set has a twin among the training files. Without copies the headline finds
# {glue:text}`history-headline-recall-mi` of them, the network {glue:text}`history-network-recall-mi`.

# %%
mi = pages.index[pages["label"] == "MI"]
heavy = cases.verdicts(mi).set_index("file")
tested_mi = cases.examine("MI", RUNS)
columns = [
    "model",
    "measure",
    "n_missed",
    "missed",
    "found",
    "delta",
    "low",
    "high",
    "p_holm",
    "verdict",
]
figures.table(tested_mi[columns], "history_tested_mi", decimals=2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Effects for the thirty MI: the intervals are wide; for the headline all of them cross zero but that of the heart rate, which lies just above it.", "classes": "chart dark-light"}, "figure": {"caption": "Missed against found MI: Cliff's delta with its 95 % interval (groups drawn); none where fewer than five ECGs stand on one side.", "name": "fig-history-tested-mi"}}
crossing = tested_mi[tested_mi["model"] == "headline"].set_index("measure")
crossing = (crossing["low"] < 0) & (crossing["high"] > 0)
assert (crossing == (crossing.index != M["heart_rate"])).all()
figures.show(
    forest(tested_mi),
    tested_mi[["model", "measure", "delta", "low", "high"]],
    "history_forest_mi",
    decimals=2,
)

# %% mystnb={"markdown_format": "myst"}
figures.glue("history-mi-holds", int((tested_mi["verdict"] == "holds").sum()))
figures.glue("history-mi-tests", len(tested_mi))
figures.glue("history-mi-once", int((heavy["missed"] > 0).sum()))
elevated = met.loc[mi, "ST elevation"] & (heavy["missed"] > 0)
figures.glue("history-mi-elevated", int(elevated.sum()))
figures.glue("history-mi-flat", int((heavy["missed"] > 0).sum() - elevated.sum()))
listed = pd.DataFrame(
    {
        "file": [
            f for f in cases.gallery_files() if f in mi and heavy.loc[f, "missed"] > 0
        ]
    }
)
listed["the headline called it"] = heavy.loc[listed["file"], "calls"].to_numpy()
listed["signs and limits"] = [cases.reasons(file) for file in listed["file"]]
linked(listed)

# %% [markdown]
# {glue:text}`history-mi-holds` of {glue:text}`history-mi-tests` statements hold. That is no
# evidence of no difference: with {glue:text}`history-mi-once` missed by the headline, an effect
# must be close to complete separation to show. The list says more than the tests.
# {glue:text}`history-mi-flat` of them show no ST elevation that meets the criterion, which fits an
# infarction without ST elevation as well as a folder that rests on blood tests;
# {glue:text}`history-mi-elevated` do show it, and a model that learned from two dozen MI did not
# always call them so.

# %% [markdown]
# ## Are the Abnormal errors about premature beats and conduction?
# The explanation is odd to begin with: the data set has no class of conduction block. Premature
# beats and blocks would both stand in the folder Abnormal, and taking one for the other would be no
# error. It can only mean that premature beats or slow conduction make an Abnormal ECG hard. Then
# the Abnormal that are missed should have more premature beats, a more irregular rhythm, a wider
# {term}`QRS complex` or a longer {term}`PR interval` than those found.

# %%
tested_ab = cases.examine("Abnormal", RUNS)
columns = [
    "model",
    "measure",
    "n_missed",
    "missed",
    "found",
    "delta",
    "low",
    "high",
    "p_holm",
    "verdict",
]
figures.table(tested_ab[columns], "history_tested_abnormal", decimals=2)

# %%
beats = numbers.loc[abnormal, "premature"] > 0
lost = cases.verdicts(abnormal).set_index("file")["missed"] > 0
figures.glue("history-ab-holds", int((tested_ab["verdict"] == "holds").sum()))
figures.glue(
    "history-ab-none", int((tested_ab["verdict"] == "no sizeable effect").sum())
)
figures.glue("history-ab-tests", len(tested_ab))
figures.glue("history-ab-lost", int(lost.sum()))
figures.glue("history-ab-lost-premature", int((beats & lost).sum()))
figures.glue("history-ab-premature", int(beats.sum()))
figures.glue("history-ab", len(beats))

# %% [markdown]
# {glue:text}`history-ab-holds` of {glue:text}`history-ab-tests` statements hold, and for {glue:text}`history-ab-none`
# of them the interval leaves no room for a sizeable effect of the kind claimed. Of the {glue:text}`history-ab-lost`
# Abnormal that the headline misses at least once, {glue:text}`history-ab-lost-premature` show a premature beat; of
# all {glue:text}`history-ab` Abnormal {glue:text}`history-ab-premature` do. Where the headline's errors go may tell
# why. By class called, with medians:

# %%
gone = cases.verdicts(abnormal).set_index("file")
group = gone["called"].where(gone["missed"] > 0, "found every time")
group = group.replace({"MI": "an infarction", "History_MI": "an infarction"})
shown = ["q_leads", "heart_rate", "qrs_ms", "premature"]
kinds = (
    numbers.loc[abnormal, shown].groupby(group).median().rename(columns=cases.MEASURES)
)
kinds.insert(0, "ECGs", group.value_counts())
assert (
    kinds.loc["an infarction", M["q_leads"]]
    > kinds.loc["found every time", M["q_leads"]] + 1
)
assert (
    kinds.loc["an infarction", M["qrs_ms"]]
    > kinds.loc["found every time", M["qrs_ms"]] + 10
)
assert (
    kinds.loc["Normal", M["heart_rate"]]
    < kinds.loc["found every time", M["heart_rate"]] - 10
)
figures.table(
    kinds.rename_axis("mean verdict").reset_index(),
    "history_abnormal_kinds",
    decimals=1,
)

# %% [markdown]
# The errors are of two other kinds. Abnormal ECGs that are called an infarction carry pathological
# Q waves in several leads and a wider QRS: a slow conduction, but mistaken for a scar and not for a
# premature beat. Those that are called Normal beat more slowly than the folder's others. All this
# was seen after the test, not declared before it, so take it as a conjecture; exercise 4 puts a
# number on one half of it.

# %% [markdown]
# ## Have the Normal errors mild ST depression?

# %%
normal = pages.index[pages["label"] == "Normal"]
tested_n = cases.examine("Normal", RUNS)
depressed = numbers.loc[normal, "st_depression_mv"] >= 0.05
for name, run in RUNS.items():
    lost = cases.verdicts(normal, run).set_index("file")["missed"] > 0
    tested_n.loc[tested_n["model"] == name, "meet the criterion"] = int(
        (lost & depressed).sum()
    )
tested_n["meet the criterion"] = tested_n["meet the criterion"].astype(int)
columns = [
    "model",
    "n_missed",
    "meet the criterion",
    "missed",
    "found",
    "delta",
    "low",
    "high",
    "p_holm",
    "verdict",
]
figures.glue("history-normal-depressed", int(depressed.sum()))
of_normal = tested_n.set_index("model")
assert of_normal.loc["headline", "missed"] < 0
figures.glue("history-normal-missed", int(of_normal.loc["headline", "n_missed"]))
figures.glue("history-normal-delta", of_normal.loc["headline", "delta"], ".2f")
for name in RUNS:
    figures.glue(f"history-normal-{name}", of_normal.loc[name, "verdict"])
figures.glue("history-normal-level", of_normal.loc["headline", "missed"], ".3f")
figures.table(tested_n[columns], "history_tested_normal")

# %% [markdown]
# Verdicts: network *{glue:text}`history-normal-network`*, hybrid
# *{glue:text}`history-normal-hybrid`*, headline *{glue:text}`history-normal-headline`*. The
# headline's errors lean the way the paper says (delta {glue:text}`history-normal-delta`), but they
# are {glue:text}`history-normal-missed` ECGs, and the depression that two contiguous leads reach
# has a median of {glue:text}`history-normal-level` mV among them: a negative number means none at
# all. The criterion of 0.05 mV is met by {glue:text}`history-normal-depressed` of the 142 Normal,
# missed or not.

# %% [markdown]
# ## Label doubt
# Perhaps some errors are none. Folder, model and criteria are three witnesses.
# {term}`Confident learning` {cite}`northcutt2021` ranks the 491 ECGs by the probability that the
# headline, out of fold, gives to the folder's class. A {term}`label doubt` here is an ECG against
# which both others speak: the headline calls another class, and so do the guideline's rules, which
# learned nothing.

# %%
ranked = cases.doubts()
doubted = ranked[ranked["doubt"]]
against = ranked["called"] != ranked["label"]
share = ranked.groupby(against)["contradicted"].mean()
assert share[True] > 1.5 * share[False]
figures.glue("history-doubts", len(doubted))
figures.glue("history-issues", int(ranked["issue"].sum()))
figures.glue("history-against", int(against.sum()))
figures.glue("history-contradicted", int(ranked["contradicted"].sum()))
figures.glue("history-contradicted-wrong", share[True], ".0%")
figures.glue("history-contradicted-right", share[False], ".0%")

# %% [markdown]
# The rules contradict {glue:text}`history-contradicted` of the 491 folders, for they are blunt:
# that alone means little. But among the {glue:text}`history-against` ECGs whose folder the headline
# contradicts, they do so in {glue:text}`history-contradicted-wrong`, against
# {glue:text}`history-contradicted-right` elsewhere. That makes {glue:text}`history-doubts` label
# doubts. Confident learning in its strict form, which asks how many labels a noise model can
# account for, marks only {glue:text}`history-issues` of the 491.

# %% mystnb={"markdown_format": "myst"}
listed = doubted[["file", "label", "called", "criteria_call", "self_confidence", "why"]]
listed = listed.assign(self_confidence=listed["self_confidence"].map("{:.2f}".format))
names = {
    "label": "folder",
    "called": "headline",
    "criteria_call": "rules",
    "self_confidence": "p(folder)",
    "why": "signs and limits",
}
assert set(doubted["file"]) <= set(cases.gallery_files())
linked(listed.rename(columns=names))

# %% [markdown]
# Look at them one by one in [](gallery.ipynb) before believing any. No cardiologist reviewed these
# ECGs for this book, and nothing was relabelled. A folder may rest on a history, on blood tests or
# on an earlier ECG that the page does not show: an old infarction need not leave a Q wave, and an
# infarction may come without ST elevation. A contradiction is a reason to look.

# %% [markdown]
# ## What holds and what does not

# %%
claims = pd.concat(
    [
        t.assign(**{"class": label})
        for label, t in (
            ("History_MI", tested),
            ("MI", tested_mi),
            ("Abnormal", tested_ab),
            ("Normal", tested_n),
        )
    ]
)
claims["statement"] = "the missed have " + claims["claim"] + ": " + claims["measure"]
summary = claims.pivot(index=["class", "statement"], columns="model", values="verdict")
summary = summary.reindex(
    pd.MultiIndex.from_frame(claims[["class", "statement"]].drop_duplicates())
)
figures.glue("history-all-tests", len(claims))
holding = claims[(claims["verdict"] == "holds") & (claims["model"] == "headline")]
assert set(holding["measure"]) == {M["q_leads"], M["heart_rate"]} and set(
    holding["class"]
) == {"History_MI"}
figures.glue("history-all-holds", int((claims["verdict"] == "holds").sum()))
figures.table(summary[list(RUNS)].reset_index(), "history_summary")

# %% [markdown]
# Of {glue:text}`history-all-tests` statements, for four classes and three models, each corrected
# within its class, {glue:text}`history-all-holds` hold. The paper is right about the direction of
# the History_MI errors, and its guess about Q waves is borne out, if barely: the missed have fewer
# in {glue:text}`history-q-count` of the three models. Its guesses about ST and T, about premature
# beats and conduction, and about ST depression are not borne out for the headline. What the copies
# hid from it is that MI is the harder class; what it did not look at is the heart rate, which is
# higher among the missed in {glue:text}`history-rate-count` of the three.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-history-1
# *Easy.* Which History_MI does the headline miss in all five repeats, and how many of these does
# the network find? Use `cases.verdicts`.
# ```
#
# ```{solution-start} ex-history-1
# :class: dropdown
# ```

# %% mystnb={"markdown_format": "myst"}
always = head.index[head["missed"] == 1]
found = cases.verdicts(always, network).query("missed == 0")["file"]
assert set(always) <= set(cases.gallery_files()) and len(found) <= len(always)
Markdown(
    f"{', '.join(map(cases.link, always))}; the network finds {len(found)} of these {len(always)}."
)

# %% [markdown]
# What the network finds can be seen on the page, or was a lucky guess: one repeat cannot tell these
# two apart.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-history-2
# *Medium.* Re-derive the finding about the heart rate: compute Cliff's delta of the missed against
# the found History_MI with two plain loops, and a p-value with `scipy.stats.mannwhitneyu`, and
# compare with the table. Why may the p-value differ?
# ```
#
# ```{solution-start} ex-history-2
# :class: dropdown
# ```

# %%
rate = numbers["heart_rate"]
more = less = 0
for a in rate[missed.index[missed]]:
    for b in rate[missed.index[~missed]]:
        more, less = more + (a > b), less + (a < b)
delta = (more - less) / (missed.sum() * (~missed).sum())
assert abs(delta - of_head.loc[M["heart_rate"], "delta"]) < 1e-9
p = mannwhitneyu(rate[missed.index[missed]], rate[missed.index[~missed]]).pvalue
[round(float(number), 3) for number in (delta, p, of_head.loc[M["heart_rate"], "p"])]

# %% [markdown]
# The delta is the same. The rank test takes every ECG for independent, ours moves whole groups;
# most groups hold one ECG, so the difference is small. Neither is corrected for the other
# comparisons.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-history-3
# *Medium.* If the share of missed History_MI stayed as it is for the headline, how many History_MI
# ECGs would one need to find a delta of a third in four of five studies, corrected for fifteen
# tests? Use `cases.smallest_effect`.
# ```
#
# ```{solution-start} ex-history-3
# :class: dropdown
# ```

# %%
share, n = missed.mean(), 86
while cases.smallest_effect(round(share * n), n - round(share * n), tests=15) > 1 / 3:
    n += 1
assert 2 * 86 < n < 6 * 86
n

# %% [markdown]
# Several times as many. The smallest visible effect shrinks with the square root of the number of
# ECGs: half the effect asks for four times the data.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-history-4
# *Hard.* The chapter conjectured that the Abnormal that are called Normal have slower hearts than
# the Abnormal that are found. Put an effect, an interval and a p-value on it with `cases.effect`.
# Why should you not report this p-value as if you had planned the test?
# ```
#
# ```{solution-start} ex-history-4
# :class: dropdown
# ```

# %%
slow = group == "Normal"
either = group.index[slow | (group == "found every time")]
seen = cases.effect(rate.loc[either], slow.loc[either])
assert seen["delta"] < 0 and seen["high"] < 0
{key: round(float(seen[key]), 3) for key in ("n_missed", "delta", "low", "high", "p")}

# %% [markdown]
# The effect is large, and its interval lies below zero. But the conjecture came from these very
# ECGs: among the many patterns that could have caught our eye this one did, and its p-value does
# not know of the others. It is worth a test on other data, declared beforehand, as in
# [](../beyond/preregistration.md).
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - Out of fold the headline misses {glue:text}`history-once` of the 86 History_MI at least once and
#   {glue:text}`history-always` every time; its commonest mistake is Abnormal.
# - Most History_MI still have pathological Q waves. Those that the headline misses have fewer, and
#   faster hearts; with a stricter definition of "missed" neither is shown. For ST and T nothing is
#   shown for this model.
# - Of the twelve statements about premature beats and conduction {glue:text}`history-ab-holds`
#   hold; mild ST depression is not shown to explain the headline's Normal errors.
# - Of the {glue:text}`history-head-History_MI` History_MI that the headline misses in one repeat
#   the network misses {glue:text}`history-both-network-History_MI` too; chance would give
#   {glue:text}`history-expected-network-History_MI`.
# - With so few missed cases only large effects can be seen. "Cannot tell" is a result.
# - {glue:text}`history-doubts` label doubts deserve a look; none was relabelled.
# ```
#
# ## Further reading
# Effect sizes by order {cite}`cliff1993`, many tests {cite}`holm1979`, permutations within groups
# {cite}`winkler2015,phipson2010`, sample sizes {cite}`noether1987`, agreement
# {cite}`cohen1960,fleiss1971`, confident learning {cite}`northcutt2021`. The criteria:
# {cite}`thygesen2018`. The paper: {cite}`li2026`. The data: {cite}`khan2021` (CC BY 4.0).
