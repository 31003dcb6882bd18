"""What the engine does for schemas that an instance extends: tells which workflows use a field, and makes the
indexes of added links in the workers' threads.
"""

from django.utils.translation import gettext as _

from envoi.engine import background
from envoi.engine.models import Workflow
from envoi.kernel.extensions import Member, Use, indexes, schema_uses

INDEXES = "indexes of added links"


@background.work(INDEXES)
def make_indexes(number: int) -> None:
    """Make the indexes that are to be made, whatever the number."""
    indexes.make()


@background.lost.answer
def begun() -> list[tuple[str, int]]:
    """Return the one piece of work, while some index is yet to be made."""
    return [(INDEXES, 0)] if indexes.pending() else []


@schema_uses.answer
def workflows(member: Member) -> list[Use]:
    """Return the workflows whose present definition speaks of a member of a schema."""
    found = Workflow.objects.filter(definition__icontains=member.word).order_by("internal_name")
    return [
        Use(_("Workflow"), each.internal_name)
        for each in found.only("internal_name", "definition", "script")
        if member.in_document(each.definition) or member.in_document(each.script)
    ]
