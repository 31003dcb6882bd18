"""Tries an account on its server: the test button."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.accounts import store
from envoi.kernel.accounts.opened import Failed, Untried
from envoi.kernel.accounts.types import type_of
from envoi.kernel.errors import Broken, Invalid, Retry
from envoi.kernel.rights import Actor, Right


@dataclass(frozen=True)
class Outcome:
    """What a trial found. `ok` is None when no trial is known; `text` is a sentence without secrets."""

    ok: bool | None
    text: str
    seconds: float


def test(name: str, *, actor: Actor) -> Outcome:
    """Connect to the server of an account as it is stored, sign in, and say what came of it.

    Takes `network.PATIENCE` seconds at most after the name of the server is resolved. Writes a line of the
    audit trail. Raises NotAllowed without ADMINISTRATION, NotFound.
    """
    actor.require(Right.ADMINISTRATION, to="test an external account")
    account = store.find(name, actor=actor)
    kind = type_of(account.type)
    try:
        opened, began = store.opened(account), clock.monotonic()
    except Broken as error:
        # A database that was restored without its key: the message says so, and what to do.
        return Outcome(False, str(error), 0)
    ok: bool | None
    try:
        if kind.probe is None:
            raise Untried(_("No test is known for this type of account."))
        ok, text = True, kind.probe(opened)
    except Untried as untried:
        ok, text = None, str(untried)
    except (Failed, Invalid, Retry) as failure:
        ok, text = False, str(failure)
    outcome = Outcome(ok, opened.concealed(text), clock.monotonic() - began)
    if ok is not None:
        audit.record(actor, store.ENTITY, name, "Test", account.ext_account_id, {"ok": ok})
    return outcome
