"""Reference values of activations, losses, metrics, optimizers, schedules, regularizers and constraints: data/*.txt.

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
    out.close()


activations()
