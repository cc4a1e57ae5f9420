"""The reader of UVC cameras against the fake one, through the sockets and the FFmpeg that a real stream takes."""

import threading
import time

import av
import numpy as np
import pytest

from firsthand.errors import CalibrationError, CameraError, ImageError
from firsthand.vision.sources.fake_camera import FakeCamera, read_number
from firsthand.vision.sources.fake_camera_settings import FakeCameraSettings
from firsthand.vision.sources.live import LiveSettings, LiveSource
from firsthand.vision.sources.uvc import UvcCamera, UvcSettings

SIZE = {"width": 320, "height": 180}
WAIT = 20.0  # [s], generous: it only passes when a test fails


@pytest.fixture
def fake():
    """Makes fake cameras on free ports, and ends them."""
    cameras = []

    def make(**settings):
        camera = FakeCamera(FakeCameraSettings(port=0, **{**SIZE, "rate": 60.0, **settings}))
        cameras.append(camera)
        camera.thread = camera.start()
        return camera

    yield make
    for camera in cameras:
        camera.stop()
        camera.thread.join(WAIT)


def settings_for(camera, **changes):
    return UvcSettings(**{"device": camera.address, **SIZE, "rate": 60.0, "output": (320, 180), **changes})


def captures(camera, count):
    """The next pictures of an open camera."""
    found = []
    deadline = time.monotonic() + WAIT
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {len(found)} of {count} pictures came"
        capture = camera.read(0.5)
        if capture is not None:
            found.append(capture)
    return found


def wait_until(condition, what):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


class Listener:
    """A LiveSource and what came of it."""

    def __init__(self, settings, live=None):
        self.numbers, self.stamps, self.ended = [], [], []
        self.source = LiveSource(lambda: UvcCamera(settings), self.hear, live, self.ended.append)
        self.source.start()

    def hear(self, capture, intrinsics):
        self.numbers.append(read_number(capture.images()[0]))
        self.stamps.append(capture.time_ns)


@pytest.fixture
def listen():
    listeners = []

    def make(*args):
        listeners.append(Listener(*args))
        return listeners[-1]

    yield make
    for one in listeners:
        one.source.stop()


def test_pictures_come_in_order_each_with_its_stamp_and_both_views(fake):
    camera = UvcCamera(settings_for(fake()))
    taken = captures(camera, 12)
    pairs = [capture.images() for capture in taken]
    camera.close()
    numbers = [read_number(pair[0]) for pair in pairs]
    assert numbers == list(range(numbers[0], numbers[0] + 12))
    assert numbers == [read_number(pair[1]) for pair in pairs]
    assert pairs[0].shape == (2, 180, 320, 3)
    assert np.all(np.diff([capture.time_ns for capture in taken]) > 0)


def test_a_stamp_is_of_the_capture_not_of_the_arrival(fake):
    camera = UvcCamera(settings_for(fake(rate=20.0)))
    captures(camera, 3)
    time.sleep(0.3)  # pictures wait in the queue meanwhile
    waited = captures(camera, 1)[0]
    camera.close()
    assert camera.stamps == "monotonic"
    assert (time.time_ns() - waited.time_ns) / 1e9 > 0.2


def test_a_known_delay_is_taken_off_the_stamp(fake):
    plain, late = (UvcCamera(settings_for(fake(), delay=delay)) for delay in (0.0, 5.0))
    ages = [(time.time_ns() - captures(camera, 1)[0].time_ns) / 1e9 for camera in (plain, late)]
    plain.close(), late.close()
    assert 4.0 < ages[1] - ages[0] < 6.0


def test_colours_and_sides_are_right_after_the_way_through_the_wire(fake, tmp_path):
    film = tmp_path / "both.mp4"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("libx264", rate=60)
        stream.width, stream.height, stream.pix_fmt, stream.options = 640, 180, "yuv444p", {"crf": "1"}
        image = np.empty((180, 640, 3), np.uint8)
        image[:, :320], image[:, 320:] = (200, 40, 60), (30, 60, 220)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    camera = UvcCamera(settings_for(fake(videos=(str(film),)), output=(160, 90)))
    left, right = captures(camera, 1)[0].images()
    camera.close()
    np.testing.assert_allclose(left[60, 80], (200, 40, 60), atol=8)
    np.testing.assert_allclose(right[60, 80], (30, 60, 220), atol=8)


def test_the_calibration_of_the_output_size_is_told(fake):
    camera = UvcCamera(settings_for(fake(), field_of_view=90.0, baseline=0.063, output=(160, 90)))
    camera.close()
    np.testing.assert_allclose([camera.intrinsics.fx, camera.intrinsics.cx], [80.0, 79.5])
    assert camera.intrinsics.baseline == 0.063


def test_a_camera_that_sends_another_size_is_refused_with_both(fake):
    with pytest.raises(CameraError, match=r"sends 640x180 .*expected both views side by side, 1280x360 yuyv422"):
        UvcCamera(settings_for(fake(), width=640, height=360))


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(CameraError, match="cannot open the camera /dev/video99"):
        UvcCamera(UvcSettings(device="/dev/video99"))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pixel_format": "h264"}, CameraError, "expected a pixel format of yuyv422, mjpeg, got 'h264'"),
        ({"rate": 0.0}, CameraError, "up to 240 Hz"),
        ({"output": (640, 480)}, CalibrationError, "without squeezing; 640x360 would work"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        UvcSettings(**changes)


def test_silence_is_noticed_and_ends_by_opening_again(fake, listen):
    camera = fake()
    listener = listen(settings_for(camera), LiveSettings(stall_after=0.3))
    wait_until(lambda: len(listener.numbers) > 10, "pictures")
    camera.stalled.set()
    wait_until(lambda: listener.source.health().state == "silent", "the silence to be noticed")
    assert "no picture for" in listener.source.health().reason
    wait_until(lambda: "sent nothing for 0.5 s" in listener.source.health().reason, "the camera to be given up")
    camera.stalled.clear()
    before = len(listener.numbers)
    wait_until(lambda: len(listener.numbers) > before + 10, "pictures again")
    assert listener.source.health().opened > 1
    assert listener.source.health().state == "streaming"


def test_a_camera_that_dies_and_comes_back_is_read_again(fake, listen):
    camera = fake(die_after=0.4)
    port = int(camera.address.rsplit(":", 1)[1])
    listener = listen(settings_for(camera), LiveSettings(retry=0.05, longest_retry=0.1))
    wait_until(lambda: listener.source.health().state == "silent" and listener.numbers, "the end of the camera")
    camera.thread.join(WAIT)
    wait_until(lambda: "cannot open the camera" in listener.source.health().reason, "a try to open it")
    before = len(listener.numbers)
    _again(camera, port)
    wait_until(lambda: len(listener.numbers) > before + 5, "pictures of the new camera")
    assert np.all(np.diff(listener.stamps) > 0)


def _again(dead, port):
    one = FakeCamera(FakeCameraSettings(port=port, **SIZE, rate=60.0))
    dead.stop, dead.thread = one.stop, one.start()


def test_the_rate_is_measured_and_pictures_left_out_are_counted(fake, listen):
    listener = listen(settings_for(fake(rate=50.0, drop_every=10)))
    wait_until(lambda: len(listener.numbers) > 80, "pictures")
    health, stamps = listener.source.health(), np.array(listener.stamps)
    missing = listener.numbers[-1] - listener.numbers[0] + 1 - len(listener.numbers)
    assert missing >= 7
    assert health.lost >= missing - 3  # the first few go by before the period is known; a busy machine adds its own
    assert health.rate == pytest.approx(1e9 / np.diff(stamps).mean(), rel=0.3)


def test_old_pictures_are_dropped_and_counted(fake, listen):
    listener = listen(settings_for(fake(), delay=2.0), LiveSettings(max_age=0.5))
    wait_until(lambda: listener.source.health().late > 5, "late pictures")
    assert not listener.numbers
    assert "s late" in listener.source.health().reason


def test_a_calibration_that_is_wrong_ends_the_source_with_its_error(fake, listen, tmp_path):
    listener = listen(settings_for(fake(), calibration=str(tmp_path / "SN1.conf")))
    wait_until(lambda: listener.ended, "the error")
    assert isinstance(listener.ended[0], CalibrationError)


def test_a_stopped_source_lets_go_of_its_camera(fake):
    camera = fake()
    listener = Listener(settings_for(camera))
    wait_until(lambda: listener.numbers, "pictures")
    listener.source.stop()
    count = threading.active_count()
    next_reader = UvcCamera(settings_for(camera))  # one reader at a time
    captures(next_reader, 2)
    next_reader.close()
    assert threading.active_count() <= count
    assert not listener.ended


@pytest.mark.parametrize("grey", [0, 128])
def test_a_picture_without_a_number_has_none(grey):
    picture = np.full((180, 320, 3), grey, np.uint8)
    if grey:
        with pytest.raises(ImageError, match="got greys"):
            read_number(picture)
    else:
        assert read_number(picture) == 0
