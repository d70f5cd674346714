"""the first tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from central.store.models import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "job",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("function", sa.Text(), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("started", UtcDateTime(), nullable=True),
        sa.Column("finished", UtcDateTime(), nullable=True),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name=op.f("ck_job_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_job_state"), ["state"], unique=False)

    op.create_table(
        "node",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("boot", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("backend", sa.Text(), nullable=False),
        sa.Column("pack", sa.String(length=64), nullable=True),
        sa.Column("release", sa.Integer(), nullable=True),
        sa.Column("update", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("uptime_s", sa.Double(), nullable=False),
        sa.Column("spool_frames", sa.BigInteger(), nullable=False),
        sa.Column("spool_bytes", sa.BigInteger(), nullable=False),
        sa.Column("spool_quota_bytes", sa.BigInteger(), nullable=False),
        sa.Column("evicted", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("sent_bytes", sa.BigInteger(), nullable=False),
        sa.Column("temperature_c", sa.Double(), nullable=True),
        sa.Column("first_seen", UtcDateTime(), nullable=False),
        sa.Column("last_seen", UtcDateTime(), nullable=False),
        sa.CheckConstraint("state IN ('online', 'stopped', 'offline')", name=op.f("ck_node_state")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_node")),
    )
    with op.batch_alter_table("node", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_node_site"), ["site"], unique=False)

    op.create_table(
        "pack",
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("created", sa.String(length=64), nullable=False),
        sa.Column("registered", UtcDateTime(), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("snapshot", sa.String(length=64), nullable=True),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_pack")),
    )
    op.create_table(
        "policy",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("policy", sa.String(length=64), nullable=False),
        sa.Column("frames_per_hour", sa.Double(), nullable=False),
        sa.Column("audit_share", sa.Double(), nullable=False),
        sa.Column("min_gap_s", sa.Double(), nullable=False),
        sa.Column("jpeg_quality", sa.Integer(), nullable=False),
        sa.Column("updated", UtcDateTime(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("node", name=op.f("pk_policy")),
    )
    op.create_table(
        "setting",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("updated", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_setting")),
    )
    op.create_table(
        "snapshot",
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("items", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_snapshot")),
    )
    op.create_table(
        "user",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'annotator', 'engineer', 'admin')", name=op.f("ck_user_role")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_user")),
    )
    op.create_table(
        "camera",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("health", sa.JSON(), nullable=False),
        sa.Column("health_at", UtcDateTime(), nullable=True),
        sa.Column("last_frame_id", sa.String(length=36), nullable=True),
        sa.Column("last_frame_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["node"], ["node.name"], name=op.f("fk_camera_node"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("node", "name", name=op.f("pk_camera")),
    )
    op.create_table(
        "frame",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("site", sa.String(length=64), nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("boot", sa.String(length=64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("captured_at", UtcDateTime(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("blob", sa.String(length=200), nullable=False),
        sa.Column("pack", sa.String(length=64), nullable=True),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("assessment", sa.JSON(), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("detections", sa.JSON(), nullable=False),
        sa.Column("proposed_by", sa.String(length=64), nullable=True),
        sa.Column("redactions", sa.JSON(), nullable=False),
        sa.Column("complete_for", sa.JSON(), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        sa.Column("labelled_at", UtcDateTime(), nullable=True),
        sa.Column("labelled_by", sa.String(length=64), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'labelled', 'skipped')", name=op.f("ck_frame_state")),
        sa.ForeignKeyConstraint(["node"], ["node.name"], name=op.f("fk_frame_node")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_frame")),
        sa.UniqueConstraint("node", "boot", "sequence", name=op.f("uq_frame_node_boot_sequence")),
    )
    with op.batch_alter_table("frame", schema=None) as batch_op:
        batch_op.create_index("ix_frame_camera", ["node", "camera", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_frame_captured_at"), ["captured_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_frame_pack"), ["pack"], unique=False)
        batch_op.create_index("ix_frame_queue", ["state", "value", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_frame_sha256"), ["sha256"], unique=False)
        batch_op.create_index(batch_op.f("ix_frame_site"), ["site"], unique=False)

    op.create_table(
        "node_event",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("camera", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.CheckConstraint("kind IN ('status', 'update', 'alert')", name=op.f("ck_node_event_kind")),
        sa.ForeignKeyConstraint(["node"], ["node.name"], name=op.f("fk_node_event_node"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_event")),
    )
    with op.batch_alter_table("node_event", schema=None) as batch_op:
        batch_op.create_index("ix_node_event_node", ["node", "at"], unique=False)

    op.create_table(
        "release",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pack", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("finished", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["pack"], ["pack.address"], name=op.f("fk_release_pack")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_release")),
    )
    op.create_table(
        "round",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("started", UtcDateTime(), nullable=True),
        sa.Column("finished", UtcDateTime(), nullable=True),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=True),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("snapshot", sa.String(length=64), nullable=True),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("pack", sa.String(length=64), nullable=True),
        sa.Column("ap_before", sa.Double(), nullable=True),
        sa.Column("ap_after", sa.Double(), nullable=True),
        sa.Column("ap50_before", sa.Double(), nullable=True),
        sa.Column("ap50_after", sa.Double(), nullable=True),
        sa.Column("eta_s", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'training', 'evaluating', 'exporting', 'done', 'failed')", name=op.f("ck_round_state")
        ),
        sa.ForeignKeyConstraint(["snapshot"], ["snapshot.address"], name=op.f("fk_round_snapshot")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_round")),
    )
    op.create_table(
        "session",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.Column("expires", UtcDateTime(), nullable=False),
        sa.Column("last_seen", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["user.name"], name=op.f("fk_session_user"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_session")),
    )
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_session_expires"), ["expires"], unique=False)
        batch_op.create_index(batch_op.f("ix_session_user"), ["user"], unique=False)

    op.create_table(
        "annotation",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("frame", sa.String(length=36), nullable=False),
        sa.Column("x1", sa.Double(), nullable=False),
        sa.Column("y1", sa.Double(), nullable=False),
        sa.Column("x2", sa.Double(), nullable=False),
        sa.Column("y2", sa.Double(), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(length=64), nullable=True),
        sa.Column("created", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["frame"], ["frame.id"], name=op.f("fk_annotation_frame"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotation")),
    )
    with op.batch_alter_table("annotation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_annotation_frame"), ["frame"], unique=False)
        batch_op.create_index(batch_op.f("ix_annotation_label"), ["label"], unique=False)

    op.create_table(
        "label_revision",
        sa.Column("frame", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("author", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("boxes", sa.JSON(), nullable=False),
        sa.Column("complete_for", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["frame"], ["frame.id"], name=op.f("fk_label_revision_frame"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("frame", "revision", name=op.f("pk_label_revision")),
    )
    op.create_table(
        "release_node",
        sa.Column("release", sa.Integer(), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["node"], ["node.name"], name=op.f("fk_release_node_node"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["release"], ["release.number"], name=op.f("fk_release_node_release"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("release", "node", name=op.f("pk_release_node")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("release_node")
    op.drop_table("label_revision")
    with op.batch_alter_table("annotation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_annotation_label"))
        batch_op.drop_index(batch_op.f("ix_annotation_frame"))

    op.drop_table("annotation")
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_session_user"))
        batch_op.drop_index(batch_op.f("ix_session_expires"))

    op.drop_table("session")
    op.drop_table("round")
    op.drop_table("release")
    with op.batch_alter_table("node_event", schema=None) as batch_op:
        batch_op.drop_index("ix_node_event_node")

    op.drop_table("node_event")
    with op.batch_alter_table("frame", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_frame_site"))
        batch_op.drop_index(batch_op.f("ix_frame_sha256"))
        batch_op.drop_index("ix_frame_queue")
        batch_op.drop_index(batch_op.f("ix_frame_pack"))
        batch_op.drop_index(batch_op.f("ix_frame_captured_at"))
        batch_op.drop_index("ix_frame_camera")

    op.drop_table("frame")
    op.drop_table("camera")
    op.drop_table("user")
    op.drop_table("snapshot")
    op.drop_table("setting")
    op.drop_table("policy")
    op.drop_table("pack")
    with op.batch_alter_table("node", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_node_site"))

    op.drop_table("node")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_job_state"))

    op.drop_table("job")
