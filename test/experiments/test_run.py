import json
import os
import signal
import subprocess
import sys
import time

import pytest

from firsthand.errors import FirsthandError
from firsthand_training.experiments.plan import Step
from firsthand_training.experiments.provenance import code_version
from firsthand_training.experiments.run import _alone_at, _ended_gently, carry_out

WRITER = """
import json, pathlib, sys, time
kind, path = sys.argv[1:]
if kind == "fail":
    sys.exit(3)
if kind == "slow":  # saves what it has when it is asked to stop
    pathlib.Path(path + ".begun").touch()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pathlib.Path(path).write_text(json.dumps({"complete": False}))
        sys.exit(130)
if kind == "write":
    pathlib.Path(path).write_text(json.dumps({"complete": True}))
"""
PROGRAM = (sys.executable, "-c", WRITER)
SOON = 4 / 60  # [min], when a command has begun on a busy machine too


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def step(path, *kinds, needs=()):
    return Step(path.stem, tuple((kind, str(path)) for kind in kinds), path, needs)


def test_steps_run_in_order_and_what_is_done_is_not_run_again(folder, capsys):
    done, new = folder / "done.json", folder / "new.json"
    done.write_text('{"complete": true}')
    assert carry_out([step(done, "fail"), step(new, "pass", "write")], folder / "locks", program=PROGRAM)
    assert json.loads(new.read_text())["complete"]
    assert "[2/2] new" in capsys.readouterr().out


def test_what_was_finished_is_noted_once(folder):
    steps, history = [step(folder / "a.json", "write"), step(folder / "b.json", "fail")], folder / "steps.jsonl"
    for _ in range(2):
        with pytest.raises(FirsthandError):
            carry_out(steps, folder / "locks", program=PROGRAM, history=history)
    (noted,) = map(json.loads, history.read_text().splitlines())
    assert noted == {"step": "a", "code": code_version(), "commands": [["write", str(folder / "a.json")]]}


def test_a_failure_ends_nothing_but_what_needs_it(folder):
    bad, after, other = folder / "bad.json", folder / "after.json", folder / "other.json"
    steps = [step(bad, "fail"), step(after, "write", needs=(bad,)), step(other, "write")]
    with pytest.raises(FirsthandError, match="bad failed: exit status 3 of firsthand-lab fail"):
        carry_out(steps, folder / "locks", program=PROGRAM)
    assert other.exists()
    assert not after.exists()


def test_a_step_without_its_product_is_no_success(folder):
    with pytest.raises(FirsthandError, match="ended well without"):
        carry_out([step(folder / "a.json", "pass")], folder / "locks", program=PROGRAM)


def test_at_the_deadline_the_running_command_saves_what_it_has(folder):
    unfinished, never = folder / "a.json", folder / "b.json"
    begun = time.monotonic()
    assert not carry_out(
        [step(unfinished, "slow"), step(never, "write")], folder / "locks", minutes=SOON, program=PROGRAM
    )
    assert time.monotonic() - begun < 30
    assert json.loads(unfinished.read_text()) == {"complete": False}
    assert not never.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_nobody_is_left_at_work_when_the_connection_is_lost(folder, number):
    product = folder / "a.json"
    call = f"""
from pathlib import Path
from firsthand_training.experiments.plan import Step
from firsthand_training.experiments.run import carry_out
product = Path({str(product)!r})
carry_out([Step("a", (("slow", str(product)),), product)], product.parent / "locks", program={PROGRAM!r})
"""
    process = subprocess.Popen([sys.executable, "-c", call], stderr=subprocess.DEVNULL)
    while not (folder / "a.json.begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, number)
    assert process.wait(30) != 0
    assert json.loads(product.read_text()) == {"complete": False}


def test_what_is_started_in_the_background_hears_the_deadline_too(folder):
    """Shells have background processes ignore SIGINT; a command that inherited that would be killed, not stopped."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        carry_out([step(folder / "a.json", "slow")], folder / "locks", minutes=SOON, program=PROGRAM)
    finally:
        signal.signal(signal.SIGINT, before)
    assert json.loads((folder / "a.json").read_text()) == {"complete": False}


def test_under_nohup_a_lost_terminal_ends_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with _ended_gently():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_another_call_is_at_is_left_to_it(folder):
    with _alone_at(step(folder / "a.json"), folder / "locks"):
        assert not carry_out([step(folder / "a.json", "write")], folder / "locks", program=PROGRAM)
    assert not (folder / "a.json").exists()
    assert carry_out([step(folder / "a.json", "write")], folder / "locks", program=PROGRAM)


def test_results_of_an_interrupted_evaluation_are_not_done(folder):
    path = folder / "a.json"
    path.write_text('{"complete": false}')
    assert not step(path).done
    path.write_text("half a fi")
    assert not step(path).done
