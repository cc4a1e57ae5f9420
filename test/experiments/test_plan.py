import json
from dataclasses import replace

import pytest

from firsthand.errors import FirsthandError
from firsthand.policy.checkpoint import sha256
from firsthand_training.command import parse
from firsthand_training.experiments.plan import claim, plan
from firsthand_training.experiments.scales import SCALES
from firsthand_training.experiments.tables import TABLE_1, TABLE_2, TABLES, TASKS, find_table

SMOKE = SCALES["smoke"]


def names(table, root, only=(), scale=SMOKE):
    return [step.name for step in plan(table, scale, root, only)]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_step_finds_what_it_needs_made_before_it(table, tmp_path):
    made = set()
    for step in plan(table, SMOKE, tmp_path):
        assert set(step.needs) <= made
        made.add(step.product)


def test_no_work_is_planned_twice(tmp_path):
    steps = names(TABLE_1, tmp_path)
    assert len(set(steps)) == len(steps)
    assert steps.count("episodes/robot_push") == 1


def test_every_row_is_tried_on_every_task_in_and_out_of_distribution(tmp_path):
    assert sum(name.endswith(("/id", "/ood")) for name in names(TABLE_1, tmp_path)) == 5 * 4 * 2


def test_hat_with_our_schedule_is_a_row_of_table_1_when_asked_for(tmp_path):
    usual, longer = names(TABLE_1, tmp_path), names(TABLE_1.longer(), tmp_path)
    added = set(longer) - set(usual)
    assert added == {f"hat_our_schedule/{task}{part}" for task in TASKS for part in ("", "/id", "/ood")}
    assert [name for name in longer if name not in added] == usual


def test_work_at_the_cpu_scale_goes_on_as_it_was_begun(tmp_path):
    """A run is refused with other settings than it was begun with: these are those of runs that are under way."""
    begun = '{"size": "cpu", "demonstrations": 100, "human": 100, "video": 200, "every": 4, "steps": 1500,'
    begun += ' "pretraining_steps": 1500, "trials": 50, "seed": 10000, "slow_down": 1.5}'
    (tmp_path / "scale.json").write_text(begun)
    claim(tmp_path, SCALES["cpu"])
    trained = {
        step.name: step.commands[0] for step in plan(TABLE_1, SCALES["cpu"], tmp_path) if len(step.commands) == 2
    }
    ours = "--steps 1500 --cache.every 4 --cache.threads 2 method:world-model"
    hat = (
        "--augmentation.feature-noise 0.0 --augmentation.patch-dropout 0.0 --augmentation.state-noise 0.0 --steps 1500 "
        "--learning-rate 0.0001 --schedule constant --weight-decay 0.0001 --decay-all --betas 0.9 0.999 --warm-up 0 "
        "--clip 0.0 --average 0.0 --cache.every 4 --cache.threads 2 method:hat --method.network.horizon 28 "
        "--method.network.rows 8 --method.network.columns 14 --method.network.transformer.width 96 "
        "--method.network.transformer.heads 4 --method.network.transformer.feed-forward 600"
    )
    assert " ".join(trained["ours/push"]).endswith(f"/features/dinov2_vits14-112 {ours}")
    assert " ".join(trained["hat/push"]).endswith(f"/features/dinov2_vits14-112 {hat}")


def test_a_larger_share_of_the_video_contains_the_smaller_one(tmp_path):
    steps = {step.name: step for step in plan(TABLE_2, SMOKE, tmp_path)}
    tenth, half, whole = (set(steps[f"ours-video{share}/pretrained"].needs) for share in (10, 50, 100))
    assert tenth < half < whole


def test_rows_with_and_without_human_data_share_their_pretraining(tmp_path):
    steps = {step.name: step for step in plan(TABLE_1, SMOKE, tmp_path)}
    pretrained = steps["ours-video100/pretrained"].product
    assert pretrained in steps["ours-video100/push"].needs
    assert pretrained in steps["ours-video100-human/push"].needs


def test_a_part_of_an_experiment_brings_what_it_needs(tmp_path):
    assert names(TABLE_1, tmp_path, only=["hat/push/ood"]) == ["episodes/robot_push", "hat/push", "hat/push/ood"]


def test_a_part_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FirsthandError, match="no step of table1 has juggling"):
        plan(TABLE_1, SMOKE, tmp_path, ["juggling"])


def test_a_folder_holds_work_of_one_scale(tmp_path):
    claim(tmp_path, SMOKE)
    claim(tmp_path, replace(SMOKE, workers=7))
    with pytest.raises(FirsthandError, match=r"another scale .*trials 2 there, 3 now"):
        claim(tmp_path, replace(SMOKE, trials=3))


def test_planning_leaves_no_trace(tmp_path):
    plan(TABLE_1, SMOKE, tmp_path)
    assert not list(tmp_path.iterdir())


def test_unknown_tables_are_refused():
    with pytest.raises(FirsthandError, match="there are table1, table2"):
        find_table("table3")


# One of each kind: every stage, with video and without, and the other methods.
def test_the_commands_are_understood(tmp_path):
    steps = [step for table in TABLES.values() for step in plan(table, SMOKE, tmp_path)]
    kinds = {}
    for step in steps:
        for command in step.commands:
            method = next((word for word in command if word.startswith("method:")), "")
            kinds.setdefault((command[0], method, "--from" in command), command)
    assert {kind[0] for kind in kinds} == {"demos", "pretrain", "train", "finetune", "cotrain", "export", "evaluate"}
    for command in kinds.values():
        parse(command)


def test_a_checkpoint_is_done_when_it_has_a_manifest(tmp_path):
    step = plan(TABLE_1, SMOKE, tmp_path, ["hat/push"])[1]
    assert not step.done
    step.product.parent.mkdir(parents=True)
    step.product.write_text(json.dumps({"format": "any"}))
    assert step.done


def test_trials_of_an_earlier_policy_are_not_done(tmp_path):
    trained, tried = plan(TABLE_1, SMOKE, tmp_path, ["hat/push/id"])[1:3]
    trained.product.parent.mkdir(parents=True)
    trained.product.write_text('{"format": "any"}')
    result = {"complete": True, "checkpoint": sha256(trained.product)}
    tried.product.write_text(json.dumps(result))
    assert tried.done
    trained.product.write_text('{"format": "another"}')
    assert not tried.done
