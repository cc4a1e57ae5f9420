from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from firsthand.bags.write import BagWriter, Topic
from firsthand.errors import BagError, EpisodeError
from firsthand.robot.description import urdf
from firsthand.robot.joints import JOINTS, joint_names
from firsthand.robot.model import RobotModel
from firsthand.space import hand_state
from firsthand.space.hand_state import FRAMES, HandState, orthonormalize
from firsthand.space.rotations import matrix_from_rotation_vector, quaternion_wxyz_from_matrix
from firsthand_training.demonstrations.bag_conversion import BagConversion
from firsthand_training.demonstrations.from_bag import convert_bag
from firsthand_training.episodes.read import Episodes

STORE = get_typestore(Stores.ROS2_JAZZY)
MESSAGE = STORE.types
START = 1_700_000_000_000_000_000  # [ns]
MS = 1_000_000  # [ns]
PUSH = BagConversion(task="push the box")
LEFT, RIGHT = (f"/{side}/color/rect/image/compressed" for side in ("left", "right"))
TYPES = {
    LEFT: "sensor_msgs/msg/CompressedImage",
    RIGHT: "sensor_msgs/msg/CompressedImage",
    "/joint_states": "sensor_msgs/msg/JointState",
    "/motor_command": "sensor_msgs/msg/JointState",
    "/hand_state": "trajectory_msgs/msg/MultiDOFJointTrajectory",
    "/action_chunk": "trajectory_msgs/msg/MultiDOFJointTrajectory",
    "/teleop/target": "trajectory_msgs/msg/MultiDOFJointTrajectory",
    "/gate_state": "std_msgs/msg/String",
}


def time(kind, time_ns):
    return MESSAGE[f"builtin_interfaces/msg/{kind}"](sec=time_ns // 10**9, nanosec=time_ns % 10**9)


def header(stamp_ns, frame=""):
    return MESSAGE["std_msgs/msg/Header"](stamp=time("Time", stamp_ns), frame_id=frame)


def serialized(message):
    return bytes(STORE.serialize_cdr(message, message.__msgtype__))


def joint_state(stamp_ns, positions, names=JOINTS):
    """The joints in reverse, as another publisher may order them."""
    empty = np.zeros(0)
    return serialized(
        MESSAGE["sensor_msgs/msg/JointState"](
            header=header(stamp_ns),
            name=list(names)[::-1],
            position=positions[::-1].copy(),
            velocity=empty,
            effort=empty,
        )
    )


def picture(stamp_ns, brightness):
    _, jpeg = cv2.imencode(".jpg", np.full((48, 64, 3), brightness, np.uint8))
    kind = MESSAGE["sensor_msgs/msg/CompressedImage"]
    return serialized(kind(header=header(stamp_ns), format="jpeg", data=jpeg.reshape(-1)))


def trajectory(stamp_ns, times_ns, vectors, frame="eyes_gravity"):
    kinds = [MESSAGE[f"geometry_msgs/msg/{name}"] for name in ("Transform", "Vector3", "Quaternion")]
    point = MESSAGE["trajectory_msgs/msg/MultiDOFJointTrajectoryPoint"]
    points = [
        point(
            transforms=transforms(HandState.from_vector(v), *kinds), velocities=[], accelerations=[], time_from_start=t
        )
        for v, t in zip(vectors, [time("Duration", int(t)) for t in times_ns], strict=True)
    ]
    kind = MESSAGE["trajectory_msgs/msg/MultiDOFJointTrajectory"]
    return serialized(kind(header=header(stamp_ns, frame), joint_names=list(FRAMES), points=points))


def transforms(state, transform, vector, quaternion):
    rotations = [state.head_rotation, *state.wrist_rotations]
    positions = [np.zeros(3), *state.wrist_positions, *state.fingertips_in_wrist.reshape(10, 3)]
    wxyz = [*[quaternion_wxyz_from_matrix(r) for r in rotations], *[np.array([1.0, 0.0, 0.0, 0.0])] * 10]
    return [
        transform(translation=vector(*p), rotation=quaternion(x=q[1], y=q[2], z=q[3], w=q[0]))
        for p, q in zip(positions, wxyz, strict=True)
    ]


def joints_at(time_ns):
    return np.arange(26) * 0.01 + (time_ns - START) / 1e9


def state_at(time_ns):
    """A hand state that moves evenly and turns about one axis."""
    seconds = (time_ns - START) / 1e9
    vector = np.zeros(54)
    turn = matrix_from_rotation_vector(np.array([0.0, 0.3, 0.0]))
    vector[hand_state.ROTATIONS] = np.tile(turn[:, :2].T.reshape(-1), 3)
    vector[hand_state.WRIST_POSITIONS] = [0.3, 0.2, -0.3 + 0.1 * seconds, 0.3, -0.2, -0.3]
    vector[hand_state.FINGERTIPS] = np.linspace(0.01, 0.1, 30) + 0.01 * seconds
    return orthonormalize(vector)


def record(
    path, leave_out=(), lost_pictures=(), late_joints_ms=(), camera_rate=25.0, jitter_ns=0, frame="eyes_gravity",
    targets_ms=(), gate=(), names=JOINTS,
):  # fmt: skip
    """Two seconds: pictures, joints at 250 Hz, hand states at 50 Hz, chunks of 28 actions at 5 Hz, 30 ms late.

    `targets_ms`: stretches with a person's targets at 50 Hz; `gate`: its states and when each begins, [ms].
    """
    topics = [Topic(name, kind) for name, kind in TYPES.items() if name not in leave_out]
    random = np.random.default_rng(0)
    with BagWriter(path, topics) as writer:
        known = {topic.name for topic in topics}

        def write(name, stamp_ns, data):
            if name in known:
                writer.write(name, stamp_ns, data)

        for tick in range(500):
            now = START + tick * 4 * MS
            if not any(begin <= tick * 4 < end for begin, end in late_joints_ms):
                write("/joint_states", now, joint_state(now, joints_at(now), names))
                if tick % 5 == 0:
                    write("/hand_state", now, trajectory(now, [0], [state_at(now)], frame))
            write("/motor_command", now, joint_state(now, joints_at(now) + 0.001, names))
            if tick % 5 == 0 and any(begin <= tick * 4 < end for begin, end in targets_ms):
                write("/teleop/target", now + 2 * MS, trajectory(now, [0], [state_at(now + 100 * MS)]))
            for begin, state in gate:
                if begin == tick * 4:
                    write("/gate_state", now, serialized(MESSAGE["std_msgs/msg/String"](data=state)))
            if tick % 50 == 0:
                due = np.rint(np.arange(1, 29) * 40 * MS).astype(int)
                vectors = [state_at(now + t) for t in due]
                write("/action_chunk", now + 30 * MS, trajectory(now, due, vectors))
        for i in range(int(2 * camera_rate)):
            stamp = START + round(i * 1e9 / camera_rate) + int(random.integers(-jitter_ns, jitter_ns + 1))
            if i not in lost_pictures:
                write(LEFT, stamp + 8 * MS, picture(stamp, 40 + i % 60))
                write(RIGHT, stamp + 8 * MS, picture(stamp + 200_000, 140 + i % 60))
    return path


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    """Two seconds without a fault."""
    return record(tmp_path_factory.mktemp("steady") / "run")


@pytest.fixture
def run(tmp_path):
    return SimpleNamespace(bag=tmp_path / "run", dataset=tmp_path / "episodes")


def test_every_number_is_that_of_its_moment(run, steady):
    converted = convert_bag(steady, run.dataset, PUSH)
    episodes = Episodes.open(run.dataset)
    data = episodes.episode(0)
    stamps = data.stamp_ns
    assert (converted.frames, converted.pairs, converted.episodes) == (len(data), 50, (0,))
    assert len(data) == 50 and data.task == "push the box"  # noqa: PT018
    np.testing.assert_array_equal(stamps, START + np.arange(50) * 40 * MS)
    np.testing.assert_allclose(data.joints, [joints_at(t) for t in stamps], atol=1e-6)
    np.testing.assert_allclose(data.state, [state_at(t) for t in stamps], atol=1e-6)
    np.testing.assert_allclose(data.action, [state_at(t + 40 * MS) for t in stamps], atol=1e-6)
    ends = np.minimum(stamps + 40 * MS, START + 499 * 4 * MS)  # the last command is 4 ms old
    np.testing.assert_allclose(data.action_joints, [joints_at(t) + 0.001 for t in ends], atol=1e-6)
    for i, pair in enumerate(episodes.stereo_frames(0)):
        np.testing.assert_allclose(pair.mean(axis=(1, 2)), [[40 + i] * 3, [140 + i] * 3], atol=2.5)


def test_without_hand_states_or_chunks_the_joints_tell(run):
    record(run.bag, leave_out=("/hand_state", "/action_chunk"))
    convert_bag(run.bag, run.dataset, PUSH, hand_states=lambda q: state_at(START + round(q[0] * 1e9)))
    data = Episodes.open(run.dataset).episode(0)
    np.testing.assert_allclose(data.state, [state_at(t) for t in data.stamp_ns], atol=1e-6)
    np.testing.assert_allclose(data.action[:-1], [state_at(t + 41 * MS) for t in data.stamp_ns[:-1]], atol=1e-6)


def test_a_robot_with_the_other_hand_is_computed_with_that_hand_and_its_columns_say_so(run):
    names = joint_names("ftp")
    record(run.bag, leave_out=("/hand_state", "/action_chunk"), names=names)
    convert_bag(run.bag, run.dataset, PUSH)
    episodes = Episodes.open(run.dataset)
    data, model = episodes.episode(0), RobotModel.load(urdf("ftp"))
    assert episodes.joint_names == names
    np.testing.assert_allclose(data.state[0], model.hand_state(joints_at(data.stamp_ns[0])).to_vector(), atol=1e-6)


def test_a_persons_targets_are_actions(run):
    record(run.bag, leave_out=("/action_chunk",), targets_ms=[(0, 1000), (1500, 2000)])
    convert_bag(run.bag, run.dataset, BagConversion(task="push", gaps="split", min_frames=5))
    data = [Episodes.open(run.dataset).episode(i) for i in range(2)]
    times = [START + (int(t + 40 * MS - START) // (20 * MS)) * 20 * MS for t in data[0].stamp_ns[:20]]
    np.testing.assert_allclose(data[0].action[:20], [state_at(t + 100 * MS) for t in times], atol=1e-6)
    assert data[0].stamp_ns[-1] + 40 * MS - (START + 980 * MS) <= 200 * MS, "no target is older than may be followed"
    assert data[1].stamp_ns[0] + 40 * MS >= START + 1500 * MS


def test_where_person_and_policy_both_led_the_commands_tell(run):
    record(run.bag, targets_ms=[(0, 1000)])
    convert_bag(run.bag, run.dataset, PUSH, hand_states=lambda q: state_at(START + round(q[0] * 1e9)))
    data = Episodes.open(run.dataset).episode(0)
    np.testing.assert_allclose(data.action[:-1], [state_at(t + 41 * MS) for t in data.stamp_ns[:-1]], atol=1e-6)


def test_what_was_reached_can_be_the_action(run, steady):
    convert_bag(steady, run.dataset, BagConversion(task="push", action="measured"))
    data = Episodes.open(run.dataset).episode(0)
    np.testing.assert_allclose(data.action[:-1], data.state[1:], atol=1e-6)


def test_frames_of_a_gate_that_was_not_active_teach_nothing(run):
    gate = [(0, "disengaged"), (400, "active"), (1000, "holding"), (1200, "active"), (1800, "damping")]
    record(run.bag, gate=gate)
    convert_bag(run.bag, run.dataset, BagConversion(task="push", quality=True))
    data = Episodes.open(run.dataset).episode(0)
    times = (data.stamp_ns - START) // MS
    assert (times[0], times[-1]) == (400, 1760)
    np.testing.assert_array_equal(data.quality == 0, (times >= 1000) & (times < 1200))


def test_a_hole_is_refused_with_its_place(run):
    record(run.bag, lost_pictures=(30, 31))
    with pytest.raises(EpisodeError, match=r"1 gaps, the first of 0\.120 s after 1\.160 s.*gaps='split'"):
        convert_bag(run.bag, run.dataset, PUSH)
    assert not run.dataset.exists()


@pytest.mark.parametrize("hole", [{"lost_pictures": (26, 27)}, {"late_joints_ms": [(1040 - 60, 1100)]}])
def test_or_splits_the_recording(run, hole):
    record(run.bag, **hole)
    settings = BagConversion(task="push", gaps="split", min_frames=20)
    converted = convert_bag(run.bag, run.dataset, settings)
    episodes = Episodes.open(run.dataset)
    assert len(converted.episodes) == len(episodes) == 2
    assert converted.trimmed == converted.pairs - converted.frames <= 3
    for index in range(2):
        data = episodes.episode(index)
        assert (np.diff(data.stamp_ns) == 40 * MS).all()
        brightness = [pair[0].mean() for pair in episodes.stereo_frames(index)]
        np.testing.assert_allclose(brightness, 40 + (data.stamp_ns - START) / (40 * MS), atol=2.5)


def test_ends_without_commands_are_trimmed(run):
    record(run.bag, late_joints_ms=[(0, 300), (1700, 2000)])
    data = Episodes.open(convert_bag(run.bag, run.dataset, PUSH).dataset).episode(0)
    assert data.stamp_ns[0] == START + 320 * MS
    assert data.stamp_ns[-1] == START + 1720 * MS  # 1696 is the last joint state, 50 ms are allowed


@pytest.mark.parametrize("rate", [24.9, 25.0, 30.0, 60.0])
def test_faster_cameras_are_thinned_out(run, rate):
    record(run.bag, camera_rate=rate, jitter_ns=3 * MS, leave_out=("/hand_state", "/action_chunk"))
    converted = convert_bag(run.bag, run.dataset, PUSH, hand_states=lambda q: np.zeros(54))
    stamps = Episodes.open(converted.dataset).episode(0).stamp_ns
    assert 49 <= len(stamps) <= 50
    ideal = START + np.arange(len(stamps)) * 40 * MS
    assert np.abs(stamps - ideal).max() < 0.5e9 / rate + 10 * MS  # half a camera period, jitter, a slow clock


def test_slower_cameras_are_refused(run):
    record(run.bag, camera_rate=15.0, leave_out=("/hand_state", "/action_chunk"))
    with pytest.raises(BagError, match=r"ran at 15\.00 Hz, too slow for 25"):
        convert_bag(run.bag, run.dataset, PUSH)


def test_a_recorder_on_another_clock_is_found_out(run, monkeypatch):
    write = BagWriter.write
    monkeypatch.setattr(BagWriter, "write", lambda self, topic, stamp, data: write(self, topic, stamp + 10**18, data))
    record(run.bag)
    with pytest.raises(BagError, match=r"recorded 1000000000\.030 s after their stamps.*use_sim_time"):
        convert_bag(run.bag, run.dataset, PUSH)


def test_a_second_bag_is_appended(run, steady):
    convert_bag(steady, run.dataset, PUSH)
    assert convert_bag(steady, run.dataset, PUSH).episodes == (1,)
    assert len(Episodes.open(run.dataset)) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"leave_out": ("/joint_states",)}, "has no topic 'joint_states'; it has /action_chunk"),
        ({"leave_out": ("/motor_command",)}, "no joint commands: none of motor_command, joint_command"),
        ({"leave_out": (RIGHT,)}, "no topic 'right/color/rect/image/compressed'"),
        ({"frame": "camera"}, "expected hand states in frame 'eyes_gravity', got 'camera'"),
        ({"late_joints_ms": [(0, 2000)]}, "has no messages on"),
    ],
)
def test_what_a_bag_lacks_is_said(run, change, message):
    record(run.bag, **change)
    with pytest.raises(BagError, match=message):
        convert_bag(run.bag, run.dataset, PUSH)
    assert not run.dataset.exists()


def test_eyes_that_do_not_look_together_are_refused(run, steady):
    with pytest.raises(BagError, match=r"50 left and 50 right pictures, but 0 pairs taken within 0\.1 ms"):
        convert_bag(steady, run.dataset, BagConversion(task="push", max_skew=0.0001))


def test_a_picture_is_never_half_of_two_pairs(run):
    record(run.bag, lost_pictures=range(25), leave_out=("/hand_state", "/action_chunk"))
    wide = BagConversion(task="push", max_skew=0.05, gaps="split", min_frames=5)
    converted = convert_bag(run.bag, run.dataset, wide, hand_states=lambda q: np.zeros(54))
    assert (converted.pairs, converted.frames) == (25, 25)


def test_pictures_without_stamps_are_refused(run):
    with BagWriter(run.bag, [Topic(name, kind) for name, kind in TYPES.items()]) as writer:
        for i in range(5):
            writer.write(LEFT, START + i, picture(0 if i else START, 0))
            writer.write(RIGHT, START + i, picture(START + i, 0))
    with pytest.raises(BagError, match="got 5, 4 without"):
        convert_bag(run.bag, run.dataset, PUSH)
