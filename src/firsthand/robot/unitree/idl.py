"""The DDS types of the wire, for discovery: peers compare their names and layouts before they listen to each other.

Only `dds.py` imports this, once it has seen that CycloneDDS is the right one. The bytes are made by `wire.py`. Where
`unitree_sdk2py` is installed its own types are used, else these, which are the same to every peer.
"""

import contextlib
from dataclasses import dataclass

from cyclonedds import idl
from cyclonedds.idl import annotations, types

# ruff: noqa: D101 -- a field's meaning is in wire.py
# mypy: disable-error-code="misc, valid-type, name-defined, call-arg, type-arg"


@dataclass
@annotations.final
@annotations.autoid("sequential")
class HgMotorCmd(idl.IdlStruct, typename="unitree_hg.msg.dds_.MotorCmd_"):
    mode: types.uint8
    q: types.float32
    dq: types.float32
    tau: types.float32
    kp: types.float32
    kd: types.float32
    reserve: types.uint32


@dataclass
@annotations.final
@annotations.autoid("sequential")
class LowCmd(idl.IdlStruct, typename="unitree_hg.msg.dds_.LowCmd_"):
    mode_pr: types.uint8
    mode_machine: types.uint8
    motor_cmd: types.array[HgMotorCmd, 35]
    reserve: types.array[types.uint32, 4]
    crc: types.uint32


@dataclass
@annotations.final
@annotations.autoid("sequential")
class ImuState(idl.IdlStruct, typename="unitree_hg.msg.dds_.IMUState_"):
    quaternion: types.array[types.float32, 4]
    gyroscope: types.array[types.float32, 3]
    accelerometer: types.array[types.float32, 3]
    rpy: types.array[types.float32, 3]
    temperature: types.int16


@dataclass
@annotations.final
@annotations.autoid("sequential")
class HgMotorState(idl.IdlStruct, typename="unitree_hg.msg.dds_.MotorState_"):
    mode: types.uint8
    q: types.float32
    dq: types.float32
    ddq: types.float32
    tau_est: types.float32
    temperature: types.array[types.int16, 2]
    vol: types.float32
    sensor: types.array[types.uint32, 2]
    motorstate: types.uint32
    reserve: types.array[types.uint32, 4]


@dataclass
@annotations.final
@annotations.autoid("sequential")
class LowState(idl.IdlStruct, typename="unitree_hg.msg.dds_.LowState_"):
    version: types.array[types.uint32, 2]
    mode_pr: types.uint8
    mode_machine: types.uint8
    tick: types.uint32
    imu_state: ImuState
    motor_state: types.array[HgMotorState, 35]
    wireless_remote: types.array[types.uint8, 40]
    reserve: types.array[types.uint32, 4]
    crc: types.uint32


@dataclass
@annotations.final
@annotations.autoid("sequential")
class GoMotorCmd(idl.IdlStruct, typename="unitree_go.msg.dds_.MotorCmd_"):
    mode: types.uint8
    q: types.float32
    dq: types.float32
    tau: types.float32
    kp: types.float32
    kd: types.float32
    reserve: types.array[types.uint32, 3]


@dataclass
@annotations.final
@annotations.autoid("sequential")
class MotorCmds(idl.IdlStruct, typename="unitree_go.msg.dds_.MotorCmds_"):
    cmds: types.sequence[GoMotorCmd]


@dataclass
@annotations.final
@annotations.autoid("sequential")
class GoMotorState(idl.IdlStruct, typename="unitree_go.msg.dds_.MotorState_"):
    mode: types.uint8
    q: types.float32
    dq: types.float32
    ddq: types.float32
    tau_est: types.float32
    q_raw: types.float32
    dq_raw: types.float32
    ddq_raw: types.float32
    temperature: types.uint8
    lost: types.uint32
    reserve: types.array[types.uint32, 2]


@dataclass
@annotations.final
@annotations.autoid("sequential")
class MotorStates(idl.IdlStruct, typename="unitree_go.msg.dds_.MotorStates_"):
    states: types.sequence[GoMotorState]


@dataclass
@annotations.final
@annotations.autoid("sequential")
class TouchHandCtrl(idl.IdlStruct, typename="inspire.inspire_hand_ctrl"):
    pos_set: types.sequence[types.int16, 6]
    angle_set: types.sequence[types.int16, 6]
    force_set: types.sequence[types.int16, 6]
    speed_set: types.sequence[types.int16, 6]
    mode: types.int8


@dataclass
@annotations.final
@annotations.autoid("sequential")
class TouchHandState(idl.IdlStruct, typename="inspire.inspire_hand_state"):
    pos_act: types.sequence[types.int16, 6]
    angle_act: types.sequence[types.int16, 6]
    force_act: types.sequence[types.int16, 6]
    current: types.sequence[types.int16, 6]
    err: types.sequence[types.uint8, 6]
    status: types.sequence[types.uint8, 6]
    temperature: types.sequence[types.uint8, 6]


# The maker's remote procedure calls


@dataclass
@annotations.final
@annotations.autoid("sequential")
class RequestIdentity(idl.IdlStruct, typename="unitree_api.msg.dds_.RequestIdentity_"):
    id: types.int64
    api_id: types.int64


@dataclass
@annotations.final
@annotations.autoid("sequential")
class RequestLease(idl.IdlStruct, typename="unitree_api.msg.dds_.RequestLease_"):
    id: types.int64


@dataclass
@annotations.final
@annotations.autoid("sequential")
class RequestPolicy(idl.IdlStruct, typename="unitree_api.msg.dds_.RequestPolicy_"):
    priority: types.int32
    noreply: bool


@dataclass
@annotations.final
@annotations.autoid("sequential")
class RequestHeader(idl.IdlStruct, typename="unitree_api.msg.dds_.RequestHeader_"):
    identity: RequestIdentity
    lease: RequestLease
    policy: RequestPolicy


@dataclass
@annotations.final
@annotations.autoid("sequential")
class Request(idl.IdlStruct, typename="unitree_api.msg.dds_.Request_"):
    header: RequestHeader
    parameter: str
    binary: types.sequence[types.uint8]


@dataclass
@annotations.final
@annotations.autoid("sequential")
class ResponseStatus(idl.IdlStruct, typename="unitree_api.msg.dds_.ResponseStatus_"):
    code: types.int32


@dataclass
@annotations.final
@annotations.autoid("sequential")
class ResponseHeader(idl.IdlStruct, typename="unitree_api.msg.dds_.ResponseHeader_"):
    identity: RequestIdentity
    status: ResponseStatus


@dataclass
@annotations.final
@annotations.autoid("sequential")
class Response(idl.IdlStruct, typename="unitree_api.msg.dds_.Response_"):
    header: ResponseHeader
    data: str
    binary: types.sequence[types.uint8]


OURS: dict[str, type] = {
    "LowCmd_": LowCmd,
    "LowState_": LowState,
    "MotorCmds_": MotorCmds,
    "MotorStates_": MotorStates,
    "Request_": Request,
    "Response_": Response,
    "inspire_hand_ctrl": TouchHandCtrl,
    "inspire_hand_state": TouchHandState,
}


def _unitrees_own() -> dict[str, type]:
    """Those of the maker's SDK, where it is installed whole."""
    with contextlib.suppress(ImportError):
        from unitree_sdk2py.idl.unitree_go.msg.dds_ import MotorCmds_, MotorStates_
        from unitree_sdk2py.idl.unitree_hg.msg.dds_ import LowCmd_, LowState_

        return {one.__name__: one for one in (LowCmd_, LowState_, MotorCmds_, MotorStates_)}
    return {}


TYPES = OURS | _unitrees_own()
"""The type of each topic by its name in `topics.py`."""
