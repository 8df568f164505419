#include "net/cfg_section.h"

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "net/shape.h"

namespace yolov3 {
namespace {

constexpr size_t kMaxText = size_t{16} << 20;
constexpr size_t kMaxEntries = 200;  // of one section; Darknet knows about 100 keys for [net]
constexpr size_t kMaxList = 4096;    // numbers in one value

std::string_view without_comment(std::string_view line) { return trim(line.substr(0, line.find_first_of("#;"))); }

CfgEntry read_entry(std::string_view line, int number, const std::string& file) {
  const size_t equals = line.find('=');
  check(equals != std::string_view::npos, "{}:{}: expected key=value or [section], found {}", file, number,
        quoted(line));
  const CfgEntry entry{trim(line.substr(0, equals)), trim(line.substr(equals + 1)), number};
  check(!entry.key.empty() && !entry.value.empty(), "{}:{}: {} has no {}", file, number, quoted(line),
        entry.key.empty() ? "key before the =" : "value behind the =");
  return entry;
}

CfgSection read_header(std::string_view line, int number, const std::string& file) {
  check(line.size() > 2 && line.back() == ']', "{}:{}: expected [section], found {}", file, number, quoted(line));
  return {trim(line.substr(1, line.size() - 2)), number, {}};
}

}  // namespace

std::string quoted(std::string_view text) {
  std::string clean = "'";
  for (const char c : text.substr(0, 60)) clean += c >= ' ' && c < 127 ? c : '?';
  return clean + (text.size() > 60 ? "...'" : "'");
}

std::vector<CfgSection> read_cfg_sections(std::string_view text, const std::string& file) {
  check(text.size() <= kMaxText, "{}: {} is too large for a .cfg; at most {} are read", file,
        human_bytes(static_cast<double>(text.size())), human_bytes(static_cast<double>(kMaxText)));
  std::vector<CfgSection> sections;
  int number = 0;
  for (const std::string_view raw : split_lines(text)) {
    ++number;
    const std::string_view line = without_comment(raw);
    if (line.empty()) continue;
    if (line.front() == '[') {
      sections.push_back(read_header(line, number, file));
      check(sections.size() <= static_cast<size_t>(kMaxLayers) + 1, "{}:{}: more than {} layers", file, number,
            kMaxLayers);
      continue;
    }
    check(!sections.empty(), "{}:{}: {} stands before the first section; a .cfg begins with [net]", file, number,
          quoted(line));
    sections.back().entries.push_back(read_entry(line, number, file));
    check(sections.back().entries.size() <= kMaxEntries, "{}:{}: more than {} keys in one section", file, number,
          kMaxEntries);
  }
  check(!sections.empty(), "{}: no section: this is empty or no Darknet .cfg", file);
  return sections;
}

const CfgEntry* CfgReader::find(std::string_view key) {
  asked_.emplace_back(key);
  const CfgEntry* first = nullptr;
  for (const CfgEntry& entry : section_.entries) {
    if (entry.key != key) continue;
    if (first == nullptr) first = &entry;
    if (entry.value != first->value) {
      error(entry.line, "{} is {} here, but {} in line {}; keep one", key, quoted(entry.value), quoted(first->value),
            first->line);
    }
  }
  return first;
}

int CfgReader::line_of(std::string_view key) const {
  const auto entry = std::ranges::find(section_.entries, key, &CfgEntry::key);
  return entry == section_.entries.end() ? section_.line : entry->line;
}

int CfgReader::parse_int(const CfgEntry& entry, std::string_view text, int low, int high) const {
  const auto value = parse_integer(trim(text));
  if (!value) error(entry.line, "{} needs a whole number, not {}", entry.key, quoted(text));
  if (*value < low || *value > high) {
    error(entry.line, "{} is {}, but must be within {} to {}", entry.key, *value, low, high);
  }
  return static_cast<int>(*value);
}

double CfgReader::parse_real(const CfgEntry& entry, std::string_view text, double low, double high) const {
  const auto value = parse_number(trim(text));
  if (!value) error(entry.line, "{} needs a number, not {}", entry.key, quoted(text));
  if (*value < low || *value > high) {
    error(entry.line, "{} is {}, but must be within {} to {}", entry.key, *value, low, high);
  }
  return *value;
}

int CfgReader::integer(std::string_view key, int fallback, int low, int high) {
  const CfgEntry* entry = find(key);
  return entry == nullptr ? fallback : parse_int(*entry, entry->value, low, high);
}

double CfgReader::number(std::string_view key, double fallback, double low, double high) {
  const CfgEntry* entry = find(key);
  return entry == nullptr ? fallback : parse_real(*entry, entry->value, low, high);
}

std::vector<int> CfgReader::integers(std::string_view key) {
  const CfgEntry* entry = find(key);
  if (entry == nullptr) return {};
  const auto parts = split(entry->value, ',');
  if (parts.size() > kMaxList) error(entry->line, "{} lists {} numbers; at most {}", key, parts.size(), kMaxList);
  std::vector<int> values;
  for (const auto part : parts) {
    values.push_back(parse_int(*entry, part, std::numeric_limits<int>::min() / 2, std::numeric_limits<int>::max() / 2));
  }
  return values;
}

std::vector<double> CfgReader::numbers(std::string_view key) {
  const CfgEntry* entry = find(key);
  if (entry == nullptr) return {};
  const auto parts = split(entry->value, ',');
  if (parts.size() > kMaxList) error(entry->line, "{} lists {} numbers; at most {}", key, parts.size(), kMaxList);
  std::vector<double> values;
  for (const auto part : parts) values.push_back(parse_real(*entry, part, -1e9, 1e9));
  return values;
}

std::string_view CfgReader::word(std::string_view key, std::string_view fallback) {
  const CfgEntry* entry = find(key);
  return entry == nullptr ? fallback : entry->value;
}

void CfgReader::require(std::string_view key) {
  if (!has(key)) error(section_.line, "has no {}; add {}=...", key, key);
}

void CfgReader::only(std::string_view key, std::string_view neutral) {
  const CfgEntry* entry = find(key);
  if (entry == nullptr || entry->value == neutral) return;
  const auto value = parse_number(entry->value);
  if (value && value == parse_number(neutral)) return;
  error(entry->line, "{}={} is a variant of Darknet that this program does not run; only {}={} can be read", key,
        quoted(entry->value), key, neutral);
}

void CfgReader::finish(std::string_view kind, std::string_view training, std::map<std::string, std::string>& found) {
  const std::vector<std::string_view> ignored = split_words(training);
  std::map<std::string, std::string> own;  // emplace keeps the first of several equal keys
  for (const CfgEntry& entry : section_.entries) {
    if (std::ranges::find(asked_, entry.key) != asked_.end()) continue;
    if (std::ranges::find(ignored, entry.key) != ignored.end()) {
      own.emplace(fmt::format("{}.{}", kind, entry.key), entry.value);
      continue;
    }
    std::vector<std::string> known = asked_;
    known.insert(known.end(), ignored.begin(), ignored.end());
    const std::string near = closest_match(entry.key, known);
    error(entry.line, "has no key {}{}", quoted(entry.key), near.empty() ? "" : "; did you mean " + near + "?");
  }
  for (auto& [key, value] : own) found[key] = std::move(value);
}

}  // namespace yolov3
