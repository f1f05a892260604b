/* cmd_dicom.c - dsprep dicom: hands over to dsprep-dicom, which is a program of its own so that no
 * other command loads the libraries that parse DICOM. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "opt.h"
#include "term.h"

#define PART "dsprep-dicom"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_dicom;
const ds_command ds_cmd_dicom = {
    .prog = "dsprep",
    .name = "dicom",
    .summary = "studies into de-identified records of images",
    .run = run,
};

/* The one beside this program comes first: an uninstalled build uses its own. */
static int run(int argc, char **argv)
{
    char path[4096];
    (void)argc;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof PART - 1);
    char *end = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    if (end) {
        memcpy(end + 1, PART, sizeof PART);
        execv(path, argv);
    }
    execvp(PART, argv);
    ds_warn("dicom: cannot start " PART ": %s", strerror(errno));
    return ds_exit_code(DS_FAIL);
}
