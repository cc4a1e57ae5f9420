"""How a bag is read: rates, ages and sources of what an episode takes from it."""

from dataclasses import dataclass
from typing import Literal

from firsthand.errors import EpisodeError
from firsthand_training.episodes.layout import EpisodeSettings


@dataclass(frozen=True)
class BagConversion:
    """How a bag is read.

    Raises:
        EpisodeError: A time or a size makes no sense.
    """

    task: str  # the instruction in words
    fps: int = 25
    max_skew: float = 0.005  # [s] between the pictures of a pair
    max_state_age: float = 0.05  # [s] of joints and hand state at a frame
    max_command_age: float = 0.1  # [s] of the joint command at the end of a frame
    max_target_age: float = 0.2  # [s] of a person's target, as long as the kinematics node follows it
    max_hand_loss: float = 0.3  # [s] that a person's hand may not be tracked; the frames have quality 0
    action: Literal["auto", "chunks", "joints", "measured"] = "auto"
    """The hand target: of chunks or a person's targets, of the joint commands, or what was measured at t + 1 / fps.
    Auto takes the targets if only one source led, the joint commands if none or several did."""
    gaps: Literal["refuse", "split"] = "refuse"
    min_frames: int = 25  # shorter pieces are left out when splitting
    quality: bool = False  # keep a quality of frames: 0 where the gate let nothing through, or a hand was not seen
    size: tuple[int, int] | None = None  # height and width of the pictures, [px]; None: as recorded
    eyes_xyz: tuple[float, float, float] = (0.0, 0.0, 0.0)  # [m] of a person's stereo camera in the headset's frame
    eyes_pitch: float = 0.0  # [rad] that it looks down against the headset
    preset: str = EpisodeSettings.preset  # x264's

    def __post_init__(self) -> None:
        times = (self.max_skew, self.max_state_age, self.max_command_age, self.max_target_age, self.max_hand_loss)
        if not 1 <= self.fps <= 240 or self.min_frames < 1 or not all(0 <= time < 60 for time in times):
            raise EpisodeError(f"expected 1 to 240 fps, a frame or more, and times of 0 to 60 s, got {self}")
        if self.size is not None and (min(self.size) < 16 or any(side % 2 for side in self.size)):
            raise EpisodeError(f"expected an even height and width of at least 16 px, got {self.size}")
