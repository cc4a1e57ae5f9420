"""How a person drives the robot: times, choices, smoothing."""

from dataclasses import dataclass

from firsthand.teleoperation.smoothing import SmoothingSettings

CLUTCHES = ("gesture", "pedal")


@dataclass(frozen=True)
class TeleoperationSettings:
    """Times in seconds."""

    clutch: str = "gesture"
    sample_timeout: float = 0.15
    resume_time: float = 1.0
    lost_time: float = 2.0
    engage_time: float = 1.5  # in which rotations and fingers come to agree after the clutch has closed
    gesture_time: float = 0.5
    stop_time: float = 0.25
    pedal_timeout: float = 0.3
    record_time: float = 1.0
    discard_time: float = 1.5
    motion_scale: float = 1.0  # 0: by the operator's arms
    absolute: bool = True
    smoothing: SmoothingSettings | None = None  # of the person's hands; None: as they come

    def __post_init__(self) -> None:
        if self.clutch not in CLUTCHES:
            raise ValueError(f"expected a clutch of {', '.join(CLUTCHES)}, got {self.clutch!r}")
        times = (self.sample_timeout, self.resume_time, self.lost_time, self.engage_time, self.pedal_timeout)
        if min(times) <= 0 or min(self.gesture_time, self.stop_time, self.record_time, self.discard_time) < 0:
            raise ValueError(f"expected times above 0, got {self}")
        if self.motion_scale < 0 or (self.absolute and self.motion_scale not in (0.0, 1.0)):
            raise ValueError(f"expected a motion scale above 0, or 0 for the operator's own; 1 where absolute: {self}")
