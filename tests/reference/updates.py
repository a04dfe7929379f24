"""Reference values of what changes weights: data/optimizers.txt, schedules.txt and weights.txt.

scripts/reference updates.py
"""
from writer import Writer, grid, keras, np, tf

# ---- optimizers ----

STEPS = 20
SHOWN = [1, 2, 5, 10, 20]
WEIGHTS = {"matrix": (3, 2), "vector": (3,), "tensor": (2, 3, 2)}


def gradients():
    """Of each step and weight. The vector's last element never has one, the matrix' second row only in the first three."""
    made = {}
    for i, (name, shape) in enumerate(WEIGHTS.items()):
        made[name] = np.stack([grid(shape, 17 * t + 29 * i, 0.8 + 0.05 * t) for t in range(STEPS)])
    made["vector"][:, 2] = 0
    made["matrix"][3:, 1] = 0
    return made


class ScheduleFreeAdamW(keras.optimizers.ScheduleFreeAdamW):
    """Keras 3.15.1 on TensorFlow keeps, for the old momentum, the variable itself, which then changes, so that what it
    averages is none of the algorithm's sequences. Here the variable is replaced instead of changed."""

    def assign_sub(self, variable, value):
        if any(variable is momentum for momentum in self._momentums):
            variable._value = tf.Variable(variable._value - value)
        else:
            super().assign_sub(variable, value)


def trace(out, name, exclude=None, rank=None, infinite_step=None, dynamic=None, **options):
    """The weights after steps with gradients(). exclude: no weight decay of that weight; infinite_step: a gradient of that
    step is infinite; dynamic: options of a LossScaleOptimizer around it."""
    optimizer = OPTIMIZERS[name](**options)
    if exclude is not None:
        optimizer.exclude_from_weight_decay(var_names=[exclude])
    shown_as = dict(options, exclude=exclude, infinite_step=infinite_step)
    if dynamic is not None:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, **dynamic)
        shown_as.update(dynamic_loss_scale=True, **dynamic)
    weights = [keras.Variable(grid(shape, 5 * i, 2), name=name) for i, (name, shape) in enumerate(WEIGHTS.items())]
    optimizer.build(weights)
    optimizer.built = True
    given, kept = gradients(), {name: [] for name in WEIGHTS}
    for t in range(1, STEPS + 1):
        step = [given[name][t - 1].copy() for name in WEIGHTS]
        if t == infinite_step:
            step[0][0, 0] = np.inf
        if dynamic is not None:
            step = [g * optimizer.dynamic_scale.numpy() for g in step]
        optimizer.apply([tf.constant(g) for g in step], weights)
        if t in SHOWN:
            for w in weights:
                kept[w.name].append(w.numpy())
    out.case("optimizer", name, **shown_as)
    for key, values in kept.items():
        out.array(key, np.stack(values))
    if options.get("use_ema"):
        for w, average in zip(weights, optimizer._model_variables_moving_average):
            out.array(f"{w.name}_average", average.numpy())


OPTIMIZERS = {
    "sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop, "adagrad": keras.optimizers.Adagrad, "adadelta": keras.optimizers.Adadelta,
    "adamax": keras.optimizers.Adamax, "nadam": keras.optimizers.Nadam, "ftrl": keras.optimizers.Ftrl,
    "lion": keras.optimizers.Lion, "lamb": keras.optimizers.Lamb, "adafactor": keras.optimizers.Adafactor,
    "muon": keras.optimizers.Muon, "schedule_free_adamw": ScheduleFreeAdamW,
}
OWN_OPTIONS = {
    "sgd": [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.5}],
    "adam": [{"beta_1": 0.8}, {"beta_1": 0}, {"beta_2": 0.9}, {"epsilon": 1e-2}, {"amsgrad": True},
             {"amsgrad": True, "beta_2": 0.5}],
    "adamw": [{"weight_decay": 0.1}, {"amsgrad": True}, {"beta_1": 0.7, "beta_2": 0.95, "epsilon": 1e-5}],
    "rmsprop": [{"rho": 0.5}, {"momentum": 0.9}, {"centered": True}, {"centered": True, "momentum": 0.5}, {"epsilon": 1e-2}],
    "adagrad": [{"initial_accumulator_value": 0}, {"initial_accumulator_value": 1}, {"epsilon": 1e-2}],
    "adadelta": [{"rho": 0.5}, {"epsilon": 1e-2}],
    "adamax": [{"beta_1": 0.5}, {"beta_2": 0.9}, {"epsilon": 1e-2}],
    "nadam": [{"beta_1": 0.5}, {"beta_2": 0.9}, {"epsilon": 1e-2}],
    "ftrl": [{"learning_rate_power": -0.25}, {"learning_rate_power": 0}, {"initial_accumulator_value": 1},
             {"l1_regularization_strength": 0.2}, {"l2_regularization_strength": 0.2},
             {"l2_shrinkage_regularization_strength": 0.2}, {"beta": 0.5},
             {"l1_regularization_strength": 0.1, "l2_regularization_strength": 0.05,
              "l2_shrinkage_regularization_strength": 0.1, "beta": 0.1}],
    "lion": [{"beta_1": 0.5}, {"beta_2": 0.5}],
    "lamb": [{"beta_1": 0.5}, {"beta_2": 0.9}, {"epsilon": 1e-2}],
    "adafactor": [{"relative_step": False}, {"beta_2_decay": -0.5}, {"epsilon_1": 1e-2}, {"epsilon_2": 1},
                  {"clip_threshold": 0.5}, {"learning_rate": 2.0}],
    "muon": [{"momentum": 0.5}, {"nesterov": False}, {"ns_steps": 3}, {"muon_a": 3, "muon_b": -4, "muon_c": 1.5},
             {"weight_decay": 0.1}, {"adam_weight_decay": 0.1}, {"adam_lr_ratio": 0.5}, {"rms_rate": 0.5},
             {"adam_beta_1": 0.5, "adam_beta_2": 0.9, "epsilon": 1e-3}],
    "schedule_free_adamw": [{"beta_1": 0.5}, {"beta_2": 0.9}, {"epsilon": 1e-2}, {"warmup_steps": 8}],
}
COMMON_OPTIONS = [
    {"weight_decay": 0.05}, {"weight_decay": 0.05, "exclude": "vector"}, {"clipnorm": 0.3}, {"clipvalue": 0.15},
    {"global_clipnorm": 0.5}, {"use_ema": True, "ema_momentum": 0.8},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3}, {"gradient_accumulation_steps": 4},
    {"loss_scale_factor": 8.0}, {"dynamic": {"initial_scale": 16.0, "dynamic_growth_steps": 3}},
    {"dynamic": {"initial_scale": 16.0, "dynamic_growth_steps": 3}, "infinite_step": 7},
]
MIXED_OPTIONS = [
    {"clipnorm": 0.3, "weight_decay": 0.05, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 4,
     "gradient_accumulation_steps": 2},
    {"global_clipnorm": 0.5, "gradient_accumulation_steps": 3, "loss_scale_factor": 4.0},
]


def optimizers():
    out = Writer("optimizers.txt", "Weights after steps 1, 2, 5, 10 and 20 with the gradients of the first case.")
    out.case("gradients", "shared")
    for name, value in gradients().items():
        out.array(name, value)
    for i, (name, shape) in enumerate(WEIGHTS.items()):
        out.array(f"{name}_start", grid(shape, 5 * i, 2))
    for name, options in OWN_OPTIONS.items():
        rate = {"learning_rate": 0.05}
        trace(out, name)
        trace(out, name, **rate)
        for more in options:
            trace(out, name, **{**rate, **more})
    for name in ["sgd", "adam"]:
        for more in COMMON_OPTIONS + MIXED_OPTIONS:
            own = {"momentum": 0.9} if name == "sgd" else {}
            trace(out, name, learning_rate=0.05, **own, **more)
    for name in OWN_OPTIONS:
        if name not in ["sgd", "adam"]:
            trace(out, name, learning_rate=0.05, **MIXED_OPTIONS[0])
            trace(out, name, learning_rate=0.05, **COMMON_OPTIONS[0])
            trace(out, name, learning_rate=0.05, **COMMON_OPTIONS[7])
    out.close()


# ---- schedules ----

SCHEDULES = {
    "exponential_decay": keras.optimizers.schedules.ExponentialDecay,
    "inverse_time_decay": keras.optimizers.schedules.InverseTimeDecay,
    "piecewise_constant_decay": keras.optimizers.schedules.PiecewiseConstantDecay,
    "polynomial_decay": keras.optimizers.schedules.PolynomialDecay,
    "cosine_decay": keras.optimizers.schedules.CosineDecay,
    "cosine_decay_restarts": keras.optimizers.schedules.CosineDecayRestarts,
}


def schedule(out, name, near=(), without=(), **options):
    """Its rates over 1,000 steps: the first, each 13th, and those around some."""
    rate = SCHEDULES[name](**options)
    steps = {*range(3), *range(0, 1000, 13), 999, *(b + d for b in near for d in (-1, 0, 1))} - set(without)
    steps = np.array(sorted(t for t in steps if 0 <= t < 1000), np.int32)
    boundaries, values = options.pop("boundaries", None), options.pop("values", None)
    out.case("schedule", name, **options)
    if boundaries is not None:
        out.array("boundaries", np.array(boundaries))
        out.array("values", np.array(values))
    out.array("steps", steps)
    out.array("rates", np.array([rate(tf.constant(int(t), tf.int64)).numpy() for t in steps], np.float32))


def schedules():
    out = Writer("schedules.txt", "Learning rates by schedules over 1,000 steps, from step 0.")
    for name in ["exponential_decay", "inverse_time_decay"]:
        for staircase in [None, True]:
            more = {} if staircase is None else {"staircase": True}
            for steps, rate in [(100, 0.5), (37, 0.9), (1000, 0.1)]:
                schedule(out, name, near=[steps, 2 * steps, 5 * steps], initial_learning_rate=0.3, decay_steps=steps,
                         decay_rate=rate, **more)
    schedule(out, "piecewise_constant_decay", near=[5, 10], boundaries=[5, 10], values=[0.1, 0.05, 0.01])
    schedule(out, "piecewise_constant_decay", near=[0, 400, 401, 990], boundaries=[0, 400, 401, 990],
             values=[0.5, 0.1, 0.25, 0.05, 0.01])
    for more in [{}, {"power": 2.0}, {"power": 0.5, "end_learning_rate": 0.05}, {"cycle": True},
                 {"cycle": True, "power": 2.0, "end_learning_rate": 0.02}, {"end_learning_rate": 0.0},
                 {"end_learning_rate": 0.4}]:
        schedule(out, "polynomial_decay", near=[70, 140, 400, 700], initial_learning_rate=0.2,
                 decay_steps=70 if "cycle" in more else 400, **more)
    for more in [{}, {"alpha": 0.25}, {"warmup_target": 0.4, "warmup_steps": 100},
                 {"warmup_target": 0.4, "warmup_steps": 1, "alpha": 0.1}]:
        schedule(out, "cosine_decay", near=[1, 100, 600, 700], initial_learning_rate=0.2, decay_steps=600, **more)
    schedule(out, "cosine_decay", near=[50], initial_learning_rate=0.0, decay_steps=600, warmup_target=0.4, warmup_steps=50)
    # Not at the step of a restart: there a logarithm in float32 decides, and may be late.
    for first, t_mul in [(8, 2.0), (5, 3.0), (10, 1.5), (25, 1.0)]:
        restarts, length = [float(first)], float(first)
        while restarts[-1] < 1000:
            length *= t_mul
            restarts.append(restarts[-1] + length)
        near = [int(t) for t in restarts]
        schedule(out, "cosine_decay_restarts", near=near, without=[] if t_mul == 1 else near, initial_learning_rate=0.2,
                 first_decay_steps=first, t_mul=t_mul)
        schedule(out, "cosine_decay_restarts", near=near, without=[] if t_mul == 1 else near, initial_learning_rate=0.2,
                 first_decay_steps=first, t_mul=t_mul, m_mul=0.8, alpha=0.1)
    out.close()


# ---- regularizers and constraints ----

REGULARIZERS = [
    ("l1", keras.regularizers.L1, {"l1": 0.02}), ("l2", keras.regularizers.L2, {"l2": 0.03}),
    ("l1_l2", keras.regularizers.L1L2, {"l1": 0.02, "l2": 0.03}),
    ("orthogonal", keras.regularizers.OrthogonalRegularizer, {"factor": 0.05, "mode": "rows"}),
    ("orthogonal", keras.regularizers.OrthogonalRegularizer, {"factor": 0.05, "mode": "columns"}),
]
CONSTRAINTS = [
    ("max_norm", keras.constraints.MaxNorm, {"max_value": 0.7}), ("max_norm", keras.constraints.MaxNorm, {}),
    ("max_norm", keras.constraints.MaxNorm, {"max_value": 0.5, "axis": 1}), ("non_neg", keras.constraints.NonNeg, {}),
    ("unit_norm", keras.constraints.UnitNorm, {}), ("unit_norm", keras.constraints.UnitNorm, {"axis": 1}),
    ("min_max_norm", keras.constraints.MinMaxNorm, {"min_value": 0.4, "max_value": 0.8}),
    ("min_max_norm", keras.constraints.MinMaxNorm, {"min_value": 0.4, "max_value": 0.8, "rate": 0.25}),
    ("min_max_norm", keras.constraints.MinMaxNorm, {"min_value": 0.9, "axis": 1}),
]


def regularized(out, kind, name, function, options, numbers):
    """A regularizer's number and its gradient; of a layer's output when the kind is "activity"."""
    x = tf.constant(numbers)
    with tf.GradientTape() as tape:
        tape.watch(x)
        if kind == "activity":
            layer = keras.layers.Activation("linear", activity_regularizer=function(**options))
            layer(x)
            value = layer.losses[0]
        else:
            value = function(**options)(x)
    out.case(kind, name, **options)
    out.array("numbers", numbers)
    out.array("value", value.numpy())
    out.array("gradient", tape.gradient(value, x).numpy())


def constrained(out, name, function, options, numbers):
    """A weight after a step of SGD and the constraint."""
    weight = keras.Variable(numbers)
    weight.constraint = function(**options)
    gradient = grid(numbers.shape, 33, 2)
    gradient[:, 1] = 0
    keras.optimizers.SGD(learning_rate=0.1).apply([tf.constant(gradient)], [weight])
    out.case("constraint", name, **options)
    out.array("numbers", numbers)
    out.array("gradient", gradient)
    out.array("after", weight.numpy())


def weights():
    out = Writer("weights.txt", "Regularizers of a weight and of an output, and weights after a step and a constraint.")
    for name, function, options in REGULARIZERS:
        for numbers in [grid((4, 3), 3, 2), grid((2, 5), 1, 3)]:
            regularized(out, "regularizer", name, function, options, numbers)
    for name, function, options in REGULARIZERS[:3]:
        for numbers in [grid((4, 3), 3, 2), grid((3, 2, 4), 1, 3)]:
            regularized(out, "activity", name, function, options, numbers)
    zeros = grid((4, 3), 3, 2)
    zeros[:, 1] = 0
    for name, function, options in CONSTRAINTS:
        for numbers in [grid((4, 3), 3, 2), zeros]:
            constrained(out, name, function, options, numbers)
    out.close()


optimizers()
schedules()
weights()
