/*
 * How many rows a task of a chain takes: the count whose estimated time for a step is least, at the
 * largest row count and on all threads; of those that are within a few hundredths of it the
 * smallest, so that threads whose processors are disturbed can leave work to the others.
 *
 * The unit of time is the issue of one vector fma, as in tile.c. What is counted for a chunk:
 *
 *   arithmetic  register tiles are whole: rows that do not fill one are computed in vain; where
 *               a chunk is shorter than a tile each row has a tile of its own, bound by latency
 *   packing     a product with vectors along n packs its weights anew for each chunk
 *   weights     are read again for each chunk: what fits into a core's own cache from there, what
 *               fits into no cache from memory
 *   values      of the chunk's rows are, at each read
 *   calls       a fixed price each
 *
 * and chunks run in rounds of one a thread.
 */
#include "planner.h"

enum {
    GRAIN = 8,       /* rows of a product, at least: candidates are multiples of so many */
    MOST_GRAINS = 32 /* from here on weights' traffic is small beside the arithmetic */
};

/* Half of a small core's second-level cache, and of the last level that cores share. */
static const double cache_bytes = 512 * 1024, last_cache_bytes = 16 * 1024 * 1024;

/* Times, in vector fmas. */
static const double near_byte_time = 1.0 / 64, far_byte_time = 1.0 / 24, memory_byte_time = 1.0 / 8;
static const double copy_time = 2, transpose_time = 8, latency_chains = 8, call_time = 200;

/* A chunk within this factor of the best is as good. */
static const double tolerance = 1.04;

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* Rows that tiles along s compute in a range of `rows`, in units of well used ones. */
static double rows_along_s(const coti_gemm *gemm, int64_t rows) {
    const int64_t height = gemm->tile_broadcast;
    if (rows >= height) {
        return (double)(divide_up(rows, height) * height);
    }
    double slowness = latency_chains / gemm->tile_vectors;
    return (double)rows * (slowness > 1 ? slowness : 1);
}

/* The same along v, where a tile of half the width may end a range. */
static double rows_along_v(const coti_planner *p, const coti_gemm *gemm, int64_t rows) {
    const int64_t width = (int64_t)gemm->tile_vectors * p->target->lanes;
    const int64_t half = gemm->tile_vectors / 2 * p->target->lanes, rest = rows % width;
    return (double)(rows - rest + (rest == 0 ? 0 : rest <= half ? half : width));
}

/* A product over the rows of m, for a chunk of them. */
static double product_time(const coti_planner *p, const coti_group *group, int64_t chunk) {
    const coti_gemm *gemm = &group->kernel->gemm;
    const int64_t rows = chunk * group->coefficient, lanes = p->target->lanes;
    double row_time = (double)divide_up(gemm->n, lanes) * (double)gemm->k;
    if (gemm->form == COTI_GEMM_M_VECTORS) {
        return rows_along_v(p, gemm, rows) / (double)lanes * (double)gemm->n * (double)gemm->k;
    }
    double pack = gemm->b_stride[2] == 1 ? copy_time : transpose_time;
    return row_time * (rows_along_s(gemm, rows) + (gemm->pack ? pack : 0));
}

/* Bytes of a row of all values that the group reads. */
static double row_bytes(const coti_planner *p, int32_t g) {
    double bytes = 0;
    COTI_PLAN_OPERANDS(p, g, operand) {
        const coti_node *node = coti_plan_node(p, operand->id);
        int64_t elements = 0;
        if (operand->kind == COTI_OPERAND_VALUE && operand->read && node->shape.batched &&
            coti_shape_elements(&node->shape, 1, &elements)) {
            bytes += (double)elements * (double)cot_dtype_bytes((cot_dtype)node->dtype);
        }
    }
    return bytes;
}

/* What does not depend on the chunk, summed over a chain once. */
typedef struct chain_facts {
    double row_time, row_bytes, shared_bytes, n_calls;
    int64_t product_rows; /* the fewest that a row is to a product; 0: there is none */
    int32_t first, end;   /* of its groups, in order */
} chain_facts;

static bool is_row_product(const coti_group *group) {
    return group->kernel != NULL && group->kernel->skeleton == COTI_SKELETON_GEMM &&
           group->kernel->gemm.m_rows;
}

/* How many rows a row of the batch is to a product; 0: it is none over rows. Of a product whose
 * batch the rows are, each has all of m. */
static int64_t rows_of_product(const coti_group *group) {
    if (is_row_product(group)) {
        return group->coefficient;
    }
    const bool batched = group->kernel != NULL && group->kernel->skeleton == COTI_SKELETON_GEMM &&
                         group->kernel->gemm.b_rows;
    return batched ? group->kernel->gemm.m : 0;
}

/* Add the time a row, and the calls, of a group that is made `times` times, but for products. */
static void add_group(const coti_planner *p, const coti_group *group, double times,
                      chain_facts *facts) {
    if (group->loop == NULL) {
        const double work = is_row_product(group) ? 0 : group->work;
        const int64_t rows = rows_of_product(group);
        if (rows > 0 && (facts->product_rows == 0 || rows < facts->product_rows)) {
            facts->product_rows = rows;
        }
        facts->row_time += times * work / (double)p->groups->max_rows / p->target->lanes;
        facts->n_calls += times;
        return;
    }
    for (int32_t g = 0; g < group->loop->body->n_groups; g++) { /* as deep as loops are */
        add_group(p, &group->loop->body->group[g], times * (double)group->loop->steps, facts);
    }
}

static chain_facts find_facts(const coti_planner *p, int32_t i_chain) {
    chain_facts facts = {.first = p->chain_first[i_chain], .end = p->chain_first[i_chain + 1]};
    for (int32_t i = facts.first; i < facts.end; i++) {
        const int32_t g = p->order[i];
        facts.row_bytes += row_bytes(p, g);
        facts.shared_bytes += (double)p->groups->group[g].shared_bytes;
        add_group(p, &p->groups->group[g], 1, &facts);
    }
    return facts;
}

/* Of all products over rows in a group. */
static double products_time(const coti_planner *p, const coti_group *group, int64_t chunk) {
    double time = is_row_product(group) ? product_time(p, group, chunk) : 0;
    for (int32_t g = 0; group->loop != NULL && g < group->loop->body->n_groups; g++) {
        time += (double)group->loop->steps * products_time(p, &group->loop->body->group[g], chunk);
    }
    return time;
}

/* Bytes that are read for each chunk; those that do not fit near come from far, or from memory. */
static double byte_time(double bytes) {
    double memory = bytes > last_cache_bytes ? bytes - last_cache_bytes : 0;
    double far = bytes > cache_bytes ? bytes - cache_bytes - memory : 0;
    return (bytes - far - memory) * near_byte_time + far * far_byte_time +
           memory * memory_byte_time;
}

/* Of a step at the largest row count. */
static double step_time(const coti_planner *p, const chain_facts *facts, int64_t chunk) {
    const double rows = (double)chunk;
    double time = facts->row_time * rows + call_time * facts->n_calls +
                  byte_time(facts->shared_bytes) + byte_time(facts->row_bytes * rows);
    for (int32_t i = facts->first; i < facts->end; i++) {
        time += products_time(p, &p->groups->group[p->order[i]], chunk);
    }
    int64_t n_chunks = divide_up(p->groups->max_rows, chunk);
    return time * (double)divide_up(n_chunks, p->context->threads);
}

/* Rows of which chunks are multiples, a power of two: fewer where each is many to all products, a
 * sequence or an image. */
static int64_t grain_of(const chain_facts *facts) {
    int64_t grain = GRAIN;
    while (grain > 1 && grain / 2 * facts->product_rows >= GRAIN) {
        grain /= 2;
    }
    return grain;
}

void coti_plan_chunk(const coti_planner *p, int32_t i_chain) {
    cotr_chain *chain = &p->chain[i_chain];
    const chain_facts facts = find_facts(p, i_chain);
    const int64_t grain = grain_of(&facts);
    const int64_t max_rows = divide_up(p->groups->max_rows, grain) * grain;
    const int64_t most = max_rows < MOST_GRAINS * grain ? max_rows : MOST_GRAINS * grain;
    double best = step_time(p, &facts, grain);
    for (int64_t chunk = grain; chunk <= most; chunk += grain) {
        double time = step_time(p, &facts, chunk);
        best = time < best ? time : best;
    }
    chain->grain = grain;
    for (chain->chunk = grain; step_time(p, &facts, chain->chunk) > tolerance * best;) {
        chain->chunk += grain;
    }
}
