"""What `mimir monitor` and the flow `monitor` run: the store in, a report and a summary of the last night out."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise

from mimir_core.config import Params
from mimir_core.evaluation.nights import NightCheck, find_broken, find_drift, night_row
from mimir_core.rules import Row
from mimir_core.store.database import open_database
from mimir_core.store.nights import read_diagnoses
from tasks import paths, wiring
from tasks.files import write_report


def monitor(params: Params, now: datetime) -> NightCheck:
    """Check the night that ends now, over all tenants, and write ``var/monitor/DATE/{report.html,summary.json}``.

    Raises:
        BackendError: The store is away.
    """
    settings, page = params.monitor, paths.MONITOR / f"{now:%Y-%m-%d}" / "report.html"
    dusk = now - timedelta(hours=settings.hours)
    reference, night = asyncio.run(_read(params, dusk - timedelta(days=settings.reference_days), dusk, now))
    page.unlink(missing_ok=True)  # of a check earlier today
    broken = find_broken(night, params.diagnose, wiring.checker()) if night else {}
    drift = find_drift(reference, night, wiring.drift_reporter_from(settings), settings, page)
    check = NightCheck(len(night), len(reference), broken, drift, settings.drift_share, page if drift else None)
    write_report(
        page.with_name("summary.json"),
        {
            "ended_at": now.isoformat(),
            "headline": check.headline,
            "rows": check.rows,
            "reference_rows": check.reference_rows,
            "broken": broken,
            "has_drifted": check.has_drifted if drift else None,
            "drift": [column._asdict() for column in drift],
        },
    )
    return check


async def _read(params: Params, *moments: datetime) -> list[list[Row]]:
    """Return the rows between each moment and the next."""
    async with open_database(wiring.store_url(), params.store) as database:
        return [[night_row(stored) async for stored in read_diagnoses(database, start, end)] for start, end in pairwise(moments)]
