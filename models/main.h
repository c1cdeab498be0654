/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main program of a model.
 *
 *	model [--executions N | --every]
 *
 * runs N random executions or, with --every, each one that there is (up to N
 * of them when N is given, too). One in which something does not hold is
 * shown step by step, and the exit status is then 1.
 */
#ifndef MODELS_MAIN_H
#define MODELS_MAIN_H

#include <stdlib.h>
#include <string.h>

#include <iostream>
#include <sstream>

#ifndef MODEL_SCHEDULER
#define MODEL_SCHEDULER rl::random_scheduler
#endif

struct model_options {
	unsigned long executions;
	bool every;
};

static model_options model_parse(int argc, char **argv, unsigned long usual)
{
	model_options options = { usual, false };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--every") == 0)
			options.every = true;
		else if (strcmp(argv[i], "--executions") == 0 && i + 1 < argc)
			options.executions = strtoul(argv[++i], 0, 10);
	}
	return options;
}

/* Runs a model in one way and, when something does not hold, that execution
 * again with its history; 0 or 1. */
template <class model, class scheduler>
int model_search(const char *name, rl::test_params &params)
{
	rl::ostringstream state, again;
	rl::test_result_e result;

	result = rl::run_test<model, scheduler>(params, state, false);
	if (result == rl::test_result_success) {
		std::cout << name << ": " << params.stop_iteration
			  << " executions, all hold" << std::endl;
		return 0;
	}
	std::cout << name << ": " << params.stop_iteration << " executions, "
		  << rl::test_result_str(result) << std::endl;
	params.initial_state = state.str();
	params.final_state = state.str();
	params.collect_history = true;
	params.output_history = true;
	rl::run_test<model, scheduler>(params, again, true);
	return 1;
}

template <class model>
int model_run(const char *name, const model_options &options)
{
	rl::test_params params;
	std::ostringstream quiet;

	params.iteration_count = options.executions;
	params.progress_stream = &quiet;
	params.execution_depth_limit = 20000;
#ifndef MODEL_MUTANT
	if (options.every) {
		params.search_type = rl::sched_full;
		return model_search<
			model, rl::full_search_scheduler<
				       model::params::thread_count> >(name,
								      params);
	}
#endif
	return model_search<
		model, MODEL_SCHEDULER<model::params::thread_count> >(name,
								      params);
}

#endif
