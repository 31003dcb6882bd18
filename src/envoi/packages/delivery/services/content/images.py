"""Pictures of messages: taken in, addressed, found again, removed (public resources of the product).

They lie in the database and are served by the web process, at an address made of their digest.
"""

import hashlib
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envoi.kernel import audit, clock, folders
from envoi.kernel.errors import Conflict, Invalid, NotFound
from envoi.kernel.folders import Access
from envoi.kernel.models import Folder
from envoi.kernel.rights import Actor, Right
from envoi.packages.delivery.models import Image

ENTITY = "xtk:fileRes"
FOLDER = "publicResources"
MOST = 5 * 1024 * 1024
"""Bytes of one picture."""
WIDEST = 8000
"""Pixels of a side."""
HEAVY = 300 * 1024
"""Bytes above which a picture makes readers on a phone wait."""
PATH = "/r/i/"
KINDS = {"png": "image/png", "jpg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
_EXTENSIONS = {kind: extension for extension, kind in KINDS.items()}
_NAME = re.compile(r"([0-9a-f]{32})\.(png|jpg|gif|webp)")
_FOUND = re.compile(rf"{PATH}([0-9a-f]{{32}})\.(?:png|jpg|gif|webp)")


@dataclass(frozen=True)
class Look:
    """What the bytes of a picture say of themselves."""

    kind: str
    width: int
    height: int


def add(
    name: str, content: bytes, *, actor: Actor, alt: str = "", folder: Folder | None = None
) -> tuple[Image, bool]:
    """Take a picture in; returns it, and whether it is new: the same bytes are kept once.

    Raises Invalid for what is no PNG, JPEG, GIF or WebP, or is too large; NotAllowed.
    """
    actor.require(Right.PREPARE_DELIVERIES, to=_("add pictures"))
    label = (name.replace("\\", "/").rpartition("/")[2].strip() or _("Picture"))[:128]
    if not label.isprintable():
        raise Invalid(_("The name of a picture is printable text."))
    if not 0 < len(content) <= MOST:
        raise Invalid(_("%(name)s is empty or larger than 5 MB.") % {"name": label})
    look = recognised(content)
    if look is None:
        raise Invalid(
            _("%(name)s is no PNG, JPEG, GIF or WebP picture, or it is damaged: save it as one.")
            % {"name": label}
        )
    if not (0 < look.width <= WIDEST and 0 < look.height <= WIDEST):
        raise Invalid(
            _("%(name)s has %(width)d × %(height)d pixels; a side has at most %(most)d.")
            % {"name": label, "width": look.width, "height": look.height, "most": WIDEST}
        )
    where = folder or _folder()
    folders.require(actor, where, Access.WRITE)
    digest = hashlib.sha256(content).hexdigest()[:32]
    with transaction.atomic():
        made, new = Image.objects.get_or_create(
            digest=digest,
            defaults={
                "label": label,
                "alt": alt.strip()[:255],
                "content_type": look.kind,
                "width": look.width,
                "height": look.height,
                "size": len(content),
                "content": content,
                "folder": where,
                "created_at": clock.now(),
                "created_by_id": actor.operator_id or None,
            },
        )
        if new:
            audit.record(actor, ENTITY, made.label, audit.CREATED, made.pk)
    return made, new


def describe(image: Image, alt: str, *, actor: Actor) -> None:
    """Say what stands in the place of a picture. Raises NotAllowed."""
    actor.require(Right.PREPARE_DELIVERIES, to=_("describe pictures"))
    folders.require(actor, image.folder, Access.WRITE)
    image.alt = alt.strip()[:255]
    image.save(update_fields=["alt"])


def remove(image: Image, *, actor: Actor) -> None:
    """Delete a picture that no message shows. Raises NotAllowed, Conflict with the deliveries that do."""
    actor.require(Right.PREPARE_DELIVERIES, to=_("delete pictures"))
    folders.require(actor, image.folder, Access.DELETE)
    with transaction.atomic():
        Image.objects.select_for_update().get(pk=image.pk)
        users = used_by(image)
        if users:
            raise Conflict(
                ngettext(
                    "%(name)s is shown by %(n)d message (%(first)s): its readers would see a hole.",
                    "%(name)s is shown by %(n)d messages (%(first)s, …): their readers would see a hole.",
                    len(users),
                )
                % {"name": image.label, "n": len(users), "first": users[0]}
            )
        audit.record(actor, ENTITY, image.label, audit.DELETED, image.pk)
        image.delete()


def used_by(image: Image) -> list[str]:
    """Return the labels of the deliveries, and the names of the blocks, that show a picture; at most 100."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT d.label FROM nms_delivery d WHERE d.delete_status = 0
                 AND (strpos(d.html_source, %(digest)s) > 0 OR strpos(d.mjml_source, %(digest)s) > 0
                      OR strpos(d.variants::text, %(digest)s) > 0)
               UNION ALL
               SELECT d.label FROM nms_delivery_content c JOIN nms_delivery d ON d.delivery_id = c.delivery_id
                WHERE d.delete_status = 0 AND strpos(d.html_source, %(digest)s) = 0
                  AND strpos(c.templates::text, %(digest)s) > 0
               UNION ALL
               SELECT v.name FROM nms_include_view v WHERE strpos(v.html_source, %(digest)s) > 0
               LIMIT 100""",
            {"digest": image.digest},
        )
        return [str(row[0]) for row in cursor.fetchall()]


def visible(actor: Actor) -> QuerySet[Image]:
    """Return the pictures that the actor sees, without their bytes, the newest first."""
    return Image.objects.filter(folder_id__in=folders.readable(actor).queryset()).defer("content")


def places(actor: Actor, access: Access = Access.READ) -> list[Folder]:
    """Return the folders of pictures where the actor may read, or write; one behind its parent."""
    allowed = folders.allowed(actor, access).queryset()
    return list(
        Folder.objects.filter(folder_id__in=folders.readable(actor).queryset(), model=ENTITY, is_view=False)
        .filter(folder_id__in=allowed)
        .order_by("path")
    )


def place(number: int, *, actor: Actor, access: Access = Access.READ) -> Folder:
    """Return a folder of pictures. Raises NotFound, NotAllowed."""
    found = next((each for each in places(actor) if each.pk == number), None)
    if found is None:
        raise NotFound(_("This folder of pictures is not there, or you have no right to see it."))
    folders.require(actor, found, access)
    return found


def find(number: int, *, actor: Actor) -> Image:
    """Return a picture that the actor sees. Raises NotFound."""
    found = visible(actor).select_related("folder").filter(pk=number).first()
    if found is None:
        raise NotFound(_("This picture is not there any more."))
    return found


def address(image: Image) -> str:
    """Return where readers get a picture."""
    return f"{settings.ENVOI.config.web.address}{path(image)}"


def path(image: Image) -> str:
    """Return the same without the host, for pages of the console."""
    return f"{PATH}{image.digest}.{_EXTENSIONS[image.content_type]}"


def social_address() -> str:
    """Return where the icons of networks lie, with a slash at its end."""
    return f"{settings.ENVOI.config.web.address}/static/delivery/social/"


def own_address() -> str:
    """Return where the pictures of this instance lie, with a slash at its end."""
    return f"{settings.ENVOI.config.web.address}/"


def picture_address(name: str) -> str:
    """Return where readers get a picture that the product ships."""
    return f"{settings.ENVOI.config.web.address}/static/delivery/starters/{name}"


def served(name: str) -> tuple[str, bytes] | None:
    """Return type and bytes of the picture that has a name in its address; None when there is none."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    kind = KINDS[found[2]]
    row = Image.objects.filter(digest=found[1], content_type=kind).values_list("content", flat=True).first()
    return None if row is None else (kind, bytes(row))


def shown_in(html: str) -> Sequence[str]:
    """Return the digests of our pictures in an HTML."""
    return sorted(set(_FOUND.findall(html)))


def recognised(content: bytes) -> Look | None:
    """Return what a picture is by its bytes, whatever its name; None for what is none or ends early."""
    try:
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            return _png(content)
        if content.startswith(b"\xff\xd8\xff"):
            return _jpeg(content)
        if content[:6] in (b"GIF87a", b"GIF89a"):
            width, height = struct.unpack_from("<HH", content, 6)
            return Look("image/gif", width, height) if b"\x2c" in content[13:] else None
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp(content)
    except struct.error:
        return None
    return None


def _png(content: bytes) -> Look | None:
    size: tuple[int, int] | None = None
    place = 8
    while True:
        length, name = struct.unpack_from(">I4s", content, place)
        if name == b"IHDR":
            size = struct.unpack_from(">II", content, place + 8)
        place += 12 + length
        if name == b"IEND":
            return Look("image/png", *size) if size and place <= len(content) else None


def _jpeg(content: bytes) -> Look | None:
    place = 2
    while True:
        mark, code, length = struct.unpack_from(">BBH", content, place)
        if mark != 0xFF:
            return None
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, place + 5)
            return Look("image/jpeg", width, height) if b"\xff\xd9" in content[place:] else None
        place += 1 if code == 0xFF else 2 + length


def _webp(content: bytes) -> Look | None:
    (length,) = struct.unpack_from("<I", content, 4)
    if length + 8 > len(content):
        return None
    kind = content[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(content[24:27], "little") + 1
        height = int.from_bytes(content[27:30], "little") + 1
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
    else:
        return None
    return Look("image/webp", width, height)


def _folder() -> Folder:
    found = Folder.objects.filter(name=FOLDER).first()
    if found is None:
        raise NotFound(_("There is no folder %(name)r.") % {"name": FOLDER})
    return found
