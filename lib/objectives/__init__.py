"""What is added to the reconstruction loss: seam.py says what an objective is, every other file is one kind of them.

clocks.py holds the rules by which C moves in some of them.
"""

from lib.objectives.controlled import Controlled, controlled
from lib.objectives.seam import COLUMNS, FLAGS, Encoded, Objective, ObjectiveSettings

__all__ = ["COLUMNS", "FLAGS", "Controlled", "Encoded", "Objective", "ObjectiveSettings", "controlled"]
