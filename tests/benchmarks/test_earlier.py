"""Two states of the code are timed side by side."""

import pytest

from lib.benchmarks import earlier, turns
from lib.files import ROOT
from lib.refusal import Refusal

# Trains a step, and says that a step takes 2 seconds in this tree and 4 in the other, ten times as many at first.
CLOCK = """
_rate, _first = (4 if __import__("pathlib").Path("lib").is_symlink() else 2), 10
lockstep.run(1)
for line in sys.stdin:
    print(_rate * _first * int(line), flush=True)
    _first = 1
sys.exit()
"""


def test_both_states_of_the_code_are_timed_and_compared(tmp_path, monkeypatch):
    for name in ("lib", "profiles.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.setattr(earlier, "PRECISIONS", ("float32",))
    head, loop = turns._WORKER.split("with reproducible")
    monkeypatch.setattr(turns, "_WORKER", f"{head}{CLOCK}with reproducible{loop}")
    table = earlier.compare(tmp_path, steps=3, rounds=2, batch=4)
    assert table["arm"].tolist() == ["linear", "adaptive"]
    assert table["ms_per_step"].tolist() == [2000, 2000] and table["ms_per_step_before"].tolist() == [4000, 4000]
    assert table["ratio"].tolist() == table["upper_quartile"].tolist() == [0.5, 0.5]


def test_this_state_of_the_code_is_timed():
    with turns.worker(ROOT, "adaptive", "float32", 4) as process:
        assert 0 < turns.seconds(process, 2) < float("inf")
    with pytest.raises(RuntimeError, match="A worker ended"), turns.worker(ROOT, "none", "float32", 4) as process:
        turns.seconds(process, 1)


def test_a_commit_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Refusal, match="There is no commit nowhere here; name one that git log shows"):
        earlier.check_out("nowhere", tmp_path)
