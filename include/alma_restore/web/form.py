"""The form that requests a restore: what was typed into it, read as a request, each mistake beside its field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from alma_restore.casa import installations
from alma_restore.delivery import destination
from alma_restore.errors import Refused
from alma_restore.request import BadRequest, RestoreRequest
from alma_restore.restore.house import House

PARTS: Mapping[str, str] = {
    "": "the whole MeasurementSets",
    "TARGET": "only the science targets",
    "AMPLITUDE,BANDPASS,PHASE": "only the calibrators",
    "AMPLITUDE,BANDPASS,PHASE,TARGET": "targets and calibrators",
}
"""What can be split off, by the pipeline's words."""

SPLIT = ("field", "spw", "chanbin", "timebin", "keep_full")
"""Fields of the form that say more of what is split off; there each name begins with `split_`."""

FIELDS = ("email", "casa_version", "destination", "split_intent", *(f"split_{name}" for name in SPLIT), "tar")

LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Form:
    """The form as it was filled in.

    Attributes:
        texts: what was typed, by field; a tick is `yes`.
        mistakes: what is wrong with a field, by its name; "": what is wrong with the whole.
    """

    texts: Mapping[str, str]
    mistakes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, sent: Mapping[str, Any]) -> Form:
        return cls({name: str(sent.get(name, "")).strip()[:LONGEST] for name in FIELDS})

    @property
    def says_more(self) -> bool:
        """Whether the folded part of the form has something to show."""
        return any(self.texts[name] or name in self.mistakes for name in FIELDS[3:])

    def request(self, house: House, **known: Any) -> RestoreRequest:
        """The request that the form makes together with what the page knows.

        Raises:
            BadRequest: `fields` tells what is wrong with which field of the form.
        """
        asked = {name: self.texts[name] for name in FIELDS[:3]}
        try:
            wanted = RestoreRequest.parse({**asked, "split": self._split(), "tar": bool(self.texts["tar"]), **known})
        except BadRequest as error:
            fields = {name.replace(".", "_"): sentence for name, sentence in error.fields.items()}
            raise BadRequest(error.sentence, fields) from error
        _check("destination", lambda: destination.check(wanted.destination, house.settings))
        if wanted.casa_version:
            found = wanted.casa_version
            _check("casa_version", lambda: installations.among(found, installations.load(house.settings)))
        return wanted

    def _split(self) -> dict[str, Any]:
        more: dict[str, Any] = {name: self.texts[f"split_{name}"] for name in SPLIT if self.texts[f"split_{name}"]}
        if not self.texts["split_intent"]:
            if more:
                sentence = "Choose what is split off: the rest of this part says more of that."
                raise BadRequest(sentence, {"split_intent": sentence})
            return {}
        if more.get("timebin", "").replace(".", "", 1).isdigit():
            more["timebin"] += "s"
        return {**more, "intent": self.texts["split_intent"]}


def _check(name: str, check: Any) -> None:
    """Say at once, and beside the field, what the first task would refuse."""
    try:
        check()
    except Refused as refusal:
        raise BadRequest(str(refusal), {name: str(refusal)}) from refusal
