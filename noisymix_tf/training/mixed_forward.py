"""The forward pass of a train step, with mixing and noise at a tap."""

import functools

import tensorflow as tf

from noisymix_tf import mixing as mixing_lib
from noisymix_tf import rng
from noisymix_tf.errors import UsageError
from noisymix_tf.training import segments as segments_lib


class MixesExamples:
    """The part of a trainer that mixes and perturbs: a base of its class."""

    def _set_mixing(self, mixing, taps):
        self.mixing = mixing
        kind = mixing_lib.resolve(mixing)
        model = self.model
        # Of a model without a graph it is unknown; its batches need views.
        self._input = model.inputs[0] if segments_lib.is_graph(model) else None
        if self._input is not None:
            kind.check(tuple(self._input.shape[1:]))
        self.taps, self._segments = segments_lib.cut(model, taps)
        self._mixing = kind.bind(
            len(self.taps), lambda: type(self).alpha.tensor(self)
        )

    def _check_reduction(self):
        """Refuses a loss that undoes the examples' shares."""
        reduction = getattr(self.loss, "reduction", None)
        if self._mixing.per_example and reduction == "mean_with_sample_weight":
            raise UsageError(
                f"mixing={type(self._mixing).__name__} weighs the losses of "
                f"the examples, which reduction={reduction!r} divides out; "
                f"give the loss reduction='sum_over_batch_size'."
            )

    def _view_major(self, views):
        """Lays `[B, V, ...]` out as `[V * B, ...]`."""
        dtype = tf.float32
        if self._input is not None:
            dtype = self._input.dtype
            if len(views.shape) == len(self._input.shape):
                views = views[:, None]
            _check_fits(views.shape, self._input.shape[1:])
        num_views = views.shape[1]
        if num_views is None:
            raise UsageError(
                f"views of shape {views.shape} do not say how many views an "
                f"image has; give batches of a static shape [B, V, ...]."
            )
        order = [1, 0, *range(2, len(views.shape))]
        x = tf.transpose(tf.cast(views, dtype), order)
        return tf.reshape(x, [-1, *views.shape[2:]]), num_views

    def _plan(self, x, labels):
        """What the step mixes, settled.

        Args:
            x: `[V * B, ...]`, view-major.
            labels: `[B, ...]`.
        """
        batch_size = labels.shape[0] or tf.shape(labels)[0]
        seed = rng.stream(self.seed, self.step, "mixing")
        plan = self._mixing.plan(seed, batch_size)
        return self._mixing.settle(plan, _Clean(self, x[:batch_size], labels))

    def _forward(self, x, num_views, plan):
        """Predictions `[V, B, K]`, mixed and perturbed at the plan's tap."""
        seed = rng.stream(self.seed, self.step, "noise", _replica())

        def perturb(h):
            by_view = tf.reshape(h, [num_views, -1, *h.shape[1:]])
            mixed = self._mixing.mix(by_view, plan)
            return tf.reshape(
                self._inject(mixed, num_views, seed), [-1, *h.shape[1:]]
            )

        hidden = self._mixing.hidden
        for index, segment in enumerate(self._segments):
            x = segment(x, training=True)
            if index == 0 and not hidden:
                x = perturb(x)
            elif index < len(self.taps) and hidden:
                x = _perturb_if(tf.equal(plan.tap, index), perturb, x)
        return tf.reshape(x, [num_views, -1, x.shape[-1]])

    def _inject(self, x, num_views, seed):
        if not {"additive_noise", "multiplicative_noise"} & self._in_use:
            return x
        levels = type(self)
        factors = self.noise_per_view
        factors = [factors[min(v, len(factors) - 1)] for v in range(num_views)]
        return mixing_lib.feature_noise(
            x,
            seed,
            levels.additive_noise.tensor(self) * tf.constant(factors),
            levels.multiplicative_noise.tensor(self) * tf.ones([num_views]),
            levels.noise_sparsity.tensor(self),
        )

    def _slope(self, features, labels):
        """Gradient of each example's loss at the first tap, up to a factor.

        The network predicts as in evaluation, so that nothing of it changes.
        Gradients in half precision would vanish where the network is sure; so
        what goes back through it is scaled to one for each example.

        Args:
            features: Float `[B, ...]`.
            labels: `[B, ...]`.

        Returns:
            float32 tensor of the shape of `features`.
        """
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(features)
            predictions = features
            for segment in self._segments[1:]:
                predictions = segment(predictions, training=False)
        # A tensor of its own: of what a softmax returns, Keras' losses look up
        # the logits and leave out the probabilities.
        exact = tf.identity(tf.cast(predictions, tf.float32))
        with tf.GradientTape(watch_accessed_variables=False) as last:
            last.watch(exact)
            loss = self.compute_loss(y=labels, y_pred=exact)
        slope = last.gradient(loss, exact)
        axes = list(range(1, len(slope.shape)))
        largest = tf.reduce_max(tf.abs(slope), axes, keepdims=True)
        slope = tf.cast(
            tf.math.divide_no_nan(slope, largest), predictions.dtype
        )
        return tf.cast(tape.gradient(predictions, features, slope), tf.float32)


def _check_fits(views, example):
    """Refuses views `[B, V, ...]` that a model of `example` cannot take.

    Cut at its taps, a network with pooling takes images of any size.
    """
    if not views[2:].is_compatible_with(example):
        raise UsageError(
            f"The batch has views of examples {list(views[2:])}, but the model "
            f"takes {list(example)}: give it views of that shape."
        )


class _Clean:
    """The clean view of a batch, as `Mixing.settle` takes it."""

    def __init__(self, trainer, images, labels):
        self.images = images
        self.features = functools.partial(trainer._segments[0], training=False)
        self.gradient = functools.partial(trainer._slope, labels=labels)
        self._trainer = trainer

    @property
    def seed(self):
        trainer = self._trainer
        return rng.stream(trainer.seed, trainer.step, "saliency", _replica())


def _replica():
    return tf.distribute.get_replica_context().replica_id_in_sync_group


def _perturb_if(chosen, perturb, x):
    return tf.cond(chosen, lambda: perturb(x), lambda: x)
