"""What working on frames brings with it beside the queue, as one."""

from __future__ import annotations

from fastapi import APIRouter

from central.api.routes import agreement, pairs, propagate

router = APIRouter()
for module in (propagate, pairs, agreement):
    router.include_router(module.router)
