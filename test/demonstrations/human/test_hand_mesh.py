import numpy as np
import pytest

from firsthand.errors import SimulationError
from firsthand_training.demonstrations.human import hand_mesh
from firsthand_training.demonstrations.human.anatomy import Hand
from firsthand_training.demonstrations.human.hand_mesh import fit_skin, load_hand_mesh
from firsthand_training.demonstrations.human.surface import BIND_ANGLES, FIRST_DIGIT, FOREARM, PALM

HANDS = [Hand(0.170), Hand(0.200, breadth=1.05, digits=(1.05, 0.95, 1.0, 1.04, 0.96))]
fetched = pytest.mark.skipif(
    not (hand_mesh.cache_directory() / hand_mesh.FILE).exists(), reason=f"needs the mesh: {hand_mesh.FETCH}"
)


@fetched
@pytest.mark.parametrize("hand", HANDS)
def test_flesh_ends_where_the_fingertips_are(hand):
    skin = fit_skin(hand)
    nearest = np.linalg.norm(hand.fingertips(BIND_ANGLES)[:, None] - skin.vertices, axis=-1).min(axis=1)
    assert nearest.max() < 0.002


@fetched
@pytest.mark.parametrize("hand", HANDS)
def test_bones_run_inside_the_flesh_that_hangs_on_them(hand):
    skin, bones = fit_skin(hand), hand.bones(BIND_ANGLES)
    for digit in range(5):
        for part in range(1, 3):
            own = skin.vertices[skin.weights[:, FIRST_DIGIT + 3 * digit + part] > 0.6]
            pose = bones[digit, part]
            across = ((own - pose[:3, 3]) @ pose[:3, :3])[:, 1:]
            assert np.abs(across.mean(axis=0)).max() < 0.004
            assert np.linalg.norm(across, axis=1).max() < 0.016 * hand.scale


@fetched
def test_the_surface_has_one_hole_at_the_elbow():
    skin = fit_skin(HANDS[0])
    edges = {(int(a), int(b)) for i, j in ((0, 1), (1, 2), (2, 0)) for a, b in skin.faces[:, [i, j]]}
    assert len(edges) == 3 * len(skin.faces)  # each once: all faces look outwards
    rim = {a for a, b in edges if (b, a) not in edges}
    assert skin.vertices[list(rim), 0].max() == pytest.approx(-0.25)
    a, b, c = (skin.vertices[skin.faces[:, i]] for i in range(3))
    assert np.einsum("fi,fi->", a, np.cross(b, c)) > 0


@fetched
def test_every_vertex_hangs_on_bones_and_the_forearm_on_its_own():
    skin = fit_skin(HANDS[0])
    np.testing.assert_allclose(skin.weights.sum(axis=1), 1.0, atol=1e-6)
    assert (skin.weights[skin.vertices[:, 0] < -0.05, FOREARM] == 1).all()
    on_palm = (np.abs(skin.vertices[:, 0] - 0.06) < 0.01) & (np.abs(skin.vertices[:, 1]) < 0.01)
    assert (skin.weights[on_palm].argmax(axis=1) == PALM).all()
    assert (
        skin.dorsal[on_palm & (skin.vertices[:, 2] > 0)].min() > skin.dorsal[on_palm & (skin.vertices[:, 2] < 0)].max()
    )


def test_a_mesh_that_is_not_there_is_fetched_with_a_command_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTHAND_CACHE", str(tmp_path))
    load_hand_mesh.cache_clear()
    with pytest.raises(SimulationError, match=r"fetch it, once, with: python -m .*hand_mesh"):
        load_hand_mesh()


def test_another_file_in_its_place_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTHAND_CACHE", str(tmp_path))
    (tmp_path / hand_mesh.FILE).write_bytes(b"glTF of somebody else")
    load_hand_mesh.cache_clear()
    with pytest.raises(SimulationError, match=r"expected .* with SHA-256 291790c14f7f..., got .* \(21 B\)"):
        load_hand_mesh()


def test_without_npm_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTHAND_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SimulationError, match="install it"):
        hand_mesh.fetch_hand_mesh()
