"""Who looks at the page in the tests, what stands for Airflow's runs, and what a browser does with a form."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from alma_restore.errors import NotAvailable
from alma_restore.web.access import Visitor

MOUSS = 90
"""Of every twenty, three are manual, one is single dish, in one nothing passed, one is not complete."""

REQUESTER = Visitor("7", "Ada", may_request=True)
VIEWER = Visitor("8", "Bob", may_request=False)
OTHER = Visitor("9", "Cyd", may_request=True)
OPERATOR = Visitor("10", "Ops", may_request=True, is_operator=True)


@dataclass
class Runs:
    """What Airflow was asked to do; it refuses while `says_no`."""

    triggered: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)
    anew: list[str] = field(default_factory=list)
    says_no: bool = False
    gone: bool = False
    cleaning_up: bool = False

    async def trigger(self, run_id, conf):
        if self.says_no:
            raise NotAvailable("Airflow answered 404: no such DAG.")
        self.triggered.setdefault(run_id, dict(conf))

    async def cancel(self, run_id):
        self.cancelled.append(run_id)

    async def wait_until_settled(self, run_id):
        if self.cleaning_up:
            raise NotAvailable("The run is still cleaning up.", remedy="Try again in a moment.")

    async def is_gone(self, run_id):
        return self.gone

    async def retry(self, run_id, conf, *, anew=False):
        if self.says_no:
            raise NotAvailable("Airflow answered 404: no such DAG.")
        (self.anew if anew else self.retried).append(run_id)


def token_of(client, path):
    return re.search(r'name="token" value="([^"]+)"', client.get(path).text)[1]


def ask(client, mous_uid, **fields):
    """Fill in and send the form of an MOUS's page; the answer."""
    token = token_of(client, f"/{mous_uid.sanitised}")
    return client.post(f"/{mous_uid.sanitised}/restore", data={"token": token, **fields})


def request_of(answer):
    """The id of the request to whose page an answer leads."""
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].rsplit("/", 1)[1]
