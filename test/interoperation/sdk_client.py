"""A client of unitree_sdk2py, as its examples are written: first arm_sdk, then through the motion switcher to lowcmd.

python sdk_client.py DOMAIN        prints what it saw as JSON
"""

import json
import sys
import time

from unitree_sdk2py.comm.motion_switcher.motion_switcher_client import MotionSwitcherClient
from unitree_sdk2py.core.channel import ChannelFactoryInitialize, ChannelPublisher, ChannelSubscriber
from unitree_sdk2py.idl.default import unitree_hg_msg_dds__LowCmd_
from unitree_sdk2py.idl.unitree_go.msg.dds_ import MotorCmd_, MotorCmds_, MotorStates_
from unitree_sdk2py.idl.unitree_hg.msg.dds_ import LowCmd_, LowState_
from unitree_sdk2py.utils.crc import CRC

LEFT_SHOULDER_PITCH, RIGHT_ELBOW, WEIGHT_SLOT = 13, 23, 27
RIGHT_INDEX_FINGER = 3  # of the twelve numbers of the DFX hands
PERIOD = 0.01  # [s]


class Client:
    """What the examples of the SDK do, in one object."""

    def __init__(self) -> None:
        self.crc = CRC()
        self.state: LowState_ | None = None
        self.hands: MotorStates_ | None = None
        self.bad_checksums = self.states = 0
        self.subscribers = [
            ChannelSubscriber("rt/lowstate", LowState_),
            ChannelSubscriber("rt/inspire/state", MotorStates_),
        ]
        self.subscribers[0].Init(self.on_state, 10)
        self.subscribers[1].Init(self.on_hands, 10)
        self.publishers = {topic: ChannelPublisher(topic, LowCmd_) for topic in ("rt/arm_sdk", "rt/lowcmd")}
        self.hand_publisher = ChannelPublisher("rt/inspire/cmd", MotorCmds_)
        for publisher in (*self.publishers.values(), self.hand_publisher):
            publisher.Init()

    def on_state(self, message: LowState_) -> None:
        self.state = message
        self.states += 1
        if self.states % 20 == 0:
            self.bad_checksums += self.crc.Crc(message) != message.crc

    def on_hands(self, message: MotorStates_) -> None:
        self.hands = message

    def positions(self) -> list[float]:
        return [motor.q for motor in self.state.motor_state[:27]]

    def finger_positions(self) -> list[float]:
        return [motor.q for motor in self.hands.states]

    def command(self, wanted: list[float], weight: float = 0.0) -> LowCmd_:
        command = unitree_hg_msg_dds__LowCmd_()
        command.mode_machine = self.state.mode_machine
        for slot, q in enumerate(wanted):
            motor = command.motor_cmd[slot]
            motor.mode, motor.q, motor.kp, motor.kd = 1, q, 140.0, 3.0
        command.motor_cmd[WEIGHT_SLOT].q = weight
        command.crc = self.crc.Crc(command)
        return command

    def hold(self, topic: str, wanted: list[float], seconds: float, weight: float = 0.0) -> None:
        command, end = self.command(wanted, weight), time.monotonic() + seconds
        while time.monotonic() < end:
            self.publishers[topic].Write(command)
            time.sleep(PERIOD)

    def close_a_finger(self, finger: int, seconds: float) -> None:
        wanted = [MotorCmd_(1, q, 0.0, 0.0, 0.0, 0.0, [0, 0, 0]) for q in self.finger_positions()]
        wanted[finger].q = 0.2
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.hand_publisher.Write(MotorCmds_(wanted))
            time.sleep(PERIOD)


def main(domain: int) -> None:
    ChannelFactoryInitialize(domain, "lo")
    client = Client()
    deadline = time.monotonic() + 20.0
    while client.state is None or client.hands is None:
        if time.monotonic() > deadline:
            sys.exit("no state")
        time.sleep(0.02)
    seen = {"start": client.positions(), "fingers before": client.finger_positions()}
    lifted = client.positions()
    lifted[LEFT_SHOULDER_PITCH] -= 0.3
    client.hold("rt/arm_sdk", lifted, 1.5, weight=1.0)
    seen["after arm_sdk"] = client.positions()
    client.close_a_finger(RIGHT_INDEX_FINGER, 1.0)
    seen["fingers after"] = client.finger_positions()
    switcher = MotionSwitcherClient()
    switcher.SetTimeout(5.0)
    switcher.Init()
    seen["mode before"] = switcher.CheckMode()[1]["name"]
    switcher.ReleaseMode()
    seen["mode after"] = switcher.CheckMode()[1]["name"]
    bent = client.positions()
    bent[RIGHT_ELBOW] -= 0.3
    client.hold("rt/lowcmd", bent, 1.5)
    seen["after lowcmd"] = client.positions()
    seen |= {"mode_machine": client.state.mode_machine, "states": client.states, "bad checksums": client.bad_checksums}
    print(json.dumps(seen))


if __name__ == "__main__":
    main(int(sys.argv[1]))
    sys.stdout.flush()
    import os

    os._exit(0)  # the SDK's reader threads wait for ever
