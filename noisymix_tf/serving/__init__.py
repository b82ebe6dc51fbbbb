"""From a trained classifier to one that is served.

Signatures of an export, each of one argument, for a batch of any size N:

- `serving_default`, `serving_float`: `images`, pixels 0..255 `[N, H, W, C]`,
  uint8 or float32;
- `serving_bytes`: `image_bytes`, N JPEG or PNG files of any size, which are
  decoded, resized and cropped as in an evaluation;
- `tf_example`: `inputs`, N serialised `tf.train.Example` with such a file in
  `image/encoded`, for TensorFlow Serving's method Classify;
- `features`: `images`, uint8; gives what the last layer with weights gets,
  float32 `features`, if all paths through the model pass such a place.

A model of images that are not square and RGB has those of files only where it
is told how they come to size.

Outputs: float32 `logits`, where the model gives them, and `probabilities`
`[N, K]`; of the k = min(5, K) most probable classes in falling order int32
`classes`, float32 `scores` and string `labels` `[N, k]`. `serving_bytes` adds
`status` string `[N]`, one of `signatures.STATUS`: the numbers of an image that
is not `"ok"` are NaN, its classes -1 and its labels empty. `tf_example` has
`scores`, and names, or else the status, as `classes`.
"""

from noisymix_tf.serving.reload import ExportMismatch
from noisymix_tf.serving.saved_model import Exported, export
from noisymix_tf.serving.signatures import SIGNATURES, Signature

__all__ = ["SIGNATURES", "ExportMismatch", "Exported", "Signature", "export"]
