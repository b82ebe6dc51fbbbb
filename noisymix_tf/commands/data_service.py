"""Serve batches to a training on another machine.

python -m noisymix_tf data-service --port=5050 --workers=host1,host2
python -m noisymix_tf data-service --dispatcher=host0:5050 --host=host1
"""

import contextlib
import dataclasses
import socket
import time

from noisymix_tf.commands import command
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf
from noisymix_tf.options import Options, between, option
from noisymix_tf.progress import say, warn


@dataclasses.dataclass(frozen=True)
class ServerConfig(Options):
    """Which server, and where it listens."""

    workers: tuple[str, ...] = option(
        (),
        "Start the dispatcher for these workers, HOST or HOST:PORT each, in "
        "an order that stays.",
        address=True,
    )
    dispatcher: str | None = option(
        None, "Start a worker for this dispatcher, HOST:PORT.", address=True
    )
    port: int = option(
        0, "Port to listen at; 0: a free one.", between(0, 65535)
    )
    host: str = option(
        "localhost",
        "Name of this machine, for a worker; as the dispatcher's list has it.",
    )


@command("data-service", ServerConfig)
def run(config: ServerConfig) -> None:
    """Serves until it is stopped."""
    start(config).join()


def start(config: ServerConfig):
    """Starts a dispatcher or worker; a `UsageError` if it cannot listen."""
    if bool(config.workers) == bool(config.dispatcher):
        raise UsageError(
            "Give --workers=HOST,... to start the dispatcher of a service, or "
            "--dispatcher=HOST:PORT to start one of its workers."
        )
    try:
        if config.workers:
            server = dispatcher(config.port, config.workers)
            warn(f"Dispatcher: {server.target}")
        else:
            server = worker(config.dispatcher, config.port, config.host)
            say(f"Worker of {config.dispatcher}")
    except tf.errors.OpError as error:
        raise UsageError(
            f"Cannot serve at --port={config.port} ({error.message}): give "
            "another port, and the address of a running dispatcher."
        ) from error
    return server


def dispatcher(port: int, workers):
    """The dispatcher of workers at addresses, each `"HOST"` or `"HOST:PORT"`.

    Each worker takes the place that it has in the list.
    """
    service = tf.data.experimental.service
    workers = [w if ":" in w else f"{w}:%port%" for w in workers]
    of = {"protocol": "grpc", "worker_addresses": workers}
    return service.DispatchServer(service.DispatcherConfig(port=port, **of))


def worker(dispatcher: str, port: int, host="localhost", timeout=None):
    """A worker of the dispatcher at `"HOST:PORT"`.

    It is waited for so many seconds, by default `service.WAIT_SECONDS`.
    """
    from noisymix_tf.data.service import WAIT_SECONDS, patiently

    name, _, number = dispatcher.rpartition(":")
    is_place = name and number.isdecimal() and 0 < int(number) < 2**16

    def answers(seconds):
        """Whether something listens there, in time; None for no."""
        end, place = time.monotonic() + seconds, (name.strip("[]"), int(number))
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                socket.create_connection(place, timeout=1).close()
                return True
            time.sleep(min(0.2, seconds))

    # TensorFlow would wait without end, and let no signal through.
    what, seconds = f"the dispatcher {dispatcher}", timeout or WAIT_SECONDS
    if not (is_place and patiently(answers, what, seconds)):
        raise UsageError(
            f"--dispatcher={dispatcher}: nothing answers there; start the "
            "dispatcher, and give its HOST:PORT."
        )
    service = tf.data.experimental.service
    of = {"dispatcher_address": dispatcher, "worker_address": f"{host}:%port%"}
    return service.WorkerServer(service.WorkerConfig(port=port, **of))
