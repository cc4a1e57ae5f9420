"""A robot's side of a bag: what was measured at each camera pair, and what was commanded for the next.

observation.state, .joints   the newest with a header stamp not after t
action                       see `BagConversion.action`
action.joints                the newest command not after t + 1 / fps
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from firsthand.bags.contents import HandTrajectory, hand_trajectory
from firsthand.bags.read import Bag
from firsthand.errors import BagError
from firsthand.policy.hand_over import ChunkTimeline
from firsthand_training.demonstrations.bag_conversion import BagConversion
from firsthand_training.demonstrations.bag_series import (
    HAND_STATES,
    JOINT_STATES,
    SECOND,
    BagFrames,
    Flags,
    Stamps,
    gate_was_active,
    hand_series,
    has,
    joint_series,
    recorded,
)

Array = NDArray[np.floating]
HandStates = Callable[[Array], Array]  # joints (26,) to the 54 numbers

MAX_CHUNK_DELAY = 2.0  # [s] from observation to recorded chunk
MAX_CLOCK_ERROR = 0.05  # [s]
COMMANDS = ("motor_command", "joint_command")  # the first that was recorded; the motors' own is the truer one
CHUNKS, TARGETS = "action_chunk", "teleop/target"


def align_robot(bag: Bag, pairs: Stamps, breaks: Flags, settings: BagConversion, hand_states: HandStates) -> BagFrames:
    """State and action at each camera pair.

    Raises:
        BagError: A topic is missing, or its messages are wrong.
    """
    now = pairs[:, 0]
    then = now + round(SECOND / settings.fps)
    measured = joint_series(bag, JOINT_STATES)
    joints, fresh_joints = measured.before(now, settings.max_state_age)
    action_joints, fresh_command = joint_series(bag, recorded(bag, COMMANDS, "joint commands")).before(
        then, settings.max_command_age
    )
    if has(bag, HAND_STATES):
        state, fresh_state = hand_series(bag, HAND_STATES).before(now, settings.max_state_age)
    else:
        state, fresh_state = np.array([hand_states(q) for q in joints]), fresh_joints
    action, covered = _actions(bag, then, action_joints, settings, hand_states)
    lacks = {"joints": ~fresh_joints, "commands": ~fresh_command, "hand states": ~fresh_state, "targets": ~covered}
    quality = gate_was_active(bag, now).astype(float)
    return BagFrames(pairs, breaks, state, action, joints, action_joints, quality, lacks)


def _actions(
    bag: Bag, then: Stamps, action_joints: Array, settings: BagConversion, hand_states: HandStates
) -> tuple[Array, Flags]:
    """The hand target in effect at each time, (N, 54), and where there was one."""
    kind = settings.action if settings.action != "auto" else _what_led(bag)
    if kind == "measured":
        if has(bag, HAND_STATES):
            return hand_series(bag, HAND_STATES).before(then, settings.max_state_age)
        reached, fresh = joint_series(bag, JOINT_STATES).before(then, settings.max_state_age)
        return np.array([hand_states(q) for q in reached]), fresh
    if kind == "joints":
        return np.array([hand_states(q) for q in action_joints]), np.ones(len(then), dtype=bool)
    topic = recorded(bag, (CHUNKS, TARGETS), "action chunks")
    if topic == TARGETS and _are_single(bag, topic):
        return hand_series(bag, topic).before(then, settings.max_target_age)
    return _chunk_targets(_chunks(bag, topic), then)


def _what_led(bag: Bag) -> str:
    """Where targets come from: one source's own, or the joint commands if there were none or more than one."""
    return "chunks" if has(bag, CHUNKS) != has(bag, TARGETS) else "joints"


def _are_single(bag: Bag, name: str) -> bool:
    """Whether a topic carries targets that are due at once, not chunks."""
    first = next(iter(bag.messages([bag.find_topic(name)])))
    return len(hand_trajectory(first.message).vectors) == 1


def _chunk_targets(chunks: list[tuple[int, HandTrajectory]], times: Stamps) -> tuple[Array, Flags]:
    rate = _chunk_rate([chunk for _, chunk in chunks])
    timeline = ChunkTimeline(rate)
    targets, covered = np.zeros((len(times), 54)), np.zeros(len(times), dtype=bool)
    arrived = 0
    for i, time in enumerate(times.tolist()):
        while arrived < len(chunks) and chunks[arrived][0] <= time:
            arrival, chunk = chunks[arrived]
            timeline.add(chunk.stamp_ns, chunk.vectors, arrival)
            arrived += 1
        target = timeline.target(time)
        if target is not None:
            targets[i], covered[i] = target.vector, True
    return targets, covered


def _chunk_rate(chunks: list[HandTrajectory]) -> float:
    """Actions per second, the same in all chunks: the i-th is due (i + 1) / rate after the stamp."""
    rates = {round(len(chunk.times_ns) * SECOND / chunk.times_ns[-1], 3) for chunk in chunks if chunk.times_ns[-1] > 0}
    if len(rates) != 1:
        raise BagError(f"expected chunks of one rate, got {sorted(rates) or 'only targets without a time'}")
    return rates.pop()


def _chunks(bag: Bag, name: str) -> list[tuple[int, HandTrajectory]]:
    """Chunks with the time at which each arrived, in that order."""
    topic = bag.find_topic(name)
    chunks = [(message.stamp_ns, hand_trajectory(message.message)) for message in bag.messages([topic])]
    delay = float(np.median([arrival - chunk.stamp_ns for arrival, chunk in chunks])) / SECOND
    if not -MAX_CLOCK_ERROR <= delay <= MAX_CHUNK_DELAY:
        raise BagError(
            f"{bag.path}: chunks on {topic} were recorded {delay:.3f} s after their stamps; the recorder ran on "
            "another clock than the policy. Record with the same use_sim_time, or convert with action='joints'"
        )
    return chunks


def forward_kinematics(hand: str = "dfx") -> HandStates:
    """The H1-2's with one kind of hand, loaded when the first frame needs it."""
    model = None

    def hand_states(q: Array) -> Array:
        nonlocal model
        if model is None:
            from firsthand.robot.description import urdf
            from firsthand.robot.model import RobotModel  # brings Pinocchio; most bags have hand states

            model = RobotModel.load(urdf(hand))
        return model.hand_state(q).to_vector()

    return hand_states
