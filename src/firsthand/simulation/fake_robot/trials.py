"""Trials of the fake robot's task: begun by whoever takes its arms, judged here, where the truth is.

A trial's time runs from the moment somebody drives the robot, in its own time: with rt/arm_sdk from the first weight
above 0, so the fade of the weight is part of it. What is judged is what `simulation/judge.py` asks of a simulated body.
"""

from firsthand.simulation.judge import PERIOD_NS, Judge
from firsthand.simulation.scene import Scene
from firsthand.simulation.trials import TrialOutcome, TrialWatch


class FakeRobotTrial:
    """One trial in one scene.

    Attributes:
        outcome: How it went, once it is over.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.outcome: TrialOutcome | None = None
        self._judge, self._watch = Judge(scene), TrialWatch(self)
        self._began_ns: int | None = None
        self._trial_ns = self._looked_ns = 0

    def look(self, driven: bool) -> bool:
        """See how things stand; after every step of physics, or nearly so.

        Args:
            driven: Whether somebody drives the robot.

        Returns:
            Whether the trial is over as of now.
        """
        now_ns = round(self.scene.data.time * 1e9)
        if self._began_ns is None and driven:
            self._began_ns = self._looked_ns = now_ns
        if self._began_ns is None or self.outcome is not None or now_ns - self._looked_ns < PERIOD_NS:
            return False
        self._looked_ns, self._trial_ns = now_ns, now_ns - self._began_ns
        self._judge.look(self._trial_ns)
        self.outcome = self._watch.outcome(self._trial_ns)
        return self.outcome is not None

    def success(self) -> bool:
        """Whether the task was done."""
        return self._judge.succeeded

    def progress(self) -> float:
        """How far it has come, 0 to 1."""
        return self._judge.progress()

    def timed_out(self) -> bool:
        """Whether its time limit has passed."""
        return self._judge.timed_out(self._trial_ns)
