// The runs under a folder, for `yolov3 board`: found again and again, each known by an id that names no path.
//
// Goes four folders deep, not into runs, hidden folders or folders of links, and looks at 100,000 entries at most; of
// more than 1000 runs the ones written last are listed. Threads: one at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/run_reader.h"

namespace yolov3 {

struct ListedRun {
  std::string id;    // 16 hexadecimal digits
  std::string name;  // its path from the root
  std::filesystem::path folder;
  RunSummary summary;
};

class RunList {
 public:
  explicit RunList(std::filesystem::path root) : root_(std::move(root)) {}

  // Looks at the folders again; the ones written last come first. `now`: seconds since 1970.
  const std::vector<ListedRun>& refresh(double now);
  int64_t more() const { return more_; }  // runs that are not listed

  // Null for what refresh() did not list, whatever the id says.
  const ListedRun* find(const std::string& id) const;

 private:
  struct Known {  // a summary is read anew only when one of its files has changed
    std::string stamp;
    RunSummary summary;
  };
  const RunSummary& summary_of(const std::filesystem::path& folder, double now);

  std::filesystem::path root_;
  std::vector<ListedRun> runs_;
  std::map<std::filesystem::path, Known> known_;
  int64_t more_ = 0;
};

}  // namespace yolov3
