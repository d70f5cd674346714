"""TensorRT engines: built on the device from the pack's graph, kept beside the pack, refitted where weights changed.

    graph of a pack -> kept engine | refit of its parent's engine | build      each for one device, library and version

One adapter serves `tensorrt` (10 and newer) and `tensorrt_rtx`, whose builder also works without a GPU. An engine is
never taken from a pack: it is code, and code comes from nowhere but this device.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from edge.runtime import RuntimeFault, in_one_line, modelfile
from protocols import files
from protocols.pack import Pack, PackError

MODULES: Final = ("tensorrt", "tensorrt_rtx")
FOLDER: Final = "engines"
"""Below the pack's own folder, so that engines go when their pack goes."""
TIMING: Final = "timing.cache"
MAX_ENGINE: Final = 2 * 1024 * 1024 * 1024
"""Bytes of one engine file."""
SUITED: Final = ("fp32", "fp16", "int8-trt")
"""Variants that TensorRT can build; ``int8`` is for CPUs."""


def library() -> ModuleType:
    """Return the installed TensorRT module. Raises RuntimeFault, saying what to install."""
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise RuntimeFault(
        "TensorRT is not installed: pip install tensorrt (10 or newer) or tensorrt-rtx; a Jetson has its own"
    )


@dataclass
class Trt:
    """The adapter: one module, its logger, and what differs between the two."""

    module: Any

    def __post_init__(self) -> None:
        self.logger = _logger(self.module)

    @property
    def version(self) -> str:
        """Name and version, as they are part of an engine's key."""
        return f"{self.module.__name__} {self.module.__version__}"

    def build(self, data: bytes, name: str, refit: bool = False, timing: bytes = b"") -> tuple[bytes, bytes]:
        """Return the engine of the ONNX bytes `data`, and the timing cache. Raises RuntimeFault.

        `refit` lets its weights be exchanged later, at some cost in speed of building; `timing` is an earlier cache.
        """
        self.logger.lines.clear()
        builder = self.module.Builder(self.logger)
        network = builder.create_network(self._flags())
        parser = self.module.OnnxParser(network, self.logger)
        if not parser.parse(data):
            reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
            raise RuntimeFault(f"{name}: {self.version} cannot read it ({in_one_line(reasons)})")
        config = builder.create_builder_config()
        if refit:
            config.set_flag(self.module.BuilderFlag.REFIT)
        cache = config.create_timing_cache(timing) if self._times() else None
        if cache is not None:
            config.set_timing_cache(cache, True)
        made = builder.build_serialized_network(network, config)
        if made is None:
            raise RuntimeFault(f"{name}: {self.version} cannot build it ({in_one_line('; '.join(self.logger.lines))})")
        return bytes(made), bytes(cache.serialize()) if cache is not None else b""

    def _times(self) -> bool:
        """Say whether this library measures kernels while it builds; `tensorrt_rtx` compiles on first use instead."""
        return bool(self.module.__name__ == "tensorrt")

    def _flags(self) -> int:
        """Precision is taken from the graph, where the library still asks."""
        flag = getattr(self.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return 0 if flag is None else 1 << int(flag)

    def open(self, data: bytes) -> Any:
        """Return the engine in `data`. Raises RuntimeFault where this device or version cannot run it."""
        runtime = self.module.Runtime(self.logger)
        engine = runtime.deserialize_cuda_engine(data)
        if engine is None:
            raise RuntimeFault(f"{self.version} cannot open the engine ({in_one_line('; '.join(self.logger.lines))})")
        return engine

    def refit(self, engine: bytes, data: bytes) -> bytes | None:
        """Return `engine` with the weights of the ONNX bytes `data`, or None where it cannot be refitted."""
        if not hasattr(self.module, "OnnxParserRefitter"):
            return None
        opened = self.open(engine)
        refitter = self.module.Refitter(opened, self.logger)
        if not self.module.OnnxParserRefitter(refitter, self.logger).refit_from_bytes(data):
            return None
        return bytes(opened.serialize()) if refitter.refit_cuda_engine() else None


def _logger(module: Any) -> Any:
    """Return a logger that keeps errors for the message instead of printing them."""

    class Quiet(module.ILogger):  # type: ignore[misc]
        """Keeps the last errors."""

        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            """Keep `msg` if it is an error."""
            if int(severity) <= int(module.ILogger.Severity.ERROR):
                self.lines[:] = [*self.lines[-9:], msg]

    return Quiet()


@dataclass(frozen=True)
class Shelf:
    """Where engines of one device and library are kept."""

    device: str
    trt: Trt

    def path(self, folder: Path, address: str, precision: str) -> Path:
        """Return the file of the engine of the pack with `address` in `folder`."""
        key = "\n".join((self.device, self.trt.version, address, precision))
        return folder / FOLDER / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.engine"

    def kept(self, folder: Path, address: str, precision: str) -> bytes | None:
        """Return the kept engine, or None."""
        path = self.path(folder, address, precision)
        try:
            if path.stat().st_size > MAX_ENGINE:
                return None
            return path.read_bytes()
        except OSError:
            return None

    def keep(self, folder: Path, address: str, precision: str, engine: bytes) -> None:
        """Keep `engine` for the next start. A full disk is no reason not to run it."""
        path = self.path(folder, address, precision)
        try:
            path.parent.mkdir(exist_ok=True)
            files.write_atomic(path, engine)
        except OSError:
            return

    def engine(self, pack: Pack, precision: str) -> tuple[bytes, str]:
        """Return the engine of `pack` in `precision` and how it came about: ``kept``, ``refitted`` or ``built``.

        Raises RuntimeFault where it cannot be built.
        """
        kept = self.kept(pack.folder, pack.address, precision)
        if kept is not None:
            return kept, "kept"
        data = model_bytes(pack, precision)
        made, how = self._refitted(pack, precision, data), "refitted"
        if made is None:
            made, how = self._built(pack, precision, data), "built"
        self.keep(pack.folder, pack.address, precision, made)
        return made, how

    def _built(self, pack: Pack, precision: str, data: bytes) -> bytes:
        cache = pack.folder.parent / TIMING
        before = cache.read_bytes() if cache.is_file() else b""
        made, timing = self.trt.build(data, f"{pack.manifest.name} {precision}", refit=True, timing=before)
        if timing and timing != before:
            try:
                files.write_atomic(cache, timing)
            except OSError:
                return made
        return made

    def _refitted(self, pack: Pack, precision: str, data: bytes) -> bytes | None:
        """Return the parent's engine with this pack's weights, where the graphs differ in nothing else."""
        parent = pack.manifest.parent
        if parent is None:
            return None
        folder = pack.folder.parent / parent
        engine = self.kept(folder, parent, precision)
        if engine is None:
            return None
        name = pack.manifest.variants[precision]
        try:
            before = modelfile.read(folder / name)
        except RuntimeFault:
            return None
        if modelfile.structure(before) != modelfile.structure(data):
            return None
        return self.trt.refit(engine, data)


def model_bytes(pack: Pack, precision: str) -> bytes:
    """Return the verified graph of `pack` in `precision`. Raises RuntimeFault where TensorRT has no use for it."""
    if precision not in SUITED:
        raise RuntimeFault(f"variant {precision}: not for TensorRT, which takes {', '.join(SUITED)}")
    try:
        return modelfile.read(pack.variant(precision))
    except PackError as error:
        raise RuntimeFault(str(error)) from None
