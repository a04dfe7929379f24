/*
 * The object cache: compiled kernels on disk, a file each, found by all that the code depends on.
 *
 * A folder of the user's own holds files named by a hash of the key; a file holds the whole key,
 * which is compared, and a checksum over all of it, so nothing but what was written for this key by
 * a writer that finished is ever handed out. Files appear by rename. Several processes and threads
 * may use a folder at once; none waits for another. No failure of the file system is an error: what
 * cannot be read is compiled, what cannot be written is compiled again next time.
 *
 * Trust: the folder must be a directory (no symbolic link), belong to the effective user and be
 * writable for nobody else; so must the files. They are read into memory, never mapped.
 */
#ifndef COTI_CACHE_H
#define COTI_CACHE_H

#include "runtime/base/context.h"

#include <stdatomic.h>

/* A folder in use by one compile: opened before it, closed after it. `store` may be called by
 * several threads at once. */
typedef struct coti_cache {
    int folder; /* descriptor; -1: there is no cache */
    int64_t limit_bytes;
    atomic_bool grown; /* something has been stored */
} coti_cache;

enum { COTI_CACHE_SYMBOL_BYTES = 128 };

/* What code depends on, as bytes. `hash` by coti_cache_hash. */
typedef struct coti_cache_key {
    const char *text;
    size_t bytes;
    uint64_t hash[2];
} coti_cache_key;

/* A file's content, as it was stored. `file` is owned: coti_cache_release. */
typedef struct coti_cached {
    char *file;         /* NULL: not found */
    const char *symbol; /* the function's, in `file` */
    const char *object; /* in `file` */
    size_t object_bytes;
    int64_t file_bytes;
} coti_cached;

/* ---- cache.c ---- */

/* Open the context's folder, made if need be. There is none when the context wants none, or when it
 * cannot be had or trusted. */
void coti_cache_open(const cot_context *context, coti_cache *cache);

/* Close it, and drop what was used least if it has outgrown its limit. */
void coti_cache_close(coti_cache *cache);

/* Fill key->hash from its text. */
void coti_cache_hash(coti_cache_key *key);

/* Look for a key. Not found (or not to be trusted): found_out->file is NULL. COT_E_NOMEM. */
cot_status coti_cache_find(const coti_cache *cache, cot_context *context, const coti_cache_key *key,
                           coti_cached *found_out);
void coti_cache_release(cot_context *context, coti_cached *found);

/* Keep an object under a key, whose function is called `symbol` (at most COTI_CACHE_SYMBOL_BYTES
 * with its end). Takes no memory. The file's bytes; 0 when there is none now. */
int64_t coti_cache_store(coti_cache *cache, const coti_cache_key *key, const char *symbol,
                         const char *object, size_t object_bytes);

/* May this process write a file so long? Beyond its limit it would get a signal, not an error. */
bool coti_cache_may_write(int64_t bytes);

/* ---- cache_trim.c ---- */

/*
 * Account for `bytes` that are about to be written. The account is the length of a file, a byte for
 * each 4 KiB, so that it is kept by appending, by any number of processes and without a lock, and
 * is never less than the truth when one of them is killed.
 */
void coti_cache_account(const coti_cache *cache, int64_t bytes);

/* If the account is beyond the limit, or was begun just now: look at the files, remove those
 * used longest ago until three quarters of the limit are left, and set the account right. */
void coti_cache_trim(const coti_cache *cache);

/* Is this a file that the cache made: an object's name, or a temporary's? */
bool coti_cache_is_object(const char *name);
bool coti_cache_is_temporary(const char *name);

#endif
