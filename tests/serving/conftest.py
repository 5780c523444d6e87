"""Small ONNX models, and the repository entries made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from optkit.core.interface import Dim, Interface, Tensor
from optkit.core.interface import write as write_interface
from optkit.serving.emitter import Deployable
from optkit.serving.golden import write_golden
from optkit.serving.triton import Triton

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

Arrays = dict[str, np.ndarray]
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL

CNN = Interface(
    inputs=(Tensor("image", "float32", ("batch", 1, 8, 8)),),
    outputs=(Tensor("logits", "float32", ("batch", 4)), Tensor("label", "int64", ("batch",))),
    dims={"batch": Dim(1, 3, 16)},
)
TEXT = Interface(
    inputs=(
        Tensor("tokens", "int64", ("batch", "sequence"), range=(1, 29)),
        Tensor("mask", "bool", ("batch", "sequence")),
    ),
    outputs=(Tensor("states/0", "float32", ("batch", "sequence", 6)), Tensor("pooled:0", "float32", ("batch", 6))),
    dims={"batch": Dim(1, 2, 8), "sequence": Dim(1, 5, 12)},
)
SCALED = Interface(  # samples on axis 1, and a scalar: never batched by the server
    inputs=(Tensor("frames", "float32", ("time", "batch", 3)), Tensor("gain", "float32", ())),
    outputs=(Tensor("louder", "float32", ("time", "batch", 3)), Tensor("peak", "float32", ())),
    dims={"batch": Dim(1, 2, 4), "time": Dim(1, 6, 9)},
)
FLAGS = Interface(
    inputs=(Tensor("flag", "bool", ("batch",)),),
    outputs=(Tensor("opposite", "bool", ("batch",)),),
    dims={"batch": Dim(1, 2, 4)},
)

DTYPES = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float16",
    "float32",
    "float64",
)
EVERY_DTYPE = Interface(
    inputs=tuple(Tensor(f"{dtype}_in", dtype, ("batch", 2)) for dtype in DTYPES),
    outputs=tuple(Tensor(f"{dtype}_out", dtype, ("batch", 2)) for dtype in DTYPES),
    dims={"batch": Dim(1, 2, 4)},
)
FOUND = Interface(
    inputs=(Tensor("x", "float32", ("n",)),),
    outputs=(Tensor("places", "int64", (1, "found")),),
    dims={"n": Dim(0, 3, 9), "found": Dim(0, 3, 9)},
)
DYNAMIC = Interface(  # quantizes by the range of the whole batch
    inputs=(Tensor("x", "float32", ("batch", 5)),),
    outputs=(Tensor("y", "uint8", ("batch", 5)),),
    dims={"batch": Dim(1, 2, 32)},
)


def save(folder: Path, graph: onnx.GraphProto, interface: Interface) -> Path:
    """Writes an `onnx` artifact."""
    folder.mkdir(parents=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "model.onnx"
    )
    write_interface(folder, interface)
    return folder


def weights(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def values(**arrays: np.ndarray) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]


def cnn(folder: Path, seed: int = 0) -> Path:
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["features"], strides=[2, 2]),
        helper.make_node("Relu", ["features"], ["active"]),
        helper.make_node("Flatten", ["active"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "cnn",
        [helper.make_tensor_value_info("image", FLOAT, ["batch", 1, 8, 8])],
        [
            helper.make_tensor_value_info("logits", FLOAT, ["batch", 4]),
            helper.make_tensor_value_info("label", INT64, ["batch"]),
        ],
        values(kernel=weights(seed, 2, 1, 2, 2), head=weights(seed + 1, 32, 4)),
    )
    return save(folder, graph, CNN)


def text(folder: Path) -> Path:
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["embedded"]),
        helper.make_node("Cast", ["mask"], ["kept"], to=FLOAT),
        helper.make_node("Unsqueeze", ["kept", "last"], ["column"]),
        helper.make_node("Mul", ["embedded", "column"], ["states/0"]),
        helper.make_node("ReduceSum", ["states/0", "middle"], ["pooled:0"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "text",
        [
            helper.make_tensor_value_info("tokens", INT64, ["batch", "sequence"]),
            helper.make_tensor_value_info("mask", BOOL, ["batch", "sequence"]),
        ],
        [
            helper.make_tensor_value_info("states/0", FLOAT, ["batch", "sequence", 6]),
            helper.make_tensor_value_info("pooled:0", FLOAT, ["batch", 6]),
        ],
        values(table=weights(2, 30, 6), last=np.array([2]), middle=np.array([1])),
    )
    return save(folder, graph, TEXT)


def scaled(folder: Path) -> Path:
    nodes = [
        helper.make_node("Mul", ["frames", "gain"], ["louder"]),
        helper.make_node("ReduceMax", ["louder"], ["peak"], keepdims=0),
    ]
    shape: tuple[str | int, ...] = ("time", "batch", 3)
    graph = helper.make_graph(
        nodes,
        "scaled",
        [helper.make_tensor_value_info("frames", FLOAT, shape), helper.make_tensor_value_info("gain", FLOAT, [])],
        [helper.make_tensor_value_info("louder", FLOAT, shape), helper.make_tensor_value_info("peak", FLOAT, [])],
    )
    return save(folder, graph, SCALED)


def flags(folder: Path) -> Path:
    """Takes and returns one value per sample: [batch], which Triton cannot describe without a reshape."""
    graph = helper.make_graph(
        [helper.make_node("Not", ["flag"], ["opposite"])],
        "flags",
        [helper.make_tensor_value_info("flag", BOOL, ["batch"])],
        [helper.make_tensor_value_info("opposite", BOOL, ["batch"])],
    )
    return save(folder, graph, FLAGS)


def every_dtype(folder: Path) -> Path:
    types = {dtype: helper.np_dtype_to_tensor_dtype(np.dtype(dtype)) for dtype in DTYPES}
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"{dtype}_in"], [f"{dtype}_out"]) for dtype in DTYPES],
        "every_dtype",
        [helper.make_tensor_value_info(f"{dtype}_in", types[dtype], ["batch", 2]) for dtype in DTYPES],
        [helper.make_tensor_value_info(f"{dtype}_out", types[dtype], ["batch", 2]) for dtype in DTYPES],
    )
    return save(folder, graph, EVERY_DTYPE)


def found(folder: Path) -> Path:
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["places"])],
        "found",
        [helper.make_tensor_value_info("x", FLOAT, ["n"])],
        [helper.make_tensor_value_info("places", INT64, [1, "found"])],
    )
    return save(folder, graph, FOUND)


def dynamic(folder: Path) -> Path:
    graph = helper.make_graph(
        [helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])],
        "dynamic",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", 5])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, ["batch", 5])],
    )
    return save(folder, graph, DYNAMIC)


BUILDERS: Mapping[str, Callable[[Path], Path]] = {
    "text": text,
    "scaled": scaled,
    "flags": flags,
    "every_dtype": every_dtype,
    "found": found,
    "dynamic": dynamic,
}
INTERFACES = {
    "cnn": CNN,
    "text": TEXT,
    "scaled": SCALED,
    "flags": FLAGS,
    "every_dtype": EVERY_DTYPE,
    "found": FOUND,
    "dynamic": DYNAMIC,
}


def cnn_request(batch: int, seed: int = 5) -> Arrays:
    return {"image": weights(seed, batch, 1, 8, 8)}


def text_request(batch: int, sequence: int, seed: int = 6) -> Arrays:
    random = np.random.default_rng(seed)
    tokens = random.integers(1, 30, (batch, sequence))
    return {"tokens": tokens, "mask": random.random((batch, sequence)) < 0.7}


def scaled_request(time: int, batch: int) -> Arrays:
    return {"frames": weights(7, time, batch, 3), "gain": np.array(1.5, np.float32)}


REQUESTS: Mapping[str, list[Arrays]] = {
    "cnn": [cnn_request(1), cnn_request(3), cnn_request(7)],
    "text": [text_request(1, 5), text_request(2, 5), text_request(3, 11)],
    "scaled": [scaled_request(6, 2), scaled_request(1, 1)],
    "flags": [{"flag": np.array([True])}, {"flag": np.array([True, False, False])}],
    "every_dtype": [{f"{dtype}_in": np.array([[0, 1], [1, 1], [1, 0]]).astype(dtype) for dtype in DTYPES}],
    "found": [{"x": np.array(x, np.float32)} for x in ([], [0, 0], [0, 3, 0, 1])],
    "dynamic": [{"x": scale * weights(8, batch, 5)} for batch, scale in ((1, 1), (3, 40), (7, 0.2))],
}


class Zoo:
    """The models by name, what they take, and what they answer."""

    def build(self, kind: str, folder: Path, seed: int = 0) -> Path:
        return cnn(folder, seed) if kind == "cnn" else BUILDERS[kind](folder)

    def interface(self, kind: str) -> Interface:
        return INTERFACES[kind]

    def requests(self, kind: str) -> list[Arrays]:
        return REQUESTS[kind]

    def run(self, model: Path, request: Arrays) -> Arrays:
        """Returns what ONNX Runtime answers without a server."""
        session = onnxruntime.InferenceSession(model / "model.onnx", providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return {name: np.asarray(array) for name, array in zip(names, session.run(names, request), strict=True)}

    def deployable(self, kind: str, folder: Path, **fields: Any) -> Deployable:  # noqa: ANN401 - fields of Deployable
        return Deployable(kind, self.build(kind, folder / kind), self.interface(kind), **fields)

    def golden(self, kind: str, model: Path, path: Path) -> Path:
        write_golden(path, self.requests(kind), [self.run(model, request) for request in self.requests(kind)])
        return path


@pytest.fixture(scope="session")
def zoo() -> Zoo:
    return Zoo()


@dataclass(frozen=True)
class Running:
    """A real server with a model of each kind but `dynamic`."""

    client: Any  # a TritonClient; the tests ask it more than a Client
    process: psutil.Process
    artifacts: Path

    @property
    def ports(self) -> dict[str, str]:
        """Protocol → host and port."""
        return {"http": self.client._http_url, "grpc": self.client._grpc_url}  # noqa: SLF001  # tests alone ask


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, zoo: Zoo) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served")
    emitter = Triton(max_queue_delay_microseconds=100_000)  # long enough that concurrent requests do meet
    for kind in ("cnn", "text", "scaled", "flags", "every_dtype", "found"):
        emitter.emit(zoo.deployable(kind, folder / "artifacts"), folder / "repository")
    (folder / "repository" / "MANIFEST.json").write_text("{}")  # a file beside the entries is none of the server's
    with emitter.serve(folder / "repository", folder / "log") as client:
        process, *_ = [child for child in psutil.Process().children() if child.name() == "tritonserver"]
        yield Running(client, process, folder / "artifacts")
