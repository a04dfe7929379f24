"""Twenty edges of training, and what Keras does there; then single batches, and what callbacks see: data/edges.txt.

scripts/reference edges.py

Weights begin as grid(shape, 7 i), data are grids: test_reference_edges.c has the same. A case is called by its number.
"""
import os
import tempfile

from writer import Writer, grid, keras, np, tf

layers = keras.layers
optimizers = keras.optimizers

X = grid((10, 4), 0, 2.0)
LABELS = np.arange(10, dtype=np.int32) % 2
HOT = np.eye(2, dtype=np.float32)[LABELS]


def begin(model):
    """The i-th weight is grid(shape, 7 i)."""
    model.set_weights([grid(w.shape, 7 * i) for i, w in enumerate(model.get_weights())])


def classifier(**options):
    """4 -> 3 relu -> 2 softmax."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu"), layers.Dense(2, activation="softmax")])
    begin(model)
    options = {"optimizer": optimizers.SGD(0.5), "loss": "categorical_crossentropy", "metrics": ["accuracy"], **options}
    model.compile(**options)
    return model


def fit(model, x=X, y=HOT, **options):
    return model.fit(x, y, **{"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0, **options})


def write(out, number, what, history=None, model=None, **options):
    out.case("edge", f"{number}", what=what, **options)
    if history is not None:
        for key in sorted(history.history):
            out.array(f"history/{key}", np.float32(history.history[key]))
    if model is not None:
        for i, w in enumerate(model.get_weights()):
            out.array(f"weight/{i}", w)


# ---- rows and their weights ----


def rows(out):
    model = classifier()
    write(out, 1, "short_last_batch", fit(model), model)
    model = classifier()
    write(out, 2, "fewer_rows_than_a_batch", fit(model, batch_size=32), model)
    model = classifier()
    write(out, 3, "one_row_for_validation", fit(model, validation_split=0.05), model)
    model = classifier(weighted_metrics=["accuracy"])
    write(out, 4, "a_class_without_a_weight", fit(model, class_weight={0: 3.0}), model)
    model = classifier(weighted_metrics=["accuracy"])
    write(out, 5, "weights_that_are_all_zero", fit(model, sample_weight=np.zeros(10, np.float32)), model)


# ---- targets ----


def targets(out):
    numbers = []
    for shape in ((10,), (10, 1)):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="tanh"), layers.Dense(1)])
        begin(model)
        model.compile(optimizer=optimizers.SGD(0.1), loss="mean_squared_error", metrics=["mean_absolute_error"])
        history = fit(model, y=grid(shape, 50, 2.0))
        numbers.append(np.concatenate([history.history["loss"], *(w.reshape(-1) for w in model.get_weights())]))
    if not np.array_equal(*numbers):
        raise SystemExit("targets [N] and [N,1] differ")
    write(out, 6, "targets_without_a_last_axis", history, model)
    model = classifier(loss="sparse_categorical_crossentropy")
    write(out, 7, "classes_with_a_last_axis", fit(model, y=LABELS.reshape(10, 1)), model)


def saturation(out):
    """Logits 200 apart; the target is the other class. What is after the softmax hides its logits from the loss."""
    for name, cover in (("fused", lambda p: p), ("unfused", lambda p: keras.ops.multiply(p, 1.0))):
        x = keras.Input((2,))
        model = keras.Model(x, cover(layers.Activation("softmax")(layers.Dense(2)(x))))
        model.set_weights([np.float32([[200, 0], [0, 200]]), np.zeros(2, np.float32)])
        model.compile(optimizer=optimizers.SGD(1.0), loss="categorical_crossentropy")
        y = np.eye(2, dtype=np.float32)
        write(out, 8, f"saturated_softmax_{name}", fit(model, y, y[::-1].copy(), epochs=1), model)


# ---- normalization ----


def normalization(out):
    """One row while training; frozen, where training changes nothing: outputs, gradients, moving numbers."""
    for name, n_rows, trainable in (("one_row", 1, True), ("frozen", 4, False)):
        layer = layers.BatchNormalization(trainable=trainable)
        x = tf.constant(grid((n_rows, 3), 3, 2.0))
        layer.build(x.shape)
        layer.set_weights([grid((3,), 0) + 1, grid((3,), 7), grid((3,), 14), grid((3,), 21) + 1])
        with tf.GradientTape() as tape:
            gamma, beta = layer.gamma.value, layer.beta.value
            tape.watch([x, gamma, beta])
            y = layer(x, training=True)
        out.case("edge", "9", what=f"normalization_{name}")
        gradients = tape.gradient(y, [x, layer.gamma.value, layer.beta.value],
                                  output_gradients=tf.constant(grid((n_rows, 3), 40, 2.0)))
        out.array("y", y.numpy())
        out.array("gradient", gradients[0].numpy())
        out.array("gradient/gamma", gradients[1].numpy())
        out.array("gradient/beta", gradients[2].numpy())
        out.array("moving/mean", layer.get_weights()[2])
        out.array("moving/variance", layer.get_weights()[3])


# ---- gradients of zero, and none ----


def dead(optimizer):
    """The first layer gives exactly 0 before its relu: nothing reaches its weights."""
    model = classifier(optimizer=optimizer)
    kernel, bias, *rest = model.get_weights()
    model.set_weights([np.zeros_like(kernel), np.zeros_like(bias), *rest])
    return model


def gradients(out):
    model = dead(optimizers.SGD(0.5))
    write(out, 10, "relu_of_exactly_zero", fit(model), model)
    model = dead(optimizers.SGD(0.5, clipnorm=0.01))
    write(out, 11, "clipped_norm_of_zero", fit(model), model)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(1)])
    begin(model)
    model.compile(optimizer=optimizers.SGD(0.1, global_clipnorm=1.0), loss="mean_squared_error")
    write(out, 12, "global_norm_of_infinity", fit(model, 1e25 * X, grid((10,), 50, 2.0), epochs=1), model)
    model = dead(optimizers.Adam(0.1))
    write(out, 13, "adam_of_zero", fit(model, batch_size=10, epochs=1), model)


# ---- callbacks, fits ----


def callbacks(out):
    for name, options in (("patience_0", {}), ("patience_0_and_a_baseline", {"baseline": 1e-3})):
        stop = keras.callbacks.EarlyStopping("loss", patience=0, **options)
        model = classifier(optimizer=optimizers.SGD(0.0))
        write(out, 14, name, fit(model, epochs=5, callbacks=[stop]), None, stopped=stop.stopped_epoch,
              best_epoch=stop.best_epoch, wait=stop.wait)
    schedule = optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    model, refused = classifier(optimizer=optimizers.SGD(schedule)), False
    try:
        fit(model, epochs=5, callbacks=[keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=9.0)])
    except TypeError:
        refused = True
    write(out, 15, "a_rate_of_a_schedule_is_not_reduced", refused=refused)
    model = classifier(optimizer=optimizers.Adam(0.05))
    fit(model)
    write(out, 16, "adam_in_two_fits", fit(model), model)


# ---- graphs of layers ----


def graphs(out):
    x = keras.Input((4,), name="x")
    h = layers.Dense(3, activation="tanh", name="h")(x)
    model = keras.Model(x, [layers.Dense(2, activation="softmax", name="z_kind")(h), layers.Dense(1, name="a_size")(h)])
    begin(model)
    model.compile(optimizer=optimizers.SGD(0.1), loss=["categorical_crossentropy", "mean_squared_error"], loss_weights=[1, 0.5],
                  metrics=[["accuracy"], ["mean_absolute_error"]])
    y = [HOT, grid((10, 1), 50, 2.0)]
    write(out, 17, "evaluate_of_two_outputs", fit(model, X, y, batch_size=5), model)
    out.array("evaluate", np.float32(model.evaluate(X, y, batch_size=5, verbose=0)))
    names = model.evaluate(X, y, batch_size=5, verbose=0, return_dict=True)
    out.array("named", np.float32([names[k] for k in ("loss", "z_kind_loss", "a_size_loss", "a_size_mean_absolute_error",
                                                      "z_kind_accuracy")]))

    x, shared = keras.Input((4,)), layers.Dense(4, activation="tanh")
    model = keras.Model(x, layers.Dense(2, activation="softmax")(layers.Add()([shared(x), shared(shared(x))])))
    begin(model)
    model.compile(optimizer=optimizers.SGD(0.5), loss="categorical_crossentropy")
    write(out, 18, "a_layer_called_again", fit(model), model)

    image, meta = keras.Input((4,), name="image"), keras.Input((2,), name="meta")
    h = layers.Dense(3, activation="relu", name="h")(image)
    joined = layers.Concatenate(name="joined")([h, meta])
    a = layers.Dense(2, activation="softmax", name="a")(layers.Dense(3, activation="tanh", name="deep")(joined))
    b = layers.Dense(1, name="b")(h)
    model = keras.Model([meta, image], [b, a])
    begin(model)
    model.compile(optimizer=optimizers.SGD(0.5), loss=["mean_squared_error", "categorical_crossentropy"])
    history = fit(model, [grid((10, 2), 60, 2.0), X], [grid((10, 1), 50, 2.0), HOT], batch_size=5)
    write(out, 19, "an_input_that_comes_late", history, model, layers=",".join(layer.name for layer in model.layers))


# ---- single batches ----


def batches(out):
    """Metrics of single batches: do they run on from call to call?"""
    model = classifier()
    out.case("batches", "on_batch")
    for name, call in (("train", model.train_on_batch), ("test", model.test_on_batch), ("train_again", model.train_on_batch)):
        parts = [X[:4], X[4:8], X[8:]], [HOT[:4], HOT[4:8], HOT[8:]]
        logs = [call(x, y, return_dict=True) for x, y in zip(*parts)]
        out.array(f"{name}/loss", np.float32([part["loss"] for part in logs]))
        out.array(f"{name}/accuracy", np.float32([part["accuracy"] for part in logs]))
    logs = model.train_on_batch(X[:4], HOT[:4], class_weight={0: 2.0, 1: 0.5}, return_dict=True)
    out.array("class_weights/loss", np.float32(logs["loss"]))
    out.array("predict", model.predict_on_batch(X[:3]))
    for i, w in enumerate(model.get_weights()):
        out.array(f"weight/{i}", w)


# ---- what callbacks see, and when ----


class Batches(keras.callbacks.Callback):
    """Logs of batches: running means of the epoch."""

    def __init__(self):
        super().__init__()
        self.loss, self.accuracy = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.loss.append(logs["loss"])
        self.accuracy.append(logs["accuracy"])


def saved(options, **fit_options):
    """The names of the files that ModelCheckpoint wrote, in order."""
    with tempfile.TemporaryDirectory() as directory:
        names, model = [], classifier(optimizer=optimizers.SGD(4.0))
        checkpoint = keras.callbacks.ModelCheckpoint(filepath=os.path.join(directory, options.pop("name")), **options)
        model.save = lambda path, **_: names.append(os.path.basename(path))
        fit(model, callbacks=[checkpoint], **fit_options)
    return ",".join(names)


def host(out):
    model, seen = classifier(), Batches()
    fit(model, callbacks=[seen])
    out.case("edge", "host", what="logs_of_batches")
    out.array("loss", np.float32(seen.loss))
    out.array("accuracy", np.float32(seen.accuracy))
    model = classifier()
    write(out, "host", "passes_in_parts", fit(model, epochs=5, batch_size=2, steps_per_epoch=2), model)
    model = classifier()
    write(out, "host", "some_validation",
          fit(model, epochs=4, validation_data=(X[3:9], HOT[3:9]), validation_batch_size=2, validation_steps=2,
              validation_freq=[1, 4]), model)
    model = classifier()
    write(out, "host", "begun_late", fit(model, epochs=5, initial_epoch=3), model)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(1)])
    begin(model)
    model.compile(optimizer=optimizers.SGD(0.1), loss="mean_squared_error")
    write(out, "host", "not_a_number", fit(model, 1e25 * X, grid((10,), 50, 2.0), callbacks=[keras.callbacks.TerminateOnNaN()]))
    for what, options in (("saved_each", {"name": "{epoch:02d}-{val_loss:.3f}.keras"}),
                          ("saved_best", {"name": "{epoch}.keras", "save_best_only": True}),
                          ("saved_below", {"name": "{epoch}.keras", "save_best_only": True, "initial_value_threshold": 0.6}),
                          ("saved_by_batches", {"name": "{epoch}-{batch:03d}-{loss:.4f}.keras", "save_freq": 4})):
        write(out, "host", what, names=saved(options, epochs=6, validation_split=0.2))


def main():
    out = Writer("edges.txt", "Edges of training, by number, single batches, and what callbacks see.")
    for part in (rows, targets, saturation, normalization, gradients, callbacks, graphs, batches, host):
        part(out)
    out.close()


main()
