"""The sections of the configuration: one frozen dataclass per room. The string under a field documents it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NewType

Duration = NewType("Duration", int)
"""Milliseconds; in the file a number with its unit, such as "5s"."""

KeyKind = Literal["ec-p256", "ec-p384", "ec-p521", "rsa-2048", "rsa-3072", "rsa-4096"]

_SECOND: Final = 1_000
UNITS: Final = {"d": 86_400 * _SECOND, "h": 3_600 * _SECOND, "m": 60 * _SECOND, "s": _SECOND, "ms": 1}
"""Milliseconds of each unit of a duration."""


def _number(default: int, least: int, most: int) -> Any:
    return field(default=default, metadata={"least": least, "most": most})


def _port(default: int) -> Any:
    return _number(default, 0, 65_535)


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What all rooms share."""

    data_dir: Path = Path("fleetgate-data")
    """Directory for everything the server keeps: its keys, and its database unless that is elsewhere."""


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    """Where the records are."""

    url: str = "sqlite"
    """`sqlite` for a file in data_dir, `sqlite:///PATH` for another file, or `postgresql://USER@HOST:PORT/NAME`."""
    password_file: Path | None = None
    """File that holds the PostgreSQL password on its first line."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """The door for devices: MQTT and HTTPS, both with client certificates."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` or `::` for all."""
    mqtt_port: int = _port(8883)
    """MQTT over TLS; 0 takes any free port."""
    https_port: int = _port(8443)
    """HTTPS, and MQTT for clients that ask for it by ALPN; 0 takes any free port."""
    endpoint_names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    """Names and addresses that devices connect to, for the server's certificate; the first one is announced."""
    endpoint_suffix: str | None = None
    """Domain below which each account and region has a name of its own, ACCOUNT-REGION.SUFFIX; DNS needs a wildcard."""
    mqtt_rules: Literal["aws", "standard"] = "aws"
    """`aws` for the limits and reserved topics of AWS IoT Core, `standard` for those of the MQTT standard alone."""
    maximum_connections: int = _number(10_000, 1, 10_000_000)
    """Devices connected at the same time; one more is turned away before its TLS handshake."""
    just_in_time_rate: int = _number(100, 1, 1_000_000)
    """Certificates of one registered CA that may be presented for just-in-time registration in a second."""


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """The door for operators: the AWS-compatible API and the console."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = _port(8080)
    """Port to listen on; 0 takes any free port."""
    tls_certificate: Path | None = None
    """PEM file with the certificate and its chain. Without one the API speaks plain HTTP, for loopback or a proxy."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key."""
    clock_skew: Duration = Duration(5 * 60 * _SECOND)
    """How far a request's signing time may be from the server's clock."""
    public_url: str | None = None
    """Address that links in answers begin with, behind a proxy; without one, the address that was asked."""


@dataclass(frozen=True, slots=True)
class AuthorityConfig:
    """The installation's own certificate authority."""

    ca_key: KeyKind = "ec-p256"
    """Kind of key made for the CA when the installation is set up."""
    device_key: KeyKind = "rsa-2048"
    """Kind of key made for devices that let the server make theirs."""
    passphrase_file: Path | None = None
    """File that holds the passphrase of the CA's keys on its first line; without one, one is made in data_dir."""
    key_pool: int = _number(64, 0, 10_000)
    """Device keys made ahead, so that a burst of devices does not wait for them."""
    profile: Literal["aws", "strict"] = "aws"
    """`aws` issues what AWS IoT would, good until the end of 2049; `strict` for client authentication and limited."""
    device_validity: Duration = Duration(365 * 86_400 * _SECOND)
    """How long a device certificate is good under `strict`; never longer than its CA's."""
    status_url: str | None = None
    """Address written into certificates as the place of revocation lists and OCSP; without one they say nothing."""
    crl_validity: Duration = Duration(7 * 86_400 * _SECOND)
    """How long a revocation list is good; a new one is made at half of it, and when a certificate is revoked."""
    ocsp_validity: Duration = Duration(3600 * _SECOND)
    """How long an OCSP answer is good."""


@dataclass(frozen=True, slots=True)
class ClaimsConfig:
    """Claim certificates: those that may only ask to be provisioned."""

    unregistered: Literal["refuse", "default-budget"] = "refuse"
    """What becomes of a claim that nobody gave a budget: refused, or granted the default one."""
    default_budget: int = _number(100, 1, 100_000_000)
    """Devices that one claim may provision under `default-budget`."""
    unprovisioned: int = _number(10_000, 1_000, 1_000_000)
    """Certificates that may wait to be provisioned for one claim: as many as its budget has left, at most this many."""


@dataclass(frozen=True, slots=True)
class BulkConfig:
    """Bulk registration: one device for each line of a file."""

    buckets: Path | None = None
    """Directory whose folders are the buckets that input files come from; without one, `buckets` in data_dir."""
    batch: int = _number(16, 1, 64)
    """Lines that are worked on at the same time; fewer leave more room for devices at the door."""


@dataclass(frozen=True, slots=True)
class S3Config:
    """S3, or what speaks its protocol, for input files in buckets that are no folders of the server."""

    credentials_file: Path | None = None
    """File with the access key, in the form of AWS's shared credentials file; without one S3 is not asked."""
    profile: str = "default"
    """The section of that file."""
    region: str = "us-east-1"
    """The region of the buckets."""
    endpoint: str | None = None
    """Another address than AWS's; https, or http on loopback."""
    addressing: Literal["auto", "path", "virtual"] = "auto"
    """The bucket in the address's `path` or its host name (`virtual`); `auto`: host name at AWS, path elsewhere."""
    ca_file: Path | None = None
    """PEM file with the CA certificates that vouch for the address; without one the system's are used."""


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """Who is asked under this name: a handler file (`file`) or an address (`url`)."""

    file: Path | None = None
    """Python file with an AWS-Lambda-style handler; it runs in processes of its own."""
    handler: str = "lambda_handler"
    """The function in the file, called with an event and a context."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables for the handler; it sees nothing of the server's."""
    url: str | None = None
    """Address that the question is posted to as JSON; https, or http on loopback."""
    ca_file: Path | None = None
    """PEM file with the CA certificates that vouch for the address; without one the system's are used."""


@dataclass(frozen=True, slots=True)
class HooksConfig:
    """Pre-provisioning hooks: who is asked before a device is provisioned."""

    time_limit: Duration = Duration(5 * _SECOND)
    """A hook that has not answered by then has denied; waiting for a place and importing its file count."""
    concurrency: int = _number(16, 1, 1_000)
    """Questions to one function at the same time."""
    functions: Mapping[str, FunctionConfig] = field(default_factory=dict)
    """The functions by name: a template's hook ARN ends in `:function:NAME`."""


@dataclass(frozen=True, slots=True)
class NodesConfig:
    """Several processes that serve one installation: they share a PostgreSQL database and an MQTT 5 broker."""

    bus: str | None = None
    """`mqtt://HOST:PORT` or `mqtts://HOST:PORT` of the broker between the nodes; without one, this process is alone."""
    name: str | None = None
    """This node's name, another one for each and the same after a restart; without one, the name of the host."""
    username: str | None = None
    """User name for the broker."""
    password_file: Path | None = None
    """File that holds the broker's password on its first line."""
    ca_file: Path | None = None
    """PEM file with the CA certificates that vouch for the broker (mqtts); without one the system's are used."""


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What the server says while it runs, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important messages to show."""
    format: Literal["console", "json"] = "console"
    """`console` for people, `json` for machines: one object in a line."""


@dataclass(frozen=True, slots=True)
class Config:
    """One section per room."""

    server: ServerConfig = field(default_factory=ServerConfig)
    database: DatabaseConfig = field(default_factory=DatabaseConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    api: ApiConfig = field(default_factory=ApiConfig)
    authority: AuthorityConfig = field(default_factory=AuthorityConfig)
    claims: ClaimsConfig = field(default_factory=ClaimsConfig)
    bulk: BulkConfig = field(default_factory=BulkConfig)
    s3: S3Config = field(default_factory=S3Config)
    hooks: HooksConfig = field(default_factory=HooksConfig)
    nodes: NodesConfig = field(default_factory=NodesConfig)
    log: LogConfig = field(default_factory=LogConfig)
