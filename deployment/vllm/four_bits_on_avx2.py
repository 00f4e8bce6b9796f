"""GPTQ and AWQ on processors without AVX-512, for which vLLM is built without the kernel that computes with four-bit weights.

Comes in: vLLM, which calls :func:`register` in each of its processes (its plugin group ``vllm.general_plugins``). Goes out: the
missing operator, in plain torch. Surprises: it unpacks weights when they are first used and keeps them so, which takes the time
and the memory of the model before it was quantized; it knows symmetric weights alone, which is what Mimir writes; where the
kernel is there, or on an accelerator, it does nothing.
"""

import torch
from vllm import _custom_ops  # noqa: F401  # loads the kernels that there are
from vllm.platforms import current_platform

_BLOCK = 16
"""Outputs that vLLM stores side by side."""
_BITS, _ZERO = 4, 8
_UNPACKED: dict[int, torch.Tensor] = {}
"""By where the packed weights lie, which is the same place until the process ends."""


def register() -> None:
    """Define the operator where it is missing."""
    if current_platform.is_cpu() and not hasattr(torch.ops._C, "cpu_gemm_wna16"):  # noqa: SLF001  # where vLLM's kernels are
        torch.library.custom_op("_C::cpu_gemm_wna16", _multiply, mutates_args=["output"], device_types="cpu")


def _multiply(  # noqa: PLR0913, PLR0917  # vLLM's signature
    input: torch.Tensor,  # noqa: A002
    q_weight: torch.Tensor,
    output: torch.Tensor,
    scales: torch.Tensor,
    zeros: torch.Tensor | None,
    bias: torch.Tensor | None,
    pack_factor: int,  # noqa: ARG001
    isa_hint: str,  # noqa: ARG001
) -> None:
    if zeros is not None:
        raise NotImplementedError("four-bit weights with zero points need a processor with AVX-512")
    place = q_weight.data_ptr()
    if place not in _UNPACKED:
        _UNPACKED[place] = _unpack(q_weight, scales, input.shape[-1])
    torch.mm(input, _UNPACKED[place], out=output)
    if bias is not None:
        output += bias


def _unpack(q_weight: torch.Tensor, scales: torch.Tensor, inputs: int) -> torch.Tensor:
    """Return weights as ``inputs`` x outputs; eight of a block's sixteen outputs lie in one integer."""
    numbers = (q_weight.view(-1, inputs, _BLOCK // 8, 1) >> torch.arange(0, 32, _BITS, dtype=torch.int32)) & 0xF
    groups = numbers.view(-1, inputs, _BLOCK).transpose(0, 1).reshape(len(scales), inputs // len(scales), -1)
    return ((groups - _ZERO) * scales[:, None]).view(inputs, -1)
