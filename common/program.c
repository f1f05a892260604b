/* program.c - main() of a program made of commands; see opt.h. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "opt.h"
#include "opt_help.h"
#include "sig.h"
#include "term.h"

#define COMMANDS_MAX 128

/* Libraries that some programs link and others do not: absent ones have no address. */
extern const char *archive_version_string(void) __attribute__((weak));
extern const char *sqlite3_libversion(void) __attribute__((weak));
extern int git_libgit2_version(int *major, int *minor, int *rev) __attribute__((weak));

/* A file opened later must not become standard output. What was closed is opened so that writing to
 * it fails. */
static void fill_std_fds(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        if (open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY) != fd)
            return;
    }
}

static void print_version(const char *prog)
{
    unsigned x = XXH_versionNumber();
    printf("%s %s\n", prog, DS_VERSION);
#if defined(__clang__)
    printf("compiler: clang %d.%d.%d\n", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
    printf("compiler: gcc %d.%d.%d\n", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
    printf("libraries: zstd %s, xxhash %u.%u.%u, jansson %s, %s", ZSTD_versionString(), x / 10000,
           x / 100 % 100, x % 100, jansson_version_str(), OpenSSL_version(OPENSSL_VERSION));
    if (git_libgit2_version) {
        int a = 0, b = 0, c = 0;
        git_libgit2_version(&a, &b, &c);
        printf(", libgit2 %d.%d.%d", a, b, c);
    }
    if (sqlite3_libversion)
        printf(", sqlite %s", sqlite3_libversion());
    if (archive_version_string)
        printf(", %s", archive_version_string());
    putchar('\n');
}

/* Standard output may have failed at any time: nothing was written unless this says so. */
static int close_stdout(const char *prog, int status)
{
    bool bad = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) != 0)
        bad = true;
    if (!bad)
        return status;
    fprintf(stderr, "%s: standard output: %s\n", prog, strerror(errno ? errno : EIO));
    return status ? status : ds_exit_code(DS_IO);
}

static const ds_command *find(const ds_command *const *commands, const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int unknown(const char *prog, const ds_command *const *commands, const char *word)
{
    const char *names[COMMANDS_MAX];
    size_t n = 0;
    for (size_t i = 0; commands[i] && n < COMMANDS_MAX; i++)
        names[n++] = commands[i]->name;
    const char *near = ds_help_nearest(word, names, n);
    const char *what = *word == '-' ? "option" : "command";
    if (near)
        ds_warn("unknown %s '%s'; did you mean '%s'?", what, word, near);
    else
        ds_warn("unknown %s '%s'; '%s -h' lists the commands", what, word, prog);
    return 2;
}

/* The words that are no command. Returns the exit status, or -1 when it is none of them. */
static int builtin(const char *prog, const char *summary, const ds_command *const *commands,
                   int argc, char **argv)
{
    const char *word = argv[1];
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0 ||
        (strcmp(word, "help") == 0 && argc == 2)) {
        ds_help_program(stdout, prog, summary, commands);
    } else if (strcmp(word, "--version") == 0) {
        print_version(prog);
    } else if (strcmp(word, "--man") == 0) {
        ds_help_program_man(stdout, prog, summary, commands);
    } else if (strcmp(word, "--list-commands") == 0) {
        for (size_t i = 0; commands[i]; i++)
            printf("%s\n", commands[i]->name);
    } else if (strcmp(word, "--completion") == 0) {
        if (argc != 3 || !ds_help_completion(stdout, prog, commands, argv[2])) {
            ds_warn("--completion: give bash or zsh");
            return 2;
        }
    } else {
        return -1;
    }
    return 0;
}

static int run(const char *prog, const char *summary, const ds_command *const *commands, int argc,
               char **argv)
{
    char help[] = "-h";
    char *help_argv[] = {NULL, help, NULL};
    if (argc < 2) {
        ds_help_program(stderr, prog, summary, commands);
        return 2;
    }
    int status = builtin(prog, summary, commands, argc, argv);
    if (status >= 0)
        return status;
    bool want_help = strcmp(argv[1], "help") == 0 && !find(commands, "help");
    const char *word = want_help ? argv[2] : argv[1];
    const ds_command *cmd = find(commands, word);
    if (!cmd)
        return unknown(prog, commands, word);
    if (want_help) {
        help_argv[0] = argv[2];
        return cmd->run(2, help_argv);
    }
    return cmd->run(argc - 1, argv + 1);
}

int ds_program_main(const char *prog, const char *summary, const ds_command *const *commands,
                    int argc, char **argv)
{
    fill_std_fds();
    signal(SIGPIPE, SIG_DFL);
    ds_term_prog(prog);
    int status = run(prog, summary, commands, argc, argv);
    status = close_stdout(prog, status);
    ds_sig_reraise();
    return status;
}

int ds_program_single(const ds_command *cmd, int argc, char **argv)
{
    int status = 0;
    fill_std_fds();
    signal(SIGPIPE, SIG_DFL);
    ds_term_prog(cmd->prog);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        print_version(cmd->prog);
    else if (argc != 2 || strcmp(argv[1], "--list-commands") != 0) /* it has none */
        status = cmd->run(argc, argv);
    status = close_stdout(cmd->prog, status);
    ds_sig_reraise();
    return status;
}
