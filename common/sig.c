/* sig.c - see sig.h. */
#include "sig.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t came;
static bool deferred;

static void on_signal(int sig)
{
    if (came)
        _exit(128 + sig); /* asked twice: leave at once */
    came = sig;
}

void ds_sig_setup(void)
{
    static const int list[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct sigaction old;
        struct sigaction act = {.sa_handler =
                                    on_signal}; /* no SA_RESTART: a blocked read must end */
        sigemptyset(&act.sa_mask);
        /* What was ignored at the start (nohup, a background job) stays ignored. */
        if (sigaction(list[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(list[i], &act, NULL);
    }
}

void ds_sig_restart(void)
{
    static const int list[] = {SIGINT, SIGTERM, SIGHUP};

    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct sigaction act;
        if (sigaction(list[i], NULL, &act) == 0 && act.sa_handler == on_signal) {
            act.sa_flags |= SA_RESTART;
            sigaction(list[i], &act, NULL);
        }
    }
}

void ds_sig_defer(void)
{
    ds_sig_restart();
    deferred = true;
}

void ds_sig_answered(void)
{
    came = 0;
}

bool ds_interrupted(void)
{
    return came != 0 && !deferred;
}

int ds_check_interrupt(ds_err *err)
{
    return ds_interrupted() ? ds_fail(err, DS_FAIL, "interrupted") : 0;
}

void ds_sig_reraise(void)
{
    int sig = came;
    if (!sig)
        return;
    sigset_t set;
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(sig);
}
