"""One typed settings object, from a profile file and the environment."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from alma_restore import capo
from alma_restore.errors import Misconfigured

PROFILE_VARIABLE = "ALMA_RESTORE_PROFILE"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DetectionSettings(_Section):
    """How newly calibrated MOUSs are looked for.

    Attributes:
        schedule: cron expression (UTC) of the polls.
        window_days: how far back one poll looks (DOMAIN section 2: NRAO polls daily, two days back).
        email: who is told of restores that detection asked for; empty: nobody.
    """

    schedule: str = "0 6 * * *"
    window_days: float = Field(default=2.0, gt=0)
    email: str = ""


class SweepSettings(_Section):
    """How the whole archive is walked through for what detection missed.

    Attributes:
        schedule: cron expression (UTC) of the sweeps.
        time_limit_s: how long one of them may take; the next one goes on.
    """

    schedule: str = "0 2 * * 6"
    time_limit_s: float = Field(default=3600.0, gt=0)


class NgasSettings(_Section):
    """How files are fetched from NGAS (DOMAIN section 5).

    Attributes:
        host, port: the NGAS nodes where Airflow has no connection `alma_ngas`; a host may name several, with blanks or
            commas between them.
        streams_per_node: downloads at once from one NGAS node, over all tasks of this machine.
        tries: attempts at one file before it is given up.
        retry_wait_s: the first wait before another attempt; later ones grow, up to a minute.
        connect_timeout_s, read_timeout_s: silence allowed before and during a transfer.
        max_hops: 303 redirects followed from node to node.
        verify_unknown: what an unknown checksum plug-in means: False stops with an error, True delivers by size alone.
    """

    host: str = ""
    port: int = 7777
    streams_per_node: int = Field(default=4, ge=1)
    tries: int = Field(default=10, ge=1)
    retry_wait_s: float = Field(default=1.0, ge=0)
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    max_hops: int = 3
    verify_unknown: bool = False


class ExporterSettings(_Section):
    """How raw execution blocks are fetched (DOMAIN section 6).

    Attributes:
        command: the export command; the EB uid is appended as its last argument.
        setup_script: sourced by bash before the command (`alma-datafetcher.sh`); empty: none.
        timeout_s: how long one export may take.
        tries: attempts at one execution block.
        retry_wait_s: the first wait before another attempt; later ones grow, up to ten minutes.
        at_once: exports at once on this machine.
    """

    command: tuple[str, ...] = ("asdmExportLight",)
    setup_script: str = ""
    timeout_s: float = 6 * 3600.0
    tries: int = Field(default=3, ge=1)
    retry_wait_s: float = Field(default=10.0, ge=0)
    at_once: int = Field(default=2, ge=1)


class DiskSettings(_Section):
    """How much disk a restore is given (DOMAIN section 10).

    Attributes:
        factor: disk needed per byte of raw data. Public restore scripts ask 3x to 14x; 7x holds the raw data, the
            MeasurementSet with DATA and CORRECTED_DATA, its flags, and the delivered copy.
        split_factor: what is added where data are split off: MeasurementSets of one column, worked on and delivered.
        unknown_eb_bytes: planned for an execution block whose size the archive does not tell before the export.
        spare_bytes: never planned for.
    """

    factor: float = Field(default=7.0, gt=1)
    split_factor: float = Field(default=2.0, ge=0)
    unknown_eb_bytes: int = 30 * 1000**3
    spare_bytes: int = 2 * 1024**3


class SlurmSettings(_Section):
    """How CASA is run by a Slurm cluster (docs/launchers.md). Its nodes see the spool under the same path as Airflow.

    Attributes:
        partition, account: of the jobs; empty: the cluster's defaults.
        options: more options of sbatch, one element an option, such as `--mem=32G`.
        ssh_host: where Slurm's commands are run, `host` or `user@host`; empty: on this machine.
        ssh_options: options of ssh, one element an argument, such as `-i` and the file of a key.
        poll_s: how often a job is looked at.
    """

    partition: str = ""
    account: str = ""
    options: tuple[str, ...] = ()
    ssh_host: str = Field(default="", pattern=r"^([^-\s]\S*)?$")
    ssh_options: tuple[str, ...] = ()
    poll_s: float = Field(default=30.0, gt=0)


class CasaSettings(_Section):
    """How CASA is run.

    Attributes:
        installations: TOML file that lists the CASA installations (docs/casa.md).
        launcher: where it runs: `local` or another registered launcher.
        jobs: `mous`: one CASA job restores all execution blocks; `eb`: each has a job of its own (docs/launchers.md).
        cores: execution blocks restored side by side: by one job or, where each has its own, on one machine.
        time_limit_s: when a run is given up.
        no_progress_s: silence of log and MeasurementSets after which a run counts as stuck.
        memory_bytes: what one CASA run may take: a local one that takes more is stopped, a cluster is asked for it
            (Slurm's --mem). None: no limit, the cluster's default.
        niceness: of local CASA processes.
        poll_s: how often a local job is looked at.
        host_silent_s: how long the host of a local run may show no sign of life to the others with the same spool; then
            CASA is started anew on one of them.
        patience_s: how long a cluster may be silent, or not know a job, before that job counts as lost.
        slurm: for the launcher `slurm`.
    """

    installations: Path | None = None
    launcher: str = "local"
    jobs: Literal["mous", "eb"] = "mous"
    cores: int = Field(default=2, ge=1)
    time_limit_s: float = 48 * 3600.0
    no_progress_s: float = 2 * 3600.0
    memory_bytes: int | None = Field(default=None, gt=0)
    niceness: int = Field(default=5, ge=0, le=19)
    poll_s: float = Field(default=1.0, gt=0)
    host_silent_s: float = Field(default=600.0, gt=0)
    patience_s: float = Field(default=4 * 3600.0, ge=0)
    slurm: SlurmSettings = SlurmSettings()


class VerificationSettings(_Section):
    """When a restored MeasurementSet is good enough.

    Attributes:
        max_flagged: highest flagged fraction of one field.
        max_phase_scatter_deg: highest scatter of a calibrator's phase in one spectral window.
        violation: what a figure beyond its threshold means: `warn` delivers with warnings, `fail` does not deliver.
    """

    max_flagged: float = Field(default=0.95, gt=0, le=1)
    max_phase_scatter_deg: float = Field(default=60.0, gt=0)
    violation: str = Field(default="warn", pattern="^(warn|fail)$")


class DeliverySettings(_Section):
    """Where results go.

    Attributes:
        root: default folder of deliveries.
        allowed_roots: folders below which a requester may ask for delivery; the root is always allowed.
        sftp_roots: `sftp://<connection>/<folder>` URLs below which a requester may ask for delivery.
        keep_days: how long a delivery is kept.
        warn_days: how long before its removal the requester is told.
    """

    root: Path | None = None
    allowed_roots: tuple[Path, ...] = ()
    sftp_roots: tuple[str, ...] = ()
    keep_days: float = Field(default=21.0, gt=0)
    warn_days: float = Field(default=3.0, ge=0)


class MailSettings(_Section):
    """Mails to requesters.

    Attributes:
        sender: the From address.
        contact: whom a requester can ask, printed in every mail.
    """

    sender: str = "alma-restore@localhost"
    contact: str = "your archive operator"


class PprSettings(_Section):
    """Fixed words of the PPR (DOMAIN section 11)."""

    processing_site: str = "NAASC"
    operator: str = "unknown"


class EventsSettings(_Section):
    """How events travel over RabbitMQ (DOMAIN section 13); the broker itself is the connection `alma_events`.

    Attributes:
        exchange: the topic exchange that all applications share.
        binding: routing keys listened to.
        queue: ours, bound to the exchange.
        dead_letters: the queue of messages that cannot be read, each with the reason in its header.
        application: our name on the exchange: what we publish goes out under `<application>.event`.
    """

    exchange: str = "archive.events"
    binding: str = "*.event"
    queue: str = "alma-restore.requests"
    dead_letters: str = "alma-restore.dead-letters"
    application: str = "alma-restore"


class QueueSettings(_Section):
    """Which workers do what; only executors with queues (Celery) take notice (docs/deployment.md).

    Attributes:
        archive: fetches raw data and products: near the archive.
        casa: runs CASA and looks into its results: where CASA is.
    """

    archive: str = "default"
    casa: str = "default"


class MetricsSettings(_Section):
    """What Prometheus may read (docs/operations.md).

    Attributes:
        token_file: the file of the token that it brings to `/mous/metrics`; none: nobody is let in.
    """

    token_file: Path | None = None


class Settings(BaseSettings):
    """Everything that differs between one installation and the next.

    Read, later ones winning, from the defaults, the CAPO profile that `CAPO_PROFILE` names, the TOML file that
    `ALMA_RESTORE_PROFILE` names, and the environment (`ALMA_RESTORE_CASA__CORES=4` sets `casa.cores`).

    Attributes:
        home: the one folder for everything made at run time.
        catalogue_url: SQLAlchemy URL of our own database; empty: SQLite in `home`.
        spool: where restores are worked on; empty: `home/spool`.
        keep_workspace: `never`, `on_failure` or `always`.
        workspace_keep_days: how long a kept workspace is kept.
        airflow_url: where the command line finds Airflow.
        json_logs: the long-running commands log in JSON; for Airflow's own services there is
            AIRFLOW__LOGGING__JSON_LOGS.
        restores_at_once: runs of `restore_mous` that are under way at the same time; the others wait in Airflow.
        production: this installation restores for astronomers. docker-compose.yaml says so; it excludes
            `load_test` and an Airflow without log-in.
        load_test: take CASA installations that only copy (docs/casa.md): what they deliver is not calibrated.
    """

    model_config = SettingsConfigDict(
        env_prefix="ALMA_RESTORE_", env_nested_delimiter="__", extra="forbid", frozen=True, env_ignore_empty=True
    )

    home: Path = Path("var")
    catalogue_url: str = ""
    spool: Path | None = None
    keep_workspace: str = Field(default="on_failure", pattern="^(never|on_failure|always)$")
    airflow_url: str = "http://127.0.0.1:8080"
    workspace_keep_days: float = Field(default=7.0, ge=0)
    restores_at_once: int = Field(default=8, ge=1)
    production: bool = False
    load_test: bool = False
    detection: DetectionSettings = DetectionSettings()
    sweep: SweepSettings = SweepSettings()
    ngas: NgasSettings = NgasSettings()
    exporter: ExporterSettings = ExporterSettings()
    disk: DiskSettings = DiskSettings()
    casa: CasaSettings = CasaSettings()
    verification: VerificationSettings = VerificationSettings()
    delivery: DeliverySettings = DeliverySettings()
    mail: MailSettings = MailSettings()
    ppr: PprSettings = PprSettings()
    events: EventsSettings = EventsSettings()
    queues: QueueSettings = QueueSettings()
    metrics: MetricsSettings = MetricsSettings()
    json_logs: bool = False

    @model_validator(mode="after")
    def _is_no_load_test_in_production(self) -> Settings:
        if self.production and self.load_test:
            raise ValueError(
                "production and load_test exclude each other: a load test delivers data that nobody restored"
            )
        return self

    @property
    def spool_root(self) -> Path:
        return (self.spool or self.home / "spool").absolute()

    @property
    def delivery_root(self) -> Path:
        return (self.delivery.root or self.home / "deliveries").absolute()

    @property
    def catalogue(self) -> str:
        return self.catalogue_url or f"sqlite:///{(self.home / 'catalogue.db').absolute()}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        found = [init_settings, env_settings]
        profile = os.environ.get(PROFILE_VARIABLE, "")
        if profile:
            found.append(TomlConfigSettingsSource(settings_cls, toml_file=profile))
        found.append(InitSettingsSource(settings_cls, init_kwargs=capo.settings_values()))
        return tuple(found)


def load(**overrides: Any) -> Settings:
    """Read the settings anew.

    Raises:
        Misconfigured: a value cannot be used, a name is none of a setting, or the profile file cannot be read.
    """
    profile = os.environ.get(PROFILE_VARIABLE, "")
    if profile and not Path(profile).is_file():
        raise Misconfigured(f"The profile file {profile} is not there.", remedy=f"Mend {PROFILE_VARIABLE}.")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        wrong = "; ".join(_sentence(detail) for detail in error.errors())
        remedy = f"Mend {profile or 'the environment'}."
        raise Misconfigured(f"The settings cannot be used: {wrong}.", remedy=remedy) from error
    except (SettingsError, ValueError, OSError) as error:
        remedy = f"Mend {profile or 'the environment'}; a variable of several values is written as JSON."
        raise Misconfigured(f"The settings cannot be read: {error}.", remedy=remedy) from error


def _sentence(detail: Any) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    return ": ".join([".".join(map(str, detail["loc"])), message]) if detail["loc"] else message


@cache
def settings() -> Settings:
    """The settings of this process."""
    return load()
