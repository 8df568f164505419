// yolov3 data check, yolov3 data stats
#include <fmt/format.h>

#include <filesystem>
#include <limits>

#include "app/data_findings.h"
#include "app/data_page.h"
#include "app/data_parts.h"
#include "app/program.h"
#include "app/report_file.h"
#include "base/error.h"
#include "base/log.h"
#include "base/usage.h"
#include "data/data_kind.h"
#include "data/write.h"

namespace fs = std::filesystem;

namespace yolov3 {
namespace {

constexpr size_t kListedDefects = 20;

// A mended copy in the data set's own format.
void write_repaired(DataOptions data, const std::string& split, const fs::path& out, int threads) {
  data.bad_data = BadDataPolicy::repair;
  data.max_left_out = 1;  // what can be kept is kept
  std::vector<LoadedSplit> loaded = load_splits(data, split);
  const std::map<std::string, Dataset> splits = splits_to_write(loaded);
  WriteOptions write;
  write.threads = threads;
  write.notes = findings_of(loaded, std::numeric_limits<size_t>::max());
  const DataFormat format = format_of(data);
  const std::vector<Loss> losses = write_folder(out, format, splits, write);
  if (!losses.empty()) log_line(fit_for_terminal("not said by the mended copy:\n" + describe(losses, kListedDefects)));
  log_info("mended copy: {}", written_data(out, format).string());
}

struct CheckCommand {
  DataOptions data;
  FindOptions find;
  std::string bad_data = "skip", split = "all", json, html;
  fs::path repair;
  ImageSize imgsz{416, 416};
};

void add_options(Options& options, CheckCommand& c) {
  options.example("yolov3 data check --data voc/", "counts, classes, defects and copies of every split");
  options.example("yolov3 data check --data data.yaml --html check.html", "the same with pictures of the worst cases");
  options.example("yolov3 data check --data voc/ --repair mended", "boxes clipped, turned and de-duplicated in a copy");
  add_data_options(options, c.data, &c.bad_data);
  options.add("split", &c.split, "which part").choices({"all", "train", "val", "test"});
  options.add("verify-images", &c.data.verify_images, "decode every picture; false looks at the annotations only");
  options.add("imgsz", &c.imgsz, "of the network that box sizes are told for, S or WxH");
  options.add("suspects", &c.find.suspects, "objects unlike their class to list").range(0, 10000);
  options.add("json", &c.json, "everything as JSON, every defect listed; - = stdout").placeholder("FILE|-");
  options.add("html", &c.html, "a page with pictures, one file").placeholder("FILE");
  options.add("repair", &c.repair, "write a mended copy into this new folder; the data set stays as it is")
      .placeholder("DIR");
}

// False when only help was wanted.
bool parse(Options& options, CheckCommand& c, const std::vector<std::string>& arguments) {
  if (!options.parse(arguments)) {
    print(options.help());
    return false;
  }
  options.require("data", "the data set, e.g. --data data.yaml");
  if (c.html == "-") fail_usage("--html -: expected a file");
  if (c.imgsz.width <= 0) fail_usage("--imgsz: expected a size such as 416");
  check_report_file("--json", c.json, ReportKind::json, c.data);
  check_report_file("--html", c.html, ReportKind::html, c.data);
  check_files_differ({{"--json", c.json}, {"--html", c.html}});
  if (!c.repair.empty()) check_out_folder(c.repair, "--repair", c.data);
  c.data.bad_data = parse_bad_data_policy(c.bad_data);
  c.data.max_left_out = 1;  // the worst data sets are those to look at
  c.find.net_width = c.imgsz.width;
  c.find.net_height = c.imgsz.height;
  c.find.looks = c.data.verify_images;
  c.find.threads = c.data.threads;
  return true;
}

}  // namespace

int run_data_check(const std::vector<std::string>& arguments) {
  CheckCommand c;
  Options options("data check",
                  "reads every picture and annotation, and lists what is wrong; exit code 3 when something is");
  add_options(options, c);
  if (!parse(options, c, arguments)) return 0;
  if (options.was_given("suspects") && !c.find.looks) {
    fail_usage("--suspects: nobody looks at the pictures with --verify-images false");
  }
  const DataFindings findings = find_in_data(c.data.data, load_splits(c.data, c.split), c.find);
  if (c.json != "-") print(fit_for_terminal(findings_text(findings, kListedDefects)));
  if (!c.json.empty()) write_text(c.json, findings_json(findings));
  if (!c.html.empty()) write_text(c.html, data_page(findings));
  if (!c.repair.empty()) write_repaired(c.data, c.split, c.repair, c.data.threads);
  return findings.any() ? static_cast<int>(Error::Kind::bad_data) : 0;
}

int run_data_stats(const std::vector<std::string>& arguments) {
  CheckCommand c;
  Options options("data stats", "what a data set holds: classes, box sizes as the network sees them, pictures");
  options.example("yolov3 data stats --data data.yaml --imgsz 608", "how small the boxes are at 608");
  add_data_options(options, c.data, &c.bad_data);
  options.add("split", &c.split, "which part").choices({"all", "train", "val", "test"});
  options.add("verify-images", &c.data.verify_images,
              "decode every picture; false takes stated sizes, or those of the files' headers");
  options.add("imgsz", &c.imgsz, "of the network, S or WxH");
  options.add("json", &c.json, "the same as JSON; - = stdout").placeholder("FILE|-");
  if (!parse(options, c, arguments)) return 0;
  c.find.looks = false;
  std::vector<LoadedSplit> loaded = load_splits(c.data, c.split);
  for (const LoadedSplit& one : loaded) {
    if (!one.error.empty()) throw Error(one.split + ": " + one.error, Error::Kind::bad_data);
  }
  const std::string defects = findings_of(loaded, 10);
  if (!defects.empty()) log_line(fit_for_terminal(defects) + "not counted below: what was left out");
  const DataFindings findings = find_in_data(c.data.data, std::move(loaded), c.find);
  for (size_t s = 0; s < findings.splits.size() && c.json != "-"; ++s) {
    print(fit_for_terminal(findings.splits[s].split + ": " +
                           describe(findings.stats[s], findings.net_width, findings.net_height)));
  }
  if (!c.json.empty()) write_text(c.json, findings_json(findings));
  return 0;
}

}  // namespace yolov3
