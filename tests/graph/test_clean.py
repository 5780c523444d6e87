from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from optkit.graph.clean import SCOPE, SOURCE, clean, source_line

CODE = Path("/home/someone/project")
TRACE = (
    f'File "{CODE}/run.py", line 3, in main\n  File "{CODE}/sub/net.py", line 42, in forward\n'
    '  File "/usr/lib/python3/torch/nn/linear.py", line 134, in forward'
)


def model(**props: str) -> ir.Model:
    x = ir.val("x", ir.DataType.FLOAT, ["N"])
    node = ir.node("Relu", [x], name="relu", metadata_props=props, doc_string=f"at {CODE}")
    node.outputs[0].metadata_props["pkg.secret"] = str(CODE)
    graph = ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 17}, name="g")
    graph.metadata_props["pkg.signature"] = str(CODE)
    graph.doc_string = str(CODE)
    return ir.Model(graph, ir_version=8)


def test_innermost_line_of_the_users_code_is_found() -> None:
    assert source_line(TRACE, CODE) == "sub/net.py:42"
    assert source_line(f"{CODE}/net.py(7): forward\n/usr/lib/torch/module.py(9): call\n", CODE) == "net.py:7"
    assert source_line(TRACE, Path("/elsewhere")) is None


def test_only_source_and_scope_stay() -> None:
    cleaned = model(**{"pkg.torch.onnx.stack_trace": TRACE, "pkg.torch.onnx.name_scopes": "['', 'body.0', 'relu']"})
    clean(cleaned, CODE)
    node = cleaned.graph[0]
    assert node.metadata_props == {SOURCE: "sub/net.py:42", SCOPE: "body.0"}
    assert str(CODE) not in str(ir.serde.serialize_model(cleaned))


def test_cleaning_again_keeps_what_is_known() -> None:
    cleaned = model(**{SOURCE: "net.py:1", SCOPE: "body"})
    clean(cleaned)
    assert cleaned.graph[0].metadata_props == {SOURCE: "net.py:1", SCOPE: "body"}


def test_malformed_metadata_is_dropped() -> None:
    cleaned = model(**{"pkg.torch.onnx.name_scopes": "__import__('os').system('true')"})
    clean(cleaned, CODE)
    assert cleaned.graph[0].metadata_props == {}
