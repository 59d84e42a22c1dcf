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
# # Preprocessing
# A page has three and a half million pixels, and a diagnosis may hang on a curve that lies one millimetre higher than it
# should. The network of the paper sees the page as a square of 224 by 224 grey values. Between the two stand five lines
# of text and four lines of code. This chapter runs them one by one, looks at what comes out, and measures what is left
# of the millimetre.
#
# ```{admonition} What you will learn
# :class: learn
# - the paper's four steps, each with its picture, and every choice that its text leaves open;
# - what histogram equalisation does to an ECG: it darkens the grid far more than it darkens the curve;
# - how many pixels a millimetre and a QRS complex keep, and how well an ST level can be read back;
# - what cropping, masking and more pixels buy, and what they cost.
# ```
#
# **Running time:** about 15 seconds on a laptop, offline.

# %% [markdown]
# ## Four steps
# The paper {cite}`li2026` sets the size to 224 x 224, takes a single grey channel, equalises the histogram with
# `ImageOps.equalize`, and scales 0-255 to 0.0-1.0. Here is a page to try that on: a synthetic record, drawn in the layout
# of the real pages {cite}`khan2021` and saved as a JPEG of the quality that the real ones seem to have.

# %%
from ecgbook import draw, figures, preprocess, synth

figures.use()


def scan(ecg, quality=75):
    """A record as a page, saved and reloaded as JPEG."""
    return draw.perturb(draw.draw_page(ecg)[0], jpeg_quality=quality)


ecg = synth.record("Normal", 0)
page = scan(ecg)
print(page.size, page.mode)

# %% [markdown]
# **Resize.** The page is 1.4 times as wide as high, the result is a square: time is squeezed harder than voltage.

# %%
squeezed = preprocess.resize(page, 224, 224)
print(
    squeezed.size,
    squeezed.mode,
    "keeps one pixel in",
    round(page.width * page.height / 224**2),
)

# %% [markdown]
# **Greyscale.** One channel, the usual weighting of red, green and blue.

# %%
grey = preprocess.greyscale(squeezed)
print(grey.size, grey.mode, "values", grey.getextrema())

# %% [markdown]
# **Equalise.** Grey values are exchanged for others so that each becomes about equally frequent.

# %%
equalised = preprocess.equalize(grey)
print(equalised.size, equalised.mode, "values", equalised.getextrema())

# %% [markdown]
# **Scale.** Whole numbers from 0 to 255 become floating-point numbers from 0 to 1, the shape that a network takes.

# %%
numbers = preprocess.to_array(equalised)
print(numbers.shape, numbers.dtype, float(numbers.min()), float(numbers.max()))

# %% tags=["hide-input"] mystnb={"image": {"alt": "Four pictures: the wide page; the same squeezed into a small square in colour; in grey, where the curves are faint and the grid is nearly invisible; and equalised, where the grid is a dark net half as dark as the curves.", "classes": "paper dark-light"}, "figure": {"caption": "A synthetic page and what each step makes of it. The three small pictures are shown at twice their size.", "name": "fig-preprocessing-steps"}}
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from PIL import Image


def sheet(rows, titles, gap=14, dpi=150):
    """Rows of pictures on one sheet, each pixel kept, a title over each."""
    width = max(sum(p.width for p in row) + gap * (len(row) - 1) for row in rows)
    letters = (
        width / 48
    )  # px; the page shows every sheet at one width, and so the titles in one size
    head = round(2 * letters)
    height = sum(max(p.height for p in row) + head for row in rows)
    whole = Image.new("RGB", (width, height), "white")
    fig = plt.figure(figsize=(width / dpi, height / dpi), dpi=dpi, layout="none")
    ax = fig.add_axes((0, 0, 1, 1))
    y = 0
    for row, names in zip(rows, titles, strict=True):
        x = 0
        for picture, name in zip(row, names, strict=True):
            whole.paste(picture, (x, y + head))
            ax.text(
                x + 2,
                y + head - letters / 2,
                name,
                fontsize=72 * letters / dpi,
                va="bottom",
                color=figures.INK,
            )
            x += picture.width + gap
        y += head + max(p.height for p in row)
    ax.imshow(whole, interpolation="nearest")
    ax.axis("off")
    return fig


def enlarged(picture, factor):
    return picture.resize(
        (picture.width * factor, picture.height * factor), Image.Resampling.NEAREST
    )


thumbnail = page.resize((448, 318), Image.Resampling.LANCZOS)
fig = sheet(
    [[thumbnail, enlarged(squeezed, 2)], [enlarged(grey, 2), enlarged(equalised, 2)]],
    [
        ["page, 2213 x 1572 (reduced)", "1. resized to 224 x 224"],
        ["2. grey", "3. equalised"],
    ],
)
levels = [
    (n, p.width, p.height, *np.asarray(p.convert("L")).mean(keepdims=True)[0])
    for n, p in {
        "page": page,
        "resized": squeezed,
        "grey": grey,
        "equalised": equalised,
    }.items()
]
figures.show(
    fig,
    pd.DataFrame(levels, columns=["picture", "width", "height", "mean grey"]),
    "preprocessing_steps",
    decimals=0,
)

# %% [markdown]
# The pictures look as if the last step had helped: the curves are black now. But look at the background.
#
# ## What equalising does to the grid
# The paper says that {term}`histogram equalisation` raises the *local* contrast and brings out the waves. `equalize`
# cannot do anything local. It builds one curve from old to new grey values, from the counts of the whole picture, and
# applies it everywhere. Values that are frequent are pulled apart, values that are rare are pushed together. On an ECG
# page the frequent values are those of blank paper and of the pale grid; the ink of the curve is rare.
#
# We made the page, so we know which pixels belong to what: drawing it again without the record leaves the empty form.
# The few pixels left over are print.

# %%
empty = scan(ecg._replace(leads=np.full_like(ecg.leads, np.nan)))
form = np.asarray(preprocess.greyscale(preprocess.resize(empty, 224, 224))).astype(int)
before, after = np.asarray(grey).astype(int), np.asarray(equalised).astype(int)

left, top, right, bottom = (
    np.array(preprocess.GRID) * 224 / np.array([*page.size, *page.size])
)
row, column = np.mgrid[:224, :224]
in_grid = (
    (column > left + 1) & (column < right - 2) & (row > top + 1) & (row < bottom - 2)
)
curve = in_grid & (form - before > 25)
where = {
    "blank paper": ~in_grid & (before > 252),
    "grid": in_grid & ~curve,
    "curve": curve,
}
kinds = pd.DataFrame(
    [
        (name, mask.mean(), before[mask].mean(), after[mask].mean())
        for name, mask in where.items()
    ],
    columns=["pixels of", "share of the picture", "grey before", "grey after"],
).set_index("pixels of")
dark = 255 - kinds[["grey before", "grey after"]]
contrast = dark.loc["grid"] / dark.loc["curve"]
figures.glue("preprocessing-grid-before", contrast["grey before"], ".2f")
figures.glue("preprocessing-grid-after", contrast["grey after"], ".2f")
figures.table(kinds.reset_index(), "preprocessing_kinds", decimals=2)

# %% [markdown]
# Before, the grid is {glue:text}`preprocessing-grid-before` times as dark as the curve, that is, hardly visible. After, it
# is {glue:text}`preprocessing-grid-after` times as dark. The ink became somewhat blacker; the grid, which carries no
# information about the heart, gained the most. The curve that did it explains why.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Left: most pixels have grey values above 240. Right: the equalising curve is almost flat near black from 0 to 240 and then rises steeply to white over the last few values.", "classes": "chart dark-light"}, "figure": {"caption": "Left: how often each grey value occurs in the small grey picture (logarithmic). Right: what equalising makes of each value; the boxes hold nine tenths of the pixels of the curve and of the grid.", "name": "fig-preprocessing-curve"}}
values = np.unique(before)
mapped = np.array([after[before == v][0] for v in values])
counts = np.bincount(before.ravel(), minlength=256)
fig, (left_ax, right_ax) = plt.subplots(1, 2, figsize=(7.2, 3.4))
bins = counts.reshape(-1, 4).sum(axis=1)
left_ax.bar(
    np.arange(0, 256, 4),
    bins,
    width=3.2,
    align="edge",
    color=figures.COLOURS["Abnormal"],
)
left_ax.set_yscale("log")
left_ax.set(xlabel="grey value", ylabel="pixels", xlim=(0, 256))
ranges = []
for kind, colour, at in (
    ("curve", figures.INK, (96, 52)),
    ("grid", figures.ACCENT, (160, 185)),
):
    x0, x1 = np.percentile(before[where[kind]], [5, 95]).round()
    y0, y1 = np.interp([x0, x1], values, mapped).round()
    right_ax.add_patch(
        plt.Rectangle(
            (x0, y0), x1 - x0, y1 - y0, facecolor=colour, alpha=0.18, edgecolor="none"
        )
    )
    right_ax.text(
        *at,
        f"the {kind}: {x0:.0f} to {x1:.0f}\nbecomes {y0:.0f} to {y1:.0f}",
        color=colour,
        ha="center",
    )
    ranges.append((f"90 % of the {kind}", x0, x1, y0, y1))
right_ax.plot(values, mapped, color=figures.COLOURS["Abnormal"], linewidth=2)
right_ax.set(
    xlabel="grey value before", ylabel="grey value after", xlim=(0, 258), ylim=(-5, 260)
)
drawn = pd.DataFrame(
    {"grey before": values, "grey after": mapped, "pixels": counts[values]}
)
bars = pd.DataFrame(
    ranges, columns=["range", "from", "to", "becomes from", "becomes to"]
)
figures.show(fig, pd.concat([bars, drawn]), "preprocessing_curve", decimals=0)

# %%
ink_levels = mapped[values <= 240]
figures.glue("preprocessing-ink-levels", int(ink_levels.max()))
figures.glue("preprocessing-levels-left", len(np.unique(mapped)))
figures.glue("preprocessing-levels-had", len(values))

# %% [markdown]
# All grey values up to 240, among them the soft edges of the curve, end up between 0 and
# {glue:text}`preprocessing-ink-levels`. The pale values of the grid are spread over the rest. Of
# {glue:text}`preprocessing-levels-had` grey values {glue:text}`preprocessing-levels-left` remain. Why soft edges matter
# will be seen below.

# %% [markdown]
# ## What the paper does not say
# Five lines cannot settle everything. Whoever rebuilds the study has to choose where the text is silent. These are our
# choices; the pipeline named `paper` in [](../../ecgbook/preprocess.py) follows them.

# %%
unstated = preprocess.UNSTATED.rename(columns={"paper": "what the paper says"})
figures.table(unstated, "preprocessing_unstated")

# %%
preprocess.describe("paper")

# %% [markdown]
# The printed heart rate and sex are still on the picture. At this size no eye can read them; whether a network can is
# another question.
#
# ## Does the order matter?
# Two of these choices are about order, so let us try the other orders on the same page. The first column is the mean
# distance from the paper's picture in grey values; the second the darkness of the grid as a share of that of the curve.

# %%
from functools import partial

to_224 = partial(preprocess.resize, width=224, height=224)
orders = {
    "resize, grey, equalise (ours)": (
        to_224,
        preprocess.greyscale,
        preprocess.equalize,
    ),
    "grey, resize, equalise": (preprocess.greyscale, to_224, preprocess.equalize),
    "grey, equalise, resize": (preprocess.greyscale, preprocess.equalize, to_224),
    "resize, equalise in colour, grey": (
        to_224,
        preprocess.equalize,
        preprocess.greyscale,
    ),
    "resize, grey (no equalising)": (to_224, preprocess.greyscale),
}
ordered = {name: preprocess.render(steps, page) for name, steps in orders.items()}
rows = []
for name, picture in ordered.items():
    pixels = np.asarray(picture).astype(int)
    grid, ink = 255 - pixels[where["grid"]].mean(), 255 - pixels[where["curve"]].mean()
    rows.append((name, np.abs(pixels - after).mean(), grid / ink))
columns = ["order", "distance from ours (grey values)", "grid / curve"]
figures.table(pd.DataFrame(rows, columns=columns), "preprocessing_orders", decimals=2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "The same piece of the page, four times enlarged, for four orders: plain grey shows soft curves on white; equalising last gives black curves on a dark mottled net; equalising first leaves faint curves on an even grey veil.", "classes": "paper dark-light"}, "figure": {"caption": "Leads aVL, V2, aVF and V3 in the small picture, enlarged four times, for four orders of the steps.", "name": "fig-preprocessing-orders"}}
piece = (66, 84, 166, 166)
shown = [
    "resize, grey, equalise (ours)",
    "grey, equalise, resize",
    "resize, equalise in colour, grey",
    "resize, grey (no equalising)",
]
pieces = [enlarged(ordered[name].crop(piece), 4) for name in shown]
fig = sheet([pieces[:2], pieces[2:]], [shown[:2], shown[2:]])
figures.show(
    fig,
    pd.DataFrame(rows, columns=columns).query("order in @shown"),
    "preprocessing_orders_drawn",
    decimals=2,
)

# %% [markdown]
# Grey before or after the resize differs by rounding, a value or two out of 255, until equalising stretches it. Equalising
# first, on the big page, is another preprocessing altogether. A text that says "resized, greyscale, equalised" describes
# several different inputs.

# %% [markdown]
# ## What a millimetre is worth
# Now to the geometry. On the page a millimetre is 7.87 pixels, along time and along voltage. `preprocess.scale` follows a
# pipeline and says what is left. A {term}`QRS complex` of 100 ms is two and a half millimetres wide on paper; the pen
# draws a line about half a millimetre thick.

# %%
names = {
    "page": (),
    "paper": "paper",
    **{n: n for n in ("crop-224x224", "crop-448x256", "crop-896x512")},
}
rows = []
for name, pipeline in names.items():
    picture, mm = preprocess.render(pipeline, page), preprocess.scale(pipeline)
    pen = draw.PEN / preprocess.PX_PER_MM
    rows.append(
        (
            name,
            f"{picture.width} x {picture.height}",
            mm.x,
            mm.y,
            0.1 * mm.px_per_second(),
            pen * mm.y,
            mm.x / mm.y,
        )
    )
columns = [
    "picture",
    "size",
    "1 mm of time (px)",
    "1 mm of voltage (px)",
    "QRS of 100 ms (px)",
    "pen (px)",
    "time / voltage",
]
worth = pd.DataFrame(rows, columns=columns)
at = worth.set_index("picture")
for short, key in {
    "st": "1 mm of voltage (px)",
    "qrs": "QRS of 100 ms (px)",
    "pen": "pen (px)",
}.items():
    figures.glue(
        f"preprocessing-{short}-224",
        at.loc["paper", key],
        ".1f" if short != "pen" else ".2f",
    )
figures.glue("preprocessing-square-x", 5 * at.loc["paper", "1 mm of time (px)"], ".0f")
figures.glue(
    "preprocessing-square-y", 5 * at.loc["paper", "1 mm of voltage (px)"], ".1f"
)
figures.table(worth, "preprocessing_worth", decimals=2)

# %% [markdown]
# In the paper's picture an ST shift of 1 mm, the usual limit for infarction, moves the curve by
# {glue:text}`preprocessing-st-224` rows of pixels. A QRS complex is {glue:text}`preprocessing-qrs-224` columns wide, and
# the line itself is {glue:text}`preprocessing-pen-224` of a pixel thick: it only darkens the pixels it crosses. The large
# square of the paper, which every reader of ECGs knows as a square, has become a rectangle of
# {glue:text}`preprocessing-square-x` by {glue:text}`preprocessing-square-y` pixels. That does no harm by itself, for it is
# the same on every page; but slopes, by which eyes judge an ST segment, are steeper than anybody has learned them.

# %% [markdown]
# ## One millimetre, live
# Numbers of pixels do not say whether the shift can still be seen. So we make the smallest experiment there is: two pages
# that differ in one thing. `synth.st_shift` raises the {term}`ST segment` by exactly one millimetre, here in the three
# neighbouring leads V2, V3 and V4, and nowhere else.

# %%
raised = scan(synth.st_shift(ecg, 1.0, ["V2", "V3", "V4"]))
views = {
    "page, grey": (preprocess.greyscale,),
    "paper, 224 x 224": "paper",
    "crop, 448 x 256": "crop-448x256",
    "crop, 896 x 512": "crop-896x512",
}
pair = {
    name: [preprocess.apply(view, p) for p in (page, raised)]
    for name, view in views.items()
}

# %% tags=["hide-input"] mystnb={"image": {"alt": "Lead V2 without and with one millimetre of ST elevation, and their difference, at four resolutions. The difference is a pair of clear lines on the full page, and a chain of a few grey blocks in the paper's picture.", "classes": "paper dark-light"}, "figure": {"caption": "Lead V2 as recorded, raised by 1 mm after each QRS, and the difference (dark: changed), in four pictures of the same page at the same size.", "name": "fig-preprocessing-millimetre"}}
box = np.array([1145, 640, 1625, 860])  # lead V2, in pixels of the page


def cut(array, view):
    """The box around V2, from a picture, enlarged to one common size."""
    mm = preprocess.scale(view)
    cropped = view != "paper" and view != (preprocess.greyscale,)
    corner = np.array(preprocess.GRID[:2]) if cropped else np.zeros(2)
    area = preprocess.GRID[2] - preprocess.GRID[0] if cropped else page.width
    pad = np.array([(array.shape[1] - area * mm.x / preprocess.PX_PER_MM) / 2, 0])
    factor = np.array([mm.x, mm.y]) / preprocess.PX_PER_MM
    edges = np.round((box.reshape(2, 2) - corner) * factor + pad).astype(int)
    part = array[edges[0, 1] : edges[1, 1], edges[0, 0] : edges[1, 0]]
    picture = Image.fromarray(np.round(255 * part).astype(np.uint8))
    return picture.resize((440, 202), Image.Resampling.NEAREST)


grid_of_pictures = [
    [cut(a, views[n]), cut(b, views[n]), cut(1 - np.abs(a - b), views[n])]
    for n, (a, b) in pair.items()
]
titles = [[n, "ST raised by 1 mm", "difference"] for n in pair]
changed = [
    (n, 255 * np.abs(a - b).mean(), int((np.abs(a - b) > 0.1).sum()), a.size)
    for n, (a, b) in pair.items()
]
changed = pd.DataFrame(
    changed,
    columns=[
        "picture",
        "mean change (grey values)",
        "pixels changed by a tenth",
        "pixels",
    ],
)
figures.show(
    sheet(grid_of_pictures, titles), changed, "preprocessing_millimetre", decimals=2
)

# %% [markdown]
# Nothing is lost without a trace: even the smallest picture changes. But a network has to tell this change from all the
# others that mean nothing. How large are those? We compare with the same heart recorded three tenths of a second later,
# with another healthy person, with the same page saved at another JPEG quality, and with pages on which only a printed
# word differs.

# %%
later = ecg._replace(leads=np.roll(ecg.leads, round(0.3 * ecg.fs), axis=1))
others = {
    "ST raised by 1 mm in V2, V3, V4": raised,
    "same heart, 0.3 s later": scan(later),
    "another healthy person": scan(synth.record("Normal", 1)),
    "saved at another JPEG quality": scan(ecg, quality=90),
    "printed sex": scan(ecg._replace(sex="Female" if ecg.sex == "Male" else "Male")),
    "printed heart rate": scan(ecg._replace(heart_rate=ecg.heart_rate + 50)),
}
changes = pd.DataFrame(
    {
        name: [
            255 * np.abs(preprocess.apply(view, p) - pair[name][0]).mean()
            for p in others.values()
        ]
        for name, view in views.items()
    },
    index=pd.Index(others, name="what differs"),
)
share = changes.iloc[0] / changes.loc["same heart, 0.3 s later"]
figures.glue("preprocessing-share", 1 / share["paper, 224 x 224"], ".0f")
figures.glue(
    "preprocessing-sex",
    changes.loc["ST raised by 1 mm in V2, V3, V4"].iloc[1]
    / changes.loc["printed sex"].iloc[1],
    ".0f",
)
figures.glue(
    "preprocessing-jpeg",
    changes.loc["saved at another JPEG quality", "paper, 224 x 224"],
    ".0f",
)
figures.glue(
    "preprocessing-person",
    changes.loc["another healthy person", "paper, 224 x 224"],
    ".0f",
)
figures.table(changes.reset_index(), "preprocessing_changes", decimals=2)

# %% [markdown]
# The table gives the mean change of a pixel in grey values. Three things stand out.
#
# - A shift of one millimetre, the limit in most leads (V2 and V3 ask for more), changes the paper's picture
#   {glue:text}`preprocessing-share` times less than pressing the button a moment later would. More pixels do not
#   improve that ratio much: *when* the beats fall is the great nuisance, and a network must learn to ignore it.
# - The shift changes the picture only {glue:text}`preprocessing-sex` times as much as one printed word, the sex. Cropping
#   removes the word altogether.
# - Saving the page at another JPEG quality changes the equalised picture by {glue:text}`preprocessing-jpeg` grey values,
#   nearly as much as exchanging the person does ({glue:text}`preprocessing-person`). Equalising has stretched the faint
#   noise around the dots of the grid over half of the range. A page from another
#   printer could differ more by its grid than by its heart.

# %% [markdown]
# ## A ruler for small pictures
# A mean over all pixels is a blunt tool. A fairer question is: how exactly can the ST level be *read* from each picture,
# by somebody who knows where to look? Our ruler goes to a given time of a given lead, looks up and down that column for
# the darkest place after the empty form has been subtracted, and takes the centre of the darkness around it. Soft edges
# count: a line thinner than a pixel still says where it lies, by how it shares its ink between two rows.


# %%
def place(pipeline, size):
    """From pixels of the page to pixels of the picture."""
    mm = preprocess.scale(pipeline)
    factor = np.array([mm.x, mm.y]) / preprocess.PX_PER_MM
    cropped = preprocess.crop_to_grid in preprocess.steps(pipeline)
    box = np.array(preprocess.GRID if cropped else (0, 0, *preprocess.PAGE)).reshape(
        2, 2
    )
    pad = (np.array(size) - np.round((box[1] - box[0]) * factor)) // 2
    return lambda x, y: (np.array([x, y]) + 0.5 - box[0]) * factor + pad - 0.5


def read_mm(dark, trace, time, to_picture, mm):
    """Height of the curve over its baseline at one time, read from a dark-on-white picture, in mm."""
    x, y0 = to_picture(trace.x0 + (time - trace.start) * draw.PX_SECOND, trace.y0)
    column, part = int(x), x % 1
    line = (1 - part) * dark[:, column] + part * dark[:, column + 1]
    low = max(0, int(y0 - 14 * mm))
    line = line[low : int(y0 + 14 * mm) + 1]
    half = max(1, round(0.4 * mm))
    near = slice(max(0, line.argmax() - half), line.argmax() + half + 1)
    ink = np.clip(line[near] - 0.3 * line.max(), 0, None)
    return (y0 - low - np.average(np.arange(line.size)[near], weights=ink)) / mm


def st_of(height_at, r, qrs):
    """ST level: 40 to 80 ms after the J point, against the level before the QRS."""
    st = np.mean([height_at(r + qrs[1] + t) for t in (0.04, 0.06, 0.08)])
    return st - np.mean([height_at(r + qrs[0] - t) for t in (0.012, 0.02, 0.03)])


# %% [markdown]
# We read every whole beat in all twelve leads of six pages, three healthy and three infarcted, from each picture, with
# and without equalising, and compare with the signal itself.


# %%
def st_error(dark, to_picture, mm, trace, r, qrs):
    """ST level read from a picture minus the ST level of the signal, mm."""
    times = trace.start + np.arange(trace.samples.size) / trace.fs
    read = st_of(lambda t: read_mm(dark, trace, t, to_picture, mm), r, qrs)
    return read - st_of(lambda t: 10 * np.interp(t, times, trace.samples), r, qrs)


pictures = ["page", "paper", "crop-224x224", "crop-448x256", "crop-896x512"]
pipelines = {}
for name in pictures:
    to_grey = preprocess.steps(name)[:-1] if name != "page" else (preprocess.greyscale,)
    pipelines[name, "grey"], pipelines[name, "equalised"] = (
        to_grey,
        (*to_grey, preprocess.equalize),
    )
blanks = {key: preprocess.apply(pipeline, empty) for key, pipeline in pipelines.items()}
rulers = {
    key: (place(p, blanks[key].shape[::-1]), preprocess.scale(p).y)
    for key, p in pipelines.items()
}
errors = {key: [] for key in pipelines}

# %%
for test in [
    synth.record(label, seed) for label in ("Normal", "MI") for seed in (1, 2, 3)
]:
    scanned, (_, traces) = scan(test), draw.draw_page(test)
    beats = [
        (t, r)
        for t in traces[:12]
        for r in test.truth["r_times"]
        if t.start + 0.25 < r < t.start + 2.25
    ]
    for key, pipeline in pipelines.items():
        dark = blanks[key] - preprocess.apply(pipeline, scanned)
        errors[key] += [
            st_error(dark, *rulers[key], trace, r, test.truth["qrs"])
            for trace, r in beats
        ]

# %%
rows = [
    (*key, len(e), np.median(np.abs(e)), np.mean(np.abs(e) > 0.5))
    for key, e in errors.items()
]
rows.sort(key=lambda row: row[1] == "equalised")
columns = [
    "picture",
    "values",
    "readings",
    "median error (mm)",
    "share wrong by half a millimetre",
]
readings = pd.DataFrame(rows, columns=columns)
for key in (
    ("paper", "grey"),
    ("paper", "equalised"),
    ("crop-448x256", "equalised"),
    ("crop-896x512", "equalised"),
):
    off = np.abs(errors[key])
    figures.glue(f"preprocessing-error-{'-'.join(key)}", np.median(off), ".2f")
    figures.glue(f"preprocessing-wrong-{'-'.join(key)}", (off > 0.5).sum())
figures.glue("preprocessing-readings", len(off))
figures.table(readings, "preprocessing_ruler", decimals=2)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Five pairs of dots. In plain grey the ruler errs by about a tenth of a millimetre or less in every picture; equalised, the error is about twice as large or more, and worst in the two pictures of 224 by 224.", "classes": "chart dark-light"}, "figure": {"caption": "Median error of the ST level read from each picture, in plain grey (open) and equalised (filled).", "name": "fig-preprocessing-ruler"}}
fig, ax = plt.subplots(figsize=(7.2, 3.2))
wide = readings.pivot(
    index="picture", columns="values", values="median error (mm)"
).loc[pictures]
y = np.arange(len(wide))[::-1]
ax.hlines(y, wide["grey"], wide["equalised"], color="#9aa3af", linewidth=2)
ax.plot(
    wide["grey"],
    y,
    "o",
    markersize=9,
    color="white",
    markeredgecolor=figures.INK,
    markeredgewidth=1.6,
)
ax.plot(wide["equalised"], y, "o", markersize=9, color=figures.ACCENT)
ax.annotate(
    "grey",
    (wide["grey"].iloc[1], y[1]),
    (0, 9),
    textcoords="offset points",
    ha="center",
)
ax.annotate(
    "equalised",
    (wide["equalised"].iloc[1], y[1]),
    (0, 9),
    textcoords="offset points",
    ha="center",
    color=figures.ACCENT,
)
ax.set_yticks(
    y,
    [
        "page, 2213 x 1572",
        "paper, 224 x 224",
        "crop, 224 x 224",
        "crop, 448 x 256",
        "crop, 896 x 512",
    ],
)
ax.set(
    xlabel="median error of the ST level (mm)",
    xlim=(0, None),
    ylim=(-0.5, len(wide) - 0.4),
)
ax.grid(axis="x")
figures.show(fig, readings, "preprocessing_ruler_drawn", decimals=2)

# %% [markdown]
# Squeezing the page to 224 x 224 costs surprisingly little: in plain grey the ruler errs by
# {glue:text}`preprocessing-error-paper-grey` mm in the median, and by more than half a millimetre in
# {glue:text}`preprocessing-wrong-paper-grey` of {glue:text}`preprocessing-readings` readings. The soft edges have kept
# what the lost rows knew. **It is the equalising that hurts:** with it the median error is
# {glue:text}`preprocessing-error-paper-equalised` mm, and {glue:text}`preprocessing-wrong-paper-equalised` readings are
# wrong by more than half a millimetre, which is half of what decides on an infarction. Black is black: the shades that
# told the fraction of a row have been pushed into a few dark values, and the grid around them is now half as dark as the
# curve.
#
# Two cautions. The ruler is ours, and it is simple: it takes darkness at face value. The equalising curve keeps the order
# of the values and merges only neighbours, so a network can learn to stretch the dark end again. And the ruler was told
# where to look, which is the harder part of reading. The numbers say what is easy to read from a picture, not what a
# network makes of it. What equalising costs a network is an experiment, not a deduction.

# %% [markdown]
# ## Honest alternatives
# Four changes suggest themselves. *Crop to the grid*, so that no word above or below it reaches the network. *Mask*
# those words, when the geometry of the paper must stay as it is: then any difference in score is due to the words.
# *Keep the proportions.* *Spend more pixels.* They are pipelines by name, and a new one is a tuple of functions.

# %%
rows = []
for name, pipeline in preprocess.PIPELINES.items():
    mm, size = preprocess.scale(name), preprocess.render(name, page).size
    words = not {preprocess.crop_to_grid, preprocess.mask_header_footer} & set(pipeline)
    square = "kept" if abs(mm.x / mm.y - 1) < 0.02 else "squeezed"
    cost = size[0] * size[1] / 224**2
    rows.append(
        (
            name,
            "on the picture" if words else "gone",
            square,
            mm.y,
            0.1 * mm.px_per_second(),
            cost,
        )
    )
columns = [
    "pipeline",
    "header and footer",
    "proportions",
    "ST 1 mm (px)",
    "QRS 100 ms (px)",
    "pixels (paper = 1)",
]
alternatives = pd.DataFrame(rows, columns=columns)
figures.glue(
    "preprocessing-cost-448",
    alternatives.set_index("pipeline").loc["crop-448x256", columns[-1]],
    ".1f",
)
figures.glue(
    "preprocessing-cost-896",
    alternatives.set_index("pipeline").loc["crop-896x512", columns[-1]],
    ".0f",
)
figures.table(alternatives, "preprocessing_alternatives", decimals=1)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Three network inputs at their true size: the paper's small square with its header; the same square with header and footer blank; and a wider picture of the grid alone, in which the waves keep their proportions.", "classes": "paper dark-light"}, "figure": {"caption": "Three inputs, each pixel as it is: the paper's, the masked one, and the cropped one with its proportions kept.", "name": "fig-preprocessing-alternatives"}}
inputs = ["paper", "masked-224x224", "crop-448x256"]
rendered = [preprocess.render(name, page) for name in inputs]
sizes = pd.DataFrame(
    [
        (n, p.width, p.height, np.asarray(p).mean())
        for n, p in zip(inputs, rendered, strict=True)
    ]
)
sizes.columns = ["pipeline", "width", "height", "mean grey"]
figures.show(
    sheet([rendered], [inputs]), sizes, "preprocessing_alternatives_drawn", decimals=0
)

# %% [markdown]
# The work of a convolutional network grows with the number of pixels: `crop-448x256` costs
# {glue:text}`preprocessing-cost-448` times as much as the paper's input, `crop-896x512`
# {glue:text}`preprocessing-cost-896` times. The first keeps the proportions, drops the words, gives a millimetre of
# ST shift more than one and a half rows and the QRS four columns. Equalised, it lets our ruler read the ST level to
# {glue:text}`preprocessing-error-crop-448x256-equalised` mm, with
# {glue:text}`preprocessing-wrong-crop-448x256-equalised` bad readings; the second, to
# {glue:text}`preprocessing-error-crop-896x512-equalised` mm with
# {glue:text}`preprocessing-wrong-crop-896x512-equalised`. The first reads worse than the small square does without
# equalising; the second has a like median, and still bad readings.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-preprocessing-1
# *Easy.* How many rows must a picture of the whole page have, so that 1 mm of ST shift is three rows? And a picture
# of the grid alone? Check with `preprocess.scale`.
# ```
#
# ```{solution-start} ex-preprocessing-1
# :class: dropdown
# ```

# %%
page_mm = preprocess.PAGE[1] / preprocess.PX_PER_MM
grid_mm = (preprocess.GRID[3] - preprocess.GRID[1]) / preprocess.PX_PER_MM
whole, grid_only = int(np.ceil(3 * page_mm)), int(np.ceil(3 * grid_mm))
assert preprocess.scale((partial(preprocess.resize, width=600, height=whole),)).y >= 3
assert (
    preprocess.scale(
        (
            preprocess.crop_to_grid,
            partial(preprocess.resize, width=600, height=grid_only),
        )
    ).y
    >= 3
)
whole, grid_only

# %% [markdown]
# More than a fifth of the rows of the whole page are spent on words and margins.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-preprocessing-2
# *Medium.* The paper names no resampling filter. Compare bicubic with nearest neighbour, which takes one pixel out of
# each block and forgets the others: in how many columns of the grey picture has the line of the rhythm strip vanished?
# ```
#
# ```{solution-start} ex-preprocessing-2
# :class: dropdown
# ```

# %%
vanished = {}
for filter_name in ("BICUBIC", "NEAREST"):
    small = partial(
        preprocess.resize, width=224, height=224, resample=Image.Resampling[filter_name]
    )
    pipeline = (preprocess.greyscale, small)
    dark = preprocess.apply(pipeline, empty) - preprocess.apply(pipeline, page)
    strip = dark[
        180:212, 18:212
    ]  # around the rhythm strip, between its first and last column
    vanished[filter_name] = int((strip.max(axis=0) < 0.1).sum())
assert vanished["BICUBIC"] == 0 < vanished["NEAREST"]
vanished, strip.shape[1]

# %% [markdown]
# A line thinner than the distance between two samples falls through the net. Pillow's bicubic filter looks at the whole
# block when it makes a picture smaller; not every library does.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-preprocessing-3
# *Medium.* Networks are often trained on randomly turned pictures. Turn a page by one degree: by how many millimetres
# does the baseline rise over a column of 2.5 s, and by how many between the level before the QRS and the ST segment,
# 130 ms later? Then say why a mirror image is another matter.
# ```
#
# ```{solution-start} ex-preprocessing-3
# :class: dropdown
# ```

# %%
rise = {
    name: preprocess.MM_PER_SECOND * time * np.tan(np.radians(1))
    for name, time in (("column", 2.5), ("ST", 0.13))
}
assert rise["column"] > 1 > 0.1 > rise["ST"]
{name: round(float(mm), 2) for name, mm in rise.items()}

# %% [markdown]
# Over the column the baseline climbs by a millimetre, but an ST level is read against the level just before, where the
# turn makes less than a tenth. A mirror image makes time run backwards: the T wave comes before the QRS, and no heart
# does that. A mirror image upside down turns elevation into depression, and the label becomes false.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-preprocessing-4
# *Hard.* Write a pipeline that keeps at least two pixels a millimetre in both directions, with its proportions, in fewer
# than 150,000 pixels. What did you give up?
# ```
#
# ```{solution-start} ex-preprocessing-4
# :class: dropdown
# ```

# %%
left, top, right, bottom = preprocess.GRID
rows_only = (
    left,
    top,
    right,
    1215,
)  # the three rows of leads, without the rhythm strip
mine = (
    partial(preprocess.crop_to_grid, box=rows_only),
    partial(preprocess.resize, width=536, height=237),
    preprocess.greyscale,
)
mm, array = preprocess.scale(mine), preprocess.apply(mine, page)
assert min(mm) >= 2 and abs(mm.x / mm.y - 1) < 0.01 and array.size < 150_000
array.shape, array.size, [round(v, 2) for v in mm]

# %% [markdown]
# This one gives up the rhythm strip: ten seconds of rhythm, in which a premature beat or an irregular pace is easiest to
# see, and also the deepest waves of the third row, which reach below the cut. It also leaves out the equalising.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - The paper's input is a 224 x 224 square: 1 mm of ST shift is {glue:text}`preprocessing-st-224` rows, a QRS of 100 ms
#   {glue:text}`preprocessing-qrs-224` columns, the line {glue:text}`preprocessing-pen-224` of a pixel.
# - Equalising is one curve for the whole picture. It takes the grid from {glue:text}`preprocessing-grid-before` to
#   {glue:text}`preprocessing-grid-after` of the darkness of the curve, and costs a simple ruler more than the resizing does.
# - A shift of 1 mm in three leads changes the input {glue:text}`preprocessing-share` times less than starting the
#   recording a moment later.
# - Header and footer stay on the paper's picture. Crop or mask them.
# - Where the text is silent, write your choice down beside it.
# ```
#
# ## Further reading
# The functions: [](../../ecgbook/preprocess.py); the pages: [](../../ecgbook/draw.py). Histogram equalisation and
# resampling: {cite}`gonzalez2018`. What an ECG needs to keep for a diagnosis: {cite}`kligfield2007`. The paper:
# {cite}`li2026`; the data: {cite}`khan2021` (CC BY 4.0).
