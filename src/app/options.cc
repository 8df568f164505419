#include "app/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/usage.h"

namespace yolov3 {
namespace {

constexpr size_t kHelpColumn = 34, kHelpWidth = 118;
constexpr uint64_t kMaxConfigBytes = 1 << 20;

std::string normalised(std::string_view name) {
  std::string text(name);
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

bool is_bool_word(const std::string& text) {
  static const std::vector<std::string> kWords = {"true", "false", "yes", "no", "on", "off", "1", "0"};
  return std::find(kWords.begin(), kWords.end(), to_lower(text)) != kWords.end();
}

// Words of `text` in lines that begin at kHelpColumn, except the first, which the caller began.
std::string wrapped(const std::string& text) {
  std::string out;
  size_t column = kHelpColumn;
  for (const std::string_view word : split_words(text)) {
    if (column > kHelpColumn && column + 1 + word.size() > kHelpWidth) {
      out += "\n" + std::string(kHelpColumn, ' ');
      column = kHelpColumn;
    } else if (column > kHelpColumn) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out + "\n";
}

std::string help_entry(const Option& option) {
  std::string left = fmt::format("  --{} {}", option.name(), option.placeholder_text());
  if (left.size() + 2 > kHelpColumn) {
    left += "\n" + std::string(kHelpColumn, ' ');
  } else {
    left.resize(kHelpColumn, ' ');
  }
  std::string right = option.help();
  if (!option.aliases().empty()) right += fmt::format(" (also --{})", fmt::join(option.aliases(), ", --"));
  if (!option.default_text().empty()) right += fmt::format(" [{}]", option.default_text());
  return left + wrapped(right);
}

}  // namespace

Options::Options(std::string command, std::string summary)
    : command_(std::move(command)), summary_(std::move(summary)) {}

void Options::group(const std::string& title) { group_ = title; }

void Options::example(const std::string& line, const std::string& meaning) { examples_.push_back({line, meaning}); }

Option& Options::add(const std::string& name, Option::Target target, const std::string& help) {
  return options_.emplace_back(name, target, help, group_);
}

void Options::add_presets(std::string* chosen, const std::vector<Preset>& presets, const std::string& help) {
  std::vector<std::string> names;
  for (const Preset& preset : presets) {
    names.push_back(preset.name);
    for (const auto& [option, text] : preset.values) {
      if (std::ranges::find(governed_, option) == governed_.end()) governed_.push_back(option);
    }
  }
  presets_ = presets;
  add("preset", chosen, help).choices(names);
}

// What the preset that is named in `from` sets.
void Options::add_preset_of(const std::vector<Setting>& from, std::vector<Setting>& settings) {
  for (const Setting& setting : from) {
    if (presets_.empty() || setting.option->name() != "preset") continue;
    setting.option->set(setting.text, setting.where);  // refuses an unknown one
    const auto preset = std::ranges::find(presets_, setting.text, &Preset::name);
    for (const std::string& name : governed_) {
      Option* option = find(name);
      if (!option) continue;
      const auto own = std::ranges::find(preset->values, name, [](const auto& value) { return value.first; });
      const std::string text = own == preset->values.end() ? option->default_text() : own->second;
      settings.push_back({option, text, setting.where + " " + setting.text + ": " + name});
    }
  }
}

Option* Options::find(const std::string& name) {
  const auto found =
      std::find_if(options_.begin(), options_.end(), [&](const Option& o) { return o.answers_to(name); });
  return found == options_.end() ? nullptr : &*found;
}

std::vector<std::string> Options::all_names() const {
  std::vector<std::string> names = {"config", "help"};
  for (const Option& option : options_) {
    names.push_back(option.name());
    names.insert(names.end(), option.aliases().begin(), option.aliases().end());
  }
  return names;
}

void Options::fail_unknown(const std::string& what, const std::string& name, const std::string& where) const {
  const std::string near = closest_match(name, all_names());
  fail_usage("{}{}{}", where.empty() ? "" : where + ": ", what,
             near.empty() ? fmt::format("; see yolov3 {} --help", command_)
                          : fmt::format("; did you mean {}{}?", where.empty() ? "--" : "", near));
}

Options::Word Options::understand(const std::string& argument) {
  Word word;
  const size_t dashes = std::min(argument.find_first_not_of('-'), argument.size());
  const size_t equals = argument.find('=');
  word.name = normalised(argument.substr(dashes, equals == std::string::npos ? equals : equals - dashes));
  if (equals != std::string::npos) word.value = argument.substr(equals + 1);
  word.is_config = dashes <= 2 && word.name == "config";
  word.option = dashes <= 2 ? find(word.name) : nullptr;
  const bool known = word.option || word.is_config;
  if (dashes == 0 && !(known && word.value)) {
    const std::string what =
        fmt::format("unexpected \"{}\": {} takes options only, as --key value or key=value", argument, command_);
    fail_unknown(what, word.name, "");
  }
  if (known) return word;
  Option* negated = dashes == 2 && word.name.starts_with("no-") && !word.value ? find(word.name.substr(3)) : nullptr;
  if (!negated || !negated->is_flag()) {
    fail_unknown(fmt::format("{} has no option {}", command_, argument.substr(0, equals)), word.name, "");
  }
  word.option = negated;
  word.value = "false";
  return word;
}

void Options::read_argument(const std::vector<std::string>& arguments, size_t& i, std::vector<Setting>& settings) {
  if (arguments[i] == "--help" || arguments[i] == "-h") {
    help_asked_ = true;
    return;
  }
  Word word = understand(arguments[i]);
  const std::string* following = i + 1 < arguments.size() ? &arguments[i + 1] : nullptr;
  const bool flag = word.option && word.option->is_flag();
  if (!word.value && flag) {
    word.value = following && is_bool_word(*following) ? arguments[++i] : "true";
  } else if (!word.value) {
    if (!following || following->starts_with("--")) {
      const std::string placeholder = word.is_config ? "FILE" : word.option->placeholder_text();
      fail_usage("--{0} needs a value: --{0} {1}", word.name, placeholder);
    }
    word.value = arguments[++i];
  }
  if (word.is_config) {
    config_ = *word.value;
  } else {
    settings.push_back({word.option, *word.value, "--" + word.name});
  }
}

bool Options::parse(const std::vector<std::string>& arguments) {
  std::vector<Setting> from_line;
  for (size_t i = 0; i < arguments.size() && !help_asked_; ++i) read_argument(arguments, i, from_line);
  if (help_asked_) return false;
  std::vector<Setting> from_config;
  if (!config_.empty()) from_config = read_config(read_file(config_, kMaxConfigBytes), config_.string());
  apply({&from_config, &from_line});
  for (const Setting& setting : from_line) typed_.push_back(setting.option->name());
  return true;
}

void Options::parse_toml(const std::string& text, const std::string& name) {
  const std::vector<Setting> from_text = read_config(text, name);
  apply({&from_text});
}

void Options::apply(std::initializer_list<const std::vector<Setting>*> sources) {
  std::vector<Setting> settings;
  for (const std::vector<Setting>* from : sources) {
    add_preset_of(*from, settings);
    settings.insert(settings.end(), from->begin(), from->end());
    for (const Setting& setting : *from) given_.push_back(setting.option->name());
  }
  for (const Setting& setting : settings) setting.option->set(setting.text, setting.where);
}

bool Options::was_given(const std::string& name) const {
  return std::find(given_.begin(), given_.end(), name) != given_.end();
}

bool Options::was_typed(const std::string& name) const {
  return std::find(typed_.begin(), typed_.end(), name) != typed_.end();
}

void Options::allow_only(const std::vector<std::string>& names, const std::string& reason) const {
  for (const std::string& name : given_) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    fail_usage("--{} has no effect here: {}", name, reason);
  }
}

void Options::require(const std::string& name, const std::string& advice) const {
  for (const Option& option : options_) {
    if (option.name() == name && !option.text().empty()) return;
  }
  fail_usage("{} needs --{}: {}", command_, name, advice);
}

std::string Options::preset_help() const {
  if (presets_.empty()) return "";
  std::string out = "\nPresets: what --preset NAME sets; what is given beside it wins\n";
  for (const Preset& preset : presets_) {
    std::string left = "  " + preset.name;
    left.resize(kHelpColumn, ' ');
    std::string right = preset.meaning;
    for (const auto& [option, text] : preset.values) right += fmt::format(" --{} {}", option, text);
    out += left + wrapped(right);
  }
  return out;
}

std::string Options::help() const {
  std::string out = fmt::format("yolov3 {}: {}\n", command_, summary_);
  if (!examples_.empty()) out += "\nExamples\n";
  for (const HelpExample& example : examples_) out += fmt::format("  {}\n      {}\n", example.line, example.meaning);
  std::string group;
  for (const Option& option : options_) {
    if (option.group() != group) out += fmt::format("\n{}\n", group = option.group());
    out += help_entry(option);
  }
  out += preset_help();
  std::string config = "  --config FILE";
  config.resize(kHelpColumn, ' ');
  out += "\nEvery command\n" + config +
         wrapped("this command's options from a TOML file; the command line wins. train leaves its own in args.toml");
  std::string help = "  --help";
  help.resize(kHelpColumn, ' ');
  out += help + wrapped("this page");
  return out + "\nOptions are written --key value, --key=value or key=value; [..] is the default.\n";
}

}  // namespace yolov3
