"""Hands that do what they are told, some of them off their place: no robot, no physics."""

import numpy as np
import pytest

from firsthand.space.frames import inverse, pose
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import matrix_from_rpy
from firsthand_training.demonstrations.actor import LEFT, RIGHT
from firsthand_training.demonstrations.moving_hands import Move, MovingHands

TOOL = np.array([0.14, 0.02, -0.05])
GOAL = np.array([0.45, -0.1, 1.0])
TURNED = matrix_from_rpy(1.5, 0.1, 0.3)
STARTS = ((0.3, 0.3, 1.0), (0.3, -0.3, 1.0))


class Obedient:
    """An actor whose hands are where they were last sent, plus an offset."""

    setup = None

    def __init__(self, robot_from_world=None, pace=1.0, offset=(0.0, 0.0, 0.0)):
        self.robot_from_world = np.eye(4) if robot_from_world is None else robot_from_world
        self.pace, self.offset = pace, np.array(offset)
        wrists = self.robot_from_world @ np.stack([pose(np.eye(3), place) for place in STARTS])
        self.sent = HandState.from_poses(np.eye(3), wrists, np.zeros((2, 5, 3)))

    def objects(self):
        return {}

    def hands(self):
        wrists = self.sent.wrist_poses
        wrists[:, :3, 3] += self.offset
        return HandState.from_poses(self.sent.head_rotation, wrists, self.sent.fingertips_in_wrist)

    def fingertips(self, side, shape):
        return np.full((5, 3), 0.1)

    def tool(self, side, shape):
        return TOOL

    def tool_in_world(self, side):
        wrist = (inverse(self.robot_from_world) @ self.hands().wrist_poses)[side]
        return wrist[:3, :3] @ TOOL + wrist[:3, 3]


def work(actor, seconds, steady=False, goal=GOAL):
    """The right hand goes to the goal, the left one rests; what was sent, step by step."""
    hands = MovingHands(actor, ("tripod", "tripod"), RIGHT, (0.005, 0.2), steady)
    hands[RIGHT].take("tripod", 1.0)
    sent = []
    for _ in range(round(seconds * 25)):
        hands.measure()
        actor.sent = HandState.from_vector(hands.step({RIGHT: Move(goal, 0.15, lambda _: TURNED)}))
        sent.append(actor.sent)
    return sent


@pytest.mark.parametrize("robot_from_world", [np.eye(4), pose(matrix_from_rpy(0, 0, 0.4), [0.1, 0.2, -1.7])])
def test_the_tool_point_comes_to_the_goal_wherever_the_head_is(robot_from_world):
    actor = Obedient(robot_from_world)
    work(actor, 4.0)
    np.testing.assert_allclose(actor.tool_in_world(RIGHT), GOAL, atol=1e-6)
    np.testing.assert_allclose(robot_from_world[:3, :3].T @ actor.hands().wrist_rotations[RIGHT], TURNED, atol=1e-9)


def test_a_steady_hand_makes_good_more_than_half_of_an_offset():
    offset = [0.0, 0.009, 0.0]
    errors = []
    for steady in (False, True):
        actor = Obedient(offset=offset)
        work(actor, 6.0, steady)
        errors.append(np.linalg.norm(actor.tool_in_world(RIGHT) - GOAL))
    assert errors[0] == pytest.approx(0.009, abs=1e-4)
    assert errors[1] < 0.0045


def test_only_the_resting_hand_sways():
    sent = np.array([state.wrist_positions for state in work(Obedient(), 12.0)])[-150:]
    extent = sent.max(axis=0) - sent.min(axis=0)
    assert 0.004 < extent[LEFT].max() < 0.012
    assert extent[RIGHT].max() < 1e-6


def test_quicker_hands_take_less_time():
    def half_shaped(pace):
        sent = work(Obedient(pace=pace), 1.5)
        return next(i for i, state in enumerate(sent) if state.fingertips_in_wrist[RIGHT, 0, 0] > 0.05)

    assert half_shaped(2.0) <= half_shaped(1.0) / 2 + 1
