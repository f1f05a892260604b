/* piicheck.c - see piicheck.h. */
#include "piicheck.h"

#include <string.h>

static unsigned digit(char c)
{
    return (unsigned)(c - '0');
}

static unsigned number(const char *d, size_t n)
{
    unsigned v = 0;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + digit(d[i]);
    return v;
}

static bool luhn(const char *d, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned v = digit(d[n - 1 - i]);
        if (i % 2 == 1)
            v = v * 2 > 9 ? v * 2 - 9 : v * 2;
        sum += v;
    }
    return sum % 10 == 0;
}

bool ds_check_card(const char *d, size_t n)
{
    const unsigned two = number(d, 2), four = number(d, 4);
    const bool visa = d[0] == '4' && (n == 13 || n == 16 || n == 19),
               master = n == 16 && ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)),
               amex = n == 15 && (two == 34 || two == 37),
               diners = n == 14 && (two == 36 || two == 38 || (four >= 3000 && four <= 3059)),
               discover = n >= 16 && n <= 19 && (four == 6011 || two == 65 || two == 64),
               jcb = n >= 16 && n <= 19 && four >= 3528 && four <= 3589,
               unionpay = n >= 16 && n <= 19 && two == 62,
               maestro = n >= 12 && n <= 19 && (two == 50 || (two >= 56 && two <= 58) || two == 67);
    return (visa || master || amex || diners || discover || jcb || unionpay || maestro) &&
           luhn(d, n);
}

static bool is_day(unsigned y, unsigned m, unsigned d)
{
    static const uint8_t days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    return m >= 1 && m <= 12 && d >= 1 && d <= days[m - 1] && (m != 2 || d < 29 || leap);
}

bool ds_check_cn(const char d[18])
{
    static const uint8_t weights[] = {7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2};
    static const uint8_t provinces[] = {11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34,
                                        35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52,
                                        53, 54, 61, 62, 63, 64, 65, 71, 81, 82, 83};
    const unsigned year = number(d + 6, 4);
    unsigned sum = 0;
    if (!memchr(provinces, (int)number(d, 2), sizeof provinces) || year < 1850 || year > 2099 ||
        !is_day(year, number(d + 10, 2), number(d + 12, 2)))
        return false;
    for (size_t i = 0; i < 17; i++)
        sum += digit(d[i]) * weights[i];
    return "10X98765432"[sum % 11] == (d[17] == 'x' ? 'X' : d[17]);
}

bool ds_check_ssn(const char d[9])
{
    const unsigned area = number(d, 3);
    return area != 0 && area != 666 && area < 900 && number(d + 3, 2) != 0 && number(d + 5, 4) != 0;
}

bool ds_check_dni(const char d[8], char letter)
{
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number(d, 8) % 23] == (letter & ~0x20);
}

bool ds_check_steuer(const char d[11])
{
    unsigned count[10] = {0}, twice = 0, p = 10;
    for (size_t i = 0; i < 10; i++)
        count[digit(d[i])]++;
    for (size_t i = 0; i < 10; i++) {
        twice += count[i] == 2 || count[i] == 3;
        if (count[i] > 3)
            return false;
    }
    if (d[0] == '0' || twice != 1)
        return false;
    for (size_t i = 0; i < 10; i++) {
        unsigned s = (digit(d[i]) + p) % 10;
        p = 2 * (s ? s : 10) % 11;
    }
    return (11 - p) % 10 == digit(d[10]);
}

bool ds_check_nir(const char d[15])
{
    const unsigned month = number(d + 3, 2);
    uint64_t n = 0;
    if (!strchr("123478", d[0]) ||
        !((month >= 1 && month <= 12) || (month >= 20 && month <= 42) || month >= 50))
        return false;
    for (size_t i = 0; i < 13; i++)
        n = n * 10 + digit(d[i]);
    return 97 - n % 97 == number(d + 13, 2);
}

bool ds_check_nhs(const char d[10])
{
    unsigned sum = 0;
    for (unsigned i = 0; i < 9; i++)
        sum += digit(d[i]) * (10 - i);
    return (11 - sum % 11) % 11 == digit(d[9]) && strncmp(d, "0000000000", 10) != 0;
}

size_t ds_iban_length(const char *c)
{
    /* two letters and the length, by country */
    static const char table[] =
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18"
        "FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20"
        "LU20LV21LY25MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SE24"
        "SI19SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20";
    for (const char *t = table; *t; t += 4)
        if (t[0] == c[0] && t[1] == c[1])
            return number(t + 2, 2);
    return 0;
}

bool ds_check_iban(const char *s, size_t n)
{
    unsigned rest = 0;
    if (n < 5 || ds_iban_length(s) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char c = s[(i + 4) % n];
        rest =
            c >= 'A' ? (rest * 100 + (unsigned)(c - 'A') + 10) % 97 : (rest * 10 + digit(c)) % 97;
    }
    return rest == 1;
}

bool ds_ipv4_public(const uint8_t a[4])
{
    const bool shared = a[0] == 100 && (a[1] & 0xc0) == 64,
               local = a[0] == 10 || a[0] == 127 || a[0] == 0 || (a[0] == 169 && a[1] == 254) ||
                       (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168),
               example = (a[0] == 192 && a[1] == 0 && (a[2] == 2 || a[2] == 0)) ||
                         (a[0] == 198 && a[1] == 51 && a[2] == 100) ||
                         (a[0] == 198 && (a[1] & 0xfe) == 18) ||
                         (a[0] == 203 && a[1] == 0 && a[2] == 113);
    return a[0] < 224 && !shared && !local && !example;
}

bool ds_ipv6_public(const uint8_t a[16])
{
    const bool doc = a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8;
    return (a[0] & 0xe0) == 0x20 && !doc; /* 2000::/3 is what is given out */
}
