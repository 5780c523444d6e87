"""The baseline file: what it holds, and when it is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from optkit.core.errors import GateFailed, UsageError
from optkit.core.release import Release
from optkit.core.results import Interval
from optkit.report.codec import encode, load
from optkit.report.json_report import write_json
from optkit.workflow.releasing import machine_class, p50_of, read_release, release_of, remarks, save_release
from tests.report.conftest import timing
from tests.workflow.released import RUN, changed, elsewhere, with_candidate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from optkit.core.recipe import Recipe

HERE = machine_class(RUN.provenance)


@dataclass(frozen=True)
class Named:
    """As much of a recipe as is compared."""

    name: str = "digits"
    leaves: tuple[str, ...] = ("quantize",)


def read(file: Path, recipe: Named = Named(), *, any_machine: bool = False) -> Release:  # frozen
    return read_release(file, cast("Recipe", recipe), HERE, any_machine=any_machine)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "digits.baseline.json"
    path.write_text(encode(release_of(RUN)))
    return path


@pytest.fixture
def edited(file: Path) -> Callable[[Callable[[Any], object]], Path]:
    def edit(change: Callable[[Any], object]) -> Path:
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))
        return file

    return edit


def test_it_comes_back_as_it_was_written(file: Path) -> None:
    assert read(file) == load(Release, file) == release_of(RUN)


def test_a_run_gives_the_same_bytes_each_time_and_a_small_file(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write_json(RUN, run / "report.json")
    files = [save_release(run, tmp_path / name) for name in ("first.json", "second.json")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].stat().st_size < 4096


def test_its_name_is_the_recipes_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(RUN, tmp_path / "report.json")
    monkeypatch.chdir(tmp_path)
    save_release(tmp_path, None)
    assert read(tmp_path / "digits.baseline.json").recipe == "digits"


def test_the_spread_of_a_median_is_that_of_all_runs() -> None:
    timing = replace(RUN.candidates[0].timing, samples_ms=((1.0, 2.0), (3.0, 4.0, 5.0)))  # type: ignore[type-var]  # it is timed
    released = release_of(with_candidate(timing=timing)).candidates["quantize"].timing
    assert released is not None
    assert released.middle_half_ms == (2.0, 4.0)


def test_the_bounds_of_a_median_are_those_of_the_rounds() -> None:
    rounds = tuple((float(number),) * 3 for number in range(1, 101))
    given = replace(timing("onnxruntime", 50.5, 1), samples_ms=rounds)
    found = p50_of(given)
    assert (found.lower, found.value, found.upper) == (41.0, 50.5, 60.0)  # 1.96 times half of ten rounds on either side
    assert p50_of(replace(given, samples_ms=rounds[:3], p50_ms=2.0)) == Interval(2.0, 1.0, 3.0)


def test_what_was_refused_is_no_release(tmp_path: Path) -> None:
    write_json(with_candidate(approved=False), tmp_path / "report.json")
    with pytest.raises(GateFailed, match="holds no approved candidate"):
        save_release(tmp_path, tmp_path / "release.json")
    assert not (tmp_path / "release.json").exists()


def test_only_approved_candidates_are_released() -> None:
    both = replace(RUN, candidates=(changed(name="good"), changed(name="bad", approved=False)))
    assert list(release_of(both).candidates) == ["good"]


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"report\.json cannot be read"):
        save_release(tmp_path, None)


DAMAGED: dict[str, tuple[Callable[[Any], object], str]] = {
    "foreign": (lambda content: content.pop("format"), "format: Field required"),
    "another version": (lambda content: content.update(version=2), "version: Input should be 1"),
    "a number as text": (
        lambda content: content["candidates"]["quantize"].update(size_bytes="1"),
        "candidates.quantize.size_bytes: Input should be a valid integer",
    ),
    "another recipe": (
        lambda content: content.update(recipe="letters"),
        "is the baseline of the recipe 'letters', not of 'digits'",
    ),
    "other candidates": (
        lambda content: content.update(candidates={"dynamic": content["candidates"]["quantize"]}),
        "holds dynamic, and the recipe makes quantize",
    ),
}


@pytest.mark.parametrize(("change", "expected"), DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_is_not_its_baseline_is_refused(
    change: Callable[[Any], object], expected: str, edited: Callable[[Callable[[Any], object]], Path]
) -> None:
    with pytest.raises(UsageError, match=expected) as caught:
        read(edited(change))
    assert caught.value.hint == "`optkit baseline save RUN` writes a new one"


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "NaN", "\x00\xff"])
def test_what_is_no_such_file_at_all(text: str, file: Path) -> None:
    file.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"^--baseline: .*digits\.baseline\.json"):
        read(file)


def test_a_report_is_not_taken_for_one(tmp_path: Path) -> None:
    write_json(RUN, tmp_path / "report.json")
    with pytest.raises(UsageError, match="format: Field required"):
        read(tmp_path / "report.json")


CLASSES = {
    "cpu": ({"cpu": "Other CPU"}, "cpu: Other CPU → Example CPU"),
    "cores": ({"cores": 64}, "cores: 64 → 2"),
    "flags": ({"cpu_flags": ("avx2", "avx512_vnni")}, r"cpu flags: -avx512_vnni \+fma"),
    "system": ({"platform": "Darwin 23.1 arm64"}, "system: Darwin arm64 → Linux x86_64"),
}


@pytest.mark.parametrize(("change", "expected"), CLASSES.values(), ids=CLASSES)
def test_another_machine_class_is_refused_unless_told(change: dict[str, Any], expected: str, file: Path) -> None:
    then = elsewhere(**change)
    file.write_text(encode(release_of(then)))
    with pytest.raises(UsageError, match=expected) as caught:
        read(file)
    assert "--any-machine" in caught.value.hint
    taken = read(file, any_machine=True)
    (remark,) = remarks(taken, RUN.provenance, ["quantize"])
    assert remark.startswith("the baseline is of another machine class, so only ratios are compared: ")


def test_another_kernel_is_the_same_machine_class(file: Path) -> None:
    file.write_text(encode(release_of(elsewhere(platform="Linux 5.4.0-generic x86_64"))))
    assert read(file).machine == HERE


def test_what_else_differs_is_remarked() -> None:
    release = release_of(replace(RUN, candidates=(changed(), changed(name="other"))))
    now = elsewhere(versions={"optkit": "0.1.0", "onnxruntime": "1.32.0"}).provenance
    assert list(remarks(release, now, ["quantize", "new"])) == [
        "since the baseline: onnxruntime 1.31.1 → 1.32.0",
        "new is compared with nothing: the baseline holds quantize, other",
        "other is in the baseline, and this run does not make it",
    ]
