/* cmd_dicom.c - dsprep dicom: studies into de-identified records. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "deidreport.h"
#include "cmd_dicom_opts.h"
#include "dicomdevice.h"
#include "dicomfiles.h"
#include "dicominput.h"
#include "dicompreview.h"
#include "dicompump.h"
#include "dicomrows.h"
#include "dicomseries.h"
#include "io.h"
#include "plural.h"
#include "pool.h"
#include "sig.h"
#include "term.h"

#define DECODERS_MAX 4

static int run(int argc, char **argv);

extern const ds_command ds_cmd_dicom;
const ds_command ds_cmd_dicom = {
    .prog = "dsprep",
    .name = "dicom",
    .summary = "studies into de-identified records of images",
    .operands = "INPUT...",
    .min_operands = 1,
    .max_operands = -1,
    .example =
        "dsprep dicom --deid basic --key-file site.key study.zip | dsver commit -m 'March' "
        "ct-chest\n"
        "dsprep dicom --deid basic,retain-modified-dates,clean-descriptors --key-file "
        "site.key --report deid.json export/ -o shards/\n"
        "dsprep dicom --store . --key-file site.key export/ | dsver commit -m 'April' ct-chest\n"
        "dsprep dicom --record study --key-file site.key --values window --resize 224x224 "
        "--patches 14 export/ | dsprep tokenize -t tok.json >studies.dsr",
    .description =
        "Reads DICOM objects - files, folders, archives (tar, zip), or - for standard input - "
        "and writes a stream of records (DSR) to standard output, or shard files into a folder "
        "with -o. A record has the pixel values as a tensor, exact; attributes as JSON; "
        "patient, study and series as pseudonyms; modality, spacing, position, orientation and "
        "affine (mm, LPS); and of reports the text, its rows, and indication, technique, "
        "comparison, findings and impression. docs/dicom.md has every column.\n\n"
        "A record is an image; with --record frame, volume or study one of those. Volumes and "
        "studies want the whole input before the first record: headers are read first, pixels "
        "after that, in the order of positions. Members of archives are kept in temporary "
        "space for that, up to --spool-limit. Slices form a volume if they agree in series, "
        "shape, spacing, orientation, echo, temporal position and the like; gaps (a volume "
        "with gaps has no affine) and positions that occur twice are reported. --patches N "
        "lays images out for vision encoders, and puts a placeholder for each patch before the "
        "text, for dsprep tokenize.\n\n"
        "De-identification follows PS3.15 Annex E: --deid names the basic profile and its "
        "options, and needs --key-file: 32 random bytes or more (head -c 32 /dev/urandom > "
        "site.key; chmod 600 site.key), raw, hex or base64. UIDs, patient ids and date shifts "
        "are functions of the key and of nothing else. Without a key nothing is converted, "
        "unless --deid none is given. Options: retain-safe-private retain-uids retain-device "
        "retain-institution retain-patient-characteristics retain-full-dates "
        "retain-modified-dates clean-descriptors clean-structured-content clean-graphics "
        "clean-pixel-data clean-visual-features (holds what may show a face).\n\n"
        "Objects whose pixels may hold writing are held, with a reason; ultrasound images are "
        "zeroed outside of their regions. --burned-in pass lets them through, for images that "
        "a person has looked at. The output is searched for the identifiers of the input; any "
        "hit ends the command with status 1 and the stream without its end. --on-found hold "
        "instead leaves out objects whose texts hold an identifier, before they are written, "
        "and counts them as held: for large exports, where a name of one patient will appear "
        "in the report of another. A single word of a name is no hit in another object where "
        "it is a medical term or an ordinary word (Baker cyst, lung fields); --words lists "
        "more of those. --found lists what was found and its context, readable by the owner "
        "alone: its lines go to --scrub, which removes them from all objects, or to --words. "
        "Files of --to-dicom and sheets of --preview appear when the search is done. Names of "
        "sources are pseudonyms; --source-map keeps the real ones.\n\n"
        "Objects are decoded in worker processes, under limits: a crash or a hang costs the "
        "object that caused it. --on-error says what becomes of objects that fail: skip (the "
        "default), fail (the run ends with name and reason), or quarantine (a copy goes below "
        "the folder that --quarantine names, by reason). An INPUT that does not exist always "
        "ends the run, before anything is written. An object that occurs twice, byte for byte, "
        "is counted and dropped; a different one with the same instance UID is held. The last "
        "line says how input, output, held and failed add up, --json with all reasons; the "
        "exit status is 3 when something was left out. The records do not depend on the number "
        "of processes.\n\n"
        "With --store the stream is for `dsver commit` into that very store, and nothing else. "
        "Files whose size, times and inode are those of the last run, with the same options, key, "
        "lists and program, are not opened: texts come from what the store remembers of them, "
        "encrypted under the key, and images are referred to where a whole block of them is "
        "there. A volume is referred to when all of its files are as they were. The version is the "
        "same as without --store. Archives and standard input are read each time, and so is what "
        "failed, or changed less than two seconds before it was read.",
    .run = run,
};

typedef struct ctx {
    const ds_dicom_args *a;
    dcm_policy *policy;
    dcm_key key;
    ds_dicom_opts o;
    ds_schema schema;
    ds_buf prov;
    ds_dicominput *input;
    ds_dicom_rows rows;
    ds_dicom_account acc;
    ds_source_map *map;
    ds_stagedir *sheets; /* of the preview */
    ds_dicom_jobs *jobs;
    ds_dicom_in *ins; /* room for those on their way */
    size_t nins;
    ds_unpack_limits limits;
} ctx;

/* ---- objects by themselves ---- */

/* found: it holds identifiers, and is held for that. *good: it is in the output. */
static int take_result(ctx *c, const ds_dicom_in *in, ds_dicom_result *r, int frames, bool found,
                       bool *good, ds_err *err)
{
    char room[33];
    ds_source src;
    bool before = false;
    ds_dicom_member made = {
        .path = in->path, .name = in->name, .stamp = in->stamp, .size = in->size, .sha = r->sha};
    if (r->outcome != DS_DICOM_RECORD)
        return ds_dicom_account_left_out(&c->acc, in, r->outcome == DS_DICOM_FAILED, r->reason,
                                         err);
    int rc = ds_dicom_account_before(&c->acc, in, r, &before, err);
    if (rc != 0 || before)
        return rc;
    if (found)
        return ds_dicom_account_left_out(&c->acc, in, false, DS_DICOM_NAMED, err);
    *good = true;
    if (c->rows.files)
        rc = ds_dicom_files_take(c->rows.files, r, err);
    if (rc != 0)
        return rc;
    if (r->key.len == 0 && ds_buf_printf(&r->key, "object-%" PRIu64, c->acc.inputs) != 0)
        return ds_fail_nomem(err);
    rc = ds_dicom_account_taken(&c->acc, in, r, err);
    if (rc == 0)
        rc = ds_dicom_rows_put(&c->rows, r, frames, &made, err);
    if (rc == 0)
        rc = ds_dicom_account_source(&c->acc, in, &r->sha, room, &src, err);
    return rc == 0 ? ds_shardout_source(c->rows.out, &src, err) : rc;
}

static int take_object(void *ctx_, ds_dicom_in *in, ds_dicom_result *r, int frames, ds_err *err)
{
    ctx *c = ctx_;
    bool found = false, good = false;
    c->acc.inputs++;
    if (!r)
        return ds_dicom_account_left_out(&c->acc, in, true, in->reason, err);
    int rc = ds_dicom_rows_look(&c->rows, r, &found, err);
    if (rc == 0)
        rc = take_result(c, in, r, frames, found, &good, err);
    if (c->rows.files && !good)
        ds_dicom_files_drop(c->rows.files, r);
    return rc;
}

static int pump(ctx *c, bool headers,
                int (*take)(void *, ds_dicom_in *, ds_dicom_result *, int, ds_err *), ds_err *err)
{
    const ds_dicom_pump p = {.input = c->input,
                             .jobs = c->jobs,
                             .ins = c->ins,
                             .nins = c->nins,
                             .late = c->rows.late,
                             .ask = headers ? DS_DICOM_HEADERS : 0,
                             .take = take,
                             .ctx = c};
    return ds_dicom_pump_run(&p, err);
}

static int take_names(void *ctx_, ds_dicom_in *in, ds_dicom_result *r, int frames, ds_err *err)
{
    ctx *c = ctx_;
    (void)in, (void)frames;
    return r ? ds_proof_file(c->rows.proof, r->ids, err) : 0;
}

/* All names before the first record, so that what is held does not depend on the order of inputs:
 * headers alone, then everything from the start. Standard input comes once. */
static int names_first(ctx *c, char **operands, size_t n, ds_err *err)
{
    if (!c->rows.hold_found)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(operands[i], "-") == 0)
            return 0;
    int rc = pump(c, true, take_names, err);
    ds_dicominput_free(c->input);
    c->input = NULL;
    return rc == 0 ? ds_dicominput_new(&c->input, operands, n, &c->limits, err) : rc;
}

static int convert_all(ctx *c, char **operands, size_t n, ds_err *err)
{
    const ds_dicom_series s = {.input = c->input,
                               .jobs = c->jobs,
                               .ins = c->ins,
                               .nins = c->nins,
                               .rows = &c->rows,
                               .acc = &c->acc,
                               .spool_limit = (uint64_t)c->a->spool_limit};
    if (c->rows.unit == DS_UNIT_VOLUME || c->rows.unit == DS_UNIT_STUDY)
        return ds_dicom_series_run(&s, err);
    int rc = names_first(c, operands, n, err);
    return rc == 0 ? pump(c, false, take_object, err) : rc;
}

/* ---- setting up ---- */

/* Runs that differ in what they make, and not in rules and program, do not take each other's place.
 */
static int open_late(ctx *c, char **operands, size_t n, unsigned workers, ds_err *err)
{
    const ds_dicom_args *a = c->a;
    ds_buf kind = {0};
    ds_dicom_late_opts o = {.store = a->store,
                            .inputs = operands,
                            .ninputs = n,
                            .work = &c->o,
                            .workers = workers,
                            .prov = &c->prov};
    int bad =
        ds_buf_printf(&kind, "%s %d %d %d %d %lld %s %s %s", a->deid, a->record, a->values,
                      a->dtype, a->real_world, (long long)a->patches, a->window ? a->window : "",
                      a->resize ? a->resize : "", c->o.key ? c->o.key->id : "");
    o.kind = bad ? NULL : ds_buf_cstr(&kind);
    int rc = o.kind ? ds_dicom_late_open(&c->rows.late, &o, err) : ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_dicom_late_stream(c->rows.late, &c->rows, DS_DICOM_IMAGE, err);
    ds_buf_fini(&kind);
    return rc;
}

static int open_all(ctx *c, char **operands, size_t n, ds_err *err)
{
    const ds_dicom_args *a = c->a;
    const unsigned workers = (unsigned)(a->threads ? a->threads : ds_cpu_count());
    c->limits = (ds_unpack_limits){.max_ratio = (uint64_t)a->max_ratio, .max_members = 100000000};
    int rc = a->shards.dir ? 0 : ds_refuse_tty(1, "pipe it on, or give -o DIR", err);
    if (rc == 0)
        rc = dcm_shim_init(err);
    if (rc == 0)
        rc = ds_dicominput_new(&c->input, operands, n, &c->limits, err);
    if (rc == 0)
        rc = dcm_actions_new(&c->acc.actions, err);
    if (rc == 0 && c->o.key)
        rc = ds_proof_new(&c->rows.proof, err);
    if (rc == 0 && a->words)
        rc = ds_proof_words(c->rows.proof, a->words, err);
    if (rc == 0 && a->to_dicom)
        rc = ds_stagedir_new(&c->rows.files, a->to_dicom, err);
    if (rc == 0 && c->rows.files)
        c->o.to_dicom = ds_stagedir_work(c->rows.files);
    if (rc == 0 && a->source_map)
        rc = ds_source_map_open(&c->map, a->source_map, err);
    c->acc.key = c->o.key;
    c->acc.hold = a->hold;
    c->acc.quarantine = a->quarantine;
    c->acc.on_error = (enum ds_dicom_onerror)a->on_error;
    c->acc.map = c->map;
    c->rows.unit = (enum ds_dicom_unit)a->record;
    c->rows.hold_found = a->on_found == DS_FOUND_HOLD && c->o.key;
    c->rows.patch = (uint32_t)a->patches;
    c->rows.placeholder = a->placeholder;
    /* Images that are looked at again, or put together, come as they are. */
    c->rows.laid = c->o.device && a->patches && !a->preview && c->rows.unit <= DS_UNIT_FRAME;
    c->o.patch = c->rows.laid ? c->rows.patch : 0;
    if (rc == 0 && c->o.device)
        rc = ds_dicom_device_check(c->o.device, err);
    if (rc == 0 && a->preview)
        rc = ds_stagedir_new(&c->sheets, a->preview, err);
    if (rc == 0 && a->preview)
        rc = ds_dicom_preview_new(&c->rows.preview, ds_stagedir_good(c->sheets),
                                  a->values == DCM_VALUES_WINDOW, c->rows.patch, err);
    if (rc == 0)
        c->o.decoders = workers < DECODERS_MAX ? (int)workers : DECODERS_MAX;
    if (rc == 0)
        rc = ds_dicom_jobs_new(&c->jobs, &c->o, workers, err);
    c->nins = (size_t)workers * 4;
    if (rc == 0 && !(c->ins = calloc(c->nins, sizeof *c->ins)))
        rc = ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < c->nins; i++)
        c->ins[i].fd = -1;
    if (rc == 0)
        rc = ds_dicom_schema(&c->schema, c->rows.patch, err);
    if (rc == 0)
        rc = ds_dicom_args_prov(a, &c->o, &c->prov, err);
    if (rc == 0)
        rc = ds_shardout_open(&c->rows.out, &a->shards, &c->schema, c->prov.data, c->prov.len, err);
    return rc == 0 && a->store ? open_late(c, operands, n, workers, err) : rc;
}

/* ---- the end ---- */

static int finish(ctx *c, ds_err *err)
{
    int rc = c->rows.preview ? ds_dicom_preview_end(c->rows.preview, err) : 0;
    if (rc == 0 && c->rows.proof)
        rc = ds_proof_verdict(c->rows.proof, err);
    ds_dicom_late_current(c->rows.late, NULL);
    if (rc == 0)
        rc = ds_shardout_finish(c->rows.out, &c->acc.counts, err);
    if (rc == 0 && c->rows.late && c->rows.proof) /* of what the last block read after all */
        rc = ds_proof_verdict(c->rows.proof, err);
    const char *stage = ds_shardout_stage(c->rows.out);
    if (rc == 0 && c->rows.proof && stage && c->rows.records > 0) {
        rc = ds_proof_shards(c->rows.proof, stage, err);
        if (rc == 0)
            rc = ds_proof_verdict(c->rows.proof, err);
    }
    if (rc == 0)
        rc = ds_shardout_publish(c->rows.out, err);
    if (rc == 0 && c->rows.files)
        rc = ds_stagedir_publish(c->rows.files, err);
    if (rc == 0 && c->sheets)
        rc = ds_stagedir_publish(c->sheets, err);
    if (rc == 0 && c->map)
        rc = ds_source_map_end(c->map, err);
    return rc == 0 && c->rows.late ? ds_dicom_late_keep(c->rows.late, err) : rc;
}

static int write_report(ctx *c, ds_err *err)
{
    ds_counts counts = c->acc.counts;
    counts.records = c->rows.records;
    const ds_deid_report r = {.policy = c->policy,
                              .key = c->o.key,
                              .actions = c->acc.actions,
                              .counts = &counts,
                              .inputs = c->acc.inputs,
                              .masked = c->acc.masked,
                              .already = c->acc.already,
                              .surplus = c->acc.surplus,
                              .unread = c->acc.unread,
                              .proof = c->rows.proof};
    return ds_deid_report_write(&r, c->a->report, err);
}

/* What fails is left out, one object of many; a name that nothing has is a mistake in the command,
 * and a stream without records, whole and fit to be committed, is no answer to it. */
static int all_there(char **operands, size_t n, ds_err *err)
{
    struct stat st;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        if (strcmp(operands[i], "-") != 0 && stat(operands[i], &st) != 0)
            rc = ds_fail_errno(err, errno, "%s", operands[i]);
    return rc;
}

static int convert(ctx *c, char **operands, size_t n, ds_err *err)
{
    ds_err late = {0};
    int rc = ds_dicom_args_opts(c->a, &c->policy, &c->key, &c->o, err);
    if (rc == 0)
        rc = all_there(operands, n, err);
    if (rc == 0)
        rc = open_all(c, operands, n, err);
    if (rc != 0)
        return rc;
    rc = convert_all(c, operands, n, err);
    if (rc == 0)
        rc = finish(c, err);
    if (rc != 0)
        ds_shardout_abort(c->rows.out, err->msg);
    int bad = 0;
    if (c->a->report) /* after a hit too */
        bad = write_report(c, rc == 0 ? err : &late);
    if (bad == 0 && c->a->found && c->rows.proof && ds_proof_found(c->rows.proof)->len > 0) {
        const ds_buf *found = ds_proof_found(c->rows.proof);
        bad = ds_atomic_write(c->a->found, 0600, found->data, found->len, rc == 0 ? err : &late);
    }
    rc = rc ? rc : bad;
    return rc;
}

static void ctx_fini(ctx *c)
{
    ds_dicom_jobs_free(c->jobs);
    for (size_t i = 0; c->ins && i < c->nins; i++)
        ds_dicom_in_fini(&c->ins[i]);
    free(c->ins);
    ds_shardout_free(c->rows.out);
    ds_dicom_late_free(c->rows.late);
    ds_proof_free(c->rows.proof);
    ds_dicom_preview_free(c->rows.preview);
    ds_stagedir_free(c->sheets);
    ds_stagedir_free(c->rows.files);
    ds_dicom_rows_fini(&c->rows);
    ds_source_map_free(c->map);
    ds_dicom_account_fini(&c->acc);
    ds_dicominput_free(c->input);
    ds_schema_fini(&c->schema);
    ds_buf_fini(&c->prov);
    dcm_policy_free(c->policy);
    explicit_bzero(&c->key, sizeof c->key);
}

/* Standard output is the stream's unless there are shards. */
static int say_accounts(const ctx *c, ds_err *err)
{
    ds_buf b = {0};
    const bool json = c->a->json;
    FILE *to = json && c->a->shards.dir ? stdout : stderr;
    if (c->acc.unread)
        ds_warn("dicom: %" PRIu64 " object%s with characters that no character set explains, "
                "U+FFFD in the records: --encoding names their set",
                c->acc.unread, ds_s(c->acc.unread));
    int rc = ds_dicom_account_say(&c->acc, c->rows.records, json, &b, err);
    if (rc == 0 && (fwrite(b.data, 1, b.len, to) != b.len || fflush(to) != 0))
        rc = ds_fail_errno(err, errno, "the summary");
    ds_buf_fini(&b);
    return rc;
}

static int run(int argc, char **argv)
{
    const ds_dicom_args *a;
    char **operands;
    int n, rc = ds_dicom_args_read(&a, &ds_cmd_dicom, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ctx c = {.a = a};
    ds_sig_setup();
    ds_schema_init(&c.schema);
    if (a->quiet)
        ds_log_level = 0;
    rc = convert(&c, operands, (size_t)n, &err);
    c.acc.store = c.rows.late != NULL;
    c.acc.unchanged = c.rows.late ? ds_dicom_late_count(c.rows.late) : 0;
    if (rc == 0 && (ds_log_level > 0 || a->json))
        say_accounts(&c, &err);
    bool partial = c.acc.held + c.acc.failed > c.acc.again;
    ctx_fini(&c);
    rc = a->json ? ds_command_end_aside(&err) : ds_command_end(&ds_cmd_dicom, &err, false);
    return rc == 0 && partial ? ds_exit_code(DS_PARTIAL) : rc;
}
