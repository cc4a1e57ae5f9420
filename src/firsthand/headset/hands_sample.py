"""What a headset tells of one instant: the head and the joints of both hands, in one level world.

The world is the headset's own, turned to REP-103: x forward, y left, z up, where the person stood at the start. A head
has the same axes: x where it looks. Joints are 25 a hand, the same for ARKit and WebXR and in the same order; how their
own axes lie differs from device to device, so nothing here builds on them: `hand_frames.py` uses where joints are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.space.hand_state import FINGERS, SIDES

Array = NDArray[np.floating]

THUMB = ("knuckle", "intermediate_base", "intermediate_tip", "tip")
FINGER = ("metacarpal", "knuckle", "intermediate_base", "intermediate_tip", "tip")
JOINTS = ("wrist", *(f"{f}_{joint}" for f in FINGERS for joint in (THUMB if f == "thumb" else FINGER)))
"""The 25 joints of a hand, ARKit's names: wrist, thumb 4, then 5 of each finger, from the palm outwards."""

WRIST = 0
KNUCKLES = tuple(JOINTS.index(f"{finger}_knuckle") for finger in FINGERS[1:])
TIPS = tuple(JOINTS.index(f"{finger}_tip") for finger in FINGERS)
BODIES = ("head", *(f"{side}_{joint}" for side in SIDES for joint in JOINTS))
"""Everything that a sample places, in the order in which messages carry it."""


@dataclass(frozen=True)
class HandsSample:
    """One instant."""

    stamp_ns: int  # when it arrived here; the headsets send no time of their own
    world_from_head: Array  # (4, 4)
    world_from_joints: Array  # (2, 25, 4, 4), left then right; NaN of a hand that is not tracked
    tracked: tuple[bool, bool]  # left, right
