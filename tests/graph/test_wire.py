"""Messages read field by field, against protobuf's own reader."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as some

from optkit.graph.wire import fields, number_of


@given(
    name=some.text(),
    integer=some.integers(0, 2**63 - 1),
    number=some.floats(width=32, allow_nan=False),
    texts=some.lists(some.binary(max_size=300)),
)
def test_fields_are_those_that_were_written(name: str, integer: int, number: float, texts: list[bytes]) -> None:
    written = onnx.AttributeProto(name=name, i=integer, f=number, strings=texts)
    message = memoryview(written.SerializeToString())
    read = [(number, bytes(value)) for number, value in fields(message)]
    assert sorted(read) == sorted([*([(1, name.encode())] * written.HasField("name")), *((9, each) for each in texts)])
    assert number_of(message, 3) == integer
    assert number_of(message, 2) == 0  # a float is no integer


@pytest.mark.parametrize("size", [1, 3, 9, -1])
def test_a_truncated_message_is_noticed(size: int) -> None:
    message = memoryview(onnx.AttributeProto(s=b"some text that is cut off").SerializeToString())
    assert list(fields(message))
    with pytest.raises(IndexError):
        list(fields(message[:size]))


def test_a_number_without_end_is_noticed_at_once() -> None:
    with pytest.raises(IndexError):
        list(fields(memoryview(b"\xff" * (1 << 24))))
