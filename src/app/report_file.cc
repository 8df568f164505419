#include "app/report_file.h"

#include <algorithm>
#include <fstream>

#include "app/html.h"
#include "app/program.h"
#include "base/text.h"
#include "base/usage.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr size_t kHeadBytes = 512;

// How it begins, blanks left out.
std::string head_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string head(kHeadBytes, '\0');
  stream.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(stream.gcount()));
  return std::string(trim(head));
}

bool is_of_kind(const std::string& head, ReportKind kind) {
  switch (kind) {
    case ReportKind::json: return head.starts_with("{") || head.starts_with("[");
    case ReportKind::html: return head.find(kPageMark) != std::string::npos;
    case ReportKind::plan: return head.starts_with("plan ");
    case ReportKind::anchors: return head.starts_with(kAnchorsMark);
  }
  return false;
}

const char* name_of(ReportKind kind) {
  switch (kind) {
    case ReportKind::json: return "JSON";
    case ReportKind::html: return "a page of this program";
    case ReportKind::plan: return "a plan";
    case ReportKind::anchors: return "what yolov3 anchors wrote";
  }
  return "";
}

}  // namespace

void check_report_file(const char* option, const std::string& file, ReportKind kind, const DataOptions& data,
                       const std::vector<fs::path>& inputs) {
  std::error_code none;
  if (file.empty() || file == "-") return;
  const bool is_input =
      std::ranges::any_of(inputs, [&](const fs::path& one) { return fs::equivalent(one, file, none); });
  check_usage(!is_input, "{} {}: is what this command reads; choose another file", option, file);
  check_usage(!is_read_from(data, file), "{} {}: belongs to the data set, which is never touched; choose another file",
              option, file);
  if (fs::is_regular_file(file, none) && fs::file_size(file, none) > 0) {
    check_usage(is_of_kind(head_of(file), kind),
                "{} {}: something else than {} is there, which would be lost; choose another file", option, file,
                name_of(kind));
  }
  check_writable(file);
}

void check_files_differ(const std::vector<std::pair<const char*, std::string>>& files) {
  std::error_code none;
  for (size_t b = 0; b < files.size(); ++b) {
    for (size_t a = 0; a < b; ++a) {
      const auto& [first, name] = files[a];
      const auto& [second, other] = files[b];
      if (name.empty() || name == "-" || other.empty() || other == "-") continue;
      const bool same =
          fs::weakly_canonical(fs::absolute(name), none) == fs::weakly_canonical(fs::absolute(other), none);
      check_usage(!same, "{} {} and {} {}: expected two files", first, name, second, other);
    }
  }
}

}  // namespace yolov3
