"""Reports on recordings as a page that stands alone: what was recorded when, and what is wrong with it."""

import html
import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from firsthand.bags.quality import EpisodeReport
from firsthand.bags.report import TopicReport
from firsthand.bags.storage import write_whole

STYLE = """body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
body { color: #222 }
table { border-collapse: collapse; width: 100% } td, th { padding: .1rem .6rem .1rem 0; text-align: right }
td:first-child, th:first-child { text-align: left } th { font-weight: 600; color: #666 }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2.2rem } .flag { color: #a33 } .good { color: #2a7a3a }
svg { display: block } .note { color: #666 }"""
BAR = (300, 14)  # width and height of a topic's timeline, [px]
SILENCE = 3.0  # periods
EMPTY, FULL = "#d9534f", "#4a90b8"


def write_page(reports: Sequence[EpisodeReport | tuple[Path, str]], output: Path) -> Path:
    """Write an .html file.

    Args:
        reports: Of each bag, or its path and why it cannot be read.
        output: The file; replaced at once.
    """
    rows = "".join(_row(report) for report in reports)
    parts = "".join(_section(report) for report in reports if isinstance(report, EpisodeReport))
    head = "<tr><th>recording</th><th>task</th><th>label</th><th>s</th><th>MB</th><th>verdict</th></tr>"
    body = f"<h1>{len(reports)} recordings</h1><table>{head}{rows}</table>{parts}"
    write_whole(
        output,
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>recordings</title>'
        f"<style>{STYLE}</style><body>{body}</body></html>\n",
    )
    return output


def _row(report: EpisodeReport | tuple[Path, str]) -> str:
    if not isinstance(report, EpisodeReport):
        path, reason = report
        return f'<tr><td>{_text(path.name)}</td><td colspan="4"></td><td class="flag">{_text(reason)}</td></tr>'
    name, card = Path(report.bag.path).name, report.card
    said = (card.task, card.label) if card is not None else ("", "")
    cells = [*map(_text, said), f"{report.bag.duration_s:.1f}", f"{report.bag.bytes / 1e6:.1f}"]
    kind = "flag" if report.flags else "good"
    verdict = f'<td class="{kind}">{_text(report.verdict)}</td>'
    link = f'<a href="#{_text(name)}">{_text(name)}</a>'
    return f"<tr><td>{link}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}{verdict}</tr>"


def _section(report: EpisodeReport) -> str:
    name = Path(report.bag.path).name
    flags = "".join(f'<p class="flag">{_text(flag)}</p>' for flag in report.flags)
    head = "<tr><th>topic</th><th>count</th><th>Hz</th><th>longest [ms]</th><th>gaps</th><th>delay p99 [ms]</th>"
    head += "<th>dropped</th><th>from start to end</th></tr>"
    rows = "".join(_topic(topic, report.bag.duration_s) for topic in report.bag.topics)
    lines = "".join(
        f"<p class=note>{_text(line)}</p>" for line in str(report).splitlines()[len(report.bag.topics) + 3 :]
    )
    return f'<h2 id="{_text(name)}">{_text(name)}</h2>{flags}<table>{head}{rows}</table>{lines}'


def _topic(topic: TopicReport, duration: float) -> str:
    numbers = (topic.rate, topic.longest_ms, topic.gaps, topic.delay_p99_ms, topic.dropped)
    cells = [str(topic.count), *(_number(number) for number in numbers)]
    columns = "".join(f"<td>{cell}</td>" for cell in [_text(topic.name), *cells, _timeline(topic, duration)])
    return f"<tr>{columns}</tr>"


def _timeline(topic: TopicReport, duration: float) -> str:
    """A strip from left to right: tall where messages came, red where they stayed away for longer than they do."""
    width, height = BAR
    most = max(topic.timeline, default=0)
    if most == 0:
        return ""
    step = width / len(topic.timeline)
    bars = []
    for first, last, empty in _stretches(topic.timeline):
        if empty and (last - first) * duration / len(topic.timeline) * 1e3 > SILENCE * (topic.period_ms or math.inf):
            bars.append(_bar(first * step, (last - first) * step, height, EMPTY))
        elif not empty:
            tall = [max(2.0, height * count / most) for count in topic.timeline[first:last]]
            bars += [_bar((first + i) * step, step, part, FULL) for i, part in enumerate(tall)]
    return f'<svg width="{width}" height="{height}">{"".join(bars)}</svg>'


def _stretches(counts: list[int]) -> Iterator[tuple[int, int, bool]]:
    """Begin, end and emptiness of the stretches in which all or none of the counts are zero."""
    first = 0
    for empty, group in groupby(counts, key=lambda count: count == 0):
        last = first + len(list(group))
        yield first, last, empty
        first = last


def _bar(x: float, width: float, tall: float, color: str) -> str:
    y = BAR[1] - tall
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:.1f}" fill="{color}"/>'


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.1f}"


def _text(text: object) -> str:
    return html.escape(str(text))
