// The program without its main(): commands by name, errors as exit codes.
//
// Every command takes the words after its name and returns an exit code: 0 ok, 1 failure, 2 usage, 3 data errors found,
// 4 an accuracy gate failed. Results go to stdout, log and progress to stderr. Ctrl-C and SIGTERM ask `train`, `detect`
// and `board` for a clean end: train has saved and returns 0, detect has written what it found so far and returns 1,
// board returns 0.
#pragma once

#include <string>
#include <vector>

namespace yolov3 {

int run_train(const std::vector<std::string>& arguments);
int run_eval(const std::vector<std::string>& arguments);
int run_detect(const std::vector<std::string>& arguments);
int run_calibrate(const std::vector<std::string>& arguments);
int run_export(const std::vector<std::string>& arguments);
int run_compare(const std::vector<std::string>& arguments);
int run_data(const std::vector<std::string>& arguments);
int run_board(const std::vector<std::string>& arguments);
int run_bench(const std::vector<std::string>& arguments);
int run_anchors(const std::vector<std::string>& arguments);
int run_explain(const std::vector<std::string>& arguments);
int run_replay(const std::vector<std::string>& arguments);
int run_info(const std::vector<std::string>& arguments);

// Finds and runs the command; an exception becomes "error: ..." on stderr and its exit code. `arguments`: without
// argv[0].
int run_program(const std::vector<std::string>& arguments);

// What libraries and file names bring along must not steer the terminal: control characters become '?', lines stay.
std::string fit_for_terminal(const std::string& text);

// Before a long run: an Error when write_text() to `file` would fail. Empty and "-" are fine.
void check_writable(const std::string& file);

// To the file, or to stdout when `file` is "-". A device or a pipe is written into, never replaced.
void write_text(const std::string& file, const std::string& text);

// Prints to stdout. Errors: a full disk or a closed pipe.
void print(const std::string& text);

}  // namespace yolov3
