"""nlserver module: how a `call` looks in exchanged files (engine.md §2, §6.3)."""

from envoi.engine.activities.call import Call


class Module(Call):
    """The same as `call`, under the tag of the product."""

    type = "nlmodule"
