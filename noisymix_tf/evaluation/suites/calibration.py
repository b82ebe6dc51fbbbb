"""Calibration: the cells of the clean images and of the corruptions.

The report has its calibration section of them; no image is measured twice.
"""

from noisymix_tf.evaluation.suites.clean import Clean
from noisymix_tf.evaluation.suites.core import SUITES, Suite
from noisymix_tf.evaluation.suites.corruptions import CommonCorruptions


@SUITES.register("calibration")
class Calibration(Suite):
    """The cells of suites clean and c."""

    def __init__(self):
        self._parts = (Clean(), CommonCorruptions())

    def cells(self, job):
        return [cell for part in self._parts for cell in part.cells(job)]

    def run(self, cells, job):
        clean = [cell for cell in cells if cell.suite == "clean"]
        corrupted = [cell for cell in cells if cell.suite == "c"]
        for part, own in zip(self._parts, (clean, corrupted)):
            yield from part.run(own, job)
