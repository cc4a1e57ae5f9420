"""dex-retargeting (PyPI) on our robot's hands, for `hand_retargeting.py`: pip install dex-retargeting nlopt six torch.

Its own problem statements, `vector` (wrist to fingertips) and `DexPilot` (also between the fingertips), with the
numbers that its Inspire configurations ship (scaling 1.15) and without its low-pass filter, which would only add lag.
It gets the hand alone, cut out of our description, so that no arm slows its kinematics down.
"""

import copy
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.robot.joints import HANDS_SLICE, hand_names
from firsthand.robot.model import RobotModel
from firsthand.space.frames import DFX_BASE_FROM_WRIST

Array = NDArray[np.floating]

SCALING = 1.15
HUMAN_TIPS = (4, 8, 12, 16, 20)  # of the 21 keypoints that it takes, the wrist first


class DexRetargeting:
    """Both hands by dex-retargeting.

    Args:
        model: With DFX hands.
        kind: "vector" or "dexpilot".
    """

    def __init__(self, model: RobotModel, kind: str) -> None:
        import torch

        torch.set_num_threads(1)
        self._hands = [self._build(model, kind, side) for side in (0, 1)]
        self._joints = model.joints[HANDS_SLICE]

    def solve(self, tips: Array, q: Array) -> Array:
        """Motor angles (12,) for a person's fingertips (2, 5, 3) in the wrist frames; `q` is what it found last."""
        found = np.empty(12)
        for side, hand in enumerate(self._hands):
            keypoints = np.zeros((21, 3))
            keypoints[list(HUMAN_TIPS)] = tips[side] @ DFX_BASE_FROM_WRIST.T
            origin, task = hand.optimizer.target_link_human_indices
            angles = hand.retarget(keypoints[task] - keypoints[origin])
            names = hand.joint_names
            for k in range(6 * side, 6 * side + 6):
                found[k] = angles[names.index(self._joints[k])]
        return found

    def _build(self, model: RobotModel, kind: str, side: int) -> object:
        from dex_retargeting.retargeting_config import RetargetingConfig

        names = hand_names(model.hand)
        base, tips = names.bases[side], list(names.tips[side])
        path = Path(tempfile.mkdtemp(prefix="hand-")) / "hand.urdf"
        path.write_text(_sub_tree(model.urdf, base), encoding="utf-8")
        config = {
            "type": kind,
            "urdf_path": str(path),
            "target_joint_names": list(model.joints[HANDS_SLICE][6 * side : 6 * side + 6]),
            "scaling_factor": SCALING,
            "low_pass_alpha": 1.0,
        }
        if kind == "vector":
            config |= {
                "target_origin_link_names": [base] * 5,
                "target_task_link_names": tips,
                "target_link_human_indices": [[0] * 5, list(HUMAN_TIPS)],
            }
        else:
            config |= {"wrist_link_name": base, "finger_tip_link_names": tips}
        return RetargetingConfig.from_dict(config).build()


def _sub_tree(urdf: str, root: str) -> str:
    """The part of a URDF from one link on."""
    whole = ElementTree.fromstring(urdf)
    joints = {}
    for joint in whole.findall("joint"):
        joints.setdefault(joint.find("parent").get("link"), []).append(joint)
    part, links = ElementTree.Element("robot", name="hand"), [root]
    for link in links:
        for joint in joints.get(link, []):
            part.append(copy.deepcopy(joint))
            links.append(joint.find("child").get("link"))
    for link in links:
        part.append(ElementTree.Element("link", name=link))
    return ElementTree.tostring(part, encoding="unicode")
