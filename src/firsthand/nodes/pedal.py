"""pedal: a USB foot pedal as a deadman, for teleop with clutch:=pedal.

out      teleop/pedal    Bool: true while it is down; at every change, and again and again: silence is a released pedal
"""

from dataclasses import dataclass

from rclpy.clock import Clock, ClockType
from std_msgs.msg import Bool

from firsthand.nodes.diagnostics import ERROR, OK, Diagnostics, Status
from firsthand.nodes.parameters import read_parameters, setting
from firsthand.nodes.process import RunnableNode, run
from firsthand.nodes.qos import PUBLISH
from firsthand.teleoperation.pedal import Pedal as Device


@dataclass(frozen=True)
class PedalSettings:
    """Parameters of the pedal node."""

    device: str = setting("", "The pedal, such as /dev/input/by-id/usb-PCsensor_FootSwitch-event-kbd.")
    grab: bool = setting(True, "Whether to keep what the pedal types from the window that has the keyboard.")
    rate: float = setting(20.0, "How often its state is said, [Hz].", minimum=5.0, maximum=100.0)


class Pedal(RunnableNode):
    """Publishes what the pedal does."""

    def __init__(self, **options: object) -> None:
        super().__init__("pedal", **options)
        s = read_parameters(self, PedalSettings)
        self._publisher = self.create_publisher(Bool, "teleop/pedal", PUBLISH)
        self._device = Device(s.device, self._publish, on_error=self.fail, grab=s.grab)
        self._device.start()
        self.create_timer(
            1 / s.rate, lambda: self._publish(self._device.pressed), clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        Diagnostics(self, hardware_id=s.device).add("pedal", self._status)

    def shutdown(self) -> None:
        """A pedal that nobody reads is released."""
        self._device.stop()
        self._publish(False)

    def _publish(self, pressed: bool) -> None:
        self._publisher.publish(Bool(data=pressed))

    def _status(self) -> Status:
        listening = self._device.state == "listening"
        return Status(OK if listening else ERROR, f"{self._device.state}, {'down' if self._device.pressed else 'up'}")


def main() -> int:
    """Run the node."""
    return run(Pedal)
