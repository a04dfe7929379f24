/*
 * Dump files: one a stage and program, numbered in the order in which they are opened.
 *
 * A dump never changes what is computed; a dump that cannot be written is an error all the same,
 * because whoever asked for it would otherwise look at an old file.
 */

#include "context.h"

#include "str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct coti_dump {
    FILE *file; /* NULL: the context's dump_write receives the text */
    cot_write_fn write;
    void *user;
    bool refused; /* by write */
    coti_str path;
};

static const char *const stage_name[] = {
#define STAGE_NAME(id, name, help) [COTI_STAGE_##id] = name,
    COTI_STAGE_LIST(STAGE_NAME)
#undef STAGE_NAME
};

const char *coti_stage_name(coti_stage stage) {
    return (size_t)stage < COTI_STAGE_COUNT ? stage_name[stage] : "?";
}

bool coti_stage_find(const char *name, coti_stage *stage_out) {
    for (int32_t i = 0; i < COTI_STAGE_COUNT; i++) {
        if (strcmp(name, stage_name[i]) == 0) {
            *stage_out = (coti_stage)i;
            return true;
        }
    }
    return false;
}

/* <dir>/<nn>_<program>_<stage>.<extension>; what is no letter or digit of a program becomes '_'. */
static void format_path(coti_str *path, const cot_context *context, coti_stage stage,
                        const char *program, const char *extension) {
    coti_str_printf(path, "%s/%02d_", context->dump_dir, (int)context->n_dumped);
    for (const char *c = program; *c != '\0'; c++) {
        bool plain =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
        coti_str_append_bytes(path, plain ? c : "_", 1);
    }
    coti_str_printf(path, "_%s.%s", coti_stage_name(stage), extension);
}

/* Open the file of a dump; errno tells what went wrong. */
static bool open_file(const cot_context *context, coti_dump *dump) {
    /* Should the directory be missing and not makeable, opening the file says so. */
    (void)mkdir(context->dump_dir, 0777);
    dump->file = fopen(coti_str_text(&dump->path), "we");
    return dump->file != NULL;
}

/* Release a dump and report `failed_errno` (0: nothing failed). */
static cot_status finish(cot_context *context, coti_dump *dump, int failed_errno) {
    cot_status status = COT_OK;
    if (failed_errno != 0) {
        char buffer[128];
        status =
            COTI_FAIL(context, COT_E_IO, "cannot write the dump file \"%s\": %s",
                      coti_str_text(&dump->path), strerror_r(failed_errno, buffer, sizeof buffer));
    }
    coti_str_free(&dump->path);
    coti_free(context, dump);
    return status;
}

cot_status coti_dump_open(cot_context *context, coti_stage stage, const char *program,
                          const char *extension, coti_dump **dump_out) {
    *dump_out = NULL;
    if (!context->dump[stage]) {
        return COT_OK;
    }
    coti_dump *dump = coti_calloc(context, 1, sizeof *dump);
    if (dump == NULL) {
        return COT_E_NOMEM;
    }
    dump->write = context->dump_write;
    dump->user = context->dump_user;
    coti_str_init(&dump->path, context);
    format_path(&dump->path, context, stage, program, extension);
    if (coti_str_status(&dump->path) != COT_OK) {
        finish(context, dump, 0);
        return COT_E_NOMEM;
    }
    if (dump->write == NULL && !open_file(context, dump)) {
        return finish(context, dump, errno);
    }
    context->n_dumped += dump->file != NULL;
    *dump_out = dump;
    return COT_OK;
}

bool coti_dump_write(const char *text, size_t bytes, void *dump) {
    coti_dump *to = dump;
    if (to->write != NULL) {
        to->refused = to->refused || !to->write(text, bytes, to->user);
        return !to->refused;
    }
    return fwrite(text, 1, bytes, to->file) == bytes;
}

cot_status coti_dump_close(cot_context *context, coti_dump *dump) {
    if (dump == NULL) {
        return COT_OK;
    }
    if (dump->file == NULL) {
        const bool refused = dump->refused;
        finish(context, dump, 0);
        return refused ? COTI_FAIL(context, COT_E_IO, "the receiver of a dump refused its text")
                       : COT_OK;
    }
    int failed_errno = ferror(dump->file) != 0 ? EIO : 0;
    if (fclose(dump->file) != 0) {
        failed_errno = errno;
    }
    return finish(context, dump, failed_errno);
}
