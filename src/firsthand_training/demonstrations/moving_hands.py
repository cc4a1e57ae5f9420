"""A pair of hands under an expert: it says where their tool points go, they go there as people's hands do.

A hand that works follows a minimum-jerk motion, drawn towards where the hand is measured, so that it corrects itself
after a disturbance; it turns and takes shapes gradually. A hand that rests stays where it is, swaying a little.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.space.frames import pose
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix
from firsthand_training.demonstrations.actor import Actor, wrists_in_world
from firsthand_training.demonstrations.minimum_jerk import STEP, Motion, smooth

Array = NDArray[np.floating]

# A steady hand aims beyond its place by a leaky sum of how far off it is found: of an offset less than half is left.
STEADYING = 0.15  # share of the offset that is added per step
FORGETTING = 0.9  # share of the sum that is kept per step
STEADIED = 0.02  # [m], the most, along each axis
SETTLE = 0.6  # [s], in which a hand goes over from resting to working, and back


class Ramp:
    """A smooth way from 0 to 1, begun when something new is wanted."""

    def __init__(self, duration: float) -> None:
        self._duration, self._steps = duration, 0

    def advance(self) -> float:
        """The share of the way at the end of the coming step."""
        self._steps += 1
        return smooth(self._steps * STEP / self._duration)


@dataclass(frozen=True)
class Move:
    """What a working hand is to do in a step."""

    goal: Array  # (3,), [m], world, where the tool point is to come to rest
    pace: float  # [m/s], mean speed of a long reach
    rotation: Callable[[Array], Array]  # world_from_wrist (3, 3) that is asked for with the tool point at a position


class MovingHand:
    """One of the hands; positions and rotations are in the world."""

    def __init__(self, actor: Actor, side: int, shape: str, steady: bool = False) -> None:
        """A hand where it is measured now.

        Args:
            actor: Whose hand.
            side: Which one.
            shape: The shape whose tool point it is led by.
            steady: Whether it works against being off its place, as is needed to grasp.
        """
        self._actor, self._side, self._steady = actor, side, steady
        self._tool = actor.tool(side, shape)
        start = wrists_in_world(actor)[side]
        self._measured = start[:3, :3] @ self._tool + start[:3, 3]
        self._motion = Motion(self._measured)
        self._correction = np.zeros(3)
        self._goal, self._pace = self._motion.position, 1.0
        self._rotation = self._turned_from = start[:3, :3]
        self._turn = Ramp(1.0)
        self._fingertips = self._shaped_from = self._shaped_to = actor.hands().fingertips_in_wrist[side]
        self._shaping = Ramp(1.0)

    @property
    def position(self) -> Array:
        """Where its tool point is to be now, (3,), [m]."""
        return self._motion.position

    @property
    def measured(self) -> Array:
        """Where its tool point was found last, (3,), [m]."""
        return self._measured

    def measure(self, world_from_wrist: Array) -> None:
        """Be drawn towards where the hand is found; a steady hand also aims to the other side of its place."""
        self._measured = world_from_wrist[:3, :3] @ self._tool + world_from_wrist[:3, 3]
        if self._steady:
            error = self._motion.expected - self._measured
            self._correction = np.clip(FORGETTING * self._correction + STEADYING * error, -STEADIED, STEADIED)
        self._motion.draw_towards(world_from_wrist[:3, 3] + self._rotation @ self._tool)

    def turn(self, seconds: float) -> None:
        """From now on take this long to reach the rotation that is asked for."""
        self._turned_from, self._turn = self._rotation, Ramp(seconds / self._actor.pace)

    def take(self, shape: str, seconds: float) -> None:
        """Go over to a named shape in this time."""
        self._shaped_from, self._shaped_to = self._fingertips, self._actor.fingertips(self._side, shape)
        self._shaping = Ramp(seconds / self._actor.pace)

    def advance(self, move: Move | None) -> None:
        """Go on for one step: towards what `move` says, or without one to where it was sent before."""
        if move is None:
            self._motion.advance(self._goal, self._pace)
        else:
            self._goal, self._pace = move.goal, move.pace * self._actor.pace
            position = self._motion.advance(self._goal, self._pace)
            self._rotation = _blend(self._turned_from, move.rotation(position), self._turn.advance())
        share = self._shaping.advance()
        self._fingertips = self._shaped_from + share * (self._shaped_to - self._shaped_from)

    @property
    def fingertips(self) -> Array:
        """In the wrist frame, (5, 3), [m]."""
        return self._fingertips

    @property
    def world_from_wrist(self) -> Array:
        """Where the wrist is to be at the end of the step, (4, 4)."""
        return pose(self._rotation, self._motion.position + self._correction - self._rotation @ self._tool)


class MovingHands:
    """Both hands; `hands[side]` is one of them."""

    def __init__(
        self, actor: Actor, shapes: tuple[str, str], first: int, sway: tuple[float, float], steady: bool = False
    ) -> None:
        """Hands where they are now.

        Args:
            actor: Whose hands.
            shapes: The shapes whose tool points lead the left and the right hand.
            first: The hand that works first.
            sway: Amplitude [m] and frequency [Hz] of a resting hand.
            steady: Whether they work against being off their places.
        """
        self._actor, self._sway = actor, sway
        self._hands = tuple(MovingHand(actor, side, shape, steady) for side, shape in enumerate(shapes))
        self._working = {first}
        self._rest = [float(side != first) for side in range(2)]  # 0 works, 1 rests, between them on the way
        self._step = 0

    def __getitem__(self, side: int) -> MovingHand:
        return self._hands[side]

    @property
    def seconds(self) -> float:
        """How long they have moved, [s]."""
        return self._step * STEP

    def measure(self) -> None:
        """Draw the hands that work towards where they are found; to be called first in every step."""
        wrists = wrists_in_world(self._actor)
        for side in self._working:
            self._hands[side].measure(wrists[side])

    def step(self, moves: Mapping[int, Move]) -> Array:
        """Move for one step; a hand that no move is given for goes on to where it was last sent, and rests.

        Returns:
            The hand state (54,) to be reached by the end of the step.
        """
        self._step += 1
        self._working = set(moves)
        for side, hand in enumerate(self._hands):
            hand.advance(moves.get(side))
            change = STEP / SETTLE * (-1 if side in moves else 1)
            self._rest[side] = min(max(self._rest[side] + change, 0.0), 1.0)
        wrists = np.stack([hand.world_from_wrist for hand in self._hands])
        wrists[:, :3, 3] += self._swaying()
        fingertips = np.stack([hand.fingertips for hand in self._hands])
        head = self._actor.hands().head_rotation
        return HandState.from_poses(head, self._actor.robot_from_world @ wrists, fingertips).to_vector()

    def _swaying(self) -> Array:
        """How far each hand is off its place because it rests, (2, 3), [m]."""
        amplitude, frequency = self._sway
        phase = 2 * np.pi * frequency * self.seconds
        way = amplitude * np.array([0.5 * np.sin(0.7 * phase), 0.4 * np.sin(phase), np.sin(phase)])
        return np.array([smooth(rest) * way for rest in self._rest])


def _blend(start: Array, end: Array, share: float) -> Array:
    """The rotation a share of the way from one (3, 3) to another, about one axis."""
    return start @ matrix_from_rotation_vector(share * rotation_vector_from_matrix(start.T @ end))
