/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors
 *
 * A negative errno says that a call failed, a reason says why, and for lists
 * an index says where. The last refusal of each thread is kept in the thread
 * itself, so that two threads on one connection cannot read each other's. A
 * call that succeeds leaves it alone, as errno is left alone.
 *
 * Guarantees, cited by the tests:
 *
 *  G1  tenure_last_refusal() names the thread's last failure, and only its.
 *  G2  tenure_strerror() and tenure_strreason() answer every value, also one
 *      that a newer daemon sends.
 *  G3  tenure_explain() never writes more than size bytes.
 */
#include "client/error.h"

#include <stdio.h>

#include "core/wire/msg.h"
#include "core/wire/reason.h"

static _Thread_local struct tenure_refusal last = { .index = -1 };

int refusal_set_at(int status, enum tenure_reason reason, uint32_t index)
{
	last.status = status;
	last.reason = reason;
	last.index = index < INT32_MAX ? (int)index : -1;
	return status;
}

int refusal_set(int status, enum tenure_reason reason)
{
	return refusal_set_at(status, reason, WIRE_NO_INDEX);
}

void refusal_restore(const struct tenure_refusal *refusal)
{
	last = *refusal;
}

void tenure_last_refusal(struct tenure_refusal *ret_refusal)
{
	if (ret_refusal)
		*ret_refusal = last;
}

const char *tenure_strreason(enum tenure_reason reason)
{
	return reason_sentence(reason);
}

static const struct {
	int status;
	const char *sentence;
} sentences[] = {
	{ 0, "it worked" },
	{ -EINVAL, "an argument or a handle is not valid" },
	{ -EBADF, "the resource does not exist" },
	{ -ENODEV, "the device or the kind of memory is gone" },
	{ -ENOMEM, "there is not enough memory" },
	{ -EACCES, "that is not allowed with these rights" },
	{ -EPERM, "that is not allowed" },
	{ -ENOTSUP, "that is not supported" },
	{ -ETIMEDOUT, "it took too long" },
	{ -EIO, "it failed outside of Tenure" },
	{ -EOVERFLOW, "the room given for the answer is too small" },
	{ -EDQUOT, "a limit has been reached" },
	{ -ENOENT, "there is no daemon" },
	{ -ECONNREFUSED, "no daemon answers" },
	{ -ECONNRESET, "the connection to the daemon is lost" },
	{ -ESHUTDOWN, "the daemon is stopping" },
	{ -EPROTO, "the daemon breaks the protocol" },
	{ -EPROTONOSUPPORT, "the daemon speaks another version" },
	{ -EOWNERDEAD, "the connection belongs to the parent process" },
	{ -ENAMETOOLONG, "the path is too long for a socket" },
	{ -EDEADLK, "the call would wait for itself" },
	{ -EMFILE, "this process has too many open descriptors" },
	{ -ENFILE, "the system has too many open descriptors" },
	{ -EAGAIN, "it is not over yet" },
	{ -ECANCELED, "it was cancelled" },
};

const char *tenure_strerror(int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(sentences); i++) {
		if (sentences[i].status == status)
			return sentences[i].sentence;
	}
	return "an error of the system that Tenure does not explain";
}

/* "the entry is zero" and index 3 make "entry 3 is zero". */
static void explain_entry(char *buffer, size_t size, const char *why)
{
	static const char subject[] = "the entry ";
	size_t length = sizeof(subject) - 1;

	if (strncmp(why, subject, length) == 0)
		snprintf(buffer, size, "entry %d %s", last.index, why + length);
	else
		snprintf(buffer, size, "entry %d: %s", last.index, why);
}

char *tenure_explain(char *buffer, size_t size)
{
	const char *why = tenure_strreason(last.reason);
	char text[64];

	if (size == 0)
		return buffer;
	if (last.status == 0)
		snprintf(buffer, size, "no call has failed");
	else if (last.reason == TENURE_REASON_NONE)
		snprintf(buffer, size, "%s", tenure_strerror(last.status));
	else if (last.index >= 0)
		explain_entry(buffer, size, why);
	else if (reason_is_of_errno(last.reason))
		snprintf(buffer, size, "%s: %s", why,
			 strerror_r(-last.status, text, sizeof(text)));
	else
		snprintf(buffer, size, "%s", why);
	return buffer;
}
