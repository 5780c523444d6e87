"""Build kits: what a machine with the library is told to do."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from optkit.core.artifact import digest_file
from optkit.core.errors import UsageError
from optkit.core.interface import Dim
from optkit.core.passes import Work
from optkit.passes.build_engine import BuildEngine
from optkit.runtimes.tensorrt.library import LIBRARIES
from optkit.runtimes.tensorrt.plan import ABOUT_FILE, check_plan, write_about
from tests.passes.engines import FLOAT, artifact

if TYPE_CHECKING:
    from pathlib import Path

PROFILES = ({"batch": Dim(1, 1, 1)}, {"batch": Dim(2, 8, 16)})


def kit(folder: Path, text: str = FLOAT, **options: Any) -> tuple[dict[str, Any], Path]:  # noqa: ANN401  # of the pass
    work = Work(folder / "kit", folder / "scratch")
    do = BuildEngine(defer=True, target="tensorrt", **options)
    do.run({"model": artifact(folder / "model", text)}, work)
    return json.loads((work.out / "kit.json").read_text()), work.out


def test_a_kit_holds_all_that_is_needed(tmp_path: Path) -> None:
    about, folder = kit(tmp_path)
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "build.py", "kit.json", "model.json", "model.onnx",
    }  # fmt: skip
    assert about["approved"] is False
    assert about["files"] == {"model.onnx": digest_file(folder / "model.onnx")}
    assert about["profiles"] == [{"x": {"min": [1, 16], "opt": [4, 16], "max": [16, 16]}}]
    assert "optkit" not in (folder / "build.py").read_text().replace("optkit copies this file", "")


def test_the_commands_differ_where_the_versions_do(tmp_path: Path) -> None:
    about, folder = kit(
        tmp_path, profiles=PROFILES, workspace=256, level=5, hardware="ampere+", version_compatible=True
    )
    ten, eleven = (shlex.split(about["trtexec"][major]) for major in ("10", "11"))
    assert set(ten) - set(eleven) == {"--stronglyTyped"}
    assert eleven[:3] == ["trtexec", "--onnx=model.onnx", "--saveEngine=model.plan"]
    assert eleven[-8:] == [
        "--profile=0", "--minShapes=x:1x16", "--optShapes=x:1x16", "--maxShapes=x:1x16",
        "--profile=1", "--minShapes=x:2x16", "--optShapes=x:8x16", "--maxShapes=x:16x16",
    ]  # fmt: skip
    assert {
        "--memPoolSize=workspace:256", "--builderOptimizationLevel=5", "--hardwareCompatibilityLevel=ampere+",
        "--versionCompatible",
    } <= set(eleven)  # fmt: skip
    assert not {word for word in eleven if word.startswith(("--fp16", "--int8", "--best"))}
    readme = (folder / "README.md").read_text()
    assert "Not approved" in readme
    assert about["trtexec"]["10"] in readme


def test_a_graph_that_cannot_become_an_engine_gets_no_kit(tmp_path: Path) -> None:
    text = "g (float[batch,16] x) => (float[batch,16] y) { y = com.microsoft.FastGelu(x) }"
    with pytest.raises(UsageError, match="1 node keeps the graph from becoming an engine of tensorrt"):
        kit(tmp_path, text)
    assert not (tmp_path / "kit").exists()


def test_a_kit_is_no_engine(tmp_path: Path) -> None:
    _, folder = kit(tmp_path)
    about = {"library": "", "version": "", "platform": "", "profiles": [], "plan": {"sha256": ""}}
    write_about(folder, about)
    assert (folder / ABOUT_FILE).exists()
    with pytest.raises(UsageError, match="this is a build kit: its engine is yet to be built"):
        check_plan(folder, LIBRARIES["tensorrt"])
