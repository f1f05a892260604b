/* cmd_dicom.c - dsprep dicom: studies into de-identified records. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "charset.h"
#include "deidreport.h"
#include "dicominput.h"
#include "dicomrows.h"
#include "dsr_prov.h"
#include "io.h"
#include "opt.h"
#include "pool.h"
#include "sig.h"
#include "term.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_dicom;
const ds_command ds_cmd_dicom = {
    .prog = "dsprep",
    .name = "dicom",
    .summary = "studies into de-identified records of images",
    .operands = "INPUT...",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dsprep dicom --deid basic --key-file site.key study.zip | dsver commit -m 'March' "
               "ct-chest\n"
               "dsprep dicom --deid basic,retain-modified-dates,clean-descriptors --key-file "
               "site.key --report deid.json export/ -o shards/",
    .description =
        "Reads DICOM objects - files, folders, archives (tar, zip), or - for standard input - and "
        "writes a stream of records (DSR) to standard output, or shard files into a folder with "
        "-o. A record has the key (the instance UID's pseudonym), image (pixel values as a tensor, "
        "exact), frame, meta (attributes by keyword, as JSON) and text (the content of structured "
        "reports).\n\n"
        "De-identification follows PS3.15 Annex E: --deid names the basic profile and its options, "
        "and needs --key-file: 32 random bytes or more (head -c 32 /dev/urandom > site.key; chmod "
        "600 site.key), raw, hex or base64. UIDs, patient ids and date shifts are functions of the "
        "key and of nothing else. Without a key nothing is passed; --deid none has to be said. "
        "Options: retain-safe-private retain-uids retain-device retain-institution "
        "retain-patient-characteristics retain-full-dates retain-modified-dates clean-descriptors "
        "clean-structured-content clean-graphics clean-pixel-data.\n\n"
        "Objects whose pixels may hold writing are held, with a reason; ultrasound images are "
        "zeroed outside of their regions. --burned-in pass lets pass what a person has looked at. "
        "What goes out is searched for the identifiers that came in; any hit ends the command with "
        "status 1 and the stream without its end. Names of sources are pseudonyms; --source-map "
        "keeps the real ones.\n\n"
        "Each object is decoded by a process of its own, under limits: a crash or a hang costs "
        "that object. The last line says how input, output, held and failed add up; the exit "
        "status is 3 when something was left out. The records do not depend on the number of "
        "processes.",
    .run = run,
};

typedef struct args {
    const char *deid, *key_file, *safe, *also, *output, *hold, *report, *source_map, *to_dicom,
        *encoding, *window, *resize;
    int dtype, record, values, burned_in;
    int64_t threads, timeout, memory, shard_size, level, max_ratio;
    bool quiet, real_world;
} args;

static const char *const record_names[] = {"image", "frame", NULL};
static const char *const values_names[] = {"stored", "modality", "window", NULL};
static const char *const burned_names[] = {"hold", "pass", NULL};

static const char *const dtype_names[] = {"own", "u8",  "i8",  "u16", "i16",
                                          "u32", "i32", "f32", "f64", NULL};

/* An input on its way. */
typedef struct slot {
    ds_dicom_in in;
    ds_dicom_job job;
} slot;

typedef struct ctx {
    const args *a;
    dcm_policy *policy;
    dcm_key key;
    ds_dicom_opts o;
    ds_schema schema;
    ds_buf prov;
    ds_dicominput *input;
    ds_dicom_rows rows;
    ds_counts counts;
    dcm_actions *actions;
    ds_source_map *map;
    slot *slots;
    size_t nslots, first, used;
    uint64_t inputs, masked, already, held, failed;
} ctx;

/* ---- what comes back ----------------------------------------------------------------------------
 */

static int set_aside(ctx *c, const slot *s, const char *reason, ds_err *err)
{
    char name[33], from[32];
    ds_buf path = {0};
    int rc = 0;
    if (!c->a->hold || s->in.fd < 0)
        return 0;
    if (c->o.key)
        rc = dcm_pseudonym(name, 16, &c->key, "source-name", s->in.name, strlen(s->in.name), err);
    else
        snprintf(name, sizeof name, "%08" PRIu64, c->inputs);
    snprintf(from, sizeof from, "/proc/self/fd/%d", s->in.fd);
    if (rc == 0 && (ds_buf_printf(&path, "%s/%s", c->a->hold, reason) || !ds_buf_cstr(&path)))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_mkdirs((const char *)path.data, err);
    if (rc == 0 && (ds_buf_printf(&path, "/%s.dcm", name) || !ds_buf_cstr(&path)))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_copy_file(from, (const char *)path.data, 0600, err);
    ds_buf_fini(&path);
    return rc;
}

static int left_out(ctx *c, const slot *s, bool failed, const char *reason, const ds_buf *why,
                    ds_err *err)
{
    *(failed ? &c->failed : &c->held) += 1;
    /* Messages of libraries may quote values; names are the user's own. */
    if (failed)
        ds_warn("dicom: %s: %s", s->in.name, reason);
    else
        ds_info("dicom: %s: held: %s", s->in.name, reason);
    (void)why;
    int rc = ds_counts_add(&c->counts, failed, reason, 1, err);
    return rc == 0 && !failed ? set_aside(c, s, reason, err) : rc;
}

static int tell_source(ctx *c, const slot *s, const ds_sha *sha, ds_err *err)
{
    char name[33], digest[65];
    ds_source src = {
        .name = s->in.name, .len = strlen(s->in.name), .size = s->in.size, .sha = *sha};
    int rc = 0;
    if (c->o.key) {
        rc = dcm_pseudonym(name, 16, &c->key, "source-name", s->in.name, src.len, err);
        if (rc == 0)
            rc = dcm_pseudonym(digest, 32, &c->key, "source-digest", sha->b, sizeof sha->b, err);
        if (rc == 0 && !ds_hex_decode(digest, 64, src.sha.b, sizeof src.sha.b))
            rc = ds_fail(err, DS_FAIL, "a digest that is none");
        if (rc == 0 && c->map)
            rc = ds_source_map_put(c->map, name, s->in.name, src.len, sha, err);
        src.name = name;
        src.len = 32;
    }
    return rc == 0 ? ds_shardout_source(c->rows.out, &src, err) : rc;
}

typedef struct action_sum {
    dcm_actions *into;
    ds_err *err;
    int rc;
} action_sum;

static void add_action(void *p, uint32_t tag, const char *creator, enum dcm_action act, uint64_t n)
{
    action_sum *s = p;
    if (s->rc == 0)
        s->rc = dcm_actions_add(s->into, tag, creator, act, n, s->err);
}

static int take_result(ctx *c, slot *s, ds_dicom_result *r, ds_err *err)
{
    action_sum sum = {c->actions, err, 0};
    if (r->outcome != DS_DICOM_RECORD)
        return left_out(c, s, r->outcome == DS_DICOM_FAILED, r->reason, &r->message, err);
    if (r->key.len == 0 && ds_buf_printf(&r->key, "object-%" PRIu64, c->inputs) != 0)
        return ds_fail_nomem(err);
    dcm_actions_each(r->actions, add_action, &sum);
    c->masked += r->masked;
    c->already += r->already;
    int rc = sum.rc;
    if (rc == 0)
        rc = ds_dicom_rows_put(&c->rows, r, s->job.out, s->in.size, err);
    return rc == 0 ? tell_source(c, s, &r->sha, err) : rc;
}

static void drop_slot(slot *s)
{
    ds_dicom_job_abort(&s->job);
    if (s->in.fd >= 0)
        close(s->in.fd);
    free(s->in.name);
    ds_buf_fini(&s->in.message);
    memset(s, 0, sizeof *s);
    s->in.fd = s->job.out = -1;
}

static int finish_first(ctx *c, ds_err *err)
{
    slot *s = &c->slots[c->first];
    ds_dicom_result r = {0};
    int rc;
    c->inputs++;
    if (s->in.reason) {
        rc = left_out(c, s, true, s->in.reason, &s->in.message, err);
    } else {
        rc = ds_dicom_job_end(&s->job, &r, err);
        if (rc == 0)
            rc = take_result(c, s, &r, err);
    }
    ds_dicom_result_fini(&r);
    drop_slot(s);
    c->first = (c->first + 1) % c->nslots;
    c->used--;
    return rc;
}

/* Keeps all processes busy, takes results in order. */
static int convert_all(ctx *c, ds_err *err)
{
    bool more = true;
    int rc = 0;
    while (rc == 0 && (more || c->used > 0)) {
        rc = ds_check_interrupt(err);
        while (rc == 0 && more && c->used < c->nslots) {
            slot *s = &c->slots[(c->first + c->used) % c->nslots];
            rc = ds_dicominput_next(c->input, &s->in, err);
            s->job = (ds_dicom_job){.pid = -1, .out = -1};
            more = rc == 1;
            if (rc == 1) {
                c->used++;
                rc = s->in.reason ? 0
                                  : ds_dicom_job_begin(&s->job, &c->o, s->in.fd, s->in.name, err);
            }
        }
        if (rc == 0 && c->used > 0)
            rc = finish_first(c, err);
    }
    return rc;
}

/* ---- setting up ---------------------------------------------------------------------------------
 */

static int read_chain(ctx *c, ds_err *err)
{
    static const int types[] = {0,       DCM_U8,  DCM_I8,  DCM_U16, DCM_I16,
                                DCM_U32, DCM_I32, DCM_F32, DCM_F64};
    const args *a = c->a;
    dcm_chain_opts *o = &c->o.chain;
    o->dtype = types[a->dtype];
    if (a->window && a->values != DCM_VALUES_WINDOW)
        return ds_fail(err, DS_USAGE, "--window wants --values window");
    if (a->window && strcmp(a->window, "auto") == 0) {
        o->auto_window = true;
    } else if (a->window) {
        const char *comma = strchr(a->window, ',');
        o->has_window = comma &&
                        dcm_parse_real(a->window, (size_t)(comma - a->window), &o->center) &&
                        dcm_parse_real(comma + 1, strlen(comma + 1), &o->width) && o->width > 0;
        if (!o->has_window)
            return ds_fail(err, DS_USAGE, "--window %s: auto, or center,width as in 40,400",
                           a->window);
    }
    if (a->resize) {
        char *end = NULL;
        unsigned long h = strtoul(a->resize, &end, 10),
                      w = *end == 'x' ? strtoul(end + 1, &end, 10) : 0;
        if (*end || h < 1 || w < 1 || h > 65535 || w > 65535)
            return ds_fail(err, DS_USAGE, "--resize %s: rows x columns as in 224x224", a->resize);
        o->rows = (uint32_t)h;
        o->cols = (uint32_t)w;
    }
    return 0;
}

static int read_options(ctx *c, ds_err *err)
{
    const args *a = c->a;
    int rc = dcm_policy_parse(&c->policy, a->deid, err);
    if (rc == 0 && a->safe)
        rc = dcm_policy_safe_file(c->policy, a->safe, err);
    if (rc == 0 && a->also)
        rc = dcm_policy_also_file(c->policy, a->also, err);
    if (rc == 0 && a->encoding)
        rc = ds_charset_check(a->encoding, err);
    bool none = rc == 0 && dcm_policy_none(c->policy);
    if (rc == 0 && !none && !a->key_file)
        rc = ds_fail(err, DS_USAGE,
                     "--key-file is missing: without a key nothing can be de-identified (--deid "
                     "none passes everything as it is)");
    if (rc == 0 && none && (a->key_file || a->source_map || a->to_dicom))
        rc = ds_fail(err, DS_USAGE,
                     "--key-file, --source-map and --to-dicom have no meaning with --deid none");
    if (rc == 0 && !none)
        rc = dcm_key_read(&c->key, a->key_file, err);
    c->o = (ds_dicom_opts){
        .policy = c->policy,
        .key = none ? NULL : &c->key,
        .chain = {.values = (enum dcm_values)a->values, .real_world = a->real_world},
        .burned_in = (enum ds_burned_in)a->burned_in,
        .encoding = a->encoding,
        .to_dicom = a->to_dicom,
        .seconds = (unsigned)a->timeout,
        .memory = (uint64_t)a->memory,
        .limits = {.max_depth = DCM_TREE_DEPTH}};
    return rc ? rc : read_chain(c, err);
}

static int make_provenance(ctx *c, ds_err *err)
{
    const args *a = c->a;
    char hex[65];
    ds_sha_hex(hex, dcm_policy_digest(c->policy));
    json_t *o = json_pack("{s:s,s:s,s:s,s:s}", "deid", dcm_policy_text(c->policy), "record",
                          record_names[a->record], "values", values_names[a->values], "burned_in",
                          burned_names[a->burned_in]);
    json_t *d = json_pack("{s:s}", "policy", hex);
    int rc = o && d ? 0 : ds_fail_nomem(err);
    if (rc == 0 && c->o.key && json_object_set_new(d, "key", json_string(c->key.id)) != 0)
        rc = ds_fail_nomem(err);
    if (rc == 0 && (json_object_set_new(o, "dtype", json_string(dtype_names[a->dtype])) != 0 ||
                    json_object_set_new(o, "real_world", json_boolean(a->real_world)) != 0))
        rc = ds_fail_nomem(err);
    if (rc == 0 && ((a->window && json_object_set_new(o, "window", json_string(a->window)) != 0) ||
                    (a->resize && json_object_set_new(o, "resize", json_string(a->resize)) != 0)))
        rc = ds_fail(err, DS_USAGE, "an option is not valid UTF-8");
    if (rc == 0 && a->encoding && json_object_set_new(o, "encoding", json_string(a->encoding)) != 0)
        rc = ds_fail(err, DS_USAGE, "an option is not valid UTF-8");
    if (rc == 0)
        rc = ds_prov_append(&c->prov, NULL, 0, "dsprep dicom", o, d, err);
    json_decref(o);
    json_decref(d);
    return rc;
}

static int open_all(ctx *c, char **operands, size_t n, ds_err *err)
{
    const args *a = c->a;
    const ds_unpack_limits limits = {.max_ratio = (uint64_t)a->max_ratio, .max_members = 100000000};
    const ds_shardopts shards = {.dir = a->output,
                                 .size = (uint64_t)a->shard_size,
                                 .level = a->level >= 0 ? (int)a->level
                                          : a->output   ? 3
                                                        : 0};
    int rc = a->output ? 0 : ds_refuse_tty(1, "pipe it on, or give -o DIR", err);
    if (rc == 0)
        rc = dcm_shim_init(err);
    if (rc == 0)
        rc = ds_dicominput_new(&c->input, operands, n, &limits, err);
    if (rc == 0)
        rc = dcm_actions_new(&c->actions, err);
    if (rc == 0 && c->o.key)
        rc = ds_proof_new(&c->rows.proof, err);
    if (rc == 0 && a->source_map)
        rc = ds_source_map_open(&c->map, a->source_map, err);
    c->rows.by_frame = a->record == 1;
    c->nslots = a->threads ? (size_t)a->threads : (size_t)ds_cpu_count();
    if (rc == 0 && !(c->slots = calloc(c->nslots, sizeof *c->slots)))
        rc = ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < c->nslots; i++)
        c->slots[i] = (slot){.in = {.fd = -1}, .job = {.pid = -1, .out = -1}};
    if (rc == 0)
        rc = ds_dicom_schema(&c->schema, err);
    if (rc == 0)
        rc = make_provenance(c, err);
    return rc == 0
               ? ds_shardout_open(&c->rows.out, &shards, &c->schema, c->prov.data, c->prov.len, err)
               : rc;
}

/* ---- the end ------------------------------------------------------------------------------------
 */

/* Shards in which something was found are not left lying about. */
static void remove_shards(const char *dir)
{
    char path[4096];
    for (unsigned i = 0;; i++) {
        int n = snprintf(path, sizeof path, "%s/shard-%05u.dsr", dir, i);
        if (n < 0 || (size_t)n >= sizeof path || unlink(path) != 0)
            return;
    }
}

static int finish(ctx *c, ds_err *err)
{
    int rc = c->rows.proof ? ds_proof_verdict(c->rows.proof, err) : 0;
    if (rc == 0)
        rc = ds_shardout_end(c->rows.out, &c->counts, err);
    if (rc == 0 && c->rows.proof && c->a->output && c->rows.records > 0) {
        rc = ds_proof_shards(c->rows.proof, (char *)(uintptr_t)c->a->output, err);
        if (rc == 0)
            rc = ds_proof_verdict(c->rows.proof, err);
        if (rc != 0)
            remove_shards(c->a->output);
    }
    if (rc == 0 && c->map)
        rc = ds_source_map_end(c->map, err);
    return rc;
}

static int write_report(ctx *c, ds_err *err)
{
    ds_counts counts = c->counts;
    counts.records = c->rows.records;
    const ds_deid_report r = {.policy = c->policy,
                              .key = c->o.key,
                              .actions = c->actions,
                              .counts = &counts,
                              .inputs = c->inputs,
                              .masked = c->masked,
                              .already = c->already,
                              .proof = c->rows.proof};
    return ds_deid_report_write(&r, c->a->report, err);
}

static int convert(ctx *c, char **operands, size_t n, ds_err *err)
{
    ds_err late = {0};
    int rc = read_options(c, err);
    if (rc == 0)
        rc = open_all(c, operands, n, err);
    if (rc != 0)
        return rc;
    rc = convert_all(c, err);
    if (rc == 0)
        rc = finish(c, err);
    if (rc != 0)
        ds_shardout_abort(c->rows.out, err->msg);
    if (c->a->report) { /* after a hit too */
        int bad = write_report(c, rc == 0 ? err : &late);
        rc = rc ? rc : bad;
    }
    return rc;
}

static void ctx_fini(ctx *c)
{
    for (size_t i = 0; c->slots && i < c->nslots; i++)
        drop_slot(&c->slots[i]);
    free(c->slots);
    ds_shardout_free(c->rows.out);
    ds_proof_free(c->rows.proof);
    ds_dicom_rows_fini(&c->rows);
    ds_source_map_free(c->map);
    dcm_actions_free(c->actions);
    ds_counts_fini(&c->counts);
    ds_dicominput_free(c->input);
    ds_schema_fini(&c->schema);
    ds_buf_fini(&c->prov);
    dcm_policy_free(c->policy);
    explicit_bzero(&c->key, sizeof c->key);
}

static void say_accounts(const ctx *c)
{
    fprintf(stderr,
            "dsprep dicom: %" PRIu64 " input = %" PRIu64 " output + %" PRIu64 " held + %" PRIu64
            " failed; %" PRIu64 " records\n",
            c->inputs, c->inputs - c->held - c->failed, c->held, c->failed, c->rows.records);
}

static int run(int argc, char **argv)
{
    args a = {
        .deid = "basic", .timeout = 60, .shard_size = 64 << 20, .level = -1, .max_ratio = 200};
    const ds_opt opts[] = {
        {0, "deid", DS_OPT_STR, &a.deid, "POLICY",
         "profile and options, comma separated, or none; default basic", 0, 0, NULL, false},
        {0, "key-file", DS_OPT_STR, &a.key_file, "FILE", "the site's key", 0, 0, NULL, false},
        {0, "safe-private", DS_OPT_STR, &a.safe, "FILE",
         "private elements to keep under retain-safe-private: creator, tab, gggg,xxee", 0, 0, NULL,
         false},
        {0, "scrub", DS_OPT_STR, &a.also, "FILE",
         "texts that are identifiers wherever they stand, a line each: the site's names", 0, 0,
         NULL, false},
        {0, "burned-in", DS_OPT_CHOICE, &a.burned_in, "WHAT",
         "what becomes of images that may hold writing", 0, 0, burned_names, false},
        {0, "hold", DS_OPT_STR, &a.hold, "DIR", "copy what is held into a folder, by reason", 0, 0,
         NULL, false},
        {0, "report", DS_OPT_STR, &a.report, "FILE",
         "what was done to which attribute, and what the search found, as JSON", 0, 0, NULL, false},
        {0, "source-map", DS_OPT_STR, &a.source_map, "FILE",
         "names behind the pseudonyms of sources, as JSON lines, for the owner alone", 0, 0, NULL,
         false},
        {0, "to-dicom", DS_OPT_STR, &a.to_dicom, "DIR",
         "write de-identified DICOM files too: patient/study/series/instance.dcm", 0, 0, NULL,
         false},
        {0, "record", DS_OPT_CHOICE, &a.record, "UNIT", "what a record is", 0, 0, record_names,
         false},
        {0, "values", DS_OPT_CHOICE, &a.values, "KIND",
         "pixel values as stored, in units, or windowed to 0 .. 1", 0, 0, values_names, false},
        {0, "window", DS_OPT_STR, &a.window, "C,W",
         "center and width of --values window, or auto: each frame's range", 0, 0, NULL, false},
        {0, "resize", DS_OPT_STR, &a.resize, "HxW", "rows and columns that images are resampled to",
         0, 0, NULL, false},
        {0, "dtype", DS_OPT_CHOICE, &a.dtype, "TYPE",
         "type of the values; own: the narrowest that holds them exactly", 0, 0, dtype_names,
         false},
        {0, "real-world", DS_OPT_FLAG, &a.real_world, NULL,
         "prefer the real world value map to rescaling", 0, 0, NULL, false},
        {0, "encoding", DS_OPT_STR, &a.encoding, "NAME",
         "encoding of text whose character set is not declared and that is no UTF-8", 0, 0, NULL,
         false},
        {'o', "output", DS_OPT_STR, &a.output, "DIR", "write shard files into a folder", 0, 0, NULL,
         false},
        {0, "shard-size", DS_OPT_SIZE, &a.shard_size, "SIZE",
         "bytes after which a shard ends; default 64M", 0, 0, NULL, false},
        {'z', "level", DS_OPT_INT, &a.level, "N",
         "zstd level, 0 = none; default 0 to a pipe, 3 to files", 0, 19, NULL, false},
        {0, "timeout", DS_OPT_TIME, &a.timeout, "TIME",
         "processor time for one object; default 60s", 1, 86400, NULL, false},
        {0, "memory", DS_OPT_SIZE, &a.memory, "SIZE",
         "address space of a worker process; default no limit", 0, 0, NULL, false},
        {0, "max-ratio", DS_OPT_INT, &a.max_ratio, "N",
         "how many times its size an archive may unpack to; default 200, 0 = any", 0, INT64_MAX,
         NULL, false},
        {'j', "threads", DS_OPT_INT, &a.threads, "N",
         "worker processes; default one for each processor", 1, 256, NULL, false},
        {'q', "quiet", DS_OPT_FLAG, &a.quiet, NULL, "no words on standard error but for failure", 0,
         0, NULL, false},
        {0},
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_dicom, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ctx c = {.a = &a};
    ds_sig_setup();
    ds_schema_init(&c.schema);
    if (a.quiet)
        ds_log_level = 0;
    rc = convert(&c, operands, (size_t)n, &err);
    if (rc == 0 && ds_log_level > 0)
        say_accounts(&c);
    bool partial = c.held + c.failed > 0;
    ctx_fini(&c);
    rc = ds_command_end(&ds_cmd_dicom, &err, false);
    return rc == 0 && partial ? ds_exit_code(DS_PARTIAL) : rc;
}
