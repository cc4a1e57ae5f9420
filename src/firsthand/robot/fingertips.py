"""Where the fingertips are, and how they move, in a few microseconds.

A chain of hinges puts its tip at a sum of cosines: every coordinate is sum_k a_k cos(w_k q) + b_k sin(w_k q), where
each w_k q is a sum or difference of the chain's joint angles. Followers turn by fixed multiples of their motors, so the
w_k are known, and the a_k, b_k follow from forward kinematics at enough postures, whatever the hand's geometry.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import ModelError
from firsthand.robot.joints import HANDS_SLICE, hand_names
from firsthand.robot.model import RobotModel
from firsthand.space.hand_state import SIDES

Array = NDArray[np.floating]

SAMPLES_PER_TERM = 4
SAMPLE_RANGE = 6.0  # [rad] either way: wide, so that neighbouring frequencies are told apart
TOLERANCE = 1e-9  # [m] that the sums may be off
NEGLIGIBLE = 1e-8  # [m]; the official angles are rounded, and so are terms that a parallel axis would not have


class Fingertips:
    """The ten fingertips, each in its wrist frame, as functions of the twelve motors of the hands."""

    def __init__(self, model: RobotModel) -> None:
        """Fit the sums to the model's forward kinematics.

        Raises:
            ModelError: The hands are no trees of hinges.
        """
        waves = np.unique(np.concatenate([_waves(chain) for chain in _chains(model)]), axis=0)
        samples = np.random.default_rng(0).uniform(-SAMPLE_RANGE, SAMPLE_RANGE, (SAMPLES_PER_TERM * len(waves), 12))
        tips = np.array([_tips_by_chain(model, q) for q in samples])
        phases = samples @ waves.T
        terms = np.hstack([np.cos(phases), np.sin(phases)])
        weights = np.linalg.lstsq(terms, tips, rcond=None)[0]
        residual = float(np.abs(terms @ weights - tips).max())
        if residual > TOLERANCE:
            raise ModelError(f"expected hands made of hinges; their fingertips are off by {residual:.1e} m")
        cosine, sine = np.split(weights.T, 2, axis=1)  # (30, terms) each
        used = (np.abs(cosine) + np.abs(sine)).max(axis=0) > NEGLIGIBLE
        self._waves = np.ascontiguousarray(waves[used])  # (terms, 12)
        self._weights = np.hstack([cosine[:, used], sine[:, used]])  # (30, 2 terms)
        self._slopes = np.vstack([-self._waves, self._waves])  # of cosine and sine, before the chain rule's other half

    def at(self, q: Array) -> Array:
        """Fingertips (2, 5, 3), [m], left then right, thumb to little, at the twelve motor angles."""
        phases = self._waves @ q
        return (self._weights @ np.concatenate((np.cos(phases), np.sin(phases)))).reshape(2, 5, 3)

    def with_jacobian(self, q: Array) -> tuple[Array, Array]:
        """Fingertips (2, 5, 3) and their derivatives (2, 5, 3, 12), [m/rad]."""
        phases = self._waves @ q
        cosine, sine = np.cos(phases), np.sin(phases)
        tips = self._weights @ np.concatenate((cosine, sine))
        jacobian = self._weights @ (np.concatenate((sine, cosine))[:, None] * self._slopes)
        return tips.reshape(2, 5, 3), jacobian.reshape(2, 5, 3, 12)


def _chains(model: RobotModel) -> list[Array]:
    """For each of the ten tips the joints that carry it, each a row (12,): its angle per angle of the motors."""
    chains = []
    for side, tips in zip(SIDES, hand_names(model.hand).tips, strict=True):
        arm = len(_joint_rows(model, f"{side}_wrist"))
        chains += [_joint_rows(model, tip)[arm:, HANDS_SLICE] for tip in tips]
    return chains


def _joint_rows(model: RobotModel, frame: str) -> Array:
    """The joints between the pelvis and a frame, (n, 26)."""
    joint = model.pin_model.frames[model.frame_id(frame)].parentJoint
    support = [j for j in model.pin_model.supports[joint] if j > 0]
    spread = model.reduce_jacobian(np.eye(model.pin_model.nv))
    return np.array([spread[model.pin_model.joints[j].idx_v] for j in support])


def _waves(chain: Array) -> Array:
    """Every sum and difference of a chain's joints, up to sign: (n, 12)."""
    signs = [s for s in itertools.product((-1, 0, 1), repeat=len(chain)) if s >= tuple(-x for x in s)]
    return np.round(np.array(signs) @ chain, 12) + 0.0


def _tips_by_chain(model: RobotModel, q_hands: Array) -> Array:
    q = model.zero
    q[HANDS_SLICE] = q_hands
    return model.hand_state(q).fingertips_in_wrist.ravel()
