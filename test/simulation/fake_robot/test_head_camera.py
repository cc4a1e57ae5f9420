"""The fake robot's camera: a process that renders what the robot says, read as a ZED on USB is read."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("mujoco")

from firsthand.errors import SimulationError
from firsthand.simulation.fake_robot.camera_settings import HeadCameraSettings
from firsthand.simulation.fake_robot.head_camera import HeadCamera
from firsthand.simulation.renderer import StereoRenderer, intrinsics
from firsthand.simulation.scene import build_scene
from firsthand.simulation.scene_name import SceneName
from firsthand.vision.sources.uvc import UvcCamera, UvcSettings

WAIT = 60.0  # [s], generous: it only passes when a test fails
FIRST, SECOND = SceneName("push", "id", 3), SceneName("pick_place", "ood", 1)


class Robot:
    """What the robot is to its camera: somebody who says how the scene stands."""

    def __init__(self, folder):
        self.file = folder / "SN1.conf"
        self.camera = HeadCamera(HeadCameraSettings(0, 50.0, str(self.file)), FIRST)
        self.scene = build_scene(FIRST.task, FIRST.variant, FIRST.seed)
        self.stamps = []
        self.reader = None

    def read(self):
        """Open the camera, which wants a first picture."""
        settings = UvcSettings(self.camera.address, rate=50.0, calibration=str(self.file))
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(UvcCamera, settings)
            while not opening.done():
                self.tick()
                time.sleep(0.001)
        self.reader = opening.result()

    def tick(self):
        now, taken = time.monotonic(), self.camera.taken
        self.camera.tick(now, self.scene.data.qpos)
        if self.camera.taken > taken:
            self.stamps.append(now)

    def capture(self):
        """The next picture, while the robot goes on."""
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            self.tick()
            if (capture := self.reader.read(0.001)) is not None:
                return capture
        pytest.fail("no picture")

    def picture(self):
        """A rectified pair that shows the scene as it is: one that was on its way when the scene changed has passed."""
        for _ in range(3):
            capture = self.capture()
        return capture.images().astype(float)

    def close(self):
        if self.reader is not None:
            self.reader.close()
        self.camera.close()


@pytest.fixture
def robot(tmp_path):
    one = Robot(tmp_path)
    yield one
    one.close()


def rendered(scene):
    """What the simulated body's camera would show."""
    scene.set_state(scene.state())
    renderer = StereoRenderer(scene)
    pair = renderer.render().astype(float)
    renderer.close()
    return pair


def test_pictures_are_those_of_the_simulated_body_s_camera(robot):
    robot.read()
    expected = rendered(robot.scene)
    got = robot.picture()
    wanted, told = intrinsics(robot.scene), robot.reader.intrinsics
    np.testing.assert_allclose([told.fx, told.fy, told.cx, told.cy], wanted[:4], atol=1e-2)
    assert told.baseline == pytest.approx(wanted.baseline, abs=1e-6)
    difference = np.abs(got - expected)
    assert difference.mean() < 2.0  # of 255: edges are a little softer
    assert np.abs(got - expected[::-1]).mean() > 2 * difference.mean()  # left is left
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):  # not a pixel off
        assert np.abs(got - np.roll(expected, shift, axis=(1, 2))).mean() > difference.mean()


def test_the_scene_moves_in_the_picture_as_it_moves_and_another_scene_is_another(robot):
    robot.read()
    before = robot.picture()
    robot.scene.data.joint("object").qpos[0] += 0.05
    moved = robot.picture()
    assert np.abs(moved - before).mean() > 0.3
    assert np.abs(moved - rendered(robot.scene)).mean() < 2.0
    robot.scene = build_scene(SECOND.task, SECOND.variant, SECOND.seed)
    robot.camera.show(SECOND)
    assert np.abs(robot.picture() - rendered(robot.scene)).mean() < 2.0


def test_a_stamp_is_of_the_state_that_the_picture_shows(robot):
    robot.read()
    stamps = [robot.capture().time_ns / 1e9 - (time.time() - time.monotonic()) for _ in range(5)]
    np.testing.assert_allclose([np.abs(np.array(robot.stamps) - stamp).min() for stamp in stamps], 0, atol=2e-3)
    assert np.all(np.diff(stamps) > 0)
    assert robot.reader.stamps == "monotonic"


def test_nothing_is_rendered_while_nobody_looks_and_one_reader_may_follow_another(robot):
    for _ in range(100):
        robot.tick()
        time.sleep(0.001)
    assert robot.camera.taken == robot.camera.dropped == 0
    assert "nobody looks" in robot.camera.describe()
    for _ in range(2):
        robot.read()
        robot.capture()
        robot.reader.close()


def test_periods_without_a_picture_are_counted(robot):
    robot.read()
    robot.capture()
    taken, dropped = robot.camera.taken, robot.camera.dropped
    time.sleep(0.5)  # nobody gives it a state meanwhile: at 50 Hz some 25 are lost
    robot.capture()
    assert robot.camera.taken - taken <= 3
    assert robot.camera.dropped - dropped >= 20


def test_a_camera_that_dies_ends_the_robot_with_a_reason(robot):
    robot.camera._process.kill()
    robot.camera._process.wait()
    time.sleep(0.05)  # its next period
    with pytest.raises(SimulationError, match="camera has ended"):
        robot.tick()


def test_a_port_that_is_taken_is_said(robot, tmp_path):
    port = int(robot.camera.address.rsplit(":", 1)[1])
    with pytest.raises(SimulationError, match=f"cannot serve pictures on port {port}"):
        HeadCamera(HeadCameraSettings(port, 15.0, str(tmp_path / "SN2.conf")), FIRST)


def test_a_rate_that_cannot_be_is_refused():
    with pytest.raises(SimulationError, match="a rate up to 120 Hz, got 5600 and 0"):
        HeadCameraSettings(rate=0.0)
