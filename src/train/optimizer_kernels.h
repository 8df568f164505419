// The loops over numbers of train/optimizer, compiled for each instruction set. Without contraction to FMA
// (cmake/toolchain.cmake) all of them give the same bits, those of the formulas here in float32, read from left to
// right. With g = gradient * gradient_scale:
//
//   Adam   first = beta1*first + (1-beta1)*g       second = beta2*second + (1-beta2)*g*g
//          value = value*keep - rate*first / (sqrt(second)*square_scale + epsilon)
//   SGD    d = g + decay*value       first = momentum*first + d
//          value = value - rate*first                          Nesterov's: value = value - rate*(d + momentum*first)
//   both   average = average + average_rate*(value - average)      where there is an average
//
// Threads: any; nothing here starts threads.
#pragma once

#include <cstdint>
#include <vector>

namespace yolov3 {

struct UpdateRates {
  float gradient_scale = 1;
  float rate = 0;
  float beta1 = 0, beta2 = 0, epsilon = 0, square_scale = 1, keep = 1;  // Adam
  float momentum = 0, decay = 0;                                        // SGD
  float average_rate = 0;
};

// A piece of one parameter. No two arrays overlap.
struct UpdatePiece {
  float* value = nullptr;
  const float* gradient = nullptr;
  float *first = nullptr, *second = nullptr;  // second: Adam's alone
  float* average = nullptr;                   // null: none is kept
  int64_t count = 0;
};

struct UpdateKernels {
  const char* name = "";
  void (*adam)(const UpdatePiece& piece, const UpdateRates& rates) = nullptr;
  void (*sgd)(const UpdatePiece& piece, const UpdateRates& rates) = nullptr;
  void (*nesterov)(const UpdatePiece& piece, const UpdateRates& rates) = nullptr;
  void (*follow)(const UpdatePiece& piece, const UpdateRates& rates) = nullptr;  // the average alone

  // sum = sum + scale*gradient; gradient = (sum + scale*gradient)*inverse.
  void (*add)(float* sum, const float* gradient, float scale, int64_t count) = nullptr;
  void (*mean)(float* gradient, const float* sum, float scale, float inverse, int64_t count) = nullptr;
  double (*square_sum)(const float* values, int64_t count) = nullptr;
};

const UpdateKernels& update_kernels();                      // the widest that base/cpu allows
std::vector<const UpdateKernels*> usable_update_kernels();  // all that base/cpu allows

}  // namespace yolov3
