"""FactorVAE: whose gradient goes where, what is permuted, what its ratio estimates, and the training it gives."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from plain_arm import CPU, engine_training, plain_training, share_of_rate

from lib.arms import objective_of
from lib.objectives import Encoded
from lib.objectives.factor import Discriminator, FactorKL, permuted
from lib.runs.run import Run
from lib.training.engine import Engine
from lib.training.lockstep import Lockstep
from lib.training.streams import ADVERSARY_WEIGHTS, adversary_block, stream_seed
from lib.training.train import train


@pytest.fixture
def small(monkeypatch):
    """Discriminators of 50 units a layer."""
    monkeypatch.setattr("lib.objectives.factor.WIDTH", 50)


def encoded(latents):
    return Encoded(None, None, latents, None, torch.tensor(1.0))


def test_six_matrices_of_the_published_widths():
    shapes = [tuple(module.weight.shape) for module in Discriminator(10) if isinstance(module, torch.nn.Linear)]
    assert shapes == [(1_000, 10), *[(1_000, 1_000)] * 4, (2, 1_000)]


def test_each_column_keeps_its_values_in_an_order_of_its_own():
    latents = torch.arange(600.0).view(100, 6)
    block = adversary_block(1, 0, 1_000, 100, 6, CPU)
    found = permuted(latents, block.keys[0])
    assert torch.equal(found.sort(0).values, latents)
    orders = {tuple(column) for column in (found // 6).T.tolist()}
    assert len(orders) == 6 and tuple(range(100)) not in orders
    assert torch.equal(block.indices.unique(), torch.arange(1_000))


def test_neither_gets_a_gradient_of_the_others_loss(small):
    objective = FactorKL(6.0, 4, 1e-3)
    mean = torch.randn(8, 4, requires_grad=True)
    keys = torch.rand(8, 4)
    objective.adversary_loss(2 * mean, 3 * mean, keys).backward()
    assert mean.grad is None  # the encoder's, of L_D
    assert all(parameter.grad.abs().sum() > 0 for parameter in objective.adversary.parameters())
    objective.adversary.zero_grad()
    objective.penalty(torch.ones(1).double(), encoded(2 * mean)).backward()
    assert mean.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in objective.adversary.parameters())


def test_the_losses_are_the_cross_entropies(small):
    objective, (z, others), keys = FactorKL(6.0, 4, 1e-3), torch.randn(2, 8, 4), torch.rand(8, 4)
    real, mixed = objective.adversary(z), objective.adversary(permuted(others, keys))
    expected = (F.cross_entropy(real, torch.zeros(8).long()) + F.cross_entropy(mixed, torch.ones(8).long())) / 2
    assert objective.adversary_loss(z, others, keys).item() == pytest.approx(expected.item())
    odds = F.log_softmax(real, 1)[:, 0] - F.log_softmax(real, 1)[:, 1]  # log D(z) / (1 - D(z))
    penalty = objective.penalty(torch.ones(1).double(), encoded(z))
    assert penalty.item() == pytest.approx(1 + 6 * odds.mean().item(), rel=1e-5)


def test_the_ratio_nears_the_total_correlation_of_a_gaussian_from_below(small):
    """Correlation 0.9: TC = -log(1 - 0.81) / 2 = 0.83 nats."""
    generator = torch.Generator().manual_seed(0)
    objective = FactorKL(1.0, 2, 2e-3)
    objective.initialise_adversary(generator)
    optimizer = objective.adversary_optimizer(capturable=False)

    def draw(size):
        z = torch.randn(size, 2, generator=generator)
        z[:, 1] = 0.9 * z[:, 0] + math.sqrt(0.19) * z[:, 1]
        return z

    def estimate():
        with torch.no_grad():
            return objective.penalty(torch.ones(1).double(), encoded(sample)).item() - 1

    sample, found = draw(50_000), []
    for step in range(601):
        if step in (20, 600):
            found.append(estimate())
        optimizer.zero_grad()
        objective.adversary_loss(draw(256), draw(256), torch.rand(256, 2, generator=generator)).backward()
        optimizer.step()
    exact = -math.log(1 - 0.81) / 2
    assert found[0] < found[1] < exact + 0.05
    assert found[1] > 0.8 * exact


def test_without_gamma_it_is_the_vae_bit_for_bit(small, tiny_config, few_images, monkeypatch):
    monkeypatch.setattr("lib.objectives.factor.GAMMA", 0.0)
    for precision in ("float32", "bfloat16"):
        engines = [Engine(tiny_config(arm, precision=precision), few_images) for arm in ("vae", "factor_vae")]
        first, second = (Lockstep([engine]).run(30)[0] for engine in engines)
        assert torch.equal(first, second)
        for mine, other in zip(*(engine.model.parameters() for engine in engines), strict=True):
            assert torch.equal(mine, other)


@pytest.mark.parametrize("cooldown", [0.0, 1.0])
def test_the_engine_trains_both_networks(cooldown, small, tiny_config, few_images):
    config = tiny_config("factor_vae", precision="float64", batch_size=8, steps=6, snapshots=0, cooldown=cooldown)
    objective = objective_of("factor_vae", config)
    objective.initialise_adversary(torch.Generator().manual_seed(stream_seed(config.seed, ADVERSARY_WEIGHTS)))
    discriminator = objective.adversary.double()
    optimizer = torch.optim.Adam(discriminator.parameters(), config.learning_rate, (0.5, 0.9))
    block = adversary_block(config.seed, 0, len(few_images.packed), 8, config.latents, CPU)

    def pressure(t, mean, logvar, z, kl):
        probabilities = discriminator(z).softmax(1)
        return kl + 35 * (probabilities[:, 0] / probabilities[:, 1]).log().mean(), (1.0,)

    def after(t, model, z):
        mean, logvar = model.encode(few_images.images(block.indices[t - 1], torch.float64))
        others = (mean + (logvar / 2).exp() * block.noise[t - 1].double()).detach()
        mixed = torch.stack([others[block.keys[t - 1, :, j].argsort(), j] for j in range(config.latents)], 1)
        losses = [-discriminator(batch).softmax(1)[:, c].log().mean() for batch, c in ((z.detach(), 0), (mixed, 1))]
        optimizer.param_groups[0]["lr"] = config.learning_rate * share_of_rate(config, t)
        optimizer.zero_grad()
        (sum(losses) / 2).backward()
        optimizer.step()

    expected = plain_training(config, few_images, 5, pressure, after)
    assert np.allclose(engine_training(config, few_images, 5), expected, rtol=1e-8)


def test_checkpoints_hold_both_networks(small, tiny_config, few_images, tmp_path, monkeypatch):
    config = tiny_config("factor_vae", steps=20, checkpoint_every=10)
    whole = train(config, Run(tmp_path / "whole"), few_images, progress=False)
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 10})
    monkeypatch.setattr("lib.training.train.LEAST_SECONDS", 0)
    step, run = Engine.train_step, Run(tmp_path / "interrupted")

    def interrupted(engine):
        if engine.t == 15:
            raise KeyboardInterrupt
        step(engine)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, run, few_images, progress=False)
    held = run.load_checkpoint()["engine"]["companion"]
    assert held["network"]["0.weight"].shape == (50, 10) and held["optimizer"]["state"]
    train(config, run, few_images, progress=False)
    assert (run.path / "weights.safetensors").read_bytes() == (whole.path / "weights.safetensors").read_bytes()
    assert run.trace().equals(whole.trace())


def test_a_discriminator_that_diverges_is_found_at_its_step(small, tiny_config, few_images):
    engine = Engine(tiny_config("factor_vae"), few_images)
    lockstep = Lockstep([engine])
    lockstep.run(2)
    assert engine.broken_gradient is None
    engine.companion.network[0].bias.data[0] = float("nan")
    lockstep.run(1)
    assert engine.broken_gradient == 3 and torch.stack([p.isfinite().all() for p in engine.model.parameters()]).all()
