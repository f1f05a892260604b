/* opt_help.c - see opt_help.h. */
#include "opt_help.h"

#include <string.h>

#include "utf8.h"

#define WIDTH 80
#define HELP_MAX 2048 /* bytes of one description */
#define OPT_COLUMN 26 /* where the description of an option begins */
#define WORD_MAX 64   /* longer words are not looked for among the names */

/* ---- plain text ------------------------------ */

/* Writes n bytes as words with line breaks; `at` is the column we stand at, `indent` that of the
 * lines that follow. Newlines count as blanks. Returns the column reached. */
static size_t wrap_n(FILE *f, const char *s, size_t n, size_t at, size_t indent)
{
    bool first = true;
    for (size_t i = 0; i < n;) {
        size_t len = 0;
        while (i + len < n && s[i + len] != ' ' && s[i + len] != '\n')
            len++;
        if (len == 0) {
            i++;
            continue;
        }
        size_t w = ds_utf8_count(s + i, len);
        if (!first && at + 1 + w > WIDTH) {
            fprintf(f, "\n%*s", (int)indent, "");
            at = indent;
        } else if (!first) {
            fputc(' ', f);
            at++;
        }
        fwrite(s + i, 1, len, f);
        at += w;
        i += len;
        first = false;
    }
    return at;
}

static size_t wrap(FILE *f, const char *s, size_t at, size_t indent)
{
    return wrap_n(f, s, strlen(s), at, indent);
}

/* Paragraphs are filled; lines that begin with a blank are set as they are. */
static void paragraphs(FILE *f, const char *s)
{
    while (*s) {
        size_t n = strcspn(s, "\n");
        if (n > 0 && *s != ' ') {
            while (s[n] && s[n + 1] && s[n + 1] != '\n' && s[n + 1] != ' ')
                n += 1 + strcspn(s + n + 1, "\n");
            wrap_n(f, s, n, 0, 0);
        } else {
            fwrite(s, 1, n, f);
        }
        fputc('\n', f);
        s += n;
        if (*s)
            s++;
    }
}

/* Where to break a shell line that is too long: after a "|" if there is one, else at a blank
 * outside quotes. */
static size_t shell_break(const char *s, size_t n, size_t room)
{
    size_t pipe = 0, blank = 0;
    char quote = 0;
    for (size_t i = 0; i < n && i < room; i++) {
        if (quote) {
            if (s[i] == quote)
                quote = 0;
        } else if (s[i] == '\'' || s[i] == '"') {
            quote = s[i];
        } else if (s[i] == ' ' && i > 0) {
            blank = i;
            if (s[i - 1] == '|')
                pipe = i;
        }
    }
    return pipe > room / 3 ? pipe : blank;
}

static void shell_lines(FILE *f, const char *s)
{
    while (*s) {
        size_t n = strcspn(s, "\n");
        size_t indent = 2;
        while (indent + n > WIDTH) {
            size_t at = shell_break(s, n, WIDTH - 2 - indent);
            if (at == 0)
                break;
            fprintf(f, "%*s%.*s \\\n", (int)indent, "", (int)at, s);
            s += at + 1;
            n -= at + 1;
            indent = 6;
        }
        fprintf(f, "%*s%.*s\n", (int)indent, "", (int)n, s);
        s += n;
        if (*s == '\n')
            s++;
    }
}

/* "-o, --output FILE": what stands left of an option's description. */
static void opt_left(char *out, size_t size, const ds_opt *o)
{
    char letter[8] = "    ";
    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    const char *arg = o->arg ? o->arg : o->type == DS_OPT_CHOICE ? "WORD" : "VALUE";
    snprintf(out, size, "%s--%s%s%s%s", letter, o->negatable ? "[no-]" : "", o->name,
             o->type == DS_OPT_FLAG ? "" : " ", o->type == DS_OPT_FLAG ? "" : arg);
}

/* The description, with the words that a choice allows unless it names them itself. */
static void opt_right(char *out, size_t size, const ds_opt *o)
{
    size_t n = (size_t)snprintf(out, size, "%s", o->help);
    if (o->type != DS_OPT_CHOICE || strstr(o->help, o->choices[0]))
        return;
    for (size_t i = 0; o->choices[i] && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? ", " : ": ", o->choices[i]);
}

static void help_option(FILE *f, const ds_opt *o)
{
    char left[128];
    opt_left(left, sizeof left, o);
    size_t at = (size_t)fprintf(f, "  %s", left);
    if (at + 2 > OPT_COLUMN) {
        fputc('\n', f);
        at = 0;
    }
    fprintf(f, "%*s", (int)(OPT_COLUMN - at), "");
    char right[HELP_MAX];
    opt_right(right, sizeof right, o);
    wrap(f, right, OPT_COLUMN, OPT_COLUMN);
    fputc('\n', f);
}

static const ds_opt help_opt = {
    .letter = 'h', .name = "help", .type = DS_OPT_FLAG, .help = "show this help"};

static void usage_line(FILE *f, const ds_command *cmd)
{
    size_t at = (size_t)fprintf(f, "Usage: %s %s", cmd->prog, cmd->name);
    fputc(' ', f);
    wrap(f, "[OPTION...]", at + 1, 4);
    if (cmd->operands && *cmd->operands) {
        fputc(' ', f);
        wrap(f, cmd->operands, at + 13, at + 1);
    }
    fputc('\n', f);
}

void ds_help_command(FILE *f, const ds_command *cmd, const ds_opt *opts)
{
    size_t at = (size_t)fprintf(f, "%s %s - ", cmd->prog, cmd->name);
    wrap(f, cmd->summary, at, 4);
    fputs("\n\n", f);
    if (cmd->example && *cmd->example) {
        fputs("Example:\n", f);
        shell_lines(f, cmd->example);
        fputc('\n', f);
    }
    usage_line(f, cmd);
    if (cmd->description && *cmd->description) {
        fputc('\n', f);
        paragraphs(f, cmd->description);
    }
    fputs("\nOptions:\n", f);
    const ds_opt *o = opts;
    for (; o && o->name && o->type != DS_OPT_GROUP; o++)
        help_option(f, o);
    help_option(f, &help_opt);
    for (; o && o->name; o++)
        if (o->type == DS_OPT_GROUP)
            fprintf(f, "\n%s:\n", o->name);
        else
            help_option(f, o);
}

void ds_help_usage(FILE *f, const ds_command *cmd)
{
    usage_line(f, cmd);
    if (cmd->example && *cmd->example) {
        fputs("Example:\n", f);
        shell_lines(f, cmd->example);
    }
    fprintf(f, "'%s %s -h' tells more.\n", cmd->prog, cmd->name);
}

void ds_help_words(FILE *f, const ds_opt *opts)
{
    for (const ds_opt *o = opts; o && o->name; o++) {
        if (o->type == DS_OPT_GROUP)
            continue;
        fprintf(f, "--%s\n", o->name);
        if (o->negatable)
            fprintf(f, "--no-%s\n", o->name);
    }
    fputs("--help\n", f);
}

void ds_help_program(FILE *f, const char *prog, const char *summary,
                     const ds_command *const *commands)
{
    size_t at = (size_t)fprintf(f, "%s - ", prog);
    wrap(f, summary, at, 4);
    fputs("\n\n", f);
    if (commands[0] && commands[0]->example) {
        fputs("Example:\n", f);
        shell_lines(f, commands[0]->example);
        fputc('\n', f);
    }
    fprintf(f, "Usage: %s COMMAND [OPTION...] [OPERAND...]\n\nCommands:\n", prog);
    int longest = 11;
    for (size_t i = 0; commands[i]; i++)
        longest =
            (int)strlen(commands[i]->name) > longest ? (int)strlen(commands[i]->name) : longest;
    for (size_t i = 0; commands[i]; i++) {
        at = (size_t)fprintf(f, "  %-*s ", longest, commands[i]->name);
        wrap(f, commands[i]->summary, at, at);
        fputc('\n', f);
    }
    fprintf(f,
            "\n'%s COMMAND -h' tells more of a command, '%s --version' the version;\n"
            "'%s --completion bash|zsh' prints completion.\n",
            prog, prog, prog);
}

/* ---- manual pages, man(7) ------------------------------ */

/* Escapes what roff would take for itself: backslashes, hyphens, and dots and quotes at the start
 * of a line. */
static void roff(FILE *f, const char *s, size_t n, bool line_start)
{
    for (size_t i = 0; i < n; i++) {
        if (line_start && (s[i] == '.' || s[i] == '\''))
            fputs("\\&", f);
        line_start = s[i] == '\n';
        if (s[i] == '\\')
            fputs("\\e", f);
        else if (s[i] == '-')
            fputs("\\-", f);
        else
            fputc(s[i], f);
    }
}

static void roff_str(FILE *f, const char *s)
{
    roff(f, s, strlen(s), true);
}

/* Paragraphs are parted by blank lines; indented lines are set as they are. */
static void roff_text(FILE *f, const char *s)
{
    bool verbatim = false, begun = false;
    while (*s) {
        size_t n = strcspn(s, "\n");
        bool indented = n > 0 && *s == ' ';
        if (verbatim && !indented)
            fputs(".fi\n", f);
        else if (!verbatim && indented)
            fputs(".nf\n", f);
        verbatim = indented;
        if (n == 0 && begun) {
            while (s[n + 1] == '\n')
                s++;
            fputs(s[1] ? ".PP\n" : "", f);
        } else if (n > 0) {
            roff(f, s, n, true);
            fputc('\n', f);
            begun = true;
        }
        s += n;
        if (*s == '\n')
            s++;
    }
    if (verbatim)
        fputs(".fi\n", f);
}

static void roff_head(FILE *f, const char *prog, const char *name, const char *summary)
{
    fputs(".TH \"", f);
    for (const char *s = prog; *s; s++)
        fputc(*s >= 'a' && *s <= 'z' ? *s - 32 : *s, f);
    if (name)
        fputs("\\-", f);
    for (const char *s = name ? name : ""; *s; s++)
        if (*s == '-')
            fputs("\\-", f);
        else
            fputc(*s >= 'a' && *s <= 'z' ? *s - 32 : *s, f);
    fprintf(f, "\" 1 \"\" \"%s %s\"\n.SH NAME\n%s", prog, DS_VERSION, prog);
    if (name) {
        fputs("\\-", f);
        roff_str(f, name);
    }
    fputs(" \\- ", f);
    roff(f, summary, strlen(summary), false);
    fputc('\n', f);
}

static void roff_example(FILE *f, const char *example)
{
    if (!example || !*example)
        return;
    fputs(".SH EXAMPLE\n.nf\n", f);
    roff_str(f, example);
    fputs("\n.fi\n", f);
}

static void roff_option(FILE *f, const ds_opt *o)
{
    fputs(".TP\n", f);
    if (o->letter)
        fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", f);
    if (o->negatable)
        fputs("[no\\-]", f);
    roff(f, o->name, strlen(o->name), false);
    fputs("\\fR", f);
    if (o->type != DS_OPT_FLAG) {
        const char *arg = o->arg ? o->arg : o->type == DS_OPT_CHOICE ? "WORD" : "VALUE";
        fputs(" \\fI", f);
        roff(f, arg, strlen(arg), false);
        fputs("\\fR", f);
    }
    fputc('\n', f);
    char right[HELP_MAX];
    opt_right(right, sizeof right, o);
    roff_str(f, right);
    fputc('\n', f);
}

static void roff_rows(FILE *f, const char *const (*rows)[2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(f, ".TP\n%s\n%s\n", rows[i][0], rows[i][1]);
}

/* What all programs go by; what one command alone does, its description tells. */
static void roff_environment(FILE *f)
{
    static const char *const rows[][2] = {
        {"DSVER_STORE", "the store of commands that use one, or the folder that holds it, where "
                        "\\-\\-store is not given; without either it is the nearest one in the "
                        "current folder or above"},
        {"TMPDIR", "where temporary files go; /tmp when it is not set"},
        {"NO_COLOR, TERM", "no colour when NO_COLOR is set, or TERM is dumb"},
    };
    fputs(".SH ENVIRONMENT\n", f);
    roff_rows(f, rows, sizeof rows / sizeof *rows);
}

static void roff_status(FILE *f)
{
    static const char *const rows[][2] = {
        {"0", "all went well"},
        {"1", "failed, or the answer is no"},
        {"2", "the command line is wrong"},
        {"3", "done, but some input was skipped or quarantined"},
        {"10", "there is no store where one is needed"},
        {"11", "somebody else holds the lock"},
        {"12", "data are not what they were when written"},
        {"13", "the system refused to read or write, or there is no room"},
        {"128+N", "signal N ended it, as a shell tells it: 130 for an interrupt"},
    };
    fputs(".SH EXIT STATUS\n", f);
    roff_rows(f, rows, sizeof rows / sizeof *rows);
}

void ds_help_man(FILE *f, const ds_command *cmd, const ds_opt *opts)
{
    roff_head(f, cmd->prog, cmd->name, cmd->summary);
    fprintf(f, ".SH SYNOPSIS\n\\fB%s ", cmd->prog);
    roff(f, cmd->name, strlen(cmd->name), false);
    fputs("\\fR [\\fIOPTION\\fR...]", f);
    if (cmd->operands && *cmd->operands) {
        fputc(' ', f);
        roff(f, cmd->operands, strlen(cmd->operands), false);
    }
    fputc('\n', f);
    roff_example(f, cmd->example);
    fputs(".SH DESCRIPTION\n", f);
    roff_text(f, cmd->description && *cmd->description ? cmd->description : cmd->summary);
    fputs(".SH OPTIONS\n", f);
    const ds_opt *o = opts;
    for (; o && o->name && o->type != DS_OPT_GROUP; o++)
        roff_option(f, o);
    roff_option(f, &help_opt);
    for (; o && o->name; o++)
        if (o->type == DS_OPT_GROUP)
            fprintf(f, ".SS %s\n", o->name);
        else
            roff_option(f, o);
    roff_environment(f);
    roff_status(f);
    fprintf(f, ".SH SEE ALSO\n.BR %s (1)\n", cmd->prog);
}

void ds_help_program_man(FILE *f, const char *prog, const char *summary,
                         const ds_command *const *commands)
{
    roff_head(f, prog, NULL, summary);
    fprintf(f,
            ".SH SYNOPSIS\n\\fB%s\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...] [\\fIOPERAND\\fR...]\n",
            prog);
    if (commands[0])
        roff_example(f, commands[0]->example);
    fputs(".SH DESCRIPTION\n", f);
    roff_str(f, summary);
    fputs("\n.SH COMMANDS\n", f);
    for (size_t i = 0; commands[i]; i++) {
        fputs(".TP\n\\fB", f);
        roff(f, commands[i]->name, strlen(commands[i]->name), false);
        fputs("\\fR\n", f);
        roff_str(f, commands[i]->summary);
        fputc('\n', f);
    }
    roff_environment(f);
    roff_status(f);
    if (!commands[0])
        return;
    fputs(".SH SEE ALSO\n", f);
    for (size_t i = 0; commands[i]; i++) {
        fprintf(f, ".BR %s\\-", prog);
        roff(f, commands[i]->name, strlen(commands[i]->name), false);
        fprintf(f, " (1)%s\n", commands[i + 1] ? "," : "");
    }
}

/* ---- completion ------------------------------ */

static void command_words(FILE *f, const ds_command *const *commands)
{
    for (size_t i = 0; commands[i]; i++)
        fprintf(f, "%s%s", i ? " " : "", commands[i]->name);
}

bool ds_help_completion(FILE *f, const char *prog, const ds_command *const *commands,
                        const char *shell)
{
    if (strcmp(shell, "bash") == 0) {
        fprintf(f,
                "# bash completion for %s\n"
                "_%s() {\n"
                "    local cur=${COMP_WORDS[COMP_CWORD]}\n"
                "    COMPREPLY=()\n"
                "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                "        COMPREPLY=($(compgen -W '",
                prog, prog);
        command_words(f, commands);
        fprintf(f,
                " --help --version' -- \"$cur\"))\n"
                "    elif [[ $cur == -* ]]; then\n"
                "        COMPREPLY=($(compgen -W \\\n"
                "            \"$(\"${COMP_WORDS[0]}\" \"${COMP_WORDS[1]}\" --completion-words "
                "2>/dev/null)\" -- \"$cur\"))\n"
                "    fi\n"
                "}\n"
                "complete -o default -F _%s %s\n",
                prog, prog);
        return true;
    }
    if (strcmp(shell, "zsh") == 0) {
        fprintf(f,
                "#compdef %s\n"
                "_%s() {\n"
                "    if (( CURRENT == 2 )); then\n"
                "        compadd -- ",
                prog, prog);
        command_words(f, commands);
        fprintf(f,
                " --help --version\n"
                "    elif [[ $words[CURRENT] == -* ]]; then\n"
                "        compadd -- ${(f)\"$($words[1] $words[2] --completion-words "
                "2>/dev/null)\"}\n"
                "    else\n"
                "        _files\n"
                "    fi\n"
                "}\n"
                "_%s \"$@\"\n",
                prog);
        return true;
    }
    return false;
}

/* ---- did you mean ------------------------------ */

/* Edits (insert, delete, replace, swap of neighbours) from a to b; both shorter than WORD_MAX. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[3][WORD_MAX + 1];
    size_t n = strlen(a), m = strlen(b);
    for (size_t j = 0; j <= m; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned d = up[j - 1] + (a[i - 1] != b[j - 1]);
            if (up[j] + 1 < d)
                d = up[j] + 1;
            if (now[j - 1] + 1 < d)
                d = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                up2[j - 2] + 1 < d)
                d = up2[j - 2] + 1;
            now[j] = d;
        }
    }
    return row[n % 3][m];
}

const char *ds_help_nearest(const char *word, const char *const *words, size_t n)
{
    const char *best = NULL;
    unsigned best_d = 3;
    size_t len = strlen(word);
    for (size_t i = 0; i < n && len > 0 && len < WORD_MAX; i++) {
        size_t m = strlen(words[i]);
        if (m >= WORD_MAX)
            continue;
        unsigned d = distance(word, words[i]);
        if (d < best_d && d < m && d < len) { /* two edits make any two-letter word of any other */
            best = words[i];
            best_d = d;
        }
    }
    return best;
}
