"""What a scene is drawn from, as one word: recordings carry it, so that a scene can be built again from it."""

from dataclasses import dataclass

from firsthand.errors import SimulationError


@dataclass(frozen=True)
class SceneName:
    """`task/variant/seed`."""

    task: str
    variant: str
    seed: int

    def __str__(self) -> str:
        return f"{self.task}/{self.variant}/{self.seed}"

    @classmethod
    def parse(cls, text: str) -> "SceneName":
        """Read `task/variant/seed`.

        Raises:
            SimulationError: It is none.
        """
        parts = text.split("/")
        if len(parts) != 3 or not parts[2].isdecimal():
            raise SimulationError(f"expected the name of a scene as task/variant/seed, got {text!r}")
        return cls(parts[0], parts[1], int(parts[2]))
