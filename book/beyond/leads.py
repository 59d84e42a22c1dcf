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
# # Twelve leads from one
# Millions of people wear a watch that records one {term}`lead`. A cardiologist reads twelve. The review
# {cite}`duan2026` reports networks that compute the other eleven, and the pictures look right. But where should they
# come from? This chapter separates what follows from geometry, what is likely, and what is invented.
#
# ```{admonition} What you will learn
# :class: learn
# - why two {term}`limb leads <limb lead>` fix all six, and why no {term}`chest lead` follows from them;
# - how far linear regression, a U-Net and a {term}`masked autoencoder` come, lead by lead, with intervals;
# - why a rebuilt ECG looks healthier than the heart, and how to count the {term}`ST elevation` that is lost or invented;
# - what rebuilt leads are worth to a diagnosis, beside a model that sees the one lead and nothing else.
# ```
#
# **Running time:** about 20 seconds on a laptop, offline. The stored runs took longer; they say how long.

# %% [markdown]
# ## One arrow, many shadows
# At every instant the heart's currents add up, roughly, to one arrow, the {term}`heart vector`. A lead is its shadow
# on a line: how far the arrow reaches in that lead's direction. The six limb leads look along six lines of one plane,
# the plane of the chest seen from the front. An arrow in a plane has two coordinates, so two shadows fix it, and the
# other four follow. Here is one beat of a real ECG {cite}`khan2021` in that plane, as it was rebuilt from leads I and
# II.

# %%
import numpy as np
import pandas as pd

from ecgbook import data, evaluate, figures, leads, measure, splits, synth
from ecgbook.synth import LEADS

figures.use()
pages = data.pages()
files, beats = measure.median_beats()
assert files == pages["file"].tolist()
one, two = beats[files.index("Normal(14).jpg"), :2]
left, down = one, (2 * two - one) / np.sqrt(3)
beats = np.nan_to_num(beats[:, :, :224]).reshape(491, 12, 56, 4).mean(axis=3)  # 16 ms

# %% tags=["hide-input"] mystnb={"image": {"alt": "A closed loop that the heart vector draws in the frontal plane, long and slender, crossed by the lines of the six limb leads; its shadow on the line of lead II is longest.", "classes": "chart dark-light"}, "figure": {"caption": "Tip of the heart vector during one median beat, in the plane of the limb leads, as seen by someone facing the person; each dashed line is the direction of a lead, and a lead is the shadow on its line.", "name": "fig-leads-loop"}}
import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(5.0, 4.6))
angle = {"I": 0, "II": 60, "III": 120, "aVR": -150, "aVL": -30, "aVF": 90}
reach = 1.15 * np.nanmax(np.hypot(left, down))
for lead, degrees in angle.items():
    x, y = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    ax.plot([-reach * x, reach * x], [-reach * y, reach * y], "--", color="#c9ced6")
    ax.text(1.12 * reach * x, 1.12 * reach * y, lead, ha="center", va="center")
ax.plot(left, down, color=figures.COLOURS["Abnormal"], linewidth=1.8)
tip = np.nanargmax(np.hypot(left, down))
arrow = {"arrowstyle": "->", "lw": 1.6, "shrinkA": 0, "shrinkB": 0}
ax.annotate("", (left[tip], down[tip]), (0, 0), arrowprops=arrow)
shadow = two[tip] * np.array([np.cos(np.pi / 3), np.sin(np.pi / 3)])
ax.plot([left[tip], shadow[0]], [down[tip], shadow[1]], ":", color=figures.ACCENT)
ax.plot([0, shadow[0]], [0, shadow[1]], color=figures.ACCENT, linewidth=3)
ax.set_aspect("equal")
ax.set_xlim(-1.25 * reach, 1.25 * reach)
ax.set_ylim(1.25 * reach, -1.25 * reach)
ax.set_xlabel("to the person's left (mV)")
ax.set_ylabel("to the feet (mV)")
ax.text(shadow[0] - 0.6, shadow[1] + 0.1, "lead II", color=figures.ACCENT)
ax.text(left[tip] + 0.06, down[tip], "vector")
seconds = np.arange(len(left)) / 250 - 0.35
loop = pd.DataFrame({"time (s)": seconds, "left (mV)": left, "feet (mV)": down})
figures.show(fig, loop, "leads_loop")

# %% [markdown]
# The chest leads sit in front of this plane and look from there, each from a few centimetres away. What points
# towards them has no shadow in any limb lead. An arrow straight out of the chest leaves all six limb leads flat.

# %% [markdown]
# ## What is exact
# III = II - I, and the augmented leads follow as simply. On signals taken at the same instants that holds to the last
# digit:

# %%
ecg = synth.record("Abnormal", 1)
found = leads.limbs(ecg.leads[0].astype(float), ecg.leads[1].astype(float))
worst = np.abs(found - ecg.leads[:6]).max()
assert worst < 1e-6
laws = leads.note("ludb")["limb_leads"]
figures.glue("leads-units", laws["largest_units"], "g")
figures.glue("leads-header", laws["median_by_header_mv"], ".1f")

# %% [markdown]
# And on people: the 200 records of LUDB {cite}`kalyakulina2020` show twelve leads at once, and four limb leads
# computed from two miss the stored ones by at most {glue:text}`leads-units` of a unit, which is the rounding to whole
# units. There is a trap here. The headers of LUDB give every lead a gain of its own, so that each spans one
# millivolt. Whoever reads them so finds an error of {glue:text}`leads-header` mV in the median record, and trains
# networks on leads whose sizes have nothing to do with each other. The law found it. We take a unit for a microvolt,
# for LUDB's leads are then about as large as those of our pages; its errors in mV rest on that.
#
# A page of our data set cannot be tested in the same way as a whole, for its four columns show different beats. But
# the {term}`rhythm strip` runs under all of them, and each column holds three leads at once: from lead II of the
# strip and aVL of the second column, aVR follows.

# %%
signals = leads.of_pages()
rows = np.flatnonzero(signals.strip == LEADS.index("II"))
inside = slice(320, 615)  # the second column without its ends
two, avl, avr = (
    signals.seen[rows, LEADS.index(k), inside] for k in ("II", "aVL", "aVR")
)
one = avl + two / 2
off = np.sqrt(np.nanmean((-(one + two) / 2 - avr) ** 2, axis=1))
figures.glue("leads-avr", 1000 * np.median(off), ".0f")
figures.glue("leads-two", len(rows))
print(f"median error on {len(rows)} pages: {1000 * np.median(off):.0f} microvolts")

# %% [markdown]
# The error of {glue:text}`leads-avr` µV is that of printing and reading, less than the width of the pen. Limb leads
# from two limb leads: done, no learning needed. Everything else in this chapter is about the chest leads, and about
# having *one* lead and not two. All methods below rebuild the eight independent leads and let the laws make the rest.

# %% [markdown]
# ## The simple way first
# What does lead II know of the others? We take the {term}`median beats <median beat>` of the 491 ECGs, in which all
# leads are aligned, and learn one number a lead: how large it is against lead II. Folds keep groups together, as
# everywhere.

# %%
folds = splits.folds("grouped", pages)
independent = [LEADS.index(lead) for lead in leads.INDEPENDENT]
chest = slice(6, 12)


def out_of_fold(fit, row):
    """Rebuild every beat from one lead by a method that did not see its group."""
    rebuilt = np.empty_like(beats)
    for fold in folds:
        known = np.r_[fold.train, fold.val]
        predict = fit(beats[known, row], beats[known][:, independent])
        for i in fold.test:
            eight = predict(beats[i, row])
            rebuilt[i] = leads.keep(eight, LEADS[row], beats[i, row])
    return rebuilt


def one_number(x, y):
    """The best factor for each lead."""
    size = np.einsum("nt,nkt->k", x, y) / np.sum(x**2)
    return lambda beat: np.outer(size, beat)


def correlations(rebuilt):
    """Correlation of each rebuilt lead with the true one; (491, 12)."""
    return np.array([leads.alike(a, b)[0] for a, b in zip(rebuilt, beats, strict=True)])


plain = correlations(out_of_fold(one_number, 1))
figures.glue("leads-plain", plain[:, chest].mean(), ".2f")
pd.Series(plain.mean(axis=0), LEADS).round(2).to_dict()

# %% [markdown]
# A mean correlation of {glue:text}`leads-plain` over the chest leads. A factor can only stretch lead II or turn it
# upside down, and V2 is no stretched lead II. Let every sample of a rebuilt lead be a weighted sum of the *whole*
# beat of lead II, with a penalty on large weights: {term}`ridge regression`.

# %%
from sklearn.linear_model import Ridge


def ridge(x, y):
    """Every sample of every lead from all samples of the shown one."""
    model = Ridge(alpha=1.0).fit(x, y.reshape(len(y), -1))
    return lambda beat: model.predict(beat[None]).reshape(8, -1)


rebuilt = {lead: out_of_fold(ridge, row) for row, lead in enumerate(LEADS)}
linear = {lead: correlations(r) for lead, r in rebuilt.items()}
figures.glue("leads-ridge", linear["II"][:, chest].mean(), ".2f")
by_input = pd.DataFrame({k: r.mean(axis=0) for k, r in linear.items()}, LEADS).T
figures.table(
    by_input.rename_axis("shown lead").reset_index(), "leads_ridge", decimals=2
)

# %%
from_chest = by_input.loc[list(leads.CHEST), list(leads.CHEST)].to_numpy()
neighbours = np.mean([from_chest[k, k + 1] for k in range(5)])
assert by_input.loc["II", "V2"] < by_input.loc["V3", "V2"]
figures.glue("leads-neighbours", neighbours, ".2f")
figures.glue("leads-ii-v3", by_input.loc["II", "V3"], ".2f")
figures.glue("leads-iii-column", by_input["III"].drop("III").median(), ".2f")

# %% [markdown]
# From lead II the chest leads now reach {glue:text}`leads-ridge`. Read a row for what one lead knows, a column for
# how well a lead can be guessed. Neighbours on the chest know each other well ({glue:text}`leads-neighbours` on
# average), lead II knows V3 poorly ({glue:text}`leads-ii-v3`), and lead III, which depends on how a heart lies, is
# the hardest to guess (median over the other leads {glue:text}`leads-iii-column`).

# %% [markdown]
# ## A masked autoencoder, live
# Twelve regressions, one for each lead that may be given. The review's idea is to learn one network for all: show one
# lead of twelve, the rest zero, ask for all twelve, and change the lead at every turn {cite}`chen2024mcma`. A small
# one on median beats takes seconds. The first fold, trained on the rest:

# %%
import torch

torch.set_num_threads(1)
torch.manual_seed(0)
fold = folds[0]
known = torch.as_tensor(np.r_[fold.train, fold.val])
X = torch.tensor(beats, dtype=torch.float32)
to_twelve = torch.tensor(leads.LAWS, dtype=torch.float32)
spread = X[known].square().mean((0, 2)).sqrt()[:, None]
nn = torch.nn
network = nn.Sequential(
    nn.Flatten(),
    *(nn.Linear(12 * 56, 128), nn.ReLU(), nn.Dropout(0.2)),
    *(nn.Linear(128, 128), nn.ReLU(), nn.Dropout(0.2)),
    nn.Linear(128, 8 * 56),
)


def masked(x, row):
    """Show one lead of each ECG, zero elsewhere."""
    at = torch.arange(len(x))
    out = torch.zeros_like(x)
    out[at, row] = x[at, row]
    return out


optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.01)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, 800)
for _ in range(800):
    true = X[known[torch.randint(len(known), (64,))]]
    true = true * torch.exp(0.2 * torch.randn(64, 1, 1))
    eight = network(masked(true, torch.randint(12, (64,)))).view(-1, 8, 56)
    loss = ((to_twelve @ eight - true) / spread).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()

# %%
network.eval()
test = torch.as_tensor(fold.test)
rows = []
for row, lead in enumerate(LEADS):
    with torch.no_grad():
        given = masked(X[test], torch.full((len(test),), row))
        eight = network(given).view(-1, 8, 56).numpy().astype(float)
    r = [
        leads.alike(leads.keep(e, lead, beats[i, row]), beats[i])[0]
        for e, i in zip(eight, fold.test, strict=True)
    ]
    others = [k for k in range(6, 12) if k != row]
    rows.append(
        (
            lead,
            np.mean(r, axis=0)[others].mean(),
            linear[lead][fold.test][:, others].mean(),
        )
    )
columns = ["shown lead", "one network", "twelve regressions"]
live = pd.DataFrame(rows, columns=columns).set_index("shown lead")
apart = live["one network"] - live["twelve regressions"]
assert apart.abs().max() < 0.08 and apart.mean() < 0.02
{name: f"{r:.1f}" for name, r in live.mean().items()}

# %% [markdown]
# Mean correlation of the chest leads, over the twelve leads that may be shown: one network does the work of twelve
# regressions, about as well for each, and no better. (Networks trained here differ in the second decimal from
# computer to computer, so it is not shown.) On an aligned beat there is little left for a network to find: the beat
# is where it always is, and a sum of its samples is nearly all that a few hundred hearts can teach. In a running
# signal that is different, and there the networks will have their chance.

# %% [markdown]
# ## Running signals: five methods
# Now the real task: ten seconds of lead II, as a watch would send them, to twelve leads. The methods, from the floor
# up:
#
# - **mean beat**: find the beats, put the average beat of the training ECGs at each. It knows the rhythm and nothing
#   else;
# - **one number**: lead II times a factor, for each lead;
# - **linear**: a weighted sum of the samples of lead II around each instant, up to 0.4 s to each side;
# - **U-Net**: a small convolutional network that sees lead II at three scales {cite}`ronneberger2015`;
# - **masked autoencoder**: the same body, taught to start from any of the twelve leads.
#
# Linear is the baseline that the networks must beat. Its reach and penalty, and the moment at which a network's
# training stops, are chosen in validation parts; the rest was fixed before a test part was looked at
# ([](../../ecgbook/leads.py)). They are judged on LUDB by record, where twelve leads run together for ten seconds,
# and on the {glue:text}`leads-two` pages whose strip shows lead II, by group, each lead in its own 2.5 s. All signals
# are filtered to 0.67-25 Hz, as the pages are. What each costs, on one core:

# %%
cost = pd.DataFrame(leads.note("ludb")["cost"]).T
cost = cost[["parameters", "training_cpu_s", "ms_an_ecg", "kB"]]
cost["parameters"] = cost["parameters"].round().astype(int)
cost.columns = ["numbers learned", "training (CPU s)", "ms an ECG", "size (kB)"]
figures.table(cost.rename_axis("method").reset_index(), "leads_cost", decimals=1)

# %% [markdown]
# ## First question: does the curve look right?
# Mean over the six chest leads, with intervals that resample records or groups. *Apart* is the difference to the linear
# baseline on the same ECG, resampled itself: negative is better.

# %%
names = {"ludb": "LUDB", "pages": "EICP"}
scores = {}
for source in leads.SOURCES:
    r, rmse = (leads.against_linear(source, what) for what in ("r", "rmse"))
    scores[source] = r, rmse
board = pd.concat(
    pd.DataFrame(
        {
            "data": names[source],
            "method": r.index,
            "r": r["mean"],
            "r, low": r["low"],
            "r, high": r["high"],
            "RMSE (mV)": rmse["mean"],
            "apart (mV)": rmse["apart"],
            "apart, low": rmse["apart_low"],
            "apart, high": rmse["apart_high"],
        }
    )
    for source, (r, rmse) in scores.items()
)
figures.table(board, "leads_board")

# %%
for source, (r, rmse) in scores.items():
    for method, key in (
        ("mean beat", "mean"),
        ("linear", "linear"),
        ("U-Net", "unet"),
        ("masked autoencoder", "masked"),
    ):
        figures.glue(f"leads-{source}-{key}-r", r.loc[method, "mean"], ".2f")
        figures.glue(f"leads-{source}-{key}-rmse", rmse.loc[method, "mean"], ".3f")
        gain = 1 - rmse.loc[method, "mean"] / rmse.loc["linear", "mean"]
        figures.glue(f"leads-{source}-{key}-gain", gain, ".0%")

# %%
v1 = leads.against_linear("pages", "r", ["V1"])["mean"]
figures.glue("leads-v1-mean", v1["mean beat"], ".2f")
figures.glue("leads-v1-unet", v1["U-Net"], ".2f")
for r, rmse in scores.values():
    for method in ("U-Net", "masked autoencoder"):
        assert r.loc[method, "apart_low"] > 0 > rmse.loc[method, "apart_high"]

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels of correlation by lead: the networks run above the linear baseline from V1 to V4; on EICP they meet it in V5 and fall below it in V6. aVR and aVF are easy, aVL and III hard, and the mean beat is close behind.", "classes": "chart dark-light"}, "figure": {"caption": "Correlation of each lead rebuilt from lead II with the true one, by method; whiskers are 95 % intervals for linear and U-Net.", "name": "fig-leads-by-lead"}}
LOOK = {
    "mean beat": (figures.MUTED, ":", "v"),
    "linear": (figures.INK, "--", "s"),
    "U-Net": (figures.COLOURS["MI"], "-", "o"),
    "masked autoencoder": (figures.COLOURS["Abnormal"], "-", "^"),
}
fig, axes = plt.subplots(2, 1, figsize=(7.2, 6.4), sharex=True)
drawn = []
for ax, source in zip(axes, leads.SOURCES, strict=True):
    table = leads.by_lead(source)
    for method, (colour, line, marker) in LOOK.items():
        part = table[table["method"] == method]
        ax.plot(
            part["lead"], part["r"], line, color=colour, marker=marker, markersize=5
        )
        if method in ("linear", "U-Net"):
            ax.vlines(part["lead"], part["r_low"], part["r_high"], color=colour, lw=1)
    drawn.append(table.assign(data=names[source]))
    ax.set_ylabel("correlation")
    ax.set_title(names[source])
    ax.grid(axis="y")
    ax.set_ylim(0, 1)
for method, (colour, line, marker) in LOOK.items():
    axes[1].plot([], [], line, color=colour, marker=marker, label=method)
axes[1].legend(loc="lower right", ncols=2, fontsize=9)
figures.show(fig, pd.concat(drawn), "leads_by_lead")

# %% [markdown]
# Both networks beat the linear baseline on the chest leads taken together, on both data sets, and no interval of the
# difference reaches zero: the U-Net's RMSE is {glue:text}`leads-ludb-unet-gain` lower on LUDB and
# {glue:text}`leads-pages-unet-gain` on EICP. That was the bar. But look at the floor: the *mean beat*, which knows of
# the person nothing but when the heart beats, has a correlation of {glue:text}`leads-pages-mean-r` on EICP, the
# linear baseline {glue:text}`leads-pages-linear-r`, the U-Net {glue:text}`leads-pages-unet-r`. Most of what looks
# right in a rebuilt lead is what all hearts have in common: in V1 of EICP the mean beat has
# {glue:text}`leads-v1-mean`, the U-Net {glue:text}`leads-v1-unet`. A high correlation is cheap; whoever reports one
# should say what the mean beat gets.
#
# Taken one by one, not every lead gains. The difference of the U-Net to linear, lead by lead:

# %%
rows = []
for source in leads.SOURCES:
    for lead in leads.CHEST:
        r, rmse = (
            leads.against_linear(source, what, [lead]).loc["U-Net"]
            for what in ("r", "rmse")
        )
        ends = ["apart", "apart_low", "apart_high"]
        rows.append(
            (names[source], lead, r["mean"], *r[ends], rmse["mean"], *rmse[ends])
        )
columns = ["data", "lead", "r", "r less linear", "low", "high"]
columns += ["RMSE (mV)", "RMSE less linear", "low ", "high "]
each = pd.DataFrame(rows, columns=columns)
figures.glue("leads-each-better", int((each["high "] < 0).sum()))
worse = each[(each["data"] == "EICP") & (each["high"] < 0)]
figures.glue("leads-each-worse-r", " and ".join(worse["lead"]) or "none")
assert each.loc[each["data"] == "LUDB", "high "].max() < 0
assert each.loc[each["lead"].isin(["V1", "V2", "V3", "V4"]), "high "].max() < 0
figures.table(each, "leads_each", decimals=3)

# %% [markdown]
# In {glue:text}`leads-each-better` of the twelve rows the RMSE is surely lower (the whole 95 % interval lies below 0)
# than that of the linear baseline. By correlation, on EICP the linear baseline is surely *better* on
# {glue:text}`leads-each-worse-r`: V5 and V6 look nearly along lead II, so that a filtered copy of lead II is hard to
# beat, and where there is little to learn a network learns noise.

# %% [markdown]
# ### From any lead
# The masked autoencoder starts from any lead. LUDB shows how far it comes from each to each, over ten seconds of
# running signal.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A heat map with ones on the diagonal: neighbouring chest leads rebuild each other best, and the columns of III and aVL are the palest.", "classes": "chart dark-light"}, "figure": {"caption": "Mean correlation over the 200 records of LUDB between the lead rebuilt by the masked autoencoder (column) from one lead (row) and the true lead.", "name": "fig-leads-pairs"}}
both = leads.pairs()
matrix = pd.DataFrame(both["masked autoencoder"].mean(axis=0), LEADS, LEADS)
fig, ax = plt.subplots(figsize=(7.2, 6.2))
ax.imshow(matrix, cmap="Greys", vmin=0.2, vmax=1.45)
for (i, j), v in np.ndenumerate(matrix.to_numpy()):
    colour = "white" if v > 0.95 else figures.INK
    ax.text(j, i, f"{v:.2f}", ha="center", va="center", color=colour, fontsize=8.5)
ax.set_xticks(range(12), LEADS)
ax.set_yticks(range(12), LEADS)
ax.xaxis.tick_top()
ax.xaxis.set_label_position("top")
ax.set_xlabel("rebuilt")
ax.set_ylabel("shown")
ax.spines[:].set_visible(False)
figures.show(fig, matrix.rename_axis("shown").reset_index(), "leads_pairs", 2)

# %%
chest_rows = [LEADS.index(lead) for lead in leads.CHEST]


def over_chest(r):
    """Mean over the chest leads that were not shown; (records, 12)."""
    own = np.eye(12, dtype=bool)[None, :, chest_rows]
    return np.nanmean(np.where(own, np.nan, r[:, :, chest_rows]), axis=2)


mean = {method: over_chest(r) for method, r in both.items()}
record = [str(k) for k in range(200)]  # each is a unit of its own
rows = []
for k, lead in enumerate(LEADS):
    apart = mean["masked autoencoder"][:, k] - mean["linear"][:, k]
    ends = leads.interval(pd.Series(apart, record), "ludb")
    each = (mean[m][:, k].mean() for m in ("linear", "masked autoencoder"))
    rows.append((lead, *each, *ends))
columns = ["shown lead", "linear", "masked autoencoder", "difference", "low", "high"]
any_lead = pd.DataFrame(rows, columns=columns)
figures.glue("leads-any-above", int((any_lead["low"] > 0).sum()))
best = any_lead.sort_values("masked autoencoder").iloc[-1]
figures.glue("leads-any-best", best["shown lead"])
figures.glue("leads-any-best-r", best["masked autoencoder"], ".2f")
figures.table(any_lead, "leads_any", decimals=2)

# %% [markdown]
# One network serves all twelve inputs, and for {glue:text}`leads-any-above` of the twelve it is above the linear
# filter made for that input. The best lead to be given is {glue:text}`leads-any-best` ({glue:text}`leads-any-best-r`
# over the other chest leads). Starting from lead II it is nearly as good as the specialist (the table of methods
# above).

# %% [markdown]
# ## Look at them
# The page on which the U-Net's chest leads correlate best with the true ones, redrawn from its digitised signal, with
# the rebuilt leads over it.


# %%
kept = leads.examples()


def overlay(which):
    """Draw a page's twelve leads and what the U-Net made of its lead II."""
    name = str(kept["names"][which])
    seen = signals.seen[files.index(name)]
    fig, ax = plt.subplots(figsize=(7.2, 8.0))
    figures.ecg_paper(ax, (0, 5.0), (-11.6, 1.4))
    t, rows = np.arange(leads.WINDOW) / leads.RATE, []
    for k, lead in enumerate(LEADS):
        start = round(k // 3 * leads.SAMPLES / 4)
        true = seen[k, start : start + leads.WINDOW]
        made = kept["U-Net"][which, k]
        column, level = divmod(k, 6)
        x, y = t + 2.5 * column, -2.1 * level
        ax.plot(x, true + y, color="black", linewidth=1.1)
        ax.plot(x, made + y, color=figures.COLOURS["MI"], linewidth=1.1, alpha=0.9)
        ax.text(2.5 * column + 0.03, y + 0.62, lead, fontweight="bold")
        rows.append(pd.DataFrame({"lead": lead, "s": t, "true": true, "U-Net": made}))
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("25 mm/s, 10 mm/mV; 2.5 s a lead")
    ax.set_ylabel("")
    return fig, pd.concat(rows)


best_page, median_page, lost_page = map(str, kept["names"])
label = pages.set_index("file")["label"]
figures.glue("leads-best-page", best_page[:-4])
figures.glue("leads-best-label", label[best_page])
figures.glue("leads-median-page", median_page[:-4])
figures.glue("leads-lost-page", lost_page[:-4])

# %% tags=["hide-input"] mystnb={"image": {"alt": "Twelve leads of an ECG, true and rebuilt: the orange curves lie on the black ones nearly everywhere, with small differences of height in the chest leads.", "classes": "paper dark-light"}, "figure": {"caption": "The best case: true leads (black) and leads that the U-Net made of lead II (orange).", "name": "fig-leads-best"}}
fig, drawn = overlay(0)
figures.show(fig, drawn, "leads_best", 2)

# %% [markdown]
# {glue:text}`leads-best-page`, filed as {glue:text}`leads-best-label`: the shapes are there, and the sizes nearly so.
# The page in the middle, {glue:text}`leads-median-page`, is the typical case:

# %% tags=["hide-input"] mystnb={"image": {"alt": "Twelve leads of a typical ECG, true and rebuilt: limb leads agree, and in the chest leads the rebuilt waves stand at the right times but often with another height.", "classes": "paper dark-light"}, "figure": {"caption": "The median case: true leads (black) and leads that the U-Net made of lead II (orange).", "name": "fig-leads-median"}}
fig, drawn = overlay(1)
figures.show(fig, drawn, "leads_median", 2)

# %% [markdown]
# And the other end: of the pages labelled MI with ST elevation over the front wall, the one that lost most of it.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Twelve leads of an MI: the true ST segments of V2 to V5 are raised high, the rebuilt ones rise to a small part of it, and V1 runs flat.", "classes": "paper dark-light"}, "figure": {"caption": "The worst loss of anterior ST elevation among the MI: true leads (black) and leads that the U-Net made of lead II (orange).", "name": "fig-leads-lost"}}
fig, drawn = overlay(2)
figures.show(fig, drawn, "leads_lost", 2)

# %% [markdown]
# {glue:text}`leads-lost-page`. The limb leads are nearly right. In the chest leads, where the infarction shows, a
# small part of the elevation is left: the U-Net has drawn what usually stands behind such a lead II. Nothing in the
# orange curves warns the reader.

# %% [markdown]
# ## Why it must be so: the best guess is a mean
# A squared error is smallest when the guess is the mean of all that may be true, given what is seen. Behind a plain
# lead II stand thousands of hearts, most with a flat ST segment in V2 and a few with a raised one; their mean is
# nearly flat. So the rebuilt value follows the true one on too small a slope: {term}`regression to the mean`, as
# Galton saw it in the heights of sons {cite}`galton1886`. No network can escape this by being larger. It is what
# being right on average means.

# %%
table = leads.measured("pages")
true, made = table["true"]["V2_stj_mv"], table["U-Net"]["V2_stj_mv"]
slope = leads.agreement("pages", "U-Net", "V2_stj_mv")["slope"]
figures.glue("leads-slope", slope, ".2f")

# %% tags=["hide-input"] mystnb={"image": {"alt": "Scatter of ST levels in V2: the true ones range widely, several MI far to the right, while the rebuilt ones stay in a narrow band and the line of best fit is level.", "classes": "chart dark-light"}, "figure": {"caption": "ST level at the J point of V2: true, and on leads rebuilt from lead II by the U-Net; solid: the line of best fit, dashed: equality.", "name": "fig-leads-slope"}}
fig, ax = plt.subplots(figsize=(6.4, 4.2))
of = label.loc[true.index]
for name in ("Normal", "Abnormal", "History_MI", "MI"):
    here = (of == name).to_numpy()
    style = {"s": 26, "marker": figures.MARKERS[name], "linewidth": 0, "alpha": 0.8}
    ax.scatter(true[here], made[here], color=figures.COLOURS[name], label=name, **style)
known = true.notna() & made.notna()
ends = np.array([-0.2, 0.6])
middle = made[known].mean() + slope * (ends - true[known].mean())
ax.plot(ends, middle, color=figures.INK)
ax.plot(ends, ends, "--", color=figures.MUTED)
ax.set_xlim(-0.4, 0.75)
ax.set_ylim(-0.3, 0.65)
ax.set_xlabel("true ST level in V2 (mV)")
ax.set_ylabel("rebuilt (mV)")
ax.legend(loc="upper left", fontsize=9)
points = pd.DataFrame({"file": true.index, "true": true, "rebuilt": made, "label": of})
figures.show(fig, points, "leads_slope_drawn", 2)

# %% [markdown]
# The slope is {glue:text}`leads-slope`; faithful rebuilding would have 1.

# %% [markdown]
# ## Second question: can it be measured?
# A cardiologist measures. So the rebuilt ECGs were measured as if they were true ones, with the functions of
# [](../signal/measure.ipynb), and compared after Bland and Altman {cite}`bland1986`: the bias, and the limits that
# hold 95 of 100 differences. Here for the U-Net, with the slope beside.

# %%
LISTED = {
    "QRS duration (ms)": "qrs_ms",
    "QRS axis (degrees)": "axis_deg",
    "R in V1 (mV)": "V1_r_mv",
    "S in V2 (mV)": "V2_s_mv",
    "R in V5 (mV)": "V5_r_mv",
    "ST at J in V2 (mV)": "V2_stj_mv",
    "ST at J in V5 (mV)": "V5_stj_mv",
    "T in V2 (mV)": "V2_t_mv",
    "T in V5 (mV)": "V5_t_mv",
}
rows = []
for source in leads.SOURCES:
    for what, column in LISTED.items():
        a = leads.agreement(source, "U-Net", column)
        rows.append((names[source], what, a["bias"], a["low"], a["high"], a["slope"]))
columns = ["data", "measurement", "bias", "lower limit", "upper limit", "slope"]
figures.table(pd.DataFrame(rows, columns=columns), "leads_agreement", decimals=2)

# %%
on_pages = {k: leads.agreement("pages", "U-Net", c) for k, c in LISTED.items()}
of_slopes = pd.Series({k: a["slope"] for k, a in on_pages.items()})
assert set(of_slopes.nlargest(2).index) == {"QRS duration (ms)", "QRS axis (degrees)"}
figures.glue("leads-qrs-bias", on_pages["QRS duration (ms)"]["bias"], ".0f")
figures.glue("leads-st-low", on_pages["ST at J in V2 (mV)"]["low"], ".2f")
figures.glue("leads-st-high", on_pages["ST at J in V2 (mV)"]["high"], ".2f")
figures.glue("leads-s-slope", on_pages["S in V2 (mV)"]["slope"], ".2f")

# %% [markdown]
# The QRS duration comes out {glue:text}`leads-qrs-bias` ms too long on average, and its slope and that of the axis,
# which belong to all leads together, are the best of the table. What belongs to one chest lead fares badly: the depth
# of S in V2 follows the true one with a slope of {glue:text}`leads-s-slope`, so that every heart gets about the
# average S. The limits for ST in V2, from {glue:text}`leads-st-low` to {glue:text}`leads-st-high` mV, are wider than
# the 0.2 mV at which elevation begins to count in men from 40 on. A small bias means little when the rest is a mean.
#
# Now the question that matters most. In how many ECGs is {term}`ST elevation` in {term}`contiguous leads` of the
# front wall met before, and after? On these filtered pages the criterion is approximate, but it is the same before
# and after.

# %%
counts = leads.st_elevations("pages")
mi = set(label.index[label == "MI"])
before = (
    table["true"].loc[[n in mi for n in table["true"].index], "st_up_anterior"] == 1
)
for method in leads.METHODS:
    after = table[method].loc[before.index, "st_up_anterior"] == 1
    counts.loc[method, "of MI: kept"] = int((before & after).sum())
    counts.loc[method, "of MI: lost"] = int((before & ~after).sum())
figures.glue("leads-st-lost", int(counts.loc["U-Net", "lost"]))
figures.glue("leads-st-met", int(counts.loc["U-Net", ["kept", "lost"]].sum()))
figures.glue("leads-st-invented", int(counts.loc["U-Net", "invented"]))
figures.glue("leads-mi-lost", int(counts.loc["U-Net", "of MI: lost"]))
figures.glue("leads-mi-met", int(before.sum()))
whole = counts.astype(int).rename_axis("method").reset_index()
figures.table(whole, "leads_st")

# %% [markdown]
# Of {glue:text}`leads-st-met` pages with anterior ST elevation the U-Net loses {glue:text}`leads-st-lost`, and it
# invents {glue:text}`leads-st-invented`. Of the {glue:text}`leads-mi-met` MI that met the criterion
# {glue:text}`leads-mi-lost` no longer do. The other methods lose all but at most one, too. (In the row *one number* a
# page is missing, whose rebuilt leads could not be measured.) It is no fault of this network that training longer
# would mend; lead II does not know.

# %% [markdown]
# ## Third question: what is it worth?
# The [headline](../signal/models.ipynb) reads the test pages three ways. *As fitted*: learned on true leads, given
# rebuilt ones, as if a watch's ECG were passed off as a standard one. *Fitted again*: learned and tested on rebuilt
# leads. And a rival for whom nothing is rebuilt: the same pool of models, fitted on the measurements and the beat of
# lead II alone.
#
# Before looking, a bet. What a network makes of lead II is a function of lead II, so by the
# {term}`data processing inequality` {cite}`cover2006` it cannot say more about this heart than lead II says. It brings what it has learned
# about *other* hearts, whose twelve leads it saw; that may make lead II easier to read, as a good translation does,
# but it adds nothing about this one. So rebuilt leads should do about as well as lead II alone, and far less than
# twelve true leads.

# %%
said = leads.answers()
unit = evaluate.units("grouped")
SHOWN = {
    "true | true": "true leads",
    "true, lead II pages | true": "true leads, fitted on fewer pages",
    "true | linear": "as fitted, rebuilt: linear",
    "true | U-Net": "as fitted, rebuilt: U-Net",
    "true | masked autoencoder": "as fitted, rebuilt: masked autoencoder",
    "true | mean beat": "as fitted, rebuilt: mean beat",
    "linear | linear": "fitted again: linear",
    "U-Net | U-Net": "fitted again: U-Net",
    "masked autoencoder | masked autoencoder": "fitted again: masked autoencoder",
    leads.RIVAL: "lead II alone",
}
shown = {name: said[variant] for variant, name in SHOWN.items()}
f1 = evaluate.table(shown, unit, ["macro_f1"]).drop(columns="metric")
f1 = f1.rename(columns={"model": "name"})

# %% tags=["hide-input"] mystnb={"image": {"alt": "Intervals of macro-F1: two rows on true leads stand far above all others; rebuilt leads, fitted again, overlap with lead II alone, and rebuilt leads read as if true lie lower.", "classes": "chart dark-light"}, "figure": {"caption": "Macro-F1 of the headline on the pages whose strip shows lead II: on true leads, on rebuilt leads, and of a model that sees lead II alone; 95 % intervals from resampled groups.", "name": "fig-leads-f1"}}
fig, ax = plt.subplots(figsize=(7.2, 5.0))
figures.intervals(ax, f1)
ax.set_xlabel("macro-F1")
figures.show(fig, f1, "leads_f1")

# %%
recalls = pd.DataFrame(
    {name: evaluate.recalls(frame)["recall"] for name, frame in shown.items()}
).T
figures.table(recalls.rename_axis("read").reset_index(), "leads_recalls", decimals=2)

# %%
paired = []
for name in list(SHOWN.values())[2:]:
    row = [name]
    for against in ("true leads", "lead II alone"):
        if name != against:
            c = evaluate.compare(shown[name], shown[against], unit, ["macro_f1"]).iloc[
                0
            ]
            row += [c["difference"], c["low"], c["high"]]
        else:
            row += [np.nan] * 3
    paired.append(row)
columns = [
    "read",
    "less true leads",
    "low",
    "high",
    "less lead II alone",
    "low ",
    "high ",
]
figures.table(pd.DataFrame(paired, columns=columns), "leads_paired", decimals=2)

# %%
estimate = f1.set_index("name")
for name, key in (
    ("true leads", "true"),
    ("as fitted, rebuilt: linear", "linear"),
    ("as fitted, rebuilt: U-Net", "unet"),
    ("as fitted, rebuilt: masked autoencoder", "masked"),
    ("as fitted, rebuilt: mean beat", "mean"),
    ("fitted again: U-Net", "again"),
    ("fitted again: masked autoencoder", "again-masked"),
    ("lead II alone", "alone"),
):
    figures.glue(f"leads-f1-{key}", estimate.loc[name, "estimate"], ".2f")
paired = pd.DataFrame(paired, columns=columns).set_index("read")
again = paired.loc["fitted again: U-Net"]
assert again["low "] < 0 < again["high "] and (paired["low "].fillna(-1) < 0).all()
assert estimate["low"]["true leads"] > estimate["high"].iloc[2:].max()
assert (paired["high"] < 0).all()
figures.glue("leads-again-less", again["less lead II alone"], ".2f")
figures.glue("leads-again-low", again["low "], ".2f")
figures.glue("leads-again-high", again["high "], ".2f")
for name, key in (("true leads", "true"), ("as fitted, rebuilt: U-Net", "unet")):
    found = evaluate.recalls(shown[name])
    for of in ("MI", "History_MI", "Normal"):
        k, n = found.loc[of, ["k", "n"]].astype(int)
        figures.glue(f"leads-{key}-{of.lower().replace('_', '-')}", f"{k} of {n}")

# %% [markdown]
# On true leads the headline reaches {glue:text}`leads-f1-true`. Given rebuilt leads as if they were true, it falls to
# {glue:text}`leads-f1-unet` (U-Net), {glue:text}`leads-f1-masked` (masked autoencoder) or
# {glue:text}`leads-f1-linear` (linear), surely below. Look where it falls. MI: {glue:text}`leads-true-mi` found on
# true leads, {glue:text}`leads-unet-mi` on the U-Net's. History_MI: {glue:text}`leads-true-history-mi` and
# {glue:text}`leads-unet-history-mi`. Normal: {glue:text}`leads-true-normal` and {glue:text}`leads-unet-normal`. The
# healthy stay healthy, and many of the sick look so: a mean heart is a healthy one. (The linear filter errs the other
# way: of its Normal pages hardly any is still called Normal; a filtered copy of lead II is no mean heart.) Even the
# mean beat, put at the right times, scores {glue:text}`leads-f1-mean`, because lead II and the rhythm are still true.
#
# Fitted again on rebuilt leads the headline gains, to {glue:text}`leads-f1-again` on the U-Net's and
# {glue:text}`leads-f1-again-masked` on the masked autoencoder's; lead II alone gives {glue:text}`leads-f1-alone`. The
# difference of the U-Net is {glue:text}`leads-again-less`, its interval from {glue:text}`leads-again-low` to
# {glue:text}`leads-again-high`: no method surely beats the model for which nothing was rebuilt. The inequality holds
# its ground, as far as {glue:text}`leads-two` pages can tell. (One handicap of the models fitted again: the training
# pages were rebuilt by a network that had learned from them, the test pages were not.)

# %% [markdown]
# ### Which lead should a watch record?
# Lead II is what the pages give for ten seconds. On median beats any lead can be the one that is shown, and the
# question costs a second: a plain logistic regression on beats, fitted on true ones, reads beats rebuilt from each
# lead (by the ridge above); beside it the same model fitted on the shown lead alone.

# %%
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

y = pages["label"].map(data.CLASSES.index).to_numpy()


def reader(components):
    """Principal components of beats, then a logistic regression in which classes count alike."""
    model = LogisticRegression(C=0.03, max_iter=2000, class_weight="balanced")
    return make_pipeline(PCA(components, whiten=True, random_state=0), model)


given = {"true": beats} | rebuilt
read = {name: np.zeros((491, 4)) for name in given}
alone = {lead: np.zeros((491, 4)) for lead in LEADS}
for fold in folds:
    known, test = np.r_[fold.train, fold.val], fold.test
    model = reader(40).fit(beats[known].reshape(len(known), -1), y[known])
    for name, twelve in given.items():
        read[name][test] = model.predict_proba(twelve[test].reshape(len(test), -1))
    for row, lead in enumerate(LEADS):
        single = reader(20).fit(beats[known, row], y[known])
        alone[lead][test] = single.predict_proba(beats[test, row])


def predictions(p):
    """A frame of predictions, to be scored like any other."""
    frame = pages[["file", "label"]].assign(repeat=0, fold=0, part="test")
    return frame.assign(**dict(zip(evaluate.PROBABILITIES, p.T, strict=True)))


rows = []
for lead in LEADS:
    pair = predictions(read[lead]), predictions(alone[lead])
    c = evaluate.compare(*pair, unit, ["macro_f1"], replicates=500).iloc[0]
    rows.append((lead, c["a"], c["b"], c["difference"], c["low"], c["high"]))
columns = ["lead", "twelve rebuilt", "this lead alone", "difference", "low", "high"]
by_lead = pd.DataFrame(rows, columns=columns)
of_true = evaluate.metrics(predictions(read["true"]))["macro_f1"]
figures.glue("leads-beats-true", of_true, ".2f")
figures.table(by_lead, "leads_which_paired", decimals=2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two dots for each of twelve leads: V2 to V5 lie well above the limb leads and V1; twelve rebuilt leads lie above the single lead in V3 to V5, below it in aVR and V1, and close to it elsewhere.", "classes": "chart dark-light"}, "figure": {"caption": "Macro-F1 of a logistic regression on median beats: on twelve leads rebuilt from one, and on that lead alone; the line marks twelve true leads.", "name": "fig-leads-which"}}
fig, ax = plt.subplots(figsize=(7.2, 3.8))
at = np.arange(12)
ax.plot(at - 0.1, by_lead["twelve rebuilt"], "o", color=figures.COLOURS["MI"])
ax.plot(at + 0.1, by_lead["this lead alone"], "s", color=figures.COLOURS["Abnormal"])
ax.axhline(of_true, color=figures.INK, linewidth=1)
ax.text(11.4, of_true + 0.01, "twelve true leads", ha="right")
ax.text(0.2, 0.66, "twelve rebuilt", color=figures.COLOURS["MI"])
ax.text(0.2, 0.62, "the lead alone", color=figures.COLOURS["Abnormal"])
ax.set_xticks(at, LEADS)
ax.set_ylabel("macro-F1")
ax.set_ylim(0.25, 0.82)
ax.grid(axis="y")
figures.show(fig, by_lead, "leads_which", decimals=2)

# %%
single = by_lead.set_index("lead")["this lead alone"]
assert single[["V2", "V3", "V4"]].min() > single[["I", "II", "III", "V1"]].max()
assert of_true > by_lead["twelve rebuilt"].max()
figures.glue("leads-which-ii", single["II"], ".2f")
figures.glue("leads-which-v3", single["V3"], ".2f")
figures.glue("leads-which-more", int((by_lead["low"] > 0).sum()))
figures.glue("leads-which-less", int((by_lead["high"] < 0).sum()))

# %% [markdown]
# It matters most *which* lead is recorded: lead II alone reaches {glue:text}`leads-which-ii`, V3 alone
# {glue:text}`leads-which-v3`, twelve true leads {glue:text}`leads-beats-true`. Rebuilding raises the score surely for
# {glue:text}`leads-which-more` of the twelve leads and lowers it for {glue:text}`leads-which-less` (with twelve
# comparisons, one of them may be luck). Where it helps, it is no new information: a model that was fitted on twelve
# true leads of some four hundred ECGs has learned things about hearts that a model of one lead could not, and the
# rebuilt leads are a text in which it can use them.

# %% [markdown]
# ## What it means for a watch
# A watch on the wrist records lead I or something near it, and can be held against the leg or the chest for others.
# Three things follow from this chapter. Two limb leads give six, exactly; that is worth doing and needs no network. A
# rebuilt chest lead is an opinion about people with such a limb lead, not a recording of this person; to show it on
# ECG paper without saying so is misleading, because its errors look healthy. And who wants the information of a chest
# lead must put an electrode on the chest: read by one and the same model, V2 or V3 alone told more than twelve leads
# rebuilt from lead II.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-leads-1
# *Easy.* A device records leads II and III. Compute lead I, aVR, aVL and aVF, and check them on a synthetic ECG.
# ```
#
# ```{solution-start} ex-leads-1
# :class: dropdown
# ```

# %%
ecg = synth.record("Normal", 2)
two, three = ecg.leads[1].astype(float), ecg.leads[2].astype(float)
six = leads.limbs(two - three, two)
assert np.abs(six - ecg.leads[:6]).max() < 1e-6
six.shape

# %% [markdown]
# Lead I is II - III; the rest follows from I and II. Any two of the six will do.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-leads-2
# *Medium.* Show two leads instead of one: lead II and each of the chest leads in turn. From which pair can the other
# chest leads be rebuilt best, by the ridge of this chapter?
# ```
#
# ```{solution-start} ex-leads-2
# :class: dropdown
# ```


# %%
def from_two(row, fold):
    """Mean correlation of the chest leads that are not shown, on the test part of a fold."""
    known = np.r_[fold.train, fold.val]
    others = [k for k in range(6, 12) if k != row]
    X = beats[:, [1, row]].reshape(491, -1)
    model = Ridge(alpha=1.0).fit(
        X[known], beats[known][:, others].reshape(len(known), -1)
    )
    made = model.predict(X[fold.test]).reshape(-1, len(others), 56)
    pairs = zip(made, beats[fold.test][:, others], strict=True)
    return np.mean([leads.alike(a, b)[0].mean() for a, b in pairs])


pair = {LEADS[k]: from_two(k, folds[0]) for k in range(6, 12)}
assert max(pair, key=pair.get) in ("V3", "V4")
assert pair["V3"] > linear["II"][folds[0].test][:, chest].mean() + 0.05
{f"II and {lead}": round(float(r), 2) for lead, r in pair.items()}

# %% [markdown]
# A lead from the middle of the chest: it has neighbours on both sides. One electrode there is worth more than any
# model.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-leads-3
# *Medium.* Regression to the mean without a heart: let the true ST level in V2 be normal with standard deviation 0.1
# mV, and let lead II tell of it through noise, so that their correlation is 0.5. What is the slope of the best guess
# on the truth, and what share of values above 0.2 mV is still above 0.2 mV when guessed?
# ```
#
# ```{solution-start} ex-leads-3
# :class: dropdown
# ```

# %%
rng = np.random.default_rng(0)
true = 0.1 * rng.standard_normal(200_000)
told = 0.5 * true / 0.1 + np.sqrt(1 - 0.5**2) * rng.standard_normal(200_000)
guess = 0.5 * 0.1 * told  # the mean of what is true, given what is told
slope = np.cov(guess, true)[0, 1] / true.var()
share = np.mean(guess[true > 0.2] > 0.2)
assert abs(slope - 0.25) < 0.01 and share < 0.01
round(float(slope), 2), round(float(share), 3)

# %% [markdown]
# The slope is the *square* of the correlation, a quarter, and not one elevation in a thousand survives. The guess is
# the best there is by squared error, and useless for finding extremes.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-leads-4
# *Hard.* A generator that draws *one of the possible* chest leads, instead of their mean, gives pictures with the
# right amount of ST elevation. Would that help the reader? Try it on the numbers of the exercise before.
# ```
#
# ```{solution-start} ex-leads-4
# :class: dropdown
# ```

# %%
drawn = guess + 0.1 * np.sqrt(1 - 0.5**2) * rng.standard_normal(200_000)
assert abs(drawn.std() - true.std()) < 0.001
found = np.mean(drawn[true > 0.2] > 0.2)
false = np.mean(true[drawn > 0.2] <= 0.2)
error = np.mean((drawn - true) ** 2) / np.mean((guess - true) ** 2)
assert found < 0.25 and false > 0.75 and abs(error - 2) < 0.05
round(float(found), 2), round(float(false), 2), round(float(error), 1)

# %% [markdown]
# The values now spread as the true ones do, but most of the elevations shown are not there and most of those there
# are not shown; the squared error has doubled. Pictures that look right are not pictures of this heart.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - Two limb leads give all six, exactly. From one lead nothing follows exactly, and a chest lead follows from no limb
#   lead.
# - On the chest leads two small networks beat linear regression surely, by {glue:text}`leads-ludb-unet-gain` of RMSE
#   on LUDB and {glue:text}`leads-pages-unet-gain` on EICP, though not in V5 and V6 on EICP. The mean beat is not far
#   behind.
# - The best guess is a mean, and a mean looks healthy: of {glue:text}`leads-st-met` anterior ST elevations
#   {glue:text}`leads-st-lost` were lost.
# - Read on rebuilt leads the headline's macro-F1 falls from {glue:text}`leads-f1-true` to {glue:text}`leads-f1-unet`;
#   no rebuilding surely beats a model that sees lead II alone ({glue:text}`leads-f1-alone`).
# - Which lead is recorded matters more than what is computed from it.
# ```
#
# ## Further reading
# The masked autoencoder for leads and its evaluation at three levels: {cite}`chen2024mcma`. Leads as projections, and
# fixed matrices from one system of leads to another: {cite}`frank1956,dower1980`. The laws of the limb leads in the
# recommendations for recording: {cite}`kligfield2007`. The data: {cite}`khan2021` (CC BY 4.0) and
# {cite}`kalyakulina2020` (ODC-By).
