"""The fake robot's camera: a process that renders what the robot says, read as a ZED on USB is read."""

import threading
import time

import numpy as np
import pytest

pytest.importorskip("firsthand.simulation.gl")  # chooses the backend before MuJoCo is imported

from firsthand.errors import CameraError, SimulationError
from firsthand.simulation.fake_robot.camera_settings import HeadCameraSettings
from firsthand.simulation.fake_robot.head_camera import HeadCamera
from firsthand.simulation.renderer import StereoRenderer, intrinsics
from firsthand.simulation.scene import build_scene
from firsthand.simulation.scene_name import SceneName
from firsthand.vision.sources.uvc import UvcCamera, UvcSettings

WAIT = 60.0  # [s], generous: it only passes when a test fails
FIRST, SECOND = SceneName("push", "id", 3), SceneName("pick_place", "ood", 1)


class Robot:
    """What the robot is to its camera: somebody who says, on a thread of its own, how the scene stands."""

    def __init__(self, folder):
        self.file = folder / "SN1.conf"
        self.camera = HeadCamera(HeadCameraSettings(0, 50.0, str(self.file)), FIRST)
        self.scene = build_scene(FIRST.task, FIRST.variant, FIRST.seed)
        self.stamps, self.readers = [], []
        self.paused, self.stopped = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopped.wait(0.002):
            if not self.paused.is_set():
                now, taken = time.monotonic(), self.camera.taken
                self.camera.tick(now, self.scene.data.qpos)
                self.stamps += [now] * (self.camera.taken - taken)

    def read(self):
        """Open the camera, as often as it takes: so does the camera node, and another scene takes its time."""
        end = time.monotonic() + WAIT
        while True:
            try:
                settings = UvcSettings(self.camera.address, rate=2.0, calibration=str(self.file))
                self.readers.append(UvcCamera(settings))
            except CameraError:
                assert time.monotonic() < end, "the camera does not open"
            else:
                return self.readers[-1]

    def stand_before(self, name):
        self.paused.set()
        self.scene = build_scene(name.task, name.variant, name.seed)
        self.camera.show(name)
        self.paused.clear()

    def stop(self):
        self.stopped.set()
        self.thread.join()


def wait_until(condition):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def capture(reader):
    """The next picture."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if (one := reader.read(0.1)) is not None:
            return one
    pytest.fail("no picture")


def picture(reader):
    """A rectified pair that shows the scene as it is: one that was on its way when the scene changed has passed."""
    now_ns = time.time_ns()
    while (one := capture(reader)).time_ns < now_ns:
        pass
    return one.images().astype(float)


@pytest.fixture(scope="module")
def only_robot(tmp_path_factory):
    one = Robot(tmp_path_factory.mktemp("camera"))
    yield one
    one.stop()
    one.camera.close()


@pytest.fixture
def robot(only_robot):
    """The one that all tests look at, one after the other."""
    yield only_robot
    for reader in only_robot.readers:
        reader.close()
    only_robot.readers.clear()


def rendered(scene):
    """What the simulated body's camera would show."""
    scene.set_state(scene.state())
    renderer = StereoRenderer(scene)
    pair = renderer.render().astype(float)
    renderer.close()
    return pair


def test_pictures_are_those_of_the_simulated_body_s_camera(robot):
    expected = rendered(robot.scene)
    reader = robot.read()
    got = picture(reader)
    wanted, told = intrinsics(robot.scene), reader.intrinsics
    np.testing.assert_allclose([told.fx, told.fy, told.cx, told.cy], wanted[:4], atol=1e-2)
    assert told.baseline == pytest.approx(wanted.baseline, abs=1e-6)
    difference = np.abs(got - expected)
    assert difference.mean() < 2.0  # of 255: edges are a little softer
    assert np.abs(got - expected[::-1]).mean() > 2 * difference.mean()  # left is left
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):  # not a pixel off
        assert np.abs(got - np.roll(expected, shift, axis=(1, 2))).mean() > difference.mean()


def test_the_scene_moves_in_the_picture_as_it_moves_and_another_scene_is_another(robot):
    reader = robot.read()
    before = picture(reader)
    robot.scene.data.joint("object").qpos[0] += 0.05
    moved = picture(reader)
    assert np.abs(moved - before).mean() > 0.3
    assert np.abs(moved - rendered(robot.scene)).mean() < 2.0
    reader.close()
    robot.stand_before(SECOND)
    reader = robot.read()
    assert np.abs(picture(reader) - rendered(robot.scene)).mean() < 2.0
    robot.stand_before(FIRST)


def test_a_stamp_is_of_the_state_that_the_picture_shows(robot):
    reader = robot.read()
    stamps = [capture(reader).time_ns / 1e9 - (time.time() - time.monotonic()) for _ in range(5)]
    nearest = [np.abs(np.array(robot.stamps) - stamp).min() for stamp in stamps]
    np.testing.assert_allclose(nearest, 0, atol=2e-3)
    assert np.all(np.diff(stamps) > 0)
    assert reader.stamps == "monotonic"


def test_nothing_is_rendered_while_nobody_looks_and_one_reader_may_follow_another(robot):
    def nobody_looks():
        return "nobody looks" in robot.camera.describe()

    for _ in range(2):
        wait_until(nobody_looks)
        taken, dropped = robot.camera.taken, robot.camera.dropped
        time.sleep(0.2)
        assert (robot.camera.taken, robot.camera.dropped) == (taken, dropped)
        reader = robot.read()
        capture(reader)
        assert not nobody_looks()
        reader.close()


def test_periods_without_a_picture_are_counted(robot):
    reader = robot.read()
    capture(reader)
    robot.paused.set()  # nobody gives it a state
    time.sleep(0.05)
    taken, dropped = robot.camera.taken, robot.camera.dropped
    time.sleep(0.5)
    robot.paused.clear()
    capture(reader), capture(reader)
    assert robot.camera.dropped - dropped >= 20  # at 50 Hz
    assert robot.camera.taken - taken >= 1


def test_a_camera_that_dies_ends_the_robot_with_a_reason(tmp_path):
    camera = HeadCamera(HeadCameraSettings(0, 50.0, str(tmp_path / "SN2.conf")), FIRST)
    try:
        camera._process.kill()
        camera._process.wait()
        time.sleep(0.05)  # its next period
        with pytest.raises(SimulationError, match="camera has ended"):
            camera.tick(time.monotonic(), np.zeros(3))
    finally:
        camera.close()


def test_a_port_that_is_taken_is_said(robot, tmp_path):
    port = int(robot.camera.address.rsplit(":", 1)[1])
    with pytest.raises(SimulationError, match=f"cannot serve pictures on port {port}"):
        HeadCamera(HeadCameraSettings(port, 15.0, str(tmp_path / "SN2.conf")), FIRST)


def test_a_rate_that_cannot_be_is_refused():
    with pytest.raises(SimulationError, match="a rate up to 120 Hz, got 5600 and 0"):
        HeadCameraSettings(rate=0.0)
