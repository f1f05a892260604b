/* wherelist.h - lists from files that expressions ask: key in seen, hasword(text, blocked),
 * onsite(url, domains) (docs/transforms.md).
 *
 * A list is NAME[:EXPR]=FILE. FILE is text, a value a line (gz, xz, zst and bz2 are unpacked), or a
 * DSR stream, of which the values are what EXPR gives for each record, and without it the keys;
 * null is none of them. Made by one thread; what asks (_has, _word, _site) may run in any number.
 */
#ifndef DS_WHERELIST_H
#define DS_WHERELIST_H

#include <jansson.h>

#include "hash.h"
#include "opt.h"
#include "valueset.h"
#include "wordfold.h"

typedef struct ds_wherelist {
    char *spec; /* NAME[:EXPR] */
    size_t name_len;
    ds_sha sha; /* of the file, packed or not */
    ds_valueset values;
    /* runs of words; made when they are asked for */
    ds_wordfold *fold;
    uint64_t *runs, mask, lengths; /* hashes, 0: none; bit n: there are runs of n words */
} ds_wherelist;

typedef struct ds_wherelists { /* colname.h lends it to expressions */
    ds_wherelist *v;
    size_t n;
} ds_wherelists;

#define DS_WHERELIST_OPTION(l)                                                                     \
    OPT_LIST(0, "list", l, "NAME[:EXPR]=FILE",                                                     \
             "a list that expressions may ask, of a file's lines, or of a DSR stream's keys or "   \
             "what EXPR gives; may be given again")

int ds_wherelists_read(ds_wherelists *l, const ds_opt_list *options, ds_err *err);
ds_wherelist *ds_wherelists_find(const ds_wherelists *l, const char *name, size_t len);
/* {"list NAME[:EXPR]":"sha256:.."} for a provenance step, or NULL: no memory. */
json_t *ds_wherelists_digests(const ds_wherelists *l);
void ds_wherelists_fini(ds_wherelists *l);

bool ds_wherelist_has(const ds_wherelist *l, const uint8_t *p, size_t len);
/* What _word needs, once; DS_FAIL where a value has no word, or too many. */
int ds_wherelist_words(ds_wherelist *l, ds_err *err);
/* Whether the words of a value stand in the text, one behind the other. */
int ds_wherelist_word(const ds_wherelist *l, ds_buf *scratch, const uint8_t *p, size_t len,
                      bool *found, ds_err *err);
/* Before the first _site; DS_FAIL where a value is none that a host or a domain can be. */
int ds_wherelist_sites(const ds_wherelist *l, ds_err *err);
/* Whether the host of a URL, or a domain above it, is a value. */
int ds_wherelist_site(const ds_wherelist *l, ds_buf *scratch, const uint8_t *p, size_t len,
                      bool *found, ds_err *err);

#endif
