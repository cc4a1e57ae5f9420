"""A node's parameters are the fields of one frozen settings dataclass.

The same class is what the node works with, what `ros2 param describe` shows, and what the files in `config/` are
held to:

    @dataclass(frozen=True)
    class CameraSettings:
        rate: float = setting(25.0, "Pictures per second, [Hz].", minimum=1.0, maximum=120.0)
        source: str = setting("simulation", "Where pictures come from.", choices=("simulation", "video"))

Fields are bool, int, float, str, or a tuple of one of them (tuple[str, ...]). ROS is imported only when a node is
there: checking a configuration needs none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from firsthand.errors import LaunchError

if TYPE_CHECKING:
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.node import Node

T = TypeVar("T")
Scalar = bool | int | float | str

ALWAYS_THERE = ("use_sim_time", "start_type_description_service", "qos_overrides.")
"""Parameters, or beginnings of their names, that rclpy declares by itself."""


@dataclass(frozen=True)
class Setting:
    """One parameter of a node."""

    name: str
    type: type  # bool, int, float or str; of the elements where `many`
    many: bool  # an array
    default: Any
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[Scalar, ...]
    read_only: bool


def setting(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[Scalar] = (),
    read_only: bool = True,
) -> Any:
    """A dataclass field that is a ROS parameter.

    Args:
        default: Also says the type, together with the annotation.
        description: One sentence, with the unit.
        minimum: Smallest value that is allowed, for numbers.
        maximum: Largest value that is allowed, for numbers.
        choices: All values that are allowed, if they can be listed.
        read_only: Whether the value is settled when the node starts; a node that lets it change watches it.
    """
    metadata = {"description": description, "minimum": minimum, "maximum": maximum}
    return field(default=default, metadata={**metadata, "choices": tuple(choices), "read_only": read_only})


def read_parameters(node: "Node", settings_class: type[T]) -> T:
    """Declare one parameter per field of a settings dataclass and read them all.

    Args:
        node: Where to declare; values from the command line and from parameter files are already known to it.
        settings_class: A frozen dataclass whose fields are made with `setting`.

    Raises:
        LaunchError: A value of another type, out of range, or for a parameter that the node does not have.
    """
    # rclpy keeps what was given on the command line here, drops what is never declared, and has no public way to ask.
    given = {name: parameter.value for name, parameter in node._parameter_overrides.items()}
    settings = check_parameters(settings_class, given, owner=node.get_name())
    for known in list_settings(settings_class):
        value = getattr(settings, known.name)
        node.declare_parameter(
            known.name, list(value) if known.many else value, _descriptor(known), ignore_override=True
        )
    return settings


def check_parameters(settings_class: type[T], given: Mapping[str, Any], owner: str = "the node") -> T:
    """The settings that a mapping of values gives; the others keep their defaults.

    Args:
        settings_class: A dataclass whose fields are made with `setting`.
        given: Values by name, as a parameter file has them.
        owner: Named in error messages.

    Raises:
        LaunchError: A value of another type, out of range, or for a parameter that the class does not have.
    """
    known = {one.name: one for one in list_settings(settings_class)}
    unknown = [name for name in given if name not in known and not name.startswith(ALWAYS_THERE)]
    if unknown:
        raise LaunchError(f"{owner} has no parameter {', '.join(unknown)}; it has {', '.join(known)}")
    return settings_class(**{name: _checked(known[name], given[name], owner) for name in given if name in known})


def list_settings(settings_class: type) -> tuple[Setting, ...]:
    """Every parameter of a settings dataclass, in order."""
    hints = get_type_hints(settings_class)
    return tuple(_setting(one, hints[one.name]) for one in fields(settings_class))


def _setting(one: Any, annotation: Any) -> Setting:
    many = get_origin(annotation) is tuple
    element = get_args(annotation)[0] if many else annotation
    if element not in (bool, int, float, str) or one.default is MISSING:
        raise LaunchError(
            f"setting {one.name!r} needs a default and a type that ROS parameters have: bool, int, float, str "
            f"or tuple[..., ...]; it is {annotation}"
        )
    about = one.metadata
    return Setting(
        one.name, element, many, one.default, about.get("description", ""), about.get("minimum"),
        about.get("maximum"), about.get("choices", ()), about.get("read_only", True),
    )  # fmt: skip


def _checked(known: Setting, value: Any, owner: str) -> Any:
    """The value as the settings class wants it, or an error that says what would do."""
    what = f"parameter {known.name!r} of {owner}"
    if not known.many:
        return _checked_scalar(known, value, what)
    if value is None:  # what ROS makes of [] in a parameter file
        return ()
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise LaunchError(f"{what} takes a list of {known.type.__name__}, got {value!r}")
    return tuple(_checked_scalar(known, element, what) for element in value)


def _checked_scalar(known: Setting, value: Any, what: str) -> Any:
    if known.type is float and type(value) is int:
        value = float(value)  # `rate: 25` in a file means 25.0
    if type(value) is not known.type:
        raise LaunchError(f"{what} is of type {known.type.__name__}, got {value!r} of type {type(value).__name__}")
    if known.choices and value not in known.choices:
        raise LaunchError(f"{what} is one of {', '.join(map(repr, known.choices))}; got {value!r}")
    if not _inside(value, known.minimum, known.maximum):
        raise LaunchError(f"{what} lies {_range(known.minimum, known.maximum)}; got {value!r}")
    return value


def _inside(value: Any, low: float | None, high: float | None) -> bool:
    """Whether a value lies within the limits that there are; NaN never does."""
    return (low is None or value >= low) and (high is None or value <= high)


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at or below {high}"
    return f"at or above {low}" if high is None else f"between {low} and {high}"


def _descriptor(known: Setting) -> "ParameterDescriptor":
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    descriptor = ParameterDescriptor(description=known.description, read_only=known.read_only)
    if known.choices:
        descriptor.additional_constraints = f"one of {', '.join(map(str, known.choices))}"
    if known.many:
        descriptor.dynamic_typing = True  # an empty list has no type of its own
    elif known.type is float and (known.minimum is not None or known.maximum is not None):
        low, high = known.minimum, known.maximum
        limits = (-1e308 if low is None else float(low), 1e308 if high is None else float(high))
        descriptor.floating_point_range.append(FloatingPointRange(from_value=limits[0], to_value=limits[1]))
    elif known.type is int and (known.minimum is not None or known.maximum is not None):
        low, high = known.minimum, known.maximum
        span = (-(2**63) if low is None else int(low), 2**63 - 1 if high is None else int(high))
        descriptor.integer_range.append(IntegerRange(from_value=span[0], to_value=span[1], step=1))
    return descriptor
