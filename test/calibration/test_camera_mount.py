"""The fit of the eyes against numbers that are known; `test_eyes.py` goes the whole way from pictures."""

import numpy as np
import pytest

from firsthand.calibration.board import Board
from firsthand.calibration.camera_mount import MountSettings, Sighting, Target, fit_camera_mount
from firsthand.errors import CalibrationError
from firsthand.robot.joints import ARMS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.space.frames import inverse, pose
from firsthand.space.rotations import angle_between, matrix_from_rotation_vector
from firsthand.vision.intrinsics import Intrinsics

CAMERA = Intrinsics(1280, 720, 677.0, 677.0, 639.5, 359.5, 0.063)
BOARD = Target("L_hand_base_link", Board().corners)
DOT = Target("R_index_tip", np.zeros((1, 3)), np.eye(4))
PLACES = {BOARD.link: pose(matrix_from_rotation_vector(np.array([1.2, 0.1, -0.4])), np.array([0.0, -0.08, 0.05])),
          DOT.link: pose(np.eye(3), np.array([0.002, -0.001, 0.003]))}  # fmt: skip
NOISE = 0.2  # [px]


@pytest.fixture(scope="module")
def model():
    return RobotModel.load()


@pytest.fixture(scope="module")
def truth(model):
    """Eyes 2 cm and 5 degrees from where the description has them."""
    eyes = model.torso_from_eyes
    turn = matrix_from_rotation_vector(np.deg2rad([3.0, -3.0, 2.0]))
    return pose(turn @ eyes[:3, :3], eyes[:3, 3] + [0.012, -0.01, 0.013])


def project(model, truth, target, q, eye):
    """Written with the description's own frames, not with the fit's."""
    torso, link = model.link_poses(["torso_link", target.link], q)
    points = np.c_[target.points, np.ones(len(target.points))].T
    x, y, z, _ = inverse(truth) @ inverse(torso) @ link @ PLACES[target.link] @ points
    y = y - (0.0315 if eye == 0 else -0.0315)
    return np.stack([CAMERA.fx * -y / x + CAMERA.cx, CAMERA.fy * -z / x + CAMERA.cy], axis=1)


def look(model, truth, targets, postures=20, joint_noise=0.0, seed=0, spread=0.25):
    rng, sightings = np.random.default_rng(seed), []
    for _ in range(postures):
        q = model.neutral.copy()
        q[ARMS_SLICE] += rng.uniform(-spread, spread, 14)
        q = np.clip(q, model.lower, model.upper)
        measured = q + np.r_[rng.normal(0, joint_noise, 14), np.zeros(12)]
        for number, target in enumerate(targets):
            for eye in (0, 1):
                pixels = project(model, truth, target, q, eye) + rng.normal(0, NOISE, (len(target.points), 2))
                sightings.append(Sighting(number, measured, eye, np.arange(len(pixels)), pixels))
    return sightings


def errors(mount, truth):
    """[mm], [deg]."""
    turn = angle_between(mount.torso_from_eyes[:3, :3], truth[:3, :3])
    return 1e3 * np.linalg.norm(mount.torso_from_eyes[:3, 3] - truth[:3, 3]), np.rad2deg(turn)


@pytest.mark.parametrize(("targets", "millimetres"), [([BOARD], 0.5), ([DOT], 2.0), ([BOARD, DOT], 0.5)])
def test_eyes_are_found_wherever_they_are_mounted(model, truth, targets, millimetres):
    mount = fit_camera_mount(model, CAMERA, targets, look(model, truth, targets))
    position, rotation = errors(mount, truth)
    assert position < millimetres
    assert rotation < 0.05
    assert mount.residual == pytest.approx(NOISE * np.sqrt(2), rel=0.15)
    for target, place in zip(targets, mount.places, strict=True):
        np.testing.assert_allclose(place[:3, 3], PLACES[target.link][:3, 3], atol=0.004)


def test_the_deviations_that_are_told_are_those_that_happen(model, truth):
    joint_noise = np.deg2rad(0.1)
    settings = MountSettings(most_uncertain=(20.0, 2.0))
    off, told = [], []
    for seed in range(12):
        sightings = look(model, truth, [BOARD], joint_noise=joint_noise, seed=seed)
        mount = fit_camera_mount(model, CAMERA, [BOARD], sightings, settings)
        off.append(mount.torso_from_eyes[:3, 3] - truth[:3, 3])
        told.append(mount.position_deviation)
    happened, said = np.sqrt(np.mean(np.square(off))), np.sqrt(np.mean(np.square(told)))
    assert 0.5 < said / happened < 2.0


def test_a_few_wrong_corners_do_no_harm(model, truth):
    sightings = look(model, truth, [BOARD])
    for sighting in sightings[::5]:
        sighting.pixels[:3] += 40.0
    mount = fit_camera_mount(model, CAMERA, [BOARD], sightings)
    assert errors(mount, truth)[0] < 1.0
    assert mount.outliers >= 3 * len(sightings[::5])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s[:6], "seen by both eyes in at least 5 postures, got L_hand_base_link in 3"),
        (lambda s: [x for x in s if x.eye == 0], "got L_hand_base_link in 0"),
        (lambda s: [], "got L_hand_base_link in 0"),
        (lambda s: [Sighting(x.target, x.q, 1 - x.eye, x.ids, x.pixels) for x in s], "does not fit|uncertain"),
        (lambda s: [Sighting(x.target, np.roll(x.q, 7), x.eye, x.ids, x.pixels) for x in s], "does not fit|uncertain"),
    ],
    ids=["few", "one eye", "none", "eyes swapped", "arms swapped"],
)
def test_what_does_not_determine_or_fit_the_eyes_is_refused(model, truth, spoil, message):
    with pytest.raises(CalibrationError, match=message):
        fit_camera_mount(model, CAMERA, [BOARD], spoil(look(model, truth, [BOARD])))


def test_postures_that_hardly_differ_leave_the_eyes_uncertain(model, truth):
    sightings = look(model, truth, [BOARD], spread=0.004, joint_noise=np.deg2rad(0.05))
    with pytest.raises(CalibrationError, match=r"uncertain to [0-9.]+ mm and [0-9.]+ deg; show the target in more"):
        fit_camera_mount(model, CAMERA, [BOARD], sightings)


def turned(model, truth, joints, targets=(BOARD,), postures=12, spread=0.3, joint_noise=0.002, seed=0):
    """Sightings in which only some joints move, as when somebody is in a hurry."""
    rng, sightings = np.random.default_rng(seed), []
    for _ in range(postures):
        q = model.neutral.copy()
        q[list(joints)] += rng.uniform(-spread, spread, len(joints))
        q = np.clip(q, model.lower, model.upper)
        measured = q + np.r_[rng.normal(0, joint_noise, 14), np.zeros(12)]
        for number, target in enumerate(targets):
            for eye in (0, 1):
                pixels = project(model, truth, target, q, eye) + rng.normal(0, NOISE, (len(target.points), 2))
                sightings.append(Sighting(number, measured, eye, np.arange(len(pixels)), pixels))
    return sightings


@pytest.mark.parametrize(
    ("joints", "targets"),
    [((), [BOARD]), ((4,), [BOARD]), ((3,), [BOARD]), ((6,), [BOARD]), ((), [DOT]), ((7 + 3,), [DOT])],
    ids=["one posture", "wrist roll", "elbow", "wrist yaw", "one posture, dot", "elbow, dot"],
)
def test_turns_about_one_axis_or_none_are_refused_however_often_they_are_seen(model, truth, joints, targets):
    """Along that axis eyes and board can move together without anybody seeing it."""
    sightings = turned(model, truth, joints, targets)
    with pytest.raises(CalibrationError, match=r"uncertain|does not fit"):
        fit_camera_mount(model, CAMERA, targets, sightings)


@pytest.mark.parametrize("exact", [True, False])
def test_a_direction_that_nothing_tells_about_is_told_as_uncertain_even_without_noise(model, truth, exact):
    """Exact data leave exactly nothing in that direction: a zero that must not read as certainty."""
    sightings = turned(model, truth, (4,), joint_noise=0.0 if exact else 1e-4)
    with pytest.raises(CalibrationError):
        fit_camera_mount(model, CAMERA, [BOARD], sightings)
