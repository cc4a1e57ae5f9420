"""The MANO layer against a naive reference, on a made-up model in the published file's own format."""

import pickle
import sys
import types

import numpy as np
import pytest

from firsthand.errors import LabelError
from firsthand.space.rotations import matrix_from_rotation_vector
from firsthand_training.labels.hand_rig import keypoints_in_wrist
from firsthand_training.labels.mano import FILE_SHAPES, JOINTS, MANO_FROM_WRIST, TIP_VERTICES, Mano
from firsthand_training.labels.mano_file import convert_mano, mano_arrays

PARENTS = np.array([0, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14])
RIG_OF_JOINTS = [0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3]


@pytest.fixture(scope="module")
def arrays():
    """A hand whose joints are our rig's, laid as MANO's, with random skin around them."""
    rng = np.random.default_rng(0)
    rig = keypoints_in_wrist(np.zeros((1, 21)), np.array([1]), np.zeros((1, 21))).points[0]
    joints = rig[RIG_OF_JOINTS] @ MANO_FROM_WRIST[1].T + [0.1, 0.0, 0.0]
    owner = np.arange(778) % JOINTS
    weights = np.eye(JOINTS)[owner] + 0.3 * rng.random((778, JOINTS))
    regressor = np.zeros((JOINTS, 778))
    regressor[owner, np.arange(778)] = 1 / np.bincount(owner)[owner]
    template = joints[owner] + 0.005 * rng.standard_normal((778, 3))
    template -= (regressor @ template - joints)[owner]
    return {
        "v_template": template,
        "shapedirs": 0.003 * rng.standard_normal((778, 3, 10)),
        "posedirs": 0.001 * rng.standard_normal((778, 3, 135)),
        "J_regressor": regressor,
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "parents": PARENTS,
    }


@pytest.fixture(scope="module")
def mano(arrays):
    return Mano(arrays)


def naive(arrays, shape, pose):
    """Linear blend skinning, vertex by vertex, joint by joint."""
    turns = [matrix_from_rotation_vector(part) for part in pose.reshape(JOINTS, 3)]
    shaped = arrays["v_template"] + arrays["shapedirs"] @ shape
    joints = arrays["J_regressor"] @ shaped
    posed = shaped + arrays["posedirs"] @ np.concatenate([(turn - np.eye(3)).ravel() for turn in turns[1:]])

    def carry(joint, point):
        point = turns[joint] @ (point - joints[joint]) + joints[joint]
        return point if joint == 0 else carry(PARENTS[joint], point)

    blended = [sum(arrays["weights"][v, j] * carry(j, posed[v]) for j in range(JOINTS)) for v in range(0, 778, 37)]
    return np.array(blended), np.array([carry(j, joints[j]) for j in range(JOINTS)])


def test_vertices_and_joints_are_those_of_the_naive_reference(arrays, mano):
    rng = np.random.default_rng(1)
    shape, pose = rng.standard_normal((2, 10)), 0.4 * rng.standard_normal((2, 48))
    hands = mano.hands(shape, pose, np.array([1, 1]))
    for i in range(2):
        vertices, joints = naive(arrays, shape[i], pose[i])
        np.testing.assert_allclose(hands.vertices[i, ::37], vertices, atol=1e-12)
        np.testing.assert_allclose(hands.keypoints[i, [0, 5, 9, 13, 17, 1]], joints[[0, 1, 4, 10, 7, 13]], atol=1e-12)


def test_fingertips_are_vertices_in_our_order(mano):
    hands = mano.hands(np.zeros((1, 10)), np.zeros((1, 48)), np.array([1]))
    np.testing.assert_array_equal(hands.keypoints[0, [4, 8, 12, 16, 20]], hands.vertices[0, TIP_VERTICES])


def test_a_left_hand_is_the_right_one_in_a_mirror(mano):
    rng = np.random.default_rng(2)
    shape, pose = rng.standard_normal((1, 10)), 0.4 * rng.standard_normal((1, 48))
    right = mano.hands(shape, pose, np.array([1]))
    mirrored_pose = pose * np.tile([1.0, -1.0, -1.0], 16)  # as WiLoR and HaMeR write a left hand's
    left = mano.hands(shape, mirrored_pose, np.array([0]))
    np.testing.assert_allclose(left.vertices, right.vertices * [-1, 1, 1], atol=1e-12)


@pytest.mark.parametrize("side", [0, 1])
def test_our_wrist_frame_turns_with_mano_and_lies_along_the_hand(mano, side):
    flat = mano.hands(np.zeros((1, 10)), np.zeros((1, 48)), np.array([side]))
    np.testing.assert_allclose(flat.rotations[0], MANO_FROM_WRIST[side], atol=0.05)
    rig = keypoints_in_wrist(np.zeros((1, 21)), np.array([side]), np.zeros((1, 21))).points[0]
    palm = (flat.keypoints[0] - flat.keypoints[0, 0]) @ flat.rotations[0]
    np.testing.assert_allclose(palm[[5, 9, 13, 17]], rig[[5, 9, 13, 17]], atol=0.004)
    turn = np.array([0.3, -0.5, 0.8])
    pose = np.zeros((1, 48))
    pose[0, :3] = turn
    turned = mano.hands(np.zeros((1, 10)), pose, np.array([side]))
    np.testing.assert_allclose(turned.rotations[0], matrix_from_rotation_vector(turn) @ flat.rotations[0], atol=1e-12)
    moved = (turned.keypoints[0] - turned.keypoints[0, 0]) @ turned.rotations[0]
    np.testing.assert_allclose(moved[[5, 9, 13, 17]], palm[[5, 9, 13, 17]], atol=1e-9)


def module(name, **classes):
    made = types.ModuleType(name)
    for key, value in classes.items():
        value.__module__, value.__qualname__ = name, key
        setattr(made, key, value)
    return made


@pytest.fixture
def published(arrays, monkeypatch):
    """Bytes as MANO_RIGHT.pkl has them: Python 2's protocol, chumpy and scipy objects."""
    ch, select, csc = (type(name, (), {}) for name in ("Ch", "Select", "csc_matrix"))
    for each in (
        module("chumpy"), module("chumpy.ch", Ch=ch), module("chumpy.reordering", Select=select),
        module("scipy.sparse.csc", csc_matrix=csc),
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, each.__name__, each)
    whole, picked, sparse = ch(), select(), csc()
    whole.x = np.concatenate([arrays["shapedirs"], np.ones((778, 3, 2))], axis=2)
    picked.a, picked.preferred_shape = whole, (778, 3, 10)
    picked.idxs = np.flatnonzero(np.broadcast_to(np.arange(12) < 10, (778, 3, 12)))
    columns = arrays["J_regressor"]
    rows, numbers = np.nonzero(columns)
    order = np.lexsort([rows, numbers])
    sparse.__dict__.update(
        _shape=(16, 778),
        data=columns[rows, numbers][order],
        indices=rows[order].astype(np.int32),
        indptr=np.concatenate([[0], np.cumsum(np.bincount(numbers, minlength=778))]).astype(np.int32),
    )
    tree = np.stack([np.where(np.arange(16) == 0, 2**32 - 1, PARENTS), np.arange(16)]).astype(np.uint32)
    content = {
        "v_template": arrays["v_template"],
        "shapedirs": picked,
        "posedirs": np.asfortranarray(arrays["posedirs"]),
        "J_regressor": sparse,
        "weights": arrays["weights"],
        "kintree_table": tree,
        "bs_type": "lrotmin",
    }
    return pickle.dumps(content, protocol=2)


def test_the_published_file_is_read_without_running_it(published, arrays, tmp_path):
    source = tmp_path / "MANO_RIGHT.pkl"
    source.write_bytes(published)
    output = convert_mano(source, tmp_path / "mano_right.npz")
    with np.load(output) as data:
        for name in FILE_SHAPES:
            np.testing.assert_allclose(data[name], arrays[name], err_msg=name)
    assert Mano.load(output).hands(np.zeros((1, 10)), np.zeros((1, 48)), np.array([1])).vertices.shape == (1, 778, 3)


class Hostile:
    def __reduce__(self):
        return (exec, ("import pathlib; pathlib.Path('was_here').touch()",))


def test_what_a_pickle_asks_to_run_is_not_run(published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = pickle.loads(published) | {"weights": Hostile()}
    with pytest.raises(LabelError):
        mano_arrays(pickle.dumps(content, protocol=2), "hostile")
    assert not (tmp_path / "was_here").exists()
    pickle.loads(pickle.dumps(Hostile(), protocol=2))  # it would have been
    assert (tmp_path / "was_here").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2]), pickle.dumps({"v_template": 3})])
def test_other_files_are_refused(content, tmp_path):
    source = tmp_path / "MANO_RIGHT.pkl"
    source.write_bytes(content)
    with pytest.raises(LabelError, match="not a MANO hand"):
        convert_mano(source, tmp_path / "mano.npz")
    assert not (tmp_path / "mano.npz").exists()


def test_missing_and_damaged_models_say_what_to_do(arrays, tmp_path):
    with pytest.raises(LabelError, match="no MANO model"):
        Mano.load(tmp_path / "mano.npz")
    (tmp_path / "mano.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(LabelError, match="convert"):
        Mano.load(tmp_path / "mano.npz")
    with pytest.raises(LabelError, match="weights is missing"):
        Mano({name: values for name, values in arrays.items() if name != "weights"})


def test_a_left_hands_file_is_refused(arrays):
    mirrored = arrays | {"v_template": arrays["v_template"] * [-1, 1, 1]}
    with pytest.raises(LabelError, match="is it a right one"):
        Mano(mirrored)
