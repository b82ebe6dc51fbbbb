"""Takes flags/ into the package; everything else is in setup.cfg.

There, `packages = find:` cannot be joined by a folder from elsewhere.
"""

import setuptools

setuptools.setup(
    packages=[
        *setuptools.find_packages(include=["noisymix_tf*"]),
        "noisymix_tf.flags",
    ],
    package_dir={"noisymix_tf.flags": "flags"},
)
