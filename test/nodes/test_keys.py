"""Keys in a real terminal: what they call, what they publish, and that the terminal is given back."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from functools import partial

import pytest

pytest.importorskip("rclpy")

from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from firsthand.errors import LaunchError
from firsthand.nodes.keys import KEYS, Keys
from firsthand.nodes.qos import EVERY, LATCHED

pytestmark = pytest.mark.ros


class Terminal:
    """The keys node in a terminal of its own; what it shows is collected."""

    def __init__(self):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        command = [sys.executable, "-m", "firsthand.nodes.keys"]
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=self.slave)
        self.shown = ""

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.shown += os.read(self.master, 65536).decode(errors="replace")
        return self.shown

    def press(self, keys):
        os.write(self.master, keys.encode())

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 30
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read()
            time.sleep(0.02)
        code = self.process.wait(timeout=1)
        after = termios.tcgetattr(self.slave)
        os.close(self.master)
        os.close(self.slave)
        return code, after


def test_keys_reach_the_recorder_and_the_gate_and_answers_are_shown(ros):
    node = ros.node("graph")
    called, heard = [], []

    def answer(name, success=True):
        def on_call(request, response):
            called.append((name, getattr(request, "data", None)))
            response.success, response.message = success, f"from {name}"
            return response

        return on_call

    for name in ("recorder/toggle", "recorder/discard"):
        node.create_service(Trigger, name, answer(name))
    node.create_service(SetBool, "estop", answer("estop"))
    node.create_service(SetBool, "engage", answer("engage", success=False))
    for topic in ("recorder/label", "recorder/task"):
        node.create_subscription(String, topic, lambda m, topic=topic: heard.append((topic, m.data)), EVERY)
    state = node.create_publisher(String, "recorder/state", LATCHED)
    state.publish(String(data="ready: nothing recorded yet"))
    terminal = Terminal()

    def wait_for(text):
        ros.spin_until(lambda: text in terminal.read(), timeout=20.0, what=text)

    try:
        wait_for("recorder/state: ready")
        assert "EMERGENCY STOP" in terminal.shown
        ros.spin_until(lambda: node.count_publishers("/recorder/label") == 1, timeout=60.0)
        terminal.press(" ")
        wait_for("done, EMERGENCY STOP: from estop")
        terminal.press("re")
        wait_for("REFUSED, engage: the robot follows: from engage")
        terminal.press("y")
        wait_for("label: success")
        terminal.press("tpush thx\x7fe box\r")
        wait_for("task: push the box")
        terminal.press("lnever\x1b")
        wait_for("not sent")
        terminal.press("p")
        wait_for("nobody offers set_source")
        ros.spin_until(lambda: len(heard) == 2)
        terminal.press("q")
    finally:
        code, after = terminal.close()
    assert code == 0
    assert after == terminal.before, "the terminal is as it was"
    assert called == [("estop", True), ("recorder/toggle", None), ("engage", True)]
    assert heard == [("recorder/label", "success"), ("recorder/task", "push the box")]


def test_an_arrow_is_no_keys_and_two_spaces_stop_the_robot_in_the_middle_of_a_text(ros):
    node = ros.node("graph")
    called, stopped, heard = [], [], []

    def on_call(name, request, response):
        called.append(name)
        response.success = True
        return response

    for name in ("recorder/toggle", "recorder/discard"):
        node.create_service(Trigger, name, partial(on_call, name))
    for name in ("estop", "engage"):
        node.create_service(SetBool, name, partial(on_call, name))
    node.create_subscription(Bool, "estop", lambda m: stopped.append(m.data), EVERY)
    node.create_subscription(String, "recorder/task", lambda m: heard.append(m.data), EVERY)
    terminal = Terminal()

    def wait_for(text):
        ros.spin_until(lambda: text in terminal.read(), timeout=20.0, what=text)

    try:
        ros.spin_until(lambda: node.count_publishers("/recorder/task") == 1, timeout=60.0)
        ros.spin_until(lambda: node.count_publishers("/estop") == 1, timeout=60.0)
        terminal.press("tpush")
        wait_for("push")
        terminal.press("\x1b[D red")  # an arrow: the letters after it are still text, however soon they come
        time.sleep(2.0)  # the subscriptions above are discovered from its side, too
        terminal.press("\r")
        wait_for("task: push red")
        terminal.press("tpush ")
        wait_for("push ")
        terminal.press(" ")
        wait_for("done, EMERGENCY STOP")
        terminal.press("t")
        time.sleep(0.3)
        terminal.press(" ")  # nothing begins with a space
        ros.spin_until(lambda: called == ["estop"] * 2 and stopped == [True] * 2, timeout=20.0, what="two stops")
        ros.spin_until(lambda: heard == ["push red"])
    finally:
        terminal.close()
    assert called == ["estop"] * 2


def test_without_a_terminal_it_says_so(ros, monkeypatch):
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115 -- closed below
    with pytest.raises(LaunchError, match="firsthand keys"):
        ros.make(Keys)
    sys.stdin.close()


def test_every_key_does_one_thing():
    for key in KEYS.values():
        assert bool(key.service) != bool(key.topic), key
