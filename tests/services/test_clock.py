"""The clock of the application, while the clock of the machine is changed."""

from datetime import timedelta

import pytest

from gatelodge.clock import SystemClock

HOUR = timedelta(hours=1)


class Machine:
    """The wall clock and the monotonic clock of a machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replace the real clocks."""
        self.wall = 1_700_000_000.0
        self.monotonic = 5.0
        monkeypatch.setattr("gatelodge.clock.time.time", lambda: self.wall)
        monkeypatch.setattr("gatelodge.clock.time.monotonic", lambda: self.monotonic)

    def pass_by(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.wall += seconds
        self.monotonic += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a machine whose clocks the test sets."""
    return Machine(monkeypatch)


@pytest.mark.parametrize("step", [0.001, 0.02, 1.0, 3600.0])
def test_time_passes_at_its_pace(machine: Machine, step: float) -> None:
    """It makes no difference how often the clock is read."""
    clock = SystemClock()
    began = clock.now()
    for _ in range(50):
        machine.pass_by(step)
        assert abs(clock.milliseconds() - machine.wall * 1000) <= 1
    assert abs(clock.now() - began - timedelta(seconds=50 * step)) <= timedelta(milliseconds=1)


def test_a_clock_that_is_set_back_revives_nothing(machine: Machine) -> None:
    """The time does not go back. It goes on from where it was."""
    clock = SystemClock()
    before = clock.now()
    machine.wall -= HOUR.total_seconds()
    assert clock.now() == before
    machine.pass_by(60)
    assert clock.now() == before + timedelta(minutes=1)


def test_a_clock_that_is_set_forward_is_followed(machine: Machine) -> None:
    """The clock follows within a hundredth of a second."""
    clock = SystemClock()
    before = clock.now()
    machine.wall += HOUR.total_seconds()
    machine.pass_by(0.0101)
    assert HOUR < clock.now() - before < HOUR + timedelta(milliseconds=20)
    machine.wall -= HOUR.total_seconds()
    machine.pass_by(1)
    assert clock.now() - before > HOUR, "it does not go back"
