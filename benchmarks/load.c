/*
 * A single-threaded WebSocket load generator for one server on loopback.
 *
 *     load echo    PORT PATH CONNECTIONS SIZE DEPTH SECONDS WARMUP FROZEN
 *     load fan     PORT PATH CONNECTIONS SIZE DEPTH SECONDS WARMUP FROZEN
 *     load connect PORT PATH CONNECTIONS SIZE DEPTH SECONDS WARMUP FROZEN
 *     load idle    PORT PATH CONNECTIONS SIZE DEPTH SECONDS WARMUP FROZEN
 *
 * echo:    every connection keeps DEPTH messages of SIZE bytes in flight. Replies that arrive together are answered
 *          together, with one write.
 * fan:     connection 0 publishes and every connection, 0 too, receives. DEPTH publishes are in flight, counted by the
 *          copies that connection 0 gets. Latency is taken at every subscriber, from the publish to the delivery. The
 *          last FROZEN of the connections stop reading after their first message, for good; counted are the others.
 * connect: CONNECTIONS clients at a time connect, upgrade, send a close frame and wait for the end of the stream.
 * idle:    every connection gets one echo, then stays silent for as long as the caller likes.
 *
 * It speaks to its caller in lines of JSON on standard output, each with a "phase":
 *
 *     connected   all handshakes are done
 *     measuring   the warm-up is over, counting begins
 *     result      the numbers
 *     stalled     frozen clients hold up all the others, before anything could be measured
 *     error       the run is void, "message" says why
 *
 * and it keeps its connections open until standard input ends, so that the caller can look at the server meanwhile.
 *
 * Every payload byte that comes back is compared with what was sent. All messages are equal, which is why a
 * connection's queue of outgoing messages is only a number. Nothing here waits for one socket: what the kernel does not
 * take at once is sent when epoll says so.
 *
 * Compiled with -DTLS and OpenSSL it speaks TLS, and does not check the certificate.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

enum {
    EVENTS = 512,
    RECEIVE_SIZE = 1 << 18,
    BATCH_SIZE = 1 << 16,        /* equal frames in a row, so that one write sends several */
    HEAD_SIZE = 4096,            /* the longest handshake response that is understood */
    CONTROL_SIZE = 125,          /* RFC 6455, 5.5: the longest payload of a control frame */
    HANDSHAKES = 64,             /* at a time, while the connections are being opened */
    PORTS_PER_ADDRESS = 20000,   /* then the next address of 127.0.0.0/8 */
    PUBLISHES = 1 << 16,         /* publishing times that are remembered, a power of two */
    FROZEN_BUFFER = 4096,        /* what the kernel keeps for a client that does not read */
    FROZEN_BYTES = 3 << 20,      /* published to frozen clients before it counts: by then their sockets are full,
                                    which took 2.8 MB where net.ipv4.tcp_wmem allows 4 MiB */
};

static const double CONNECT_SECONDS = 60, SETTLE_SECONDS = 0.3, FIRST_SECONDS = 10, FILL_SECONDS = 60, STALL_SECONDS = 5, DRAIN_SECONDS = 2;

static const uint8_t MASK[4] = {0x12, 0x34, 0x56, 0x78};
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";            /* RFC 6455, 1.3 has this key and the answer to it */
static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

enum mode { ECHO, FAN, CONNECT, IDLE };
enum state { UNUSED, CONNECTING, UPGRADING, OPEN, CLOSING };
enum opcode { CONTINUATION, TEXT, BINARY, CLOSE = 8, PING, PONG };

struct connection {
    int fd;
    enum state state;
    bool wants_write;

    /* out: bytes under way, then a pong if one is due, then `queued` messages */
    const uint8_t *out;
    size_t out_left;
    uint64_t queued;
    uint8_t pong[6 + CONTROL_SIZE], pong_out[6 + CONTROL_SIZE];
    size_t pong_size;

    /* in: the handshake response, then frames; a frame's head is gathered, its payload is checked and forgotten */
    char *head;
    size_t head_size;
    uint8_t frame_head[10];
    size_t frame_head_size;
    uint64_t payload_left;
    uint64_t message_at;         /* how much of the message is there already, over all its fragments */
    uint8_t control[CONTROL_SIZE];
    size_t control_size;

    uint64_t sent, received;
    uint64_t *times;             /* echo: when the messages in flight were sent, a ring of `depth` */
    uint64_t started;            /* connect: when this client began */
#ifdef TLS
    SSL *tls;
#endif
};

static enum mode mode;
static int port, connections, depth, frozen;
static const char *path;
static size_t size;
static double seconds, warmup;

static struct connection *all;
static int epoll_fd, in_handshake, opened;
static uint8_t *payload, *batch, receive_buffer[RECEIVE_SIZE];
static size_t frame_size, batch_frames;
static uint64_t publish_times[PUBLISHES];
static uint64_t total, clients_finished;
static bool replying;            /* answer what arrives: true but while draining */

/* ------------------------------------------------------------------------------------------------ reporting */

static void fail(const char *format, ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    for (char *c = message; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = ' ';
    printf("{\"phase\": \"error\", \"message\": \"%s\"}\n", message);
    exit(1);
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static uint64_t after(double s) { return now_ns() + (uint64_t)(s * 1e9); }

/*
 * Latencies go into a histogram: 64 buckets per power of two, so a percentile is right to 1.6 %, recording is a
 * handful of instructions, and a long run takes no more memory than a short one.
 */
enum { SUB_BITS = 6, SUB = 1 << SUB_BITS };
static uint64_t histogram[64 << SUB_BITS], recorded, longest;

static void record(uint64_t ns) {
    int shift = ns < SUB ? 0 : 63 - __builtin_clzll(ns) - SUB_BITS;
    histogram[((uint64_t)shift << SUB_BITS) + (ns >> shift)]++;
    recorded++;
    if (ns > longest)
        longest = ns;
}

static double percentile_us(double fraction) {
    uint64_t wanted = (uint64_t)(fraction * (double)recorded), seen = 0;
    for (size_t i = 0; i < sizeof histogram / sizeof *histogram; i++) {
        seen += histogram[i];
        if (seen > wanted) {
            int shift = i < 2 * SUB ? 0 : (int)(i >> SUB_BITS) - 1;
            return (double)((i - ((uint64_t)shift << SUB_BITS)) << shift) / 1e3;
        }
    }
    return (double)longest / 1e3;
}

/* --------------------------------------------------------------------------------------------------- sockets */

/* Both are recv(2) and send(2) in what they return, also where the bytes go through TLS. */
#ifdef TLS
static SSL_CTX *tls_context;

static ssize_t tls_result(struct connection *c, int n) {
    if (n > 0)
        return n;
    switch (SSL_get_error(c->tls, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        break;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SSL:
        errno = EPROTO;
    }
    ERR_clear_error();
    return -1;
}

static ssize_t receive_some(struct connection *c, void *buffer, size_t length) {
    ERR_clear_error();
    return tls_result(c, SSL_read(c->tls, buffer, (int)length));
}

static ssize_t send_some(struct connection *c, const void *data, size_t length) {
    ERR_clear_error();
    return tls_result(c, SSL_write(c->tls, data, length < BATCH_SIZE ? (int)length : BATCH_SIZE));
}

static void open_tls(struct connection *c) {
    if (!tls_context) {
        tls_context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    c->tls = SSL_new(tls_context);
    SSL_set_fd(c->tls, c->fd);
    SSL_set_connect_state(c->tls);
}
#else
static ssize_t receive_some(struct connection *c, void *buffer, size_t length) {
    return recv(c->fd, buffer, length, 0);
}

static ssize_t send_some(struct connection *c, const void *data, size_t length) {
    return send(c->fd, data, length, MSG_NOSIGNAL);
}
#endif

/* -------------------------------------------------------------------------------------------------- sending */

static void build_frames(void) {
    uint8_t head[14];
    size_t n = 0;
    head[n++] = 0x80 | TEXT;
    if (size < 126) {
        head[n++] = 0x80 | (uint8_t)size;
    } else if (size < 65536) {
        head[n++] = 0x80 | 126;
        head[n++] = (uint8_t)(size >> 8);
        head[n++] = (uint8_t)size;
    } else {
        head[n++] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            head[n++] = (uint8_t)((uint64_t)size >> shift);
    }
    memcpy(head + n, MASK, 4);
    n += 4;

    frame_size = n + size;
    batch_frames = frame_size < BATCH_SIZE ? BATCH_SIZE / frame_size : 1;
    payload = malloc(size + 1);
    batch = malloc(batch_frames * frame_size);
    for (size_t i = 0; i < size; i++)
        payload[i] = (uint8_t)('a' + i % 26);
    for (size_t k = 0; k < batch_frames; k++) {
        uint8_t *frame = batch + k * frame_size;
        memcpy(frame, head, n);
        for (size_t i = 0; i < size; i++)
            frame[n + i] = payload[i] ^ MASK[i % 4];
    }
}

/*
 * Edge-triggered: level-triggered, epoll looks at a socket once more after each read, a tenth of this program's time at
 * a fan-out. So a read must go on until it got less than it asked for, and until the end once the end is announced.
 */
static const uint32_t READ = EPOLLIN | EPOLLRDHUP | EPOLLET;

static void watch(struct connection *c, bool write) {
    struct epoll_event event = {.events = READ | (write ? EPOLLOUT : 0), .data.u32 = (uint32_t)(c - all)};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event))
        fail("epoll_ctl: %s", strerror(errno));
    c->wants_write = write;
}

static void next_out(struct connection *c) {
    if (c->pong_size) {
        memcpy(c->pong_out, c->pong, c->pong_size);
        c->out = c->pong_out;
        c->out_left = c->pong_size;
        c->pong_size = 0;
    } else if (c->queued) {
        uint64_t frames = c->queued < batch_frames ? c->queued : batch_frames;
        c->out = batch;
        c->out_left = frames * frame_size;
        c->queued -= frames;
    }
}

static void flush(struct connection *c) {
    for (;;) {
        if (!c->out_left)
            next_out(c);
        if (!c->out_left)
            break;
        ssize_t n = send_some(c, c->out, c->out_left);
        if (n < 0) {
            if (errno != EAGAIN)
                fail("send on connection %d: %s", (int)(c - all), strerror(errno));
            if (!c->wants_write)
                watch(c, true);
            return;
        }
        c->out += n;
        c->out_left -= (size_t)n;
    }
    if (c->wants_write)
        watch(c, false);
}

static void send_messages(struct connection *c, uint64_t count, uint64_t now) {
    for (uint64_t i = 0; i < count; i++, c->sent++) {
        if (mode == FAN)
            publish_times[c->sent % PUBLISHES] = now;
        else
            c->times[c->sent % (uint64_t)depth] = now;
    }
    c->queued += count;
    flush(c);
}

/* ------------------------------------------------------------------------------------------------ handshake */

static void begin(struct connection *c, uint64_t number) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        fail("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c - all >= connections - frozen) {
        int little = FROZEN_BUFFER;
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    }

    /* One address has 28,000 ports to connect from, and a closed connection keeps its port for a minute. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(
        INADDR_LOOPBACK + (uint32_t)(number / PORTS_PER_ADDRESS % 200))};
    if (number >= PORTS_PER_ADDRESS && bind(fd, (struct sockaddr *)&source, sizeof source))
        fail("bind: %s", strerror(errno));

    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));

    uint64_t *times = c->times;
    *c = (struct connection){.fd = fd, .state = CONNECTING, .wants_write = true, .times = times, .started = now_ns()};
    c->head = malloc(HEAD_SIZE);
#ifdef TLS
    open_tls(c);
#endif
    struct epoll_event event = {.events = READ | EPOLLOUT, .data.u32 = (uint32_t)(c - all)};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl: %s", strerror(errno));
    in_handshake++;
}

static void send_upgrade(struct connection *c) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error)
        fail("connection %d: %s", (int)(c - all), strerror(error));

    char request[1024];
    int n = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\n"
        "Host: 127.0.0.1:%d\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        "Sec-WebSocket-Key: %s\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "\r\n", path, port, KEY);
    ssize_t sent = send_some(c, request, (size_t)n);
    if (sent < 0 && errno == EAGAIN)
        return;   /* TLS has a handshake of its own, and we are called again */
    if (sent != n)   /* an empty socket buffer takes this much */
        fail("send of the handshake: %s", strerror(errno));
    c->state = UPGRADING;
    watch(c, false);
}

static void send_close(struct connection *c) {
    uint8_t frame[8] = {0x80 | CLOSE, 0x80 | 2, MASK[0], MASK[1], MASK[2], MASK[3], 0x03 ^ MASK[0], 0xe8 ^ MASK[1]};
    if (send_some(c, frame, sizeof frame) != sizeof frame)
        fail("send of a close frame: %s", strerror(errno));
    c->state = CLOSING;
}

/* Returns how many bytes of `data` belong to the response. */
static size_t receive_head(struct connection *c, const uint8_t *data, size_t length) {
    size_t room = HEAD_SIZE - 1 - c->head_size, taken = length < room ? length : room, before = c->head_size;
    memcpy(c->head + before, data, taken);
    c->head_size += taken;
    c->head[c->head_size] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) {
        if (taken == room)
            fail("the handshake response is longer than %d bytes", HEAD_SIZE);
        return taken;
    }
    end[2] = 0;
    if (strncmp(c->head, "HTTP/1.1 101 ", 13))
        fail("the server answered the handshake with: %.60s", c->head);
    if (!strstr(c->head, ACCEPT))
        fail("the handshake response has no valid Sec-WebSocket-Accept");
    if (strcasestr(c->head, "\nsec-websocket-extensions:"))
        fail("the server chose an extension that nobody offered");

    size_t used = (size_t)(end + 4 - c->head) - before;
    free(c->head);
    c->head = NULL;
    c->state = OPEN;
    in_handshake--;
    opened++;
    if (mode == CONNECT)
        send_close(c);
    return used;
}

/* ------------------------------------------------------------------------------------------------ receiving */

static void answer_ping(struct connection *c) {
    c->pong[0] = 0x80 | PONG;
    c->pong[1] = (uint8_t)(0x80 | c->control_size);
    memcpy(c->pong + 2, MASK, 4);
    for (size_t i = 0; i < c->control_size; i++)
        c->pong[6 + i] = c->control[i] ^ MASK[i % 4];
    c->pong_size = 6 + c->control_size;
    flush(c);
}

static void finish_message(struct connection *c, uint64_t now) {
    if (c->message_at != size)
        fail("connection %d received %" PRIu64 " bytes instead of %zu", (int)(c - all), c->message_at, size);
    c->message_at = 0;
    if (mode == FAN) {
        if (c->received >= all->sent)
            fail("connection %d received more messages than were published", (int)(c - all));
        if (all->sent - c->received <= PUBLISHES)
            record(now - publish_times[c->received % PUBLISHES]);
    } else {
        if (c->received >= c->sent)
            fail("connection %d received more messages than it sent", (int)(c - all));
        record(now - c->times[c->received % (uint64_t)depth]);
    }
    c->received++;
    total++;
}

/* The head of a frame is complete when it returns true. */
static bool gather_frame_head(struct connection *c, uint8_t byte) {
    uint8_t *head = c->frame_head;
    head[c->frame_head_size++] = byte;
    if (c->frame_head_size < 2)
        return false;
    if (head[1] & 0x80)
        fail("the server sent a masked frame");
    size_t extra = head[1] == 126 ? 2 : head[1] == 127 ? 8 : 0;
    if (c->frame_head_size < 2 + extra)
        return false;
    c->payload_left = extra ? 0 : head[1];
    for (size_t i = 0; i < extra; i++)
        c->payload_left = c->payload_left << 8 | head[2 + i];
    c->frame_head_size = 0;
    c->control_size = 0;
    return true;
}

static void receive_payload(struct connection *c, const uint8_t *data, size_t length) {
    if (c->frame_head[0] & 8) {
        if (c->control_size + length > CONTROL_SIZE)
            fail("the server sent a control frame that is too long");
        memcpy(c->control + c->control_size, data, length);
        c->control_size += length;
    } else {
        if (c->message_at + length > size || memcmp(payload + c->message_at, data, length))
            fail("connection %d received wrong bytes", (int)(c - all));
        c->message_at += length;
    }
    c->payload_left -= length;
}

/* Returns how many messages this frame completed: 0 or 1. */
static int finish_frame(struct connection *c, uint64_t now) {
    int opcode = c->frame_head[0] & 15;
    switch (opcode) {
    case CONTINUATION:
    case TEXT:
    case BINARY:
        if (!(c->frame_head[0] & 0x80))
            return 0;
        finish_message(c, now);
        return 1;
    case PING:
        answer_ping(c);
        return 0;
    case PONG:
        return 0;
    case CLOSE:
        if (c->state != CLOSING)
            fail("the server closed connection %d with code %d", (int)(c - all),
                 c->control_size >= 2 ? c->control[0] << 8 | c->control[1] : 1005);
        return 0;
    default:
        fail("the server sent a frame with opcode %d", opcode);
        return 0;
    }
}

static void receive_frames(struct connection *c, const uint8_t *data, size_t length) {
    uint64_t now = now_ns(), messages = 0;
    const uint8_t *end = data + length;
    while (data < end) {
        if (!c->payload_left) {
            if (!gather_frame_head(c, *data++))
                continue;
        } else {
            size_t here = (uint64_t)(end - data) < c->payload_left ? (size_t)(end - data) : (size_t)c->payload_left;
            receive_payload(c, data, here);
            data += here;
        }
        if (!c->payload_left)
            messages += (uint64_t)finish_frame(c, now);
    }
    if (messages && replying && (mode == ECHO || (mode == FAN && c == all)))
        send_messages(c, messages, now);
}

static void finish_client(struct connection *c) {
#ifdef TLS
    SSL_free(c->tls);
#endif
    close(c->fd);
    record(now_ns() - c->started);
    c->state = UNUSED;
    clients_finished++;
}

/* Returns whether there may be more. */
static bool read_once(struct connection *c, bool ended) {
    ssize_t n = receive_some(c, receive_buffer, sizeof receive_buffer);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0) {
        if (c->state == CLOSING)
            finish_client(c);
        else
            fail("connection %d ended: %s", (int)(c - all), n ? strerror(errno) : "end of file");
        return false;
    }
    size_t used = 0;
    if (c->state == UPGRADING)
        used = receive_head(c, receive_buffer, (size_t)n);
    if (used < (size_t)n)
        receive_frames(c, receive_buffer + used, (size_t)n - used);
#ifdef TLS
    return true;   /* a read gives one record at most */
#endif
    return ended || (size_t)n == sizeof receive_buffer;
}

static void readable(struct connection *c, bool ended) {
    while (read_once(c, ended))
        ;
}

/* ---------------------------------------------------------------------------------------------------- phases */

static void turn(uint64_t deadline) {
    struct epoll_event events[EVENTS];
    uint64_t now = now_ns();
    int wait = now < deadline ? (int)((deadline - now) / 1000000) + 1 : 0;
    int n = epoll_wait(epoll_fd, events, EVENTS, wait < 100 ? wait : 100);
    for (int i = 0; i < n; i++) {
        struct connection *c = &all[events[i].data.u32];
        if (c->state == CONNECTING)
            send_upgrade(c);
        else if (events[i].events & EPOLLOUT)
            flush(c);
        if (c->state > CONNECTING && events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            readable(c, events[i].events & ~(uint32_t)(EPOLLIN | EPOLLOUT));
    }
}

static void turn_until(uint64_t deadline) {
    while (now_ns() < deadline)
        turn(deadline);
}

static double open_all(void) {
    uint64_t start = now_ns(), deadline = after(CONNECT_SECONDS);
    int begun = 0;
    while (opened < connections) {
        while (begun < connections && in_handshake < HANDSHAKES) {
            begin(&all[begun], (uint64_t)begun);
            begun++;
        }
        turn(deadline);
        if (now_ns() > deadline)
            fail("only %d of %d connections were open after %.0f s", opened, connections, CONNECT_SECONDS);
    }
    return (double)(now_ns() - start) / 1e9;
}

/* One message to everybody, with nothing else going on: whoever is not listening yet shows here. */
static void first_message(void) {
    uint64_t deadline = after(FIRST_SECONDS), now = now_ns(), wanted = (uint64_t)connections;
    replying = false;
    if (mode == FAN)
        send_messages(all, 1, now);
    else
        for (int i = 0; i < connections; i++)
            send_messages(&all[i], 1, now);
    while (total < wanted && now_ns() < deadline)
        turn(deadline);
    if (total < wanted)
        fail("only %" PRIu64 " of %d connections received the first message", total, connections);
}

static void freeze(void) {
    for (int i = connections - frozen; i < connections; i++)
        if (epoll_ctl(epoll_fd, EPOLL_CTL_DEL, all[i].fd, NULL))
            fail("epoll_ctl: %s", strerror(errno));
}

/*
 * Until their sockets are full, frozen clients do no harm. A server that waits for one of them stands still then: that is
 * a result too, and false is returned.
 */
static bool fill_the_frozen(void) {
    uint64_t deadline = after(FILL_SECONDS), seen = 0, patience = 0;
    while (all->received * size < FROZEN_BYTES) {
        if (all->received != seen || !patience) {
            seen = all->received;
            patience = after(STALL_SECONDS);
        }
        turn(patience);
        if (now_ns() > patience) {
            printf("{\"phase\": \"stalled\", \"seconds\": %.1f, \"messages\": %" PRIu64 "}\n", STALL_SECONDS, seen);
            return false;
        }
        if (now_ns() > deadline)
            fail("the frozen clients had not filled up after %.0f s, with %.1f MB published to each", FILL_SECONDS,
                 (double)(all->received * size) / 1e6);
    }
    return true;
}

static uint64_t missing(void) {
    uint64_t count = 0;
    for (int i = 0; i < connections - frozen; i++)
        count += (mode == FAN ? all->sent : all[i].sent) - all[i].received;
    return count;
}

static void messages_for(double s) {
    turn_until(after(s));
}

static void clients_for(double s) {
    static uint64_t number;
    uint64_t deadline = after(s);
    while (now_ns() < deadline) {
        for (int i = 0; i < connections; i++)
            if (all[i].state == UNUSED)
                begin(&all[i], number++);
        turn(deadline);
    }
}

static void wait_for_caller(void) {
    char ignored[64];
    while (read(STDIN_FILENO, ignored, sizeof ignored) > 0)
        ;
}

static void measure(void (*run_for)(double), const uint64_t *counter) {
    if (mode == FAN) {
        replying = true;
        send_messages(all, (uint64_t)depth, now_ns());
        if (frozen && !fill_the_frozen())
            return;
    } else if (mode == ECHO) {
        replying = true;
        for (int i = 0; i < connections; i++)
            send_messages(&all[i], (uint64_t)depth, now_ns());
    }
    run_for(warmup);

    memset(histogram, 0, sizeof histogram);
    recorded = longest = 0;
    uint64_t before = *counter, start = now_ns(), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    puts("{\"phase\": \"measuring\"}");
    run_for(seconds);
    uint64_t count = *counter - before;
    double elapsed = (double)(now_ns() - start) / 1e9;
    double used = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e9;
    puts("{\"phase\": \"measured\"}");

    double p50 = percentile_us(0.5), p99 = percentile_us(0.99), max = (double)longest / 1e3;
    uint64_t lost = 0;
    if (mode != CONNECT) {
        uint64_t deadline = after(DRAIN_SECONDS);
        replying = false;
        while ((lost = missing()) && now_ns() < deadline)
            turn(deadline);
    }
    printf("{\"phase\": \"result\", \"count\": %" PRIu64 ", \"seconds\": %.6f, \"cpu_seconds\": %.6f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"missing\": %" PRIu64 "}\n",
           count, elapsed, used, p50, p99, max, lost);
}

static void parse_arguments(int count, char **arguments) {
    static const char *const names[] = {"echo", "fan", "connect", "idle"};
    if (count != 10) {
        fprintf(stderr, "usage: load echo|fan|connect|idle PORT PATH CONNECTIONS SIZE DEPTH SECONDS WARMUP FROZEN\n");
        exit(2);
    }
    int found = 0;
    while (found < 4 && strcmp(names[found], arguments[1]))
        found++;
    mode = (enum mode)found;
    port = atoi(arguments[2]);
    path = arguments[3];
    connections = atoi(arguments[4]);
    size = strtoul(arguments[5], NULL, 10);
    depth = atoi(arguments[6]);
    seconds = atof(arguments[7]);
    warmup = atof(arguments[8]);
    frozen = atoi(arguments[9]);
    if (found == 4 || port < 1 || connections < 1 || depth < 1 || depth >= PUBLISHES || frozen < 0
        || frozen >= connections || (frozen && mode != FAN))
        fail("these arguments make no sense");
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    parse_arguments(count, arguments);
    build_frames();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    all = calloc((size_t)connections, sizeof *all);
    for (int i = 0; i < connections && mode != FAN; i++)
        all[i].times = calloc((size_t)depth, sizeof *all[i].times);

    if (mode == CONNECT) {
        measure(clients_for, &clients_finished);
    } else {
        double took = open_all();
        /* An endpoint may accept first and subscribe a moment later. */
        turn_until(after(SETTLE_SECONDS));
        first_message();
        printf("{\"phase\": \"connected\", \"seconds\": %.6f}\n", took);
        freeze();
        if (mode != IDLE)
            measure(messages_for, &total);
    }
    wait_for_caller();
    return 0;
}
