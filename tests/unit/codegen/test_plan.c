/* The planner on groups by hand: phases, chains, chunks, buffers, memory. */
#include "alloc_fail.h"
#include "check.h"

#include "hand_groups.h"

static const coti_target target = {COT_ISA_AVX2, 8, 16, true};
static const double large = 1e8, small = 100;
static cot_context *context;

static int make_context(void **state) {
    (void)state;
    context = cot_context_create(
        &(cot_options){.struct_size = sizeof(cot_options), .threads = 2, .environment = COT_OFF});
    return context == NULL;
}

static int drop_context(void **state) {
    (void)state;
    cot_context_destroy(context);
    return 0;
}

static coti_plan *plan_of(hand_groups *hand) {
    coti_plan *plan = NULL;
    CHECK_OK(hand->context, coti_plan_make(&hand->groups, &target, &plan));
    CHECK_NO_COMPLAINT(hand_check(hand, plan));
    return plan;
}

/* The buffer that a group's slot has. */
static const cotr_buffer *buffer_of(const coti_plan *plan, int32_t group, int32_t slot) {
    for (int32_t i = 0; i < plan->n_calls; i++) {
        if (plan->call_group[i] == group) {
            return &plan->program.buffer[plan->call[i].slot[slot]];
        }
    }
    return NULL;
}

/*
 * A network of two layers with its training step: load, two products, loss, backward, then two
 * weight gradients with their updates. Returns the number of the first weight gradient.
 */
static int32_t make_network(hand_groups *h, double work) {
    uint32_t x = hand_value(h, true, 784), a = hand_value(h, true, 512),
             z = hand_value(h, true, 10), loss = hand_value(h, true, 1),
             dz = hand_value(h, true, 10), da = hand_value(h, true, 512);
    uint32_t w1 = hand_state(h, 784 * 512), w2 = hand_state(h, 5120), sum = hand_state(h, 1);
    int32_t load = hand_group(h, true, small);
    h->kernel[load].skeleton = COTI_SKELETON_LOAD;
    hand_read(h, load, COTI_OPERAND_SOURCE, x);
    hand_write(h, load, COTI_OPERAND_VALUE, x);
    int32_t layer1 = hand_group(h, true, work);
    h->group[layer1].shared_bytes = 784 * 512 * 4;
    hand_read(h, layer1, COTI_OPERAND_VALUE, x);
    hand_read(h, layer1, COTI_OPERAND_STATE, w1);
    hand_write(h, layer1, COTI_OPERAND_VALUE, a);
    int32_t layer2 = hand_group(h, true, work);
    hand_read(h, layer2, COTI_OPERAND_VALUE, a);
    hand_read(h, layer2, COTI_OPERAND_STATE, w2);
    hand_write(h, layer2, COTI_OPERAND_VALUE, z);
    int32_t lossy = hand_group(h, true, small);
    hand_read(h, lossy, COTI_OPERAND_VALUE, z);
    hand_write(h, lossy, COTI_OPERAND_VALUE, loss);
    hand_write(h, lossy, COTI_OPERAND_VALUE, dz);
    int32_t back = hand_group(h, true, work);
    hand_read(h, back, COTI_OPERAND_VALUE, dz);
    hand_read(h, back, COTI_OPERAND_STATE, w2);
    hand_read(h, back, COTI_OPERAND_VALUE, a);
    hand_write(h, back, COTI_OPERAND_VALUE, da);
    int32_t dw1 = hand_group(h, false, work);
    hand_read(h, dw1, COTI_OPERAND_VALUE, x);
    hand_read(h, dw1, COTI_OPERAND_VALUE, da);
    hand_write(h, dw1, COTI_OPERAND_STATE, w1);
    int32_t dw2 = hand_group(h, false, work / 2);
    hand_read(h, dw2, COTI_OPERAND_VALUE, a);
    hand_read(h, dw2, COTI_OPERAND_VALUE, dz);
    hand_write(h, dw2, COTI_OPERAND_STATE, w2);
    int32_t total = hand_group(h, false, small);
    hand_read(h, total, COTI_OPERAND_VALUE, loss);
    hand_write(h, total, COTI_OPERAND_STATE, sum);
    return dw1;
}

static void a_training_step_has_two_phases(void **state) {
    (void)state;
    hand_groups *h = hand_groups_begin(context, 128);
    int32_t dw1 = make_network(h, large);
    coti_plan *plan = plan_of(h);
    const cotr_program *p = &plan->program;
    assert_int_equal(p->n_phases, 2);
    assert_false(p->phase[0].serial || p->phase[1].serial);
    assert_int_equal(p->phase[0].n_chains, 1);
    assert_int_equal(p->phase[0].chain[0].n_calls, 5);
    assert_int_equal(p->phase[1].n_chains, 3);
    /* Heavy chains first. */
    assert_true(p->phase[1].chain[0].work > p->phase[1].chain[1].work);
    assert_true(p->phase[1].chain[1].work > p->phase[1].chain[2].work);
    /* z is read within its chain alone; a, dz and x by the weight gradients too. */
    assert_int_equal(buffer_of(plan, 2, 2)->kind, COTR_LOCAL);
    assert_int_equal(buffer_of(plan, 2, 2)->bytes, p->phase[0].chain[0].chunk * 40);
    assert_int_equal(buffer_of(plan, 1, 2)->kind, COTR_ARENA);
    assert_int_equal(buffer_of(plan, dw1, 2)->kind, COTR_STATE);
    /* All of these live in both phases: nothing can be shared. */
    assert_int_equal(p->arena_bytes, 128 * 4 * (784 + 512 + 512 + 10 + 1));
    assert_int_equal(plan->bound_bytes, p->arena_bytes);
    assert_int_equal(p->n_states, 3);
    /* The load may be left out. */
    assert_int_equal(p->loaded[0], plan->call[0].slot[1]);
    assert_int_equal(plan->call[0].loads, 0);
    assert_int_equal(plan->call[1].loads, -1);
    assert_int_equal(p->n_inputs, h->graph->input.count);
    coti_plan_destroy(plan);
    hand_groups_end(h);
}

static void small_phases_run_on_one_thread(void **state) {
    (void)state;
    hand_groups *h = hand_groups_begin(context, 128);
    make_network(h, small);
    coti_plan *plan = plan_of(h);
    assert_int_equal(plan->program.n_phases, 1);
    assert_true(plan->program.phase[0].serial);
    assert_int_equal(plan->program.phase[0].n_chains, 4);
    coti_plan_destroy(plan);
    hand_groups_end(h);
}

/* unit(small) -> rows(large) -> unit(small) -> unit(small) -> rows(large) -> unit(small) */
static void small_neighbours_merge(void **state) {
    (void)state;
    hand_groups *h = hand_groups_begin(context, 100);
    static const double work[] = {100, 1e8, 100, 100, 1e8, 100};
    uint32_t before = 0;
    for (int32_t i = 0; i < 6; i++) {
        bool rows = work[i] > 1000;
        uint32_t value = hand_value(h, rows, 3);
        int32_t g = hand_group(h, rows, work[i]);
        if (i > 0) {
            hand_read(h, g, COTI_OPERAND_VALUE, before);
        }
        hand_write(h, g, COTI_OPERAND_VALUE, value);
        before = value;
    }
    hand_output(h, before);
    coti_plan *plan = plan_of(h);
    static const bool serial[] = {true, false, true, false, true};
    assert_int_equal(plan->program.n_phases, 5);
    for (int32_t i = 0; i < 5; i++) {
        assert_int_equal(plan->program.phase[i].serial, serial[i]);
    }
    assert_int_equal(plan->program.phase[2].n_chains, 2);
    assert_int_equal(buffer_of(plan, 5, 1)->kind, COTR_OUTPUT);
    coti_plan_destroy(plan);
    hand_groups_end(h);
}

/* A value that is made early and read late is made late, unless that keeps more alive. */
static void groups_sink_to_their_readers(void **state) {
    (void)state;
    for (int32_t wide = 0; wide < 2; wide++) {
        hand_groups *h = hand_groups_begin(context, 64);
        uint32_t narrow = hand_value(h, true, 8), made = hand_value(h, true, wide ? 2 : 512);
        uint32_t link[5];
        int32_t first = hand_group(h, true, large);
        hand_write(h, first, COTI_OPERAND_VALUE, narrow);
        int32_t maker = hand_group(h, true, large);
        hand_read(h, maker, COTI_OPERAND_VALUE, narrow);
        hand_write(h, maker, COTI_OPERAND_VALUE, made);
        for (int32_t i = 0; i < 5; i++) { /* units and rows in turn: four more phases */
            bool rows = i % 2 == 1;
            link[i] = hand_value(h, rows, 4);
            int32_t g = hand_group(h, rows, large);
            hand_read(h, g, COTI_OPERAND_VALUE, i > 0 ? link[i - 1] : narrow);
            hand_write(h, g, COTI_OPERAND_VALUE, link[i]);
        }
        int32_t last = hand_group(h, true, large);
        hand_read(h, last, COTI_OPERAND_VALUE, link[4]);
        hand_read(h, last, COTI_OPERAND_VALUE, made);
        hand_output(h, hand_value(h, true, 1));
        hand_write(h, last, COTI_OPERAND_VALUE, h->output[0]);
        coti_plan *plan = plan_of(h);
        assert_int_equal(plan->program.n_phases, 7);
        /* Sunk, `made` is chunk-local; held, `narrow` would have stayed for four phases more. */
        assert_int_equal(buffer_of(plan, maker, 1)->kind, wide ? COTR_ARENA : COTR_LOCAL);
        coti_plan_destroy(plan);
        hand_groups_end(h);
    }
}

/* A reader of an old state cannot sink to or past the state's writer. */
static void readers_of_old_states_stay_before(void **state) {
    (void)state;
    hand_groups *h = hand_groups_begin(context, 64);
    uint32_t w = hand_state(h, 16), copy = hand_value(h, true, 300), t = hand_value(h, true, 4),
             u = hand_value(h, false, 4), v = hand_value(h, true, 4);
    int32_t reader = hand_group(h, true, large);
    hand_read(h, reader, COTI_OPERAND_STATE, w);
    hand_write(h, reader, COTI_OPERAND_VALUE, copy);
    int32_t rows = hand_group(h, true, large);
    hand_write(h, rows, COTI_OPERAND_VALUE, t);
    int32_t writer = hand_group(h, false, large);
    hand_read(h, writer, COTI_OPERAND_VALUE, t);
    hand_write(h, writer, COTI_OPERAND_VALUE, u);
    hand_write(h, writer, COTI_OPERAND_STATE, w);
    int32_t last = hand_group(h, true, large);
    hand_read(h, last, COTI_OPERAND_VALUE, u);
    hand_read(h, last, COTI_OPERAND_VALUE, copy);
    hand_write(h, last, COTI_OPERAND_VALUE, v);
    hand_output(h, v);
    coti_plan_destroy(plan_of(h)); /* hand_check does the rest */
    hand_groups_end(h);
}

/* A chain of one product over the rows, n and k 64, of so many rows at most. */
static int64_t chunk_of(coti_gemm gemm, int64_t coefficient, int64_t shared, int64_t max_rows) {
    hand_groups *h = hand_groups_begin(context, max_rows);
    uint32_t v = hand_value(h, true, 5);
    int32_t g = hand_group(h, true, large);
    gemm.m_rows = true;
    gemm.n = 64;
    gemm.k = 64;
    gemm.b_stride[2] = 1;
    h->kernel[g].skeleton = COTI_SKELETON_GEMM;
    h->kernel[g].gemm = gemm;
    h->group[g].coefficient = coefficient;
    h->group[g].shared_bytes = shared;
    hand_write(h, g, COTI_OPERAND_VALUE, v);
    hand_output(h, v);
    coti_plan *plan = plan_of(h);
    const cotr_chain *chain = &plan->program.phase[0].chain[0];
    assert_int_equal(plan->call[0].coefficient, coefficient);
    assert_int_equal(chain->chunk % chain->grain, 0);
    int64_t chunk = chain->chunk;
    coti_plan_destroy(plan);
    hand_groups_end(h);
    return chunk;
}

static void chunks_fit_tiles_and_threads(void **state) {
    (void)state;
    const coti_gemm tile8 = {.form = COTI_GEMM_N_VECTORS, .tile_broadcast = 8, .tile_vectors = 2};
    coti_gemm tile24 = tile8, along_m = tile8, packed = tile8;
    tile24.tile_broadcast = 24;
    along_m.form = COTI_GEMM_M_VECTORS;
    along_m.tile_vectors = 4; /* of 8 lanes: 32 rows, or half of them at the end */
    packed.pack = true;
    /* Whole tiles; the smallest of equals. */
    assert_true(chunk_of(tile8, 1, 1000, 128) <= 16);
    assert_int_equal(chunk_of(tile24, 1, 1000, 960) % 24, 0);
    assert_int_equal(chunk_of(along_m, 1, 1000, 1024) % 16, 0);
    /* A row of a sequence is a task by itself, whatever else the chain does a row. */
    assert_int_equal(chunk_of(tile8, 64, 1000, 16), 1);
    /* 3 rows of N are 24 of 8 N. */
    assert_true(chunk_of(tile24, 3, 1000, 960) <= 16);
    /* Weights that are read from afar, or packed, for each chunk: fewer chunks. */
    assert_int_equal(chunk_of(tile8, 1, 1 << 22, 128), 64); /* two threads */
    assert_true(chunk_of(packed, 1, 1000, 1024) > chunk_of(tile8, 1, 1000, 1024));
    /* Never more than a fixed number, never more than there are. */
    assert_true(chunk_of(tile8, 1, 1 << 26, 1 << 20) <= 256);
    assert_int_equal(chunk_of(tile24, 1, 1 << 26, 1), 8);
}

/* ---- many random lists ---- */

static uint64_t random_state;

static uint32_t random_below(uint32_t bound) {
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % bound;
}

/* Groups that keep the contract: values read after they are written, states written once, last. */
static void make_random(hand_groups *h, int32_t n_groups) {
    uint32_t value[HAND_MAX_GROUPS], state[8];
    bool written[8] = {false};
    for (int32_t i = 0; i < 8; i++) {
        state[i] = hand_state(h, 1 + random_below(100));
    }
    for (int32_t i = 0; i < n_groups; i++) {
        static const double work[] = {10, 1e4, 1e6, 1e8};
        bool rows = random_below(3) > 0;
        int32_t g = hand_group(h, rows, work[random_below(4)]);
        for (uint32_t k = random_below(4); k > 0 && i > 0; k--) {
            int32_t back = 1 + (int32_t)random_below(random_below(8) == 0 ? 100 : 6);
            hand_read(h, g, COTI_OPERAND_VALUE, value[back > i ? 0 : i - back]);
        }
        uint32_t s = random_below(8);
        if (!written[s]) {
            written[s] = !rows && random_below(4) == 0;
            (written[s] ? hand_write : hand_read)(h, g, COTI_OPERAND_STATE, state[s]);
        }
        value[i] = hand_value(h, rows, 1 + random_below(600));
        hand_write(h, g, COTI_OPERAND_VALUE, value[i]);
    }
    hand_output(h, value[n_groups - 1]);
    hand_output(h, value[n_groups / 2]);
}

static void random_lists_are_planned_rightly(void **state) {
    (void)state;
    random_state = 1;
    for (int32_t i = 0; i < 300; i++) {
        hand_groups *h = hand_groups_begin(context, 1 + random_below(300));
        make_random(h, 2 + (int32_t)random_below(80));
        context->plan = i % 4 != 3;
        coti_plan *plan = plan_of(h);
        assert_true(plan->program.arena_bytes >= plan->bound_bytes);
        coti_plan_destroy(plan);
        hand_groups_end(h);
    }
    context->plan = true;
}

static void plan_off_shares_nothing(void **state) {
    (void)state;
    hand_groups *h = hand_groups_begin(context, 100);
    make_random(h, 60);
    context->plan = false;
    coti_plan *plan = plan_of(h);
    context->plan = true;
    int64_t sum = 0;
    for (int32_t i = 0; i < plan->program.n_buffers; i++) {
        const cotr_buffer *buffer = &plan->program.buffer[i];
        assert_int_not_equal(buffer->kind, COTR_LOCAL);
        if (buffer->kind == COTR_ARENA || buffer->kind == COTR_OUTPUT) {
            sum += (buffer->bytes + 63) / 64 * 64;
        }
    }
    assert_int_equal(plan->program.arena_bytes, sum);
    assert_int_equal(plan->program.local_bytes, 0);
    coti_plan_destroy(plan);
    hand_groups_end(h);
}

/* ---- broken contracts ---- */

static void broken_groups_are_refused(void **state) {
    (void)state;
    coti_plan *plan = NULL;
    hand_groups *h = hand_groups_begin(context, 8);
    uint32_t v = hand_value(h, true, 1), w = hand_state(h, 1);
    int32_t g = hand_group(h, true, 1);
    hand_read(h, g, COTI_OPERAND_VALUE, v);
    assert_int_equal(coti_plan_make(&h->groups, &target, &plan), COT_E_INTERNAL);
    CHECK_ERROR(context, COT_E_INTERNAL, "no group before it writes");
    h->operand[g][0] = (coti_operand){COTI_OPERAND_STATE, w, true, true};
    int32_t again = hand_group(h, false, 1);
    hand_read(h, again, COTI_OPERAND_STATE, w);
    assert_int_equal(coti_plan_make(&h->groups, &target, &plan), COT_E_INTERNAL);
    CHECK_ERROR(context, COT_E_INTERNAL, "has overwritten");
    assert_null(plan);
    hand_groups_end(h);
    h = hand_groups_begin(context, (int64_t)1 << 40);
    v = hand_value(h, true, 1 << 20);
    g = hand_group(h, true, 1);
    hand_write(h, g, COTI_OPERAND_VALUE, v);
    assert_int_equal(coti_plan_make(&h->groups, &target, &plan), COT_E_SHAPE);
    CHECK_ERROR(context, COT_E_SHAPE, "f32[N,1048576] is too large at 1099511627776 rows");
    hand_groups_end(h);
}

static void no_groups_make_an_empty_plan(void **state) {
    (void)state;
    hand_groups *h = hand_groups_begin(context, 8);
    coti_plan *plan = plan_of(h);
    assert_int_equal(plan->program.n_phases, 0);
    assert_int_equal(plan->program.arena_bytes, 0);
    coti_plan_destroy(plan);
    coti_plan_destroy(NULL);
    hand_groups_end(h);
}

static cot_status plan_and_print(cot_context *own, void *user) {
    hand_groups *h = user;
    coti_plan *plan = NULL;
    coti_str text;
    h->groups.context = own;
    coti_str_init(&text, own);
    COTI_TRY(coti_plan_make(&h->groups, &target, &plan));
    coti_plan_print(&text, plan, "hand");
    cot_status status = coti_str_status(&text);
    coti_str_free(&text);
    coti_plan_destroy(plan);
    return status;
}

static void survives_without_memory(void **state) {
    (void)state;
    char text[256];
    hand_groups *h = hand_groups_begin(context, 128);
    make_network(h, large);
    cot_options options = {.threads = 2, .environment = COT_OFF};
    CHECK_NO_COMPLAINT(alloc_fail_every(text, 1, &options, plan_and_print, h));
    hand_groups_end(h);
}

/* ---- the dump ---- */

static void the_dump_tells_all(void **state) {
    (void)state;
    hand_groups *h = hand_groups_begin(context, 128);
    make_network(h, large);
    coti_plan *plan = plan_of(h);
    coti_str text;
    coti_str_init(&text, context);
    coti_plan_print(&text, plan, "net");
    static const char *const expected[] = {
        "plan of net: phases shared by the threads: 2, on one thread: 0; 8 calls of 8 kernels\n",
        "arena: 931328 planned bytes / 931328 lower bound = 1.000\n",
        "at most 128 rows a step\n",
        "\nphase 0, shared, 300.0 Mflop\n",
        "  chain over rows, ",
        " a task, 300.0 Mflop\n",
        "    call 0 = kernel 0 \"hand\", left out when the rows lie so already\n",
        "      reads %v0 [source 0]\n",
        "      writes %v0 [arena +",
        "\nphase 1, shared, 150.0 Mflop\n",
        "  chain over 4 units, 100.0 Mflop\n",
        "writes %s6 [state ",
        "  %v2: f32[N,10] [local +0] ",
        " bytes, groups 2 to 3 of its chain\n",
        "  %v1: f32[N,512] [arena +",
        ", phases 0 to 1\n",
        "  kernel 7 \"hand\", scratch 0 bytes\n    map",
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        if (strstr(coti_str_text(&text), expected[i]) == NULL) {
            fail_msg("the dump lacks \"%s\":\n%s", expected[i], coti_str_text(&text));
        }
    }
    coti_str_free(&text);
    coti_plan_destroy(plan);
    hand_groups_end(h);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_training_step_has_two_phases),
        cmocka_unit_test(small_phases_run_on_one_thread),
        cmocka_unit_test(small_neighbours_merge),
        cmocka_unit_test(groups_sink_to_their_readers),
        cmocka_unit_test(readers_of_old_states_stay_before),
        cmocka_unit_test(chunks_fit_tiles_and_threads),
        cmocka_unit_test(random_lists_are_planned_rightly),
        cmocka_unit_test(plan_off_shares_nothing),
        cmocka_unit_test(broken_groups_are_refused),
        cmocka_unit_test(no_groups_make_an_empty_plan),
        cmocka_unit_test(survives_without_memory),
        cmocka_unit_test(the_dump_tells_all),
    };
    return cmocka_run_group_tests(tests, make_context, drop_context);
}
