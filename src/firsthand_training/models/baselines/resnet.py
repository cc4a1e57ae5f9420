"""ResNet-18 as a trainable image backbone (He et al., 2015), its parameters named as torchvision names them.

So a file of ImageNet weights made by torchvision loads as it is. With such weights batch normalisation is frozen, as
in DETR and ACT. Without them frozen statistics would normalise nothing: a network from scratch has group normalisation.
"""

from math import gcd
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from firsthand.errors import CheckpointError

Norm = Literal["frozen_batch", "group"]

STRIDE = 32  # pixels per cell of the output, along each side
STAGES = 4  # two blocks each; every stage after the first halves the image and doubles the channels
GROUPS = 16  # of group normalisation, at most


class FrozenBatchNorm(nn.Module):
    """Batch normalisation whose statistics and scales come from the weights file and never change."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, images: Tensor) -> Tensor:
        """Scale and shift every channel of (N, C, h, w)."""
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
        return images * scale[:, None, None] + (self.bias - self.running_mean * scale)[:, None, None]


class Block(nn.Module):
    """Two 3 x 3 convolutions and a way around them."""

    def __init__(self, channels: int, out: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, padding=1, bias=False)
        self.bn1 = _norm(norm, out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.bn2 = _norm(norm, out)
        self.downsample = (
            nn.Identity()
            if stride == 1 and channels == out
            else nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), _norm(norm, out))
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C', h / stride, w / stride)."""
        change = self.bn2(self.conv2(self.bn1(self.conv1(images)).relu()))
        return (change + self.downsample(images)).relu()


class ResNet18(nn.Module):
    """Images (N, 3, H, W) to features (N, 8 width, H / 32, W / 32), rounded up."""

    def __init__(self, width: int = 64, norm: Norm = "frozen_batch") -> None:
        """Build it with random weights; a width of 64 channels after the first convolution is the published one."""
        super().__init__()
        self.channels = width << (STAGES - 1)
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = _norm(norm, width)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        for stage in range(STAGES):
            channels, stride = width << stage, 1 if stage == 0 else 2
            blocks = Block(channels // stride, channels, stride, norm), Block(channels, channels, 1, norm)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """The last stage's features."""
        images = self.maxpool(self.bn1(self.conv1(images)).relu())
        for stage in range(STAGES):
            images = getattr(self, f"layer{stage + 1}")(images)
        return images


def load_imagenet_weights(network: ResNet18, path: Path) -> None:
    """Load torchvision's ResNet-18 weights into a network with frozen batch normalisation.

    Args:
        network: Of width 64.
        path: A .safetensors file with torchvision's names; the classifier in it is left out.

    Raises:
        CheckpointError: It cannot be read, or holds other weights.
    """
    try:
        stored = load_file(path)
        network.load_state_dict({name: stored[name] for name in network.state_dict()})
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} does not hold the weights of a ResNet-18 as torchvision names them: {error}"
        ) from error


def output_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the features of an image."""
    return -(-height // STRIDE), -(-width // STRIDE)


def _norm(norm: Norm, channels: int) -> nn.Module:
    return FrozenBatchNorm(channels) if norm == "frozen_batch" else nn.GroupNorm(gcd(GROUPS, channels), channels)
