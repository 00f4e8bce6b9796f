"""psutil: a command that does not outlive whoever asked for it, nor leaves anything that it started.

Comes in: the id of the asking process, and a command. Goes out: the command's exit code. It runs as a program between the two
(``python guard.py PID COMMAND...``), because only a third process can act when the first was killed by SIGKILL. Surprises: it
ends on SIGTERM, or when its parent is not PID any more, which is how Linux shows that PID has died (PR_SET_PDEATHSIG would come
as soon as the thread that started it ends); what the command leaves becomes a child of the guard, in whatever session it runs.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil

PR_SET_CHILD_SUBREAPER = 36
LOOK_SECONDS = 0.1
GRACE_SECONDS = 10
"""How long processes may take to end by themselves; then they are killed."""


def run(parent: int, command: list[str]) -> int:
    """Run ``command`` until it ends or nobody wants it any more; then end what is left of it."""
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: asked.append(number))
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while process.poll() is None and os.getppid() == parent and not asked:
        time.sleep(LOOK_SECONDS)
    end_descendants()
    return process.returncode or 0


def end_descendants() -> None:
    """End every descendant of this process: politely, then not, until there is none."""
    family = psutil.Process().children(recursive=True)
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.terminate()
    psutil.wait_procs(family, timeout=GRACE_SECONDS)
    while family := psutil.Process().children(recursive=True):
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        psutil.wait_procs(family, timeout=1)


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), sys.argv[2:]))
