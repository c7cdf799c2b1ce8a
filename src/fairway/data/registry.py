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
    # tables, in $FAIRWAY_DATA
    "power_plant": "fairway.data.uci:power_plant",
    "protein": "fairway.data.uci:protein",
    "elevators": "fairway.data.uci:elevators",
    "parkinsons": "fairway.data.uci:parkinsons",
    "gas_sensors": "fairway.data.uci:gas_sensors",
    "red_wine": "fairway.data.uci:red_wine",
    "airfoil": "fairway.data.uci:airfoil",
    "concrete": "fairway.data.uci:concrete",
    "energy_efficiency": "fairway.data.uci:energy_efficiency",
    "magic_gamma": "fairway.data.uci:magic_gamma",
    "shuttle": "fairway.data.uci:shuttle",
    "skin": "fairway.data.uci:skin",
    "mammography": "fairway.data.uci:mammography",
    "pendigits": "fairway.data.uci:pendigits",
    "satellite": "fairway.data.uci:satellite",
    "thyroid": "fairway.data.uci:thyroid",
    "waveform": "fairway.data.uci:waveform",
    "cardio": "fairway.data.uci:cardio",
    "ionosphere": "fairway.data.uci:ionosphere",
    "higgs_7500": "fairway.data.uci:higgs_7500",
    # the tables and patches of the papers on flows, in $FAIRWAY_DATA
    "power": "fairway.data.maf_tables:power",
    "gas": "fairway.data.maf_tables:gas",
    "hepmass": "fairway.data.maf_tables:hepmass",
    "miniboone": "fairway.data.maf_tables:miniboone",
    "bsds300": "fairway.data.maf_tables:bsds300",
    "bsds300_patches": "fairway.data.bsds300:bsds300_patches",
    # images, in scikit-learn or in $FAIRWAY_DATA
    "digits": "fairway.data.images:digits",
    "mnist": "fairway.data.images:mnist",
    "fashion_mnist": "fairway.data.images:fashion_mnist",
    "binarized_mnist": "fairway.data.images:binarized_mnist",
    # pictures, in $FAIRWAY_DATA
    "usps": "fairway.data.pictures:usps",
    "crawl_tiles": "fairway.data.pictures:crawl_tiles",
    "facades": "fairway.data.pictures:facades",
}

datasets = Registry("dataset", DATASETS)
