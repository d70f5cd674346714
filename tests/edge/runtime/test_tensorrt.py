"""TensorRT on a simulated device and library: engines are ONNX bytes, memory is a dictionary, ONNX Runtime computes."""

from __future__ import annotations

import enum
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from edge.runtime import RuntimeFault, cuda, engines, modelfile
from edge.runtime.engines import Shelf, Trt
from edge.runtime.tensorrt import TensorRt
from protocols import pack as packing
from protocols.pack import Pack

Make = Callable[..., Pack]
FRAME = np.full((1, 3, 64, 96), 8, np.uint8)


class World:
    """A library, its device, and what happened on them."""

    def __init__(self) -> None:
        self.memory: dict[int, np.ndarray] = {}
        self.log: list[str] = []
        self.broken: set[str] = set()

    # The device
    name, stream, closed = "Orin sm87", 7, 0

    def buffers(self, shape: tuple[int, ...], dtype: Any) -> tuple[int, np.ndarray]:
        address = 1000 + len(self.memory)
        self.memory[address] = np.zeros(shape, dtype)
        return address, np.zeros(shape, dtype)

    def upload(self, address: int, source: np.ndarray) -> None:
        self.memory[address][...] = source

    def download(self, target: np.ndarray, address: int) -> None:
        self.log.append("download")
        target[...] = self.memory[address]

    def wait(self) -> None:
        self.log.append("wait")

    def close(self) -> None:
        self.closed += 1


class Mode(enum.IntEnum):
    INPUT = 1
    OUTPUT = 2


def library(world: World, refits: bool = True) -> Any:
    """A module that looks like TensorRT."""

    class ILogger:
        class Severity(enum.IntEnum):
            INTERNAL_ERROR = 0
            ERROR = 1
            INFO = 3

    class Engine:
        def __init__(self, data: bytes) -> None:
            self.data = data.removeprefix(b"ENGINE")
            model = onnx.load_model_from_string(self.data)
            self.tensors = [*model.graph.input, *model.graph.output]
            self.num_io_tensors = len(self.tensors)
            self.inputs = {value.name for value in model.graph.input}

        def _find(self, name: str) -> Any:
            return next(value.type.tensor_type for value in self.tensors if value.name == name)

        def get_tensor_name(self, index: int) -> str:
            return str(self.tensors[index].name)

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            sides = tuple(dim.dim_value for dim in self._find(name).shape.dim)
            return (-1, *sides[1:]) if "dynamic" in world.broken else sides

        def get_tensor_dtype(self, name: str) -> Any:
            return onnx.helper.tensor_dtype_to_np_dtype(self._find(name).elem_type)

        def get_tensor_mode(self, name: str) -> Mode:
            return Mode.INPUT if name in self.inputs else Mode.OUTPUT

        def serialize(self) -> bytes:
            return b"ENGINE" + self.data

        def create_execution_context(self) -> Any:
            return None if "memory" in world.broken else Context(self)

    class Context:
        def __init__(self, engine: Engine) -> None:
            self.engine, self.addresses = engine, dict[str, int]()

        def set_tensor_address(self, name: str, address: int) -> None:
            self.addresses[name] = address

        def execute_async_v3(self, stream: int) -> bool:
            world.log.append(f"run on {stream}")
            session = ort.InferenceSession(self.engine.data, providers=["CPUExecutionProvider"])
            feed = {name: world.memory[self.addresses[name]] for name in self.engine.inputs}
            for output, value in zip(session.get_outputs(), session.run(None, feed), strict=True):
                world.memory[self.addresses[output.name]][...] = value
            return "run" not in world.broken

    class Config:
        def set_flag(self, flag: str) -> None:
            world.log.append(f"flag {flag}")

        def create_timing_cache(self, data: bytes) -> Any:
            world.log.append(f"timing {data!r}")
            return type("Cache", (), {"serialize": lambda self: b"timings"})()

        def set_timing_cache(self, cache: Any, ignore: bool) -> None:
            pass

    class Builder:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def create_network(self, flags: int) -> dict[str, bytes]:
            world.log.append(f"network {flags}")
            return {}

        def create_builder_config(self) -> Config:
            return Config()

        def build_serialized_network(self, network: dict[str, bytes], config: Config) -> bytes | None:
            if "build" in world.broken:
                self.logger.log(ILogger.Severity.INFO, "chatter")
                self.logger.log(ILogger.Severity.ERROR, "no kernel for node 3")
                return None
            world.log.append("built")
            return b"ENGINE" + network["data"]

    class OnnxParser:
        num_errors = 1

        def __init__(self, network: dict[str, bytes], logger: Any) -> None:
            self.network = network

        def parse(self, data: bytes) -> bool:
            self.network["data"] = data
            return "parse" not in world.broken

        def get_error(self, index: int) -> str:
            return "node 3: unknown"

    class Runtime:
        def __init__(self, logger: Any) -> None:
            pass

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            return Engine(data) if data.startswith(b"ENGINE") else None

    class Refitter:
        def __init__(self, engine: Engine, logger: Any) -> None:
            self.engine = engine

        def refit_cuda_engine(self) -> bool:
            world.log.append("refitted")
            return "refit" not in world.broken

    class OnnxParserRefitter:
        def __init__(self, refitter: Refitter, logger: Any) -> None:
            self.engine = refitter.engine

        def refit_from_bytes(self, data: bytes) -> bool:
            self.engine.data = data
            return True

    names = {
        "__name__": "tensorrt", "__version__": "10.9", "ILogger": ILogger, "Builder": Builder, "OnnxParser": OnnxParser,
        "Runtime": Runtime, "Refitter": Refitter, "TensorIOMode": Mode, "nptype": (lambda kind: kind),
        "NetworkDefinitionCreationFlag": type("F", (), {"STRONGLY_TYPED": 1}),
        "BuilderFlag": type("B", (), {"REFIT": "REFIT"}),
    }  # fmt: skip
    if refits:
        names["OnnxParserRefitter"] = OnnxParserRefitter
    return SimpleNamespace(**names)


@pytest.fixture
def world() -> World:
    return World()


def opened(pack: Pack, world: World, **options: Any) -> TensorRt:
    return TensorRt(pack, device=world, trt=Trt(library(world, **options)))


def test_run__what_onnxruntime_gives(make_pack: Make, world: World, outputs: dict[str, np.ndarray]) -> None:
    backend = opened(make_pack(), world)
    found = backend.run(FRAME)
    assert backend.name == "tensorrt"
    np.testing.assert_allclose(found["boxes"], outputs["boxes"])
    assert found["mean"] == 8.0
    assert world.log[-len(found) - 2] == "run on 7"
    assert world.log[-1] == "wait"


def test_run__results_outlive_the_next_run(make_pack: Make, world: World) -> None:
    backend = opened(make_pack(), world)
    first = backend.run(FRAME)
    backend.run(FRAME + 1)
    assert first["mean"] == 8.0


@pytest.mark.parametrize("bad", [FRAME[:, :, :8], FRAME.astype(np.float32)])
def test_run__wrong_input(bad: np.ndarray, make_pack: Make, world: World) -> None:
    with pytest.raises(RuntimeFault, match=r"image is uint8 \[1, 3, 64, 96\]"):
        opened(make_pack(), world).run(bad)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("parse", "cannot read it .*node 3: unknown"),
        ("build", "cannot build it .no kernel for node 3"),
        ("memory", "not enough device memory"),
        ("dynamic", "has no fixed shape"),
    ],
)
def test_open__says_what_failed_and_lets_go(broken: str, message: str, make_pack: Make, world: World) -> None:
    world.broken.add(broken)
    with pytest.raises(RuntimeFault, match=message):
        opened(make_pack(), world)
    assert world.closed == 1


def test_run__engine_failure(make_pack: Make, world: World) -> None:
    backend = opened(make_pack(), world)
    world.broken.add("run")
    with pytest.raises(RuntimeFault, match="the engine failed"):
        backend.run(FRAME)


def test_close__twice_and_then_no_more_runs(make_pack: Make, world: World) -> None:
    backend = opened(make_pack(), world)
    backend.close()
    backend.close()
    with pytest.raises(RuntimeFault, match="closed"):
        backend.run(FRAME)


def test_engine__kept_for_the_next_start(make_pack: Make, world: World) -> None:
    pack = make_pack()
    assert opened(pack, world).origin == "built"
    assert opened(pack, world).origin == "kept"
    assert world.log.count("built") == 1


def test_engine__another_device_builds_its_own(make_pack: Make, world: World) -> None:
    pack = make_pack()
    opened(pack, world)
    other = World()
    other.name = "Nano sm53"
    assert opened(pack, other).origin == "built"


def test_engine__pack_stays_whole_beside_it(make_pack: Make, world: World) -> None:
    pack = make_pack()
    opened(pack, world)
    assert packing.open_folder(pack.folder).address == pack.address


def test_engine__timings_are_kept_across_packs(make_pack: Make, world: World, tmp_path: Path) -> None:
    opened(make_pack(), world)
    opened(child(make_pack(), tmp_path, wider), world)
    assert [line for line in world.log if line.startswith("timing")] == ["timing b''", "timing b'timings'"]


def child(parent: Pack, folder: Path, change: Callable[[onnx.ModelProto], None]) -> Pack:
    """A pack whose parent is `parent`, both under their addresses, its graph changed."""
    home = folder / parent.address
    if not home.exists():
        parent.folder.rename(home)
    model = onnx.load_model_from_string((home / packing.MODEL).read_bytes())
    change(model)
    manifest = packing.decode_manifest((home / packing.MANIFEST).read_bytes())
    about = {field: getattr(manifest, field) for field in manifest.__struct_fields__}
    about |= {"parent": parent.address, "name": "child", "files": {}}
    return packing.create(folder / "child", packing.Manifest(**about), {packing.MODEL: model.SerializeToString()})


def more(model: onnx.ModelProto) -> None:
    tensor = next(t for t in model.graph.initializer if t.name == "tags_value")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(0.5), tensor.name))


def wider(model: onnx.ModelProto) -> None:
    node = next(n for n in model.graph.node if n.op_type == "ReduceMean")
    node.op_type = "ReduceMax"


def test_engine__child_is_refitted_where_only_weights_changed(make_pack: Make, world: World, tmp_path: Path) -> None:
    parent = make_pack()
    opened(parent, world)
    backend = opened(child(parent, tmp_path, more), world)
    assert backend.origin == "refitted"
    assert world.log.count("built") == 1
    np.testing.assert_allclose(backend.run(FRAME)["tags"], [[0.75]])


@pytest.mark.parametrize(
    ("change", "broken", "refits"), [(wider, set(), True), (more, {"refit"}, True), (more, set(), False)]
)
def test_engine__child_is_built_where_refit_cannot_serve(
    change: Callable[[onnx.ModelProto], None],
    broken: set[str],
    refits: bool,
    make_pack: Make,
    world: World,
    tmp_path: Path,
) -> None:
    parent = make_pack()
    opened(parent, world, refits=refits)
    world.broken |= broken
    assert opened(child(parent, tmp_path, change), world, refits=refits).origin == "built"


@pytest.mark.parametrize(("change", "same"), [(lambda model: None, True), (more, True), (wider, False)])
def test_structure__sees_everything_but_weights(
    change: Callable[[onnx.ModelProto], None], same: bool, tiny_model: onnx.ModelProto
) -> None:
    before = modelfile.structure(tiny_model.SerializeToString())
    change(tiny_model)
    assert (modelfile.structure(tiny_model.SerializeToString()) == before) == same


def test_variant__for_cpus_is_refused(make_pack: Make, world: World) -> None:
    pack = make_pack(variants={"fp32": "model.onnx", "int8": "model.onnx"})
    with pytest.raises(RuntimeFault, match="int8: not for TensorRT, which takes fp32, fp16, int8-trt"):
        Shelf("x", Trt(library(world))).engine(pack, "int8")


def test_library__says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "MODULES", ("tensorrt_that_nobody_has",))
    with pytest.raises(RuntimeFault, match="pip install tensorrt"):
        engines.library()


def test_gpu__says_that_there_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "LIBRARY", "libcuda-that-nobody-has.so")
    with pytest.raises(RuntimeFault, match="no NVIDIA driver here"):
        cuda.Gpu()
