from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from optkit.core.errors import UsageError
from optkit.serving import golden
from optkit.serving.golden import read_golden, write_golden

DTYPES = st.sampled_from(["float16", "float32", "float64", "int8", "int64", "uint8", "bool"])
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
TENSORS = st.dictionaries(st.text(max_size=8), ARRAYS, max_size=3)


def member(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive(path: Path, index: object, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("index.npy", member(np.frombuffer(json.dumps(index).encode(), np.uint8)))
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


@given(pairs=st.lists(st.tuples(TENSORS, TENSORS), min_size=1, max_size=3))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[dict, dict]]) -> None:  # type: ignore[type-arg]  # tensors
    path = tmp_path_factory.mktemp("golden") / "golden.npz"
    write_golden(path, [request for request, _ in pairs], [response for _, response in pairs])
    for wrote, read in zip(zip(*pairs, strict=True), read_golden(path), strict=True):
        for one, other in zip(wrote, read, strict=True):
            assert one.keys() == other.keys()
            for name in one:
                assert one[name].dtype == other[name].dtype
                np.testing.assert_array_equal(one[name], other[name], strict=True)


@pytest.mark.parametrize("name", ["a/b", "/etc/x", "../up", "out:0", "", "index", "файл", "file"])
def test_any_tensor_name_is_kept_and_is_no_path(tmp_path: Path, name: str) -> None:
    write_golden(tmp_path / "g.npz", [{name: np.ones(2)}], [{name: np.zeros(3)}])
    requests, responses = read_golden(tmp_path / "g.npz")
    assert (list(requests[0]), list(responses[0])) == ([name], [name])
    with zipfile.ZipFile(tmp_path / "g.npz") as file:
        assert set(file.namelist()) == {"index.npy", "0.npy", "1.npy"}


def test_same_arrays_give_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_golden(tmp_path / name, [{"x": np.arange(5)}], [{"y": np.arange(3.0)}])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_text_survives_as_text(tmp_path: Path) -> None:
    texts = np.array([[b"a", "bé"]], dtype=object)
    write_golden(tmp_path / "g.npz", [{"x": texts}], [{"y": np.array([], dtype=object)}])
    requests, responses = read_golden(tmp_path / "g.npz")
    assert requests[0]["x"].tolist() == [["a", "bé"]]
    assert responses[0]["y"].shape == (0,)


def test_transposed_array_keeps_its_order(tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3).T
    write_golden(tmp_path / "g.npz", [{"x": array}], [{}])
    np.testing.assert_array_equal(read_golden(tmp_path / "g.npz")[0][0]["x"], array, strict=True)


def test_dtype_that_cannot_be_recorded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'x': dtype complex128"):
        write_golden(tmp_path / "g.npz", [{"x": np.ones(2, complex)}], [{}])


def test_too_large_requests_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "LIMIT", 100)
    with pytest.raises(UsageError, match="take 104 bytes"):
        write_golden(tmp_path / "g.npz", [{"x": np.ones(13)}], [{}])
    assert not (tmp_path / "g.npz").exists()


def test_compressed_bomb_is_refused_before_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "g.npz", index=np.zeros(10_000_000, np.uint8))
    monkeypatch.setattr(golden, "LIMIT", 1_000_000)
    with pytest.raises(UsageError, match="the limit is 1000000"):
        read_golden(tmp_path / "g.npz")


def test_header_that_claims_terabytes_allocates_nothing(tmp_path: Path) -> None:
    claim = member(np.zeros(3, np.uint8)).replace(b"(3,), }", b"(9999999999999,), }")[: 128 + 3]
    path = archive(tmp_path / "g.npz", {"requests": [{"x": "0"}], "responses": [{}]}, **{"0": claim})
    with pytest.raises(UsageError, match="holds no golden requests"):
        read_golden(path)


def test_pickled_array_is_refused_and_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]  # any callable will do

    trap = member(np.array([Trap()], dtype=object))
    path = archive(tmp_path / "g.npz", {"requests": [{"x": "0"}], "responses": [{}]}, **{"0": trap})
    with pytest.raises(UsageError, match="an array of object"):
        read_golden(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "index",
    [
        None,
        [],
        {},
        {"requests": []},
        {"requests": [], "responses": []},
        {"requests": [{}], "responses": []},
        {"requests": [{"x": "7"}], "responses": [{}]},
        {"requests": [["x"]], "responses": [{}]},
        {"requests": 3, "responses": 3},
    ],
)
def test_wrong_index_is_one_clear_error(tmp_path: Path, index: object) -> None:
    with pytest.raises(UsageError, match="golden requests"):
        read_golden(archive(tmp_path / "g.npz", index))


@pytest.mark.parametrize("size", [0, 10, 200, 400])
def test_truncated_file_is_one_clear_error(tmp_path: Path, size: int) -> None:
    write_golden(tmp_path / "g.npz", [{"x": np.ones(3)}], [{"y": np.ones(3)}])
    (tmp_path / "g.npz").write_bytes((tmp_path / "g.npz").read_bytes()[:size])
    with pytest.raises(UsageError, match="holds no golden requests"):
        read_golden(tmp_path / "g.npz")


def test_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_golden(tmp_path / "absent.npz")


def test_flipped_bytes_never_escape_as_another_error(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "g.npz", index=np.arange(20))
    write_golden(tmp_path / "h.npz", [{"x": np.ones(3)}], [{"y": np.ones(3)}])
    refused = 0
    for name in ("g.npz", "h.npz"):
        whole = (tmp_path / name).read_bytes()
        for at in range(0, len(whole), 3):
            flipped = tmp_path / "flipped.npz"
            flipped.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
            try:
                read_golden(flipped)
            except UsageError:
                refused += 1
    assert refused > 100
