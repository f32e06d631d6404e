/*
 * The least that a WebSocket server can do: how fast the load generator and this machine are without one.
 *
 *     floor PORT
 *
 * One thread, one epoll set. What one read gave is unmasked and sent back with one write, on /fan with one write to
 * everybody there. No limits, no deadlines, no UTF-8, no fragments, no pings. Writes block until the kernel has taken
 * everything, which holds up all the others, so this is no server for anybody but the load generator.
 */

#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 512, CLIENTS = 1 << 16, LEAST = 1 << 12, CLOSE = 8 };

/* The answer to the one key that the load generator uses (RFC 6455, 1.3). */
static const char ACCEPT[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct client {
    bool open, closing;
    int subscriber;              /* its place among the subscribers, -1 if it is none */
    uint8_t *in;
    size_t used, room;
};

static struct client *clients[CLIENTS];
static int subscribers[CLIENTS], subscriber_count;
static uint8_t *out;
static size_t out_room;

static void forget(int fd) {
    struct client *c = clients[fd];
    if (c->subscriber >= 0) {
        int last = subscribers[--subscriber_count];
        subscribers[c->subscriber] = last;
        clients[last]->subscriber = c->subscriber;
    }
    free(c->in);
    free(c);
    clients[fd] = NULL;
    close(fd);
}

static void open_client(int fd, struct client *c) {
    if (!memmem(c->in, c->used, "\r\n\r\n", 4))
        return;
    if (c->used >= 8 && !memcmp(c->in, "GET /fan", 8)) {
        c->subscriber = subscriber_count;
        subscribers[subscriber_count++] = fd;
    }
    c->open = true;
    c->used = 0;
    send(fd, ACCEPT, sizeof ACCEPT - 1, MSG_NOSIGNAL);
}

/* Copies the whole frames into `out`, unmasked, and returns how many bytes that are. */
static size_t unmask_frames(struct client *c) {
    size_t at = 0, made = 0;
    while (c->used - at >= 6 && !c->closing) {
        const uint8_t *frame = c->in + at;
        size_t size = frame[1] & 127, extra = size == 126 ? 2 : size == 127 ? 8 : 0, head = 2 + extra;
        if (c->used - at < head + 4)
            break;
        if (extra)
            size = 0;
        for (size_t i = 0; i < extra; i++)
            size = size << 8 | frame[2 + i];
        if (c->used - at < head + 4 + size)
            break;
        c->closing = (frame[0] & 15) == CLOSE;
        memcpy(out + made, frame, head);
        out[made + 1] &= 127;
        for (size_t i = 0; i < size; i++)
            out[made + head + i] = frame[head + 4 + i] ^ frame[head + (i & 3)];
        made += head + size;
        at += head + 4 + size;
    }
    memmove(c->in, c->in + at, c->used - at);
    c->used -= at;
    return made;
}

static void readable(int fd) {
    struct client *c = clients[fd];
    if (c->room - c->used < LEAST) {
        c->room = c->room ? 2 * c->room : LEAST;
        c->in = realloc(c->in, c->room);
    }
    ssize_t n = recv(fd, c->in + c->used, c->room - c->used, MSG_DONTWAIT);
    if (n <= 0) {
        forget(fd);
        return;
    }
    c->used += (size_t)n;
    if (!c->open) {
        open_client(fd, c);
        return;
    }
    if (out_room < c->room)
        out = realloc(out, out_room = c->room);
    size_t made = unmask_frames(c);
    if (made && c->subscriber >= 0 && !c->closing)
        for (int i = 0; i < subscriber_count; i++)
            send(subscribers[i], out, made, MSG_NOSIGNAL);
    else if (made)
        send(fd, out, made, MSG_NOSIGNAL);
    if (c->closing)
        shutdown(fd, SHUT_WR);
}

int main(int count, char **arguments) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), epoll_fd = epoll_create1(0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons((uint16_t)(count == 2 ? atoi(arguments[1]) : 0));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (count != 2 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        fprintf(stderr, "usage: floor PORT, a port of 127.0.0.1 that is free\n");
        return 2;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                readable(events[i].data.fd);
                continue;
            }
            int fd = accept(listener, NULL, NULL);
            if (fd < 0 || fd >= CLIENTS)
                continue;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            clients[fd] = calloc(1, sizeof *clients[fd]);
            clients[fd]->subscriber = -1;
            event.data.fd = fd;
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
        }
    }
}
