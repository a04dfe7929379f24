/* Fuzz targets of the data readers: files made from the input, and what must hold of a data set. */
#ifndef DATA_FILE_H
#define DATA_FILE_H

#include "fuzz.h"

#include "cotangent/data.h"

enum { DATA_PATH_BYTES = 64 };

/* A file in memory, open while the target needs it. */
typedef struct data_file {
    int descriptor;
    char path[DATA_PATH_BYTES];
} data_file;

/*
 * Take a file's description from the input: a byte of flags, two of length, then so many bytes of
 * content (or what is left). Flags: repeat the content up to a whole number of records of
 * `record_bytes`, compress it with gzip, in one member or two, then flip a bit or cut the end off.
 */
data_file data_file_make(fuzz_bytes *bytes, size_t record_bytes);
void data_file_close(data_file *file);

/* Reading options from the input; the data may take `most_bytes`. */
cot_read_options data_options(fuzz_bytes *bytes, int64_t most_bytes);

/*
 * Destroys the data set (NULL: the context must have an error), after a finding unless every row
 * can be read, and slices, splits and one-hot targets are as large as they say.
 */
void data_check(cot_context *context, cot_dataset *dataset);

#endif
