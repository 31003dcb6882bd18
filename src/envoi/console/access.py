"""Who may see a page: signed-in operators, unless the page is marked public."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest

from envoi.kernel.rights import Actor, Right

View = TypeVar("View", bound=Callable[..., Any])


def public(view: View) -> View:
    """Mark a view that everyone may reach without signing in."""
    view.public = True  # pyright: ignore[reportFunctionMemberAccess]
    return view


def is_public(view: Callable[..., Any]) -> bool:
    """Return whether `view` is marked; views of other rooms (health, API) check their callers themselves."""
    return getattr(view, "public", False)


def actor_of_request(request: HttpRequest) -> Actor:
    """Return the actor of a signed-in request; the middleware has set it before any view runs."""
    actor = getattr(request, "actor", None)
    assert isinstance(actor, Actor)  # noqa: S101 - a programming error, not an input
    return actor


def administrators_only(request: HttpRequest, *, to: str) -> Actor:
    """Return the actor, or raise NotAllowed when the actor is no administrator; `to` says what was asked."""
    actor = actor_of_request(request)
    actor.require(Right.ADMINISTRATION, to=to)
    return actor
