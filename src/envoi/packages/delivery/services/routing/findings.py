"""What a look at DNS found, in words."""

from collections.abc import Mapping

from django.utils.translation import gettext as _


def told(code: str, detail: Mapping[str, str]) -> str:
    """Return the sentence for a finding, in the language of who reads it."""
    text = _texts().get(code)
    return code if text is None else text % detail


def _texts() -> dict[str, str]:
    return {
        "spf.none": _("%(domain)s, the domain of return addresses, has no SPF record."),
        "spf.several": _("%(domain)s has more than one SPF record, so none counts."),
        "spf.error": _("The SPF record of %(domain)s cannot be read, or asks for more than ten look-ups."),
        "spf.good": _("SPF of %(domain)s lets %(addresses)s send."),
        "spf.left_out": _("SPF of %(domain)s does not let %(addresses)s send: %(record)s"),
        "spf.relay": _(
            "SPF of %(domain)s does not name the addresses of the relay %(host)s (%(addresses)s). That is "
            "well if it sends from others that the record names."
        ),
        "spf.unknown_addresses": _(
            "Whether SPF of %(domain)s names our addresses cannot be told: %(host)s has none in DNS, and "
            "none is in the list."
        ),
        "spf.unanswered": _("DNS did not answer about SPF (%(error)s)."),
        "dkim.none": _("No DKIM key signs mail From %(domain)s."),
        "dkim.missing": _("The record of the DKIM key is not in DNS: %(name)s."),
        "dkim.other": _("DNS has another DKIM key under %(name)s: %(found)s"),
        "dkim.good": _("DNS has the DKIM key %(name)s."),
        "dkim.unanswered": _("DNS did not answer about DKIM (%(error)s)."),
        "dmarc.none": _("%(domain)s has no DMARC record; big providers ask for one."),
        "dmarc.several": _("%(name)s has more than one DMARC record, so none counts."),
        "dmarc.invalid": _("The DMARC record of %(name)s has no policy: %(record)s"),
        "dmarc.unaligned": _(
            "DMARC of %(domain)s will fail: return addresses end in %(bounce)s, and no DKIM key of "
            "%(domain)s signs."
        ),
        "dmarc.by_dkim": _(
            "DMARC of %(domain)s (policy %(policy)s) rests on DKIM alone: return addresses end in %(bounce)s."
        ),
        "dmarc.good": _("DMARC of %(domain)s (policy %(policy)s) fits From and return addresses."),
        "dmarc.unanswered": _("DNS did not answer about DMARC (%(error)s)."),
        "mx.none": _("%(domain)s has no MX record: bounces cannot come back."),
        "mx.elsewhere": _(
            "Mail to %(domain)s goes to %(servers)s, not to %(host)s. That is well if `inmail` reads a "
            "mailbox there."
        ),
        "mx.good": _("Mail to %(domain)s comes to this instance (%(servers)s)."),
        "mx.unanswered": _("DNS did not answer about the MX of return addresses (%(error)s)."),
    }
