"""Whether a scene's task was done: its objects stayed where it wants them for 0.3 s, within its time limit."""

from firsthand.simulation.scene import Scene

PERIOD_NS = 20_000_000  # between two looks
HOLD_NS = 300_000_000  # how long the objects must stay where the task wants them


class Judge:
    """Judges one trial in a scene."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._reached_since_ns: int | None = None
        self.succeeded = False

    def look(self, trial_ns: int) -> None:
        """See how things stand; to be called every `PERIOD_NS`.

        Args:
            trial_ns: Since the trial began, in the scene's time.
        """
        if self.succeeded or self.timed_out(trial_ns):
            return
        if not self._scene.task.reached(self._scene.setup, self._scene.objects()):
            self._reached_since_ns = None
        elif self._reached_since_ns is None:
            self._reached_since_ns = trial_ns
        self.succeeded = self._reached_since_ns is not None and trial_ns - self._reached_since_ns >= HOLD_NS

    def progress(self) -> float:
        """How far the task has come, 0 to 1."""
        return 1.0 if self.succeeded else self._scene.task.progress(self._scene.setup, self._scene.objects())

    def timed_out(self, trial_ns: int) -> bool:
        """Whether the task's time limit has passed."""
        return trial_ns > self._scene.task.time_limit * 1e9
