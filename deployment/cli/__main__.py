"""``python -m deployment.cli`` is ``mimir``, also where nothing is installed."""

from deployment.cli.main import run

run()
