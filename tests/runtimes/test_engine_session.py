"""What a session does with an engine: seen with one that computes on the CPU, for want of a GPU."""

from __future__ import annotations

import shutil
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from optkit.core.artifact import digest_file
from optkit.core.errors import StepFailed, UsageError
from optkit.runtimes.profiling import Operator
from optkit.runtimes.tensorrt.inspecting import Kernel, kernels_in
from optkit.runtimes.tensorrt.plugins import keep_plugins, load_kept
from optkit.runtimes.tensorrt.profile import profiled
from optkit.runtimes.tensorrt.session import EngineSession
from tests.runtimes.stand_in_engine import Context, CpuStream, Engine, module

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from optkit.runtimes.tensorrt.log import Log

PROFILES = [
    {"x": {"min": [1, 3], "opt": [1, 3], "max": [1, 3]}},
    {"x": {"min": [2, 3], "opt": [8, 3], "max": [16, 3]}},
]
LOG: Log = SimpleNamespace(cause=lambda: "no memory is left")  # type: ignore[assignment]  # what a session asks of it


def session(
    outputs: Sequence[str] = ("y",), *, graphs: bool = False, host: Sequence[str] = (), capturable: bool | None = None
) -> EngineSession:
    context = Context(capturable=capturable)
    return EngineSession(module(), Engine(host), context, CpuStream(), PROFILES, outputs, LOG, graphs)


def values(rows: int, start: int = 0) -> NDArray[Any]:
    return np.arange(start, start + 3 * rows, dtype=np.float32).reshape(rows, 3) - 4


def run(opened: EngineSession, array: NDArray[Any]) -> NDArray[Any]:
    results = opened.run({"x": array, "unused": array})
    np.testing.assert_array_equal(results["y"], 2 * array)
    return results["y"]


def test_shapes_and_profiles_change_from_run_to_run() -> None:
    opened = session()
    for rows in (1, 2, 2, 16, 1):
        run(opened, values(rows))
    told = [call for call in opened.context.seen.calls if call[0] != "run"]
    assert told == [
        ("shape", "x", (1, 3)),
        ("profile", 1), ("shape", "x", (2, 3)),
        ("shape", "x", (16, 3)),
        ("profile", 0), ("shape", "x", (1, 3)),
    ]  # fmt: skip


def test_memory_stays_where_it_is_while_shapes_do() -> None:
    opened = session()
    first = run(opened, values(2))
    before = dict(opened.context.seen.addresses)
    run(opened, values(2, 5))
    assert opened.context.seen.addresses == before
    np.testing.assert_array_equal(first, 2 * values(2))  # results do not lie in memory that is used again


def test_arrays_of_any_layout() -> None:
    run(session(), values(4)[::2])
    run(session(), np.asfortranarray(values(4)))


def test_an_output_whose_size_depends_on_values() -> None:
    opened = session(("y", "z"))
    for array in (values(2), values(4), values(1), values(2, 9)):
        found = opened.run({"x": array})
        np.testing.assert_array_equal(found["z"], array[array > 0])
        np.testing.assert_array_equal(found["y"], 2 * array)


def test_values_that_decide_over_shapes_are_told_each_time() -> None:
    opened = session(host=["x"])
    run(opened, values(2))
    run(opened, values(2, 1))
    assert opened.context.seen.calls.count(("shape", "x", (2, 3))) == 2


def test_a_run_is_recorded_once_the_engine_has_run_with_its_shapes() -> None:
    opened = session(graphs=True)
    stream = opened.stream
    assert isinstance(stream, CpuStream)
    counts = []
    for rows in (2, 2, 2, 4, 4, 2):
        run(opened, values(rows, rows))
        counts.append((stream.records, stream.replays))
    assert counts == [(0, 0), (1, 1), (1, 2), (1, 2), (2, 3), (2, 3)]


@pytest.mark.parametrize(
    "opened",
    [
        session(),
        session(("y", "z"), graphs=True),
        session(graphs=True, host=["x"]),
        session(graphs=True, capturable=False),
    ],
    ids=["not asked for", "growing output", "values on the host", "the library objects"],
)
def test_what_is_not_recorded(opened: EngineSession) -> None:
    for _ in range(3):
        run(opened, values(2))
    assert isinstance(opened.stream, CpuStream)
    assert opened.stream.records == 0


def test_the_library_may_agree_to_a_recording() -> None:
    opened = session(graphs=True, capturable=True)
    run(opened, values(2))
    run(opened, values(2))
    assert opened.replay is not None


def test_a_run_that_fails_says_what_the_library_says() -> None:
    opened = session()
    opened.context.seen.fails = True
    with pytest.raises(StepFailed, match="stand_in: no memory is left"):
        run(opened, values(1))
    with pytest.raises(StepFailed, match=r"input x cannot have the shape \[13, 3\]"):
        session().run({"x": values(13)})


def test_a_failure_of_torch_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object, launch: object) -> None:
        del launch
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore\nlines")

    monkeypatch.setattr(CpuStream, "record", refuse)
    opened = session(graphs=True)
    run(opened, values(2))
    with pytest.raises(StepFailed, match=r"^stand_in: CUDA error: operation not permitted when stream is capturing"):
        run(opened, values(2))


def test_the_stand_in_has_no_name_that_the_library_lacks() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="optkit[rtx] is not installed", exc_type=ImportError)
    for mine, theirs in ((Context(capturable=True), trt.IExecutionContext), (Engine(), trt.ICudaEngine)):
        names = {name for name in dir(mine) if not name.startswith("_")} - {"seen"}
        assert names <= set(dir(theirs))


def test_a_profile_tells_the_time_of_each_kernel() -> None:
    opened = profiled(session(graphs=True))
    for _ in range(3):
        run(opened, values(2))  # type: ignore[arg-type]  # runs as a session does
    assert opened.session.replay is None
    calls = opened.finish()
    assert [[call.ms for call in each] for each in calls] == [[1.0, 2.0]] * 3
    assert [call.operator for call in calls[0]] == [
        Operator("double", "gemm", "int8"), Operator("reformat", "Reformat", "conversion"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ('{"Layers": ["a + b"]}', [Kernel("a + b")]),
        ("", []),
        (
            """{"Layers": [{"Name": "c", "LayerType": "CaskConvolution", "TacticValue": "0x1f",
            "Inputs": [{"Name": "x", "Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}],
            "Outputs": [{"Format/Datatype": "N/A due to dynamic shapes"}]}], "Bindings": ["x"]}""",
            [Kernel("c", "CaskConvolution", "float16", "", "0x1f")],
        ),
        ('{"Layers": [{"Name": "n", "LayerType": "NoOp", "Inputs": []}]}', [Kernel("n", "NoOp")]),
        ('{"Layers": [{"Inputs": [{"Format/Datatype": "Row major BFloat16"}]}]}', [Kernel("", takes="bfloat16")]),
    ],
)
def test_what_an_inspector_tells(document: str, expected: list[Kernel]) -> None:
    assert kernels_in(document) == expected


def test_plugins_are_kept_with_the_engine_and_loaded_before_it(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    mark, library, engine = tmp_path / "mark", tmp_path / "libmine.so", tmp_path / "engine"
    (tmp_path / "p.c").write_text(
        f'#include <stdio.h>\n__attribute__((constructor)) void f(void) {{ fclose(fopen("{mark}", "w")); }}\n'
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "p.c"], check=True)
    engine.mkdir()
    digests = keep_plugins([library], engine)
    assert digests == {"libmine.so": digest_file(library)}
    for wrong in ({"libmine.so": "0" * 64}, {"libother.so": digests["libmine.so"]}, {"../libmine.so": "0" * 64}):
        with pytest.raises(UsageError, match=r"the plugin lib\w+\.so of the engine is missing or damaged"):
            load_kept(engine, digests | wrong)
    assert not mark.exists()
    load_kept(engine, digests)
    assert mark.exists()


def test_an_engine_without_plugins_has_no_folder_for_them(tmp_path: Path) -> None:
    assert keep_plugins([], tmp_path) == {}
    load_kept(tmp_path, {})
    assert not list(tmp_path.iterdir())
