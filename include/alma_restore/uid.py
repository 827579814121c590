"""ALMA uids: parse, validate, sanitise, compare."""

from __future__ import annotations

import re
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from alma_restore.errors import Refused

_UID = re.compile(r"uid(?:://|___)(A[0-9A-Fa-f]{3})[/_](X[0-9a-fA-F]+)[/_](X[0-9a-fA-F]+)", re.ASCII)


class Uid(str):
    """One ALMA archive uid, in its one spelling: `uid://A001/X12d1/X23e`.

    Equal uids are equal strings: blanks around are dropped (Oracle pads CHAR columns), hexadecimal digits are lower
    case, and the sanitised spelling `uid___A001_X12d1_X23e` is understood.

    Raises:
        Refused: (code `bad_uid`) the text is no ALMA uid.

    Source: DOMAIN section 1.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Uid:
        if isinstance(text, Uid):
            return text
        match = _UID.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise Refused(
                f"{str(text)[:80]!r} is not an ALMA uid.",
                code="bad_uid",
                remedy="Write it like uid://A001/X12d1/X23e.",
            )
        archive, first, second = match.groups()
        return super().__new__(cls, f"uid://{archive.upper()}/X{first[1:].lower()}/X{second[1:].lower()}")

    @property
    def sanitised(self) -> str:
        """The uid as it stands in file and folder names: `uid___A001_X12d1_X23e`."""
        return self.replace(":", "_").replace("/", "_")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def parse(text: str) -> Uid:
            try:
                return cls(text)
            except Refused as refusal:
                raise ValueError(str(refusal)) from refusal

        return core_schema.no_info_after_validator_function(parse, core_schema.str_schema())
