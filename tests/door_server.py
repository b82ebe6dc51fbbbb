"""A process that has imported TensorFlow and forks one run of the door a line.

Importing TensorFlow costs each process seconds, which a campaign of kills
cannot afford. As a script this imports everything, runs no operation (so that
TensorFlow has made no threads and no devices), and then forks a child for
every command line that it reads: the child carries out `python -m
noisymix_tf.train` in place of a process of its own, and can be killed like one.

With arguments it carries them out itself, without forking. Either way there is
one more network, `--model=tiny`.
"""

import json
import os
import pathlib
import subprocess
import sys
import traceback


class DoorServer:
    """Starts runs, one after the other.

    Args:
        cwd: Working directory of the runs.

    Example:

    >>> with DoorServer(ROOT) as server:
    ...     pid = server.start(["--output_dir=run"], "run.log")
    ...     os.kill(pid, signal.SIGKILL)
    ...     status = server.wait()
    """

    def __init__(self, cwd):
        self._process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__)],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def start(self, arguments, log):
        """Starts a run whose output goes to a file; returns its process id."""
        line = json.dumps({"arguments": list(arguments), "log": str(log)})
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        self._pid = int(self._process.stdout.readline())
        return self._pid

    def is_running(self):
        """Whether the run has not ended yet."""
        stat = pathlib.Path(f"/proc/{self._pid}/stat").read_text()
        return stat.rpartition(") ")[2][0] != "Z"

    def wait(self):
        """Exit status of the run, or minus the signal that ended it.

        Until it is called, the process id stays that of the run.
        """
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _main(arguments):
    from noisymix_tf import doors

    doors.quiet_tensorflow()
    from noisymix_tf import data, evaluation, serving, train  # noqa: F401
    from noisymix_tf.training import setup  # noqa: F401

    _register()
    if arguments:
        doors.run(train.main, ["train", *arguments])
        return
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run(doors, train, **request)
        print(pid, flush=True)
        sys.stdin.readline()
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _register():
    """Adds a network so small that its step is traced within a second."""
    import keras

    from noisymix_tf.models.zoo import MODELS, Architecture

    def build(input_shape, num_classes, mean, std, width, seed):
        def init(k):
            return keras.initializers.GlorotUniform(seed + k)

        image = keras.Input(input_shape)
        x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize")(image)
        x = keras.layers.Conv2D(4, 3, 2, kernel_initializer=init(0))(x)
        x = keras.layers.BatchNormalization(name="stage1")(x)
        x = keras.layers.ReLU()(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        x = keras.layers.Dense(num_classes, kernel_initializer=init(1))(x)
        return keras.Model(image, x)

    MODELS.register("tiny")(Architecture(build))


def _run(doors, train, arguments, log):
    """What the child does in place of a new process; never returns."""
    status = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(file, 1)
        os.dup2(file, 2)
        doors.run(train.main, ["train", *arguments])
        status = 0
    except SystemExit as error:
        status = error.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _main(sys.argv[1:])
