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
# # The data set
# In 2026 a network was shown 928 pictures of hearts at work and learned to sort them into four heaps. Before we ask how
# well it did, we should be able to read such a picture ourselves: what the squares mean, why there are twelve curves,
# which millimetre separates an infarction from a healthy heart, and who says which heap is the right one. This chapter
# teaches that, on pages that you can measure yourself.
#
# ```{admonition} What you will learn
# :class: learn
# - what the paper says of its data, beside what the files say;
# - how to read a 12-lead page: squares, leads, waves, intervals, rate and axis;
# - which signs tell the four classes apart, and why every limit is only approximate on these pages;
# - what is known of the people and of the labels, and what is not.
# ```
#
# **Running time:** about 15 seconds on a laptop, offline.

# %% [markdown]
# ## Table 1, beside the files
# The paper {cite}`li2026` takes its pages from the *ECG Images dataset of Cardiac Patients* {cite}`khan2021`, EICP for
# short: 928 JPEG files in four folders. Here is its Table 1, and beside it what the package counts: the files, and the
# *distinct* files, which differ in at least one byte.

# %%
import pandas as pd

from ecgbook import data, figures

figures.use()
files, order = data.files(), list(data.CLASSES)
paper = pd.read_csv(data.tables() / "paper_table1.csv").rename(
    columns={"label": "class", "files": "in the paper"}
)
counted = (
    files.groupby("label")
    .agg(files=("file", "size"), distinct=("sha256", "nunique"))
    .loc[order]
)
table1 = paper.join(counted, on="class")
table1.insert(1, "label", [str(i) for i in range(4)])
table1.loc[4] = ["all", "", *table1.iloc[:, 2:].sum()]
figures.table(table1, "data_set_table1")

# %%
assert (paper.set_index("class")["in the paper"] == counted["files"]).all()
figures.glue("data-set-files", len(files))
figures.glue("data-set-distinct", files["sha256"].nunique())
figures.glue("data-set-mi", counted.loc["MI", "distinct"])

# %% [markdown]
# The paper counted its files correctly: all {glue:text}`data-set-files` of them. But only
# {glue:text}`data-set-distinct` are different pages, and of the class that matters most to a patient there are
# {glue:text}`data-set-mi`. What that does to an examination is the subject of [](../audit/copies.ipynb). From here on,
# "page" means one of the distinct ones.
#
# The four folders carry their own arithmetic: each name gives a number of pages and, times twelve, a number of
# {term}`leads <lead>`. We check it against the numbers in the file names.

# %%
promised = (
    pd.Series(data.FOLDERS)
    .str.extract(r"\((?P<pages>\d+)x12=(?P<leads>\d+)\)")
    .astype(int)
)
number = files["file"].str.extract(r"\((\d+)\)")[0].astype(int).groupby(files["label"])
arithmetic = promised.assign(
    adds_up=promised["pages"] * 12 == promised["leads"],
    files=counted["files"],
    missing=number.apply(
        lambda n: ", ".join(
            f"no. {m}" for m in sorted(set(range(1, n.max() + 1)) - set(n))
        )
    ),
)
arithmetic.columns = [
    "pages promised",
    "leads promised",
    "adds up",
    "files",
    "missing in the numbering",
]
figures.table(arithmetic.rename_axis("class").reset_index(), "data_set_folders")

# %% [markdown]
# The multiplication is right in every name, and one name promises a page that does not exist: `MI(215).jpg`. The names
# count leads as if they were data: a study could report 2,880 infarction "images" from this folder. At most
# {glue:text}`data-set-mi` hearts stand behind them.

# %% [markdown]
# ## What is known, and what is not
# The set was published on Mendeley Data in March 2021, version 2, under the licence CC BY 4.0: everybody may copy and
# change it, and has to name its authors. Its description names the Ch. Pervaiz Elahi Institute of Cardiology in Multan,
# Pakistan. An article on an earlier version of the set, which had a fifth class, says that the ECGs were reviewed by
# medical professionals {cite}`khan2021brief`. The pages themselves say the rest, and they are silent on most of what
# one would like to ask.

# %%
known = pd.DataFrame(
    [
        (
            "device",
            "a three-channel EDAN SE-3; its name stands in the footer",
            "calibration, software settings",
        ),
        (
            "when",
            "2019, August 2020, October 2020; printed on each page",
            "what lies between, and why it is missing",
        ),
        (
            "who",
            "sex is printed",
            "age (blank), symptoms, treatment; whether sex was keyed in or is a default",
        ),
        (
            "which person",
            "an exam number is printed",
            "the person: two pages that share a number need not share a heart",
        ),
        (
            "the label",
            "the name of the folder",
            "by which criteria, from what besides the ECG, how old the infarction",
        ),
        (
            "second opinion",
            "nothing that we found",
            "how often two readers would agree",
        ),
        (
            "selection",
            "nothing that we found",
            "how the pages were chosen from the work of a hospital",
        ),
        ("the copies", "the files are identical, byte for byte", "how they came about"),
    ],
    columns=["question", "what is known", "what is not"],
)
figures.table(known, "data_set_known")

# %% [markdown]
# So a label in this book is the name of a folder, no more. "Normal" is such a name: it never means that infarction is
# excluded, for a heart that is being starved of blood can draw a perfectly ordinary ECG for hours. And "the paper's
# model was right" always means "it said what the folder says".
#
# What the pages do print was read from all of them by [](../../ecgbook/printed.py):

# %%
pages = data.pages()
printed = pages.groupby("label").agg(
    pages=("file", "size"),
    exam_numbers=("exam", "nunique"),
    lowest_rate=("heart_rate", "min"),
    median_rate=("heart_rate", "median"),
    highest_rate=("heart_rate", "max"),
    female=("sex", lambda s: (s == "Female").sum()),
    lead_off=("lead_off", "sum"),
)
batches = pd.crosstab(pages["label"], pages["batch"])
batches.columns = ["2019", "Aug 2020", "Oct 2020"]
printed = printed.join(batches).loc[order].rename_axis("class").reset_index()
printed.columns = [c.replace("_", " ") for c in printed.columns]
figures.table(printed, "data_set_printed", decimals=1)

# %% [markdown]
# Rates are in beats a minute, everything else counts pages; *exam numbers* says how many different ones there are,
# and *lead off* is the machine's own complaint that an electrode had come loose. Whether any of these could betray
# the class is asked in [](../audit/fingerprints.ipynb).

# %% [markdown]
# ## One page of each class
# Figure 1 of the paper shows a page of each class. Pictures of real pages stay out of this book's repository, but their
# signals have been read from the pages, as [](../signal/digitize.ipynb) tells, and come with the package. So we can draw
# real ECGs again, in the layout of the originals, with our own pen ([](../../ecgbook/draw.py)). What you see is our
# measurement of four pages of the data set {cite}`khan2021`, each marked "Redrawn from its digitised signal".
#
# Which four? An author who picks examples picks the ones that suit. We let a rule pick, one that knows nothing of the
# shape of a heartbeat: of the pages that were read without any flag, and on which the laws of the leads hold better than
# on half of all pages, the one whose heart rate is nearest to the median of its class.

# %%
from ecgbook import digitize, draw, synth

checks = pd.read_csv(data.tables() / "digitize_checks.csv").merge(pages, on="file")
checks["law"] = checks[["einthoven", "goldberger"]].max(axis=1)
agree = (checks["heart_rate_x"] - checks["heart_rate_y"]).abs() <= 3
clean = checks[
    (checks["flags"] == 0) & (checks["law"] <= checks["law"].median()) & agree
]
usual = pages.groupby("label")["heart_rate"].median()
clean = clean.assign(off=(clean["heart_rate_y"] - clean["label"].map(usual)).abs())
chosen = clean.sort_values(["off", "law"]).groupby("label")["file"].first().loc[order]


def redrawn(name):
    """A page drawn from its carried signal, with the sex and the rate that it prints."""
    facts = pages.set_index("file").loc[name]
    ecg = digitize.record(digitize.load(name))
    ecg = ecg._replace(heart_rate=int(facts["heart_rate"]), sex=facts["sex"])
    return ecg, *draw.draw_page(ecg, "Redrawn from its digitised signal")


real = {label: redrawn(name) for label, name in chosen.items()}
figures.glue("data-set-abnormal-rate", real["Abnormal"][0].heart_rate)
print(chosen.to_string())

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four real ECGs redrawn in one layout, one of each class. At this size they look much alike: the same form, thirteen black curves; only the pace and the size of the waves differ at a glance.", "classes": "paper dark-light"}, "figure": {"caption": "One real page of each class, redrawn from its digitised signal (the paper's Figure 1 shows such pages themselves). Pages chosen by rule.", "name": "fig-data-set-classes"}}
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image


def reduced(page, width):
    """A page at another width, with few enough colours for a small file."""
    size = width, round(width * page.height / page.width)
    return page.resize(size, Image.Resampling.LANCZOS).point(
        lambda v: 17 * round(v / 17)
    )


def pictures(images, titles, gap=56, dpi=150):
    """Pictures of one size in two columns, each pixel kept; returns the figure and its axes."""
    width, height = images[0].size
    sheet = Image.new("RGB", (2 * width + gap, 2 * (height + gap)), "white")
    fig = plt.figure(
        figsize=(sheet.width / dpi, sheet.height / dpi), dpi=dpi, layout="none"
    )
    ax = fig.add_axes((0, 0, 1, 1))
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        at = (i % 2 * (width + gap), i // 2 * (height + gap) + gap)
        sheet.paste(image, at)
        ax.text(
            at[0] + 4, at[1] - 10, title, fontsize=12.5, fontweight="bold", va="bottom"
        )
    ax.imshow(sheet, interpolation="nearest")
    ax.axis("off")
    return fig, ax


def facts(label, ecg, traces):
    rows = [(t.lead, np.nanmin(t.samples), np.nanmax(t.samples)) for t in traces]
    frame = pd.DataFrame(rows, columns=["lead", "lowest (mV)", "highest (mV)"])
    return frame.assign(page=label, rate=ecg.heart_rate, rhythm=ecg.rhythm)


fig, ax = pictures(
    [reduced(page, 660) for _, page, _ in real.values()],
    [f"{label}: {name}" for label, name in chosen.items()],
)
real_facts = [facts(label, ecg, traces) for label, (ecg, _, traces) in real.items()]
figures.show(fig, pd.concat(real_facts), "data_set_classes", decimals=2)

# %% [markdown]
# At this size the four look alike. That is the first lesson of the data set: a page is mostly form, and the form is the
# same everywhere. What differs are details of a few millimetres, so we now learn to see those.
#
# To learn, one needs examples in which the signs are plain and their measure is known. [](../../ecgbook/synth.py) makes
# such records. They belong to nobody; the signs of the classes were put in by construction, more clearly than in most
# people. Their pages say "Synthetic record".


# %%
def examples(label, *signs):
    """Synthetic records of a class that show these signs; of Abnormal, those that show no others."""
    for seed in range(500):
        ecg = synth.record(label, seed)
        shown = {*ecg.truth["findings"], ecg.truth["territory"]} - {""}
        if set(signs) <= shown and (label != "Abnormal" or len(shown) == len(signs)):
            yield ecg


def early(ecg):
    """Times of the premature ventricular beats, s."""
    return [
        t
        for t, kind in zip(ecg.truth["r_times"], ecg.truth["kinds"], strict=True)
        if kind == "ventricular"
    ]


records = {
    "MI": next(examples("MI", "inferior", "convex")),
    "History_MI": next(examples("History_MI", "inferior")),
    "Abnormal": next(
        ecg
        for ecg in examples("Abnormal", "PVC")
        if any(0.8 < t < 1.8 for t in early(ecg))
    ),
    "Normal": next(examples("Normal")),
}
drawn = {label: draw.draw_page(ecg) for label, ecg in records.items()}
drawn["Normal"][0].size

# %% [markdown]
# ## Reading the form
# An {term}`electrocardiogram (ECG)` records the voltage between places on the skin while the heart beats. The machine
# draws it like this:

# %% tags=["hide-input"] mystnb={"image": {"alt": "A page with its parts marked: header above, a calibration pulse at the left of each row, four columns of three leads, 2.5 seconds each, one lead for ten seconds at the bottom, and the footer with filter, speed, gain and heart rate.", "classes": "paper dark-light"}, "figure": {"caption": "The parts of a page: twelve leads in three rows and four columns of 2.5 s, and one lead for 10 s below.", "name": "fig-data-set-form"}}
BLUE = "#123f7a"
page, traces = drawn["Normal"]
small = reduced(page, 1120)
fig = plt.figure(
    figsize=(small.width / 150, small.height / 150), dpi=150, layout="none"
)
ax = fig.add_axes((0, 0, 1, 1))
ax.imshow(
    small, interpolation="nearest", extent=(0, page.width, page.height, 0)
)  # axes in pixels of the full page
ax.axis("off")


def point(words, at, to):
    box = {
        "boxstyle": "round,pad=0.25",
        "facecolor": "white",
        "edgecolor": BLUE,
        "linewidth": 0.8,
    }
    arrow = {"arrowstyle": "-", "color": BLUE, "linewidth": 1}
    ax.annotate(
        words, to, at, color=BLUE, fontsize=9, va="center", bbox=box, arrowprops=arrow
    )


def span(start, end, y, words):
    ax.annotate(
        "",
        (start, y),
        (end, y),
        arrowprops={"arrowstyle": "<->", "color": BLUE, "shrinkA": 0, "shrinkB": 0},
    )
    ax.text(
        (start + end) / 2,
        y - 8,
        words,
        color=BLUE,
        fontsize=9,
        ha="center",
        va="bottom",
    )


for column in range(4):
    start = draw.LEFT + 2.5 * column * draw.PX_SECOND
    span(start, start + 2.5 * draw.PX_SECOND, 335, "2.5 s")
span(draw.LEFT, draw.LEFT + 10 * draw.PX_SECOND, 1480, "rhythm strip, 10 s")
point(
    "header: exam number (here none) and sex;\ndiagnosis and the rest are left blank",
    (640, 222),
    (480, 105),
)
point("calibration pulse: 1 mV = 10 mm", (190, 600), (115, 470))
point("name of the lead", (790, 930), (678, 1040))
point("separator: the next\ncolumn comes later", (1200, 605), (1139, 660))
point("footer: filter, mains notch, speed, gain, heart rate", (800, 1545), (700, 1545))
form = pd.DataFrame(
    [(t.lead, t.start, t.start + t.samples.size / t.fs, t.x0, t.y0) for t in traces]
)
form.columns = ["lead", "from (s)", "to (s)", "left (px)", "baseline (px)"]
figures.show(fig, form, "data_set_form", decimals=1)

# %% [markdown]
# **Paper speed and gain.** The footer says 25 mm/s and 10 mm/mV. A small square, 1 mm, is therefore 40 ms wide and
# 0.1 mV high; a large square, 5 mm, is 200 ms wide and half a millivolt high. The {term}`calibration pulse` proves it:
# the machine draws it exactly one millivolt high. We can measure it in the pixels of the page, as a reader would with a
# ruler. The red channel helps: red dots on white paper vanish in it, and the black trace stays.

# %%
ink = np.asarray(page.getchannel("R")) < 128
top = np.flatnonzero(ink[370:480, 113])[
    0
]  # first dark pixel down through the middle of the pulse
foot = np.flatnonzero(ink[370:480, 100])[0]  # and down through the line it stands on
height = int(foot - top)
print(
    "pulse:",
    height,
    "px, which at 200 dots an inch is",
    round(height * 25.4 / 200, 1),
    "mm",
)

# %% [markdown]
# **Time runs on.** The four columns are not four looks at the same moment. Each shows the next 2.5 s, so a beat that you
# see in lead I is over before V1 begins. Only the three leads of one column, and the {term}`rhythm strip` below them,
# show the same beats. The strip is lead III on the pages of August 2020 and lead II on all others.

# %% [markdown]
# ## Twelve leads from ten electrodes
# Ten {term}`electrodes <electrode>` are stuck to the skin: one on each limb, six across the chest. The right leg only
# serves as the ground. From the other nine, the machine forms twelve differences, the {term}`leads <lead>`. Seen from the
# outside, the beating heart is close to an arrow of voltage that turns, and each lead is the shadow of this arrow on one
# direction: it draws upwards when the arrow points its way, and downwards when it points away.
#
# The six {term}`limb leads <limb lead>` look along the frontal plane, the one that faces you. I, II and III are the
# sides of a triangle of arms and leg; aVR, aVL and aVF look from its centre to its corners. The six
# {term}`precordial leads <precordial lead>`, V1 to V6, look along a horizontal cut, from the front of the chest round
# to its left side. The limb angles follow from an equilateral triangle; those of V1 to V6 from measurements on a
# torso model {cite}`dower1980`.

# %%
right, left, leg = np.array(
    [[-1, 3**-0.5], [1, 3**-0.5], [0, -2 * 3**-0.5]]
)  # to the patient's left, upwards
limb = {
    "I": left - right,
    "II": leg - right,
    "III": leg - left,
    "aVR": right - (left + leg) / 2,
    "aVL": left - (right + leg) / 2,
    "aVF": leg - (right + left) / 2,
}
chest = {
    f"V{i + 1}": synth.DOWER[2 + i, [0, 2]] for i in range(6)
}  # to the left, to the back
angles = pd.DataFrame(
    [
        (lead, "frontal", np.degrees(np.arctan2(-up, side)) + 0.0)
        for lead, (side, up) in limb.items()
    ]
    + [
        (lead, "horizontal", np.degrees(np.arctan2(-back, side)))
        for lead, (side, back) in chest.items()
    ],
    columns=["lead", "plane", "angle (degrees)"],
)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Two compass roses. Frontal: II, aVF and III point down towards the feet, I and aVL to the left arm, aVR alone to the right shoulder. Horizontal: V1 and V2 point forwards, V3 and V4 forwards and left, V5 and V6 to the left side.", "classes": "chart dark-light"}, "figure": {"caption": "Where the leads look: the limb leads seen from the front (left), the chest leads seen from below (right). The patient's left is on the right, as when you face somebody.", "name": "fig-data-set-leads"}}
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.9))
COLOURS = {
    "inferior": "#1d5fa8",
    "lateral": "#0f766e",
    "anterior": "#c2410c",
    "": figures.MUTED,
}
WALLS = {
    "inferior": ("II", "III", "aVF"),
    "lateral": ("I", "aVL", "V5", "V6"),
    "anterior": ("V1", "V2", "V3", "V4"),
    "": ("aVR",),
}
wall_of = {lead: wall for wall, members in WALLS.items() for lead in members}
around = {
    "frontal": {
        "head": (0, 1.0),
        "feet": (0, -1.75),
        "patient's\nright": (-1.55, 0),
        "left": (1.62, 0),
    },
    "horizontal": {
        "back": (0, 1.0),
        "front": (0, -1.75),
        "patient's\nright": (-1.55, 0),
        "left": (1.62, 0),
    },
}
names = {
    "frontal": {"inferior": (0.95, -1.35), "lateral": (1.3, 0.28)},
    "horizontal": {"anterior": (-0.95, -0.55), "lateral": (1.15, 0.62)},
}
for ax, plane in zip(axes, around, strict=True):
    for lead, angle in angles.loc[
        angles["plane"] == plane, ["lead", "angle (degrees)"]
    ].itertuples(index=False):
        x, y, colour = (
            np.cos(np.radians(angle)),
            -np.sin(np.radians(angle)),
            COLOURS[wall_of[lead]],
        )
        ax.annotate(
            "",
            (x, y),
            (0, 0),
            arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.8},
        )
        ax.text(
            1.2 * x,
            1.18 * y,
            f"{lead}\n{round(angle)}°",
            color=colour,
            ha="center",
            va="center",
            linespacing=0.95,
        )
    for words, (x, y) in around[plane].items():
        ax.text(
            x,
            y,
            words,
            color=figures.MUTED,
            ha="center",
            va="center",
            fontsize=9,
            style="italic",
        )
    for wall, (x, y) in names[plane].items():
        ax.text(
            x,
            y,
            wall,
            color=COLOURS[wall],
            ha="center",
            va="center",
            fontweight="bold",
            fontsize=9.5,
        )
    ax.set(xlim=(-1.85, 1.85), ylim=(-1.9, 1.15), aspect="equal")
    ax.axis("off")
figures.show(fig, angles, "data_set_leads", decimals=0)

# %% [markdown]
# Neighbouring leads look at the same wall of the left ventricle, the chamber that pumps blood through the body: II, III
# and aVF at the wall that rests on the diaphragm (*inferior*), V1 to V4 at the front (*anterior*), I, aVL, V5 and V6 at
# the side (*lateral*). That is why a doctor looks for a sign in two neighbouring leads at least: one lead may be an
# accident, two that look the same way are a place.
#
# The twelve are not independent. By construction II = I + III at every instant ({term}`Einthoven's law`), and aVR +
# aVL + aVF = 0, for aVR = -(I + II)/2 and so on ({term}`Goldberger's equations`). Eight leads would do; the other
# four are a free test of everything that reads pages.

# %% [markdown]
# ## One beat, named
# A beat is a wave of electrical activity that runs through the heart muscle. The muscle contracts where it has passed.
# Here is one beat of the Normal record: the median over all its beats, lead by lead, which removes noise.


# %%
def median_beat(ecg, before=0.3, after=0.55):
    """Median of the usual beats around their R peaks, against the level just before the QRS: (12, n), mV."""
    kinds = ecg.truth["kinds"]
    usual = max(set(kinds), key=kinds.count)
    n0, n1 = round(before * ecg.fs), round(after * ecg.fs)
    peaks = [
        round(t * ecg.fs)
        for t, kind in zip(ecg.truth["r_times"], kinds, strict=True)
        if kind == usual
    ]
    whole = [
        ecg.leads[:, p - n0 : p + n1]
        for p in peaks
        if p >= n0 and p + n1 <= ecg.leads.shape[1]
    ]
    beat = np.median(whole, axis=0)
    start = n0 + round((ecg.truth["qrs"][0] - 0.02) * ecg.fs)
    return beat - beat[:, start - 3 : start + 3].mean(axis=1, keepdims=True)


normal = synth.record("Normal", 0, noise=0)
beat = median_beat(normal)[synth.LEADS.index("II")]
seconds = np.arange(beat.size) / normal.fs - 0.3
beat.shape

# %% [markdown]
# To name its parts we need six instants. The R peak is time zero, and the QRS limits are known, for we made the record.
# The P wave begins and ends where it has fallen to a tenth of its height. The end of the T wave, which has no corner, is
# put by the classical tangent: where the steepest fall of the T wave, prolonged, meets the baseline.

# %%
q, j = normal.truth["qrs"]  # start of the QRS, and its end: the J point
p_peak = np.argmax(np.where(seconds < q - 0.04, beat, -9))
low = np.flatnonzero(beat < 0.1 * beat[p_peak])
p_on, p_off = seconds[low[low < p_peak][-1]], seconds[low[low > p_peak][0]]
t_peak = np.argmax(np.where(seconds > j + 0.08, beat, -9))
slope = np.gradient(beat, 1 / normal.fs)
steep = t_peak + np.argmin(slope[t_peak : t_peak + 40])
t_end = seconds[steep] - beat[steep] / slope[steep]
intervals = pd.DataFrame(
    [
        ("P wave", p_off - p_on, "the atria are activated", "up to 120 ms"),
        (
            "PR interval",
            q - p_on,
            "from the atria through to the ventricles",
            "120 to 200 ms",
        ),
        ("QRS complex", j - q, "the ventricles are activated", "up to 110 ms"),
        (
            "QT interval",
            t_end - q,
            "activation and recovery of the ventricles",
            "rate-dependent, about 350 to 450 ms",
        ),
    ],
    columns=["part", "here (ms)", "what happens", "usual in adults"],
)
intervals["here (ms)"] = intervals["here (ms)"].mul(100).round().mul(10).astype(int)
figures.table(intervals, "data_set_intervals")

# %% tags=["hide-input"] mystnb={"image": {"alt": "One beat on squared paper, each part labelled: a small P wave, the tall narrow QRS complex with its R peak, the J point, the flat ST segment on the baseline and the rounded T wave, with brackets for PR, QRS and QT.", "classes": "paper dark-light"}, "figure": {"caption": "One beat of a synthetic normal ECG, lead II. A small square is 40 ms wide and 0.1 mV high.", "name": "fig-data-set-beat"}}
fig, ax = plt.subplots(figsize=(7.2, 6.6))
bottom = np.floor(beat.min() * 10) / 10 - 0.6
top = np.ceil(beat.max() * 10) / 10 + 0.1
figures.ecg_paper(ax, (-0.3, 0.55), (bottom, top))
ax.set_xticks(np.arange(-0.2, 0.5, 0.2))
ax.set_yticks(np.arange(-0.5, top, 0.5))
ax.axhline(0, color=figures.MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
ax.plot(seconds, beat, color="#111111", linewidth=2)


def name(words, at, to):
    arrow = {"arrowstyle": "-", "color": BLUE, "linewidth": 0.9}
    ax.annotate(
        words,
        to,
        at,
        color=BLUE,
        ha="center",
        va="center",
        fontsize=10.5,
        arrowprops=arrow,
    )


name("P wave", (seconds[p_peak], beat[p_peak] + 0.22), (seconds[p_peak], beat[p_peak]))
name("R", (-0.05, beat.max() - 0.05), (0, beat.max()))
name("T wave", (seconds[t_peak], beat[t_peak] + 0.2), (seconds[t_peak], beat[t_peak]))
name("J point", (0.14, -0.2), (j, beat[round((0.3 + j) * normal.fs)]))
name("ST segment", (0.15, 0.36), (0.085, beat[round(0.385 * normal.fs)]))
name("baseline", (0.48, -0.13), (0.45, 0))
for row, (words, start, end) in enumerate(
    [("PR", p_on, q), ("QRS", q, j), ("QT", q, t_end)]
):
    level = bottom + 0.34 - 0.12 * row
    bracket = {
        "arrowstyle": "|-|,widthA=0.25,widthB=0.25",
        "color": BLUE,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    ax.annotate("", (start, level), (end, level), arrowprops=bracket)
    ax.text(
        end + 0.012,
        level,
        f"{words} {100 * (end - start):.0f}0 ms",
        color=BLUE,
        va="center",
        fontsize=10,
    )
figures.show(
    fig,
    pd.DataFrame({"time (s)": seconds, "lead II (mV)": beat}),
    "data_set_beat",
    decimals=3,
)

# %% [markdown]
# - The {term}`P wave` is the activation of the atria, the two small chambers that fill the large ones.
# - The {term}`QRS complex` is the activation of the ventricles. Whatever its shape, a first downward wave is called Q, the
#   first upward wave R, a downward wave after it S.
# - The {term}`T wave` is the recovery of the ventricles.
# - The {term}`J point` ends the QRS. The {term}`ST segment` follows: all muscle is active, no current flows, and the
#   curve should lie on the baseline. This stretch is where an infarction shows.
# - The {term}`PR interval`, the QRS duration and the {term}`QT interval` are its clock. The *baseline* is the level before
#   the P wave or, as here and on most machines, just before the QRS.
#
# **Heart rate.** The distance from one R peak to the next, RR, gives the {term}`heart rate`: 60 divided by RR in seconds
# or, with a ruler, 1500 divided by the small squares between them.
#
# **Axis.** The mean direction of the QRS in the frontal plane, the {term}`electrical axis`, follows from two limb leads
# that stand at right angles. Here is its rough form, from the sum of the highest and the lowest point in I and aVF:

# %%
beats = median_beat(normal)
qrs = slice(round((0.3 + q) * normal.fs), round((0.3 + j) * normal.fs))
net = {
    lead: beats[row, qrs].max() + beats[row, qrs].min()
    for row, lead in enumerate(synth.LEADS)
}
# aVF is drawn smaller than a bipolar lead by the factor cos 30 degrees
axis = np.degrees(np.arctan2(net["aVF"] / np.cos(np.pi / 6), net["I"]))
rr = np.diff(normal.truth["r_times"])
print(
    "rate:", round(60 / rr.mean()), "a minute; axis:", round(axis / 10) * 10, "degrees"
)

# %% [markdown]
# Usual is 60 to 100 beats a minute at rest, and an axis from -30 to +90 degrees: between the directions of aVL and
# aVF.

# %% [markdown]
# ## What the filter does
# `0.67~25Hz` stands in the footer of every page. What is slower than 0.67 Hz or faster than 25 Hz was removed. The
# slow end keeps the trace from wandering off with every breath, the fast end removes the tremor of muscles. Both have
# a price. The recommendations for a diagnostic ECG ask for a band from 0.05 Hz to 150 Hz, and allow 0.67 Hz only for
# a filter that does not shift phases {cite}`kligfield2007`. Which kind the machine used is not known.
#
# We make a beat whose ST segment lies exactly 0.2 mV above the baseline, two small squares, and filter it three ways.

# %%
from scipy.signal import butter, sosfilt

rate = 500
time = np.arange(20 * rate) / rate


def gauss(at, width, height):
    return height * np.exp(-0.5 * ((time[:, None] - at) / width) ** 2).sum(axis=1)


peaks = np.arange(0.5, 20, 0.8)  # 75 beats a minute
raw = (
    gauss(peaks - 0.16, 0.02, 0.12)
    + gauss(peaks - 0.03, 0.008, -0.08)
    + gauss(peaks, 0.010, 1.2)
)
edge = np.clip((time[:, None] - peaks - 0.04) / 0.02, 0, 1) - np.clip(
    (time[:, None] - peaks - 0.20) / 0.16, 0, 1
)
raw += 0.2 * edge.sum(axis=1) + gauss(peaks + 0.26, 0.035, 0.25)
slow_only = [
    sosfilt(butter(1, f, "highpass", fs=rate, output="sos"), raw) for f in (0.05, 0.67)
]
versions = {
    "the heart": raw,
    "from 0.05 Hz, one way": slow_only[0],
    "0.67-25 Hz, without phase shift": synth.page_filter(raw, rate),
    "from 0.67 Hz, one way": slow_only[1],
}

# %%
at = round(
    (peaks[15] - 0.3) * rate
)  # a beat in the middle, from 0.3 s before its R peak
cut = {
    name: x[at : at + 425] - x[at + 110 : at + 120].mean()
    for name, x in versions.items()
}
filtered = pd.DataFrame(
    [
        (
            name,
            10 * x[round((0.3 + 0.11) * rate)],
            10 * x[140:160].max(),
            10 * x[-75:].min(),
        )
        for name, x in cut.items()
    ],
    columns=["version", "ST level (mm)", "R (mm)", "lowest point after T (mm)"],
)
figures.glue("data-set-st-zero", filtered["ST level (mm)"][2], ".1f")
figures.glue("data-set-st-one", filtered["ST level (mm)"][3], ".1f")
figures.glue("data-set-r-zero", filtered["R (mm)"][2], ".1f")
figures.table(filtered, "data_set_filter", decimals=1)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three versions of one beat: the phase-free page filter follows the true curve closely with a lower R peak, while the one-way filter at 0.67 Hz pulls the ST segment and T wave down and ends below the baseline.", "classes": "paper dark-light"}, "figure": {"caption": "One beat with an ST segment 2 mm above the baseline, and what two filters with the same lower limit make of it.", "name": "fig-data-set-filter"}}
clock = np.arange(425) / rate - 0.3
fig, ax = plt.subplots(figsize=(7.2, 5.0))
figures.ecg_paper(ax, (-0.3, 0.55), (-0.3, 1.3))
ax.axhline(0, color=figures.MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
drawn_versions = {
    "the heart": ("#111111", "-"),
    "0.67-25 Hz, without phase shift": (BLUE, "--"),
    "from 0.67 Hz, one way": ("#a4330a", "-."),
}
for words, (colour, line) in drawn_versions.items():
    ax.plot(clock, cut[words], color=colour, linestyle=line, linewidth=1.8)
ax.annotate(
    "the heart",
    (0.205, cut["the heart"][round(0.505 * rate)]),
    (0.2, 0.72),
    color="#111111",
    ha="right",
    arrowprops={"arrowstyle": "-", "color": "#111111"},
)
ax.annotate(
    "0.67-25 Hz,\nno phase shift",
    (0.005, cut["0.67-25 Hz, without phase shift"].max()),
    (0.08, 1.1),
    color=BLUE,
    va="center",
    arrowprops={"arrowstyle": "-", "color": BLUE},
)
ax.annotate(
    "from 0.67 Hz, one way",
    (0.33, cut["from 0.67 Hz, one way"][round(0.63 * rate)]),
    (0.3, -0.18),
    color="#a4330a",
    va="center",
    arrowprops={"arrowstyle": "-", "color": "#a4330a"},
)
figures.show(
    fig,
    pd.DataFrame({"time (s)": clock[::2], **{k: cut[k][::2] for k in drawn_versions}}),
    "data_set_filter_drawn",
    decimals=3,
)

# %% [markdown]
# Without a phase shift the ST segment keeps {glue:text}`data-set-st-zero` of its 2 mm. With the simple filter of the
# same limit, the one that a capacitor makes, {glue:text}`data-set-st-one` mm are left, and the curve ends
# *below* the baseline: on a healthy beat that would look like a depression. The fast limit takes the R wave from 12 mm
# down to {glue:text}`data-set-r-zero` mm. So on these pages ST levels may be wrong by a good part of a millimetre, and
# Q and R waves are too small. **Every guideline limit applied to them is approximate.** Our synthetic records use the
# phase-free filter, which is the kinder assumption.

# %% [markdown]
# ## What tells the four classes apart
# What should a reader look for? For infarction there is an international text, the Fourth Universal Definition
# {cite}`thygesen2018`. Shortened to what an ECG can show:

# %%
criteria = pd.DataFrame(
    [
        (
            "MI",
            "acute injury",
            "ST elevation at the J point in two neighbouring leads: 1 mm; in V2 and V3 2 mm (men from 40), "
            "2.5 mm (men under 40), 1.5 mm (women). Or ST depression of half a millimetre, or T inversion of 1 mm, "
            "in two neighbouring leads",
        ),
        (
            "History_MI",
            "a scar",
            "Q wave of 30 ms and 1 mm, or QS, in two neighbouring leads of I, aVL; V4-V6; II, III, aVF; "
            "any Q wave above 20 ms, or QS, in V2-V3; tall broad R in V1-V2 with upright T",
        ),
        (
            "Abnormal",
            "rhythm or conduction",
            "not defined by the data set; see the strips below",
        ),
        (
            "Normal",
            "none of these",
            "not defined by the data set; does not exclude infarction",
        ),
    ],
    columns=["folder", "sign of", "what the guideline asks of the ECG (shortened)"],
)
figures.table(criteria, "data_set_criteria")

# %% [markdown]
# The definition of infarction is more than an ECG: it asks for a rise of troponin in the blood, and for symptoms,
# imaging or ECG signs besides. No page can show that. And the pages lack what the text needs: age is blank, sex may be
# the machine's default. Where this book needs one limit for V2 and V3, it assumes men of 40 and more, 2 mm, and says so.

# %% [markdown]
# ### The same wall, three times
# Here are three of our four records in leads that look at the inferior wall, and in two that look at it from the
# opposite side. The ST level is read 60 ms after the J point, where the segment is flatter than at the J point itself.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Median beats of three synthetic records in five leads. Normal: flat ST everywhere. MI: ST raised by several millimetres in II, III and aVF and lowered in I and aVL. History_MI: deep first Q waves in II, III and aVF, inverted T in III and aVF, ST near the baseline.", "classes": "paper dark-light"}, "figure": {"caption": "Median beats of a normal heart, an acute and an old infarction of the inferior wall. II, III and aVF face it; I and aVL look from the other side.", "name": "fig-data-set-wall"}}
shown, leads = ("Normal", "MI", "History_MI"), ("II", "III", "aVF", "I", "aVL")
fig, axes = plt.subplots(3, 5, figsize=(7.2, 6.7), dpi=130)
columns = {}
for (row, column), ax in np.ndenumerate(axes):
    label, lead = shown[row], leads[column]
    ecg, i = records[label], synth.LEADS.index(lead)
    curve = median_beat(ecg, 0.26, 0.46)[i]
    clock = np.arange(curve.size) / ecg.fs - 0.26
    columns[f"{label} {lead}"] = curve
    figures.ecg_paper(ax, (-0.26, 0.46), (-1.4, 1.4))
    ax.axhline(0, color=figures.MUTED, linewidth=0.7, linestyle=(0, (4, 3)))
    ax.plot(clock, curve, color="#111111", linewidth=1.5)
    level = round(10 * ecg.truth["st"][i], 1) + 0.0
    ax.text(
        0.44,
        1.37,
        f"ST {level:+.1f} mm",
        color=BLUE,
        fontsize=9.5,
        ha="right",
        va="top",
    )
    ax.set(xticks=[], yticks=[], xlabel="", ylabel="" if column else label)
    if row == 0:
        ax.set_title(lead, loc="center")
levels = pd.DataFrame({"time (s)": clock, **columns})
figures.show(fig, levels, "data_set_wall", decimals=2)

# %%
signs = []
for label in shown:
    truth = records[label].truth
    for lead in leads:
        st, q_depth, q_ms, r, t = (
            float(truth[key][synth.LEADS.index(lead)])
            for key in ("st", "q", "q_ms", "r", "t")
        )
        signs.append((label, lead, 10 * st, 10 * q_depth, round(q_ms), 10 * r, 10 * t))
names = [
    "record",
    "lead",
    "ST (mm)",
    "Q depth (mm)",
    "Q duration (ms)",
    "R (mm)",
    "T (mm)",
]
figures.table(pd.DataFrame(signs, columns=names), "data_set_signs", decimals=1)

# %% [markdown]
# Where R is zero, the whole QRS is one downward wave, called QS.
#
# **Acute: MI.** While muscle is dying, a current flows between it and the sound muscle around it. Leads that face the
# wall show the ST segment raised; leads on the far side see the same arrow from behind and show it lowered. This
# mirror image, the {term}`reciprocal depression`, is the best protection against other causes of a raised ST segment.
#
# **Old: History_MI.** The dead muscle has become a scar, which is silent. What is missing at the beginning of the
# activation leaves the opposite wall unopposed: the QRS starts with a broad, deep downward wave, the
# {term}`pathological Q wave`. It can begin within hours, as in our MI record: the two classes are stages of one
# process. T waves often stay inverted. The ST segment is usually back at the baseline. In some people the Q waves
# fade too, and then nothing on the page tells that there was an infarction. This is one reason why the class is hard,
# for the paper's model and for everybody.
#
# **Normal.** ST on the baseline, a Q wave small or absent, T upright in most leads. A little ST elevation in V2 and V3
# is common in healthy men; hence the higher limit there.

# %% [markdown]
# ### Rhythm and conduction
# The folder "abnormal heartbeat" holds something else: hearts that beat too fast, irregularly, or whose activation
# takes another way. It has no definition, so the strips show what such a folder usually contains.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four strips of five seconds: sinus tachycardia with regular beats close together; atrial fibrillation with irregular gaps and no P waves; a regular rhythm with early, wide beats; and a bundle branch block with every QRS broad.", "classes": "paper dark-light"}, "figure": {"caption": "Four kinds of abnormal heartbeat, synthetic, 5 s each, lead II (the last one V6). Triangles mark premature beats.", "name": "fig-data-set-strips"}}
KINDS = {
    "Sinus tachycardia: regular, fast": ("sinus tachycardia", "II"),
    "Atrial fibrillation: irregular, no P waves": ("atrial fibrillation", "II"),
    "Premature ventricular beats (marked): early, broad, no P wave": ("PVC", "II"),
    "Left bundle branch block: every QRS broad": ("LBBB", "V6"),
}
ecgs = {sign: next(examples("Abnormal", sign)) for sign, _ in KINDS.values()}
ecgs["PVC"] = records["Abnormal"]
strips = {
    sign: ecgs[sign].leads[synth.LEADS.index(lead), :1250:2]
    for sign, lead in KINDS.values()
}
limits = {
    sign: (np.floor(10 * x.min() - 2) / 10, np.ceil(10 * x.max() + 1) / 10)
    for sign, x in strips.items()
}
heights = [high - low for low, high in limits.values()]
fig, axes = plt.subplots(
    4, 1, figsize=(7.2, 0.56 * sum(heights) + 1.6), dpi=120, height_ratios=heights
)
clock = np.arange(625) / 125
for ax, (words, (sign, _)) in zip(axes, KINDS.items(), strict=True):
    ecg = ecgs[sign]
    figures.ecg_paper(ax, (0, 5), limits[sign])
    ax.plot(clock, strips[sign], color="#111111", linewidth=1.2)
    marks = [t for t in early(ecg) if t < 5]
    ax.plot(marks, [limits[sign][0] + 0.08] * len(marks), "^", color=BLUE, markersize=7)
    ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
    ax.set_title(f"{words} ({ecg.heart_rate} a minute)", fontsize=9.5)
figures.show(
    fig, pd.DataFrame({"time (s)": clock, **strips}), "data_set_strips", decimals=2
)

# %% [markdown]
# A {term}`tachycardia` is faster than 100 a minute; in sinus tachycardia, as here, the rhythm stays regular. In
# {term}`atrial fibrillation` nothing sets the pace: the gaps are irregular and there is no P wave. A
# {term}`premature beat` from the ventricle comes early, has no P wave before it, and is broad because it spreads from
# muscle cell to muscle cell. In a {term}`bundle branch block` one ventricle is activated late, and every QRS lasts
# 120 ms or more.
#
# On the four synthetic pages all this can be found now: the raised domes of MI, the first downward waves of History_MI, the
# wide early beats of Abnormal. Cut from the page at full size:

# %% tags=["hide-input"] mystnb={"image": {"alt": "Enlarged crops of the four pages, leads II and III: raised ST domes for MI, deep Q waves for History_MI, an early broad beat for Abnormal, narrow even beats for Normal.", "classes": "paper dark-light"}, "figure": {"caption": "Leads II and III cut from the four synthetic pages, at the resolution of the page.", "name": "fig-data-set-crops"}}
crop = (75, 565, 641, 1195)
fig, ax = pictures([page.crop(crop) for page, _ in drawn.values()], list(drawn))
drawn_facts = pd.concat(
    [facts(label, records[label], traces) for label, (_, traces) in drawn.items()]
)
crops = drawn_facts[drawn_facts["lead"].isin(["II", "III"])].drop_duplicates(
    ["page", "lead"]
)
figures.show(
    fig,
    crops[["page", "lead", "lowest (mV)", "highest (mV)"]],
    "data_set_crops",
    decimals=2,
)

# %% [markdown]
# And on real ECGs? The same two leads of the four pages of {numref}`fig-data-set-classes`:

# %% tags=["hide-input"] mystnb={"image": {"alt": "Leads II and III of the four redrawn real pages, enlarged: in MI the trace rises from the QRS straight into broad domes; History_MI shows small upright waves and no broad Q wave; Abnormal is faster than the others; Normal has tall R waves.", "classes": "paper dark-light"}, "figure": {"caption": "Leads II and III of one real page of each class, redrawn from its digitised signal, at the resolution of the page.", "name": "fig-data-set-real-crops"}}
fig, ax = pictures([page.crop(crop) for _, page, _ in real.values()], list(real))
crops = pd.concat(real_facts)
crops = crops[crops["lead"].isin(["II", "III"])].drop_duplicates(["page", "lead"])
figures.show(
    fig,
    crops[["page", "lead", "lowest (mV)", "highest (mV)"]],
    "data_set_real_crops",
    decimals=2,
)

# %% [markdown]
# The page of MI shows what we have learned to look for: in both leads the trace rises from the QRS straight into a broad
# dome. The page of History_MI shows no broad Q wave here; the scar may sit in another wall, or may have left no
# trace. The page of Abnormal, at {glue:text}`data-set-abnormal-rate` beats a minute, is fast; these two leads tell no
# more. No cardiologist has looked at these four for us. All that says which class they belong to is the name of a
# folder.

# %% [markdown]
# ## How to get the real pages
# `make data` downloads the published archive, about 194 MB, checks each of the 928 files against the manifest and lays
# them out in a folder `data`. A notebook runs in its own folder, so before you start it, set the variable `ECGBOOK_DATA`
# to the full path of that folder, or of any other that holds `eicp`. Whoever uses the pages should cite {cite:t}`khan2021`;
# CC BY 4.0 asks for the authors' names, a link to the licence, and a word on what was changed.
#
# The next cell opens a real page if you have it. It prints nothing, here or anywhere; add `page` as a last line to see
# the page.

# %%
try:
    page = data.open_page("Normal(1).jpg")
except data.EcgbookError:
    page = None

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-data-set-1
# *Easy.* Measure the heart rate of the normal page with a ruler: take the distances of neighbouring R peaks in small
# squares, and compare the result with the printed rate.
# ```
#
# ```{solution-start} ex-data-set-1
# :class: dropdown
# ```

# %%
squares = np.diff(records["Normal"].truth["r_times"]) * figures.MM_PER_S
ruler = 1500 / squares.mean()
assert abs(ruler - records["Normal"].heart_rate) <= 1
squares.round(1), round(ruler)

# %% [markdown]
# At 25 small squares a second there are 1500 in a minute. The distances differ a little from beat to beat: a healthy
# heart speeds up when we breathe in.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-data-set-2
# *Medium.* Check II = I + III and aVR + aVL + aVF = 0 on what a page shows. Then try to check aVR = -(I + II)/2, and say
# why it fails.
# ```
#
# ```{solution-start} ex-data-set-2
# :class: dropdown
# ```

# %%
_, traces = drawn["Normal"]
lead = {t.lead: t.samples for t in traces[:12]}
einthoven = np.abs(lead["II"] - lead["I"] - lead["III"]).max()
goldberger = np.abs(lead["aVR"] + lead["aVL"] + lead["aVF"]).max()
across = np.abs(lead["aVR"] + (lead["I"] + lead["II"]) / 2).max()
assert einthoven < 0.001 and goldberger < 0.001 and across > 0.1
print(f"{einthoven:.2f} {goldberger:.2f} {across > 0.1}")

# %% [markdown]
# The third law holds at every instant, but the page shows I and II in the first 2.5 s and aVR in the next. The laws can
# be checked within a column only, or with the help of the rhythm strip.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-data-set-3
# *Medium.* The limit in V2 and V3 depends on age and sex, which are blank or doubtful on the pages. Take the synthetic
# infarctions of the anterior wall among the first 100 seeds. How many exceed 1.5, 2 and 2.5 mm in both leads?
# ```
#
# ```{solution-start} ex-data-set-3
# :class: dropdown
# ```

# %%
made = [synth.record("MI", seed).truth for seed in range(100)]
st = np.array(
    [10 * t["st"][[7, 8]] for t in made if t["territory"] == "anterior"]
)  # V2, V3
meets = {limit: int((st >= limit).all(axis=1).sum()) for limit in (1.5, 2.0, 2.5)}
assert meets[1.5] == meets[2.0] == len(st) > meets[2.5]
len(st), meets

# %% [markdown]
# All meet 2 mm, because the generator was built with that limit. A part of them would not be called ST elevation in a
# man under 40. On the real pages we cannot know which limit applies, and no model trained on them can either.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-data-set-4
# *Hard.* The equilateral triangle is an idealisation. The first two rows of `synth.DOWER` give the directions in which I
# and II look in a torso model: to the left, to the feet, to the back. Compute the frontal angles of all six limb leads
# from them, and their distances from the textbook angles.
# ```
#
# ```{solution-start} ex-data-set-4
# :class: dropdown
# ```

# %%
one, two = synth.DOWER[:2, :2]  # to the left, to the feet
six = synth.twelve_leads(np.r_[[one, two], np.zeros((6, 2))])[:6]
torso = np.degrees(np.arctan2(six[:, 1], six[:, 0]))
textbook = angles.loc[angles["plane"] == "frontal", "angle (degrees)"].to_numpy()
off = (torso - textbook + 180) % 360 - 180
assert 10 < np.abs(off).max() < 45
dict(zip(synth.LEADS, off.round().astype(int).tolist(), strict=False))

# %% [markdown]
# One direction, that of aVL, is off by more than a quarter of a right angle, and the leads differ in strength
# besides. The laws of Einthoven and Goldberger hold all the same: they follow from how voltages add, not from where
# the electrodes sit.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - {glue:text}`data-set-files` files, as the paper says; {glue:text}`data-set-distinct` distinct pages.
# - A page: twelve leads of 2.5 s, one strip of 10 s; a small square is 40 ms and 0.1 mV.
# - Acute infarction: ST raised in neighbouring leads, lowered opposite. Old: broad Q waves, inverted T, or nothing.
#   Abnormal: rhythm and conduction.
# - The filter 0.67-25 Hz may shift ST levels and lowers Q and R; limits are approximate.
# - Labels are names of folders: criteria, age of the infarction and a second reading are not known.
# ```
#
# ## Further reading
# The data {cite}`khan2021` (CC BY 4.0) and the article on its earlier version {cite}`khan2021brief`. How an ECG should be
# recorded and filtered: {cite}`kligfield2007`. What an infarction is: {cite}`thygesen2018`. The torso model behind the
# directions of the leads: {cite}`dower1980`, and on the heart as an arrow {cite}`frank1956`. The next chapter shows what
# is left of all this when a page has been reduced to a small square: [](preprocessing.ipynb).
