"""The first tables: calibrations seen, requests with their history, deliveries, reservations, cursors."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _calibration()
    _request()
    _of_a_request()
    op.create_table("cursor", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False))


def _calibration() -> None:
    op.create_table(
        "calibration",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("mous_uid", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("calibrated_at", sa.DateTime(timezone=True)),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("seen_by", sa.Text, nullable=False),
    )
    op.create_index("ix_calibration_mous_uid_fingerprint", "calibration", ["mous_uid", "fingerprint"], unique=True)
    op.create_index("ix_calibration_decision", "calibration", ["decision"])


def _request() -> None:
    words = "origin requested_by email destination state stage error_kind error_code reason remedy log_tail workspace"
    op.create_table(
        "request",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, unique=True),
        sa.Column("correlation_id", sa.Text, nullable=False, unique=True),
        sa.Column("mous_uid", sa.Text),
        sa.Column("eb_uid", sa.Text),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("request", sa.JSON, nullable=False),
        *(sa.Column(word, sa.Text, nullable=False) for word in words.split()),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("casa_installation", sa.Text, nullable=False),
        sa.Column("casa_version", sa.Text, nullable=False),
        sa.Column("casa_policy", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_request_mous_uid_fingerprint", "request", ["mous_uid", "fingerprint"])
    op.create_index("ix_request_state_created_at", "request", ["state", "created_at"])
    op.create_index("ix_request_eb_uid", "request", ["eb_uid"])
    op.create_index("ix_request_created_at", "request", ["created_at"])


def _of_a_request() -> None:
    op.create_table(
        "transition",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("request_id", sa.Text, sa.ForeignKey("request.id"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_index("ix_transition_request_id", "transition", ["request_id"])
    op.create_table(
        "delivery",
        sa.Column("request_id", sa.Text, sa.ForeignKey("request.id"), primary_key=True),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("keep", sa.Boolean, nullable=False),
        sa.Column("warned_at", sa.DateTime(timezone=True)),
        sa.Column("removed_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_delivery_expires_at", "delivery", ["expires_at"])
    op.create_table(
        "reservation",
        sa.Column("request_id", sa.Text, sa.ForeignKey("request.id"), primary_key=True),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("used_bytes", sa.BigInteger, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_reservation_root", "reservation", ["root"])
