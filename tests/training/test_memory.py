"""Freed memory is used again without page faults."""

import platform
import subprocess
import sys

import pytest

# In a process of its own: the setting is for the whole process.
SCRIPT = """
import resource, torch
from lib.training.device import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        [torch.ones(2**21) for _ in range(6)]  # 6 x 8 MiB, 2,048 pages of 4 KiB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
keep_freed_memory()
faults()
print(before, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_freed_memory_is_kept():
    answer = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    before, after = map(int, answer.stdout.split())
    assert after <= 100 < before
