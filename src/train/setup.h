// What stands before the first step: the network, its first weights and the numbers' type.
#pragma once

#include <string>
#include <vector>

#include "data/loader.h"
#include "format/model_file.h"
#include "train/options.h"
#include "train/schedule.h"

namespace yolov3 {

// The network of options.model for these classes at options' size. Errors: a .cfg of another class count, with all
// counts; a head balance for other heads.
NetworkSpec make_training_spec(const TrainOptions& options, const std::vector<std::string>& names);

// Fresh weights, and over them those of options.weights where they fit; a table says which.
Weights make_initial_weights(const TrainOptions& options, const NetworkSpec& spec,
                             const std::vector<std::string>& names);

// auto: bf16 on a CPU that has the instructions, else f32. Errors: an unknown word.
bool use_bf16(const TrainOptions& options);

// The first layers that options.freeze leaves as they are. Errors: neither a number nor backbone, a network without a
// known backbone, nothing left to train.
int frozen_layers(const TrainOptions& options, const NetworkSpec& spec);

// The rates of a run of `epochs` epochs of so many updates each; with --time the total is a first guess.
Schedule make_schedule(const TrainOptions& options, int64_t steps_per_epoch);

// What the training's loader is told.
LoaderOptions training_loader(const TrainOptions& options);

// Batches whose gradients make one update; at the end of an epoch it may be fewer.
int64_t batches_per_update(const TrainOptions& options);

// The most pictures of a batch that one of so many ranks has.
int share_of_batch(int batch, int ranks);

// Feature maps of a batch are blocks of up to 100 MB. Left to itself, malloc gives each back to the system at once and
// the next step pays for every page again. For the whole process.
void keep_freed_memory();

// Errors: settings that cannot work together, saying which.
void check_options(const TrainOptions& options);

// Of a run that begins; one that goes on may get a --time. Errors: --close-mosaic where no epoch is known to be the last.
void check_close_mosaic(const TrainOptions& options);

// "cuda" where several ranks share a machine: each takes the one of its number there.
std::string local_device(const std::string& device, const RankPlace& place);

}  // namespace yolov3
