"""Adversarial examples that a train step makes of its batch."""

import keras
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.attacks import adversary as adversary_lib
from noisymix_tf.attacks import objective
from noisymix_tf.errors import UsageError
from noisymix_tf.training import outputs


class AttacksExamples:
    """The part of a trainer that attacks images: a base of its class.

    The attack comes before mixing and noise. It meets the network as it
    predicts in evaluation, with moving statistics and without dropout, so that
    nothing of the network changes; the published code of Engstrom et al.
    (MadryLab/robustness) does likewise.
    """

    def _set_adversary(self, adversary):
        self.adversary = adversary
        self._adversary = adversary_lib.resolve(adversary)
        if self._adversary is None:
            return
        if self._input is not None:
            self._adversary.check(tuple(self._input.shape[1:]))
        if getattr(self._mixing, "adversarial_probability", 0.0):
            raise UsageError(
                "PuzzleMix with an adversarial_probability attacks the images "
                "itself, and would push those of adversary out of their ball; "
                "leave out one of the two."
            )

    def _attacked(self, x, labels):
        """Puts adversarial images in the place of clean ones.

        Args:
            x: `[V * B, ...]`, view-major; view 0 is attacked.
            labels: `[B, ...]`.

        Returns:
            Like `x`.
        """
        if self._adversary is None:
            return x
        self._adversary.check(tuple(x.shape[1:]))
        if outputs.is_multi_label(self.model, self.loss):
            raise UsageError(
                "An adversary attacks one class of each image, but the model "
                "says yes or no to several; leave out adversary."
            )
        batch_size = labels.shape[0] or tf.shape(labels)[0]
        images = tf.cast(x[:batch_size], tf.float32)
        context = tf.distribute.get_replica_context()
        key = rng.stream(
            self.seed, self.step, "adversary", context.replica_id_in_sync_group
        )
        found = self._adversary.attack(
            self._score,
            images,
            _class_numbers(labels),
            # Attacks take seeds of at least 0.
            tf.bitwise.bitwise_and(key[0], 0x7FFFFFFF),
        )
        return tf.concat([tf.cast(found, x.dtype), x[batch_size:]], axis=0)

    def _score(self, images):
        """Scores of the classifier as evaluation's attacks see them."""
        predictions = self.model(images, training=False)
        from_logits = self.from_logits
        if from_logits is None:
            from_logits = outputs.gives_logits(self.model, self.loss)
        if predictions.shape.rank != 2 or predictions.shape[-1] == 1:
            raise UsageError(
                f"An adversary attacks classifiers with one output per class, "
                f"[B, K] with K of at least 2; this one gives "
                f"{list(predictions.shape)}. Leave out adversary."
            )
        return objective.scores(predictions, from_logits)

    def _adversary_config(self):
        """What `get_config` says of the adversary."""
        if isinstance(self.adversary, str):
            return {"adversary": self.adversary}
        return {
            "adversary": keras.saving.serialize_keras_object(self.adversary)
        }

    @staticmethod
    def _adversary_from(config):
        """The argument `adversary` that a configuration says."""
        adversary = config.pop("adversary", adversary_lib.NONE)
        if isinstance(adversary, dict):
            adversary = keras.saving.deserialize_keras_object(adversary)
        return {"adversary": adversary}


def _class_numbers(labels):
    """Class numbers `[B]`, of shares of classes the largest; int32."""
    if labels.shape.rank == 2 and labels.shape[1] != 1:
        return tf.argmax(labels, axis=-1, output_type=tf.int32)
    return tf.cast(tf.reshape(labels, [-1]), tf.int32)
