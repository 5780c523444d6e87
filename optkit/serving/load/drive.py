"""Keeps a number of requests in flight for a while, and looks at every answer."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from optkit.serving.load.levels import Level, latencies
from optkit.serving.load.protocol import RequestFailed
from optkit.serving.verify import TOGETHER, compare

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from optkit.serving.load.protocol import Server
    from optkit.serving.load.samples import Arrays

_WARM_UP = 0.2
"""Share of a level's time that goes before its window, …"""
_LONGEST_WARM_UP = 1.0
"""… and its seconds at most."""
_PAUSE = 0.1
"""Seconds that a client waits after a failed request: a server that is gone is not to be flooded."""
_TICK = 0.1
_GRACE = 1.0
_MOST_PROBLEMS = 5
_NUMBER = re.compile(r"\d[\d.e+-]*")


@dataclass(frozen=True, slots=True)
class Question:
    """A request, ready to be sent, and what must be answered.

    Attributes:
        request: What `Server.prepare` gave.
        samples: How many samples it asks about.
        outputs: The right answer.
    """

    request: Any
    samples: int
    outputs: Arrays


def wrong(answer: Arrays, right: Arrays) -> str:
    """Returns in what an answer differs from the right one, else an empty text.

    Other requests may have shared its batch: the tolerance is that of `verify` for such answers.
    """
    for name, expected in right.items():
        found = answer.get(name)
        if found is not None and found.shape == (*expected.shape, 1):
            found = found[..., 0]  # some servers have no scalars
        _, problem = compare(found, expected, TOGETHER)
        if problem:
            return f"output '{name}' {problem}"
    return ""


def drive(
    server: Server, questions: Sequence[Question], concurrency: int, seconds: float, timeout: float
) -> Generator[float, None, Level]:
    """Keeps `concurrency` requests in flight, each client asking all questions in turn.

    Yields:
        The share of the time that is over.

    Returns:
        What was seen. It takes no longer than the warm-up, `seconds` and `timeout` together, whatever the server does.
    """
    begin = time.perf_counter() + min(_LONGEST_WARM_UP, _WARM_UP * seconds)
    end = begin + seconds
    clients = [_Client(server, questions, number, end) for number in range(concurrency)]
    try:
        for client in clients:
            client.start()
        yield from _wait(begin, begin, end)
        busy = time.process_time()
        yield from _wait(end, begin, end)
        busy = time.process_time() - busy
        _join(clients, end + timeout + _GRACE)
    finally:
        for client in clients:
            client.give_up()
    return _level(clients, concurrency, begin, end, busy)


@dataclass(slots=True)
class _Seen:
    """A request that was answered rightly: when it was sent, when the answer was there, and its samples."""

    sent: float
    answered: float
    samples: int


@dataclass
class _Tally:
    """What one client saw."""

    right: list[_Seen] = field(default_factory=list)
    errors: int = 0
    wrong: int = 0
    problems: Counter[str] = field(default_factory=Counter)


class _Client(threading.Thread):
    def __init__(self, server: Server, questions: Sequence[Question], number: int, end: float) -> None:
        super().__init__(daemon=True)
        self.tally = _Tally()
        self.crash: Exception | None = None
        self._server = server
        # Not all begin with the same question, so that answers which reach the wrong client are noticed.
        self._questions = islice(cycle(questions), number % len(questions), None)
        self._end = end
        self._stopped = threading.Event()
        self._connection = server.connect()

    def run(self) -> None:
        try:
            for question in self._questions:
                if self._stopped.is_set() or time.perf_counter() >= self._end:
                    return
                self._ask(question)
        except Exception as error:  # noqa: BLE001  # a bug of ours: raised again by whoever waits for this thread
            self.crash = error
        finally:
            self._connection.close()

    def give_up(self) -> None:
        """Ends the client, a request that waits included."""
        self._stopped.set()
        if self.is_alive():
            self._connection.close()
            self.join(_GRACE)
        if self.crash is not None:
            raise self.crash

    def _ask(self, question: Question) -> None:
        sent = time.perf_counter()
        try:
            answer = self._connection.send(question.request)
            answered = time.perf_counter()
            problem = wrong(self._server.read(answer), question.outputs)
        except RequestFailed as error:
            self.tally.errors += 1
            self.tally.problems[str(error)] += 1
            self._stopped.wait(_PAUSE)
            return
        if problem:
            self.tally.wrong += 1
            self.tally.problems[problem] += 1
        else:
            self.tally.right.append(_Seen(sent, answered, question.samples))


def _wait(until: float, begin: float, end: float) -> Generator[float, None, None]:
    while (left := until - time.perf_counter()) > 0:
        time.sleep(min(_TICK, left))
        yield max(0.0, min(1.0, (time.perf_counter() - begin) / (end - begin)))


def _join(clients: Sequence[_Client], deadline: float) -> None:
    for client in clients:
        client.join(max(0.0, deadline - time.perf_counter()))


def _level(clients: Sequence[_Client], concurrency: int, begin: float, end: float, busy: float) -> Level:
    tallies = [client.tally for client in clients]
    right = [seen for tally in tallies for seen in tally.right]
    within = [seen for seen in right if begin <= seen.answered < end]
    # Those still waiting when the window ends count here: leaving out the slowest would flatter the server.
    mean, percentiles = latencies([seen.answered - seen.sent for seen in right if begin <= seen.sent < end])
    return Level(
        concurrency=concurrency,
        seconds=end - begin,
        answers=len(within),
        requests_per_second=len(within) / (end - begin),
        samples_per_second=sum(seen.samples for seen in within) / (end - begin),
        mean_ms=mean,
        percentiles_ms=percentiles,
        errors=sum(tally.errors for tally in tallies),
        wrong=sum(tally.wrong for tally in tallies),
        problems=_problems([tally.problems for tally in tallies]),
        client_cores=busy / (end - begin),
    )


def _problems(tallies: Sequence[Counter[str]]) -> dict[str, int]:
    """Returns the most frequent problems; those that differ in numbers alone are one, named by the first seen."""
    counts: Counter[str] = Counter()
    named: dict[str, str] = {}
    for tally in tallies:
        for text, count in tally.items():
            counts[named.setdefault(_NUMBER.sub("0", text), text)] += count
    return dict(counts.most_common(_MOST_PROBLEMS))
