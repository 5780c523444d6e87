from __future__ import annotations

import errno
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.core.errors import OptkitError, StepFailed, UsageError
from optkit.core.gates import Estimate
from optkit.report.codec import encode, load
from optkit.report.files import disk_error
from optkit.report.json_report import read_json, schema, write_json

if TYPE_CHECKING:
    from optkit.core.results import RunReport

ESTIMATE = jsonschema.Draft202012Validator({"$defs": schema()["$defs"], "$ref": "#/$defs/Estimate"})
REPORTS = ["approved", "accepting", "refused"]


@pytest.fixture(params=REPORTS)
def report(request: pytest.FixtureRequest) -> RunReport:
    found: RunReport = request.getfixturevalue(request.param)
    return found


def strict(path: Path) -> Any:  # noqa: ANN401  # any JSON value
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def damaged(report: RunReport, path: Path, *keys: str | int, value: object) -> Path:
    write_json(report, path)
    data = place = strict(path)
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(data))
    return path


def test_round_trip_keeps_every_value(report: RunReport, tmp_path: Path) -> None:
    write_json(report, tmp_path / "report.json")
    # repr, for NaN is unequal to itself; it also tells tuples from lists and floats from integers
    assert repr(read_json(tmp_path / "report.json")) == repr(report)


def test_file_is_strict_json_and_holds_to_the_schema(report: RunReport, tmp_path: Path) -> None:
    write_json(report, tmp_path / "report.json")
    document = schema()
    jsonschema.Draft202012Validator.check_schema(document)
    jsonschema.validate(strict(tmp_path / "report.json"), document, jsonschema.Draft202012Validator)


def test_non_finite_numbers_are_spelled(refused: RunReport, tmp_path: Path) -> None:
    write_json(refused, tmp_path / "report.json")
    metric = strict(tmp_path / "report.json")["candidates"][0]["metrics"][0]
    assert metric["candidate"] == {"value": "NaN", "lower": "-Infinity", "upper": "Infinity"}


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_a_name_that_reads_like_a_number_stays_a_name(approved: RunReport, tmp_path: Path, name: str) -> None:
    named = replace(approved, recipe=name, remarks=(name,), baseline=replace(approved.baseline, name=name))
    write_json(named, tmp_path / "report.json")
    assert read_json(tmp_path / "report.json") == named


def test_optional_numbers_tell_none_from_nan(approved: RunReport, tmp_path: Path) -> None:
    assert approved.baseline.timing is not None
    for value in (None, math.nan):
        timing = replace(approved.baseline.timing, p90_ms=value)
        write_json(replace(approved, baseline=replace(approved.baseline, timing=timing)), tmp_path / "report.json")
        found = read_json(tmp_path / "report.json").baseline.timing
        assert found is not None
        assert repr(found.p90_ms) == repr(value)


@settings(max_examples=50, deadline=None)  # flushes a file each time
@given(numbers=st.tuples(st.floats(), st.floats(), st.floats()), needed=st.none() | st.integers(0))
def test_any_estimate_survives(
    tmp_path_factory: pytest.TempPathFactory, numbers: tuple[float, float, float], needed: int | None
) -> None:
    estimate = Estimate(*numbers, samples_needed=needed)
    path = tmp_path_factory.mktemp("codec") / "estimate.json"
    path.write_text(encode(estimate), encoding="utf-8")
    assert repr(load(Estimate, path)) == repr(estimate)
    ESTIMATE.validate(strict(path))


def test_unpaired_surrogates_do_not_stop_the_report(approved: RunReport, tmp_path: Path) -> None:
    write_json(replace(approved, recipe="caf\udce9.yaml"), tmp_path / "report.json")
    assert strict(tmp_path / "report.json")["recipe"] == "caf\udce9.yaml"


def test_schema_describes_its_fields() -> None:
    document = schema()
    metric = document["$defs"]["MetricResult"]
    assert metric["description"] == "A metric of a candidate, paired sample by sample with the baseline."
    assert metric["properties"]["samples"]["description"] == "How many."
    assert document["$defs"]["NonFinite"]["enum"] == ["NaN", "Infinity", "-Infinity"]


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("version",), 2),
        (("seconds",), "12"),
        (("outcome",), "perhaps"),
        (("baseline", "size_bytes"), 1.5),
        (("candidates", 0, "verdicts", 0, "status"), "fine"),
        (("candidates", 0, "verdicts", 0, "accepted"), 1),
        (("candidates", 0, "verdicts", 0, "rule"), "max_hope"),
        (("candidates",), {}),
        (("steps", 0, "cached"), None),
        (("recipe",), 3),
    ],
)
def test_a_foreign_value_is_refused(
    approved: RunReport, tmp_path: Path, keys: tuple[str | int, ...], value: object
) -> None:
    with pytest.raises(UsageError, match=r"report\.json") as caught:
        read_json(damaged(approved, tmp_path / "report.json", *keys, value=value))
    assert str(keys[-1]) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"NaN"',
        "{}",
        "\x00\xff",
        "[" * 100_000,
        '{"version": NaN}',
        "1" * 5000,
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"report\.json"):
        read_json(path)


def test_a_truncated_file_is_refused(approved: RunReport, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(approved, path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 499):
        path.write_bytes(whole[:length])
        with pytest.raises(UsageError):
            read_json(path)


def test_a_missing_key_is_named(approved: RunReport, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    data = {key: value for key, value in asdict(approved).items() if key != "provenance"}
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="provenance"):
        read_json(path)


def test_absent_file_and_absent_folder(approved: RunReport, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_json(tmp_path / "report.json")
    with pytest.raises(UsageError, match="could not be written"):
        write_json(approved, tmp_path / "no" / "report.json")


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "report.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match="larger"):
        read_json(tmp_path / "report.json")


@pytest.mark.parametrize("target", ["/proc/report.json", "long" * 100])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_draft(
    approved: RunReport, tmp_path: Path, target: str
) -> None:
    (tmp_path / "report.json").write_text("old")
    with pytest.raises(UsageError, match="could not be written"):
        write_json(approved, tmp_path / target)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("report.json", "old")]


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StepFailed), (errno.EIO, StepFailed), (errno.EACCES, UsageError)]
)
def test_a_full_disk_is_a_failed_step(number: int, kind: type[OptkitError]) -> None:
    found = disk_error(Path("out/report.json"), OSError(number, "reason"))
    assert type(found) is kind
    assert found.message == "out/report.json could not be written: reason"


def test_an_existing_file_is_replaced(approved: RunReport, refused: RunReport, tmp_path: Path) -> None:
    write_json(refused, tmp_path / "report.json")
    write_json(approved, tmp_path / "report.json")
    assert read_json(tmp_path / "report.json") == approved
    assert len(list(tmp_path.iterdir())) == 1
