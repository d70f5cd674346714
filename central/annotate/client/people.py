"""People, programs, who is told, and oneself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from central.annotate.client.base import Connection
from central.api import schemas as s


class People(Connection):
    """Who may what. Everything raises ClientError."""

    def who(self) -> s.SessionView:
        """Return who we are, and what we may."""
        return self._view(s.SessionView, "GET", "/session")

    def log_out(self) -> None:
        """End our session."""
        self._send("DELETE", "/session")

    def change_password(self, old: str, new: str) -> None:
        """Choose another password."""
        self._send("PUT", "/session/password", {"old": old, "new": new})

    def users(self) -> list[s.UserView]:
        """Return everybody who may log in."""
        return self._list(s.UserView, "/users")

    def add_user(
        self, name: str, role: s.Role = "annotator", sites: Mapping[str, s.Role] | None = None
    ) -> s.UserCreated:
        """Let somebody in; the password is shown this once."""
        return self._view(s.UserCreated, "POST", "/users", s.UserBody(name=name, role=role, sites=dict(sites or {})))

    def change_user(
        self, name: str, role: s.Role | None = None, sites: Mapping[str, s.Role] | None = None,
        disabled: bool | None = None,
    ) -> s.UserView:  # fmt: skip
        """Change what somebody may do, or shut them out; what is None stays."""
        body = s.UserChange(role=role, sites=None if sites is None else dict(sites), disabled=disabled)
        return self._view(s.UserView, "PATCH", f"/users/{name}", body)

    def tokens(self) -> list[s.TokenView]:
        """Return our tokens; an admin's are everybody's."""
        return self._list(s.TokenView, "/tokens")

    def add_token(self, name: str, role: s.Role = "annotator", days: int = 90) -> s.TokenCreated:
        """Make a token, which is shown this once. Only who logged in with a password may."""
        return self._view(s.TokenCreated, "POST", "/tokens", s.TokenBody(name=name, role=role, days=days))

    def revoke_token(self, number: int) -> None:
        """End a token, at once."""
        self._send("DELETE", f"/tokens/{number}")

    def webhooks(self) -> list[s.WebhookView]:
        """Return the places that are told of changes."""
        return self._list(s.WebhookView, "/webhooks")

    def add_webhook(self, url: str, kinds: Sequence[s.EventKind]) -> s.WebhookCreated:
        """Tell a place of changes; the secret that signs them is shown this once."""
        return self._view(s.WebhookCreated, "POST", "/webhooks", s.WebhookBody(url=url, kinds=list(kinds)))

    def remove_webhook(self, number: int) -> None:
        """Tell a place no more."""
        self._send("DELETE", f"/webhooks/{number}")

    def audit(self, by: str | None = None, action: str | None = None) -> Iterator[s.AuditView]:
        """Yield who changed what, newest first."""
        return self._pages(s.AuditPage, "/audit", by=by, action=action)

    def events(self) -> Iterator[str]:
        """Yield kinds of change as they happen (``frame``, ``round`` ...), until the centre ends."""
        with self._stream("/events", read_s=None) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield str(json.loads(line.removeprefix("data: "))["kind"])
