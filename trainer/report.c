/* report.c - see report.h. */
#include "report.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "consumedtable.h"
#include "elementary.h"
#include "htmltext.h"
#include "io.h"
#include "metrics.h"
#include "net_priv.h"

#define WIDTH 560
#define HEIGHT 180
#define LEFT 64
#define POINTS 1000 /* of a curve: more steps are averaged */

#define PUT(call)                                                                                  \
    do {                                                                                           \
        if (call)                                                                                  \
            return ds_fail_nomem(err);                                                             \
    } while (0)

/* ---- HTML ---- */

static int put_text(ds_buf *h, const char *s, ds_err *err)
{
    PUT(ds_html_text(h, s));
    return 0;
}

static int put_row(ds_buf *h, const char *name, const char *value, ds_err *err)
{
    PUT(ds_buf_puts(h, "<tr><th>"));
    TRY(put_text(h, name, err));
    PUT(ds_buf_puts(h, "</th><td>"));
    TRY(put_text(h, value, err));
    PUT(ds_buf_puts(h, "</td></tr>\n"));
    return 0;
}

static int put_sha(ds_buf *h, const char *name, const ds_sha *s, ds_err *err)
{
    char hex[65];

    ds_sha_hex(hex, s);
    return put_row(h, name, hex, err);
}

/* One curve as an SVG: a polyline, its lowest and highest value, the first and last step. */
static int put_curve(ds_buf *h, const char *title, const char *of, const ds_buf *values,
                     const ds_buf *steps, ds_err *err)
{
    const double *v = (const double *)(const void *)values->data,
                 *s = (const double *)(const void *)steps->data;
    const size_t n = values->len / sizeof *v, each = n / POINTS + 1;
    double low = n ? v[0] : 0, high = low;

    for (size_t i = 1; i < n; i++) {
        low = v[i] < low ? v[i] : low;
        high = v[i] > high ? v[i] : high;
    }
    const double span = high > low ? high - low : 1;
    PUT(ds_buf_printf(h, "<figure><figcaption>%s", title));
    TRY(put_text(h, of, err));
    PUT(ds_buf_printf(h,
                      "</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\">"
                      "<rect x=\"%d\" y=\"8\" width=\"%d\" height=\"%d\"/>"
                      "<text x=\"%d\" y=\"16\" text-anchor=\"end\">%.4g</text>"
                      "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.4g</text><polyline points=\"",
                      WIDTH, HEIGHT + 28, LEFT, WIDTH - LEFT - 8, HEIGHT, LEFT - 6, high, LEFT - 6,
                      HEIGHT + 8, low));
    for (size_t i = 0; i < n; i += each) {
        const size_t to = i + each < n ? i + each : n;
        double sum = 0;
        for (size_t j = i; j < to; j++)
            sum += v[j];
        const double y = sum / (double)(to - i);
        const double x = n > 1 ? (double)i / (double)(n - 1) : 0.5;
        PUT(ds_buf_printf(h, "%.1f,%.1f ", LEFT + 4 + x * (WIDTH - LEFT - 16),
                          12 + (high - y) / span * (HEIGHT - 8)));
    }
    PUT(ds_buf_printf(h,
                      "\"/><text x=\"%d\" y=\"%d\">step %.0f</text>"
                      "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%.0f</text></svg></figure>\n",
                      LEFT, HEIGHT + 24, n ? s[0] : 0, WIDTH - 8, HEIGHT + 24, n ? s[n - 1] : 0));
    return 0;
}

static int put_curves(ds_buf *h, const ds_metrics *m, ds_err *err)
{
    static const char *const titles[DS_CURVES] = {
        "Loss", "Learning rate", "Gradient norm, before clipping", "Tokens a second"};

    PUT(ds_buf_puts(h, "<h2>Curves</h2>\n<div class=\"curves\">\n"));
    for (int c = 0; c < DS_CURVES; c++)
        TRY(put_curve(h, titles[c], NULL, &m->steps.values[c], &m->steps.steps, err));
    if (m->evals.steps.len)
        TRY(put_curve(h, "Evaluation: loss", NULL, &m->evals.values[DS_CURVE_LOSS], &m->evals.steps,
                      err));
    for (size_t i = 0; i < m->nsets; i++)
        TRY(put_curve(h, "Evaluation: loss on ", m->sets[i].name, &m->sets[i].loss,
                      &m->sets[i].steps, err));
    PUT(ds_buf_puts(h, "</div>\n"));
    return 0;
}

/* ---- lineage ---- */

static int put_settings(ds_buf *h, const ds_run *r, ds_err *err)
{
    ds_buf text = {0};
    json_t *o = NULL;
    const char *key;
    json_t *v;
    int rc = ds_json_parse(&o, r->training, strlen(r->training), "run description", err);

    if (!rc &&
        ds_buf_printf(h,
                      "<h2>Settings</h2>\n<table>\n"
                      "<tr><th>steps</th><td>%" PRIu64 " of %" PRIu64 " rows of %" PRIu32
                      " tokens</td></tr>\n<tr><th>seed</th><td>%" PRIu64 "</td></tr>\n"
                      "<tr><th>packing window</th><td>%" PRIu32
                      "</td></tr>\n<tr><th>longer records</th><td>%s</td></tr>\n",
                      r->steps, r->rows, r->seq_len, r->seed, r->window, ds_long_names[r->longer]))
        rc = ds_fail_nomem(err);
    json_object_foreach(o, key, v)
    {
        ds_buf_reset(&text);
        rc = rc ? rc : ds_json_dump(&text, v, err);
        if (!rc)
            rc = ds_buf_cstr(&text) ? put_row(h, key, (const char *)text.data, err)
                                    : ds_fail_nomem(err);
    }
    if (!rc && ds_buf_puts(h, "</table>\n"))
        rc = ds_fail_nomem(err);
    ds_buf_fini(&text);
    json_decref(o);
    return rc;
}

static int put_origin(ds_buf *h, const ds_lineage *l, ds_err *err)
{
    ds_sha run;

    PUT(ds_buf_puts(h, "<h2>Lineage</h2>\n<table>\n"));
    TRY(ds_run_digest(&run, &l->run, err));
    TRY(put_sha(h, "run", &run, err));
    TRY(put_row(h, "model", l->model_name, err));
    TRY(put_sha(h, "model's digest", &l->run.model, err));
    TRY(put_row(h, "environment", l->environment, err));
    TRY(put_sha(h, "trainer's program", &l->binary, err));
    PUT(ds_buf_puts(h, "</table>\n<table>\n<tr><th>dataset</th><th>version</th><th>records</th>"
                       "<th>root</th><th>tokenizer</th></tr>\n"));
    for (size_t i = 0; i < l->run.ndatasets; i++) {
        const ds_run_dataset *d = &l->run.datasets[i];
        char root[65];
        ds_sha_hex(root, &d->root);
        PUT(ds_buf_puts(h, "<tr><td>"));
        TRY(put_text(h, d->name, err));
        PUT(ds_buf_printf(h, "</td><td>%s</td><td>%" PRIu64 "</td><td>%s</td><td>",
                          d->commit[0] ? d->commit : "a file", d->records, root));
        TRY(put_text(h, d->tokenizer, err));
        PUT(ds_buf_puts(h, "</td></tr>\n"));
    }
    PUT(ds_buf_puts(h, "</table>\n"));
    return 0;
}

static int put_checkpoint(ds_buf *h, const ds_lineage *l, ds_err *err)
{
    char files[65], head[65];

    ds_sha_hex(files, &l->files);
    ds_sha_hex(head, &l->head);
    PUT(ds_buf_puts(h, "<tr><td>"));
    TRY(put_text(h, l->name, err));
    PUT(ds_buf_printf(h, "</td><td>%" PRIu64 "</td><td>%s</td><td>%s</td></tr>\n", l->rows, files,
                      head));
    return 0;
}

static int is_step(const struct dirent *e)
{
    uint64_t step;

    return ds_checkpoint_parse_name(e->d_name, &step);
}

static int by_step(const struct dirent **a, const struct dirent **b)
{
    uint64_t x = 0, y = 0;

    ds_checkpoint_parse_name((*a)->d_name, &x);
    ds_checkpoint_parse_name((*b)->d_name, &y);
    return (x > y) - (x < y);
}

static int put_lineage(ds_buf *h, const char *run_dir, ds_err *err)
{
    struct dirent **e = NULL;
    ds_buf consumed = {0};
    char path[DS_PATH];
    const int n = scandir(run_dir, &e, is_step, by_step);
    int rc = n < 0 ? ds_fail_errno(err, errno, "%s", run_dir) : 0;

    if (!rc && !n)
        rc = ds_fail(err, DS_FAIL, "%s: there is no checkpoint", run_dir);
    for (int i = n - 1; !rc && i >= 0; i--) { /* the newest tells of the run, too */
        ds_lineage l = {0};
        rc = ds_path_join(path, run_dir, e[i]->d_name, err);
        rc = rc ? rc : ds_lineage_read(&l, path, err);
        if (!rc && i == n - 1) {
            rc = put_settings(h, &l.run, err);
            rc = rc ? rc : put_origin(h, &l, err);
            if (!rc && ds_buf_puts(h, "<h2>Checkpoints</h2>\n<table>\n<tr><th>step</th>"
                                      "<th>rows</th><th>files</th><th>ledger</th></tr>\n"))
                rc = ds_fail_nomem(err);
        }
        rc = rc ? rc : put_checkpoint(h, &l, err);
        rc = rc ? rc : ds_consumed_table_rows(&consumed, &l, err);
        ds_lineage_fini(&l);
    }
    if (!rc && ds_buf_puts(h, "</table>\n"))
        rc = ds_fail_nomem(err);
    if (!rc && consumed.len &&
        (ds_buf_puts(h, ds_consumed_table_head) || ds_buf_put(h, consumed.data, consumed.len) ||
         ds_buf_puts(h, "</table>\n")))
        rc = ds_fail_nomem(err);
    ds_buf_fini(&consumed);
    for (int i = 0; i < n; i++)
        free(e[i]);
    free(e);
    return rc;
}

static const char HEAD[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>A training run</title>\n"
    "<style>\nbody{font:15px/1.4 sans-serif;margin:2em auto;max-width:75em;padding:0 1em}\n"
    "table{border-collapse:collapse;margin:1em 0}\n"
    "th,td{text-align:left;vertical-align:top;padding:.2em .8em .2em 0;"
    "border-bottom:1px solid #ccc;overflow-wrap:anywhere}\n"
    "td{font-family:monospace}\n.curves{display:flex;flex-wrap:wrap;gap:1em}\n"
    "figure{margin:0;flex:1 1 30em}\nsvg{width:100%}\nsvg text{font-size:11px}\n"
    "rect{fill:none;stroke:#bbb}\npolyline{fill:none;stroke:#06c;stroke-width:1.5}\n"
    "</style>\n</head>\n<body>\n<h1>";

static const double *values_of(const ds_buf *b)
{
    return (const double *)(const void *)b->data;
}

static int put_summary(ds_buf *h, const ds_metrics *m, ds_err *err)
{
    const size_t n = m->steps.steps.len / sizeof(double),
                 evals = m->evals.steps.len / sizeof(double),
                 skipped = m->skipped.len / sizeof(double),
                 overflows = m->overflows.len / sizeof(double);
    const double *loss = values_of(&m->steps.values[DS_CURVE_LOSS]),
                 *eval = values_of(&m->evals.values[DS_CURVE_LOSS]),
                 *at = values_of(&m->evals.steps);
    size_t best = 0;

    if (!n)
        return 0;
    PUT(ds_buf_printf(h, "<p>%zu steps; loss %.6g at first, %.6g at last.", n, loss[0],
                      loss[n - 1]));
    if (skipped)
        PUT(ds_buf_printf(h, " %zu spikes skipped.", skipped));
    if (overflows)
        PUT(ds_buf_printf(h, " %zu without an update: gradients too large for f16.", overflows));
    for (size_t i = 1; i < evals; i++)
        best = eval[i] < eval[best] ? i : best;
    if (evals)
        PUT(ds_buf_printf(h, " %zu evaluations; lowest loss %.6g", evals, eval[best]));
    if (evals && !m->paired)
        PUT(ds_buf_printf(h, " (perplexity %.5g)", ds_exp(eval[best])));
    if (evals)
        PUT(ds_buf_printf(h, " after step %.0f, %.6g at last.", at[best], eval[evals - 1]));
    PUT(ds_buf_puts(h, "</p>\n"));
    return 0;
}

static int put_page(ds_buf *h, const ds_metrics *m, const char *run_dir, ds_err *err)
{
    PUT(ds_buf_puts(h, HEAD));
    TRY(put_text(h, run_dir, err));
    PUT(ds_buf_puts(h, "</h1>\n"));
    TRY(put_summary(h, m, err));
    TRY(put_curves(h, m, err));
    TRY(put_lineage(h, run_dir, err));
    PUT(ds_buf_puts(h, "</body>\n</html>\n"));
    return 0;
}

int ds_report(ds_buf *html, const char *run_dir, ds_err *err)
{
    ds_metrics m = {0};
    int rc = ds_metrics_read(&m, run_dir, err);

    rc = rc ? rc : put_page(html, &m, run_dir, err);
    ds_metrics_fini(&m);
    return rc;
}
