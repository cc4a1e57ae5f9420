"""Runs that end too early go on as if nothing had happened; each is a process of its own, ended from outside."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from firsthand_training.training.interruption import Interruption
from firsthand_training.training.log import METRICS, Log
from firsthand_training.training.train import STATE
from firsthand_training.training.training_state import read_training_state

RUN = Path(__file__).with_name("small_run.py")


@pytest.fixture(scope="module")
def whole(small_run, tmp_path_factory):
    before = torch.get_num_threads()
    path = small_run(tmp_path_factory.mktemp("whole"))
    torch.set_num_threads(before)
    return path


def end_early(output, number):
    """Start the run, wait for some of it to be saved, and send a signal; returns the exit code."""
    process = subprocess.Popen([sys.executable, str(RUN), str(output)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (output / STATE).is_file() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(number)
    return process.wait(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_goes_on_bit_by_bit(number, whole, small_run, tmp_path):
    assert end_early(tmp_path, number) != 0
    reached = int(read_training_state(tmp_path / STATE)[1]["step"])
    assert 0 < reached < 24
    if number == signal.SIGKILL:
        assert reached % 5 == 0
        with (tmp_path / METRICS).open("a") as file:
            file.write('{"step": 23, "loss/total": 0.1}\n{"step": 2')  # what a kill may leave behind the last save
    resumed = small_run(tmp_path)
    assert (tmp_path / METRICS).read_text() == (whole.parent / METRICS).read_text()
    (expected, _), (found, _) = read_training_state(whole), read_training_state(resumed)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_the_first_ctrl_c_is_noted_and_the_second_acts():
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_metrics_after_the_last_save_are_forgotten(tmp_path):
    log = Log(tmp_path, 0, tensorboard=False)
    for step in (1, 2, 3):
        log.write(step, {"loss/total": float(step)})
    with log.path.open("a") as file:
        file.write('{"step": 4, "lo')
    Log(tmp_path, 2, tensorboard=False).write(3, {"loss/total": 0.5})
    assert log.path.read_text().splitlines() == [
        '{"step": 1, "loss/total": 1.0}',
        '{"step": 2, "loss/total": 2.0}',
        '{"step": 3, "loss/total": 0.5}',
    ]
