"""What make test-long keeps of its campaigns: date, commit, how many examples and tests, failures, seconds."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from lib.files import write_sealed
from lib.runs.provenance import provenance
from lib.training.device import choose_device

EXAMPLES: Counter = Counter()  # tried: by the fuzzed tests of this session


def keep_result(path: Path, tests: int, failures: int, seconds: float) -> None:
    origin = provenance(choose_device("cpu"))
    content = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": origin["commit"],
        "dirty": origin["dirty"],
        "tests": tests,
        "examples": EXAMPLES["tried"],
        "failures": failures,
        "seconds": round(seconds, 1),
        "hardware": origin["hardware"],
    }
    write_sealed(path, content)
