/*
 * Options: the table of environment variables, their parsing, and the defaults.
 *
 * Each variable is one row of the list below; its setter changes a field of the options only where
 * the caller left it at its default, so that options given in code win.
 */

#include "options.h"

#include "str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* X(name, setter, values, help) */
#define ENVIRONMENT_LIST(X)                                                                        \
    X("COT_DUMP", set_dump, "graph,grad,opt,fuse,plan,llvm,asm or all",                            \
      "write these stages of every compiled program to files")                                     \
    X("COT_DUMP_DIR", set_dump_dir, "a directory", "where the dump files go (default: .)")         \
    X("COT_THREADS", set_threads, "1 to 1024", "worker threads of a step (default: one a core)")   \
    X("COT_ISA", set_isa, "baseline, avx2 or avx512",                                              \
      "vector instructions of the kernels (default: the best that the machine has)")               \
    X("COT_SEED", set_seed, "an unsigned number",                                                  \
      "seed of initial weights, shuffles and random nodes, where the program gives none")          \
    X("COT_JIT", set_jit, "0 or 1", "0: the reference evaluator runs everything")                  \
    X("COT_FUSE", set_fuse, "0 or 1", "0: one kernel a node")                                      \
    X("COT_OPT", set_optimize, "0 or 1", "0: no graph simplification")                             \
    X("COT_PLAN", set_plan, "0 or 1", "0: no two buffers share memory")                            \
    X("COT_VERIFY", set_verify, "0 or 1", "1: verify the graph after every pass")                  \
    X("COT_CACHE", set_cache, "0 or 1", "0: keep no compiled kernels on disk")                     \
    X("COT_CACHE_DIR", set_cache_dir, "a directory",                                               \
      "where compiled kernels are kept (default: $XDG_CACHE_HOME/cotangent or "                    \
      "~/.cache/cotangent)")

#define ENVIRONMENT_ROW(name, setter, values, help) {name, values, help},
const coti_environment coti_environment_table[] = {
    ENVIRONMENT_LIST(ENVIRONMENT_ROW){NULL, NULL, NULL}};

/* ---- parsing ---- */

static bool parse_unsigned(const char *text, uint64_t *value_out) {
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (errno != 0 || *end != '\0') {
        return false;
    }
    *value_out = value;
    return true;
}

static bool parse_switch(const char *text, cot_switch *value_inout) {
    static const struct {
        const char *word;
        cot_switch value;
    } table[] = {{"1", COT_ON},    {"0", COT_OFF},     {"on", COT_ON},  {"off", COT_OFF},
                 {"true", COT_ON}, {"false", COT_OFF}, {"yes", COT_ON}, {"no", COT_OFF}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(text, table[i].word) == 0) {
            *value_inout = *value_inout == COT_DEFAULT ? table[i].value : *value_inout;
            return true;
        }
    }
    return false;
}

/* Mark the stages of a comma separated list; false at a name that is no stage. */
static bool parse_stages(const char *list, bool stage_out[COTI_STAGE_COUNT]) {
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        char name[16] = {0};
        coti_stage stage = COTI_STAGE_GRAPH;
        if (length >= sizeof name) {
            return false;
        }
        memcpy(name, list, length);
        if (strcmp(name, "all") == 0) {
            memset(stage_out, true, COTI_STAGE_COUNT * sizeof stage_out[0]);
        } else if (coti_stage_find(name, &stage)) {
            stage_out[stage] = true;
        } else if (length > 0) {
            return false;
        }
        list += length + (list[length] == ',');
    }
    return true;
}

/* ---- setters: false when the text cannot be understood ---- */

static bool set_dump(cot_options *options, const char *text) {
    bool stage[COTI_STAGE_COUNT] = {false};
    if (!parse_stages(text, stage)) {
        return false;
    }
    options->dump = options->dump == NULL ? text : options->dump;
    return true;
}

static bool set_dump_dir(cot_options *options, const char *text) {
    options->dump_dir = options->dump_dir == NULL ? text : options->dump_dir;
    return true;
}

static bool set_threads(cot_options *options, const char *text) {
    uint64_t threads = 0;
    if (!parse_unsigned(text, &threads) || threads < 1 || threads > COTI_MAX_THREADS) {
        return false;
    }
    options->threads = options->threads == 0 ? (int32_t)threads : options->threads;
    return true;
}

static bool set_isa(cot_options *options, const char *text) {
    static const char *const name[] = {
        [COT_ISA_BASELINE] = "baseline", [COT_ISA_AVX2] = "avx2", [COT_ISA_AVX512] = "avx512"};
    for (cot_isa isa = COT_ISA_BASELINE; isa <= COT_ISA_AVX512; isa++) {
        if (strcmp(text, name[isa]) == 0) {
            options->isa = options->isa == COT_ISA_DEFAULT ? isa : options->isa;
            return true;
        }
    }
    return false;
}

static bool set_seed(cot_options *options, const char *text) {
    uint64_t seed = 0;
    if (!parse_unsigned(text, &seed)) {
        return false;
    }
    options->seed = options->seed == 0 ? seed : options->seed;
    return true;
}

static bool set_jit(cot_options *options, const char *text) {
    return parse_switch(text, &options->jit);
}

static bool set_fuse(cot_options *options, const char *text) {
    return parse_switch(text, &options->fuse);
}

static bool set_optimize(cot_options *options, const char *text) {
    return parse_switch(text, &options->optimize);
}

static bool set_plan(cot_options *options, const char *text) {
    return parse_switch(text, &options->plan);
}

static bool set_verify(cot_options *options, const char *text) {
    return parse_switch(text, &options->verify);
}

static bool set_cache(cot_options *options, const char *text) {
    return parse_switch(text, &options->cache);
}

static bool set_cache_dir(cot_options *options, const char *text) {
    options->cache_dir = options->cache_dir == NULL ? text : options->cache_dir;
    return true;
}

/* ---- from options to the context ---- */

static bool switch_valid(cot_switch value) {
    return value == COT_DEFAULT || value == COT_ON || value == COT_OFF;
}

static bool options_valid(const cot_options *o) {
    return o->threads >= 0 && o->threads <= COTI_MAX_THREADS && o->isa >= COT_ISA_DEFAULT &&
           o->isa <= COT_ISA_AVX512 && switch_valid(o->environment) && switch_valid(o->jit) &&
           switch_valid(o->fuse) && switch_valid(o->optimize) && switch_valid(o->plan) &&
           switch_valid(o->verify) && switch_valid(o->cache) && o->cache_bytes >= 0;
}

/* secure_getenv: a program that runs with another user's rights takes nothing from its environment.
 */
static void read_environment(cot_context *context, cot_options *options) {
    static bool (*const setter[])(cot_options *, const char *) = {
#define ENVIRONMENT_SETTER(name, set, values, help) set,
        ENVIRONMENT_LIST(ENVIRONMENT_SETTER)
#undef ENVIRONMENT_SETTER
    };
    for (size_t i = 0; i < sizeof setter / sizeof setter[0]; i++) {
        const coti_environment *row = &coti_environment_table[i];
        const char *text = secure_getenv(row->name);
        if (text != NULL && text[0] != '\0' && !setter[i](options, text)) {
            COTI_FAIL(context, COT_E_ARG, "environment variable %s is \"%.64s\", expected %s",
                      row->name, text, row->values);
        }
    }
}

/* A directory by the environment; NULL when it is not set, or not absolute, which is as good. */
static const char *directory_of(const char *variable) {
    const char *path = secure_getenv(variable);
    return path != NULL && path[0] == '/' ? path : NULL;
}

/* Where compiled kernels are kept by the XDG base directory specification; NULL in *path_out where
 * nobody says. */
static cot_status default_cache_dir(cot_context *context, char **path_out) {
    const char *cache = directory_of("XDG_CACHE_HOME"), *home = directory_of("HOME");
    coti_str path;
    if (cache == NULL && home == NULL) {
        return COT_OK;
    }
    coti_str_init(&path, context);
    coti_str_printf(&path, "%s%s/cotangent", cache != NULL ? cache : home,
                    cache != NULL ? "" : "/.cache");
    cot_status status = coti_str_status(&path);
    if (status == COT_OK) {
        *path_out = coti_strdup(context, coti_str_text(&path));
        status = *path_out != NULL ? COT_OK : COT_E_NOMEM;
    }
    coti_str_free(&path);
    return status;
}

static cot_status apply_cache(cot_context *context, const cot_options *options) {
    enum { DEFAULT_CACHE_MIB = 256 };
    context->cache_bytes =
        options->cache_bytes != 0 ? options->cache_bytes : (int64_t)DEFAULT_CACHE_MIB << 20;
    if (options->cache == COT_OFF) {
        return COT_OK;
    }
    if (options->cache_dir != NULL) {
        context->cache_dir = coti_strdup(context, options->cache_dir);
        return context->cache_dir != NULL ? COT_OK : COT_E_NOMEM;
    }
    const bool found = options->cache == COT_ON || options->environment != COT_OFF;
    return found ? default_cache_dir(context, &context->cache_dir) : COT_OK;
}

cot_status coti_options_apply(cot_context *context, const cot_options *given) {
#ifdef COTI_DEBUG
    const bool verify_default = true;
#else
    const bool verify_default = false;
#endif
    cot_options options = *given;
    if (!options_valid(&options) ||
        (options.dump != NULL && !parse_stages(options.dump, context->dump))) {
        return COTI_FAIL(context, COT_E_ARG, "an option of the context is out of range");
    }
    if (options.environment != COT_OFF) {
        read_environment(context, &options);
    }
    context->threads = options.threads != 0 ? options.threads : coti_count_processors();
    context->isa = options.isa;
    context->seed = options.seed;
    context->jit = options.jit != COT_OFF;
    context->fuse = options.fuse != COT_OFF;
    context->optimize = options.optimize != COT_OFF;
    context->plan = options.plan != COT_OFF;
    context->verify = options.verify == COT_ON || (options.verify == COT_DEFAULT && verify_default);
    if (options.dump != NULL) {
        parse_stages(options.dump, context->dump);
    }
    context->dump_dir = coti_strdup(context, options.dump_dir != NULL ? options.dump_dir : ".");
    return context->dump_dir != NULL ? apply_cache(context, &options) : COT_E_NOMEM;
}
