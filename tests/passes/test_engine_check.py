"""Our rules against the real parser of TensorRT-RTX, on the same graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest

from optkit.graph.clean import SOURCE
from optkit.graph.tensorrt_rules import CONTRIB, UNSUPPORTED
from optkit.passes.engine_check import check_graph, rule_refusals
from optkit.runtimes.tensorrt.library import LIBRARIES
from tests.passes.engines import FLOAT, HALF, INT8, proto

if TYPE_CHECKING:
    from pathlib import Path

RTX = LIBRARIES["tensorrt-rtx"]
CLASSIC = LIBRARIES["tensorrt"]
HEAD = "g (float[batch,16] x) => (float[batch,16] y)"
REFUSED = {
    "zero point": f"{HEAD} <float s={{0.1}}, int8 z={{3}}> {{ q = QuantizeLinear(x,s,z) y = DequantizeLinear(q,s,z) }}",
    "int32 bias": f"{HEAD} <float s={{0.1}}, int32[16] b> {{ d = DequantizeLinear(b,s) y = Add(x,d) }}",
    "dynamic": f"{HEAD} {{ q,s,z = DynamicQuantizeLinear(x) y = DequantizeLinear(q,s,z) }}",
    "qlinear": (
        f"{HEAD} <float s={{0.1}}, int8 z={{0}}, int8[16,16] w> "
        "{ q = QuantizeLinear(x,s,z) p = QLinearMatMul(q,s,z,w,s,z,s,z) y = DequantizeLinear(p,s,z) }"
    ),
    "contrib": f"{HEAD} {{ y = com.microsoft.FastGelu(x) }}",
    "operator": f"{HEAD} {{ u = Unique<sorted=1>(x) s = Shape(x) y = Expand(x,s) }}",
    "sequence": f"{HEAD} {{ s = SequenceConstruct(x,x) i = Constant<value_int=0>() y = SequenceAt(s,i) }}",
    "int16": f"{HEAD} {{ i = Cast<to=5>(x) y = Cast<to=1>(i) }}",
    "uint32": f"{HEAD} {{ i = Cast<to=12>(x) y = Cast<to=1>(i) }}",
    "uint16 weight": f"{HEAD} <uint16[16] w> {{ c = Cast<to=1>(w) y = Add(x,c) }}",
    "uint8 sum": "g (uint8[batch,16] x) => (float[batch,16] y) { s = Add(x,x) y = Cast<to=1>(s) }",
    "in a branch": (
        "g (float[batch,16] x, bool c) => (float[batch,16] y) "
        "{ y = If(c)<then_branch = a () => (float[batch,16] p) { p = Relu(x) }, "
        "else_branch = b () => (float[batch,16] q) { d = Det(x) q = Add(x,d) }> }"
    ),
}
TAKEN = {
    "float": FLOAT,
    "half": HALF,
    "int8": INT8,
    "uint8 cast": "g (uint8[batch,16] x) => (float[batch,16] y) { y = Cast<to=1>(x) }",
    "contrib": f"{HEAD} {{ y = com.microsoft.Gelu(x) }}",
    "int64": f"{HEAD} {{ i = Cast<to=7>(x) y = Cast<to=1>(i) }}",
}
MISREAD = {
    "uint8": f"{HEAD} <float s={{0.1}}, uint8 z={{0}}> {{ q = QuantizeLinear(x,s,z) y = DequantizeLinear(q,s,z) }}",
    "no zero point": f"{HEAD} <float s={{0.1}}> {{ q = QuantizeLinear(x,s) y = DequantizeLinear(q,s) }}",
    "double": "g (double[batch,16] x) => (double[batch,16] y) { y = Relu(x) }",
}


def written(folder: Path, text: str) -> Path:
    model = proto(text)
    model.graph.node[0].metadata_props.add(key=SOURCE, value="model.py:7")
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def needs_library() -> None:
    pytest.importorskip("tensorrt_rtx", reason="optkit[rtx] is not installed", exc_type=ImportError)


@pytest.mark.parametrize("name", REFUSED)
def test_rules_refuse_what_the_parser_refuses(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, REFUSED[name])
    expected = [each for each in rule_refusals(path) if not each.silent]
    assert expected
    assert all(each.reason and each.advice and each.operator for each in expected)
    needs_library()
    found, judge = check_graph(path, RTX)
    assert judge.startswith("the parser of tensorrt-rtx")
    assert [each for each in found if not each.silent] == expected


@pytest.mark.parametrize("name", TAKEN)
def test_rules_take_what_the_parser_takes(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, TAKEN[name])
    assert rule_refusals(path) == []
    needs_library()
    assert check_graph(path, RTX)[0] == []


@pytest.mark.parametrize("name", MISREAD)
def test_what_the_parser_misreads_is_refused_by_rule(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, MISREAD[name])
    needs_library()
    from optkit.runtimes.tensorrt.parsing import parse

    assert parse(RTX.load(), path).errors == ()
    found = check_graph(path, RTX)[0]
    assert found
    assert all(each.silent for each in found)


def test_the_line_of_the_model_is_named(tmp_path: Path) -> None:
    found = rule_refusals(written(tmp_path, REFUSED["zero point"]))
    assert [(each.node, each.source) for each in found] == [("n0", "model.py:7"), ("n1", "model.py:7")]


def test_rules_alone_where_the_library_is_absent(tmp_path: Path) -> None:
    found, judge = check_graph(written(tmp_path, REFUSED["contrib"]), CLASSIC)
    assert judge == "optkit's rules (tensorrt is not installed)"
    assert [each.operator for each in found] == ["com.microsoft::FastGelu"]


def test_the_lists_of_operators_are_the_parsers() -> None:
    needs_library()
    import tensorrt_rtx as trt

    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    names = {schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain}
    assert {name for name in names if not parser.supports_operator(name)} == UNSUPPORTED & names
    assert all(parser.supports_operator(name) for name in CONTRIB)
