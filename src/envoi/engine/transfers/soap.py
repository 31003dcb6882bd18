"""Calls of services that speak SOAP 1.1: one request, one answer, which is read element by element."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree as Safe
from defusedxml.common import DefusedXmlException

from envoi.engine.activities.base import Failed
from envoi.engine.transfers.web import opened, place, refused, signed_in
from envoi.kernel import clock
from envoi.kernel.accounts import Credentials
from envoi.kernel.accounts.network import printable

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
LARGEST = 64 << 20
"""Bytes of one answer."""
LONGEST_S = 600
"""For one answer, however slowly it comes."""
IN_MEMORY = 1 << 20
DEEPEST = 100
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Read:
    """What one path finds: the elements behind it, by local names, and the attribute of the last."""

    steps: tuple[str, ...]
    attribute: str = ""

    @staticmethod
    def of(path: str) -> Read:
        """Read `a/b`, `a/@c` or `@c`. Raises ValueError."""
        *steps, last = path.strip("/").split("/")
        attribute = last[1:] if last.startswith("@") else ""
        steps += [] if attribute else [last]
        if not all(each and not each.startswith("@") for each in steps) or last == "@":
            raise ValueError(f"{path!r} is no path; write element/element or element/@attribute")
        return Read(tuple(steps), attribute)

    def text(self, element: Element) -> str | None:
        """Return what is found below an element, None for nothing."""
        found: Element | None = element
        for step in self.steps:
            found = next((each for each in found or () if local(each.tag) == step), None)
            if found is None:
                return None
        if not self.attribute:
            return "".join(found.itertext())
        return next((text for name, text in found.attrib.items() if local(name) == self.attribute), None)


def local(tag: object) -> str:
    """Return a name without its name space."""
    return str(tag).rpartition("}")[2]


def enveloped(body: str) -> bytes:
    """Return a request: an envelope as it is, else around what stands in its body. Raises Failed for what is
    not XML.
    """
    whole = f'<soap:Envelope xmlns:soap="{ENVELOPE}"><soap:Body>{body}</soap:Body></soap:Envelope>'
    try:
        if local(Safe.fromstring(body, forbid_dtd=True).tag) == "Envelope":
            whole = body
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise Failed(f"What the script gives is not the XML of a request ({printable(error)}).") from error
    return whole.encode()


@contextmanager
def answer(
    account: Credentials, url: str, action: str, request: bytes, *, cancelled: Callable[[], bool]
) -> Generator[BinaryIO]:
    """Send a request and give the file that holds its answer; a large one lies on disk.

    Raises Failed for what cannot be reached, a fault, an answer that is too large or too slow, and when the
    workflow is stopped.
    """
    headers = {
        "Content-Type": "text/xml; charset=utf-8",
        "SOAPAction": f'"{action}"',
        **signed_in(account),
    }
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        end = clock.monotonic() + LONGEST_S
        with opened("POST", url, headers=headers, body=request, verify=account.on("verify")) as given:
            size = 0
            while piece := given.body.read1(_CHUNK):
                size += len(piece)
                if cancelled():
                    raise Failed("The activity was stopped.")
                if size > LARGEST:
                    raise Failed(f"{place(url)} answers with more than {LARGEST >> 20} MB.")
                if clock.monotonic() > end:
                    raise Failed(f"{place(url)} has not sent its answer within {LONGEST_S} s.")
                file.write(piece)
            file.seek(0)
            if given.status != 200:
                if given.status == 500 and (said := _fault(cast("BinaryIO", file))):
                    raise Failed(f"{place(url)} answers with a fault: {account.concealed(said)}.")
                raise refused(given)
        yield cast("BinaryIO", file)


def elements(file: BinaryIO, path: Read) -> Iterator[Element]:
    """Yield each element whose last names are those of a path; it is emptied behind the caller.

    Raises Failed for what is not XML, declares entities, or is nested too deep.
    """
    stack: list[Element] = []
    names: list[str] = []
    count = len(path.steps)
    within = 0
    file.seek(0)
    try:
        for event, element in Safe.iterparse(file, events=("start", "end"), forbid_dtd=True):
            if event == "start":
                stack.append(element)
                names.append(local(element.tag))
                if len(stack) > DEEPEST:
                    raise Failed(f"The answer is nested more than {DEEPEST} deep.")
                if not within and tuple(names[-count:]) == path.steps:
                    within = len(stack)
                continue
            if within == len(stack):
                yield element
                within = 0
            if not within:
                element.clear()
                if len(stack) > 1:
                    stack[-2].remove(element)
            stack.pop()
            names.pop()
    except (ParseError, DefusedXmlException) as error:
        raise Failed(f"The answer is not XML that can be read ({printable(error)}).") from error


def _fault(file: BinaryIO) -> str:
    try:
        for fault in elements(file, Read.of("Fault")):
            return printable(Read.of("faultstring").text(fault) or "")
    except Failed:
        pass
    return ""
