"""What a checkpoint looks at along a bag: its pictures are encoded again and the selected blocks drawn on them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.bags.contents import hand_trajectory, picture, stamp_ns
from firsthand.bags.read import Bag
from firsthand.errors import BagError
from firsthand.policy.attention import Blocks, draw_attention
from firsthand.policy.session import Policy
from firsthand.vision.encoders import open_encoder

Image = NDArray[np.uint8]
Array = NDArray[np.floating]

RIGHT_TOPIC = "right/color/rect/image/compressed"
STATE_TOPIC = "hand_state"


class Gaze:
    """Follows a bag beside its reader, from picture to picture.

    Args:
        bag: With pictures of both eyes and hand states; a reader of its own.
        checkpoint: A folder, or the name of a shipped one.
        every: Pictures from one look to the next; between them the last one is shown.
    """

    def __init__(self, bag: Bag, checkpoint: str, every: int = 2) -> None:
        self._policy = Policy.load(checkpoint)
        spec = self._policy.manifest.encoder
        self._encoder = open_encoder(spec.name, spec.image_size)
        self._blocks = Blocks.of(self._policy.manifest)
        self._rights = Following(_pictures(bag))
        self._states = Following(_hand_states(bag))
        self._every, self._count = every, 0
        self._drawn: Image | None = None

    def at(self, stamp: int, left: Image) -> Image:
        """The observation of a stamp, [ns], drawn as `draw_attention` does; stamps only rise.

        Raises:
            BagError: The bag has no other eye or no hand state for the first picture.
        """
        right, state = self._rights.at(stamp), self._states.at(stamp)
        if right is not None and right[0] == stamp and state is not None and self._count % self._every == 0:
            self._drawn = self._look(np.stack([left, right[1]]), state[1])
        self._count += 1
        if self._drawn is None:
            raise BagError(f"attention takes {RIGHT_TOPIC!r} with the stamps of the left eye, and {STATE_TOPIC!r}")
        return self._drawn

    def _look(self, images: Image, state: Array) -> Image:
        prediction = self._policy.act(self._encoder.encode(images), state)
        assert prediction.selected is not None  # there are blocks
        return draw_attention(images, prediction.selected, self._blocks)


class Following:
    """Stamped things in order, read on as far as a time asks for."""

    def __init__(self, things: Iterator[tuple[int, NDArray[Any]]]) -> None:
        self._things = things
        self._next = next(things, None)

    def at(self, stamp: int) -> tuple[int, NDArray[Any]] | None:
        """The first one of a time or later, [ns]; None after the last."""
        while self._next is not None and self._next[0] < stamp:
            self._next = next(self._things, None)
        return self._next


def _pictures(bag: Bag) -> Iterator[tuple[int, Image]]:
    for each in bag.messages([bag.find_topic(RIGHT_TOPIC)]):
        yield stamp_ns(each.message), picture(each.message)


def _hand_states(bag: Bag) -> Iterator[tuple[int, Array]]:
    for each in bag.messages([bag.find_topic(STATE_TOPIC)]):
        trajectory = hand_trajectory(each.message)
        yield trajectory.stamp_ns, trajectory.vectors[0]
