/*
 * Fitting a training step into a memory budget.
 *
 * Nothing but a plan tells what a step takes, as fusion decides which values reach memory. So
 * graphs are built and planned, without kernels, until one fits: first with nothing computed again,
 * then with stretches of the network (autodiff/remat_mark.h) of a half of it, a third, ... The
 * fewer bytes a stretch has the more values stay between stretches, so memory falls and then rises
 * again, and the walk ends soon after it rises. Between the last that did not fit and the first
 * that did a few halvings look for one that computes less again; where none fits, as many look
 * around the smallest for a smaller.
 *
 * A plan is near-linear in the network, and there are at most some twenty. The same budgets try the
 * same ways in the same order, so a budget that an error names as sufficient is.
 */
#include "frontend/training/training.h"

#include <string.h>

enum {
    HALVINGS = 4,   /* between two ways that were tried */
    MOST_RISES = 2, /* ways in a row that are worse than the best, after which no more are tried */
    MOST_PARTS = 1024 /* of the network */
};

/* A way that was tried. */
typedef struct attempt {
    int64_t stretch_bytes;
    int64_t bytes, all_bytes; /* of the step; of all its values, as stretches measure them */
    int32_t n_regions;
    double flops;
} attempt;

typedef struct search {
    const coti_training *training;
    int64_t max_rows, budget;
    attempt plain;
    attempt fit; /* the cheapest that fits */
    bool fits;
    attempt least; /* of all */
} search;

/* ---- trying ---- */

static cot_status measure(const search *s, int64_t stretch_bytes, int64_t budget, attempt *out) {
    cot_context *context = s->training->context;
    const cot_program_options options = {
        .struct_size = sizeof options, .max_rows = s->max_rows, .memory_budget = budget};
    coti_stretches stretches;
    cot_program_info info;
    cot_graph *graph =
        coti_build_graph(s->training, COTI_TRAIN, s->max_rows, stretch_bytes, &stretches);
    cot_status status = graph != NULL ? coti_program_measure(graph, &options, &info)
                                      : cot_error_get(context).status;
    cot_graph_destroy(graph);
    if (status == COT_OK) {
        *out = (attempt){.stretch_bytes = stretch_bytes,
                         .bytes = info.memory_bytes,
                         .all_bytes = stretches.bytes,
                         .n_regions = stretches.n_regions,
                         .flops = info.flops};
    }
    return status;
}

/* Remember what is found. */
static void note(search *s, const attempt *out) {
    if (out->bytes <= s->budget && (!s->fits || out->flops < s->fit.flops)) {
        s->fit = *out;
        s->fits = true;
    }
    if (out->bytes < s->least.bytes) {
        s->least = *out;
    }
}

/* Try stretches of so many bytes. */
static cot_status try(search *s, int64_t stretch_bytes, attempt *out) {
    COTI_TRY(measure(s, stretch_bytes, s->budget, out));
    note(s, out);
    return COT_OK;
}

/* ---- searching ---- */

/* Between a way that fits and one of longer stretches that does not. */
static cot_status find_cheaper(search *s, int64_t fits, int64_t fails) {
    for (int32_t i = 0; i < HALVINGS; i++) {
        attempt middle;
        COTI_TRY(try(s, fits + (fails - fits) / 2, &middle));
        *(middle.bytes <= s->budget ? &fits : &fails) = middle.stretch_bytes;
    }
    return COT_OK;
}

/* Around the smallest, whose neighbours' stretches are `shorter` and `longer`. */
static cot_status find_smaller(search *s, int64_t shorter, int64_t longer) {
    for (int32_t i = 0; i < HALVINGS && !s->fits; i++) {
        const int64_t best = s->least.stretch_bytes;
        int64_t *far = longer - best > best - shorter ? &longer : &shorter;
        attempt middle;
        COTI_TRY(try(s, best + (*far - best) / 2, &middle));
        if (s->least.stretch_bytes == best) {
            *far = middle.stretch_bytes;
        } else {
            *(far == &longer ? &shorter : &longer) = best;
        }
    }
    return COT_OK;
}

/* 2, 3, 4, 6, 9, 13, ... parts. */
static cot_status walk(search *s) {
    const int64_t all = s->plain.all_bytes;
    int64_t shorter = 0, longer = all, before = all;
    int32_t n_regions = 0;
    for (int64_t parts = 2, rises = 0; parts <= MOST_PARTS && rises < MOST_RISES && all > 0;
         parts += parts / 2) {
        attempt found;
        const int64_t smallest = s->least.bytes;
        COTI_TRY(try(s, (all + parts - 1) / parts, &found));
        if (s->fits) {
            return find_cheaper(s, found.stretch_bytes, before);
        }
        if (found.n_regions == n_regions && parts > 3) {
            break; /* as short as they get */
        }
        rises = found.bytes < smallest ? 0 : rises + 1;
        longer = rises == 0 ? before : longer;
        shorter = rises == 1 ? found.stretch_bytes : rises == 0 ? 0 : shorter;
        before = found.stretch_bytes;
        n_regions = found.n_regions;
    }
    return s->least.stretch_bytes > 0 ? find_smaller(s, shorter, longer) : COT_OK;
}

/* ---- what was found ---- */

static void report(const search *s, coti_fitting *out) {
    *out = (coti_fitting){.stretch_bytes = s->fit.stretch_bytes,
                          .memory = {.budget = s->budget,
                                     .bytes = s->fit.bytes,
                                     .plain_bytes = s->plain.bytes,
                                     .n_regions = s->fit.n_regions,
                                     .flops = s->fit.flops,
                                     .plain_flops = s->plain.flops}};
}

/* Plan the smallest once more, for the text of what it has at its peak. */
static cot_status fail_budget(const search *s) {
    const coti_training *training = s->training;
    cot_context *context = training->context;
    const cot_program_options options = {
        .struct_size = sizeof options, .max_rows = s->max_rows, .memory_budget = s->budget};
    char peak[COTI_MESSAGE_BYTES / 2];
    cot_graph *graph =
        coti_build_graph(training, COTI_TRAIN, s->max_rows, s->least.stretch_bytes, NULL);
    cot_status status = graph != NULL ? coti_program_peak(graph, &options, peak, sizeof peak)
                                      : cot_error_get(context).status;
    cot_graph_destroy(graph);
    return status != COT_OK
               ? status
               : COTI_FAIL(context, COT_E_BUDGET,
                           "model \"%.64s\": a training step of %lld rows takes %lld bytes, and of "
                           "the ways that were tried none less than %lld: memory_budget is %lld; "
                           "alive in %s",
                           training->model->name, (long long)s->max_rows, (long long)s->plain.bytes,
                           (long long)s->least.bytes, (long long)s->budget, peak);
}

static cot_status find_fit(search *s) {
    attempt closing;
    COTI_TRY(measure(s, 0, 0, &s->plain));
    note(s, &s->plain);
    COTI_TRY(s->fits ? COT_OK : try(s, 0, &closing));
    COTI_TRY(s->fits ? COT_OK : walk(s));
    return s->fits ? COT_OK : fail_budget(s);
}

/* What is only tried is not dumped. */
cot_status coti_fit_budget(const coti_training *training, int64_t max_rows, coti_fitting *out) {
    search s = {.training = training,
                .max_rows = max_rows,
                .budget = training->memory_budget,
                .least = {.bytes = INT64_MAX}};
    cot_context *context = training->context;
    bool dump[COTI_STAGE_COUNT];
    memcpy(dump, context->dump, sizeof dump);
    memset(context->dump, 0, sizeof context->dump);
    cot_status status = find_fit(&s);
    memcpy(context->dump, dump, sizeof dump);
    if (status == COT_OK) {
        report(&s, out);
    }
    return status;
}

/* ---- regions as text ---- */

/* `dense_1` of "dense_1"; what no layer made has none. */
static const char *layer_text(const char *layer) {
    return layer != NULL ? layer : "(no layer)";
}

static void print_region(coti_str *text, uint32_t region, const char *first, const char *last) {
    coti_str_printf(text, "computed again, region %u: ", (unsigned)region);
    coti_str_append(text, layer_text(first));
    if (first != last) {
        coti_str_append(text, " to ");
        coti_str_append(text, layer_text(last));
    }
    coti_str_append(text, "\n");
}

/* Nodes of a region follow each other, but for leaves and what was in another before. */
static void print_regions(const cot_graph *graph, cot_memory_info *memory, coti_str *text) {
    uint32_t region = 0;
    const char *first = NULL, *last = NULL;
    for (uint32_t id = 1; id < graph->node.count; id++) {
        const coti_node *node = coti_node_at(graph, id);
        if (node->region == 0) {
            continue;
        }
        if (node->region != region) {
            if (region != 0) {
                print_region(text, region, first, last);
            }
            region = node->region;
            first = node->layer;
        }
        memory->n_layers += node->layer != last && node->layer != NULL;
        last = node->layer;
    }
    if (region != 0) {
        print_region(text, region, first, last);
    }
}

cot_status coti_describe_regions(const cot_graph *graph, cot_memory_info *memory, coti_str *text) {
    memory->n_layers = 0;
    print_regions(graph, memory, text);
    if (memory->budget > 0) {
        coti_str_printf(text,
                        "memory %lld of a budget of %lld bytes, %lld without one; "
                        "values computed again cost %.4g of %.4g flop a step\n",
                        (long long)memory->bytes, (long long)memory->budget,
                        (long long)memory->plain_bytes, memory->flops - memory->plain_flops,
                        memory->flops);
    }
    return coti_str_status(text);
}
