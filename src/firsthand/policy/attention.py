"""What the policy looked at: the blocks that its sparse attention selected, on the pictures that it saw.

Every head of every layer chooses k blocks for each action (paper, Appendix III-B), among those of the current frame
and of the predicted ones, in both views. A predicted frame has no picture; its blocks are shown on the current one.
"""

from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from firsthand.errors import CheckpointError, ImageError
from firsthand.policy.checkpoint import Manifest

Array = NDArray[np.floating]
Image = NDArray[np.uint8]

HEADS = ((64, 196, 255), (255, 150, 40), (120, 230, 120), (240, 120, 220), (250, 225, 90), (150, 130, 255))  # RGB
SHADE = 0.38  # brightness of what nobody looks at
SHARP = 4  # OpenCV draws at 1/16 of a pixel
MARGIN, STRIP_GAP, CAPTION = 8, 4, 30  # [px]
PAPER, INK, FAINT = (22, 24, 28), (235, 235, 235), (150, 154, 160)


@dataclass(frozen=True)
class Blocks:
    """Where each of the N blocks lies, in the order of the network's indices."""

    frames: NDArray[np.int64]  # (N,), 0 for the current one, then the T predicted ones
    views: NDArray[np.int64]  # (N,)
    boxes: Array  # (N, 4), top, left, bottom, right as fractions of the picture
    lead: float  # [s] from one predicted frame to the next

    @classmethod
    def of(cls, manifest: Manifest) -> "Blocks":
        """The blocks of a checkpoint's network: current patches view by view, then predicted ones frame by frame.

        Raises:
            CheckpointError: Its network has no sparse attention, or its manifest is older than the entry `blocks`.
        """
        spec = manifest.blocks
        if spec is None:
            raise CheckpointError(
                f"the manifest of {manifest.task!r} names no blocks that its network selects: it is of another kind, "
                "or was exported by an older firsthand; then `firsthand-lab export` its run again"
            )
        views, *grid, _ = manifest.encoder.feature_shape
        grids = [(0, view, *grid) for view in range(views)]
        for frame in range(1, manifest.predicted_frames + 1):
            grids += [(frame, view, *spec.pooled_grid) for view in range(views)]
        boxes = [_boxes(rows, columns, spec.block) for _, _, rows, columns in grids]
        counts = [len(each) for each in boxes]
        frames = np.repeat([grid[0] for grid in grids], counts)
        in_view = np.repeat([grid[1] for grid in grids], counts)
        return cls(frames, in_view, np.concatenate(boxes), manifest.stride / manifest.rate)

    def shares(self, selected: NDArray[np.integer]) -> Array:
        """How often each head selected each block, (heads, N), as a share of its queries in all layers.

        Args:
            selected: (layers, heads, H, k), from `Prediction`.

        Raises:
            CheckpointError: The indices are of another network.
        """
        if selected.ndim != 4 or selected.min() < 0 or selected.max() >= len(self.frames):
            raise CheckpointError(
                f"expected block indices (layers, heads, H, k) below {len(self.frames)}, got shape {selected.shape}"
            )
        layers, heads, queries, _ = selected.shape
        by_head = np.moveaxis(selected, 1, 0).reshape(heads, -1)
        counts = np.stack([np.bincount(row, minlength=len(self.frames)) for row in by_head])
        return counts / (layers * queries)


def draw_attention(images: Image, selected: NDArray[np.integer], blocks: Blocks) -> Image:
    """Draw what was looked at: lit where heads look, a dot for each head, as large as its share of the queries.

    Args:
        images: (views, H, W, 3) RGB, of the observation; a network of one view takes the first.
        selected: (layers, heads, H, k), from `Prediction`.
        blocks: Of the checkpoint.

    Returns:
        (H', W', 3): the views side by side, under each its predicted frames, and a legend.

    Raises:
        ImageError: Fewer views than the network has.
        CheckpointError: The indices are of another network.
    """
    shares = blocks.shares(selected)
    views = int(blocks.views.max()) + 1
    if images.ndim != 4 or len(images) < views:
        raise ImageError(f"expected {views} pictures of one size, got shape {images.shape}")
    panels = [_view(image, view, shares, blocks) for view, image in enumerate(images[:views])]
    gap = np.full((panels[0].shape[0], MARGIN, 3), PAPER, np.uint8)
    row = np.concatenate([part for panel in panels for part in (gap, panel)] + [gap], axis=1)
    return np.concatenate([row, _legend(row.shape[1], len(shares))], axis=0)


def _boxes(rows: int, columns: int, block: int) -> Array:
    """(blocks, 4), row by row; the last of a row or column is smaller where the grid does not divide."""
    found = []
    for row in range(ceil(rows / block)):
        for column in range(ceil(columns / block)):
            top, left = row * block, column * block
            bottom, right = min(top + block, rows), min(left + block, columns)
            found.append((top / rows, left / columns, bottom / rows, right / columns))
    return np.array(found)


def _view(image: Image, view: int, shares: Array, blocks: Blocks) -> Image:
    """One picture with its current blocks, and below it a strip of small ones for the predicted frames."""
    height, width = image.shape[:2]
    large = _frame(image, view, 0, shares, blocks)
    count = int(blocks.frames.max())
    if count == 0:
        return large
    small_width = (width - (count - 1) * STRIP_GAP) // count
    size = (small_width, round(small_width * height / width))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    strip = np.full((size[1] + CAPTION, width, 3), PAPER, np.uint8)
    for frame in range(1, count + 1):
        left = (frame - 1) * (small_width + STRIP_GAP)
        strip[STRIP_GAP : STRIP_GAP + size[1], left : left + small_width] = _frame(small, view, frame, shares, blocks)
        _write(strip, f"+{frame * blocks.lead:.2f} s", (left, STRIP_GAP + size[1] + 16), 0.4, FAINT)
    return np.concatenate([large, strip], axis=0)


def _frame(image: Image, view: int, frame: int, shares: Array, blocks: Blocks) -> Image:
    """A picture, lit by how much its blocks of one frame are looked at."""
    height, width = image.shape[:2]
    chosen = (blocks.views == view) & (blocks.frames == frame)
    corners = (blocks.boxes[chosen] * [height, width, height, width]).round().astype(int)
    of_heads = shares[:, chosen]  # (heads, blocks)
    strongest = max(float(shares.mean(0).max()), 1e-9)
    light = np.zeros((height, width), np.float32)
    for (top, left, bottom, right), share in zip(corners, of_heads.mean(0), strict=True):
        light[top:bottom, left:right] = np.sqrt(share / strongest)  # a root, so that rare looks show as well
    canvas = (image * (SHADE + (1 - SHADE) * light)[..., None]).astype(np.uint8)
    for box, share in zip(corners, of_heads.T, strict=True):
        _mark(canvas, box, share)
    return canvas


def _mark(canvas: Image, box: NDArray[np.integer], shares: Array) -> None:
    """A thin frame around a block that is looked at, and in it one dot for each head that looks."""
    top, left, bottom, right = (int(each) for each in box)
    looking = [head for head, share in enumerate(shares) if share > 0.02]
    if not looking:
        return
    cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), (205, 208, 212), 1)
    columns = min(len(shares), 4)
    cell = min((right - left) / columns, (bottom - top) / 2)
    for head in looking:
        x = (left + right) / 2 + cell * (head % columns - (columns - 1) / 2)
        y = bottom - cell * (0.6 + head // columns)
        radius = 0.42 * cell * np.sqrt(min(shares[head], 1.0))
        centre = (round(x * (1 << SHARP)), round(y * (1 << SHARP)))
        cv2.circle(canvas, centre, round((radius + 0.8) * (1 << SHARP)), PAPER, -1, cv2.LINE_AA, SHARP)
        cv2.circle(canvas, centre, round(radius * (1 << SHARP)), _color(head), -1, cv2.LINE_AA, SHARP)


def _legend(width: int, heads: int) -> Image:
    bar = np.full((CAPTION, width, 3), PAPER, np.uint8)
    x = MARGIN
    for head in range(heads):
        cv2.circle(bar, (x + 6, CAPTION // 2), 6, _color(head), -1, cv2.LINE_AA)
        x = _write(bar, f"head {head + 1}", (x + 18, CAPTION // 2 + 5), 0.45, INK) + 18
    _write(bar, "dot: share of the actions that look there; small: blocks of predicted frames", (x, 20), 0.45, FAINT)
    return bar


def _write(canvas: Image, text: str, where: tuple[int, int], size: float, color: tuple[int, int, int]) -> int:
    """Write, and say where the text ends, [px]."""
    cv2.putText(canvas, text, where, cv2.FONT_HERSHEY_SIMPLEX, size, color, 1, cv2.LINE_AA)
    return where[0] + int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0])


def _color(head: int) -> tuple[int, int, int]:
    return HEADS[head % len(HEADS)]
