"""The text that a written picture holds: a PNG's own chunk, XMP in the other formats.

In: a text, or a path. Out: bytes to be embedded, or the text. Knows nothing of what it says. Must
not load torch.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pipeline.errors import ImageError
from pipeline.pictures.formats import opened

CHUNK = "nst"  # the keyword of a PNG's text
XMP_TAG = 700  # of a TIFF
_MOST_BYTES = 2**20
_JPEG_MARKER, _JPEG_HEAD = b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\0"
_LONGEST_MARKER = 65_533  # a JPEG's marker, less the two bytes of its length
_SPACE = "urn:nst:1.0:"
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    f'xmlns:nst="{_SPACE}"><nst:made>%s</nst:made></rdf:Description></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="r"?>'
)


def xmp_packet(text: str) -> bytes:
    """A text as XMP, under a name of our own."""
    from xml.sax.saxutils import escape  # here alone: it takes a while to load

    return (_PACKET % escape(text)).encode()


def jpeg_marker(text: str) -> bytes:
    """The same as a JPEG's marker; empty where the text is longer than one can be."""
    data = _JPEG_HEAD + xmp_packet(text)
    if len(data) > _LONGEST_MARKER:
        return b""
    return _JPEG_MARKER + (len(data) + 2).to_bytes(2, "big") + data


def read_text(path: Path) -> str | None:
    """The text that a picture file holds, as it was given to be written; None if it has none.

    Raises:
        ImageError: no picture, or damaged.
    """
    with opened(path) as file:
        text = file.info.get(CHUNK)
        if text is None:
            text = _text_in(_xmp_of(file))
    if text is not None and len(text) > _MOST_BYTES:
        raise ImageError(f"{path}: its text `{CHUNK}` is longer than any of ours")
    return None if text is None else str(text)


def _xmp_of(file: Any) -> bytes:
    """A picture's XMP, as Pillow has it of each format; empty if there is none."""
    found: Any = file.info.get("xmp") or b""
    for marker, data in getattr(file, "applist", ()):
        if marker == "APP1" and data.startswith(_JPEG_HEAD):
            found = data[len(_JPEG_HEAD) :]
    if not found and hasattr(file, "tag_v2"):
        found = file.tag_v2.get(XMP_TAG, b"")
    return found if isinstance(found, bytes) else b""


def _text_in(packet: bytes) -> str | None:
    """Our text in an XMP packet, also where another tool wrote it anew; None if there is none."""
    from xml.etree import ElementTree

    if len(packet) > _MOST_BYTES:
        return None
    plain = packet.decode(errors="replace").strip("\ufeff \0\r\n\t")
    if re.search("<!(?:DOCTYPE|ENTITY)", plain):  # which XMP has not
        return None
    try:
        root = ElementTree.fromstring(plain)
    except (ElementTree.ParseError, ValueError):
        return None
    name = f"{{{_SPACE}}}made"
    for element in root.iter():
        if element.tag == name:
            return element.text
        if name in element.attrib:
            return element.attrib[name]
    return None
