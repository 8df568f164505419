#include "base/error.h"
#include "base/text.h"
#include "data/source.h"
#include "data/text_guard.h"

namespace yolov3 {
namespace {

constexpr uint64_t kMaxNamesBytes = 4 << 20;
constexpr size_t kMaxNameBytes = 256;

}  // namespace

std::vector<std::string> parse_class_names(std::string_view text, const std::string& name) {
  check_is_text(text, name);
  std::vector<std::string> names;
  int64_t line = 0;
  for (const std::string_view raw : split_lines(text)) {
    ++line;
    const std::string_view word = trim(raw);
    if (word.empty()) continue;
    check(word.size() <= kMaxNameBytes, "{}:{}: a class name of {} bytes, expected at most {}; is this the names file?",
          name, line, word.size(), kMaxNameBytes);
    check(shown(word, kMaxNameBytes) == word, "{}:{}: \"{}\" is not plain UTF-8; save the file as UTF-8", name, line,
          shown(word));
    names.emplace_back(word);
  }
  check(!names.empty(), "{}: expected class names, one a line, found none", name);
  return names;
}

std::vector<std::string> read_class_names(const std::filesystem::path& path) {
  return parse_class_names(read_text(path, kMaxNamesBytes), path.string());
}

}  // namespace yolov3
