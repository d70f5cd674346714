"""TensorRT as a backend: an engine, pinned buffers, one stream."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.runtime import Float, RuntimeFault
from edge.runtime.cuda import Array, Device, Gpu
from edge.runtime.engines import Shelf, Trt, library
from protocols.pack import Pack


class TensorRt:
    """One graph of a pack in TensorRT. `device` and `trt` are the machine's own unless given.

    `origin` says how the engine came about: ``kept``, ``refitted`` or ``built`` (which takes minutes on a Jetson).
    Raises RuntimeFault where library, driver or device are missing, or the graph cannot be built.
    """

    def __init__(
        self, pack: Pack, precision: str = "fp32", device: Device | None = None, trt: Trt | None = None
    ) -> None:
        self._trt = trt or Trt(library())
        self._device = device or Gpu()
        self.name = self._trt.module.__name__.replace("_", "-")
        try:
            data, self.origin = Shelf(self._device.name, self._trt).engine(pack, precision)
            self._engine = self._trt.open(data)
            self._context = self._engine.create_execution_context()
            if self._context is None:
                raise RuntimeFault(f"{self.name}: not enough device memory to run the engine")
            self._buffers = {name: self._bind(name) for name in self._names()}
        except RuntimeFault:
            self._device.close()
            raise

    def _names(self) -> list[str]:
        return [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]

    def _bind(self, name: str) -> tuple[int, Array]:
        shape = tuple(int(side) for side in self._engine.get_tensor_shape(name))
        if min(shape, default=1) < 0:
            raise RuntimeFault(f"{self.name}: {name} has no fixed shape ({list(shape)}); export the graph with one")
        address, host = self._device.buffers(shape, self._trt.module.nptype(self._engine.get_tensor_dtype(name)))
        self._context.set_tensor_address(name, address)
        return address, host

    def _is_input(self, name: str) -> bool:
        return bool(self._engine.get_tensor_mode(name) == self._trt.module.TensorIOMode.INPUT)

    def run(self, inputs: NDArray[np.generic]) -> dict[str, Float]:
        """Run the engine on one batch. Raises RuntimeFault where shape or type do not fit or the device fails."""
        if self._context is None:
            raise RuntimeFault("the model was closed")
        outputs: dict[str, Any] = {}
        for name, (address, host) in self._buffers.items():
            if not self._is_input(name):
                outputs[name] = (address, host)
                continue
            if inputs.shape != host.shape or inputs.dtype != host.dtype:
                raise RuntimeFault(
                    f"{self.name}: {name} is {host.dtype} {list(host.shape)}, not {inputs.dtype} {list(inputs.shape)}"
                )
            np.copyto(host, inputs)
            self._device.upload(address, host)
        if not self._context.execute_async_v3(self._device.stream):
            raise RuntimeFault(f"{self.name}: the engine failed")
        for address, host in outputs.values():
            self._device.download(host, address)
        self._device.wait()
        return {name: np.array(host) for name, (_, host) in outputs.items()}

    def close(self) -> None:
        """Release engine and memory. Safe to call twice."""
        self._context = self._engine = None
        self._buffers = {}
        self._device.close()
