/*
 * Misuse: each wrong call has its own error text, which names layer, operation and shapes; the
 * context stays usable, which is proved after every one of them by training a model.
 */
#include "frontend_support.h"

#include "graph/graph.h"

/* A context with things to misuse. */
typedef struct world {
    cot_context *context, *other;
    cot_tensor x, y, scalar, wide, elsewhere, poison;
    cot_model *model;      /* 4 -> 3 relu -> 2 softmax, compiled for sparse cross-entropy */
    cot_model *bare;       /* 4 -> 2, not compiled */
    cot_model *judge;      /* as bare, compiled without an optimizer */
    cot_model *sequential; /* 4 -> 3, not compiled */
    cot_dataset *data;     /* 6 rows */
    float rows[24];
    int32_t labels[6];
    cot_array ax, ay;
} world;

static void begin(world *w) {
    memset(w, 0, sizeof *w);
    w->context = new_context(1);
    w->other = new_context(2);
    w->x = cot_input(w->context, COT_F32, COT_SHAPE(4), "x");
    w->wide = cot_input(w->context, COT_F64, COT_SHAPE(4), "wide");
    w->scalar = cot_input(w->context, COT_F32, COT_SCALAR, "scalar");
    w->elsewhere = cot_input(w->other, COT_F32, COT_SHAPE(4), "elsewhere");
    w->poison = (cot_tensor){w->context, 0};
    cot_tensor h = cot_dense(w->x, 3, .activation = COT_RELU, .name = "hidden");
    w->y = cot_dense(h, 2, .activation = COT_SOFTMAX, .name = "class");
    w->model = cot_model_create(w->context, COT_TENSORS(w->x), COT_TENSORS(w->y), "net");
    cot_tensor plain = cot_dense(w->x, 2, .name = "plain");
    w->bare = cot_model_create(w->context, COT_TENSORS(w->x), COT_TENSORS(plain), "bare");
    w->judge = cot_model_create(w->context, COT_TENSORS(w->x), COT_TENSORS(w->y), "judge");
    w->sequential = cot_sequential_create(w->context, COT_F32, COT_SHAPE(4), "stack");
    cot_sequential_add(w->sequential, cot_dense_layer(w->context, 3, .name = "first"));
    fill_g(w->rows, 24, 0, 2.0);
    for (int i = 0; i < 6; i++) {
        w->labels[i] = i % 2;
    }
    w->ax = array_of(w->rows, 6, 4);
    w->ay = labels_of(w->labels, 6);
    w->data = cot_dataset_create(w->context, (cot_array_list){&w->ax, 1},
                                 (cot_array_list){&w->ay, 1}, COT_BORROW);
    CHECK_OK(w->context,
             cot_model_compile(w->model, .optimizer = cot_sgd(),
                               .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY, .max_batch = 4));
    CHECK_OK(w->context, cot_model_compile(w->judge, .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY));
}

static void end(world *w) {
    cot_dataset_destroy(w->data);
    cot_model_destroy(w->model);
    cot_model_destroy(w->bare);
    cot_model_destroy(w->judge);
    cot_model_destroy(w->sequential);
    cot_context_destroy(w->context);
    cot_context_destroy(w->other);
}

/* A data set of one input and one target like the world's but for these changes; fits the model. */
static void fit_changed(world *w, cot_array x, cot_array y) {
    cot_dataset *data =
        cot_dataset_create(w->context, (cot_array_list){&x, 1}, (cot_array_list){&y, 1}, COT_COPY);
    assert_non_null(data);
    assert_int_not_equal(cot_model_fit(w->model, data, .batch_size = 4), COT_OK);
    cot_dataset_destroy(data);
}

static cot_dataset *make_data(world *w, cot_array x, cot_array y) {
    return cot_dataset_create(w->context, (cot_array_list){&x, 1}, (cot_array_list){&y, 1},
                              COT_BORROW);
}

typedef void (*misuse_fn)(world *w);

/* Shapes of statements, to keep the table to a line or two a row. */
#define MISUSE(function, statement)                                                                \
    static void function(world *w) {                                                               \
        statement;                                                                                 \
    }
#define POISONED(function, expression) MISUSE(function, assert_int_equal((expression).id, 0))
#define NULLED(function, expression) MISUSE(function, assert_null(expression))
#define FAILED(function, expression) MISUSE(function, assert_int_not_equal((expression), COT_OK))

static float buffer[64];

/* ---- layers ---- */

POISONED(input_dtype, cot_input(w->context, COT_I32, COT_SHAPE(4), "ids"))
POISONED(input_batched, cot_input(w->context, COT_F32, COT_BATCH(4), "rows"))
POISONED(input_rank, cot_input(w->context, COT_F32, ((cot_shape){.rank = 8}), "deep"))
POISONED(input_zero, cot_input(w->context, COT_F32, COT_SHAPE(4, 0), "empty"))
POISONED(input_overflow, cot_input(w->context, COT_F32, COT_SHAPE(1 << 30, 1 << 30), "huge"))
POISONED(input_name, cot_input(w->context, COT_F32, COT_SHAPE(4), "a/b"))
POISONED(layer_name_empty, cot_dense(w->x, 3, .name = ""))
POISONED(layer_name_digit, cot_dense(w->x, 3, .name = "3d"))
POISONED(dense_no_units, cot_dense(w->x, 0, .name = "none"))
POISONED(dense_negative_units, cot_dense(w->x, -5))
POISONED(dense_huge, cot_dense(w->x, INT64_C(1) << 47, .name = "vast"))
POISONED(dense_rank, cot_dense(w->scalar, 3, .name = "flat"))
POISONED(dense_activation, cot_dense(w->x, 3, .activation = (cot_activation_kind)42))
POISONED(dense_initializer, cot_dense(w->x, 3, .kernel_initializer = (cot_initializer)-1))
POISONED(dense_no_options, cot_dense_with(w->x, NULL))
POISONED(dense_struct_size, cot_dense_with(w->x, &(cot_dense_options){.units = 3}))
POISONED(dense_poison, cot_dense(w->poison, 3, .name = "after"))
POISONED(activation_kind, cot_activation(w->x, (cot_activation_kind)-7, .name = "odd"))
POISONED(softmax_rank, cot_activation(w->scalar, COT_SOFTMAX, .name = "soft"))
POISONED(add_contexts, cot_add(COT_TENSORS(w->x, w->elsewhere), .name = "sum"))
POISONED(add_shapes, cot_add(COT_TENSORS(w->x, w->y), .name = "sum"))
POISONED(add_dtypes, cot_add(COT_TENSORS(w->x, w->wide), .name = "sum"))
POISONED(concatenate_shapes, cot_concatenate(COT_TENSORS(w->x, w->scalar), .name = "join"))
POISONED(concatenate_axis, cot_concatenate(COT_TENSORS(w->x, w->x), .axis = 2, .name = "join"))
POISONED(concatenate_batch, cot_concatenate(COT_TENSORS(w->x, w->x), .axis = -2, .name = "join"))
POISONED(call_null, cot_call(NULL, w->x))
POISONED(call_input, cot_call(cot_tensor_layer(w->x), w->x))
POISONED(call_many,
         cot_call_many(cot_dense_layer(w->context, 2, .name = "single"), COT_TENSORS(w->x, w->x)))
POISONED(call_none,
         cot_call_many(cot_add_layer(w->context, "nothing"), ((cot_tensor_list){NULL, 0})))
POISONED(shared_shape, cot_call(cot_tensor_layer(w->y), w->x))

/* ---- models ---- */

NULLED(model_no_inputs,
       cot_model_create(w->context, ((cot_tensor_list){NULL, 0}), COT_TENSORS(w->y), "m"))
NULLED(model_no_outputs,
       cot_model_create(w->context, COT_TENSORS(w->x), ((cot_tensor_list){NULL, 0}), "m"))
NULLED(model_poison, cot_model_create(w->context, COT_TENSORS(w->x), COT_TENSORS(w->poison), "m"))
NULLED(model_foreign,
       cot_model_create(w->context, COT_TENSORS(w->x), COT_TENSORS(w->elsewhere), "m"))
NULLED(model_unreached, cot_model_create(w->context, COT_TENSORS(w->wide), COT_TENSORS(w->y), "m"))
NULLED(model_inner_input, cot_model_create(w->context, COT_TENSORS(w->y), COT_TENSORS(w->y), "m"))
NULLED(model_twice, cot_model_create(w->context, COT_TENSORS(w->x, w->x), COT_TENSORS(w->y), "m"))
NULLED(model_name, cot_model_create(w->context, COT_TENSORS(w->x), COT_TENSORS(w->y), "my net"))
NULLED(model_same_names, cot_model_create(w->context, COT_TENSORS(w->x),
                                          COT_TENSORS(cot_dense(cot_dense(w->x, 3, .name = "twin"),
                                                                2, .name = "twin")),
                                          "m"))
NULLED(sequential_shape, cot_sequential_create(w->context, COT_F32, COT_SHAPE(0), NULL))
FAILED(add_null, cot_sequential_add(w->sequential, NULL))
FAILED(add_to_functional, cot_sequential_add(w->bare, cot_flatten_layer(w->context, NULL)))
FAILED(add_foreign, cot_sequential_add(w->sequential, cot_flatten_layer(w->other, NULL)))
FAILED(add_again, cot_sequential_add(w->sequential, cot_model_layer(w->sequential, 0)))

/* ---- compile ---- */

FAILED(compile_no_options, cot_model_compile_with(w->bare, NULL))
FAILED(compile_no_loss, cot_model_compile(w->bare, .optimizer = cot_sgd()))
FAILED(compile_loss, cot_model_compile(w->bare, .loss = (cot_loss)99))
FAILED(compile_metric,
       cot_model_compile(w->bare, .loss = COT_MEAN_SQUARED_ERROR, .metrics = {(cot_metric)1200}))
FAILED(compile_mixed_targets, cot_model_compile(w->bare, .loss = COT_MEAN_SQUARED_ERROR,
                                                .metrics = {COT_SPARSE_CATEGORICAL_ACCURACY}))
FAILED(compile_output, cot_model_compile(w->bare, .outputs = {cot_output("clas")}))
FAILED(compile_output_twice,
       cot_model_compile(w->bare, .outputs = {cot_output("plain", .loss = COT_MEAN_SQUARED_ERROR),
                                              cot_output("plain")}))
FAILED(compile_batch, cot_model_compile(w->bare, .loss = COT_MEAN_SQUARED_ERROR, .max_batch = -1))
FAILED(compile_rate, cot_model_compile(w->bare, .optimizer = cot_sgd(.learning_rate = -0.1),
                                       .loss = COT_MEAN_SQUARED_ERROR))
FAILED(compile_nan, cot_model_compile(w->bare, .optimizer = cot_adam(.epsilon = NAN),
                                      .loss = COT_MEAN_SQUARED_ERROR))
FAILED(compile_momentum, cot_model_compile(w->bare, .optimizer = cot_sgd(.momentum = 1.5),
                                           .loss = COT_MEAN_SQUARED_ERROR))
FAILED(compile_beta, cot_model_compile(w->bare, .optimizer = cot_adam(.beta_2 = 2.0),
                                       .loss = COT_MEAN_SQUARED_ERROR))
FAILED(compile_rho, cot_model_compile(w->bare, .optimizer = cot_rmsprop(.rho = -1.0),
                                      .loss = COT_MEAN_SQUARED_ERROR))
FAILED(compile_power, cot_model_compile(w->bare, .optimizer = cot_ftrl(.learning_rate_power = 0.5),
                                        .loss = COT_MEAN_SQUARED_ERROR))
FAILED(compile_clips,
       cot_model_compile(w->bare, .optimizer = cot_adamw(.clipnorm = 1.0, .clipvalue = 1.0),
                         .loss = COT_MEAN_SQUARED_ERROR))
FAILED(compile_smoothing,
       cot_model_compile(w->bare, .optimizer = cot_sgd(), .loss = COT_BINARY_CROSSENTROPY,
                         .loss_options = cot_loss_numbers(.label_smoothing = 1.5)))
FAILED(compile_q, cot_model_compile(w->bare, .optimizer = cot_sgd(),
                                    .loss = COT_CATEGORICAL_GENERALIZED_CROSS_ENTROPY,
                                    .loss_options = cot_loss_numbers(.q = 1.0)))
FAILED(compile_collect,
       cot_model_compile(w->bare, .optimizer = cot_lion(.gradient_accumulation_steps = -1),
                         .loss = COT_MEAN_SQUARED_ERROR))
FAILED(compile_optimizer, cot_model_compile(w->bare,
                                            .optimizer = &(cot_optimizer){sizeof(cot_optimizer),
                                                                          (cot_optimizer_kind)77},
                                            .loss = COT_MEAN_SQUARED_ERROR))
FAILED(compile_weight, cot_model_compile(w->bare, .loss = COT_MEAN_SQUARED_ERROR,
                                         .outputs = {cot_output("plain", .loss_weight = INFINITY)}))
FAILED(rate_without_optimizer, cot_model_set_learning_rate(w->judge, 0.1))
FAILED(rate_negative, cot_model_set_learning_rate(w->model, -1.0))

/* ---- data ---- */

NULLED(data_no_inputs, cot_dataset_create(w->context, COT_NO_ARRAYS, COT_NO_ARRAYS, COT_BORROW))
NULLED(data_null, make_data(w, array_of(NULL, 6, 4), w->ay))
NULLED(data_rows_differ, make_data(w, w->ax, labels_of(w->labels, 5)))
NULLED(data_negative, make_data(w, array_of(w->rows, -1, 4), w->ay))
NULLED(data_overflow, make_data(w, array_of(w->rows, INT64_C(1) << 40, 1 << 20), w->ay))
NULLED(data_dtype, make_data(w, w->ax, ((cot_array){w->labels, COT_BOOL, 6, 1, 0, 0, 0})))
NULLED(data_stride, make_data(w, ((cot_array){w->rows, COT_F32, 6, 4, 15, 0, 0}), w->ay))
NULLED(data_scale, make_data(w, ((cot_array){w->rows, COT_F32, 6, 4, 0, INFINITY, 0}), w->ay))
NULLED(slice_range, cot_dataset_slice(w->data, 4, 3))
NULLED(slice_negative, cot_dataset_slice(w->data, -1, 3))
NULLED(hot_target, cot_dataset_to_categorical(w->data, 1, 2))
NULLED(hot_label, cot_dataset_to_categorical(w->data, 0, 1))
FAILED(hot_bytes, cot_to_categorical(w->context, &w->ay, 2, buffer, 47, NULL))
FAILED(hot_dtype, cot_to_categorical(w->context, &w->ax, 2, NULL, 0, NULL))
FAILED(hot_null, cot_to_categorical(w->context, NULL, 2, NULL, 0, NULL))
FAILED(hot_many, cot_to_categorical(w->context, &((cot_array){w->labels, COT_I32, 3, 2, 0, 0, 0}),
                                    2, NULL, 0, NULL))
static void split_fraction(world *w) {
    cot_dataset *a = NULL, *b = NULL;
    assert_int_equal(cot_dataset_split(w->data, 1.0, &a, &b), COT_E_ARG);
    assert_true(a == NULL && b == NULL);
}

static void split_empty(world *w) {
    cot_dataset *a = NULL, *b = NULL;
    assert_int_equal(cot_dataset_split(w->data, 0.9, &a, &b), COT_E_ARG);
    assert_true(a == NULL && b == NULL);
}

/* ---- fit, evaluate, predict ---- */

FAILED(fit_not_compiled, cot_model_fit(w->bare, w->data))
FAILED(fit_no_optimizer, cot_model_fit(w->judge, w->data))
FAILED(fit_null_data, cot_model_fit(w->model, NULL))
FAILED(fit_no_options, cot_model_fit_with(w->model, NULL))
FAILED(fit_batch, cot_model_fit(w->model, w->data, .batch_size = -4))
FAILED(fit_epochs, cot_model_fit(w->model, w->data, .epochs = -1))
FAILED(fit_split, cot_model_fit(w->model, w->data, .validation_split = 1.5))
FAILED(fit_split_empty, cot_model_fit(w->model, w->data, .validation_split = 0.95))
FAILED(fit_verbose, cot_model_fit(w->model, w->data, .verbose = (cot_verbose)8))
FAILED(fit_callback, cot_model_fit(w->model, w->data, .callbacks = {&(cot_callback){0}}))
MISUSE(fit_row_size, fit_changed(w, array_of(w->rows, 6, 3), w->ay))
MISUSE(fit_input_dtype, fit_changed(w, ((cot_array){w->rows, COT_I32, 6, 4, 0, 0, 0}), w->ay))
MISUSE(fit_target_dtype, fit_changed(w, w->ax, array_of(w->rows, 6, 1)))
MISUSE(fit_target_size, fit_changed(w, w->ax, ((cot_array){w->labels, COT_U8, 6, 2, 0, 0, 0})))
static void fit_label(world *w) {
    w->labels[5] = 2;
    fit_changed(w, w->ax, w->ay);
    w->labels[5] = 1;
}

static void fit_negative_label(world *w) {
    w->labels[3] = -1;
    fit_changed(w, w->ax, w->ay);
    w->labels[3] = 1;
}

static void fit_nan(world *w) {
    float kept = w->rows[10];
    w->rows[10] = NAN;
    fit_changed(w, w->ax, w->ay);
    w->rows[10] = kept;
}

static void fit_infinity(world *w) {
    float kept = w->rows[23];
    w->rows[23] = -INFINITY;
    fit_changed(w, w->ax, w->ay);
    w->rows[23] = kept;
}

static void fit_no_rows(world *w) {
    cot_dataset *empty = cot_dataset_slice(w->data, 6, 0);
    assert_int_equal(cot_model_fit(w->model, empty), COT_E_ARG);
    cot_dataset_destroy(empty);
}

static void fit_no_targets(world *w) {
    cot_dataset *data =
        cot_dataset_create(w->context, (cot_array_list){&w->ax, 1}, COT_NO_ARRAYS, COT_BORROW);
    assert_int_equal(cot_model_fit(w->model, data), COT_E_ARG);
    cot_dataset_destroy(data);
}

static void fit_two_inputs(world *w) {
    const cot_array two[2] = {w->ax, w->ax};
    cot_dataset *data = cot_dataset_create(w->context, (cot_array_list){two, 2},
                                           (cot_array_list){&w->ay, 1}, COT_BORROW);
    assert_int_equal(cot_model_fit(w->model, data), COT_E_ARG);
    cot_dataset_destroy(data);
}

static void fit_foreign_data(world *w) {
    cot_dataset *data = cot_dataset_create(w->other, (cot_array_list){&w->ax, 1},
                                           (cot_array_list){&w->ay, 1}, COT_BORROW);
    assert_int_equal(cot_model_fit(w->model, data), COT_E_ARG);
    cot_dataset_destroy(data);
}

static void validation_label(world *w) {
    const int32_t bad[1] = {7};
    cot_dataset *data = make_data(w, array_of(w->rows, 1, 4), labels_of(bad, 1));
    assert_int_equal(cot_model_fit(w->model, w->data, .validation_data = data), COT_E_DATA);
    cot_dataset_destroy(data);
}

FAILED(evaluate_not_compiled, cot_model_evaluate(w->bare, w->data, NULL))
static void evaluate_label(world *w) {
    w->labels[0] = 4;
    assert_int_equal(cot_model_evaluate(w->model, w->data, NULL), COT_E_DATA);
    w->labels[0] = 0;
}

FAILED(evaluate_batch, cot_model_evaluate(w->model, w->data, NULL, .batch_size = -1))
FAILED(predict_buffers,
       cot_model_predict(w->model, w->data, COT_BUFFERS({buffer, 48}, {buffer, 48})))
FAILED(predict_bytes, cot_model_predict(w->model, w->data, COT_BUFFERS({buffer, 44})))
FAILED(predict_null, cot_model_predict(w->model, w->data, COT_BUFFERS({NULL, 48})))
FAILED(train_on_batch_rows, cot_model_train_on_batch(w->model, w->data, NULL))

typedef struct misuse {
    const char *name;
    misuse_fn run;
    cot_status status;
    const char *text; /* part of the message */
} misuse;

#define ROW(id, status, text) {#id, id, status, text}

static const misuse table[] = {
    ROW(input_dtype, COT_E_DTYPE, "input \"ids\": dtype is i32, expected f32 or f64"),
    ROW(input_batched, COT_E_SHAPE, "input \"rows\": the shape is batched"),
    ROW(input_rank, COT_E_SHAPE, "input \"deep\": the shape of one row has rank 8"),
    ROW(input_zero, COT_E_SHAPE, "input \"empty\": extent 1 is 0"),
    ROW(input_overflow, COT_E_SHAPE, "input \"huge\": a row has more than 2^47 elements"),
    ROW(input_name, COT_E_ARG, "\"a/b\" cannot be the name of a layer"),
    ROW(layer_name_empty, COT_E_ARG, "dense: \"\" cannot be the name"),
    ROW(layer_name_digit, COT_E_ARG, "dense: \"3d\" cannot be the name"),
    ROW(dense_no_units, COT_E_ARG, "dense \"none\": units is 0"),
    ROW(dense_negative_units, COT_E_ARG, "units is -5"),
    ROW(dense_huge, COT_E_SHAPE, "vast"),
    ROW(dense_rank, COT_E_SHAPE, "dense \"flat\": input is f32[N]"),
    ROW(dense_activation, COT_E_ARG, "42 is no activation"),
    ROW(dense_initializer, COT_E_ARG, "kernel_initializer -1"),
    ROW(dense_no_options, COT_E_ARG, "cot_dense: options are NULL"),
    ROW(dense_struct_size, COT_E_ARG, "cot_dense: options are without a struct_size"),
    ROW(dense_poison, COT_E_ARG, "dense \"after\": input 0 is no tensor"),
    ROW(activation_kind, COT_E_ARG, "activation \"odd\": -7 is no activation"),
    ROW(softmax_rank, COT_E_SHAPE, "activation \"soft\": softmax of f32[N]"),
    ROW(add_contexts, COT_E_ARG, "add \"sum\": input 1 belongs to another context"),
    ROW(add_shapes, COT_E_SHAPE, "add \"sum\": input 1 is f32[N,2], which does not fit f32[N,4]"),
    ROW(add_dtypes, COT_E_DTYPE, "add \"sum\": input 1 is f64, input 0 is f32"),
    ROW(concatenate_shapes, COT_E_SHAPE, "concatenate \"join\": input 1 is f32[N]"),
    ROW(concatenate_axis, COT_E_SHAPE, "concatenate \"join\": axis 2 of f32[N,4]"),
    ROW(concatenate_batch, COT_E_SHAPE, "concatenate \"join\": axis -2 of f32[N,4]"),
    ROW(call_null, COT_E_ARG, "cot_call: layer is NULL"),
    ROW(call_input, COT_E_ARG, "input \"x\": an input cannot be called"),
    ROW(call_many, COT_E_ARG, "dense \"single\": called on 2 tensors, expected one"),
    ROW(call_none, COT_E_ARG, "add \"nothing\": called on 0 tensors, expected one or more"),
    ROW(shared_shape, COT_E_SHAPE,
        "dense \"class\": input is f32[N,4], but the kernel made by an earlier call is f32[3,2]"),
    ROW(model_no_inputs, COT_E_ARG, "model \"m\" has no inputs"),
    ROW(model_no_outputs, COT_E_ARG, "model \"m\" has no outputs"),
    ROW(model_poison, COT_E_ARG, "model \"m\": output 0 is no tensor"),
    ROW(model_foreign, COT_E_ARG, "model \"m\": output 0 belongs to another context"),
    ROW(model_unreached, COT_E_ARG, "model \"m\": its outputs depend on input \"x\""),
    ROW(model_inner_input, COT_E_ARG, "model \"m\": input 0 comes from layer \"class\""),
    ROW(model_twice, COT_E_ARG, "model \"m\" lists input \"x\" twice"),
    ROW(model_name, COT_E_ARG, "\"my net\" cannot be the name of a model"),
    ROW(model_same_names, COT_E_ARG, "model \"m\" has two layers of the name \"twin\""),
    ROW(sequential_shape, COT_E_SHAPE, "extent 0 is 0"),
    ROW(add_null, COT_E_ARG, "model \"stack\": the layer to add is NULL"),
    ROW(add_to_functional, COT_E_ARG, "cannot be added to a model that is not sequential"),
    ROW(add_foreign, COT_E_ARG, "model \"stack\": layer \"flatten\" belongs to another context"),
    ROW(add_again, COT_E_ARG, "model \"stack\" has two layers of the name \"first\""),
    ROW(compile_no_options, COT_E_ARG, "cot_model_compile: options are NULL"),
    ROW(compile_no_loss, COT_E_ARG, "an optimizer is given, but no output has a loss"),
    ROW(compile_loss, COT_E_ARG, "output \"plain\": 99 is no loss"),
    ROW(compile_metric, COT_E_ARG, "output \"plain\": 1200 is no metric"),
    ROW(compile_mixed_targets, COT_E_ARG,
        "output \"plain\": metric sparse_categorical_accuracy does not go with loss "
        "mean_squared_error"),
    ROW(compile_output, COT_E_ARG, "model \"bare\" has no output \"clas\""),
    ROW(compile_output_twice, COT_E_ARG, "output \"plain\" has options twice"),
    ROW(compile_batch, COT_E_ARG, "max_batch is -1"),
    ROW(compile_rate, COT_E_ARG, "sgd: learning_rate is -0.1"),
    ROW(compile_nan, COT_E_ARG, "adam: epsilon is nan"),
    ROW(compile_momentum, COT_E_ARG, "sgd: momentum is 1.5"),
    ROW(compile_beta, COT_E_ARG, "adam: beta_2 is 2"),
    ROW(compile_rho, COT_E_ARG, "rmsprop: rho is -1"),
    ROW(compile_power, COT_E_ARG, "ftrl: learning_rate_power is 0.5"),
    ROW(compile_clips, COT_E_ARG, "adamw: 2 of clipnorm, clipvalue and global_clipnorm are set"),
    ROW(compile_smoothing, COT_E_ARG, "label_smoothing of the loss is 1.5, expected 0 to 1"),
    ROW(compile_q, COT_E_ARG, "q of the loss is 1, expected between 0 and 1"),
    ROW(compile_collect, COT_E_ARG, "lion: gradient_accumulation_steps is -1"),
    ROW(compile_optimizer, COT_E_ARG, "77 is no optimizer"),
    ROW(compile_weight, COT_E_ARG, "output \"plain\": loss weight inf"),
    ROW(rate_without_optimizer, COT_E_ARG, "model \"judge\" has no optimizer"),
    ROW(rate_negative, COT_E_ARG, "cot_model_set_learning_rate: -1"),
    ROW(data_no_inputs, COT_E_ARG, "data set of 0 inputs"),
    ROW(data_null, COT_E_ARG, "data set: the data of input 0 are NULL"),
    ROW(data_rows_differ, COT_E_SHAPE, "data set: target 0 has 5 rows, input 0 has 6"),
    ROW(data_negative, COT_E_SHAPE, "data set: input 0 has -1 rows"),
    ROW(data_overflow, COT_E_SHAPE, "2^47 bytes at most"),
    ROW(data_dtype, COT_E_DTYPE, "data set: target 0 has dtype bool"),
    ROW(data_stride, COT_E_SHAPE, "rows of input 0 are 15 bytes apart and 16 bytes long"),
    ROW(data_scale, COT_E_ARG, "data set: scale inf"),
    ROW(slice_range, COT_E_ARG, "slice of 3 rows from row 4 of a data set of 6 rows"),
    ROW(slice_negative, COT_E_ARG, "slice of 3 rows from row -1"),
    ROW(hot_target, COT_E_ARG, "data set: there is no target 1 among 1"),
    ROW(hot_label, COT_E_DATA, "the label of row 1 is 1, expected 0 to 0"),
    ROW(hot_bytes, COT_E_ARG, "out has 47 bytes, 6 rows of 2 classes are 48"),
    ROW(hot_dtype, COT_E_DTYPE, "labels are f32"),
    ROW(hot_null, COT_E_ARG, "labels are NULL"),
    ROW(hot_many, COT_E_SHAPE, "3 rows of 2 labels, expected one a row"),
    ROW(split_fraction, COT_E_ARG, "a split at 1"),
    ROW(split_empty, COT_E_ARG, "a split of 6 rows at 0.9 leaves 0 and 6 rows"),
    ROW(fit_not_compiled, COT_E_ARG, "cot_model_fit: model \"bare\" is not compiled"),
    ROW(fit_no_optimizer, COT_E_ARG, "model \"judge\" was compiled without an optimizer"),
    ROW(fit_null_data, COT_E_ARG, "cot_model_fit: model \"net\": the data set is NULL"),
    ROW(fit_no_options, COT_E_ARG, "cot_model_fit: options are NULL"),
    ROW(fit_batch, COT_E_ARG, "cot_model_fit: batch_size is -4"),
    ROW(fit_epochs, COT_E_ARG, "epochs is -1"),
    ROW(fit_split, COT_E_ARG, "validation_split is 1.5"),
    ROW(fit_split_empty, COT_E_ARG, "a split of 6 rows at 0.95"),
    ROW(fit_verbose, COT_E_ARG, "8 is no cot_verbose"),
    ROW(fit_callback, COT_E_ARG, "cot_callback: options are without a struct_size"),
    ROW(fit_row_size, COT_E_SHAPE,
        "input \"x\" is f32[N,4], a row of the data has 3 elements, not 4"),
    ROW(fit_input_dtype, COT_E_DTYPE, "input \"x\" is f32[N,4], the data are i32"),
    ROW(fit_target_dtype, COT_E_DTYPE, "target of \"class\" is i32[N], the data are f32"),
    ROW(fit_target_size, COT_E_SHAPE,
        "target of \"class\" is i32[N], a row of the data has 2 elements, not 1"),
    ROW(fit_label, COT_E_DATA, "the target of \"class\" in row 5 is class 2, expected 0 to 1"),
    ROW(fit_negative_label, COT_E_DATA, "the target of \"class\" in row 3 is class -1"),
    ROW(fit_nan, COT_E_DATA, "input \"x\": row 2, element 2 is nan"),
    ROW(fit_infinity, COT_E_DATA, "input \"x\": row 5, element 3 is -inf"),
    ROW(fit_no_rows, COT_E_ARG, "model \"net\": the data set has no rows"),
    ROW(fit_no_targets, COT_E_ARG, "model \"net\" needs 1 targets, the data set has 0"),
    ROW(fit_two_inputs, COT_E_ARG, "model \"net\" has 1 inputs, the data set has 2"),
    ROW(fit_foreign_data, COT_E_ARG, "the data set belongs to another context"),
    ROW(validation_label, COT_E_DATA, "validation: the target of \"class\" in row 0 is class 7"),
    ROW(evaluate_not_compiled, COT_E_ARG, "cot_model_evaluate: model \"bare\" is not compiled"),
    ROW(evaluate_label, COT_E_DATA, "cot_model_evaluate: the target of \"class\" in row 0"),
    ROW(evaluate_batch, COT_E_ARG, "cot_model_evaluate: batch_size is -1"),
    ROW(predict_buffers, COT_E_ARG, "model \"net\" has 1 outputs, 2 buffers are given"),
    ROW(predict_bytes, COT_E_ARG,
        "output \"class\" is f32[N,2]: 6 rows are 48 bytes, the buffer is one of 44"),
    ROW(predict_null, COT_E_ARG, "the buffer is NULL"),
    ROW(train_on_batch_rows, COT_E_ARG, "the batch has 6 rows, max_batch is 4"),
};

/* The context still does its work. */
static void check_usable(world *w, const char *after) {
    cot_logs report;
    cot_status status = cot_model_fit(w->model, w->data, .batch_size = 4);
    if (status != COT_OK || cot_model_evaluate(w->model, w->data, &report) != COT_OK) {
        fail_msg("after %s the context is broken: %s", after, cot_error_message(w->context));
    }
}

static void each_misuse_has_its_own_text(void **state) {
    (void)state;
    static char messages[sizeof table / sizeof table[0]][512];
    world w;
    begin(&w);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        table[i].run(&w);
        cot_error error = cot_error_get(w.context);
        if (error.status != table[i].status || strstr(error.message, table[i].text) == NULL) {
            fail_msg("%s: %s: \"%s\", expected %s: \"%s\"", table[i].name,
                     cot_status_name(error.status), error.message, cot_status_name(table[i].status),
                     table[i].text);
        }
        size_t length = strlen(error.message);
        assert_true(length > 0 && error.message[length - 1] != '.');
        assert_null(strchr(error.message, '\n'));
        snprintf(messages[i], sizeof messages[i], "%s", error.message);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(messages[k], messages[i]) == 0) {
                fail_msg("%s and %s have one text: %s", table[k].name, table[i].name, messages[i]);
            }
        }
        cot_error_clear(w.context);
        check_usable(&w, table[i].name);
    }
    assert_true(sizeof table / sizeof table[0] >= 40);
    end(&w);
}

/* NULL for what should be an object is answered, never followed. */
static void null_is_answered(void **state) {
    (void)state;
    cot_tensor nothing = {NULL, 0};
    float value[4];
    assert_int_equal(cot_input(NULL, COT_F32, COT_SHAPE(4), NULL).id, 0);
    assert_int_equal(cot_dense(nothing, 3).id, 0);
    assert_int_equal(cot_flatten(nothing).id, 0);
    assert_int_equal(cot_flatten_with(NULL).id, 0);
    assert_int_equal(cot_add(COT_TENSORS(nothing)).id, 0);
    assert_int_equal(cot_add_with(NULL).id, 0);
    assert_int_equal(cot_concatenate_with(NULL).id, 0);
    assert_int_equal(cot_activation(nothing, COT_RELU).id, 0);
    assert_int_equal(cot_call(NULL, nothing).id, 0);
    assert_null(cot_dense_layer(NULL, 3));
    assert_null(cot_activation_layer(NULL, COT_RELU, NULL));
    assert_null(cot_flatten_layer(NULL, NULL));
    assert_null(cot_add_layer(NULL, NULL));
    assert_null(cot_concatenate_layer(NULL, 1, NULL));
    assert_null(cot_tensor_layer(nothing));
    assert_string_equal(cot_layer_name(NULL), "");
    assert_string_equal(cot_layer_class(NULL), "");
    assert_int_equal(cot_layer_count_params(NULL), 0);
    assert_false(cot_layer_is_trainable(NULL));
    assert_int_equal(cot_layer_set_trainable(NULL, true), COT_E_ARG);
    assert_null(cot_model_create(NULL, COT_TENSORS(nothing), COT_TENSORS(nothing), NULL));
    assert_null(cot_sequential_create(NULL, COT_F32, COT_SHAPE(3), NULL));
    assert_int_equal(cot_sequential_add(NULL, NULL), COT_E_ARG);
    cot_model_destroy(NULL);
    assert_null(cot_model_context(NULL));
    assert_string_equal(cot_model_name(NULL), "");
    assert_int_equal(cot_model_n_layers(NULL), 0);
    assert_null(cot_model_layer(NULL, 0));
    assert_null(cot_model_find_layer(NULL, "x"));
    assert_null(cot_model_weight(NULL, 0));
    assert_null(cot_model_find_weight(NULL, "x/kernel"));
    assert_int_equal(cot_model_count_params(NULL), 0);
    assert_int_equal(cot_model_input(NULL, 0).id, 0);
    assert_null(cot_model_output_name(NULL, 0));
    assert_int_equal(cot_model_summary(NULL, NULL), COT_E_ARG);
    assert_int_equal(cot_model_compile(NULL, .max_batch = 1), COT_E_ARG);
    assert_int_equal(cot_model_fit(NULL, NULL), COT_E_ARG);
    assert_int_equal(cot_model_evaluate(NULL, NULL, NULL), COT_E_ARG);
    assert_int_equal(cot_model_predict(NULL, NULL, COT_BUFFERS({value, 1})), COT_E_ARG);
    assert_int_equal(cot_model_train_on_batch(NULL, NULL, NULL), COT_E_ARG);
    assert_null(cot_model_train_program(NULL));
    assert_null(cot_model_optimizer_variable(NULL, 0));
    assert_true(isnan(cot_model_learning_rate(NULL)));
    assert_int_equal(cot_model_set_learning_rate(NULL, 1.0), COT_E_ARG);
    cot_model_stop_training(NULL);
    assert_null(cot_model_history(NULL));
    assert_int_equal(cot_history_n_epochs(NULL), 0);
    assert_int_equal(cot_history_epoch(NULL, 0), -1);
    assert_null(cot_history_name(NULL, 0));
    assert_null(cot_history_values(NULL, "loss"));
    assert_true(isnan(cot_logs_get(NULL, "loss")));
    assert_null(cot_dataset_create(NULL, COT_NO_ARRAYS, COT_NO_ARRAYS, COT_COPY));
    assert_int_equal(cot_dataset_n_rows(NULL), 0);
    assert_null(cot_dataset_slice(NULL, 0, 0));
    assert_null(cot_dataset_to_categorical(NULL, 0, 0));
    assert_int_equal(cot_dataset_split(NULL, 0.5, NULL, NULL), COT_E_ARG);
    assert_int_equal(cot_to_categorical(NULL, NULL, 0, NULL, 0, NULL), COT_E_ARG);
    assert_null(cot_dataset_read_idx(NULL, NULL, NULL, NULL));
    assert_null(cot_dataset_read_cifar10(NULL, NULL, 0, NULL));
}

/* The first error stays until it is cleared, through everything that follows from it. */
static void the_first_error_is_the_one_reported(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(4), "x");
    cot_tensor bad = cot_dense(x, -3, .name = "first");
    cot_tensor more = cot_dense(bad, 0, .name = "second");
    cot_tensor y = cot_add(COT_TENSORS(more, x), .name = "third");
    assert_int_equal(y.id, 0);
    assert_null(cot_model_create(context, COT_TENSORS(x), COT_TENSORS(y), "m"));
    cot_error error = cot_error_get(context);
    assert_int_equal(error.status, COT_E_ARG);
    assert_non_null(strstr(error.message, "dense \"first\": units is -3"));
    assert_string_equal(error.layer, "first");
    assert_string_equal(error.op, "dense");
    cot_context_destroy(context);
}

/* Options of a newer header: unknown fields that are zero are fine, others are refused. */
static void newer_options(void **state) {
    (void)state;
    struct {
        cot_dense_options known;
        int64_t added;
    } newer = {.known = {.struct_size = sizeof newer, .units = 3}};
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(4), "x");
    assert_int_not_equal(cot_dense_with(x, &newer.known).id, 0);
    newer.added = 1;
    assert_int_equal(cot_dense_with(x, &newer.known).id, 0);
    CHECK_ERROR(context, COT_E_UNSUPPORTED, "a field that this version");
    cot_context_destroy(context);
}

int main(int argc, char **argv) {
    frontend_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_misuse_has_its_own_text),
        cmocka_unit_test(null_is_answered),
        cmocka_unit_test(the_first_error_is_the_one_reported),
        cmocka_unit_test(newer_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
