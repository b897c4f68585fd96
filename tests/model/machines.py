"""How the state machines of the models are run."""

import os
from collections.abc import Callable, Mapping

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def play(
    make: Callable[[], RuleBasedStateMachine],
    request: pytest.FixtureRequest,
    examples: Mapping[str, int],
    steps: int,
) -> None:
    """Run a machine, in CI always in the same way.

    Args:
        make: returns a new machine.
        request: of a test that has `address` as a parameter.
        examples: how many examples are tried on each kind of database.
        steps: how many steps an example has at most.
    """
    run_state_machine_as_test(
        make,
        settings=settings(
            max_examples=examples[request.node.callspec.params["address"]],
            stateful_step_count=steps,
            deadline=None,
            derandomize=os.environ.get("CI") == "true",
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
