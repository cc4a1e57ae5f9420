"""A pedal's events, as the kernel writes them, to the topic that the deadman reads."""

import os
import struct

import pytest

pytest.importorskip("rclpy")

from std_msgs.msg import Bool

from firsthand.errors import LaunchError
from firsthand.nodes.pedal import Pedal
from firsthand.nodes.qos import EVERY

pytestmark = pytest.mark.ros
KEY_B = 48


def event(kind, code, value):
    return struct.pack("llHHi", 1_795_000_000, 123, kind, code, value)


def key(value, code=KEY_B):
    return event(1, code, value) + event(0, 0, 0)


class Plug:
    """The wire of a pedal: a named pipe that its events go into."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.end = None

    def insert(self):
        self.end = os.open(self.path, os.O_RDWR)

    def send(self, data):
        os.write(self.end, data)

    def pull(self):
        os.close(self.end)
        self.end = None


@pytest.fixture
def pedal(ros, tmp_path):
    plug = Plug(tmp_path / "event3")
    plug.insert()
    plug.heard = []
    ros.node().create_subscription(Bool, "teleop/pedal", lambda m: plug.heard.append(m.data), EVERY)
    plug.node = ros.make(Pedal, device=str(plug.path), grab=False)
    plug.is_down = lambda down: ros.spin_until(lambda: plug.heard[-3:] == [down] * 3, what=f"a pedal that is {down}")
    yield plug
    if plug.end is not None:
        plug.pull()


def test_the_pedal_is_said_again_and_again_while_it_is_down_and_when_it_is_not(pedal):
    pedal.is_down(False)
    pedal.send(key(1))
    pedal.is_down(True)
    pedal.send(key(2) * 5)  # the keyboard repeats it
    pedal.is_down(True)
    pedal.send(key(0))
    pedal.is_down(False)


def test_a_pedal_that_is_down_already_has_not_been_pressed(pedal):
    pedal.send(key(2) * 5)
    before = len(pedal.heard)
    pedal.is_down(False)
    assert True not in pedal.heard[before:]


def test_a_second_key_of_the_pedal_holds_it_down(pedal):
    pedal.send(key(1) + key(1, code=49) + key(0))
    pedal.is_down(True)
    pedal.send(key(0, code=49))
    pedal.is_down(False)


def test_events_that_the_kernel_dropped_release_the_pedal(pedal):
    pedal.send(key(1))
    pedal.is_down(True)
    pedal.send(event(0, 3, 0))
    pedal.is_down(False)


def test_a_pedal_that_is_unplugged_is_released_and_found_again(ros, pedal):
    pedal.send(key(1))
    pedal.is_down(True)
    pedal.pull()
    pedal.is_down(False)
    pedal.insert()
    ros.spin_until(lambda: pedal.node._device.state == "listening", what="the pedal")
    pedal.send(key(1))
    pedal.is_down(True)


def test_a_node_that_ends_releases_the_pedal(pedal):
    pedal.send(key(1))
    pedal.is_down(True)
    pedal.node.shutdown()
    assert not pedal.node._device.pressed
    pedal.is_down(False)


def test_what_is_no_pedal_is_refused(ros, tmp_path):
    with pytest.raises(LaunchError, match="by-id"):
        ros.make(Pedal, device=str(tmp_path / "nothing"))
    (tmp_path / "file").write_text("")
    with pytest.raises(LaunchError, match="is no input device"):
        ros.make(Pedal, device=str(tmp_path / "file"))
