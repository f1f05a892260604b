/* cmd_main.c - dsprep-dicom: what `dsprep dicom` starts. */
#include "opt.h"

extern const ds_command ds_cmd_dicom;

int main(int argc, char **argv)
{
    return ds_program_single(&ds_cmd_dicom, argc, argv);
}
