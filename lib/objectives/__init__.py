"""What an arm adds to the reconstruction loss: the seam, and one file per kind of objective.

- seam        what an objective is
- controlled  ControlVAE: a controller holds the KL at a set point
- weighted    beta(t) from the clock: VAE, beta-VAE, annealing, cyclical annealing
"""

from lib.objectives.controlled import Controlled, controlled
from lib.objectives.seam import COLUMNS, FLAGS, Encoded, Objective, ObjectiveSettings
from lib.objectives.weighted import WeightedKL, beta_vae, cyclical, kl_annealing, vae

__all__ = [
    "COLUMNS", "FLAGS", "Controlled", "Encoded", "Objective", "ObjectiveSettings", "WeightedKL", "beta_vae",
    "controlled", "cyclical", "kl_annealing", "vae",
]  # fmt: skip
