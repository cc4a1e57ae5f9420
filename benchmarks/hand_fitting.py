"""Hands fitted to keypoints with known errors: accuracy, honesty of the sigmas, and time per hand.

    python benchmarks/hand_fitting.py [--clips 6] [--frames 60]

Rows: noise of the keypoints along an axis [px], its correlation from frame to frame at 30 Hz, spread of the person's
proportions, error of the hand's size. Hands of some 140 px, 0.58 m away. Columns: mean error of a single picture's fit
and of the clip's: wrist, fingertips within the wrist frame [mm], wrist rotation [deg]; mean and spread of the depth's
error [mm]; share of true errors within 1 and 2 sigma along the direction said to be worst (a Gaussian's: 68, 95 %).
"""

import argparse
import time

import numpy as np
from hand_motion import INTRINSICS, HandClip, hand_clip
from numpy.typing import NDArray

from firsthand.space.rotations import angle_between, rotation_vector_from_matrix
from firsthand_training.labels.fit_hands import FitSettings, Observations, fit_hands
from firsthand_training.labels.hand_rig import HandPose
from firsthand_training.labels.landmarks import tips_in_wrist
from firsthand_training.labels.smooth_hands import MotionSettings, error_memory, of_side, smooth_hand
from firsthand_training.labels.uncertainty import Spread, spread_of

Array = NDArray[np.floating]

ROWS = [  # noise, correlation, proportions, size
    (0, 0, 0, 0),
    (2, 0, 0, 0),
    (2, 0.8, 0, 0),
    (5, 0, 0, 0),
    (5, 0.8, 0, 0),
    (2, 0, 0.05, 0),
    (2, 0.8, 0.05, 0),
    (2, 0.8, 0.05, 0.08),
]

HEADER = (
    " noise   corr  bones   size | picture: mm, mm, deg | clip: mm, mm, deg, depth mm, +- mm        | "
    "within 1, 2 sigma: wrist, rotation, tips    | ms a hand: fit, clip"
)
SPLITS = [4, 7, 12, 18]


def main() -> None:
    """Run every row and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=60)
    options = parser.parse_args()
    print(HEADER)
    for row in ROWS:
        numbers = np.mean([measure(*row, seed, options.frames) for seed in range(options.clips)], axis=0)
        print(
            " | ".join(" ".join(f"{number:6.2f}" for number in part) for part in np.split(numbers, SPLITS)), flush=True
        )


def measure(noise: float, correlation: float, bones: float, size: float, seed: int, frames: int) -> list[float]:
    """One clip's numbers, in the order of the columns."""
    clip = hand_clip(seed, frames, bones=bones)
    random = np.random.default_rng([seed, 1])
    off = noise * _correlated(random, (frames, 2, 21, 2), correlation).reshape(-1, 21, 2)
    observed = Observations(clip.pixels + off, clip.side, np.ones(len(clip.side)), INTRINSICS)
    settings, began = FitSettings(), time.thread_time()
    fit = fit_hands(observed, settings)
    fitted = time.thread_time()
    memory = error_memory(fit, observed, frames)
    tracks, spreads = [], []
    for side in (0, 1):
        part, mine = of_side(fit, observed, side)
        tracks.append(smooth_hand(part, mine, clip.stamps, settings, MotionSettings(), memory))
        spreads.append(spread_of(tracks[-1], part, mine, settings, 0.05))
    ended = time.thread_time()
    single = _errors(fit.pose, clip, slice(None), size)
    sides = [_errors(track.pose, clip, slice(side, None, 2), size) for side, track in enumerate(tracks)]
    shares = [_shares(tracks[side].pose, spreads[side], clip, slice(side, None, 2)) for side in (0, 1)]
    per_hand = 1e3 / len(observed)
    return [
        *(noise, correlation, bones, size),
        *single[:3],
        *np.mean(sides, axis=0),
        *np.mean(shares, axis=0),
        (fitted - began) * per_hand,
        (ended - fitted) * per_hand,
    ]


def _errors(pose: HandPose, clip: HandClip, rows: slice, size: float) -> list[float]:
    off = (1 + size) * pose.position - clip.pose.position[rows]
    tips = (1 + size) * tips_in_wrist(pose.angles, clip.side[rows], np.zeros((1, 21))) - _true_tips(clip, rows)
    turned = np.rad2deg(angle_between(pose.rotation, clip.pose.rotation[rows]))
    wrist, tip = 1e3 * np.linalg.norm(off, axis=1).mean(), 1e3 * np.linalg.norm(tips, axis=-1).mean()
    return [wrist, tip, turned.mean(), 1e3 * off[:, 2].mean(), 1e3 * off[:, 2].std()]


def _shares(pose: HandPose, spread: Spread, clip: HandClip, rows: slice) -> list[float]:
    off = pose.position - clip.pose.position[rows]
    turn = rotation_vector_from_matrix(clip.pose.rotation[rows] @ np.swapaxes(pose.rotation, 1, 2))
    tips = tips_in_wrist(pose.angles, clip.side[rows], np.zeros((1, 21))) - _true_tips(clip, rows)
    shares = []
    for error, covariance in ((off, spread.wrist), (turn, spread.rotation), (tips, spread.tips)):
        values, ways = np.linalg.eigh(covariance)
        sigmas = np.abs((error * ways[..., -1]).sum(axis=-1)) / np.sqrt(values[..., -1])
        shares += [(sigmas < 1).mean(), (sigmas < 2).mean()]
    return shares


def _true_tips(clip: HandClip, rows: slice) -> Array:
    return tips_in_wrist(clip.pose.angles[rows], clip.side[rows], clip.shape)


def _correlated(random: np.random.Generator, shape: tuple[int, ...], correlation: float) -> Array:
    noise = random.standard_normal(shape)
    for i in range(1, len(noise)):
        noise[i] = correlation * noise[i - 1] + np.sqrt(1 - correlation**2) * noise[i]
    return noise


if __name__ == "__main__":
    main()
