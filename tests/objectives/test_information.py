"""The estimate of I_q(x; z) against exact values; the two objectives that steer by it against plain versions."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_arm import engine_training, plain_training

from lib.arms import objective_of, schedule_of
from lib.dsprites import N_IMAGES
from lib.objectives import information as objectives
from lib.objectives import posterior_bank
from lib.objectives.information import MarginCapacity, query_every
from lib.objectives.posterior_bank import mutual_information
from lib.objectives.seam import Encoded
from lib.runs.run import Run
from lib.training import posterior_table
from lib.training.engine import Engine
from lib.training.posterior_table import PosteriorTable
from lib.training.streams import QUERIES, stream_seed
from lib.training.train import train


def loop(mean, logvar, own, noise, images):
    """The estimate density by density, without its bounds."""
    normal = torch.distributions.Normal(mean, (logvar / 2).exp())
    total = 0.0
    for row, eps in zip(own.tolist(), noise, strict=True):
        z = mean[row] + (logvar[row] / 2).exp() * eps
        q = normal.log_prob(z).sum(1).exp()  # [M]
        others = (q.sum() - q[row]) / (len(mean) - 1)
        total += math.log(q[row] / (q[row] / images + (images - 1) / images * others))
    return total / len(own)


@pytest.fixture
def bank():
    """200 posteriors of 3 latents and 40 draws of them, float64."""
    generator = torch.Generator().manual_seed(0)
    mean = 1.5 * torch.randn(200, 3, generator=generator, dtype=torch.float64)
    logvar = torch.rand(200, 3, generator=generator, dtype=torch.float64) - 3
    own = torch.randint(200, (40,), generator=generator)
    return mean, logvar, own, torch.randn(40, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("images", [200, 5_000])
def test_the_estimate_is_the_plain_loops_in_any_number_of_parts(images, bank, monkeypatch):
    expected = loop(*bank, images)
    assert 0.5 < expected < math.log(images)
    for part in (7, 100, 2**15):
        monkeypatch.setattr(posterior_bank, "PART", part)
        assert mutual_information(*bank, images).item() == pytest.approx(expected, abs=1e-9)


def test_the_whole_data_set_as_a_bank_gives_the_exact_aggregate_posterior(bank):
    mean, logvar, own, noise = bank
    z = mean[own] + (logvar[own] / 2).exp() * noise
    q = torch.distributions.Normal(mean, (logvar / 2).exp()).log_prob(z[:, None]).sum(2)  # [S, N]
    exact = (q[torch.arange(40), own] - q.logsumexp(1) + math.log(200)).mean()
    assert mutual_information(*bank, 200).item() == pytest.approx(exact.item(), abs=1e-9)


def test_the_estimate_stays_within_its_bounds(bank):
    mean, logvar, own, noise = bank
    nothing = torch.zeros_like(mean)
    assert mutual_information(nothing, nothing, own, noise, 200) == 0
    apart = mutual_information(1e3 * mean, logvar, own, noise, 200)
    assert apart.item() == pytest.approx(math.log(200))


@pytest.mark.parametrize(("latents", "most"), [(1, 0.1), (2, 0.2)])
def test_a_bank_with_enough_posteriors_has_little_bias(latents, most):
    """Sixteen values per latent, well apart but for their neighbours: a quarter of the images does for the whole."""
    generator = torch.Generator().manual_seed(0)
    grid = torch.linspace(-2, 2, 16, dtype=torch.float64)
    mean = torch.cartesian_prod(*[grid] * latents).view(-1, latents).repeat(512 // 16**latents * 16, 1)
    logvar = torch.full_like(mean, 2 * math.log(0.1))
    draws = 2_000
    whole = mutual_information(
        mean, logvar, torch.randint(len(mean), (draws,), generator=generator),
        torch.randn(draws, latents, generator=generator, dtype=torch.float64), len(mean),
    )  # fmt: skip
    some = torch.randperm(len(mean), generator=generator)[: len(mean) // 4]
    found = mutual_information(
        mean[some], logvar[some], torch.randint(len(some), (draws,), generator=generator),
        torch.randn(draws, latents, generator=generator, dtype=torch.float64), len(mean),
    )  # fmt: skip
    assert abs(found - whole) < most


def test_a_bank_grows_with_the_information():
    assert posterior_bank.sufficient(math.nan) == 4096  # that a training has diverged is for its trace to say
    assert [posterior_bank.sufficient(nats) for nats in (0.0, 6.0, 7.0, math.log(2**13))] == [4096, 4096, 8774, 2**16]


def margin(information, t, c_start=0.5, c_max=10.0):
    rule = MarginCapacity(c_start, c_max, 100, torch.tensor(information, dtype=torch.float64))
    return rule.set_point(torch.tensor(t), torch.tensor(0.0)).item()


def test_the_margin_grows_to_what_is_left():
    assert margin(3.0, 0) == 3.5
    assert margin(3.0, 50) == pytest.approx((3.5 + 10) / 2)
    assert margin(3.0, 100) == margin(3.0, 101) == margin(12.0, 3) == 10.0


@pytest.mark.parametrize("t", [0, 30, 100])
def test_an_estimate_wrong_by_a_nat_moves_c_by_a_share_that_fades(t):
    assert margin(4.0, t) - margin(3.0, t) == pytest.approx(1 - t / 100)


def test_how_often_is_asked():
    assert [query_every(steps) for steps in (200, 24_000, 1_500_000)] == [50, 240, 500]


def test_c_is_13_nats_at_most_where_the_information_itself_is_held(tiny_config):
    objective = objective_of("total_correlation", tiny_config(steps=200, c_max=16.0, ki=0.3))
    assert objective.controlled.schedule == schedule_of("total_correlation", 0.5, 16.0, 200)
    assert objective.controlled.schedule.c_max == 13.0
    assert objective.controlled.controller.ki == pytest.approx(0.3 / 50)


class Wish:
    """Table, estimate and controller of the two arms in plain numbers."""

    def __init__(self, config, every, images):
        self.config, self.every, self.images = config, every, images
        self.table, self.estimate, self.counted = {}, 0.0, []
        self.integral, self.unclipped = 0.0, 1.0

    def ask(self, done):
        """After `done` steps: the estimate from the last few steps' rows, by image, and its smoothing."""
        if done == 0 or done % self.every:
            return
        steps = math.ceil(math.ceil(20 * math.exp(self.estimate)) / self.config.batch_size)
        self.counted.append(steps)
        newest = {i: row for step in range(max(1, done - steps + 1), done + 1) for i, row in self.table[step].items()}
        rows = torch.stack([newest[i] for i in sorted(newest)])
        generator = torch.Generator().manual_seed(stream_seed(self.config.seed, QUERIES, done))
        own = torch.randint(len(rows), (64,), generator=generator)
        noise = torch.randn(64, self.config.latents, generator=generator)
        found = loop(*rows.double().chunk(2, 1), own, noise.double(), self.images)
        kl = 0.5 * (rows[:, :10] ** 2 + rows[:, 10:].exp() - rows[:, 10:] - 1).sum(1).mean().item()
        self.estimate += 0.25 * (max(0.0, min(found, kl, math.log(self.images))) - self.estimate)

    def beta(self, error, ki, least):
        if not (self.unclipped < least and error > 0):
            self.integral -= ki * error
        self.unclipped = 0.01 / (1 + math.exp(error)) + self.integral + least
        return max(least, self.unclipped)


@pytest.mark.parametrize("arm", ["information", "total_correlation"])
def test_the_engine_trains_by_the_estimate(arm, tiny_config, few_images, monkeypatch):
    every, size = 3, 8
    monkeypatch.setattr(objectives, "query_every", lambda steps: every)
    monkeypatch.setattr(posterior_bank, "LEAST", 1)
    monkeypatch.setattr(posterior_bank, "ENOUGH", 20.0)  # of about exp(0) to exp(0.5): three to five steps' rows
    config = tiny_config(arm, precision="float64", batch_size=size, steps=20, learning_rate=1e-3, ki=0.3)
    config = replace(config, anti_windup="conditional")
    wish, engine = Wish(config, every, 1_000), Engine(config, few_images)
    engine.prepare()
    order = engine._permutation.clone()
    estimates = []

    def pressure(t, mean, logvar, z, kl):
        wish.ask(t - 1)
        estimates.append(wish.estimate)
        images = order[(t - 1) * size : t * size].tolist()
        wish.table[t] = {i: torch.cat([m, v]).detach().float() for i, m, v in zip(images, mean, logvar, strict=True)}
        if arm == "information":
            free = wish.estimate + config.c_start
            c = min(config.c_max, free + t / 20 * (config.c_max - free))
            beta = wish.beta(c - kl.item(), 0.3, 1.0)
            return beta * kl, (beta, c, wish.estimate)
        c = min(config.c_max, config.c_start + 0.15 * (300 * t // 20))
        beta = wish.beta(c - wish.estimate, 0.3 / every, 0.0)
        q = torch.distributions.Normal(mean[None], (logvar / 2).exp()[None]).log_prob(z[:, None]).exp()  # [B, B, J]
        w = torch.full((size, size), (N_IMAGES - 1) / N_IMAGES / (size - 1), dtype=torch.float64)
        w.fill_diagonal_(1 / N_IMAGES)
        own, joint = q.prod(2).diagonal().log(), (w * q.prod(2)).sum(1).log()
        marginals = (w[:, :, None] * q).sum(1).log().sum(1)
        return kl + (beta - 1) * (own - joint).mean() + 5 * (joint - marginals).mean(), (beta, c, wish.estimate)

    steps = 11
    expected = plain_training(config, few_images, steps, pressure)
    columns = ["reconstruction", "kl", *objective_of(arm, config).columns]
    picked = [columns.index(name) for name in ("reconstruction", "kl", "beta", "set_point", "information")]
    found = engine_training(config, few_images, steps)[:, picked]
    assert 0 == estimates[2] < estimates[3] != estimates[6]
    assert wish.counted[0] == 3 < wish.counted[-1] < 9
    # The table is in single precision, and so is the estimate.
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_an_image_seen_twice_counts_once_with_its_newest_posterior(tiny_config, monkeypatch):
    monkeypatch.setattr(posterior_table, "sufficient", lambda information: 4)
    config = tiny_config("information", batch_size=2)
    table = PosteriorTable(objective_of("information", config), config, 5, torch.device("cpu"))
    counted = []

    def bank(mean, *rest):
        counted.append(mean[:, 0].tolist())
        return torch.zeros(())

    monkeypatch.setattr(posterior_table, "mutual_information", bank)
    for step, batch in enumerate([[0, 1], [2, 3], [4, 2]], start=1):
        mean = torch.full((2, 10), float(step))
        table.after_step(torch.tensor([0]), torch.tensor(batch), Encoded(mean, mean, mean, mean[0], mean[0, 0]), None)
        table.estimate(step, 0.0)
    assert counted == [[1, 1], [1, 1, 2, 2], [3, 2, 3]]  # of images 0 1, 0 1 2 3, 2 3 4


def test_an_interrupted_run_goes_on_with_the_same_table(tiny_config, few_images, tmp_path, monkeypatch):
    monkeypatch.setattr(objectives, "query_every", lambda steps: 5)
    monkeypatch.setattr(posterior_bank, "LEAST", 100)  # six steps' rows or more, not all
    monkeypatch.setattr("lib.training.train.LOOK", {"cpu": 10})
    monkeypatch.setattr("lib.training.train.LEAST_SECONDS", 0)
    config = tiny_config("information", steps=30, checkpoint_every=10)
    whole, run, step = (
        train(config, Run(tmp_path / "whole"), few_images, progress=False),
        Run(tmp_path / "run"),
        Engine.train_step,
    )

    def interrupted(engine):
        if engine.t == 17:
            raise KeyboardInterrupt
        step(engine)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "train_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config, run, few_images, progress=False)
    train(config, run, few_images, progress=False)
    assert (run.path / "weights.safetensors").read_bytes() == (whole.path / "weights.safetensors").read_bytes()
    trace = run.trace()
    assert trace.equals(whole.trace())
    assert trace["information"].nunique() == 6  # 0, then one after every five steps but the last
