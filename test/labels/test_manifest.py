"""A manifest remembers what has ended, whatever cuts it short."""

import pytest

from firsthand.errors import LabelError
from firsthand_training.labels.manifest import Manifest, Row

VIDEO = Row("kitchen-12ab", "kitchen.mp4", None, "trimmed", first=0, last=900)
CLIP = Row("kitchen-12ab", "kitchen.mp4", 0, "failed", "no model: 3 points", first=10, last=120)


@pytest.fixture
def path(tmp_path):
    manifest = Manifest(tmp_path / "work" / "manifest.jsonl")
    manifest.add(VIDEO)
    manifest.add(CLIP)
    return manifest.path


def test_rows_are_found_again(path):
    manifest = Manifest(path)
    assert manifest.find("kitchen-12ab") == VIDEO
    assert manifest.find("kitchen-12ab", 0) == CLIP
    assert manifest.find("kitchen-12ab", 1) is None
    assert manifest.failures() == {"no model: 3 points": 1}


def test_the_last_row_on_a_clip_counts(path):
    again = Row("kitchen-12ab", "kitchen.mp4", 0, "labelled", first=10, last=120, labelled=99)
    Manifest(path).add(again)
    assert Manifest(path).find("kitchen-12ab", 0) == again
    assert not Manifest(path).failures()


def test_a_line_that_was_cut_short_is_done_again_and_harms_no_other(path):
    path.write_text(path.read_text()[:-20])
    manifest = Manifest(path)
    assert (manifest.find("kitchen-12ab"), manifest.find("kitchen-12ab", 0)) == (VIDEO, None)
    manifest.add(CLIP)
    assert Manifest(path).find("kitchen-12ab", 0) == CLIP


def test_rows_of_a_later_version_are_read(path):
    path.write_text(path.read_text().replace('"clip": 0', '"clip": 0, "mood": "good"'))
    assert Manifest(path).find("kitchen-12ab", 0) == CLIP


@pytest.mark.parametrize("line", ["[]", "{}", "7", "{"])
def test_another_file_is_refused_with_the_line(path, line):
    path.write_text(line + "\n")
    with pytest.raises(LabelError, match="no row of a manifest"):
        Manifest(path)
