"""Door: a dispatcher or a worker of the tf.data service.

python -m noisymix_tf.data_service --port=5050 --workers=host1,host2
python -m noisymix_tf.data_service --dispatcher=host0:5050 --host=host1
"""

import sys

from noisymix_tf import command_line, doors
from noisymix_tf.config.service import ServiceConfig
from noisymix_tf.errors import UsageError

_USAGE = (
    "python -m noisymix_tf.data_service --workers=HOST,... | --dispatcher=HOST"
)


def main(argv):
    """Parses the command line and serves until it is stopped."""
    command_line.define_flags(config=ServiceConfig)
    start(
        command_line.parse(argv, config=ServiceConfig, usage=_USAGE).service
    ).join()


def start(config):
    """Starts the server that a configuration describes.

    Args:
        config: `noisymix_tf.config.service.ServerConfig`.

    Returns:
        The server.

    Raises:
        UsageError: If it is neither a dispatcher nor a worker, or cannot
            listen at its port.
    """
    import tensorflow as tf

    from noisymix_tf.data import service

    if bool(config.workers) == bool(config.dispatcher):
        raise UsageError(
            "Give --workers=HOST,... to start the dispatcher of a service, or "
            "--dispatcher=HOST:PORT to start one of its workers."
        )
    try:
        if config.workers:
            server = service.dispatcher(config.port, config.workers)
            print(f"Dispatcher: {server.target}", file=sys.stderr, flush=True)
        else:
            server = service.worker(config.dispatcher, config.port, config.host)
            print(f"Worker of {config.dispatcher}", file=sys.stderr, flush=True)
    except tf.errors.OpError as error:
        raise UsageError(
            f"Cannot serve at --port={config.port} ({error.message}): give "
            "another port, and the address of a running dispatcher."
        ) from error
    return server


if __name__ == "__main__":
    doors.run(main)
