"""Tests as records: versions are made as deliveries of their own, which are written like any other."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from envoi.kernel import clock
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import AbTest, AbVersion, Channel, Delivery, ValidationMode
from envoi.packages.delivery.services import file_target
from envoi.packages.delivery.services.ab_testing.criteria import DEFAULT, criterion
from envoi.packages.delivery.services.ab_testing.deciding import BEST, TIES
from envoi.packages.delivery.services.deliveries import records

LETTERS = "ABCD"
LEAST, MOST = 2, len(LETTERS)
SHARE = 10
WAIT = timedelta(days=5)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=60)


def of(delivery: Delivery) -> AbTest | None:
    """Return the test of a delivery, or that which a delivery is a version of."""
    test = AbTest.objects.filter(delivery=delivery).first()
    if test is None:
        version = AbVersion.objects.select_related("test").filter(delivery=delivery).first()
        test = version.test if version else None
    return test


def make(delivery: Delivery, *, actor: Actor, count: int = LEAST) -> AbTest:
    """Make a test of a delivery with `count` versions, each a copy of it that is changed then.

    Raises Invalid, Conflict for what is no e-mail to a target of its own or has a test already, NotAllowed.
    """
    if not LEAST <= count <= MOST:
        raise Invalid(_("A test has %(least)d to %(most)d versions.") % {"least": LEAST, "most": MOST})
    if delivery.is_model or delivery.fcp or Channel(delivery.message_type) is not Channel.EMAIL:
        raise Conflict(
            _("Versions are tested of deliveries by e-mail: %(label)s is none.") % {"label": delivery.label}
        )
    if file_target.concerns(delivery.mapping) or delivery.targeting.get("table"):
        raise Conflict(
            _("The target of %(label)s comes from a workflow or a file: put the test into the workflow.")
            % {"label": delivery.label}
        )
    if of(delivery) is not None:
        raise Conflict(_("%(label)s has a test already.") % {"label": delivery.label})
    with transaction.atomic():
        test = AbTest.objects.create(
            delivery=delivery,
            criterion=DEFAULT,
            wait_seconds=int(WAIT.total_seconds()),
            tie=BEST,
            created_at=clock.now(),
        )
        for letter in LETTERS[:count]:
            _version(test, letter, actor)
    return test


def set_up(
    test: AbTest,
    *,
    actor: Actor,
    criterion_name: str,
    wait: timedelta,
    shares: Mapping[str, int],
    least: int = 0,
    tie: str = BEST,
    automatic: bool = True,
) -> None:
    """Set how a test is decided that was not started; `shares`: letter -> per cent. A letter that is new adds
    a version, one that is missing takes it away. Raises Invalid, Conflict, NotAllowed.
    """
    require_unstarted(test, actor)
    criterion(criterion_name)
    if not SHORTEST <= wait <= LONGEST:
        raise Invalid(_("The test waits from a minute to 60 days."))
    if tie not in TIES:
        raise Invalid(_("%(value)r is not one of %(known)s.") % {"value": tie, "known": ", ".join(TIES)})
    letters: Sequence[str] = sorted(shares)
    if "".join(letters) != LETTERS[: len(letters)] or not LEAST <= len(letters) <= MOST:
        raise Invalid(_("A test has %(least)d to %(most)d versions.") % {"least": LEAST, "most": MOST})
    if any(each < 1 for each in shares.values()) or sum(shares.values()) > 99:
        raise Invalid(
            _("Each version has a share of at least 1 %, and all of them leave something: 99 % at most.")
        )
    if least < 0:
        raise Invalid(_("The least number of messages must be 0, or a number above it."))
    with transaction.atomic():
        known = {each.letter: each for each in test.versions.select_related("delivery__folder")}
        for letter, version in known.items():
            if letter not in shares:
                version.delete()
                records.delete(version.delivery, actor=actor)
        for letter, share in shares.items():
            version = known.get(letter) or _version(test, letter, actor)
            version.share = share
            version.save(update_fields=["share"])
        test.criterion, test.wait_seconds = criterion_name, int(wait.total_seconds())
        test.least_messages, test.tie, test.automatic = least, tie, automatic
        test.save()


def remove(test: AbTest, *, actor: Actor) -> None:
    """Take a test away that was not started, with its versions. Raises Conflict, NotAllowed."""
    require_unstarted(test, actor)
    with transaction.atomic():
        versions = [each.delivery for each in test.versions.select_related("delivery__folder")]
        test.delete()
        for each in versions:
            records.delete(each, actor=actor)


def choose(test: AbTest, number: int, *, actor: Actor) -> None:
    """Choose the version that goes to the rest, while the test waits for somebody. Raises NotFound, Conflict,
    NotAllowed without START DELIVERIES.
    """
    actor.require(Right.START_DELIVERIES, to=_("start deliveries"))
    version = test.versions.filter(delivery_id=number).first()
    if version is None:
        raise NotFound(_("This is no version of the test."))
    touched = AbTest.objects.filter(pk=test.pk, final_id=None, winner=None).update(winner_id=number)
    if not touched:
        raise Conflict(_("The test was decided already: look again."))


def require_unstarted(test: AbTest, actor: Actor) -> None:
    """Raise Conflict when a test was started, NotAllowed without PREPARE DELIVERIES."""
    actor.require(Right.PREPARE_DELIVERIES, to=_("prepare deliveries"))
    if AbTest.objects.filter(pk=test.pk).exclude(workflow_id=None).exists():
        raise Conflict(_("The test was started: it cannot be changed any more."))


def _version(test: AbTest, letter: str, actor: Actor) -> AbVersion:
    base = test.delivery
    made = records.create(
        base,
        actor=actor,
        label=f"{base.label[:124]} – {letter}",
        folder=base.folder,
        validation_mode=ValidationMode.MANUAL,
        operation_id=base.operation_id,
    )
    return AbVersion.objects.create(test=test, delivery=made, letter=letter, share=SHARE)
