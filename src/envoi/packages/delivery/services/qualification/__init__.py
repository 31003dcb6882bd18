"""What servers said, kept once for all that say the same, and what that means (delivery.md §3.3)."""

from envoi.packages.delivery.services.qualification.deciding import Asked, decide, find
from envoi.packages.delivery.services.qualification.matching import (
    MOST,
    Found,
    Said,
    Verdict,
    keep,
    qualify,
)

__all__ = ["MOST", "Asked", "Found", "Said", "Verdict", "decide", "find", "keep", "qualify"]
