#include "quant/observe.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/rng.h"
#include "data/loader.h"

namespace yolov3 {
namespace {

LoaderOptions loader_options(const NetworkSpec& spec, const PictureOptions& options, int batch) {
  LoaderOptions loader;
  loader.batch = batch;
  loader.width = static_cast<int>(spec.input.width);
  loader.height = static_cast<int>(spec.input.height);
  loader.letterbox = options.letterbox;
  loader.exact_decode = options.exact_decode;
  return loader;
}

bool loads(const Example& example) {
  try {
    load_example(example);
    return true;
  } catch (const Error& error) {
    log_warning("left out of the calibration: {}", error.what());
    return false;
  }
}

void count_map(const NetworkSpec& spec, int layer, const Tensor& map, std::vector<Histogram>& maps) {
  const auto index = static_cast<size_t>(layer);
  check(index < maps.size(), "the engine shows layer {} of a network of {}", layer, maps.size());
  try {
    maps[index].add(map.values());
  } catch (const Error& error) {
    fail("the map of layer {} ({}): {}; the network itself is broken, int8 cannot mend it", layer,
         layer_kind(spec.layers[index]), error.what());
  }
}

}  // namespace

Dataset choose_pictures(const Dataset& dataset, int count, uint64_t seed) {
  std::vector<size_t> order(dataset.examples.size()), chosen;
  std::iota(order.begin(), order.end(), size_t{0});
  Rng(seed).shuffle(order);
  for (const size_t index : order) {
    if (chosen.size() == static_cast<size_t>(std::max(count, 0))) break;
    if (loads(dataset.examples[index])) chosen.push_back(index);
  }
  check(!chosen.empty(), "no picture to calibrate on: none of {} can be loaded", dataset.examples.size());
  std::sort(chosen.begin(), chosen.end());
  Dataset pictures{dataset.names, dataset.category_ids, {}};
  for (const size_t index : chosen) pictures.examples.push_back(dataset.examples[index]);
  return pictures;
}

std::vector<Tensor> load_inputs(const Dataset& pictures, int count, const NetworkSpec& spec,
                                const PictureOptions& options) {
  Dataset first{pictures.names, pictures.category_ids, pictures.examples};
  first.examples.resize(std::min(first.examples.size(), static_cast<size_t>(std::max(count, 0))));
  if (first.examples.empty()) return {};
  Loader loader(first, loader_options(spec, options, 1));
  loader.start_epoch(0);
  std::vector<Tensor> inputs;
  while (std::optional<Batch> batch = loader.next()) inputs.push_back(std::move(batch->images));
  return inputs;
}

std::vector<Histogram> observe_maps(Engine& engine, const NetworkSpec& spec, const Dataset& pictures,
                                    const PictureOptions& options) {
  std::vector<Histogram> maps(spec.layers.size());
  Loader loader(pictures, loader_options(spec, options, options.batch));
  Progress progress("observe", static_cast<int64_t>(pictures.examples.size()));
  int64_t done = 0;
  loader.start_epoch(0);
  while (const std::optional<Batch> batch = loader.next()) {
    engine.forward_observed(batch->images, [&](int layer, const Tensor& map) { count_map(spec, layer, map, maps); });
    done += static_cast<int64_t>(batch->examples.size());
    progress.update(done);
  }
  check(std::any_of(maps.begin(), maps.end(), [](const Histogram& map) { return map.count() > 0; }),
        "the {} engine shows the map of no layer", engine.name());
  return maps;
}

}  // namespace yolov3
