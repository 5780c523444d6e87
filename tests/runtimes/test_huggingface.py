"""Local Hugging Face folders: what is derived from them, what is loaded, and what is refused."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest
import torch

from optkit.core import interface as interfaces
from optkit.core.errors import MissingDependency, UsageError
from optkit.core.interface import Dim, shape_at
from optkit.core.recipe import Task
from optkit.measure.feeding import made_up_inputs
from optkit.runtimes import huggingface
from optkit.runtimes.huggingface_files import INDEX, model_files
from optkit.runtimes.huggingface_tasks import TASKS
from optkit.runtimes.table import RUNTIMES
from tests.runtimes.tiny_models import MODELS, bert, save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns a name in `MODELS` → its folder; nobody may change it."""
    root = tmp_path_factory.mktemp("huggingface")
    return lambda name: root / name if (root / name).exists() else save(MODELS[name](), root / name)


def artifact(source: Path, task: Task, root: Path) -> Path:
    root.mkdir(exist_ok=True)
    (root / "huggingface").symlink_to(source)
    interfaces.write(root, huggingface.describe(source, task), huggingface="huggingface", task=task)
    return root


def run(source: Path, task: Task, root: Path) -> dict[str, Any]:
    made = artifact(source, task, root)
    interface = interfaces.read(made)
    sizes = dict.fromkeys(interface.dims, 3)
    return RUNTIMES["torch"].open(made, 1).run(made_up_inputs(interface, sizes, seed=0))


def test_every_task_of_a_recipe_is_known() -> None:
    assert list(TASKS) == list(get_args(Task))


@pytest.mark.parametrize(
    ("name", "task", "inputs", "outputs"),
    [
        (
            "bert", "text-classification",
            {"input_ids": ("batch", "sequence"), "attention_mask": ("batch", "sequence"),
             "token_type_ids": ("batch", "sequence")}, ["logits"],
        ),
        ("roberta", "fill-mask", {"input_ids": ("batch", "sequence"), "attention_mask": ("batch", "sequence")},
         ["logits"]),
        ("vit", "image-classification", {"pixel_values": ("batch", 3, 16, 16)}, ["logits"]),
        ("resnet", "feature-extraction", {"pixel_values": ("batch", 3, 224, 224)}, ["last_hidden_state"]),
        ("whisper", "seq2seq-encoder", {"input_features": ("batch", 8, 30)}, ["last_hidden_state"]),
        ("whisper", "seq2seq-decoder",
         {"decoder_input_ids": ("batch", "sequence"), "encoder_hidden_states": ("batch", 15, 32)}, ["logits"]),
        ("t5", "seq2seq-decoder",
         {"decoder_input_ids": ("batch", "sequence"), "encoder_attention_mask": ("batch", "encoder_sequence"),
          "encoder_hidden_states": ("batch", "encoder_sequence", 32)}, ["logits"]),
    ],
)  # fmt: skip
def test_inputs_and_outputs_follow_from_configuration_and_task(
    folder: Callable[[str], Path], name: str, task: Task, inputs: dict[str, object], outputs: list[str]
) -> None:
    found = huggingface.describe(folder(name), task)
    assert {tensor.name: tensor.shape for tensor in found.inputs} == inputs
    assert [tensor.name for tensor in found.outputs] == outputs
    assert all(tensor.range is not None for tensor in found.inputs if tensor.dtype == "int64")


def test_ids_stay_below_the_vocabulary_and_masks_are_binary(folder: Callable[[str], Path]) -> None:
    ranges = {
        tensor.name: tensor.range for tensor in huggingface.describe(folder("bert"), "text-classification").inputs
    }
    assert ranges == {"input_ids": (0, 99), "attention_mask": (0, 1), "token_type_ids": (0, 1)}


def test_sequences_fit_the_positions_that_are_not_for_padding(folder: Callable[[str], Path]) -> None:
    assert huggingface.describe(folder("roberta"), "fill-mask").dims["sequence"] == Dim(1, 64, 64)


def test_a_cache_is_plain_tensors(folder: Callable[[str], Path]) -> None:
    found = huggingface.describe(folder("llama"), "causal-lm-with-past")
    shapes = {tensor.name: tensor.shape for tensor in found.inputs}
    assert list(shapes)[:4] == ["input_ids", "attention_mask", "past_attention_mask", "position_ids"]
    assert shapes["past_key_values.1.value"] == ("batch", 1, "past", 16)
    outputs = [tensor.name for tensor in found.outputs]
    assert outputs == ["logits", "present.0.key", "present.0.value", "present.1.key", "present.1.value"]


@pytest.mark.parametrize(
    ("name", "task"),
    [("bert", "text-classification"), ("vit", "image-classification"), ("resnet", "feature-extraction"),
     ("gpt2", "causal-lm"), ("t5", "seq2seq-encoder"), ("whisper", "seq2seq-decoder"), ("roberta", "fill-mask")],
)  # fmt: skip
def test_outputs_are_those_of_the_weights_and_no_sample_is_like_another(
    folder: Callable[[str], Path], tmp_path: Path, name: str, task: Task
) -> None:
    for array in run(folder(name), task, tmp_path / "artifact").values():
        assert np.abs(array).mean() > 0.05
        assert not np.allclose(array[0], array[1], atol=1e-3)


def test_outputs_equal_those_of_transformers(folder: Callable[[str], Path], tmp_path: Path) -> None:
    interface = huggingface.describe(folder("bert"), "text-classification")
    inputs = made_up_inputs(interface, {"batch": 3, "sequence": 5}, seed=1)
    ours = RUNTIMES["torch"].open(artifact(folder("bert"), "text-classification", tmp_path / "one"), 1).run(inputs)
    model = type(MODELS["bert"]()).from_pretrained(folder("bert")).eval()
    with torch.inference_mode():
        theirs = model(**{key: torch.from_numpy(value) for key, value in inputs.items()}).logits
    np.testing.assert_allclose(ours["logits"], theirs, atol=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_tokens_one_by_one_with_a_cache_equal_all_at_once(
    folder: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    whole = RUNTIMES["torch"].open(artifact(folder(name), "causal-lm", tmp_path / "whole"), 1)
    made = artifact(folder(name), "causal-lm-with-past", tmp_path / "cached")
    cached, interface = RUNTIMES["torch"].open(made, 1), interfaces.read(made)
    ids = np.random.default_rng(0).integers(0, 100, (2, 6))
    expected = whole.run({"input_ids": ids, "attention_mask": np.ones_like(ids)})["logits"]
    # A cache of one slot that the mask leaves out is an empty one.
    past = {
        tensor.name: np.zeros(shape_at(tensor, {"batch": 2, "past": 1}), np.float32)
        for tensor in interface.inputs if tensor.name.startswith("past_key_values")
    }  # fmt: skip
    mask = np.zeros((2, 1), np.int64)
    for position in range(6):
        step = ids[:, position : position + 1]
        feed = {"input_ids": step, "attention_mask": np.ones_like(step), "past_attention_mask": mask}
        result = cached.run({**feed, "position_ids": np.full_like(step, position), **past})
        np.testing.assert_allclose(result["logits"][:, 0], expected[:, position], atol=1e-5)
        past = {
            f"past_key_values{key.removeprefix('present')}": value for key, value in result.items() if key != "logits"
        }
        mask = np.concatenate([mask, np.ones_like(step)], axis=1)


def test_weights_in_parts_and_in_half_precision_are_read(folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = type(MODELS["bert"]()).from_pretrained(folder("bert"))
    reference = run(folder("bert"), "text-classification", tmp_path / "reference")["logits"]
    model.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert len(model_files(tmp_path / "parts")) > 4
    np.testing.assert_array_equal(run(tmp_path / "parts", "text-classification", tmp_path / "a")["logits"], reference)
    model.to(torch.bfloat16).save_pretrained(tmp_path / "half")
    half = run(tmp_path / "half", "text-classification", tmp_path / "b")["logits"]
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, reference, atol=0.1)


def test_a_head_that_nobody_trained_is_refused(folder: Callable[[str], Path]) -> None:
    interface = huggingface.describe(folder("bert"), "token-classification")
    with pytest.raises(UsageError, match=r"weights in bert do not fit a model for fill-mask:\n(.|\n)*is missing"):
        huggingface.load(folder("bert"), "fill-mask", interface)


def test_a_pooler_may_be_absent_unless_its_output_is_wanted(tmp_path: Path) -> None:
    source = save(bert("BertForMaskedLM"), tmp_path / "source")
    interface = huggingface.describe(source, "feature-extraction")
    huggingface.load(source, "feature-extraction", interface)
    pooled = interfaces.Interface(interface.inputs, (interfaces.Tensor("pooler_output", "unknown", ("batch", "...")),))
    with pytest.raises(UsageError, match=r"pooler\.dense\.bias is missing"):
        huggingface.load(source, "feature-extraction", pooled)


def test_an_output_or_input_that_the_model_lacks_is_named(folder: Callable[[str], Path], tmp_path: Path) -> None:
    interface = huggingface.describe(folder("vit"), "image-classification")
    made = artifact(folder("vit"), "image-classification", tmp_path / "made")
    other = interfaces.Interface(
        interface.inputs, (interfaces.Tensor("boxes", "unknown", ("batch", "...")),), interface.dims
    )
    interfaces.write(made, other, huggingface="huggingface", task="image-classification")
    with pytest.raises(UsageError, match="returns no 'boxes'"):
        RUNTIMES["torch"].open(made, 1).run(made_up_inputs(interface, {"batch": 2}, seed=0))
    ids = (interfaces.Tensor("ids", "int64", ("batch", 3)),)
    with pytest.raises(UsageError, match="ViTForImageClassification takes no input 'ids'"):
        huggingface.load(folder("vit"), "image-classification", interfaces.Interface(ids, interface.outputs))


def test_a_task_without_a_head_names_those_that_there_are(folder: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match="resnet has no head for fill-mask") as caught:
        huggingface.describe(folder("resnet"), "fill-mask")
    assert caught.value.hint == "it can do feature-extraction, image-classification"


def broken(tmp_path: Path, **changes: object) -> Path:
    source = save(bert("BertForMaskedLM"), tmp_path / "source")
    config = json.loads((source / "config.json").read_text()) | changes
    (source / "config.json").write_text(json.dumps(config))
    return source


def test_code_in_the_folder_never_runs(tmp_path: Path) -> None:
    source = broken(tmp_path, model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"})
    (source / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UsageError, match="knows no model_type 'own'; the folder's own code is never run"):
        huggingface.describe(source, "feature-extraction")
    assert not (tmp_path / "ran").exists()


def test_a_configuration_that_fits_nothing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot build the model: .*hidden size"):
        huggingface.describe(broken(tmp_path, num_attention_heads=5), "fill-mask")


def test_weights_of_another_shape_are_named(tmp_path: Path) -> None:
    source = broken(tmp_path, intermediate_size=65)
    with pytest.raises(
        UsageError, match=r"layer\.0\.intermediate\.dense\.weight has shape \(64, 32\), the model wants"
    ):
        huggingface.load(source, "fill-mask", huggingface.describe(source, "fill-mask"))


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    source = broken(tmp_path)
    weights = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(UsageError, match=r"model\.safetensors is damaged"):
        huggingface.load(source, "fill-mask", huggingface.describe(source, "fill-mask"))


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("open('ran', 'w')",))


def test_a_pickle_is_read_as_tensors_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = broken(tmp_path)
    (source / "model.safetensors").unlink()
    torch.save(bert("BertForMaskedLM").state_dict(), source / "pytorch_model.bin")
    interface = huggingface.describe(source, "fill-mask")
    huggingface.load(source, "fill-mask", interface)
    (source / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Payload()}))
    with pytest.raises(UsageError, match=r"pytorch_model\.bin was refused and not run"):
        huggingface.load(source, "fill-mask", interface)
    assert not (tmp_path / "ran").exists()


BERT = {"config.json": '{"model_type": "bert"}'}


def index(file: str) -> dict[str, str]:
    return {INDEX: json.dumps({"weight_map": {"a": file}})}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no config.json"),
        ({"config.json": "{"}, "is no JSON"),
        ({"config.json": "[" * 100_000}, "is no JSON"),
        ({"config.json": "[]"}, "is no JSON object"),
        ({"config.json": "{}"}, "names no model_type"),
        (BERT, "holds no model.safetensors\nsave"),
        ({**BERT, "tf_model.bin": ""}, "its weights are not safetensors"),
        (
            {**BERT, **index("../b.safetensors")},
            "names '../b.safetensors', which is no safetensors file of the folder",
        ),
        (
            {**BERT, **index("b.bin")},
            "names 'b.bin', which is no safetensors file",
        ),
        (
            {**BERT, **index("b.safetensors")},
            "names b.safetensors, which is missing",
        ),
        ({**BERT, INDEX: "{}"}, "has no weight_map"),
    ],
)  # fmt: skip
def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        model_files(tmp_path)


def test_without_the_library_the_extra_is_named(folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface, "PACKAGE", "a-package-that-is-absent")
    with pytest.raises(MissingDependency, match="which is not installed") as caught:
        huggingface.describe(folder("bert"), "fill-mask")
    assert caught.value.hint == "pip install 'optkit[huggingface]'"
