"""An S3 store by its URL, and what its errors mean.

    s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=NAME&style=path|virtual&http=yes&credentials=instance

Keys never stand in the URL: they come from the variables that every S3 program reads (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), or from a container's or web identity's; from the machine itself only where
the URL says so. AWS_REGION, AWS_ENDPOINT_URL and AWS_CA_BUNDLE serve where the URL says nothing.

What is sent is signed with its SHA-256, which the store checks before it answers. What fails is tried again with
back-off, for a time that is bounded: whoever waits for an image is told soon, whoever stores one a little later.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from obstore.exceptions import BaseError
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import BackoffConfig, ClientConfig

CONNECT: Final = timedelta(seconds=5)
SEND: Final = timedelta(seconds=30)
"""For one request that stores: some MB over a slow line."""
READ: Final = timedelta(seconds=10)
"""For one request that reads: a person waits."""
SEND_FOR: Final = timedelta(seconds=20)
"""From the first try on no further one is begun; the nodes still have what was sent."""
READ_FOR: Final = timedelta(seconds=4)
RETRIES: Final = 4
_BACKOFF: Final[BackoffConfig] = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=3),
    "base": 2,
}
_OPTIONS: Final = ("endpoint", "region", "style", "http", "credentials")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*\Z")
_TRUE: Final = ("1", "true", "yes", "on")
_GIVERS: Final = (
    "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip

WRONG: Final = {
    "NoSuchBucket": "there is no such bucket; make it, or correct the URL",
    "InvalidAccessKeyId": "the access key is not known there; correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the keys are wrong; correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the session token is too old; give a new AWS_SESSION_TOKEN",
    "InvalidToken": "the session token is wrong; give a new AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "the clock of this machine is off; set it",
    "RequestExpired": "the clock of this machine is off; set it",
    "AccessDenied": "the key may not do this; let it list the bucket, and get, put and delete in it",
    "AuthorizationHeaderMalformed": "the region is another one; correct region= in the URL",
    "PermanentRedirect": "the bucket is in another region; correct region= in the URL",
    "InvalidBucketName": "the name of the bucket is not one; correct the URL",
}
"""What only a person can correct, by the store's code."""
BUSY: Final = {
    "SlowDown": "it is asked for more than it can do",
    "ServiceUnavailable": "it is not available",
    "InternalError": "it has an error of its own",
    "RequestTimeout": "what was sent did not arrive in time",
    "QuotaExceeded": "its quota is used up",
    "XMinioStorageFull": "its disks are full",
}
"""What goes by, or is mended there."""
_CAUSES: Final = (
    (r"connection refused", "nothing answers there"),
    (r"dns error|failed to lookup", "its name is not known"),
    (r"certificate|invalidcontenttype|ssl|tls", "no trusted TLS there; name its authority in AWS_CA_BUNDLE"),
    (r"timed ?out|timeout", "it does not answer in time"),
    (r"connection reset|incompletemessage|unexpected ?eof|broken pipe|end of file", "it broke the connection"),
)


class AddressError(ValueError):
    """A URL of a store that is none, or that lacks something. The text says what to do, and holds no key."""


@dataclass(frozen=True)
class Address:
    """Where a store is."""

    bucket: str
    prefix: str
    endpoint: str | None
    """URL of the server; None for that of the region."""
    region: str
    virtual: bool
    """The bucket is a part of the host's name."""
    http: bool
    """Unencrypted is allowed."""
    instance: bool
    """The machine itself gives the keys."""

    @property
    def name(self) -> str:
        """What people read."""
        where = f" at {self.endpoint}" if self.endpoint else ""
        return f"s3://{'/'.join(filter(None, (self.bucket, self.prefix)))}{where}"


def _said(text: str) -> bool:
    return text.lower() in _TRUE


def parse(url: str) -> Address:
    """Return what `url` and the environment say. Raises AddressError."""
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise AddressError("not a URL; give s3://BUCKET/PREFIX") from None
    if "@" in parts.netloc:
        raise AddressError("no keys in it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    strange = sorted(set(options) - set(_OPTIONS))
    if strange:
        raise AddressError(f"unknown {strange[0][:40]!r}; there are {', '.join(_OPTIONS)}")
    bucket, prefix = parts.netloc, parts.path.strip("/")
    if not _BUCKET.match(bucket) or (prefix and not _PREFIX.match(prefix)) or ".." in prefix or parts.fragment:
        raise AddressError("no bucket or prefix that S3 has; give s3://BUCKET/PREFIX")
    if options.get("style", "path") not in ("path", "virtual"):
        raise AddressError("style is path or virtual")
    given = os.environ
    endpoint = options.get("endpoint") or given.get("AWS_ENDPOINT_URL_S3") or given.get("AWS_ENDPOINT_URL") or None
    http = _said(options.get("http", "")) or _said(given.get("AWS_ALLOW_HTTP", ""))
    _check_endpoint(endpoint, http)
    region = options.get("region") or given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or "us-east-1"
    virtual, instance = options.get("style") == "virtual", options.get("credentials") == "instance"
    if not instance and not any(given.get(name) for name in _GIVERS):
        raise AddressError(
            "no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or credentials=instance where the machine "
            "has a role"
        )
    return Address(bucket, prefix, endpoint, region, virtual, http, instance)


def _check_endpoint(endpoint: str | None, http: bool) -> None:
    if endpoint is None:
        return
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise AddressError("endpoint is https://HOST or https://HOST:PORT")
    if parts.scheme == "http" and not http:
        raise AddressError("the endpoint is not encrypted; use https, or add http=yes where the network is your own")


def _client(address: Address, timeout: timedelta) -> ClientConfig:
    found: ClientConfig = {"connect_timeout": CONNECT, "timeout": timeout, "allow_http": address.http}
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if bundle:
        try:
            found["root_certificate"] = Path(bundle).read_bytes()
        except OSError as error:
            raise AddressError(f"AWS_CA_BUNDLE: {bundle}: {error.strerror}") from None
    return found


def _endpoint(address: Address) -> dict[str, Any]:
    if address.endpoint is None:
        return {}
    scheme, _, host = address.endpoint.rstrip("/").partition("://")
    return {"endpoint": f"{scheme}://{address.bucket}.{host}" if address.virtual else f"{scheme}://{host}"}


def connect(address: Address) -> tuple[S3Store, S3Store]:
    """Return the store, once for who writes and once for who reads and waits. Asks nobody. Raises AddressError."""
    made = []
    for timeout, until in ((SEND, SEND_FOR), (READ, READ_FOR)):
        try:
            made.append(
                S3Store(
                    address.bucket, prefix=address.prefix or None, region=address.region,
                    virtual_hosted_style_request=address.virtual, client_options=_client(address, timeout),
                    retry_config={"max_retries": RETRIES, "retry_timeout": until, "backoff": _BACKOFF},
                    **_endpoint(address),
                )
            )  # fmt: skip
        except (BaseError, ValueError) as error:
            raise AddressError(explain(error)[0]) from None
    return made[0], made[1]


def missing(error: BaseException) -> bool:
    """Whether `error` says that the key is not there; a bucket that is not there is another matter."""
    return isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error)


def explain(error: BaseException) -> tuple[str, bool]:
    """Return in one line what `error` means, and whether only a person can mend it. No key of ours is in it."""
    text = str(error)
    found = re.search(r"<Code>(\w{1,60})</Code>", text)
    code = found[1] if found else ""
    if code in WRONG:
        return WRONG[code], True
    if code in BUSY:
        return f"{BUSY[code]} ({code})", False
    if "169.254." in text and not found:
        return "this machine has no role that gives keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", True
    status = re.search(r"status code: (\d{3})", text)
    if status:
        wrong = status[1] in ("401", "403")
        return (WRONG["AccessDenied"] if wrong and not code else f"it answers {status[1]} {code}".strip()), wrong
    for pattern, meaning in _CAUSES:
        if re.search(pattern, text, re.IGNORECASE):
            return meaning, False
    first = re.sub(r"\s+", " ", text.split("Debug source")[0]).strip()
    return first[:200] or type(error).__name__, False
