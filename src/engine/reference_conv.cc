#include "engine/reference_conv.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/cpu.h"
#include "base/error.h"
#include "base/tensor.h"
#include "net/leaky.h"

namespace yolov3 {
namespace {

constexpr int kColumns = 32;     // output pixels taken together: one panel
constexpr int64_t kBlock = 256;  // terms of one partial sum
constexpr int kMaxRows = 8;      // filters taken together

// --- The product of some filters with one panel -------------------------------------------------------------------

template <int kWidth>
struct VectorOf {
  typedef float type __attribute__((vector_size(kWidth * sizeof(float)), may_alias));
};

// kernel: kRows rows of `depth` weights; panel: depth,32; sums: kRows,32. Each row's kVectors vectors of kWidth floats
// stay in registers; panels wider than that are done in several passes.
template <int kRows, int kWidth, int kVectors>
[[gnu::always_inline]] inline void multiply(const float* kernel, int64_t depth, const float* panel, float* sums) {
  using Vector = typename VectorOf<kWidth>::type;
  for (int column = 0; column < kColumns; column += kWidth * kVectors) {
    Vector total[kRows][kVectors] = {};
    for (int64_t begin = 0; begin < depth; begin += kBlock) {
      const int64_t end = std::min(depth, begin + kBlock);
      Vector part[kRows][kVectors] = {};
      for (int64_t k = begin; k < end; ++k) {
        const auto* pixels = reinterpret_cast<const Vector*>(panel + k * kColumns + column);
        for (int row = 0; row < kRows; ++row) {
          for (int v = 0; v < kVectors; ++v) part[row][v] += kernel[row * depth + k] * pixels[v];
        }
      }
      for (int row = 0; row < kRows; ++row) {
        for (int v = 0; v < kVectors; ++v) total[row][v] += part[row][v];
      }
    }
    for (int row = 0; row < kRows; ++row) std::memcpy(sums + row * kColumns + column, total[row], sizeof total[row]);
  }
}

using Multiply = void (*)(const float* kernel, int64_t depth, const float* panel, float* sums);

__attribute__((target("avx512f"))) void rows8_avx512(const float* w, int64_t depth, const float* panel, float* sums) {
  multiply<8, 16, 2>(w, depth, panel, sums);
}
__attribute__((target("avx512f"))) void rows1_avx512(const float* w, int64_t depth, const float* panel, float* sums) {
  multiply<1, 16, 2>(w, depth, panel, sums);
}
__attribute__((target("avx2"))) void rows6_avx2(const float* w, int64_t depth, const float* panel, float* sums) {
  multiply<6, 8, 2>(w, depth, panel, sums);
}
__attribute__((target("avx2"))) void rows1_avx2(const float* w, int64_t depth, const float* panel, float* sums) {
  multiply<1, 8, 4>(w, depth, panel, sums);
}
void rows4_sse2(const float* w, int64_t depth, const float* panel, float* sums) {
  multiply<4, 4, 2>(w, depth, panel, sums);
}
void rows1_sse2(const float* w, int64_t depth, const float* panel, float* sums) {
  multiply<1, 4, 8>(w, depth, panel, sums);
}

struct Isa {
  const char* name;
  int rows;  // filters that `many` takes
  Multiply many, one;
};

std::vector<Isa> isas() {
  std::vector<Isa> usable;
  if (cpu_features().avx512) usable.push_back({"avx512", 8, rows8_avx512, rows1_avx512});
  if (cpu_features().avx2) usable.push_back({"avx2", 6, rows6_avx2, rows1_avx2});
  usable.push_back({"sse2", 4, rows4_sse2, rows1_sse2});
  return usable;
}

Isa find_isa(const std::string& name) {
  for (const Isa& isa : isas()) {
    if (name.empty() || name == isa.name) return isa;
  }
  fail("this processor has no {}; it has {}", name, isas()[0].name);
}

// --- From the image to panels -------------------------------------------------------------------------------------

struct Geometry {
  int64_t channels, height, width;  // of one group's input
  int64_t out_height, out_width;
  int64_t size, stride, padding;
  int64_t depth() const { return channels * size * size; }
  int64_t pixels() const { return out_height * out_width; }
  int64_t panels() const { return (pixels() + kColumns - 1) / kColumns; }
};

Geometry geometry(const Conv& conv, const LayerShape& in, const LayerShape& out) {
  const int64_t channels = in.channels / conv.groups;
  if (conv.size == 1 && conv.stride == 1 && conv.padding == 0) {  // rows do not matter: one long one
    return {channels, 1, in.height * in.width, 1, in.height * in.width, 1, 1, 0};
  }
  return {channels, in.height, in.width, out.height, out.width, conv.size, conv.stride, conv.padding};
}

// Output pixels of a panel that stand side by side in one row.
struct Run {
  int64_t column, y, x, count;  // column in the panel; place of the first one in the output
};

// Places the input cells that the window's cell (ky,kx) sees from the run's pixels, for all channels; beyond the border
// they are 0. panel: channels,size,size,32.
void pack_run(const Geometry& g, const float* image, const Run& run, int64_t ky, int64_t kx, float* panel) {
  const int64_t y = run.y * g.stride - g.padding + ky, x = run.x * g.stride - g.padding + kx;
  int64_t first = x < 0 ? std::min(run.count, (-x + g.stride - 1) / g.stride) : 0;
  int64_t end = x < g.width ? std::min(run.count, (g.width - 1 - x) / g.stride + 1) : 0;
  if (y < 0 || y >= g.height || first >= end) first = end = run.count;
  const bool inside = first < end;
  for (int64_t c = 0; c < g.channels; ++c) {
    float* to = panel + ((c * g.size + ky) * g.size + kx) * kColumns + run.column;
    std::fill(to, to + first, 0.0f);
    if (inside) {
      const float* from = image + (c * g.height + y) * g.width + x;
      if (g.stride == 1) {
        std::copy(from + first, from + end, to + first);
      } else {
        for (int64_t i = first; i < end; ++i) to[i] = from[i * g.stride];
      }
    }
    std::fill(to + end, to + run.count, 0.0f);
  }
}

void pack_panel(const Geometry& g, const float* image, int64_t first_pixel, float* panel) {
  const int64_t count = std::min<int64_t>(kColumns, g.pixels() - first_pixel);
  if (count < kColumns) std::fill(panel, panel + g.depth() * kColumns, 0.0f);
  for (int64_t column = 0; column < count;) {
    const int64_t y = (first_pixel + column) / g.out_width, x = (first_pixel + column) % g.out_width;
    const Run run{column, y, x, std::min(count - column, g.out_width - x)};
    for (int64_t ky = 0; ky < g.size; ++ky) {
      for (int64_t kx = 0; kx < g.size; ++kx) pack_run(g, image, run, ky, kx, panel);
    }
    column += run.count;
  }
}

// --- The work of one thread ---------------------------------------------------------------------------------------

void finish_row(const ChannelMap& map, Activation activation, const float* sums, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<float>((sums[i] - map.mean) / map.deviation * map.gamma + map.beta);
  }
  activate(activation, out);
}

// Filters [begin,end) of all groups' filters on one panel; kernel and result begin at filter 0.
void multiply_filters(const Isa& isa, const Conv& conv, const Geometry& g, int64_t begin, int64_t end,
                      const float* kernel, const float* panel, std::span<const ChannelMap> channels,
                      int64_t first_pixel, float* result) {
  alignas(64) std::array<float, kMaxRows * kColumns> sums;
  const auto count = static_cast<size_t>(std::min<int64_t>(kColumns, g.pixels() - first_pixel));
  for (int64_t filter = begin; filter < end;) {
    const int64_t rows = filter + isa.rows <= end ? isa.rows : 1;
    (rows == 1 ? isa.one : isa.many)(kernel + filter * g.depth(), g.depth(), panel, sums.data());
    for (int64_t row = 0; row < rows; ++row, ++filter) {
      finish_row(channels[static_cast<size_t>(filter)], conv.activation, sums.data() + row * kColumns,
                 {result + filter * g.pixels() + first_pixel, count});
    }
  }
}

}  // namespace

void convolve(const Conv& conv, const LayerShape& in, const LayerShape& out, const float* image, const float* kernel,
              std::span<const ChannelMap> channels, float* result, const std::string& isa_name) {
  const Isa isa = find_isa(isa_name);
  const Geometry g = geometry(conv, in, out);
  const int64_t group_filters = conv.filters / conv.groups, panels = g.panels();
  // Maps with few panels are divided among the threads by filters too, in whole blocks of rows.
  const int64_t wanted = (omp_get_max_threads() + conv.groups * panels - 1) / (conv.groups * panels);
  const int64_t parts = std::min(wanted, (group_filters + isa.rows - 1) / isa.rows);
  const int64_t part_filters = ((group_filters + parts - 1) / parts + isa.rows - 1) / isa.rows * isa.rows;
#pragma omp parallel
  {
    Tensor panel({g.depth(), kColumns});
#pragma omp for collapse(2) schedule(guided)
    for (int64_t item = 0; item < conv.groups * panels; ++item) {
      for (int64_t part = 0; part < parts; ++part) {
        const int64_t group = item / panels, first_pixel = item % panels * kColumns;
        const int64_t base = group * group_filters;
        const int64_t begin = base + part * part_filters, end = std::min(base + group_filters, begin + part_filters);
        if (begin >= end) continue;
        pack_panel(g, image + group * g.channels * g.height * g.width, first_pixel, panel.data());
        multiply_filters(isa, conv, g, begin, end, kernel, panel.data(), channels, first_pixel, result);
      }
    }
  }
}

std::vector<std::string> convolution_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : isas()) names.emplace_back(isa.name);
  return names;
}

void activate(Activation activation, std::span<float> values) {
  const auto each = [&](auto&& function) {
    for (float& x : values) x = function(x);
  };
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto softplus = [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); };
  switch (activation) {
    case Activation::linear: return;
    case Activation::leaky: return each([](float x) { return x > 0 ? x : kLeakySlope * x; });
    case Activation::relu: return each([](float x) { return x > 0 ? x : 0.0f; });
    case Activation::logistic: return each([&](float x) { return static_cast<float>(sigmoid(x)); });
    case Activation::mish: return each([&](float x) { return static_cast<float>(x * std::tanh(softplus(x))); });
    case Activation::swish: return each([&](float x) { return static_cast<float>(x * sigmoid(x)); });
  }
  fail("unknown activation {}", static_cast<int>(activation));
}

}  // namespace yolov3
