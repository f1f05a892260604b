/* cmd_split.c - dsprep split: parts of a stream by a hash of a group, so that no group is in two.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_transform.h"
#include "hash.h"
#include "io.h"
#include "sig.h"
#include "term.h"
#include "where.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_split;
const ds_command ds_cmd_split = {
    .prog = "dsprep",
    .name = "split",
    .summary = "divide a stream into parts, by groups that stay together",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example =
        "dsprep text --key-field id visits.jsonl | dsprep split --by meta.patient -d parts/\n"
        "dsprep split --by key --parts train=0.98,test=0.02 --salt v2 s.dsr | dsver commit -m s s",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard "
        "input) and gives every record a part, by a hash of its group: a column, a member of "
        "JSON (meta.user, or user where no column is called so) or any expression of dsprep "
        "filter (--by). Records of one group are in one part, in this and in every other "
        "stream that is split with the same --parts and --salt, so that a patient, a user or a "
        "session is never in training and test data at once. A group's part does not change "
        "when records are added.\n\n"
        "Without --dir the records stay one stream with a column split more; with it every "
        "part is a file NAME.dsr in the folder. Shares are shares of groups, not of records. "
        "Records whose group is null are dropped (held, as 'split: no_group') and can be "
        "written to --rejects. Values of different types are different groups only when their "
        "texts differ.\n\n"
        "The part is the first whose cumulated share is above h / 2^32, where h is the first "
        "four bytes, big endian, of SHA-256(salt, NUL, text of the group). Output is the same "
        "for any number of threads.",
    .run = run,
};

enum { PARTS_MAX = 64, UNIT = 1000000000 };

typedef struct split_opts {
    ds_rowopts row;
    const char *by, *parts, *salt, *dir;
} split_opts;

typedef struct split {
    const split_opts *o;
    ds_where *by;
    char *name[PARTS_MAX];
    uint64_t upto[PARTS_MAX]; /* cumulated shares, in UNITs */
    char *path[PARTS_MAX];
    size_t n;
} split;

typedef struct work {
    ds_wherework where;
    ds_value *values;
    ds_buf text;
} work;

static int part_of(work *w, const split *s, const ds_wval *group, size_t *part, ds_err *err)
{
    const char *salt = s->o->salt;
    ds_sha sha;
    ds_buf_reset(&w->text);
    if (ds_buf_put(&w->text, salt, strlen(salt) + 1) || ds_buf_put(&w->text, group->p, group->len))
        return ds_fail_nomem(err);
    int rc = ds_sha_bytes(&sha, w->text.data, w->text.len, err);
    const uint64_t h = ds_get_big32(sha.b);
    *part = 0;
    while (*part + 1 < s->n && h * UNIT >= s->upto[*part] << 32)
        ++*part;
    return rc;
}

static int split_work(const void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    const split *s = ctx;
    work *w = state;
    int rc = 0;
    if (!w->values && !(w->values = calloc(b->schema->n + 1, sizeof *w->values)))
        return ds_fail_nomem(err);
    for (uint64_t row = 0; rc == 0 && row < b->block->rows; row++) {
        ds_wval group;
        size_t part = 0;
        for (size_t i = 0; i < b->schema->n; i++)
            (void)ds_colview_next(&b->views[i], &w->values[i]);
        rc = ds_where_eval(s->by, &w->where, b->views, w->values, &group, err);
        const bool none = group.type != DS_W_TEXT;
        if (rc == 0 && !none)
            rc = part_of(w, s, &group, &part, err);
        if (rc == 0 && none)
            rc = ds_rowblock_drop(b, row, 0, NULL, err);
        else if (rc == 0 && s->o->dir)
            b->verdict[row] = (uint32_t)part;
        if (rc == 0 && !s->o->dir)
            rc = ds_made_bytes(&b->made[0], s->name[part], strlen(s->name[part]), err);
    }
    return rc;
}

static void split_fini(void *state)
{
    work *w = state;
    ds_wherework_fini(&w->where);
    free(w->values);
    ds_buf_fini(&w->text);
}

static const ds_rowops split_ops = {
    .state_size = sizeof(work), .work = split_work, .fini = split_fini};

/* ---- options ---- */

/* "0.05" in billionths; false when it is no share, or has more digits than that. */
static bool read_share(const char *p, size_t len, uint64_t *v)
{
    uint64_t unit = UNIT;
    bool dot = false;
    *v = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '.' && !dot && len > 1) {
            dot = true;
        } else if (p[i] >= '0' && p[i] <= '9' && (!dot || unit >= 10)) {
            unit /= dot ? 10 : 1;
            *v = (dot ? *v : *v * 10) + unit * (uint64_t)(p[i] - '0');
            if (*v > UNIT)
                return false;
        } else {
            return false;
        }
    }
    return len > 0;
}

static bool name_ok(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(p[i] == '-' || p[i] == '_' || (p[i] >= '0' && p[i] <= '9') ||
              ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'z')))
            return false;
    return n > 0 && n <= 64 && p[0] != '-';
}

static int read_parts(split *s, const char *text, ds_err *err)
{
    uint64_t sum = 0;
    for (const char *p = text; *p;) {
        const size_t len = strcspn(p, ","), name = strcspn(p, "=,");
        uint64_t share;
        if (name >= len || !name_ok(p, name) || !read_share(p + name + 1, len - name - 1, &share) ||
            share == 0 || s->n == PARTS_MAX)
            return ds_fail(err, DS_USAGE,
                           "--parts %s: NAME=SHARE,NAME=SHARE.. is wanted, such as "
                           "train=0.9,test=0.1",
                           text);
        for (size_t i = 0; i < s->n; i++)
            if (strlen(s->name[i]) == name && strncmp(s->name[i], p, name) == 0)
                return ds_fail(err, DS_USAGE, "--parts: '%s' is there twice", s->name[i]);
        s->upto[s->n] = sum += share;
        if (!(s->name[s->n++] = strndup(p, name)))
            return ds_fail_nomem(err);
        p += len + (p[len] == ',');
    }
    return sum == UNIT ? 0
                       : ds_fail(err, DS_USAGE, "--parts %s: the shares do not add up to 1", text);
}

static int make_paths(split *s, const char *dir, ds_err *err)
{
    int rc = strcmp(dir, "-") == 0
                 ? ds_fail(err, DS_USAGE, "--dir -: a folder is wanted (./- is one of that name)")
                 : ds_mkdirs(dir, err);
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        if (asprintf(&s->path[i], "%s/%s.dsr", dir, s->name[i]) < 0) {
            s->path[i] = NULL;
            rc = ds_fail_nomem(err);
        }
    return rc;
}

/* The group as a text, whatever its type. */
static int compile(split *s, ds_instream *in, ds_err *err)
{
    const ds_colnames names = ds_colnames_of(in);
    ds_buf text = {0};
    int rc = ds_buf_printf(&text, "text(%s)", s->o->by) ? ds_fail_nomem(err) : 0;
    if (rc == 0)
        rc = ds_where_new(&s->by, (const char *)text.data, text.len, &names, err);
    if (rc)
        ds_err_prefix(err, "--by, as %.*s", (int)(text.len > 80 ? 80 : text.len), text.data);
    ds_buf_fini(&text);
    return rc;
}

static json_t *options_of(const split *s)
{
    json_t *parts = json_array();
    uint64_t before = 0;
    for (size_t i = 0; parts && i < s->n; i++) {
        if (json_array_append_new(parts, json_pack("{s:s,s:f}", "name", s->name[i], "share",
                                                   (double)(s->upto[i] - before) / UNIT))) {
            json_decref(parts);
            return NULL;
        }
        before = s->upto[i];
    }
    return json_pack("{s:s,s:o,s:s,s:b}", "by", s->o->by, "parts", parts, "salt", s->o->salt,
                     "files", s->o->dir != NULL);
}

static void say(const split *s, const ds_rowresult *res, const ds_rowplan *plan)
{
    json_t *parts = json_object(), *more = json_pack("{s:O}", "parts", parts);
    for (size_t i = 0; s->o->dir && i < s->n; i++)
        (void)json_object_set_new(parts, s->name[i], json_integer((json_int_t)res->routed[i]));
    ds_transform_say(&s->o->row, res, plan, s->o->dir ? more : NULL);
    json_decref(parts);
    json_decref(more);
    for (size_t i = 0; s->o->dir && ds_log_level > 0 && i < s->n; i++)
        fprintf(stderr, "  %s: %llu record%s\n", s->path[i], (unsigned long long)res->routed[i],
                ds_s(res->routed[i]));
}

static int split_stream(split *s, char **operands, int n, ds_err *err)
{
    static const char *const reasons[] = {"no_group"};
    const char *outputs[PARTS_MAX];
    ds_rowjob job = {0};
    int rc = ds_instream_open(&job.in, operands, n, err);
    if (rc == 0)
        rc = compile(s, job.in, err);
    if (rc == 0)
        rc = ds_rowplan_init(&job.plan, ds_instream_schema(job.in), err);
    if (rc == 0)
        rc = s->o->dir ? make_paths(s, s->o->dir, err)
                       : ds_rowplan_add(&job.plan, "split", DS_UTF8, false, NULL, err);
    if (rc == 0 && !(job.plan.options = options_of(s)))
        rc = ds_fail_nomem(err);
    for (size_t i = 0; i < s->n; i++)
        outputs[i] = s->path[i];
    job.plan.tool = "dsprep split";
    job.plan.reasons = reasons;
    job.plan.nreasons = 1;
    job.plan.outputs = s->o->dir ? outputs : NULL;
    job.plan.noutputs = s->n;
    if (rc == 0)
        rc = ds_rowstage_run(&job.result, job.in, &job.plan, &split_ops, s, &s->o->row, err);
    if (rc == 0)
        say(s, &job.result, &job.plan);
    ds_rowjob_fini(&job);
    return rc;
}

static int run(int argc, char **argv)
{
    split_opts o = {.row = {.level = -1}, .parts = "train=0.9,valid=0.05,test=0.05", .salt = ""};
    const ds_opt opts[] = {
        OPT_STR('b', "by", o.by, "EXPR", "the group: a column or an expression (needed)"),
        OPT_STR(0, "parts", o.parts, "NAME=SHARE,..",
                "parts and their shares; default train=0.9,valid=0.05,test=0.05"),
        OPT_STR(0, "salt", o.salt, "TEXT", "another one gives another division; default none"),
        OPT_STR('d', "dir", o.dir, "DIR", "write each part to DIR/NAME.dsr"),
        DS_ROWOPTS_REJECTS(o.row),
        DSPREP_OUTPUT(o.row.output),
        DS_ROWOPTS_COMMON(o.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_split, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    split s = {.o = &o};
    rc = 0;
    ds_transform_begin(&o.row);
    if (!o.by)
        rc = ds_fail(&err, DS_USAGE, "--by EXPR is needed: what must stay together");
    else if (o.dir && o.row.output)
        rc = ds_fail(&err, DS_USAGE, "--dir and --output do not go together");
    else
        rc = read_parts(&s, o.parts, &err);
    if (rc == 0)
        (void)split_stream(&s, operands, n, &err);
    ds_where_free(s.by);
    for (size_t i = 0; i < PARTS_MAX; i++) {
        free(s.name[i]);
        free(s.path[i]);
    }
    return ds_transform_end(&ds_cmd_split, &o.row, &err, false);
}
