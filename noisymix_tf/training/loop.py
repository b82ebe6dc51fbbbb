"""Runs `fit` from wherever a run stands to its last step."""

import sys

from noisymix_tf.callbacks.checkpoints import Checkpoints
from noisymix_tf.callbacks.epoch_bar import EpochBar
from noisymix_tf.callbacks.preemption import Preemption
from noisymix_tf.training import workers


def train(
    trainer,
    dataset_from,
    *,
    epochs,
    steps_per_epoch,
    checkpoints,
    checkpoint_steps=0,
    callbacks=(),
    verbose=1,
    **fit_arguments,
):
    """Trains to the end, continuing from the newest checkpoint.

    A run that was interrupted at any step and started again ends with the same
    weights as an uninterrupted one: the state is restored exactly, and batches
    are a function of the step alone. SIGTERM and Ctrl-C take effect after the
    step under way, with a checkpoint (see `callbacks.Preemption`).

    Args:
        trainer: Compiled `NoisyMix`.
        dataset_from: Function from a step to the endless `tf.data.Dataset` of
            the batches of that step and those after it.
        epochs: Epochs in all.
        steps_per_epoch: Steps of an epoch.
        checkpoints: `CheckpointFolder`.
        checkpoint_steps: Steps between checkpoints; 0 means each epoch.
        callbacks: Further callbacks; what they do at the end of an epoch is
            done before the checkpoint of that step is written.
        verbose: What is said of epochs, as in `fit`.
        **fit_arguments: Passed on to `fit`.

    Returns:
        The step that training continued from; if it is not 0, a line on the
        standard error says so before the training.
    """
    checkpoints.tidy()
    start, metrics = workers.from_chief(trainer, *checkpoints.restore(trainer))
    if start:
        print(f"Continued from step {start}.", file=sys.stderr, flush=True)
    saver = Checkpoints(
        checkpoints,
        checkpoint_steps or steps_per_epoch,
        restored_metrics=metrics if start % steps_per_epoch else (),
    )
    preemption = Preemption(saver)
    bar = EpochBar(epochs, verbose)
    step = start
    try:
        while step < epochs * steps_per_epoch:
            epoch, done = divmod(step, steps_per_epoch)
            # An epoch entered in the middle is a `fit` of its own, because
            # `fit` knows only epochs of one length.
            last_epoch = epoch + 1 if done else epochs
            trainer.fit(
                dataset_from(step),
                initial_epoch=epoch,
                epochs=last_epoch,
                steps_per_epoch=steps_per_epoch - done,
                callbacks=[*callbacks, bar, saver, preemption],
                verbose=0,
                shuffle=False,
                **fit_arguments,
            )
            step = last_epoch * steps_per_epoch
    finally:
        preemption.close()
        saver.close()
    return start
