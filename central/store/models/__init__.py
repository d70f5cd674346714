"""The tables of the centre.

    Node 1-n Camera            who is there, and how it fares
    Frame 1-n Annotation       what was seen: machines' proposals (unconfirmed) and labels (confirmed)
          1-n LabelRevision    every answer that a person gave, in order; nothing of it is overwritten
          1-n Opinion, Verdict, Draft, Lease, Flag   second opinions, what proposals were worth, who is at work
          1-1 FrameQuestion, 1-n QuestionAnswer   what is asked about a frame, and single answers
          1-n FrameLook, TagProposal   which machine looked at it, and what each says of its tags
    BlurPair 1-n PairLabel     which of two objects is sharper
    Pack 1-n Release 1-n ReleaseNode   models, their offers to the nodes, and how far each node is
    Rollout 1-n RolloutWave, RolloutNode, RolloutEvent   a release's way through the fleet, and who decided what
    Snapshot, Round            what was trained on, and what came of it
    SnapshotNote, ProfileVersion, Errand   names of snapshots, what was labelled since when, and what was lent out
    Job                        work in the background
    User 1-n Session, ApiToken, SiteRole   who may log in, and do what where
    AuditEntry, Webhook        who changed what, and who is told of it
    Policy, Setting, NodeEvent
    CameraScores               blur and uncertainty of each camera over time, as health messages told them
    DriftLook, CameraBoost     how each camera changes, and the frames asked of it because of that
    Enrolment, Parked          who was let in, and what was refused
    RetentionRule, Hold        what is kept for how long, and what is kept whatever the rules say
    DeletionRun 1-n Deletion   what was deleted: a signed chain that only grows
    Server, Duty, ChangeCount  the servers of one centre, what each does for all, and what they tell each other
    TrustFile, LoginFailure    what they share besides: signed metadata, and wrong passwords that still count

Rules
- Times are aware UTC, also on SQLite (`UtcDateTime`). Boxes are xyxy in pixels of the source frame.
- Only types that SQLite and PostgreSQL share. Enumerations are text with a CHECK.
- JSON columns hold the wire form (`msgspec.to_builtins`) of the struct that they are named after.
"""

from __future__ import annotations

from central.store.models.annotation import (
    BlurPair,
    Draft,
    Flag,
    Lease,
    Opinion,
    Outcome,
    PairAnswer,
    PairLabel,
    Verdict,
)
from central.store.models.base import DIGEST, FRAME_ID, IDENTITY, Base, UtcDateTime
from central.store.models.datasets import Errand, ProfileVersion, SnapshotNote
from central.store.models.drift import CameraBoost, DriftLook, DriftVerdict
from central.store.models.enrolment import Enrolment, Parked
from central.store.models.fleet import Camera, EventKind, Node, NodeEvent, NodeState, Policy
from central.store.models.frames import Annotation, Frame, FrameState, LabelRevision
from central.store.models.learning import Job, JobState, Round, RoundState, Snapshot
from central.store.models.packs import Pack, Release, ReleaseNode
from central.store.models.people import ApiToken, AuditEntry, Role, Session, Setting, SiteRole, User, Webhook
from central.store.models.questions import FrameLook, FrameQuestion, QuestionAnswer, QuestionKind, TagProposal
from central.store.models.retention import Deletion, DeletionRun, Hold, RetentionRule
from central.store.models.rollouts import NodeStage, Rollout, RolloutEvent, RolloutNode, RolloutState, RolloutWave
from central.store.models.scores import CameraScores
from central.store.models.servers import ChangeCount, Duty, LoginFailure, Server, TrustFile

__all__ = [
    "DIGEST",
    "FRAME_ID",
    "IDENTITY",
    "Annotation",
    "ApiToken",
    "AuditEntry",
    "Base",
    "BlurPair",
    "Camera",
    "CameraBoost",
    "CameraScores",
    "ChangeCount",
    "Deletion",
    "DeletionRun",
    "Draft",
    "DriftLook",
    "DriftVerdict",
    "Duty",
    "Enrolment",
    "Errand",
    "EventKind",
    "Flag",
    "Frame",
    "FrameLook",
    "FrameQuestion",
    "FrameState",
    "Hold",
    "Job",
    "JobState",
    "LabelRevision",
    "Lease",
    "LoginFailure",
    "Node",
    "NodeEvent",
    "NodeStage",
    "NodeState",
    "Opinion",
    "Outcome",
    "Pack",
    "PairAnswer",
    "PairLabel",
    "Parked",
    "Policy",
    "ProfileVersion",
    "QuestionAnswer",
    "QuestionKind",
    "Release",
    "ReleaseNode",
    "RetentionRule",
    "Role",
    "Rollout",
    "RolloutEvent",
    "RolloutNode",
    "RolloutState",
    "RolloutWave",
    "Round",
    "RoundState",
    "Server",
    "Session",
    "Setting",
    "SiteRole",
    "Snapshot",
    "SnapshotNote",
    "TagProposal",
    "TrustFile",
    "User",
    "UtcDateTime",
    "Verdict",
    "Webhook",
]
