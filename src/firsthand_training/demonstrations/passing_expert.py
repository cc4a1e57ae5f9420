"""The scripted expert of passing: the right hand sets the object down in the middle, the left one takes it to the zone.

The left hand comes when the right one is out of its way. An object that comes to stand too far right, whoever lost it
there, is the right hand's again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firsthand.simulation.tasks.interface import ObjectState
from firsthand.simulation.tasks.judging import UPRIGHT
from firsthand.simulation.tasks.passing import ZONE_CENTER
from firsthand_training.demonstrations.actor import LEFT, RIGHT, Actor
from firsthand_training.demonstrations.moving_hands import MovingHands
from firsthand_training.demonstrations.transfer import Place, Transfer, TransferManner

Array = NDArray[np.floating]

NEAR_ENOUGH = (0.035, 0.05)  # [m], from where the left and the right hand were to set the object down
OUT_OF_THE_WAY = -0.12  # [m], world y of the right hand
TOO_FAR_RIGHT = -0.08  # [m], world y of an object that the left hand leaves to the right one


@dataclass(frozen=True)
class Manner:
    """How this expert moves; drawn from its seed."""

    transfers: tuple[TransferManner, TransferManner]  # of the left and the right hand
    middle: tuple[float, float]  # [m], world x and y, where the object changes hands
    end: tuple[float, float]  # [m], world x and y, where it is set down in the zone
    retreats: tuple[tuple[float, float, float], tuple[float, float, float]]  # [m], world, of the left and right hand
    patience: float  # [s] before it starts
    sway: tuple[float, float]  # [m], [Hz], of a resting hand

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Manner":
        """One person's manner of doing it."""
        return cls(
            transfers=(TransferManner.draw(rng), TransferManner.draw(rng)),
            middle=(float(rng.uniform(0.36, 0.41)), float(rng.uniform(-0.01, 0.03))),
            end=(ZONE_CENTER[0] + float(rng.uniform(-0.03, 0.02)), ZONE_CENTER[1] + float(rng.uniform(-0.02, 0.01))),
            retreats=(
                (float(rng.uniform(0.25, 0.29)), float(rng.uniform(0.36, 0.42)), float(rng.uniform(1.04, 1.08))),
                (float(rng.uniform(0.30, 0.36)), float(rng.uniform(-0.32, -0.25)), float(rng.uniform(1.04, 1.08))),
            ),
            patience=float(rng.uniform(0.08, 0.32)),
            sway=(float(rng.uniform(0.002, 0.006)), float(rng.uniform(0.15, 0.3))),
        )


class PassingExpert:
    """Passes the object of an actor's scene from right to left; make one per trial."""

    def __init__(self, actor: Actor, seed: int) -> None:
        self._actor = actor
        self._manner = Manner.draw(np.random.default_rng([seed, 0x9A55]))
        self._thing = actor.setup.objects[0]
        self._hands = MovingHands(actor, ("tripod", "tripod"), RIGHT, self._manner.sway, steady=True)
        self._side = RIGHT
        self._transfers = {RIGHT: self._transfer(RIGHT)}

    @property
    def phase(self) -> str:
        """The hand whose turn it is and its phase in `transfer.py`, for example `right lift`."""
        return f"{('left', 'right')[self._side]} {self._transfers[self._side].phase}"

    def act(self) -> Array:
        """The hand state (54,) that the hands shall reach by the end of the coming 25 Hz step."""
        self._hands.measure()
        thing = self._actor.objects()[self._thing.name]
        self._take_turns(thing)
        moves = {side: transfer.move(thing) for side, transfer in self._transfers.items()}
        return self._hands.step({side: move for side, move in moves.items() if move is not None})

    def _take_turns(self, thing: ObjectState) -> None:
        """Let the other hand begin when it is its turn; nobody takes up what has fallen over."""
        if thing.rotation[2, 2] < UPRIGHT:
            return
        transfer = self._transfers[self._side]
        if self._side == RIGHT:
            away = transfer.phase in ("retreat", "rest") and self._hands[RIGHT].position[1] < OUT_OF_THE_WAY
            begins = away and thing.position[1] > TOO_FAR_RIGHT
        else:
            begins = transfer.phase in ("retreat", "rest") and thing.position[1] < TOO_FAR_RIGHT
        if begins:
            transfer.watches = False
            self._side = LEFT if self._side == RIGHT else RIGHT
            self._transfers[self._side] = self._transfer(self._side)

    def _transfer(self, side: int) -> Transfer:
        manner, table = self._manner, self._actor.setup.table_height
        place = Place(
            position=np.array([*(manner.middle if side == RIGHT else manner.end), table]),
            tolerance=NEAR_ENOUGH[side],
            clear=table + manner.transfers[side].lift,
            retreat=np.array(manner.retreats[side]),
        )
        return Transfer(self._hands[side], side, place, manner.transfers[side], manner.patience)
