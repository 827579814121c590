"""What tasks import, imported once by the process that tasks are forked from.

LocalExecutor's scheduler and Celery's worker fork a process for each task, the dag-processor one for each DAG file;
what they have imported already costs those nothing. Importing it anew takes most of a task's processor time, and a
restore has eight tasks (docs/benchmarks.md).

Airflow imports this module when it starts (entry point `airflow.policy`), in each of its processes; only those that
fork tasks go on. No settings are read here: each task reads them anew.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module

FORKING_COMMANDS = {"scheduler", "celery", "dag-processor"}

MODULES = (
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.importers.python_importer",
    "airflow.providers.common.sql.hooks.sql",
    "airflow.providers.sftp.hooks.sftp",
    "airflow.providers.smtp.hooks.smtp",
    "airflow.providers.sqlite.hooks.sqlite",
    "airflow.providers.standard.decorators.python",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.python",
    "airflow.sdk.bases.sensor",
    "airflow.sdk.definitions.asset.metadata",
    "airflow.sdk.definitions.decorators",
    "airflow.sdk.execution_time.cache",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "alembic.command",
    "alma_restore.orchestration.hooks",
    "alma_restore.orchestration.open_house",
    "alma_restore.orchestration.operators",
    "alma_restore.orchestration.params",
    "alma_restore.restore.calibrating",
    "alma_restore.restore.closing",
    "alma_restore.restore.detecting",
    "alma_restore.restore.fetching",
    "alma_restore.restore.opening",
    "jinja2.ext",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
)


def preload() -> None:
    """Import everything that a task of ours imports, and do what else each would do anew with the same result."""
    for name in MODULES:
        import_module(name)

    from alma_restore import settings
    from alma_restore.catalogue.schema import Base
    from alma_restore.errors import Misconfigured
    from alma_restore.mail import compose as mails
    from alma_restore.report import compose as reports

    Base.registry.configure()  # else SQLAlchemy does it at each task's first query
    mails.read_templates()
    reports.read_templates()
    with suppress(Misconfigured):  # each task reads its own, and says so; pydantic has looked at the fields' types
        settings.load()


if FORKING_COMMANDS.intersection(sys.argv[1:3]):
    preload()
