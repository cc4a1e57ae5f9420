"""Features of every episode, computed once by the very encoder that runs on the robot.

The cache is a folder: `cache.json` says what it was made from, `episode_000000.npy` and on hold (frames, V, gh, gw, C)
as float16, pictures as uint8, memory-mapped when read. A file that exists is whole, so an interrupted run goes on where
it stopped.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from firsthand.errors import EpisodeError
from firsthand.vision.encoder import IMAGE_SIZE
from firsthand.vision.encoders import SOURCES, StereoEncoder, open_encoder
from firsthand_training.episodes.read import Episodes

DESCRIPTION = "cache.json"


@dataclass(frozen=True)
class CacheSettings:
    """What is encoded, and how."""

    encoder: Literal["dinov2_vits14", "pixels"] = "dinov2_vits14"
    """`pixels` keeps the resized pictures, for a network that trains its own image backbone."""
    every: int = 2
    """Encode every n-th frame; must divide the stride r of the world model."""
    height: int = IMAGE_SIZE[0]
    """Height that images are resized to, [px], for DINOv2 a multiple of 14."""
    width: int = IMAGE_SIZE[1]
    threads: int = 1
    """CPU threads of the encoder."""

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing."""
        if self.every < 1:
            raise ValueError(f"expected to encode every 1st or later frame, got every = {self.every}")


@dataclass(frozen=True)
class Description:
    """Where the features of a cache come from; two caches with equal descriptions hold equal numbers."""

    encoder: str
    source_sha256: str
    image_size: tuple[int, int]  # height, width [px]
    every: int
    fps: int


@dataclass(frozen=True)
class FeatureCache:
    """A cache folder, opened."""

    root: Path
    description: Description

    @classmethod
    def open(cls, root: Path) -> "FeatureCache":
        """Read the description of a cache.

        Raises:
            EpisodeError: There is no cache, or its description is damaged.
        """
        path = root / DESCRIPTION
        if not path.is_file():
            raise EpisodeError(f"no feature cache at {root}: {DESCRIPTION} is missing")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            height, width = data["image_size"]
            return cls(root, Description(**{**data, "image_size": (height, width)}))
        except (ValueError, TypeError, KeyError) as error:
            raise EpisodeError(f"{path} does not describe a feature cache: {error}") from error

    @property
    def every(self) -> int:
        """Frames from one cached frame to the next."""
        return self.description.every

    def features(self, episode: int) -> NDArray[np.float16 | np.uint8]:
        """Memory-mapped features of one episode, (frames, V, gh, gw, C)."""
        path = self.path(episode)
        if not path.is_file():
            raise EpisodeError(f"the cache at {self.root} lacks episode {episode}; run the caching again to go on")
        return np.load(path, mmap_mode="r")

    def path(self, episode: int) -> Path:
        """Where the features of an episode lie."""
        return self.root / f"episode_{episode:06d}.npy"


def cache_features(
    episodes: Path, output: Path, settings: CacheSettings = CacheSettings(), progress: bool = True
) -> Path:
    """Encode every episode of a dataset with the runtime encoder, keeping what is already done.

    Args:
        episodes: Root of a dataset.
        output: The cache folder.
        settings: What is encoded.
        progress: Show a progress bar.

    Returns:
        `output`, for `FeatureCache.open`.

    Raises:
        EpisodeError: The folder holds a cache of another encoder, size or stride.
    """
    dataset = Episodes.open(episodes)
    cache = _prepare(output, settings, dataset.fps)
    missing = [number for number in range(len(dataset)) if not cache.path(number).is_file()]
    if not missing:
        return output
    encoder = open_encoder(settings.encoder, (settings.height, settings.width), threads=settings.threads)
    frames = sum(_count(dataset.records[number].length, settings.every) for number in missing)
    with tqdm(total=frames, unit="frame", desc="encoding", disable=not progress) as bar:
        for number in missing:
            _encode_episode(dataset, number, encoder, cache, bar)
    return output


def _prepare(output: Path, settings: CacheSettings, fps: int) -> FeatureCache:
    """Make the folder, or check that the one there was made the same way."""
    size = (settings.height, settings.width)
    wanted = Description(settings.encoder, SOURCES[settings.encoder], size, settings.every, fps)
    if not (output / DESCRIPTION).is_file():
        output.mkdir(parents=True, exist_ok=True)
        temporary = output / f"{DESCRIPTION}.tmp"
        temporary.write_text(json.dumps(asdict(wanted), indent=1) + "\n", encoding="utf-8")
        temporary.replace(output / DESCRIPTION)
    cache = FeatureCache.open(output)
    if cache.description != wanted:
        raise EpisodeError(f"{output} holds features of {cache.description}, wanted {wanted}; use another folder")
    return cache


def _encode_episode(
    dataset: Episodes, number: int, encoder: StereoEncoder, cache: FeatureCache, bar: "tqdm[None]"
) -> None:
    features = []
    for index, pair in enumerate(dataset.stereo_frames(number)):
        if index % cache.every == 0:
            features.append(encoder.encode(pair).astype(encoder.storage))
            bar.update()
    temporary = cache.path(number).with_suffix(".tmp")
    with temporary.open("wb") as file:
        np.save(file, np.stack(features))
    temporary.replace(cache.path(number))


def _count(frames: int, every: int) -> int:
    return -(-frames // every)
