"""papermill, but that SIGINT and SIGTERM end a training within a notebook as they end one without:

    python -m lib.report.notebooks.execute IN.ipynb OUT.ipynb -p NAME VALUE ...

takes papermill's arguments. The kernel is interrupted, and with it the training, which saves first
(lib/training/train.py); what was run stands in OUT.ipynb; the exit code is 130 or 143. A second signal interrupts the
saving, too.
"""

import signal
import subprocess
import sys
import threading
from typing import BinaryIO

import psutil


def main() -> None:
    command = [sys.executable, "-m", "papermill", *sys.argv[1:]]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # papermill inherits that: Ctrl-C would end it before its kernel saves
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    ended_by: list[int] = []

    def interrupt(number: int, _: object) -> None:
        ended_by.append(number)
        kernels = _kernels(process.pid)
        for kernel in kernels:
            kernel.send_signal(signal.SIGINT)
        if not kernels:
            process.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    relay = threading.Thread(target=_relay, args=(process.stderr, ended_by))
    relay.start()
    code = process.wait()
    relay.join()
    if ended_by:
        print(f"Ended by {signal.Signals(ended_by[0]).name}. The same command continues.", file=sys.stderr)
        sys.exit(128 + ended_by[0])
    sys.exit(code if code >= 0 else 128 - code)


def _kernels(pid: int) -> list[psutil.Process]:
    """The kernels that papermill has started."""
    try:
        children = psutil.Process(pid).children(recursive=True)
        return [child for child in children if any("ipykernel" in word for word in child.cmdline())]
    except psutil.Error:  # it has just ended
        return []


def _relay(stream: BinaryIO, ended_by: list[int]) -> None:
    """Pass on what papermill writes, but for the tracebacks of an interrupted one and the kernel's warning of TCP.

    The kernel listens to this machine alone.
    """
    for line in stream:
        if not ended_by and b"Kernel is running over TCP without encryption" not in line:
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()


if __name__ == "__main__":
    main()
