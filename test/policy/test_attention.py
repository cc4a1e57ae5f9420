from dataclasses import replace

import numpy as np
import pytest

from firsthand.errors import CheckpointError, ImageError
from firsthand.policy.attention import Blocks, draw_attention
from firsthand.policy.checkpoint import find_checkpoint, load_manifest

HEIGHT, WIDTH = 112, 196


@pytest.fixture(scope="module")
def manifest():
    return load_manifest(find_checkpoint("push"), check_files=False)


@pytest.fixture(scope="module")
def blocks(manifest):
    return Blocks.of(manifest)


def test_blocks_are_where_the_network_has_them(manifest, blocks):
    torch = pytest.importorskip("torch")
    from firsthand_training.models.action_decoder import scene_layout
    from firsthand_training.training.methods.registry import rebuild_method

    network = rebuild_method(manifest.network).network
    layout = scene_layout(network.grid, network.pooled_grid, network.views, network.frames, network.block)
    centres = (blocks.boxes[:, :2] + blocks.boxes[:, 2:]) / 2
    np.testing.assert_allclose(centres, layout.centres.numpy(), atol=1e-6)
    assert torch.equal(layout.views, torch.tensor(blocks.views))
    assert (len(blocks.frames), blocks.frames.max(), blocks.lead) == (168, 7, 0.16)


def selected_only(*indices):
    """(layers, heads, H, k): every head and action looks at the same blocks."""
    return np.tile(np.array(indices), (2, 4, 28, 1))


def test_shares_are_of_a_heads_queries(blocks):
    selected = selected_only(3, 5)
    selected[0, 1, :14] = 7
    shares = blocks.shares(selected)
    assert shares.shape == (4, 168)
    np.testing.assert_allclose(shares[0, [3, 5, 7]], [1, 1, 0])
    np.testing.assert_allclose(shares[1, [3, 5, 7]], [0.75, 0.75, 0.5])


def test_what_is_looked_at_is_lit_and_the_rest_is_dark(blocks):
    images = np.full((2, HEIGHT, WIDTH, 3), 200, np.uint8)
    right = 28 + 9  # the second view's block of row 1, column 2
    drawn = draw_attention(images, selected_only(right), blocks)
    left_picture, right_picture = drawn[:HEIGHT, 8 : 8 + WIDTH], drawn[:HEIGHT, 16 + WIDTH : 16 + 2 * WIDTH]
    assert left_picture.max() < 100
    block = right_picture[28:56, 56:84]
    assert np.median(block[:10]) == 200  # above the dots
    assert (right_picture == 200).all(-1).sum() == (block == 200).all(-1).sum()
    assert images.min() == 200  # the input is left alone


def test_heads_have_their_own_dots(blocks):
    images = np.full((2, HEIGHT, WIDTH, 3), 200, np.uint8)
    one = selected_only(0)
    other = one.copy()
    other[:, 2:] = 27
    drawn = [draw_attention(images, each, blocks)[:28, 8:36].astype(int) for each in (one, other)]
    assert (drawn[0] != drawn[1]).any()


def test_predicted_frames_are_drawn_below(blocks):
    images = np.full((2, HEIGHT, WIDTH, 3), 200, np.uint8)
    of_last_frame = int(np.flatnonzero((blocks.frames == 7) & (blocks.views == 0))[0])
    drawn = draw_attention(images, selected_only(of_last_frame), blocks)
    assert drawn[:HEIGHT].max() < 100
    lit = np.argwhere((drawn[HEIGHT : HEIGHT + 16] == 200).all(-1))
    assert lit[:, 1].min() > 8 + 6 * (WIDTH // 7) - 8  # the seventh of the left strip


def test_other_pictures_and_other_networks_are_refused(manifest, blocks):
    images = np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)
    with pytest.raises(ImageError, match="expected 2 pictures"):
        draw_attention(images, selected_only(0), blocks)
    with pytest.raises(CheckpointError, match="below 168"):
        blocks.shares(selected_only(168))
    with pytest.raises(CheckpointError, match=r"names no blocks .* `firsthand-lab export` its run again"):
        Blocks.of(replace(manifest, blocks=None))


def test_a_network_of_one_view_is_shown_on_the_left_picture(manifest):
    encoder = replace(manifest.encoder, feature_shape=(1, *manifest.encoder.feature_shape[1:]))
    mono = Blocks.of(replace(manifest, encoder=encoder))
    images = np.stack([np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in (200, 90)])
    drawn = draw_attention(images, selected_only(0), mono)
    assert len(mono.frames) == 84
    assert drawn.shape[1] == WIDTH + 16
    assert (drawn == 200).all(-1).any()
