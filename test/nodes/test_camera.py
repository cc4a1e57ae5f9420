import signal
import subprocess
import sys
import time
from itertools import count

import numpy as np
import pytest

pytest.importorskip("rclpy")
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from firsthand.errors import ImageError, LaunchError
from firsthand.nodes.camera import Camera
from firsthand.nodes.image_messages import read_camera_infos, read_compressed_image, read_image
from firsthand.nodes.messages import ns_from_stamp
from firsthand.nodes.qos import EVERY, PUBLISH
from firsthand.nodes.scene_messages import SceneState, write_scene_state
from firsthand.simulation.scene_name import SceneName

pytestmark = pytest.mark.ros


class Viewer:
    """Everything that a camera node publishes, by topic."""

    def __init__(self, ros):
        node = ros.node()
        self.messages = {}
        for side in ("left", "right"):
            for name, kind in (("image/compressed", CompressedImage), ("image", Image), ("camera_info", CameraInfo)):
                topic = f"{side}/color/rect/{name}"
                self.messages[topic] = []
                node.create_subscription(kind, topic, self.messages[topic].append, EVERY)

    def of(self, name):
        """Left and right messages of a kind."""
        return [self.messages[f"{side}/color/rect/{name}"] for side in ("left", "right")]


def test_a_film_comes_out_left_and_right_in_order_with_one_stamp_a_pair(ros, tmp_path, write_film):
    films = [str(write_film(tmp_path / "left.mp4", 20)), str(write_film(tmp_path / "right.mp4", 120))]
    viewer = Viewer(ros)
    ros.make(Camera, source="video", videos=films, rate=25.0, loop=True, raw=True, field_of_view=90.0)
    ros.spin_until(lambda: min(map(len, viewer.messages.values())) >= 12)
    left, right = (messages[:12] for messages in viewer.of("image/compressed"))
    assert [m.header.stamp for m in left] == [m.header.stamp for m in right]
    assert np.all(np.diff([ns_from_stamp(m.header.stamp) for m in left]) > 0)
    assert {m.header.frame_id for m in left} == {"left_eye_optical"}
    grey = np.array([[read_compressed_image(m, size=(64, 36)).mean() for m in side] for side in (left, right)])
    np.testing.assert_allclose(grey[1] - grey[0], 100, atol=4)
    np.testing.assert_allclose(np.diff(grey[0]) % 40, 4, atol=2.5)  # ten pictures, four grey levels apart, then again
    raw = {ns_from_stamp(m.header.stamp): read_image(m).mean() for m in viewer.of("image")[0]}
    np.testing.assert_allclose(raw[ns_from_stamp(left[5].header.stamp)], grey[0, 5], atol=2)
    infos = viewer.of("camera_info")
    intrinsics = read_camera_infos(infos[0][0], infos[1][0])
    assert (intrinsics.width, intrinsics.height) == (64, 36)
    np.testing.assert_allclose([intrinsics.fx, intrinsics.baseline], [32.0, 0.063])


def test_the_node_ends_with_its_film(ros, tmp_path, write_film):
    film = str(write_film(tmp_path / "both.mp4", 20, frames=3, side_by_side=True))
    camera = ros.make(Camera, source="video", videos=[film], rate=25.0)
    ros.spin_until(camera.finished.is_set, what="the end of the film")
    assert camera.failure is None


def test_a_missing_film_names_itself(ros):
    with pytest.raises(ImageError, match=r"cannot open the video .*nowhere\.mp4"):
        ros.make(Camera, source="video", videos=["/nowhere.mp4"])


def test_a_source_that_does_not_exist_names_those_that_do(ros):
    with pytest.raises(
        LaunchError, match=r"'source' of camera is one of 'simulation', 'video', 'zed', 'uvc'; got 'fax'"
    ):
        ros.make(Camera, source="fax")


@pytest.fixture
def scene(simulation):
    from firsthand.simulation.scene import build_scene

    return build_scene("push", "id", 3)


def test_a_scene_state_is_rendered_as_the_simulation_renders_it(ros, scene):
    from firsthand.simulation.renderer import StereoRenderer

    viewer = Viewer(ros)
    camera = ros.make(Camera, source="simulation", width=320, height=180)
    publisher = ros.node("body").create_publisher(JointState, "simulation/state", PUBLISH)
    ros.spin_until(publisher.get_subscription_count)
    bad = JointState(name=["elbow"], position=[0.0])
    bad.header.frame_id = "push/id"
    publisher.publish(bad)
    ros.spin_until(lambda: camera._source._states.refused == 1, what="a refusal")
    assert "task/variant/seed, got 'push/id'" in camera._source._states.last_error
    state = SceneState(40_000_000, SceneName("push", "id", 3), scene.state())
    publisher.publish(write_scene_state(state))
    ros.spin_until(lambda: viewer.of("image/compressed")[1], timeout=60.0)
    left, right = (messages[0] for messages in viewer.of("image/compressed"))
    assert ns_from_stamp(left.header.stamp) == ns_from_stamp(right.header.stamp) == 40_000_000
    renderer = StereoRenderer(scene, 320, 180)
    expected = renderer.render().astype(float)
    renderer.close()
    seen = np.stack([read_compressed_image(left), read_compressed_image(right)])
    assert np.abs(seen - expected).mean() < 4.0  # JPEG
    assert np.abs(seen[0].astype(float) - expected[1]).mean() > 4.0  # and left is not right


def test_while_the_first_picture_of_a_scene_is_made_the_node_lives_on_and_says_so(ros, scene):
    viewer = Viewer(ros)
    camera = ros.make(Camera, source="simulation", width=320, height=180)
    publisher = ros.node("body").create_publisher(JointState, "simulation/state", PUBLISH)
    ros.spin_until(publisher.get_subscription_count)
    publisher.publish(write_scene_state(SceneState(40_000_000, SceneName("push", "id", 7), scene.state())))

    def busy():
        return camera._source._status().message.startswith("has been rendering push/id/7 for ")

    ros.spin_until(busy, what="the executor to get a turn while a picture is made")
    assert not viewer.of("camera_info")[1]
    ros.spin_until(lambda: viewer.of("camera_info")[1], timeout=60.0)


@pytest.mark.slow
def test_a_node_that_is_ended_in_the_middle_of_its_first_picture_ends_well(ros, scene):
    """As a process: what it was rendering with is torn down under it."""
    from diagnostic_msgs.msg import DiagnosticArray

    health = []
    node = ros.node("body")
    node.create_subscription(
        DiagnosticArray, "/diagnostics", lambda m: health.extend((s.name, s.message) for s in m.status), EVERY
    )
    publisher = node.create_publisher(JointState, "simulation/state", PUBLISH)
    program = "from firsthand.nodes.camera import main; raise SystemExit(main())"
    camera = subprocess.Popen([sys.executable, "-c", program, "--ros-args", "-p", "source:=simulation"])
    try:
        ros.spin_until(publisher.get_subscription_count, timeout=60.0)
        seeds = count()

        def renders():
            """Whether it has said so; one new scene after the other keeps it at it."""
            name = SceneName("push", "id", next(seeds))
            publisher.publish(write_scene_state(SceneState(40_000_000 * name.seed, name, scene.state())))
            return any(n == "camera: renderer" and m.startswith("has been rendering") for n, m in health)

        ros.spin_until(renders, timeout=60.0)
        camera.send_signal(signal.SIGINT)
        assert camera.wait(60) == 0
    finally:
        ros.end([camera])


@pytest.fixture
def fake_camera():
    from firsthand.vision.sources.fake_camera import FakeCamera
    from firsthand.vision.sources.fake_camera_settings import FakeCameraSettings

    camera = FakeCamera(FakeCameraSettings(port=0, width=320, height=180, rate=60.0))
    thread = camera.start()
    yield camera
    camera.stop()
    thread.join(10)


def uvc(camera, **changes):
    size = {"capture_width": 320, "capture_height": 180, "width": 320, "height": 180}
    return {"source": "uvc", "device": camera.address, **size, **changes}


def test_a_camera_s_pictures_are_thinned_to_the_rate_and_keep_the_stamp_of_their_capture(ros, fake_camera):
    from firsthand.vision.sources.fake_camera import read_number

    viewer = Viewer(ros)
    ros.make(Camera, **uvc(fake_camera, rate=25.0))
    ros.spin_until(lambda: min(map(len, viewer.of("image/compressed"))) >= 40)
    left, right = (messages[5:40] for messages in viewer.of("image/compressed"))
    stamps = np.array([ns_from_stamp(m.header.stamp) for m in left])
    assert [m.header.stamp for m in left] == [m.header.stamp for m in right]
    numbers = np.array([read_number(read_compressed_image(m)) for m in left])
    assert np.array_equal(numbers, [read_number(read_compressed_image(m)) for m in right])
    assert np.diff(stamps).mean() > 37e6  # a busy machine may be short of some
    taken = np.array([fake_camera.stamps[number] for number in numbers]) * 1000 + time.time_ns() - time.monotonic_ns()
    np.testing.assert_allclose(stamps, taken, atol=2e6, rtol=0)  # each has the stamp of the very picture it shows
    assert {m.header.frame_id for m in right} == {"right_eye_optical"}


def test_a_factory_calibration_reaches_the_camera_info(ros, fake_camera, tmp_path):
    lens = "fx=352\nfy=352\ncx=330\ncy=190\nk1=-0.17\nk2=0.026\n"
    file = tmp_path / "SN1.conf"
    file.write_text(f"[LEFT_CAM_VGA]\n{lens}[RIGHT_CAM_VGA]\n{lens}[STEREO]\nBaseline=63\n")
    fake_camera.stop()
    from firsthand.vision.sources.fake_camera import FakeCamera
    from firsthand.vision.sources.fake_camera_settings import FakeCameraSettings

    vga = FakeCamera(FakeCameraSettings(port=0, width=672, height=376, rate=30.0))
    vga.start()
    viewer = Viewer(ros)
    sizes = {"capture_width": 672, "capture_height": 376, "width": 336, "height": 188}
    ros.make(Camera, **uvc(vga, calibration=str(file), **sizes))
    ros.spin_until(lambda: min(map(len, viewer.of("camera_info"))) >= 1)
    vga.stop()
    intrinsics = read_camera_infos(*(messages[0] for messages in viewer.of("camera_info")))
    assert (intrinsics.width, intrinsics.height) == (336, 188)
    assert intrinsics.baseline == pytest.approx(0.063)
    assert 120 < intrinsics.fx < 200


def test_a_bad_calibration_ends_the_node(ros, fake_camera, tmp_path):
    (tmp_path / "SN1.conf").write_text("[LEFT_CAM_HD]\n")
    camera = ros.make(Camera, **uvc(fake_camera, calibration=str(tmp_path / "SN1.conf")))
    ros.spin_until(camera.finished.is_set, what="the end of the node")
    assert "SN1.conf" in str(camera.failure)


def test_a_silent_camera_is_an_error_in_diagnostics_and_ok_again_when_it_is_back(ros, fake_camera):
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

    health = []
    ros.node().create_subscription(DiagnosticArray, "/diagnostics", lambda m: health.append(m.status), EVERY)
    ros.make(Camera, **uvc(fake_camera, stall_after=0.2))

    def latest():
        return next((s for s in health[-1] if s.name == "camera: camera"), None) if health else None

    ros.spin_until(lambda: latest() and latest().message == "streaming: pictures come")
    assert {value.key: value for value in latest().values}["received"].value != "0"
    fake_camera.turn()
    ros.spin_until(lambda: latest().level == DiagnosticStatus.ERROR, what="the error")
    assert latest().message.startswith("silent: ")
    fake_camera.turn()
    ros.spin_until(lambda: latest().message == "streaming: pictures come", what="the recovery")


def test_without_its_sdk_a_zed_is_refused_at_the_start(ros):
    from firsthand.errors import CameraError

    with pytest.raises(CameraError, match="pyzed is not installed"):
        ros.make(Camera, source="zed")
