"""From what a headset sees to what the robot is asked to do: the state machine of one operator.

    from        to          when
    waiting     ready       samples come
    ready       engaging    the clutch closes: the gesture is let go, or the pedal pressed
    engaging    following   the gate lets commands through, and it is the person's turn
    following   ready       the clutch opens; the gate lets go; the policy is given the robot; a hand stays lost
    following   paused      no sample for `sample_timeout`
    paused      following   samples come again within `resume_time`
    any         waiting     no sample for longer

    state       target
    waiting     none: commands end, and the gate holds, then damps
    ready       where the robot was left, if it was led: it holds. Else none
    engaging    the robot's own measured hands
    following   the person's, by their anchors; a hand that is not seen stays where it was last wanted
    paused      none: the gate holds

Whenever a hand is tied anew (clutch, sight, connection), it is tied where the robot's hand is wanted just then: nothing
jumps. The session owns no clock and calls nobody: what is to be asked of others is in `Output.requests`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import HeadsetError
from firsthand.headset.hand_frames import hand_state, world_from_robot
from firsthand.headset.hands_sample import HandsSample
from firsthand.robot.fingertips import Fingertips
from firsthand.robot.hand_retargeting import HandRetargeting
from firsthand.robot.joints import HANDS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.space.frames import inverse
from firsthand.space.hand_state import SIDES, HandState
from firsthand.teleoperation.anchor import SECOND, Anchor, smooth
from firsthand.teleoperation.gestures import ClutchGesture, Held, hands_are_up
from firsthand.teleoperation.operator import AVERAGE, Operator, measure_operator
from firsthand.teleoperation.reach import Reach

Array = NDArray[np.floating]

CLUTCHES = ("gesture", "pedal")
MOVING = ("engaging", "active", "holding")  # states of the safety gate in which the robot follows, or soon will again
MEASURED_WITHIN = 0.25  # [s]; older hand states of the robot are nothing to begin at
POSE_TIME = 1.0  # [s] of samples that measure an operator
NEAR_BORDER = 0.01  # [m] that a wish is bent back before the operator is told


class TeleopState(str, Enum):
    """What the session does; the table is at the top of this file."""

    WAITING = "waiting"
    READY = "ready"
    ENGAGING = "engaging"
    FOLLOWING = "following"
    PAUSED = "paused"


class Request(str, Enum):
    """What is to be asked of others, again and again until their state says that it is so."""

    STOP = "stop"  # the gate's latched stop
    ENGAGE = "engage"  # the gate
    TAKE = "take"  # the robot, from the policy


@dataclass(frozen=True)
class TeleoperationSettings:
    """Times in seconds."""

    clutch: str = "gesture"
    sample_timeout: float = 0.15
    resume_time: float = 1.0
    lost_time: float = 2.0
    engage_time: float = 1.5  # in which rotations and fingers come to agree after the clutch has closed
    gesture_time: float = 0.5
    stop_time: float = 0.25
    pedal_timeout: float = 0.3
    motion_scale: float = 1.0  # 0: by the operator's arms
    absolute: bool = True

    def __post_init__(self) -> None:
        if self.clutch not in CLUTCHES:
            raise ValueError(f"expected a clutch of {', '.join(CLUTCHES)}, got {self.clutch!r}")
        times = (self.sample_timeout, self.resume_time, self.lost_time, self.engage_time, self.pedal_timeout)
        if min(times) <= 0 or min(self.gesture_time, self.stop_time) < 0:
            raise ValueError(f"expected times above 0, got {self}")
        if self.motion_scale < 0 or (self.absolute and self.motion_scale not in (0.0, 1.0)):
            raise ValueError(f"expected a motion scale above 0, or 0 for the operator's own; 1 where absolute: {self}")


@dataclass(frozen=True)
class Output:
    """What comes of a sample, or of time passing."""

    state: TeleopState
    target: Array | None  # (54,), in the robot's F_R; None asks for nothing
    requests: frozenset[Request]
    message: str  # for the operator, one line


class Teleoperation:
    """One operator's session. Its methods belong to one thread.

    Args:
        model: The robot.
        settings: Times and choices.
        operator: Who is in the headset.
        reach: Borders of the wrists; the robot's own if None.
    """

    def __init__(
        self,
        model: RobotModel,
        settings: TeleoperationSettings | None = None,
        operator: Operator = AVERAGE,
        reach: Reach | None = None,
    ) -> None:
        self.settings = settings or TeleoperationSettings()
        self.operator = operator
        self.state = TeleopState.WAITING
        self.reach = reach or Reach.of(model)
        self._model = model
        self._fingertips = Fingertips(model)
        self._plain = HandRetargeting(model)
        self._retargeting = HandRetargeting(model, operator.tip_calibration(model))
        self._q_hands = model.neutral[HANDS_SLICE].copy()
        self._gate, self._source = "", ""
        self._robot: tuple[int, HandState] | None = None  # stamp and measured state
        self._clutch, self._stop = ClutchGesture(), Held(self.settings.stop_time)
        self._clutch_held = Held(self.settings.gesture_time)
        self._armed = self._spent = False  # the gesture has been held; and has done what it does
        self._pedal: tuple[int, bool] = (0, False)
        self._frame: Array = np.eye(4)  # world_from_robot of the person when the clutch closed
        self._anchors: list[Anchor | None] = [None, None]
        self._beyond: Array = np.zeros((2, 3))  # [m], how far outside of the reach the robot's hands were tied
        self._closed_ns = 0  # when the clutch closed
        self._wishes: Array = np.tile(
            np.eye(4), (2, 1, 1)
        )  # wrists before the reach is looked at; of lost hands, the last
        self._begin: HandState | None = None  # the robot's hands at that time
        self._target: HandState | None = None  # what was wanted last
        self._lost_since_ns: list[int | None] = [None, None]
        self._sample_ns: int | None = None
        self._tracked = (True, True)  # in the last sample
        self._border = (False, False)
        self._recent: deque[tuple[int, HandState]] = deque()
        self._stopping = False

    # What others do

    def hear_gate(self, state: str) -> None:
        """The safety gate's state, at every change."""
        was_moving, self._gate = self._gate in MOVING, state
        if was_moving and state not in MOVING:
            self._let_go()
        if state == "stopped":
            self._stopping = False

    def hear_source(self, source: str) -> None:
        """Whose targets are followed, at every change."""
        was_ours, self._source = self._source == "teleop", source
        if was_ours and source != "teleop":
            self._let_go()

    def hear_robot(self, stamp_ns: int, state: Array) -> None:
        """The robot's measured hand state (54,)."""
        self._robot = stamp_ns, HandState.from_vector(state)

    def hear_pedal(self, now_ns: int, pressed: bool) -> None:
        """The pedal's state, again and again: silence is a released pedal."""
        self._pedal = now_ns, pressed

    # What the person does

    def take(self, sample: HandsSample, now_ns: int) -> Output:
        """Look at a sample."""
        self._note_silence(sample.stamp_ns)
        self._sample_ns, self._tracked = sample.stamp_ns, sample.tracked
        own = hand_state(sample)
        self._remember(sample.stamp_ns, own)
        self._watch_for_stop(now_ns, own)
        toggled = self._clutch_moves(now_ns, own)
        if self.state in (TeleopState.WAITING, TeleopState.PAUSED):
            self._come_back(now_ns)
        if self.state is TeleopState.READY and toggled == "close" and not self._stopping:
            self._close(sample, now_ns)
        elif self.state is not TeleopState.READY and toggled == "open":
            self._enter_ready()
        if self.state is TeleopState.ENGAGING:
            self._engage(sample, own, now_ns)
        if self.state is TeleopState.FOLLOWING:
            self._follow(sample, own, now_ns)
        return self._output(now_ns)

    def pass_time(self, now_ns: int) -> Output:
        """Look at the clock: a headset may have fallen silent, a pedal been let go."""
        self._note_silence(now_ns)
        return replace(self._output(now_ns), target=None)

    def measure_operator(self) -> Operator:
        """Measure the operator from the last second, and work with what came out.

        Raises:
            HeadsetError: The pose was not held, or hands are being followed.
        """
        if self.state not in (TeleopState.READY, TeleopState.WAITING):
            raise HeadsetError(f"the robot is {self.state.value}; open the clutch first")
        self.operator = measure_operator([state for _, state in self._recent])
        self._retargeting.calibration = self.operator.tip_calibration(self._model)
        return self.operator

    def _note_silence(self, now_ns: int) -> None:
        silence = np.inf if self._sample_ns is None else (now_ns - self._sample_ns) / SECOND
        if silence <= self.settings.sample_timeout:
            return
        may_resume = silence <= self.settings.sample_timeout + self.settings.resume_time
        if may_resume and self.state in (TeleopState.FOLLOWING, TeleopState.PAUSED):
            self.state = TeleopState.PAUSED
        elif self.state is not TeleopState.WAITING:
            self._let_go()
            self.state = TeleopState.WAITING

    # The clutch

    def _watch_for_stop(self, now_ns: int, own: HandState) -> None:
        if self._stop.update(now_ns, hands_are_up(own.wrist_positions)) and self._gate != "stopped":
            self._stopping = True
            self._let_go()

    def _clutch_moves(self, now_ns: int, own: HandState) -> str:
        """`close`, `open`, or nothing."""
        if self.settings.clutch == "pedal":
            stamp_ns, pressed = self._pedal
            pressed &= now_ns - stamp_ns <= self.settings.pedal_timeout * SECOND
            was, self._armed = self._armed, pressed
            return ("close" if pressed and not was else "") if pressed else "open"
        made = self._clutch.look(own.fingertips_in_wrist)
        held = self._clutch_held.update(now_ns, made)
        if made:
            if held and self.state is not TeleopState.READY and not self._spent and not self._armed:
                self._spent = True
                return "open"
            self._armed |= held and not self._spent
            return ""
        closes, self._armed, self._spent = self._armed, False, False
        return "close" if closes else ""

    def _close(self, sample: HandsSample, now_ns: int) -> None:
        robot = self._fresh_robot(now_ns)
        if robot is None or not all(sample.tracked) or self._gate == "stopped":
            return
        self._begin = self._target or robot
        self.state, self._closed_ns = TeleopState.ENGAGING, now_ns

    def _engage(self, sample: HandsSample, own: HandState, now_ns: int) -> None:
        """Tie both hands as soon as commands get through to the motors."""
        if self._source != "teleop":  # the policy still moves it
            self._begin = self._fresh_robot(now_ns) or self._begin
        if self._gate in MOVING and self._source == "teleop" and self._begin is not None and all(sample.tracked):
            self._frame = world_from_robot(sample.world_from_head)
            self._closed_ns, self._target = now_ns, self._begin
            self._q_hands = self._hands_at(self._begin)
            self._tie(own.wrist_poses, now_ns, (0, 1))
            self.state = TeleopState.FOLLOWING

    def _tie(self, wrists: Array, now_ns: int, sides: Sequence[int]) -> None:
        """Tie hands where the robot's are wanted just now."""
        assert self._target is not None, "nothing is tied before the robot's hands are known"
        s = self.settings
        scale = s.motion_scale or (1.0 if s.absolute else self.operator.motion_scale)
        for side in sides:
            robot = self._wishes[side] = self._target.wrist_poses[side]
            self._anchors[side] = Anchor(robot, wrists[side], now_ns, s.engage_time, scale, s.absolute)
            self._beyond[side] = robot[:3, 3] - self.reach.limit(self._target.wrist_positions)[side]
            self._lost_since_ns[side] = None

    def _come_back(self, now_ns: int) -> None:
        paused, self.state = self.state is TeleopState.PAUSED, TeleopState.READY
        if paused and self._target is not None and self._gate in MOVING:
            self._anchors, self.state = [None, None], TeleopState.FOLLOWING  # tied again at the first sight

    def _enter_ready(self) -> None:
        """Open the clutch: the robot holds what was wanted last."""
        self.state, self._anchors, self._begin = TeleopState.READY, [None, None], None

    def _let_go(self) -> None:
        """Ask for nothing any more."""
        if self.state is not TeleopState.WAITING:
            self._enter_ready()
        self._target = None

    # Following

    def _follow(self, sample: HandsSample, own: HandState, now_ns: int) -> None:
        assert self._target is not None, "set when the clutch closed"
        person = inverse(self._frame) @ world_from_robot(sample.world_from_head) @ own.wrist_poses
        self._note_lost_hands(sample, person, now_ns)
        if self.state is not TeleopState.FOLLOWING or self._target is None:
            return
        for side, anchor in enumerate(self._anchors):
            if anchor is not None and sample.tracked[side]:
                self._wishes[side] = anchor.follow(person[side], now_ns)
        wrists = self._wishes.copy()
        wrists[:, :3, 3] = self._within_reach(wrists[:, :3, 3], now_ns)
        head = np.array(self._target.head_rotation)
        self._target = HandState.from_poses(head, wrists, self._follow_fingers(own.fingertips_in_wrist, now_ns))

    def _within_reach(self, wishes: Array, now_ns: int) -> Array:
        """Places (2, 3) for wishes; a hand that was tied outside of the reach comes inside slowly."""
        limited = self.reach.limit(wishes)
        bent = np.linalg.norm(wishes - limited, axis=1) > NEAR_BORDER
        self._border = bool(bent[0]), bool(bent[1])
        for side, anchor in enumerate(self._anchors):
            if anchor is not None:
                limited[side] += anchor.remainder(now_ns, self._beyond[side])
        return limited

    def _follow_fingers(self, tips: Array, now_ns: int) -> Array:
        """The robot's own fingertips (2, 5, 3) that come nearest to a person's; NaN stays where it is."""
        self._q_hands = self._retargeting.solve(tips, self._q_hands).q
        reached = self._fingertips.at(self._q_hands)
        if self._begin is None:
            return reached
        share = smooth((now_ns - self._closed_ns) / SECOND / self.settings.engage_time)
        return (1 - share) * self._begin.fingertips_in_wrist + share * reached

    def _note_lost_hands(self, sample: HandsSample, person: Array, now_ns: int) -> None:
        for side in (0, 1):
            if sample.tracked[side]:
                if self._anchors[side] is None or self._lost_since_ns[side] is not None:
                    self._tie(person, now_ns, (side,))
                continue
            since = self._lost_since_ns[side]
            self._lost_since_ns[side] = now_ns if since is None else since
            if since is not None and now_ns - since > self.settings.lost_time * SECOND:
                self._enter_ready()

    def _hands_at(self, state: HandState) -> Array:
        """The hands' joints (12,) of a state of the robot."""
        q = self._q_hands
        for _ in range(20):
            q = self._plain.solve(state.fingertips_in_wrist, q).q
        return q

    # What comes out

    def _remember(self, stamp_ns: int, own: HandState) -> None:
        self._recent.append((stamp_ns, own))
        while stamp_ns - self._recent[0][0] > POSE_TIME * SECOND or stamp_ns < self._recent[0][0]:
            self._recent.popleft()

    def _fresh_robot(self, now_ns: int) -> HandState | None:
        if self._robot is None or now_ns - self._robot[0] > MEASURED_WITHIN * SECOND:
            return None
        return self._robot[1]

    def _output(self, now_ns: int) -> Output:
        target = None
        if self.state is TeleopState.ENGAGING:
            target = self._begin
        elif self.state in (TeleopState.FOLLOWING, TeleopState.READY) and self._source == "teleop":
            target = self._target
        requests = set()
        if self._stopping:
            requests.add(Request.STOP)
        elif self.state is TeleopState.ENGAGING:
            requests |= {Request.TAKE} if self._source != "teleop" else set()
            requests |= {Request.ENGAGE} if self._gate not in MOVING else set()
        vector = None if target is None else target.to_vector()
        return Output(self.state, vector, frozenset(requests), self._message(now_ns))

    def _message(self, now_ns: int) -> str:
        if self._stopping or self._gate == "stopped":
            return "stopped: call estop with false to go on"
        lost = [side for side, seen in zip(SIDES, self._tracked, strict=True) if not seen]
        silent = self.state in (TeleopState.WAITING, TeleopState.PAUSED)
        hands = f"; {' and '.join(lost)} hand not seen" if lost and not silent else ""
        return f"{self.state.value}: {self._detail(now_ns)}{hands}"

    def _detail(self, now_ns: int) -> str:
        if self.state is TeleopState.WAITING:
            return "the headset sends nothing"
        if self.state is TeleopState.PAUSED:
            return "the headset fell silent; the robot holds"
        if self.state is TeleopState.ENGAGING:
            return f"waits for the motors, whose gate is {self._gate or 'silent'}; keep still"
        if self.state is TeleopState.FOLLOWING:
            ends = [side for side, is_there in zip(SIDES, self._border, strict=True) if is_there]
            return f"{' and '.join(ends)} arm at the end of its reach" if ends else "your hands are the robot's"
        if self._fresh_robot(now_ns) is None:
            return "the robot's hand_state is silent"
        if self.settings.clutch == "pedal":
            return "press the pedal to begin"
        if self._armed:
            return "let go to begin"
        drives = "the policy drives; " if self._source == "policy" else ""
        return f"{drives}touch thumb and little finger of both hands, then let go, to begin"
