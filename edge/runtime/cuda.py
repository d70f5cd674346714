"""The few calls of the CUDA driver that running an engine takes, by ctypes: a node needs no further package for them.

The driver's library is there wherever a GPU can be used, on a Jetson too. Pointers and streams are plain integers.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge.runtime import RuntimeFault

LIBRARY: Final = "libcuda.so.1"
_NAME_BYTES: Final = 256
_MAJOR, _MINOR = 75, 76
"""Numbers of the two halves of the compute capability among the driver's device attributes."""

Array = NDArray[np.generic]


class Device(Protocol):
    """A device with memory and one stream of work."""

    name: str
    """Model and compute capability: engines are for one such only."""
    stream: int

    def buffers(self, shape: tuple[int, ...], dtype: DTypeLike) -> tuple[int, Array]:
        """Return device memory (its address) and pinned host memory of one tensor. Raises RuntimeFault."""
        ...

    def upload(self, address: int, source: Array) -> None:
        """Queue a copy from pinned host memory to the device."""
        ...

    def download(self, target: Array, address: int) -> None:
        """Queue a copy from the device to pinned host memory."""
        ...

    def wait(self) -> None:
        """Return when everything queued is done. Raises RuntimeFault where it failed."""
        ...

    def close(self) -> None:
        """Release memory and stream. Safe to call twice."""
        ...


class Gpu:
    """The first GPU, through its primary context, which TensorRT uses too. Raises RuntimeFault where there is none."""

    def __init__(self) -> None:
        try:
            self._cuda: Any = ctypes.CDLL(LIBRARY)
        except OSError:
            raise RuntimeFault(f"no NVIDIA driver here ({LIBRARY} is missing); use --backend cpu") from None
        self._held: list[tuple[ctypes.c_void_p, ctypes.c_void_p]] = []
        self._closed = False
        device, context, stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._device = device
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._context = context
        self._call("cuCtxSetCurrent", context)
        self._call("cuStreamCreate", ctypes.byref(stream), 1)
        self._stream = stream
        self.stream = int(stream.value or 0)
        self.name = self._describe(device)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._cuda, name)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self._cuda.cuGetErrorString(status, ctypes.byref(text))
            raise RuntimeFault(f"{name}: {(text.value or b'unknown error').decode()} ({status})")

    def _describe(self, device: ctypes.c_int) -> str:
        text, major, minor = ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_int(), ctypes.c_int()
        self._call("cuDeviceGetName", text, _NAME_BYTES, device)
        self._call("cuDeviceGetAttribute", ctypes.byref(major), _MAJOR, device)
        self._call("cuDeviceGetAttribute", ctypes.byref(minor), _MINOR, device)
        return f"{text.value.decode()} sm{major.value}{minor.value}"

    def buffers(self, shape: tuple[int, ...], dtype: DTypeLike) -> tuple[int, Array]:
        """Return device memory (its address) and pinned host memory of one tensor. Raises RuntimeFault."""
        kind = np.dtype(dtype)
        size = max(1, math.prod(shape) * kind.itemsize)
        device, host = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuMemAlloc_v2", ctypes.byref(device), ctypes.c_size_t(size))
        self._call("cuMemHostAlloc", ctypes.byref(host), ctypes.c_size_t(size), 0)
        self._held.append((device, host))
        memory = (ctypes.c_uint8 * size).from_address(host.value or 0)
        array = np.frombuffer(memoryview(memory).cast("B"), kind, math.prod(shape)).reshape(shape)
        return int(device.value or 0), array

    def upload(self, address: int, source: Array) -> None:
        """Queue a copy from pinned host memory to the device."""
        size = ctypes.c_size_t(source.nbytes)
        host = ctypes.c_void_p(source.ctypes.data)
        self._call("cuMemcpyHtoDAsync_v2", ctypes.c_void_p(address), host, size, self._stream)

    def download(self, target: Array, address: int) -> None:
        """Queue a copy from the device to pinned host memory."""
        size = ctypes.c_size_t(target.nbytes)
        host = ctypes.c_void_p(target.ctypes.data)
        self._call("cuMemcpyDtoHAsync_v2", host, ctypes.c_void_p(address), size, self._stream)

    def wait(self) -> None:
        """Return when everything queued is done. Raises RuntimeFault where it failed."""
        self._call("cuStreamSynchronize", self._stream)

    def close(self) -> None:
        """Release memory and stream. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        for device, host in self._held:
            self._cuda.cuMemFree_v2(device)
            self._cuda.cuMemFreeHost(host)
        self._cuda.cuStreamDestroy_v2(self._stream)
        self._cuda.cuDevicePrimaryCtxRelease_v2(self._device)
