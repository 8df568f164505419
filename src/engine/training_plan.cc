#include "engine/training_plan.h"

#include <array>

#include "base/cpu.h"
#include "base/error.h"
#include "base/text.h"
#include "base/usage.h"

namespace yolov3 {
namespace {

constexpr std::array kLayouts{Layout::channels_last, Layout::blocked8, Layout::blocked16};

// Of the f32 maps: Winograd wants blocks, and where there is none oneDNN's blocked gradients are faster still.
Layout f32_layout() {
  return cpu_features().avx512 ? Layout::blocked16 : cpu_features().avx2 ? Layout::blocked8 : Layout::channels_last;
}

const Conv& conv_at(const NetworkSpec& spec, int layer) {
  return std::get<Conv>(spec.layers[static_cast<size_t>(layer)].op);
}

bool winograd_applies_to(const NetworkSpec& spec, int layer) {
  return winograd_applies(conv_at(spec, layer), input_shape(spec, static_cast<size_t>(layer)).channels);
}

char letter_of(ConvAlgorithm algorithm) { return algorithm == ConvAlgorithm::winograd ? 'w' : 'd'; }

ConvAlgorithm algorithm_of(char letter, std::string_view word) {
  check(letter == 'd' || letter == 'w', "training-plan: \"{}\" is not three of d and w", word);
  return letter == 'w' ? ConvAlgorithm::winograd : ConvAlgorithm::direct;
}

NumberType parse_type(std::string_view word) {
  check(word == "f32" || word == "bf16", "training-plan: \"{}\" is neither f32 nor bf16", word);
  check(word == "f32" || cpu_computes_bf16(), "training-plan: it computes in bf16, which this CPU ({}) has not",
        to_string(cpu_features()));
  return word == "f32" ? NumberType::f32 : NumberType::bf16;
}

Layout parse_layout(std::string_view word) {
  for (const Layout layout : kLayouts) {
    if (word == to_string(layout)) return layout;
  }
  fail("training-plan: \"{}\" is no layout", word);
}

}  // namespace

bool amx_kernel_gradient_is_wrong(int64_t out_width) { return cpu_features().amx && out_width > 352; }

TrainingPlan rule_training_plan(const NetworkSpec& spec, const std::string& precision) {
  check_usage(precision == "f32" || precision == "bf16", "--precision {}: training takes f32 or bf16", precision);
  check_usage(precision == "f32" || cpu_computes_bf16(),
              "--precision bf16: this CPU ({}) has no bf16 arithmetic; use f32", to_string(cpu_features()));
  TrainingPlan plan;
  plan.type = precision == "bf16" ? NumberType::bf16 : NumberType::f32;
  // AMX tiles take their pixels as they come.
  plan.layout = plan.type == NumberType::bf16 && cpu_features().amx ? Layout::channels_last : f32_layout();
  for (const int layer : conv_layers(spec)) {
    const bool winograd =
        plan.type == NumberType::f32 && plan.layout == Layout::blocked16 && winograd_applies_to(spec, layer);
    const ConvAlgorithm algorithm = winograd ? ConvAlgorithm::winograd : ConvAlgorithm::direct;
    plan.convolutions.push_back({algorithm, algorithm, algorithm});
  }
  return plan;
}

std::string write_training_plan(const TrainingPlan& plan) {
  std::string text = fmt::format("training-plan 1 {} {}:", to_string(plan.type), to_string(plan.layout));
  for (const ConvPasses& passes : plan.convolutions) {
    text += {' ', letter_of(passes.forward), letter_of(passes.data), letter_of(passes.weights)};
  }
  return text;
}

TrainingPlan parse_training_plan(const std::string& text, const NetworkSpec& spec) {
  std::vector<std::string_view> words;
  for (const std::string_view word : split(trim(text), ' ')) {
    if (!word.empty()) words.push_back(word);
  }
  check(words.size() >= 4 && words[0] == "training-plan" && words[1] == "1" && words[3].ends_with(":"),
        "training-plan: expected \"training-plan 1 TYPE LAYOUT: ...\", got {} words", words.size());
  TrainingPlan plan;
  plan.type = parse_type(words[2]);
  plan.layout = parse_layout(words[3].substr(0, words[3].size() - 1));
  check(cpu_features().avx2 || plan.layout == Layout::channels_last,
        "training-plan: in blocks of channels, which this CPU ({}) computes wrongly", to_string(cpu_features()));
  const std::vector<int> layers = conv_layers(spec);
  check(words.size() - 4 == layers.size(), "training-plan: {} convolutions for a network of {}", words.size() - 4,
        layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string_view word = words[i + 4];
    check(word.size() == 3, "training-plan: \"{}\" is not three of d and w", word);
    const ConvPasses passes{algorithm_of(word[0], word), algorithm_of(word[1], word), algorithm_of(word[2], word)};
    check(word == "ddd" || (plan.type == NumberType::f32 && winograd_applies_to(spec, layers[i])),
          "training-plan: layer {} cannot be {} on this CPU", layers[i], word);
    plan.convolutions.push_back(passes);
  }
  return plan;
}

}  // namespace yolov3
