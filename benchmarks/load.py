"""What dynamic batching, binary tensors and gRPC bring a served model: `optkit load` at 16 requests in flight.

    python benchmarks/load.py out/mnist-cnn

Two real Triton servers, one as packaged and one without `dynamic_batching`, are driven in turns, so that whatever else
the machine does is done to both; figures are medians of the rounds. Beside the run's own model stands one of wide
matrices, of which a run costs the reading of 48 MB of weights, whether for one sample or for sixteen.
"""

from __future__ import annotations

import re
import shutil
import statistics
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import psutil
from harness import write
from onnx import TensorProto, helper, numpy_helper

from optkit.core import interface
from optkit.core.interface import Dim, Interface, Tensor
from optkit.serving.emitter import Deployable
from optkit.serving.golden import write_golden
from optkit.serving.triton import Triton
from optkit.serving.triton_server import serve
from optkit.workflow.loading import Load, demand, load

if TYPE_CHECKING:
    from optkit.serving.load.levels import Level

CONCURRENCY, ROUNDS, SECONDS = "16", 7, 1.5
WIDTH = 2048
BATCHING = re.compile(r"^dynamic_batching \{.*?^\}\n", re.MULTILINE | re.DOTALL)
WAYS = (("http", "binary"), ("http", "json"), ("grpc", "binary"))


@dataclass(frozen=True)
class Server:
    """A running server, and the processes that it consists of."""

    client: Any
    processes: list[psutil.Process]

    def cpu_seconds(self) -> float:
        """Returns what its processes have used so far."""
        times = [process.cpu_times() for process in self.processes]
        return float(sum(each.user + each.system for each in times))

    def counts(self, model: str) -> tuple[int, int]:
        """Returns how many samples it has run, and in how many executions."""
        with self.client._http() as http:  # noqa: SLF001  # tritonclient's own statistics
            found = http.get_inference_statistics(model)["model_stats"][0]
        return int(found["inference_count"]), int(found["execution_count"])


def main(run: Path) -> None:
    """Drives both servers in all ways; prints and writes the medians."""
    (model,) = (path.stem for path in (run / "golden").glob("*.npz"))
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shutil.copytree(run / "golden", scratch / "golden")
        shutil.copytree(run / "triton", scratch / "triton")
        emit_wide(scratch)
        servers = {
            "dynamic batching": started(stack, scratch / "triton", scratch / "with.log"),
            "no batching": started(stack, without_batching(scratch), scratch / "without.log"),
        }
        for _ in range(ROUNDS):
            for name, protocol, tensors in (("wide", "http", "binary"), *((model, *way) for way in WAYS)):
                for kind, server in servers.items():
                    rows[f"{name}, {protocol}, {tensors}, {kind}"].append(
                        measured(server, scratch, name, protocol, tensors)
                    )
    medians = {
        row: {key: statistics.median(each[key] for each in found) for key in found[0]} for row, found in rows.items()
    }
    for row, figures in medians.items():
        print(f"{row:44} " + "  ".join(f"{key} {value:8.2f}" for key, value in figures.items()))
    write("load", {"concurrency": int(CONCURRENCY), "medians of rounds": ROUNDS, "load": medians})


def emit_wide(folder: Path) -> None:
    """Writes three products with a matrix of 2048 x 2048, its Triton entry and its golden requests."""
    artifact = folder / "wide"
    artifact.mkdir()
    random = np.random.default_rng(0)
    weights = [random.normal(0, WIDTH**-0.5, (WIDTH, WIDTH)).astype(np.float32) for _ in range(3)]
    x_info, y_info = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH]) for name in ("x", "y"))
    graph = helper.make_graph(
        [helper.make_node("MatMul", [a, b], [c]) for a, b, c in (("x", "w0", "h"), ("h", "w1", "i"), ("i", "w2", "y"))],
        "wide",
        [x_info],
        [y_info],
        [numpy_helper.from_array(array, f"w{index}") for index, array in enumerate(weights)],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), artifact / "model.onnx"
    )
    tensors = (Tensor("x", "float32", ("batch", WIDTH)),), (Tensor("y", "float32", ("batch", WIDTH)),)
    shape = Interface(*tensors, {"batch": Dim(1, 8, 32)})
    interface.write(artifact, shape)
    Triton().emit(Deployable("wide", artifact, shape), folder / "triton")
    x = random.normal(size=(16, WIDTH)).astype(np.float32)
    write_golden(folder / "golden" / "wide.npz", [{"x": x}], [{"y": x @ weights[0] @ weights[1] @ weights[2]}])


def started(stack: ExitStack, repository: Path, log: Path) -> Server:
    """Starts a server that ends with the stack."""
    before = set(psutil.Process().children())
    client = stack.enter_context(serve(repository, log))
    (process,) = set(psutil.Process().children()) - before
    return Server(client, [process, *process.children(recursive=True)])


def without_batching(folder: Path) -> Path:
    """Copies the repository in a folder without its `dynamic_batching`."""
    copy = shutil.copytree(folder / "triton", folder / "plain")
    for config in copy.glob("*/config.pbtxt"):
        text = config.read_text()
        assert BATCHING.search(text), config  # noqa: S101  # else there is nothing to compare
        config.write_text(BATCHING.sub("", text))
    return copy


def measured(server: Server, run: Path, model: str, protocol: str, tensors: str) -> dict[str, float]:
    """Returns the figures of one round."""
    cpu, (samples, executions) = server.cpu_seconds(), server.counts(model)
    level = driven(server, run, model, protocol, tensors)
    more_samples, more_executions = server.counts(model)
    return {
        "requests/s": level.requests_per_second,
        "p50 ms": level.percentiles_ms["p50"],
        "samples per execution": (more_samples - samples) / (more_executions - executions),
        "server CPU ms per request": 1e3 * (server.cpu_seconds() - cpu) / (more_samples - samples),
        "client cores": level.client_cores,
    }


def driven(server: Server, run: Path, model: str, protocol: str, tensors: str) -> Level:
    """Drives the server at one level; every answer must be right."""
    url = server.client._http_url if protocol == "http" else server.client._grpc_url  # noqa: SLF001  # where it listens
    wanted = "auto" if protocol == "grpc" else tensors
    request = Load(
        url, protocol, wanted, model, run, None, None, 1, CONCURRENCY, SECONDS, 10.0, allow_remote=False
    )  # fmt: skip
    events = load(request)
    while True:
        try:
            next(events)
        except StopIteration as stop:
            demand(stop.value)
            level: Level = stop.value.levels[0]
            return level


if __name__ == "__main__":
    main(Path(sys.argv[1]))
