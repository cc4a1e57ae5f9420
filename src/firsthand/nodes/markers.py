"""Chunks as RViz and Foxglove draw them: the way of each wrist and fingertip, and the hands where it ends."""

import numpy as np
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from firsthand.nodes.messages import duration_from_ns, stamp_from_ns
from firsthand.space.bodies import ROBOT_FRAME
from firsthand.space.hand_state import SIDES, HandState, check_vector

Array = NDArray[np.floating]

COLORS = {"left": (0.20, 0.60, 1.00), "right": (1.00, 0.55, 0.15)}
WRIST_WIDTH, FINGER_WIDTH = 0.008, 0.003  # [m]
LIFETIME_NS = 1_000_000_000  # a policy that has stopped leaves no drawing behind


def write_chunk_markers(actions: Array, stamp_ns: int) -> MarkerArray:
    """Draw a chunk: per hand a fading line for the wrist, one for each fingertip, and the hand at its end.

    Args:
        actions: (H, 54), at least two steps.
        stamp_ns: Of the observation.
    """
    states = HandState.from_vector(np.atleast_2d(check_vector(actions)))
    header = Header(stamp=stamp_from_ns(stamp_ns), frame_id=ROBOT_FRAME)
    message = MarkerArray()
    for side, name in enumerate(SIDES):
        wrist = states.wrist_positions[:, side]
        tips = states.fingertips_in_robot[:, side]
        message.markers.append(_line(header, f"{name}/wrist", 0, wrist, WRIST_WIDTH, COLORS[name]))
        for finger in range(tips.shape[1]):
            line = _line(header, f"{name}/fingertips", finger, tips[:, finger], FINGER_WIDTH, COLORS[name])
            message.markers.append(line)
        message.markers.append(_hand(header, f"{name}/hand", wrist[-1], tips[-1], COLORS[name]))
    return message


def _line(
    header: Header, namespace: str, identity: int, points: Array, width: float, rgb: tuple[float, float, float]
) -> Marker:
    """A way through space that fades towards its end."""
    marker = _marker(header, namespace, identity, Marker.LINE_STRIP)
    marker.scale.x = width
    marker.points = _points(points)
    marker.colors = [_color(rgb, alpha) for alpha in np.linspace(1.0, 0.15, len(points))]
    return marker


def _hand(header: Header, namespace: str, wrist: Array, tips: Array, rgb: tuple[float, float, float]) -> Marker:
    """Five spokes from the wrist to the fingertips."""
    marker = _marker(header, namespace, 0, Marker.LINE_LIST)
    marker.scale.x = FINGER_WIDTH
    marker.color = _color(rgb, 0.6)
    marker.points = _points(np.stack([np.broadcast_to(wrist, tips.shape), tips], axis=1).reshape(-1, 3))
    return marker


def _marker(header: Header, namespace: str, identity: int, kind: int) -> Marker:
    marker = Marker(header=header, ns=namespace, id=identity, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.lifetime = duration_from_ns(LIFETIME_NS)
    return marker


def _points(points: Array) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y, z in np.asarray(points, dtype=float).tolist()]


def _color(rgb: tuple[float, float, float], alpha: float) -> ColorRGBA:
    red, green, blue = rgb
    return ColorRGBA(r=red, g=green, b=blue, a=float(alpha))
