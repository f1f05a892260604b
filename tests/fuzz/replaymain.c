/* replaymain.c - main() for a fuzz target without libFuzzer: runs it over every file named, and
 * over every file in every folder named, in the order of their names. A folder that is absent
 * counts as empty; the empty input is always tried. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) != 0) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return -1;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *data = malloc(size ? size : 1);
    int rc = -1;
    if (data && fread(data, 1, size, f) == size) {
        printf("# %s\n", path);
        fflush(stdout); /* so that a crash names its input */
        LLVMFuzzerTestOneInput(data, size);
        rc = 0;
    }
    free(data);
    fclose(f);
    return rc;
}

static int replay_dir(const char *path)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);
    int rc = n < 0 && errno != ENOENT ? -1 : 0;
    for (int i = 0; i < n; i++) {
        char file[4096];
        int len = snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && (len >= (int)sizeof file || replay_file(file) != 0))
            rc = -1;
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    return rc;
}

int main(int argc, char **argv)
{
    static const uint8_t nothing[1];
    int rc = LLVMFuzzerTestOneInput(nothing, 0);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        int is_file = stat(argv[i], &st) == 0 && S_ISREG(st.st_mode);
        if ((is_file ? replay_file(argv[i]) : replay_dir(argv[i])) != 0)
            rc = 1;
    }
    return rc ? 1 : 0;
}
