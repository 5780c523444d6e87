from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import UsageError, VerifyFailed
from optkit.serving.triton import Triton
from optkit.serving.triton_entries import check_entries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving.conftest import Zoo


@pytest.fixture
def entry(tmp_path: Path, zoo: Zoo) -> Path:
    deployable = zoo.deployable("text", tmp_path, class_names={"pooled:0": tuple("abcdef")})
    return Triton().emit(deployable, tmp_path / "repository")


def test_what_is_emitted_passes(entry: Path) -> None:
    (entry / "1" / "model.onnx.data").write_bytes(b"")
    check_entries(entry.parent)


@pytest.mark.parametrize(
    "name",
    [
        "model.py",
        "1/model.py",
        "libtriton_onnxruntime.so",
        "1/libtriton_onnxruntime.so",
        "env.tar.gz",
        "warmup/a/b",
        "x",
    ],
)
def test_file_that_a_server_might_run_is_refused(name: str, entry: Path) -> None:
    (entry / name).parent.mkdir(exist_ok=True)
    (entry / name).write_bytes(b"")
    with pytest.raises(UsageError, match=f"{name} is not part of a Triton entry"):
        check_entries(entry.parent)


def test_link_out_of_the_entry_is_refused(entry: Path, tmp_path: Path) -> None:
    (entry / "2").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="is not part of a Triton entry"):
        check_entries(entry.parent)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('backend: "onnxruntime"', 'backend: "python"'),
        ('backend: "onnxruntime"', 'platform: "onnxruntime_onnx"'),
        ('backend: "onnxruntime"', 'backend: "onnxruntime" runtime: "model.py"'),
        (
            'backend: "onnxruntime"',
            'backend: "onnxruntime" parameters { key: "EXECUTION_ENV_PATH" value { string_value: "/tmp/x" } }',
        ),
    ],
)
def test_configuration_that_can_run_code_is_refused(old: str, new: str, entry: Path) -> None:
    text = (entry / "config.pbtxt").read_text()
    assert old in text
    (entry / "config.pbtxt").write_text(text.replace(old, new))
    with pytest.raises(UsageError, match="another backend than onnxruntime"):
        check_entries(entry.parent)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name: "text"\nmax_batchsize: 3', "2:1 : .*no field named"),
        ('name: "text"\ninput { data_type: TYPE_FLOAT }', "TYPE_FLOAT"),
        ('name: "text', "1:7"),
    ],
)
def test_malformed_configuration_is_located(text: str, message: str, entry: Path) -> None:
    (entry / "config.pbtxt").write_text(text)
    with pytest.raises(VerifyFailed, match=message) as caught:
        check_entries(entry.parent)
    assert str(entry / "config.pbtxt") in caught.value.message


def test_missing_or_binary_configuration_is_one_clear_error(entry: Path) -> None:
    (entry / "config.pbtxt").write_bytes(b"\xff\xfe")
    with pytest.raises(VerifyFailed, match=r"config\.pbtxt"):
        check_entries(entry.parent)
    (entry / "config.pbtxt").unlink()
    with pytest.raises(VerifyFailed, match="No such file"):
        check_entries(entry.parent)


def test_folder_without_entries_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_text("")
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UsageError, match="holds no Triton model"):
            check_entries(folder)
