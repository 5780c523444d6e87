"""Weights of an ONNX file: where they lie and whether they are whole."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.graph.walk import attribute_tensors, initializers

if TYPE_CHECKING:
    import onnx_ir as ir


def bind_external(model: ir.Model, path: Path) -> None:
    """Points every external initializer at its checked, absolute file.

    Raises:
        UsageError: The location is absolute, leaves the folder, is missing or too short; or a node's attribute (not an
            initializer) lies outside the file.
    """
    import onnx_ir as ir

    for name, tensor in attribute_tensors(model):
        if isinstance(tensor, ir.ExternalTensor):
            raise UsageError(f"{path.name}: attribute {name} is stored in another file; only weights may be")
    for value, tensor in list(initializers(model)):
        if not isinstance(tensor, ir.ExternalTensor):
            continue
        file = _checked_file(tensor, path)
        # Bound absolutely: we have just checked it, and onnx_ir's own check refuses a hard-linked file.
        value.const_value = ir.ExternalTensor(
            file, tensor.offset, tensor.length, tensor.dtype, shape=tensor.shape, name=tensor.name
        )


def check_inline(model: ir.Model, path: Path) -> None:
    """Checks that each tensor in the file holds as many bytes as its shape needs.

    Raises:
        UsageError: Names the tensor.
    """
    import onnx_ir as ir

    tensors = [(value.name or "", tensor) for value, tensor in initializers(model)]
    for name, tensor in [*tensors, *attribute_tensors(model)]:
        if isinstance(tensor, ir.serde.TensorProtoTensor) and not _is_whole(tensor):
            raise UsageError(
                f"{path.name}: tensor {name} declares shape {list(tensor.shape.numpy())} but holds other data",
                hint="the file is damaged; export or download it again",
            )


def _is_whole(tensor: ir.serde.TensorProtoTensor) -> bool:
    proto = tensor.raw
    if proto.HasField("raw_data"):
        return len(proto.raw_data) == tensor.nbytes
    try:
        # Typed fields are small in practice, and packed in several ways: decoding is the check.
        return bool(tensor.numpy().size == tensor.size) if tensor.dtype.name != "STRING" else True
    except (ValueError, TypeError):
        return False


def _checked_file(tensor: ir.ExternalTensor, path: Path) -> Path:
    location = str(tensor.location)
    where = f"{path.name}: external data of tensor {tensor.name}"
    if _leaves(location):
        raise UsageError(f"{where} lies at {location!r}, outside the model's folder", hint="this may be an attack")
    root = path.parent.resolve()
    file = (root / location).resolve()
    if not file.is_relative_to(root):
        raise UsageError(f"{where} at {location!r} is a link that leaves the folder", hint="this may be an attack")
    if not file.is_file():
        raise UsageError(f"{where} is missing: no file {location!r}", hint="keep it beside the ONNX file")
    _check_extent(tensor, file, f"{where} in {location!r}")
    return file


def _check_extent(tensor: ir.ExternalTensor, file: Path, where: str) -> None:
    offset, size = tensor.offset or 0, file.stat().st_size
    length = tensor.nbytes if tensor.length is None else tensor.length
    if offset < 0 or length != tensor.nbytes:
        raise UsageError(f"{where} declares {length} bytes at {offset}, but its shape needs {tensor.nbytes}")
    if offset + length > size:
        raise UsageError(f"{where} is too short: {size} bytes, {offset + length} needed", hint="download it again")


def _leaves(location: str) -> bool:
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    return not location or posix.is_absolute() or bool(windows.drive or windows.root) or ".." in windows.parts
