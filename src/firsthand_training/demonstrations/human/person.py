"""Who sits or stands at the table: proportions, looks, camera and temperament, drawn from a seed."""

from dataclasses import dataclass

import numpy as np

from firsthand.errors import SimulationError
from firsthand.simulation.textures import Color
from firsthand_training.demonstrations.human.anatomy import Hand

SKINS: tuple[tuple[Color, Color], ...] = (
    ((0.93, 0.77, 0.68), (0.95, 0.77, 0.70)),
    ((0.89, 0.70, 0.58), (0.93, 0.73, 0.64)),
    ((0.80, 0.60, 0.46), (0.89, 0.69, 0.58)),
    ((0.66, 0.46, 0.33), (0.82, 0.61, 0.50)),
    ((0.48, 0.32, 0.23), (0.72, 0.52, 0.43)),
    ((0.33, 0.22, 0.17), (0.62, 0.44, 0.37)),
)
"""Skin of the back and of the palm, fair to dark; people differ less in their palms."""
SLEEVES: tuple[Color, ...] = (
    (0.16, 0.20, 0.32),
    (0.30, 0.32, 0.34),
    (0.75, 0.74, 0.70),
    (0.42, 0.14, 0.14),
    (0.18, 0.32, 0.24),
    (0.52, 0.44, 0.34),
    (0.10, 0.10, 0.11),
    (0.34, 0.48, 0.66),
)
KINDS = ("human", "video")


@dataclass(frozen=True)
class Person:
    """One person with the camera that they wear."""

    hand: Hand
    skin: tuple[Color, Color]  # back, palm
    sleeve: Color
    sleeve_start: float  # [m], from the wrist towards the elbow
    eyes: tuple[float, float]  # [m], where the midpoint between the eyes starts: world x, and height above the table
    heading: float  # [rad], of the body, about the vertical
    look_down: float  # [rad], by which the eyes, not the head, look down; the camera sees that much higher
    camera_fov: float  # [deg], vertical
    baseline: float  # [m], between the cameras; 0 where there is one
    pace: float  # how quick the hands are, relative to the robot's
    surface: str = (
        "capsules"  # of the hands: `capsules` (`surface.py`) or `mesh` (`hand_mesh.py`), which has to be fetched
    )

    @classmethod
    def draw(cls, kind: str, seed: int) -> "Person":
        """One person.

        Args:
            kind: `human`: wears the demonstrator's headset, as in the paper's human demonstrations; `video`: somebody
                with a camera of their own, of one eye, who differ more.
            seed: Whose.

        Raises:
            SimulationError: There is no such kind.
        """
        if kind not in KINDS:
            raise SimulationError(f"no people of kind {kind!r}; there are {', '.join(KINDS)}")
        rng = np.random.default_rng([seed, 0x9E7, KINDS.index(kind)])
        wide = 1.0 if kind == "video" else 0.4
        return cls(
            hand=Hand(length=float(rng.uniform(0.165, 0.205)), breadth=float(rng.uniform(0.94, 1.08))),
            skin=_vary(SKINS[rng.integers(len(SKINS))], rng),
            sleeve=SLEEVES[rng.integers(len(SLEEVES))],
            sleeve_start=float(rng.choice([0.03, 0.05, 0.09, 0.17]) + rng.uniform(-0.01, 0.02)),
            eyes=(0.06 + 0.05 * wide * float(rng.uniform(-1, 1)), 0.60 + 0.10 * wide * float(rng.uniform(-1, 1))),
            heading=0.15 * wide * float(rng.uniform(-1, 1)),
            look_down=float(rng.uniform(0.0, 0.05 + 0.2 * wide)),
            camera_fov=56.0 + 9.0 * wide * float(rng.uniform(-1, 1)),
            baseline=0.0 if kind == "video" else 0.063,
            pace=float(rng.uniform(2.0, 3.5)),
        )


def _vary(skin: tuple[Color, Color], rng: np.random.Generator) -> tuple[Color, Color]:
    """A neighbouring tone."""
    gain = rng.uniform(0.93, 1.05)
    back, palm = (tuple(float(min(1.0, gain * channel)) for channel in color) for color in skin)
    return back, palm  # type: ignore[return-value]
