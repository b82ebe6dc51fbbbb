"""Adversarial images in pixel space: FGSM and PGD."""

import abc

import numpy as np

from noisymix_tf import attacks
from noisymix_tf.attacks import checks, victims
from noisymix_tf.evaluation.settings import radius_text
from noisymix_tf.evaluation.suites.core import SUITES, ImageSuite


class AttackSuite(ImageSuite):
    """A suite whose images are made against the model itself.

    Attributes:
        name: Name of the suite.
    """

    name = None

    def __init__(self):
        self._searches = {}
        self._compiled = {}

    @abc.abstractmethod
    def searches(self, settings):
        """Yields `(words, options)`: a cell's setting, and its search.

        The options are norm, loss, random_start, and eps, step_size, steps and
        restarts as `attacks.pgd` takes them.
        """

    def cells(self, job):
        for name, low in (
            ("seed", 0),
            ("attack_steps", 1),
            ("attack_restarts", 1),
        ):
            checks.whole_number(name, getattr(job.settings, name), low)
        size = int(np.prod(job.images.shape))
        for words, options in self.searches(job.settings):
            span = attacks.BALLS.get(options["norm"]).span(size)
            checks.radius(options["eps"], span)
            cell = job.cell(
                self.name,
                source="generated",
                seed=job.settings.seed,
                generator=attacks.VERSION,
                setting=words,
            )
            self._searches[cell] = options
        return list(self._searches)

    def answer(self, cell, job, images, labels, indices):
        options = dict(self._searches[cell])
        attack = self._attack(
            options.pop("norm"),
            options.pop("loss"),
            options.pop("random_start"),
            options["restarts"] > 1,
            job,
        )
        budget = victims.budget_of(seed=job.settings.seed, **options)
        missing = job.replicas.round_up(job.batch_size) - len(images)
        # One shape for all batches, so that no second one is compiled.
        arrays = (
            np.pad(np.asarray(values, dtype), [(0, missing)] + more)
            for values, dtype, more in (
                (images, np.float32, [(0, 0)] * (images.ndim - 1)),
                (labels, np.int32, []),
                (indices, np.int32, []),
            )
        )
        adversarial = attack(*arrays, shared=(budget,))[: len(images)]
        return job.predictor(adversarial), adversarial

    def _attack(self, norm, loss, random_start, several, job):
        """The compiled attack; cells that differ in numbers share one."""
        key = norm, loss, random_start, several
        if key not in self._compiled:
            search = victims.victim(job.model).attack(
                norm,
                loss,
                job.predictor.from_logits,
                random_start,
                several,
                False,
            )
            self._compiled[key] = job.replicas.compile(search)
        return self._compiled[key]


@SUITES.register("fgsm")
class Fgsm(AttackSuite):
    """One step along the sign of the gradient, for each radius and loss."""

    name = "fgsm"

    def searches(self, settings):
        for eps in settings.eps:
            for loss in settings.attack_losses:
                yield (
                    f"linf eps={radius_text(eps)} {loss}",
                    {
                        "norm": "linf",
                        "loss": loss,
                        "random_start": False,
                        "eps": eps,
                        "step_size": eps,
                        "steps": 1,
                        "restarts": 1,
                    },
                )


@SUITES.register("pgd")
class Pgd(AttackSuite):
    """Projected gradient descent, for each norm, radius and loss."""

    name = "pgd"

    def searches(self, settings):
        radii = {"linf": settings.eps, "l2": settings.l2_eps}
        start = "random start" if settings.random_start else "no random start"
        for norm in settings.norms:
            for eps in radii[norm]:
                for loss in settings.attack_losses:
                    yield (
                        f"{norm} eps={radius_text(eps)} {loss}, "
                        f"{settings.attack_steps} steps of "
                        f"{settings.attack_step_size:g} eps, {start}, "
                        f"{settings.attack_restarts} search"
                        f"{'es' if settings.attack_restarts > 1 else ''}",
                        {
                            "norm": norm,
                            "loss": loss,
                            "random_start": settings.random_start,
                            "eps": eps,
                            "step_size": settings.attack_step_size * eps,
                            "steps": settings.attack_steps,
                            "restarts": settings.attack_restarts,
                        },
                    )
