import dataclasses

import pytest
import torch

from firsthand.errors import FirsthandError
from firsthand_training.experiments.methods import METHODS, SIZES, find_method
from firsthand_training.experiments.scales import SCALES
from firsthand_training.training.methods.registry import describe_method, rebuild_method
from firsthand_training.training.windows import Batch


def differences(one, other, prefix=""):
    """Names of the settings in which two dataclasses differ."""
    names = set()
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if dataclasses.is_dataclass(a) and type(a) is type(b):
            names |= differences(a, b, f"{prefix}{field.name}.")
        elif a != b:
            names.add(prefix + field.name)
    return names


def random_batch(window, size=2):
    pooled = (window.rows // window.pool) * (window.columns // window.pool)
    return Batch(
        features=torch.randn(size, *window.features),
        state=torch.randn(size, 54),
        future=torch.randn(size, window.views, window.frames, pooled, window.channels),
        future_mask=torch.ones(size, window.frames, dtype=torch.bool),
        actions=torch.randn(size, window.horizon, 54),
        action_mask=torch.ones(size, window.horizon, dtype=torch.bool),
        action_weight=torch.ones(size, window.horizon),
    )


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("ours_step_ar", {"network.scales"}),
        ("ours_dense", {"network.selected", "losses.concentration", "losses.overlap", "losses.repulsion"}),
        ("ours_no_dynamics", {"losses.dynamics"}),
        ("ours_no_regularizers", {"losses.concentration", "losses.overlap", "losses.repulsion"}),
        ("ours_mono", {"network.views"}),
    ],
)
@pytest.mark.parametrize("size", SIZES)
def test_an_ablation_changes_what_its_name_says(name, changed, size):
    assert differences(find_method("ours", size), find_method(name, size)) == {
        f"train.method.{each}" for each in changed
    }


def test_hat_with_its_last_layer_differs_by_nothing_else():
    for size in SIZES:
        changed = differences(find_method("hat", size), find_method("hat_last_decoder", size))
        assert changed == {"train.method.network.transformer.decoder_output"}


def test_at_one_size_all_see_the_same_windows_of_the_same_pictures():
    for size in SIZES:
        recipes = [METHODS[name][size] for name in METHODS]
        assert len({(each.train.steps, each.train.batch, each.train.held_out) for each in recipes}) == 1
        assert len({(each.cache.every, each.cache.height, each.cache.width) for each in recipes}) == 1
        for each in recipes:
            window, patch = each.train.method.window, 1 if each.cache.encoder == "pixels" else 14
            assert (window.rows * patch, window.columns * patch) == (each.cache.height, each.cache.width)


@pytest.mark.parametrize("name", METHODS)
def test_every_small_method_learns_from_a_batch_and_is_rebuilt_from_its_description(name):
    torch.manual_seed(0)
    method = find_method(name).train.method
    network = method.build().train()
    method.begin(network)
    losses = method.loss(network, random_batch(method.window, size=1))
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert rebuild_method(describe_method(method)) == method


@pytest.mark.parametrize("name", METHODS)
def test_sizes_grow(name):
    with torch.device("meta"):
        networks = [find_method(name, size).train.method.build() for size in SIZES]
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    assert SIZES == ("cpu", "medium", "gpu")
    assert 2 * counts[0] < counts[1] < counts[2] / 2


def test_every_scale_has_networks_of_its_size():
    for name, scale in SCALES.items():
        assert scale.size in SIZES
        if name in SIZES:
            assert scale.size == name
            assert scale.steps == find_method("ours", scale.size).train.steps or name == "cpu"


def test_hat_has_the_published_size():
    """4 + 4 encoder and 7 decoder layers of width 512 and feed-forward 3200, as counted from the published code."""
    transformer = find_method("hat", "gpu").train.method.network.transformer
    attention, feed_forward, norm = 4 * 512 * 513, 512 * 3200 * 2 + 3200 + 512, 2 * 512
    encoder = attention + feed_forward + 2 * norm
    decoder = 2 * attention + feed_forward + 3 * norm
    with torch.device("meta"):
        network = find_method("hat", "gpu").train.method.build()
    layers = sum(p.numel() for part in (network.chunking.encoder, network.chunking.posterior.encoder)
                 for p in part.parameters())  # fmt: skip
    assert layers == 2 * transformer.encoder_layers * encoder == 8 * encoder
    assert sum(p.numel() for p in network.chunking.decoder.layers.parameters()) == 7 * decoder


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(FirsthandError, match="no method 'diffusion'; there are ours, ours_step_ar"):
        find_method("diffusion")
