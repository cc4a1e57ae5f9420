"""The fake camera's lenses: as bent and crooked as real ones, and undone by the reader's rectification."""

import numpy as np
import pytest

pytest.importorskip("firsthand.simulation.gl")  # chooses the backend before MuJoCo is imported

from firsthand.simulation.fake_robot.lenses import FakeLenses
from firsthand.vision.intrinsics import Intrinsics
from firsthand.vision.rectification import Rectifier
from firsthand.vision.zed_calibration import read_zed_calibration, write_zed_calibration

IDEAL = Intrinsics(640, 360, 338.5, 338.5, 319.5, 179.5, 0.063)
EDGE = 8  # [px] of a picture that smoothing may reach over


@pytest.fixture(scope="module")
def lenses():
    return FakeLenses(IDEAL, 1280, 720)


@pytest.fixture
def rectifier(lenses, tmp_path):
    """What a reader makes of the factory's file."""
    file = tmp_path / "SN1.conf"
    file.write_text(write_zed_calibration(lenses.calibration))
    return Rectifier(read_zed_calibration(file, 1280, 720), 640, 360)


def places():
    """A pair (2, 360, 640, 3): two colours say where a pixel is, as far as 8 bits go, the third says which eye's."""
    y, x = np.mgrid[:360, :640]
    return np.stack(
        [np.stack([x * 255 / 639, y * 255 / 359, np.full(x.shape, eye)], axis=-1) for eye in (0, 200)]
    ).round().astype(np.uint8)  # fmt: skip


def inner(pair):
    return pair[:, EDGE:-EDGE, EDGE:-EDGE]


def test_rectified_it_is_the_camera_that_policies_know(rectifier):
    got = rectifier.intrinsics
    np.testing.assert_allclose([got.fx, got.fy, got.cx, got.cy], [338.5, 338.5, 319.5, 179.5], atol=1e-3)
    assert got.baseline == pytest.approx(0.063, abs=1e-6)


def test_raw_pictures_are_bent_and_their_rows_do_not_match(lenses):
    left, right = (view.astype(float) for view in lenses.take(places()))
    row = left[100, ::40, 1] * 359 / 255  # where the pixels of one raw row come from
    assert np.ptp(row) > 2.0
    assert np.abs(left - right)[360, 640, :2].max() > 1.0
    assert not np.abs(left - right)[..., 2].min() < 150  # no eye shows what the other sees


def test_rectification_gives_every_pixel_back(lenses, rectifier):
    pair = places()
    back = rectifier.rectify(*lenses.take(pair)).astype(float)
    error = inner(back - pair)
    assert np.abs(error[..., 0]).max() * 639 / 255 < 4.0  # one grey level is 2.5 px
    assert abs(error[..., 0].mean()) * 639 / 255 < 0.1
    assert abs(error[..., 1].mean()) * 359 / 255 < 0.1
    np.testing.assert_allclose(inner(back)[..., 2], inner(pair)[..., 2])


def test_pictures_stay_sharp(lenses, rectifier):
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (2, 45, 80, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    back = rectifier.rectify(*lenses.take(blocks)).astype(float)
    inside = np.zeros((360, 640), bool)
    for y in (3, 4):
        for x in (3, 4):
            inside[y::8, x::8] = True  # the middles of the blocks
    error = np.abs(back - blocks)[:, inside]
    assert error.max() < 2.0
