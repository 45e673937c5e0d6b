/* Keeps WINDOW datagrams of BYTES in flight on each of FLOWS sockets and counts the echoes for SECONDS.
 *
 * The first second is not counted: flows are being set up then. A flow that hears nothing for 200 ms takes what it
 * has in flight for lost and sends one datagram anew. Prints JSON: echoes counted, datagrams lost, seconds. */
#include "common.h"

enum { BATCH = 64, EVENTS = 256, LARGEST = 65507, BUFFER = 4 << 20 };
static const double WARM_UP = 1.0, PATIENCE = 0.2;

struct flow {
    int fd;
    long in_flight;
    double heard;
};

static char payload[LARGEST], echoed[BATCH][64];
static struct iovec outgoing, incoming[BATCH];
static struct mmsghdr sends[BATCH], receipts[BATCH];
static long echoes, lost;

static void prepare(long bytes)
{
    memset(payload, 'u', sizeof payload);
    outgoing = (struct iovec){payload, bytes};
    for (int i = 0; i < BATCH; i++) {
        sends[i].msg_hdr = (struct msghdr){.msg_iov = &outgoing, .msg_iovlen = 1};
        incoming[i] = (struct iovec){echoed[i], sizeof echoed[i]}; /* the rest of each is cut off unread */
        receipts[i].msg_hdr = (struct msghdr){.msg_iov = &incoming[i], .msg_iovlen = 1};
    }
}

static void fill(struct flow *flow, long window)
{
    while (flow->in_flight < window) {
        long missing = window - flow->in_flight;
        int sent = sendmmsg(flow->fd, sends, missing < BATCH ? missing : BATCH, MSG_DONTWAIT);
        if (sent <= 0)
            return;
        flow->in_flight += sent;
    }
}

static void receive(struct flow *flow, double time)
{
    int received = recvmmsg(flow->fd, receipts, BATCH, MSG_DONTWAIT, NULL);
    if (received <= 0)
        return;
    echoes += received;
    flow->in_flight = received < flow->in_flight ? flow->in_flight - received : 0;
    flow->heard = time;
}

static void give_up(struct flow *flow, double time)
{
    lost += flow->in_flight;
    flow->in_flight = 0;
    flow->heard = time;
    fill(flow, 1);
}

static void open_flow(struct flow *flow, struct sockaddr_in target, int epoll)
{
    int buffer = BUFFER;
    flow->fd = socket(AF_INET, SOCK_DGRAM, 0);
    flow->heard = now();
    setsockopt(flow->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    check(connect(flow->fd, (struct sockaddr *)&target, sizeof target) < 0, "connect");
    watch(epoll, flow->fd, EPOLLIN, (unsigned long long)(size_t)flow);
    fill(flow, 1);
}

int main(int count, char **arguments)
{
    const char *usage = "PORT FLOWS WINDOW SECONDS BYTES";
    struct sockaddr_in target = loopback(number(count, arguments, 1, 65535, usage));
    long flow_count = number(count, arguments, 2, 10000, usage);
    long window = number(count, arguments, 3, 10000, usage);
    double seconds = number(count, arguments, 4, 3600, usage);
    prepare(number(count, arguments, 5, LARGEST, usage));

    int epoll = epoll_create1(0);
    struct flow *flows = calloc(flow_count, sizeof *flows);
    check(!flows, "calloc");
    for (long i = 0; i < flow_count; i++)
        open_flow(&flows[i], target, epoll);

    double counted_from = now() + WARM_UP, time;
    int warm = 0;
    while ((time = now()) < counted_from + seconds) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, 50);
        if (!warm && time >= counted_from)
            warm = 1, echoes = 0, lost = 0;
        for (int i = 0; i < ready; i++) {
            struct flow *flow = (struct flow *)(size_t)events[i].data.u64;
            receive(flow, time);
            fill(flow, window);
        }
        for (long i = 0; i < flow_count; i++)
            if (time - flows[i].heard > PATIENCE)
                give_up(&flows[i], time);
    }
    printf("{\"echoes\": %ld, \"lost\": %ld, \"seconds\": %.4f}\n", echoes, lost, now() - counted_from);
}
