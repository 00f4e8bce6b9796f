"""AMX on processors that have it: a process must ask Linux before it may use its tiles, and vLLM's workers do not.

Comes in: vLLM, which calls :func:`register` in each of its processes (its plugin group ``vllm.general_plugins``). Goes out: the
permission. Without it a worker that computes in bfloat16 is ended by SIGILL at its first question (Linux, "Using XSTATE features
in user space applications").
"""

import torch


def register() -> None:
    """Ask; where there are no tiles, nothing happens."""
    torch.cpu._init_amx()  # noqa: SLF001  # torch has no other name for it
