/* instream.c - see instream.h. */
#include "instream.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dsr_shards.h"
#include "sig.h"

/* Like the descriptor that it is of, standard input's state is the process's. */
static struct {
    bool split, second;
    ds_reader *before; /* of the stream before the one that waits */
} std_in;

void ds_instream_split(void)
{
    std_in.split = true;
}

bool ds_instream_waits(void)
{
    return std_in.before != NULL;
}

int ds_instream_one_file(const char *path, ds_err *err)
{
    return std_in.second
               ? ds_fail(err, DS_USAGE,
                         "%s: standard input holds several streams, and a file can hold one", path)
               : 0;
}

static ds_calling *callings; /* of the main thread, which opens all streams */

void ds_instream_call(ds_calling *c)
{
    c->next = callings;
    callings = c;
}

void ds_instream_uncall(const ds_calling *c)
{
    ds_calling **at = &callings;
    while (*at && *at != c)
        at = &(*at)->next;
    if (*at)
        *at = c->next;
}

static const char *name_of(const char *path)
{
    for (const ds_calling *c = callings; c; c = c->next)
        if (strcmp(c->path, path) == 0)
            return c->name;
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

struct ds_instream {
    ds_strlist paths;
    size_t at; /* the current file */
    int fd;
    bool peeked; /* `first` was read, and nobody has had it */
    enum ds_event first;
    bool ended;      /* the current file was read to its end */
    uint64_t before; /* bytes of the files before the current one */
    ds_reader *reader;
    ds_schema schema;
};

static int find_files(ds_instream *in, char **operands, int n, ds_err *err)
{
    int rc = n == 0 ? ds_strlist_add(&in->paths, "-", err) : 0;
    for (int i = 0; i < n && rc == 0; i++)
        rc = ds_shards_operand(&in->paths, operands[i], err);
    return rc;
}

static void close_current(ds_instream *in)
{
    if (in->fd == STDIN_FILENO && in->reader && in->ended && ds_reader_has_more(in->reader))
        std_in.before = in->reader;
    else
        ds_reader_free(in->reader);
    in->reader = NULL;
    if (in->fd > STDIN_FILENO)
        close(in->fd); /* it was only read */
    in->fd = -1;
}

static int open_current(ds_instream *in, ds_err *err)
{
    const char *path = in->paths.v[in->at];
    int rc = 0;
    if (strcmp(path, "-") == 0) {
        if (isatty(STDIN_FILENO))
            return ds_fail(err, DS_USAGE,
                           "standard input is a terminal: give a FILE, or pipe a DSR stream in");
        in->fd = STDIN_FILENO;
    } else if ((rc = ds_open(&in->fd, path, O_RDONLY, 0, err))) {
        return rc;
    }
    in->ended = false;
    if (in->fd == STDIN_FILENO && std_in.before) {
        ds_reader *before = std_in.before;
        std_in.before = NULL;
        std_in.second = true;
        ds_sig_defer(); /* whoever writes them one by one ends the last one in order */
        return ds_reader_follow(&in->reader, before, err);
    }
    rc = ds_reader_new(&in->reader, in->fd, name_of(path), err);
    if (rc == 0 && in->fd == STDIN_FILENO && std_in.split)
        ds_reader_expect_more(in->reader);
    return rc;
}

static int same_schema(const ds_instream *in, ds_err *err)
{
    ds_sha a, b;
    int rc = ds_schema_digest(&a, &in->schema, err);
    if (rc == 0)
        rc = ds_schema_digest(&b, ds_reader_schema(in->reader), err);
    if (rc == 0 && !ds_sha_eq(&a, &b))
        rc = ds_fail(err, DS_FAIL, "%s: its schema is not that of %s", name_of(in->paths.v[in->at]),
                     name_of(in->paths.v[0]));
    return rc;
}

int ds_instream_open(ds_instream **out, char **operands, int n, ds_err *err)
{
    ds_instream *in = calloc(1, sizeof *in);
    if (!in)
        return ds_fail_nomem(err);
    in->fd = -1;
    int rc = find_files(in, operands, n, err);
    if (rc == 0)
        rc = open_current(in, err);
    if (rc == 0)
        rc = ds_schema_copy(&in->schema, ds_reader_schema(in->reader), err);
    if (rc) {
        ds_instream_free(in);
        return rc;
    }
    *out = in;
    return 0;
}

int ds_instream_peek(ds_instream *in, const ds_block **b, ds_err *err)
{
    *b = NULL;
    if (in->fd == STDIN_FILENO && std_in.second)
        return 0;
    int rc = in->peeked ? 0 : ds_instream_next(in, &in->first, err);
    in->peeked = rc == 0;
    *b = in->peeked && in->first == DS_EV_BLOCK ? ds_reader_block(in->reader) : NULL;
    return rc;
}

int ds_instream_next(ds_instream *in, enum ds_event *ev, ds_err *err)
{
    int rc;
    if (in->peeked) {
        in->peeked = false;
        *ev = in->first;
        return 0;
    }
    if (in->ended) {
        if (ds_instream_last(in))
            return ds_fail(err, DS_FAIL, "%s: read past the end", ds_instream_path(in));
        in->before += ds_reader_pos(in->reader);
        close_current(in);
        in->at++;
        if ((rc = open_current(in, err)) || (rc = same_schema(in, err)))
            return rc;
    }
    rc = ds_reader_next(in->reader, ev, err);
    if (rc == 0 && *ev == DS_EV_END)
        in->ended = true;
    return rc;
}

ds_reader *ds_instream_reader(const ds_instream *in)
{
    return in->reader;
}

const ds_schema *ds_instream_schema(const ds_instream *in)
{
    return &in->schema;
}

const char *ds_instream_path(const ds_instream *in)
{
    return name_of(in->paths.v[in->at]);
}

size_t ds_instream_files(const ds_instream *in)
{
    return in->paths.n;
}

bool ds_instream_last(const ds_instream *in)
{
    return in->at + 1 == in->paths.n;
}

uint64_t ds_instream_size(const ds_instream *in)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < in->paths.n; i++) {
        struct stat st;
        bool std = strcmp(in->paths.v[i], "-") == 0;
        if ((std ? fstat(STDIN_FILENO, &st) : stat(in->paths.v[i], &st)) || !S_ISREG(st.st_mode))
            return 0;
        sum += (uint64_t)st.st_size;
    }
    return sum;
}

uint64_t ds_instream_pos(const ds_instream *in)
{
    return in->before + (in->reader ? ds_reader_pos(in->reader) : 0);
}

int ds_instream_sameprov(const ds_instream *in, const ds_buf *prov, ds_err *err)
{
    size_t len;
    const char *p = ds_reader_provenance(in->reader, &len);
    return len == prov->len && memcmp(p, prov->data, len) == 0
               ? 0
               : ds_fail(err, DS_FAIL,
                         "%s: it was not made as the file before it was, so they are not shards "
                         "of one stream",
                         ds_instream_path(in));
}

void ds_instream_free(ds_instream *in)
{
    if (!in)
        return;
    close_current(in);
    ds_schema_fini(&in->schema);
    ds_strlist_fini(&in->paths);
    free(in);
}
