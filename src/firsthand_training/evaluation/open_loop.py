"""Open loop: what the policy would have said along a recording, against what was done.

A small error here does not promise success (the recording corrects every mistake), so three trivial rows stand
beside it: holding the last commanded target, the mean of the recording, and, for the predicted features, copying
the current ones.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from firsthand.errors import EpisodeError
from firsthand.policy.session import Policy, Prediction
from firsthand.policy.surprise import pool_features
from firsthand.vision.encoders import StereoEncoder
from firsthand_training.episodes.targets import in_frame_of
from firsthand_training.evaluation.statistics import percentiles
from firsthand_training.metrics import FeatureSkill, HandErrors, feature_errors, feature_skill, hand_errors

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Recording:
    """One episode to compare with: a dataset's or a bag's."""

    rate: float  # [Hz]
    states: Array  # (N, 54) measured
    actions: Array  # (N, 54) commanded targets for the next step
    images: Iterable[NDArray[np.uint8]]  # N stereo pairs (2, H, W, 3) RGB
    origin: Array | None = None  # (N, 3), [m], where the F_R of each frame is; None if it stays where it is

    def targets(self, time: int, rows: range) -> Array:
        """Some rows of the actions, seen from F_R as it is at a time, (rows, 54)."""
        actions = self.actions[rows.start : rows.stop]
        if self.origin is None:
            return actions
        return in_frame_of(actions, self.origin[rows.start : rows.stop], self.origin[time])


@dataclass(frozen=True)
class OpenLoopReport:
    """Errors per horizon step (H,) and latencies, over all windows of all recordings."""

    windows: int
    policy: HandErrors
    hold_last: HandErrors
    dataset_mean: HandErrors
    feature_skill: FeatureSkill | None  # None without a world model
    encoder_ms: dict[str, float]
    policy_ms: dict[str, float]

    def __str__(self) -> str:
        lines = [f"{self.windows} windows; errors averaged over the horizon"]
        for name in ("policy", "hold_last", "dataset_mean"):
            e = getattr(self, name).mean()
            label = name.replace("_", " ")
            lines.append(
                f"  {label:13} wrist {e.wrist_mm:6.1f} mm {e.wrist_deg:6.2f} deg   fingertips {e.fingertip_mm:6.1f} mm"
            )
        if self.feature_skill is not None:
            lines.append(
                f"  feature skill over copying {self.feature_skill.overall:.2f}, "
                f"on the tenth that changes most {self.feature_skill.moving:.2f}"
            )
        for name, values in (("encoder", self.encoder_ms), ("policy", self.policy_ms)):
            shown = "   ".join(f"{key} {value:.0f}" for key, value in values.items())
            lines.append(f"  {name} latency [ms]  {shown}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        rows = {
            name: {key: [round(float(x), 4) for x in values] for key, values in asdict(getattr(self, name)).items()}
            for name in ("policy", "hold_last", "dataset_mean")
        }
        skill = None if self.feature_skill is None else {k: _plain(v) for k, v in asdict(self.feature_skill).items()}
        latency = {"encoder_ms": self.encoder_ms, "policy_ms": self.policy_ms}
        return {"windows": self.windows, **rows, "feature_skill": skill, **latency}


@dataclass(frozen=True)
class _Window:
    prediction: Prediction
    truth: Array  # (H, 54)
    held: Array  # (54,)
    encoder_s: float
    policy_s: float


@dataclass(frozen=True)
class _FutureErrors:
    """Of one window's predicted features, (T, views * patches)."""

    predicted: Array
    copied: Array


def evaluate_open_loop(
    policy: Policy,
    encoder: StereoEncoder,
    recordings: Iterable[Recording],
    every: int = 5,
    spread: Array | float = 1.0,
) -> OpenLoopReport:
    """Run the policy along recordings, one window every few frames.

    Args:
        policy: Of the same rate as the recordings.
        encoder: The policy's encoder.
        recordings: Episodes; those shorter than the horizon are passed over.
        every: Frames between windows.
        spread: Standard deviation of each feature channel that the network was trained with, (C,).

    Raises:
        EpisodeError: Another rate, or no recording is longer than the horizon.
    """
    windows: list[_Window] = []
    futures: list[_FutureErrors] = []
    actions: list[Array] = []
    for recording in recordings:
        _check_rate(policy, recording)
        features, of_recording = _run(policy, encoder, recording, every)
        windows += [window for _, window in of_recording]
        futures += [
            _future_errors(policy, features, start, window.prediction.future_features, spread)
            for start, window in of_recording
            if window.prediction.future_features is not None
        ]
        actions.append(recording.actions)
    if not windows:
        raise EpisodeError(f"no recording is longer than the horizon of {policy.manifest.horizon} steps")
    return _report(windows, futures, np.concatenate(actions).mean(0))


def _run(
    policy: Policy, encoder: StereoEncoder, recording: Recording, every: int
) -> tuple[dict[int, Array], list[tuple[int, _Window]]]:
    """Features of every frame that a window starts at or looks forward to, and the windows."""
    horizon, stride = policy.manifest.horizon, policy.manifest.stride
    starts = list(range(0, len(recording.states) - horizon, every))
    needed = {start + k * stride for start in starts for k in range(policy.manifest.predicted_frames + 1)}
    features, seconds = {}, {}
    frames = _indexed(recording.images, needed)
    for index, images in tqdm(frames, total=len(needed), desc="open loop", unit="frame"):
        began = time.perf_counter()
        features[index] = encoder.encode(images)
        seconds[index] = time.perf_counter() - began
    windows = []
    for start in starts:
        began = time.perf_counter()
        prediction = policy.act(features[start], recording.states[start])
        elapsed = time.perf_counter() - began
        truth = recording.targets(start, range(start, start + horizon))
        last = max(start - 1, 0)
        held = recording.targets(start, range(last, last + 1))[0]
        windows.append((start, _Window(prediction, truth, held, seconds[start], elapsed)))
    return features, windows


def _indexed(images: Iterable[NDArray[np.uint8]], needed: set[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    last = max(needed, default=-1)
    for index, pair in enumerate(images):
        if index > last:
            return
        if index in needed:
            yield index, pair


def _future_errors(
    policy: Policy, features: dict[int, Array], start: int, future: Array, spread: Array | float
) -> _FutureErrors:
    frames, views, rows, columns, _ = future.shape
    steps = [start + (k + 1) * policy.manifest.stride for k in range(frames)]
    now, *later = (pool_features(features[step][:views], rows, columns) for step in (start, *steps))
    truth = np.stack(later)
    copies = np.broadcast_to(now, truth.shape)
    return _FutureErrors(*(feature_errors(each, truth, spread).reshape(frames, -1) for each in (future, copies)))


def _report(windows: list[_Window], futures: list[_FutureErrors], mean: Array) -> OpenLoopReport:
    truth = np.stack([window.truth for window in windows])
    predicted = np.stack([window.prediction.actions for window in windows])
    held = np.broadcast_to(np.stack([window.held for window in windows])[:, None], truth.shape)
    return OpenLoopReport(
        windows=len(windows),
        policy=hand_errors(predicted, truth).mean(0),
        hold_last=hand_errors(held, truth).mean(0),
        dataset_mean=hand_errors(np.broadcast_to(mean, truth.shape), truth).mean(0),
        feature_skill=_skill(futures),
        encoder_ms=percentiles([1000 * window.encoder_s for window in windows]),
        policy_ms=percentiles([1000 * window.policy_s for window in windows]),
    )


def _skill(futures: list[_FutureErrors]) -> FeatureSkill | None:
    if not futures:
        return None
    return feature_skill(np.stack([each.predicted for each in futures]), np.stack([each.copied for each in futures]))


def _plain(value: float | tuple[float, ...]) -> Any:
    """For JSON, which has no nan."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return None if isnan(value) else round(value, 4)


def _check_rate(policy: Policy, recording: Recording) -> None:
    if recording.rate != policy.manifest.rate:
        raise EpisodeError(
            f"the recording has {recording.rate:g} Hz, the checkpoint was trained at {policy.manifest.rate:g} Hz"
        )
