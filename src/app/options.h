// The options of one command, declared once: what they are called, where their value goes and what they mean.
//
// Accepts "--key value", "--key=value", "key=value", Darknet's "-key value", bare "--flag" and "--no-flag"; underscores
// and hyphens are the same. "--config FILE" (TOML) gives any of them; the command line wins. "--preset NAME", where a
// command has presets, gives several at once: the later of these wins: defaults, the config's preset, the config's
// options, the command line's preset, the command line's options.
// Errors: Kind::usage, naming the option (or file:line), what was expected and what was found, with a "did you mean".
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace yolov3 {

// Pixels of the network input, "416" or "608x352". 0x0 ("0") = what the model says.
struct ImageSize {
  int width = 0, height = 0;
  bool operator==(const ImageSize&) const = default;
};

class Option {
 public:
  using Target = std::variant<bool*, int*, uint64_t*, float*, double*, std::string*, std::filesystem::path*,
                              std::vector<int>*, std::vector<double>*, std::vector<std::string>*, ImageSize*>;

  Option(std::string name, Target target, std::string help, std::string group);

  Option& alias(const std::string& name);
  Option& range(double low, double high);  // both included
  Option& choices(std::vector<std::string> words);
  Option& word(const std::string& text, int value);  // of an int: this word stands for the value, whatever the range
  Option& placeholder(const std::string& text);      // "FILE" in --help
  Option& unrecorded();                              // left out of args.toml: of this call, not of the run

  void set(const std::string& text, const std::string& where);  // `where` begins the message: "--conf"
  std::string text() const;                                     // set(text()) changes nothing

  bool answers_to(const std::string& name) const;
  bool is_flag() const { return std::holds_alternative<bool*>(target_); }
  bool is_list() const {
    return std::holds_alternative<std::vector<int>*>(target_) ||
           std::holds_alternative<std::vector<double>*>(target_) ||
           std::holds_alternative<std::vector<std::string>*>(target_);
  }
  const std::string& name() const { return name_; }
  const std::vector<std::string>& aliases() const { return aliases_; }
  const std::string& help() const { return help_; }
  const std::string& group() const { return group_; }
  const std::string& default_text() const { return default_text_; }
  const Target& target() const { return target_; }
  bool recorded() const { return recorded_; }
  std::string placeholder_text() const;  // the given one, the choices, or the type's

 private:
  double number(const std::string& text, const std::string& where, bool whole) const;

  std::string name_, help_, group_, default_text_, placeholder_;
  std::vector<std::string> aliases_, choices_;
  Target target_;
  double low_, high_;
  bool has_range_ = false, recorded_ = true;
  std::string word_;  // empty: none
  int word_value_ = 0;
};

struct HelpExample {
  std::string line, meaning;
};

// A named set of values. An option that only other presets of the command name has its default in this one, so that
// each preset says the same options and one takes the place of another. Options that the command lacks are passed over.
struct Preset {
  std::string name, meaning;
  std::vector<std::pair<std::string, std::string>> values;  // option, its text on the command line
};

class Options {
 public:
  // command: "train", "data synth", ...; summary: one line for --help.
  Options(std::string command, std::string summary);
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  void group(const std::string& title);  // of the options that follow
  void example(const std::string& line, const std::string& meaning);

  // `target` must outlive the Options; its present value is the default.
  Option& add(const std::string& name, Option::Target target, const std::string& help);

  // Adds --preset. *chosen names the one without values, the default. Values of presets are neither given nor typed.
  void add_presets(std::string* chosen, const std::vector<Preset>& presets, const std::string& help);

  // False when --help was asked for: nothing was set.
  bool parse(const std::vector<std::string>& arguments);
  void parse_toml(const std::string& text, const std::string& name);  // as --config; name: for messages

  const std::filesystem::path& config() const { return config_; }  // of --config; empty: none
  bool was_given(const std::string& name) const;                   // on the command line or in the --config file
  bool was_typed(const std::string& name) const;                   // on the command line
  // Any other option that was given is an error: it would have no effect. `reason` says why.
  void allow_only(const std::vector<std::string>& names, const std::string& reason) const;
  void require(const std::string& name, const std::string& advice) const;  // given and not empty

  std::string help() const;
  std::string to_toml() const;  // the effective options: args.toml
  // For what is to be repeated from it. Errors: Kind::usage, a text that is not UTF-8, which TOML cannot hold.
  void check_recordable() const;

  const std::string& command() const { return command_; }

 private:
  struct Setting {
    Option* option;
    std::string text, where;
  };
  struct Word {
    Option* option = nullptr;
    bool is_config = false;
    std::string name;
    std::optional<std::string> value;  // when the argument itself holds it
  };
  Option* find(const std::string& name);
  Word understand(const std::string& argument);
  void read_argument(const std::vector<std::string>& arguments, size_t& i, std::vector<Setting>& settings);
  std::vector<Setting> read_config(const std::string& text, const std::string& name);
  void apply(std::initializer_list<const std::vector<Setting>*> sources);  // the later wins
  void add_preset_of(const std::vector<Setting>& from, std::vector<Setting>& settings);
  std::string preset_help() const;
  std::vector<std::string> all_names() const;
  [[noreturn]] void fail_unknown(const std::string& what, const std::string& name, const std::string& where) const;

  std::string command_, summary_, group_ = "Options";
  std::deque<Option> options_;  // a deque: add() hands out references
  std::vector<HelpExample> examples_;
  std::vector<Preset> presets_;
  std::vector<std::string> governed_;       // options that a preset names
  std::vector<std::string> given_, typed_;  // names
  std::filesystem::path config_;
  bool help_asked_ = false;
};

}  // namespace yolov3
