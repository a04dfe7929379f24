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

/* A compile: the entries of all programs' kernels, one after the other, and those that are new. */
typedef struct request {
    coti_jit_program *program;
    int32_t n_programs;
    size_t n_kernels;
    uint32_t *entry;
    coti_jit_jobs fresh;
} request;

/* Their entries are not marked as met any more. */
static void clear_marks(coti_jit *jit, const coti_jit_jobs *met) {
    coti_jit_entry *entry = jit->entry.data;
    for (int32_t i = 0; entry != NULL && i < met->n_jobs; i++) {
        entry[met->job[i].entry].queued = false;
    }
}

static void free_request(coti_jit *jit, request *r) {
    for (int32_t i = 0; i < r->fresh.n_jobs; i++) {
        if (r->fresh.job[i].object != NULL) {
            LLVMDisposeMemoryBuffer(r->fresh.job[i].object);
        }
    }
    coti_free(jit->context, r->entry);
    coti_free(jit->context, r->fresh.job);
}

static cot_status allocate_request(coti_jit *jit, request *r) {
    for (int32_t i = 0; i < r->n_programs; i++) {
        r->n_kernels += (size_t)r->program[i].n_kernels;
    }
    r->entry = coti_calloc(jit->context, r->n_kernels, sizeof *r->entry);
    r->fresh.job = coti_calloc(jit->context, r->n_kernels, sizeof *r->fresh.job);
    return r->entry != NULL && r->fresh.job != NULL ? COT_OK : COT_E_NOMEM;
}

/* The key is as the cache wants it. Entries' texts stay where they are. */
static coti_jit_job make_job(const coti_jit *jit, const coti_kernel *kernel, uint32_t i_entry,
                             int32_t program) {
    const coti_jit_entry *entry = &jit->entry.data[i_entry];
    coti_jit_job job = {.kernel = kernel,
                        .entry = i_entry,
                        .program = program,
                        .key = {.text = entry->key, .bytes = entry->key_bytes}};
    coti_cache_hash(&job.key);
    name_symbol(&job);
    return job;
}

/* Find all kernels' entries; those without code are fresh, each once. */
static cot_status collect(coti_jit *jit, request *r) {
    coti_str text;
    coti_str_init(&text, jit->context);
    cot_status status = COT_OK;
    size_t n = 0;
    for (int32_t p = 0; p < r->n_programs; p++) {
        const coti_jit_program *program = &r->program[p];
        for (int32_t i = 0; i < program->n_kernels && status == COT_OK; i++) {
            status = find_entry(jit, program->kernel[i], &text, &r->entry[n]);
            coti_jit_entry *entry = status == COT_OK ? &jit->entry.data[r->entry[n]] : NULL;
            if (entry != NULL && entry->code == NULL && !entry->queued) {
                r->fresh.job[r->fresh.n_jobs++] = make_job(jit, program->kernel[i], r->entry[n], p);
                entry->queued = true;
            }
            n += status == COT_OK;
        }
    }
    clear_marks(jit, &r->fresh);
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

static cot_status fetch_one(coti_jit *jit, const coti_cache *cache, coti_jit_jobs *jobs,
                            int32_t i) {
    coti_jit_job *job = &jobs->job[i];
    coti_cached found;
    COTI_TRY(coti_cache_find(cache, jit->context, &job->key, &found));
    if (found.file != NULL && symbol_fits(job, found.symbol)) {
        (void)snprintf(job->symbol, sizeof job->symbol, "%s", found.symbol);
        job->object = LLVMCreateMemoryBufferWithMemoryRangeCopy(found.object, found.object_bytes,
                                                                job->symbol);
        job->read_bytes = found.file_bytes;
        jobs->n_cached++;
    }
    coti_cache_release(jit->context, &found);
    return COT_OK;
}

static cot_status fetch(coti_jit *jit, const coti_cache *cache, coti_jit_jobs *jobs) {
    cot_status status = COT_OK;
    for (int32_t i = 0; i < jobs->n_jobs && status == COT_OK; i++) {
        status = fetch_one(jit, cache, jobs, i);
    }
    return status;
}

/* Objects of all fresh kernels, from disk or compiled. */
static cot_status obtain(coti_jit *jit, coti_jit_jobs *fresh) {
    coti_cache cache;
    coti_cache_open(jit->context, &cache);
    cot_status status = fetch(jit, &cache, fresh);
    if (status == COT_OK && fresh->n_cached < fresh->n_jobs) {
        status = coti_jit_build(jit, fresh, &cache, jit->context->threads);
    }
    coti_cache_close(&cache);
    return status;
}

/* ---- a compile ---- */

static cot_status compile(coti_jit *jit, coti_jit_jobs *fresh) {
    if (fresh->n_jobs > 0) {
        qsort(fresh->job, (size_t)fresh->n_jobs, sizeof *fresh->job, compare_jobs);
        COTI_TRY(obtain(jit, fresh));
        COTI_TRY(coti_jit_link(jit, fresh));
        jit->context->n_kernels_compiled += fresh->n_jobs - fresh->n_cached;
    }
    return COT_OK;
}

/* Tell each program its kernels' code, and what was done for it. */
static void tell(const coti_jit *jit, const request *r) {
    const uint32_t *entry = r->entry;
    for (int32_t p = 0; p < r->n_programs; p++) {
        coti_jit_program *program = &r->program[p];
        program->n_compiled = 0;
        program->n_cached = 0;
        program->read_bytes = 0;
        program->written_bytes = 0;
        for (int32_t i = 0; i < program->n_kernels; i++) {
            program->code_out[i] = jit->entry.data[*entry++].code;
        }
    }
    for (int32_t i = 0; i < r->fresh.n_jobs; i++) {
        const coti_jit_job *job = &r->fresh.job[i];
        coti_jit_program *program = &r->program[job->program];
        program->n_compiled += job->read_bytes == 0;
        program->n_cached += job->read_bytes > 0;
        program->read_bytes += job->read_bytes;
        program->written_bytes += job->written_bytes;
    }
}

/* Dump the distinct kernels of each program. */
static cot_status dump(coti_jit *jit, const request *r) {
    if (!jit->context->dump[COTI_STAGE_LLVM] && !jit->context->dump[COTI_STAGE_ASM]) {
        return COT_OK;
    }
    coti_jit_jobs all = {.job = coti_calloc(jit->context, r->n_kernels, sizeof(coti_jit_job))};
    cot_status status = all.job != NULL ? COT_OK : COT_E_NOMEM;
    for (int32_t p = 0, n = 0; p < r->n_programs && status == COT_OK; p++) {
        const coti_jit_program *program = &r->program[p];
        all.n_jobs = 0;
        for (int32_t i = 0; i < program->n_kernels; i++, n++) {
            coti_jit_entry *entry = &jit->entry.data[r->entry[n]];
            if (!entry->queued) {
                all.job[all.n_jobs++] = make_job(jit, program->kernel[i], r->entry[n], p);
                entry->queued = true;
            }
        }
        clear_marks(jit, &all);
        status = coti_jit_dump(jit, program, &all);
    }
    coti_free(jit->context, all.job);
    return status;
}

cot_status coti_jit_compile_all(cot_context *context, coti_jit_program *program, int32_t n) {
    coti_jit *jit = NULL;
    request r = {.program = program, .n_programs = n};
    COTI_TRY(get_state(context, &jit));
    cot_status status = allocate_request(jit, &r);
    status = status == COT_OK ? collect(jit, &r) : status;
    status = status == COT_OK ? compile(jit, &r.fresh) : status;
    if (status == COT_OK) {
        tell(jit, &r);
        status = dump(jit, &r);
    }
    free_request(jit, &r);
    return status;
}

cot_status coti_jit_compile(cot_context *context, const char *program,
                            const coti_kernel *const *kernel, int32_t n_kernels,
                            cotr_kernel *code_out, int32_t *n_compiled_out) {
    coti_jit_program one = {
        .name = program, .kernel = kernel, .n_kernels = n_kernels, .code_out = code_out};
    COTI_TRY(coti_jit_compile_all(context, &one, 1));
    *n_compiled_out = one.n_compiled;
    return COT_OK;
}
