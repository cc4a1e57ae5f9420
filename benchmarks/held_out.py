"""How well checkpoints foretell the demonstrations that were held out from their training, from features cached before.

python benchmarks/held_out.py CHECKPOINT EPISODES FEATURES [--windows 256]

What validation measures during training (`training/validation.py`), measured again on exported graphs: errors of the
wrists over the chunk beside those of holding still, and skill of the predicted features by steps ahead, in Markdown.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from firsthand.policy.session import Policy
from firsthand.policy.surprise import pool_features
from firsthand_training.evaluation.recordings import feature_spread
from firsthand_training.metrics import feature_errors, feature_skill, hand_errors
from firsthand_training.training.feature_cache import FeatureCache
from firsthand_training.training.windows import TrainingEpisode, load_episodes

Array = NDArray[np.floating]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("episodes", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("--windows", type=int, default=256, help="spread evenly over the held-out episodes")
    arguments = parser.parse_args()
    policy, spread = Policy.load(arguments.checkpoint), feature_spread(arguments.checkpoint)
    held_out = policy.manifest.provenance["held_out"]
    numbers = held_out["robot"] if isinstance(held_out, dict) else held_out
    episodes = load_episodes(arguments.episodes, FeatureCache.open(arguments.features))
    chosen = choose([episodes[number] for number in numbers], arguments.windows)
    found = [measure(policy, episode, row, spread) for episode, row in tqdm(chosen, unit="window")]
    ours, hold = (np.concatenate([each[i] for each in found]).mean() for i in range(2))
    skill = feature_skill(*(np.stack([each[i] for each in found]) for i in (2, 3)))
    steps = [policy.manifest.stride * (frame + 1) for frame in range(len(skill.ahead))]
    print(
        f"{len(chosen)} windows of {len(numbers)} episodes; wrists off by {ours:.1f} mm (holding still: {hold:.1f})\n"
    )
    print(f"| feature skill, steps ahead | {' | '.join(map(str, steps))} | all |\n|{'---|' * (len(steps) + 2)}")
    for name, ahead, over_all in (
        ("all patches", skill.ahead, skill.overall),
        ("the tenth that changes most", skill.moving_ahead, skill.moving),
    ):
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in ahead)} | {over_all:.2f} |")


def choose(episodes: list[TrainingEpisode], count: int) -> list[tuple[TrainingEpisode, int]]:
    """Windows, each an episode and a row of its features, as validation chooses them."""
    every = [(episode, row) for episode in episodes for row in range(len(episode.features))]
    return [every[number] for number in np.unique(np.linspace(0, len(every) - 1, min(count, len(every))).astype(int))]


def measure(policy: Policy, episode: TrainingEpisode, row: int, spread: Array) -> tuple[Array, Array, Array, Array]:
    """Of one window: wrist errors of the policy and of holding still (steps,), patch errors of both futures (T, P)."""
    time = row * episode.every
    actions, inside, _ = episode.targets(time, policy.manifest.horizon)
    prediction = policy.act(episode.features[row].astype(np.float32), episode.state[time])
    assert prediction.future_features is not None, "a policy without a world model foretells no features"
    wrists = [hand_errors(each, actions).wrist_mm[inside] for each in (prediction.actions, episode.state[time])]
    frames, _, rows, columns, _ = prediction.future_features.shape
    ahead, shown = episode.rows_ahead(row, policy.manifest.stride * np.arange(1, frames + 1))
    now, truth = (pool_features(episode.features[each].astype(float), rows, columns) for each in (row, ahead))
    futures = prediction.future_features, np.broadcast_to(now, truth.shape)
    errors = [np.where(shown[:, None], feature_errors(f, truth, spread).reshape(frames, -1), np.nan) for f in futures]
    return wrists[0], wrists[1], errors[0], errors[1]


if __name__ == "__main__":
    main()
