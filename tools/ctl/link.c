/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link: the library's own connection, used for requests that the public
 * interface does not have.
 *
 * What comes is checked as the library checks it: a page has as many bytes as
 * its rows take, and a cursor that does not grow is an error, since with it a
 * list would never end.
 *
 *	 3  no daemon          76  it breaks the protocol
 *	69  it cannot, now     77  not permitted
 */
#include "tools/ctl/link.h"

#include "client/transport.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <tenure/tenure.h>

static int fail(const struct link *link, int code, const char *format, ...)
{
	va_list arguments;

	if (link->quiet)
		return code;
	fputs("tenurectl: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return code;
}

/* After a call of the library has failed; where may be NULL. */
static int lost(const struct link *link, const char *where, int status)
{
	struct tenure_refusal refusal;
	char why[256];
	int code = EX_UNAVAILABLE;

	tenure_last_refusal(&refusal);
	if (refusal.reason == TENURE_REASON_NO_DAEMON)
		code = LINK_EXIT_NO_DAEMON;
	else if (status == -EACCES || status == -EPERM)
		code = EX_NOPERM;
	else if (status == -EPROTO || status == -EPROTONOSUPPORT)
		code = EX_PROTOCOL;
	return fail(link, code, "%s%s%s", where ? where : "", where ? ": " : "",
		    tenure_explain(why, sizeof(why)));
}

static int babble(const struct link *link)
{
	return fail(link, EX_PROTOCOL, "%s",
		    tenure_strreason(TENURE_REASON_DAEMON_PROTOCOL));
}

/* Where the library has looked; in buffer if it is more than one place. */
static const char *places(const char *path, char *buffer, size_t size)
{
	const char *directory = getenv("XDG_RUNTIME_DIR");

	if (!path)
		path = getenv("TENURE_SOCKET");
	if (path && *path)
		return path;
	if (!directory || *directory != '/')
		return "/run/tenured/tenured.sock";
	snprintf(buffer, size, "%s%s", directory,
		 "/tenured/tenured.sock, /run/tenured/tenured.sock");
	return buffer;
}

int link_open(struct link *link, const char *path)
{
	int status = tenure_connect(path, 0, &link->connection);
	char buffer[PATH_MAX];

	return status < 0 ? lost(link, places(path, buffer, sizeof(buffer)),
				 status) :
			    0;
}

void link_close(struct link *link)
{
	tenure_disconnect(link->connection);
}

static int ask(struct link *link, const struct wire_request *request,
	       struct wire_reply *ret)
{
	int status = connection_request(link->connection, request, NULL, 0, ret,
					link->data, sizeof(link->data));

	if (status < 0)
		return lost(link, NULL, status);
	if (ret->status < 0)
		return fail(link,
			    ret->status == -EACCES ? EX_NOPERM : EX_UNAVAILABLE,
			    "%s", tenure_strreason(ret->reason));
	return 0;
}

int link_ask(struct link *link, uint8_t opcode, size_t size_bytes,
	     struct wire_reply *ret)
{
	const struct wire_request request = { .opcode = opcode };
	int code = ask(link, &request, ret);

	if (code == 0 && size_bytes > 0 && ret->data_bytes != size_bytes)
		return babble(link);
	return code;
}

int link_list(struct link *link, uint8_t opcode, size_t row_bytes,
	      void (*row)(void *context, const void *row), void *context,
	      struct wire_reply *ret)
{
	struct wire_request request = { .opcode = opcode };

	for (;;) {
		int code = ask(link, &request, ret);

		if (code != 0)
			return code;
		if (ret->data_bytes != (uint64_t)ret->count * row_bytes)
			return babble(link);
		for (uint32_t i = 0; i < ret->count; i++)
			row(context, link->data + i * row_bytes);
		if (ret->value[0] == 0)
			return 0;
		if (ret->value[0] <= request.value[0])
			return babble(link);
		request.value[0] = ret->value[0];
	}
}
