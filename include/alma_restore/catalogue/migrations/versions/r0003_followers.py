"""Who joined a request that another had made, and is told of it, too."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "follower",
        sa.Column("request_id", sa.Text, sa.ForeignKey("request.id"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("email", sa.Text, primary_key=True),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=False),
    )
