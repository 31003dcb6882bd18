"""Operators, their groups and named rights (delivery.md §1.5)."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

from envoi.kernel.models.folder import Folder
from envoi.kernel.registry import Declaration


class OperatorManager(BaseUserManager["Operator"]):
    """Finds an operator by name, whatever its case."""

    def get_by_natural_key(self, username: str | None) -> "Operator":
        """Return the operator that signs in as `username` (internal name, or an e-mail that only one has).

        Raises Operator.DoesNotExist, also when several share the address: none of them is meant for certain.
        """
        name = username or ""
        found = self.filter(name__iexact=name).first()
        if found is None and "@" in name:
            sharing = list(self.filter(email__iexact=name)[:2])
            found = sharing[0] if len(sharing) == 1 else None
        if found is None:
            raise Operator.DoesNotExist(f"no operator signs in as {name!r}")
        return found


class Operator(AbstractBaseUser):
    """One who signs in, or one in whose name the instance works (`internal`, `monitoring`, …)."""

    operator_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128, blank=True, default="")
    email = models.CharField(max_length=254, blank=True, default="")
    disabled = models.BooleanField(default=False)
    built_in = models.BooleanField(default=False)
    technical = models.BooleanField(default=False)
    """One in whose name the instance works: it gets notices and owns runs, but nobody signs in as it."""
    language = models.CharField(max_length=10, blank=True, default="")
    timezone = models.CharField(max_length=64, blank=True, default="")
    theme = models.CharField(max_length=5, blank=True, default="")
    folder = models.ForeignKey(Folder, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    """When set, the operator sees this folder and those below it only ("restrict to sub-folders")."""
    created_at = models.DateTimeField()
    modified_at = models.DateTimeField()

    USERNAME_FIELD = "name"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: list[str] = []  # Django asks nothing more than name and password
    objects = OperatorManager()

    SCHEMA = Declaration(
        "xtk:operator",
        label="Operators",
        singular="Operator",
        writing="ADMINISTRATION",
        private=frozenset({"password"}),
        guarded={
            "email": "ADMINISTRATION",
            "last_login": "ADMINISTRATION",
            "folder": "ADMINISTRATION",
            "disabled": "ADMINISTRATION",
        },
        labels={"folder": "Root folder"},
    )

    class Meta:
        db_table = "xtk_operator"
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(models.functions.Lower("name"), name="xtk_operator_name_lower"),
        )

    def __str__(self) -> str:
        return self.label or self.name

    @property
    def username(self) -> str:
        """Django's word for the name: passwords that resemble it are refused."""
        return self.name

    @property
    def is_active(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride] Django allows it
        """Django's word for "may sign in"."""
        return not self.disabled and not self.technical

    @property
    def is_staff(self) -> bool:
        """Nobody uses Django's own admin here."""
        return False


class Group(models.Model):
    """Operators who share rights. Members are told together, supervise together, approve together."""

    group_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=128, blank=True, default="")
    built_in = models.BooleanField(default=False)
    members: "models.ManyToManyField[Operator, GroupMember]" = models.ManyToManyField(
        Operator, through="GroupMember", related_name="operator_groups"
    )

    SCHEMA = Declaration(
        "xtk:group",
        label="Operator groups",
        singular="Operator group",
        writing="ADMINISTRATION",
    )

    class Meta:
        db_table = "xtk_group"
        ordering = ("name",)

    def __str__(self) -> str:
        return self.label or self.name


class GroupMember(models.Model):
    """An operator's place in a group."""

    group_member_id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.CASCADE)
    operator = models.ForeignKey(Operator, on_delete=models.CASCADE)

    SCHEMA = Declaration(
        "xtk:operatorGroup",
        label="Members of groups",
        singular="Member of a group",
        writing="ADMINISTRATION",
        collections={"group": "operatorGroup", "operator": "operatorGroup"},
    )

    class Meta:
        db_table = "xtk_operator_group"
        constraints = (models.UniqueConstraint(fields=("group", "operator"), name="xtk_operator_group_once"),)


class NamedRight(models.Model):
    """A named right of an operator or of a group; exactly one of the two is set. Names:
    `kernel.rights.Right`.
    """

    named_right_id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=64)
    operator = models.ForeignKey(Operator, null=True, on_delete=models.CASCADE, related_name="named_rights")
    group = models.ForeignKey(Group, null=True, on_delete=models.CASCADE, related_name="named_rights")

    SCHEMA = Declaration(
        "xtk:right",
        label="Named rights",
        singular="Named right",
        reading="ADMINISTRATION",
        collections={"operator": "right", "group": "right"},
    )

    class Meta:
        db_table = "xtk_right"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(operator__isnull=True) ^ models.Q(group__isnull=True),
                name="xtk_right_one_holder",
            ),
            models.UniqueConstraint(
                fields=("name", "operator", "group"), nulls_distinct=False, name="xtk_right_once"
            ),
        )
