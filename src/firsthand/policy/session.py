"""A checkpoint at run time: features and a hand state in, an action chunk out, and a predicted future if it has one."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CheckpointError, ProviderError, ShapeError
from firsthand.inference import DEFAULT, Runtime, Session, open_session
from firsthand.policy.checkpoint import POLICY, WORLD_MODEL, Manifest, find_checkpoint, load_manifest
from firsthand.space.hand_state import SIZE, check_vector, orthonormalize

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Prediction:
    """What the policy sees coming."""

    actions: Array  # (H, 54), targets for t+1 .. t+H in the robot frame of time t
    # Both are None if the checkpoint has no world model.
    future_features: NDArray[np.float32] | None  # (T, views, rows, columns, channels), pooled as the network says
    selected: NDArray[np.int64] | None  # (layers, heads, H, k), indices of the blocks that each query attended to


class Policy:
    """The action head of one checkpoint, and its world model if it has one."""

    def __init__(self, manifest: Manifest, world_model: Session | None, policy: Session) -> None:
        self.manifest = manifest
        self._world_model = world_model
        self._policy = policy

    @classmethod
    def load(cls, name_or_path: str | Path, runtime: Runtime = DEFAULT) -> "Policy":
        """Open a checkpoint folder; nothing else is needed.

        Args:
            name_or_path: The folder, or the name of a checkpoint that ships with the package.
            runtime: Where it runs; always in float32, because the order of close scores decides what is looked at.

        Raises:
            CheckpointError: Missing, damaged, of another convention, or its graphs do not fit its manifest.
            ProviderError: This onnxruntime cannot run as asked.
        """
        directory = find_checkpoint(name_or_path)
        manifest = load_manifest(directory)
        try:
            policy = cls(manifest, *_open_graphs(directory, manifest, replace(runtime, half=False)))
            policy.act(
                np.zeros(policy.feature_shape, np.float32), orthonormalize(np.array(manifest.state_normalization.mean))
            )
        except (CheckpointError, ProviderError):
            raise
        except Exception as error:  # onnxruntime raises bare classes of its own for every kind of damage; and the
            # first call is the slow one, better now than in motion
            raise CheckpointError(f"{directory} has graphs that do not fit its manifest: {error}") from error
        return policy

    def act(self, features: NDArray[np.float32], hand_state: Array) -> Prediction:
        """Predict the next H targets.

        Args:
            features: (views, rows, columns, channels) from the checkpoint's encoder, at time t; a checkpoint of one
                view takes the first, the left one.
            hand_state: (54,) measured at time t.

        Raises:
            ShapeError: Another shape than the checkpoint was made for.
            CheckpointError: The graphs returned something else than the manifest promises.
        """
        inputs = self._inputs(features, hand_state)
        if self._world_model is None:
            (actions,) = self._policy.run(["actions"], inputs)
            return Prediction(self._targets(actions), None, None)
        (future,) = self._world_model.run(["future_features"], inputs)
        actions, selected = self._policy.run(["actions", "selected"], {})  # all it takes lies in shared memory
        return Prediction(self._targets(actions), future[0], selected[0])

    def _targets(self, actions: NDArray[np.float32]) -> Array:
        """The chunk (H, 54) of a graph's answer, its rotations made orthonormal."""
        expected = (1, self.manifest.horizon, SIZE)
        if actions.shape != expected or not np.isfinite(actions).all():
            raise CheckpointError(f"the policy returned actions of shape {actions.shape}, expected finite {expected}")
        return orthonormalize(actions[0])

    def _inputs(self, features: NDArray[np.float32], hand_state: Array) -> dict[str, NDArray[np.float32]]:
        expected = self.feature_shape
        if features.shape[1:] != expected[1:] or len(features) < expected[0]:
            raise ShapeError(f"expected features of shape {expected}, got {features.shape}")
        state = check_vector(hand_state)
        if state.shape != (SIZE,) or not np.isfinite(state).all():
            raise ShapeError(f"expected one finite hand state of {SIZE} numbers, got shape {state.shape}")
        return {"features": features[None, : expected[0]], "state": state[None]}

    @property
    def feature_shape(self) -> tuple[int, int, int, int]:
        """(views, rows, columns, channels) that `act` takes."""
        return self.manifest.encoder.feature_shape


def _open_graphs(directory: Path, manifest: Manifest, runtime: Runtime) -> tuple[Session | None, Session]:
    """World model, if there is one, and policy, which reads what the former reads and writes where it lies."""
    if not manifest.has_world_model:
        return None, open_session(directory / POLICY, runtime)
    world_model = open_session(directory / WORLD_MODEL, runtime)
    return world_model, open_session(directory / POLICY, runtime, world_model.tensors)
