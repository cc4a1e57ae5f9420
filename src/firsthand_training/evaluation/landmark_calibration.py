"""Learn what a landmark network usually gets wrong, from rendered clips whose truth is known.

    firsthand-lab render-hands --output data/clips --clips 11 --seed 41
    python -m firsthand_training.evaluation.landmark_calibration data/clips work src/.../labels/mediapipe_bias.npz

Hands are detected and estimated in every frame of the clips, as labelling does it; of every third frame, what the
network says and what would have been right go into `labels/landmark_bias.py`. Clips to measure on must be other ones.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import FirsthandError, LabelError
from firsthand_training.demonstrations.human.truth import TRUTH_FILE, Truth, load_truth
from firsthand_training.labels.detect_hands import detect_hands
from firsthand_training.labels.estimate_hands import estimate_hands
from firsthand_training.labels.landmark_bias import STRETCH, HandFrame, LandmarkBias, Said, learn
from firsthand_training.labels.stage_files import HANDS, POSES, Clip, HandPoses, load_stage, video_folder

Array = NDArray[np.floating]

EVERY = 3  # frames


def calibrate_landmarks(clips: Path, work: Path, output: Path) -> Path:
    """Make the calibration of `estimate_hands`' default backend.

    Args:
        clips: Rendered, with truth.
        work: Where hands of all frames go; finished files are kept.
        output: The calibration.

    Returns:
        `output`.

    Raises:
        LabelError: There are fewer than three clips, or one cannot be read.
        ModelError: The networks are not installed.
    """
    examples = []
    for number, folder in enumerate(sorted(path.parent for path in clips.glob(f"*/{TRUTH_FILE}"))):
        truth = load_truth(folder / TRUTH_FILE, Truth)
        video = folder / f"{folder.name}.mp4"
        here = video_folder(work, video)
        hands = detect_hands(video, here / HANDS)
        poses = estimate_hands(video, hands, Clip(0, len(truth.state)), here / POSES)
        examples.append((*examples_of(load_stage(poses, HandPoses), truth), number))
    return learn_from(examples).save(output)


def learn_from(examples: Sequence[tuple[Array, Array, int]]) -> LandmarkBias:
    """Learn from what `examples_of` made of each clip, and the clip's number.

    Raises:
        LabelError: There are fewer than three clips.
    """
    if not examples:
        raise LabelError("no rendered clips with truth; make some with firsthand-lab render-hands")
    said, off, numbers = zip(*examples, strict=True)
    groups = np.concatenate([np.full(len(one), number) for one, number in zip(said, numbers, strict=True)])
    return learn(np.concatenate(said), np.concatenate(off), groups)


def examples_of(poses: HandPoses, truth: Truth) -> tuple[Array, Array]:
    """What is said of the hands of a clip (M, 65), and what should have been added (M, 63).

    True depths are those along the ray to the hand, in pixels as the hand is seen.
    """
    frames = poses.frames[::EVERY]
    rows = np.arange(0, len(poses.frames), EVERY)
    count = len(rows)
    said = Said(
        poses.keypoints[rows].reshape(-1, 21, 2),
        np.broadcast_to(poses.depths, (len(poses.frames), 2, 21))[rows].reshape(-1, 21),
        np.broadcast_to(poses.spread, (len(poses.frames), 2))[rows].reshape(-1),
        poses.confidence[rows].reshape(-1),
        np.tile([0, 1], count),
    )
    whole = said.whole
    said, points = said[whole], truth.keypoints_in_camera[frames].reshape(-1, 21, 3)[whole]
    frame = HandFrame.of(said)
    described = frame.describe(said)
    rays = np.append(frame.origin, np.ones((len(frame.origin), 1)), axis=1) @ np.linalg.inv(truth.intrinsics).T
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    pixels_a_metre = truth.intrinsics[0, 0] / points[:, :, 2].mean(axis=1)
    depths = np.einsum("bki,bi->bk", points - points[:, :1], rays) * (pixels_a_metre / frame.size)[:, None]
    flat = frame.from_picture(truth.keypoints[frames].reshape(-1, 21, 2)[whole]).reshape(-1, 42)
    return described, np.concatenate([flat - described[:, :42], depths - STRETCH * described[:, 42:63]], axis=1)


def main() -> None:
    """Clips, folder of work and output from the command line."""
    if len(sys.argv) != 4:
        raise SystemExit(f"{__doc__}\nexpected three paths: clips, work, output")
    try:
        print(calibrate_landmarks(*(Path(each) for each in sys.argv[1:])))
    except FirsthandError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
