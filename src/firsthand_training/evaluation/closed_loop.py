"""Closed loop in lock-step, without ROS: the policy acts, the simulated robot moves, the task judges.

Trials run over seeds that no demonstration has seen. The scripted expert and a robot that holds still are the
reference rows: what is possible, and what happens by itself.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from firsthand.errors import CheckpointError
from firsthand.policy.checkpoint import find_checkpoint, load_manifest
from firsthand.policy.hand_over import SECOND, ChunkTimeline
from firsthand.policy.session import Policy
from firsthand.robot.model import RobotModel
from firsthand.simulation.lockstep import RATE, LockStep, Observation
from firsthand.simulation.renderer import StereoRenderer
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand.simulation.tasks import check_variant, find_task
from firsthand.vision.encoder import Encoder
from firsthand_training.demonstrations.scripted import EXPERTS
from firsthand_training.evaluation.statistics import Proportion, proportion

Array = NDArray[np.floating]

EXPERT, HOLD = "expert", "hold"
STEP_NS = SECOND // RATE


@dataclass(frozen=True)
class ClosedLoopSettings:
    """Which policy on which trials."""

    task: str = "push"
    variant: str = "id"  # id or ood
    trials: int = 50
    seed: int = 10_000  # of the first trial; demonstrations use seeds below
    policy: str = (
        ""  # a checkpoint folder, the name of a shipped one, `expert` or `hold`; empty: the task's shipped one
    )
    replan: int = 5  # steps between two chunks
    latency: int = 0  # steps that a chunk takes to arrive
    workers: int = 2


@dataclass(frozen=True)
class Trial:
    """What came of one seed."""

    seed: int
    success: bool
    seconds: float  # simulated, until success or the end
    progress: float  # 0 to 1
    object: str  # kind of the thing that was to be moved


@dataclass(frozen=True)
class ClosedLoopReport:
    """All trials of one policy."""

    settings: ClosedLoopSettings
    trials: tuple[Trial, ...]

    @property
    def outcome(self) -> Proportion:
        """Successes with their interval."""
        return proportion([trial.success for trial in self.trials])

    def to_json(self) -> dict[str, Any]:
        """Plain numbers: rate, interval, and every trial."""
        low, high = self.outcome.interval
        return {
            "success_rate": self.outcome.rate,
            "interval": [low, high],
            "confidence": self.outcome.confidence,
            "trials": len(self.trials),
            "successes": [trial.success for trial in self.trials],
            "settings": asdict(self.settings),
            "details": [asdict(trial) for trial in self.trials],
        }


class Agent(Protocol):
    """Whoever says where the hands go next."""

    def act(self, observation: Observation) -> Array:
        """The target (54,) for the end of the coming 25 Hz step."""


def evaluate_closed_loop(settings: ClosedLoopSettings) -> ClosedLoopReport:
    """Run every trial.

    Raises:
        SimulationError: There is no such task or variant.
        CheckpointError: The checkpoint is missing, damaged, or not of the simulation's rate.
    """
    find_task(settings.task)
    check_variant(settings.variant)
    _check_policy(settings)
    seeds = range(settings.seed, settings.seed + settings.trials)
    workers = min(settings.workers, settings.trials)
    if workers <= 1:
        trials = list(tqdm(_run_trials(settings, seeds), total=len(seeds), desc=_label(settings), unit="trial"))
    else:
        trials = _run_parallel(settings, seeds, workers)
    return ClosedLoopReport(settings, tuple(sorted(trials, key=lambda trial: trial.seed)))


def _run_parallel(settings: ClosedLoopSettings, seeds: range, workers: int) -> list[Trial]:
    trials: list[Trial] = []
    with (
        ProcessPoolExecutor(
            workers, mp_context=get_context("spawn"), initializer=_open_policy, initargs=(settings,)
        ) as pool,
        tqdm(total=len(seeds), desc=_label(settings), unit="trial") as bar,
    ):
        for job in as_completed([pool.submit(_run_trial, settings, seed) for seed in seeds]):
            trials.append(job.result())
            bar.set_postfix(success=f"{sum(t.success for t in trials)}/{len(trials)}")
            bar.update()
    return trials


def _run_trials(settings: ClosedLoopSettings, seeds: Sequence[int]) -> Any:
    _open_policy(settings)
    for seed in seeds:
        yield _run_trial(settings, seed)


_policy: tuple[Encoder, Policy] | None = None  # opened once per worker process, by `_open_policy`


def _open_policy(settings: ClosedLoopSettings) -> None:
    global _policy
    if settings.policy not in (EXPERT, HOLD):
        policy = Policy.load(settings.policy or settings.task)
        _policy = Encoder.load(policy.manifest.encoder.image_size), policy


def _run_trial(settings: ClosedLoopSettings, seed: int) -> Trial:
    model = RobotModel.load()
    body = SimulatedBody(settings.task, settings.variant, seed)
    lockstep = LockStep(body, model)
    agent, close = _make_agent(settings, body, model, seed)
    observation = lockstep.observe()
    while not body.success() and not body.timed_out():
        observation = lockstep.step(agent.act(observation))
    close()
    kind = body.scene.setup.objects[0].kind
    return Trial(seed, body.success(), observation.stamp_ns / SECOND, round(body.progress(), 4), kind)


def _make_agent(
    settings: ClosedLoopSettings, body: SimulatedBody, model: RobotModel, seed: int
) -> tuple[Agent, Callable[[], None]]:
    """The agent of a trial, and how to give back what it holds."""
    if settings.policy == HOLD:
        return HoldAgent(), lambda: None
    if settings.policy == EXPERT:
        return ExpertAgent(settings.task, body, model, seed), lambda: None
    assert _policy is not None
    renderer = StereoRenderer(body.scene)
    return PolicyAgent(*_policy, renderer, settings.replan, settings.latency), renderer.close


class HoldAgent:
    """Stays where it was first seen."""

    def __init__(self) -> None:
        self._first: Array | None = None

    def act(self, observation: Observation) -> Array:
        """The first hand state, always."""
        if self._first is None:
            self._first = observation.hand_state
        return self._first


class ExpertAgent:
    """The scripted expert, which sees where everything truly is."""

    def __init__(self, task: str, body: SimulatedBody, model: RobotModel, seed: int) -> None:
        self._expert = EXPERTS[task](body, model, seed)

    def act(self, observation: Observation) -> Array:
        """The expert's next target."""
        return self._expert.act()


class PolicyAgent:
    """A checkpoint that sees the stereo pair and the hand state, and nothing else."""

    def __init__(self, encoder: Encoder, policy: Policy, renderer: StereoRenderer, replan: int, latency: int) -> None:
        self._encoder, self._policy, self._renderer = encoder, policy, renderer
        self._replan, self._latency_ns = replan, latency * STEP_NS
        self._timeline = ChunkTimeline(policy.manifest.rate)
        self._steps = 0
        self._waiting: list[tuple[int, Array]] = []  # chunks that have not arrived yet
        self._last: Array | None = None

    def act(self, observation: Observation) -> Array:
        """The chunk timeline's target for the end of the step; the measured state while there is none."""
        now = observation.stamp_ns
        if self._steps % self._replan == 0:
            features = self._encoder.encode(self._renderer.render())
            self._waiting.append((now, self._policy.act(features, observation.hand_state).actions))
        self._steps += 1
        while self._waiting and self._waiting[0][0] + self._latency_ns <= now:
            stamp, actions = self._waiting.pop(0)
            self._timeline.add(stamp, actions, now)
        target = self._timeline.target(now + STEP_NS)
        if target is not None:
            self._last = target.vector
        return observation.hand_state if self._last is None else self._last


def _check_policy(settings: ClosedLoopSettings) -> None:
    """Refuse a checkpoint that cannot run here before any worker starts."""
    if settings.policy in (EXPERT, HOLD):
        return
    manifest = load_manifest(find_checkpoint(settings.policy or settings.task))
    if manifest.rate != RATE:
        raise CheckpointError(f"the checkpoint acts at {manifest.rate:g} Hz, the simulation steps at {RATE} Hz")
    Encoder.load(manifest.encoder.image_size)  # builds the graph once, not once per worker


def _label(settings: ClosedLoopSettings) -> str:
    return f"{settings.policy or settings.task} on {settings.task} {settings.variant}"
