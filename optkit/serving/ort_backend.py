"""Triton's `onnxruntime` backend written on its `python` backend. Runs inside Triton's stub process, not in optkit.

It stands in where the server comes without the real backend, so that a repository is served as it is: same
configuration, same protocol, same batching, and the same ONNX Runtime that the model was checked with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DATA_TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
}


class TritonPythonModel:
    """One instance of a model. Triton looks for this name and these methods."""

    def initialize(self, args: dict[str, str]) -> None:
        """Opens the model and checks it against the configuration, as the real backend does."""
        import onnxruntime

        config = json.loads(args["model_config"])
        file = config["default_model_filename"] or "model.onnx"
        path = Path(args["model_repository"], args["model_version"], file)
        self.session = onnxruntime.InferenceSession(path, session_options(config), providers=["CPUExecutionProvider"])
        self.batched = config["max_batch_size"] > 0
        self.scalars = {node.name for node in self.session.get_inputs() if not node.shape}
        _check(config["input"], self.session.get_inputs(), batched=self.batched)
        _check(config["output"], self.session.get_outputs(), batched=self.batched)
        self.outputs = [output["name"] for output in config["output"]]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers `requests`: in one run where the scheduler formed a batch, one by one where it cannot."""
        groups = [requests] if self.batched else [[request] for request in requests]
        return [response for group in groups for response in self._respond(group)]

    def _respond(self, requests: list[Any]) -> list[Any]:
        import triton_python_backend_utils as pb  # type: ignore[import-not-found]  # exists inside the stub only

        try:
            return [
                pb.InferenceResponse([_to_triton(name, array) for name, array in outputs.items()])
                for outputs in self._run([self._feed(request) for request in requests])
            ]
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer to these requests
            return [pb.InferenceResponse(error=pb.TritonError(str(error))) for _ in requests]

    def _feed(self, request: Any) -> dict[str, Any]:  # noqa: ANN401 - Triton's types exist inside the stub only
        feed = {tensor.name(): _to_numpy(tensor) for tensor in request.inputs()}
        return {name: array.reshape(()) if name in self.scalars else array for name, array in feed.items()}

    def _run(self, feeds: list[dict[str, Any]]) -> list[dict[str, Any]]:
        import numpy as np

        if len(feeds) == 1:
            return [dict(zip(self.outputs, self.session.run(self.outputs, feeds[0]), strict=True))]
        # The scheduler batches requests of equal shapes only; sizes along the batch may differ.
        sizes = [len(next(iter(feed.values()))) for feed in feeds]
        merged = {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}
        arrays = self.session.run(self.outputs, merged)
        for name, array in zip(self.outputs, arrays, strict=True):
            if len(array) != sum(sizes):
                raise ValueError(f"output {name!r} has {len(array)} rows for a batch of {sum(sizes)}")
        parts = [np.split(array, np.cumsum(sizes)[:-1]) for array in arrays]
        return [dict(zip(self.outputs, rows, strict=True)) for rows in zip(*parts, strict=True)]


def session_options(config: dict[str, Any]) -> Any:  # noqa: ANN401 - onnxruntime ships no types
    """Returns the options that the real backend would take from a model's configuration."""
    import onnxruntime

    given = {name: value["string_value"] for name, value in config.get("parameters", {}).items()}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(given.get("intra_op_thread_count", "0"))
    options.inter_op_num_threads = int(given.get("inter_op_thread_count", "0"))
    if given.get("execution_mode") == "1":
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    options.enable_cpu_mem_arena = given.get("enable_mem_arena", "1") == "1"
    levels = onnxruntime.GraphOptimizationLevel
    level = config.get("optimization", {}).get("graph", {}).get("level", 0)
    known = {-1: levels.ORT_ENABLE_BASIC, 1: levels.ORT_ENABLE_EXTENDED, 2: levels.ORT_DISABLE_ALL}
    options.graph_optimization_level = known.get(level, levels.ORT_ENABLE_ALL)
    return options


def _check(configured: list[dict[str, Any]], nodes: list[Any], *, batched: bool) -> None:
    known = {node.name: node for node in nodes}
    if {io["name"] for io in configured} != set(known):
        raise ValueError(f"configuration names {[io['name'] for io in configured]}, the model has {list(known)}")
    for io in configured:
        node = known[io["name"]]
        if io["data_type"] != DATA_TYPES.get(node.type):
            hint = ": strings need a tritonserver with its own onnxruntime backend" if "string" in node.type else ""
            raise ValueError(f"{io['name']!r}: configuration says {io['data_type']}, the model {node.type}{hint}")
        _check_shape(io, node.shape, batched=batched)


def _check_shape(io: dict[str, Any], shape: list[int | str | None], *, batched: bool) -> None:
    dims = io["reshape"].get("shape", []) if "reshape" in io else io["dims"]
    expected = [-1, *dims] if batched else dims
    # An ONNX output may leave its shape open, and a scalar is [1] in Triton.
    if len(expected) != (len(shape) or len(dims)):
        raise ValueError(f"{io['name']!r}: configuration gives {len(expected)} dimensions, the model {shape}")
    for size, actual in zip(expected, shape, strict=False):
        if -1 != size != actual and isinstance(actual, int):
            raise ValueError(f"{io['name']!r}: configuration says {dims}, the model {shape}")


def _to_numpy(tensor: Any) -> Any:  # noqa: ANN401 - Triton's types exist inside the stub only
    import numpy as np

    # The stub was built for numpy 1: with numpy 2 its as_numpy gives wrong values, with numpy 1 its DLPack crashes.
    return np.from_dlpack(tensor) if _numpy_2() else tensor.as_numpy()


def _to_triton(name: str, array: Any) -> Any:  # noqa: ANN401 - Triton's types exist inside the stub only
    import triton_python_backend_utils as pb

    array = array.reshape(array.shape or (1,))
    if _numpy_2() and array.size:  # an empty DLPack tensor crashes the server
        return pb.Tensor.from_dlpack(name, array)
    return pb.Tensor(name, array)


def _numpy_2() -> bool:
    import numpy as np

    return int(np.__version__.split(".", maxsplit=1)[0]) > 1
