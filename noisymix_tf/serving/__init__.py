"""From a trained classifier to one that is served."""

from noisymix_tf.serving.saved_model import (
    SIGNATURES,
    Exported,
    ExportMismatch,
    Signature,
    export,
)

__all__ = ["SIGNATURES", "ExportMismatch", "Exported", "Signature", "export"]
