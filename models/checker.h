/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The atomics of C11 as the model checker Relacy has them, so that the shipped
 * text of core/control.h, core/owned.h, core/depot.h and core/remote.h runs
 * under it. Only core/atomic.h includes this, and only in a model
 * (TENURE_MODEL).
 *
 * Relacy runs the threads of a model one step at a time, in every order or in
 * random ones, and lets each load return every earlier store that the C++ memory
 * model allows. Its memory_order_... are macros that add where in the source
 * an operation stands, so the operations here take one argument more than
 * they seem to. What it does not model: that a load returns a store which is
 * still to come, by a thread that runs its store before its load. A model in
 * which that matters has something beside the word that is not atomic.
 */
#ifndef MODELS_CHECKER_H
#define MODELS_CHECKER_H

#include <relacy/relacy.hpp>

#ifdef MODEL_U64 /* a model may have a word that checks more */
typedef MODEL_U64 atomic_u64;
#else
typedef rl::atomic<uint64_t> atomic_u64;
#endif
typedef rl::atomic<uint32_t> atomic_u32;

using rl::mo_acq_rel;
using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;
using rl::mo_seq_cst;

template <class T>
T atomic_load_explicit(const rl::atomic<T> *word, rl::memory_order order,
		       rl::debug_info_param where)
{
	return word->load(order, where);
}

template <class T>
void atomic_store_explicit(rl::atomic<T> *word, T value, rl::memory_order order,
			   rl::debug_info_param where)
{
	word->store(value, order, where);
}

template <class T>
T atomic_exchange_explicit(rl::atomic<T> *word, T value, rl::memory_order order,
			   rl::debug_info_param where)
{
	return word->exchange(value, order, where);
}

template <class T>
T atomic_fetch_add_explicit(rl::atomic<T> *word, T value,
			    rl::memory_order order, rl::debug_info_param where)
{
	return word->fetch_add(value, order, where);
}

template <class T>
T atomic_fetch_sub_explicit(rl::atomic<T> *word, T value,
			    rl::memory_order order, rl::debug_info_param where)
{
	return word->fetch_sub(value, order, where);
}

template <class T>
T atomic_fetch_or_explicit(rl::atomic<T> *word, T bits, rl::memory_order order,
			   rl::debug_info_param where)
{
	return word->fetch_or(bits, order, where);
}

template <class T>
bool atomic_compare_exchange_strong_explicit(
	rl::atomic<T> *word, T *expected, T desired, rl::memory_order success,
	rl::debug_info_param where, rl::memory_order failure,
	rl::debug_info_param)
{
	return word->compare_exchange_strong(*expected, desired, success, where,
					     failure, where);
}

template <class T>
bool atomic_compare_exchange_weak_explicit(
	rl::atomic<T> *word, T *expected, T desired, rl::memory_order success,
	rl::debug_info_param where, rl::memory_order failure,
	rl::debug_info_param)
{
	return word->compare_exchange_weak(*expected, desired, success, where,
					   failure, where);
}

#endif
