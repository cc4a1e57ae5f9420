import numpy as np
import pytest

from firsthand.errors import FirsthandError, ShapeError
from firsthand.space import hand_state
from firsthand.space.hand_state import FRAMES, NAMES, SIZE, HandState, interpolate, orthonormalize
from firsthand.space.rotations import matrix_from_rotation_vector, rotation_6d_from_matrix


def random_state(seed, batch=()):
    vector = np.random.default_rng(seed).normal(size=(*batch, SIZE))
    return orthonormalize(vector)


@pytest.mark.parametrize("batch", [(), (1,), (3, 2)])
def test_vector_round_trip(batch):
    vector = np.random.default_rng(0).normal(size=(*batch, SIZE))
    np.testing.assert_array_equal(HandState.from_vector(vector).to_vector(), vector)


def test_slices_cover_the_vector_once():
    parts = [
        hand_state.HEAD_ROTATION,
        hand_state.LEFT_WRIST_ROTATION,
        hand_state.RIGHT_WRIST_ROTATION,
        hand_state.LEFT_WRIST_POSITION,
        hand_state.RIGHT_WRIST_POSITION,
        hand_state.LEFT_FINGERTIPS,
        hand_state.RIGHT_FINGERTIPS,
    ]
    covered = np.concatenate([np.arange(SIZE)[part] for part in parts])
    np.testing.assert_array_equal(covered, np.arange(SIZE))


def test_slices_name_what_they_hold():
    assert len(NAMES) == len(set(NAMES)) == SIZE
    assert len(FRAMES) == 13
    assert NAMES[hand_state.RIGHT_WRIST_POSITION] == tuple(f"right_wrist.position.{a}" for a in "xyz")
    assert NAMES[hand_state.LEFT_FINGERTIPS][0] == "left_thumb_tip.position.x"
    assert NAMES[hand_state.RIGHT_FINGERTIPS][-1] == "right_little_tip.position.z"


def test_slices_work_on_tensors():
    torch = pytest.importorskip("torch")
    vector = torch.arange(SIZE)
    assert vector[hand_state.RIGHT_WRIST_POSITION].tolist() == [21, 22, 23]


def test_matrices_round_trip():
    state = HandState.from_vector(random_state(1, (4,)))
    again = HandState.from_poses(state.head_rotation, state.wrist_poses, state.fingertips_in_wrist)
    np.testing.assert_allclose(again.to_vector(), state.to_vector(), atol=1e-12)


def test_fingertips_in_robot_by_hand():
    vector = np.zeros(SIZE)
    quarter_turn = matrix_from_rotation_vector(np.array([0, 0, np.pi / 2]))
    vector[hand_state.HEAD_ROTATION] = rotation_6d_from_matrix(np.eye(3))
    vector[hand_state.WRIST_ROTATIONS] = np.tile(rotation_6d_from_matrix(quarter_turn), 2)
    vector[hand_state.LEFT_WRIST_POSITION] = [1, 2, 3]
    vector[hand_state.LEFT_FINGERTIPS][:3] = [0.1, 0, 0]  # the slice is a view
    tips = HandState.from_vector(vector).fingertips_in_robot
    np.testing.assert_allclose(tips[0, 0], [1, 2.1, 3], atol=1e-12)


def test_mirror_is_an_involution_and_swaps_sides():
    state = HandState.from_vector(random_state(2, (3,)))
    np.testing.assert_allclose(state.mirrored().mirrored().to_vector(), state.to_vector())
    mirror = np.array([1, -1, 1])
    np.testing.assert_allclose(
        state.mirrored().fingertips_in_robot[:, 0], state.fingertips_in_robot[:, 1] * mirror, atol=1e-12
    )


def test_interpolation_meets_its_ends_and_stays_orthonormal():
    start, end = random_state(3), random_state(4)
    np.testing.assert_allclose(interpolate(start, end, 0.0), start, atol=1e-12)
    np.testing.assert_allclose(interpolate(start, end, 1.0), end, atol=1e-12)
    halfway = interpolate(start, end, np.array([0.25, 0.5]))
    rotations = HandState.from_vector(halfway).wrist_rotations
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, -1, -2), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-12
    )


@pytest.mark.parametrize("shape", [(), (53,), (54, 2)])
def test_wrong_size_says_what_came(shape):
    with pytest.raises(ShapeError, match="expected 54 numbers") as error:
        HandState.from_vector(np.zeros(shape))
    assert str(shape) in str(error.value)
    assert isinstance(error.value, FirsthandError)
