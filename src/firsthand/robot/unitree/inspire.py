"""The two Inspire hands on the wire: which number is which finger, and what 0 and 1 mean.

In each hand the wire goes little, ring, middle, index, thumb bend, thumb turn: ours from back to front. A hand is open
at the lower and closed at the upper limit of its joints.

        messages            order               scale
    dfx one, both hands     RIGHT hand first    1.0 open, 0.0 closed, in `q`
    ftp one a hand          its own topic       1000 open, 0 closed, in `angle`

So the twelve numbers of the DFX hands are our joints (left hand, then right hand) exactly in reverse.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import WireError
from firsthand.robot.joints import HANDS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.robot.unitree import wire
from firsthand.robot.unitree.topics import DFX_CMD, DFX_STATE, FTP_CMD, FTP_STATE, Topic

Array = NDArray[np.floating]

LEFT, RIGHT, BOTH = slice(0, 6), slice(6, 12), slice(0, 12)
"""Of the twelve hand joints, in the order of `joints.HANDS`."""

ANGLE_MODE = 1  # of the FTP hand's command: obey angle_set and nothing else
FULLY_OPEN = 1000  # of the FTP hand
ROOM_TEMPERATURE = 30  # [°C]


class Hands(Protocol):
    """One kind of hand: its topics, and its messages for both ends of the wire."""

    command_topics: tuple[Topic, ...]
    state_topics: tuple[Topic, ...]
    parts: tuple[slice, ...]  # of the twelve joints, which each topic carries

    def write_command(self, q: Array) -> tuple[bytes, ...]:
        """Commands for the twelve joint angles [rad], one a topic."""
        ...

    def read_command(self, index: int, payload: bytes) -> Array:
        """The joint angles [rad] that the command of the topic `index` asks for; NaN for a finger it leaves alone."""
        ...

    def write_state(self, q: Array) -> tuple[bytes, ...]:
        """What hands at the twelve joint angles [rad] report, one a topic."""
        ...

    def read_state(self, index: int, payload: bytes) -> Array:
        """The joint angles [rad] that the state on the topic `index` reports."""
        ...


class _Scale:
    """Joint angles [rad] to openness, 1 to 0, and back."""

    def __init__(self, model: RobotModel) -> None:
        self._upper = model.upper[HANDS_SLICE]
        self._range = self._upper - model.lower[HANDS_SLICE]

    def openness(self, q: Array, part: slice) -> Array:
        return np.clip((self._upper[part] - q) / self._range[part], 0.0, 1.0)

    def angles(self, openness: Array, part: slice) -> Array:
        return self._upper[part] - openness * self._range[part]


class DfxHands:
    """RH56DFX: both hands in one array of motors."""

    command_topics: tuple[Topic, ...] = (DFX_CMD,)
    state_topics: tuple[Topic, ...] = (DFX_STATE,)
    parts: tuple[slice, ...] = (BOTH,)

    def __init__(self, model: RobotModel) -> None:
        self._scale = _Scale(model)

    def write_command(self, q: Array) -> tuple[bytes, ...]:
        """See `Hands`."""
        commands = np.zeros(12, wire.HAND_MOTOR_CMD)
        commands["mode"] = 1
        commands["q"] = self._scale.openness(q, BOTH)[::-1]
        return (wire.encode_sequence(commands),)

    def read_command(self, index: int, payload: bytes) -> Array:
        """See `Hands`."""
        commands = wire.decode_sequence(payload, wire.HAND_MOTOR_CMD, 12)
        return self._scale.angles(_finite(commands["q"])[::-1], self.parts[index])

    def write_state(self, q: Array) -> tuple[bytes, ...]:
        """See `Hands`."""
        states = np.zeros(12, wire.HAND_MOTOR_STATE)
        states["mode"], states["temperature"] = 1, ROOM_TEMPERATURE
        states["q"] = states["q_raw"] = self._scale.openness(q, BOTH)[::-1]
        return (wire.encode_sequence(states),)

    def read_state(self, index: int, payload: bytes) -> Array:
        """See `Hands`."""
        states = wire.decode_sequence(payload, wire.HAND_MOTOR_STATE, 12)
        return self._scale.angles(_finite(states["q"])[::-1], self.parts[index])


class FtpHands:
    """RH56 with touch: a message a hand."""

    command_topics: tuple[Topic, ...] = FTP_CMD
    state_topics: tuple[Topic, ...] = FTP_STATE
    parts: tuple[slice, ...] = (LEFT, RIGHT)

    def __init__(self, model: RobotModel) -> None:
        self._scale = _Scale(model)

    def write_command(self, q: Array) -> tuple[bytes, ...]:
        """See `Hands`."""
        fields = [{"angle_set": self._counts(q[part], part)} for part in self.parts]
        return tuple(wire.encode_touch_hand(one, wire.TOUCH_HAND_CMD, ANGLE_MODE) for one in fields)

    def read_command(self, index: int, payload: bytes) -> Array:
        """See `Hands`; a command in another mode leaves every finger alone."""
        fields, mode = wire.decode_touch_hand(payload, wire.TOUCH_HAND_CMD)
        if not mode & ANGLE_MODE:
            return np.full(wire.FINGERS, np.nan)
        counts = self._six(fields["angle_set"]).astype(float)
        counts[counts < 0] = np.nan  # -1 leaves a finger where it is
        return self._scale.angles(np.minimum(counts / FULLY_OPEN, 1.0)[::-1], self.parts[index])

    def write_state(self, q: Array) -> tuple[bytes, ...]:
        """See `Hands`."""
        nothing = np.zeros(wire.FINGERS, int)
        payloads = []
        for part in self.parts:
            counts = self._counts(q[part], part)
            fields = dict.fromkeys(wire.TOUCH_HAND_STATE, nothing) | {
                "angle_act": counts,
                "pos_act": counts,
                "status": nothing + 2,  # position reached
                "temperature": nothing + ROOM_TEMPERATURE,
            }
            payloads.append(wire.encode_touch_hand(fields, wire.TOUCH_HAND_STATE, None))
        return tuple(payloads)

    def read_state(self, index: int, payload: bytes) -> Array:
        """See `Hands`."""
        fields, _ = wire.decode_touch_hand(payload, wire.TOUCH_HAND_STATE)
        return self._scale.angles(self._six(fields["angle_act"])[::-1] / FULLY_OPEN, self.parts[index])

    def _counts(self, q: Array, part: slice) -> NDArray[np.integer]:
        return np.rint(FULLY_OPEN * self._scale.openness(q, part)[::-1]).astype(int)

    @staticmethod
    def _six(values: NDArray[np.integer]) -> NDArray[np.integer]:
        if len(values) != wire.FINGERS:
            raise WireError(f"{len(values)} finger angles where a hand has {wire.FINGERS}")
        return values


def make_hands(model: RobotModel) -> Hands:
    """The hands that the model carries."""
    return DfxHands(model) if model.hand == "dfx" else FtpHands(model)


def _finite(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise WireError(f"finger positions that are not finite: {values.tolist()}")
    return np.asarray(values, dtype=float)
