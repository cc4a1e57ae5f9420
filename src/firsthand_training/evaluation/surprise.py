"""Measures what is usual for a checkpoint, so that at run time the unusual can be told from it.

The policy runs in simulation as it does in `evaluate`; of the trials that succeed, every frame is compared with what
the world model had predicted for it. Where there is no simulation of the robot's world, recordings take its place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from firsthand.errors import CheckpointError
from firsthand.policy.checkpoint import find_checkpoint
from firsthand.policy.session import Policy, Prediction
from firsthand.policy.surprise import QUANTILE, Foresight, Residuals, Usual, calibrate, pool_features, write_usual
from firsthand.robot.model import RobotModel
from firsthand.simulation.lockstep import RATE
from firsthand.simulation.renderer import StereoRenderer
from firsthand.simulation.simulated_body import SimulatedBody
from firsthand.vision.encoders import StereoEncoder, open_encoder
from firsthand_training.evaluation.closed_loop import STEP_NS, PolicyAgent, run_trial, simulated_task
from firsthand_training.evaluation.open_loop import Recording
from firsthand_training.evaluation.recordings import read_recordings

Array = NDArray[np.floating]


@dataclass(frozen=True)
class CalibrationSettings:
    """Where the usual is seen."""

    policy: str = "push"  # a checkpoint folder, or the name of a shipped one; `surprise.json` is written into it
    task: str = ""  # of the simulated scenes; empty: the one that the checkpoint was trained for
    variant: str = "id"  # of the simulated scenes
    trials: int = 24  # those that do not succeed are left out
    seed: int = 20_000  # of the first trial
    every: int = 4  # steps from one frame to the next
    quantile: float = QUANTILE  # share of usual frames below the level of surprise
    episodes: Path | None = None  # a dataset of successful episodes, instead of trials


def calibrate_checkpoint(settings: CalibrationSettings) -> tuple[Path, Usual]:
    """Measure what is usual and write it beside the checkpoint.

    Returns:
        The file, and what is in it.

    Raises:
        CheckpointError: There is no such checkpoint, it has no world model, too few trials succeed, or it was trained
            for something that is not simulated, and no task is named.
        EpisodeError: The dataset is damaged.
    """
    policy = Policy.load(settings.policy)
    if not policy.manifest.has_world_model:
        raise CheckpointError(f"{settings.policy} has no world model, so nothing can surprise it")
    spec = policy.manifest.encoder
    encoder = open_encoder(spec.name, spec.image_size)
    sources = _trials(policy, encoder, settings) if settings.episodes is None else _recorded(policy, encoder, settings)
    usual = calibrate(list(sources), settings.quantile)
    return write_usual(find_checkpoint(settings.policy), policy.manifest, usual), usual


class Witness:
    """A policy that remembers, of every frame that it acts on, how far it was from what was predicted."""

    def __init__(self, policy: Policy, period_ns: int) -> None:
        self.manifest = m = policy.manifest
        self.residuals: list[Residuals] = []
        self._policy, self._period_ns = policy, period_ns
        self._foresight = Foresight(m.rate, m.stride, m.predicted_frames)

    def act(self, features: NDArray[np.float32], hand_state: Array) -> Prediction:
        """As the policy, a period after the call before."""
        prediction = self._policy.act(features, hand_state)
        assert prediction.future_features is not None
        stamp_ns = len(self.residuals) * self._period_ns
        views, rows, columns = prediction.future_features.shape[1:4]
        pooled = pool_features(features[:views], rows, columns)
        self.residuals.append(self._foresight.compare(stamp_ns, pooled))
        self._foresight.add(stamp_ns, pooled, prediction.future_features)
        return prediction


def _trials(policy: Policy, encoder: StereoEncoder, settings: CalibrationSettings) -> Iterator[Sequence[Residuals]]:
    """The residuals of every simulated trial that succeeds."""
    if policy.manifest.rate != RATE:
        raise CheckpointError(f"the checkpoint acts at {policy.manifest.rate:g} Hz, the simulation steps at {RATE} Hz")
    model, task = RobotModel.load(), simulated_task(policy.manifest, settings.task)
    for seed in tqdm(range(settings.seed, settings.seed + settings.trials), desc="calibration", unit="trial"):
        witness = Witness(policy, settings.every * STEP_NS)
        body = SimulatedBody(task, settings.variant, seed)
        renderer = StereoRenderer(body.scene)
        agent = PolicyAgent(encoder, witness, renderer, settings.every, latency=0)
        run_trial(body, model, agent)
        renderer.close()
        if body.success():
            yield witness.residuals


def _recorded(policy: Policy, encoder: StereoEncoder, settings: CalibrationSettings) -> Iterator[Sequence[Residuals]]:
    assert settings.episodes is not None
    for recording in tqdm(read_recordings(settings.episodes), desc="calibration", unit="episode"):
        yield _watch(recording, policy, encoder, settings.every)


def _watch(recording: Recording, policy: Policy, encoder: StereoEncoder, every: int) -> Sequence[Residuals]:
    witness = Witness(policy, round(every * 1e9 / recording.rate))
    for index, pair in enumerate(recording.images):
        if index % every == 0:
            witness.act(encoder.encode(pair), recording.states[index])
    return witness.residuals
