"""The tables of the catalogue. Rows stay inside this room; what leaves it are the records of records.py."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, ForeignKey, Index, MetaData, Text, TypeDecorator
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from alma_restore.uid import Uid


class UtcTime(TypeDecorator[datetime]):
    """A moment. PostgreSQL keeps the zone; SQLite knows none, so that UTC goes in and comes out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(timezone.utc)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


class PlainText(TypeDecorator[str]):
    """Text from anywhere: a log's tail may hold NUL bytes and broken UTF-8, which PostgreSQL does not take."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value.replace("\0", "").encode(errors="replace").decode()


class UidText(TypeDecorator[Uid]):
    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> Uid | None:
        return None if value is None else Uid(value)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcTime,
        Uid: UidText,
        str: PlainText,
        dict[str, Any]: JSON,
        list[str]: JSON,
    }


class CalibrationRow(Base):
    """One delivery of an MOUS to the archive, as first seen, with the decision taken on it."""

    __tablename__ = "calibration"
    __table_args__ = (Index(None, "mous_uid", "fingerprint", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    mous_uid: Mapped[Uid]
    fingerprint: Mapped[str]
    first_seen: Mapped[datetime]
    calibrated_at: Mapped[datetime | None]
    decision: Mapped[str] = mapped_column(index=True)
    code: Mapped[str]
    reason: Mapped[str]
    seen_by: Mapped[str]


class RequestRow(Base):
    """One restore that somebody asked for, and how it fares."""

    __tablename__ = "request"
    __table_args__ = (
        Index(None, "mous_uid", "fingerprint"),
        Index(None, "state", "created_at"),
        Index(None, "state", "error_code"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str | None] = mapped_column(unique=True)
    correlation_id: Mapped[str] = mapped_column(unique=True)
    mous_uid: Mapped[Uid | None]
    eb_uid: Mapped[Uid | None] = mapped_column(index=True)
    fingerprint: Mapped[str] = mapped_column(default="")
    request: Mapped[dict[str, Any]]
    origin: Mapped[str]
    requested_by: Mapped[str]
    email: Mapped[str] = mapped_column(default="")
    destination: Mapped[str] = mapped_column(default="")
    state: Mapped[str]
    stage: Mapped[str] = mapped_column(default="")
    attempt: Mapped[int] = mapped_column(default=1)
    error_kind: Mapped[str] = mapped_column(default="")
    error_code: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="")
    remedy: Mapped[str] = mapped_column(default="")
    log_tail: Mapped[str] = mapped_column(default="")
    warnings: Mapped[list[str]] = mapped_column(default=list)
    workspace: Mapped[str] = mapped_column(default="")
    casa_installation: Mapped[str] = mapped_column(default="")
    casa_version: Mapped[str] = mapped_column(default="")
    casa_policy: Mapped[str] = mapped_column(default="")
    casa_peak_bytes: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(index=True)
    updated_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(index=True)


class TransitionRow(Base):
    """One line of a request's history; only ever added."""

    __tablename__ = "transition"

    id: Mapped[int] = mapped_column(primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey("request.id"), index=True)
    at: Mapped[datetime]
    state: Mapped[str]
    stage: Mapped[str]
    note: Mapped[str]


class FollowerRow(Base):
    """Somebody who joined a request that was there already."""

    __tablename__ = "follower"

    request_id: Mapped[str] = mapped_column(ForeignKey("request.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(primary_key=True)
    joined_at: Mapped[datetime]


class DeliveryRow(Base):
    """What a request delivered, where, and until when it is kept."""

    __tablename__ = "delivery"

    request_id: Mapped[str] = mapped_column(ForeignKey("request.id"), primary_key=True)
    destination: Mapped[str]
    path: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    files: Mapped[int]
    sha256: Mapped[str]
    delivered_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime | None] = mapped_column(index=True)
    keep: Mapped[bool] = mapped_column(default=False)
    warned_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]


class ReservationRow(Base):
    """Disk promised to a running request."""

    __tablename__ = "reservation"

    request_id: Mapped[str] = mapped_column(ForeignKey("request.id"), primary_key=True)
    root: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    used_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    at: Mapped[datetime]

    @property
    def outstanding_bytes(self) -> int:
        """What is promised and not yet written, hence still counted as free by the filesystem."""
        return max(0, self.size_bytes - self.used_bytes)


class CursorRow(Base):
    """Where a long walk through the archive stopped."""

    __tablename__ = "cursor"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
