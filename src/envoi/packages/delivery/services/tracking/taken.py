"""What became of hits that were taken out of the inbox."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Taken:
    """What became of a batch, or of several together."""

    consumed: int = 0
    logged: int = 0
    visits: int = 0
    """Of the logged ones, those of pages with a web tag."""
    automatic: int = 0
    """Of the logged ones, those of machines."""
    repeated: int = 0
    """Opens that were left out since the message had been opened just before."""
    again: int = 0
    """Hits that were logged already."""
    skipped: int = 0
    """Hits without a message: purged, of another instance, or of nobody who is known."""
    unmatched: int = 0
    """Hits on messages of a mapping whose logs are not there."""
    last: int = 0

    def __add__(self, other: "Taken") -> "Taken":
        sums = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        return Taken(**{**sums, "last": max(self.last, other.last)})
