/*
 * The order of the clusters (codegen/fuse_cycle.c): searches against a plain search of the whole
 * graph, and the order after many moves.
 */
#include "check.h"

#include "codegen/cluster.h"

#include <stdlib.h>

static cot_context *context;

/* Clusters 1..n without nodes but one each: node i is made by cluster i. */
typedef struct clusters {
    coti_fusion f;
    uint32_t n;
} clusters;

static clusters make(uint32_t n) {
    clusters c = {.f = {.context = context}, .n = n};
    CHECK_OK(context, coti_vec_reserve(context, &c.f.cluster, n + 1));
    c.f.member = calloc(n + 1, sizeof *c.f.member);
    memset(c.f.cluster.data, 0, (n + 1) * sizeof *c.f.cluster.data);
    c.f.cluster.count = n + 1;
    for (uint32_t i = 1; i <= n; i++) {
        c.f.member[i].cluster = i;
        coti_order_append(&c.f, i);
    }
    return c;
}

static void drop(clusters *c) {
    for (uint32_t i = 1; i <= c->n; i++) {
        coti_vec_free(context, &c->f.cluster.data[i].read);
    }
    coti_vec_free(context, &c->f.cluster);
    coti_vec_free(context, &c->f.found);
    free(c->f.member);
}

static void add_read(clusters *c, uint32_t reader, uint32_t maker) {
    coti_cluster *r = &c->f.cluster.data[reader];
    CHECK_OK(context, coti_vec_reserve(context, &r->read, r->read.count + 1));
    r->read.data[r->read.count++] = maker;
}

/* The list is whole, its labels ascend, and makers come before readers. */
static void check_order(const clusters *c, uint32_t n_expected) {
    uint32_t n = 0;
    int64_t label = INT64_MIN;
    for (uint32_t i = c->f.cluster.data[0].after; i != 0; i = c->f.cluster.data[i].after) {
        const coti_cluster *at = &c->f.cluster.data[i];
        assert_true(at->label > label);
        assert_int_equal(c->f.cluster.data[at->after].before, i);
        label = at->label;
        n++;
        for (size_t k = 0; k < at->read.count; k++) {
            uint32_t maker = coti_cluster_of(&c->f, at->read.data[k]);
            assert_true(maker == i || c->f.cluster.data[maker].label < label);
        }
    }
    assert_int_equal(n, n_expected);
}

/* Does one depend on the other, by looking everywhere? */
static bool depends(const clusters *c, uint32_t from, uint32_t target, bool *seen) {
    bool found = from == target;
    seen[from] = true;
    for (size_t k = 0; k < c->f.cluster.data[from].read.count && !found; k++) {
        uint32_t maker = c->f.cluster.data[from].read.data[k];
        found = !seen[maker] && depends(c, maker, target, seen);
    }
    return found;
}

static uint32_t next_random(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*state >> 33);
}

/* Random edges, each allowed exactly if it makes no cycle. */
static void test_searches(void **state) {
    (void)state;
    enum { N = 60, N_EDGES = 400 };
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed;
        clusters c = make(N);
        int32_t n_refused = 0;
        for (int32_t e = 0; e < N_EDGES; e++) {
            uint32_t reader = next_random(&random) % N + 1;
            uint32_t maker = next_random(&random) % N + 1;
            bool seen[N + 1] = {false};
            bool cycle = depends(&c, maker, reader, seen);
            coti_search_begin(&c.f, reader);
            bool allowed = coti_search_from(&c.f, maker) && coti_search_end(&c.f);
            assert_int_equal(allowed, !cycle);
            n_refused += cycle;
            if (allowed) {
                coti_move_found(&c.f);
                add_read(&c, reader, maker);
                check_order(&c, N);
            }
        }
        assert_true(n_refused > 0 && n_refused < N_EDGES);
        drop(&c);
    }
}

/* Two become one exactly if there is no way between them through a third. */
static void test_uniting(void **state) {
    (void)state;
    enum { N = 40, N_EDGES = 50 };
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint64_t random = seed;
        clusters c = make(N);
        for (int32_t e = 0; e < N_EDGES; e++) {
            uint32_t reader = next_random(&random) % (N - 1) + 2;
            add_read(&c, reader, next_random(&random) % (reader - 1) + 1);
        }
        uint32_t a = next_random(&random) % N + 1;
        uint32_t b = next_random(&random) % N + 1;
        uint32_t high = a > b ? a : b;
        uint32_t low = a > b ? b : a;
        bool around = false;
        for (size_t k = 0; k < c.f.cluster.data[high].read.count && a != b; k++) {
            bool seen[N + 1] = {false};
            uint32_t maker = c.f.cluster.data[high].read.data[k];
            around = around || (maker != low && depends(&c, maker, low, seen));
        }
        if (a != b) {
            assert_int_equal(coti_can_unite(&c.f, a, b), !around);
        }
        if (a != b && !around) {
            coti_unite(&c.f, a, b);
            c.f.cluster.data[b].merged_into = a;
            for (size_t k = 0; k < c.f.cluster.data[b].read.count; k++) {
                add_read(&c, a, c.f.cluster.data[b].read.data[k]);
            }
            c.f.cluster.data[b].read.count = 0;
            check_order(&c, N - 1);
        }
        drop(&c);
    }
}

/* So many moves to one place that its gap closes and all labels are made anew. */
static void test_labels_run_out(void **state) {
    (void)state;
    enum { N = 3000 };
    clusters c = make(N);
    for (uint32_t i = N; i > 2; i--) {
        add_read(&c, 2, i);
        c.f.cluster.data[2].read.count = 0; /* to search from the maker alone */
        coti_search_begin(&c.f, i == N ? 2 : i + 1);
        assert_true(coti_search_from(&c.f, i) && coti_search_end(&c.f));
        coti_move_found(&c.f);
        coti_search_begin(&c.f, 2);
        assert_true(coti_search_from(&c.f, i) && coti_search_end(&c.f));
        coti_move_found(&c.f);
    }
    check_order(&c, N);
    assert_int_equal(c.f.cluster.data[0].after, 1);
    assert_int_equal(c.f.cluster.data[0].before, 2);
    drop(&c);
}

/* A search that grows too long says that there is a cycle. */
static void test_search_is_bounded(void **state) {
    (void)state;
    enum { N = COTI_MAX_VISITS + 10 };
    clusters c = make(N);
    for (uint32_t i = 2; i <= N; i++) {
        add_read(&c, i, i - 1);
    }
    c.f.cluster.data[2].read.count = 0;
    coti_search_begin(&c.f, 1);
    assert_true(coti_search_from(&c.f, COTI_MAX_VISITS) && coti_search_end(&c.f));
    coti_search_begin(&c.f, 1);
    assert_true(coti_search_from(&c.f, N));
    assert_false(coti_search_end(&c.f));
    assert_int_equal(c.f.status, COT_OK);
    drop(&c);
}

static int setup(void **state) {
    (void)state;
    cot_options options = {.struct_size = sizeof options, .environment = COT_OFF};
    context = cot_context_create(&options);
    return context == NULL;
}

static int teardown(void **state) {
    (void)state;
    cot_context_destroy(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_searches),
        cmocka_unit_test(test_uniting),
        cmocka_unit_test(test_labels_run_out),
        cmocka_unit_test(test_search_is_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
