"""The whole way, as a user goes it: a rendered robot shows a board, a bag is recorded, the command finds the eyes."""

import importlib.util

import cv2
import numpy as np
import pytest
import yaml

from firsthand.calibration.board import Board
from firsthand.calibration.dots import find_dot
from firsthand.command import main
from firsthand.errors import CalibrationError
from firsthand.robot.joints import ARMS_SLICE, LEFT_ARM_SLICE, RIGHT_ARM_SLICE
from firsthand.robot.model import RobotModel
from firsthand.robot.mount_file import Mount, read_mount
from firsthand.space.frames import inverse, pose
from firsthand.space.rotations import angle_between, matrix_from_rotation_vector
from firsthand.vision.intrinsics import Intrinsics

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

START, SECOND = 1_700_000_000_000_000_000, 1_000_000_000
WIDTH, HEIGHT = 640, 360
BOARD = Board(columns=5, rows=4, square=0.045, marker=0.035)  # large, for pictures that render fast
BOARD_OPTIONS = ["--columns", "5", "--rows", "4", "--square", "0.045", "--marker", "0.035"]
LINK = "L_hand_base_link"
POSTURES = 20


@pytest.fixture(scope="module")
def model():
    return RobotModel.load()


@pytest.fixture(scope="module")
def truth(model):
    turn = matrix_from_rotation_vector(np.deg2rad([2.0, -3.0, 2.5]))
    return pose(turn @ model.torso_from_eyes[:3, :3], model.torso_from_eyes[:3, 3] + [0.012, -0.01, 0.015])


@pytest.fixture(scope="module")
def shown(model, truth):
    """Postures and what both eyes saw of a board in the left hand and a green dot on the right index finger."""
    if importlib.util.find_spec("mujoco") is None:
        pytest.skip("needs MuJoCo (the [sim] extra)")
    from firsthand.simulation.calibration_scene import CalibrationScene, Dot, HeldBoard

    size = (BOARD.square * BOARD.columns, BOARD.square * BOARD.rows)
    held = HeldBoard(BOARD.draw(100), size, LINK, hold(model, truth))
    dot = Dot("R_index_tip", np.zeros(3), (0.1, 0.9, 0.1))
    scene = CalibrationScene(Mount.from_pose(truth, 0.063).urdf(), [held], [dot], WIDTH, HEIGHT)
    rng, postures = np.random.default_rng(3), []
    for _ in range(POSTURES):
        q = model.neutral.copy()
        q[ARMS_SLICE] += rng.uniform(-0.3, 0.3, 14)
        postures.append(np.clip(q, model.lower, model.upper))
    pictures = [scene.render(q) for q in postures]
    intrinsics = Intrinsics(WIDTH, HEIGHT, *scene.intrinsics)
    scene.close()
    return postures, pictures, intrinsics


def hold(model, truth):
    """The board over the left hand, facing the eyes in the ready posture."""
    torso, link = model.link_poses(["torso_link", LINK], model.neutral)
    torso_from_link = inverse(torso) @ link
    middle = torso_from_link[:3, 3] + np.array([0.08, -0.06, 0.06])
    z = truth[:3, 3] - middle
    z /= np.linalg.norm(z)
    x = np.cross([1.0, 0.0, 0.0], z)
    x = -x if x[1] > 0 else x
    x /= np.linalg.norm(x)
    return inverse(torso_from_link) @ pose(np.stack([x, np.cross(z, x), z], axis=1), middle)


def write(record, shown, order=(0, 1), joints=lambda q: q):
    postures, pictures, intrinsics = shown
    for k, (q, images) in enumerate(zip(postures, pictures, strict=True)):
        record.posture(START + k * SECOND, joints(q), images[list(order)], intrinsics)
    record.close()
    return str(record.path)


@pytest.mark.parametrize(
    ("options", "millimetres", "degrees"),
    [(BOARD_OPTIONS, 2.0, 0.2), (["--dot", "R_index_tip=green"], 5.0, 0.6)],
    ids=["board", "dot"],
)
def test_the_command_finds_eyes_that_nobody_told_it(
    record, shown, truth, tmp_path, capsys, options, millimetres, degrees
):
    output = tmp_path / "mount.yaml"
    assert main(["calibrate", "eyes", write(record, shown), "--output", str(output), *options]) == 0
    found = read_mount(output).torso_from_eyes
    assert 1e3 * np.linalg.norm(found[:3, 3] - truth[:3, 3]) < millimetres
    assert np.rad2deg(angle_between(found[:3, :3], truth[:3, :3])) < degrees
    assert capsys.readouterr().out.splitlines()[-1] == str(output)
    content = yaml.safe_load(output.read_text())
    assert content["residual_px"] < 1.5
    assert content["postures"] >= 5
    picture = cv2.imread(str(output.with_suffix(".png")))
    assert picture.shape == (6 * HEIGHT, 2 * WIDTH, 3)
    blue, green, red = np.moveaxis(picture.astype(int), -1, 0)
    assert np.sum((red > 200) & (blue < 120) & (green < 120)) > 20  # what was predicted is drawn


def test_swapped_eyes_are_refused_and_named_by_the_stereo_check(record, shown, tmp_path, capsys):
    bag = write(record, shown, order=(1, 0))
    assert main(["calibrate", "eyes", bag, "--output", str(tmp_path / "m.yaml"), *BOARD_OPTIONS]) == 1
    assert not (tmp_path / "m.yaml").exists()
    assert main(["calibrate", "stereo", bag, *BOARD_OPTIONS]) == 1
    assert "LEFT AND RIGHT ARE SWAPPED" in capsys.readouterr().out
    assert main(["calibrate", "sides", bag]) == 1
    assert "eyes: swapped" in capsys.readouterr().out


def test_a_good_pair_passes_the_stereo_check_and_a_board_of_another_size_does_not(record, shown, capsys):
    bag = write(record, shown)
    assert main(["calibrate", "stereo", bag, *BOARD_OPTIONS]) == 0
    assert "left is left; rows differ by 0." in capsys.readouterr().out
    wrong = [*BOARD_OPTIONS[:4], "--square", "0.050", "--marker", "0.0389"]
    assert main(["calibrate", "stereo", bag, *wrong]) == 1
    assert "squares come out -" in capsys.readouterr().out


def test_swapped_arms_are_refused(record, shown, tmp_path, capsys):
    def swapped(q):
        q = q.copy()
        q[LEFT_ARM_SLICE], q[RIGHT_ARM_SLICE] = q[RIGHT_ARM_SLICE].copy(), q[LEFT_ARM_SLICE].copy()
        return q

    bag = write(record, shown, joints=swapped)
    assert main(["calibrate", "eyes", bag, "--output", str(tmp_path / "m.yaml"), *BOARD_OPTIONS]) == 1
    assert "does not fit" in (told := capsys.readouterr().err) or "uncertain" in told


def test_arms_that_never_stand_still_are_told_to(record, shown, tmp_path, capsys):
    postures, pictures, intrinsics = shown
    for k in range(200):
        record.joints("joint_states", START + k * SECOND // 50, postures[0] + 0.01 * k)
    for k in range(10):
        record.pictures(START + k * SECOND // 4, pictures[k], intrinsics)
    record.close()
    assert main(["calibrate", "eyes", str(record.path), "--output", str(tmp_path / "m.yaml")]) == 1
    assert "the arms stand still in 0 different postures" in capsys.readouterr().err


def test_one_posture_is_one_however_often_it_is_recorded(record, shown, tmp_path, capsys):
    """Encoders are noisy: a robot that stood there for a minute gives no two equal joint states."""
    postures, pictures, intrinsics = shown
    rng = np.random.default_rng(0)
    for k in range(12):
        q = postures[0] + rng.normal(0, 1e-4, 26)
        record.posture(START + k * SECOND, q, pictures[0], intrinsics)
    record.close()
    assert main(["calibrate", "eyes", str(record.path), "--output", str(tmp_path / "m.yaml"), *BOARD_OPTIONS]) == 1
    assert "stand still in 1 different postures" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_does_not_lose_the_result(record, shown, tmp_path, capsys):
    output, picture = tmp_path / "mount.yaml", tmp_path / "nowhere" / "seen.png"
    command = ["calibrate", "eyes", write(record, shown), "--output", str(output), "--picture", str(picture)]
    assert main([*command, *BOARD_OPTIONS]) == 1
    assert f"{output} is written, but the picture {picture} cannot be" in capsys.readouterr().err
    assert read_mount(output).camera_baseline > 0


def test_the_board_that_is_printed_is_the_board_that_is_found(tmp_path, capsys):
    file = tmp_path / "board.png"
    assert main(["calibrate", "board", "--output", str(file), "--dpi", "120"]) == 0
    assert "180 x 120 mm" in capsys.readouterr().out
    page = cv2.copyMakeBorder(cv2.imread(str(file)), 60, 60, 60, 60, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    assert len(Board().find(page).ids) == len(Board().corners)
    assert Board().find(np.full((200, 300, 3), 128, np.uint8)) is None


def test_a_dot_is_found_to_a_fraction_of_a_pixel_and_two_are_none():
    picture = np.full((120, 160, 3), (120, 100, 80), np.uint8)
    cv2.circle(picture, (int(70.25 * 16), int(40.75 * 16)), 6 * 16, (20, 230, 30), -1, cv2.LINE_AA, shift=4)
    np.testing.assert_allclose(find_dot(picture, "green"), [70.25, 40.75], atol=0.15)
    assert find_dot(picture, "magenta") is None
    cv2.circle(picture, (20, 90), 6, (20, 230, 30), -1)
    assert find_dot(picture, "green") is None
    with pytest.raises(CalibrationError, match="expected a colour of orange"):
        find_dot(picture, "red")
