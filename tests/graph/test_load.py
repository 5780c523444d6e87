from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from optkit.core.errors import UsageError
from optkit.graph.load import external_files, load_model

Proto = Callable[..., onnx.ModelProto]
External = Callable[..., Path]


def written(folder: Path, proto: onnx.ModelProto) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_loads_a_good_file(linear: Proto, tmp_path: Path) -> None:
    model = load_model(written(tmp_path, linear()))
    assert [node.op_type for node in model.graph] == ["MatMul"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a model", b"\x00" * 100, b"hello world"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"model.onnx: not an ONNX file, or truncated"):
        load_model(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent.onnx: no such file"):
        load_model(tmp_path / "absent.onnx")


def test_truncated_files_are_refused_wherever_they_end(linear: Proto, tmp_path: Path) -> None:
    whole = linear().SerializeToString()
    path = tmp_path / "model.onnx"
    for length in [*range(0, len(whole), 97), *range(len(whole) - 120, len(whole))]:
        path.write_bytes(whole[:length])
        with pytest.raises(UsageError, match=r"model\.onnx: "):
            load_model(path)


def test_weights_of_another_size_than_declared_are_named(linear: Proto, tmp_path: Path) -> None:
    proto = linear()
    proto.graph.initializer[0].dims[0] = 65
    with pytest.raises(UsageError, match=r"tensor w declares shape \[65, 32\] but holds other data"):
        load_model(written(tmp_path, proto))


def test_external_weights_are_mapped_and_listed(external: External) -> None:
    path = external()
    tensor = load_model(path).graph.initializers["w"].const_value
    assert isinstance(tensor, ir.ExternalTensor)
    array = tensor.numpy()
    assert array.shape == (64, 32)
    assert not array.flags.owndata
    assert external_files(path) == ("w.bin",)


def test_hard_linked_weights_are_taken(external: External) -> None:
    path = external()
    os.link(path.parent / "w.bin", path.parent / "other")
    tensor = load_model(path).graph.initializers["w"].const_value
    assert tensor is not None
    assert np.isfinite(tensor.numpy()).all()


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret.bin", "a/../../secret.bin", "C:\\secret.bin", "..\\s"])
def test_locations_outside_the_folder_are_refused(location: str, external: External, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"s" * 9000)
    with pytest.raises(UsageError, match=r"external data of tensor w lies at .* outside the model's folder"):
        load_model(external(location))


def test_a_link_that_leaves_the_folder_is_refused(external: External, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"s" * 9000)
    path = external("link.bin")
    (path.parent / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(UsageError, match=r"tensor w at 'link.bin' is a link that leaves the folder"):
        load_model(path)


def test_a_linked_folder_that_leaves_is_refused(external: External, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (tmp_path / "away" / "w.bin").write_bytes(b"s" * 9000)
    path = external("sub/w.bin")
    (path.parent / "sub").symlink_to(tmp_path / "away")
    with pytest.raises(UsageError, match="leaves the folder"):
        load_model(path)


def test_missing_external_data_is_named(external: External) -> None:
    with pytest.raises(UsageError, match=r"external data of tensor w is missing: no file 'gone.bin'"):
        load_model(external("gone.bin"))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": 8}, "too short"),
        ({"offset": 1 << 40}, "too short"),
        ({"length": 16}, "declares 16 bytes"),
    ],
)
def test_external_data_of_the_wrong_extent_is_named(entries: dict[str, int], message: str, external: External) -> None:
    with pytest.raises(UsageError, match=f"tensor w .*{message}"):
        load_model(external(**entries))


def test_negative_offsets_are_refused(external: External) -> None:
    with pytest.raises(UsageError, match="offset must be non-negative, got -8 for tensor 'w'"):
        load_model(external(offset=-8))


def test_external_attributes_are_refused(linear: Proto, tmp_path: Path) -> None:
    proto = linear()
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL, name="t")
    tensor.external_data.add(key="location", value="/etc/passwd")
    proto.graph.node.append(helper.make_node("Constant", [], ["c"], name="const", value=tensor))
    with pytest.raises(UsageError, match="attribute value of node const is stored in another file"):
        load_model(written(tmp_path, proto))


def test_unknown_operator_is_named_with_a_near_miss(linear: Proto, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"node 'product' uses the operator MatMull.*\n?did you mean MatMul\?"):
        load_model(written(tmp_path, linear(op="MatMull")))


def test_operator_newer_than_the_operator_set_is_unknown(linear: Proto, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="uses the operator Gelu, which is not in operator set 13"):
        load_model(written(tmp_path, linear(op="Gelu", opset=13)))


def test_unknown_domain_is_named_and_contrib_is_let_through(linear: Proto, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"acme\.ops::MatMul"):
        load_model(written(tmp_path, linear(domain="acme.ops")))
    load_model(written(tmp_path, linear(op="FusedMatMul", domain="com.microsoft")))


def test_operator_set_from_the_future_is_refused(linear: Proto, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs operator set 999"):
        load_model(written(tmp_path, linear(opset=999)))


def test_unknown_operator_inside_a_subgraph_is_found(linear: Proto, tmp_path: Path) -> None:
    proto = linear()
    out = [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    branch = helper.make_graph([helper.make_node("Nope", ["y"], ["z"], name="inner")], "branch", [], out)
    proto.graph.node.append(helper.make_node("If", ["c"], ["q"], name="if", then_branch=branch, else_branch=branch))
    proto.graph.input.append(helper.make_tensor_value_info("c", TensorProto.BOOL, []))
    with pytest.raises(UsageError, match="node 'inner' uses the operator Nope"):
        load_model(written(tmp_path, proto))
