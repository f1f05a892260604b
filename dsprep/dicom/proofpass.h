/* proofpass.h - what goes out, searched for what the inputs said of people.
 *
 * One proof a run. Every file tells its identifiers first; then all values made from it are
 * searched for those of that file, its dates included, and for those of every file before it. With
 * finished shards everything is searched once more, for the identifiers of all files. A hit names
 * column and attribute, never the text. One thread. Values are compared as dcmproof.h says.
 *
 * Values may be looked into before they go out, too, to leave their object out: what is found then
 * is counted by itself and is no hit.
 */
#ifndef DS_PROOFPASS_H
#define DS_PROOFPASS_H

#include "dcmdeid.h"
#include "dsr_io.h"

typedef struct ds_proof ds_proof;
int ds_proof_new(ds_proof **p, ds_err *err);
void ds_proof_free(ds_proof *p);
/* The next file; its set may be freed at once. NULL: nothing is known of it (or it is not to be
 * de-identified). */
int ds_proof_file(ds_proof *p, const dcm_ids *ids, ds_err *err);
/* What is searched from here on is of a file that was told of before. */
int ds_proof_own(ds_proof *p, const dcm_ids *ids, ds_err *err);

enum ds_proof_kind { DS_PROOF_TEXT, DS_PROOF_JSON, DS_PROOF_RAW };
/* A value of the output; `column` names it. A hit is counted, not an error. */
int ds_proof_value(ds_proof *p, const char *column, enum ds_proof_kind kind, const void *v,
                   size_t len, ds_err *err);
/* Every value, source and step of the finished shards in a folder, or of one file. */
int ds_proof_shards(ds_proof *p, const char *path, ds_err *err);

uint64_t ds_proof_hits(const ds_proof *p);
/* Words that are no names here, a line each (dcm_search_spare). Before the first file. */
int ds_proof_words(ds_proof *p, const char *path, ds_err *err);
/* The same as ds_proof_value for a value that has not gone out: sets *found, or leaves it. */
int ds_proof_look(ds_proof *p, const char *column, enum ds_proof_kind kind, const void *v,
                  size_t len, bool *found, ds_err *err);
/* The texts that were found, a line each, each once, behind a comment with attribute, column and
 * what stands around: names of people. For --found alone. */
const ds_buf *ds_proof_found(const ds_proof *p);
/* DS_FAIL, with columns and attributes in the message, when there were hits. */
int ds_proof_verdict(const ds_proof *p, ds_err *err);
/* {"identifiers":..,"left_out":..,"text_bytes":..,"tensor_bytes":..,"hits":[...],
 * "held":[...]} */
int ds_proof_json(const ds_proof *p, ds_buf *out, ds_err *err);

#endif
