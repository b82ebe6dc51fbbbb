"""The section on what the measurement cost."""

from noisymix_tf.evaluation.sections.core import Figure, Section


def cost(records):
    """Seconds of all cells that say where they went; a list, perhaps empty."""
    timed = [m for m in records.values() if "forward_seconds" in m]
    if not timed:
        return []
    seconds, generation, forward = (
        sum(m[key] for m in timed)
        for key in ("seconds", "generation_seconds", "forward_seconds")
    )
    return [
        Section(
            name="cost",
            title="Time",
            n=len(timed),
            source="",
            origin=f"{len(timed)} cells, each once",
            figures=(
                Figure("seconds", "elapsed", seconds, "seconds"),
                Figure(
                    "generation_seconds",
                    "generating or reading images, processor time of threads",
                    generation,
                    "seconds",
                ),
                Figure(
                    "forward_seconds",
                    "in the model, elapsed",
                    forward,
                    "seconds",
                ),
            ),
        )
    ]
