/*
 * Compiling many kernels on several threads: each takes the next job until none is left. The jobs
 * come with the dearest first.
 *
 * A kernel is a module and an object of its own, so that it is kept on disk by itself: several in a
 * module compile a twentieth sooner, but would be found again only together.
 *
 * A thread has an LLVM context, a target machine and a copy of the cot_context of its own, so that
 * neither LLVM's state nor our error record is shared; the host's allocator is called under a lock.
 * The caller's thread works too, and alone when threads cannot be had. Every result stands in its
 * job, so neither the code nor the error that is reported depends on who did what.
 */
#include "jit_internal.h"

#include <pthread.h>
#include <stdatomic.h>

enum { STACK_BYTES = 8 << 20 }; /* LLVM's passes recurse */

/* What the threads of a compile share. */
typedef struct pool {
    coti_jit *jit;
    coti_jit_jobs *jobs;
    coti_cache *cache;
    coti_module_options options;
    atomic_int next;         /* job that nobody has taken */
    atomic_bool stop;        /* a job failed: begin no other */
    pthread_mutex_t lock;    /* around the allocator */
    cot_allocator allocator; /* the host's */
} pool;

typedef struct worker {
    pool *pool;
    LLVMTargetMachineRef machine;
    cot_context context; /* the emitter's: options of the real one, own error record */
    pthread_t thread;
    bool started;
    int32_t failed; /* job that failed; -1: none */
    coti_error error;
} worker;

/* ---- the host's allocator, one call at a time ---- */

static void *locked_alloc(size_t bytes, void *user) {
    pool *p = user;
    (void)pthread_mutex_lock(&p->lock);
    void *pointer = p->allocator.alloc(bytes, p->allocator.user);
    (void)pthread_mutex_unlock(&p->lock);
    return pointer;
}

static void *locked_realloc(void *pointer, size_t old_bytes, size_t new_bytes, void *user) {
    pool *p = user;
    (void)pthread_mutex_lock(&p->lock);
    void *moved = p->allocator.realloc(pointer, old_bytes, new_bytes, p->allocator.user);
    (void)pthread_mutex_unlock(&p->lock);
    return moved;
}

static void locked_free(void *pointer, void *user) {
    pool *p = user;
    (void)pthread_mutex_lock(&p->lock);
    p->allocator.free(pointer, p->allocator.user);
    (void)pthread_mutex_unlock(&p->lock);
}

/* ---- a job ---- */

/* Say which kernel LLVM's error is about; the emitter's errors say so themselves. */
static cot_status name_error(coti_module *module, cot_status status, const char *symbol) {
    if (status != COT_OK) {
        coti_error unnamed = module->error;
        (void)coti_error_set(&module->error, status, "kernel \"%s\": %s", symbol, unnamed.message);
    }
    return status;
}

cot_status coti_jit_emit(coti_module *module, cot_context *context, const coti_kernel *kernel,
                         const char *symbol) {
    LLVMModuleRef emitted = NULL;
    cot_status status =
        coti_emit_kernel(context, module->llvm, kernel, &module->options->target, symbol, &emitted);
    if (status != COT_OK) {
        module->error = context->error;
        return status;
    }
    return name_error(module, coti_module_set(module, emitted), symbol);
}

static cot_status run_job(worker *w, coti_module *module, coti_jit_job *job) {
    COTI_TRY(coti_jit_emit(module, &w->context, job->kernel, job->symbol));
    COTI_TRY(coti_module_finish(module));
    COTI_TRY(coti_module_take(module, LLVMObjectFile, &job->object));
    job->written_bytes =
        coti_cache_store(w->pool->cache, &job->key, job->symbol, LLVMGetBufferStart(job->object),
                         LLVMGetBufferSize(job->object));
    return COT_OK;
}

static void *work(void *user) {
    worker *w = user;
    pool *p = w->pool;
    coti_module module;
    coti_module_init(&module, &p->options, w->machine);
    while (!atomic_load(&p->stop)) {
        int32_t i = atomic_fetch_add(&p->next, 1);
        if (i >= p->jobs->n_jobs) {
            break;
        }
        coti_jit_job *job = &p->jobs->job[i];
        if (job->object == NULL && run_job(w, &module, job) != COT_OK) {
            w->failed = i;
            w->error = module.error;
            atomic_store(&p->stop, true);
        }
    }
    coti_module_free(&module);
    return NULL;
}

/* ---- threads ---- */

static void start(worker *w) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) {
        return;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    w->started = pthread_create(&w->thread, &attributes, work, w) == 0;
    (void)pthread_attr_destroy(&attributes);
}

/* Report the failure of the earliest job. */
static cot_status report(coti_jit *jit, const worker *w, int32_t n) {
    const worker *first = NULL;
    for (int32_t i = 0; i < n; i++) {
        if (w[i].failed >= 0 && (first == NULL || w[i].failed < first->failed)) {
            first = &w[i];
        }
    }
    if (first == NULL) {
        return COT_OK;
    }
    return COTI_FAIL(jit->context, first->error.status, "%s", first->error.message);
}

static void set_up(pool *p, worker *w, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        w[i].pool = p;
        w[i].machine = p->jit->machine[i];
        w[i].context = *p->jit->context;
        w[i].context.allocator = (cot_allocator){locked_alloc, locked_realloc, locked_free, p};
        w[i].context.error = (coti_error){0};
        w[i].failed = -1;
    }
}

cot_status coti_jit_build(coti_jit *jit, coti_jit_jobs *jobs, coti_cache *cache, int32_t threads) {
    const int32_t wanted = jobs->n_jobs - jobs->n_cached;
    int32_t n = threads < wanted ? threads : wanted;
    n = n < 1 ? 1 : n;
    COTI_TRY(coti_jit_machines(jit, n));
    worker *w = coti_calloc(jit->context, (size_t)n, sizeof *w);
    if (w == NULL) {
        return COT_E_NOMEM;
    }
    pool p = {.jit = jit,
              .jobs = jobs,
              .cache = cache,
              .options = coti_jit_module_options(jit, false),
              .allocator = jit->context->allocator};
    (void)pthread_mutex_init(&p.lock, NULL);
    set_up(&p, w, n);
    for (int32_t i = 1; i < n; i++) {
        start(&w[i]);
    }
    (void)work(&w[0]);
    for (int32_t i = 1; i < n; i++) {
        if (w[i].started) {
            (void)pthread_join(w[i].thread, NULL);
        }
    }
    (void)pthread_mutex_destroy(&p.lock);
    cot_status status = report(jit, w, n);
    coti_free(jit->context, w);
    return status;
}
