"""Questions that delivery asks of others."""

from envoi.kernel.hooks import Hook

recipient_merged: Hook[[int, int], None] = Hook("recipient_merged")
"""`(kept, gone)`: two profiles become one. Who has rows of the one that goes moves them to the one that is
kept, in the transaction of the merge.
"""
