"""A whole run in a copy of the project, as a user would do it, with planted secrets in everything that comes in."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PlantedSecret

ROOT = Path(__file__).parents[2]
MIN_SECRETS = 50


def _run(project: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``mimir ARGUMENTS`` with the code of the copy: the working directory comes first on the path."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MIMIR_"))}
    return subprocess.run(
        [sys.executable, "-c", "from deployment.cli.main import run; run()", *arguments],
        cwd=project,
        env=settings,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, planted_secrets: list[PlantedSecret]) -> Path:
    """The project's code with one runbook and one incident that are full of secrets."""
    copy = tmp_path_factory.mktemp("run") / "mimir"
    for name in ("mimir_core", "tasks", "flows", "deployment"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", copy)
    (copy / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "core.txt", copy / "requirements")
    lines = [planted.line for planted in planted_secrets]
    runbook = copy / "data" / "runbooks" / "leak.md"
    runbook.parent.mkdir(parents=True)
    fences = "\n\n".join(f"Step {number}: look at this output.\n\n```\n{line}\n```" for number, line in enumerate(lines))
    runbook.write_text(f"# Service loses its database\n\n## Diagnosis\n\n{fences}\n\n## Mitigation\n\nRestart it and wait.\n")
    case = copy / "data" / "incidents" / "quiet-fox"
    case.mkdir(parents=True)
    when = "2026-03-01T02:00:00Z"
    alert = {"title": "web is down", "description": lines[0], "severity": "critical", "service": "web", "starts_at": when}
    (case / "alert.json").write_text(json.dumps(alert))
    records = [{"time": when, "component": "web", "level": "error", "message": f"request failed: {line}"} for line in lines]
    records.append({"time": "2026-03-01T02:01:00Z", "component": "web", "message": "FATAL: sorry, too many clients already"})
    (case / "logs.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    recorded = [{"tool": "kubectl get", "status": "success", "text": f"kind: List\n{line}\n"} for line in lines]
    loud = {"question": f"why does web fail? {lines[1]}", "alert": alert, "evidence": recorded}
    (case.parent / "loud-owl.json").write_text(json.dumps(loud))
    (case / "app.log").write_text("\n".join(f"2026-03-01T02:00:00Z ERROR {line}" for line in lines))
    return copy


def test_no_planted_secret_survives_a_whole_run(project: Path, planted_secrets: list[PlantedSecret]) -> None:
    assert len(planted_secrets) >= MIN_SECRETS
    inputs = {file for file in (project / "data").rglob("*") if file.is_file()}
    said = ""
    pasted = "\n".join(planted.line for planted in planted_secrets)
    for arguments in (["stage", "ingest"], ["stage", "index"], ["knowledge", "publish"], ["nightly"], ["diagnose", "-"]):
        done = _run(project, *arguments, stdin=pasted if arguments[-1] == "-" else "")
        assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
        said += done.stdout + done.stderr
    assert "quiet-fox" in said
    written = [file for file in project.rglob("*") if file.is_file() and file not in inputs]
    assert any(file.suffix == ".db" for file in written)  # Prefect's database is among them
    assert (project / "var" / "diagnoses" / "quiet-fox" / "diagnosis.json").is_file()
    found = set()
    for planted in planted_secrets:
        for form in (planted.secret, json.dumps(planted.secret)[1:-1]):
            if form in said:
                found.add((planted.kind, "stdout or stderr"))
            found |= {(planted.kind, str(file.relative_to(project))) for file in written if form.encode() in file.read_bytes()}
    assert not found


def test_bad_input_ends_with_the_exit_codes_of_the_design(project: Path) -> None:
    assert _run(project, "diagnose", "no-such-folder").returncode == 3
    assert _run(project, "diagnose", "-", stdin=" ").returncode == 3
    assert _run(project, "stage", "no-such-stage").returncode == 2
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("top_k", "topk"))
    done = _run(project, "diagnose", "-", stdin="OOMKilled")
    (project / "params.yaml").write_text(params)
    assert (done.returncode, "retrieve.topk" in done.stderr, done.stdout) == (4, True, "")
