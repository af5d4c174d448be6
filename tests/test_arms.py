"""Arms are rows of one table: one more row is all that a new arm takes, from training to figure."""

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import is_color_like

from lib.arms import ARMS, Arm, objective_of
from lib.evaluation.evaluate import evaluate
from lib.evaluation.scores import measure_scores
from lib.evaluation.snapshots import measure_snapshots
from lib.files import ROOT
from lib.model import VAE, initialise, kl_per_latent, reconstruction_loss, reparameterise
from lib.objectives import COLUMNS
from lib.report.figures.information import over_training
from lib.report.figures.runs import traces
from lib.report.tables import run_table
from lib.runs.profiles import load_profile
from lib.runs.run import Run
from lib.training.engine import Engine, trace_columns
from lib.training.lockstep import Lockstep
from lib.training.streams import WEIGHTS, epoch_permutation, noise_block, stream_seed
from lib.training.train import train, train_together


def test_every_row_is_complete_and_told_apart():
    for name, arm in ARMS.items():
        assert arm.name == name and arm.label and arm.cited
        assert arm.bottleneck.endswith(".") and arm.bottleneck.count(".") == 1
        assert is_color_like(arm.colour)
        assert (ROOT / "notebooks" / f"{arm.notebook}.ipynb").exists()
    assert (
        len({(arm.colour, arm.line) for arm in ARMS.values()}) == len({arm.label for arm in ARMS.values()}) == len(ARMS)
    )


def test_an_unknown_arm_is_refused(tiny_config):
    with pytest.raises(ValueError, match="arm is 'cyclic'; choose one of linear, adaptive"):
        objective_of("cyclic", tiny_config())


@dataclass(frozen=True)
class Weighted:
    """beta KL with a fixed beta: no controller and no C."""

    beta: float

    columns = ("beta",)

    def initial_state(self):
        return torch.zeros(0, dtype=torch.float64)

    def control(self, t, state, kl):
        return torch.full((1,), self.beta, dtype=torch.float64, device=kl.device), state

    def penalty(self, state, encoded):
        return self.beta * encoded.kl


@pytest.fixture
def made_up(monkeypatch):
    """A row more in the table."""
    row = Arm(
        "made_up", lambda settings, schedule: Weighted(4.0), None, "made up", "#009E73", ":", "a test", "05_none",
        "A fixed weight.",
    )  # fmt: skip
    monkeypatch.setitem(ARMS, row.name, row)
    return row.name


def test_its_objective_is_what_the_loss_gets(made_up, tiny_config, few_images):
    """The first three steps against autograd and Adam written out, in double precision."""
    config = tiny_config(made_up, precision="float64")
    found = Lockstep([Engine(config, few_images)]).run(3)[0]  # [3, columns]: reconstruction, kl, ..., beta

    model = VAE(config.architecture, config.latents)
    initialise(model, stream_seed(config.seed, WEIGHTS))
    model = model.double()
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    order = epoch_permutation(config.seed, 0, len(few_images), torch.device("cpu")).view(-1)
    noise = noise_block(config.seed, 0, config.batch_size, config.latents, torch.device("cpu")).double()
    for step in range(3):
        images = few_images.images(order[step * config.batch_size : (step + 1) * config.batch_size], torch.float64)
        mean, logvar = model.encode(images)
        reconstruction = reconstruction_loss(model.decode(reparameterise(mean, logvar, noise[step])), images).mean()
        kl = kl_per_latent(mean, logvar).sum()
        assert found[step, :2].tolist() == pytest.approx([reconstruction.item(), kl.item()], rel=1e-9)
        assert found[step, -1] == 4.0
        optimizer.zero_grad()
        (reconstruction + 4.0 * kl).backward()
        optimizer.step()


def test_a_row_more_trains_is_measured_and_drawn(made_up, tiny_config, few_images, all_images, tmp_path):
    config = tiny_config(made_up, trace_every=10)
    run = train(config, Run(tmp_path / "made_up-seed1"), few_images, progress=False)
    trace = run.trace()
    assert (trace["beta"] == 4).all() and (trace["beta_mean"] == 4).all()
    missing = [name for name in COLUMNS if name != "beta"]
    assert trace[missing].isna().all().all() and trace[[f"{name}_mean" for name in missing]].isna().all().all()
    assert len(run.advanced()) == 0
    summary = run.record()["summary"]
    assert summary["mean_beta"] == 4 and summary["final_capacity"] is None and summary["share_advanced"] is None

    settings = load_profile("smoke").evaluation_config(position_stride=16, snapshot_position_stride=16, dci_samples=100)
    evaluate(run, all_images, settings, progress=False)
    snapshots = measure_snapshots(run, all_images, settings, progress=False)
    measure_scores(run, settings, progress=False)
    row = run_table([run]).loc["made_up-seed1"]
    assert row["arm"] == made_up and row["mig_four"] >= 0 and row["mean_beta"] == 4

    for figure in (traces({made_up: [trace]}), over_training({made_up: [snapshots]})):
        figure.canvas.draw()
        assert any("made up" in text for text in figure_texts(figure))
        plt.close(figure)


@pytest.mark.parametrize("arm", ARMS)
def test_any_arm_trains_resumes_with_the_same_bits_and_is_measured(
    arm, tiny_config, few_images, all_images, tmp_path, monkeypatch
):
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 4})
    settings, row = {"steps": 16, "snapshots": 2}, ARMS[arm]
    config, runs = tiny_config(arm, **settings), [Run(tmp_path / each / f"{arm}-seed1") for each in ("whole", "cut")]
    for run in runs:
        if row.drawn_from is not None:
            other = tiny_config(row.drawn_from, 2 if row.of_next_seed else 1, **settings)
            train(other, Run(run.path.with_name(f"{other.arm}-seed{other.seed}")), few_images, progress=False)
    clock = itertools.count()
    with monkeypatch.context() as patch:
        patch.setattr("lib.training.train.time.perf_counter", lambda: float(next(clock)))
        train_together([config], runs[1:], few_images, progress=False, time_limit=6)
    assert 0 < runs[1].load_checkpoint()["engine"]["step"] < config.steps
    for run in runs:
        train(config, run, few_images, progress=False)
    whole, cut = runs
    pd.testing.assert_frame_equal(whole.trace(), cut.trace())
    weights = [run.load_model().state_dict() for run in runs]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())

    measured = load_profile("smoke").evaluation_config(
        position_stride=16, snapshot_position_stride=16, snapshots_measured=1, monte_carlo_samples=10,
        decomposition_samples=100,
    )  # fmt: skip
    assert np.isfinite(evaluate(cut, all_images, measured, progress=False)["mig_four"]["quadrature"])
    row = measure_snapshots(cut, all_images, measured, progress=False).iloc[-1]
    assert row["step"] == config.steps and np.isfinite(row["mutual_information"])


@pytest.mark.parametrize("arm", ARMS)
def test_the_trace_of_any_arm_is_drawn(arm, tiny_config):
    """Whatever it records, and nothing else: no panel is blank. A beta of 0 lies on a logarithmic axis."""
    columns = trace_columns(10, objective_of(arm, tiny_config(arm)).columns)
    values = {name: [0.0, 1.0, 2.0] for name in (*columns, *(f"{column}_mean" for column in columns))}
    wanted = [*values, *(f"{name}{end}" for name in COLUMNS for end in ("", "_mean") if name not in columns)]
    frame = pd.DataFrame({"step": [1, 2, 3], **values}).reindex(columns=["step", *wanted])
    figure = traces({arm: [frame]})
    figure.canvas.draw()
    assert ARMS[arm].label in figure_texts(figure)
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert all(any(np.isfinite(line.get_ydata()).any() for line in axis.lines) for axis in panels)
    own = {"beta", "capacity", "generator_loss", "code_information"} & set(columns)
    assert len(panels) == 2 + len(own)
    plt.close(figure)


def figure_texts(figure) -> list[str]:
    found = [axis.get_title() for axis in figure.axes]
    legends = [*figure.legends, *(axis.get_legend() for axis in figure.axes if axis.get_legend())]
    return found + [text.get_text() for legend in legends for text in legend.texts]
