"""How near arms, hands, chest and head come to each other, and how the arms change that.

Every body is a capsule around the official mesh: forearm and hand hold every vertex, the upper arm, which always hangs
close to the chest, is as thick as its housing without the corners. A hand is four capsules fixed to its wrist frame
(palm, two pairs of fingers, thumb), the same for every kind of hand: they hold open and slightly curled fingers; how
fingers meet objects or each other is not this module's business, and neither are pelvis and table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import coal
import numpy as np
import pinocchio as pin
from numpy.typing import NDArray

from firsthand.errors import ShapeError
from firsthand.robot.arms import Arms
from firsthand.robot.joints import ARMS, ARMS_SLICE, COUNT
from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import SIDES

Array = NDArray[np.floating]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Capsule:
    """Everything within `radius` of a segment, in a frame of the description."""

    name: str
    frame: str
    start: Point  # [m]
    end: Point  # [m]
    radius: float  # [m]

    def on_side(self, side: str) -> "Capsule":
        """A capsule written down for the left side, on the left or mirrored to the right."""
        y = 1.0 if side == "left" else -1.0
        start, end = ((point[0], y * point[1], point[2]) for point in (self.start, self.end))
        return Capsule(f"{side}_{self.name}", f"{side}_{self.frame}", start, end, self.radius)


TRUNK = (
    Capsule("chest_left", "torso_link", (0.015, 0.050, 0.090), (0.015, 0.050, 0.420), 0.095),
    Capsule("chest_right", "torso_link", (0.015, -0.050, 0.090), (0.015, -0.050, 0.420), 0.095),
    Capsule("head", "torso_link", (0.026, 0.0, 0.520), (0.026, 0.0, 0.680), 0.090),
)
# The left side. The right arm is its mirror image to within the millimetre in which the meshes differ.
ARM = (
    Capsule("shoulder", "shoulder_roll_link", (-0.0289, 0.0, -0.1245), (-0.0289, 0.0, 0.0), 0.0460),
    Capsule("upper_arm", "shoulder_yaw_link", (0.0062, -0.0055, -0.1826), (0.0010, -0.0022, -0.0296), 0.0460),
    Capsule("elbow", "elbow_link", (0.0997, -0.0395, -0.0110), (-0.0032, -0.0058, 0.0006), 0.0446),
    Capsule("forearm", "wrist_roll_link", (0.0335, 0.0008, 0.0002), (0.1070, 0.0008, 0.0030), 0.0476),
    Capsule("wrist_joint", "wrist_yaw_link", (-0.0199, 0.0, 0.0), (0.0360, 0.0, 0.0), 0.0425),
)
HAND = (
    Capsule("palm", "wrist", (0.0300, 0.002, 0.0), (0.1240, 0.002, 0.0), 0.0410),
    Capsule("fore_fingers", "wrist", (0.1350, -0.017, 0.0), (0.2100, -0.020, -0.024), 0.0240),
    Capsule("rear_fingers", "wrist", (0.1340, 0.022, 0.0), (0.2050, 0.026, -0.022), 0.0240),
    Capsule("thumb", "wrist", (0.0650, -0.033, -0.024), (0.1220, -0.079, -0.060), 0.0240),
)
NEVER_MEET = ("shoulder", "upper_arm")  # of one arm with those of the other
OUTER = ("elbow", "forearm", "wrist_joint", "palm", "fore_fingers", "rear_fingers", "thumb")  # can reach the trunk
FOLDED = ("palm", "fore_fingers", "rear_fingers", "thumb")  # can reach the upper half of their own arm


@dataclass(frozen=True)
class Closest:
    """Some pairs of capsules, the nearest first."""

    names: tuple[tuple[str, str], ...]
    distances: Array  # (k,), [m], negative where they overlap
    jacobians: Array  # (k, 14), [m/rad], how each distance changes with the joints of the arms


class SelfCollision:
    """Distances between the capsules of the robot.

    Args:
        model: Where the capsules' frames are.
        arms: Shared with the caller's own kinematics; own ones if left out.
    """

    def __init__(self, model: RobotModel, arms: Arms | None = None) -> None:
        self.arms = arms or Arms(model)
        self.capsules = tuple(_capsules())
        self._geometry = pin.GeometryModel()
        for capsule in self.capsules:
            self._geometry.addGeometryObject(_geometry_object(capsule, self.arms.model))
        self.pairs = tuple(_pairs())
        """The names of the two capsules of each pair."""
        index = {capsule.name: i for i, capsule in enumerate(self.capsules)}
        for first, second in self.pairs:
            self._geometry.addCollisionPair(pin.CollisionPair(index[first], index[second]))
        self._data = self._geometry.createData()
        self._results = list(self._data.distanceResults)  # live: computeDistances writes into them
        moved_by = np.array([_moved_by(self.arms.model, obj.parentJoint) for obj in self._geometry.geometryObjects])
        self._moves = np.array([moved_by[index[b]] - moved_by[index[a]] for a, b in self.pairs])

    def distances(self, q: Array) -> Array:
        """The distance of every pair in `pairs`, (len(pairs),), [m], at joints (14,) or (26,)."""
        self.arms.update(_arm_joints(q))
        return self._distances()

    def clearance(self, q: Array) -> float:
        """The distance of the nearest pair, [m], at joints (14,) or (26,)."""
        self.arms.update(_arm_joints(q))
        return float(self._results[self._measure()].min_distance)

    def closest(self, q: Array, n: int) -> Closest:
        """The `n` nearest pairs at joints (14,) or (26,), with Jacobians."""
        self.arms.update(_arm_joints(q))
        return self.closest_now(n)

    def closest_now(self, n: int, within: float = np.inf) -> Closest:
        """The `n` nearest pairs at the joints that `arms` was last updated with.

        Args:
            n: At most so many.
            within: [m], leave out pairs that are farther apart.
        """
        distances = self._distances()
        nearest = np.flatnonzero(distances <= within)
        nearest = nearest[np.argsort(distances[nearest])][:n]
        # With the unit vector u from the first to the second body, at a point p where they are nearest, the distance
        # grows by u . (velocity of the second at p - velocity of the first at p), and a twist (v, w) at the origin
        # gives u . (v + w x p) = (u, p x u) . (v, w). Both nearest points lie on the line along u: one p serves both.
        wrenches = np.zeros((len(nearest), 6))
        for row, pair in enumerate(nearest):
            result = self._results[pair]
            (ux, uy, uz), (px, py, pz) = result.normal.tolist(), result.getNearestPoint1().tolist()
            wrenches[row] = ux, uy, uz, py * uz - pz * uy, pz * ux - px * uz, px * uy - py * ux
        return Closest(
            names=tuple(self.pairs[pair] for pair in nearest),
            distances=distances[nearest],
            jacobians=(wrenches @ self.arms.world_jacobian) * self._moves[nearest],
        )

    def _measure(self) -> int:
        """Which pair is the nearest; the results are then of the joints that `arms` was last updated with."""
        pin.updateGeometryPlacements(self.arms.model, self.arms.data, self._geometry, self._data)
        return int(pin.computeDistances(self._geometry, self._data))

    def _distances(self) -> Array:
        self._measure()
        return np.array([result.min_distance for result in self._results])


def _capsules() -> Iterator[Capsule]:
    yield from TRUNK
    for side in SIDES:
        yield from (capsule.on_side(side) for capsule in (*ARM, *HAND))


def _pairs() -> Iterator[tuple[str, str]]:
    """Which capsules can meet: those of the two arms, the outer ones with the trunk, hands with their own upper arm."""
    for left in (*ARM, *HAND):
        for right in (*ARM, *HAND):
            if left.name not in NEVER_MEET or right.name not in NEVER_MEET:
                yield f"left_{left.name}", f"right_{right.name}"
    for side in SIDES:
        yield f"chest_{side}", f"{side}_upper_arm"
        yield from ((trunk.name, f"{side}_{outer}") for trunk in TRUNK for outer in OUTER)
        yield from ((f"{side}_{inner}", f"{side}_{outer}") for inner in NEVER_MEET for outer in FOLDED)


def _geometry_object(capsule: Capsule, model: pin.Model) -> pin.GeometryObject:
    frame = model.frames[model.getFrameId(capsule.frame)]
    start, end = np.array(capsule.start), np.array(capsule.end)
    length = float(np.linalg.norm(end - start))
    along = pin.Quaternion.FromTwoVectors(np.array([0.0, 0.0, 1.0]), (end - start) / length)
    placement = frame.placement * pin.SE3(along.toRotationMatrix(), (start + end) / 2)
    return pin.GeometryObject(capsule.name, frame.parentJoint, placement, coal.Capsule(capsule.radius, length))


def _moved_by(model: pin.Model, joint: int) -> Array:
    """(14,), 1 for the joints between the pelvis and `joint`, which move what hangs on it."""
    moved = np.zeros(len(ARMS))
    for support in model.supports[joint]:
        if support > 0:
            moved[model.joints[support].idx_v] = 1.0
    return moved


def _arm_joints(q: Array) -> Array:
    q = np.asarray(q, dtype=float)
    if q.shape not in {(len(ARMS),), (COUNT,)}:
        raise ShapeError(f"expected {len(ARMS)} arm joints or all {COUNT}, got shape {q.shape}")
    return q[ARMS_SLICE]
