"""Put something round a named function of the production code, which itself knows of no drill."""

import inspect
from collections.abc import Callable
from typing import Any

from pipeline.errors import RefusedError

Function = Callable[..., Any]


def wrap(owner: Any, name: str, around: Callable[[Function], Function]) -> None:
    """Replace the function `name` of a module or class by what `around` makes of it.

    Raises RefusedError where it isn't there any more, is no function, has become (or is no more) a coroutine, or takes other
    arguments than the wrapper: a seam that moved must not become a drill that does nothing.
    """
    found = inspect.getattr_static(owner, name, None)
    plain = found.__func__ if isinstance(found, classmethod) else found
    if not inspect.isfunction(plain):
        raise RefusedError(f"{_path(owner, name)} is no function (any more): the drill's seam must follow the code")
    wrapper = around(plain)
    if inspect.iscoroutinefunction(plain) != inspect.iscoroutinefunction(wrapper):
        raise RefusedError(f"{_path(owner, name)} and the drill's wrapper are not both (or neither) coroutines")
    expected, taken = _named(wrapper), _named(plain)
    if taken[: len(expected)] != expected:
        raise RefusedError(f"{_path(owner, name)} takes {', '.join(taken)}; the drill's wrapper {', '.join(expected)}")
    setattr(owner, name, classmethod(wrapper) if isinstance(found, classmethod) else wrapper)


def _named(function: Function) -> list[str]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        parameter.name.lstrip("_")
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind not in kinds
    ]


def _path(owner: Any, name: str) -> str:
    module = "" if inspect.ismodule(owner) else f"{owner.__module__}."
    return f"{module}{owner.__name__}.{name}"
