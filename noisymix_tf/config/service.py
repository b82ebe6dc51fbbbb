"""Flags of the servers of the tf.data service."""

import dataclasses

from noisymix_tf.config.fields import PORT, Group, field


@dataclasses.dataclass(frozen=True)
class ServerConfig(Group):
    """Which server, and where it listens."""

    workers: tuple = field(
        (),
        "Start the dispatcher for these workers, HOST or HOST:PORT each, in "
        "an order that stays.",
        address=True,
    )
    dispatcher: str | None = field(
        None,
        "Start a worker for this dispatcher, HOST:PORT.",
        kind=str,
        address=True,
    )
    port: int = field(0, "Port to listen at; 0: a free one.", range=PORT)
    host: str = field(
        "localhost",
        "Name of this machine, for a worker; as the dispatcher's list has it.",
    )


@dataclasses.dataclass(frozen=True)
class ServiceConfig:
    """Everything that a server needs to know."""

    service: ServerConfig = dataclasses.field(default_factory=ServerConfig)
