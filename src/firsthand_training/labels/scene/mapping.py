"""Structure from motion over a clip's keyframes, by COLMAP (Schoenberger and Frahm, CVPR 2016; Pan et al., ECCV 2024).

What is mapped are SIFT features of the keyframes, as in the paper; `small_motion.py` maps corners that were followed.
Global mapping comes first: over motions of a few centimetres incremental mapping may settle on a camera of three times
the focal length, with the scene turned inside out. What a mapper returns is believed only if `checks.py` finds nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from numpy.typing import NDArray

from firsthand.errors import LabelError
from firsthand_training.labels.scene.camera import HALF_PIXEL, Array
from firsthand_training.labels.scene.model import Model, Prior

Gray = NDArray[np.uint8]
Mask = NDArray[np.bool_]

MAX_ERROR = 4.0  # [px], of an observation, when the focal length is adjusted


pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value  # it tells hundreds of lines about every clip


@dataclass(frozen=True)
class MappingSettings:
    """How features are found and matched."""

    order: tuple[str, ...] = ("tracks", "sift")
    """What is mapped, until a model is believed: corners that were followed, by ourselves; SIFT, by COLMAP, as in the
    paper."""
    mappers: tuple[str, ...] = ("global",)  # `incremental`, too, for clips that travel far; slow if lost
    corners: int = 500  # followed in each picture
    features: int = 1500  # SIFT, of a picture, the largest first
    affine: bool = False  # affine shapes of features: for surfaces seen at grazing angles; twice the time
    double: bool = True  # look for features in the picture at twice its size first
    overlap: int = 5  # keyframes after each that it is matched with, and those 8, 16, ... further on
    threads: int = 1  # more are faster, and may give another result each time
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.order or not set(self.order) <= {"tracks", "sift"}:
            raise LabelError(f"features to map are `tracks` and `sift`, in the order to try, got {self.order}")
        if not self.mappers or not set(self.mappers) <= {"global", "incremental"}:
            raise LabelError(f"mappers are `global` and `incremental`, got {self.mappers}")
        if min(self.corners, self.features, self.overlap, self.threads) < 1:
            raise LabelError(f"expected 1 or more corners, features, keyframes of overlap and threads, got {self}")


class Keyframes:
    """Keyframes of a clip in a scratch folder, for COLMAP to read."""

    def __init__(self, scratch: Path, settings: MappingSettings) -> None:
        self._images, self._masks = scratch / "images", scratch / "masks"
        self._scratch, self._settings = scratch, settings
        for folder in (self._images, self._masks):
            folder.mkdir(parents=True)

    def add(self, frame: int, gray: Gray, hidden: Mask) -> None:
        """Keep a picture; nothing is looked for where it is `hidden`."""
        cv2.imwrite(str(self._images / _name(frame)), gray, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        shown = np.where(hidden, 0, 255).astype(np.uint8)
        cv2.imwrite(str(self._masks / f"{_name(frame)}.png"), shown, [cv2.IMWRITE_PNG_COMPRESSION, 1])

    def match(self, camera: Prior) -> "Matches":
        """Find SIFT features in the keyframes and match them."""
        settings, database = self._settings, self._new_database()
        reader = _reader(camera)
        reader.mask_path = str(self._masks)
        extraction = pycolmap.FeatureExtractionOptions()
        extraction.num_threads = settings.threads
        extraction.sift.max_num_features = settings.features
        extraction.sift.estimate_affine_shape = settings.affine
        extraction.sift.first_octave = -1 if settings.double else 0
        pycolmap.extract_features(
            database,
            self._images,
            camera_mode=pycolmap.CameraMode.SINGLE,
            reader_options=reader,
            extraction_options=extraction,
            device=pycolmap.Device.cpu,
        )
        matching = pycolmap.FeatureMatchingOptions()
        matching.num_threads = settings.threads
        pairing = pycolmap.SequentialPairingOptions()
        pairing.overlap, pairing.quadratic_overlap = settings.overlap, True
        pairing.num_threads = settings.threads
        pycolmap.match_sequential(
            database,
            matching_options=matching,
            pairing_options=pairing,
            verification_options=_verification(settings),
            device=pycolmap.Device.cpu,
        )
        return Matches(database, self._images, settings, camera)

    def _new_database(self) -> Path:
        return self._scratch / f"{len(list(self._scratch.glob('*.db')))}.db"


@dataclass(frozen=True)
class Matches:
    """A database of features and verified matches, ready for either mapper."""

    database: Path
    images: Path
    settings: MappingSettings
    camera: Prior

    def map_globally(self) -> Model | None:
        """The largest model of COLMAP's global mapper; None if it finds none."""
        options = pycolmap.GlobalPipelineOptions()
        options.num_threads = options.mapper.num_threads = self.settings.threads
        options.random_seed = options.mapper.random_seed = self.settings.seed
        options.mapper.bundle_adjustment.refine_focal_length = False
        pycolmap.set_random_seed(self.settings.seed)
        output = self.database.with_suffix(".global")
        largest = _largest(pycolmap.global_mapping(self.database, self.images, output, options).values())
        if largest is not None and not self.camera.exact:
            _refine_focal(largest, self.settings)
        return None if largest is None else _read(largest)

    def map_incrementally(self) -> Model | None:
        """The largest model of COLMAP's incremental mapper; None if it finds none."""
        options = pycolmap.IncrementalPipelineOptions()
        options.num_threads, options.random_seed = self.settings.threads, self.settings.seed
        options.mapper.num_threads, options.mapper.random_seed = self.settings.threads, self.settings.seed
        options.ba_refine_focal_length, options.extract_colors = not self.camera.exact, False
        options.min_model_size, options.max_num_models, options.init_num_trials = 3, 2, 20  # it has had its chance
        # The angles of a camera that hardly moves are small; with a known focal length they are enough.
        options.mapper.init_min_tri_angle = 1.5 if self.camera.exact else 4.0
        options.mapper.filter_min_tri_angle = options.triangulation.min_angle = 0.3
        pycolmap.set_random_seed(self.settings.seed)
        output = self.database.with_suffix(".incremental")
        largest = _largest(pycolmap.incremental_mapping(self.database, self.images, output, options).values())
        return None if largest is None else _read(largest)


def _reader(camera: Prior) -> "pycolmap.ImageReaderOptions":
    """One camera for all, with square pixels and the centre in the middle unless it is known."""
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "PINHOLE" if camera.exact else "SIMPLE_PINHOLE"
    parameters = _colmap_parameters(camera.intrinsics)
    reader.camera_params = ",".join(map(str, parameters if camera.exact else (parameters[0], *parameters[2:])))
    return reader


def _verification(settings: MappingSettings) -> "pycolmap.TwoViewGeometryOptions":
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = settings.seed
    return verification


def _largest(found: "Iterable[pycolmap.Reconstruction]") -> "pycolmap.Reconstruction | None":
    models = [model for model in found if model.num_reg_images() and model.num_points3D()]
    return max(models, key=lambda model: (model.num_reg_images(), model.num_points3D()), default=None)


def _refine_focal(reconstruction: "pycolmap.Reconstruction", settings: MappingSettings) -> None:
    """Adjust everything, the focal length as well."""
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_focal_length, options.refine_extra_params, options.print_summary = True, False, False
    options.ceres.loss_function_type, options.ceres.loss_function_scale = pycolmap.LossFunctionType.HUBER, 1.0
    options.ceres.solver_options.num_threads = settings.threads
    config = pycolmap.BundleAdjustmentConfig()
    for image in reconstruction.reg_image_ids():
        config.add_image(image)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    observations = pycolmap.ObservationManager(reconstruction)
    # What a wrong focal length put far off or behind a camera would hold the right one up.
    for _ in range(2):
        observations.filter_all_points3D(MAX_ERROR, 0.0)
        # Not pycolmap.bundle_adjustment(), which makes COLMAP's log talk again.
        pycolmap.create_default_bundle_adjuster(options, config, reconstruction).solve()
    observations.filter_all_points3D(MAX_ERROR, 0.0)


def _read(reconstruction: "pycolmap.Reconstruction") -> Model:
    images = sorted((i for i in reconstruction.images.values() if i.has_pose), key=lambda image: image.name)
    numbers = {identity: number for number, identity in enumerate(sorted(reconstruction.points3D))}
    points = [reconstruction.points3D[identity] for identity in numbers]
    observed, pixels = [], []
    for image in images:
        seen = image.get_observation_points2D()
        observed.append(np.array([numbers[point.point3D_id] for point in seen], dtype=np.int64))
        pixels.append(np.array([point.xy for point in seen]).reshape(-1, 2) - HALF_PIXEL)
    intrinsics = next(iter(reconstruction.cameras.values())).calibration_matrix()
    intrinsics[:2, 2] -= HALF_PIXEL
    poses = np.tile(np.eye(4), (len(images), 1, 1))
    poses[:, :3] = [image.cam_from_world().matrix() for image in images]
    return Model(
        frames=np.array([int(Path(image.name).stem) for image in images], dtype=np.int64),
        intrinsics=intrinsics,
        camera_from_world=poses,
        points=np.array([point.xyz for point in points]).reshape(-1, 3),
        observed=tuple(observed),
        pixels=tuple(pixels),
        reprojection_error=float(reconstruction.compute_mean_reprojection_error()),
    )


def _colmap_parameters(intrinsics: Array) -> tuple[float, ...]:
    centre = intrinsics[:2, 2] + HALF_PIXEL
    return float(intrinsics[0, 0]), float(intrinsics[1, 1]), float(centre[0]), float(centre[1])


def _name(frame: int) -> str:
    return f"{frame:08d}.png"
