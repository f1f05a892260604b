/* cmd_info.c - dsprep info: what a DSR stream is: schema, size by column, counts, sources,
 * provenance. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dsr_prov.h"
#include "instream.h"
#include "json.h"
#include "jsonrow.h"
#include "opt.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_info;
const ds_command ds_cmd_info = {
    .prog = "dsprep",
    .name = "info",
    .summary = "show schema, sizes, sources and provenance",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsprep info corpus.dsr",
    .description = "Reads DSR streams (files, folders of shard-*.dsr, or standard input) to the "
                   "end as one stream and tells what they "
                   "hold: how records are keyed, the columns with their types and bytes, the "
                   "number of records, blocks and sources, "
                   "what was held back or failed on the way, and the steps that made them. Bytes "
                   "are those of the columns' "
                   "canonical form, uncompressed.\n\n"
                   "Frame checksums and order are verified on the way; values and cuts are not: "
                   "dsprep check does that.",
    .run = run,
};

typedef struct info {
    ds_instream *in;
    bool json, list; /* list: --sources */
    uint64_t *bytes; /* by column, and of the origins last */
    ds_counts total;
    uint64_t source_bytes;
    ds_spool sources;  /* their text */
    ds_buf prov;       /* of the first file */
    bool prov_differs; /* a later file has another */
    ds_buf text;
    ds_out out;
} info;

static int counts_sum(ds_counts *to, const ds_counts *from, ds_err *err)
{
    to->records += from->records;
    to->blocks += from->blocks;
    to->sources += from->sources;
    return ds_counts_join(to, from, err);
}

static int on_source(info *f, const ds_source *s, ds_err *err)
{
    if (__builtin_add_overflow(f->source_bytes, s->size, &f->source_bytes))
        f->source_bytes = UINT64_MAX;
    if (!f->list)
        return 0;
    char hex[65];
    ds_sha_hex(hex, &s->sha);
    ds_buf_reset(&f->text);
    bool bad;
    if (f->json)
        bad = ds_buf_puts(&f->text, ds_spool_len(&f->sources) ? ",{\"name\":" : "{\"name\":") ||
              ds_json_name(&f->text, s->name, s->len) ||
              ds_buf_printf(&f->text, ",\"size\":%" PRIu64 ",\"sha256\":\"%s\"}", s->size, hex);
    else
        bad = ds_buf_printf(&f->text, "  %s %12" PRIu64 "  ", hex, s->size) ||
              ds_json_name(&f->text, s->name, s->len) || ds_buf_putc(&f->text, '\n');
    return bad ? ds_fail_nomem(err) : ds_spool_put(&f->sources, f->text.data, f->text.len, err);
}

static int on_end(info *f, ds_err *err)
{
    ds_reader *r = ds_instream_reader(f->in);
    size_t len;
    const char *p = ds_reader_provenance(r, &len);
    if (f->prov.len == 0 && ds_buf_put(&f->prov, p, len))
        return ds_fail_nomem(err);
    if (f->prov.len != len || memcmp(f->prov.data, p, len) != 0)
        f->prov_differs = true;
    return counts_sum(&f->total, ds_reader_counts(r), err);
}

static int read_all(info *f, ds_err *err)
{
    for (;;) {
        enum ds_event ev;
        int rc = ds_check_interrupt(err);
        if (rc == 0)
            rc = ds_instream_next(f->in, &ev, err);
        if (rc)
            return rc;
        if (ev == DS_EV_BLOCK) {
            const ds_block *b = ds_reader_block(ds_instream_reader(f->in));
            for (size_t i = 0; i < b->nchunks; i++)
                f->bytes[i] += b->chunks[i].head_len + b->chunks[i].body_len;
        } else if (ev == DS_EV_SOURCE) {
            rc = on_source(f, ds_reader_source(ds_instream_reader(f->in)), err);
        } else {
            rc = on_end(f, err);
            if (rc == 0 && ds_instream_last(f->in))
                return 0;
        }
        if (rc)
            return rc;
    }
}

static int put(info *f, ds_err *err)
{
    int rc = ds_out_put(&f->out, f->text.data, f->text.len, err);
    ds_buf_reset(&f->text);
    return rc;
}

static int put_sources(info *f, ds_err *err)
{
    const uint8_t *p;
    size_t len;
    int rc = put(f, err);
    if (rc == 0 && ds_spool_len(&f->sources) &&
        (rc = ds_spool_view(&f->sources, &p, &len, err)) == 0)
        rc = ds_out_put(&f->out, p, len, err);
    return rc;
}

/* ---- as JSON ---- */

static bool json_counts(ds_buf *b, const char *name, const ds_reason *r, size_t n)
{
    bool bad = ds_buf_printf(b, ",\"%s\":{", name);
    for (size_t i = 0; i < n; i++)
        bad = bad || (i && ds_buf_putc(b, ',')) ||
              ds_json_name(b, r[i].reason, strlen(r[i].reason)) ||
              ds_buf_printf(b, ":%" PRIu64, r[i].count);
    return bad || ds_buf_putc(b, '}');
}

static int show_json(info *f, ds_err *err)
{
    const ds_schema *s = ds_instream_schema(f->in);
    ds_buf *b = &f->text;
    int rc;
    bool bad =
        ds_buf_printf(b,
                      "{\"type\":\"info\",\"files\":%zu,\"records\":%" PRIu64 ",\"blocks\":%" PRIu64
                      ",\"sources\":%" PRIu64 ",\"source_bytes\":%" PRIu64,
                      ds_instream_files(f->in), f->total.records, f->total.blocks, f->total.sources,
                      f->source_bytes) ||
        json_counts(b, "held", f->total.held, f->total.nheld) ||
        json_counts(b, "failed", f->total.failed, f->total.nfailed) ||
        ds_buf_puts(b, ",\"bytes\":{");
    for (size_t i = 0; i < s->n; i++)
        bad = bad || (i && ds_buf_putc(b, ',')) ||
              ds_json_str(b, s->cols[i].name, strlen(s->cols[i].name)) ||
              ds_buf_printf(b, ":%" PRIu64, f->bytes[i]);
    bad = bad || ds_buf_printf(b, "},\"origin_bytes\":%" PRIu64 ",\"schema\":", f->bytes[s->n]);
    if (bad)
        return ds_fail_nomem(err);
    if ((rc = ds_schema_dump(b, s, err)))
        return rc;
    if (ds_buf_puts(b, f->prov_differs ? ",\"provenance_differs\":true,\"provenance\":"
                                       : ",\"provenance\":") ||
        ds_buf_put(b, f->prov.data, f->prov.len) ||
        (f->list && ds_buf_puts(b, ",\"source_list\":[")))
        return ds_fail_nomem(err);
    if (f->list && (rc = put_sources(f, err)))
        return rc;
    if (ds_buf_puts(b, f->list ? "]}\n" : "}\n"))
        return ds_fail_nomem(err);
    return put(f, err);
}

/* ---- as text ---- */

static bool text_names(ds_buf *b, const ds_schema *s, const uint8_t *flags)
{
    bool bad = false;
    for (size_t i = 0, n = 0; i < s->n; i++)
        if (flags[i])
            bad = bad || ds_buf_printf(b, "%s%s", n++ ? ", " : "", s->cols[i].name);
    return bad;
}

static void type_text(char *out, size_t size, const ds_column *c)
{
    bool list = c->type == DS_LIST;
    snprintf(out, size, "%s%s%s", ds_type_name(c->type), list ? " of " : "",
             list ? ds_type_name(c->item) : "");
}

static bool text_columns(info *f, const ds_schema *s)
{
    ds_buf *b = &f->text;
    uint64_t sum = 0;
    int name_wide = 6, type_wide = 8;
    char type[48];
    for (size_t i = 0; i < s->n; i++) {
        int len = (int)strlen(s->cols[i].name);
        name_wide = len > name_wide ? len : name_wide;
        type_text(type, sizeof type, &s->cols[i]);
        len = (int)strlen(type);
        type_wide = len > type_wide ? len : type_wide;
        sum += f->bytes[i];
    }
    bool bad = ds_buf_puts(b, "columns\n");
    for (size_t i = 0; i < s->n; i++) {
        const ds_column *c = &s->cols[i];
        type_text(type, sizeof type, c);
        bad = bad ||
              ds_buf_printf(b, "  %-*s  %-*s %13" PRIu64 " bytes %3.0f %%%s%s", name_wide, c->name,
                            type_wide, type, f->bytes[i],
                            sum ? 100.0 * (double)f->bytes[i] / (double)sum : 0.0,
                            c->nullable ? "  nullable" : "", s->primary[i] ? "  primary" : "") ||
              (c->attrs && ds_buf_printf(b, "  %s", c->attrs)) || ds_buf_putc(b, '\n');
    }
    return bad || ds_buf_printf(b, "  %-*s  %-*s %13" PRIu64 " bytes\n", name_wide, "origin",
                                type_wide, "(beside)", f->bytes[s->n]);
}

static bool text_reasons(ds_buf *b, const char *what, const ds_reason *r, size_t n)
{
    bool bad = false;
    for (size_t i = 0; i < n; i++)
        bad = bad || ds_buf_printf(b, "%-12s%" PRIu64 "  %s\n", what, r[i].count, r[i].reason);
    return bad;
}

static int text_steps(info *f, ds_err *err)
{
    json_t *steps = NULL;
    int rc = ds_prov_check(f->prov.data, f->prov.len, err);
    if (rc == 0)
        rc = ds_json_parse(&steps, f->prov.data, f->prov.len, "provenance", err);
    if (rc)
        return rc;
    bool bad = ds_buf_puts(&f->text, f->prov_differs ? "steps of the first file (others differ)\n"
                                                     : "steps\n");
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step)
    {
        bad = bad ||
              ds_buf_printf(&f->text, "  %s %s  ", json_string_value(json_object_get(step, "tool")),
                            json_string_value(json_object_get(step, "version")));
        if (!bad && json_object_get(step, "options"))
            rc = ds_json_dump(&f->text, json_object_get(step, "options"), err);
        if (rc == 0 && !bad && json_object_size(json_object_get(step, "digests")) > 0) {
            bad = ds_buf_puts(&f->text, "  ");
            rc = bad ? 0 : ds_json_dump(&f->text, json_object_get(step, "digests"), err);
        }
        bad = bad || ds_buf_putc(&f->text, '\n');
    }
    json_decref(steps);
    return rc ? rc : bad ? ds_fail_nomem(err) : 0;
}

static int show_text(info *f, ds_err *err)
{
    const ds_schema *s = ds_instream_schema(f->in);
    ds_buf *b = &f->text;
    bool bad = ds_buf_printf(
                   b, "%-12s%" PRIu64 "\n%-12s%" PRIu64 "\n%-12s%" PRIu64 " (%" PRIu64 " bytes)\n",
                   "records", f->total.records, "blocks", f->total.blocks, "sources",
                   f->total.sources, f->source_bytes) ||
               text_reasons(b, "held", f->total.held, f->total.nheld) ||
               text_reasons(b, "failed", f->total.failed, f->total.nfailed) ||
               ds_buf_printf(b, "%-12s", "key");
    if (s->explicit_key)
        bad = bad || ds_buf_puts(b, "explicit");
    else
        bad = bad || ds_buf_puts(b, "derived from ") || text_names(b, s, s->keyed);
    bad = bad ||
          ds_buf_printf(
              b, "\n%-12s%" PRIu64 " / %" PRIu64 " / %" PRIu64 " bytes (least, target, most) of ",
              "cuts", s->block_min, s->block_target, s->block_max) ||
          text_names(b, s, s->primary) || ds_buf_putc(b, '\n') || text_columns(f, s);
    if (bad)
        return ds_fail_nomem(err);
    int rc = text_steps(f, err);
    if (rc == 0 && f->list)
        rc = ds_buf_puts(b, "sources\n") ? ds_fail_nomem(err) : put_sources(f, err);
    return rc ? rc : put(f, err);
}

static int run(int argc, char **argv)
{
    info f = {0};
    const ds_opt opts[] = {
        OPT_FLAG(0, "json", f.json, "print one JSON object"),
        OPT_FLAG('s', "sources", f.list, "list every source with its digest and size"),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_info, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_sig_setup();
    rc = ds_out_init(&f.out, STDOUT_FILENO, "standard output", &err);
    if (rc == 0)
        rc = ds_instream_open(&f.in, operands, n, &err);
    if (rc == 0) {
        f.bytes = calloc(ds_instream_schema(f.in)->n + 1, sizeof *f.bytes);
        rc = f.bytes ? read_all(&f, &err) : ds_fail_nomem(&err);
    }
    ds_buf_reset(&f.text);
    if (rc == 0)
        rc = f.json ? show_json(&f, &err) : show_text(&f, &err);
    (void)ds_out_flush(&f.out, &err); /* its error stands in err */
    free(f.bytes);
    ds_counts_fini(&f.total);
    ds_spool_fini(&f.sources);
    ds_buf_fini(&f.prov);
    ds_buf_fini(&f.text);
    ds_instream_free(f.in);
    ds_out_fini(&f.out);
    return ds_command_end(&ds_cmd_info, &err, f.json);
}
