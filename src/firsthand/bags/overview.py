"""Reports on one recording or many: printed, kept beside the bags, or on one page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from firsthand.bags.find import find_bags
from firsthand.bags.page import write_page
from firsthand.bags.quality import EpisodeReport, QualityLimits, report_episode, save_report
from firsthand.errors import BagError


def report_recordings(
    paths: Sequence[Path],
    limits: QualityLimits | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    json_file: Path | None = None,
    page: Path | None = None,
    save: bool = False,
) -> None:
    """Judge every bag among or below some paths; one alone is reported in full, of several each gets a line.

    Args:
        paths: Bags, or folders of them.
        limits: Beyond which an episode is flagged.
        ranges: Limits of joints by name, [rad].
        json_file: Gets the numbers: an object of one bag, a list of several.
        page: Gets a page for people.
        save: Whether each bag keeps its report.

    Raises:
        BagError: There is none, the only one cannot be read, or a report cannot be written.
    """
    bags = find_bags(paths)
    several = len(bags) > 1
    reports: list[EpisodeReport | tuple[Path, str]] = []
    for bag in tqdm(bags, desc="recordings", unit="bag", disable=not several):
        try:
            reports.append(report_episode(bag, limits, ranges, show_progress=True))
        except BagError as error:
            if not several:
                raise
            reports.append((bag, str(error)))
    good = [report for report in reports if isinstance(report, EpisodeReport)]
    if save:
        for report in good:
            save_report(report)
    if json_file is not None:
        content = [json.loads(report.to_json()) for report in good]
        json_file.write_text(json.dumps(content if several else content[0], indent=2) + "\n", encoding="utf-8")
    if several:
        print("\n".join(_line(report) for report in reports))
    else:
        print(good[0])
    if page is not None:
        print(write_page(reports, page))


def _line(report: EpisodeReport | tuple[Path, str]) -> str:
    if not isinstance(report, EpisodeReport):
        return f"{report[0]}: unreadable: {report[1]}"
    card = report.card
    said = f", {card.task}, {card.label or 'no label'}" if card is not None and card.task else ""
    return f"{report.bag.path}: {report.bag.duration_s:.1f} s{said}: {report.verdict}"
