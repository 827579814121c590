"""What the figures need to be quick (catalogue/figures.py), and the memory that CASA took."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("request", sa.Column("casa_peak_bytes", sa.BigInteger))
    op.create_index("ix_request_state_error_code", "request", ["state", "error_code"])
    op.create_index("ix_request_ended_at", "request", ["ended_at"])
    op.create_index("ix_delivery_delivered_at", "delivery", ["delivered_at"])
