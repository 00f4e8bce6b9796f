"""drain3: log templates."""

from mimir_core.config import LogSettings


class DrainMiner:
    """Drain with masks for what varies in any log: numbers, hashes, addresses. Names and words survive."""

    def __init__(self, settings: LogSettings) -> None:
        from drain3.drain import Drain  # noqa: PLC0415  # imports only when mining
        from drain3.masking import LogMasker, MaskingInstruction  # noqa: PLC0415

        self._drain = Drain(depth=settings.depth, sim_th=settings.similarity, max_clusters=settings.max_templates)
        self._masker = LogMasker(
            [
                MaskingInstruction(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "uuid"),
                MaskingInstruction(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?", "time"),
                MaskingInstruction(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "ip"),
                MaskingInstruction(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", "hex"),
                MaskingInstruction(r"(?<![A-Za-z0-9_])[+-]?\d+(?:\.\d+)?(?=[^A-Za-z0-9_]|(?:ms|s|us|m|h|%|[KMG]i?B?)\b|$)", "n"),
            ],
            "<",
            ">",
        )

        self._templates: dict[int, str] = {}

    def add(self, message: str) -> int:
        """Add ``message`` and return the number of its group."""
        cluster, _ = self._drain.add_log_message(self._masker.mask(message))
        self._templates[cluster.cluster_id] = cluster.get_template()
        return int(cluster.cluster_id)

    def template(self, group: int) -> str:
        """Return the template of a group as it stands after all that was added."""
        return self._templates[group]
