/* redact.h - texts and JSON with what points to a person masked, or replaced by pseudonyms.
 *
 * A mask is [EMAIL]. A pseudonym is EMAIL_ and 12 hex digits of HMAC-SHA256 under the key over the
 * kind and the match without its separators: the same person has the same one in every run with the
 * same key, and nobody finds the way back without it. In JSON the strings that are values are
 * looked at, unescaped, and numbers of 9 and more digits, which become strings when they match;
 * names of members are looked at and stay.
 *
 * A ds_redactor is read only once made and shared; a ds_redactwork (zeroed at first) belongs to one
 * thread.
 */
#ifndef DS_REDACT_H
#define DS_REDACT_H

#include "jscan.h"
#include "piifold.h"
#include "piinames.h"
#include "piipattern.h"
#include "spool.h"

typedef struct ds_redactor {
    unsigned kinds;           /* 1 << enum ds_pii, DS_PII_ALL_IPS */
    const ds_piinames *names; /* NULL = none */
    const uint8_t *key;       /* NULL = masks */
    size_t key_len;
} ds_redactor;

typedef struct ds_redactwork {
    uint64_t counts[DS_NPII]; /* added to */
    uint64_t named[DS_NPII];  /* the same, of what stays in names of members */
    uint64_t open_keys;       /* texts at whose end a private key begins */
    ds_buf plain, text;
    ds_piifold fold;
} ds_redactwork;

/* Appends the redacted value to `out`. */
int ds_redact_text(const ds_redactor *r, ds_redactwork *w, const uint8_t *p, size_t len,
                   ds_spool *out, ds_err *err);
/* The same for a column of JSON, which is well formed and minified, and stays so. */
int ds_redact_json(const ds_redactor *r, ds_redactwork *w, const uint8_t *p, size_t len,
                   ds_spool *out, ds_err *err);
void ds_redactwork_fini(ds_redactwork *w);

#endif
