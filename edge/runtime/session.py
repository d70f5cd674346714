"""ONNX Runtime as a backend: one provider by name, one thread pool that sleeps when idle, no silent fallback."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped,unused-ignore]
from numpy.typing import NDArray

from edge.runtime import Float, RuntimeFault, in_one_line, modelfile

CPU: Final = "onnxruntime-cpu"
PROVIDERS: Final = {
    CPU: "CPUExecutionProvider",
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
}
"""Backend name to provider."""
AUTO: Final = ("onnxruntime-cuda", CPU)
"""What ``auto`` tries, in this order. TensorRT is asked for by name: building an engine takes minutes."""
_SILENT: Final = 4
"""ONNX Runtime's log level ``fatal``: it speaks through exceptions, not on the terminal."""


def available() -> list[str]:
    """Return the names of the backends that this installation of ONNX Runtime offers."""
    offered = set(ort.get_available_providers())
    return [name for name, provider in PROVIDERS.items() if provider in offered]


def options(threads: int) -> Any:
    """Return session options: `threads` for one operator, one operator at a time, no spinning while idle."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = _SILENT
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return settings


class Session:
    """One ONNX graph in ONNX Runtime.

    `backend` is a key of PROVIDERS or ``auto``; `threads` 1 or more. Raises RuntimeFault where the file is refused,
    the provider is not installed, or ONNX Runtime would fall back to another one.
    """

    def __init__(self, path: Path, backend: str = "auto", threads: int = 1) -> None:
        data = modelfile.read(path)
        offered = available()
        if backend == "auto":
            backend = next(name for name in AUTO if name in offered or name == CPU)
            fallback = True
        else:
            fallback = False
        if backend not in PROVIDERS:
            raise RuntimeFault(f"backend {backend!r} is unknown; choose auto, {', '.join(PROVIDERS)} or tensorrt")
        if backend not in offered:
            raise RuntimeFault(
                f"backend {backend}: this ONNX Runtime has only {', '.join(offered)}; install wayside[edge-gpu]"
            )
        self.name = backend
        self._session = self._open(data, path, PROVIDERS[backend], threads)
        active = self._session.get_providers()[0]
        if active != PROVIDERS[backend]:
            if not fallback:
                raise RuntimeFault(
                    f"backend {backend}: it fell back to {active}; check driver, CUDA and cuDNN, or choose auto"
                )
            self.name = CPU
        self.input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]

    @staticmethod
    def _open(data: bytes, path: Path, provider: str, threads: int) -> Any:
        try:
            return ort.InferenceSession(data, options(threads), providers=[provider])
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises a dozen unrelated types for a bad model; this is its boundary
            raise RuntimeFault(f"{path}: ONNX Runtime refuses it ({in_one_line(error)})") from None

    def run(self, inputs: NDArray[np.generic]) -> dict[str, Float]:
        """Run the graph on one batch. Raises RuntimeFault where shape or type do not fit or the device fails."""
        if self._session is None:
            raise RuntimeFault("the model was closed")
        try:
            values = self._session.run(None, {self.input: inputs})
        except Exception as error:  # noqa: BLE001 - as above
            raise RuntimeFault(f"{self.name}: the model failed ({in_one_line(error)})") from None
        return dict(zip(self._outputs, values, strict=True))

    def close(self) -> None:
        """Release the session. Safe to call twice."""
        self._session = None
