"""Pictures of results: success with intervals, errors along the horizon."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")  # no screen needed

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from firsthand_training.evaluation.labels import ClipErrors
from firsthand_training.evaluation.open_loop import OpenLoopReport
from firsthand_training.evaluation.statistics import Proportion
from firsthand_training.metrics import FeatureSkill

INK, OURS, QUIET = "#222222", "#1f77b4", "#b8b8b8"


def plot_success(rows: Mapping[str, Proportion], title: str, output: Path) -> Path:
    """Success rates as dots with their Wilson intervals, best at the top.

    Args:
        rows: Label to outcome, for example `{"push id, policy": ...}`.
        title: Above the axes; say task, trials and seeds.
        output: A .png or .svg file.
    """
    _, axes = plt.subplots(figsize=(6.4, 0.9 + 0.45 * len(rows)), layout="constrained")
    for y, outcome in enumerate(reversed(list(rows.values()))):
        low, high = outcome.interval
        axes.plot([low, high], [y, y], color=QUIET, linewidth=6, solid_capstyle="round")
        axes.plot(outcome.rate, y, "o", color=OURS, markersize=9)
        axes.annotate(f"{outcome.successes}/{outcome.trials}", (1.04, y), va="center", color=INK, fontsize=9)
    axes.set_yticks(range(len(rows)), list(reversed(list(rows))))
    axes.set(xlim=(-0.03, 1.18), ylim=(-0.6, len(rows) - 0.4), xlabel="success rate, 95 % Wilson interval", title=title)
    axes.set_xticks(np.linspace(0, 1, 6))
    return _save(axes, output)


def plot_success_grid(
    rows: Mapping[str, Mapping[str, Proportion]], panels: Sequence[Sequence[str]], output: Path
) -> Path:
    """Success rates of several methods on several trials: a panel for each kind of trial, a line for each method.

    Args:
        rows: Label of the method to outcomes by panel; a panel that a method lacks stays empty there.
        panels: Names of the panels, line by line.
        output: A .png or .svg file.
    """
    lines, columns = len(panels), max(map(len, panels))
    size = (2.3 * columns + 1.2, lines * (0.8 + 0.28 * len(rows)))
    figure, grid = plt.subplots(
        lines, columns, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axes, name in zip(grid.flat, (name for line in panels for name in line), strict=True):
        for y, outcomes in enumerate(reversed(list(rows.values()))):
            if name in outcomes:
                axes.plot(outcomes[name].interval, [y, y], color=QUIET, linewidth=5, solid_capstyle="round")
                axes.plot(outcomes[name].rate, y, "o", color=OURS, markersize=6)
        axes.set(xlim=(-0.05, 1.05), ylim=(-0.6, len(rows) - 0.4), title=name, xticks=[0, 0.5, 1])
        axes.set_yticks(range(len(rows)), list(reversed(list(rows))))
        _clean(axes)
    figure.supxlabel("success rate, 95 % Wilson interval")
    return _save(grid[0, 0], output)


def plot_skills(rows: Mapping[str, Mapping[int, float]], rate: float, output: Path) -> Path:
    """Feature skill of several methods over the time ahead.

    Args:
        rows: Label of the method to skill by steps ahead.
        rate: Steps a second, [Hz].
        output: A .png or .svg file.
    """
    _, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for label, skills in rows.items():
        axes.plot([step / rate for step in skills], list(skills.values()), "o-", markersize=4, label=label)
    axes.axhline(0, color=QUIET)
    axes.set(xlabel="time ahead [s]", ylabel="feature skill over copying")
    axes.legend(frameon=False, fontsize=9)
    return _save(axes, output)


def plot_horizon(report: OpenLoopReport, rate: float, output: Path) -> Path:
    """Errors of policy and baselines, and feature skill if there is any, against time into the chunk."""
    count = 3 if report.feature_skill is None else 4
    figure, panels = plt.subplots(1, count, figsize=(3.25 * count, 3.5), layout="constrained")
    seconds = (np.arange(len(report.policy.wrist_mm)) + 1) / rate
    for axes, key, unit in zip(
        panels,
        ("wrist_mm", "wrist_deg", "fingertip_mm"),
        ("wrist [mm]", "wrist [deg]", "fingertips [mm]"),
        strict=False,
    ):
        axes.plot(seconds, getattr(report.policy, key), color=OURS, linewidth=2, label="policy")
        axes.plot(seconds, getattr(report.hold_last, key), color=INK, linestyle="--", label="hold last")
        axes.plot(seconds, getattr(report.dataset_mean, key), color=QUIET, label="dataset mean")
        axes.set(xlabel="time into the chunk [s]", title=f"error, {unit}")
        axes.set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=3, frameon=False)
    if report.feature_skill is not None:
        _plot_skill(panels[3], report.feature_skill, len(seconds) / rate)
        figure.legend(*panels[3].get_legend_handles_labels(), loc="outside lower right", ncols=2, frameon=False)
    for axes in panels:
        _clean(axes)
    return _save(panels[0], output)


def plot_label_errors(columns: Mapping[str, Sequence[ClipErrors]], output: Path) -> Path:
    """Which share of the labelled hands is within an error: wrist, fingertips in the wrist frame, wrist rotation.

    Args:
        columns: By the way of labelling, for instance with an oracle in place of a stage.
        output: A .png or .svg file.
    """
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained", sharey=True)
    for axes, name, unit, limit in zip(
        panels,
        ("wrist_mm", "tips_in_wrist_mm", "wrist_deg"),
        ("wrist [mm]", "fingertips in the wrist frame [mm]", "wrist rotation [deg]"),
        (100.0, 60.0, 45.0),
        strict=True,
    ):
        for title, clips in columns.items():
            errors = np.sort(np.concatenate([np.zeros(0), *(getattr(clip.hands, name) for clip in clips)]))
            axes.step(errors, (np.arange(len(errors)) + 1) / max(len(errors), 1), where="post", label=title)
        axes.set(xlim=(0, limit), ylim=(0, 1), xlabel=unit)
        _clean(axes)
    panels[0].set_ylabel("share of labelled hands")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return _save(panels[0], output)


def _plot_skill(axes: Axes, skill: FeatureSkill, duration: float) -> None:
    """Feature skill over a chunk of some seconds."""
    ahead = (np.arange(len(skill.ahead)) + 1) * duration / len(skill.ahead)
    axes.plot(ahead, skill.ahead, "o-", color=OURS, label="all patches")
    axes.plot(ahead, skill.moving_ahead, "s--", color=INK, label="the tenth that changes most")
    axes.axhline(0, color=QUIET)
    axes.set(xlabel="predicted time [s]", title="feature skill over copying")


def _clean(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _save(axes: Axes, output: Path) -> Path:
    _clean(axes)
    figure = axes.figure
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=150)  # type: ignore[union-attr]
    plt.close("all")
    return output
