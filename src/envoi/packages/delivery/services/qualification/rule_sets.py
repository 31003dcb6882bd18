"""The rules by which mails and answers are read: those of the product, as rows, and those of operators.

The rows of the product follow its version. An operator switches them off, and writes rules that come before
them; both stay whatever the product brings.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from django.db import connection
from django.db.models import F, Max
from django.utils.translation import gettext as _

from envoi.kernel import audit, clock
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import BroadLogMsg, FailureReason, FailureType, MailRule, MailRuleSet
from envoi.packages.delivery.models.log import Qualification
from envoi.packages.delivery.services.bounces import reply_rule
from envoi.packages.delivery.services.bounces.normalise import plain
from envoi.packages.delivery.services.bounces.rules import Rules, read, shipped

NAME: Final = "defaultBounces"
ENTITY: Final = "nms:mailRule"
OWN_KINDS: Final = ("text", "status")
TYPES: Final = {"hard": FailureType.HARD, "soft": FailureType.SOFT, "ignored": FailureType.IGNORED}
_NAMES: Final = {int(value): name for name, value in TYPES.items()}
_OPEN: Final = 20_000
"""Texts to qualify that a new rule is tried on, the most frequent first."""

_read: dict[tuple[Any, ...], Rules] = {}


def current() -> Rules:
    """Return the rules that hold now; those of the product while no rows are there."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT s.mail_rule_set_id, s.revision, s.modified_at,
                 (SELECT max(mail_rule_id) FROM nms_mail_rule r WHERE r.rule_set_id = s.mail_rule_set_id)
               FROM nms_mail_rule_set s WHERE s.name = %s""",
            [NAME],
        )
        stamp = cursor.fetchone()
    if stamp is None:
        return shipped()
    if stamp not in _read:
        _read.clear()
        _read[stamp] = _built(stamp[0], stamp[1])
    return _read[stamp]


def plant(newer: Rules | None = None) -> None:
    """Bring the rows in line with the rules of this version of the product, or with `newer` ones when they
    are, in the caller's transaction.
    """
    rules, now = shipped(), clock.now()
    if newer is not None and newer.version > rules.version:
        rules = newer
    found, _made = MailRuleSet.objects.get_or_create(
        name=NAME, defaults={"label": "Bounce mails", "modified_at": now}
    )
    if found.version == rules.version:
        return
    wanted: dict[str, dict[str, Any]] = {}
    of_name: Counter[tuple[str, str]] = Counter()
    for kind, each in rules.by_kind.items():
        for number, rule in enumerate(each):
            patterns = [" … ".join(pieces) for pieces in rule.texts] or sorted(rule.codes)
            # Known by its place among those of its name: rules that come before it do not turn it into a new
            # one, so one that an operator switched off stays so.
            place = of_name[rule.name, kind]
            of_name[rule.name, kind] += 1
            wanted[f"{rule.name}:{kind}:{place}"] = {
                "rank": (number + 1) * 10,
                "name": rule.name,
                "kind": kind,
                "failure_type": TYPES[rule.error_type],
                "failure_reason": rule.reason or FailureReason.NONE,
                "patterns": patterns,
                "modified_at": now,
            }
    MailRule.objects.filter(rule_set=found, built_in=True).exclude(key__in=wanted).delete()
    present = set(MailRule.objects.filter(rule_set=found, built_in=True).values_list("key", flat=True))
    for key in present & wanted.keys():
        MailRule.objects.filter(rule_set=found, key=key).update(**wanted[key])
    MailRule.objects.bulk_create(
        MailRule(rule_set=found, key=key, built_in=True, **values)
        for key, values in wanted.items()
        if key not in present
    )
    found.version, found.revision, found.modified_at = rules.version, found.revision + 1, now
    found.save()


def add(
    name: str,
    wordings: Sequence[str],
    failure_type: FailureType,
    failure_reason: FailureReason,
    *,
    actor: Actor,
    kind: str = "text",
) -> MailRule:
    """Write a rule that comes before those of the product, and try it on the texts that are to be qualified.

    A wording begins a word, in any case; " … " in it stands for a few words. Codes are as "5.7.x". Raises
    NotAllowed without ADMINISTRATION, Invalid, Conflict for a name that an own rule has.
    """
    actor.require(Right.ADMINISTRATION, to=_("write mail rules"))
    if kind not in OWN_KINDS:
        raise Invalid(_("A rule looks for wordings or for enhanced status codes."))
    if not name.strip() or len(name) > 64:
        raise Invalid(_("A rule needs a name of at most 64 characters."))
    if failure_type is FailureType.UNDEFINED:
        raise Invalid(_("Say what the text means: ignored, soft or hard."))
    patterns = [found for each in wordings if (found := _wording(each) if kind == "text" else each.strip())]
    if not patterns:
        raise Invalid(_("A rule without a wording would fit nothing."))
    found = _set()
    if MailRule.objects.filter(rule_set=found, key=f"own:{name.strip()}").exists():
        raise Conflict(_("There is a rule %(name)s already.") % {"name": name.strip()})
    own = MailRule.objects.filter(rule_set=found, built_in=False)
    last = own.aggregate(last=Max("rank", default=0))["last"]
    rule = MailRule.objects.create(
        rule_set=found, key=f"own:{name.strip()}", rank=last + 1, name=name.strip(), kind=kind,
        failure_type=failure_type, failure_reason=failure_reason, patterns=patterns, built_in=False,
        modified_at=clock.now(),
    )  # fmt: skip
    audit.record(actor, ENTITY, rule.name, audit.CREATED, rule.pk, {"patterns": patterns})
    _changed(found)
    requalify()
    return rule


def switch(rule_id: int, on: bool, *, actor: Actor) -> None:
    """Switch a rule on or off. Raises NotAllowed without ADMINISTRATION, NotFound."""
    actor.require(Right.ADMINISTRATION, to=_("change mail rules"))
    rule = _rule(rule_id)
    if rule.active == on:
        return
    rule.active, rule.modified_at = on, clock.now()
    rule.save(update_fields=("active", "modified_at"))
    audit.record(actor, ENTITY, rule.name, audit.MODIFIED, rule.pk, {"active": on})
    _changed(rule.rule_set)
    if on:
        requalify()


def remove(rule_id: int, *, actor: Actor) -> None:
    """Delete a rule of an operator. Raises NotAllowed without ADMINISTRATION, NotFound, Conflict for one of
    the product, which can be switched off.
    """
    actor.require(Right.ADMINISTRATION, to=_("delete mail rules"))
    rule = _rule(rule_id)
    if rule.built_in:
        raise Conflict(_("%(name)s comes with the product. Switch it off instead.") % {"name": rule.name})
    audit.record(actor, ENTITY, rule.name, audit.DELETED, rule.pk)
    rule.delete()
    _changed(rule.rule_set)


def requalify() -> int:
    """Try the rules on the texts that are still to be qualified; return how many are known now."""
    rules, known = current(), 0
    texts = BroadLogMsg.objects.filter(qualification=Qualification.TO_QUALIFY).order_by("-occurrences")
    for pk, first_text in texts.values_list("pk", "first_text")[:_OPEN]:
        code, status, text = _parted(first_text)
        rule = reply_rule(text, status, rules)
        if rule is None:
            continue
        failure_type = TYPES[rule.error_type]
        if failure_type is FailureType.HARD and code.startswith("4"):
            failure_type = FailureType.SOFT
        known += BroadLogMsg.objects.filter(pk=pk, qualification=Qualification.TO_QUALIFY).update(
            qualification=Qualification.KEEP,
            failure_type=failure_type,
            failure_reason=rule.reason or FailureReason.NONE,
            rule=rule.name,
            modified_at=clock.now(),
        )
    return known


def _parted(text: str) -> tuple[str, str, str]:
    """Return reply code, enhanced status and the rest of an answer in one line."""
    words = text.split(" ", 2)
    code = words.pop(0) if len(words[0]) == 3 and words[0].isdecimal() else ""
    status = words.pop(0) if words and words[0].count(".") == 2 and words[0][0] in "245" else ""
    return code, status, " ".join(words)


def _wording(text: str) -> str:
    pieces = [plain(piece).strip() for piece in text.replace("...", "…").split("…")]
    return " … ".join(piece for piece in pieces if piece)


def _built(set_id: int, revision: int) -> Rules:
    rows = MailRule.objects.filter(rule_set_id=set_id, active=True).order_by("built_in", "rank", "pk")
    document: list[dict[str, Any]] = [
        {
            "id": row.name,
            "kind": row.kind,
            "type": _NAMES.get(row.failure_type, "ignored"),
            "reason": row.failure_reason or None,
            "texts": [] if row.kind in ("status", "reply") else row.patterns,
            "codes": row.patterns if row.kind in ("status", "reply") else [],
        }
        for row in rows
    ]
    if not any(each["kind"] == "end" for each in document):
        last = shipped().last()
        document.append({"id": last.name, "kind": "end", "type": last.error_type, "reason": last.reason})
    return read({"version": revision, "rules": document})


def _set() -> MailRuleSet:
    found = MailRuleSet.objects.select_for_update().filter(name=NAME).first()
    if found is None:
        plant()
        found = MailRuleSet.objects.select_for_update().get(name=NAME)
    return found


def _rule(rule_id: int) -> MailRule:
    found = MailRule.objects.select_related("rule_set").filter(pk=rule_id).first()
    if found is None:
        raise NotFound(_("This rule is not there any more."))
    return found


def _changed(found: MailRuleSet) -> None:
    MailRuleSet.objects.filter(pk=found.pk).update(revision=F("revision") + 1, modified_at=clock.now())
