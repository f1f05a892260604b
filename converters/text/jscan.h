/* jscan.h - a strict JSON scanner for bulk JSON lines (RFC 8259).
 *
 * Checks one JSON text and, when it is an object, lists its members as slices of the input: nothing
 * is copied, numbers and member order stay as written. Strict: one value, no trailing commas, no
 * bare controls, no lone surrogate escapes; white space is the four characters of the RFC. UTF-8 is
 * *not* checked here: the caller checks whole blocks with ds_utf8_check. Duplicate names are the
 * caller's business too. Needs no NUL at the end, recurses never, reads nothing past len. No global
 * state.
 */
#ifndef DS_JSCAN_H
#define DS_JSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "jstring.h"

#define DS_JSCAN_DEPTH_MAX 128
/* A record whose column is a list of values, each as deep as may be. */
#define DS_JSCAN_DEPTH_RECORD 130

enum ds_jkind {
    DS_J_OBJECT,
    DS_J_ARRAY,
    DS_J_STRING,
    DS_J_NUMBER,
    DS_J_TRUE,
    DS_J_FALSE,
    DS_J_NULL
};

typedef struct ds_jmember {
    const uint8_t *name;  /* between its quotes, as written */
    const uint8_t *value; /* as written; of a string with its quotes */
    size_t name_len, value_len;
    enum ds_jkind kind;
    bool name_escaped; /* the name holds escapes */
    bool escaped;      /* the value is a string that holds escapes */
    bool spaced;       /* the value holds white space outside its strings */
} ds_jmember;

typedef struct ds_jscan {
    ds_jmember *v; /* the members of the outermost object, in order */
    size_t n, cap;
    enum ds_jkind kind; /* of the outermost value */
    size_t at;          /* after a failure: offset of the first byte that cannot be */
    const char *why;    /* after a failure: the reason (static) */
} ds_jscan;

/* Scans the text of `len` bytes. `depth` (1..DS_JSCAN_DEPTH_RECORD) limits nesting; an outermost
 * object or array is depth 1. Returns 0, DS_FAIL with at and why, or DS_NOMEM. A zeroed ds_jscan is
 * ready for use and is reused from text to text. */
int ds_jscan_text(ds_jscan *s, const uint8_t *p, size_t len, unsigned depth);
void ds_jscan_fini(ds_jscan *s);

/* The member whose (unescaped) name is `name`, or NULL; *twice says that there is another one. */
const ds_jmember *ds_jscan_find(const ds_jscan *s, const char *name, size_t len, bool *twice);

/* Appends a scanned value without white space outside its strings. Returns 0 or DS_NOMEM. */
int ds_jscan_minify(ds_buf *out, const uint8_t *p, size_t len);

#endif
