"""`$(...)` in launch files: the part of ROS 2's substitutions that our files use, with the same results.

$(var NAME)               a launch argument or a `let`
$(env NAME [DEFAULT])     an environment variable
$(find-pkg-share NAME)    a package's share folder; here only our own
$(dirname)                the folder of the launch file
$(eval "EXPRESSION")      comparisons of literals, with and, or, not: $(eval "'$(var body)' == 'mock'")
"""

import ast
import operator
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from firsthand.errors import LaunchError
from firsthand.share import share_directory

PACKAGE = "firsthand"
SPECIAL = re.compile(r"\$\(|[\\]")
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Values:
    """What substitutions look things up in."""

    variables: Mapping[str, str]  # arguments and `let`s by name
    directory: Path  # of the launch file


def has_substitution(text: str) -> bool:
    """Whether there is anything to substitute; it changes how ROS 2 reads the type of a parameter."""
    return "$(" in text


def substitute(text: str, values: Values) -> str:
    """Replace every substitution in a text.

    Raises:
        LaunchError: An unknown name or substitution, or one that is not closed.
    """
    return _Parser(text, values).template()


def is_true(text: str) -> bool:
    """The truth of an `if` or `unless`, as ROS 2 reads it.

    Raises:
        LaunchError: Neither true, false, 1 nor 0.
    """
    truth = {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower())
    if truth is None:
        raise LaunchError(f"a condition is true, false, 1 or 0; got {text!r}")
    return truth


class _Parser:
    """Reads a text from left to right, evaluating substitutions from the inside out."""

    def __init__(self, text: str, values: Values) -> None:
        self.text = text
        self.values = values
        self.at = 0

    def template(self, closing: str = "") -> str:
        """Everything up to a closing quote, or to the end of the text."""
        result = ""
        while self.at < len(self.text) and self.text[self.at] != closing:
            result += self.part()
        if closing and self.at == len(self.text):
            raise LaunchError(f"no closing {closing} in {self.text!r}")
        return result

    def part(self) -> str:
        """One character, or one substitution."""
        if self.text[self.at] == "\\":
            raise LaunchError(f"backslashes are not supported in launch files; got {self.text!r}")
        if self.text.startswith("$(", self.at):
            return self.substitution()
        self.at += 1
        return self.text[self.at - 1]

    def substitution(self) -> str:
        """`$(name argument ...)`, with the cursor on the dollar sign."""
        name = IDENTIFIER.match(self.text, self.at + 2)
        if not name or name[0] not in SUBSTITUTIONS:
            known = ", ".join(f"$({one} ...)" for one in SUBSTITUTIONS)
            raise LaunchError(f"unknown substitution at {self.text[self.at :]!r}; there are {known}")
        self.at = name.end()
        arguments = []
        while self.text[self.at : self.at + 1] == " ":
            self.at += 1
            arguments.append(self.argument())
        if self.text[self.at : self.at + 1] != ")":
            raise LaunchError(f"no closing bracket of $({name[0]} in {self.text!r}")
        self.at += 1
        function, counts = SUBSTITUTIONS[name[0]]
        if len(arguments) not in counts:
            raise LaunchError(f"$({name[0]}) takes {' or '.join(map(str, counts))} arguments, got {arguments}")
        return function(self.values, *arguments)

    def argument(self) -> str:
        """One argument of a substitution: quoted, or up to a space or bracket."""
        quote = self.text[self.at : self.at + 1]
        if quote in ("'", '"'):
            self.at += 1
            result = self.template(closing=quote)
            self.at += 1
            return result
        result = ""
        while self.at < len(self.text) and self.text[self.at] not in " ()'\"":
            result += self.part()
        return result


def _var(values: Values, name: str) -> str:
    if name not in values.variables:
        raise LaunchError(f"no argument or variable {name!r} here; there are {', '.join(values.variables) or 'none'}")
    return values.variables[name]


def _env(values: Values, name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise LaunchError(f"the environment has no {name}, and $(env {name}) gives no default")
    return value


def _find_share(values: Values, package: str) -> str:
    if package != PACKAGE:
        raise LaunchError(
            f"firsthand launch finds the package {PACKAGE!r} only, not {package!r}; ros2 launch finds them all"
        )
    return str(share_directory())


def _directory(values: Values) -> str:
    return str(values.directory)


def _eval(values: Values, expression: str) -> str:
    try:
        return str(_value_of(ast.parse(expression, mode="eval").body))
    except SyntaxError as error:
        raise LaunchError(f"$(eval) cannot read {expression!r}: {error.msg}") from error


SUBSTITUTIONS: dict[str, tuple[Callable[..., str], tuple[int, ...]]] = {
    "var": (_var, (1,)),
    "env": (_env, (1, 2)),
    "find-pkg-share": (_find_share, (1,)),
    "dirname": (_directory, (0,)),
    "eval": (_eval, (1,)),
}
"""Each substitution and how many arguments it takes."""

COMPARISONS: dict[type, Callable[[object, object], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda left, right: operator.contains(right, left),  # type: ignore[arg-type]
    ast.NotIn: lambda left, right: not operator.contains(right, left),  # type: ignore[arg-type]
}


def _value_of(node: ast.expr) -> object:
    """The value of an expression out of literals, comparisons, and, or, not: enough for conditions, and no code."""
    if isinstance(node, ast.BoolOp):
        parts = [_value_of(part) for part in node.values]
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not _value_of(node.operand)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
        return COMPARISONS[type(node.ops[0])](_value_of(node.left), _value_of(node.comparators[0]))
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise LaunchError(
            f"$(eval) compares literals with ==, !=, in, and, or, not; got {ast.unparse(node)!r}"
        ) from None
