"""Stereolabs' factory calibration, SN<serial>.conf: an ini file with two lenses for every resolution.

    [LEFT_CAM_HD]   fx fy cx cy in [px], distortion k1 k2 p1 p2 [k3]; the same for RIGHT_CAM_HD, _2K, _FHD, _VGA ...
    [STEREO]        Baseline, TY, TZ in [mm]; RX_HD, CV_HD, RZ_HD: rotation vector from left to right, [rad]

CV is the rotation about y (convergence). Newer files keep the distortion in sections LEFT_DISTO, RIGHT_DISTO, once for
all resolutions. The ZED tools keep the files in /usr/local/zed/settings.
"""

import configparser
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from firsthand.errors import CalibrationError
from firsthand.space.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix
from firsthand.vision.rectification import Lens, StereoCalibration

RESOLUTIONS = {
    (2208, 1242): "2K",
    (1920, 1200): "FHD1200",
    (1920, 1080): "FHD",
    (1280, 720): "HD",
    (960, 600): "SVGA",
    (672, 376): "VGA",
}
"""Width and height of one view, and how the file calls it."""
LARGEST_FILE = 1 << 16  # bytes; real ones have 3 kB
DISTORTION = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")


def read_zed_calibration(path: str | Path, width: int, height: int) -> StereoCalibration:
    """The calibration of one resolution.

    Args:
        path: SN<serial>.conf.
        width: Of one view as the camera takes it, [px].
        height: The same, [px].

    Raises:
        CalibrationError: No such file or resolution, or contents that are not those of a calibrated camera.
    """
    path = Path(path)
    name = RESOLUTIONS.get((width, height))
    if name is None:
        known = ", ".join(f"{w}x{h}" for w, h in RESOLUTIONS)
        raise CalibrationError(f"{path} holds no resolution {width}x{height}; a ZED takes views of {known}")
    file = _Sections(path)
    stereo = file.section("STEREO")
    turn = [stereo.number(f"{key}_{name}", 0.0) for key in ("RX", "CV", "RZ")]
    shift = [stereo.number(f"{key}_{name}", stereo.number(key, 0.0)) for key in ("TY", "TZ")]
    try:
        return StereoCalibration(
            width, height, file.lens("LEFT", name), file.lens("RIGHT", name),
            matrix_from_rotation_vector(np.array(turn)),
            np.array([-stereo.number("Baseline"), *shift]) / 1e3,
        )  # fmt: skip
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error


def write_zed_calibration(calibration: StereoCalibration) -> str:
    """The text of an SN<serial>.conf that holds one resolution, with up to five numbers of distortion a lens.

    Raises:
        CalibrationError: A ZED takes no views of that size, or its files hold no such distortion.
    """
    c = calibration
    name = RESOLUTIONS.get((c.width, c.height))
    if name is None:
        known = ", ".join(f"{w}x{h}" for w, h in RESOLUTIONS)
        raise CalibrationError(f"a ZED takes no views of {c.width}x{c.height}, but of {known}")
    baseline, *shift = 1e3 * c.translation * (-1, 1, 1)
    turn = rotation_vector_from_matrix(c.rotation)
    sections = {
        f"LEFT_CAM_{name}": _lens_numbers(c.left),
        f"RIGHT_CAM_{name}": _lens_numbers(c.right),
        "STEREO": {"Baseline": baseline, **dict(zip(("TY", "TZ"), shift, strict=True))}
        | dict(zip((f"RX_{name}", f"CV_{name}", f"RZ_{name}"), turn, strict=True)),
    }
    return "\n".join(_section_text(title, numbers) for title, numbers in sections.items())


def _lens_numbers(lens: Lens) -> dict[str, float]:
    if len(lens.distortion) > 5:
        raise CalibrationError(f"expected up to five numbers of distortion, got {lens.distortion}")
    place = {"fx": lens.fx, "fy": lens.fy, "cx": lens.cx, "cy": lens.cy}
    return place | dict(zip(DISTORTION, lens.distortion, strict=False))


def _section_text(title: str, numbers: Mapping[str, float]) -> str:
    return "".join([f"[{title}]\n", *(f"{key}={float(value)!r}\n" for key, value in numbers.items())])


class _Section:
    """One section's numbers."""

    def __init__(self, where: str, values: Mapping[str, str]) -> None:
        self._where, self._values = where, values

    def number(self, key: str, default: float | None = None) -> float:
        text = self._values.get(key)
        if text is None:
            if default is None:
                raise CalibrationError(f"{self._where} has no {key}; it has {', '.join(self._values) or 'nothing'}")
            return default
        try:
            value = float(text)
        except ValueError:
            raise CalibrationError(f"{self._where} has {key} = {text[:40]!r}, expected a number") from None
        if not math.isfinite(value):
            raise CalibrationError(f"{self._where} has {key} = {text!r}, expected a finite number")
        return value


class _Sections:
    """A file's sections."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._parser = configparser.ConfigParser(interpolation=None)
        try:
            with path.open("rb") as file:
                text = file.read(LARGEST_FILE + 1)
            if len(text) > LARGEST_FILE:
                raise CalibrationError(f"{path} has more than {LARGEST_FILE} bytes; a calibration has about 3000")
            self._parser.read_string(text.decode("utf-8-sig"))
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            first = str(error).splitlines()[0]
            raise CalibrationError(f"cannot read the calibration {path}: {first}") from error

    def section(self, name: str) -> _Section:
        if not self._parser.has_section(name):
            raise CalibrationError(
                f"{self._path} has no section [{name}]; it has {', '.join(self._parser.sections()) or 'none'}"
            )
        return _Section(f"[{name}] of {self._path}", self._parser[name])

    def lens(self, side: str, resolution: str) -> Lens:
        own = self.section(f"{side}_CAM_{resolution}")
        shared = f"{side}_DISTO"
        distortion = self.section(shared) if self._parser.has_section(shared) else own
        count = 8 if distortion is not own and any(distortion.number(key, 0.0) for key in DISTORTION[5:]) else 5
        fx, fy, cx, cy = (own.number(key) for key in ("fx", "fy", "cx", "cy"))
        return Lens(fx, fy, cx, cy, tuple(distortion.number(key, 0.0) for key in DISTORTION[:count]))
