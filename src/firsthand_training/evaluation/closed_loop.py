"""Closed loop in lock-step, without ROS: the policy acts, the simulated robot moves, the task judges.

Trials run over seeds that no demonstration has seen. The scripted expert and a robot that holds still are the
reference rows: what is possible, and what happens by itself. An evaluation that is interrupted reports the trials that
it has finished; read back from its JSON, they are not run again.
"""

import json
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from firsthand.errors import CheckpointError
from firsthand.policy.checkpoint import MANIFEST, Manifest, find_checkpoint, load_manifest, sha256
from firsthand.policy.hand_over import SECOND, ChunkTimeline
from firsthand.policy.session import Policy, Prediction
from firsthand.robot.model import RobotModel
from firsthand.simulation.lockstep import RATE, LockStep, Observation
from firsthand.simulation.renderer import StereoRenderer
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand.simulation.tasks import TASKS, check_variant, find_task
from firsthand.vision.encoders import StereoEncoder, open_encoder
from firsthand_training.demonstrations.robot_actor import RobotActor
from firsthand_training.demonstrations.scripted import EXPERTS
from firsthand_training.evaluation.statistics import Proportion, proportion

Array = NDArray[np.floating]

EXPERT, HOLD = "expert", "hold"
DEFAULT_TASK = "push"
STEP_NS = SECOND // RATE


@dataclass(frozen=True)
class ClosedLoopSettings:
    """Which policy on which trials."""

    task: str = ""  # empty: the one that the checkpoint was trained for, and push without one
    variant: str = "id"  # id or ood
    trials: int = 50
    seed: int = 10_000  # of the first trial; demonstrations use seeds below
    policy: str = (
        ""  # a checkpoint folder, the name of a shipped one, `expert` or `hold`; empty: the task's shipped one
    )
    replan: int = 5  # steps between two chunks
    latency: int = 0  # steps that a chunk takes to arrive
    workers: int = 2
    precision: Literal["float32", "int8"] = "float32"  # of the encoder


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
    trials: tuple[Trial, ...]  # by seed
    checkpoint: str = ""  # sha256 of the policy's manifest, which names the hashes of all its files

    @property
    def complete(self) -> bool:
        """Whether every trial that was asked for has been run."""
        return len(self.trials) == self.settings.trials

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
            "complete": self.complete,
            "checkpoint": self.checkpoint,
            "settings": asdict(self.settings),
            "details": [asdict(trial) for trial in self.trials],
        }


class Agent(Protocol):
    """Whoever says where the hands go next."""

    def act(self, observation: Observation) -> Array:
        """The target (54,) for the end of the coming 25 Hz step."""


def evaluate_closed_loop(
    settings: ClosedLoopSettings, done: Sequence[Trial] = (), keep: Callable[[ClosedLoopReport], None] | None = None
) -> ClosedLoopReport:
    """Run every trial that is not done; Ctrl-C ends it early, with those that are.

    Args:
        settings: Which trials.
        done: What `finished_trials` found.
        keep: Called after every trial with all that have been run, to write them down.

    Raises:
        SimulationError: There is no such task or variant.
        CheckpointError: The checkpoint is missing, damaged, or not of the simulation's rate.
        KeyboardInterrupt: It came before the first trial was finished.
    """
    settings = settle_task(settings)
    find_task(settings.task)
    check_variant(settings.variant)
    _check_policy(settings)
    digest, trials = _checkpoint_digest(settings), list(done)
    known = {trial.seed for trial in trials}
    seeds = [seed for seed in range(settings.seed, settings.seed + settings.trials) if seed not in known]
    run = _run_trials if min(settings.workers, len(seeds)) <= 1 else _run_parallel
    with tqdm(total=settings.trials, initial=len(trials), desc=_label(settings), unit="trial") as bar:
        try:
            for trial in run(settings, seeds):
                trials.append(trial)
                bar.set_postfix(success=f"{sum(t.success for t in trials)}/{len(trials)}")
                bar.update()
                if keep is not None:
                    keep(_report(settings, trials, digest))
        except KeyboardInterrupt:
            if not trials:
                raise
    return _report(settings, trials, digest)


def settle_task(settings: ClosedLoopSettings) -> ClosedLoopSettings:
    """The settings with the task that they left open.

    Raises:
        CheckpointError: There is no such checkpoint, or it was trained for something that is not simulated.
    """
    if settings.task:
        return settings
    if settings.policy in ("", EXPERT, HOLD):
        return replace(settings, task=DEFAULT_TASK)
    return replace(settings, task=simulated_task(load_manifest(find_checkpoint(settings.policy), check_files=False)))


def simulated_task(manifest: Manifest, named: str = "") -> str:
    """The task to try a checkpoint on; says so on stderr if it was trained for another one than is named.

    Raises:
        CheckpointError: None is named, and it was trained for something that is not simulated.
    """
    if not named and manifest.task not in TASKS:
        raise CheckpointError(
            f"the checkpoint was trained for {manifest.task!r}, which is not simulated; name one of {', '.join(TASKS)}"
        )
    if named and named != manifest.task:
        print(f"note: the checkpoint was trained for {manifest.task}, its trials are of {named}", file=sys.stderr)
    return named or manifest.task


def _report(settings: ClosedLoopSettings, trials: Sequence[Trial], digest: str) -> ClosedLoopReport:
    return ClosedLoopReport(settings, tuple(sorted(trials, key=lambda trial: trial.seed)), digest)


def finished_trials(settings: ClosedLoopSettings, path: Path) -> tuple[Trial, ...]:
    """The trials of an evaluation that was interrupted, from its JSON; none if it was another one, or complete."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        theirs = {**data["settings"], "workers": settings.workers}  # who runs a trial makes no difference
        same = theirs == asdict(settings) and data["checkpoint"] == _checkpoint_digest(settings)
        return tuple(Trial(**trial) for trial in data["details"]) if same and not data["complete"] else ()
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _run_parallel(settings: ClosedLoopSettings, seeds: Sequence[int]) -> Iterator[Trial]:
    pool = ProcessPoolExecutor(
        min(settings.workers, len(seeds)),
        mp_context=get_context("spawn"),
        initializer=_open_worker,
        initargs=(settings,),
    )
    waiting = iter(seeds)
    running = {pool.submit(_run_trial, settings, seed) for seed in islice(waiting, settings.workers)}
    try:
        while running:  # no more than there are workers: what is in the pool's own queue cannot be called back
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(_run_trial, settings, seed) for seed in islice(waiting, len(done))}
            yield from (job.result() for job in done)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _run_trials(settings: ClosedLoopSettings, seeds: Sequence[int]) -> Iterator[Trial]:
    _open_policy(settings)
    for seed in seeds:
        yield _run_trial(settings, seed)


def _open_worker(settings: ClosedLoopSettings) -> None:
    """Ctrl-C reaches every process of a terminal; the trials in progress are finished, and the first process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _open_policy(settings)


_policy: tuple[StereoEncoder, Policy] | None = None  # opened once per worker process, by `_open_policy`


def _open_policy(settings: ClosedLoopSettings) -> None:
    global _policy
    if settings.policy not in (EXPERT, HOLD):
        policy = Policy.load(settings.policy or settings.task)
        encoder = policy.manifest.encoder
        _policy = open_encoder(encoder.name, encoder.image_size, precision=settings.precision), policy


def run_trial(body: SimulatedBody, model: RobotModel, agent: Agent) -> Observation:
    """Let an agent act until the task is done or time is up; returns what was observed last."""
    lockstep = LockStep(body, model)
    observation = lockstep.observe()
    while not body.success() and not body.timed_out():
        observation = lockstep.step(agent.act(observation))
    return observation


def _run_trial(settings: ClosedLoopSettings, seed: int) -> Trial:
    model = RobotModel.load()
    body = SimulatedBody(settings.task, settings.variant, seed)
    agent, close = _make_agent(settings, body, model, seed)
    last = run_trial(body, model, agent)
    close()
    kind = body.scene.setup.objects[0].kind
    return Trial(seed, body.success(), last.stamp_ns / SECOND, round(body.progress(), 4), kind)


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


class ActingPolicy(Protocol):
    """What the agent needs of `firsthand.policy.session.Policy`."""

    @property
    def manifest(self) -> Manifest:
        """Says the rate."""
        ...

    def act(self, features: NDArray[np.float32], hand_state: Array) -> Prediction:
        """The next H targets."""
        ...


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
        self._expert = EXPERTS[task](RobotActor(body, model), seed)

    def act(self, observation: Observation) -> Array:
        """The expert's next target."""
        return self._expert.act()


class PolicyAgent:
    """A checkpoint that sees the stereo pair and the hand state, and nothing else."""

    def __init__(
        self, encoder: StereoEncoder, policy: ActingPolicy, renderer: StereoRenderer, replan: int, latency: int
    ) -> None:
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
    simulated_task(manifest, settings.task)
    encoder = manifest.encoder  # builds the graph once, not once per worker
    open_encoder(encoder.name, encoder.image_size, precision=settings.precision)


def _checkpoint_digest(settings: ClosedLoopSettings) -> str:
    if settings.policy in (EXPERT, HOLD):
        return ""
    return sha256(find_checkpoint(settings.policy or settings.task) / MANIFEST)


def _label(settings: ClosedLoopSettings) -> str:
    return f"{settings.policy or settings.task} on {settings.task} {settings.variant}"
