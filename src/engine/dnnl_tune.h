// Finds a plan by measuring whole networks, step by step, in place: every candidate program runs with its real weights,
// maps and neighbours, so that caches and conversions count as they will.
//
// Of f32 each convolution takes the faster of direct and Winograd. auto also measures bf16 (where the CPU has it) and a
// mixture, in which a convolution computes in f32 where that saves more than the conversions around it cost; the
// program that is fastest as a whole wins.
// Threads: as the calling thread's OpenMP setting. Takes a few seconds.
#pragma once

#include <memory>
#include <string>

#include "engine/dnnl_model.h"
#include "engine/plan.h"

namespace yolov3 {

Plan tune_plan(const std::shared_ptr<DnnlModel>& model, const std::string& precision);

// What a measured plan depends on: CPU, what we may use of it, threads, library, network, scales, precision.
std::string plan_key(const DnnlModel& model, const std::string& precision, int threads);

}  // namespace yolov3
