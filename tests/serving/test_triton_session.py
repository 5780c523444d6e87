"""Session options in a Triton entry, and the stand-in backend that reads them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import onnxruntime
import pytest
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2

from optkit.core import session_options
from optkit.core.errors import UsageError
from optkit.core.session_options import SessionOptions
from optkit.serving.ort_backend import session_options as options_of_backend
from optkit.serving.triton_session import set_session_options

if TYPE_CHECKING:
    from pathlib import Path

LEVELS = onnxruntime.GraphOptimizationLevel
TUNED = SessionOptions(3, "parallel", "basic", arena=False)


def config_of(folder: Path, options: SessionOptions | None) -> Any:  # noqa: ANN401  # a protobuf message
    if options:
        session_options.write(options, folder)
    config = model_config_pb2.ModelConfig()
    set_session_options(config, folder)
    return config


def backend(config: Any) -> Any:  # noqa: ANN401  # likewise; onnxruntime ships no types
    """Returns what the backend makes of a configuration, which Triton gives to it as JSON."""
    return options_of_backend(json.loads(json_format.MessageToJson(config, preserving_proto_field_name=True)))


def test_the_backends_own_names_and_values_are_written(tmp_path: Path) -> None:
    config = config_of(tmp_path, TUNED)
    assert {name: value.string_value for name, value in config.parameters.items()} == {
        "intra_op_thread_count": "3", "inter_op_thread_count": "3", "execution_mode": "1", "enable_mem_arena": "0",
    }  # fmt: skip
    assert config.optimization.graph.level == -1
    assert config_of(tmp_path, SessionOptions(2, graph="extended")).optimization.graph.level == 1


def test_what_is_not_tuned_stays_out(tmp_path: Path) -> None:
    assert config_of(tmp_path, None) == model_config_pb2.ModelConfig()
    assert not config_of(tmp_path, SessionOptions(2)).HasField("optimization")


def test_the_stand_in_runs_it_as_it_was_measured(tmp_path: Path) -> None:
    options = backend(config_of(tmp_path, TUNED))
    assert (options.intra_op_num_threads, options.inter_op_num_threads, options.enable_cpu_mem_arena) == (3, 3, False)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert options.graph_optimization_level == LEVELS.ORT_ENABLE_BASIC


@pytest.mark.parametrize(("graph", "level"), [("all", LEVELS.ORT_ENABLE_ALL), ("extended", LEVELS.ORT_ENABLE_EXTENDED)])
def test_the_graph_level_of_the_stand_in(graph: Any, level: Any, tmp_path: Path) -> None:  # noqa: ANN401  # literals
    options = backend(config_of(tmp_path, SessionOptions(1, graph=graph)))
    assert options.graph_optimization_level == level
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL


def test_the_stand_in_has_the_defaults_of_the_real_backend(tmp_path: Path) -> None:
    options = backend(config_of(tmp_path, None))
    assert (options.intra_op_num_threads, options.enable_cpu_mem_arena) == (0, True)
    assert options.graph_optimization_level == LEVELS.ORT_ENABLE_ALL


def test_what_the_backend_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot turn spinning off"):
        config_of(tmp_path, SessionOptions(2, spinning=False))
