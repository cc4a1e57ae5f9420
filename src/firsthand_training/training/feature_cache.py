"""Features of every episode, computed once by the very encoder that runs on the robot.

The cache is a folder: `cache.json` says what it was made from, `episode_000000.npy` and on hold (frames, V, gh, gw, C)
as float16, pictures as uint8, memory-mapped when read; `episode_000000_1.npy` and on hold the same episode under other
light. A file that exists is whole, so an interrupted run goes on where it stopped. A digest of the dataset tells one
that was recorded anew, which is refused, from one that has grown, whose new episodes are added.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from firsthand.errors import EpisodeError
from firsthand.inference import Runtime
from firsthand.vision.encoder import IMAGE_SIZE
from firsthand.vision.encoders import SOURCES, StereoEncoder, open_encoder
from firsthand_training.episodes.durable import whole_file, write_text
from firsthand_training.episodes.read import Episodes
from firsthand_training.training.log import BAR_PERIOD
from firsthand_training.training.picture_jitter import Jitter, JitterSettings, draw_jitter, jitter_pictures

DESCRIPTION = "cache.json"


@dataclass(frozen=True)
class CacheSettings:
    """What is encoded, and how."""

    encoder: Literal["dinov2_vits14", "pixels"] = "dinov2_vits14"
    """`pixels` keeps the resized pictures, for a network that trains its own image backbone."""
    every: int = 2
    """Encode every n-th frame; must divide the stride r of the world model."""
    every_of_people: int = 1
    """The same of people's recordings, which are slowed down: their frames come to lie further apart."""
    height: int = IMAGE_SIZE[0]
    """Height that images are resized to, [px], for DINOv2 a multiple of 14."""
    width: int = IMAGE_SIZE[1]
    variants: int = 0
    """Also encode every episode this many times under other light, one draw an episode; as many times the cost."""
    jitter: JitterSettings = field(default_factory=JitterSettings)
    threads: int = 1
    """CPU threads of the encoder."""

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing."""
        for name in ("every", "every_of_people"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected to encode every 1st or later frame, got {name} = {getattr(self, name)}")
        if self.variants < 0:
            raise ValueError(f"expected 0 variants or more, got {self.variants}")


@dataclass(frozen=True)
class Description:
    """Where the features of a cache come from; two caches with equal descriptions hold equal numbers."""

    encoder: str
    source_sha256: str
    image_size: tuple[int, int]  # height, width [px]
    every: int
    fps: int
    variants: int = 0  # other lights
    jitter: dict[str, float] | None = None  # how different they are; None without variants
    episodes: int | None = (
        None  # of the dataset when it was last encoded; None in caches from before there was a digest
    )
    dataset_sha256: str | None = None  # digest of those episodes, from `digest_dataset`; None is taken for any dataset


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

    def features(self, episode: int, variant: int = 0) -> NDArray[np.float16 | np.uint8]:
        """Memory-mapped features of one episode, (frames, V, gh, gw, C): as filmed, or a variant counted from 1."""
        path = self.path(episode, variant)
        if not path.is_file():
            raise EpisodeError(f"the cache at {self.root} lacks episode {episode}; run the caching again to go on")
        return np.load(path, mmap_mode="r")

    def check_dataset(self, dataset: Episodes) -> None:
        """Refuse a dataset whose pictures are not those in the cache, as far as both can tell.

        Raises:
            EpisodeError: The episodes that were encoded have other lengths or other videos now, or are gone.
        """
        known, count = self.description.dataset_sha256, self.description.episodes
        found = digest_dataset(dataset, count)
        if None not in (known, found) and known != found:
            raise EpisodeError(
                f"{self.root} holds features of {count} episodes with the digest {known}; the first {count} of the "
                f"{len(dataset)} in {dataset.root} have the digest {found}: it was recorded anew. Delete the folder of "
                "features and encode again, or use another folder"
            )

    def path(self, episode: int, variant: int = 0) -> Path:
        """Where the features of an episode lie."""
        return self.root / (f"episode_{episode:06d}_{variant}.npy" if variant else f"episode_{episode:06d}.npy")

    def whole(self, episode: int) -> bool:
        """Whether an episode has all its features."""
        return all(self.path(episode, variant).is_file() for variant in range(self.description.variants + 1))


def digest_dataset(dataset: Episodes, episodes: int | None = None) -> str | None:
    """What tells the pictures of a dataset from others without reading them.

    Args:
        dataset: Opened.
        episodes: How many to look at, from the first on; all if None.

    Returns:
        sha256 of each episode's length, parts of video files and the sizes of those files; None if a video is missing,
        as where a dataset was copied without them to train from its cache.
    """
    digest = sha256()
    for record in dataset.records[:episodes]:
        videos = {key: record.video_path(dataset.root, key) for key in sorted(record.videos)}
        if not all(path.is_file() for path in videos.values()):
            return None
        parts = [(key, asdict(record.videos[key]), path.stat().st_size) for key, path in videos.items()]
        digest.update(json.dumps([record.length, parts]).encode())
    return digest.hexdigest()


def cache_features(
    episodes: Path,
    output: Path,
    settings: CacheSettings = CacheSettings(),
    progress: bool = True,
    share: tuple[int, int] = (0, 1),
) -> Path:
    """Encode every episode of a dataset with the runtime encoder, keeping what is already done.

    Args:
        episodes: Root of a dataset.
        output: The cache folder.
        settings: What is encoded.
        progress: Show a progress bar.
        share: Of the work, which of how many: episode n is encoded here if n modulo the second is the first.

    Returns:
        `output`, for `FeatureCache.open`.

    Raises:
        EpisodeError: The folder holds a cache of another encoder, size, stride or dataset.
    """
    dataset = Episodes.open(episodes)
    cache = _prepare(output, settings, dataset)
    missing = [number for number in range(share[0], len(dataset), share[1]) if not cache.whole(number)]
    if not missing:
        return output
    encoder = open_encoder(
        settings.encoder, (settings.height, settings.width), runtime=Runtime(threads=settings.threads)
    )
    frames = sum(_count(dataset.records[number].length, cache.every) for number in missing)
    with tqdm(total=frames, unit="frame", desc="encoding", disable=not progress, mininterval=BAR_PERIOD) as bar:
        for number in missing:
            _encode_episode(dataset, number, encoder, cache, settings, bar)
    return output


def _prepare(output: Path, settings: CacheSettings, dataset: Episodes) -> FeatureCache:
    """Make the folder, or check that the one there was made the same way."""
    size = (settings.height, settings.width)
    every = settings.every if dataset.embodiment == "robot" else settings.every_of_people
    wanted = Description(settings.encoder, SOURCES[settings.encoder], size, every, dataset.fps)
    if settings.variants:
        wanted = replace(wanted, variants=settings.variants, jitter=asdict(settings.jitter))
    digest = digest_dataset(dataset)
    if digest is not None:
        wanted = replace(wanted, episodes=len(dataset), dataset_sha256=digest)
    if not (output / DESCRIPTION).is_file():
        _describe(output, wanted)
    cache = FeatureCache.open(output)
    here = cache.description
    if replace(here, episodes=wanted.episodes, dataset_sha256=digest) != wanted:
        raise EpisodeError(f"{output} holds features of {here}, wanted {wanted}; use another folder")
    cache.check_dataset(dataset)
    if None not in (here.dataset_sha256, digest) and here != wanted:  # it has grown
        _describe(output, wanted)
    return FeatureCache.open(output)


def _describe(output: Path, description: Description) -> None:
    write_text(output / DESCRIPTION, json.dumps(asdict(description), indent=1) + "\n", shared=True)


def _encode_episode(
    dataset: Episodes,
    number: int,
    encoder: StereoEncoder,
    cache: FeatureCache,
    settings: CacheSettings,
    bar: "tqdm[None]",
) -> None:
    """Encode an episode as filmed, and under the light of each variant."""
    drawn = [draw_jitter(settings.jitter, number, variant) for variant in range(1, settings.variants + 1)]
    lights = [Jitter(), *drawn]
    features: list[list[NDArray[np.float16 | np.uint8]]] = [[] for _ in lights]
    for index, pair in enumerate(dataset.stereo_frames(number)):
        if index % cache.every == 0:
            for light, encoded in zip(lights, features, strict=True):
                encoded.append(encoder.encode(jitter_pictures(pair, light)).astype(encoder.storage))
            bar.update()
    for variant, encoded in enumerate(features):
        with whole_file(cache.path(number, variant), shared=True) as partial, partial.open("wb") as file:
            np.save(file, np.stack(encoded))


def _count(frames: int, every: int) -> int:
    return -(-frames // every)
