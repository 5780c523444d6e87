"""Stands in for Triton's tensorrt backend: takes the files and the configuration, and computes nothing.

It answers zeros in the configured shapes. That proves that the server takes the entry, never that an engine ran.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {"TYPE_FP32": np.float32, "TYPE_INT64": np.int64}


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        self.config = json.loads(args["model_config"])
        path = Path(args["model_repository"], args["model_version"], self.config["default_model_filename"])
        if path.name != "model.plan" or not path.read_bytes().startswith(b"vtrt"):
            raise ValueError(f"{path.name} is no plan")

    def execute(self, requests: list[Any]) -> list[Any]:
        import triton_python_backend_utils as pb  # type: ignore[import-not-found]  # exists inside the stub only

        return [pb.InferenceResponse(self._answer(pb, request)) for request in requests]

    def _answer(self, pb: Any, request: Any) -> list[Any]:  # noqa: ANN401  # Triton's types exist inside the stub only
        size = request.inputs()[0].shape()[0]
        arrays = {
            each["name"]: np.zeros((size, *each["dims"]), TYPES[each["data_type"]]) for each in self.config["output"]
        }
        return [pb.Tensor.from_dlpack(name, array) for name, array in arrays.items()]
