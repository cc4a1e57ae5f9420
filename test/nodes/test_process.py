"""A node's process ends well: last words first, exit code after; a rated thread keeps its times and its errors."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from std_msgs.msg import String

from firsthand.nodes.diagnostics import WARN, Diagnostics, Status
from firsthand.nodes.process import RatedThread, prepare_process
from firsthand.nodes.qos import EVERY

pytestmark = pytest.mark.ros

NODE = """
import ctypes
import sys
from dataclasses import dataclass
from std_msgs.msg import String
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RatedThread, RunnableNode, run
from firsthand.nodes.qos import PUBLISH

@dataclass(frozen=True)
class ExampleSettings:
    rate: float = setting(250.0, "Ticks a second.", minimum=1.0)
    break_after: int = setting(0, "Tick that raises.")
    finish_after: int = setting(0, "Tick that is the last.")
    break_timer: bool = setting(False, "Raise in a callback.")
    hang: bool = setting(False, "Never come back from the teardown, and let no other Python run.")

class Example(RunnableNode):
    def __init__(self, **options):
        super().__init__("example", **options)
        self.settings = read_parameters(self, ExampleSettings)
        self.ticks = 0
        self.words = self.create_publisher(String, "words", PUBLISH)
        self.thread = RatedThread(1 / self.settings.rate, self.tick, on_error=self.fail)
        self.thread.start()
        if self.settings.break_timer:
            self.create_timer(0.05, lambda: 1 / 0)

    def tick(self):
        self.ticks += 1
        self.words.publish(String(data="tick"))
        if self.ticks == self.settings.break_after:
            raise ZeroDivisionError("broken on purpose")
        if self.ticks == self.settings.finish_after:
            self.finished.set()

    def destroy_node(self):
        if self.settings.hang:
            ctypes.PyDLL(None).pause()
        super().destroy_node()

    def shutdown(self):
        self.thread.stop()
        self.words.publish(String(data="last words"))
        self.words.wait_for_all_acked()
        print("shut down", flush=True)

sys.exit(run(Example))
"""


@pytest.fixture
def start(ros_domain):
    processes = []

    def start(*arguments):
        command = [sys.executable, "-c", NODE, "--ros-args", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.terminate()  # killed, it could take this process along (see test_graph.py)
        process.communicate(timeout=20)


def listen(ros):
    heard = []
    ros.node().create_subscription(String, "words", lambda message: heard.append(message.data), EVERY)
    return heard


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 3, [signal.SIGTERM] * 2])
def test_signals_end_it_with_last_words_and_zero(ros, start, signals):
    heard = listen(ros)
    process = start()
    ros.spin_until(lambda: heard, timeout=30.0)
    for number in signals:
        process.send_signal(number)
    ros.spin_until(lambda: "last words" in heard)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    assert stdout == "shut down\n"
    assert "Traceback" not in stderr


def test_an_error_on_the_thread_ends_it_with_one(start):
    process = start("-p", "break_after:=5")
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "ZeroDivisionError: broken on purpose" in stderr
    assert stdout == "shut down\n"


def test_an_error_in_a_callback_ends_it_with_one(start):
    process = start("-p", "break_timer:=true")
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "ZeroDivisionError: division by zero" in stderr
    assert stdout == "shut down\n"


def test_its_own_end_is_a_good_end(start):
    process = start("-p", "finish_after:=5")
    stdout, _ = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (0, "shut down\n")


@pytest.mark.parametrize(("end", "code"), [("finish_after", -signal.SIGALRM), ("break_after", 1)])
def test_a_middleware_that_hangs_does_not_keep_it(start, end, code):
    process = start("-p", f"{end}:=5", "-p", "hang:=true")
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert stdout == "shut down\n"
    assert "in destroy_node" in stderr


def test_a_wrong_parameter_is_one_clear_line(start):
    process = start("-p", "rat:=5")
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert (
        "LaunchError: example has no parameter rat; it has rate, break_after, finish_after, break_timer, hang" in stderr
    )
    assert "Traceback" not in stderr
    assert stdout == ""


def environment_after_preparing(**given):
    """What `prepare_process` makes of an environment, in a process of its own."""
    names = ("ROS_AUTOMATIC_DISCOVERY_RANGE", "FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
    code = f"""
        import os
        from firsthand.nodes.process import prepare_process
        prepare_process()
        print(*(os.environ[name] for name in {names}), sep="\\n")
    """
    environment = {key: value for key, value in os.environ.items() if key not in names} | given
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
        timeout=60,
    )
    return result.stdout.split()


def test_transport_and_discovery_are_set():
    discovery, fastdds, fastrtps = environment_after_preparing()
    assert discovery == "LOCALHOST"
    assert fastdds == fastrtps
    assert fastdds.endswith("config/fastdds.xml")
    assert os.path.isfile(fastdds)


def test_what_the_user_has_set_stays():
    given = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "FASTDDS_DEFAULT_PROFILES_FILE": "/mine.xml"}
    discovery, fastdds, _ = environment_after_preparing(**given)
    assert (discovery, fastdds) == ("SUBNET", "/mine.xml")
    prepare_process()  # twice does no harm


def ticking(period, tick, count):
    """Run a thread until it has ticked `count` times."""
    done, errors = threading.Event(), []

    def counted():
        tick()
        if thread.statistics().ticks >= count - 1:
            done.set()

    thread = RatedThread(period, counted, on_error=lambda error: (errors.append(error), done.set()), priority=0)
    thread.start()
    assert done.wait(20.0)
    thread.stop()
    return thread.statistics(), errors


def test_ticks_are_counted_from_absolute_times():
    begin = time.monotonic()
    statistics, errors = ticking(0.002, lambda: None, 200)
    elapsed = time.monotonic() - begin
    assert not errors
    assert statistics.ticks >= 200
    assert elapsed >= 0.002 * 198  # never ahead of time, however late single ticks were
    assert 0 <= statistics.lateness_p50 <= statistics.lateness_p99 <= statistics.lateness_max


def test_lost_periods_are_left_out_and_counted():
    slow = iter([0.05])
    statistics, _ = ticking(0.002, lambda: time.sleep(next(slow, 0.0)), 20)
    assert statistics.missed >= 20  # some 24 periods went by in the slow tick
    assert statistics.work_p99 > 0.01


def test_an_error_ends_the_thread_and_is_handed_over():
    def broken():
        raise ValueError("no")

    statistics, errors = ticking(0.002, broken, 5)
    assert [str(error) for error in errors] == ["no"]
    assert statistics.ticks == 0


def test_stop_before_start_and_twice():
    thread = RatedThread(0.01, lambda: None, on_error=print)
    thread.stop()
    thread.stop()
    assert thread.statistics().ticks == 0


def test_diagnostics(ros):
    node = ros.node("example")
    heard = []
    node.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    diagnostics = Diagnostics(node, hardware_id="robot", period=0.05)
    diagnostics.add("motion", lambda: Status(WARN, "a little late", {"p99 [ms]": 1.23456, "ticks": 7}))
    ros.spin_until(lambda: heard)
    status = heard[0].status[0]
    assert (status.name, status.level, status.message) == ("example: motion", WARN, "a little late")
    assert (status.hardware_id, {one.key: one.value for one in status.values}) == (
        "robot",
        {"p99 [ms]": "1.235", "ticks": "7"},
    )
