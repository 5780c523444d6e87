"""Digests of trees, and the small documents that artifacts carry."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.core import interface
from optkit.core.artifact import canonical_json, digest_bytes, digest_entries, digest_file, digest_tree
from optkit.core.interface import Dim, Interface, Tensor, shape_at
from optkit.core.sources import Source

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_file_is_digested_as_sha256sum_does(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc" * 100_000)
    assert digest_file(tmp_path / "f") == hashlib.sha256(b"abc" * 100_000).hexdigest()
    assert digest_bytes(b"") == hashlib.sha256().hexdigest()


def test_a_tree_is_its_names_and_bytes_only(tmp_path: Path) -> None:
    one = write(tmp_path / "one", {"a": "1", "sub/b": "2"})
    two = write(tmp_path / "two", {"sub/b": "2", "a": "1"})
    (two / "empty").mkdir()
    (two / "a").chmod(0o400)
    assert digest_tree(one) == digest_tree(two)


@pytest.mark.parametrize("other", [
    {"a": "1"}, {"a": "1", "sub/b": "3"}, {"a": "2", "sub/b": "1"}, {"a": "1", "sub/c": "2"}, {"a": "1", "b": "2"},
    {"a": "1", "sub/b": "2", "c": ""},
])  # fmt: skip
def test_another_tree_has_another_digest(tmp_path: Path, other: dict[str, str]) -> None:
    one = write(tmp_path / "one", {"a": "1", "sub/b": "2"})
    assert digest_tree(one) != digest_tree(write(tmp_path / "two", other))


def test_a_source_has_the_digest_of_the_tree_that_it_becomes(tmp_path: Path) -> None:
    tree = write(tmp_path / "tree", {"code/model.py": "x = 1", "model.json": "{}"})
    (tmp_path / "mine.py").write_text("x = 1")
    source = Source("torch", {"code/model.py": tmp_path / "mine.py"}, {"model.json": b"{}"})
    assert source.digest(digest_file) == digest_tree(tree)


@given(entries=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4))
def test_entries_are_digested_in_any_order(entries: dict[str, str]) -> None:
    assert digest_entries(entries) == digest_entries(dict(reversed(entries.items())))


def test_json_has_one_spelling() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'.encode()


TEXT = Interface(
    inputs=(
        Tensor("tokens", "int64", ("batch", "sequence"), range=(0, 99)),
        Tensor("state", "float32", (2, "batch", 4)),
        Tensor("scale", "float32", ()),
    ),
    outputs=(Tensor("logits", "float32", ("batch", "...")),),
    dims={"batch": Dim(1, 4, 8), "sequence": Dim(2, 16, 32)},
)


def test_an_interface_survives_its_file(tmp_path: Path) -> None:
    interface.write(tmp_path, TEXT, factory="model.py:build")
    assert interface.read(tmp_path) == TEXT
    assert '"factory": "model.py:build"' in (tmp_path / "model.json").read_text()


def test_an_interface_is_written_the_same_each_time(tmp_path: Path) -> None:
    interface.write(tmp_path, TEXT, b=1, a=2)
    first = (tmp_path / "model.json").read_bytes()
    interface.write(tmp_path, TEXT, a=2, b=1)
    assert (tmp_path / "model.json").read_bytes() == first


def test_the_batch_axis_may_stand_anywhere() -> None:
    assert [tensor.batch_axis for tensor in TEXT.inputs] == [0, 1, None]


@pytest.mark.parametrize(("which", "shape"), [("min", (1, 2)), ("opt", (4, 16)), ("max", (8, 32))])
def test_a_shape_gets_its_sizes(which: str, shape: tuple[int, ...]) -> None:
    assert shape_at(TEXT.inputs[0], TEXT.sizes(which)) == shape
    assert shape_at(TEXT.inputs[2], TEXT.sizes(which)) == ()
