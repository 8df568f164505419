// Options as TOML: read from --config FILE, written as args.toml.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "app/options.h"
#include "base/error.h"
#include "base/text.h"
#include "base/usage.h"
#include "data/text_guard.h"

namespace yolov3 {
namespace {

// The text that the option would have on the command line.
std::string text_of(const toml::node& node, const std::string& where) {
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_boolean()) return value->get() ? "true" : "false";
  if (const auto* value = node.as_integer()) return fmt::format("{}", value->get());
  if (const auto* value = node.as_floating_point()) return fmt::format("{}", value->get());
  if (const toml::array* array = node.as_array()) {
    std::vector<std::string> items;
    for (const toml::node& item : *array) {
      if (item.is_array() || item.is_table()) {
        fail_usage("{}: lists hold plain values only, not lists or tables", where);
      }
      items.push_back(text_of(item, where));
    }
    return fmt::format("{}", fmt::join(items, ","));
  }
  fail_usage("{}: expected a text, a number, true, false or a list; sections ([...]) and dates have no meaning here",
             where);
}

template <class Items>
toml::array array_of(const Items& items) {
  toml::array array;
  for (const auto& item : items) array.push_back(item);
  return array;
}

std::string line_of(const toml::table& table) {
  std::ostringstream out;
  out << toml::toml_formatter{table, toml::format_flags::none} << "\n";
  return out.str();
}

// One line, "key = value".
std::string entry(const Option& option) {
  toml::table table;
  const std::string& key = option.name();
  std::visit(
      [&](const auto* value) {
        using T = std::remove_cvref_t<decltype(*value)>;
        if constexpr (std::is_floating_point_v<T> || std::is_same_v<T, std::vector<double>>) {
          return;  // below
        } else if constexpr (std::is_same_v<T, int>) {
          const std::string text = option.text();  // a word or a number
          if (parse_integer(text)) {
            table.insert(key, *value);
          } else {
            table.insert(key, text);
          }
        } else if constexpr (std::is_same_v<T, uint64_t>) {
          table.insert(key, static_cast<int64_t>(*value));
        } else if constexpr (std::is_same_v<T, std::vector<int>> || std::is_same_v<T, std::vector<std::string>>) {
          table.insert(key, array_of(*value));
        } else if constexpr (std::is_same_v<T, ImageSize> || std::is_same_v<T, std::filesystem::path>) {
          table.insert(key, option.text());
        } else {
          table.insert(key, *value);
        }
      },
      option.target());
  // toml++ writes 0.3 as 0.29999999999999999.
  if (table.empty()) return fmt::format("{} = {}\n", key, option.is_list() ? "[" + option.text() + "]" : option.text());
  return line_of(table);
}

}  // namespace

std::vector<Options::Setting> Options::read_config(const std::string& text, const std::string& name_of_text) {
  toml::table table;
  try {
    table = toml::parse(text, name_of_text);
  } catch (const toml::parse_error& error) {
    fail_usage("{}:{}: not TOML: {}", name_of_text, error.source().begin.line, error.description());
  }
  const auto place_of = [&](const toml::node& node) {
    return fmt::format("{}:{}", name_of_text, node.source().begin.line);
  };
  if (const toml::node* command = table.get("command")) {  // before any option that is unknown here
    const std::string other = text_of(*command, place_of(*command));
    check_usage(other == command_, "{}: these are options of {}, not of {}", place_of(*command), other, command_);
  }
  std::vector<Setting> settings;
  for (const auto& [key, node] : table) {
    if (key.str() == "command") continue;
    const std::string at = place_of(node);
    std::string name(key.str());
    std::replace(name.begin(), name.end(), '_', '-');
    Option* option = find(name);
    if (!option) fail_unknown(fmt::format("{} has no option {}", command_, name), name, at);
    const std::string where = at + ": " + name;
    settings.push_back({option, text_of(node, where), where});
  }
  return settings;
}

void Options::check_recordable() const {
  for (const Option& option : options_) {
    check_usage(
        !option.recorded() || is_utf8(option.text()),
        "--{} {}: not UTF-8, so args.toml could not repeat it; rename it, or reach it by a link with a plain name",
        option.name(), shown(option.text()));
  }
}

std::string Options::to_toml() const {
  std::string out =
      "# The effective options of this run. To repeat it:\n#   yolov3 " + command_ + " --config THIS_FILE\n";
  out += line_of(toml::table{{"command", command_}});
  std::string group;
  for (const Option& option : options_) {
    if (!option.recorded()) continue;
    if (option.group() != group) out += fmt::format("\n# {}\n", group = option.group());
    out += entry(option);
  }
  return out;
}

}  // namespace yolov3
