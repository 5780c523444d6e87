from __future__ import annotations

import pytest

from optkit.core.messages import short_message

SAID = {
    "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find Foo(1)\nmore": "Could not find Foo(1)",
    "Load model from /home/me/a/model.onnx failed": "Load model from model.onnx failed",
    "": "ValueError",
}


@pytest.mark.parametrize(("text", "expected"), SAID.items())
def test_one_line_without_codes_and_folders(text: str, expected: str) -> None:
    assert short_message(ValueError(text)) == expected
