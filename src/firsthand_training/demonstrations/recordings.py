"""A folder of recordings becomes a dataset: every bag converted once, every bag that cannot be with its reason.

`recordings.jsonl` in the dataset has a row for each; the last row on a bag counts. A call that was interrupted goes on
where it stopped: bags that are done are not read again, and an episode that was saved before its row was is found by
its first stamp. What failed is tried again.
"""

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tqdm import tqdm

from firsthand.bags.card import EpisodeCard, read_card
from firsthand.bags.find import find_bags
from firsthand.bags.quality import report_episode
from firsthand.errors import EpisodeError, FirsthandError
from firsthand_training.demonstrations.bag_conversion import BagConversion
from firsthand_training.demonstrations.from_bag import convert_bag
from firsthand_training.episodes.durable import write_text
from firsthand_training.episodes.layout import INFO_PATH
from firsthand_training.episodes.read import Episodes

ROWS = "recordings.jsonl"
Status = Literal["converted", "skipped", "failed"]


@dataclass(frozen=True)
class RecordingsSettings:
    """Which bags become which dataset."""

    output: Path  # of the dataset
    skip_labels: tuple[str, ...] = ("failure",)  # episodes labelled so are left out
    flagged: Literal["keep", "skip"] = "keep"  # episodes that their quality report flags
    conversion: Annotated[BagConversion, tyro.conf.arg(name="")] = field(
        default_factory=lambda: BagConversion(task="", gaps="split", quality=True)
    )
    """How each is read; its task is that of bags whose card says none."""


@dataclass(frozen=True)
class Row:
    """What became of a bag."""

    bag: str
    status: Status
    reason: str = ""  # why it was skipped or failed
    task: str = ""
    label: str = ""
    flags: tuple[str, ...] = ()  # of its quality report
    embodiment: str = ""
    episodes: tuple[int, ...] = ()
    frames: int = 0
    pairs: int = 0
    gaps: tuple[str, ...] = ()


def convert_recordings(paths: list[Path], settings: RecordingsSettings) -> list[Row]:
    """Append every bag among or below some paths to a dataset.

    Returns:
        A row for each.

    Raises:
        BagError: There are no bags.
        EpisodeError: The folder holds another dataset, or rows that are none.
    """
    if settings.output.resolve() in {path.resolve() for path in paths}:
        raise EpisodeError(f"{settings.output} holds the recordings; give another folder for the dataset")
    bags = find_bags(paths)
    known = read_rows(settings.output)
    there = _first_stamps(settings.output, known)
    rows = []
    for bag in tqdm(bags, desc="bags", unit="bag"):
        row = known.get(str(bag.resolve()))
        if row is None or row.status != "converted":
            row = _convert(bag, settings, there)
            _append(settings.output, row)
        rows.append(row)
    return rows


def read_rows(dataset: Path) -> dict[str, Row]:
    """The rows of a dataset by bag; a line that a crash cut short is passed over.

    Raises:
        EpisodeError: A line is of something else.
    """
    path = dataset / ROWS
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    rows: dict[str, Row] = {}
    for line in lines:
        if line.endswith("\n"):
            row = _row(line, path)
            rows[row.bag] = row
    return rows


def summary(rows: list[Row]) -> str:
    """What became of all bags, in a few lines."""
    converted = [row for row in rows if row.status == "converted"]
    episodes, frames = sum(len(row.episodes) for row in converted), sum(row.frames for row in converted)
    gaps = sum(len(row.gaps) for row in converted)
    lines = [f"{len(converted)} of {len(rows)} bags: {episodes} episodes, {frames} frames, cut at {gaps} gaps"]
    flagged = Counter(flag for row in converted for flag in row.flags)
    lines += [f"  flagged: {flag}" for flag, _ in flagged.most_common(5)]
    lines += [f"  {row.status}: {row.bag}: {row.reason}" for row in rows if row.reason]
    return "\n".join(lines)


def _convert(bag: Path, settings: RecordingsSettings, there: frozenset[int]) -> Row:
    """Convert one bag; whatever is wrong with it becomes a row."""
    row = Row(str(bag.resolve()), "failed")
    try:
        card = read_card(bag) or EpisodeCard()
        row = replace(row, task=card.task or settings.conversion.task, label=card.label)
        if card.label in settings.skip_labels:
            return replace(row, status="skipped", reason=f"labelled {card.label!r}")
        if not row.task:
            raise EpisodeError("no task in words: give --task, or label recordings while recording")
        row = replace(row, flags=tuple(report_episode(bag).flags))
        if row.flags and settings.flagged == "skip":
            return replace(row, status="skipped", reason=f"flagged: {'; '.join(row.flags)}")
        done = convert_bag(bag, settings.output, replace(settings.conversion, task=row.task), there=there)
    except FirsthandError as error:
        return replace(row, reason=str(error))
    return replace(
        row, status="converted", embodiment=done.embodiment, episodes=done.episodes, frames=done.frames,
        pairs=done.pairs, gaps=tuple(map(str, done.gaps)),
    )  # fmt: skip


def _first_stamps(dataset: Path, known: dict[str, Row]) -> frozenset[int]:
    """When the episodes begin that no row tells of: they were saved just before an interruption."""
    if not (dataset / INFO_PATH).is_file():
        return frozenset()
    episodes = Episodes.open(dataset)
    told = {index for row in known.values() for index in row.episodes}
    return frozenset(int(episodes.episode(i).stamp_ns[0]) for i in range(len(episodes)) if i not in told)


def _append(dataset: Path, row: Row) -> None:
    """Put a row on disk before the next bag is begun."""
    dataset.mkdir(parents=True, exist_ok=True)
    path = dataset / ROWS
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if text and not text.endswith("\n"):  # a crash cut the last line short
        write_text(path, text[: text.rfind("\n") + 1])
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(row)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _row(line: str, path: Path) -> Row:
    try:
        content: dict[str, Any] = json.loads(line)
        lists = {name: tuple(content.get(name, ())) for name in ("flags", "episodes", "gaps")}
        return Row(**(content | lists))
    except (ValueError, TypeError) as error:
        raise EpisodeError(f"{path} has a line that is no recording's: {line[:80]!r} ({error}); remove it") from error
