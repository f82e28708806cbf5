"""What errors say of the device: that it cannot be used any more, or that its memory ran out.

In: errors. Out: what they mean. Must not load torch.
"""

from __future__ import annotations

import re

from pipeline.errors import DeviceFullError

# In the words of CUDA, of the libraries on it, of torch beside them, and of its like.
_BROKEN = re.compile(
    r"CUDA error|CUDA driver error|CUDA unknown error|CUDA driver initialization failed|"
    r"No CUDA GPUs are available|Found no NVIDIA driver|cuDNN error|CUDNN_STATUS|CUBLAS_STATUS|"
    r"cuBLAS error|CUSOLVER_STATUS|NCCL error|device-side assert|illegal memory access|"
    r"HIP error|MPS backend.*(?:fault|hang)"
)
# A library that could not be begun on a GPU, or finds no way to convolve, mostly has no memory for
# its workspace; but a sick device may say so, too.
_DOUBTFUL = re.compile(
    r"STATUS_NOT_INITIALIZED|valid cuDNN algorithm|unable to find an engine", re.IGNORECASE
)
# Likewise, and of torch's allocator on a CPU, Linux's and others'; torch asks the driver who holds
# the memory in a way that fails in containers.
_NO_MEMORY = re.compile(
    r"out of memory|not enough memory|can't allocate memory|std::bad_alloc|ALLOC(?:ATION)?_FAILED|"
    r"NVML_SUCCESS == r",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, whoever raised it."""
    # torch has a type of its own for it, which is always of this name.
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    text = str(error)
    return known or bool(_NO_MEMORY.search(text) or _DOUBTFUL.search(text))


def may_be_sick(error: BaseException) -> bool:
    """Of an error of memory: whether it is the device's fault where less of it does not help."""
    return bool(_DOUBTFUL.search(str(error)))


def breaks_device(error: BaseException) -> bool:
    """Whether an error leaves a device's context useless, for this whole process; memory that ran
    out does not."""
    return bool(_BROKEN.search(str(error))) and not is_out_of_memory(error)


def is_devices_fault(error: BaseException) -> bool:
    """Whether an error is the fault of the device, not of what was to be run there: it is broken,
    or others hold its memory."""
    return isinstance(error, DeviceFullError) or breaks_device(error)
