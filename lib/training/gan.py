"""InfoGAN's training step in the engine of all arms: three networks, two optimisers, no likelihood."""

from collections.abc import Callable

import torch
from torch import Tensor

from lib.arms import ARMS
from lib.data.dataset import Dataset
from lib.model import kl_per_latent, reconstruction_loss, reparameterise
from lib.objectives import Encoded
from lib.objectives.infogan import Discriminator
from lib.runs.settings import TrainingConfig
from lib.training.adversary import SecondNetwork
from lib.training.engine import Engine
from lib.training.layers import FAST
from lib.training.streams import ADVERSARY_WEIGHTS, BLOCK, stream_seed

BETAS = (0.5, 0.999)  # Adam's


class Opponent(SecondNetwork):
    """The discriminator and its optimiser, kept as an objective's companion is (lib/training/companion.py)."""

    def __init__(self, seed: int, learning_rate: float, device: torch.device, dtype: torch.dtype) -> None:
        with torch.random.fork_rng(devices=[]):  # spectral normalisation draws from the global generator
            torch.manual_seed(stream_seed(seed, ADVERSARY_WEIGHTS))
            network = Discriminator(FAST)
        self.device, self.network = device, network.to(device, dtype, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(
            network.parameters(), learning_rate, BETAS, fused=True, capturable=device.type == "cuda"
        )

    def prepare(self, step: int, carried: Tensor) -> int:
        return BLOCK

    def after_step(
        self, row: Tensor, indices: Tensor, encoded: Encoded, encode: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        """Nothing: it learns within the step."""


class GanEngine(Engine):
    """The state of an InfoGAN's run: `model.encode` is Q, `model.decode` G, and the discriminator the companion."""

    def __init__(self, config: TrainingConfig, data: Dataset, advances: Tensor | None = None) -> None:
        super().__init__(config, data, advances)
        rate = self.objective.learning_rate
        self.companion = Opponent(config.seed, rate, self.device, self.dtype)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), rate, BETAS, fused=True, capturable=self.device.type == "cuda"
        )
        self.hold_rates()
        for parameter in self.model.to_posterior.parameters():  # mean 0 and logvar 0 of the noise, which has no loss
            for half in parameter.data.chunk(2):
                half[self.objective.codes :] = 0

    def train_step(self) -> None:
        """D's step on the batch and as many samples, then G's and Q's on the same samples; see Engine.train_step.

        The trace's values are those of the networks before their own update.
        """
        objective, opponent = self.objective, self.companion
        images = self.data.images(self.batch_indices(), self.dtype)  # [B, 1, 64, 64]
        row = (self.t % BLOCK).view(1)
        noise = self._noise.index_select(0, row)[0].to(self.dtype)  # [B, J]
        measured = self.measured(images, noise)
        self.t += 1
        self.set_rates()
        latents = objective.prior(noise)
        with self.autocast():
            samples = torch.sigmoid(self.model.decode(latents).to(self.dtype))  # [B, 1, 64, 64]

        with self.autocast():
            real, drawn = opponent.network(torch.cat([images, samples.detach()])).to(self.dtype).chunk(2)
        discriminator_loss = objective.discriminator_loss(real, drawn)
        opponent.optimizer.zero_grad(set_to_none=True)
        discriminator_loss.backward()
        opponent.optimizer.step()

        with self.autocast():
            mean, logvar = self.model.encode(samples)
            drawn = opponent.network(samples).to(self.dtype)
        generator_loss = objective.generator_loss(drawn)
        information = objective.code_information(mean.to(self.dtype), logvar.to(self.dtype), latents)
        self.optimizer.zero_grad(set_to_none=True)
        (generator_loss - objective.weight * information).backward(inputs=list(self.model.parameters()))
        self.optimizer.step()

        losses = torch.stack([discriminator_loss, generator_loss, information]).detach().double()
        self._trace.index_copy_(0, row, torch.cat([measured, losses])[None])
        self.note_gradients()

    @torch.no_grad()
    def measured(self, images: Tensor, noise: Tensor) -> Tensor:
        """What a VAE of Q and G makes of the images: reconstruction loss, KL and its parts, [2 + J] in nats."""
        with self.autocast():
            mean, logvar = (each.to(self.dtype) for each in self.model.encode(images))
            logits = self.model.decode(reparameterise(mean, logvar, noise))
        kl_latents = kl_per_latent(mean, logvar).double()
        reconstruction = reconstruction_loss(logits.to(self.dtype), images).mean()
        return torch.cat([reconstruction.double().view(1), kl_latents.sum().view(1), kl_latents])

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")


def engine_of(config: TrainingConfig, data: Dataset, advances: Tensor | None = None) -> Engine:
    """The engine that trains the run's arm; see Engine."""
    return (GanEngine if ARMS[config.arm].sampler else Engine)(config, data, advances)
