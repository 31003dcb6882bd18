"""deliverabilityUpdate: rules of bounces and mail servers follow a signed feed, or the product.

Reads: the feed of the option Deliverability_FeedUrl, signed by the key of Deliverability_FeedKey; without one
the rules that the product brings; texts of servers, if they are shared.
Writes: mail rules, MX rules unless they are set to Custom, what texts of servers mean, the suppression list,
nms_deliverability_update; tells texts that are new to the feed's owner.
Safe to run twice: yes, a version is carried out once, in one transaction.
If it fails: its supervisors are told; the rules are what they were, and the next run fetches again.
"""

from django.utils.translation import gettext_noop as _

from envoi.engine.schedule import Schedule
from envoi.engine.workflow import Workflow, call, end, schedule
from envoi.packages.delivery.services.deliverability import updating

workflow = Workflow(
    name="deliverabilityUpdate",
    label=_("Refresh for deliverability"),
    labels={
        "fr": "Mise à jour pour la délivrabilité",
        "sv": "Uppdatera för levererbarhet",
        "ko": "게재 능력을 위한 업데이트",
        "zh-hant": "傳遞能力更新",
    },
    activities=(
        schedule(
            "every_night",
            Schedule.from_json({"frequency": "daily", "at": "02:30"}),
            then="fetch",
        ),
        call("fetch", updating.fetch, then="apply"),
        call("apply", updating.apply, then="share"),
        call("share", updating.share, then="end"),
        end(),
    ),
)
