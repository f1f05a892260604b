/* cmd_dicom_opts.c - see cmd_dicom_opts.h. */
#include "cmd_dicom_opts.h"

#include <stdlib.h>
#include <string.h>

#include "charset.h"
#include "dcmpolicy.h"
#include "dicomaccount.h"
#include "dsr_prov.h"
#include "options.h"

static const char *const record_names[] = {"image", "frame", "volume", "study", NULL};
static const char *const values_names[] = {"stored", "modality", "window", NULL};
static const char *const burned_names[] = {"hold", "pass", NULL};
static const char *const on_error_names[] = {"fail", "skip", "quarantine", NULL};
static const char *const on_found_names[] = {"fail", "hold", NULL};
static const char *const dtype_names[] = {"own", "u8",  "i8",  "u16", "i16",
                                          "u32", "i32", "f32", "f64", NULL};

static ds_dicom_args args = {.deid = "basic",
                             .timeout = 60,
                             .shards = DS_SHARDOPTS_DEFAULTS,
                             .max_ratio = 200,
                             .max_frame = (int64_t)1 << 30,
                             .max_frames = 1000000,
                             .on_error = DS_DICOM_SKIP,
                             .spool_limit = (int64_t)16 << 30,
                             .placeholder = "<image>"};

static const ds_opt OPTIONS[] = {
    OPT_STR(0, "deid", args.deid, "POLICY",
            "profile and options, comma separated, or none; default basic"),
    OPT_STR(0, "key-file", args.key_file, "FILE", "the site's key"),
    OPT_STR(0, "safe-private", args.safe, "FILE",
            "private elements to keep under retain-safe-private: creator, tab, gggg,xxee"),
    OPT_STR(0, "scrub", args.also, "FILE",
            "texts that are identifiers wherever they stand, a line each: the site's names"),
    OPT_CHOICE(0, "burned-in", args.burned_in, "WHAT", burned_names,
               "what becomes of images that may hold writing"),
    OPT_STR(0, "hold", args.hold, "DIR", "copy what is held into a folder, by reason"),
    OPT_CHOICE(0, "on-error", args.on_error, "WHAT", on_error_names,
               "what becomes of objects that fail; default skip"),
    OPT_STR(0, "quarantine", args.quarantine, "DIR", "copy what failed into a folder, by reason"),
    OPT_STR(0, "report", args.report, "FILE",
            "what was done to which attribute, and what the search found, as JSON"),
    OPT_CHOICE(
        0, "on-found", args.on_found, "WHAT", on_found_names,
        "identifiers in what is to go out: fail ends the command (default), hold leaves out the "
        "objects whose texts hold them"),
    OPT_STR(0, "words", args.words, "FILE",
            "words that mean nobody, a line each: as one word of a name they are no hit in other "
            "objects"),
    OPT_STR(0, "found", args.found, "FILE",
            "identifiers that the search found, a line each as --scrub takes them, for the owner "
            "alone"),
    OPT_STR(0, "source-map", args.source_map, "FILE",
            "names behind the pseudonyms of sources, as JSON lines, for the owner alone"),
    OPT_STR(0, "to-dicom", args.to_dicom, "DIR",
            "write de-identified DICOM files too: patient/study/series/instance.dcm"),
    OPT_CHOICE(0, "record", args.record, "UNIT", record_names, "what a record is"),
    OPT_SIZE(0, "spool-limit", args.spool_limit, "SIZE",
             "with volumes and studies: temporary space for what comes in archives; default 16G"),
    OPT_CHOICE(0, "values", args.values, "KIND", values_names,
               "pixel values as stored, in units, or windowed to 0 .. 1"),
    OPT_STR(0, "window", args.window, "C,W",
            "center and width of --values window, or auto: each frame's range"),
    OPT_STR(0, "resize", args.resize, "HxW", "rows and columns that images are resampled to"),
    OPT_CHOICE(0, "dtype", args.dtype, "TYPE", dtype_names,
               "type of the values; own: the narrowest that holds them exactly"),
    OPT_STR(
        0, "device", args.device, "NAME",
        "where grey and RGB values of 8 and 16 bits are made: cpu (default), cuda or cuda:N; the "
        "records are the same"),
    OPT_FLAG(0, "real-world", args.real_world, "prefer the real world value map to rescaling"),
    OPT_INT(0, "patches", args.patches, "N", 1, 1024,
            "images as sequences of N x N patches, and a placeholder for each in the text"),
    OPT_STR(0, "placeholder", args.placeholder, "TEXT",
            "what stands for a patch in the text; default <image>"),
    OPT_STR(0, "preview", args.preview, "DIR",
            "write contact sheets of the images as they are in the records, as PNG"),
    OPT_STR(0, "encoding", args.encoding, "NAME",
            "encoding of text whose character set is not declared, or is not Latin-1 as it "
            "says, and that is no UTF-8"),
    OPT_STR(
        0, "store", args.store, "STORE",
        "the store that the stream is committed to: what it has of files that did not change is "
        "referred to, and not read"),
    DSPREP_SHARDS(args.shards),
    OPT_TIME_IN(0, "timeout", args.timeout, "TIME", 1, 86400,
                "processor time for one object; default 60s"),
    OPT_SIZE(0, "memory", args.memory, "SIZE",
             "address space of a worker process; default no limit"),
    OPT_SIZE(0, "max-file", args.max_file, "SIZE",
             "hold objects whose files are larger; default no limit"),
    OPT_SIZE_IN(0, "max-frame", args.max_frame, "SIZE", 1, INT64_MAX,
                "hold objects with larger frames, decoded; default 1G"),
    OPT_INT(0, "max-frames", args.max_frames, "N", 1, UINT32_MAX,
            "hold objects with more frames; default 1000000"),
    DSPREP_MAX_RATIO(args.max_ratio),
    OPT_INT('j', "threads", args.threads, "N", 1, 256,
            "worker processes; default one for each processor"),
    OPT_JSON_ASIDE(args.json, "the last line as JSON: on standard output with -o, else on standard "
                              "error; an error always there"),
    DSPREP_QUIET(args.quiet),
    OPT_END,
};

int ds_dicom_args_read(const ds_dicom_args **a, const ds_command *cmd, int argc, char **argv,
                       char ***operands, int *n)
{
    *a = &args;
    return ds_opt_begin(cmd, OPTIONS, argc, argv, operands, n);
}

static int read_chain(const ds_dicom_args *a, dcm_chain_opts *o, ds_err *err)
{
    static const int types[] = {0,       DCM_U8,  DCM_I8,  DCM_U16, DCM_I16,
                                DCM_U32, DCM_I32, DCM_F32, DCM_F64};
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
        const char *p = a->resize;
        uint64_t h = 0, w = 0;
        const bool good = ds_digits_next(&p, &h) && *p++ == 'x' && ds_digits_next(&p, &w) && !*p;
        if (!good || h < 1 || w < 1 || h > 65535 || w > 65535)
            return ds_fail(err, DS_USAGE, "--resize %s: rows x columns as in 224x224", a->resize);
        o->rows = (uint32_t)h;
        o->cols = (uint32_t)w;
    }
    return 0;
}

/* A reader of text has to find it, and a space put into it has to break it. */
static int check_placeholder(const char *p, ds_err *err)
{
    size_t n = strlen(p);
    bool ok = n >= 2 && n <= 64;
    for (size_t i = 0; ok && i < n; i++)
        ok = p[i] > ' ' && p[i] < 0x7f;
    return ok ? 0
              : ds_fail(err, DS_USAGE,
                        "--placeholder %s: 2 to 64 characters of ASCII, no spaces, as in <image>",
                        p);
}

int ds_dicom_args_opts(const ds_dicom_args *a, dcm_policy **policy, dcm_key *key, ds_dicom_opts *o,
                       ds_err *err)
{
    int rc = dcm_policy_parse(policy, a->deid, err);
    if (rc == 0 && a->safe)
        rc = dcm_policy_safe_file(*policy, a->safe, err);
    if (rc == 0 && a->also)
        rc = dcm_policy_also_file(*policy, a->also, err);
    if (rc == 0 && a->encoding)
        rc = ds_charset_check(a->encoding, err);
    bool none = rc == 0 && dcm_policy_none(*policy);
    if (rc == 0 && !none && !a->key_file)
        rc = ds_fail(err, DS_USAGE,
                     "--key-file is missing: without a key nothing can be de-identified (--deid "
                     "none passes everything as it is)");
    if (rc == 0 && none &&
        (a->key_file || a->source_map || a->to_dicom || a->found || a->words ||
         a->on_found == DS_FOUND_HOLD))
        rc =
            ds_fail(err, DS_USAGE,
                    "--key-file, --source-map, --to-dicom, --found, --words and --on-found have no "
                    "meaning with --deid none");
    if (rc == 0 && a->burned_in == DS_BURNED_PASS && (dcm_policy_options(*policy) & DCM_OPT_PIXELS))
        rc = ds_fail(err, DS_USAGE,
                     "clean-pixel-data holds what it cannot clean, and --burned-in pass lets it "
                     "pass: one of them");
    if (rc == 0 && a->store && (a->shards.dir || a->to_dicom || a->preview))
        rc = ds_fail(err, DS_USAGE,
                     "--store is for a pipe into dsver commit, where what did not change is not "
                     "read: -o, --to-dicom and --preview do not go with it");
    if (rc == 0 && (a->on_error == DS_DICOM_QUARANTINE) != (a->quarantine != NULL))
        rc = ds_fail(err, DS_USAGE,
                     "--on-error quarantine and --quarantine DIR go together: one is missing");
    if (rc == 0 && !none)
        rc = dcm_key_read(key, a->key_file, err);
    *o = (ds_dicom_opts){
        .policy = *policy,
        .key = none ? NULL : key,
        .chain = {.values = (enum dcm_values)a->values, .real_world = a->real_world},
        .burned_in = (enum ds_burned_in)a->burned_in,
        .encoding = a->encoding,
        .seconds = (unsigned)a->timeout,
        .memory = (uint64_t)a->memory,
        .device = a->device && strcmp(a->device, "cpu") != 0 ? a->device : NULL,
        .limits = {.max_file = (uint64_t)a->max_file,
                   .max_frame = (uint64_t)a->max_frame,
                   .max_frames = (uint32_t)a->max_frames}};
    if (rc == 0 && o->memory && o->device)
        rc = ds_fail(err, DS_USAGE,
                     "--memory limits address space, and a device takes more of that than there is "
                     "memory: --memory or --device");
    if (rc == 0)
        rc = check_placeholder(a->placeholder, err);
    return rc ? rc : read_chain(a, &o->chain, err);
}

/* A file of names has no digest that others may see: it would confirm a guess. */
static int put_list(json_t *digests, const char *what, const char *path, const dcm_key *key,
                    ds_err *err)
{
    ds_sha sha;
    uint64_t size;
    char name[65];
    int rc = ds_sha_file(&sha, &size, path, err);
    if (rc == 0)
        rc = dcm_pseudonym(name, 32, key, what, &sha, sizeof sha, err);
    return rc == 0 && json_object_set_new(digests, what, json_string(name)) != 0
               ? ds_fail_nomem(err)
               : rc;
}

int ds_dicom_args_prov(const ds_dicom_args *a, const ds_dicom_opts *opts, ds_buf *out, ds_err *err)
{
    char hex[65];
    ds_sha_hex(hex, dcm_policy_digest(opts->policy));
    json_t *o = json_pack("{s:s,s:s,s:s,s:s}", "deid", dcm_policy_text(opts->policy), "record",
                          record_names[a->record], "values", values_names[a->values], "burned_in",
                          burned_names[a->burned_in]);
    json_t *d = json_pack("{s:s}", "policy", hex);
    int rc = o && d ? 0 : ds_fail_nomem(err);
    if (rc == 0 && opts->key && json_object_set_new(d, "key", json_string(opts->key->id)) != 0)
        rc = ds_fail_nomem(err);
    if (rc == 0 && opts->key && a->also)
        rc = put_list(d, "scrub", a->also, opts->key, err);
    if (rc == 0 && opts->key && a->words)
        rc = put_list(d, "words", a->words, opts->key, err);
    if (rc == 0 && a->on_found == DS_FOUND_HOLD &&
        json_object_set_new(o, "on_found", json_string("hold")) != 0)
        rc = ds_fail_nomem(err);
    if (rc == 0 && (json_object_set_new(o, "dtype", json_string(dtype_names[a->dtype])) != 0 ||
                    json_object_set_new(o, "real_world", json_boolean(a->real_world)) != 0))
        rc = ds_fail_nomem(err);
    if (rc == 0 && ((a->window && json_object_set_new(o, "window", json_string(a->window)) != 0) ||
                    (a->resize && json_object_set_new(o, "resize", json_string(a->resize)) != 0)))
        rc = ds_fail(err, DS_USAGE, "an option is not valid UTF-8");
    if (rc == 0 && a->patches &&
        (json_object_set_new(o, "patches", json_integer(a->patches)) != 0 ||
         json_object_set_new(o, "placeholder", json_string(a->placeholder)) != 0))
        rc = ds_fail_nomem(err);
    if (rc == 0 && a->encoding && json_object_set_new(o, "encoding", json_string(a->encoding)) != 0)
        rc = ds_fail(err, DS_USAGE, "an option is not valid UTF-8");
    if (rc == 0)
        rc = ds_prov_append(out, NULL, 0, "dsprep dicom", o, d, err);
    json_decref(o);
    json_decref(d);
    return rc;
}
