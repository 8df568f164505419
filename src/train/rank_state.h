// What all ranks of a run have to have in common, brought from the first one or compared with it.
// Errors: name the rank that differs, and in what. Every rank gets the same error.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/torch_network.h"
#include "train/optimizer.h"
#include "train/position.h"
#include "train/ranks.h"
#include "train/start.h"

namespace yolov3 {

// Weights, and all that the optimizer keeps.
void copy_state_from_first(Ranks& ranks, TorchNetwork& network, Optimizer& optimizer);
RunPosition position_from_first(Ranks& ranks, const RunPosition& position, const std::string& what);

// The bits of all parameters, running statistics included.
uint64_t digest_of_weights(TorchNetwork& network);
void check_same_weights(Ranks& ranks, TorchNetwork& network, int64_t step);

// Program, options, data and network. Options that may differ between machines, such as threads and paths, are not
// compared.
void check_same_start(Ranks& ranks, const Start& start, const TrainOptions& options, const std::string& args_toml);

// What check_same_start compares: a name and what is there, of the same names on every rank where options are equal.
std::vector<std::pair<std::string, std::string>> facts_of_start(const Start& start, const TrainOptions& options,
                                                                const std::string& args_toml);
// In words, how `theirs` differs from `ours`; empty when it does not. Both are lines "name = value".
std::string first_difference(const std::string& ours, const std::string& theirs);

}  // namespace yolov3
