import numpy as np
import pytest

from firsthand_training.demonstrations.human.anatomy import Hand
from firsthand_training.demonstrations.human.surface import FOREARM, PALM, make_skin, surface_nets


@pytest.fixture(scope="module")
def skin():
    return make_skin(Hand(0.186))


def volume(vertices, faces):
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return np.einsum("fi,fi->", a, np.cross(b, c)) / 6


def edges(faces):
    return [tuple(edge) for a, b in ((0, 1), (1, 2), (2, 0)) for edge in faces[:, [a, b]]]


def test_a_ball_is_contoured_closed_outwards_and_of_its_size():
    axis = np.linspace(-1.3, 1.3, 27)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    vertices, faces = surface_nets(np.sqrt(x**2 + y**2 + z**2) - 1.0)
    vertices = -1.3 + vertices * 0.1
    assert np.abs(np.linalg.norm(vertices, axis=1) - 1.0).max() < 0.02
    assert volume(vertices, faces) == pytest.approx(4 / 3 * np.pi, rel=0.03)
    directed = edges(faces)
    assert len(set(directed)) == len(directed)
    assert {(b, a) for a, b in directed} == set(directed)


def test_skin_and_flesh_of_hand_and_forearm_weigh_what_they_do(skin):
    assert 0.9e-3 < volume(skin.vertices, skin.faces) < 1.8e-3  # [m3]


def test_skin_hangs_on_the_bones_beneath_it(skin):
    np.testing.assert_allclose(skin.weights.sum(axis=1), 1.0, atol=1e-6)
    assert (skin.weights[skin.vertices[:, 0] < -0.05, FOREARM] > 0.99).all()
    assert (skin.weights[skin.vertices[:, 0] > 0.03, FOREARM] == 0).all()
    tip_of_middle = skin.vertices[:, 0].argmax()
    assert skin.weights[tip_of_middle, PALM] == 0
    assert skin.weights[tip_of_middle].argmax() == 2 + 3 * 2 + 2


def test_the_back_of_the_hand_is_its_upper_side(skin):
    on_palm = (np.abs(skin.vertices[:, 0] - 0.06) < 0.02) & (np.abs(skin.vertices[:, 1]) < 0.02)
    upper = skin.vertices[:, 2] > 0
    assert skin.dorsal[on_palm & upper].mean() > 0.9
    assert skin.dorsal[on_palm & ~upper].mean() < 0.2
