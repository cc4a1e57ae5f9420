"""A bag as a film: what the robot saw with the predicted trajectories drawn in, beside a visitor's view of it.

The visitor's view is rendered again from the recorded state of the scene; bags without one show the robot's view alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from firsthand.bags.contents import HandTrajectory, hand_trajectory, picture, stamp_ns
from firsthand.bags.read import Bag, open_bag
from firsthand.errors import BagError
from firsthand.robot.model import RobotModel
from firsthand.simulation.renderer import ThirdPersonRenderer
from firsthand.simulation.scene import Scene, build_scene
from firsthand.simulation.scene_name import SceneName
from firsthand.space.frames import inverse
from firsthand.vision.intrinsics import Intrinsics
from firsthand_training.evaluation.gaze import Gaze
from firsthand_training.evaluation.overlay import Eye, draw_chunk

Image = NDArray[np.uint8]

IMAGE_TOPIC = "left/color/rect/image/compressed"
INFO_TOPIC = "left/color/rect/camera_info"
CHUNK_TOPIC = "action_chunk"
SCENE_TOPIC = "simulation/state"
STATUS_TOPIC = "simulation/status"
BAR = 36  # [px], height of the caption
STILLS = 6  # moments in the picture
INK, PAPER = (30, 30, 30), (245, 245, 245)


@dataclass(frozen=True)
class FilmSettings:
    """Which bag becomes which film."""

    bag: Path
    output: Path  # the .mp4 to write
    picture: Path | None = None  # a .png of six moments beside it
    attention: bool = False  # below it: what the policy looked at, computed again from the pictures
    checkpoint: str = "push"  # whose attention: a folder, or the name of a shipped one


@dataclass(frozen=True)
class Trial:
    """What the simulation said of its trial."""

    scene: str  # task/variant/seed
    joints: dict[str, float]  # every joint of the scene


@dataclass(frozen=True)
class Moment:
    """One picture of the robot's left eye and what was known then."""

    seconds: float  # since the first picture
    stamp_ns: int
    image: Image  # (H, W, 3) RGB
    chunk: HandTrajectory | None  # the newest one that had arrived
    trial: Trial | None  # None if the bag is not from simulation
    status: str  # in words


def make_film(settings: FilmSettings) -> Path:
    """Write the film, and the picture of six moments if asked for.

    Returns:
        `settings.output`.

    Raises:
        BagError: The bag is unreadable or has no pictures of the left eye; with attention, of either.
        CheckpointError: The checkpoint of the attention is missing, damaged, or of a network that selects no blocks.
    """
    with open_bag(settings.bag) as bag, open_bag(settings.bag) as beside:
        gaze = Gaze(beside, settings.checkpoint) if settings.attention else None
        eye = _read_eye(bag)
        visitor = Visitor(eye.intrinsics.width, eye.intrinsics.height)
        count = bag.topics[bag.find_topic(IMAGE_TOPIC)].count
        moments = tqdm(_moments(bag), desc="film", unit="frame", total=count)
        frames = (_compose(moment, eye, visitor, gaze) for moment in moments)
        stills = _write_video(frames, settings.output, _frame_rate(bag), count)
        visitor.close()
    if settings.picture is not None:
        _write_picture(stills, settings.picture)
    return settings.output


class Visitor:
    """Renders recorded scenes from the side; builds each scene when it is first met."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._name = ""
        self._scene: Scene | None = None
        self._renderer: ThirdPersonRenderer | None = None

    def look(self, trial: Trial) -> Image:
        """The scene as recorded, (height, width, 3) RGB."""
        if self._scene is None or self._renderer is None or trial.scene != self._name:
            self.close()
            name = SceneName.parse(trial.scene)
            self._scene = build_scene(name.task, name.variant, name.seed)
            self._renderer = ThirdPersonRenderer(self._scene, *self._size)
            self._name = trial.scene
        self._scene.set_state(trial.joints)
        return self._renderer.render()

    def close(self) -> None:
        """Give the OpenGL context back."""
        if self._renderer is not None:
            self._renderer.close()


def _compose(moment: Moment, eye: Eye, visitor: Visitor, gaze: Gaze | None) -> Image:
    view = moment.image
    if moment.chunk is not None:
        view = draw_chunk(view, eye, _rest(moment.chunk, moment.stamp_ns))
    if moment.trial is not None:
        view = np.concatenate([view, visitor.look(moment.trial)], axis=1)
    rows = [view, _caption(view.shape[1], moment)]
    if gaze is not None:
        rows.insert(1, _fit(gaze.at(moment.stamp_ns, moment.image), view.shape[1]))
    return np.concatenate(rows, axis=0)


def _fit(image: Image, width: int) -> Image:
    """The image at another width, its shape kept."""
    height = round(image.shape[0] * width / image.shape[1])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _caption(width: int, moment: Moment) -> Image:
    bar = np.full((BAR, width, 3), PAPER, np.uint8)
    parts = [f"t = {moment.seconds:5.2f} s"]
    if moment.trial is not None:
        parts.insert(0, moment.trial.scene)
    if moment.chunk is not None:
        parts.append(f"chunk {(moment.stamp_ns - moment.chunk.stamp_ns) / 1e6:3.0f} ms old")
    text = "    ".join([*parts, moment.status])
    cv2.putText(bar, text, (12, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.55, INK, 1, cv2.LINE_AA)
    return bar


def _moments(bag: Bag) -> Iterator[Moment]:
    """The pictures in order, each with what had been recorded before it."""
    topics = [bag.find_topic(name) for name in (IMAGE_TOPIC, CHUNK_TOPIC, SCENE_TOPIC, STATUS_TOPIC) if _has(bag, name)]
    chunk: HandTrajectory | None = None
    trial: Trial | None = None
    status, first = "", None
    for topic, message in ((each.topic, each.message) for each in bag.messages(topics)):
        if topic.endswith(CHUNK_TOPIC):
            chunk = hand_trajectory(message)
        elif topic.endswith(SCENE_TOPIC):
            joints = dict(zip(message.name, np.asarray(message.position).tolist(), strict=True))
            trial = Trial(message.header.frame_id, joints)
        elif topic.endswith(STATUS_TOPIC):
            status = message.status[0].message
        else:
            stamp = stamp_ns(message)
            first = stamp if first is None else first
            yield Moment((stamp - first) / 1e9, stamp, picture(message), chunk, trial, status)


def _has(bag: Bag, name: str) -> bool:
    """Whether the bag has a topic; pictures it must have."""
    try:
        bag.find_topic(name)
    except BagError:
        if name == IMAGE_TOPIC:
            raise
        return False
    return True


def _rest(chunk: HandTrajectory, now_ns: int) -> NDArray[np.floating]:
    """The actions of a chunk that are still due."""
    return chunk.vectors[chunk.stamp_ns + chunk.times_ns > now_ns]


def _read_eye(bag: Bag) -> Eye:
    """Intrinsics from the bag, pose of the left eye from the robot's description."""
    topic = bag.find_topic(INFO_TOPIC)
    info = next(iter(bag.messages([topic]))).message
    k = np.asarray(info.k).reshape(3, 3)
    intrinsics = Intrinsics(info.width, info.height, k[0, 0], k[1, 1], k[0, 2], k[1, 2], baseline=0.0)
    model = RobotModel.load()
    robot_from_camera = model.robot_from_torso @ model.link_pose("left_eye_optical", model.neutral)
    return Eye(intrinsics, inverse(robot_from_camera))


def _frame_rate(bag: Bag) -> Fraction:
    info = bag.topics[bag.find_topic(IMAGE_TOPIC)]
    seconds = (bag.end_ns - bag.start_ns) / 1e9
    return Fraction(max(round(info.count / seconds), 1)) if seconds > 0 and info.count > 1 else Fraction(25)


def _write_video(frames: Iterator[Image], output: Path, rate: Fraction, count: int) -> list[Image]:
    """Encode to H.264 and rename into place; returns `STILLS` frames, evenly spread over `count`."""
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_suffix(".partial.mp4")
    kept: list[Image] = []
    shown = set(np.linspace(0, max(count - 1, 0), STILLS).round().astype(int).tolist())
    with av.open(str(temporary), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        for index, image in enumerate(frames):
            even = np.ascontiguousarray(image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2])
            if index == 0:
                stream.height, stream.width = even.shape[:2]
            if index in shown:
                kept.append(even)
            for packet in stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    if not kept:
        temporary.unlink()
        raise BagError("the bag has no picture of the left eye to make a film of")
    temporary.replace(output)
    return kept


def _write_picture(stills: list[Image], output: Path) -> None:
    """The stills in two columns."""
    rows = [np.concatenate(stills[i : i + 2], axis=1) for i in range(0, len(stills) - 1, 2)]
    output.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(output), cv2.cvtColor(np.concatenate(rows or stills, axis=0), cv2.COLOR_RGB2BGR))
