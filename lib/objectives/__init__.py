"""What an arm adds to the reconstruction loss: the seam, and one file per kind of objective.

- seam        what an objective is
- controlled  ControlVAE: a controller holds the KL at a set point
- weighted    beta(t) from the clock: VAE, beta-VAE, annealing, cyclical annealing
- capacity    gamma |KL - C|
- dynamic     DynamicVAE, ControlVAE's successor
- clocks      set points of these that the clock moves
- total_correlation, tcvae   estimators from one batch, and beta-TCVAE
- factor      FactorVAE, with its discriminator
- infogan     InfoGAN's losses and discriminator; it has neither of the two parts of an objective
- posterior_bank, information   the report's wish: steered by I_q(x; z), and how that is estimated
"""

from lib.objectives.controlled import Controlled, controlled, controlled_as_published, controlled_without_lock
from lib.objectives.seam import COLUMNS, FLAGS, Adversarial, Encoded, Informed, Objective, ObjectiveSettings

__all__ = [
    "COLUMNS", "FLAGS", "Adversarial", "Controlled", "Encoded", "Informed", "Objective", "ObjectiveSettings",
    "controlled", "controlled_as_published", "controlled_without_lock",
]  # fmt: skip
