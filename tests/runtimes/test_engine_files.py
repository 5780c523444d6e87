"""Which engines are refused before a library reads them, and which profile serves which shapes."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from optkit.core.artifact import digest_bytes
from optkit.core.errors import MissingDependency, StepFailed, UsageError
from optkit.runtimes.cuda import find_gpu
from optkit.runtimes.table import RUNTIMES, check_installed
from optkit.runtimes.tensorrt.device import why_not
from optkit.runtimes.tensorrt.library import LIBRARIES
from optkit.runtimes.tensorrt.log import lacks_gpu, plain
from optkit.runtimes.tensorrt.plan import ABOUT_FILE, PLAN_FILE, check_plan, this_platform, write_about
from optkit.runtimes.tensorrt.session import profile_for

if TYPE_CHECKING:
    from pathlib import Path

# A library whose version is known wherever tests run.
LIBRARY = replace(LIBRARIES["tensorrt-rtx"], distribution="onnx")
PLAN = b"vtrt" + bytes(60)
DRIVER = """
#include <string.h>
int cuInit(unsigned flags) { return 0; }
int cuDeviceGet(int *device, int index) { *device = 0; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "NVIDIA L4", size); return 0; }
int cuDeviceGetAttribute(int *value, int which, int device) { *value = which == 75 ? 8 : 9; return 0; }
int cuDriverGetVersion(int *version) { *version = 12080; return 0; }
"""


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    (tmp_path / PLAN_FILE).write_bytes(PLAN)
    about = {
        "library": LIBRARY.name, "version": LIBRARY.version, "platform": this_platform(), "gpu": "",
        "capabilities": ["8.6", "8.9"], "profiles": [], "plan": {"bytes": len(PLAN), "sha256": digest_bytes(PLAN)},
    }  # fmt: skip
    write_about(tmp_path, about)
    return tmp_path


def edit(engine: Path, **changes: object) -> None:
    about = json.loads((engine / ABOUT_FILE).read_text())
    write_about(engine, about | changes)


def test_an_engine_that_fits_is_taken(engine: Path) -> None:
    assert check_plan(engine, LIBRARY, "NVIDIA L4 (compute capability 8.9)", "8.9")["capabilities"] == ["8.6", "8.9"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "1.0"}, f"for the version tensorrt-rtx 1.0, and here is tensorrt-rtx {LIBRARY.version}"),
        ({"library": "tensorrt"}, "for the library tensorrt, and here is tensorrt-rtx"),
        ({"platform": "Windows-AMD64"}, f"for the platform Windows-AMD64, and here is {this_platform()}"),
        ({"gpu": "NVIDIA T4"}, "for the GPU NVIDIA T4, and here is NVIDIA L4"),
        ({"capabilities": ["12.0"]}, "for the compute capabilities 12.0, and NVIDIA L4 here has 8.9"),
    ],
)
def test_an_engine_for_something_else_is_refused_with_both_named(
    changes: dict[str, Any], message: str, engine: Path
) -> None:
    edit(engine, **changes)
    with pytest.raises(UsageError, match=message):
        check_plan(engine, LIBRARY, "NVIDIA L4", "8.9")


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"hardware": "ampere+"}, True),
        ({"hardware": "same-capability"}, False),
        ({"hardware": "same-capability", "gpu": "NVIDIA RTX 6000 (compute capability 8.9)"}, True),
        ({"hardware": "same"}, False),
    ],
)
def test_hardware_compatibility_widens_where_an_engine_runs(changes: dict[str, Any], taken: bool, engine: Path) -> None:  # noqa: FBT001  # a parameter of the test
    edit(engine, **{"gpu": "NVIDIA A10 (compute capability 8.6)", "capabilities": []} | changes)
    gpu = "NVIDIA L4 (compute capability 8.9)"
    if taken:
        assert check_plan(engine, LIBRARY, gpu, "8.9")
    else:
        with pytest.raises(UsageError, match="and here is NVIDIA L4"):
            check_plan(engine, LIBRARY, gpu, "8.9")
    with pytest.raises(UsageError, match="and here is NVIDIA T4"):
        check_plan(engine, LIBRARY, "NVIDIA T4 (compute capability 7.5)", "7.5")


def test_a_version_compatible_engine_runs_on_later_versions_of_its_major(engine: Path) -> None:
    major = LIBRARY.version.partition(".")[0]
    for version, taken in ((f"{major}.0", True), (f"{major}.999", False), ("0.9", False)):
        edit(engine, version=version, version_compatible=True)
        if taken:
            assert check_plan(engine, LIBRARY)["version"] == version
        else:
            with pytest.raises(UsageError, match=f"for the version tensorrt-rtx {version}, and here is"):
                check_plan(engine, LIBRARY)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (b"", "starts with b''"),
        (b"ONNX" + bytes(60), "is no plan of tensorrt-rtx: it starts with b'ONNX'"),
        (PLAN[:40], "truncated: 40 of 64 bytes"),
        (PLAN[:-1] + b"x", "damaged: it is not what engine.json says"),
    ],
)
def test_a_foreign_or_truncated_plan_is_refused(plan: bytes, message: str, engine: Path) -> None:
    (engine / PLAN_FILE).write_bytes(plan)
    with pytest.raises(UsageError, match=message):
        check_plan(engine, LIBRARY)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"library": 1}'])
def test_damaged_metadata_is_refused(text: str, engine: Path) -> None:
    (engine / ABOUT_FILE).write_text(text)
    with pytest.raises(UsageError, match=r"engine\.json is missing or damaged"):
        check_plan(engine, LIBRARY)


def test_a_plan_that_is_gone_is_refused(engine: Path) -> None:
    (engine / PLAN_FILE).unlink()
    with pytest.raises(UsageError, match=r"engine\.plan is missing"):
        check_plan(engine, LIBRARY)


PROFILES = [
    {"x": {"min": [1, 3], "opt": [1, 3], "max": [1, 3]}, "m": {"min": [1], "opt": [1], "max": [1]}},
    {"x": {"min": [2, 3], "opt": [8, 3], "max": [16, 9]}, "m": {"min": [2], "opt": [8], "max": [16]}},
]


def test_the_first_profile_that_covers_all_inputs_is_used() -> None:
    assert profile_for(PROFILES, {"x": (1, 3), "m": (1,)}) == 0
    assert profile_for(PROFILES, {"x": (16, 4), "m": (2,), "unused": (7,)}) == 1


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            {"x": (17, 3), "m": (16,)},
            r"covers input x of shape \[17, 3\]: it takes \[1, 3\] to \[1, 3\] or \[2, 3\] to",
        ),
        ({"x": (4, 3, 1), "m": (4,)}, "covers input x of shape"),
        ({"x": (4, 3)}, "also needs m"),
    ],
)
def test_shapes_that_no_profile_covers(shapes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(StepFailed, match=message):
        profile_for(PROFILES, shapes)


def test_a_machine_without_a_gpu_says_so(engine: Path) -> None:
    if find_gpu() is not None:
        pytest.skip("there is a GPU")
    pytest.importorskip("tensorrt_rtx", reason="optkit[rtx] is not installed", exc_type=ImportError)
    library = LIBRARIES["tensorrt-rtx"]
    assert "needs an NVIDIA GPU and its driver" in why_not(library)
    edit(engine, version=library.version)
    with pytest.raises(MissingDependency, match="needs an NVIDIA GPU"):
        RUNTIMES["tensorrt-rtx"].open(engine, 1)


def test_a_library_that_is_absent_is_named() -> None:
    absent = replace(LIBRARIES["tensorrt"], distribution="no-such-package", module="no_such_module")
    assert why_not(absent) == "tensorrt is not installed"
    with pytest.raises(MissingDependency, match="tensorrt is not installed"):
        absent.load()
    if LIBRARIES["tensorrt"].version == "absent":
        with pytest.raises(MissingDependency, match="the runtime tensorrt needs tensorrt"):
            check_installed("tensorrt")


def test_the_driver_tells_the_gpu(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "driver.c").write_text(DRIVER)
    library = tmp_path / "libdriver.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "driver.c"], check=True)
    gpu = find_gpu(str(library))
    assert gpu is not None
    assert (str(gpu), gpu.driver) == ("NVIDIA L4 (compute capability 8.9)", "12.8")
    assert find_gpu(str(tmp_path / "absent.so")) is None


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "IBuilder::build: Error Code 4: API Usage Error (Input x is missing. In validate at /a.cpp:4)",
            "Input x is missing",
        ),
        ("Invalid Node - n0\nno\n[checkMacros.cpp::catchCudaError::250] (cudaError 35: old)", "Invalid Node - n0 no"),
    ],
)
def test_messages_lose_their_place_in_the_librarys_code(said: str, shown: str) -> None:
    assert plain(said) == shown


def test_the_absence_of_a_gpu_is_told_from_other_errors() -> None:
    assert lacks_gpu("Cuda Runtime (In generateForCurrent (cudaError 35: CUDA driver version is insufficient))")
    assert not lacks_gpu("Dynamic input tensor x is missing dimensions")
