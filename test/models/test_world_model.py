import numpy as np
import pytest
import torch

from firsthand.space.hand_state import FINGERTIPS, SIZE, WRIST_POSITIONS
from firsthand_training.models.layers import grid_positions, pool_grid
from firsthand_training.models.state_encoder import PARTS, StateEncoder
from firsthand_training.models.world_model import WorldModelPolicy, WorldModelSettings

SMALL = WorldModelSettings(
    horizon=6,
    stride=2,
    rows=4,
    columns=6,
    channels=8,
    latent_width=16,
    dynamics_width=16,
    width=16,
    heads=2,
    selected=3,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return WorldModelPolicy(SMALL).eval()


def observation(batch=2):
    torch.manual_seed(1)
    return torch.randn(batch, 2, 4, 6, 8), torch.randn(batch, SIZE)


def test_output_shapes(model):
    output = model(*observation())
    assert output.actions.shape == (2, 6, SIZE)
    assert output.future_features.shape == (2, 3, 2, 2, 3, 8)
    assert [level.indices for level in output.levels] == [(3,), (2, 3), (1, 2, 3)]
    assert output.selections[0].indices.shape == (2, 2, 6, 3)
    assert output.selections[0].scores.shape == (2, 2, 6, model.layout.blocks)


def test_untrained_the_wrists_hold_still(model):
    features, state = observation()
    actions = model(features, state).actions
    np.testing.assert_array_equal(
        actions[..., WRIST_POSITIONS].detach(), state[:, None, WRIST_POSITIONS].expand(2, 6, 6)
    )
    assert (actions[..., FINGERTIPS] == 0).all()  # the mean of the data


def test_every_weight_learns(model):
    model.train()
    torch.nn.init.normal_(model.action_decoder.out.weight)
    torch.nn.init.normal_(model.dynamics.out.weight)
    model.state_encoder.state_dropout = 0.5
    torch.manual_seed(0)
    output = model(*observation(8))
    (output.actions.square().sum() + output.future_features.square().sum()).backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


def test_actions_depend_on_the_predicted_future(model):
    torch.nn.init.normal_(model.action_decoder.out.weight)
    features, state = observation()
    latent, levels = model.imagine(features, state)
    future = model.final(levels)
    before, after = (model.act(features, state, latent, each)[0] for each in (future, future + 1))
    assert not torch.allclose(before, after)


def test_samples_of_a_batch_do_not_mix(model):
    torch.nn.init.normal_(model.action_decoder.out.weight)
    features, state = observation(3)
    alone = model(features[:1], state[:1]).actions
    torch.testing.assert_close(model(features, state).actions[:1], alone, rtol=1e-4, atol=1e-5)


def test_predicted_blocks_follow_the_current_ones(model):
    current, pooled = 2 * 2 * 3, 1 * 2  # blocks of 2 x 2 in 4 x 6 and in 2 x 3 patches
    assert model.layout.blocks == 2 * current // 2 + 3 * 2 * pooled
    assert model.layout.views[:12].tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"horizon": 7}, "multiple of the stride"),
        ({"rows": 5}, "pooled by 2"),
        ({"width": 18}, "width must be"),
        ({"state_dropout": 1.0}, "state_dropout"),
        ({"selected": 0}, "selected of at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(wrong, word):
    with pytest.raises(ValueError, match=word):
        WorldModelSettings(**wrong)


def test_selecting_more_blocks_than_there_are_is_refused():
    with pytest.raises(ValueError, match="selected blocks, got 1000"):
        WorldModelPolicy(WorldModelSettings(**{**vars(SMALL), "selected": 1000}))


def test_the_parts_cover_the_54_numbers_once():
    numbers = sorted(n for part in PARTS.values() for piece in part for n in range(piece.start, piece.stop))
    assert numbers == list(range(SIZE))


def test_a_forgotten_state_leaves_no_trace():
    torch.manual_seed(0)
    encoder = StateEncoder(16, 2, 1, 2, dropout=0.0, state_dropout=0.999999).train()
    latent = encoder(torch.randn(4, SIZE))
    torch.testing.assert_close(latent, latent[:1].expand_as(latent))
    encoder.eval()
    assert encoder(torch.randn(2, SIZE)).std(dim=0).max() > 1e-3


def test_stray_states_are_clipped():
    torch.manual_seed(0)
    encoder = StateEncoder(16, 2, 1, 2, 0.0, 0.0).eval()
    torch.testing.assert_close(encoder(torch.full((1, SIZE), 5.0)), encoder(torch.full((1, SIZE), 500.0)))


def test_pooling_is_the_mean_of_neighbours():
    grid = torch.arange(8.0).reshape(2, 4, 1)
    assert pool_grid(grid, 2).flatten().tolist() == [2.5, 4.5]


def test_positions_tell_every_patch_apart():
    positions = grid_positions(8, 14, 32).flatten(0, 1)
    assert torch.cdist(positions, positions).fill_diagonal_(9).min() > 0.1
