/* oplog.c - see oplog.h. */
#include "oplog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "io.h"
#include "json.h"
#include "person.h"
#include "revision.h"
#include "utf8.h"

enum {
    REASON_MAX = 1000,      /* bytes of a reason that are kept */
    TAIL = 64 << 10,        /* longer than any line */
    HASH_TAIL = 9 + 64 + 2, /* ,"hash":"<64>"} */
    LINE_MAX_BYTES = 2 << 20
};

struct ds_oplog {
    char *store, *path;
    char *command, *author, *reason;
    char *actor; /* "Name <mail>", found when the first entry is written */
};

static int log_path(char **path, const char *store, ds_err *err)
{
    return ds_store_path(path, store, "oplog", err);
}

int ds_oplog_new(ds_oplog **out, const char *store, ds_err *err)
{
    ds_oplog *l = calloc(1, sizeof *l);
    int rc = l && (l->store = strdup(store)) ? log_path(&l->path, store, err) : ds_fail_nomem(err);
    if (rc)
        ds_oplog_free(l);
    else
        *out = l;
    return rc;
}

static void drop_act(ds_oplog *l)
{
    free(l->command);
    free(l->author);
    free(l->reason);
    free(l->actor);
    l->command = l->author = l->reason = l->actor = NULL;
}

void ds_oplog_free(ds_oplog *l)
{
    if (!l)
        return;
    drop_act(l);
    free(l->store);
    free(l->path);
    free(l);
}

int ds_oplog_act(ds_oplog *l, const char *command, const char *author, const char *reason,
                 ds_err *err)
{
    drop_act(l);
    if ((command && !(l->command = strdup(command))) || (author && !(l->author = strdup(author))) ||
        (reason && !(l->reason = strdup(reason))))
        return ds_fail_nomem(err);
    return 0;
}

bool ds_oplog_begun(const ds_oplog *l)
{
    return ds_path_exists(l->path);
}

/* ---- writing ---- */

static int find_actor(ds_oplog *l, ds_err *err)
{
    ds_person who = {0};
    int rc = l->actor ? 0 : ds_person_find(&who, l->store, l->author, err);
    if (!rc && !l->actor)
        rc = ds_person_text(&l->actor, &who, err);
    ds_person_fini(&who);
    return rc;
}

/* The hash of a line (without its newline) is over all that stands before its own. */
static size_t body_len(const uint8_t *line, size_t len)
{
    static const char name[] = ",\"hash\":\"";
    const bool whole =
        len > HASH_TAIL && memcmp(line + len - HASH_TAIL, name, sizeof name - 1) == 0;
    return whole ? len - HASH_TAIL : len;
}

typedef struct chain {
    uint64_t seq;
    ds_sha prev;
    uint64_t end; /* where the next line begins */
} chain;

/* "seq" stands first in a line. */
static uint64_t seq_of(const uint8_t *line, size_t len)
{
    static const char first[] = "{\"seq\":";
    uint64_t n = 0;
    if (len <= sizeof first || memcmp(line, first, sizeof first - 1) != 0)
        return 0;
    for (size_t i = sizeof first - 1; i < len && line[i] >= '0' && line[i] <= '9'; i++)
        n = n * 10 + (uint64_t)(line[i] - '0');
    return n;
}

/* Where the chain goes on. Its last line is summed again rather than believed: if it was changed,
 * that shows for good. What stands behind the last newline was never whole. */
static int find_end(chain *c, int fd, const char *path, uint64_t size, ds_err *err)
{
    const uint64_t from = size > TAIL ? size - TAIL : 0;
    ds_buf b = {0};
    *c = (chain){.seq = 0};
    if (ds_buf_reserve(&b, TAIL))
        return ds_fail_nomem(err);
    b.len = (size_t)(size - from);
    int rc = b.len ? ds_pread_exact(fd, path, b.data, b.len, from, err) : 0;
    while (b.len && b.data[b.len - 1] != '\n')
        b.len--;
    if (!rc && b.len) {
        size_t at = b.len - 1;
        while (at && b.data[at - 1] != '\n')
            at--;
        const size_t len = b.len - 1 - at;
        c->seq = seq_of(b.data + at, len);
        rc = ds_sha_bytes(&c->prev, b.data + at, body_len(b.data + at, len), err);
    } else if (!rc && from) {
        rc = ds_fail(err, DS_CORRUPT, "%s: no line ends in its last %d bytes", path, TAIL);
    }
    c->end = from + b.len;
    ds_buf_fini(&b);
    return rc;
}

/* A JSON string of at most REASON_MAX bytes; what is not UTF-8 becomes '?'. */
static int put_text(ds_buf *b, const char *s)
{
    ds_buf clean = {0};
    size_t n = ds_utf8_whole(s, strlen(s), REASON_MAX);
    int rc = 0;
    while (n && (s[n - 1] == '\n' || s[n - 1] == ' '))
        n--;
    for (size_t at = 0; !rc && at < n; at++) {
        const size_t ok = ds_utf8_check((const uint8_t *)s + at, n - at);
        rc = ds_buf_put(&clean, s + at, ok);
        at += ok;
        if (!rc && at < n)
            rc = ds_buf_putc(&clean, '?');
    }
    rc = rc ? rc : ds_json_str(b, (const char *)clean.data, clean.len);
    ds_buf_fini(&clean);
    return rc;
}

static int put_field(ds_buf *b, const char *name, const char *value)
{
    if (!value || !*value)
        return 0;
    int rc = ds_buf_printf(b, ",\"%s\":", name);
    return rc ? rc : put_text(b, value);
}

static int put_oid(ds_buf *b, const char *name, const git_oid *id)
{
    return id ? ds_buf_printf(b, ",\"%s\":\"%s\"", name, git_oid_tostr_s(id))
              : ds_buf_printf(b, ",\"%s\":null", name);
}

static int put_entry(ds_buf *b, const ds_oplog *l, const chain *c, const ds_opmove *m,
                     const char *detail)
{
    char date[32], hex[65];
    ds_date_text(date, (int64_t)time(NULL));
    ds_sha_hex(hex, &c->prev);
    int rc = ds_buf_printf(b, "{\"seq\":%" PRIu64 ",\"time\":\"%s\"", c->seq + 1, date);
    rc = rc ? rc : put_field(b, "actor", l->actor);
    rc = rc ? rc : ds_buf_printf(b, ",\"uid\":%llu", (unsigned long long)getuid());
    rc = rc ? rc : put_field(b, "command", l->command ? l->command : program_invocation_short_name);
    rc = rc ? rc : put_field(b, "reason", l->reason);
    if (!rc && m) {
        rc = put_field(b, "ref", m->ref);
        rc = rc ? rc : put_oid(b, "before", m->before);
        rc = rc ? rc : put_oid(b, "after", m->after);
    }
    rc = rc ? rc : put_field(b, "detail", detail);
    return rc ? rc : ds_buf_printf(b, ",\"prev\":\"%s\"", hex);
}

/* Appends a line to b and goes on in the chain. */
static int put_line(ds_buf *b, const ds_oplog *l, chain *c, const ds_opmove *m, const char *detail,
                    ds_err *err)
{
    const size_t from = b->len;
    char hex[65];
    if (put_entry(b, l, c, m, detail))
        return ds_fail_nomem(err);
    int rc = ds_sha_bytes(&c->prev, b->data + from, b->len - from, err);
    ds_sha_hex(hex, &c->prev);
    c->seq++;
    if (!rc && ds_buf_printf(b, ",\"hash\":\"%s\"}\n", hex))
        rc = ds_fail_nomem(err);
    return rc;
}

static int write_lines(int fd, const char *path, const ds_buf *b, uint64_t at, ds_err *err)
{
    if (lseek(fd, (off_t)at, SEEK_SET) < 0)
        return ds_fail_errno(err, errno, "%s", path);
    int rc = ds_write_full(fd, path, b->data, b->len, err);
    rc = rc ? rc : ds_fsync(fd, path, err);
    if (rc && ftruncate(fd, (off_t)at) != 0) {
        /* a half line, which the next writer cuts */
    }
    return rc;
}

int ds_oplog_append(ds_oplog *l, const ds_opmove *m, size_t n, const char *detail, ds_err *err)
{
    ds_buf b = {0};
    chain c;
    struct stat st;
    int fd = -1;
    const bool there = ds_oplog_begun(l);
    int rc = find_actor(l, err);
    rc = rc ? rc : ds_open(&fd, l->path, O_RDWR | O_CREAT, 0666, err);
    if (!rc && !there)
        rc = ds_fsync_parent(l->path, err);
    if (!rc && ds_io_active->fstat(fd, &st) != 0)
        rc = ds_fail_errno(err, errno, "%s", l->path);
    rc = rc ? rc : find_end(&c, fd, l->path, (uint64_t)st.st_size, err);
    if (!rc && c.end < (uint64_t)st.st_size && ftruncate(fd, (off_t)c.end) != 0)
        rc = ds_fail_errno(err, errno, "%s", l->path);
    if (!rc && n == 0)
        rc = put_line(&b, l, &c, NULL, detail, err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = put_line(&b, l, &c, &m[i], detail, err);
    rc = rc ? rc : write_lines(fd, l->path, &b, c.end, err);
    ds_buf_fini(&b);
    (void)ds_close(&fd, l->path, NULL);
    return rc;
}

/* ---- reading ---- */

static const char *text_of(const json_t *j, const char *name)
{
    const char *s = json_string_value(json_object_get(j, name));
    return s ? s : "";
}

static bool oid_of(git_oid *id, const json_t *j, const char *name)
{
    const char *s = text_of(j, name);
    return strlen(s) == GIT_OID_HEXSZ && git_oid_fromstr(id, s) == 0;
}

static void fill(ds_opentry *e, const json_t *j)
{
    e->seq = (uint64_t)json_integer_value(json_object_get(j, "seq"));
    e->uid = (uint64_t)json_integer_value(json_object_get(j, "uid"));
    e->time = text_of(j, "time");
    e->actor = text_of(j, "actor");
    e->command = text_of(j, "command");
    e->reason = text_of(j, "reason");
    e->ref = text_of(j, "ref");
    e->detail = text_of(j, "detail");
    e->has_before = oid_of(&e->before, j, "before");
    e->has_after = oid_of(&e->after, j, "after");
    const char *prev = text_of(j, "prev");
    if (!ds_sha_parse(&e->prev, prev, strlen(prev)))
        e->prev = (ds_sha){{0}};
}

/* What is wrong with the line, after the chain so far; NULL: nothing. */
static const char *look(ds_opentry *e, const json_t *j, const chain *c, const ds_sha *sum)
{
    ds_sha told;
    const char *hash = text_of(j, "hash");
    if (!ds_sha_parse(&told, hash, strlen(hash)) || !ds_sha_eq(&told, sum))
        return "the entry was changed: it does not give its hash";
    if (!*text_of(j, "prev") || !ds_sha_eq(&e->prev, &c->prev))
        return "the chain is broken: this entry does not follow the one before";
    return e->seq == c->seq + 1 ? NULL : "entries are missing before this one";
}

static int one_line(chain *c, uint64_t number, const uint8_t *line, size_t len, ds_oplog_fn fn,
                    void *ctx, ds_err *err)
{
    ds_opentry e = {.time = "", .actor = "", .command = "", .reason = "", .ref = "", .detail = ""};
    json_t *j = NULL;
    ds_err why = {0};
    e.line = number;
    e.offset = c->end;
    int rc = ds_sha_bytes(&e.hash, line, body_len(line, len), err);
    if (!rc && ds_json_parse(&j, line, len, "oplog", &why)) {
        e.trouble = "no entry, but something else";
    } else if (!rc) {
        fill(&e, j);
        e.trouble = look(&e, j, c, &e.hash);
    }
    c->seq = e.seq ? e.seq : c->seq + 1;
    c->prev = e.hash;
    c->end += len + 1;
    rc = rc ? rc : fn(ctx, &e, err);
    json_decref(j);
    return rc;
}

int ds_oplog_each(const char *store, ds_oplog_fn fn, void *ctx, ds_err *err)
{
    char *path = NULL;
    ds_in in = {.fd = -1};
    chain c = {.seq = 0};
    int fd = -1, rc = log_path(&path, store, err);
    if (rc || !ds_path_exists(path))
        goto out;
    rc = ds_open(&fd, path, O_RDONLY, 0, err);
    rc = rc ? rc : ds_in_init(&in, fd, path, err);
    for (uint64_t number = 1; !rc; number++) {
        const uint8_t *p, *nl = NULL;
        size_t got = 0, want = TAIL;
        do {
            rc = ds_in_peek(&in, want, &p, &got, err);
            nl = rc ? NULL : memchr(p, '\n', got);
        } while (!rc && !nl && got == want && (want *= 2) <= LINE_MAX_BYTES);
        if (!rc && !nl && got == LINE_MAX_BYTES)
            rc = ds_fail(err, DS_CORRUPT, "%s offset %" PRIu64 ": a line without end", path, c.end);
        if (rc || !nl)
            break;
        rc = one_line(&c, number, p, (size_t)(nl - p), fn, ctx, err);
        ds_in_skip(&in, (size_t)(nl - p) + 1);
    }
    ds_in_fini(&in);
    (void)ds_close(&fd, path, NULL);
out:
    free(path);
    return rc;
}

/* ---- where it leaves refs ---- */

/* The place of the name, or where it belongs. */
static size_t place(const ds_oprefs *r, const char *name, bool *there)
{
    size_t lo = 0, hi = r->n;
    *there = false;
    while (lo < hi && !*there) {
        const size_t mid = lo + (hi - lo) / 2;
        const int c = strcmp(r->v[mid].name, name);
        *there = c == 0;
        if (c == 0)
            lo = mid;
        else if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool same(bool has, const git_oid *id, bool has2, const git_oid *id2)
{
    return has == has2 && (!has || git_oid_equal(id, id2));
}

static int insert(ds_oprefs *r, size_t at, const char *name, ds_err *err)
{
    if (ds_grow(&r->v, &r->cap, r->n, sizeof *r->v))
        return ds_fail_nomem(err);
    ds_opref fresh = {.name = strdup(name)};
    if (!fresh.name)
        return ds_fail_nomem(err);
    memmove(r->v + at + 1, r->v + at, (r->n - at) * sizeof *r->v);
    r->v[at] = fresh;
    r->n++;
    return 0;
}

int ds_oprefs_add(ds_oprefs *r, const ds_opentry *e, ds_err *err)
{
    bool there;
    if (!*e->ref)
        return 0;
    const size_t at = place(r, e->ref, &there);
    int rc = there ? 0 : insert(r, at, e->ref, err);
    if (rc)
        return rc;
    ds_opref *o = &r->v[at];
    o->gap = !same(e->has_before, &e->before, o->has_after, &o->after) &&
             !same(e->has_before, &e->before, o->has_before, &o->before);
    o->has_before = e->has_before;
    o->has_after = e->has_after;
    o->before = e->before;
    o->after = e->after;
    return 0;
}

const ds_opref *ds_oprefs_find(const ds_oprefs *r, const char *name)
{
    bool there;
    const size_t at = place(r, name, &there);
    return there ? &r->v[at] : NULL;
}

void ds_oprefs_fini(ds_oprefs *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->v[i].name);
    free(r->v);
    *r = (ds_oprefs){0};
}
