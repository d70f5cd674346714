"""From the one file that the centre made to the settings that it stands for.

    {"enrolment": "gate-1.wnode", ...} -> {"node", "site", "mqtt": {"host", "port", "prefix", "tls": ...}, ...}

What the configuration says itself counts more, except for the name, which the certificate has: another one would get
nothing at the broker, so it is an error. The file as it is serves as authority, certificate and key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog

from edge.yamlfile import ConfigError
from protocols import enrolment
from protocols.enrolment import Enrolment, EnrolmentError

log = structlog.get_logger("edge.enrolment")
KEY = "enrolment"


def read(path: Path) -> Enrolment:
    """Return what the enrolment at `path` says. Raises ConfigError."""
    try:
        with path.open(encoding="utf-8") as file:
            found = enrolment.parse(file.read(enrolment.MAX_FILE + 1))
        if path.stat().st_mode & 0o077:
            log.warning("others can read the key of this node; chmod 600", file=str(path))
    except OSError as error:
        raise ConfigError([f"enrolment: {path} cannot be read ({error.strerror})"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"enrolment: {path} is not text"]) from None
    except EnrolmentError as error:
        raise ConfigError([f"enrolment: {path}: {error}"]) from None
    return found


def expand(settings: Any) -> Any:
    """Return `settings` with what their enrolment, if there is one, stands for. Raises ConfigError."""
    if not isinstance(settings, dict) or not isinstance(settings.get(KEY), str | Path):
        return settings
    file = Path(settings[KEY])
    held = read(file)
    if settings.get("node", held.node) != held.node:
        raise ConfigError([f"node: {settings['node']}, but {file} is the enrolment of {held.node}; leave node away"])
    mqtt = settings.get("mqtt")
    if not isinstance(mqtt, dict):
        mqtt = {}
    tls = {"ca": str(file), "cert": str(file), "key": str(file)}
    place = {"host": held.host, "port": held.port, "prefix": held.prefix}
    own = mqtt.get("tls")
    merged = {**place, **mqtt, "tls": {**tls, **own} if isinstance(own, dict) else tls}
    return {"site": held.site, **settings, "node": held.node, "mqtt": merged}
