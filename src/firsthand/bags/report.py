"""What a recording is worth: rates, gaps, jitter, delays, left-to-right skew and drops, from the stamps alone.

Of a simulation it also tells how the trials went.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firsthand.bags.message_types import starts_with_header
from firsthand.bags.read import Bag, TopicInfo, open_bag

SECOND = 1e9  # [ns]
GAP = 2.5
"""A period this many times the median one is a gap."""

TIMELINE = 100
"""Parts of a bag for which messages are counted."""

STATUS, STATUS_TYPE = "simulation/status", "diagnostic_msgs/msg/DiagnosticArray"

Stamps = NDArray[np.int64]


@dataclass(frozen=True)
class TopicReport:
    """How one topic came in. Times are between capture stamps where messages have them, else between arrivals."""

    name: str
    type: str
    count: int
    bytes: int
    dropped: int  # by the recorder
    rate: float | None  # [Hz], over the topic's own span
    period_ms: float | None  # median
    jitter_ms: float | None  # 99th percentile of |period - median|
    longest_ms: float | None  # longest period
    gaps: int  # periods above GAP medians
    backwards: int  # stamps not later than the one before
    repeated: int  # of them, equal to it: a simulation that waits says the same again
    delay_ms: float | None  # median of arrival - capture
    delay_p99_ms: float | None
    first_s: float  # arrival of the first message, after the bag's first; 0 if there is none
    last_s: float  # of the last
    timeline: list[int]  # how many arrived in each of TIMELINE equal parts of the bag


@dataclass(frozen=True)
class SkewReport:
    """How far apart the two pictures of a pair were taken."""

    left: str
    right: str
    pairs: int  # left pictures with a right one within half a period
    unpaired: int  # pictures of either side without the other
    max_ms: float


@dataclass(frozen=True)
class TrialReport:
    """What the simulation said of one trial, last."""

    scene: str  # task/variant/seed
    success: bool
    seconds: float  # simulated: until success was first said, or until the last word
    progress: float  # 0 to 1

    def __str__(self) -> str:
        how = "success" if self.success else f"no success, {self.progress:.0%} of the way"
        return f"trial {self.scene}: {how} after {self.seconds:.1f} s"


@dataclass(frozen=True)
class BagReport:
    """Everything that the stamps of a bag tell, and the outcomes of its trials."""

    path: str
    duration_s: float
    messages: int
    bytes: int  # on disk
    topics: list[TopicReport]
    skews: list[SkewReport] = field(default_factory=list)
    trials: list[TrialReport] = field(default_factory=list)

    @property
    def dropped(self) -> int:
        """Messages that the recorder lost, on all topics."""
        return sum(topic.dropped for topic in self.topics)

    def to_json(self) -> str:
        """The report for programs."""
        return json.dumps(asdict(self) | {"dropped": self.dropped}, indent=2)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def report_bag(path: Path | str, show_progress: bool = False) -> BagReport:
    """Read every message's stamps.

    Args:
        path: A rosbag2 folder or an .mcap file.
        show_progress: Draw bars on stderr.

    Raises:
        BagError: There is no bag or it is damaged.
    """
    with open_bag(path, show_progress) as bag:
        stamps = _Stamps(bag)
        reports = [stamps.report(bag.topics[name]) for name in sorted(bag.topics)]
        skews = [stamps.skew(left, right) for left, right in _stereo_pairs(bag)]
        duration = (bag.end_ns - bag.start_ns) / SECOND
        return BagReport(str(path), duration, bag.message_count, bag.bytes, reports, skews, _trials(bag))


class _Stamps:
    """Arrival and capture times of every message, by topic."""

    def __init__(self, bag: Bag) -> None:
        self._arrivals: dict[str, list[int]] = {name: [] for name in bag.topics}
        self._captures: dict[str, list[int]] = {name: [] for name in bag.topics}
        self._bytes = dict.fromkeys(bag.topics, 0)
        self._span = (bag.start_ns, bag.end_ns)
        stamped = {info.name for info in bag.topics.values() if starts_with_header(info.type, bag.typestore)}
        for raw in bag.raw_messages():
            self._arrivals[raw.topic].append(raw.stamp_ns)
            self._bytes[raw.topic] += len(raw.data)
            if raw.topic in stamped:
                self._captures[raw.topic].append(bag.header_stamp_ns(raw) or 0)

    def captured(self, topic: str) -> Stamps | None:
        """Capture times, or None where a message lacks one."""
        stamps = np.array(self._captures[topic], dtype=np.int64)
        return stamps if len(stamps) and stamps.all() else None

    def report(self, info: TopicInfo) -> TopicReport:
        arrivals = np.array(self._arrivals[info.name], dtype=np.int64)
        captures = self.captured(info.name)
        delays = None if captures is None else (arrivals - captures) / 1e6
        return TopicReport(
            name=info.name,
            type=info.type,
            count=len(arrivals),
            bytes=self._bytes[info.name],
            dropped=info.dropped,
            **_timing(arrivals if captures is None else captures),
            delay_ms=None if delays is None else float(np.median(delays)),
            delay_p99_ms=None if delays is None else float(np.percentile(delays, 99)),
            **_timeline(arrivals, *self._span),
        )

    def skew(self, left: str, right: str) -> SkewReport:
        first, second = self.captured(left), self.captured(right)
        if first is None or second is None:
            return SkewReport(left, right, 0, len(self._arrivals[left]) + len(self._arrivals[right]), 0.0)
        return _skew(left, right, np.sort(first), np.sort(second))


def _timing(stamps: Stamps) -> dict[str, Any]:
    periods = np.diff(stamps) / 1e6  # [ms]
    if len(periods) == 0:
        return dict.fromkeys(("rate", "period_ms", "jitter_ms", "longest_ms")) | {
            "gaps": 0,
            "backwards": 0,
            "repeated": 0,
        }
    median = float(np.median(periods))
    span = float(stamps.max() - stamps.min())
    return {
        "rate": len(periods) / span * SECOND if span > 0 else None,
        "period_ms": median,
        "jitter_ms": float(np.percentile(np.abs(periods - median), 99)),
        "longest_ms": float(periods.max()),
        "gaps": int((periods > GAP * median).sum()) if median > 0 else 0,
        "backwards": int((periods <= 0).sum()),
        "repeated": int((periods == 0).sum()),
    }


def _timeline(arrivals: Stamps, start_ns: int, end_ns: int) -> dict[str, Any]:
    if len(arrivals) == 0:
        return {"first_s": 0.0, "last_s": 0.0, "timeline": [0] * TIMELINE}
    counts, _ = np.histogram((arrivals - start_ns) / SECOND, TIMELINE, (0.0, max((end_ns - start_ns) / SECOND, 1e-9)))
    ends = (arrivals.min() - start_ns) / SECOND, (arrivals.max() - start_ns) / SECOND
    return {"first_s": float(ends[0]), "last_s": float(ends[1]), "timeline": counts.tolist()}


def _skew(left: str, right: str, first: Stamps, second: Stamps) -> SkewReport:
    """Pair each left stamp with the nearest right one, no farther away than half a period."""
    period = np.median(np.diff(first)) if len(first) > 1 else SECOND
    after = np.clip(np.searchsorted(second, first), 1, max(len(second) - 1, 1))
    candidates = np.stack([second[np.minimum(after, len(second) - 1)], second[after - 1]])
    distances = np.abs(candidates - first).min(axis=0)
    paired = distances <= period / 2
    pairs = int(paired.sum())
    return SkewReport(
        left=left,
        right=right,
        pairs=pairs,
        unpaired=len(first) + len(second) - 2 * pairs,
        max_ms=float(distances[paired].max() / 1e6) if pairs else 0.0,
    )


def _stereo_pairs(bag: Bag) -> Iterator[tuple[str, str]]:
    """Image topics that differ in `left` and `right` only."""
    for name, info in sorted(bag.topics.items()):
        other = name.replace("left/", "right/")
        if "Image" in info.type and other != name and other in bag.topics:
            yield name, other


def _trials(bag: Bag) -> list[TrialReport]:
    """The trials in the order in which they were run."""
    topics = [name for name, info in bag.topics.items() if name.endswith(STATUS) and info.type == STATUS_TYPE]
    trials: list[TrialReport] = []
    for message in bag.messages(topics) if topics else ():
        values = {pair.key: pair.value for status in message.message.status for pair in status.values}
        try:
            said = TrialReport(
                scene=f"{values['task']}/{values['variant']}/{values['seed']}",
                success=values["success"] == "True",
                seconds=float(values["seconds"]),
                progress=float(values["progress"]),
            )
        except (KeyError, ValueError):
            continue  # somebody else's topic of that name
        if not trials or trials[-1].scene != said.scene:
            trials.append(said)
        elif not (trials[-1].success and said.success):
            trials[-1] = said
    return trials


def _lines(report: BagReport) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [
        ("topic", "count", "Hz", "period", "jitter", "longest", "gaps", "delay", "p99", "MB", "dropped")
    ]
    rows += [_row(topic) for topic in report.topics]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    yield f"{report.path}: {report.duration_s:.2f} s, {report.messages} messages, {report.bytes / 1e6:.1f} MB"
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells)
    yield "times in ms; jitter: 99% of periods are this close to the median; gap: a period above 2.5 medians"
    for skew in report.skews:
        yield f"{skew.left} to right: {skew.pairs} pairs, {skew.unpaired} unpaired, at most {skew.max_ms:.3f} ms apart"
    yield f"dropped by the recorder: {report.dropped}"
    yield from map(str, report.trials)


def _row(topic: TopicReport) -> tuple[str, ...]:
    return (
        topic.name,
        str(topic.count),
        _number(topic.rate, 2),
        _number(topic.period_ms, 2),
        _number(topic.jitter_ms, 2),
        _number(topic.longest_ms, 1),
        str(topic.gaps),
        _number(topic.delay_ms, 2),
        _number(topic.delay_p99_ms, 2),
        f"{topic.bytes / 1e6:.2f}",
        str(topic.dropped),
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
