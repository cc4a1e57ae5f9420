"""How a clip's camera is found."""

from dataclasses import dataclass, field

import numpy as np

from firsthand.errors import LabelError
from firsthand_training.labels.scene.checks import Limits
from firsthand_training.labels.scene.gravity import GravitySettings
from firsthand_training.labels.scene.mapping import MappingSettings


@dataclass(frozen=True)
class SceneSettings:
    """How a clip's camera is found; pixels are those of a picture of 640x480."""

    keyframe_rate: float = 10.0  # [Hz], of the frames that are mapped
    max_keyframes: int = 60
    longest_side: int = 960  # [px], larger pictures are made smaller first
    mapping: MappingSettings = field(default_factory=MappingSettings)
    limits: Limits = field(default_factory=Limits)
    gravity: GravitySettings = field(default_factory=GravitySettings)
    focal_starts: tuple[float, ...] = (0.5, 0.75)
    """Longer sides of a picture, from which mapping tries again where it found no scene from what right angles say."""
    guessed_focal: float = 0.8  # longer sides, where it is not known and cannot be found: 64 deg wide
    turned_only: float = 0.5  # [px], turning that explains corners so well is taken for all
    hardly_moved: float = 1.0  # [px], here no more is tried than the first kind of features
    max_residual: float = 2.0  # [px], of a camera that only turned, as far as one can tell

    def __post_init__(self) -> None:
        if not 0 < self.keyframe_rate < np.inf or self.max_keyframes < 3:
            raise LabelError(f"expected a positive keyframe_rate and 3 keyframes or more, got {self}")
        if not self.focal_starts or not all(0.1 < focal < 10 for focal in self.focal_starts):
            raise LabelError(f"mapping starts from focal lengths of about 0.5 to 1, got {self.focal_starts}")
        if self.longest_side < 64 or not 0 < self.guessed_focal < 10:
            raise LabelError(f"expected longest_side >= 64 px and guessed_focal of about 0.8, got {self}")
