/* revision.h - naming a version: DATASET[@REV][~N].
 *
 * REV, tried in this order: a branch (refs/heads/DATASET/REV); a tag (refs/tags/DATASET/REV, then
 * refs/tags/REV); REMOTE/BRANCH, as last seen there; a date YYYY-MM-DD[THH:MM[:SS]][Z] in UTC: the
 * newest version of the default branch not younger (a day alone means its end); a commit id of at
 * least 4 hex digits. Without REV: the default branch. ~N: N first parents back. An empty DATASET
 * (or NULL) is the store's configured one, dsver.dataset, or the only one there is.
 *
 * A branch and a tag of the dataset are not to have one name, and where they do (they came from two
 * stores) it is refused: neither takes the other's place unseen.
 */
#ifndef DS_REVISION_H
#define DS_REVISION_H

#include "store.h"

typedef struct ds_revision {
    char *dataset, *branch; /* branch: NULL when REV named something else */
    git_oid id;
} ds_revision;

/* Splits and checks the text only; *rev is NULL when there is none. Caller frees all three.
 * DS_USAGE. */
int ds_revision_split(char **dataset, char **rev, uint64_t *back, const char *text, ds_err *err);
/* DS_FAIL when there is no such version. Fini'd by the caller; zeroed or fini'd before. */
int ds_revision_find(ds_revision *out, ds_store *s, const char *text, ds_err *err);
/* The same, for a REV of a dataset that is known; it may be written in full, DATASET@REV, as long
 * as it is of that dataset, and DATASET~N is its default branch's. */
int ds_revision_find_in(ds_revision *out, ds_store *s, const char *dataset, const char *rev,
                        ds_err *err);
void ds_revision_fini(ds_revision *r);
/* DS_FAIL when a new branch (tag: a new tag) of that name would give DATASET@NAME two meanings. */
int ds_name_check(ds_store *s, const char *dataset, const char *name, bool tag, ds_err *err);
/* The dataset of a command that was given none: caller frees. DS_USAGE when it cannot be told. */
int ds_dataset_default(char **name, ds_store *s, ds_err *err);
/* The dataset that a command is about as a whole: `text` without a revision (else DS_USAGE), "" or
 * NULL the default one; whichever branches and tags it has (none: DS_FAIL). Caller frees. */
int ds_dataset_find(char **name, ds_store *s, const char *text, ds_err *err);

/* A date as above; false when the text is none. Seconds since 1970; a day alone gives its last
 * second. */
bool ds_date_parse(int64_t *t, const char *text);
/* "YYYY-MM-DDTHH:MM:SSZ". */
void ds_date_text(char out[32], int64_t t);

#endif
