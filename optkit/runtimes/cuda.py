"""Which GPU is here, asked of its driver alone: no library of CUDA need be installed."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

_DRIVER = "libcuda.so.1"
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR (CUDA driver API, cuDeviceGetAttribute)."""
_NAME_BYTES = 256


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first GPU.

    Attributes:
        name: The model, such as `NVIDIA L4`.
        capability: Its compute capability, such as `8.9`.
        driver: Version of CUDA that the driver speaks, such as `12.8`.
    """

    name: str
    capability: str
    driver: str

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.capability})"


@cache
def find_gpu(driver: str = _DRIVER) -> Gpu | None:
    """Returns the first GPU that the driver shows, or None if there is no driver or no GPU.

    Args:
        driver: The driver's shared library.
    """
    try:
        library = ctypes.CDLL(driver)
    except OSError:
        return None
    device = ctypes.c_int()
    if library.cuInit(0) or library.cuDeviceGet(ctypes.byref(device), 0):
        return None
    name = ctypes.create_string_buffer(_NAME_BYTES)
    library.cuDeviceGetName(name, _NAME_BYTES, device)
    version = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    capability = f"{_attribute(library, device, _MAJOR)}.{_attribute(library, device, _MINOR)}"
    return Gpu(name.value.decode(errors="replace"), capability, f"{version.value // 1000}.{version.value % 1000 // 10}")


def _attribute(library: ctypes.CDLL, device: ctypes.c_int, which: int) -> int:
    value = ctypes.c_int()
    library.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    return value.value
