/* cmd_split.c - dsprep split: parts of a stream by a hash of a group, so that no group is in two.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_transform.h"
#include "hash.h"
#include "io.h"
#include "neargroups.h"
#include "plural.h"
#include "sig.h"
#include "term.h"
#include "twice.h"
#include "where.h"

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
        "dsprep split --by meta.patient --near --bands 50 --rows 4 -d parts/ reports.dsr\n"
        "dsprep split --by key --parts train=0.98,test=0.02 --salt v2 s.dsr | dsver commit -m s s",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard "
        "input) and gives every record a part, by a hash of its group: a column, a member of "
        "JSON (meta.user, or user where no column is called so) or any expression of dsprep "
        "filter (--by). Records of one group are in one part, in this and in every other "
        "stream that is split with the same --parts and --salt, so that a patient, a user or a "
        "session is never in training and test data at once. A group's part does not change "
        "when records are added.\n\n"
        "With --near records whose texts are nearly the same (as dsprep dedup --near finds them, "
        "which says what --bands and --rows do) are of one group, too, with or without --by; so a "
        "patient whose report is a copy of another's is in that one's part, and what belongs "
        "together with the same record belongs together. A group's part is that of its first "
        "record by itself: records that come behind move nobody, but where they join two groups, "
        "of which the later one follows. How many groups there are is said, and how many records "
        "the largest has: texts that are one form for everybody join all who have it (dsprep "
        "dedup --parts cuts them out). Without --by a text without a word is like its equals "
        "only. The input is read twice; from a pipe it is copied to $TMPDIR first.\n\n"
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
    const char *by, *parts, *salt, *dir, *column;
    bool near;
    ds_nearopts like;
    int64_t memory;
} split_opts;

typedef struct split {
    const split_opts *o;
    ds_where *by;          /* NULL with --near */
    ds_neargroups *groups; /* of --near */
    uint64_t ngroups, largest;
    char *name[PARTS_MAX];
    uint64_t upto[PARTS_MAX]; /* cumulated shares, in UNITs */
    char *path[PARTS_MAX];
    size_t n;
} split;

typedef struct work {
    ds_wherework where;
    ds_value *values;
} work;

static int part_of(const void *ctx, const uint8_t *group, size_t len, uint8_t *part, ds_err *err)
{
    const split *s = ctx;
    const char *salt = s->o->salt;
    ds_buf text = {0};
    ds_sha sha;
    int rc = ds_buf_put(&text, salt, strlen(salt) + 1) || ds_buf_put(&text, group, len)
                 ? ds_fail_nomem(err)
                 : ds_sha_bytes(&sha, text.data, text.len, err);
    ds_buf_fini(&text);
    if (rc)
        return rc;
    const uint64_t h = ds_get_big32(sha.b);
    size_t i = 0;
    while (i + 1 < s->n && h * UNIT >= s->upto[i] << 32)
        i++;
    *part = (uint8_t)i;
    return 0;
}

/* The part of the row whose values are at hand, or DS_NEAR_NOPART. */
static int part_of_row(work *w, const split *s, const ds_rowblock *b, uint64_t row, uint8_t *part,
                       ds_err *err)
{
    ds_wval group;
    *part = DS_NEAR_NOPART;
    if (s->groups && b->first + row >= ds_neargroups_records(s->groups))
        return ds_fail(err, DS_FAIL, "the input changed between two readings");
    if (s->groups) {
        *part = ds_neargroups_part(s->groups, b->first + row);
        return 0;
    }
    int rc = ds_where_eval(s->by, &w->where, b->views, w->values, &group, err);
    return rc || group.type != DS_W_TEXT ? rc : part_of(s, group.p, group.len, part, err);
}

static int split_work(const void *ctx, void *state, ds_rowblock *b, ds_err *err)
{
    const split *s = ctx;
    work *w = state;
    int rc = 0;
    if (!w->values && !(w->values = calloc(b->schema->n + 1, sizeof *w->values)))
        return ds_fail_nomem(err);
    for (uint64_t row = 0; rc == 0 && row < b->block->rows; row++) {
        uint8_t part;
        for (size_t i = 0; i < b->schema->n; i++)
            (void)ds_colview_next(&b->views[i], &w->values[i]);
        rc = part_of_row(w, s, b, row, &part, err);
        const bool none = part == DS_NEAR_NOPART;
        if (rc == 0 && none)
            rc = ds_rowblock_drop(b, row, 0, NULL, err);
        else if (rc == 0 && s->o->dir)
            b->verdict[row] = part;
        const char *name = s->name[none ? 0 : part];
        if (rc == 0 && !s->o->dir)
            rc = ds_made_bytes(&b->made[0], name, strlen(name), err);
    }
    return rc;
}

static void split_fini(void *state)
{
    work *w = state;
    ds_wherework_fini(&w->where);
    free(w->values);
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
    json_t *j = json_pack("{s:s*,s:o,s:s,s:b}", "by", s->o->by, "parts", parts, "salt", s->o->salt,
                          "files", s->o->dir != NULL);
    if (!s->o->near || (j && !json_object_set_new(j, "near", json_true()) &&
                        !json_object_set_new(j, "column", json_string(s->o->column)) &&
                        !json_object_set_new(j, "minhash", ds_nearopts_json(&s->o->like))))
        return j;
    json_decref(j);
    return NULL;
}

static void say(const split *s, const ds_rowresult *res, const ds_rowplan *plan)
{
    json_t *parts = json_object(), *more = json_object();
    for (size_t i = 0; s->o->dir && i < s->n; i++)
        (void)json_object_set_new(parts, s->name[i], json_integer((json_int_t)res->routed[i]));
    if (s->o->dir)
        (void)json_object_set(more, "parts", parts);
    if (s->groups)
        (void)json_object_set_new(more, "groups",
                                  json_pack("{s:I,s:I}", "number", (json_int_t)s->ngroups,
                                            "largest", (json_int_t)s->largest));
    ds_transform_say(&s->o->row, res, plan, more);
    json_decref(parts);
    json_decref(more);
    if (s->groups && ds_log_level > 0)
        fprintf(stderr, "  %llu group%s, the largest of %llu record%s\n",
                (unsigned long long)s->ngroups, ds_s(s->ngroups), (unsigned long long)s->largest,
                ds_s(s->largest));
    for (size_t i = 0; s->o->dir && ds_log_level > 0 && i < s->n; i++)
        fprintf(stderr, "  %s: %llu record%s\n", s->path[i], (unsigned long long)res->routed[i],
                ds_s(res->routed[i]));
}

/* --by, of the stream that is open. */
static int compile(split *s, ds_instream *in, ds_err *err)
{
    const ds_colnames names = ds_colnames_of(in);
    int rc = s->groups ? 0 : ds_where_text_new(&s->by, s->o->by, &names, err);
    if (rc)
        ds_err_prefix(err, "--by");
    return rc;
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

/* Twice over the input: the groups, then the parts. */
static int split_near(split *s, char **operands, int n, ds_err *err)
{
    const split_opts *o = s->o;
    const ds_nearrule rule = {.by = o->by,
                              .column = o->column,
                              .near = o->like,
                              .memory = o->memory,
                              .threads = (int)o->row.threads,
                              .part = part_of,
                              .ctx = s};
    ds_twice in = {0};
    int rc = ds_neargroups_new(&s->groups, &rule, err);
    if (rc == 0)
        rc = ds_twice_open(&in, operands, n, err);
    if (rc == 0)
        rc = ds_neargroups_read(s->groups, in.paths, in.n, err);
    if (rc == 0)
        ds_neargroups_count(s->groups, &s->ngroups, &s->largest);
    if (rc == 0)
        rc = split_stream(s, in.paths, in.n, err);
    ds_twice_fini(&in);
    ds_neargroups_free(s->groups);
    return rc;
}

static int check(split_opts *o, ds_err *err)
{
    if (!o->by && !o->near)
        return ds_fail(err, DS_USAGE, "--by EXPR or --near is needed: what must stay together");
    if (o->dir && o->row.output)
        return ds_fail(err, DS_USAGE, "--dir and --output do not go together");
    if (!o->near && (o->column || o->memory))
        return ds_fail(err, DS_USAGE, "--column and --memory are of --near");
    o->column = o->column ? o->column : "text";
    o->memory = o->memory ? o->memory : 512 << 20;
    return ds_nearopts_take(&o->like, o->near, "--near", err);
}

static int run(int argc, char **argv)
{
    split_opts o = {.row = {.level = -1},
                    .parts = "train=0.9,valid=0.05,test=0.05",
                    .salt = "",
                    .like = DS_NEAROPTS_NONE};
    const ds_opt opts[] = {
        OPT_STR('b', "by", o.by, "EXPR",
                "the group: a column or an expression (needed without --near)"),
        OPT_FLAG(0, "near", o.near, "texts that are nearly the same are of one group, too"),
        OPT_STR('c', "column", o.column, "NAME", "the text that --near compares; default text"),
        DS_NEAROPTS(o.like),
        OPT_SIZE_IN('m', "memory", o.memory, "SIZE", 1 << 20, INT64_C(1) << 40,
                    "of --near, for sorting; default 512M"),
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
    ds_transform_begin(&o.row);
    rc = check(&o, &err);
    if (rc == 0)
        rc = read_parts(&s, o.parts, &err);
    if (rc == 0)
        (void)(o.near ? split_near(&s, operands, n, &err) : split_stream(&s, operands, n, &err));
    ds_where_free(s.by);
    for (size_t i = 0; i < PARTS_MAX; i++) {
        free(s.name[i]);
        free(s.path[i]);
    }
    return ds_transform_end(&ds_cmd_split, &o.row, &err, false);
}
