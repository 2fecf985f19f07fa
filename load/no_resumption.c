/* Preloaded into wrk: every TLS connection begins without a session, as that of an agent does. wrk would resume its last one.
 *
 * At the end it prints how many handshakes there were, and how many of them were resumed, or not TLS 1.3. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

enum { TLS_1_3 = 0x304 };

int SSL_in_before(const void *connection);
int SSL_set_session(void *connection, void *session);
int SSL_session_reused(const void *connection);
int SSL_version(const void *connection);

static long handshakes, resumed, older;

int SSL_connect(void *connection) {
    static int (*connect)(void *);
    if (!connect) connect = (int (*)(void *))dlsym(RTLD_NEXT, "SSL_connect");
    if (SSL_in_before(connection)) SSL_set_session(connection, NULL);
    int result = connect(connection);
    if (result == 1) {
        handshakes++;
        resumed += SSL_session_reused(connection);
        older += SSL_version(connection) != TLS_1_3;
    }
    return result;
}

__attribute__((destructor)) static void print(void) {
    if (handshakes) printf("handshakes %ld %ld %ld\n", handshakes, resumed, older);
}
