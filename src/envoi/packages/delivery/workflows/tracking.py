"""tracking: hits of readers become logs, statistics and indicators, every hour.

Reads: the inbox of hits, messages, links, the rules for machines, the options NmsTracking_….
Writes: tracking logs of each mapping, web tracking logs, consolidated statistics, browsers, indicators of
deliveries, the pointer NmsTracking_Pointer; takes what it has logged out of the inbox.
Safe to run twice: yes, a batch is taken and logged in one transaction, and a hit has an id of its own.
If it fails: its supervisors are told; the batch that failed is in the inbox still, and the next run goes on.
"""

from django.utils.translation import gettext_noop as _

from envoi.engine.schedule import Schedule
from envoi.engine.workflow import Workflow, call, end, schedule
from envoi.packages.delivery.services.tracking import running

workflow = Workflow(
    name="tracking",
    label=_("Tracking"),
    labels={"fr": "Tracking", "sv": "Spårning", "ko": "추적", "zh-hant": "追蹤"},
    starts=True,
    activities=(
        schedule(
            "every_hour",
            Schedule.from_json({"frequency": "several", "every_seconds": 3600}),
            then="consume",
        ),
        call("consume", running.consume, then="consolidate"),
        call("consolidate", running.consolidate, then="indicators"),
        call("indicators", running.work_out, then="end"),
        end(),
    ),
)
