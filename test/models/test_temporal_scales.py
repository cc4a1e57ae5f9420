from itertools import pairwise

import pytest
import torch

from firsthand_training.models.layers import grid_positions
from firsthand_training.models.temporal_scales import (
    TemporalScaleTransformer,
    bfs_levels,
    build_tree,
    index_sets,
    passes,
)

CHANNELS, PATCHES, VIEWS = 6, 6, 2


def transformer(T=7, trained=True, schedule=None, **settings):
    torch.manual_seed(0)
    model = TemporalScaleTransformer(
        schedule=schedule or passes(T),
        channels=CHANNELS,
        positions=grid_positions(2, 3, 16).flatten(0, 1),
        views=VIEWS,
        latent_width=8,
        width=16,
        heads=2,
        layers=2,
        ratio=2,
        **settings,
    )
    if trained:
        torch.nn.init.normal_(model.out.weight, std=0.5)
    return model.eval()


def inputs(batch=2):
    torch.manual_seed(1)
    return torch.randn(batch, VIEWS, PATCHES, CHANNELS), torch.randn(batch, 8)


def test_tree_of_seven_splits_at_midpoints():
    assert bfs_levels(build_tree(1, 7)) == [[4], [2, 6], [1, 3, 5, 7]]


def test_an_empty_interval_has_no_levels():
    assert bfs_levels(build_tree(2, 1)) == []


# The sets that Algorithms 3 to 5 give by hand.
@pytest.mark.parametrize(
    ("T", "expected"),
    [
        (1, [(1,)]),
        (3, [(2, 3), (1, 2, 3)]),
        (5, [(3, 5), (1, 3, 4, 5), (1, 2, 3, 4, 5)]),
        (7, [(4, 7), (2, 4, 6, 7), tuple(range(1, 8))]),
        (8, [(4, 8), (2, 4, 6, 8), tuple(range(1, 9)), tuple(range(1, 9))]),
    ],
)
def test_index_sets_are_those_of_the_algorithms(T, expected):
    assert index_sets(T) == expected


def halvings(index, left, right):
    """How often [left, right] must be halved until its middle is `index`: the depth of `index` in the tree."""
    middle = (left + right) // 2
    if index == middle:
        return 1
    return 1 + (halvings(index, left, middle - 1) if index < middle else halvings(index, middle + 1, right))


# By bisection, without a tree or a queue: level l has T and every index that l halvings find.
@pytest.mark.parametrize("T", range(1, 65))
def test_index_sets_are_those_of_bisection(T):
    depth = {index: halvings(index, 1, T) for index in range(1, T + 1)}
    levels = [tuple(x for x in depth if x == T or depth[x] <= level) for level in range(1, max(depth.values()) + 1)]
    assert index_sets(T) == levels


# Frames that the passes generate, and pairs of a generated frame with a frame it attends to.
@pytest.mark.parametrize(
    ("T", "frames", "pairs"),
    [(1, 2, 3), (2, 5, 13), (5, 12, 61), (7, 14, 77), (8, 23, 213), (15, 30, 325), (16, 47, 853)],
)
def test_the_memory_holds_every_version_of_every_frame(T, frames, pairs):
    schedule = passes(T, skip_repeated=False)
    seen = [1 + sum(map(len, schedule[:number])) for number in range(len(schedule))]
    assert sum(map(len, schedule)) == frames
    assert sum(len(level) * memory for level, memory in zip(schedule, seen, strict=True)) == pairs


@pytest.mark.parametrize("T", range(1, 65))
def test_index_sets_grow_to_every_time_step(T):
    sets = index_sets(T)
    assert sets[-1] == tuple(range(1, T + 1))
    assert all(set(old) <= set(new) for old, new in pairwise(sets))
    assert len(passes(T, skip_repeated=False)) == (T).bit_length() + 1  # ceil(log2(T + 1)) + the jump


def test_repeated_levels_are_skipped_unless_asked_for():
    assert passes(8) == ((8,), (4, 8), (2, 4, 6, 8), tuple(range(1, 9)))
    assert len(passes(8, skip_repeated=False)) == 5


def test_new_only_generates_every_index_once():
    generated = [index for level in passes(7, "new_only") for index in level]
    assert sorted(generated) == list(range(1, 8))


def test_steps_are_conventional_autoregression():
    assert passes(4, "steps") == ((1,), (2,), (3,), (4,))


def test_one_time_step_is_the_same_in_every_mode():
    assert passes(1) == passes(1, "steps") == passes(1, "new_only") == ((1,),)


@pytest.mark.parametrize("mode", ["scales", "new_only", "steps"])
def test_every_mode_answers_every_time_step(mode):
    model = transformer(schedule=passes(5, mode))
    assert model.answer(model(*inputs())).shape == (2, VIEWS, 5, PATCHES, CHANNELS)


@pytest.mark.parametrize(("T", "mode", "word"), [(0, "scales", "at least one"), (3, "spiral", "spiral")])
def test_impossible_schedules_are_refused(T, mode, word):
    with pytest.raises(ValueError, match=word):
        passes(T, mode)


def test_untrained_the_future_is_a_copy_of_the_present():
    current, latent = inputs()
    for level in transformer(trained=False)(current, latent):
        expected = current[:, :, None].expand_as(level.features)
        torch.testing.assert_close(level.features, expected, rtol=0, atol=0)


def test_one_level_a_pass_and_the_last_one_is_the_answer():
    model = transformer(7)
    levels = model(*inputs())
    assert [level.indices for level in levels] == list(passes(7))
    torch.testing.assert_close(model.answer(levels), levels[-1].features)


def test_the_answer_of_new_only_gathers_every_level():
    model = transformer(schedule=passes(7, "new_only"))
    levels = model(*inputs())
    answer = model.answer(levels)
    assert answer.shape == (2, VIEWS, 7, PATCHES, CHANNELS)
    torch.testing.assert_close(answer[:, :, 6], levels[0].features[:, :, 0])  # the jump is the only word on T


@pytest.mark.parametrize(("T", "frames"), [(1, [1, 2]), (3, [1, 2, 4]), (7, [1, 2, 4, 8])])
def test_each_pass_sees_all_that_was_generated_before(T, frames):
    model, seen = transformer(T, schedule=passes(T, skip_repeated=False)), []
    attention = model.layers[0].attention
    original = attention.attend
    attention.attend = lambda queries, keys, values: seen.append(keys.shape[2]) or original(queries, keys, values)
    model(*inputs())
    assert [(tokens - 1) / PATCHES for tokens in seen] == frames  # one token is the latent state


def test_order_within_a_level_does_not_matter():
    model, (current, latent) = transformer(schedule=((7,), (4, 7), (2, 4))), inputs()
    swapped = transformer(schedule=((7,), (4, 7), (4, 2)))
    torch.testing.assert_close(
        model(current, latent)[-1].features, swapped(current, latent)[-1].features.flip(2), rtol=1e-5, atol=1e-5
    )


def test_the_state_steers_the_future():
    model, (current, latent) = transformer(), inputs()
    assert not torch.allclose(model(current, latent)[0].features, model(current, latent + 1)[0].features)


def test_views_do_not_mix():
    model, (current, latent) = transformer(), inputs()
    changed = current.clone()
    changed[:, 1] += 1
    before, after = model(current, latent)[-1].features, model(changed, latent)[-1].features
    torch.testing.assert_close(before[:, 0], after[:, 0])
    assert not torch.allclose(before[:, 1], after[:, 1])


def test_gradients_cross_levels_unless_detached():
    current, latent = inputs()
    for detach in (False, True):
        model = transformer(detach_levels=detach)
        embedded = []
        original = model.embed.forward
        model.embed.forward = lambda tokens, seen=embedded, call=original: seen.append(tokens) or call(tokens)
        model(current, latent)[-1].features.square().sum().backward()
        assert embedded[1].requires_grad is not detach  # the second embedding is that of the jump
