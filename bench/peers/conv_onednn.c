/*
 * Convolutions by oneDNN, in whatever layouts its kernels like best: operands are brought there
 * before, the result is brought back only for the sum that is compared.
 */
#include "product.h"

#include <dnnl.h>

#include <stdlib.h>
#include <string.h>

enum { SRC, WEIGHTS, DST, N_TENSORS, BATCH = 64 };

/* "conv-" or "group-" comes before. Which tensors the operands and the result are, what descriptors
 * say of them and what execution calls them; index: SRC, WEIGHTS, DST. */
typedef struct direction {
    const char *prefix;
    int a, b, out;
    dnnl_query_t layout[N_TENSORS];
    int argument[N_TENSORS];
} direction;

static const direction directions[] = {
    {"fwd-",
     SRC,
     WEIGHTS,
     DST,
     {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
     {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST}},
    {"dx-",
     DST,
     WEIGHTS,
     SRC,
     {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
     {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST}},
    {"dw-",
     SRC,
     DST,
     WEIGHTS,
     {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md},
     {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}},
};

typedef struct convolution {
    const direction *way;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t plain[N_TENSORS]; /* as the benchmark's arrays lie */
    dnnl_memory_t memory[N_TENSORS];     /* in oneDNN's layouts */
} convolution;

static const dnnl_dims_t ones = {1, 1};

static dnnl_status_t describe(const convolution *conv, const dnnl_memory_desc_t free_layout[],
                              dnnl_convolution_desc_t *out) {
    const dnnl_memory_desc_t *src = &free_layout[SRC];
    const dnnl_memory_desc_t *weights = &free_layout[WEIGHTS];
    const dnnl_memory_desc_t *dst = &free_layout[DST];
    switch (conv->way->out) {
    case DST:
        return dnnl_convolution_forward_desc_init(out, dnnl_forward_training,
                                                  dnnl_convolution_direct, src, weights, NULL, dst,
                                                  ones, ones, ones);
    case SRC:
        return dnnl_convolution_backward_data_desc_init(out, dnnl_convolution_direct, src, weights,
                                                        dst, ones, ones, ones);
    default:
        return dnnl_convolution_backward_weights_desc_init(out, dnnl_convolution_direct, src,
                                                           weights, NULL, dst, ones, ones, ones);
    }
}

/* The primitive, and its tensors' memory in the layouts that it asks for. */
static bool build(convolution *conv) {
    dnnl_memory_desc_t free_layout[N_TENSORS];
    for (int i = 0; i < N_TENSORS; i++) {
        (void)dnnl_memory_desc_init_by_tag(&free_layout[i], conv->plain[i].ndims,
                                           conv->plain[i].dims, dnnl_f32, dnnl_format_tag_any);
    }
    dnnl_convolution_desc_t forward;
    dnnl_convolution_desc_t wanted;
    dnnl_primitive_desc_t hint = NULL;
    dnnl_primitive_desc_t found = NULL;
    convolution ahead = *conv;
    ahead.way = &directions[0];
    bool good =
        describe(&ahead, free_layout, &forward) == dnnl_success &&
        dnnl_primitive_desc_create(&hint, &forward, NULL, conv->engine, NULL) == dnnl_success &&
        describe(conv, free_layout, &wanted) == dnnl_success &&
        dnnl_primitive_desc_create(&found, &wanted, NULL, conv->engine,
                                   conv->way->out == DST ? NULL : hint) == dnnl_success &&
        dnnl_primitive_create(&conv->primitive, found) == dnnl_success;
    for (int i = 0; i < N_TENSORS && good; i++) {
        const dnnl_memory_desc_t *layout =
            dnnl_primitive_desc_query_md(found, conv->way->layout[i], 0);
        good = dnnl_memory_create(&conv->memory[i], layout, conv->engine, DNNL_MEMORY_ALLOCATE) ==
               dnnl_success;
    }
    (void)dnnl_primitive_desc_destroy(hint);
    (void)dnnl_primitive_desc_destroy(found);
    return good;
}

/* Copy tensor i from the plain array into its own layout, or back. */
static bool copy(convolution *conv, int i, float *array, bool back) {
    const dnnl_memory_desc_t *own = NULL;
    dnnl_memory_t plain = NULL;
    dnnl_primitive_desc_t found = NULL;
    dnnl_primitive_t reorder = NULL;
    bool good = dnnl_memory_get_memory_desc(conv->memory[i], &own) == dnnl_success &&
                dnnl_memory_create(&plain, &conv->plain[i], conv->engine, array) == dnnl_success &&
                dnnl_reorder_primitive_desc_create(&found, back ? own : &conv->plain[i],
                                                   conv->engine, back ? &conv->plain[i] : own,
                                                   conv->engine, NULL) == dnnl_success &&
                dnnl_primitive_create(&reorder, found) == dnnl_success;
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, back ? conv->memory[i] : plain},
                                   {DNNL_ARG_TO, back ? plain : conv->memory[i]}};
    good = good && dnnl_primitive_execute(reorder, conv->stream, 2, arguments) == dnnl_success &&
           dnnl_stream_wait(conv->stream) == dnnl_success;
    (void)dnnl_primitive_destroy(reorder);
    (void)dnnl_primitive_desc_destroy(found);
    (void)dnnl_memory_destroy(plain);
    return good;
}

static bool prepare(peer_product *product) {
    convolution *conv = product->library;
    return dnnl_engine_create(&conv->engine, dnnl_cpu, 0) == dnnl_success &&
           dnnl_stream_create(&conv->stream, conv->engine, dnnl_stream_default_flags) ==
               dnnl_success &&
           build(conv) && copy(conv, conv->way->a, product->a, false) &&
           copy(conv, conv->way->b, product->b, false);
}

static bool run(peer_product *product, int64_t rounds) {
    convolution *conv = product->library;
    dnnl_exec_arg_t arguments[N_TENSORS];
    for (int i = 0; i < N_TENSORS; i++) {
        arguments[i] = (dnnl_exec_arg_t){conv->way->argument[i], conv->memory[i]};
    }
    bool good = true;
    for (int64_t i = 0; i < rounds && good; i++) {
        good = dnnl_primitive_execute(conv->primitive, conv->stream, N_TENSORS, arguments) ==
               dnnl_success;
    }
    return dnnl_stream_wait(conv->stream) == dnnl_success && good;
}

static bool collect(peer_product *product) {
    convolution *conv = product->library;
    return copy(conv, conv->way->out, product->out, true);
}

static void destroy(peer_product *product) {
    convolution *conv = product->library;
    for (int i = 0; i < N_TENSORS; i++) {
        (void)dnnl_memory_destroy(conv->memory[i]);
    }
    (void)dnnl_primitive_destroy(conv->primitive);
    (void)dnnl_stream_destroy(conv->stream);
    (void)dnnl_engine_destroy(conv->engine);
    free(conv);
}

/* size: channels in, channels out, extent of the square image. Weights have an axis of groups more,
 * but for one group. */
static bool fill_in(peer_product *product, const direction *way, const int64_t size[3],
                    int64_t groups) {
    convolution *conv = calloc(1, sizeof *conv);
    if (conv == NULL) {
        return false;
    }
    conv->way = way;
    const int64_t in = size[0] / groups, out = size[1] / groups, extent = size[2];
    const dnnl_dims_t x = {BATCH, size[0], extent, extent}, y = {BATCH, size[1], extent, extent};
    const dnnl_dims_t plain = {out, in, 3, 3}, grouped = {groups, out, in, 3, 3};
    (void)dnnl_memory_desc_init_by_tag(&conv->plain[SRC], 4, x, dnnl_f32, dnnl_nhwc);
    (void)dnnl_memory_desc_init_by_tag(&conv->plain[DST], 4, y, dnnl_f32, dnnl_nhwc);
    (void)dnnl_memory_desc_init_by_tag(&conv->plain[WEIGHTS], groups > 1 ? 5 : 4,
                                       groups > 1 ? grouped : plain, dnnl_f32,
                                       groups > 1 ? dnnl_hwigo : dnnl_hwio);
    int64_t count[N_TENSORS];
    count[SRC] = BATCH * extent * extent * size[0];
    count[WEIGHTS] = 9 * in * size[1];
    count[DST] = BATCH * extent * extent * size[1];
    *product = (peer_product){.n_a = count[way->a],
                              .n_b = count[way->b],
                              .n_out = count[way->out],
                              .prepare = prepare,
                              .run = run,
                              .collect = collect,
                              .destroy = destroy,
                              .library = conv};
    return true;
}

bool peer_convolution(const char *name, peer_product *out) {
    static const char one[] = "conv-", several[] = "group-";
    const bool grouped = strncmp(name, several, sizeof several - 1) == 0;
    const char *rest = name + (grouped ? sizeof several : sizeof one) - 1;
    if (!grouped && strncmp(name, one, sizeof one - 1) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof directions / sizeof directions[0]; i++) {
        int64_t size[3];
        if (peer_read_name(rest, directions[i].prefix, '-', size)) {
            const int64_t same[3] = {size[0], size[0], size[2]};
            return fill_in(out, &directions[i], grouped ? same : size, grouped ? size[1] : 1);
        }
    }
    return false;
}
