"""NoisyMix as a Keras model around any Keras classifier."""

import contextlib
import functools

import keras
import tensorflow as tf

from noisymix_tf import augment as augment_lib
from noisymix_tf import distribution, probabilities
from noisymix_tf.adjustable import LEVELS, Adjustable
from noisymix_tf.checks import checked_seed
from noisymix_tf.layers.features import call_counter, running
from noisymix_tf.mixing import noise
from noisymix_tf.training import arguments, precision, replication, segments
from noisymix_tf.training import step as step_lib
from noisymix_tf.training.ema import WeightAverage
from noisymix_tf.training.losses import STABILITIES

_LEVELS = (*LEVELS, "noise_sparsity")
# Arguments that are saved as they are, and those that Keras must serialise.
_PLAIN = (*_LEVELS, "noise_scale", "stability", "seed", "from_logits")
_PLAIN += ("ema", "evaluate_ema")
_FUNCTIONS = ("augment", "standard")
_SERIALIZED = ("model", "mixing", "adversary", *_FUNCTIONS)


@keras.saving.register_keras_serializable("noisymix_tf")
class NoisyMix(keras.Model):
    """Trains a classifier with mixing, noise and a stability term.

    One step draws a tap `k`, a coefficient `lam` and a permutation, shared by
    all views. At tap `k` the features of every view are mixed with those of
    their partners and get fresh noise. The loss is

        lam CE(p_0, y) + (1 - lam) CE(p_0, y[permutation])
            + jsd_weight * JSD(p_0, p_1, ..., p_{V-1})

    where `p_v` are the predictions for view `v` and view 0 is the clean one;
    with a single view the second line is absent. Sample weights are mixed like
    labels. All views pass through the network in one batch, so that batch
    normalisation sees them together. Everything random is a pure function of
    `seed` and of a step counter that is saved with the weights. The levels,
    `alpha` to `jsd_weight`, can be assigned at any time, also while `fit` runs
    (`nm.callbacks.NoisyMixSchedule`); only one raised from 0 is traced anew.

    Args:
        model: Keras classifier with one input, pixels or features `[B, ...]`,
            and one output `[B, K]`, logits or probabilities. It is trained in
            place and carries the weights: save or export *it*.
        taps: Where mixing and noise may happen: `"auto"`, `"auto:3"` for the
            first three of these, or layer names in the order of the data flow
            (`"input"` is the model's input).
        alpha: `lam ~ Beta(alpha, alpha)`, at least 0; 0 means no mixing.
        additive_noise, multiplicative_noise: Levels of noise, at least 0.
        noise_sparsity: Share of entries without noise, in [0, 1].
        noise_per_view: Factors of `additive_noise` for view 0, 1, 2..., at
            least 0; further views use the last, so that one number is for all.
        noise_per_tap: Likewise factors of both kinds of noise at tap 0, 1...
        noise_scale: Unit of `additive_noise`: `"absolute"`, the features' own,
            or `"std"`, at each tap the running standard deviation of the clean
            view's, which is saved with the weights (at first the batch's own).
            Multiplicative noise is relative as it is.
        jsd_weight: Weight of the stability term, at least 0.
        mixing: `"manifold"` (a random tap), `"input"`, `"cutmix"`,
            `"puzzlemix"` (the first tap), `"none"` (no mixing; noise at the
            first tap), or one of `nm.mixing` with options of its own, such as
            `nm.mixing.CutMix(probability=0.5)`.
        seed: Seed of all draws, an int of at most 32 bits.
        from_logits: Whether the model gives logits. By default its last layer
            tells, which must not contradict it, or the loss.
        ema: Decay of an exponential moving average of the classifier's
            weights, in [0, 1); 0 for none. See `evaluation_weights`.
        evaluate_ema: Whether they are evaluated; `predict` takes the last ones.
        augment, standard: As `nm.data.views` takes them, to be called in the
            train step, on the device. Batches are then images `[B, H, W, C]`,
            uint8 for those of `nm.augment`. The views are those that
            `nm.data.views` makes with this seed at this step, if they are drawn
            in functions compiled by XLA, as those of `nm.augment` are.
        stability: The term: `"jsd"` as above, or `"kl"`, the mean of
            `KL(p_0 || p_v)` over the other views (stability training).
        adversary: `"none"`, or adversarial training: `"pgd"`, `"fast"`, or one
            of `nm.attacks` with options of its own, such as
            `nm.attacks.PGDAdversary(eps=4, share=0.5)`. Adversarial images,
            found with the network as it is in evaluation, take the place of
            view 0, also for metrics. Inputs must be images of pixels 0..255.
        source: Object whose `batch(seed, step, shard)`, a pure function of
            tensors called in the step, gives the images `[B, H, W, C]` and
            labels `[B]` of a step, or of part `shard`, `(index, count)`. What
            `fit` is given then only says how many steps there are. It is not
            saved with the trainer.

    Call arguments:
        inputs: `[B, ...]` as the model takes. In `fit`, batches are `(views,
            labels[, sample_weight])` with `views` `[B, V, ...]`, view 0 clean;
            a batch without the view axis counts as one view.

    Raises:
        UsageError: An argument that cannot be used; from `fit`, views of
            another shape than the model takes, or a loss of logits where it
            gives probabilities, or the other way round.

    >>> layers = keras.layers.Flatten(), keras.layers.Dense(4)
    >>> trainer = NoisyMix(keras.Sequential([keras.Input([8, 8, 3]), *layers]))
    >>> trainer.compile(
    ...     optimizer=keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    ...     loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ...     run_eagerly=True,
    ... )
    >>> views, labels = tf.ones([16, 3, 8, 8, 3]), tf.zeros([16])
    >>> sorted(trainer.fit(views, labels, verbose=0).history)
    ['cross_entropy', 'jsd', 'loss']

    Reference: Erichson et al., NoisyMix, arXiv:2202.01263, section 3.1; one
    coefficient, tap and permutation for each step, and noise of view v by the
    factor v + 1, as in its implementation.
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
        noise_per_tap=1.0,
        noise_scale="absolute",
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
        source=None,
        **kwargs,
    ):
        arguments.check_classifier(model, from_logits)
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
        self.noise_scale = noise.checked_scale(noise_scale)
        self.jsd_weight = jsd_weight
        self.seed, self.from_logits = checked_seed(seed, 32), from_logits
        self.ema, self.evaluate_ema = ema, evaluate_ema
        self.augment, self.standard, self.source = augment, standard, source
        self.mixing, self.adversary = mixing, adversary
        self.stability = stability
        self._divergence = STABILITIES.get(stability)
        # Of a model without a graph it is unknown; its batches need views.
        self._input = model.inputs[0] if segments.is_graph(model) else None
        mixing, self._adversary = arguments.methods(
            mixing, adversary, self._input
        )
        self.taps, self._segments = segments.cut(model, taps)
        self.noise_per_tap = arguments.factors(noise_per_tap, "tap", self.taps)
        alpha = functools.partial(type(self).alpha.tensor, self)
        self._mixing = mixing.bind(len(self.taps), alpha)
        # What cannot be saved is found before training.
        self._serialized(_FUNCTIONS)
        self._add_variables()

    def _add_variables(self):
        self._terms = "cross_entropy", self.stability
        self._ce_tracker, self._jsd_tracker = map(
            keras.metrics.Mean, self._terms
        )
        self.step = call_counter(self, name="step")
        self.noise_variance = None
        if self.noise_scale == "std":
            taps = self._mixing.num_taps
            self.noise_variance = running(self, "noise_variance", [taps])
        self._average = None
        if self.ema:
            self._average = WeightAverage(self, self.model, self.ema)
        # Nothing is left to build: the weights are the classifier's.
        self.built = True

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if isinstance(getattr(type(self), name, None), Adjustable) and value:
            self.keep_adjustable(name)

    def keep_adjustable(self, *names) -> None:
        """Says that levels such as `"alpha"` may become positive later.

        What a level of zero switches off is left out of the traced step. A
        level that is named here keeps its part: raising it needs no new trace.
        """
        if not set(names) <= self._in_use:
            self._in_use = self._in_use.union(names)
            if getattr(self, "train_function", None) is not None:
                self.make_train_function(force=True)

    @keras.Model.jit_compile.setter
    def jit_compile(self, value):
        # Keras stores False, with a warning, where operations must be
        # deterministic: some have no such form in XLA on a GPU. Those raise an
        # error of their own, and the others are what was asked for.
        if value and all(part.supports_jit for part in self._flatten_layers()):
            self._jit_compile = value
        else:
            keras.Model.jit_compile.fset(self, value)

    @property
    def ending(self) -> str | None:
        """How the classifier ends; see `noisymix_tf.probabilities.ending`."""
        return probabilities.ending(self.model)

    def call(self, inputs, training=False):
        """Predicts with the classifier; of views it takes the clean one."""
        rank = len(inputs.shape) - 1
        if self._input is not None and rank == len(self._input.shape):
            inputs = inputs[:, 0]
        return self.model(inputs, training=training)

    def make_train_function(self, force=False):
        """As Keras, after a check that all parts fit each other."""
        self.parts()
        arguments.check_compiled(
            self._mixing, self.loss, self.optimizer, self.distribute_strategy
        )
        optimizer = self.optimizer
        if optimizer is not None and self.model.built and not optimizer.built:
            # Left to the first step, its variables would cost a second trace.
            with self.distribute_strategy.scope():
                optimizer.build(self.trainable_weights)
        return super().make_train_function(force)

    def parts(self) -> step_lib.Parts:
        """What a step works with now."""
        from_logits = probabilities.trains_on_logits(self.model, self.loss)
        if self.from_logits is not None:
            from_logits = self.from_logits
        return step_lib.Parts(
            model=self.model,
            input=self._input,
            segments=self._segments,
            mixing=self._mixing,
            adversary=self._adversary,
            seed=self.seed,
            step=self.step,
            levels={
                name: getattr(type(self), name).tensor(self) for name in _LEVELS
            },
            in_use=self._in_use,
            noise_per_view=self.noise_per_view,
            noise_per_tap=self.noise_per_tap,
            noise_variance=self.noise_variance,
            compute_loss=self.compute_loss,
            stability=self._divergence(
                from_logits=from_logits,
                multi_label=probabilities.is_multi_label(self.model, self.loss),
            ),
        )

    def views_of(self, inputs, step=None) -> tf.Tensor:
        """What `standard` and `augment` make of the inputs of `fit`.

        By default in the step that comes next. Each replica draws for its part
        of a batch what the input pipeline would draw in the whole batch.
        """
        if self.augment is None and self.standard is None:
            return inputs
        return augment_lib.device_views(
            step_lib.single(inputs, self._input),
            seed=self.seed,
            step=self.step if step is None else step,
            standard=self.standard,
            augment=self.augment,
            shard=distribution.replica(),
        )

    def train_step(self, data):
        """One step on `(views, labels[, sample_weight])`."""
        inputs, *targets = keras.utils.unpack_x_y_sample_weight(data)
        if self.source is not None:
            place = tf.convert_to_tensor(self.step), distribution.replica()
            inputs, *targets = self.source.batch(self.seed, *place)
        views, labels = self.views_of(inputs), targets[0]
        scales_loss = precision.scales_loss(self.optimizer)
        kept = self.model.non_trainable_variables if scales_loss else ()
        shared = replication.shared_state(self.model)
        with precision.overflow_undone(kept), shared:
            terms, gradients, rows, variances = step_lib.gradients(
                self.parts(), self.optimizer.scale_loss, views, *targets
            )
        if scales_loss:
            gradients = precision.agree_to_skip(gradients)
        # Counters do not depend on the batch: without this they would also
        # move in the call that finds no batch left. Variables cannot be made
        # behind it; where they are still to be made, a second trace follows.
        with tf.control_dependencies(terms[:1] if self.optimizer.built else []):
            self.optimizer.apply_gradients(
                zip(gradients, self.trainable_weights)
            )
            if self._average is not None:
                self._average.update(self.step)
            if variances is not None:
                before = self.noise_variance
                before.assign(noise.moved(before, variances))
            self.step.assign_add(1)

        trackers = (self._loss_tracker, self._ce_tracker, self._jsd_tracker)
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        for tracker, value in zip(trackers, terms):
            value, count = value * replicas, tf.shape(labels)[0]
            if scales_loss:
                value, count = precision.finite_share(value, count)
            tracker.update_state(value, sample_weight=count)
        clean, labels, sample_weight = rows
        logs = self.compute_metrics(views, labels, clean, sample_weight)
        arguments.check_metrics(self.metrics, self._terms)
        return replication.reducible(logs)

    def test_step(self, data):
        """Loss and metrics of the classifier, without the training terms."""
        logs = super().test_step(data)
        return replication.reducible(
            {k: v for k, v in logs.items() if k not in self._terms}
        )

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras averages a batch over all replicas to learn its shapes, which
        # fails on many machines; the part of one will do.
        strategy = self._distribute_strategy
        if iterator is not None and strategy is not None:
            _, _, batches = next(iter(iterator))
            data_batch = tf.nest.map_structure(
                lambda part: strategy.experimental_local_results(part)[0],
                next(batches),
            )
            iterator = None
            if self.source is not None:
                part = 0, strategy.num_replicas_in_sync
                data_batch = self.source.batch(self.seed, tf.constant(0), part)
        super()._maybe_symbolic_build(iterator, data_batch)

    def evaluation_weights(self) -> contextlib.AbstractContextManager:
        """Within it, the classifier has the weights that are to be measured.

        With `ema` and `evaluate_ema` these are the averages, once there are
        any. `evaluate` does it by itself, and so does what else in this package
        measures or saves the classifier of a trainer.
        """
        is_averaged = self._average is not None and self.evaluate_ema
        if is_averaged and int(self.step.numpy()):
            return self._average.swapped_in()
        return contextlib.nullcontext()

    def evaluate(self, *args, **kwargs):
        """As Keras, with `evaluation_weights`; so does `fit` validate."""
        with self.evaluation_weights():
            return super().evaluate(*args, **kwargs)

    def _serialized(self, names):
        """Arguments, where they are given, as JSON has them."""
        given = [name for name in names if getattr(self, name) is not None]
        return {n: arguments.serialize(getattr(self, n), n) for n in given}

    def get_config(self):
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in _PLAIN},
            "taps": list(self.taps),
            "noise_per_view": list(self.noise_per_view),
            "noise_per_tap": list(self.noise_per_tap),
            **self._serialized(_SERIALIZED),
        }

    @classmethod
    def from_config(cls, config):
        names = config.keys() & _SERIALIZED
        found = {name: arguments.deserialize(config[name]) for name in names}
        return cls(**{**config, **found})
