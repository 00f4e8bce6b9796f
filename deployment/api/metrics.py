"""What Prometheus is told about the API. Each app has a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mimir_core.records import Verdict
from mimir_core.store.figures import Totals
from mimir_core.store.intake import Receipt
from mimir_core.store.lifecycle import State
from mimir_core.store.views import Queue

_QUANTILES = (0.5, 0.99)


class Metrics:
    """Counts since the server started, and the queue as it is."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mimir_requests", "Requests, by route and status.", ["method", "route", "status"], registry=self.registry
        )
        self.alerts = Counter("mimir_alerts_received", "Alerts, by what became of them.", ["outcome"], registry=self.registry)
        self.diagnoses = Counter(
            "mimir_diagnoses_asked",
            "Diagnoses that alerts asked for, by whether a storm held them back.",
            ["outcome"],
            registry=self.registry,
        )
        self.intake_seconds = Histogram(
            "mimir_intake_seconds", "From a message that is read to one that is on the disk.", registry=self.registry
        )
        self.triggers = Counter("mimir_triggers", "Runs asked of Prefect, by outcome.", ["outcome"], registry=self.registry)
        self.queue_depth = Gauge("mimir_queue_depth", "Open jobs.", registry=self.registry)
        self.queue_age = Gauge("mimir_queue_age_seconds", "How long the oldest job has been due.", registry=self.registry)

        latest = "among the latest thousand diagnoses"
        self.incidents = Gauge("mimir_incidents", "Incidents, by state.", ["state"], registry=self.registry)
        self.verdicts = Gauge("mimir_diagnoses", f"How often each verdict is {latest}.", ["verdict"], registry=self.registry)
        self.degraded = Gauge("mimir_diagnoses_degraded", f"Fallbacks {latest}.", registry=self.registry)
        self.seconds = Gauge("mimir_diagnosis_seconds", f"How long they took {latest}.", ["quantile"], registry=self.registry)

    def count(self, receipt: Receipt) -> None:
        """Count what became of a message."""
        self.alerts.labels("new").inc(receipt.new_alerts)
        self.alerts.labels("known").inc(receipt.known_alerts)
        self.diagnoses.labels("queued").inc(receipt.jobs)
        self.diagnoses.labels("suppressed").inc(receipt.suppressed)

    def render(self, queue: Queue, totals: Totals) -> bytes:
        """Return everything in Prometheus' text format."""
        self.queue_depth.set(queue.depth)
        self.queue_age.set(queue.oldest_seconds)
        for state in State:
            self.incidents.labels(state).set(totals.states.get(state, 0))
        for verdict in Verdict:
            self.verdicts.labels(verdict).set(totals.verdicts.get(verdict, 0))
        self.degraded.set(totals.degraded)
        for quantile in _QUANTILES if totals.seconds else ():
            place = min(int(quantile * len(totals.seconds)), len(totals.seconds) - 1)
            self.seconds.labels(quantile).set(totals.seconds[place])
        return generate_latest(self.registry)
