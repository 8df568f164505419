// yolov3 detect
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>

#include "app/detect_run.h"
#include "app/options.h"
#include "app/program.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"

namespace yolov3 {
namespace {

struct DetectCommand {
  DetectorChoice choice;
  DetectRun run;
  std::string source, out = "runs/detect/exp", format = "none", mode = "latency";
  std::vector<std::string> classes;
};

void add_options(Options& options, DetectCommand& c) {
  options.example("yolov3 detect --weights best.h5 --source pictures/",
                  "draws boxes into copies of the pictures, in runs/detect/exp");
  options.example("yolov3 detect --weights best.h5 --source 'a/*.jpg' --out - --format json",
                  "a JSON object a line, for programs");
  options.group("Pictures");
  options.add("source", &c.source, "an image, a folder, a glob, or a list.txt with a path a line").placeholder("S");
  options.group("The network");
  add_names_option(options, c.choice.model);
  add_detector_options(options, c.choice);
  options.add("batch", &c.run.batch, "pictures at once").alias("batch-size").range(1, 4096);
  options
      .add("mode", &c.mode,
           "latency = all --threads work on one batch; throughput = each on a batch of its own, side by side: more "
           "pictures a second, each of them later")
      .choices({"latency", "throughput"});
  options.group("Results");
  options.add("classes", &c.classes, "only these, by name or number; empty = all");
  options
      .add("out", &c.out,
           "folder of the results; out2, out3, ... when it holds files: nothing older is overwritten; - = stdout")
      .placeholder("DIR|-");
  options.add("format", &c.format, "results for programs beside (or instead of) the drawn pictures")
      .choices({"none", "json", "csv", "txt", "coco"});
  options.add("draw", &c.run.draw, "save the pictures with their boxes (not with --out -)");
}

std::vector<int> class_ids(const std::vector<std::string>& wanted, const std::vector<std::string>& names, int count) {
  std::vector<int> ids;
  for (const std::string& word : wanted) {
    const auto found = std::find(names.begin(), names.end(), word);
    const std::optional<int64_t> number = parse_integer(word);
    if (found != names.end()) {
      ids.push_back(static_cast<int>(found - names.begin()));
    } else if (number && *number >= 0 && *number < count) {
      ids.push_back(static_cast<int>(*number));
    } else {
      const std::string near = closest_match(word, names);
      fail_usage("--classes: the model has no class \"{}\"{}", word,
                 near.empty() ? fmt::format("; numbers go from 0 to {}", count - 1)
                              : fmt::format("; did you mean \"{}\"?", near));
    }
  }
  return ids;
}

// --threads is the total: one engine's, or that of engines of one thread each.
DetectorChoice choice_for_mode(const DetectCommand& c) {
  DetectorChoice choice = c.choice;
  if (c.run.mode == DetectMode::throughput) choice.engine.threads = 1;
  return choice;
}

int report(const DetectSummary& s, const std::filesystem::path& folder, bool written) {
  const double ms = 1e3 / std::max<double>(1, static_cast<double>(s.pictures));
  log_info(
      "{} pictures, {} objects in {:.1f} s: {:.2f} images/s; a picture: load {:.1f} ms, letterbox {:.1f} ms, network "
      "{:.1f} ms, boxes {:.2f} ms, draw and write {:.1f} ms",
      s.pictures, s.objects, s.seconds, static_cast<double>(s.pictures) / std::max(s.seconds, 1e-9),
      ms * s.load_seconds, ms * s.detect.letterbox, ms * s.detect.network, ms * s.detect.boxes, ms * s.write_seconds);
  if (!folder.empty() && written) log_info("results are in {}", folder.string());
  if (!folder.empty() && !written) log_info("{} has the options alone: --format none, --draw false", folder.string());
  if (s.interrupted) {
    log_info("stopped by a signal after {} of {} pictures; their results are whole", s.pictures, s.wanted);
    return static_cast<int>(Error::Kind::failure);
  }
  if (s.broken + s.not_drawn == 0) return 0;
  if (s.broken > 0) log_info("{} of {} pictures could not be read, see above", s.broken, s.wanted);
  if (s.not_drawn > 0) log_info("{} of {} pictures could not be drawn, see above", s.not_drawn, s.wanted);
  return static_cast<int>(Error::Kind::bad_data);
}

}  // namespace

int run_detect(const std::vector<std::string>& arguments) {
  DetectCommand c;
  c.choice.engine.precision = "auto";
  Options options("detect", "find objects in pictures");
  add_options(options, c);
  if (!options.parse(arguments)) {
    print(options.help());
    return 0;
  }
  options.require("weights", "the model, e.g. --weights runs/train/exp/weights/best.h5");
  options.require("source", "pictures, e.g. --source pictures/");
  c.run.format = parse_result_format(c.format);
  c.run.exact_decode = c.choice.exact_decode;
  c.run.mode = parse_detect_mode(c.mode);
  c.run.threads = c.choice.engine.threads > 0 ? c.choice.engine.threads : omp_get_max_threads();
  const bool to_stdout = c.out == "-";
  if (to_stdout && c.run.draw && options.was_typed("draw")) {
    fail_usage("--draw goes with a folder of results; with --out - there is none to put pictures in");
  }
  if (to_stdout) c.run.draw = false;
  if (to_stdout && (c.run.format == ResultFormat::none || c.run.format == ResultFormat::txt)) {
    fail_usage("--out - writes results to stdout as --format json, csv or coco");
  }
  const std::vector<PictureSource> sources = expand_source(c.source);
  OpenDetector open = open_detector(choice_for_mode(c));
  c.run.classes = class_ids(c.classes, open.names, class_count(open.detector.spec()));
  if (!to_stdout) {
    c.run.folder = make_fresh_folder(c.out);
    write_text((c.run.folder / kArgsFile).string(), options.to_toml());
  }
  install_interrupt_handlers();
  const bool written = c.run.draw || c.run.format != ResultFormat::none;
  return report(detect_pictures(sources, open.detector, open.names, c.run), c.run.folder, written);
}

}  // namespace yolov3
