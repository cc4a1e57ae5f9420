"""Arrays in files are read whole, or refused with a reason."""

import numpy as np
import pytest

from firsthand_training.episodes.arrays import read_arrays


def test_the_arrays_that_are_there_are_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", one=np.arange(3), two=np.eye(2))
    arrays = read_arrays(tmp_path / "a.npz", ["one", "three"])
    assert list(arrays) == ["one"]
    np.testing.assert_array_equal(arrays["one"], [0, 1, 2])


def test_no_damage_raises_anything_else(tmp_path):
    path, rng = tmp_path / "a.npz", np.random.default_rng(0)
    np.savez_compressed(path, one=rng.standard_normal(50), two=np.eye(4))
    whole, refused = path.read_bytes(), 0
    for _ in range(300):
        content = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        try:
            read_arrays(path, ["one", "two"])
        except ValueError:
            refused += 1
    assert refused > 200


def test_a_pickle_is_not_opened(tmp_path):
    np.savez(tmp_path / "a.npz", one=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_arrays(tmp_path / "a.npz", ["one"])


def test_a_file_that_is_not_there_is_told_apart(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "a.npz", ["one"])
