/* cmd_dicom.c - dsprep dicom: studies into de-identified records. */
#include <stdio.h>

#include "opt.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_dicom;
const ds_command ds_cmd_dicom = {
    .prog = "dsprep",
    .name = "dicom",
    .summary = "studies into de-identified records of images",
    .operands = "INPUT...",
    .min_operands = 1,
    .max_operands = -1,
    .example = "dsprep dicom --deid basic --key-file site.key study.zip | dsprep head",
    .description = "Reads DICOM files.",
    .run = run,
};

static int run(int argc, char **argv)
{
    const ds_opt opts[] = {{0}};
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_dicom, opts, argc, argv, &operands, &n);
    return rc >= 0 ? rc : 1;
}
