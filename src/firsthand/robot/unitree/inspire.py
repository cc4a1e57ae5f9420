"""The two Inspire hands on the wire: which number is which finger, and what 0 and 1 mean.

In each hand the wire goes little, ring, middle, index, thumb bend, thumb turn: ours from back to front. A hand is open
at the lower and closed at the upper limit of its joints.

        messages            order               scale
    dfx one, both hands     RIGHT hand first    1.0 open, 0.0 closed, in `q`
    ftp one a hand          its own topic       1000 open, 0 closed, in `angle`

So the twelve numbers of the DFX hands are our joints (left hand, then right hand) exactly in reverse.

Hands whose fingers do not go from 1.0 to 0.0 have `HandStrokes`: what is sent and what is read goes between those.
"""

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CalibrationError, WireError
from firsthand.robot.hand_strokes import HandStrokes
from firsthand.robot.joints import HANDS_SLICE
from firsthand.robot.unitree import wire
from firsthand.robot.unitree.topics import DFX_CMD, DFX_STATE, FTP_CMD, FTP_STATE, Topic

if TYPE_CHECKING:
    from firsthand.robot.model import RobotModel  # Pinocchio: the doctor reads fingers without

Array = NDArray[np.floating]

LEFT, RIGHT, BOTH = slice(0, 6), slice(6, 12), slice(0, 12)
"""Of the twelve hand joints, in the order of `joints.HANDS`."""

ANGLE_MODE = 1  # of the FTP hand's command: obey angle_set and nothing else
FULLY_OPEN = 1000  # of the FTP hand
SLACK = 0.25  # of the scale, beyond its ends, that a finger may report
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
    """Joint angles [rad] to what the wire says of them, 1 to 0 between a finger's own ends, and back."""

    def __init__(self, model: "RobotModel", strokes: HandStrokes | None) -> None:
        self._strokes = strokes or HandStrokes.nominal(model.hand)
        if self._strokes.hand != model.hand:
            raise CalibrationError(
                f"strokes of {self._strokes.hand} hands for a robot with {model.hand} hands; run `firsthand calibrate "
                f"hands --hand {model.hand}` with these"
            )
        self._upper = model.upper[HANDS_SLICE]
        self._range = self._upper - model.lower[HANDS_SLICE]

    def numbers(self, q: Array, part: slice) -> Array:
        return self._strokes.command(np.clip((self._upper[part] - q) / self._range[part], 0.0, 1.0), part)

    def angles(self, numbers: Array, part: slice) -> Array:
        return self._upper[part] - self._strokes.openness(numbers, part) * self._range[part]


class DfxHands:
    """RH56DFX: both hands in one array of motors."""

    command_topics: tuple[Topic, ...] = (DFX_CMD,)
    state_topics: tuple[Topic, ...] = (DFX_STATE,)
    parts: tuple[slice, ...] = (BOTH,)

    def __init__(self, model: "RobotModel", strokes: HandStrokes | None = None) -> None:
        self._scale = _Scale(model, strokes)

    def write_command(self, q: Array) -> tuple[bytes, ...]:
        """See `Hands`."""
        commands = np.zeros(12, wire.HAND_MOTOR_CMD)
        commands["mode"] = 1
        commands["q"] = self._scale.numbers(q, BOTH)[::-1]
        return (wire.encode_sequence(commands),)

    def read_command(self, index: int, payload: bytes) -> Array:
        """See `Hands`."""
        commands = wire.decode_sequence(payload, wire.HAND_MOTOR_CMD, 12)
        return self._scale.angles(_finite(commands["q"])[::-1], self.parts[index])

    def write_state(self, q: Array) -> tuple[bytes, ...]:
        """See `Hands`."""
        states = np.zeros(12, wire.HAND_MOTOR_STATE)
        states["mode"], states["temperature"] = 1, ROOM_TEMPERATURE
        states["q"] = states["q_raw"] = self._scale.numbers(q, BOTH)[::-1]
        return (wire.encode_sequence(states),)

    def read_state(self, index: int, payload: bytes) -> Array:
        """See `Hands`."""
        return self._scale.angles(read_dfx_state(payload)[::-1], self.parts[index])


class FtpHands:
    """RH56 with touch: a message a hand."""

    command_topics: tuple[Topic, ...] = FTP_CMD
    state_topics: tuple[Topic, ...] = FTP_STATE
    parts: tuple[slice, ...] = (LEFT, RIGHT)

    def __init__(self, model: "RobotModel", strokes: HandStrokes | None = None) -> None:
        self._scale = _Scale(model, strokes)

    def write_command(self, q: Array) -> tuple[bytes, ...]:
        """See `Hands`."""
        fields = [{"angle_set": self._counts(q[part], part)} for part in self.parts]
        return tuple(wire.encode_touch_hand(one, wire.TOUCH_HAND_CMD, ANGLE_MODE) for one in fields)

    def read_command(self, index: int, payload: bytes) -> Array:
        """See `Hands`; a command in another mode leaves every finger alone."""
        fields, mode = wire.decode_touch_hand(payload, wire.TOUCH_HAND_CMD)
        if not mode & ANGLE_MODE:
            return np.full(wire.FINGERS, np.nan)
        counts = _six(fields["angle_set"]).astype(float)
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
        return self._scale.angles(read_ftp_state(payload)[::-1], self.parts[index])

    def _counts(self, q: Array, part: slice) -> NDArray[np.integer]:
        return np.rint(FULLY_OPEN * self._scale.numbers(q, part)[::-1]).astype(int)


def read_dfx_state(payload: bytes) -> Array:
    """What both hands report, (12,) in the wire's order, on its scale of 1 (open) to 0.

    Raises:
        WireError: It is no such message, or fingers are where none can be.
    """
    return _of_a_finger(wire.decode_sequence(payload, wire.HAND_MOTOR_STATE, 12)["q"])


def read_ftp_state(payload: bytes) -> Array:
    """What a hand reports, (6,) in the wire's order, on a scale of 1 (open) to 0.

    Raises:
        WireError: It is no such message, or fingers are where none can be.
    """
    fields, _ = wire.decode_touch_hand(payload, wire.TOUCH_HAND_STATE)
    return _of_a_finger(_six(fields["angle_act"]) / FULLY_OPEN)


def _six(values: NDArray[np.integer]) -> NDArray[np.integer]:
    if len(values) != wire.FINGERS:
        raise WireError(f"{len(values)} finger angles where a hand has {wire.FINGERS}")
    return values


def make_hands(model: "RobotModel", strokes: HandStrokes | None = None) -> Hands:
    """The hands that the model carries.

    Args:
        model: The robot.
        strokes: How far these very fingers go; None: from 1 to 0.

    Raises:
        CalibrationError: The strokes are of another kind of hand.
    """
    return DfxHands(model, strokes) if model.hand == "dfx" else FtpHands(model, strokes)


def _of_a_finger(values: Array) -> Array:
    """Refuse what no finger can report: another unit, another message, noise on a serial line."""
    values = _finite(values)
    if not ((values > -SLACK) & (values < 1.0 + SLACK)).all():
        raise WireError(f"finger positions of {values.min():.3g} to {values.max():.3g}, expected 0 to 1")
    return values


def _finite(values: Array) -> Array:
    if not np.isfinite(values).all():
        raise WireError(f"finger positions that are not finite: {values.tolist()}")
    return np.asarray(values, dtype=float)
