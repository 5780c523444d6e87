from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from optkit.graph.expose import expose
from optkit.graph.shapes import refresh_shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

BRANCHES = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N,3] x, bool p, bool q) => (float[N,3] y)
{
  h = Tanh(x)
  y = If(p) <
    then_branch = t () => (float[N,3] a) {
      b = Neg(h)
      a = If(q) <
        then_branch = u () => (float[N,3] c) { c = Exp(b) },
        else_branch = v () => (float[N,3] d) { d = Abs(b) }
      >
    },
    else_branch = e () => (float[N,3] f) { f = Relu(h) }
  >
}"""
LOOP = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N,3] x, int64 trips) => (float[N,3] y)
{{
  go = Constant<value_int=1>()
  more = Cast<to=9>(go)
  y = Loop(trips, more, x) <body = b (int64 i, bool keep, float[{shape}] old) => (bool again, float[{shape}] new) {{
    again = Identity(keep)
    half = Sigmoid(old)
    new = {step}
  }}>
}}"""


def run(model: ir.Model, **feeds: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401  # arrays and numbers
    proto = ir.serde.serialize_model(model).SerializeToString()
    session = onnxruntime.InferenceSession(proto, providers=["CPUExecutionProvider"])
    names = [info.name for info in session.get_outputs()]
    return dict(zip(names, session.run(None, {key: np.asarray(value) for key, value in feeds.items()}), strict=True))


def exposed(model: ir.Model, *names: str) -> ir.Model:
    refresh_shapes(model)
    model.graph.outputs.extend(expose(model, names).values())
    return model


@pytest.mark.parametrize("p", [True, False])
@pytest.mark.parametrize("q", [True, False])
def test_branches_show_what_they_computed(*, p: bool, q: bool) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    before = run(ir.from_onnx_text(BRANCHES), x=x, p=p, q=q)
    after = run(exposed(ir.from_onnx_text(BRANCHES), "h", "b", "c", "f"), x=x, p=p, q=q)
    np.testing.assert_array_equal(after["y"], before["y"])
    h = np.tanh(x)
    np.testing.assert_allclose(after["h"], h, atol=1e-6)
    np.testing.assert_allclose(after["b"], -h if p else [], atol=1e-6)
    np.testing.assert_allclose(after["c"], np.exp(-h) if p and q else [], atol=1e-5)
    np.testing.assert_allclose(after["f"], [] if p else np.maximum(h, 0), atol=1e-6)


def test_iterations_come_out_stacked() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    model = exposed(ir.from_onnx_text(LOOP.format(shape="N,3", step="Add(half, old)")), "half", "old")
    after = run(model, x=x, trips=3)
    assert after["half"].shape == after["old"].shape == (3, 2, 3)
    np.testing.assert_array_equal(after["old"][0], x)
    np.testing.assert_allclose(after["old"][2] + after["half"][2], after["y"], atol=1e-6)


def test_tensors_that_change_shape_between_iterations_stay_inside() -> None:
    model = ir.from_onnx_text(LOOP.format(shape="M,3", step="Concat<axis=0>(half, old)"))
    assert expose(model, ["half", "old", "no such tensor"]) == {}
