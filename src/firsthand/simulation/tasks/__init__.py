"""The tasks by name."""

from firsthand.errors import SimulationError
from firsthand.simulation.tasks.interface import VARIANTS, Task
from firsthand.simulation.tasks.open_box import OpenBox
from firsthand.simulation.tasks.passing import Passing
from firsthand.simulation.tasks.pick_place import PickPlace
from firsthand.simulation.tasks.push import Push

TASKS: dict[str, Task] = {"push": Push(), "pick_place": PickPlace(), "passing": Passing(), "open_box": OpenBox()}


def find_task(name: str) -> Task:
    """The task of a name.

    Raises:
        SimulationError: There is none.
    """
    if name not in TASKS:
        raise SimulationError(f"no task {name!r}; there are {', '.join(TASKS)}")
    return TASKS[name]


def check_variant(variant: str) -> str:
    """Return `variant` if tasks come in it.

    Raises:
        SimulationError: They do not.
    """
    if variant not in VARIANTS:
        raise SimulationError(f"no variant {variant!r}; tasks come in {', '.join(VARIANTS)}")
    return variant
