#include "base/cpu.h"

#include <cpuid.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/text.h"

namespace yolov3 {
namespace {

// oneDNN's names, weakest first; each allows all before it.
enum class IsaLimit { sse41, avx, avx2, avx512_core, avx512_core_vnni, avx512_core_bf16, amx, all };

IsaLimit isa_limit() {
  const char* setting = std::getenv("ONEDNN_MAX_CPU_ISA");
  if (setting == nullptr) setting = std::getenv("DNNL_MAX_CPU_ISA");
  if (setting == nullptr) return IsaLimit::all;
  const std::string name = to_lower(setting);
  if (name == "sse41") return IsaLimit::sse41;
  if (name == "avx") return IsaLimit::avx;
  if (name == "avx2" || name == "avx2_vnni") return IsaLimit::avx2;
  if (name == "avx512_core") return IsaLimit::avx512_core;
  if (name == "avx512_core_vnni") return IsaLimit::avx512_core_vnni;
  if (name == "avx512_core_bf16") return IsaLimit::avx512_core_bf16;
  if (name == "avx512_core_amx") return IsaLimit::amx;
  return IsaLimit::all;
}

CpuFeatures detect() {
  const IsaLimit limit = isa_limit();
  CpuFeatures features;
  __builtin_cpu_init();
  features.avx2 = limit >= IsaLimit::avx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  features.avx512 = limit >= IsaLimit::avx512_core && features.avx2 && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
  features.avx512_vnni = limit >= IsaLimit::avx512_core_vnni && features.avx512 && __builtin_cpu_supports("avx512vnni");
  features.avx512_bf16 =
      limit >= IsaLimit::avx512_core_bf16 && features.avx512_vnni && __builtin_cpu_supports("avx512bf16");
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (limit >= IsaLimit::amx && features.avx512_bf16 && __get_cpuid_count(7, 0, &a, &b, &c, &d)) {
    features.amx = (d >> 22 & 1) && (d >> 24 & 1) && (d >> 25 & 1);
  }
  return features;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

std::string to_string(const CpuFeatures& features) {
  std::string text = "sse4.1";
  if (features.avx2) text += " avx2";
  if (features.avx512) text += " avx512";
  if (features.avx512_vnni) text += " avx512_vnni";
  if (features.avx512_bf16) text += " avx512_bf16";
  if (features.amx) text += " amx";
  return text;
}

std::string cpu_model_name() {
  char name[49] = {};
  for (unsigned leaf = 0; leaf < 3; ++leaf) {
    unsigned words[4];
    if (!__get_cpuid(0x80000002u + leaf, &words[0], &words[1], &words[2], &words[3])) return "unknown CPU";
    std::memcpy(name + 16 * leaf, words, 16);
  }
  return std::string(trim(name));
}

int available_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace yolov3
