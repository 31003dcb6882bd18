"""Whom a delivery to an external file is for: the lines of a population without a dimension, such as a file
that a workflow has loaded (delivery.md §1.1; docs/adr/0013, 0020).

They stand in no table of people. The logs know them by a number that is made of the run and the line: below
zero, and below that of any seed address (architecture §2.5).
"""

from django.db import connection
from django.utils.translation import gettext as _

from envoi.engine import access, population
from envoi.engine.population import Column, Population
from envoi.kernel.errors import Conflict, Invalid
from envoi.kernel.query.scope import quoted
from envoi.kernel.rights import Actor
from envoi.packages.delivery.models import Delivery, DeliveryMapping
from envoi.packages.delivery.services.deliveries import targeting

SEEDS = 10**15
"""Seed addresses have less numbers than that."""
LINES = 10**9
"""Lines of one population: the numbers of a run are as many, side by side with those of the next."""
MAPPING = "mapExternalFile"
_HEADERS = {
    "email": "email", "mobile": "mobilePhone", "phone": "phone", "fax": "fax", "postal": "location/address1",
}  # fmt: skip
"""What a mapping calls an address, and the attribute of a profile whose headers in files are known."""


def concerns(mapping: DeliveryMapping) -> bool:
    """Return whether this is the mapping of external files: it has no dimension."""
    return not mapping.schema


def base(run_id: int) -> int:
    """Return what is added to the number of a line to get its target in a run; targets rise with lines."""
    return -SEEDS - (run_id + 1) * LINES


def line(target_id: int) -> int:
    """Return the line of a target of whatever run."""
    return (target_id + SEEDS) % LINES


def key(mapping: DeliveryMapping, run_id: int, column: str) -> str:
    """Return SQL for the target of a row of a population: the row's `id`, given as `column`, where the
    mapping has a dimension.
    """
    return f"({base(run_id)} + {column})" if concerns(mapping) else column


def table_of(delivery: Delivery) -> str:
    """Return the population that a delivery is for, or whose data it shows: a proof has that of what it
    proves. Empty without one.
    """
    own = targeting.read(delivery.targeting, proof=delivery.fcp).table
    proved = delivery.parent if delivery.fcp else None
    return own or (targeting.read(proved.targeting).table if proved else "")


def source(delivery: Delivery, *, actor: Actor) -> Population:
    """Return the population whose lines are the target.

    Raises Conflict when it is gone, or the actor may not see its workflow; Invalid when its rows are those of
    a dimension, or its keys are no lines.
    """
    table = table_of(delivery)
    stored = population.stored(table) if table else None
    if stored is None or not access.visible(actor).filter(pk=stored[1]).exists():
        raise Conflict(_("The population %(table)s is there no more.") % {"table": table})
    found = stored[0]
    if found.dimension:
        raise Invalid(
            _("The population holds rows of %(schema)s: choose a delivery on the mapping of these.")
            % {"schema": found.dimension}
        )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM {quoted(table)} WHERE id NOT BETWEEN 0 AND %s LIMIT 1",  # noqa: S608 quoted
            [LINES - 1],
        )
        if cursor.fetchone():
            raise Invalid(
                _("The population %(table)s has a row whose number is no line of a file.") % {"table": table}
            )
    return found


def seed_address(kind: str) -> str:
    """Return the expression of an address of this kind over seed addresses."""
    element, _slash, name = _HEADERS[kind].rpartition("/")
    return f"[{element}/@{name}]" if element else f"@{name}"


def column(delivery: Delivery, lines: Population, kind: str) -> Column:
    """Return the column that holds an address: the one that the target of the delivery names, or the mapping,
    else the first one that is called like it. `kind` is what a mapping calls the address.

    Raises Invalid when there is none.
    """
    from envoi.packages.delivery.services.imports.proposal import SYNONYMS, folded

    proved = delivery.parent if delivery.fcp else None
    said = [targeting.read(each.targeting, proof=each.fcp).columns for each in (delivery, proved) if each]
    told = [each[kind] for each in map(dict, said) if kind in each]
    named = str(next(iter(told), "") or delivery.mapping.addresses.get(kind, ""))
    if named:
        found = lines.column(named.strip("[]@"))
        if found is None:
            raise Invalid(
                _("The file has no column %(name)r; it has %(known)s.")
                % {"name": named, "known": ", ".join(each.attribute for each in lines.columns) or "-"}
            )
        return found
    attribute = _HEADERS[kind]
    names = {folded(attribute.rpartition("/")[2]), *SYNONYMS.get(attribute, ())}
    for each in lines.columns:
        if folded(each.attribute) in names or folded(each.label) in names:
            return each
    raise Invalid(
        _(
            "No column of the file looks like an address for this channel: name it (columns/%(kind)s). It has"
            " %(known)s."
        )
        % {"kind": kind, "known": ", ".join(each.attribute for each in lines.columns) or "-"}
    )
