// The text level of a Darknet .cfg: [sections] of key=value lines, and a reader that accounts for every key.
//
// Comments run from # or ; to the end of the line; spaces, CRLF and a byte order mark do not matter. As in Darknet the
// first of several equal keys counts, but a second one with another value is an error where the key shapes the network.
// Errors: "yolov3.cfg:12: ..." always.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace yolov3 {

struct CfgEntry {
  std::string_view key, value;  // of the parsed text, which must outlive them
  int line = 0;
};

struct CfgSection {
  std::string_view name;  // without the brackets
  int line = 0;
  std::vector<CfgEntry> entries;
};

std::vector<CfgSection> read_cfg_sections(std::string_view text, const std::string& file);

// Reads the keys of one section one by one; finish() then refuses what nobody has asked for.
class CfgReader {
 public:
  CfgReader(const CfgSection& section, const std::string& file) : section_(section), file_(file) {}

  bool has(std::string_view key) { return find(key) != nullptr; }
  int integer(std::string_view key, int fallback, int low, int high);
  double number(std::string_view key, double fallback, double low, double high);
  std::vector<int> integers(std::string_view key);  // "0,1,2"; empty without the key
  std::vector<double> numbers(std::string_view key);
  std::string_view word(std::string_view key, std::string_view fallback);
  void require(std::string_view key);

  // Keys of Darknet that change a network in a way that this program does not know: only the value that switches the
  // change off may stand there.
  void only(std::string_view key, std::string_view neutral);

  // Every other key must be one of the words of `training`; those go to `found` as "kind.key".
  void finish(std::string_view kind, std::string_view training, std::map<std::string, std::string>& found);

  template <class... Args>
  [[noreturn]] void error(int line, fmt::format_string<Args...> message, Args&&... args) const {
    fail("{}:{}: [{}] {}", file_, line, section_.name, fmt::format(message, std::forward<Args>(args)...));
  }
  int line() const { return section_.line; }
  int line_of(std::string_view key) const;  // the section's, without the key

 private:
  const CfgEntry* find(std::string_view key);
  int parse_int(const CfgEntry& entry, std::string_view text, int low, int high) const;
  double parse_real(const CfgEntry& entry, std::string_view text, double low, double high) const;

  const CfgSection& section_;
  const std::string& file_;
  std::vector<std::string> asked_;
};

// Text of a file inside a message: short, printable, in quotes.
std::string quoted(std::string_view text);

}  // namespace yolov3
