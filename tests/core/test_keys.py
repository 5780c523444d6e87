"""Keys: every input of a step changes them, and nothing else does."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import pytest

from optkit.core import keys
from optkit.core.artifact import digest_file
from optkit.core.keys import Environment, explain, key_of, key_parts
from optkit.core.passes import Host, Pass
from optkit.core.recipe import Step
from optkit.core.sources import Source
from tests.core.sample_passes import Append, Upper
from tests.core.sample_tables import Quantize, Smooth

if TYPE_CHECKING:
    from pathlib import Path

STEP = Step("append", Append("!"), {"model": "model"})
INPUTS = {"model": "aa" * 32}


@dataclass(frozen=True)
class Versioned(Append):
    version: ClassVar[int] = 2


@dataclass(frozen=True)
class Bound(Append):
    device_bound: ClassVar[bool] = True


@dataclass(frozen=True)
class Needy(Append):
    needs: ClassVar[tuple[str, ...]] = ("pytest", "no-such-distribution")


def key(
    environment: Environment, do: Pass = STEP.do, inputs: dict[str, str] = INPUTS, name: str = "append"
) -> str:  # never changed
    return key_of(key_parts(Step(name, do, {}), inputs, environment))


def test_a_key_is_a_whole_sha256(environment: Environment) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", key(environment))


def test_the_same_step_has_the_same_key(environment: Environment) -> None:
    assert key(environment) == key(environment)
    assert key(environment, Append("!")) == key(environment, Append(suffix="!", limit=100))


def test_the_name_of_a_step_is_not_in_its_key(environment: Environment) -> None:
    assert key(environment) == key(environment, name="other")


def test_every_part_changes_the_key(environment: Environment) -> None:
    changed = [
        key(environment),
        key(environment, Append("?")),
        key(environment, Append("!", limit=99)),
        key(environment, Upper()),
        key(environment, Versioned("!")),
        key(environment, Needy("!")),
        key(environment, Bound("!")),
        key(environment, inputs={"model": "bb" * 32}),
        key(environment, inputs={"teacher": "aa" * 32}),
        key(environment, inputs={**INPUTS, "calibration": "cc" * 32}),
        key(replace(environment, code="code-2")),
    ]
    assert len(set(changed)) == len(changed)


def test_nested_and_tuple_options_are_in_the_key(environment: Environment) -> None:
    changed = [
        key(environment, Quantize()),
        key(environment, Quantize(smooth=Smooth())),
        key(environment, Quantize(smooth=Smooth(0.6))),
        key(environment, Quantize(keep=("a",))),
        key(environment, Quantize(bits=(8,))),
    ]
    assert len(set(changed)) == len(changed)


def test_swapped_inputs_change_the_key(environment: Environment) -> None:
    one = key(environment, inputs={"model": "aa", "teacher": "bb"})
    assert one != key(environment, inputs={"model": "bb", "teacher": "aa"})
    assert one == key(environment, inputs={"teacher": "bb", "model": "aa"})


def test_the_machine_is_in_the_key_of_what_is_bound_to_it_only(environment: Environment) -> None:
    other = replace(environment, host=Host(frozenset(), "machine-b"))
    assert key(environment) == key(other)
    assert key(environment, Bound("!")) != key(other, Bound("!"))


def test_versions_of_what_a_pass_needs_are_parts(environment: Environment) -> None:
    parts = key_parts(Step("n", Needy(), {}), INPUTS, environment)
    assert parts["package pytest"] == pytest.__version__
    assert parts["package no-such-distribution"] == "absent"


def test_a_source_has_the_same_digest_in_two_folders(tmp_path: Path) -> None:
    digests = set()
    for name in ("here", "far/away"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "model.py").write_text("def build(): ...\n")
        source = Source("torch", {"code/model.py": folder / "model.py"}, {"model.json": b"{}"})
        digests.add(source.digest(digest_file))
    assert len(digests) == 1


def test_explain_shows_what_differs(environment: Environment) -> None:
    before = key_parts(Step("q", Append("!", limit=256), {}), INPUTS, environment)
    now = key_parts(Step("q", Append("!", limit=128), {}), {"model": "bb" * 32, "teacher": "cc" * 32}, environment)
    assert explain(before, now) == [
        "input model: aaaaaaaaaaaa… → bbbbbbbbbbbb…",
        "input teacher: nothing → cccccccccccc…",
        "option limit: 256 → 128",
    ]
    assert explain(now, before)[2] == "option limit: 128 → 256"
    assert explain(now, now) == []


def test_parts_survive_json(environment: Environment) -> None:
    import json

    parts = key_parts(Step("q", Quantize(keep=("a",), smooth=Smooth()), {}), INPUTS, environment)
    assert json.loads(json.dumps(parts)) == parts


def test_our_own_source_is_digested_without_what_no_pass_reaches() -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", keys.own_code_digest())
    assert Environment.here(Host(frozenset(), "")).code == keys.own_code_digest()


def test_an_edit_of_our_own_source_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "optkit"
    for name in ("core/keys.py", "graph/fold.py", "cli/plan.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("")
    monkeypatch.setattr(keys, "__file__", str(package / "core" / "keys.py"))

    def digest() -> str:
        return keys.own_code_digest.__wrapped__()

    first = digest()
    (package / "cli/plan.py").write_text("edited")
    assert digest() == first
    (package / "graph/fold.py").write_text("edited")
    assert digest() != first
