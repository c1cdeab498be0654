/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Model: the progress word of a pool's buffer.
 *
 * Two threads of the application: one works with a buffer and says so, twice,
 * with the release stores that the interface asks for; the other looks whether
 * the work is done, as the pool does before it gives the buffer out again, and
 * uses it then. The text of client/word.h is what ships. It looks at a word of
 * the application with a builtin of the compiler, which is an operation of the
 * checker here.
 *
 *  M18  Whoever finds a value reached comes after the work that it stands for.
 */
#include <relacy/relacy.hpp>

#include "models/main.h"

#undef __ATOMIC_ACQUIRE
#undef __ATOMIC_RELAXED
#define __ATOMIC_ACQUIRE rl::mo_acquire
#define __ATOMIC_RELAXED rl::mo_relaxed
#define __atomic_load_n(word, order) ((*(const progress_word *)(word))($).load(order))
#define __atomic_store_n(word, value, order) \
	((*(progress_word *)(word))($).store(value, order))

typedef rl::atomic<uint64_t> progress_word;

#include "client/word.h"

enum { STEPS = 2, LOOKS = 3 };

struct pool_word : rl::test_suite<pool_word, 2> {
	progress_word word;
	VAR_T(uint32_t) buffers[STEPS];

	void before()
	{
		word($) = 0;
		for (unsigned int i = 0; i < STEPS; i++)
			buffers[i]($) = 0;
	}

	void work()
	{
		for (unsigned int i = 0; i < STEPS; i++) {
			buffers[i]($) = i + 1;
			word($).store(i + 1, rl::mo_release);
		}
	}

	void look()
	{
		bool used[STEPS] = {};

		for (unsigned int n = 0; n < LOOKS * STEPS; n++) {
			unsigned int i = n % STEPS;

			if (used[i] ||
			    !word_reached((const uint64_t *)&word, i + 1))
				continue;
			RL_ASSERT(buffers[i]($) == i + 1);
			buffers[i]($) = 0;
			used[i] = true;
		}
	}

	void thread(unsigned int number)
	{
		if (number == 0)
			work();
		else
			look();
	}
};

int main(int argc, char **argv)
{
	return model_run<pool_word>("pool word",
				    model_parse(argc, argv, 300000));
}
