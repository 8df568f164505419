// What this processor can do and how much of it we may use.
//
// The vector paths obey ONEDNN_MAX_CPU_ISA (e.g. AVX2), the variable that limits oneDNN too, so that a machine with
// less can be tried out on one with more.
#pragma once

#include <string>

namespace yolov3 {

struct CpuFeatures {
  bool avx2 = false;    // with FMA
  bool avx512 = false;  // F, BW, DQ and VL
  bool avx512_vnni = false;
  bool avx512_bf16 = false;
  bool amx = false;  // tile, int8 and bf16
};

const CpuFeatures& cpu_features();  // read once
std::string to_string(const CpuFeatures& features);
std::string cpu_model_name();
int available_cpus();  // of this process's affinity mask, at least 1

}  // namespace yolov3
