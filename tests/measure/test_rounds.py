from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from optkit.core.errors import StepFailed
from optkit.measure.rounds import Rounds, settled

if TYPE_CHECKING:
    from optkit.measure.rounds import Turn


@dataclass
class Machine:
    """A machine on which every turn takes what it should, give or take, and nobody has to wait for it."""

    spread: float = 0.0
    now: float = 0.0
    log: list[str] = field(default_factory=list)
    random: random.Random = field(default_factory=lambda: random.Random(0))

    def takes(self, name: str, seconds: float, fails_after: int = 10**9) -> tuple[str, Turn]:
        def turn() -> list[int]:
            self.log.append(name)
            if self.log.count(name) > fails_after:
                raise StepFailed(f"timing '{name}': it broke")
            taken = seconds * self.random.lognormvariate(0, self.spread)
            self.now += taken
            return [round(taken * 1e9)]

        return name, turn

    def clock(self) -> float:
        return self.now


def _finish(rounds: Rounds, seconds: float) -> int:
    return len(list(rounds.run(seconds)))


def test_a_quiet_machine_stops_at_the_first_look() -> None:
    machine = Machine(spread=0.001)
    rounds = Rounds(dict([machine.takes("a", 0.02), machine.takes("b", 0.01)]), 0.02, machine.clock)
    told = _finish(rounds, 60)
    assert len(rounds.samples["b"]) == 20
    assert settled(rounds.ratios, 0.02)
    assert rounds.ratios["b"].ratio == pytest.approx(2, rel=0.01)
    assert told == 2  # a word every 0.2 s
    assert machine.now < 1


def test_a_noisy_machine_uses_its_time_and_says_that_it_did_not_settle() -> None:
    machine = Machine(spread=0.5)
    rounds = Rounds(dict([machine.takes("a", 0.01), machine.takes("b", 0.01)]), 0.02, machine.clock)
    _finish(rounds, 5)
    assert 5 <= machine.now < 5.5
    assert not settled(rounds.ratios, 0.02)
    lower, upper = rounds.ratios["b"].interval
    assert lower < 1 < upper
    assert upper - lower < 0.3


def test_five_rounds_are_made_whatever_they_take_and_have_bounds() -> None:
    machine = Machine(spread=0.1)
    rounds = Rounds(dict([machine.takes("a", 30), machine.takes("b", 10)]), 0.02, machine.clock)
    _finish(rounds, 1)
    assert len(rounds.samples["a"]) == 10
    lower, upper = rounds.ratios["b"].interval
    assert 2 < lower < 3 < upper < 4


def test_everybody_goes_there_and_back_in_changing_order() -> None:
    machine = Machine(spread=0.1)
    rounds = Rounds(dict(machine.takes(name, 0.01) for name in "abc"), 1e-9, machine.clock)
    _finish(rounds, 3)
    turns = ["".join(machine.log[at : at + 6]) for at in range(0, len(machine.log), 6)]
    assert all(turn[:3] == turn[:2:-1] for turn in turns)
    assert all(sorted(turn[:3]) == ["a", "b", "c"] for turn in turns)
    assert len(set(turns)) == 6


def test_a_candidate_that_fails_is_left_out_and_the_others_go_on() -> None:
    machine = Machine(spread=0.001)
    subjects = [machine.takes("a", 0.02), machine.takes("bad", 0.01, fails_after=7), machine.takes("good", 0.01)]
    rounds = Rounds(dict(subjects), 0.02, machine.clock)
    _finish(rounds, 60)
    assert str(rounds.failed["bad"]) == "timing 'bad': it broke"
    assert list(rounds.ratios) == ["good"]
    assert settled(rounds.ratios, 0.02)
    assert machine.log.count("bad") == 8


def test_without_its_only_candidate_the_baseline_goes_on_alone() -> None:
    machine = Machine(spread=0.001)
    subjects = [machine.takes("a", 0.02), machine.takes("bad", 0.01, fails_after=0)]
    rounds = Rounds(dict(subjects), 0.02, machine.clock)
    _finish(rounds, 60)
    assert list(rounds.failed) == ["bad"]
    assert settled(rounds.ratios, 0.02)
    assert rounds.ratios["a"].ratio == pytest.approx(20e6, rel=0.01)


def test_nothing_is_measured_without_the_baseline() -> None:
    machine = Machine()
    subjects = [machine.takes("a", 0.02, fails_after=3), machine.takes("b", 0.01)]
    with pytest.raises(StepFailed, match="'a': it broke"):
        _finish(Rounds(dict(subjects), 0.02, machine.clock), 60)
