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
# # Measuring the ECG
# A cardiologist with a ruler turns a page into a dozen numbers before giving any verdict: how fast, how regular, how
# wide, how high, how far off the {term}`baseline`. This chapter does the same by program, on the signals that were
# read off the pages. It finds the {term}`beats <beat>`, averages them, finds where each wave begins and ends, and
# measures. Then it asks how wrong each number is, and what the numbers alone, without any learning, say about the
# four classes.
#
# ```{admonition} What you will learn
# :class: learn
# - why one lead and a fixed window are not enough, and what the leads of a column know together;
# - how a {term}`median beat` is made from two or three beats, and how its boundaries are found;
# - what each measurement is, drawn on a beat, with the caveat that belongs to it;
# - how far our boundaries lie from those that cardiologists drew, beside the boundaries of NeuroKit2;
# - how many pages of each class meet the guideline's criteria of infarction, with exact intervals.
# ```
#
# **Running time:** about 20 seconds on a laptop, offline.
#
# ```{admonition} Three warnings go with every number
# :class: warning
# The pages were filtered to 0.67-25 Hz: {term}`Q <Q wave>` and {term}`R waves <R wave>` are too small and the
# {term}`ST segment` may be shifted, so every limit of a guideline is approximate here. Age is blank, and the printed
# sex may be the machine's default. Nothing was reviewed by a cardiologist, and nothing here is for diagnosis.
# ```

# %% [markdown]
# ## The simple way, and how it fails
# A page shows each lead for 2.5 s, and one lead, the {term}`rhythm strip`, for 10 s. So the obvious plan is: find the
# peaks of the strip, and cut a window of fixed size around each. We try it on {term}`pages <page>` whose truth is
# known, 15 synthetic ones of each class, reduced to what a page would show.

# %%
import numpy as np
import pandas as pd
from scipy.signal import find_peaks

from ecgbook import beats, data, evaluate, figures, ludb, measure, synth

figures.use()
LEADS = list(synth.LEADS)
pages = {
    (label, seed): synth.window(synth.record(label, seed))
    for label in data.CLASSES
    for seed in range(15)
}


def peaks_of_strip(page):
    """The simple way: whatever rises above 60 % of the highest point of the strip."""
    strip = page.leads[LEADS.index(page.rhythm)]
    return find_peaks(strip, height=0.6 * strip.max(), distance=0.3 * page.fs)[0]


found = {key: measure.landmarks(page) for key, page in pages.items()}
print(len(pages), "pages,", sum(len(f.marks) for f in found.values()), "beats found")

# %% [markdown]
# The last line already ran the right way, `measure.landmarks`, for comparison. A beat counts as found if a mark lies
# within 120 ms of it.


# %%
def against_truth(page, marks):
    """Beats missed, marks that are no beat, and errors (ms) of the rest."""
    truth = page.truth["r_times"]
    pairs = ludb.match(truth, marks / page.fs, 0.12)
    errors = 1000 * (marks[pairs[:, 1]] / page.fs - truth[pairs[:, 0]])
    return len(truth) - len(pairs), len(marks) - len(pairs), errors


rows = []
for (label, seed), page in pages.items():
    n = len(page.truth["r_times"])
    missed, extra, _ = against_truth(page, peaks_of_strip(page))
    ours_missed, ours_extra, _ = against_truth(page, found[label, seed].marks)
    rows.append((label, n, missed, extra, ours_missed, ours_extra))
names = ["class", "beats", "missed by the strip", "false in the strip"]
names += ["missed by all leads", "false in all leads"]
counts = pd.DataFrame(rows, columns=names).groupby("class", sort=False).sum()
totals = counts.sum()
figures.glue("measure-naive-missed", totals.iloc[1] / totals.iloc[0], ".0%")
figures.glue("measure-naive-false", totals.iloc[2])
figures.glue("measure-beats", totals.iloc[0])
figures.glue("measure-ours-missed", totals.iloc[3])
figures.glue("measure-ours-false", totals.iloc[4])
figures.table(counts.reset_index(), "measure_beats_found")

# %% [markdown]
# The strip alone misses {glue:text}`measure-naive-missed` of {glue:text}`measure-beats` beats and marks
# {glue:text}`measure-naive-false` waves that are none. Look at one such page: in its lead III the {term}`QRS complex`
# hardly rises, or points down, and the {term}`T wave` is the tallest thing there.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A ten-second strip of lead III in which the T waves stand higher than the R waves: the simple peak finder marks every T wave and misses the true beats.", "classes": "paper dark-light"}, "figure": {"caption": "First 5 s of a synthetic rhythm strip, lead III. Triangles: peaks that the simple way takes for beats. Lines below: the true beats.", "name": "fig-measure-naive"}}
import matplotlib.pyplot as plt

BLUE = "#123f7a"
RED = "#a3260d"


def all_wrong(page):
    missed, extra, _ = against_truth(page, peaks_of_strip(page))
    return page.rhythm == "III" and missed > 6 and extra > 6


hard = next(key for key, page in pages.items() if all_wrong(page))
page = pages[hard]
strip = page.leads[LEADS.index(page.rhythm), :1250]
clock = np.arange(strip.size) / page.fs
taken = peaks_of_strip(page)
taken = taken[taken < strip.size]
true = page.truth["r_times"][page.truth["r_times"] < 5]
low, high = (
    np.floor(10 * strip.min() - 2.5) / 10,
    np.ceil(10 * strip.max() + 2.5) / 10,
)
fig, ax = plt.subplots(figsize=(7.2, 0.9 + 0.58 * (high - low)), dpi=130)
figures.ecg_paper(ax, (0, 5), (low, high))
ax.plot(clock, strip, color="#111111", linewidth=1.2)
ax.plot(clock[taken], strip[taken] + 0.13, "v", color=RED, markersize=7)
ax.vlines(true, low + 0.02, low + 0.16, color=BLUE, linewidth=2.5)
drawn = pd.DataFrame({"time (s)": clock, "III (mV)": strip})
drawn["taken for a beat"] = np.isin(np.arange(strip.size), taken).astype(int)
drawn["beat"] = np.isin(np.arange(strip.size), np.round(true * page.fs)).astype(int)
figures.show(fig, drawn, "measure_naive", decimals=2)

# %% [markdown]
# The fixed window fails too, more quietly. Suppose the beats are right, and we read the ST level of every lead 100 ms
# after the mark, against the level 60 ms before it. For a narrow QRS that is about right. In a {term}`bundle branch
# block` the QRS is not over after 100 ms.

# %%
rows = []
for key, page in pages.items():
    measured = measure.of_landmarks(found[key], page.sex)
    blocked = any(name.endswith("BBB") for name in page.truth["findings"])
    for lead, signal, true in zip(LEADS, page.leads, page.truth["st"], strict=True):
        marks = found[key].marks
        inside = marks[(marks > 20) & (marks < signal.size - 40)]
        fixed = np.nanmedian(signal[inside + 25] - signal[inside - 15])
        rows.append((blocked, fixed - true, measured[f"{lead}_st60_mv"] - true))
st = pd.DataFrame(rows, columns=["blocked", "fixed window", "own boundaries"])
half_width = st.abs().groupby(st["blocked"])[["fixed window", "own boundaries"]]
half_width = half_width.quantile(0.9).reset_index()
half_width["blocked"] = ["no block", "bundle branch block"]
figures.glue("measure-st-fixed", half_width["fixed window"].iloc[1], ".2f")
figures.glue("measure-st-own", half_width["own boundaries"].iloc[1], ".2f")
figures.table(
    half_width.rename(columns={"blocked": "QRS: nine in ten errors below (mV)"}),
    "measure_st_window",
    decimals=3,
)

# %% [markdown]
# Without a block the two do equally well. With one, a tenth of the leads is off by {glue:text}`measure-st-fixed` mV
# or more, and with boundaries found on the beat itself by {glue:text}`measure-st-own`: better, not good, for after a
# block the ST segment is a steep slope, and all depends on where the QRS is said to end. The limit for {term}`ST
# elevation` is 0.1 mV.

# %% [markdown]
# ## The leads of a column know more than one of them
# A heartbeat is one event, seen from twelve sides. Where one lead hardly moves, another does. What all QRS complexes
# share is not height but sharpness: their curve bends more than that of any other wave. So `beats.activity` takes the
# second derivative of each lead, smoothed over about 10 ms, divides it by the lead's own sharpest part, and joins the
# leads that are shown at that moment: three of the column, and the strip.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four rows of leads in four columns over ten seconds, and below them one curve with a single clear hump at every beat, also where the rhythm strip shows hardly any QRS.", "classes": "chart dark-light"}, "figure": {"caption": "The same synthetic page: its twelve leads as the page shows them, the strip, and the activity of all leads together. Vertical lines are the beats found.", "name": "fig-measure-activity"}}
page, marks = pages[hard], found[hard].marks
WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
joint = beats.activity(page.leads, page.fs)
clock = np.arange(joint.size) / page.fs
fig, (ax, low) = plt.subplots(
    2, sharex=True, figsize=(7.2, 5.4), height_ratios=[3.8, 1]
)
drawn = {"time (s)": clock}
for row in range(3):
    together = np.full(joint.size, np.nan)
    for column in range(4):
        name = synth.GRID[column][row]
        span = synth.span(name)
        together[span] = page.leads[LEADS.index(name), span]
        at = (clock[span][0] + 0.05, 2.1 * (3 - row) + 0.75)
        ax.text(*at, name, fontsize=9, color=BLUE, bbox=WHITE)
    ax.plot(clock, together + 2.1 * (3 - row), color=figures.INK, linewidth=0.9)
    drawn[f"row {row + 1} (mV)"] = together
strip = page.leads[LEADS.index(page.rhythm)]
ax.plot(clock, strip, color=figures.INK, linewidth=0.9)
ax.text(0.05, 0.75, f"{page.rhythm}, strip", fontsize=9, color=BLUE, bbox=WHITE)
for x in (2.5, 5.0, 7.5):
    ax.plot((x, x), (1.4, 8.0), color=figures.MUTED, linewidth=0.7)
for axis in (ax, low):
    axis.vlines(
        clock[marks],
        0,
        1,
        transform=axis.get_xaxis_transform(),
        color="#9cc0ea",
        linewidth=1.4,
        zorder=0,
    )
low.plot(clock, joint, color=figures.ACCENT)
ax.set(yticks=[], xlim=(0, 10))
ax.spines["left"].set_visible(False)
ax.set_ylabel("leads, 2.1 mV apart")
low.set(xlabel="time (s)", ylabel="activity", ylim=(0, None))
drawn |= {"strip (mV)": strip, "activity": joint}
figures.show(fig, pd.DataFrame(drawn), "measure_activity", decimals=2)

# %% [markdown]
# One hump a beat. Of {glue:text}`measure-beats` beats this misses {glue:text}`measure-ours-missed` and adds
# {glue:text}`measure-ours-false`.
#
# ### The same point in every beat
# The top of a hump is a good place to find a beat, and a bad one to measure from: each column shows other leads, and
# their humps have their tops at other moments of the beat. `beats.find_beats` therefore shifts each beat until the
# slopes of all its leads fit the median of the others best, and then each column as a whole until the strip fits. How
# steady is the mark?

# %%
steadiness = []
for page, landmarks in zip(pages.values(), found.values(), strict=True):
    joint = beats.activity(page.leads, page.fs)
    tops = find_peaks(joint, height=0.33 * joint.max(), distance=55)[0]
    spreads = [against_truth(page, m)[2].std() for m in (tops, landmarks.marks)]
    steadiness.append(spreads)
tops_ms, marks_ms = np.median(steadiness, axis=0)
figures.glue("measure-tops", tops_ms, ".1f")
figures.glue("measure-marks", marks_ms, ".1f")
print(f"spread within a page: {tops_ms:.1f} ms for tops, {marks_ms:.1f} ms for marks")

# %% [markdown]
# From {glue:text}`measure-tops` ms down to {glue:text}`measure-marks` ms, and 4 ms are one sample. The narrowest
# spike of a QRS lasts some 20 ms, so beats aligned this well can be averaged without blunting it.
#
# ## The median beat
# Noise differs from beat to beat, and the heart's signal mostly repeats. The median over beats keeps what repeats,
# and, from three beats on, it ignores one spoilt beat, which the mean does not. Premature beats must not enter:
# `beats.kinds_of_beats` sorts beats by the shape of their QRS, and the commonest shape is *the* beat of the record.
# From here on we look at real ECGs {cite}`khan2021`, redrawn from their digitised signals; the [previous
# chapter](digitize.ipynb) tells how those were read off the page.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: three noisy beats of one chest lead and their smoother median on top. Right: a dozen beats of the rhythm strip and their median, smoother still.", "classes": "paper dark-light"}, "figure": {"caption": "A Normal page, redrawn from its digitised signal: single beats (grey) and their median (black). A lead of the page has 2.5 s, the strip has 10 s.", "name": "fig-measure-median"}}
from ecgbook import digitize

NOISY, NORMAL = "Normal(99).jpg", "Normal(7).jpg"
sex_of = data.pages().set_index("file")["sex"]


def real(name):
    """A real record, its landmarks and its measurements."""
    ecg = digitize.record(digitize.load(name))
    landmarks = measure.landmarks(ecg)
    return ecg, landmarks, measure.of_landmarks(landmarks, sex_of[name])


ecg, landmarks, _ = real(NOISY)
mark = round(beats.BEFORE * ecg.fs)
clock = (np.arange(landmarks.beat.shape[1]) - mark) / ecg.fs
near = (clock >= -0.28) & (clock <= 0.48)
before, after = round(0.28 * ecg.fs), round(0.48 * ecg.fs)
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.6), dpi=130)
drawn = {"time (s)": clock[near]}
for ax, lead in zip(axes, ("V5", ecg.rhythm), strict=True):
    signal, curve = (x[LEADS.index(lead)] for x in (ecg.leads, landmarks.beat))
    zero = curve[mark - 25]
    figures.ecg_paper(ax, (-0.28, 0.48), (-0.4, 1.5))
    shown = 0
    for n, at in enumerate(landmarks.marks):
        if before < at < signal.size - after:
            piece = signal[at - before : at + after + 1]
            if np.isfinite(piece).sum() > 60:
                piece = piece - zero - np.nanmedian(piece - curve[near])
                ax.plot(clock[near], piece, color="#8d8d8d", lw=0.7)
                drawn[f"{lead} beat {n + 1}"] = piece
                shown += 1
    ax.plot(clock[near], curve[near] - zero, color="#111111", linewidth=1.7)
    drawn[f"{lead} median"] = curve[near] - zero
    ax.text(0.46, 1.43, f"{lead}: {shown} beats", color=BLUE, ha="right", va="top")
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
figures.show(fig, pd.DataFrame(drawn), "measure_median", decimals=2)

# %% [markdown]
# Two or three beats of a lead are few. All that follows is read off curves like the left one.
#
# ## Where a wave begins and ends
# A wave ends where the curve stops moving. The level tells little, because the baseline wanders and the ST segment
# need not lie on it; so the program looks at the slope. It walks outwards from the steepest part of a wave until the
# slope has fallen to a fixed share of it. This is done once for all leads together, and once for each lead; a lead
# that hardly shows the wave takes the place from the others. A *boundary* is such a place; finding them is called
# {term}`delineation`.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Twelve leads of a beat drawn over each other, and their joint slope below; shaded bands show P, QRS and T, each beginning and ending where the joint slope has died away.", "classes": "chart dark-light"}, "figure": {"caption": "The twelve median leads of another Normal page, and the root mean square of their slopes. Bands: P wave, QRS complex and T wave as found in all leads together.", "name": "fig-measure-boundaries"}}
ecg, landmarks, numbers = real(NORMAL)
slopes = beats.gaussian_derivative(landmarks.beat, ecg.fs, 0.008)
slope = np.sqrt(np.nanmean(slopes**2, axis=0))
wide = (clock >= -0.30) & (clock <= 0.55)
fig, (ax, low) = plt.subplots(
    2, sharex=True, figsize=(7.2, 4.4), height_ratios=[2.4, 1]
)
zero = landmarks.beat[:, mark - 17 : mark - 13].mean(axis=1, keepdims=True)
ax.plot(clock[wide], (landmarks.beat - zero)[:, wide].T, color=figures.INK, lw=0.8)
low.plot(clock[wide], slope[wide], color=figures.ACCENT)
for name, (onset, offset) in zip(beats.WAVES, landmarks.waves.together, strict=True):
    for axis in (ax, low):
        axis.axvspan(onset, offset, color="#d7e3f4", zorder=0)
    middle = (onset + offset) / 2
    ax.text(middle, 1.42, name, ha="center", color=BLUE, fontweight="bold")
ax.set(ylabel="mV", ylim=(-0.95, 1.62))
low.set(xlabel="time after the mark (s)", ylabel="slope (mV/s)", yscale="log")
low.set_ylim(0.2, None)
low.set_xlim(-0.30, 0.55)
drawn = pd.DataFrame((landmarks.beat - zero)[:, wide].T, columns=LEADS)
drawn.insert(0, "time (s)", clock[wide])
figures.show(fig, drawn.assign(slope=slope[wide]), "measure_boundaries", decimals=2)

# %% [markdown]
# Is the small bump before the QRS a {term}`P wave`? Something always bends there. A P wave *repeats* at the same
# distance before each QRS, and the fine waves of {term}`atrial fibrillation` do not: `beats.p_repeats` correlates
# each beat's stretch before the QRS with the median of the others, and calls it a P wave above one half.

# %% [markdown]
# ## The measurements, drawn
# Now the ruler. Heights are counted from the level just before the QRS, which is where the guideline puts the zero
# {cite}`thygesen2018`. The first upward deflection of the QRS is the R wave; a downward one before it is the {term}`Q
# wave`, after it the {term}`S wave`. A QRS that only points down is a *QS*.


# %%
def view(landmarks, lead):
    """Time (s), curve over its zero (mV) and the boundaries (s) of one lead."""
    row, fs = LEADS.index(lead), landmarks.fs
    edges = landmarks.waves.leads[row]
    onset = round((edges[1, 0] + beats.BEFORE) * fs)
    zero = landmarks.beat[row, onset - 6 : onset - 1].mean()
    clock = np.arange(landmarks.beat.shape[1]) / fs - beats.BEFORE
    return clock, landmarks.beat[row] - zero, edges


def level(clock, curve, time):
    return float(np.interp(time, clock, curve))


# %% tags=["hide-input"] mystnb={"image": {"alt": "A beat of lead V4 with P, a small Q, a tall R, an S and a T wave labelled by height, the J point marked at the end of the QRS, and bars below for the P wave, PR, QRS and QT.", "classes": "paper dark-light"}, "figure": {"caption": "Lead V4 of that Normal page, redrawn from its digitised signal, with its heights (in mV) and, below, the intervals from all leads together (in ms). A small square is 40 ms by 0.1 mV.", "name": "fig-measure-beat"}}
LEAD = "V4"
clock, curve, edges = view(landmarks, LEAD)
fig, ax = plt.subplots(figsize=(7.2, 7.4), dpi=120)
figures.ecg_paper(ax, (-0.32, 0.52), (-1.05, 1.5))
shown = (clock >= -0.30) & (clock <= 0.50)
ax.plot(clock[shown], curve[shown], color="#111111", linewidth=2)
ax.axhline(0, color=figures.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))


def within(start, stop, pick):
    """Time and height of the lowest or highest point between two times."""
    inside = np.flatnonzero((clock >= start) & (clock <= stop))
    at = inside[pick(curve[inside])]
    return clock[at], curve[at]


r_at, r_height = within(*edges[1], np.argmax)
PEAKS = {
    "P": (within(*edges[0], np.argmax), (-0.24, 0.42), "p_mv"),
    "Q": (within(edges[1, 0], r_at, np.argmin), (-0.14, -0.30), "q_mv"),
    "R": ((r_at, r_height), (0.06, 1.36), "r_mv"),
    "S": (within(r_at, edges[1, 1], np.argmin), (0.10, -0.40), "s_mv"),
    "T": (within(*edges[2], np.argmax), (0.30, 0.62), "t_mv"),
}
LINE = {"arrowstyle": "-", "color": BLUE, "linewidth": 0.9}
rows = []
for name, (tip, at, key) in PEAKS.items():
    value = numbers[f"{LEAD}_{key}"]
    words = f"{name}  {value:.2f} mV"
    ax.annotate(words, tip, at, color=BLUE, fontsize=11, arrowprops=LINE)
    rows.append((name, tip[0], tip[1], value))
j = edges[1, 1], level(clock, curve, edges[1, 1])
words = f"J point  {numbers[LEAD + '_stj_mv']:+.2f} mV"
ax.annotate(words, j, (0.045, 0.50), color=RED, fontsize=11, arrowprops=LINE)
ax.plot(*j, "o", color=RED, markersize=6, zorder=5)
rows.append(("J", *j, numbers[LEAD + "_stj_mv"]))
(p_on, p_off), (q_on, q_off), (_, t_off) = landmarks.waves.together
BARS = (
    ("P", p_on, p_off),
    ("PR", p_on, q_on),
    ("QRS", q_on, q_off),
    ("QT", q_on, t_off),
)
for line, (name, start, stop) in enumerate(BARS):
    y = -0.54 - 0.13 * line
    ax.plot((start, stop), (y, y), "|-", color=BLUE, linewidth=1.5, markersize=9)
    words = f"{name}  {1000 * (stop - start):.0f} ms"
    ax.text(stop + 0.012, y, words, color=BLUE, va="center", fontsize=11)
    rows.append((name, start, stop, 1000 * (stop - start)))
ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
names = ["what", "time or start (s)", "height (mV) or end (s)", "measured (mV or ms)"]
figures.show(fig, pd.DataFrame(rows, columns=names), "measure_beat", decimals=3)

# %% [markdown]
# The {term}`PR interval` runs from the start of P to the start of the QRS, the {term}`QT interval` to the end of T.
# Intervals belong to the heart and not to a lead, so they use the boundaries of all leads together. The QT interval
# shortens when the heart beats faster. To compare it between people it is corrected to 60 beats a minute, by dividing
# by a root of the {term}`RR interval` in seconds: the square root after Bazett {cite}`bazett1920`, the cube root
# after Fridericia {cite}`fridericia1920`. The result is called {term}`QTc`.
#
# ### ST and Q
# The two signs of infarction lie on either side of the R wave. On the left below, an acute one: the {term}`J point`,
# where the QRS ends, stands high, and so does all that follows. The level is read at J and 40, 60 and 80 ms later,
# and the slope from J to J + 80 ms. On the right, an old one: a first downward wave, deep and long.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: lead III of an MI page with the ST segment several small squares above the dashed zero line, four dots on it. Right: lead V6 of a History_MI page that starts with a broad deep Q wave and ends with an inverted T wave.", "classes": "paper dark-light"}, "figure": {"caption": "Left: lead III of an MI page, ST read at J, J+40, J+60 and J+80 ms. Right: lead V6 of a History_MI page, depth and duration of Q. Both redrawn from digitised signals; dashed is the zero.", "name": "fig-measure-st-q"}}
ACUTE, OLD = ("MI(26).jpg", "III"), ("PMI(65).jpg", "V6")
fig, axes = plt.subplots(1, 2, figsize=(7.2, 5.6), dpi=130)
drawn = {}
for ax, (name, lead) in zip(axes, (ACUTE, OLD), strict=True):
    _, marks_of, values = real(name)
    clock, curve, edges = view(marks_of, lead)
    low, high = (-0.8, 2.0) if lead == "III" else (-1.1, 1.7)
    figures.ecg_paper(ax, (-0.28, 0.50), (low, high))
    shown = (clock >= -0.26) & (clock <= 0.48)
    ax.plot(clock[shown], curve[shown], color="#111111", linewidth=1.6)
    ax.axhline(0, color=figures.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.text(0.48, high - 0.05, f"{name[:-4]}, {lead}", color=BLUE, ha="right", va="top")
    ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
    drawn |= {"time (s)": clock[shown], f"{name[:-4]} {lead}": curve[shown]}
    if lead == "III":
        times = edges[1, 1] + np.array([0, 0.04, 0.06, 0.08])
        keys = ("stj", "st40", "st60", "st80")
        levels = [values[f"{lead}_{key}_mv"] for key in keys]
        ax.plot(times, levels, "o", color=RED, markersize=4.5, zorder=5)
        words = [
            f"{k}: {v:+.2f}"
            for k, v in zip(("J", "+40", "+60", "+80"), levels, strict=True)
        ]
        slope = values[f"{lead}_st_slope"]
        words.append(f"slope {slope:+.1f} mV/s")
        ax.text(0.12, -0.12, "\n".join(words), color=RED, va="top", fontsize=10)
        figures.glue("measure-st-example", levels[0], ".2f")
    else:
        q_ms, q_mv = values[f"{lead}_q_ms"], values[f"{lead}_q_mv"]
        start = edges[1, 0]
        r_time = clock[np.argmax(np.where((clock > start) & (clock < 0.1), curve, -9))]
        inside = np.flatnonzero((clock >= start) & (clock < r_time))
        at = inside[np.argmin(curve[inside])]
        ax.annotate(
            f"Q {q_mv:.2f} mV\n{q_ms:.0f} ms",
            (clock[at], curve[at]),
            (-0.25, -0.85),
            color=RED,
            arrowprops=LINE | {"color": RED},
        )
        figures.glue("measure-q-example", q_ms, ".0f")
figures.show(fig, pd.DataFrame(drawn), "measure_st_q", decimals=2)

# %% [markdown]
# J stands {glue:text}`measure-st-example` mV above the zero in the one, and the Q wave of the other lasts
# {glue:text}`measure-q-example` ms. Both were picked because they show their sign well; most pages are less clear.
#
# ### The axis
# The six {term}`limb leads <limb lead>` look at the heart from six directions in the frontal plane, the one that
# faces you. The area of the QRS in each is the shadow of one arrow, and `measure.axis` finds the arrow that explains
# all six best: the {term}`electrical axis`.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A compass of the six limb leads; the bars on leads I and II are long and positive, the bar on aVR is negative and nearly as long, and the resulting arrow points down and to the patient's left.", "classes": "chart dark-light"}, "figure": {"caption": "QRS areas of the Normal page along the limb leads in mV ms (bars; a white bar is negative and points the other way) and the arrow that explains them. The patient's left is on the right.", "name": "fig-measure-axis"}}
ANGLES = dict(zip(LEADS[:6], (0, 60, 120, -150, -30, 90), strict=True))
areas = {lead: numbers[f"{lead}_qrs_area"] for lead in ANGLES}
full = max(abs(area) for area in areas.values())
fig, ax = plt.subplots(figsize=(4.6, 4.3))
for lead, angle in ANGLES.items():
    along = np.array([np.cos(np.radians(angle)), -np.sin(np.radians(angle))])
    ax.plot(*np.outer(along, (-1, 1)), color="#d0d4da", linewidth=1)
    x, y = areas[lead] / full * along
    face = "#9cc0ea" if areas[lead] > 0 else "white"
    ax.plot((0, x), (0, y), color="#3b6ea8", linewidth=7, solid_capstyle="butt")
    ax.plot((0, 0.98 * x), (0, 0.98 * y), color=face, lw=5, solid_capstyle="butt")
    words = f"{lead} {areas[lead]:+.1f}"
    ax.text(*(1.18 * along), words, ha="center", va="center", color=BLUE)
angle = np.radians(numbers["axis_deg"])
ax.annotate(
    "",
    (1.05 * np.cos(angle), -1.05 * np.sin(angle)),
    (0, 0),
    arrowprops={"arrowstyle": "-|>", "color": RED, "linewidth": 2.5},
)
at = (1.2 * np.cos(angle), -1.2 * np.sin(angle))
words = f"{numbers['axis_deg']:.0f}°"
ax.text(*at, words, color=RED, fontsize=13, ha="center", va="center")
ax.set_aspect("equal")
ax.set(xlim=(-1.5, 1.5), ylim=(-1.4, 1.3))
ax.axis("off")
drawn = pd.DataFrame(
    {"lead": areas.keys(), "angle": ANGLES.values(), "area (mV ms)": areas.values()}
)
drawn.loc[len(drawn)] = ("axis", numbers["axis_deg"], np.nan)
figures.show(fig, drawn, "measure_axis", decimals=1)

# %% [markdown]
# ### The chest leads
# From V1 to V4 or V5 the R wave should grow, and from V2 on the S wave shrink ({term}`R-wave progression`). Where R
# first outweighs S lies the *transition*, normally about V3 or V4. Tall waves are a sign of thick heart muscle.
# Sokolow and Lyon add the S of V1 to the larger R of V5 and V6 {cite}`sokolow1949`; Cornell's measure adds the R of
# aVL to the S of V3 {cite}`casale1985`.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Beats of V1 to V6 side by side: the R wave grows up to V4 or V5 while the S wave, deep in V2, shrinks; the bars that the Sokolow-Lyon sum uses are marked.", "classes": "paper dark-light"}, "figure": {"caption": "V1 to V6 of the Normal page, redrawn from its digitised signal. Bars: R (blue) and S (red); the thick ones are added by Sokolow and Lyon. The triangle is the transition.", "name": "fig-measure-chest"}}
chest = LEADS[6:]
pieces, rows = {}, []
for lead in chest:
    clock, curve, _ = view(landmarks, lead)
    pieces[lead] = curve[(clock >= -0.10) & (clock <= 0.35)]
top = np.ceil(10 * max(x.max() for x in pieces.values()) + 3) / 10
bottom = np.floor(10 * min(x.min() for x in pieces.values()) - 4) / 10
width = 0.60
fig, ax = plt.subplots(figsize=(7.2, 0.6 + 0.80 * (top - bottom)), dpi=150)
figures.ecg_paper(ax, (0, 6 * width), (bottom, top))
best = max(("V5", "V6"), key=lambda lead: numbers[f"{lead}_r_mv"])
for n, (lead, piece) in enumerate(pieces.items()):
    x = n * width + 0.04 + np.arange(piece.size) / ecg.fs
    ax.plot(x, piece, color="#111111", linewidth=1.2)
    r, s = numbers[f"{lead}_r_mv"], numbers[f"{lead}_s_mv"]
    at = n * width + 0.54
    for depth, colour, summed in ((r, BLUE, lead == best), (-s, RED, lead == "V1")):
        ax.plot((at, at), (0, depth), color=colour, linewidth=5 if summed else 1.8)
    ax.text(n * width + 0.05, top - 0.05, lead, color=BLUE, va="top", fontsize=9)
    rows.append((lead, r, s))
place = (numbers["transition"] - 1) * width + 0.54
ax.plot(place, bottom + 0.14, "^", color=figures.ACCENT, markersize=8)
ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
drawn = pd.DataFrame(rows, columns=["lead", "R (mV)", "S (mV)"])
drawn.loc[len(drawn)] = (f"transition at V{numbers['transition']:.1f}", np.nan, np.nan)
figures.show(fig, drawn, "measure_chest", decimals=2)

# %% [markdown]
# All numbers of this page that belong to the whole record, with the usual limits for adults and what to bear in mind.
# Limits of QRS and QTc follow the American recommendations {cite}`surawicz2009,rautaharju2009`.

# %% tags=["hide-input"]
usual = [
    ("heart rate (a minute)", "heart_rate", ".0f", "60 to 100", "ten seconds only"),
    (
        "RR irregularity",
        "rr_irregularity",
        ".3f",
        "none fixed",
        "edge beats may be lost",
    ),
    ("P duration (ms)", "p_ms", ".0f", "below 120", "P is low: least certain"),
    ("PR (ms)", "pr_ms", ".0f", "120 to 200", "hangs on the onset of P"),
    ("QRS (ms)", "qrs_ms", ".0f", "below 120", "25 Hz widens it a little"),
    ("QT (ms)", "qt_ms", ".0f", "with rate", "the end of T is a convention"),
    (
        "QTc Bazett (ms)",
        "qtc_bazett_ms",
        ".0f",
        "below 450 men, 460 women",
        "too long when fast",
    ),
    ("QTc Fridericia (ms)", "qtc_fridericia_ms", ".0f", "as above", "sex not certain"),
    ("axis (degrees)", "axis_deg", ".0f", "-30 to 90", "limb leads of two columns"),
    ("transition (V...)", "transition", ".1f", "3 to 4", "hangs on electrode places"),
    (
        "Sokolow-Lyon (mV)",
        "sokolow_lyon_mv",
        ".2f",
        "below 3.5",
        "filter lowers R and S",
    ),
    ("Cornell (mV)", "cornell_mv", ".2f", "up to 2.8 men, 2.0 women", "the same; sex"),
]
rows = [
    (words, format(numbers[key], spec), limits, caveat)
    for words, key, spec, limits, caveat in usual
]
names = ["measurement", "this page", "usual in adults", "caveat"]
figures.table(pd.DataFrame(rows, columns=names), "measure_numbers")

# %% [markdown]
# ## Criteria of infarction
# No single lead decides. The *Fourth Universal Definition of Myocardial Infarction* {cite}`thygesen2018` asks for a
# sign in two {term}`contiguous leads`, neighbours that look at one wall of the heart. Our three walls, or
# {term}`territories <territory>`, are in the table. What is asked of the leads:
#
# - *ST elevation at the J point*: 0.1 mV; in V2 and V3 0.2 mV in men from 40 years, 0.25 mV in younger men, 0.15 mV
#   in women. We take 0.2 mV where the page says "Male" or nothing, 0.15 mV where it says "Female"; the limit of
#   younger men is never used, for no age is printed.
# - *Pathological Q*: any Q longer than 20 ms, or a QS, in V2 or V3; else 30 ms and 0.1 mV deep, or a QS, in two contiguous
#   leads of the others. A QS in V1 is common in health and not counted.
# - *ST depression* of 0.05 mV, *T inversion* of 0.1 mV with R above S: measured too, and much less specific.
#
# "New", says the guideline of the changes of ST and T, and it excludes bundle branch block and thick muscle, which
# our rules do not; a single page cannot tell what is new. And the definition of infarction is more than an ECG: it
# asks for troponin in the blood.

# %%
walls = pd.DataFrame(
    [
        (wall, ", ".join(f"{a}+{b}" for a, b in pairs))
        for wall, pairs in measure.TERRITORIES.items()
    ],
    columns=["territory", "pairs of contiguous leads"],
)
for name, (page_name, _) in {"MI": ACUTE, "History_MI": OLD}.items():
    values = real(page_name)[2]
    for sign, key in (("ST up", "st_up"), ("Q", "q")):
        met = [
            "yes" if values[f"{key}_{wall}"] == 1 else "no" for wall in walls.territory
        ]
        walls[f"{sign}, {name} page"] = met
figures.table(walls, "measure_walls")

# %% [markdown]
# The two pages of {numref}`fig-measure-st-q` again.

# %% [markdown]
# ## How wrong is each number?
# ### Against a known truth
# For synthetic pages we know what was put in, measured on the beat without noise. Here are the errors over our
# synthetic pages: the median (bias) and the range that holds nine errors in ten (spread).

# %%
COMPARED = {
    "heart rate (a minute)": None,
    "QRS duration (ms)": None,
    "R height (mV)": ("r_mv", "r"),
    "Q depth (mV)": ("q_mv", "q"),
    "Q duration (ms)": ("q_ms", "q_ms"),
    "ST at J+60 (mV)": ("st60_mv", "st"),
    "T height (mV)": ("t_mv", "t"),
}
errors = {name: [] for name in COMPARED}
for key, page in pages.items():
    values, truth = measure.of_landmarks(found[key], page.sex), page.truth
    rate = 60 / np.diff(truth["r_times"]).mean()
    errors["heart rate (a minute)"].append(values["heart_rate"] - rate)
    start, end = truth["qrs"]
    errors["QRS duration (ms)"].append(values["qrs_ms"] - 1000 * (end - start))
    for name, pair in COMPARED.items():
        if pair:
            measured = np.array([values[f"{lead}_{pair[0]}"] for lead in LEADS])
            errors[name] += list(measured - truth[pair[1]])
rows = [
    (name, len(e), *np.nanquantile(e, (0.5, 0.05, 0.95))) for name, e in errors.items()
]
names = ["measurement", "compared", "bias", "5 in 100 below", "5 in 100 above"]
bias = pd.DataFrame(rows, columns=names)
figures.glue("measure-st-spread", bias.iloc[5, 3:].abs().max(), ".3f")
figures.glue("measure-q-spread", bias.iloc[4, 3:].abs().max(), ".0f")
figures.glue("measure-qrs-bias", bias["bias"].iloc[1], ".0f")
figures.table(bias, "measure_bias", decimals=3)

# %% [markdown]
# Heights are right to a few hundredths of a millivolt: the ST level is within {glue:text}`measure-st-spread` mV nine
# times in ten, a quarter of a printed millimetre or so. Q durations are within {glue:text}`measure-q-spread` ms. The
# QRS comes out {glue:text}`measure-qrs-bias` ms longer than the generator says. That is a matter of definition: its
# limits are round numbers for where the pulses matter, ours are where the slope has died away, fitted to the eye of
# cardiologists. Which is right? For boundaries, synthetic truth is no truth; we need people.
#
# These pages were not printed and read back. What the reading of the page adds is the subject of the [previous
# chapter](digitize.ipynb).

# %% [markdown]
# ### Against cardiologists
# The Lobachevsky University Database, LUDB {cite}`kalyakulina2020`, holds ECGs of 200 people, 12 leads for 10 s, in
# which cardiologists marked where each P wave, QRS and T wave begins and ends (PhysioNet {cite}`goldberger2000`,
# licence ODC-By). The few constants of `beats` were fitted on its even-numbered records; *the odd-numbered ones,
# which nothing was fitted on, are reported here*. Only signals and boundaries were read. LUDB's diagnoses were not:
# they were kept for an external test that was fixed in advance, see [](../beyond/preregistration.md).
#
# One remark for the record: a first result on the odd half had been seen when the QRS detector was changed once more, for
# reasons found elsewhere (printed heart rates, implausible widths on pages, even-numbered records). The fitted constants
# stayed as they were, and the change cost the odd half a few tenths of a point in waves found.
#
# The rivals are the four methods of NeuroKit2 {cite}`makowski2021`, a widely used toolbox. Here they are given the
# marked R peaks to start from. A boundary counts as found if one of the same kind is reported within 150 ms. This
# chapter reads the stored errors of that run; [](../../ecgbook/ludb.py) made them.

# %%
outputs = pd.read_csv("../results/ludb-delineation/outputs.csv.gz")
scores = ludb.summary(outputs).set_index(["wave", "edge", "method"])
BOUNDARIES = [(wave, edge) for wave in beats.WAVES for edge in ludb.EDGES]
OURS = ["ecgbook", "ecgbook, as on a page"]
RIVALS = [f"neurokit {method}" for method in ludb.NEUROKIT]


def cell(row):
    if np.isnan(row["median_ms"]):
        return "not reported"
    return f"{row['median_ms']:.0f} ms, {100 * row['sensitivity']:.0f} %"


rows = []
for wave, edge in BOUNDARIES:
    given = [f"{rival}, peaks given" for rival in RIVALS]
    cells = [cell(scores.loc[wave, edge, name]) for name in OURS + given]
    marked = outputs.query("wave == @wave and edge == @edge and method == 'ecgbook'")
    rows.append((f"{wave} {edge}", marked["marked"].sum(), *cells))
names = ["boundary", "marked", "ours", "ours, page", *ludb.NEUROKIT]
figures.table(pd.DataFrame(rows, columns=names), "measure_ludb")

# %% [markdown]
# Each cell: median absolute error of those found, and the share found (in per cent). "Ours" sees twelve leads for ten
# seconds, filtered as the pages are; "ours, page" sees only what a page would show, 2.5 s of each lead and the strip,
# and is judged there. The errors of one record resemble each other, so the intervals below resample records.


# %%
def of_record(errors):
    """Absolute errors of one record, counted by whole ms: (151,)."""
    absolute = np.abs(np.array(str(errors).split(), float)).astype(int)
    return np.bincount(absolute[absolute <= 150], minlength=151)


def median_with_interval(part, replicates=1000, seed=0):
    """Median absolute error (ms) and its 95 % bootstrap interval over records."""
    histograms = np.array([of_record(e) for e in part["errors_ms"].fillna("")])
    n = len(histograms)
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), replicates)
    sums = np.cumsum(np.r_[[np.ones(n, int)], draws] @ histograms, axis=1)
    medians = (sums >= sums[:, -1:] / 2).argmax(axis=1)
    return medians[0], *np.quantile(medians[1:], (0.025, 0.975))


rows = [
    (wave, edge, method, *median_with_interval(part))
    for (wave, edge, method), part in outputs.groupby(["wave", "edge", "method"])
    if part["errors_ms"].notna().any() and not method.endswith("given")
]
ludb_intervals = pd.DataFrame(
    rows, columns=["wave", "edge", "method", "median", "low", "high"]
)

# %%
by_method = scores["median_ms"].unstack("method")
best_rival = by_method.filter(like="neurokit").min(axis=1)
all_leads, on_page = by_method["ecgbook"], by_method["ecgbook, as on a page"]
figures.glue("measure-ludb-won", (all_leads <= best_rival).sum())
figures.glue("measure-ludb-won-page", (on_page <= best_rival).sum())
figures.glue("measure-ludb-worst", all_leads.max(), ".0f")
figures.glue("measure-ludb-best", all_leads.min(), ".0f")
lost = [
    f"{' '.join(key)} ({all_leads[key]:.0f} against {best_rival[key]:.0f} ms)"
    for key in BOUNDARIES
    if all_leads[key] > best_rival[key]
]
figures.glue("measure-ludb-lost", ", ".join(lost) or "none")
with_misses = scores["with_misses_ms"].unstack("method")
least = with_misses.filter(like="neurokit").min(axis=1)
for name, method in (("", "ecgbook"), ("-page", "ecgbook, as on a page")):
    won = int((with_misses[method] <= least).sum())
    figures.glue(f"measure-ludb-won-misses{name}", won)
figures.glue("measure-ludb-ppv", scores.loc["P", "onset", "ecgbook"]["ppv"], ".2f")
figures.glue(
    "measure-ludb-sens",
    scores.xs("ecgbook", level="method")["sensitivity"].min(),
    ".3f",
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dots with intervals for six boundaries: our two versions lie at or near the left end of every row; the cwt method comes close at the offsets of P and T, the dwt method at the onset of P.", "classes": "chart dark-light"}, "figure": {"caption": "Median absolute error of the boundaries on the odd-numbered records of LUDB, with 95 % intervals by bootstrap over records. NeuroKit2 with its own R peaks; its peak method reports two boundaries only.", "name": "fig-measure-ludb"}}
STYLE = {
    "ecgbook": ("o", BLUE, "ours"),
    "ecgbook, as on a page": ("D", "#0f766e", "ours, page"),
    "neurokit dwt": ("s", "#a3a9b3", "dwt"),
    "neurokit cwt": ("^", "#7c838f", "cwt"),
    "neurokit peak": ("v", "#565d68", "peak"),
    "neurokit prominence": ("P", "#33373d", "prominence"),
}
fig, ax = plt.subplots(figsize=(7.2, 5.0))
place = {boundary: -n for n, boundary in enumerate(BOUNDARIES)}
for n, (method, (marker, colour, words)) in enumerate(STYLE.items()):
    part = ludb_intervals[ludb_intervals["method"] == method]
    y = [
        place[key] - 0.13 * n + 0.33
        for key in zip(part["wave"], part["edge"], strict=True)
    ]
    ax.hlines(y, part["low"], part["high"], color=colour, linewidth=1.6)
    ax.plot(part["median"], y, marker, color=colour, markersize=6, label=words)
ax.set_yticks(list(place.values()), [f"{wave} {edge}" for wave, edge in BOUNDARIES])
ax.set_xscale("log")
ax.set_xticks([4, 8, 16, 32, 64], ["4", "8", "16", "32", "64"])
ax.minorticks_off()
ax.set_xlabel("median absolute error (ms)")
ax.grid(axis="x")
ax.legend(
    ncols=6,
    loc="lower center",
    bbox_to_anchor=(0.45, 1.0),
    handletextpad=0.2,
    columnspacing=1.0,
)
figures.show(fig, ludb_intervals, "measure_ludb_intervals", decimals=1)

# %% [markdown]
# Our median error lies between {glue:text}`measure-ludb-best` and {glue:text}`measure-ludb-worst` ms, and at least
# {glue:text}`measure-ludb-sens` of the marked boundaries are found. In {glue:text}`measure-ludb-won` of the six
# boundaries the error is no larger than that of the best NeuroKit2 method for that boundary; from a page's worth of
# signal in {glue:text}`measure-ludb-won-page` of six. Exceptions: {glue:text}`measure-ludb-lost`. The median leaves
# out what a method does not find. If every miss counts as an error of 150 ms, the numbers are
# {glue:text}`measure-ludb-won-misses` and {glue:text}`measure-ludb-won-misses-page`.
#
# The comparison is not quite fair, and you should know in which ways. Ours was fitted to these cardiologists' habits,
# on other records; NeuroKit2 was not. Ours sees all leads at once; NeuroKit2 was made for one. Against that,
# NeuroKit2 had the unfiltered signal at twice the sampling rate. Where its error is a constant shift, it may merely
# mean another place by the same word, as an exercise below explores. And P waves are reported too often by everybody:
# of ours, a share of {glue:text}`measure-ludb-ppv` was marked.
#
# How good is good enough? The European working party on such programs allows them to scatter about its cardiologists'
# marks, by two standard deviations, from about 7 ms at the onset of the QRS to about 31 ms at the end of T
# {cite}`cse1985,martinez2004`. A difference of some milliseconds between two pages means nothing.

# %% [markdown]
# ## What the filter takes away
# Before we count anything on real pages: how far does their filter move the numbers? The original signals are lost.
# But we can build a heart without any filter, an injured inferior wall with a Q wave and 0.2 mV of ST elevation in
# aVF, and pass it through two filters of the printed limits: one that runs forwards and backwards and so delays
# nothing, which our synthetic records use, and one that runs one way, as simple electronics would. Which of them the
# hospital's machine has, the page does not say.

# %%
from scipy.signal import butter, sosfilt

FS, INFERIOR = 500, np.array([0.0, 1.0, 0.0])
PULSES = [  # ms after R, width in ms, vector to the left, the feet and the back (mV)
    (-160, 19, (0.06, 0.08, 0.00)),  # P
    (-26, 8, (0.05, -0.30, -0.15)),  # first forces, away from the scar
    (0, 10, (0.90, 0.80, 0.40)),
    (24, 9, (0.15, -0.15, 0.60)),
    (250, 45, (0.25, 0.15, -0.20)),  # T
]
PULSES += [(t, 20, 0.115 * INFERIOR) for t in range(40, 275, 34)]  # ST
time = np.arange(-8, 18, 1 / FS)
vector = np.zeros((3, time.size))
for beat in np.arange(-9.5, 20, 0.8):
    for late, width, direction in PULSES:
        pulse = np.exp(-0.5 * ((time - beat - late / 1000) / (width / 1000)) ** 2)
        vector += np.outer(direction, pulse)
raw = synth.twelve_leads(synth.DOWER @ vector)

low_pass = butter(1, 25, fs=FS, output="sos")
high_pass = butter(1, 0.67, "highpass", fs=FS, output="sos")
versions = {
    "no filter": raw,
    "0.67-25 Hz, both ways": synth.page_filter(raw, FS),
    "0.67-25 Hz, one way": sosfilt(low_pass, sosfilt(high_pass, raw)),
}

# %% tags=["hide-input"] mystnb={"image": {"alt": "One beat of lead aVF three times over each other: without a filter the ST segment stands two small squares up and R is tallest; both filters lower both, the one-way filter more, and it leaves a dip behind the T wave.", "classes": "paper dark-light"}, "figure": {"caption": "Lead aVF of a heart built without a filter, and after two filters of the limits that the pages print.", "name": "fig-measure-filter"}}
KEPT = (time >= 0) & (time < 10)
COLOURS = {"no filter": "#111111"}
COLOURS |= {"0.67-25 Hz, both ways": BLUE, "0.67-25 Hz, one way": RED}
fig, ax = plt.subplots(figsize=(5.4, 6.2), dpi=130)
figures.ecg_paper(ax, (-0.28, 0.48), (-0.5, 1.3))
drawn, filtered = {}, {}
for n, (name, signals) in enumerate(versions.items()):
    ecg = synth.Record(signals[:, KEPT], FS, "II", 75, "Male", "", {})
    marks_of = measure.landmarks(ecg)
    filtered[name] = measure.of_landmarks(marks_of, ecg.sex)
    clock, curve, _ = view(marks_of, "aVF")
    shown = (clock >= -0.26) & (clock <= 0.46)
    ax.plot(clock[shown], curve[shown], color=COLOURS[name], linewidth=1.5)
    ax.text(0.46, 1.23 - 0.09 * n, name, color=COLOURS[name], ha="right", va="top")
    drawn |= {"time (s)": clock[shown], name: curve[shown]}
ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
figures.show(fig, pd.DataFrame(drawn), "measure_filter", decimals=2)

# %%
WANTED = {
    "q_mv": "Q (mV)",
    "q_ms": "Q (ms)",
    "r_mv": "R (mV)",
    "stj_mv": "ST at J (mV)",
}
WANTED |= {"st60_mv": "ST at J+60 (mV)", "t_mv": "T (mV)"}
effect = pd.DataFrame(
    {
        words: [values[f"aVF_{key}"] for values in filtered.values()]
        for key, words in WANTED.items()
    }
)
effect.insert(0, "filter", filtered.keys())
effect["QRS (ms)"] = [values["qrs_ms"] for values in filtered.values()]
lost = 1 - effect["ST at J+60 (mV)"] / effect["ST at J+60 (mV)"].iloc[0]
figures.glue("measure-filter-two", lost.iloc[1], ".0%")
figures.glue("measure-filter-one", lost.iloc[2], ".0%")
shorter = 1 - effect["R (mV)"] / effect["R (mV)"].iloc[0]
figures.glue("measure-filter-r-two", shorter.iloc[1], ".0%")
figures.glue("measure-filter-r-one", shorter.iloc[2], ".0%")
figures.glue("measure-filter-q", ", ".join(f"{q:.0f}" for q in effect["Q (ms)"]))
figures.table(effect, "measure_filter_effect", decimals=2)

# %% [markdown]
# The kinder filter takes {glue:text}`measure-filter-two` of the ST elevation and {glue:text}`measure-filter-r-two` of
# R; the other takes {glue:text}`measure-filter-one` and {glue:text}`measure-filter-r-one`. The
# duration of Q reads {glue:text}`measure-filter-q` ms in the three rows. A sign that stood just above its limit may
# print below it. The recommendations ask for 0.05 Hz at the lower end, or up to 0.67 Hz if the filter delays nothing,
# and at least 150 Hz at the upper end {cite}`kligfield2007`. As a rule, then, a criterion that is met means more here
# than one that is missed; an exercise below shows that it is no law.

# %% [markdown]
# ## The 491 pages
# The package carries these measurements for all distinct pages, as `measure.measurements()`: a row for each, and
# {glue:text}`measure-columns` columns. First a check on the reading as a whole: the machine printed a heart rate, and
# we compute one from the beats that we found.

# %%
info = data.pages().rename(columns={"heart_rate": "printed"})
table = measure.measurements().merge(info[["file", "label", "printed"]], on="file")
off = (table["heart_rate"] - table["printed"].astype(float)).abs()
figures.glue("measure-columns", len(measure.COLUMNS))
figures.glue("measure-rate-agrees", (off <= 3).mean(), ".1%")
figures.glue("measure-rate-off", int((off > 3).sum()))
regular = table.loc[off > 3, "rr_irregularity"] <= 0.1
figures.glue("measure-rate-regular", int(regular.sum()))
differing = table.loc[off > 3, ["label", "printed", "heart_rate", "rr_irregularity"]]
farthest = table.loc[off.idxmax()]
words = f"{farthest['printed']} printed and {farthest['heart_rate']:.0f} ours"
figures.glue("measure-rate-largest", words)
differing = differing.sort_values("rr_irregularity")
differing.columns = ["class", "printed rate", "ours", "RR irregularity"]
figures.table(differing, "measure_rates", decimals=2)

# %% [markdown]
# Ours, now the mean over all beats and not the usual interval as in the [previous chapter](digitize.ipynb), lies
# within three beats a minute on {glue:text}`measure-rate-agrees` of the pages. Of the other
# {glue:text}`measure-rate-off`, all but {glue:text}`measure-rate-regular` have an irregular rhythm, in which the mean
# over these ten seconds need not be the mean that the machine took. That cannot explain the largest difference,
# {glue:text}`measure-rate-largest`: there one of the two has miscounted. Drawn, the strip of that page shows the
# beats that we count.
#
# Next, the distributions. For ST and Q we need one number a page that respects "two contiguous leads": the highest
# level that two neighbours *both* reach, and the longest Q, at least 0.1 mV deep, that two neighbours both reach.

# %%
PAIRS = [pair for pairs in measure.TERRITORIES.values() for pair in pairs]


def of_two(value, pairs):
    """The highest value that both leads of some pair reach: (pages,)."""
    both = np.array([np.minimum(value(a), value(b)) for a, b in pairs])
    return np.where(np.isfinite(both), both, -np.inf).max(axis=0)


def st_level(lead):
    return table[f"{lead}_stj_mv"].to_numpy()


def q_duration(lead):
    deep = table[f"{lead}_q_mv"] >= 0.1
    return table[f"{lead}_q_ms"].where(deep, 0.0).to_numpy()


table["st_of_two"] = of_two(st_level, PAIRS)
table["q_of_two"] = of_two(q_duration, [p for p in PAIRS if "V1" not in p])
SHOWN = {
    "st_of_two": ("ST at J in two leads (mV)", (-0.15, 0.85)),
    "q_of_two": ("Q in two leads (ms)", (-4, 134)),
    "rr_irregularity": ("RR irregularity", (-0.01, 0.42)),
    "qrs_ms": ("QRS duration (ms)", (60, 205)),
    "heart_rate": ("heart rate (a minute)", (40, 165)),
    "qrs_t_angle_deg": ("angle of QRS and T axes (degrees)", (-5, 185)),
}


def median_interval(values):
    """Median and its 95 % interval (order statistics; any distribution)."""
    from scipy.stats import binom

    ordered = np.sort(values)
    rank = max(int(binom.ppf(0.025, len(ordered), 0.5)), 1)
    return np.median(ordered), ordered[rank - 1], ordered[len(ordered) - rank]


rows = [
    (words, label, *median_interval(part[key].dropna()))
    for key, (words, _) in SHOWN.items()
    for label, part in table.groupby("label")
]
medians = pd.DataFrame(rows, columns=["measurement", "class", "median", "low", "high"])
medians = medians.set_index(["measurement", "class"])

# %% tags=["hide-input"] mystnb={"image": {"alt": "Six panels of dots by class: ST in two leads sets most MI pages apart, Q duration about half of the History_MI pages, heart rate the Abnormal pages; RR irregularity and QRS duration overlap but for tails, longest in Abnormal.", "classes": "chart dark-light"}, "figure": {"caption": "Six measurements of the 491 pages, one dot a page; values beyond the scale lie on its edge. Black: the median of the class and its 95 % interval.", "name": "fig-measure-classes"}}
rng = np.random.default_rng(0)
fig, axes = plt.subplots(3, 2, figsize=(7.2, 7.4), sharey=True)
for ax, (key, (words, limits)) in zip(axes.flat, SHOWN.items(), strict=True):
    for row, label in enumerate(data.CLASSES):
        values = table.loc[table["label"] == label, key].clip(*limits)
        ax.plot(
            values,
            row + rng.uniform(-0.3, 0.3, len(values)),
            figures.MARKERS[label],
            color=figures.COLOURS[label],
            markersize=2.8,
            alpha=0.55,
        )
        middle, low, high = medians.loc[words, label]
        ax.vlines(middle, row - 0.42, row + 0.42, color=figures.INK, linewidth=2.2)
        ax.hlines(row, low, high, color=figures.INK, linewidth=2.2)
    margin = 0.02 * (limits[1] - limits[0])
    ax.set_xlim(limits[0] - margin, limits[1] + margin)
    ax.set_xlabel(words)
    ax.set_yticks(range(4), data.CLASSES)
axes[0, 0].invert_yaxis()
drawn = table[["file", "label", *SHOWN]].replace(-np.inf, np.nan)
figures.show(fig, drawn, "measure_classes", decimals=3)

# %%
figures.table(medians.reset_index(), "measure_medians", decimals=3)

# %%
wide_qrs = table["qrs_ms"] > 200
figures.glue("measure-wide", int(wide_qrs.sum()))
for name, rare in {
    "irregular": table["rr_irregularity"] > 0.1,
    "broad": table["qrs_ms"] >= 120,
}.items():
    figures.glue(f"measure-{name}", int(rare.sum()))
    in_abnormal = rare & (table["label"] == "Abnormal")
    figures.glue(f"measure-{name}-abnormal", int(in_abnormal.sum()))

# %% [markdown]
# Each class has its own number. MI stands apart by ST, History_MI by Q, Abnormal by the heart rate. None of them
# parts a class from the others cleanly, and the overlap is largest between History_MI and Normal. Irregular rhythms
# (RR irregularity above one tenth, {glue:text}`measure-irregular` pages, {glue:text}`measure-irregular-abnormal` of
# them Abnormal) and broad QRS complexes (120 ms and more, {glue:text}`measure-broad` and
# {glue:text}`measure-broad-abnormal`) stand mostly in Abnormal, the largest folder; as a share of its folder, a broad
# QRS is commonest in MI. Most of Abnormal is fast and regular, as the chapter on
# [fingerprints](../audit/fingerprints.ipynb) has shown for the rate.
#
# On {glue:text}`measure-wide` pages the QRS measures more than 200 ms. Some of these are wide ventricular rhythms; on
# others the ST segment rises out of the QRS without any J point to be seen, and the number is wrong. A measurement
# that can fail in the sickest hearts should not be trusted alone.

# %% [markdown]
# ## The guideline, without learning
# No parameter is fitted here. A page meets the ST criterion, or not; the Q criterion, or not. The intervals are exact
# ones for k of n.

# %%
territories = list(measure.TERRITORIES)
table["ST elevation"] = table[[f"st_up_{wall}" for wall in territories]].max(axis=1)
table["pathological Q"] = table[[f"q_{wall}" for wall in territories]].max(axis=1)
table["either"] = table[["ST elevation", "pathological Q"]].max(axis=1)
rows = []
for sign in ("ST elevation", "pathological Q", "either"):
    for label in data.CLASSES:
        verdict = table.loc[table["label"] == label, sign].dropna()
        k, n = int(verdict.sum()), len(verdict)
        rows.append((sign, label, k, n, k / n, *evaluate.exact_interval(k, n)))
names = ["criterion", "class", "k", "n", "share", "low", "high"]
met = pd.DataFrame(rows, columns=names)
figures.table(met, "measure_criteria", decimals=2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Intervals by class in two panels: ST elevation is met by most MI pages and few others; a pathological Q by about two thirds of History_MI, half of MI, a fifth of Abnormal and almost no Normal pages.", "classes": "chart dark-light"}, "figure": {"caption": "Share of the pages of each class that meet the guideline's criteria, with exact 95 % intervals; the numbers are k of n.", "name": "fig-measure-criteria"}}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), sharey=True)
for ax, sign in zip(axes, ("ST elevation", "pathological Q"), strict=True):
    part = met[met["criterion"] == sign]
    for row, line in enumerate(part.itertuples()):
        colour = figures.COLOURS[line[2]]
        ax.hlines(row, line.low, line.high, color=colour, linewidth=2.5)
        ax.plot(line.share, row, figures.MARKERS[line[2]], color=colour, markersize=7)
        words = f"{line.k} of {line.n}"
        right = line.share < 0.6
        ax.text(
            line.high + 0.03 if right else line.low - 0.03,
            row,
            words,
            va="center",
            ha="left" if right else "right",
        )
    ax.set_yticks(range(4), data.CLASSES)
    ax.set_xlim(-0.02, 1)
    ax.set_title(sign)
    ax.set_xlabel("share of the class")
    ax.grid(axis="x")
axes[0].set_ylim(3.5, -0.5)
figures.show(fig, met[met["criterion"] != "either"], "measure_criteria_drawn")

# %%
by = met.set_index(["criterion", "class"])


def glue_share(name, sign, label):
    line = by.loc[sign, label]
    figures.glue(f"{name}-k", f"{line.k:.0f} of {line.n:.0f}")
    figures.glue(f"{name}-interval", f"{line.low:.0%} to {line.high:.0%}")


glue_share("measure-st-mi", "ST elevation", "MI")
no_elevation = table[(table["label"] == "MI") & (table["ST elevation"] == 0)]
depressed = no_elevation[[f"st_down_{wall}" for wall in territories]].max(axis=1)
figures.glue("measure-st-missed", len(no_elevation))
figures.glue("measure-st-missed-down", int(depressed.sum()))
glue_share("measure-st-normal", "ST elevation", "Normal")
glue_share("measure-st-history", "ST elevation", "History_MI")
glue_share("measure-q-history", "pathological Q", "History_MI")
glue_share("measure-q-mi", "pathological Q", "MI")
glue_share("measure-q-normal", "pathological Q", "Normal")
glue_share("measure-q-abnormal", "pathological Q", "Abnormal")

# %% [markdown]
# **ST elevation.** {glue:text}`measure-st-mi-k` MI pages meet the criterion ({glue:text}`measure-st-mi-interval`),
# and {glue:text}`measure-st-normal-k` Normal ones ({glue:text}`measure-st-normal-interval`). Of the
# {glue:text}`measure-st-missed` MI pages that miss it, {glue:text}`measure-st-missed-down` show ST depression in two
# contiguous leads; the others may be early or late, or have lost their elevation to the filter. The guideline knows
# infarction without elevation. {glue:text}`measure-st-history-k` History_MI pages meet it too: after a large
# infarction ST may stay raised.
#
# **Pathological Q.** {glue:text}`measure-q-history-k` History_MI pages meet the criterion
# ({glue:text}`measure-q-history-interval`), {glue:text}`measure-q-mi-k` MI pages, {glue:text}`measure-q-abnormal-k`
# Abnormal and {glue:text}`measure-q-normal-k` Normal ones. A Q wave says that muscle is missing, not since when, nor
# why: it appears within hours of an acute infarction, and a bundle branch block or thick muscle can imitate it. And
# the scars of the other History_MI pages have left no Q wave that we can see. Perhaps they never made one, or it has
# faded, or it was lowered below 0.1 mV. No model can find on a page what is not there.
#
# ### How much hangs on the limit?
# If the filter lowers ST by an unknown share, then what a limit of 0.1 mV finds here is not what it would find on
# unfiltered paper. So we move the limits and look at the whole curve. Where it is flat, the exact limit hardly
# matters.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two panels of falling curves by class. As the ST limit is scaled, MI falls slowly and the others drop to near zero before the guideline value; as the Q limit moves from 15 to 60 ms, History_MI and MI stay far above Abnormal and Normal.", "classes": "chart dark-light"}, "figure": {"caption": "Share of each class that meets the criterion when the limit moves: ST limits of all leads scaled by a common factor (left), limit of the duration of Q in two contiguous leads (right). Vertical lines: the guideline.", "name": "fig-measure-limits"}}
female = (table["file"].map(sex_of) == "Female").to_numpy()


def st_over_limit(lead):
    septal = np.where(female, 0.15, 0.2)
    return st_level(lead) / (septal if lead in ("V2", "V3") else 0.1)


PANELS = {
    "ST limit, times the guideline's": (of_two(st_over_limit, PAIRS), (0.4, 2.0), 1.0),
    "Q limit (ms)": (table["q_of_two"].to_numpy(), (15, 60), 30.0),
}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.4), sharey=True)
rows = []
for ax, (words, (value, span, guideline)) in zip(axes, PANELS.items(), strict=True):
    limits = np.linspace(*span, 41)
    for label in data.CLASSES:
        mine = value[table["label"] == label]
        share = (mine[:, None] >= limits).mean(axis=0)
        ax.plot(limits, share, color=figures.COLOURS[label])
        ax.plot(
            limits[::8],
            share[::8],
            figures.MARKERS[label],
            color=figures.COLOURS[label],
            markersize=5,
            label=label,
        )
        rows += [(words, label, *pair) for pair in zip(limits, share, strict=True)]
    ax.axvline(guideline, color=figures.MUTED, linewidth=1)
    ax.set_xlabel(words)
    ax.set_xlim(*span)
axes[0].set_ylabel("share of the class")
axes[0].set_ylim(0, 1)
axes[1].legend(loc="upper right", fontsize=9)
curves = pd.DataFrame(rows, columns=["panel", "class", "limit", "share"])
figures.show(fig, curves, "measure_limits")

# %%
ratio = PANELS["ST limit, times the guideline's"][0]
for label in ("MI", "Normal"):
    mine = ratio[table["label"] == label]
    figures.glue(f"measure-lower-{label}", int((mine >= 0.67).sum()))
    figures.glue(f"measure-higher-{label}", int((mine >= 1.5).sum()))

# %% [markdown]
# With the ST limits lowered by a third, a generous allowance for the filter, {glue:text}`measure-lower-MI` MI pages
# would meet them, and {glue:text}`measure-lower-Normal` Normal ones; with limits half as high again,
# {glue:text}`measure-higher-MI` and {glue:text}`measure-higher-Normal`. The MI curve falls slowly there: most of
# these pages stand well above these limits. The Normal curve falls steeply; just below the guideline's value the
# Normal pages begin. The Q curve of History_MI falls slowly and shows no step at 30 ms. A learned model may find a
# better place to cut than the guideline has, on these pages and for this machine; it will not find a clean one.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-measure-1
# *Easy.* The bedside rule for a 10 s strip: count the beats and multiply by six. How far is it from 60 over the mean
# RR interval, at most, on the 491 pages? What would you expect?
# ```
#
# ```{solution-start} ex-measure-1
# :class: dropdown
# ```

# %%
rule = 6 * table["beats"]
distance = (rule - table["heart_rate"]).abs()
assert 3 < distance.max() < 9
print(f"median {distance.median():.1f}, largest {distance.max():.1f} beats a minute")

# %% [markdown]
# Counting cannot be finer than one beat in ten seconds, six a minute, and an interval cut off at either end can cost
# nearly another one. Measuring intervals is finer by far.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-measure-2
# *Medium.* A good correction leaves no trace of the heart rate in QTc. Which of the two, Bazett's or Fridericia's,
# leaves less on the Normal and Abnormal pages together? Use the rank correlation of QTc with the heart rate.
# ```
#
# ```{solution-start} ex-measure-2
# :class: dropdown
# ```

# %%
two = table[table["label"].isin(["Normal", "Abnormal"])]
left_over = {
    name: two[f"qtc_{name}_ms"].corr(two["heart_rate"], method="spearman")
    for name in ("bazett", "fridericia")
}
uncorrected = two["qt_ms"].corr(two["heart_rate"], method="spearman")
assert abs(left_over["fridericia"]) < abs(left_over["bazett"]) < abs(uncorrected)
print(f"QT: {uncorrected:.2f}", {k: round(float(v), 2) for k, v in left_over.items()})

# %% [markdown]
# Bazett's square root corrects too much when the heart is fast, and would call many a fast heart's QT long. On a data
# set whose classes differ in heart rate, QTc after Bazett carries the rate in disguise.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-measure-3
# *Medium.* At the bedside the axis is judged from leads I and aVF alone: both upright, it lies between 0 and 90
# degrees. How often does this rule agree with the axis from six leads?
# ```
#
# ```{solution-start} ex-measure-3
# :class: dropdown
# ```

# %%
known = table.dropna(subset=["axis_deg", "I_qrs_area", "aVF_qrs_area"])
upright = (known["I_qrs_area"] > 0) & (known["aVF_qrs_area"] > 0)
agreement = (upright == known["axis_deg"].between(0, 90)).mean()
assert 0.9 < agreement < 1
print(f"{agreement:.3f} of {len(known)} pages")

# %% [markdown]
# Nearly always. It fails near the borders, where the other four leads have a say, and where I and aVF, which stand in
# two columns of the page, were averaged over different beats.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-measure-4
# *Medium.* Send twenty synthetic MI records through the one-way filter *once more*. What becomes of the ST level that
# two neighbours both reach, at J, J+60 and J+80 ms? How many of the records that met the criterion still meet it?
# ```
#
# ```{solution-start} ex-measure-4
# :class: dropdown
# ```


# %%
def st_of_two(ecg):
    """Criterion met, and the level that two neighbours reach at J, J+60 and J+80."""
    values = measure.measure(synth.window(ecg))
    met = any(values[f"st_up_{wall}"] == 1 for wall in territories)
    keys = ("stj_mv", "st60_mv", "st80_mv")
    levels = [
        max(min(values[f"{a}_{key}"], values[f"{b}_{key}"]) for a, b in PAIRS)
        for key in keys
    ]
    return [met, *levels]


low_pass = butter(1, 25, fs=synth.FS, output="sos")
high_pass = butter(1, 0.67, "highpass", fs=synth.FS, output="sos")
readings = []
for seed in range(20):
    ecg = synth.record("MI", seed)
    again = sosfilt(low_pass, sosfilt(high_pass, ecg.leads - ecg.leads[:, :1]))
    readings.append(st_of_two(ecg) + st_of_two(ecg._replace(leads=again)))
readings = np.array(readings, float)
first, second = readings[:, :4], readings[:, 4:]
ratios = np.median(second[:, 1:] / first[:, 1:], axis=0)
assert ratios[0] > ratios[1] > ratios[2] and ratios[2] < 1
print("J, J+60, J+80 times", ratios.round(2).tolist())
print(int(first[:, 0].sum()), "met it,", int((first * second)[:, 0].sum()), "still do")

# %% [markdown]
# At J the level even rises on most records: the low-pass smears the end of the QRS over it. Later the high-pass has
# its say, and the level sinks. Neither is the heart's doing. Few records lose the criterion, for synthetic
# infarctions are made to stand well above it; one that barely meets it could be moved either way.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-measure-5
# *Hard.* NeuroKit2's `dwt` method places the onset of the QRS far too early on LUDB. Is it wrong, or does it only
# mean another place? Learn its median shift on the first fifty reported records, take it off on the other fifty, and
# see what median absolute error is left. Give ours the same chance.
# ```
#
# ```{solution-start} ex-measure-5
# :class: dropdown
# ```


# %%
def qrs_onset_errors(method, records):
    part = outputs.query("wave == 'QRS' and edge == 'onset' and method == @method")
    part = part[part["record"].isin(records)]
    return np.array(" ".join(part["errors_ms"].fillna("").astype(str)).split(), float)


numbered = sorted(outputs["record"].unique())
left = {}
for method in ("neurokit dwt", "ecgbook"):
    shift = np.median(qrs_onset_errors(method, numbered[:50]))
    rest = qrs_onset_errors(method, numbered[50:])
    left[method] = np.median(np.abs(rest)), np.median(np.abs(rest - shift))
    print(method, "raw and shifted:", *(round(float(e), 1) for e in left[method]))
assert left["neurokit dwt"][1] < left["neurokit dwt"][0]
assert left["ecgbook"][1] < left["neurokit dwt"][1]

# %% [markdown]
# Taking off the shift helps, but most of the error remains: it is scatter, not a convention. And a shift is learned
# on records that are not judged, as everything in this book.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - The rhythm strip alone misses {glue:text}`measure-naive-missed` of the beats; the leads of a column together miss
#   {glue:text}`measure-ours-missed` of {glue:text}`measure-beats`.
# - Beats are aligned, averaged, and cut where the slope has died away; on LUDB's odd-numbered records the boundaries are within
#   {glue:text}`measure-ludb-best` to {glue:text}`measure-ludb-worst` ms of the cardiologists' in the median.
# - Every limit is approximate: of the ST elevation of one test beat, 60 ms after J, two such filters take
#   {glue:text}`measure-filter-two` and {glue:text}`measure-filter-one`; at J a filter can also raise the level.
# - Without learning: ST elevation on {glue:text}`measure-st-mi-k` MI pages and {glue:text}`measure-st-normal-k` Normal ones; a
#   pathological Q on {glue:text}`measure-q-history-k` History_MI pages and {glue:text}`measure-q-normal-k` Normal ones.
# - No number parts the classes cleanly. "Normal" does not exclude an infarction, and a Q wave does not date one.
# ```
#
# ## Further reading
# The pages: {cite}`khan2021` (CC BY 4.0). The definition of infarction, with its tables of limits:
# {cite}`thygesen2018`. How an ECG should be recorded {cite}`kligfield2007`, and how QRS {cite}`surawicz2009` and ST,
# T and QT {cite}`rautaharju2009` should be read. The classics are short and worth it: {cite}`bazett1920`,
# {cite}`fridericia1920`, {cite}`sokolow1949`, {cite}`casale1985`. Delineation: LUDB {cite}`kalyakulina2020`, a
# wavelet delineator and how such programs are judged {cite}`martinez2004`, NeuroKit2 {cite}`makowski2021`. The code
# of this chapter: [](../../ecgbook/beats.py) and [](../../ecgbook/measure.py).
