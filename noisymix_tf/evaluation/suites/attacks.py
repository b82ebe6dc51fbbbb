"""Adversarial images in pixel space: FGSM, PGD, and AutoAttack."""

import abc
import functools

import numpy as np

from noisymix_tf import attacks
from noisymix_tf.attacks import Budget, victims
from noisymix_tf.attacks.autoattack import least_classes, require_packages
from noisymix_tf.checks import radius, radius_text
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.sections import Figure, Section, Table, only
from noisymix_tf.evaluation.suites import core
from noisymix_tf.evaluation.suites.core import SUITES, Column, Suite, Task

_NOTE = (
    "the attack sees the whole model, normalisation included; radii are "
    "fractions of the range of pixels."
)
_ON_CROSS_ENTROPY = (
    "cross_entropy is climbed in float32, as published numbers are: where a "
    "model is very sure its gradient vanishes, and the attack is weaker than "
    "log_odds, which has no such rounding."
)
# AutoAttack's about, for an image that stays robust.
_PASSES = 10_000


class AttackSuite(Suite):
    """A suite whose images are made against the model itself.

    Attributes:
        label: What tables call it; in small letters its name.
        notes: What to know of its figures.
    """

    label, notes = None, ()
    columns = (Column("accuracy", "{label} {setting}", is_main=False),)

    @abc.abstractmethod
    def attacks(self, job):
        """Yields the setting of a cell, and `attack` and `passes` of its task.

        The attack may be None where the job has no model.
        """

    def tasks(self, job) -> list[Task]:
        tasks, about = [], {"generator": attacks.VERSION}
        for setting, attack, passes in self.attacks(job):
            cell = job.cell(self.label.lower(), setting=setting, **about)
            tasks.append(Task(cell, job.images, None, attack, passes=passes))
        return tasks

    def sections(self, scores, context) -> list[Section]:
        for field in ("n", "seed", "generator"):
            only(field, scores)
        first = next(iter(scores))
        words = f" per cell, attacked in pixel space, seed {first.seed}"
        every = [(cell.setting, own) for cell, own in scores.items()]
        figures = [
            Figure("accuracy", f"accuracy, {s}", own.accuracy, setting=s)
            for s, own in every
        ]
        columns = [
            ("NLL", "number", {s: own.nll for s, own in every}),
            ("ECE", "percent", {s: own.ece for s, own in every}),
        ]
        places = "attack", columns, {"": [*dict(every)]}
        climbs = any("cross_entropy" in setting for setting, _ in every)
        # Of several attacks the one that finds most is what the model stands.
        mild = sorted(figures, key=lambda figure: -figure.value)
        section = Section(
            # That its images are generated says nothing.
            **core.about(first, self.label, words, label=self.label)
            | {"source": ""},
            figures=tuple(figures),
            table=Table.of(*places, "calibration"),
            cells={s: core.json_values(own) for s, own in every},
            notes=(*self.notes, _NOTE, *[_ON_CROSS_ENTROPY] * climbs),
            headlines={f"{self.label} accuracy": mild[-1].key},
            overview={self.label: {f.setting: f.metric for f in mild}},
        )
        return [section]


@SUITES.register("fgsm")
class Fgsm(AttackSuite):
    """One step along the sign of the gradient, for each radius and loss."""

    label, options = "FGSM", ("seed", "eps", "attack_losses")
    # Published numbers are of the cross-entropy.
    columns = (
        Column("accuracy", "{label} {setting}", main_setting="cross_entropy"),
    )
    notes = (
        "the radius of the paper's FGSM column is not published; 4/255 is an "
        "assumption.",
    )

    def attacks(self, job):
        return _searches(job, ("linf",))


@SUITES.register("pgd")
class Pgd(AttackSuite):
    """Projected gradient descent, for each norm, radius and loss."""

    label, options = "PGD", ("seed", "eps", "l2_eps", "norms", "attack_losses")
    options += ("attack_steps", "attack_step_size", "attack_restarts")
    options += ("random_start",)

    def attacks(self, job):
        of, restarts = job.settings, job.settings.attack_restarts
        words = (
            f", {of.attack_steps} steps of {of.attack_step_size:g} eps, "
            f"{'' if of.random_start else 'no '}random start, {restarts} "
            f"search{'es' if restarts > 1 else ''}"
        )
        kind = of.random_start, of.attack_step_size, of.attack_steps, restarts
        return _searches(job, of.norms, words, *kind)


@SUITES.register("autoattack")
class AutoAttack(AttackSuite):
    """The standard version by its authors' package, for each norm and radius.

    Its draws depend on an image's place in its batch, so that the size of a
    batch belongs to what is measured.
    """

    label, options = "AutoAttack", ("seed", "eps", "l2_eps", "norms")

    def attacks(self, job):
        require_packages()
        if job.dataset.num_classes < least_classes():
            raise UsageError(
                f"Suite autoattack needs at least {least_classes()} classes, "
                f"{job.dataset.name} has {job.dataset.num_classes}: leave it "
                "out; pgd takes any number."
            )
        for norm, eps, ball in _balls(job.settings, job.settings.norms):
            attack = functools.partial(_auto_attack, job, norm, eps)
            words = f"{ball} standard, batches of {job.batch_size}"
            yield words, attack, _PASSES


def _auto_attack(job, norm, eps, images, labels, indices):
    how = {"seed": job.settings.seed, "batch_size": job.batch_size}
    how |= {"norm": norm, "from_logits": job.predictor.from_logits}
    return attacks.auto_attack(job.model, images, labels, eps, **how).numpy()


def _balls(settings, norms):
    for norm in norms:
        for eps in {"linf": settings.eps, "l2": settings.l2_eps}[norm]:
            yield norm, eps, f"{norm} eps={radius_text(eps)}"


def _searches(job, norms, words="", start=False, size=1.0, steps=1, restarts=1):
    """Attacks along gradients for every ball and loss, compiled here."""

    @functools.cache
    def compiled(norm, loss):
        """Searches that differ in their radius only share one."""
        kind = norm, loss, job.predictor.from_logits, start, restarts > 1
        search = victims.victim(job.model).attack(*kind, jit_compile=False)
        return job.replicas.compile(search)

    pixels, seed = int(np.prod(job.images.shape)), job.settings.seed
    for norm, eps, ball in _balls(job.settings, norms):
        radius("eps", eps, attacks.BALLS.get(norm).span(pixels))
        for loss in job.settings.attack_losses:
            attack = None
            if job.model is not None:
                attack = functools.partial(
                    _padded,
                    compiled(norm, loss),
                    Budget.of_shares(eps, size * eps, steps, restarts, seed),
                    job.replicas.round_up(job.batch_size),
                )
            yield f"{ball} {loss}{words}", attack, 1 + 3 * steps * restarts


def _padded(attack, budget, size, *batch):
    """Adversarial images; all batches have one size, to be compiled once."""
    arrays = [
        np.take(own.astype(dtype), range(size), axis=0, mode="clip")
        for own, dtype in zip(batch, (np.float32, np.int32, np.int32))
    ]
    return attack(*arrays, shared=(budget,))[: len(batch[0])]
