"""``mimir monitor``: is the last night of diagnoses sound, and is it like those before?"""

import sys
from datetime import UTC, datetime


def monitor() -> None:
    """Check the rules and the drift of what was diagnosed since yesterday. The `monitor` flow does so each morning."""
    from mimir_core.config import read_params  # noqa: PLC0415  # `mimir --help` stays fast
    from tasks import paths  # noqa: PLC0415
    from tasks.monitor import monitor as run  # noqa: PLC0415

    params = read_params(paths.PARAMS)
    found, settings = run(params, datetime.now(UTC)), params.monitor
    sys.stdout.write(f"{found.headline}\n")
    sys.stdout.write(f"tonight  {found.rows} in {settings.hours:g} hours\n")
    sys.stdout.write(f"before   {found.reference_rows} in {settings.reference_days:g} days\n")
    for column in found.drifted:
        sys.stdout.write(f"drifted  {column.column} (chance {column.chance:.2g}, {column.method})\n")
    if found.page:
        sys.stdout.write(f"report   {found.page}\n")
    found.stop_if_broken()
