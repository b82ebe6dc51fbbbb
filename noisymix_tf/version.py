"""The one place that states the version; readable without TensorFlow."""

__version__ = "0.1.0"
