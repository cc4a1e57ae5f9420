"""One sheet of pictures with the hands that are found in them, to look at what detection does on your own footage.

python -m firsthand_training.labels.view.hand_sheet --output sheet.png kitchen.mp4 photos/*.jpg
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tyro
from numpy.typing import NDArray
from tqdm import tqdm

from firsthand.errors import FirsthandError, LabelError
from firsthand_training.episodes.durable import whole_file
from firsthand_training.labels.detect_hands import DetectSettings, detect_hands
from firsthand_training.labels.draw_hands import contact_sheet, draw_hands
from firsthand_training.labels.stage_files import Hands, load_stage
from firsthand_training.labels.two_hands import two_hands
from firsthand_training.labels.video import frames, open_video

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class SheetSettings:
    """Draw the hands that are found in videos and pictures, and count them."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """Videos and pictures."""
    output: Path
    """The sheet, .png or .jpg."""
    frames: int = 4
    """Pictures of a video, half of them with hands if there are any, evenly spaced."""
    columns: int = 4
    width: int = 400
    """[px], of a picture in the sheet."""
    detect: DetectSettings = field(default_factory=DetectSettings)

    def __post_init__(self) -> None:
        """Refuse what makes no sheet."""
        if not self.files or min(self.frames, self.columns) < 1 or self.width < 32:
            raise LabelError(f"expected a file, a frame and a column or more, and 32 px or more, got {self}")
        if self.output.suffix.lower() not in (".png", ".jpg", ".jpeg"):
            raise LabelError(f"expected a sheet of .png or .jpg, got {self.output}")


@dataclass(frozen=True)
class Look:
    """What was found in one file."""

    file: Path
    frames: int
    two: int  # frames with one left and one right hand
    left_out: Counter[str]  # the other frames, by reason
    drawn: tuple[Image, ...]

    def __str__(self) -> str:
        others = ", ".join(f"{count} {reason}" for reason, count in self.left_out.most_common())
        return f"| {self.file.name} | {self.frames} | {self.two} | {others} |"


def make_sheet(settings: SheetSettings) -> tuple[Path, list[Look]]:
    """Draw the sheet; a file that cannot be read is told and left out.

    Returns:
        The sheet, and what was found in each file.

    Raises:
        LabelError: None of the files can be read.
    """
    looks = []
    for file in tqdm(settings.files, desc="looking", unit="file"):
        try:
            looks.append(look_at(file, settings))
        except LabelError as error:
            tqdm.write(f"left out: {error}")
    sheet = contact_sheet([picture for look in looks for picture in look.drawn], settings.columns, settings.width)
    written, encoded = cv2.imencode(settings.output.suffix, cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if not written:
        raise LabelError(f"{settings.output} could not be encoded")
    with whole_file(settings.output) as partial:
        partial.write_bytes(encoded.tobytes())
    return settings.output, looks


def look_at(file: Path, settings: SheetSettings) -> Look:
    """Find the hands of one file and draw some of its frames.

    Raises:
        LabelError: It is no video or picture.
    """
    video = open_video(file)
    with tempfile.TemporaryDirectory() as scratch:
        hands = load_stage(detect_hands(file, Path(scratch) / "hands.npz", settings.detect), Hands)
    kept, left_out = two_hands(hands)
    shown = _choose(np.isin(np.arange(video.frames), hands.frame), settings.frames)
    drawn = [draw_hands(picture, hands, number) for number, picture in enumerate(frames(video)) if number in shown]
    return Look(file, video.frames, int(kept.sum()), left_out, tuple(_named(picture, file) for picture in drawn))


def _choose(handed: NDArray[np.bool_], count: int) -> set[int]:
    """Numbers of frames to draw, of those with and without hands."""
    chosen: set[int] = set()
    for frames_of_kind, share in ((np.flatnonzero(handed), (count + 1) // 2), (np.flatnonzero(~handed), count)):
        wanted = min(share, count - len(chosen), len(frames_of_kind))
        places = np.linspace(0, len(frames_of_kind) - 1, wanted).round().astype(int)
        chosen |= set(frames_of_kind[places].tolist())
    spare = np.setdiff1d(np.flatnonzero(handed), list(chosen))
    places = np.linspace(0, len(spare) - 1, min(count - len(chosen), len(spare))).round().astype(int)
    return chosen | set(spare[places].tolist())


def _named(picture: Image, file: Path) -> Image:
    """With the file's name in the lower left corner."""
    size = max(picture.shape[1] / 640, 0.4)
    place = (round(6 * size), picture.shape[0] - round(8 * size))
    for colour, width in ((0, 0, 0), 4), ((255, 255, 255), 1):
        cv2.putText(
            picture, file.name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7 * size, colour, max(1, round(width * size))
        )
    return picture


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and the sheet's path."""
    settings = tyro.cli(SheetSettings, args=arguments, description=SheetSettings.__doc__)
    try:
        sheet, looks = make_sheet(settings)
    except FirsthandError as error:
        sys.exit(str(error))
    print("| file | frames | with a left and a right hand | others |\n|---|---|---|---|")
    print(*looks, sep="\n")
    print(sheet)


if __name__ == "__main__":
    main()
