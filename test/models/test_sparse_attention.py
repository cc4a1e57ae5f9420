import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from firsthand_training.models.sparse_attention import (
    Grid,
    SparseCrossAttention,
    block_layout,
    compress,
    compressed_attention,
    select_blocks,
    selected_attention,
    selected_attention_naive,
    selection_mask,
)


def heads(patches, queries=3, batch=2, count=2, width=4, sinks=1):
    torch.manual_seed(0)
    shapes = [(batch, count, queries, width)] + 2 * [(batch, count, sinks + patches, width)]
    return [torch.randn(*shape, dtype=torch.float64) for shape in shapes]


def random_selection(layout, k, queries=3):
    torch.manual_seed(1)
    return select_blocks(torch.randn(2, 2, queries, layout.blocks), k)


def test_blocks_of_a_ragged_grid():
    layout = block_layout([Grid(2, 3, view=0)], block=2)
    assert layout.block_of_patch.tolist() == [0, 0, 1, 0, 0, 1]
    torch.testing.assert_close(layout.averaging[1], torch.tensor([0, 0, 0.5, 0, 0, 0.5]))
    torch.testing.assert_close(layout.centres, torch.tensor([[0.5, 1 / 3], [0.5, 5 / 6]]))


@pytest.mark.parametrize(("rows", "columns", "block"), [(16, 22, 2), (8, 14, 2), (5, 7, 3), (4, 7, 1)])
def test_every_patch_is_in_exactly_one_block_of_neighbours(rows, columns, block):
    layout = block_layout([Grid(rows, columns, 0), Grid(rows, columns, 1)], block)
    assert (layout.averaging > 0).sum() == 2 * rows * columns
    for number in range(layout.blocks):
        patches = (layout.block_of_patch == number).nonzero().flatten()
        view, place = patches // (rows * columns), patches % (rows * columns)
        assert (view == layout.views[number]).all()
        assert len({(p // columns // block, p % columns // block) for p in place.tolist()}) == 1
        assert layout.averaging[number, patches].sum() == pytest.approx(1)


@pytest.mark.parametrize("grids", [[Grid(4, 4, 0)], [Grid(5, 3, 0), Grid(2, 3, 1)]])
@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("sinks", [0, 2])
def test_masked_attention_equals_the_gathering_loop(grids, k, sinks):
    layout = block_layout(grids, block=2)
    query, keys, values = heads(len(layout.block_of_patch), sinks=sinks)
    indices = random_selection(layout, k)
    fast = selected_attention(query, keys, values, indices, layout, sinks)
    torch.testing.assert_close(fast, selected_attention_naive(query, keys, values, indices, layout, sinks))


def test_selecting_every_block_is_dense_attention():
    layout = block_layout([Grid(5, 3, 0)], block=2)
    query, keys, values = heads(15)
    indices = random_selection(layout, layout.blocks)
    sparse = selected_attention(query, keys, values, indices, layout, sinks=1)
    torch.testing.assert_close(sparse, scaled_dot_product_attention(query, keys, values))


def test_compressing_blocks_of_one_patch_is_dense_attention():
    layout = block_layout([Grid(3, 4, 0)], block=1)
    query, keys, values = heads(12, sinks=0)
    patches = keys.float().transpose(1, 2).flatten(2)
    torch.testing.assert_close(compress(patches, layout.averaging), patches)
    mixed, scores = compressed_attention(query, keys, values)
    torch.testing.assert_close(mixed.float(), scaled_dot_product_attention(query, keys, values).float())
    assert scores.shape == (2, 2, 3, 12)


def test_patches_outside_the_selection_have_no_weight():
    layout = block_layout([Grid(3, 3, 0)], block=2)  # ragged: blocks of 4, 2, 2 and 1 patches
    query, keys, values = heads(9)
    indices = random_selection(layout, 2)
    before = selected_attention(query, keys, values, indices, layout, sinks=1)
    hidden = ~selection_mask(indices[0, 0, 0], layout.blocks)[layout.block_of_patch]
    values[0, 0, 1:][hidden] = 1e6
    after = selected_attention(query, keys, values, indices, layout, sinks=1)
    torch.testing.assert_close(before[0, 0, 0], after[0, 0, 0], rtol=0, atol=0)


def test_the_sink_is_always_visible():
    layout = block_layout([Grid(2, 2, 0)], block=1)
    query, keys, values = heads(4)
    before = selected_attention(query, keys, values, random_selection(layout, 1), layout, sinks=1)
    values[:, :, 0] += 1
    after = selected_attention(query, keys, values, random_selection(layout, 1), layout, sinks=1)
    assert ((after - before) > 0).all()


def test_selection_takes_the_highest_scores_and_the_first_of_equal_ones():
    assert select_blocks(torch.tensor([0.1, 3.0, 2.0, -1.0]), 2).tolist() == [1, 2]
    assert select_blocks(torch.ones(50), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("k", [0, 5])
def test_selecting_more_blocks_than_there_are_is_refused(k):
    with pytest.raises(ValueError, match="between 1 and 4"):
        select_blocks(torch.zeros(4), k)


def test_permuting_patches_of_single_blocks_permutes_the_selection_only():
    layout = block_layout([Grid(3, 4, 0)], block=1)
    attention, (queries, patches, sinks) = module(layout), tokens(12)
    order = torch.randperm(12)
    out, selection = look(attention, queries, patches, sinks)
    shuffled = patches[:, order]
    out_shuffled, selection_shuffled = look(attention, queries, shuffled, sinks)
    torch.testing.assert_close(out, out_shuffled)
    torch.testing.assert_close(order[selection_shuffled.indices], selection.indices)


def test_each_head_selects_for_itself():
    layout = block_layout([Grid(4, 4, 0)], block=1)
    attention, (queries, patches, sinks) = module(layout), tokens(16)
    _, selection = look(attention, queries, patches, sinks)
    assert not torch.equal(selection.indices[:, 0], selection.indices[:, 1])


def test_with_the_selected_gate_shut_the_selection_does_not_matter(monkeypatch):
    layout = block_layout([Grid(4, 4, 0)], block=2)
    attention, (queries, patches, sinks) = module(layout), tokens(16)
    name = "firsthand_training.models.sparse_attention.select_blocks"

    def outputs():
        before = look(attention, queries, patches, sinks)[0]
        with monkeypatch.context() as patch:
            patch.setattr(name, lambda scores, k: select_blocks(-scores, k))
            return before, look(attention, queries, patches, sinks)[0]

    assert not torch.allclose(*outputs())
    torch.nn.init.zeros_(attention.gate.weight)
    attention.gate.bias.data = torch.tensor([0.0, -1e4] * 2)  # compressed, selected of each head
    torch.testing.assert_close(*outputs())


def test_scores_get_a_gradient_from_the_task():
    layout = block_layout([Grid(4, 4, 0)], block=2)
    attention, (queries, patches, sinks) = module(layout), tokens(16)
    look(attention, queries, patches, sinks)[0].square().sum().backward()
    assert attention.block_key.weight.grad.abs().sum() > 0


def test_bfloat16_selects_what_float32_selects():
    torch.manual_seed(3)
    q, k = torch.randn(4, 2, 50, 32), torch.randn(4, 2, 40, 32)
    full = select_blocks(compressed_attention(q, k, k)[1], 8)
    rounded = q.bfloat16(), k.bfloat16()
    half = select_blocks(compressed_attention(*rounded, rounded[1])[1], 8)
    same = selection_mask(full, 40) == selection_mask(half, 40)
    assert same.float().mean() >= 0.99


def module(layout, width=8, count=2, selected=2):
    torch.manual_seed(0)
    return SparseCrossAttention(width, count, layout, selected)


def tokens(patches, width=8):
    torch.manual_seed(2)
    return torch.randn(2, 5, width), torch.randn(2, patches, width), torch.randn(2, 1, width)


def look(attention, queries, patches, sinks):
    blocks = compress(patches, attention.averaging)
    return attention(queries, torch.cat([sinks, patches], dim=1), torch.cat([sinks, blocks], dim=1), sinks=1)
