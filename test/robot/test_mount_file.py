import numpy as np
import pytest

from firsthand.errors import CalibrationError
from firsthand.robot.model import RobotModel
from firsthand.robot.mount_file import FORMAT, Mount, read_mount, write_calibration_file
from firsthand.space.frames import pose
from firsthand.space.rotations import matrix_from_rotation_vector

GOOD = {"eyes_xyz": [0.11, 0.01, 0.7], "eyes_rpy": [0.01, 0.98, -0.02], "camera_baseline": 0.063}


def test_a_mount_is_where_its_pose_is_and_the_robot_gets_it(tmp_path):
    turn = matrix_from_rotation_vector(np.array([0.05, 0.9, -0.1]))
    wanted = pose(turn, np.array([0.1, 0.02, 0.68]))
    mount = Mount.from_pose(wanted, 0.063)
    np.testing.assert_allclose(mount.torso_from_eyes, wanted, atol=1e-12)
    np.testing.assert_allclose(RobotModel.load(mount.urdf()).torso_from_eyes, wanted, atol=1e-9)


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = write_calibration_file(tmp_path / "new" / "mount.yaml", FORMAT, {**GOOD, "residual_px": 0.4})
    assert read_mount(path) == Mount((0.11, 0.01, 0.7), (0.01, 0.98, -0.02), 0.063)
    assert [file.name for file in path.parent.iterdir()] == ["mount.yaml"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eyes_xyz": [0.1, 0.2]}, r"eyes_xyz is \[0.1, 0.2\], expected three numbers"),
        ({"eyes_xyz": [0.1, 0.2, 300]}, "eyes_xyz"),
        ({"eyes_rpy": [0, "up", 0]}, "eyes_rpy"),
        ({"eyes_rpy": [0, float("nan"), 0]}, "eyes_rpy"),
        ({"camera_baseline": 63}, "camera_baseline is 63, expected 0.01 to 0.5 m"),
        ({"camera_baseline": None}, "camera_baseline is None"),
    ],
)
def test_numbers_that_no_mount_has_are_refused(tmp_path, changes, message):
    path = write_calibration_file(tmp_path / "mount.yaml", FORMAT, {**GOOD, **changes})
    with pytest.raises(CalibrationError, match=message):
        read_mount(path)


@pytest.mark.parametrize(
    "text", ["", "a: [", "!!python/object/apply:os.system [ls]", "x" * 100_000, "- 1", "format: 3"]
)
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "mount.yaml"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=r"mount\.yaml"):
        read_mount(path)
