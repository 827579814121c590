"""E-mail addresses: one of them read from text, and all of them taken out of text that others read."""

from __future__ import annotations

import re
from email.errors import MessageError
from email.headerregistry import Address

from email_validator import validate_email

from alma_restore.errors import Inconsistent

_SPEC = r"[^\s@<>(),;:\"\\\[\]]+@[^\s@<>(),;:\"\\\[\]]+"
_ADDRESS = re.compile(rf"({_SPEC})|([^<>@,;\"]*?)\s*<({_SPEC})>")
_IN_TEXT = re.compile(_SPEC)


def address(text: str) -> Address:
    """One address, with or without a name; what could be two, or hide a header, is none.

    A domain of other letters is spelled in ASCII, which every mail server understands.

    Raises:
        Inconsistent: it is none.
    """
    match = _ADDRESS.fullmatch(text) if text.isprintable() else None
    try:
        if match:
            found = Address(match[2] or "", addr_spec=match[1] or match[3])
            return found if found.domain.isascii() else _in_ascii(found)
    except (ValueError, IndexError, MessageError):  # what the standard library's parser raises
        pass
    raise Inconsistent(f"No mail can be sent with the address {text[:80]!r}.")


def _in_ascii(found: Address) -> Address:
    domain = validate_email(found.addr_spec, check_deliverability=False).ascii_domain
    return Address(found.display_name, found.username, domain)


def veiled(text: str) -> str:
    """A text without the addresses in it: of each only the first letter stays, so that its owner knows it."""
    return _IN_TEXT.sub(lambda match: f"{match.group()[0]}...@...", text)
