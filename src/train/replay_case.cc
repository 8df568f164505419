#include "train/replay_case.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "train/position.h"

namespace yolov3 {
namespace {

constexpr const char* kImages = "batch/images";    // N,3,H,W
constexpr const char* kObjects = "batch/objects";  // P,9: image, class, x0, y0, x1, y1, difficult, crowd, area
constexpr int64_t kObjectColumns = 9;
constexpr const char* kClassWeights = "class_weights";  // K; none: all 1
constexpr const char* kSums = "sum/";

Tensor objects_tensor(const std::vector<std::vector<Annotation>>& objects) {
  int64_t count = 0;
  for (const auto& list : objects) count += static_cast<int64_t>(list.size());
  Tensor rows({count, kObjectColumns});
  float* row = rows.data();
  for (size_t image = 0; image < objects.size(); ++image) {
    for (const Annotation& o : objects[image]) {
      const float values[] = {
          static_cast<float>(image), static_cast<float>(o.class_id), o.box.x0, o.box.y0, o.box.x1, o.box.y1,
          o.difficult ? 1.0f : 0.0f, o.crowd ? 1.0f : 0.0f,          o.area};
      row = std::copy(std::begin(values), std::end(values), row);
    }
  }
  return rows;
}

std::vector<std::vector<Annotation>> objects_of(const Tensor& rows, int64_t images, int classes) {
  check(rows.shape().size() == 2 && rows.dim(1) == kObjectColumns, "{}: expected (n,{}) numbers, found {}", kObjects,
        kObjectColumns, to_string(rows.shape()));
  std::vector<std::vector<Annotation>> objects(static_cast<size_t>(images));
  for (int64_t i = 0; i < rows.dim(0); ++i) {
    const float* v = rows.data() + i * kObjectColumns;
    check(v[0] >= 0 && v[0] < static_cast<float>(images) && v[1] >= 0 && v[1] < static_cast<float>(classes),
          "{}: row {} is of image {} and class {}, there are {} and {}", kObjects, i, v[0], v[1], images, classes);
    objects[static_cast<size_t>(v[0])].push_back({.box = {v[2], v[3], v[4], v[5]},
                                                  .class_id = static_cast<int>(v[1]),
                                                  .difficult = v[6] != 0,
                                                  .crowd = v[7] != 0,
                                                  .area = v[8]});
  }
  return objects;
}

const Tensor& tensor_of(const TrainingState& state, const std::string& name) {
  const auto found = state.tensors.find(name);
  check(found != state.tensors.end(), "it has no tensor '{}': a model or a checkpoint, not a step to replay", name);
  return found->second;
}

ReplayCase case_of(Model model, TrainingState state) {
  const StateValues& values = state.values;
  ReplayCase step;
  step.batch.images = tensor_of(state, kImages);
  const Shape& shape = step.batch.images.shape();
  check(shape.size() == 4 && shape[0] > 0 && shape[1] == model.spec.input.channels,
        "{}: expected (n,{},height,width) numbers, found {}", kImages, model.spec.input.channels, to_string(shape));
  step.batch.objects_net = objects_of(tensor_of(state, kObjects), shape[0], class_count(model.spec));
  for (int64_t i = 0; i < shape[0]; ++i) {
    step.batch.examples.push_back(i);
    step.pictures.push_back(state_text(values, fmt::format("picture/{}", i)));
    step.origins.push_back(state_text(values, fmt::format("origin/{}", i)));
  }
  step.accumulated = state_count(values, "accumulated");
  step.update = state_count(values, "update") != 0;
  step.lr = state_number(values, "lr");
  step.epoch = static_cast<int>(state_count(values, "epoch"));
  step.batch_in_epoch = state_count(values, "batch");
  step.step = state_count(values, "step");
  step.draws = parse_integer(state_text(values, "draws")).value_or(0);
  step.reason = state_text(values, "reason");
  step.args_toml = state_text(values, "args");
  step.plan = state_text(values, "plan");
  if (const auto found = state.tensors.find(kClassWeights); found != state.tensors.end()) {
    const std::span<const float> weights = std::as_const(found->second).values();
    check(weights.size() == static_cast<size_t>(class_count(model.spec)), "{}: expected {} numbers, found {}",
          kClassWeights, class_count(model.spec), weights.size());
    step.class_weights.assign(weights.begin(), weights.end());
  }
  for (const ParamSlot& slot : param_slots(model.spec)) {
    const auto found = state.tensors.find(kSums + slot.name);
    if (found == state.tensors.end()) continue;
    check(found->second.shape() == slot.shape, "{}{}: expected the shape {}, found {}", kSums, slot.name,
          to_string(slot.shape), to_string(found->second.shape()));
    step.sums.emplace(slot.name, std::move(found->second));
  }
  step.model = std::move(model);
  return step;
}

}  // namespace

void save_replay(const std::filesystem::path& path, const ReplayCase& step) {
  TrainingState state;
  state.tensors[kImages] = step.batch.images;
  state.tensors[kObjects] = objects_tensor(step.batch.objects_net);
  for (const auto& [name, sum] : step.sums) state.tensors[kSums + name] = sum;
  if (!step.class_weights.empty()) {
    Tensor weights({static_cast<int64_t>(step.class_weights.size())});
    std::ranges::transform(step.class_weights, weights.data(),
                           [](double weight) { return static_cast<float>(weight); });
    state.tensors[kClassWeights] = std::move(weights);
  }
  for (size_t i = 0; i < step.pictures.size(); ++i) {
    state.values[fmt::format("picture/{}", i)] = step.pictures[i];
    state.values[fmt::format("origin/{}", i)] = step.origins[i];
  }
  state.values.insert({{"accumulated", fmt::format("{}", step.accumulated)},
                       {"update", step.update ? "1" : "0"},
                       {"lr", fmt::format("{}", step.lr)},
                       {"epoch", fmt::format("{}", step.epoch)},
                       {"batch", fmt::format("{}", step.batch_in_epoch)},
                       {"step", fmt::format("{}", step.step)},
                       {"draws", fmt::format("{}", step.draws)},
                       {"reason", step.reason},
                       {"args", step.args_toml},
                       {"plan", step.plan}});
  save_model(path, step.model, &state);
}

ReplayCase load_replay(const std::filesystem::path& path) {
  TrainingState state;
  Model model = load_model(path, &state);
  try {
    return case_of(std::move(model), std::move(state));
  } catch (const Error& error) {
    fail("{}: {}", path.string(), error.what());
  }
}

}  // namespace yolov3
