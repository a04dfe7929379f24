/*
 * Equal kernels are one: a hundred equal layers share theirs.
 *
 * Kernels are compared by words: all that coti_kernel_print tells but for the tile, which is a
 * function of the rest. The text itself would do but takes longer to make than all of lowering.
 */
#include "cluster.h"

#include "tile.h"

#include <string.h>

void coti_interned_init(coti_interned *interned, coti_arena *arena) {
    memset(interned, 0, sizeof *interned);
    interned->arena = arena;
    coti_map_init(&interned->map, arena->context);
}

void coti_interned_free(coti_interned *interned, cot_context *context) {
    coti_map_free(&interned->map);
    coti_vec_free(context, &interned->kernel);
    coti_vec_free(context, &interned->word);
    coti_vec_free(context, &interned->begin);
}

/* ---- words ---- */

/* Words being appended; room has been made for all. */
typedef struct writer {
    int64_t *at;
} writer;

static void put(writer *w, int64_t value) {
    *w->at++ = value;
}

static void put_number(writer *w, double value) {
    int64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    put(w, bits);
}

static void put_access(writer *w, const coti_access *access, int32_t n_dims) {
    put(w, access->slot);
    put(w, access->offset);
    put(w, access->bounded);
    for (int32_t d = 0; d < n_dims; d++) {
        put(w, access->stride[d]);
        if ((access->bounded >> d & 1) != 0) {
            put(w, access->lo[d]);
            put(w, access->hi[d]);
        }
    }
    if (access->bounded != 0) {
        put_number(w, access->fill);
    }
}

static void put_expr(writer *w, const coti_expr *expr) {
    put(w, (int64_t)expr->kind | (int64_t)expr->op << 8 | (int64_t)expr->dtype << 24 |
               (int64_t)expr->full << 32 | (int64_t)expr->n_args << 40 |
               (int64_t)expr->distribution << 48);
    for (int32_t i = 0; i < expr->n_args; i++) {
        put(w, expr->arg[i]);
    }
    put(w, expr->index);
    put_number(w, expr->number);
    put(w, expr->integer);
    put(w, expr->step);
}

static void put_body(writer *w, const coti_body *body, int32_t n_dims) {
    put(w, (int64_t)body->n_exprs << 32 | body->n_accesses);
    put(w, body->n_stores);
    for (int32_t i = 0; i < body->n_accesses; i++) {
        put_access(w, &body->access[i], n_dims);
    }
    for (int32_t i = 0; i < body->n_exprs; i++) {
        put_expr(w, &body->expr[i]);
    }
    for (int32_t i = 0; i < body->n_stores; i++) {
        put(w, (int64_t)body->store[i].expr << 32 | body->store[i].access);
    }
}

static void put_product(writer *w, const coti_gemm *g) {
    put(w, g->b);
    put(w, g->inner);
    put(w, g->m);
    put(w, g->n);
    put(w, g->k);
    put(w, g->b_rows | g->m_rows << 1 | g->k_rows << 2 | (int32_t)g->dtype << 3);
    put(w, (int64_t)g->a_slot << 32 | g->b_slot);
    put(w, g->a_offset);
    put(w, g->b_offset);
    for (int32_t i = 0; i < 4; i++) {
        put(w, g->a_stride[i]);
        put(w, g->b_stride[i]);
    }
}

static void put_window(writer *w, const coti_window *window) {
    put(w, (int64_t)window->role);
    for (int32_t i = 0; i < 2 && window->role != COTI_WINDOW_NONE; i++) {
        put(w, window->x[i]);
        put(w, window->k[i]);
        put(w, window->o[i]);
        put(w, window->stride[i]);
        put(w, window->dilation[i]);
        put(w, window->low[i]);
        put(w, window->spread[i]);
        put(w, window->x_stride[i]);
    }
    put(w, window->channels);
    put(w, window->columns);
    put(w, window->image_stride);
}

static void put_scatter(writer *w, const coti_scatter *s) {
    put(w, s->b);
    put(w, s->l);
    put(w, s->i);
    put(w, s->d);
    put(w, s->t);
    put(w, s->i_rows | s->by_row << 1 | s->l_rows << 2 | (int32_t)s->dtype << 8 |
               (int32_t)s->index_dtype << 16);
    put(w, (int64_t)s->updates_slot | (int64_t)s->index_slot << 16 | (int64_t)s->result_slot << 32);
    put(w, s->updates_offset);
    put(w, s->index_offset);
    for (int32_t i = 0; i < 4; i++) {
        put(w, s->updates_stride[i]);
    }
    put(w, s->index_stride[0]);
    put(w, s->index_stride[1]);
}

static void put_kernel(writer *w, const coti_kernel *k) {
    put(w, (int64_t)k->skeleton | (int64_t)k->rows << 8 | (int64_t)k->n_dims << 16 |
               (int64_t)k->n_kept << 24 | (int64_t)k->n_slots << 32);
    put(w, k->rows_dim);
    for (int32_t d = 0; d < k->n_dims; d++) {
        put(w, k->extent[d]);
    }
    for (int32_t s = 0; s < k->n_slots; s++) {
        put(w, (int64_t)k->slot_dtype[s] << 1 | k->slot_written[s]);
    }
    put_body(w, &k->body, k->n_dims);
    if (k->skeleton == COTI_SKELETON_GEMM) {
        put_product(w, &k->gemm);
        put_window(w, &k->gemm.window);
        put_body(w, &k->gemm.side, k->n_dims);
    }
    if (k->skeleton == COTI_SKELETON_SCATTER) {
        put_scatter(w, &k->scatter);
    }
}

/* More words than any kernel of this size has. */
static size_t most_words(const coti_kernel *k) {
    size_t n = 64 + (size_t)k->n_slots;
    const coti_body *body[2] = {&k->body, &k->gemm.side};
    for (int32_t i = 0; i < 2; i++) {
        n += 9 * (size_t)body[i]->n_exprs + (4 + 3 * COTI_MAX_DIMS) * (size_t)body[i]->n_accesses +
             (size_t)body[i]->n_stores;
    }
    return n;
}

/* ---- kernels ---- */

/* What is looked up: the words after those of all kernels. */
typedef struct lookup {
    const coti_interned *interned;
    size_t n_words;
} lookup;

static bool is_equal(const void *user, uint32_t value) {
    const lookup *wanted = user;
    const coti_interned *interned = wanted->interned;
    size_t begin = interned->begin.data[value];
    size_t end =
        value + 1 < interned->begin.count ? interned->begin.data[value + 1] : interned->word.count;
    return end - begin == wanted->n_words &&
           memcmp(&interned->word.data[begin], &interned->word.data[interned->word.count],
                  wanted->n_words * sizeof *interned->word.data) == 0;
}

static uint64_t hash_words(const int64_t *word, size_t n) {
    uint64_t hash = n;
    for (size_t i = 0; i < n; i++) {
        hash = coti_hash_word(hash, (uint64_t)word[i]);
    }
    return coti_hash_end(hash);
}

static cot_status copy_body(coti_arena *arena, const coti_body *from, coti_body *to) {
    *to = *from;
    to->expr = coti_arena_copy(arena, from->expr, (size_t)from->n_exprs * sizeof *from->expr);
    to->access =
        coti_arena_copy(arena, from->access, (size_t)from->n_accesses * sizeof *from->access);
    to->store = coti_arena_copy(arena, from->store, (size_t)from->n_stores * sizeof *from->store);
    return to->expr != NULL && to->access != NULL && to->store != NULL ? COT_OK : COT_E_NOMEM;
}

/* "gemm_add_relu": the skeleton and the first operations, for the symbol's name. */
static const char *hint_of(coti_arena *arena, const coti_kernel *k) {
    static const char *const skeleton[] = {
#define SKELETON_NAME(id, name) [COTI_SKELETON_##id] = name,
        COTI_SKELETON_LIST(SKELETON_NAME)
#undef SKELETON_NAME
    };
    const char *op[3] = {"", "", ""};
    int32_t n = 0;
    for (int32_t i = 0; i < k->body.n_exprs && n < 3; i++) {
        const coti_expr *expr = &k->body.expr[i];
        if (expr->kind == COTI_EXPR_OP || expr->kind == COTI_EXPR_REDUCE) {
            op[n++] = cot_op_name(expr->op);
        }
    }
    return coti_arena_printf(arena, "%s%s%s%s%s%s%s", skeleton[k->skeleton], n > 0 ? "_" : "",
                             op[0], n > 1 ? "_" : "", op[1], n > 2 ? "_" : "", op[2]);
}

static cot_status copy_kernel(coti_lowering *l, coti_kernel **kernel_out) {
    coti_groups *groups = l->f->groups;
    coti_arena *arena = l->f->interned->arena;
    coti_kernel *k = coti_arena_copy(arena, &l->kernel, sizeof l->kernel);
    if (k == NULL) {
        return COT_E_NOMEM;
    }
    COTI_TRY(copy_body(arena, &l->kernel.body, &k->body));
    COTI_TRY(copy_body(arena, &l->kernel.gemm.side, &k->gemm.side));
    k->hint = hint_of(arena, k);
    if (k->hint == NULL) {
        return COT_E_NOMEM;
    }
    if (k->skeleton == COTI_SKELETON_GEMM) {
        coti_tile_choose(&k->gemm, l->f->target, groups->max_rows);
    }
    *kernel_out = k;
    return coti_kernel_verify(groups->context, k);
}

cot_status coti_intern_kernel(coti_lowering *l, coti_kernel **kernel_out) {
    coti_interned *interned = l->f->interned;
    cot_context *context = l->f->context;
    COTI_TRY(
        coti_vec_reserve(context, &interned->word, interned->word.count + most_words(&l->kernel)));
    writer w = {&interned->word.data[interned->word.count]};
    put_kernel(&w, &l->kernel);
    lookup wanted = {interned, (size_t)(w.at - &interned->word.data[interned->word.count])};
    const uint64_t hash = hash_words(&interned->word.data[interned->word.count], wanted.n_words);
    uint32_t found = 0;
    if (coti_map_find(&interned->map, hash, is_equal, &wanted, &found)) {
        *kernel_out = interned->kernel.data[found];
        return COT_OK;
    }
    COTI_TRY(coti_vec_reserve(context, &interned->kernel, interned->kernel.count + 1));
    COTI_TRY(coti_vec_reserve(context, &interned->begin, interned->begin.count + 1));
    COTI_TRY(copy_kernel(l, kernel_out));
    COTI_TRY(coti_map_add(&interned->map, hash, (uint32_t)interned->kernel.count));
    interned->kernel.data[interned->kernel.count++] = *kernel_out;
    interned->begin.data[interned->begin.count++] = interned->word.count;
    interned->word.count += wanted.n_words;
    return COT_OK;
}
