import numpy as np
import pytest
import torch

from firsthand_training.models.baselines.detr import Decoder, Encoder, image_positions, sequence_positions

WIDTH, HEADS, HIDDEN, LAYERS = 16, 2, 24, 3


def a_decoder(output):
    torch.manual_seed(0)
    return Decoder(5, WIDTH, HEADS, HIDDEN, LAYERS, 0.0, output)


def used_layers(decoder):
    decoder(torch.randn(2, 7, WIDTH), torch.randn(7, WIDTH)).sum().backward()
    return [any(p.grad is not None for p in layer.parameters()) for layer in decoder.layers]


def test_as_published_only_the_first_decoder_layer_learns():
    assert used_layers(a_decoder("first")) == [True, False, False]
    assert used_layers(a_decoder("last")) == [True, True, True]


def test_the_published_indexing_is_the_output_of_a_decoder_of_one_layer():
    memory, positions = torch.randn(2, 7, WIDTH), torch.randn(7, WIDTH)
    published, meant, single = a_decoder("first"), a_decoder("last"), Decoder(5, WIDTH, HEADS, HIDDEN, 1, 0.0, "last")
    single.load_state_dict({name: value for name, value in published.state_dict().items() if name[:8] != "layers.1"
                            and name[:8] != "layers.2"})  # fmt: skip
    torch.testing.assert_close(published(memory, positions), single(memory, positions))
    assert not torch.allclose(published(memory, positions), meant(memory, positions), atol=1e-3)


def test_another_decoder_output_is_refused():
    with pytest.raises(ValueError, match="first, last, got 'middle'"):
        a_decoder("middle")


def test_padding_is_not_looked_at():
    torch.manual_seed(0)
    encoder, tokens = Encoder(WIDTH, HEADS, HIDDEN, 2, 0.0), torch.randn(1, 4, WIDTH)
    padding, changed = torch.tensor([[False, False, False, True]]), tokens.clone()
    changed[:, 3] += 1.0
    before, after = (encoder(each, torch.zeros(4, WIDTH), padding) for each in (tokens, changed))
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(encoder(tokens, torch.zeros(4, WIDTH))[:, :3], before[:, :3], atol=1e-3)


def test_image_positions_are_those_of_detr():
    """Rows in the first half, from 2 pi / rows to 2 pi; sines and cosines by turns, wavelengths growing to 10,000."""
    positions = image_positions(4, 6, 8)
    assert positions.shape == (4, 6, 8)
    row, column = 3 / 4 * 2 * np.pi, 2 / 6 * 2 * np.pi
    expected = [f(place / wave) for place in (row, column) for wave in (1, 100) for f in (np.sin, np.cos)]
    np.testing.assert_allclose(positions[2, 1], expected, atol=1e-5)


def test_sequence_positions_begin_at_zero():
    np.testing.assert_allclose(sequence_positions(3, 4)[0], [0, 1, 0, 1])
    np.testing.assert_allclose(
        sequence_positions(3, 4)[2], [np.sin(2), np.cos(2), np.sin(0.02), np.cos(0.02)], atol=1e-6
    )
