/* dicomlate.c - see dicomlate.h. */
#include "dicomlate.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chunkpieces.h"
#include "dicomaccount.h"
#include "dicomcache.h"
#include "dicomrows.h"
#include "filecache.h"
#include "io.h"
#include "objstore.h"
#include "storefind.h"

enum { AHEAD = 64 }; /* files on their way to be read after all */
#define PART ((size_t)1 << 20)

/* A record whose image is still to come. */
typedef struct todo {
    ds_dicom_record rec;
    ds_dicom_member *members; /* with texts of their own */
} todo;

/* Files that are read after all, each once, in this order. */
typedef struct ahead {
    const ds_dicom_member **v;
    size_t n, cap, sent, taken;
    ds_dicom_in ins[AHEAD];
} ahead;

struct ds_dicom_late {
    ds_objstore *objs;
    bool held;
    ds_storeid id;
    ds_dicom_cache *cache;
    ds_dicom_opts work;
    unsigned workers;
    ds_dicom_jobs *jobs; /* for what is read after all; made by the first such file */
    ahead ahead;
    ds_dicom_result r; /* of the file that was read last */
    const ds_dicom_member *now;
    int frames;
    ds_dicom_rows *rows;
    const dcm_ids *current;
    /* the block that is being put together */
    ds_buf images; /* what each of its records' is made of */
    todo *todo;    /* those that are still to come */
    size_t ntodo, cap;
    bool direct; /* an image was put: those that follow are, too */
    ds_refs refs;
    ds_buf window;
    uint64_t count;
};

/* ---- what it all depends on ---- */

static int put_stamp(ds_buf *b, const char *path)
{
    struct stat st;
    int bad = ds_buf_put(b, path, strlen(path) + 1);

    if (stat(path, &st) == 0)
        bad |= ds_buf_u64(b, (uint64_t)st.st_size) | ds_buf_u64(b, (uint64_t)st.st_mtim.tv_sec) |
               ds_buf_u64(b, (uint64_t)st.st_mtim.tv_nsec);
    return bad;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Files that code is mapped from, at addresses that differ from run to run. */
static int mapped(char ***paths, size_t *n, ds_err *err)
{
    FILE *f = fopen("/proc/self/maps", "re");
    char line[4096];
    size_t cap = 0;
    int rc = f ? 0 : ds_fail(err, DS_IO, "/proc/self/maps: cannot be read");

    while (!rc && fgets(line, sizeof line, f)) {
        const char *mode = strchr(line, ' '), *path = strchr(line, '/');
        if (!mode || !path || mode[3] != 'x')
            continue;
        if (ds_grow(paths, &cap, *n, sizeof **paths) ||
            !((*paths)[*n] = strndup(path, strcspn(path, "\n"))))
            rc = ds_fail_nomem(err);
        else
            ++*n;
    }
    if (f)
        fclose(f);
    return rc;
}

/* The program and its libraries: another version may decode, or de-identify, in another way. */
static int put_program(ds_buf *b, ds_err *err)
{
    char **paths = NULL;
    size_t n = 0;
    int rc = mapped(&paths, &n, err);

    if (n)
        qsort(paths, n, sizeof *paths, by_text);
    for (size_t i = 0; i < n; i++) {
        if (!rc && put_stamp(b, paths[i]))
            rc = ds_fail_nomem(err);
        free(paths[i]);
    }
    free(paths);
    return rc;
}

/* DCMTK's dictionaries, when it is told of others than its own. */
static int put_dictionaries(ds_buf *b)
{
    const char *p = getenv("DCMDICTPATH");
    char path[4096];
    int bad = 0;

    while (p && *p && !bad) {
        const size_t n = strcspn(p, ":");
        if (n < sizeof path) {
            memcpy(path, p, n);
            path[n] = 0;
            bad = put_stamp(b, path);
        }
        p += n + (p[n] == ':');
    }
    return bad;
}

static int function_of(const ds_dicom_late_opts *o, ds_sha *out, ds_err *err)
{
    const dcm_limits *m = &o->work->limits;
    ds_buf b = {0};
    int rc = ds_buf_put(&b, o->prov->data, o->prov->len) || ds_buf_u64(&b, m->max_file) ||
                     ds_buf_u64(&b, m->max_frame) || ds_buf_u32(&b, m->max_frames) ||
                     ds_buf_u32(&b, o->work->patch) || put_dictionaries(&b)
                 ? ds_fail_nomem(err)
                 : put_program(&b, err);

    rc = rc ? rc : ds_sha_tagged(out, "ds.dicom.function", b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

/* ---- opening ---- */

int ds_dicom_late_open(ds_dicom_late **out, const ds_dicom_late_opts *o, ds_err *err)
{
    ds_dicom_cache_opts c = {
        .inputs = o->inputs, .ninputs = o->ninputs, .kind = o->kind, .key = o->work->key};
    ds_dicom_late *l = calloc(1, sizeof *l);
    char *dir = NULL;
    int rc = l ? function_of(o, &c.function, err) : ds_fail_nomem(err);

    for (size_t i = 0; l && i < AHEAD; i++)
        l->ahead.ins[i].fd = -1;
    rc = rc ? rc : ds_store_find(&dir, o->store, err);
    rc = rc ? rc : ds_objstore_open(&l->objs, dir, DS_OBJ_READ, err);
    rc = rc ? rc : ds_objstore_hold(l->objs, err); /* gc removes what is half made */
    if (!rc) {
        l->held = true;
        l->work = *o->work;
        l->workers = o->workers;
        rc = ds_store_id(&l->id, dir, true, err);
        c.dir = dir;
        c.store = l->id;
    }
    rc = rc ? rc : ds_dicom_cache_open(&l->cache, &c, err);
    free(dir);
    if (rc)
        ds_dicom_late_free(l);
    else
        *out = l;
    return rc;
}

static void forget_todo(ds_dicom_late *l)
{
    for (size_t i = 0; i < l->ntodo; i++) {
        for (size_t k = 0; l->todo[i].members && k < l->todo[i].rec.nmade; k++) {
            free((char *)(uintptr_t)l->todo[i].members[k].path);
            free((char *)(uintptr_t)l->todo[i].members[k].name);
        }
        free(l->todo[i].members);
    }
    l->ntodo = 0;
}

void ds_dicom_late_free(ds_dicom_late *l)
{
    if (!l)
        return;
    if (l->held)
        ds_objstore_release(l->objs);
    ds_objstore_close(l->objs);
    ds_dicom_cache_free(l->cache);
    ds_dicom_jobs_free(l->jobs);
    for (size_t i = 0; i < AHEAD; i++)
        ds_dicom_in_fini(&l->ahead.ins[i]);
    free(l->ahead.v);
    ds_dicom_result_fini(&l->r);
    forget_todo(l);
    free(l->todo);
    ds_refs_fini(&l->refs);
    ds_buf_fini(&l->images);
    ds_buf_fini(&l->window);
    free(l);
}

/* ---- answers ---- */

int ds_dicom_late_known(ds_dicom_late *l, ds_dicom_in *in, uint8_t ask, ds_err *err)
{
    struct stat st;

    if (stat(in->path, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    in->stamp = ds_filestamp_of(&st);
    in->size = in->stamp.size;
    in->stamped = true;
    const int rc =
        ds_dicom_cache_find(l->cache, in->name, ask, &in->stamp, &in->answer, &in->known_at, err);
    if (rc != 1)
        ds_buf_reset(&in->answer);
    return rc;
}

/* What failed may do so for want of memory or time, and is tried again. */
static int remember(ds_dicom_late *l, const ds_dicom_in *in, uint8_t ask, const ds_dicom_result *r,
                    int frames, ds_err *err)
{
    ds_buf b = {0};

    if (r->outcome == DS_DICOM_FAILED || !in->stamped || r->data_at <= 8 ||
        !ds_filestamp_settled(&in->stamp, in->looked))
        return 0;
    int rc = ds_buf_reserve(&b, (size_t)r->data_at - 8)
                 ? ds_fail_nomem(err)
                 : ds_pread_exact(frames, "an answer", b.data, (size_t)r->data_at - 8, 8, err);
    rc = rc ? rc
            : ds_dicom_cache_put(l->cache, in->name, ask, &in->stamp, b.data,
                                 (size_t)r->data_at - 8, err);
    ds_buf_fini(&b);
    return rc;
}

int ds_dicom_late_next(ds_dicom_late *l, ds_dicom_jobs *jobs, const ds_dicom_in *in, uint8_t ask,
                       ds_dicom_result *r, int *frames, ds_err *err)
{
    ds_dicom_late_current(l, NULL);
    if (in->answer.len == 0) {
        const int rc = ds_dicom_jobs_next(jobs, r, frames, err);
        return rc || !l ? rc : remember(l, in, ask, r, *frames, err);
    }
    *frames = -1;
    memset(r, 0, sizeof *r);
    const int rc = ds_dicom_result_read(r, in->answer.data, in->answer.len, err);
    return rc ? rc : ds_dicom_cache_again(l->cache, in->known_at, err);
}

int ds_dicom_late_reopen(ds_dicom_in *in, ds_err *err)
{
    const ds_filestamp was = in->stamp;
    int rc = ds_open(&in->fd, in->path, O_RDONLY, 0, err);

    if (rc)
        return rc;
    ds_dicom_in_stamp(in);
    return ds_filestamp_eq(&in->stamp, &was)
               ? 0
               : ds_fail(err, DS_FAIL, "%s: changed while the run went on: run again", in->name);
}

void ds_dicom_late_current(ds_dicom_late *l, const dcm_ids *ids)
{
    if (l)
        l->current = ids;
}

/* ---- files that are read after all ---- */

static int send_ahead(ds_dicom_late *l, ds_err *err)
{
    ahead *a = &l->ahead;
    int rc = 0;

    while (!rc && a->sent < a->n && a->sent - a->taken < AHEAD && !ds_dicom_jobs_full(l->jobs)) {
        const ds_dicom_member *m = a->v[a->sent];
        ds_dicom_in *in = &a->ins[a->sent % AHEAD];
        *in = (ds_dicom_in){.fd = -1,
                            .name = strdup(m->name),
                            .path = strdup(m->path),
                            .stamp = m->stamp,
                            .size = m->size};
        rc = in->name && in->path ? ds_dicom_late_reopen(in, err) : ds_fail_nomem(err);
        rc = rc ? rc : ds_dicom_jobs_submit(l->jobs, in, m->ask, err);
        a->sent += rc == 0;
    }
    return rc;
}

/* The next of them; all the others that were asked for are on their way. */
static int take_next(ds_dicom_late *l, ds_err *err)
{
    ahead *a = &l->ahead;
    int rc = l->jobs ? 0 : ds_dicom_jobs_new(&l->jobs, &l->work, l->workers, err);

    ds_dicom_result_fini(&l->r);
    l->now = NULL;
    rc = rc ? rc : send_ahead(l, err);
    rc = rc ? rc : ds_dicom_jobs_next(l->jobs, &l->r, &l->frames, err);
    if (rc)
        return rc;
    const ds_dicom_member *m = a->v[a->taken];
    ds_dicom_in_fini(&a->ins[a->taken++ % AHEAD]);
    if (l->r.outcome != DS_DICOM_RECORD)
        return ds_fail(err, DS_FAIL, "%s: %s, where it gave a record before", m->name, l->r.reason);
    if (!ds_sha_eq(&l->r.sha, &m->sha))
        return ds_fail(err, DS_FAIL,
                       "%s: holds other bytes than when it was last read, with the same size and "
                       "times: remove the store's folder " DS_STORE_FILES "/ and run again",
                       m->name);
    l->now = m;
    return 0;
}

static bool same_file(const ds_dicom_member *a, const ds_dicom_member *b)
{
    return a && a->ask == b->ask && strcmp(a->path, b->path) == 0;
}

static int ask_for(ds_dicom_late *l, const ds_dicom_member *m, ds_err *err)
{
    ahead *a = &l->ahead;

    if (a->n && same_file(a->v[a->n - 1], m))
        return 0;
    if (ds_grow(&a->v, &a->cap, a->n, sizeof *a->v))
        return ds_fail_nomem(err);
    a->v[a->n++] = m;
    return 0;
}

static void ask_anew(ds_dicom_late *l)
{
    l->ahead.n = l->ahead.sent = l->ahead.taken = 0;
    l->now = NULL;
}

int ds_dicom_late_fetch(ds_dicom_late *l, const ds_dicom_member *m, const ds_dicom_result **r,
                        int *fd, ds_err *err)
{
    ask_anew(l);
    int rc = ask_for(l, m, err);
    rc = rc ? rc : take_next(l, err);
    *r = &l->r;
    *fd = l->frames;
    return rc;
}

/* ---- images ---- */

/* Frames of several files one behind the other into a temporary, searched for what each tells. */
static int join(ds_dicom_late *l, ds_dicom_record *rec, int to, ds_err *err)
{
    ds_proof *proof = l->rows->proof;
    ds_buf part = {0};
    int rc = ds_buf_reserve(&part, PART) ? ds_fail_nomem(err) : 0;

    for (size_t i = 0; !rc && i < rec->nmade; i++) {
        const ds_dicom_member *m = &rec->made[i];
        uint64_t left = rec->frame_bytes;
        if (!same_file(l->now, m))
            rc = take_next(l, err);
        if (!rc && proof)
            rc = ds_proof_own(proof, l->r.ids, err);
        uint64_t at = l->r.data_at + (uint64_t)m->frame * rec->frame_bytes;
        while (!rc && left > 0) {
            const size_t n = left < PART ? (size_t)left : PART;
            rc = ds_pread_exact(l->frames, "an answer", part.data, n, at, err);
            rc = rc ? rc : ds_proofraw_put(&l->rows->raw, proof, "image", part.data, n, err);
            rc = rc ? rc : ds_write_full(to, "temporary file", part.data, n, err);
            at += n;
            left -= n;
        }
    }
    ds_buf_fini(&part);
    rec->fd = to;
    rec->at = 0;
    rec->searched = true;
    return rc;
}

/* Its files are on their way. */
static int put_image(ds_dicom_late *l, const ds_dicom_record *late, ds_err *err)
{
    ds_dicom_record rec = *late;
    int to = -1, rc = 0;

    if (rec.has_image && rec.stack) {
        rc = ds_dicom_temp(&to, err);
        ds_proofraw_reset(&l->rows->raw);
        rc = rc ? rc : join(l, &rec, to, err);
    } else if (rec.has_image) {
        const int64_t frame = rec.made->frame;
        rc = same_file(l->now, rec.made) ? 0 : take_next(l, err);
        rec.fd = l->frames;
        rec.at = l->r.data_at + (frame < 0 ? 0 : (uint64_t)frame * rec.frame_bytes);
        if (!rc && l->rows->proof)
            rc = ds_proof_own(l->rows->proof, l->r.ids, err);
    }
    rc = rc ? rc : ds_dicom_rows_image(l->rows, &rec, err);
    if (to >= 0)
        close(to);
    return rc;
}

static int ask_for_all(ds_dicom_late *l, const ds_dicom_record *rec, ds_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && rec->has_image && i < rec->nmade; i++)
        rc = ask_for(l, &rec->made[i], err);
    return rc;
}

static int own_again(ds_dicom_late *l, ds_err *err)
{
    return l->rows->proof ? ds_proof_own(l->rows->proof, l->current, err) : 0;
}

int ds_dicom_late_image(ds_dicom_late *l, const ds_dicom_record *rec, ds_err *err)
{
    ask_anew(l);
    int rc = ask_for_all(l, rec, err);
    rc = rc ? rc : put_image(l, rec, err);
    return rc ? rc : own_again(l, err);
}

static int read_all(ds_dicom_late *l, ds_err *err)
{
    int rc = 0;

    ask_anew(l);
    for (size_t i = 0; !rc && i < l->ntodo; i++)
        rc = ask_for_all(l, &l->todo[i].rec, err);
    for (size_t i = 0; !rc && i < l->ntodo; i++)
        rc = put_image(l, &l->todo[i].rec, err);
    l->now = NULL;
    forget_todo(l);
    l->direct = true;
    return rc ? rc : own_again(l, err);
}

/* What an image is made of, under the function of the cache. */
static int image_of(const ds_dicom_record *rec, ds_sha *out, ds_err *err)
{
    ds_buf b = {0};
    int bad = 0;

    if (rec->has_image)
        bad = ds_buf_u32(&b, (uint32_t)rec->shape.dtype) | ds_buf_putc(&b, rec->stack) |
              ds_buf_u64(&b, rec->nmade);
    for (size_t i = 0; rec->has_image && !bad && i < rec->nmade; i++)
        bad = ds_buf_put(&b, &rec->made[i].sha, sizeof rec->made[i].sha) |
              ds_buf_u64(&b, (uint64_t)rec->made[i].frame);
    const int rc =
        bad ? ds_fail_nomem(err) : ds_sha_tagged(out, "ds.dicom.image", b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

/* A copy that outlives what it was made of, of what put_image wants. */
static int note_todo(ds_dicom_late *l, const ds_dicom_record *rec, ds_err *err)
{
    const size_t n = rec->has_image ? rec->nmade : 0;

    if (ds_grow(&l->todo, &l->cap, l->ntodo, sizeof *l->todo))
        return ds_fail_nomem(err);
    todo *t = &l->todo[l->ntodo++];
    t->members = calloc(n ? n : 1, sizeof *t->members);
    t->rec = (ds_dicom_record){.has_image = rec->has_image,
                               .stack = rec->stack,
                               .shape = rec->shape,
                               .frame_bytes = rec->frame_bytes,
                               .fd = -1,
                               .made = t->members,
                               .nmade = n};
    bool ok = t->members != NULL;
    for (size_t i = 0; ok && i < n; i++) {
        ds_dicom_member *m = &t->members[i];
        *m = rec->made[i];
        m->path = strdup(m->path);
        m->name = strdup(m->name);
        ok = m->path && m->name;
    }
    return ok ? 0 : ds_fail_nomem(err);
}

int ds_dicom_late_begin(ds_dicom_late *l, const ds_dicom_record *rec, bool *lazy, ds_err *err)
{
    ds_sha image;
    int rc = image_of(rec, &image, err);

    *lazy = false;
    if (!rc && ds_buf_put(&l->images, &image, sizeof image))
        rc = ds_fail_nomem(err);
    if (rc || l->direct)
        return rc;
    *lazy = !rec->has_image || rec->fd < 0;
    if (*lazy)
        return note_todo(l, rec, err);
    rc = l->ntodo ? read_all(l, err) : 0;
    l->direct = true;
    return rc;
}

bool ds_dicom_late_digest(const ds_dicom_late *l, const ds_dicom_record *rec, ds_sha *digest)
{
    ds_sha image;

    return image_of(rec, &image, NULL) == 0 && ds_dicom_cache_digest(l->cache, &image, digest);
}

int ds_dicom_late_put_digest(ds_dicom_late *l, const ds_dicom_record *rec, const ds_sha *digest,
                             ds_err *err)
{
    ds_sha image;
    const int rc = image_of(rec, &image, err);

    return rc ? rc : ds_dicom_cache_put_digest(l->cache, &image, digest, err);
}

/* ---- blocks ---- */

static int images(ds_dicom_late *l, ds_sha *out, ds_err *err)
{
    return ds_sha_tagged(out, "ds.dicom.images", l->images.data, l->images.len, err);
}

/* ds_rows_late.fill */
static int fill(void *ctx, ds_colbuild *b, uint64_t rows, const ds_refs **refs, ds_err *err)
{
    ds_dicom_late *l = ctx;
    ds_sha id;
    int rc = images(l, &id, err);

    (void)b; /* which is the column of rows that images are put into */
    if (!rc && l->ntodo == rows && (rc = ds_dicom_cache_chunk(l->cache, &id, &l->refs, err)) == 1) {
        rc = 0;
        if (ds_chunk_stored(&l->refs, l->objs)) {
            l->count += rows;
            *refs = &l->refs;
            return 0;
        }
    }
    return rc ? rc : read_all(l, err);
}

/* ds_rows_late.wrote */
static int wrote(void *ctx, uint64_t rows, const ds_chunk *chunk, ds_err *err)
{
    ds_dicom_late *l = ctx;
    ds_sha id;
    int rc = images(l, &id, err);

    (void)rows;
    if (!chunk->refs) {
        ds_refs_reset(&l->refs);
        rc = rc ? rc : ds_chunk_pieces(&l->refs, &l->window, chunk, err);
    }
    rc = rc ? rc : ds_dicom_cache_put_chunk(l->cache, &id, &l->refs, err);
    ds_buf_reset(&l->images);
    forget_todo(l);
    l->direct = false;
    return rc;
}

int ds_dicom_late_stream(ds_dicom_late *l, ds_dicom_rows *rows, size_t column, ds_err *err)
{
    const ds_rows_late late = {.column = column, .fill = fill, .wrote = wrote, .ctx = l};

    l->rows = rows;
    return ds_shardout_late(rows->out, &late, &l->id, err);
}

int ds_dicom_late_keep(ds_dicom_late *l, ds_err *err)
{
    return ds_dicom_cache_keep(l->cache, err);
}

uint64_t ds_dicom_late_count(const ds_dicom_late *l)
{
    return l->count;
}
