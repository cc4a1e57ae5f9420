import numpy as np
import pytest
import transforms3d

from firsthand.errors import ShapeError
from firsthand.space.rotations import (
    angle_between,
    matrix_from_quaternion_wxyz,
    matrix_from_rotation_6d,
    matrix_from_rotation_vector,
    matrix_from_rpy,
    quaternion_wxyz_from_matrix,
    rotation_6d_from_matrix,
    rotation_vector_from_matrix,
)


def random_matrices(count, seed=0):
    return matrix_from_quaternion_wxyz(np.random.default_rng(seed).normal(size=(count, 4)))


def test_6d_is_the_first_two_columns():
    matrix = random_matrices(1)[0]
    np.testing.assert_array_equal(rotation_6d_from_matrix(matrix), [*matrix[:, 0], *matrix[:, 1]])


def test_6d_read_as_rows_is_the_transpose():
    matrix = random_matrices(1)[0]
    rows = np.concatenate([matrix[0], matrix[1]])
    np.testing.assert_allclose(matrix_from_rotation_6d(rows), matrix.T, atol=1e-12)


def test_6d_round_trip_and_scale_invariance():
    matrices = random_matrices(50).reshape(5, 10, 3, 3)
    vectors = rotation_6d_from_matrix(matrices)
    np.testing.assert_allclose(matrix_from_rotation_6d(vectors), matrices, atol=1e-12)
    np.testing.assert_allclose(matrix_from_rotation_6d(3 * vectors), matrices, atol=1e-12)


def test_quaternions_agree_with_transforms3d():
    for matrix in random_matrices(200):
        expected = transforms3d.quaternions.mat2quat(matrix)
        expected = expected if expected[0] >= 0 else -expected
        np.testing.assert_allclose(quaternion_wxyz_from_matrix(matrix), expected, atol=1e-9)


@pytest.mark.parametrize("axis", np.eye(3))
def test_half_turns_survive_the_round_trip(axis):
    matrix = matrix_from_rotation_vector(axis * np.pi)
    np.testing.assert_allclose(matrix_from_quaternion_wxyz(quaternion_wxyz_from_matrix(matrix)), matrix, atol=1e-12)


def test_rotation_vector_round_trip_including_zero():
    vectors = np.random.default_rng(1).normal(size=(50, 3))
    vectors = np.concatenate(
        [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * 2.5, np.zeros((1, 3)), np.full((1, 3), 1e-9)]
    )
    np.testing.assert_allclose(rotation_vector_from_matrix(matrix_from_rotation_vector(vectors)), vectors, atol=1e-9)


def test_rpy_agrees_with_transforms3d():
    np.testing.assert_allclose(
        matrix_from_rpy(0.3, -0.7, 1.9), transforms3d.euler.euler2mat(0.3, -0.7, 1.9, "sxyz"), atol=1e-12
    )


def test_angle_between_by_hand():
    turned = matrix_from_rotation_vector(np.array([0.0, 0.2, 0.0]))
    base = random_matrices(1)[0]
    assert angle_between(base, base @ turned) == pytest.approx(0.2)


def test_wrong_size_is_refused():
    with pytest.raises(ShapeError, match="6D rotation"):
        matrix_from_rotation_6d(np.zeros(9))
