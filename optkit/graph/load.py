"""Loads ONNX files that are not trusted.

A file may come from anywhere: nothing in it runs, nothing in it names a file outside its folder, and every fault is
reported as one sentence. Weights in external data are memory-mapped, never copied.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError
from optkit.graph.bulk import without_collection
from optkit.graph.external import bind_external, check_inline
from optkit.graph.operators import check_operators
from optkit.graph.quiet import quiet
from optkit.graph.structure import check_names, check_structure, open_negative_axes
from optkit.graph.walk import initializers

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir


@without_collection()
def load_model(path: Path) -> ir.Model:
    """Returns the model at `path`, checked.

    Raises:
        UsageError: Not an ONNX file, truncated, external data outside its folder, missing or too short, weights of
            another size than declared, an operator that does not exist, or a graph that does not hold together.
    """
    model = _deserialize(_parse(path), path)
    open_negative_axes(model)
    check_structure(model, path)
    check_inline(model, path)
    bind_external(model, path)
    check_operators(model, path)
    return model


def external_files(path: Path) -> tuple[str, ...]:
    """Returns the files, relative to the folder of `path`, that hold its weights besides itself; sorted.

    Raises:
        UsageError: As for `load_model`.
    """
    import onnx_ir as ir

    root = path.parent.resolve()
    tensors = (tensor for _, tensor in initializers(load_model(path)))
    files = {Path(tensor.path) for tensor in tensors if isinstance(tensor, ir.ExternalTensor)}
    return tuple(sorted(file.relative_to(root).as_posix() for file in files))


def _parse(path: Path) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load(path, load_external_data=False, format="protobuf")
    except FileNotFoundError:
        raise UsageError(f"{path.name}: no such file") from None
    except (DecodeError, OSError) as error:
        raise UsageError(
            f"{path.name}: not an ONNX file, or truncated ({error})", hint="export or download it again"
        ) from None
    if not (proto.ir_version and proto.opset_import and proto.graph.output):
        raise UsageError(
            f"{path.name}: not an ONNX file, or truncated (no {_absent(proto)})", hint="export or download it again"
        )
    return proto


def _absent(proto: onnx.ModelProto) -> str:
    if not proto.ir_version:
        return "IR version"
    return "operator set" if not proto.opset_import else "graph outputs"


def _deserialize(proto: onnx.ModelProto, path: Path) -> ir.Model:
    import onnx_ir as ir

    check_names(proto, path)
    try:
        with quiet():  # it logs what `check_structure` reports
            return ir.serde.deserialize_model(proto)
    except ir.serde.SerdeError as error:
        cause: BaseException = error
        # onnx_ir's own report of an error may fail in turn: the first one in the context says what is wrong.
        while deeper := cause.__cause__ or cause.__context__:
            cause = deeper
        raise UsageError(
            f"{path.name}: the graph is malformed ({_first_line(cause)})", hint="export or download it again"
        ) from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
