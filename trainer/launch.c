/* launch.c - see launch.h. */
#include "launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "try.h"

#define TIMEOUT 300
#define PATIENCE 1800    /* a checkpoint on a slow disk takes its time */
#define PORT_FIRST 15000 /* of Slurm's jobs */
#define PORTS 15000      /* below those that systems give to connections */

static const char *said(const char *name)
{
    const char *v = getenv(name);

    return v && *v ? v : NULL;
}

static int number(int *out, const char *name, int least, int most, ds_err *err)
{
    const char *v = said(name);
    char *end;

    if (!v)
        return 0;
    errno = 0;
    const long n = strtol(v, &end, 10);
    if (*end || errno || n < least || n > most)
        return ds_fail(err, DS_USAGE, "%s=%s: not a number from %d to %d", name, v, least, most);
    *out = (int)n;
    return 0;
}

/* How a launcher names these things; NULL: not at all. */
typedef struct naming {
    const char *size, *rank, *local;
} naming;

static const naming TORCH = {"WORLD_SIZE", "RANK", "LOCAL_RANK"},
                    OPEN_MPI = {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK",
                                "OMPI_COMM_WORLD_LOCAL_RANK"},
                    PMI = {"PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID"},
                    SLURM = {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID"};

static const naming *launcher(void)
{
    if (said("RANK") && said("WORLD_SIZE") && said("MASTER_ADDR"))
        return &TORCH;
    return said(OPEN_MPI.size) ? &OPEN_MPI
           : said(PMI.size)    ? &PMI
           : said(SLURM.size)  ? &SLURM
                               : &TORCH;
}

int ds_launch_first_node(char out[256], const char *list, ds_err *err)
{
    const char *p = list;
    size_t n = 0, len;
    bool good = *p && *p != ',';

    for (; good && *p && *p != ','; n += len) {
        const bool range = *p == '[';
        const char *end = range ? strchr(p, ']') : p + strcspn(p, ",[");
        len = range ? strspn(++p, "0123456789") : (size_t)(end - p);
        good = end && len && n + len < 256;
        if (good) {
            memcpy(out + n, p, len);
            p = end + range;
        }
    }
    if (!good)
        return ds_fail(err, DS_FAIL, "a list of nodes without a first one: '%.200s'", list);
    out[n] = '\0';
    return 0;
}

/* The same in all processes of a step, and seldom that of another one on the node. */
static int slurm_port(void)
{
    const char *job = said("SLURM_JOB_ID"), *step = said("SLURM_STEP_ID");
    const unsigned long j = job ? strtoul(job, NULL, 10) : 0,
                        s = step ? strtoul(step, NULL, 10) : 0;

    return PORT_FIRST + (int)((j * 7 + s) % PORTS);
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "::1") == 0;
}

/* torchrun's own store has MASTER_PORT where it says so; what is next is free then. */
static int port_of(ds_launch *l, bool slurm, ds_err *err)
{
    const char *store = said("TORCHELASTIC_USE_AGENT_STORE");

    l->port = slurm ? slurm_port() : 0;
    TRY(number(&l->port, "MASTER_PORT", 1, 65534, err));
    if (l->port && store && strcmp(store, "True") == 0)
        l->port++;
    return number(&l->port, "DS_RANKS_PORT", 1, 65535, err);
}

static int place(ds_launch *l, bool slurm, ds_err *err)
{
    const char *host = said("MASTER_ADDR"), *list = said("SLURM_STEP_NODELIST");
    int machines = 0, on_this = 0;

    list = list ? list : said("SLURM_JOB_NODELIST");
    if (host) {
        if (snprintf(l->host, sizeof l->host, "%s", host) >= (int)sizeof l->host)
            return ds_fail(err, DS_USAGE, "MASTER_ADDR is longer than any name of a machine");
    } else if (slurm && list) {
        TRY(ds_launch_first_node(l->host, list, err));
    }
    TRY(port_of(l, slurm, err));
    l->tcp = l->host[0] && l->port;
    TRY(number(&on_this, "LOCAL_WORLD_SIZE", 1, DS_LAUNCH_MOST, err));
    if (slurm)
        TRY(number(&machines, "SLURM_STEP_NUM_NODES", 1, DS_LAUNCH_MOST, err));
    l->here = on_this == l->size || machines == 1 || is_loopback(l->host);
    return 0;
}

static int by_what(ds_launch *l, const naming *names, ds_err *err)
{
    const char *by = said("DS_RANKS");

    l->mpi = names == &OPEN_MPI || names == &PMI || (names == &SLURM && said("PMIX_RANK"));
    if (!by)
        return 0;
    if (strcmp(by, "mpi") != 0 && strcmp(by, "tcp") != 0)
        return ds_fail(err, DS_USAGE, "DS_RANKS=%s: mpi or tcp", by);
    l->mpi = by[0] == 'm';
    l->tcp = l->tcp && by[0] == 't';
    return 0;
}

static void name_run(ds_launch *l)
{
    static const char *const names[] = {"DS_RANKS_TOKEN", "TORCHELASTIC_RUN_ID",
                                        "TORCHELASTIC_RESTART_COUNT", "SLURM_JOB_ID",
                                        "SLURM_STEP_ID"};
    size_t n = 0;

    for (size_t i = 0; i < sizeof names / sizeof *names && n < sizeof l->run; i++) {
        const char *v = said(names[i]);
        n += (size_t)snprintf(l->run + n, sizeof l->run - n, "%s\n", v ? v : "");
    }
}

/* Who runs alone is not called the second of anything: several that take themselves for the only
 * one would write the same run. */
static int alone(const naming *names, ds_err *err)
{
    const char *rank = said(names->rank), *size = said(names->size);

    if (!rank || strspn(rank, "0123456789") != strlen(rank) || strspn(rank, "0") == strlen(rank))
        return 0;
    return size ? ds_fail(err, DS_USAGE, "%s=%s: not a number below %s=%s", names->rank, rank,
                          names->size, size)
                : ds_fail(err, DS_USAGE, "%s=%s, and %s does not say of how many processes",
                          names->rank, rank, names->size);
}

int ds_launch_read(ds_launch *l, ds_err *err)
{
    const naming *names = launcher();

    *l = (ds_launch){.size = 1, .local = -1, .timeout = TIMEOUT, .patience = PATIENCE};
    TRY(number(&l->size, names->size, 1, DS_LAUNCH_MOST, err));
    if (l->size == 1)
        return alone(names, err);
    l->rank = -1;
    TRY(number(&l->rank, names->rank, 0, l->size - 1, err));
    TRY(number(&l->local, names->local, 0, l->size - 1, err));
    TRY(number(&l->timeout, "DS_RANKS_TIMEOUT", 1, 86400, err));
    TRY(number(&l->patience, "DS_RANKS_WAIT", 1, 604800, err));
    TRY(place(l, names == &SLURM, err));
    TRY(by_what(l, names, err));
    name_run(l);
    if (l->rank < 0 && !l->mpi)
        return ds_fail(err, DS_USAGE,
                       "%s=%d: so many processes were launched, and %s does not say which this is",
                       names->size, l->size, names->rank);
    return 0;
}
