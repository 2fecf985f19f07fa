/* A bare event loop: answers every request with the bytes of a file. The floor for the CPU time of a poll.
 *
 * Usage: bare_loop PORT LOOPS FILE. Each loop has its own thread and socket. A request ends with an empty line and has no body; nothing
 * else of it is read, except whether it says `Connection: close`. Requests are answered where they are accepted, if they have arrived. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, EVENTS = 256, ACCEPT_BATCH = 64, MAX_REQUEST = 4096 };
enum outcome { KEEP, END };

static char *answer;
static size_t answer_length;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void read_answer(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail(path);
    answer_length = (size_t)ftell(file);
    rewind(file);
    answer = malloc(answer_length);
    if (!answer || fread(answer, 1, answer_length, file) != answer_length) fail(path);
    fclose(file);
}

static int listener(int port) {
    int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(socket_fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    /* Connections inherit this option. */
    setsockopt(socket_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(socket_fd, (struct sockaddr *)&address, sizeof address) || listen(socket_fd, BACKLOG)) fail("listen");
    return socket_fd;
}

/* Answers the requests that have arrived. The answers are small, so a socket that takes only a part of one is an error. */
static enum outcome serve(int connection) {
    char request[MAX_REQUEST];
    ssize_t length = recv(connection, request, sizeof request, 0);
    if (length < 0) return errno == EAGAIN ? KEEP : END;
    if (length < 4 || memcmp(request + length - 4, "\r\n\r\n", 4)) return END;
    if (send(connection, answer, answer_length, MSG_NOSIGNAL) != (ssize_t)answer_length) return END;
    return memmem(request, (size_t)length, "Connection: close", 17) ? END : KEEP;
}

static void watch(int loop, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
}

static void accept_waiting(int loop, int socket_fd) {
    for (int number = 0; number < ACCEPT_BATCH; number++) {
        int connection = accept4(socket_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection < 0) return;
        if (serve(connection) == END) close(connection);
        else watch(loop, connection);
    }
}

static void *run(void *argument) {
    int socket_fd = (int)(long)argument, loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];
    watch(loop, socket_fd);
    for (;;) {
        int count = epoll_wait(loop, events, EVENTS, -1);
        for (int index = 0; index < count; index++) {
            int fd = events[index].data.fd;
            if (fd == socket_fd) accept_waiting(loop, socket_fd);
            else if (serve(fd) == END) close(fd);
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    read_answer(arguments[3]);
    int loops = atoi(arguments[2]);
    pthread_t thread;
    for (int number = 0; number < loops; number++) {
        if (pthread_create(&thread, NULL, run, (void *)(long)listener(atoi(arguments[1])))) fail("pthread_create");
    }
    pthread_join(thread, NULL);
    return 0;
}
