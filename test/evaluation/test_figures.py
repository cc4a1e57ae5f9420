import numpy as np
import pytest

pytest.importorskip("matplotlib")

from firsthand_training.evaluation.figures import plot_horizon, plot_success
from firsthand_training.evaluation.open_loop import OpenLoopReport
from firsthand_training.evaluation.statistics import Proportion
from firsthand_training.metrics import FeatureSkill, HandErrors


def test_pictures_are_written(tmp_path):
    line = HandErrors(*[np.arange(28.0)] * 4)
    report = OpenLoopReport(3, line, line, line, FeatureSkill(0.1, 0.2, (0.1,) * 7, (0.2,) * 7), {}, {})
    for path in (
        plot_success({"policy": Proportion(4, 5), "hold last": Proportion(0, 5)}, "push", tmp_path / "a" / "s.png"),
        plot_horizon(report, 25.0, tmp_path / "a" / "h.png"),
    ):
        assert path.read_bytes().startswith(b"\x89PNG")
