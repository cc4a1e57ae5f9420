"""Who comes first where the processor is short."""

import json
import os
import subprocess
import sys

import pytest

from firsthand.realtime import GREED, take_precedence

linux_only = pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="Linux only")


def run(code):
    """The outcome of some code in a process of its own: precedence must not stay with the tests."""
    head = "import json, os\nfrom firsthand.realtime import *\n"
    done = subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_no_priority_is_not_asked_for():
    assert not take_precedence(0)


@linux_only
def test_a_larger_share_is_taken_or_the_process_goes_on_without():
    granted, niceness = run("before = os.nice(0)\nprint(json.dumps([take_more_time(), os.nice(0) - before]))")
    assert niceness == GREED if granted else niceness in (0, GREED)


@linux_only
def test_a_looker_on_gives_up_what_it_inherited():
    scheduled, niceness = run(
        "take_precedence(20)\nbefore = os.nice(0)\nstand_back(5)\n"
        "print(json.dumps([os.sched_getscheduler(0) == os.SCHED_OTHER, os.nice(0) - before]))"
    )
    assert scheduled
    assert niceness == 5 or os.nice(0) + 5 > 19
