// How `yolov3 train` becomes one of several ranks: told so by whoever started it (variables as torchrun and mpirun set
// them), or by starting the ranks itself, one process each, on this machine (--ranks).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "train/options.h"

namespace yolov3 {

// The value of an environment variable, or null.
using Variable = std::function<const char*(const std::string& name)>;

// RANK and WORLD_SIZE, else OMPI_COMM_WORLD_RANK and _SIZE, else PMI_RANK and PMI_SIZE, each with its words for the ranks of
// this machine (LOCAL_RANK and LOCAL_WORLD_SIZE, ...); with MASTER_ADDR (needed unless all ranks are known to be on one
// machine) and MASTER_PORT. Nothing: this process is alone. Errors: half of a pair, no such numbers, no address.
std::optional<RankPlace> parse_rank_place(const Variable& variable);

// Runs `yolov3 train` with these arguments as so many processes that meet at a free port of this machine, and waits for
// them. SIGINT and SIGTERM go on to all of them; when one fails, the others have until timeout_s and a little more to end
// by themselves. They do not outlive this process. Returns its exit code: the first one's that was not 0.
int run_ranks(const std::vector<std::string>& arguments, int ranks, double timeout_s);

}  // namespace yolov3
