import numpy as np
import pytest

from firsthand.errors import ImageError, ModelError
from firsthand.vision.encoders import SOURCES, open_encoder


def test_pixels_are_the_pictures_at_their_size():
    images = np.random.default_rng(0).integers(0, 255, (2, 112, 196, 3), dtype=np.uint8)
    encoder = open_encoder("pixels", (112, 196))
    features = encoder.encode(images)
    assert features.shape == encoder.feature_shape == (2, 112, 196, 3)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, images)
    np.testing.assert_array_equal(features.astype(encoder.storage), images)  # the cache loses nothing


def test_pictures_are_shrunk_by_area():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    images[:, :2, :2] = [[[0], [40]], [[80], [120]]]
    assert open_encoder("pixels", (2, 2)).encode(images)[0, 0, 0].tolist() == [60, 60, 60]


def test_one_view_of_two_is_refused():
    with pytest.raises(ImageError, match=r"expected 2 RGB images.*\(1, 4, 4, 3\)"):
        open_encoder("pixels", (2, 2)).encode(np.zeros((1, 4, 4, 3), np.uint8))


def test_an_unknown_encoder_is_refused_with_the_known_ones():
    assert set(SOURCES) == {"dinov2_vits14", "pixels"}
    with pytest.raises(ModelError, match="no encoder 'resnet18'; there are dinov2_vits14, pixels"):
        open_encoder("resnet18")
