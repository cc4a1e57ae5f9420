"""One hand takes an upright object from where it stands and puts it somewhere else: the core of picking and of passing.

The hand comes from the side, thumb on top and opposed to the open fingers, closes them around the axis of the object,
and opens again where the object, as measured, has arrived. It draws back along the forearm: sideways the thumb would
hook the object. What goes wrong is begun anew.

    wait       before it starts
    approach   to its own side of the object
    reach      around it
    close      until the fingers hold; a poor grip is opened
    lift       straight up; from here on, what has slipped out of the hand is let go
    return     down again with what slips
    carry      to above its goal
    lower      to its goal
    open       until it is free
    back       along the forearm
    retreat    out of the way; an object that stands elsewhere than it was to is approached again
    rest       the work is done
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from firsthand.simulation.tasks.interface import ObjectState
from firsthand.simulation.tasks.judging import UPRIGHT
from firsthand.space.rotations import matrix_from_rpy
from firsthand_training.demonstrations.actor import RIGHT
from firsthand_training.demonstrations.minimum_jerk import STEP
from firsthand_training.demonstrations.moving_hands import Move, MovingHand

Array = NDArray[np.floating]

STANDOFF = 0.085  # [m], from the axis of the object before the hand reaches around it
BACK = 0.10  # [m], along the forearm, after it has let go
ARRIVED = 0.010  # [m]
SEATED, ESCAPING = (
    0.020,
    0.026,
)  # [m], of the object's axis from where it is held: a good grip, a hopeless one
SLIPPING, LOST = 0.030, 0.045  # [m], of the same, when it has been lifted: a poor grip, none
FOLLOWING = 0.6  # share of what the closing fingers move the object by that the hand goes after it
ALIGNED = 0.012  # [m], of the hand from the axis of the object before it closes
LONG = 2.5  # [s], after which it closes, or lowers, a little off its place
LOWERING = 1.2  # [s], after which it lets go
RIM = 0.028  # [m], radius of what an object stands on
TOUCH = 0.004  # [m], so low it stands
REST = ("wait", "rest")
AFTERWARDS = ("retreat", "rest")
SLOW = ("reach", "lift", "return", "carry", "lower", "back")


@dataclass(frozen=True)
class TransferManner:
    """How a hand carries; drawn from a seed."""

    pace: float  # [m/s], mean speed over free space
    carry_pace: float  # [m/s], mean speed with the object
    height: float  # [m], above the object's base, where it is held
    lift: float  # [m], of the object over the table, or over what is in the way
    pitch: float  # [rad], fingers down
    roll: float  # [rad], beyond a vertical palm
    yaw: float  # [rad], fingers inwards, at the middle of the table
    turn: float  # [rad/m], by which they turn further inwards towards the other side
    close: float  # [s], in which the fingers close, and open

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "TransferManner":
        """One person's manner of doing it."""
        return cls(
            pace=float(rng.uniform(0.16, 0.22)),
            carry_pace=float(rng.uniform(0.13, 0.19)),
            height=float(rng.uniform(0.062, 0.068)),
            lift=float(rng.uniform(0.025, 0.045)),
            pitch=float(rng.uniform(0.06, 0.10)),
            roll=float(rng.uniform(-0.03, 0.03)),
            yaw=float(rng.uniform(0.30, 0.42)),
            turn=float(rng.uniform(0.6, 0.8)),
            close=float(rng.uniform(0.6, 0.8)),
        )


@dataclass(frozen=True)
class Place:
    """Where the base of the object is to be let go."""

    position: Array  # (3,), [m], world
    tolerance: float  # [m], how near to it is near enough
    clear: float  # [m], world, height that the base of the object must have on the way there
    retreat: Array  # (3,), [m], world, where the hand's tool point goes afterwards


@dataclass
class Transfer:
    """One hand's work on one object; phases as in the table above."""

    hand: MovingHand
    side: int
    place: Place
    manner: TransferManner
    patience: float = 0.0  # [s] before it starts
    watches: bool = True  # whether the object is still this hand's when it has let go
    phase: str = field(default="wait", init=False)
    _time: float = field(default=0.0, init=False)  # [s] in this phase
    _stood: Array = field(default_factory=lambda: np.zeros(3), init=False)  # the object, when they began to close
    _mark: Array = field(default_factory=lambda: np.zeros(3), init=False)  # where the hand was when the phase began
    _held: Array = field(default_factory=lambda: np.zeros(3), init=False)  # from hand to object, in the grip

    def move(self, thing: ObjectState) -> Move | None:
        """What the hand does in the coming step; None to rest."""
        self._time += STEP
        following = self._next(thing)
        if following != self.phase:
            self._enter(following, thing)
        if self.phase in REST:
            return None
        return Move(self._goal(thing), self._pace, self.rotation)

    def rotation(self, tool: Array) -> Array:
        """world_from_wrist (3, 3) that is asked for with the tool point at a place: the palm across the table."""
        sign = 1.0 if self.side == RIGHT else -1.0
        yaw = self.manner.yaw + self.manner.turn * sign * tool[1]
        return matrix_from_rpy(sign * (np.pi / 2 + self.manner.roll), self.manner.pitch, sign * yaw)

    def _next(self, thing: ObjectState) -> str:
        """The phase of the coming step."""
        hand = self.hand.position
        if self.phase == "wait":
            return "approach" if self._time > self.patience else "wait"
        if self.phase == "approach":
            return "reach" if _near(hand, self._beside(thing)) else "approach"
        if self.phase == "reach":
            return "close" if self._surrounds(thing) else "reach"
        if self.phase == "close":
            return self._next_closing(thing)
        if self.phase in ("lift", "carry", "lower"):
            return self._next_held(thing, hand)
        if self.phase == "return":
            return "open" if self._stands(thing, self._stood[2]) or self._time > LOWERING else "return"
        if self.phase == "open":
            return "back" if self._time > self.manner.close + 0.1 else "open"
        if self.phase == "back":
            return "retreat" if _near(hand, self._backed()) else "back"
        if self.phase == "retreat" and _near(hand, self.place.retreat):
            return "rest"
        return "approach" if self.phase in AFTERWARDS and self.watches and self._misplaced(thing) else self.phase

    def _next_closing(self, thing: ObjectState) -> str:
        slipped = self._slipped(thing)
        if slipped > ESCAPING:
            return "open"
        if self._time < self.manner.close + 0.2:
            return "close"
        return "lift" if slipped < SEATED else "open"

    def _next_held(self, thing: ObjectState, hand: Array) -> str:
        slipped = self._slipped(thing)
        if slipped > LOST:
            return "open"
        if slipped > SLIPPING and self.phase == "lift":
            return "return"
        if self.phase == "lift":
            return "carry" if hand[2] > self._lifted()[2] - ARRIVED else "lift"
        if self.phase == "carry":
            off = np.linalg.norm((thing.position - self.place.position)[:2])
            near = ARRIVED if self._time < LONG else self.place.tolerance / 2
            return "lower" if off < near else "carry"
        low = self._stands(thing, self.place.position[2])
        return "open" if low or self._time > LOWERING else "lower"

    def _misplaced(self, thing: ObjectState) -> bool:
        """Whether it is to be done once more; what has fallen over is left alone."""
        off = np.linalg.norm((thing.position - self.place.position)[:2])
        return bool(off > self.place.tolerance and thing.rotation[2, 2] > UPRIGHT)

    def _surrounds(self, thing: ObjectState) -> bool:
        """Whether the hand is around the object, as measured."""
        if not _near(self.hand.position, self._around(thing)):
            return False
        off = np.linalg.norm((self.hand.measured - thing.position)[:2])
        return bool(off < ALIGNED or self._time > LONG)

    def _slipped(self, thing: ObjectState) -> float:
        """How far the axis of the object is from where the hand, as measured, would hold it, [m]."""
        held = thing.position + self.manner.height * thing.rotation[:, 2]
        return float(np.linalg.norm(held - self.hand.measured))

    def _stands(self, thing: ObjectState, height: float) -> bool:
        """Whether the object, which may be tilted, touches a floor at a height."""
        rim = RIM * np.sqrt(max(0.0, 1.0 - thing.rotation[2, 2] ** 2))
        return bool(thing.position[2] - rim < height + TOUCH)

    def _enter(self, phase: str, thing: ObjectState) -> None:
        if phase == "approach":
            self.hand.turn(1.0)
            self.hand.take("pre_grasp", 0.8)
        if phase == "close":
            self._stood = thing.position
            self.hand.take("tripod", self.manner.close)
        if phase == "lift":
            self._held = thing.position - self.hand.position
        if phase == "open":
            self.hand.take("pre_grasp", self.manner.close)
        self.phase, self._time, self._mark = phase, 0.0, self.hand.position

    def _goal(self, thing: ObjectState) -> Array:
        """Where the tool point goes in this phase, (3,), [m]."""
        if self.phase == "approach":
            return self._beside(thing)
        if self.phase == "reach":
            return self._around(thing)
        if self.phase == "lift":
            return self._lifted()
        if self.phase == "return":
            return np.array([self._mark[0], self._mark[1], self._stood[2] - self._held[2]])
        if self.phase in ("carry", "lower"):
            return self._with_object_at(thing)
        if self.phase == "close":
            return self._mark + FOLLOWING * (thing.position - self._stood) * [1.0, 1.0, 0.0]
        if self.phase == "open":
            return self._centred(thing)
        if self.phase == "back":
            return self._backed()
        if self.phase == "retreat":
            return self.place.retreat
        return self._mark

    @property
    def _pace(self) -> float:
        return self.manner.carry_pace if self.phase in SLOW else self.manner.pace

    def _around(self, thing: ObjectState) -> Array:
        """Where the tool point is with the open hand around the object."""
        return thing.position + np.array([0.0, 0.0, self.manner.height])

    def _beside(self, thing: ObjectState) -> Array:
        """Where the hand waits, before the object and on its own side of it."""
        around = self._around(thing)
        mouth = self.rotation(around) @ np.array([1.0, 0.0, -1.0]) / np.sqrt(2)  # between thumb and fingers
        mouth[2] = 0.0
        return around - STANDOFF * mouth

    def _with_object_at(self, thing: ObjectState) -> Array:
        """Where the hand has to be for the base of the object to be at its goal, given how it is held now."""
        x, y = (self.place.position + self.hand.measured - thing.position)[:2]
        height = self.place.clear if self.phase == "carry" else self.place.position[2]
        return np.array([x, y, height - self._held[2]])

    def _centred(self, thing: ObjectState) -> Array:
        """Around the object, so that neither thumb nor fingers take it along when the hand draws back."""
        if self._slipped(thing) > LOST:
            return self._mark
        return np.array([thing.position[0], thing.position[1], self._mark[2]])

    def _lifted(self) -> Array:
        """Straight over where the fingers closed, the object high enough for its way."""
        return np.array([self._mark[0], self._mark[1], self.place.clear - self._held[2]])

    def _backed(self) -> Array:
        forearm = self.rotation(self._mark)[:, 0].copy()
        forearm[2] = 0.0
        return self._mark - BACK * forearm


def _near(first: Array, second: Array) -> bool:
    return bool(np.linalg.norm(first - second) < ARRIVED)
