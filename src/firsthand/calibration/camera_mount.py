"""Where the eyes are on the torso, from points of the robot's own arms that both eyes see.

A *target* is something rigid on a link of the arm: a board in the hand, whose place on the link nobody knows, or a
coloured dot on a fingertip, whose place is known to some millimetres. A *sighting* is what one eye saw of it, with the
joints as they were measured. All unknowns are found at once, by the distance in pixels between what was seen and what
forward kinematics says; the spread of those distances says how far to trust the result.

Pixels cannot tell the two baselines and focal lengths from distance: those come from the camera's own calibration.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from firsthand.calibration.least_squares import ASSUMED, Solution, solve
from firsthand.errors import CalibrationError
from firsthand.robot.model import RobotModel
from firsthand.space.frames import inverse, pose
from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand.vision.intrinsics import Intrinsics

Array = NDArray[np.floating]

OPTICAL_FROM_EYE = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
SIDE = np.array([0.5, -0.5])  # of the baseline, that the left and the right eye are from the middle, along y
BEHIND = 1e-3  # [m]; points that would be behind a camera during the search are put just before it


@dataclass(frozen=True)
class Target:
    """Points that are rigid on one link."""

    link: str
    points: Array  # (n, 3), in the target's own frame, [m]
    place: Array | None = None  # (4, 4) link_from_target where it is known; None for a board that was put on by hand
    tolerance: float = 0.005  # [m] of each coordinate of a known place


@dataclass(frozen=True)
class Sighting:
    """What one eye saw of one target."""

    target: int
    q: Array  # (26,), [rad], as measured when the picture was taken
    eye: int  # 0 left, 1 right
    ids: NDArray[np.intp]  # (n,), which of the target's points
    pixels: Array  # (n, 2)


@dataclass(frozen=True)
class MountSettings:
    """When a result is good enough to be used."""

    outlier: float = 2.0  # [px], from where on a distance counts less
    most_uncertain: tuple[float, float] = (5.0, 0.5)  # [mm], [deg], standard deviations that are refused
    largest_residual: float = 5.0  # [px], root mean square
    fewest: int = 5  # postures that a target has to be seen in by both eyes


@dataclass(frozen=True)
class CameraMount:
    """Where the eyes are, and how well that is known."""

    torso_from_eyes: Array  # (4, 4)
    baseline: float  # [m]
    position_deviation: Array  # (3,), [m], standard deviations in the torso's axes
    rotation_deviation: Array  # (3,), [rad], about the torso's axes
    residual: float  # [px], root mean square without outliers
    points: int  # that were seen
    outliers: int  # of them, left out of the residual
    places: tuple[Array, ...]  # link_from_target of every target
    predicted: tuple[Array, ...] = field(repr=False)  # pixels (n, 2) of every sighting


def fit_camera_mount(
    model: RobotModel,
    intrinsics: Intrinsics,
    targets: Sequence[Target],
    sightings: Sequence[Sighting],
    settings: MountSettings | None = None,
) -> CameraMount:
    """Find the eyes.

    Args:
        model: The robot; where its description has the eyes does not matter.
        intrinsics: Of both eyes, rectified.
        targets: What was looked at.
        sightings: What was seen.
        settings: What is good enough.

    Raises:
        CalibrationError: Too few sightings, or they leave the eyes uncertain, or do not fit together.
    """
    settings = settings or MountSettings()
    postures = [_both_eyes(sightings, number) for number in range(len(targets))]
    if not postures or min(map(len, postures)) < settings.fewest:
        seen = ", ".join(f"{target.link} in {len(found)}" for target, found in zip(targets, postures, strict=True))
        raise CalibrationError(
            f"expected every target to be seen by both eyes in at least {settings.fewest} postures, got "
            f"{seen or 'no target'}"
        )
    problem = _Problem(model, intrinsics, targets, sightings)
    start_eyes, start_places = _start(problem, postures)
    problem.set_start(start_eyes, start_places)
    solution = solve(problem.residuals, np.zeros(problem.unknowns), settings.outlier, problem.groups)
    mount = _mount(problem, solution, settings)
    _check(mount, settings)
    return mount


def _mount(problem: "_Problem", solution: Solution, settings: MountSettings) -> CameraMount:
    eyes, places = problem.poses(solution.unknowns)
    distances = np.linalg.norm(problem.pixel_errors(solution.unknowns), axis=1)
    good = distances <= 2 * settings.outlier
    variance = np.diag(solution.covariance)[:6]
    deviation = np.sqrt(np.where(variance >= 0, variance, np.inf))  # below zero: so little is known that rounding wins
    return CameraMount(
        torso_from_eyes=eyes,
        baseline=problem.intrinsics.baseline,
        position_deviation=deviation[3:],
        rotation_deviation=deviation[:3],
        residual=float(np.sqrt((distances[good] ** 2).mean())) if good.any() else float("inf"),
        points=len(good),
        outliers=int((~good).sum()),
        places=tuple(places),
        predicted=tuple(problem.predicted(solution.unknowns)),
    )


def _check(mount: CameraMount, settings: MountSettings) -> None:
    if mount.outliers > mount.points / 2 or mount.residual > settings.largest_residual:
        raise CalibrationError(
            f"what was seen does not fit the robot's joints: {mount.outliers} of {mount.points} points are outliers, "
            f"the others are {mount.residual:.1f} px off; did the target slip, are left and right swapped, is it the "
            "link that was named, is the board's square size as printed?"
        )
    position, rotation = mount.position_deviation.max() * 1e3, np.rad2deg(mount.rotation_deviation.max())
    if not (position < settings.most_uncertain[0] and rotation < settings.most_uncertain[1]):
        raise CalibrationError(
            f"the eyes are uncertain to {position:.1f} mm and {rotation:.2f} deg; show the target in more postures, "
            "near and far, and turned about more than one axis"
        )


class _Problem:
    """All sightings as one array of points, and the unknowns as small steps from a start.

    The first six unknowns are the eyes', (rotation, position) in the torso's axes; then come six for every target that
    was put on by hand, or three for one whose place is known.
    """

    def __init__(
        self, model: RobotModel, intrinsics: Intrinsics, targets: Sequence[Target], sightings: Sequence[Sighting]
    ) -> None:
        self.intrinsics, self.targets, self.sightings = intrinsics, targets, sightings
        count = [len(sighting.ids) for sighting in sightings]
        links = [_torso_from_link(model, targets[s.target].link, s.q) for s in sightings]
        self._torso_from_link = np.repeat(np.array(links), count, axis=0)
        self._target = np.repeat([s.target for s in sightings], count)
        self._eye = np.repeat([s.eye for s in sightings], count)
        self._points = np.concatenate([targets[s.target].points[s.ids] for s in sightings])
        self._pixels = np.concatenate([s.pixels for s in sightings])
        self._ends = np.cumsum(count)[:-1]
        sizes = [6 if target.place is None else 3 for target in targets]
        self._begins = 6 + np.cumsum([0, *sizes])
        self.unknowns = int(self._begins[-1])

    @property
    def groups(self) -> NDArray[np.intp]:
        """Which residuals share a posture; that places are as known as they are said to be is assumed."""
        keys = np.array([np.asarray(sighting.q, float).tobytes() for sighting in self.sightings])
        posture = np.unique(keys, return_inverse=True)[1].reshape(-1)
        of_points = np.repeat(posture, [2 * len(sighting.ids) for sighting in self.sightings])
        known = 3 * sum(target.place is not None for target in self.targets)
        return np.concatenate([of_points, np.full(known, ASSUMED)]).astype(np.intp)

    def set_start(self, eyes: Array, places: Sequence[Array]) -> None:
        """Where the search begins, (4, 4) each."""
        self._eyes, self._places = eyes, list(places)

    def poses(self, unknowns: Array) -> tuple[Array, list[Array]]:
        """torso_from_eyes and every link_from_target."""
        places = []
        for target, start, begin in zip(self.targets, self._places, self._begins[:-1], strict=True):
            if target.place is None:
                places.append(_moved(start, unknowns[begin : begin + 6]))
            else:
                places.append(_moved(start, np.concatenate([np.zeros(3), unknowns[begin : begin + 3]])))
        return _moved(self._eyes, unknowns[:6]), places

    def residuals(self, unknowns: Array) -> Array:
        """[px], and how far known places are left, in pixels where their tolerance counts as one."""
        known = [
            unknowns[begin : begin + 3] / target.tolerance
            for target, begin in zip(self.targets, self._begins[:-1], strict=True)
            if target.place is not None
        ]
        return np.concatenate([self.pixel_errors(unknowns).ravel(), *known])

    def pixel_errors(self, unknowns: Array) -> Array:
        """(N, 2)."""
        return self._project(unknowns) - self._pixels

    def predicted(self, unknowns: Array) -> list[Array]:
        """The pixels (n, 2) of every sighting."""
        return np.split(self._project(unknowns), self._ends)

    def _project(self, unknowns: Array) -> Array:
        eyes, places = self.poses(unknowns)
        in_link = np.einsum("nij,nj->ni", np.array(places)[self._target], _homogeneous(self._points))
        in_torso = np.einsum("nij,nj->ni", self._torso_from_link, in_link)
        in_eyes = in_torso @ inverse(eyes).T
        in_eye = in_eyes[:, :3] - np.outer(SIDE[self._eye] * self.intrinsics.baseline, [0, 1, 0])
        x, y, z = (in_eye @ OPTICAL_FROM_EYE.T).T
        i, z = self.intrinsics, np.maximum(z, BEHIND)
        return np.stack([i.fx * x / z + i.cx, i.fy * y / z + i.cy], axis=1)


def _start(problem: _Problem, postures: Sequence[Sequence[tuple[int, int]]]) -> tuple[Array, list[Array]]:
    """A first guess in closed form, from the target that was seen most often."""
    number = max(range(len(postures)), key=lambda n: len(postures[n]))
    target = problem.targets[number]
    seen = [_triangulated(problem, *pair) for pair in postures[number]]
    links = np.array([problem._torso_from_link[_first(problem, left)] for left, _ in postures[number]])
    if target.place is None:
        eyes, place = _from_boards(links, [_rigid(target.points[ids], points) for ids, points in seen])
    else:
        place = target.place
        there = np.concatenate([(link @ place @ _homogeneous(target.points[ids]).T).T[:, :3]
                                for link, (ids, _) in zip(links, seen, strict=True)])  # fmt: skip
        eyes = _rigid(np.concatenate([points for _, points in seen]), there)
    places = []
    for other, found in zip(problem.targets, postures, strict=True):
        if other is target:
            places.append(place)
        elif other.place is not None:
            places.append(other.place)
        else:
            ids, points = _triangulated(problem, *found[0])
            link = problem._torso_from_link[_first(problem, found[0][0])]
            places.append(inverse(link) @ eyes @ _rigid(other.points[ids], points))
    return eyes, places


def _from_boards(torso_from_link: Array, eyes_from_board: Sequence[Array]) -> tuple[Array, Array]:
    """torso_from_eyes Y and link_from_board X with A X = Y B for all postures, linear in both.

    Rotations first, as the null space of R_A X - Y R_B (Kronecker form, Shah 2013), then positions.
    """
    a, b = np.asarray(torso_from_link), np.asarray(eyes_from_board)
    rows = [
        np.hstack([np.kron(a_i[:3, :3], np.eye(3)), -np.kron(np.eye(3), b_i[:3, :3].T)])
        for a_i, b_i in zip(a, b, strict=True)
    ]
    null = np.linalg.svd(np.concatenate(rows))[2][-1]
    x, y = null[:9].reshape(3, 3), null[9:].reshape(3, 3)
    sign = np.sign(np.linalg.det(x)) or 1.0
    x, y = _nearest_rotation(sign * x), _nearest_rotation(sign * y)
    blocks = [np.hstack([a_i[:3, :3], -np.eye(3)]) for a_i in a]
    right = [y @ b_i[:3, 3] - a_i[:3, 3] for a_i, b_i in zip(a, b, strict=True)]
    t = np.linalg.lstsq(np.concatenate(blocks), np.concatenate(right), rcond=None)[0]
    return pose(y, t[3:]), pose(x, t[:3])


def _triangulated(problem: _Problem, left: int, right: int) -> tuple[NDArray[np.intp], Array]:
    """Points that both eyes saw, (n, 3) in the frame `eyes`, and which they are."""
    one, two, i = problem.sightings[left], problem.sightings[right], problem.intrinsics
    ids, in_one, in_two = np.intersect1d(one.ids, two.ids, return_indices=True)
    a, b = one.pixels[in_one], two.pixels[in_two]
    disparity = np.maximum(a[:, 0] - b[:, 0], 1e-2)
    z = i.fx * i.baseline / disparity
    x, y = (a[:, 0] - i.cx) * z / i.fx, ((a[:, 1] + b[:, 1]) / 2 - i.cy) * z / i.fy
    in_left = np.stack([x, y, z], axis=1) @ OPTICAL_FROM_EYE
    return ids, in_left + np.array([0, SIDE[0] * i.baseline, 0])


def _both_eyes(sightings: Sequence[Sighting], target: int) -> list[tuple[int, int]]:
    """Pairs of sightings (left, right) of one target in one posture."""
    found: dict[bytes, dict[int, int]] = {}
    for number, sighting in enumerate(sightings):
        if sighting.target == target:
            found.setdefault(np.asarray(sighting.q, float).tobytes(), {})[sighting.eye] = number
    pairs = [(eyes[0], eyes[1]) for eyes in found.values() if len(eyes) == 2]
    return [(a, b) for a, b in pairs if len(np.intersect1d(sightings[a].ids, sightings[b].ids)) >= 1]


def _first(problem: _Problem, sighting: int) -> int:
    """Index of a sighting's first point."""
    return int(0 if sighting == 0 else problem._ends[sighting - 1])


def _rigid(points: Array, there: Array) -> Array:
    """The rigid transform (4, 4) that brings points (n, 3) nearest to where they are (Kabsch)."""
    a, b = points - points.mean(axis=0), there - there.mean(axis=0)
    u, _, vt = np.linalg.svd(a.T @ b)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T)) or 1.0])
    rotation = vt.T @ flip @ u.T
    return pose(rotation, there.mean(axis=0) - rotation @ points.mean(axis=0))


def _nearest_rotation(matrix: Array) -> Array:
    u, _, vt = np.linalg.svd(matrix)
    return np.asarray(u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt)


def _moved(start: Array, step: Array) -> Array:
    """A pose turned by a rotation vector and shifted, both in its parent's axes."""
    return pose(matrix_from_rotation_vector(step[:3]) @ start[:3, :3], start[:3, 3] + step[3:])


def _homogeneous(points: Array) -> Array:
    return np.concatenate([points, np.ones((len(points), 1))], axis=1)


def _torso_from_link(model: RobotModel, link: str, q: Array) -> Array:
    torso, pelvis_from_link = model.link_poses(["torso_link", link], q)
    return inverse(torso) @ pelvis_from_link
