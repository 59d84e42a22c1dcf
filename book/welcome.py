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
# # The same heart twice
# In 2021 two researchers published 928 printed electrocardiograms as sharp images, sorted into four folders. Since
# then many papers have taught neural networks to sort them, with accuracies from 80 to nearly 100 in a hundred. This
# book rebuilds one of these papers, finds that a program which never looks at a heartbeat scores nearly as high, and
# asks what an honest answer would be. (In Chinese: [中文首页与主要发现](zh/welcome.md).)
#
# ```{admonition} Not a medical device
# :class: warning
# Nothing here is for diagnosis. The models are trained on a few hundred pages from one hospital's printer, with
# labels for which no second reading is reported. "Normal" in this book is the name of a folder; it never means that
# an infarction is excluded.
# ```
#
# ```{admonition} What you will learn
# :class: learn
# - what this book is about, in one table and a dozen lines of code;
# - how to read it, run it and check it;
# - which parts to read if you come from cardiology, from machine learning, or from a data set of your own.
# ```
#
# **Running time:** about five seconds on a laptop, offline.

# %% [markdown]
# ## The story in one table
# An {term}`electrocardiogram (ECG)` is a recording of the heart's electrical activity. The data set
# {cite}`khan2021` holds pages of four kinds: {term}`myocardial infarction` (MI), a history of one
# (History_MI), other abnormal heartbeats (Abnormal), and Normal. The package carries a list of all the files with a
# checksum of each. Two files with the same checksum are the same file.

# %%
from ecgbook import data, figures

files = data.files()
by_class = files.groupby("label").agg(
    files=("file", "size"), distinct=("sha256", "nunique")
)
by_class = by_class.loc[list(data.CLASSES)]
by_class.loc["all"] = by_class.sum()
figures.table(by_class.rename_axis("class").reset_index(), "welcome_counts")

# %% [markdown]
# There are not 928 ECGs. There are {glue:text}`welcome-distinct`, and the rest are copies, byte for byte. Split such a
# set at random into a part to learn from and a part to be examined on, and most of the examination has been
# handed out beforehand.

# %%
figures.glue("welcome-distinct", files["sha256"].nunique())

# %% [markdown]
# How much is that worth? We let a dictionary take the examination. It stores the checksum of every training file with
# its class. Asked about a file that it has seen, it answers from memory; asked about any other, it gives the most
# frequent class among the training files that had no copy. It cannot see an ECG at all.

# %%
import pandas as pd

from ecgbook import audit

dictionary = audit.lookup_baseline(
    files["sha256"], files["label"], repeats=2000, seed=0
)
paper = pd.read_csv(data.tables() / "paper_table2.csv").set_index("model")
figures.glue("welcome-lookup", dictionary["accuracy_mean"], ".3f")
figures.glue("welcome-paper", paper.loc["SVM", "test_accuracy"], ".3f")

# %% [markdown]
# Over two thousand random splits the dictionary is right on a share of {glue:text}`welcome-lookup` of the test files.
# The best model of the paper that we rebuild {cite}`li2026` reports {glue:text}`welcome-paper`. This does not prove
# that the paper's network memorised pages; it proves that its score cannot tell whether it did. The rest of the book
# is about scores that can.

# %% [markdown]
# ## What is in the book
# **The paper.** What the pages show, who recorded what, how the paper turns a page into 224 by 224 pixels, and its
# networks and hybrid models, trained again. Every step is rebuilt, and every choice that the paper leaves open is
# listed with ours beside it.
#
# **The audit.** The copies, the pattern that they follow and what they do to a random split; the classifier that
# never looks; and other fingerprints by which a model could guess the class without reading the trace. The tools work
# on any folder of images: `ecgbook audit DIR`.
#
# **The signal.** From a page back to twelve leads in millivolts, checked by the laws of physics; from the leads to the
# measurements that a cardiologist would make; and from these to models whose scores no copy has helped.
#
# **The errors.** Which old infarctions are missed, and whether the paper's reasons for it hold; every hard case drawn on ECG
# paper; [all 491 ECGs](errors/explorer.md) to page through; what the models look at, and how one can know; and when a model
# should say "I don't know".
#
# **Beyond.** A review of the field, read critically, and its families at work on real signals; the plan for testing
# all this on another hospital's ECGs, registered before any of their diagnoses was read.
#
# **Other hospitals.** What came of that plan: the models meet the ECGs of another country, and fail; what adapting them, training
# across sites without moving a record, and joining several kinds of input can and cannot mend; and what screening asks for.
#
# **Teaching.** [Course plans](teach/course.md) from two hours to four weeks, [eight mistakes](teach/what_went_wrong.ipynb) to
# find, quizzes, and a path for your own images.
#
# **The package.** Every function used here, as pages that you can read from top to bottom: the modules are written to
# be read, and the book renders them as they stand.
#
# **Back matter.** The leaderboard, a data card and a model card, how the book is tested, an index of all figures with their
# numbers, a glossary, the bibliography. For a page of your own there is `ecgbook predict PAGE` (not for diagnosis).
#
# ## How to read it
# Where a word of medicine or of method first appears, it links to the glossary. Every figure carries the numbers that
# it draws, folded below it. Every chapter ends with exercises whose solutions are run with the rest of the book.
#
# - *You know machine learning but no cardiology:* start with [](paper/data_set.ipynb).
# - *You read ECGs but do not program:* skip the code; read [](audit/lookup.ipynb) and [](signal/measure.ipynb).
# - *You want to see a hard problem solved:* [](signal/digitize.ipynb).
# - *You have image data of your own:* [](audit/copies.ipynb), then run the audit on them.
# - *You distrust all of this:* good. [](back/testing.ipynb).

# %% [markdown]
# ## How to run it
# With Python 3.11 to 3.13, `git` and `make`, two commands in a copy of the repository suffice:
#
# ```text
# make book     # build this site, in a few minutes, without any data
# make test     # run every chapter again and compare every number
# ```
#
# `make pdf` prints the whole book into one PDF. Every chapter also opens as a notebook (the download button at the top of
# the page) and runs offline: the package carries what the chapters need. It carries no picture of a real page. If you want to see those, `make data` downloads
# the published data set and verifies every file.
#
# ## What it can do at once
# The package draws ECGs as the printer in that hospital did, from signals. Here is one that belongs to nobody: a
# synthetic record with a healthy rhythm, twelve {term}`leads <lead>` on squared paper.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A synthetic twelve-lead ECG page on pink squared paper: three rows of four short leads and one long strip, with a regular normal rhythm.", "classes": "paper dark-light"}, "figure": {"caption": "A page drawn by the package from a synthetic record. Each small square is 40 ms wide and 0.1 mV high.", "name": "fig-welcome-page"}}
from ecgbook import draw, synth

figures.use()
record = synth.record("Normal", seed=4)
page, traces = draw.draw_page(record)
drawn = pd.DataFrame(
    {
        "trace": [t.lead for t in traces],
        "starts at (s)": [t.start for t in traces],
        "lowest (mV)": [t.samples.min() for t in traces],
        "highest (mV)": [t.samples.max() for t in traces],
    }
)
figures.show(figures.picture(page), drawn, "welcome_page", decimals=1)

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-welcome-1
# *Easy.* Which class has lost most of its files once copies are removed, and which has lost none?
# ```
#
# ```{solution-start} ex-welcome-1
# :class: dropdown
# ```

# %%
kept = (by_class["distinct"] / by_class["files"]).drop("all")
assert kept.idxmin() == "MI" and kept["Abnormal"] == 1
kept.round(2)

# %% [markdown]
# MI, the class that matters most to a patient, keeps about one file in eight. Abnormal has no copies at all.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-welcome-2
# *Medium.* Suppose that every file of a data set existed exactly twice. In a random split with seven tenths for
# training, how many of the test files would have their copy in the training part? Compute it by simulation for 1000
# pairs, and compare with what you expect.
# ```
#
# ```{solution-start} ex-welcome-2
# :class: dropdown
# ```

# %%
import numpy as np

rng = np.random.default_rng(0)
pages = np.repeat(np.arange(1000), 2)
order = rng.permutation(pages.size)
train, test = order[: int(0.7 * pages.size)], order[int(0.85 * pages.size) :]
seen = np.isin(pages[test], pages[train]).mean()
assert abs(seen - 0.7) < 0.06
round(float(seen), 2)

# %% [markdown]
# The copy of a test file lies in the training part with the probability that any file does, seven in ten. With eight
# copies of each, as in MI, it is practically certain that one of them does.
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - The 928 published files are {glue:text}`welcome-distinct` distinct pages.
# - A look-up by checksum reaches {glue:text}`welcome-lookup`; the paper's best model reports {glue:text}`welcome-paper`.
# - A score on a leaking split says nothing about reading ECGs, for better or worse.
# ```
#
# ## Further reading
# The paper {cite}`li2026` and the data {cite}`khan2021`, both CC BY 4.0. On leakage as a general disease of
# machine learning in science: {cite}`kapoor2023`.
