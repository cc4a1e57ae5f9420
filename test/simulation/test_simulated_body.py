import numpy as np
import pytest

from firsthand.robot.bodies.interface import TICK_NS, MotorCommand
from firsthand.robot.joints import JOINTS, MIMIC
from firsthand.simulation.judge import HOLD_NS
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand.simulation.tasks.push import GOAL_CENTER

ELBOW = JOINTS.index("right_elbow_joint")


@pytest.fixture(scope="module")
def body():
    return SimulatedBody("push", "id", 1)


def run(body, positions, ticks, stiffness=1.0):
    for _ in range(ticks):
        state = body.step(MotorCommand(positions, stiffness))
    return state


def test_time_counts_ticks_from_zero(body):
    assert body.reset().stamp_ns == 0
    assert run(body, body.state().positions, 3).stamp_ns == 3 * TICK_NS


def test_equal_commands_give_bit_equal_trajectories(body):
    def trajectory():
        start = body.reset(1).positions
        return np.array([run(body, start + 0.3 * np.sin(i / 20), 1).positions for i in range(60)])

    np.testing.assert_array_equal(trajectory(), trajectory())


def test_a_seed_decides_the_trial():
    body = SimulatedBody("push", "id", 5)
    fifth = body.scene_state()
    body.reset(6)
    assert body.scene.seed == 6
    assert body.scene_state() != fifth
    body.reset(5)
    assert body.scene_state() == fifth


def test_the_robot_holds_its_posture_against_gravity(body):
    start = body.reset().positions.copy()
    np.testing.assert_allclose(run(body, start, 250).positions, start, atol=2e-3)


def test_servos_reach_what_they_are_told(body):
    target = body.reset().positions.copy()
    target[ELBOW] -= 0.2  # up, away from the table
    target[-1] += 0.4  # a finger
    state = run(body, target, 400)
    np.testing.assert_allclose(state.positions, target, atol=5e-3)
    np.testing.assert_allclose(state.velocities, 0, atol=2e-2)


def test_without_stiffness_the_servos_only_damp(body):
    target = body.reset().positions.copy()
    target[ELBOW] -= 0.5
    start = body.state().positions.copy()
    np.testing.assert_allclose(run(body, target, 50, stiffness=0.0).positions, start, atol=5e-3)
    assert run(body, target, 50, stiffness=1.0).positions[ELBOW] < start[ELBOW] - 0.2


def test_finger_links_follow_their_motors(body):
    target = body.reset().positions.copy()
    target[-12:] += 0.3
    run(body, target, 250)
    state = body.scene_state()
    for name, mimic in MIMIC.items():
        assert state[name] == pytest.approx(mimic.multiplier * state[mimic.leader] + mimic.offset, abs=5e-3)


def test_success_needs_the_object_to_stay_in_the_zone(body):
    hold = body.reset(1).positions.copy()
    assert not body.success()
    assert body.progress() < 0.05
    x, y = GOAL_CENTER
    body.set_scene_state(body.scene_state() | {"object/x": x, "object/y": y})
    ticks = 0
    while not body.success():
        run(body, hold, 1)
        ticks += 1
        assert ticks < 200
    assert ticks * TICK_NS >= HOLD_NS
    assert body.progress() == 1.0


def test_nothing_counts_after_the_time_limit(body):
    hold = body.reset(1).positions.copy()
    body._ticks = round(body.scene.task.time_limit * 1e9 / TICK_NS) + 1
    assert body.timed_out()
    x, y = GOAL_CENTER
    body.set_scene_state(body.scene_state() | {"object/x": x, "object/y": y})
    run(body, hold, 120)
    assert not body.success()
