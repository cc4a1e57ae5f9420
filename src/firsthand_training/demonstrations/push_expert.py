"""The scripted expert of the pushing task: acts in the 54 numbers, sees the true pose of the object.

It plans anew on every step, a minimum-jerk motion from where the hand is meant to be now, drawn towards where it really
is; so it corrects itself after a disturbance. Pace, height and angles vary with the seed, as between people.

    approach   to the object's right side, over it if it is in the way
    push       to the left until the object stands in the zone
    retract    a hand's breadth back
    rest       until the object is found outside the zone again
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.simulation.tasks.interface import ObjectState
from firsthand.simulation.tasks.judging import standing
from firsthand.simulation.tasks.push import GOAL_CENTER, GOAL_HALF_SIZE
from firsthand.space.rotations import matrix_from_rpy
from firsthand_training.demonstrations.actor import RIGHT, Actor
from firsthand_training.demonstrations.moving_hands import Move, MovingHands

Array = NDArray[np.floating]

GAP = 0.025  # [m], between palm and object before the push
CLEARANCE = 0.07  # [m], between hand and object on the way over it
TURN = 0.7  # [rad/m], by which the fingers turn inwards on the way to the left, where the wrist cannot stay straight
ARRIVED = 0.012  # [m]
MISSED = 0.05  # [m], of the object's centre along the palm: time to approach anew


@dataclass(frozen=True)
class Manner:
    """How this expert moves; drawn from its seed."""

    pace: float  # [m/s], mean speed over free space
    push_pace: float  # [m/s], mean speed with the object
    height: float  # [m], of the palm above the table
    pitch: float  # [rad], fingers down
    yaw: float  # [rad], fingers inwards, in the middle of the zone
    roll: float  # [rad], beyond a vertical palm: the little finger leads, the object is met low and does not topple
    along: float  # [m], where on the palm the object is met, forward of its middle
    goal_y: float  # [m], world, where the object is taken
    retreat: float  # [m]
    patience: int  # steps before it starts
    sway: tuple[float, float]  # [m], [Hz], of the resting left hand

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Manner":
        """One person's manner of doing it."""
        return cls(
            pace=float(rng.uniform(0.12, 0.17)),
            push_pace=float(rng.uniform(0.09, 0.14)),
            height=float(rng.uniform(0.056, 0.066)),
            pitch=float(rng.uniform(0.14, 0.24)),
            roll=float(rng.uniform(0.10, 0.22)),
            yaw=float(rng.uniform(0.22, 0.36)),
            along=float(rng.uniform(-0.008, 0.008)),
            goal_y=GOAL_CENTER[1] + float(rng.uniform(-0.04, 0.0)),
            retreat=float(rng.uniform(0.06, 0.09)),
            patience=int(rng.integers(2, 8)),
            sway=(float(rng.uniform(0.002, 0.006)), float(rng.uniform(0.15, 0.3))),
        )


class PushExpert:
    """Pushes the object of an actor's scene with the right hand; make one per trial."""

    def __init__(self, actor: Actor, seed: int) -> None:
        self._actor = actor
        self._manner = Manner.draw(np.random.default_rng([seed, 0xE4BE]))
        self._thing = actor.setup.objects[0]
        self._table_height = actor.setup.table_height
        self._hands = MovingHands(actor, ("paddle", "paddle"), RIGHT, self._manner.sway)
        self._palm = self._hands[RIGHT]
        self._palm.take("paddle", 1.0)
        self._retreat = self._palm.position
        self._phase = "wait"
        self._step = 0

    @property
    def phase(self) -> str:
        """wait, approach, push, retract or rest."""
        return self._phase

    def act(self) -> Array:
        """The hand state (54,) that the hands shall reach by the end of the coming 25 Hz step."""
        self._hands.measure()
        goal, pace = self._decide(self._actor.objects()[self._thing.name])
        self._step += 1
        return self._hands.step({RIGHT: Move(goal, pace, self._rotation)})

    def _decide(self, thing: ObjectState) -> tuple[Array, float]:
        """Choose the phase, and in it where the palm goes (world, [m]) and how fast [m/s]."""
        manner, palm = self._manner, self._palm.position
        phase = self._next_phase(thing, palm)
        if phase == "retract" and self._phase != "retract":
            self._retreat = self._retreat_from(thing)
        self._phase = phase
        if self._phase == "wait":
            return palm, manner.pace
        if self._phase == "approach":
            return self._way_to(self._beside(thing), palm, thing), manner.pace
        if self._phase == "push":
            return self._through(thing, palm), manner.push_pace
        return self._retreat, manner.pace

    def _next_phase(self, thing: ObjectState, palm: Array) -> str:
        if self._phase == "wait":
            return "wait" if self._step < self._manner.patience else "approach"
        if not standing(thing, self._table_height):
            return "rest"
        if self._phase == "approach":
            return "push" if np.linalg.norm(palm - self._beside(thing)) < ARRIVED else "approach"
        if self._phase == "push":
            return self._after_push(thing, palm)
        if not self._in_zone(thing):
            return "approach"
        arrived = np.linalg.norm(palm - self._retreat) < ARRIVED
        return "rest" if arrived or self._phase == "rest" else "retract"

    def _after_push(self, thing: ObjectState, palm: Array) -> str:
        if thing.position[1] > self._manner.goal_y - 0.005:
            return "retract"
        return "approach" if abs(palm[0] - self._manner.along - thing.position[0]) > MISSED else "push"

    def _in_zone(self, thing: ObjectState) -> bool:
        inside = np.abs(thing.position[:2] - GOAL_CENTER) < np.array(GOAL_HALF_SIZE) - 0.005
        return bool(np.all(inside))

    def _beside(self, thing: ObjectState) -> Array:
        """Where the palm waits, at the right of the object."""
        x, y, _ = thing.position
        return np.array([x + self._manner.along, y - self._thing.radius - GAP, self._palm_height])

    def _way_to(self, goal: Array, palm: Array, thing: ObjectState) -> Array:
        """The next point on the way to `goal`: straight, or over the object if the palm is not on its right."""
        if palm[1] < thing.position[1] - self._thing.radius:
            return goal
        above = self._table_height + self._thing.height + CLEARANCE
        if palm[2] < above - ARRIVED and np.linalg.norm(palm[:2] - goal[:2]) > ARRIVED:
            return np.array([palm[0], palm[1], above])
        return np.array([goal[0], goal[1] - GAP, above])

    def _through(self, thing: ObjectState, palm: Array) -> Array:
        """Where the palm has to be for the object to be at its goal, given how it lies against it now."""
        lies_at = np.clip(thing.position[1] - palm[1], 0.5 * self._thing.radius, self._thing.radius + GAP)
        return np.array([thing.position[0] + self._manner.along, self._manner.goal_y - lies_at, self._palm_height])

    def _retreat_from(self, thing: ObjectState) -> Array:
        x, y, _ = thing.position
        return np.array([x - 0.02, y - self._thing.radius - self._manner.retreat, self._palm_height + 0.02])

    @property
    def _palm_height(self) -> float:
        return self._table_height + self._manner.height

    def _rotation(self, palm: Array) -> Array:
        """world_from_wrist (3, 3) with the palm at a place: across the way, fingers more inwards the further left."""
        yaw = self._manner.yaw + TURN * (palm[1] - GOAL_CENTER[1])
        return matrix_from_rpy(np.pi / 2 + self._manner.roll, self._manner.pitch, yaw)
