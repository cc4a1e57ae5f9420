"""What people say of an episode: its task and how it went, in `episode.json` inside the bag's folder.

It is written when the recording starts and again at every change, so that a recorder that is killed leaves it, too.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from firsthand.bags.storage import write_whole
from firsthand.errors import BagError

CARD = "episode.json"
MAX_LENGTH = 500  # characters of a task or a label


@dataclass(frozen=True)
class EpisodeCard:
    """One episode in words.

    Raises:
        BagError: A text is none, is too long, or has characters that are not printed.
    """

    task: str = ""  # the instruction, such as "push the box to the mark"
    label: str = ""  # how it went: "success", "failure", or any other word
    problem: str = ""  # why the recording ended early; empty where it was stopped on purpose

    def __post_init__(self) -> None:
        for name, text in asdict(self).items():
            if not isinstance(text, str) or len(text) > MAX_LENGTH or not (text == "" or text.isprintable()):
                raise BagError(f"expected a {name} of at most {MAX_LENGTH} printable characters, got {text!r:.80}")


def write_card(bag: Path, card: EpisodeCard) -> None:
    """Put a card into a bag's folder, in place of the one there."""
    write_whole(bag / CARD, json.dumps(asdict(card), indent=1) + "\n")


def read_card(bag: Path) -> EpisodeCard | None:
    """The card of a bag; None if it has none.

    Raises:
        BagError: There is something else in its place.
    """
    path = bag / CARD
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return EpisodeCard(**content)
    except (ValueError, TypeError) as error:
        raise BagError(f"{path} is no card of an episode: {error}; write it anew or remove it") from error
