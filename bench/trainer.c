/* Parameters, Adam and the loop over batches of trainer.h. */
#include "trainer.h"
#include "peak.h"

#include <math.h>
#include <stdlib.h>

static const double rate = 1e-4, beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-7;

bench_trainer *bench_trainer_create(cot_context *context, const char *name, const char *what) {
    bench_trainer *trainer = calloc(1, sizeof *trainer);
    if (trainer == NULL) {
        return NULL;
    }
    trainer->base = (bench_subject){
        .name = name, .what = what, .context = context, .destroy = bench_trainer_destroy};
    trainer->graph = cot_graph_create(context, "step");
    return trainer;
}

void bench_trainer_destroy(bench_subject *subject) {
    bench_trainer *trainer = (bench_trainer *)subject;
    cot_session_destroy(trainer->session);
    cot_program_destroy(trainer->program);
    cot_graph_destroy(trainer->graph);
    for (int32_t i = 0; i < trainer->n_parameters; i++) {
        cot_variable_release(trainer->weight[i]);
    }
    for (int32_t i = 0; i < trainer->n_slots; i++) {
        cot_variable_release(trainer->slot[i]);
    }
    free(trainer->x_memory);
    free(trainer->y_memory);
    free(trainer);
}

/* ---- parameters ---- */

static int64_t count(const cot_shape *shape) {
    int64_t n = 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        n *= shape->dim[i];
    }
    return n;
}

/* Half the width of the uniform distribution: Glorot's sqrt(6 / (fan_in + fan_out)), a
 * convolution's fans counting its taps. */
static double limit(const cot_shape *shape, bench_initial initial) {
    if (initial != BENCH_GLOROT || shape->rank < 2) {
        return 0.05;
    }
    int64_t n_in = shape->dim[shape->rank - 2];
    int64_t n_out = shape->dim[shape->rank - 1];
    int64_t taps = count(shape) / (n_in * n_out);
    return sqrt(6.0 / (double)(taps * (n_in + n_out)));
}

static cot_status set_initial(cot_variable *weight, bench_initial initial, uint64_t seed) {
    cot_shape shape = cot_variable_shape(weight);
    int64_t n = count(&shape);
    float *value = malloc((size_t)n * sizeof *value);
    if (value == NULL) {
        return COT_E_NOMEM;
    }
    bench_fill(value, n, seed);
    float scale = (float)(2.0 * limit(&shape, initial));
    for (int64_t i = 0; i < n; i++) {
        value[i] = initial == BENCH_ZEROS ? 0.0F : initial == BENCH_ONES ? 1.0F : value[i] * scale;
    }
    cot_status status = cot_variable_set(weight, value, (size_t)n * sizeof *value);
    free(value);
    return status;
}

cot_value bench_parameter(bench_trainer *trainer, cot_shape shape, bench_initial initial,
                          const char *name) {
    int32_t i = trainer->n_parameters;
    cot_variable *weight = i < BENCH_MOST_PARAMETERS
                               ? cot_variable_create(trainer->base.context, COT_F32, shape, name)
                               : NULL;
    if (weight == NULL) {
        return (cot_value){NULL, 0};
    }
    trainer->weight[i] = weight;
    trainer->n_parameters++;
    if (set_initial(weight, initial, 1000 + (uint64_t)i) != COT_OK) {
        return (cot_value){NULL, 0};
    }
    trainer->parameter[i] = cot_op_state(trainer->graph, weight);
    return trainer->parameter[i];
}

cot_value bench_dense(bench_trainer *trainer, cot_value x, int64_t n_in, int64_t n_out,
                      const char *name) {
    cot_graph_set_layer(trainer->graph, name);
    cot_value w = bench_parameter(trainer, COT_SHAPE(n_in, n_out), BENCH_GLOROT, name);
    cot_value b = bench_parameter(trainer, COT_SHAPE(n_out), BENCH_ZEROS, name);
    return cot_op_binary(COT_OP_ADD, cot_op_matmul(x, w), b);
}

cot_value bench_cross_entropy(cot_value logits, cot_value labels) {
    static const int32_t axes[] = {0, 1, 2, 3};
    cot_shape shape = cot_value_shape(logits);
    if (shape.rank < 2 || shape.rank > 4) {
        return (cot_value){NULL, 0};
    }
    cot_value target = cot_op_one_hot(labels, shape.dim[shape.rank - 1], COT_F32);
    return cot_op_mean(cot_op_softmax_cross_entropy(target, logits), axes, shape.rank - 1, false);
}

/* ---- Adam ---- */

static cot_value number(cot_value like, double value) {
    return cot_op_constant(like.graph, cot_value_dtype(like), value);
}

static cot_value scaled(cot_value x, double factor) {
    return cot_op_binary(COT_OP_MUL, x, number(x, factor));
}

static cot_value slot(bench_trainer *trainer, cot_dtype dtype, cot_shape shape, const char *name) {
    cot_variable *variable = cot_variable_create(trainer->base.context, dtype, shape, name);
    if (variable == NULL) {
        return (cot_value){NULL, 0};
    }
    trainer->slot[trainer->n_slots++] = variable;
    return cot_op_state(trainer->graph, variable);
}

/* x + (target - x) (1 - beta) */
static cot_value approach(cot_value x, cot_value target, double beta) {
    return cot_op_binary(COT_OP_ADD, x, scaled(cot_op_binary(COT_OP_SUB, target, x), 1.0 - beta));
}

/* 1 - beta^t */
static cot_value correction(cot_value t, double beta) {
    return cot_op_binary(COT_OP_SUB, number(t, 1.0), cot_op_binary(COT_OP_POW, number(t, beta), t));
}

static cot_status update(bench_trainer *trainer, cot_value w, cot_value g, cot_value alpha) {
    cot_shape shape = cot_value_shape(w);
    cot_value m = slot(trainer, COT_F32, shape, "m");
    cot_value v = slot(trainer, COT_F32, shape, "v");
    cot_value new_m = approach(m, g, beta_1);
    cot_value new_v = approach(v, cot_op_binary(COT_OP_MUL, g, g), beta_2);
    cot_value root = cot_op_unary(COT_OP_SQRT, new_v);
    cot_value below = cot_op_binary(COT_OP_ADD, root, number(root, epsilon));
    cot_value change = cot_op_binary(COT_OP_DIV, cot_op_binary(COT_OP_MUL, new_m, alpha), below);
    cot_status status = cot_graph_update(m, new_m);
    if (status == COT_OK) {
        status = cot_graph_update(v, new_v);
    }
    return status == COT_OK ? cot_graph_update(w, cot_op_binary(COT_OP_SUB, w, change)) : status;
}

/* Keras's: alpha = rate sqrt(1 - beta_2^t) / (1 - beta_1^t), w -= m alpha / (sqrt(v) + epsilon). */
static cot_status append_adam(bench_trainer *trainer, cot_value loss) {
    cot_value gradient[BENCH_MOST_PARAMETERS];
    cot_status status = cot_grad(loss, trainer->parameter, trainer->n_parameters, gradient);
    cot_value before = slot(trainer, COT_I64, COT_SCALAR, "iterations");
    cot_value after = cot_op_binary(COT_OP_ADD, before, number(before, 1.0));
    cot_value t = cot_op_cast(after, COT_F32);
    cot_value root = cot_op_unary(COT_OP_SQRT, correction(t, beta_2));
    cot_value alpha = cot_op_binary(COT_OP_DIV, scaled(root, rate), correction(t, beta_1));
    if (status == COT_OK) {
        status = cot_graph_update(before, after);
    }
    for (int32_t i = 0; i < trainer->n_parameters && status == COT_OK; i++) {
        status = update(trainer, trainer->parameter[i], gradient[i], alpha);
    }
    return status == COT_OK ? cot_graph_output(loss, "loss") : status;
}

/* ---- the loop ---- */

static cot_status bind(bench_trainer *trainer) {
    const bench_data *data = &trainer->data;
    int64_t row = trainer->i_batch * data->batch;
    trainer->x.data = (const char *)data->x + (size_t)(row * data->x_elements) * 4;
    trainer->y.data = data->y + row * data->y_elements;
    cot_status status = cot_session_bind(trainer->session, "x", &trainer->x);
    return status == COT_OK ? cot_session_bind(trainer->session, "y", &trainer->y) : status;
}

static cot_status run(bench_subject *subject, int64_t rounds) {
    bench_trainer *trainer = (bench_trainer *)subject;
    cot_status status = COT_OK;
    int64_t n = rounds * subject->units;
    double sum = 0.0;
    for (int64_t i = 0; i < n && status == COT_OK; i++) {
        status = bind(trainer);
        if (status == COT_OK) {
            status = cot_session_run(trainer->session, trainer->data.batch);
        }
        sum += (double)trainer->loss;
        trainer->i_batch = (trainer->i_batch + 1) % subject->units;
    }
    subject->loss = sum / (double)n;
    if (status != COT_OK) {
        (void)fprintf(stderr, "bench %s: %s\n", subject->name,
                      cot_session_message(trainer->session));
    }
    return status;
}

static cot_status write(bench_subject *subject, const char *directory) {
    bench_trainer *trainer = (bench_trainer *)subject;
    return bench_export(directory, trainer->weight, trainer->n_parameters, &trainer->data);
}

static cot_status compile(bench_trainer *trainer, cot_value loss) {
    cot_status status = append_adam(trainer, loss);
    cot_program_options options = {.struct_size = sizeof options, .max_rows = trainer->data.batch};
    double start = bench_seconds();
    trainer->program = status == COT_OK ? cot_program_create(trainer->graph, &options) : NULL;
    trainer->session = trainer->program == NULL ? NULL : cot_session_create(trainer->program);
    trainer->base.compile_seconds = bench_seconds() - start;
    if (trainer->session == NULL) {
        return COT_E_NOMEM;
    }
    trainer->base.info = cot_program_get_info(trainer->program);
    return cot_session_bind_output(trainer->session, "loss", &trainer->loss, sizeof trainer->loss);
}

bool bench_trainer_take_data(bench_trainer *trainer, bench_data data) {
    trainer->x_memory = calloc((size_t)(data.rows * data.x_elements), 4);
    trainer->y_memory = calloc((size_t)(data.rows * data.y_elements), sizeof(int32_t));
    data.x = trainer->x_memory;
    data.y = trainer->y_memory;
    trainer->data = data;
    return data.x != NULL && data.y != NULL;
}

bench_subject *bench_trainer_compile(bench_trainer *trainer, cot_value loss, cot_dtype x_dtype) {
    const bench_data *data = &trainer->data;
    trainer->base.units = data->rows / data->batch;
    trainer->base.run = run;
    trainer->base.write = write;
    trainer->x =
        (cot_array){.dtype = x_dtype, .n_rows = data->batch, .row_elements = data->x_elements};
    trainer->y =
        (cot_array){.dtype = COT_I32, .n_rows = data->batch, .row_elements = data->y_elements};
    if (compile(trainer, loss) != COT_OK) {
        bench_trainer_destroy(&trainer->base);
        return NULL;
    }
    return &trainer->base;
}
