"""The command that labels videos."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from firsthand_training.labels.label_videos import LabelSettings, Spread, label_videos, summary
from firsthand_training.labels.show_clips import show_clips


@dataclass(frozen=True)
class Label:
    """Label videos without annotation: metric wrists and fingertips of two hands at work, as a dataset to pretrain on.

    Each stage leaves its file in the folder of work; the same call goes on after an interruption, and a call with more
    videos does only what is new. What could not be labelled is in `manifest.jsonl` with its reason.
    """

    videos: tyro.conf.Positional[tuple[Path, ...]]
    """Video files, of any kind that FFmpeg reads."""
    output: Path
    """The LeRobotDataset v3 to make."""
    work: Path | None = None
    """Folder of work; by default the name of `output` with `.work` behind it."""
    show: bool = True
    """Make a film and a page of every labelled clip; a Rerun recording too where Rerun is installed."""
    settings: Annotated[LabelSettings, tyro.conf.arg(name="")] = field(default_factory=LabelSettings)
    spread: Annotated[Spread, tyro.conf.arg(name="")] = field(default_factory=Spread)

    def run(self) -> None:
        """Print what came of every video."""
        work = self.work or self.output.with_name(f"{self.output.name}.work")
        manifest = label_videos(self.videos, work, self.output, self.settings, self.spread)
        print(summary(manifest))
        if self.show:
            for page in show_clips(manifest, work, self.settings, self.spread.workers):
                print(page)
        print(self.output)
