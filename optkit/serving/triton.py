"""Triton Inference Server: model repository entries with a `config.pbtxt` made through protobuf.

Fields and rules: https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from optkit.core.errors import UsageError
from optkit.core.interface import BATCH, shape_at
from optkit.serving import triton_engine
from optkit.serving.emitter import Client, Deployable, Emitter
from optkit.serving.triton_session import SERVED, set_session_options

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from optkit.core.interface import Interface, Tensor

DATA_TYPES = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "uint16": "TYPE_UINT16",
    "uint32": "TYPE_UINT32",
    "uint64": "TYPE_UINT64",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
    "bfloat16": "TYPE_BF16",
    "string": "TYPE_STRING",
    "object": "TYPE_STRING",
}
MODEL_FILES = ("model.onnx", "model.onnx.data")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Triton(Emitter):
    """Writes entries of a Triton model repository."""

    session_options: ClassVar[frozenset[str]] = SERVED
    runtimes: ClassVar[frozenset[str]] = frozenset({"onnxruntime"}) | triton_engine.ENGINES

    max_queue_delay_microseconds: int = 100
    """How long a request may wait for others to share its batch."""
    preferred_batch_sizes: tuple[int, ...] = ()
    """Batch sizes to send off without waiting; none: as many requests as wait, up to the largest batch."""
    instance_count: int = 1
    """Copies of the model that run at once."""
    cuda_graphs: bool = False
    """Whether an engine's launches at the tuned sizes are captured in a CUDA graph."""
    tensorrt: bool = False
    """Whether ONNX Runtime gives an ONNX graph to TensorRT on the server's GPU."""

    def __post_init__(self) -> None:
        if self.max_queue_delay_microseconds < 0:
            raise ValueError("max_queue_delay_microseconds must not be negative")
        if self.instance_count < 1:
            raise ValueError("instance_count must be at least 1")

    def emit(self, deployable: Deployable, dest: Path) -> Path:
        """Writes `dest/<name>`: config.pbtxt, `1/model.onnx` or `1/model.plan`, labels and warm-up data."""
        config = self._config(deployable)
        entry = dest / deployable.name
        try:
            (entry / "1").mkdir(parents=True)
        except FileExistsError:
            raise UsageError(f"{entry} exists already", hint="Choose another folder or model name.") from None
        if deployable.platform in triton_engine.ENGINES:
            shutil.copyfile(triton_engine.plan_of(deployable.model), entry / "1" / triton_engine.MODEL_FILE)
        else:
            _copy_graph(deployable.model, entry / "1")
        _write_labels(entry, deployable)
        _write_warmup(entry, deployable.interface)
        (entry / "config.pbtxt").write_text(_to_text(config))
        return entry

    def serve(self, folder: Path, log: Path) -> AbstractContextManager[Client]:
        """Starts a real tritonserver with the repository at `folder`."""
        from optkit.serving.triton_server import serve

        return serve(folder, log)

    def _config(self, deployable: Deployable) -> Any:  # noqa: ANN401 - a protobuf message has no static type
        _check_name(deployable.name)
        interface = deployable.interface
        is_engine = deployable.platform in triton_engine.ENGINES
        runs = {"platform": triton_engine.PLATFORM} if is_engine else {"backend": deployable.platform}
        config = _new_config(name=deployable.name, **runs)
        config.max_batch_size = max_batch_size(interface)
        batched = config.max_batch_size > 0
        for tensor in interface.inputs:
            _describe(config.input.add(), tensor, batched=batched)
        for tensor in interface.outputs:
            output = config.output.add()
            _describe(output, tensor, batched=batched)
            if deployable.class_names.get(tensor.name):
                output.label_filename = _labels_file(tensor.name)
        if batched:
            self._batch(config)
        set_session_options(config, deployable.model)
        config.instance_group.add(count=self.instance_count, kind="KIND_AUTO")
        self._use_gpu(config, deployable)
        _warm_up(config, interface)
        return config

    def _use_gpu(self, config: Any, deployable: Deployable) -> None:  # noqa: ANN401 - a protobuf message has no static type
        if deployable.platform in triton_engine.ENGINES:
            triton_engine.select_profiles(config, deployable.model)
            if self.cuda_graphs:
                triton_engine.capture_graphs(config, deployable.interface)
        elif self.tensorrt:
            triton_engine.accelerate(config, deployable.model / MODEL_FILES[0])

    def _batch(self, config: Any) -> None:  # noqa: ANN401 - a protobuf message has no static type
        for size in self.preferred_batch_sizes:
            if not 1 <= size <= config.max_batch_size:
                raise UsageError(
                    f"triton: preferred_batch_sizes holds {size}, the model takes 1 to {config.max_batch_size}",
                    hint="Raise `max` of the dimension `batch`, or choose a smaller size.",
                )
        config.dynamic_batching.preferred_batch_size.extend(self.preferred_batch_sizes)
        config.dynamic_batching.max_queue_delay_microseconds = self.max_queue_delay_microseconds


def _copy_graph(folder: Path, version: Path) -> None:
    for name in MODEL_FILES:
        if (folder / name).exists():
            shutil.copyfile(folder / name, version / name)


def max_batch_size(interface: Interface) -> int:
    """Returns the largest batch that Triton may form; 0 unless every tensor has its samples on axis 0."""
    tensors = interface.inputs + interface.outputs
    return interface.dims[BATCH].max if all(tensor.batch_axis == 0 for tensor in tensors) else 0


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a Triton model",
            hint="Use letters, digits, '_', '-' and '.', not starting with '.' or '-'.",
        )


def _new_config(**fields: str) -> Any:  # noqa: ANN401 - a protobuf message has no static type
    from optkit.serving.triton_client import load

    return load("grpc").model_config_pb2.ModelConfig(**fields)


def _to_text(config: object) -> str:
    from google.protobuf import text_format

    return text_format.MessageToString(config, as_utf8=True)  # type: ignore[no-any-return]  # protobuf is untyped


def _describe(io: Any, tensor: Tensor, *, batched: bool) -> None:  # noqa: ANN401 - a protobuf message
    io.name = tensor.name
    io.data_type = _data_type(io, tensor)
    shape = tensor.shape[1:] if batched else tensor.shape
    if "..." in shape:
        raise UsageError(f"{tensor.name}: Triton must know the number of dimensions", hint="Give its shape in full.")
    io.dims.extend(-1 if isinstance(size, str) else size for size in shape)
    if shape:
        return
    # Triton has no tensors without dimensions: clients send [batch, 1], and the model gets [batch]. A scalar of a
    # model that is not batched stays [1]; the ONNX Runtime backend knows what it stands for.
    io.dims.append(1)
    if batched:
        io.reshape.SetInParent()


def _data_type(message: Any, tensor: Tensor) -> int:  # noqa: ANN401 - a protobuf message
    try:
        name = DATA_TYPES[tensor.dtype]
    except KeyError:
        raise UsageError(f"{tensor.name}: Triton has no data type for {tensor.dtype}") from None
    return message.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_name[name].number  # type: ignore[no-any-return]  # protobuf is untyped


def _labels_file(output: str) -> str:
    return f"labels-{quote(output, safe='')}.txt"


def _write_labels(entry: Path, deployable: Deployable) -> None:
    for output, labels in deployable.class_names.items():
        if any(len(label.splitlines()) > 1 for label in labels):
            raise UsageError(f"output {output!r}: a class name has a line break, and Triton reads one label per line")
        if labels:
            (entry / _labels_file(output)).write_text("\n".join(labels) + "\n")


def _warm_up(config: Any, interface: Interface) -> None:  # noqa: ANN401 - a protobuf message
    """Adds one request at the sizes that the model is tuned for, so that the first client does not wait for it."""
    sample = config.model_warmup.add(name="opt", batch_size=1)
    batched = config.max_batch_size > 0
    if batched:
        sample.batch_size = interface.dims[BATCH].opt
    for tensor, shape in _warm_up_shapes(interface):
        data = sample.inputs[tensor.name]
        data.data_type = _data_type(data, tensor)
        data.dims.extend(shape or [1])
        if _filler(tensor):
            data.input_data_file = quote(tensor.name, safe="")
        else:
            data.zero_data = True


def _write_warmup(entry: Path, interface: Interface) -> None:
    """Writes the warm-up data of inputs for which zero is out of range."""
    import numpy as np

    for tensor, shape in _warm_up_shapes(interface):
        filler = _filler(tensor)
        if filler:
            (entry / "warmup").mkdir(exist_ok=True)
            np.full(shape, filler, tensor.dtype).tofile(entry / "warmup" / quote(tensor.name, safe=""))


def _warm_up_shapes(interface: Interface) -> Iterable[tuple[Tensor, tuple[int, ...]]]:
    """Yields each input with its shape for one request, which leaves out the axis that Triton batches."""
    first = 1 if max_batch_size(interface) else 0
    for tensor in interface.inputs:
        yield tensor, shape_at(tensor, interface.sizes("opt"))[first:]


def _filler(tensor: Tensor) -> float:
    """Returns the value nearest to zero that the input takes."""
    low, high = tensor.range or (0, 0)
    return min(max(low, 0), high)
