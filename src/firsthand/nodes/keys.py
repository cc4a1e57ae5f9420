"""keys: the operator's keyboard. One key records, labels, engages, or stops the robot; what nodes answer is shown.

in        recorder/state, gate_state
out       recorder/task, recorder/label    std_msgs/String
          estop                            std_msgs/Bool, true: beside the call
calls     recorder/toggle, recorder/discard, engage, estop, set_source

It needs a terminal: start it as `firsthand keys` beside the launch, not from within.
"""

import os
import re
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable
from dataclasses import dataclass

from rclpy.client import Client
from rclpy.task import Future
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from firsthand.errors import LaunchError
from firsthand.nodes.process import RunnableNode, run
from firsthand.nodes.qos import LATCHED, PUBLISH

POLL = 0.1  # [s]
ESCAPE, ENTER, BACKSPACE = "\x1b", "\r\n", "\x7f\b"
SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|O.)")  # what a terminal sends for an arrow, or a function key
PANIC = "  "  # in the middle of a text: nobody means two spaces, or one at its beginning


@dataclass(frozen=True)
class Key:
    """What one key does: it calls a service, or it asks for a line of text and publishes that."""

    about: str
    service: str = ""
    value: bool | None = None  # of a SetBool; None: the service is a Trigger
    topic: str = ""
    text: str = ""  # what is published; empty: asked for


KEYS = {
    "r": Key("record: start an episode, or stop it", service="recorder/toggle"),
    "d": Key("discard the episode in progress, or the last one", service="recorder/discard"),
    "y": Key("label the episode a success", topic="recorder/label", text="success"),
    "n": Key("label it a failure", topic="recorder/label", text="failure"),
    "l": Key("label it in other words", topic="recorder/label"),
    "t": Key("say what the next episodes show", topic="recorder/task"),
    " ": Key("EMERGENCY STOP", service="estop", value=True),
    "c": Key("clear the emergency stop", service="estop", value=False),
    "e": Key("engage: the robot follows", service="engage", value=True),
    "w": Key("disengage", service="engage", value=False),
    "p": Key("the policy moves the hands", service="set_source", value=True),
    "h": Key("the person moves the hands", service="set_source", value=False),
}
NAMES = {" ": "SPACE"}
HELP = "\n".join([*(f"  {NAMES.get(key, key):>5}  {one.about}" for key, one in KEYS.items()), "      q  quit"])


class Keys(RunnableNode):
    """Reads keys on a thread of its own; services answer on the executor's."""

    def __init__(self, **options: object) -> None:
        super().__init__("keys", **options)
        if not sys.stdin.isatty():
            raise LaunchError("keys reads a terminal, and this is none; start `firsthand keys` in one of its own")
        self._callers: dict[str, Client] = {}
        for key in KEYS.values():
            if key.service and key.service not in self._callers:
                kind = Trigger if key.value is None else SetBool
                self._callers[key.service] = self.create_client(kind, key.service)
        topics = {key.topic for key in KEYS.values() if key.topic}
        self._outputs = {topic: self.create_publisher(String, topic, PUBLISH) for topic in topics}
        self._stops = self.create_publisher(Bool, "estop", PUBLISH)
        for topic in ("recorder/state", "gate_state"):
            self.create_subscription(String, topic, lambda m, topic=topic: self._say(f"{topic}: {m.data}"), LATCHED)
        self._line: tuple[Key, str] | None = None  # a text that is being typed
        self._input = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._input)
        tty.setcbreak(self._input)
        self._say(HELP)
        self._thread = threading.Thread(target=self._read, name="keys", daemon=True)
        self._thread.start()

    def shutdown(self) -> None:
        """Give the terminal back as it was."""
        self.finished.set()
        self._thread.join(1.0)
        termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    def press(self, pressed: str) -> None:
        """Do what keys say that came at once: an arrow is three characters, and no three keys."""
        for character in SEQUENCE.sub("", pressed):
            self._press(character)

    def _press(self, character: str) -> None:
        if self._line is not None:
            self._type(*self._line, character)
        elif character in KEYS:
            self._begin(KEYS[character])
        elif character in "qQ\x04":
            self.finished.set()
        elif character.strip() and character != ESCAPE:
            self._say(f"no key {character!r}; there are:\n{HELP}")

    def _begin(self, key: Key) -> None:
        if key.service:
            self._call(key)
        elif key.text:
            self._publish(key, key.text)
        else:
            self._line = (key, "")
            self._say(f"{key.about} (Enter sends, Escape does not, SPACE twice: EMERGENCY STOP):")

    def _type(self, key: Key, text: str, character: str) -> None:
        if character == ESCAPE:
            self._line = None
            self._say("not sent")
        elif character in ENTER:
            self._line = None
            self._publish(key, text)
        elif f" {text}{character}".endswith(PANIC):
            self._line = None
            self._begin(KEYS[" "])
        else:
            text = text[:-1] if character in BACKSPACE else text + character
            self._line = (key, text)
            sys.stdout.write(f"\r\x1b[K{text}")
            sys.stdout.flush()

    def _publish(self, key: Key, text: str) -> None:
        output = self._outputs[key.topic]
        if output.get_subscription_count() == 0:
            self._say(f"nobody listens to {output.topic_name}: is the recorder running, in this ROS_DOMAIN_ID?")
            return
        output.publish(String(data=text))
        self._say(f"{key.topic.rpartition('/')[2]}: {text}")

    def _call(self, key: Key) -> None:
        client = self._callers[key.service]
        if key is KEYS[" "]:
            self._stops.publish(Bool(data=True))
        if not client.service_is_ready():
            self._say(f"NOT DONE, {key.about}: nobody offers {client.srv_name}; is it running, in this ROS_DOMAIN_ID?")
            return
        request = Trigger.Request() if key.value is None else SetBool.Request(data=key.value)
        client.call_async(request).add_done_callback(self._answered(key))

    def _answered(self, key: Key) -> Callable[[Future], None]:
        def show(future: Future) -> None:
            answer = future.result()
            self._say(f"{'done' if answer.success else 'REFUSED'}, {key.about}: {answer.message}")

        return show

    def _read(self) -> None:
        try:
            while not self.finished.is_set():
                if select.select([self._input], [], [], POLL)[0]:
                    pressed = os.read(self._input, 64).decode(errors="replace")
                    if not pressed:  # the terminal has gone
                        self.finished.set()
                    self.press(pressed)
        except Exception as error:  # ROS going down, or the terminal
            self.fail(error)

    def _say(self, text: str) -> None:
        print(f"\r\x1b[K{text}", flush=True)


def main() -> int:
    """Run the keyboard."""
    return run(Keys)


if __name__ == "__main__":
    sys.exit(main())
