from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from optkit.core.artifact import digest_file
from optkit.core.interface import Dim
from optkit.core.recipe import InputSpec, ModelSpec
from optkit.core.store import Store
from optkit.workflow.sources import model_source

if TYPE_CHECKING:
    from pathlib import Path


def model(**changes: object) -> ModelSpec:
    inputs = {"x": InputSpec("float32", ("batch", 3))}
    given: dict[str, object] = {"factory": "model.py:build", "inputs": inputs, "dims": {"batch": Dim()}, **changes}
    return ModelSpec(**given)  # type: ignore[arg-type]  # any field


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"# {name}\n")


def test_all_python_files_of_the_recipes_folder_are_code_by_default(tmp_path: Path) -> None:
    write(tmp_path, "model.py", "layers/block.py", "notes.txt")
    assert sorted(model_source(model(), tmp_path).files) == ["code/layers/block.py", "code/model.py"]


@pytest.mark.parametrize("folder", [".venv", "__pycache__", "node_modules", "site-packages", "env", "out"])
def test_folders_without_the_users_code_are_left_out(tmp_path: Path, folder: str) -> None:
    write(tmp_path, "model.py", f"{folder}/other.py")
    write(tmp_path, *(["env/pyvenv.cfg"] if folder == "env" else ["out/report.json"] if folder == "out" else []))
    assert list(model_source(model(), tmp_path).files) == ["code/model.py"]


def test_a_store_in_the_recipes_folder_is_no_code(tmp_path: Path) -> None:
    write(tmp_path, "model.py", "store/objects/ab/abcd/code/model.py")
    Store(tmp_path / "store").digests.file(tmp_path / "model.py")
    assert list(model_source(model(), tmp_path).files) == ["code/model.py"]


def test_declared_code_narrows_and_may_hold_other_files(tmp_path: Path) -> None:
    write(tmp_path, "model.py", "train.py", "sizes.json", "parts/a.py")
    source = model_source(model(code=("sizes.json", "parts")), tmp_path)
    assert sorted(source.files) == ["code/model.py", "code/parts/a.py", "code/sizes.json"]


def test_code_outside_the_recipes_folder_keeps_its_place_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "recipes/one/recipe.yaml", "src/net.py")
    source = model_source(model(factory="../../src/net.py:build", code=()), tmp_path / "recipes" / "one")
    assert list(source.files) == ["code/src/net.py"]
    assert json.loads(source.documents["model.json"])["factory"] == "src/net.py:build"


def test_the_digest_depends_on_content_and_not_on_the_place(tmp_path: Path) -> None:
    for name in ("here", "there"):
        write(tmp_path / name, "model.py", "weights.pt")
    first, second = (
        model_source(model(weights="weights.pt"), tmp_path / name).digest(digest_file) for name in ("here", "there")
    )
    assert first == second
    (tmp_path / "there" / "model.py").write_text("# changed\n")
    assert model_source(model(weights="weights.pt"), tmp_path / "there").digest(digest_file) != first


def test_weights_get_one_name_whatever_the_user_calls_them(tmp_path: Path) -> None:
    write(tmp_path, "model.py", "best epoch.pt")
    source = model_source(model(weights="best epoch.pt"), tmp_path)
    assert source.files["weights/best epoch.pt"] == tmp_path / "best epoch.pt"
    assert json.loads(source.documents["model.json"])["weights"] == "weights/best epoch.pt"


def test_of_a_huggingface_folder_only_what_makes_the_model_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "bert", "model.safetensors", "tokenizer.json", "own.py")
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert"}')
    spec = ModelSpec(huggingface="bert", task="fill-mask", inputs={"input_ids": InputSpec("int64", ("batch", 3))})
    source = model_source(spec, tmp_path)
    assert sorted(source.files) == ["huggingface/config.json", "huggingface/model.safetensors"]
    document = json.loads(source.documents["model.json"])
    assert (document["huggingface"], document["task"]) == ("huggingface", "fill-mask")
    before = source.digest(digest_file)
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "bert", "vocab_size": 9}')
    assert model_source(spec, tmp_path).digest(digest_file) != before
