"""The scripted expert of pick-and-place: the right hand carries the object over the box and lets it go there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.simulation.tasks.interface import ObjectState
from firsthand.simulation.tasks.pick_place import BOX
from firsthand_training.demonstrations.actor import RIGHT, Actor
from firsthand_training.demonstrations.moving_hands import MovingHands
from firsthand_training.demonstrations.transfer import Place, Transfer, TransferManner

Array = NDArray[np.floating]

BELOW_WALLS = 0.012  # [m], of the base of the object when it is let go: the hand stays above them
MARGIN = 0.02  # [m], over the walls on the way, beside what every hand lifts
INSIDE = 0.075  # [m], from the middle of the box


@dataclass(frozen=True)
class Manner:
    """How this expert moves; drawn from its seed."""

    transfer: TransferManner
    aim: tuple[float, float]  # [m], world x and y, off the middle of the box
    retreat: tuple[float, float, float]  # [m], world
    patience: float  # [s] before it starts
    sway: tuple[float, float]  # [m], [Hz], of the resting left hand

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Manner":
        """One person's manner of doing it."""
        return cls(
            transfer=TransferManner.draw(rng),
            aim=(float(rng.uniform(-0.015, 0.015)), float(rng.uniform(-0.02, 0.005))),
            retreat=(float(rng.uniform(0.30, 0.36)), float(rng.uniform(-0.30, -0.22)), float(rng.uniform(1.04, 1.08))),
            patience=float(rng.uniform(0.08, 0.32)),
            sway=(float(rng.uniform(0.002, 0.006)), float(rng.uniform(0.15, 0.3))),
        )


class PickPlaceExpert:
    """Puts the object of an actor's scene into its box with the right hand; make one per trial."""

    def __init__(self, actor: Actor, seed: int) -> None:
        self._actor = actor
        self._manner = Manner.draw(np.random.default_rng([seed, 0x91CC]))
        self._thing, self._box = actor.setup.objects
        self._hands = MovingHands(actor, ("tripod", "tripod"), RIGHT, self._manner.sway, steady=True)
        self._transfer = Transfer(
            self._hands[RIGHT],
            RIGHT,
            self._place(actor.objects()[BOX]),
            self._manner.transfer,
            self._manner.patience,
        )

    @property
    def phase(self) -> str:
        """One of those of `transfer.py`."""
        return self._transfer.phase

    def act(self) -> Array:
        """The hand state (54,) that the hands shall reach by the end of the coming 25 Hz step."""
        self._hands.measure()
        objects = self._actor.objects()
        self._transfer.place = self._place(objects[BOX])
        move = self._transfer.move(objects[self._thing.name])
        return self._hands.step({} if move is None else {RIGHT: move})

    def _place(self, box: ObjectState) -> Place:
        """Over the middle of the box, wherever it has been pushed to."""
        walls = box.position[2] + self._box.height
        middle = box.position[:2] + self._manner.aim
        return Place(
            position=np.array([*middle, walls - BELOW_WALLS]),
            tolerance=INSIDE,
            clear=walls + MARGIN + self._manner.transfer.lift,
            retreat=np.array(self._manner.retreat),
        )
