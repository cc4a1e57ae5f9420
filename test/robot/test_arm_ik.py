import numpy as np
import pytest

from firsthand.errors import ShapeError
from firsthand.robot.arm_ik import ArmIk, ArmIkSettings
from firsthand.robot.arms import Arms
from firsthand.robot.collision import SelfCollision
from firsthand.robot.description import urdf
from firsthand.robot.model import RobotModel
from firsthand.space.rotations import matrix_from_rotation_vector, matrix_from_rpy

DT = 0.004


@pytest.fixture(scope="module")
def model():
    return RobotModel.load()


@pytest.fixture(scope="module")
def ik(model):
    return ArmIk(model)


@pytest.fixture(scope="module")
def free_ik(model):
    """Without self-collision rows: poses near the body are reached exactly."""
    return ArmIk(model, ArmIkSettings(self_collision=False))


@pytest.fixture
def start(model):
    return model.neutral[:14].copy()


def wrist_poses(model, q_arms):
    """(2, 4, 4) in F_R, by the model's own forward kinematics."""
    q = model.neutral.copy()
    q[:14] = q_arms
    return model.hand_state(q).wrist_poses


def follow(ik, targets, q):
    """All results along the targets, each tick from the one before."""
    results = []
    for target in targets:
        results.append(ik.solve(target, q, DT))
        q = results[-1].q
    return results


def assert_bounded(ik, results, q, max_velocity=6.0):
    joints = np.array([q, *(result.q for result in results)])
    assert np.isfinite(joints).all()
    assert np.all((joints >= ik.arms.lower) & (joints <= ik.arms.upper))
    assert np.abs(np.diff(joints, axis=0)).max() <= max_velocity * DT * (1 + 1e-6)


def shifted(poses, offset):
    moved = poses.copy()
    moved[:, :3, 3] += offset
    return moved


def test_the_pose_where_it_is_is_kept(model, ik, start):
    result = ik.solve(wrist_poses(model, start), start, DT)
    np.testing.assert_allclose(result.q, start, atol=1e-9)
    assert result.status == "ok"
    assert result.converged
    np.testing.assert_allclose(result.position_error, 0.0, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_there_and_back(model, free_ik, start, seed):
    """Poses from forward kinematics are reached, as forward kinematics says."""
    goal = start + np.random.default_rng(seed).uniform(-0.25, 0.25, 14)
    target = wrist_poses(model, np.clip(goal, model.lower[:14] + 0.1, model.upper[:14] - 0.1))
    results = follow(free_ik, [target] * 200, start)
    assert_bounded(free_ik, results, start)
    assert results[-1].status == "ok"
    reached = wrist_poses(model, results[-1].q)
    np.testing.assert_allclose(reached[:, :3, 3], target[:, :3, 3], atol=1e-5)
    np.testing.assert_allclose(reached[:, :3, :3], target[:, :3, :3], atol=1e-4)


def test_errors_in_the_result_are_those_of_forward_kinematics(model, ik, start):
    target = shifted(wrist_poses(model, start), [0.1, 0.02, 0.05])
    target[0, :3, :3] = matrix_from_rotation_vector(np.array([0.3, 0.2, 0.1])) @ target[0, :3, :3]
    result = ik.solve(target, start, DT)
    reached = wrist_poses(model, result.q)
    np.testing.assert_allclose(
        result.position_error, np.linalg.norm(target[:, :3, 3] - reached[:, :3, 3], axis=1), atol=1e-9
    )
    turn = np.arccos((np.trace(target[0, :3, :3] @ reached[0, :3, :3].T) - 1) / 2)
    assert result.rotation_error[0] == pytest.approx(turn, abs=1e-7)
    assert result.status.endswith("approaching")
    assert not result.converged


def test_a_smooth_reachable_stream_is_followed_to_a_tenth_of_a_millimetre(model, free_ik, start):
    goal = start + 0.3 * np.array([-1, 1, 1, 1, 1, -1, -1, -1, -1, 1, 1, -1, -1, 1])
    s = np.linspace(0, 1, 250)
    joints = start + (10 * s**3 - 15 * s**4 + 6 * s**5)[:, None] * (goal - start)
    results = follow(free_ik, [wrist_poses(model, q) for q in joints], start)
    assert max(result.position_error.max() for result in results) < 1e-4
    assert max(result.rotation_error.max() for result in results) < np.deg2rad(0.1)
    assert_bounded(free_ik, results, start)


def test_out_of_reach_in_orientation_the_position_stays(model, ik, start):
    """The wrist pitches by 26 degrees at most; ask for 80 more."""
    target = wrist_poses(model, start)
    for side in (0, 1):
        target[side, :3, :3] = target[side, :3, :3] @ matrix_from_rpy(0.0, -1.4, 0.0)
    results = follow(ik, [target] * 800, start)
    assert_bounded(ik, results, start)
    assert results[-1].position_error.max() < 0.02
    assert results[-1].rotation_error.max() > 0.1


@pytest.mark.parametrize("offset", [[1.0, 0.0, 0.0], [0.0, 0.0, 1.5], [-1.0, 0.0, -0.5], [1e6, 1e6, 1e6]])
def test_out_of_reach_in_position_is_bounded_comes_to_rest_and_is_said(model, ik, start, offset):
    target = shifted(wrist_poses(model, start), offset)
    results = follow(ik, [target] * 1200, start)
    assert_bounded(ik, results, start)
    assert results[-1].status.endswith("position_limited")
    assert not results[-1].converged
    assert np.abs(results[-1].q - results[-100].q).max() < 0.05
    # As near as the arm gets: stretched towards the target, not lost on the way.
    assert results[-1].position_error.max() <= np.linalg.norm(offset)


def test_from_a_stretched_arm_the_way_back_is_found(model, ik, start):
    home = wrist_poses(model, start)
    away = follow(ik, [shifted(home, [1.0, 0.0, 0.0])] * 1000, start)
    back = follow(ik, [home] * 1000, away[-1].q)
    assert_bounded(ik, away + back, start)
    assert back[-1].status == "ok"


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda pose: np.full((4, 4), np.nan), "rejected: non-finite target"),
        (lambda pose: pose * np.inf, "rejected: non-finite target"),
        (lambda pose: 2.0 * pose, "rejected: no rotation"),
        (lambda pose: np.zeros((4, 4)), "rejected: no rotation"),
        (lambda pose: pose @ np.diag([1.0, -1.0, 1.0, 1.0]), "rejected: no rotation (determinant -1"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_bad_target_holds_its_arm_and_leaves_the_other_one_alone(model, ik, start, side, damage, reason):
    target = shifted(wrist_poses(model, start), [0.02, 0.0, 0.02])
    target[side] = damage(target[side])
    results = follow(ik, [target] * 100, start)
    bad, good = (slice(0, 7), slice(7, 14)) if side == 0 else (slice(7, 14), slice(0, 7))
    for result in results:
        np.testing.assert_array_equal(result.q[bad], start[bad])
        assert result.arm_status[side].startswith(reason)
        assert reason in result.status
        assert not result.converged
        assert not result.position_error[side] < 1e-3, "an arm that was not asked must not look converged"
    assert results[-1].arm_status[1 - side] == "ok"
    assert np.abs(results[-1].q[good] - start[good]).max() > 0.01


def test_the_stream_after_a_bad_target_goes_on_without_a_jump(model, ik, start):
    home = wrist_poses(model, start)
    targets = [home] * 10 + [np.full((2, 4, 4), np.nan)] * 10 + [shifted(home, [0.02, 0.0, 0.02])] * 300
    results = follow(ik, targets, start)
    assert_bounded(ik, results, start)
    assert results[15].status.startswith("left rejected")
    assert results[-1].status == "ok"


@pytest.mark.parametrize("seed", range(3))
def test_random_targets_never_break_a_limit(model, ik, seed):
    rng = np.random.default_rng(seed)
    q = start = rng.uniform(ik.arms.lower, ik.arms.upper)
    targets = []
    for _ in range(30):
        target = np.tile(np.eye(4), (2, 1, 1))
        target[:, :3, :3] = matrix_from_rotation_vector(rng.normal(0, 2, (2, 3)))
        target[:, :3, 3] = rng.normal(0, 1, (2, 3))
        targets += [target] * int(rng.integers(1, 40))
    assert_bounded(ik, follow(ik, targets, q), start)


def test_half_a_turn_is_no_singularity(model, ik, start):
    target = wrist_poses(model, start)
    target[:, :3, :3] = target[:, :3, :3] @ np.diag([1.0, -1.0, -1.0])
    assert_bounded(ik, follow(ik, [target] * 500, start), start)


def test_a_start_outside_the_limits_comes_back_inside(model, ik, start):
    outside = start.copy()
    outside[5] = model.upper[5] + 0.1
    assert ik.solve(wrist_poses(model, start), outside, DT).q[5] <= model.upper[5]


def crossing_targets(model, q):
    """Each hand reaches over to where the other one is, through the middle, and back."""
    home = wrist_poses(model, q)
    targets = []
    for phase in np.linspace(0, 2 * np.pi, 1000):
        target = home.copy()
        across = 0.5 * (1 - np.cos(phase)) * (home[0, 1, 3] - home[1, 1, 3])
        target[0, 1, 3] -= across
        target[1, 1, 3] += across
        targets.append(target)
    return targets


def test_hands_that_are_asked_to_pass_through_each_other_keep_apart(model, ik, start):
    collision = SelfCollision(model)
    targets = crossing_targets(model, start)
    free = follow(ArmIk(model, ArmIkSettings(self_collision=False)), targets, start)
    kept = follow(ik, targets, start)
    assert min(collision.distances(result.q).min() for result in free[::10]) < -0.05, "the targets must be a test"
    assert min(collision.distances(result.q).min() for result in kept[::2]) > 0.005
    assert_bounded(ik, kept, start)


def test_arms_that_start_in_collision_come_apart(model, ik, start):
    start[[2, 9]] = -1.2, 1.2
    collision = SelfCollision(model)
    assert collision.distances(start).min() < -0.02
    results = follow(ik, [wrist_poses(model, start)] * 500, start)
    assert_bounded(ik, results, start)
    assert collision.distances(results[-1].q).min() > 0.005


def test_elbows_drift_to_the_natural_posture_without_moving_the_hands(model, ik, start):
    """The seventh joint leaves the elbow free; from another elbow the same hands end in the same posture."""
    target = wrist_poses(model, start)
    swivelled = start.copy()
    swivelled[[1, 8]] += 0.3, -0.3
    settled = follow(ik, [target] * 500, swivelled)[-1]
    later = follow(ik, [target] * 1200, settled.q)
    assert max(result.position_error.max() for result in later) < 1e-4
    assert np.linalg.norm(later[-1].q - start) < 0.8 * np.linalg.norm(settled.q - start)


def test_it_has_no_memory(model, ik, start):
    """The answer depends on target and joints alone: never on what was solved before."""
    target = shifted(wrist_poses(model, start), [0.05, 0.0, 0.05])
    first = ik.solve(target, start, DT)
    follow(ik, [shifted(target, [0.3, 0.3, 0.3])] * 20, start + 0.1)
    np.testing.assert_array_equal(ik.solve(target, start, DT).q, first.q)


def test_the_other_hand_works_too(start):
    model = RobotModel.load(urdf(hand="ftp"))
    ik = ArmIk(model)
    target = shifted(wrist_poses(model, start), [0.03, 0.0, 0.03])
    assert follow(ik, [target] * 200, start)[-1].status == "ok"


def test_the_wrist_jacobian_is_the_derivative(model, start):
    arms, step = Arms(model), 1e-6
    arms.update(start)
    jacobians = [arms.wrist_jacobian(side) for side in (0, 1)]
    for joint, e in enumerate(np.eye(14)):
        ahead, behind = wrist_poses(model, start + step * e), wrist_poses(model, start - step * e)
        for side in (0, 1):
            velocity = (ahead[side, :3, 3] - behind[side, :3, 3]) / (2 * step)
            np.testing.assert_allclose(jacobians[side][:3, joint], velocity, atol=1e-8)
            spin = (ahead[side, :3, :3] - behind[side, :3, :3]) @ wrist_poses(model, start)[side, :3, :3].T / (2 * step)
            np.testing.assert_allclose(jacobians[side][3:, joint], [spin[2, 1], spin[0, 2], spin[1, 0]], atol=1e-8)


def test_wrong_input_is_named(model, ik, start):
    with pytest.raises(ShapeError, match=r"expected 14 arm joints, got shape \(26,\)"):
        ik.solve(wrist_poses(model, start), model.neutral, DT)
    with pytest.raises(ShapeError, match=r"\(2, 4, 4\), got shape \(4, 4\)"):
        ik.solve(np.eye(4), start, DT)
    with pytest.raises(ValueError, match="not finite"):
        ik.solve(wrist_poses(model, start), start * np.nan, DT)
