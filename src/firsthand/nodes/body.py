"""body: owns the motors, or what stands in for them, and the last safety gate.

in        joint_command      JointState, what is wanted, at 250 Hz
          estop              Bool: true is the emergency stop, whoever says so; false says nothing: the service
                             alone leads out
          action_chunk, right/color/rect/camera_info
                             their stamps only: simulated time waits for a slow policy and a slow camera
out       joint_states       what was measured
          motor_command      what the motors got: the output of the gate
          gate_state         String, latched: what the gate does, at every change
          /clock             where the body makes the time, as in simulation
          simulation/state   every joint of the scene, at the cameras' rate
          simulation/status  success and progress of the trial
services  engage, estop      SetBool; the e-stop is latched until it is called with false
          reset              Trigger: begin the next seed's trial; engaged again if that is still asked for
"""

import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from rclpy.clock import Clock, ClockType
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import MultiDOFJointTrajectory

from firsthand.errors import ModelError, RobotError, SimulationError
from firsthand.nodes.diagnostics import ERROR, OK, WARN, Diagnostics, Status
from firsthand.nodes.intake import Intake, thread_status
from firsthand.nodes.messages import SECOND, ns_from_stamp, read_chunk, read_joint_state, write_clock, write_joint_state
from firsthand.nodes.pacing import Pacing
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RatedThread, RunnableNode, run
from firsthand.nodes.qos import CLOCK, ESTOP_READERS, LATCHED, LATEST, PUBLISH
from firsthand.robot.bodies.h1_2 import CONTROLS, H1_2, H12Body, H12Settings
from firsthand.robot.bodies.interface import TICK, Body, BodyState, MotorCommand
from firsthand.robot.bodies.mock import MockBody
from firsthand.robot.collision import SelfCollision
from firsthand.robot.description import urdf
from firsthand.robot.hand_strokes import IN_USE, NOT_IN_USE, read_strokes
from firsthand.robot.joints import HAND_CHOICES, described_hand
from firsthand.robot.limits import JointLimits
from firsthand.robot.model import RobotModel
from firsthand.robot.safety_gate import (
    FOLLOWING,
    POWERED,
    Answer,
    Command,
    GateOutput,
    GateState,
    SafetyGate,
    SafetyGateSettings,
)

if TYPE_CHECKING:
    from firsthand.nodes.simulation_topics import SimulationTopics
    from firsthand.simulation.trials import TrialWatch

SWITCH_INTERVAL = 0.0005  # [s]; at Python's own 5 ms a busy executor would hold the control thread up for a whole tick
PATIENCE = 120.0  # [s] of real time, for every node of the graph to be up
PICTURES = "right/color/rect/camera_info"  # the last word on a pair: before it, both pictures have been sent
REPEAT_PERIOD = 0.05  # [s] of real time
START_TOLERANCE = 0.05  # [rad]; a robot that engages by itself waits for commands that begin at the measured joints
LEVELS = {GateState.HOLDING: WARN, GateState.DAMPING: WARN, GateState.STOPPED: ERROR}


@dataclass(frozen=True)
class BodyNodeSettings:
    """Parameters of the body node."""

    body: str = setting(
        "simulated",
        "What moves: simulated (MuJoCo), mock, or h1_2, the robot.",
        choices=("simulated", "mock", "h1_2"),
    )
    task: str = setting("push", "Task of the simulation.")
    variant: str = setting("id", "Variant of the task: id (as trained) or ood.", choices=("id", "ood"))
    seed: int = setting(0, "What chance draws the trial from.", minimum=0, maximum=2**31 - 1)
    real_time_factor: float = setting(
        1.0, "Simulated seconds in a real one; with h1_2 the speed of a fake robot.", minimum=0.02, maximum=20.0
    )
    publish_clock: bool = setting(
        True, "Make the time on /clock; a robot runs on the system's, unless real_time_factor says it is a slow fake."
    )
    wait_for_chunks: float = setting(
        0.12, "Simulated time waits for chunks of observations not older than this, [s]; 0: never.", minimum=0.0
    )
    joint_states_rate: float = setting(250.0, "Measured joints a second, [Hz].", minimum=1.0, maximum=250.0)
    scene_rate: float = setting(25.0, "Scene states a second, [Hz]: the cameras' rate.", minimum=1.0, maximum=250.0)
    trials: int = setting(0, "End after so many trials, each of the next seed; 0: run on.", minimum=0)
    engage_on_start: bool = setting(False, "Engage by itself when commands begin at the measured joints.")
    engage_time: float = setting(2.0, "From the measured pose to the command, [s].", minimum=0.1, maximum=30.0)
    command_timeout: float = setting(0.1, "Commands older than this are not followed, [s].", minimum=0.01, maximum=1.0)
    hold_time: float = setting(2.0, "How long to hold before damping, [s].", minimum=0.0, maximum=60.0)
    damping_time: float = setting(0.5, "How long stiffness takes to fall to zero, [s].", minimum=0.05, maximum=5.0)
    interface: str = setting("", "h1_2: network interface that leads to the robot; empty: loopback, for a fake one.")
    dds_domain: int = setting(0, "h1_2: DDS domain, 0 on a robot and 1 in simulators.", minimum=0, maximum=230)
    control: str = setting(
        "arm_sdk", "h1_2: arm_sdk beside the robot's own controller, or lowcmd in debug mode.", choices=tuple(CONTROLS)
    )
    hand: str = setting("dfx", "The Inspire hands it has; the simulated robot's are dfx.", choices=HAND_CHOICES)
    hand_strokes: str = setting("", "h1_2: what `firsthand calibrate hands` wrote; empty: fingers go from 1 to 0.")
    weight_time: float = setting(2.0, "h1_2: fade of arm_sdk's weight, [s].", minimum=0.1, maximum=10.0)
    state_timeout: float = setting(
        0.02, "h1_2: what the robot said longer ago counts as nothing, [s].", minimum=0.004, maximum=0.5
    )
    hand_state_timeout: float = setting(0.5, "h1_2: the same for its hands, [s].", minimum=0.02, maximum=5.0)
    check_crc: bool = setting(True, "h1_2: drop what the robot says with a wrong checksum; some simulators send none.")
    mode_machine: int = setting(
        H1_2, "h1_2: that the robot must say it is; 0 takes any, as of simulators that say 0.", minimum=0, maximum=255
    )

    @property
    def makes_time(self) -> bool:
        """Whether the others live in this body's time; in that of a robot only if it is a fake one in slow motion."""
        return self.publish_clock and (self.body != "h1_2" or self.real_time_factor != 1.0)

    @property
    def can_wait(self) -> bool:
        """Whether time may stand still."""
        return self.makes_time and self.body != "h1_2"


class BodyNode(RunnableNode):
    """Steps gate and body 250 times a second on a thread of its own."""

    moves_robot = True

    def __init__(self, **options: object) -> None:
        super().__init__("body", **options)
        self._settings = s = read_parameters(self, BodyNodeSettings)
        model = _load_model(s)
        self._joint_names = model.joints
        self._limits, self._self_collision = JointLimits.from_model(model), SelfCollision(model)
        self._body = _make_body(s)
        self._lock = threading.Lock()  # between the control thread and the services
        self._gate = self._new_gate()
        self._command: Command | None = None
        self._wanted = s.engage_on_start  # to follow commands: the last word of whoever asked
        self._engage_when_commanded = self._wanted
        self._waits_since = time.monotonic()  # for the trial to begin
        self._gate_state: GateState | None = None
        self._commands, self._chunks = Intake(self, "joint_command"), Intake(self, "action_chunk")
        self._joints_ns, self._joints_period_ns = 0, round(SECOND / s.joint_states_rate - TICK * SECOND / 2)
        self._measured_ns = -1  # the body's stamp of the joints that were published last
        self._pacing = Pacing(s.wait_for_chunks if s.can_wait else 0.0, 1 / s.scene_rate)
        self._repeated_at = float("-inf")  # on the monotonic clock
        self._seed, self._trial_begun = s.seed, False
        self._state: BodyState = self._body.reset(s.seed)
        self._start_ns = 0  # the body's own time counts from every reset, the node's goes on
        self._began_ns = time.monotonic_ns()
        self._trials, self._trials_done = self._watch_trials(), 0
        self._publish_on_topics()
        self._listen()
        self._control = RatedThread(TICK / s.real_time_factor, self._tick, on_error=self.fail)
        self._control.start()

    def shutdown(self) -> None:
        """Let the stiffness fall while the control thread still runs, then give the body back."""
        with self._lock:
            self._engage_when_commanded = False
            self._gate.disengage()
        deadline = time.monotonic() + 2 * self._settings.damping_time / self._settings.real_time_factor + 0.1
        while self.failure is None and self._gate.status.state in POWERED and time.monotonic() < deadline:
            time.sleep(TICK)
        self._control.stop()
        self._body.close()

    # The control thread

    def _tick(self) -> None:
        with self._lock:
            now_ns = self._now_ns()
            if not self._pacing.may_pass(now_ns):
                self._repeat()
                return
            self._check_patience()
            if self._engage_when_commanded and self._commands_begin_here():
                self._engage_when_commanded = False
                self._engage()
                now_ns = self._now_ns()
            measured = None if self._state.missing else self._state.positions
            output = self._gate.step(now_ns, self._command, measured)
            released = output.state is GateState.DISENGAGED
            self._state = self._body.step(MotorCommand(output.positions, output.stiffness, released))
            self._publish(output, now_ns)
            self._go_on_to_the_next_trial()

    def _go_on_to_the_next_trial(self) -> None:
        """Where a number of trials is wanted: when one is over, tell how it went and begin the next, or end."""
        outcome = self._trials.outcome(self._state.stamp_ns) if self._trials and self._trial_begun else None
        if outcome is None:
            return
        self.get_logger().info(str(outcome))
        self._trials_done += 1
        if self._trials_done == self._settings.trials:
            self._trials = None
            self.finished.set()
        else:
            self._next_trial()

    def _commands_begin_here(self) -> bool:
        """Whether it is known that the robot stands still here: commands of an earlier time go on elsewhere."""
        if self._command is None or self._gate_state is not GateState.DISENGAGED:
            return False
        return bool(np.abs(self._command.positions - self._state.positions).max() < START_TOLERANCE)

    def _check_patience(self) -> None:
        """End where trials are wanted and the next one does not begin.

        Raises:
            SimulationError: There have been no commands for too long.
        """
        if self._trials is None or self._trial_begun or not self._engage_when_commanded:
            return
        if time.monotonic() - self._waits_since > PATIENCE:
            raise SimulationError(
                f"no commands at the measured joints within {PATIENCE:g} s, so the trial did not begin; "
                "is every node of the graph running? What they printed, and /diagnostics, say what is missing."
            )

    def _engage(self) -> Answer:
        """Engage; the first time in a trial, the trial begins anew: its time limit does not run before."""
        answer = self._gate.engage()
        if answer.success and not self._trial_begun:
            self._trial_begun = True
            self._begin_trial()
        return answer

    def _begin_trial(self) -> None:
        """Put the body where the trial of the seed begins; its own time starts at 0, the node's goes on."""
        self._start_ns, self._state = self._now_ns(), self._body.reset(self._seed)

    def _now_ns(self) -> int:
        if self._settings.can_wait:
            return self._start_ns + self._state.stamp_ns
        if self._settings.makes_time:
            return round((time.monotonic_ns() - self._began_ns) * self._settings.real_time_factor)
        return int(self.get_clock().now().nanoseconds)

    def _publish(self, output: GateOutput, commanded_ns: int) -> None:
        now_ns = self._now_ns()
        if self._settings.makes_time:
            self._clock_output.publish(write_clock(now_ns))
        if now_ns - self._joints_ns >= self._joints_period_ns and self._has_measured():
            self._joints_ns = now_ns
            self._publish_joints()
        self._motors.publish(write_joint_state(self._joint_names, output.positions, commanded_ns))
        self._publish_gate_state(output.state)
        if self._simulation is not None:
            self._simulation.publish(now_ns, self._state.stamp_ns)

    def _publish_gate_state(self, state: GateState) -> None:
        if state is not self._gate_state:
            self._gate_state = state
            self._gate_states.publish(String(data=state.value))
            if state not in FOLLOWING:
                self._pacing.forget()  # what was on its way will not be followed

    def _has_measured(self) -> bool:
        """Whether the body says something new: what a silent robot said last is not published again as of now."""
        new = not self._state.missing and self._state.stamp_ns != self._measured_ns
        self._measured_ns = self._state.stamp_ns if new else self._measured_ns
        return new

    def _publish_joints(self) -> None:
        """With the time at which they were measured; where this body makes the time, its own is another."""
        state = self._state
        measured = isinstance(self._body, H12Body) and not self._settings.makes_time
        stamp_ns = state.stamp_ns if measured else self._joints_ns
        self._joints.publish(write_joint_state(self._joint_names, state.positions, stamp_ns, state.velocities))

    def _repeat(self) -> None:
        """While time stands still: whoever is waited for may have missed the last instant, or may just have come."""
        self._publish_gate_state(self._gate.status.state)
        if time.monotonic() - self._repeated_at > REPEAT_PERIOD:
            self._repeated_at = time.monotonic()
            self._clock_output.publish(write_clock(self._now_ns()))
            self._publish_joints()
            if self._simulation is not None:
                self._simulation.repeat()

    # Topics and services

    def _publish_on_topics(self) -> None:
        self._joints = self.create_publisher(JointState, "joint_states", PUBLISH)
        self._motors = self.create_publisher(JointState, "motor_command", PUBLISH)
        self._gate_states = self.create_publisher(String, "gate_state", LATCHED)
        if self._settings.makes_time:
            self._clock_output = self.create_publisher(ClockMessage, "/clock", CLOCK)
        diagnostics = Diagnostics(self, hardware_id=self._settings.body, now_ns=self._now_ns)
        diagnostics.add("gate", self._gate_status)
        diagnostics.add("joint_command", self._commands.status)
        diagnostics.add("pacing", self._pacing.status)
        diagnostics.add("control thread", lambda: thread_status(self._control.statistics()))
        if isinstance(self._body, H12Body):
            diagnostics.add("robot", partial(_robot_status, self._body, self._settings.hand_strokes))
        self._simulation = self._show_simulation(diagnostics) if self._settings.body == "simulated" else None

    def _watch_trials(self) -> "TrialWatch | None":
        if not self._settings.trials:
            return None
        from firsthand.simulation.simulated_body import SimulatedBody
        from firsthand.simulation.trials import TrialWatch

        if not isinstance(self._body, SimulatedBody):
            raise SimulationError(f"trials are judged in simulation only; the body is {self._settings.body!r}")
        return TrialWatch(self._body)

    def _show_simulation(self, diagnostics: Diagnostics) -> "SimulationTopics":
        from firsthand.nodes.simulation_topics import SimulationTopics  # needs the [sim] extra

        topics = SimulationTopics(self, self._body, self._settings.scene_rate)
        diagnostics.add("simulation", topics.status)
        return topics

    def _listen(self) -> None:
        self.create_subscription(JointState, "joint_command", self._on_command, LATEST, raw=True)
        self.create_subscription(MultiDOFJointTrajectory, "action_chunk", self._on_chunk, LATEST, raw=True)
        self.create_subscription(CameraInfo, PICTURES, self._on_picture, LATEST)
        for qos in ESTOP_READERS:
            self.create_subscription(Bool, "estop", self._on_estop_topic, qos)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(0.2, self._look_around, clock=steady)
        self.create_service(SetBool, "engage", self._on_engage)
        self.create_service(SetBool, "estop", self._on_estop)
        self.create_service(Trigger, "reset", self._on_reset)

    def _look_around(self) -> None:
        chunks, pictures = (self.count_publishers(topic) > 0 for topic in ("action_chunk", PICTURES))
        self._pacing.expect(chunks, pictures)

    def _on_command(self, message: bytes) -> None:
        with self._commands.reading():
            reading = read_joint_state(message, self._joint_names)
            self._command = Command(reading.stamp_ns, reading.positions)
            self._pacing.hear_command(reading.stamp_ns)

    def _on_chunk(self, message: bytes) -> None:
        with self._chunks.reading():
            self._pacing.hear_chunk(read_chunk(message).stamp_ns)

    def _on_picture(self, message: CameraInfo) -> None:
        self._pacing.hear_picture(ns_from_stamp(message.header.stamp))

    def _on_engage(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        with self._lock:
            answer = self._engage() if request.data else self._gate.disengage()
            self._wanted = request.data and answer.success
            self._engage_when_commanded &= request.data
            return _respond(response, answer)

    def _on_estop(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        with self._lock:
            return _respond(response, self._stop("estop was called") if request.data else self._gate.clear_stop())

    def _on_estop_topic(self, message: Bool) -> None:
        if message.data:
            with self._lock:
                self._stop("estop was published")

    def _stop(self, reason: str) -> Answer:
        self._wanted = self._engage_when_commanded = False
        return self._gate.stop(reason)

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Begin the next trial; the robot is put back, so whoever drove it engages again (as soon as commands come)."""
        with self._lock:
            if isinstance(self._body, H12Body):
                return _respond(response, self._reset_robot())
            self._next_trial()
        return _respond(response, Answer(True, f"trial of seed {self._seed}"))

    def _reset_robot(self) -> Answer:
        """A robot cannot be put back: it stays where it is, and the mode that it is in now is taken as meant."""
        if self._gate.status.state in POWERED:
            return Answer(False, "a robot cannot be put back while it is driven; call engage with false first")
        self._wanted = self._engage_when_commanded = False
        try:
            self._state = self._body.reset()
        except RobotError as error:
            return Answer(False, str(error))
        return Answer(True, "the robot stays where it is; engage starts from there")

    # Helpers

    def _next_trial(self) -> None:
        """Put the robot back for the next seed; it is engaged again if it is still asked to follow."""
        stopped = self._gate.status.state is GateState.STOPPED
        self._gate, self._command = self._new_gate(), None
        self._pacing.forget()
        if stopped:
            self._gate.stop("estop was called before the reset")
        self._engage_when_commanded = self._wanted
        self._seed += 1
        self._trial_begun, self._waits_since = False, time.monotonic()
        self._begin_trial()

    def _new_gate(self) -> SafetyGate:
        s = self._settings
        times = SafetyGateSettings(
            tick=TICK,
            command_timeout=s.command_timeout,
            engage_time=s.engage_time,
            hold_time=s.hold_time,
            damping_time=s.damping_time,
        )
        return SafetyGate(self._limits, times, self._self_collision)

    def _gate_status(self) -> Status:
        status = self._gate.status
        age = status.command_age_ns
        values = {
            "state": status.state.value,
            "reason": status.reason,
            "command age [ms]": "none yet" if age is None else age / 1e6,
            "accepted": status.accepted,
            "clipped": status.clipped,
            "large jumps": status.large_jumps,
            "braked before self-collision": status.braked,
            **{f"rejected: {reason}": count for reason, count in status.rejected.items()},
        }
        reason = "waits for commands at the measured joints" if self._engage_when_commanded else status.reason
        return Status(LEVELS.get(status.state, OK), f"{status.state.value}: {reason}", values)


def _load_model(settings: BodyNodeSettings) -> RobotModel:
    """The robot with the hands that it has; a model for each thread that computes with it.

    Raises:
        ModelError: The simulated robot does not have these hands.
    """
    hand = described_hand(settings.hand)
    if settings.body == "simulated" and hand != "dfx":
        raise ModelError(f"the simulated robot has dfx hands, not {hand}; set hand:=dfx, or body:=mock or h1_2")
    return RobotModel.load(urdf(hand))


def _make_body(settings: BodyNodeSettings) -> Body:
    if settings.body == "mock":
        return MockBody(_load_model(settings))
    if settings.body == "h1_2":
        strokes = read_strokes(settings.hand_strokes) if settings.hand_strokes else None
        return H12Body(_load_model(settings), _robot_settings(settings), strokes)
    from firsthand.simulation.simulated_body import SimulatedBody  # needs the [sim] extra

    return SimulatedBody(settings.task, settings.variant, settings.seed)


def _robot_settings(s: BodyNodeSettings) -> H12Settings:
    return H12Settings(
        interface=s.interface,
        domain=s.dds_domain,
        control=s.control,
        hands=s.hand != "none",
        weight_time=s.weight_time,  # by the clock in slow motion too: who ends a node waits 10 s for it, not longer
        state_timeout=s.state_timeout / s.real_time_factor,
        hand_state_timeout=s.hand_state_timeout / s.real_time_factor,
        check_crc=s.check_crc,
        mode_machine=s.mode_machine,
        tick=TICK / s.real_time_factor,
    )


def _robot_status(body: H12Body, strokes: str) -> Status:
    health = body.health()
    values = {**health.values, IN_USE: strokes or NOT_IN_USE}
    return Status(OK if health.well else ERROR, health.message, values)


def _respond(response: SetBool.Response, answer: Answer) -> SetBool.Response:
    response.success, response.message = answer.success, answer.message
    return response


def main() -> int:
    """Run the node."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    return run(BodyNode)
