"""Where every file of the project lies. The only module that knows."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PARAMS = ROOT / "params.yaml"
LOCK = ROOT / "requirements" / "core.txt"
INCIDENTS = ROOT / "data" / "incidents"
CHUNKS = ROOT / "data" / "chunks.jsonl"
VECTORS = ROOT / "data" / "vectors.npy"
REPORTS = ROOT / "reports"

VAR = ROOT / "var"
KNOWLEDGE = VAR / "knowledge"
PARSED = VAR / "parsed.sqlite"
EMBEDDINGS = VAR / "embeddings.sqlite"
STATUS = VAR / "status"
DIAGNOSES = VAR / "diagnoses"
BENCH = VAR / "bench"
