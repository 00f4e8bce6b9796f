"""drain3: log templates (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017)."""


class PlainDrain:
    """drain3 with its own defaults and no masks: a baseline to be measured against."""

    def __init__(self) -> None:
        from drain3.drain import Drain  # noqa: PLC0415  # imports only when mining

        self._drain = Drain()

    def add(self, message: str) -> int:
        """Add ``message`` and return the number of its group."""
        cluster, _ = self._drain.add_log_message(message)
        return int(cluster.cluster_id)
