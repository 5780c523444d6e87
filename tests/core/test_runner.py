"""Walks over steps: what is cached, what is built again, and what a failure leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import MissingDependency, OptkitError, StepFailed, UsageError
from optkit.core.events import Event, ObjectDamaged, StepFinished, StepProgress, StepStarted
from optkit.core.keys import key_of
from optkit.core.recipe import Step
from optkit.core.runner import Execution
from optkit.core.store import Store
from tests.core.sample_passes import Append, Clock, How, Misbehave, Resume, Sleep, Upper

if TYPE_CHECKING:
    from optkit.core.passes import Pass

Executions = Callable[..., Execution]


def chain(**passes: Pass) -> list[Step]:
    """Returns steps, each of which takes the model from the one before."""
    before = ["model", *passes]
    return [Step(name, do, {"model": before[index]}) for index, (name, do) in enumerate(passes.items())]


def run(execution: Execution, steps: list[Step]) -> list[Event]:
    return [event for step in steps for event in execution.execute(step)]


def cached(execution: Execution, steps: list[Step]) -> dict[str, bool]:
    """Runs the steps and returns which were there already."""
    return {event.step: event.cached for event in run(execution, steps) if isinstance(event, StepFinished)}


def text_of(execution: Execution, name: str) -> str:
    assert [*execution.materialise(name)] == []
    return (execution.path(name) / "text.txt").read_text()


def damage(execution: Execution, name: str) -> None:
    file = execution.path(name) / "text.txt"
    file.chmod(0o644)
    file.write_text(file.read_text().swapcase())


def failure(execution: Execution, do: Pass, name: str = "step") -> OptkitError:
    with pytest.raises(OptkitError) as caught:
        run(execution, chain(**{name: do}))
    return caught.value


def test_a_chain_runs_and_tells_what_happens(execution: Executions) -> None:
    walk = execution("hello")
    started, progress, finished = run(walk, chain(append=Append("!")))
    assert started == StepStarted("append")
    assert progress == StepProgress("append", 0.5, "half")
    assert isinstance(finished, StepFinished)
    assert (finished.kind, finished.cached) == ("text", False)
    assert finished.record["notes"] == {"letters": 5}
    assert 0 < finished.record["seconds"] < 60
    assert 1 << 20 < finished.record["peak_rss_bytes"] < 1 << 33
    assert text_of(walk, "append") == "hello!"
    assert walk.finished["append"] == finished


def test_a_second_run_builds_nothing_and_tells_the_same(execution: Executions) -> None:
    steps = chain(append=Append("!"), upper=Upper())
    first, second = execution(), execution()
    assert cached(first, steps) == {"append": False, "upper": False}
    events = run(second, steps)
    assert [type(event) for event in events] == [StepFinished, StepFinished]
    assert cached(second, steps) == {"append": True, "upper": True}
    assert second.results == first.results
    assert second.finished["append"].record == first.finished["append"].record
    assert second.finished["append"].key == first.finished["append"].key


def test_a_changed_option_rebuilds_from_there_on(execution: Executions) -> None:
    run(execution(), chain(first=Append("a"), second=Append("b"), third=Upper()))
    changed = chain(first=Append("a"), second=Append("c"), third=Upper())
    assert cached(execution(), changed) == {"first": True, "second": False, "third": False}


def test_a_changed_source_rebuilds_everything(execution: Executions) -> None:
    steps = chain(first=Append("a"))
    run(execution("hello"), steps)
    assert cached(execution("bye"), steps) == {"first": False}
    assert cached(execution("hello"), steps) == {"first": True}


def test_a_changed_option_with_the_same_bytes_stops_there(execution: Executions) -> None:
    run(execution(), chain(first=Append("!!", limit=1), second=Upper()))
    changed = chain(first=Append("!", limit=9), second=Upper())
    assert cached(execution(), changed) == {"first": False, "second": True}


def test_a_step_is_found_under_another_name(execution: Executions) -> None:
    run(execution(), chain(one=Append("!")))
    assert cached(execution(), chain(other=Append("!"))) == {"other": True}


def test_two_stores_give_the_same_digests(execution: Executions, tmp_path: Path) -> None:
    steps = chain(append=Append("!"), upper=Upper())
    here, there = execution(), execution(where=Store(tmp_path / "elsewhere" / "store"))
    run(here, steps)
    run(there, steps)
    assert here.results == there.results
    assert here.finished["upper"].key == there.finished["upper"].key


def test_a_damaged_object_is_built_again(execution: Executions) -> None:
    first = chain(append=Append("!"))
    run(execution(), first)
    walk = execution()
    run(walk, first)
    damage(walk, "append")
    events = run(walk, [Step("upper", Upper(), {"model": "append"})])
    digest = walk.results["append"].digest
    assert ObjectDamaged("append", digest) in events
    assert [event.step for event in events if isinstance(event, StepFinished)] == ["append", "upper"]
    assert text_of(walk, "upper") == "HELLO!"


def test_a_damaged_result_is_built_again_when_it_is_handed_out(execution: Executions) -> None:
    steps = chain(append=Append("!"), upper=Upper())
    run(execution(), steps)
    walk = execution()
    run(walk, steps)
    damage(walk, "upper")
    events = list(walk.materialise("upper"))
    assert [type(event) for event in events][:2] == [ObjectDamaged, StepStarted]
    assert text_of(walk, "upper") == "HELLO!"


def test_damage_all_the_way_up_is_mended(execution: Executions) -> None:
    steps = chain(append=Append("!"), upper=Upper())
    walk = execution()
    run(walk, steps)
    for name in ("append", "upper", "model"):
        damage(walk, name)
    list(walk.materialise("upper"))
    assert text_of(walk, "upper") == "HELLO!"


def test_an_input_that_was_rebuilt_with_other_bytes_enters_the_key(execution: Executions, store: Store) -> None:
    steps = chain(clock=Clock(), upper=Upper())
    walk = execution()
    run(walk, steps)
    damage(walk, "clock")
    store.forget(walk.finished["upper"].key)
    walk = execution()
    run(walk, steps)
    assert text_of(walk, "upper") == text_of(walk, "clock").upper()
    assert walk.finished["upper"].key == key_of(walk.key_parts(steps[1]))
    assert cached(execution(), steps) == {"clock": True, "upper": True}


def test_objects_hold_nothing_but_what_the_pass_wrote(execution: Executions) -> None:
    walk = execution()
    run(walk, chain(append=Append("!")))
    assert sorted(path.name for path in walk.path("append").rglob("*")) == ["text.txt"]
    assert [path.name for path in walk.path("model").rglob("*")] == ["text.txt"]


def test_a_failure_is_not_cached_and_leaves_no_half(execution: Executions, store: Store) -> None:
    for _ in range(2):
        with pytest.raises(StepFailed):
            run(execution(), chain(step=Misbehave("raise")))
    assert list(store.actions()) == []
    assert list((store.root / "tmp").iterdir()) == []
    assert len(list((store.root / "objects").glob("*/*"))) == 1  # the source


def test_steps_before_a_failure_stay_cached(execution: Executions) -> None:
    first = chain(append=Append("!"))
    with pytest.raises(StepFailed):
        run(execution(), [*first, Step("bad", Misbehave("raise"), {"model": "append"})])
    assert cached(execution(), first) == {"append": True}


def test_a_failed_step_leaves_a_repro(execution: Executions, tmp_path: Path) -> None:
    error = failure(execution("hello"), Misbehave("raise"))
    repro = tmp_path / "repro" / "step"
    assert type(error) is StepFailed
    assert str(error) == f"step: ValueError: bad weights\nto reproduce: {repro}"
    assert (repro / "inputs" / "model" / "text.txt").read_text() == "hello"
    assert "in _raise" in (repro / "log.txt").read_text()
    document = json.loads((repro / "repro.json").read_text())
    assert document.items() >= {"step": "step", "pass": "tests.core.sample_passes:Misbehave"}.items()
    assert document["options"] == {"how": "raise", "pid_file": ""}
    assert set(document["inputs"]) == {"model"}
    assert set(document["versions"]) >= {"optkit", "torch", "onnx", "numpy"}
    assert (repro / "inputs" / "model" / "text.txt").stat().st_nlink == 1


@pytest.mark.parametrize("name", ["/abs/model.onnx on data", "../model.onnx on data", "model on: data?"])
def test_a_repro_stays_in_its_folder_whatever_the_step_is_called(
    name: str, execution: Executions, tmp_path: Path
) -> None:
    error = failure(execution("hello"), Misbehave("raise"), name)
    (repro,) = (tmp_path / "repro").iterdir()
    assert error.hint == f"to reproduce: {repro}"
    assert re.fullmatch(r"[\w.-]+", repro.name)


def test_a_second_failure_replaces_the_repro(execution: Executions, tmp_path: Path) -> None:
    failure(execution("hello"), Misbehave("raise"))
    (tmp_path / "repro" / "step" / "old").write_text("")
    failure(execution("bye"), Misbehave("raise"))
    assert (tmp_path / "repro" / "step" / "inputs" / "model" / "text.txt").read_text() == "bye"
    assert not (tmp_path / "repro" / "step" / "old").exists()


def test_a_repro_that_cannot_be_written_does_not_hide_the_failure(execution: Executions, tmp_path: Path) -> None:
    (tmp_path / "repro").write_text("a file where the folder should be")
    error = failure(execution(), Misbehave("raise"))
    assert error.message == "step: ValueError: bad weights"
    assert error.hint.startswith("no repro was written to ")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("usage", (UsageError, "step: the factory takes no argument 'x'", "remove it")),
        ("recipe", (UsageError, "step: dataset.yaml:2:3  splits  is missing", "")),
        ("missing", (MissingDependency, "step: pillow is absent", "pip install 'optkit[images]'")),
    ],
)
def test_what_the_user_can_mend_keeps_its_class_and_leaves_no_repro(
    execution: Executions, tmp_path: Path, how: How, expected: tuple[type[OptkitError], str, str]
) -> None:
    error = failure(execution(), Misbehave(how))
    assert (type(error), error.message, error.hint) == expected
    assert not (tmp_path / "repro").exists()


@pytest.mark.parametrize(
    ("how", "message", "hint"),
    [
        ("step", "step: parity is lost", "lower the opset"),
        ("raise-empty", "step: ValueError", ""),
        ("memory", "step: ran out of memory", ""),
        ("real-memory", "step: ran out of memory", ""),
        ("no-space", "step: File too large", ""),
        ("exit", "step: its process ended with code 7", ""),
        ("sys-exit", "step: its process ended with code 0", ""),
        ("abort", "step: its process died of SIGABRT", ""),
        ("segv", "step: its process died of SIGSEGV", "about to crash"),
        ("kill", "step: its process was killed (out of memory, most likely)", ""),
        ("bad-notes", "step: its process ended with code 1", "not JSON serializable"),
    ],
)
def test_every_way_to_fail_has_a_clear_message(
    execution: Executions, tmp_path: Path, how: How, message: str, hint: str
) -> None:
    error = failure(execution(), Misbehave(how))
    assert type(error) is StepFailed
    assert error.exit_code == 5
    assert error.message == message
    assert hint in error.hint
    assert f"to reproduce: {tmp_path / 'repro' / 'step'}" in error.hint
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def test_progress_of_a_failed_step_is_kept_for_the_next_run(execution: Executions, store: Store) -> None:
    assert failure(execution(), Resume()).message == "step: stopped half way"
    (kept,) = (store.root / "scratch").iterdir()
    assert (kept / "checkpoint").exists()
    walk = execution()
    run(walk, chain(step=Resume()))
    assert text_of(walk, "step") == "hello resumed from half way"
    assert list((store.root / "scratch").iterdir()) == []


def test_what_a_pass_prints_stays_out_of_our_output(execution: Executions, capfd: pytest.CaptureFixture[str]) -> None:
    run(execution(), chain(step=Misbehave("print")))
    assert capfd.readouterr() == ("", "")


def test_temporary_files_of_a_pass_go_with_its_workspace(execution: Executions, store: Store) -> None:
    (*_, finished) = run(execution(), chain(step=Misbehave("tmp")))
    assert isinstance(finished, StepFinished)
    assert finished.record["notes"]["tmp"].startswith(str(store.root / "tmp"))


def test_a_pass_that_closes_its_pipe_early_is_waited_for(execution: Executions) -> None:
    assert cached(execution(), chain(step=Misbehave("close-pipe"))) == {"step": False}


def test_a_pass_sees_no_module_of_the_current_folder(
    execution: Executions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pydantic.py").write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert cached(execution(), chain(append=Append("!"))) == {"append": False}


def test_a_store_may_be_given_by_a_relative_path(
    execution: Executions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    walk = execution(where=Store(Path("here") / "store"))
    run(walk, chain(append=Append("!"), upper=Upper()))
    monkeypatch.chdir("/")
    assert text_of(walk, "upper") == "HELLO!"


def test_closing_the_walk_ends_the_pass(
    execution: Executions, store: Store, tmp_path: Path, alive: Callable[[int], bool]
) -> None:
    events = execution().execute(Step("sleep", Sleep(str(tmp_path / "pid")), {"model": "model"}))
    assert next(events) == StepStarted("sleep")
    assert next(events) == StepProgress("sleep", 0.0, "asleep")
    events.close()  # type: ignore[attr-defined]  # a generator; so does an interrupt
    assert not alive(int((tmp_path / "pid").read_text()))
    assert list((store.root / "tmp").iterdir()) == []
    assert list(store.actions()) == []


@pytest.mark.parametrize("how", ["fork", "spawn"])  # a fork keeps the progress pipe open, too
def test_what_a_pass_leaves_running_is_ended(
    execution: Executions, tmp_path: Path, how: How, vanishes: Callable[[int], bool]
) -> None:
    pid_file = tmp_path / "pid"
    do = Misbehave(how, str(pid_file))
    assert cached(execution(), chain(step=do)) == {"step": False}
    assert vanishes(int(pid_file.read_text()))


def test_no_open_files_are_left(execution: Executions, open_files: Callable[[], int]) -> None:
    run(execution(), chain(append=Append("1")))
    before = open_files()  # a Path would stat each
    run(execution(), chain(append=Append("2")))
    with pytest.raises(StepFailed):
        run(execution(), chain(step=Misbehave("kill")))
    assert open_files() == before  # likewise
