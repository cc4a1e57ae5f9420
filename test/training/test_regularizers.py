import pytest
import torch

from firsthand_training.models.sparse_attention import Grid, Selection, block_layout, select_blocks, selection_mask
from firsthand_training.training.regularizers import concentration, focus, overlap, repulsion, soft_top_k

LAYOUT = block_layout([Grid(4, 4, view=0)], block=1)  # centres at 1/8, 3/8, 5/8, 7/8
STEREO = block_layout([Grid(4, 4, view=0), Grid(4, 4, view=1)], block=1)


def looking_at(*heads, blocks=16):
    """Heads that look at some blocks each, all with the same weight."""
    indices = torch.tensor(heads)[None, :, None]
    scores = torch.zeros(1, len(heads), 1, blocks).masked_fill(selection_mask(indices, blocks), 5.0)
    return Selection(scores, indices)


def random_selection(heads=4, blocks=64, k=8, queries=3, seed=0):
    torch.manual_seed(seed)
    scores = torch.randn(2, heads, queries, blocks)
    return Selection(scores, select_blocks(scores, k))


def test_two_equal_points_have_the_variance_of_their_distance():
    distance_squared = 0.75**2  # columns 0 and 3 of the first row
    assert concentration(focus(looking_at([0, 3]), LAYOUT)).item() == pytest.approx(distance_squared / 4)


def test_one_block_is_perfectly_concentrated():
    assert concentration(focus(looking_at([5], [7]), LAYOUT)).item() == 0


def test_concentration_does_not_care_where():
    here, there = (concentration(focus(looking_at(pair), LAYOUT)) for pair in ([0, 5], [10, 15]))
    torch.testing.assert_close(here, there)


def test_concentration_scales_with_the_square_of_size():
    near, far = (concentration(focus(looking_at(pair), LAYOUT)) for pair in ([0, 1], [0, 3]))
    torch.testing.assert_close(9 * near, far)


def test_a_head_that_looks_at_one_place_in_both_views_is_concentrated():
    looking = focus(looking_at([5, 16 + 5], blocks=32), STEREO)
    assert concentration(looking).item() == pytest.approx(0, abs=1e-7)
    torch.testing.assert_close(looking.mass[0, 0, 0], torch.tensor([0.5, 0.5]))


def test_disparity_between_views_is_no_spread():
    assert concentration(focus(looking_at([4, 16 + 7], blocks=32), STEREO)).item() == pytest.approx(0, abs=1e-7)


def test_identical_heads_repel_fully_and_less_with_distance():
    values = [repulsion(focus(looking_at([0], [block]), LAYOUT)).item() for block in (0, 1, 2, 3)]
    assert values[0] == pytest.approx(1)
    assert values == sorted(values, reverse=True)
    assert values[1] == pytest.approx(torch.tensor(-(0.25**2)).exp().item())  # eq. (4) by hand


def test_heads_on_different_views_do_not_repel():
    assert repulsion(focus(looking_at([5], [16 + 5], blocks=32), STEREO)).item() == 0


@pytest.mark.parametrize(("heads", "expected"), [([[0, 1]] * 4, 1.0), ([[0, 1], [2, 3]], 0.0), ([[0, 1], [1, 2]], 0.5)])
def test_overlap_is_the_share_of_common_blocks(heads, expected):
    assert overlap(looking_at(*heads)).item() == pytest.approx(expected)


def test_overlap_of_random_heads_is_that_of_chance():
    assert overlap(random_selection(heads=8, queries=200)).item() == pytest.approx(8 / 64, rel=0.05)


def test_overlap_is_exact_whatever_the_temperature():
    selection = random_selection()
    hard = selection_mask(selection.indices, 64).float()
    expected = torch.einsum("bhqn,bgqn->bqhg", hard, hard)
    pairs = expected.sum(dim=(-1, -2)) - 4 * 8
    for temperature in (0.05, 1.0):
        value = overlap(selection, temperature) * 4 * 3 * 8
        torch.testing.assert_close(value, pairs.mean())


def test_overlap_has_a_gradient_that_sums_to_zero_in_every_head():
    selection = random_selection()
    scores = selection.scores.requires_grad_()
    overlap(Selection(scores, selection.indices)).backward()
    assert torch.isfinite(scores.grad).all()
    assert scores.grad.abs().sum() > 0
    torch.testing.assert_close(scores.grad.sum(dim=-1), torch.zeros(2, 4, 3), atol=1e-6, rtol=0)


def test_descending_the_overlap_separates_the_heads():
    torch.manual_seed(0)
    scores = (torch.randn(1, 1, 1, 64) + 0.3 * torch.randn(1, 4, 1, 64)).requires_grad_()
    optimizer, values = torch.optim.Adam([scores], lr=0.05), []
    for _ in range(100):
        loss = overlap(Selection(scores, select_blocks(scores, 8)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[0] > 0.4
    assert values[-1] < 0.02


@pytest.mark.parametrize("k", [1, 5, 63, 64])
@pytest.mark.parametrize("temperature", [0.05, 0.3, 2.0])
def test_the_soft_selection_sums_to_k(k, temperature):
    torch.manual_seed(0)
    soft = soft_top_k(3 * torch.randn(500, 64), k, temperature)
    torch.testing.assert_close(soft.sum(dim=-1), torch.full((500,), float(k)), rtol=1e-4, atol=1e-4)


def test_the_soft_selection_survives_equal_scores():
    torch.testing.assert_close(soft_top_k(torch.ones(2, 8), 2, 0.2), torch.full((2, 8), 0.25))


def test_the_gradient_of_the_soft_selection_is_that_of_finite_differences():
    torch.manual_seed(0)
    scores, weights, step = torch.randn(12, dtype=torch.float64), torch.randn(12, dtype=torch.float64), 1e-5
    spread = scores.std().item()  # the temperature is relative to the spread, and the spread counts as constant

    def value(moved):
        return (soft_top_k(moved, 3, 0.3 * spread / moved.std().item()) * weights).sum()

    exact = scores.clone().requires_grad_()
    value(exact).backward()
    numeric = [
        (value(scores + step * unit) - value(scores - step * unit)) / (2 * step) for unit in torch.eye(12).double()
    ]
    torch.testing.assert_close(exact.grad, torch.stack(numeric), rtol=1e-4, atol=1e-6)


def test_permuting_heads_changes_no_regularizer():
    selection = random_selection(blocks=16)
    order = torch.tensor([2, 0, 3, 1])
    shuffled = Selection(selection.scores[:, order], selection.indices[:, order])
    for term in (overlap, lambda s: concentration(focus(s, LAYOUT)), lambda s: repulsion(focus(s, LAYOUT))):
        torch.testing.assert_close(term(selection), term(shuffled))


def test_a_single_head_has_nobody_to_overlap_with():
    selection = random_selection(heads=1, blocks=16)
    assert overlap(selection).item() == 0
    assert repulsion(focus(selection, LAYOUT)).item() == 0
