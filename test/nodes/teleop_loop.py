"""The whole way from a headset's bytes to the motors in one thread, tick by tick, in a time of its own.

Everything is what runs in the nodes: the fake headset's messages, the reader's checks, the session, the command stream,
the safety gate, a mock body. Between them are calls where topics and services are otherwise, so that what a fault leads
to, and when, is the same in every run.
"""

import numpy as np

from firsthand.headset.fake_tracking_streamer import FakeTrackingStreamer, Fault
from firsthand.headset.hand_motion import GeneratedMotion, Gesture
from firsthand.headset.tracking_streamer import TrackingStreamer
from firsthand.nodes.command_stream import CommandStream
from firsthand.nodes.messages import SECOND, Chunk, JointReading, StampedHandState, due_times_ns
from firsthand.robot.bodies.interface import TICK, TICK_NS, MotorCommand
from firsthand.robot.bodies.mock import MockBody
from firsthand.robot.limits import JointLimits
from firsthand.robot.model import RobotModel
from firsthand.robot.safety_gate import Command, SafetyGate, SafetyGateSettings
from firsthand.teleoperation.session import Request, Teleoperation
from firsthand.teleoperation.settings import TeleoperationSettings
from firsthand.teleoperation.smoothing import SmoothingSettings

RATE = 90.0  # [Hz], of the headset
STILL = 1e-6  # [rad] a tick
BEGIN = 0.2  # [s], when the pedal is pressed
TIMES = SafetyGateSettings(tick=TICK, engage_time=0.3, hold_time=0.5, damping_time=0.2)


class TeleopLoop:
    """Runs from second 0.

    Attributes:
        log: Of every tick: the gate's state, the session's, the motors' positions, their stiffness.
    """

    def __init__(self, motion="reach", faults=(), gestures=(), released=100.0, times=TIMES, **settings):
        self.model = RobotModel.load()
        self.now_ns = SECOND
        self.motion = GeneratedMotion(motion, tuple(Gesture(*gesture) for gesture in gestures))
        self.released = released  # [s], when the pedal is let go
        self.wearer = FakeTrackingStreamer(self.motion, faults=tuple(Fault(*fault) for fault in faults))
        self.reader = TrackingStreamer("127.0.0.1", self._on_sample, now_ns=lambda: self.now_ns)
        quick = {"clutch": "pedal", "engage_time": 0.3, "resume_time": 0.6, "lost_time": 0.6}
        quick["smoothing"] = SmoothingSettings()
        self.session = Teleoperation(self.model, TeleoperationSettings(**(quick | settings)))
        self.stream = CommandStream(RobotModel.load())
        self.stream.set_source("teleop")
        self.session.hear_source("teleop")
        self.gate = SafetyGate(JointLimits.from_model(self.model), times)
        self.body = MockBody(self.model)
        self.state = self.body.reset(0)
        self.policy = False  # whether chunks come: of a policy that keeps the hands where the robot is
        self.log = []
        self.command = None
        self.gate_state = None
        self._samples = 0

    @property
    def time(self):
        """[s]"""
        return len(self.log) * TICK

    def run(self, until):
        """Tick until a time, [s]; returns self."""
        while self.time < until:
            self.tick()
        return self

    def tick(self):
        """4 ms."""
        self.now_ns += TICK_NS
        while self._samples / RATE <= self.time:
            message = self.wearer.message(self._samples / RATE)
            self._samples += 1
            if message is not None:
                self.reader.take(message)
        if len(self.log) % 5 == 0:
            self.session.hear_pedal(self.now_ns, BEGIN <= self.time < self.released)
            self._act(self.session.pass_time(self.now_ns))
        if self.policy and len(self.log) % 25 == 0:
            actions = np.tile(self.model.hand_state(self.state.positions).to_vector(), (28, 1))
            self.stream.add_chunk(Chunk(self.now_ns, actions, due_times_ns(28, 25.0)), self.now_ns)
        self.stream.set_joints(JointReading(self.now_ns, self.state.positions, None))
        if len(self.log) % 2 == 0:
            self.session.hear_robot(self.now_ns, self.model.hand_state(self.state.positions).to_vector())
        command = self.stream.step(self.now_ns)
        if command is not None:
            self.command = Command(command.stamp_ns, command.positions)
        output = self.gate.step(self.now_ns, self.command, self.state.positions)
        if output.state is not self.gate_state:
            self.gate_state = output.state
            self.stream.set_gate_state(output.state.value)
            self.session.hear_gate(output.state.value)
        self.state = self.body.step(MotorCommand(output.positions, output.stiffness))
        self.log.append((output.state.value, self.session.state.value, output.positions.copy(), output.stiffness))

    def hand_over(self, source):
        """What the service set_source does."""
        self.stream.set_source(source)
        self.session.hear_source(source)

    def _on_sample(self, sample):
        output = self.session.take(sample, self.now_ns)
        if output.target is not None:
            self.stream.set_target(StampedHandState(sample.stamp_ns, output.target))
        self._act(output)

    def _act(self, output):
        if Request.STOP in output.requests:
            self.gate.stop()
        if Request.ENGAGE in output.requests:
            self.gate.engage()
        if Request.TAKE in output.requests:
            self.hand_over("teleop")

    # What came of it

    def positions(self):
        """(ticks, 26), [rad], what the motors got."""
        return np.array([positions for _, _, positions, _ in self.log])

    def moving(self):
        """Whether the motors were told to move in each tick after the first, (ticks - 1,)."""
        return np.abs(np.diff(self.positions(), axis=0)).max(axis=1) > STILL

    def time_to_hold(self, since, until, joints=slice(None)):
        """From a time to the last motion before another, [s]; 0 if there was none."""
        first, last = round(since / TICK), round(until / TICK)
        moves = np.abs(np.diff(self.positions()[first:last, joints], axis=0)).max(axis=1) > STILL
        return (int(np.flatnonzero(moves)[-1]) + 1) * TICK if moves.any() else 0.0

    def first(self, since, gate):
        """From a time to the gate's entering a state, [s]."""
        start = round(since / TICK)
        return next((k * TICK for k, entry in enumerate(self.log[start:]) if entry[0] == gate), None)

    def sessions(self, since):
        """The session's states from a time on, each once, in order."""
        names = [entry[1] for entry in self.log[round(since / TICK) :]]
        return [name for k, name in enumerate(names) if k == 0 or names[k - 1] != name]

    def within_limits(self):
        """Whether position, velocity and acceleration limits held while the gate moved the motors."""
        limits = JointLimits.from_model(self.model)
        positions = self.positions()
        velocity = np.diff(positions, axis=0) / TICK
        acceleration = np.diff(velocity, axis=0) / TICK
        led = np.array([state in ("engaging", "active", "holding", "damping") for state, *_ in self.log])
        led = led[2:] & led[1:-1] & led[:-2]
        return bool(
            (positions >= limits.lower - 1e-9).all()
            and (positions <= limits.upper + 1e-9).all()
            and (np.abs(velocity[1:][led]) <= limits.velocity + 1e-6).all()
            and (np.abs(acceleration[led]) <= limits.acceleration + 1e-3).all()
        )
