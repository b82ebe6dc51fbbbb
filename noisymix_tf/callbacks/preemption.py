"""Training that ends well when it is told to end."""

import math
import os
import signal
import threading

import keras

from noisymix_tf import distribution
from noisymix_tf.errors import Preempted
from noisymix_tf.models.unwrap import step_of
from noisymix_tf.training import replication

# Steps after which many machines ask each other: it costs them a message.
_ASK_EVERY = 10


class Preemption(keras.callbacks.Callback):
    """Ends training after the step under way, with a checkpoint.

    SIGTERM is what schedulers send to a machine that is about to be taken
    away: the step is finished, its checkpoint written, and `Preempted` raised,
    which ends the process with status 75. Ctrl-C does the same and raises
    `KeyboardInterrupt`. A second signal ends the process at once. A signal
    that comes after the last step of an epoch takes effect when the epoch is
    done, with its validation and its log. Outside the main thread, where
    Python gives out no signals, it does nothing.

    Of many machines that train together all end after the same step when one
    of them is told to, ten steps later at most.

    Args:
        checkpoints: The `Checkpoints` that saves, which stands before this
            callback in the list.

    Raises:
        Preempted: From `fit`, after SIGTERM.
        KeyboardInterrupt: From `fit`, after Ctrl-C.
        UsageError: From `fit`, when the checkpoint cannot be written.

    Example:

    >>> checkpoints = Checkpoints("run/checkpoints", every_steps=390)
    >>> model.fit(dataset, callbacks=[checkpoints, Preemption(checkpoints)])
    """

    def __init__(self, checkpoints):
        super().__init__()
        self._checkpoints = checkpoints
        self._received = None
        self._previous = {}
        self._ask_every = 1
        self._calls = 0

    def on_train_begin(self, logs=None):
        strategy = self.model.distribute_strategy
        self._any_machine = replication.any_machine(strategy)
        if distribution.has_many_machines(strategy):
            self._ask_every = _ASK_EVERY
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            # A program that ignores a signal goes on ignoring it.
            if signal.getsignal(number) != signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._receive)

    def on_train_batch_end(self, batch, logs=None):
        self._calls += 1
        # The last of several steps that are carried out as one may be missing.
        is_last = batch + 1 >= (self.params.get("steps") or math.inf)
        if not is_last and self._calls % self._ask_every == 0:
            self._leave_if_told_to()

    def on_epoch_end(self, epoch, logs=None):
        self._leave_if_told_to()

    def on_train_end(self, logs=None):
        self._leave_if_told_to()
        self.close()

    def close(self):
        """Gives signals back to who had them; for a `fit` that failed, too."""
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler or signal.SIG_DFL)

    def _receive(self, number, frame):
        self._received = number
        signal.signal(number, signal.SIG_DFL)
        # Not `print`, which the signal may have interrupted.
        os.write(
            2,
            b"\nFinishing the step and saving; a second signal ends at once.\n",
        )

    def _leave_if_told_to(self):
        if not self._any_machine(self._received is not None):
            return
        self._checkpoints.save_now()
        received, self._received = self._received, None
        self.close()
        message = f"saved at step {step_of(self.model)}"
        if received == signal.SIGINT:
            raise KeyboardInterrupt(message)
        raise Preempted(message)
