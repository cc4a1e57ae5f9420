"""Two processes under torchrun make the run that one makes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from firsthand_training.training.log import METRICS
from firsthand_training.training.processes import Processes
from firsthand_training.training.train import STATE, _check_enough_work
from firsthand_training.training.training_state import read_training_state

RUN = Path(__file__).with_name("small_run.py")


def test_two_processes_make_the_run_of_one(small_run, tmp_path):
    """The same windows, noise and dropout: losses and weights agree up to the order of additions."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    call = [*torchrun, str(RUN), str(tmp_path / "two")]
    done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    threads = torch.get_num_threads()
    small_run(tmp_path / "one")
    torch.set_num_threads(threads)
    one, two = (
        [json.loads(line) for line in (tmp_path / name / METRICS).read_text().splitlines()] for name in ("one", "two")
    )
    assert [line["step"] for line in one] == [line["step"] for line in two]
    for alone, together in zip(one, two, strict=True):
        assert set(alone) == set(together)
        np.testing.assert_allclose(list(together.values()), list(alone.values()), rtol=2e-3, atol=1e-4)
    weights = [read_training_state(tmp_path / name / STATE)[0] for name in ("one", "two")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-2, atol=1e-4)


def test_one_process_keeps_its_gradients():
    network = torch.nn.Linear(2, 1)
    network(torch.ones(1, 2)).sum().backward()
    Processes().sum_gradients(network)
    assert network.weight.grad.tolist() == [[1.0, 1.0]]
    assert Processes().sum(torch.tensor(3.0)).item() == 3.0


def test_more_processes_than_micro_batches_are_refused(small_settings):
    _check_enough_work(small_settings, Processes(0, 2))
    with pytest.raises(ValueError, match="3 processes need as many micro-batches in a batch, got 2; set --micro-batch"):
        _check_enough_work(small_settings, Processes(0, 3))
