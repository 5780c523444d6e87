"""Subscribers to the events: a live view for people, plain lines for logs, JSON lines for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from optkit.core.events import (
    Bisected,
    Event,
    Judged,
    Note,
    ObjectDamaged,
    Packaged,
    StepFinished,
    StepProgress,
    StepStarted,
    StepWaiting,
)

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.console import Console
    from rich.progress import Progress, TaskID

R = TypeVar("R")
_NARROWEST_LOG = 160


class View(Protocol):
    """Shows events as they come."""

    def show(self, event: Event) -> None:
        """Shows one event."""

    def close(self) -> None:
        """Ends the display."""


def follow(events: Generator[Event, None, R], *, as_json: bool = False, verbose: bool = False) -> R:
    """Shows every event and returns what the generator returns."""
    view = _view(as_json=as_json, verbose=verbose)
    try:
        while True:
            try:
                view.show(next(events))
            except StopIteration as stop:
                result: R = stop.value
                return result
    finally:
        # Not left to the garbage collector: closing it ends a running child and removes its folder.
        events.close()
        view.close()


def console(*, stderr: bool = False) -> Console:
    """Returns a console that never cuts a line when the output is a file or a pipe."""
    from rich.console import Console

    plain = Console(stderr=stderr, highlight=False, soft_wrap=True)
    return plain if plain.is_terminal else Console(stderr=stderr, highlight=False, width=_NARROWEST_LOG)


def _view(*, as_json: bool, verbose: bool) -> View:
    if as_json:
        return JsonLines()
    return Live() if sys.stderr.isatty() else Lines(verbose=verbose)


class JsonLines:
    """One JSON object per event, on stdout."""

    def show(self, event: Event) -> None:
        """Writes the event."""
        sys.stdout.write(json.dumps(event.to_json()) + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing to end."""


class Lines:
    """One line per thing that happened, on stderr; progress only when verbose."""

    def __init__(self, *, verbose: bool) -> None:
        self.verbose = verbose

    def show(self, event: Event) -> None:
        """Writes the event's line, if it has one."""
        if self.verbose and isinstance(event, StepProgress):
            sys.stderr.write(f"{event.step}: {event.fraction:.0%} {event.text}\n")
        text = describe(event)
        if text:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Nothing to end."""


class Live:
    """A bar with elapsed and remaining time for the step that runs; finished steps scroll above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns: list[Any] = [
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        ]
        self.progress: Progress = Progress(*columns, console=Console(stderr=True, highlight=False), transient=True)
        self.tasks: dict[str, TaskID] = {}
        self.progress.start()

    def show(self, event: Event) -> None:
        """Moves the bar or prints a finished line."""
        if isinstance(event, StepStarted | StepProgress):
            self._advance(event)
        if isinstance(event, StepFinished) or (isinstance(event, StepProgress) and event.fraction >= 1.0):
            self._end(event.step)
        text = describe(event)
        if text and not isinstance(event, StepStarted):
            self.progress.console.print(_coloured(event, text), soft_wrap=True)

    def close(self) -> None:
        """Removes the bar."""
        self.progress.stop()

    def _end(self, step: str) -> None:
        if step in self.tasks:
            self.progress.remove_task(self.tasks.pop(step))

    def _advance(self, event: StepStarted | StepProgress) -> None:
        if event.step not in self.tasks:
            self.tasks[event.step] = self.progress.add_task(event.step, total=None)
        if isinstance(event, StepProgress):
            text = f"{event.step}  [dim]{event.text}[/dim]" if event.text else event.step
            self.progress.update(self.tasks[event.step], total=1.0, completed=event.fraction, description=text)


def describe(event: Event) -> str:  # noqa: PLR0911  # one case per kind of event
    """Returns the line that a person reads about an event; empty for those that are only progress."""
    match event:
        case StepStarted():
            return f"{event.step}: running"
        case StepWaiting():
            return f"{event.step}: another process is building it, waiting"
        case StepFinished(cached=True):
            return f"{event.step}: cached"
        case StepFinished():
            return f"{event.step}: done in {event.record.get('seconds', 0.0):.1f} s"
        case ObjectDamaged():
            return f"{event.step}: its stored bytes were damaged, building it again"
        case Judged():
            return f"{event.candidate}: {event.text}"
        case Packaged():
            return f"{event.candidate}: packaged for {event.emitter} in {event.path}"
        case Note() | Bisected():
            return event.text
        case _:
            return ""


def _coloured(event: Event, text: str) -> str:
    from rich.markup import escape

    match event:
        case StepFinished(cached=True):
            return f"[dim]{escape(text)}[/dim]"
        case Judged(status="passed") | Packaged() | StepFinished():
            return f"[green]✓[/green] {escape(text)}"
        case Judged(status="failed"):
            return f"[red]✗[/red] {escape(text)}"
        case Judged() | ObjectDamaged() | StepWaiting() | Note() | Bisected():
            return f"[yellow]![/yellow] {escape(text)}"
        case _:
            return escape(text)
