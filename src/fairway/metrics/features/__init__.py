"""What samples look like in features: to a classifier, and by distances in an extractor's coordinates."""

from fairway.metrics.features.classifier import SURE, Classifier, Confidence, confidence, trained_on
from fairway.metrics.features.extractor import Extractor, ModuleFeatures, Named, raw
from fairway.metrics.features.frechet import frechet, frechet_of_moments
from fairway.metrics.features.inception import inception
from fairway.metrics.features.kernel import kernel_distance
from fairway.metrics.features.neighbours import density_coverage, precision_recall
from fairway.metrics.features.score import inception_score
from fairway.metrics.features.summary import feature_metrics
