"""One writer at a time: a lock that ends with the process that holds it, however that ends.

    python -m lib.locks results/runs/laptop/.report.lock snakemake ...

runs a command under a lock, after those that hold it. The system keeps the lock, not the file: a file that a killed
process has left is no obstacle.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from lib.refusal import Refusal


@contextmanager
def only_one(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold the lock file `path`, which is gone afterwards; where another process holds it, wait or raise Refusal."""
    file = _locked(path, wait)
    try:
        with suppress(OSError):  # of a full disk; the number is for the reader, the lock is the system's
            file.truncate(0)
            print(os.getpid(), file=file, flush=True)
        yield
    finally:
        with suppress(OSError):  # of a folder that was closed meanwhile; what stays there locks nothing
            path.unlink(missing_ok=True)
        file.close()


def _locked(path: Path, wait: bool) -> TextIO:
    """The lock file, open and locked; raises Refusal where another process holds it, unless `wait`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise Refusal(f"{path} could not be made ({error.strerror}); make the folder writable.") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = f"process {file.read().strip() or 'unknown'}"
        if not wait:
            raise Refusal(f"{path.parent} is in use by {holder}; wait until that has ended, or end it.") from None
        print(f"{path.parent} is in use by {holder}; waiting until that has ended.", file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
        return file
    file.close()  # its holder has removed it meanwhile, and it locks nothing
    return _locked(path, wait)


def main() -> None:
    """The command line: a lock file, and the command to run while it is held."""
    path, *command = sys.argv[1:] or [""]
    if not command:
        sys.exit("Give a lock file and a command.")
    try:
        with only_one(Path(path), wait=True):
            # Ctrl-C reaches the command as well, which ends in its own time; a request to end is passed on, also one
            # that comes while the command is being started.
            asked = threading.Event()
            signal.signal(signal.SIGINT, lambda *_: None)
            signal.signal(signal.SIGTERM, lambda *_: asked.set())
            try:
                process = subprocess.Popen(command)
            except OSError as error:
                raise Refusal(f"{command[0]} could not be started ({error.strerror}).") from error
            signal.signal(signal.SIGTERM, lambda *_: process.terminate())
            if asked.is_set():
                process.terminate()
            code = process.wait()
    except KeyboardInterrupt:  # while it waited
        code = -signal.SIGINT
    except Refusal as error:
        sys.exit(str(error))
    finally:
        with suppress(OSError):  # a folder that was made for the lock, and that nothing was written to
            Path(path).parent.rmdir()
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
