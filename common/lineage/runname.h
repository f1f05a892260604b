/* runname.h - what the files and folders of a run are called (docs/lineage-format.md).
 *
 * Every name has one spelling: _parse takes what _name writes, and nothing else. A number too large
 * for the digits shown here has more of them; from there on names no longer sort as numbers do.
 */
#ifndef DS_RUNNAME_H
#define DS_RUNNAME_H

#include <stdbool.h>
#include <stdint.h>

/* The folder of a checkpoint: "step-000300" */
void ds_checkpoint_name(char out[32], uint64_t step);
bool ds_checkpoint_parse_name(const char *name, uint64_t *step);
/* A segment of the ledger, from its first step to its last: "ledger-000001-000300.dsr" */
void ds_ledger_name(char out[48], uint64_t first, uint64_t last);
bool ds_ledger_parse_name(const char *name, uint64_t *first, uint64_t *last);
/* A folder of segments that were abandoned after step `from`; they are numbered from 1:
 * "0001-from-000010" */
void ds_stretch_name(char out[48], uint64_t number, uint64_t from);
bool ds_stretch_parse_name(const char *name, uint64_t *number, uint64_t *from);

#endif
