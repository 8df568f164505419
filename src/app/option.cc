// One option: its value as text, both ways.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "app/options.h"
#include "base/error.h"
#include "base/text.h"
#include "base/usage.h"

namespace yolov3 {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

template <class... Args>
[[noreturn]] void usage(fmt::format_string<Args...> message, Args&&... args) {
  fail_usage(message, std::forward<Args>(args)...);
}

bool parse_bool(const std::string& text, const std::string& where) {
  const std::string word = to_lower(text);
  if (word == "true" || word == "1" || word == "yes" || word == "on") return true;
  if (word == "false" || word == "0" || word == "no" || word == "off") return false;
  usage("{}: expected true or false, got \"{}\"", where, text);
}

ImageSize parse_image_size(const std::string& text, const std::string& where) {
  const std::string lower = to_lower(text);
  const std::vector<std::string_view> parts = split(lower, 'x');
  const std::optional<int64_t> width = parse_integer(parts.front()), height = parse_integer(parts.back());
  if (parts.size() > 2 || !width || !height) {
    usage("{}: expected a size such as 416, or WIDTHxHEIGHT such as 608x352, got \"{}\"", where, text);
  }
  if (parts.size() == 1 && *width == 0) return {};
  for (const int64_t side : {*width, *height}) {
    if (side < 32 || side > 8192 || side % 32 != 0) {
      const int64_t near = std::clamp<int64_t>((side + 16) / 32 * 32, 32, 8192);
      usage("{}: sides of the network input are multiples of 32 from 32 to 8192, got {}; the nearest is {}", where,
            side, near);
    }
  }
  return {static_cast<int>(*width), static_cast<int>(*height)};
}

std::vector<std::string> parse_list(const std::string& text) {
  std::vector<std::string> items;
  if (trim(text).empty()) return items;
  for (const std::string_view item : split(text, ',')) items.emplace_back(trim(item));
  return items;
}

}  // namespace

Option::Option(std::string name, Target target, std::string help, std::string group)
    : name_(std::move(name)), help_(std::move(help)), group_(std::move(group)), target_(target) {
  low_ = std::holds_alternative<uint64_t*>(target_) ? 0 : -std::numeric_limits<double>::infinity();
  high_ = std::numeric_limits<double>::infinity();
  default_text_ = text();
}

Option& Option::alias(const std::string& name) {
  aliases_.push_back(name);
  return *this;
}

Option& Option::range(double low, double high) {
  low_ = low;
  high_ = high;
  has_range_ = true;
  return *this;
}

Option& Option::choices(std::vector<std::string> words) {
  choices_ = std::move(words);
  return *this;
}

Option& Option::word(const std::string& text, int value) {
  word_ = text;
  word_value_ = value;
  return *this;
}

Option& Option::placeholder(const std::string& text) {
  placeholder_ = text;
  return *this;
}

Option& Option::unrecorded() {
  recorded_ = false;
  return *this;
}

bool Option::answers_to(const std::string& name) const {
  return name == name_ || std::find(aliases_.begin(), aliases_.end(), name) != aliases_.end();
}

double Option::number(const std::string& text, const std::string& where, bool whole) const {
  // Whole numbers stay exact up to 2^53; seeds, which may be larger, do not come this way.
  const std::optional<double> value = parse_number(text);
  const bool ok = value && (!whole || (parse_integer(text) && std::abs(*value) <= std::numeric_limits<int>::max()));
  if (ok && *value >= low_ && *value <= high_) return *value;
  std::string expected = (word_.empty() ? "" : word_ + " or ") + (whole ? "a whole number" : "a number");
  if (has_range_ && std::isinf(high_)) {
    expected += fmt::format(" of at least {}", low_);
  } else if (has_range_) {
    expected += fmt::format(" from {} to {}", low_, high_);
  }
  usage("{}: expected {}, got \"{}\"", where, expected, text);
}

void Option::set(const std::string& text, const std::string& where) {
  if (!choices_.empty() && std::find(choices_.begin(), choices_.end(), text) == choices_.end()) {
    const std::string near = closest_match(text, choices_);
    usage("{}: expected one of {}, got \"{}\"{}", where, fmt::join(choices_, ", "), text,
          near.empty() ? "" : fmt::format("; did you mean {}?", near));
  }
  std::visit(Overloaded{
                 [&](bool* value) { *value = parse_bool(text, where); },
                 [&](int* value) {
                   const bool is_word = !word_.empty() && text == word_;
                   *value = is_word ? word_value_ : static_cast<int>(number(text, where, true));
                 },
                 [&](uint64_t* value) {
                   const std::optional<int64_t> parsed = parse_integer(text);
                   if (!parsed || *parsed < 0)
                     usage("{}: expected a whole number of at least 0, got \"{}\"", where, text);
                   *value = static_cast<uint64_t>(*parsed);
                 },
                 [&](float* value) { *value = static_cast<float>(number(text, where, false)); },
                 [&](double* value) { *value = number(text, where, false); },
                 [&](std::string* value) { *value = text; },
                 [&](std::filesystem::path* value) { *value = text; },
                 [&](std::vector<int>* value) {
                   std::vector<int> parsed;
                   for (const std::string& item : parse_list(text)) {
                     parsed.push_back(static_cast<int>(number(item, where, true)));
                   }
                   *value = std::move(parsed);
                 },
                 [&](std::vector<double>* value) {
                   std::vector<double> parsed;
                   for (const std::string& item : parse_list(text)) parsed.push_back(number(item, where, false));
                   *value = std::move(parsed);
                 },
                 [&](std::vector<std::string>* value) { *value = parse_list(text); },
                 [&](ImageSize* value) { *value = parse_image_size(text, where); },
             },
             target_);
}

std::string Option::text() const {
  return std::visit(Overloaded{
                        [](const bool* value) -> std::string { return *value ? "true" : "false"; },
                        [](const std::string* value) { return *value; },
                        [this](const int* value) {
                          return !word_.empty() && *value == word_value_ ? word_ : fmt::format("{}", *value);
                        },
                        [](const std::filesystem::path* value) { return value->string(); },
                        [](const std::vector<int>* value) { return fmt::format("{}", fmt::join(*value, ",")); },
                        [](const std::vector<double>* value) { return fmt::format("{}", fmt::join(*value, ",")); },
                        [](const std::vector<std::string>* value) { return fmt::format("{}", fmt::join(*value, ",")); },
                        [](const ImageSize* value) {
                          return value->width == value->height ? fmt::format("{}", value->width)
                                                               : fmt::format("{}x{}", value->width, value->height);
                        },
                        [](const auto* value) { return fmt::format("{}", *value); },
                    },
                    target_);
}

std::string Option::placeholder_text() const {
  if (!placeholder_.empty()) return placeholder_;
  if (!choices_.empty()) return fmt::format("{}", fmt::join(choices_, "|"));
  if (!word_.empty()) return "N|" + word_;
  return std::visit(Overloaded{
                        [](const bool*) { return "true|false"; },
                        [](const std::string*) { return "TEXT"; },
                        [](const std::filesystem::path*) { return "PATH"; },
                        [](const float*) { return "NUMBER"; },
                        [](const double*) { return "NUMBER"; },
                        [](const std::vector<int>*) { return "N,N,..."; },
                        [](const std::vector<double>*) { return "X,X,..."; },
                        [](const std::vector<std::string>*) { return "A,B,..."; },
                        [](const ImageSize*) { return "S|WxH"; },
                        [](const auto*) { return "N"; },
                    },
                    target_);
}

}  // namespace yolov3
