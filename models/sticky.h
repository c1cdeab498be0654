/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scheduler for the model checker that lets a thread go on for a while.
 *
 * Choosing a thread anew at every step almost never lets one thread do twenty
 * steps between two of another, which is what many a bug needs. This one draws
 * for each execution how likely a thread is to be interrupted: after every
 * second step on average, or every fourth, up to every 64th.
 */
#ifndef MODELS_STICKY_H
#define MODELS_STICKY_H

#include <relacy/relacy.hpp>

template <rl::thread_id_t threads>
class sticky_scheduler
	: public rl::scheduler<sticky_scheduler<threads>,
			       rl::scheduler_thread_info, threads> {
public:
	typedef rl::scheduler<sticky_scheduler<threads>,
			      rl::scheduler_thread_info, threads>
		base_t;
	typedef typename base_t::thread_info_t thread_info_t;
	typedef typename base_t::shared_context_t shared_context_t;

	struct task_t {
	};

	sticky_scheduler(rl::test_params &params, shared_context_t &ctx,
			 rl::thread_id_t dynamic)
		: base_t(params, ctx, dynamic)
	{
	}

	rl::thread_id_t iteration_begin_impl()
	{
		rl::unpark_reason reason;

		rand_.seed(this->iter_);
		mask_ = (2u << rand_.rand() % 6) - 1;
		last_ = threads;
		return schedule_impl(reason, 0);
	}

	bool iteration_end_impl()
	{
		return this->iter_ == this->params_.iteration_count;
	}

	rl::thread_id_t schedule_impl(rl::unpark_reason &reason, unsigned yield)
	{
		unsigned running = this->running_threads_count;

		reason = rl::unpark_reason_normal;
		if (last_ < threads && yield == 0 && (rand_.rand() & mask_) &&
		    this->threads_[last_].state_ == rl::thread_state_running)
			return last_;
		/* A sleep that ends for no reason, now and then. */
		if (this->spurious_thread_count_ && running &&
		    rand_.rand() % 8 == 0) {
			last_ = this->spurious_threads_[0]->index_;
			this->unpark_thread(last_);
			reason = rl::unpark_reason_spurious;
			return last_;
		}
		RL_VERIFY(running);
		last_ = this->running_threads[rand_.rand() % running];
		return last_;
	}

	unsigned rand_impl(unsigned limit, rl::sched_type)
	{
		return rand_.rand() % limit;
	}

	rl::iteration_t iteration_count_impl()
	{
		return this->params_.iteration_count;
	}

	void get_state_impl(std::ostream &)
	{
	}

	void set_state_impl(std::istream &)
	{
	}

	void on_thread_block(rl::thread_id_t, bool)
	{
	}

	double iteration_count_approx()
	{
		return (double)this->params_.iteration_count;
	}

private:
	rl::random_generator rand_;
	unsigned mask_;
	rl::thread_id_t last_;

	RL_NOCOPY(sticky_scheduler);
};

#endif
