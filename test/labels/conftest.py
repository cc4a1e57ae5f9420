"""Small films of a furnished room whose camera, depth and hands are known exactly."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from firsthand.simulation.gl import BACKEND, mujoco
from firsthand.simulation.robot import EYES, FELT_GROUP
from firsthand.simulation.scene import generator
from firsthand.simulation.tasks import find_task
from firsthand.simulation.tasks.interface import Setup
from firsthand.simulation.textures import Texture
from firsthand.space.frames import pose
from firsthand.space.rotations import matrix_from_rotation_vector, matrix_from_rpy
from firsthand_training.demonstrations.human.anatomy import DIGITS
from firsthand_training.demonstrations.human.arms import SHOULDERS_FROM_EYES, pose_arm
from firsthand_training.demonstrations.human.hand_model import names
from firsthand_training.demonstrations.human.person import Person
from firsthand_training.demonstrations.human.places import redecorate
from firsthand_training.demonstrations.human.scene import HEAD, TRUNK, build_human_scene
from firsthand_training.labels.stage_files import Hands, save_stage

FPS = 30
CAMERA_FROM_HEAD = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
"""From x forward, y left, z up to x right, y down, z forward."""


@pytest.fixture(name="Shot")
def shot_class() -> type["Shot"]:
    """What can be filmed."""
    return Shot


@dataclass(frozen=True)
class Shot:
    """What is filmed, and how the camera moves."""

    frames: int = 24
    size: tuple[int, int] = (320, 240)
    sway: float = 0.05  # [m], how far the camera goes to each side
    turn: float = 0.05  # [rad]
    pitch: float = 0.75  # [rad], looking down
    seed: int = 0
    room: str = "patterned"  # or `home`, whose surfaces are drawn, or `plain`, without any texture
    fps: int = FPS
    hands: bool = True
    crf: int = 12


@dataclass(frozen=True)
class Film:
    """A video, its hands, and the truth about both."""

    video: Path
    hands: Path
    intrinsics: np.ndarray  # (3, 3), [px]
    world_from_camera: np.ndarray  # (N, 4, 4), [m], world z up
    pictures: np.ndarray  # (N, H, W, 3), as rendered
    depth: np.ndarray  # (N, H, W), [m], along the optical axis
    skin: np.ndarray  # (N, H, W), of hands and arms


@pytest.fixture(name="write_video")
def write_video_fixture() -> Callable[..., Path]:
    """Encode RGB pictures into a file: path, pictures, frames a second."""
    return write_video


@pytest.fixture(scope="session")
def shoot(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Shot], Film]:
    """Film a shot; equal shots are filmed once."""
    if BACKEND is None:
        pytest.skip("no off-screen OpenGL")
    films: dict[Shot, Film] = {}

    def film(shot: Shot) -> Film:
        if shot not in films:
            films[shot] = film_room(shot, tmp_path_factory.mktemp("film"))
        return films[shot]

    return film


def film_room(shot: Shot, folder: Path) -> Film:
    """Render a shot into `folder`."""
    width, height = shot.size
    rng = np.random.default_rng([shot.seed, 0xF117])
    person = Person.draw("video", shot.seed)
    world = build_human_scene(find_task("pick_place"), _setup(shot), person)
    model, data = world.model, world.data
    model.vis.map.znear, model.vis.quality.offsamples = 0.05 / model.stat.extent, 4
    renderer = mujoco.Renderer(model, height, width)
    options = mujoco.MjvOption()
    options.geomgroup[FELT_GROUP] = 0
    options.sitegroup[:] = 0
    ways = [_wander(rng, shot.frames, shot.fps) for _ in range(4)]
    # The slowest mode starts at full swing, so that short films travel as well.
    swing = np.stack([np.linspace(-1, 1, shot.frames), *(way[:, 0] for way in ways[:2])], axis=1)
    table = world.setup.table_height
    pictures, depths, skins, poses, found = [], [], [], [], []
    for index in range(shot.frames):
        turned = matrix_from_rpy(*(shot.turn * ways[2][index])) @ matrix_from_rpy(0.0, shot.pitch, 0.12)
        position = np.array([0.0, 0.03, table + 0.52]) + shot.sway * swing[index] * [0.4, 1.0, 0.5]
        world.move(HEAD, pose(turned, position))
        world.move(TRUNK, pose(np.eye(3), np.array([-0.25, 0.0, table + 0.5])))
        for side in range(2):
            _place_arm(world, side, ways[3][index], shot, table)
        mujoco.mj_forward(model, data)
        camera = data.camera(EYES[0])
        world_from_camera = pose(camera.xmat.reshape(3, 3) @ np.diag([1.0, -1.0, -1.0]), camera.xpos.copy())
        pictures.append(_render(renderer, data, camera.id, options))
        renderer.enable_depth_rendering()
        depths.append(_render(renderer, data, camera.id, options).copy())
        renderer.disable_depth_rendering()
        renderer.enable_segmentation_rendering()
        skins.append(_is_person(model, _render(renderer, data, camera.id, options)))
        renderer.disable_segmentation_rendering()
        poses.append(world_from_camera)
        if shot.hands:
            found.append(np.stack([_keypoints(world, side) for side in range(2)]))
    renderer.close()
    focal = height / 2 / np.tan(np.deg2rad(person.camera_fov) / 2)
    intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    keypoints = (
        [_project(intrinsics, pose_, points) for pose_, frame in zip(poses, found, strict=True) for points in frame]
        if found
        else []
    )
    hands = _hands(np.array(keypoints).reshape(-1, 21, 2), shot.frames)
    return Film(
        write_video(folder / "film.mp4", pictures, shot.fps, shot.crf),
        save_stage(folder / "hands.npz", hands),
        intrinsics,
        np.array(poses),
        np.array(pictures),
        np.array(depths),
        np.array(skins),
    )


def write_video(path: Path, pictures: list[np.ndarray], fps: int = FPS, crf: int = 12) -> Path:
    """Encode RGB pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": str(crf), "preset": "veryfast"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _setup(shot: Shot) -> Setup:
    setup = find_task("pick_place").draw("id", generator("id", shot.seed))
    if shot.room == "home":
        return redecorate(setup, np.random.default_rng([shot.seed, 0x4003]))
    flat = Texture("plain", (0.7, 0.7, 0.7), (0.7, 0.7, 0.7))
    table, wall, floor = (
        (flat, flat, flat)
        if shot.room == "plain"
        else (
            Texture("marble", (0.35, 0.30, 0.25), (0.95, 0.90, 0.80), shot.seed, 0.9),
            Texture("bricks", (0.42, 0.15, 0.10), (0.90, 0.84, 0.78), shot.seed, 1.2),
            Texture("terrazzo", (0.45, 0.42, 0.40), (0.90, 0.88, 0.84), shot.seed, 1.0),
        )
    )
    surroundings = replace(setup.surroundings, table=table, wall=wall, floor=floor)
    if shot.room == "plain":
        return replace(setup, surroundings=replace(surroundings, furniture=()), objects=())
    return replace(setup, surroundings=surroundings)


def _place_arm(world, side: int, way: np.ndarray, shot: Shot, table: float) -> None:
    sign = 1 - 2 * side
    wrist = np.array([0.30, 0.17 * sign, table + 0.09]) + 0.05 * np.roll(way, side)
    if not shot.hands:
        wrist = np.array([-3.0, sign, -3.0])
    world_from_wrist = pose(matrix_from_rpy(0.0, 0.2, -0.3 * sign) @ matrix_from_rotation_vector(0.2 * way), wrist)
    angles = np.tile([0.0, 0.5, 0.5], (5, 1)) + 0.3 * np.roll(way, 1) * [0.1, 1.0, 1.0]
    world.place_hand(side, world_from_wrist, angles)
    shoulder = np.array([-0.1, 0.19 * sign, table + 0.52 + SHOULDERS_FROM_EYES[2]])
    forearm, upper_arm = pose_arm(shoulder, world_from_wrist, np.array([0.0, sign, 0.0]))
    of = names(("left", "right")[side])
    for name, where in ((of.forearm, forearm), (of.upper_arm, upper_arm)):
        world.move(name, where)


def _keypoints(world, side: int) -> np.ndarray:
    """The 21 points, (21, 3), [m], world."""
    name = ("left", "right")[side]
    points = [world.data.body(names(name).wrist).xpos]
    for digit, called in enumerate(DIGITS):
        bodies = [world.data.body(f"{name}_{called}_{bone}") for bone in ("proximal", "middle", "distal")]
        points += [body.xpos for body in bodies]
        tip = world.person.hand.segments[digit, 2] * bodies[2].xmat.reshape(3, 3)[:, 0]
        points.append(bodies[2].xpos + tip)
    return np.array(points)


def _hands(keypoints: np.ndarray, frames: int) -> Hands:
    found = len(keypoints)
    return Hands(
        frame=np.arange(found) // 2,
        side=np.arange(found) % 2,
        score=np.ones(found),
        box=np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1) if found else np.zeros((0, 4)),
        keypoints=keypoints,
        frames=np.array([frames]),
    )


def _project(intrinsics: np.ndarray, world_from_camera: np.ndarray, points: np.ndarray) -> np.ndarray:
    in_camera = (points - world_from_camera[:3, 3]) @ world_from_camera[:3, :3]
    pixels = in_camera @ intrinsics.T
    return pixels[:, :2] / pixels[:, 2:]


def _wander(rng: np.random.Generator, frames: int, fps: int) -> np.ndarray:
    """Three smooth numbers a frame within about [-1, 1], (N, 3)."""
    time = np.arange(frames) / fps
    rates, phases = rng.uniform(0.15, 0.5, (2, 3)), rng.uniform(0, 2 * np.pi, (2, 3))
    waves = np.sin(2 * np.pi * rates * time[:, None, None] + phases)
    return waves.mean(axis=1)


def _render(renderer, data, camera: int, options):
    renderer.update_scene(data, camera, options)
    renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
    return renderer.render()


def _is_person(model, segments: np.ndarray) -> np.ndarray:
    """Where skins, arms and trunk are."""
    ids, kinds = segments[..., 0], segments[..., 1]
    bodies = np.where(kinds == int(mujoco.mjtObj.mjOBJ_GEOM), model.geom_bodyid[np.maximum(ids, 0)], 0)
    person = np.array([model.body(i).name.startswith(("left", "right", "head", "trunk")) for i in range(model.nbody)])
    return (kinds == int(mujoco.mjtObj.mjOBJ_SKIN)) | person[bodies]
