"""Substitutions give what ROS 2's own parser gives."""

from pathlib import Path

import pytest

from firsthand.errors import LaunchError
from firsthand.launching.substitutions import Values, is_true, substitute
from firsthand.share import share_directory

VALUES = Values({"body": "mock", "n": "7", "which": "body"}, Path("/launch"))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain text (with brackets)", "plain text (with brackets)"),
        ("$(var body)", "mock"),
        ("a-$(var body)/$(var n)", "a-mock/7"),
        ("$(var $(var which))", "mock"),
        ("$(env FIRSTHAND_NOWHERE fallback)/x", "fallback/x"),
        ("$(dirname)/other.yaml", "/launch/other.yaml"),
        ("$(find-pkg-share firsthand)/config", f"{share_directory()}/config"),
        ("$(eval \"'$(var body)' == 'mock'\")", "True"),
        ("$(eval '$(var n) != 7')", "False"),
        ("$(eval \"'$(var body)' in ('mock', 'simulated') and not $(var n) == 8\")", "True"),
        ("cost: 5$", "cost: 5$"),
    ],
)
def test_known_results(text, result):
    assert substitute(text, VALUES) == result


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("$(var nothing)", "no argument or variable 'nothing' here; there are body, n, which"),
        ("$(command ls)", "unknown substitution"),
        ("$(var body", "no closing bracket"),
        ("$(eval \"'a)", 'no closing "'),
        ("$(var a b)", "takes 1 arguments"),
        ("$(env FIRSTHAND_NOWHERE)", "gives no default"),
        ("$(find-pkg-share other)", "ros2 launch finds them all"),
        ("$(eval '__import__(1)')", "compares literals"),
        ("$(eval '1 +')", "cannot read"),
        ("\\$(var body)", "backslashes"),
    ],
)
def test_errors_say_what_is_wrong(text, error):
    with pytest.raises(LaunchError) as caught:
        substitute(text, VALUES)
    assert error in str(caught.value)


def test_environment(monkeypatch):
    monkeypatch.setenv("FIRSTHAND_SOMEWHERE", "here")
    assert substitute("$(env FIRSTHAND_SOMEWHERE there)", VALUES) == "here"


def test_conditions_as_ros_reads_them():
    assert [is_true(text) for text in ("true", "True", "1", "false", "0")] == [True, True, True, False, False]
    with pytest.raises(LaunchError, match="a condition is true, false"):
        is_true("yes")
