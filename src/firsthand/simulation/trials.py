"""When a trial is over, and how it went."""

from dataclasses import dataclass
from typing import Protocol

from firsthand.simulation.scene import Scene
from firsthand.simulation.scene_name import SceneName

REST_NS = 1_000_000_000  # a trial goes on for a second after success: what the robot does then is worth seeing


@dataclass(frozen=True)
class TrialOutcome:
    """What came of one trial."""

    scene: SceneName
    success: bool
    seconds: float  # simulated, until success or the end
    progress: float  # 0 to 1

    def __str__(self) -> str:
        if self.success:
            return f"trial {self.scene}: success after {self.seconds:.2f} s"
        return f"trial {self.scene}: no success within {self.seconds:.2f} s, {self.progress:.0%} of the way"


class Judged(Protocol):
    """Somebody at a task: a `SimulatedBody`, or the fake robot."""

    @property
    def scene(self) -> Scene:
        """Where."""

    def success(self) -> bool:
        """Whether the task was done."""

    def progress(self) -> float:
        """How far it has come, 0 to 1."""

    def timed_out(self) -> bool:
        """Whether its time limit has passed."""


class TrialWatch:
    """Watches somebody through trials, one after the other."""

    def __init__(self, body: Judged) -> None:
        self._body = body
        self._succeeded_ns: int | None = None

    def outcome(self, trial_ns: int) -> TrialOutcome | None:
        """How the trial went, once it is over; None while it runs.

        Args:
            trial_ns: Since the trial began, in simulated time.
        """
        if self._succeeded_ns is not None and trial_ns < self._succeeded_ns:
            self._succeeded_ns = None  # another trial has begun
        if not self._body.success():
            return self._outcome(trial_ns) if self._body.timed_out() else None
        if self._succeeded_ns is None:
            self._succeeded_ns = trial_ns
        return self._outcome(self._succeeded_ns) if trial_ns - self._succeeded_ns >= REST_NS else None

    def _outcome(self, trial_ns: int) -> TrialOutcome:
        scene = self._body.scene
        name = SceneName(scene.task.name, scene.variant, scene.seed)
        return TrialOutcome(name, self._body.success(), trial_ns / 1e9, self._body.progress())
