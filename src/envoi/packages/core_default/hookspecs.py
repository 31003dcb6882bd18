"""Questions that core_default asks other packages."""

from collections.abc import Mapping, Sequence

from envoi.kernel.hooks import Hook

campaigns_of_workflows: Hook[[Sequence[int]], Mapping[int, str]] = Hook("campaigns_of_workflows")
"""`(workflow ids)`: the label of the campaign of each of them; those that belong to none are left out."""
