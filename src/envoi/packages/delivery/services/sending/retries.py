"""When a message that was refused for now is tried again (delivery.md §2.8)."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Plan:
    """How often to try again: on the first day, and after it, until the delivery's validity has passed.

    Defaults are those of e-mail; SMS: period 15 minutes.
    """

    count: int = 5
    period: timedelta = timedelta(hours=1)
    first_day: timedelta = timedelta(days=1)
    afterwards: timedelta = timedelta(days=1)
    validity: timedelta = timedelta(days=5)


EMAIL = Plan()
SMS = Plan(period=timedelta(minutes=15))


def next_attempt(plan: Plan, *, first: datetime, last: datetime, attempts: int) -> datetime | None:
    """Return when to try again, or None: the message has failed for good.

    `first` and `last` attempt that got an answer, `attempts` of them so far (from 1). Until `count` retries
    were made or the first day has passed, a period after the last one; then once a day, never later than the
    end of validity, which runs from the first attempt. What was never tried does not concern this.
    """
    end = first + plan.validity
    early = last + plan.period
    if attempts <= plan.count and early < first + plan.first_day:
        moment = early
    else:
        moment = max(last + plan.afterwards, first + plan.first_day)
    return moment if moment < end else None
