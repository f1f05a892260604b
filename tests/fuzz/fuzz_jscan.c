/* fuzz_jscan.c - the bulk JSON scanner against jansson: the same texts are accepted, members have
 * the same values, and what is minified or unescaped reads back as the same. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jscan.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

/* What jansson refuses though RFC 8259 allows it: numbers past its range, NUL in a name, nesting
 * past 2048. */
static int only_theirs(const json_error_t *e)
{
    enum json_error_code c = json_error_code(e);
    return c == json_error_numeric_overflow || c == json_error_null_byte_in_key ||
           c == json_error_stack_overflow;
}

static void check_member(const ds_jmember *m, const json_t *theirs)
{
    if (m->kind == DS_J_STRING) {
        size_t n = m->value_len - 2;
        uint8_t *out = malloc(n + DS_JSTRING_SLACK);
        require(out != NULL);
        size_t k = m->escaped ? ds_jstring_unescape(out, m->value + 1, n) : n;
        require(json_is_string(theirs) && json_string_length(theirs) == k);
        require(memcmp(m->escaped ? out : m->value + 1, json_string_value(theirs), k) == 0);
        free(out);
    }
    ds_buf b = {0};
    json_error_t e;
    require(ds_jscan_minify(&b, m->value, m->value_len) == 0);
    require(m->spaced || b.len == m->value_len);
    json_t *again = json_loadb((const char *)b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    require(again && json_equal(again, theirs));
    json_decref(again);
    ds_buf_fini(&b);
}

static void check_members(const ds_jscan *s, const json_t *theirs)
{
    for (size_t i = 0; i < s->n; i++) {
        const ds_jmember *m = &s->v[i];
        uint8_t *name = malloc(m->name_len + DS_JSTRING_SLACK);
        bool twice;
        require(name != NULL);
        size_t n = ds_jstring_unescape(name, m->name, m->name_len);
        const ds_jmember *found = ds_jscan_find(s, (const char *)name, n, &twice);
        require(found != NULL && found <= m);
        json_t *value = memchr(name, 0, n) ? NULL : json_object_getn(theirs, (const char *)name, n);
        if (!twice) {
            require(found == m && value != NULL);
            check_member(m, value);
        }
        free(name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    ds_jscan s = {0};
    json_error_t e;
    uint8_t *copy = malloc(len ? len : 1); /* reading past the text is seen */
    if (!copy)
        return 0;
    memcpy(copy, data, len);
    int rc = ds_jscan_text(&s, copy, len, DS_JSCAN_DEPTH_MAX);
    require(rc == 0 || (rc == DS_FAIL && s.why && s.at <= len));
    /* To jansson a NUL outside a string is the end of the text. */
    if (ds_utf8_check(copy, len) == len && !memchr(copy, 0, len)) {
        json_t *theirs = json_loadb((const char *)copy, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
        bool deep = rc == DS_FAIL && strstr(s.why, "nested") != NULL;
        if (!deep && !(rc == 0 && !theirs && only_theirs(&e)))
            require((rc == 0) == (theirs != NULL || only_theirs(&e)) || (rc != 0 && !theirs));
        if (rc == 0 && theirs && s.kind == DS_J_OBJECT)
            check_members(&s, theirs);
        json_decref(theirs);
    }
    ds_jscan_fini(&s);
    free(copy);
    return 0;
}
