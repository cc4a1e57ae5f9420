"""What a recording offers a calibration: stereo pictures with the joints as they were at that instant.

Any bag of `firsthand launch record` (or teleop) will do that has both pictures, their camera_info and joint_states.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.bags.contents import joint_positions, picture
from firsthand.bags.read import Bag, open_bag
from firsthand.errors import BagError, CalibrationError
from firsthand.robot.joints import ARMS_SLICE, check_hand
from firsthand.vision.intrinsics import Intrinsics

Array = NDArray[np.floating]
Stamps = NDArray[np.int64]
Picture = NDArray[np.uint8]

SIDES = ("left", "right")
SECOND = 1_000_000_000  # [ns]
LARGEST_GAP = 0.05  # [s] between joint states around a picture
STILL_FOR, STILL = 0.1, 0.01  # [s] before and after a picture, [rad] that no arm joint moves more than
SAME_POSTURE = 0.03  # [rad] of the joint that differs most


@dataclass(frozen=True)
class Sample:
    """One instant."""

    stamp_ns: int
    q: Array  # (26,), [rad]
    images: Picture  # (2, H, W, 3) RGB, left then right


class Pictures:
    """A bag's stereo pairs; use it as a context manager.

    Raises:
        BagError: No bag, or it lacks a topic.
        CalibrationError: Its pictures have no calibration.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bag: Bag = open_bag(path).__enter__()
        try:
            self.intrinsics = self._read_intrinsics()
            self.stamps = self._read_stamps()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Pictures":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the bag."""
        self._bag.__exit__(None, None, None)

    def every(self, count: int) -> Stamps:
        """Up to `count` stamps, evenly over the recording."""
        places = np.unique(np.linspace(0, len(self.stamps) - 1, min(count, len(self.stamps))).astype(int))
        return self.stamps[places]

    def pairs(self, stamps: Stamps) -> Iterator[tuple[int, Picture]]:
        """Decode these instants, (2, H, W, 3) each, in order; what waits for its partner is few."""
        topics, wanted = self._picture_topics(), set(stamps.tolist())
        waiting: dict[int, dict[int, Picture]] = {}
        for raw in self._bag.raw_messages(topics):
            stamp = self._bag.header_stamp_ns(raw) or 0
            if stamp not in wanted:
                continue
            images = waiting.setdefault(stamp, {})
            images[topics.index(raw.topic)] = picture(self._bag.decode(raw))
            if len(images) == 2:
                pair = waiting.pop(stamp)
                size = (self.intrinsics.height, self.intrinsics.width, 3)
                if pair[0].shape != size or pair[1].shape != size:
                    raise CalibrationError(f"{self.path}: pictures of another size than their camera_info says")
                yield stamp, np.stack([pair[0], pair[1]])

    def _picture_topics(self) -> list[str]:
        return [self._bag.find_topic(f"{side}/color/rect/image/compressed") for side in SIDES]

    def _read_stamps(self) -> Stamps:
        """Stamps that both pictures have."""
        of_side = [
            {self._bag.header_stamp_ns(raw) or 0 for raw in self._bag.raw_messages([topic])}
            for topic in self._picture_topics()
        ]
        both = np.array(sorted((of_side[0] & of_side[1]) - {0}), dtype=np.int64)
        if len(both) == 0:
            raise CalibrationError(f"{self.path}: no left and right picture have the same stamp")
        return both

    def _read_intrinsics(self) -> Intrinsics:
        left, right = (self._first(f"{side}/color/rect/camera_info") for side in SIDES)
        fx, fy, cx, cy = left.p[0], left.p[5], left.p[2], left.p[6]
        if not (np.isfinite([*left.p, *right.p]).all() and fx > 0 and fy > 0 and np.isclose(right.p[0], fx)):
            raise CalibrationError(f"{self.path}: expected camera_info of a rectified pair, got {left.p} and {right.p}")
        return Intrinsics(int(left.width), int(left.height), *(float(v) for v in (fx, fy, cx, cy, -right.p[3] / fx)))

    def _first(self, name: str) -> Any:
        for raw in self._bag.raw_messages([self._bag.find_topic(name)]):
            return self._bag.decode(raw)
        raise BagError(f"{self.path} has no message on {name}")


class Recording(Pictures):
    """Stereo pairs with the joints of the same instant.

    Raises:
        BagError: No bag, or it lacks a topic.
        CalibrationError: Its pictures have no calibration, or hardly any have joints beside them.
        ModelError: It is of a robot with the other kind of hand.
    """

    def __init__(self, path: Path, joint_names: tuple[str, ...]) -> None:
        super().__init__(path)
        try:
            self._times, self._positions = self._read_joints(joint_names)
            self.stamps = self._with_joints(self.stamps)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Recording":
        return self

    def joints_at(self, stamps: Stamps) -> Array:
        """(N, 26), interpolated, [rad]."""
        return np.stack([np.interp(stamps, self._times, column) for column in self._positions.T], axis=1)

    def still(self) -> Stamps:
        """Stamps at which the arms stood still: there, a picture that is stamped late does no harm."""
        window = round(STILL_FOR * SECOND)
        if len(self.stamps) == 0:
            return self.stamps
        here = self.joints_at(self.stamps)[:, ARMS_SLICE]
        around = [self.joints_at(self.stamps + shift)[:, ARMS_SLICE] for shift in (-window, window)]
        moved = np.max([np.abs(there - here).max(axis=1) for there in around], axis=0)
        return self.stamps[moved < STILL]

    def spread(self, stamps: Stamps, count: int) -> Stamps:
        """Up to `count` stamps whose arm postures are as different as can be: each farthest from all before it.

        A posture within `SAME_POSTURE` of one that was chosen is that one again, and left out.
        """
        if len(stamps) == 0:
            return stamps
        q = self.joints_at(stamps)[:, ARMS_SLICE]
        chosen, distance = [0], np.abs(q - q[0]).max(axis=1)
        while len(chosen) < count and distance.max() > SAME_POSTURE:
            chosen.append(int(distance.argmax()))
            distance = np.minimum(distance, np.abs(q - q[chosen[-1]]).max(axis=1))
        return stamps[chosen]

    def samples(self, stamps: Stamps) -> Iterator[Sample]:
        """Decode these instants, in order."""
        joints = dict(zip(stamps.tolist(), self.joints_at(stamps), strict=True))
        for stamp, images in self.pairs(stamps):
            yield Sample(stamp, joints[stamp], images)

    def _with_joints(self, stamps: Stamps) -> Stamps:
        """Those that joints lie around."""
        after = np.clip(np.searchsorted(self._times, stamps), 1, len(self._times) - 1)
        inside = (stamps >= self._times[0]) & (stamps <= self._times[-1])
        near = self._times[after] - self._times[after - 1] < LARGEST_GAP * SECOND
        if not (inside & near).any():
            raise CalibrationError(
                f"{self.path}: of {len(stamps)} stereo pairs none has joint_states within {LARGEST_GAP} s around it; "
                "are camera and body on one clock?"
            )
        return stamps[inside & near]

    def _read_joints(self, names: tuple[str, ...]) -> tuple[Stamps, Array]:
        times, positions = [], []
        for raw in self._bag.raw_messages([self._bag.find_topic("joint_states")]):
            message = self._bag.decode(raw)
            check_hand(names, message.name)
            times.append(self._bag.header_stamp_ns(raw) or 0)
            positions.append(joint_positions(message, names))
        if len(times) < 2:
            raise BagError(f"{self.path}: expected joint_states, got {len(times)}")
        stamps, order = np.unique(np.array(times, dtype=np.int64), return_index=True)
        return stamps, np.array(positions)[order]
