"""The fake robot's camera as it is asked for; light to import: `firsthand --help` does."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from firsthand.errors import SimulationError
from firsthand.share import cache_directory

SERIAL = 10_000_001  # a ZED's has eight digits


@dataclass(frozen=True)
class HeadCameraSettings:
    """What the head's camera sends, and where."""

    port: int = 5600  # on this machine; 0 takes a free one
    rate: float = 10.0  # [Hz] of the robot's time
    calibration: str = ""  # where the factory's file is written; empty: into the cache folder

    def __post_init__(self) -> None:
        if not (0 <= self.port < 65536 and 0 < self.rate <= 120):
            raise SimulationError(
                f"expected a port below 65536 and a rate up to 120 Hz, got {self.port} and {self.rate:g}"
            )

    @property
    def calibration_file(self) -> Path:
        """Where the factory's file is written."""
        return Path(self.calibration) if self.calibration else cache_directory() / f"SN{SERIAL}.conf"

    def to_json(self) -> str:
        """For the command line of the process that renders."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "HeadCameraSettings":
        """What `to_json` wrote."""
        return cls(**json.loads(text))
