"""Options that several commands share: written once, and added to each command's own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from fleetgate.cli import logs

T = TypeVar("T")
P = ParamSpec("P")


def option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """One shared option, as it would stand in a command's signature."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def sharing(
    options: Sequence[inspect.Parameter], gather: Callable[..., T]
) -> Callable[[Callable[Concatenate[T, P], Awaitable[None]]], Callable[..., None]]:
    """A decorator: the command has its own options and *options*, and is called with what *gather* makes of the latter
    in the first place.
    """

    def decorate(function: Callable[Concatenate[T, P], Awaitable[None]]) -> Callable[..., None]:
        def command(**given: Any) -> None:
            logs.quiet()
            gathered = gather(**{each.name: given.pop(each.name) for each in options})
            asyncio.run(_awaited(function(gathered, **given)))  # type: ignore[call-arg] # as its signature says

        signature = inspect.signature(function, eval_str=True)
        parameters = [*list(signature.parameters.values())[1:], *options]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what typer looks at
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        return command

    return decorate


async def _awaited(work: Awaitable[None]) -> None:
    await work
