"""Where every file of the project lies. The only module that knows."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PARAMS = ROOT / "params.yaml"
LOCK = ROOT / "requirements" / "core.txt"
INCIDENTS = ROOT / "data" / "incidents"
CHUNKS = ROOT / "data" / "chunks.jsonl"
VECTORS = ROOT / "data" / "vectors.npy"
FEEDBACK = ROOT / "data" / "feedback"
REPORTS = ROOT / "reports"

VAR = ROOT / "var"
KNOWLEDGE = VAR / "knowledge"
PARSED = VAR / "parsed.sqlite"
EMBEDDINGS = VAR / "embeddings.sqlite"
STATUS = VAR / "status"
DIAGNOSES = VAR / "diagnoses"
CASES = VAR / "cases"
"""Recorded cases that incidents of the store may name: one folder a tenant, in it one a case."""
STORE = VAR / "store" / "mimir.db"
MLFLOW = VAR / "mlflow"
MONITOR = VAR / "monitor"
BENCH = VAR / "bench"
