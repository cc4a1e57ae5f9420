import itertools

import numpy as np
import pytest

from firsthand.errors import ShapeError
from firsthand.robot.collision import SelfCollision
from firsthand.robot.description import urdf
from firsthand.robot.model import RobotModel


@pytest.fixture(scope="module")
def model():
    return RobotModel.load()


@pytest.fixture(scope="module")
def collision(model):
    return SelfCollision(model)


def random_postures(model, count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(model.lower[:14], model.upper[:14], (count, 14))


def segment_distance(a0, a1, b0, b1):
    """By brute force: the smallest distance between two fine samplings of the segments."""
    s = np.linspace(0, 1, 120)[:, None]
    a, b = a0 + s * (a1 - a0), b0 + s * (b1 - b0)
    return np.linalg.norm(a[:, None] - b[None], axis=2).min()


def test_nothing_touches_at_zero_and_in_the_natural_posture(model, collision):
    assert collision.distances(model.zero).min() > 0.0
    assert collision.distances(model.neutral).min() > 0.01


def test_distances_agree_with_segments_placed_by_forward_kinematics(model, collision):
    q = model.neutral.copy()
    q[:14] = random_postures(model, 1, seed=3)[0]
    distances = collision.distances(q)
    ends = {}
    for capsule in collision.capsules:
        placement = model.link_pose(capsule.frame, q)
        ends[capsule.name] = [placement[:3, :3] @ p + placement[:3, 3] for p in (capsule.start, capsule.end)]
    radius = {capsule.name: capsule.radius for capsule in collision.capsules}
    apart = 0
    for (a, b), distance in zip(collision.pairs, distances, strict=True):
        axes = segment_distance(*ends[a], *ends[b])
        if axes > 0.02:  # the sampling is too coarse where axes cross
            apart += 1
            assert distance == pytest.approx(axes - radius[a] - radius[b], abs=2e-4), (a, b)
    assert apart > 100


def test_the_jacobian_is_the_derivative(model, collision):
    step = 1e-6
    checked = 0
    for q in random_postures(model, 12, seed=1):
        closest = collision.closest(q, 8)
        index = [collision.pairs.index(names) for names in closest.names]
        numeric = np.array(
            [
                (collision.distances(q + step * e)[index] - collision.distances(q - step * e)[index]) / (2 * step)
                for e in np.eye(14)
            ]
        ).T
        # Where the axes cross the distance has a kink; there is no derivative to compare with.
        smooth = closest.distances > -0.03
        np.testing.assert_allclose(closest.jacobians[smooth], numeric[smooth], atol=2e-5)
        checked += int(smooth.sum())
    assert checked > 30


def test_closest_are_the_smallest_distances_in_order(model, collision):
    q = random_postures(model, 1, seed=2)[0]
    distances = collision.distances(q)
    closest = collision.closest(q, 5)
    np.testing.assert_array_equal(closest.distances, np.sort(distances)[:5])
    assert closest.jacobians.shape == (5, 14)
    for names, distance in zip(closest.names, closest.distances, strict=True):
        assert distances[collision.pairs.index(names)] == distance


def test_the_clearance_is_the_smallest_distance(model, collision):
    for q in random_postures(model, 5, seed=3):
        assert collision.clearance(q) == collision.distances(q).min()


def test_pairs_beyond_the_range_are_left_out(model, collision):
    collision.distances(model.neutral)
    closest = collision.closest_now(100, within=0.08)
    assert 0 < len(closest.names) < 20
    assert closest.distances.max() <= 0.08
    assert collision.closest_now(100, within=-1.0).jacobians.shape == (0, 14)


def test_no_pair_twice_none_with_itself_and_no_neighbours(collision):
    unordered = {frozenset(pair) for pair in collision.pairs}
    assert len(unordered) == len(collision.pairs)
    assert all(len(pair) == 2 for pair in unordered)
    chain = ("shoulder", "upper_arm", "elbow", "forearm", "wrist_joint", "palm")
    for side, (a, b) in itertools.product(("left", "right"), itertools.pairwise(chain)):
        assert frozenset({f"{side}_{a}", f"{side}_{b}"}) not in unordered


def test_left_and_right_mirror(model, collision):
    mirror = np.array([1, -1, -1, 1, -1, 1, -1])
    q = model.neutral[:14].copy()
    q[:7] = [0.2, 0.1, -0.4, 0.6, 0.3, 0.2, -0.3]
    mirrored = np.concatenate([q[7:] * mirror, q[:7] * mirror])

    def swap(name):
        return name.replace("left", "*").replace("right", "left").replace("*", "right")

    distances = dict(zip(map(frozenset, collision.pairs), collision.distances(q), strict=True))
    for pair, distance in zip(collision.pairs, collision.distances(mirrored), strict=True):
        assert distances[frozenset(map(swap, pair))] == pytest.approx(distance, abs=1e-6)


def test_hands_folded_together_overlap(model, collision):
    """The hands pushed into each other in front of the chest."""
    q = model.neutral[:14].copy()
    q[[2, 9]] = -1.2, 1.2  # both upper arms turned inwards
    pair, distance = min(zip(collision.pairs, collision.distances(q), strict=True), key=lambda item: item[1])
    assert distance < -0.02
    assert {name.split("_")[0] for name in pair} == {"left", "right"}


def test_the_other_hand_has_the_same_capsules():
    ftp = RobotModel.load(urdf(hand="ftp"))
    collision = SelfCollision(ftp)
    assert collision.distances(ftp.neutral).min() > 0.01


@pytest.mark.parametrize("hand", ["dfx", "ftp"])
def test_capsules_of_the_hand_hold_the_fingertips(hand):
    model = RobotModel.load(urdf(hand=hand))
    collision = SelfCollision(model)
    tips = model.hand_state(model.neutral).fingertips_in_wrist
    capsules = {capsule.name: capsule for capsule in collision.capsules}
    for side, tips_of_side in zip(("left", "right"), tips, strict=True):
        parts = [capsules[f"{side}_{part}"] for part in ("fore_fingers", "rear_fingers", "thumb")]
        for tip in tips_of_side:
            outside = min(
                segment_distance(np.array(part.start), np.array(part.end), tip, tip) - part.radius for part in parts
            )
            assert outside < 0.01, "a tip may stick out by less than the distance that the IK keeps"


def test_wrong_size_is_named(collision):
    with pytest.raises(ShapeError, match=r"14 arm joints or all 26, got shape \(7,\)"):
        collision.distances(np.zeros(7))
