/*
 * Whether a server that says nothing is slow or gone; see wait.h. The kernels know: that of the server
 * acknowledges what it is sent, however busy the server is, and a network that swallows does not.
 */
#include <store/shared/wait.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <base/clock.h>

#define WAIT_MAX_MS 60000

/* An idle peer is asked after a minute, and missed after another: firewalls forget after some minutes. */
#define IDLE_S 60
#define ASK_S 20
#define ASKS 3
#define IDLE_DEFAULT_S 7200 /* the kernel's, where nobody has told it */

struct store_wait cv_wait_until(int64_t deadline_us, struct store_patience patience)
{
	int64_t look_us = patience.us ? cv_clock_mono_us() + patience.us : INT64_MAX;

	return (struct store_wait){deadline_us, look_us, patience};
}

/* Whether the other end has acknowledged all that it was sent, or some of it not long ago: a request
 * may be large and the network slow. What was heard before the request was sent is longer ago than
 * half of the patience. An acknowledgement is only missing once our kernel has sent again in vain.
 * Sockets within the machine lose nothing. */
static bool wait_heard(int fd, int64_t patience_us)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
		return true;
	return !info.tcpi_unacked || !info.tcpi_retransmits ||
	       info.tcpi_last_ack_recv < patience_us / 2000;
}

int cv_wait_left_ms(struct store_wait *wait, int fd)
{
	int64_t now_us = cv_clock_mono_us(), left_ms;

	if (now_us >= wait->look_us) {
		if (wait->patience.elsewhere || !wait_heard(fd, wait->patience.us))
			return 0;
		wait->look_us += wait->patience.us / 2;
	}
	left_ms = wait->look_us < wait->deadline_us ? wait->look_us : wait->deadline_us;
	left_ms = (left_ms - now_us + 999) / 1000;
	return left_ms <= 0 ? 0 : left_ms > WAIT_MAX_MS ? WAIT_MAX_MS : (int)left_ms;
}

void cv_wait_keep_alive(int fd)
{
	const int idle_s = IDLE_S, ask_s = ASK_S, asks = ASKS;
	int on = 0, now_s = 0;
	socklen_t size = sizeof(on);

	if (getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &size) != 0 || !on)
		return;
	size = sizeof(now_s);
	if (getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &now_s, &size) != 0 || now_s < IDLE_DEFAULT_S)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &ask_s, sizeof(ask_s));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &asks, sizeof(asks));
}

void cv_wait_forget(int fd)
{
	const struct linger none = {1, 0};
	int waiting = 0;

	if (ioctl(fd, TIOCOUTQ, &waiting) == 0 && waiting > 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

int64_t cv_wait_trip_us(int fd)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_rtt : 0;
}
