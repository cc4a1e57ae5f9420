import json

import pytest

from firsthand.policy.checkpoint import sha256
from firsthand_training.experiments.held_out import mean_skills, read_held_out
from firsthand_training.experiments.plan import policy_path, result_path
from firsthand_training.experiments.report import page, read_outcomes, write_report
from firsthand_training.experiments.scales import SCALES
from firsthand_training.experiments.tables import TABLE_1, TASKS

SMOKE = SCALES["smoke"]
HAT, OURS = TABLE_1.rows[:2]


@pytest.fixture
def root(tmp_path):
    """HAT has 6 of 10 everywhere; ours solves the same ones and one more; but nothing of ours was run on `passing`."""
    for row, solved, tasks in ((HAT, 6, TASKS), (OURS, 7, [task for task in TASKS if task != "passing"])):
        for task in tasks:
            for variant in ("id", "ood"):
                details = [{"seed": 100 + number, "success": number < solved} for number in range(10)]
                path = result_path(tmp_path, row, task, variant)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(
                    json.dumps({"complete": True, "checkpoint": policy(tmp_path, row, task), "details": details})
                )
    return tmp_path


def policy(root, row, task):
    """The digest of a policy, which is made."""
    manifest = policy_path(root, row, task)
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text("{}")
    return sha256(manifest)


def text(root):
    return page(TABLE_1, SMOKE, {row: read_outcomes(row, root) for row in TABLE_1.rows}, "table1.png")


def test_successes_stand_with_their_intervals(root):
    assert text(root).count("6/10 (0.31 to 0.83)") == 8
    assert text(root).count("24/40 (0.45 to 0.74)") == 2


def test_what_was_not_run_is_left_open_and_not_pooled(root):
    ours = next(line for line in text(root).splitlines() if line.startswith("| Ours |"))
    cells = [cell.strip() for cell in ours.split("|")[2:-1]]
    assert [cell == "-" for cell in cells] == [task == "passing" for task in TASKS for _ in range(2)] + [True, True]


def test_methods_are_compared_on_the_same_trials_once_all_tasks_are_there(root):
    assert "McNemar" not in text(root)
    for variant in ("id", "ood"):
        details = [{"seed": 100 + number, "success": number < 7} for number in range(10)]
        result = {"complete": True, "checkpoint": policy(root, OURS, "passing"), "details": details}
        result_path(root, OURS, "passing", variant).write_text(json.dumps(result))
    assert text(root).count("+0.10 (95% CI -0.02 to +0.21, McNemar p = 0.12)") == 2


def test_trials_of_an_earlier_policy_and_broken_files_do_not_count(root):
    policy_path(root, HAT, "push").write_text('{"made": "again"}')
    result_path(root, HAT, "passing", "id").write_text("half a fi")
    hat = next(line for line in text(root).splitlines() if line.startswith("| HAT |"))
    assert [cell.strip() == "-" for cell in hat.split("|")[2:-1]] == [False] * 2 + [True, False] + [False] * 2 + [
        True
    ] * 4


def test_before_anything_was_run_the_table_is_empty(tmp_path):
    assert "| HAT | - | - |" in text(tmp_path)


def test_page_figure_and_numbers_are_written_together(root):
    written = write_report(TABLE_1, SMOKE, root, root / "report")
    assert written.read_text() == text(root)
    numbers = json.loads(written.with_suffix(".json").read_text())
    assert numbers["scale"]["trials"] == SMOKE.trials
    assert sum(numbers["rows"]["HAT"]["push/id"].values()) == 6
    assert written.with_suffix(".png").is_file()


def validated(root, row, task, skill, end=""):
    """The metrics of a run: two validations, the last of which counts, and what came after."""
    ahead = {} if skill is None else {"skill": skill, "skill/moving": 2 * skill, "skill/4": skill, "skill/8": 3 * skill}
    last = {"action/wrist_mm": 20.0, "hold/wrist_mm": 40.0, **ahead}
    lines = [{"step": 5, "validation/robot/action/wrist_mm": 90.0}]
    lines += [{"step": 10, **{f"validation/robot/{name}": value for name, value in last.items()}}, {"step": 11, "a": 1}]
    path = policy_path(root, row, task).parent.parent / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + end)


def test_the_page_tells_how_far_policies_foresee_held_out_demonstrations(root):
    validated(root, HAT, "push", None)
    validated(root, OURS, "push", 0.125)
    written = write_report(TABLE_1, SMOKE, root, root / "report").read_text()
    assert "| push | HAT | 20.0 (40.0) | - | - |" in written
    assert "| push | Ours | 20.0 (40.0) | 0.12 | 0.25 |" in written
    assert (root / "report" / "table1_skill.png").is_file()
    assert json.loads((root / "report" / "table1.json").read_text())["held_out"]["Ours"]["push"]["ahead"]["8"] == 0.375


def test_a_line_that_a_kill_cut_short_is_passed_over(root):
    validated(root, OURS, "push", 0.125, end='{"step": 12, "valid')
    assert read_held_out(OURS, root)["push"].step == 10


def test_skills_are_averaged_over_the_tasks_that_all_rows_have(root):
    other = TABLE_1.rows[2]
    for row, task, skill in ((OURS, "push", 0.1), (OURS, "pick_place", 0.3), (other, "push", 0.5)):
        policy(root, row, task)
        validated(root, row, task, skill)
    rows = {row: read_held_out(row, root) for row in (HAT, OURS, other)}
    assert mean_skills(rows) == {"Ours": {4: 0.1, 8: pytest.approx(0.3)}, other.label: {4: 0.5, 8: 1.5}}
