"""`firsthand-lab experiment`: one command for each table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from firsthand.errors import FirsthandError
from firsthand_training.experiments.plan import claim, plan
from firsthand_training.experiments.provenance import HISTORY
from firsthand_training.experiments.report import write_report
from firsthand_training.experiments.run import carry_out, shown
from firsthand_training.experiments.scales import SCALES
from firsthand_training.experiments.tables import find_table


@dataclass(frozen=True)
class Experiment:
    """Reproduce a table of the paper in simulation: demonstrations, training and trials of every row, then the report.

    Whatever exists is kept: stop it whenever you like, the same call goes on. Tables share what they have in common.
    """

    table: tyro.conf.Positional[str]
    """table1, table2, baselines or ablations."""
    output: Path
    """Folder of the work; one for each scale."""
    scale: str = "cpu"
    """cpu: two cores, some nights. medium: a data-centre GPU, an afternoon. gpu: the same, for days. smoke: shows that
    every part runs, and nothing else."""
    report: Path | None = None
    """Folder for the page, the figure and the numbers; else `report` in the output."""
    minutes: float | None = None
    """Stop after so long; the same call goes on there."""
    only: tuple[str, ...] = ()
    """Only the steps with one of these in their names, and what they need: hat, ours/push, pick_place/ood, episodes."""
    more: bool = False
    """Also the rows that the paper does not have: HAT with our schedule in table1."""
    show: Annotated[bool, tyro.conf.arg(name="list")] = False
    """Run nothing; list every step, whether it is done, and its commands."""

    def run(self) -> None:
        """Print the page's path.

        Raises:
            KeyboardInterrupt: It was interrupted, or time was up; the report of what there is has been written.
        """
        table, scale = find_table(self.table), SCALES.get(self.scale)
        table = table.longer() if self.more else table
        if scale is None:
            raise FirsthandError(f"no scale {self.scale!r}; there are {', '.join(SCALES)}")
        steps = plan(table, scale, self.output, self.only)
        if self.show:
            for step in steps:
                print(f"[{'x' if step.done else ' '}] {step.name}", *map(shown, step.commands), sep="\n      ")
            return
        claim(self.output, scale)
        try:
            finished = carry_out(steps, self.output / "locks", self.minutes, history=self.output / HISTORY)
        finally:
            print(write_report(table, scale, self.output, self.report or self.output / "report"))
        if not finished:
            raise KeyboardInterrupt
