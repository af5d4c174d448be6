# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What it costs
#
# How long a training step takes, and what cheaper arithmetic does to a training. The tables are the last ones that
# the benchmarks left in `results/benchmarks`; each names its machine. With `-p measure True` what a training step costs on
# this machine is measured first, which takes some ten minutes and wants a machine with nothing else to do.

# %% tags=["parameters"]
measure: bool = False  # measure anew on this machine first

# %%
from IPython.display import Markdown, display

from lib.benchmarks import denormals, full_size_precision, large_pages
from lib.benchmarks import training as benchmark
from lib.benchmarks.figures import floors_table, full_size_traces, loops_table
from lib.benchmarks.results import DIRECTORY, last
from lib.benchmarks.rounding import finding
from lib.refusal import Refusal
from lib.report.figures.style import show
from lib.report.notebooks.shared import parameters

given = parameters(globals(), ("measure",))
if type(given["measure"]) is not bool:
    raise Refusal(f"measure is {given['measure']!r}; give True or False.")
if given["measure"]:
    benchmark.main()

# %% [markdown]
# ## A training step
#
# The *reference* is the loop one would first write: a data loader, PyTorch's own layers, a value read back at every step, plain Adam.
# The *engine* keeps the data as bits, draws batches and noise itself, reads nothing back, and computes each convolution in
# the form that is fast on a CPU (`lib/training/layers.py`). From the same seed both compute the same (a test holds them together for
# 200 steps, to 1e-9 in double precision).
#
# A step of this small network is more than a hundred operations, over a tenth of them on the controller's single
# numbers. So on a GPU steps are captured as a CUDA graph and replayed, and several runs train side by side.

# %%
device = "cuda" if (DIRECTORY / "cuda.json").exists() else "cpu"
table, record, origin = last(device)
display(floors_table(record))
display(
    Markdown(
        f"**Table 1.** What a step of {record['batch_size']} images of one run costs at least, layer by layer: its operations, its bytes and its launches, each over the "
        "rate at which the device does nothing else. Runs side by side share launches, caches save bytes, fused kernels save both. "
        f"Network `{record['architecture']}`; {origin}."
    )
)

# %%
display(loops_table(table))
display(
    Markdown(
        f"**Table 2.** Training: medians over {record['rounds']} rounds of {record['steps']:,} steps, taking turns within a precision. "
        "*Deterministic*: the convolutions; if not, cuDNN searches for the fastest. *times floor*: time per run and step over the largest of Table 1's "
        f"three. Network `{record['architecture']}`; {origin}."
    )
)
display(Markdown(benchmark.finding(table)))

# %% [markdown]
# ## Precision
#
# The adaptive rule decides at every step whether C advances, by comparing two values of $\beta$: one rounding can turn a decision, and
# from there on two trainings are different trainings. What counts is whether they differ by more than the arms do.
# The pair at the report's own size was trained in bfloat16. So the start of both arms was trained in float32 as well.

# %%
table, record, _ = last("full_size_precision")
show(
    full_size_traces(table),
    DIRECTORY / "full_size_precision",
    f"**Figure 1.** The first {record['steps']:,} of {record['of_steps']:,} steps with the report's settings, {record['batch_size']} images each, from the same weights, "
    f"batches and noise: float32 wide and pale, bfloat16 thin. Means over {record['window']} steps. Processor and code differ as well: "
    f"{full_size_precision.trained_by(record)}.",
)

# %%
shown = full_size_precision.differences(table)
shown.columns = ["reconstruction (nats)", "KL (nats)", "β", "C (nats)"]
display(shown.map("{:.3f}".format))
display(
    Markdown(
        "**Table 3.** What the trainings of Figure 1 differ by: bfloat16 from float32, mean absolute difference; adaptive from linear, mean over the last tenth of the "
        "steps. n = 1."
    )
)
display(Markdown(full_size_precision.finding()))

# %% [markdown]
# A trained network can be asked more directly: the same images and noise, once in float32 and once in bfloat16.

# %%
display(Markdown(finding()))

# %% [markdown]
# ## Numbers next to zero
#
# Of a weight that gets no gradient any more, Adam's moments shrink at every step, down to the denormal numbers: those below
# $1.2 \times 10^{-38}$, which float32 keeps with fewer digits. There they stay, and many processors are slow with them. So it was in the
# full-size pair.

# %%
display(Markdown(denormals.finding()))

# %% [markdown]
# ## Large pages
#
# A step reads and writes far more memory than a cache holds. Where it lies in pages of 4 KiB, finding each of them costs time, too.

# %%
display(Markdown(large_pages.finding()))
