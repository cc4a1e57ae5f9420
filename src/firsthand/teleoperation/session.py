"""From what a headset sees to what the robot is asked to do: the state machine of one operator.

    from        to          when
    waiting     ready       samples come
    ready       engaging    the clutch closes: the gesture is let go, or the pedal pressed
    engaging    following   the gate lets commands through, and it is the person's turn
    engaging    ready       it does not within `ENGAGE_WITHIN`; it is stopped; the robot's hands are silent
    following   ready       the clutch opens; the gate lets go; the policy is given the robot; a hand stays lost; the
                            headset's world moves
    following   paused      no sample for `sample_timeout`, or time goes back
    paused      following   samples have come for `SETTLING`, within `resume_time`
    any         waiting     no sample for longer

    state       target
    waiting     none: commands end, and the gate holds, then damps
    ready       where the robot was left, if it was led: it holds. Else none
    engaging    the robot's own measured hands
    following   the person's, by their anchors; a hand that is not seen stays where it was last wanted
    paused      none: the gate holds

Whenever a hand is tied anew (clutch, sight, connection), it is tied where the robot's hand is wanted just then: nothing
jumps. After a silence, what waited on the way arrives all at once: nothing is followed until samples come as usual. The
session owns no clock and calls nobody: what is to be asked of others is in `Output.requests`.
"""

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import HeadsetError
from firsthand.headset.hand_frames import hand_state
from firsthand.headset.hands_sample import HandsSample
from firsthand.robot.model import RobotModel
from firsthand.robot.safety_gate import ENGAGED
from firsthand.space.hand_state import SIDES, HandState
from firsthand.space.rotations import angle_between
from firsthand.teleoperation.anchor import SECOND
from firsthand.teleoperation.clutch import GestureClutch, Move, PedalClutch
from firsthand.teleoperation.following import Following
from firsthand.teleoperation.gestures import HandsUp, Held, RecordingGestures
from firsthand.teleoperation.operator import AVERAGE, Operator, measure_operator
from firsthand.teleoperation.reach import Reach
from firsthand.teleoperation.settings import TeleoperationSettings

Array = NDArray[np.floating]

MEASURED_WITHIN = 0.25  # [s]; older hand states of the robot are nothing to begin at
POSE_TIME = 1.0  # [s] of samples that measure an operator
ENGAGE_WITHIN = 5.0  # [s] that the motors have to follow after the clutch closed
SETTLING = 0.1  # [s] that samples come in order after a silence before they are followed
TIME_BACK = 0.1  # [s]; clocks may disagree by so much
HEAD_SPEED, HEAD_TURN = 4.0, 20.0  # [m/s], [rad/s]; faster than any neck: the headset has moved its world
SHORTEST_PERIOD = 1 / 90  # [s]; samples that waited on the way arrive in a bunch


class TeleopState(str, Enum):
    """What the session does; the table is at the top of this file."""

    WAITING = "waiting"
    READY = "ready"
    ENGAGING = "engaging"
    FOLLOWING = "following"
    PAUSED = "paused"


class Request(str, Enum):
    """What is to be asked of others: the first three again and again until their state says that it is so."""

    STOP = "stop"  # the gate's latched stop
    ENGAGE = "engage"  # the gate
    TAKE = "take"  # the robot, from the policy
    RECORD = "record"  # an episode; said once, as the two below
    END_RECORDING = "end recording"
    DISCARD = "discard"  # the episode in progress, or the last one


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
        self._following = Following(model, self.settings, operator, self.reach)
        self._gate, self._source, self._recorder = "", "", ""
        self._robot: tuple[int, HandState] | None = None  # stamp and measured state
        self._clutch, self._pedal = GestureClutch(self.settings.gesture_time), PedalClutch(self.settings.pedal_timeout)
        self._hands_up, self._stop = HandsUp(), Held(self.settings.stop_time)
        self._recording = RecordingGestures(self.settings.record_time, self.settings.discard_time)
        self._closed_ns = 0  # when the clutch closed
        self._begin: HandState | None = None  # where the robot's hands are while it engages
        self._sample_ns: int | None = None
        self._head: Array = np.eye(4)  # world_from_head of the last sample
        self._silent, self._back_ns = True, 0  # and since when samples come again
        self._tracked = (True, True)  # in the last sample
        self._recent: deque[tuple[int, HandState]] = deque()
        self._stopping = False
        self._ended = ""  # why the robot follows no longer, where the operator did not ask for it

    # What others do

    def hear_gate(self, state: str) -> None:
        """The safety gate's state, at every change."""
        was_moving, self._gate = self._gate in ENGAGED, state
        if state == "stopped" or (was_moving and state not in ENGAGED):
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
        self._pedal.hear(now_ns, pressed)

    def hear_recorder(self, state: str) -> None:
        """The recorder's state, "ready: ...", at every change; empty if there is none."""
        self._recorder = state

    # What the person does

    def take(self, sample: HandsSample, now_ns: int) -> Output:
        """Look at a sample."""
        self._note_silence(sample.stamp_ns)
        if self._silent:
            self._silent, self._back_ns = False, now_ns
            self._forget_gestures()
        world_moved = self._world_moved(sample)
        self._sample_ns, self._head, self._tracked = sample.stamp_ns, sample.world_from_head, sample.tracked
        own = hand_state(sample)
        self._remember(sample.stamp_ns, own)
        self._watch_for_stop(now_ns, own)
        move = self._clutch_moves(now_ns, own)
        if self.state in (TeleopState.WAITING, TeleopState.PAUSED):
            self._come_back(sample, now_ns)
        elif world_moved and self.state is not TeleopState.READY:
            self._end("the headset moved its world")
        if self.state is TeleopState.READY and move is Move.CLOSE and not self._stopping:
            self._close(sample, now_ns)
        elif self.state is not TeleopState.READY and move is Move.OPEN:
            self._enter_ready()
        if self.state is TeleopState.ENGAGING:
            self._engage(sample, now_ns)
        if self.state is TeleopState.FOLLOWING:
            self._follow(sample, own, now_ns)
        return self._output(now_ns, self._recording_request(now_ns, own))

    def pass_time(self, now_ns: int) -> Output:
        """Look at the clock: a headset may have fallen silent."""
        self._note_silence(now_ns)
        return replace(self._output(now_ns), target=None)

    def measure_operator(self) -> Operator:
        """Measure the operator from the last second, and work with what came out.

        Raises:
            HeadsetError: The pose was not held, or hands are being followed.
        """
        if self.state not in (TeleopState.READY, TeleopState.WAITING):
            raise HeadsetError(f"the robot is {self.state.value}; open the clutch first")
        self.operator = measure_operator([] if self._silent else [state for _, state in self._recent])
        self._following.set_operator(self.operator)
        return self.operator

    def _note_silence(self, now_ns: int) -> None:
        """Look how long ago the last sample was; time that goes back is a silence, too."""
        silence = np.inf if self._sample_ns is None else (now_ns - self._sample_ns) / SECOND
        if -TIME_BACK <= silence <= self.settings.sample_timeout:
            return
        if silence < 0:
            self._sample_ns = now_ns
        if not self._silent:
            self._silent = True
            self._recent.clear()
        may_resume = silence <= self.settings.sample_timeout + self.settings.resume_time
        if may_resume and self.state in (TeleopState.FOLLOWING, TeleopState.PAUSED):
            self.state = TeleopState.PAUSED
        elif self.state is not TeleopState.WAITING and not (may_resume and self.state is TeleopState.READY):
            self._let_go()
            self.state = TeleopState.WAITING

    def _world_moved(self, sample: HandsSample) -> bool:
        """Whether the head went or turned as no head can: the device has laid its world anew, hands and all."""
        if self._sample_ns is None:
            return False
        elapsed = max((sample.stamp_ns - self._sample_ns) / SECOND, SHORTEST_PERIOD)
        way = float(np.linalg.norm(sample.world_from_head[:3, 3] - self._head[:3, 3]))
        turn = float(angle_between(sample.world_from_head[:3, :3], self._head[:3, :3]))
        return way > HEAD_SPEED * elapsed or turn > HEAD_TURN * elapsed

    def _forget_gestures(self) -> None:
        """What was begun before a silence is not what the person wants now."""
        self._clutch.forget()
        self._recording.forget()
        if self.state is TeleopState.WAITING:
            self._pedal.forget()

    # The clutch

    def _watch_for_stop(self, now_ns: int, own: HandState) -> None:
        up = self._hands_up.look(now_ns, own.wrist_positions)
        if self._stop.update(now_ns, up) and self._gate != "stopped":
            self._stopping = True
            self._let_go()

    def _clutch_moves(self, now_ns: int, own: HandState) -> Move:
        if self.settings.clutch == "pedal":
            return self._pedal.look(now_ns)
        return self._clutch.look(now_ns, own.fingertips_in_wrist, self.state is not TeleopState.READY)

    def _close(self, sample: HandsSample, now_ns: int) -> None:
        robot = self._fresh_robot(now_ns)
        if robot is None or not all(sample.tracked) or self._gate == "stopped":
            return
        self._begin, self._ended = self._following.target or robot, ""
        self.state, self._closed_ns = TeleopState.ENGAGING, now_ns

    def _engage(self, sample: HandsSample, now_ns: int) -> None:
        """Begin as soon as commands get through to the motors."""
        ours = self._gate in ENGAGED and self._source == "teleop"
        if not ours:  # the policy moves it, or it sags
            self._begin = self._fresh_robot(now_ns)
        if self._begin is None:
            self._end("the robot's hand_state fell silent")
        elif ours and all(sample.tracked):
            self._following.begin(sample, self._begin)
            self.state = TeleopState.FOLLOWING
        elif not 0 <= now_ns - self._closed_ns <= ENGAGE_WITHIN * SECOND:
            self._end("a hand was not seen" if ours else "the motors did not engage")

    def _follow(self, sample: HandsSample, own: HandState, now_ns: int) -> None:
        self._following.follow(sample, own, now_ns)
        lost = self._following.lost(now_ns)
        if lost:
            self._end(f"the {' and '.join(lost)} hand was out of sight")

    def _come_back(self, sample: HandsSample, now_ns: int) -> None:
        if self.state is TeleopState.WAITING or self._following.target is None or self._gate not in ENGAGED:
            self.state = TeleopState.READY
        elif now_ns - self._back_ns >= SETTLING * SECOND:
            self._following.resume(sample)
            self.state = TeleopState.FOLLOWING

    def _end(self, why: str) -> None:
        """Open the clutch for a reason that the operator is told."""
        self._enter_ready()
        self._ended = why

    def _enter_ready(self) -> None:
        """Open the clutch: the robot holds what was wanted last."""
        self.state, self._begin, self._ended = TeleopState.READY, None, ""

    def _let_go(self) -> None:
        """Ask for nothing any more."""
        if self.state is not TeleopState.WAITING:
            self._enter_ready()
        self._following.target = None

    # Recording

    def _recording_request(self, now_ns: int, own: HandState) -> Request | None:
        """What thumbs ask for, while the clutch is open: the robot's hands must not make the gesture, too."""
        if self.state is not TeleopState.READY or not self._recorder:
            self._recording.forget()
            return None
        said = self._recording.look(now_ns, own)
        if said > 0:
            return Request.END_RECORDING if self._is_recording else Request.RECORD
        return Request.DISCARD if said < 0 else None

    @property
    def _is_recording(self) -> bool:
        return self._recorder.startswith("recording")

    # What comes out

    def _remember(self, stamp_ns: int, own: HandState) -> None:
        self._recent.append((stamp_ns, own))
        while stamp_ns - self._recent[0][0] > POSE_TIME * SECOND or stamp_ns < self._recent[0][0]:
            self._recent.popleft()

    def _fresh_robot(self, now_ns: int) -> HandState | None:
        if self._robot is None or abs(now_ns - self._robot[0]) > MEASURED_WITHIN * SECOND:
            return None
        return self._robot[1]

    def _output(self, now_ns: int, recording: Request | None = None) -> Output:
        target = None
        if self.state is TeleopState.ENGAGING:
            target = self._begin
        elif self.state in (TeleopState.FOLLOWING, TeleopState.READY) and self._source == "teleop":
            target = self._following.target
        requests = set() if recording is None else {recording}
        if self._stopping:
            requests.add(Request.STOP)
        elif self.state is TeleopState.ENGAGING and self._source != "teleop":
            requests.add(Request.TAKE)  # first: the gate must not let the policy through for the person's clutch
        elif self.state is TeleopState.ENGAGING and self._gate not in ENGAGED:
            requests.add(Request.ENGAGE)
        vector = None if target is None else target.to_vector()
        return Output(self.state, vector, frozenset(requests), self._message(now_ns))

    def _message(self, now_ns: int) -> str:
        if self._stopping or self._gate == "stopped":
            return "stopped: call estop with false to go on" + self._recorder_message()
        lost = [side for side, seen in zip(SIDES, self._tracked, strict=True) if not seen]
        hands = f"; {' and '.join(lost)} hand not seen" if lost and not self._silent else ""
        return f"{self.state.value}: {self._detail(now_ns)}{hands}{self._recorder_message()}"

    def _detail(self, now_ns: int) -> str:
        if self.state is TeleopState.WAITING:
            return "the headset sends nothing"
        if self.state is TeleopState.PAUSED or self._silent:
            return "the headset fell silent; the robot holds"
        if self.state is TeleopState.ENGAGING:
            return f"waits for the motors, whose gate is {self._gate or 'silent'}; keep still"
        if self.state is TeleopState.FOLLOWING:
            ends = [side for side, is_there in zip(SIDES, self._following.at_border, strict=True) if is_there]
            return f"{' and '.join(ends)} arm at the end of its reach" if ends else "your hands are the robot's"
        if self._fresh_robot(now_ns) is None:
            return "the robot's hand_state is silent"
        clutch = self._pedal if self.settings.clutch == "pedal" else self._clutch
        why = f"{self._ended}; " if self._ended else "the policy drives; " if self._source == "policy" else ""
        return f"{why}{clutch.advice}"

    def _recorder_message(self) -> str:
        """What the recorder does, and what thumbs can do about it."""
        word, _, text = self._recorder.partition(": ")
        if not word:
            return ""
        if self._recording.pending < 0:
            return "; hold the thumbs down to discard"
        if self._recording.pending > 0:
            return f"; hold the thumbs up to {'end the recording' if self._is_recording else 'record'}"
        if word == "failed":
            return f"; RECORDING FAILED: {text.partition(':')[0]}"
        discarded = "discarded, " if text.startswith("discarded") else ""
        said = "recording" if self._is_recording else f"{discarded}not recording"
        may_gesture = self.state is TeleopState.READY and not self._silent
        return f"; {said}, both thumbs up {'end' if self._is_recording else 'begin'} it" if may_gesture else f"; {said}"
