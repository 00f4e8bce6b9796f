# ruff: noqa: INP001, S311  # a script, not a package; seeded noise is no secret
"""How grouping log lines costs time and memory: 10,000, 100,000 and 1,000,000 lines, generated here, as a stream.

Comes in: nothing. Goes out: a table, and the slope of time over lines in double logarithm (1 is proportional). Each size runs
in a process of its own, so that its peak memory is its own. Half of the lines are of 500 statements with numbers, addresses
and identifiers; the others carry a name, drawn from 50,000, that looks like a word and has to be learned.
"""

import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

from curves import Curve, draw

from mimir_core.analysis.templates import TemplateGroups
from mimir_core.config import read_params
from tasks import paths

SIZES = (10_000, 100_000, 1_000_000)
_SYLLABLES = ("ka", "lo", "mi", "ne", "ru", "ta", "vo", "xi", "zu", "pe")


def generate(count: int) -> Iterator[str]:
    """Yield ``count`` lines, the same on each run."""
    draw = random.Random(7)
    statements = [" ".join(_word(draw) for _ in range(4)) for _ in range(500)]
    names = [_word(draw) for _ in range(50_000)]
    for _ in range(count):
        start = draw.choice(statements)
        if draw.random() < 0.5:
            address = f"10.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}:{draw.randrange(65536)}"
            yield f"{start} request {draw.getrandbits(64):016x} from {address} after {draw.randrange(5000)} ms"
        else:
            yield f"{start} session of user {draw.choice(names)} in zone {draw.randrange(9)} with status={draw.randrange(600)}"


def _word(draw: random.Random) -> str:
    return "".join(draw.choices(_SYLLABLES, k=5))


def measure(count: int) -> None:
    """Group ``count`` lines, and print seconds, peak memory in MiB and groups."""
    groups = TemplateGroups(read_params(paths.PARAMS).culprits.templates)
    started = time.perf_counter()
    numbers = {groups.add(line) for line in generate(count)}
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{seconds} {peak} {len({groups.current(number) for number in numbers})}\n")


def main() -> None:
    """Print the table."""
    sys.stdout.write("lines      seconds  lines/s  peak MiB  groups\n")
    seconds = []
    for size in SIZES:
        done = subprocess.run([sys.executable, __file__, str(size)], capture_output=True, text=True, check=True)
        took, peak, groups = (float(figure) for figure in done.stdout.split())
        seconds.append(took)
        sys.stdout.write(f"{size:>9,}  {took:>7.2f}  {size / took:>7.0f}  {peak:>8.0f}  {groups:>6.0f}\n")
    curve = Curve(list(SIZES), seconds)
    sys.stdout.write(f"slope of time over lines: {curve.slope:.2f}\n")
    draw({"lines": curve}, paths.ROOT / "docs" / "results" / "log-lines-cost.svg")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(int(sys.argv[1]))
    else:
        main()
