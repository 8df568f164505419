// yolov3 data: finds the part that is meant.
#include <fmt/format.h>

#include <array>
#include <vector>

#include "app/data_parts.h"
#include "app/program.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"

namespace yolov3 {
namespace {

struct Part {
  const char* name;
  int (*run)(const std::vector<std::string>&);
  const char* summary;
};

constexpr std::array kParts = {
    Part{"check", run_data_check, "reads every picture and annotation, and lists what is wrong"},
    Part{"stats", run_data_stats, "classes, box sizes as the network sees them, pictures"},
    Part{"convert", run_data_convert, "writes a data set as annotation lines, VOC, COCO or YOLO"},
    Part{"split", run_data_split, "deals the pictures out to train, val and test, class by class"},
    Part{"preview", run_data_preview, "pictures of the batches as the trainer sees them"},
    Part{"synth", run_data_synth, "writes the built-in data set as files"},
};

std::string data_help() {
  std::string help = "yolov3 data: look at data sets and make them\n\n";
  for (const Part& part : kParts) help += fmt::format("  data {:<9}{}\n", part.name, part.summary);
  return help + "\nyolov3 data PART --help tells more.\n";
}

}  // namespace

int run_data(const std::vector<std::string>& arguments) {
  const std::string wanted = arguments.empty() ? "" : arguments[0];
  if (wanted == "--help" || wanted == "-h") {
    print(data_help());
    return 0;
  }
  if (wanted.empty()) {
    log_line(data_help());
    return static_cast<int>(Error::Kind::usage);
  }
  std::vector<std::string> names;
  for (const Part& part : kParts) {
    if (wanted == part.name) return part.run({arguments.begin() + 1, arguments.end()});
    names.emplace_back(part.name);
  }
  const std::string near = closest_match(wanted, names);
  fail_usage("there is no command \"data {}\"; {}", wanted,
             near.empty() ? "see yolov3 data --help" : fmt::format("did you mean data {}?", near));
}

}  // namespace yolov3
