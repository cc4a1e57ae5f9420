"""Results of closed-loop evaluations, read back from their JSON and put side by side."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from firsthand.errors import EpisodeError
from firsthand_training.evaluation.statistics import Proportion, proportion


def read_results(paths: Sequence[Path]) -> dict[str, Proportion]:
    """Label and outcome of each file, in the order given.

    Raises:
        EpisodeError: A file is missing, or none that `firsthand-lab evaluate --json` wrote.
    """
    results: dict[str, Proportion] = {}
    for path in paths:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            settings, outcome = data["settings"], proportion(data["successes"])
            latency = f", chunks {settings['latency']} steps late" if settings["latency"] else ""
            label = f"{settings['policy'] or 'shipped policy'}, {settings['task']} {settings['variant']}{latency}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EpisodeError(
                f"expected the JSON of a closed-loop evaluation (firsthand-lab evaluate --json), got {path}: {error!r}"
            ) from error
        results[label if label not in results else f"{label} ({path.stem})"] = outcome
    return results


def markdown_table(results: Mapping[str, Proportion]) -> str:
    """One row a result: successes, rate, interval."""
    lines = ["| policy and task | successes | rate | 95 % Wilson interval |", "|---|---|---|---|"]
    for label, outcome in results.items():
        low, high = outcome.interval
        lines.append(
            f"| {label} | {outcome.successes}/{outcome.trials} | {outcome.rate:.2f} | {low:.2f} to {high:.2f} |"
        )
    return "\n".join(lines)
