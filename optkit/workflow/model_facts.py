"""What a step made, in two numbers that a reader can follow from step to step: bytes and operators."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.workflow.packaging import model_bytes

if TYPE_CHECKING:
    from pathlib import Path


def model_facts(kind: str, folder: Path) -> tuple[int | None, dict[str, int]]:
    """Returns the size of a step's model in bytes, and operator → nodes, the most frequent first.

    What is no ONNX model has neither; nor has one whose file was damaged since, for it is only talked about here.

    Args:
        kind: Of the step's artifact.
        folder: Where that is.
    """
    from optkit.graph.load import load_model
    from optkit.graph.save import MODEL_FILE
    from optkit.graph.walk import nodes

    if kind != "onnx":
        return None, {}
    try:
        model = load_model(folder / MODEL_FILE)
        counts = Counter(node.op_type for node in nodes(model) if node.op_type != "Constant")
        return model_bytes(folder), dict(counts.most_common())
    except (OSError, UsageError):
        return None, {}
