"""The texts, series and spans of one case -> :class:`Signals`.

Comes in: what the files of a case hold. Goes out: signals with every text redacted, and the counts of what was masked and
dropped. Surprise: a text is told by its content, because people paste and rename, and is redacted again wherever an escape
of JSON is undone.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from mimir_core.errors import InputError
from mimir_core.records import Incident, Outcome, content_hash
from mimir_core.safety.redact import redact
from mimir_core.telemetry.alerts import parse_incident
from mimir_core.telemetry.case_settings import CaseSettings
from mimir_core.telemetry.changes import is_change_record, parse_changes
from mimir_core.telemetry.console_tables import parse_console
from mimir_core.telemetry.json_series import parse_json_series
from mimir_core.telemetry.json_text import parse_json_text, parse_query_loads
from mimir_core.telemetry.kubectl_text import is_kubectl_text, parse_kubectl_text, split_commands
from mimir_core.telemetry.log_text import parse_log_record, parse_log_text, parse_object
from mimir_core.telemetry.manifests import find_manifests, parse_yaml
from mimir_core.telemetry.signals import UNKNOWN_COMPONENT, Signals, Statement, join_metrics, workload_of
from mimir_core.telemetry.spans import is_span, parse_spans
from mimir_core.telemetry.trace_text import is_trace, parse_trace

_TARGET_OF_COMMAND = re.compile(
    r"\b(?:logs|exec)\s+(?:(?:-n|-c|--namespace|--container)[ =]\S+\s+|-\S+\s+)*(?:[a-z]+/)?([a-z0-9][\w.-]*)"
)
"""Whose log is printed, or where a command is run."""
_COMPONENT_PARAMS = ("pod_name", "pod", "name", "resource_name", "service", "deployment", "workload_name")
_REFUSED = re.compile(
    r"\s*(?:Error from server(?: \((?P<why>\w+)\))?:|Unable to connect to the server|"
    r"The connection to the server \S+ was refused|error: [^\n]*\s*\Z)[^\n]*"
)
"""What a client says when it was given nothing: it tells of the request, not of the system."""
_FRAME = re.compile(
    r"\A\s*(?:Command `[^\n]*` failed with return code \d+\s*)?(?:cmd:[^\n]*\n)?"
    r"stdout:\n(?P<body>.*?)(?:\n\s*stderr:(?P<stderr>.*))?\Z",
    re.DOTALL,
)


class CaseReader:
    """Reads the files of one case and keeps count of what is masked and dropped."""

    def __init__(self, name: str) -> None:
        self.signals = Signals(Incident(id="i" + content_hash(name), title=name))
        self.settings = CaseSettings()
        self._metrics: list[pd.DataFrame] = []
        self._origins: list[str] = []
        self._spans: list[pd.DataFrame] = []

    def redact(self, text: str) -> str:
        """Mask the secrets in a text, and count them."""
        redacted = redact(text.encode("utf-8", "replace").decode())  # JSON can hold halves of characters
        self.signals.masked.update(redacted.masked)
        return redacted.text

    def read_text(self, path: Path) -> str:
        """Read a text file, packed or not, and redact it.

        Raises:
            InputError: It cannot be read, or is no text.
        """
        try:
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
        if b"\0" in content[:4096]:
            raise InputError(f"{path}: holds binary data, not text")
        text = content.decode("utf-8-sig", errors="replace")
        if broken := text.count("\N{REPLACEMENT CHARACTER}"):
            self.signals.dropped[f"{path.name}: bytes that are not UTF-8"] += broken
        return self.redact(text)

    def read_object(self, path: Path) -> Mapping[str, Any]:
        """Read a file that holds one JSON object, and redact it.

        Raises:
            InputError: It cannot be read, or holds anything else.
        """
        text = self.read_text(path)
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: line {error.lineno}: is not JSON: {error.msg}") from error
        if not isinstance(content, Mapping):
            raise InputError(f"{path}: expected an object, got {type(content).__name__}")
        return {key: self.redacted_leaves(value) for key, value in content.items()}

    def redacted_leaves(self, node: Any) -> Any:
        """Redact every string once more, now without JSON's escapes."""
        if isinstance(node, Mapping):
            return {key: self.redacted_leaves(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.redacted_leaves(value) for value in node]
        return self.redact(node) if isinstance(node, str) else node

    def add_series(self, frame: pd.DataFrame, origin: str) -> None:
        """Take series of the incident."""
        self._metrics.append(frame)
        self._origins.append(origin)

    def add_spans(self, spans: pd.DataFrame) -> None:
        """Take spans of the incident."""
        self._spans.append(spans)

    def add_text(self, text: str, component: str, origin: str, query: str = "") -> None:
        """Sort a text by its content into statements and series, each command's output by itself."""
        if (framed := _FRAME.search(text)) and (said := framed["stderr"]):
            self.signals.dropped["lines that a tool printed to stderr"] += len(said.strip().splitlines())
        outputs = list(split_commands(_without_frame(text)))
        if not outputs:
            self.signals.sources[query or origin] = Outcome.NO_DATA
        for command, printed in outputs:
            target = _TARGET_OF_COMMAND.search(command)
            self._add_output(printed, workload_of(target[1]) if target else component, origin, command or query)

    def _add_output(self, body: str, component: str, origin: str, query: str) -> None:
        while refused := _REFUSED.match(body):
            denied = refused["why"] in ("Forbidden", "Unauthorized")
            self.signals.sources[query or origin] = Outcome.DENIED if denied else Outcome.ERROR
            body = body[refused.end() :]
            if not body.strip():
                return
        content = parse_json(body) or parse_yaml(body)
        if isinstance(content, Mapping) and content.get("status") == "error" and "errorType" in content:
            self.signals.sources[query or origin] = Outcome.ERROR  # as Prometheus answers a query that it cannot run
            return
        if isinstance(content, Mapping | list):
            self._add_objects(content, component, origin, query)
        elif is_trace(body):
            self.signals.statements.extend(self._redacted(parse_trace(body, origin, query)))
        elif is_kubectl_text(body):
            self.signals.statements.extend(parse_kubectl_text(body, origin, query))
        elif console := parse_console(body, component, origin, query):
            self.signals.statements.extend(console)
        else:
            self.signals.statements.extend(self._redacted(parse_log_text(body, component, origin, query)))
        self.signals.sources[query or origin] = Outcome.DATA if body.strip() else Outcome.NO_DATA

    def _add_objects(self, content: Any, component: str, origin: str, query: str) -> None:
        content = self.redacted_leaves(content)  # once more: JSON had escaped its line breaks and quotes
        if isinstance(content, Mapping) and is_change_record(content):
            self.signals.changes = parse_changes(content, origin)
            self.signals.dropped.update(self.signals.changes.dropped)
            return
        if isinstance(content, list) and any(is_span(record) for record in content):
            self.add_spans(parse_spans(content, self.signals.dropped))
            return
        self.signals.statements.extend(parse_json_text(content, component, origin, query))
        self.signals.manifests.extend(find_manifests(content, origin, query))
        self.signals.query_loads.extend(parse_query_loads(content, component, origin, query))
        frame = parse_json_series(content, component)
        if not frame.empty:
            self.add_series(frame, origin)

    def parse_log_records(self, text: str, origin: str) -> Iterator[Statement]:
        """Yield what JSON lines say; a line that is no JSON object with a message is dropped and counted."""
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            said = parse_log_record(parse_object(line), UNKNOWN_COMPONENT, f"{origin}:{number}")
            if said is None:
                self.signals.dropped[f"{origin}: log line without a message"] += 1
            else:
                yield replace(said, text=self.redact(said.text))  # once more: JSON had escaped it

    def _redacted(self, statements: Iterable[Statement]) -> Iterator[Statement]:
        """Redact once more what JSON had escaped."""
        for statement in statements:
            yield replace(statement, text=self.redact(statement.text))

    def finish_evidence(self, content: Mapping[str, Any], origin: str) -> Signals:
        """Read an evidence file: a question, perhaps an alert, and the recorded outputs of tools."""
        alert = self.redacted_leaves(content.get("alert"))
        question = self.redact(str(content.get("question") or ""))
        payload = alert if isinstance(alert, Mapping) else {}
        self.signals.incident = parse_incident(payload, f"{origin}: alert", question)
        default = self.signals.incident.service or UNKNOWN_COMPONENT
        for position, entry in enumerate(content["evidence"]):
            if not isinstance(entry, Mapping):
                raise InputError(f"{origin}: evidence[{position}]: expected an object, got {entry!r:.80}")
            self._add_recorded(entry, default, f"{origin}: {entry.get('id') or f'evidence[{position}]'}")
        return self.finish()

    def _add_recorded(self, entry: Mapping[str, Any], default: str, origin: str) -> None:
        said = entry.get("params")
        params: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
        named = next((str(params[key]) for key in _COMPONENT_PARAMS if params.get(key)), "")
        component = workload_of(named) if re.fullmatch(r"[A-Za-z0-9][\w.-]*", named) else default
        query = str(
            entry.get("command") or f"{entry.get('tool') or 'tool'} {json.dumps(params, sort_keys=True) if params else ''}"
        ).strip()
        status = str(entry.get("status") or "success")
        text = self.redact(str(entry.get("text") or ""))  # once more: JSON had escaped its line breaks and quotes
        if status == "success" and text.strip():
            self.add_text(text, component, origin, query)
        else:
            known = status in (Outcome.ERROR, Outcome.DENIED)
            self.signals.sources[query] = Outcome(status) if known else Outcome.NO_DATA

    def finish(self) -> Signals:
        """Hand over what was read.

        Raises:
            InputError: Nothing was found to reason about: no alert, no question, no text, no series.
        """
        signals = self.signals
        signals.metrics = join_metrics(self._metrics)
        signals.metrics_origin = ", ".join(dict.fromkeys(self._origins))
        signals.spans = pd.concat(self._spans, ignore_index=True) if self._spans else signals.spans
        signals.calls |= self.settings.calls
        signals.earlier_faults = self.settings.earlier_faults
        signals.merge_pods()
        signals.find_affected()
        nothing_said = (
            signals.metrics.empty and signals.spans.empty and not (signals.statements or signals.manifests or signals.query_loads)
        )
        if nothing_said and not signals.incident.alerts and not signals.incident.question:
            dropped = f"; dropped: {dict(+signals.dropped)}" if +signals.dropped else ""
            raise InputError(
                f"{signals.incident.title}: nothing to diagnose: no alert, no log line, no metric, no cluster state{dropped}"
            )
        return signals


def _without_frame(text: str) -> str:
    r"""Return what a command printed to stdout, without the frame that some tools put around it.

    What a tool prints to stderr is about the tool, not about the system.

    >>> _without_frame('stdout:\n "NAME  READY\nweb-0  1/1"\n\nstderr:\nerror: broken pipe')
    'NAME  READY\nweb-0  1/1'
    """
    framed = _FRAME.search(text)
    return framed["body"].strip().removeprefix('"').removesuffix(",").removesuffix('"') if framed else text.strip()


def parse_json(text: str) -> Any:
    """Return the parsed JSON, or None when ``text`` is no JSON object or list."""
    return parse_object(text) if text.lstrip()[:1] in ("{", "[") else None
