"""What a check found: in order, doubtful, broken, or not looked at; and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    level: Level
    what: str  # the thing looked at: a package, an interface, a topic
    found: str
    advice: str = ""  # what to do; empty where all is well


def ok(what: str, found: str) -> Finding:
    """All is well."""
    return Finding("ok", what, found)


def warn(what: str, found: str, advice: str) -> Finding:
    """It may work, but not as well."""
    return Finding("warn", what, found, advice)


def fail(what: str, found: str, advice: str) -> Finding:
    """It will not work."""
    return Finding("fail", what, found, advice)


def skip(what: str, why: str, advice: str) -> Finding:
    """Not looked at."""
    return Finding("skip", what, why, advice)


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level, `ok` of none."""
    order: tuple[Level, ...] = ("skip", "ok", "warn", "fail")
    return max((finding.level for finding in findings), key=order.index, default="ok")
