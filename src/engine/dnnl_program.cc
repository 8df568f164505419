#include "engine/dnnl_program.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "engine/dnnl_program_parts.h"

namespace yolov3 {
namespace {

constexpr int64_t kAlignment = 64;

bool alive_together(const ArenaBuffer& a, const ArenaBuffer& b) { return a.first <= b.last && b.first <= a.last; }

}  // namespace

int64_t place_buffers(std::vector<ArenaBuffer>& buffers) {
  // Largest first, each at the lowest place that is free for as long as it lives.
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  std::vector<const ArenaBuffer*> placed;  // by offset
  int64_t size = 0;
  for (const size_t index : order) {
    ArenaBuffer& buffer = buffers[index];
    buffer.offset = 0;
    for (const ArenaBuffer* other : placed) {
      if (!alive_together(buffer, *other)) continue;
      if (buffer.offset + buffer.bytes <= other->offset) break;
      buffer.offset =
          std::max(buffer.offset, (other->offset + other->bytes + kAlignment - 1) / kAlignment * kAlignment);
    }
    placed.insert(std::ranges::upper_bound(placed, buffer.offset, {}, [](const ArenaBuffer* b) { return b->offset; }),
                  &buffer);
    size = std::max(size, buffer.offset + buffer.bytes);
  }
  return size;
}

DnnlProgram::~DnnlProgram() = default;

int64_t DnnlProgram::arena_bytes() const { return arena_bytes_; }

int64_t DnnlProgram::packed_bytes() const {
  int64_t bytes = 0;
  for (const Conv& conv : convs_) {
    bytes +=
        static_cast<int64_t>(conv.weights->kernel.get_desc().get_size() + conv.weights->bias.get_desc().get_size());
  }
  return bytes;
}

MapView DnnlProgram::view(int index) const {
  const Map& map = maps_[static_cast<size_t>(index)];
  const ArenaBuffer& buffer = buffers_[static_cast<size_t>(map.buffer)];
  const MapView whole = make_view(arena_ + buffer.offset, map.format, images_, map.whole);
  return slice_channels(whole, map.first_channel, map.shape.channels);
}

void DnnlProgram::place(std::byte* arena) {
  arena_ = arena;
  std::byte* scratch = arena + buffers_[static_cast<size_t>(scratch_)].offset;
  for (const Step& step : steps_) {
    if (step.kind != Step::Kind::convolution) continue;
    Conv& conv = convs_[static_cast<size_t>(step.conv)];
    conv.source.set_data_handle(view(step.in).data);
    conv.target.set_data_handle(view(step.out).data);
    conv.scratch.set_data_handle(scratch);
    if (step.second >= 0) conv.residual.set_data_handle(view(step.second).data);
  }
}

MapView DnnlProgram::input() const { return view(input_); }

void DnnlProgram::execute(const Step& step) {
  const auto& op = spec_.layers[static_cast<size_t>(step.layer)].op;
  switch (step.kind) {
    case Step::Kind::convolution: {
      Conv& conv = convs_[static_cast<size_t>(step.conv)];
      conv.primitive.execute(stream_, conv.arguments);
      return;
    }
    case Step::Kind::compute: {
      const MapView addend = step.second >= 0 ? view(step.second) : MapView{};
      return compute_map(view(step.in), step.second >= 0 ? &addend : nullptr, step.math, view(step.out));
    }
    case Step::Kind::copy:
      return copy_channels(view(step.in), step.in_first, step.count, view(step.out), step.out_first);
    case Step::Kind::upsample: return upsample_map(view(step.in), std::get<Upsample>(op).stride, view(step.out));
    case Step::Kind::max_pool: return max_pool_map(view(step.in), std::get<MaxPool>(op), view(step.out));
    case Step::Kind::average: return average_map(view(step.in), view(step.out));
    case Step::Kind::scale: return scale_map(view(step.in), view(step.second), step.math.activation, view(step.out));
    case Step::Kind::planes: return map_to_planes(view(step.in), reinterpret_cast<float*>(view(step.out).data));
  }
}

void DnnlProgram::run() {
  for (const Step& step : steps_) execute(step);
}

void DnnlProgram::run_observed(const LayerObserver& observe) {
  for (const Step& step : steps_) {
    execute(step);
    for (const auto& [layer, index] : step.finishes) {
      const MapView map = view(index);
      Tensor planes({images_, map.shape.channels, map.shape.height, map.shape.width});
      map_to_planes(map, planes.data());
      observe(layer, planes);
    }
  }
}

std::vector<StepTime> DnnlProgram::steps() const {
  std::vector<StepTime> infos;
  for (const Step& step : steps_) infos.push_back(step.info);
  return infos;
}

std::vector<StepTime> DnnlProgram::run_timed() {
  std::vector<StepTime> times = steps();
  for (size_t i = 0; i < steps_.size(); ++i) {
    const auto start = std::chrono::steady_clock::now();
    execute(steps_[i]);
    times[i].ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  }
  return times;
}

std::vector<RawMap> DnnlProgram::outputs() const {
  std::vector<RawMap> maps;
  for (const int output : outputs_) {
    const MapView map = view(output);
    const bool planes = map.format.layout == Layout::planes;
    maps.push_back({reinterpret_cast<const float*>(map.data), images_, map.shape.channels, map.shape.height,
                    map.shape.width, map.image_stride, planes ? map.pixels() : 1, planes ? 1 : map.pixel_stride});
  }
  return maps;
}

}  // namespace yolov3
