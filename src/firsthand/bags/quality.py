"""Whether a recording is a good episode: the report of its stamps and motion, held against limits.

`report.json` and `report.txt` beside the bag's file say it all; their last word is "good", or "flagged" and why.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from firsthand.bags.card import EpisodeCard, read_card
from firsthand.bags.motion import MotionReport, report_motion
from firsthand.bags.read import open_bag
from firsthand.bags.report import BagReport, TopicReport, report_bag
from firsthand.bags.storage import write_whole
from firsthand.errors import BagError

REPORT_JSON, REPORT_TEXT = "report.json", "report.txt"
PICTURES = "color/rect/image/compressed"
STREAMS = ("joint_states", "hand_state", "teleop/hands", "teleop/target", "motor_command")
"""Beside the pictures, what is expected to come steadily once it comes."""


@dataclass(frozen=True)
class QualityLimits:
    """Beyond these an episode is flagged.

    Raises:
        BagError: A limit is not a number, or below zero.
    """

    shortest: float = 1.0  # [s]
    camera_rate: float = 24.0  # [Hz], at least
    stream_rate: float = 20.0  # [Hz], at least, of joints, hands and targets
    pause: float = 0.15  # [s] without a picture or a message of a stream, in the middle or at an end
    skew: float = 5.0  # [ms] between the eyes
    delay: float = 250.0  # [ms] from capture to recording, 99 % of the pictures and messages
    dropped: float = 0  # messages lost by the recorder
    limited: float = 0.2  # part of the commands that the gate changed
    at_limit: float = 0.25  # part of the time that an arm joint was at its limit
    following: float = 0.2  # [rad] that a joint is off its command, 95 % of the time less
    stopped: float = 0.5  # [s] that the gate was stopped, damping or holding
    lost: float = 0.05  # part of the time that a hand was not tracked
    still: float = 3.0  # [s] of stillness at either end
    still_part: float = 0.6  # of the whole

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, (int, float)) or math.isnan(value) or value < 0:
                raise BagError(f"expected a limit {name} of 0 or more, got {value!r}")

    @classmethod
    def changed(cls, words: list[str]) -> "QualityLimits":
        """The limits with some of them given as `name=value`.

        Raises:
            BagError: There is no such limit, or it is no number.
        """
        values: dict[str, float] = {}
        for word in words:
            name, _, text = word.partition("=")
            if name not in {one.name for one in fields(cls)}:
                raise BagError(f"no limit {name!r}; there are {', '.join(one.name for one in fields(cls))}")
            try:
                values[name] = float(text)
            except ValueError as error:
                raise BagError(f"limit {name} is a number, got {text!r}; write {name}=0.5") from error
        return replace(cls(), **values)


@dataclass(frozen=True)
class EpisodeReport:
    """A bag as an episode."""

    card: EpisodeCard | None
    bag: BagReport
    motion: MotionReport
    flags: list[str]  # why the episode is in doubt, worst first

    @property
    def verdict(self) -> str:
        """One line."""
        return f"flagged: {'; '.join(self.flags)}" if self.flags else "good"

    def to_json(self) -> str:
        """The report for programs: that of the bag, and `card`, `motion`, `flags`."""
        card = None if self.card is None else asdict(self.card)
        own = {"card": card, "motion": asdict(self.motion), "flags": self.flags}
        return json.dumps(json.loads(self.bag.to_json()) | own, indent=1)

    def __str__(self) -> str:
        return "\n".join([str(self.bag), *_motion_lines(self.motion), *_card_lines(self.card), self.verdict])


def report_episode(
    bag: Path,
    limits: QualityLimits | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    show_progress: bool = False,
) -> EpisodeReport:
    """Judge one recording.

    Args:
        bag: A rosbag2 folder or an .mcap file.
        limits: Beyond which it is flagged.
        ranges: Limits of joints by name, [rad], for the arms.
        show_progress: Draw bars on stderr.

    Raises:
        BagError: There is no bag or it is damaged.
    """
    report = report_bag(bag, show_progress)
    with open_bag(bag, show_progress) as opened:
        motion = report_motion(opened, ranges)
    card = read_card(bag)
    return EpisodeReport(card, report, motion, list(_flags(report, motion, card, limits or QualityLimits())))


def save_report(report: EpisodeReport) -> Path:
    """Put a report into its bag's folder; returns the JSON file.

    Raises:
        BagError: The bag is a bare file, or the folder cannot be written.
    """
    folder = Path(report.bag.path)
    if not folder.is_dir():
        raise BagError(f"{folder} is no folder that could hold a report; use --json")
    try:
        write_whole(folder / REPORT_TEXT, f"{report}\n")
        write_whole(folder / REPORT_JSON, report.to_json() + "\n")
    except OSError as error:
        raise BagError(f"no report can be written into {folder}: {error.strerror}") from error
    return folder / REPORT_JSON


def _flags(report: BagReport, motion: MotionReport, card: EpisodeCard | None, limits: QualityLimits) -> Iterator[str]:
    if card is not None and card.problem:
        yield card.problem
    if report.dropped > limits.dropped:
        yield f"{report.dropped} messages dropped by the recorder"
    if report.duration_s < limits.shortest:
        yield f"only {report.duration_s:.1f} s long"
    yield from _picture_flags(report, limits)
    for name in STREAMS:
        for topic in _ending(report, f"/{name}"):
            if topic.count:
                yield from _stream_flags(topic, limits.stream_rate, report.duration_s, limits)
    yield from _motion_flags(motion, limits)


def _picture_flags(report: BagReport, limits: QualityLimits) -> Iterator[str]:
    cameras = _ending(report, PICTURES)
    for topic in cameras:
        if topic.count:
            yield from _stream_flags(topic, limits.camera_rate, report.duration_s, limits)
        else:
            yield f"no pictures on {topic.name}"
    if not cameras:
        yield "no pictures"
    for skew in report.skews:
        if skew.max_ms > limits.skew:
            yield f"the eyes are up to {skew.max_ms:.1f} ms apart"


def _stream_flags(topic: TopicReport, rate: float, duration: float, limits: QualityLimits) -> Iterator[str]:
    if topic.rate is None or topic.rate < rate:
        yield f"{topic.name} came at {topic.rate or 0:.1f} Hz, below {rate:g}"
    if topic.longest_ms is not None and topic.longest_ms > limits.pause * 1e3:
        yield f"{topic.name} paused for {topic.longest_ms / 1e3:.2f} s"
    if topic.first_s > limits.pause + 0.35:  # a recording begins while its subscriptions find their publishers
        yield f"{topic.name} began {topic.first_s:.2f} s late"
    if duration - topic.last_s > limits.pause:
        yield f"{topic.name} ended {duration - topic.last_s:.2f} s early"
    if topic.delay_p99_ms is not None and topic.delay_p99_ms > limits.delay:
        yield f"{topic.name} was recorded up to {topic.delay_p99_ms:.0f} ms after capture"
    if topic.backwards > topic.repeated:
        yield f"{topic.name} has {topic.backwards - topic.repeated} stamps that go back"


def _motion_flags(motion: MotionReport, limits: QualityLimits) -> Iterator[str]:
    m = motion
    if m.bad_messages:
        yield f"{m.bad_messages} messages could not be read"
    if m.limited_part is not None and m.limited_part > limits.limited:
        yield f"the gate changed {m.limited_part:.0%} of the commands"
    for joint, part in sorted(m.joints_at_limit.items(), key=lambda item: -item[1]):
        if part > limits.at_limit:
            yield f"{joint} was at its limit for {part:.0%} of the time"
    if m.following_p95 is not None and m.following_p95 > limits.following:
        yield f"joints were up to {m.following_p95:.2f} rad off their commands"
    for side, part in m.hands_lost.items():
        if part > limits.lost:
            yield f"the {side} hand was not tracked for {part:.0%} of the time"
    halted = sum(m.gate_s.get(state, 0.0) for state in ("stopped", "damping", "holding"))
    if halted > limits.stopped:
        yield f"the gate held or stopped the robot for {halted:.1f} s"
    if m.still_part is not None and m.still_part > limits.still_part:
        yield f"still for {m.still_part:.0%} of the time"
    for where, seconds in (("start", m.still_start_s), ("end", m.still_end_s)):
        if seconds is not None and seconds > limits.still:
            yield f"still for {seconds:.1f} s at the {where}"


def _motion_lines(m: MotionReport) -> Iterator[str]:
    if m.still_part is not None:
        yield f"still: {m.still_part:.0%}; {m.still_start_s:.1f} s at the start, {m.still_end_s:.1f} s at the end"
    if m.limited_part is not None:
        yield f"commands changed by the gate: {m.limited_part:.1%}"
    if m.following_p95 is not None:
        yield f"joints off their commands: 95% below {m.following_p95:.3f} rad"
    if m.joints_at_limit:
        parts = ", ".join(f"{name} {part:.0%}" for name, part in sorted(m.joints_at_limit.items()))
        yield f"at joint limits: {parts}"
    if m.hands_lost:
        yield "not tracked: " + ", ".join(f"{side} hand {part:.1%}" for side, part in m.hands_lost.items())
    if m.gate_s:
        yield "gate: " + ", ".join(f"{state} {seconds:.1f} s" for state, seconds in m.gate_s.items())


def _card_lines(card: EpisodeCard | None) -> Iterator[str]:
    if card is not None:
        yield f"task: {card.task or '(none said)'}; label: {card.label or '(none)'}"


def _ending(report: BagReport, suffix: str) -> list[TopicReport]:
    return [topic for topic in report.topics if topic.name.endswith(suffix)]
