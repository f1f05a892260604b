/* sourcefind.h - the sources of a version, found again below folders (or as files) that the user
 * names, and compared with the size and SHA-256 that are recorded.
 *
 * A source that is a member of an archive is found by its archive. Its digest, and that of what a
 * compressed file holds, can only be had by reading it as the producer does: those are not compared
 * here. Nothing is followed but a named root, nothing is written. One thread.
 */
#ifndef DS_SOURCEFIND_H
#define DS_SOURCEFIND_H

#include "pipeline.h"
#include "sourcelist.h"

typedef struct ds_foundfile {
    char *path;
    const char *name; /* in path: relative to its root */
    size_t root;
    bool source, hashed;
    ds_sha sha; /* where it was hashed */
} ds_foundfile;

typedef struct ds_sourcefind {
    const char *const *roots; /* borrowed */
    size_t nroots;
    bool *folder;    /* of each root */
    ds_foundfile *v; /* of one root after the other, in byte order of the names */
    size_t n, cap;
    ds_foundfile **top; /* those of them at the top of a root, by name and then in that order */
    size_t ntop;
    uint64_t packed; /* sources that only reading can compare */
    bool lenient;    /* sources may differ: something was erased from them */
} ds_sourcefind;

/* Lists what is below the roots. */
int ds_sourcefind_open(ds_sourcefind *f, const char *const *roots, size_t n, ds_err *err);
/* The operands that give the sources in their order, appended to `out`. DS_FAIL names the first
 * source that is missing or differs, or the first file that was none (`extras`: those are let
 * pass). `alone`: a version of one file has that file as its operand, not its folder. */
int ds_sourcefind_operands(ds_sourcefind *f, ds_argv *out, const ds_sourcelist *want, bool extras,
                           bool alone, ds_err *err);
/* A file below the roots, of at most 256 MiB, with this digest; *path is lent, NULL when none is.
 */
int ds_sourcefind_digest(ds_sourcefind *f, const ds_sha *sha, const char **path, ds_err *err);
void ds_sourcefind_close(ds_sourcefind *f);

#endif
