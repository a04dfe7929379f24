"""Masks: what Masking makes, which layers pass it on, and what losses and metrics make of it, alone and with sample
weights: one step of training, then an evaluation in batches, the last of which is a row where nothing counts."""
import itertools

from writer import Writer, grid, keras, np

N, T, F, H, C = 5, 4, 3, 3, 4  # H is F so that a second input can be added to what Dense makes
out = Writer("masks.txt", "Masks: masks.py")
layers = keras.layers


def masked_numbers(shape, offset, value):
    """Numbers; some places are `value` throughout, the last row is; one has it in a single element."""
    x = grid(shape, offset, 3.0)
    for place in [(0, 1), (1, 0), (1, 3), (3, 2)]:
        x[place if len(shape) == 3 else place[:1]] = value
    x[2].flat[0] = value
    x[-1] = value
    return x


def trunk(kind, value):
    x = keras.Input((F,) if kind == "rows" else (T, F))
    x2 = keras.Input((T, H))
    mask = layers.Masking(value, name="mask")
    h = layers.Dense(H, activation="tanh", name="h")(mask(x))
    if kind in ("dense", "rows"):
        return [x], layers.Activation("linear")(h)
    if kind == "flatten":
        return [x], layers.Flatten()(h)
    if kind == "add":
        return [x, x2], layers.Add()([h, layers.Masking(value)(x2)])
    if kind == "add_unmasked":
        return [x, x2], layers.Add()([h, x2])
    if kind == "join_time":
        return [x, x2], layers.Concatenate(axis=1)([h, x2])
    if kind == "join_last":
        return [x, x2], layers.Concatenate()([h, layers.Masking(value)(x2)])
    return [x, x2], layers.Concatenate()([h, x2])  # join_unmasked


def loss_of(name, reduction, ignore):
    if name == "mse":
        return keras.losses.MeanSquaredError(reduction=reduction)
    return keras.losses.SparseCategoricalCrossentropy(reduction=reduction, ignore_class=ignore)


def metrics_of(name):
    if name == "mse":
        return (["mean_squared_error", keras.metrics.RootMeanSquaredError(), keras.metrics.TruePositives()],
                ["mean_absolute_error"])
    return ["sparse_categorical_accuracy"], ["sparse_categorical_crossentropy"]


def write(kind, loss, value=0.0, reduction=None, weighted=False, ignore=None):
    keras.backend.clear_session()
    inputs, h = trunk(kind, value)
    sparse = loss != "mse"
    y = layers.Dense(C, activation="softmax" if sparse else None, name="out")(h)
    model = keras.Model(inputs, y)
    for i, layer in enumerate(["h", "out"]):
        kernel, bias = model.get_layer(layer).get_weights()
        model.get_layer(layer).set_weights([grid(kernel.shape, 7 * i + 2, 1.5), grid(bias.shape, i + 40, 0.5)])
    first = masked_numbers((N, F) if kind == "rows" else (N, T, F), 5, value)
    second = np.roll(masked_numbers((N, T, H), 23, value), 1, axis=1)
    xs = [first, second][:len(inputs)]
    places = (N, *y.shape[1:-1])
    target = ((np.arange(int(np.prod(places))) * 7 + 1) % C).astype(np.int32).reshape(places) if sparse else \
        np.maximum(grid((*places, C), 61, 2.0), 0)
    weight = np.abs(grid(places, 17, 2.0)) + 0.25 if weighted else None
    metrics, weighted_metrics = metrics_of(loss)
    model.compile(keras.optimizers.SGD(0.5), loss_of(loss, reduction or "sum_over_batch_size", ignore), metrics=metrics,
                  weighted_metrics=weighted_metrics)
    out.case("mask", kind, loss=loss, mask_value=value, reduction=reduction, ignore_class=ignore)
    for i, x in enumerate(xs):
        out.array(f"x{i + 1}", x)
    out.array("target", target)
    if weighted:
        out.array("weight", weight)
    for layer in ["h", "out"]:
        for name, array in zip(["kernel", "bias"], model.get_layer(layer).get_weights()):
            out.array(f"{layer}/{name}", array)
    mask = keras.src.backend.get_keras_mask(y)
    if mask is not None:
        out.array("mask", keras.Model(inputs, mask).predict(xs, verbose=0).astype(np.int32))
    out.array("prediction", model.predict(xs, verbose=0))
    for name, number in model.train_on_batch(xs, target, weight, return_dict=True).items():
        out.array(f"trained/{name}", np.float32(number))
    for layer in ["h", "out"]:
        for name, array in zip(["kernel", "bias"], model.get_layer(layer).get_weights()):
            out.array(f"after/{layer}/{name}", array)
    for name, number in model.evaluate(xs, target, 2, 0, weight, return_dict=True).items():
        out.array(f"evaluated/{name}", np.float32(number))


for loss, reduction, weighted in itertools.product(
        ["mse", "sparse"], [None, "sum", "mean_with_sample_weight"], [False, True]):
    write("dense", loss, -1.0 if weighted else 0.0, reduction, weighted)
for kind in ["rows", "flatten", "add", "add_unmasked", "join_time", "join_last", "join_unmasked"]:
    write(kind, "mse")
    write(kind, "sparse", 0.5, "mean_with_sample_weight", True)
for weighted in [False, True]:
    write("dense", "sparse", 0.0, None, weighted, 2)


def write_softmax(shape, mask_shape, axis):
    x = grid(shape, 3, 6.0)
    mask = np.random.default_rng(4).random(mask_shape) > 0.4
    mask[0] = False
    out.case("softmax", "softmax", axis=axis)
    out.array("x", x)
    out.array("mask", mask.astype(np.int32))
    out.array("y", layers.Softmax(axis)(x, mask=keras.ops.convert_to_tensor(mask)))


write_softmax((3, 5), (3, 5), -1)
write_softmax((3, 4, 5), (3, 4, 5), -1)
write_softmax((3, 4, 5), (3, 1, 5), -1)
write_softmax((3, 4, 5), (3, 4, 5), 1)
write_softmax((3, 4, 5), (3, 4, 1), 1)
out.close()
