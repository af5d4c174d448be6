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
# How long training and encoding take, and what cheaper arithmetic does to a training. The tables are the last ones that
# the benchmarks left in `results/benchmarks`; each names its machine. With `-p measure True` what a training step costs on
# this machine is measured first, which takes some minutes and wants a machine with nothing else to do.

# %% tags=["parameters"]
measure: bool = False  # measure anew on this machine first

# %%
import pandas as pd
from IPython.display import Markdown, display

from lib.benchmarks import denormals, full_size_precision, large_pages
from lib.benchmarks import training as benchmark
from lib.benchmarks.figures import floors_table, full_size_traces, loops_table, precision_traces
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
# ## Training
#
# The *reference* is the loop one would first write: a data loader, PyTorch's own layers, a value read back at every step, plain Adam.
# The *engine* keeps the data as bits, draws batches and noise itself, reads nothing back, and computes each convolution in
# the form that is fast on a CPU (`lib/training/layers.py`). From the same seed both compute the same (a test holds them together for
# 200 steps, to 1e-9 in double precision). *Compiled* is the engine with its network and its controller fused by torch.compile. All took
# turns of half a second, so that every ratio compares like with like. It is no longer measured: the table stays as it was.

# %%
table, record, origin = last("training")
shown = pd.DataFrame({
    "network": table["architecture"],
    "precision": table["precision"],
    "processes × threads": [f"{p} × {t}" for p, t in zip(table["processes"], table["threads"], strict=True)],
    "loop": table["loop"],
    "ms per step": table["ms_per_step"].map("{:.1f}".format),
    "steps per second, all processes": table["steps_per_second"].map("{:.1f}".format),
    "speed ÷ reference": table["ratio_to_reference"].map("{:.2f}".format),
    "speed ÷ float32 reference": table["ratio_to_float32_reference"].map("{:.2f}".format),
    "share of matrix-product rate": table["share_of_product_rate"].map("{:.0%}".format),
    "peak memory (MiB)": table["peak_memory_mib"].map("{:.0f}".format),
}).set_index(["network", "precision", "processes × threads", "loop"])  # fmt: skip
display(shown)
display(
    Markdown(
        f"**Table 1.** A training step of {record['batch_size']} images: medians over {record['rounds']} rounds. The last but one column sets the step's operations against "
        "the rate of a large matrix product in the same precision and threads, in the same run; above 100%, that product fell short of what the machine can do. "
        f"{origin}."
    )
)
display(
    Markdown(
        f"A checkpoint takes {record['checkpoint_seconds']:.2f} s to write when a training of 1.5 million steps ends and its trace is longest. There is at "
        f"most one in half a minute: {record['checkpoint_share_at_most']:.2%} of the time."
    )
)

# %% [markdown]
# ## Encoding
#
# Evaluation sends every image through the encoder, in float32. It is no longer measured: the table stays as it was.

# %%
table, record, origin = last("encoding")
display(table.pivot(index="batch", columns="layers", values="images_per_second").map("{:,.0f}".format))
display(
    Markdown(
        f"**Table 2.** Images encoded per second, by images per pass, with the project's layers and with PyTorch's own; network `{record['architecture']}`, "
        f"{record['threads']} thread; medians over {record['rounds']} rounds of {record['images']:,} images. {origin}."
    )
)

# %% [markdown]
# ## Precision
#
# The adaptive rule decides at every step whether C advances, by comparing two values of $\beta$: one rounding can turn a decision, and
# from there on two trainings are different trainings. What counts is whether they differ by more than two seeds do. This is no longer
# measured, either.

# %%
table, record, origin = last("precision")
show(
    precision_traces(table),
    DIRECTORY / "precision",
    "**Figure 1.** The first steps of the adaptive arm in each precision from the same weights, batches and noise, and in float32 from another seed. "
    f"Means over {record['window']} steps. {record['steps']:,} of the {record['config']['steps']:,} steps of the profile `laptop` as it was then (a reduced "
    f"run), {record['config']['batch_size']} images each, C_max {record['config']['c_max']:g} nats, ki {record['config']['ki']:g}; {origin}.",
)

# %%
differences = pd.DataFrame(record["differences_to_float32"]).T
differences.columns = ["first step with another decision", "reconstruction (nats)", "KL (nats)", "β", "C (nats)"]
display(differences.round(2))
display(
    Markdown(
        "**Table 3.** Mean absolute difference from the float32 training of seed 1, over the windows of Figure 1, and the first step at which C advanced in "
        f"one and not in the other. One training each. {origin}."
    )
)

# %% [markdown]
# The pair at the report's own size was trained in bfloat16. So the start of both arms was trained in float32 as well.

# %%
table, record, _ = last("full_size_precision")
show(
    full_size_traces(table),
    DIRECTORY / "full_size_precision",
    f"**Figure 2.** The first {record['steps']:,} of {record['of_steps']:,} steps with the report's settings, {record['batch_size']} images each, from the same weights, "
    f"batches and noise: float32 wide and pale, bfloat16 thin. Means over {record['window']} steps. Processor and code differ as well: "
    f"{full_size_precision.trained_by(record)}.",
)

# %%
shown = full_size_precision.differences(table)
shown.columns = ["reconstruction (nats)", "KL (nats)", "β", "C (nats)"]
display(shown.map("{:.3f}".format))
display(
    Markdown(
        "**Table 4.** What the trainings of Figure 2 differ by: bfloat16 from float32, mean absolute difference; adaptive from linear, mean over the last tenth of the "
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

# %% [markdown]
# ## A step and what it costs at least
#
# A step of this small network is more than a hundred operations, in float32 over a fifth of them on the controller's single
# numbers. So on a GPU steps are captured as a CUDA graph and replayed, and several runs train side by side.
# `python -m lib.benchmarks.training` measures on this machine's device first what a step of one run costs at least, layer by layer,
# then the loops.

# %%
measured = [device for device in ("cuda", "cpu") if (DIRECTORY / f"{device}.json").exists()]
if measured:
    table, record, origin = last(measured[0])
    display(floors_table(record))
    display(
        Markdown(
            f"**Table 5.** What a step of {record['batch_size']} images of one run costs at least, layer by layer: its operations, its bytes and its launches, each over the "
            "rate at which the device does nothing else. Runs side by side share launches, caches save bytes, fused kernels save both. "
            f"Network `{record['architecture']}`; {origin}."
        )
    )
    display(loops_table(table))
    display(
        Markdown(
            f"**Table 6.** Training: medians over {record['rounds']} rounds of {record['steps']:,} steps, taking turns within a precision. "
            "*Deterministic*: the convolutions; if not, cuDNN searches for the fastest. *times floor*: time per run and step over the largest of Table 5's "
            f"three. Network `{record['architecture']}`; {origin}."
        )
    )
else:
    display(Markdown("Nothing of this was measured yet."))
