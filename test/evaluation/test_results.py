import json

import pytest

from firsthand.errors import EpisodeError
from firsthand_training.command import main
from firsthand_training.evaluation.closed_loop import ClosedLoopReport, ClosedLoopSettings, Trial
from firsthand_training.evaluation.results import read_results


def a_result(path, **settings):
    trials = tuple(Trial(i, i != 2, 1.0, 1.0, "box") for i in range(5))
    path.write_text(
        json.dumps(ClosedLoopReport(ClosedLoopSettings(task="push", trials=5, **settings), trials).to_json())
    )
    return path


def test_results_side_by_side(tmp_path, capsys):
    files = [a_result(tmp_path / "a.json"), a_result(tmp_path / "b.json", policy="expert", variant="ood")]
    assert main(["compare", *map(str, files), "--figure", str(tmp_path / "all.png")]) == 0
    printed = capsys.readouterr().out
    assert "| shipped policy, push id | 4/5 | 0.80 | 0.38 to 0.96 |" in printed
    assert "| expert, push ood | 4/5 |" in printed
    assert (tmp_path / "all.png").stat().st_size > 5000


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"settings": {}, "successes": []}'])
def test_what_is_no_result_is_said(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(EpisodeError, match="expected the JSON of a closed-loop evaluation"):
        read_results([path])
