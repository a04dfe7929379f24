"""Reference values of activations, losses and metrics: data/activations.txt, losses.txt, metrics.txt.

scripts/reference values.py
"""
from writer import Writer, grid, keras, np, tf

# ---- activations ----

# Where formulas change or round: kinks, borders, zeros of both signs, small and large inputs.
POINTS = [-80, -20, -9, -6.5, -4, -3.5, -3, -2.5, -2, -1.5, -1, -0.75, -0.5, -0.25, -0.1, -1e-3, -1e-6, -0.0,
          0, 1e-6, 1e-3, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5.5, 6, 6.5, 9, 20, 80]
FAR = [-1e30, -1e4, -300, 300, 1e4, 1e30]

ELEMENTWISE = [
    ("linear", {}), ("relu", {}), ("sigmoid", {}), ("tanh", {}), ("gelu", {}), ("gelu", {"approximate": True}), ("relu6", {}),
    ("leaky_relu", {}), ("elu", {}), ("selu", {}), ("celu", {}), ("softplus", {}), ("softsign", {}), ("silu", {}), ("mish", {}),
    ("hard_sigmoid", {}), ("hard_silu", {}), ("hard_tanh", {}), ("exponential", {}), ("log_sigmoid", {}), ("squareplus", {}),
    ("soft_shrink", {}), ("hard_shrink", {}), ("tanh_shrink", {}), ("sparse_plus", {}), ("sparse_sigmoid", {}),
    ("relu", {"negative_slope": 0.25}), ("relu", {"max_value": 2.5}), ("relu", {"threshold": 1.0}),
    ("relu", {"threshold": -1.5}), ("relu", {"max_value": 6.0}), ("relu", {"max_value": 3.0, "negative_slope": 0.5}),
    ("relu", {"threshold": 0.5, "negative_slope": 0.1}),
    ("relu", {"max_value": 4.0, "threshold": 1.0, "negative_slope": 0.25}), ("relu", {"max_value": 2.0, "threshold": -1.0}),
    ("leaky_relu", {"negative_slope": 0.3}), ("leaky_relu", {"negative_slope": 0.1}), ("leaky_relu", {"negative_slope": 0.0}),
    ("elu", {"alpha": 0.5}), ("elu", {"alpha": 2.0}), ("celu", {"alpha": 0.5}), ("celu", {"alpha": 2.0}),
    ("squareplus", {"b": 1.0}), ("soft_shrink", {"threshold": 1.5}), ("soft_shrink", {"threshold": 0.0}),
    ("hard_shrink", {"threshold": 1.5}), ("threshold", {"threshold": 1.0, "default_value": -2.0}),
    ("threshold", {"threshold": -0.5, "default_value": 0.0}),
]
# Where TensorFlow itself gives NaN, infinity or a gradient of 0 for an input this large, the points near zero must do.
BOUNDED = {"linear", "relu", "sigmoid", "tanh", "relu6", "leaky_relu", "elu", "selu", "celu", "softplus", "hard_sigmoid",
           "hard_tanh", "sparse_plus", "sparse_sigmoid", "soft_shrink", "hard_shrink", "log_sigmoid"}
# TensorFlow sums the two sides' gradients of celu at 0, and gets 2.
AWAY_FROM_ZERO = {"celu"}
ALONG_ROWS = ["softmax", "log_softmax", "sparsemax"]
# Of sparsemax, rows with one element that is not 0: where there are more, Keras 3.15.1 subtracts the sum of their running
# sums in place of the last, and its rows do not sum to 1.
ROWS = [grid((4, 5), 3, 6), grid((2, 3, 4), 11, 2), grid((3, 1), 0, 3),
        np.array([[0, 0, 0], [200, 0, -200], [-1000, -1000.5, -1000], [1, 1, 0.25]], np.float32)]


def pulled_back(function, x, cotangent):
    """A function's value at x, and the product of a cotangent with its Jacobian."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y.numpy(), tape.gradient(y, x, output_gradients=tf.constant(cotangent)).numpy()


def activation(out, name, options, x, cotangent):
    function = getattr(keras.activations, name)
    y, gradient = pulled_back(lambda v: function(v, **options), x, cotangent)
    out.case("activation", name, **options)
    out.array("x", x)
    out.array("y", y)
    out.array("cotangent", cotangent)
    out.array("gradient", gradient)


def activations():
    out = Writer("activations.txt", "Activations: y = f(x), and the gradient of sum(cotangent y) by x.")
    for name, options in ELEMENTWISE:
        points = [x for x in POINTS if x != 0 or name not in AWAY_FROM_ZERO] + (FAR if name in BOUNDED else [])
        points = np.array(points, np.float32).reshape(-1, 1)
        activation(out, name, options, points, np.ones_like(points))
    for name in ALONG_ROWS:
        for x in ROWS if name != "sparsemax" else [10 * ROWS[0], 20 * ROWS[1], ROWS[2], ROWS[3][1:2]]:
            activation(out, name, {}, x, grid(x.shape, 40, 2))
    for x in [grid((4, 6), 3, 6), grid((2, 3, 4), 11, 8)]:
        activation(out, "glu", {}, x, grid((*x.shape[:-1], x.shape[-1] // 2), 40, 2))
    out.close()


# ---- losses ----

LOSSES = {
    "mean_squared_error": keras.losses.MeanSquaredError,
    "mean_absolute_error": keras.losses.MeanAbsoluteError,
    "mean_absolute_percentage_error": keras.losses.MeanAbsolutePercentageError,
    "mean_squared_logarithmic_error": keras.losses.MeanSquaredLogarithmicError,
    "huber": keras.losses.Huber,
    "log_cosh": keras.losses.LogCosh,
    "cosine_similarity": keras.losses.CosineSimilarity,
    "kl_divergence": keras.losses.KLDivergence,
    "poisson": keras.losses.Poisson,
    "hinge": keras.losses.Hinge,
    "squared_hinge": keras.losses.SquaredHinge,
    "categorical_hinge": keras.losses.CategoricalHinge,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "binary_focal_crossentropy": keras.losses.BinaryFocalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "categorical_focal_crossentropy": keras.losses.CategoricalFocalCrossentropy,
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_generalized_cross_entropy": keras.losses.CategoricalGeneralizedCrossEntropy,
    "dice": keras.losses.Dice,
    "tversky": keras.losses.Tversky,
}


def chances(shape, offset):
    """Rows that are positive and sum to 1."""
    e = np.exp(grid(shape, offset, 5))
    return (e / e.sum(-1, keepdims=True)).astype(np.float32)


def shares(shape, offset):
    """Numbers in (0, 1)."""
    return (0.5 + grid(shape, offset, 0.96)).astype(np.float32)


def labels(shape, classes, offset=0):
    """Classes as integers."""
    return ((np.arange(int(np.prod(shape))) * 7 + offset) % 5 % classes).astype(np.int32).reshape(shape)


def one_hot(shape, offset=0):
    return np.eye(shape[-1], dtype=np.float32)[labels(shape[:-1], shape[-1], offset)]


def bits(shape, offset=0):
    """Zeros and ones."""
    return (grid(shape, offset) > 0.05).astype(np.float32)


def loss(out, name, target, output, weights=None, activation=None, **options):
    """output: what the loss sees or, with an activation ("softmax", "sigmoid"), what that is taken of."""
    function = LOSSES[name](**options)
    x = tf.constant(output)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x if activation is None else getattr(keras.activations, activation)(x)
        value = function(tf.constant(target), y, sample_weight=None if weights is None else tf.constant(weights))
    out.case("loss", name, activation=activation, **options)
    out.array("output", output)
    out.array("target", target)
    if weights is not None:
        out.array("weights", weights)
    out.array("value", value.numpy())
    out.array("gradient", tape.gradient(value, x).numpy())


# Of six rows, and of four rows of two values.
ROW_WEIGHTS = np.array([1, 0.5, 0, 2, 3, 0.25], np.float32)
VALUE_WEIGHTS = np.array([[1, 0.5], [0, 2], [3, 0.25], [0.75, 1.5]], np.float32)
FLAT, DEEP = (6, 5), (4, 2, 3)


def every_reduction(out, name, target, output, deep_target, deep_output, **options):
    """A loss plain, with axes between batch and last, weighted, and by each reduction."""
    loss(out, name, target, output, **options)
    loss(out, name, deep_target, deep_output, **options)
    loss(out, name, target, output, ROW_WEIGHTS, **options)
    loss(out, name, target, output, reduction="sum", **options)
    loss(out, name, target, output, ROW_WEIGHTS, reduction="mean_with_sample_weight", **options)
    loss(out, name, deep_target, deep_output, VALUE_WEIGHTS, **options)


def regression_losses(out):
    target, output = grid(FLAT, 5, 4), grid(FLAT, 50, 4)
    output[1, 2] = target[1, 2]
    deep = grid(DEEP, 9, 3), grid(DEEP, 70, 3)
    for name in ["mean_squared_error", "mean_absolute_error", "huber", "log_cosh", "cosine_similarity"]:
        every_reduction(out, name, target, output, *deep)
    for name in ["mean_absolute_percentage_error", "mean_squared_logarithmic_error"]:
        loss(out, name, target, output)
        loss(out, name, target, output, ROW_WEIGHTS)
        loss(out, name, *deep, VALUE_WEIGHTS)
        loss(out, name, shares(FLAT, 5) * 9, shares(FLAT, 50) * 9, reduction="sum")
    zero = np.array([[0, 1, -2], [0.5, 0, 0]], np.float32), np.array([[0.25, 1, 0], [0, -1, 0]], np.float32)
    for name in ["mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error",
                 "mean_squared_logarithmic_error", "huber", "log_cosh"]:
        loss(out, name, *zero)
    for delta in [0.5, 1.5]:
        loss(out, "huber", target, output, delta=delta)
    edge = np.zeros((1, 4), np.float32), np.array([[1, -1, 0.5, 3]], np.float32)
    loss(out, "huber", *edge)
    loss(out, "log_cosh", np.zeros((1, 4), np.float32), np.array([[40, -40, 1e-4, 300]], np.float32))
    loss(out, "mean_squared_error", target[:, :1], output[:, :1])
    loss(out, "poisson", shares(FLAT, 5) * 3, shares(FLAT, 50) * 3)
    loss(out, "poisson", shares(FLAT, 5) * 3, shares(FLAT, 50) * 3, ROW_WEIGHTS)
    loss(out, "poisson", bits(DEEP), shares(DEEP, 1), VALUE_WEIGHTS)


def margin_losses(out):
    output, deep = grid(FLAT, 50, 4), grid(DEEP, 70, 3)
    signs = 2 * bits(FLAT) - 1
    for name in ["hinge", "squared_hinge"]:
        for target in [bits(FLAT), signs]:
            loss(out, name, target, output)
            loss(out, name, target, output, ROW_WEIGHTS)
        loss(out, name, bits(DEEP), deep, VALUE_WEIGHTS)
        loss(out, name, grid(FLAT, 5, 2), output)
        loss(out, name, signs, output, reduction="sum")
        loss(out, name, np.array([[1, 1, -1]], np.float32), np.array([[1, 0.5, -1]], np.float32))
    loss(out, "categorical_hinge", one_hot(FLAT), output)
    loss(out, "categorical_hinge", one_hot(FLAT), output, ROW_WEIGHTS)
    loss(out, "categorical_hinge", one_hot(DEEP), deep)


def binary_losses(out):
    output, deep = shares(FLAT, 3), shares(DEEP, 4)
    sure = np.array([[0, 1, 0.5], [1, 0, 1e-9], [0.999999, 2e-7, 0.25]], np.float32)
    for name in ["binary_crossentropy", "binary_focal_crossentropy"]:
        every_reduction(out, name, bits(FLAT), output, bits(DEEP), deep)
        loss(out, name, bits(FLAT), grid(FLAT, 3, 12), from_logits=True)
        loss(out, name, bits(FLAT), grid(FLAT, 3, 12), ROW_WEIGHTS, from_logits=True)
        loss(out, name, shares(FLAT, 30), output)
        loss(out, name, bits((3, 3), 2), sure)
        loss(out, name, bits((6, 1)), output[:, :1])
        for smoothing in [0.1, 0.5]:
            loss(out, name, bits(FLAT), output, label_smoothing=smoothing)
            loss(out, name, bits(FLAT), grid(FLAT, 3, 12), label_smoothing=smoothing, from_logits=True)
    far = np.array([[-60, 60, 0], [100, -100, 1e-4]], np.float32)
    loss(out, "binary_crossentropy", bits((2, 3), 1), far, from_logits=True)
    loss(out, "binary_crossentropy", bits((2, 3), 1), far, activation="sigmoid")
    loss(out, "binary_crossentropy", bits(FLAT), grid(FLAT, 3, 12), ROW_WEIGHTS, activation="sigmoid")
    loss(out, "binary_crossentropy", bits(FLAT), grid(FLAT, 3, 12), activation="sigmoid", label_smoothing=0.2)
    for gamma in [0, 0.5, 1, 3]:
        loss(out, "binary_focal_crossentropy", bits(FLAT), output, gamma=gamma)
    for alpha in [0.25, 0.75]:
        loss(out, "binary_focal_crossentropy", bits(FLAT), output, alpha=alpha, apply_class_balancing=True)
        loss(out, "binary_focal_crossentropy", bits(FLAT), grid(FLAT, 3, 12), alpha=alpha, apply_class_balancing=True,
             from_logits=True)


def categorical_losses(out):
    output, logits = chances(FLAT, 3), grid(FLAT, 3, 8)
    deep = chances(DEEP, 4)
    soft = chances(FLAT, 60)
    sure = np.array([[0, 1, 0], [1, 0, 0], [0, 0.5, 0.5], [1e-9, 1, 1e-8]], np.float32)
    for name in ["categorical_crossentropy", "categorical_focal_crossentropy"]:
        every_reduction(out, name, one_hot(FLAT), output, one_hot(DEEP), deep)
        loss(out, name, one_hot(FLAT), logits, from_logits=True)
        loss(out, name, one_hot(FLAT), logits, ROW_WEIGHTS, from_logits=True)
        loss(out, name, one_hot(DEEP), grid(DEEP, 5, 6), VALUE_WEIGHTS, from_logits=True)
        loss(out, name, soft, output)
        loss(out, name, soft, logits, from_logits=True)
        loss(out, name, one_hot(FLAT), shares(FLAT, 8) * 3)
        loss(out, name, one_hot((4, 3), 2), sure)
        for smoothing in [0.1, 0.5]:
            loss(out, name, one_hot(FLAT), output, label_smoothing=smoothing)
            loss(out, name, one_hot(FLAT), logits, label_smoothing=smoothing, from_logits=True)
    far = np.array([[200, 0, 0], [0, -150, 150]], np.float32)
    for options in [{}, {"label_smoothing": 0.1}, {"reduction": "sum"}]:
        loss(out, "categorical_crossentropy", one_hot(FLAT), logits, activation="softmax", **options)
    loss(out, "categorical_crossentropy", one_hot(FLAT), logits, ROW_WEIGHTS, activation="softmax")
    loss(out, "categorical_crossentropy", one_hot((2, 3), 1), far, activation="softmax")
    for alpha, gamma in [(0.5, 2), (0.25, 0), (1, 1), (0.25, 3)]:
        loss(out, "categorical_focal_crossentropy", one_hot(FLAT), output, alpha=alpha, gamma=gamma)
    for name in ["kl_divergence", "dice", "tversky"]:
        loss(out, name, soft, output)
        loss(out, name, one_hot(FLAT), output)
        loss(out, name, one_hot(DEEP), deep)
        loss(out, name, bits((6, 1)), shares((6, 1), 2))
    loss(out, "kl_divergence", soft, output, ROW_WEIGHTS)
    loss(out, "kl_divergence", one_hot((4, 3), 2), sure)
    for alpha, beta in [(0.25, 0.75), (0.7, 0.3), (1, 1)]:
        loss(out, "tversky", one_hot(FLAT), output, alpha=alpha, beta=beta)


def generalized_losses(out):
    name = "categorical_generalized_cross_entropy"
    target = labels((6,), 5)
    for q in [0.5, 0.1, 0.9]:
        for weights in [None, ROW_WEIGHTS]:
            loss(out, name, target, chances(FLAT, 3), weights, q=q)
            loss(out, name, target, grid(FLAT, 3, 8), weights, activation="softmax", q=q)
    loss(out, name, target, chances(FLAT, 3), reduction="sum")
    loss(out, name, labels((4, 2), 3), chances(DEEP, 4))


def sparse_losses(out):
    name = "sparse_categorical_crossentropy"
    output, logits = chances(FLAT, 3), grid(FLAT, 3, 8)
    target, deep_target = labels((6,), 5), labels((4, 2), 3)
    every_reduction(out, name, target, output, deep_target, chances(DEEP, 4))
    every_reduction(out, name, target, logits, deep_target, grid(DEEP, 5, 6), from_logits=True)
    loss(out, name, target.reshape(6, 1), output)
    loss(out, name, target, shares(FLAT, 8) * 3)
    loss(out, name, np.array([1, 1, 0, 2], np.int32),
         np.array([[0, 1, 0], [1, 0, 0], [0, 0.5, 0.5], [1e-9, 1, 1e-8]], np.float32))
    for weights in [None, ROW_WEIGHTS]:
        loss(out, name, target, logits, weights, activation="softmax")
        for ignored in [2, 4]:
            loss(out, name, target, output, weights, ignore_class=ignored)
            loss(out, name, target, logits, weights, from_logits=True, ignore_class=ignored)
    loss(out, name, np.array([1, -1, 0, -1, 2, 1], np.int32), logits, from_logits=True, ignore_class=-1)
    loss(out, name, target, logits, from_logits=True, ignore_class=2, reduction="sum")
    loss(out, name, target, logits, ROW_WEIGHTS, from_logits=True, ignore_class=2, reduction="mean_with_sample_weight")
    loss(out, name, deep_target, grid(DEEP, 5, 6), from_logits=True, ignore_class=1)
    loss(out, name, np.array([2, 2], np.int32), grid((2, 3), 5, 6), from_logits=True, ignore_class=2)
    loss(out, name, np.array([1, 2], np.int32), np.array([[200, 0, 0], [0, -150, 150]], np.float32), activation="softmax")


def losses_along_an_axis(out):
    """What softmax and label smoothing are along, too. Keras smooths by the last axis's extent: here both are 4."""
    shape, cube = (3, 4, 2), (3, 4, 4)
    target, output = np.moveaxis(one_hot((3, 2, 4)), 1, 2), np.moveaxis(chances((3, 2, 4), 4), 1, 2)
    logits = grid(shape, 3, 8)
    by_place = np.array([[1, 0.5], [0, 2], [3, 0.25]], np.float32)
    for weights in [None, ROW_WEIGHTS[1:4].reshape(3, 1), by_place]:
        for name in ["categorical_crossentropy", "categorical_focal_crossentropy"]:
            loss(out, name, target, output, weights, axis=1)
            loss(out, name, target, logits, weights, from_logits=True, axis=1)
        for name in ["binary_crossentropy", "binary_focal_crossentropy"]:
            loss(out, name, bits(shape), shares(shape, 3), weights, axis=1)
        loss(out, "binary_crossentropy", bits(shape), logits, weights, from_logits=True, axis=-2)
        loss(out, "cosine_similarity", grid(shape, 5, 4), grid(shape, 50, 4), weights, axis=-2)
    for reduction in ["sum", "mean_with_sample_weight"]:
        loss(out, "categorical_crossentropy", target, output, by_place, axis=1, reduction=reduction)
        loss(out, "binary_crossentropy", bits(shape), shares(shape, 3), by_place, axis=1, reduction=reduction)
    loss(out, "binary_crossentropy", bits(shape), logits, axis=1, activation="sigmoid", label_smoothing=0.1)
    for name in ["categorical_crossentropy", "categorical_focal_crossentropy"]:
        loss(out, name, np.moveaxis(one_hot(cube), 1, 2), np.moveaxis(chances(cube, 7), 1, 2), axis=1, label_smoothing=0.2)
        loss(out, name, np.moveaxis(one_hot(cube), 1, 2), grid(cube, 9, 6), axis=1, label_smoothing=0.2, from_logits=True)
    loss(out, "cosine_similarity", grid((2, 3, 4, 2), 5, 4), grid((2, 3, 4, 2), 50, 4), axis=2)
    loss(out, "cosine_similarity", grid(shape, 5, 4), grid(shape, 50, 4), axis=2)


def losses():
    out = Writer("losses.txt", "Losses of a batch, and their gradients by the output.")
    regression_losses(out)
    margin_losses(out)
    binary_losses(out)
    categorical_losses(out)
    sparse_losses(out)
    generalized_losses(out)
    losses_along_an_axis(out)
    out.close()


# ---- metrics ----

METRICS = {
    "binary_accuracy": keras.metrics.BinaryAccuracy, "categorical_accuracy": keras.metrics.CategoricalAccuracy,
    "sparse_categorical_accuracy": keras.metrics.SparseCategoricalAccuracy,
    "top_k_categorical_accuracy": lambda top_k=5: keras.metrics.TopKCategoricalAccuracy(k=top_k),
    "sparse_top_k_categorical_accuracy": lambda top_k=5: keras.metrics.SparseTopKCategoricalAccuracy(k=top_k),
    "true_positives": keras.metrics.TruePositives, "false_positives": keras.metrics.FalsePositives,
    "true_negatives": keras.metrics.TrueNegatives, "false_negatives": keras.metrics.FalseNegatives,
    "precision": keras.metrics.Precision, "recall": keras.metrics.Recall, "auc": keras.metrics.AUC,
    "auc_pr": lambda **o: keras.metrics.AUC(curve="PR", **o), "root_mean_squared_error": keras.metrics.RootMeanSquaredError,
    "fbeta_score": keras.metrics.FBetaScore, "f1_score": keras.metrics.F1Score, "r2_score": keras.metrics.R2Score,
    "sensitivity_at_specificity": lambda at, **o: keras.metrics.SensitivityAtSpecificity(at, **o),
    "specificity_at_sensitivity": lambda at, **o: keras.metrics.SpecificityAtSensitivity(at, **o),
    "precision_at_recall": lambda at, **o: keras.metrics.PrecisionAtRecall(at, **o),
    "recall_at_precision": lambda at, **o: keras.metrics.RecallAtPrecision(at, **o),
    "mean_squared_error": keras.metrics.MeanSquaredError, "mean_absolute_error": keras.metrics.MeanAbsoluteError,
    "mean_absolute_percentage_error": keras.metrics.MeanAbsolutePercentageError,
    "mean_squared_logarithmic_error": keras.metrics.MeanSquaredLogarithmicError,
    "cosine_similarity": keras.metrics.CosineSimilarity, "log_cosh": keras.metrics.LogCoshError,
    "kl_divergence": keras.metrics.KLDivergence, "poisson": keras.metrics.Poisson, "hinge": keras.metrics.Hinge,
    "squared_hinge": keras.metrics.SquaredHinge, "categorical_hinge": keras.metrics.CategoricalHinge,
    "binary_crossentropy": keras.metrics.BinaryCrossentropy,
    "categorical_crossentropy": keras.metrics.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": keras.metrics.SparseCategoricalCrossentropy,
}
BATCH = 4
TEN_WEIGHTS = np.array([1, 0.5, 0, 2, 3, 0.25, 1, 0.75, 0, 1.5], np.float32)


def metric(out, name, target, output, weights=None, **options):
    """The metric's value after each batch of ten rows."""
    judge, after = METRICS[name](**options), []
    for i in range(0, len(output), BATCH):
        j = i + BATCH
        judge.update_state(target[i:j], output[i:j], None if weights is None else weights[i:j])
        after.append(keras.ops.convert_to_numpy(judge.result()).astype(np.float32))
    for element in range(after[0].size):
        several = after[0].ndim > 0
        out.case("metric", name, element=element if several else None, **options)
        out.array("output", output)
        out.array("target", target)
        if weights is not None:
            out.array("weights", weights)
        out.array("values", np.array([value[element] if several else value for value in after]))


def metrics_with_options(out, weights):
    """Where Keras gives a number of each class or threshold, each is a case: options, element=place."""
    one, several = (bits((10, 1), 3), shares((10, 1), 9)), (bits((10, 3), 1), shares((10, 3), 4))
    hot, row = one_hot((10, 5)), chances((10, 5), 3)
    tied = np.round(row * 8).astype(np.float32) / 8
    deep = bits((10, 2, 3), 5), shares((10, 2, 3), 2)
    for options in [{}, {"beta": 0.5}, {"beta": 2.0}, {"threshold": 0.5}, {"threshold": 0.25, "beta": 2.0}]:
        for average in [None, "micro", "macro", "weighted"]:
            metric(out, "fbeta_score", hot, row, weights, average=average, **options)
            metric(out, "fbeta_score", *several, weights, average=average, **options)
    for average in [None, "micro", "macro", "weighted"]:
        metric(out, "f1_score", hot, row, weights, average=average)
        metric(out, "f1_score", hot, tied, weights, average=average)
        metric(out, "f1_score", *one, weights, average=average, threshold=0.5)
        metric(out, "f1_score", hot, 0 * row, weights, average=average)
    reals, far = (grid((10, 3), 5, 4), grid((10, 3), 50, 4)), (grid((10, 2), 5, 4) + 2, grid((10, 2), 5, 4) + grid((10, 2), 7) + 2)
    for options in [{}, {"class_aggregation": None}, {"class_aggregation": "variance_weighted_average"}, {"num_regressors": 3},
                    {"num_regressors": 11}, {"num_regressors": 40},
                    {"class_aggregation": "variance_weighted_average", "num_regressors": 2}]:
        metric(out, "r2_score", *reals, weights, **options)
        metric(out, "r2_score", *far, weights, **options)
    metric(out, "r2_score", reals[0][:, :1], reals[1][:, :1], weights)
    metric(out, "r2_score", 0 * reals[0] + 1, reals[1], weights)
    for name in ["precision", "recall"]:
        for options in [{"thresholds": 0.25}, {"thresholds": 0.0}, {"thresholds": [0.2, 0.5, 0.8]}, {"class_id": 0},
                        {"class_id": 2}, {"top_k": 1}, {"top_k": 2}, {"top_k": 2, "class_id": 1},
                        {"top_k": 3, "class_id": 1, "thresholds": 0.3}]:
            metric(out, name, *several, weights, **options)
            metric(out, name, hot, tied, weights, **options)
            metric(out, name, *deep, None, **options)
    for name in ["true_positives", "false_positives", "true_negatives", "false_negatives"]:
        for thresholds in [0.25, [0.0, 0.7]]:
            metric(out, name, *several, weights, thresholds=thresholds)
    metric(out, "binary_accuracy", *several, weights, threshold=0.3)
    for name in ["auc", "auc_pr"]:
        for n in [2, 3, 11]:
            metric(out, name, *several, weights, num_thresholds=n)
        for summation in ["interpolation", "minoring", "majoring"]:
            metric(out, name, *several, weights, summation_method=summation)
            metric(out, name, *several, weights, summation_method=summation, multi_label=True)
            metric(out, name, *deep, None, summation_method=summation, label_weights=[0.5, 2.0, 1.0])
        for thresholds in [[0.25, 0.5, 0.75], [0.9, 0.1, 0.3, 0.31], [0.5]]:
            metric(out, name, *several, weights, thresholds=thresholds)
            metric(out, name, *several, weights, thresholds=thresholds, multi_label=True, summation_method="majoring")
        for label_weights in [[0.25, 1.0, 3.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]:
            metric(out, name, *several, weights, label_weights=label_weights, num_thresholds=20)
            metric(out, name, *several, weights, label_weights=label_weights, multi_label=True)
        metric(out, name, several[0], grid((10, 3), 4, 9), weights, from_logits=True)
        metric(out, name, several[0], grid((10, 3), 4, 9), weights, from_logits=True, multi_label=True)
        metric(out, name, hot, row, weights, multi_label=True, num_thresholds=50)
    for name in ["sensitivity_at_specificity", "specificity_at_sensitivity", "precision_at_recall", "recall_at_precision"]:
        for at in [0.3, 0.5, 0.8, 1.0]:
            metric(out, name, *several, weights, at=at)
        metric(out, name, *several, weights, at=0.4, num_thresholds=11)
        metric(out, name, *several, weights, at=0.0, num_thresholds=2)
        metric(out, name, *several, weights, at=0.6, class_id=1)
        metric(out, name, *deep, None, at=0.6, class_id=2)
        metric(out, name, np.round(several[0]), np.round(several[1]), weights, at=0.4)


def metrics():
    out = Writer("metrics.txt", "Metrics of ten rows, after each batch of four.")
    one, several = (bits((10, 1), 3), shares((10, 1), 9)), (bits((10, 3), 1), shares((10, 3), 4))
    several[1][2, 1] = several[1][5, 0] = 0.5
    hot, row = one_hot((10, 5)), chances((10, 5), 3)
    tied = np.round(row * 8).astype(np.float32) / 8
    sparse, reals = labels((10,), 5), (grid((10, 3), 5, 4), grid((10, 3), 50, 4))
    deep = one_hot((10, 2, 3)), chances((10, 2, 3), 4)
    for weights in [None, TEN_WEIGHTS]:
        for name in ["binary_accuracy", "true_positives", "false_positives", "true_negatives", "false_negatives", "precision",
                     "recall", "auc", "auc_pr", "binary_crossentropy"]:
            metric(out, name, *one, weights)
            metric(out, name, *several, weights)
        for name in ["categorical_accuracy", "categorical_crossentropy", "categorical_hinge", "kl_divergence"]:
            metric(out, name, hot, row, weights)
        metric(out, "sparse_categorical_accuracy", sparse, row, weights)
        metric(out, "sparse_categorical_crossentropy", sparse, row, weights)
        for name, target in [("top_k_categorical_accuracy", hot), ("sparse_top_k_categorical_accuracy", sparse)]:
            for k in [1, 2, 3]:
                metric(out, name, target, row, weights, top_k=k)
        for name in ["root_mean_squared_error", "mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error",
                     "mean_squared_logarithmic_error", "cosine_similarity", "log_cosh"]:
            metric(out, name, *reals, weights)
        metric(out, "poisson", several[0] * 3, several[1], weights)
        for name in ["hinge", "squared_hinge"]:
            metric(out, name, 2 * several[0] - 1, reals[1], weights)
        metrics_with_options(out, weights)
    for name in ["categorical_accuracy", "mean_squared_error", "root_mean_squared_error"]:
        metric(out, name, *deep)
    metric(out, "categorical_accuracy", hot, tied)
    metric(out, "sparse_categorical_accuracy", sparse, tied)
    metric(out, "top_k_categorical_accuracy", hot, tied, top_k=2)
    never, always = np.zeros((10, 1), np.float32), np.ones((10, 1), np.float32)
    for name in ["precision", "recall", "auc", "auc_pr"]:
        metric(out, name, never, one[1])
        metric(out, name, always, one[1])
        metric(out, name, one[0], never)
    nothing = np.zeros(10, np.float32)  # weights: no value counts
    for name in METRICS:
        if name.startswith("sparse_"):
            metric(out, name, sparse, row, nothing)
        elif name in ["fbeta_score", "f1_score"]:
            for average in ["micro", "macro", "weighted"]:
                metric(out, name, hot, row, nothing, average=average)
        elif name == "r2_score":
            for aggregation in ["uniform_average", "variance_weighted_average"]:
                metric(out, name, *reals, nothing, class_aggregation=aggregation)
        else:
            at = {"at": 0.4} if "_at_" in name else {}
            metric(out, name, hot, row, nothing, **at)
    for average in [None, "macro"]:
        metric(out, "f1_score", np.array([[0, 1, 0], [0, 0, 1]], np.float32),
               np.array([[0.05, 0.95, 0], [0.1, 0.8, 0.1]], np.float32), average=average)
    out.close()


activations()
losses()
metrics()
