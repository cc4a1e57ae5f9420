import pytest

pytest.importorskip("mujoco")

from firsthand.robot.bodies.interface import MotorCommand
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand.simulation.tasks.push import GOAL_CENTER
from firsthand.simulation.trials import TrialWatch


def run(body, watch, ticks):
    """The first outcome that the watch gives while the robot holds still."""
    state = body.reset()
    for _ in range(ticks):
        outcome = watch.outcome(state.stamp_ns)
        if outcome is not None:
            return outcome
        state = body.step(MotorCommand(positions=body.scene.initial_positions))
    return None


def test_time_runs_out_on_a_robot_that_does_nothing():
    body = SimulatedBody("push", "id", 3)
    outcome = run(body, TrialWatch(body), 2600)
    assert str(outcome).startswith("trial push/id/3: no success within 10.0")


def test_success_is_told_a_second_later_and_again_for_the_next_trial():
    body = SimulatedBody("push", "id", 3)
    watch = TrialWatch(body)
    start = body.scene.data.joint("object").qpos.copy()
    for _ in range(2):  # the watch forgets one trial for the next
        body.reset()
        state = body.state()
        body.scene.data.joint("object").qpos[:2] = GOAL_CENTER  # somebody else put it there
        outcome = None
        while outcome is None:
            state = body.step(MotorCommand(positions=body.scene.initial_positions))
            outcome = watch.outcome(state.stamp_ns)
        assert outcome.success
        assert state.stamp_ns / 1e9 == pytest.approx(outcome.seconds + 1.0, abs=0.01)
        assert start[1] < 0
