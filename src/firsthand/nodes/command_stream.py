"""From targets of 54 numbers to joint commands, 4 ms by 4 ms: what the kinematics node runs, without ROS.

There are two sources of targets, both always listened to, of which one is in force:

    policy   chunks, joined to one continuous motion by the timeline
    teleop   the last target that a person set, while it is fresh

When the robot is handed over, the target that was followed last is held until the new source has one, for at most
`WAIT_FOR_SOURCE`; the step between the two is taken over as an offset and faded out, the longer the larger it is.

A tick is target -> retargeting -> governor. Joints are solved for at every second tick, which is more often than any
source has targets, and in between led there in a straight line: half of the work for 2 ms of delay.

Where there is no target, or the measured joints are old, there is no command either: the safety gate of the body then
holds. When commands begin again, they begin at the measured joints.
"""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ShapeError
from firsthand.nodes.messages import SECOND, Chunk, JointReading, StampedHandState, due_times_ns
from firsthand.policy.hand_over import ChunkTimeline
from firsthand.robot.bodies.interface import TICK, TICK_NS
from firsthand.robot.limits import Governor, JointLimits
from firsthand.robot.model import RobotModel
from firsthand.robot.retargeting import Retargeting, RetargetingResult
from firsthand.robot.safety_gate import ENGAGED
from firsthand.space.hand_state import ROTATIONS, WRIST_POSITIONS
from firsthand.space.rotations import (
    matrix_from_rotation_6d,
    matrix_from_rotation_vector,
    rotation_6d_from_matrix,
    rotation_vector_from_matrix,
)

Array = NDArray[np.floating]

SOURCES = ("policy", "teleop")
LONGEST_GAP_NS = 25 * TICK_NS  # made up for tick by tick; after a longer one commands begin anew
TIMING_TOLERANCE_NS = 1000
LATE_JOINTS_NS = 5 * TICK_NS  # the joints that are known when the gate's state is heard may be so much older than it
WAIT_FOR_SOURCE_NS = 500_000_000
HAND_OVER_SPEED, HAND_OVER_TURN = 0.2, 0.8  # [m/s], [rad/s], on average, at which what differs between sources fades
LAG = 0.018  # [s], of the governor; with the tick that straight lines take, commands trail by 22 ms
SOLVES_PER_ACTION = 3  # Gauss-Newton steps: neighbouring actions lie close together


@dataclass(frozen=True)
class StreamCommand:
    """One joint command and how it came about."""

    stamp_ns: int
    positions: Array  # (26,), [rad]
    observation_ns: int  # stamp of the observation, or of the teleop target, that it goes back to
    retargeting: RetargetingResult


@dataclass(frozen=True)
class _Goal:
    vector: Array  # (54,)
    observation_ns: int


@dataclass(frozen=True)
class _HandOver:
    """What is left of the other source's last target."""

    offset: Array  # (54,), its target minus the first one of the new source
    turns: Array  # (3, 3), [rad], rotation vectors from the new source's head and wrists to the other's
    since_ns: int
    duration: float  # [s]

    def left(self, now_ns: int) -> float:
        """The share of the step at a time, 1 to 0 with level ends."""
        linear = min(max((now_ns - self.since_ns) / SECOND / self.duration, 0.0), 1.0)
        return 1.0 - linear * linear * (3 - 2 * linear)

    def added_to(self, own: Array, left: float) -> Array:
        """The new source's target (54,) with a share of the step: rotations turn evenly, however far apart they are."""
        vector = own + left * self.offset
        turned = matrix_from_rotation_vector(left * self.turns) @ _rotations(own)
        vector[ROTATIONS] = rotation_6d_from_matrix(turned).ravel()
        return vector


class CommandStream:
    """Everything between targets and joint commands; its methods may be called from different threads.

    Args:
        model: The robot.
        fade: How long the step between two chunks fades, [s].
        joints_timeout: Measured joints older than this stop the stream, [s].
        target_timeout: A teleop target older than this stops the stream, [s].
        hand_over: How long the step between two sources fades at least, [s].
        observation_timeout: So does a policy's target when its observation is older than this, [s], however much of its
            chunk is left: without new pictures the end of a chunk is a guess.
    """

    def __init__(
        self,
        model: RobotModel,
        fade: float = 0.12,
        joints_timeout: float = 0.1,
        target_timeout: float = 0.2,
        hand_over: float = 0.5,
        observation_timeout: float = float("inf"),
    ) -> None:
        self.idle = "nothing has come yet"  # why there is no command; empty while there is one
        self._model, self._retargeting = model, Retargeting(model)
        self._governor = Governor(JointLimits.from_model(model), TICK, LAG)
        self._fade = fade
        self._joints_timeout_ns, self._target_timeout_ns = int(joints_timeout * SECOND), int(target_timeout * SECOND)
        self._observation_timeout = observation_timeout
        self._source = SOURCES[0]
        self._shortest_hand_over = hand_over
        self._hand_over: _HandOver | None = None
        self._new_source = False  # it has not had a target yet
        self._waits_since_ns: int | None = None  # for that one
        self._followed: _Goal | None = None  # in the last tick, whatever came of it
        self._gate_moves = True
        self._joints: JointReading | None = None
        self._timeline = ChunkTimeline(rate=25.0, fade=fade)
        self._oldest_ns = 0  # chunks of earlier observations are of a robot that has since been stopped, or put back
        self._teleop: StampedHandState | None = None
        self._tick_ns: int | None = None  # of the last tick; None while idle
        self._solution: Array = np.zeros(0)  # (26,), what the retargeting found last: its next start
        self._halfway: RetargetingResult | None = None  # that solution, on the ticks that are half way to it
        self._lock = threading.Lock()

    @property
    def source(self) -> str:
        """Whose targets are followed."""
        return self._source

    def set_source(self, source: str) -> None:
        """Follow another source, from its newest target on if that is fresh, else from its next."""
        if source not in SOURCES:
            raise ValueError(f"expected a source of {', '.join(SOURCES)}, got {source!r}")
        with self._lock:
            if source == self._source:
                return
            self._source, self._new_source = source, True
            self._hand_over = self._waits_since_ns = None

    def set_gate_state(self, state: str) -> None:
        """Hear what the safety gate does.

        While it lets nothing through, commands stay at the measured joints; what was observed before is forgotten.
        """
        with self._lock:
            moves = state in ENGAGED
            if self._gate_moves and not moves:
                self._forget_targets()
                self._oldest_ns = 0 if self._joints is None else self._joints.stamp_ns + LATE_JOINTS_NS
            self._gate_moves = moves

    def set_joints(self, reading: JointReading) -> None:
        """Take measured joints."""
        with self._lock:
            if self._joints is not None and reading.stamp_ns < self._joints.stamp_ns - SECOND:
                self._forget_targets()  # time has begun again: a bag, or another simulation
                self._oldest_ns = 0
            self._joints = reading

    def add_chunk(self, chunk: Chunk, now_ns: int) -> bool:
        """Take a policy's chunk; False if it is over, or of too old a time.

        Raises:
            ShapeError: Its times are not (i + 1) / rate.
        """
        due = due_times_ns(len(chunk.actions), chunk.rate)
        if chunk.times_ns[0] <= 0 or np.abs(due - chunk.times_ns).max() > TIMING_TOLERANCE_NS:
            raise ShapeError(f"expected actions due at (i + 1) / rate after the stamp, got {chunk.times_ns[:3]} ns ...")
        with self._lock:
            if chunk.stamp_ns < self._oldest_ns:
                return False
            if abs(self._timeline.rate - chunk.rate) > 1e-3:
                self._timeline = ChunkTimeline(chunk.rate, self._fade)
            return self._timeline.add(chunk.stamp_ns, chunk.actions, now_ns)

    def set_target(self, target: StampedHandState) -> None:
        """Take a person's target."""
        with self._lock:
            self._teleop = target

    def step(self, now_ns: int) -> StreamCommand | None:
        """Make the command for now.

        Returns:
            The command; None while no tick is due, or for the reason in `idle`.
        """
        with self._lock:
            self.idle = self._fault_of_joints(now_ns)
            command = None
            for tick_ns in () if self.idle else self._ticks_until(now_ns):
                command = self._advance(tick_ns)
            if self.idle:
                self._tick_ns = self._waits_since_ns = self._hand_over = self._followed = None
            return command

    def _advance(self, tick_ns: int) -> StreamCommand | None:
        self._tick_ns = tick_ns
        goal = self._followed = self._goal(tick_ns)
        if goal is None:
            self.idle = self._why_no_goal(tick_ns)
            return None
        result, joints = self._solve(goal.vector)
        return StreamCommand(tick_ns, self._governor.step(joints), goal.observation_ns, result)

    def _solve(self, target: Array) -> tuple[RetargetingResult, Array]:
        """What was found last for the target (54,), and the joints (26,), on the way there, of this tick."""
        if self._halfway is not None:
            result, self._halfway = self._halfway, None
            return result, result.q
        result = self._halfway = self._retargeting.solve(target, self._solution, 2 * TICK)
        before, self._solution = self._solution, result.q
        return result, (before + result.q) / 2

    def _ticks_until(self, now_ns: int) -> range:
        """The times of the ticks that are due, rounded: a thread that wakes a little early is not a tick short."""
        last_ns = self._tick_ns
        if last_ns is None or not -TICK_NS < now_ns - last_ns < LONGEST_GAP_NS or not self._gate_moves:
            self._start_at_measured_joints()
            last_ns = now_ns - TICK_NS
        return range(last_ns + TICK_NS, now_ns + TICK_NS // 2 + 1, TICK_NS)

    def _start_at_measured_joints(self) -> None:
        assert self._joints is not None, "a fault otherwise"
        self._solution, self._halfway = self._joints.positions, None
        self._governor.reset(self._joints.positions)

    def _goal(self, now_ns: int) -> _Goal | None:
        """What is to be followed now: what the source in force wants, with what is left of the one before."""
        own = self._wanted(now_ns)
        if self._new_source:
            if own is None:
                return self._held(now_ns)
            self._new_source = False
            self._hand_over = self._take_over(own.vector, now_ns)
        if own is None or self._hand_over is None:
            return own
        left = self._hand_over.left(now_ns)
        if left == 0.0:
            self._hand_over = None
            return own
        return _Goal(self._hand_over.added_to(own.vector, left), own.observation_ns)

    def _held(self, now_ns: int) -> _Goal | None:
        """What was followed last, for a while."""
        self._waits_since_ns = now_ns if self._waits_since_ns is None else self._waits_since_ns
        return self._followed if now_ns - self._waits_since_ns <= WAIT_FOR_SOURCE_NS else None

    def _take_over(self, after: Array, now_ns: int) -> _HandOver:
        """From what was followed last, or from where the robot is, to the first target of another source."""
        assert self._joints is not None, "a fault otherwise"
        here = self._model.hand_state(self._joints.positions).to_vector
        before = here() if self._followed is None else self._followed.vector
        offset = before - after
        turns = rotation_vector_from_matrix(_rotations(before) @ np.swapaxes(_rotations(after), 1, 2))
        distance = float(np.linalg.norm(offset[WRIST_POSITIONS].reshape(2, 3), axis=1).max())
        angle = float(np.linalg.norm(turns[1:], axis=1).max())  # the robot's head does not turn
        duration = max(self._shortest_hand_over, distance / HAND_OVER_SPEED, angle / HAND_OVER_TURN)
        return _HandOver(offset, turns, now_ns, duration)

    def _wanted(self, now_ns: int) -> _Goal | None:
        """What the source in force wants now."""
        if self._source == "policy":
            target = self._timeline.target(now_ns)
            if target is None or target.age_ns > self._observation_timeout * SECOND:
                return None
            return _Goal(target.vector, target.chunk_stamp_ns)
        if self._teleop is None or now_ns - self._teleop.stamp_ns > self._target_timeout_ns:
            return None
        return _Goal(self._teleop.vector, self._teleop.stamp_ns)

    def _why_no_goal(self, now_ns: int) -> str:
        if self._source != "policy":
            return "no fresh teleop target"
        target = self._timeline.target(now_ns)
        if target is None:
            return "no chunk covers this time"
        return f"the newest chunk goes back to an observation of {target.age_ns / SECOND:.2f} s ago; do pictures come?"

    def _fault_of_joints(self, now_ns: int) -> str:
        if self._joints is None:
            return "no joint_states yet"
        age = now_ns - self._joints.stamp_ns
        return f"joint_states are {age / SECOND:.2f} s old" if age > self._joints_timeout_ns else ""

    def _forget_targets(self) -> None:
        self._timeline.clear()
        self._teleop = self._followed = None
        self._tick_ns = self._waits_since_ns = self._hand_over = None


def _rotations(vector: Array) -> Array:
    """Of head, left and right wrist, (3, 3, 3), in a target (54,)."""
    return matrix_from_rotation_6d(vector[ROTATIONS].reshape(3, 6))


def solve_chunk(retargeting: Retargeting, chunk: Chunk, joints: Array) -> Array:
    """The joints (H, 26) that reach a chunk's actions one after the other, beginning at `joints` (26,)."""
    dt = 1 / (chunk.rate * SOLVES_PER_ACTION)
    solutions = []
    for action in chunk.actions:
        for _ in range(SOLVES_PER_ACTION):
            joints = retargeting.solve(action, joints, dt).q
        solutions.append(joints)
    return np.array(solutions)
