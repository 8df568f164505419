#include "engine/plan.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/error.h"
#include "base/text.h"
#include "base/usage.h"

namespace yolov3 {
namespace {

constexpr const char* kLayoutNames[] = {"planes", "channels_last", "blocked8", "blocked16"};

Layout parse_layout(std::string_view word) {
  for (size_t i = 0; i < std::size(kLayoutNames); ++i) {
    if (word == kLayoutNames[i]) return static_cast<Layout>(i);
  }
  fail("plan: \"{}\" is no layout", word);
}

// The beginning of what a file holds, fit for a message.
std::string printable(const std::string& text) {
  std::string start = text.substr(0, 60);
  std::ranges::replace_if(
      start, [](unsigned char c) { return c < 32 || c > 126; }, '?');
  return start;
}

ConvChoice parse_choice(std::string_view word) {
  for (const NumberType type : {NumberType::f32, NumberType::bf16, NumberType::s8}) {
    for (const ConvAlgorithm algorithm : {ConvAlgorithm::direct, ConvAlgorithm::winograd}) {
      const ConvChoice choice{type, algorithm};
      if (word == to_string(choice)) return choice;
    }
  }
  fail("plan: \"{}\" is none of f32-direct, f32-winograd, bf16-direct, int8-direct", word);
}

// bf16 pays where the processor has AMX, and on AMD's. Intel's cores without AMX multiply bf16 no faster than f32, for
// which there is Winograd's algorithm besides.
bool bf16_is_fast() {
  return cpu_features().amx || (cpu_features().avx512_bf16 && cpu_model_name().starts_with("AMD"));
}

NumberType best_float() { return bf16_is_fast() ? NumberType::bf16 : NumberType::f32; }

// A value of "key=VALUE".
std::string_view value_of(std::string_view word, std::string_view key) {
  check(word.starts_with(key) && word.size() > key.size() && word[key.size()] == '=',
        "plan: expected \"{}=...\", got \"{}\"", key, word);
  return word.substr(key.size() + 1);
}

}  // namespace

std::string to_string(const ConvChoice& choice) {
  return to_string(choice.type) + (choice.algorithm == ConvAlgorithm::winograd ? "-winograd" : "-direct");
}

bool cpu_computes_bf16() { return cpu_features().avx512_bf16 || cpu_features().amx; }

// oneDNN takes three planes too, and gives wrong numbers.
bool winograd_applies(const Conv& conv, int64_t in_channels) {
  return cpu_features().avx512 && conv.size == 3 && conv.stride == 1 && conv.padding <= 1 && conv.groups == 1 &&
         in_channels >= 16 && conv.filters >= 16;
}

std::vector<int> conv_layers(const NetworkSpec& spec) {
  std::vector<int> layers;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    if (std::holds_alternative<Conv>(spec.layers[i].op)) layers.push_back(static_cast<int>(i));
  }
  return layers;
}

Plan rule_plan(const NetworkSpec& spec, const std::string& precision, const Quantization* quantization) {
  check_usage(precision == "f32" || precision == "bf16" || precision == "int8" || precision == "auto",
              "--precision {}: expected auto, f32, bf16 or int8", precision);
  check_usage(precision != "bf16" || cpu_computes_bf16(),
              "--precision bf16: this CPU ({}) has no bf16 arithmetic; use f32, int8 or auto",
              to_string(cpu_features()));
  check_usage(precision != "int8" || quantization != nullptr,
              "--precision int8: the model has no int8 scales; run yolov3 calibrate --weights FILE --data D first");
  Plan plan;
  // Without AVX2 oneDNN's blocked convolutions give wrong numbers for channels that fill no block.
  plan.f32_layout = cpu_features().avx512 ? Layout::blocked16
                    : cpu_features().avx2 ? Layout::blocked8
                                          : Layout::channels_last;
  plan.bf16_layout = cpu_features().amx ? Layout::channels_last : Layout::blocked16;
  if (precision == "int8") {
    check_quantization(spec, *quantization);
    plan.bf16_layout = plan.f32_layout = Layout::channels_last;  // as int8: neighbours agree
  }
  const NumberType base = precision == "f32"    ? NumberType::f32
                          : precision == "bf16" ? NumberType::bf16
                          : precision == "int8" ? NumberType::s8
                                                : best_float();
  for (const int layer : conv_layers(spec)) {
    const Conv& conv = std::get<Conv>(spec.layers[static_cast<size_t>(layer)].op);
    ConvChoice choice{base, ConvAlgorithm::direct};
    if (base == NumberType::s8 && std::ranges::binary_search(quantization->float_layers, layer)) {
      choice.type = best_float();
    }
    const bool blocked = block_of(plan.f32_layout) > 1;
    const int64_t channels = input_shape(spec, static_cast<size_t>(layer)).channels;
    if (choice.type == NumberType::f32 && blocked && winograd_applies(conv, channels)) {
      choice.algorithm = ConvAlgorithm::winograd;
    }
    plan.convolutions.push_back(choice);
  }
  return plan;
}

std::string write_plan(const Plan& plan) {
  std::string text = fmt::format("plan 1 f32={} bf16={}:", kLayoutNames[static_cast<size_t>(plan.f32_layout)],
                                 kLayoutNames[static_cast<size_t>(plan.bf16_layout)]);
  for (const ConvChoice& choice : plan.convolutions) text += " " + to_string(choice);
  return text;
}

Plan parse_plan(const std::string& text, const NetworkSpec& spec, const Quantization* quantization) {
  std::vector<std::string_view> words;
  for (const std::string_view word : split(trim(text), ' ')) {
    if (!word.empty()) words.push_back(word);
  }
  check(words.size() >= 4 && words[0] == "plan" && words[1] == "1" && words[3].ends_with(":"),
        "plan: expected \"plan 1 f32=LAYOUT bf16=LAYOUT: ...\", got \"{}\"", printable(text));
  Plan plan;
  plan.f32_layout = parse_layout(value_of(words[2], "f32"));
  plan.bf16_layout = parse_layout(value_of(words[3].substr(0, words[3].size() - 1), "bf16"));
  for (const Layout layout : {plan.f32_layout, plan.bf16_layout}) {
    check(layout != Layout::planes && (block_of(layout) == 1 || cpu_features().avx2), "plan: no {} maps on this CPU",
          to_string(layout));
  }
  const std::vector<int> layers = conv_layers(spec);
  check(words.size() - 4 == layers.size(), "plan: {} convolutions for a network of {}", words.size() - 4,
        layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    const ConvChoice choice = parse_choice(words[i + 4]);
    const Conv& conv = std::get<Conv>(spec.layers[static_cast<size_t>(layers[i])].op);
    check(choice.algorithm == ConvAlgorithm::direct ||
              (choice.type == NumberType::f32 &&
               winograd_applies(conv, input_shape(spec, static_cast<size_t>(layers[i])).channels)),
          "plan: layer {} cannot be {} on this CPU", layers[i], words[i + 4]);
    check(choice.type != NumberType::s8 || quantization != nullptr,
          "plan: layer {} wants int8, but the model has no int8 scales; run yolov3 calibrate", layers[i]);
    check(choice.type != NumberType::bf16 || cpu_computes_bf16(), "plan: layer {} wants bf16, which this CPU has not",
          layers[i]);
    plan.convolutions.push_back(choice);
  }
  return plan;
}

}  // namespace yolov3
