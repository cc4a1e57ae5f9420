import json
import sys
import time

import pytest

from firsthand.errors import FirsthandError
from firsthand_training.experiments.plan import Step
from firsthand_training.experiments.run import carry_out

WRITER = """
import json, pathlib, sys, time
kind, path = sys.argv[1:]
if kind == "fail":
    sys.exit(3)
if kind == "slow":  # saves what it has when it is asked to stop
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        pathlib.Path(path).write_text(json.dumps({"complete": False}))
        sys.exit(130)
if kind == "write":
    pathlib.Path(path).write_text(json.dumps({"complete": True}))
"""
PROGRAM = (sys.executable, "-c", WRITER)


def step(path, *kinds):
    return Step(path.stem, tuple((kind, str(path)) for kind in kinds), path)


def test_steps_run_in_order_and_what_is_done_is_not_run_again(tmp_path, capsys):
    done, new = tmp_path / "done.json", tmp_path / "new.json"
    done.write_text('{"complete": true}')
    assert carry_out([step(done, "fail"), step(new, "pass", "write")], program=PROGRAM)
    assert json.loads(new.read_text())["complete"]
    assert "[2/2] new" in capsys.readouterr().out


def test_a_command_that_fails_is_named(tmp_path):
    with pytest.raises(FirsthandError, match=r"exit status 3: firsthand-lab fail"):
        carry_out([step(tmp_path / "a.json", "fail")], program=PROGRAM)


def test_a_step_without_its_product_is_no_success(tmp_path):
    with pytest.raises(FirsthandError, match="ended well without"):
        carry_out([step(tmp_path / "a.json", "pass")], program=PROGRAM)


def test_at_the_deadline_the_running_command_saves_what_it_has(tmp_path):
    unfinished, never = tmp_path / "a.json", tmp_path / "b.json"
    begun = time.monotonic()
    assert not carry_out([step(unfinished, "slow"), step(never, "write")], minutes=1.5 / 60, program=PROGRAM)
    assert time.monotonic() - begun < 30
    assert json.loads(unfinished.read_text()) == {"complete": False}
    assert not never.exists()


def test_results_of_an_interrupted_evaluation_are_not_done(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"complete": false}')
    assert not step(path).done
    path.write_text("half a fi")
    assert not step(path).done
