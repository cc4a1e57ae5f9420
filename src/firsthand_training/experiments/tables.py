"""What the paper compares (Tables I and II), as data.

Every row is a policy per task: its method, whether it was pretrained on egocentric video ("V. Data") and whether human
demonstrations were mixed into its training ("H. Data").
"""

from dataclasses import dataclass, replace

from firsthand.errors import FirsthandError

TASKS = ("open_box", "passing", "pick_place", "push")
"""In the order of the paper's columns."""


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    label: str
    method: str = "ours"  # a name in `methods.METHODS`
    video: float = 0.0  # share of the video episodes that it is pretrained on; 0: not pretrained
    human: bool = False  # co-trained with human demonstrations

    @property
    def key(self) -> str:
        """A folder name that tells rows apart; equal rows of two tables share it, and so their work."""
        video = f"-video{round(100 * self.video):d}" if self.video else ""
        return f"{self.method}{video}{'-human' if self.human else ''}"

    def __post_init__(self) -> None:
        """Refuse shares that mean nothing."""
        if not 0 <= self.video <= 1:
            raise ValueError(f"expected a share of the video in [0, 1], got {self.video}")


@dataclass(frozen=True)
class Table:
    """A comparison over all tasks, in distribution and out of it."""

    name: str
    title: str
    rows: tuple[Row, ...]
    baseline: int = 0
    """Number of the row that the others are compared with, trial by trial."""
    more: tuple[Row, ...] = ()
    """Rows that the paper does not have, and that are made when asked for."""

    def longer(self) -> "Table":
        """The table with all of its rows."""
        return replace(self, rows=(*self.rows, *self.more), more=())


TABLE_1 = Table(
    name="table1",
    title="Methods and data (paper, Table I)",
    rows=(
        Row("HAT", method="hat"),
        Row("Ours"),
        Row("Ours, human data", human=True),
        Row("Ours, video", video=1.0),
        Row("Ours, video, human data", video=1.0, human=True),
    ),
    more=(Row("HAT, our schedule", method="hat_our_schedule"),),
)
TABLE_2 = Table(
    name="table2",
    title="Share of the video used for pretraining (paper, Table II)",
    rows=(
        Row("0 %"),
        Row("10 %", video=0.1),
        Row("50 %", video=0.5),
        Row("100 %", video=1.0),
    ),
)
BASELINES = Table(
    name="baselines",
    title="Ours and the baselines on the same demonstrations",
    rows=(
        Row("HAT", method="hat"),
        Row("HAT, last decoder layer", method="hat_last_decoder"),
        Row("HAT, our schedule", method="hat_our_schedule"),
        Row("ACT", method="act"),
        Row("Ours"),
    ),
)
ABLATIONS = Table(
    name="ablations",
    title="What each part is worth",
    rows=(
        Row("Ours"),
        Row("Step-by-step AR", method="ours_step_ar"),
        Row("Dense attention", method="ours_dense"),
        Row("No dynamics loss", method="ours_no_dynamics"),
        Row("No regularisers", method="ours_no_regularizers"),
        Row("Mono", method="ours_mono"),
    ),
)
TABLES = {table.name: table for table in (TABLE_1, TABLE_2, BASELINES, ABLATIONS)}


def find_table(name: str) -> Table:
    """A table by name.

    Raises:
        FirsthandError: There is none of that name; the message lists those that exist.
    """
    if name not in TABLES:
        raise FirsthandError(f"no experiment {name!r}; there are {', '.join(TABLES)}")
    return TABLES[name]
