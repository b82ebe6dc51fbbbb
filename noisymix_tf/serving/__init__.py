"""From a trained classifier to one that is served."""

from noisymix_tf.serving.reload import ExportMismatch
from noisymix_tf.serving.saved_model import Exported, export
from noisymix_tf.serving.signatures import SIGNATURES, Signature

__all__ = ["SIGNATURES", "ExportMismatch", "Exported", "Signature", "export"]
