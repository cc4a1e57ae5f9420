"""What the tables compare, by name: ours, ours without one of its parts, and the baselines.

Each at three sizes: `cpu` trains on two CPU cores in less than an hour, `gpu` is of about the published size, `medium`
lies between and sees the small pictures of `cpu`. At one size ours and its ablations differ in nothing but what their
name says, and all methods see the same number of windows.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from firsthand.errors import FirsthandError
from firsthand_training.models.action_decoder import scene_layout
from firsthand_training.models.baselines.act import ActSettings
from firsthand_training.models.baselines.chunking import TransformerSettings
from firsthand_training.models.baselines.hat import HatSettings
from firsthand_training.models.world_model import WorldModelSettings
from firsthand_training.training.augmentation import AugmentationSettings
from firsthand_training.training.feature_cache import CacheSettings
from firsthand_training.training.losses import LossSettings
from firsthand_training.training.methods.act import ActMethod
from firsthand_training.training.methods.hat import HatMethod
from firsthand_training.training.methods.world_model import WorldModelMethod
from firsthand_training.training.train import TrainSettings

Size = Literal["cpu", "medium", "gpu"]
SIZES: tuple[Size, ...] = get_args(Size)


@dataclass(frozen=True)
class Recipe:
    """All that turns episodes into a policy."""

    cache: CacheSettings
    train: TrainSettings


def find_method(name: str, size: Size = "cpu") -> Recipe:
    """The recipe of a method.

    Raises:
        FirsthandError: There is none of that name; the message lists those that exist.
    """
    if name not in METHODS:
        raise FirsthandError(f"no method {name!r}; there are {', '.join(METHODS)}")
    return METHODS[name][size]


SMALL_PICTURES = CacheSettings(height=112, width=196)
CACHE: dict[Size, CacheSettings] = {
    "cpu": SMALL_PICTURES,
    "medium": SMALL_PICTURES,
    "gpu": CacheSettings(height=224, width=392),
}
SCHEDULE: dict[Size, TrainSettings] = {
    "cpu": TrainSettings(),
    "medium": TrainSettings(
        steps=8000, batch=64, micro_batch=64, learning_rate=5e-4, weight_decay=1e-3, warm_up=400, average=0.998,
        validate_every=1000, save_every=500, precision="bfloat16", workers=12,
    ),
    "gpu": TrainSettings(
        steps=50_000, batch=64, micro_batch=64, learning_rate=1e-4, weight_decay=1e-4, warm_up=500, average=0.999,
        validate_every=1000, save_every=1000, precision="bfloat16", workers=12,
    ),
}  # fmt: skip
"""Ours: AdamW, warm-up and cosine, clipped gradients, a moving average of the weights."""

FULL = LossSettings()
NO_REGULARIZERS = LossSettings(concentration=0.0, overlap=0.0, repulsion=0.0)


def _world_model(size: Size) -> WorldModelSettings:
    if size == "cpu":
        return WorldModelSettings()
    if size == "medium":
        return WorldModelSettings(
            latent_width=256, dynamics_width=192, dynamics_layers=2, dynamics_heads=4, dynamics_ratio=4, width=256,
            heads=4, action_layers=3, dropout=0.05,
        )  # fmt: skip
    return WorldModelSettings(
        horizon=56, stride=8, rows=16, columns=28, latent_width=384, dynamics_width=384, dynamics_layers=2,
        dynamics_heads=6, dynamics_ratio=4, width=384, heads=6, action_layers=4, dropout=0.1,
    )  # fmt: skip


def _ours(size: Size, losses: LossSettings = FULL, **network: object) -> Recipe:
    """The paper's method with some settings of the network replaced."""
    changed = replace(_world_model(size), **network)  # type: ignore[arg-type]
    return Recipe(CACHE[size], replace(SCHEDULE[size], method=WorldModelMethod(changed, losses)))


def _dense(size: Size) -> Recipe:
    """Every head selects every block: softmax over all patches, and nothing left to regularise.

    The compressed branch and the gates stay, so that weights and cost are those of sparse attention.
    """
    n = _world_model(size)
    layout = scene_layout(n.grid, n.pooled_grid, n.views, n.frames, n.block)
    return _ours(size, NO_REGULARIZERS, selected=layout.blocks)


PUBLISHED: dict[Size, TrainSettings] = {
    size: replace(
        ours, learning_rate=1e-4, schedule="constant", weight_decay=1e-4, decay_all=True, betas=(0.9, 0.999),
        warm_up=0, clip=0.0, average=0.0,
    )
    for size, ours in SCHEDULE.items()
}  # fmt: skip
"""Baselines: plain AdamW at a constant rate, no clipping, no averaging."""

TINTED = AugmentationSettings(feature_noise=0.0, channel_noise=0.1, patch_dropout=0.0, state_noise=0.0)
"""Another light: what stands in for HAT's colour jitter once features are cached."""

PLAIN = AugmentationSettings(feature_noise=0.0, channel_noise=0.0, patch_dropout=0.0, state_noise=0.0)

TRANSFORMER: dict[Size, TransformerSettings] = {
    "cpu": TransformerSettings(width=96, heads=4, feed_forward=600),
    "medium": TransformerSettings(width=192, heads=4, feed_forward=1200),
    "gpu": TransformerSettings(),
}
"""The published Transformer, and narrower ones of the same depth and proportions."""


def _hat(size: Size, **transformer: object) -> Recipe:
    small = HatSettings(horizon=28, rows=8, columns=14, transformer=TRANSFORMER[size])
    network = HatSettings() if size == "gpu" else small
    changed = replace(network, transformer=replace(network.transformer, **transformer))  # type: ignore[arg-type]
    train = replace(PUBLISHED[size], method=HatMethod(changed), augmentation=TINTED)
    return Recipe(CACHE[size], train)


def _hat_our_schedule(size: Size) -> Recipe:
    """HAT with our optimiser, schedule, averaging and augmentation: what is left is the difference of the methods."""
    return Recipe(CACHE[size], replace(SCHEDULE[size], method=_hat(size).train.method))


def _act(size: Size) -> Recipe:
    """From scratch: with torchvision's ImageNet weights set backbone_weights, frozen_batch and a rate of 0.1."""
    width = 24 if size == "cpu" else 48
    small = ActSettings(horizon=28, rows=112, columns=196, transformer=TRANSFORMER[size], backbone_width=width)
    network = replace(ActSettings() if size == "gpu" else small, backbone_norm="group")
    train = replace(PUBLISHED[size], method=ActMethod(network, backbone_rate=1.0), augmentation=PLAIN)
    return Recipe(replace(CACHE[size], encoder="pixels"), train)


METHODS: dict[str, dict[Size, Recipe]] = {
    name: {size: make(size) for size in SIZES}
    for name, make in {
        "ours": _ours,
        "ours_step_ar": lambda size: _ours(size, scales="steps"),
        "ours_dense": _dense,
        "ours_no_dynamics": lambda size: _ours(size, LossSettings(dynamics=0.0)),
        "ours_no_regularizers": lambda size: _ours(size, NO_REGULARIZERS),
        "ours_mono": lambda size: _ours(size, views=1),
        "hat": _hat,
        "hat_last_decoder": lambda size: _hat(size, decoder_output="last"),
        "hat_our_schedule": _hat_our_schedule,
        "act": _act,
    }.items()
}
"""Every method by name, at every size."""
