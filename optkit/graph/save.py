"""Saves ONNX models: one spelling per model, one name for external data."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from optkit.core.errors import StepFailed
from optkit.graph.bulk import without_collection
from optkit.graph.walk import initializers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import onnx
    import onnx_ir as ir

MODEL_FILE = "model.onnx"
DATA_FILE = "model.onnx.data"
INLINE_LIMIT = 512 << 20
"""Total bytes of weights kept inside `model.onnx`. Protobuf refuses 2 GiB and copies while it serialises."""
EXTERNAL_MIN = 1024
"""Bytes from which a tensor moves to the data file: small constants must stay visible to shape inference."""


@without_collection()
def save_model(model: ir.Model, folder: Path, *, inline_limit: int = INLINE_LIMIT) -> Path:
    """Writes `model.onnx` (and `model.onnx.data` when the weights exceed `inline_limit` bytes) and returns its path.

    The bytes depend on the model only: no time, path or hash order enters them. The folder must not hold the file that
    the model's weights are mapped from. Mapped weights leave memory.

    Raises:
        StepFailed: The graph itself, without weights, is larger than protobuf allows (2 GiB).
    """
    import onnx_ir as ir
    from google.protobuf.message import EncodeError

    path = folder / MODEL_FILE
    try:
        if weight_bytes(model) > inline_limit:
            ir.save(model, path, external_data=DATA_FILE, size_threshold_bytes=EXTERNAL_MIN)
        else:
            path.write_bytes(to_proto(model).SerializeToString(deterministic=True))
    except (EncodeError, ValueError) as error:
        raise StepFailed(f"the graph cannot be written as ONNX: {error}") from None
    release(tensor for _, tensor in initializers(model))
    return path


def has_data_file(folder: Path) -> bool:
    """Returns whether the weights of the model in `folder` lie beside it, for they are many."""
    return (folder / DATA_FILE).exists()


def release(tensors: Iterable[ir.TensorProtocol | None]) -> None:
    """Lets mapped weights leave memory; they are mapped again when they are read."""
    import onnx_ir as ir

    for tensor in tensors:
        if isinstance(tensor, ir.ExternalTensor):
            with suppress(BufferError):  # somebody holds a view of it
                tensor.release()


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """Returns the model as protobuf with every weight inside; only for models below `INLINE_LIMIT`."""
    import onnx_ir as ir

    return ir.serde.serialize_model(ir.external_data.load_to_model(model))


def weight_bytes(model: ir.Model) -> int:
    """Returns the total size of the weights of all graphs in bytes."""
    return sum(tensor.nbytes for _, tensor in initializers(model))
