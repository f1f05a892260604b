/* report.h - a run as one page of HTML without anything from outside: curves of metrics.jsonl, the
 * settings, and what each checkpoint's lineage says. */
#ifndef DS_REPORT_H
#define DS_REPORT_H

#include "buf.h"
#include "error.h"

/* run_dir holds metrics.jsonl and step-NNNNNN folders. */
int ds_report(ds_buf *html, const char *run_dir, ds_err *err);

#endif
