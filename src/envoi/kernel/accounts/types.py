"""The types of accounts that the product knows, and what each asks for.

Codes 3 (routing) and 11 (execution instance) are those that clients of the product read; the others are ours.
"""

import difflib
from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from envoi.kernel.accounts.declare import AccountType, Field, Kind, Label
from envoi.kernel.accounts.probes import database, files, instance, ldap, mail, sms, storage, web
from envoi.kernel.errors import NotFound

_PASSWORD = Field("password", _("Password"), secret=True)
_VERIFY = Field("verify", _("Check the certificate"), Kind.SWITCH, default=True)
_SECURITY: Mapping[str, Label] = {
    "none": _("None"),
    "starttls": _("STARTTLS"),
    "tls": _("TLS from the start"),
}
_CHANNELS: Mapping[str, Label] = {
    "email": _("E-mail"),
    "sms": _("SMS"),
    "ios": _("iOS push"),
    "android": _("Android push"),
    "line": _("LINE"),
    "paper": _("Direct mail"),
    "phone": _("Telephone"),
    "fax": _("Fax"),
    "facebook": _("Facebook"),
    "twitter": _("X (Twitter)"),
    "other": _("Other"),
}


def _server(required: bool = True) -> Field:
    return Field("server", _("Server"), required=required, longest=253)


def _port(default: int) -> Field:
    return Field("port", _("Port"), Kind.NUMBER, default=default, least=1, most=65535)


def _account(required: bool = False) -> Field:
    return Field("account", _("Account"), required=required, longest=255)


def _security(default: str, *, starttls: bool = True) -> Field:
    choices = {key: text for key, text in _SECURITY.items() if starttls or key != "starttls"}
    return Field("security", _("Encryption"), Kind.CHOICE, default=default, choices=choices)


def _mailbox(port: int) -> tuple[Field, ...]:
    oauth = ("method", "oauth")
    return (
        _server(),
        _port(port),
        _security("none" if port == 110 else "tls"),
        _VERIFY,
        Field(
            "method",
            _("Sign-in"),
            Kind.CHOICE,
            default="password",
            choices={"password": _("Password"), "oauth": _("Microsoft OAuth 2.0")},
        ),
        _account(required=True),
        _PASSWORD,
        Field("tenant", _("Azure tenant"), only=oauth, required=True),
        Field("client_id", _("Client ID"), only=oauth, required=True),
        Field("client_secret", _("Client secret"), secret=True, only=oauth),
        Field("refresh_token", _("Refresh token"), secret=True, only=oauth, longest=8192),
    )


_MID = ("mode", "mid")
_EXTERNAL = ("mode", "external")
_FDA = ("method", "fda")
_METHOD = Field(
    "method",
    _("Synchronization method"),
    Kind.CHOICE,
    default="web",
    choices={"web": _("Web service"), "fda": _("Database (FDA)")},
)

_DECLARED = (
    AccountType(
        1,
        "smtp",
        _("SMTP server"),
        (_server(), _port(25), _security("starttls"), _VERIFY, _account(), _PASSWORD),
        mail.smtp,
    ),
    AccountType(2, "pop3", _("Bounce mails (POP3)"), _mailbox(110), mail.pop3),
    AccountType(4, "imap", _("Mailbox (IMAP)"), _mailbox(993), mail.imap),
    AccountType(
        3,
        "routing",
        _("Routing"),
        (
            Field("channel", _("Channel"), Kind.CHOICE, required=True, default="email", choices=_CHANNELS),
            Field(
                "mode",
                _("Delivery mode"),
                Kind.CHOICE,
                required=True,
                default="bulk",
                choices={"bulk": _("Bulk"), "external": _("External"), "mid": _("Mid-sourcing")},
            ),
            Field("mirror_url", _("Address of the mirror page"), Kind.URL),
            Field("error_address", _("Error address"), longest=254),
            Field("transfer", _("Account by which files are handed over"), Kind.ACCOUNT, only=_EXTERNAL),
            Field("folder", _("Folder"), only=_EXTERNAL),
            Field("server", _("Address of the mid-sourcing server"), Kind.URL, only=_MID, required=True),
            Field("account", _("Account"), only=_MID, required=True, longest=255),
            Field("password", _("Password"), secret=True, only=_MID),
            _METHOD,
            Field("fda_account", _("Account of its database"), Kind.ACCOUNT, only=_FDA, required=True),
            Field("alternating", _("Routing with alternating mid-sourcing accounts"), Kind.SWITCH),
            Field("tracking_proxy", _("Use as tracking proxy"), Kind.SWITCH),
        ),
        instance.routing,
    ),
    AccountType(
        11,
        "execution_instance",
        _("Execution instance"),
        (
            Field("server", _("Address"), Kind.URL, required=True),
            _account(required=True),
            _PASSWORD,
            Field("is_message_center", _("Message Center"), Kind.SWITCH, default=True),
            Field("is_interaction", _("Interaction"), Kind.SWITCH),
            Field(
                "execution_instance_id",
                _("Execution instance ID"),
                Kind.NUMBER,
                hint=_("Allocated when the connection is initialized."),
                least=1,
            ),
            _METHOD,
            Field("fda_account", _("Account of its database"), Kind.ACCOUNT, only=_FDA, required=True),
        ),
        instance.logon,
    ),
    AccountType(
        12,
        "instance",
        _("Campaign instance"),
        (Field("server", _("Address"), Kind.URL, required=True), _account(required=True), _PASSWORD),
        instance.logon,
    ),
    AccountType(
        13,
        "smpp",
        _("SMS (SMPP)"),
        (
            _server(),
            _port(2775),
            _security("none", starttls=False),
            _VERIFY,
            Field("account", _("System ID"), required=True, longest=15),
            Field("password", _("Password"), secret=True, longest=8),
            Field("system_type", _("System type"), longest=12),
            Field("implementation", _("Implementation name"), longest=64),
            Field("source", _("Sender number"), longest=20),
            Field("ton", _("Type of number"), Kind.NUMBER, default=0, most=255),
            Field("npi", _("Numbering plan"), Kind.NUMBER, default=0, most=255),
            Field("rate", _("Messages per second and connection"), Kind.NUMBER, default=0, most=10000),
            Field("window", _("Sending window"), Kind.NUMBER, default=30, least=1, most=10000),
            Field("enquire", _("Seconds between two enquire_link"), Kind.NUMBER, default=60, least=1),
            Field("expiry", _("Seconds until a message expires"), Kind.NUMBER, default=0),
            Field(
                "id_format",
                _("Format of message IDs"),
                Kind.CHOICE,
                default="text",
                choices={
                    "text": _("As it is"),
                    "decimal": _("Decimal number"),
                    "hex": _("Hexadecimal number"),
                    "hex_text": _("Hexadecimal text"),
                },
            ),
            Field("transliterate", _("Transliterate"), Kind.SWITCH),
            Field("full_number", _("Send the full phone number"), Kind.SWITCH),
            Field("success", _("Success in a receipt"), default="^DELIV"),
        ),
        sms.smpp,
    ),
    AccountType(
        14,
        "http",
        _("HTTP"),
        (
            Field("server", _("Address"), Kind.URL, required=True),
            _VERIFY,
            _account(),
            _PASSWORD,
            Field("token", _("Bearer token"), secret=True, longest=8192),
        ),
        web.get,
    ),
    AccountType(
        15,
        "ftp",
        _("FTP"),
        (
            _server(),
            _port(21),
            Field("tls", _("Encrypt by TLS (FTPS)"), Kind.SWITCH),
            _VERIFY,
            _account(),
            _PASSWORD,
            Field("folder", _("Folder")),
            Field("encoding", _("Encoding of file names"), default="utf-8", longest=32),
        ),
        files.ftp,
    ),
    AccountType(
        16,
        "sftp",
        _("SFTP"),
        (
            _server(),
            _port(22),
            _account(required=True),
            _PASSWORD,
            Field("private_key", _("Private key"), Kind.LINES, secret=True, longest=16384),
            Field("host_key", _("Fingerprint of the server")),
            Field("folder", _("Folder")),
        ),
        files.sftp,
    ),
    AccountType(
        17,
        "s3",
        _("Amazon S3 or compatible"),
        (
            Field("server", _("Address"), Kind.URL, hint=_("Empty: Amazon’s, by the region.")),
            Field("region", _("Region"), required=True, default="us-east-1", longest=64),
            Field("bucket", _("Bucket"), required=True, longest=255),
            Field("path", _("Path")),
            Field("account", _("Access key"), required=True, longest=255),
            Field("password", _("Secret access key"), secret=True),
            Field("encrypt", _("Server-side encryption"), Kind.SWITCH),
            _VERIFY,
        ),
        storage.s3,
    ),
    AccountType(
        18,
        "azure",
        _("Azure Blob Storage"),
        (
            Field("server", _("Address"), Kind.URL, required=True),
            Field("account", _("Storage account"), required=True, longest=255),
            Field("password", _("Access key"), secret=True),
            Field("container", _("Container"), required=True, longest=255),
        ),
    ),
    AccountType(
        7,
        "database",
        _("External database (FDA)"),
        (
            Field(
                "engine",
                _("Engine"),
                Kind.CHOICE,
                default="postgresql",
                choices={"postgresql": "PostgreSQL"},
            ),
            _server(),
            _port(5432),
            Field("database", _("Database"), required=True, longest=63),
            Field("schema", _("Schema"), longest=63),
            _account(required=True),
            _PASSWORD,
            Field(
                "sslmode",
                _("Encryption"),
                Kind.CHOICE,
                default="prefer",
                choices={
                    "disable": _("None"),
                    "prefer": _("When the server offers it"),
                    "require": _("Always"),
                    "verify-full": _("Always, with a certificate that is checked"),
                },
            ),
        ),
        database.postgresql,
    ),
    AccountType(
        19,
        "ldap",
        _("LDAP directory"),
        (
            _server(),
            _port(389),
            _security("none", starttls=False),
            _VERIFY,
            Field("account", _("Distinguished name"), longest=255),
            _PASSWORD,
            Field("base", _("Base of the search")),
        ),
        ldap.connect,
    ),
    AccountType(
        20,
        "web_analytics",
        _("Web analytics"),
        (
            Field(
                "partner",
                _("Partner"),
                Kind.CHOICE,
                default="adobe",
                choices={"adobe": _("Adobe Analytics"), "other": _("Other")},
            ),
            Field("server", _("Address"), Kind.URL),
            Field("account", _("Organization"), longest=255),
            Field("company", _("Company")),
            Field("report_suite", _("Report suite")),
            Field("client_id", _("Client ID")),
            Field("client_secret", _("Client secret"), secret=True),
            Field("domains", _("Domains whose links are tagged"), hint=_("A regular expression.")),
            Field(
                "persistence", _("Days that a visit counts for a message"), Kind.NUMBER, default=7, least=1
            ),
            Field("purge", _("Days that events are kept"), Kind.NUMBER, default=180, least=1),
        ),
    ),
    AccountType(
        21,
        "line",
        _("LINE V2"),
        (
            Field("alias", _("Channel alias"), required=True, longest=64),
            Field("account", _("Channel ID"), required=True, longest=64),
            Field("channel_secret", _("Channel secret"), secret=True),
            Field("token", _("Access token"), secret=True, longest=4096),
            Field("token_expires", _("Access token expires on"), Kind.DATE),
            Field("service", _("Subscription service"), longest=64),
        ),
    ),
    AccountType(
        22,
        "facebook",
        _("Facebook routing"),
        (
            Field("account", _("App ID"), required=True, longest=64),
            Field("app_secret", _("App secret"), secret=True),
            Field("token", _("Access token"), secret=True, longest=4096),
            Field("canvas_url", _("Secure canvas URL"), Kind.URL),
            Field("service_folder", _("Folder of services"), longest=64),
            Field("filter", _("Filter of pages")),
            Field("marketing_url", _("Marketing URL"), Kind.URL),
        ),
    ),
    AccountType(
        23,
        "facebook_connect",
        _("Facebook Connect"),
        (
            Field("account", _("App ID"), required=True, longest=64),
            Field("app_secret", _("App secret"), secret=True),
            Field(
                "hosted",
                _("Hosted by"),
                Kind.CHOICE,
                default="instance",
                choices={"instance": _("This instance"), "partner": _("A partner")},
            ),
        ),
    ),
    AccountType(
        24,
        "twitter",
        _("X (Twitter)"),
        (
            Field("account", _("Account"), required=True, longest=64),
            Field("consumer_key", _("Consumer key"), required=True),
            Field("consumer_secret", _("Consumer secret"), secret=True),
            Field("access_token", _("Access token"), required=True),
            Field("access_secret", _("Access token secret"), secret=True),
        ),
    ),
    AccountType(
        25,
        "apns",
        _("Apple push (APNs)"),
        (
            Field("team", _("Team ID"), required=True, longest=32),
            Field("account", _("Key ID"), required=True, longest=32),
            Field("bundle", _("Bundle ID"), required=True, longest=255),
            Field("private_key", _("Private key"), Kind.LINES, secret=True, longest=16384),
            Field("sandbox", _("Sandbox"), Kind.SWITCH),
        ),
    ),
    AccountType(
        26,
        "fcm",
        _("Android push (FCM)"),
        (
            Field("project", _("Project ID"), required=True, longest=128),
            Field("account", _("Client e-mail"), required=True, longest=255),
            Field("private_key", _("Private key"), Kind.LINES, secret=True, longest=16384),
        ),
    ),
    AccountType(
        27,
        "dynamics",
        _("Microsoft Dynamics"),
        (
            Field("server", _("Address"), Kind.URL, required=True),
            Field("tenant", _("Azure tenant"), required=True),
            Field("account", _("Client ID"), required=True, longest=255),
            Field("client_secret", _("Client secret"), secret=True),
        ),
    ),
    AccountType(
        28,
        "salesforce",
        _("Salesforce"),
        (
            Field("server", _("Address"), Kind.URL, required=True, default="https://login.salesforce.com"),
            _account(required=True),
            _PASSWORD,
            Field("token", _("Security token"), secret=True),
            Field("client_id", _("Client ID")),
            Field("client_secret", _("Client secret"), secret=True),
        ),
    ),
)
TYPES: Mapping[int, AccountType] = {each.code: each for each in _DECLARED}
"""Every type, by its code, in the order in which they are offered."""


def by_name(name: str) -> AccountType:
    """Return a type by its name. Raises NotFound, naming the nearest."""
    for each in _DECLARED:
        if each.name == name:
            return each
    known = [each.name for each in _DECLARED]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]}?" if close else f"Known are {', '.join(known)}."
    raise NotFound(f"There is no type of account {name!r}. {hint}")


def type_of(code: int) -> AccountType:
    """Return the type that a row names. Raises NotFound."""
    found = TYPES.get(code)
    if found is None:
        raise NotFound(f"No type of account has the code {code}.")
    return found
