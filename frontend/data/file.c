/*
 * Data files: POSIX reads into a buffer, through zlib's inflate when the file begins as gzip does
 * (RFC 1952; several members in a row are one stream, as gzip itself reads them).
 */
#include "frontend/data/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { BUFFER_BYTES = 1 << 16, DEFLATE_RATIO = 1032 };

struct coti_file {
    cot_context *context;
    const char *path; /* borrowed */
    int fd;
    int64_t size;                /* of the file */
    int64_t n_read;              /* from the file */
    bool gzip, inflating, ended; /* ended: the last member of a gzip file is complete */
    size_t begin, end;           /* what is left in the buffer */
    unsigned char ahead;         /* a byte that coti_file_more has read */
    int32_t n_ahead;             /* 0 or 1 */
    z_stream stream;
    unsigned char buffer[BUFFER_BYTES];
};

static cot_status fail_errno(coti_file *file, const char *what) {
    return COTI_FAIL(file->context, COT_E_IO, "\"%s\" cannot be %s: %s", file->path, what,
                     strerror(errno));
}

static cot_status fail_gzip(coti_file *file, const char *what) {
    return COTI_FAIL(file->context, COT_E_PARSE, "\"%s\": the gzip data are %s", file->path, what);
}

/* ---- the file's own bytes ---- */

/* Refill an empty buffer; it stays empty at the end of the file. */
static cot_status refill(coti_file *file) {
    ssize_t n = 0;
    do {
        n = read(file->fd, file->buffer, BUFFER_BYTES);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return fail_errno(file, "read");
    }
    file->begin = 0;
    file->end = (size_t)n;
    file->n_read += n;
    return COT_OK;
}

static cot_status read_plain(coti_file *file, unsigned char *data, size_t bytes, size_t *got_out) {
    cot_status status = COT_OK;
    bool more = true;
    *got_out = 0;
    while (status == COT_OK && more && *got_out < bytes) {
        status = file->begin == file->end ? refill(file) : COT_OK;
        size_t n = file->end - file->begin;
        n = n < bytes - *got_out ? n : bytes - *got_out;
        memcpy(data + *got_out, file->buffer + file->begin, n);
        file->begin += n;
        *got_out += n;
        more = n > 0;
    }
    return status;
}

/* ---- gzip ---- */

static voidpf zlib_alloc(voidpf user, uInt items, uInt size) {
    return coti_calloc(user, items, size);
}

static void zlib_free(voidpf user, voidpf pointer) {
    coti_free(user, pointer);
}

static cot_status begin_inflating(coti_file *file) {
    file->stream = (z_stream){.zalloc = zlib_alloc, .zfree = zlib_free, .opaque = file->context};
    if (inflateInit2(&file->stream, 15 + 16) != Z_OK) { /* 15: the largest window; 16: gzip */
        return COTI_FAIL(file->context, COT_E_NOMEM, "out of memory");
    }
    file->inflating = true;
    return COT_OK;
}

/* After a member: another one follows, or the end. */
static cot_status next_member(coti_file *file) {
    if (file->begin == file->end) {
        COTI_TRY(refill(file));
    }
    if (file->begin == file->end) {
        file->ended = true;
        return COT_OK;
    }
    return inflateReset(&file->stream) == Z_OK ? COT_OK : fail_gzip(file, "corrupt");
}

static cot_status inflate_some(coti_file *file) {
    if (file->begin == file->end) {
        COTI_TRY(refill(file));
        if (file->begin == file->end) {
            return fail_gzip(file, "truncated");
        }
    }
    file->stream.next_in = file->buffer + file->begin;
    file->stream.avail_in = (uInt)(file->end - file->begin);
    int result = inflate(&file->stream, Z_NO_FLUSH);
    file->begin = file->end - file->stream.avail_in;
    if (result == Z_STREAM_END) {
        return next_member(file);
    }
    if (result == Z_MEM_ERROR) {
        return COTI_FAIL(file->context, COT_E_NOMEM, "out of memory");
    }
    return result == Z_OK || result == Z_BUF_ERROR ? COT_OK : fail_gzip(file, "corrupt");
}

static cot_status read_gzip(coti_file *file, unsigned char *data, size_t bytes, size_t *got_out) {
    *got_out = 0;
    while (*got_out < bytes && !file->ended) {
        size_t left = bytes - *got_out;
        uInt room = left < (1u << 30) ? (uInt)left : 1u << 30;
        file->stream.next_out = data + *got_out;
        file->stream.avail_out = room;
        COTI_TRY(inflate_some(file));
        *got_out += room - file->stream.avail_out;
    }
    return COT_OK;
}

/* ---- opening ---- */

cot_status coti_file_open(cot_context *context, const char *path, coti_file **file_out) {
    *file_out = NULL;
    if (path == NULL) {
        return COTI_FAIL(context, COT_E_ARG, "the path of a data file is NULL");
    }
    coti_file *file = coti_calloc(context, 1, sizeof *file);
    if (file == NULL) {
        return COT_E_NOMEM;
    }
    file->context = context;
    file->path = path;
    struct stat facts = {0};
    cot_status status = COT_OK;
    file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &facts) != 0) {
        status = fail_errno(file, "opened");
    } else if (!S_ISREG(facts.st_mode)) {
        status = COTI_FAIL(context, COT_E_IO, "\"%s\" is no regular file", path);
    } else {
        file->size = facts.st_size;
        status = refill(file);
    }
    file->gzip = file->end >= 2 && file->buffer[0] == 0x1f && file->buffer[1] == 0x8b;
    if (status == COT_OK && file->gzip) {
        status = begin_inflating(file);
    }
    if (status != COT_OK) {
        coti_file_close(file);
        return status;
    }
    *file_out = file;
    return COT_OK;
}

void coti_file_close(coti_file *file) {
    if (file == NULL) {
        return;
    }
    if (file->inflating) {
        inflateEnd(&file->stream);
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
    coti_free(file->context, file);
}

/* ---- reading ---- */

static cot_status read_some(coti_file *file, void *data, int64_t bytes, int64_t *got_out) {
    size_t got = 0;
    cot_status status = file->gzip ? read_gzip(file, data, (size_t)bytes, &got)
                                   : read_plain(file, data, (size_t)bytes, &got);
    *got_out = (int64_t)got;
    return status;
}

cot_status coti_file_read(coti_file *file, void *data, int64_t bytes, const char *what) {
    unsigned char *to = data;
    int64_t got = 0;
    if (file->n_ahead > 0 && bytes > 0) {
        *to++ = file->ahead;
        file->n_ahead = 0;
        bytes--;
    }
    COTI_TRY(read_some(file, to, bytes, &got));
    if (got < bytes) {
        return COTI_FAIL(file->context, COT_E_PARSE,
                         "\"%s\" ends within its %s: %lld bytes are missing", file->path, what,
                         (long long)(bytes - got));
    }
    return COT_OK;
}

/* gzip is read one byte ahead: a member may end, and be checked, without giving a byte. */
cot_status coti_file_more(coti_file *file, bool *more_out) {
    int64_t got = file->n_ahead;
    if (got == 0) {
        COTI_TRY(read_some(file, &file->ahead, 1, &got));
        file->n_ahead = (int32_t)got;
    }
    *more_out = got > 0;
    return COT_OK;
}

cot_status coti_file_expect_end(coti_file *file) {
    bool more = false;
    COTI_TRY(coti_file_more(file, &more));
    return !more ? COT_OK
                 : COTI_FAIL(file->context, COT_E_PARSE,
                             "\"%s\" goes on after the data that its header promises", file->path);
}

int64_t coti_file_bound(const coti_file *file) {
    int64_t left = file->size - file->n_read + (int64_t)(file->end - file->begin);
    return !file->gzip                                       ? left
           : left < INT64_MAX / DEFLATE_RATIO - BUFFER_BYTES ? (left + BUFFER_BYTES) * DEFLATE_RATIO
                                                             : INT64_MAX;
}

bool coti_file_is_gzip(const coti_file *file) {
    return file->gzip;
}
