"""Session options as Triton's ONNX Runtime backend takes them.

Names and values: https://github.com/triton-inference-server/onnxruntime_backend#model-config-options
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optkit.core import session_options
from optkit.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

SERVED = frozenset({"threads", "execution", "graph", "arena"})
"""The backend passes on no other: its threads always spin."""
LEVELS = {"extended": 1, "basic": -1}
"""Everything else than these and 2 (which is off) means all."""


def set_session_options(config: Any, model: Path) -> None:  # noqa: ANN401 - a protobuf message has no static type
    """Writes the session options of the artifact at `model`, if it has any, into a model's configuration.

    Raises:
        UsageError: They hold what the backend cannot do.
    """
    options = session_options.read(model)
    if options is None:
        return
    if not options.spinning:
        raise UsageError("triton: its ONNX Runtime backend cannot turn spinning off", hint="tune without `spinning`")
    parallel = options.execution == "parallel"
    parameters = {
        "intra_op_thread_count": options.threads,
        "inter_op_thread_count": options.threads if parallel else 1,
        "execution_mode": int(parallel),
        "enable_mem_arena": int(options.arena),
    }
    for name, value in parameters.items():
        config.parameters[name].string_value = str(value)
    if options.graph in LEVELS:
        config.optimization.graph.level = LEVELS[options.graph]
