"""Whether the world goes on as the world model said: what it predicted, against what then arrives.

A frame that arrives is compared with every prediction whose turn it is, one for each lead r, 2r .. H: the more of them
it contradicts, the surer. Two scores come of it, because surprises come in two kinds:

event       somewhere the residual is larger than residuals there use to be: a hand over the camera, a thing that jumps
unfamiliar  everywhere the prediction is worse than having copied the last frame would have been: another room or thing

What is usual is measured on rollouts that went as intended (`firsthand-lab calibrate`) and kept beside the checkpoint.
A score of 1 is the level that only a share of 1 - `quantile` of usual frames reaches.
"""

import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CheckpointError
from firsthand.policy.checkpoint import WORLD_MODEL, Manifest

Array = NDArray[np.floating]

CALIBRATION = "surprise.json"
VERSION = 1
SECOND = 1_000_000_000  # [ns]
FLOOR = 0.05  # squared feature difference of patches that nothing happens to: below it, differences are noise
WORST = 2  # patches whose mean is the event score: one alone may be an edge that flickers
QUANTILE = 0.995
GAP = 0.5  # [s] without a score, of which nobody knows what would have been seen


@dataclass(frozen=True)
class Residuals:
    """Of one frame, by lead; NaN where no prediction is at hand."""

    predicted: Array  # (T, views, rows, columns), mean squared difference of the channels to what was predicted
    copied: Array  # the same to what was seen when the prediction was made

    @property
    def leads(self) -> int:
        """How many leads have a prediction."""
        return int(np.isfinite(self.predicted[:, 0, 0, 0]).sum())


@dataclass(frozen=True)
class Usual:
    """What residuals and scores usually are."""

    mean: Array  # (T, views, rows, columns), of the logarithm of the residual
    spread: Array  # the same, its standard deviation
    event: float  # the level of each score
    unfamiliar: float
    frames: int  # that this was measured on
    rollouts: int


@dataclass(frozen=True)
class Surprise:
    """How surprising one frame is; both scores are shares of their usual level."""

    stamp_ns: int
    event: float
    unfamiliar: float
    patches: Array  # (views, rows, columns), standard deviations above the usual residual

    @property
    def score(self) -> float:
        """The larger one; above 1 is surprising."""
        return max(self.event, self.unfamiliar)


class Foresight:
    """Keeps predictions until their turn comes.

    Args:
        rate: Of the steps that H and r count, [Hz].
        stride: r.
        frames: T.
    """

    def __init__(self, rate: float, stride: int, frames: int) -> None:
        self.frames = frames
        self._lead_ns = stride * SECOND / rate
        self._history: deque[tuple[int, Array]] = deque()  # stamp, (1 + T, ...): what was seen, and what was foreseen

    def compare(self, stamp_ns: int, features: Array) -> Residuals:
        """Residuals of a frame against earlier predictions.

        Args:
            stamp_ns: Of the frame.
            features: (views, rows, columns, channels), pooled as the predictions are.
        """
        predicted = np.full((self.frames, *features.shape[:-1]), np.nan)
        copied = predicted.copy()
        for lead in range(1, self.frames + 1):
            found = self._nearest(stamp_ns - lead * self._lead_ns)
            if found is not None:
                made_ns, seen = found
                foreseen = self._at((stamp_ns - made_ns) / self._lead_ns, seen)
                predicted[lead - 1] = ((foreseen - features) ** 2).mean(-1)
                copied[lead - 1] = ((seen[0] - features) ** 2).mean(-1)
        return Residuals(predicted, copied)

    def add(self, stamp_ns: int, features: Array, future: Array) -> None:
        """Keep a prediction: pooled features at its time, and (T, views, rows, columns, channels) after it."""
        if self._history and stamp_ns <= self._history[-1][0]:
            self.clear()  # time went back
        self._history.append((stamp_ns, np.concatenate([features[None], future])))
        while self._history[0][0] < stamp_ns - (self.frames + 1) * self._lead_ns:
            self._history.popleft()

    def clear(self) -> None:
        """Forget all predictions: what comes next is another scene."""
        self._history.clear()

    def _nearest(self, wanted_ns: float) -> tuple[int, Array] | None:
        """The prediction made nearest to a time, within half a stride."""
        if not self._history:
            return None
        nearest = min(self._history, key=lambda one: abs(one[0] - wanted_ns))
        return nearest if abs(nearest[0] - wanted_ns) <= self._lead_ns / 2 else None

    def _at(self, lead: float, seen: Array) -> Array:
        """What was foreseen for a lead in strides, between two predicted frames by interpolation."""
        lower = min(int(lead), self.frames - 1)
        fraction = min(lead - lower, 1.0)
        return (1 - fraction) * seen[lower] + fraction * seen[lower + 1]


class SurpriseMonitor:
    """Scores every frame of one policy's run."""

    def __init__(self, manifest: Manifest, usual: Usual) -> None:
        if not manifest.has_world_model:
            raise CheckpointError(f"the checkpoint {manifest.task!r} has no world model, so nothing can surprise it")
        self._foresight = Foresight(manifest.rate, manifest.stride, manifest.predicted_frames)
        self._usual = usual

    def observe(self, stamp_ns: int, features: Array, future: Array) -> Surprise | None:
        """Score a frame, and keep what is predicted from it.

        Args:
            stamp_ns: Of the frame.
            features: (views, rows, columns, channels) from the encoder; views beyond those of `future` are left out.
            future: (T, views, rows', columns', channels), predicted from them.

        Returns:
            None while fewer than half of the leads have a prediction.
        """
        pooled = pool_features(features[: future.shape[1]], *future.shape[2:4])
        residuals = self._foresight.compare(stamp_ns, pooled)
        self._foresight.add(stamp_ns, pooled, future)
        if not enough(residuals):
            return None
        excess, event, unfamiliar = scores(residuals, self._usual.mean, self._usual.spread)
        return Surprise(stamp_ns, event / self._usual.event, unfamiliar / self._usual.unfamiliar, excess)

    def clear(self) -> None:
        """Forget all predictions: what comes next is another scene."""
        self._foresight.clear()


class Alarm:
    """Turns scores into a decision that single frames do not change.

    Args:
        persistence: How long the score has to stay above 1, [s].
        release_level: What it then has to stay below ...
        release_after: ... for so long, [s].
    """

    def __init__(self, persistence: float = 0.15, release_level: float = 0.8, release_after: float = 1.0) -> None:
        self.raised = False
        self._persistence_ns, self._release_ns = round(persistence * SECOND), round(release_after * SECOND)
        self._release_level = release_level
        self._since_ns: int | None = None  # when the score crossed over to the side that would change the decision
        self._seen_ns = 0  # when it was last there

    def update(self, stamp_ns: int, score: float) -> bool:
        """Take a score in; whether the alarm is raised after it."""
        against = score < self._release_level if self.raised else score > 1
        if not against:
            self._since_ns = None
            return self.raised
        if self._since_ns is None or not 0 <= stamp_ns - self._seen_ns <= GAP * SECOND:
            self._since_ns = stamp_ns
        self._seen_ns = stamp_ns
        if stamp_ns - self._since_ns >= (self._release_ns if self.raised else self._persistence_ns):
            self.raised, self._since_ns = not self.raised, None
        return self.raised

    def clear(self) -> None:
        """Forget: what comes next is another scene."""
        self.raised, self._since_ns = False, None


def enough(residuals: Residuals) -> bool:
    """Whether at least half of the leads have a prediction: scores of fewer are of another spread."""
    return 2 * residuals.leads >= len(residuals.predicted)


def scores(residuals: Residuals, mean: Array, spread: Array) -> tuple[Array, float, float]:
    """Excess of each patch in standard deviations, the event score, and the unfamiliar score, all over leads.

    Args:
        residuals: With at least one lead.
        mean: As in `Usual`.
        spread: As in `Usual`.
    """
    predicted, copied = (np.log(each + FLOOR) for each in (residuals.predicted, residuals.copied))
    excess = np.nanmean((predicted - mean) / spread, axis=0)
    worst = np.partition(excess.ravel(), -WORST)[-WORST:]
    # a logarithm of ratios, made positive: 1 is as good as copying, more is worse
    return excess, float(worst.mean()), float(np.exp(np.nanmean(predicted - copied)))


def calibrate(rollouts: Sequence[Sequence[Residuals]], quantile: float = QUANTILE) -> Usual:
    """Measure what is usual.

    The levels are those of frames that had no part in the averages they are scored with: every rollout is scored with
    the averages of all others.

    Args:
        rollouts: Residuals of the frames of at least two rollouts that went as intended.
        quantile: Share of usual frames below the levels.

    Raises:
        CheckpointError: Too little to measure.
    """
    kept = [[frame for frame in rollout if enough(frame)] for rollout in rollouts]
    kept = [rollout for rollout in kept if rollout]
    if len(kept) < 2:
        raise CheckpointError(f"expected at least two rollouts longer than half the horizon, got {len(kept)}")
    found = []
    for index, rollout in enumerate(kept):
        mean, spread = _statistics(frame for other in kept[:index] + kept[index + 1 :] for frame in other)
        found += [scores(frame, mean, spread)[1:] for frame in rollout]
    event, unfamiliar = np.quantile(np.array(found), quantile, axis=0)
    mean, spread = _statistics(frame for rollout in kept for frame in rollout)
    return Usual(mean, spread, float(event), float(unfamiliar), len(found), len(kept))


def _statistics(frames: Iterable[Residuals]) -> tuple[Array, Array]:
    logarithms = np.log(np.stack([frame.predicted for frame in frames]) + FLOOR)
    if np.isnan(logarithms).all(axis=0).any():
        raise CheckpointError("no rollout lasts as long as the horizon; longer ones are needed to measure surprise")
    return np.nanmean(logarithms, axis=0), np.maximum(np.nanstd(logarithms, axis=0), 0.1)


def load_usual(directory: Path, manifest: Manifest) -> Usual | None:
    """What is usual for a checkpoint; None if nobody has measured it.

    Raises:
        CheckpointError: The file is damaged, or was measured with another world model.
    """
    path = directory / CALIBRATION
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version, digest = data.pop("version"), data.pop("world_model")
        usual = Usual(**{**data, **{key: np.array(data[key], float) for key in ("mean", "spread")}})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} is no calibration of surprise: {error}") from error
    if version != VERSION or digest != manifest.files.get(WORLD_MODEL) or len(usual.mean) != manifest.predicted_frames:
        raise CheckpointError(
            f"{path} was measured with the world model {str(digest)[:12]} (version {version}); here is "
            f"{str(manifest.files.get(WORLD_MODEL))[:12]} ({VERSION}): measure again with `firsthand-lab calibrate`"
        )
    return usual


def write_usual(directory: Path, manifest: Manifest, usual: Usual) -> Path:
    """Keep what is usual beside the checkpoint that it was measured with."""
    rounded = {key: np.round(getattr(usual, key), 4).tolist() for key in ("mean", "spread")}
    data = {"version": VERSION, "world_model": manifest.files[WORLD_MODEL], **asdict(usual), **rounded}
    path = directory / CALIBRATION
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(data) + "\n", encoding="utf-8")
    temporary.replace(path)
    return path


def pool_features(features: Array, rows: int, columns: int) -> Array:
    """Average features (..., R, C, channels) down to (..., rows, columns, channels); R and C must be multiples."""
    *batch, height, width, channels = features.shape
    if height % rows or width % columns:
        raise ValueError(f"cannot pool {height} x {width} patches to {rows} x {columns}")
    grouped = features.reshape(*batch, rows, height // rows, columns, width // columns, channels)
    return grouped.mean(axis=(-4, -2))
