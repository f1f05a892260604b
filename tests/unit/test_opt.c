/* Option tables: what is parsed, what is refused and with which words, what is printed. */
#include "unit.h"

#include <stdio.h>

#include "opt.h"
#include "opt_help.h"

static bool force, verbose;
static const char *output;
static int64_t threads, size;
static double rate;
static int mode;
static ds_opt_list names;
static const char *const modes[] = {"fail", "skip", "quarantine", NULL};

static const ds_opt table[] = {
    OPT_SWITCH('f', "force", force, "overwrite"),
    OPT_FLAG('v', "verbose", verbose, "say more"),
    OPT_STR('o', "output", output, "FILE", "write to FILE, not to standard output"),
    OPT_INT('t', "threads", threads, "N", 1, 64, "use N threads"),
    OPT_HEADING("Sizes"),
    OPT_SIZE(0, "size", size, "SIZE", "size of a block"),
    OPT_REAL(0, "rate", rate, "R", "sample at this rate"),
    OPT_CHOICE(0, "on-error", mode, "WHAT", modes,
               "what to do with records that cannot be read, of which there are very many in this "
               "sentence"),
    OPT_LIST('n', "name", names, "NAME", "take NAME; may be repeated"),
    OPT_END,
};

static const ds_command cmd = {
    .prog = "prog",
    .name = "do",
    .summary = "does a thing to files",
    .operands = "FILE [FILE...]",
    .min_operands = 1,
    .max_operands = 3,
    .example = "prog do --force one.txt two.txt three.txt | prog then --with 'a quoted pattern' "
               "--and-more | wc -l",
    .description =
        "First paragraph with a -dash and a \\ in it, long enough that it has to be wrapped at the "
        "edge.\n\n.Second paragraph, which begins\nwith a dot. And\ngoes on.\n  verbatim   line",
};

static char **operands;
static int n_operands;
static ds_err err;

static int parse(int argc, ...)
{
    static char words[16][100];
    static char *argv[17];
    va_list ap;
    va_start(ap, argc);
    for (int i = 0; i < argc; i++) {
        snprintf(words[i], sizeof words[i], "%s", va_arg(ap, const char *));
        argv[i] = words[i];
    }
    va_end(ap);
    argv[argc] = NULL;
    force = verbose = false;
    output = NULL;
    threads = size = mode = 0;
    rate = 0;
    ds_opt_list_fini(&names);
    ds_err_clear(&err);
    return ds_opt_parse(&cmd, table, argc, argv, &operands, &n_operands, &err);
}

static void values(void **state)
{
    (void)state;
    assert_int_equal(parse(9, "do", "-f", "--output=o.txt", "--threads", "8", "--size", "64K",
                           "--rate=0.25", "x"),
                     0);
    assert_true(force && !verbose);
    assert_string_equal(output, "o.txt");
    assert_true(threads == 8 && size == 65536 && rate == 0.25);
    assert_int_equal(n_operands, 1);
    assert_string_equal(operands[0], "x");
    assert_int_equal(parse(4, "do", "-fvoq.txt", "-t3", "x"), 0);
    assert_true(force && verbose && threads == 3);
    assert_string_equal(output, "q.txt");
    assert_int_equal(parse(4, "do", "--force", "--no-force", "x"), 0);
    assert_false(force);
    assert_int_equal(parse(4, "do", "--on-error", "quarantine", "x"), 0);
    assert_int_equal(mode, 2);
    assert_int_equal(parse(6, "do", "-n", "a", "--name=b", "x", "-nc"), 0);
    assert_int_equal(names.n, 3);
    assert_string_equal(names.v[0], "a");
    assert_string_equal(names.v[2], "c");
    ds_opt_list_fini(&names);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } good[] = {{"0", 0},
                {"7", 7},
                {"1k", 1024},
                {"4M", 4 << 20},
                {"2GiB", INT64_C(2) << 30},
                {"1TB", INT64_C(1) << 40}};
    static const char *const bad[] = {
        "", "x", "-1", "1Q", "1KK", " 1", "1.5M", "9999999999T", "99999999999999999999"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(parse(4, "do", "--size", good[i].text, "x"), 0);
        assert_true(size == good[i].want);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(4, "do", "--size", bad[i], "x"), DS_USAGE);
}

static void operands_anywhere(void **state)
{
    (void)state;
    assert_int_equal(parse(7, "do", "a", "-f", "-", "--", "-f", "--"),
                     DS_USAGE); /* four operands */
    assert_string_equal(err.msg, "one operand too many: '--'");
    assert_int_equal(parse(6, "do", "a", "-f", "-", "--", "-v"), 0);
    assert_int_equal(n_operands, 3);
    assert_string_equal(operands[0], "a");
    assert_string_equal(operands[1], "-");
    assert_string_equal(operands[2], "-v");
    assert_true(force && !verbose);
    assert_int_equal(parse(2, "do", "-f"), DS_USAGE);
    assert_string_equal(err.msg, "no operands: give FILE [FILE...]");
}

static void refused(const char *word, const char *words)
{
    assert_int_equal(parse(3, "do", "x", word), DS_USAGE);
    assert_string_equal(err.msg, words);
}

static void wrong_lines(void **state)
{
    (void)state;
    refused("--ouptut=3", "unknown option --ouptut; did you mean --output?");
    refused("--no-forze", "unknown option --no-forze; did you mean --force?");
    refused("--entirely-other", "unknown option --entirely-other");
    refused("--force=yes", "--force takes no value");
    refused("--no-force=yes", "--no-force takes no value");
    refused("--no-verbose", "--verbose has no opposite");
    refused("-x", "unknown option -x");
    refused("-fx", "unknown option -x");
    refused("-o", "-o needs a value: FILE");
    refused("--output", "--output needs a value: FILE");
    refused("--threads=0", "--threads: '0' is not a whole number from 1 to 64");
    refused("-t65", "-t: '65' is not a whole number from 1 to 64");
    refused("-t8x", "-t: '8x' is not a whole number from 1 to 64");
    refused("--rate=nan", "--rate: 'nan' is not a number");
    refused("--rate=1x", "--rate: '1x' is not a number");
    refused("--on-error=skpi",
            "--on-error: 'skpi' is none of fail, skip, quarantine; did you mean 'skip'?");
    refused("--on-error=", "--on-error: '' is none of fail, skip, quarantine");
}

/* What `print` writes; the caller frees. */
static char *printed(void (*print)(FILE *))
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    print(f);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void print_help(FILE *f)
{
    ds_help_command(f, &cmd, table);
}
static void print_usage(FILE *f)
{
    ds_help_usage(f, &cmd);
}
static void print_man(FILE *f)
{
    ds_help_man(f, &cmd, table);
}
static void print_words(FILE *f)
{
    ds_help_words(f, table);
}

static void narrow(const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (n > 80)
            fail_msg("%zu columns: %.*s", n, (int)n, text);
        assert_true(n == 0 || text[n - 1] != ' ');
        text += n + (text[n] == '\n');
    }
}

static void help(void **state)
{
    (void)state;
    char *h = printed(print_help), *u = printed(print_usage);
    narrow(h);
    narrow(u);
    const char *example = strstr(h, "prog do --force one.txt"),
               *usage = strstr(h, "Usage: prog do");
    assert_non_null(example);
    assert_non_null(usage);
    assert_true(example < usage); /* an example first */
    assert_non_null(strstr(h, "-f, --[no-]force"));
    assert_non_null(strstr(h, "-o, --output FILE"));
    assert_non_null(strstr(h, "    --on-error WHAT"));
    assert_non_null(strstr(h, ": fail, skip,\n                          quarantine\n"));
    assert_non_null(strstr(h, "\n  verbatim   line\n"));
    assert_non_null(strstr(h, "with a dot. And goes on.\n"));
    assert_non_null(strstr(h, "-h, --help"));
    const char *group = strstr(h, "\n\nSizes:\n      --size SIZE");
    assert_non_null(group);
    assert_true(strstr(h, "-h, --help") < group);
    assert_non_null(strstr(h, "| \\\n"));
    assert_non_null(strstr(u, "Usage: prog do [OPTION...] FILE [FILE...]\n"));
    free(h);
    free(u);
}

static void manual(void **state)
{
    (void)state;
    char *m = printed(print_man), *w = printed(print_words);
    assert_memory_equal(m, ".TH \"PROG\\-DO\" 1", 16);
    assert_non_null(strstr(m, "\n.SH NAME\nprog\\-do \\- does a thing to files\n"));
    assert_non_null(strstr(m, "a \\-dash and a \\e in it"));
    assert_non_null(strstr(m, "\n.PP\n\\&.Second paragraph"));
    assert_non_null(strstr(m, ".TP\n\\fB\\-f\\fR, \\fB\\-\\-[no\\-]force\\fR\noverwrite\n"));
    assert_non_null(strstr(m, "\n.SS Sizes\n.TP\n\\fB\\-\\-size\\fR"));
    assert_string_equal(w, "--force\n--no-force\n--verbose\n--output\n--threads\n--size\n--rate\n"
                           "--on-error\n--name\n--help\n");
    free(m);
    free(w);
}

static void nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"cat", "text", "tokenize", "head", "info"};
    assert_string_equal(ds_help_nearest("txet", words, 5), "text");
    assert_string_equal(ds_help_nearest("tokenise", words, 5), "tokenize");
    assert_string_equal(ds_help_nearest("haed", words, 5), "head");
    assert_null(ds_help_nearest("xx", words, 5));
    assert_null(ds_help_nearest("", words, 5));
    assert_null(ds_help_nearest("completely", words, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),      cmocka_unit_test(sizes), cmocka_unit_test(operands_anywhere),
        cmocka_unit_test(wrong_lines), cmocka_unit_test(help),  cmocka_unit_test(manual),
        cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
