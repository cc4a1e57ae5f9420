"""Tasks run side by side; what goes wrong in one is told, and touches no other."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from firsthand.errors import LabelError
from firsthand_training.labels.scale_out import run_locally, run_on_ray
from firsthand_training.labels.stage_files import load_clips


def outcomes(function, tasks, workers=2):
    return {outcome.task: outcome for outcome in run_locally(function, tasks, workers)}


def test_every_task_has_an_outcome():
    found = outcomes(abs, [-1, 2, -3], workers=2)
    assert {task: outcome.value for task, outcome in found.items()} == {-1: 1, 2: 2, -3: 3}
    assert all(not outcome.reason and outcome.memory_mib > 1 for outcome in found.values())


def test_a_task_that_fails_says_why_and_the_others_go_on(tmp_path):
    good = tmp_path / "clips.json"
    good.write_text('{"clips": [], "report": {}}')
    found = outcomes(load_clips, [tmp_path / "missing.json", good])
    assert "run trim_clips first" in found[tmp_path / "missing.json"].reason
    assert found[good].value == []


def test_an_unforeseen_error_is_told_with_its_place():
    found = outcomes(os.listdir, ["/nowhere/at/all"])
    assert "FileNotFoundError" in found["/nowhere/at/all"].reason


def test_a_process_that_dies_is_an_outcome():
    assert "exit status 3" in outcomes(os._exit, [3])[3].reason
    assert "SIGKILL (out of memory?)" in outcomes(signal.raise_signal, [signal.SIGKILL])[signal.SIGKILL].reason


def test_large_answers_pass():
    assert len(outcomes(bytes, [10_000_000])[10_000_000].value) == 10_000_000


def test_no_more_than_the_workers_run_at_once():
    began = time.monotonic()
    found = outcomes(time.sleep, [0.5, 0.5001], workers=1)
    assert len(found) == 2
    assert time.monotonic() - began > 1.0


def test_no_workers_are_refused():
    with pytest.raises(LabelError, match="at least one worker, got 0"):
        next(run_locally(abs, [1], 0))


def test_who_stops_listening_leaves_nobody_at_work():
    running = run_locally(time.sleep, [0.0, 600.0], 2)
    next(running)
    running.close()
    wait_for(lambda: not any(children(server) for server in children()))


def test_workers_end_with_a_parent_that_is_killed():
    program = (
        "import time; from firsthand_training.labels.scale_out import run_locally\n"
        "if __name__ == '__main__': list(run_locally(time.sleep, [600.0], 1))"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    workers = wait_for(lambda: [worker for server in children(parent.pid) for worker in children(server)])
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(alive(each) for each in workers))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_a_cluster_answers_the_same(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    found = {outcome.task: outcome for outcome in run_on_ray(load_clips, [tmp_path / "missing.json"])}
    assert "run trim_clips first" in found[tmp_path / "missing.json"].reason
    assert "on the cluster died" in next(run_on_ray(os._exit, [3])).reason


def children(of=None):
    path = Path(f"/proc/{of or os.getpid()}/task/{of or os.getpid()}/children")
    return [int(each) for each in path.read_text().split() if "resource_tracker" not in command(int(each))]


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().decode().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(pid):
    return bool(command(pid))


def wait_for(condition, timeout=30.0):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")
