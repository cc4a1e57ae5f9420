import numpy as np
import pytest

from firsthand.errors import SimulationError
from firsthand.space.frames import inverse
from firsthand.space.hand_state import HandState, orthonormalize
from firsthand.space.rotations import angle_between, matrix_from_rotation_vector
from firsthand_training.demonstrations.actor import RIGHT
from firsthand_training.demonstrations.human.actor import HumanActor
from firsthand_training.demonstrations.human.demonstration import human_body, seen_from
from firsthand_training.demonstrations.human.person import Person
from firsthand_training.demonstrations.push_expert import PushExpert


@pytest.fixture
def body():
    return human_body("human", "push", "id", 0)


def held(body, wrists_in_world, fingertips, steps):
    """Hold both hands at places in the world for some steps; the hand state at the end."""
    for _ in range(steps):
        start = body.hand_state()
        wrists = body.robot_from_world @ wrists_in_world
        state = body.step(HandState.from_poses(start.head_rotation, wrists, fingertips).to_vector())
    return state


def test_wrists_and_fingertips_follow_their_targets(body):
    start = body.hand_state()
    wrists = inverse(body.robot_from_world) @ start.wrist_poses
    wrists[:, :3, 3] += [0.06, 0.0, 0.05]
    wrists[RIGHT, :3, :3] = wrists[RIGHT, :3, :3] @ matrix_from_rotation_vector(np.array([0.3, 0.1, -0.2]))
    actor = HumanActor(body)
    fingertips = np.stack([actor.fingertips(side, "paddle") for side in range(2)])
    state = held(body, wrists, fingertips, steps=20)
    measured = inverse(body.robot_from_world) @ state.wrist_poses
    assert np.linalg.norm(measured[:, :3, 3] - wrists[:, :3, 3], axis=1).max() < 0.002
    assert angle_between(measured[:, :3, :3], wrists[:, :3, :3]).max() < 0.01
    assert np.linalg.norm(state.fingertips_in_wrist - fingertips, axis=-1).max() < 0.004


def test_both_hands_start_at_rest_as_mirror_images_of_a_shape(body):
    tips = body.hand_state().fingertips_in_wrist
    np.testing.assert_allclose(tips[0] * [1, -1, 1], tips[1], atol=1e-6)
    assert not body.scene.touched()


def test_the_head_looks_down_at_the_table_and_its_frame_goes_along(body):
    before = body.robot_from_world
    start = body.hand_state()
    assert 0.4 < np.arcsin(-start.head_rotation[2, 0]) < 1.1  # [rad], down
    wrists = inverse(before) @ start.wrist_poses
    wrists[RIGHT, :3, 3] += [0.1, -0.1, 0.1]
    after = held(body, wrists, start.fingertips_in_wrist, steps=30)
    assert after.head_rotation[1, 0] < start.head_rotation[1, 0] - 0.01  # turned after the right hand
    assert not np.allclose(body.robot_from_world, before)
    np.testing.assert_allclose(body.robot_from_world[:3, :3], before[:3, :3])  # the heading is that of the start


def test_a_state_seen_from_a_frame_that_moved_is_where_it_was():
    rng = np.random.default_rng(0)
    state = HandState.from_vector(orthonormalize(rng.normal(size=54)))
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = matrix_from_rotation_vector(rng.normal(size=3)), rng.normal(size=3)
    there_and_back = seen_from(seen_from(state, moved), inverse(moved))
    np.testing.assert_allclose(there_and_back.to_vector(), state.to_vector(), atol=1e-12)
    tips = state.fingertips_in_robot @ moved[:3, :3].T + moved[:3, 3]
    np.testing.assert_allclose(seen_from(state, moved).fingertips_in_robot, tips, atol=1e-12)


def test_the_expert_pushes_with_a_hand_quicker_than_the_robots(body):
    expert = PushExpert(HumanActor(body), 0)
    wrists = []
    while not body.success() and not body.timed_out():
        body.step(expert.act())
        wrists.append((inverse(body.robot_from_world) @ body.hand_state().wrist_poses)[RIGHT, :3, 3])
    assert body.success()
    assert np.linalg.norm(np.diff(wrists, axis=0), axis=1).max() * 25 > 0.4  # [m/s]; the robot's stays below 0.35


def test_the_seed_decides_person_and_trial():
    assert Person.draw("human", 3) == Person.draw("human", 3)
    assert Person.draw("human", 3) != Person.draw("human", 4)
    assert Person.draw("human", 3) != Person.draw("video", 3)
    first, again = (human_body("video", "push", "id", 3) for _ in range(2))
    target = first.hand_state().to_vector()
    for _ in range(3):
        np.testing.assert_array_equal(first.step(target).to_vector(), again.step(target).to_vector())


def test_there_are_no_other_people():
    with pytest.raises(SimulationError, match="no people of kind 'ghost'; there are human, video"):
        Person.draw("ghost", 0)
