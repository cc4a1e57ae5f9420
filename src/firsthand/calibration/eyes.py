"""From a recording to the camera's mount: finds board or dots in both eyes, fits, writes the file and a picture."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from firsthand.calibration.board import Board, BoardView
from firsthand.calibration.camera_mount import CameraMount, MountSettings, Sighting, Target, fit_camera_mount
from firsthand.calibration.dots import find_dot
from firsthand.calibration.recording import Recording, Sample, Stamps
from firsthand.errors import CalibrationError
from firsthand.robot.model import RobotModel
from firsthand.robot.mount_file import FORMAT, Mount, write_calibration_file

Picture = NDArray[np.uint8]

SEEN, PREDICTED = (60, 220, 60), (255, 60, 60)  # RGB
SHOWN = 6  # instants in the picture
ROUNDS = 3  # times the postures that are wanted, that are looked at for them


@dataclass(frozen=True)
class EyesSettings:
    """What to look for."""

    board: Board | None = None  # in a hand
    board_link: str = "L_hand_base_link"
    dots: tuple[tuple[str, str], ...] = ()  # link and colour of each
    postures: int = 40
    mount: MountSettings = field(default_factory=MountSettings)

    def __post_init__(self) -> None:
        if self.board is None and not self.dots:
            raise CalibrationError("expected a board, or dots on known points, to look for")
        colours = [colour for _, colour in self.dots]
        if len(set(colours)) < len(colours):
            raise CalibrationError(f"expected a colour of its own for every dot, got {', '.join(colours)}")


@dataclass(frozen=True)
class EyesResult:
    """What was found."""

    mount: CameraMount
    sightings: tuple[Sighting, ...]
    samples: tuple[Sample, ...]  # one for each pair of sightings' postures

    def __str__(self) -> str:
        m = Mount.from_pose(self.mount.torso_from_eyes, self.mount.baseline)
        mm, deg = self.mount.position_deviation * 1e3, np.rad2deg(self.mount.rotation_deviation)
        return (
            f"eyes in torso_link: xyz {np.round(m.eyes_xyz, 4).tolist()} m (+- {np.round(mm, 2).tolist()} mm), "
            f"rpy {np.round(m.eyes_rpy, 4).tolist()} rad (+- {np.round(deg, 3).tolist()} deg)\n"
            f"{self.mount.points} points in {len(self.samples)} postures, {self.mount.residual:.2f} px off on average, "
            f"{self.mount.outliers} outliers"
        )


def calibrate_eyes(bag: Path, model: RobotModel, settings: EyesSettings) -> EyesResult:
    """Find the eyes from a recording in which an arm shows a target and stands still now and then.

    Raises:
        BagError: No such recording.
        CalibrationError: It does not show enough, or what it shows does not fit.
    """
    targets = make_targets(settings)
    with Recording(bag, model.joints) as recording:
        still = recording.spread(recording.still(), ROUNDS * settings.postures)
        if len(still) < settings.mount.fewest:
            raise CalibrationError(
                f"{bag}: the arms stand still in {len(still)} different postures; hold each of at least "
                f"{settings.mount.fewest} for half a second"
            )
        samples, sightings = _look_for_targets(recording, still, settings)
        mount = fit_camera_mount(model, recording.intrinsics, targets, sightings, settings.mount)
    return EyesResult(mount, tuple(sightings), tuple(samples))


def _look_for_targets(
    recording: Recording, stamps: Stamps, settings: EyesSettings
) -> tuple[list[Sample], list[Sighting]]:
    """Instants that show a target: the most different postures first, others in place of those that show none."""
    samples: list[Sample] = []
    sightings: list[Sighting] = []
    with tqdm(total=len(stamps), desc="looking for targets", disable=None) as progress:
        while len(stamps) and len(samples) < settings.postures:
            wanted = settings.postures - len(samples)
            these, stamps = stamps[:wanted], stamps[wanted:]
            for sample in recording.samples(these):
                progress.update()
                if found := find_targets(sample, settings):
                    samples.append(sample)
                    sightings += found
    return samples, sightings


def make_targets(settings: EyesSettings) -> list[Target]:
    """The board, if there is one, then the dots."""
    targets = [Target(settings.board_link, settings.board.corners)] if settings.board else []
    return targets + [Target(link, np.zeros((1, 3)), np.eye(4)) for link, _ in settings.dots]


def find_targets(sample: Sample, settings: EyesSettings) -> list[Sighting]:
    """Everything that both eyes see of an instant."""
    views: list[list[BoardView | None]] = []
    if settings.board is not None:
        views.append([settings.board.find(image) for image in sample.images])
    views += [[_dot_view(image, colour) for image in sample.images] for _, colour in settings.dots]
    return [
        Sighting(target, sample.q, eye, view.ids, view.pixels)
        for target, eyes in enumerate(views)
        for eye, view in enumerate(eyes)
        if view is not None and None not in eyes
    ]


def _dot_view(image: Picture, colour: str) -> BoardView | None:
    """A dot as a board of one corner."""
    dot = find_dot(image, colour)
    return None if dot is None else BoardView(np.zeros(1, np.intp), dot[None])


def write_mount(path: Path, result: EyesResult) -> Path:
    """Write the file that the kinematics node reads."""
    m = Mount.from_pose(result.mount.torso_from_eyes, result.mount.baseline)
    content = {
        "eyes_xyz": [round(v, 6) for v in m.eyes_xyz],
        "eyes_rpy": [round(v, 7) for v in m.eyes_rpy],
        "camera_baseline": round(m.camera_baseline, 6),
        "standard_deviation": {
            "xyz_mm": [round(float(v) * 1e3, 3) for v in result.mount.position_deviation],
            "rotation_deg": [round(float(np.rad2deg(v)), 4) for v in result.mount.rotation_deviation],
        },
        "residual_px": round(result.mount.residual, 3),
        "points": result.mount.points,
        "outliers": result.mount.outliers,
        "postures": len(result.samples),
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    return write_calibration_file(path, FORMAT, content)


def draw_reprojection(result: EyesResult) -> Picture:
    """Some instants, both eyes side by side: what was seen in green, where the result puts it in red. (H, W, 3) RGB."""
    rows = []
    for sample in _spread(result.samples, SHOWN):
        views = [view.copy() for view in sample.images]
        for sighting, predicted in zip(result.sightings, result.mount.predicted, strict=True):
            if np.array_equal(sighting.q, sample.q):
                _draw(views[sighting.eye], sighting.pixels, predicted)
        rows.append(np.hstack(views))
    return np.vstack(rows)


def _draw(view: Picture, seen: NDArray[np.floating], predicted: NDArray[np.floating]) -> None:
    for a, b in zip(seen, predicted, strict=True):
        cv2.circle(view, tuple(int(v) for v in np.rint(a)), 5, SEEN, 1, cv2.LINE_AA)
        x, y = (int(v) for v in np.rint(np.clip(b, -1e4, 1e4)))
        cv2.drawMarker(view, (x, y), PREDICTED, cv2.MARKER_CROSS, 7, 1, cv2.LINE_AA)


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    places = np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(int))
    return [samples[place] for place in places]
