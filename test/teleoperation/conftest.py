"""A person in a headset and a robot that does what it is asked, both without wires."""

import functools

import numpy as np
import pytest

from firsthand.headset.hand_model import OPEN, RELAXED, THUMB_OUT, joints, left_hand, pinch
from firsthand.headset.hand_motion import EYES, THUMBS_UP, WRISTS
from firsthand.headset.hands_sample import HandsSample
from firsthand.robot.model import RobotModel
from firsthand.space.frames import pose
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import matrix_from_rpy
from firsthand.teleoperation.session import Teleoperation
from firsthand.teleoperation.settings import TeleoperationSettings

PERIOD_NS = 25_000_000  # a quarter of a headset's rate: tests run so much faster
CLUTCH = pinch((3,), others=0.2)
MODEL = RobotModel.load()


right_joints = functools.cache(joints)


class Rig:
    """A session, the person in front of it and the robot behind it. Time passes sample by sample."""

    def __init__(self, gate="active", source="teleop", **settings):
        self.settings = TeleoperationSettings(**settings)
        self.session = Teleoperation(MODEL, self.settings)
        self.now_ns = 1_000_000_000
        self.wrists = EYES + WRISTS  # (2, 3), in the world
        self.turns = np.tile(np.eye(3), (2, 1, 1))
        self.head = pose(np.eye(3), EYES)
        self.fingers = [RELAXED, RELAXED]
        self.tracked = [True, True]
        self.robot = MODEL.hand_state(MODEL.neutral).to_vector()
        self.outputs = []
        self.session.hear_gate(gate)
        self.session.hear_source(source)
        self.run(0.3)

    @property
    def output(self):
        return self.outputs[-1]

    @property
    def target(self):
        return HandState.from_vector(self.output.target)

    def sample(self):
        hands = np.stack([left_hand(right_joints(self.fingers[0])), right_joints(self.fingers[1])])
        wrists = np.stack([pose(turn, place) for turn, place in zip(self.turns, self.wrists, strict=True)])
        in_world = wrists[:, None] @ hands
        in_world[~np.array(self.tracked)] = np.nan
        return HandsSample(self.now_ns, self.head, in_world, tuple(self.tracked))

    def step(self):
        """One sample; the robot is where it was asked to be."""
        self.now_ns += PERIOD_NS
        self.session.hear_robot(self.now_ns, self.robot)
        self.outputs.append(self.session.take(self.sample(), self.now_ns))
        if self.output.target is not None and self.session._gate in ("engaging", "active"):
            self.robot = self.output.target
        return self.output

    def run(self, seconds, move=None):
        """Samples for so long; `move(share)` moves the person. Returns the targets, (n, 54)."""
        count = max(round(seconds * 1e9 / PERIOD_NS), 1)
        for k in range(count):
            if move is not None:
                move((k + 1) / count)
            self.step()
        return [output.target for output in self.outputs[-count:]]

    def silence(self, seconds):
        """Time without samples."""
        for _ in range(max(round(seconds / 0.02), 1)):
            self.now_ns += 20_000_000
            self.session.hear_robot(self.now_ns, self.robot)
            self.outputs.append(self.session.pass_time(self.now_ns))

    def clutch(self):
        """Make the gesture and let go."""
        before, self.fingers = self.fingers, [CLUTCH, CLUTCH]
        self.run(0.7)
        self.fingers = before
        self.run(0.05)

    def follow(self):
        """Take the clutch, until the hands agree."""
        self.clutch()
        assert self.output.state.value == "following", self.output.message
        self.run(4.0)
        return self

    def thumbs(self, way, seconds, only=None):
        """Hold both thumbs up (1) or down (-1), or those of one hand only; returns what is asked for."""
        before, begun = (self.fingers, self.turns), len(self.outputs)
        sides = (0, 1) if only is None else (only,)
        self.fingers = [THUMB_OUT if side in sides else before[0][side] for side in (0, 1)]
        rolled = [matrix_from_rpy(float(way * roll), 0.2, 0.3) for roll in THUMBS_UP]
        self.turns = np.stack([rolled[side] if side in sides else before[1][side] for side in (0, 1)])
        self.run(seconds)
        self.fingers, self.turns = before
        self.run(0.1)
        return [request for output in self.outputs[begun:] for request in output.requests]

    def shift(self, side, offset, seconds=0.5):
        """Move one hand by an offset (3,), [m]."""
        start = self.wrists.copy()

        def move(share):
            self.wrists = start.copy()
            self.wrists[side] += share * np.asarray(offset)

        return self.run(seconds, move)

    def fastest(self, since=0):
        """How fast a wrist was asked to go between two samples, at most, [m/s]."""
        targets = [output.target for output in self.outputs[since:] if output.target is not None]
        places = np.array([HandState.from_vector(target).wrist_positions for target in targets])
        return float(np.linalg.norm(np.diff(places, axis=0), axis=-1).max()) * 1e9 / PERIOD_NS


@pytest.fixture
def rig():
    """Makes rigs."""
    return Rig


@pytest.fixture
def flat():
    """Both hands flat and open."""
    return [OPEN, OPEN]


@pytest.fixture
def turned():
    """A rotation about the vertical."""
    return lambda yaw: matrix_from_rpy(0.0, 0.0, yaw)
