/* cmd_text.c - dsprep text: files, folders, archives and pipes into records of text. */
#include <string.h>

#include "cmd_transform.h"
#include "dsr_prov.h"
#include "intake.h"
#include "opt.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_text;
const ds_command ds_cmd_text = {
    .prog = "dsprep",
    .name = "text",
    .summary = "files, folders and archives into records of text",
    .operands = "INPUT...",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dsprep text corpus/ | dsver commit -m 'first' corpus\n"
               "dsprep text --field body --key-field id posts.jsonl.zst | dsprep head",
    .description = "Reads text and writes a stream of records (DSR) to standard output, or "
                   "shard files into a folder with -o. An INPUT is a file, a folder "
                   "(everything below it, hidden files too, in the byte order of the names), "
                   "an archive (tar, zip, 7z), a compressed file (gz, xz, zst, bz2), or - for "
                   "standard input. Symbolic links inside folders and archives are left out, "
                   "and so is a store of dsver (.dsver) below a folder.\n\n"
                   "The format follows from the name's ending (.jsonl .ndjson .csv .tsv .html "
                   ".htm .md .warc .wet .eml .mbox), and is plain text otherwise; --format sets it "
                   "for all inputs. A "
                   "plain text, Markdown or HTML file is one record, or several with --split. "
                   "In JSON lines and tables (with a header; RFC 4180) a line is a record: "
                   "--field names the member that is the text; its other members are kept in "
                   "the column meta as JSON, with numbers and order as written.\n\n"
                   "Of an archive of the web (WARC, its records gz or zst one by one, or not) the "
                   "documents are records: bodies of HTTP responses, resource and conversion "
                   "(WET) records that are pages or plain text, whatever they were chunked, "
                   "compressed (gzip, deflate, br, zstd) or encoded in. meta has url, date, title, "
                   "mime, status, language and digest; digests that are given are checked. "
                   "Images and other types are held, by type, and stop nothing, whatever "
                   "--on-error says; requests, metadata and what was the same before (revisit) "
                   "are no documents, and counted apart. A damaged record costs that record. "
                   "docs/texts.md has more.\n\n"
                   "Of mail (a message a file: eml, as in a maildir with --format eml; or a box: "
                   "mbox) the text is what a reader sees: the plain text of alternatives, HTML as "
                   "text, messages within. meta has from, to, cc, date (UTC), subject, message_id, "
                   "in_reply_to, references and the names, types and sizes of attachments. These "
                   "are personal data: dsprep redact looks into meta too.\n\n"
                   "Keys: a file's record is keyed by the file's name, relative to the folder "
                   "or archive it was found in; a file that is an INPUT itself, by the last "
                   "component of its name; a record of a WARC by its WARC-Record-ID, a message by "
                   "its Message-ID, or what --key-field names of meta, such as url. Records of "
                   "JSON lines and tables have "
                   "the key that "
                   "--key-field names; without it, and with --split, the key is derived: a "
                   "digest of the text. All records of a run have the same kind of key: "
                   "--key-field asks for explicit ones, and without it the first input "
                   "decides; --keys sets it.\n\n"
                   "Text is UTF-8, or what a byte order mark says, or what --encoding says (in a "
                   "WARC and in mail: of what says none); it is never guessed, and bytes that are "
                   "invalid in it are an error. "
                   "--on-error says what happens then: fail (the stream ends with the reason), "
                   "skip, or quarantine (the record goes to the file that --quarantine names). "
                   "The last line says how input, output, held and failed add up; the exit "
                   "status is 3 when something was left out.\n\n"
                   "The records do not depend on the number of threads, the locale, the "
                   "working directory or the order of a folder's entries.",
    .run = run,
};

typedef struct text_args {
    ds_intake_args in;
    int format, keys;
    const char *field, *key_field, *split;
    bool no_meta, json_text;
} text_args;

#define FIELD "text" /* that is the text, where nothing else is said */
enum { KEYS_AUTO, KEYS_EXPLICIT, KEYS_DERIVED };
static const char *const keys_names[] = {"auto", "explicit", "derived", NULL};

typedef struct text_ctx {
    ds_intake in; /* first: see ds_intake_sink */
    ds_textopts o;
    size_t col_text, col_meta;
    ds_rows *rows; /* of the document that is being written in parts */
    bool unnamed;  /* standard input is read as text, and its beginning has not been looked at */
    bool no_meta;  /* as the user wants it */
    bool told;     /* that meta goes, where it is the first input that has none */
} text_ctx;

/* ---- the sink ---- */

static int begin_row(text_ctx *c, const void *key, size_t key_len, ds_rows **rows, ds_err *err)
{
    int rc = ds_shardout_rows(c->in.out, rows, err);
    if (rc == 0)
        rc = ds_rows_begin(*rows, err);
    if (rc == 0 && c->o.explicit_key)
        rc = ds_colbuild_bytes(ds_rows_col(*rows, 0), key, key_len, err);
    return rc;
}

static int end_row(text_ctx *c, ds_rows *rows, const void *meta, size_t meta_len, uint64_t offset,
                   uint64_t len, ds_err *err)
{
    int rc = 0;
    if (c->o.meta)
        rc = meta ? ds_colbuild_bytes(ds_rows_col(rows, c->col_meta), meta, meta_len, err)
                  : ds_colbuild_null(ds_rows_col(rows, c->col_meta), err);
    if (rc == 0)
        rc = ds_shardout_row(c->in.out, offset, len, err);
    if (rc == 0)
        c->in.records++;
    return rc;
}

/* What is taken for one text may be many records. */
static void look(text_ctx *c, const uint8_t *p, size_t len)
{
    const uint8_t *nl = c->unnamed && len ? memchr(p, '\n', len) : NULL;
    const size_t n = nl ? (size_t)(nl - p) : len;
    const char *like = NULL;
    if (c->unnamed && n > 1 && p[0] == '{' && p[n - 1 - (nl && p[n - 1] == '\r')] == '}')
        like = "JSON lines (--format jsonl)";
    else if (c->unnamed && n > 5 && memcmp(p, "WARC/", 5) == 0)
        like = "an archive of the web (--format warc)";
    else if (c->unnamed && n > 5 && nl && memcmp(p, "From ", 5) == 0)
        like = "a box of mail (--format mbox)";
    if (like)
        ds_warn("standard input has no name that tells its format: it is read as one text, and "
                "looks like %s",
                like);
    c->unnamed = false;
}

static int on_row(void *ctx, const ds_textrow *r, uint64_t source, ds_err *err)
{
    text_ctx *c = ctx;
    ds_rows *rows;
    (void)source; /* shards count their own */
    look(c, r->text, r->text_len);
    int rc = begin_row(c, r->key, r->key_len, &rows, err);
    if (rc == 0)
        rc = ds_colbuild_bytes(ds_rows_col(rows, c->col_text), r->text, r->text_len, err);
    return rc ? rc : end_row(c, rows, r->meta, r->meta_len, r->offset, r->len, err);
}

static int on_begin(void *ctx, const char *key, ds_err *err)
{
    text_ctx *c = ctx;
    int rc = begin_row(c, key, key ? strlen(key) : 0, &c->rows, err);
    return rc ? rc : ds_colbuild_begin(ds_rows_col(c->rows, c->col_text), err);
}

static int on_part(void *ctx, const void *p, size_t len, ds_err *err)
{
    text_ctx *c = ctx;
    look(c, p, len);
    return ds_colbuild_part(ds_rows_col(c->rows, c->col_text), p, len, err);
}

static int on_end(void *ctx, uint64_t source, uint64_t offset, uint64_t len, ds_err *err)
{
    text_ctx *c = ctx;
    (void)source;
    int rc = ds_colbuild_end(ds_rows_col(c->rows, c->col_text), err);
    return rc ? rc : end_row(c, c->rows, NULL, 0, offset, len, err);
}

static int on_drop(void *ctx, ds_err *err)
{
    text_ctx *c = ctx;
    return ds_rows_drop(c->rows, err);
}

/* Records that know more of themselves, in a run whose first input does not. */
static int on_note(void *ctx, const char *source, const char *words, ds_err *err)
{
    text_ctx *c = ctx;
    (void)err;
    if (!c->no_meta && !c->told)
        ds_warn("%s: %s", source, words);
    c->told = true;
    return 0;
}

/* ---- options ---- */

static int read_split(ds_textopts *o, const char *split, ds_err *err)
{
    if (!split)
        return 0;
    if (strcmp(split, "line") == 0) {
        o->split = DS_SPLIT_LINE;
    } else if (strcmp(split, "paragraph") == 0) {
        o->split = DS_SPLIT_PARAGRAPH;
    } else if (strncmp(split, "bytes=", 6) == 0) {
        uint64_t n = 0;
        const char *p = split + 6;
        if (!ds_digits_next(&p, &n) || *p || n < 4 || n > o->max_record)
            return ds_fail(err, DS_USAGE, "--split %s: a number from 4 to --max-record is wanted",
                           split);
        o->split = DS_SPLIT_BYTES;
        o->split_bytes = (size_t)n;
    } else {
        return ds_fail(err, DS_USAGE, "--split %s: it is one of paragraph, line, bytes=N", split);
    }
    return 0;
}

static int read_options(text_ctx *c, const text_args *a, ds_err *err)
{
    c->o = (ds_textopts){.format = (enum ds_textformat)a->format,
                         .field = a->field,
                         .key_field = a->key_field,
                         .json_text = a->json_text};
    int rc = ds_intake_limits(&a->in, &c->o, err);
    if (rc == 0)
        rc = read_split(&c->o, a->split, err);
    const bool any = a->format == DS_TEXT_AUTO;
    if (rc == 0 && a->json_text && !any && a->format != DS_TEXT_JSONL)
        rc = ds_fail(err, DS_USAGE, "--json-text is of JSON lines, and --format says otherwise");
    if (rc == 0 && a->in.delimiter && !any && a->format != DS_TEXT_CSV && a->format != DS_TEXT_TSV)
        rc = ds_fail(err, DS_USAGE, "--delimiter is of tables, and --format says otherwise");
    if (rc == 0 && a->key_field && a->keys == KEYS_DERIVED)
        rc = ds_fail(err, DS_USAGE, "--key-field and --keys derived contradict each other");
    if (rc == 0 && a->key_field && strcmp(a->key_field, a->field) == 0)
        rc = ds_fail(err, DS_USAGE, "--key-field and --field name the same member");
    if (rc == 0 && a->split && (a->keys == KEYS_EXPLICIT || a->key_field))
        rc = ds_fail(err, DS_USAGE, "the pieces of --split have no explicit keys");
    return rc;
}

/* What the first input decides: whether keys are explicit, and whether there is a column meta. */
static void settle(text_ctx *c, const text_args *a)
{
    enum ds_textformat first = ds_textread_first(c->in.read);
    bool rows = ds_textformat_rows(first);
    ds_textopts *o = &c->o;
    if (a->keys == KEYS_AUTO)
        o->explicit_key =
            o->key_field || ((!rows || ds_textformat_keyed(first)) && o->split == DS_SPLIT_NONE);
    else
        o->explicit_key = a->keys == KEYS_EXPLICIT;
    /* Where records with members may come, there is a place for them. */
    bool may = o->format == DS_TEXT_AUTO && (!o->explicit_key || o->key_field);
    o->meta = !a->no_meta && (rows || first == DS_TEXT_HTML || may);
}

static int make_schema(text_ctx *c, ds_err *err)
{
    ds_schema *s = &c->in.schema;
    int rc = 0;
    s->explicit_key = c->o.explicit_key;
    if (s->explicit_key)
        rc = ds_schema_add(s, NULL, "key", DS_UTF8, 0, NULL, err);
    if (rc == 0)
        rc = ds_schema_add(s, &c->col_text, "text", DS_UTF8,
                           DS_COL_PRIMARY | (s->explicit_key ? 0 : DS_COL_KEYED), NULL, err);
    if (rc == 0 && c->o.meta)
        rc = ds_schema_add(s, &c->col_meta, "meta", DS_JSON, DS_COL_NULLABLE, NULL, err);
    return rc ? rc : ds_schema_check(s, err);
}

/* The options that decide which records come out. */
static int make_provenance(text_ctx *c, const text_args *a, ds_err *err)
{
    bool rows = c->o.format == DS_TEXT_AUTO || ds_textformat_rows(c->o.format);
    json_t *j = json_pack(
        "{s:s,s:s,s:s,s:b,s:s,s:I,s:I,s:I}", "encoding", a->in.encoding ? a->in.encoding : "UTF-8",
        "format", ds_textformat_names[a->format], "keys",
        c->o.explicit_key ? "explicit" : "derived", "meta", (int)c->o.meta, "on_error",
        ds_onerror_names[a->in.on_error], "max_record", (json_int_t)a->in.max_record, "max_ratio",
        (json_int_t)a->in.max_ratio, "max_unpacked", (json_int_t)a->in.max_unpacked);
    int rc = j ? 0 : ds_fail(err, DS_FAIL, "an option is not valid UTF-8");
    if (rc == 0 &&
        ((rows && (json_object_set_new(j, "field", json_string(a->field)) != 0 ||
                   json_object_set_new(j, "max_depth", json_integer(a->in.max_depth)) != 0)) ||
         (a->json_text && json_object_set_new(j, "json_text", json_true()) != 0) ||
         (a->key_field && json_object_set_new(j, "key_field", json_string(a->key_field)) != 0) ||
         (a->split && json_object_set_new(j, "split", json_string(a->split)) != 0) ||
         (a->in.delimiter &&
          json_object_set_new(j, "delimiter", json_string(a->in.delimiter)) != 0)))
        rc = ds_fail(err, DS_USAGE, "an option is not valid UTF-8");
    if (rc == 0)
        rc = ds_prov_append(&c->in.prov, NULL, 0, "dsprep text", j, NULL, err);
    json_decref(j);
    return rc;
}

/* ---- the command ---- */

/* What has no name is read as plain text, which has no fields. */
static int check_stdin(text_ctx *c, const text_args *a, char **operands, size_t n, ds_err *err)
{
    const char *given = a->key_field                   ? "--key-field"
                        : strcmp(a->field, FIELD) != 0 ? "--field"
                                                       : NULL;
    for (size_t i = 0; i < n; i++)
        c->unnamed |= a->format == DS_TEXT_AUTO && strcmp(operands[i], "-") == 0;
    if (given && c->unnamed)
        return ds_fail(err, DS_USAGE,
                       "standard input has no name that tells its format, and %s is of those "
                       "with fields: --format jsonl, csv or tsv",
                       given);
    c->unnamed &= n == 1; /* what is looked at is of it */
    return 0;
}

static int convert(text_ctx *c, const text_args *a, char **operands, size_t n, ds_err *err)
{
    ds_textsink sink = {.ctx = c,
                        .row = on_row,
                        .begin = on_begin,
                        .part = on_part,
                        .end = on_end,
                        .drop = on_drop,
                        .note = on_note};
    c->no_meta = a->no_meta;
    ds_intake_sink(&sink);
    int rc = read_options(c, a, err);
    if (rc == 0)
        rc = check_stdin(c, a, operands, n, err);
    if (rc == 0)
        rc = ds_intake_open(&c->in, &a->in, &c->o, operands, n, err);
    if (rc != 0)
        return rc;
    settle(c, a);
    if ((rc = make_schema(c, err)) != 0 || (rc = make_provenance(c, a, err)) != 0)
        return rc;
    return ds_intake_run(&c->in, &c->o, &sink, err);
}

static int run(int argc, char **argv)
{
    text_args a = {.field = FIELD, .in = DS_INTAKE_DEFAULTS};
    const ds_opt opts[] = {
        OPT_CHOICE('f', "format", a.format, "FORMAT", ds_textformat_names,
                   "format of all inputs; auto goes by the name's end"),
        OPT_STR(0, "field", a.field, "NAME", "member or column that is the text; default text"),
        OPT_FLAG(0, "json-text", a.json_text,
                 "JSON lines: a text that is a list or an object counts as its JSON"),
        OPT_STR(0, "key-field", a.key_field, "NAME", "member or column that is the key"),
        OPT_CHOICE(0, "keys", a.keys, "KIND", keys_names, "whether records have explicit keys"),
        OPT_STR(0, "split", a.split, "HOW", "cut documents: paragraph, line, or bytes=N"),
        OPT_FLAG(0, "no-meta", a.no_meta, "drop the other members of a record"),
        DS_INTAKE_OPTIONS(a.in),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_text, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    text_ctx c = {0};
    ds_sig_setup();
    if (a.in.quiet || a.in.json)
        ds_log_level = 0;
    rc = convert(&c, &a, operands, (size_t)n, &err);
    if (rc == 0)
        ds_intake_say(&c.in, "dsprep text", NULL);
    bool partial = ds_intake_partial(&c.in);
    ds_intake_fini(&c.in);
    return ds_transform_end(&ds_cmd_text, &(ds_rowopts){.json = a.in.json}, &err, partial);
}
