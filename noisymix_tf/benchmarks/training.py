"""Training end to end: input pipeline and train step together."""

import time

from noisymix_tf import data, devices
from noisymix_tf.training import setup


def run(config, rounds=60):
    """Times steps fed by the real pipeline, and the wait for it.

    Args:
        config: `Config` of the run; nothing is written.
        rounds: Timed steps.

    Returns:
        Dict with `samples_per_second`, `steps_per_second`, `wait_share` (the
        share of time in which the step waits for its batch) and
        `cpu_seconds_per_1000_samples`.
    """
    dataset = setup.dataset(config.data)
    batch_size = config.optimizer.batch_size
    steps_per_epoch = data.steps_per_epoch(dataset.train, batch_size)
    trainer = setup.trainer(
        config, setup.classifier(config, dataset), steps_per_epoch, dataset
    )
    trainer.make_train_function()
    batches = iter(setup.views(config, dataset))
    for _ in range(3):
        trainer.train_function(iter([next(batches)]))
    waited = 0.0
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        trainer.train_function(iter([batch]))
    seconds = time.perf_counter() - started
    cpu = time.process_time() - cpu
    samples = rounds * batch_size
    figures = {
        "samples_per_second": samples / seconds,
        "steps_per_second": rounds / seconds,
        "wait_share": waited / seconds,
        "cpu_seconds_per_1000_samples": 1000 * cpu / samples,
    }
    print(
        f"{config.method.method}, {config.model.model} width "
        f"{config.model.width}, batch {batch_size}, {dataset.name}: "
        f"{figures['samples_per_second']:.0f} samples/s, "
        f"{figures['steps_per_second']:.2f} steps/s, "
        f"{figures['cpu_seconds_per_1000_samples']:.2f} CPU-s per 1,000 "
        f"samples; the step waits for input {figures['wait_share']:.1%} of "
        f"the time; {devices.operations()}"
    )
    return figures
