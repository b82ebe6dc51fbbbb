"""NoisyMix as a Keras model around any Keras classifier."""

import warnings

import keras
import tensorflow as tf

from noisymix_tf import distribution, probabilities
from noisymix_tf import mixing as mixing_lib
from noisymix_tf.adjustable import Adjustable
from noisymix_tf.errors import UsageError
from noisymix_tf.training import (
    arguments,
    outputs,
    precision,
    replica_state,
    workers,
)
from noisymix_tf.training.adversary import AttacksExamples
from noisymix_tf.training.averaging import EvaluatesAverages
from noisymix_tf.training.device_views import MakesViews
from noisymix_tf.training.labels import Partners
from noisymix_tf.training.losses import STABILITIES
from noisymix_tf.training.mixed_forward import MixesExamples


@keras.saving.register_keras_serializable("noisymix_tf")
class NoisyMix(
    MakesViews, AttacksExamples, MixesExamples, EvaluatesAverages, keras.Model
):
    """Trains a classifier with mixing, noise and a stability term.

    One step draws a tap `k`, a coefficient `lam` and a permutation, shared by
    all views. At tap `k` the features of every view are mixed with those of
    their partners and get fresh noise. The loss is

        lam CE(p_0, y) + (1 - lam) CE(p_0, y[permutation])
            + jsd_weight * JSD(p_0, p_1, ..., p_{V-1})

    where `p_v` are the predictions for view `v` and view 0 is the clean one;
    with a single view the second line is absent. All views pass through the
    network in one batch, so that batch normalisation sees them together.

    Everything random is a pure function of `seed` and a step counter that is
    saved with the weights, so that a resumed run repeats the uninterrupted one.

    Args:
        model: Keras classifier with one input, pixels or features `[B, ...]`,
            and one output `[B, K]`, logits or probabilities. It is trained in
            place and carries the weights: save or export *it*.
        taps: Where mixing and noise may happen: `"auto"`, `"auto:3"` for the
            first three of these, or layer names in the order of the data flow
            (`"input"` is the model's input).
        alpha: `lam ~ Beta(alpha, alpha)`, at least 0; 0 means no mixing.
        additive_noise: Level of additive noise, at least 0.
        multiplicative_noise: Level of multiplicative noise, at least 0.
        noise_sparsity: Share of entries without noise, in [0, 1].
        noise_per_view: Factors of `additive_noise` for view 0, 1, 2..., at
            least 0; views beyond the last factor use the last, so that one
            number is for all of them. The reference uses 1, 2, 3.
        jsd_weight: Weight of the stability term, at least 0.
        stability: The term: `"jsd"` as above, or `"kl"`, the mean of
            `KL(p_0 || p_v)` over the other views (stability training).
        mixing: `"manifold"` (a random tap), `"input"`, `"cutmix"`,
            `"puzzlemix"` (the first tap), `"none"` (no mixing; noise at the
            first tap), or one of `nm.mixing` with options of its own, such as
            `nm.mixing.CutMix(probability=0.5)`.
        seed: Seed of mixing and noise, an int of at most 32 bits.
        from_logits: Whether the model gives logits. By default its last layer
            tells or, where that says nothing, the loss.
        ema: Decay of an exponential moving average of the classifier's
            weights, in [0, 1); 0 for none. See `evaluation_weights`.
        evaluate_ema: Whether the averages are what is evaluated.
        augment: Callable `(images, seed) -> views` as `nm.data.views` takes it,
            to be called in the train step, on the device, where the host cannot
            make views as fast as the devices use them. Batches are then images
            `[B, H, W, C]`, uint8 for those of `nm.augment`. The views are those
            that `nm.data.views` makes with the same seed at the same step, if
            it draws in a function compiled by XLA, as `nm.augment` does.
        standard: Callable `(images, seed) -> images` as `nm.data.views` takes
            it, called before `augment`.
        adversary: `"none"`, or adversarial training: `"pgd"`, `"fast"`, or one
            of `nm.attacks` with options of its own, such as
            `nm.attacks.PGDAdversary(eps=4, share=0.5)`. Adversarial images,
            found with the network as it is in evaluation, take the place of
            view 0 before anything is mixed; what metrics say in training is
            then of them. Inputs must be images of pixels 0..255.

    `alpha`, the noise levels and `jsd_weight` can be assigned at any time, also
    while `fit` runs (`nm.callbacks.NoisyMixSchedule` does it); the step is not
    traced again.

    Call arguments:
        inputs: `[B, ...]` as the model takes. In `fit`, batches are `(views,
            labels)` or `(views, labels, sample_weight)` with `views` of shape
            `[B, V, ...]`, view 0 clean; a batch without the view axis counts as
            one view.

    Raises:
        UsageError: No Keras model, an argument outside its range, or an
            unusable tap; from `fit`, views of another shape than the model
            takes, a loss that takes logits where the model gives
            probabilities, or the other way round.

    Example:

    >>> trainer = NoisyMix(classifier)
    >>> trainer.compile(
    ...     optimizer=keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    ...     loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ...     metrics=["accuracy"],
    ... )
    >>> trainer.fit(dataset_of_views)
    >>> classifier.save("robust.keras")

    Reference: Erichson et al., NoisyMix, arXiv:2202.01263, section 3.1; one
    coefficient, tap and permutation for each step as in its implementation.
    """

    alpha = Adjustable()
    additive_noise = Adjustable()
    multiplicative_noise = Adjustable()
    noise_sparsity = Adjustable(high=1.0, meaning="a share of the entries")
    jsd_weight = Adjustable()

    def __init__(
        self,
        model,
        taps="auto",
        alpha=1.0,
        additive_noise=0.5,
        multiplicative_noise=0.5,
        noise_sparsity=0.65,
        noise_per_view=(1.0, 2.0, 3.0),
        jsd_weight=12.0,
        mixing="manifold",
        seed=0,
        from_logits=None,
        ema=0.0,
        evaluate_ema=True,
        augment=None,
        standard=None,
        stability="jsd",
        adversary="none",
        **kwargs,
    ):
        _check_model(model)
        # The precision is the classifier's, and so is every cast: pixels in
        # half precision would lose their fractions.
        kwargs = {"dtype": precision.policy_of(model), **kwargs}
        super().__init__(autocast=False, **kwargs)
        self._in_use = frozenset()
        self.model = model
        self.alpha = alpha
        self.additive_noise = additive_noise
        self.multiplicative_noise = multiplicative_noise
        self.noise_sparsity = noise_sparsity
        self.noise_per_view = arguments.factors(noise_per_view)
        self.jsd_weight = jsd_weight
        self.stability = stability
        self._divergence = STABILITIES.get(stability)
        self.seed = arguments.seed(seed)
        self.from_logits = from_logits
        self._set_mixing(mixing, taps)
        self._set_adversary(adversary)
        self._ce_tracker = keras.metrics.Mean(name="cross_entropy")
        self._jsd_tracker = keras.metrics.Mean(name=stability)
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        self.ema = ema
        self.evaluate_ema = evaluate_ema
        self._make_average(model, ema)
        self._set_augmentation(augment, standard)
        # Nothing is left to build: the weights are the classifier's.
        self.built = True

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if isinstance(getattr(type(self), name, None), Adjustable) and value:
            self.keep_adjustable(name)

    def keep_adjustable(self, *names):
        """Says that levels may become positive in the course of training.

        What a level of zero switches off is left out of the traced step. A
        level that is named here keeps its part, so that raising it later needs
        no new trace.

        Args:
            *names: Of `alpha`, `additive_noise`, `multiplicative_noise` and
                `jsd_weight`.
        """
        if not set(names) <= self._in_use:
            self._in_use = self._in_use.union(names)
            if getattr(self, "train_function", None) is not None:
                self.make_train_function(force=True)

    @property
    def jit_compile(self):
        """Whether XLA compiles the step, see `compile`."""
        return super().jit_compile

    @jit_compile.setter
    def jit_compile(self, value):
        # Keras stores False, with a warning, where operations must be
        # deterministic: some have no such form in XLA on a GPU. Those raise an
        # error of their own, and the others are what was asked for.
        if value and all(part.supports_jit for part in self._flatten_layers()):
            self._jit_compile = value
        else:
            keras.Model.jit_compile.fset(self, value)

    def make_train_function(self, force=False):
        """As Keras, after a check that all parts fit each other."""
        self._stability()
        self._check_reduction()
        distribution.check_accumulation(
            self.distribute_strategy, _accumulation_steps(self.optimizer)
        )
        optimizer = self.optimizer
        if optimizer is not None and self.model.built and not optimizer.built:
            # Left to the first step, its variables would cost a second trace.
            with self.distribute_strategy.scope():
                optimizer.build(self.trainable_weights)
        return super().make_train_function(force)

    @property
    def ending(self):
        """How the classifier ends; see `noisymix_tf.probabilities.ending`."""
        return probabilities.ending(self.model)

    def _stability(self):
        """The stability term that fits the model's output and the loss."""
        from_logits = self.from_logits
        if from_logits is None:
            from_logits = outputs.gives_logits(self.model, self.loss)
        return self._divergence(
            from_logits=from_logits,
            multi_label=outputs.is_multi_label(self.model, self.loss),
        )

    def call(self, inputs, training=False):
        """Predicts with the classifier; of views it takes the clean one."""
        if self._input is not None:
            if len(inputs.shape) == len(self._input.shape) + 1:
                inputs = inputs[:, 0]
        return self.model(inputs, training=training)

    def train_step(self, data):
        """One step on `(views, labels[, sample_weight])`."""
        inputs, *targets = keras.utils.unpack_x_y_sample_weight(data)
        views, labels = self.views_of(inputs), targets[0]
        scales_loss = precision.scales_loss(self.optimizer)
        if scales_loss:
            guard = precision.Guard(self.model.non_trainable_variables)
        with replica_state.in_common(self.model):
            losses, gradients, rows = self._pass(views, *targets)
        if scales_loss:
            guard.restore_overflown()
            gradients = precision.agree_to_skip(gradients)
        # Counters do not depend on the batch: without this they would also
        # move in the call that finds no batch left. Variables cannot be made
        # behind it; where they are still to be made, a second trace follows.
        loss = losses[0]
        weights = self.trainable_weights
        with tf.control_dependencies([loss] if self.optimizer.built else []):
            self.optimizer.apply_gradients(zip(gradients, weights))
            if self._average is not None:
                self._average.update(self.step)
            self.step.assign_add(1)

        trackers = (self._loss_tracker, self._ce_tracker, self._jsd_tracker)
        for tracker, value in zip(trackers, losses):
            value, count = _unscale(value), tf.shape(labels)[0]
            if scales_loss:
                value, count = precision.finite_share(value, count)
            tracker.update_state(value, sample_weight=count)
        clean, labels, sample_weight = rows
        return workers.reducible(
            self.compute_metrics(views, labels, clean, sample_weight)
        )

    def _pass(self, views, labels, sample_weight):
        """Forward and backward pass: losses, gradients, and rows.

        Rows are what metrics compare: clean predictions, labels and weights.
        """
        x, num_views = self._view_major(views)
        x = self._attacked(x, labels)
        plan = self._plan(x, labels)
        partners = Partners(plan, labels, sample_weight)
        with tf.GradientTape() as tape:
            predictions = self._forward(x, num_views, plan)
            losses = self._loss_terms(predictions, partners)
            scaled_loss = self.optimizer.scale_loss(losses[0])
        gradients = tape.gradient(scaled_loss, self.trainable_weights)
        return losses, gradients, (predictions[0], *partners.dominant())

    def test_step(self, data):
        """Loss and metrics of the classifier, without the training terms."""
        logs = super().test_step(data)
        training_only = (self._ce_tracker.name, self._jsd_tracker.name)
        return workers.reducible(
            {k: v for k, v in logs.items() if k not in training_only}
        )

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras averages a batch over all replicas to learn its shapes, which
        # fails on many machines; the part of one will do.
        if iterator is not None and self._distribute_strategy is not None:
            strategy = self._distribute_strategy
            for _, _, batches in iterator:
                data_batch = workers.of_one_replica(strategy, next(batches))
                break
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def _loss_terms(self, predictions, partners):
        """Total, cross-entropy and divergence, scaled for distribution."""
        clean = predictions[0]
        ce = partners.mix(
            lambda labels, weights: self.compute_loss(
                y=labels, y_pred=clean, sample_weight=weights
            )
        )
        if "jsd_weight" not in self._in_use:
            return ce, ce, tf.zeros([])
        if predictions.shape[0] == 1:
            warnings.warn(
                "The batches have one view of each image, so that there is "
                "nothing for the stability term to compare; give views "
                "[B, V, ...] with V > 1 (nm.data.views, nm.augment."
                "augmix_views), or jsd_weight=0.",
                stacklevel=2,
            )
            return ce, ce, tf.zeros([])
        jsd = self._stability()(
            clean,
            tf.transpose(predictions[1:], [1, 0, 2]),
            sample_weight=partners.sample_weight,
        )
        return ce + NoisyMix.jsd_weight.tensor(self) * jsd, ce, jsd

    def get_config(self):
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
            "taps": list(self.taps),
            "alpha": self.alpha,
            "additive_noise": self.additive_noise,
            "multiplicative_noise": self.multiplicative_noise,
            "noise_sparsity": self.noise_sparsity,
            "noise_per_view": list(self.noise_per_view),
            "jsd_weight": self.jsd_weight,
            "stability": self.stability,
            "mixing": mixing_lib.serialize(self.mixing),
            "seed": self.seed,
            "from_logits": self.from_logits,
            "ema": self.ema,
            "evaluate_ema": self.evaluate_ema,
            **self._augmentation_config(),
            **self._adversary_config(),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["model"] = keras.saving.deserialize_keras_object(config["model"])
        config["mixing"] = mixing_lib.deserialize(config["mixing"])
        parts = cls._augmentation_from(config) | cls._adversary_from(config)
        return cls(**config, **parts)


def _check_model(model):
    if isinstance(model, NoisyMix):
        raise UsageError(
            "NoisyMix was given a NoisyMix: give it the classifier, which is "
            "the other's attribute model."
        )
    if not isinstance(model, keras.Model):
        raise UsageError(
            f"NoisyMix trains a Keras model, got {model!r}: build or load one "
            f"first, such as nm.models.build('resnet50')."
        )


def _accumulation_steps(optimizer):
    """Steps whose gradients make an update; 1 without an optimizer."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return getattr(optimizer, "gradient_accumulation_steps", None) or 1


def _unscale(loss):
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return loss * replicas
