/* dicomreport.h - a structured report (PS3.3 C.17.3): as text, as rows, and by sections.
 *
 * Sections come from concept names (DCM and LOINC codes of PS3.16 CID 7001 and TID 2000; for other
 * schemes the meaning, where it is one of the headings below), and within texts from English
 * headings: INDICATION, TECHNIQUE, COMPARISON, FINDINGS, IMPRESSION and their usual synonyms, at
 * the beginning of a line in any case with a colon, alone on a line in capitals, or within a line
 * in capitals with a colon. What stands before any heading belongs to no section; RECOMMENDATION,
 * EXAM and the like end one. Sub-headings (LUNGS:) stay in theirs. docs/dicom.md has the list.
 *
 * The tree's texts are UTF-8 (dcm_tree_utf8). Recursion is as deep as the tree at most.
 */
#ifndef DS_DICOMREPORT_H
#define DS_DICOMREPORT_H

#include "dcmtree.h"

enum { DS_SECTIONS = 5 }; /* indication, technique, comparison, findings, impression */

typedef struct ds_dicom_report {
    ds_buf content;              /* JSON rows; empty: no report */
    ds_buf section[DS_SECTIONS]; /* empty: none */
} ds_dicom_report;

/* Rows in the order of the tree: {"path":"1.2","relation":"CONTAINS","type":"NUM",
 * "concept":...,"code":...,"scheme":...,"value":...,"unit":...}; members that are absent are left
 * out. r is zeroed before. */
int ds_dicom_report_read(ds_dicom_report *r, const dcm_set *s, ds_err *err);
void ds_dicom_report_fini(ds_dicom_report *r);

/* Appends a line for each node: its concept, a colon, its value with its unit; two spaces a level.
 * Nothing is appended when the object has no content. */
int ds_dicom_text(const dcm_set *s, ds_buf *out, ds_err *err);

/* Cuts a text at its headings; what stands before the first goes to section `now` (-1: nowhere). */
int ds_dicom_sections_add(ds_buf section[DS_SECTIONS], int now, const char *p, size_t len);

#endif
