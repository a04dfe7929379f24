/*
 * Event files, read by a decoder that was written from the format's description alone: framing and
 * checksums bit by bit, messages by their wire format.
 */
#include "checkpoint_support.h"

#include "frontend/files/event_file.h"
#include "frontend/files/protobuf.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* ---- the decoder ---- */

static uint32_t slow_crc32c(const unsigned char *p, size_t n) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) {
            crc = crc & 1 ? crc >> 1 ^ UINT32_C(0x82F63B78) : crc >> 1;
        }
    }
    return crc ^ UINT32_MAX;
}

static uint64_t little(const unsigned char *p, size_t n) {
    uint64_t value = 0;
    for (size_t i = n; i-- > 0;) {
        value = value << 8 | p[i];
    }
    return value;
}

/* unmask(mask(crc)) as the format's description has it. */
static uint32_t unmask(uint32_t masked) {
    uint32_t turned = masked - UINT32_C(0xa282ead8);
    return turned >> 17 | turned << 15;
}

typedef struct span {
    const unsigned char *at, *end;
} span;

typedef struct field {
    uint32_t number, layout;
    uint64_t value; /* of a varint, or bits of a fixed one */
    span bytes;
} field;

static uint64_t take_varint(span *s) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(s->at < s->end && shift < 64);
        unsigned char byte = *s->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
}

static bool next_field(span *s, field *f) {
    if (s->at == s->end) {
        return false;
    }
    uint64_t key = take_varint(s);
    size_t n = 0;
    *f = (field){.number = (uint32_t)(key >> 3), .layout = key & 7};
    switch (f->layout) {
    case 0:
        f->value = take_varint(s);
        return true;
    case 2:
        n = (size_t)take_varint(s);
        break;
    default:
        assert_true(f->layout == 1 || f->layout == 5);
        n = f->layout == 1 ? 8 : 4;
    }
    assert_true((size_t)(s->end - s->at) >= n);
    f->bytes = (span){s->at, s->at + n};
    f->value = n <= 8 ? little(s->at, n) : 0;
    s->at += n;
    return true;
}

static double as_double(uint64_t bits) {
    double value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double as_float(uint64_t bits) {
    uint32_t low = (uint32_t)bits;
    float value = 0;
    memcpy(&value, &low, sizeof value);
    return (double)value;
}

/* ---- what a file holds ---- */

enum { MOST_EVENTS = 400, MOST_BUCKETS = 40, MOST_NODES = 8 };

typedef struct histogram {
    double number[6]; /* [1] min .. [5] sum of squares */
    int n_limits, n_counts;
    double limit[MOST_BUCKETS], count[MOST_BUCKETS];
} histogram;

typedef struct event {
    double wall_time;
    int64_t step;
    char version[32], tag[96];
    bool is_scalar, is_histogram, is_graph;
    double value;
    histogram histogram;
    span graph;
} event;

static void copy_text(char *to, size_t room, span s) {
    size_t n = (size_t)(s.end - s.at);
    assert_true(n < room);
    memcpy(to, s.at, n);
    to[n] = '\0';
}

static int unpack(span s, double *to) {
    int n = 0;
    for (; s.at < s.end; s.at += 8) {
        assert_true(s.end - s.at >= 8 && n < MOST_BUCKETS);
        to[n++] = as_double(little(s.at, 8));
    }
    return n;
}

static void read_histogram(span s, histogram *h) {
    for (field f; next_field(&s, &f);) {
        if (f.number <= 5) {
            h->number[f.number] = as_double(f.value);
        } else if (f.number == 6) {
            h->n_limits = unpack(f.bytes, h->limit);
        } else {
            assert_int_equal(f.number, 7);
            h->n_counts = unpack(f.bytes, h->count);
        }
    }
}

static void read_value(span s, event *e) {
    for (field f; next_field(&s, &f);) {
        switch (f.number) {
        case 1:
            copy_text(e->tag, sizeof e->tag, f.bytes);
            break;
        case 2:
            e->is_scalar = true;
            e->value = as_float(f.value);
            break;
        case 5:
            e->is_histogram = true;
            read_histogram(f.bytes, &e->histogram);
            break;
        default:
            fail_msg("field %u of a value", f.number);
        }
    }
}

static void read_event(span s, event *e) {
    for (field f; next_field(&s, &f);) {
        switch (f.number) {
        case 1:
            e->wall_time = as_double(f.value);
            break;
        case 2:
            e->step = (int64_t)f.value;
            break;
        case 3:
            copy_text(e->version, sizeof e->version, f.bytes);
            break;
        case 4:
            e->is_graph = true;
            e->graph = f.bytes;
            break;
        case 5: {
            field value;
            assert_true(next_field(&f.bytes, &value) && value.number == 1);
            read_value(value.bytes, e);
            assert_true(f.bytes.at == f.bytes.end);
            break;
        }
        default:
            fail_msg("field %u of an event", f.number);
        }
    }
}

typedef struct log_file {
    content bytes;
    int n;
    event event[MOST_EVENTS];
} log_file;

static log_file *read_log(const char *path) {
    log_file *l = calloc(1, sizeof *l);
    assert_non_null(l);
    l->bytes = read_content(path);
    span s = {l->bytes.data, l->bytes.data + l->bytes.n};
    while (s.at < s.end) {
        assert_true(s.end - s.at >= 12);
        size_t n = (size_t)little(s.at, 8);
        assert_int_equal(unmask((uint32_t)little(s.at + 8, 4)), slow_crc32c(s.at, 8));
        s.at += 12;
        assert_true((size_t)(s.end - s.at) >= n + 4);
        assert_int_equal(unmask((uint32_t)little(s.at + n, 4)), slow_crc32c(s.at, n));
        assert_true(l->n < MOST_EVENTS);
        read_event((span){s.at, s.at + n}, &l->event[l->n++]);
        s.at += n + 4;
    }
    return l;
}

static void free_log(log_file *l) {
    free(l->bytes.data);
    free(l);
}

static const event *find_event(const log_file *l, const char *tag, int64_t step) {
    const event *found = NULL;
    for (int i = 0; i < l->n; i++) {
        if (strcmp(l->event[i].tag, tag) == 0 && l->event[i].step == step) {
            assert_null(found); /* once */
            found = &l->event[i];
        }
    }
    return found;
}

static int count_tags(const log_file *l, const char *begin) {
    int n = 0;
    for (int i = 0; i < l->n; i++) {
        n += strncmp(l->event[i].tag, begin, strlen(begin)) == 0;
    }
    return n;
}

static void check_scalar(const log_file *l, const char *tag, int64_t step, double value) {
    const event *e = find_event(l, tag, step);
    if (e == NULL || !e->is_scalar || e->value != (double)(float)value) {
        fail_msg("%s at %lld is %.9g, expected %.9g", tag, (long long)step,
                 e != NULL ? e->value : NAN, value);
    }
}

/* ---- tests ---- */

/* Published values: RFC 3720 B.4, and the check value of the catalogue of CRCs. */
static void checksums(void **state) {
    (void)state;
    unsigned char data[32] = {0};
    assert_int_equal(coti_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(coti_crc32c(data, 32), 0x8a9136aa);
    memset(data, 0xff, 32);
    assert_int_equal(coti_crc32c(data, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) {
        data[i] = (unsigned char)i;
    }
    assert_int_equal(coti_crc32c(data, 32), 0x46dd794e);
    assert_int_equal(coti_crc32c(data, 0), 0);
}

/* Examples of protobuf's published encoding. */
static void encoding(void **state) {
    (void)state;
    cot_context *context = new_context(1);
    coti_str message, inner;
    coti_str_init(&message, context);
    coti_str_init(&inner, context);
    coti_protobuf_varint(&message, 1, 150);
    coti_protobuf_text(&message, 2, "testing");
    coti_protobuf_varint(&inner, 1, 150);
    coti_protobuf_message(&message, 3, &inner);
    static const unsigned char expected[] = {0x08, 0x96, 0x01, 0x12, 0x07, 't',  'e',  's', 't',
                                             'i',  'n',  'g',  0x1a, 0x03, 0x08, 0x96, 0x01};
    assert_int_equal(message.count, sizeof expected);
    assert_memory_equal(message.data, expected, sizeof expected);
    coti_str_clear(&message);
    coti_protobuf_varint(&message, 1, UINT64_MAX); /* -1: ten bytes */
    assert_int_equal(message.count, 11);
    coti_str_free(&message);
    coti_str_free(&inner);
    cot_context_destroy(context);
}

static void numbers_of_a_fit(void **state) {
    (void)state;
    directory d = directory_make();
    file_path logs = path_in(&d, "a/b");
    trainee *t = trainee_make(cot_adam(.learning_rate = 0.25), 1);
    cot_tensorboard_callback c = {.base = cot_tensorboard_base(),
                                  .log_dir = logs.text,
                                  .histogram_freq = 2,
                                  .update_freq = 4,
                                  .write_steps_per_second = true};
    CHECK_OK(t->context, cot_model_fit(t->model, t->data, .epochs = 3, .batch_size = BATCH,
                                       .validation_split = 0.18, .callbacks = {&c.base}));
    log_file *train = read_log(c.train_path), *validation = read_log(c.validation_path);
    assert_non_null(strstr(c.train_path, "a/b/train/events.out.tfevents."));
    assert_non_null(strstr(c.validation_path, "a/b/validation/events.out.tfevents."));
    assert_string_equal(train->event[0].version, "brain.Event:2");
    assert_string_equal(validation->event[0].version, "brain.Event:2");
    assert_true(train->event[0].wall_time > 1.5e9);
    const cot_history *history = cot_model_history(t->model);
    for (int64_t i = 0; i < 3; i++) {
        int64_t steps = 5 * (i + 1); /* 18 rows of 4 */
        check_scalar(train, "epoch_loss", i, cot_history_values(history, "loss")[i]);
        check_scalar(train, "epoch_accuracy", i, cot_history_values(history, "accuracy")[i]);
        check_scalar(train, "epoch_learning_rate", i, 0.25);
        check_scalar(validation, "epoch_loss", i, cot_history_values(history, "val_loss")[i]);
        check_scalar(validation, "evaluation_accuracy_vs_iterations", steps,
                     cot_history_values(history, "val_accuracy")[i]);
        const event *speed = find_event(train, "epoch_steps_per_second", i);
        assert_true(speed != NULL && speed->value > 0.0);
    }
    /* Steps 4, 8 and 12; step 5 is the end of the first epoch. */
    assert_int_equal(count_tags(train, "batch_loss"), 3);
    assert_int_equal(count_tags(train, "batch_steps_per_second"), 3);
    assert_non_null(find_event(train, "batch_loss", 12));
    assert_int_equal(count_tags(validation, "batch_"), 0);
    assert_int_equal(count_tags(train, "evaluation_"), 0);
    assert_int_equal(count_tags(train, "hidden/kernel/histogram"), 2); /* epochs 0 and 2 */
    free_log(train);
    free_log(validation);
    char command[3 * PATH_ROOM];
    (void)snprintf(command, sizeof command, "rm -r %s", logs.text);
    assert_int_equal(system(command), 0);
    assert_int_equal(rmdir(path_in(&d, "a").text), 0);
    trainee_free(t);
    directory_remove(&d);
}

/* Counts of known numbers, and of awkward ones. */
static void histograms(void **state) {
    (void)state;
    directory d = directory_make();
    char path[PATH_ROOM];
    cot_context *context = new_context(1);
    coti_events events;
    const double ramp[] = {0, 1, 2, 3, 4, 5, 30, 29.5, 15, 14.9}, equal[] = {2, 2, 2};
    const double awkward[] = {NAN, INFINITY, -INFINITY, 1, -1};
    CHECK_OK(context, coti_event_file_create(context, d.path, path, sizeof path));
    coti_events_begin(&events, context);
    coti_events_histogram(&events, 1, "ramp", ramp, 10);
    coti_events_histogram(&events, 1, "equal", equal, 3);
    coti_events_histogram(&events, 1, "awkward", awkward, 5);
    coti_events_histogram(&events, 1, "nothing", awkward, 3);
    coti_events_histogram(&events, -1, "none", NULL, 0);
    coti_events_scalar(&events, INT64_C(1) << 40, "nan", NAN);
    CHECK_OK(context, coti_events_write(&events, path));
    coti_events_free(&events);
    log_file *l = read_log(path);
    const histogram *h = &find_event(l, "ramp", 1)->histogram;
    const double expected[] = {0, 0, 30, 10, 104.4, 2272.26};
    for (int i = 1; i <= 5; i++) {
        CHECK_NEAR(h->number[i], expected[i], 1e-9);
    }
    assert_int_equal(h->n_limits, 30);
    assert_int_equal(h->n_counts, 30);
    for (int i = 0; i < 30; i++) {
        CHECK_NEAR(h->limit[i], i + 1, 1e-9);
        assert_true(h->count[i] == (i == 29 ? 2.0 : i < 6 || i == 14 || i == 15 ? 1.0 : 0.0));
    }
    h = &find_event(l, "equal", 1)->histogram;
    assert_true(h->n_limits == 1 && h->limit[0] == 2.0 && h->count[0] == 3.0);
    h = &find_event(l, "awkward", 1)->histogram;
    assert_true(h->number[1] == -1.0 && h->number[2] == 1.0 && h->number[3] == 2.0);
    assert_true(find_event(l, "nothing", 1)->histogram.number[3] == 0.0);
    assert_true(find_event(l, "none", -1)->is_histogram);
    assert_true(isnan(find_event(l, "nan", INT64_C(1) << 40)->value));
    free_log(l);
    cot_context_destroy(context);
    directory_remove(&d);
}

/* ---- the graph ---- */

typedef struct node {
    char name[64], op[32], input[4][64];
    int n_inputs;
    int64_t dim[4];
    int n_dims;
} node;

/* The extents below attr {value {list {shape {dim {size}}}}}. */
static void read_attribute(span s, node *n) {
    for (field f; next_field(&s, &f);) {
        if (f.number == 1) {
            char key[32];
            copy_text(key, sizeof key, f.bytes);
            assert_string_equal(key, "_output_shapes");
            continue;
        }
        field list, shape;
        assert_true(next_field(&f.bytes, &list) && list.number == 1);
        assert_true(next_field(&list.bytes, &shape) && shape.number == 7);
        for (field dim, size; next_field(&shape.bytes, &dim);) {
            assert_true(dim.number == 2 && next_field(&dim.bytes, &size) && size.number == 1);
            n->dim[n->n_dims++] = (int64_t)size.value;
        }
    }
}

static int read_graph(span s, node *nodes) {
    int n = 0;
    bool has_versions = false;
    for (field f; next_field(&s, &f);) {
        if (f.number != 1) {
            assert_int_equal(f.number, 4);
            has_versions = true;
            continue;
        }
        assert_true(n < MOST_NODES);
        node *to = &nodes[n++];
        for (field part; next_field(&f.bytes, &part);) {
            switch (part.number) {
            case 1:
                copy_text(to->name, sizeof to->name, part.bytes);
                break;
            case 2:
                copy_text(to->op, sizeof to->op, part.bytes);
                break;
            case 3:
                copy_text(to->input[to->n_inputs++], 64, part.bytes);
                break;
            default:
                assert_int_equal(part.number, 5);
                read_attribute(part.bytes, to);
            }
        }
    }
    assert_true(has_versions);
    return n;
}

/* x -> shared, twice -> add: every node once, with its inputs and shape. */
static void the_graph(void **state) {
    (void)state;
    directory d = directory_make();
    cot_context *context = new_context(1);
    cot_tensor x = cot_input(context, COT_F32, COT_SHAPE(3), "x");
    cot_layer *shared = cot_dense_layer(context, 3, .name = "shared");
    cot_tensor one = cot_call(shared, x), two = cot_call(shared, one);
    cot_tensor sum = cot_add(COT_TENSORS(one, two));
    cot_model *model = cot_model_create(context, COT_TENSORS(x), COT_TENSORS(sum), NULL);
    CHECK_OK(context,
             cot_model_compile(model, .optimizer = cot_sgd(), .loss = COT_MEAN_SQUARED_ERROR));
    cot_tensorboard_callback c = {.base = cot_tensorboard_base(), .log_dir = d.path};
    CHECK_OK(context, c.base.on_train_begin(model, &c));
    log_file *l = read_log(c.train_path);
    node nodes[MOST_NODES] = {0};
    assert_int_equal(l->n, 2);
    assert_true(l->event[1].is_graph);
    assert_int_equal(read_graph(l->event[1].graph, nodes), 4);
    static const char *const names[] = {"x", "shared", "shared_call_1", "add"};
    static const char *const ops[] = {"InputLayer", "Dense", "Dense", "Add"};
    for (int i = 0; i < 4; i++) {
        assert_string_equal(nodes[i].name, names[i]);
        assert_string_equal(nodes[i].op, ops[i]);
        assert_int_equal(nodes[i].n_dims, 2);
        assert_true(nodes[i].dim[0] == -1 && nodes[i].dim[1] == 3);
    }
    assert_int_equal(nodes[0].n_inputs, 0);
    assert_string_equal(nodes[1].input[0], "x");
    assert_string_equal(nodes[2].input[0], "shared");
    assert_int_equal(nodes[3].n_inputs, 2);
    assert_string_equal(nodes[3].input[1], "shared_call_1");
    free_log(l);
    /* A second fit is another file. */
    char first[512];
    (void)snprintf(first, sizeof first, "%s", c.train_path);
    c.write_graph = COT_OFF;
    CHECK_OK(context, c.base.on_train_begin(model, &c));
    assert_string_not_equal(first, c.train_path);
    l = read_log(c.train_path);
    assert_int_equal(l->n, 1);
    free_log(l);
    (void)unlink(first);
    (void)unlink(c.train_path);
    assert_int_equal(rmdir(path_in(&d, "train").text), 0);
    cot_model_destroy(model);
    cot_context_destroy(context);
    directory_remove(&d);
}

/* ---- what cannot be written ---- */

static void misuse(void **state) {
    (void)state;
    directory d = directory_make();
    file_path file = path_in(&d, "file");
    write_content(file.text, "", 0);
    const struct {
        const cot_callback *callback;
        cot_status status;
        const char *text;
    } cases[] = {
        {cot_tensorboard(""), COT_E_ARG, "tensorboard: the path is empty"},
        {cot_tensorboard(d.path, .update_freq = -1), COT_E_ARG, "update_freq -1"},
        {cot_tensorboard(file.text), COT_E_IO, "cannot be made: Not a directory"},
        {cot_tensorboard("/dev/full"), COT_E_IO, "cannot be made"},
    };
    trainee *t = trainee_make(cot_sgd(), 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cot_model_fit(t->model, t->data, .callbacks = {cases[i].callback}),
                         cases[i].status);
        CHECK_ERROR(t->context, cases[i].status, cases[i].text);
    }
    trainee_free(t);
    directory_remove(&d);
}

/* In a process that may write files of at most `limit` bytes: 0 when the fit ends as it should. */
static int fit_with_limit(const char *path, rlim_t limit) {
    const struct rlimit small = {limit, limit};
    trainee *t = trainee_make(cot_sgd(), 3);
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &small) != 0) {
        return 1;
    }
    cot_status status =
        cot_model_fit(t->model, t->data, .epochs = 4, .callbacks = {cot_tensorboard(path)});
    bool said = strstr(cot_error_message(t->context), "cannot be written: File too large") != NULL;
    return status == COT_E_IO && said ? 0 : 2;
}

static void a_full_disk(void **state) {
    (void)state;
    directory d = directory_make();
    char command[3 * PATH_ROOM];
    const rlim_t limits[] = {0, 10, 60, 300};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            _exit(fit_with_limit(d.path, limits[i]));
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    (void)snprintf(command, sizeof command, "rm -r %s", d.path);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums),        cmocka_unit_test(encoding),
        cmocka_unit_test(numbers_of_a_fit), cmocka_unit_test(histograms),
        cmocka_unit_test(the_graph),        cmocka_unit_test(misuse),
        cmocka_unit_test(a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
