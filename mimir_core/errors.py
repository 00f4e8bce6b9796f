"""What can go wrong, one class per next move.

    MimirError
    ├── ParamsError      fix params.yaml              exit 4, refuses to start
    ├── InputError       fix the data                 exit 3, HTTP 422
    │   └── EmptyStageError   nothing was kept: writing the file would be a lie
    └── BackendError     try again                    exit 5, HTTP 503

Wrong usage of a command is typer's own exit 2. An abstention is a result, not an error.
"""


class MimirError(Exception):
    """Base of every error that Mimir raises on purpose."""

    exit_code = 1
    http_status = 500


class ParamsError(MimirError):
    """params.yaml says something that cannot be run: fix the file."""

    exit_code = 4


class InputError(MimirError):
    """The data cannot be read or means nothing: fix the data. Says file, line and value where there are any."""

    exit_code = 3
    http_status = 422


class EmptyStageError(InputError):
    """A stage kept nothing. Its counts say why."""


class BackendError(MimirError):
    """Something outside did not answer. The only error that is worth a retry."""

    exit_code = 5
    http_status = 503
