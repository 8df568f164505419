// The runs under a folder, for `yolov3 board`: found again and again, each known by an id that names no path.
//
// Goes four folders deep, not into runs, hidden folders or links to folders, the near ones first; of more than 1000 runs
// the ones written last are listed. Threads: one at a time.
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

// So that a folder of pictures beside the runs costs no time and hides no run.
struct RunListLimits {
  int depth = 4;          // folders
  int of_folder = 10000;  // entries of one folder that are looked at
  int entries = 100000;   // and of all
};

class RunList {
 public:
  explicit RunList(std::filesystem::path root, const RunListLimits& limits = {})
      : root_(std::move(root)), limits_(limits) {}

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
  RunListLimits limits_;
  std::vector<ListedRun> runs_;
  std::map<std::filesystem::path, Known> known_;
  int64_t more_ = 0;
};

}  // namespace yolov3
