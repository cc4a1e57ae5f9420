"""teleop: a person's hands to targets for the robot's; clutch, calibration, reach and stop.

in       teleop/hands     what a headset sees
         teleop/pedal     Bool, again and again: with clutch:=pedal the robot follows while it is true
         hand_state       where the robot's hands are
         gate_state       what the safety gate does
         source           whose targets are followed
         recorder/state   what the recorder does
out      teleop/target    what the robot's hands shall do, with the stamp of the sample it comes from
         teleop/status    String, latched: one line for the operator, at every change
         estop            Bool, true: when the hands are thrown up
calls    engage, estop    of the body: when the clutch closes, when the hands are thrown up
         set_source       of kinematics: when the clutch closes while the policy drives
         recorder/start, recorder/stop, recorder/discard      by thumbs up and down
service  teleop/calibrate Trigger: measures the operator, who holds the pose of teleoperation/operator.py
"""

import time
from dataclasses import dataclass
from pathlib import Path

from rclpy.clock import Clock, ClockType
from rclpy.task import Future
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.errors import HeadsetError
from firsthand.nodes.diagnostics import ERROR, OK, STALE, WARN, Diagnostics, Status
from firsthand.nodes.hands_messages import read_hands
from firsthand.nodes.intake import Intake, Latencies, check_age
from firsthand.nodes.messages import SECOND, read_hand_state, write_hand_state
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RunnableNode, run
from firsthand.nodes.qos import EVERY, LATCHED, LATEST, PUBLISH
from firsthand.robot.joints import HAND_CHOICES
from firsthand.robot.model import RobotModel
from firsthand.robot.mount_file import robot_urdf
from firsthand.teleoperation.operator import AVERAGE, load_operator, save_operator
from firsthand.teleoperation.reach import Reach
from firsthand.teleoperation.session import Output, Request, Teleoperation, TeleopState
from firsthand.teleoperation.settings import CLUTCHES, TeleoperationSettings
from firsthand.teleoperation.smoothing import SmoothingSettings

WATCH_PERIOD = 0.02  # [s] of real time
RECORDER_PERIOD = 1.0  # [s] in which is noticed that the recorder has gone
ASK_AGAIN = 0.5  # [s] after which a request that was not granted is made again
STOP_AGAIN = 0.1  # [s]; so is the emergency stop
LEVELS = {TeleopState.WAITING: STALE, TeleopState.PAUSED: WARN}
RECORDER = "recorder/state"
REQUESTS = {
    Request.STOP: ("estop", True),
    Request.ENGAGE: ("engage", True),
    Request.TAKE: ("set_source", False),
    Request.RECORD: ("recorder/start", None),
    Request.END_RECORDING: ("recorder/stop", None),
    Request.DISCARD: ("recorder/discard", None),
}
"""Which service grants a request, and what it is called with; None: it is a Trigger."""


@dataclass(frozen=True)
class TeleopSettings:
    """Parameters of the teleop node."""

    clutch: str = setting("gesture", "What lets the robot follow: gesture, or a pedal held down.", choices=CLUTCHES)
    absolute: bool = setting(
        True, "The robot's hands come to where the person's are seen from the eyes; else they keep their distance."
    )
    motion_scale: float = setting(
        1.0, "The robot's way over the person's, 1 where absolute; 0: by their arms.", minimum=0.0, maximum=2.0
    )
    operator: str = setting("", "File of the operator, read at the start and written by teleop/calibrate; empty: none.")
    lowest: float = setting(-0.75, "No wrist is asked to go below this, from the eyes, [m].", minimum=-2.0, maximum=0.0)
    hand: str = setting("dfx", "The robot's Inspire hands, whose fingertips follow the person's.", choices=HAND_CHOICES)
    camera_mount: str = setting("", "The same file as that of kinematics; empty: eyes as in the description.")
    hands_timeout: float = setting(
        0.15, "A headset that is silent for so long pauses the robot, [s].", minimum=0.03, maximum=1.0
    )
    resume_time: float = setting(
        1.0, "A pause longer than this needs the clutch again, [s].", minimum=0.0, maximum=10.0
    )
    lost_time: float = setting(2.0, "A hand out of sight for longer opens the clutch, [s].", minimum=0.1, maximum=30.0)
    engage_time: float = setting(1.5, "In which the hands come to agree, [s].", minimum=0.2, maximum=10.0)
    pedal_timeout: float = setting(
        0.3, "A pedal that is silent for so long is released, [s].", minimum=0.05, maximum=2.0
    )
    smoothing: bool = setting(True, "Whether hands are filtered (1 Euro) before they are followed.")
    min_cutoff: float = setting(2.0, "Of that filter, for a hand at rest, [Hz].", minimum=0.1, maximum=50.0)
    beta: float = setting(200.0, "By which the cutoff rises for each m/s of a hand, [Hz].", minimum=0.0, maximum=1000.0)
    beta_turn: float = setting(10.0, "And for each rad/s of a wrist, [Hz].", minimum=0.0, maximum=100.0)


class Teleop(RunnableNode):
    """One operator's session between topics and services."""

    moves_robot = True

    def __init__(self, **options: object) -> None:
        super().__init__("teleop", **options)
        self._settings = s = read_parameters(self, TeleopSettings)
        model = RobotModel.load(robot_urdf(s.hand, s.camera_mount))
        self._operator_file = Path(s.operator).expanduser() if s.operator else None
        known = self._operator_file is not None and self._operator_file.exists()
        self._session = Teleoperation(
            model,
            TeleoperationSettings(
                clutch=s.clutch, sample_timeout=s.hands_timeout, resume_time=s.resume_time, lost_time=s.lost_time,
                engage_time=s.engage_time, pedal_timeout=s.pedal_timeout, motion_scale=s.motion_scale,
                absolute=s.absolute,
                smoothing=SmoothingSettings(s.min_cutoff, s.beta, s.beta_turn) if s.smoothing else None,
            ),
            load_operator(self._operator_file) if known and self._operator_file else AVERAGE,
            Reach.of(model, lowest=s.lowest),
        )  # fmt: skip
        self._asked_at: dict[Request, float] = {}  # on the monotonic clock
        self._output: Output | None = None
        self._status_text = ""
        self._delay, self._work = Latencies(), Latencies()
        self._targets = self.create_publisher(MultiDOFJointTrajectory, "teleop/target", PUBLISH)
        self._statuses = self.create_publisher(String, "teleop/status", LATCHED)
        self._stops = self.create_publisher(Bool, "estop", PUBLISH)
        self._listen()

    def _listen(self) -> None:
        self._hands_in, self._robot_in = Intake(self, "teleop/hands"), Intake(self, "hand_state")
        self.create_subscription(MultiDOFJointTrajectory, "teleop/hands", self._on_hands, LATEST, raw=True)
        self.create_subscription(MultiDOFJointTrajectory, "hand_state", self._on_robot, LATEST, raw=True)
        self.create_subscription(Bool, "teleop/pedal", self._on_pedal, EVERY)
        self.create_subscription(String, "gate_state", lambda m: self._session.hear_gate(m.data), LATCHED)
        self.create_subscription(String, "source", lambda m: self._session.hear_source(m.data), LATCHED)
        self.create_subscription(String, RECORDER, lambda m: self._session.hear_recorder(m.data), LATCHED)
        self._callers = {
            request: self.create_client(Trigger if value is None else SetBool, service)
            for request, (service, value) in REQUESTS.items()
        }
        self.create_service(Trigger, "teleop/calibrate", self._on_calibrate)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(WATCH_PERIOD, self._watch, clock=steady)
        self.create_timer(RECORDER_PERIOD, self._watch_recorder, clock=steady)
        diagnostics = Diagnostics(self)
        diagnostics.add("hands", self._hands_in.status)
        diagnostics.add("hand_state", self._robot_in.status)
        diagnostics.add("session", self._session_status)

    # What comes in

    def _on_hands(self, message: bytes) -> None:
        with self._hands_in.reading():
            sample = read_hands(message)
            now_ns = self._now_ns()
            check_age("teleop/hands", sample.stamp_ns, now_ns, self._settings.hands_timeout)
            started = time.perf_counter()
            output = self._session.take(sample, now_ns)
            if output.target is not None:
                self._targets.publish(write_hand_state(output.target, sample.stamp_ns))
                self._delay.add((self._now_ns() - sample.stamp_ns) / SECOND)
            self._work.add(time.perf_counter() - started)
            self._act(output)

    def _on_robot(self, message: bytes) -> None:
        with self._robot_in.reading():
            if self._session.state is not TeleopState.FOLLOWING:  # then, nobody asks
                state = read_hand_state(message)
                self._session.hear_robot(state.stamp_ns, state.vector)

    def _on_pedal(self, message: Bool) -> None:
        self._session.hear_pedal(self._now_ns(), message.data)

    def _watch(self) -> None:
        self._act(self._session.pass_time(self._now_ns()))

    def _watch_recorder(self) -> None:
        """What a recorder said last stays said after its end."""
        if self.count_publishers(RECORDER) == 0:
            self._session.hear_recorder("")

    def _on_calibrate(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            operator = self._session.measure_operator()
            kept = "" if self._operator_file is None else f", kept in {save_operator(operator, self._operator_file)}"
            response.success = True
            response.message = (
                f"hands of {operator.hand_length * 100:.1f} cm, arms that reach {operator.arm_reach * 100:.0f} cm{kept}"
            )
        except (HeadsetError, OSError) as error:
            response.success, response.message = False, str(error)
        return response

    # What goes out

    def _act(self, output: Output) -> None:
        self._output = output
        if output.message != self._status_text:
            self._status_text = output.message
            self._statuses.publish(String(data=output.message))
        for request in output.requests:
            self._ask(request)

    def _ask(self, request: Request) -> None:
        """Call a service, and again after a while if the request still stands; never wait for it."""
        now = time.monotonic()
        again = STOP_AGAIN if request is Request.STOP else ASK_AGAIN
        if now - self._asked_at.get(request, float("-inf")) < again:
            return
        self._asked_at[request] = now
        if request is Request.STOP:
            self._stops.publish(Bool(data=True))  # beside the service, which has to be discovered and answers
        client, (service, value) = self._callers[request], REQUESTS[request]
        if client.service_is_ready():
            question = Trigger.Request() if value is None else SetBool.Request(data=value)
            client.call_async(question).add_done_callback(lambda f: self._hear_answer(service, f))
        else:
            self.get_logger().error(f"nobody offers the service {service}: is the node that has it running?")

    def _hear_answer(self, service: str, future: Future) -> None:
        answer = future.result()
        if answer is not None and not answer.success:
            self.get_logger().warning(f"{service}: {answer.message}")

    def _session_status(self) -> Status:
        output = self._output
        if output is None:
            return Status(STALE, "nothing yet")
        values = {**self._work.values("work"), **self._delay.values("sample to target")}
        level = ERROR if Request.STOP in output.requests else LEVELS.get(output.state, OK)
        return Status(level, output.message, values)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def main() -> int:
    """Run the node."""
    return run(Teleop)
