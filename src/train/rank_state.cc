#include "train/rank_state.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "net/cfg.h"

namespace yolov3 {
namespace {

// FNV-1a.
class Digest {
 public:
  void add(const void* data, size_t bytes) {
    const auto* byte = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < bytes; ++i) value_ = (value_ ^ byte[i]) * 0x100000001b3;
  }
  void add(const std::string& text) {
    add(text.data(), text.size());
    add("", 1);
  }
  // Faster, a word at a time.
  void add_words(const float* data, int64_t count) {
    const auto* words = reinterpret_cast<const unsigned char*>(data);
    for (int64_t i = 0; i < count; ++i, words += sizeof(float)) {
      uint32_t word = 0;
      std::memcpy(&word, words, sizeof(word));
      value_ = (value_ ^ word) * 0x100000001b3;
    }
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

// Of one machine, or without a say in what is trained.
constexpr std::array kOfMachine = {"data",          "images",       "names",   "project",      "name",   "weights",
                                   "model",         "device",       "threads", "workers",      "resume", "save-every",
                                   "training-plan", "rank-timeout", "ranks",   "class-weights"};

std::string digest_of(const Dataset& data) {
  Digest digest;
  for (const std::string& name : data.names) digest.add(name);
  for (const Example& example : data.examples) {
    digest.add(example.image.filename().string());
    for (const Annotation& object : example.objects) {
      digest.add(&object.box, sizeof(object.box));
      digest.add(&object.class_id, sizeof(object.class_id));
      digest.add(&object.crowd, sizeof(object.crowd));
    }
  }
  return fmt::format("{} pictures, {} classes, digest {:016x}", data.examples.size(), data.names.size(),
                     digest.value());
}

std::map<std::string, std::string> values_of(const std::string& lines) {
  std::map<std::string, std::string> values;
  for (const std::string_view line : split_lines(lines)) {
    const size_t equals = line.find(" = ");
    if (equals != std::string_view::npos) values[std::string(line.substr(0, equals))] = line.substr(equals + 3);
  }
  return values;
}

}  // namespace

void copy_state_from_first(Ranks& ranks, TorchNetwork& network, Optimizer& optimizer) {
  if (ranks.alone()) return;
  const torch::NoGradGuard no_grad;
  const std::string counts = ranks.text_from_first(fmt::format("{} {}", optimizer.steps(), optimizer.accumulated()),
                                                   "what rank 0 starts from");
  if (!ranks.first()) {
    const size_t blank = counts.find(' ');
    optimizer.resume_at(parse_integer(counts.substr(0, blank)).value_or(0),
                        parse_integer(counts.substr(blank + 1)).value_or(0));
  }
  for (const torch::Tensor& param : network.params()) ranks.copy_from_first(param);
  for (const OptimizerParam& param : optimizer.params()) {
    for (const torch::Tensor& tensor : {param.mean, param.square, param.average}) {
      if (tensor.defined()) ranks.copy_from_first(tensor);
    }
    if (optimizer.accumulated() > 0 && param.sum.defined()) ranks.copy_from_first(param.sum);
  }
}

RunPosition position_from_first(Ranks& ranks, const RunPosition& position, const std::string& what) {
  if (ranks.alone()) return position;
  StateValues values;
  write_position(position, values);
  std::string text;
  for (const auto& [key, value] : values) text += fmt::format("{} = {}\n", key, value);
  return read_position(values_of(ranks.text_from_first(text, what)));
}

uint64_t digest_of_weights(TorchNetwork& network) {
  Digest digest;
  for (const torch::Tensor& param : network.params()) {
    const torch::Tensor numbers = param.detach().to(torch::kCPU);
    digest.add_words(numbers.data_ptr<float>(), numbers.numel());  // dense, in the same order on every rank
  }
  return digest.value();
}

void check_same_weights(Ranks& ranks, TorchNetwork& network, int64_t step) {
  if (ranks.alone()) return;
  const std::vector<std::string> digests =
      ranks.texts(fmt::format("{:016x}", digest_of_weights(network)), "comparing the weights");
  for (size_t rank = 1; rank < digests.size(); ++rank) {
    check(digests[rank] == digests[0],
          "after step {} rank {} has other weights than rank 0 (digests {} and {}): its memory or its processor is at "
          "fault, or the ranks run different programs",
          step, rank, digests[rank], digests[0]);
  }
}

std::vector<std::pair<std::string, std::string>> facts_of_start(const Start& start, const TrainOptions& options,
                                                                const std::string& args_toml) {
  Digest network;
  network.add(write_cfg(start.spec));
  std::vector<std::pair<std::string, std::string>> facts = {
      {"program", fmt::format("{} with LibTorch {}", YOLOV3_VERSION, TORCH_VERSION)},
      {"train pictures", digest_of(start.data.train)},
      {"val pictures", digest_of(start.data.val)},
      {"class weights", fmt::format("{}", fmt::join(start.class_weights, ", "))},
      {"network", fmt::format("digest {:016x}", network.value())},
      {"option batch", fmt::format("{}", options.batch)},
      {"option epochs", fmt::format("{}", options.epochs)},
      {"option seed", fmt::format("{}", options.seed)},
      {"option sync-bn", fmt::format("{}", options.sync_bn)},
      {"option optimizer", options.optimizer},
      {"option lr0", fmt::format("{}", options.lr0)}};
  for (const auto& [key, value] : values_of(args_toml)) {
    if (std::ranges::find(kOfMachine, key) == kOfMachine.end()) facts.emplace_back("option " + key, value);
  }
  return facts;
}

std::string first_difference(const std::string& ours, const std::string& theirs) {
  const auto mine = values_of(ours);
  auto others = values_of(theirs);
  for (const auto& [name, value] : mine) {
    const auto found = others.find(name);
    if (found == others.end()) return fmt::format("{} '{}' and none", name, value);
    if (found->second != value) return fmt::format("{} '{}' and '{}'", name, value, found->second);
    others.erase(found);
  }
  return others.empty() ? "" : fmt::format("{} none and '{}'", others.begin()->first, others.begin()->second);
}

void check_same_start(Ranks& ranks, const Start& start, const TrainOptions& options, const std::string& args_toml) {
  if (ranks.alone()) return;
  std::string mine;
  for (const auto& [name, value] : facts_of_start(start, options, args_toml))
    mine += fmt::format("{} = {}\n", name, value);
  const std::vector<std::string> all = ranks.texts(mine, "reading the data");
  for (size_t rank = 1; rank < all.size(); ++rank) {
    const std::string difference = first_difference(all[0], all[rank]);
    check(difference.empty(), "rank 0 and rank {} differ: {}; start all with the same program, options and data", rank,
          difference);
  }
}

}  // namespace yolov3
