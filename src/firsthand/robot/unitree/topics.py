"""What travels on which topic between computer and robot."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """A name on the wire and the type that goes with it."""

    name: str
    type: str  # a key of idl.TYPES


LOW_CMD = Topic("rt/lowcmd", "LowCmd_")
"""Commands to all motors, obeyed in debug mode (L2+R2 on the remote)."""
ARM_SDK = Topic("rt/arm_sdk", "LowCmd_")
"""Commands to waist and arms, blended over the robot's own controller by the weight in slot 27."""
LOW_STATE = Topic("rt/lowstate", "LowState_")

DFX_CMD = Topic("rt/inspire/cmd", "MotorCmds_")
"""Both DFX hands in one array."""
DFX_STATE = Topic("rt/inspire/state", "MotorStates_")

FTP_CMD = tuple(Topic(f"rt/inspire_hand/ctrl/{side}", "inspire_hand_ctrl") for side in "lr")
"""An FTP hand each, left then right."""
FTP_STATE = tuple(Topic(f"rt/inspire_hand/state/{side}", "inspire_hand_state") for side in "lr")

SWITCHER_REQUEST = Topic("rt/api/motion_switcher/request", "Request_")
SWITCHER_RESPONSE = Topic("rt/api/motion_switcher/response", "Response_")
"""The service that knows which of the robot's own controllers runs."""
