/* Formats of logs: one record each, with what RFCs and real files hold that is easy to get wrong;
 * which lines belong together; which format a file has. */
#include "unit.h"

#include "logsource.h"
#include "logtrace.h"

/* Columns that are not null, as name=value, and problems as !reason@offset. */
static const char *dump(ds_buf *out, const ds_textbatch *b)
{
    out->len = 0;
    for (size_t i = 0; i < b->n; i++) {
        const ds_textrow *row = &b->v[i];
        if (row->reason) {
            assert_int_equal(ds_buf_printf(out, "!%s@%d\n", row->reason, (int)row->at), 0);
            continue;
        }
        const ds_logrow *r = row->cells;
        for (int c = 0; c < DS_LC_FORMAT; c++) {
            const ds_logcell *v = &r->v[c];
            if (!v->p || c == DS_LC_TIME)
                continue;
            ds_buf_printf(out, "%s=", ds_logcol_names[c]);
            if (ds_logcol_number((enum ds_logcol)c))
                ds_buf_printf(out, "%lld ", (long long)v->n);
            else
                ds_buf_printf(out, "%.*s ", (int)v->n, (const char *)v->p);
        }
        ds_buf_printf(out, "@%d+%d\n", (int)row->offset, (int)row->len);
    }
    return ds_buf_cstr(out);
}

static void expect(ds_logopts o, const char *in, size_t len, const char *want)
{
    void *s;
    size_t used;
    const char *reason;
    ds_buf note = {0}, out = {0};
    ds_textbatch b = {0};
    ds_err err = {0};
    o.max_record = 1000;
    o.max_depth = 10;
    int rc = ds_logsource_open(&o, &s, "messages-20240131", (const uint8_t *)in, len, &used, &note,
                               &reason, &err);
    if (rc != 0)
        fail_msg("%s: %s", in, err.msg);
    const ds_textblock k = {
        .p = (const uint8_t *)in + used, .len = len - used, .base = used, .last = true};
    assert_int_equal(ds_logsource_records(s, &b, &k), 0);
    assert_string_equal(dump(&out, &b), want);
    ds_logsource_close(s);
    ds_textbatch_fini(&b);
    ds_buf_fini(&note);
    ds_buf_fini(&out);
}

static void same(enum ds_logformat f, const char *in, const char *want)
{
    expect((ds_logopts){.format = f}, in, strlen(in), want);
}

static void rfc3164(void **state)
{
    (void)state;
    const enum ds_logformat f = DS_LOG_SYSLOG;
    same(f, "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
         "text='su root' failed for lonvick on /dev/pts/8 severity=2 host=mymachine program=su "
         "fields={\"facility\":4} @0+76\n");
    same(f, "<191>Oct  1 22:14:15 h p[17]: x",
         "text=x severity=7 host=h program=p pid=17 "
         "fields={\"facility\":23} @0+31\n");
    same(f, "<192>Oct  1 22:14:15 h p: x", "!malformed@0\n");
    same(f, "<034>Oct  1 22:14:15 h p: x", "!malformed@0\n");
    same(f, "Oct  1 22:14:15 h -- MARK --", "text=-- MARK -- host=h @0+28\n");
    same(f, "Oct  1 22:14:15 sshd[1]: no host", "text=no host program=sshd pid=1 @0+32\n");
    same(f, "Oct  1 22:14:15 h p[x1]: t", "text=p[x1]: t host=h program=p @0+26\n");
    same(f, "2024-01-15T10:00:00.5+01:00 h kernel: [    1.2] up",
         "text=[    1.2] up host=h "
         "program=kernel @0+50\n");
    same(f, "Oct 32 22:14:15 h p: x", "!malformed@0\n");
    same(f, "Oct  1 22:14:15", "text= @0+15\n");
}

static void rfc5424(void **state)
{
    (void)state;
    const enum ds_logformat f = DS_LOG_SYSLOG5;
    same(f, "<0>1 - - - - - -", "text= severity=0 fields={\"facility\":0} @0+16\n");
    same(f,
         "<165>1 2003-10-11T22:14:15.003Z m e - ID47 [x@1 i=\"3\" s=\"A\\]\\\"\\\\\\n\"][p@2] "
         "\xef\xbb\xbfhello",
         "text=hello severity=5 host=m program=e fields={\"facility\":20,\"msgid\":\"ID47\",\"sd\":"
         "{\"x@1\":{\"i\":\"3\",\"s\":\"A]\\\"\\\\\\\\n\"},\"p@2\":{}}} @0+82\n");
    same(f, "<1>1 - h a nopid - -",
         "text= severity=1 host=h program=a "
         "fields={\"facility\":0,\"procid\":\"nopid\"} @0+20\n");
    same(f, "<1>2 - h a - - -", "!malformed@3\n");
    same(f, "<1>1 2003-10-11 22:14:15Z h a - - -", "!malformed@5\n");
    same(f, "<1>1 - h a - - [x i=\"3]", "!malformed@21\n");
    same(f, "<1>1 - h a - - [x i=3]", "!malformed@18\n");
    same(f, "<1>1 - h a - - [x", "!malformed@17\n");
    same(f, "<1>1 - h a - -", "!malformed@13\n");
    same(f, "<1>1 - h a - - -x", "!malformed@16\n");
    same(f, "20 <1>1 - h a - - - a\nb\n16 <1>1 - h a - - -\n2 x",
         "text=a\nb severity=1 host=h "
         "program=a fields={\"facility\":0} @3+20\ntext= severity=1 host=h program=a "
         "fields={\"facility\":0} @27+16\n!malformed@46\n");
}

static void web(void **state)
{
    (void)state;
    const enum ds_logformat f = DS_LOG_COMBINED;
    same(f,
         "::1 - j d [10/Oct/2000:13:55:36 -0700] \"GET /a b HTTP/1.1\" 200 - \"-\" \"x\\\"y\" 9 z",
         "text=GET /a b HTTP/1.1 remote=::1 user=j d method=GET path=/a b protocol=HTTP/1.1 "
         "status=200 "
         "agent=x\"y fields={\"extra\":\"9 z\"} @0+79\n");
    same(f, "v:80 1.2.3.4 - bob [10/Oct/2000:13:55:36 -0700] \"-\" 408 0 \"-\" \"-\"",
         "text=- host=v:80 remote=1.2.3.4 user=bob status=408 bytes=0 @0+65\n");
    same(DS_LOG_COMMON, "h i u [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 1",
         "text=GET / HTTP/1.0 remote=h user=u method=GET path=/ protocol=HTTP/1.0 status=200 "
         "bytes=1 "
         "fields={\"ident\":\"i\"} @0+57\n");
    same(f, "h - - [10/Oct/2000:13:55:36 -0700] \"\\x16\\x03\" 400 0",
         "text=\\x16\\x03 remote=h "
         "status=400 bytes=0 @0+51\n");
    same(f, "h - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0 200 1", "!malformed@35\n");
    same(f, "h - - [10/Oct/2000:13:55:36 -0700] \"GET /\" OK 1", "!malformed@43\n");
    same(f, "h - [10/Oct/2000:13:55:36 -0700] \"GET /\" 200 1", "!malformed@0\n");
    same(f, "h - - 10/Oct/2000:13:55:36 \"GET /\" 200 1", "!malformed@0\n");
}

static void objects(void **state)
{
    (void)state;
    same(DS_LOG_JSON,
         "{\"event\":\"e\",\"msg\":\"a\\u0041\\n\", \"n\" : { \"x\" : 1 },\"pid\":\"no\"}",
         "text=aA\n fields={\"event\":\"e\",\"n\":{\"x\":1},\"pid\":\"no\"} @0+61\n");
    same(DS_LOG_JSON, "{\"a\":1}\n[1]\n{\"a\":\n",
         "text={\"a\":1} fields={\"a\":1} @0+7\n"
         "!malformed@8\n!malformed@17\n");
    same(DS_LOG_JSON, "{\"level\":50,\"msg\":\"m\",\"level\":\"x\"}",
         "text=m severity=3 level=50 fields={\"level\":\"x\"} @0+34\n");
    same(DS_LOG_JJSON,
         "{\"MESSAGE\":[104,195,164],\"PRIORITY\":\"3\",\"__REALTIME_TIMESTAMP\":"
         "\"1705312800123456\"}",
         "text=h\xc3\xa4 severity=3 @0+82\n");
    same(DS_LOG_LOGFMT, "a= b=\"x \\\"y\\\"\" c msg=\"m\\n\" level=warn text=t",
         "text=m\n severity=4 level=warn fields={\"a\":\"\",\"b\":\"x "
         "\\\"y\\\"\",\"c\":true,\"text\":\"t\"} "
         "@0+44\n");
    same(DS_LOG_JSON, "{\"time\":\"\",\"msg\":\"m\"}", "text=m fields={\"time\":\"\"} @0+21\n");
    same(DS_LOG_LOGFMT, "a=\"x\nno pairs\n=x\n", "!malformed@2\n!malformed@5\n!malformed@14\n");
    same(DS_LOG_CSV, "ts,msg,x\n1705312800,\"a\n\"\"b\"\"\",\n1,2\n",
         "text=a\n\"b\" "
         "fields={\"x\":\"\"} @9+21\n!malformed@31\n");
    same(DS_LOG_CSV, "ts\tmsg\n1705312800\ta \"b\n", "text=a \"b @7+15\n");
}

static void containers(void **state)
{
    (void)state;
    same(DS_LOG_CRI,
         "2016-10-06T00:17:09.1Z stdout P a\n2016-10-06T00:17:09.1Z stdout F b\n"
         "2016-10-06T00:17:09.1Z stdout F \tat x\n2016-10-06T00:17:09.1Z stderr F \tat x\n"
         "2016-10-06T00:17:09.1Z stderr X x\n",
         "text=ab\n\tat x fields={\"stream\":\"stdout\"} @0+105\n"
         "text=\tat x fields={\"stream\":\"stderr\"} @106+37\n!malformed@174\n");
    same(DS_LOG_DOCKER,
         "{\"log\":\"a\",\"stream\":\"stdout\"}\n{\"log\":\"b\\n\",\"stream\":\"stdout\"}\n"
         "{\"log\":\"c\\n\"}\n{\"x\":\"c\\n\"}\n",
         "text=ab fields={\"stream\":\"stdout\"} @0+61\ntext=c @62+13\n!malformed@76\n");
}

/* Severities, escapes, values with spaces and with =, which time is the event's, what is no pair.
 */
static void tables(void **state)
{
    (void)state;
    const enum ds_logformat w3c = DS_LOG_W3C;
    same(w3c,
         "#Date: 2024-01-15 00:00:03\n#Fields: time cs-method cs-uri-stem cs-uri-query c-ip "
         "cs(User-Agent) sc-status s-port\n"
         "00:00:04 GET /a x=1+2 10.0.0.9 Mozilla/5.0+(X11) 200 443\n"
         "00:00:04 GET /a - - \"M \"\"q\"\" +\" - \"4\n00:00:04 GET\n0 1 2 3 4 5 6 7 8\n"
         "#Fields: x\tcs-uri-query\n#Remark: none\n- 1\n#Fields: \xff\n- 1\n",
         "text=00:00:04 GET /a x=1+2 10.0.0.9 Mozilla/5.0+(X11) 200 443 remote=10.0.0.9 "
         "method=GET path=/a?x=1+2 status=200 agent=Mozilla/5.0 (X11) fields={\"s-port\":\"443\"} "
         "@113+56\n"
         "text=00:00:04 GET /a - - \"M \"\"q\"\" +\" - \"4 method=GET path=/a agent=M \"q\" + "
         "fields={\"s-port\":\"\\\"4\"} @170+36\n!malformed@219\n!malformed@236\n"
         "text=- 1 fields={\"cs-uri-query\":\"1\"} @276+3\n!malformed@291\n");
    same(w3c, "#Fields: date cs(User-Agent) sc-status\n2024-01-15\tM%20(%\t20x\n",
         "text=2024-01-15\tM%20(%\t20x agent=M (% "
         "fields={\"sc-status\":\"20x\",\"date\":\"2024-01-15\"} @39+21\n");
    same(w3c, "#Fields: date-time,cs(User-Agent)\r\n-,\"a,b \"\"c\"\" d+%20\"\r\n",
         "text=-,\"a,b \"\"c\"\" d+%20\" agent=a,b \"c\" d+%20 @35+19\n");
    same(DS_LOG_ZEEK,
         "#separator \\x7c\n#unset_field|?\n#empty_field|(e)\n#path|http\n#fields|ts|a|b|method\n"
         "#types|time|string|string|string\n1300000000.5||(e)|?\n?|\"|-|GET\n#separator "
         ",\n1|2|3|4\n",
         "text=1300000000.5||(e)|? program=http fields={\"a\":\"\",\"b\":\"\"} "
         "@114+19\ntext=?|\"|-|GET program=http method=GET fields={\"a\":\"\\\"\",\"b\":\"-\"} "
         "@134+9\n!malformed@157\n");
    same(DS_LOG_VPC,
         "interface-id srcaddr bytes start\neni-1 10.0.0.1 52 1418530010\neni-1 - - -\n",
         "text=eni-1 10.0.0.1 52 1418530010 remote=10.0.0.1 bytes=52 "
         "fields={\"interface-id\":\"eni-1\"} @33+28\n"
         "text=eni-1 - - - fields={\"interface-id\":\"eni-1\"} @62+11\n");
}

static void arrays(void **state)
{
    (void)state;
    const ds_logopts top = {.format = DS_LOG_JARRAY, .records_at = ""},
                     deep = {.format = DS_LOG_JARRAY, .records_at = "a.b"};
    const char *in =
        "[{\"msg\":\"x]\\\"}\",\"n\":1.50},\n\n 7 , {\"a\":[{\"b\":[]}]}] []\n[{\"a\":tru}]";
    expect(top, in, strlen(in),
           "text=x]\"} fields={\"n\":1.50} @1+24\n!malformed@29\n"
           "text={\"a\":[{\"b\":[]}]} fields={\"a\":[{\"b\":[]}]} @33+16\n!malformed@60\n");
    in = "[{\"a\":1},{\"a\":2";
    expect(top, in, strlen(in), "text={\"a\":1} fields={\"a\":1} @1+7\n!malformed@9\n");
    expect(top, in, 8, "text={\"a\":1} fields={\"a\":1} @1+7\n!malformed@8\n");
    in = "[{\"a\":1} {\"a\":2},\n{\"a\":3}\n, {\"a\":4},]\n[{}]";
    expect(top, in, strlen(in),
           "text={\"a\":1} fields={\"a\":1} @1+7\n!malformed@9\ntext={\"a\":3} fields={\"a\":3} "
           "@18+7\n"
           "text={\"a\":4} fields={\"a\":4} @28+7\n!malformed@35\ntext={} @39+2\n");
    in = "{\"b\":[{\"x\":1}],\"a\":{\"c\":\"]\",\"b\":[{\"x\":2}],\"d\":{}},\"e\":0}\n"
         "{\"a\":[1]}{\"a\":{\"b\":[]}}\n{\"a\":{\"b\":{}}}{\"a\":{\"b\":[{\"x\":3}]}x";
    expect(deep, in, strlen(in),
           "text={\"x\":2} fields={\"x\":2} @33+7\n!malformed@57\n!malformed@81\n"
           "text={\"x\":3} fields={\"x\":3} @106+7\n!malformed@113\n");
    in = "{\"Records\":[]}";
    expect((ds_logopts){.format = DS_LOG_AUTO}, in, strlen(in), "");
}

static void balancers(void **state)
{
    (void)state;
    same(DS_LOG_ALB,
         "h2 2018-07-02T22:23:00.186641Z app/lb/5 192.168.131.39:2817 - 0.000 -1 -1 200 - 34 366 "
         "\"GET https://x:443/a?b HTTP/2.0\" \"curl/7 \\x22\" ECDHE TLSv1.2 - \"Root=1\" \"x\"\n"
         "h2 2018-07-02 app/lb/5\n"
         "ws 2018-07-02T22:23:00Z a b c d e f 101 h i - \"- - -\" \"-\" 1 2 3 4 5 6 7 8 9 10 11 12 "
         "13 14 15 16 17 18\nweb 2018-07-02T22:23:00Z a b c d e f 1 2 3 4 5 6 7\n",
         "text=GET https://x:443/a?b HTTP/2.0 host=x remote=192.168.131.39 method=GET "
         "path=https://x:443/a?b protocol=HTTP/2.0 status=200 bytes=366 agent=curl/7 \\x22 "
         "fields={\"type\":\"h2\",\"elb\":\"app/lb/5\",\"client_port\":\"2817\","
         "\"request_processing_time\":\"0.000\",\"target_processing_time\":\"-1\","
         "\"response_processing_time\":\"-1\",\"received_bytes\":\"34\",\"ssl_cipher\":\"ECDHE\","
         "\"ssl_protocol\":\"TLSv1.2\",\"trace_id\":\"Root=1\"} @0+162\n!malformed@166\n"
         "text=- - - host=5 remote=b status=101 fields={\"type\":\"ws\",\"elb\":\"a\","
         "\"target:port\":\"c\",\"request_processing_time\":\"d\",\"target_processing_time\":"
         "\"e\",\"response_processing_time\":\"f\",\"target_status_code\":\"h\","
         "\"received_bytes\":\"i\",\"ssl_cipher\":\"1\",\"ssl_protocol\":\"2\","
         "\"target_group_arn\":\"3\",\"trace_id\":\"4\",\"chosen_cert_arn\":\"6\","
         "\"matched_rule_priority\":\"7\",\"request_creation_time\":\"8\",\"actions_executed\":"
         "\"9\",\"redirect_url\":\"10\",\"error_reason\":\"11\",\"target:port_list\":\"12\","
         "\"target_status_code_list\":\"13\",\"classification\":\"14\",\"classification_reason\":"
         "\"15\",\"conn_trace_id\":\"16\",\"extra\":\"17 18\"} @186+102\n!malformed@289\n");
}

static void windows(void **state)
{
    (void)state;
    const enum ds_logformat f = DS_LOG_WINXML;
    same(f,
         "<?xml version='1.0'?>\n<Events>\n<Event xmlns=\"x>y\"><System><Provider Name='P &amp; Q' "
         "Guid='{1}'/><EventID Qualifiers='2'>7036</EventID><Level>3</Level><TimeCreated "
         "SystemTime='2024-01-15T10:00:00.5Z'/><Execution ProcessID='7'/><Computer>C</Computer>\n"
         "</System><EventData><Data Name='a'>1 &lt;\n2</Data><Data>x</Data><Data Name='b'/>\n"
         "</EventData><RenderingInfo><Message>m&#10;n</Message><Task>t</Task></RenderingInfo>"
         "</Event></Events>",
         "text=m\nn severity=4 level=3 host=C program=P & Q pid=7 fields={\"Guid\":\"{1}\","
         "\"EventID\":\"7036\",\"Qualifiers\":\"2\",\"data\":{\"a\":\"1 <\\n2\",\"param1\":\"x\","
         "\"b\":\"\"},\"rendered\":{\"Task\":\"t\"}} @31+391\n");
    same(f, "<Event><System></System><UserData><X><Y>v</Y></X></UserData></Event> <Ev\n <Event >",
         "text=<Event><System></System><UserData><X><Y>v</Y></X></UserData></Event> "
         "fields={\"data\":{\"Y\":\"v\"}} @0+68\n!malformed@69\n!malformed@74\n");
    same(f, "<Event><System><Level>1</Event><Event><X/></Event><Event><System a='></Event>",
         "!malformed@0\n!malformed@31\n!malformed@57\n");
}

static void events(void **state)
{
    (void)state;
    same(DS_LOG_CEF,
         "CEF:0|Security|threat|1.0|100|worm stopped|10|src=10.0.0.1 dst=2.1.2.2\n"
         "<134>Nov 28 2026 19:00:00 fw1 CEF:0|V\\|X|P\\\\r|2|4:7|Name|Very-High|rt=1764356400123 "
         "suser=Jane Doe msg=a\\nb with \\= and == c request=https://s/a?b=c act=x\n"
         "<13>CEF:0|V|P|1|e|n|Unknown|\n<13>CEF:0|V|P|1|e|n|7|words only\n"
         "Nov 28 2026 19:00:00 h q: CEF:1|V|P|1|e|n|3|end=Nov 28 2026 20:01:02 UTC rt=bogus rt=b\n"
         "CEF:0|V|P|1|e|n\nCEF:x|V|P|1|e|n|3|\n x CEF:0|V|P|1|e|n|3|\n",
         "text=worm stopped severity=2 level=10 program=threat remote=10.0.0.1 "
         "fields={\"vendor\":\"Security\",\"version\":\"1.0\",\"event\":\"100\",\"dst\":\"2.1.2."
         "2\"} @0+70\n"
         "text=a\nb with = and == c severity=2 level=Very-High host=fw1 program=P\\r user=Jane Doe "
         "path=https://s/a?b=c "
         "fields={\"facility\":16,\"vendor\":\"V|X\",\"version\":\"2\",\"event\":\"4:7\","
         "\"header\":\"<134>Nov 28 2026 19:00:00 fw1\",\"act\":\"x\",\"name\":\"Name\"} @71+154\n"
         "text=n severity=5 level=Unknown program=P "
         "fields={\"facility\":1,\"vendor\":\"V\",\"version\":\"1\",\"event\":\"e\"} @226+28\n"
         "text=n severity=3 level=7 program=P "
         "fields={\"facility\":1,\"vendor\":\"V\",\"version\":\"1\",\"event\":\"e\",\"extra\":"
         "\"words only\"} @255+32\n"
         "text=n severity=6 level=3 host=h program=q "
         "fields={\"vendor\":\"V\",\"product\":\"P\",\"version\":\"1\",\"event\":\"e\",\"header\":"
         "\"Nov 28 2026 19:00:00 h q:\",\"rt\":\"bogus\",\"rt\":\"b\"} @288+86\n"
         "!malformed@389\n!malformed@395\n!malformed@410\n");
    same(DS_LOG_LEEF,
         "LEEF:1.0|V|P|4 SP1|15|src=192.0.2.0\tsev=5\t\tmsg=with spaces\tdevTime=1764356400\tlone\n"
         "<13>1 2019-01-18T11:07:53.520000Z h - - - - LEEF:2.0|V|P|1.0|41|^|usrName=joe=x^sev=8\n"
         "LEEF:2.0|V|P|1|E|0x09|a=b\tsev=1\nLEEF:2.0|V|P|1|E|a=b\tc=d\n"
         "LEEF:2.0|V|P|1|E|xZZ|a=b\nLEEF:3.0|V|P|1|E|a=b\nLEEF:1.0|V|P|1\n",
         "text=with spaces severity=4 level=5 program=P remote=192.0.2.0 "
         "fields={\"vendor\":\"V\",\"version\":\"4 SP1\",\"event\":\"15\",\"lone\":\"\"} @0+82\n"
         "text=LEEF:2.0|V|P|1.0|41|^|usrName=joe=x^sev=8 severity=3 level=8 host=h program=P "
         "user=joe=x fields={\"facility\":1,\"vendor\":\"V\",\"version\":\"1.0\",\"event\":\"41\"} "
         "@83+85\n"
         "text=LEEF:2.0|V|P|1|E|0x09|a=b\tsev=1 severity=6 level=1 program=P "
         "fields={\"vendor\":\"V\",\"version\":\"1\",\"event\":\"E\",\"a\":\"b\"} @169+31\n"
         "text=LEEF:2.0|V|P|1|E|a=b\tc=d program=P "
         "fields={\"vendor\":\"V\",\"version\":\"1\",\"event\":\"E\",\"a\":\"b\",\"c\":\"d\"} "
         "@201+24\n"
         "!malformed@247\n!malformed@256\n!malformed@285\n");
}

static void applications(void **state)
{
    (void)state;
    const enum ds_logformat f = DS_LOG_APP;
    same(f,
         "2024-01-15 10:11:12,345 [main] ERROR c.Foo - x\n\tat y\n\n\tat z\n\n2024-01-15 10:11:12 "
         "INFO: w",
         "text=[main] ERROR c.Foo - x\n\tat y\n\n\tat z severity=3 level=ERROR @0+59\n"
         "text=w severity=6 level=INFO @61+27\n");
    same(f, "2024-01-15 10:11:12 an error is no level", "text=an error is no level @0+40\n");
    same(f, "2024-01-15 10:11:12 - root - WARNING - m",
         "text=root - WARNING - m severity=4 "
         "level=WARNING @0+40\n");
    same(f, "[Wed Oct 11 14:32:52.1 2000] [core:error] [pid 1] m",
         "text=[pid 1] m severity=3 "
         "level=error @0+51\n");
    same(f, "10:11:12 x\n", "!malformed@0\n");
    ds_logopts any = {.format = f, .join = DS_LOGJOIN_ANY},
               none = {.format = f, .join = DS_LOGJOIN_NONE};
    const char *in = "2024-01-15 10:11:12 a\nb\n c\n";
    expect(any, in, strlen(in), "text=a\nb\n c @0+26\n");
    expect(none, in, strlen(in), "text=a @0+21\n!malformed@22\n!malformed@24\n");
    none.whole_line = true;
    expect(none, in, 21, "text=2024-01-15 10:11:12 a @0+21\n");
    expect(any, "2024-01-15 10:11:12 a\0b", 23, "!NUL byte@21\n");
    expect(any, "2024-01-15 10:11:12 a\xff", 22, "!invalid UTF-8@21\n");
}

static void exports(void **state)
{
    (void)state;
    static const char in[] =
        "__REALTIME_TIMESTAMP=1705312800123456\nMESSAGE\n\3\0\0\0\0\0\0\0a\n\n\n"
        "X=1\nX=2\nB\n\1\0\0\0\0\0\0\0\xff\n\nMESSAGE=x\n\nlow=1\n";
    expect((ds_logopts){.format = DS_LOG_JEXPORT}, in, sizeof in - 1,
           "text=a\n\n fields={\"X\":[\"1\",\"2\"],\"B\":[255]} "
           "@0+78\n!malformed@79\n!malformed@90\n");
}

static void patterns(void **state)
{
    (void)state;
    ds_logpattern *p;
    ds_err err = {0};
    assert_int_equal(ds_logpattern_new(&p, "(a", &err), DS_USAGE);
    ds_err_clear(&err);
    assert_int_equal(ds_logpattern_new(&p, "(a)", &err), DS_USAGE);
    assert_int_equal(
        ds_logpattern_new(&p, "^(?<time>\\S+) (?:(?<user>\\w+) )?(?<pid>\\w+)\\|(?<other>.*)$",
                          NULL),
        0);
    ds_logopts o = {.format = DS_LOG_PATTERN, .pattern = p};
    const char *in = "2024-01-15T00:00:00Z u 12|x\n\tat y\n2024-01-15T00:00:00Z z|\nno\n";
    expect(o, in, strlen(in),
           "text=2024-01-15T00:00:00Z u 12|x\n\tat y pid=12 user=u "
           "fields={\"other\":\"x\"} @0+33\n"
           "text=2024-01-15T00:00:00Z z| fields={\"other\":\"\",\"pid\":\"z\"} @34+23\n"
           "!malformed@58\n");
    ds_logpattern_free(p);
    assert_int_equal(ds_logpattern_new(&p, "^(?<x>(a+)+)+$", NULL), 0);
    o.pattern = p;
    expect(o, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 48, "!malformed@0\n");
    ds_logpattern_free(p);
}

static void traces(void **state)
{
    (void)state;
    static const char *const on[] = {"\tat a.b(C.java:1)",
                                     " x",
                                     "Caused by: x",
                                     "... 3 more",
                                     "Traceback (most recent call last):",
                                     "ValueError: bad",
                                     "java.lang.NullPointerException",
                                     "a.b.CException: m: n",
                                     "goroutine 1 [running]:",
                                     "main.main()",
                                     "net/http.(*conn).serve(0xc0001, {0x7f})",
                                     "created by main.x",
                                     "panic: oh",
                                     "#1 /srv/x.php(3): f()"};
    static const char *const off[] = {"",           "<34>Oct 11",    "2024-01-15 x",
                                      "Error in x", "hello (world)", "An Exception: x",
                                      "key=value",  "Exceptional: x"};
    for (size_t i = 0; i < sizeof on / sizeof *on; i++)
        if (!ds_logtrace_goes_on((const uint8_t *)on[i], strlen(on[i])))
            fail_msg("begins: %s", on[i]);
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (ds_logtrace_goes_on((const uint8_t *)off[i], strlen(off[i])))
            fail_msg("goes on: %s", off[i]);
}

static void guesses(void **state)
{
    (void)state;
    static const struct {
        enum ds_logformat f;
        const char *in;
    } t[] = {
        {DS_LOG_SYSLOG,
         "Oct 11 22:14:15 h su: x\nOct 11 22:14:15 h -- MARK --\nOct 11 22:14:15 h a: b\n"
         "Oct 11 22:14:15 h a: b\n"},
        {DS_LOG_SYSLOG5, "<1>1 - h a - - -\n"},
        {DS_LOG_COMMON, "h - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 1\n"},
        {DS_LOG_COMBINED,
         "h - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 1 \"-\" \"-\"\n"},
        {DS_LOG_JSON, "{\"a\":1}\n{\"log\":\"x\\n\"}\n"},
        {DS_LOG_DOCKER,
         "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"2024-01-15T10:00:00Z\"}\n"},
        {DS_LOG_JJSON, "{\"__CURSOR\":\"x\",\"__REALTIME_TIMESTAMP\":\"1705312800123456\"}\n"},
        {DS_LOG_JEXPORT, "__REALTIME_TIMESTAMP=1705312800123456\nMESSAGE=x\n\n"},
        {DS_LOG_LOGFMT, "level=info a=b\nlevel=info a=b\n"},
        {DS_LOG_CRI, "2016-10-06T00:17:09.1Z stdout F b\n"},
        {DS_LOG_APP, "2024-01-15 10:11:12 ERROR main: failed\n\tat x\njava.lang.Error: y\n"},
        {DS_LOG_APP, "2024-01-15T10:11:12Z ERROR main: failed\n"},
        {DS_LOG_CEF, "Oct 11 22:14:15 h CEF:0|a|b|c|d|e|5|x=y\nCEF:0|a|b|c|d|e|5|\n"},
        {DS_LOG_LEEF, "<13>1 - h a - - - LEEF:1.0|a|b|c|d|x=y\n"},
        {DS_LOG_CSV, "time,level,msg\nx,INFO,y\n"},
        {DS_LOG_LINES, "Dear all,\nthe valve was replaced.\n"},
        {DS_LOG_LINES, "a=b\n"},
        {DS_LOG_LINES, "\n\n"},
    };
    ds_logopts o = {.max_record = 1000, .max_depth = 10};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        ds_logguess g;
        assert_int_equal(ds_logguess_look(&g, &o, (const uint8_t *)t[i].in, strlen(t[i].in)), 0);
        if (g.format != t[i].f)
            fail_msg("%s: %s", ds_logformat_names[g.format], t[i].in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc3164), cmocka_unit_test(rfc5424),    cmocka_unit_test(web),
        cmocka_unit_test(objects), cmocka_unit_test(containers), cmocka_unit_test(applications),
        cmocka_unit_test(events),  cmocka_unit_test(exports),    cmocka_unit_test(patterns),
        cmocka_unit_test(tables),  cmocka_unit_test(windows),    cmocka_unit_test(balancers),
        cmocka_unit_test(arrays),  cmocka_unit_test(traces),     cmocka_unit_test(guesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
