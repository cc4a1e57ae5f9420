"""A settings dataclass is a node's parameters: declared, described, checked."""

from dataclasses import dataclass

import pytest

from firsthand.errors import LaunchError
from firsthand.nodes.parameters import check_parameters, list_settings, read_parameters, setting


@dataclass(frozen=True)
class ExampleSettings:
    rate: float = setting(25.0, "How often, [Hz].", minimum=1.0, maximum=100.0)
    threads: int = setting(1, "How many.", minimum=1)
    source: str = setting("film", "Where from.", choices=("film", "life"))
    loop: bool = setting(False, "Again.", read_only=False)
    names: tuple[str, ...] = setting((), "Who.")
    gains: tuple[float, ...] = setting((1.0, 2.0), "How much.", minimum=0.0)


def test_defaults():
    assert check_parameters(ExampleSettings, {}) == ExampleSettings()


def test_values_take_the_types_of_their_fields():
    settings = check_parameters(ExampleSettings, {"rate": 30, "names": ["a", "b"], "gains": [1, 2.5], "loop": True})
    assert settings == ExampleSettings(rate=30.0, names=("a", "b"), gains=(1.0, 2.5), loop=True)
    assert isinstance(settings.rate, float)


def test_an_empty_list_of_a_parameter_file_is_one():
    assert check_parameters(ExampleSettings, {"names": None, "gains": []}) == ExampleSettings(names=(), gains=())


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"rat": 5.0}, "camera has no parameter rat; it has rate, threads, source, loop, names, gains"),
        ({"rate": "fast"}, "'rate' of camera is of type float, got 'fast' of type str"),
        ({"rate": True}, "is of type float, got True of type bool"),
        ({"rate": 101.0}, "'rate' of camera lies between 1.0 and 100.0; got 101.0"),
        ({"rate": float("nan")}, "got nan"),
        ({"threads": 0}, "lies at or above 1; got 0"),
        ({"threads": 1.5}, "is of type int, got 1.5"),
        ({"threads": True}, "is of type int, got True"),
        ({"source": "dream"}, "is one of 'film', 'life'; got 'dream'"),
        ({"names": "abc"}, "takes a list of str, got 'abc'"),
        ({"gains": [1.0, -1.0]}, "lies at or above 0.0; got -1.0"),
    ],
)
def test_errors_name_the_parameter_and_what_would_work(given, error):
    with pytest.raises(LaunchError) as caught:
        check_parameters(ExampleSettings, given, owner="camera")
    assert error in str(caught.value)


def test_what_every_ros_node_has_is_not_unknown():
    check_parameters(ExampleSettings, {"use_sim_time": True, "qos_overrides./x.publisher.depth": 3})


def test_a_field_without_default_or_of_another_type_is_a_mistake():
    @dataclass(frozen=True)
    class WrongSettings:
        path: dict = None

    with pytest.raises(LaunchError, match="setting 'path' needs a default and a type that ROS parameters have"):
        list_settings(WrongSettings)


def test_settings_are_listed():
    first = list_settings(ExampleSettings)[0]
    assert (first.name, first.type, first.default, first.description) == ("rate", float, 25.0, "How often, [Hz].")
    assert (first.minimum, first.maximum, first.read_only) == (1.0, 100.0, True)


@pytest.mark.ros
class TestOnANode:
    @pytest.fixture
    def make(self, ros):
        pytest.importorskip("rclpy")
        from firsthand.nodes.process import RunnableNode

        class Example(RunnableNode):
            def __init__(self, **options):
                super().__init__("example", **options)
                self.settings = read_parameters(self, ExampleSettings)

        return lambda **parameters: ros.make(Example, **parameters)

    def test_overrides_are_read(self, make):
        node = make(rate=30, names=["a"], gains=[0.5])
        assert node.settings == ExampleSettings(rate=30.0, names=("a",), gains=(0.5,))
        assert node.get_parameter("rate").value == 30.0
        assert node.get_parameter("names").value == ["a"]

    def test_the_descriptor_tells_tools(self, make):
        node = make()
        rate, source = node.describe_parameter("rate"), node.describe_parameter("source")
        assert (rate.description, rate.read_only) == ("How often, [Hz].", True)
        assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (1.0, 100.0)
        assert node.describe_parameter("threads").integer_range[0].from_value == 1
        assert source.additional_constraints == "one of film, life"

    def test_what_is_read_only_stays(self, make):
        from rclpy.parameter import Parameter

        node = make()
        fixed, free = node.set_parameters([Parameter("rate", value=5.0), Parameter("loop", value=True)])
        assert not fixed.successful
        assert free.successful
        assert node.get_parameter("rate").value == 25.0

    def test_an_unknown_parameter_stops_the_node(self, make):
        with pytest.raises(LaunchError, match="example has no parameter rat"):
            make(rat=5.0)
