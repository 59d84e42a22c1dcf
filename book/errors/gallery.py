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
# # The case gallery
#
# Behind every error of a model stands an ECG. This chapter shows them, one by one, as a
# cardiologist would see them: every {term}`History_MI <history of MI>` and every {term}`MI
# <myocardial infarction>` that the headline model missed at least once, and every other ECG
# whose label is in doubt. Under each stand its measurements, the criteria that it meets, and
# what the models made of it.
#
# ```{admonition} What you will learn
# :class: learn
# - how a twelve-lead plot is laid out, and in which order to read it;
# - what the missed infarctions look like, and which of them show no sign that can be measured;
# - where the measurement failed rather than the model or the label;
# - how far a contradiction between a label and an ECG carries, and how far not.
# ```
#
# **Running time:** about 20 seconds on a laptop, offline.

# %% [markdown]
# ## Before we look
#
# A warning first. Whoever looks at an ECG and knows its label finds reasons for it; whoever
# looks at errors finds stories. What follows was written with the label, the measurements and
# the answers of the models in view. Where a sentence below says why a model may have erred, it
# is a guess about one case. Which guesses hold for all of them is tested in
# [](history_mi.ipynb). No cardiologist reviewed these ECGs, nothing here is a diagnosis, and
# nothing was relabelled.

# %% [markdown]
# ## How to read the plots
#
# We start with an ECG on which nothing was found: its folder {cite}`khan2021` says Normal, the
# headline agrees each time, and no measurement leaves its usual limits.

# %%
from IPython.display import Markdown

from ecgbook import cases, figures, gallery, measure

figures.use()
ranked = cases.doubts().set_index("file")
calm = ranked.loc["Normal(39).jpg"]
assert (calm["label"], calm["criteria_call"], calm["missed"]) == ("Normal", "Normal", 0)

# %% tags=["hide-input"] mystnb={"image": {"alt": "Twelve leads in three rows of four and a rhythm strip: regular narrow beats, upright T waves in the chest leads, and flat ST segments.", "classes": "paper dark-light"}, "figure": {"caption": "Normal(39), an ECG without any sign, redrawn from its digitised signal {cite}`khan2021`: the layout of all plots of this chapter.", "name": "fig-gallery-normal"}}
gallery.show("Normal(39).jpg")

# %% [markdown]
# The paper is millimetre paper. To the right, 25 mm are one second: a small square is 40 ms, a
# large one 200 ms. Upwards, 10 mm are one {term}`millivolt`: a small square is 0.1 mV. The step
# at the left of each row is the {term}`calibration pulse`, 1 mV high and 200 ms long. Time runs
# from left to right through all four columns, 2.5 s each; the {term}`rhythm strip` at the foot
# shows one {term}`lead` for all 10 s. Where the digitised signal has a gap, the plot has one.
#
# Six limb leads look at the heart in the frontal plane, six chest leads (V1 to V6) round it from its right to its
# left side. Neighbours share a {term}`territory`: II, III and aVF look from below (inferior), I, aVL and V4 to V6
# from the left (lateral), V1 to V4 from the front (anterior). A sign counts when two {term}`contiguous leads` show
# it. A fixed order keeps the eye from jumping to what it expects: rate and rhythm, {term}`P wave` and
# {term}`PR interval`, the width and the {term}`axis <electrical axis>` of the {term}`QRS complex`, then lead by lead
# the {term}`Q wave`, the growth of R from V1 to V6, the {term}`ST segment` and the {term}`T wave`.
#
# In this ECG the ST segment leaves the QRS where it entered, R grows from V1 to V4, and T is
# upright where it should be. V1 to V3 begin in the middle of a beat: the columns cut where they
# cut.

# %% tags=["hide-input"]
gallery.card("Normal(39).jpg")

# %% [markdown]
# That was a case card. The lines above "folder" come from [](../../ecgbook/measure.py); all
# thresholds are those of the guideline {cite}`thygesen2018`, and approximate, for the pages
# were filtered at 0.67-25 Hz, which can lower a raised ST segment and a narrow Q. "Rules call"
# is what fixed rules without learning make of them. Then the models, each quoted
# {term}`out-of-fold`: the mean of its probabilities over its repeats, and how many repeats
# missed the folder's label. Which page network and which {term}`hybrid <hybrid model>` are
# quoted is decided by validation pages alone ([](history_mi.ipynb)).

# %% [markdown]
# ## All cases
#
# The list follows from the headline's stored predictions: History_MI missed in at least one of
# five repeats, the hardest first; MI likewise; then every other {term}`label doubt`.


# %% mystnb={"markdown_format": "myst"}
def linked(frame):
    """Show a frame as a table whose links lead to the cases."""
    lines = [frame.columns, ["---"] * frame.shape[1], *frame.astype(str).to_numpy()]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))


files = cases.gallery_files()
linked(gallery.overview(files))

# %%
labels, missed = ranked.loc[files, "label"], ranked.loc[files, "missed"]
every_time = ranked[ranked["missed"] == 1]
figures.glue("gallery-cases", len(files))
figures.glue("gallery-history", int((labels == "History_MI").sum()))
figures.glue("gallery-mi", int((labels == "MI").sum()))
figures.glue("gallery-always", int((missed == 1).sum()))
figures.glue("gallery-doubts", int(ranked["doubt"].sum()))

# %% [markdown]
# {glue:text}`gallery-cases` ECGs, {glue:text}`gallery-history` of them History_MI and
# {glue:text}`gallery-mi` MI. {glue:text}`gallery-always` are missed in every repeat: no matter
# how the folds are dealt, the headline does not see in them what the folder says.

# %% [markdown]
# ## The missed History_MI

# %% [markdown]
# (case-pmi-7)=
# ### PMI(7)
# The beats follow each other at uneven distances, no P wave was found, and in the last second a
# long pause stands before the last beat. The strip shows lead III, in which this heart leaves
# hardly a mark. No criterion of infarction is met: no wide Q, no shifted ST, and R grows as it
# should. The headline calls Abnormal, once Normal; the irregular rhythm may be all that it has.
# A label doubt: if there was an infarction, it left nothing here that we can measure.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Irregular narrow beats without visible P waves, low voltages in the limb leads, upright T waves, no wide Q and no raised ST segment.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(7), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-7"}}
gallery.show("PMI(7).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(7).jpg")

# %% [markdown]
# (case-pmi-32)=
# ### PMI(32)
# Fast, with an axis far to the left. From V2 to V5 the ST segment rises in a dome that swallows
# the T wave; I and aVL show inverted T waves, and V4 and V5 begin with a Q. Criteria of an
# acute infarction are met in two territories, and the rules call MI; so does the headline in
# most repeats, else Abnormal. An old infarction can keep its raised ST segment, and the folder
# may know a history that a page does not. So the contradiction is about the age of the
# infarction, not about there being one; compare [PMI(50)](case-pmi-50). A label doubt.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Fast rhythm with dome-shaped ST elevation of several millimetres from V2 to V5, inverted T waves in I and aVL, and the strip's S waves deeper than its R waves.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(32), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-32"}}
gallery.show("PMI(32).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(32).jpg")

# %% [markdown]
# (case-pmi-35)=
# ### PMI(35)
# A quiet ECG: regular, narrow beats, flat ST segments, small upright T waves, R and S as they
# should be across the chest. The rules object to a short PR interval only, and the P wave is so
# flat here that its beginning may well have been set too late. No criterion is met, and the
# headline calls Normal each time. A label doubt, and a good example of what a label may rest
# on: a history is told, not seen.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Regular narrow beats, flat ST segments, small upright T waves from V1 to V6, very flat P waves and no wide Q.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(35), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-35"}}
gallery.show("PMI(35).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(35).jpg")

# %% [markdown]
# (case-pmi-16)=
# ### PMI(16)
# A rate near the upper limit, deep S waves in V2 and V3, and an ST segment that starts a little
# low in V5 and V6 but has come back 60 ms later. A Q stands in III, but in no lead beside it,
# and III alone is no witness. The rules find nothing at all. The headline calls Abnormal each
# time, perhaps because of the rate and of the low J point: label doubt.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Regular beats at nearly a hundred a minute, S waves of more than two millivolts in V2 and V3, a slightly low J point in V5 and V6, a small Q in III.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(16), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-16"}}
gallery.show("PMI(16).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(16).jpg")

# %% [markdown]
# (case-pmi-38)=
# ### PMI(38)
# III and aVF begin with a Q wave that is wide enough for the criterion, a tall R follows it in
# III, and S waves in I and aVL mirror it. The rules agree with the folder: History_MI. The
# headline calls Abnormal each time. So this is a plain miss and no label doubt. The other
# History_MI that it calls Abnormal each time are about as fast; perhaps the rate outweighed two
# Q waves.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Regular beats with a clear Q wave before the R wave in III and aVF, S waves in I and aVL, deep S waves in V2 and V3 and flat T waves.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(38), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-38"}}
gallery.show("PMI(38).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(38).jpg")

# %% [markdown]
# (case-pmi-54)=
# ### PMI(54)
# Slow and regular. I and aVL are very small, and R stays small from V1 to V3 and then jumps in
# V4. That can be what an anterior scar leaves, but it is no criterion: a small R comes before
# each S, so there is no Q. The only Q, in aVL, has no neighbour. The rules object to the slow
# rate alone, the headline calls Normal each time: label doubt.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Slow regular beats, hardly any voltage in I and aVL, small R waves from V1 to V3 followed by tall ones from V4 on, upright T waves.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(54), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-54"}}
gallery.show("PMI(54).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(54).jpg")

# %% [markdown]
# (case-pmi-61)=
# ### PMI(61)
# Fast and regular. III only points down, a QS, and aVF next to it is nearly flat, so that a Q in III has no neighbour
# to confirm it. T waves are flat almost everywhere. No criterion is met; a rate above 100 is the only thing outside
# its limits, and with it the rules call Abnormal. So does the headline each time: label doubt.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Regular beats at more than a hundred a minute, a negative QRS in III beside a nearly flat aVF, and flat T waves in most leads.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(61), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-61"}}
gallery.show("PMI(61).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(61).jpg")

# %% [markdown]
# (case-pmi-67)=
# ### PMI(67)
# From V4 to V6 the ST segment sags and ends in an inverted T wave; II and aVF sag as well. V1
# to V3 show deep S waves with a slightly raised ST segment after them. There is no pathological
# Q. Depressed ST and inverted T have many causes, the rules call Abnormal for them, and so does
# the headline each time, with History_MI as its second choice. Abnormal and an old infarction
# exclude each other only in the folders. A label doubt.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Sagging ST segments and inverted T waves in V4 to V6, low ST in II and aVF, deep S waves in V1 and V2, and a wandering baseline late in the strip.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(67), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-67"}}
gallery.show("PMI(67).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(67).jpg")

# %% [markdown]
# (case-pmi-71)=
# ### PMI(71)
# T waves are deeply inverted from V2 to V5, and the ST segment of V6 is low. But the tall
# complexes of V4 and V5 cross on the page; the digitiser left gaps, and neither lead was
# measured. With V4 missing, the inverted T of V3 finds no neighbour, no criterion is met, and
# the rules say Normal. This contradiction is made by our measurement and says nothing about the
# label. The headline calls Abnormal each time, by a narrow margin over History_MI.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Deeply inverted T waves from V2 to V5; the complexes of V4 and V5 are broken by gaps where the two traces cross on the page.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(71), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-71"}}
gallery.show("PMI(71).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(71).jpg")

# %% [markdown]
# (case-pmi-25)=
# ### PMI(25)
# III and aVF begin with a Q, keep an ST segment raised by a little more than a millimetre, and III ends with an
# inverted T; I and aVL mirror it slightly. Q speaks of an old infarction, raised ST of a new one, and the rules,
# which look at ST first, call MI. The headline is divided between History_MI and Abnormal. On average it agrees with
# the folder: no label doubt.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Q waves with slightly raised ST segments in III and aVF, an inverted T wave in III, and tall R waves in V3 and V4.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(25), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-25"}}
gallery.show("PMI(25).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(25).jpg")

# %% [markdown]
# (case-pmi-79)=
# ### PMI(79)
# V1 has a trace of R, V2 to V4 have none: they begin with a deep negative wave, a QS. The
# criterion of a pathological Q is met in the anterior leads, and the rules and the folder
# agree. The axis lies far to the left, P waves are tall in II, the baseline sways. The headline
# finds History_MI in two repeats and calls Abnormal in three: a plain miss by a small margin.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Deep purely negative QRS complexes in V2, V3 and V4, small complexes in V5 and V6, prominent P waves in II.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(79), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-79"}}
gallery.show("PMI(79).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(79).jpg")

# %% [markdown]
# (case-pmi-37)=
# ### PMI(37)
# Slow, irregular, without P waves; in V1 the baseline ripples between the beats. V2 to V5 have
# very deep S waves, after which ST and T rise, while ST sinks in I, aVL and V6. In II and III
# the first beats are so distorted that their measurements mean little. The rules call Abnormal,
# for the rhythm and the depressed ST; the headline calls Abnormal three times and History_MI
# twice, and its mean probability favours History_MI: no label doubt.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Slow irregular beats without P waves, S waves of more than two millivolts from V3 to V4 with rising ST after them, and a distorted start in II and III.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(37), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-37"}}
gallery.show("PMI(37).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(37).jpg")

# %% [markdown]
# (case-pmi-17)=
# ### PMI(17)
# Deeply inverted T waves in I, aVL and from V3 to V6, after ST segments that are low in the
# same leads; no pathological Q. In V4 the tips of two tall R waves were not read. The criteria
# that are met are depression and inversion, for which the rules call Abnormal. The headline
# finds History_MI in three of five repeats and calls Abnormal in the others; such T waves go
# with either.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Deep inverted T waves in I, aVL and V3 to V6 with low ST segments, tall R waves in V3 to V5, two R waves in V4 broken by gaps.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(17), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-17"}}
gallery.show("PMI(17).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(17).jpg")

# %% [markdown]
# (case-pmi-4)=
# ### PMI(4)
# Fast and regular. T is upright in I and aVL and inverted in III and V1; S outweighs R as far
# as V4. ST stays flat. No criterion is met, a Q in aVL has no neighbour, and the rules object
# to the rate alone. The headline finds History_MI in four of five repeats: it must have seen
# something beyond the criteria, the late growth of R, for instance.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Regular beats at more than a hundred a minute, upright T waves in I and aVL, inverted T waves in III and V1, deep S waves from V2 to V4.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(4), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-4"}}
gallery.show("PMI(4).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(4).jpg")

# %% [markdown]
# (case-pmi-6)=
# ### PMI(6)
# The axis lies far to the left, the QRS is a little wide, and from V1 to V6 the S outweighs the
# R: R does not grow at all. Each S is preceded by a small R, so none of them counts as a Q. V4
# keeps a raised ST segment that no neighbour confirms. The rules call Abnormal for axis, width
# and voltage; the headline finds History_MI in four of five repeats, most likely from the
# missing R waves.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Deep S waves in all chest leads and in II, III and aVF with hardly any R before them, tall R only in aVL, and flat T waves in the limb leads.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(6), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-6"}}
gallery.show("PMI(6).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(6).jpg")

# %% [markdown]
# (case-pmi-50)=
# ### PMI(50)
# V2 and V3 fall at once into a deep negative wave, V4 has only a small one, and after each the
# ST segment stands high and domed, from V2 as far as V6. Q and raised ST: the rules call MI,
# which they always do when ST is raised. The headline calls History_MI in four of five repeats
# and MI in one. On paper this ECG resembles [PMI(32)](case-pmi-32), which the headline takes
# for MI; what separates the two most visibly is the rate.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Dome-shaped raised ST segments from V2 to V5 after deep negative QRS complexes, with small notched complexes in V5 and II.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(50), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-50"}}
gallery.show("PMI(50).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(50).jpg")

# %% [markdown]
# (case-pmi-72)=
# ### PMI(72)
# Fast. T is biphasic in V2, inverted in V3 and V4, and upright in V5. Only V4 has more R than S, so only there the
# inversion counts, and one lead is not enough. II and III start from a sagging baseline, and at the end the strip
# runs off upwards: such a page is hard to measure. The rules call Abnormal for the rate; the headline finds
# History_MI in four of five repeats.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Fast regular beats with T waves inverted from V2 to V4, and a baseline that runs off upwards in the last half second.", "classes": "paper dark-light"}, "figure": {"caption": "PMI(72), History_MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-pmi-72"}}
gallery.show("PMI(72).jpg")

# %% tags=["hide-input"]
gallery.card("PMI(72).jpg")


# %%
def signs(file):
    """Return the signs of infarction that an ECG meets, as sign and territory."""
    met = cases.criteria(f"{file}.jpg")
    return set(met["sign"] + " " + met["territory"])


calls = gallery.overview(files).set_index("case")["calls"]
calls.index = [file.removesuffix(".jpg") for file in files]
table = measure.measurements().set_index("file")
table.index = table.index.str.removesuffix(".jpg")
doubted = set(ranked.index[ranked["doubt"]].str.removesuffix(".jpg"))

for file in ("PMI(7)", "PMI(35)", "PMI(16)", "PMI(54)", "PMI(61)"):
    assert signs(file) == set() and file in doubted
for file in ("PMI(71)", "PMI(4)", "PMI(6)", "PMI(72)"):
    assert signs(file) == set()
always = calls.index[(calls == "Abnormal 5") & (labels == "History_MI").to_numpy()]
assert set(always) == {"PMI(16)", "PMI(38)", "PMI(61)", "PMI(67)", "PMI(71)"}
assert (table.loc[always, "heart_rate"] > 90).all()
for file in ("PMI(35)", "PMI(54)"):
    assert calls[file] == "Normal 5"
for file in ("PMI(4)", "PMI(6)", "PMI(50)", "PMI(72)"):
    assert calls[file].startswith("History_MI 4")
assert {"ST elevation anterior", "ST elevation lateral"} <= signs("PMI(32)") & signs(
    "PMI(50)"
)
assert signs("PMI(38)") == {"pathological Q inferior"}
assert signs("PMI(79)") == {"pathological Q anterior"}
assert signs("PMI(25)") == {"pathological Q inferior", "ST elevation inferior"}
assert signs("PMI(67)") == {
    "ST depression lateral",
    "ST depression inferior",
    "T inversion lateral",
}
assert not doubted & {"PMI(38)", "PMI(25)", "PMI(79)", "PMI(37)", "PMI(17)"}
assert table.loc["PMI(71)", ["V4_t_mv", "V5_t_mv"]].isna().all()
assert table.loc["PMI(71)", ["V2_t_mv", "V3_t_mv"]].max() < -0.3
assert table.loc["PMI(6)", "axis_deg"] < -60 and table.loc["PMI(6)", "qrs_ms"] > 120
heaps = {"none": 0, "ST and T": 0, "criterion": 0}
for file in calls.index[(labels == "History_MI").to_numpy()]:
    met = " ".join(signs(file))
    strong = "pathological Q" in met or "ST elevation" in met
    heaps["criterion" if strong else "ST and T" if met else "none"] += 1
for name, number in heaps.items():
    figures.glue("gallery-heap-" + name.split()[0].lower(), number)
assert heaps["none"] > sum(heaps.values()) / 2

# %% [markdown]
# The cell above is a proof-reader: it holds the sentences against the measurements and the
# stored answers, and would stop this page if one of them became false. Read together, the
# missed History_MI fall into three heaps. {glue:text}`gallery-heap-none` meet no criterion at
# all; {glue:text}`gallery-heap-st` show depressed ST or inverted T, which fit many things;
# {glue:text}`gallery-heap-criterion` have a pathological Q or a raised ST segment and are
# missed nevertheless.

# %% [markdown]
# ## The missed MI

# %% [markdown]
# (case-mi-25)=
# ### MI(25)
# Slow and calm at first sight. Then: in III and aVF the ST segment starts a little high and
# runs straight into a broad T wave, while I and aVL start low, with T inverted in aVL. Opposite
# shifts in opposite leads are the pattern of an inferior infarction, but III stays just below a
# millimetre and aVF further below it. No criterion is met. A filter at 0.67 Hz can lower ST;
# whether it did here, nobody can tell. The rules object to the slow rate alone, and the
# headline calls Normal each time: label doubt, and perhaps the most instructive case here.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Slow regular beats; slightly raised ST running into broad T waves in III and aVF, slightly low ST and an inverted T wave in aVL.", "classes": "paper dark-light"}, "figure": {"caption": "MI(25), MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-mi-25"}}
gallery.show("MI(25).jpg")

# %% tags=["hide-input"]
gallery.card("MI(25).jpg")

# %% [markdown]
# (case-mi-7)=
# ### MI(7)
# Tall broad T waves in I, aVL and from V2 to V6, and the mirror image in III. ST rises steeply
# from the {term}`J point`: at J it is hardly raised, 60 ms later it stands two millimetres and
# more above the line in V2 to V5. The criterion of ST elevation looks at J and is not met; the
# pathological Q in V2 to V5 is, so that the rules call History_MI. The headline calls Abnormal,
# once History_MI. A label doubt that arises from where one puts the ruler.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Tall broad T waves with steeply rising ST in I and V2 to V6, an inverted mirror image in III, and Q waves from V2 to V5.", "classes": "paper dark-light"}, "figure": {"caption": "MI(7), MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-mi-7"}}
gallery.show("MI(7).jpg")

# %% tags=["hide-input"]
gallery.card("MI(7).jpg")

# %% [markdown]
# (case-mi-17)=
# ### MI(17)
# Fast. Domed ST elevation after QS complexes in V2 to V5; the limb leads are small and begin
# with a Q in II, III and aVF. The rules agree with the folder: MI. The headline is divided
# between Abnormal and History_MI and never says MI. A plain miss, no label doubt: so many Q
# waves may look to it like an old infarction, and the limb leads, some of which the digitiser
# marks as doubtful, add noise.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Fast beats with dome-shaped ST elevation after negative QRS complexes in V2 to V5, very small limb leads, and a jump of the baseline in V6.", "classes": "paper dark-light"}, "figure": {"caption": "MI(17), MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-mi-17"}}
gallery.show("MI(17).jpg")

# %% tags=["hide-input"]
gallery.card("MI(17).jpg")

# %% [markdown]
# (case-mi-13)=
# ### MI(13)
# Small complexes and tall, pointed T waves in V2 to V4. In II, III and aVF the ST segment
# slopes up into T; at J it passes a millimetre in III alone. No criterion is met, and a step of
# the baseline in the third beat of II and III shows how shaky such a measurement is. The rules
# object to the axis alone, the headline calls Normal each time. A label doubt of the same kind
# as [MI(25)](case-mi-25).

# %% tags=["hide-input"] mystnb={"image": {"alt": "Small regular complexes, ST sloping up into tall T waves in II, III and V2 to V5, and a step of the baseline in the third beat of II and III.", "classes": "paper dark-light"}, "figure": {"caption": "MI(13), MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-mi-13"}}
gallery.show("MI(13).jpg")

# %% tags=["hide-input"]
gallery.card("MI(13).jpg")

# %% [markdown]
# (case-mi-11)=
# ### MI(11)
# Horizontal {term}`ST depression` from V2 to V5, deepest in V4. In aVF the ST segment is raised
# by a millimetre, in III by just under one, and aVL mirrors it. Elevation in two contiguous
# leads is missed by a hair, depression is met, and for that and the slow rate the rules call
# Abnormal. Depression in V2 to V4 can be the mirror image of raised ST at the back of the
# heart, which none of the twelve leads faces. The headline calls History_MI each time: label
# doubt.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Horizontal ST depression of about two millimetres from V2 to V5, slightly raised ST in III and aVF, inverted T in aVL, slow rate.", "classes": "paper dark-light"}, "figure": {"caption": "MI(11), MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-mi-11"}}
gallery.show("MI(11).jpg")

# %% tags=["hide-input"]
gallery.card("MI(11).jpg")

# %% [markdown]
# (case-mi-22)=
# ### MI(22)
# ST is raised in I and aVL and lowered in II, III and aVF: the criteria of a lateral infarction
# are met, and the rules call MI. V2 is raised as well, V3 just below its limit, and the T waves
# of V2 to V4 are tall and broad. The headline calls Normal in four of five repeats, with its
# mean probability spread over three classes. A plain miss. There is no Q, the rate is ordinary,
# T is upright in the chest leads: but for ST there is little to tell it from a Normal.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Raised ST in I and aVL, low ST in II, III and aVF, tall broad T waves in V2 to V4 and an S wave in every chest lead.", "classes": "paper dark-light"}, "figure": {"caption": "MI(22), MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-mi-22"}}
gallery.show("MI(22).jpg")

# %% tags=["hide-input"]
gallery.card("MI(22).jpg")

# %% [markdown]
# (case-mi-24)=
# ### MI(24)
# A very wide QRS, one beat of another shape in the strip, and enormous ST segments and T waves
# that point away from the QRS. Short notches stand before many complexes. Every criterion seems
# to be met, but none is made for so wide a QRS: there ST and T move against it even without
# infarction, and a Q says nothing. The rules do not know this and call MI. The headline calls
# Abnormal in four of five repeats, for which the width is reason enough.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Very wide QRS complexes, negative in I and V2 to V5, with huge opposite T waves in V2 to V4, and one beat of another shape in the strip.", "classes": "paper dark-light"}, "figure": {"caption": "MI(24), MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-mi-24"}}
gallery.show("MI(24).jpg")

# %% tags=["hide-input"]
gallery.card("MI(24).jpg")

# %% [markdown]
# (case-mi-21)=
# ### MI(21)
# Irregular and fast. ST is raised in II, III and aVF and also from V1 to V3, and lowered in I
# and aVL. The criteria of an inferior infarction with its {term}`mirror image <reciprocal
# depression>` are met; the QRS is measured as wide because its end melts into ST. The headline
# finds MI in four of five repeats and calls Abnormal once, perhaps for the rhythm.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Irregular fast beats, domed ST elevation in II, III, aVF and V1 to V3, ST depression in I and aVL.", "classes": "paper dark-light"}, "figure": {"caption": "MI(21), MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-mi-21"}}
gallery.show("MI(21).jpg")

# %% tags=["hide-input"]
gallery.card("MI(21).jpg")

# %% [markdown]
# (case-mi-9)=
# ### MI(9)
# The picture of the textbook: raised ST in II, III and aVF, in III after a small Q, with its
# mirror image in I, aVL and V2. V5 and V6 are raised too. All agree: folder, rules, and the
# headline in four of five repeats. It is here because one repeat called Abnormal.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Raised plateau-like ST segments in II, III and aVF, depressed ST in I, aVL and V2, deep S waves in V2 and V3.", "classes": "paper dark-light"}, "figure": {"caption": "MI(9), MI by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-mi-9"}}
gallery.show("MI(9).jpg")

# %% tags=["hide-input"]
gallery.card("MI(9).jpg")

# %%
for file in ("MI(25)", "MI(13)"):
    assert signs(file) == set() and calls[file] == "Normal 5" and file in doubted
third = table.loc["MI(25)", ["III_stj_mv", "aVF_stj_mv"]]
assert third.iloc[0] < 0.1 and third.iloc[1] < third.iloc[0] and third.min() > 0.05
assert (table.loc["MI(25)", ["I_stj_mv", "aVL_stj_mv", "aVL_t_mv"]] < -0.04).all()
assert not any(
    sign.startswith("ST elevation") for sign in signs("MI(7)") | signs("MI(11)")
)
assert (table.loc["MI(7)", [f"V{i}_st60_mv" for i in range(2, 6)]] > 0.2).all()
assert (table.loc["MI(7)", [f"V{i}_stj_mv" for i in range(2, 6)]] < 0.15).all()
assert (
    table.loc["MI(13)", "III_stj_mv"]
    >= 0.1
    > table.loc["MI(13)", ["II_stj_mv", "aVF_stj_mv"]].max()
)
assert (
    table.loc["MI(11)", "aVF_stj_mv"] >= 0.1 > table.loc["MI(11)", "III_stj_mv"] > 0.08
)
assert "ST depression anterior" in signs("MI(11)") and calls["MI(11)"] == "History_MI 5"
assert {"ST elevation lateral", "ST depression inferior"} == signs("MI(22)")
assert {"ST elevation inferior", "ST depression lateral"} <= signs("MI(21)") & signs(
    "MI(9)"
)
for file in ("MI(17)", "MI(22)", "MI(24)", "MI(21)", "MI(9)"):
    assert file not in doubted and ranked.loc[f"{file}.jpg", "criteria_call"] == "MI"
assert "MI" not in calls["MI(17)"].replace("History_MI", "")
assert table.loc["MI(24)", "qrs_ms"] > 180
without = [f for f in files if f.startswith("MI") and not signs(f[:-4])]
figures.glue("gallery-mi-unmet", len(without))

# %% [markdown]
# [MI(25)](case-mi-25) and [MI(13)](case-mi-13) stay just below the criterion of ST elevation,
# [MI(11)](case-mi-11) misses it by a hair in one lead, [MI(7)](case-mi-7) by where ST is
# measured. {glue:text}`gallery-mi-unmet` of the {glue:text}`gallery-mi` meet no criterion
# whatever. With 30 MI in all this is an observation, not a law.

# %% [markdown]
# ## Further label doubts
#
# These come from the other two folders. The headline calls them an infarction, or Normal, and
# so do the rules.

# %% [markdown]
# (case-hb-33)=
# ### HB(33)
# The strongest contradiction of all 491. The QRS is a little wide and its axis lies far to the
# left. R is nearly gone from V1 to V4, with QS complexes in V3 and V4, and T is inverted in aVL
# and across the chest. The criterion of an anterior Q is met; the rules and the headline, in
# every repeat and with great confidence, call History_MI. But the folder is no contradiction in
# itself: an ECG with a disturbed conduction is abnormal, whether or not there is a scar, and
# had to be put somewhere.

# %% tags=["hide-input"] mystnb={"image": {"alt": "A slightly wide QRS with left axis, hardly any R wave from V1 to V4, inverted T waves in aVL and V2 to V5.", "classes": "paper dark-light"}, "figure": {"caption": "HB(33), Abnormal by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-hb-33"}}
gallery.show("HB(33).jpg")

# %% tags=["hide-input"]
gallery.card("HB(33).jpg")

# %% [markdown]
# (case-hb-183)=
# ### HB(183)
# I and aVL begin with a Q and end with an inverted T; V3 and V4 fall at once into a deep
# negative wave. Criteria of pathological Q are met in two territories. V1, oddly, has a tall R
# that V2 and V3 lack; such an order can come from leads that were swapped, or from the heart.
# V5 and V6 jump with the baseline. The rules and the headline call History_MI each time: label
# doubt, with a question mark over the recording.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Q waves and inverted T waves in I and aVL, a tall R in V1 that V2 and V3 lack, purely negative V3 and V4, baseline jumps in V5 and V6.", "classes": "paper dark-light"}, "figure": {"caption": "HB(183), Abnormal by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-hb-183"}}
gallery.show("HB(183).jpg")

# %% tags=["hide-input"]
gallery.card("HB(183).jpg")

# %% [markdown]
# (case-hb-53)=
# ### HB(53)
# Wide waves follow each other at almost three a second, without P and without a flat line
# between them. There is no J point to be found, and no ST segment in any useful sense. The
# measurement sets its marks nevertheless and finds every ST elevation and every Q there is; the
# rules and the headline call MI. Here the eye resolves the contradiction: criteria were applied
# to a rhythm for which they are not made. The folder Abnormal fits.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Broad regular waves at about three a second in all leads, without P waves and without any flat stretch between beats.", "classes": "paper dark-light"}, "figure": {"caption": "HB(53), Abnormal by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-hb-53"}}
gallery.show("HB(53).jpg")

# %% tags=["hide-input"]
gallery.card("HB(53).jpg")

# %% [markdown]
# (case-hb-60)=
# ### HB(60)
# Regular, narrow, R growing to V4, T tall and upright in V2 and V3, ST flat. The rules find
# nothing outside its limits, although QTc and voltage come close to theirs; the headline calls
# Normal each time. What was abnormal about this ECG, or about the person, the page does not
# say: label doubt.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Regular narrow beats with tall R waves in II and V4 to V6, upright T waves in V2 to V4 and flat ST segments.", "classes": "paper dark-light"}, "figure": {"caption": "HB(60), Abnormal by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-hb-60"}}
gallery.show("HB(60).jpg")

# %% tags=["hide-input"]
gallery.card("HB(60).jpg")

# %% [markdown]
# (case-hb-11)=
# ### HB(11)
# A wide, fast and regular rhythm with an axis far to the left: a slower sister of
# [HB(53)](case-hb-53). ST and T swing against the QRS, as they do behind any wide complex, and
# the measurement takes this for ST elevation and the negative complexes for Q waves. It also
# claims a P wave that the eye finds hard to confirm. The rules call MI and so does the headline
# in four of five repeats; the folder Abnormal fits better than the criteria do.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Wide regular complexes at more than two a second, deeply negative in II, III and most chest leads, with T waves in the opposite direction.", "classes": "paper dark-light"}, "figure": {"caption": "HB(11), Abnormal by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-hb-11"}}
gallery.show("HB(11).jpg")

# %% tags=["hide-input"]
gallery.card("HB(11).jpg")

# %% [markdown]
# (case-hb-62)=
# ### HB(62)
# Regular and narrow; R grows to V4, T is upright. ST starts a millimetre low in V4 and slopes
# up at once, so that it does not count. The rules find nothing, the headline calls Normal each
# time. As with [HB(60)](case-hb-60), what put it into its folder is not on the page: label
# doubt.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Regular narrow beats with upright T waves, tall R waves in V3 and V4 and a J point slightly low in V4 only.", "classes": "paper dark-light"}, "figure": {"caption": "HB(62), Abnormal by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-hb-62"}}
gallery.show("HB(62).jpg")

# %% tags=["hide-input"]
gallery.card("HB(62).jpg")

# %% [markdown]
# (case-normal-81)=
# ### Normal(81)
# R is almost missing in V1 to V3, then it is there in V5 as if nothing had been. In V4 a small
# Q precedes it. The criterion of an anterior Q is met, by a margin that hangs on whether a
# spike of less than a millimetre counts as an R. T is upright everywhere and ST flat.
# Electrodes placed too high can give the same picture. The headline calls History_MI in four of
# five repeats, the rules agree: label doubt, and no more than that. "Normal" never means that
# infarction was excluded.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Almost no R wave in V1, V2 and V3, a small Q before R in V4, normal R in V5, upright T waves and flat ST segments.", "classes": "paper dark-light"}, "figure": {"caption": "Normal(81), Normal by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-normal-81"}}
gallery.show("Normal(81).jpg")

# %% tags=["hide-input"]
gallery.card("Normal(81).jpg")

# %% [markdown]
# (case-hb-39)=
# ### HB(39)
# Slow and regular with a very wide QRS: negative in II, III and aVF and from V3 to V6, positive
# in aVR, aVL, V1 and V2. Small waves between the complexes keep no fixed distance from them.
# The S waves of the strip reach beyond the paper's edge and are cut off. As with
# [HB(53)](case-hb-53), a Q means nothing where every complex is wide; the rules call
# History_MI, the headline mostly MI, and the folder Abnormal fits.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Slow very wide complexes, negative in II, III and V3 to V6, positive in aVR and aVL, with tall opposite T waves; the strip's tips are cut off.", "classes": "paper dark-light"}, "figure": {"caption": "HB(39), Abnormal by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-hb-39"}}
gallery.show("HB(39).jpg")

# %% tags=["hide-input"]
gallery.card("HB(39).jpg")

# %% [markdown]
# (case-hb-180)=
# ### HB(180)
# Very fast, narrow, no P wave; I and II swing wildly in the first second. V1 to V3 are almost
# purely negative, V4 and V5 begin with a negative wave and end with an inverted T. The criteria
# of Q and of T inversion are met, though at such a rate T, P and ST lie upon each other. The
# headline is divided between History_MI and Abnormal: label doubt, of the weak kind.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Very fast narrow beats without P waves, negative complexes in V1 to V3, inverted T waves in V4 and V5, and a wildly swinging baseline at the start of I and II.", "classes": "paper dark-light"}, "figure": {"caption": "HB(180), Abnormal by its folder: redrawn from its digitised signal {cite}`khan2021`, 25 mm/s, 10 mm/mV.", "name": "fig-case-hb-180"}}
gallery.show("HB(180).jpg")

# %% tags=["hide-input"]
gallery.card("HB(180).jpg")

# %%
wide = {"HB(53)", "HB(11)", "HB(39)"}
calm = {"HB(60)", "HB(62)"}
scars = {"HB(33)", "HB(183)", "Normal(81)", "HB(180)"}
assert wide | calm | scars == {
    f[:-4] for f in files if labels[f] in ("Abnormal", "Normal")
}
assert ranked.index[0] == "HB(33).jpg" and calls["HB(33)"] == "History_MI 5"
for file in wide:
    assert table.loc[file, "qrs_ms"] > 170 and calls[file].startswith("MI")
assert (
    len([s for s in signs("HB(53)") if "ST elevation" in s or "pathological Q" in s])
    == 6
)
assert table.loc["HB(11)", "p_seen"] == 1
for file in calm:
    assert signs(file) == set() and calls[file] == "Normal 5"
    assert ranked.loc[f"{file}.jpg", "criteria_call"] == "Normal"
for file in scars:
    assert "pathological Q anterior" in signs(file) and calls[file].startswith(
        "History_MI"
    )
assert table.loc["Normal(81)", ["V2_r_mv", "V3_r_mv"]].max() < 0.1
assert table.loc["HB(183)", "V1_r_mv"] > 2 * table.loc["HB(183)", "V2_r_mv"]
assert table.loc["HB(180)", "heart_rate"] > 180

# %% [markdown]
# ## Label doubt, ranked
#
# {term}`Confident learning` {cite}`northcutt2021` ranks all 491 ECGs by the probability that
# the headline, out of fold, gives to the folder's class. An ECG is called a label doubt when
# the rules contradict the folder too; there are {glue:text}`gallery-doubts`. Having looked at
# them one by one, we sort them by what the contradiction seems to be about.

# %% mystnb={"markdown_format": "myst"}
KINDS = {
    "no sign on the page": (
        ["PMI(7)", "MI(25)", "PMI(35)", "MI(13)", "PMI(16)", "PMI(54)", "PMI(61)"]
    ),
    "new or old": ["PMI(32)", "MI(7)"],
    "ST and T only": ["MI(11)", "PMI(67)"],
    "Q without a history": ["HB(33)", "HB(183)", "Normal(81)", "HB(180)"],
    "criteria not made for it": ["HB(53)", "HB(11)", "HB(39)"],
    "nothing abnormal found": ["HB(60)", "HB(62)"],
    "lead not measured": ["PMI(71)"],
}
kind = {file: name for name, members in KINDS.items() for file in members}
assert set(kind) == doubted and len(kind) == sum(map(len, KINDS.values()))
listed = ranked[ranked["doubt"]].reset_index()
listed = listed.assign(
    case=listed["file"].map(cases.link),
    about=listed["file"].str.removesuffix(".jpg").map(kind),
    p=listed["self_confidence"].map("{:.2f}".format),
)
listed = listed[["rank", "case", "label", "called", "criteria_call", "p", "about"]]
names = {"label": "folder", "criteria_call": "rules call", "p": "p(folder)"}
linked(listed.rename(columns=names))

# %%
strict = set(ranked.index[ranked["issue"]])
alone = sorted(strict - {f"{file}.jpg" for file in doubted})
figures.glue("gallery-strict", len(strict))
figures.glue("gallery-strict-doubts", len(strict) - len(alone))
figures.glue("gallery-strict-alone", " and ".join(file[:-4] for file in alone))
for name, members in KINDS.items():
    figures.glue("gallery-kind-" + name.split()[0].lower(), len(members))

# %% [markdown]
# One by one, in the order of the ranking within each kind:
#
# - *Q without a history* ({glue:text}`gallery-kind-q`). [HB(33)](case-hb-33) and
#   [HB(183)](case-hb-183) show Q waves in leads that confirm each other; both are Abnormal in
#   other ways too, so that two folders fit. [Normal(81)](case-normal-81) hangs on a spike of
#   less than a millimetre, [HB(180)](case-hb-180) on a rate at which nothing can be told apart.
# - *No sign on the page* ({glue:text}`gallery-kind-no`). [PMI(7)](case-pmi-7),
#   [PMI(35)](case-pmi-35), [PMI(16)](case-pmi-16), [PMI(54)](case-pmi-54) and [PMI(61)](case-pmi-61) stand in the
#   folder History_MI and show no criterion: an old infarction need not leave one. [MI(25)](case-mi-25) and
#   [MI(13)](case-mi-13) stand in the folder MI and come close to one; for these, lowered ST by the page's filter is a
#   possible cause.
# - *New or old* ({glue:text}`gallery-kind-new`). [PMI(32)](case-pmi-32) has the raised ST of an
#   acute infarction and the folder of an old one, [MI(7)](case-mi-7) the Q waves of an old one
#   and the folder of an acute one.
# - *ST and T only* ({glue:text}`gallery-kind-st`). [MI(11)](case-mi-11) and
#   [PMI(67)](case-pmi-67) have changes that an infarction can make and that many other things
#   can make as well.
# - *Criteria not made for it* ({glue:text}`gallery-kind-criteria`). [HB(53)](case-hb-53),
#   [HB(11)](case-hb-11) and [HB(39)](case-hb-39) have wide complexes. The rules are wrong
#   there, and the headline, which reads the same measurements, is wrong with them: two
#   witnesses who share their eyes are not two.
# - *Nothing abnormal found* ({glue:text}`gallery-kind-nothing`). [HB(60)](case-hb-60) and
#   [HB(62)](case-hb-62).
# - *Lead not measured* ({glue:text}`gallery-kind-lead`). [PMI(71)](case-pmi-71): our gap, not
#   their label.
#
# Confident learning in its strict form marks {glue:text}`gallery-strict` ECGs,
# {glue:text}`gallery-strict-doubts` of which are label doubts. The others,
# {glue:text}`gallery-strict-alone`, are Abnormal for the rules as well and so stand in no
# gallery section. None of this is a finding about a person. A reader of ECGs with the files in
# hand could settle most of these in an afternoon; until then the folders stay as they are, in
# every score of this book.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-gallery-1
# *Easy.* Is the plot to scale? Draw any ECG with `gallery.twelve_leads`, and measure in pixels
# how high 1 mV and how long 200 ms are. The calibration pulse should be twice as high as it is wide.
# ```
#
# ```{solution-start} ex-gallery-1
# :class: dropdown
# ```

# %%
import matplotlib.pyplot as plt

fig = gallery.twelve_leads("MI(9).jpg")
to_pixels = fig.axes[0].transData.transform
(x0, y0), (x1, y1) = to_pixels([(0, 0), (0.2, 1)])
plt.close(fig)
print(f"{x1 - x0:.1f} pixels wide, {y1 - y0:.1f} pixels high")
assert abs((y1 - y0) / (x1 - x0) - 2) < 1e-6

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-gallery-2
# *Medium.* The rules call [PMI(71)](case-pmi-71) Normal. What would they call it if V4 had been
# measured and had the inverted T wave that the plot shows? Change one column of its measurements and ask
# `ecgbook.models.Guideline` again.
# ```
#
# ```{solution-start} ex-gallery-2
# :class: dropdown
# ```

# %%
from ecgbook import data, models

rules = models.Guideline()
row = measure.measurements().set_index("file").loc[["PMI(71).jpg"]]
before = data.CLASSES[rules.predict(row)[0]]
# V3, an anterior lead with an inverted T, now has its neighbour V4.
after = data.CLASSES[rules.predict(row.assign(t_inverted_anterior=1.0))[0]]
print(before, "->", after)
assert (before, after) == ("Normal", "Abnormal")

# %% [markdown]
# Abnormal, which is still not the folder: the gap explains "Normal", not the whole
# contradiction.
#
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-gallery-3
# *Hard.* Three label doubts are wide rhythms, for which the criteria are not made. Refine the rules: where the QRS
# lasts longer than 120 ms, let them ignore ST, Q and T. Which label doubts vanish, and do new ones appear?
# ```
#
# ```{solution-start} ex-gallery-3
# :class: dropdown
# ```

# %%
import numpy as np

rows = measure.measurements().set_index("file").loc[ranked.index]
walls = [f"{sign}_{wall}" for sign in measure._SIGNS for wall in measure.TERRITORIES]
refined = rows.copy()
refined.loc[rows["qrs_ms"] > 120, walls] = 0.0
call = np.array(data.CLASSES)[rules.predict(refined)]
headline_says_no = ranked["called"] != ranked["label"]
still = set(ranked.index[headline_says_no & (call != ranked["label"])])
old = {f"{file}.jpg" for file in doubted}
print("gone:", sorted(old - still))
print("new:", sorted(still - old))
assert {f"{file}.jpg" for file in wide | {"HB(33)"}} == old - still
assert still - old == {"MI(24).jpg"}

# %% [markdown]
# The three wide rhythms go, and with them [HB(33)](case-hb-33), whose QRS is a little wide. In
# exchange [MI(24)](case-mi-24) becomes one: without criteria the rules no longer side with its
# folder. To refine rules after looking at the cases that they fail on is also how one fools
# oneself: the refined rules would have to be tested on other ECGs.
#
# ```{solution-end}
# ```
#
# ```{admonition} Key points
# :class: keypoints
# - A plot to scale, read in a fixed order, shows in seconds why most of these ECGs are hard.
# - Most missed History_MI meet no criterion at all, or show changes of ST and T that fit many things.
# - Some missed MI stay just below a threshold; on filtered pages thresholds are approximate.
# - Two witnesses that read the same measurements can be wrong together: wide rhythms, unread leads.
# - A label doubt is a reason to look. No cardiologist reviewed these, none was relabelled.
# ```
#
# ## Further reading
#
# The criteria and their limits: {cite}`thygesen2018`. On ST segments, T waves and wide
# complexes, and on what recording filters do: {cite}`rautaharju2009,kligfield2007`, and on
# conduction: {cite}`surawicz2009`. Confident learning: {cite}`northcutt2021`. The data:
# {cite}`khan2021` (CC BY 4.0).
