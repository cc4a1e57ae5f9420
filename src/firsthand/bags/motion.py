"""What joints, commands, hands and the gate did in a bag: stillness, limits, tracking, as far as they were recorded."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.bags.contents import hand_trajectory, stamp_ns
from firsthand.bags.read import Bag
from firsthand.errors import BagError
from firsthand.space.hand_state import FINGERTIPS, SIDES, WRIST_POSITIONS

Array = NDArray[np.floating]
Stamps = NDArray[np.int64]

SECOND = 1e9  # [ns]
WINDOW = 0.2  # [s] over which speeds are averaged
STILL_HANDS = 0.01  # [m/s] of the fastest wrist or fingertip
STILL_JOINTS = 0.05  # [rad/s] of the fastest joint
CHANGED = 0.02  # [rad] between a command and what the motors got: the gate limited it
NEAR_LIMIT = 0.01  # [rad]
MATCH = 0.02  # [s] between two messages of one moment


@dataclass(frozen=True)
class MotionReport:
    """How the robot, or the person, moved. Parts are of 1; None where the topics were not recorded."""

    still_start_s: float | None = None  # before the first motion
    still_end_s: float | None = None  # after the last
    still_part: float | None = None  # of the whole
    limited_part: float | None = None  # of the commands of an active gate: the motors got another one
    joints_at_limit: dict[str, float] = field(default_factory=dict)  # part of the time, by joint; those above 0 only
    following_p95: float | None = None  # [rad], the joint farthest from its motor command
    hands_lost: dict[str, float] = field(default_factory=dict)  # part of the headset's samples without it, by side
    gate_s: dict[str, float] = field(default_factory=dict)  # [s] in each state of the gate
    bad_messages: int = 0  # that could not be read


@dataclass(frozen=True)
class _Rows:
    stamps: Stamps  # (N,), rising
    names: tuple[str, ...]
    values: Array  # (N, D)


def report_motion(bag: Bag, ranges: Mapping[str, tuple[float, float]] | None = None) -> MotionReport:
    """Read the small topics of a bag.

    Args:
        bag: An open one.
        ranges: Lower and upper limit of joints by name, [rad]; joints without one are never at their limit.
    """
    bad: list[str] = []
    measured, wanted, given = (_joints(bag, name, bad) for name in ("joint_states", "joint_command", "motor_command"))
    hands = _read(bag, "hand_state", _hand_points, bad)
    gate = _gate(bag)
    moving = hands if hands is not None else measured
    speed_limit = STILL_HANDS if hands is not None else STILL_JOINTS
    return MotionReport(
        **_stillness(moving, speed_limit, points=hands is not None),
        limited_part=_limited(wanted, given, gate),
        joints_at_limit=_at_limits(given if given is not None else measured, ranges or {}),
        following_p95=_following(given, measured, gate),
        hands_lost=_hands_lost(bag, bad),
        gate_s=_gate_seconds(gate, bag.end_ns),
        bad_messages=len(bad),
    )


def _stillness(rows: _Rows | None, limit: float, points: bool) -> dict[str, float | None]:
    if rows is None or len(rows.stamps) < 3:
        return {"still_start_s": None, "still_end_s": None, "still_part": None}
    seconds = (rows.stamps - rows.stamps[0]) / SECOND
    grid = np.arange(0.0, seconds[-1], WINDOW)
    if len(grid) < 2:
        return {"still_start_s": None, "still_end_s": None, "still_part": None}
    at = rows.values[np.searchsorted(seconds, grid)]
    steps = np.diff(at, axis=0)
    if points:
        steps = np.linalg.norm(steps.reshape(len(steps), -1, 3), axis=-1)
    speed = np.abs(steps).max(axis=-1) / WINDOW
    moves = np.flatnonzero(speed > limit)
    whole = float(seconds[-1])
    return {
        "still_start_s": float(grid[moves[0]]) if len(moves) else whole,
        "still_end_s": whole - float(grid[moves[-1] + 1]) if len(moves) else whole,
        "still_part": float(np.mean(speed <= limit)),
    }


def _limited(wanted: _Rows | None, given: _Rows | None, gate: list[tuple[int, str]]) -> float | None:
    pairs = _matched(given, wanted)
    if pairs is None:
        return None
    stamps, differences = pairs
    active = _active(stamps, gate)
    return float(np.mean(differences[active] > CHANGED)) if active.any() else None


def _following(given: _Rows | None, measured: _Rows | None, gate: list[tuple[int, str]]) -> float | None:
    pairs = _matched(measured, given)
    if pairs is None:
        return None
    active = _active(pairs[0], gate)
    return float(np.percentile(pairs[1][active], 95)) if active.any() else None


def _matched(rows: _Rows | None, others: _Rows | None) -> tuple[Stamps, Array] | None:
    """The largest difference of a joint between each row and the newest of the others, where there is a young one."""
    if rows is None or others is None or set(rows.names) != set(others.names):
        return None
    order = [others.names.index(name) for name in rows.names]
    index = np.searchsorted(others.stamps, rows.stamps, side="right") - 1
    fresh = (index >= 0) & (rows.stamps - others.stamps[np.maximum(index, 0)] <= MATCH * SECOND)
    if not fresh.any():
        return None
    differences = np.abs(rows.values[fresh] - others.values[index[fresh]][:, order]).max(axis=1)
    return rows.stamps[fresh], differences


def _at_limits(rows: _Rows | None, ranges: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    if rows is None:
        return {}
    parts = {}
    for column, name in enumerate(rows.names):
        if name in ranges:
            lower, upper = ranges[name]
            at = (rows.values[:, column] <= lower + NEAR_LIMIT) | (rows.values[:, column] >= upper - NEAR_LIMIT)
            parts[name] = float(at.mean())
    return {name: part for name, part in parts.items() if part > 0}


def _active(stamps: Stamps, gate: list[tuple[int, str]]) -> NDArray[np.bool_]:
    """Which times lie in an active state of the gate; all, if the gate was not recorded."""
    if not gate:
        return np.ones(len(stamps), dtype=bool)
    index = np.searchsorted([begin for begin, _ in gate], stamps, side="right") - 1
    states = np.array([state for _, state in gate])
    return np.asarray((index >= 0) & (states[np.maximum(index, 0)] == "active"))


def _gate(bag: Bag) -> list[tuple[int, str]]:
    """The gate's states, each with the time from which it held."""
    topics = [name for name, info in bag.topics.items() if name.endswith("/gate_state") and info.count]
    return [(message.stamp_ns, str(message.message.data)) for message in bag.messages(topics)] if topics else []


def _gate_seconds(gate: list[tuple[int, str]], end_ns: int) -> dict[str, float]:
    seconds: dict[str, float] = {}
    ends = [begin for begin, _ in gate[1:]] + [end_ns]
    for (begin, state), end in zip(gate, ends, strict=False):  # no end without a beginning
        seconds[state] = seconds.get(state, 0.0) + (end - begin) / SECOND
    return seconds


def _hands_lost(bag: Bag, bad: list[str]) -> dict[str, float]:
    """Where the headset's raw joints lack a wrist, or say that it is not a number."""
    topics = [name for name, info in bag.topics.items() if name.endswith("/teleop/hands") and info.count]
    tracked = [values for _, _, values in _good(bag, topics, _tracked, bad)]
    return dict(zip(SIDES, (1.0 - np.mean(tracked, axis=0)).tolist(), strict=True)) if tracked else {}


def _tracked(message: Any) -> tuple[tuple[str, ...], Array]:
    """Whether each hand is there, (2,)."""
    names, points = list(message.joint_names), message.points
    there = [f"{side}_wrist" in names for side in SIDES]
    for side, name in enumerate(SIDES):
        if there[side]:
            place = points[0].transforms[names.index(f"{name}_wrist")].translation if points else None
            there[side] = place is not None and bool(np.isfinite([place.x, place.y, place.z]).all())
    return (), np.array(there, dtype=float)


def _joints(bag: Bag, name: str, bad: list[str]) -> _Rows | None:
    return _read(bag, name, _positions, bad)


def _positions(message: Any) -> tuple[tuple[str, ...], Array]:
    positions = np.asarray(message.position, dtype=float)
    if len(positions) != len(message.name) or not np.isfinite(positions).all():
        raise BagError(f"expected {len(message.name)} finite positions, one per name, got {len(positions)}")
    return tuple(message.name), positions


def _hand_points(message: Any) -> tuple[tuple[str, ...], Array]:
    vector = hand_trajectory(message).vectors[0]
    return (), np.concatenate([vector[WRIST_POSITIONS], vector[FINGERTIPS]])


def _read(bag: Bag, name: str, read: Callable[[Any], tuple[tuple[str, ...], Array]], bad: list[str]) -> _Rows | None:
    """The rows of a topic by stamp; messages that are wrong, or name other joints than the first, are counted."""
    topics = [topic for topic, info in bag.topics.items() if topic.endswith(f"/{name}") and info.count]
    stamps: list[int] = []
    rows: list[Array] = []
    names: tuple[str, ...] | None = None
    for stamp, found, values in _good(bag, topics[:1], read, bad):
        names = found if names is None else names
        if found == names:
            stamps.append(stamp)
            rows.append(values)
        else:
            bad.append(name)
    if not rows:
        return None
    times, order = np.unique(np.array(stamps, dtype=np.int64), return_index=True)
    return _Rows(times, names or (), np.array(rows)[order])


def _good(
    bag: Bag, topics: list[str], read: Callable[[Any], tuple[tuple[str, ...], Array]], bad: list[str]
) -> Iterable[tuple[int, tuple[str, ...], Array]]:
    for raw in bag.raw_messages(topics) if topics else ():
        try:
            message = bag.decode(raw)
            names, values = read(message)
            yield stamp_ns(message), names, values
        except BagError as error:
            bad.append(str(error))
