/* steprules.c - see steprules.h. */
#include "steprules.h"

#include <stddef.h>
#include <string.h>

#define INTAKE                                                                                     \
    {"encoding", RULE_TEXT, "encoding"}, {"format", RULE_TEXT, "format"},                          \
        {"on_error", RULE_ON_ERROR, "on-error"}, {"max_record", RULE_NUMBER, "max-record"},        \
        {"max_depth", RULE_NUMBER, "max-depth"}, {"max_ratio", RULE_TEXT, "max-ratio"},            \
        {"delimiter", RULE_TEXT, "delimiter"},                                                     \
    {                                                                                              \
        "max_unpacked", RULE_NUMBER, "max-unpacked"                                                \
    }

static const ds_steprule text_rules[] = {
    INTAKE,
    {"keys", RULE_TEXT, "keys"},
    {"meta", RULE_IF_NOT, "no-meta"},
    {"field", RULE_TEXT, "field"},
    {"json_text", RULE_IF_SET, "json-text"},
    {"key_field", RULE_TEXT, "key-field"},
    {"split", RULE_TEXT, "split"},
    {0},
};
static const ds_steprule logs_rules[] = {
    INTAKE,
    {"join", RULE_TEXT, "join"},
    {"timezone", RULE_TEXT, "timezone"},
    {"timezone_data", RULE_SAID, NULL},
    {"year_policy", RULE_SAID, NULL},
    {"year", RULE_NUMBER, "year"},
    {"line", RULE_IF_SET, "line"},
    {"pattern", RULE_TEXT, "pattern"},
    {"records_at", RULE_TEXT, "records-at"},
    {0},
};
static const ds_steprule dicom_rules[] = {
    {"deid", RULE_TEXT, "deid"},
    {"record", RULE_TEXT, "record"},
    {"values", RULE_TEXT, "values"},
    {"burned_in", RULE_TEXT, "burned-in"},
    {"on_found", RULE_TEXT, "on-found"},
    {"dtype", RULE_TEXT, "dtype"},
    {"real_world", RULE_IF_SET, "real-world"},
    {"window", RULE_TEXT, "window"},
    {"resize", RULE_TEXT, "resize"},
    {"patches", RULE_NUMBER, "patches"},
    {"placeholder", RULE_TEXT, "placeholder"},
    {"encoding", RULE_TEXT, "encoding"},
    {0},
};
static const ds_steprule files_rules[] = {
    {"as_is", RULE_IF_SET, "as-is"},
    {"mtime", RULE_IF_SET, "mtime"},
    {"on_error", RULE_ON_ERROR, "on-error"},
    {"max_ratio", RULE_TEXT, "max-ratio"},
    {0},
};
static const ds_steprule import_rules[] = {
    {"format", RULE_TEXT, "format"},
    {"on_error", RULE_ON_ERROR, "on-error"},
    {"max_record", RULE_NUMBER, "max-record"},
    {"columns", RULE_COLUMNS, "schema"},
    {"key_field", RULE_TEXT, "key-field"},
    {"separator", RULE_TEXT, "separator"},
    {"delimiter", RULE_TEXT, "delimiter"},
    {"only", RULE_TEXT, "columns"},
    {"hive", RULE_IF_SET, "hive"},
    {"records_at", RULE_TEXT, "records-at"},
    {0},
};
static const ds_steprule tokenize_rules[] = {
    {"name", RULE_TEXT, "name"},
    {"special", RULE_SPECIAL, "no-special"},
    {"allow_special", RULE_IF_SET, "allow-special"},
    {"chat", RULE_CHAT, "chat"},
    {"messages", RULE_TEXT, "messages"},
    {"train_on", RULE_TEXT, "train-on"},
    {"added", RULE_IF_NOT, "no-added"},
    {"column", RULE_TEXT, "column"},
    {"eos", RULE_EOS, "eos"},
    {"ids", RULE_TEXT, "ids"},
    {"labels", RULE_TEXT, "labels"},
    {"attention_mask", RULE_TEXT, "attention-mask"},
    {"prompt", RULE_TEXT, "prompt"},
    {"response", RULE_TEXT, "response"},
    {"separator", RULE_GIVEN, "separator"},
    {"max_tokens", RULE_NUMBER, "max-tokens"},
    {"truncate", RULE_TEXT, "truncate"},
    {"on_error", RULE_TEXT, "on-error"},
    {0},
};
static const ds_steprule redact_rules[] = {
    {"all_ips", RULE_IF_SET, "all-ips"},
    {"columns", RULE_EACH, "column"},
    {"kinds", RULE_JOINED, "kinds"},
    {"mark", RULE_IF_SET, "mark"},
    {"with", RULE_WITH, "key-file"},
    {"keys", RULE_TEXT, "keys"},
    {0},
};
static const ds_steprule filter_rules[] = {
    {"column", RULE_TEXT, "column"},       {"rules", RULE_RULES, "set"},
    {"max_text", RULE_NUMBER, "max-text"}, {"mark", RULE_IF_SET, "mark"},
    {"where", RULE_EACH, "where"},         {0},
};
static const ds_steprule dedup_rules[] = {
    {"column", RULE_TEXT, "column"},
    {"mark", RULE_IF_SET, "mark"},
    {"near", RULE_IF_SET, "near"},
    {"against", RULE_AGAINST, "against"},
    {"minhash", RULE_MINHASH, NULL},
    {"parts", RULE_TEXT, "parts"},
    {"count", RULE_TEXT, "count"},
    {"part_chars", RULE_NUMBER, "min-chars"},
    {0},
};
static const ds_steprule split_rules[] = {
    {"by", RULE_TEXT, "by"},         {"parts", RULE_PARTS, "parts"},
    {"salt", RULE_TEXT, "salt"},     {"files", RULE_ONE_STREAM, "dir"},
    {"near", RULE_IF_SET, "near"},   {"column", RULE_TEXT, "column"},
    {"minhash", RULE_MINHASH, NULL}, {0},
};
static const ds_steprule templates_rules[] = {
    {"column", RULE_TEXT, "column"},
    {"max_children", RULE_NUMBER, "max-children"},
    {"max_shapes", RULE_NUMBER, "max-shapes"},
    {"similarity", RULE_REAL, "similarity"},
    {0},
};
static const ds_steprule sample_rules[] = {
    {"seed", RULE_TEXT, "seed"},   {"rate", RULE_REAL, "rate"},
    {"count", RULE_TEXT, "count"}, {"by", RULE_TEXT, "by"},
    {"cap", RULE_TEXT, "cap"},     {"weight", RULE_TEXT, "weight"},
    {"group", RULE_TEXT, "group"}, {0},
};
static const ds_steprule decontaminate_rules[] = {
    {"column", RULE_TEXT, "column"},
    {"against", RULE_VERSIONS, "against"},
    {"against_columns", RULE_EACH, "against-column"},
    {"runs", RULE_SAID, NULL},
    {"ngram", RULE_NUMBER, "ngram"},
    {"min_words", RULE_NUMBER, "min-words"},
    {"hits", RULE_NUMBER, "hits"},
    {"share", RULE_REAL, "share"},
    {"max_records", RULE_NUMBER, "max-records"},
    {"numbers", RULE_TEXT, "numbers"},
    {"mark", RULE_IF_SET, "mark"},
    {0},
};
static const ds_steprule lang_rules[] = {
    {"column", RULE_TEXT, "column"},
    {"name", RULE_TEXT, "name"},
    {"keep", RULE_GIVEN, "keep"},
    {"min_share", RULE_REAL, "min-share"},
    {"best_effort", RULE_IF_SET, "best-effort"},
    {"max_text", RULE_NUMBER, "max-text"},
    {"model", RULE_SAID, NULL},
    {0},
};
static const ds_steprule sort_rules[] = {{"by", RULE_EACH, "by"},
                                         {"numeric", RULE_IF_SET, "numeric"},
                                         {"reverse", RULE_IF_SET, "reverse"},
                                         {0}};
static const ds_steprule map_rules[] = {
    {"keep", RULE_EACH, "keep"},         {"drop", RULE_EACH, "drop"},
    {"rename", RULE_EACH, "rename"},     {"cast", RULE_EACH, "cast"},
    {"set", RULE_EACH, "set"},           {"text", RULE_EACH, "text"},
    {"on_error", RULE_TEXT, "on-error"}, {0},
};
static const ds_steprule shuffle_rules[] = {{"seed", RULE_TEXT, "seed"}, {0}};

static const ds_steprules commands[] = {
    {"dsprep text", DS_STEP_FOUND, text_rules},
    {"dsprep logs", DS_STEP_FOUND, logs_rules},
    {"dsprep files", DS_STEP_GIVEN, files_rules},
    {"dsprep dicom", DS_STEP_GIVEN, dicom_rules},
    {"dsprep import", DS_STEP_FOUND, import_rules},
    {"dsprep tokenize", DS_STEP_STREAM, tokenize_rules},
    {"dsprep redact", DS_STEP_STREAM, redact_rules},
    {"dsprep filter", DS_STEP_STREAM, filter_rules},
    {"dsprep dedup", DS_STEP_STREAM, dedup_rules},
    {"dsprep split", DS_STEP_STREAM, split_rules},
    {"dsprep templates", DS_STEP_STREAM, templates_rules},
    {"dsprep sample", DS_STEP_STREAM, sample_rules},
    {"dsprep shuffle", DS_STEP_STREAM, shuffle_rules},
    {"dsprep decontaminate", DS_STEP_STREAM, decontaminate_rules},
    {"dsprep lang", DS_STEP_STREAM, lang_rules},
    {"dsprep sort", DS_STEP_STREAM, sort_rules},
    {"dsprep map", DS_STEP_STREAM, map_rules},
};

const ds_steprules *ds_steprules_find(const char *tool)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].tool, tool) == 0)
            return &commands[i];
    return NULL;
}
