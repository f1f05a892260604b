/* logjson.c - records that are JSON objects: loggers', journald's, Docker's json-file. */
#include "logrow.h"

#include <string.h>

#include "json.h"
#include "utf8.h"

/* A string's text: a slice of the line, or unescaped into the batch. */
static int text_of(ds_logline *l, const ds_jmember *m, const uint8_t **p, size_t *len)
{
    *p = m->value;
    *len = m->value_len;
    return m->kind == DS_J_STRING ? ds_textbatch_string(l->b, m, p, len) : 0;
}

/* The column of each member by its name, into l->cols; of those that could be the text, the member
 * of the lowest rank, or the number of members. */
static size_t look_at_names(ds_logline *l, const ds_jscan *j)
{
    size_t found = j->n;
    unsigned best = 0, rank;
    for (size_t i = 0; i < j->n; i++) {
        const ds_jmember *m = &j->v[i];
        const int col = m->name_escaped ? -1 : ds_logcol_of(m->name, m->name_len, &rank);
        l->cols.data[i] = (uint8_t)(col + 1);
        if (col == DS_LC_TEXT && m->kind == DS_J_STRING && (found == j->n || rank < best)) {
            found = i;
            best = rank;
        }
    }
    return found;
}

/* MESSAGE as journald writes it when it is no text: an array of bytes. False: something else. */
static bool byte_array(const ds_jmember *m, uint8_t *out, size_t *n)
{
    unsigned v = 0;
    *n = 0;
    for (size_t i = 1; i < m->value_len; i++) {
        uint8_t c = m->value[i];
        if (c >= '0' && c <= '9' && v < 256)
            v = v * 10 + c - '0';
        else if ((c == ',' || c == ']') && v < 256 && m->value[i - 1] != '[') {
            out[(*n)++] = (uint8_t)v;
            v = 0;
        } else if (c != ' ' && c != ']') {
            return false;
        }
    }
    return ds_utf8_check(out, *n) == *n && !memchr(out, 0, *n);
}

/* pino and bunyan count 10, 20, ... 60 from trace to fatal. */
static void numeric_level(ds_logline *l, const ds_jmember *m)
{
    static const int8_t severities[] = {7, 7, 6, 4, 3, 2};
    if (m->value_len == 2 && m->value[1] == '0' && m->value[0] >= '1' && m->value[0] <= '6')
        ds_logset_number(l, DS_LC_SEVERITY, severities[m->value[0] - '1']);
}

static int into_fields(ds_logline *l, const ds_jmember *m)
{
    const uint8_t *v = m->value;
    size_t n = m->value_len;
    if (m->spaced) {
        ds_buf *s = &l->b->scratch;
        s->len = 0;
        if (ds_jscan_minify(s, v, n) != 0)
            return DS_NOMEM;
        v = s->data;
        n = s->len;
    }
    return ds_logfield_raw(l, m->name - 1, m->name_len + 2, false, v, n);
}

static int member(ds_logline *l, const ds_jmember *m, int col)
{
    int rc;
    const uint8_t *p;
    size_t len;
    bool scalar = m->kind == DS_J_STRING || m->kind == DS_J_NUMBER;
    if (col < 0 || col == DS_LC_TEXT || !scalar)
        return col >= 0 && col != DS_LC_TEXT && m->kind == DS_J_NULL ? 0 : into_fields(l, m);
    if ((rc = text_of(l, m, &p, &len)) != 0)
        return rc;
    if (!ds_logtake(l, col, p, len))
        return into_fields(l, m);
    if (col == DS_LC_LEVEL && m->kind == DS_J_NUMBER)
        numeric_level(l, m);
    return 0;
}

/* journald's MESSAGE that is an array of bytes. 1 = it was one. */
static int binary_message(ds_logline *l, const ds_jmember *m)
{
    size_t n;
    if (m->kind != DS_J_ARRAY || m->name_len != 7 || memcmp(m->name, "MESSAGE", 7) != 0)
        return 0;
    uint8_t *out = ds_textbatch_alloc(l->b, m->value_len);
    if (!out)
        return DS_NOMEM;
    if (!byte_array(m, out, &n))
        return 0;
    ds_logset(l, DS_LC_TEXT, out, n);
    return 1;
}

/* What is particular to Docker: the line feed ends a message, and its absence says that it goes on.
 */
static int docker(ds_logline *l, const ds_jmember *text)
{
    bool twice;
    const ds_jmember *m = ds_jscan_find(&l->b->json, "stream", 6, &twice);
    if (!text || text->name_len != 3)
        return ds_logfail(l, 0, "no member \"log\"");
    ds_logcell *c = &l->row->v[DS_LC_TEXT];
    l->partial = c->n == 0 || c->p[c->n - 1] != '\n';
    c->n -= !l->partial;
    l->stream = m ? m->value : NULL;
    l->stream_len = m ? m->value_len : 0;
    return 0;
}

int ds_logparse_json(ds_logline *l, const uint8_t *p, size_t len)
{
    ds_jscan *j = &l->b->json;
    int rc = ds_jscan_text(j, p, len, l->s->o->max_depth);
    if (rc == DS_FAIL)
        return ds_logfail(l, j->at, j->why);
    if (rc != 0)
        return rc;
    if (j->kind != DS_J_OBJECT)
        return ds_logfail(l, 0, "it is not a JSON object");
    l->cols.len = 0;
    if (ds_buf_reserve(&l->cols, j->n + 1) != 0)
        return DS_NOMEM;
    const size_t which = look_at_names(l, j);
    const ds_jmember *text = which < j->n ? &j->v[which] : NULL;
    const uint8_t *v = p;
    size_t n = len;
    if (text && (rc = text_of(l, text, &v, &n)) != 0)
        return rc;
    ds_logset(l, DS_LC_TEXT, v, n);
    for (size_t i = 0; i < j->n; i++) {
        if (&j->v[i] == text)
            continue;
        rc = text ? 0 : binary_message(l, &j->v[i]);
        if (rc == 0)
            rc = member(l, &j->v[i], l->cols.data[i] - 1);
        if (rc < 0)
            return rc;
    }
    return l->s->format == DS_LOG_DOCKER ? docker(l, text) : 0;
}
