"""Samples of a headset in one file: what `firsthand headset --record` writes and a fake headset plays again."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from firsthand.errors import HeadsetError
from firsthand.headset.hand_motion import MOTIONS, GeneratedMotion, Gesture, Motion, RecordedMotion
from firsthand.headset.hands_sample import JOINTS, HandsSample

KEYS = ("stamps_ns", "world_from_head", "world_from_joints", "tracked")


def save_recording(samples: Sequence[HandsSample], path: Path) -> Path:
    """Write samples to a .npz file, whole or not at all; returns its path.

    Raises:
        HeadsetError: The file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(
                file,
                stamps_ns=np.array([sample.stamp_ns for sample in samples], dtype=np.int64),
                world_from_head=np.array([sample.world_from_head for sample in samples], dtype=np.float32),
                world_from_joints=np.array([sample.world_from_joints for sample in samples], dtype=np.float32),
                tracked=np.array([sample.tracked for sample in samples], dtype=bool),
            )
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise HeadsetError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def check_writable(path: Path) -> None:
    """Find out before a recording begins whether it can be kept; makes the folder.

    Raises:
        HeadsetError: It cannot.
    """
    probe = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HeadsetError(f"{path} cannot be written: {error.strerror}") from error


def load_recording(path: Path) -> list[HandsSample]:
    """Read a recording.

    Raises:
        HeadsetError: There is none at `path`, or it is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            stamps, heads, joints, tracked = (np.asarray(data[key]) for key in KEYS)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise HeadsetError(
            f"expected a headset's recording (.npz with {', '.join(KEYS)}), got {path}: {error}"
        ) from error
    n = len(stamps)
    shapes = (heads.shape, joints.shape, tracked.shape)
    if shapes != ((n, 4, 4), (n, 2, len(JOINTS), 4, 4), (n, 2)) or (np.diff(stamps) <= 0).any():
        raise HeadsetError(
            f"expected {n} heads, hands of {len(JOINTS)} joints and rising stamps in {path}, got {shapes}"
        )
    return [
        HandsSample(int(stamp), head.astype(float), hands.astype(float), (bool(left), bool(right)))
        for stamp, head, hands, (left, right) in zip(stamps, heads, joints, tracked, strict=True)
    ]


def make_motion(name: str, gestures: tuple[Gesture, ...] = ()) -> Motion:
    """A generated motion by its name, or a recorded one by its file.

    Raises:
        HeadsetError: Neither, a damaged file, or gestures asked of a recording.
    """
    if name in MOTIONS or not Path(name).exists():
        return GeneratedMotion(name, gestures)
    if gestures:
        raise HeadsetError("a recording has its own gestures; leave them out")
    return RecordedMotion(load_recording(Path(name)))
