"""The table of datasets: one line per name, "name" -> "module:function".

Each function returns a `Dataset` and its signature says what it takes (`n` and `seed` for the procedural sets,
`folder` and `protocol` for those on disk). Listing the names imports nothing.

>>> datasets.where("moons")
'fairway.data.toy:moons'
"""

from fairway.core.registry import Registry

DATASETS: dict[str, str] = {
    # procedural, two-dimensional
    "moons": "fairway.data.toy:moons",
    "circles": "fairway.data.toy:circles",
    "ring": "fairway.data.toy:ring",
    "eight_gaussians": "fairway.data.toy:ring",
    "grid": "fairway.data.toy:grid",
    "checkerboard": "fairway.data.toy:checkerboard",
    "pinwheel": "fairway.data.toy:pinwheel",
    "swiss_roll": "fairway.data.toy:swiss_roll",
    "spirals": "fairway.data.toy:spirals",
    # tables, in scikit-learn
    "wine": "fairway.data.tabular:wine",
    "breast_cancer": "fairway.data.tabular:breast_cancer",
    # images, in scikit-learn or in $FAIRWAY_DATA
    "digits": "fairway.data.images:digits",
    "mnist": "fairway.data.images:mnist",
    "fashion_mnist": "fairway.data.images:fashion_mnist",
    "binarized_mnist": "fairway.data.images:binarized_mnist",
}

datasets = Registry("dataset", DATASETS)
