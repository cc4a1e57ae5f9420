"""How well `firsthand calibrate eyes` finds a camera: rendered robots whose eyes are where nobody told the calibration.

python benchmarks/camera_mount.py [--trials 10] [--postures 25] [--backlash 0.1]

A trial draws a mount (up to 3 cm and 5 degrees from the description), where the board sits in the hand, and postures;
renders both eyes at 1280x720, sends the pictures through JPEG, finds the board (or dots on two fingertips) and fits.
`--backlash` is noise on every arm joint that the calibration gets to see, in degrees, one standard deviation.
"""

import argparse

import cv2
import numpy as np

from firsthand.calibration.board import Board
from firsthand.calibration.camera_mount import fit_camera_mount
from firsthand.calibration.eyes import EyesSettings, find_targets, make_targets
from firsthand.calibration.recording import Sample
from firsthand.errors import CalibrationError
from firsthand.robot.joints import ARMS_SLICE
from firsthand.robot.model import RobotModel
from firsthand.robot.mount_file import Mount
from firsthand.simulation.calibration_scene import CalibrationScene, Dot, HeldBoard
from firsthand.space.frames import inverse, pose
from firsthand.space.rotations import angle_between, matrix_from_rotation_vector
from firsthand.vision.intrinsics import Intrinsics

LINK = "L_hand_base_link"
DOTS = (("L_index_tip", "green"), ("R_index_tip", "magenta"))
COLOURS = {"green": (0.1, 0.9, 0.1), "magenta": (0.9, 0.05, 0.9)}
SPREAD = 0.35  # [rad] of the arms' postures around the ready posture


def main() -> None:
    """Run trials with the board and with dots, and print errors in mm and deg."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--postures", type=int, default=25)
    parser.add_argument("--backlash", type=float, default=0.1, help="[deg]")
    parser.add_argument("--what", choices=("board", "dots"), nargs="+", default=("board", "dots"))
    options = parser.parse_args()
    for what in options.what:
        results = []
        for seed in range(options.trials):
            try:
                results.append(trial(what, seed, options.postures, np.deg2rad(options.backlash)))
            except CalibrationError as error:
                print(f"{what} {seed}: refused: {error}", flush=True)
                continue
            print(f"{what} {seed}: " + report(results[-1:]), flush=True)
        print(f"{what}, {len(results)} of {options.trials} trials: {report(results)}", flush=True)


def trial(what: str, seed: int, postures: int, backlash: float) -> tuple[float, float, float, float]:
    """Error [mm] and [deg], distance [mm] by the standard deviations that were told, residual [px]."""
    rng, model = np.random.default_rng(seed), RobotModel.load()
    truth = draw_mount(model, rng)
    settings = EyesSettings(board=Board()) if what == "board" else EyesSettings(dots=DOTS)
    scene = make_scene(what, truth, model, rng)
    try:
        samples = [look(scene, model, rng, backlash) for _ in range(postures)]
        intrinsics = Intrinsics(1280, 720, *scene.intrinsics)
    finally:
        scene.close()
    sightings = [sighting for sample in samples for sighting in find_targets(sample, settings)]
    mount = fit_camera_mount(model, intrinsics, make_targets(settings), sightings)
    error = mount.torso_from_eyes[:3, 3] - truth[:3, 3]
    turn = angle_between(mount.torso_from_eyes[:3, :3], truth[:3, :3])
    told = np.linalg.norm(mount.position_deviation)
    return 1e3 * float(np.linalg.norm(error)), float(np.rad2deg(turn)), 1e3 * float(told), mount.residual


def draw_mount(model: RobotModel, rng: np.random.Generator) -> np.ndarray:
    """Where the eyes are in this trial, (4, 4) torso_from_eyes."""
    nominal = model.torso_from_eyes
    turn = matrix_from_rotation_vector(np.deg2rad(rng.uniform(-3, 3, 3)))
    return pose(turn @ nominal[:3, :3], nominal[:3, 3] + rng.uniform(-0.017, 0.017, 3))


def make_scene(what: str, truth: np.ndarray, model: RobotModel, rng: np.random.Generator) -> CalibrationScene:
    """The robot with these eyes and something to look at."""
    urdf = Mount.from_pose(truth, 0.063).urdf()
    if what == "board":
        board = Board()
        size = (board.square * board.columns, board.square * board.rows)
        return CalibrationScene(urdf, [HeldBoard(board.draw(300), size, LINK, draw_place(model, truth, rng))])
    dots = [Dot(link, rng.normal(0, 0.002, 3), COLOURS[colour]) for link, colour in DOTS]  # stuck on by hand
    return CalibrationScene(urdf, dots=dots)


def draw_place(model: RobotModel, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How the left hand holds the board, (4, 4): about facing the eyes when the arm is in the ready posture."""
    torso, link = model.link_poses(["torso_link", LINK], model.neutral)
    torso_from_link = inverse(torso) @ link
    middle = torso_from_link[:3, 3] + np.array([0.10, -0.05, 0.07]) + rng.normal(0, 0.01, 3)
    z = truth[:3, 3] - middle
    z /= np.linalg.norm(z)
    x = np.array([0.0, -1.0, 0.0]) - z * z[1] * -1.0
    x /= np.linalg.norm(x)
    turn = matrix_from_rotation_vector(rng.normal(0, 0.1, 3))
    return inverse(torso_from_link) @ pose(turn @ np.stack([x, np.cross(z, x), z], axis=1), middle)


def look(scene: CalibrationScene, model: RobotModel, rng: np.random.Generator, backlash: float) -> Sample:
    """A random posture, seen through JPEG, with joints as badly measured as asked."""
    q = model.neutral.copy()
    q[ARMS_SLICE] += rng.uniform(-SPREAD, SPREAD, 14)
    q = np.clip(q, model.lower, model.upper)
    images = np.stack([_jpeg(image) for image in scene.render(q)])
    measured = q.copy()
    measured[ARMS_SLICE] += rng.normal(0, backlash, 14)
    return Sample(0, measured, images)


def report(results: list[tuple[float, float, float, float]]) -> str:
    """Median and largest of each number."""
    names = ("off by", "turned by", "told (1 sigma)", "residual")
    units = ("mm", "deg", "mm", "px")
    table = np.array(results).reshape(-1, 4)
    if not len(table):
        return "none"
    return ", ".join(
        f"{name} {np.median(column):.2f} (largest {column.max():.2f}) {unit}"
        for name, unit, column in zip(names, units, table.T, strict=True)
    )


def _jpeg(image: np.ndarray) -> np.ndarray:
    data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


if __name__ == "__main__":
    main()
