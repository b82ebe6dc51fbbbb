"""AutoAttack, by its authors' package."""

from noisymix_tf import attacks
from noisymix_tf.attacks.autoattack import least_classes, require_packages
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.settings import radius_text
from noisymix_tf.evaluation.suites.core import SUITES, ImageSuite


@SUITES.register("autoattack")
class AutoAttack(ImageSuite):
    """The standard version, for each norm and radius.

    Its draws depend on an image's place in its batch, so that the size of a
    batch belongs to what is measured.
    """

    def __init__(self):
        self._attacks = {}

    def cells(self, job):
        require_packages()
        if job.dataset.num_classes < least_classes():
            raise UsageError(
                f"Suite autoattack needs at least {least_classes()} classes, "
                f"{job.dataset.name} has {job.dataset.num_classes}: leave it "
                "out; pgd takes any number."
            )
        settings = job.settings
        radii = {"linf": settings.eps, "l2": settings.l2_eps}
        for norm in settings.norms:
            for eps in radii[norm]:
                cell = job.cell(
                    "autoattack",
                    source="generated",
                    seed=settings.seed,
                    generator=attacks.VERSION,
                    setting=f"{norm} eps={radius_text(eps)} standard, batches "
                    f"of {job.batch_size}",
                )
                self._attacks[cell] = norm, eps
        return list(self._attacks)

    def answer(self, cell, job, images, labels, indices):
        norm, eps = self._attacks[cell]
        adversarial = attacks.auto_attack(
            job.model,
            images,
            labels,
            eps,
            norm=norm,
            seed=cell.seed,
            batch_size=job.batch_size,
            from_logits=job.predictor.from_logits,
        ).numpy()
        return job.predictor(adversarial), adversarial
