#include "engine/norm_kernels.h"

#include <bit>
#include <cassert>

#include "base/cpu.h"
#include "base/error.h"

namespace yolov3 {
namespace {

#define YOLOV3_INLINE [[gnu::always_inline]] inline

constexpr int kRows = 8;            // rows taken together
constexpr int64_t kShortRow = 512;  // bytes, at most: fetched kAhead bytes ahead
constexpr int64_t kAhead = 2048;
constexpr int64_t kLongRow = 256;  // bytes, at least: see kRowsApart

// --- One number; bf16 as in engine/number_ops.cc --------------------------------------------------------------------

struct Bf16 {
  uint16_t bits;
};

YOLOV3_INLINE float load(float value) { return value; }
YOLOV3_INLINE float load(Bf16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

YOLOV3_INLINE void store(float value, float& out) { out = value; }
YOLOV3_INLINE void store(float value, Bf16& out) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  out.bits = static_cast<uint16_t>(value == value ? rounded : (bits >> 16) | 0x40u);
}

// --- R rows from row p on, as written; compiled below for each instruction set --------------------------------------
// ivdep: out may be where the inputs are, number for number, which the compiler would take for an overlap.
// kRowsApart: long rows are taken one by one. Where a row is written 4 KiB, or a multiple of it, from one that is still
// to be read, the processor takes the one for the other and waits (f32: up to half the speed; bf16 gains nothing).

template <class T>
YOLOV3_INLINE T* row_of(const TileMap& map, int64_t p) {
  return reinterpret_cast<T*>(map.data) + p * map.step;
}

template <class T, bool kAdd>
struct Normalize {
  static constexpr bool kRowsApart = sizeof(T) == 4;
  template <int R>
  YOLOV3_INLINE static void rows(const NormTile& t, int64_t p) {
    const T *z = row_of<T>(t.z, p), *addend = row_of<T>(t.other, p);
    T* out = row_of<T>(t.out, p);
    const float *mean = t.mean, *scale = t.scale, *shift = t.shift, below_zero = t.below_zero;
    const int64_t channels = t.channels, z_step = t.z.step, addend_step = t.other.step, out_step = t.out.step;
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; ++c) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        float y = (load(z[r * z_step + c]) - mean[c]) * scale[c] + shift[c];
        y = y > 0 ? y : y * below_zero;
        if constexpr (kAdd) y += load(addend[r * addend_step + c]);
        store(y, out[r * out_step + c]);
      }
    }
  }
};

template <class T>
struct Sum {
  static constexpr bool kRowsApart = false;
  template <int R>
  YOLOV3_INLINE static void rows(const NormTile& t, int64_t p) {
    const T* z = row_of<T>(t.z, p);
    const float* start = t.start;
    float *sum = t.sum, *square_sum = t.product_sum;
    const int64_t channels = t.channels, step = t.z.step;
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; ++c) {
      float s = sum[c], q = square_sum[c];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const float d = load(z[r * step + c]) - start[c];
        s += d;
        q += d * d;
      }
      sum[c] = s;
      square_sum[c] = q;
    }
  }
};

template <class T, bool kAdd>
struct SumGradients {
  static constexpr bool kRowsApart = false;
  template <int R>
  YOLOV3_INLINE static void rows(const NormTile& t, int64_t p) {
    const T *z = row_of<T>(t.z, p), *more = row_of<T>(t.other, p);
    T* gradient = row_of<T>(t.gradient, p);
    const float *mean = t.mean, *scale = t.scale, *shift = t.shift, below_zero = t.below_zero;
    float *sum = t.sum, *centered_sum = t.product_sum;
    const int64_t channels = t.channels, z_step = t.z.step, step = t.gradient.step, more_step = t.other.step;
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; ++c) {
      float s = sum[c], q = centered_sum[c];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        T g = gradient[r * step + c];
        if constexpr (kAdd) {
          store(load(g) + load(more[r * more_step + c]), g);
          gradient[r * step + c] = g;
        }
        const float centered = load(z[r * z_step + c]) - mean[c];
        const float dy = load(g) * (centered * scale[c] + shift[c] > 0 ? 1.0f : below_zero);
        s += dy;
        q += dy * centered;
      }
      sum[c] = s;
      centered_sum[c] = q;
    }
  }
};

template <class T>
struct GradientOfNormalize {
  static constexpr bool kRowsApart = sizeof(T) == 4;
  template <int R>
  YOLOV3_INLINE static void rows(const NormTile& t, int64_t p) {
    const T *z = row_of<T>(t.z, p), *gradient = row_of<T>(t.gradient, p);
    T* out = row_of<T>(t.out, p);
    const float *mean = t.mean, *scale = t.scale, *shift = t.shift, *slope = t.slope, *offset = t.offset;
    const float below_zero = t.below_zero;
    const int64_t channels = t.channels, z_step = t.z.step, step = t.gradient.step, out_step = t.out.step;
#pragma GCC ivdep
    for (int64_t c = 0; c < channels; ++c) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const float centered = load(z[r * z_step + c]) - mean[c];
        const float dy = load(gradient[r * step + c]) * (centered * scale[c] + shift[c] > 0 ? 1.0f : below_zero);
        store(dy * scale[c] + centered * slope[c] + offset[c], out[r * out_step + c]);
      }
    }
  }
};

// Rows [p, p + kRows) will be read soon. The processor's own prefetch sees long rows coming, short ones too late.
template <class T>
YOLOV3_INLINE void prefetch_rows(const TileMap& map, int64_t channels, int64_t p) {
  if (map.data == nullptr) return;
  for (int64_t r = 0; r < kRows; ++r) {
    const auto* row = reinterpret_cast<const std::byte*>(row_of<T>(map, p + r));
    for (int64_t b = 0; b < channels * int64_t{sizeof(T)}; b += 64) __builtin_prefetch(row + b);
  }
}

template <class T, class Pass>
YOLOV3_INLINE void run_body(const NormTile& tile) {
  const int64_t row_bytes = tile.channels * int64_t{sizeof(T)}, group_bytes = kRows * row_bytes;
  const int64_t ahead = row_bytes <= kShortRow ? (kAhead + group_bytes - 1) / group_bytes * kRows : tile.pixels;
  const bool apart = Pass::kRowsApart && row_bytes >= kLongRow;
  int64_t p = 0;
  for (; !apart && p + kRows <= tile.pixels; p += kRows) {
    if (p + ahead + kRows <= tile.pixels) {
      for (const TileMap* map : {&tile.z, &tile.gradient, &tile.other})
        prefetch_rows<T>(*map, tile.channels, p + ahead);
    }
    Pass::template rows<kRows>(tile, p);
  }
  for (; p < tile.pixels; ++p) Pass::template rows<1>(tile, p);
}

#define YOLOV3_RUN(NAME, ...)                           \
  struct NAME {                                         \
    template <class T, class Pass>                      \
    __VA_ARGS__ static void run(const NormTile& tile) { \
      run_body<T, Pass>(tile);                          \
    }                                                   \
  };

YOLOV3_RUN(Sse2)
#ifdef __x86_64__
YOLOV3_RUN(Avx2, __attribute__((target("avx2"))))
YOLOV3_RUN(Avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"))))
#endif
#undef YOLOV3_RUN

template <class Isa, class T>
constexpr NormKernels kKernels = {&Isa::template run<T, Normalize<T, false>>,
                                  &Isa::template run<T, Normalize<T, true>>,
                                  &Isa::template run<T, Sum<T>>,
                                  &Isa::template run<T, SumGradients<T, false>>,
                                  &Isa::template run<T, SumGradients<T, true>>,
                                  &Isa::template run<T, GradientOfNormalize<T>>};

template <class Isa>
const NormKernels& kernels_of(NumberType type) {
  assert(type == NumberType::f32 || type == NumberType::bf16);
  return type == NumberType::f32 ? kKernels<Isa, float> : kKernels<Isa, Bf16>;
}

}  // namespace

const NormKernels& norm_kernels(NumberType type, std::string_view isa) {
#ifdef __x86_64__
  if (cpu_features().avx512 && (isa.empty() || isa == "avx512")) return kernels_of<Avx512>(type);
  if (cpu_features().avx2 && (isa.empty() || isa == "avx2")) return kernels_of<Avx2>(type);
#endif
  check(isa.empty() || isa == "sse2", "instruction set {}: not one that this processor has and may use", isa);
  return kernels_of<Sse2>(type);
}

std::vector<std::string> norm_isas() {
  std::vector<std::string> isas;
  if (cpu_features().avx512) isas.push_back("avx512");
  if (cpu_features().avx2) isas.push_back("avx2");
  isas.push_back("sse2");
  return isas;
}

}  // namespace yolov3
