"""NoisyMix as a Keras model around any Keras classifier."""

import keras
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MIXINGS, feature_noise
from noisymix_tf.training import segments as segments_lib
from noisymix_tf.training.losses import JensenShannon


@keras.saving.register_keras_serializable("noisymix_tf")
class NoisyMix(keras.Model):
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
        taps: Where mixing and noise may happen: `"auto"`, or layer names in
            the order of the data flow (`"input"` is the model's input).
        alpha: `lam ~ Beta(alpha, alpha)`, at least 0; 0 means no mixing.
        additive_noise: Level of additive noise, at least 0.
        multiplicative_noise: Level of multiplicative noise, at least 0.
        noise_sparsity: Share of entries without noise, in [0, 1].
        noise_per_view: Factors of `additive_noise` for view 0, 1, 2...; views
            beyond the last factor use the last. The reference uses 1, 2, 3.
        jsd_weight: Weight of the Jensen-Shannon term, at least 0.
        mixing: `"manifold"` (a random tap), `"input"` (the first tap) or
            `"none"` (no mixing; noise at the first tap).
        seed: Seed of mixing and noise.
        from_logits: Whether the model gives logits; by default it does unless
            its last layer ends in a softmax.

    Call arguments:
        inputs: `[B, ...]` as the model takes. In `fit`, batches are `(views,
            labels)` or `(views, labels, sample_weight)` with `views` of shape
            `[B, V, ...]`, view 0 clean; a batch without the view axis counts as
            one view.

    Raises:
        UsageError: An argument outside its range, or an unusable tap.

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
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (
            ("alpha", alpha),
            ("additive_noise", additive_noise),
            ("multiplicative_noise", multiplicative_noise),
            ("jsd_weight", jsd_weight),
        ):
            if not value >= 0:
                raise UsageError(f"{name}={value} must be at least 0.")
        if not 0 <= noise_sparsity <= 1:
            raise UsageError(
                f"noise_sparsity={noise_sparsity} must lie in [0, 1]: it is "
                f"the share of entries without noise."
            )
        self.model = model
        self.alpha = alpha
        self.additive_noise = additive_noise
        self.multiplicative_noise = multiplicative_noise
        self.noise_sparsity = noise_sparsity
        self.noise_per_view = tuple(noise_per_view)
        self.jsd_weight = jsd_weight
        self.mixing = mixing
        self.seed = seed
        self.from_logits = (
            not _ends_in_softmax(model) if from_logits is None else from_logits
        )
        # Of a model without a graph it is unknown; its batches need views.
        self._input = model.inputs[0] if segments_lib.is_graph(model) else None
        self.taps, self._segments = segments_lib.cut(model, taps)
        self._mixing = MIXINGS.get(mixing)(len(self.taps), alpha)
        self._jensen_shannon = JensenShannon(from_logits=self.from_logits)
        self._ce_tracker = keras.metrics.Mean(name="cross_entropy")
        self._jsd_tracker = keras.metrics.Mean(name="jsd")
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        # Nothing is left to build: the weights are the classifier's.
        self.built = True

    def call(self, inputs, training=False):
        """Predicts with the classifier; of views it takes the clean one."""
        if self._input is not None:
            if len(inputs.shape) == len(self._input.shape) + 1:
                inputs = inputs[:, 0]
        return self.model(inputs, training=training)

    def train_step(self, data):
        """One step on `(views, labels[, sample_weight])`."""
        views, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(
            data
        )
        x, num_views = self._view_major(views)
        batch_size = labels.shape[0] or tf.shape(labels)[0]
        plan = self._mixing.plan(
            rng.stream(self.seed, self.step, "mixing"), batch_size
        )
        partners = _Partners(plan, labels, sample_weight)
        with tf.GradientTape() as tape:
            predictions = self._forward(x, num_views, plan)
            clean = predictions[0]
            loss, ce, jsd = self._loss_terms(predictions, partners)
            scaled_loss = self.optimizer.scale_loss(loss)
        weights = self.trainable_weights
        gradients = tape.gradient(scaled_loss, weights)
        self.optimizer.apply_gradients(zip(gradients, weights))
        self.step.assign_add(1)

        for tracker, value in (
            (self._loss_tracker, loss),
            (self._ce_tracker, ce),
            (self._jsd_tracker, jsd),
        ):
            tracker.update_state(
                _unscale(value), sample_weight=tf.shape(labels)[0]
            )
        return self.compute_metrics(
            views, partners.dominant_labels(), clean, sample_weight
        )

    def _view_major(self, views):
        """Lays `[B, V, ...]` out as `[V * B, ...]`."""
        dtype = tf.float32
        if self._input is not None:
            dtype = self._input.dtype
            if len(views.shape) == len(self._input.shape):
                views = views[:, None]
        num_views = views.shape[1]
        if num_views is None:
            raise UsageError(
                f"views of shape {views.shape} do not say how many views an "
                f"image has; give batches of a static shape [B, V, ...]."
            )
        order = [1, 0, *range(2, len(views.shape))]
        x = tf.transpose(tf.cast(views, dtype), order)
        return tf.reshape(x, [-1, *views.shape[2:]]), num_views

    def _forward(self, x, num_views, plan):
        """Predictions `[V, B, K]`, mixed and perturbed at the plan's tap."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = rng.stream(self.seed, self.step, "noise", replica)

        def perturb(h):
            by_view = tf.reshape(h, [num_views, -1, *h.shape[1:]])
            mixed = self._mixing.mix(by_view, plan)
            return tf.reshape(
                self._inject(mixed, num_views, seed), [-1, *h.shape[1:]]
            )

        hidden = self.mixing == "manifold"
        for index, segment in enumerate(self._segments):
            x = segment(x, training=True)
            if index == 0 and not hidden:
                x = perturb(x)
            elif index < len(self.taps) and hidden:
                x = _perturb_if(tf.equal(plan.tap, index), perturb, x)
        return tf.reshape(x, [num_views, -1, x.shape[-1]])

    def _inject(self, x, num_views, seed):
        if not (self.additive_noise or self.multiplicative_noise):
            return x
        factors = self.noise_per_view
        return feature_noise(
            x,
            seed,
            [
                self.additive_noise * factors[min(view, len(factors) - 1)]
                for view in range(num_views)
            ],
            [self.multiplicative_noise] * num_views,
            self.noise_sparsity,
        )

    def _loss_terms(self, predictions, partners):
        """Total, cross-entropy and divergence, scaled for distribution."""
        clean = predictions[0]
        ce = partners.mix(
            lambda labels, weights: self.compute_loss(
                y=labels, y_pred=clean, sample_weight=weights
            )
        )
        if predictions.shape[0] == 1 or not self.jsd_weight:
            return ce, ce, tf.zeros([])
        jsd = self._jensen_shannon(
            clean,
            tf.transpose(predictions[1:], [1, 0, 2]),
            sample_weight=partners.sample_weight,
        )
        return ce + self.jsd_weight * jsd, ce, jsd

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
            "mixing": self.mixing,
            "seed": self.seed,
            "from_logits": self.from_logits,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["model"] = keras.saving.deserialize_keras_object(config["model"])
        return cls(**config)


class _Partners:
    """Labels and weights of a batch and of everyone's mixing partner."""

    def __init__(self, plan, labels, sample_weight):
        self.lam = plan.lam
        self.labels = labels
        self.sample_weight = sample_weight
        self.partner_labels = tf.gather(labels, plan.permutation)
        self.partner_weight = (
            None
            if sample_weight is None
            else tf.gather(sample_weight, plan.permutation)
        )

    def mix(self, loss):
        """`lam loss(own) + (1 - lam) loss(partner's)`."""
        own = loss(self.labels, self.sample_weight)
        partner = loss(self.partner_labels, self.partner_weight)
        lam = tf.cast(self.lam, own.dtype)
        return lam * own + (1.0 - lam) * partner

    def dominant_labels(self):
        """The label with the larger weight, for metrics."""
        return tf.where(self.lam >= 0.5, self.labels, self.partner_labels)


def _perturb_if(chosen, perturb, x):
    return tf.cond(chosen, lambda: perturb(x), lambda: x)


def _ends_in_softmax(model):
    """Whether the last layer of a graph ends in a softmax."""
    if not segments_lib.is_graph(model):
        return False
    layer = model.layers[-1]
    if isinstance(layer, keras.layers.Softmax):
        return True
    activation = getattr(layer, "activation", None)
    return activation is keras.activations.softmax


def _unscale(loss):
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return loss * replicas
