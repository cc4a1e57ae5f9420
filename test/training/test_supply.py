from dataclasses import replace

import pytest

from firsthand_training.training.log import METRICS
from firsthand_training.training.train import fit_sources


# From Python 3.12 on, forking a process that has threads is warned of; PyTorch's loader does it knowingly.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_it_makes_no_difference_who_makes_the_batches(small, tmp_path):
    settings = replace(small.SETTINGS, steps=4, validate_every=4)
    for workers in (0, 2):
        fit_sources(small.sources(), tmp_path / str(workers), replace(settings, workers=workers), progress=False)
    alone, ahead = ((tmp_path / name / METRICS).read_text() for name in ("0", "2"))
    assert alone == ahead
    assert len(alone.splitlines()) == 4
