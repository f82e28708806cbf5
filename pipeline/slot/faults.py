"""Errors after which a device cannot be used any more. Must not load torch."""

from __future__ import annotations

import re

# In the words of CUDA, of the libraries on it, and of its like.
_BROKEN = re.compile(
    r"CUDA error|cuDNN error|CUDNN_STATUS|CUBLAS_STATUS|cuBLAS error|CUSOLVER_STATUS|NCCL error|"
    r"device-side assert|illegal memory access|HIP error|MPS backend.*(?:fault|hang)"
)
_NO_MEMORY = re.compile(r"out of memory|ALLOC_FAILED", re.IGNORECASE)


def breaks_device(error: BaseException) -> bool:
    """Whether an error leaves a device's context useless, for this whole process; memory that ran
    out does not."""
    text = str(error)
    return bool(_BROKEN.search(text)) and not _NO_MEMORY.search(text)
