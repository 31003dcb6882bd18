"""The messages of parts, read for many parts at once."""

from collections.abc import Iterator, Sequence

from envoi.packages.delivery.services.mta import composing, retrying
from envoi.packages.delivery.services.mta.composing import Job
from envoi.packages.delivery.services.mta.parts import Part
from envoi.packages.delivery.services.sending.sender import Item


def items(job: Job, parts: Sequence[Part]) -> list[tuple[Part, list[Item]]]:
    """Return the parts of one run, each with its messages that are still to be sent: one statement for those
    that lie close together, and one for those that are tried again. Raises Refused.
    """
    found: dict[int, list[Item]] = {part.id: [] for part in parts}
    for near in _near([part for part in parts if not part.retry]):
        first, last = near[0].first_id, near[-1].last_id
        rows = job.content.rows(job.run.storage, first, last)
        aside = retrying.between(job.run.id, first, last)
        at = 0
        for row in rows:
            while at < len(near) and near[at].last_id < row.id:
                at += 1
            # What lies between two parts of ours is another sender's.
            if at < len(near) and near[at].first_id <= row.id and row.id not in aside:
                found[near[at].id].append(composing.item(job, row))
    again = retrying.of_parts([part.id for part in parts if part.retry])
    if again:
        for row in job.content.rows_of(sorted(again)):
            part_id, attempts, repeat = again[row.id]
            found[part_id].append(composing.item(job, row, attempts=attempts, repeat=repeat))
    return [(part, found[part.id]) for part in parts]


def _near(parts: list[Part]) -> Iterator[list[Part]]:
    """Yield runs of parts of which at least half of the numbers that they span are theirs."""
    near: list[Part] = []
    quantity = 0
    for part in sorted(parts, key=lambda part: part.first_id):
        if near and part.last_id - near[0].first_id >= 2 * (quantity + part.quantity):
            yield near
            near, quantity = [], 0
        near.append(part)
        quantity += part.quantity
    if near:
        yield near
