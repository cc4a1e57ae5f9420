"""The scripted expert of the box opening task: two hands unfold the two flaps, each its own, one a little ahead.

Each hand plans anew on every step from where its flap is then, so it corrects itself after a disturbance and goes back
to a flap that has fallen. It is held on edge, fingers forward and down, the back of the hand towards its flap. There is
room for one hand at a time between flaps that stand ajar: the second goes in while the first is unfolding.

    wait       before it starts
    over       up, and over the flap; there until the gap between the flaps is free
    insert     into the gap and down, until the index finger is lower than the free edge of the flap
    unfold     out and up along the arc of the flap, past upright
    withdraw   up and back towards the robot
    rest       until its flap is found less than open
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firsthand.simulation.tasks.boxes import FLAPS, flap_size
from firsthand.simulation.tasks.interface import Hinge, ObjectState
from firsthand.simulation.tasks.open_box import OPEN, in_place
from firsthand.space.rotations import matrix_from_rpy
from firsthand_training.demonstrations.actor import LEFT, RIGHT, Actor
from firsthand_training.demonstrations.moving_hands import Move, MovingHand, MovingHands

Array = NDArray[np.floating]

UP = np.array([0.0, 0.0, 1.0])
PHASES = ("wait", "over", "insert", "unfold", "withdraw", "rest")
FINGER = 0.010  # [m], from the tool point, in the middle of the index finger, to its back
FINGERTIP = 0.055  # [m], from the tool point to where the fingers end, and room to spare
HAND_WIDTH = 0.08  # [m], by which a hand on edge reaches lower than its index finger
CLEARANCE = 0.045  # [m], between hand and flaps on the way over them
ASIDE = 0.075  # [m], between finger and free edge on the way down, where there is so much room: the palm is thick
ACROSS = 0.010  # [m], beyond the middle of the box, that a hand goes for it
LOW = 0.6  # [rad], of a flap, below which the finger first goes under it and then lifts it
APART = 0.17  # [m], from the middle of the box, that a hand keeps while it waits for its turn
OUT_OF_THE_WAY = 1.3  # [rad], of a flap, whose hand is so far that the other one may come in
LOWER = 0.035  # [m], than the free edge, where the finger takes it: the palm, higher up, is to be inside as well
LEAST = 0.008  # [m], lower than the free edge even where the near wall of the box is in the way
RIM = 0.010  # [m], between the hand and the near wall that it reaches over
LEAD = 0.5  # [rad], by which the hand aims ahead of the flap
PRESS = 0.008  # [m], by which it aims through it
ENOUGH = OPEN + 0.15  # [rad], where a flap is let go
FALLEN = OPEN + 0.03  # [rad], less than which it is gone after again
ARRIVED = 0.012  # [m]
STUCK = 3.0  # [s] of going in or unfolding, after which a hand tries anew
TURNED = (-0.10, 0.40)  # [rad], fingers inwards: what the wrists can do
LEVELLING = (0.06, 3.0)  # [m], over the box, from where fingers point down less, and by how much [rad/m]
TUCKED = 0.25  # of the length of a flap, deeper than the free edge, where the finger lies once the flap stands


@dataclass(frozen=True)
class Manner:
    """How this expert moves; drawn from its seed."""

    pace: float  # [m/s], mean speed over free space
    unfold_pace: float  # [m/s], mean speed with a flap
    pitch: float  # [rad], fingers down
    yaw: float  # [rad], fingers inwards
    roll: float  # [rad], beyond a hand on edge, once the flap is open
    along: float  # [m], where on the flap, beyond its middle
    leads: int  # the hand that starts
    lag: float  # [s], by which the other one follows
    patience: float  # [s], before the first one starts
    retreat: tuple[float, float]  # [m], back and up
    sway: tuple[float, float]  # [m], [Hz], of resting hands

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Manner":
        """One person's manner of doing it."""
        return cls(
            pace=float(rng.uniform(0.13, 0.18)),
            unfold_pace=float(rng.uniform(0.09, 0.14)),
            pitch=float(rng.uniform(0.66, 0.75)),
            yaw=float(rng.uniform(-0.06, 0.04)),
            roll=float(rng.uniform(0.40, 0.60)),
            along=float(rng.uniform(0.025, 0.045)),
            leads=int(rng.integers(2)),
            lag=float(rng.uniform(0.4, 1.2)),
            patience=float(rng.uniform(0.1, 0.4)),
            retreat=(float(rng.uniform(0.08, 0.13)), float(rng.uniform(0.04, 0.07))),
            sway=(float(rng.uniform(0.002, 0.005)), float(rng.uniform(0.15, 0.3))),
        )


class OpenBoxExpert:
    """Opens the box of an actor's scene; make one per trial."""

    def __init__(self, actor: Actor, seed: int) -> None:
        self._actor = actor
        self._manner = Manner.draw(np.random.default_rng([seed, 0x0BE4]))
        self._box = actor.setup.objects[0]
        self._hands = MovingHands(actor, ("blade", "blade"), self._manner.leads, self._manner.sway)
        self._openers = tuple(self._make_opener(side) for side in (LEFT, RIGHT))

    @property
    def phase(self) -> str:
        """That of the hand that is less far: wait, over, insert, unfold, withdraw or rest."""
        return min((opener.phase for opener in self._openers), key=PHASES.index)

    def act(self) -> Array:
        """The hand state (54,) that the hands shall reach by the end of the coming 25 Hz step."""
        self._hands.measure()
        state = self._actor.objects()[self._box.name]
        lost = not in_place(self._box, state, self._actor.setup.table_height)
        moves: dict[int, Move] = {}
        for side, opener in enumerate(self._openers):
            move = opener.decide(state, self._hands.seconds, lost, self._openers[1 - side].in_the_gap)
            if move is not None:
                moves[side] = move
        return self._hands.step(moves)

    def _make_opener(self, side: int) -> "Opener":
        hand = self._hands[side]
        hand.take("blade", 1.0)
        hinge = next(hinge for hinge in self._box.hinges if hinge.name == FLAPS[side])
        starts = self._manner.patience + (0.0 if side == self._manner.leads else self._manner.lag)
        return Opener(hand, side, hinge, self._manner, starts)


class Opener:
    """One hand and its flap."""

    def __init__(self, hand: MovingHand, side: int, hinge: Hinge, manner: Manner, starts: float) -> None:
        """Starts after `starts` seconds."""
        self._hand, self._side, self._hinge, self._manner, self._starts = hand, side, hinge, manner, starts
        self._retreat = hand.position
        self._since = 0.0
        self.phase = "wait"
        self.in_the_gap = False

    def decide(self, box: ObjectState, seconds: float, lost: bool, gap_taken: bool) -> Move | None:
        """Choose the phase, and in it where the hand goes; None to rest.

        Args:
            box: How it is now.
            seconds: Since the expert began.
            lost: There is nothing left to be done.
            gap_taken: The other hand is between the flaps.
        """
        flap = Flap.of(box, self._hinge)
        phase = "rest" if lost else self._next_phase(flap, seconds, gap_taken)
        if phase != self.phase:
            self._since = seconds
            if phase == "withdraw":
                self._retreat = self._back_from(self._hand.position)
        self.phase = phase
        self.in_the_gap = phase == "insert" or (phase == "unfold" and flap.angle < OUT_OF_THE_WAY)
        if phase in ("wait", "rest"):
            return None
        pace = self._manner.unfold_pace if phase in ("insert", "unfold") else self._manner.pace
        return Move(self._goal(flap), pace, lambda position: self._rotation(flap, position))

    def _goal(self, flap: "Flap") -> Array:
        """Where the index finger goes in this phase, world, (3,), [m]."""
        if self.phase == "over":
            return self._way_over(flap)
        if self.phase == "insert":
            return self._way_in(flap)
        return self._on_arc(flap) if self.phase == "unfold" else self._retreat

    def _next_phase(self, flap: "Flap", seconds: float, gap_taken: bool) -> str:
        phase, position = self.phase, self._hand.position
        if phase == "wait":
            return "over" if seconds >= self._starts else "wait"
        if phase == "over":
            arrived = np.linalg.norm(position - self._above(flap)) < ARRIVED
            return "insert" if arrived and not gap_taken else "over"
        if phase == "insert":
            if np.linalg.norm(position - self._beside(flap)) < ARRIVED:
                return "unfold"
            return "over" if seconds - self._since > STUCK else "insert"
        if phase == "unfold":
            return self._after_unfold(flap, seconds)
        if flap.angle < FALLEN:
            return "over"
        arrived = np.linalg.norm(position - self._retreat) < ARRIVED
        return "rest" if arrived or phase == "rest" else "withdraw"

    def _after_unfold(self, flap: "Flap", seconds: float) -> str:
        if flap.angle > ENOUGH:
            return "withdraw"
        missed = flap.above(self._hand.position) > FINGER or seconds - self._since > STUCK
        return "over" if missed else "unfold"

    def _above(self, flap: "Flap") -> Array:
        """Over the flap, higher than it by the width of a hand."""
        beside = self._beside(flap)
        return beside + max(0.0, APART - flap.from_middle(beside)) * flap.out + (HAND_WIDTH + CLEARANCE) * UP

    def _way_in(self, flap: "Flap") -> Array:
        """The next point on the way into the gap: over it, then down."""
        goal = self._beside(flap)
        level = self._hand.position - goal
        if level[2] > HAND_WIDTH and np.linalg.norm(level[:2]) > 2 * ARRIVED:
            return goal + (HAND_WIDTH + CLEARANCE) * UP
        return goal

    def _beside(self, flap: "Flap") -> Array:
        """In the gap, away from the free edge as far as the middle of the box allows, and lower than it."""
        edge = flap.point(flap.length)
        inwards = min(ASIDE, flap.from_middle(edge) + ACROSS)
        lower = max(LEAST, min(LOWER, float(edge[2] - flap.hinge[2]) - self._height_over_rim(flap)))
        return edge - inwards * flap.out - lower * UP + self._along(flap) * flap.along

    def _height_over_rim(self, flap: "Flap") -> float:
        """Of the index finger, [m], at which the little finger's side of the hand clears the near wall."""
        pitch = self._manner.pitch
        rise = (flap.half_depth + self._along(flap)) * np.tan(pitch)
        return float(HAND_WIDTH / np.cos(pitch) - rise + RIM)

    def _along(self, flap: "Flap") -> float:
        """Where on the flap the finger works, [m], beyond its middle: not so far that its tip meets the far wall."""
        return min(self._manner.along, flap.half_depth - FINGERTIP)

    def _way_over(self, flap: "Flap") -> Array:
        """The next point on the way over the flap: straight, or first up beside the box."""
        goal, position = self._above(flap), self._hand.position
        outside = flap.from_middle(position) > flap.half_width
        if outside and position[2] < goal[2] - 2 * ARRIVED:
            beside = flap.half_width + HAND_WIDTH - flap.from_middle(goal)
            return goal + beside * flap.out
        return goal

    def _on_arc(self, flap: "Flap") -> Array:
        """Under the flap as it will be a little later; under a low flap first as it is."""
        if flap.angle < LOW and not flap.covers(self._hand.position):
            return flap.point((1.0 - TUCKED) * flap.length, FINGER + PRESS) + self._along(flap) * flap.along
        angle = min(flap.angle + LEAD, ENOUGH + 0.5 * LEAD)
        tucked = TUCKED * flap.length * np.clip((angle - self._hinge.start) / (np.pi / 2 - self._hinge.start), 0.0, 1.0)
        ahead = replace(flap, angle=angle)
        return ahead.point(flap.length - tucked, FINGER - PRESS) + self._along(flap) * flap.along

    def _back_from(self, position: Array) -> Array:
        back, up = self._manner.retreat
        return position + np.array([-back, 0.0, up])

    def _rotation(self, flap: "Flap", position: Array) -> Array:
        """world_from_wrist (3, 3): on edge, leaning over with the flap as it opens, more level higher up."""
        out = 1.0 if self._side == LEFT else -1.0
        opened = np.clip((flap.angle - self._hinge.start) / (ENOUGH - self._hinge.start), 0.0, 1.0)
        roll = np.pi / 2 + opened * self._manner.roll
        higher = max(0.0, position[2] - flap.hinge[2] - LEVELLING[0])
        pitch = max(0.5 * self._manner.pitch, self._manner.pitch - LEVELLING[1] * higher)
        inwards = self._manner.yaw - out * np.arctan2(flap.along[1], flap.along[0])
        return matrix_from_rpy(-out * roll, pitch, -out * np.clip(inwards, *TURNED))


@dataclass(frozen=True)
class Flap:
    """Where a flap is in the world."""

    hinge: Array  # (3,), [m], the middle of its axis
    along: Array  # (3,), the axis, forwards
    out: Array  # (3,), level, away from the box
    length: float  # [m]
    half_width: float  # [m], from the middle of the box to the hinge
    half_depth: float  # [m], from the middle of the flap to its ends
    angle: float  # [rad], 0 closed

    @classmethod
    def of(cls, box: ObjectState, hinge: Hinge) -> "Flap":
        """A hinge's flap as the box is now."""
        out = box.rotation[:, 1] * np.sign(hinge.position[1])
        place = box.position + box.rotation @ np.array(hinge.position)
        length, depth = flap_size(hinge)
        return cls(place, box.rotation[:, 0], out, length, abs(hinge.position[1]), depth / 2, box.hinges[hinge.name])

    def point(self, along_flap: float, under: float = 0.0) -> Array:
        """(3,), at a distance from the hinge, and at another one under the flap."""
        sine, cosine = np.sin(self.angle), np.cos(self.angle)
        return self.hinge + along_flap * (sine * UP - cosine * self.out) - under * (sine * self.out + cosine * UP)

    def above(self, position: Array) -> float:
        """How far a position is over the upper side of the flap, [m]; what is beside the flap is not."""
        offset = position - self.hinge
        sine, cosine = np.sin(self.angle), np.cos(self.angle)
        if offset @ (sine * UP - cosine * self.out) > self.length:
            return -np.inf
        return float(offset @ (sine * self.out + cosine * UP))

    def covers(self, position: Array) -> bool:
        """Whether the middle of a finger at a position is between the free edge and the hinge."""
        return self.from_middle(position) - self.from_middle(self.point(self.length)) > FINGER

    def from_middle(self, position: Array) -> float:
        """How far outwards a position is from the middle of the box, [m]."""
        return float((position - self.hinge) @ self.out) + self.half_width
