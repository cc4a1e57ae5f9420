"""Depth of one picture from some others: a sweep over planes, coarse to fine, in torch.

At half size, every depth from the nearest to the furthest point of the scene is tried everywhere (plane sweep: Collins,
CVPR 1996), and the costs are made to agree along four directions (semi-global matching: Hirschmueller, PAMI 2008). At
full size only depths near that are tried, on surfaces that slant as the coarse ones do. How alike two patches look is
their zero-mean normalised cross-correlation, averaged over the better half of the sources: the others may not see it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from firsthand.errors import LabelError

Tensor = torch.Tensor


@dataclass(frozen=True)
class SweepSettings:
    """How depth is looked for."""

    window: int = 5  # [px], side of a patch, at half and at full size
    max_planes: int = 128
    noise: float = 0.012  # of the grey scale 0 to 1: contrast below it says nothing
    small_step: float = 0.03  # cost of a neighbour one plane off
    large_step: float = 0.25  # and of one further off

    def __post_init__(self) -> None:
        if self.window % 2 == 0 or self.window < 3:
            raise LabelError(f"a patch has an odd side of 3 px or more, got window={self.window}")
        if self.max_planes < 8 or self.noise <= 0 or not 0 <= self.small_step <= self.large_step:
            raise LabelError(f"expected 8 planes or more and costs in order, got {self}")


@dataclass(frozen=True)
class Source:
    """A picture to compare with."""

    gray: Tensor  # (H, W), 0 to 1
    shown: Tensor  # (H, W), bool: not hidden by hands
    from_reference: Tensor  # (4, 4)


def sweep_depth(
    gray: Tensor,
    sources: Sequence[Source],
    intrinsics: Tensor,
    nearest: float,
    furthest: float,
    settings: SweepSettings,
) -> tuple[Tensor, Tensor]:
    """Depth along the optical axis and how alike the patches look there.

    Args:
        gray: The picture, (H, W), 0 to 1.
        sources: One or more.
        intrinsics: (3, 3), [px], of all of them.
        nearest: Depth, in the units of the poses.
        furthest: Depth.
        settings: How.

    Returns:
        Depth (H, W), and the mean correlation (H, W), -1 to 1; NaN where no source shows the place or the best depth is
        out of range.
    """
    half = [Source(_halved(s.gray), _halved(s.shown.float()) > 0.99, s.from_reference) for s in sources]
    coarse = _Comparison(_halved(gray), half, _half_size(intrinsics), settings)
    planes = _planes(coarse, nearest, furthest, settings)
    costs = coarse.costs(planes[:, None, None].expand(-1, *coarse.shape))
    inverse_depth = _best(_aggregated(costs, settings), planes)
    step, lowest = float(planes[1] - planes[0]), 0.5 * float(planes[0])

    fine = _Comparison(gray, list(sources), intrinsics, settings)
    around = _doubled(inverse_depth, fine.shape)
    offsets = torch.linspace(-1.5, 1.5, 7, device=gray.device) * step
    candidates = (around + offsets[:, None, None]).clamp(min=lowest)
    inverse_depth = around + _best(_aggregated(fine.costs(candidates), settings), offsets)
    inverse_depth = _propagated(fine, inverse_depth)
    offsets = torch.linspace(-0.25, 0.25, 3, device=gray.device) * step
    costs = fine.costs((inverse_depth + offsets[:, None, None]).clamp(min=lowest))
    likeness = 1 - costs.amin(dim=0)
    inverse_depth = _flattened(inverse_depth + _best(costs, offsets), likeness.clamp(0.01, 1.0) ** 2, step)
    depth = 1 / inverse_depth.clamp(min=lowest)
    outside = (inverse_depth < planes[0] - step / 2) | (inverse_depth > planes[-1] + step / 2)
    nowhere = outside | (costs.amin(dim=0) > UNSEEN / 2)
    return depth.masked_fill(nowhere, torch.nan), likeness.masked_fill(nowhere, torch.nan)


UNSEEN = 4.0  # cost of a place that no source shows; correlation costs 0 to 2


class _Comparison:
    """One picture against its sources at one size."""

    def __init__(self, gray: Tensor, sources: Sequence[Source], intrinsics: Tensor, settings: SweepSettings) -> None:
        self.shape = gray.shape
        self._settings, self._sources = settings, sources
        self._gray = gray - gray.mean()
        self._mean = _box(self._gray[None], settings.window)[0]
        self._variance = _box(self._gray[None] ** 2, settings.window)[0] - self._mean**2
        height, width = gray.shape
        rows, columns = torch.meshgrid(
            torch.arange(height, device=gray.device), torch.arange(width, device=gray.device), indexing="ij"
        )
        pixels = torch.stack([columns, rows, torch.ones_like(rows)]).to(gray).reshape(3, -1)
        self._ways = []  # pixel in a source = base + shift / depth, homogeneous
        for source in sources:
            turned = intrinsics @ source.from_reference[:3, :3] @ torch.linalg.inv(intrinsics)
            base = (turned @ pixels).reshape(3, height, width)
            self._ways.append((base, intrinsics @ source.from_reference[:3, 3]))
        offset = gray.mean()
        self._pictures = [torch.stack([s.gray - offset, s.shown.float()])[None] for s in sources]

    def reach(self) -> float:
        """How far the middle of the picture moves in a source, at most, with one of inverse depth, [px]."""
        return max(
            float(torch.linalg.norm(shift[:2] - shift[2] * base[:2].mean(dim=(1, 2)))) for base, shift in self._ways
        )

    def costs(self, inverse_depths: Tensor) -> Tensor:
        """1 - correlation of the better half of the sources, for inverse depths (K, H, W)."""
        pairs = zip(self._pictures, self._ways, strict=True)
        each = torch.stack([self._one(picture, way, inverse_depths) for picture, way in pairs])
        best = each.sort(dim=0).values
        best = best[: max(1, (len(best) + 1) // 2)]
        valid = best < UNSEEN
        count = valid.sum(dim=0)
        mean = torch.where(valid, best, torch.zeros_like(best)).sum(dim=0) / count.clamp(min=1)
        return torch.where(count > 0, mean, torch.full_like(mean, UNSEEN))

    def _one(self, picture: Tensor, way: tuple[Tensor, Tensor], inverse_depths: Tensor) -> Tensor:
        base, shift = way
        z = base[2] + shift[2] * inverse_depths
        x = (base[0] + shift[0] * inverse_depths) / z
        y = (base[1] + shift[1] * inverse_depths) / z
        height, width = self.shape
        grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
        count = len(inverse_depths)
        warped = functional.grid_sample(
            picture.expand(count, -1, -1, -1), grid, mode="bilinear", padding_mode="zeros", align_corners=True
        )
        seen, shown = warped[:, 0], (warped[:, 1] > 0.99) & (z > 0)
        sums = _box(torch.cat([seen, seen**2, seen * self._gray]), self._settings.window)
        mean, square, product = sums[:count], sums[count : 2 * count], sums[2 * count :]
        noise = self._settings.noise**2
        variance = (square - mean**2).clamp(min=0)
        correlation = (product - mean * self._mean) / (
            (variance + noise) * (self._variance.clamp(min=0) + noise)
        ).sqrt()
        return torch.where(shown, 1 - correlation, torch.full_like(correlation, UNSEEN))


def _planes(coarse: _Comparison, nearest: float, furthest: float, settings: SweepSettings) -> Tensor:
    """Inverse depths, rising, about one pixel apart in the source that sees them move most."""
    low, high = 1 / furthest, 1 / nearest
    count = int(min(max(coarse.reach() * (high - low), 12), settings.max_planes)) + 1
    return torch.linspace(low, high, count, device=coarse._gray.device)


def _aggregated(costs: Tensor, settings: SweepSettings) -> Tensor:
    """Semi-global matching over (K, H, W): the sum of four directions' cheapest ways to each place."""
    costs = costs.clamp(max=2.0)
    rows = costs.permute(1, 2, 0).contiguous()  # (H, W, K)
    columns = costs.permute(2, 1, 0).contiguous()  # (W, H, K)
    down = _swept(rows, settings) + _swept(rows.flip(0), settings).flip(0)
    right = _swept(columns, settings) + _swept(columns.flip(0), settings).flip(0)
    return (down.permute(2, 0, 1) + right.permute(2, 1, 0)) / 4


def _swept(costs: Tensor, settings: SweepSettings) -> Tensor:
    """Cheapest ways along the first axis of (L, M, K)."""
    result = torch.empty_like(costs)
    before = result[0] = costs[0]
    for index in range(1, len(costs)):
        least = before.amin(dim=-1, keepdim=True)
        way = torch.minimum(before, least + settings.large_step)
        way[:, 1:] = torch.minimum(way[:, 1:], before[:, :-1] + settings.small_step)
        way[:, :-1] = torch.minimum(way[:, :-1], before[:, 1:] + settings.small_step)
        before = result[index] = costs[index] + way - least
    return result


def _best(costs: Tensor, values: Tensor) -> Tensor:
    """The cheapest of evenly spaced values (K,), between them by a parabola, (H, W)."""
    index = costs.argmin(dim=0).clamp(1, len(values) - 2)
    left, middle, right = (costs.gather(0, (index + step)[None])[0] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    shift = torch.where(bend > 1e-6, (left - right) / (2 * bend.clamp(min=1e-6)), torch.zeros_like(bend))
    return values[index] + shift.clamp(-1, 1) * (values[1] - values[0])


def _propagated(fine: _Comparison, inverse_depth: Tensor, reach: int = 3) -> Tensor:
    """Take over the depth of a place `reach` pixels aside where it fits better: edges are sharper than at half size."""
    padded = functional.pad(inverse_depth[None, None], (reach,) * 4, mode="replicate")[0, 0]
    height, width = fine.shape
    shifts = ((reach, reach), (0, reach), (2 * reach, reach), (reach, 0), (reach, 2 * reach))
    candidates = torch.stack([padded[row : row + height, column : column + width] for row, column in shifts])
    costs = fine.costs(candidates)
    costs[1:] += 0.02  # only where it is really better
    return candidates.gather(0, costs.argmin(dim=0)[None])[0]


def _flattened(inverse_depth: Tensor, weight: Tensor, step: float, window: int = 9, times: int = 2) -> Tensor:
    """Replace inverse depths by the plane around them where there is one: on a plane they are linear in pixels."""
    height, width = inverse_depth.shape
    y, x = torch.meshgrid(
        torch.arange(height, device=weight.device) - height / 2.0,
        torch.arange(width, device=weight.device) - width / 2.0,
        indexing="ij",
    )
    for _ in range(times):
        w = inverse_depth
        moments = torch.stack([torch.ones_like(x), x, y, w, x * x, x * y, y * y, x * w, y * w, w * w]) * weight
        total, *means = _box(moments, window)
        mx, my, mw, xx, xy, yy, xw, yw, ww = (mean / total for mean in means)
        xx, xy, yy = xx - mx * mx + 1e-3, xy - mx * my, yy - my * my + 1e-3
        xw, yw, ww = xw - mx * mw, yw - my * mw, ww - mw * mw
        determinant = xx * yy - xy * xy
        along_x, along_y = (yy * xw - xy * yw) / determinant, (xx * yw - xy * xw) / determinant
        spread = (ww - along_x * xw - along_y * yw).clamp(min=0).sqrt()
        plane = mw + along_x * (x - mx) + along_y * (y - my)
        flat = (spread < 0.5 * step) & ((plane - w).abs() < step)
        inverse_depth = torch.where(flat, plane, w)
    return inverse_depth


def _box(pictures: Tensor, window: int) -> Tensor:
    """Mean over a window around each pixel of (K, H, W)."""
    padded = functional.pad(pictures[:, None], (window // 2,) * 4, mode="replicate")
    return functional.avg_pool2d(functional.avg_pool2d(padded, (1, window), 1), (window, 1), 1)[:, 0]


def _halved(picture: Tensor) -> Tensor:
    return functional.avg_pool2d(picture[None, None], 2)[0, 0]


def _half_size(intrinsics: Tensor) -> Tensor:
    halved = intrinsics / 2
    halved[:2, 2] = (intrinsics[:2, 2] + 0.5) / 2 - 0.5
    halved[2, 2] = 1.0
    return halved


def _doubled(coarse: Tensor, shape: torch.Size) -> Tensor:
    return functional.interpolate(coarse[None, None], size=tuple(shape), mode="bilinear", align_corners=False)[0, 0]
