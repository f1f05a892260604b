/* dicomindex.c - see dicomindex.h. */
#include "dicomindex.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dicompump.h"
#include "io.h"

static int spool(ds_dicom_index *x, ds_dicom_entry *e, const ds_dicom_in *in, ds_err *err)
{
    int fd = x->spool_plus1 - 1, rc = 0;
    if (in->size > x->limit || x->spooled > x->limit - in->size)
        return ds_fail(
            err, DS_FAIL,
            "%s: series %.*s: members of archives and standard input would take more than "
            "%" PRIu64 " bytes of temporary space: raise --spool-limit, or unpack them, "
            "for files are read twice instead",
            in->name, (int)e->facts.len[DS_FACT_SERIES],
            e->facts.text[DS_FACT_SERIES] ? e->facts.text[DS_FACT_SERIES] : "", x->limit);
    if (fd < 0) {
        rc = ds_dicom_temp(&fd, err);
        x->spool_plus1 = rc == 0 ? fd + 1 : 0;
    }
    e->spool_at = x->spooled;
    if (rc == 0)
        rc = ds_dicom_in_copy(in, fd, "temporary file", err);
    x->spooled += in->size;
    return rc;
}

static char *copy_key(const ds_buf *key, uint64_t number)
{
    char *p = NULL;
    if (key->len) {
        p = malloc(key->len + 1);
        if (p) {
            memcpy(p, key->data, key->len);
            p[key->len] = 0;
        }
    } else {
        p = malloc(32);
        if (p)
            snprintf(p, 32, "object-%" PRIu64, number);
    }
    return p;
}

/* Takes name, path and facts over. */
static int add(ds_dicom_index *x, ds_dicom_in *in, ds_dicom_result *r, uint64_t number, ds_err *err)
{
    const bool lost = r->outcome != DS_DICOM_RECORD;
    if (ds_grow(&x->v, &x->cap, x->n, sizeof *x->v))
        return ds_fail_nomem(err);
    ds_dicom_entry *e = &x->v[x->n];
    *e = (ds_dicom_entry){.name = in->name,
                          .path = in->path,
                          .key = copy_key(&r->key, number),
                          .size = in->size,
                          .stamp = in->stamp,
                          .sha = r->sha,
                          .facts = r->facts,
                          .shape = r->shape,
                          .has_image = r->has_image,
                          .lost = lost};
    in->path = NULL;
    memset(&r->facts, 0, sizeof r->facts);
    x->n++;
    int rc = e->key ? 0 : ds_fail_nomem(err);
    if (rc == 0 && !e->path && !lost)
        rc = spool(x, e, in, err);
    in->name = NULL;
    return rc;
}

typedef struct pass {
    ds_dicom_index *x;
    ds_dicom_account *acc;
    ds_proof *proof;
} pass;

static int take(void *ctx, ds_dicom_in *in, ds_dicom_result *r, int frames, ds_err *err)
{
    pass *p = ctx;
    (void)frames;
    p->acc->inputs++;
    if (!r)
        return ds_dicom_account_left_out(p->acc, in, true, in->reason, err);
    /* What does not come out tells of people all the same. */
    int rc = p->proof ? ds_proof_file(p->proof, r->ids, err) : 0;
    if (rc != 0)
        return rc;
    if (r->outcome != DS_DICOM_RECORD)
        rc = ds_dicom_account_left_out(p->acc, in, r->outcome == DS_DICOM_FAILED, r->reason, err);
    return rc == 0 && (r->outcome == DS_DICOM_RECORD || r->facts.nplaces)
               ? add(p->x, in, r, p->acc->inputs, err)
               : rc;
}

static int by_key(const void *x, const void *y)
{
    const ds_dicom_entry *a = x, *b = y;
    int c = strcmp(a->key, b->key);
    if (c == 0)
        c = (int)a->lost - (int)b->lost;
    if (c == 0)
        c = memcmp(&a->sha, &b->sha, sizeof a->sha);
    return c ? c : strcmp(a->name, b->name);
}

static void entry_fini(ds_dicom_entry *e)
{
    free(e->name);
    free(e->path);
    free(e->key);
    ds_dicom_facts_fini(&e->facts);
}

/* Of one object several times the first by digest and name stays, whatever the order of input. What
 * was lost has been counted. */
static int hold_doubles(ds_dicom_index *x, ds_dicom_account *acc, ds_err *err)
{
    size_t k = 0;
    int rc = 0;
    if (x->n)
        qsort(x->v, x->n, sizeof *x->v, by_key);
    for (size_t i = 0; i < x->n; i++) {
        ds_dicom_in in;
        if (k == 0 || strcmp(x->v[k - 1].key, x->v[i].key) != 0) {
            x->v[k++] = x->v[i];
            continue;
        }
        const bool again = rc == 0 && !x->v[i].lost;
        if (again)
            rc = ds_dicom_index_open(x, i, &in, err);
        if (rc == 0 && again) {
            rc = ds_dicom_account_left_out(
                acc, &in, false,
                ds_sha_eq(&x->v[k - 1].sha, &x->v[i].sha) ? DS_DICOM_AGAIN : DS_DICOM_DIFFERS, err);
            ds_dicom_in_fini(&in);
        }
        entry_fini(&x->v[i]);
    }
    x->n = k;
    return rc;
}

int ds_dicom_index_make(ds_dicom_index *x, ds_dicominput *input, ds_dicom_jobs *jobs,
                        ds_dicom_in *ins, size_t nins, ds_dicom_account *acc, ds_proof *proof,
                        ds_dicom_late *late, ds_err *err)
{
    pass p = {.x = x, .acc = acc, .proof = proof};
    const ds_dicom_pump pump = {.input = input,
                                .jobs = jobs,
                                .ins = ins,
                                .nins = nins,
                                .late = late,
                                .ask = DS_DICOM_HEADERS,
                                .take = take,
                                .ctx = &p};
    int rc = ds_dicom_pump_run(&pump, err);
    return rc == 0 ? hold_doubles(x, acc, err) : rc;
}

int ds_dicom_index_open(const ds_dicom_index *x, size_t i, ds_dicom_in *in, ds_err *err)
{
    const ds_dicom_entry *e = &x->v[i];
    memset(in, 0, sizeof *in);
    in->fd = -1;
    in->size = e->size;
    in->name = strdup(e->name);
    int rc = in->name ? 0 : ds_fail_nomem(err);
    if (rc == 0 && e->path) {
        in->path = strdup(e->path);
        if (!in->path)
            rc = ds_fail_nomem(err);
        else if (ds_open(&in->fd, e->path, O_RDONLY, 0, NULL) != 0)
            in->reason = "unreadable";
        else
            ds_dicom_in_stamp(in);
        in->size = e->size;
        return rc;
    }
    in->at = e->spool_at;
    if (rc == 0)
        in->fd = fcntl(x->spool_plus1 - 1, F_DUPFD_CLOEXEC, 0);
    if (rc == 0 && in->fd < 0)
        rc = ds_fail_errno(err, errno, "temporary file");
    if (rc != 0)
        ds_dicom_in_fini(in);
    return rc;
}

int ds_dicom_index_ask(const ds_dicom_index *x, size_t i, ds_dicom_late *late, uint8_t ask,
                       ds_dicom_in *in, ds_err *err)
{
    const ds_dicom_entry *e = &x->v[i];
    int rc = 0;
    if (late && e->path) {
        *in = (ds_dicom_in){.fd = -1, .name = strdup(e->name), .path = strdup(e->path)};
        rc = in->name && in->path ? ds_dicom_late_known(late, in, ask, err) : ds_fail_nomem(err);
        if (rc == 1)
            return 0;
        ds_dicom_in_fini(in);
    }
    return rc == 0 ? ds_dicom_index_open(x, i, in, err) : rc;
}

void ds_dicom_index_fini(ds_dicom_index *x)
{
    for (size_t i = 0; i < x->n; i++)
        entry_fini(&x->v[i]);
    free(x->v);
    if (x->spool_plus1)
        close(x->spool_plus1 - 1);
    memset(x, 0, sizeof *x);
}
