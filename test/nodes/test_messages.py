"""Hand states, chunks and joints go there and back; what does not fit is refused with both sides shown."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import Quaternion, Transform, Twist, Vector3
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, MultiDOFJointTrajectory, MultiDOFJointTrajectoryPoint

from firsthand.errors import ShapeError
from firsthand.nodes.messages import (
    due_times_ns,
    duration_from_ns,
    ns_from_duration,
    ns_from_stamp,
    read_chunk,
    read_hand_state,
    read_joint_state,
    stamp_from_ns,
    write_chunk,
    write_clock,
    write_hand_state,
    write_joint_state,
    write_joint_trajectory,
)
from firsthand.space.bodies import ROBOT_FRAME
from firsthand.space.hand_state import FRAMES, HandState, orthonormalize
from firsthand.space.rotations import matrix_from_rotation_vector

STAMP = 1_795_000_123_456_789_012
NAMES = ("shoulder", "elbow", "wrist")


def states(steps, seed=0):
    return orthonormalize(np.random.default_rng(seed).normal(size=(steps, 54)))


def typed(actions, stamp_ns=STAMP, rate=25.0, names=FRAMES):
    """The same message, filled field by field as rclpy has it: the slow way, as a reference."""
    message = MultiDOFJointTrajectory(header=Header(stamp=stamp_from_ns(stamp_ns), frame_id=ROBOT_FRAME))
    message.joint_names = list(names)
    for vector, time_ns in zip(actions, due_times_ns(len(actions), rate).tolist(), strict=True):
        state = HandState.from_vector(vector)
        poses = {"head": (np.zeros(3), state.head_rotation)}
        tips = state.fingertips_in_wrist.reshape(10, 3)
        poses |= {name: (tip, np.eye(3)) for name, tip in zip(FRAMES[3:], tips, strict=True)}
        for i, name in enumerate(FRAMES[1:3]):
            poses[name] = state.wrist_positions[i], state.wrist_rotations[i]
        point = MultiDOFJointTrajectoryPoint(time_from_start=duration_from_ns(time_ns))
        point.transforms = [transform(*poses[name]) for name in names]
        message.points.append(point)
    return message


def transform(position, rotation):
    """Quaternion by the textbook formula for angles below half a turn, independent of the code under test."""
    w = np.sqrt(max(1 + np.trace(rotation), 1e-12)) / 2
    axis = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    x, y, z = (axis / (4 * w)).tolist()
    px, py, pz = map(float, position)
    return Transform(translation=Vector3(x=px, y=py, z=pz), rotation=Quaternion(x=x, y=y, z=z, w=float(w)))


@pytest.mark.parametrize("steps", [1, 2, 28])
def test_chunk_there_and_back(steps):
    chunk = read_chunk(write_chunk(states(steps), STAMP, rate=25.0))
    np.testing.assert_allclose(chunk.actions, states(steps), atol=1e-12)
    np.testing.assert_array_equal(chunk.times_ns, [(i + 1) * 40_000_000 for i in range(steps)])
    assert chunk.stamp_ns == STAMP
    assert chunk.rate == pytest.approx(25.0)


def test_hand_state_there_and_back():
    state = read_hand_state(write_hand_state(states(1)[0], STAMP))
    np.testing.assert_allclose(state.vector, states(1)[0], atol=1e-12)
    assert state.stamp_ns == STAMP


@pytest.mark.parametrize("steps", [1, 3])
def test_fast_bytes_are_what_rclpy_reads(steps):
    ours = deserialize_message(write_chunk(states(steps), STAMP, 25.0), MultiDOFJointTrajectory)
    reference = typed(states(steps))
    assert ours.header == reference.header
    assert ours.joint_names == reference.joint_names
    for point, wanted in zip(ours.points, reference.points, strict=True):
        assert point.time_from_start == wanted.time_from_start
        assert not point.velocities
        for body, expected in zip(point.transforms, wanted.transforms, strict=True):
            np.testing.assert_allclose(numbers(body), numbers(expected), atol=1e-9)


def numbers(body):
    t, r = body.translation, body.rotation
    quaternion = np.array([r.x, r.y, r.z, r.w])
    return np.array([t.x, t.y, t.z, *(quaternion * np.sign(r.w or 1.0))])


def test_a_quarter_turn_by_hand():
    """Left wrist turned a quarter about z: xyzw on the wire is (0, 0, sin 45, cos 45)."""
    rotation = matrix_from_rotation_vector(np.array([0.0, 0.0, np.pi / 2]))
    poses = np.stack([np.eye(4), np.eye(4)])
    poses[0, :3, :3], poses[0, :3, 3] = rotation, (0.1, 0.2, 0.3)
    vector = HandState.from_poses(np.eye(3), poses, np.zeros((2, 5, 3))).to_vector()
    message = deserialize_message(write_hand_state(vector, 0), MultiDOFJointTrajectory)
    wrist = message.points[0].transforms[message.joint_names.index("left_wrist")]
    r = wrist.rotation
    np.testing.assert_allclose([r.x, r.y, r.z, r.w], [0, 0, np.sqrt(0.5), np.sqrt(0.5)], atol=1e-12)
    assert wrist.translation == Vector3(x=0.1, y=0.2, z=0.3)
    head, tip = message.points[0].transforms[0], message.points[0].transforms[5]
    assert head.translation == Vector3()
    assert tip.rotation == Quaternion(w=1.0)


@pytest.mark.parametrize("as_bytes", [True, False])
def test_bytes_and_typed_messages_read_alike(as_bytes):
    message = typed(states(5))
    chunk = read_chunk(serialize_message(message) if as_bytes else message)
    np.testing.assert_allclose(chunk.actions, states(5), atol=1e-9)


def test_bodies_may_come_in_any_order_and_with_others():
    shuffled = tuple(np.random.default_rng(1).permutation(FRAMES).tolist())
    for message in (typed(states(2), names=shuffled), serialize_message(typed(states(2), names=shuffled))):
        np.testing.assert_allclose(read_chunk(message).actions, states(2), atol=1e-9)


def test_foreign_velocities_are_read_over():
    message = typed(states(2))
    message.points[0].velocities = [Twist()] * 13
    np.testing.assert_allclose(read_chunk(serialize_message(message)).actions, states(2), atol=1e-9)


def test_other_frames_and_bodies_are_refused():
    message = typed(states(1))
    message.header.frame_id = "torso_link"
    with pytest.raises(ShapeError, match="in frame 'eyes_gravity', got 'torso_link'"):
        read_chunk(message)
    message = typed(states(1), names=FRAMES[:-1])
    with pytest.raises(ShapeError, match="expected 'right_little_tip' in the message, got head"):
        read_chunk(message)
    message = typed(states(1), names=("head", *FRAMES[:-1]))
    with pytest.raises(ShapeError, match="names head more than once"):
        read_chunk(message)


@pytest.mark.parametrize("raw", [b"", b"\x00\x01\x00\x00", b"\x00\x01\x00\x00" + b"\xff" * 200, bytes(64)])
def test_garbage_is_refused(raw):
    with pytest.raises(ShapeError):
        read_chunk(raw)


@pytest.mark.parametrize("cut", [1, 9, 700, 5000])
def test_cut_off_bytes_are_refused(cut):
    with pytest.raises(ShapeError, match="expected a MultiDOFJointTrajectory"):
        read_chunk(write_chunk(states(10), STAMP, 25.0)[:-cut])


def test_numbers_that_are_none_are_refused():
    message = typed(states(1))
    message.points[0].transforms[1].translation.x = float("nan")
    with pytest.raises(ShapeError, match="NaN or infinity"):
        read_chunk(serialize_message(message))
    message = typed(states(1))
    message.points[0].transforms[2].rotation = Quaternion(x=0.0, y=0.0, z=0.0, w=0.0)
    with pytest.raises(ShapeError, match="unit quaternions"):
        read_chunk(message)
    with pytest.raises(ShapeError, match="finite"):
        write_chunk(np.full((2, 54), np.nan), 0, 25.0)


def test_times_must_rise_and_points_must_be_there():
    message = typed(states(2))
    message.points[1].time_from_start = message.points[0].time_from_start
    with pytest.raises(ShapeError, match="rise from point to point"):
        read_chunk(message)
    message.points = []
    for empty in (message, serialize_message(message)):
        with pytest.raises(ShapeError, match="at least one point"):
            read_chunk(empty)


def test_a_hand_state_is_one_point():
    with pytest.raises(ShapeError, match="got 2 points"):
        read_hand_state(write_chunk(states(2), 0, 25.0))
    with pytest.raises(ShapeError, match=r"one hand state of 54 numbers, got shape \(2, 54\)"):
        write_hand_state(states(2), 0)
    with pytest.raises(ShapeError, match=r"\(0, 54\)"):
        write_chunk(np.zeros((0, 54)), 0, 25.0)


def test_joint_state_there_and_back():
    raw = write_joint_state(NAMES, np.array([0.1, 0.2, 0.3]), STAMP, velocities=np.array([1.0, 2.0, 3.0]))
    message = deserialize_message(raw, JointState)
    assert (message.header.frame_id, message.name, list(message.effort)) == ("", list(NAMES), [])
    for form in (raw, message, serialize_message(message)):
        reading = read_joint_state(form, NAMES)
        np.testing.assert_array_equal(reading.positions, [0.1, 0.2, 0.3])
        np.testing.assert_array_equal(reading.velocities, [1.0, 2.0, 3.0])
        assert reading.stamp_ns == STAMP


def test_joints_are_put_in_order_and_others_left_aside():
    raw = write_joint_state(("wrist", "torso", "elbow", "shoulder"), np.array([3.0, 9.0, 2.0, 1.0]), 0)
    reading = read_joint_state(raw, NAMES)
    np.testing.assert_array_equal(reading.positions, [1.0, 2.0, 3.0])
    assert reading.velocities is None


def test_joint_states_of_others_are_read():
    message = JointState(name=["torso", *NAMES], position=[9.0, 0.1, 0.2, 0.3], effort=[1.0] * 4)
    message.header.frame_id = "pelvis"
    message.header.stamp.sec = 7
    reading = read_joint_state(serialize_message(message), NAMES)
    np.testing.assert_array_equal(reading.positions, [0.1, 0.2, 0.3])
    assert (reading.velocities, reading.stamp_ns) == (None, 7_000_000_000)


def test_joint_states_that_are_cut_off_are_refused():
    raw = write_joint_state(NAMES, np.array([0.1, 0.2, 0.3]), STAMP, velocities=np.array([1.0, 2.0, 3.0]))
    for size in range(len(raw) - 4):
        with pytest.raises(ShapeError):
            read_joint_state(raw[:size], NAMES)


@pytest.mark.parametrize(
    ("names", "positions", "error"),
    [
        (["shoulder", "elbow"], [0.0, 0.0], "expected 'wrist' in the message, got shoulder, elbow"),
        ([], [], "expected 'shoulder' in the message, got no names at all"),
        (list(NAMES), [0.0, 0.0], "expected 3 positions, one per name, got 2"),
        (list(NAMES), [0.0, float("nan"), 0.0], "NaN or infinity for elbow"),
        (["wrist", "wrist", "elbow", "shoulder"], [0.0] * 4, "names wrist more than once"),
    ],
)
def test_bad_joint_states_are_refused(names, positions, error):
    message = JointState(name=names, position=positions)
    for form in (message, serialize_message(message)):
        with pytest.raises(ShapeError) as caught:
            read_joint_state(form, NAMES)
        assert error in str(caught.value)


def test_commands_that_are_none_are_not_written():
    with pytest.raises(ShapeError, match="expected 3 positions"):
        write_joint_state(NAMES, np.zeros(2), 0)
    with pytest.raises(ShapeError, match="finite positions"):
        write_joint_state(NAMES, np.array([0.0, np.inf, 0.0]), 0)


def test_joint_trajectory_is_what_the_trajectory_controller_takes():
    message = write_joint_trajectory(NAMES, np.arange(6.0).reshape(2, 3), STAMP, rate=25.0)
    message = deserialize_message(serialize_message(message), JointTrajectory)
    assert message.joint_names == list(NAMES)
    assert [ns_from_duration(point.time_from_start) for point in message.points] == [40_000_000, 80_000_000]
    assert list(message.points[1].positions) == [3.0, 4.0, 5.0]
    assert not message.points[0].velocities
    assert not message.points[0].accelerations


@pytest.mark.parametrize("stamp_ns", [0, 1, 999_999_999, 1_000_000_000, STAMP])
def test_stamps_keep_every_nanosecond(stamp_ns):
    assert ns_from_stamp(stamp_from_ns(stamp_ns)) == stamp_ns
    assert ns_from_stamp(write_clock(stamp_ns).clock) == stamp_ns


def test_a_whole_second_of_a_rate_that_does_not_divide_it():
    assert due_times_ns(30, 30.0)[-1] == 1_000_000_000
    assert (np.diff(due_times_ns(30, 30.0)) > 0).all()
