"""kinematics: measured joints to the hand state, and hand targets to joint commands.

in       joint_states      JointState, measured
         action_chunk      a policy's targets, stamped with their observation
         teleop/target     a person's target, the last one counts
         gate_state        what the body's safety gate does
out      hand_state        the measured 54 numbers
         joint_command     JointState at 250 Hz; silent where there is nothing to follow, and the gate holds
         joint_trajectory  each chunk as joints, positions only, as joint_trajectory_controller takes it
         source            String, latched: whose targets are followed, policy or teleop, at every change
service  set_source        SetBool: true follows the policy, false a person

Commands are made on a thread of its own, at absolute times. In simulation time passes when the body says so: there, a
command is made for every joint state, and a simulation that runs slow or fast is commanded the same.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory

from firsthand.nodes.command_stream import SOURCES, CommandStream, StreamCommand, solve_chunk
from firsthand.nodes.diagnostics import OK, WARN, Diagnostics, Status
from firsthand.nodes.intake import Intake, Latencies, LatestWorker, check_age, thread_status
from firsthand.nodes.messages import (
    SECOND,
    Chunk,
    JointReading,
    read_chunk,
    read_hand_state,
    read_joint_state,
    write_hand_state,
    write_joint_state,
    write_joint_trajectory,
)
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RatedThread, RunnableNode, run
from firsthand.nodes.qos import EVERY, LATCHED, LATEST, PUBLISH
from firsthand.robot.bodies.interface import TICK
from firsthand.robot.joints import HAND_CHOICES
from firsthand.robot.model import RobotModel
from firsthand.robot.mount_file import robot_urdf
from firsthand.robot.retargeting import Retargeting

SILENCE = 0.5  # [s]
SWITCH_INTERVAL = 0.0005  # [s]; at Python's own 5 ms a busy executor would hold the control thread up for a whole tick


@dataclass(frozen=True)
class KinematicsSettings:
    """Parameters of the kinematics node."""

    source: str = setting("policy", "Whose targets to follow at the start.", choices=SOURCES)
    hand: str = setting(
        "dfx", "The Inspire hands that the body has; joints of others are refused.", choices=HAND_CHOICES
    )
    camera_mount: str = setting("", "What `firsthand calibrate eyes` wrote; empty: eyes as in the description.")
    state_rate: float = setting(100.0, "Hand states a second, [Hz].", minimum=1.0, maximum=250.0)
    joints_timeout: float = setting(
        0.1, "Nothing is commanded on measured joints older than this, [s].", minimum=0.01, maximum=1.0
    )
    target_timeout: float = setting(0.2, "A person's target is dropped after this, [s].", minimum=0.02, maximum=2.0)
    observation_timeout: float = setting(
        0.6, "A policy's chunk is followed until its observation is so old, [s].", minimum=0.05, maximum=10.0
    )
    fade: float = setting(0.12, "How long the step from chunk to chunk fades, [s].", minimum=0.0, maximum=1.0)
    hand_over: float = setting(
        0.5, "How long the step between policy and person fades at least, [s].", minimum=0.05, maximum=5.0
    )
    max_chunk_age: float = setting(2.0, "Chunks of observations older than this are refused, [s].", minimum=0.1)


class Kinematics(RunnableNode):
    """Translates between joints and hands, both ways."""

    moves_robot = True

    def __init__(self, **options: object) -> None:
        super().__init__("kinematics", **options)
        self._settings = s = read_parameters(self, KinematicsSettings)
        urdf = robot_urdf(s.hand, s.camera_mount)
        self._model = RobotModel.load(urdf)  # for the executor's thread; the two below work on others
        self._joint_names = self._model.joints
        self._stream = CommandStream(
            RobotModel.load(urdf), s.fade, s.joints_timeout, s.target_timeout, s.hand_over, s.observation_timeout
        )
        self._stream.set_source(s.source)
        self._chunk_retargeting = Retargeting(RobotModel.load(urdf))
        self._reading: JointReading | None = None
        self._state_ns = self._observation_ns = 0  # stamps of the last hand state, and of what is being followed
        self._command: StreamCommand | None = None
        self._commanded_at = float("-inf")  # on the monotonic clock
        self._latency, self._solving = Latencies(), Latencies()
        self._publish_on_topics()
        self._listen()
        self._trajectory_worker = LatestWorker(self._publish_trajectory, self.fail, name="trajectory")
        self._control = RatedThread(TICK, self._tick, on_error=self.fail)
        self._in_simulation = self.get_parameter("use_sim_time").value
        if not self._in_simulation:
            self._control.start()

    def shutdown(self) -> None:
        """Fall silent; the safety gate holds."""
        self._control.stop()
        self._trajectory_worker.stop()

    # Commands

    def _tick(self) -> None:
        self._command_for(self._now_ns())

    def _command_for(self, now_ns: int) -> None:
        started = time.perf_counter()
        command = self._stream.step(now_ns)
        if command is None:
            return
        self._solving.add(time.perf_counter() - started)
        self._commands.publish(write_joint_state(self._joint_names, command.positions, command.stamp_ns))
        if command.observation_ns != self._observation_ns:
            self._observation_ns = command.observation_ns
            self._latency.add((self._now_ns() - command.observation_ns) / SECOND)
        self._command, self._commanded_at = command, time.monotonic()

    def _publish_trajectory(self, chunk: Chunk) -> None:
        reading = self._reading
        if reading is not None:
            positions = solve_chunk(self._chunk_retargeting, chunk, reading.positions)
            self._trajectories.publish(write_joint_trajectory(self._joint_names, positions, chunk.stamp_ns, chunk.rate))

    # What comes in

    def _on_joints(self, message: bytes) -> None:
        with self._joints_in.reading():
            reading = read_joint_state(message, self._joint_names)
            if not self._in_simulation:  # there, measurements are the time, and /clock may come after them
                check_age("joint_states", reading.stamp_ns, self._now_ns(), self._settings.joints_timeout)
            self._reading = reading
            self._stream.set_joints(reading)
            if self._in_simulation:
                self._command_for(reading.stamp_ns)
            self._publish_hand_state(reading)

    def _publish_hand_state(self, reading: JointReading) -> None:
        period_ns = round(SECOND / self._settings.state_rate)
        if reading.stamp_ns // period_ns != self._state_ns // period_ns:
            self._state_ns = reading.stamp_ns
            vector = self._model.hand_state(reading.positions).to_vector()
            self._hand_states.publish(write_hand_state(vector, reading.stamp_ns))

    def _on_chunk(self, message: bytes) -> None:
        with self._chunks_in.reading():
            chunk = read_chunk(message)
            now_ns = self._now_ns()
            check_age("action_chunk", chunk.stamp_ns, now_ns, self._settings.max_chunk_age)
            taken = self._stream.add_chunk(chunk, now_ns) and self._stream.source == "policy"
            if taken and self._trajectories.get_subscription_count():
                self._trajectory_worker.offer(chunk)

    def _on_target(self, message: bytes) -> None:
        with self._targets_in.reading():
            target = read_hand_state(message)
            check_age("teleop/target", target.stamp_ns, self._now_ns(), self._settings.target_timeout)
            self._stream.set_target(target)

    def _on_set_source(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._stream.set_source("policy" if request.data else "teleop")
        self._sources.publish(String(data=self._stream.source))
        response.success, response.message = True, f"follows {self._stream.source}"
        return response

    # Set-up and health

    def _publish_on_topics(self) -> None:
        self._hand_states = self.create_publisher(MultiDOFJointTrajectory, "hand_state", PUBLISH)
        self._commands = self.create_publisher(JointState, "joint_command", PUBLISH)
        self._trajectories = self.create_publisher(JointTrajectory, "joint_trajectory", PUBLISH)
        self._sources = self.create_publisher(String, "source", LATCHED)
        self._sources.publish(String(data=self._stream.source))

    def _listen(self) -> None:
        self._joints_in, self._chunks_in = Intake(self, "joint_states"), Intake(self, "action_chunk")
        self._targets_in = Intake(self, "teleop/target")
        self.create_subscription(JointState, "joint_states", self._on_joints, LATEST, raw=True)
        self.create_subscription(MultiDOFJointTrajectory, "action_chunk", self._on_chunk, EVERY, raw=True)
        self.create_subscription(MultiDOFJointTrajectory, "teleop/target", self._on_target, LATEST, raw=True)
        self.create_subscription(String, "gate_state", lambda m: self._stream.set_gate_state(m.data), LATCHED)
        self.create_service(SetBool, "set_source", self._on_set_source)
        diagnostics = Diagnostics(self)
        diagnostics.add("joint_states", self._joints_in.status)
        diagnostics.add("targets", self._targets_status)
        diagnostics.add("commands", self._commands_status)
        diagnostics.add("control thread", lambda: thread_status(self._control.statistics()))

    def _targets_status(self) -> Status:
        """Of the source in force: that the other is silent is as it should be."""
        return (self._chunks_in if self._stream.source == "policy" else self._targets_in).status()

    def _commands_status(self) -> Status:
        values: dict[str, object] = {"source": self._stream.source, **self._solving.values("solve")}
        values |= self._latency.values("observation to command")
        if (command := self._command) is not None:
            arms = command.retargeting.arms
            values["position error [mm]"] = float(arms.position_error.max() * 1e3)
            values["rotation error [deg]"] = float(np.rad2deg(arms.rotation_error.max()))
            values["age of what is followed [ms]"] = (self._now_ns() - command.observation_ns) / 1e6
            values["arm ik"] = arms.status
        idle = self._stream.idle
        if not idle and time.monotonic() - self._commanded_at > SILENCE:
            idle = "no joint_states, so time stands still"
        return Status(WARN, f"silent: {idle}", values) if idle else Status(OK, "commanding", values)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def main() -> int:
    """Run the node."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    return run(Kinematics)
