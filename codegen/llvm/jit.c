/*
 * The JIT: from kernels to code, compiling each distinct kernel once in a context's life, and once
 * on a machine where there is an object cache.
 *
 *   look up by key          find_entry            the origin of code, the text of the kernel
 *   look on disk            fetch                 codegen/cache.h
 *   compile what is new     coti_jit_build        jit_pool.c
 *   link                    coti_jit_link         jit_link.c
 *   dump if asked           coti_jit_dump         jit_dump.c
 *
 * An object goes the same way whether it was compiled or found. An entry whose compile failed stays
 * without code and is tried again when it is asked for again. A symbol is named by its key, so that
 * it is the same in every process and no two kernels share one.
 */
#include "jit_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool coti_jit_available(void) {
    return true;
}

int64_t coti_jit_scratch_bytes(const coti_kernel *kernel, const coti_target *target) {
    switch (kernel->skeleton) {
    case COTI_SKELETON_GEMM:
        return coti_scratch_bytes_gemm(kernel, target);
    case COTI_SKELETON_ROWRED:
        return coti_scratch_bytes_rowred(kernel, target);
    case COTI_SKELETON_LOAD:
    case COTI_SKELETON_MAP:
    case COTI_SKELETON_COLRED:
    case COTI_SKELETON_SCATTER:
        break;
    }
    return 0;
}

/* ---- state ---- */

static void destroy(void *state) {
    coti_jit *jit = state;
    cot_context *context = jit->context;
    coti_jit_unlink(jit);
    coti_jit_machines_free(jit);
    for (size_t i = 0; i < jit->entry.count; i++) {
        coti_free(context, jit->entry.data[i].key);
    }
    coti_vec_free(context, &jit->entry);
    coti_map_free(&jit->map);
    coti_free(context, jit->origin);
    coti_free(context, jit);
}

/* Work for a target: machines of another go, and code has another origin. */
static cot_status set_target(coti_jit *jit, const coti_target *target) {
    coti_str origin;
    if (jit->origin != NULL && jit->target.isa == target->isa) {
        return COT_OK;
    }
    coti_str_init(&origin, jit->context);
    coti_jit_print_origin(&origin, target);
    cot_status status = coti_str_status(&origin);
    char *copy = status == COT_OK ? coti_strdup(jit->context, coti_str_text(&origin)) : NULL;
    coti_str_free(&origin);
    if (copy == NULL) {
        return COT_E_NOMEM;
    }
    coti_jit_machines_free(jit);
    coti_free(jit->context, jit->origin);
    jit->origin = copy;
    jit->target = *target;
    return COT_OK;
}

/* The context's state, made if need be, for the target that it asks for now. */
static cot_status get_state(cot_context *context, coti_jit **jit_out) {
    coti_target target;
    COTI_TRY(coti_jit_target(context, &target));
    coti_jit *jit = context->slot[COTI_SLOT_JIT].state;
    if (jit == NULL) {
        coti_jit_initialize();
        jit = coti_calloc(context, 1, sizeof *jit);
        if (jit == NULL) {
            return COT_E_NOMEM;
        }
        jit->context = context;
        coti_map_init(&jit->map, context);
        context->slot[COTI_SLOT_JIT].state = jit;
        context->slot[COTI_SLOT_JIT].destroy = destroy;
    }
    *jit_out = jit;
    return set_target(jit, &target);
}

/* ---- entries ---- */

typedef struct key {
    const coti_jit *jit;
    const char *text;
    size_t bytes;
} key;

static bool key_equal(const void *user, uint32_t value) {
    const key *wanted = user;
    const coti_jit_entry *entry = &wanted->jit->entry.data[value];
    return entry->key_bytes == wanted->bytes &&
           memcmp(entry->key, wanted->text, wanted->bytes) == 0;
}

static cot_status add_entry(coti_jit *jit, const key *k, uint64_t hash, uint32_t *entry_out) {
    COTI_TRY(coti_vec_reserve(jit->context, &jit->entry, jit->entry.count + 1));
    char *text = coti_strdup(jit->context, k->text);
    if (text == NULL) {
        return COT_E_NOMEM;
    }
    uint32_t index = (uint32_t)jit->entry.count;
    cot_status status = coti_map_add(&jit->map, hash, index);
    if (status != COT_OK) {
        coti_free(jit->context, text);
        return status;
    }
    jit->entry.data[jit->entry.count++] = (coti_jit_entry){text, k->bytes, NULL, false};
    *entry_out = index;
    return COT_OK;
}

/* The kernel's entry, added without code if it is new. `text` is scratch. */
static cot_status find_entry(coti_jit *jit, const coti_kernel *kernel, coti_str *text,
                             uint32_t *entry_out) {
    coti_str_clear(text);
    coti_str_append(text, jit->origin);
    coti_kernel_print(text, kernel);
    COTI_TRY(coti_str_status(text));
    key k = {jit, coti_str_text(text), text->count};
    uint64_t hash = coti_hash(0, k.text, k.bytes);
    return coti_map_find(&jit->map, hash, key_equal, &k, entry_out)
               ? COT_OK
               : add_entry(jit, &k, hash, entry_out);
}

/* ---- jobs ---- */

/* cotk_<hint>_<hash>, of letters, digits and '_' alone. */
static void name_symbol(coti_jit_job *job) {
    const char *hint = job->kernel->hint == NULL ? "kernel" : job->kernel->hint;
    (void)snprintf(job->symbol, sizeof job->symbol, "cotk_%.80s_%016llx", hint,
                   (unsigned long long)job->key.hash[0]);
    for (char *c = job->symbol; *c != '\0'; c++) {
        bool plain =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        *c = plain ? *c : '_';
    }
}

/* The compile of one program: its kernels' entries; each distinct kernel once; those that are new.
 */
typedef struct request {
    uint32_t *entry; /* n_kernels */
    coti_jit_jobs all, fresh;
} request;

static void free_request(coti_jit *jit, request *r) {
    for (int32_t i = 0; i < r->fresh.n_jobs; i++) {
        if (r->fresh.job[i].object != NULL) {
            LLVMDisposeMemoryBuffer(r->fresh.job[i].object);
        }
    }
    for (int32_t i = 0; i < r->all.n_jobs; i++) {
        jit->entry.data[r->all.job[i].entry].queued = false;
    }
    coti_free(jit->context, r->entry);
    coti_free(jit->context, r->all.job);
    coti_free(jit->context, r->fresh.job);
}

static cot_status allocate_request(coti_jit *jit, size_t n, request *r) {
    *r = (request){0};
    r->entry = coti_calloc(jit->context, n, sizeof *r->entry);
    r->all.job = coti_calloc(jit->context, n, sizeof *r->all.job);
    r->fresh.job = coti_calloc(jit->context, n, sizeof *r->fresh.job);
    return r->entry != NULL && r->all.job != NULL && r->fresh.job != NULL ? COT_OK : COT_E_NOMEM;
}

/* The key as the cache wants it. Entries' texts stay where they are. */
static void set_key(const coti_jit *jit, coti_jit_job *job) {
    const coti_jit_entry *entry = &jit->entry.data[job->entry];
    job->key = (coti_cache_key){.text = entry->key, .bytes = entry->key_bytes};
    coti_cache_hash(&job->key);
}

static cot_status collect(coti_jit *jit, const coti_kernel *const *kernel, int32_t n_kernels,
                          request *r) {
    coti_str text;
    coti_str_init(&text, jit->context);
    cot_status status = COT_OK;
    for (int32_t i = 0; i < n_kernels && status == COT_OK; i++) {
        status = find_entry(jit, kernel[i], &text, &r->entry[i]);
        if (status != COT_OK || jit->entry.data[r->entry[i]].queued) {
            continue;
        }
        coti_jit_job *job = &r->all.job[r->all.n_jobs++];
        *job = (coti_jit_job){.kernel = kernel[i], .entry = r->entry[i]};
        jit->entry.data[job->entry].queued = true;
        set_key(jit, job);
        name_symbol(job);
        if (jit->entry.data[job->entry].code == NULL) {
            r->fresh.job[r->fresh.n_jobs++] = *job;
        }
    }
    coti_str_free(&text);
    return status;
}

/* What a kernel costs to compile, very roughly. */
static int32_t weight(const coti_jit_job *job) {
    const coti_kernel *k = job->kernel;
    int32_t tile = k->gemm.tile_broadcast * k->gemm.tile_vectors;
    return k->skeleton == COTI_SKELETON_GEMM ? 40 + tile + k->body.n_exprs : 10 + k->body.n_exprs;
}

static int compare_jobs(const void *a, const void *b) {
    const coti_jit_job *x = a, *y = b;
    int32_t heavier = weight(y) - weight(x);
    return heavier != 0 ? heavier : (x->entry > y->entry) - (x->entry < y->entry);
}

/* ---- objects on disk ---- */

/* Is this the symbol that name_symbol gives the key, whatever the hint was? */
static bool symbol_fits(const coti_jit_job *job, const char *symbol) {
    const char *own = strrchr(job->symbol, '_'), *given = strrchr(symbol, '_');
    return given != NULL && strcmp(own, given) == 0 && strlen(symbol) < sizeof job->symbol;
}

static cot_status fetch_one(coti_jit *jit, coti_cache *cache, coti_jit_jobs *jobs, int32_t i) {
    coti_jit_job *job = &jobs->job[i];
    coti_cached found;
    COTI_TRY(coti_cache_find(cache, jit->context, &job->key, &found));
    if (found.file != NULL && symbol_fits(job, found.symbol)) {
        (void)snprintf(job->symbol, sizeof job->symbol, "%s", found.symbol);
        job->object = LLVMCreateMemoryBufferWithMemoryRangeCopy(found.object, found.object_bytes,
                                                                job->symbol);
        jobs->n_cached++;
    }
    coti_cache_release(jit->context, &found);
    return COT_OK;
}

static cot_status fetch(coti_jit *jit, coti_cache *cache, coti_jit_jobs *jobs) {
    cot_status status = COT_OK;
    for (int32_t i = 0; i < jobs->n_jobs && status == COT_OK; i++) {
        status = fetch_one(jit, cache, jobs, i);
    }
    return status;
}

/* Objects of all fresh kernels, from disk or compiled. */
static cot_status obtain(coti_jit *jit, coti_jit_jobs *fresh) {
    cot_context *context = jit->context;
    coti_cache cache;
    coti_cache_open(context, &cache);
    cot_status status = fetch(jit, &cache, fresh);
    if (status == COT_OK && fresh->n_cached < fresh->n_jobs) {
        status = coti_jit_build(jit, fresh, &cache, context->threads);
    }
    coti_cache_close(&cache);
    context->cache_read_bytes += cache.read_bytes;
    context->cache_written_bytes += (int64_t)atomic_load(&cache.written_bytes);
    return status;
}

static cot_status compile(coti_jit *jit, const char *program, request *r) {
    if (r->fresh.n_jobs > 0) {
        qsort(r->fresh.job, (size_t)r->fresh.n_jobs, sizeof *r->fresh.job, compare_jobs);
        COTI_TRY(obtain(jit, &r->fresh));
        COTI_TRY(coti_jit_link(jit, &r->fresh));
        jit->context->n_kernels_compiled += r->fresh.n_jobs - r->fresh.n_cached;
        jit->context->n_kernels_cached += r->fresh.n_cached;
    }
    return coti_jit_dump(jit, program, &r->all, &r->fresh);
}

cot_status coti_jit_compile(cot_context *context, const char *program,
                            const coti_kernel *const *kernel, int32_t n_kernels,
                            cotr_kernel *code_out, int32_t *n_compiled_out) {
    coti_jit *jit = NULL;
    request r;
    COTI_TRY(get_state(context, &jit));
    cot_status status = allocate_request(jit, (size_t)n_kernels, &r);
    if (status == COT_OK) {
        status = collect(jit, kernel, n_kernels, &r);
    }
    if (status == COT_OK) {
        status = compile(jit, program, &r);
    }
    for (int32_t i = 0; i < n_kernels && status == COT_OK; i++) {
        code_out[i] = jit->entry.data[r.entry[i]].code;
    }
    if (status == COT_OK) {
        *n_compiled_out = r.fresh.n_jobs - r.fresh.n_cached;
    }
    free_request(jit, &r);
    return status;
}
