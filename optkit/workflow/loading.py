"""`optkit load`: drives a running server and finds the concurrency from which more of it stops paying."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.core.errors import UsageError, VerifyFailed
from optkit.core.events import Event, Note, StepProgress, StepStarted
from optkit.workflow.output import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from optkit.serving.load.drive import Question
    from optkit.serving.load.levels import Level
    from optkit.serving.load.protocol import ModelSpec, Server

STEP = "load"


@dataclass(frozen=True, slots=True)
class Load:
    """What the user asked for.

    Attributes:
        url: Where the server is.
        protocol: `http`, `grpc`, or None for what the URL says.
        tensors: `binary`, `json` or `auto` (over HTTP).
        model: Its name on the server; None for the one of the run.
        run: What `optimize` wrote: its recorded requests are sent.
        data: Dataset folder or .npz file to send instead.
        split: Of the dataset.
        batch: Samples per request.
        concurrency: Levels, as in `1..64`, which doubles, or `1,4,16`.
        seconds: Of each level.
        timeout: Seconds that an answer may take.
        allow_remote: Whether the server may be another machine.
        authorities: PEM file of the certificates to trust with TLS; those of this system by default.
    """

    url: str
    protocol: str | None
    tensors: str
    model: str | None
    run: Path | None
    data: Path | None
    split: str | None
    batch: int
    concurrency: str
    seconds: float
    timeout: float
    allow_remote: bool
    authorities: Path | None = None


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What was seen.

    Attributes:
        url: The server.
        server: Its own name and version.
        model: Its name on the server.
        tensors: How tensors travelled: `binary` or `json`.
        requests: Different requests that were sent in turn.
        batch: Samples in each.
        levels: In ascending order; those after a level without any right answer were not tried.
        knee: Lowest concurrency from which more gains less than 10 % per doubling; None if it was not seen.
        untried: Levels that were not tried.
        busy_client: Levels at which this process was so busy that it may be what was slow, not the server.
    """

    url: str
    server: str
    model: str
    tensors: str
    requests: int
    batch: int
    levels: tuple[Level, ...]
    knee: int | None
    untried: tuple[int, ...]
    busy_client: tuple[int, ...]


def load(request: Load) -> Generator[Event, None, LoadReport]:
    """Asks each request once, alone, then drives the server at every level of concurrency.

    Recorded requests must first be answered as recorded. What is cut from them, or comes from a dataset, must then
    always be answered as it was when it was asked alone.

    Raises:
        UsageError: The URL, the model or the samples do not fit, or the server is another machine.
        MissingDependency: tritonclient is not installed.
        VerifyFailed: The server answers wrongly, or not at all, before there is any load.
    """
    from optkit.serving.load import levels as measured
    from optkit.serving.load.drive import drive

    concurrencies = measured.concurrencies(request.concurrency)
    name = _model_name(request)
    server = _server(request)
    yield StepStarted(f"{STEP} {name} on {server.name}")
    model = server.model(name)
    questions = _questions(request, server, model)
    yield Note(f"each of {len(questions)} requests was asked once, alone")
    levels: list[Level] = []
    for index, concurrency in enumerate(concurrencies):
        steps = drive(server, questions, concurrency, request.seconds, request.timeout)
        while True:
            try:
                share = next(steps)
            except StopIteration as stop:
                levels.append(stop.value)
                break
            yield StepProgress(STEP, (index + share) / len(concurrencies), f"concurrency {concurrency}")
        if levels[-1].dead:
            break
    yield StepProgress(STEP, 1.0, "done")
    found = measured.knee(levels)
    return LoadReport(
        url=request.url,
        server=server.name,
        model=name,
        tensors=server.tensors,
        requests=len(questions),
        batch=request.batch,
        levels=tuple(levels),
        knee=found.concurrency if found else None,
        untried=concurrencies[len(levels) :],
        busy_client=tuple(level.concurrency for level in levels if level.client_cores >= measured.BUSY),
    )


def demand(report: LoadReport) -> None:
    """Refuses a report with errors or wrong answers.

    Raises:
        VerifyFailed: Says which, how often and at which level.
    """
    bad = [level for level in report.levels if not level.clean]
    if not bad:
        return
    errors, wrong = sum(level.errors for level in bad), sum(level.wrong for level in bad)
    lines = [
        f"  concurrency {level.concurrency}: {count} x {text}"
        for level in bad
        for text, count in level.problems.items()
    ]
    if report.untried:
        untried = ", ".join(map(str, report.untried))
        lines.append(f"  nothing was answered rightly any more: concurrency {untried} was not tried")
    raise VerifyFailed(
        "\n".join([f"{report.model}: {wrong} wrong answers, {errors} requests without an answer", *lines])
    )


def _model_name(request: Load) -> str:
    if request.run is not None and request.data is not None:
        raise UsageError("--run and --data both say what to send", hint="give one of them")
    if request.model is not None:
        return request.model
    if request.run is None:
        raise UsageError("which model should be asked, and what?", hint="give --run DIR, or --model NAME and --data")
    names = sorted(path.stem for path in (request.run / GOLDEN).glob("*.npz"))
    if len(names) != 1:
        hint = f"give --model: {', '.join(names)}" if names else "give a folder that `optkit optimize` wrote"
        raise UsageError(f"{request.run} holds requests for {len(names)} models", hint=hint)
    return names[0]


def _server(request: Load) -> Server:
    from optkit.serving.load import endpoint
    from optkit.serving.load.over_grpc import GrpcServer
    from optkit.serving.load.over_http import HttpServer

    found = endpoint.find(
        request.url, request.protocol, allow_remote=request.allow_remote, authorities=request.authorities
    )
    if not found.is_grpc:
        return HttpServer(found, request.timeout, request.tensors)
    if request.tensors == "json":
        raise UsageError("gRPC has no JSON tensors", hint="leave --tensors out, or give --protocol http")
    return GrpcServer(found, request.timeout)


def _questions(request: Load, server: Server, model: ModelSpec) -> list[Question]:
    from optkit.data.source import load_dataset
    from optkit.serving.load.questions import from_data, recorded

    if request.run is not None:
        return recorded(server, model, _golden(request.run, model.name), request.batch)
    if request.data is not None:
        return from_data(server, model, load_dataset(request.data, request.split), request.batch)
    raise UsageError("there is nothing to send", hint="give --run DIR, what optimize wrote, or --data")


def _golden(run: Path, model: str) -> Path:
    """Returns the requests recorded for a model; those of the only model, if it is served under another name."""
    files = sorted((run / GOLDEN).glob("*.npz"))
    own = run / GOLDEN / f"{model}.npz"
    return files[0] if len(files) == 1 and own not in files else own
