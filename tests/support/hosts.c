/*
 * See hosts.h. What is made here goes with the processes whose network it is.
 */
#define _GNU_SOURCE /* unshare() */
#include "hosts.h"

#include "servers.h"
#include "test.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#define NETWORK "10.77.0."
#define FIRST 10
#define IP "/usr/sbin/ip"

static void hosts_run(const char *command)
{
	const char *script = test_text("exec 2>&1 && set -e && %s", command);

	test_run_program((const char *[]){"/bin/sh", "-c", script, NULL});
}

/* "7" of 10.77.0.7, in names of links too. */
static const char *hosts_number(const char *address)
{
	return address + strlen(NETWORK);
}

bool hosts_enter(void)
{
	static bool entered;

	if (entered)
		return true;
	if (access(IP, X_OK) != 0) {
		test_say("not installed: " IP);
		return false;
	}
	if (unshare(CLONE_NEWNET) != 0) {
		test_say("no network of our own: %s", strerror(errno));
		return false;
	}
	hosts_run(IP " link set lo up && " IP " link add bridge type bridge && " IP
		     " address add " NETWORK "1/24 dev bridge && " IP " link set bridge up");
	entered = true;
	return true;
}

const char *hosts_address(void)
{
	static int hosts;

	must(FIRST + hosts < 255);
	return test_text(NETWORK "%d", FIRST + hosts++);
}

void hosts_add(const char *address, pid_t pid)
{
	const char *number = hosts_number(address);

	hosts_run(test_text(IP " link add host%s type veth peer name eth0 netns %d && " IP
			       " link set host%s master bridge up",
			    number, (int)pid, number));
	hosts_run(test_text("nsenter -t %d -n " IP " link set lo up && "
			    "nsenter -t %d -n " IP " address add %s/24 dev eth0 && "
			    "nsenter -t %d -n " IP " link set eth0 up",
			    (int)pid, (int)pid, address, (int)pid));
}

void hosts_cut(const char *address)
{
	hosts_run(test_text(IP " link set host%s nomaster", hosts_number(address)));
}

void hosts_mend(const char *address)
{
	hosts_run(test_text(IP " link set host%s master bridge", hosts_number(address)));
}
