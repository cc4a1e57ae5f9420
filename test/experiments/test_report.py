import hashlib
import json
import subprocess

import pytest

from firsthand.policy.checkpoint import sha256
from firsthand_training.experiments.held_out import mean_skills, read_held_out
from firsthand_training.experiments.plan import plan, policy_path, result_path
from firsthand_training.experiments.provenance import HISTORY, code_version, remember
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


def test_the_numbers_say_what_they_were_made_of(root):
    """Every setting, the code, and hashes of the policies and of the data that they were trained on."""
    manifest = policy_path(root, HAT, "push")
    source = {"dataset": "robot_push", "dataset_sha256": "12ab"}
    manifest.write_text(json.dumps({"provenance": {"step": 4, "sources": [source]}}))
    manifest.with_name("model.safetensors").write_bytes(b"weights")
    trained = next(step for step in plan(TABLE_1, SMOKE, root) if step.name == "hat/push")
    remember(root / HISTORY, trained)
    with (root / HISTORY).open("a") as file:
        file.write('{"step": "hat/pus')  # a kill
    numbers = json.loads(write_report(TABLE_1, SMOKE, root, root / "report").with_suffix(".json").read_text())
    recipe = numbers["recipes"]["HAT"]
    assert recipe["train"]["steps"] == SMOKE.steps
    assert recipe["train"]["learning_rate"] == 1e-4
    assert recipe["train"]["method"]["network"]["transformer"]["decoder_layers"] == 7  # as usual, and said
    assert recipe["cache"]["every"] == SMOKE.every
    policy = numbers["policies"]["HAT"]["push"]
    assert policy["manifest_sha256"] == sha256(manifest)
    assert policy["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert policy["sources"] == [source]
    steps = {step["step"]: step for step in numbers["steps"]}
    assert steps["hat/push"]["done"]
    assert steps["hat/push"]["code"] == numbers["code"] == code_version()
    assert steps["hat/push"]["commands"] == [list(command) for command in trained.commands]
    assert steps["hat/pick_place"]["code"] is None  # made by whom nobody noted


def git(folder, *arguments):
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_the_code_is_named_by_its_commit_where_there_is_one(tmp_path):
    file = tmp_path / "code.py"
    file.write_text("one")
    assert code_version(file) is None
    git(tmp_path, "init", "-q")
    assert code_version(file) is None  # somebody's repository around an installed package
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-qm", "one")
    commit = git(tmp_path, "rev-parse", "HEAD").strip()
    assert code_version(file) == {"commit": commit, "modified": False}
    file.write_text("two")
    assert code_version(file) == {"commit": commit, "modified": True}


def test_a_row_beyond_the_paper_is_there_once_it_was_tried(root):
    row = TABLE_1.more[0]
    assert row.label not in write_report(TABLE_1, SMOKE, root, root / "report").read_text()
    details = [{"seed": 100, "success": True}]
    path = result_path(root, row, "push", "id")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"complete": True, "checkpoint": policy(root, row, "push"), "details": details}))
    assert "| HAT, our schedule |" in write_report(TABLE_1, SMOKE, root, root / "report").read_text()


def validated(root, row, task, skill, end=""):
    """The metrics of a run: two validations, the last of which counts, and what came after."""
    shares = {"": 1, "/moving": 2, "/4": 1, "/8": 3, "/moving/4": 4, "/moving/8": 5}
    ahead = {} if skill is None else {f"feature_skill{name}": share * skill for name, share in shares.items()}
    last = {"action/wrist_mm": 20.0, "hold/wrist_mm": 40.0, "skill": 0.9, "skill/4": 0.9, **ahead}
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
    ours = json.loads((root / "report" / "table1.json").read_text())["held_out"]["Ours"]["push"]
    assert ours["ahead"] == {"4": 0.125, "8": 0.375}
    assert ours["moving_ahead"] == {"4": 0.5, "8": 0.625}


def test_what_earlier_versions_called_skill_is_not_taken_for_it(root):
    """It was of the absolute error; runs that have it still have their trials and their wrists."""
    validated(root, OURS, "push", None)
    written = write_report(TABLE_1, SMOKE, root, root / "report").read_text()
    assert "| push | Ours | 20.0 (40.0) | - | - |" in written


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
