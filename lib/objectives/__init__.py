"""What an arm adds to the reconstruction loss: the seam, and one file per kind of objective.

- seam        what an objective is
- controlled  ControlVAE
"""

from lib.objectives.controlled import Controlled, controlled
from lib.objectives.seam import COLUMNS, FLAGS, Encoded, Objective, ObjectiveSettings

__all__ = ["COLUMNS", "FLAGS", "Controlled", "Encoded", "Objective", "ObjectiveSettings", "controlled"]
