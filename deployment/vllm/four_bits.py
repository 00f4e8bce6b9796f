"""GPTQ and AWQ where vLLM's own kernel for four-bit weights cannot be had.

Comes in: vLLM, which calls :func:`register` in each of its processes (its plugin group ``vllm.general_plugins``). Goes out: its
operator, which takes plain torch on processors without AVX-512, for which the kernel is not built, and in float32, which it does
not know. Surprises: plain torch unpacks weights when they are first used and keeps them so, which takes the time and the memory
of the model before it was quantized; it knows symmetric weights alone, which is what Mimir writes; on an accelerator nothing is
changed.
"""

from collections.abc import Callable

import torch
from vllm import _custom_ops
from vllm.platforms import current_platform

_BLOCK = 16
"""Outputs that vLLM stores side by side."""
_BITS, _ZERO = 4, 8
_UNPACKED: dict[int, torch.Tensor] = {}
"""By where the packed weights lie, which is the same place until the process ends."""


def register() -> None:
    """Put the choice between the kernel and plain torch in the place of the kernel."""
    if not current_platform.is_cpu():
        return
    is_built = hasattr(torch.ops._C, "cpu_gemm_wna16")  # noqa: SLF001  # where vLLM's kernels are
    kernel: Callable[..., torch.Tensor] = _custom_ops.cpu_gemm_wna16
    plain = torch.library.custom_op("mimir::multiply_four_bits", _multiply, mutates_args=(), device_types="cpu")
    plain.register_fake(lambda given, _weight, scales: given.new_empty(*given.shape[:-1], scales.shape[1]))

    def multiply(  # noqa: PLR0913, PLR0917  # vLLM's signature
        input: torch.Tensor,  # noqa: A002
        q_weight: torch.Tensor,
        scales: torch.Tensor,
        zeros: torch.Tensor | None,
        bias: torch.Tensor | None,
        pack_factor: int,
        isa_hint: str,
    ) -> torch.Tensor:
        if is_built and input.dtype is not torch.float32:
            return kernel(input, q_weight, scales, zeros, bias, pack_factor, isa_hint)
        if zeros is not None:
            raise NotImplementedError("four-bit weights with zero points need a processor with AVX-512 and bfloat16")
        product: torch.Tensor = plain(input, q_weight, scales)
        return product if bias is None else product + bias

    _custom_ops.cpu_gemm_wna16 = multiply


def _multiply(input: torch.Tensor, q_weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:  # noqa: A002
    place = q_weight.data_ptr()
    if place not in _UNPACKED:
        _UNPACKED[place] = _unpack(q_weight, scales, input.shape[-1])
    return input @ _UNPACKED[place]


def _unpack(q_weight: torch.Tensor, scales: torch.Tensor, inputs: int) -> torch.Tensor:
    """Return weights as ``inputs`` x outputs; eight of a block's sixteen outputs lie in one integer."""
    numbers = (q_weight.view(-1, inputs, _BLOCK // 8, 1) >> torch.arange(0, 32, _BITS, dtype=torch.int32)) & 0xF
    groups = numbers.view(-1, inputs, _BLOCK).transpose(0, 1).reshape(len(scales), inputs // len(scales), -1)
    return ((groups - _ZERO) * scales[:, None]).view(inputs, -1)
