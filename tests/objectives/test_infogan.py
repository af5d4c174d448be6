"""InfoGAN: what its losses are, whose gradient goes where, the training it gives, and what its samples are held to."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from plain_arm import CPU, share_of_rate

from lib.arms import ARMS, objective_of
from lib.data.dataset import Dataset
from lib.evaluation.evaluate import evaluate
from lib.evaluation.samples import draw, measure_samples, nearest_images
from lib.evaluation.scores import measure_scores
from lib.model import VAE, initialise
from lib.objectives.infogan import Discriminator, InfoGAN
from lib.report.notebooks.training import show_samples
from lib.report.tables import run_table
from lib.runs.profiles import load_profile
from lib.runs.run import Run
from lib.training.gan import GanEngine, engine_of
from lib.training.lockstep import Lockstep
from lib.training.streams import ADVERSARY_WEIGHTS, WEIGHTS, epoch_permutation, noise_block, stream_seed
from lib.training.train import train


@pytest.fixture
def engine(tiny_config, few_images):
    made = engine_of(tiny_config("info_gan"), few_images)
    made.prepare()
    return made


def test_the_codes_are_uniform_and_all_latents_have_variance_1():
    drawn = InfoGAN(3, 1.0, 1e-3).prior(torch.randn(200_000, 5, generator=torch.Generator().manual_seed(0)))
    assert drawn.var(0).tolist() == pytest.approx([1] * 5, abs=0.02)
    assert drawn[:, :3].abs().max() <= math.sqrt(3) < drawn[:, 3:].abs().max()
    quantiles = drawn[:, 0].quantile(torch.tensor([0.1, 0.25, 0.5, 0.9]))
    assert quantiles.tolist() == pytest.approx([(2 * q - 1) * math.sqrt(3) for q in (0.1, 0.25, 0.5, 0.9)], abs=0.02)


@pytest.mark.parametrize("levels", [1, 4, 16])
def test_the_information_is_a_lower_bound_in_closed_form(levels):
    """x tells in which of L equal parts of its range a code lies, so that I = log L; the best Gaussian Q(c|x) has the
    part's mean and variance, and its bound lies log(2 pi e / 12) / 2 below that."""
    edge = math.sqrt(3)
    codes = torch.linspace(-edge, edge, 160_001).double()[:-1] + edge / 160_000
    part = ((codes + edge) / (2 * edge) * levels).floor()
    mean = (part + 0.5) * 2 * edge / levels - edge
    logvar = torch.full_like(mean, math.log((2 * edge / levels) ** 2 / 12))
    found = InfoGAN(1, 1.0, 1e-3).code_information(*(each[:, None] for each in (mean, logvar, codes)))
    below = math.log(2 * math.pi * math.e / 12) / 2
    assert found.item() == pytest.approx(math.log(levels) - below, abs=1e-6)
    wrong = InfoGAN(1, 1.0, 1e-3).code_information(*(each[:, None] for each in (mean, logvar + 1, codes)))
    assert wrong < found < math.log(levels) + 1e-9


def test_the_losses_are_the_cross_entropies():
    real, drawn = torch.randn(2, 8, 1)
    ones, zeros = torch.ones(8, 1), torch.zeros(8, 1)
    expected = F.binary_cross_entropy(real.sigmoid(), ones) + F.binary_cross_entropy(drawn.sigmoid(), zeros)
    assert InfoGAN.discriminator_loss(real, drawn).item() == pytest.approx(expected.item(), rel=1e-5)
    assert InfoGAN.generator_loss(drawn).item() == pytest.approx(-drawn.sigmoid().log().mean().item(), rel=1e-5)


def test_every_matrix_of_the_discriminator_has_norm_1():
    torch.manual_seed(0)
    network = Discriminator()
    for _ in range(100):
        network(torch.rand(1, 1, 64, 64))
    matrices = [module.weight.flatten(1) for module in network if hasattr(module, "weight")]
    assert len(matrices) == 6
    for matrix in matrices:
        assert torch.linalg.matrix_norm(matrix, 2).item() == pytest.approx(1, abs=0.01)


def test_each_learns_in_its_own_step_alone(engine, monkeypatch):
    """In D's step no weight of G and Q moves or has a gradient; in theirs none of D's, though the loss goes through."""
    model, opponent = engine.model, engine.companion
    theirs, its = [list(network.parameters()) for network in (model, opponent.network)]
    engine.train_step()  # the optimisers make their state
    moved = {}

    def watched(optimizer, name, others, steps):
        step = optimizer.step

        def once():
            before = [[value.clone() for value in values] for values in (theirs, its)]
            gradients = [None if value.grad is None else value.grad.clone() for value in its]
            steps.append((name, gradients))
            step()
            moved[name] = [
                any(not torch.equal(a, b) for a, b in zip(old, new, strict=True))
                for old, new in zip(before, (theirs, its), strict=True)
            ]

        monkeypatch.setattr(optimizer, "step", once)

    steps = []
    watched(opponent.optimizer, "D", theirs, steps)
    watched(engine.optimizer, "GQ", its, steps)
    for value in theirs:
        value.grad = torch.full_like(value, 7.0)
    real_zero = engine.optimizer.zero_grad

    def untouched(**kwargs):  # called between the two steps
        assert all((value.grad == 7.0).all() for value in theirs)
        real_zero(**kwargs)

    monkeypatch.setattr(engine.optimizer, "zero_grad", untouched)
    engine.train_step()
    assert moved == {"D": [False, True], "GQ": [True, False]}
    (_, of_d), (_, after) = steps
    assert all(torch.equal(a, b) for a, b in zip(of_d, after, strict=True))


def test_noise_keeps_its_prior_as_posterior(engine):
    Lockstep([engine]).run(20)
    mean, logvar = engine.model.encode(engine.data.images(torch.arange(4)))
    codes = engine.objective.codes
    assert codes == 5 and (mean[:, codes:] == 0).all() and (logvar[:, codes:] == 0).all()
    assert (mean[:, :codes].std(0) > 0).all() and (logvar[:, :codes].std(0) > 0).all()


@pytest.mark.parametrize("cooldown", [0.0, 1.0])
def test_its_first_steps_are_those_of_plain_code(cooldown, tiny_config, few_images):
    settings = {"precision": "float64", "batch_size": 8, "learning_rate": 1e-3, "steps": 4, "cooldown": cooldown}
    config = tiny_config("info_gan", **settings)
    model = VAE(config.architecture, config.latents)
    initialise(model, stream_seed(config.seed, WEIGHTS))
    with torch.random.fork_rng():
        torch.manual_seed(stream_seed(config.seed, ADVERSARY_WEIGHTS))
        network = Discriminator()
    model, network = model.double(), network.double()
    for half in (*model.to_posterior.weight.data.chunk(2), *model.to_posterior.bias.data.chunk(2)):
        half[5:] = 0
    d = torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
    gq = torch.optim.Adam(model.parameters(), 2e-4, (0.5, 0.999))
    order = epoch_permutation(config.seed, 0, len(few_images), CPU)
    noise = noise_block(config.seed, 0, 8, config.latents, CPU).double()
    rows = []
    for step in range(4):
        for optimizer in (d, gq):
            optimizer.param_groups[0]["lr"] = 2e-4 * share_of_rate(config, step + 1)
        images = few_images.images(order[8 * step : 8 * step + 8], torch.float64)
        mean, logvar = model.encode(images)
        logits = model.decode(mean + (logvar / 2).exp() * noise[step])
        reconstruction = F.binary_cross_entropy_with_logits(logits, images, reduction="sum") / 8
        kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum() / 8

        z = noise[step].clone()
        z[:, :5] = (2 * torch.special.ndtr(z[:, :5]) - 1) * math.sqrt(3)
        samples = model.decode(z).sigmoid()
        probabilities = network(torch.cat([images, samples.detach()])).sigmoid()
        d_loss = -probabilities[:8].log().mean() - (1 - probabilities[8:]).log().mean()
        d.zero_grad()
        d_loss.backward()
        d.step()

        g_loss = -network(samples).sigmoid().log().mean()
        mean, logvar = (each[:, :5] for each in model.encode(samples))
        density = torch.distributions.Normal(mean, (logvar / 2).exp()).log_prob(z[:, :5]).sum(1).mean()
        information = density + 5 * math.log(2 * math.sqrt(3))
        gq.zero_grad()
        (g_loss - 0.05 * information).backward()
        gq.step()
        rows.append([each.item() for each in (reconstruction, kl, d_loss, g_loss, information)])
    found = Lockstep([engine_of(config, few_images)]).run(4)[0].numpy()
    assert np.allclose(found[:, [0, 1, -3, -2, -1]], rows, rtol=1e-7)


def test_it_resumes_with_the_same_bits_and_is_measured(tiny_config, few_images, all_images, tmp_path, monkeypatch):
    config = tiny_config("info_gan", steps=20, checkpoint_every=10)
    whole = train(config, Run(tmp_path / "whole"), few_images, progress=False)
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 10})
    monkeypatch.setattr("lib.training.train.LEAST_SECONDS", 0)
    step, run = GanEngine.train_step, Run(tmp_path / "interrupted")

    def interrupted(engine):
        if engine.t == 15:
            raise KeyboardInterrupt
        step(engine)

    with monkeypatch.context() as patch:
        patch.setattr(GanEngine, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, run, few_images, progress=False)
    train(config, run, few_images, progress=False)
    assert (run.path / "weights.safetensors").read_bytes() == (whole.path / "weights.safetensors").read_bytes()
    assert run.trace().equals(whole.trace())

    changes = {"position_stride": 16, "snapshot_position_stride": 16, "dci_samples": 100}
    settings = load_profile("smoke").evaluation_config(**changes)
    evaluate(run, all_images, settings, progress=False)
    measure_scores(run, settings, progress=False)
    row = run_table([run]).iloc[0]
    assert row[["mig_four", "sap", "dci_disentanglement", "reconstruction", "kl"]].astype(float).notna().all()
    assert row[["beta_last_percent", "final_capacity", "mean_beta"]].astype(float).isna().all()

    few = Dataset(all_images.packed[:2_000], all_images.sha256, "rendered")
    measured = measure_samples(run, few, settings, progress=False)
    assert len(measured["pixels_off"]) == len(draw(run, 0)) == 100 and measured["images"] == 2_000
    assert measured["sprites"] == 0 and 1 <= measured["distinct"] <= 100
    assert measure_samples(run, few, settings, progress=False) == measured

    shown = []
    for module in ("figures.style", "notebooks.samples"):
        monkeypatch.setattr(f"lib.report.{module}.display", lambda what: shown.append(getattr(what, "data", "")))
    show_samples(run, few, settings)
    assert "no sampler of sprites" in str(shown[-1]) and (run.path / "figures" / "samples.png").exists()


def test_a_discriminator_that_diverges_is_found_at_its_step(engine):
    engine.train_step()
    assert engine.broken_gradient is None
    next(iter(engine.companion.network.parameters())).data[0] = float("nan")
    engine.train_step()
    assert engine.broken_gradient == 2


def test_distances_to_the_nearest_image(few_images):
    true = few_images.images(torch.tensor([3, 500, 999]))
    other = true.clone()
    other[:, :, 0, :2] = 1  # a corner, where no sprite is
    noise = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) > 0.5
    off, index = nearest_images(torch.cat([true, other, noise, torch.zeros(1, 1, 64, 64)]), few_images, progress=False)
    assert off[:6].tolist() == [0, 0, 0, 2, 2, 2] and index[:6].tolist() == [3, 500, 999] * 2
    assert (off[6:8] > 1_500).all()
    sizes = np.unpackbits(few_images.packed.numpy(), axis=1).sum(1)
    assert off[8] == sizes.min() and sizes[index[8]] == sizes.min()  # nothing is a sprite away from the smallest one
    direct = (few_images.images(torch.arange(1_000)).flatten(1) != noise[:1].flatten(1).float()).sum(1)
    assert off[6] == direct.min() and index[6] == direct.argmin()


def test_only_samplers_have_a_prior_to_draw_from(tiny_config):
    for name, arm in ARMS.items():
        assert hasattr(objective_of(name, tiny_config(name)), "prior") == arm.sampler
