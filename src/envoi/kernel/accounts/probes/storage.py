"""Trials of object stores: HEAD on the bucket, signed with AWS Signature Version 4
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlsplit

from django.utils.translation import gettext as _

from envoi.kernel import clock
from envoi.kernel.accounts.network import printable, refused
from envoi.kernel.accounts.opened import Credentials, Failed
from envoi.kernel.accounts.probes.web import place_of, request, unwanted

EMPTY = hashlib.sha256(b"").hexdigest()


def s3(account: Credentials) -> str:
    """Ask for the bucket. The bucket stands in the path, which compatible stores understand too."""
    region, bucket = account.text("region"), account.text("bucket")
    server = account.text("server").rstrip("/") or f"https://s3.{region}.amazonaws.com"
    url = f"{server}/{quote(bucket, safe='')}"
    place = place_of(url)
    headers = signed("HEAD", url, region, account.text("account"), account.secret("password"), clock.now())
    answer = request("HEAD", url, headers=headers, verify=account.on("verify"))
    given = {"place": place, "bucket": bucket, "region": region}
    if answer.status == 200:
        return _("%(place)s shows the bucket %(bucket)s.") % given
    if answer.status == 404:
        raise Failed(_("%(place)s has no bucket %(bucket)s. Check its name and the region.") % given)
    if answer.status in (301, 307, 400) and (other := answer.headers.get("x-amz-bucket-region")):
        raise Failed(
            _("The bucket %(bucket)s lies in the region %(other)s, not in %(region)s. Change the region.")
            % {**given, "other": printable(other)}
        )
    if answer.status == 403:
        raise refused(place, account.text("account"), "403")
    raise unwanted(place, answer)


def signed(
    method: str,
    url: str,
    region: str,
    key: str,
    secret: str,
    at: datetime,
    *,
    more: Mapping[str, str] | None = None,
) -> Mapping[str, str]:
    """Return the headers of a request without body and query, signed for `at` (UTC).

    `more` are further headers to be signed, their names in small letters.
    """
    parts = urlsplit(url)
    stamp, day = f"{at:%Y%m%dT%H%M%SZ}", f"{at:%Y%m%d}"
    port = {"http": 80, "https": 443}.get(parts.scheme)
    host = (parts.hostname or "") + (f":{parts.port}" if parts.port not in (None, port) else "")
    own = {"host": host, "x-amz-content-sha256": EMPTY, "x-amz-date": stamp}
    headers = dict(sorted({**own, **(more or {})}.items()))
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"{method}\n{parts.path or '/'}\n\n{lines}\n{names}\n{EMPTY}"
    scope = f"{day}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signing = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    signature = hmac.digest(signing, text.encode(), "sha256").hex()
    authorization = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "Authorization": authorization}
