/*
 * The bad network; see link.h. A TUN device leads to a thread that is the network: what the kernel
 * sends to FAR is given back to it as if it came from NEAR for 127.0.0.1, and the other way round.
 * So a server on the loopback interface sees a client that is far away, with nothing but the thread
 * between the two TCPs.
 */
#define _GNU_SOURCE

#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>

#include "test.h"

#define NAME "bad0"
#define OURS "192.0.2.1" /* of the device: the client's */
#define FAR "192.0.2.2"  /* what the client calls the server */
#define NEAR "192.0.2.3" /* what the server calls the client */
#define LOCAL "127.0.0.1"

#define PACKET 1600 /* bytes of one, at most */
#define QUEUE 8192  /* packets on their way, at most */
#define ROUTER 64   /* of them where the rate is limited */
#define PORTS 65536

struct packet {
	int64_t due_us;
	size_t len;
	unsigned char bytes[PACKET];
};

/* One direction: a ring. */
struct way {
	struct packet *packet;
	size_t first, count;
	int64_t free_us; /* when the line has sent what is in the ring */
};

struct link {
	int tun, stop[2];
	pthread_t thread;
	struct way way[2]; /* requests, replies; the thread's, like what follows */
	struct test_rng rng;
	unsigned known[PORTS]; /* the memory in which a client's port began to be used */
	unsigned reset[PORTS]; /* the reset that it has seen */

	atomic_int delay_ms, loss, rate, silent, silent_port;
	atomic_uint memory, resets;
	atomic_size_t packets, lost;
};

/* ---- making it ------------------------------------------------------------------------- */

static bool link_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* A network of our own; who is not root is in it whoever he was, and may do there what root may. */
static bool link_leave(void)
{
	unsigned uid = geteuid(), gid = getegid();

	if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNET : CLONE_NEWNET) != 0)
		return false;
	return !uid || (link_write("/proc/self/setgroups", "deny") &&
			link_write("/proc/self/uid_map", test_text("%u %u 1", uid, uid)) &&
			link_write("/proc/self/gid_map", test_text("%u %u 1", gid, gid)));
}

static bool link_up(int fd, const char *name, const char *address)
{
	struct sockaddr_in at = {.sin_family = AF_INET}, mask = {.sin_family = AF_INET};
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (address) {
		at.sin_addr.s_addr = inet_addr(address);
		memcpy(&request.ifr_addr, &at, sizeof(at));
		if (ioctl(fd, SIOCSIFADDR, &request) != 0)
			return false;
		mask.sin_addr.s_addr = inet_addr("255.255.255.0");
		memcpy(&request.ifr_netmask, &mask, sizeof(mask));
		if (ioctl(fd, SIOCSIFNETMASK, &request) != 0)
			return false;
	}
	if (ioctl(fd, SIOCGIFFLAGS, &request) != 0)
		return false;
	request.ifr_flags |= IFF_UP | IFF_RUNNING;
	return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

/* Packets for 127.0.0.1 may come from outside here. */
static bool link_devices(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && link_up(fd, "lo", NULL) && link_up(fd, NAME, OURS) &&
		  link_write("/proc/sys/net/ipv4/conf/" NAME "/route_localnet", "1");

	if (fd >= 0)
		close(fd);
	return ok;
}

static int link_tun(void)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", NAME);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* ---- packets ---------------------------------------------------------------------------- */

static uint32_t sum_add(uint32_t sum, const unsigned char *data, size_t len)
{
	size_t i;

	for (i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	if (len & 1)
		sum += (uint32_t)data[len - 1] << 8;
	return sum;
}

static void sum_put(unsigned char *to, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	to[0] = (unsigned char)(sum >> 8);
	to[1] = (unsigned char)sum;
}

static size_t packet_head(const struct packet *packet)
{
	return (size_t)(packet->bytes[0] & 15) * 4;
}

static unsigned char *packet_tcp(struct packet *packet)
{
	return packet->bytes + packet_head(packet);
}

/* Whether it is IPv4 with a whole TCP header. */
static bool packet_is_tcp(const struct packet *packet)
{
	return packet->len >= 40 && packet->bytes[0] >> 4 == 4 && packet->bytes[9] == IPPROTO_TCP &&
	       packet->len >= packet_head(packet) + 20;
}

static void packet_sums(struct packet *packet)
{
	unsigned char *ip = packet->bytes, *tcp = packet_tcp(packet);
	size_t head = packet_head(packet), len = packet->len - head;

	memset(ip + 10, 0, 2);
	sum_put(ip + 10, sum_add(0, ip, head));
	memset(tcp + 16, 0, 2);
	sum_put(tcp + 16, sum_add(sum_add((uint32_t)len + IPPROTO_TCP, ip + 12, 8), tcp, len));
}

static void packet_address(struct packet *packet, const char *from, const char *to)
{
	in_addr_t both[2] = {inet_addr(from), inet_addr(to)};

	memcpy(packet->bytes + 12, both, sizeof(both));
	packet_sums(packet);
}

static bool packet_is_for(const struct packet *packet, const char *address)
{
	in_addr_t to = inet_addr(address);

	return memcmp(packet->bytes + 16, &to, sizeof(to)) == 0;
}

static unsigned packet_port(struct packet *packet, bool to)
{
	const unsigned char *at = packet_tcp(packet) + (to ? 2 : 0);

	return (unsigned)at[0] << 8 | at[1];
}

/* Make of a packet the end of its connection, with the number that the receiver expects. */
static void packet_make_reset(struct packet *packet, const unsigned char number[4])
{
	unsigned char *tcp = packet_tcp(packet);

	packet->len = packet_head(packet) + 20;
	packet->bytes[2] = 0;
	packet->bytes[3] = (unsigned char)packet->len;
	memmove(tcp + 4, number, 4);
	memset(tcp + 8, 0, 4);
	tcp[12] = 5 << 4;
	tcp[13] = TH_RST;
	packet_sums(packet);
}

/* ---- the network ------------------------------------------------------------------------ */

static void link_deliver(struct link *link, const struct packet *packet)
{
	/* Where the kernel has no room it is lost, as packets are. */
	if (write(link->tun, packet->bytes, packet->len) < 0)
		link->lost++;
}

/* Reset both ends. */
static void link_break(struct link *link, struct packet *packet, bool reply)
{
	struct packet back = *packet;
	unsigned char port[4];

	packet_make_reset(packet, packet_tcp(packet) + 4);
	link_deliver(link, packet);
	memcpy(port, packet_tcp(&back), 4);
	memcpy(packet_tcp(&back), port + 2, 2);
	memcpy(packet_tcp(&back) + 2, port, 2);
	packet_make_reset(&back, packet_tcp(&back) + 8);
	packet_address(&back, reply ? NEAR : FAR, reply ? LOCAL : OURS);
	link_deliver(link, &back);
}

/* What becomes of a packet: whether it passes. */
static bool link_passes(struct link *link, struct packet *packet, bool reply)
{
	unsigned port = packet_port(packet, reply), memory = link->memory;
	unsigned flags = packet_tcp(packet)[13];

	if (link->silent & (reply ? LINK_REPLIES : LINK_REQUESTS))
		return false;
	if ((int)packet_port(packet, !reply) == link->silent_port)
		return false;
	if (!reply && (flags & (TH_SYN | TH_ACK)) == TH_SYN) {
		link->known[port] = memory;
		link->reset[port] = link->resets;
	}
	if (link->known[port] != memory)
		return false;
	if ((int)test_rng_below(&link->rng, 1000) < link->loss)
		return false;
	if (link->reset[port] != link->resets && flags & TH_ACK) {
		link->reset[port] = link->resets;
		link_break(link, packet, reply);
		return false;
	}
	return true;
}

static void link_send(struct link *link, struct packet *packet, bool reply)
{
	struct way *way = &link->way[reply];
	int64_t now_us = cv_clock_mono_us();
	int rate = link->rate;

	if (way->count == (rate ? ROUTER : QUEUE)) {
		link->lost++;
		return;
	}
	if (way->free_us < now_us)
		way->free_us = now_us;
	if (rate)
		way->free_us += (int64_t)packet->len * 1000000 / rate;
	packet->due_us = way->free_us + link->delay_ms * 1000;
	way->packet[(way->first + way->count++) % QUEUE] = *packet;
}

static void link_take(struct link *link)
{
	struct packet packet;
	ssize_t n;
	bool reply;

	for (int i = 0; i < 64 && (n = read(link->tun, packet.bytes, PACKET)) > 0; i++) {
		packet.len = (size_t)n;
		if (!packet_is_tcp(&packet) ||
		    (!packet_is_for(&packet, FAR) && !packet_is_for(&packet, NEAR)))
			continue;
		reply = packet_is_for(&packet, NEAR);
		packet_address(&packet, reply ? FAR : NEAR, reply ? OURS : LOCAL);
		link->packets++;
		if (link_passes(link, &packet, reply))
			link_send(link, &packet, reply);
		else
			link->lost++;
	}
}

/* Deliver what has arrived. @return when the next one will, or INT64_MAX */
static int64_t link_arrive(struct link *link, bool reply)
{
	struct way *way = &link->way[reply];
	bool silent = link->silent & (reply ? LINK_REPLIES : LINK_REQUESTS);

	while (way->count) {
		struct packet *packet = &way->packet[way->first];

		if (!silent && packet->due_us > cv_clock_mono_us())
			return packet->due_us;
		if (silent)
			link->lost++;
		else
			link_deliver(link, packet);
		way->first = (way->first + 1) % QUEUE;
		way->count--;
	}
	return INT64_MAX;
}

static void *link_run(void *ctx)
{
	struct link *link = ctx;
	struct pollfd fd[2] = {{.fd = link->tun, .events = POLLIN},
			       {.fd = link->stop[0], .events = POLLIN}};

	while (!fd[1].revents) {
		int64_t one = link_arrive(link, false), two = link_arrive(link, true);
		int64_t wait_us = (one < two ? one : two) - cv_clock_mono_us();
		struct timespec wait = {1, 0};

		if (wait_us < 0)
			wait_us = 0;
		if (wait_us < 1000000)
			wait = (struct timespec){0, wait_us * 1000};
		if (ppoll(fd, 2, &wait, NULL) > 0 && fd[0].revents)
			link_take(link);
	}
	return NULL;
}

/* ---- using it --------------------------------------------------------------------------- */

struct link *link_start(const char **why)
{
	struct link *link = calloc(1, sizeof(*link));

	must(link);
	*why = "a network of our own is not allowed here";
	if (!link_leave())
		goto fail;
	*why = "no /dev/net/tun, or not allowed";
	link->tun = link_tun();
	if (link->tun < 0)
		goto fail;
	*why = "the network of our own cannot be set up";
	if (!link_devices()) {
		close(link->tun);
		goto fail;
	}
	for (int i = 0; i < 2; i++) {
		link->way[i].packet = calloc(QUEUE, sizeof(struct packet));
		must(link->way[i].packet);
	}
	test_rng_init(&link->rng);
	must(pipe(link->stop) == 0);
	must(fcntl(link->stop[0], F_SETFD, FD_CLOEXEC) == 0);
	must(fcntl(link->stop[1], F_SETFD, FD_CLOEXEC) == 0);
	must(pthread_create(&link->thread, NULL, link_run, link) == 0);
	return link;
fail:
	free(link);
	return NULL;
}

void link_end(struct link *link)
{
	if (!link)
		return;
	close(link->stop[1]);
	pthread_join(link->thread, NULL);
	close(link->stop[0]);
	close(link->tun);
	free(link->way[0].packet);
	free(link->way[1].packet);
	free(link);
}

const char *link_url(const struct link *link, const char *url)
{
	const char *at = strstr(url, LOCAL), *through = "";

	must(link && at);
	for (; at; at = strstr(url, LOCAL)) {
		through = test_text("%s%.*s" FAR, through, (int)(at - url), url);
		url = at + strlen(LOCAL);
	}
	return test_text("%s%s", through, url);
}

void link_heal(struct link *link)
{
	link->delay_ms = link->loss = link->rate = link->silent = link->silent_port = 0;
}

void link_delay(struct link *link, int ms)
{
	link->delay_ms = ms;
}

void link_loss(struct link *link, int per_mille)
{
	link->loss = per_mille;
}

void link_rate(struct link *link, int bytes)
{
	link->rate = bytes;
}

void link_silence(struct link *link, enum link_ways ways)
{
	link->silent = (int)ways;
}

void link_silence_port(struct link *link, int port)
{
	link->silent_port = port;
}

void link_forget(struct link *link)
{
	link->memory++;
}

void link_reset(struct link *link)
{
	link->resets++;
}

size_t link_packets(const struct link *link)
{
	return link->packets;
}

size_t link_lost(const struct link *link)
{
	return link->lost;
}
