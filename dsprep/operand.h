/* operand.h - an input that a command names beside its stream: a DSR file, a folder of shards,
 * standard input (-), or a version in a store (DATASET[@REV]), which the dsver beside this program
 * reads.
 *
 * What is there as a file is taken as one; what is not, and could name a version, is looked up
 * once: its commit is what every reading reads (dsverask.h). One thread. A zeroed object is valid.
 */
#ifndef DS_OPERAND_H
#define DS_OPERAND_H

#include "instream.h"
#include "twice.h"

typedef struct ds_operand {
    const char *text; /* as it was given; borrowed */
    char *version;    /* DATASET@COMMIT, or NULL */
    char *root;       /* of a version: "sha256:..." */
    ds_twice twice;   /* where it is read again: what is opened in its place */
    int pid;          /* of the reading that is going on; 0: none */
} ds_operand;

/* `again`: it will be read more than once, so a pipe is copied to $TMPDIR. */
int ds_operand_find(ds_operand *o, const char *text, bool again, ds_err *err);
/* Opens it, from its beginning. To be closed by ds_operand_close. */
int ds_operand_open(ds_operand *o, ds_instream **in, ds_err *err);
/* NULL is fine. whole: it was read to its end, so whoever wrote it must have ended well. */
int ds_operand_close(ds_operand *o, ds_instream *in, bool whole, ds_err *err);
/* "corpus" of corpus@main, "a" of dir/a.dsr, "standard-input". Owned by the caller. */
int ds_operand_name(char **name, const ds_operand *o, ds_err *err);
void ds_operand_fini(ds_operand *o);

#endif
