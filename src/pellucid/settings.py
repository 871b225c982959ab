"""Base class of settings: types, choices and ranges are validated when they are made.

>>> @dataclass(frozen=True)
... class Example(Settings):
...     optimizer: Literal["muon", "adam"] = "muon"
...     rate: float = setting(0.1, above=0)
>>> Example(optimizer="sgd")
Traceback (most recent call last):
...
pellucid.errors.UserError: Expected optimizer among muon, adam, found 'sgd'; choose one of these.
>>> Example(rate=-1.0)
Traceback (most recent call last):
...
pellucid.errors.UserError: Expected rate above 0, found -1.0.
"""

import math
import types
from dataclasses import Field, dataclass, field, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pellucid.errors import UserError

NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def setting(default: Any, *, above: float = -math.inf, least: float = -math.inf, below: float = math.inf, most: float = math.inf) -> Any:
    """A field of a `Settings` class with a range, which holds for each element of a tuple; above, below: exclusive bounds; least, most:
    inclusive ones."""
    return field(default=default, metadata={"above": above, "least": least, "below": below, "most": most})


@dataclass(frozen=True)
class Settings:
    """Base class of settings; raises `UserError` for a value of the wrong type, or outside its choices or range.

    Subclasses check settings that depend on one another in their own `__post_init__`, after this one.
    """

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for each in fields(self):
            check(each, kinds[each.name], getattr(self, each.name))


def check(declared: "Field[Any]", kind: Any, value: Any) -> None:
    """Raise `UserError` for a value that does not match a type hint, `kind`, or is outside the declared range."""
    options = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    if value is None and type(None) in options:
        return
    wanted = [_wanted(declared.name, option, value) for option in options if option is not type(None)]
    if all(wanted):
        advice = "; choose one of these" if any(get_origin(option) is Literal for option in options) else ""
        raise UserError(f"Expected {' or '.join(wanted)}, found {value!r}{advice}.")
    numbers = value if isinstance(value, tuple) else (value,)
    if declared.metadata and not all(_in_range(number, **declared.metadata) for number in numbers):
        raise UserError(f"Expected {declared.name} {_range(**declared.metadata)}, found {value}.")


def _wanted(name: str, kind: Any, value: Any) -> str:
    """What a type hint wants, as text; empty if the value has that type. An int is also a float, a bool is neither."""
    if get_origin(kind) is Literal:
        return "" if value in get_args(kind) else f"{name} among {', '.join(map(str, get_args(kind)))}"
    if get_origin(kind) is tuple:
        element = get_args(kind)[0]
        matches = isinstance(value, tuple) and not any(_wanted(name, element, each) for each in value) and (value or element not in NAMES)
        return "" if matches else f"{name} as a list, {NAMES.get(element, 'settings by their names')} for each"
    if kind in NAMES:
        return "" if type(value) is kind or (kind is float and type(value) is int) else f"{name} as {NAMES[kind]}"
    matches = isinstance(value, kind) or not issubclass(kind, Settings)
    return "" if matches else f"settings by their names under {name}, such as {fields(kind)[0].name}"


def _in_range(number: Any, above: float, least: float, below: float, most: float) -> bool:
    return bool(above < number < below and least <= number <= most)  # not for NaN


def _range(above: float, least: float, below: float, most: float) -> str:
    """A range as text: `above 0`, `of at least 1`, `in [0, 1)`."""
    low, high = max(above, least), min(below, most)
    if math.isinf(high):
        return f"above {low:g}" if above > least else f"of at least {low:g}"
    return f"in {'(' if above > least else '['}{low:g}, {high:g}{')' if below < most else ']'}"
