/* checkpoint.c - see checkpoint.h. */
#include "checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abandon.h"
#include "adapter.h"
#include "algorithms.h"
#include "filesum.h"
#include "io.h"
#include "jsonfile.h"
#include "net_priv.h"
#include "retain.h"
#include "rmtree.h"
#include "strlist.h"

int ds_tokenizer_copy(const char *model, const char *dir, ds_err *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json",
                                        "special_tokens_map.json", "chat_template.jinja",
                                        "generation_config.json"};
    char from[DS_PATH], to[DS_PATH];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        TRY(ds_path_join(from, model, names[i], err));
        TRY(ds_path_join(to, dir, names[i], err));
        if (ds_path_exists(from))
            TRY(ds_copy_file(from, to, 0644, err));
    }
    return 0;
}

/* ---- writing ---- */

static int write_weights(const char *dir, ds_net *net, const ds_trainconf *c, ds_err *err)
{
    char *base;

    if (c->method == DS_METHOD_FULL)
        return ds_net_save(net, dir, err);
    TRY(ds_path_name(&base, c->model, err));
    const int rc = ds_adapter_write(net, dir, c, base, err);
    free(base);
    return rc;
}

static json_t *watch_json(const ds_watch *w)
{
    json_t *o = json_object();

    json_object_set_new(o, "evaluated", json_integer((json_int_t)w->evaluated));
    json_object_set_new(o, "best_step", json_integer((json_int_t)w->best_step));
    json_object_set_new(o, "waited", json_integer((json_int_t)w->waited));
    json_object_set_new(o, "best", json_real(w->best));
    json_object_set_new(o, "mark", json_real(w->mark));
    return o;
}

static json_t *scale_json(const ds_lossscale *s)
{
    return json_pack("{s:I, s:I, s:I}", "scale", (json_int_t)s->scale, "updates",
                     (json_int_t)s->good, "overflows", (json_int_t)s->overflows);
}

/* What an early stop depends on is part of a checkpoint only where a run may stop early: looking on
 * changes none. */
static int write_state(const char *dir, const ds_trainconf *c, const ds_ckpt_state *s, ds_err *err)
{
    json_t *o = json_object();
    char head[65];
    int rc;

    ds_sha_hex(head, &s->head);
    json_object_set_new(o, "step", json_integer((json_int_t)s->step));
    json_object_set_new(o, "rows", json_integer((json_int_t)s->rows));
    json_object_set_new(o, "head", json_string(head));
    json_object_set_new(o, "loss", json_real(s->loss));
    if (c->patience)
        json_object_set_new(o, "early_stop", watch_json(&s->watch));
    if (c->scaling.first)
        json_object_set_new(o, "loss_scale", scale_json(&s->scale));
    rc = ds_jsonfile_write(dir, "state.json", o, err);
    json_decref(o);
    return rc;
}

/* Links the segments of one folder into another; those that are there already stay. */
static int link_segments(const char *from, const char *to, ds_err *err)
{
    char a[DS_PATH], b[DS_PATH] = "";
    ds_strlist names = {0};
    int rc = ds_mkdirs(to, err);

    rc = rc ? rc : ds_strlist_folder(&names, from, err);
    for (size_t i = 0; !rc && i < names.n; i++) {
        uint64_t first, last;
        if (!ds_ledger_parse_name(names.v[i], &first, &last))
            continue;
        rc = ds_path_join(a, from, names.v[i], err);
        rc = rc ? rc : ds_path_join(b, to, names.v[i], err);
        if (!rc && link(a, b) && errno != EEXIST)
            rc = ds_copy_file(a, b, 0644, err);
    }
    ds_strlist_fini(&names);
    return rc || !b[0] ? rc : ds_fsync_parent(b, err);
}

/* abandoned/: a folder of segments for each stretch. */
static int link_stretches(const char *from, const char *to, ds_err *err)
{
    char a[DS_PATH], b[DS_PATH];
    ds_strlist names = {0};
    int rc = ds_strlist_folder_if_there(&names, from, err);

    for (size_t i = 0; !rc && i < names.n; i++) {
        uint64_t number, step;
        if (!ds_stretch_parse_name(names.v[i], &number, &step))
            continue;
        rc = ds_path_join(a, from, names.v[i], err);
        rc = rc ? rc : ds_path_join(b, to, names.v[i], err);
        rc = rc ? rc : link_segments(a, b, err);
        rc = rc ? rc : ds_fsync_parent(b, err);
    }
    ds_strlist_fini(&names);
    return rc;
}

/* RUN/ledger holds the segments while the run goes on, RUN/abandoned what it went back from; a
 * checkpoint has them all. */
static int link_ledger(const char *run_dir, const char *dir, ds_err *err)
{
    char from[DS_PATH], to[DS_PATH];

    TRY(ds_path_join(from, run_dir, "ledger", err));
    TRY(ds_path_join(to, dir, "ledger", err));
    TRY(link_segments(from, to, err));
    TRY(ds_fsync_parent(to, err));
    TRY(ds_path_join(from, run_dir, "abandoned", err));
    TRY(ds_path_join(to, dir, "abandoned", err));
    return link_stretches(from, to, err);
}

static int write_lineage(const char *dir, ds_lineage *l, const ds_ckpt_state *s, ds_err *err)
{
    char name[32], path[DS_PATH];
    ds_buf b = {0};
    int rc;

    ds_checkpoint_name(name, s->step);
    free(l->name);
    l->name = strdup(name);
    if (!l->name)
        return ds_fail_nomem(err);
    l->step = s->step;
    l->rows = s->rows;
    l->head = s->head;
    rc = ds_filesum_dir(&l->files, dir, "lineage.json", err);
    rc = rc ? rc : ds_lineage_dump(&b, l, err);
    rc = rc ? rc : ds_path_join(path, dir, "lineage.json", err);
    rc = rc ? rc : ds_atomic_write(path, 0644, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

int ds_checkpoint_write(const char *run_dir, ds_net *net, const ds_trainconf *c,
                        const ds_ckpt_state *s, ds_lineage *lineage, ds_err *err)
{
    char name[32], hidden[48], tmp[DS_PATH], final[DS_PATH], to[DS_PATH];
    int rc;

    ds_checkpoint_name(name, s->step);
    snprintf(hidden, sizeof hidden, ".%s.tmp", name);
    TRY(ds_path_join(tmp, run_dir, hidden, err));
    TRY(ds_path_join(final, run_dir, name, err));
    ds_remove_tree(tmp);
    rc = ds_mkdirs(tmp, err);
    rc = rc ? rc : write_weights(tmp, net, c, err);
    rc = rc ? rc : ds_path_join(to, tmp, "optimizer.safetensors", err);
    rc = rc ? rc : ds_optim_write(&net->params, to, err);
    rc = rc ? rc : write_state(tmp, c, s, err);
    rc = rc ? rc : ds_algorithms_write(tmp, net->k, err);
    rc = rc ? rc : link_ledger(run_dir, tmp, err);
    rc = rc ? rc : ds_tokenizer_copy(c->model, tmp, err);
    rc = rc ? rc : write_lineage(tmp, lineage, s, err);
    if (!rc && ds_io_active->rename(tmp, final))
        rc = ds_fail_errno(err, errno, "%s", final);
    rc = rc ? rc : ds_fsync_parent(final, err);
    if (rc)
        ds_remove_tree(tmp);
    return rc;
}

/* A new run: segments that another one left there before its first checkpoint are no part of it. */
static int drop_segments(const char *run_dir, ds_err *err)
{
    char ledger[DS_PATH], path[DS_PATH];
    ds_strlist names = {0};
    uint64_t first, last;
    int rc = ds_path_join(ledger, run_dir, "ledger", err);

    rc = rc ? rc : ds_strlist_folder_if_there(&names, ledger, err);
    for (size_t i = 0; !rc && i < names.n; i++)
        if (ds_ledger_parse_name(names.v[i], &first, &last)) {
            rc = ds_path_join(path, ledger, names.v[i], err);
            if (!rc && ds_io_active->unlink(path))
                rc = ds_fail_errno(err, errno, "%s", path);
        }
    ds_strlist_fini(&names);
    return rc;
}

uint64_t ds_checkpoint_last(const char *run_dir, uint64_t most)
{
    ds_strlist names = {0};
    uint64_t at, last = 0;

    (void)ds_strlist_folder_if_there(&names, run_dir, NULL);
    for (size_t i = 0; i < names.n; i++)
        if (ds_checkpoint_parse_name(names.v[i], &at) && at > last && at <= most)
            last = at;
    ds_strlist_fini(&names);
    return last;
}

int ds_checkpoint_meant(const char *dir, ds_err *err)
{
    const uint64_t last = ds_checkpoint_last(dir, UINT64_MAX);
    const int n = (int)ds_path_len(dir);
    char name[32];

    ds_checkpoint_name(name, last);
    return last ? ds_err_prefix(err, "%.*s is the folder of a run, a checkpoint is %.*s/%s", n, dir,
                                n, dir, name)
                : err->code;
}

int ds_checkpoint_begin(const char *run_dir, const char *resume, uint64_t step, bool abandon,
                        ds_err *err)
{
    char name[32];

    ds_retain_sweep(run_dir);
    const uint64_t last = ds_checkpoint_last(run_dir, UINT64_MAX);
    ds_checkpoint_name(name, last);
    if (last > step && !(resume && abandon))
        return ds_fail(err, DS_FAIL, "%s holds %s already: another -o, or --resume %s/%s%s",
                       run_dir, name, run_dir, name,
                       resume ? " (--abandon sets aside what is later)" : "");
    if (!resume)
        return drop_segments(run_dir, err);
    TRY(ds_abandon(run_dir, step, err));
    return link_ledger(resume, run_dir, err);
}

/* ---- reading ---- */

static ds_watch watch_of(const json_t *o)
{
    return (ds_watch){.evaluated = (uint64_t)json_integer_value(json_object_get(o, "evaluated")),
                      .best_step = (uint64_t)json_integer_value(json_object_get(o, "best_step")),
                      .waited = (uint64_t)json_integer_value(json_object_get(o, "waited")),
                      .best = json_number_value(json_object_get(o, "best")),
                      .mark = json_number_value(json_object_get(o, "mark"))};
}

static ds_lossscale scale_of(const json_t *o)
{
    if (!o)
        return (ds_lossscale){.scale = 1};
    return (ds_lossscale){.scale = (uint64_t)json_integer_value(json_object_get(o, "scale")),
                          .good = (uint64_t)json_integer_value(json_object_get(o, "updates")),
                          .overflows =
                              (uint64_t)json_integer_value(json_object_get(o, "overflows"))};
}

static int read_state(const char *dir, const ds_trainconf *c, ds_ckpt_state *s, ds_err *err)
{
    json_t *o = NULL;
    int rc = ds_jsonfile_read(&o, dir, "state.json", err);
    const char *head = json_string_value(json_object_get(o, "head"));

    if (!rc) {
        s->step = (uint64_t)json_integer_value(json_object_get(o, "step"));
        s->rows = (uint64_t)json_integer_value(json_object_get(o, "rows"));
        s->loss = json_number_value(json_object_get(o, "loss"));
        s->watch = watch_of(json_object_get(o, "early_stop"));
        if (!head || !ds_sha_parse(&s->head, head, strlen(head)))
            rc = ds_fail(err, DS_CORRUPT, "%s/state.json: no ledger head", dir);
        s->scale = scale_of(json_object_get(o, "loss_scale"));
        if (!rc && (!ds_lossscale_valid(&s->scale, &c->scaling) || s->scale.overflows > s->step))
            rc =
                ds_fail(err, DS_CORRUPT, "%s/state.json: no loss scale that the run can have", dir);
    }
    json_decref(o);
    return rc;
}

int ds_checkpoint_read(const char *dir, ds_net *net, const ds_trainconf *c, bool moments,
                       ds_ckpt_state *s, ds_err *err)
{
    char path[DS_PATH];

    TRY(read_state(dir, c, s, err));
    if (c->method == DS_METHOD_FULL)
        TRY(ds_net_load(net, dir, err));
    else
        TRY(ds_adapter_read(net, dir, c->method == DS_METHOD_LORA, err));
    if (!moments)
        return 0;
    TRY(ds_path_join(path, dir, "optimizer.safetensors", err));
    return ds_optim_read(&net->params, path, err);
}
