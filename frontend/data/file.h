/*
 * Reading a data file, plain or gzip (told by its first two bytes), front to back. All memory,
 * zlib's too, comes from the context.
 */
#ifndef COTI_FILE_H
#define COTI_FILE_H

#include "runtime/base/context.h"

typedef struct coti_file coti_file;

/* A regular file. COT_E_IO if it cannot be opened. *file_out is NULL on failure. */
cot_status coti_file_open(cot_context *context, const char *path, coti_file **file_out);
/* NULL is fine. */
void coti_file_close(coti_file *file);

/*
 * Read exactly `bytes`. fails: COT_E_PARSE (the file ends before, the gzip stream is corrupt),
 * COT_E_IO, COT_E_NOMEM. what: the part of the file that is being read, for the message.
 */
cot_status coti_file_read(coti_file *file, void *data, int64_t bytes, const char *what);

/* Is there anything left to read? */
cot_status coti_file_more(coti_file *file, bool *more_out);

/* COT_E_PARSE unless everything was read. */
cot_status coti_file_expect_end(coti_file *file);

/*
 * Upper bound on the bytes that are still to come: exact for a plain file; for gzip what deflate's
 * largest ratio (1032:1) allows. A header that promises more lies.
 */
int64_t coti_file_bound(const coti_file *file);

bool coti_file_is_gzip(const coti_file *file);

#endif
