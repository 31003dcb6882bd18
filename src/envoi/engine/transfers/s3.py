"""Object stores that understand S3: requests signed with AWS Signature Version 4, the bucket in the path
(https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from envoi.engine.activities.base import Failed
from envoi.engine.transfers.remote import joined
from envoi.engine.transfers.web import Answer, opened, refused
from envoi.kernel import clock
from envoi.kernel.accounts import Credentials

EMPTY = hashlib.sha256(b"").hexdigest()
CHUNK = 1 << 20
LONGEST_LIST = 16 << 20


class S3:
    """The bucket of an account, below its path."""

    def __init__(self, account: Credentials) -> None:
        self.account = account

    def names(self, folder: str) -> list[str]:
        """List one folder, a thousand keys at a time."""
        prefix = joined(self.account.text("path"), folder).strip("/")
        prefix = f"{prefix}/" if prefix else ""
        found: list[str] = []
        token = ""
        while True:
            query = {"list-type": "2", "prefix": prefix, "delimiter": "/"}
            if token:
                query["continuation-token"] = token
            with self._request("GET", "", query=query) as answer:
                if answer.status != 200:
                    raise refused(answer)
                found_here, token = _listed(answer.text(LONGEST_LIST))
            found += [key.removeprefix(prefix) for key in found_here if key != prefix]
            if not token:
                return sorted(found)

    def exists(self, name: str) -> bool:
        """Ask by HEAD."""
        with self._request("HEAD", self._key(name)) as answer:
            if answer.status not in (200, 404):
                raise refused(answer)
            return answer.status == 200

    def fetch(self, name: str, to: Path) -> None:
        """Fetch an object."""
        with self._request("GET", self._key(name)) as answer:
            if answer.status != 200:
                raise refused(answer)
            answer.save(to)

    def store(self, path: Path, name: str) -> None:
        """Store an object in one request (5 GB at most); its hash is part of the signature."""
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
        more = {"x-amz-server-side-encryption": "AES256"} if self.account.on("encrypt") else {}
        with (
            path.open("rb") as body,
            self._request(
                "PUT",
                self._key(name),
                body=body,
                length=path.stat().st_size,
                payload=digest.hexdigest(),
                more=more,
            ) as answer,
        ):
            if answer.status != 200:
                raise refused(answer)

    def delete(self, name: str) -> None:
        """Delete an object."""
        with self._request("DELETE", self._key(name)) as answer:
            if answer.status not in (200, 204, 404):
                raise refused(answer)

    def _key(self, name: str) -> str:
        return joined(self.account.text("path"), name).lstrip("/")

    @contextmanager
    def _request(
        self,
        method: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | BinaryIO = b"",
        length: int | None = None,
        payload: str = EMPTY,
        more: Mapping[str, str] | None = None,
    ) -> Generator[Answer]:
        account = self.account
        region = account.text("region")
        server = account.text("server").rstrip("/") or f"https://s3.{region}.amazonaws.com"
        url = f"{server}/{quote(account.text('bucket'), safe='')}/{quote(key)}"
        if query:
            url += "?" + urlencode(sorted(query.items()), quote_via=quote)
        headers = signed(
            method,
            url,
            region=region,
            key=account.text("account"),
            secret=account.secret("password"),
            at=clock.now(),
            payload=payload,
            more=more or {},
        )
        with opened(
            method, url, headers=headers, body=body, length=length, verify=account.on("verify")
        ) as answer:
            yield answer


def signed(
    method: str,
    url: str,
    *,
    region: str,
    key: str,
    secret: str,
    at: datetime,
    payload: str = EMPTY,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the headers of a request, signed for `at` (UTC). `payload` is the hash of the body, `more` are
    further headers to be signed, their names in small letters.
    """
    parts = urlsplit(url)
    stamp, day = f"{at:%Y%m%dT%H%M%SZ}", f"{at:%Y%m%d}"
    port = {"http": 80, "https": 443}.get(parts.scheme)
    host = (parts.hostname or "") + (f":{parts.port}" if parts.port not in (None, port) else "")
    own = {"host": host, "x-amz-content-sha256": payload, "x-amz-date": stamp}
    headers = dict(sorted({**own, **(more or {})}.items()))
    names = ";".join(headers)
    pairs = sorted((quote(n, safe="-_.~"), quote(v, safe="-_.~")) for n, v in parse_qsl(parts.query, True))
    query = "&".join(f"{name}={value}" for name, value in pairs)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"{method}\n{parts.path or '/'}\n{query}\n{lines}\n{names}\n{payload}"
    scope = f"{day}/{region}/s3/aws4_request"
    signing = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.digest(signing, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()
    credential = f"Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}


def _listed(document: str) -> tuple[list[str], str]:
    """Return the keys of a listing, and where it goes on ("" at the end)."""
    try:
        root = ElementTree.fromstring(document)
    except (ElementTree.ParseError, DefusedXmlException) as error:
        raise Failed("The object store's list cannot be read.") from error
    keys: list[str] = []
    token = ""
    for node in root.iter():
        name = str(node.tag).rpartition("}")[2]
        if name == "Key" and node.text:
            keys.append(node.text)
        elif name == "NextContinuationToken" and node.text:
            token = node.text
    return keys, token
