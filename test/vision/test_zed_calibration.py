from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import CalibrationError
from firsthand.vision.rectification import Rectifier
from firsthand.vision.zed_calibration import read_zed_calibration, write_zed_calibration

# In the layout of the makers' files; the numbers are of no camera in particular.
FACTORY = """
[LEFT_CAM_HD]
fx=700.8
fy=700.7
cx=665.5
cy=371.9
k1=-0.1743
k2=0.0261
p1=0.0003
p2=-0.0005

[RIGHT_CAM_HD]
fx=698.7
fy=698.6
cx=640.1
cy=375.1
k1=-0.1727
k2=0.0257
p1=0
p2=0

[LEFT_CAM_VGA]
fx=350.4
fy=350.4
cx=348.2
cy=193.5

[RIGHT_CAM_VGA]
fx=349.4
fy=349.4
cx=335.5
cy=195.1

[STEREO]
Baseline=62.98
TY=0.11
TZ=-0.42
CV_HD=0.0096
RX_HD=0.0050
RZ_HD=-0.0019
"""


@pytest.fixture
def write(tmp_path):
    def write_text(text):
        path = tmp_path / "SN12345678.conf"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_text


def test_every_number_of_a_resolution_is_read(write):
    c = read_zed_calibration(write(FACTORY), 1280, 720)
    assert (c.left.fx, c.left.cy, c.right.fy, c.right.cx) == (700.8, 371.9, 698.6, 640.1)
    assert c.left.distortion == (-0.1743, 0.0261, 0.0003, -0.0005, 0.0)
    np.testing.assert_allclose(c.translation, [-0.06298, 0.00011, -0.00042])
    np.testing.assert_allclose(c.rotation[[2, 0, 1], [1, 2, 0]], [0.0050, 0.0096, -0.0019], atol=5e-5)  # small angles
    assert Rectifier(c, 640, 360).intrinsics.baseline == pytest.approx(0.06298, abs=1e-5)


def test_each_resolution_has_numbers_of_its_own(write):
    c = read_zed_calibration(write(FACTORY), 672, 376)
    assert (c.left.fx, c.left.distortion) == (350.4, (0.0,) * 5)
    np.testing.assert_array_equal(c.rotation, np.eye(3))


def test_what_is_written_is_read_again(write):
    c = read_zed_calibration(write(FACTORY), 1280, 720)
    again = read_zed_calibration(write(write_zed_calibration(c)), 1280, 720)
    assert (again.left, again.right) == (c.left, c.right)
    np.testing.assert_allclose(again.rotation, c.rotation, atol=1e-12)
    np.testing.assert_allclose(again.translation, c.translation, atol=1e-12)


def test_no_file_is_written_of_what_it_cannot_hold(write):
    many = read_zed_calibration(write(FACTORY + "\n[LEFT_DISTO]\nk1=0.3\nk5=0.05\n"), 1280, 720)
    with pytest.raises(CalibrationError, match="expected up to five numbers of distortion"):
        write_zed_calibration(many)
    with pytest.raises(CalibrationError, match="a ZED takes no views of 1290x720, but of 2208x1242"):
        write_zed_calibration(replace(many, width=1290))


def test_newer_files_keep_the_distortion_apart(write):
    text = FACTORY + "\n[LEFT_DISTO]\nk1=0.3\nk2=0.1\np1=0.01\np2=0.02\nk3=0.03\nk4=0.04\nk5=0.05\nk6=0.06\n"
    c = read_zed_calibration(write(text), 1280, 720)
    assert c.left.distortion == (0.3, 0.1, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06)
    assert c.right.distortion[0] == -0.1727


def test_a_resolution_that_no_zed_has_names_those_there_are(write):
    with pytest.raises(CalibrationError, match=r"no resolution 640x480; a ZED takes views of .*1280x720"):
        read_zed_calibration(write(FACTORY), 640, 480)


def test_a_missing_section_names_those_that_are_there(write):
    with pytest.raises(CalibrationError, match=r"no section \[LEFT_CAM_FHD\]; it has LEFT_CAM_HD, RIGHT_CAM_HD"):
        read_zed_calibration(write(FACTORY), 1920, 1080)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (b"", "has no section"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "cannot read the calibration"),
        (b"A" * 100_000, "more than 65536 bytes"),
        (b"fx=1\n", "cannot read the calibration .*no section headers"),
        (FACTORY.replace("fx=700.8", "fx=700.8\nfx=1"), "cannot read the calibration .*already exists"),
        (FACTORY.replace("fx=700.8", ""), r"has no fx; it has fy, cx"),
        (FACTORY.replace("fx=700.8", "fx=%(cy)s"), "fx = '%\\(cy\\)s', expected a number"),
        (FACTORY.replace("fx=700.8", "fx=nan"), "expected a finite number"),
        (FACTORY.replace("fx=700.8", "fx=1e400"), "expected a finite number"),
        (FACTORY.replace("fx=700.8", "fx=0"), "left focal lengths are 0.0"),
        (FACTORY.replace("cx=640.1", "cx=-3"), "right centre"),
        (FACTORY.replace("Baseline=62.98", "Baseline=-62.98"), "are left and right swapped"),
        (FACTORY.replace("Baseline=62.98", "Baseline=0.06298"), "expected 0.01 to 0.5 m"),
        (FACTORY.replace("RX_HD=0.0050", "RX_HD=3.1"), "turned"),
    ],
)
def test_damaged_and_hostile_files_are_refused_with_what_is_wrong(write, broken, message):
    with pytest.raises(CalibrationError, match=message):
        read_zed_calibration(write(broken), 1280, 720)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CalibrationError, match=r"SN1\.conf"):
        read_zed_calibration(tmp_path / "SN1.conf", 1280, 720)
