"""A client of far-unitree-sdk, with the DDS library that it brings: never in one process with ours.

python far_client.py DOMAIN        prints what it saw as JSON
"""

import json
import os
import sys
import time

import unitree_interface

RIGHT_ELBOW, DURATION = 23, 1.5  # [s]
CONFIGURATION = """<CycloneDDS><Domain Id="any"><General><Interfaces><NetworkInterface name="lo"/></Interfaces>
<AllowMulticast>false</AllowMulticast></General><Discovery><ExternalDomainId>{domain}</ExternalDomainId>
<ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>
<Peers><Peer address="127.0.0.1"/></Peers></Discovery></Domain></CycloneDDS>"""


def main(domain: int) -> None:
    robot = unitree_interface.UnitreeInterface(
        "lo", unitree_interface.H1_2_HG_CONFIG, dds_config=CONFIGURATION.format(domain=domain)
    )
    before = wait_for_state(robot)
    command = robot.create_zero_command()
    command.q_target = [q - 0.3 * (slot == RIGHT_ELBOW) for slot, q in enumerate(before.motor.q)]
    command.kp = [140.0] * len(before.motor.q)
    command.kd = [3.0] * len(before.motor.q)
    end, sent = time.monotonic() + DURATION, 0
    while time.monotonic() < end:
        robot.write_low_command(command)
        sent += 1
        time.sleep(0.004)
    after = robot.read_low_state()
    print(
        json.dumps(
            {
                "mode_machine": after.mode_machine,
                "before": list(before.motor.q),
                "after": list(after.motor.q),
                "temperature": list(after.motor.temperature),
                "sent": sent,
            }
        ),
        flush=True,
    )
    os._exit(0)  # before the SDK's object is taken down: its threads go on meanwhile, and that can crash


def wait_for_state(robot: unitree_interface.UnitreeInterface) -> unitree_interface.LowState:
    deadline = time.monotonic() + 20.0
    while True:
        state = robot.read_low_state()
        if state.mode_machine:
            return state
        if time.monotonic() > deadline:
            sys.exit("no low state")
        time.sleep(0.02)


if __name__ == "__main__":
    main(int(sys.argv[1]))
