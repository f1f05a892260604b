/* piicheck.h - check digits and rules of numbers that belong to people. Pure functions over digits
 * ('0' to '9') without separators; lengths are the caller's. */
#ifndef DS_PIICHECK_H
#define DS_PIICHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 12 to 19 digits that begin as a payment card's number does, and Luhn (ISO/IEC 7812-1). */
bool ds_check_card(const char *d, size_t n);
/* 17 digits and a digit or X: GB 11643-1999: province, day of birth, ISO 7064 MOD 11-2. */
bool ds_check_cn(const char d[18]);
/* 9 digits: area neither 000, 666 nor 9xx, group not 00, serial not 0000. */
bool ds_check_ssn(const char d[9]);
/* 8 digits and a letter (NIE: X, Y, Z stand for 0, 1, 2): the number modulo 23. */
bool ds_check_dni(const char d[8], char letter);
/* 11 digits: Steuer-Identifikationsnummer: which digits may repeat, ISO 7064 MOD 11,10. */
bool ds_check_steuer(const char d[11]);
/* 15 digits, number of the French social security: sex, month, 97 - number mod 97. Not Corsica's
 * 2A and 2B. */
bool ds_check_nir(const char d[15]);
/* 10 digits: weights 10 to 2, modulo 11. */
bool ds_check_nhs(const char d[10]);
/* Letters (upper case) and digits: length by country, ISO 13616, ISO 7064 MOD 97-10. */
bool ds_check_iban(const char *s, size_t n);
size_t ds_iban_length(const char *country); /* two letters; 0 = none */
/* Is it an address on the open internet? */
bool ds_ipv4_public(const uint8_t a[4]);
bool ds_ipv6_public(const uint8_t a[16]);

#endif
