"""What a From address lacks to be believed, told before anything is sent from it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from django.conf import settings
from django.utils.translation import gettext as _

from envoi.kernel import clock
from envoi.kernel.config import Config
from envoi.packages.delivery.models import CheckState, DkimKey, SendingDomain
from envoi.packages.delivery.services.routing import findings, masks, names
from envoi.packages.delivery.services.routing.domains import Finding
from envoi.packages.delivery.services.routing.domains import findings as stored

_OLD = timedelta(days=30)


@dataclass(frozen=True)
class Problem:
    """One reason why providers may refuse mail From an address or file it as spam. `code` for programs."""

    code: str
    text: str


def alignment(from_address: str, config: Config | None = None) -> list[Problem]:
    """Return what is wrong with a From address, by the last look at DNS; nothing is looked up here.

    For the analysis of a delivery: a native control rule at its end turns each into a warning line (level 1)
    of the job log. Nothing is wrong where no mail leaves (`[sending] sink`). An address that is none has no
    problem here: that is an error of the content.
    """
    config = config or cast("Config", settings.CONFIG)
    if config.sending.sink or "@" not in from_address:
        return []
    domain = masks.domain(from_address.rpartition("@")[2].strip("> "))
    row = SendingDomain.objects.filter(domain=domain).first()
    if row is None or row.checked_at is None:
        text = _(
            "SPF, DKIM and DMARC of %(domain)s were never looked up. An administrator can do it under "
            "Sending."
        ) % {"domain": domain}
        problems = [Problem("alignment.unknown", text)]
        if not DkimKey.objects.filter(active=True, domain__in=_with_above(domain)).exists():
            problems.append(_told(Finding("dkim", CheckState.BAD, "dkim.none", {"domain": domain})))
        return problems
    problems = [_told(each) for each in stored(row) if each.state in (CheckState.WARNING, CheckState.BAD)]
    if clock.now() - row.checked_at > _OLD:
        text = _("SPF, DKIM and DMARC of %(domain)s were looked up more than 30 days ago.")
        problems.append(Problem("alignment.old", text % {"domain": domain}))
    if not config.sending.bounce_domain and not config.sending.sender:
        text = _("No domain of return addresses is set, so they end in %(name)s.")
        problems.append(Problem("alignment.bounce_domain", text % {"name": names.bounce_domain(config)}))
    return problems


def _told(finding: Finding) -> Problem:
    return Problem(finding.code, findings.told(finding.code, finding.detail))


def _with_above(domain: str) -> list[str]:
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]


def weak(from_address: str, config: Config | None = None) -> tuple[str, list[str]]:
    """Return the domain of a From address, and which of SPF, DKIM, DMARC and MX the last look found wanting.

    The control rule of the product asks it: a domain that was never looked up has no findings, else each
    delivery of an instance that is being set up would wait for a confirmation.
    """
    config = config or cast("Config", settings.CONFIG)
    domain = from_address.rpartition("@")[2].strip("> ").lower()
    row = SendingDomain.objects.filter(domain=domain).first()
    if row is None or config.sending.sink:
        return domain, []
    states = (("SPF", row.spf), ("DKIM", row.dkim), ("DMARC", row.dmarc), ("MX", row.mx))
    return domain, [name for name, state in states if state in (CheckState.WARNING, CheckState.BAD)]
