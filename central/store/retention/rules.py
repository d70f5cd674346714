"""Which rule counts at a site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from central.store.models import Frame, RetentionRule
from central.store.retention import EVERY, RetentionError, Rule


@dataclass(frozen=True)
class Rules:
    """What was set here, by site, and what the settings say for every site that was not."""

    set_here: Mapping[str, Rule] = field(default_factory=dict)
    settings: Rule = field(default_factory=Rule)

    def at(self, site: str) -> Rule:
        """Return the rule that counts at `site`."""
        return self.set_here.get(site) or self.every

    @property
    def every(self) -> Rule:
        """The rule of sites that have none of their own."""
        return self.set_here.get(EVERY, self.settings)

    def plain(self) -> dict[str, Any]:
        """Return the rules as a record has them."""
        return {site: msgspec.to_builtins(rule) for site, rule in sorted({EVERY: self.every, **self.set_here}.items())}

    def with_(self, site: str, rule: Rule) -> Rules:
        """Return the rules as they would be with `rule` at `site`."""
        return Rules({**self.set_here, site: rule}, self.settings)

    @property
    def empty(self) -> bool:
        """Whether they delete nothing anywhere."""
        return self.every.empty and all(rule.empty for rule in self.set_here.values())


def rule_of(row: RetentionRule) -> Rule:
    """Return what `row` says."""
    return Rule(**{name: getattr(row, name) for name in Rule.__struct_fields__})


def load(session: Session, settings: Rule) -> Rules:
    """Return the rules that count; `settings` is what the centre's settings say."""
    return Rules({row.site: rule_of(row) for row in session.scalars(select(RetentionRule))}, settings)


def check(site: str, rule: Rule) -> None:
    """Raise RetentionError where `rule` cannot be one of `site`."""
    if site != EVERY and rule.audit_days is not None:
        raise RetentionError("audit: the audit log is one for all sites; set its days for every site")


def sites(session: Session) -> list[str]:
    """Return the sites that have frames."""
    return sorted(session.scalars(select(Frame.site).distinct()))
