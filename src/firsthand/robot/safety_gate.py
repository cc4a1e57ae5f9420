"""The one gate in front of the motors: every command of every source passes here, on the robot and in simulation.

    from          to          when
    disengaged    engaging    engage(), and the measured joints are there, finite and inside the limits
    engaging      active      the command has been blended in completely
    engaging      holding     no fresh command for `command_timeout`, or no measured joints for `measured_timeout`
    active        holding     the same
    holding       engaging    a fresh command (and measured joints) again, blend-in not yet complete
    holding       active      the same, blend-in complete
    holding       damping     `hold_time` has passed
    engaging, active, holding
                  damping     disengage()
    damping       disengaged  stiffness has come down to zero
    any           stopped     stop(), latched: nothing but clear_stop() leads out
    stopped       disengaged  clear_stop()

    state         positions                                    stiffness
    disengaged    measured                                     0
    engaging      from the measured pose to the command        rises to 1 over `engage_time`
    active        command                                      1
    holding       last command, reached by braking             where it is, or rising to 1
    damping       last command, reached by braking             falls to 0 over `damping_time`
    stopped       measured                                     0 at once

Stiffness scales the motors' position gain only: at 0 the joints are damped (and gravity compensated where the body
can), never limp. In every state that moves, the positions come out of a `Governor`: they keep to position, velocity and
acceleration limits whatever arrives. Commands are not believed just because they are there:

    wrong size, not finite, stale, from the future, out of order    rejected, counted
    outside the position limits                                     clipped, counted
    far from the current command                                    governed, counted
    leading into the robot's own body                               braked before it, counted

Self-collision is looked at along the path of full braking, so that there is always room to brake. A robot that is in
contact already may move as long as it does not go deeper.

The gate owns no clock: the caller steps it once a tick and says what time it is, so all of it can be tested.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from firsthand.robot.collision import SelfCollision
from firsthand.robot.limits import Governor, JointLimits

Array = NDArray[np.floating]

NANOSECONDS = 1_000_000_000


class GateState(str, Enum):
    """What the gate does; the table is at the top of this file."""

    DISENGAGED = "disengaged"
    ENGAGING = "engaging"
    ACTIVE = "active"
    HOLDING = "holding"
    DAMPING = "damping"
    STOPPED = "stopped"


FOLLOWING = (GateState.ENGAGING, GateState.ACTIVE)
ENGAGED = (*FOLLOWING, GateState.HOLDING)  # the robot follows, or will again when commands come
POWERED = (*ENGAGED, GateState.DAMPING)  # its motors have stiffness


@dataclass(frozen=True)
class SafetyGateSettings:
    """Times in seconds, angles in radians."""

    tick: float = 0.004  # the caller steps the gate this often
    lag: float = 0.01  # how far the motors trail a steadily moving command; smooths its jitter
    command_timeout: float = 0.1  # older commands are not followed
    measured_timeout: float = 0.1  # without measured joints for longer the gate holds
    future_tolerance: float = 0.02  # clocks may disagree by this much
    engage_time: float = 2.0
    hold_time: float = 2.0
    damping_time: float = 0.5
    measured_margin: float = 0.1  # a joint measured further outside its limits than this does not engage
    clearance: float = 0.003  # [m], kept between the robot's own capsules
    large_jump: float = 0.5  # a command further from the current one than this is counted


@dataclass(frozen=True)
class Command:
    """Joint positions that somebody wants, and when they were meant."""

    stamp_ns: int
    positions: Array  # (n,), [rad]


@dataclass(frozen=True)
class GateOutput:
    """What the motors get this tick."""

    positions: Array  # (n,), [rad], always inside the limits
    stiffness: float  # 0 (damped) to 1 (full position gain)
    state: GateState


@dataclass(frozen=True)
class Answer:
    """Whether a request was granted, and why or why not; what a std_srvs response carries."""

    success: bool
    message: str


@dataclass(frozen=True)
class GateStatus:
    """For diagnostics."""

    state: GateState
    reason: str  # why the gate is in this state
    since_ns: int  # when it entered it
    command_age_ns: int | None  # of the last accepted command; None before the first
    accepted: int
    rejected: dict[str, int] = field(default_factory=dict)  # how many commands, by reason
    clipped: int = 0
    large_jumps: int = 0
    braked: int = 0  # ticks in which the command led into the robot's own body


class SafetyGate:
    """The state machine at the top of this file.

    Args:
        limits: Held by every output in every state.
        settings: Times and thresholds.
        collision: Knows the robot's own body; without it the gate keeps to the joints' limits only.
    """

    def __init__(
        self,
        limits: JointLimits,
        settings: SafetyGateSettings | None = None,
        collision: SelfCollision | None = None,
    ) -> None:
        self.limits = limits
        self.collision = collision
        self.settings = settings or SafetyGateSettings()
        self._governor = Governor(limits, self.settings.tick, self.settings.lag)
        self._state, self._reason, self._since_ns = GateState.DISENGAGED, "not engaged yet", 0
        self._now_ns: int | None = None
        self._command: Command | None = None
        self._measured: Array | None = None  # last good one, clipped to the limits
        self._measured_ns = 0
        self._start = self._governor.positions  # measured pose at engage()
        self._blend = 0.0
        self._stiffness = 0.0
        self._accepted_clearance = math.inf  # [m], between the capsules along the braking path accepted last
        self._engage_requested = False
        self._accepted, self._clipped, self._large_jumps, self._braked = 0, 0, 0, 0
        self._rejected: Counter[str] = Counter()

    def step(self, now_ns: int, command: Command | None, measured: Array | None) -> GateOutput:
        """Advance one tick.

        Args:
            now_ns: The time now, on the clock of the commands' stamps.
            command: The newest command, or None if none came. The same one may be given again: it ages by its stamp.
            measured: (n,) measured joint positions [rad], or None if none came.
        """
        elapsed = self._elapsed(now_ns)
        self._read_measured(now_ns, measured)
        if command is not None:
            self._read_command(now_ns, command)
        self._change_state(now_ns, measured)
        return self._output(elapsed)

    def engage(self) -> Answer:
        """Ask to start from the measured pose at the next tick."""
        if self._state is not GateState.DISENGAGED:
            way_out = "; call clear_stop first" if self._state is GateState.STOPPED else ""
            return Answer(False, f"cannot engage while {self._state.value}{way_out}")
        self._engage_requested = True
        return Answer(True, "engages from the measured pose at the next tick")

    def disengage(self) -> Answer:
        """Let go: stiffness falls to zero, then the gate is disengaged."""
        self._engage_requested = False
        if self._state not in POWERED:
            return Answer(True, f"already {self._state.value}")
        self._enter(GateState.DAMPING, "disengage was asked for")
        return Answer(True, "stiffness is coming down")

    def stop(self, reason: str = "stop was asked for") -> Answer:
        """Emergency stop: damp at once and stay so until `clear_stop`."""
        self._engage_requested = False
        self._stiffness = 0.0
        self._enter(GateState.STOPPED, reason)
        return Answer(True, "stopped; clear_stop and then engage lead out")

    def clear_stop(self) -> Answer:
        """Release the latched stop. Nothing moves until `engage`."""
        if self._state is not GateState.STOPPED:
            return Answer(False, f"not stopped but {self._state.value}")
        self._enter(GateState.DISENGAGED, "the stop was cleared")
        return Answer(True, "disengaged")

    @property
    def status(self) -> GateStatus:
        """State, reason and counters."""
        age = None if self._command is None or self._now_ns is None else self._now_ns - self._command.stamp_ns
        return GateStatus(
            state=self._state,
            reason=self._reason,
            since_ns=self._since_ns,
            command_age_ns=age,
            accepted=self._accepted,
            rejected=dict(self._rejected),
            clipped=self._clipped,
            large_jumps=self._large_jumps,
            braked=self._braked,
        )

    # What comes in

    def _elapsed(self, now_ns: int) -> float:
        """Seconds since the last tick. After a clock that went backwards nothing old counts as fresh."""
        previous = now_ns if self._now_ns is None else self._now_ns
        self._now_ns = now_ns
        if now_ns < previous:
            self._command = None
            self._measured_ns = now_ns
            self._since_ns = now_ns
            return 0.0
        return (now_ns - previous) / NANOSECONDS

    def _read_measured(self, now_ns: int, measured: Array | None) -> None:
        if measured is not None and self._fault_of(measured) is None:
            self._measured = self.limits.clip(measured)
            self._measured_ns = now_ns

    def _read_command(self, now_ns: int, command: Command) -> None:
        """Take the command as the one to follow, or count why not."""
        if self._command is not None and command.stamp_ns == self._command.stamp_ns:
            return
        reason = self._fault_of(command.positions) or self._fault_of_stamp(now_ns, command.stamp_ns)
        if reason is not None:
            self._rejected[reason] += 1
            return
        positions = self.limits.clip(command.positions)
        self._accepted += 1
        self._clipped += bool(np.any(positions != command.positions))
        if self._state in FOLLOWING:
            self._large_jumps += bool(np.any(np.abs(positions - self._governor.positions) > self.settings.large_jump))
        self._command = Command(command.stamp_ns, positions)

    def _fault_of(self, positions: Array) -> str | None:
        positions = np.asarray(positions)
        if positions.shape != self.limits.lower.shape:
            return "wrong size"
        if not np.isfinite(positions).all():
            return "not finite"
        return None

    def _fault_of_stamp(self, now_ns: int, stamp_ns: int) -> str | None:
        if now_ns - stamp_ns > self.settings.command_timeout * NANOSECONDS:
            return "stale"
        if stamp_ns - now_ns > self.settings.future_tolerance * NANOSECONDS:
            return "from the future"
        if self._command is not None and stamp_ns < self._command.stamp_ns:
            return "out of order"
        return None

    # What state that leads to

    def _change_state(self, now_ns: int, measured: Array | None) -> None:
        if self._engage_requested:
            self._engage_requested = False
            self._try_to_engage(now_ns, measured)
        elif self._state in FOLLOWING:
            missing = self._missing(now_ns)
            if missing:
                self._enter(GateState.HOLDING, missing)
            elif self._state is GateState.ENGAGING and self._blend >= 1.0:
                self._enter(GateState.ACTIVE, "following commands")
        elif self._state is GateState.HOLDING:
            if not self._missing(now_ns):
                self._enter(GateState.ACTIVE if self._blend >= 1.0 else GateState.ENGAGING, "commands are back")
            elif now_ns - self._since_ns >= self.settings.hold_time * NANOSECONDS:
                self._enter(GateState.DAMPING, f"held for {self.settings.hold_time:g} s: {self._reason}")
        elif self._state is GateState.DAMPING and self._stiffness <= 0.0:
            self._enter(GateState.DISENGAGED, self._reason)

    def _try_to_engage(self, now_ns: int, measured: Array | None) -> None:
        refusal = self._why_not_engage(measured)
        if refusal or self._measured is None:
            self._reason = f"did not engage: {refusal}"
            return
        self._start = self._measured
        self._governor.reset(self._start)
        if self._command is not None and self._is_old(now_ns, self._command):
            self._command = None  # of another time: a new one is waited for
        self._blend = self._stiffness = 0.0
        self._accepted_clearance = self.collision.clearance(self._start) if self.collision else math.inf
        self._enter(GateState.ENGAGING, "starting from the measured pose")

    def _why_not_engage(self, measured: Array | None) -> str | None:
        """A reason that names the joint and the numbers, or None."""
        if measured is None:
            return "no measured joints"
        fault = self._fault_of(measured)
        if fault:
            return f"measured joints: {fault}"
        outside = np.abs(measured - self.limits.clip(measured))
        worst = int(np.argmax(outside))
        if outside[worst] > self.settings.measured_margin:
            allowed = f"{self.limits.lower[worst]:.3f} to {self.limits.upper[worst]:.3f}"
            return f"joint {worst} measured at {measured[worst]:.3f} rad, allowed {allowed}; move it by hand"
        return None

    def _missing(self, now_ns: int) -> str | None:
        """What is too old to be followed, or None."""
        if now_ns - self._measured_ns > self.settings.measured_timeout * NANOSECONDS:
            return f"no measured joints for {self.settings.measured_timeout:g} s"
        if self._command is not None:
            silent = self._is_old(now_ns, self._command)
        else:  # a gate that has just been engaged waits for the first command as long as for every other
            waits = now_ns - self._since_ns <= self.settings.command_timeout * NANOSECONDS
            silent = self._state is not GateState.ENGAGING or not waits
        return f"no command for {self.settings.command_timeout:g} s" if silent else None

    def _is_old(self, now_ns: int, command: Command) -> bool:
        return now_ns - command.stamp_ns > self.settings.command_timeout * NANOSECONDS

    def _enter(self, state: GateState, reason: str) -> None:
        self._state, self._reason = state, reason
        self._since_ns = self._now_ns or 0

    # What goes out

    def _output(self, elapsed: float) -> GateOutput:
        if self._state in (GateState.DISENGAGED, GateState.STOPPED):
            resting = self._governor.positions if self._measured is None else self._measured
            return GateOutput(resting, 0.0, self._state)
        self._ramp(elapsed)
        if self._state in FOLLOWING and self._command is not None:
            weight = self._blend * self._blend * (3.0 - 2.0 * self._blend)
            target = self._start + weight * (self._command.positions - self._start)
            positions = self._governor.step(target, self._clear_of_itself)
        else:
            positions = self._governor.brake()
        return GateOutput(positions, self._stiffness, self._state)

    def _clear_of_itself(self, braking_path: Array) -> bool:
        """Whether the robot may brake like this: far enough from itself, or no deeper than it was going to anyway."""
        if self.collision is None:
            return True
        clearance = min(self.collision.clearance(q) for q in braking_path)
        if clearance < min(self.settings.clearance, self._accepted_clearance):
            self._braked += 1
            return False
        self._accepted_clearance = clearance
        return True

    def _ramp(self, elapsed: float) -> None:
        if self._state is GateState.DAMPING:
            self._stiffness = max(0.0, self._stiffness - elapsed / self.settings.damping_time)
            return
        rise = self.settings.tick / self.settings.engage_time  # a late tick must not make the start harder
        self._stiffness = min(1.0, self._stiffness + rise)
        if self._state is GateState.ENGAGING and self._command is not None:
            self._blend = min(1.0, self._blend + rise)
