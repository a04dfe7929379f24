"""Whole fits with callbacks: what each epoch logged and at which rate, when it stopped, the weights at the end: data/fits.txt.

scripts/reference fits.py

Data, initial weights and targets follow from formulas, which test_reference_fits.c has too; rows are not shuffled. So a case is the
name of a fit and the numbers that came of it.
"""
import csv
import os
import tempfile

from writer import Writer, grid, keras, np

layers = keras.layers

# ---- by formula ----


def steps(shape, offset):
    """The integers, 0 to 100, that grid is made of."""
    k = np.arange(int(np.prod(shape)), dtype=np.int64)
    return ((k + offset) * 37 + 11).reshape(shape) % 101


def begin(model):
    """The i-th weight is grid(shape, 7 i)."""
    model.set_weights([grid(w.shape, 7 * i) for i, w in enumerate(model.get_weights())])


def classes(n, width, offset, n_classes):
    """Labels that can be learnt, how a row's elements compare; but for every seventh row."""
    s = steps((n, width), offset)
    label = (s[:, 0] + s[:, 1] > s[:, 2] + s[:, 3]).astype(np.int32) + (s[:, 0] > s[:, 4])
    return ((label + (np.arange(n) % 7 == 3)) % n_classes).astype(np.int32)


def several(n, width, offset, n_labels):
    """Several labels a row: is an element larger than the next but one?"""
    s = steps((n, width), offset)
    return np.stack([s[:, j] > s[:, (j + 2) % width] for j in range(n_labels)], axis=1).astype(np.float32)


def surface(x, columns):
    """Smooth targets: products of neighbours."""
    x = x.astype(np.float64)
    return np.stack([x[:, j] * x[:, j + 1] - 0.5 * x[:, j + 2] for j in range(columns)], axis=1).astype(np.float32)


def one_hot(labels, n_classes):
    return np.eye(n_classes, dtype=np.float32)[labels]


def row_weights(n, offset):
    """0 to 2; some are exactly 0."""
    s = steps((n,), offset)
    return np.where(s < 10, 0.0, s / 50.0).astype(np.float32)


# ---- what is written ----


class Rates(keras.callbacks.Callback):
    """The learning rate of each epoch's last step."""

    def __init__(self):
        super().__init__()
        self.rates, self.latest = [], None

    def on_train_batch_begin(self, batch, logs=None):
        self.latest = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(self.latest)


def write(out, name, history, rates, stop=None):
    """One call of fit. Of numbers that not every epoch has, there are fewer."""
    numbers = {}
    if stop is not None:
        numbers = {"stopped": stop.stopped_epoch, "best_epoch": stop.best_epoch, "wait": stop.wait}
    out.case("fit", name, **numbers)
    out.array("epochs", history.epoch)
    out.array("rates", np.float32(rates.rates))
    if stop is not None:
        out.array("best", np.float32(stop.best))
    for key in sorted(history.history):
        out.array(f"history/{key}", np.float32(history.history[key]))


def write_model(out, model, x, y, batch, weight=None):
    """Its weights, and what evaluate says, in its order."""
    for i, w in enumerate(model.get_weights()):
        out.array(f"weight/{i}", w)
    numbers = model.evaluate(x, y, sample_weight=weight, batch_size=batch, verbose=0)
    out.array("evaluate", np.float32(numbers))


def write_table(out, path, separator):
    """What CSVLogger wrote: for each column its numbers, NaN for NA."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter=separator))
    for j, name in enumerate(rows[0]):
        column = [float("nan") if row[j] == "NA" else float(row[j]) for row in rows[1:]]
        out.array(f"column/{j}/{name}", np.float32(column))


# ---- the fits ----


def fit_classes(out):
    """Softmax and integer classes; SGD with Nesterov momentum; stopped early, the best weights restored."""
    x, y = grid((72, 6), 0, 2.0), classes(72, 6, 0, 3)
    validation = (grid((30, 6), 437, 2.0), classes(30, 6, 437, 3))
    model = keras.Sequential([
        keras.Input((6,)),
        layers.Dense(16, activation="relu"),
        layers.Dense(12, activation="tanh"),
        layers.Dense(3, activation="softmax"),
    ])
    begin(model)
    model.compile(optimizer=keras.optimizers.SGD(learning_rate=0.05, momentum=0.9, nesterov=True),
                  loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    rates, stop = Rates(), keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    history = model.fit(x, y, batch_size=16, epochs=40, shuffle=False, verbose=0, validation_data=validation,
                        callbacks=[stop, rates])
    write(out, "classes", history, rates, stop)
    write_model(out, model, *validation, 16)


def fit_surface(out):
    """A deep network of ELU and GELU; Adam; the rate reduced on plateaus; weighted rows; a short last batch."""
    x, x_validation = grid((50, 5), 3, 2.0), grid((21, 5), 611, 2.0)
    validation = (x_validation, surface(x_validation, 2), row_weights(21, 5))
    model = keras.Sequential([
        keras.Input((5,)),
        layers.Dense(16, activation="elu"),
        layers.Dense(16, activation="gelu"),
        layers.Dense(8, activation="elu"),
        layers.Dense(8, activation="gelu"),
        layers.Dense(2),
    ])
    begin(model)
    model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.01), loss="mean_squared_error",
                  metrics=["mean_absolute_error", keras.metrics.RootMeanSquaredError()],
                  weighted_metrics=["mean_squared_logarithmic_error"])
    rates = Rates()
    reduce = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1, min_delta=0.02, cooldown=2, min_lr=0.002)
    history = model.fit(x, surface(x, 2), sample_weight=row_weights(50, 0), batch_size=16, epochs=20, shuffle=False,
                        verbose=0, validation_data=validation, callbacks=[reduce, rates])
    write(out, "surface", history, rates)
    write_model(out, model, *validation[:2], 16, validation[2])


def fit_branches(out):
    """Two inputs, a residual sum, two outputs; AdamW within a global norm; a rate by epochs; weights by output.

    Eagerly, where Keras knows a batch's rows: otherwise its loss of one output counts every batch alike, unlike its loss.
    """
    first, second = keras.Input((8,), name="first"), keras.Input((3,), name="second")
    low = layers.Dense(12, activation="relu", name="low")(first)
    high = layers.Dense(12, activation="tanh", name="high")(low)
    both = layers.Concatenate(name="both")([layers.Add(name="sum")([low, high]), second])
    kind = layers.Dense(4, activation="softmax", name="kind")(both)
    value = layers.Dense(1, name="value")(both)
    model = keras.Model([first, second], [kind, value])
    begin(model)
    model.compile(optimizer=keras.optimizers.AdamW(learning_rate=0.01, weight_decay=0.01, global_clipnorm=0.5),
                  loss={"kind": "categorical_crossentropy", "value": "huber"},
                  loss_weights={"kind": 1.0, "value": 0.3},
                  metrics={"kind": ["accuracy"], "value": ["mean_absolute_error"]},
                  weighted_metrics={"kind": [keras.metrics.TopKCategoricalAccuracy(k=2)], "value": ["mean_absolute_error"]},
                  run_eagerly=True)
    x = [grid((64, 8), 11, 2.0), grid((64, 3), 29, 2.0)]
    y = [one_hot(classes(64, 8, 11, 4), 4), surface(x[0], 1)]
    rates = Rates()
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate if epoch < 3 else rate * 0.75)
    history = model.fit(x, y, sample_weight=[row_weights(64, 2), row_weights(64, 60)], batch_size=12, epochs=12,
                        shuffle=False, verbose=0, validation_split=0.25, callbacks=[scheduler, rates])
    write(out, "branches", history, rates)
    write_model(out, model, x, y, 12)


class Maxout(layers.Layer):
    """TensorFlow Addons' layer, which Keras has not: unit j is the largest of x[k units + j]."""

    def __init__(self, units):
        super().__init__()
        self.units = units

    def call(self, x):
        return keras.ops.max(keras.ops.reshape(x, (-1, x.shape[-1] // self.units, self.units)), axis=1)


def fit_units(out, directory):
    """Maxout, PReLU, one sigmoid with targets [N]; RMSprop, centred, with momentum, on a cosine; weighted classes."""
    model = keras.Sequential([
        keras.Input((7,)),
        layers.Dense(16),
        Maxout(8),
        layers.Dense(8),
        layers.PReLU(),
        layers.Dense(1, activation="sigmoid"),
    ])
    begin(model)
    rate = keras.optimizers.schedules.CosineDecay(0.005, decay_steps=25, alpha=0.1)
    model.compile(optimizer=keras.optimizers.RMSprop(learning_rate=rate, momentum=0.5, centered=True),
                  loss="binary_crossentropy", metrics=["accuracy", "auc", "precision", "recall"],
                  weighted_metrics=["binary_accuracy"])
    x, y = grid((60, 7), 5, 2.0), classes(60, 7, 5, 2).astype(np.float32)
    rates, log = Rates(), os.path.join(directory, "units.csv")
    history = model.fit(x, y, batch_size=16, epochs=10, shuffle=False, verbose=0, validation_split=0.2,
                        class_weight={0: 0.5, 1: 1.75}, validation_freq=2,
                        callbacks=[rates, keras.callbacks.CSVLogger(log, separator=";")])
    write(out, "units", history, rates)
    write_model(out, model, x, y, 16)
    write_table(out, log, ";")


def fit_labels(out, directory):
    """Several labels, smoothed; L1, L2, a norm kept; Nadam, gradients collected, weights averaged; two fits, one log."""
    model = keras.Sequential([
        keras.Input((6,)),
        layers.Dense(14, activation="relu", kernel_regularizer=keras.regularizers.L2(0.003),
                     kernel_constraint=keras.constraints.MaxNorm(1.0), activity_regularizer=keras.regularizers.L1(0.001)),
        layers.Dense(5, activation="sigmoid", bias_regularizer=keras.regularizers.L1(0.01)),
    ])
    begin(model)
    model.compile(optimizer=keras.optimizers.Nadam(learning_rate=0.02, use_ema=True, ema_momentum=0.8,
                                                   gradient_accumulation_steps=2, clipnorm=1.0),
                  loss=keras.losses.BinaryCrossentropy(label_smoothing=0.1), metrics=["binary_accuracy"])
    x, y = grid((40, 6), 9, 2.0), several(40, 6, 9, 5)
    validation = (grid((16, 6), 777, 2.0), several(16, 6, 777, 5))
    log, first = os.path.join(directory, "labels.csv"), 0
    for name, epochs, stop in (
        ("labels", 20, keras.callbacks.EarlyStopping(min_delta=0.03, patience=2, baseline=0.3, start_from_epoch=2)),
        ("labels_again", 4, keras.callbacks.EarlyStopping("loss", patience=5, restore_best_weights=True)),
    ):
        rates = Rates()
        history = model.fit(x, y, batch_size=12, epochs=first + epochs, initial_epoch=first, shuffle=False, verbose=0,
                            validation_data=validation,
                            callbacks=[rates, stop, keras.callbacks.CSVLogger(log, append=True)])
        write(out, name, history, rates, stop)
        write_model(out, model, *validation, 12)
        first = stop.stopped_epoch + 1
    write_table(out, log, ",")


def main():
    out = Writer("fits.txt", "Whole fits: each epoch's logs and rate, the weights at the end and what evaluate gives with them.")
    with tempfile.TemporaryDirectory() as directory:
        fit_classes(out)
        fit_surface(out)
        fit_branches(out)
        fit_units(out, directory)
        fit_labels(out, directory)
    out.close()


main()
