#include "app/program.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <new>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "base/usage.h"
#include "data/text_guard.h"

namespace yolov3 {
namespace {

struct Command {
  const char* name;
  std::vector<std::string> aliases;
  const char* summary;
  int (*run)(const std::vector<std::string>&);
};

const std::vector<Command>& commands() {
  static const std::vector<Command> kCommands = {
      {"train", {}, "annotated pictures in, a trained detector out", run_train},
      {"eval", {"val", "map"}, "how good a model is on a data set: mAP, precision, recall", run_eval},
      {"detect", {"predict"}, "find objects in pictures", run_detect},
      {"calibrate", {}, "make a trained model run in int8, with a check of what that costs", run_calibrate},
      {"export", {}, "a model for other programs: ONNX, Darknet, Keras, or this one", run_export},
      {"compare", {}, "two models or engines on the same pictures: where they differ, and by how much", run_compare},
      {"data",
       {},
       "look at, mend, convert, split and make data sets (data check, stats, convert, split, synth, preview)",
       run_data},
      {"anchors", {"calc_anchors"}, "do a model's anchors fit a data set, and which would fit better", run_anchors},
      {"explain", {}, "which cells answer for the objects of one picture, and what a network says there", run_explain},
      {"replay", {}, "the step of a training that was not finite, once more, to see where it goes wrong", run_replay},
      {"board", {}, "training runs as a live page in the browser, side by side", run_board},
      {"bench", {}, "how fast a network runs here: every stage and every layer", run_bench},
      {"info", {}, "a model's layers and size; without a model: this build, CPU and engines", run_info},
  };
  return kCommands;
}

const Command* find_command(const std::string& name) {
  for (const Command& command : commands()) {
    const auto& aliases = command.aliases;
    if (name == command.name || std::find(aliases.begin(), aliases.end(), name) != aliases.end()) return &command;
  }
  return nullptr;
}

std::string program_help() {
  std::string out =
      "yolov3 " YOLOV3_VERSION
      ": trains and runs YOLOv3 object detectors\n\n"
      "Usage: yolov3 COMMAND [options]        yolov3 COMMAND --help shows a command's options\n\nCommands\n";
  for (const Command& command : commands()) {
    const std::string also = command.aliases.empty() ? "" : fmt::format(" (also {})", fmt::join(command.aliases, ", "));
    out += fmt::format("  {:<9} {}{}\n", command.name, command.summary, also);
  }
  return out +
         "\nFrom nothing to boxes\n"
         "  yolov3 train --data synthetic:240 --imgsz 160 --epochs 24\n"
         "  yolov3 eval --weights runs/train/exp/weights/best.h5 --data synthetic:240\n"
         "  yolov3 detect --weights runs/train/exp/weights/best.h5 --source pictures/\n"
         "\nExit codes: 0 ok, 1 failure, 2 usage, 3 data errors found, 4 an accuracy gate failed.\n"
         "Ctrl-C or SIGTERM: train saves and exits with 0 (go on with --resume), detect keeps the results so far and\n"
         "exits with 1, board exits with 0, data convert, split, synth and check --repair take away what they began to "
         "write; the other\n"
         "commands, and any command at the second signal, end at once.\n"
         "Results go to stdout, log and progress to stderr.\n";
}

int dispatch(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    log_line(program_help());
    return static_cast<int>(Error::Kind::usage);
  }
  const std::string& name = arguments[0];
  const bool help = name == "help" || name == "--help" || name == "-h";
  if (name == "--version" || name == "-V") {
    print("yolov3 " YOLOV3_VERSION "\n");
    return 0;
  }
  if (help && arguments.size() == 1) {
    print(program_help());
    return 0;
  }
  const std::string& wanted = help ? arguments[1] : name;
  const Command* command = find_command(wanted);
  if (!command) {
    std::vector<std::string> names;
    for (const Command& c : commands()) {
      names.push_back(c.name);
      names.insert(names.end(), c.aliases.begin(), c.aliases.end());
    }
    const std::string near = closest_match(wanted, names);
    fail_usage("there is no command \"{}\"{}", wanted,
               near.empty() ? "; see yolov3 --help" : fmt::format("; did you mean {}?", near));
  }
  if (help) return command->run({"--help"});
  return command->run({arguments.begin() + 1, arguments.end()});
}

// Exists, and is neither a file nor a folder: a device, a pipe.
bool is_special(const std::string& file) {
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(file, ignored);
  return std::filesystem::exists(status) && !std::filesystem::is_regular_file(status) &&
         !std::filesystem::is_directory(status);
}

}  // namespace

std::string fit_for_terminal(const std::string& text) {
  std::string fit;
  const char* separator = "";
  for (const std::string_view line : split(text, '\n')) {
    fit += separator + shown(line, std::numeric_limits<size_t>::max());
    separator = "\n";
  }
  return fit;
}

int run_program(const std::vector<std::string>& arguments) {
  log_status("");
  try {
    return dispatch(arguments);
  } catch (const Error& error) {
    log_line("error: " + fit_for_terminal(error.what()));
    return static_cast<int>(error.kind());
  } catch (const std::bad_alloc&) {
    log_line("error: out of memory; a smaller --batch or --imgsz needs less");
  } catch (const std::exception& error) {
    // Libraries append stack traces; the first line says what happened.
    const std::string what = error.what();
    log_line("error: " + fit_for_terminal(what.substr(0, what.find('\n'))));
  }
  return static_cast<int>(Error::Kind::failure);
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    fail("cannot write to stdout: {}", std::strerror(errno));
  }
}

void check_writable(const std::string& file) {
  if (file.empty() || file == "-") return;
  std::error_code ignored;
  check(!std::filesystem::is_directory(file, ignored), "{}: expected a file to write, found a folder", file);
  if (is_special(file)) {
    if (::access(file.c_str(), W_OK) != 0) fail("{}: cannot write: {}", file, std::strerror(errno));
  } else {
    const AtomicFile probe(file);  // gone again at once; what stood there is untouched
  }
}

void write_text(const std::string& file, const std::string& text) {
  if (file == "-") {
    print(text);
  } else if (is_special(file)) {
    std::ofstream out(file, std::ios::binary);
    out << text << std::flush;
    check(out.good(), "{}: cannot write", file);
  } else {
    write_file(file, text);
  }
}

}  // namespace yolov3
