"""The configuration: one TOML file, one frozen dataclass per room. The line under a field is its documentation, from
which the example file and the reference page are made.

No field is needed to start. Secrets stand in files of their own (`*_file`), never in this one. Relative paths are
relative to the directory that the server is started in.
"""

from fleetgate.config.reading import load
from fleetgate.config.reference import example, reference
from fleetgate.config.sections import (
    ApiConfig,
    AuthorityConfig,
    BulkConfig,
    ClaimsConfig,
    Config,
    DatabaseConfig,
    Duration,
    FunctionConfig,
    GatewayConfig,
    HooksConfig,
    LogConfig,
    NodesConfig,
    S3Config,
    ServerConfig,
)

__all__ = [
    "ApiConfig",
    "AuthorityConfig",
    "BulkConfig",
    "ClaimsConfig",
    "Config",
    "DatabaseConfig",
    "Duration",
    "FunctionConfig",
    "GatewayConfig",
    "HooksConfig",
    "LogConfig",
    "NodesConfig",
    "S3Config",
    "ServerConfig",
    "example",
    "load",
    "reference",
]
