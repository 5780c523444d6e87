"""Architectures of transformers, two layers deep, as recipes name them: from the folder on disk to a graph."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import StepFailed, UsageError
from optkit.core.interface import Dim
from optkit.core.parse import parse_recipe
from optkit.core.passes import Host
from optkit.workflow.sources import model_source
from optkit.workflow.tables import load_tables
from tests.passes.exports import assert_same, export
from tests.runtimes.tiny_models import MODELS, save

if TYPE_CHECKING:
    from pathlib import Path

    from optkit.core.passes import Work

pytestmark = pytest.mark.heavy
TEXT = {"batch": Dim(1, 2, 3), "sequence": Dim(1, 4, 9)}
IMAGES = {"batch": Dim(1, 2, 3)}


def artifact(folder: Path, name: str, task: str, dims: dict[str, Dim], **more: object) -> Path:
    """Returns the source that a recipe becomes which names a model of `MODELS`."""
    save(MODELS[name](), folder / "model")
    sizes = {key: {"min": dim.min, "opt": dim.opt, "max": dim.max} for key, dim in dims.items()}
    model = {"huggingface": "model", "task": task, "dims": sizes, **more}
    (folder / "recipe.yaml").write_text(json.dumps({"name": name, "model": model, "steps": ["export"]}))
    parsed = parse_recipe(folder / "recipe.yaml", load_tables(), Host(frozenset(), "here"))
    source = model_source(parsed.model, folder)
    for relative, path in source.files.items():
        (folder / "source" / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / "source" / relative)
    for relative, content in source.documents.items():
        (folder / "source" / relative).write_bytes(content)
    return folder / "source"


@pytest.mark.parametrize(
    ("name", "task", "dims", "shapes"),
    [
        ("bert", "text-classification", TEXT, {"logits": ("batch", 2)}),
        ("vit", "image-classification", IMAGES, {"logits": ("batch", 2)}),
        ("whisper", "seq2seq-encoder", IMAGES, {"last_hidden_state": ("batch", 15, 32)}),
    ],
)
def test_it_computes_what_pytorch_does_at_other_sizes(  # noqa: PLR0913, PLR0917  # a case, and where it happens
    name: str, task: str, dims: dict[str, Dim], shapes: dict[str, object], tmp_path: Path, work: Work
) -> None:
    source = artifact(tmp_path, name, task, dims)
    assert {tensor.name: tensor.shape for tensor in export(source, work).outputs} == shapes
    assert len(work.notes["parity"]["cases"]) == (8 if dims is TEXT else 3)
    assert_same(source, work.out, {name: dim.max - 1 for name, dim in dims.items()}, tolerance=1e-4)


def test_a_cache_grows_by_what_is_new(tmp_path: Path, work: Work) -> None:
    dims = {**TEXT, "past": Dim(1, 5, 8)}
    source = artifact(tmp_path, "llama", "causal-lm-with-past", dims)
    interface = export(source, work)
    shapes = {tensor.name: tensor.shape for tensor in interface.outputs}
    assert shapes["logits"] == ("batch", "sequence", 100)
    assert shapes["present.1.value"] == ("batch", 1, "present.1.value_2", 16)  # past + sequence
    assert [tensor.name for tensor in interface.inputs][-4:] == [
        f"past_key_values.{layer}.{part}" for layer in (0, 1) for part in ("key", "value")
    ]
    for sizes in ({"batch": 3, "sequence": 1, "past": 7}, {"batch": 1, "sequence": 6, "past": 1}):
        assert_same(source, work.out, sizes, tolerance=1e-4)


def test_outputs_that_the_recipe_asks_for_are_those_that_it_gets(tmp_path: Path, work: Work) -> None:
    ids = {"input_ids": {"dtype": "int64", "shape": ["batch", 6], "range": [0, 99]}}
    source = artifact(
        tmp_path, "bert", "feature-extraction", {"batch": Dim(1, 2, 3)}, inputs=ids,
        outputs=["pooler_output", "last_hidden_state"],
    )  # fmt: skip
    interface = export(source, work)
    assert [tensor.name for tensor in interface.inputs] == ["input_ids"]
    assert [tensor.shape for tensor in interface.outputs] == [("batch", 32), ("batch", 6, 32)]


@pytest.mark.parametrize(
    ("task", "sizes", "error", "message"),
    [
        ("causal-lm", {**TEXT, "sequence": Dim(1, 4, 2000)}, StepFailed, r"models/gpt2/.*index out of range"),
        ("fill-mask", TEXT, UsageError, "gpt2 has no head for fill-mask"),
    ],
)
def test_what_cannot_be_is_said_before_exporting(  # noqa: PLR0913, PLR0917  # a case, and where it happens
    task: str, sizes: dict[str, Dim], error: type[Exception], message: str, tmp_path: Path, work: Work
) -> None:
    with pytest.raises(error, match=message):
        export(artifact(tmp_path, "gpt2", task, sizes), work)
