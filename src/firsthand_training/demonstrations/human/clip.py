"""A short first-person clip of somebody's two hands at work, with the truth about every frame.

A scripted expert does a task; a stretch of it in which both hands are in the picture is played again, at the video's
rate, before a camera that moves as it is told. World, bodies and experts are those of the demonstrations; the skin of
the hands is a rigged mesh (`hand_mesh.py`), because detectors find it where they miss the one made of capsules.

    clip_00007/clip_00007.mp4   H.264, as from a head camera
    clip_00007/truth.npz        see `truth.py`; written last, so its presence means that the clip is whole
    clip_00007/dense.npz        depth and hands in every pixel, where asked for
    clip_00007/clip.json        how it was made
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import SimulationError
from firsthand.simulation.disturbance import Disturbance, SmoothNoise
from firsthand.simulation.gl import mujoco
from firsthand.simulation.lockstep import RATE
from firsthand.simulation.renderer import MeasuringRenderer
from firsthand.simulation.robot import FELT_GROUP
from firsthand.simulation.scene import generator
from firsthand.simulation.tasks import TASKS, check_variant, find_task
from firsthand.space.frames import inverse, pose
from firsthand.space.hand_state import HandState
from firsthand.space.rotations import matrix_from_rpy
from firsthand_training.demonstrations.actor import Actor, Expert
from firsthand_training.demonstrations.human.actor import HumanActor
from firsthand_training.demonstrations.human.body import HumanBody
from firsthand_training.demonstrations.human.demonstration import TREMOR
from firsthand_training.demonstrations.human.head_motion import MOTIONS, move_head
from firsthand_training.demonstrations.human.person import SKINS, Person
from firsthand_training.demonstrations.human.places import redecorate, scatter_clutter
from firsthand_training.demonstrations.human.scene import HumanScene
from firsthand_training.demonstrations.human.truth import (
    DENSE_FILE,
    TRUTH_FILE,
    DenseTruth,
    Truth,
    load_truth,
    project,
    save_truth,
)
from firsthand_training.episodes.durable import whole_file, write_text
from firsthand_training.episodes.layout import EpisodeSettings
from firsthand_training.episodes.video import Image, VideoWriter

Array = NDArray[np.floating]
ExpertMaker = Callable[[Actor, int], Expert]

NOTE_FILE = "clip.json"
ANY = "any"  # by the seed
TASKS_SHOWN = ("passing", "open_box", "passing", "open_box", "passing", "open_box", "push", "pick_place")
"""What any task is drawn from: most clips are of tasks that take both hands."""
HEAD_FROM_CAMERA = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
FLESH = (
    0.030,
    0.016,
)  # [m], thickness above a joint of the mean hand: in the palm (wrist, first joints), in the fingers
LONGEST = 10.0  # [s], of a clip
MARGIN = 0.05  # of the picture's height, at its border, in which a hand does not count as framed


@dataclass(frozen=True)
class ClipSettings:
    """What a clip shows, and how it was filmed."""

    task: str = ANY  # push, pick_place, passing, open_box; or any
    motion: str = ANY  # of the camera: still, small (2 cm, 2 deg), large (9 cm, 6 deg), turn (10 deg); or any
    tone: int = -1  # of the skin, 0 fair to 5 dark; -1: one after the other, by the seed
    duration: float = 4.0  # [s]
    fps: int = 30
    width: int = 640  # [px]
    height: int = 480  # [px]
    field_of_view: float = 0.0  # [deg], vertical; 0: 45 to 62, by the seed
    surface: str = "mesh"  # of the hands: mesh, or capsules
    noise: float = 2.0  # standard deviation of a pixel's value at mid grey, of 255; 0: none
    exposure: float = 0.05  # standard deviation of the exposure's drift, relative; 0: none
    blur: int = 1  # exposures over half a frame's time that are averaged; 1: no motion blur
    dense: bool = False  # whether to keep depth and hands in every pixel
    crf: int = 20  # x264's constant quality; smaller is better

    def __post_init__(self) -> None:
        """Refuse what cannot be filmed."""
        if self.task != ANY and self.task not in TASKS:
            raise SimulationError(f"no task {self.task!r}; there are {ANY}, {', '.join(TASKS)}")
        if self.motion != ANY and self.motion not in MOTIONS:
            raise SimulationError(f"no head motion {self.motion!r}; there are {ANY}, {', '.join(MOTIONS)}")
        if not -1 <= self.tone < len(SKINS):
            raise SimulationError(f"expected a skin tone from 0 to {len(SKINS) - 1}, or -1, got {self.tone}")
        if self.surface not in ("mesh", "capsules"):
            raise SimulationError(f"expected hands of surface mesh or capsules, got {self.surface!r}")
        if not 0.0 < self.duration <= LONGEST or not 5 <= self.fps <= 240:
            raise SimulationError(
                f"expected up to {LONGEST:.0f} s at 5 to 240 frames/s, got {self.duration} s at {self.fps}"
            )
        if min(self.width, self.height) < 32 or self.width % 2 or self.height % 2 or self.width > 1920:
            raise SimulationError(f"expected an even size from 32x32 to 1920x1080, got {self.width}x{self.height}")
        if self.field_of_view and not 20.0 <= self.field_of_view <= 110.0:
            raise SimulationError(f"expected a field of view of 20 to 110 deg, or 0, got {self.field_of_view}")
        if min(self.noise, self.exposure) < 0 or self.blur < 1:
            raise SimulationError(f"expected noise and exposure drift of 0 or more and a blur of 1 or more, got {self}")

    @property
    def frames(self) -> int:
        """How many there are."""
        return max(1, round(self.duration * self.fps))


def render_clip(seed: int, settings: ClipSettings, output: Path, experts: dict[str, ExpertMaker]) -> Path:
    """Render one clip; the same seed and settings give the same clip.

    Args:
        seed: Of everything that is left to chance.
        settings: What to show and how.
        output: A folder; left alone if it holds this clip already.
        experts: By task (`scripted.EXPERTS`).

    Returns:
        The video in `output`.

    Raises:
        SimulationError: The folder holds another clip, the mesh of the hands is not there, or the hands of this seed
            are never both in the picture.
    """
    note = json.dumps({"seed": seed, **asdict(settings)}, indent=1) + "\n"
    video = output / f"{output.name}.mp4"
    if _is_whole(output, note):
        return video
    write_text(output / NOTE_FILE, note)
    take = _rehearse(seed, settings, experts)
    with whole_file(video) as partial, _Camera(take, settings, seed) as camera:
        encoding = EpisodeSettings(
            fps=settings.fps,
            height=settings.height,
            width=settings.width,
            crf=settings.crf,
            keyframe_interval=settings.fps,
        )
        with VideoWriter(partial, encoding) as writer:
            for picture in camera.film():
                writer.add(picture)
        truth, dense = camera.truth(), camera.dense()
    if settings.dense:
        save_truth(output / DENSE_FILE, dense)
    save_truth(output / TRUTH_FILE, truth)
    return video


def measure_clip(clip: Path, experts: dict[str, ExpertMaker]) -> Iterator[NDArray[np.float32]]:
    """Exact depth of each frame of a clip that was rendered without: it is played again, and no picture is drawn.

    Args:
        clip: A folder from `render_clip`.
        experts: By task (`scripted.EXPERTS`).

    Yields:
        (H, W), [m], along the optical axis, hands included.

    Raises:
        SimulationError: The folder holds no clip, or plays differently here than where it was rendered.
    """
    truth = load_truth(clip / TRUTH_FILE, Truth)
    try:
        told = json.loads((clip / NOTE_FILE).read_text(encoding="utf-8"))
        seed, settings = int(told.pop("seed")), ClipSettings(**told)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SimulationError(f"{clip / NOTE_FILE} does not say how the clip was made ({error!r})") from error
    with _Camera(_rehearse(seed, settings, experts), settings, seed) as camera:
        for frame in range(settings.frames):
            world_from_wrist, depth = camera.measure(frame)
            if not np.allclose(world_from_wrist, truth.world_from_wrist[frame], atol=1e-4):
                raise SimulationError(f"{clip} plays differently here than it was rendered; render it again")
            yield depth


def _is_whole(output: Path, note: str) -> bool:
    """Whether a folder holds this clip.

    Raises:
        SimulationError: It holds another one.
    """
    if not (output / NOTE_FILE).exists():
        return False
    if (output / NOTE_FILE).read_text(encoding="utf-8") != note:
        raise SimulationError(f"{output} holds a clip that was made with other settings; remove it or name another one")
    if not (output / TRUTH_FILE).exists():
        return False
    load_truth(output / TRUTH_FILE, Truth)
    return True


class Take(NamedTuple):
    """A stretch of a trial, to be filmed."""

    scene: HumanScene
    tone: int
    states: Array  # (T, nq), MuJoCo's positions at each step of the trial
    start: float  # [steps], where the clip begins
    world_from_head: Array  # (N, 4, 4), of each frame


def _rehearse(seed: int, settings: ClipSettings, experts: dict[str, ExpertMaker]) -> Take:
    """Do the task, and choose what to film of it."""
    rng = np.random.default_rng([seed, 0xC119])
    task = _chosen(settings.task, TASKS_SHOWN, rng)
    motion = _chosen(settings.motion, tuple(MOTIONS), rng)
    tone = seed % len(SKINS) if settings.tone < 0 else settings.tone
    body = _person_at_table(seed, task, tone, settings, rng)
    states = _perform(body, experts[task], seed, settings.duration)
    start, head = _choose_stretch(body, states, float(rng.uniform(-0.06, 0.06)), seed, settings)
    heads = move_head(motion, head, settings.frames, settings.fps, rng)
    return Take(body.scene, tone, states, start, heads)


def _choose_stretch(
    body: HumanBody, states: Array, roll: float, seed: int, settings: ClipSettings
) -> tuple[float, Array]:
    """The step where the clip begins, and world_from_head (4, 4) to see it from.

    Of the stretches in which the hands are in the picture most, the one in which the hand that moves less moves most.
    """
    joints = np.stack([_joints(body.scene, state) for state in states])
    steps = settings.duration * RATE
    stretches = []
    for start in np.arange(0.0, max(len(states) - 1 - steps, 0.0) + 1e-9, 5.0):
        seen = joints[int(start) : int(start + steps) + 1]
        head = _looking_at(seen, body, roll)
        framed = _framed(seen, head, body.scene.person.camera_fov, settings)
        ways = np.linalg.norm(np.diff(seen.mean(axis=2), axis=0), axis=-1).sum(axis=0)
        stretches.append((round(framed, 1), float(ways.min()), float(start), head))
    framed, _, start, head = max(stretches, key=lambda stretch: stretch[:3])
    if framed < 0.5:
        raise SimulationError(f"the hands of seed {seed} are both in the picture in {framed:.0%} of the frames only")
    return start, head


def _chosen(name: str, names: tuple[str, ...], rng: np.random.Generator) -> str:
    drawn = names[rng.integers(len(names))]
    return drawn if name == ANY else name


def _person_at_table(seed: int, task: str, tone: int, settings: ClipSettings, rng: np.random.Generator) -> HumanBody:
    """Somebody with digits of their own at a table full of things, in a room of their own."""
    chosen = find_task(task)
    setup = redecorate(chosen.draw(check_variant("id"), generator("id", seed)), rng)
    setup = replace(setup, surroundings=scatter_clutter(setup.surroundings, setup.table_height, rng))
    person = Person.draw("video", seed)
    field_of_view = float(rng.uniform(45.0, 62.0))
    thumb, index, ring, little = rng.uniform(0.95, 1.05, 4)
    person = replace(
        person,
        hand=replace(person.hand, digits=(float(thumb), float(index), 1.0, float(ring), float(little))),
        skin=SKINS[tone],
        camera_fov=settings.field_of_view or field_of_view,
        baseline=0.0,
        surface=settings.surface,
    )
    body = HumanBody(chosen, setup, person, seed)
    _dress(body.scene.model)
    return body


def _dress(model: "mujoco.MjModel") -> None:
    """Hide the zones that trials are judged by, which nobody has at home, and let shadows reach the floor."""
    model.vis.map.shadowclip = 2.0  # [m]; with 1 the floor is speckled
    for index in range(model.ngeom):
        if model.geom(index).name.startswith("marker_"):
            model.geom_group[index] = FELT_GROUP


def _perform(body: HumanBody, make_expert: ExpertMaker, seed: int, duration: float) -> Array:
    """MuJoCo's positions after each 40 ms of a trial, (T, nq)."""
    expert, tremor = make_expert(HumanActor(body), seed), Disturbance(seed, TREMOR)
    states = [body.scene.data.qpos.copy()]
    while len(states) < (4 + 2 * duration) * RATE and not (body.success() and len(states) > (duration + 1) * RATE):
        body.step(tremor.apply(expert.act()))
        states.append(body.scene.data.qpos.copy())
    return np.array(states)


def _joints(scene: HumanScene, state: Array) -> Array:
    """Of the digits, in the world, (2, 20, 3)."""
    scene.data.qpos[:] = state
    mujoco.mj_kinematics(scene.model, scene.data)
    return scene.joints().reshape(2, 20, 3)


def _looking_at(joints: Array, body: HumanBody, roll: float) -> Array:
    """world_from_head (4, 4) of a head over the table that has the hands of a stretch in its middle."""
    person = body.scene.person
    eyes = np.array([person.eyes[0], 0.0, body.scene.setup.table_height + person.eyes[1]])
    points = joints.reshape(-1, 3)
    forward, left, up = (points.min(axis=0) + points.max(axis=0)) / 2 - eyes
    yaw, pitch = float(np.arctan2(left, forward)), float(np.arctan2(-up, np.hypot(forward, left)))
    return pose(matrix_from_rpy(0.0, 0.0, yaw) @ matrix_from_rpy(0.0, pitch, 0.0) @ matrix_from_rpy(roll, 0, 0), eyes)


def _framed(joints: Array, world_from_head: Array, field_of_view: float, settings: ClipSettings) -> float:
    """In which share of a stretch all joints of both hands are in the picture."""
    world_from_camera = world_from_head @ pose(HEAD_FROM_CAMERA, np.zeros(3))
    points = (joints - world_from_camera[:3, 3]) @ world_from_camera[:3, :3]
    pixels = project(_intrinsics(field_of_view, settings.width, settings.height), points)
    size, margin = np.array([settings.width, settings.height]), MARGIN * settings.height
    return float(((pixels > margin) & (pixels < size - margin)).all(axis=(1, 2, 3)).mean())


def _intrinsics(field_of_view: float, width: int, height: int) -> Array:
    focal = height / 2 / np.tan(np.deg2rad(field_of_view) / 2)
    return np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])


class _Camera:
    """Plays a take again and films it."""

    def __init__(self, take: Take, settings: ClipSettings, seed: int) -> None:
        self._take, self._settings, self._seed = take, settings, seed
        person = take.scene.person
        self._intrinsics = _intrinsics(person.camera_fov, settings.width, settings.height)
        self._renderer = MeasuringRenderer(take.scene, settings.width, settings.height)
        self._rng = np.random.default_rng([seed, 0xCA3E])
        self._heading = _heading(take.world_from_head)
        self._cameras = take.world_from_head @ pose(HEAD_FROM_CAMERA, np.zeros(3))
        self._wrists: list[Array] = []
        self._joints: list[Array] = []
        self._visible: list[NDArray[np.bool_]] = []
        self._depth: list[NDArray[np.float16]] = []
        self._hands: list[NDArray[np.uint8]] = []
        self._skins = np.array([take.scene.model.skin(f"{side}_hand").id for side in ("left", "right")])

    def __enter__(self) -> "_Camera":
        return self

    def __exit__(self, *_: object) -> None:
        self._renderer.close()

    def film(self) -> Iterator[Image]:
        """The pictures (H, W, 3) uint8 RGB, one after the other; what is true of each is noted down."""
        s = self._settings
        drift = SmoothNoise(self._rng, (1,), 2.0 * s.fps)
        for frame in range(s.frames):
            light = np.zeros((s.height, s.width, 3), np.float32)
            for share in (np.arange(s.blur) - (s.blur - 1) / 2) / (2 * s.blur):
                self._pose(frame + share)
                light += self._renderer.render()
            self._pose(frame)
            self._note(frame)
            gain = float(np.exp(s.exposure * drift.advance()[0]))
            light /= s.blur
            yield _exposed(light, gain, s.noise, self._rng)

    def measure(self, frame: int) -> tuple[Array, NDArray[np.float32]]:
        """Wrists (2, 4, 4) in the world and depth (H, W), [m], of a frame."""
        self._pose(frame)
        return self._take.scene.wrists(), self._renderer.measure()[0]

    def truth(self) -> Truth:
        """Of all frames, once they are filmed."""
        take, hand = self._take, self._take.scene.person.hand
        wrists, joints = np.array(self._wrists), np.array(self._joints)
        points = np.concatenate([wrists[:, :, None, :3, 3], joints.reshape(len(joints), 2, 20, 3)], axis=2)
        robot_from_world = np.stack([inverse(pose(self._heading, head[:3, 3])) for head in take.world_from_head])
        tips = np.einsum("nsij,nsfi->nsfj", wrists[..., :3, :3], joints[:, :, :, 3] - wrists[:, :, None, :3, 3])
        state = HandState.from_poses(
            robot_from_world[:, :3, :3] @ take.world_from_head[:, :3, :3], robot_from_world[:, None] @ wrists, tips
        )
        camera_from_world = inverse(self._cameras)
        in_camera = np.einsum("nij,nskj->nski", camera_from_world[:, :3, :3], points)
        return Truth(
            seed=np.array([self._seed]),
            tone=np.array([take.tone]),
            size=np.array([self._settings.width, self._settings.height]),
            intrinsics=self._intrinsics,
            world_from_camera=self._cameras,
            world_from_wrist=wrists,
            keypoints_in_world=points,
            keypoints=project(self._intrinsics, in_camera + camera_from_world[:, None, None, :3, 3]),
            visible=np.array(self._visible),
            state=state.to_vector(),
            origin=-robot_from_world[:, :3, 3],
            hand_size=np.array([np.linalg.norm(hand.bases[2, :3, 3])]),
            hand_length=np.array([np.linalg.norm(hand.fingertips(np.zeros((5, 3)))[2])]),
        )

    def dense(self) -> DenseTruth:
        """Of all frames; of none, unless the settings ask for it."""
        shape = (0, self._settings.height, self._settings.width)
        depth, hands = self._depth or np.zeros(shape, np.float16), self._hands or np.zeros(shape, np.uint8)
        return DenseTruth(np.asarray(depth), np.asarray(hands))

    def _pose(self, frame: float) -> None:
        """Everything as it is at some frame, or between two."""
        take, scene = self._take, self._take.scene
        step = min(take.start + max(frame, 0.0) / self._settings.fps * RATE, len(take.states) - 1.0)
        before, share = int(step), step - int(step)
        after = min(before + 1, len(take.states) - 1)
        scene.data.qpos[:] = (1 - share) * take.states[before] + share * take.states[after]
        mujoco.mj_normalizeQuat(scene.model, scene.data.qpos)
        mujoco.mj_kinematics(scene.model, scene.data)
        head = _between(take.world_from_head, frame)
        scene.wear(pose(self._heading, head[:3, 3]), head)

    def _note(self, frame: int) -> None:
        scene = self._take.scene
        depth, skins = self._renderer.measure()
        wrists, joints = scene.wrists(), scene.joints()
        self._wrists.append(wrists)
        self._joints.append(joints)
        points = np.concatenate([wrists[:, None, :3, 3], joints.reshape(2, 20, 3)], axis=1)
        self._visible.append(self._seen(points, self._cameras[frame], depth))
        if self._settings.dense:
            self._depth.append(np.minimum(depth, 6e4).astype(np.float16))
            self._hands.append(((skins == self._skins[0]) + 2 * (skins == self._skins[1])).astype(np.uint8))

    def _seen(self, points: Array, world_from_camera: Array, depth: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of some keypoints (2, 21, 3) have nothing but the hand's own flesh in front of them, (2, 21)."""
        in_camera = (points - world_from_camera[:3, 3]) @ world_from_camera[:3, :3]
        pixels = project(self._intrinsics, in_camera).round()
        inside = (pixels >= 0).all(axis=-1) & (pixels < [self._settings.width, self._settings.height]).all(axis=-1)
        u, v = np.where(inside[..., None], pixels, 0).astype(int).transpose(2, 0, 1)
        in_palm = np.isin(np.arange(21), [0, 1, 5, 9, 13, 17])
        flesh = np.where(in_palm, *FLESH) * self._take.scene.person.hand.scale
        return inside & (in_camera[..., 2] - depth[v, u] < flesh)


def _heading(world_from_head: Array) -> Array:
    """world_from_robot (3, 3): level, x along where heads (N, 4, 4) look on average."""
    forward = world_from_head[:, :3, 0].mean(axis=0)
    return matrix_from_rpy(0.0, 0.0, float(np.arctan2(forward[1], forward[0])))


def _between(poses: Array, frame: float) -> Array:
    """The pose at a frame, or between two frames that are near to each other."""
    frame = float(np.clip(frame, 0, len(poses) - 1))
    before, share = poses[int(frame)], frame - int(frame)
    after = poses[min(int(frame) + 1, len(poses) - 1)]
    u, _, v = np.linalg.svd((1 - share) * before[:3, :3] + share * after[:3, :3])
    return pose(u @ v, (1 - share) * before[:3, 3] + share * after[:3, 3])


def _exposed(light: NDArray[np.float32], gain: float, noise: float, rng: np.random.Generator) -> Image:
    """A picture as a sensor gives it: shot noise grows with the root of the light."""
    signal = gain * light
    if noise > 0:
        spread = noise * np.sqrt(np.maximum(signal, 8.0) / 128.0)
        signal = signal + spread * rng.standard_normal(signal.shape, np.float32)
    return np.clip(signal + 0.5, 0, 255).astype(np.uint8)
