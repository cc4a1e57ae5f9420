"""The checkpoint folder: the second waist of the house, and a folder that explains itself.

manifest.json        what every number means: conventions, names, rate, horizon, normalisation, hashes, provenance
world_model.onnx     features, state -> latent, future_features
policy.onnx          features, state, latent, future_features -> actions, selected
                     without a world_model.onnx: features, state -> actions
model.safetensors    the weights, for those who train on

A robot needs the graphs and the manifest alone. A mismatch is refused with both sides shown. Nothing is ever unpickled.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from firsthand.errors import CheckpointError
from firsthand.share import share_directory
from firsthand.space.hand_state import NAMES, SIZE

FORMAT = "firsthand-checkpoint"
FORMAT_VERSION = 1
FRAME_CONVENTION = "eyes_gravity"  # F_R: origin between the eyes, z against gravity, x along the heading
ROTATION_CONVENTION = "columns"  # 6D is the first two columns

MANIFEST = "manifest.json"
WORLD_MODEL = "world_model.onnx"
POLICY = "policy.onnx"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class EncoderSpec:
    """The frozen visual encoder that a checkpoint was trained on."""

    name: str
    source_sha256: str
    image_size: tuple[int, int]  # height, width [px]
    feature_shape: tuple[int, int, int, int]  # views, rows, columns, channels


@dataclass(frozen=True)
class NormalizationSpec:
    """Mean and spread of the 54 numbers in the training data, physical units; the graphs apply them inside."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class BlockSpec:
    """The blocks that a sparse attention selects from: `block` x `block` patches of one view of one frame.

    First those of the current frame, view by view, whose patches are the encoder's; then those of each predicted one.
    """

    pooled_grid: tuple[int, int]  # rows and columns of a predicted frame's patches, in one view
    block: int  # patches along each side; at a border that they do not divide, blocks are smaller


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint says of itself."""

    task: str
    rate: float  # [Hz] of the action chunk
    horizon: int  # H, actions in a chunk: targets for t+1 .. t+H
    stride: int  # r, steps between predicted observations; T = H / r
    encoder: EncoderSpec
    state_normalization: NormalizationSpec
    action_normalization: NormalizationSpec
    files: dict[str, str]  # file name -> sha256
    blocks: BlockSpec | None = None  # None: the network selects none
    network: dict[str, Any] = field(default_factory=dict)  # name and settings of the method, for those who train on
    provenance: dict[str, Any] = field(default_factory=dict)  # data, steps, losses, versions
    names: tuple[str, ...] = NAMES
    frame_convention: str = FRAME_CONVENTION
    rotation_convention: str = ROTATION_CONVENTION
    format: str = FORMAT
    format_version: int = FORMAT_VERSION

    @property
    def predicted_frames(self) -> int:
        """T = H / r; 0 without a world model."""
        return self.horizon // self.stride if self.has_world_model else 0

    @property
    def has_world_model(self) -> bool:
        """Whether the checkpoint predicts what will be seen; a policy without one only says what to do."""
        return WORLD_MODEL in self.files


def find_checkpoint(name_or_path: str | Path) -> Path:
    """A checkpoint folder by path, or by the name of one that ships with the package (for example `push`).

    Raises:
        CheckpointError: There is none; the message lists those that ship.
    """
    shipped = share_directory() / "checkpoints"
    for candidate in (Path(name_or_path), shipped / str(name_or_path)):
        if _is_file(candidate / MANIFEST):
            return candidate
    known = sorted(path.parent.name for path in shipped.glob(f"*/{MANIFEST}"))
    raise CheckpointError(
        f"no checkpoint at {str(name_or_path)!r} (a folder with a {MANIFEST}); "
        f"shipped ones: {', '.join(known) or 'none'}; `firsthand-lab export` makes one of a training run"
    )


def load_manifest(directory: Path, check_files: bool = True) -> Manifest:
    """Read and check a checkpoint's manifest.

    Args:
        directory: The checkpoint folder.
        check_files: Also compare the graphs with their hashes. `check_file` does so with the weights.

    Raises:
        CheckpointError: Missing, unreadable, of another convention, or with damaged files.
    """
    manifest = _parse(directory / MANIFEST)
    _check_conventions(manifest, directory)
    if check_files:
        for name in (WORLD_MODEL, POLICY) if manifest.has_world_model else (POLICY,):
            check_file(directory, manifest, name)
    return manifest


def check_file(directory: Path, manifest: Manifest, name: str) -> None:
    """Compare a file with its hash.

    Raises:
        CheckpointError: It is not listed, not there, not readable, or another one.
    """
    path = directory / name
    if name not in manifest.files:
        raise CheckpointError(f"{directory / MANIFEST} does not list {name}")
    if not _is_file(path):
        raise CheckpointError(f"{directory} lists {name!r} and does not have it")
    try:
        found = sha256(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    if found != manifest.files[name]:
        raise CheckpointError(f"{path} is damaged: sha256 {found}, the manifest says {manifest.files[name]}")


def write_manifest(directory: Path, manifest: Manifest) -> Path:
    """Write `manifest.json` beside the files it lists, to a temporary name first."""
    path = directory / MANIFEST
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(manifest), indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
    return path


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _parse(path: Path) -> Manifest:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent} is no checkpoint: it has no {MANIFEST}") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable as JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else type(data).__name__
        raise CheckpointError(f"{path} has format {found!r}, expected {FORMAT!r}")
    if data.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {data.get('format_version')!r}; this firsthand reads {FORMAT_VERSION}"
        )
    try:
        return _build(data)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a whole manifest: {error}") from error


def _build(data: dict[str, Any]) -> Manifest:
    known = {f.name for f in fields(Manifest)}
    if unknown := set(data) - known:
        raise ValueError(f"unknown entries {sorted(unknown)}")
    height, width = data["encoder"]["image_size"]
    views, rows, columns, channels = data["encoder"]["feature_shape"]
    encoder = EncoderSpec(
        **{
            **data["encoder"],
            "image_size": (int(height), int(width)),
            "feature_shape": (int(views), int(rows), int(columns), int(channels)),
        }
    )
    manifest = Manifest(
        **{
            **data,
            "encoder": encoder,
            "state_normalization": _normalization(data["state_normalization"]),
            "action_normalization": _normalization(data["action_normalization"]),
            "names": tuple(data["names"]),
            "files": {str(name): str(digest) for name, digest in data["files"].items()},
            "blocks": _blocks(data.get("blocks"), (int(rows), int(columns))),
        }
    )
    if outside := [name for name in manifest.files if Path(name).name != name]:
        raise ValueError(f"files lie in the folder itself, not at {', '.join(outside)}")
    if not (manifest.rate > 0 and manifest.horizon > 0 and manifest.stride > 0):
        raise ValueError(f"rate {manifest.rate}, horizon {manifest.horizon}, stride {manifest.stride} must be positive")
    if manifest.horizon % manifest.stride:
        raise ValueError(f"horizon {manifest.horizon} is no multiple of stride {manifest.stride}")
    return manifest


def _blocks(data: dict[str, Any] | None, grid: tuple[int, int]) -> BlockSpec | None:
    if data is None:
        return None
    rows, columns = data["pooled_grid"]
    spec = BlockSpec(**{**data, "pooled_grid": (int(rows), int(columns)), "block": int(data["block"])})
    if min(*spec.pooled_grid, spec.block) < 1 or any(n % m for n, m in zip(grid, spec.pooled_grid, strict=True)):
        raise ValueError(f"blocks of {spec.block} patches on a grid {spec.pooled_grid}, pooled from {grid}")
    return spec


def _normalization(data: dict[str, Any]) -> NormalizationSpec:
    spec = NormalizationSpec(tuple(map(float, data["mean"])), tuple(map(float, data["std"])))
    if len(spec.mean) != SIZE or len(spec.std) != SIZE:
        raise ValueError(f"normalisation has {len(spec.mean)} and {len(spec.std)} numbers, expected {SIZE}")
    return spec


def _check_conventions(manifest: Manifest, directory: Path) -> None:
    expected = {"frame_convention": FRAME_CONVENTION, "rotation_convention": ROTATION_CONVENTION}
    for key, value in expected.items():
        if (found := getattr(manifest, key)) != value:
            raise CheckpointError(f"{directory} was made with {key} {found!r}; this firsthand uses {value!r}")
    if manifest.names != NAMES:
        pairs = [(i, a, b) for i, (a, b) in enumerate(zip(manifest.names, NAMES, strict=False)) if a != b]
        first = (
            f"number {pairs[0][0]} is {pairs[0][1]!r} there and {pairs[0][2]!r} here" if pairs else "too few or many"
        )
        raise CheckpointError(
            f"{directory} orders the {SIZE} numbers differently ({len(manifest.names)} names): {first}"
        )


def _is_file(path: Path) -> bool:
    """Whether there is a file.

    Raises:
        CheckpointError: One may not look.
    """
    try:
        return path.is_file()
    except OSError as error:
        raise CheckpointError(f"cannot look for {path}: {error}") from error
