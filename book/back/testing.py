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
# # How this book is tested
# A computational book can be wrong in a way that a printed one cannot: the code under a figure has changed, the
# figure has not, and nothing on the page shows it. This chapter takes the machinery apart that is meant to notice. It
# is the place to look before you trust a number here, and a pattern that you can carry over to a book of your own.
#
# ```{admonition} What you will learn
# :class: learn
# - how a stored output goes stale, and the four ways in which nobody notices;
# - what each gate of `make test` compares, and what it cannot see;
# - how to test the tests: break the book on purpose, and watch the gate close.
# ```
#
# **Running time:** about ten seconds on a laptop, offline.

# %% [markdown]
# ## A chapter is a pair
# Each chapter is a script that people edit and a notebook that stores what the script printed and drew. The site is
# built from the notebook and runs nothing. That is what makes it quick to build and the same for everyone, and it is
# also the danger: a stored output is a claim about the past.
#
# We make a chapter of our own, in a temporary folder: one line of code, one number.

# %%
import tempfile
from pathlib import Path

from ecgbook import figures, publish

figures.use()
root = Path(tempfile.mkdtemp())
(root / "book").mkdir()
script = root / "book" / "tiny.py"
script.write_text("# %%\nright, n = 121, 140\nprint(round(right / n, 3))\n")

notebook = publish.execute(script, root)
publish.write(notebook, script.with_suffix(".ipynb"))
print(notebook.cells[0].outputs[0].text)

# %% [markdown]
# The notebook now holds that number, and a *stamp*: digests of the code cells, of the modules of the package that the
# code reaches, of the stored tables that it opened, and of the outputs themselves.

# %%
stamp = notebook.metadata["ecgbook"]
{part: stamp[part] for part in ("mode", "modules", "reads")}, sorted(stamp)

# %% [markdown]
# Nothing has changed yet, so nothing is stale and the pair agrees.

# %%
publish.staleness(script.with_suffix(".ipynb"), root), publish.pair_differences(script)

# %% [markdown]
# ## Breaking it, four times
# **The script is edited, and the chapter is not run again.** A synchronising tool would carry the old output over to
# the new code. The pair test compares cell by cell instead.

# %%
script.write_text(script.read_text().replace("121", "137"))
publish.pair_differences(script)

# %% [markdown]
# **Both halves are edited, the output stays.** Now the pair agrees, but the code is not the code that was stamped.

# %%
edited = publish.notebook(script)
edited.cells[0].outputs = notebook.cells[0].outputs
edited.cells[0].execution_count = 1
edited.metadata["ecgbook"] = stamp
publish.write(edited, script.with_suffix(".ipynb"))
publish.pair_differences(script), publish.staleness(script.with_suffix(".ipynb"), root)

# %% [markdown]
# **The output is edited.** A picture could be exchanged in the same way, and pictures are never compared by
# `nbval`, the tool that re-runs our notebooks. Their digest is in the stamp.

# %%
notebook.cells[0].outputs[0].text = "0.979\n"
publish.write(notebook, script.with_suffix(".ipynb"))
publish.staleness(script.with_suffix(".ipynb"), root)

# %% [markdown]
# **The output is edited and the stamp is forged.** Digests cannot help any more. This is what the slowest gate is
# for: `nbval` runs every notebook again and compares every text, every table and every number behind a figure with
# what is stored.

# %%
import subprocess
import sys

notebook.metadata["ecgbook"]["outputs"] = publish._outputs_digest(notebook)
(root / "book" / "tiny.py").write_text(
    "# %%\nright, n = 121, 140\nprint(round(right / n, 3))\n"
)
publish.write(notebook, script.with_suffix(".ipynb"))
print(
    publish.pair_differences(script),
    publish.staleness(script.with_suffix(".ipynb"), root),
)

command = [
    sys.executable,
    "-m",
    "pytest",
    "-q",
    "--nbval",
    "--nbval-current-env",
    "-p",
    "no:cacheprovider",
    str(root),
]
rerun = subprocess.run(command, cwd=root, capture_output=True, text=True)
"passed" if rerun.returncode == 0 else "failed"

# %% [markdown]
# The test suite does the same to a copy of the real book: it changes a stored number, a function of the package, a tag
# of a pair and a plotted value, and demands that each change fails (`tests/test_gates.py`).

# %% [markdown]
# ## What code changes count
# A module's docstrings and comments are prose, and prose is improved all the time. If every comma made ten chapters
# stale, people would learn to ignore the gate. So a module is compared by its syntax tree, without docstrings.

# %%
before = 'def rate(rr):\n    """Return the rate."""\n    return 60 / rr\n'
versions = {
    "as it was": before,
    "docstring reworded": before.replace(
        "Return the rate", "Beats a minute from seconds a beat"
    ),
    "comment added": before.replace("60 / rr", "60 / rr  # s to bpm"),
    "a constant changed": before.replace("60", "61"),
    "a name changed": before.replace("rr", "interval"),
}
same = {
    name: publish.code_digest(code) == publish.code_digest(before)
    for name, code in versions.items()
}
same

# %% [markdown]
# ## Figures are published as numbers
# Two machines draw the same plot with slightly different pixels, so pictures cannot be compared exactly, and comparing
# them approximately finds nothing subtle. In this book a figure never appears alone: the numbers that it draws are
# published below it, rounded once, as a folded table with a CSV inside. The table is text, so `nbval` compares it, and
# a reader can take it away.

# %% tags=["hide-input"] mystnb={"image": {"alt": "Five bars, one for each reading of the same sine wave; the five heights drawn are exactly the five numbers in the table below the picture.", "classes": "chart dark-light"}, "figure": {"caption": "A figure as this book publishes it. Open the line below it for its numbers.", "name": "fig-testing-numbers"}}
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

wave = pd.DataFrame(
    {"time (s)": np.arange(5) / 4, "voltage (mV)": np.sin(np.arange(5))}
)
fig, ax = plt.subplots(figsize=(7.2, 2.6))
ax.bar(
    wave["time (s)"],
    wave["voltage (mV)"],
    width=0.18,
    color=figures.COLOURS["Abnormal"],
)
ax.axhline(0, color=figures.MUTED, linewidth=0.8)
ax.set_xlabel("time (s)")
ax.set_ylabel("voltage (mV)")
figures.show(fig, wave, "testing_numbers")

# %% [markdown]
# ## All the gates
# `make test` runs them all, the quick ones first and `nbval` last. The last column matters most: no gate sees
# everything.

# %%
gates = pd.DataFrame(
    [
        ("ruff", "style, unused and undefined names", "logic"),
        (
            "mypy",
            "types of arguments and results",
            "shapes, units, and what untyped libraries return",
        ),
        (
            "site build, warnings as errors",
            "broken references, unknown terms and citations",
            "whether a page is right",
        ),
        ("doctests", "every example in a docstring", "what the examples leave out"),
        (
            "unit and property tests",
            "functions against definitions and second implementations",
            "untested ideas",
        ),
        (
            "package test",
            "the wheel, installed and tried away from the book",
            "other systems and versions",
        ),
        (
            "exercise tests",
            "every solution against a sealed answer, and that wrong ones fail",
            "better solutions",
        ),
        ("pair test", "script and notebook say the same", "stale outputs"),
        (
            "freshness test",
            "code, modules, tables and outputs since the last run",
            "a forged stamp",
        ),
        (
            "prose test",
            "metrics typed by hand, missing parts, missing alternative text",
            "a false sentence",
        ),
        (
            "site tests",
            "links, sound HTML, accessibility in light and dark, requests to other hosts, the PDF",
            "taste",
        ),
        (
            "gate tests",
            "that the gates above close when they should",
            "gates nobody thought of",
        ),
        (
            "nbval",
            "every stored text against a fresh run",
            "pictures (their numbers are compared)",
        ),
    ],
    columns=["gate", "what it compares", "what it cannot see"],
)
figures.table(gates, "testing_gates")

# %% [markdown]
# A score in a sentence is never typed: the code that computes it hands it to the sentence, and a test searches the
# prose for decimals and percentages typed by hand. So the accuracy that follows from 121 right answers in 140, which
# is the count behind the paper's best model, is computed here, and printed here: {glue:text}`testing-accuracy`.

# %%
figures.glue("testing-accuracy", 121 / 140, ".4f")

# %% [markdown]
# ## What the numbers rest on
# Text is compared exactly, so every number is rounded before it is printed, coarsely enough that another processor or
# another linear-algebra library prints the same. Everything random is seeded. The chapters are stored in *embedded
# mode*: the folder of real pages is hidden from them, and every printed number comes from the tables that the package
# carries, which hold checksums and measurements and no pixels {cite}`khan2021`. You can therefore check the whole book
# without downloading anything; with the data set at hand, further tests compare the carried tables with the pages.

# %% [markdown]
# ## Exercises
#
# ```{exercise}
# :label: ex-testing-1
# *Easy.* Two edits: in one, `x = 0.1 + 0.2` becomes `x = 0.3`; in the other, a blank line is added. Which of them
# changes the digest of the code? Which can change an output?
# ```
#
# ```{solution-start} ex-testing-1
# :class: dropdown
# ```

# %%
original = publish.code_digest("x = 0.1 + 0.2")
assert publish.code_digest("x = 0.3") != original
assert publish.code_digest("\nx = 0.1 + 0.2\n\n") == original
print(0.1 + 0.2 == 0.3)

# %% [markdown]
# The first edit changes the digest, and rightly: the two numbers are not even equal in floating point. Layout changes
# neither the digest nor any output.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-testing-2
# *Medium.* A colleague proposes to compare pictures by the mean absolute difference of their pixels, and to fail above
# a threshold of one grey level. Draw a chart of 20 bars, change one bar by a tenth, and measure the difference. Would the
# gate have seen it?
# ```
#
# ```{solution-start} ex-testing-2
# :class: dropdown
# ```


# %%
def drawn(heights):
    figure, axes = plt.subplots(figsize=(5, 3), layout=None)
    axes.bar(range(len(heights)), heights)
    axes.set_ylim(0, 12)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(float)
    plt.close(figure)
    return pixels


bars = np.full(20, 10.0)
changed = bars.copy()
changed[7] = 9.9
difference = np.abs(drawn(bars) - drawn(changed)).mean()
assert 0 < difference < 1
bool(difference < 1)

# %% [markdown]
# The bar that changed covers few pixels, so the mean over the picture hardly moves: the gate stays open. The published
# numbers differ by a tenth, which no comparison of text overlooks.
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise}
# :label: ex-testing-3
# *Hard.* Find an edit of this book that makes a page false and passes every gate. What would a gate against it look
# like, and what would it cost?
# ```
#
# ```{solution-start} ex-testing-3
# :class: dropdown
# ```
# There are many. Change a word: "higher" becomes "lower" in a sentence after a table; no gate reads. Label a glued
# number wrongly: the number is right, the sentence says that it is something else. Change the definition of a metric
# and its test in the same edit. Machines compare a claim with a record; whether the claim follows needs a reader. The
# gate is a review, it costs a person's time, and this is the reason why every sentence here that reads a number
# stands close to the code that computed it. The first of these edits, made on this chapter:

# %%
chapter = publish.notebook(publish.ROOT / "book" / "back" / "testing.py")
before = publish.stamp(chapter, [])
for cell in chapter.cells:
    if cell.cell_type == "markdown":
        cell.source = cell.source.replace("false", "true")
assert publish.stamp(chapter, []) == before
print("the stamp is the same:", publish.stamp(chapter, []) == before)

# %% [markdown]
# ```{solution-end}
# ```

# %% [markdown]
# ```{admonition} Key points
# :class: keypoints
# - A stored output is a claim about the past; a stamp says whether its grounds have changed since.
# - Re-running everything is the only proof against a forged output. It is slow, so it runs last.
# - Publish the numbers behind a figure: they can be compared, downloaded and read aloud.
# - Test the gates by breaking the book on purpose.
# ```
#
# ## Further reading
# The tools are `nbval` {cite}`nbval`, jupytext {cite}`jupytext` and Jupyter Book {cite}`jupyterbook`. The module
# behind this chapter is [](../../ecgbook/publish.py); the figures and tables are made by
# [](../../ecgbook/figures.py). Why such care is due in machine learning for science: {cite}`kapoor2023`.
