import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("mujoco")

from firsthand.errors import CheckpointError, SimulationError
from firsthand.policy.checkpoint import find_checkpoint, load_manifest, write_manifest
from firsthand_training.command import main
from firsthand_training.evaluation import closed_loop
from firsthand_training.evaluation.closed_loop import (
    ClosedLoopReport,
    ClosedLoopSettings,
    Trial,
    evaluate_closed_loop,
    settle_task,
    simulated_task,
)

ONE = {"trials": 1, "workers": 1, "seed": 10_000}


def test_holding_still_moves_nothing():
    report = evaluate_closed_loop(ClosedLoopSettings(policy="hold", **ONE))
    (trial,) = report.trials
    assert not trial.success
    assert trial.progress < 0.05
    assert trial.seconds >= 10  # ran to the time limit


def test_the_expert_does_it_the_same_way_every_time():
    first, second = (evaluate_closed_loop(ClosedLoopSettings(policy="expert", **ONE)) for _ in range(2))
    assert first.trials == second.trials
    assert first.trials[0].success


def test_the_json_carries_rate_interval_and_every_trial(tmp_path, capsys):
    path = tmp_path / "a" / "result.json"
    arguments = ["--trials", "1", "--workers", "1", "--seed", "10000", "--json", str(path)]
    assert main(["evaluate", "--task", "push", "--variant", "id", "--policy", "expert", *arguments]) == 0
    result = json.loads(path.read_text())
    assert result["success_rate"] == 1.0
    assert result["trials"] == 1
    assert result["successes"] == [True]
    assert result["interval"] == pytest.approx([0.2065, 1.0], abs=1e-4)
    assert "1/1" in capsys.readouterr().out


def test_trials_are_counted():
    trials = tuple(Trial(i, i != 2, 1.0, 1.0, "box") for i in range(5))
    data = ClosedLoopReport(ClosedLoopSettings(), trials).to_json()
    assert data["success_rate"] == 0.8
    assert data["successes"] == [True, True, False, True, True]
    assert np.isclose(data["interval"], [0.3755, 0.9638], atol=1e-4).all()


def test_an_interrupted_evaluation_keeps_its_trials_and_goes_on(tmp_path, capsys, monkeypatch):
    """The trials themselves are stood in for: what counts here is which of them are run."""
    run, interruptions = [], [KeyboardInterrupt]

    def trial(_, seed):
        if seed == 3 and interruptions:
            raise interruptions.pop()
        run.append(seed)
        return Trial(seed, True, 1.0, 1.0, "box")

    monkeypatch.setattr(closed_loop, "_run_trial", trial)
    path = tmp_path / "result.json"
    call = ["evaluate", "--policy", "hold", "--trials", "5", "--seed", "0", "--workers", "1", "--json", str(path)]
    assert main(call) == 130
    assert json.loads(path.read_text())["trials"] == 3
    assert "2 of 5 trials are missing" in capsys.readouterr().out
    assert main(call) == 0
    assert run == [0, 1, 2, 3, 4]
    assert json.loads(path.read_text())["successes"] == [True] * 5
    assert main(call) == 0
    assert len(run) == 10  # a complete evaluation is made anew


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"task": "juggle"}, SimulationError, "no task 'juggle'; there are push"),
        ({"variant": "odd"}, SimulationError, "no variant 'odd'"),
        ({"policy": "/nowhere"}, CheckpointError, "no checkpoint at '/nowhere'"),
    ],
)
def test_what_cannot_be_evaluated_says_so(settings, error, message):
    with pytest.raises(error, match=message):
        evaluate_closed_loop(ClosedLoopSettings(**(ONE | settings)))


def test_the_command_fails_with_a_message(capsys):
    assert main(["evaluate", "--policy", "/nowhere", "--trials", "1"]) == 1
    assert "firsthand-lab: no checkpoint at '/nowhere'" in capsys.readouterr().err


@pytest.fixture
def pick_place(tmp_path):
    """The shipped policy, under another task's name."""
    folder = shutil.copytree(find_checkpoint("push"), tmp_path / "mine")
    write_manifest(folder, replace(load_manifest(folder), task="pick_place"))
    return folder


def test_a_policy_is_tried_on_the_task_that_it_was_trained_for(pick_place, capsys):
    assert settle_task(ClosedLoopSettings(policy=str(pick_place))).task == "pick_place"
    assert settle_task(ClosedLoopSettings(policy="expert")).task == "push"
    assert settle_task(ClosedLoopSettings(policy=str(pick_place), task="passing")).task == "passing"
    manifest = load_manifest(pick_place)
    assert simulated_task(manifest, "pick_place") == simulated_task(manifest) == "pick_place"
    assert capsys.readouterr().err == ""
    with pytest.raises(CheckpointError, match="'reach', which is not simulated; name one of push"):
        simulated_task(replace(manifest, task="reach"))


def test_trials_of_another_task_say_so(pick_place, capsys, monkeypatch):
    """The trial itself is stood in for."""
    monkeypatch.setattr(closed_loop, "_run_trial", lambda settings, seed: Trial(seed, True, 1.0, 1.0, settings.task))
    (trial,) = evaluate_closed_loop(ClosedLoopSettings(task="push", policy=str(pick_place), **ONE)).trials
    assert trial.object == "push"
    assert "was trained for pick_place, its trials are of push" in capsys.readouterr().err
