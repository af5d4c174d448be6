"""What is added to the reconstruction loss: seam.py says what an objective is, every other file is one kind of them."""

from lib.objectives.controlled import Controlled, controlled
from lib.objectives.seam import COLUMNS, FLAGS, Encoded, Objective, ObjectiveSettings
from lib.objectives.weighted import WeightedKL, beta_vae, cyclical, kl_annealing, vae

__all__ = [
    "COLUMNS", "FLAGS", "Controlled", "Encoded", "Objective", "ObjectiveSettings", "WeightedKL",
    "beta_vae", "controlled", "cyclical", "kl_annealing", "vae",
]  # fmt: skip
